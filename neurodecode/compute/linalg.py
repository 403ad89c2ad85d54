"""Ridge regression as algebra: one factorisation of the features, then every penalty and every target for little.

With the centred features written ``X = U diag(s) V'`` (n samples, p features, rank r), ridge with penalty a is

    W(a) = V diag(s / (s^2 + a)) U'Y            (primal: p <= n, the thin SVD of X)
         = X' U diag(1 / (s^2 + a)) U'Y         (dual:   p > n, the eigenvectors of XX')

so a whole path of penalties shares ``U'Y``. Hastie, Tibshirani, Friedman (2009), The Elements of Statistical
Learning, sections 3.4.1 and 18.3.5; Dupre la Tour et al. (2022), NeuroImage 264, for one penalty per target.

Pure functions of tensors. Factorisations run in float64 and are handed back in the dtype of the features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .batching import batches

STACK = 1 << 20  # entries of the stacked prediction matrices that are held at once


@dataclass(frozen=True)
class Spectrum:
    """The factorised features: left singular vectors, squared singular values, and what leads back to features.

    ``left`` (n, r); ``values`` (r,) float64, the squared singular values; ``right`` (p, r) in the primal form, None in
    the dual; ``x`` (n, p) in the dual form, None in the primal.
    """

    left: Tensor
    values: Tensor
    right: Tensor | None
    x: Tensor | None

    def shrink(self, alphas: Tensor) -> Tensor:
        """What multiplies ``U'Y`` before it is led back: (r, penalties), float64."""
        inverse = 1.0 / (self.values[:, None] + alphas.to(self.values)[None, :])
        return inverse if self.right is None else self.values.sqrt()[:, None] * inverse

    def project(self, x: Tensor) -> Tensor:
        """New samples in the basis of the spectrum: (m, p) -> (m, r)."""
        if self.right is not None:
            return x @ self.right
        assert self.x is not None
        return (x @ self.x.T) @ self.left

    def weights(self, shrunk: Tensor) -> Tensor:
        """Feature weights from shrunk spectral targets: (r, t) -> (p, t)."""
        if self.right is not None:
            return self.right @ shrunk
        assert self.x is not None
        return self.x.T @ (self.left @ shrunk)


def choose_solver(n_samples: int, n_features: int, solver: str = "auto") -> str:
    """``"primal"`` where there are at least as many samples as features, else ``"dual"``; a named one is kept.

    Examples
    --------
    >>> choose_solver(100, 10), choose_solver(10, 100), choose_solver(10, 100, "primal")
    ('primal', 'dual', 'primal')
    """
    if solver == "auto":
        return "primal" if n_features <= n_samples else "dual"
    if solver not in ("primal", "dual"):
        raise ValueError(f"solver={solver!r} is not known. Choose one of 'auto', 'primal', 'dual'.")
    return solver


def factorise(x: Tensor, solver: str = "auto") -> Spectrum:
    """The spectrum of ``x``; directions with a singular value at rounding level are left out.

    Parameters
    ----------
    x : (n, p) features, centred where an intercept is fitted. Not changed; the dual form keeps it.
    solver : ``"primal"``: thin SVD of x; ``"dual"``: eigenvectors of x x'; ``"auto"``: by shape.

    Returns
    -------
    Spectrum

    Notes
    -----
    The primal form resolves singular values down to about 1e-16 of the largest, the dual form, which squares
    them, down to about 1e-8; smaller directions count as absent, so that coefficients stay finite.

    Examples
    --------
    >>> x = torch.tensor([[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    >>> [round(float(v), 6) for v in factorise(x).values]
    [9.0, 4.0]
    """
    n, p = x.shape
    eps = torch.finfo(torch.float64).eps * max(n, p)
    if choose_solver(n, p, solver) == "primal":
        left, s, right = torch.linalg.svd(_double(x), full_matrices=False)
        keep = s > eps * s.max() if s.numel() else torch.zeros(0, dtype=torch.bool)
        return Spectrum(_like(left[:, keep], x), s[keep].square().to(_home(x)), _like(right[keep].T, x), None)
    values, left = torch.linalg.eigh(_gram(x))
    values, left = values.flip(0), left.flip(1)
    keep = values > eps * values.max().clamp_min(0.0)
    return Spectrum(_like(left[:, keep], x), values[keep].to(_home(x)), None, x)


def solve_ridge(x: Tensor, y: Tensor, alpha: Tensor | float, solver: str = "auto") -> Tensor:
    """argmin_W ||x W - y||^2 + sum_t alpha_t ||W_t||^2, with one penalty for all targets or one for each.

    Parameters
    ----------
    x : (n, p) features; y : (n, t) targets; both centred by the caller where an intercept is wanted.
    alpha : a number, or (t,) penalties, 0 or more; 0 is least squares of the least norm.
    solver : ``"auto"``, ``"primal"`` or ``"dual"``.

    Returns
    -------
    (p, t) weights.

    Examples
    --------
    >>> x = torch.eye(2, dtype=torch.float64)
    >>> solve_ridge(x, torch.tensor([[2.0], [4.0]], dtype=torch.float64), 1.0)
    tensor([[1.],
            [2.]], dtype=torch.float64)
    """
    return spectral_weights(factorise(x, solver), y, torch.as_tensor(alpha, dtype=torch.float64))


def spectral_weights(spectrum: Spectrum, y: Tensor, alpha: Tensor) -> Tensor:
    """Ridge weights (p, t) for targets ``y`` (n, t) from a spectrum; ``alpha`` () or (t,)."""
    shrink = spectrum.shrink(alpha.reshape(-1)).to(y)  # (r, 1) or (r, t)
    return spectrum.weights(shrink * (spectrum.left.T @ y))


@dataclass(frozen=True)
class Fold:
    """One split of a penalty search, factorised: all that scoring a block of targets needs.

    ``train`` (n_train,), ``test`` (m,) row numbers; ``left`` (n_train, r); ``basis`` (k, r) with k = min(m, r): the
    held-out samples in the basis of the spectrum, turned by ``rotation`` (m, k) into r rows where there are more
    samples than that; ``shrink`` (r, penalties).
    """

    train: Tensor
    test: Tensor
    left: Tensor
    basis: Tensor
    rotation: Tensor | None
    shrink: Tensor


def factorise_fold(
    x: Tensor, train: Tensor, test: Tensor, alphas: Tensor, *, centre: bool = True, solver: str = "auto"
) -> Fold:
    """Factorise the training rows of ``x`` and bring the held-out rows into their basis.

    Held-out rows are centred with the training means. Where there are more held-out samples than directions, the
    basis is replaced by the triangle of its QR decomposition: the squared error splits into a part within the
    span, which depends on the penalty, and a part outside of it, which does not.
    """
    x_train, x_test = x[train], x[test]
    if centre:
        mean = x_train.mean(0)
        x_train -= mean
        x_test -= mean
    spectrum = factorise(x_train, solver)
    basis, rotation = spectrum.project(x_test), None
    if basis.shape[1] < basis.shape[0]:
        rotation, triangle = torch.linalg.qr(_double(basis))
        rotation, basis = _like(rotation, x), _like(triangle, x)
    return Fold(train, test, spectrum.left, basis, rotation, spectrum.shrink(alphas).to(x.dtype))


def path_r2(fold: Fold, y: Tensor, *, centre: bool = True) -> Tensor:
    """Held-out R2 of every penalty for every target of one split.

    R2 = 1 - sum (y - y_hat)^2 / sum (y - mean of the held-out y)^2. Where a target does not vary over the held-out
    samples (always so with one sample held out), the variance of the training samples stands in for that of the
    held-out ones; where it does not vary there either, R2 is 0 for every penalty.

    Parameters
    ----------
    fold : from :func:`factorise_fold`.
    y : (n, t) targets, all rows, both sides.
    centre : True where an intercept is fitted.

    Returns
    -------
    (penalties, t)
    """
    y_train, y_test = y[fold.train], y[fold.test]
    m, t = y_test.shape
    mean_test = y_test.mean(0)
    total = (y_test - mean_test).square_().sum(0)
    flat = total <= m * (8 * torch.finfo(y.dtype).eps * mean_test.abs()).square()
    if bool(flat.any()):
        spread = (y_train.amax(0) > y_train.amin(0)).to(y.dtype) * y_train.var(0, correction=0)
        total = torch.where(flat, m * spread, total)
    if centre:
        mean_train = y_train.mean(0)
        y_train -= mean_train
        y_test -= mean_train
    outside = y.new_zeros(t)
    if fold.rotation is not None:
        inside = fold.rotation.T @ y_test
        outside = (y_test.square().sum(0) - inside.square().sum(0)).clamp_min_(0.0)
        y_test = inside
    spectral = fold.left.T @ y_train  # (r, t)
    k, r = fold.basis.shape
    n_alphas = fold.shrink.shape[1]
    error = y.new_empty((n_alphas, t))
    for some in batches(n_alphas, max(1, STACK // max(1, k * max(r, t)))):
        stacked = fold.basis[None] * fold.shrink.T[some, None, :]  # (penalties, k, r)
        residual = (stacked.reshape(-1, r) @ spectral).reshape(-1, k, t)
        error[some] = residual.sub_(y_test).square_().sum(1)
    error += outside
    positive = total > 0
    return torch.where(positive, 1.0 - error / torch.where(positive, total, torch.ones_like(total)), 0.0)


def _double(x: Tensor) -> Tensor:
    """Float64, on the CPU where the device has no float64."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def _home(x: Tensor) -> torch.device:
    return torch.device("cpu") if x.device.type == "mps" else x.device


def _like(value: Tensor, x: Tensor) -> Tensor:
    return value.to(dtype=x.dtype, device=x.device).contiguous()


def _gram(x: Tensor) -> Tensor:
    """x x' in float64, without a float64 copy of all of x."""
    n, p = x.shape
    if x.dtype == torch.float64:
        return x @ x.T
    gram = torch.zeros((n, n), dtype=torch.float64, device=_home(x))
    for columns in batches(p, max(64, STACK // max(1, n))):
        part = _double(x[:, columns])
        gram.addmm_(part, part.T)
    return gram


def leave_one_out_r2(spectrum: Spectrum, y: Tensor, alphas: Tensor, *, centre: bool = True) -> Tensor | None:
    """What ``path_r2`` gives, averaged over n splits that each hold out one sample, from one factorisation.

    With the hat matrix H(a) = U diag(s^2 / (s^2 + a)) U' (+ 1/n where an intercept is fitted), the held-out error of
    sample i is (y - H y)_i / (1 - H_ii), exactly (Allen 1974, Technometrics 16; Golub, Heath, Wahba 1979, Technometrics
    21, section 1). It stands against the variance of the other samples, as in :func:`path_r2`.

    Parameters
    ----------
    spectrum : of all n samples, centred where an intercept is fitted.
    y : (n, t) targets, centred where an intercept is fitted.
    alphas : (penalties,).

    Returns
    -------
    (penalties, t), or None where a penalty is so small that a sample decides its own prediction (H_ii = 1 to rounding).

    Examples
    --------
    >>> x = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)
    >>> leave_one_out_r2(factorise(x), x.clone(), torch.tensor([0.0])).round(decimals=3)
    tensor([[1.]], dtype=torch.float64)
    """
    n, t = y.shape
    left, values = spectrum.left, spectrum.values
    alphas = alphas.to(values)
    squared = left.to(values).square()
    base = 1.0 - squared.sum(1) - (1.0 / n if centre else 0.0)
    kept = alphas[None, :] / (values[:, None] + alphas[None, :])  # (r, penalties): 1 - s^2 / (s^2 + a)
    free = base[:, None] + squared @ kept  # (n, penalties): 1 - H_ii
    if bool((free < 1e4 * torch.finfo(y.dtype).eps).any()):
        return None
    spectral = left.T @ y
    outside = y - left @ spectral
    total, power = y.sum(0), y.square().sum(0)
    variance = (power - y.square()) / (n - 1) - ((total - y) / (n - 1)).square()
    flat = variance <= 1e3 * torch.finfo(y.dtype).eps * power / n
    weight = torch.where(flat, 0.0, 1.0 / torch.where(flat, torch.ones_like(variance), variance))
    found = y.new_empty((len(alphas), t))
    for number in range(len(alphas)):
        residual = torch.addmm(outside, left, kept[:, number, None].to(y) * spectral)
        found[number] = free[:, number].to(y).pow(-2) @ residual.square_().mul_(weight)
    return ((~flat).sum(0) - found) / n
