"""Representations side by side: layers, feature spaces or subjects along units, sessions along samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from .._names import lookup
from ..exceptions import AlignmentError, TimingError
from .labels import Labels, check_same_samples, check_same_units, same_entries


def concat(
    parts: Mapping[str, xr.DataArray] | Sequence[xr.DataArray], label: str | None = None, dim: str = "unit"
) -> xr.DataArray:
    """Put arrays side by side: layers, feature spaces or subjects along ``unit``, sessions along ``sample``.

    Along ``unit`` every part must have the same samples in the same order. Sample coordinates on which the parts
    disagree go: to ``unit`` where each part has one value (``subject``), else they are dropped; the history says so.
    Unit coordinates that a part does not have are filled with ``""`` or NaN. Along ``sample`` the units must agree.

    Parameters
    ----------
    parts : name to array, or a list of arrays.
    label : coordinate on ``dim`` that holds the names of the parts; ``"space"`` for a mapping along ``unit``.
    dim : ``"unit"`` or ``"sample"``.

    Returns
    -------
    One labelled array; attributes that all parts share are kept.

    Raises
    ------
    AlignmentError : samples (or units) that differ, naming the part; other dimensions; a taken label.

    Examples
    --------
    >>> from neurodecode.representation import as_representation
    >>> early = as_representation([[1.0], [2.0]], stimulus=["a", "b"], kind="network")
    >>> both = concat({"conv1": early, "fc": early}, label="layer")
    >>> both["layer"].values.tolist()
    ['conv1', 'fc']
    """
    lookup({"unit": "unit", "sample": "sample"}, dim, "dim", callables=False)
    named = isinstance(parts, Mapping)
    arrays = dict(parts) if isinstance(parts, Mapping) else {str(at): part for at, part in enumerate(parts)}
    if not arrays:
        raise AlignmentError("there is nothing to concatenate; give at least one array.")
    if label is not None and not named:
        raise ValueError(f"label={label!r} needs names: pass a mapping, concat({{name: array, ...}}, label={label!r}).")
    for name, part in arrays.items():
        if not isinstance(part, xr.DataArray) or not {"sample", "unit"} <= set(part.dims):
            raise TypeError(
                f"part {name!r} is not a labelled sample x unit array; make it with as_representation(...)."
            )
    if named and label is None and dim == "unit" and not any("space" in part.coords for part in arrays.values()):
        label = "space"
    _same_shape(arrays, dim)
    coords = _along_unit(arrays) if dim == "unit" else _along_sample(arrays)
    notes = coords.pop("", [])
    if label is not None:
        repeated = np.repeat([str(name) for name in arrays], [part.sizes[dim] for part in arrays.values()])
        if label in coords and not (
            coords[label][0] == (dim,) and same_entries(np.asarray(coords[label][1]), repeated)
        ):
            raise AlignmentError(
                f"the parts carry a coordinate {label!r} that says something else; choose another label."
            )
        coords[label] = ((dim,), repeated)
    first = next(iter(arrays.values()))
    axis = first.dims.index(dim)
    data = np.concatenate([part.data for part in arrays.values()], axis=axis)
    kinds = list(dict.fromkeys(str(part.attrs.get("kind", "features")) for part in arrays.values()))
    shared = {k: v for k, v in first.attrs.items() if all(_same(v, p.attrs.get(k)) for p in arrays.values())}
    history = [] if not _same_history(arrays) else list(first.attrs.get("history", []))
    if not history:
        history = [f"{name}: {line}" for name, part in arrays.items() for line in part.attrs.get("history", [])]
    shown = ", ".join(f"{name} ({part.sizes[dim]})" for name, part in list(arrays.items())[:8])
    history += [f"concat along {dim} of {len(arrays)}: {shown}{', ...' if len(arrays) > 8 else ''}", *notes]
    attrs = {**shared, "kind": "+".join(kinds), "history": history}
    return xr.DataArray(data, dims=first.dims, coords=coords, attrs=attrs)


def _same_shape(arrays: Mapping[str, xr.DataArray], dim: str) -> None:
    base, first = next(iter(arrays.items()))
    for name, part in arrays.items():
        if part.dims != first.dims:
            raise AlignmentError(f"part {name!r} has dims {part.dims}, part {base!r} has {first.dims}.")
        for other in ("time", "token"):
            if other not in part.dims:
                continue
            fits = part.sizes[other] == first.sizes[other]
            if fits and other in part.coords and other in first.coords:
                fits = same_entries(part[other].values, first[other].values)
            if not fits:
                raise TimingError(f"parts {base!r} and {name!r} differ along {other!r}; select the same points first.")
        if dim == "unit":
            check_same_samples(first, part, names=(f"part {base!r}", f"part {name!r}"))
        else:
            check_same_units(part, Labels.of(first, "unit"))


def _along_unit(arrays: Mapping[str, xr.DataArray]) -> dict[str, Any]:
    parts = list(arrays.values())
    coords: dict[str, Any] = {}
    notes = []
    on_sample = {str(name): None for part in parts for name in part.coords if part[name].dims == ("sample",)}
    on_unit = {str(name): None for part in parts for name in part.coords if part[name].dims == ("unit",)}
    moved, dropped = {}, []
    for name in on_sample:
        have = [part[name].values for part in parts if name in part.coords and part[name].dims == ("sample",)]
        if all(same_entries(have[0], entry) for entry in have):
            coords[name] = (("sample",), have[0])
        elif len(have) == len(parts) and name not in on_unit and all(len(set(e.tolist())) == 1 for e in have):
            moved[name] = np.concatenate([np.repeat(e[:1], part.sizes["unit"]) for e, part in zip(have, parts)])
        else:
            dropped.append(name)
    for name in on_unit:
        if name in coords:
            raise AlignmentError(f"{name!r} labels samples in one part and units in another; rename one of them.")
        coords[name] = (("unit",), _filled([_entry(part, name) for part in parts], [p.sizes["unit"] for p in parts]))
    coords.update({name: (("unit",), entry) for name, entry in moved.items()})
    coords.update(_shared_rest(parts))
    if moved:
        notes.append(f"concat: moved from sample to unit: {', '.join(sorted(moved))}")
    if dropped:
        notes.append(f"concat: dropped sample coordinates on which the parts differ: {', '.join(sorted(dropped))}")
    coords[""] = notes
    return coords


def _along_sample(arrays: Mapping[str, xr.DataArray]) -> dict[str, Any]:
    parts = list(arrays.values())
    base, first = next(iter(arrays.items()))
    coords: dict[str, Any] = {}
    names = {str(name): None for part in parts for name in part.coords if part[name].dims == ("sample",)}
    for name in names:
        lacking = [key for key, part in arrays.items() if name not in part.coords]
        if lacking:
            raise AlignmentError(
                f"part {lacking[0]!r} has no sample coordinate {name!r}, which other parts have; "
                "add it there or drop it from the others with X.drop_vars."
            )
        coords[name] = (("sample",), np.concatenate([part[name].values for part in parts]))
    masks = [part["masked"].values for part in parts if "masked" in part.coords]
    coords.update({str(key): (("unit",), first[key].values) for key in first.coords if first[key].dims == ("unit",)})
    if masks:
        if any(not np.array_equal(mask, masks[0]) for mask in masks) or len(masks) < len(parts):
            raise AlignmentError(f"the parts mask other units than {base!r}; drop those units in all parts first.")
        coords["masked"] = (("unit",), masks[0])
    coords.update(_shared_rest(parts))
    return coords


def _shared_rest(parts: Sequence[xr.DataArray]) -> dict[str, Any]:
    first = parts[0]
    rest = {str(name): first[name].variable for name in first.coords if first[name].dims in (("time",), ("token",))}
    return {name: entry for name, entry in rest.items() if all(name in part.coords for part in parts)}


def _entry(part: xr.DataArray, name: str) -> np.ndarray | None:
    return part[name].values if name in part.coords and part[name].dims == ("unit",) else None


def _filled(entries: Sequence[np.ndarray | None], sizes: Sequence[int]) -> np.ndarray:
    """Coordinate values of all parts; a part without them gets "" for text, False for flags, NaN for numbers."""
    have = [entry for entry in entries if entry is not None]
    kinds = {entry.dtype.kind for entry in have}
    if kinds <= {"U", "O", "T"}:
        blank: Any = ""
    elif kinds == {"b"}:
        blank = False
    elif kinds <= set("biuf"):
        blank = np.nan
    else:
        have = [entry.astype(str) for entry in have]
        entries = [None if entry is None else entry.astype(str) for entry in entries]
        blank = ""
    return np.concatenate([np.full(size, blank) if e is None else e for e, size in zip(entries, sizes)])


def _same(one: Any, two: Any) -> bool:
    try:
        return bool(one == two)
    except ValueError:
        return bool(np.array_equal(one, two))


def _same_history(arrays: Mapping[str, xr.DataArray]) -> bool:
    histories = [part.attrs.get("history", []) for part in arrays.values()]
    return all(history == histories[0] for history in histories)
