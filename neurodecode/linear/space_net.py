"""Maps that are sparse and smooth in space: graph-net and total variation, fitted by nilearn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from .._names import lookup
from .._optional import require
from ..exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning
from ..representation import Labels, check_finite, check_same_samples, check_same_units, labelled
from . import _inputs
from .classify import _labels
from .ridge import _folds

PENALTIES = {"graph-net": "graph-net", "tv-l1": "tv-l1"}


class _SpaceNet(BaseEstimator):
    """What both losses share: the volume, scaling by training samples, nilearn, and weights in the units of X."""

    penalty: str
    l1_ratio: Any
    alphas: Any
    cv: Any
    screening: float
    max_iter: int
    mask: Any

    def __init__(
        self,
        penalty: str = "graph-net",
        l1_ratio: float | Sequence[float] = 0.5,
        alphas: float | Sequence[float] | None = None,
        cv: Any = 5,
        screening: float = 20.0,
        max_iter: int = 200,
        mask: Any = None,
    ):
        self.penalty = penalty
        self.l1_ratio = l1_ratio
        self.alphas = alphas
        self.cv = cv
        self.screening = screening
        self.max_iter = max_iter
        self.mask = mask

    def _begin(self, X: Any) -> np.ndarray:
        """Check X, place it in space, and scale it by its own means and deviations."""
        lookup(PENALTIES, self.penalty, "penalty", callables=False)
        ratios = np.atleast_1d(np.asarray(self.l1_ratio, dtype=float))
        if not ((ratios > 0) & (ratios < 1)).all():
            raise ValueError(f"l1_ratio={self.l1_ratio!r}: expected numbers between 0 and 1, both excluded.")
        if not 0 < float(self.screening) <= 100:
            raise ValueError(f"screening={self.screening!r}: expected a percentage above 0, up to 100.")
        x = _inputs.features(self, X)
        self._place_, self._affine_ = _geometry(X, x.shape[1], self.mask, type(self).__name__)
        self._middle_ = x.mean(0, dtype=np.float64)
        spread = x.std(0, dtype=np.float64)
        self._spread_ = np.where(_inputs.constant(x), 1.0, np.where(spread > 0, spread, 1.0))
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        return x

    def _solve(self, x: np.ndarray, X: Any, y: np.ndarray, kind: str) -> Any:
        """nilearn's estimator, fitted to the volume."""
        nibabel = require("nibabel", purpose="spatial penalties")
        decoding = require("nilearn.decoding", purpose="spatial penalties")
        scaled = (x.astype(np.float64) - self._middle_) / self._spread_
        volume = np.zeros((*(self._place_.max(0) + 1), len(x)))
        volume[tuple(self._place_.T)] = scaled.T
        inside = np.zeros(volume.shape[:3], dtype=np.int8)
        inside[tuple(self._place_.T)] = 1
        cv = self.cv if isinstance(self.cv, (int, np.integer)) else _folds(self.cv, X, y, len(x))
        ratios, alphas = _grid(self.l1_ratio, self.alphas)
        net = getattr(decoding, kind)(
            penalty=self.penalty, l1_ratios=ratios, alphas=alphas, cv=cv, max_iter=self.max_iter,
            screening_percentile=float(self.screening), standardize=False,
            mask=nibabel.Nifti1Image(inside, self._affine_),
        )  # fmt: skip
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            net.fit(nibabel.Nifti1Image(volume, self._affine_), y)
        for text in dict.fromkeys(str(one.message) for one in caught if one.category.__name__ != "MaskWarning"):
            warnings.warn(f"{type(self).__name__}, from nilearn: {text}", NeurodecodeWarning, stacklevel=4)
        return net

    def _weights(self, net: Any) -> tuple[np.ndarray, np.ndarray]:
        """Weights (outputs, units) and intercepts (outputs,) for X as it came in."""
        size = self._place_.max(0) + 1
        order = np.argsort(np.argsort(np.ravel_multi_index(tuple(self._place_.T), tuple(size))))
        coef = np.atleast_2d(np.asarray(net.coef_))[:, order] / self._spread_
        return coef, np.atleast_1d(np.asarray(net.intercept_, dtype=float)) - coef @ self._middle_

    def _values(self, X: Any) -> np.ndarray:
        """Decision values or predictions: (samples, outputs)."""
        check_is_fitted(self)
        check_same_units(X, self.features_)
        x = _inputs.features(self, X, also=self.coef_, reset=False, samples=1)
        return x @ self.coef_.T + self.intercept_

    def _keep(self, coef: np.ndarray, intercept: np.ndarray, x: np.ndarray) -> None:
        self.coef_, self.intercept_ = coef.astype(x.dtype), intercept.astype(x.dtype)


class SpaceNetClassifier(ClassifierMixin, _SpaceNet):
    r"""Which category, by a map that is sparse and smooth in the volume; nilearn fits it.

    For two classes (more: each against the rest), with the logistic loss and z-scored voxels,

        min over w:  loss(X w, y) / n + alpha (l1_ratio ||w||_1 + (1 - l1_ratio) Pen(w))

    where Pen is ``||grad w||^2 / 2`` (``"graph-net"``) or the total variation ``||grad w||_2,1`` (``"tv-l1"``, blocks
    with sharp edges; slower). The map is the mean over the folds of ``cv``, each with its best penalty. Voxels are
    scaled by the means and deviations of the training samples.

    Parameters
    ----------
    penalty : ``"graph-net"`` or ``"tv-l1"``.
    l1_ratio : share of the l1 norm, between 0 and 1, or several to choose from.
    alphas : penalties, or one number: then nothing is chosen. None: ten, from the largest that leaves any voxel.
    cv : folds inside the training samples. An integer (stratified for classes), a splitter that sees the labels such
        as ``SplitBy("run")``, or a list of (train, test) positions.
    screening : percent of the voxels of a whole brain that pass a univariate F test first; all of them where there are
        100 voxels or fewer, or where the mask is small.
    max_iter : iterations of the solver.
    mask : for arrays without voxel indices: image (nibabel) whose voxels other than 0 are the units of X, in C order.
        None: unit coordinates ``i``, ``j``, ``k`` and ``X.attrs["affine"]``, which ``sources.fmri.read`` gives.

    Attributes
    ----------
    classes_ : (classes,). coef_ : (1 or classes, units) decision value per unit of X. intercept_ : (1 or classes,).
    estimator_ : nilearn's fitted estimator, whose weights are those of z-scored voxels.

    Raises
    ------
    AlignmentError : no voxel indices or affine, two units in one voxel, a mask of another size.
    DegenerateDataError : NaN or infinite values, a single class.
    MissingExtraError : nilearn is not installed.

    References
    ----------
    Grosenick et al. (2013), NeuroImage 72 (graph-net); Gramfort, Thirion & Varoquaux (2013), PRNI (TV-l1); Dohmatob
    et al. (2014), PRNI (solvers).

    Examples
    --------
    >>> import nibabel
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(40) % 2
    >>> X = rng.normal(size=(40, 64))
    >>> X[:, :8] += 2 * y[:, None]
    >>> cube = nibabel.Nifti1Image(np.ones((4, 4, 4), dtype=np.int8), np.diag([3.0, 3, 3, 1]))
    >>> model = SpaceNetClassifier(alphas=0.1, mask=cube).fit(X[:30], y[:30])
    >>> float((model.predict(X[30:]) == y[30:]).mean())
    1.0
    """

    def fit(self, X: Any, y: Any) -> SpaceNetClassifier:
        """Learn from (samples, voxels) and one class label a sample, such as ``X["category"]``."""
        check_same_samples(X, y)
        names = _labels(y)
        x = self._begin(X)
        check_consistent_length(x, names)
        self.classes_, codes = np.unique(names, return_inverse=True)
        if len(self.classes_) < 2:
            raise DegenerateDataError(
                f"{len(names)} sample(s) of one class, {self.classes_[0]!r}, came; SpaceNetClassifier needs 2 or more."
            )
        self.estimator_ = self._solve(x, X, codes, "SpaceNetClassifier")
        self._keep(*self._weights(self.estimator_), x)
        self.target_name_ = y.name if isinstance(y, xr.DataArray) else None
        return self

    def decision_function(self, X: Any) -> Any:
        """Scores: (samples,) for two classes, positive for the second; else (samples, classes)."""
        values = self._values(X)
        if values.shape[1] == 1:
            return labelled(values[:, 0], samples_of=X)
        return labelled(values, samples_of=X, units=Labels("unit", values.shape[1], {"class_name": self.classes_}))

    def predict(self, X: Any) -> Any:
        """The class of each sample: (samples,); labelled where X is."""
        values = self._values(X)
        place = (values[:, 0] > 0).astype(int) if values.shape[1] == 1 else values.argmax(1)
        found = labelled(self.classes_[place], samples_of=X)
        return found.rename(self.target_name_) if isinstance(found, xr.DataArray) else found


class SpaceNetRegressor(MultiOutputMixin, RegressorMixin, _SpaceNet):
    r"""How much, by a map that is sparse and smooth in the volume; nilearn fits it, target by target.

    As :class:`SpaceNetClassifier`, with the squared loss ``||y - X w||^2 / 2n`` and y centred.

    Parameters
    ----------
    penalty, l1_ratio, alphas, cv, screening, max_iter, mask : as for :class:`SpaceNetClassifier`.

    Attributes
    ----------
    coef_ : (targets, units) per unit of X. intercept_ : (targets,). estimators_ : nilearn's, one a target.

    Raises
    ------
    AlignmentError, DegenerateDataError, MissingExtraError : as :class:`SpaceNetClassifier`.

    References
    ----------
    Grosenick et al. (2013), NeuroImage 72; Gramfort, Thirion & Varoquaux (2013), PRNI.

    Examples
    --------
    >>> import nibabel
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 64))
    >>> y = X[:, :8].sum(axis=1)
    >>> cube = nibabel.Nifti1Image(np.ones((4, 4, 4), dtype=np.int8), np.diag([3.0, 3, 3, 1]))
    >>> found = SpaceNetRegressor(alphas=0.1, mask=cube).fit(X, y)
    >>> bool(np.corrcoef(found.predict(X), y)[0, 1] > 0.9)
    True
    """

    targets_independent = True

    def fit(self, X: Any, y: Any) -> SpaceNetRegressor:
        """Learn from (samples, voxels) and numbers (samples,) or (samples, targets)."""
        if y is None:
            raise ValueError("SpaceNetRegressor requires y to be passed, but the target y is None.")
        check_same_samples(X, y)
        x = self._begin(X)
        targets = np.asarray(_inputs.targets(y, "SpaceNetRegressor"))
        check_consistent_length(x, targets)
        check_finite(y if isinstance(y, xr.DataArray) else targets, "y")
        columns = targets.reshape(len(targets), -1).astype(np.float64)
        self.estimators_ = [self._solve(x, X, column, "SpaceNetRegressor") for column in columns.T]
        pairs = [self._weights(net) for net in self.estimators_]
        self._keep(np.concatenate([coef for coef, _ in pairs]), np.concatenate([offset for _, offset in pairs]), x)
        self.one_target_ = targets.ndim == 1
        self.targets_ = Labels.of(y if isinstance(y, xr.DataArray) else targets, "unit")
        return self

    def predict(self, X: Any) -> Any:
        """Predictions: (samples,) or (samples, targets); labelled where X is."""
        values = self._values(X)
        return labelled(values[:, 0] if self.one_target_ else values, samples_of=X, units=self.targets_)


def _grid(ratios: Any, alphas: Any) -> tuple[list[float], list[float] | None]:
    """Both as lists. nilearn chooses only where both have two entries or more, else it takes the first: repeat one."""
    shares = [float(ratio) for ratio in np.atleast_1d(np.asarray(ratios, dtype=float))]
    if alphas is None:
        return shares, None
    penalties = [float(alpha) for alpha in np.unique(np.asarray(alphas, dtype=float))[::-1]]
    if not penalties or not all(np.isfinite(alpha) and alpha > 0 for alpha in penalties):
        raise ValueError(f"alphas={alphas!r}: expected one or more finite numbers above 0.")
    if len(shares) * len(penalties) > 1:
        shares, penalties = (one * 2 if len(one) == 1 else one for one in (shares, penalties))
    return shares, penalties


def _geometry(X: Any, n: int, mask: Any, who: str) -> tuple[np.ndarray, np.ndarray]:
    """Voxel of every unit in the smallest box that holds them all (units, 3), and the affine."""
    here = isinstance(X, xr.DataArray) and all(axis in X.coords and X[axis].dims == ("unit",) for axis in "ijk")
    if here:
        if X.attrs.get("affine") is None:
            raise AlignmentError(f"{who} needs X.attrs['affine'], the 4 x 4 matrix from voxels to mm; it is missing.")
        place = np.stack([np.asarray(X[axis].values) for axis in "ijk"], axis=1)
        affine = np.asarray(X.attrs["affine"], dtype=float)
    elif mask is None:
        known = sorted(str(name) for name in X.coords if X[name].dims == ("unit",)) if hasattr(X, "coords") else []
        has = f"the units have the coordinates {known}" if known else "these units have no coordinates"
        raise AlignmentError(
            f"{who} needs to know which voxel each unit is: unit coordinates i, j, k and attrs['affine'] as "
            f"sources.fmri.read gives them, or mask= for a plain array; {has}. For surfaces and sensors take Ridge or "
            "LinearClassifier."
        )
    else:
        place = np.argwhere(np.asarray(mask.dataobj) != 0)
        affine = np.asarray(mask.affine, dtype=float)
        if len(place) != n:
            raise AlignmentError(f"the mask of {who} has {len(place)} voxels, and X has {n} units.")
    if len(np.unique(place, axis=0)) < n:
        raise AlignmentError(
            "several units lie in the same voxel (more than one subject or layer?): select one before fitting a map."
        )
    return (place - place.min(0)).astype(int), affine
