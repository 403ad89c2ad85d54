"""Banded ridge as algebra: one penalty for each band of features, chosen for each target.

With the centred features split into bands X_1 .. X_B, weights g on the simplex and a penalty a,

    W = argmin ||sum_b X_b W_b - Y||^2 + sum_b (a / g_b) ||W_b||^2

is ridge with penalty a on the features ``[sqrt(g_b) X_b]``, or on the kernel ``sum_b g_b X_b X_b'``. So every point g
of a search costs one eigendecomposition a fold, which serves all penalties and all targets. Dupre la Tour et al.
(2022), NeuroImage 264, sections 2.4-2.6; Nunez-Elizalde et al. (2019), NeuroImage 197.

Pure functions of tensors. ``g`` is (bands, targets) or (bands,), its columns sum to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from .batching import batches
from .ridge_path import held_out_total

CONCENTRATIONS = (0.1, 1.0)  # of the Dirichlet draws, in turn: points near the corners, points anywhere
SWEEP = 2048  # targets scored at once
EXPLORE = 0.4  # share of an adaptive search that is drawn at random
CANDIDATES = 512  # points among which an adaptive search looks for the next
ASKED = 2000  # targets that are asked at most where to go next
LENGTH, NUGGET = 0.35, 1e-3  # of the Gaussian process over square roots of shares: reach, and variance of the noise


@dataclass(frozen=True)
class Bands:
    """Centred and scaled features in bands, ready for either form.

    ``x`` (n, p); ``band`` (p,) the number of each feature's band; ``count`` bands; ``grams`` (bands, n, n) float64
    in the kernel form, None in the primal.
    """

    x: Tensor
    band: Tensor
    count: int
    grams: Tensor | None

    def weighted(self, gamma: Tensor) -> Tensor:
        """Kernel form: the sum of the kernels, (n, n)."""
        assert self.grams is not None
        return torch.tensordot(gamma.to(self.grams), self.grams, dims=1)

    def power(self) -> np.ndarray:
        """Sum of squares of the features of each band, (bands,)."""
        total = self.x.new_zeros(self.count, dtype=torch.float64)
        total.index_add_(0, self.band, self.x.square().sum(0).double())
        return np.asarray(total.cpu().numpy())


def prepare_bands(x: Tensor, band: Tensor, count: int, kernel: bool) -> Bands:
    """Bands of ``x`` (n, p); with their kernels where ``kernel`` is True.

    Examples
    --------
    >>> x = torch.eye(3, dtype=torch.float64)
    >>> prepare_bands(x, torch.tensor([0, 0, 1]), 2, True).grams.sum(0)
    tensor([[1., 0., 0.],
            [0., 1., 0.],
            [0., 0., 1.]], dtype=torch.float64)
    """
    grams = None
    if kernel:
        grams = x.new_zeros((count, len(x), len(x)), dtype=torch.float64)
        for number in range(count):
            columns = torch.nonzero(band == number)[:, 0]
            for some in batches(len(columns), 4096):
                part = x[:, columns[some]].double()
                grams[number].addmm_(part, part.T)
    return Bands(x, band, count, grams)


@dataclass(frozen=True)
class Split:
    """One fold of the search: row numbers, and in the primal form its moments.

    ``gram`` (p, p) of the centred training rows; ``held`` (k, p) the held-out rows centred with training means, turned
    by ``rotation`` (m, k) into p rows where there are more of them. None in the kernel form.
    """

    train: Tensor
    test: Tensor
    left: Tensor | None = None
    gram: Tensor | None = None
    held: Tensor | None = None
    rotation: Tensor | None = None


def make_split(bands: Bands, train: Tensor, test: Tensor) -> Split:
    """A fold of ``bands``."""
    if bands.grams is not None:
        return Split(train, test)
    left, held, rotation = bands.x[train], bands.x[test], None
    mean = left.mean(0)
    left, held = left - mean, held - mean
    if held.shape[1] < held.shape[0]:
        turned, triangle = torch.linalg.qr(held.double())
        rotation, held = turned.to(held), triangle.to(held)
    wide = left.double()
    return Split(train, test, left, (wide.T @ wide), held, rotation)


@dataclass(frozen=True)
class Table:
    """The targets of one fold, as the search needs them.

    ``cross`` (q, t): the centred training targets, in the primal form led into the features; ``held`` (k, t): the
    held-out targets less the training means; ``outside`` (t,): squared error that no penalty changes;
    ``total`` (t,): what the squared error is divided by, 0 where the target does not vary.
    """

    cross: Tensor
    held: Tensor
    outside: Tensor
    total: Tensor


def make_table(split: Split, y: Tensor) -> Table:
    """Targets ``y`` (n, t) of all rows, cut for one fold; R2 is defined as in :func:`linalg.path_r2`."""
    y_train, y_test = y[split.train], y[split.test]
    total = held_out_total(y_train, y_test)
    mean = y_train.mean(0)
    y_train -= mean
    y_test -= mean
    outside = torch.zeros_like(total)
    if split.rotation is not None:
        inside = split.rotation.T @ y_test
        outside = (y_test.square().sum(0) - inside.square().sum(0)).clamp_min_(0.0)
        y_test = inside
    return Table(y_train if split.left is None else split.left.T @ y_train, y_test, outside, total)


@dataclass(frozen=True)
class Factors:
    """One point of the search in one fold: ``turn`` (r, q) leads ``Table.cross`` into the spectrum, ``basis`` (k, r)
    leads it out to the held-out rows, ``values`` (r,) are the eigenvalues."""

    turn: Tensor
    basis: Tensor
    values: Tensor


def factorise_point(bands: Bands, split: Split, gamma: Tensor, kernel: Tensor | None, dtype: torch.dtype) -> Factors:
    """Eigenvectors of one fold at the weights ``gamma`` (bands,).

    ``kernel`` is ``bands.weighted(gamma)`` in the kernel form, shared by the folds; ``dtype`` is that of the
    factorisation.
    """
    if kernel is not None:
        return factorise_kernel(kernel, split.train, split.test, dtype)
    assert split.gram is not None and split.held is not None
    root = gamma.to(split.gram).sqrt()[bands.band]
    values, vectors = _eigh((root[:, None] * split.gram * root).to(dtype))
    lead = (root[:, None].to(vectors) * vectors).to(split.held)
    return Factors(lead.T, split.held @ lead, values)


def factorise_kernel(kernel: Tensor, train: Tensor, test: Tensor, dtype: torch.dtype) -> Factors:
    """The fold of any kernel (n, n), centred in feature space with the means of the training rows."""
    among, to = kernel[train][:, train], kernel[test][:, train]
    mean = among.mean(0)
    to = to - to.mean(1, keepdim=True) - mean + mean.mean()
    among = among - mean - mean[:, None] + mean.mean()
    values, vectors = _eigh(among.to(dtype))
    return Factors(vectors.T, to.to(dtype) @ vectors, values)


def _eigh(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues above rounding level and their vectors."""
    values, vectors = torch.linalg.eigh(gram)
    keep = values > torch.finfo(gram.dtype).eps * max(len(gram), 1) * values.amax().clamp_min(0.0)
    return values[keep], vectors[:, keep]


def path_scores(factors: Sequence[Factors], tables: Sequence[Table], alphas: Tensor, columns: Tensor | None) -> Tensor:
    """Mean R2 over folds of each penalty for each target: (penalties, t).

    ``alphas`` (penalties, 1) for all targets or (penalties, t) for each; ``columns`` chooses targets, None takes all.
    """
    t = tables[0].total.shape[0] if columns is None else len(columns)
    found = tables[0].total.new_zeros((len(alphas), t))
    for some in batches(t, SWEEP):
        which = slice(some.start, some.stop) if columns is None else columns[some]
        for factor, table in zip(factors, tables):
            spectral = factor.turn.to(table.cross) @ table.cross[:, which]
            basis, held = factor.basis.to(spectral), table.held[:, which]
            total, outside = table.total[which], table.outside[which]
            scale = torch.where(total > 0, 1.0 / torch.where(total > 0, total, torch.ones_like(total)), 0.0)
            for number, alpha in enumerate(alphas):
                here = alpha if len(alpha) == 1 else alpha[some]
                shrunk = spectral / (factor.values[:, None] + here.to(factor.values)[None]).to(spectral)
                error = torch.addmm(held, basis, shrunk, beta=-1.0).square_().sum(0)
                found[number, some] += torch.where(total > 0, 1.0 - (error + outside) * scale, 0.0)
    return found.div_(len(factors)).nan_to_num_(nan=-torch.inf)


@dataclass
class Winners:
    """The best point found so far for each target: ``score`` (t,), ``alpha`` (t,), ``gamma`` (bands, t)."""

    score: Tensor
    alpha: Tensor
    gamma: Tensor

    @classmethod
    def none(cls, bands: int, t: int, like: Tensor) -> Winners:
        """Before the first point."""
        alpha = like.new_ones(t, dtype=torch.float64)
        return cls(like.new_full((t,), -torch.inf), alpha, alpha.expand(bands, t) / bands)

    def offer(self, scores: Tensor, alphas: Tensor, gamma: Tensor, columns: Tensor | None) -> None:
        """Take the penalties of a point where they are better; the first of equals stays."""
        best = scores.argmax(0)
        at = torch.arange(len(best), device=best.device)
        score = scores[best, at]
        alpha = alphas[best, at if alphas.shape[1] > 1 else 0]
        places = at if columns is None else columns
        better = score > self.score[places]
        places = places[better]
        self.score[places] = score[better]
        self.alpha[places] = alpha[better].to(self.alpha)
        self.gamma[:, places] = gamma.to(self.gamma)[:, None].expand(-1, len(places))


def points(n_iter: int, power: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Weights to try, (n_iter, bands): all bands alike, each band alone, then Dirichlet draws.

    The first is ridge on all features, so that a search never ends below it. What is drawn are shares of variance:
    a band of many features, with much ``power`` (bands,), gets a smaller weight for the same share.

    Examples
    --------
    >>> points(4, np.ones(2), np.random.default_rng(0))[:3].tolist()
    [[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]]
    """
    n_bands = len(power)
    if n_bands == 1:
        return np.ones((1, 1))
    fixed = np.vstack([np.full(n_bands, 1.0 / n_bands), np.eye(n_bands)])
    drawn = [
        from_shares(rng.dirichlet(np.full(n_bands, CONCENTRATIONS[number % 2])), power)
        for number in range(max(0, n_iter - len(fixed)))
    ]
    return np.vstack([fixed, *drawn])[:n_iter]


def from_shares(share: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Weights on the simplex at which each band has a share of the variance of all."""
    weight = share / np.where(power > 0, power, 1.0)
    return np.asarray(weight / weight.sum(-1, keepdims=True))


def random_search(
    bands: Bands,
    splits: Sequence[Split],
    tables: Sequence[Table],
    alphas: Tensor,
    n_iter: int,
    rng: np.random.Generator,
) -> Winners:
    """The best of ``n_iter`` points and all penalties for each target; every target sees the same points."""
    winners = Winners.none(bands.count, len(tables[0].total), tables[0].total)
    for gamma in torch.from_numpy(points(n_iter, bands.power(), rng)):
        factors = _factors(bands, splits, gamma, tables[0].cross.dtype)
        winners.offer(path_scores(factors, tables, alphas[:, None], None), alphas[:, None], gamma, None)
    return winners


def adaptive_search(
    bands: Bands,
    splits: Sequence[Split],
    tables: Sequence[Table],
    alphas: Tensor,
    n_iter: int,
    rng: np.random.Generator,
) -> Winners:
    """Some points at random, each of the others where the targets together expect most.

    All targets are scored at the same points, so one Gaussian process over the points, with the scores of each target
    as its values, says for any other point what each target would expect to gain (expected improvement: Jones,
    Schonlau & Welch 1998, J. Global Optimization 13). The point with the largest sum is next, at the penalties next to
    the best so far. So the points that a target sees depend on which other targets there are.

    Parameters and returns as :func:`random_search`.
    """
    power = bands.power()
    winners = Winners.none(bands.count, len(tables[0].total), tables[0].total)
    explore = n_iter if bands.count == 1 else max(min(n_iter, bands.count + 2), round(EXPLORE * n_iter))
    tried = list(points(explore, power, rng))
    seen: list[Tensor] = []
    asked = np.sort(rng.permutation(len(winners.score))[:ASKED])
    for number in range(n_iter if bands.count > 1 else 1):
        if number >= explore:
            tried.append(_next_point(np.array(tried), torch.stack(seen).cpu().numpy(), power, rng))
        gamma, size = torch.from_numpy(tried[number]), float(tried[number] @ power)
        near = alphas[:, None]
        if number >= explore and len(alphas) > 3:
            ideal = winners.alpha / (torch.from_numpy(power).to(winners.gamma) @ winners.gamma) * size
            place = (ideal[None].log() - alphas.to(ideal).clamp_min(1e-300)[:, None].log()).abs().argmin(0)
            place = place.clamp(1, len(alphas) - 2)
            near = alphas[place[None] + torch.tensor([[-1], [0], [1]], device=place.device)]
        scores = path_scores(_factors(bands, splits, gamma, tables[0].cross.dtype), tables, near, None)
        winners.offer(scores, near, gamma, None)
        seen.append(scores.amax(0)[asked])
    return winners


def _next_point(tried: np.ndarray, scores: np.ndarray, power: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where the sum over targets of the expected improvement is largest: (bands,)."""
    n_bands = tried.shape[1]
    share = np.concatenate([rng.dirichlet(np.full(n_bands, c), CANDIDATES // 2) for c in (0.5, 1.0)])
    candidates = from_shares(share, power)
    here, there = (np.sqrt(w * power / (w * power).sum(1, keepdims=True)) for w in (tried, candidates))

    def like(one: np.ndarray, two: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-np.square(one[:, None] - two[None]).sum(2) / (2 * LENGTH**2)))

    usable = np.isfinite(scores).all(0) & (scores.max(0) > 0)
    if not usable.any():
        return np.asarray(candidates[0])
    values = scores[:, usable].astype(np.float64)
    centre = values.mean(0)
    spread = values.std(0) + 1e-12
    weights = np.linalg.solve(like(here, here) + NUGGET * np.eye(len(here)), np.eye(len(here)))
    cross = like(there, here)
    mean = cross @ (weights @ ((values - centre) / spread))
    sigma = np.sqrt(np.maximum(1 - np.einsum("ck,kl,cl->c", cross, weights, cross), 1e-12))[:, None]
    gain = mean - ((values.max(0) - centre) / spread)
    z = gain / sigma
    expected = gain * ndtr(z) + sigma * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.asarray(candidates[int((expected * spread).sum(1).argmax())])


def _factors(bands: Bands, splits: Sequence[Split], gamma: Tensor, dtype: torch.dtype) -> list[Factors]:
    kernel = None if bands.grams is None else bands.weighted(gamma)
    return [factorise_point(bands, split, gamma, kernel, dtype) for split in splits]


def solve_banded(bands: Bands, y: Tensor, gamma: Tensor, alpha: Tensor) -> Tensor:
    """argmin_W ||x W - y||^2 + sum_b (alpha / gamma_b) ||W_b||^2, for each target its own weights and penalty.

    Parameters
    ----------
    bands : of all samples. y : (n, t) centred targets.
    gamma : (bands, t) weights on the simplex. alpha : (t,) penalties, 0 or more.

    Returns
    -------
    (p, t) feature weights in the dtype of y; a band of weight 0 gets 0.

    Examples
    --------
    >>> x = torch.eye(2, dtype=torch.float64)
    >>> bands = prepare_bands(x, torch.tensor([0, 1]), 2, False)
    >>> gamma, alpha = torch.tensor([[0.5], [0.5]], dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    >>> solve_banded(bands, torch.tensor([[2.0], [4.0]], dtype=torch.float64), gamma, alpha).round(decimals=6)
    tensor([[1.],
            [2.]], dtype=torch.float64)
    """
    weights = y.new_zeros((bands.x.shape[1], y.shape[1]))
    unique, place = torch.unique(gamma, dim=1, return_inverse=True)
    gram = None if bands.grams is not None else bands.x.double().T @ bands.x.double()
    for number in range(unique.shape[1]):
        columns = torch.nonzero(place == number)[:, 0]
        share = unique[:, number].to(bands.band.device).double()
        root = share.sqrt()[bands.band]
        if gram is not None:
            values, vectors = _eigh(root[:, None] * gram * root)
            right = vectors.T @ (root[:, None] * (bands.x.T @ y[:, columns].to(bands.x)).double())
            found = root[:, None] * (vectors @ (right / (values[:, None] + alpha[columns])))
        else:
            values, vectors = _eigh(bands.weighted(share))
            dual = vectors @ ((vectors.T @ y[:, columns].double()) / (values[:, None] + alpha[columns]))
            found = root.square()[:, None] * (bands.x.T @ dual.to(bands.x)).double()
        weights[:, columns] = found.to(weights)
    return weights
