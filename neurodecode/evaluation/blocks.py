"""The pieces of a cross-validation that can run anywhere: one fold of one block of targets, one batch of permutations.

A piece is a pure function of the problem and its own numbers, so it gives the same answer in this process, on a
worker, and when it is repeated after a crash.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr

from ..compute.batching import batches
from ..compute.scores import auc_columns
from ..exceptions import NeurodecodeWarning
from ..representation import plain
from .pairing import Pair
from .scores import SCORES, Score
from .splits import Fold

# Transformers that never look at the targets, so that permuting targets leaves their output as it is.
IGNORE_TARGETS = {
    "StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "Normalizer", "PowerTransformer",
    "QuantileTransformer", "PolynomialFeatures", "SplineTransformer", "FunctionTransformer", "KBinsDiscretizer",
    "PCA", "IncrementalPCA", "TruncatedSVD", "FastICA", "NMF", "VarianceThreshold", "Nystroem", "RBFSampler",
    "SimpleImputer", "MissingIndicator", "Delays", "FIR", "HRF",
}  # fmt: skip
BYTES_A_FIT = 512 * 2**20
BYTES_A_NULL = 128 * 2**20
PERMUTATIONS_A_PIECE = 10
LABELLINGS_A_PIECE = 2000


@dataclass(frozen=True)
class Problem:
    """Everything a piece needs: estimator, data, folds, score. ``columns`` are the sets of a score of whole rows.

    ``stacked`` says that permuted copies of the targets can stand side by side, see :func:`can_stack`;
    ``shared`` keeps what the pieces of one process share. ``over`` are the dimensions that the estimator adds to its
    answers, see :func:`answers_over`; ``closed`` says that permuted labels have a closed form, see
    :func:`can_permute_labels`.
    """

    est: Any
    data: Pair
    folds: tuple[Fold, ...]
    score: Score
    pool: str
    columns: list[np.ndarray]
    stacked: bool
    over: tuple[str, ...] = ()
    closed: bool = False
    shared: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def placed(self) -> bool:
        """Whether answers stand for units of X, as those of a searchlight, and not for targets."""
        return self.over == ("unit",)


@dataclass(frozen=True)
class Piece:
    """One unit of work: ``name`` is also its file; ``orders`` is None for the fit itself."""

    name: str
    fold: int | None
    targets: slice
    orders: np.ndarray | None = None


def targets_stand_alone(est: Any) -> bool:
    """Whether every target is fitted as if it were alone, so that permuted targets can stand side by side in one fit.

    True for estimators that say ``targets_independent = True``, and for pipelines that end in one and whose earlier
    steps never look at targets.
    """
    *before, last = _steps(est)
    return bool(getattr(last, "targets_independent", False)) and all(_ignores_targets(step) for step in before)


def answers_over(est: Any) -> tuple[str, ...]:
    """Dimensions that an estimator, or the last step of a pipeline, adds to its answers: it says so itself.

    ``("time",)`` of ``linear.Sliding``, ``("time", "time_test")`` of ``linear.Generalizing``, ``("unit",)`` of
    ``linear.Searchlight``; none of others.
    """
    last = est.steps[-1][1] if hasattr(est, "steps") else est
    return tuple(getattr(last, "answers_over", ()))


def can_permute_labels(est: Any, data: Pair) -> bool:
    """Whether labels in two classes can be permuted in closed form: an LDA, behind steps that never look at labels."""
    if data.classes is None or len(data.classes) != 2 or np.ndim(data.X) != 2:
        return False
    *before, last = _steps(est)
    return hasattr(last, "permuted_decisions") and all(_ignores_targets(step) for step in before)


def can_stack(est: Any, data: Pair) -> bool:
    """Whether permuted copies of the targets can be fitted side by side: numbers in two dimensions, each target on its
    own, or an estimator that offers ``fit_copies`` behind steps that never look at targets."""
    if data.classes is not None or data.truth.ndim != 2:
        return False
    *before, last = _steps(est)
    return targets_stand_alone(est) or (hasattr(last, "fit_copies") and all(_ignores_targets(step) for step in before))


def _steps(est: Any) -> list[Any]:
    return [step for _, step in est.steps] if hasattr(est, "steps") else [est]


def _ignores_targets(step: Any) -> bool:
    if step is None or isinstance(step, str):
        return True
    inner = getattr(step, "estimator", None) if type(step).__name__ == "Labelled" else step
    return bool(getattr(inner, "ignores_targets", False)) or type(inner).__name__ in IGNORE_TARGETS


def take(array: Any, places: np.ndarray) -> Any:
    """Samples by position, labels kept."""
    return array.isel(sample=places) if isinstance(array, xr.DataArray) else array[places]


def _columns(y: Any, targets: slice) -> Any:
    return y[:, targets] if getattr(y, "ndim", 1) > 1 else y


def numbers(found: Any, unit_axis: bool) -> np.ndarray:
    """What ``predict`` gave, as (n, targets, ...); ``unit_axis`` says whether the second axis is that of targets."""
    values = np.asarray(found.values if isinstance(found, xr.DataArray) else found)
    return values if unit_axis and values.ndim > 1 else values[:, None]


def _decision(est: Any, X: Any, classes: np.ndarray, over: tuple[str, ...] = ()) -> np.ndarray:
    """Decision values (n, 1, ...) or (n, classes, ...), in the order of ``classes``, NaN for one never trained."""
    if hasattr(est, "decision_function"):
        found = est.decision_function(X)
    elif hasattr(est, "predict_proba"):
        found = est.predict_proba(X)
    else:
        raise ValueError(f"score 'auc' needs decision_function or predict_proba, and {type(est).__name__} has neither")
    values = np.asarray(found.values if isinstance(found, xr.DataArray) else found, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 + len(over) else values
    if len(classes) == 2 and values.shape[1] == 2:
        return values[:, 1:]
    known = np.asarray(getattr(est, "classes_", classes))
    if len(known) == len(classes):
        return values
    full = np.full((len(values), 1 if len(classes) == 2 else len(classes), *values.shape[2:]), np.nan)
    if len(classes) > 2 and len(known) > 2:
        full[:, np.searchsorted(classes, known)] = values
    return full


def _outcome(problem: Problem, est: Any, X: Any) -> dict[str, np.ndarray]:
    """Predictions, and decision values where the score asks for them, of one fitted estimator."""
    classes = problem.data.classes
    if classes is None:
        return {"prediction": numbers(est.predict(X), np.ndim(problem.data.y) > 1 or problem.placed)}
    if problem.over and problem.score.needs == "decision":
        # Thousands of answers a sample: the class is read off the decision values, which are there already.
        decision = _decision(est, X, classes, problem.over)
        place = decision.argmax(1) if decision.shape[1] > 1 else (decision[:, 0] > 0).view(np.uint8)
        return {"prediction": numbers(place, problem.placed), "decision": decision}
    if problem.over and hasattr(est, "predict_positions"):
        known = np.searchsorted(classes, est.classes_)
        return {"prediction": numbers(known[est.predict_positions(X)], problem.placed)}
    said = numbers(est.predict(X), problem.placed)
    found = {"prediction": np.searchsorted(classes, said).clip(0, len(classes) - 1)}
    if problem.score.needs == "decision":
        found["decision"] = _decision(est, X, classes)
    return found


def score_outcomes(
    problem: Problem, truths: list[np.ndarray], outcomes: list[dict[str, np.ndarray]], only: str | None = None
) -> tuple[np.ndarray | None, np.ndarray]:
    """Scores of each fold, (fold, unit, ...), and over all pooled, (unit, ...).

    ``only="pool"`` leaves out what the pooled result does not need.
    """
    key = "decision" if problem.score.needs == "decision" else "prediction"
    parts = [outcome[key] for outcome in outcomes]
    by_fold = None
    if problem.pool == "folds" or only is None:
        by_fold = np.stack([_score(problem, t, p) for t, p in zip(truths, parts)])
    if problem.pool == "folds":
        assert by_fold is not None
        return by_fold, by_fold.mean(axis=0)
    return by_fold, _score(problem, np.concatenate(truths), np.concatenate(parts))


def _score(problem: Problem, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    score = problem.score
    if score.needs == "decision":
        classes = problem.data.classes
        assert classes is not None
        found = np.asarray(score.compute(truth[:, 0], predicted, np.arange(len(classes))))
        return found if problem.placed else found[None]
    if problem.placed:
        truth = np.broadcast_to(truth, predicted.shape)
    if predicted.ndim > truth.ndim:
        shape = truth.shape + (1,) * (predicted.ndim - truth.ndim)
        truth = np.broadcast_to(truth.reshape(shape), predicted.shape)
    if len(truth) < score.fewest:
        count = len(problem.columns) if score.needs == "rows" else predicted.shape[1]
        return np.full((count, *predicted.shape[2:]), np.nan)
    return score(truth, predicted, problem.columns)


def run(problem: Problem, piece: Piece) -> dict[str, Any]:
    """Do one piece.

    Returns
    -------
    ``prediction`` (and ``decision``) of a fold, or ``null`` (permutation, unit, ...) of a batch of permutations, with
    ``elapsed`` seconds, and ``notes``: the texts of the NeurodecodeWarnings of a fold.
    """
    start = time.perf_counter()
    if piece.orders is not None:
        found: dict[str, Any] = {"null": _null(problem, piece)}
        notes: list[str] = []
    else:
        found, notes = _fold(problem, piece)
    return {**found, "elapsed": time.perf_counter() - start, "notes": notes}


def _fold(problem: Problem, piece: Piece) -> tuple[dict[str, Any], list[str]]:
    from sklearn.base import clone

    assert piece.fold is not None
    data, fold = problem.data, problem.folds[piece.fold]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        smooth = _once(problem, "smoothers", lambda: _smoothers(problem))
        fits = _once(problem, "fits", lambda: _fit_folds(problem, data.y))
        if smooth is not None:
            found = {"prediction": smooth[piece.fold].predict(data.truth[fold.train, piece.targets])}
        elif fits is not None:
            found = _outcome(problem, fits[piece.fold], take(data.X, fold.test))
        else:
            est = clone(problem.est).fit(take(data.X, fold.train), take(_columns(data.y, piece.targets), fold.train))
            found = _outcome(problem, est, take(data.X, fold.test))
    notes = []
    for item in caught:
        if issubclass(item.category, NeurodecodeWarning):
            notes.append(str(item.message))
        else:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
    return found, notes


def _once(problem: Problem, key: str, make: Callable[[], Any]) -> Any:
    """What the pieces of one process share, made by the first of them."""
    if key not in problem.shared:
        problem.shared[key] = make()
    return problem.shared[key]


def _prepared(problem: Problem, fold: Fold) -> tuple[Any, Any, Any]:
    """Training and test samples behind the steps that never look at targets, and the last step, not fitted."""
    from sklearn.base import clone

    train, test = take(problem.data.X, fold.train), take(problem.data.X, fold.test)
    *before, last = _steps(problem.est)
    for step in before:
        if step is not None and not isinstance(step, str):
            fitted = clone(step).fit(train)
            train, test = fitted.transform(train), fitted.transform(test)
    return train, test, clone(last)


def _smoothers(problem: Problem) -> list[Any] | None:
    """Of every fold, what takes training targets to predictions; None where the estimator has no such thing."""
    data = problem.data
    *before, last = _steps(problem.est)
    if not (problem.stacked and hasattr(last, "smoothers") and np.ndim(data.X) == 2) or np.any(
        data.units.get("masked")
    ):
        return None
    if not before:
        whole: list[Any] | None = last.smoothers(data.X, [(fold.train, fold.test) for fold in problem.folds])
        return whole
    found = []
    for fold in problem.folds:
        train, test, last = _prepared(problem, fold)
        both = np.concatenate([np.asarray(plain(train)), np.asarray(plain(test))])
        one = last.smoothers(both, [(np.arange(len(train)), np.arange(len(train), len(both)))])
        if one is None:
            return None
        found += one
    return found


def _fit_folds(problem: Problem, y: Any) -> list[Any] | None:
    """Estimators fitted to every training set, from sums that they share; None where that is not offered."""
    if not hasattr(problem.est, "fit_folds"):
        return None
    found: list[Any] | None = problem.est.fit_folds(
        problem.data.X, y, [(fold.train, fold.test) for fold in problem.folds]
    )
    return found


def _null(problem: Problem, piece: Piece) -> np.ndarray:
    """Scores of permuted targets: the whole pipeline is fitted again, in every fold, on targets that changed places."""
    assert piece.orders is not None
    with warnings.catch_warnings():
        # What is wrong with a fit on permuted targets was said about the real ones, or is meant to be so.
        warnings.simplefilter("ignore", NeurodecodeWarning)
        if problem.stacked:
            return _stacked(problem, piece)
        return _labellings(problem, piece) if problem.closed else _one_by_one(problem, piece)


def _one_by_one(problem: Problem, piece: Piece) -> np.ndarray:
    from sklearn.base import clone

    assert piece.orders is not None
    data = problem.data
    y = _columns(data.y, piece.targets)
    sides = [(take(data.X, fold.train), take(data.X, fold.test)) for fold in problem.folds]
    scores = []
    for order in piece.orders:
        values = np.asarray(y.values if isinstance(y, xr.DataArray) else y)[order]
        permuted = y.copy(data=values) if isinstance(y, xr.DataArray) else values
        truth = data.truth[:, piece.targets][order]
        outcomes = []
        fits = _fit_folds(problem, permuted)
        for number, (fold, (x_train, x_test)) in enumerate(zip(problem.folds, sides)):
            est = fits[number] if fits is not None else clone(problem.est).fit(x_train, take(permuted, fold.train))
            outcomes.append(_outcome(problem, est, x_test))
        scores.append(score_outcomes(problem, [truth[fold.test] for fold in problem.folds], outcomes, "pool")[1])
    return np.stack(scores)


def _stacked(problem: Problem, piece: Piece) -> np.ndarray:
    """The same numbers with one fit per fold: permuted targets stand side by side as more targets."""
    assert piece.orders is not None
    data, orders = problem.data, piece.orders
    truth = data.truth[:, piece.targets]
    n, count = truth.shape
    side_by_side = np.ascontiguousarray(truth[orders].transpose(1, 0, 2)).reshape(n, len(orders) * count)
    smooth = _once(problem, "smoothers", lambda: _smoothers(problem))
    predicted = []
    for number, fold in enumerate(problem.folds):
        if smooth is not None:
            found = smooth[number].predict(side_by_side[fold.train])
        else:
            found = _predict_copies(problem, fold, side_by_side[fold.train], len(orders))
        predicted.append(found.reshape(-1, len(orders), count))
    if problem.score.needs == "values" and any(problem.score is row for row in SCORES.values()):
        # Every column is scored on its own, so all permutations are scored at once.
        outcomes = [{"prediction": part.reshape(len(part), -1)} for part in predicted]
        truths = [side_by_side[fold.test] for fold in problem.folds]
        return score_outcomes(problem, truths, outcomes, "pool")[1].reshape(len(orders), count)
    scores = []
    for number, order in enumerate(orders):
        permuted = truth[order]
        outcomes = [{"prediction": part[:, number]} for part in predicted]
        scores.append(score_outcomes(problem, [permuted[fold.test] for fold in problem.folds], outcomes, "pool")[1])
    return np.stack(scores)


def _predict_copies(problem: Problem, fold: Fold, y: np.ndarray, copies: int) -> np.ndarray:
    """Predictions for the test samples from ``copies`` of the training targets, side by side."""
    from sklearn.base import clone

    if hasattr(_steps(problem.est)[-1], "fit_copies"):
        train, test, last = _prepared(problem, fold)
        return numbers(last.fit_copies(train, y, copies).predict(test), True)
    est = clone(problem.est).fit(take(problem.data.X, fold.train), y)
    return numbers(est.predict(take(problem.data.X, fold.test)), True)


def _labellings(problem: Problem, piece: Piece) -> np.ndarray:
    """The same numbers for two classes and an LDA: one decomposition per fold serves all permuted labels."""
    assert piece.orders is not None
    data = problem.data
    labels = (data.truth[:, 0] == 1)[piece.orders]
    sound = np.ones(len(labels), dtype=bool)
    decisions = []
    for fold in problem.folds:
        train, test, last = _prepared(problem, fold)
        found, good = last.permuted_decisions(train, labels[:, fold.train], test)
        decisions.append(found)
        sound &= good
    null = np.empty((len(labels), 1))
    null[sound, 0] = _score_labellings(problem, labels[sound].T, [found[:, sound] for found in decisions])
    if not sound.all():
        null[~sound] = _one_by_one(problem, replace(piece, orders=piece.orders[~sound]))
    return null


def _score_labellings(problem: Problem, truth: np.ndarray, decisions: list[np.ndarray]) -> np.ndarray:
    """Scores (labellings,) of truth (n, labellings) against the decisions of every fold (n_test, labellings)."""
    truths = [truth[fold.test] for fold in problem.folds]
    if problem.pool == "predictions":
        truths, decisions = [np.concatenate(truths)], [np.concatenate(decisions)]
    by_fold = np.stack([_columns_scored(problem.score, t, d) for t, d in zip(truths, decisions)])
    if problem.pool == "predictions":
        return np.asarray(by_fold[0])
    return np.asarray(by_fold.mean(axis=0))


def _columns_scored(score: Score, truth: np.ndarray, decision: np.ndarray) -> np.ndarray:
    if score.needs == "decision" and score is SCORES["auc"]:
        return auc_columns(truth, decision)
    codes = truth.astype(np.intp)
    if score.needs == "decision":
        one = [score.compute(t, d[:, None], np.arange(2)) for t, d in zip(codes.T, decision.T)]
        return np.asarray(one, dtype=np.float64)
    predicted = (decision > 0).astype(np.intp)
    if any(score is row for row in SCORES.values()):
        return score(codes, predicted)
    return np.concatenate([score(t[:, None], p[:, None]) for t, p in zip(codes.T, predicted.T)])


def pieces(problem: Problem, orders: np.ndarray | None, target_block: int | None = None) -> list[Piece]:
    """Cut the work: every fold of every block of targets, then every batch of permutations of every block.

    Targets are cut only where they stand alone, and for the null of a score of whole rows not at all. The cut
    depends on sizes, never on timing, so that a resumed job finds the same pieces.
    """
    data = problem.data
    count = data.truth.shape[1]
    alone = problem.stacked and targets_stand_alone(problem.est)
    size = (target_block or max(1, BYTES_A_FIT // (8 * data.n_samples))) if alone else count
    found = [
        Piece(f"fold-{fold:04d}_targets-{targets.start:07d}-{targets.stop:07d}", fold, targets)
        for targets in batches(count, min(size, count))
        for fold in range(len(problem.folds))
    ]
    if orders is None or len(orders) == 0:
        return found
    wide = count if problem.score.needs == "rows" else min(size, count)
    together = problem.stacked or problem.closed
    batch = max(1, BYTES_A_NULL // (8 * data.n_samples * wide)) if together else PERMUTATIONS_A_PIECE
    if problem.closed:
        batch = min(batch, LABELLINGS_A_PIECE)
    for targets in batches(count, wide):
        for part in batches(len(orders), min(batch, len(orders))):
            name = f"null-{part.start:06d}-{part.stop:06d}_targets-{targets.start:07d}-{targets.stop:07d}"
            found.append(Piece(name, None, targets, orders[part]))
    return found
