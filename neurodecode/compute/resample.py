"""Bootstrap over two factors at once: subjects, and the stimuli whose pairs are what is compared.

A resample is kept as counts (how often each entry was drawn), never as a copied array. A pair of stimuli drawn ``m_i``
and ``m_j`` times stands in the resampled matrix ``m_i m_j`` times; a stimulus is never paired with its own copy.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .random import check_random_state


def resample_counts(n: int, n_resamples: int, random_state: Any = None) -> np.ndarray:
    """How often each of ``n`` entries is drawn in ``n`` draws with replacement.

    Returns
    -------
    (n_resamples, n) float64 of whole numbers; every row sums to n.

    Examples
    --------
    >>> resample_counts(4, 3, 0).sum(axis=1).tolist()
    [4.0, 4.0, 4.0]
    """
    rng = check_random_state(random_state)
    return rng.multinomial(n, np.full(n, 1.0 / n), size=int(n_resamples)).astype(np.float64)


def pair_weights(counts: np.ndarray) -> np.ndarray:
    """How often each pair stands in a matrix of resampled entries: ``m_i m_j`` above the diagonal, row after row.

    (..., n) counts -> (..., n (n - 1) / 2).

    Examples
    --------
    >>> pair_weights(np.array([2.0, 0.0, 1.0])).tolist()
    [0.0, 2.0, 0.0]
    """
    rows, columns = pair_ends(counts.shape[-1])
    return counts[..., rows] * counts[..., columns]


@lru_cache(maxsize=8)
def pair_ends(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The two members of every pair above the diagonal of (n, n), row after row; read-only.

    Examples
    --------
    >>> [ends.tolist() for ends in pair_ends(3)]
    [[0, 0, 1], [1, 2, 2]]
    """
    ends = np.triu_indices(n, 1)
    for part in ends:
        part.setflags(write=False)
    return ends


def dense_codes(values: np.ndarray) -> np.ndarray:
    """Position of every value among the different values of its row: (m, p) -> (m, p) integers from 0; ties share one.

    Examples
    --------
    >>> dense_codes(np.array([[3.0, 1.0, 3.0]])).tolist()
    [[1, 0, 1]]
    """
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    steps = np.zeros(values.shape, dtype=np.intp)
    np.cumsum(ordered[:, 1:] != ordered[:, :-1], axis=1, out=steps[:, 1:])
    codes = np.empty_like(steps)
    np.put_along_axis(codes, order, steps, axis=1)
    return codes


def ranks_of_codes(codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Ranks in a resample where entry p stands ``weights[p]`` times; ties get the mean of their ranks.

    Parameters
    ----------
    codes : (m, p) of :func:`dense_codes`, of these entries or of more entries among which these are.
    weights : (p,) whole numbers.

    Returns
    -------
    (m, p) float64: exactly half-integers.

    Examples
    --------
    >>> ranks_of_codes(np.array([[0, 1, 2]]), np.array([1.0, 2.0, 1.0])).tolist()
    [[1.0, 2.5, 4.0]]
    """
    ranks = np.empty(codes.shape)
    # Row by row: what a row needs stays in the cache.
    for row, code in zip(ranks, codes):
        mass = np.bincount(code, weights)
        np.take(np.cumsum(mass), code, out=row)
        row -= 0.5 * mass.take(code)
    ranks += 0.5
    return ranks


def weighted_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Ranks within each row of (m, p) values where entry p stands ``weights[p]`` times; ties get their mean.

    Examples
    --------
    >>> weighted_ranks(np.array([[5.0, 7.0, 5.0]]), np.ones(3)).tolist()
    [[1.5, 3.0, 1.5]]
    """
    rows, p = values.shape
    ranks = np.empty(values.shape)
    if not p:
        return ranks
    # Some rows at a time, so that what they need stays in the cache.
    size = max(1, 32768 // p)
    for start in range(0, rows, size):
        part = values[start : start + size]
        order = np.argsort(part, axis=1)
        _rank_ordered(np.take_along_axis(part, order, axis=1), order, weights, ranks[start : start + size])
    return ranks


def ranks_of_halves(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """As :func:`weighted_ranks`, of half-integers (sums of ranks), which are sorted as whole numbers.

    Examples
    --------
    >>> ranks_of_halves(np.array([[5.5, 7.0, 5.5]]), np.array([1.0, 1.0, 2.0])).tolist()
    [[2.0, 4.0, 2.0]]
    """
    rows, p = values.shape
    ranks = np.empty(values.shape)
    if not p:
        return ranks
    often = np.asarray(weights).astype(np.int64)
    # Some rows at a time, so that what they need stays in the cache.
    size = max(1, 32768 // p)
    for start in range(0, rows, size):
        _rank_whole(2.0 * values[start : start + size], often, ranks[start : start + size])
    return ranks


def _rank_whole(values: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """Mean ranks of whole numbers into ``out``: each is sorted with its position in the bits below it."""
    p = values.shape[1]
    values = values - values.min(axis=1, keepdims=True)
    bits, most = int(p - 1).bit_length(), int(values.max())
    if most >= 1 << (63 - bits):
        order = np.argsort(values, axis=1)
        _rank_ordered(np.take_along_axis(values, order, axis=1), order, weights, out)
        return
    kind: Any = np.uint32 if most < 1 << (32 - bits) else np.uint64
    key = values.astype(kind)
    key <<= kind(bits)
    key |= np.arange(p, dtype=kind)
    key.sort(axis=1)
    order = (key & kind((1 << bits) - 1)).astype(np.intp)
    key >>= kind(bits)
    _rank_ordered(key, order, weights, out)


def _rank_ordered(ordered: np.ndarray, order: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """Mean ranks of runs of equal values into ``out``, once it is known how the values of every row are ordered."""
    rows, p = ordered.shape
    ends = np.ones((rows, p), dtype=bool)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=ends[:, :-1])
    # All rows are one: runs of equal values end with their row, and what stands before it is taken off.
    last = np.flatnonzero(ends)
    above = np.cumsum(weights.take(order.ravel()))[last]
    middle = above + 1.0
    middle[1:] += above[:-1]
    middle *= 0.5
    ranked = np.repeat(middle, np.diff(last, prepend=-1)).reshape(rows, p)
    ranked -= np.arange(rows)[:, None] * float(weights.sum())
    order += np.arange(rows)[:, None] * p
    out.reshape(-1)[order.ravel()] = ranked.ravel()


def dual_variance(
    both: np.ndarray, subject: np.ndarray, stimulus: np.ndarray, n_subjects: int, n_stimuli: int
) -> np.ndarray:
    """Variance over new subjects and new stimuli from three bootstraps, without counting noise three times.

    A bootstrap of both factors holds what varies between subjects once, between stimuli once, and what belongs to a
    subject and a stimulus together (measurement noise) three times, where either bootstrap alone holds it once. So
    ``2 (subject + stimulus) - both`` holds all three once. With finite numbers, ``c_s = n_s/(n_s-1)``, ``c_k`` alike:

    ``c_s subject + c_k stimulus - c_s c_k (both - subject - stimulus)``,

    kept between the larger of ``c_s subject``, ``c_k stimulus`` and the uncorrected ``both``.

    Parameters
    ----------
    both, subject, stimulus : (...,) variances of one statistic under the three bootstraps.
    n_subjects, n_stimuli : how many there are.

    Returns
    -------
    (...,) float64.

    Examples
    --------
    >>> round(float(dual_variance(5.0, 2.0, 2.0, 10_000, 10_000)), 2)
    3.0

    Source: Schütt, Kipnis, Diedrichsen and Kriegeskorte 2023, eLife 12:e82566, 2-factor bootstrap with correction.
    """
    c, k = n_subjects / (n_subjects - 1.0), n_stimuli / (n_stimuli - 1.0)
    one, two = c * np.asarray(subject, dtype=np.float64), k * np.asarray(stimulus, dtype=np.float64)
    together = np.asarray(both, dtype=np.float64)
    corrected = one + two - c * k * (together - subject - stimulus)
    least = np.maximum(one, two)
    return np.maximum(np.minimum(corrected, together), least)


def holm(p: np.ndarray) -> np.ndarray:
    """p values adjusted so that the chance of any false rejection stays at the level, whatever the dependence.

    ``max over j <= i of (m - j + 1) p_(j)``, m the finite p values; NaN stay NaN and are not counted as tests.

    Examples
    --------
    >>> holm(np.array([0.01, np.nan, 0.04, 0.03])).round(3).tolist()
    [0.03, nan, 0.06, 0.06]

    Source: Holm 1979, Scandinavian Journal of Statistics 6.
    """
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    finite = np.isfinite(p)
    values = p[finite]
    order = np.argsort(values)
    stepped = np.minimum(np.maximum.accumulate(values[order] * np.arange(values.size, 0, -1)), 1.0)
    back = np.empty(values.size)
    back[order] = stepped
    adjusted[finite] = back
    return adjusted
