"""What two centred sets of rows have in common, as algebra: bases, spectra, cross products, moments of them.

With the thin decomposition ``x = U diag(s) V'`` of centred rows, most measures of similarity are one norm of one small
matrix ``diag(a) Ux' Uy diag(b)``: a = s is left to rotations (Procrustes, CKA), a = 1 is whitened (CCA), and what lies
between is the path between them. So a space is decomposed once, however many others it meets.

Pure functions of tensors, float64. Hotelling (1936), Biometrika 28; Williams et al. (2021), NeurIPS 34, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg.blas import dsyrk
from torch import Tensor

from .batching import batches

EPS = torch.finfo(torch.float64).eps
STEEP = 1e-8  # smallest eigenvalue of a moment matrix, relative to the largest, that the short way may resolve
ROUNDING = 1e-12  # eigenvalues of summed moments below this share of the largest are not told from 0
HELD = 1 << 24  # entries of stacked matrices that are held at once
AT_ONCE = 512  # rows of a product that is summed


def centre(x: Tensor) -> Tensor:
    """Rows less their mean: (..., n, p).

    Examples
    --------
    >>> centre(torch.tensor([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]
    """
    if x.requires_grad or x.device.type != "cpu" or x.dtype != torch.float64:
        return x - x.mean(-2, keepdim=True)
    # NumPy asks the system for large pages, which are filled faster.
    return torch.sub(x, x.mean(-2, keepdim=True), out=torch.from_numpy(np.empty(tuple(x.shape))))


def square(x: Tensor) -> Tensor:
    """x'x of (n, p) rows; on the CPU through the BLAS routine that computes one triangle of it only.

    Examples
    --------
    >>> square(torch.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    if x.device.type != "cpu":
        return x.T @ x
    rows = x.numpy()
    return torch.from_numpy(rows.T @ rows)  # NumPy sees that both are one array and calls syrk


def directions(x: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
    """Rows (n, k), W (k, r) and singular values (r,): ``rows @ W`` are the left singular vectors of centred rows x.

    From the eigenvectors of the smaller of x'x and xx' where that is as good (condition of x below 1e4 for x'x); else
    from a QR decomposition and the singular values of its triangle, so that small directions keep their digits. W is
    None where the rows are the vectors already. Largest value first; r is the numerical rank.

    Parameters
    ----------
    x : (n, p) centred.
    """
    n, p = x.shape
    if p > n:
        values, left = torch.linalg.eigh(square(x.T))
        values, left = values.flip(0), left.flip(1)
        keep = values > EPS * p * values[0].clamp_min(0)
        keep[n - 1 :] = False  # centred rows span one direction less
        return left[:, keep], None, values[keep].sqrt()
    values, right = torch.linalg.eigh(square(x))
    if values[0] > STEEP * values[-1]:
        s = values.flip(0).sqrt()
        return x, right.flip(1) / s, s
    left, triangle = torch.linalg.qr(x)
    turn, s, _ = torch.linalg.svd(triangle)
    keep = s > EPS * max(n, p) * s[0]
    keep[n - 1 :] = False
    return left @ turn[:, keep], None, s[keep]


def thin(x: Tensor) -> tuple[Tensor, Tensor]:
    """Left singular vectors (n, r) and singular values (r,) of centred rows, as :func:`directions` finds them.

    Examples
    --------
    >>> u, s = thin(torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 0.0]], dtype=torch.float64))
    >>> s.round(decimals=6).tolist()
    [2.828427]
    """
    rows, turn, s = directions(x)
    return (rows if turn is None else rows @ turn), s


def nuclear(m: Tensor) -> Tensor:
    """Sum of the singular values of (..., k, l) matrices."""
    return torch.linalg.svdvals(m).sum(-1)


def cross_power(x: Tensor, y: Tensor) -> Tensor:
    """``||x'y||_F^2`` of two sets of rows, through features or through samples, whichever is less work.

    Examples
    --------
    >>> float(cross_power(torch.ones(2, 3), torch.ones(2, 1)))
    12.0
    """
    n, p, q = x.shape[0], x.shape[1], y.shape[1]
    if p * q <= n * (p + q):
        return power_of(x.T @ y)
    return (square(x.T) * square(y.T)).sum()


def powers(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``||x'y||_F^2``, ``||x'x||_F^2`` and ``||y'y||_F^2`` of two sets of rows less their means, from one product.

    On the CPU through the BLAS routine that computes one triangle, over blocks of rows: no array of the size of the
    rows is made.

    Examples
    --------
    >>> [float(power) for power in powers(torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [4.0]]))]
    [16.0, 4.0, 64.0]
    """
    p, means = x.shape[1], (x.mean(0), y.mean(0))
    if x.device.type != "cpu":
        both = torch.cat([x - means[0], y - means[1]], 1)
        product = both.T @ both
        return power_of(product[:p, p:]), power_of(product[:p, :p]), power_of(product[p:, p:])
    total = np.zeros((p + y.shape[1],) * 2, order="F")
    room = np.empty((min(len(x), AT_ONCE), len(total)))
    for rows in batches(len(x), AT_ONCE):
        block = room[: rows.stop - rows.start]
        for part, side, mean in zip((block[:, :p], block[:, p:]), (x, y), means):
            np.subtract(side[rows].numpy(), mean.numpy(), out=part)
        total = dsyrk(1.0, block.T, beta=1.0, c=total, overwrite_c=True)
    half = torch.from_numpy(total.T)  # on and below the diagonal
    own = [2 * power_of(part) - part.diagonal().square().sum() for part in (half[:p, :p], half[p:, p:])]
    return power_of(half[p:, :p]), own[0], own[1]


def power_of(m: Tensor) -> Tensor:
    """Sum of squares of a matrix, without a matrix of squares.

    Examples
    --------
    >>> float(power_of(torch.ones(2, 3)))
    6.0
    """
    flat = m.reshape(-1)
    return flat @ flat


def inner_products(one: Sequence[Tensor], two: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """``<xx', yy'>`` of every set of rows with every other: through samples, each set of inner products formed once.

    With K and L sets of p units, n^2 p (K + L) operations in the place of 2 n p^2 K L for the products of features. Of
    the symmetric n x n matrices only the blocks on and above the diagonal are formed, a few rows of all sets at a time.

    Parameters
    ----------
    one, two : (n, p_k) centred rows each, all with the same n; two None: the first with themselves.

    Returns
    -------
    (K, L) inner products, equal to ``||x'y||_F^2``; (K,) and (L,) those of each with itself.

    Examples
    --------
    >>> found, _, own = inner_products([torch.ones(2, 3)], [torch.ones(2, 1)])
    >>> float(found), float(own)
    (12.0, 4.0)
    """
    sides = [*one, *(two or ())]
    n, k = len(sides[0]), len(one)
    found = sides[0].new_zeros((k, len(two) if two else k))
    own = sides[0].new_zeros(len(sides))
    for rows in batches(n, max(1, HELD // (n * len(sides)))):
        height, width = rows.stop - rows.start, n - rows.start
        block = sides[0].new_empty((len(sides), height, width))
        for at, x in enumerate(sides):
            torch.mm(x[rows], x[rows.start :].T, out=block[at])
        block[:, :, height:] *= 2**0.5  # each stands for its mirror image too
        flat = block.view(len(sides), -1)
        found += flat[:k] @ flat[k if two else 0 :].T
        own += torch.linalg.vector_norm(flat, dim=1).square()
    return found, own[:k], own[k:] if two else own


def through_samples(one: Sequence[Tensor], two: Sequence[Tensor] | None = None) -> bool:
    """Whether :func:`inner_products` is less work than the products of features of all pairs and of each with itself.

    Examples
    --------
    >>> layers = [torch.ones(20, 10)] * 8
    >>> through_samples(layers), through_samples(layers[:1])
    (True, False)
    """
    n, wide, cells = len(one[0]), [x.shape[1] for x in one], len(one) * len(two or one)
    if two is None:
        return n * (sum(wide) + cells) < sum(wide) ** 2
    other = [y.shape[1] for y in two]
    itself = sum(width**2 for width in [*wide, *other])
    return n * (sum(wide) + sum(other) + cells) < 2 * sum(wide) * sum(other) + itself


def unbiased(power: Tensor, r_x: Tensor, r_y: Tensor) -> Tensor:
    """n (n - 3) times the unbiased HSIC of two linear kernels, from their biased cross power.

        ||x'y||^2 - n / (n - 2) <r_x, r_y> + (sum r_x)(sum r_y) / ((n - 1)(n - 2))

    with x, y centred and r the squared norms of their rows; the same number as Song et al. (2012, eq. 5) get from
    kernels whose diagonals are set to 0.

    Parameters
    ----------
    power : (...,) ``||x'y||_F^2``; r_x : (n,); r_y : (..., n).
    """
    return unbiased_from_sums(power, (r_x * r_y).sum(-1), r_x.sum(-1), r_y.sum(-1), r_x.shape[-1])


def unbiased_from_sums(power: Tensor, both: Tensor, sum_x: Tensor, sum_y: Tensor, n: int) -> Tensor:
    """As :func:`unbiased`, from ``<r_x, r_y>`` and the sums of r_x and r_y."""
    return power - n / (n - 2) * both + sum_x * sum_y / ((n - 1) * (n - 2))


def between(s: Tensor, alpha: float) -> Tensor:
    """Singular values between rotations only (alpha = 1) and whitened (alpha = 0): ``alpha s / rms(s) + 1 - alpha``.

    The singular values of ``x (alpha I + (1 - alpha) C^-1/2)`` when x is first scaled so that the mean eigenvalue of C
    is 1; scaling x changes nothing.
    """
    return alpha * s / s.square().mean().sqrt() + (1.0 - alpha)


def whitener(moment: Tensor) -> tuple[Tensor, Tensor]:
    """V diag(1/s) (p, r) and s (r,) from a centred moment matrix x'x; largest first, without what is rounding.

    ``x @ whitener(x'x)[0]`` are the left singular vectors of x.
    """
    values, right = torch.linalg.eigh(moment)
    values, right = values.flip(0), right.flip(1)
    keep = values > ROUNDING * values[0].clamp_min(0)
    s = values[keep].sqrt()
    return right[:, keep] / s, s


@dataclass
class Moments:
    """Counts, means and centred second moments of paired rows, which add up over batches.

    ``n`` rows; ``mean_x`` (p,), ``mean_y`` (q,); ``xx`` (p, p), ``xy`` (p, q), ``yy`` (q, q).

    Examples
    --------
    >>> rows = torch.arange(6.0, dtype=torch.float64).reshape(6, 1)
    >>> one, two = Moments.of(rows[:2], rows[:2]), Moments.of(rows[2:], rows[2:])
    >>> float((one + two).xx), float(Moments.of(rows, rows).xx)
    (17.5, 17.5)
    """

    n: int
    mean_x: Tensor
    mean_y: Tensor
    xx: Tensor
    xy: Tensor
    yy: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor) -> Moments:
        """Of rows x (n, p) and y (n, q)."""
        mean_x, mean_y = x.mean(0), y.mean(0)
        x, y = x - mean_x, y - mean_y
        return cls(len(x), mean_x, mean_y, square(x), x.T @ y, square(y))

    def __add__(self, other: Moments) -> Moments:
        """Those of both sets of rows together (Chan, Golub and LeVeque 1983, Am. Stat. 37, eq. 1.5)."""
        n = self.n + other.n
        dx, dy = other.mean_x - self.mean_x, other.mean_y - self.mean_y
        share = self.n * other.n / n
        return Moments(
            n,
            self.mean_x + dx * (other.n / n),
            self.mean_y + dy * (other.n / n),
            self.xx + other.xx + share * torch.outer(dx, dx),
            self.xy + other.xy + share * torch.outer(dx, dy),
            self.yy + other.yy + share * torch.outer(dy, dy),
        )

    @property
    def turned(self) -> Moments:
        """The same with x and y exchanged."""
        return Moments(self.n, self.mean_y, self.mean_x, self.yy, self.xy.T, self.xx)


def total(parts: list[Moments]) -> Moments:
    """The sum of several."""
    found = parts[0]
    for part in parts[1:]:
        found = found + part
    return found


def held_out_r2(folds: list[Moments], alphas: Tensor) -> float:
    r"""Cross-validated R2 of the ridge regression of y on x, all targets together, from the moments of the folds.

        R2 = 1 - sum_f ||Y_f - Yhat_f||^2 / sum_f ||Y_f - mean of Y outside f||^2

    with Yhat_f from the samples outside fold f, and one penalty for all targets: the one with the smallest squared
    error over the other folds, each predicted without itself and without f. Rotations of x and of y change nothing.

    Parameters
    ----------
    folds : three or more, each with at least one sample.
    alphas : (penalties,) above 0, in units of the trace of x'x over the number of features and samples: 1 shrinks a
        direction of average variance, seen n times, as 1 more sample would.
    """
    k = len(folds)
    scale = total(folds)
    penalties = alphas.to(scale.xx) * float(scale.xx.trace()) / (len(scale.xx) * scale.n)
    errors = torch.zeros((k, len(penalties)), dtype=scale.xx.dtype, device=scale.xx.device)
    for f in range(k):
        for g in range(f + 1, k):
            train = total([fold for at, fold in enumerate(folds) if at not in (f, g)])
            fitted = _eigen(train)
            errors[f] += _squared_error(train, fitted, folds[g], penalties)
            errors[g] += _squared_error(train, fitted, folds[f], penalties)
    residual = baseline = 0.0
    for f in range(k):
        train = total([fold for at, fold in enumerate(folds) if at != f])
        best = errors[f].argmin()
        residual += float(_squared_error(train, _eigen(train), folds[f], penalties[best : best + 1])[0])
        away = folds[f].mean_y - train.mean_y
        baseline += float(folds[f].yy.trace() + folds[f].n * away.square().sum())
    return 1.0 - residual / baseline


def _eigen(train: Moments) -> tuple[Tensor, Tensor, Tensor]:
    values, turn = torch.linalg.eigh(train.xx)
    return values.clamp_min(0), turn, turn.T @ train.xy


def _squared_error(train: Moments, fitted: tuple[Tensor, Tensor, Tensor], test: Moments, penalties: Tensor) -> Tensor:
    """Squared error on the rows behind ``test`` of ridge fits on those behind ``train``: (penalties,)."""
    values, turn, spectral = fitted
    dx, dy = turn.T @ (test.mean_x - train.mean_x), test.mean_y - train.mean_y
    xx = turn.T @ test.xx @ turn + test.n * torch.outer(dx, dx)
    xy = turn.T @ test.xy + test.n * torch.outer(dx, dy)
    yy = test.yy.trace() + test.n * dy.square().sum()
    shrink = 1.0 / (values[:, None] + penalties)  # (p, penalties)
    linear = (spectral * xy).sum(1) @ shrink
    inner = xx * (spectral @ spectral.T)
    return yy - 2.0 * linear + ((inner @ shrink) * shrink).sum(0)
