"""Ridge from sums over samples: penalties chosen over folds, weights by Cholesky factors, refined where that is needed.

Sums square the condition of the features. Where that costs digits, the gradient is taken again from the features
themselves and the weights are corrected (corrected seminormal equations; Bjorck 1987, Linear Algebra and its
Applications 88); where even that does not settle, nothing is returned and the features are factorised instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import linalg

from ..compute.batching import batches
from ._lagged import Lagged, Stretch, Sums, turn

MOST_STRETCHES = 256  # that folds may cut beside the runs; scattered samples would be one each
CHOICE = 1e-7  # relative rounding error up to which penalties are compared by sums
SAFE = 1e-9  # up to which weights are taken as they come
WORST = 1e-4  # and up to which they are refined
SETTLED = 1e-10
STEPS = 6
TARGETS = 2048
EPS = float(np.finfo(float).eps)
Folds = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Fitted:
    """Weights (q, t) for the turned lags, offset (t,), and position in the penalties and mean R2 of each target."""

    weights: np.ndarray
    offset: np.ndarray
    best: np.ndarray
    score: np.ndarray


def solve(
    lagged: Lagged, runs: list[np.ndarray], basis: np.ndarray, alphas: np.ndarray, folds: Folds, *,
    centre: bool, shared: bool,
) -> Fitted | None:  # fmt: skip
    """Ridge of y on the lags turned by ``basis``; None where sums would not be accurate enough, or cannot be had.

    Parameters
    ----------
    alphas : penalties, largest first. folds : (train, test) positions that choose one for each target; none for one.
    centre : an intercept is fitted. shared : one penalty for all targets.
    """
    whole = [(int(run[0]), int(run[-1]) + 1, int(run[0]), int(run[-1]) + 1) for run in runs]
    t = lagged.y.shape[1]
    best, score = np.zeros(t, dtype=int), np.full(t, np.nan)
    if len(alphas) == 1:
        total = lagged.sums(whole)
    else:
        groups = held_out(runs, folds, len(lagged.x))
        if groups is None:
            return None
        parts = [lagged.sums(group) for group in groups]
        total = sum(parts[1:], parts[0])
        scores = _scores(parts[: len(folds)], total, basis, alphas, centre)
        if scores is None:
            return None
        spread = total.squares / total.n - (total.targets / total.n) ** 2
        best = np.repeat((scores * spread).sum(1).argmax(), t) if shared else scores.argmax(0)
        score = scores[best, np.arange(t)]
    mean, middle = (total.total / total.n, total.targets / total.n) if centre else (0 * total.total, 0 * total.targets)
    inner = total.around(mean, middle).turned(basis)
    weights = _weights(lagged, whole, inner, mean, middle, basis, alphas[best])
    if weights is None:
        return None
    return Fitted(weights, middle - turn(mean[:, None], basis)[:, 0] @ weights, best, score)


def held_out(runs: list[np.ndarray], folds: Folds, n: int) -> list[list[Stretch]] | None:
    """Stretches that each fold holds out, and those that none does; None unless all others of a fold are for training.

    Examples
    --------
    >>> sides = (np.arange(2, 6), np.arange(0, 2)), (np.arange(0, 2), np.arange(2, 6))
    >>> held_out([np.arange(3), np.arange(3, 6)], list(sides), 6)
    [[(0, 3, 0, 2)], [(0, 3, 2, 3), (3, 6, 3, 6)], []]
    """
    owner = np.full(n, len(folds))
    for number, (train, test) in enumerate(folds):
        if (owner[test] != len(folds)).any() or len(train) + len(test) != n or len(np.unique(train)) != len(train):
            return None
        owner[test] = number
    groups: list[list[Stretch]] = [[] for _ in range(len(folds) + 1)]
    cuts = 0
    for run in runs:
        start, stop = int(run[0]), int(run[-1]) + 1
        edges = [start, *(start + 1 + np.flatnonzero(np.diff(owner[start:stop]))).tolist(), stop]
        cuts += len(edges) - 2
        if cuts > MOST_STRETCHES:
            return None
        for one, two in pairwise(edges):
            groups[int(owner[one])].append((start, stop, one, two))
    return groups


def _scores(tests: list[Sums], total: Sums, basis: np.ndarray, alphas: np.ndarray, centre: bool) -> np.ndarray | None:
    """R2 of every penalty for every target, averaged over folds (penalties, t); None where sums are too coarse."""
    scores = np.zeros((len(alphas), len(total.targets)))
    still = total.squares - total.targets**2 / total.n <= 1e-20 * total.n
    still |= total.squares - total.targets**2 / total.n <= 1e-12 * total.squares
    for test in tests:
        train = total - test
        spread = test.squares - test.targets**2 / test.n
        flat = spread <= 1e-10 * test.squares
        if (flat & ~still).any():
            return None
        mean, middle = train.total / train.n, train.targets / train.n
        if not centre:
            mean, middle = 0 * mean, 0 * middle
        inner, held = train.around(mean, middle).turned(basis), test.around(mean, middle).turned(basis)
        values, vectors = np.linalg.eigh(inner.gram)
        if EPS * (values[-1] + alphas[-1]) > CHOICE * (values[0] + alphas[-1]):
            return None
        gram, away, toward = vectors.T @ held.gram @ vectors, vectors.T @ held.cross, vectors.T @ inner.cross
        for some in batches(scores.shape[1], TARGETS):
            for number, alpha in enumerate(alphas):
                shrunk = toward[:, some] / (values + alpha)[:, None]
                error = held.squares[some] + np.einsum("qt,qt->t", shrunk, gram @ shrunk - 2 * away[:, some])
                scores[number, some] += 1 - error / np.where(flat[some], 1, spread[some])
    scores[:, still] = 0
    return scores / len(tests)


def _weights(
    lagged: Lagged, runs: list[Stretch], inner: Sums, mean: np.ndarray, middle: np.ndarray, basis: np.ndarray,
    alpha: np.ndarray,
) -> np.ndarray | None:  # fmt: skip
    """(D'D + alpha)^-1 D'y for each target; None where the sums have too few digits."""
    found = _solver(inner.gram, alpha)
    if found is None:
        return None
    answer, error = found
    weights = answer(inner.cross)
    if error <= SAFE:
        return weights
    last = np.inf
    for _ in range(STEPS):
        whole = turn(weights, basis.T)
        lead, left = lagged.lead(runs, whole, middle - mean @ whole)
        step = answer(turn(lead - np.outer(mean, left), basis) - alpha * weights)
        weights = weights + step
        size = float(np.abs(step).max()) / (float(np.abs(weights).max()) or 1.0)
        if size <= SETTLED:
            return weights
        if size > last / 2:
            return None
        last = size
    return None


def _solver(gram: np.ndarray, alpha: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], float] | None:
    """What solves with the penalised sums, and how large its relative error may be; None where it has no digits."""
    if (alpha == alpha[0]).all():
        shifted = gram + alpha[0] * np.eye(len(gram))
        norm = float(np.abs(shifted).sum(0).max())
        factor, failed = linalg.lapack.dpotrf(shifted, lower=0, overwrite_a=0)
        share = linalg.lapack.dpocon(factor, norm)[0] if not failed else 0.0
        if not share or EPS / share > WORST:
            return None
        return lambda right: linalg.cho_solve((factor, False), right, check_finite=False), EPS / share
    values, vectors = np.linalg.eigh(gram)
    least = float(alpha.min())
    if values[0] + least <= 0 or EPS * (values[-1] + least) > WORST * (values[0] + least):
        return None
    inverse = 1 / (values[:, None] + alpha)
    return lambda right: vectors @ (inverse * (vectors.T @ right)), EPS * float(
        (values[-1] + least) / (values[0] + least)
    )
