"""Bootstrap over two factors at once: subjects, and the stimuli whose pairs are what is compared.

A resample is kept as counts (how often each entry was drawn), never as a copied array. A pair of stimuli drawn ``m_i``
and ``m_j`` times stands in the resampled matrix ``m_i m_j`` times; a stimulus is never paired with its own copy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from .batching import batches
from .random import check_random_state
from .rank import stable_order


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
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    steps = np.zeros(values.shape, dtype=np.intp)
    np.cumsum(ordered[:, 1:] != ordered[:, :-1], axis=1, out=steps[:, 1:])
    codes = np.empty_like(steps)
    np.put_along_axis(codes, order, steps, axis=1)
    return codes


def standing_of_codes(codes: np.ndarray, kept: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How much of a sample is below each entry, less how much is above.

    This is twice the rank less twice the mean rank, ties sharing the mean of theirs: a whole number.

    Parameters
    ----------
    codes : (m, p) of :func:`dense_codes`.
    kept : (q,) positions of the entries that are in the sample.
    weights : (q,) how often each of these is: whole numbers from 1.

    Returns
    -------
    (m, q) float64.

    Examples
    --------
    >>> standing_of_codes(np.array([[0, 2, 1, 3]]), np.array([0, 2, 3]), np.array([1.0, 2.0, 1.0])).tolist()
    [[-3.0, 0.0, 3.0]]
    """
    out = np.empty((len(codes), len(kept)))
    total = int(np.sum(weights))
    often = None if total == len(kept) else weights
    # Row by row: what a row needs stays in the cache. Sums are of integers, which is fast.
    for row, code in zip(out, codes):
        code = code.take(kept)
        mass = np.bincount(code, often).astype(np.int64, copy=False)
        twice = mass.cumsum()
        twice *= 2
        twice -= mass
        twice -= total
        twice.astype(np.float64).take(code, out=row, mode="clip")
    return out


def standing(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """As :func:`standing_of_codes`, of values (m, p) that stand ``weights`` (p,) times.

    Examples
    --------
    >>> standing(np.array([[5.0, 7.0, 5.0]]), np.ones(3)).tolist()
    [[-1.0, 2.0, -1.0]]
    """
    return _in_parts(values, weights, lambda part: np.argsort(part, axis=1) + _starts(part))


def standing_of_whole(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """As :func:`standing`, of whole numbers (sums of standings), which are sorted digit by digit.

    Examples
    --------
    >>> standing_of_whole(np.array([[5.0, 7.0, 5.0]]), np.array([1.0, 1.0, 2.0])).tolist()
    [[-1.0, 3.0, -1.0]]
    """
    return _in_parts(values, weights, _order_of_whole)


def _order_of_whole(values: np.ndarray) -> np.ndarray:
    values = values - values.min(axis=1, keepdims=True)
    digits: np.ndarray = values.astype(np.uint32 if values.max() < 1 << 32 else np.uint64)
    # Sums of standings of a row without ties are all even, or all odd.
    return stable_order(digits if (digits & 1).any() else digits >> 1)


def _starts(values: np.ndarray) -> np.ndarray:
    """(m, 1) where every row starts when all are one."""
    return np.arange(len(values))[:, None] * values.shape[1]


def _in_parts(values: np.ndarray, weights: np.ndarray, ordered: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Standings; ``ordered`` gives the order of every row, as positions in all of them."""
    out, p = np.empty(values.shape), values.shape[1]
    often, total = np.asarray(weights).astype(np.int64), int(np.sum(weights))
    # Some rows at a time, so that what they need stays in the cache.
    for some in batches(len(values) if p else 0, max(1, 32768 // max(p, 1))):
        part = np.ascontiguousarray(values[some])
        order = ordered(part)
        sorted_ = part.take(order)
        new: np.ndarray = np.ones(part.shape, dtype=bool)
        np.not_equal(sorted_[:, 1:], sorted_[:, :-1], out=new[:, 1:])
        new = new.reshape(-1)
        # All rows are one. Runs of equal values start with their row, and what stands before it is taken off.
        before = np.append(np.flatnonzero(new), new.size)
        if total != p:
            mass = np.zeros(new.size + 1, dtype=np.int64)
            np.cumsum(often.take(order - _starts(part)), out=mass[1:])
            before = mass.take(before)
        run = np.cumsum(new)
        run -= 1
        ranked = out[some]
        ranked.reshape(-1)[order.reshape(-1)] = (before[1:] + before[:-1]).astype(np.float64).take(run)
        ranked -= (2 * np.arange(len(part))[:, None] + 1) * total
    return out


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
