"""Two ways to the same numbers, run in turn in one process."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Found:
    """Answers of both, median seconds of both, and the median ratio of neighbouring runs."""

    ours: Any
    theirs: Any
    ours_s: float
    theirs_s: float
    ratio: float


def side_by_side(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int = 5, warm: bool = True) -> Found:
    """Run both ``rounds`` times in turn; ours runs once before, so that loading libraries is not counted."""
    if warm:
        ours()
    mine, other = [], []
    answers: tuple[Any, Any] = (None, None)
    for _ in range(rounds):
        start = time.perf_counter()
        first = ours()
        middle = time.perf_counter()
        second = theirs()
        end = time.perf_counter()
        answers = (first, second)
        mine.append(middle - start)
        other.append(end - middle)
    ratio = statistics.median(b / a for a, b in zip(mine, other))
    return Found(*answers, statistics.median(mine), statistics.median(other), ratio)


def report(job: str, peer: str, found: Found, ask: float, also: str = "") -> None:
    """One line: what, how long, how many times faster, what was asked for."""
    verdict = "holds" if found.ratio >= ask else "missed"
    cores = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    print(
        f"{job}: neurodecode {found.ours_s:.3f} s, {peer} {found.theirs_s:.3f} s, ratio {found.ratio:.1f} "
        f"(asked {ask:g}: {verdict}); {also}; {cores}",
        flush=True,
    )
