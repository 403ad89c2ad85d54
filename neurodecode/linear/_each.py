"""One estimator for each of many problems with the same samples: the base of Sliding, Generalizing and Searchlight."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ..compute.progress import progress
from ..exceptions import NeurodecodeWarning
from ..representation import Labels, check_same_samples
from ._stacks import Recipe, Stack, Targets, recipe, said_once, sharable, targets


def has(method: str) -> Callable[[Any], bool]:
    """For ``available_if``: whether the estimator that is repeated has a method."""

    def check(each: Any) -> bool:
        getattr(each.estimator, method)
        return True

    return check


class _Each(MetaEstimatorMixin, BaseEstimator):
    """Fits ``estimator`` once a problem, all at once where there is a closed form, else clone by clone."""

    estimator: Any
    n_problems_: int
    _problems = "problems"
    stack_: Stack | None
    estimators_: dict[int, Any]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = inner.classifier_tags
        tags.regressor_tags = inner.regressor_tags
        tags.target_tags = inner.target_tags
        return tags

    def _begin(self, X: Any) -> np.ndarray:
        """Check X, keep what ``predict`` compares with, and return the values."""
        raise AttributeError(f"{type(self).__name__} says what it takes.")

    def _solved(self, asked: Recipe, checked: Targets, x: np.ndarray, X: Any, y: Any) -> Stack:
        """All problems that have a closed form."""
        raise AttributeError(f"{type(self).__name__} says what its problems are.")

    def _shared(self, asked: Recipe, checked: Targets, x: np.ndarray, tests: list[np.ndarray]) -> list[Stack]:
        """The same for all samples but those of each fold."""
        raise AttributeError(f"{type(self).__name__} says how folds share.")

    def _check(self, X: Any) -> np.ndarray:
        """New samples, compared with those of ``fit``."""
        raise AttributeError(f"{type(self).__name__} says what it takes.")

    def _ways(self, x: np.ndarray) -> tuple[Any, Any]:
        """How the problems that were solved at once answer, and how one clone does."""
        raise AttributeError(f"{type(self).__name__} says what its problems are.")

    def _over_classes(self, values: np.ndarray, X: Any) -> Any:
        """Label answers (samples, outputs, problems)."""
        raise AttributeError(f"{type(self).__name__} says what its problems are.")

    def _named(self, X: Any, numbers: tuple[int, ...]) -> str:
        """How a message calls some problems."""
        raise AttributeError(f"{type(self).__name__} says what its problems are.")

    def _pick(self, X: Any, number: int) -> Any:
        """Samples x features of one problem, as the estimator alone would be given them."""
        raise AttributeError(f"{type(self).__name__} says what its problems are.")

    def _learn(self, X: Any, y: Any, x: np.ndarray) -> Any:
        """Fit every problem: at once where there is a closed form, the others one by one."""
        who = type(self).__name__
        if y is None:
            raise ValueError(f"{who} requires y to be passed, but the target y is None.")
        check_same_samples(X, y)
        asked = recipe(self.estimator)
        ready = None
        if asked is not None:
            checked = targets(asked, y, len(x), who)
            ready = self._solved(asked, checked, x, X, y) if asked.serves(checked) else None
        if ready is not None and ready.unfinished:
            warnings.warn(
                f"{who}: logistic regression stopped before it converged at {self._named(X, ready.unfinished)}. Scale "
                "the features, or penalise more (a smaller C).",
                NeurodecodeWarning,
                stacklevel=3,
            )
        return self._finish(ready, y, lambda: X)

    def _finish(self, ready: Stack | None, y: Any, source: Callable[[], Any]) -> Any:
        """Take over what was solved at once, and fit the others to ``source()``."""
        self.classes_ = np.empty(0)
        self.one_target_ = np.ndim(y) < 2
        self.targets_ = Labels.of(y, "unit") if np.ndim(y) > 1 else None
        self.target_name_ = y.name if isinstance(y, xr.DataArray) else None
        self.stack_, self.estimators_ = ready, {}
        alone: Any = range(self.n_problems_)
        if ready is not None:
            alone = np.flatnonzero(~ready.sound).tolist()
            if ready.classes is not None:
                self.classes_ = ready.classes
        if len(alone):
            X = source()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                for j in progress(alone, f"{type(self).__name__}: fits", total=len(alone)):
                    self.estimators_[int(j)] = clone(self.estimator).fit(self._pick(X, int(j)), y)
            said_once(caught)
            if is_classifier(self.estimator):
                self.classes_ = np.asarray(next(iter(self.estimators_.values())).classes_)
        if not is_classifier(self.estimator):
            del self.classes_
        return self

    def fit_folds(self, X: Any, y: Any, folds: list[tuple[np.ndarray, np.ndarray]]) -> list[Any] | None:
        """Fitted clones, one for each (train, test), from sums that the folds share; None where they cannot share them.

        The numbers are those of ``clone(self).fit`` on each training set, to rounding.
        """
        check_same_samples(X, y)
        asked = recipe(self.estimator)
        if asked is None or not is_classifier(self.estimator):
            return None
        checked = targets(asked, y, X.shape[0], type(self).__name__)
        if not sharable(asked, checked, folds):
            return None
        frame = clone(self)
        stacks = frame._shared(asked, checked, frame._begin(X), [test for _, test in folds])
        return [
            copy(frame)._finish(ready, _take(y, train), partial(_take, X, train))
            for (train, _), ready in zip(folds, stacks)
        ]

    def predict_positions(self, X: Any) -> np.ndarray:
        """Positions in ``classes_`` instead of labels, without labels: much smaller for many problems."""
        return self._classified(*self._ways(self._check(X)))

    @available_if(has("decision_function"))
    def decision_function(self, X: Any) -> Any:
        """Scores: (samples, problems) for two classes, positive for the second; else (samples, classes, problems).

        Problems are times, times x times of testing, or units: those of ``answers_over``.
        """
        return self._over_classes(self._decisions(*self._ways(self._check(X))), X)

    @available_if(has("predict_proba"))
    def predict_proba(self, X: Any) -> Any:
        """Probabilities: (samples, classes, problems)."""
        closed, alone = self._ways(self._check(X))
        return self._over_classes(self._decisions(lambda: chances(closed()), alone, "predict_proba"), X)

    @property
    def intercept_(self) -> np.ndarray:
        return self._weights().intercept.T

    def _weights(self) -> Stack:
        check_is_fitted(self, "n_problems_")
        if self.stack_ is None or self.estimators_:
            raise AttributeError(f"{len(self.estimators_)} {self._problems} were fitted by clones: see estimators_.")
        return self.stack_

    @property
    def closed_form_(self) -> np.ndarray:
        """(problems,) booleans: which were solved together; the others were fitted by clones of the estimator."""
        together = np.zeros(self.n_problems_, dtype=bool)
        if self.stack_ is not None:
            together[self.stack_.sound] = True
        return together

    def _decisions(self, closed: Any, alone: Any, method: str = "decision_function") -> np.ndarray:
        """(samples, outputs, problems[, tests]): one output for two classes or one target.

        ``closed()`` gives the answers of the stack, ``alone(fitted, number, method)`` those of one problem, with
        samples first, outputs where there are several, tests last.
        """
        found = None if self.stack_ is None or not self.stack_.sound.any() else closed()
        for j, fitted in self.estimators_.items():
            one = np.asarray(alone(fitted, j, method))
            if found is None:
                found = np.empty((*one.shape[:2], self.n_problems_, *one.shape[2:]), dtype=one.dtype)
            found[:, :, j] = one
        assert found is not None
        return found

    def _classified(self, closed: Any, alone: Any) -> np.ndarray:
        """Positions in ``classes_``: (samples, problems[, tests])."""
        found = None
        if self.stack_ is not None and self.stack_.sound.any():
            found = chosen(closed())
        for j, fitted in self.estimators_.items():
            one = np.searchsorted(self.classes_, np.asarray(alone(fitted, j, "predict")))[:, 0]
            if found is None:
                found = np.empty((len(one), self.n_problems_, *one.shape[1:]), dtype=np.intp)
            found[:, j] = one
        assert found is not None
        return found


def _take(array: Any, places: np.ndarray) -> Any:
    return array.isel(sample=places) if isinstance(array, xr.DataArray) else np.asarray(array)[places]


def chosen(decisions: np.ndarray) -> np.ndarray:
    """Positions of classes from decision values (samples, outputs, ...)."""
    return (decisions[:, 0] > 0).astype(np.intp) if decisions.shape[1] == 1 else decisions.argmax(1)


def chances(decisions: np.ndarray) -> np.ndarray:
    """Probabilities (samples, classes, ...) of an LDA from its decision values (samples, outputs, ...)."""
    from scipy.special import expit, softmax

    if decisions.shape[1] > 1:
        return softmax(decisions, axis=1)
    second = expit(decisions)
    return np.concatenate([1 - second, second], axis=1)


def outputs_second(values: Any, n: int, tests: tuple[int, ...] = ()) -> np.ndarray:
    """What an estimator answers, (n * tests,) or (n * tests, outputs), as (n, outputs, *tests)."""
    values = np.asarray(values)
    values = values.reshape(n, *tests, -1)
    return np.moveaxis(values, -1, 1)
