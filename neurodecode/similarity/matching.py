"""Matching units: which unit of one space goes with which of the other, and how well they correlate."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from .._names import lookup
from .._numbers import amount
from .._optional import require
from ..compute.scores import is_constant
from ..exceptions import DegenerateDataError, NeurodecodeWarning
from .crossed import spaces
from .spaces import Space

DIRECTIONS = {"both": ("xy", "yx"), "xy": ("xy",), "yx": ("yx",)}


def permutation(X: Any, Y: Any, *, device: Any = None) -> float:
    r"""Mean correlation of units that are matched one to one.

        value = max over one-to-one maps of the mean of corr(x_i, y_pi(i))

    Every unit of the narrower side has one partner of its own.

    - invariant to: permutation of units, shift and positive scaling of every unit; not to rotations
    - range: -1 to 1, 1 when identical; unrelated: above 0, below sqrt(2 log(max(p, q)) / n), for the best is taken
    - few samples: biased upwards; set it beside ``permutations=``
    - cost: n p q + p q min(p, q)

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, too few, a constant unit.

    Source: Li et al. 2015, Convergent learning, section 3, with the assignment of Kuhn 1955.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(20, 3))
    >>> round(permutation(x, 5 * x[:, [2, 0, 1]] + 1), 9)
    1.0
    """
    return _matched(correlate(*spaces(X, Y, device)))


def semi_matching(X: Any, Y: Any, *, direction: str = "both", device: Any = None) -> float:
    r"""Mean correlation of every unit with its best partner, which several may share.

        value = mean of (1/p) sum_i max_j corr(x_i, y_j) and (1/q) sum_j max_i corr(x_i, y_j)

    What it exceeds :func:`permutation` by is many-to-one.

    - invariant to: permutation of units, shift and positive scaling of every unit; not to rotations
    - range: -1 to 1, 1 when identical; unrelated: above 0, below sqrt(2 log(max(p, q)) / n), for the best is taken
    - few samples: biased upwards; set it beside ``permutations=``
    - cost: n p q

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    direction : ``"both"``; ``"xy"``: units of X choose; ``"yx"``: units of Y choose.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, too few, a constant unit.

    Source: Li et al. 2015, Convergent learning, section 3.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(20, 3))
    >>> round(semi_matching(x, x[:, [0, 0, 1, 1, 2]]), 9)
    1.0
    """
    return _best(correlate(*spaces(X, Y, device)), direction)


def soft_matching(X: Any, Y: Any, *, device: Any = None) -> float:
    r"""Mean correlation of units under the best transport of one population onto the other.

        value = max_T sum_ij T_ij corr(x_i, y_j),  T >= 0, sum_j T_ij = 1 / p, sum_i T_ij = 1 / q

    For p = q it is :func:`permutation`; for other sizes every unit still counts once, shared out among partners.

    - invariant to: permutation of units, shift and positive scaling of every unit; not to rotations
    - range: -1 to 1, 1 when identical; unrelated: above 0, below sqrt(2 log(max(p, q)) / n), for the best is taken
    - few samples: biased upwards; set it beside ``permutations=``
    - cost: n p q + a linear program of p q unknowns (extra ``transport`` for p other than q)

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, too few, a constant unit.
    MissingExtraError : p differs from q and the extra ``transport`` is not installed.

    Source: Khosla and Williams 2024, UniReps, PMLR 243, section 2.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(20, 3))
    >>> round(soft_matching(x, x[:, ::-1]), 9)
    1.0
    """
    return _transported(correlate(*spaces(X, Y, device)))


def sparse_matching(
    X: Any, Y: Any, *, penalty: float = 0.0025, direction: str = "both", n_folds: int = 5, device: Any = None
) -> float:
    r"""Held-out R2 of every unit predicted from few units of the other side.

        W = argmin ||Y - X W||^2 / n + penalty sum |W|, of standardised units; R2 over held-out stimuli, mean of units

    Folds follow the hash of the stimulus label. R2 is against the mean of the training stimuli.

    - invariant to: permutation of units, shift and positive scaling of every unit; not to rotations
    - range: below 0 to 1, nearly 1 when identical (the penalty shrinks); unrelated: about 0, or below
    - few samples: biased downwards, as predictions are
    - cost: n_folds lasso fits of every unit

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    penalty : above 0; 10^-2.6 by default, as in the source.
    direction : ``"both"`` (the mean of both); ``"xy"``: Y from X; ``"yx"``: X from Y.
    n_folds : folds at most, three at least.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, too few, a constant unit.

    Warns
    -----
    NeurodecodeWarning : the lasso did not converge.

    Source: Li et al. 2015, Convergent learning, section 4.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 3))
    >>> round(sparse_matching(x, x[:, ::-1] * [1, 2, 3]), 3)
    1.0
    """
    x, y = spaces(X, Y, device)
    if amount(penalty, "penalty", least=None) <= 0:
        raise ValueError(f"penalty={penalty!r}: expected a finite number above 0.")
    for side in (x, y):
        _ = side.standard  # refuses constant units
    one, two = x.raw.cpu().numpy(), y.raw.cpu().numpy()
    sides = {"xy": (one, two), "yx": (two, one)}
    chosen = lookup(DIRECTIONS, direction, "direction", callables=False)
    return float(np.mean([_sparse(*sides[way], x.folds(n_folds), penalty) for way in chosen]))


def _sparse(x: np.ndarray, y: np.ndarray, folds: list[np.ndarray], penalty: float) -> float:
    error, spread = np.zeros(y.shape[1]), np.zeros(y.shape[1])
    for test in folds:
        train = np.setdiff1d(np.arange(len(x)), test)
        (a, a_test), (b, b_test) = (standardised(values, train, test) for values in (x, y))
        scale = y[train].std(0)
        error += ((b_test - a_test @ lasso(a, b, penalty)) ** 2).sum(0) * scale**2
        spread += (b_test**2).sum(0) * scale**2
    return float((1 - error / spread).mean())


def standardised(values: np.ndarray, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Training and test rows, by mean and deviation of the training rows.

    Raises
    ------
    DegenerateDataError : a unit is constant over the training rows.

    Examples
    --------
    >>> a, b = standardised(np.array([[1.0], [3.0], [6.0]]), np.array([0, 1]), np.array([2]))
    >>> a.tolist(), b.tolist()
    ([[-1.0], [1.0]], [[4.0]])
    """
    flat = np.flatnonzero(is_constant(values[train]))
    if len(flat):
        raise DegenerateDataError(
            f"a unit (at {flat[0]}) is constant over the {len(train)} training stimuli of a fold; leave it out, or add "
            "stimuli."
        )
    mean, std = values[train].mean(0), values[train].std(0)
    return (values[train] - mean) / std, (values[test] - mean) / std


def lasso(a: np.ndarray, b: np.ndarray, penalty: float) -> np.ndarray:
    """Weights (p, q) of ``argmin ||b - a W||^2 / n + penalty sum |W|``, of standardised rows (n, p) and (n, q).

    Warns
    -----
    NeurodecodeWarning : it did not converge.

    Examples
    --------
    >>> a = np.array([[1.0], [-1.0]])
    >>> lasso(a, a, 0.2).round(6).tolist()
    [[0.9]]
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Lasso

    model = Lasso(alpha=penalty / 2, fit_intercept=False, max_iter=20_000)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model.fit(a, b)
    if any(issubclass(entry.category, ConvergenceWarning) for entry in said):
        warnings.warn(
            f"the lasso with penalty {penalty:g} did not converge; raise it.", NeurodecodeWarning, stacklevel=4
        )
    return np.atleast_2d(model.coef_).T


def correlate(x: Space, y: Space) -> np.ndarray:
    """Correlations of units (p, q)."""
    return (x.standard.T @ y.standard).clamp(-1, 1).cpu().numpy()


def assign(correlations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Units matched one to one with the largest sum: rows and columns, min(p, q) of them."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(correlations, maximize=True)


def transport_plan(correlations: np.ndarray) -> np.ndarray:
    """The transport (p, q) of equal masses with the largest sum of correlations.

    Examples
    --------
    >>> transport_plan(np.eye(2)).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    p, q = correlations.shape
    if p == q:  # the corners of the set of transports are the one-to-one maps (Birkhoff)
        plan = np.zeros((p, q))
        plan[assign(correlations)] = 1.0 / p
        return plan
    ot = require("ot", "transport", "soft matching of populations of different size")
    return np.asarray(ot.emd(np.full(p, 1.0 / p), np.full(q, 1.0 / q), 1.0 - correlations, numItermax=2_000_000))


def _null(measure: Callable[..., float], value: Callable[..., float]) -> Callable[..., np.ndarray]:
    """The null of a measure of correlations: the units are standardised once."""

    def null(X: Space, Y: Space, orders: np.ndarray, **options: Any) -> np.ndarray:
        left, right = X.standard, Y.standard
        found = np.empty(len(orders))
        for at, order in enumerate(orders):
            moved = (left.T @ right[torch.as_tensor(order, device=right.device)]).clamp(-1, 1).cpu().numpy()
            found[at] = value(moved, **options)
        return found

    null.__doc__ = f"{measure.__name__} with the stimuli of Y in each order."
    return null


def _matched(correlations: np.ndarray) -> float:
    return float(correlations[assign(correlations)].mean())


def _best(correlations: np.ndarray, direction: str = "both") -> float:
    best = {"xy": correlations.max(1), "yx": correlations.max(0)}
    return float(np.mean([best[way].mean() for way in lookup(DIRECTIONS, direction, "direction", callables=False)]))


def _transported(correlations: np.ndarray) -> float:
    return float((transport_plan(correlations) * correlations).sum())


permutation_null = _null(permutation, _matched)
semi_matching_null = _null(semi_matching, _best)
soft_matching_null = _null(soft_matching, _transported)
