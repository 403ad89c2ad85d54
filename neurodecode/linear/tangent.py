"""Covariances as features: the tangent space at their mean, and the class whose mean covariance is nearest."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import ClassifierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._names import lookup
from ..exceptions import AlignmentError, DegenerateDataError
from ..representation import Labels, check_same_samples, check_same_units, labelled, plain
from . import _curved as curved
from . import eigenfilters as engine
from ._filtering import TOLERANCE, _Epochs
from ._inputs import working_dtype
from .filters import _classes

FLAT = 1e-12


class _Covariances(_Epochs):
    """The door of both: from epochs to covariances in the span of the data."""

    metric: str
    shrinkage: float | str | None

    def _learn(self, X: Any) -> np.ndarray:
        lookup(curved.METRICS, self.metric, "metric", callables=False)
        x = self._epochs(X, reset=True)
        total = engine.second_moment(x)
        basis = engine.span(total, TOLERANCE)
        self.rank_ = basis.shape[1]
        # Channels that are free of each other stay as they are; otherwise the directions in which anything varies.
        self.basis_ = np.eye(len(total)) if self.rank_ == len(total) else basis
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        return self._seen(x, X)

    def _covariances(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        check_same_units(X, self.features_)
        return self._seen(self._epochs(X, reset=False), X)

    def _seen(self, x: np.ndarray, X: Any) -> np.ndarray:
        inside = np.einsum("nct,cr->nrt", x, self.basis_, optimize=True)
        found = inside @ inside.swapaxes(1, 2) / inside.shape[2]
        if self.shrinkage is not None:
            found = np.stack([engine.shrunk(c, self.shrinkage, e[None]) for c, e in zip(found, inside)])
        values = np.linalg.eigvalsh(found)
        flat = np.flatnonzero(values[:, 0] <= FLAT * np.maximum(values[:, -1], np.finfo(float).tiny))
        if len(flat) and self.metric != "euclid":
            name = (
                f" ({X['stimulus'].values[flat[0]]})" if isinstance(X, xr.DataArray) and "stimulus" in X.coords else ""
            )
            raise DegenerateDataError(
                f"{len(flat)} of {len(x)} samples have a singular covariance (first: {flat[0]}{name}): "
                f"{x.shape[2]} times for {self.rank_} dimensions, or channels that depend on each other in some epochs "
                "alone. Take longer epochs, fewer channels, shrinkage='auto', or metric='euclid'."
            )
        return np.asarray(found)


class TangentSpace(TransformerMixin, _Covariances):
    r"""The covariance of every epoch as a vector in the flat space that touches the curved one at their mean.

    ``s = upper(log(M^-1/2 C M^-1/2))`` with C = X X' / T the covariance of an epoch and M the mean of all of training;
    entries off the diagonal count root 2 times, so that the length of s is the Riemannian distance of C from M. Any
    linear map may follow; whatever mixes the channels (volume conduction) turns s without changing lengths.

    Where the channels depend on each other (an average reference, interpolated channels) covariances are those in the
    ``rank_`` directions in which the training data vary.

    Parameters
    ----------
    metric : ``"riemann"`` as above; ``"logeuclid"``: s = upper(log C - log M), M = exp(mean log C); ``"euclid"``:
        upper(C - M).
    shrinkage : of every covariance: None, ``"auto"`` (Ledoit-Wolf) or from 0 to 1.

    Attributes
    ----------
    mean_ : (rank, rank) M. basis_ : (channels, rank). rank_ : numerical rank of the data.

    Raises
    ------
    DegenerateDataError : an epoch whose covariance is singular, values that are not finite.
    AlignmentError : other dimensions, other channels than at fit.

    References
    ----------
    Barachant, Bonnet, Congedo & Jutten (2012), IEEE Transactions on Biomedical Engineering 59, sections II and III.B;
    Arsigny et al. (2007), SIAM Journal on Matrix Analysis 29 (log-Euclidean).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(40, 3, 200))
    >>> X[:20, 1] *= 2
    >>> s = TangentSpace().fit_transform(X)
    >>> s.shape, bool(s[:20, 3].mean() > 0.5 > s[20:, 3].mean())
    ((40, 6), True)
    """

    def __init__(self, metric: str = "riemann", shrinkage: float | str | None = None):
        self.metric = metric
        self.shrinkage = shrinkage

    def fit(self, X: Any, y: Any = None) -> TangentSpace:
        """Learn the mean covariance of epochs (samples, channels, times)."""
        c = self._learn(X)
        self.mean_ = curved.METRICS[self.metric].mean(c)
        return self

    def transform(self, X: Any) -> Any:
        """Tangent vectors (samples, rank (rank + 1) / 2), labelled with ``row`` and ``column`` on unit where X is."""
        c = self._covariances(X)
        found = curved.upper(curved.METRICS[self.metric].to(c, self.mean_))
        found = found.astype(working_dtype(np.asarray(plain(X))), copy=False)
        attrs: dict[str, Any] = {"quantity": "tangent vector of the covariance", "units": "a.u."}
        if isinstance(X, xr.DataArray):
            attrs["history"] = [*X.attrs.get("history", []), f"{type(self).__name__}, metric {self.metric}"]
        return labelled(found, samples_of=X, units=self._units(), attrs=attrs)

    def inverse_transform(self, s: Any) -> np.ndarray:
        """Covariances (samples, channels, channels) of tangent vectors: where a pattern in this space is seen."""
        check_is_fitted(self)
        s = np.asarray(plain(s), dtype=np.float64)
        if s.ndim != 2 or s.shape[1] != self._n_features_out:
            raise AlignmentError(
                f"tangent vectors have {self._n_features_out} entries; these have the shape {s.shape}."
            )
        c = curved.METRICS[self.metric].back(curved.from_upper(s, self.rank_), self.mean_)
        return np.asarray(self.basis_ @ c @ self.basis_.T)

    @property
    def _n_features_out(self) -> int:
        return self.rank_ * (self.rank_ + 1) // 2

    def _units(self) -> Labels:
        rows, columns = np.triu_indices(self.rank_)
        names = np.array([f"direction {place}" for place in range(self.rank_)])
        if self.rank_ == len(self.basis_):
            names = np.asarray(self.features_.coords.get("channel", [str(place) for place in range(self.rank_)]))
        return Labels("unit", len(rows), {"row": names[rows], "column": names[columns]})


class MinimumDistance(ClassifierMixin, _Covariances):
    r"""Minimum distance to mean: the class whose mean covariance is nearest to that of the epoch.

    ``argmin over k of d(C, M_k)``; with the Riemannian metric d(C, M) is the root of the sum of squared logarithms of
    the eigenvalues of ``M^-1 C`` and M_k the matrix with the least squared distances to the epochs of class k. Both
    stay as they are when the channels are mixed by any invertible matrix. ``means_`` are the patterns of the classes.

    Parameters
    ----------
    metric : ``"riemann"``, ``"logeuclid"`` or ``"euclid"``, as for ``TangentSpace``.
    shrinkage : of every covariance: None, ``"auto"`` (Ledoit-Wolf) or from 0 to 1.

    Attributes
    ----------
    classes_ : in sorted order. means_ : (classes, channels, channels). rank_ : numerical rank of the data.

    Raises
    ------
    DegenerateDataError : one class, an epoch whose covariance is singular, values that are not finite.
    AlignmentError : other dimensions, other samples in y, other channels than at fit.

    References
    ----------
    Barachant, Bonnet, Congedo & Jutten (2012), IEEE Transactions on Biomedical Engineering 59, section III.A.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["feet", "hands"], 20)
    >>> X = rng.normal(size=(40, 3, 200))
    >>> X[y == "feet", 1] *= 2
    >>> MinimumDistance().fit(X, y).predict(X[[0, 39]]).tolist()
    ['feet', 'hands']
    """

    def __init__(self, metric: str = "riemann", shrinkage: float | str | None = None):
        self.metric = metric
        self.shrinkage = shrinkage

    def fit(self, X: Any, y: Any) -> MinimumDistance:
        """Learn the mean covariance of every class from epochs (samples, channels, times)."""
        check_same_samples(X, y)
        c = self._learn(X)
        self.classes_, which = _classes(y, len(c), "MinimumDistance")
        self.target_name_ = y.name if isinstance(y, xr.DataArray) else None
        mean = curved.METRICS[self.metric].mean
        self.class_means_ = np.stack([mean(c[which == k]) for k in range(len(self.classes_))])
        self.means_ = self.basis_ @ self.class_means_ @ self.basis_.T
        return self

    def predict(self, X: Any) -> Any:
        """The class of each sample: (samples,); over ``sample`` with the labels of ``X`` where it has any."""
        found = labelled(self.classes_[self._distances(X).argmin(axis=1)], samples_of=X)
        return found.rename(self.target_name_) if isinstance(found, xr.DataArray) else found

    def decision_function(self, X: Any) -> Any:
        """How near (samples, classes): distances times -1; for two classes (samples,), to the first less the second."""
        far = self._distances(X).astype(working_dtype(np.asarray(plain(X))), copy=False)
        if len(self.classes_) == 2:
            return labelled(far[:, 0] - far[:, 1], samples_of=X)
        return labelled(-far, samples_of=X, units=Labels("unit", far.shape[1], {"class_name": self.classes_}))

    def _distances(self, X: Any) -> np.ndarray:
        c = self._covariances(X)
        distance = curved.METRICS[self.metric].distance
        return np.stack([distance(c, mean) for mean in self.class_means_], axis=1)
