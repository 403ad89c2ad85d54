"""The class whose mean pattern correlates best with the pattern at hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from ..exceptions import DegenerateDataError
from ..representation import Labels, check_same_samples, check_same_units, labelled
from . import _inputs
from .classify import _labels


class CorrelationClassifier(ClassifierMixin, BaseEstimator):
    r"""Nearest class mean by Pearson correlation over units.

    With m_k the mean pattern of class k over training samples, a sample x is given to the class with the largest

        r_k(x) = corr(x, m_k) = (x - mean x) . (m_k - mean m_k) / (|x - mean x| |m_k - mean m_k|),

    means and lengths over units. Neither the mean nor the scale of a pattern matters, only its shape. A pattern that
    does not vary over units correlates 0 with everything.

    Attributes
    ----------
    classes_ : (classes,) in sorted order.
    patterns_ : (classes, features) mean patterns, centred over features and of length 1.
    n_features_in_ : number of features.

    Raises
    ------
    AlignmentError : X and y carry labels of different samples; ``predict`` got other features than ``fit``.
    DegenerateDataError : NaN or infinite features, missing labels, or a single class.

    References
    ----------
    Haxby et al. (2001), Science 293, note 20, with the mean patterns of one half of the runs as classes.

    Examples
    --------
    >>> X = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 7.0], [3.0, 2.0, 1.0], [9.0, 5.0, 1.0]])
    >>> CorrelationClassifier().fit(X, ["up", "up", "down", "down"]).predict([[10.0, 11.0, 12.0]]).tolist()
    ['up']
    """

    def fit(self, X: Any, y: Any) -> CorrelationClassifier:
        """Learn mean patterns from (samples, features) and one class label a sample."""
        check_same_samples(X, y)
        x = _inputs.features(self, X, samples=1)
        labels = _labels(y)
        check_consistent_length(x, labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise DegenerateDataError(
                f"{len(labels)} sample(s) of one class, {self.classes_[0]!r}, came; "
                "CorrelationClassifier needs 2 or more."
            )
        self.patterns_ = unit_patterns(np.stack([x[codes == k].mean(0) for k in range(len(self.classes_))]))
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        self.target_name_ = y.name if isinstance(y, xr.DataArray) else None
        return self

    def predict(self, X: Any) -> Any:
        """The class of each sample: (samples,); over ``sample`` with the labels of ``X`` where it has any."""
        best = self._correlations(X).argmax(1)
        found = labelled(self.classes_[best], samples_of=X)
        return found.rename(self.target_name_) if isinstance(found, xr.DataArray) else found

    def decision_function(self, X: Any) -> Any:
        """Correlations (samples, classes); for two classes (samples,), that with the second less the first."""
        found = self._correlations(X)
        if len(self.classes_) == 2:
            return labelled(found[:, 1] - found[:, 0], samples_of=X)
        names = Labels("unit", len(self.classes_), {"class_name": self.classes_})
        return labelled(found, samples_of=X, units=names)

    def _correlations(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        check_same_units(X, self.features_)
        x = _inputs.features(self, X, also=self.patterns_, reset=False, samples=1)
        return unit_patterns(x) @ self.patterns_.T

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # blobs around means differ in more than the shape of a pattern
        return tags


def unit_patterns(values: np.ndarray) -> np.ndarray:
    """Patterns centred over their last axis and brought to length 1; those without variation become 0."""
    centred = values - values.mean(axis=-1, keepdims=True)
    length = np.sqrt((centred * centred).sum(axis=-1, keepdims=True))
    largest = np.abs(values).max(axis=-1, keepdims=True)
    still = length <= 16 * np.finfo(values.dtype).eps * largest * np.sqrt(values.shape[-1])
    return np.where(still, 0, centred / np.where(still, 1, length))
