"""The scores by name: what each computes, what it needs of an estimator, and what chance would give."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from .._names import lookup
from ..compute import scores as arrays
from ..representation import Labels, check_same_samples, plain

NEEDS = {
    "values": "predicted numbers, one per target (a regressor)",
    "labels": "predicted class labels (a classifier)",
    "decision": "decision values or probabilities (a classifier with decision_function or predict_proba)",
    "rows": "predicted numbers for at least two targets (a regressor): whole rows are compared",
}


@dataclass(frozen=True)
class Score:
    """One row of the table of scores.

    Parameters
    ----------
    name : what it is called in a result.
    compute : (truth, predicted) -> numbers, first axis samples; see ``neurodecode.compute.scores``.
    needs : ``"values"``, ``"labels"``, ``"decision"`` or ``"rows"``.
    chance : (counts of the classes, number of samples scored together) -> score without any information.
    fewest : samples that must be scored together.
    higher : whether a larger score is a better one.
    """

    name: str
    compute: Callable[..., np.ndarray]
    needs: str
    chance: Callable[[np.ndarray, float], float] | None = None
    fewest: int = 2
    higher: bool = True

    def __call__(self, truth: np.ndarray, predicted: np.ndarray, columns: list[np.ndarray] | None = None) -> np.ndarray:
        """Score arrays: (n, targets, ...) -> (targets, ...); a ``rows`` score gives one number per set of columns."""
        if self.needs != "rows":
            return np.asarray(self.compute(truth, predicted), dtype=np.float64)
        sets = [np.arange(truth.shape[1])] if columns is None else columns
        found = [_mean(self.compute(truth[:, places], predicted[:, places])) for places in sets]
        return np.asarray(found, dtype=np.float64)


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


def _none(counts: np.ndarray, n: float) -> float:
    return 0.0


def _half(counts: np.ndarray, n: float) -> float:
    return 0.5


def _largest_class(counts: np.ndarray, n: float) -> float:
    return float(counts.max() / counts.sum())


def _one_of_k(counts: np.ndarray, n: float) -> float:
    return float(1.0 / len(counts))


def _k_of_n(counts: np.ndarray, n: float, k: int) -> float:
    return float(min(1.0, k / n))


def retrieval(k: int) -> Score:
    """The score "true row among the k best of the gallery"; the gallery is the held-out samples scored together.

    Parameters
    ----------
    k : how many rows may be named, at least 1. Chance is k/n.

    Examples
    --------
    >>> retrieval(5).name
    'top5'
    """
    if int(k) < 1:
        raise ValueError(f"k={k}: at least one row must be named")
    return Score(f"top{int(k)}", partial(arrays.top_k, k=int(k)), "rows", partial(_k_of_n, k=int(k)), max(2, int(k)))


SCORES: dict[str, Score] = {
    row.name: row
    for row in (
        Score("r", arrays.pearson, "values", _none),
        Score("r2", arrays.r2, "values", _none),
        Score("explained_variance", arrays.explained_variance, "values", _none),
        Score("accuracy", arrays.accuracy, "labels", _largest_class, fewest=1),
        Score("balanced_accuracy", arrays.balanced_accuracy, "labels", _one_of_k, fewest=1),
        Score("auc", arrays.auc, "decision", _half),
        Score("identification", arrays.identification, "rows", _half),
        retrieval(1),
        retrieval(5),
    )
}


def resolve_score(score: Any, classifier: bool) -> Score:
    """The row for a name, a :class:`Score`, ``partial(top_k, k=5)``, or any function of (truth, predicted).

    Raises
    ------
    ValueError : no such name, or a score that this kind of estimator cannot be given.
    """
    row = lookup(SCORES, score, "score")
    if not isinstance(row, Score):
        inner = row.func if isinstance(row, functools.partial) else row
        if inner is arrays.top_k:
            row = retrieval(int(row.keywords.get("k", 1)) if isinstance(row, functools.partial) else 1)
        elif inner in {one.compute for one in SCORES.values()}:
            row = next(one for one in SCORES.values() if one.compute is inner)
        else:
            name = getattr(inner, "__name__", type(inner).__name__)
            row = Score(name, row, "labels" if classifier else "values", None, fewest=1)
    if (row.needs in ("labels", "decision")) != classifier:
        kind = "a classifier" if classifier else "a regressor"
        fitting = ", ".join(
            repr(one.name) for one in SCORES.values() if (one.needs in ("labels", "decision")) == classifier
        )
        raise ValueError(f"score {row.name!r} needs {NEEDS[row.needs]}; this is {kind}. Choose one of {fitting}")
    return row


def column_sets(units: dict[str, Any], n_units: int, by: str | None) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Which targets a ``rows`` score takes together, and the coordinates of the answers.

    ``by`` names a unit coordinate: one set per value, in order of first appearance. None: all of them, one set.
    """
    if by is None:
        return [np.arange(n_units)], {"unit_name": ["all units"]}
    if by not in units:
        raise ValueError(f"by={by!r}: the targets have no such coordinate; they have {', '.join(units) or 'none'}")
    values = np.asarray(units[by])
    _, first = np.unique(values, return_index=True)
    names = values[np.sort(first)]
    return [np.flatnonzero(values == name) for name in names], {by: names}


def evaluate(truth: Any, predicted: Any, score: Any = "r", *, by: str | None = None) -> Any:
    """Score a prediction that exists already, labels in and labels out.

    Parameters
    ----------
    truth, predicted : (sample, unit) arrays, or 1-D labels; labelled ones must agree in their samples.
    score : a name of ``SCORES`` (``auc`` wants decision values as ``predicted``), or a function.
    by : for scores of whole rows, the unit coordinate that groups targets.

    Returns
    -------
    DataArray (unit) with the units' coordinates, or an array when ``truth`` is plain.

    Raises
    ------
    AlignmentError : the samples differ.

    Examples
    --------
    >>> evaluate(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [4.0]])).round(2).tolist()
    [0.98]
    """
    check_same_samples(truth, predicted)
    row = lookup(SCORES, score, "score")
    row = row if isinstance(row, Score) else resolve_score(row, classifier=np.asarray(plain(truth)).ndim == 1)
    t, p = np.asarray(plain(truth)), np.asarray(plain(predicted))
    labels = Labels.of(truth, "unit").coords if isinstance(truth, xr.DataArray) and "unit" in truth.dims else {}
    if row.needs == "rows":
        sets, coords = column_sets(dict(labels), t.shape[1], by)
        found = row(t, p, sets)
    else:
        found, coords = row(t, p), dict(labels)
    if not isinstance(truth, xr.DataArray):
        return found
    dims = ("unit", *truth.dims[2:])[: found.ndim]
    return xr.DataArray(
        found, dims=dims, coords={key: ("unit", np.asarray(value)) for key, value in coords.items()}, name=row.name
    )
