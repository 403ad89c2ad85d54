r"""Linear discriminant analysis of many problems at once: time points, spheres, or labellings of the same samples.

With class means m_k, shares pi_k and the covariance within classes C (shrunk or not), class k scores

    f_k(x) = x' C^-1 m_k - m_k' C^-1 m_k / 2 + log pi_k.

:func:`fit` solves a stack of problems that share their labels. :func:`permuted_decisions` solves one problem under many
labellings: the covariance within two classes is the total one less a matrix of rank one, so one decomposition of the
total covariance serves all labellings (Sherman and Morrison).

Pure functions of tensors. Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, section 4.3;
Ledoit & Wolf (2004), Journal of Multivariate Analysis 88, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg.lapack import dpotrf
from torch import Tensor

ONE_BY_ONE = 48  # from this order on LAPACK called once a matrix is faster than in a batch
EXACT = 1e-6  # eigenvalues of X'X that reach less far down are as good as singular values of X
SOUND = 1e-6  # a pivot below this share of its variance: the caller should look at the problem alone


@dataclass(frozen=True)
class Discriminants:
    """Weights of every problem.

    ``coef`` (problems, outputs, features) and ``intercept`` (problems, outputs): one output, positive for the second
    class, where there are two classes, else one a class. ``sound`` (problems,): False where the covariance cannot be
    inverted with full accuracy; those weights are not to be used.
    """

    coef: Tensor
    intercept: Tensor
    sound: Tensor


def fit(
    x: Tensor, codes: Tensor, n_classes: int, shrinkage: float | str | None = None, overwrite: bool = False
) -> Discriminants:
    """LDA of every problem, as scikit-learn's ``LinearDiscriminantAnalysis`` solves one.

    Parameters
    ----------
    x : (problems, features, samples), float.
    codes : (samples,) position of the class of each sample, the same in every problem; every class occurs.
    n_classes : number of classes, 2 or more.
    shrinkage : a number s in [0, 1]: C = (1 - s) S + s tr(S) / p I, S with divisor n (scikit-learn's ``lsqr``);
        ``"auto"``: the same class by class, on standardised features, with the s of Ledoit and Wolf;
        None: C = S, and the scores of three or more classes relative to the mean of all samples (its ``svd``).
    overwrite : ``x`` may be changed, which saves a copy.

    Returns
    -------
    Discriminants, in the dtype of ``x``; solved in float64.

    Examples
    --------
    >>> x = torch.tensor([[[0.0, 1.0, 2.0, 5.0, 6.0, 7.0]]], dtype=torch.float64)
    >>> found = fit(x, torch.tensor([0, 0, 0, 1, 1, 1]), 2, shrinkage=0.0)
    >>> round(float(-found.intercept / found.coef), 6)
    3.5
    """
    counts = torch.bincount(codes, minlength=n_classes).to(x)
    centre = x.mean(2, keepdim=True)
    x = x.sub_(centre) if overwrite else x - centre
    means = x @ (torch.nn.functional.one_hot(codes, n_classes).to(x) / counts)
    priors = (counts / len(codes)).double()
    if shrinkage == "auto":
        covariance, total = _ledoit_wolf(x, means, codes, counts), None
    else:
        covariance, total = _shrunk(x, means, priors, float(shrinkage or 0.0))
    return _solve(covariance, total, (means + centre).double(), priors[None], shrinkage is None, x.dtype)


def fit_folds(
    x: Tensor, codes: Tensor, n_classes: int, tests: list[Tensor], shrinkage: float | None = None
) -> list[Discriminants]:
    """:func:`fit` to all samples but those of a fold, for every fold: each sample enters one matrix product only.

    The sums and products of a training set are those of all samples less those of the held-out ones.

    Parameters
    ----------
    x : (problems, features, samples), float; it is changed. codes, n_classes : as in :func:`fit`; every class occurs in
        every training set.
    tests : positions of the held-out samples of each fold; no sample is in two of them.
    shrinkage : a number in [0, 1] or None.

    Examples
    --------
    >>> x = torch.tensor([[[0.0, 1.0, 2.0, 5.0, 6.0, 7.0]]], dtype=torch.float64)
    >>> codes, test = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 5])
    >>> (left,) = fit_folds(x.clone(), codes, 2, [test], 0.0)
    >>> bool(torch.allclose(left.coef, fit(x[:, :, 1:5], codes[1:5], 2, 0.0).coef))
    True
    """
    n = len(codes)
    centre = x.mean(2, keepdim=True)
    x.sub_(centre)
    member = torch.nn.functional.one_hot(codes, n_classes).to(x)
    never = torch.ones(n, dtype=torch.bool)
    for test in tests:
        never[test] = False
    parts = [*tests, never.nonzero()[:, 0]] if bool(never.any()) else tests
    products = torch.empty((len(parts), len(x), *x.shape[1:2] * 2), dtype=torch.float64, device=x.device)
    sums = torch.empty((len(parts), *x.shape[:2], n_classes), dtype=torch.float64, device=x.device)
    for number, part in enumerate(parts):
        held = _samples(x, part)
        _products(held, products[number])
        sums[number] = held @ member[part]
    held_counts = torch.stack([member[test].sum(0).double() for test in tests])
    left = (member.sum(0).double() - held_counts)[:, None]
    within, total, means = _left(products, sums, left[:, :, None], len(tests), float(shrinkage or 0.0))
    means += centre.double()
    priors = (left / left.sum(2, keepdim=True)).expand(-1, len(x), -1)
    whole = _solve(
        within.flatten(0, 1), total.flatten(0, 1), means.flatten(0, 1), priors.flatten(0, 1), shrinkage is None, x.dtype
    )
    split = [one.unflatten(0, (len(tests), len(x))) for one in (whole.coef, whole.intercept, whole.sound)]
    return [Discriminants(*parts) for parts in zip(*split)]


def _samples(x: Tensor, places: Tensor) -> Tensor:
    """Some samples of (problems, features, samples): a view where they follow each other, else a copy along what lies
    together in memory."""
    first, count = int(places[0]), len(places)
    if bool((places == torch.arange(first, first + count)).all()):
        return x[:, :, first : first + count]
    return x.mT.index_select(1, places).mT if x.stride(1) == 1 else x.index_select(2, places)


def _products(x: Tensor, out: Tensor) -> None:
    """X X' of every problem (problems, features, samples), float64; numpy takes half of a product with itself."""
    if x.device.type != "cpu" or x.dtype != out.dtype:
        out.copy_(torch.bmm(x, x.mT))
    else:
        values = x.numpy()
        np.matmul(values, values.transpose(0, 2, 1), out=out.numpy())


def _left(products: Tensor, sums: Tensor, left: Tensor, tests: int, shrinkage: float) -> tuple[Tensor, Tensor, Tensor]:
    """Covariance within classes, total variance and class means of what each fold leaves for training.

    ``products`` (parts, problems, p, p), which is changed, and ``sums`` (parts, problems, p, classes) of what the folds
    hold out, and of what none does; ``left`` (folds, 1, 1, classes) counts. With S the sums of the classes, n_k their
    counts, n C = X X' - sum over k of S_k S_k' / n_k.
    """
    size = left.sum(3)
    kept = sums.sum(0) - sums[:tests]
    within = torch.sub(products.sum(0), products[:tests], out=products[:tests])
    diagonal = torch.diagonal(within, dim1=2, dim2=3)
    total = diagonal / size - (kept.sum(3) / size).square()
    scaled = kept / left.sqrt()
    trace = (diagonal.sum(2) - scaled.square().sum((2, 3))) / size[:, :, 0]
    within.flatten(0, 1).baddbmm_(scaled.flatten(0, 1), scaled.flatten(0, 1).mT, alpha=-1.0)
    within *= ((1.0 - shrinkage) / size)[..., None]
    if shrinkage:
        diagonal += (trace * (shrinkage / within.shape[2]))[..., None]
    return within, total, kept / left


def _shrunk(x: Tensor, means: Tensor, priors: Tensor, shrinkage: float) -> tuple[Tensor, Tensor]:
    """Covariance within classes (problems, p, p) float64 of centred x, and the total variance (problems, p)."""
    return _within(torch.bmm(x, x.mT).double().div_(x.shape[2]), means.double(), priors, shrinkage)


def _within(covariance: Tensor, means: Tensor, priors: Tensor, shrinkage: float) -> tuple[Tensor, Tensor]:
    """The total covariance less that of the class means, in place and shrunk; and the total variance."""
    total = torch.diagonal(covariance, dim1=1, dim2=2).clone()
    between = means * priors.sqrt()
    covariance.baddbmm_(between, between.mT, alpha=-1.0)
    if shrinkage:
        diagonal = torch.diagonal(covariance, dim1=1, dim2=2)
        mean = diagonal.mean(1, keepdim=True)
        covariance *= 1.0 - shrinkage
        diagonal += shrinkage * mean
    return covariance, total


def _ledoit_wolf(x: Tensor, means: Tensor, codes: Tensor, counts: Tensor) -> Tensor:
    """Covariances within classes, each shrunk by its own amount on standardised features: (problems, p, p) float64."""
    b, p, n = x.shape
    total = torch.zeros((b, p, p), dtype=torch.float64, device=x.device)
    for k, count in enumerate(counts.tolist()):
        own = x[:, :, codes == k].sub_(means[:, :, k : k + 1])
        covariance = torch.bmm(own, own.mT).double() / count
        variance = torch.diagonal(covariance, dim1=1, dim2=2)
        variance = torch.where(variance > 0, variance, torch.ones_like(variance))
        scale = variance.sqrt()
        z = covariance / (scale[:, :, None] * scale[:, None, :])
        trace = torch.diagonal(z, dim1=1, dim2=2).sum(1)
        mu = trace / p
        squares = torch.bmm((1.0 / variance).to(own)[:, None], own.square_()).double()[:, 0]  # (problems, samples)
        norm = z.square().sum((1, 2))
        beta = (squares.square().sum(1) / count - norm) / (p * count)
        delta = (norm - 2.0 * mu * trace + p * mu.square()) / p
        beta = torch.minimum(beta, delta)
        s = torch.where((beta == 0) | (delta == 0), torch.zeros_like(beta), beta / delta)
        if p == 1:
            s = torch.zeros_like(s)
        covariance *= (1.0 - s)[:, None, None]
        torch.diagonal(covariance, dim1=1, dim2=2).add_((s * mu)[:, None] * variance)
        total += covariance * (count / n)
    return total


def _solve(
    covariance: Tensor, total: Tensor | None, means: Tensor, priors: Tensor, centred: bool, dtype: torch.dtype
) -> Discriminants:
    """Weights from covariances (problems, p, p), which are changed, means (problems, p, classes) and class shares
    (problems or 1, classes)."""
    variance = torch.diagonal(covariance, dim1=1, dim2=2).clone()
    factor, failed = _cholesky(covariance)
    total = variance if total is None else total
    pivots = torch.diagonal(factor, dim1=1, dim2=2).square() / variance
    rounding = 64.0 * torch.finfo(dtype).eps * means.abs().amax(2)
    large = (variance > rounding.square()) & (variance > SOUND * total)
    sound = ~failed & ((pivots > SOUND) & large).all(1)
    if not bool(sound.all()):
        factor[~sound] = torch.eye(factor.shape[1], dtype=factor.dtype, device=factor.device)
    if priors.shape[1] == 2:
        coef = _divided(means[:, :, 1:] - means[:, :, :1], factor)[:, :, 0]
        bias = -0.5 * (means.sum(2) * coef).sum(1) + torch.log(priors[:, 1] / priors[:, 0])
        return Discriminants(coef[:, None].to(dtype), bias[:, None].to(dtype), sound)
    middle = (means * priors[:, None]).sum(2, keepdim=True) if centred else torch.zeros_like(means[:, :, :1])
    apart = means - middle
    weights = _divided(apart, factor)
    bias = -0.5 * (apart * weights).sum(1) + torch.log(priors) - (middle * weights).sum(1)
    return Discriminants(weights.mT.contiguous().to(dtype), bias.to(dtype), sound)


def _cholesky(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Lower factors of positive matrices, which are changed (above the diagonal is rubbish), and which have none."""
    if matrices.device.type != "cpu" or matrices.shape[1] < ONE_BY_ONE or not matrices.is_contiguous():
        factor, info = torch.linalg.cholesky_ex(matrices)
        return factor, info != 0
    # Read by columns, the upper triangle of a symmetric matrix is the lower one, which LAPACK overwrites.
    failed = [dpotrf(one.T, lower=1, clean=0, overwrite_a=1)[1] != 0 for one in matrices.numpy()]
    return matrices.mT, torch.tensor(failed)


def _divided(right: Tensor, factor: Tensor) -> Tensor:
    """(L L')^-1 R of every problem, from what stands on and below the diagonal of L."""
    half = torch.linalg.solve_triangular(factor, right, upper=False)
    return torch.linalg.solve_triangular(factor.mT, half, upper=True)


def permuted_decisions(
    x: Tensor, labels: Tensor, x_test: Tensor, shrinkage: float | None = None
) -> tuple[Tensor, Tensor]:
    r"""Decision values of one problem under many labellings into two classes.

    With d the difference of the class means, T the total covariance (divisor n) and q = n0 n1 / n^2, the covariance
    within classes is T - q d d', its trace tr T - q d'd, and

        C^-1 d = A^-1 d / (1 - (1 - s) q d' A^-1 d),    A = (1 - s) T + s tr(T - q d d') / p I.

    Parameters
    ----------
    x : (n, p) training samples. x_test : (m, p) samples to be classified.
    labels : (labellings, n) booleans: which samples are called the second class.
    shrinkage : a number in [0, 1], or None; as in :func:`fit`.

    Returns
    -------
    decisions (m, labellings), positive for the second class; sound (labellings,): False where a labelling has a
    single class, or where the covariance within its classes cannot be inverted with full accuracy.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0], [2.0], [5.0], [6.0], [7.0]], dtype=torch.float64)
    >>> label = torch.tensor([[False, False, False, True, True, True]])
    >>> value, sound = permuted_decisions(x, label, torch.tensor([[3.5]], dtype=torch.float64), 0.0)
    >>> abs(round(float(value), 6)), bool(sound)
    (0.0, True)
    """
    n, p = x.shape
    x, x_test = x.double(), x_test.double()
    centre = x.mean(0)
    values, left, right = _directions(x - centre)
    ones = labels.sum(1).double()
    zeros = n - ones
    usable = (ones > 0) & (zeros > 0)
    ones, zeros = ones.clamp_min(1), zeros.clamp_min(1)
    # The mean of the second class relative to that of all samples is (n0 / n) d.
    apart = labels.double() @ left  # (labellings, r): d in the basis
    apart *= (n / (ones * zeros))[:, None]
    q = ones * zeros / n**2
    amount = 0.0 if shrinkage is None else float(shrinkage)
    trace = values.sum() - q * apart.square().sum(1)
    floor = amount * trace / p
    inverse = apart / torch.add((1.0 - amount) * values, floor[:, None])
    length = torch.linalg.vecdot(apart, inverse)
    left_over = 1.0 - (1.0 - amount) * q * length
    full_rank = len(values) == p or amount > 0
    low, high = ((1.0 - amount) * one + floor for one in (values.min(), values.max()))
    sound = usable & (left_over > SOUND) & (low > SOUND * 1e-3 * high) & (floor >= 0) & full_rank & (trace > 0)
    left_over = torch.where(sound, left_over, torch.ones_like(left_over))
    bias = -0.5 * (zeros - ones) / n * length / left_over + torch.log(ones / zeros)
    decisions = ((x_test - centre) @ right) @ inverse.T
    return decisions.div_(left_over).add_(bias), sound


def _directions(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Variances (r,) of centred x along its own directions, x in them (n, r), and the directions (p, r)."""
    n, p = x.shape
    if p <= n:
        values, right = torch.linalg.eigh(x.T @ x)
        if float(values[0]) > EXACT * float(values[-1]):
            return values / n, x @ right, right
    left, s, right = torch.linalg.svd(x, full_matrices=False)
    keep = s > 1e-12 * s.max().clamp_min(torch.finfo(torch.float64).tiny)
    left, s, right = left[:, keep], s[keep], right[keep]
    return s.square() / n, left * s, right.T
