"""Targets read a block of columns at a time, from memory, a memory map, or a store that is never loaded whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ..compute.batching import batches
from ..exceptions import DegenerateDataError
from ..representation import check_finite
from . import _inputs


class Targets:
    """Blocks of ``size`` targets as tensors, checked on the way; ``constant`` is known after one pass.

    ``values`` (samples, targets); ``y`` what the user gave, for its labels; ``read`` columns are read at once, a
    multiple of what lies together in a store.
    """

    def __init__(self, values: Any, y: Any, dtype: np.dtype, device: torch.device, size: int, read: int = 0):
        size = size // read * read if 0 < read < size else size  # so that no chunk of a store is read twice
        self.values, self.y, self.dtype, self.device, self.size = values, y, dtype, device, size
        self.read = max(size, read // size * size)
        self.constant = np.zeros(values.shape[1], dtype=bool)
        self.masked = _inputs.masked(y, values.shape[1])
        self.variance = np.zeros(values.shape[1])

    def __iter__(self) -> Iterator[tuple[slice, torch.Tensor]]:
        for wide in batches(self.values.shape[1], self.read):
            piece = _inputs.read_columns(self.values, wide, self.dtype)
            piece[:, self.masked[wide]] = 0
            if not _inputs.is_finite(piece):
                self._refuse(piece, wide)
            self.constant[wide] = _inputs.constant(piece)
            for part in batches(piece.shape[1], self.size):
                columns = slice(wide.start + part.start, wide.start + part.stop)
                block = piece if part.stop - part.start == piece.shape[1] else np.ascontiguousarray(piece[:, part])
                yield columns, torch.from_numpy(block).to(self.device)

    def _refuse(self, piece: np.ndarray, columns: slice) -> None:
        """Raise if a value is not finite; a large finite one whose sum overflows is let pass."""
        if isinstance(self.values, np.ndarray):
            check_finite(self.y, "y")
            return
        bad = np.argwhere(~np.isfinite(piece))
        if len(bad):
            row = _inputs.name(self.y, "sample", int(bad[0, 0]))
            column = _inputs.name(self.y, "unit", columns.start + int(bad[0, 1]))
            raise DegenerateDataError(
                f"y: {len(bad)} values that are NaN or infinite in targets {columns.start} to {columns.stop - 1}, "
                f"first in target {column}, sample {row}. Remove those samples or targets."
            )

    def prepare(self, columns: slice, y: torch.Tensor, centre: bool) -> None:
        """Centre a block in place, if asked, and keep the variance of its targets."""
        mean = y.mean(0)
        if centre:
            y -= mean
            mean.zero_()
        spread = torch.linalg.vector_norm(y, dim=0).square() / len(y) - mean.square()
        self.variance[columns] = spread.clamp_min_(0).cpu().numpy()
