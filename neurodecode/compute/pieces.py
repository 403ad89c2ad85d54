"""A batch in pieces where the whole does not fit into memory: the same step, the same rows, by less at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..exceptions import CapacityError, NeurodecodeWarning

Found = TypeVar("Found")


@dataclass(frozen=True)
class Piece:
    """Some rows of a batch: what the loss is called with, its share of the loss of the whole, and which rows of it."""

    batch: Any
    share: float
    rows: slice
    whole: int


_now: ContextVar[Piece | None] = ContextVar("piece", default=None)


class Dropout(nn.Dropout):
    """Dropout that sets the same numbers to 0 whether a batch comes whole or in pieces.

    In pieces, the mask of the whole batch is drawn from the same state for each piece, which takes its rows.
    """

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (rows or a multiple of them, ...)."""
        piece = _now.get()
        if piece is None or not self.training or self.p == 0:
            return super().forward(input)
        rows, per = piece.rows, len(input) // (piece.rows.stop - piece.rows.start)
        whole = torch.ones(piece.whole * per, *input.shape[1:], dtype=input.dtype, device=input.device)
        return input * F.dropout(whole, self.p, True)[rows.start * per : rows.stop * per]


class Gradients:
    """Gradients of the loss of a batch, in halves, quarters and so on where the device runs out of memory.

    Parameters
    ----------
    loss_of : what a batch or a piece is called with -> scalar loss.
    cut : (batch, most rows) -> pieces whose losses, weighed by their shares, add up to that of the batch; None: a batch
        cannot be cut.
    rows : at most so many at once; 0: whole batches.
    """

    def __init__(
        self,
        module: nn.Module,
        loss_of: Callable[[Any], Tensor],
        cut: Callable[[Any, int], list[Piece]] | None,
        rows: int = 0,
    ) -> None:
        self.module, self.loss_of, self.cut, self.rows = module, loss_of, cut, rows

    def add(self, batch: Any) -> float:
        """Put the gradients of ``batch`` into the parameters and give its loss."""
        state = _chance(self.module)
        while True:
            failed: str | None = None
            try:
                return self._add(batch, state)
            except torch.OutOfMemoryError as error:
                failed = str(error)  # what the step held is let go with its traceback
            self._halve(batch, failed)
            self.module.zero_grad(set_to_none=True)
            _set_chance(self.module, state)

    def _add(self, batch: Any, state: dict[str, Tensor]) -> float:
        if not self.rows or self.cut is None:
            loss = self.loss_of(batch)
            loss.backward()
            return float(loss.detach())
        total = 0.0
        for piece in self.cut(batch, self.rows):
            _set_chance(self.module, state)
            with _as(piece):
                loss = self.loss_of(piece.batch) * piece.share
            loss.backward()
            total += float(loss.detach())
        return total

    def _halve(self, batch: Any, failed: str) -> None:
        device = next(self.module.parameters()).device
        whole = self.cut(batch, 1)[0].whole if self.cut is not None else 1
        before = min(self.rows or whole, whole)
        if self.cut is None or before <= 1:
            raise CapacityError(
                f"a training step with one sample alone does not fit into the memory of {device} ({failed}). Give "
                "fewer or smaller tokens, fewer queries (by=), a smaller width, fewer units at a time, or a device "
                "with more memory: device='cpu' computes the same."
            )
        self.rows = before // 2
        if device.type == "cuda":
            torch.cuda.empty_cache()
        warnings.warn(
            f"{device} ran out of memory with {before} samples of a step; going on with {self.rows} at a time, "
            f"whose gradients are added up: the step is still one over {whole}.",
            NeurodecodeWarning,
            stacklevel=5,
        )


def in_pieces(run: Callable[[slice], Found], n: int, size: int, device: torch.device) -> list[Found]:
    """``run`` on slices of at most ``size`` of ``n`` rows, in smaller ones after the device ran out of memory.

    Examples
    --------
    >>> in_pieces(lambda rows: rows.stop - rows.start, 5, 2, torch.device("cpu"))
    [2, 2, 1]
    """
    found: list[Found] = []
    start, first = 0, size
    while start < n:
        rows = slice(start, min(start + size, n))
        try:
            found.append(run(rows))
        except torch.OutOfMemoryError as error:
            size = (rows.stop - start) // 2
            if not size:
                raise CapacityError(
                    f"one sample alone does not fit into the memory of {device} ({error}); use a device with more "
                    "memory: device='cpu' computes the same."
                ) from error
        else:
            start = rows.stop
    if size < first and size < n:
        warnings.warn(
            f"{device} ran out of memory with {min(first, n)} samples at once; went on with {size}: the numbers are "
            "the same.",
            NeurodecodeWarning,
            stacklevel=4,
        )
    return found


@contextmanager
def _as(piece: Piece) -> Iterator[None]:
    token = _now.set(piece)
    try:
        yield
    finally:
        _now.reset(token)


def _chance(module: nn.Module) -> dict[str, Tensor]:
    """Where the draws stand, of the CPU and of the module's device."""
    state = {"cpu": torch.get_rng_state()}
    device = next(module.parameters()).device
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _set_chance(module: nn.Module, state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], next(module.parameters()).device)
