"""How much memory a ridge fit will take, said before it takes any."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real

from ..compute.linalg import PIECE, choose_solver
from ..compute.ridge_path import CACHE, ROOM, STACK, fused
from ..exceptions import CapacityError

BLOCKS = (1024, 512, 256, 128, 64, 32, 16, 8)
SLACK = 24 << 20  # buffers that the matrix library keeps
HELD_BACK = 128 << 20  # small freed blocks go back to the system late: up to half of what a step uses, and up to this
UNITS = {"": 1, "B": 1} | {
    name + end: base**power
    for power, name in enumerate("KMGT", 1)
    for end, base in (("", 1000), ("B", 1000), ("iB", 1024))
}


@dataclass(frozen=True)
class Job:
    """The sizes of a ridge fit.

    ``n`` samples, ``p`` features, ``t`` targets, ``penalties``, ``folds`` as (train, test) numbers of rows,
    ``itemsize`` bytes a number, ``solver``, whether the features had to be ``converted`` to another dtype, ``weights``:
    where the result is kept (``"memory"``, ``"dual"`` or ``"disk"``), ``chunk``: targets that lie together where the
    targets are not in memory (0: they are).
    """

    n: int
    p: int
    t: int
    penalties: int
    folds: tuple[tuple[int, int], ...]
    itemsize: int
    solver: str
    converted: bool = False
    weights: str = "memory"
    chunk: int = 0

    def factor_bytes(self, n: int) -> int:
        """Peak while ``n`` centred rows are factorised: a float64 copy, the factors, and what LAPACK asks for."""
        r = min(n, self.p)
        if choose_solver(n, self.p, self.solver) == "primal":
            return 8 * (2 * n * self.p + 2 * r * (n + self.p) + 6 * r * r)
        copy = 0 if self.itemsize == 8 else 2 * max(64 * n, PIECE)
        return 8 * (6 * n * n + copy)

    def step_bytes(self, train: int, test: int, room: int) -> int:
        """The stacked prediction matrices that one fold keeps, at most."""
        r = min(train, self.p)
        k, most = min(test, r), 0
        for q in range(1, self.penalties + 1):
            entries = q * k * (train if fused(train, k, r, q, self.t) else r)
            most = max(most, entries if entries <= room else 0)
        return self.itemsize * most

    def fold_bytes(self, train: int, test: int, room: int) -> int:
        """What one factorised fold keeps."""
        r = min(train, self.p)
        turned = test * r if r < test else 0
        small = self.itemsize * (r * train + r * min(test, r) + turned + r * self.penalties)
        return small + self.step_bytes(train, test, room)

    def result_bytes(self) -> int:
        """Weights, intercepts, penalties, and the table of scores that chooses the penalties."""
        table = 2 * self.penalties if self.folds else 0
        weights = {"memory": self.p, "dual": self.n, "disk": 0}[self.weights]
        return self.t * (self.itemsize * (weights + table + 2) + 24)

    def reading_bytes(self, block: int) -> int:
        """What reading targets from disk takes: the columns read at once, as they lie and as they are used."""
        return 0 if not self.chunk else 3 * self.n * max(self.chunk, block) * max(self.itemsize, 8)

    def search_bytes(self, held: int, room: int, block: int) -> int:
        """Peak of the penalty search with ``held`` factorised folds at once and blocks of ``block`` targets."""
        if not self.folds:
            return 0
        train, test = max(row[0] for row in self.folds), max(row[1] for row in self.folds)
        r = min(train, self.p)
        keep = held * max(self.fold_bytes(*row, room) for row in self.folds)
        if choose_solver(train, self.p, self.solver) == "dual":
            keep += (8 + self.itemsize) * self.n * self.n
            rows = 8 * (train * self.n + 3 * test * train)
        else:
            keep += self.itemsize * min(self.n, self.p) * (self.n + self.p)
            rows = self.itemsize * self.p * (train + test) + 16 * (test + self.p) * r
        making = rows + self.factor_bytes(train) + (24 * test * r if r < test else 0)
        k = min(test, r)
        most = max(self.step_bytes(*row, room) for row in self.folds)
        wide = k * (2 * self.penalties + 1)
        stack = max(min(CACHE, block * wide), 64 * wide) if most else max(STACK, k * max(r, block))
        sweep = self.itemsize * (block * (2 * self.n + 2 * train + 4 * test + 2 * r + 3 * self.penalties) + 2 * stack)
        if test == 1:  # leaving one sample out in closed form walks all samples at once
            sweep = max(sweep, self.itemsize * block * 8 * self.n)
        return keep + max(making + most, sweep)

    def fit_bytes(self, block: int) -> int:
        """Peak of the last fit, on all samples."""
        r = min(self.n, self.p)
        dual = choose_solver(self.n, self.p, self.solver) == "dual"
        lead = self.p * r if dual and self.t > self.p else 0
        keep = self.itemsize * (r * (self.n + self.p) + lead) + (8 * self.n * self.n if dual else 0)
        sweep = block * (self.itemsize * (3 * self.n + 3 * r + 3 * self.p) + 16 * r)
        return max(self.factor_bytes(self.n) + (8 * self.n * self.n if dual else 0), keep + sweep)

    def peak(self, held: int, block: int, room: int = ROOM) -> int:
        """Bytes beyond the arrays that were handed in."""
        block = min(block, max(self.t, 1))
        copies = self.n * self.p * self.itemsize * (2 if self.converted else 1)
        steps = max(self.search_bytes(held, room, block), self.fit_bytes(block)) + self.reading_bytes(block)
        return SLACK + copies + self.result_bytes() + steps + min(steps // 2, HELD_BACK)


@dataclass(frozen=True)
class Plan:
    """Targets a block, factorised folds held at once, the predicted peak in bytes, entries of steps a fold keeps."""

    block: int
    held: int
    peak: int
    room: int = ROOM


def plan(job: Job, max_memory: float | str | None = None) -> Plan:
    """The fastest way to run ``job`` whose predicted peak stays under ``max_memory`` bytes.

    Parameters
    ----------
    job : its sizes.
    max_memory : bytes that the fit may take beyond the arrays handed in, a number or text (``"4 GiB"``); None: the
        memory of this machine.

    Raises
    ------
    CapacityError : no way does; the message gives the numbers.

    Examples
    --------
    >>> job = Job(n=100, p=50, t=10_000, penalties=10, folds=((80, 20),) * 5, itemsize=8, solver="auto")
    >>> plan(job).block
    1024
    """
    limit = allowed(max_memory)
    folds = max(len(job.folds), 1)
    held = sorted({max(1, folds // parts) for parts in (1, 2, 4, 8, 16, folds)}, reverse=True)
    for count in held:
        last = count == held[-1]
        for room in (ROOM, 0) if last else (ROOM,):
            smallest = min(BLOCKS) if last and not room else 64
            for block in BLOCKS:
                if block >= smallest and job.peak(count, block, room) <= limit:
                    return Plan(block, count, job.peak(count, block, room), room)
    least = job.peak(held[-1], min(BLOCKS), 0)
    kept = {"memory": "coefficients", "dual": "dual weights", "disk": "scores of the penalties"}[job.weights]
    size = {"memory": job.p * job.itemsize, "dual": job.n * job.itemsize, "disk": job.result_bytes() / job.t}
    advice = ", keep the weights on disk (fit(X, y, weights=FOLDER))" if job.weights != "disk" else ""
    raise CapacityError(
        f"Ridge on {job.n:,} samples x {job.p:,} features and {job.t:,} targets ({8 * job.itemsize}-bit) needs at "
        f"least {said(least)} beyond its inputs, in blocks of {min(BLOCKS)} targets; "
        f"{'this machine has' if max_memory is None else 'max_memory is'} {said(limit)}. "
        f"The {kept} alone take {said(job.t * size[job.weights])}, one factorisation of the features "
        f"{said(job.factor_bytes(job.n))}. Raise max_memory, fit fewer targets at a time{advice}"
        f"{', pass float32 arrays' if job.itemsize > 4 else ''}, or reduce the features."
    )


def largest_block(
    peak: Callable[[int], float], blocks: Sequence[int], max_memory: float | str | None, what: str, advice: str
) -> tuple[int, int]:
    """The first of ``blocks`` (falling numbers of targets) whose predicted ``peak`` is allowed, and that peak in bytes.

    Raises
    ------
    CapacityError : none is; the message says that ``what`` needs more, and ends in ``advice``.

    Examples
    --------
    >>> largest_block(lambda block: 100 * block, [1000, 100, 10], "20 kB", "This fit", "reduce the features")
    (100, 10000)
    """
    limit = allowed(max_memory)
    for block in blocks:
        if peak(block) <= limit:
            return block, int(peak(block))
    raise CapacityError(
        f"{what} needs at least {said(peak(blocks[-1]))} beyond its inputs; "
        f"{'this machine has' if max_memory is None else 'max_memory is'} {said(limit)}. "
        f"Raise max_memory, fit fewer targets at a time, {advice}."
    )


def steps_and_what_lingers(steps: float) -> float:
    """Bytes of the steps of a fit, with the buffers of the libraries and with what is given back to the system late."""
    return SLACK + steps + min(steps / 2, HELD_BACK)


def allowed(max_memory: float | str | None) -> float:
    """Bytes from a number, from text such as ``"500 MB"`` or ``"4GiB"``, or from the machine (None).

    Examples
    --------
    >>> allowed(1e9), allowed("1GB"), allowed("4 GiB")
    (1000000000.0, 1000000000.0, 4294967296.0)
    """
    if max_memory is None:
        return machine_memory()
    found = float("nan")
    if isinstance(max_memory, str):
        parts = re.fullmatch(r"\s*([\d.]+(?:e\d+)?)\s*([A-Za-z]*)\s*", max_memory)
        units = {name.lower(): size for name, size in UNITS.items()}
        if parts and parts[2].lower() in units and parts[1].count(".") < 2 and parts[1] != ".":
            found = float(parts[1]) * units[parts[2].lower()]
    elif isinstance(max_memory, Real):
        found = float(max_memory)
    if not found > 0:
        raise ValueError(
            f"max_memory={max_memory!r}: expected a number of bytes above 0, text such as '4 GiB' or '500 MB', or None."
        )
    return found


def said(size: float) -> str:
    """A number of bytes as people write it.

    Examples
    --------
    >>> said(3 * 2**30), said(2.5 * 2**20)
    ('3.0 GiB', '2.5 MiB')
    """
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"


def machine_memory() -> float:
    """Physical memory in bytes; infinity where the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return float("inf")
