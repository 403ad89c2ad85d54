"""Bringing two representations to the same samples by their labels, and repeats to their mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from .._names import lookup
from ..exceptions import AlignmentError, TimingError
from .labels import (
    both_series,
    check_same_content,
    check_same_times,
    describe_missing,
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
    lookup(JOINS, join, "join", callables=False)
    lookup(REPEATS, repeats, "repeats", callables=False)
    lookup({"None": None, "end": "end"}, str(trim), "trim", callables=False)
    names = (by,) if isinstance(by, str) else tuple(by)
    a, b = keys(X, names, "X"), keys(Y, names, "Y")
    repeated = len(set(a)) < len(a) or len(set(b)) < len(b)
    if trim is not None or (both_series(X, Y) and (repeated or (join == "exact" and len(a) != len(b)))):
        return _match_series(X, Y, trim, names)
    if repeats == "average":
        X = average_repeats(X, by) if len(set(a)) < len(a) else X
        Y = average_repeats(Y, by) if len(set(b)) < len(b) else Y
        a, b = keys(X, names, "X"), keys(Y, names, "Y")
    said = " + ".join(names)
    one, two = Counter(a), Counter(b)
    if join == "exact" and set(one) != set(two):
        advice = "Keep what both have: match(X, Y, join='inner')." if set(one) & set(two) else _no_overlap(a, b)
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
    if X.dtype.kind not in "biuf":
        raise TypeError(f"the values are {X.dtype}; only numbers can be averaged.")
    groups: dict[Any, list[int]] = {}
    for at, label in enumerate(labels):
        groups.setdefault(label, []).append(at)
    rows = [np.array(members) for members in groups.values()]
    before = X["n_repeats"].values if "n_repeats" in X.coords else np.ones(len(labels), dtype=int)
    X = X.transpose("sample", ...)
    out = np.empty((len(rows), *X.shape[1:]), dtype=X.dtype if X.dtype.kind == "f" else np.float64)
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
    X: xr.DataArray, Y: xr.DataArray, trim: str | None, by: Sequence[str]
) -> tuple[xr.DataArray, xr.DataArray]:
    """Two continuous recordings: sample i of a run goes with sample i of that run."""
    for array, name in ((X, "X"), (Y, "Y")):
        if "onset" not in array.coords:
            raise TimingError(f"trim={trim!r} needs time series, and {name} has no 'onset' on 'sample' (seconds).")
    if trim is not None:
        X, Y = _trimmed(X, Y)
    check_same_times(X, Y)
    for at, (one, two) in enumerate(zip(keys(X, by, "X"), keys(Y, by, "Y"))):
        if one != two:
            raise AlignmentError(
                f"two time series have the same onsets and other {' + '.join(by)} labels, first at sample {at}: "
                f"{_text(one)!r} in X, {_text(two)!r} in Y. Correct the labels or the onsets of one side."
            )
    check_same_content(X, Y)
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


def _occurrence(labels: Sequence[Any]) -> np.ndarray:
    """How many times each label has come before."""
    seen: Counter = Counter()
    out = np.empty(len(labels), dtype=np.int64)
    for at, label in enumerate(labels):
        out[at] = seen[label]
        seen[label] += 1
    return out


def _text(label: Any) -> str:
    return " ".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _no_overlap(a: Sequence[Any], b: Sequence[Any]) -> str:
    return f"Do both name the samples the same way? X begins with {_text(a[0])!r}, Y with {_text(b[0])!r}."
