"""The held-out score of banded ridge as a smooth function of the log penalties, and the climb along its gradient.

With d_b = log(g_b / a) for each band and each target, S(d) = mean over folds of the held-out R2 at penalties exp(-d_b).
In the primal form, with A = X'X + diag(exp(-d)), w = A^-1 X'y, residual r = X_held w - y_held, total sum of squares T,

    dS / dd_b = sum over j in band b of u_j exp(-d_b) w_j,     u = A^-1 X_held' (-2 r / T)

(the adjoint of the solve); the kernel form is the same with A = I + sum_b exp(d_b) K_b. Each target has a system of
its own, so a step costs t factorisations a fold: for hundreds of targets, not for a whole brain. Dupre la Tour et al.
(2022), NeuroImage 264, section 2.6 (hyper-gradient descent); Riedmiller & Braun (1993), IEEE ICNN (the step rule).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .banded import Bands, Split, Table, Winners, random_search
from .batching import batches

STEPS = 20
FIRST, GROW, SHRINK, LARGEST = 0.7, 1.3, 0.5, 3.0  # of a step in log penalty
BEYOND = float(np.log(1e4))  # how far a band may be penalised past the largest penalty of the grid
SYSTEMS = 1 << 24  # entries of the stacked systems that are held at once


def gradient_search(
    bands: Bands,
    splits: Sequence[Split],
    tables: Sequence[Table],
    alphas: Tensor,
    n_iter: int,
    rng: np.random.Generator,
) -> Winners:
    """A random search, then a climb along the gradient from each target's winner; no target ends below its winner.

    Parameters and returns as :func:`banded.random_search`.
    """
    winners = random_search(bands, splits, tables, alphas, n_iter, rng)
    low = -float(alphas.max().clamp_min(1e-300).log()) - BEYOND
    high = -float(alphas.min().clamp_min(1e-6).log())
    high = max(high, low + 2 * BEYOND)
    start = (winners.gamma.clamp_min(1e-300).log() - winners.alpha.clamp_min(1e-300).log()).clamp(low, high)
    size = max(len(bands.x), bands.x.shape[1]) if bands.grams is not None else bands.x.shape[1]
    for some in batches(start.shape[1], max(1, SYSTEMS // max(1, size * size))):
        score, delta = _climb(bands, splits, tables, start[:, some], some, low, high)
        better = score > winners.score[some].double() + 1e-9
        weight = delta.exp()
        gamma = torch.where(better, weight / weight.sum(0), winners.gamma[:, some])
        winners.gamma[:, some] = gamma
        winners.alpha[some] = torch.where(better, 1.0 / weight.sum(0), winners.alpha[some])
        winners.score[some] = torch.where(better, score.to(winners.score), winners.score[some])
    return winners


def _climb(
    bands: Bands, splits: Sequence[Split], tables: Sequence[Table], delta: Tensor, some: slice, low: float, high: float
) -> tuple[Tensor, Tensor]:
    """The best score met on the way and the log weights there: each coordinate steps by the sign of its gradient."""
    best = delta.new_full((delta.shape[1],), -torch.inf)
    kept, step, before = delta.clone(), torch.full_like(delta, FIRST), torch.zeros_like(delta)
    for _ in range(STEPS):
        score, slope = score_and_slope(bands, splits, tables, delta, some)
        better = score > best
        best = torch.where(better, score, best)
        kept = torch.where(better, delta, kept)
        turned = slope * before < 0
        step = torch.where(turned, step * SHRINK, (step * GROW).clamp_max(LARGEST))
        before = torch.where(turned, torch.zeros_like(slope), slope)
        delta = (delta + step * slope.sign()).clamp(low, high)
    return best, kept


def score_and_slope(
    bands: Bands, splits: Sequence[Split], tables: Sequence[Table], delta: Tensor, some: slice
) -> tuple[Tensor, Tensor]:
    """Mean held-out R2 (t,) at log weights ``delta`` (bands, t), and its gradient (bands, t).

    ``some`` are the columns of the tables that ``delta`` belongs to. Systems are solved in float64.
    """
    form = _kernel if bands.grams is not None else _primal
    found, slope = delta.new_zeros(delta.shape[1]), torch.zeros_like(delta)
    for split, table in zip(splits, tables):
        cross, held = table.cross[:, some].double(), table.held[:, some].double()
        total, outside = table.total[some].double(), table.outside[some].double()
        scale = torch.where(total > 0, 1.0 / torch.where(total > 0, total, torch.ones_like(total)), 0.0)
        residual, part = form(bands, split, delta, cross, held, scale)
        found += torch.where(total > 0, 1.0 - (residual.square().sum(0) + outside) * scale, 0.0) / len(splits)
        slope += part / len(splits)
    return found, slope


def _primal(
    bands: Bands, split: Split, delta: Tensor, cross: Tensor, held: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    assert split.gram is not None and split.held is not None
    penalty = (-delta).exp()[bands.band]  # (p, t)
    root = torch.linalg.cholesky(split.gram[None] + torch.diag_embed(penalty.T))
    weights = torch.cholesky_solve(cross.T[:, :, None], root)[:, :, 0].T
    to = split.held.double()
    residual = to @ weights - held
    adjoint = torch.cholesky_solve((to.T @ (-2 * residual * scale)).T[:, :, None], root)[:, :, 0].T
    slope = torch.zeros_like(delta)
    slope.index_add_(0, bands.band, adjoint * penalty * weights)
    return residual, slope


def _kernel(
    bands: Bands, split: Split, delta: Tensor, cross: Tensor, held: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    assert bands.grams is not None
    rows = bands.grams[:, split.train]
    among, to = rows[:, :, split.train], bands.grams[:, split.test][:, :, split.train]
    mean = among.mean(1, keepdim=True)
    grand = mean.mean(2, keepdim=True)
    to = to - to.mean(2, keepdim=True) - mean + grand
    among = among - mean - mean.mT + grand
    weight = delta.exp()  # (bands, t)
    system = torch.tensordot(weight.T, among, dims=1)
    system.diagonal(dim1=1, dim2=2).add_(1.0)
    root = torch.linalg.cholesky(system)
    dual = torch.cholesky_solve(cross.T[:, :, None], root)[:, :, 0].T  # (n, t)
    parts = to @ dual  # (bands, m, t)
    residual = (weight[:, None] * parts).sum(0) - held
    pull = -2 * residual * scale
    back = (weight[:, None] * (to.mT @ pull)).sum(0)
    adjoint = torch.cholesky_solve(back.T[:, :, None], root)[:, :, 0].T
    return residual, weight * ((pull * parts).sum(1) - (adjoint * (among @ dual)).sum(1))
