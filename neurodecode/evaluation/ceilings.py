"""How well any model could do: noise ceilings from repeats of a stimulus and from other subjects.

Each ceiling has one definition, which stands in its attrs. Where the data cannot tell (one repeat, one subject, no
reliable signal) it is NaN with a reason, never 0 and never 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from .._numbers import numbers_of
from ..compute.nulls import codes
from ..compute.scores import pearson
from ..exceptions import AlignmentError, DegenerateDataError
from ..representation import plain
from ..representation.labels import same_entries
from .splits import coordinate

# Below this share of explainable variance a normalised score is noise divided by almost nothing.
LEAST_EXPLAINABLE = 0.05


def repeat_variances(Y: Any, by: str = "stimulus", *, groups: Any = None) -> xr.Dataset:
    """Split the variance of each unit into signal (between stimuli) and noise (between repeats of a stimulus).

    ``s_noise^2`` = mean over stimuli of the variance over repeats (ddof=1);
    ``s_signal^2 = max(0, var over stimuli of the mean over repeats - s_noise^2 mean(1/n_i))``;
    ``ncsnr = s_signal / s_noise``. Stimuli without repeats count in the means only.

    Parameters
    ----------
    Y : (sample, unit[, time]) single trials; repeats are samples that share ``by``. Plain arrays need ``groups``.
    by : the coordinate that repeats share.
    groups : (n,) labels in place of the coordinate.

    Returns
    -------
    Dataset with ``noise``, ``signal`` (variances in the squared unit of Y) and ``ncsnr`` (no unit) over unit; attrs
    ``n_stimuli``, ``n_repeats`` (least and most), ``mean_inverse`` = mean(1/n_i), and ``reason`` where all is NaN.

    Raises
    ------
    ValueError : ``by`` is no coordinate.

    Source: Allen et al. 2022, Nature Neuroscience 25, Methods, noise ceiling estimation.

    Examples
    --------
    >>> trials = np.array([[1.0], [1.0], [3.0], [3.0]])
    >>> found = repeat_variances(trials, groups=["a", "a", "b", "b"])
    >>> found["noise"].item(), found["signal"].item()
    (0.0, 2.0)
    """
    values = np.asarray(plain(Y), dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    label = codes(coordinate(Y, by, groups))
    counts = np.bincount(label)
    sums = np.zeros((len(counts), *values.shape[1:]))
    np.add.at(sums, label, values)
    shape = (-1,) + (1,) * (values.ndim - 1)
    means = sums / counts.reshape(shape)
    squares = np.zeros_like(sums)
    np.add.at(squares, label, (values - means[label]) ** 2)
    attrs: dict[str, Any] = {
        "n_stimuli": len(counts),
        "n_repeats": [int(counts.min()), int(counts.max())],
        "mean_inverse": float((1.0 / counts).mean()),
    }
    repeated = counts > 1
    empty = np.full(values.shape[1:], np.nan)
    if not repeated.any() or len(counts) < 2:
        attrs["reason"] = f"no {by} is repeated" if len(counts) > 1 else f"there is only one {by}"
        noise = signal = ncsnr = empty
    else:
        noise = (squares[repeated] / (counts[repeated] - 1).reshape(shape)).mean(axis=0)
        signal = np.maximum(0.0, means.var(axis=0, ddof=1) - noise * attrs["mean_inverse"])
        with np.errstate(all="ignore"):
            ncsnr = np.where(noise > 0, np.sqrt(signal / np.where(noise > 0, noise, 1.0)), np.inf)
        ncsnr = np.where((noise == 0) & (signal == 0), np.nan, ncsnr)
    dims, coords = _unit_labels(Y)
    parts = {"noise": noise, "signal": signal, "ncsnr": ncsnr}
    return xr.Dataset({name: (dims, part) for name, part in parts.items()}, coords, attrs)


def _unit_labels(Y: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Dimensions after sample, and the coordinates along them."""
    if not isinstance(Y, xr.DataArray):
        return ("unit", "time", "time_test")[: max(1, np.ndim(Y) - 1)], {}
    dims = tuple(str(dim) for dim in Y.dims[1:]) or ("unit",)
    return dims, {str(key): (c.dims, c.values) for key, c in Y.coords.items() if c.dims and set(c.dims) <= set(dims)}


def repeat_ceiling(
    Y: Any, by: str = "stimulus", n: float | None = None, score: str = "r", *, groups: Any = None
) -> xr.DataArray:
    """Noise ceiling of each unit from repeats: the best expected score against the mean of ``n`` repeats.

    ``NC(n) = ncsnr^2 / (ncsnr^2 + 1/n)`` is the share of variance that a perfect model explains (the ceiling of
    ``r2``); its square root is the ceiling of ``r``. See :func:`repeat_variances` for ``ncsnr``.

    Parameters
    ----------
    Y : (sample, unit[, time]) single trials, repeats sharing ``by``.
    n : repeats averaged in what the model is scored against: 1 for single trials. None: the repeats that are there,
        with ``mean(1/n_i)`` for ``1/n`` when their number differs.
    score : ``"r"`` or ``"r2"`` (also ``"explained_variance"``), the scale of the ceiling.
    groups : (n,) labels of the repeats for a plain array.

    Returns
    -------
    DataArray ``ceiling`` (unit[, time]) with the unit coordinates of Y, in [0, 1]. NaN where there is no repeat or no
    signal above noise; ``attrs["reason"]`` says why and how often, ``attrs["definition"]`` what was computed.

    Raises
    ------
    ValueError : unknown score, ``n`` not positive, ``by`` is no coordinate.

    Source: Allen et al. 2022, Nature Neuroscience 25, Methods, noise ceiling estimation.

    Examples
    --------
    >>> trials = np.array([[1.0], [2.0], [5.0], [6.0]])
    >>> round(repeat_ceiling(trials, groups=["a", "a", "b", "b"], score="r2").item(), 3)
    0.969
    """
    if score not in ("r", "r2", "explained_variance"):
        raise ValueError(f"score={score!r}: a ceiling from repeats exists for 'r', 'r2' and 'explained_variance'")
    if n is not None and not n > 0:
        raise ValueError(f"n={n}: the number of averaged repeats must be positive")
    parts = repeat_variances(Y, by, groups=groups)
    inverse = parts.attrs["mean_inverse"] if n is None else 1.0 / n
    signal, noise = parts["signal"].values, parts["noise"].values
    below = signal + noise * inverse
    with np.errstate(invalid="ignore"):
        usable = (signal > 0) & (below > 0)
        explainable = np.where(usable, signal / np.where(usable, below, 1.0), np.nan)
    reason = parts.attrs.get("reason")
    lost = int((~usable).sum())
    if reason is None and lost:
        reason = f"{lost} of {usable.size} units have no signal above noise (reliability <= 0)"
    averaged = f"the mean of {n:g} repeats" if n is not None else "the mean of the repeats present"
    definition = (
        f"share of variance that a perfect model explains in {averaged}: signal / (signal + noise / n), noise = mean "
        f"variance over repeats of a {by}, signal = variance of {by} means - noise mean(1/n_i)"
        + ("; square root of it, the ceiling of r" if score == "r" else "")
    )
    return xr.DataArray(
        np.sqrt(explainable) if score == "r" else explainable,
        dims=parts["signal"].dims,
        coords=parts.coords,
        name="ceiling",
        attrs={"score": score, "definition": definition, "reason": reason, "n": inverse and 1.0 / inverse},
    )


def subject_ceiling(Y: Any, by: str = "subject", *, over: str = "stimulus") -> xr.DataArray:
    """Noise ceiling of ``r`` from other people: each subject against the mean of the others.

    For every unit, each subject's responses (repeats averaged) are correlated over stimuli with the mean of the other
    subjects' responses, and these correlations are averaged over subjects: how well the group predicts a person.

    Parameters
    ----------
    Y : (sample, unit) with the coordinate ``by`` on sample (the same units in every subject), or on unit (subjects
        side by side over the same samples; each has the same number of units, in the same order).
    over : the coordinate that says which samples of two subjects belong together. Stimuli that some subject lacks are
        left out and counted in ``attrs["n_left_out"]``.

    Returns
    -------
    DataArray ``ceiling`` (unit) in [-1, 1], NaN where it is not above 0 or there is one subject only, with
    ``attrs["reason"]``. With subjects on unit every unit has the value of its own subject.

    Raises
    ------
    AlignmentError : subjects on unit differ in the number of units or in their other labels.
    DegenerateDataError : fewer than 2 stimuli are shared.
    ValueError : ``by`` is no coordinate.

    Source: Nili et al. 2014, PLoS Computational Biology 10, lower bound of the noise ceiling, for responses.

    Examples
    --------
    >>> labels = {"stimulus": ("sample", list("abcabc")), "subject": ("sample", list("111222"))}
    >>> Y = xr.DataArray([[1.0], [2.0], [3.0], [2.0], [4.0], [6.0]], labels, ("sample", "unit"))
    >>> subject_ceiling(Y).item()
    1.0
    """
    if not isinstance(Y, xr.DataArray) or by not in Y.coords:
        raise ValueError(f"a ceiling from other subjects needs a labelled array with the coordinate {by!r}")
    on = str(Y.coords[by].dims[0])
    people, left_out = _by_sample(Y, by, over) if on == "sample" else _by_unit(Y, by, over)
    names = list(people)
    attrs: dict[str, Any] = {
        "score": "r",
        "n_subjects": len(names),
        "n_left_out": left_out,
        "definition": f"r between the responses of a {by} and the mean of the others, over {over}; "
        + (f"mean over {by}s" if on == "sample" else f"each {by} at its own units"),
        "reason": None,
    }
    dims, coords = _unit_labels(Y)
    if len(names) < 2:
        attrs["reason"] = f"there is only one {by} ({names[0]})"
        return xr.DataArray(np.full(Y.shape[1:], np.nan), dims=dims, coords=coords, name="ceiling", attrs=attrs)
    total = sum(people.values())
    each = {name: pearson(mine, (total - mine) / (len(names) - 1)) for name, mine in people.items()}
    if on == "sample":
        found = np.mean(list(each.values()), axis=0)
    else:
        found = np.empty(Y.shape[1:])
        for name in names:
            found[np.flatnonzero(Y.coords[by].values == name)] = each[name]
    low = ~(found > 0)
    if low.any():
        attrs["reason"] = f"{int(low.sum())} of {found.size} units do not agree between {by}s (r <= 0 or constant)"
    return xr.DataArray(np.where(low, np.nan, found), dims=dims, coords=coords, name="ceiling", attrs=attrs)


def _averaged(values: np.ndarray, label: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Mean of the rows that share a label, in the given order of labels."""
    return np.stack([values[label == one].mean(axis=0) for one in order])


def _by_sample(Y: xr.DataArray, by: str, over: str) -> tuple[dict[Any, np.ndarray], int]:
    who, what = Y.coords[by].values, coordinate(Y, over)
    names = list(dict.fromkeys(who.tolist()))
    sets = [set(what[who == name].tolist()) for name in names]
    shared = np.asarray([value for value in dict.fromkeys(what.tolist()) if all(value in one for one in sets)])
    left_out = len(set(what.tolist())) - len(shared)
    if len(shared) < 2:
        raise DegenerateDataError(f"the {by}s share {len(shared)} values of {over!r}; at least 2 are needed")
    values = np.asarray(Y.values, dtype=np.float64)
    return {name: _averaged(values[who == name], what[who == name], shared) for name in names}, left_out


def _by_unit(Y: xr.DataArray, by: str, over: str) -> tuple[dict[Any, np.ndarray], int]:
    who = Y.coords[by].values
    names = list(dict.fromkeys(who.tolist()))
    places = {name: np.flatnonzero(who == name) for name in names}
    sizes = {name: len(found) for name, found in places.items()}
    if len(set(sizes.values())) > 1:
        raise AlignmentError(f"{by}s differ in their number of units: {sizes}; average over areas first")
    for key, coord in Y.coords.items():
        if coord.dims == ("unit",) and key != by:
            rows = [coord.values[found] for found in places.values()]
            if key in ("roi", "hemi", "channel", "vertex") and any((row != rows[0]).any() for row in rows[1:]):
                raise AlignmentError(f"{by}s differ in {key!r}: bring their units into the same order first")
    what = coordinate(Y, over)
    order = np.asarray(list(dict.fromkeys(what.tolist())))
    if len(order) < 2:
        raise DegenerateDataError(f"there are {len(order)} values of {over!r}; at least 2 are needed")
    values = _averaged(np.asarray(Y.values, dtype=np.float64), what, order)
    return {name: values[:, found] for name, found in places.items()}, 0


def normalize(score: np.ndarray, ceiling: np.ndarray, kind: str = "r") -> tuple[np.ndarray, str]:
    """Score as a share of what can be explained, and the definition used.

    For ``r``: ``min(1, max(0, r)^2 / ceiling^2)``; for ``r2`` and ``explained_variance``:
    ``min(1, max(0, score) / ceiling)``; for any other score: ``score / ceiling``. NaN where the ceiling is NaN, or
    where less than 5 % of the variance can be explained at all: dividing by almost nothing makes noise look perfect.

    Parameters
    ----------
    score, ceiling : (...,) the same shape, on the same scale.
    kind : name of the score.

    Examples
    --------
    >>> normalize(np.array([0.4, -0.2, 0.3]), np.array([0.8, 0.8, 0.1]))[0].round(6).tolist()
    [0.25, 0.0, nan]
    """
    score, ceiling = np.asarray(score, dtype=np.float64), np.asarray(ceiling, dtype=np.float64)
    with np.errstate(all="ignore"):
        if kind == "r":
            explained, explainable = np.maximum(0.0, score) ** 2, np.where(ceiling > 0, ceiling, np.nan) ** 2
            text = f"min(1, max(0, r)^2 / ceiling^2), NaN where ceiling^2 < {LEAST_EXPLAINABLE}"
        elif kind in ("r2", "explained_variance"):
            explained, explainable = np.maximum(0.0, score), np.where(ceiling > 0, ceiling, np.nan)
            text = f"min(1, max(0, {kind}) / ceiling), NaN where ceiling < {LEAST_EXPLAINABLE}"
        else:
            return score / np.where(ceiling > 0, ceiling, np.nan), f"{kind} / ceiling"
        # np.maximum keeps NaN scores NaN.
        share = np.minimum(1.0, explained / np.where(explainable >= LEAST_EXPLAINABLE, explainable, np.nan))
    return share, text


def fit_ceiling(ceiling: Any, units: dict[str, np.ndarray], shape: tuple[int, ...], kind: str) -> np.ndarray:
    """The ceiling that a caller gave, checked against the scores it belongs to.

    Raises
    ------
    AlignmentError : another number of units, or units with other labels.
    ValueError : it is the ceiling of another score, or no numbers.
    """
    values = numbers_of(plain(ceiling), "ceiling", "a number a unit, such as repeat_ceiling(Y, by='stimulus') gives")
    values = np.broadcast_to(values, shape) if values.ndim == 0 else values
    if values.ndim < len(shape) and values.shape == shape[: values.ndim]:
        values = np.broadcast_to(values.reshape(values.shape + (1,) * (len(shape) - values.ndim)), shape)
    if values.shape != shape:
        raise AlignmentError(
            f"the ceiling has shape {values.shape} and the scores {shape}: one value per unit is needed"
        )
    if isinstance(ceiling, xr.DataArray):
        for key, coord in ceiling.coords.items():
            if coord.dims == ("unit",) and str(key) in units and not same_entries(coord.values, units[str(key)]):
                raise AlignmentError(
                    f"the ceiling and the targets differ in {key!r}: they are other units, or another order"
                )
        said = ceiling.attrs.get("score")
        if said is not None and said != kind and {said, kind} != {"r2", "explained_variance"}:
            raise ValueError(f"this is the ceiling of {said!r}, and the score is {kind!r}: pass score={kind!r} to it")
    return np.array(values)
