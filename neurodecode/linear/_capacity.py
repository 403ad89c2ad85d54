"""How much memory a ridge fit will take, said before it takes any."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..compute.linalg import STACK, choose_solver
from ..exceptions import CapacityError

BLOCKS = (1024, 512, 256, 128, 64, 32, 16, 8)
SLACK = 24 << 20  # buffers that the matrix library keeps
HELD_BACK = 128 << 20  # small freed blocks go back to the system late: up to half of what a step uses, and up to this


@dataclass(frozen=True)
class Job:
    """The sizes of a ridge fit.

    ``n`` samples, ``p`` features, ``t`` targets, ``penalties``, ``folds`` as (train, test) numbers of rows,
    ``itemsize`` bytes a number, ``solver``, and whether the features had to be ``converted`` to another dtype.
    """

    n: int
    p: int
    t: int
    penalties: int
    folds: tuple[tuple[int, int], ...]
    itemsize: int
    solver: str
    converted: bool = False

    def factor_bytes(self, n: int) -> int:
        """Peak while ``n`` centred rows are factorised: a float64 copy, the factors, and what LAPACK asks for."""
        r = min(n, self.p)
        if choose_solver(n, self.p, self.solver) == "primal":
            return 8 * (2 * n * self.p + 2 * r * (n + self.p) + 6 * r * r)
        copy = 0 if self.itemsize == 8 else 2 * max(64 * n, STACK)
        return 8 * (6 * n * n + copy)

    def fold_bytes(self, train: int, test: int) -> int:
        """What one factorised fold keeps."""
        r = min(train, self.p)
        turned = test * r if r < test else 0
        return self.itemsize * (r * train + r * min(test, r) + turned + r * self.penalties)

    def result_bytes(self) -> int:
        """Coefficients, intercepts, penalties, and the table of scores that chooses the penalties."""
        table = 2 * self.penalties if self.folds else 0
        return self.t * (self.itemsize * (self.p + table + 2) + 24)

    def search_bytes(self, held: int, block: int) -> int:
        """Peak of the penalty search with ``held`` factorised folds at once and blocks of ``block`` targets."""
        if not self.folds:
            return 0
        train, test = max(row[0] for row in self.folds), max(row[1] for row in self.folds)
        r = min(train, self.p)
        keep = held * max(self.fold_bytes(*row) for row in self.folds)
        kernel = test * train if choose_solver(train, self.p, self.solver) == "dual" else 0
        rows = self.itemsize * (self.p * (train + test) + test * r + kernel)
        making = rows + self.factor_bytes(train) + (24 * test * r if r < test else 0)
        stack = max(STACK, min(test, r) * max(r, block))
        sweep = self.itemsize * (block * (2 * self.n + train + 4 * test + r + 3 * self.penalties) + 2 * stack)
        if test == 1:  # leaving one sample out in closed form walks all samples at once
            sweep = max(sweep, self.itemsize * block * 8 * self.n)
        return keep + max(making, sweep)

    def fit_bytes(self, block: int) -> int:
        """Peak of the last fit, on all samples."""
        r = min(self.n, self.p)
        keep = self.itemsize * r * (self.n + self.p)
        sweep = block * (self.itemsize * (3 * self.n + 3 * r + 2 * self.p) + 16 * r)
        return max(self.factor_bytes(self.n), keep + sweep)

    def peak(self, held: int, block: int) -> int:
        """Bytes beyond the arrays that were handed in."""
        block = min(block, max(self.t, 1))
        copies = self.n * self.p * self.itemsize * (2 if self.converted else 1)
        steps = max(self.search_bytes(held, block), self.fit_bytes(block))
        return SLACK + copies + self.result_bytes() + steps + min(steps // 2, HELD_BACK)


@dataclass(frozen=True)
class Plan:
    """Targets a block, factorised folds held at once, and the predicted peak in bytes."""

    block: int
    held: int
    peak: int


def plan(job: Job, max_memory: float | None = None) -> Plan:
    """The fastest way to run ``job`` whose predicted peak stays under ``max_memory`` bytes.

    Parameters
    ----------
    job : its sizes.
    max_memory : bytes that the fit may take beyond the arrays handed in; None: the memory of this machine.

    Raises
    ------
    CapacityError : no way does; the message gives the numbers.

    Examples
    --------
    >>> job = Job(n=100, p=50, t=10_000, penalties=10, folds=((80, 20),) * 5, itemsize=8, solver="auto")
    >>> plan(job).block
    1024
    """
    limit = machine_memory() if max_memory is None else float(max_memory)
    if not limit > 0:
        raise ValueError(f"max_memory={max_memory!r}: expected a number of bytes above 0, or None.")
    folds = max(len(job.folds), 1)
    held = sorted({max(1, folds // parts) for parts in (1, 2, 4, 8, 16, folds)}, reverse=True)
    for count in held:
        smallest = 64 if count > held[-1] else min(BLOCKS)
        for block in BLOCKS:
            if block >= smallest and job.peak(count, block) <= limit:
                return Plan(block, count, job.peak(count, block))
    least = job.peak(held[-1], min(BLOCKS))
    raise CapacityError(
        f"Ridge on {job.n:,} samples x {job.p:,} features and {job.t:,} targets ({8 * job.itemsize}-bit) needs at "
        f"least {said(least)} beyond its inputs, in blocks of {min(BLOCKS)} targets; "
        f"{'this machine has' if max_memory is None else 'max_memory is'} {said(limit)}. "
        f"The coefficients alone take {said(job.p * job.t * job.itemsize)}, one factorisation of the features "
        f"{said(job.factor_bytes(job.n))}. Raise max_memory, fit fewer targets at a time"
        f"{', pass float32 arrays' if job.itemsize > 4 else ''}, or reduce the features."
    )


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
