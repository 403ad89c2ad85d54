"""The engine of the geometric measures: one small matrix of inner products, and a number made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..compute.alignment import HELD
from ..compute.batching import batches
from .spaces import Space, pair_up


@dataclass(frozen=True)
class Cross:
    """``finish(left' right, order)``: what a measure of two spaces comes down to.

    ``left`` (n, k) and ``right`` (n, l) are the rows in the coordinates of the measure, or come into them by the
    matrices ``turn``. ``finish(m, order)`` makes the
    value (...,) of products m (..., k, l); ``order`` (..., n) says how the rows on the right were exchanged, None that
    they were not.
    """

    left: Tensor
    right: Tensor
    finish: Callable[[Tensor, Tensor | None], Tensor]
    turn: tuple[Tensor | None, Tensor | None] = (None, None)

    def value(self) -> float:
        """The measure of the rows as they stand."""
        product, (left, right) = self.left.T @ self.right, self.turn
        product = product if left is None else left.T @ product
        return float(self.finish(product if right is None else product @ right, None))

    def null(self, orders: np.ndarray) -> np.ndarray:
        """The measure with the rows on the right in each of the orders (draws, n): (draws,)."""
        left, right = (rows if turn is None else rows @ turn for rows, turn in zip((self.left, self.right), self.turn))
        n, width = right.shape
        size = max(1, HELD // (width * (n + left.shape[1])))
        places = torch.as_tensor(orders, device=right.device)
        found = [self.finish(left.T @ right[places[some]], places[some]) for some in batches(len(places), size)]
        return torch.cat(found).cpu().numpy()


def spaces(X: Any, Y: Any, device: Any = None) -> tuple[Space, Space]:
    """Both sides of a comparison, matched by label unless they are spaces already."""
    if isinstance(X, Space) and isinstance(Y, Space):
        return X, Y
    return pair_up(X, Y, device)
