"""Linear maps through few directions: principal components, partial least squares, canonical, reduced rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, TransformerMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from .._names import lookup
from .._numbers import amount
from ..compute import latent as engine
from ..compute.device import resolve
from ..compute.scores import r2
from ..exceptions import DegenerateDataError
from ..representation import Labels, check_finite, check_same_samples, check_same_units, labelled
from . import _inputs
from .ridge import _folds, _means, _warn_features


class LatentRegression(MultiOutputMixin, RegressorMixin, TransformerMixin, BaseEstimator):
    r"""Linear regression of all targets through the same few directions of the features.

    With centred X and y, ``kind`` chooses directions R (features, components); then the targets are regressed on the
    scores T = X R:

        W = R (T'T + alpha R'R)^-1 T'y

    Parameters
    ----------
    kind : ``"pcr"``: directions of largest variance of X. ``"pls"``: of largest covariance with y. ``"cca"``: of
        largest correlation with y. ``"rrr"``: those that carry most of the ridge fit of y (reduced rank). Or a callable
        ``(x, y, k, alpha) -> (R, strength)`` on tensors.
    n_components : number of directions; or a sequence, of which ``cv`` chooses the one with the highest mean R2 over
        folds and targets (numbers that the data do not have are left out; the smaller of equals is taken).
    alpha : penalty, 0 or more, on the squared weights; for ``"cca"`` it is added to both covariances. Needed by
        ``"cca"`` and ``"rrr"`` where there are as many features as samples.
    cv : folds inside the training samples, as for :class:`Ridge`; used for a sequence only.
    device : torch device; None: the CPU.

    Attributes
    ----------
    n_components_ : the number used. best_score_ : its mean R2 over folds and targets; NaN where nothing was chosen.
    x_rotations_ : (features, components) R. y_loadings_ : (components, targets).
    strength_ : (components,) singular value (pcr: of X, pls: of X'y, rrr: of the fit), or canonical correlation (cca).
    coef_ : (features, targets). intercept_ : (targets,).

    Raises
    ------
    AlignmentError : X and y carry labels of different samples; other features in ``predict``.
    DegenerateDataError : NaN or infinite values, too few samples, more components than directions, or features that
        reproduce any target (``cca``, ``rrr`` without a penalty).

    References
    ----------
    Massy (1965), J. Am. Stat. Assoc. 60 (pcr); Hoskuldsson (1988), J. Chemometrics 2 (pls); Hotelling (1936),
    Biometrika 28, and Vinod (1976), J. Econometrics 4 (cca); Izenman (1975), J. Multivariate Analysis 5 (rrr).
    Krishnan et al. (2011), NeuroImage 56, for their use with recordings.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 6))
    >>> Y = np.outer(X @ rng.normal(size=6), rng.normal(size=4)) + 0.1 * rng.normal(size=(60, 4))
    >>> model = LatentRegression("rrr", n_components=[1, 2, 3]).fit(X, Y)
    >>> model.n_components_, model.transform(X).shape, model.predict(X).shape
    (1, (60, 1), (60, 4))
    """

    def __init__(
        self,
        kind: Any = "pls",
        n_components: int | Sequence[int] = (1, 2, 4, 8, 16, 32),
        alpha: float = 0.0,
        cv: Any = 5,
        device: Any = None,
    ):
        self.kind = kind
        self.n_components = n_components
        self.alpha = alpha
        self.cv = cv
        self.device = device

    def fit(self, X: Any, y: Any) -> LatentRegression:
        """Find the directions and the weights.

        Parameters
        ----------
        X : (samples, features); y : (samples, targets) or (samples,). Labelled or plain.
        """
        check_same_samples(X, y)
        device = resolve(self.device)
        find = lookup(engine.DIRECTIONS, self.kind, "kind")
        amount(self.alpha, "alpha")
        given = np.atleast_1d(np.asarray(self.n_components))
        if given.dtype.kind not in "iu" or given.ndim != 1 or not len(given) or (given < 1).any():
            raise ValueError(f"n_components={self.n_components!r}: expected a number from 1, or a sequence of them.")
        targets = _inputs.targets(y, "LatentRegression")
        x = _inputs.features(self, X, also=targets)
        check_consistent_length(x, targets)
        table = targets[:, None] if targets.ndim == 1 else targets
        _inputs.check_counts(table.shape, "LatentRegression", what="target")
        masked = _inputs.masked(y, table.shape[1])
        block = _inputs.read_columns(table, slice(0, table.shape[1]), x.dtype)
        block[:, masked] = 0
        if not _inputs.is_finite(block):
            check_finite(y if isinstance(y, xr.DataArray) else table, "y")
        _warn_features(x, X, True)
        work, out = (torch.from_numpy(part.astype(np.float64)).to(device) for part in (x, block))
        counts = np.unique(given)
        self.best_score_ = np.nan
        if len(counts) > 1:
            counts, self.best_score_ = self._choose(find, work, out, counts, _folds(self.cv, X, y, len(x)))
        k = int(counts[0])
        fitted = _fit(find, work, out, k, self.alpha)
        rotations, loadings, strength = (part.cpu().numpy().astype(x.dtype) for part in fitted)
        loadings[:, masked] = np.nan
        mean = _means(x)
        self.n_components_ = k
        self.x_rotations_, self.y_loadings_, self.strength_ = rotations, loadings, strength
        self.mean_ = mean
        self.coef_ = rotations @ loadings
        self.intercept_ = (block.mean(0, dtype=np.float64) - mean @ self.coef_).astype(x.dtype)
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        self.targets_ = Labels.of(y if isinstance(y, xr.DataArray) else targets, "unit")
        self.one_target_ = targets.ndim == 1
        return self

    def _choose(
        self, find: Any, x: torch.Tensor, y: torch.Tensor, counts: np.ndarray, folds: list
    ) -> tuple[np.ndarray, float]:
        """The number of components with the best mean R2, and that R2 (less the squared error, one sample held out)."""
        most = min(_most(find, x[train], y[train], self.alpha) for train, _ in folds)
        counts = counts[counts <= most] if (counts <= most).any() else counts[:1]
        scores = np.zeros(len(counts))
        for train, test in folds:
            for number, k in enumerate(counts):
                rotations, loadings, _ = _fit(find, x[train], y[train], int(k), self.alpha)
                predicted = (x[test] - x[train].mean(0)) @ rotations @ loadings + y[train].mean(0)
                if len(test) > 1:
                    each = r2(y[test].cpu().numpy(), predicted.cpu().numpy())
                    scores[number] += each[np.isfinite(each)].mean() if np.isfinite(each).any() else 0.0
                else:
                    scores[number] -= float((y[test] - predicted).square().mean())
        scores /= len(folds)
        best = int(scores.argmax())
        return counts[best : best + 1], float(scores[best])

    def transform(self, X: Any) -> Any:
        """Scores T = (X - mean) R: (samples, components), with a coordinate ``component`` where X is labelled."""
        found = self._seen(X) @ self.x_rotations_
        names = np.array([f"{self.kind if isinstance(self.kind, str) else 'latent'}{k}" for k in range(found.shape[1])])
        units = Labels("unit", found.shape[1], {"component": names}, {"kind": "features"})
        return labelled(found, samples_of=X, units=units)

    def predict(self, X: Any) -> Any:
        """X W + intercept: (samples, targets), or (samples,) where y was 1-D; labelled where X is."""
        check_is_fitted(self)
        found = self._seen(X) @ self.coef_ + (self.intercept_ + self.mean_ @ self.coef_)
        return labelled(found[:, 0] if self.one_target_ else found, samples_of=X, units=self.targets_)

    def _seen(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        check_same_units(X, self.features_)
        return _inputs.features(self, X, also=self.coef_, reset=False, samples=1) - self.mean_


def _most(find: Any, x: torch.Tensor, y: torch.Tensor, alpha: float) -> int:
    return engine.most_components(find, x - x.mean(0), y - y.mean(0), alpha)


def _fit(
    find: Any, x: torch.Tensor, y: torch.Tensor, k: int, alpha: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rotations (p, k), loadings (k, t) and strengths (k,) from rows that are not yet centred."""
    x, y = x - x.mean(0), y - y.mean(0)
    most = engine.most_components(find, x, y, alpha)
    if most == 0:  # constant features or targets: the prediction is the mean
        return x.new_zeros((x.shape[1], k)), y.new_zeros((k, y.shape[1])), x.new_zeros(k)
    if k > most:
        raise DegenerateDataError(
            f"n_components={k}, and {len(x)} samples of {x.shape[1]} features (n_features = {x.shape[1]}) and "
            f"{y.shape[1]} targets have {most} directions for this kind. Lower n_components."
        )
    if find in (engine.cca, engine.rrr) and alpha == 0 and torch.linalg.matrix_rank(x) >= len(x) - 1:
        raise DegenerateDataError(
            f"{x.shape[1]} features reproduce any target in {len(x)} samples: every correlation would be 1. "
            "Set alpha above 0, or reduce the features first (kind='pcr')."
        )
    rotations, strength = find(x, y, k, alpha)
    return rotations, engine.through(x, y, rotations, alpha), strength
