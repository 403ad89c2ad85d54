r"""Ridge regression of many small problems at once: time points or spheres that share their targets.

Each problem is w = (X X' + a I)^-1 X y with its own centred features X (features x samples) and its own penalty for
every target, the one with the best R2 over inner folds (:mod:`neurodecode.compute.linalg` solves one large problem).
A stack of eigendecompositions, of X X' or of X' X by shape, serves all penalties and targets. Hastie, Tibshirani &
Friedman (2009), The Elements of Statistical Learning, sections 3.4.1 and 18.3.5. Solved in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Folds = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Ridges:
    """``coef`` (problems, targets, features), ``intercept`` (problems, targets), ``best`` (problems, targets):
    positions of the chosen penalties."""

    coef: Tensor
    intercept: Tensor
    best: Tensor


@dataclass(frozen=True)
class _Spectra:
    """Centred features of a stack in their own basis: values (b, r), left (b, n, r), and what leads to features."""

    values: Tensor
    left: Tensor
    lead: Tensor
    mean: Tensor


def fit(x: Tensor, y: Tensor, alphas: Tensor, folds: Folds, *, centre: bool = True, shared: bool = False) -> Ridges:
    """Ridge regression of every problem.

    Parameters
    ----------
    x : (problems, features, samples), float; not changed. y : (samples, targets).
    alphas : penalties, largest first, so that the first of equals is the larger one.
    folds : (train, test) positions that choose the penalty; none are needed for a single one.
    centre : fit an intercept. shared : one penalty for all targets of a problem.

    Returns
    -------
    Ridges, in the dtype of ``x``.

    Examples
    --------
    >>> x = torch.tensor([[[0.0, 1.0, 2.0, 3.0]]])
    >>> found = fit(x, torch.tensor([[1.0], [3.0], [5.0], [7.0]]), torch.tensor([0.0]), [])
    >>> round(float(found.coef), 5), round(float(found.intercept), 5)
    (2.0, 1.0)
    """
    wide, truth, alphas = x.double(), y.double(), alphas.double()
    if len(alphas) > 1:
        scores = torch.zeros((len(alphas), len(x), y.shape[1]), dtype=torch.float64)
        for train, test in folds:
            scores += _path(wide, truth, train, test, alphas, centre)
        scores /= len(folds)
        best = _choose(scores, truth, shared)
    else:
        best = torch.zeros((len(x), y.shape[1]), dtype=torch.long)
    spectra = _spectra(wide, centre)
    middle = truth.mean(0) if centre else torch.zeros_like(truth[0])
    spectral = spectra.left.mT @ (truth - middle)
    weights = spectra.lead @ (spectral * _shrink(spectra.values, alphas[best]))
    intercept = middle - (spectra.mean.mT @ weights)[:, 0] if centre else torch.zeros_like(weights[:, 0])
    return Ridges(weights.mT.contiguous().to(x.dtype), intercept.to(x.dtype), best)


def _spectra(x: Tensor, centre: bool) -> _Spectra:
    """The basis of a stack; directions at rounding level have the value infinity, so that they weigh nothing."""
    mean = x.mean(2, keepdim=True) if centre else torch.zeros_like(x[:, :, :1])
    x = x - mean
    p, n = x.shape[1:]
    if p <= n:
        values, right = torch.linalg.eigh(x @ x.mT)
        values = _positive(values, max(n, p))
        lead = right
        left = x.mT @ right  # holds the singular values, as ``lead`` holds none
        return _Spectra(values, left, lead, mean)
    values, left = torch.linalg.eigh(x.mT @ x)
    return _Spectra(_positive(values, max(n, p)), left, x @ left, mean)


def _positive(values: Tensor, size: int) -> Tensor:
    floor = torch.finfo(values.dtype).eps * size * values.amax(1, keepdim=True).clamp_min(0.0)
    return torch.where(values > floor, values, torch.full_like(values, torch.inf))


def _shrink(values: Tensor, alphas: Tensor) -> Tensor:
    """1 / (s^2 + a): values (b, r), alphas (b, t) -> (b, r, t)."""
    return 1.0 / (values[:, :, None] + alphas[:, None, :])


def _path(x: Tensor, y: Tensor, train: Tensor, test: Tensor, alphas: Tensor, centre: bool) -> Tensor:
    """Held-out R2 of every penalty: (penalties, problems, targets), by the rules of ``linalg.path_r2``."""
    spectra = _spectra(x[:, :, train], centre)
    y_train, y_test = y[train], y[test]
    mean_test = y_test.mean(0)
    total = (y_test - mean_test).square().sum(0)
    flat = total <= len(test) * (8 * torch.finfo(y.dtype).eps * mean_test.abs()).square()
    spread = (y_train.amax(0) > y_train.amin(0)).to(y.dtype) * y_train.var(0, correction=0)
    total = torch.where(flat, len(test) * spread, total)
    middle = y_train.mean(0) if centre else torch.zeros_like(y_train[0])
    spectral = spectra.left.mT @ (y_train - middle)
    basis = (x[:, :, test] - spectra.mean).mT @ spectra.lead
    found = x.new_empty((len(alphas), len(x), y.shape[1]))
    for number, alpha in enumerate(alphas):
        predicted = basis @ (spectral / (spectra.values + alpha)[:, :, None])
        found[number] = (y_test - middle - predicted).square_().sum(1)
    positive = total > 0
    return torch.where(positive, 1.0 - found / torch.where(positive, total, torch.ones_like(total)), 0.0)


def _choose(scores: Tensor, y: Tensor, shared: bool) -> Tensor:
    """Position of the best penalty, (problems, targets)."""
    scores = torch.nan_to_num(scores, nan=-torch.inf)
    if not shared:
        return scores.argmax(0)
    varies = y.amax(0) > y.amin(0)
    weight = y.var(0, correction=0)[varies]
    return (scores[:, :, varies] @ weight).argmax(0)[:, None].expand(-1, y.shape[1])
