"""What chance would give: permutation orders, p values, multiple tests, intervals, on plain arrays.

Orders say which target a sample receives: ``y[order]`` is one draw from the null distribution. Samples are only
exchanged where that is allowed: within a block (a run), whole stimuli at a time, or by circular shifts of a series.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._names import lookup
from .._numbers import whole
from ..exceptions import DegenerateDataError
from .random import check_random_state

FEWEST_RESAMPLED = 5


def codes(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Integers from 0 for equal values, numbered in order of first appearance.

    Examples
    --------
    >>> codes(["b", "a", "b"]).tolist()
    [0, 1, 0]
    """
    _, first, inverse = np.unique(np.asarray(values), return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.intp)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[inverse.reshape(-1)]


def _exchange_classes(n: int, blocks: Any, groups: Any) -> list[np.ndarray]:
    """Arrays (units, members): rows of one array may change places, their members staying in the same blocks."""
    block = np.zeros(n, dtype=np.intp) if blocks is None else codes(blocks)
    group = np.arange(n) if groups is None else codes(groups)
    if len(block) != n or len(group) != n:
        raise ValueError(f"{n} samples need one label each; there are {len(block)} blocks and {len(group)} groups")
    order = np.lexsort((np.arange(n), block, group))
    edges = np.flatnonzero(np.diff(group[order])) + 1
    classes: dict[tuple[int, ...], list[np.ndarray]] = {}
    for members in np.split(order, edges):
        classes.setdefault(tuple(block[members].tolist()), []).append(members)
    return [np.stack(rows) for rows in classes.values()]


def _least_shift(length: int, min_shift: int | None) -> int:
    return max(1, math.ceil(length / 10)) if min_shift is None else max(1, int(min_shift))


def count_orders(
    n_samples: int,
    blocks: Any = None,
    groups: Any = None,
    how: str = "shuffle",
    labels: Any = None,
    min_shift: int | None = None,
) -> float:
    """How many different draws there are, the observed one among them; 1 when nothing can be exchanged.

    Parameters
    ----------
    n_samples, blocks, groups, how, min_shift : as in :func:`permutation_orders`.
    labels : (n,) class labels; exchanging equal labels makes no new draw.

    Returns
    -------
    A count as float, ``inf`` above 1e300. No p value can be smaller than one over it.

    Examples
    --------
    >>> count_orders(4), count_orders(4, blocks=[1, 1, 2, 2]), count_orders(4, labels=["a", "a", "b", "b"])
    (24.0, 4.0, 6.0)
    """
    total = 0.0
    if how == "shift":
        block = np.zeros(n_samples, dtype=np.intp) if blocks is None else codes(blocks)
        for length in np.bincount(block, minlength=1):
            total += math.log(max(1, length - 2 * _least_shift(int(length), min_shift) + 1))
        # The observed order comes on top of the shifted ones.
        return math.inf if total > 690 else float(round(math.exp(total))) + 1.0
    label = None if labels is None else codes(labels)
    for rows in _exchange_classes(n_samples, blocks, groups):
        total += math.lgamma(len(rows) + 1)
        if label is not None:
            _, counts = np.unique(label[rows], axis=0, return_counts=True)
            total -= sum(math.lgamma(count + 1) for count in counts)
    return math.inf if total > 690 else float(round(math.exp(total)))


def permutation_orders(
    n_samples: int,
    n_permutations: int,
    blocks: Any = None,
    how: str = "shuffle",
    random_state: Any = None,
    *,
    groups: Any = None,
    min_shift: int | None = None,
) -> np.ndarray:
    """Random orders of the targets that keep what must be kept.

    Parameters
    ----------
    n_samples : number of samples, n.
    n_permutations : number of orders.
    blocks : (n,) labels; samples stay in their block (a run). None: one block.
    how : ``"shuffle"`` exchanges samples; ``"shift"`` turns each block round by a random number of samples, which
        keeps the autocorrelation of a series (samples must be in order of time within a block).
    random_state : seed.
    groups : (n,) labels; samples of one group (repeats of a stimulus) move together, to the places of a group that
        has as many samples in the same blocks. Only for ``"shuffle"``.
    min_shift : least number of samples to shift by, either way; a tenth of the block when None.

    Returns
    -------
    (n_permutations, n) integers: ``y[orders[i]]`` is draw i.

    Raises
    ------
    DegenerateDataError : nothing can be exchanged; the message says why.
    ValueError : ``how`` is not known, labels have another length, or the number of draws is no whole number.

    Examples
    --------
    >>> permutation_orders(4, 2, blocks=["a", "a", "b", "b"], random_state=0).shape
    (2, 4)

    Source: Winkler et al. 2014, NeuroImage 92, on exchangeability blocks.
    """
    draw = lookup({"shuffle": _shuffled, "shift": _shifted}, how, "how")
    rng = check_random_state(random_state)
    orders = np.tile(np.arange(n_samples, dtype=np.intp), (whole(n_permutations, "permutations"), 1))
    draw(orders, blocks, groups, min_shift, rng)
    return orders


def _shuffled(orders: np.ndarray, blocks: Any, groups: Any, min_shift: int | None, rng: np.random.Generator) -> None:
    classes = [rows for rows in _exchange_classes(orders.shape[1], blocks, groups) if len(rows) > 1]
    if not classes:
        what = "samples" if groups is None else "groups of samples (repeated stimuli)"
        raise DegenerateDataError(
            f"no two {what} can change places: every one stands alone in its blocks. "
            "Name wider blocks, or pass blocks=False to exchange freely and say so in the result."
        )
    for order in orders:
        for rows in classes:
            order[rows] = rows[rng.permutation(len(rows))]


def _shifted(orders: np.ndarray, blocks: Any, groups: Any, min_shift: int | None, rng: np.random.Generator) -> None:
    if groups is not None:
        raise ValueError("groups cannot be kept together by circular shifts; use how='shuffle'")
    block = np.zeros(orders.shape[1], dtype=np.intp) if blocks is None else codes(blocks)
    series = [np.flatnonzero(block == value) for value in range(block.max(initial=0) + 1)]
    turns = [(_least_shift(len(places), min_shift), places) for places in series]
    if all(len(places) < 2 * least for least, places in turns):
        longest = max(len(places) for places in series)
        raise DegenerateDataError(
            f"a series of {longest} samples is too short to shift by {min_shift or 'a tenth of it'} either way"
        )
    for order in orders:
        for least, places in turns:
            if len(places) >= 2 * least:
                order[places] = np.roll(places, rng.integers(least, len(places) - least + 1))


def _as_large(null: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """null >= observed, counting differences of rounding as ties."""
    with np.errstate(invalid="ignore"):
        return null >= observed - 1e-12 * np.maximum(1.0, np.abs(observed))


def p_value(observed: np.ndarray, null: np.ndarray, axis: int = 0) -> np.ndarray:
    """Permutation p value, one-sided: ``p = (b + 1) / (n + 1)`` with b of n draws at least as large as observed.

    Parameters
    ----------
    observed : (...,) scores.
    null : (n, ...) the same scores under permutation; draws that are NaN are left out of b and n.
    axis : where the draws stand in ``null``.

    Returns
    -------
    (...,) float64, never 0; NaN where observed is NaN or no draw is finite.

    Examples
    --------
    >>> p_value(np.array(0.9), np.array([0.1, 0.95, 0.3])).item()
    0.5

    Source: Phipson and Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9, eq. 2.
    """
    observed = np.asarray(observed, dtype=np.float64)
    null = np.moveaxis(np.asarray(null, dtype=np.float64), axis, 0)
    finite = np.isfinite(null)
    above = (_as_large(null, observed) & finite).sum(axis=0)
    count = finite.sum(axis=0)
    return np.where(np.isfinite(observed) & (count > 0), (above + 1.0) / (count + 1.0), np.nan)


def max_statistic(observed: np.ndarray, null: np.ndarray) -> np.ndarray:
    """p values corrected over all targets: each score against the largest score of every draw.

    Parameters
    ----------
    observed : (...,) scores.
    null : (n, ...) scores under permutation, the targets permuted together.

    Returns
    -------
    (...,) float64; the chance that any target reaches the score when nothing is there (family-wise error).

    Examples
    --------
    >>> max_statistic(np.array([0.9, 0.2]), np.array([[0.1, 0.3], [0.2, 0.1], [0.0, 0.4]])).tolist()
    [0.25, 1.0]

    Source: Nichols and Holmes 2002, Human Brain Mapping 15.
    """
    observed = np.asarray(observed, dtype=np.float64)
    flat = np.asarray(null, dtype=np.float64).reshape(len(null), -1)
    # A target without a score has no say in the maximum.
    flat = np.where(np.isfinite(flat) & np.isfinite(observed.reshape(-1)), flat, -np.inf)
    largest = flat.max(axis=1, initial=-np.inf)
    largest = np.where(np.isfinite(largest), largest, np.nan)
    return p_value(observed, largest.reshape((-1,) + (1,) * observed.ndim) + np.zeros(observed.shape))


def fdr(p: np.ndarray, method: str = "bh") -> np.ndarray:
    """p values adjusted for the false discovery rate; reject where they are at most the rate wanted.

    ``q_(i) = min over j >= i of p_(j) m c / j`` with m finite p values; c = 1 for ``"bh"`` (independent or positively
    dependent tests), ``1 + 1/2 + ... + 1/m`` for ``"by"`` (any dependence).

    Parameters
    ----------
    p : (...,) p values; NaN stay NaN and are not counted as tests.

    Returns
    -------
    (...,) float64 in [0, 1].

    Raises
    ------
    ValueError : a p value outside [0, 1], or an unknown method.

    Examples
    --------
    >>> fdr(np.array([0.01, np.nan, 0.04, 0.03])).round(3).tolist()
    [0.03, nan, 0.04, 0.04]

    Source: Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57; Benjamini and Yekutieli 2001, Ann. Stat. 29.
    """
    p = np.asarray(p, dtype=np.float64)
    factor = lookup({"bh": lambda m: 1.0, "by": lambda m: float((1.0 / np.arange(1, m + 1)).sum())}, method, "method")
    adjusted = np.full(p.shape, np.nan)
    finite = np.isfinite(p)
    values = p[finite]
    if values.size == 0:
        return adjusted
    if values.min() < 0 or values.max() > 1:
        raise ValueError(f"p values lie between 0 and 1; these reach from {values.min()} to {values.max()}")
    m = values.size
    order = np.argsort(values)
    scaled = values[order] * m * factor(m) / np.arange(1, m + 1)
    smallest = np.minimum.accumulate(scaled[::-1])[::-1]
    back = np.empty(m)
    back[order] = np.minimum(smallest, 1.0)
    adjusted[finite] = back
    return adjusted


def _mean(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=0)


def bootstrap_interval(
    values: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray] | None = None,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: Any = None,
    minimum: int = FEWEST_RESAMPLED,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Percentile bootstrap: rows drawn with replacement, the statistic of each draw, its quantiles.

    Parameters
    ----------
    values : (n, ...) rows are what was sampled (subjects, conditions).
    statistic : (n, ...) -> (...,); the mean when None.
    level : coverage of the interval.
    minimum : fewest rows accepted; with fewer the draws repeat each other too often to be of use.

    Returns
    -------
    low, high : (...,) float64. dropped : (...,) draws whose statistic was not finite, left out of the quantiles.

    Raises
    ------
    DegenerateDataError : fewer rows than ``minimum``.

    Examples
    --------
    >>> low, high, dropped = bootstrap_interval(np.arange(10.0), random_state=0)
    >>> bool(low < 4.5 < high), int(dropped)
    (True, 0)

    Source: Efron and Tibshirani 1993, chapter 13.
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values) if values.ndim else 0
    if n < max(2, minimum):
        raise DegenerateDataError(f"a bootstrap needs at least {max(2, minimum)} rows to draw from, and there are {n}")
    compute = statistic or _mean
    rng = check_random_state(random_state)
    drawn = [np.asarray(compute(values[rng.integers(0, n, n)]), dtype=np.float64) for _ in range(int(n_resamples))]
    draws = np.stack(drawn)
    dropped = (~np.isfinite(draws)).sum(axis=0)
    draws = np.where(np.isfinite(draws), draws, np.nan)
    low, high = np.full(draws.shape[1:], np.nan), np.full(draws.shape[1:], np.nan)
    some = dropped < len(draws)
    if some.any():
        tails = [(1 - level) / 2, (1 + level) / 2]
        low[some], high[some] = np.nanquantile(draws[:, some], tails, axis=0)
    return low, high, dropped


def t_interval(values: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Mean -/+ t quantile times standard error over the first axis, NaN rows left out target by target.

    Parameters
    ----------
    values : (n, ...) one row per subject.

    Returns
    -------
    low, high : (...,) float64; NaN with fewer than two finite values.

    Examples
    --------
    >>> low, high = t_interval(np.array([1.0, 2.0, 3.0]))
    >>> round(float(low), 3), round(float(high), 3)
    (-0.484, 4.484)
    """
    from scipy.stats import t

    values = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(values)
    count = finite.sum(axis=0)
    enough = count >= 2
    mean = np.where(finite, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    squares = np.where(finite, (values - mean) ** 2, 0.0).sum(axis=0)
    error = np.sqrt(squares / np.maximum(count - 1, 1) / np.maximum(count, 1))
    reach = t.ppf((1 + level) / 2, np.maximum(count - 1, 1)) * error
    return np.where(enough, mean - reach, np.nan), np.where(enough, mean + reach, np.nan)


def sign_flips(n: int, n_permutations: int, random_state: Any = None) -> np.ndarray:
    """Signs for a test of a mean against 0: all ``2^n - 1`` other ones when that is no more than asked, else random.

    Parameters
    ----------
    n : number of values (subjects), at least 2.
    n_permutations : most draws wanted.

    Returns
    -------
    (draws, n) of -1.0 and 1.0; the observed signs, all 1, are not among the enumerated ones.

    Raises
    ------
    DegenerateDataError : fewer than two values.

    Examples
    --------
    >>> sign_flips(2, 1000).tolist()
    [[-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]
    """
    if n < 2:
        raise DegenerateDataError(f"a sign test over subjects needs at least 2, and there are {n}")
    if n < 40 and 2**n - 1 <= n_permutations:
        bits = (np.arange(1, 2**n)[:, None] >> np.arange(n)) & 1
        return 1.0 - 2.0 * bits
    rng = check_random_state(random_state)
    return np.where(rng.integers(0, 2, (int(n_permutations), n)) == 1, -1.0, 1.0)
