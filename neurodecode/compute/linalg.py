"""Ridge regression as algebra: one factorisation of the features, then every penalty and every target for little.

With the centred features written ``X = U diag(s) V'`` (n samples, p features, rank r), ridge with penalty a is

    W(a) = V diag(s / (s^2 + a)) U'Y            (primal: p <= n, the thin SVD of X)
         = X' U diag(1 / (s^2 + a)) U'Y         (dual:   p > n, the eigenvectors of XX')

so a whole path of penalties shares ``U'Y``. Hastie, Tibshirani, Friedman (2009), The Elements of Statistical
Learning, sections 3.4.1 and 18.3.5; Dupre la Tour et al. (2022), NeuroImage 264, for one penalty per target.

Pure functions of tensors. Factorisations run in float64 and are handed back in the dtype of the features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .batching import batches

SPREAD = 256.0  # of eigenvalues plus penalty, up to which a float32 Gram matrix is as good as the data
PIECE = 1 << 20  # entries of the float64 copy of some features that are held at once


@dataclass(frozen=True)
class Spectrum:
    """The factorised features: left singular vectors, squared singular values, and what leads back to features.

    ``left`` (n, r); ``values`` (r,) float64, the squared singular values; ``right`` (p, r) in the primal form, None in
    the dual; ``x`` (n, p) in the dual form, None in the primal; ``lead`` (p, r) ``x' left`` where it was worked out.
    """

    left: Tensor
    values: Tensor
    right: Tensor | None
    x: Tensor | None
    lead: Tensor | None = None

    def shrink(self, alphas: Tensor) -> Tensor:
        """What multiplies ``U'Y`` before it is led back: (r, penalties), float64."""
        inverse = 1.0 / (self.values[:, None] + alphas.to(self.values)[None, :])
        return inverse if self.right is None else self.values.sqrt()[:, None] * inverse

    def weights(self, shrunk: Tensor) -> Tensor:
        """Feature weights from shrunk spectral targets: (r, t) -> (p, t)."""
        if self.right is not None:
            return self.right @ shrunk
        if self.lead is not None:
            return self.lead @ shrunk
        assert self.x is not None
        return self.x.T @ (self.left @ shrunk)

    def for_many(self, targets: int) -> Spectrum:
        """The same, with ``x' left`` worked out once where that is cheaper for so many targets."""
        if self.x is None or targets <= self.x.shape[1]:
            return self
        return replace(self, lead=self.x.T @ self.left)

    def dual(self, y: Tensor, alpha: Tensor) -> Tensor:
        """Sample weights (n, t) whose product with ``X'`` are the ridge weights of ``y``; ``alpha`` () or (t,)."""
        inverse = 1.0 / (self.values[:, None] + alpha.to(self.values).reshape(1, -1))
        return self.left @ (inverse.to(y) * (self.left.T @ y))


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


def factorise(x: Tensor, solver: str = "auto", gram: Tensor | None = None) -> Spectrum:
    """The spectrum of ``x``; directions with a singular value at rounding level are left out.

    Parameters
    ----------
    x : (n, p) features, centred where an intercept is fitted. Not changed; the dual form keeps it.
    solver : ``"primal"``: thin SVD of x; ``"dual"``: eigenvectors of x x'; ``"auto"``: by shape.
    gram : (n, n) float64 x x', where it is known already.

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
        left, s, right = torch.linalg.svd(double(x), full_matrices=False)
        keep = s > eps * s.max() if s.numel() else torch.zeros(0, dtype=torch.bool)
        return Spectrum(like(left[:, keep], x), s[keep].square().to(_home(x)), like(right[keep].T, x), None)
    values, left = eigenvectors(gram_matrix(x) if gram is None else gram, eps)
    return Spectrum(like(left, x), values.to(_home(x)), None, x)


def factorise_single(x: Tensor, smallest: float, centred: bool) -> tuple[Spectrum, Tensor] | None:
    """The dual spectrum and the Gram matrix in float32, where that is as good as float64; None where it is not.

    Rounding changes the Gram matrix by about eps s_1^2, and ridge weights by that over s_r^2 + a. With float32 data and
    ``(s_1^2 + a) / (s_r^2 + a)`` below ``SPREAD`` this is 3e-5 at most. Some of the samples, centred again, have a
    narrower spectrum than all of them, so that one look serves all folds.

    Parameters
    ----------
    x : (n, p) float32 features. smallest : the smallest penalty. centred : an intercept is fitted, so columns
        of x sum to 0, in every fold.
    """
    n, p = x.shape
    if x.dtype != torch.float32 or n > p or x.device.type == "mps":
        return None
    eps = torch.finfo(torch.float32).eps
    # Without an intercept, some of the samples of centred features still hold part of the direction that all lack.
    given = not centred and bool((x.mean(0).abs() <= 8 * eps * x.abs().amax(0)).all())
    gram = x @ x.T
    values, left = eigenvectors(gram, 64 * eps)
    spread = SPREAD / 5 if given else SPREAD
    if len(values) != n - (centred or given) or float(values[0]) + smallest > spread * (float(values[-1]) + smallest):
        return None
    return Spectrum(left.contiguous(), values.double(), None, x), gram


def eigenvectors(gram: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Eigenvalues (r,), largest first, and eigenvectors (n, r) of a Gram matrix; those below ``eps`` are left out."""
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(0), vectors.flip(1)
    keep = values > eps * values.max().clamp_min(0.0)
    return values[keep], vectors[:, keep]


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


def double(x: Tensor) -> Tensor:
    """Float64, on the CPU where the device has no float64."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def _home(x: Tensor) -> torch.device:
    return torch.device("cpu") if x.device.type == "mps" else x.device


def like(value: Tensor, x: Tensor) -> Tensor:
    return value.to(dtype=x.dtype, device=x.device).contiguous()


def gram_matrix(x: Tensor) -> Tensor:
    """x x' in float64, without a float64 copy of all of x."""
    n, p = x.shape
    if x.dtype == torch.float64:
        return x @ x.T
    gram = torch.zeros((n, n), dtype=torch.float64, device=_home(x))
    for columns in batches(p, max(64, PIECE // max(1, n))):
        part = double(x[:, columns])
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


def closed_form_r2(spectrum: Spectrum, y: Tensor, alphas: Tensor, how: str, *, centre: bool = True) -> Tensor:
    """Leave-one-out or generalised cross-validation as 1 - squared error / squared deviation from the mean.

    With the hat matrix H(a) of :func:`leave_one_out_r2` and residuals e = y - H y, the squared error is

        "loo"  sum_i (e_i / (1 - H_ii))^2              (Allen 1974: that of n fits, each without one sample)
        "gcv"  sum_i (e_i / (1 - trace(H) / n))^2      (Golub, Heath & Wahba 1979, equation 1.4)

    Parameters
    ----------
    spectrum : of all n samples, centred where an intercept is fitted.
    y : (n, t) targets, centred where an intercept is fitted.
    alphas : (penalties,). how : ``"loo"`` or ``"gcv"``.

    Returns
    -------
    (penalties, t); minus infinity for a penalty so small that samples decide their own prediction, 0 for a target that
    does not vary.

    Examples
    --------
    >>> x = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)
    >>> closed_form_r2(factorise(x), x.clone(), torch.tensor([0.0]), "loo").round(decimals=3)
    tensor([[1.]], dtype=torch.float64)
    """
    n, t = y.shape
    left, values = spectrum.left, spectrum.values
    alphas = alphas.to(values)
    kept = alphas[None, :] / (values[:, None] + alphas[None, :])  # (r, penalties)
    spectral = left.T @ y
    outside = y - left @ spectral
    if how == "gcv":
        free = (n - len(values) - centre + kept.sum(0)) / n  # (penalties,): 1 - trace(H) / n
        sound = free > 1e4 * torch.finfo(y.dtype).eps
        error = outside.square().sum(0) + kept.square().T.to(y) @ spectral.square()
        error /= torch.where(sound, free, 1.0).square().to(y)[:, None]
    else:
        squared = left.to(values).square()
        each = (1.0 - squared.sum(1) - (1.0 / n if centre else 0.0))[:, None] + squared @ kept  # 1 - H_ii
        sound = (each > 1e4 * torch.finfo(y.dtype).eps).all(0)
        error = y.new_zeros((len(alphas), t))
        for number in torch.nonzero(sound)[:, 0].tolist():
            residual = torch.addmm(outside, left, kept[:, number, None].to(y) * spectral)
            error[number] = each[:, number].to(y).pow(-2) @ residual.square_()
    mean = y.mean(0)
    total = (y - mean).square_().sum(0)
    varies = total > n * (8 * torch.finfo(y.dtype).eps * mean.abs()).square()
    found = torch.where(varies, 1.0 - error / torch.where(varies, total, torch.ones_like(total)), 0.0)
    return torch.where(sound[:, None], found, -torch.inf)
