"""Maps from one space to another: rotations, one-to-one matches of units, ridge; and the way back.

Estimators: fitted on training samples, asked about others. ``predict`` and ``transform`` give the units of ``y``,
``inverse_transform`` those of ``X``. Several people in one space are in ``common_space``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, TransformerMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from .._numbers import amount
from ..compute.device import resolve
from ..compute.scores import is_constant
from ..compute.shared_space import rotation
from ..exceptions import AlignmentError, DegenerateDataError
from ..linear import Ridge, _inputs
from ..linear.ridge import DEFAULT_ALPHAS
from ..representation import Labels, check_finite, check_same_samples, check_same_units, labelled
from .common_space import GCCA, Hyperalignment, SharedResponse, ThroughSpace
from .frozen import FrozenMap
from .matching import assign

__all__ = [
    "GCCA",
    "FrozenMap",
    "Hyperalignment",
    "PermutationMap",
    "ProcrustesMap",
    "RidgeMap",
    "SharedResponse",
    "ThroughSpace",
]


class _Map(MultiOutputMixin, RegressorMixin, TransformerMixin, BaseEstimator):
    """The door of all maps: two labelled or plain arrays with the same samples."""

    def _pair(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Checked values of both sides (n, p) and (n, q), and the labels of their units kept."""
        name = type(self).__name__
        check_same_samples(X, y)
        targets = _inputs.targets(y, name)
        x = _inputs.features(self, X, also=targets)
        check_consistent_length(x, targets)
        table = np.asarray(targets[:, None] if targets.ndim == 1 else targets)
        _inputs.check_counts(table.shape, name, what="target")
        hidden = _inputs.masked(y, table.shape[1])
        if hidden.any():
            raise DegenerateDataError(
                f"{hidden.sum()} of {table.shape[1]} units of y are masked and hold NaN; leave them out: "
                "y[:, ~y['masked'].values]."
            )
        out = table.astype(x.dtype)
        if not _inputs.is_finite(out):
            check_finite(y if isinstance(y, xr.DataArray) else table, "y")
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        self.targets_ = Labels.of(y if isinstance(y, xr.DataArray) else table, "unit")
        self.one_target_ = targets.ndim == 1
        return x, out

    def _seen(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        check_same_units(X, self.features_)
        return _inputs.features(self, X, reset=False, samples=1)

    def _there(self, Y: Any) -> np.ndarray:
        """Values of an array in the space of ``y`` (n, q)."""
        check_is_fitted(self)
        check_same_units(Y, self.targets_)
        values = np.asarray(_inputs.matrix(Y, "Y"))
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or values.shape[1] != self.targets_.size:
            raise AlignmentError(f"Y has the shape {values.shape}; at fit y had {self.targets_.size} units.")
        check_finite(Y, "Y")
        return values.astype(_inputs.working_dtype(values, self.mean_y_), copy=False)

    def predict(self, X: Any) -> Any:
        """X in the units of ``y``: (samples, q), or (samples,) where y was 1-D; labelled where X is."""
        found = self._forth(self._seen(X))
        return labelled(found[:, 0] if self.one_target_ else found, samples_of=X, units=self.targets_)

    def transform(self, X: Any) -> Any:
        """The same as :meth:`predict`, always (samples, q)."""
        return labelled(self._forth(self._seen(X)), samples_of=X, units=self.targets_)

    def inverse_transform(self, Y: Any) -> Any:
        """Y in the units of ``X``: (samples, p); labelled where Y is."""
        return labelled(self._back(self._there(Y)), samples_of=Y, units=self.features_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


class ProcrustesMap(_Map):
    r"""Orthogonal Procrustes: the rotation (and reflection) that brings X nearest to Y.

        min ||s X R - Y||_F,  R = U V' of X'Y = U S V',  s = tr(S) / ||X R||^2, or 1

    of rows centred by the means of the training samples. For p units of X and q of Y, R (p, q) has orthonormal columns
    (p >= q) or rows (p < q): the narrower side fits into the wider one without stretching.

    A rotation keeps the geometry of X whole: use it where the two spaces are thought to differ in their axes only.
    With fewer samples than units, directions that the training samples do not span are turned as little as can be.

    Parameters
    ----------
    scaling : whether one factor s is fitted too.
    device : torch device for the algebra; None: the CPU.

    Attributes
    ----------
    rotation_ : (p, q). scale_ : s. rank_ : directions that the data determine. mean_x_, mean_y_ : training means.

    Raises
    ------
    AlignmentError : X and y carry labels of different samples; other units afterwards.
    DegenerateDataError : NaN or infinite values, fewer than 2 samples, or X and y have nothing in common (X'y is 0).

    References
    ----------
    Schönemann (1966), Psychometrika 31.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(20, 3))
    >>> Y = 2 * X[:, [2, 0, 1]] + 5
    >>> model = ProcrustesMap(scaling=True).fit(X, Y)
    >>> round(model.scale_, 6), bool(np.allclose(model.inverse_transform(Y), X))
    (2.0, True)
    """

    def __init__(self, scaling: bool = False, device: Any = None):
        self.scaling = scaling
        self.device = device

    def fit(self, X: Any, y: Any) -> ProcrustesMap:
        """Find the rotation. X (samples, p); y (samples, q) or (samples,); labelled or plain."""
        device = resolve(self.device)
        x, out = self._pair(X, y)
        self.mean_x_, self.mean_y_ = x.mean(0, dtype=np.float64).astype(x.dtype), out.mean(0, dtype=np.float64)
        self.mean_y_ = self.mean_y_.astype(x.dtype)
        left = torch.from_numpy(x.astype(np.float64) - self.mean_x_).to(device)
        right = torch.from_numpy(out.astype(np.float64) - self.mean_y_).to(device)
        turn, s = rotation(left, right)
        tiny = torch.finfo(torch.float64).eps * max(left.shape[1], right.shape[1])
        floor = tiny * torch.linalg.norm(left) * torch.linalg.norm(right)
        if not bool(s.sum() > floor):
            raise DegenerateDataError(
                "X'y is 0 once both are centred: one side is constant, or nothing is shared, so no rotation is nearer "
                "than any other. Leave constant data out."
            )
        self.rank_ = int((s > floor).sum())
        self.rotation_ = turn.cpu().numpy().astype(x.dtype)
        self.scale_ = float(s.sum() / (left @ turn).square().sum()) if self.scaling else 1.0
        return self

    def _forth(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.scale_ * ((x - self.mean_x_) @ self.rotation_) + self.mean_y_)

    def _back(self, y: np.ndarray) -> np.ndarray:
        return np.asarray((y - self.mean_y_) @ self.rotation_.T / self.scale_ + self.mean_x_)


class PermutationMap(_Map):
    r"""One-to-one matching of units: each unit of Y is one unit of X, no unit is used twice.

        max over one-to-one maps of sum_j corr(x_pi(j), y_j)

    by the Hungarian method; min(p, q) units have a partner. A unit of Y without one is predicted by its training mean,
    and so is a unit of X on the way back.

    Matching always returns something: unrelated units correlate by chance, see ``similarity.permutation``.

    Parameters
    ----------
    scaling : False: the partner is passed on, brought to the mean of the unit that it stands for; True: it is also
        multiplied by the slope of least squares, corr * sd_y / sd_x (on the way back by its inverse).

    Attributes
    ----------
    partner_ : (q,) position in X of each unit of Y; -1 where it has none. correlation_ : (q,) with it; NaN without.

    Raises
    ------
    AlignmentError : X and y carry labels of different samples; other units afterwards.
    DegenerateDataError : NaN or infinite values, fewer than 3 samples, or constant units.

    References
    ----------
    Li et al. (2015), Convergent learning, section 3; Kuhn (1955), Naval Research Logistics 2.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(20, 3))
    >>> PermutationMap().fit(X, 4 * X[:, [2, 0, 1]]).partner_.tolist()
    [2, 0, 1]
    """

    def __init__(self, scaling: bool = False):
        self.scaling = scaling

    def fit(self, X: Any, y: Any) -> PermutationMap:
        """Match the units. X (samples, p); y (samples, q) or (samples,); labelled or plain."""
        x, out = self._pair(X, y)
        _inputs.check_counts(x.shape, "PermutationMap", samples=3)
        for values, name, given in ((x, "X", X), (out, "y", y)):
            flat = np.flatnonzero(is_constant(values))
            if len(flat):
                raise DegenerateDataError(
                    f"{len(flat)} of {values.shape[1]} units of {name} are constant "
                    f"({_inputs.names(given, 'unit', flat)}), so they correlate with no other. Leave them out."
                )
        self.mean_x_, self.mean_y_ = (part.mean(0, dtype=np.float64).astype(x.dtype) for part in (x, out))
        left, right = x.astype(np.float64) - self.mean_x_, out.astype(np.float64) - self.mean_y_
        size_x, size_y = np.linalg.norm(left, axis=0), np.linalg.norm(right, axis=0)
        r = np.clip((left / size_x).T @ (right / size_y), -1, 1)
        rows, columns = assign(r)
        q = out.shape[1]
        self.partner_, self.correlation_ = np.full(q, -1), np.full(q, np.nan)
        self.partner_[columns], self.correlation_[columns] = rows, r[rows, columns]
        slope = np.ones(q)
        if self.scaling:
            slope[columns] = r[rows, columns] * size_y[columns] / size_x[rows]
        self.slope_ = slope.astype(x.dtype)
        return self

    def _forth(self, x: np.ndarray) -> np.ndarray:
        found = np.tile(self.mean_y_, (len(x), 1))
        at = self.partner_ >= 0
        found[:, at] += (x - self.mean_x_)[:, self.partner_[at]] * self.slope_[at]
        return found

    def _back(self, y: np.ndarray) -> np.ndarray:
        found = np.tile(self.mean_x_, (len(y), 1))
        at = (self.partner_ >= 0) & (self.slope_ != 0)
        found[:, self.partner_[at]] += (y - self.mean_y_)[:, at] / self.slope_[at]
        return found


class RidgeMap(_Map):
    r"""A linear map by ridge regression (:class:`neurodecode.linear.Ridge`) that can also be walked backwards.

        Y = X W + b,  and back X = (Y - b) W^+

    with W^+ the pseudo-inverse: the X of least norm, from the training mean, that the map takes to Y. With fewer units
    in Y than in X what was lost stays lost. To read X from Y as well as can be, fit a map the other way round.

    Parameters
    ----------
    alphas, cv, shared_alpha, device : as for ``linear.Ridge``.
    rcond : singular values of W below this share of the largest are not inverted.

    Attributes
    ----------
    ridge_ : the fitted ``linear.Ridge``. inverse_ : (q, p) W^+.

    Raises
    ------
    AlignmentError, DegenerateDataError : as ``linear.Ridge``.

    References
    ----------
    Hoerl & Kennard (1970), Technometrics 12; Penrose (1955), Proc. Cambridge Phil. Soc. 51.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(40, 3))
    >>> Y = X @ rng.normal(size=(3, 5)) + 1
    >>> model = RidgeMap(alphas=1e-9).fit(X, Y)
    >>> bool(np.allclose(model.predict(X), Y)), bool(np.allclose(model.inverse_transform(Y), X))
    (True, True)
    """

    def __init__(
        self, alphas: Any = DEFAULT_ALPHAS, cv: Any = 5, shared_alpha: bool = False, device: Any = None,
        rcond: float = 1e-6,
    ):  # fmt: skip
        self.alphas = alphas
        self.cv = cv
        self.shared_alpha = shared_alpha
        self.device = device
        self.rcond = rcond

    @property
    def targets_independent(self) -> bool:
        """As for ``linear.Ridge``."""
        return not self.shared_alpha

    def fit(self, X: Any, y: Any) -> RidgeMap:
        """Choose penalties and fit. X (samples, p); y (samples, q) or (samples,); labelled or plain."""
        rcond = amount(self.rcond, "rcond", 0, 1)
        x, out = self._pair(X, y)
        self.ridge_ = Ridge(self.alphas, self.cv, shared_alpha=self.shared_alpha, device=self.device).fit(X, y)
        self.mean_x_, self.mean_y_ = (part.mean(0, dtype=np.float64).astype(x.dtype) for part in (x, out))
        self.inverse_ = np.linalg.pinv(self.ridge_.coef_, rcond=rcond)
        return self

    def _forth(self, x: np.ndarray) -> np.ndarray:
        found = x @ self.ridge_.coef_ + self.ridge_.intercept_
        return np.asarray(found if found.ndim == 2 else found[:, None])

    def _back(self, y: np.ndarray) -> np.ndarray:
        return np.asarray((y - self.mean_y_) @ self.inverse_ + self.mean_x_)
