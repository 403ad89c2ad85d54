"""Dissimilarities of patterns as algebra: (..., n, p) patterns in, (..., n, n) dissimilarities out, in float64.

Everything is one product of the patterns with themselves and sums of its entries. Where the numbers are such that a
difference of large products would lose digits, the patterns are centred first, and pairs that are nearly equal are
computed from their difference. A pattern that has no dissimilarity gets NaN in its row and column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

EPS = float(np.finfo(np.float64).eps)
SAFE = 1e-5  # share of a squared distance in the squared lengths below which it is computed from the difference
EXACT_AT_ONCE = 1 << 22  # entries of the differences that are held at once


def gram(x: np.ndarray) -> np.ndarray:
    """Inner products of all patterns, exactly symmetric: (..., n, p) -> (..., n, n).

    Examples
    --------
    >>> gram(np.array([[1.0, 2.0], [0.0, 1.0]])).tolist()
    [[5.0, 2.0], [2.0, 1.0]]
    """
    if x.ndim == 2:
        return np.asarray(x @ x.T)
    found = np.matmul(x, np.swapaxes(x, -1, -2))
    return np.asarray((found + np.swapaxes(found, -1, -2)) / 2)


def correlation(x: np.ndarray) -> np.ndarray:
    """``1 - r``, r the Pearson correlation of two patterns over units.

    Examples
    --------
    >>> correlation(np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 2.0, 1.0]])).round(6)[0].tolist()
    [0.0, 0.0, 2.0]
    """
    p = x.shape[-1]
    mean = x.mean(axis=-1)
    # the products of centred patterns follow from those of the patterns, unless means are large beside deviations
    products = gram(x) if x.ndim == 2 else None
    if products is not None:
        raw = np.diagonal(products)
        if (raw - p * mean**2 > 1e-2 * raw).all():
            products -= p * (mean[:, None] * mean)
            return _one_minus(products, np.diagonal(products).copy())
    centred = x - mean[..., None]
    products = gram(centred)
    power = _diagonal(products).copy()
    power[power <= (16 * EPS) ** 2 * p * np.square(x).max(axis=-1)] = np.nan
    return _one_minus(products, power)


def cosine(x: np.ndarray) -> np.ndarray:
    """``1 - cos``, of the angle between two patterns.

    Examples
    --------
    >>> cosine(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])).tolist()[0]
    [0.0, 0.0, 1.0]
    """
    products = gram(x)
    power = _diagonal(products).copy()
    power[power == 0] = np.nan
    return _one_minus(products, power)


def sqeuclidean(x: np.ndarray) -> np.ndarray:
    """Squared Euclidean distance, the sum over units of squared differences.

    Examples
    --------
    >>> sqeuclidean(np.array([[1.0, 0.0], [4.0, 4.0]])).tolist()
    [[0.0, 25.0], [25.0, 0.0]]
    """
    x = x - x.mean(axis=-2, keepdims=True)  # large common means would take the last digits
    found, near = _from_products(x)
    step = max(1, EXACT_AT_ONCE // max(1, x.shape[-1]))
    for start in range(0, len(near), step):
        at = near[start : start + step].T
        front, i, j = tuple(at[:-2]), at[-2], at[-1]
        found[(*front, i, j)] = np.square(x[(*front, i)] - x[(*front, j)]).sum(axis=-1)
    return found


def euclidean(x: np.ndarray) -> np.ndarray:
    """Euclidean distance.

    Examples
    --------
    >>> euclidean(np.array([[1.0, 0.0], [4.0, 4.0]])).tolist()
    [[0.0, 5.0], [5.0, 0.0]]
    """
    return np.sqrt(sqeuclidean(x))


def led(x: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Squared Mahalanobis distance by a precision: (..., n, p), (p, p) symmetric -> (..., n, n).

    Examples
    --------
    >>> led(np.array([[1.0, 0.0], [4.0, 4.0]]), np.diag([1.0, 2.0])).tolist()
    [[0.0, 41.0], [41.0, 0.0]]
    """
    x = x - x.mean(axis=-2, keepdims=True)
    return _from_kernel((x @ precision) @ np.swapaxes(x, -1, -2))


def crossed(folds: np.ndarray, precision: np.ndarray | None = None) -> np.ndarray:
    """Cross-validated squared distance: products of differences of different folds, mean over pairs of folds.

    ``d_ij = 1 / (F (F - 1)) sum over f != g of (u_if - u_jf)' P (u_ig - u_jg)``. The sum over pairs of folds is the
    product of the sums less the products within folds, so F + 1 products are enough.

    Parameters
    ----------
    folds : (..., F, n, p), F at least 2. precision : (p, p) symmetric, the identity if None.

    Returns
    -------
    (..., n, n) symmetric; unbiased, therefore negative for about half of the pairs that do not differ.

    Examples
    --------
    >>> crossed(np.array([[[0.0], [1.0]], [[0.0], [3.0]]])).tolist()
    [[0.0, 3.0], [3.0, 0.0]]
    """
    found, size = _crossed(folds, precision)
    if size > 1e3 * float(np.abs(found).mean()):
        found, _ = _crossed(folds - folds.mean(axis=-2, keepdims=True), precision)
    return found


def crossed_pairs(folds: np.ndarray, whiteners: dict[tuple[int, int], Whitener]) -> np.ndarray:
    """Like :func:`crossed`, every pair of folds f < g with a whitener of its own: (F, n, p) -> (n, n).

    Examples
    --------
    >>> white = diagonal_only(np.array([[2.0], [-2.0]]))
    >>> crossed_pairs(np.array([[[0.0], [2.0]], [[0.0], [6.0]]]), {(0, 1): white}).tolist()
    [[0.0, 3.0], [3.0, 0.0]]
    """
    centred = folds - folds.mean(axis=-2, keepdims=True)
    kernel = np.zeros((folds.shape[-2], folds.shape[-2]))
    for (f, g), whiten in whiteners.items():
        kernel += whiten(centred[f]) @ whiten(centred[g]).T
    return _from_kernel(kernel) / len(whiteners)


def poisson(x: np.ndarray, prior_rate: float = 1.0, prior_weight: float = 0.1) -> np.ndarray:
    """Symmetrised Kullback-Leibler divergence of Poisson distributions, mean over units.

    Rates are pulled towards a prior, ``m = (x + rate weight) / (1 + weight)``, so that none is 0; then
    ``d_ij = mean over units of (m_i - m_j) (log m_i - log m_j)``.

    Parameters
    ----------
    x : (..., n, p) counts or rates, not negative. prior_rate : the rate of the prior, in the unit of x.
    prior_weight : how many observations the prior is worth.

    Examples
    --------
    >>> poisson(np.array([[0.0, 2.0], [0.0, 2.0], [4.0, 2.0]])).round(4)[0].tolist()
    [0.0, 0.0, 6.7519]
    """
    m = (x + prior_rate * prior_weight) / (1 + prior_weight)
    return _from_kernel(m @ np.swapaxes(np.log(m), -1, -2)) / x.shape[-1]


def poisson_crossed(folds: np.ndarray, prior_rate: float = 1.0, prior_weight: float = 0.1) -> np.ndarray:
    """Like :func:`poisson`, the differences of rates of one fold with the differences of logarithms of another.

    Examples
    --------
    >>> poisson_crossed(np.array([[[0.0], [4.0]], [[0.0], [4.0]]])).round(4)[0].tolist()
    [0.0, 13.5039]
    """
    number, p = folds.shape[-3], folds.shape[-1]
    m = (folds + prior_rate * prior_weight) / (1 + prior_weight)
    logs = np.log(m)
    kernel = m.sum(axis=-3) @ np.swapaxes(logs.sum(axis=-3), -1, -2)
    for f in range(number):
        kernel -= m[..., f, :, :] @ np.swapaxes(logs[..., f, :, :], -1, -2)
    return _from_kernel(kernel) / (number * (number - 1) * p)


@dataclass(frozen=True)
class Whitener:
    """What makes noise white, for a covariance ``D (a I + B'B) D`` with few rows in B, never formed.

    ``scale`` (p,) is 1 over the diagonal of D; ``level`` a; ``axes`` (r, p) the orthonormal right singular vectors of B
    and ``values`` (r,) their squared singular values. ``shrinkage`` is the share of the target in the estimate.
    """

    scale: np.ndarray
    level: float
    axes: np.ndarray
    values: np.ndarray
    shrinkage: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(..., p) -> (..., p), with inner products that are those by the inverse of the covariance."""
        x = x * self.scale
        gain = 1.0 / np.sqrt(self.level + self.values) - 1.0 / np.sqrt(self.level)
        out: np.ndarray = x / np.sqrt(self.level) + ((x @ self.axes.T) * gain) @ self.axes
        return out


def ledoit_wolf(residuals: np.ndarray, freedom: int | None = None) -> Whitener:
    """Covariance shrunk towards a multiple of the identity; as a whitener, without the (p, p) matrix.

    Parameters
    ----------
    residuals : (m, p) deviations, one row an observation. freedom : degrees of freedom that they have, m if None; the
        covariance is that over m, times m / freedom.

    Source: Ledoit and Wolf 2004, Journal of Multivariate Analysis 88, equations 14 to 16.

    Examples
    --------
    >>> r = np.random.default_rng(0).normal(size=(50, 4))
    >>> ledoit_wolf(r)(r).shape, 0 < ledoit_wolf(r).shrinkage <= 1
    ((50, 4), True)
    """
    m, p = residuals.shape
    inner = gram(residuals) / m if m < p else None
    small = inner if inner is not None else residuals.T @ residuals / m
    mean = float(np.trace(small)) / p
    distance = float(np.square(small).sum()) - p * mean**2
    fourth = float(np.square(np.einsum("ij,ij->i", residuals, residuals)).sum()) / m
    error = min((fourth - float(np.square(small).sum())) / m, distance)
    share = error / distance if distance > EPS * p * mean**2 else 1.0
    return _whitener(residuals, np.ones(p), share, mean, freedom)


def shrunk_to_diagonal(residuals: np.ndarray, freedom: int | None = None) -> Whitener:
    """Correlations shrunk towards 0, variances kept. Parameters as :func:`ledoit_wolf`.

    Source: Schäfer and Strimmer 2005, Statistical Applications in Genetics and Molecular Biology 4, target D.

    Examples
    --------
    >>> r = np.random.default_rng(0).normal(size=(50, 4))
    >>> 0 <= shrunk_to_diagonal(r).shrinkage <= 1
    True
    """
    m, p = residuals.shape
    freedom = m if freedom is None else freedom
    spread = np.sqrt(np.square(residuals).sum(axis=0) / freedom)
    z = residuals / spread
    products = gram(z) if m < p else z.T @ z
    # sums over pairs of different units: of squared correlations, and of the variance of each
    squared = (np.square(products).sum() - np.square(np.square(z).sum(axis=0)).sum()) / (m - 1) ** 2
    length = np.square(z).sum(axis=1)
    second = (np.square(length).sum() - np.square(np.square(z)).sum()) / (m - 1)
    share = min(max(float(m / freedom**2 * (second - squared) / squared), 0.0), 1.0) if squared > 0 else 1.0
    return _whitener(z, spread, share, 1.0, freedom, level_of_total=True)


def diagonal_only(residuals: np.ndarray, freedom: int | None = None) -> Whitener:
    """Variances alone: every unit divided by the standard deviation of its noise.

    Examples
    --------
    >>> diagonal_only(np.array([[2.0, -1.0], [-2.0, 1.0]]))(np.array([[2.0, 1.0]])).tolist()
    [[1.0, 1.0]]
    """
    freedom = len(residuals) if freedom is None else freedom
    spread = np.sqrt(np.square(residuals).sum(axis=0) / freedom)
    return Whitener(1.0 / spread, 1.0, np.zeros((0, residuals.shape[1])), np.zeros(0), 1.0)


def sample_covariance(residuals: np.ndarray, freedom: int | None = None) -> Whitener:
    """No shrinkage; the residuals must have more degrees of freedom than there are units.

    Examples
    --------
    >>> r = np.random.default_rng(0).normal(size=(50, 4))
    >>> bool(np.allclose(np.cov(sample_covariance(r)(r).T, bias=True) + 0, np.eye(4), atol=0.05))
    True
    """
    return _whitener(residuals, np.ones(residuals.shape[1]), 0.0, 0.0, freedom)


NOISES: dict[str, Callable[..., Whitener]] = {
    "ledoit_wolf": ledoit_wolf,
    "shrink_diagonal": shrunk_to_diagonal,
    "diagonal": diagonal_only,
    "full": sample_covariance,
}


def _whitener(
    residuals: np.ndarray,
    spread: np.ndarray,
    share: float,
    mean: float,
    freedom: int | None,
    level_of_total: bool = False,
) -> Whitener:
    m, p = residuals.shape
    freedom = m if freedom is None else freedom
    if m < p:
        values, left = np.linalg.eigh(gram(residuals))
        keep = values > EPS * m * max(float(values[-1]), 0.0)
        values, left = values[keep], left[:, keep]
        axes = (left.T @ residuals) / np.sqrt(values)[:, None]
    else:
        values, right = np.linalg.eigh(residuals.T @ residuals)
        keep = values > EPS * p * max(float(values[-1]), 0.0)
        values, axes = values[keep], np.ascontiguousarray(right[:, keep].T)
    level = share * mean * (1.0 if level_of_total else m / freedom)
    values = (1.0 - share) * values / freedom
    if level == 0.0 and len(values) == p:
        level = float(values.min())
        values = values - level
    return Whitener(1.0 / spread, level, axes, values, share)


def _diagonal(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("...ii->...i", x))


def _one_minus(products: np.ndarray, power: np.ndarray) -> np.ndarray:
    """``1 - products / lengths``, at most 2 and at least 0, in the memory of the products."""
    with np.errstate(invalid="ignore", divide="ignore"):
        inverse = 1.0 / np.sqrt(power)
        products *= inverse[..., :, None] * inverse[..., None, :]
    np.subtract(1.0, products, out=products)
    np.clip(products, 0.0, 2.0, out=products)
    _diagonal_of(products)[...] = np.where(np.isnan(power), np.nan, 0.0)
    return products


def _diagonal_of(x: np.ndarray) -> np.ndarray:
    return np.einsum("...ii->...i", x)


def _from_products(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances from products, and the positions (pairs, ndim) of those that need their difference."""
    products = gram(x)
    power = _diagonal(products).copy()
    products *= -2.0
    products += power[..., :, None] + power[..., None, :]
    np.maximum(products, 0.0, out=products)
    doubtful = products <= SAFE * (power[..., :, None] + power[..., None, :])
    _diagonal_of(products)[...] = 0.0
    _diagonal_of(doubtful)[...] = False
    return products, np.argwhere(doubtful) if doubtful.any() else np.empty((0, x.ndim), dtype=np.int64)


def _crossed(folds: np.ndarray, precision: np.ndarray | None) -> tuple[np.ndarray, float]:
    """The distances, and the largest squared length that went into them."""
    number = folds.shape[-3]
    if number == 2:  # one product of the two folds is less than three of folds with themselves
        first, second = folds[..., 0, :, :], folds[..., 1, :, :]
        size = float(np.einsum("...ij,...ij->...i", first, first).max(initial=0.0))
        first = first if precision is None else first @ precision
        return _from_kernel(first @ np.swapaxes(second, -1, -2)), size
    total = folds.sum(axis=-3)
    led = None if precision is None else folds @ precision
    if led is None:
        kernel = gram(total)
    else:
        kernel = led.sum(axis=-3) @ np.swapaxes(total, -1, -2)
    size = float(np.abs(_diagonal(kernel)).max(initial=0.0)) / (number * (number - 1))
    for f in range(number):
        one = folds[..., f, :, :]
        kernel -= gram(one) if led is None else led[..., f, :, :] @ np.swapaxes(one, -1, -2)
    return _from_kernel(kernel) / (number * (number - 1)), size


def _from_kernel(kernel: np.ndarray) -> np.ndarray:
    """``k_ii + k_jj - k_ij - k_ji``, exactly symmetric with a diagonal of 0."""
    power = _diagonal(kernel)
    found = power[..., :, None] + power[..., None, :] - (kernel + np.swapaxes(kernel, -1, -2))
    _diagonal_of(found)[...] = 0.0
    return np.asarray(found)
