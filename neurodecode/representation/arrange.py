"""Bringing representations together by their labels: match, average repeats, concatenate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from .._names import lookup
from ..exceptions import AlignmentError, TimingError
from .labels import (
    Labels,
    check_same_content,
    check_same_samples,
    check_same_times,
    check_same_units,
    describe_missing,
    is_series,
    same_entries,
)

JOINS = {"exact": "exact", "inner": "inner"}
REPEATS = {name: name for name in ("raise", "keep", "average", "split")}


def match(
    X: xr.DataArray,
    Y: xr.DataArray,
    by: str | Sequence[str] = "stimulus",
    join: str = "exact",
    repeats: str = "raise",
    trim: str | None = None,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Bring two arrays to the same samples in the same order (that of ``X``), by label.

    What was done (reordered, left out, averaged, trimmed) is written into ``attrs["history"]`` of the results.

    Parameters
    ----------
    X, Y : labelled arrays with ``sample``.
    by : sample coordinate that says which samples belong together, or several of them.
    join : ``"exact"`` raises where a label is missing on one side; ``"inner"`` keeps the labels both have.
    repeats : what to do with labels that occur more than once. ``"raise"``; ``"average"`` (on both sides);
        ``"keep"`` (every repeat is kept; the side without repeats is repeated); ``"split"`` (the k-th repeat of X
        goes with the k-th of Y, or the one with the same ``repeat`` label; coordinate ``repeat`` counts from 0).
    trim : for two time series (regular onsets): ``"end"`` cuts the surplus samples at the end of each run.

    Returns
    -------
    (X, Y) with equal ``by`` labels sample by sample.

    Raises
    ------
    AlignmentError : missing labels (listed), repeats without a decision, same name with other content (sha256).
    TimingError : two series of different length, with the surplus k, or with other onsets.

    Examples
    --------
    >>> from neurodecode.representation import as_representation
    >>> X = as_representation([[1.0], [2.0]], stimulus=["a", "b"], kind="network")
    >>> Y = as_representation([[20.0], [10.0]], stimulus=["b", "a"], kind="fmri")
    >>> match(X, Y)[1].values.ravel().tolist()
    [10.0, 20.0]
    """
    lookup(JOINS, join, "join")
    lookup(REPEATS, repeats, "repeats")
    lookup({"None": None, "end": "end"}, str(trim), "trim")
    names = (by,) if isinstance(by, str) else tuple(by)
    a, b = keys(X, names, "X"), keys(Y, names, "Y")
    if trim is not None or (is_series(X) and is_series(Y)):
        return _match_series(X, Y, trim, check_ids=names == ("stimulus",))
    if repeats == "average":
        X = average_repeats(X, by) if len(set(a)) < len(a) else X
        Y = average_repeats(Y, by) if len(set(b)) < len(b) else Y
        a, b = keys(X, names, "X"), keys(Y, names, "Y")
    said = " + ".join(names)
    one, two = Counter(a), Counter(b)
    if join == "exact" and set(one) != set(two):
        advice = "Keep what both have with join='inner'." if set(one) & set(two) else _no_overlap(a, b)
        raise AlignmentError(f"{describe_missing(one, two, said, ('X', 'Y'))}. {advice}")
    shared = {key for key in one if key in two}
    if not shared:
        raise AlignmentError(f"X and Y share no {said} label. {_no_overlap(a, b)}")
    take, give = _pairs(X, Y, a, b, shared, repeats, said)
    left = _taken(X, take, f"match by {said}", len(a))
    right = _taken(Y, give, f"match by {said}", len(b))
    check_same_content(left, right)
    if repeats == "split":
        counts = _occurrence([a[at] for at in take])
        left, right = (side.assign_coords(repeat=("sample", counts)) for side in (left, right))
    return left, right


def average_repeats(X: xr.DataArray, by: str | Sequence[str] = "stimulus") -> xr.DataArray:
    """Mean over samples that share a label, in the order in which labels first appear.

    Sample coordinates that are constant within every group stay; those that vary are dropped, and the history
    says which. Means are taken in double precision and returned in the dtype of ``X``. An array that was averaged
    before (it has ``n_repeats``) is averaged with those weights, so that every trial counts once.

    Parameters
    ----------
    X : (samples, units[, times]) labelled array.
    by : sample coordinate whose equal labels are repeats, or several of them.

    Returns
    -------
    DataArray with one sample per label and the sample coordinate ``n_repeats`` (trials in each mean). Where
    ``by`` is not ``"stimulus"``, ``stimulus`` becomes the label of the group.

    Examples
    --------
    >>> from neurodecode.representation import as_representation
    >>> X = as_representation([[1.0], [5.0], [3.0]], stimulus=["a", "b", "a"], kind="fmri")
    >>> mean = average_repeats(X)
    >>> mean.values.ravel().tolist(), mean["n_repeats"].values.tolist()
    ([2.0, 5.0], [2, 1])
    """
    names = (by,) if isinstance(by, str) else tuple(by)
    labels = keys(X, names, "X")
    groups: dict[Any, list[int]] = {}
    for at, label in enumerate(labels):
        groups.setdefault(label, []).append(at)
    rows = [np.array(members) for members in groups.values()]
    before = X["n_repeats"].values if "n_repeats" in X.coords else np.ones(len(labels), dtype=int)
    X = X.transpose("sample", ...)
    out = np.empty((len(rows), *X.shape[1:]), dtype=X.dtype)
    for at, members in enumerate(rows):
        block = np.asarray(X.data[members], dtype=np.float64)
        weight = before[members].astype(np.float64)
        out[at] = np.tensordot(weight / weight.sum(), block, axes=1) if len(members) > 1 else block[0]
    coords: dict[str, Any] = {}
    dropped = []
    for name in X.coords:
        entry = X[name]
        if "sample" not in entry.dims:
            coords[str(name)] = entry.variable
        elif name != "n_repeats":
            constant = all(same_entries(entry.values[m], np.repeat(entry.values[m[:1]], len(m))) for m in rows)
            if constant:
                coords[str(name)] = ("sample", entry.values[[m[0] for m in rows]], entry.attrs)
            else:
                dropped.append(str(name))
    note = f"average_repeats by {' + '.join(names)}: {len(labels)} samples to {len(rows)}"
    if "stimulus" in dropped:
        coords["stimulus"] = ("sample", np.array([_text(label) for label in groups], dtype=str))
        dropped.remove("stimulus")
        note += "; stimulus is now the label of the group"
    if dropped:
        note += f"; dropped because they vary within a group: {', '.join(sorted(dropped))}"
    coords["n_repeats"] = ("sample", np.array([int(before[m].sum()) for m in rows]))
    return _rebuilt(X, out, coords, [*X.attrs.get("history", []), note])


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
    lookup({"unit": "unit", "sample": "sample"}, dim, "dim")
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


def keys(X: Any, by: Sequence[str], name: str) -> list[Any]:
    """One hashable label per sample from one or several sample coordinates."""
    if not isinstance(X, xr.DataArray):
        raise TypeError(f"{name} is a plain {type(X).__name__} without labels; make it with as_representation(...).")
    columns = []
    for coord in by:
        if coord not in X.coords or X[coord].dims != ("sample",):
            known = sorted(str(known) for known in X.coords if X[known].dims == ("sample",))
            raise AlignmentError(f"{name} has no sample coordinate {coord!r}; it has {', '.join(known) or 'none'}.")
        columns.append(X[coord].values.tolist())
    return columns[0] if len(columns) == 1 else list(zip(*columns))


def _pairs(X: Any, Y: Any, a: list, b: list, shared: set, repeats: str, said: str) -> tuple[list[int], list[int]]:
    """Rows of X and rows of Y that belong together, in the order of X."""
    one, two = Counter(key for key in a if key in shared), Counter(key for key in b if key in shared)
    often = [repr(_text(key)) for key in shared if one[key] > 1 or two[key] > 1]
    if often and repeats == "raise":
        more = f" and {len(often) - 5} more" if len(often) > 5 else ""
        raise AlignmentError(
            f"{len(often)} {said} labels occur more than once: {', '.join(sorted(often)[:5])}{more} "
            f"(X has {len(a)} samples, Y {len(b)}). Say what to do: repeats='average', 'keep' or 'split'."
        )
    if repeats == "split":
        both = "repeat" in X.coords and "repeat" in Y.coords
        a = list(zip(a, X["repeat"].values.tolist() if both else _occurrence(a).tolist()))
        b = list(zip(b, Y["repeat"].values.tolist() if both else _occurrence(b).tolist()))
        shared = {key for key in {*a, *b} if key[0] in shared}
        alone = sorted({_text(key[0]) for key in set(a) ^ set(b) if key in shared})
        if alone:
            raise AlignmentError(f"repeats='split': X and Y do not repeat these labels equally often: {alone[:5]}.")
    at_b: dict[Any, list[int]] = {}
    for at, key in enumerate(b):
        at_b.setdefault(key, []).append(at)
    if repeats == "keep" and any(one[key] > 1 and two[key] > 1 for key in shared):
        both_repeat = sorted(repr(_text(key)) for key in shared if one[key] > 1 and two[key] > 1)
        raise AlignmentError(
            f"repeats='keep': {len(both_repeat)} labels repeat in X and in Y ({', '.join(both_repeat[:5])}), so "
            "no repeat has one partner. Use repeats='split' to pair k-th with k-th, or 'average'."
        )
    rows = [(at, other) for at, key in enumerate(a) if key in shared for other in at_b[key]]
    return [at for at, _ in rows], [other for _, other in rows]


def _match_series(
    X: xr.DataArray, Y: xr.DataArray, trim: str | None, check_ids: bool
) -> tuple[xr.DataArray, xr.DataArray]:
    """Two continuous recordings: sample i of a run goes with sample i of that run."""
    for array, name in ((X, "X"), (Y, "Y")):
        if "onset" not in array.coords:
            raise TimingError(f"trim={trim!r} needs time series, and {name} has no 'onset' on 'sample' (seconds).")
    if trim is not None:
        X, Y = _trimmed(X, Y)
    check_same_times(X, Y)
    if check_ids:
        check_same_samples(X, Y)
    return X, Y


def _trimmed(X: xr.DataArray, Y: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    with_runs = "run" in X.coords and "run" in Y.coords
    runs_x = X["run"].values.tolist() if with_runs else [0] * X.sizes["sample"]
    runs_y = Y["run"].values.tolist() if with_runs else [0] * Y.sizes["sample"]
    if list(dict.fromkeys(runs_x)) != list(dict.fromkeys(runs_y)):
        raise TimingError(f"X has runs {list(dict.fromkeys(runs_x))}, Y has {list(dict.fromkeys(runs_y))}.")
    keep = {run: min(runs_x.count(run), runs_y.count(run)) for run in dict.fromkeys(runs_x)}
    out = []
    for array, runs in ((X, runs_x), (Y, runs_y)):
        rows = np.flatnonzero([nth < keep[run] for run, nth in zip(runs, _occurrence(runs).tolist())])
        cut = len(runs) - len(rows)
        array = array.isel(sample=rows) if cut else array
        if cut:
            note = f"trim='end': {cut} samples cut at the end of {'runs' if with_runs else 'the recording'}"
            array.attrs = {**array.attrs, "history": [*array.attrs.get("history", []), note]}
        out.append(array)
    return out[0], out[1]


def _taken(X: xr.DataArray, rows: list[int], what: str, size: int) -> xr.DataArray:
    """The rows asked for, with a line of history; the array itself where nothing changes."""
    if rows == list(range(size)):
        return X
    kept = len(set(rows))
    note = f"{what}: kept {kept} of {size} samples" if kept < size else f"{what}: {size} samples"
    moved = rows != sorted(rows)
    note += (", reordered" if moved else "") + (f", repeated to {len(rows)}" if len(rows) > kept else "")
    out = X.isel(sample=np.array(rows))
    out.attrs = {**X.attrs, "history": [*X.attrs.get("history", []), note]}
    return out


def _rebuilt(X: xr.DataArray, values: np.ndarray, coords: Mapping[str, Any], history: list[str]) -> xr.DataArray:
    return xr.DataArray(values, dims=X.dims, coords=dict(coords), attrs={**X.attrs, "history": history}, name=X.name)


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


def _occurrence(labels: Sequence[Any]) -> np.ndarray:
    """How many times each label has come before."""
    seen: Counter = Counter()
    out = np.empty(len(labels), dtype=np.int64)
    for at, label in enumerate(labels):
        out[at] = seen[label]
        seen[label] += 1
    return out


def _same(one: Any, two: Any) -> bool:
    try:
        return bool(one == two)
    except ValueError:
        return bool(np.array_equal(one, two))


def _same_history(arrays: Mapping[str, xr.DataArray]) -> bool:
    histories = [part.attrs.get("history", []) for part in arrays.values()]
    return all(history == histories[0] for history in histories)


def _text(label: Any) -> str:
    return " ".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _no_overlap(a: Sequence[Any], b: Sequence[Any]) -> str:
    return f"Do both name the samples the same way? X begins with {_text(a[0])!r}, Y with {_text(b[0])!r}."
