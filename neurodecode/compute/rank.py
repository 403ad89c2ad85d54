"""Rank statistics of many vectors with many others: ranks with ties, and Kendall's count of disagreements.

Disagreements are the inversions of a permutation. They are counted on a grid: positions in chunks and values in buckets
of about the square root of the length. Pairs in one chunk, and pairs in one bucket, are compared one by one, which is a
few vector instructions for each; the others are counted by cumulative sums over the grid. Exact, in integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 along the last axis, ties sharing the mean of theirs.

    Examples
    --------
    >>> ranks(np.array([[10.0, 30.0, 20.0, 20.0]])).tolist()
    [[1.0, 4.0, 2.5, 2.5]]
    """
    values = np.asarray(values)
    rows = values.reshape(-1, values.shape[-1])
    p = rows.shape[1]
    out = np.empty(rows.shape)
    at = np.arange(p)
    for row, ranked in zip(rows, out):
        order = np.argsort(row)
        ordered = row[order]
        new = ordered[1:] != ordered[:-1]
        if new.all():
            ranked[order] = at + 1.0
            continue
        ends = np.flatnonzero(np.concatenate([new, [True]]))
        sizes = np.diff(ends, prepend=-1)
        ranked[order] = np.repeat(ends + 1.0 - (sizes - 1) / 2, sizes)
    return out.reshape(values.shape)


def kendall_tau_a(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Kendall's tau-a of every row of one array with every row of the other.

    ``tau_a = sum_{s<t} sign(a_s - a_t) sign(b_s - b_t) / (p (p - 1) / 2)``. A tie counts for nothing in the sum and
    stays in the denominator, so that a vector with ties cannot gain by not deciding.

    Parameters
    ----------
    a : (m, p), b : (k, p) finite numbers, p at least 2.

    Returns
    -------
    (m, k) float64 in [-1, 1].

    Source: Kendall 1938, Biometrika 30; for dissimilarities Nili et al. 2014, PLoS Computational Biology 10.

    Examples
    --------
    >>> a, b = np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[1.0, 3.0, 2.0, 4.0], [1.0, 1.0, 2.0, 2.0]])
    >>> kendall_tau_a(a, b).round(6).tolist()
    [[0.666667, 0.666667]]
    """
    p = a.shape[-1]
    if p < 2 or b.shape[-1] != p:
        raise ValueError(f"a has shape {a.shape} and b {b.shape}; both must have the same 2 or more entries in a row")
    left, right = [_ordered(row) for row in a], [_ordered(row) for row in b]
    out = np.empty((len(a), len(b)))
    pairs = p * (p - 1) // 2
    for i, one in enumerate(left):
        for j, two in enumerate(right):
            out[i, j] = _agreement(one, two, pairs) / pairs
    return out


def inversions(positions: np.ndarray, values: np.ndarray) -> int:
    """Pairs of a permutation that stand in the wrong order: s < t and values[s] > values[t].

    Parameters
    ----------
    positions : (p,) where each value stands, the inverse of ``values``; both of the integers 0 ... p - 1.

    Examples
    --------
    >>> inversions(np.array([2, 0, 1]), np.array([1, 2, 0]))
    2
    """
    p = len(values)
    bits = max(1, int(np.log2(0.9 * max(2, p) ** 0.5)))
    chunks = -(-p // (1 << bits))
    size = chunks << bits
    placed = np.arange(size, dtype=np.uint16 if size <= 1 << 16 else np.uint32)
    bucket_of = np.right_shift(placed, bits)
    placed[:p] = values
    chunk_of = bucket_of.copy()
    chunk_of[:p] = np.right_shift(positions.astype(placed.dtype), bits)
    # counts of the grid, chunk of the position x bucket of the value, then those later and smaller than each cell
    cells = chunk_of.astype(np.int64) * chunks + bucket_of
    grid = np.bincount(cells, minlength=chunks * chunks).astype(np.int32).reshape(chunks, chunks)
    smaller = np.cumsum(np.cumsum(grid[::-1], axis=0, dtype=np.int32)[::-1], axis=1, dtype=np.int32)
    apart = int(np.einsum("ij,ij->", grid[:-1, 1:], smaller[1:, :-1], dtype=np.int64, casting="unsafe"))
    return apart + _within(placed.reshape(chunks, -1)) + _within(chunk_of.reshape(chunks, -1))


def _within(rows: np.ndarray) -> int:
    """Pairs s < t of a row with entry s > entry t, over all rows."""
    flat = np.ascontiguousarray(rows.T).reshape(-1)
    larger = np.empty(flat.size, dtype=bool)
    total = 0
    for lag in range(len(rows), flat.size, len(rows)):
        left = flat.size - lag
        total += int(np.count_nonzero(np.greater(flat[:left], flat[lag:], out=larger[:left])))
    return total


def stable_order(values: np.ndarray) -> np.ndarray:
    """``argsort`` of whole numbers from 0 along the last axis, equal ones in the order they stand in.

    16 bits at a time, which is a radix sort in NumPy.

    Returns
    -------
    Positions in ``values.reshape(-1)``, of the shape of ``values``.

    Examples
    --------
    >>> stable_order(np.array([[2, 0, 1], [70000, 1, 1]])).tolist()
    [[1, 2, 0], [4, 5, 3]]
    """
    starts = np.arange(0, values.size, max(values.shape[-1], 1)).reshape(*values.shape[:-1], 1)
    order = np.argsort(values.astype(np.uint16), axis=-1, kind="stable") + starts
    left, shift = int(values.max(initial=0)) >> 16, 16
    while left:
        digits = (values >> shift).astype(np.uint8 if left < 256 else np.uint16)
        order = order.take(np.argsort(digits.take(order), axis=-1, kind="stable") + starts)
        left, shift = left >> 16, shift + 16
    return order


@dataclass(frozen=True)
class _Ordered:
    """A vector as what counting needs: its order, its dense ranks from 0, and how many pairs are tied."""

    order: np.ndarray
    dense: np.ndarray
    tied: int


def _ordered(values: np.ndarray) -> _Ordered:
    order = np.argsort(values, kind="stable")
    steps = np.concatenate([[False], values[order][1:] != values[order][:-1]])
    dense = np.empty(len(values), dtype=np.int64)
    dense[order] = np.cumsum(steps)
    return _Ordered(order, dense, _pairs(np.bincount(dense)))


def _pairs(counts: np.ndarray) -> int:
    return int((counts * (counts - 1) // 2).sum())


def _agreement(one: _Ordered, two: _Ordered, pairs: int) -> int:
    """Concordant minus discordant pairs."""
    p = len(one.order)
    joint = 0
    if one.tied:
        # in the order of the first, its ties in the order of the second: a tie is no inversion
        order = two.order[stable_order(one.dense[two.order])]
        if two.tied:
            changes = (np.diff(one.dense[order]) != 0) | (np.diff(two.dense[order]) != 0)
            joint = _pairs(np.diff(np.flatnonzero(np.concatenate([[True], changes, [True]]))))
    else:
        order = one.order
    values = two.dense[order]
    if two.tied:
        # ties of the second become ranks in the order in which they stand now
        positions = stable_order(values)
        values = np.empty(p, dtype=np.int64)
        values[positions] = np.arange(p)
    else:
        positions = np.empty(p, dtype=np.int64)
        positions[values] = np.arange(p)
    return pairs - one.tied - two.tied + joint - 2 * inversions(positions, values)
