"""Receptive fields that weigh features: a Gaussian pool for each unit, found on a grid, and ridge on what it pools."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.model_selection import KFold, check_cv
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import Tensor

from .._numbers import amount, numbers_of
from ..compute.batching import batches
from ..compute.device import resolve
from ..compute.progress import progress
from ..compute.random import check_random_state
from ..compute.scores import r2
from ..exceptions import AlignmentError, CapacityError, DegenerateDataError, NeurodecodeWarning
from ..linear import Ridge, _inputs
from ..linear._capacity import allowed, said
from ..linear.ridge import _warn_edges as warn_edges
from ..representation import Labels, check_finite, check_same_samples, check_same_units, labelled
from .capacity import SLACK
from .positions import GRID, named_axes
from .settled import settled
from .tokens import Tokens, warn_features

ROWS_POOLED = 256


class GaussianFieldEncoder(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Feature-weighted receptive field: where a unit looks is a Gaussian, what it looks for is linear.

        y_v = w_v' h( sum_p g_v(p) x_p ) + b_v,   g_v(p) proportional to exp(-|p - c_v|^2 / (2 s_v^2)), summing to one

    Every centre c and size s of the grid is a candidate: the features are pooled once, ridge is fitted to all units at
    once, and each unit keeps the pool and the penalty with the best held-out R2, chosen together.

    Parameters
    ----------
    centres : (candidates, 2) places (row, col) in the units of the tokens' places, or None: every token.
    sizes : standard deviations of the pools, in the same units; a pool much smaller than a token is that token.
    alphas : penalties.
    cv : folds inside the training samples that choose pool and penalty: an integer, a splitter, which gets the
        labelled X, a list of (train, test), or ``"loo"`` or ``"gcv"`` as for :class:`~neurodecode.linear.Ridge`.
        5 means fifths in the order of the samples, which never part the repeats of a ``stimulus``.
    nonlinearity : ``"log"``: sign(z) log(1 + |z|); None; or a function of a tensor.
    degrees : degrees of visual angle from one token to the next; ``x_``, ``y_`` and ``size_`` are then in degrees from
        the middle of the map, right and up positive, whatever units the places are in. None: in those units.
    device : torch device; None: the CPU.
    max_memory : bytes that ``fit`` may take beyond the arrays it is given, a number or text such as ``"4 GiB"``; None:
        the memory of the machine.

    Attributes
    ----------
    centre_ : (units, 2) row and column of the pool. size_ : (units,) its standard deviation. x_, y_ : (units,).
    alpha_ : (units,). best_score_ : (units,) mean held-out R2 inside the training samples. pool_ : (units,) the
    candidate. coef_ : (features, units) on features that have been pooled and transformed. intercept_ : (units,).
    degenerate_ : positions of constant units, predicted by their constant; they have no pool, and what says where one
    is holds NaN.

    Raises
    ------
    AlignmentError : other samples in X and Y, tokens without two axes, other places in ``predict``.
    DegenerateDataError : values that are not finite, too few samples. CapacityError : the predicted peak is above
    ``max_memory``.

    Warns
    -----
    NeurodecodeWarning : constant or repeated features; penalties at an edge of the grid for over 5 % of the units
        that vary.

    References
    ----------
    St-Yves & Naselaris (2018), The feature-weighted receptive field, NeuroImage 180, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(80, 16, 3))
    >>> Y = X[:, [5, 10]].sum(2) + rng.normal(size=(80, 2))
    >>> model = GaussianFieldEncoder(sizes=[0.3, 2.0], nonlinearity=None).fit(X, Y)
    >>> model.centre_.tolist()
    [[1.0, 1.0], [2.0, 2.0]]
    """

    def __init__(
        self,
        centres: Any = None,
        sizes: Sequence[float] = (0.5, 1.0, 2.0, 4.0),
        alphas: Sequence[float] = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5),
        *,
        cv: Any = 5,
        nonlinearity: str | Callable[[Tensor], Tensor] | None = "log",
        degrees: float | None = None,
        device: Any = None,
        max_memory: float | str | None = None,
    ) -> None:
        self.centres = centres
        self.sizes = sizes
        self.alphas = alphas
        self.cv = cv
        self.nonlinearity = nonlinearity
        self.degrees = degrees
        self.device = device
        self.max_memory = max_memory

    def fit(self, X: Any, Y: Any) -> GaussianFieldEncoder:
        """Choose the pool of every unit and fit its weights.

        Parameters
        ----------
        X : (sample, token, unit) maps, places on ``row`` and ``col`` of the tokens, without which labelled ones are
            refused; a plain array is a square map, row after row. Tokens that are not ``attended`` take no share of a
            pool. Pooled features are penalised on the scale of their standard deviation, so that
            neither the units of a feature nor the size of a pool decide how much it is held down. Y : (sample, unit).
        """
        check_same_samples(X, Y)
        device = resolve(self.device)
        tokens = Tokens(X)
        targets = _inputs.targets(Y, type(self).__name__)
        check_consistent_length(np.empty(tokens.n), targets)
        centres, sizes = self._candidates(tokens)
        room, scale_of_map = self._room(tokens, targets), self._degrees(tokens.places)
        tokens.learn_scale(np.arange(tokens.n), check_random_state(0))
        warn_features(tokens, stacklevel=3)
        y = np.asarray(targets)
        self.dtype_ = _inputs.working_dtype(y)
        y = (y[:, None] if y.ndim == 1 else y).astype(np.float64)
        _inputs.check_counts(y.shape, type(self).__name__, what="target")
        self.masked_ = _inputs.masked(Y, y.shape[1])
        y[:, self.masked_] = 0
        if not _inputs.is_finite(y):
            check_finite(Y, "Y")
        pools = torch.from_numpy(_pools(tokens.places, centres, sizes)).to(device)
        mean, spread = y.mean(0), y.std(0)
        flat = _inputs.constant(y) | (spread == 0)
        self.degenerate_ = np.flatnonzero(flat & ~self.masked_)
        goal = ((y - mean) / np.where(flat, 1.0, spread)).astype(np.float32)
        ridge = Ridge(self.alphas, cv=self._folds(X, Y, tokens.n), device=self.device, max_memory=room)
        best = np.full(y.shape[1], -np.inf)
        self.pool_ = np.zeros(y.shape[1], dtype=int)
        self.alpha_ = np.zeros(y.shape[1])
        self.coef_ = np.zeros((tokens.n_features, y.shape[1]))
        self.intercept_ = np.where(flat, y[0], mean)
        with settled():
            for number in progress(range(len(pools)), "pools"):
                z = self._pooled(tokens, pools[number], device).astype(np.float64)
                middle, scale = z.mean(0), np.where(_inputs.constant(z), 1.0, z.std(0))
                scale[scale == 0] = 1.0
                scores = self._fitted(ridge, ((z - middle) / scale).astype(np.float32), goal)
                better = (scores > best) & ~flat
                best[better], self.pool_[better] = scores[better], number
                self.alpha_[better] = ridge.alpha_[better]
                self.coef_[:, better] = ridge.coef_[:, better] * spread[better] / scale[:, None]
                offset = ridge.intercept_[better] * spread[better] - middle @ self.coef_[:, better]
                self.intercept_[better] = mean[better] + offset
        nowhere = self.masked_ | flat
        self.best_score_ = np.where(nowhere, np.nan, best)
        self.centre_, self.size_ = centres[self.pool_], sizes[self.pool_]
        self.candidates_, self.places_ = (centres, sizes), tokens.places
        self._warn_edges(np.flatnonzero(~nowhere))
        self._say_where(scale_of_map)
        for fitted in (self.centre_, self.size_, self.x_, self.y_, self.alpha_):
            fitted[nowhere] = np.nan
        self.intercept_[self.masked_] = np.nan
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else np.empty((1, tokens.n_features)), "unit")
        self.targets_ = Labels.of(Y if isinstance(Y, xr.DataArray) else targets, "unit")
        self.one_target_, self.n_features_in_ = targets.ndim == 1, tokens.n_features
        return self

    def _folds(self, X: Any, Y: Any, n: int) -> Any:
        """Pairs of training and test positions; an integer keeps the repeats of a stimulus on one side."""
        if isinstance(self.cv, str):
            if np.size(self.alphas) < 2:
                raise ValueError(f"cv={self.cv!r} scores penalties, and one came: give several, or folds as cv=")
            return self.cv
        if not isinstance(self.cv, (int, np.integer)):
            pairs = self.cv if isinstance(self.cv, list) else check_cv(self.cv).split(X, Y)
            return [(np.asarray(train), np.asarray(test)) for train, test in pairs]
        groups = np.arange(n)
        if isinstance(X, xr.DataArray) and "stimulus" in X.coords:
            number: dict[Any, int] = {}
            groups = np.array([number.setdefault(one, len(number)) for one in X["stimulus"].values])
        many = int(groups.max()) + 1
        if not 2 <= self.cv <= many:
            raise DegenerateDataError(f"cv={self.cv}: {many} stimuli cannot be split so often; expected 2 to {many}")
        parts = (test for _, test in KFold(int(self.cv)).split(np.empty(many)))
        return [(np.flatnonzero(~chosen), np.flatnonzero(chosen)) for chosen in (np.isin(groups, p) for p in parts)]

    def _fitted(self, ridge: Ridge, z: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """Held-out R2 of every unit, with ``ridge`` fitted to all samples; also where there is but one penalty."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NeurodecodeWarning)  # a wrong pool belongs at the edge of the penalties
            if np.size(self.alphas) > 1:
                return ridge.fit(z, goal).best_score_
            each = [r2(goal[test], ridge.fit(z[train], goal[train]).predict(z[test])) for train, test in ridge.cv]
            ridge.fit(z, goal)
        return np.mean(each, axis=0)

    def _room(self, tokens: Tokens, targets: Any) -> float:
        """Bytes that ridge may take, after targets, weights and what is read of the tokens."""
        limit = allowed(self.max_memory)
        units = targets.shape[1] if targets.ndim == 2 else 1
        own = {
            "targets": 16 * tokens.n * units,
            "weights": 24 * tokens.n_features * units,
            "tokens being read": 3 * 8 * min(ROWS_POOLED, tokens.n) * tokens.n_tokens * tokens.n_features,
            "what a pool reads": 3 * 8 * tokens.n * tokens.n_features,
        }
        total = SLACK + sum(own.values())
        if total < limit:
            return limit - total
        parts = ", ".join(f"{name} {said(size)}" for name, size in own.items())
        raise CapacityError(
            f"Gaussian fields of {tokens.n:,} samples x {tokens.n_tokens:,} tokens x {tokens.n_features:,} features "
            f"and {units:,} units need {said(total)} beyond their inputs ({parts}), and more for ridge; "
            f"{'this machine has' if self.max_memory is None else 'max_memory is'} {said(limit)}. Raise max_memory, "
            "fit fewer units at a time, or give fewer features."
        )

    def _warn_edges(self, varies: np.ndarray) -> None:
        """Say where the grid of penalties ends too early for what was chosen."""
        alphas = np.sort(np.unique(np.asarray(self.alphas, dtype=float)))[::-1]
        if len(alphas) > 1:
            warn_edges(np.searchsorted(-alphas, -self.alpha_[varies]), alphas, stacklevel=4)

    def _candidates(self, tokens: Tokens) -> tuple[np.ndarray, np.ndarray]:
        if tokens.labels is not None and not named_axes(tokens.labels):
            there = sorted(str(name) for name, entry in tokens.labels.coords.items() if entry.dims == ("token",))
            raise AlignmentError(
                f"the tokens of X have {f'the coordinates {there}' if there else 'no coordinates'}; a Gaussian pool "
                "needs 'row' and 'col', which say where they lie. Plain arrays are taken as square maps, row after row."
            )
        if tokens.axes != GRID:
            lie = "along a line" if len(tokens.axes) == 1 else f"along {', '.join(tokens.axes)}"
            raise AlignmentError(
                f"{tokens.n_tokens} tokens lie {lie}; a Gaussian pool needs a map, with 'row' and 'col' alone on token"
            )
        said = "one or more places (row, col)"
        centres = tokens.places if self.centres is None else np.atleast_2d(numbers_of(self.centres, "centres", said))
        sizes = numbers_of(self.sizes, "sizes", "one or more numbers above 0").ravel()
        if centres.ndim != 2 or centres.shape[1] != 2 or not len(centres):
            raise ValueError(f"centres has the shape {centres.shape}; expected (candidates, 2): row and column")
        if not len(sizes) or not (sizes > 0).all():
            raise ValueError(f"sizes={self.sizes!r}: expected one or more numbers above 0")
        return np.repeat(centres, len(sizes), axis=0), np.tile(sizes, len(centres))

    def _pooled(self, tokens: Tokens, pool: Tensor, device: torch.device) -> np.ndarray:
        """Features (samples, features) read through one pool, through the nonlinearity."""
        parts = []
        for some in batches(tokens.n, ROWS_POOLED):
            rows = np.arange(tokens.n)[some]
            values, blocked = tokens.raw(rows)[:, 0].to(device), tokens.blocked(rows)
            weights = pool.to(values.dtype)
            if blocked is None:
                parts.append(torch.einsum("bpd,p->bd", values, weights))
                continue
            kept = weights * ~blocked[:, 0].to(device)
            total = kept.sum(1, keepdim=True)
            if not (total > 0).all():
                at = rows[int(torch.argmin(total))]
                raise DegenerateDataError(f"a pool lies on no token that counts in sample {at}; give larger sizes")
            parts.append(torch.einsum("bpd,bp->bd", values, kept / total))
        z = torch.cat(parts)
        if self.nonlinearity == "log":
            z = z.sign() * z.abs().log1p()
        elif callable(self.nonlinearity):
            z = self.nonlinearity(z)
        elif self.nonlinearity is not None:
            raise ValueError(f"nonlinearity={self.nonlinearity!r}; expected 'log', None or a function of a tensor")
        return z.cpu().numpy()

    def _degrees(self, places: np.ndarray) -> float:
        """Degrees a unit of the places, or 1 where places stay as they are."""
        if self.degrees is None:
            return 1.0
        scale = amount(self.degrees, "degrees", unit="degrees of visual angle a token")
        if scale == 0:
            raise ValueError(f"degrees={self.degrees!r}: expected degrees of visual angle a token, above 0.")
        steps = np.concatenate([np.diff(np.unique(along.round(6))) for along in places.T])
        if not len(steps):
            return scale
        if not np.allclose(steps, steps[0], rtol=1e-3):
            raise AlignmentError(
                f"degrees={self.degrees!r} is said of a step from token to token, and steps are {steps.min():g} to "
                f"{steps.max():g} along row and col; give an even map, or places in degrees and degrees=None."
            )
        return scale / float(steps[0])

    def _say_where(self, scale: float) -> None:
        """Centre and size in degrees from the middle of the map, right and up positive, where the scale is known."""
        middle = (self.places_.max(0) + self.places_.min(0)) / 2
        self.y_ = (middle[0] - self.centre_[:, 0]) * scale
        self.x_ = (self.centre_[:, 1] - middle[1]) * scale
        self.size_ = self.size_ * scale

    def predict(self, X: Any) -> Any:
        """Predicted targets (sample, unit), labelled where ``X`` is; places as at fit, in any order where labelled."""
        check_is_fitted(self)
        check_same_units(X, self.features_)
        tokens = Tokens(X)
        if tokens.n_features != self.n_features_in_:
            raise AlignmentError(f"X has {tokens.n_features} features, {self.n_features_in_} were seen at fit.")
        known, now = ({tuple(np.round(place, 6)) for place in places} for places in (self.places_, tokens.places))
        if known != now:
            raise AlignmentError("tokens lie at other places than at fit; give tokens on the same grid.")
        device = resolve(self.device)
        centres, sizes = self.candidates_
        answer = np.empty((tokens.n, len(self.alpha_)))
        with settled():
            for number in np.unique(self.pool_):
                units = np.flatnonzero(self.pool_ == number)
                pool = torch.from_numpy(_pools(tokens.places, centres[[number]], sizes[[number]])[0]).to(device)
                z = self._pooled(tokens, pool, device)
                answer[:, units] = z @ self.coef_[:, units] + self.intercept_[units]
        answer[:, self.masked_] = np.nan
        answer = answer.astype(self.dtype_)
        return labelled(answer[:, 0] if self.one_target_ else answer, samples_of=X, units=self.targets_)


def _pools(places: np.ndarray, centres: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Gaussian weights (candidates, tokens) float32 that sum to one."""
    far = ((centres[:, None, :] - places[None, :, :]) ** 2).sum(2)
    logits = -far / (2 * sizes[:, None] ** 2)
    logits -= logits.max(1, keepdims=True)
    weights = np.exp(logits)
    weights /= weights.sum(1, keepdims=True)
    if not np.isfinite(weights).all():
        raise DegenerateDataError("a pool has no weight on any token; give larger sizes")
    return weights.astype(np.float32)
