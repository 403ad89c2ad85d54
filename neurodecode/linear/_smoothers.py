"""Predictions of a ridge with one penalty as products with the training targets, for many targets and several folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.base import clone

from ..compute import smoothing
from . import _inputs

if TYPE_CHECKING:
    from .ridge import Ridge

BYTES = 256 << 20  # what the matrices of all folds and the products of the features may take


@dataclass(frozen=True)
class Smoother:
    """``predict``: targets of the training samples -> predictions for the test samples.

    ``factors``: matrices whose product is (test samples, training samples). ``centre``: targets are centred. ``dtype``:
    of the features.
    """

    factors: tuple[np.ndarray, ...]
    centre: bool
    dtype: np.dtype

    def predict(self, y: np.ndarray) -> np.ndarray:
        """(training samples, targets) -> (test samples, targets): what ``fit`` and ``predict`` give, to rounding."""
        wanted = np.float32 if self.dtype == np.float32 and _inputs.working_dtype(y) == np.float32 else np.float64
        y = np.asarray(y, dtype=wanted)
        middle = np.zeros_like(y[0])
        if self.centre:
            middle = np.where(_inputs.constant(y), y[0], y.mean(axis=0, dtype=np.float64)).astype(wanted)
            y = y - middle
        for factor in reversed(self.factors):
            y = factor.astype(wanted, copy=False) @ y
        y += middle
        return y


def ridge_smoothers(ridge: Ridge, X: Any, folds: list[tuple[np.ndarray, np.ndarray]]) -> list[Smoother] | None:
    """See :meth:`Ridge.smoothers`; what ``fit`` warns of in the features of a training set is said here too."""
    from .ridge import _penalties, _warn_features

    alphas = _penalties(ridge.alphas)
    if len(alphas) > 1 or alphas[0] == 0 or ridge.device is not None or ridge.max_memory is not None:
        return None
    n, p = np.shape(X)
    if 8 * (min(n, p) ** 2 + sum(min(len(test) * n, p * (n + len(test))) for _, test in folds)) > BYTES:
        return None
    x = _inputs.features(clone(ridge), X)
    for train, _ in folds:
        _warn_features(x[train], X, ridge.fit_intercept)
    pairs = [(torch.from_numpy(np.asarray(train)), torch.from_numpy(np.asarray(test))) for train, test in folds]
    found = smoothing.ridge_smoothers(torch.from_numpy(x), float(alphas[0]), pairs, ridge.fit_intercept)
    if found is None:
        return None
    return [Smoother(tuple(one.numpy() for one in factors), ridge.fit_intercept, x.dtype) for factors in found]
