"""Scores on plain arrays: truth and prediction in, one number per target (or per row) out.

The first axis is always samples; every axis after it is scored on its own. Everything is computed in float64.
A score that cannot be computed is NaN, never 0 and never a warning from NumPy.
"""

from __future__ import annotations

import numpy as np

from .batching import batches

ROWS_AT_ONCE = 512
TIE = 1e-12
PAIRS_COUNTED = 5000  # up to here comparing every case with every control is faster than sorting


def is_constant(values: np.ndarray) -> np.ndarray:
    """Whether each column has no variation beyond rounding: max - min <= 16 eps max|x|.

    Parameters
    ----------
    values : (n, ...) numbers; eps is that of their type, so a float32 constant is one after arithmetic too.

    Returns
    -------
    (...,) booleans; one sample is always constant.

    Examples
    --------
    >>> is_constant(np.array([[1.0, 3.0], [1.0, 4.0]])).tolist()
    [True, False]
    """
    values = np.asarray(values)
    eps = np.finfo(values.dtype).eps if values.dtype.kind == "f" else 0.0
    wide = values.astype(np.float64, copy=False)
    with np.errstate(invalid="ignore"):
        low, high = wide.min(axis=0), wide.max(axis=0)
        return high - low <= 16.0 * float(eps) * np.maximum(np.abs(low), np.abs(high))


def _pair(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.ndim == 0 or truth.shape != predicted.shape:
        raise ValueError(
            f"truth has shape {truth.shape} and prediction {predicted.shape}; both must be (samples, ...) and the same"
        )
    if truth.shape[0] == 0:
        raise ValueError("there is no sample to score; at least one is needed")
    return truth, predicted


def _divide(above: np.ndarray, below: np.ndarray, undefined: np.ndarray) -> np.ndarray:
    safe = np.where(undefined | (below == 0), 1.0, below)
    return np.where(undefined | (below == 0), np.nan, above / safe)


def _centred(values: np.ndarray) -> np.ndarray:
    """Deviations from the mean over samples, scaled to a largest size of 1 so that squares cannot overflow."""
    wide = values.astype(np.float64)
    size = np.abs(wide).max(axis=0)
    wide /= np.where((size > 0) & np.isfinite(size), size, 1.0)
    wide -= wide.mean(axis=0)
    size = np.abs(wide).max(axis=0)
    wide /= np.where((size > 0) & np.isfinite(size), size, 1.0)
    return wide


def pearson(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Pearson correlation of each target, over samples, clipped to [-1, 1].

    ``r = sum (t - mean t)(p - mean p) / sqrt(sum (t - mean t)^2 sum (p - mean p)^2)``

    Parameters
    ----------
    truth, predicted : (n, ...) the same shape.

    Returns
    -------
    (...,) float64; NaN where truth or prediction is constant or not finite.

    Raises
    ------
    ValueError : the shapes differ, or there is no sample.

    Examples
    --------
    >>> t = np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    >>> pearson(t, -2 * t + 5).tolist()
    [-1.0, nan]
    """
    truth, predicted = _pair(truth, predicted)
    undefined = is_constant(truth) | is_constant(predicted)
    undefined = undefined | ~np.isfinite(truth).all(axis=0) | ~np.isfinite(predicted).all(axis=0)
    with np.errstate(all="ignore"):
        t, p = _centred(truth), _centred(predicted)
        below = np.sqrt((t * t).sum(axis=0) * (p * p).sum(axis=0))
        return np.clip(_divide((t * p).sum(axis=0), below, undefined), -1.0, 1.0)


def r2(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Coefficient of determination, ``1 - sum (t - p)^2 / sum (t - mean t)^2``; below 0 when worse than the mean.

    Parameters
    ----------
    truth, predicted : (n, ...) the same shape.

    Returns
    -------
    (...,) float64; NaN where the truth is constant. A constant prediction has a score (0 at best).

    Raises
    ------
    ValueError : the shapes differ, or there is no sample.

    Examples
    --------
    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])).item()
    0.0
    """
    truth, predicted = _pair(truth, predicted)
    t, p = truth.astype(np.float64), predicted.astype(np.float64)
    with np.errstate(all="ignore"):
        total = ((t - t.mean(axis=0)) ** 2).sum(axis=0)
        left = ((t - p) ** 2).sum(axis=0)
        return 1.0 - _divide(left, total, is_constant(truth))


def explained_variance(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Explained variance, ``1 - var(t - p) / var(t)``: like R2, but a constant offset costs nothing.

    Parameters
    ----------
    truth, predicted : (n, ...) the same shape.

    Returns
    -------
    (...,) float64; NaN where the truth is constant.

    Raises
    ------
    ValueError : the shapes differ, or there is no sample.

    Examples
    --------
    >>> explained_variance(np.array([1.0, 2.0, 3.0]), np.array([11.0, 12.0, 13.0])).item()
    1.0
    """
    truth, predicted = _pair(truth, predicted)
    t, p = truth.astype(np.float64), predicted.astype(np.float64)
    with np.errstate(all="ignore"):
        return 1.0 - _divide((t - p).var(axis=0), t.var(axis=0), is_constant(truth))


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Share of samples whose predicted label is the true one.

    Parameters
    ----------
    truth, predicted : (n, ...) labels of any type.

    Returns
    -------
    (...,) float64 in [0, 1].

    Examples
    --------
    >>> accuracy(np.array(["a", "b", "b"]), np.array(["a", "b", "a"])).item()
    0.6666666666666666
    """
    truth, predicted = _pair(truth, predicted)
    return np.asarray(truth == predicted, dtype=np.float64).mean(axis=0)


def balanced_accuracy(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Mean over the classes in the truth of the share of their samples that were recognised.

    Parameters
    ----------
    truth, predicted : (n, ...) labels of any type.

    Returns
    -------
    (...,) float64 in [0, 1]. Guessing one class of k scores 1/k, however frequent it is.

    Examples
    --------
    >>> balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])).item()
    0.5
    """
    truth, predicted = _pair(truth, predicted)
    right = truth == predicted
    found = np.zeros(truth.shape[1:])
    present = np.zeros(truth.shape[1:])
    for label in np.unique(truth):
        here = truth == label
        count = here.sum(axis=0)
        found += np.where(count > 0, (right & here).sum(axis=0) / np.maximum(count, 1), 0.0)
        present += count > 0
    return found / present


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 along the first axis, ties sharing the mean of theirs."""
    from scipy.stats import rankdata

    return rankdata(values, axis=0)


def _wins(cases: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Pairs in which the case is larger, ties half: (m, ...), (k, ...) -> (...). The number that ranks give, sooner."""
    if len(controls) > len(cases):
        return len(cases) * len(controls) - _wins(controls, cases)
    kind = np.uint8 if len(controls) <= 255 else np.uint16
    twice = np.zeros(cases.shape[1:], dtype=np.int64)
    for row in cases:
        twice += np.add.reduce((row > controls).view(np.uint8), axis=0, dtype=kind)
        twice += np.add.reduce((row >= controls).view(np.uint8), axis=0, dtype=kind)
    return twice / 2.0


def auc(truth: np.ndarray, decision: np.ndarray, classes: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve, as the chance that a case outranks a control (ties count half).

    ``AUC = (sum of ranks of the cases - m (m + 1) / 2) / (m (n - m))``; with more than two classes the mean over
    classes of one against the rest.

    Parameters
    ----------
    truth : (n,) labels.
    decision : (n,) or (n, 1, ...) for two classes, larger meaning the second; (n, k, ...) one column per class.
    classes : (k,) labels in the order of the columns; the sorted labels of ``truth`` when None.

    Returns
    -------
    (...,) float64; NaN where a class is absent from the truth or a decision is not finite.

    Raises
    ------
    ValueError : the number of columns does not fit the number of classes.

    Examples
    --------
    >>> auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])).item()
    0.75

    Source: Hanley and McNeil 1982, Radiology 143, the Wilcoxon form.
    """
    truth, decision = np.asarray(truth), np.asarray(decision, dtype=np.float64)
    labels = np.unique(truth) if classes is None else np.asarray(classes)
    columns = decision[:, None] if decision.ndim == 1 else decision
    if len(columns) != len(truth):
        raise ValueError(f"{len(truth)} labels and {len(columns)} decision values: one row per sample is needed")
    expected = 1 if len(labels) == 2 else len(labels)
    if columns.shape[1] == 2 and len(labels) == 2:
        columns, expected = columns[:, 1:], 1
    if len(labels) > 1 and columns.shape[1] != expected:
        raise ValueError(f"{len(labels)} classes need {expected} decision columns, not {columns.shape[1]}")
    undefined = ~np.isfinite(columns).all(axis=(0, 1))
    if len(labels) < 2:
        return np.full(columns.shape[2:], np.nan)
    cases = labels[1:] if expected == 1 else labels
    total = np.zeros(columns.shape[2:])
    for column, label in enumerate(cases):
        case = truth == label
        m, n = int(case.sum()), len(truth)
        if m in (0, n):
            return np.full(columns.shape[2:], np.nan)
        values = columns[:, column]
        if values.ndim > 1 and m * (n - m) <= PAIRS_COUNTED:
            total += _wins(values[case], values[~case]) / (m * (n - m))
            continue
        ranks = _ranks(np.nan_to_num(values))
        total += (ranks[case].sum(axis=0) - m * (m + 1) / 2) / (m * (n - m))
    return np.where(undefined, np.nan, total / len(cases))


def auc_columns(truth: np.ndarray, decision: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of many labellings in two classes, each with decision values of its own.

    Parameters
    ----------
    truth : (n, labellings) booleans, True for a case. decision : (n, labellings), larger for a case.

    Returns
    -------
    (labellings,) float64, the numbers of :func:`auc`; NaN where a class is absent.

    Examples
    --------
    >>> auc_columns(np.array([[False], [False], [True], [True]]), np.array([[0.1], [0.4], [0.35], [0.8]])).tolist()
    [0.75]
    """
    truth = np.asarray(truth, dtype=bool)
    m, n = truth.sum(axis=0), len(truth)
    total = np.where(truth, _ranks(decision), 0.0).sum(axis=0)
    pairs = m * (n - m)
    undefined = (pairs == 0) | ~np.isfinite(decision).all(axis=0)
    return np.where(undefined, np.nan, (total - m * (m + 1) / 2) / np.maximum(pairs, 1))


def row_correlations(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Correlation of every true row with every predicted row, over targets.

    Parameters
    ----------
    truth : (m, d), predicted : (n, d).

    Returns
    -------
    (m, n) float64 in [-1, 1]; NaN in the rows and columns of constant patterns.

    Examples
    --------
    >>> row_correlations(np.array([[1.0, 2.0, 3.0]]), np.array([[2.0, 4.0, 6.0], [3.0, 2.0, 1.0]])).round(6).tolist()
    [[1.0, -1.0]]
    """
    unit = []
    for rows in (np.asarray(truth), np.asarray(predicted)):
        centred = _centred(rows.T).T
        norm = np.sqrt((centred**2).sum(axis=1, keepdims=True))
        bad = is_constant(rows.T)[:, None] | ~np.isfinite(rows).all(axis=1, keepdims=True) | (norm == 0)
        unit.append(np.where(bad, np.nan, centred / np.where(norm > 0, norm, 1.0)))
    with np.errstate(invalid="ignore"):
        return np.clip(unit[0] @ unit[1].T, -1.0, 1.0)


def _rivals(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each predicted row: rivals below its own truth, rivals at all, and whether it can be scored."""
    truth, predicted = _pair(truth, predicted)
    if truth.ndim != 2:
        raise ValueError(f"identification needs (samples, targets), not {truth.ndim} axes: it compares whole rows")
    n, d = truth.shape
    if n < 2 or d < 2:
        raise ValueError(f"identification needs at least 2 samples and 2 targets; this is {n} samples, {d} targets")
    below, rivals, usable = np.zeros(n), np.zeros(n), np.zeros(n, dtype=bool)
    sound = ~is_constant(truth.T) & np.isfinite(truth).all(axis=1)
    for part in batches(n, ROWS_AT_ONCE):
        found = row_correlations(truth, predicted[part])
        own = found[np.arange(n)[part], np.arange(found.shape[1])]
        with np.errstate(invalid="ignore"):
            # Below by more than rounding, so equal rows tie. A constant prediction is NaN and beats nobody.
            below[part] = (found < own - TIE).sum(axis=0)
        rivals[part] = sound.sum() - 1
        usable[part] = sound[part]
    return below, rivals, usable & (rivals > 0)


def identification(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Two-way identification of each sample: is a prediction closer to its own truth than to another one?

    ``s_j = #{i != j : C_ij < C_jj} / (n - 1)`` with ``C_ij = corr(truth_i, predicted_j)`` over targets. Chance is
    0.5. The comparison is strict, so ties, and predictions without variation, count as failures.

    Parameters
    ----------
    truth, predicted : (n, d) the same shape, n and d at least 2.

    Returns
    -------
    (n,) float64 in [0, 1]; their mean is the score. NaN where the true row is constant: it has no pattern.

    Raises
    ------
    ValueError : shapes differ, or fewer than 2 samples or targets.

    Examples
    --------
    >>> t = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, 3.0, 1.0]])
    >>> identification(t, t).tolist()
    [1.0, 1.0, 1.0]
    """
    below, rivals, usable = _rivals(truth, predicted)
    return np.where(usable, below / np.maximum(rivals, 1), np.nan)


def top_k(truth: np.ndarray, predicted: np.ndarray, k: int = 1) -> np.ndarray:
    """Retrieval: is the true row among the k that correlate best with the prediction? Chance is k/n.

    Parameters
    ----------
    truth, predicted : (n, d) the same shape; the gallery is all n true rows.
    k : how many may be named; a tie counts as a failure.

    Returns
    -------
    (n,) float64 of 0 and 1, NaN where the true row is constant; their mean is the score.

    Raises
    ------
    ValueError : shapes differ, fewer than 2 samples or targets, or k outside 1..n.

    Examples
    --------
    >>> t = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, 3.0, 1.0]])
    >>> top_k(t, t[[0, 2, 1]], k=1).tolist()
    [1.0, 0.0, 0.0]
    """
    if not 1 <= int(k) <= len(truth):
        raise ValueError(f"k={k} must lie between 1 and the number of samples, {len(truth)}")
    below, rivals, usable = _rivals(truth, predicted)
    return np.where(usable, (rivals - below < k).astype(np.float64), np.nan)
