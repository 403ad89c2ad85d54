"""How much memory a fit will take, said before it takes any."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..exceptions import CapacityError
from ..linear._capacity import allowed, said
from .tokens import HELD, ROWS_READ, UNITS_SCALED, scaled_at_once

FLOAT = 4
COPIES = 8  # of the parameters: gradients, two moments, the best epoch, and what a step of the optimiser makes
AHEAD = 4  # batches of tokens at once: two that wait, one that is read, one that is used
SLACK = 64 << 20  # buffers that the matrix library and the threads keep


@dataclass(frozen=True)
class Fit:
    """The sizes of a fit.

    ``n`` samples, of which ``held_back`` choose the epoch; ``tokens`` and ``features`` of a sample, ``units``;
    ``parameters`` of the module; ``kept``: numbers that a step keeps of one sample; ``batch`` samples a step;
    ``itemsize`` of the targets; ``in_memory``: whether the tokens are.
    """

    n: int
    held_back: int
    tokens: int
    features: int
    units: int
    parameters: int
    kept: int
    batch: int
    itemsize: int
    in_memory: bool

    @property
    def held(self) -> int:
        """Bytes of a copy of all tokens on one scale, which is made where it is small."""
        size = FLOAT * self.n * self.tokens * self.features
        return size if self.in_memory and size <= HELD else 0

    def step(self, rows: int) -> int:
        """Bytes of a step that goes through ``rows`` samples at a time, or of predictions, which keep less."""
        return FLOAT * max(rows * self.kept, 3 * self.read(rows) * self.kept // 8)

    def read(self, rows: int) -> int:
        """Samples predicted at a time where a step goes through ``rows``."""
        return min(ROWS_READ, self.n, max(2 * rows, 1) if rows < self.batch else ROWS_READ)

    def here(self, hold: bool, rows: int) -> int:
        """Bytes beside the module and its steps: targets, tokens, batches, the held-back predictions."""
        targets = self.n * (self.units * (self.itemsize + FLOAT) + 24 * min(self.units, UNITS_SCALED))
        targets += 32 * min(self.n, ROWS_READ) * self.units
        one = self.tokens * self.features
        scale = 32 * scaled_at_once(one) * one
        read = 4 * FLOAT * (AHEAD * min(self.batch, self.n) + self.read(rows)) * one
        judged = 8 * 6 * self.held_back * self.units
        return SLACK + targets + max(scale, read) + (self.held if hold else 0) + judged

    def module(self, rows: int) -> int:
        """Bytes where the module is: parameters, what fitting them takes, and a step."""
        return COPIES * FLOAT * self.parameters + self.step(rows)

    def said(self) -> str:
        """The sizes as a message names them."""
        return (
            f"{self.n:,} samples x {self.tokens:,} tokens x {self.features:,} features and {self.units:,} units "
            f"({self.parameters:,} parameters, {self.batch} samples a step)"
        )


@dataclass(frozen=True)
class Plan:
    """Samples a step goes through at a time (0: whole batches), samples read at a time, whether tokens are copied once,
    and the peak in bytes."""

    rows: int
    read: int
    hold: bool
    peak: int


def plan(fit: Fit, max_memory: float | str | None, device: torch.device) -> Plan:
    """The fastest way to run ``fit`` that stays under ``max_memory``.

    Parameters
    ----------
    fit : its sizes.
    max_memory : bytes, a number or text (``"4 GiB"``), beyond the arrays that are handed in, where the module is; None:
        the memory of the machine, or of the device.

    Raises
    ------
    CapacityError : not even one sample at a time; the message gives the numbers.

    Examples
    --------
    >>> fit = Fit(n=1000, held_back=100, tokens=64, features=24, units=120, parameters=10_000, kept=5_000, batch=64,
    ...           itemsize=4, in_memory=True)
    >>> plan(fit, "1 GiB", torch.device("cpu")).rows
    0
    """
    machine = allowed(None)
    apart = device.type == "cuda"
    limit = allowed(max_memory)
    if apart and max_memory is None:
        limit = float(torch.cuda.get_device_properties(device).total_memory)
    rows = fit.batch
    while True:
        for hold in (True, False) if fit.held else (False,):
            there, here = fit.module(rows), fit.here(hold, rows)
            if (there <= limit and here <= machine) if apart else there + here <= limit:
                return Plan(rows if rows < fit.batch else 0, fit.read(rows), hold, there + here)
        if rows == 1:
            break
        rows //= 2
    owner = "max_memory is" if max_memory is not None else f"{device} has" if apart else "this machine has"
    owner += f" {said(limit)}" + (f", this machine has {said(machine)}" if apart else "")
    raise CapacityError(
        f"A fit to {fit.said()} needs at least {said(fit.module(1) + fit.here(False, 1))} beyond its inputs, with one "
        f"sample at a time; {owner}. The parameters and what fitting them takes are "
        f"{said(COPIES * FLOAT * fit.parameters)}, one sample in a step {said(FLOAT * fit.kept)}, targets and tokens "
        f"being read {said(fit.here(False, 1))}. Raise max_memory, fit fewer units at a time, ask with fewer queries "
        "(by=) or a smaller width, give fewer tokens, or a smaller batch_size."
    )
