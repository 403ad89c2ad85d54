"""Estimators of scikit-learn that keep labels: labelled in, labelled out."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .labels import Labels, check_same_samples, check_same_units, labelled, plain
from .schema import check_finite


def _has(*names: str) -> Any:
    """Whether the wrapped estimator (fitted, or as given) has one of these methods."""

    def check(self: Any) -> bool:
        inner = getattr(self, "estimator_", self.estimator)
        if any(hasattr(inner, name) for name in names):
            return True
        raise AttributeError(f"{type(inner).__name__} has no {' or '.join(names)}")

    return available_if(check)


class Labelled(MetaEstimatorMixin, BaseEstimator):
    """Wrap any scikit-learn estimator or transformer so that the labels survive it.

    With a labelled array, ``transform`` gives the samples of what came in and: the same units where features stay
    what they are (``StandardScaler``), the selected units where some are chosen (``SelectKBest``), and a coordinate
    ``component`` with scikit-learn's names where new ones are made (``PCA``). ``predict`` gives the units of the
    ``y`` of ``fit``. Plain arrays come back plain, and labels never change a number.

    Parameters
    ----------
    estimator : unfitted estimator of scikit-learn, or a pipeline of them.

    Attributes
    ----------
    estimator_ : the fitted copy.
    features_ : labels of the units seen at fit.
    targets_ : labels of the units of ``y``.

    Raises
    ------
    AlignmentError : ``X`` and ``y`` have other samples or another order; units differ from those at fit.
    DegenerateDataError : a labelled array holds NaN or infinity.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from neurodecode.representation import as_representation
    >>> X = as_representation([[1.0], [3.0]], stimulus=["a", "b"], kind="fmri", unit={"roi": ["V1"]})
    >>> Z = Labelled(StandardScaler()).fit(X).transform(X)
    >>> Z.values.ravel().tolist(), Z["roi"].values.tolist(), Z["stimulus"].values.tolist()
    ([-1.0, 1.0], ['V1'], ['a', 'b'])
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any = None, **params: Any) -> Labelled:
        """Fit a copy of the estimator on the values.

        Parameters
        ----------
        X : (samples, units). y : (samples,), (samples, targets) or None. params : passed on.
        """
        self._fit(X, y)
        self.estimator_ = clone(self.estimator).fit(self._values(X), plain(y), **params)
        return self

    @_has("transform", "fit_transform")
    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Fit and give back ``X`` transformed, through the estimator's own ``fit_transform`` where it has one."""
        self._fit(X, y)
        self.estimator_ = clone(self.estimator)
        if hasattr(self.estimator_, "fit_transform"):
            values = self.estimator_.fit_transform(self._values(X), plain(y), **params)
        else:
            values = self.estimator_.fit(self._values(X), plain(y), **params).transform(self._values(X))
        return self._transformed(values, X)

    @_has("transform")
    def transform(self, X: Any) -> Any:
        """``X`` transformed: (samples, features), labelled where ``X`` is."""
        return self._transformed(self._fitted(X, "transform"), X)

    @_has("inverse_transform")
    def inverse_transform(self, X: Any) -> Any:
        """Back to the units seen at fit: (samples, units)."""
        check_is_fitted(self)
        values = self.estimator_.inverse_transform(plain(X))
        return labelled(values, samples_of=X, units=self.features_, attrs=self._history(X, "inverse of "))

    @_has("predict")
    def predict(self, X: Any) -> Any:
        """Predictions: (samples,) or (samples, targets), with the units of ``y``."""
        values = self._fitted(X, "predict")
        units = self.targets_ if np.ndim(values) > 1 else None
        attrs = None if units is not None else dict(self.targets_.attrs)
        return labelled(values, samples_of=X, units=units, attrs=attrs)

    @_has("predict_proba")
    def predict_proba(self, X: Any) -> Any:
        """Probabilities: (samples, classes), with the class names in ``class``."""
        return self._by_class(self._fitted(X, "predict_proba"), X)

    @_has("decision_function")
    def decision_function(self, X: Any) -> Any:
        """Confidence: (samples,) for two classes, else (samples, classes)."""
        return self._by_class(self._fitted(X, "decision_function"), X)

    @_has("score")
    def score(self, X: Any, y: Any = None, **params: Any) -> float:
        """The estimator's own score."""
        values = self._seen(X)
        check_same_samples(X, y)
        return float(self.estimator_.score(values, plain(y), **params))

    @_has("get_feature_names_out")
    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Names of the features that ``transform`` gives."""
        check_is_fitted(self)
        return self.estimator_.get_feature_names_out(input_features)

    @property
    def n_features_in_(self) -> int:
        """How many units were seen at fit."""
        if not hasattr(self, "estimator_"):
            raise AttributeError(f"{type(self).__name__} has no n_features_in_ before fit")
        return int(self.estimator_.n_features_in_)

    @property
    def classes_(self) -> Any:
        """The classes of a fitted classifier."""
        if not hasattr(self, "estimator_"):
            raise AttributeError(f"{type(self).__name__} has no classes_ before fit")
        return self.estimator_.classes_

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_")

    def __sklearn_tags__(self) -> Any:
        return deepcopy(get_tags(self.estimator))

    def _fit(self, X: Any, y: Any) -> None:
        check_same_samples(X, y)
        if isinstance(y, xr.DataArray):
            check_finite(y, "y")
        self.features_ = Labels.of(X, "unit")
        self.targets_ = Labels.of(y, "unit")

    def _fitted(self, X: Any, method: str) -> Any:
        values = self._seen(X)
        return getattr(self.estimator_, method)(values)

    def _seen(self, X: Any) -> Any:
        check_is_fitted(self)
        check_same_units(X, self.features_)
        return self._values(X)

    def _values(self, X: Any) -> Any:
        if isinstance(X, xr.DataArray):
            if X.dims != ("sample", "unit"):
                raise ValueError(
                    f"X has dims {X.dims}; scikit-learn's estimators take ('sample', 'unit'). Apply it per time point "
                    "with linear.Sliding, or select or stack the rest first."
                )
            check_finite(X, "X")
        return plain(X)

    def _transformed(self, values: Any, X: Any) -> Any:
        if not isinstance(X, xr.DataArray):
            return values
        if hasattr(values, "toarray"):
            values = values.toarray()
        return labelled(values, samples_of=X, units=self._units_out(X, values), attrs=self._history(X))

    def _units_out(self, X: xr.DataArray, values: Any) -> Labels:
        """Units of a transformed array: those that came in where features keep their names, else components."""
        size = np.shape(values)[1]
        now = Labels.of(X, "unit")
        kept = {key: entry for key, entry in now.attrs.items() if key not in ("quantity", "units")}
        given = np.array([f"unit{at}" for at in range(now.size)], dtype=object)
        try:
            names = [str(name) for name in self.estimator_.get_feature_names_out(given)]
        except (AttributeError, ValueError, TypeError):
            names = []
        place = {name: at for at, name in enumerate(given)}
        if len(names) == size and all(name in place for name in names):
            rows = np.array([place[name] for name in names], dtype=int)
            return Labels("unit", size, {name: entry[rows] for name, entry in now.coords.items()}, kept)
        if len(names) != size:
            names = [f"{type(self.estimator_).__name__.lower()}{at}" for at in range(size)]
        return Labels("unit", size, {"component": np.array(names, dtype=str)}, {**kept, "kind": "features"})

    def _history(self, X: Any, word: str = "") -> dict[str, Any]:
        if not isinstance(X, xr.DataArray):
            return {}
        return {"history": [*X.attrs.get("history", []), f"{word}{self.estimator_!r}".replace("\n", " ")]}

    def _by_class(self, values: Any, X: Any) -> Any:
        if np.ndim(values) < 2:
            return labelled(values, samples_of=X)
        names = np.asarray(self.estimator_.classes_)
        coords = {"class": names.astype(str) if names.dtype.kind in "OT" else names}
        return labelled(values, samples_of=X, units=Labels("unit", values.shape[1], coords, {"kind": "features"}))
