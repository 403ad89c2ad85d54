"""Saying how far a long job is: a bar where someone looks, lines in a log elsewhere, silence in tests."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 10.0
SECONDS_WORTH_A_LINE = 2.0


def progress(iterable: Iterable[Item], text: str, total: int | None = None) -> Iterator[Item]:
    """Walk ``iterable`` and show how far it is.

    A tqdm bar on a terminal or in a notebook, lines of the logger ``neurodecode`` elsewhere (one every ten
    seconds, and one at the end of what took two seconds or more), nothing while pytest runs. Leaving early, also by
    Ctrl-C, closes the bar.

    Parameters
    ----------
    iterable : what is walked.
    text : what is being done, such as ``"fitting 40,000 voxels"``.
    total : number of steps where ``iterable`` has no length.

    Examples
    --------
    >>> [step for step in progress(range(3), "counting")]
    [0, 1, 2]
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    if "PYTEST_CURRENT_TEST" in os.environ:
        return iter(iterable)
    if _notebook():
        from tqdm.notebook import tqdm

        return iter(tqdm(iterable, desc=text, total=total))
    if sys.stderr is not None and sys.stderr.isatty():
        from tqdm import tqdm

        return iter(tqdm(iterable, desc=text, total=total, dynamic_ncols=True))
    return _lines(iterable, text, total)


def _notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


def _lines(iterable: Iterable[Item], text: str, total: int | None) -> Iterator[Item]:
    log = logging.getLogger("neurodecode")
    of = "" if total is None else f" of {total}"
    start = last = time.monotonic()
    done = 0
    for item in iterable:
        yield item
        done += 1
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            log.info("%s: %d%s, %.0f s", text, done, of, now - start)
    took = time.monotonic() - start
    if took >= SECONDS_WORTH_A_LINE:
        log.info("%s: done, %d%s, %.1f s", text, done, of, took)
