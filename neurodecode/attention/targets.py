"""Targets at the door of an encoder: what was measured, what varies, and the scale on which units are fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..compute.batching import batches
from ..compute.scores import pearson
from ..exceptions import AlignmentError
from ..linear import _inputs
from ..representation import check_finite, plain
from .tokens import ROWS_READ, UNITS_SCALED


def read_targets(values: Any, Y: Any, seen: Any) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Values (samples, units), 0 where nothing was measured; what was measured, or None: all; units that may be fitted.

    ``values`` are those of ``Y``, which may be labelled.
    """
    y = np.asarray(values)
    y = (y[:, None] if y.ndim == 1 else y).astype(_inputs.working_dtype(y), copy=True)
    masked = _inputs.masked(Y, y.shape[1])
    measured = None
    if seen is not None:
        measured = np.asarray(plain(seen), dtype=bool)
        if measured.shape != y.shape:
            raise AlignmentError(f"seen has the shape {measured.shape}, the targets {y.shape}")
        y[~measured] = 0
    y[:, masked] = 0
    if not _inputs.is_finite(y):
        check_finite(Y if isinstance(Y, xr.DataArray) and seen is None else y, "Y")
    return y, measured, ~masked


def learn_scale(
    y: np.ndarray, measured: np.ndarray | None, train: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (NaN where never measured), scale (1 where constant) and whether it is constant, of each unit in training.

    ``y`` (samples, units); ``measured`` boolean, in the same shape, or None; ``train`` the rows that are learnt from.
    """
    means, spread = np.empty(y.shape[1]), np.empty(y.shape[1])
    flat = np.empty(y.shape[1], dtype=bool)
    for some in batches(y.shape[1], UNITS_SCALED):
        part = y[train, some].astype(np.float64)
        if measured is None:
            means[some], spread[some] = part.mean(0), part.std(0)
            flat[some] = part.max(0) == part.min(0)
            continue
        there = measured[train, some]
        count = there.sum(0)
        mean = part.sum(0) / np.maximum(count, 1)
        spread[some] = np.sqrt((there * (part - mean) ** 2).sum(0) / np.maximum(count, 1))
        flat[some] = (count < 2) | (spread[some] <= 1e-12 * np.abs(mean))
        means[some] = np.where(count == 0, np.nan, mean)
    flat |= spread == 0
    return means, np.where(flat, 1.0, spread), flat


def standardised(
    y: np.ndarray, measured: np.ndarray | None, mean: np.ndarray, scale: np.ndarray, order: np.ndarray
) -> tuple[Tensor, Tensor | None]:
    """Targets on the scale of the fit (samples, units in ``order``), and 1 where they were measured, else 0."""
    goal = torch.empty(len(y), len(order), dtype=torch.float32)
    for some in batches(len(y), ROWS_READ):
        goal[some] = torch.from_numpy(((y[some] - mean) / scale)[:, order].astype(np.float32))
    if measured is None:
        return goal, None
    weight = torch.from_numpy(measured[:, order].astype(np.float32))
    return torch.where(weight > 0, goal, 0.0), weight


def correlation(truth: np.ndarray, found: np.ndarray, present: np.ndarray | None) -> np.ndarray:
    """Pearson correlation of every unit over the samples that are there; NaN where it is not defined."""
    if present is None:
        return pearson(truth, found)
    each = np.full(truth.shape[1], np.nan)
    kinds, which = np.unique(present, axis=1, return_inverse=True)  # units of one person were measured together
    for number, rows in enumerate(kinds.T):
        units = np.flatnonzero(which.ravel() == number)
        if rows.sum() > 1:
            each[units] = pearson(truth[np.ix_(rows, units)], found[np.ix_(rows, units)])
    return each
