"""Features of some seconds ago as features of now: finite impulse responses for any linear map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..exceptions import AlignmentError, TimingError
from ..representation import Labels, check_same_units, labelled
from . import _inputs

TOLERANCE = 0.01


class Delays(TransformerMixin, BaseEstimator):
    r"""Copies of the features, each delayed by some seconds, side by side, within each run.

    Column block d of the output holds, at the sample of time t, the features of time t - seconds[d]:

        out[t, d * p + j] = X[t - seconds[d] / tr, j],  0 where that lies outside of the run of t.

    So a response that follows a feature by 4 s is found at delay +4; negative delays look ahead. Nothing is carried
    from one run into another.

    Parameters
    ----------
    seconds : delays in seconds, each a multiple of the repetition time within 1 % of it.
    by : sample coordinate that names the run of each sample; None: all samples are one run.
    tr : repetition time in seconds; None: ``X.attrs["tr"]``. A plain array needs it, and ``by=None``.

    Attributes
    ----------
    tr_ : repetition time in seconds.
    steps_ : (delays,) delays in samples.
    n_features_in_ : number of features before they are delayed.

    Raises
    ------
    TimingError : no repetition time, or two that differ; a delay that is no multiple of it or is as long as a run;
        ``onset`` within a run does not advance by the repetition time (within 1 %).
    AlignmentError : no coordinate ``by``; a run in several pieces; other features than at ``fit``.
    DegenerateDataError : NaN or infinite features.

    References
    ----------
    Dale (1999), Human Brain Mapping 8, Methods (selective averaging by finite impulse responses); Huth et al. (2016),
    Nature 532, Methods (delayed copies of features in voxelwise models).

    Examples
    --------
    >>> import numpy as np
    >>> Delays([0, 2], by=None, tr=2.0).fit_transform(np.array([[1.0], [2.0], [3.0]])).tolist()
    [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0]]
    """

    def __init__(self, seconds: Sequence[float], by: str | None = "run", tr: float | None = None):
        self.seconds = seconds
        self.by = by
        self.tr = tr

    def fit(self, X: Any, y: Any = None) -> Delays:
        """Check times and runs; nothing is learnt from the values."""
        x = _inputs.features(self, X, samples=1)
        tr = _repetition_time(X, self.tr)
        steps = _steps(self.seconds, tr)
        _check_runs(_runs(X, len(x), self.by), X, tr, steps, self.by)
        self.tr_ = tr
        self.steps_ = steps
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        return self

    def transform(self, X: Any) -> Any:
        """Delayed features: (samples, delays x features), all features at the first delay, then at the second ...

        Labelled input gives labelled output, with the unit coordinates repeated and ``delay`` in seconds beside them.
        """
        check_is_fitted(self)
        check_same_units(X, self.features_)
        x = _inputs.features(self, X, reset=False, samples=1)
        tr = _repetition_time(X, self.tr)
        if abs(tr - self.tr_) > TOLERANCE * self.tr_:
            raise TimingError(f"Delays was fitted at a repetition time of {self.tr_:g} s and now gets {tr:g} s.")
        runs = _runs(X, len(x), self.by)
        _check_runs(runs, X, tr, self.steps_, self.by)
        p = x.shape[1]
        out = np.zeros((len(x), len(self.steps_) * p), dtype=x.dtype)
        for run in runs:
            rows = slice(run[0], run[-1] + 1)
            n = len(run)
            for block, step in enumerate(self.steps_):
                part = out[rows, block * p : (block + 1) * p]
                part[max(step, 0) : n + min(step, 0)] = x[rows][max(-step, 0) : n - max(step, 0)]
        return _label(out, X, np.repeat(np.atleast_1d(np.asarray(self.seconds, dtype=float)), p), self)


def _label(out: np.ndarray, X: Any, delay: np.ndarray, estimator: Delays) -> Any:
    if not isinstance(X, xr.DataArray):
        return out
    if "delay" in X.coords:
        raise AlignmentError("X has a coordinate 'delay' already; delay the features once, with all delays.")
    times = len(estimator.steps_)
    before = Labels.of(X, "unit")
    coords = {key: np.tile(entry, times) for key, entry in before.coords.items()} | {"delay": delay}
    said = ", ".join(f"{seconds:g}" for seconds in np.atleast_1d(np.asarray(estimator.seconds, dtype=float)))
    history = [*X.attrs.get("history", []), f"delayed by {said} s"]
    return labelled(
        out, samples_of=X, units=Labels("unit", out.shape[1], coords, before.attrs), attrs={"history": history}
    )


def _repetition_time(X: Any, given: Any) -> float:
    """Seconds between samples, from the argument or from attrs; they must agree."""
    noted: Any = X.attrs.get("tr") if isinstance(X, xr.DataArray) else None
    if given is None and noted is None:
        raise TimingError(
            "Delays needs the repetition time: X has no attrs['tr']. Set it, or pass tr= in seconds (and by=None for a "
            "plain array)."
        )
    tr = float(noted if given is None else given)
    if not (np.isfinite(tr) and tr > 0):
        raise TimingError(f"A repetition time of {tr!r} s is no time; expected seconds above 0.")
    if noted is not None and abs(float(noted) - tr) > TOLERANCE * tr:
        raise TimingError(
            f"tr={tr:g} s was given, but X.attrs['tr'] is {float(noted):g} s; correct the one that is wrong."
        )
    return tr


def _steps(seconds: Any, tr: float) -> np.ndarray:
    """Delays in samples."""
    delays = np.atleast_1d(np.asarray(seconds, dtype=float))
    if delays.ndim != 1 or not len(delays) or not np.isfinite(delays).all():
        raise ValueError(f"seconds={seconds!r}: expected one or more finite delays in seconds.")
    ratio = delays / tr
    steps = np.rint(ratio).astype(int)
    wrong = np.abs(ratio - steps) > TOLERANCE
    if wrong.any():
        delay, step = delays[wrong][0], int(np.floor(ratio[wrong][0]))
        raise TimingError(
            f"a delay of {delay:g} s is no multiple of the repetition time {tr:g} s; the nearest are {step * tr:g} and "
            f"{(step + 1) * tr:g} s. Choose multiples, or resample the features."
        )
    if len(np.unique(steps)) < len(steps):
        raise ValueError(f"seconds={seconds!r}: the same delay stands there twice.")
    return steps


def _runs(X: Any, n: int, by: str | None) -> list[np.ndarray]:
    """Positions of the samples of each run, in order; each run is one stretch."""
    if by is None:
        return [np.arange(n)]
    if not isinstance(X, xr.DataArray) or by not in X.coords:
        known = sorted(str(key) for key in X.coords) if isinstance(X, xr.DataArray) else []
        has = f"X has the coordinates {known}" if known else "a plain array has no coordinates"
        raise AlignmentError(
            f"Delays(by={by!r}): {has}. Name the run of each sample, or pass by=None for a single run."
        )
    if X.coords[by].dims != ("sample",):
        raise AlignmentError(f"Delays(by={by!r}): the coordinate lies on {X.coords[by].dims}; expected ('sample',).")
    labels = X.coords[by].values
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    names, counts = np.unique(labels[starts], return_counts=True)
    if (counts > 1).any():
        raise AlignmentError(
            f"{by} {names[counts > 1][0]!s} stands in {counts.max()} separate stretches of samples; sort the samples "
            f"by {by} and time, or give each stretch a name of its own."
        )
    return np.split(np.arange(n), starts[1:])


def _check_runs(runs: list[np.ndarray], X: Any, tr: float, steps: np.ndarray, by: str | None) -> None:
    """No delay as long as a run, and onsets that advance by the repetition time."""
    longest = int(np.abs(steps).max())
    onset = X.coords["onset"].values if isinstance(X, xr.DataArray) and "onset" in X.coords else None
    for run in runs:
        where = "the samples" if by is None else f"{by} {X.coords[by].values[run[0]]!s}"
        if longest >= len(run):
            raise TimingError(
                f"a delay of {longest * tr:g} s is as long as {where}, which last {len(run) * tr:g} s ({len(run)} "
                f"samples of {tr:g} s). Are the delays in seconds, and is the repetition time right?"
            )
        if onset is None or len(run) < 2:
            continue
        gaps = np.diff(np.asarray(onset[run], dtype=float))
        usual = float(np.median(gaps))
        if not abs(usual - tr) <= TOLERANCE * tr:
            hint = " One of the two is in milliseconds." if 900 < max(usual / tr, tr / max(usual, 1e-12)) < 1100 else ""
            raise TimingError(f"onsets in {where} advance by {usual:g}, but the repetition time is {tr:g} s.{hint}")
        wrong = np.flatnonzero(~(np.abs(gaps - tr) <= TOLERANCE * tr))
        if len(wrong):
            at = int(wrong[0])
            raise TimingError(
                f"onset goes from {onset[run[at]]:g} to {onset[run[at + 1]]:g} s at sample {int(run[at + 1])} of X, "
                f"within {where}, where the repetition time is {tr:g} s: samples are missing there, out of order, or "
                "of another run. Give each stretch its own run in by=, and delay before samples are dropped."
            )
