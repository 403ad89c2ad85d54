"""Correlations between the time series of regions: one row of features for each person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from .._names import lookup
from ..exceptions import AlignmentError, DegenerateDataError
from ..representation import Labels, as_representation, check_finite, check_same_units, plain

CONSTANT = {"raise": "an error", "zero": "a correlation of 0, listed"}
FEWEST = 3  # with two time points every correlation is 1 or -1
SHOWN = 5


def correlations(series: Any, by: Any = "subject", *, fisher: bool = True, constant: str = "raise") -> Any:
    r"""Pearson correlation of every pair of regions over time, separately for each person.

    With :math:`x_i(t)` the series of region i in one person, centred and of length 1 over its T time points,

        r_ij = sum_t x_i(t) x_j(t),    z_ij = artanh r_ij = log((1 + r_ij) / (1 - r_ij)) / 2,    i < j.

    Fisher's z is about normal with standard deviation ``1 / sqrt(T - 3)`` for independent time points (volumes of a
    recording are not: neighbours resemble each other). Neither the mean nor the scale of a series matters.

    Parameters
    ----------
    series : (time points, regions): a representation in which each volume is a sample, with the coordinate ``by``; or
        an iterable of such representations, read one after the other, so that no more than one of them and the
        features are in memory; or a plain array, and then ``by`` is one label a time point.
    by : sample coordinate that tells whose series it is.
    fisher : z instead of r.
    constant : a region that does not vary in a person has no correlations: ``"raise"`` an error that names it, or
        ``"zero"``: 0 stands in their place, and ``attrs["constant"]`` lists who and which.

    Returns
    -------
    (persons, pairs), a number without unit, in order of first appearance; pairs as in ``numpy.triu_indices(n, 1)``.
    With labels: ``stimulus`` and ``by`` are the person, sample coordinates with one value a person are kept, and each
    coordinate ``name`` of the regions becomes ``name_1`` and ``name_2`` (``region_1``, ``region_2`` where there is
    none). float32 stays float32; sums are taken in float64.

    Raises
    ------
    AlignmentError : no coordinate ``by``, other regions from one part to the next, or a person in two parts.
    DegenerateDataError : values that are not finite, fewer than 3 time points or 2 regions, a region that does not
        vary, or (with ``fisher``) two regions with the same series, whose z is infinite.

    References
    ----------
    Fisher (1915), Biometrika 10, for z; Biswal et al. (1995), Magnetic Resonance in Medicine 34; Varoquaux & Craddock
    (2013), NeuroImage 80, for correlations as features of persons.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = as_representation(
    ...     rng.normal(size=(60, 3)), stimulus=["rest"] * 60, kind="fmri", unit={"region": ["V1", "V2", "M1"]},
    ...     sample={"subject": ["ann"] * 30 + ["bob"] * 30})
    >>> found = correlations(X)
    >>> found.shape, found["region_1"].values.tolist(), found["region_2"].values.tolist()
    ((2, 3), ['V1', 'V1', 'V2'], ['V2', 'M1', 'M1'])
    >>> bool(np.isclose(np.tanh(found[0, 0]), np.corrcoef(X[:30, :2].T)[0, 1]))
    True
    """
    lookup(CONSTANT, constant, "constant", callables=False)
    rows: dict[Any, np.ndarray] = {}
    labels: dict[str, list[Any]] = {}
    listed: list[dict[str, Any]] = []
    regions: Labels | None = None
    first: Any = None
    for part in _parts(series):
        if regions is None:
            first, regions = part, Labels.of(part, "unit")
        check_same_units(part, regions)
        values, who = plain(part), _labels(part, by)
        names = _names(part, values.shape[1])
        for person in dict.fromkeys(who.tolist()):
            if person in rows:
                raise AlignmentError(f"{_said(by)} {person!r} stands in two parts; give all its time points in one.")
            mine = who == person
            found, still = _one(values[mine], person, names, fisher, constant)
            rows[person] = found.astype(np.result_type(values.dtype, np.float32), copy=False)
            listed += [{str(_said(by)): person, "region": names[place]} for place in still]
            for key, value in _of_person(part, mine).items():
                labels.setdefault(key, []).append(value)
    if first is None:
        raise DegenerateDataError("no time series came: the iterable is empty.")
    stacked = np.stack(list(rows.values()))
    if not isinstance(first, xr.DataArray):
        return stacked
    whole = {key: values for key, values in labels.items() if len(values) == len(rows)}
    return as_representation(
        stacked,
        stimulus=[str(person) for person in rows],
        kind="connectivity",
        sample={**whole, by: np.asarray(list(rows))},
        unit=_pairs(first),
        attrs={
            "quantity": "correlation" + (", Fisher z" if fisher else ""),
            "units": "1",
            "constant": listed,
            **({"dataset": first.attrs["dataset"]} if "dataset" in first.attrs else {}),
        },
    )


def _parts(series: Any) -> Iterator[Any]:
    """One array, or those of an iterable; each checked for its shape."""
    several = isinstance(series, Iterable) and not hasattr(series, "shape")
    for part in series if several else (series,):
        if isinstance(part, xr.DataArray):
            if part.dims != ("sample", "unit"):
                raise AlignmentError(
                    f"a series has the dimensions {part.dims}; expected ('sample', 'unit'), where each time point is "
                    "a sample and each region a unit."
                )
        elif np.ndim(part) != 2 or several:
            raise AlignmentError(
                f"a {type(part).__name__} of {np.ndim(part)} dimensions came; expected (time points, regions), or an "
                "iterable of representations."
            )
        if part.shape[1] < 2:
            raise DegenerateDataError(f"{part.shape[1]} region came; a correlation needs 2.")
        check_finite(part, "series")
        yield part


def _labels(part: Any, by: Any) -> np.ndarray:
    """Whose each time point is."""
    if not isinstance(part, xr.DataArray):
        who = np.asarray(by)
        if isinstance(by, str) or who.shape != (len(part),):
            raise AlignmentError(
                f"this is a plain array: by= takes one label for each of its {len(part)} time points, and it is "
                + (f"{by!r}." if isinstance(by, str) else f"of shape {who.shape}.")
            )
        return who
    if not isinstance(by, str) or by not in part.coords or part[by].dims not in (("sample",), ()):
        there = [str(key) for key, coord in part.coords.items() if coord.dims == ("sample",)]
        raise AlignmentError(f"by={by!r}: the samples have no such coordinate; they have {', '.join(there)}.")
    return np.broadcast_to(part[by].values, (part.sizes["sample"],))


def _said(by: Any) -> str:
    return by if isinstance(by, str) else "label"


def _names(part: Any, count: int) -> list[Any]:
    """What messages call a region: its first coordinate, else its position."""
    if isinstance(part, xr.DataArray):
        for coord in part.coords.values():
            if coord.dims == ("unit",):
                return list(coord.values.tolist())
    return list(range(count))


def _one(
    values: np.ndarray, person: Any, names: list[Any], fisher: bool, constant: str
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of one person, and the positions of regions that do not vary."""
    n = len(values)
    if n < FEWEST:
        raise DegenerateDataError(f"{person!r} has {n} time points; a correlation needs {FEWEST}.")
    x = values.astype(np.float64)
    largest = np.abs(x).max(axis=0)
    x -= x.mean(axis=0)
    length = np.sqrt((x * x).sum(axis=0))
    still = length <= 16 * np.finfo(values.dtype).eps * largest * np.sqrt(n)
    where = np.flatnonzero(still)
    if len(where) and constant == "raise":
        raise DegenerateDataError(
            f"{len(where)} regions do not vary in {person!r}: {_some(names, where)}. Leave them out in everybody, or "
            "pass constant='zero'."
        )
    x *= np.where(still, 0.0, 1.0 / np.where(still, 1.0, length))
    upper = np.triu_indices(len(names), 1)
    found = np.clip((x.T @ x)[upper], -1.0, 1.0)
    if not fisher:
        return found, where
    copies = np.flatnonzero(1.0 - np.abs(found) < 4 * np.finfo(np.float64).eps)
    if len(copies):
        one = copies[0]
        raise DegenerateDataError(
            f"{len(copies)} pairs of regions have the same series in {person!r} (the first: {names[upper[0][one]]!r} "
            f"and {names[upper[1][one]]!r}), so Fisher's z is infinite. Leave one out, or pass fisher=False."
        )
    return np.arctanh(found), where


def _some(names: list[Any], where: np.ndarray) -> str:
    shown = ", ".join(repr(names[place]) for place in where[:SHOWN])
    return shown + (f" and {len(where) - SHOWN} more" if len(where) > SHOWN else "")


def _of_person(part: Any, mine: np.ndarray) -> dict[str, Any]:
    """Sample coordinates that have one value over the time points of a person."""
    if not isinstance(part, xr.DataArray):
        return {}
    found = {}
    for key, coord in part.coords.items():
        if key == "stimulus" or coord.dims not in (("sample",), ()):
            continue
        values = np.broadcast_to(coord.values, mine.shape)[mine]
        if (values == values[0]).all():
            found[str(key)] = values[0]
    return found


def _pairs(part: xr.DataArray) -> dict[str, np.ndarray]:
    """Coordinates of the pairs: those of the first region and of the second."""
    one, other = np.triu_indices(part.sizes["unit"], 1)
    named = {str(key): coord.values for key, coord in part.coords.items() if coord.dims == ("unit",)}
    named = named or {"region": np.arange(part.sizes["unit"])}
    return {f"{key}_{side}": values[at] for key, values in named.items() for side, at in ((1, one), (2, other))}
