"""Comparisons of dissimilarity vectors in which every pair has a weight: what bootstraps and folds are made of.

A resample of the stimuli gives each pair a whole number (how often it stands in the resampled matrix), a fold gives it
0 or 1. Where the measure is a cosine in some space (Pearson, Spearman, cosine, whitened cosine) a matrix becomes a unit
vector in that space, and all scores and ceilings of a resample are products of these vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..compute.batching import batches
from ..compute.resample import dense_codes, pair_ends, pair_weights, standing, standing_of_codes, standing_of_whole
from .rdm_scores import RDM_SCORES, rdm_score, tied


@dataclass(frozen=True)
class Sample:
    """Which stimuli are in, how often, and which pairs follow from that.

    Attributes
    ----------
    counts : (n,) how often each stimulus stands in the sample.
    kept : positions of the pairs that stand in it. weights : how often each of these does.
    """

    counts: np.ndarray
    kept: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, counts: np.ndarray, valid: np.ndarray) -> Sample:
        """The pairs of drawn stimuli, but those that were not measured (``valid`` False)."""
        weights = pair_weights(counts) * valid
        kept = np.flatnonzero(weights)
        return cls(counts, kept, weights[kept])

    @property
    def once(self) -> bool:
        """Whether no pair stands in it twice."""
        return bool((self.weights == 1).all())

    @property
    def distinct(self) -> int:
        """How many different stimuli are in."""
        return int(np.count_nonzero(self.counts))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows to length 1; NaN where a row is constant (or zero), so that its score is NaN."""
    length = np.sqrt(np.einsum("mp,mp->m", vectors, vectors))[:, None]
    return vectors / np.where(length > 0, length, np.nan)


def _centred(values: np.ndarray, sample: Sample) -> np.ndarray:
    mean = values @ sample.weights / sample.weights.sum()
    off = values - mean[:, None]
    # What is constant but for rounding is constant.
    off[np.abs(off).max(axis=1, initial=0.0) <= 1e-12 * np.abs(mean)] = 0.0
    off *= np.sqrt(sample.weights)
    return off


def _plain(values: np.ndarray, sample: Sample) -> np.ndarray:
    return values if sample.once else values * np.sqrt(sample.weights)


def _whitened(values: np.ndarray, sample: Sample) -> np.ndarray:
    """``V^(-1/2) x`` for ``V = 2 I + B B'`` with B which pair holds which stimulus.

    V is the covariance of squared distances between stimuli with independent noise, up to a factor: 4 for a pair with
    itself, 1 for pairs with a common stimulus. In a sample the copies of a stimulus are entries of their own; vectors
    are equal over copies, so pairs enter with the root of their weight and B with the root of the other one's count.
    """
    n = len(sample.counts)
    rows, columns = (ends[sample.kept] for ends in pair_ends(n))
    root = np.sqrt(sample.counts)
    scaled = values * np.sqrt(sample.weights)
    # B'B: what pairs share. Its eigenvectors give the root of the inverse without any (pairs x pairs) matrix.
    gram = np.zeros((n, n))
    gram[rows, columns] = gram[columns, rows] = root[rows] * root[columns]
    present = np.zeros((n, n))
    present[rows, columns] = present[columns, rows] = 1.0
    np.fill_diagonal(gram, present @ sample.counts)
    size, vectors = np.linalg.eigh(gram)
    size = np.maximum(size, 0.0)
    shrink = np.where(size > 1e-12, (1.0 - np.sqrt(2.0 / (2.0 + size))) / np.where(size > 1e-12, size, 1.0), 0.0)
    square = np.zeros((len(values), n, n))
    square[:, rows, columns] = scaled
    square[:, columns, rows] = scaled
    total = square @ root
    taken = (total @ vectors * shrink) @ vectors.T
    return scaled - taken[:, rows] * root[columns] - taken[:, columns] * root[rows]


def _whitened_centred(values: np.ndarray, sample: Sample) -> np.ndarray:
    return _whitened(_centred(values, sample) / np.sqrt(sample.weights), sample)


@dataclass(frozen=True)
class Cosine:
    """A measure that is the cosine between images of two vectors.

    Attributes
    ----------
    image : (m, kept pairs), Sample -> (m, kept pairs), linear in the first.
    ranked : whether ranks within the sample take the place of values (Spearman).
    plain : ``"centred"`` or ``"as is"`` where sums of products are enough (:func:`sums_of_products`), else None.
    """

    image: Callable[[np.ndarray, Sample], np.ndarray]
    ranked: bool = False
    plain: str | None = None

    def prepare(self, vectors: np.ndarray) -> np.ndarray:
        """What is reused in every sample: (m, pairs) values, or the order of the values."""
        return dense_codes(tied(vectors)) if self.ranked else vectors

    def taken(self, prepared: np.ndarray, sample: Sample) -> np.ndarray:
        """(m, kept pairs) values, or twice the ranks in the sample off their mean."""
        return standing_of_codes(prepared, sample.kept, sample.weights) if self.ranked else prepared[:, sample.kept]

    def vectors(self, taken: np.ndarray, sample: Sample) -> np.ndarray:
        """(m, kept pairs) unit vectors of what :meth:`taken` gives, whose products are the scores."""
        return unit(_plain(taken, sample) if self.ranked else self.image(taken, sample))

    def units(self, prepared: np.ndarray, sample: Sample) -> np.ndarray:
        """(m, kept pairs) unit vectors whose products are the scores."""
        return self.vectors(self.taken(prepared, sample), sample)

    def scores(self, one: np.ndarray, two: np.ndarray, sample: Sample) -> np.ndarray:
        """(m, pairs) prepared with (k, pairs) prepared -> (m, k)."""
        return np.clip(self.units(one, sample) @ self.units(two, sample).T, -1.0, 1.0)

    def scores_of_kept(self, values: np.ndarray, aims: np.ndarray, sample: Sample) -> np.ndarray:
        """(m, kept pairs) values themselves with (k, kept pairs) :meth:`taken` -> (m, k)."""
        own = standing(tied(values), sample.weights) if self.ranked else values
        return np.clip(self.vectors(own, sample) @ self.vectors(aims, sample).T, -1.0, 1.0)

    def bounds(self, taken: np.ndarray, sample: Sample, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each subject with the pooled others, and with all pooled: (draws, subjects) twice.

        ``taken`` (subjects, kept pairs) of :meth:`taken`. ``times`` (draws, subjects): how often each subject was
        drawn. The others never hold a copy of oneself; NaN for subjects that were not drawn, and below where one
        subject was drawn alone.
        """
        vectors = self.vectors(taken, sample)
        return self.bounds_of(vectors, taken, sample, times)

    def bounds_of(
        self, vectors: np.ndarray, taken: np.ndarray, sample: Sample, times: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`bounds`, with the :meth:`vectors` of ``taken`` known."""
        if not self.ranked:
            return bounds_of_products(vectors @ vectors.T, times)
        # Everybody who was drawn, and the others of each; many draws have the same others.
        draw, subject = np.nonzero(times)
        others = times[draw]
        others[np.arange(len(draw)), subject] = 0.0
        kinds: dict[bytes, int] = {}
        which = [kinds.setdefault(row.tobytes(), len(kinds)) for row in np.vstack([times, others])]
        pools = np.frombuffer(b"".join(kinds), dtype=times.dtype).reshape(-1, times.shape[1])
        scores = self._with_pools(pools, vectors, taken, sample)[which]
        lower = np.full(times.shape, np.nan)
        lower[draw, subject] = scores[np.arange(len(times), len(scores)), subject]
        return lower, np.where(times > 0, scores[: len(times)], np.nan)

    def _with_pools(self, pools: np.ndarray, vectors: np.ndarray, taken: np.ndarray, sample: Sample) -> np.ndarray:
        """(pools, subjects) scores with the ranks of sums of ranks, NaN where there is nobody in a pool."""
        aims = _plain(vectors, sample).T
        found = np.empty(pools.shape)
        # Sums of whole numbers are exact, so equal sums of ranks stay equal; 32 bits hold those below 2^24.
        largest = pools.sum(axis=1).max(initial=0) * sample.weights.sum()
        kind: Any = np.float32 if 2 * largest < 1 << 24 else np.float64
        pools, taken = pools.astype(kind), taken.astype(kind)
        for some in batches(len(pools), max(1, 32768 // max(taken.shape[1], 1))):
            pooled = standing_of_whole(pools[some] @ taken, sample.weights)
            toward = pooled @ aims
            pooled = _plain(pooled, sample)
            square = np.einsum("kp,kp->k", pooled, pooled)
            found[some] = toward / np.sqrt(np.where(square > 0, square, np.nan))[:, None]
        return np.clip(found, -1.0, 1.0)


def bounds_of_products(gram: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ceilings from the products of the subjects' unit vectors: (..., s, s), (..., draws, s) -> (..., draws, s) twice.

    With ``K`` the products and ``m`` how often each was drawn, all pooled are ``K m / sqrt(m'Km)`` away from each; the
    others of s are so with ``m_s = 0``.
    """
    own = np.diagonal(gram, axis1=-2, axis2=-1)[..., None, :]
    toward = times @ gram
    square = (toward * times).sum(axis=-1, keepdims=True)
    rest = square - 2 * times * toward + times**2 * own
    with np.errstate(invalid="ignore", divide="ignore"):
        lower = (toward - times * own) / np.sqrt(np.where(rest > 1e-12, rest, np.nan))
        upper = toward / np.sqrt(np.where(square > 1e-12, square, np.nan))
    alone = (np.count_nonzero(times, axis=-1) < 2)[..., None]
    lower = np.where((times > 0) & ~alone, lower, np.nan)
    return np.clip(lower, -1.0, 1.0), np.clip(np.where(times > 0, upper, np.nan), -1.0, 1.0)


def sums_of_products(
    data: np.ndarray, models: np.ndarray, counts: np.ndarray, valid: np.ndarray, centred: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of models and products of subjects in many samples at once, by one product of matrices.

    ``sum over pairs of w_p x_p y_p`` with ``w_p = m_i m_j`` is linear in w: the products ``x_p y_p`` of all that are
    compared stand in one matrix, the weights of all samples in another.

    Parameters
    ----------
    data : (s, pairs), models : (m, pairs), counts : (samples, n), valid : (pairs,).
    centred : Pearson; else cosine.

    Returns
    -------
    scores (samples, m, s) and products of unit vectors (samples, s, s); NaN for what is constant in a sample.
    """
    s, m = len(data), len(models)
    rows, columns = np.triu_indices(s)
    both = np.vstack([data, models])[:, valid]
    if centred:
        both = both - both.mean(axis=1, keepdims=True)
    scale = np.sqrt((both**2).mean(axis=1, keepdims=True))
    both = both / np.where(scale > 0, scale, 1.0)
    n_products = len(rows) + m * s + m
    sums = np.zeros((len(counts), n_products + s + m + 1))
    ends = [part[valid] for part in pair_ends(counts.shape[1])]
    # Blocks of pairs: 16 MB of products, and of weights, at most.
    size = max(256, 2_000_000 // max(sums.shape[1], len(counts)))
    for start in range(0, both.shape[1], size):
        part = both[:, start : start + size]
        one, two = part[:s], part[s:]
        table = np.empty((sums.shape[1], part.shape[1]))
        np.multiply(one[rows], one[columns], out=table[: len(rows)])
        np.multiply(two[:, None], one, out=table[len(rows) : len(rows) + m * s].reshape(m, s, part.shape[1]))
        np.multiply(two, two, out=table[len(rows) + m * s : n_products])
        table[n_products:-1] = part
        table[-1] = 1.0
        weights = counts[:, ends[0][start : start + size]] * counts[:, ends[1][start : start + size]]
        sums += weights @ table.T
    mean = np.zeros((len(counts), s + m))
    mass = sums[:, -1:]
    if centred:
        mean = sums[:, n_products:-1] / mass
    one, two = mean[:, :s], mean[:, s:]
    gram = np.empty((len(counts), s, s))
    gram[:, rows, columns] = gram[:, columns, rows] = sums[:, : len(rows)]
    gram -= mass[:, :, None] * one[:, :, None] * one[:, None]
    cross = (
        sums[:, len(rows) : len(rows) + m * s].reshape(len(sums), m, s)
        - mass[:, :, None] * two[:, :, None] * one[:, None]
    )
    length = sums[:, len(rows) + m * s : n_products] - mass * two**2
    # What is constant but for rounding is constant.
    own = np.diagonal(gram, axis1=1, axis2=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        by_subject = 1.0 / np.sqrt(np.where(own > 1e-12 * mass, own, np.nan))
        by_model = 1.0 / np.sqrt(np.where(length > 1e-12 * mass, length, np.nan))
    scores = cross * by_model[:, :, None] * by_subject[:, None]
    return np.clip(scores, -1.0, 1.0), gram * by_subject[:, :, None] * by_subject[:, None]


@dataclass(frozen=True)
class Table:
    """A measure that is only known as (m, pairs) x (k, pairs) -> (m, k): samples are written out in full.

    Pooled matrices are means of ranks, or of standardised values where ``ranked`` is False.
    """

    measure: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ranked: bool = True

    def prepare(self, vectors: np.ndarray) -> np.ndarray:
        return tied(vectors) if self.ranked else vectors

    def taken(self, prepared: np.ndarray, sample: Sample) -> np.ndarray:
        return prepared[:, sample.kept]

    def units(self, prepared: np.ndarray, sample: Sample) -> np.ndarray:
        return unit(_centred(self._pooling(self.taken(prepared, sample), sample), sample))

    def image(self, values: np.ndarray, sample: Sample) -> np.ndarray:
        return _centred(values, sample)

    def _pooling(self, values: np.ndarray, sample: Sample) -> np.ndarray:
        """What is averaged: ranks, or values."""
        return standing(values, sample.weights) if self.ranked else values

    def _written(self, values: np.ndarray, sample: Sample) -> np.ndarray:
        return np.repeat(values, sample.weights.astype(np.intp), axis=1)

    def scores(self, one: np.ndarray, two: np.ndarray, sample: Sample) -> np.ndarray:
        return self.scores_of_kept(one[:, sample.kept], two[:, sample.kept], sample)

    def scores_of_kept(self, values: np.ndarray, aims: np.ndarray, sample: Sample) -> np.ndarray:
        full = [self._written(part, sample) for part in (values, aims)]
        return np.asarray(self.measure(full[0], full[1]), dtype=np.float64)

    def bounds(self, taken: np.ndarray, sample: Sample, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own, parts = self._written(taken, sample), self._pooling(taken, sample)
        if not self.ranked:
            parts = unit(_centred(parts, sample)) / np.sqrt(sample.weights)
        lower, upper = np.full(times.shape, np.nan), np.full(times.shape, np.nan)
        for at, often in enumerate(times):
            drawn = np.flatnonzero(often)
            everyone = often[drawn] @ parts[drawn]
            pooled = self._written(np.vstack([everyone - often[drawn, None] * parts[drawn], everyone]), sample)
            upper[at, drawn] = np.asarray(self.measure(own[drawn], pooled[-1:]))[:, 0]
            if len(drawn) > 1:
                for row, subject in enumerate(drawn):
                    lower[at, subject] = np.asarray(self.measure(own[subject : subject + 1], pooled[row : row + 1]))[
                        0, 0
                    ]
        return lower, upper


Measure = Cosine | Table
COSINES: dict[str, Cosine] = {
    "spearman": Cosine(_centred, ranked=True),
    "pearson": Cosine(_centred, plain="centred"),
    "cosine": Cosine(_plain, plain="as is"),
    "whitened_cosine": Cosine(_whitened),
    "whitened_pearson": Cosine(_whitened_centred),
}


def measure_of(how: Any) -> Measure:
    """The comparison called ``how``; any row of the table of scores, or a function, works by writing samples out."""
    if isinstance(how, str) and how in COSINES:
        return COSINES[how]
    row = rdm_score(how)
    for name, cosine in COSINES.items():
        if RDM_SCORES.get(name) is row:
            return cosine
    return Table(row, ranked=isinstance(how, str))
