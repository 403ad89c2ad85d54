"""Temporal response functions: what one time series says about another at every lag, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, clone
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from .._numbers import amount
from ..compute.batching import batches
from ..exceptions import AlignmentError, CapacityError, TimingError
from ..representation import Labels, check_finite, check_same_samples, check_same_units, labelled, plain
from . import _inputs
from ._capacity import machine_memory, said
from ._lagged import Lagged
from ._lagged_ridge import solve
from ._timeline import TOLERANCE, check_onsets, convolve, run_name, runs_of
from ._weights import InMemory
from .delays import steps_between
from .ridge import Ridge, _folds, _penalties, _warn_edges
from .unfolding import chain_time

PROBES = 512


class TemporalResponse(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""A linear map from the features at many lags: the kernel by which a response follows them.

        y(t) = intercept + sum over lags l and features j of  W[j, l] x_j(t - l),    tmin <= l <= tmax

    with x and y centred by their training means and 0 where t - l lies outside of the run of t. A positive lag is a
    response that comes *after* the feature. Which side is ``X`` is the direction:

    - forward (encoding): ``X`` the stimulus, ``y`` the sensors, lags such as -0.1 ... 0.4 s; a causal response has its
      weights at positive lags, and what stands at negative ones says how much is chance.
    - backward (decoding, reconstruction): ``X`` the sensors, ``y`` the stimulus, lags such as -0.4 ... 0 s: the
      stimulus now is read from the sensors later, at *negative* lags. Its weights cancel noise; where the stimulus is
      seen is the pattern (``patterns=True``, Haufe et al. 2014): cov(x at lag l, prediction) / cov(prediction).

    Samples are consecutive bins of runs (sample x unit), or trials (sample x unit x time), each a run of its own.

    Parameters
    ----------
    tmin, tmax : first and last lag in seconds, both included; every sample between them is a lag.
    estimator : linear map that is fitted to the lagged features, None: ``Ridge()``. Its input has one column for each
        lag and feature, lags first, with the unit coordinates of ``X`` and ``delay`` (s), so
        ``BandedRidge(by="space")`` and a ``Ridge`` that chooses its penalty by ``SplitBy("run")`` work.
    by : sample coordinate that names the run of each sample; None: all samples are one run. Trials need none.
    sfreq : samples per second; None: ``X.attrs["sfreq"]`` or ``1 / X.attrs["tr"]``.
    smooth : how much a step from one lag to the next costs beside the weights themselves. The penalty of ridge becomes
        ``alpha (sum_l w_l^2 + smooth sum_l (w_l - w_(l-1))^2)``, by a change of basis of the lags.
    patterns : compute ``patterns_``.

    Attributes
    ----------
    coef_ : (features, lags, targets). intercept_ : (targets,).
    lags_ : (lags,) seconds. sfreq_ : samples per second.
    patterns_ : (features, lags, targets), with ``patterns=True``.
    estimator_ : the fitted estimator of the lagged features.
    n_features_in_ : number of features.

    Raises
    ------
    TimingError : no sampling frequency, or two that differ; no sample in the window of lags, or a lag as long as a run;
        onsets or times that do not advance by the sampling interval.
    AlignmentError : no coordinate ``by``; a run in several pieces; X and y of other samples, times or dimensions.
    DegenerateDataError : NaN or infinite values. CapacityError : the lagged features do not fit into memory.
    ValueError : the estimator is not linear.

    Notes
    -----
    The first and last samples of a run, whose lags reach outside of it, are predicted and scored like the others
    (mne leaves them out): see :meth:`inside`.

    The lagged features are never laid out for a ``Ridge`` with folds that are stretches of time (or one penalty), where
    there are more samples than lagged features: their products are sums over samples that hardly differ from lag to
    lag. The weights are the same to 1e-8: where sums lose digits they are refined, and where that does not settle, as
    for other estimators, the lagged features are made.

    References
    ----------
    Lalor & Foxe (2010), European Journal of Neuroscience 31; Crosse et al. (2016), Frontiers in Human Neuroscience 10,
    equations 1-8; Haufe et al. (2014), NeuroImage 87, equation 6.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sound = rng.normal(size=(500, 1))
    >>> sensor = np.roll(sound, 3, axis=0) + 0.1 * rng.normal(size=(500, 1))
    >>> found = TemporalResponse(-0.05, 0.05, Ridge(1.0), by=None, sfreq=100.0).fit(sound, sensor)
    >>> float(found.lags_[found.coef_[0, :, 0].argmax()])
    0.03
    """

    def __init__(
        self,
        tmin: float,
        tmax: float,
        estimator: Any = None,
        by: str | None = "run",
        sfreq: float | None = None,
        smooth: float = 0.0,
        patterns: bool = False,
    ):
        self.tmin = tmin
        self.tmax = tmax
        self.estimator = estimator
        self.by = by
        self.sfreq = sfreq
        self.smooth = smooth
        self.patterns = patterns

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags

    @property
    def targets_independent(self) -> bool:
        """Whether every target is fitted as if it were alone, as ``estimator`` does it."""
        return bool(getattr(Ridge() if self.estimator is None else self.estimator, "targets_independent", False))

    def fit(self, X: Any, y: Any) -> TemporalResponse:
        """Learn the kernels.

        Parameters
        ----------
        X : (samples, features), or (trials, features, times). y : (samples, targets) or (samples,), or (trials,
        targets, times); with labels, the same samples in the same order.
        """
        if y is None:
            raise ValueError("TemporalResponse requires y to be passed, but the target y is None.")
        check_same_samples(X, y)
        rows, x, runs, interval = self._series(X, reset=True)
        targets, values = self._targets(X, y, len(x))
        steps = steps_between(self.tmin, self.tmax, interval)
        self._check_lags(steps, runs, rows, interval)
        self.sfreq_, self.lags_ = 1 / interval, steps * interval
        self.one_target_ = values.ndim == 1
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        self.targets_ = Labels.of(y if isinstance(y, xr.DataArray) else values, "unit")
        self._first = int(steps[0])
        self.mean_ = x.mean(0)
        middle = values.mean(0)
        x, centred = x - self.mean_, values - middle
        basis = self._basis(len(steps))
        columns_of = self._columns(rows, steps)
        inner = Ridge() if self.estimator is None else clone(self.estimator)
        found = self._from_sums(inner, x, centred, targets, rows, runs, basis, columns_of)
        if found is None:
            found = self._from_design(inner, x, centred, targets, rows, runs, basis, columns_of)
        self.estimator_, weights, offset = found
        weights = weights.reshape(len(steps), x.shape[1], -1)
        self.coef_ = np.einsum("kpt,lk->plt", weights, basis.astype(x.dtype)).astype(weights.dtype)
        self.intercept_ = (np.atleast_1d(middle) + offset).astype(weights.dtype)
        if self.patterns:
            self.patterns_ = self._haufe(x, runs)
        return self

    def _from_sums(
        self, inner: Any, x: np.ndarray, y: np.ndarray, targets: Any, rows: Any, runs: list[np.ndarray],
        basis: np.ndarray, columns: Labels,
    ) -> tuple[Any, np.ndarray, np.ndarray] | None:  # fmt: skip
        """The fitted ridge, its weights and offset without the lagged features; None where it takes those."""
        lags = len(basis)
        if not _plain_ridge(inner) or lags * x.shape[1] > len(x):
            return None
        if _inputs.constant(x).any() or len(_inputs.repeated(x, np.arange(x.shape[1]))):
            return None  # Ridge warns of them
        alphas = _penalties(inner.alphas)
        folds = _folds(inner.cv, rows, targets, len(x)) if len(alphas) > 1 else []
        table = y.reshape(len(y), -1)
        masked = _inputs.masked(targets, table.shape[1])
        if masked.any():
            table = np.where(masked, 0, table)
        needed = 8.0 * lags * x.shape[1] * (lags * x.shape[1] * (6 + len(folds)) + 4 * table.shape[1])
        self._check_size(x, lags, needed)
        found = solve(
            Lagged(x, table, self._first, lags), runs, basis, alphas, folds,
            centre=inner.fit_intercept, shared=inner.shared_alpha,
        )  # fmt: skip
        if found is None:
            return None
        dtype = _inputs.working_dtype(x, table)
        constant = _inputs.constant(table)
        if len(alphas) > 1:
            _warn_edges(found.best[~constant], alphas, stacklevel=4)
        weights, offset = found.weights.astype(dtype), found.offset.astype(dtype)
        weights[:, constant] = 0
        weights[:, masked], offset[masked] = np.nan, np.nan
        alpha, score = alphas[found.best], np.where(constant, np.nan, found.score).astype(dtype)
        alpha[masked] = np.nan
        chosen = "float64" if len(alphas) > 1 else None
        fitted = {"intercept_": offset, "alpha_": alpha, "best_score_": score, "selection_dtype_": chosen}
        fitted |= {"memory_": needed, "solver_": "primal", "one_target_": y.ndim == 1, "n_features_in_": columns.size}
        kept = InMemory(columns.size, table.shape[1], dtype, np.zeros(columns.size, dtype=bool))
        kept.coef[:] = weights
        vars(inner).update(fitted, features_=columns, targets_=self.targets_, _kept=kept)
        return inner, weights, offset

    def _from_design(
        self, inner: Any, x: np.ndarray, y: np.ndarray, targets: Any, rows: Any, runs: list[np.ndarray],
        basis: np.ndarray, columns_of: Labels,
    ) -> tuple[Any, np.ndarray, np.ndarray]:  # fmt: skip
        """Any estimator fitted to the lagged features, its weights and offset."""
        lags, (n, p) = len(basis), x.shape
        self._check_size(x, lags, x.itemsize * n * p * lags * (3 if self.smooth else 2))
        design = convolve(x, runs, self._first, np.eye(lags))
        if self.smooth:
            turned = basis.astype(x.dtype)
            design = np.einsum("nlp,lk->nkp", design.reshape(n, lags, p), turned, optimize=True).reshape(n, -1)
        fitted = inner.fit(
            labelled(design, samples_of=rows, units=columns_of),
            targets.copy(data=y) if isinstance(targets, xr.DataArray) else y,
        )
        return fitted, *_weights(fitted, design, rows, columns_of, y.size // n)

    def predict(self, X: Any) -> Any:
        """The other series: (samples, targets), (samples,), or (trials, targets, times); labelled where X is.

        Near the edges of a run, where a lag reaches outside, the features there count as their training mean.
        """
        check_is_fitted(self)
        check_same_units(X, self.features_)
        _, x, runs, interval = self._series(X, reset=False)
        if abs(interval * self.sfreq_ - 1) > TOLERANCE:
            raise TimingError(
                f"TemporalResponse was fitted at {self.sfreq_:g} samples a second and now gets {1 / interval:g}."
            )
        found = self._answer(x - self.mean_, runs) + self.intercept_
        if _deep(X):
            found = found.reshape(len(X), -1, found.shape[1]).transpose(0, 2, 1)
            return labelled(found, samples_of=X, units=self.targets_, dims=("sample", "unit", "time"))
        return labelled(found[:, 0] if self.one_target_ else found, samples_of=X, units=self.targets_)

    def inside(self, X: Any) -> Any:
        """Which samples of X have all their lags within the run: booleans (samples,), or (trials, times); labelled.

        At the others a prediction leans on the mean, and every score counts them. To score without them, take both
        series there: ``truth[kept]``, ``prediction[kept]`` with ``kept = model.inside(X).values``. Needs no fit.
        """
        fitted = hasattr(self, "coef_")
        _, x, runs, interval = (self if fitted else clone(self))._series(X, reset=not fitted)
        steps = steps_between(self.tmin, self.tmax, interval)
        first, last = int(steps[0]), int(steps[-1])
        found = np.zeros(len(x), dtype=bool)
        for run in runs:
            found[run[0] + max(last, 0) : max(run[-1] + 1 + min(first, 0), run[0])] = True
        if _deep(X):
            return labelled(found.reshape(len(X), -1), samples_of=X, units=None, dims=("sample", "time"))
        return labelled(found, samples_of=X, units=None)

    def to_dataset(self) -> xr.Dataset:
        """``coef`` (and ``pattern``) over (feature, lag, unit); ``lag`` in seconds, unit coordinates of both sides.

        Those of the features are called ``feature_...``; those of the targets keep their names.
        """
        check_is_fitted(self)
        coords: dict[str, Any] = {"lag": ("lag", self.lags_, {"units": "s"})}
        coords |= {f"feature_{name}": ("feature", np.array(kept)) for name, kept in self.features_.coords.items()}
        coords |= {name: ("unit", np.array(kept)) for name, kept in self.targets_.coords.items()}
        arrays = {"coef": self.coef_} | ({"pattern": self.patterns_} if self.patterns else {})
        found = {name: (("feature", "lag", "unit"), kept) for name, kept in arrays.items()}
        return xr.Dataset(found, coords, {"sfreq": self.sfreq_, "estimator": repr(self)})

    def _answer(self, x: np.ndarray, runs: list[np.ndarray]) -> np.ndarray:
        """Sum over lags of the moved features times their weights, a lag at a time."""
        out = np.zeros((len(x), self.coef_.shape[2]), dtype=np.result_type(x, self.coef_))
        for run in runs:
            here, n = x[run[0] : run[-1] + 1], len(run)
            part = out[run[0] : run[-1] + 1]
            for number in range(self.coef_.shape[1]):
                step = self._first + number
                if abs(step) < n:
                    moved = here[max(-step, 0) : n - max(step, 0)]
                    part[max(step, 0) : n + min(step, 0)] += moved @ self.coef_[:, number]
        return out

    def _haufe(self, x: np.ndarray, runs: list[np.ndarray]) -> np.ndarray:
        """Regression of the features at every lag on the predictions: (features, lags, targets)."""
        answer = self._answer(x, runs)
        answer -= answer.mean(0)
        onto = np.linalg.pinv(answer.T @ answer)
        one = np.ones((1, 1))
        found = [
            convolve(x, runs, self._first + number, one).T @ answer @ onto for number in range(self.coef_.shape[1])
        ]
        return np.stack(found, axis=1)

    def _basis(self, n: int) -> np.ndarray:
        """(lags, lags): weights over lags from those that the estimator penalises alike."""
        smooth = amount(self.smooth, "smooth")
        step = np.diff(np.eye(n), axis=0)
        return np.linalg.inv(np.linalg.cholesky(np.eye(n) + smooth * step.T @ step)).T

    def _series(self, X: Any, *, reset: bool) -> tuple[Any, np.ndarray, list[np.ndarray], float]:
        """X as rows in time, labelled where X is; their values; positions of each run; seconds between samples."""
        interval = sampling_interval(X, self.sfreq)
        if not _deep(X):
            x = _inputs.features(self, X, reset=reset, samples=2 if reset else 1)
            runs = runs_of(X, len(x), self.by, "TemporalResponse")
            for run in runs:
                check_onsets(X, run, interval, self.by)
            return X, x, runs, interval
        rows = chain_time(X)
        x = _inputs.features(self, rows, reset=reset, samples=2 if reset else 1)
        times = np.shape(X)[2]
        if isinstance(X, xr.DataArray) and "time" in X.coords and times > 1:
            gaps = np.diff(np.asarray(X["time"].values, dtype=float))
            if (np.abs(gaps - interval) > TOLERANCE * interval).any():
                raise TimingError(
                    f"the times of X advance by {np.median(gaps):g} s, but {1 / interval:g} samples a second are "
                    f"{interval:g} s apart."
                )
        return rows, x, np.split(np.arange(len(x)), np.arange(times, len(x), times)), interval

    def _targets(self, X: Any, y: Any, n: int) -> tuple[Any, np.ndarray]:
        """y as rows in time: labelled where it is, and the values."""
        deep = _deep(X)
        if deep != _deep(y):
            raise AlignmentError(
                f"X has the shape {np.shape(X)} and y {np.shape(y)}; both are series (samples, units), or both are "
                "trials (trials, units, times)."
            )
        if deep and np.shape(X)[2] != np.shape(y)[2]:
            raise TimingError(f"trials of X have {np.shape(X)[2]} times and those of y {np.shape(y)[2]}.")
        one, two = (series.coords.get("time") if isinstance(series, xr.DataArray) else None for series in (X, y))
        if deep and one is not None and two is not None and not np.allclose(one.values, two.values, rtol=0, atol=1e-6):
            raise TimingError("the times of X and y differ; cut both at the same times around their events.")
        rows = chain_time(y) if deep else y
        values = np.asarray(_inputs.targets(rows, "TemporalResponse"))
        check_consistent_length(np.empty(n), values)
        values = values.astype(_inputs.working_dtype(values), copy=False)
        if not _inputs.masked(y, 1).any() and not _inputs.is_finite(values):
            check_finite(y if isinstance(y, xr.DataArray) else values, "y")
        return rows, values

    def _check_lags(self, steps: np.ndarray, runs: list[np.ndarray], rows: Any, interval: float) -> None:
        longest = int(np.abs(steps).max())
        for run in runs:
            if longest >= len(run):
                named = run_name(rows, run, self.by) if isinstance(rows, xr.DataArray) else "a run"
                raise TimingError(
                    f"a lag of {longest * interval:g} s is as long as {named}, of {len(run) * interval:g} s "
                    f"({len(run)} samples at {1 / interval:g} Hz). Are the lags in seconds?"
                )

    def _check_size(self, x: np.ndarray, lags: int, needed: float) -> None:
        n, p = x.shape
        there = machine_memory()
        if needed > there:
            raise CapacityError(
                f"{n:,} samples of {p:,} features at {lags} lags take {said(needed)}, and there are {said(there)}. "
                "Lower the sampling frequency, shorten the window, or take fewer features."
            )

    def _columns(self, rows: Any, steps: np.ndarray) -> Labels:
        before = Labels.of(rows, "unit") if isinstance(rows, xr.DataArray) else self.features_
        if "delay" in before.coords:
            raise AlignmentError("X has a coordinate 'delay' already; TemporalResponse makes the lags itself.")
        coords = {key: np.tile(entry, len(steps)) for key, entry in before.coords.items()}
        coords["delay"] = np.repeat(self.lags_, before.size)
        return Labels("unit", len(steps) * before.size, coords, before.attrs)


def _weights(
    fitted: Any, design: np.ndarray, rows: Any, columns: Labels, targets: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (columns, targets) and offset (targets,) of the estimator, from its answers to unit vectors."""

    def ask(values: np.ndarray) -> np.ndarray:
        given: Any = values
        if isinstance(rows, xr.DataArray):
            coords = {name: ("unit", np.array(kept)) for name, kept in columns.coords.items()}
            coords["stimulus"] = ("sample", np.arange(len(values)).astype(str))
            given = xr.DataArray(values, dims=("sample", "unit"), coords=coords, attrs=dict(columns.attrs))
        return np.asarray(plain(fitted.predict(given))).reshape(len(values), targets)

    size = design.shape[1]
    offset = ask(np.zeros((2, size), dtype=design.dtype))[0]
    weights = np.empty((size, targets), dtype=offset.dtype)
    for some in batches(size, PROBES):
        unit = np.zeros((some.stop - some.start, size), dtype=design.dtype)
        unit[np.arange(len(unit)), np.arange(some.start, some.stop)] = 1
        weights[some] = ask(unit) - offset
    few = design[:: max(1, len(design) // 8)][:8]
    answers = ask(few)
    room = 1e-3 * float(np.nanmax(np.abs(answers), initial=1e-30))
    if not np.allclose(few @ weights + offset, answers, rtol=1e-3, atol=room, equal_nan=True):
        raise ValueError(
            f"{type(fitted).__name__} is not linear in its features, so it has no kernels over lags. Take "
            "a linear map, or put Delays before it in a pipeline."
        )
    return weights, offset


def _plain_ridge(inner: Any) -> bool:
    """Whether sums over samples say all that this estimator asks for: ridge on the CPU, weights in memory."""
    return (
        type(inner) is Ridge
        and inner.device is None
        and inner.max_memory is None
        and inner.solver in ("auto", "primal")
        and not isinstance(inner.cv, str)
    )


def sampling_interval(X: Any, sfreq: Any) -> float:
    """Seconds between samples, from the argument or from attrs; they must agree."""
    noted: Any = None
    if isinstance(X, xr.DataArray):
        noted = X.attrs.get("sfreq") or (1 / X.attrs["tr"] if X.attrs.get("tr") else None)
    if sfreq is None and noted is None:
        raise TimingError(
            "TemporalResponse needs the sampling frequency: X has no attrs['sfreq'] and no attrs['tr']. Set it, or "
            "pass sfreq= in samples per second (and by=None for a plain array)."
        )
    rate = float(noted if sfreq is None else sfreq)
    if not (np.isfinite(rate) and rate > 0):
        raise TimingError(f"A sampling frequency of {rate!r} is none; expected samples per second, above 0.")
    if noted is not None and abs(float(noted) / rate - 1) > TOLERANCE:
        raise TimingError(
            f"sfreq={rate:g} was given, but X has {float(noted):g} samples a second; correct the one that is wrong."
        )
    return 1 / rate


def _deep(X: Any) -> bool:
    """Whether these are trials: three dimensions."""
    return (X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim) == 3
