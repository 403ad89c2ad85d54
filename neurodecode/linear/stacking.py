"""Stacked regression: one ridge model for each feature space, and for each target a mixture of their predictions."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from ..exceptions import NeurodecodeWarning
from ..representation import Labels, check_finite, check_same_samples, check_same_units, labelled
from . import _inputs
from .banded import bands_of, stack_bands
from .ridge import DEFAULT_ALPHAS, Ridge, _folds

STEPS = 400


class StackedRegression(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""A ridge model on each band of features, mixed with weights that are not negative and sum to one.

    For every target t, with the held-out predictions p_bt of the model on band b over the folds of ``cv``,

        s_t = argmin ||y_t - sum_b s_b p_bt||^2,   s_b >= 0,  sum_b s_b = 1

    and the prediction is the mixture of the models fitted on all training samples. Each model chooses its own penalty
    inside its training samples.

    Parameters
    ----------
    by : unit coordinate that names the band of each feature, or a sequence of names; None: one band.
    alphas : penalties of the models, as for :class:`Ridge`.
    cv : folds inside the training samples: those that the mixture is learnt on, and those inside of them that choose
        the penalties; an integer, a splitter, or a list of (train, test) positions (the penalties then take 5 folds).
    max_memory, device : as for :class:`Ridge`.

    Attributes
    ----------
    bands_ : names of the bands. weights_ : (bands, targets) the mixture. models_ : the ridge model of each band.
    coef_ : (features, targets) and intercept_ : (targets,) of the mixture.

    Raises
    ------
    AlignmentError, DegenerateDataError, CapacityError : as for :class:`Ridge`; no coordinate ``by``.

    References
    ----------
    Wolpert (1992), Neural Networks 5; Breiman (1996), Machine Learning 24, section 2 (weights that are not negative);
    Lin, Naselaris, Kay & Wehbe (2024), NeuroImage 298 (feature spaces of voxelwise models).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(90, 8))
    >>> y = X[:, :3] @ rng.normal(size=(3, 2)) + 0.5 * rng.normal(size=(90, 2))
    >>> model = StackedRegression(by=["a"] * 3 + ["b"] * 5, alphas=np.logspace(-3, 4, 8)).fit(X, y)
    >>> bool((model.weights_[0] > 0.9).all()), bool(np.allclose(model.weights_.sum(0), 1))
    (True, True)
    """

    def __init__(
        self,
        by: str | Sequence[Any] | None = "space",
        alphas: Sequence[float] | float = DEFAULT_ALPHAS,
        cv: Any = 5,
        max_memory: float | str | None = None,
        device: Any = None,
    ):
        self.by = by
        self.alphas = alphas
        self.cv = cv
        self.max_memory = max_memory
        self.device = device

    targets_independent = True

    def fit(self, X: Any, y: Any) -> StackedRegression:
        """Fit the models and their mixture.

        Parameters
        ----------
        X : (samples, features); y : (samples, targets) or (samples,). Labelled or plain.
        """
        check_same_samples(X, y)
        targets = _inputs.targets(y, "StackedRegression")
        x = _inputs.features(self, X, also=targets)
        check_consistent_length(x, targets)
        table = targets[:, None] if targets.ndim == 1 else targets
        _inputs.check_counts(table.shape, "StackedRegression", what="target")
        masked = _inputs.masked(y, table.shape[1])
        block = _inputs.read_columns(table, slice(0, table.shape[1]), x.dtype)
        block[:, masked] = 0
        if not _inputs.is_finite(block):
            check_finite(y if isinstance(y, xr.DataArray) else table, "y")
        names, band = bands_of(X, x.shape[1], self.by)
        X_in = X if isinstance(X, xr.DataArray) else x
        y_in = y if isinstance(y, xr.DataArray) and not masked.any() and y.ndim == 2 else block
        bands = [np.flatnonzero(band == number) for number in range(len(names))]
        weights = np.ones((1, block.shape[1]))
        with warnings.catch_warnings():
            # A band says nothing about some targets, and its penalty then goes to the upper edge: as it should.
            warnings.filterwarnings("ignore", "The best penalty stands at the upper edge", NeurodecodeWarning)
            self.models_ = [self._ridge().fit(X_in[:, part], y_in) for part in bands]
        if len(names) > 1:
            weights = self._mixture(X_in, y_in, x, block, bands, _folds(self.cv, X, y, len(x)))
        self.weights_ = weights.astype(x.dtype)
        self.weights_[:, masked] = np.nan
        self.bands_, self.band_ = names, band
        self.coef_ = np.zeros((x.shape[1], block.shape[1]), dtype=x.dtype)
        for part, model, weight in zip(bands, self.models_, self.weights_):
            self.coef_[part] = model.coef_ * weight
        each = [weight * model.intercept_ for model, weight in zip(self.models_, self.weights_)]
        self.intercept_ = np.sum(each, axis=0)
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        self.targets_ = Labels.of(y if isinstance(y, xr.DataArray) else targets, "unit")
        self.one_target_ = targets.ndim == 1
        return self

    def _mixture(self, X: Any, y: Any, x: np.ndarray, block: np.ndarray, bands: list, folds: list) -> np.ndarray:
        """Weights (bands, targets) from the held-out predictions of the models."""
        t = block.shape[1]
        gram, cross = np.zeros((len(bands), len(bands), t)), np.zeros((len(bands), t))
        for train, test in folds:
            held = []
            for part in bands:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", NeurodecodeWarning)  # said once, of all training samples
                    held.append(self._ridge().fit(X[train][:, part], y[train]).predict(x[test][:, part]))
            together = np.stack(held).astype(np.float64)
            gram += np.einsum("bnt,cnt->bct", together, together)
            cross += np.einsum("bnt,nt->bt", together, block[test])
        return simplex_weights(gram, cross)

    def _ridge(self) -> Ridge:
        inner = self.cv if isinstance(self.cv, (int, np.integer)) or hasattr(self.cv, "split") else 5
        return Ridge(self.alphas, cv=inner, max_memory=self.max_memory, device=self.device)

    def predict(self, X: Any) -> Any:
        """The mixture: (samples, targets), or (samples,) where y was 1-D; labelled where X is."""
        found = reduce(np.add, self._parts(X))
        return labelled(found[:, 0] if self.one_target_ else found, samples_of=X, units=self.targets_)

    def predict_bands(self, X: Any) -> Any:
        """What each band adds to the mixture: (bands, samples, targets); the sum over bands is ``predict``."""
        found = np.stack(list(self._parts(X)))
        return stack_bands(found[:, :, 0] if self.one_target_ else found, X, self.targets_, self.bands_)

    def _parts(self, X: Any) -> Iterator[np.ndarray]:
        check_is_fitted(self)
        check_same_units(X, self.features_)
        x = _inputs.features(self, X, also=self.coef_, reset=False, samples=1)
        for number, (model, weight) in enumerate(zip(self.models_, self.weights_)):
            here = self.band_ == number
            yield x[:, here] @ self.coef_[here] + weight * model.intercept_


def simplex_weights(gram: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """argmin_s s'G s - 2 c's with s >= 0 and sum(s) = 1, for every target.

    Accelerated projected gradient (Beck & Teboulle 2009) finds which weights are above 0; those are then solved for.

    Parameters
    ----------
    gram : (bands, bands, targets) positive semidefinite; cross : (bands, targets).

    Returns
    -------
    (bands, targets)

    Examples
    --------
    >>> simplex_weights(np.eye(2)[:, :, None], np.array([[3.0], [0.0]])).ravel().tolist()
    [1.0, 0.0]
    """
    count, t = cross.shape
    system, aim = np.moveaxis(gram, 2, 0), cross.T
    scale = np.trace(system, axis1=1, axis2=2)
    flat = ~(scale > 0)  # nothing is predicted at all: any mixture will do
    scale = np.where(flat, 1.0, scale)
    system, aim = system / scale[:, None, None], aim / scale[:, None]
    step = 1.0 / np.maximum(np.linalg.eigvalsh(system)[:, -1:], 1e-12)
    now = ahead = np.full((t, count), 1.0 / count)
    speed = 1.0
    for _ in range(STEPS):
        then = _onto_simplex(ahead - step * (np.einsum("tbc,tc->tb", system, ahead) - aim))
        faster = (1 + np.sqrt(1 + 4 * speed**2)) / 2
        ahead, now, speed = then + (speed - 1) / faster * (then - now), then, faster
    support = now > 1e-6
    for mask in np.unique(support, axis=0):
        rows, kept = np.flatnonzero((support == mask).all(1)), np.flatnonzero(mask)
        k = len(kept)
        bordered = np.zeros((len(rows), k + 1, k + 1))
        bordered[:, :k, :k] = system[rows][:, kept][:, :, kept]
        bordered[:, :k, k] = bordered[:, k, :k] = 1.0
        wanted = np.concatenate([aim[rows][:, kept], np.ones((len(rows), 1))], 1)
        solved = np.zeros((len(rows), count))
        solved[:, kept] = (np.linalg.pinv(bordered) @ wanted[:, :, None])[:, :k, 0]
        before, after = (_loss(system[rows], aim[rows], weights) for weights in (now[rows], solved))
        good = (solved > -1e-9).all(1) & (after <= before + 1e-12)
        now[rows[good]] = np.maximum(solved[good], 0)
    now[flat] = 1.0 / count
    return (now / now.sum(1, keepdims=True)).T


def _loss(system: np.ndarray, aim: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.einsum("tb,tbc,tc->t", weights, system, weights) - 2 * (aim * weights).sum(1)


def _onto_simplex(values: np.ndarray) -> np.ndarray:
    """The nearest point with non-negative entries that sum to one, row by row (Duchi et al. 2008, figure 1)."""
    down = -np.sort(-values, axis=1)
    excess = (np.cumsum(down, 1) - 1) / np.arange(1, values.shape[1] + 1)
    last = (down > excess).sum(1, keepdims=True) - 1
    return np.maximum(values - np.take_along_axis(excess, last, 1), 0)
