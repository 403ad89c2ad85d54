"""Features convolved with functions of time, run by run: what delays and haemodynamic responses share."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..exceptions import AlignmentError, TimingError
from ..representation import Labels, check_same_units, labelled
from . import _inputs

TOLERANCE = 0.01


class _Convolved(TransformerMixin, BaseEstimator):
    """A stack of functions of time, each convolved with every feature within each run; nothing is learnt.

    A filling says which functions (``_taps``), what they are called (``_names``) and how short a run may be
    (``_check_length``). ``tr_`` is the repetition time in seconds.
    """

    coord = "delay"

    by: str | None
    tr: float | None

    def _taps(self, tr: float) -> tuple[int, np.ndarray]:
        """Lag in samples of the first column, and the values of every function: (functions, lags)."""
        raise AttributeError("a convolution says with what.")

    def _names(self) -> tuple[np.ndarray, str]:
        """What ``coord`` says of each function, and the entry in the history."""
        raise AttributeError("a convolution says with what.")

    def _check_length(self, n: int, tr: float, where: str) -> None:
        """Refuse a run of ``n`` samples that is too short for these functions."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Check times and runs; nothing is learnt from the values."""
        x = _inputs.features(self, X, samples=1)
        tr = repetition_time(X, self.tr, type(self).__name__)
        self.first_, self.taps_ = self._taps(tr)
        self._check_runs(runs_of(X, len(x), self.by, type(self).__name__), X, tr)
        self.tr_ = tr
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        return self

    def transform(self, X: Any) -> Any:
        """The features convolved: (samples, functions x features), all features with the first function, then ...

        Labelled input gives labelled output: the unit coordinates repeated, and which function it is beside them.
        """
        check_is_fitted(self)
        check_same_units(X, self.features_)
        x = _inputs.features(self, X, reset=False, samples=1)
        who = type(self).__name__
        tr = repetition_time(X, self.tr, who)
        if abs(tr - self.tr_) > TOLERANCE * self.tr_:
            raise TimingError(f"{who} was fitted at a repetition time of {self.tr_:g} s and now gets {tr:g} s.")
        runs = runs_of(X, len(x), self.by, who)
        self._check_runs(runs, X, tr)
        return self._label(convolve(x, runs, self.first_, self.taps_), X)

    def _check_runs(self, runs: list[np.ndarray], X: Any, tr: float) -> None:
        for run in runs:
            self._check_length(len(run), tr, run_name(X, run, self.by))
            check_onsets(X, run, tr, self.by)

    def _label(self, out: np.ndarray, X: Any) -> Any:
        if not isinstance(X, xr.DataArray):
            return out
        if self.coord in X.coords:
            raise AlignmentError(
                f"X has a coordinate {self.coord!r} already; delay the features once, with all delays."
            )
        names, said = self._names()
        before = Labels.of(X, "unit")
        coords = {key: np.tile(entry, len(names)) for key, entry in before.coords.items()}
        coords[self.coord] = np.repeat(names, before.size)
        units = Labels("unit", out.shape[1], coords, before.attrs)
        return labelled(out, samples_of=X, units=units, attrs={"history": [*X.attrs.get("history", []), said]})


def convolve(x: np.ndarray, runs: list[np.ndarray], first: int, taps: np.ndarray) -> np.ndarray:
    """``out[t, b p + j] = sum_k taps[b, k] x[t - first - k, j]`` within the run of t; 0 is what lies outside.

    Parameters
    ----------
    x : (samples, p). runs : positions of the samples of each run, one stretch each. taps : (functions, lags).
    """
    p = x.shape[1]
    out = np.zeros((len(x), len(taps) * p), dtype=x.dtype)
    for run in runs:
        here, n = x[run[0] : run[-1] + 1], len(run)
        for block, weights in enumerate(taps):
            part = out[run[0] : run[-1] + 1, block * p : (block + 1) * p]
            for k in np.flatnonzero(weights):
                step, weight = first + int(k), float(weights[k])
                if abs(step) < n:
                    moved = here[max(-step, 0) : n - max(step, 0)]
                    part[max(step, 0) : n + min(step, 0)] += moved if weight == 1 else weight * moved
    return out


def repetition_time(X: Any, given: Any, who: str) -> float:
    """Seconds between samples, from the argument or from attrs; they must agree."""
    noted: Any = X.attrs.get("tr") if isinstance(X, xr.DataArray) else None
    if given is None and noted is None:
        raise TimingError(
            f"{who} needs the repetition time: X has no attrs['tr']. Set it, or pass tr= in seconds (and by=None for a "
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


def runs_of(X: Any, n: int, by: str | None, who: str) -> list[np.ndarray]:
    """Positions of the samples of each run, in order; each run is one stretch."""
    if by is None:
        return [np.arange(n)]
    if not isinstance(X, xr.DataArray) or by not in X.coords:
        known = sorted(str(key) for key in X.coords) if isinstance(X, xr.DataArray) else []
        has = f"X has the coordinates {known}" if known else "a plain array has no coordinates"
        raise AlignmentError(f"{who}(by={by!r}): {has}. Name the run of each sample, or pass by=None for a single run.")
    if X.coords[by].dims != ("sample",):
        raise AlignmentError(f"{who}(by={by!r}): the coordinate lies on {X.coords[by].dims}; expected ('sample',).")
    labels = X.coords[by].values
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    names, counts = np.unique(labels[starts], return_counts=True)
    if (counts > 1).any():
        raise AlignmentError(
            f"{by} {names[counts > 1][0]!s} stands in {counts.max()} separate stretches of samples; sort the samples "
            f"by {by} and time, or give each stretch a name of its own."
        )
    return np.split(np.arange(n), starts[1:])


def run_name(X: Any, run: np.ndarray, by: str | None) -> str:
    """How a message calls a run."""
    return "the samples" if by is None else f"{by} {X.coords[by].values[run[0]]!s}"


def check_onsets(X: Any, run: np.ndarray, tr: float, by: str | None) -> None:
    """Onsets of a run, where there are any, must advance by the repetition time."""
    if not isinstance(X, xr.DataArray) or "onset" not in X.coords or len(run) < 2:
        return
    where = run_name(X, run, by)
    onset = np.asarray(X.coords["onset"].values[run], dtype=float)
    gaps = np.diff(onset)
    usual = float(np.median(gaps))
    if not abs(usual - tr) <= TOLERANCE * tr:
        hint = " One of the two is in milliseconds." if 900 < max(usual / tr, tr / max(usual, 1e-12)) < 1100 else ""
        raise TimingError(f"onsets in {where} advance by {usual:g}, but the repetition time is {tr:g} s.{hint}")
    wrong = np.flatnonzero(~(np.abs(gaps - tr) <= TOLERANCE * tr))
    if len(wrong):
        at = int(wrong[0])
        raise TimingError(
            f"onset goes from {onset[at]:g} to {onset[at + 1]:g} s at sample {int(run[at + 1])} of X, "
            f"within {where}, where the repetition time is {tr:g} s: samples are missing there, out of order, or "
            "of another run. Give each stretch its own run in by=, and delay before samples are dropped."
        )
