"""Where pieces run: in this process, or on the workers of a ``dask.distributed`` client, with the same numbers."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from .._optional import require
from ..compute.progress import progress
from ..exceptions import ClusterError, DegenerateDataError
from .blocks import Piece, Problem, run
from .result import versions
from .resume import BlockStore
from .scores import SCORES

log = logging.getLogger("neurodecode")
THREADS = "NEURODECODE_THREADS"
# Warning filters, thread pools and what folds share belong to a process, so a process does one piece at a time.
ONE_AT_A_TIME = threading.Lock()
CLIENT: ContextVar[Any] = ContextVar("neurodecode_client", default=None)


@contextmanager
def on_cluster(address: str, module: ModuleType | None = None) -> Iterator[Any]:
    """Within the block, every ``cross_validate`` without a client of its own runs on the workers of a scheduler.

    Parameters
    ----------
    address : of a running ``dask.distributed`` scheduler, ``tcp://host:8786``.
    module : one that only this machine has; estimators and scores that it defines travel with their code.

    Raises
    ------
    ClusterError : no scheduler answers there.
    """
    distributed = require("distributed", extra="distributed", purpose="running on a cluster")
    try:
        client = distributed.Client(address, timeout=30)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no scheduler answers at {address!r} ({error}); start one with `dask scheduler` and give its address"
        ) from error
    import cloudpickle

    before = CLIENT.set(client)
    if module is not None:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield client
    finally:
        CLIENT.reset(before)
        if module is not None:
            cloudpickle.unregister_pickle_by_value(module)
        client.close()


def work(
    problem: Problem, todo: list[Piece], job: dict[str, Any], store: str | Path | None, client: Any
) -> tuple[dict[str, dict[str, Any]], int]:
    """Every piece, from the store where it is finished, computed and stored otherwise.

    Returns
    -------
    What each piece found, by name, and how many of them were in the store.

    Raises
    ------
    ClusterError : the client has no workers, lost its scheduler, or workers died again and again.
    Whatever an estimator raises, with a note that says in which fold or permutations.
    """
    client = CLIENT.get() if client is None else client
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
    if client is None or not left:
        computed = _here(problem, left)
    else:
        computed = _there(problem, left, client, keeper is not None)
    with closing(computed):
        for piece, outcome in computed:
            if keeper is not None:
                keeper.save(piece.name, outcome)
            found[piece.name] = outcome
    if len(found) != len(todo):
        raise DegenerateDataError(f"{len(found)} of {len(todo)} pieces came back; repeat the call to finish the others")
    if keeper is not None:
        log.info("%d of %d pieces are finished", len(found), len(todo))
    return found, resumed


def place_in_words(problem: Problem, piece: Piece) -> str:
    """Which fold or permutations a piece is, and of which targets, for an error message."""
    what = "permutations" if piece.fold is None else f"fold {problem.folds[piece.fold].name!r}"
    last = min(piece.targets.stop, problem.data.truth.shape[1]) - 1
    return f"{what} of targets {piece.targets.start} to {last} (piece {piece.name})"


def _here(problem: Problem, left: list[Piece]) -> Generator[tuple[Piece, dict[str, Any]]]:
    count = problem.data.truth.shape[1]
    what = f"fitting {count:,} target{'s' if count != 1 else ''}, {len(problem.folds)} folds"
    for piece in progress(left, what, total=len(left)):
        try:
            outcome = run(problem, piece)
        except Exception as error:
            error.add_note(f"This happened in {place_in_words(problem, piece)}.")
            raise
        yield piece, outcome


def _there(problem: Problem, left: list[Piece], client: Any, stored: bool) -> Generator[tuple[Piece, dict[str, Any]]]:
    import cloudpickle

    from .remote import Remote

    code = None
    if cloudpickle.list_registry_pickle_by_value():
        # What another machine cannot import goes as its code; the data go as they are.
        code = cloudpickle.dumps((problem.est, problem.score))
        problem = replace(problem, est=None, score=SCORES["r"])
    remote = Remote(client, stored=stored)
    words = [place_in_words(problem, piece) for piece in left]
    computed = remote.results(run_piece, (problem, left, versions(), code), words)
    with closing(computed):
        for place, outcome in progress(computed, f"pieces on {type(client).__name__}", total=len(left)):
            yield left[place], outcome


def run_piece(package: tuple[Problem, list[Piece], dict[str, str], bytes | None], place: int) -> dict[str, Any]:
    """One piece, on a worker: on one thread, and with a note where the worker's packages are others."""
    problem, todo, theirs, code = package
    told = version_notes(theirs)
    if code is not None:
        import cloudpickle

        est, score = cloudpickle.loads(code)
        problem = replace(problem, est=est, score=score)
    # A score that came by wire equals its row of the table; what is faster for known scores asks for the row itself.
    known = SCORES.get(problem.score.name)
    if known == problem.score and known is not None:
        problem = replace(problem, score=known)
    with quiet_process():
        found = run(problem, todo[place])
    return {**found, "notes": [*found["notes"], *told]}


@contextmanager
def quiet_process() -> Iterator[None]:
    """One piece at a time in this process, on one thread or as many as ``NEURODECODE_THREADS`` says."""
    from ..compute.device import threads

    said = os.environ.get(THREADS, "1")
    if not said.isdecimal() or int(said) < 1:
        raise ValueError(f"{THREADS}={said!r} on a worker: expected a number of threads from 1")
    with ONE_AT_A_TIME, threads(int(said)):
        yield


def version_notes(theirs: dict[str, str]) -> list[str]:
    """What to say when this worker and the machine that sent the work do not have the same packages.

    Parameters
    ----------
    theirs : versions by package of the sender, as ``result.versions`` gives them.

    Raises
    ------
    ClusterError : another neurodecode, whose pieces need not mean the same.

    Examples
    --------
    >>> version_notes(versions())
    []
    >>> version_notes({**versions(), "numpy": "1.0"})[0].split(", and ")[1]
    'the work was sent from 1.0: last digits may be others'
    """
    mine = versions()
    if mine["neurodecode"] != theirs["neurodecode"]:
        raise ClusterError(
            f"a worker has neurodecode {mine['neurodecode']}, and the work comes from {theirs['neurodecode']}; "
            "install the same on all machines"
        )
    return [
        f"a worker has {name} {mine.get(name, 'none')}, and the work was sent from {version}: last digits may be others"
        for name, version in theirs.items()
        if mine.get(name) != version
    ]
