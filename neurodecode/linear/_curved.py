"""Positive definite matrices as points of a curved space: means, distances and tangent vectors. Plain arrays.

Three metrics, one table. Everything goes through eigenvalues of symmetric matrices, in stacks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..exceptions import DegenerateDataError

MOST_STEPS = 200
CLOSE = 1e-12


def through_eigenvalues(function: Callable[[np.ndarray], np.ndarray], c: np.ndarray) -> np.ndarray:
    """``U f(d) U'`` of symmetric matrices (..., p, p) with eigenvalues d."""
    values, vectors = np.linalg.eigh(c)
    return np.asarray((vectors * function(values)[..., None, :]) @ vectors.swapaxes(-1, -2))


def logarithm(c: np.ndarray) -> np.ndarray:
    """Matrix logarithm."""
    return through_eigenvalues(np.log, c)


def exponential(c: np.ndarray) -> np.ndarray:
    """Matrix exponential of symmetric matrices."""
    return through_eigenvalues(np.exp, c)


def root(c: np.ndarray) -> np.ndarray:
    """Symmetric square root."""
    return through_eigenvalues(np.sqrt, c)


def whitener(c: np.ndarray) -> np.ndarray:
    """Inverse of the symmetric square root."""
    return through_eigenvalues(lambda d: 1 / np.sqrt(d), c)


def whitened(c: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """C seen from a reference: M^-1/2 C M^-1/2."""
    w = whitener(reference)
    seen = w @ c @ w
    return np.asarray((seen + seen.swapaxes(-1, -2)) / 2)


def riemann_mean(c: np.ndarray) -> np.ndarray:
    """The matrix with the smallest sum of squared Riemannian distances to all (n, p, p): (p, p).

    ``M <- M^1/2 exp(mean of log(M^-1/2 C M^-1/2)) M^1/2`` until the mean of the logarithms vanishes; a step that does
    not bring it nearer to zero is halved.

    Raises
    ------
    DegenerateDataError : it does not converge: matrices that are nearly singular.
    """
    mean, step, before = c.mean(axis=0), 1.0, np.inf
    for _ in range(MOST_STEPS):
        half = root(mean)
        pull = logarithm(whitened(c, mean)).mean(axis=0)
        size = float(np.linalg.norm(pull)) / np.sqrt(len(mean))
        if size < CLOSE:
            return mean
        if size > before:
            step /= 2
        elif size > 0.5 * before and size < 1e-9:
            return mean  # rounding is all that is left
        before = size
        mean = half @ exponential(step * pull) @ half
        mean = (mean + mean.T) / 2
    raise DegenerateDataError(
        f"the Riemannian mean of {len(c)} covariances did not converge in {MOST_STEPS} steps: some are nearly "
        "singular. Take longer epochs, or shrinkage."
    )


def riemann_distance(c: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Root of the sum of squared logarithms of the eigenvalues of M^-1 C: (n,)."""
    return np.asarray(np.sqrt((np.log(np.linalg.eigvalsh(whitened(c, reference))) ** 2).sum(axis=-1)))


def logeuclid_mean(c: np.ndarray) -> np.ndarray:
    """exp of the mean of logarithms."""
    return exponential(logarithm(c).mean(axis=0))


def frobenius(difference: np.ndarray) -> np.ndarray:
    """Length of matrices (n, p, p): (n,)."""
    return np.asarray(np.sqrt((difference**2).sum(axis=(-2, -1))))


@dataclass(frozen=True)
class Metric:
    """How matrices are averaged and how far apart they are; ``to`` and ``back`` lead to the flat space at a mean."""

    mean: Callable[[np.ndarray], np.ndarray]
    distance: Callable[[np.ndarray, np.ndarray], np.ndarray]
    to: Callable[[np.ndarray, np.ndarray], np.ndarray]
    back: Callable[[np.ndarray, np.ndarray], np.ndarray]


METRICS: dict[str, Metric] = {
    "riemann": Metric(
        riemann_mean,
        riemann_distance,
        lambda c, m: logarithm(whitened(c, m)),
        lambda s, m: root(m) @ exponential(s) @ root(m),
    ),
    "logeuclid": Metric(
        logeuclid_mean,
        lambda c, m: frobenius(logarithm(c) - logarithm(m)),
        lambda c, m: logarithm(c) - logarithm(m),
        lambda s, m: exponential(s + logarithm(m)),
    ),
    "euclid": Metric(lambda c: c.mean(axis=0), lambda c, m: frobenius(c - m), lambda c, m: c - m, lambda s, m: s + m),
}


def upper(s: np.ndarray) -> np.ndarray:
    """Symmetric matrices (n, p, p) as vectors (n, p (p + 1) / 2) of the same length: off the diagonal times root 2."""
    rows, columns = np.triu_indices(s.shape[-1])
    return np.asarray(s[..., rows, columns] * np.where(rows == columns, 1.0, np.sqrt(2)))


def from_upper(vectors: np.ndarray, p: int) -> np.ndarray:
    """What ``upper`` came from."""
    rows, columns = np.triu_indices(p)
    found = np.zeros((len(vectors), p, p))
    found[:, rows, columns] = found[:, columns, rows] = vectors / np.where(rows == columns, 1.0, np.sqrt(2))
    return found
