"""Any estimator over time: at each time point its own, tested there or at every other time."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from ..exceptions import AlignmentError, DegenerateDataError, TimingError
from ..representation import Labels, check_finite, check_same_units, labelled, plain
from . import _inputs
from ._each import _Each, outputs_second
from ._stacks import Recipe, Stack, Targets, fold_order, solve, solve_folds

NAMED = 5  # problems that a message names


class Sliding(_Each):
    r"""An estimator of its own at every time point of sample x unit x time.

    At time t a clone of ``estimator`` is fitted to ``X[:, :, t]`` and predicts from ``X[:, :, t]`` of new samples.
    Linear discriminant analysis (``LinearClassifier("lda")`` and scikit-learn's), logistic regression of two classes,
    ridge classifiers, ``Ridge``, each also after a ``StandardScaler``, and ``CorrelationClassifier`` are solved for all
    times at once, to the same numbers (logistic regression to convergence, which is nearer to the minimum than
    scikit-learn's default tolerance); any other estimator, and logistic regression of three or more classes, is cloned
    and fitted time by time.

    Parameters
    ----------
    estimator : for samples x units; it is cloned, never changed.

    Attributes
    ----------
    classes_ : (classes,) of a classifier.
    coef_ : (outputs, units, times) where all times were solved at once; one output for two classes or one target.
    intercept_ : (outputs, times).
    estimators_ : time position -> fitted clone, for the times that were not solved at once.
    closed_form_ : (times,) booleans: which were solved at once.
    n_features_in_, n_problems_ : numbers of units and of times.

    Raises
    ------
    AlignmentError : X is not sample x unit x time, or its samples or units are not the expected ones.
    TimingError : ``predict`` got other times than ``fit``.
    DegenerateDataError : NaN or infinite values, a single class, too few samples.

    Warns
    -----
    NeurodecodeWarning : logistic regression stopped before it converged; says at which times.

    References
    ----------
    King & Dehaene (2014), Trends in Cognitive Sciences 18, box 1.

    Examples
    --------
    >>> from neurodecode.linear import LinearClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(40) % 2
    >>> X = rng.normal(size=(40, 3, 5))
    >>> X[:, :, 3] += 4 * y[:, None]
    >>> model = Sliding(LinearClassifier("lda", shrinkage=0.1)).fit(X[:30], y[:30])
    >>> right = (model.predict(X[30:]) == y[30:, None]).mean(axis=0)
    >>> right.shape, float(right[3])
    ((5,), 1.0)
    """

    _problems = "times"
    answers_over: tuple[str, ...] = ("time",)

    def __init__(self, estimator: Any):
        self.estimator = estimator

    def fit(self, X: Any, y: Any) -> Any:
        """Learn from (samples, units, times) and what ``estimator`` takes as y: labels or numbers, one a sample."""
        return self._learn(X, y, self._begin(X))

    def _begin(self, X: Any) -> np.ndarray:
        x = self._check(X, reset=True)
        self.n_problems_ = x.shape[2]
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        self.times_ = _times(X)
        return x

    def _solved(self, asked: Recipe, checked: Targets, x: np.ndarray, X: Any, y: Any) -> Stack:
        return solve(asked, _blocks(x), x.shape[::-1], checked, X, y)

    def _shared(self, asked: Recipe, checked: Targets, x: np.ndarray, tests: list[np.ndarray]) -> list[Stack]:
        return solve_folds(asked, _blocks(x[fold_order(tests, len(x))]), x.shape[::-1], checked, tests)

    def _named(self, X: Any, numbers: tuple[int, ...]) -> str:
        shown = [f"{self.times_[t]:g} s" if self.times_ is not None else f"time {t}" for t in numbers[:NAMED]]
        more = len(numbers) - len(shown)
        return (
            f"{len(numbers)} of {self.n_problems_} times: " + ", ".join(shown) + (f" and {more} more" if more else "")
        )

    def _pick(self, X: Any, number: int) -> Any:
        if isinstance(X, xr.DataArray):
            return X.isel(time=number)
        return np.ascontiguousarray(np.asarray(X)[:, :, number])

    def predict(self, X: Any) -> Any:
        """Labels or numbers: (samples, times), or (samples, targets, times) for several targets."""
        x = self._check(X)
        closed, alone = self._ways(x)
        if is_classifier(self.estimator):
            found = self._label(self.classes_[self._classified(closed, alone)], X, None)
            return found.rename(self.target_name_) if isinstance(found, xr.DataArray) else found
        values = self._decisions(closed, alone, "predict")
        if self.one_target_:
            return self._label(values[:, 0], X, None)
        return self._label(values, X, self.targets_)

    @property
    def coef_(self) -> np.ndarray:
        return self._weights().coef.transpose(1, 2, 0)

    def _ways(self, x: np.ndarray) -> tuple[Any, Any]:
        """The answers of the times that were solved at once, and those of one clone."""

        def closed() -> np.ndarray:
            assert self.stack_ is not None
            found = self._apply(x, self.stack_.coef, self.stack_.intercept)
            return _lengths(x, found, self._same_times) if self.stack_.normed else found

        def alone(fitted: Any, t: int, method: str) -> np.ndarray:
            return self._ask(fitted, x, t, method)

        return closed, alone

    _same_times = True

    def _apply(self, x: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> np.ndarray:
        """(samples, outputs, times)."""
        found = np.stack([np.einsum("npt,pt->nt", x, np.ascontiguousarray(w.T)) for w in coef.transpose(1, 0, 2)], 1)
        found += intercept.T
        return found

    def _ask(self, fitted: Any, x: np.ndarray, t: int, method: str) -> np.ndarray:
        values = getattr(fitted, method)(np.ascontiguousarray(x[:, :, t]))
        return outputs_second(values, len(x))

    def _label(self, values: np.ndarray, X: Any, units: Labels | None) -> Any:
        middle = () if units is None else ("unit",)
        return labelled(values, samples_of=X, units=units, dims=("sample", *middle, "time"))

    def _over_classes(self, values: np.ndarray, X: Any) -> Any:
        if values.shape[1] == 1:
            return self._label(values[:, 0], X, None)
        return self._label(values, X, Labels("unit", len(self.classes_), {"class_name": self.classes_}))

    def _check(self, X: Any, reset: bool = False) -> np.ndarray:
        """Finite float (samples, units, times); at predict the units and times of ``fit``."""
        if not reset:
            check_is_fitted(self, "n_problems_")
            check_same_units(X, self.features_)
        x = epochs(X, type(self).__name__)
        if reset:
            self.n_features_in_ = x.shape[1]
            return x
        if x.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {x.shape[1]} features, but {type(self).__name__} is expecting {self.n_features_in_} features."
            )
        if self._same_times:
            self._check_times(X, x.shape[2])
        return x

    def _check_times(self, X: Any, count: int) -> None:
        name = type(self).__name__
        if count != self.n_problems_:
            raise TimingError(f"X has {count} times, {name} was fitted to {self.n_problems_}; select the same window.")
        now = _times(X)
        if now is not None and self.times_ is not None and not np.allclose(now, self.times_, rtol=1e-6, atol=1e-9):
            at = int(np.flatnonzero(~np.isclose(now, self.times_, rtol=1e-6, atol=1e-9))[0])
            raise TimingError(
                f"time {at} of X is {now[at]:g} s, at fit it was {self.times_[at]:g} s; select the same window, "
                "or test at other times with Generalizing."
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags


class Generalizing(Sliding):
    r"""Fitted at every time, tested at every time: which patterns last, and which come back.

    The estimator of time t, fitted to ``X[:, :, t]``, predicts from ``X[:, :, t']`` at every t'. A pattern that lasts
    gives a square of high scores, patterns that follow each other give a diagonal.

    Parameters
    ----------
    estimator : for samples x units; it is cloned, never changed. What is solved at once: see :class:`Sliding`.

    Attributes
    ----------
    As :class:`Sliding`.

    Raises
    ------
    As :class:`Sliding`; new samples may have other times than those of ``fit``.

    References
    ----------
    King & Dehaene (2014), Trends in Cognitive Sciences 18, figure 2.

    Examples
    --------
    >>> from neurodecode.linear import LinearClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(40) % 2
    >>> X = rng.normal(size=(40, 3, 5))
    >>> X[:, :, 2:4] += 4 * y[:, None, None]
    >>> model = Generalizing(LinearClassifier("lda", shrinkage=0.1)).fit(X[:30], y[:30])
    >>> right = (model.predict(X[30:]) == y[30:, None, None]).mean(axis=0)
    >>> right.shape, float(right[2, 3])
    ((5, 5), 1.0)
    """

    answers_over = ("time", "time_test")
    _same_times = False

    def _apply(self, x: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> np.ndarray:
        """(samples, outputs, times, tests)."""
        n, p, tests = x.shape
        times, outputs, _ = coef.shape
        found = np.matmul(coef.transpose(1, 0, 2).reshape(-1, p), x).reshape(n, outputs, times, tests)
        found += intercept.T[:, :, None]
        return found

    def _ask(self, fitted: Any, x: np.ndarray, t: int, method: str) -> np.ndarray:
        n, p, tests = x.shape
        values = getattr(fitted, method)(np.ascontiguousarray(x.transpose(0, 2, 1)).reshape(-1, p))
        return outputs_second(values, n, (tests,))

    def _label(self, values: np.ndarray, X: Any, units: Labels | None) -> Any:
        if not isinstance(X, xr.DataArray):
            return values
        middle = () if units is None else ("unit",)
        bare = X.isel(time=0, drop=True)
        found = labelled(values, samples_of=bare, units=units, dims=("sample", *middle, "time", "time_test"))
        trained, tested = self.times_, _times(X)
        if trained is not None:
            found = found.assign_coords(time=("time", trained, {"units": "s"}))
        return found if tested is None else found.assign_coords(time_test=("time_test", tested, {"units": "s"}))


def epochs(X: Any, who: str) -> np.ndarray:
    """Checked float32 or float64 values (samples, units, times), without a copy where none is needed."""
    if isinstance(X, xr.DataArray) and X.dims != ("sample", "unit", "time"):
        raise AlignmentError(
            f"X has the dimensions {X.dims}; {who} takes ('sample', 'unit', 'time'). A recording without time goes to "
            "its estimator directly."
        )
    values = np.asarray(plain(X))
    if values.ndim != 3:
        raise AlignmentError(f"X has shape {values.shape}; {who} takes 3 dimensions: samples x units x times.")
    for count, least, thing in zip(values.shape, (1, 1, 1), ("sample", "unit", "time")):
        if count < least:
            raise DegenerateDataError(f"Found array with {count} {thing}(s) (shape={values.shape}); 1 is needed.")
    if values.dtype.kind not in "fiub":
        raise ValueError(f"X holds {values.dtype}; {who} takes real numbers.")
    unusable = _inputs.masked(X, values.shape[1])
    if unusable.any():
        raise DegenerateDataError(
            f"{unusable.sum()} of {values.shape[1]} units of X are masked and hold NaN "
            f"({_inputs.names(X, 'unit', unusable.nonzero()[0])}); leave them out."
        )
    x = np.asarray(values, dtype=_inputs.working_dtype(values))
    if not _inputs.is_finite(x):
        check_finite(X if isinstance(X, xr.DataArray) else x, "X")
    return x


def _blocks(x: np.ndarray) -> Any:
    """(samples, units, times) as slice of times -> (times, units, samples), a copy."""

    def problems(some: slice) -> np.ndarray:
        # One contiguous block of samples x units a time: the cheapest copy that lets a time be factorised.
        return np.array(x[:, :, some].transpose(2, 0, 1), order="C").transpose(0, 2, 1)

    return problems


def _times(X: Any) -> np.ndarray | None:
    if isinstance(X, xr.DataArray) and "time" in X.coords and X["time"].dims == ("time",):
        return np.asarray(X["time"].values, dtype=np.float64)
    return None


def _lengths(x: np.ndarray, found: np.ndarray, same: bool) -> np.ndarray:
    """Divide by the lengths of the centred patterns; a pattern without variation scores 0."""
    centred = x - x.mean(axis=1, keepdims=True)
    length = np.sqrt((centred * centred).sum(axis=1))  # (samples, times)
    still = length <= 16 * np.finfo(x.dtype).eps * np.abs(x).max(axis=1) * np.sqrt(x.shape[1])
    shape = length[:, None] if same else length[:, None, None]
    flat = still[:, None] if same else still[:, None, None]
    return np.where(flat, 0, found / np.where(flat, 1, shape))
