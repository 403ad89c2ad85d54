"""Banded ridge: every feature space has a penalty of its own, chosen for every target."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
import xarray as xr
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from .._names import lookup
from ..compute import banded as solver
from ..compute.batching import batches
from ..compute.device import resolve
from ..compute.penalty_gradient import SYSTEMS, gradient_search
from ..compute.random import check_random_state
from ..exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning
from ..representation import Labels, check_finite, check_same_samples, check_same_units, labelled
from . import _inputs
from ._capacity import largest_block, steps_and_what_lingers
from .ridge import DEFAULT_ALPHAS, _folds, _means, _penalties, _warn_edges, _warn_features

SEARCHES = {
    "random": solver.random_search,
    "adaptive": solver.adaptive_search,
    "gradient": gradient_search,
}
CHUNKS = (1 << 30, 65536, 32768, 16384, 8192, 4096, 2048, 1024, 512, 256, 128, 64)


class BandedRidge(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Linear regression on several feature spaces, with a penalty for each space and each target.

    With the features in bands X_b (a network's layers, words and motion energy ...), for every target t

        W_t = argmin ||sum_b X_b w_b - y_t||^2 + sum_b (alpha_t / gamma_bt) ||w_b||^2,    sum_b gamma_bt = 1

    ``alpha_`` and ``band_weights_`` (gamma) are those with the highest R2, averaged over the folds of ``cv``. The
    search begins with all bands alike, which is ridge on all features, so it never ends below ridge. A band that says
    nothing about a target gets a weight near 0 and adds nothing; one penalty for all bands cannot do that.

    Each band is divided by one number, the root mean square of its features' standard deviations, so the units of a
    band do not matter; features keep their relative sizes within a band. X and y are centred with training means.

    Parameters
    ----------
    by : unit coordinate that names the band of each feature; or a sequence of names, one a feature (for plain arrays);
        None: one band. A plain array without such a sequence is one band.
    alphas : sequence of penalties, 0 or more, or one number.
    n_iter : points on the simplex that are tried, all alike and each band alone first. With one band there is one.
    solver : ``"random"``: Dirichlet draws of shares of variance, the same for every target. ``"adaptive"``: points
        after the first ones go where the targets together expect the largest gain: as good with fewer points.
        ``"gradient"``: the random search, then 20 steps along the gradient of the score, each target for itself: for
        hundreds of targets. Or a callable like :func:`compute.banded.random_search`.
    cv : folds inside the training samples, as for :class:`Ridge`.
    random_state : seed of the draws.
    max_memory : what ``fit`` may take beyond the arrays it is given: bytes, or text such as ``"4 GiB"``; None: the
        memory of the machine. Targets are searched in chunks where they do not fit together.
    device : torch device, such as ``"cuda"``; None: the CPU. A device that is not there raises.

    Attributes
    ----------
    bands_ : names of the bands, in the order of their first feature.
    band_weights_ : (bands, targets) gamma, columns sum to one; labelled ``(band, unit)`` where y was.
    alpha_ : (targets,) penalties; the penalty of band b is ``alpha_ / band_weights_[b]``, on the scaled band.
    coef_ : (features, targets) in units of target per unit of feature. intercept_ : (targets,).
    best_score_ : (targets,) mean R2 over the folds at the chosen penalties; NaN for a constant target.
    band_scale_ : (bands,) what each band was divided by.
    solver_ : ``"primal"`` (no more features than samples) or ``"dual"`` (kernels).
    memory_ : predicted peak of ``fit`` in bytes beyond the arrays that it was given.

    Raises
    ------
    AlignmentError : X and y carry labels of different samples; no coordinate ``by``; other features in ``predict``.
    DegenerateDataError : NaN or infinite values, too few samples, no feature, no target.
    CapacityError : the predicted peak is above ``max_memory``.

    Warns
    -----
    NeurodecodeWarning : constant or repeated features; penalties at an edge of the grid for over 5 % of the targets;
        bands that were not standardised.

    References
    ----------
    Nunez-Elizalde, Huth & Gallant (2019), NeuroImage 197; Dupre la Tour, Eickenberg, Nunez-Elizalde & Gallant (2022),
    NeuroImage 264, sections 2.4-2.6.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(80, 12))
    >>> y = X[:, :2] @ rng.normal(size=(2, 3)) + rng.normal(size=(80, 3))
    >>> model = BandedRidge(by=["a"] * 2 + ["b"] * 10, alphas=np.logspace(-1, 4, 6), n_iter=8, random_state=0).fit(X, y)
    >>> model.band_weights_.shape, bool((model.band_weights_[0] > 0.5).all())
    ((2, 3), True)
    >>> bool(np.allclose(model.predict_bands(X).sum(0), model.predict(X)))
    True
    """

    def __init__(
        self,
        by: str | Sequence[Any] | None = "space",
        alphas: Sequence[float] | float = DEFAULT_ALPHAS,
        n_iter: int = 40,
        solver: Any = "random",
        cv: Any = 5,
        random_state: Any = None,
        max_memory: float | str | None = None,
        device: Any = None,
    ):
        self.by = by
        self.alphas = alphas
        self.n_iter = n_iter
        self.solver = solver
        self.cv = cv
        self.random_state = random_state
        self.max_memory = max_memory
        self.device = device

    @property
    def targets_independent(self) -> bool:
        """True where every target is fitted as if it were alone: the same draws for all, from a fixed seed."""
        return self.solver in ("random", "gradient") and isinstance(self.random_state, (int, np.integer))

    def fit(self, X: Any, y: Any, *, standardize: bool = True) -> BandedRidge:
        """Choose the penalties and fit the weights.

        Parameters
        ----------
        X : (samples, features); y : (samples, targets) or (samples,). Labelled or plain.
        standardize : False leaves the bands in their own units: a band in large units is then penalised less.
        """
        check_same_samples(X, y)
        device = resolve(self.device)
        search = lookup(SEARCHES, self.solver, "solver")
        if isinstance(self.n_iter, bool) or not isinstance(self.n_iter, (int, np.integer)) or self.n_iter < 1:
            raise ValueError(f"n_iter={self.n_iter!r}: expected a number of points from 1.")
        alphas = _penalties(self.alphas)
        targets = _inputs.targets(y, "BandedRidge")
        x = _inputs.features(self, X, also=targets)
        check_consistent_length(x, targets)
        table = targets[:, None] if targets.ndim == 1 else targets
        _inputs.check_counts(table.shape, "BandedRidge", what="target")
        names, band = bands_of(X, x.shape[1], self.by)
        searched = len(alphas) > 1 or len(names) > 1
        folds = _folds(self.cv, X, y, len(x)) if searched else []
        kernel = x.shape[1] > len(x)
        copied = not np.may_share_memory(x, _inputs.matrix(X))
        chunk, self.memory_ = _plan(x, copied, table.shape[1], len(names), folds, kernel, self.solver, self.max_memory)
        _warn_features(x, X, True)
        mean = _means(x)
        centred = np.subtract(x, mean, order="C")
        scale = _scales(centred, band, len(names), names, standardize)
        centred /= scale[band].astype(centred.dtype)
        parts = solver.prepare_bands(
            torch.from_numpy(centred).to(device), torch.from_numpy(band).to(device), len(names), kernel
        )
        splits = [solver.make_split(parts, *(torch.from_numpy(side).to(device) for side in pair)) for pair in folds]
        fitted = self._search_and_solve(search, parts, splits, table, y, alphas, chunk)
        self.alpha_, weights, self.best_score_, coef, self.intercept_ = fitted
        self.coef_ = coef / scale[band][:, None].astype(coef.dtype)
        self.intercept_ -= mean @ self.coef_
        self.mean_ = mean
        self.band_ = band
        self.bands_ = names
        self.band_scale_ = scale
        self.solver_ = "dual" if kernel else "primal"
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        self.targets_ = Labels.of(y if isinstance(y, xr.DataArray) else targets, "unit")
        self.one_target_ = targets.ndim == 1
        coords: dict[str, Any] = {key: ("unit", kept) for key, kept in self.targets_.coords.items()}
        named = xr.DataArray(weights, dims=("band", "unit"), coords={**coords, "band": ("band", names)})
        self.band_weights_ = named if isinstance(y, xr.DataArray) and y.ndim == 2 else weights
        return self

    def _search_and_solve(
        self, search: Any, parts: Any, splits: list, table: Any, y: Any, alphas: np.ndarray, chunk: int
    ) -> tuple[np.ndarray, ...]:
        """Penalties, band weights, scores, weights on scaled features, target means: a chunk of targets at a time."""
        t, dtype, device = table.shape[1], np.dtype(str(parts.x.dtype).removeprefix("torch.")), parts.x.device
        masked, still = _inputs.masked(y, t), np.zeros(t, dtype=bool)
        seed = check_random_state(self.random_state).integers(0, 2**63 - 1)
        coef, score = np.zeros((parts.x.shape[1], t), dtype=dtype), np.full(t, np.nan, dtype=dtype)
        alpha, share, middle = np.full(t, alphas[0]), np.full((parts.count, t), 1 / parts.count), np.zeros(t, dtype)
        penalties = torch.from_numpy(alphas).to(device)
        for columns in batches(t, chunk):
            block = _inputs.read_columns(table, columns, dtype)
            block[:, masked[columns]] = 0
            if not _inputs.is_finite(block):
                check_finite(y if isinstance(y, xr.DataArray) else table, "y")
            still[columns] = _inputs.constant(block)
            middle[columns] = np.where(still[columns], block[0], block.mean(0, dtype=np.float64))
            block -= middle[columns]
            values = torch.from_numpy(block).to(device)
            if splits:
                tables = [solver.make_table(split, values) for split in splits]
                won = search(parts, splits, tables, penalties, int(self.n_iter), np.random.default_rng(seed))
                alpha[columns], share[:, columns] = won.alpha.cpu().numpy(), won.gamma.cpu().numpy()
                score[columns] = won.score.cpu().numpy()
            gamma, penalty = (torch.from_numpy(part).to(device) for part in (share[:, columns], alpha[columns]))
            coef[:, columns] = solver.solve_banded(parts, values, gamma, penalty).cpu().numpy()
        score[still] = np.nan
        coef[:, still] = 0
        if len(alphas) > 1:
            tiny = np.finfo(float).tiny
            ratio = np.log(np.maximum(alpha[~still, None], tiny) / np.maximum(alphas, tiny))
            _warn_edges(np.abs(ratio).argmin(1), alphas)
        for fitted in (alpha, share, score, coef, middle):
            fitted[..., masked] = np.nan
        return alpha, share, score, coef, middle

    def predict(self, X: Any) -> Any:
        """Sum of what the bands predict: (samples, targets), or (samples,) where y was 1-D; labelled where X is."""
        found = reduce(np.add, self._parts(X))
        return labelled(found[:, 0] if self.one_target_ else found, samples_of=X, units=self.targets_)

    def predict_bands(self, X: Any) -> Any:
        """What each band adds to the prediction: (bands, samples, targets); the sum over bands is ``predict``.

        The part of band b is (X_b - mean_b) W_b plus an equal share of the mean of the target. Labelled input gives the
        dimensions ``band, sample, unit`` with the names of the bands.
        """
        found = np.stack(list(self._parts(X)))
        return stack_bands(found[:, :, 0] if self.one_target_ else found, X, self.targets_, self.bands_)

    def _parts(self, X: Any) -> Iterator[np.ndarray]:
        check_is_fitted(self)
        check_same_units(X, self.features_)
        x = _inputs.features(self, X, also=self.coef_, reset=False, samples=1)
        centred = x - self.mean_
        share = (self.intercept_ + self.mean_ @ self.coef_) / len(self.bands_)
        for number in range(len(self.bands_)):
            yield centred[:, self.band_ == number] @ self.coef_[self.band_ == number] + share


def stack_bands(found: np.ndarray, X: Any, units: Labels, names: np.ndarray) -> Any:
    """Predictions by band, (bands, samples, targets) or (bands, samples), labelled where ``X`` is."""
    if not isinstance(X, xr.DataArray):
        return found
    first = labelled(found[0], samples_of=X, units=units)
    coords = {**{key: c.variable for key, c in first.coords.items()}, "band": ("band", names)}
    return xr.DataArray(found, dims=("band", *first.dims), coords=coords, attrs=first.attrs)


def bands_of(X: Any, p: int, by: Any) -> tuple[np.ndarray, np.ndarray]:
    """Names of the bands in the order of their first feature, and the number of each feature's band (p,)."""
    if by is None or (isinstance(by, str) and not isinstance(X, xr.DataArray)):
        return np.asarray(["all"]), np.zeros(p, dtype=np.int64)
    if isinstance(by, str):
        if by not in X.coords or X.coords[by].dims != ("unit",):
            there = sorted(str(key) for key, c in X.coords.items() if c.dims == ("unit",))
            raise AlignmentError(
                f"by={by!r}: X has no such coordinate on unit (it has {there}). Name the band of each feature with "
                "concat({name: array}, label='space'), choose one of those, or pass by=None for a single band."
            )
        values = X.coords[by].values
    else:
        values = np.asarray(by)
        if values.shape != (p,):
            raise AlignmentError(
                f"by= names the bands of {values.size} features and X has {p} features (n_features = {p}); give one "
                "name a feature."
            )
    names, first, place = np.unique(values.astype(str), return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return names[order], rank[place.reshape(-1)]


def _scales(x: np.ndarray, band: np.ndarray, count: int, names: np.ndarray, standardize: bool) -> np.ndarray:
    """What each band is divided by: the root of the mean variance of its features that vary."""
    power = np.square(x, dtype=np.float64).mean(0)
    if not np.isfinite(power).all():
        raise DegenerateDataError("features are so large that their variance overflows; divide them by a constant.")
    scale = np.ones(count)
    for number in range(count):
        here = power[band == number]
        if here.any():
            scale[number] = np.sqrt(here[here > 0].mean())
    if standardize:
        return scale
    if count > 1:
        low, high = int(scale.argmin()), int(scale.argmax())
        warnings.warn(
            f"Bands were not standardised: features of {names[high]} have {scale[high] / scale[low]:.3g} times the "
            f"standard deviation of those of {names[low]}, and are penalised less for it.",
            NeurodecodeWarning,
            stacklevel=3,
        )
    return np.ones(count)


def _plan(
    x: np.ndarray, copied: bool, t: int, count: int, folds: list, kernel: bool, search: Any, max_memory: Any
) -> tuple[int, int]:
    """Targets searched together so that the predicted peak stays under ``max_memory``, and that peak in bytes."""
    n, p, size = *x.shape, x.dtype.itemsize
    q = n if kernel else p
    held = max((len(test) for _, test in folds), default=0)
    kept = (copied + 1) * size * n * p + size * p * t + 8 * t * (count + 6)
    fixed = 8 * (count + 7) * n * n if kernel else (len(folds) + 6) * 8 * p * p + len(folds) * size * n * p + 8 * n * p
    fixed += len(folds) * 8 * q * (q + held)
    if search == "gradient":
        fixed += max(SYSTEMS, q * q) * 8 * 3 + (8 * 3 * count * n * n if kernel else 0)

    def peak(chunk: int) -> float:
        now = min(chunk, t)
        sweep = min(now, solver.SWEEP) * size * (2 * q + 3 * held)
        solve = (size * p + 8 * (3 * q + p)) * now
        tables = size * (len(folds) * (q + held) + n) * now
        return kept + steps_and_what_lingers(fixed + 2 * size * n * now + max(tables + sweep, solve))

    return largest_block(
        peak,
        CHUNKS,
        max_memory,
        f"BandedRidge on {n:,} samples x {p:,} features in {count} bands and {t:,} targets ({8 * size}-bit)",
        f"{'pass float32 arrays, ' if size > 4 else ''}or reduce the features",
    )
