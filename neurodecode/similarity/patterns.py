"""From samples to what dissimilarities are computed on: a pattern a stimulus, or one in every fold, and their noise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .._names import lookup
from ..compute import dissimilarity as algebra
from ..exceptions import AlignmentError, DegenerateDataError
from ..representation import Labels, check_representation, check_same_units
from ..representation.labels import same_entries
from ..representation.values import promoted


@dataclass(frozen=True)
class Patterns:
    """``values`` (n, p[, times]), or (folds, n, p[, times]) for cross-validation, float64.

    ``samples`` (samples, p[, times]) with ``codes`` and ``folds`` (samples,), which stimulus and which fold each is of.
    ``kept`` (units,) which units of X are in. ``coords`` what is known of the stimuli.
    """

    values: np.ndarray
    stimulus: np.ndarray
    coords: dict[str, Any]
    kept: np.ndarray
    times: int
    samples: np.ndarray
    codes: np.ndarray
    folds: np.ndarray
    units: Labels
    notes: list[str]

    @property
    def crossed(self) -> bool:
        return self.values.ndim - (self.times > 0) == 3

    @property
    def repeated(self) -> bool:
        """Whether every stimulus is there more than once in every fold."""
        number = len(self.stimulus) * (int(self.folds.max()) + 1)
        return bool((np.bincount(self.folds * len(self.stimulus) + self.codes, minlength=number) > 1).all())

    def estimated(self, name: str, time: int | None, units: Any) -> Any:
        """The whitener of the noise of some units; for cross-validation without bias, of each pair of folds.

        Products of two folds average to 0 only if the noise is judged by something else: by what is left within folds,
        or, where nothing is repeated there, by the other folds. Gives a whitener, or {(f, g): whitener}.
        """
        samples = (self.samples if time is None else self.samples[..., time])[:, units]
        n, count = len(self.stimulus), int(self.folds.max()) + 1
        at = np.flatnonzero(self.kept)[units]
        if not self.crossed:
            return _estimate(name, samples, self.codes, at)
        if self.repeated:
            return _estimate(name, samples, self.folds * n + self.codes, at)
        pairs = {}
        for f in range(count):
            for g in range(f + 1, count):
                others = (self.folds != f) & (self.folds != g)
                pairs[f, g] = _estimate(name, samples[others], self.codes[others], at)
        return pairs

    @property
    def freedom(self) -> int:
        """Degrees of freedom of one estimate of the noise."""
        n, count, size = len(self.stimulus), int(self.folds.max()) + 1, len(self.codes)
        if not self.crossed:
            return size - n
        if self.repeated:
            return size - n * count
        return (
            min(int(((self.folds != f) & (self.folds != g)).sum()) for f in range(count) for g in range(f + 1, count))
            - n
            if count > 3
            else 0
        )


def _estimate(name: str, samples: np.ndarray, codes: np.ndarray, at: np.ndarray) -> algebra.Whitener:
    """The noise of what is left of samples after the mean of those with the same code; ``at`` is where units stand."""
    kinds, place = _codes(codes)
    residuals = samples - _averaged(samples, place, len(kinds))[place]
    return _whitener(name, residuals, len(codes) - len(kinds), np.abs(samples).max(axis=0), at)


def _whitener(name: str, residuals: np.ndarray, freedom: int, size: np.ndarray, at: np.ndarray) -> algebra.Whitener:
    """The whitener of residuals whose values had the size ``size`` (units,); units without noise are named."""
    _check_freedom(name, freedom, residuals.shape[1])
    silent = np.abs(residuals).max(axis=0) <= 64 * algebra.EPS * size
    if silent.all() or (silent.any() and name != "ledoit_wolf"):
        named = ", ".join(map(str, at[silent][:5])) + (", ..." if silent.sum() > 5 else "")
        advice = "" if silent.all() else ", or take noise='ledoit_wolf'"
        raise DegenerateDataError(
            f"noise={name!r}: {silent.sum()} of {len(silent)} units have no noise ({named}): they are the same in all "
            f"repeats, and nothing can be divided by that. Leave them out{advice}."
        )
    return algebra.NOISES[name](np.ascontiguousarray(residuals), freedom)


def patterns_of(X: Any, by: str | None, crossed: bool, metric: str) -> Patterns:
    """Patterns of a representation, averaged as ``by`` says; see ``rdm``."""
    X = check_representation(X, finite=False)
    if "token" in X.dims:
        raise AlignmentError("X has tokens; pool them, or take one: X.isel(token=0).")
    X = X.transpose("sample", "unit", ...)
    values = np.asarray(promoted(X.values)[0], dtype=np.float64)
    kept = np.ones(X.sizes["unit"], dtype=bool)
    notes = []
    if "masked" in X.coords and X["masked"].values.any():
        kept = ~X["masked"].values.astype(bool)
        values = values[:, kept]
        notes.append(f"{int((~kept).sum())} masked units left out")
    labels = X["stimulus"].values.astype(str)
    stimulus, codes = _codes(labels)
    units = Labels.of(X, "unit")
    times = X.sizes["time"] if "time" in X.dims else 0
    if by is None:
        if crossed:
            raise AlignmentError(f"metric={metric!r} is cross-validated; say over what, for example by='run'.")
        if len(stimulus) < len(labels):
            often = [f"{label!r} ({count})" for label, count in Counter(labels.tolist()).items() if count > 1]
            more = f" and {len(often) - 5} more" if len(often) > 5 else ""
            raise AlignmentError(
                f"{len(often)} stimuli occur more than once: {', '.join(often[:5])}{more}. Average them, "
                "rdm(average_repeats(X)), or over folds, rdm(X, by='run')."
            )
        coords = {str(n): X[n].variable for n in X.coords if X[n].dims == ("sample",) and n != "stimulus"}
        coords = {name: ("stimulus", entry.values, entry.attrs) for name, entry in coords.items()}
        return Patterns(values, stimulus, coords, kept, times, values, codes, np.zeros_like(codes), units, notes)
    if not isinstance(by, str) or by not in X.coords or X[by].dims != ("sample",):
        known = sorted(str(name) for name in X.coords if X[name].dims == ("sample",))
        raise AlignmentError(f"by={by!r} is no sample coordinate of X; it has {', '.join(known)}.")
    names, folds = _codes(X[by].values)
    if len(names) < 2:
        raise DegenerateDataError(f"by={by!r} has one value, {names[0]!s}; at least 2 folds are needed.")
    patterns = _in_folds(values, codes, folds, stimulus, names, by)
    coords = {}
    for name in X.coords:
        if X[name].dims == ("sample",) and name not in ("stimulus", by):
            entry = X[name].values
            first = entry[np.unique(codes, return_index=True)[1]]
            if same_entries(first[codes], entry):
                coords[str(name)] = ("stimulus", first, X[name].attrs)
    notes.append(f"{len(labels)} samples averaged within {len(names)} folds of {by}")
    patterns = patterns if crossed else patterns.mean(axis=0)
    return Patterns(patterns, stimulus, coords, kept, times, values, codes, folds, units, notes)


@dataclass(frozen=True)
class Noise:
    """How noise is taken into account: a named estimate from residuals, residuals, a precision, or not at all.

    ``size`` (units,) is the largest magnitude of the residuals as they were given, with their means.
    """

    name: str | None = None
    residuals: np.ndarray | None = None
    freedom: int | None = None
    size: np.ndarray | None = None
    precision: np.ndarray | None = None

    @property
    def silent(self) -> bool:
        return self.name is None and self.precision is None

    @property
    def said(self) -> str | None:
        return "precision" if self.precision is not None else self.name

    def at(self, found: Patterns, time: int | None = None, units: Any = slice(None)) -> Any:
        """A whitener, one for each pair of folds, a precision, or None."""
        if self.precision is not None or self.name is None:
            return self.precision
        if self.residuals is None:
            return found.estimated(self.name, time, units)
        residuals = (self.residuals[..., time] if self.residuals.ndim == 3 else self.residuals)[:, units]
        size = np.zeros(residuals.shape[1]) if self.size is None else self.size[units]
        at = np.flatnonzero(found.kept)[units]
        return _whitener(self.name, residuals, int(self.freedom or len(residuals)), size, at)


def noise_of(found: Patterns, noise: Any, noisy: bool, metric: str, whole: bool = True) -> Noise:
    """What ``noise=`` means for these patterns; see ``rdm``. ``whole``: all units at once, not some at a time."""
    p = int(found.kept.sum())
    if not noisy:
        if noise is not None:
            raise ValueError(f"metric={metric!r} does not use noise; 'mahalanobis' and 'crossnobis' do.")
        return Noise()
    if noise is None:
        if metric == "mahalanobis":
            raise ValueError(
                "metric='mahalanobis' needs noise=: 'ledoit_wolf' (with repeats, by='run'), residuals (samples, units) "
                "or a precision (units, units). Without any it is 'sqeuclidean'."
            )
        return Noise()
    if isinstance(noise, str):
        lookup(algebra.NOISES, noise, "noise", callables=False)
        if found.freedom < 1:
            why = "every stimulus of X is there once"
            if found.crossed:
                why = (
                    "for a pair of folds that is from within folds or from at least two others, and X has no stimulus "
                    f"twice in every fold and {int(found.folds.max()) + 1} folds"
                )
            raise DegenerateDataError(
                f"noise={noise!r} is estimated from repeats; {why}. Pass residuals (samples, units), for example those "
                "of the model that gave the patterns."
            )
        if whole:
            _check_freedom(noise, found.freedom, p)
        return Noise(noise)
    return _given(found, noise, p)


def _given(found: Patterns, noise: Any, p: int) -> Noise:
    if isinstance(noise, xr.DataArray) and {"sample", "unit"} <= set(noise.dims):
        check_same_units(noise, found.units)
        noise = noise.transpose("sample", "unit", ...)
    values = np.asarray(noise, dtype=np.float64)
    if values.ndim not in (2, 3) or values.shape[1] != len(found.kept):
        raise AlignmentError(
            f"noise has shape {values.shape} and X has {len(found.kept)} units; expected residuals (samples, units) or "
            "a precision (units, units)."
        )
    values = values[:, found.kept]
    if not np.isfinite(values).all():
        raise DegenerateDataError("noise has values that are not finite.")
    if values.ndim == 3 and values.shape[2] != found.times:
        raise AlignmentError(f"noise has {values.shape[2]} times, X has {found.times}.")
    if values.ndim == 2 and len(values) == len(found.kept) and np.allclose(np.asarray(noise), np.asarray(noise).T):
        if not found.kept.all():
            raise ValueError("a precision of all units is not that of those that are not masked; leave these out of X.")
        try:
            np.linalg.cholesky(values)
        except np.linalg.LinAlgError:
            least = float(np.linalg.eigvalsh(values)[0])
            raise DegenerateDataError(
                f"noise is a precision (units, units) that is not positive definite (least eigenvalue {least:.3g}), so "
                "that differences would have squared lengths of 0 or below. Pass the residuals, or shrink the "
                "covariance before it is inverted."
            ) from None
        return Noise(precision=values)
    if len(values) < 2:
        raise DegenerateDataError(f"noise has {len(values)} sample of residuals; at least 2 are needed.")
    size = np.abs(values).max(axis=(0, 2) if values.ndim == 3 else 0)
    values = values - values.mean(axis=0)
    return Noise("ledoit_wolf", values, len(values) - 1, size=size)


def _check_freedom(name: str, freedom: int, p: int) -> None:
    if name == "full" and freedom < p:
        raise DegenerateDataError(
            f"noise='full': {freedom} degrees of freedom do not determine a covariance of {p} units; take "
            "'ledoit_wolf'."
        )


def _codes(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels in the order in which they first appear, and where each entry is among them."""
    kinds, first, which = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return kinds[order], place[which.reshape(-1)]


def _averaged(values: np.ndarray, codes: np.ndarray, number: int) -> np.ndarray:
    """Means of the rows with each code: (samples, ...) -> (number, ...); every code occurs."""
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes, minlength=number)
    ordered = values if np.array_equal(order, np.arange(len(order))) else values[order]
    if (counts == 1).all():
        return ordered
    sums = np.add.reduceat(ordered, np.concatenate([[0], np.cumsum(counts)[:-1]]), axis=0)
    return np.asarray(sums / counts.reshape(-1, *(1,) * (values.ndim - 1)))


def _in_folds(
    values: np.ndarray, codes: np.ndarray, folds: np.ndarray, stimulus: np.ndarray, names: np.ndarray, by: str
) -> np.ndarray:
    """(samples, ...) -> (folds, stimuli, ...), the mean of each stimulus in each fold."""
    n = len(stimulus)
    cells = folds * n + codes
    counts = np.bincount(cells, minlength=n * len(names)).reshape(len(names), n)
    if not counts.all():
        gaps = np.argwhere(counts == 0)
        shown = ", ".join(f"{str(stimulus[s])!r} in {by} {names[f]!s}" for f, s in gaps[:5])
        more = f" and {len(gaps) - 5} more" if len(gaps) > 5 else ""
        raise AlignmentError(
            f"{len(gaps)} stimuli are missing in a fold: {shown}{more}. Leave out the stimuli or the folds that are "
            "not complete."
        )
    return _averaged(values, cells, n * len(names)).reshape(len(names), n, *values.shape[1:])
