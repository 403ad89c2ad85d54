"""Dissimilarity matrices of representations: over units, over time, and in every neighbourhood of a searchlight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from .._names import lookup
from .._numbers import amount
from ..compute import dissimilarity as algebra
from ..compute.batching import batches
from ..exceptions import AlignmentError, CapacityError, DegenerateDataError
from ..representation import as_representation, check_finite
from .patterns import Noise, Patterns, noise_of, patterns_of
from .rdms import build, square

AT_ONCE = 1 << 22  # numbers of gathered patterns that are held at once
HUGE = 1e150  # what is larger has no square in float64, nor has what is smaller than one over it


@dataclass(frozen=True)
class Metric:
    """A row of ``DISSIMILARITIES``.

    ``function`` takes (..., n, p) patterns, or (..., folds, n, p) where ``crossed``, in float64, and gives (..., n, n).
    ``noisy`` metrics take the noise of the units into account, ``per_unit`` ones are divided by the number of units,
    ``counts`` ones are for numbers that are not negative, and ``least`` units are needed.
    """

    function: Callable[[np.ndarray], np.ndarray]
    crossed: bool = False
    noisy: bool = False
    per_unit: bool = False
    counts: bool = False
    least: int = 1
    keywords: Mapping[str, Any] = field(default_factory=dict)


DISSIMILARITIES: dict[str, Metric] = {
    "correlation": Metric(algebra.correlation, least=3),
    "cosine": Metric(algebra.cosine, least=2),
    "euclidean": Metric(algebra.euclidean),
    "sqeuclidean": Metric(algebra.sqeuclidean),
    "mahalanobis": Metric(algebra.sqeuclidean, noisy=True, per_unit=True),
    "crossnobis": Metric(algebra.crossed, crossed=True, noisy=True, per_unit=True),
    "poisson": Metric(algebra.poisson, counts=True),
    "poisson_crossed": Metric(algebra.poisson_crossed, crossed=True, counts=True),
}


def rdm(X: Any, metric: str | Callable = "correlation", by: str | None = None, noise: Any = None) -> xr.DataArray:
    r"""Dissimilarity of every stimulus with every other.

    For patterns x_i over p units:

    - ``correlation``: 1 - Pearson r. ``cosine``: 1 - cos. ``sqeuclidean``, ``euclidean``: with or without the square.
    - ``mahalanobis``: ``(x_i - x_j)' P (x_i - x_j) / p`` with P the precision of the noise: squared, per unit.
    - ``crossnobis``: the same cross-validated, ``mean over folds f != g of (x_if - x_jf)' P (x_ig - x_jg) / p``. Noise
      of different folds is independent, so it averages to 0 and not to a positive number: unbiased, a ratio scale with
      a true zero. Values below 0 are what that means, and stay.
    - ``poisson``: symmetrised Kullback-Leibler divergence of spike counts, mean over units (see
      ``compute.dissimilarity.poisson``); ``poisson_crossed`` cross-validated.

    ``euclidean`` and ``sqeuclidean`` are sums over units, as in scipy; ``mahalanobis``, ``crossnobis`` and ``poisson``
    are means over units, as in rsatoolbox, and compare between areas of different size. Times p they are sums.

    Parameters
    ----------
    X : (samples, units[, times]) with ``stimulus``. Units marked in ``masked`` are left out. The rows of a plain array
        get the names ``row 0``, ``row 1`` ..., so that it meets other plain arrays and nothing that is labelled.
    metric : a name, or a function from (n, p) patterns to (n, n) dissimilarities or their upper triangle.
    by : sample coordinate that names the folds (``"run"``, ``"session"``); every stimulus must be in every fold.
        Patterns are averaged within a fold. Cross-validated metrics multiply differences of different folds; others
        take the mean over folds. Without it every stimulus must be there once: ``average_repeats(X)`` before.
    noise : for ``mahalanobis`` and ``crossnobis``. None: the identity (crossnobis then is the cross-validated squared
        Euclidean distance; mahalanobis asks for more). ``"ledoit_wolf"`` (shrunk towards equal variances),
        ``"shrink_diagonal"`` (correlations shrunk towards 0; Schäfer and Strimmer), ``"diagonal"``, ``"full"``: the
        covariance of what is left of the samples after the mean of their stimulus. An array (samples, units):
        residuals, for example those of a GLM, with ``"ledoit_wolf"``. An array (units, units): the precision itself.

    Returns
    -------
    DataArray ``[time,] stimulus, stimulus_other``, float64, symmetric with a zero diagonal, in the order in which
    stimuli first appear. Sample coordinates that are constant for each stimulus stay on ``stimulus``.
    ``attrs``: ``metric``, ``n_units``, ``by``, ``noise``.

    Raises
    ------
    AlignmentError : repeats without ``by``; a stimulus that is missing in a fold; noise of other units; tokens.
    DegenerateDataError : a pattern without variation (correlation) or length (cosine), which is named; too few units,
        stimuli, folds or residuals; negative counts.

    Notes
    -----
    A covariance that is estimated from the very noise that is multiplied favours products of the same sign, and makes
    crossnobis too large: for 8 stimuli, 4 runs and 60 units by half of the variance of the noise, shrunk or not. By
    name it is therefore estimated from the repeats within folds, or, without any, for each pair of folds from the
    others, for which 4 folds are needed. Residuals that are passed should not be those of the folds about their mean.

    Source: Kriegeskorte, Mur and Bandettini 2008, Frontiers in Systems Neuroscience 2; crossnobis: Walther et al. 2016,
    NeuroImage 137; Diedrichsen, Provost and Zareamoghaddam 2016, arXiv:1607.01371; poisson: Schütt et al. 2023, eLife
    12.

    Examples
    --------
    >>> from neurodecode.representation import as_representation
    >>> X = as_representation([[1, 2, 3], [2, 4, 6], [3, 2, 1]], stimulus=["cat", "dog", "car"], kind="fmri")
    >>> rdm(X).round(6).values[0].tolist()
    [0.0, 0.0, 2.0]
    >>> runs = as_representation(
    ...     [[0, 0], [2, 0], [1, 0], [3, 2]], stimulus=["cat", "dog"] * 2, kind="fmri", sample={"run": [1, 1, 2, 2]}
    ... )
    >>> rdm(runs, "crossnobis", by="run").values[0].tolist()
    [0.0, 2.0]
    """
    row, name = _row(metric)
    X = _labelled(X)
    found = patterns_of(X, by, row.crossed, name)
    estimate = noise_of(found, noise, row.noisy, name)
    _check_enough(found, row, name)
    if found.times == 0:
        values = _one(row, found.values, estimate, None, found, X)
    else:
        n = len(found.stimulus)
        values = np.empty((found.times, n, n))
        for t in range(found.times):
            at = np.ascontiguousarray(found.values[..., t])
            values[t] = _one(row, at, estimate, t, found, X)
    front = ("time",) if found.times else ()
    coords = dict(found.coords)
    if found.times and "time" in X.coords:
        coords["time"] = X["time"].variable
    return build(values, found.stimulus, front, coords, _attrs(X, found, name, by, estimate.said))


def searchlight_rdms(
    X: xr.DataArray,
    metric: str | Callable = "correlation",
    *,
    radius: float | None = None,
    neighbours: Any = None,
    by: str | None = None,
    noise: Any = None,
    centres: Any = None,
    max_memory: float | None = None,
) -> xr.DataArray:
    """The dissimilarity matrix of every unit with its neighbours.

    Parameters
    ----------
    X : (samples, units) with the unit coordinates ``x y z`` in millimetres where ``radius`` is given.
    metric, by, noise : as for :func:`rdm`; noise by name or as residuals, which is estimated in every neighbourhood.
    radius : millimetres, the largest distance of a neighbour.
    neighbours : instead, which units belong together: (units, units) matrix or one sequence of positions a unit.
    centres : positions or booleans of the units to do; all if None. Many stimuli and units are best done in parts.
    max_memory : bytes that the answer may take; half the memory of the machine if None.

    Returns
    -------
    DataArray ``unit, stimulus, stimulus_other`` with the coordinates of the units at the centres. A neighbourhood whose
    matrix is not defined (too few units, a pattern without variation) is NaN and listed in ``attrs["degenerate"]``.

    Raises
    ------
    CapacityError : the matrices would not fit in memory.
    AlignmentError, DegenerateDataError : as :func:`rdm`.

    Source: Kriegeskorte, Goebel and Bandettini 2006, PNAS 103.

    Examples
    --------
    >>> from neurodecode.representation import as_representation
    >>> X = as_representation(np.random.default_rng(0).normal(size=(5, 8)), stimulus=range(5), kind="fmri")
    >>> line = [[max(i - 1, 0), min(i + 1, 7)] for i in range(8)]
    >>> R = searchlight_rdms(X, neighbours=line)
    >>> R.dims, R.sizes["unit"], R.attrs["degenerate"]
    (('unit', 'stimulus', 'stimulus_other'), 8, [0, 7])
    """
    from ..linear._capacity import machine_memory, said
    from ..linear.searchlight import members, positions, spheres

    row, name = _row(metric)
    if (radius is None) == (neighbours is None):
        raise ValueError(
            "give one of radius= (millimetres) and neighbours= (an adjacency matrix or lists of positions)."
        )
    if radius is not None and amount(radius, "radius", least=None, unit="millimetres") <= 0:
        raise ValueError(f"radius={radius!r}: expected millimetres, a finite number above 0.")
    X = _labelled(X)
    found = patterns_of(X, by, row.crossed, name)
    if found.times:
        raise AlignmentError("a searchlight is of one time; take one, for example X.isel(time=10), or a mean.")
    estimate = noise_of(found, noise, row.noisy, name, whole=False)
    if estimate.precision is not None:
        raise ValueError("a precision of all units is not that of some of them; give noise by name or as residuals.")
    _check_enough(found, row, name, units=False)
    check_finite(X.isel(unit=found.kept), "X")
    p, n = found.values.shape[-1], len(found.stimulus)
    inside = members(neighbours, X.sizes["unit"]) if radius is None else spheres(positions(X), float(radius))
    inside = inside[found.kept][:, found.kept]
    at = np.arange(p) if centres is None else _positions(centres, X.sizes["unit"], found.kept)
    limit = machine_memory() / 2 if max_memory is None else amount(max_memory, "max_memory", unit="bytes")
    if 8.0 * len(at) * n * n > limit:
        raise CapacityError(
            f"{len(at):,} matrices of {n} x {n} take {said(8.0 * len(at) * n * n)}, more than {said(limit)}; do some "
            "at a time with centres=, and keep what you need of them."
        )
    values = np.full((len(at), n, n), np.nan)
    for rows, together in _by_size(inside, at):
        if together.shape[1] < row.least:
            continue
        for part in batches(len(rows), max(1, AT_ONCE // max(1, found.values[..., 0].size * together.shape[1]))):
            values[rows[part]] = _stacked(row, found, estimate, together[part])
    bad = np.isnan(values).any(axis=(1, 2))
    values[bad] = np.where(np.eye(n, dtype=bool), 0.0, np.nan)
    units = np.flatnonzero(found.kept)[at]
    coords = dict(found.coords)
    for label in X.coords:
        if X[label].dims == ("unit",) and label != "masked":
            coords[str(label)] = ("unit", X[label].values[units], X[label].attrs)
    attrs = _attrs(X, found, name, by, estimate.said)
    attrs.update(n_units=None, radius=radius, degenerate=np.flatnonzero(bad).tolist())
    return build(values, found.stimulus, ("unit",), coords, attrs)


def _labelled(X: Any) -> Any:
    """A plain array with names of rows; what has labels as it is."""
    if isinstance(X, (xr.DataArray, xr.Dataset)) or np.ndim(X) not in (2, 3):
        return X
    return as_representation(X, stimulus=[f"row {at}" for at in range(len(X))], kind="patterns")


def _row(metric: str | Callable) -> tuple[Metric, str]:
    if not callable(metric):
        return lookup(DISSIMILARITIES, metric, "metric"), str(metric)

    def called(x: np.ndarray) -> np.ndarray:
        n = x.shape[-2]
        if x.ndim > 2:
            return np.stack([called(one) for one in x])
        out = np.array(metric(x.copy()), dtype=np.float64)  # a metric may work in place
        if out.shape == (n * (n - 1) // 2,) and n > 1 and out.ndim == 1:
            return square(out, n)
        if out.shape != (n, n) or not np.allclose(out, out.T, equal_nan=True):
            raise ValueError(
                f"metric gave an array of shape {out.shape} for {n} patterns; expected symmetric ({n}, {n}), or the "
                f"{n * (n - 1) // 2} dissimilarities of its upper triangle."
            )
        out = (out + out.T) / 2
        np.fill_diagonal(out, 0.0)
        return out

    return Metric(called), getattr(metric, "__name__", type(metric).__name__)


def _check_enough(found: Patterns, row: Metric, name: str, units: bool = True) -> None:
    n, p = len(found.stimulus), int(found.kept.sum())
    if found.values.size:
        _check_scale(found.values.reshape(1, -1), "X came")
    if n < 2:
        raise DegenerateDataError(f"X has {n} stimulus; at least 2 are needed for one dissimilarity.")
    if units and p < row.least:
        why = {3: ": of fewer, every correlation is 1 or -1", 2: ": of one, every angle is 0 or 180 degrees"}
        raise DegenerateDataError(f"metric={name!r} needs at least {row.least} units{why[row.least]}; X has {p}.")
    if row.counts and (found.values < 0).any() and np.isfinite(found.values).all():
        raise DegenerateDataError(
            f"metric={name!r} is for counts, and X has values below 0 (least {found.values.min():g})."
        )


def _one(
    row: Metric, values: np.ndarray, noise: Noise, time: int | None, found: Patterns, X: xr.DataArray
) -> np.ndarray:
    """One matrix, with what is undefined named."""
    out = _computed(row, values, noise.at(found, time))
    if not np.isfinite(out).all():
        check_finite(X.isel(unit=found.kept), "X")
        where = "" if time is None else f" at time {time}"
        bad = np.flatnonzero(np.isnan(np.diagonal(out)) | ~np.isfinite(out).any(axis=1))
        bad = bad if len(bad) else np.unique(np.argwhere(~np.isfinite(out))[:, 0])
        names = ", ".join(repr(str(label)) for label in found.stimulus[bad[:5]])
        said = (
            f"{len(bad)} of {len(out)} stimuli have no dissimilarity{where}: {names}{', ...' if len(bad) > 5 else ''}"
        )
        _check_scale(values[..., bad, :], f"{said}. There are patterns")
        raise DegenerateDataError(
            f"{said}. Their pattern is constant (correlation) or zero (cosine) over units; leave them out, or take "
            "'euclidean'."
        )
    return out


def _check_scale(patterns: np.ndarray, said: str) -> None:
    """Refuse patterns (..., n, p) with values so large or so small that squares of them are no numbers."""
    largest = np.maximum(patterns.max(axis=-1), -patterns.min(axis=-1))
    large, small = np.isfinite(largest) & (largest > HUGE), (largest > 0) & (largest < 1 / HUGE)
    for wrong, what in ((large, "large"), (small, "small")):
        if wrong.any():
            raise DegenerateDataError(
                f"{said} with values up to {largest[wrong].max():.3g}, too {what} for squares of them to be numbers; "
                "bring X to another scale (other units)."
            )


def _computed(row: Metric, values: np.ndarray, estimate: Any) -> np.ndarray:
    p = values.shape[-1]
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is looked for afterwards
        if isinstance(estimate, np.ndarray):
            out = algebra.crossed(values, estimate) if row.crossed else algebra.led(values, estimate)
        elif isinstance(estimate, dict):
            out = algebra.crossed_pairs(values, estimate)
        else:
            out = row.function(values if estimate is None else estimate(values - values.mean(axis=-2, keepdims=True)))
    return out / p if row.per_unit else out


def _stacked(row: Metric, found: Patterns, estimate: Noise, together: np.ndarray) -> np.ndarray:
    """Neighbourhoods of one size, (b, size) positions -> (b, n, n)."""
    if estimate.silent:
        x = np.moveaxis(found.values[..., together], -2, 0)
        return _computed(row, np.ascontiguousarray(x), None)
    parts = []
    for one in together:
        try:
            white = estimate.at(found, units=one)
        except DegenerateDataError:  # listed as degenerate, like a neighbourhood without variation
            parts.append(np.full((len(found.stimulus),) * 2, np.nan))
            continue
        parts.append(_computed(row, np.ascontiguousarray(found.values[..., one]), white))
    return np.stack(parts)


def _by_size(inside: Any, at: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of the answer and the (rows, size) members of their neighbourhoods, for every size."""
    sizes = np.diff(inside.indptr)[at]
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        yield rows, inside.indices[inside.indptr[at[rows]][:, None] + np.arange(size)]


def _positions(centres: Any, size: int, kept: np.ndarray) -> np.ndarray:
    """Positions among the units that are kept."""
    rows = np.asarray(centres)
    rows = np.flatnonzero(rows) if rows.dtype.kind == "b" and rows.shape == (size,) else rows
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or (len(rows) and (rows.min() < 0 or rows.max() >= size)):
        raise ValueError(f"centres: expected positions from 0 to {size - 1}, or {size} booleans.")
    if not kept[rows].all():
        raise ValueError(f"centres names {int((~kept[rows]).sum())} units that are masked; leave them out.")
    return (np.cumsum(kept) - 1)[rows]


def _attrs(X: xr.DataArray, found: Patterns, name: str, by: str | None, noise: str | None) -> dict[str, Any]:
    kept = {key: entry for key, entry in X.attrs.items() if key not in ("quantity", "units", "history")}
    history = [*X.attrs.get("history", []), *found.notes, f"rdm: {name} of {len(found.stimulus)} stimuli"]
    return {**kept, "metric": name, "n_units": int(found.kept.sum()), "by": by, "noise": noise, "history": history}
