"""Where pieces run: in this process, or on the workers of a ``dask.distributed`` client."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._optional import require
from ..compute.progress import progress
from ..exceptions import DegenerateDataError
from .blocks import Piece, Problem, run
from .resume import BlockStore

log = logging.getLogger("neurodecode")


def work(
    problem: Problem, todo: list[Piece], job: dict[str, Any], store: str | Path | None, client: Any
) -> tuple[dict[str, dict[str, Any]], int]:
    """Every piece, from the store where it is finished, computed and stored otherwise."""
    keeper = None if store is None else BlockStore(store, job)
    found: dict[str, dict[str, Any]] = {}
    if keeper is not None:
        for piece in todo:
            stored = keeper.load(piece.name)
            if stored is not None:
                found[piece.name] = stored
        if found:
            log.info("%d of %d pieces were finished before; %d are left", len(found), len(todo), len(todo) - len(found))
    resumed = len(found)
    left = [piece for piece in todo if piece.name not in found]
    computed = _here(problem, left) if client is None else _there(problem, left, client)
    for piece, outcome in computed:
        if keeper is not None:
            keeper.save(piece.name, outcome)
        found[piece.name] = outcome
    if len(found) != len(todo):
        raise DegenerateDataError(f"{len(found)} of {len(todo)} pieces came back; repeat the call to finish the others")
    if keeper is not None:
        log.info("%d of %d pieces are finished", len(found), len(todo))
    return found, resumed


def _here(problem: Problem, left: list[Piece]) -> Iterator[tuple[Piece, dict[str, Any]]]:
    count = problem.data.truth.shape[1]
    what = f"fitting {count:,} target{'s' if count != 1 else ''}, {len(problem.folds)} folds"
    for piece in progress(left, what, total=len(left)):
        yield piece, run(problem, piece)


def _there(problem: Problem, left: list[Piece], client: Any) -> Iterator[tuple[Piece, dict[str, Any]]]:
    if not all(hasattr(client, name) for name in ("scatter", "submit")):
        raise TypeError(f"client is a {type(client).__name__}; expected a dask.distributed.Client")
    distributed = require("distributed", extra="distributed", purpose="cross_validate(client=...)")
    sent = client.scatter(problem, broadcast=True)
    futures = {client.submit(run, sent, piece, pure=False): piece for piece in left}
    what = f"{len(left)} pieces on {type(client).__name__}"
    for future in progress(distributed.as_completed(list(futures)), what, total=len(left)):
        yield futures[future], future.result()
