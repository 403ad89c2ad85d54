r"""Logistic regression of many problems at once, two classes: time points, spheres, sensors with the same labels.

Each problem minimises, over weights w and an intercept b that is not penalised,

    f(w, b) = sum_i log(1 + exp(-s_i (w . x_i + b))) + |w|^2 / (2 C),    s_i = -1 or 1,

by Newton's method (iteratively reweighted least squares), with halved steps where a full one does not go down enough.
With more features than samples the weights lie in the space of the samples, and the problem is solved there.

Pure functions of tensors, in float64. Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning,
section 4.4.1; Boyd & Vandenberghe (2004), Convex Optimization, section 9.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ITERATIONS = 100
HALVINGS = 30
ENOUGH = 1e-16  # squared Newton decrement, as a share of the objective
DESCENT = 1e-4


@dataclass(frozen=True)
class Logistics:
    """``coef`` (problems, features), ``intercept`` (problems,), ``converged`` (problems,) booleans."""

    coef: Tensor
    intercept: Tensor
    converged: Tensor


def fit(x: Tensor, second: Tensor, C: float = 1.0, iterations: int = ITERATIONS) -> Logistics:
    """Logistic regression of every problem.

    Parameters
    ----------
    x : (problems, features, samples), float; not changed. second : (samples,) booleans, True for the second class.
    C : inverse strength of the penalty, above 0.
    iterations : most Newton steps.

    Returns
    -------
    Logistics, in the dtype of ``x``; decision values w . x + b are positive for the second class.

    Examples
    --------
    >>> x = torch.tensor([[[-2.0, -1.0, 1.0, 2.0]]], dtype=torch.float64)
    >>> found = fit(x, torch.tensor([False, False, True, True]))
    >>> round(float(found.coef), 3), round(abs(float(found.intercept)), 3), bool(found.converged)
    (1.007, 0.0, True)
    """
    wide = x.double()
    mean = wide.mean(2, keepdim=True)
    wide = wide - mean
    b, p, n = wide.shape
    lead = None
    if p > n:
        lead, wide = torch.linalg.qr(wide)  # features = lead @ samples' own space
    y = second.double()
    weights = wide.new_zeros((b, wide.shape[1]))
    share = y.mean()
    intercept = torch.log(share / (1.0 - share)).expand(b).clone()
    value = _objective(wide, y, weights, intercept, C)
    converged = torch.zeros(b, dtype=torch.bool, device=x.device)
    left = torch.arange(b, device=x.device)
    for _ in range(iterations):
        some = wide if len(left) == b else wide[left]
        step, lean, decrement = _newton(some, y, weights[left], intercept[left], C)
        length = torch.ones_like(decrement)
        before = value[left]
        for _ in range(HALVINGS):
            after = _objective(some, y, weights[left] + length[:, None] * step, intercept[left] + length * lean, C)
            # Differences of rounding are no reason to halve a step.
            worse = after > before - DESCENT * length * decrement + 1e-14 * before.abs()
            if not bool(worse.any()):
                break
            length = torch.where(worse, length / 2, length)
        weights[left] += length[:, None] * step
        intercept[left] += length * lean
        value[left] = after
        done = decrement <= ENOUGH * (1.0 + after)
        converged[left[done]] = True
        left = left[~done]
        if not len(left):
            break
    coef = weights if lead is None else (lead @ weights[:, :, None])[:, :, 0]
    intercept = intercept - (mean[:, :, 0] * coef).sum(1)
    return Logistics(coef.to(x.dtype), intercept.to(x.dtype), converged)


def _objective(x: Tensor, y: Tensor, weights: Tensor, intercept: Tensor, C: float) -> Tensor:
    eta = torch.bmm(weights[:, None], x)[:, 0] + intercept[:, None]
    return (torch.nn.functional.softplus(eta) - y * eta).sum(1) + weights.square().sum(1) / (2.0 * C)


def _newton(x: Tensor, y: Tensor, weights: Tensor, intercept: Tensor, C: float) -> tuple[Tensor, Tensor, Tensor]:
    """Newton step of weights and intercept, and the squared decrement: g' H^-1 g."""
    chance = torch.sigmoid(torch.bmm(weights[:, None], x)[:, 0] + intercept[:, None])
    residual = chance - y
    slope = torch.bmm(x, residual[:, :, None])[:, :, 0] + weights / C
    lean = residual.sum(1)
    curve = (chance * (1.0 - chance)).clamp_min(1e-300)
    total = curve.sum(1)
    hessian = torch.bmm(x * curve[:, None], x.mT)
    across = torch.bmm(x, curve[:, :, None])[:, :, 0]
    hessian.diagonal(dim1=1, dim2=2).add_(1.0 / C)
    # The intercept is taken out: what is left is positive, as the penalty is.
    hessian.baddbmm_(across[:, :, None], (across / total[:, None])[:, None], alpha=-1.0)
    reduced = slope - across * (lean / total)[:, None]
    factor = torch.linalg.cholesky_ex(hessian).L
    step = -torch.cholesky_solve(reduced[:, :, None], factor)[:, :, 0]
    turn = -(lean + (across * step).sum(1)) / total
    return step, turn, -((slope * step).sum(1) + lean * turn)
