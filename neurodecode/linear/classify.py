"""Linear classifiers behind one estimator, with labels that survive."""

from __future__ import annotations

import warnings
from numbers import Real
from typing import Any

import numpy as np
import torch
import xarray as xr
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.svm import LinearSVC
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from .._names import lookup
from ..compute.discriminant import permuted_decisions
from ..exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning
from ..representation import Labels, check_same_samples, check_same_units, labelled, plain
from . import _inputs

ITERATIONS = {"logistic": 10_000, "svm": 100_000}


def _logistic(asked: LinearClassifier) -> BaseEstimator:
    return LogisticRegression(C=asked.C, solver="lbfgs", max_iter=ITERATIONS["logistic"])


def _svm(asked: LinearClassifier) -> BaseEstimator:
    return LinearSVC(C=asked.C, dual="auto", max_iter=ITERATIONS["svm"], random_state=asked.random_state)


def _lda(asked: LinearClassifier) -> BaseEstimator:
    if asked.shrinkage is None:
        return LinearDiscriminantAnalysis(solver="svd")
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=asked.shrinkage)


def _ridge(asked: LinearClassifier) -> BaseEstimator:
    return RidgeClassifier(alpha=1.0 / asked.C)


KINDS = {"logistic": _logistic, "lda": _lda, "svm": _svm, "ridge": _ridge}


def _has_probabilities(classifier: LinearClassifier) -> bool:
    if classifier.kind in ("svm", "ridge"):
        what = {"svm": "a linear SVM", "ridge": "a ridge classifier"}[classifier.kind]
        raise AttributeError(f"{what} has no probabilities; use decision_function, or kind='logistic' or 'lda'.")
    return True


def _has_rank_one_identity(classifier: LinearClassifier) -> bool:
    amount = classifier.shrinkage
    number = isinstance(amount, Real) and not isinstance(amount, bool) and 0 <= float(amount) <= 1
    if classifier.kind != "lda" or not (amount is None or number):
        raise AttributeError("labels can be permuted in closed form for kind='lda' with shrinkage None or a number.")
    return True


class LinearClassifier(ClassifierMixin, BaseEstimator):
    r"""Which category: multinomial logistic regression, linear discriminant analysis, a linear SVM, or ridge.

    - ``"logistic"``: softmax of ``X W + b``, minimising cross-entropy + ||W||^2 / (2 C), over all classes at once.
    - ``"lda"``: Gaussian classes that share a covariance, optionally shrunk towards a scaled identity.
    - ``"svm"``: one class against the rest with squared hinge loss, ||w||^2 / 2 + C sum max(0, 1 - y f(x))^2.
    - ``"ridge"``: one class against the rest by least squares on targets y of -1 and 1, sum (y - f(x))^2 + ||w||^2 / C.

    scikit-learn does the fitting. Features are not scaled; put ``Labelled(StandardScaler())`` before it where
    the units of the features differ.

    Parameters
    ----------
    kind : ``"logistic"``, ``"lda"``, ``"svm"`` or ``"ridge"``.
    C : inverse strength of the penalty, above 0 (logistic, svm, ridge).
    shrinkage : of the covariance, for ``"lda"`` alone: None (none), ``"auto"`` (Ledoit-Wolf), or a number in [0, 1].
    random_state : seed of the coordinate order in the svm's dual solver.

    Attributes
    ----------
    classes_ : (classes,) in sorted order.
    coef_ : (1 or classes, features) decision value per unit of feature; one row where there are two classes.
    intercept_ : (1 or classes,).
    estimator_ : the fitted scikit-learn classifier.
    n_features_in_ : number of features.

    Raises
    ------
    AlignmentError : X and y carry labels of different samples; ``predict`` got other features than ``fit``.
    DegenerateDataError : NaN or infinite features, missing labels, or a single class.

    Warns
    -----
    NeurodecodeWarning : the solver stopped before it converged.

    References
    ----------
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, sections 4.3, 4.4 and 12.2;
    Ledoit & Wolf (2004), Journal of Multivariate Analysis 88; Fan et al. (2008), LIBLINEAR, JMLR 9.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["face", "house"], 20)
    >>> X = rng.normal(size=(40, 3)) + (y == "face")[:, None] * 3
    >>> LinearClassifier("lda", shrinkage="auto").fit(X, y).predict([[3, 3, 3], [0, 0, 0]]).tolist()
    ['face', 'house']
    """

    def __init__(
        self,
        kind: str = "logistic",
        C: float = 1.0,
        shrinkage: float | str | None = None,
        random_state: Any = 0,
    ):
        self.kind = kind
        self.C = C
        self.shrinkage = shrinkage
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> LinearClassifier:
        """Learn from features (samples, features) and one class label a sample, such as ``X["category"]``."""
        build = lookup(KINDS, self.kind, "kind")
        if self.shrinkage is not None and self.kind != "lda":
            raise ValueError(f"shrinkage={self.shrinkage!r} belongs to kind='lda', not to kind={self.kind!r}; use C.")
        _check_amounts(self)
        check_same_samples(X, y)
        x = _inputs.features(self, X, samples=1)
        labels = _labels(y)
        check_consistent_length(x, labels)
        classes = np.unique(labels)
        if len(classes) < 2:
            raise DegenerateDataError(
                f"{len(labels)} sample(s) of one class, {classes[0].item()!r}, came; LinearClassifier needs 2 or more."
            )
        self.estimator_ = _fit(build(self), x, labels)
        self.classes_ = self.estimator_.classes_
        self.coef_ = self.estimator_.coef_.astype(x.dtype)
        self.intercept_ = self.estimator_.intercept_.astype(x.dtype)
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        self.target_name_ = y.name if isinstance(y, xr.DataArray) else None
        return self

    def predict(self, X: Any) -> Any:
        """The class of each sample: (samples,); over ``sample`` with the labels of ``X`` where it has any."""
        x = self._check(X)
        found = labelled(self.estimator_.predict(x), samples_of=X)
        return found.rename(self.target_name_) if isinstance(found, xr.DataArray) else found

    def decision_function(self, X: Any) -> Any:
        """Scores: (samples,) for two classes, positive for the second of ``classes_``; else (samples, classes)."""
        x = self._check(X)
        return self._over_classes(self.estimator_.decision_function(x).astype(x.dtype, copy=False), X)

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> Any:
        """Probabilities: (samples, classes), with the unit coordinate ``class_name`` where ``X`` is labelled."""
        x = self._check(X)
        return self._over_classes(self.estimator_.predict_proba(x).astype(x.dtype, copy=False), X)

    @available_if(_has_rank_one_identity)
    def permuted_decisions(self, X: Any, labels: np.ndarray, X_test: Any) -> tuple[np.ndarray, np.ndarray]:
        """Decision values under many labellings into two classes, for null distributions: nothing is kept.

        Parameters
        ----------
        X : (samples, features) training samples. X_test : samples to be classified.
        labels : (labellings, samples) booleans, True for the second class.

        Returns
        -------
        decisions (test samples, labellings), and (labellings,) booleans: False where the decision of a labelling is
        not accurate (or has a single class) and must come from ``fit``. Only for ``"lda"`` without ``"auto"``.
        """
        x, x_test = (np.ascontiguousarray(_inputs.matrix(one)) for one in (X, X_test))
        if x.dtype.kind not in "fiub" or not (_inputs.is_finite(x) and _inputs.is_finite(x_test)):
            x, x_test = (_inputs.features(clone(self), one, samples=1) for one in (X, X_test))
        found, sound = permuted_decisions(
            torch.from_numpy(x), torch.from_numpy(np.ascontiguousarray(labels)), torch.from_numpy(x_test),
            None if self.shrinkage is None else float(self.shrinkage),
        )  # fmt: skip
        return found.numpy(), sound.numpy()

    def _check(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        check_same_units(X, self.features_)
        return _inputs.features(self, X, also=self.coef_, reset=False, samples=1)

    def _over_classes(self, values: np.ndarray, X: Any) -> Any:
        return labelled(values, samples_of=X, units=Labels("unit", len(self.classes_), {"class_name": self.classes_}))


def _check_amounts(asked: LinearClassifier) -> None:
    amount, C = asked.shrinkage, asked.C
    numbers = [isinstance(one, Real) and not isinstance(one, bool) for one in (amount, C)]
    if asked.kind != "lda" and not (numbers[1] and float(C) > 0):
        raise ValueError(f"C={C!r}: expected a number above 0; the smaller it is, the stronger is the penalty.")
    if not (amount is None or amount == "auto" or (numbers[0] and 0 <= float(amount) <= 1)):
        raise ValueError(
            f"shrinkage={amount!r}: expected a number from 0 (the covariance as it is) to 1 (its mean variance on the "
            "diagonal alone), 'auto' (Ledoit and Wolf) or None."
        )


def _labels(y: Any) -> np.ndarray:
    """One class label a sample, none missing."""
    if y is None:
        raise ValueError("LinearClassifier requires y to be passed, but the target y is None.")
    if isinstance(y, xr.DataArray) and y.dims != ("sample",):
        raise AlignmentError(
            f"y has the dimensions {y.dims}; expected one class label a sample, such as X['category']."
        )
    labels = column_or_1d(plain(y) if isinstance(y, xr.DataArray) else y, warn=True)
    missing = np.array([entry is None or entry != entry for entry in labels]) if labels.dtype.kind in "Of" else None
    if missing is not None and missing.any():
        raise DegenerateDataError(
            f"Input y contains NaN: {missing.sum()} of {len(labels)} class labels are missing, the first of sample "
            f"{_inputs.name(y, 'sample', int(np.flatnonzero(missing)[0]))}. Drop those samples first."
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise DegenerateDataError(f"Input y contains infinity: {np.isinf(labels).sum()} of {len(labels)} class labels.")
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        first = float(labels[labels != np.floor(labels)][0])
        raise ValueError(
            f"Unknown label type: continuous. y holds numbers such as {first:g}, and a classifier takes labels; for "
            "numbers use a regressor, such as Ridge."
        )
    check_classification_targets(labels)
    return labels


def _fit(estimator: Any, x: np.ndarray, labels: np.ndarray) -> Any:
    """Fit; what scikit-learn says about convergence is said as a NeurodecodeWarning."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fitted = estimator.fit(x, labels)
    for entry in said:
        if not issubclass(entry.category, UserWarning):
            warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)
            continue
        text = str(entry.message).strip().splitlines()[0]
        warnings.warn(
            f"{type(estimator).__name__} on {x.shape[0]} samples x {x.shape[1]} features: {text} "
            "Scale the features, or penalise more (a smaller C).",
            NeurodecodeWarning,
            stacklevel=3,
        )
    return fitted
