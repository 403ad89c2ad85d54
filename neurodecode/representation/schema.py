"""What a representation is: values, labels on samples and units, and the checks that keep it one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
import xarray as xr

from .._names import lookup
from ..exceptions import AlignmentError, DegenerateDataError, TimingError
from .values import as_array, promoted, row_blocks

DIMS = ("sample", "unit", "time", "token")


def as_representation(
    values: Any,
    *,
    stimulus: Any,
    kind: str,
    unit: Mapping[str, Any] | None = None,
    sample: Mapping[str, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
    dims: Sequence[str] | None = None,
    time: Any = None,
    token: Mapping[str, Any] | None = None,
    nan_policy: str = "raise",
) -> xr.DataArray:
    """Label an array of values: what was shown on each sample, what each unit is.

    Nothing is copied where it can be viewed: read-only memory maps and Dask arrays stay what they are.
    Integers and booleans become float64, half precision becomes float32, swapped bytes become native
    (each conversion is written into ``attrs["history"]``); float32 stays float32.

    Parameters
    ----------
    values : (samples, units), or (samples, units, times), or what ``dims`` says. NumPy, memory map, Dask,
        pandas, or a tensor that has ``detach().cpu()``.
    stimulus : (samples,) identity of what was shown or done; text, or integers that become text.
    kind : what the values are: ``"fmri"``, ``"eeg"``, ``"meg"``, ``"calcium"``, ``"network"``, ``"features"`` ...
    unit : coordinates of the units: name to (units,) array, or to one value for all units.
    sample : coordinates of the samples: name to (samples,) array, or to one value for all. ``onset`` in seconds;
        ``sha256`` is the hash of the stimulus itself and is compared wherever two arrays meet.
    attrs : anything JSON can hold: ``quantity``, ``units`` (uV, percent, a.u.), ``sfreq`` (Hz) or
        ``tr`` (s), ``dataset``.
    dims : names of the dimensions; ``("sample", "unit")`` or ``("sample", "unit", "time")`` when not given,
        ``("sample", "token", "unit")`` for token maps.
    time : (times,) seconds relative to the event, increasing.
    token : coordinates of the tokens: name to (tokens,) array.
    nan_policy : ``"raise"``, or ``"drop_targets"``: units with a value that is not finite become all NaN and are
        marked in the boolean unit coordinate ``masked``.

    Returns
    -------
    DataArray with dims ``sample``, ``unit`` and at most one of ``time``, ``token``; ``stimulus`` on ``sample``.
    Neither ``sample`` nor ``unit`` has an index, so that xarray never aligns two arrays by itself.

    Raises
    ------
    AlignmentError : labels that do not fit the values; the coordinate is named.
    DegenerateDataError : no samples, no units, or values that are not finite.
    TimingError : onsets or times that are not finite, do not increase, or contradict ``sfreq``.

    Examples
    --------
    >>> X = as_representation([[1, 2], [3, 4]], stimulus=["cat", "dog"], kind="fmri", unit={"roi": ["V1", "V2"]})
    >>> X.dims, str(X["stimulus"].values[1]), X.attrs["history"]
    (('sample', 'unit'), 'dog', ['values converted from int64 to float64'])
    """
    lookup({"raise": 1, "drop_targets": 1}, nan_policy, "nan_policy", callables=False)
    if not isinstance(kind, str) or not kind:
        raise ValueError(f"kind={kind!r}: name what the values are, for example 'fmri', 'eeg' or 'network'.")
    if attrs is not None and not isinstance(attrs, Mapping):
        raise TypeError(
            f"attrs= is a {type(attrs).__name__}; expected attributes by name, such as attrs={{'tr': 2.0}}."
        )
    given = json_ready(dict(attrs or {}), "attrs")
    if given.get("kind", kind) != kind:
        raise ValueError(f"kind={kind!r} and attrs['kind']={given['kind']!r} disagree; give one of them.")
    data, notes = promoted(values)
    names = _dims(values, data, dims)
    sizes = dict(zip(names, data.shape))
    for dim in ("sample", "unit"):
        if sizes[dim] == 0:
            raise DegenerateDataError(f"values of shape {data.shape} have no {dim}s; at least 1 is needed.")
    coords: dict[str, tuple[str, np.ndarray]] = {"stimulus": ("sample", identity(stimulus, sizes["sample"]))}
    for dim, entries in (("sample", sample), ("unit", unit), ("token", token)):
        if entries is None:
            continue
        if dim not in sizes:
            raise AlignmentError(f"{dim}= is given, but the dims are {names}; name the dimension in dims=.")
        if not hasattr(entries, "keys"):
            raise TypeError(
                f"{dim}= is a {type(entries).__name__}; expected coordinates by name, such as {dim}={{'name': values}}."
            )
        for name in entries:
            _free(name, dim, coords)
            coords[str(name)] = (dim, coordinate(entries[name], sizes[dim], str(name), dim))
    history = [*given.get("history", []), *notes]
    if not isinstance(given.get("history", []), list):
        raise TypeError("attrs['history'] must be a list of text.")
    X = xr.DataArray(data, dims=names, coords=coords, attrs={"kind": kind, **given, "history": history})
    if time is not None:
        X = _with_time(X, time)
    if nan_policy == "drop_targets":
        X = _mask_targets(X)
    return check_representation(X)


def check_representation(X: Any, *, finite: bool = True) -> xr.DataArray:
    """Give back ``X`` if it is a representation, else say what is missing and how to add it.

    Parameters
    ----------
    X : what should be a DataArray as ``as_representation`` makes it.
    finite : also look at every value (units marked in ``masked`` may be NaN).

    Examples
    --------
    >>> X = as_representation([[1.0, 2.0]], stimulus=["a"], kind="features")
    >>> check_representation(X) is X
    True
    """
    if not isinstance(X, xr.DataArray):
        raise TypeError(f"expected a labelled array, got {type(X).__name__}; make one with as_representation(...).")
    extra = [dim for dim in X.dims if dim not in ("sample", "unit")]
    if X.dims[:1] != ("sample",) or "unit" not in X.dims or len(extra) > 1 or not set(extra) <= {"time", "token"}:
        raise AlignmentError(
            f"dims are {X.dims}; expected 'sample' first, 'unit', and at most one of 'time' or 'token'. "
            "Rename or transpose, for example X.transpose('sample', 'unit', ...)."
        )
    for dim in ("sample", "unit"):
        if dim in X.xindexes or dim in X.coords:
            raise AlignmentError(
                f"dimension {dim!r} carries an index, by which xarray would align in silence; "
                f"rename it to what it is: X.reset_index({dim!r}).rename({dim}='stimulus')."
            )
        if X.sizes[dim] == 0:
            raise DegenerateDataError(f"the array of shape {X.shape} has no {dim}s; at least 1 is needed.")
    if "stimulus" not in X.coords or X["stimulus"].dims != ("sample",):
        raise AlignmentError("there is no 'stimulus' on 'sample'; add X.assign_coords(stimulus=('sample', ids)).")
    if X["stimulus"].dtype.kind not in "UOT":
        raise AlignmentError(f"'stimulus' is {X['stimulus'].dtype}; it must be text: ids.astype(str).")
    if X.dtype.kind != "f":
        raise TypeError(
            f"values are {X.dtype}; expected float32 or float64. Make the array with as_representation(...)."
        )
    if not isinstance(X.attrs.get("kind"), str):
        raise ValueError("attrs['kind'] is missing; say what the values are, for example 'fmri' or 'network'.")
    json_ready(X.attrs, "attrs")
    if "onset" in X.coords:
        onset = np.asarray(X["onset"].values, dtype=float)
        if not np.isfinite(onset).all():
            bad = int(np.flatnonzero(~np.isfinite(onset))[0])
            raise TimingError(f"'onset' is not finite at sample {bad} ({X['stimulus'].values[bad]!s}); give seconds.")
    return check_finite(X) if finite else X


def check_finite(X: Any, name: str = "values") -> Any:
    """Give back ``X`` if every value is finite, else raise with the count and the first labels.

    Units that a boolean unit coordinate ``masked`` marks are passed over. Plain arrays are checked too.

    Examples
    --------
    >>> check_finite(np.ones((2, 2))).shape
    (2, 2)
    """
    labelled = isinstance(X, xr.DataArray)
    data = X.data if labelled else np.asarray(X)
    if data.dtype.kind not in "fc":
        return X
    keep = np.ones(data.shape[1] if data.ndim > 1 else 1, dtype=bool)
    axis = X.dims.index("unit") if labelled and "unit" in X.dims else 1
    if labelled and "masked" in X.coords:
        keep = ~X["masked"].values.astype(bool)
    nan = inf = 0
    first: tuple[int, ...] | None = None
    rows: set[int] = set()
    for rows_of, block in row_blocks(data):
        good = np.isfinite(block)
        if good.all():
            continue
        if not keep.all():
            good = good | ~keep.reshape([-1 if at == axis else 1 for at in range(block.ndim)])
        bad = np.argwhere(~good)
        if not len(bad):
            continue
        missing = int(np.isnan(block[~good]).sum())
        nan, inf = nan + missing, inf + len(bad) - missing
        rows.update((bad[:, 0] + rows_of.start).tolist())
        if first is None:
            first = (int(bad[0, 0]) + rows_of.start, *map(int, bad[0, 1:]))
    if first is None:
        return X
    shown = [_sample_name(X, row) for row in sorted(rows)[:5]]
    where = f"first in unit {_unit_name(X, first[axis])}" if len(first) > axis else f"first at {first[0]}"
    raise DegenerateDataError(
        f"{name}: {nan} NaN and {inf} infinity among {data.size} values, in {len(rows)} samples "
        f"({', '.join(shown)}{', ...' if len(rows) > 5 else ''}; {where}). Remove or fill them, or mark whole units: "
        'as_representation(..., nan_policy="drop_targets").'
    )


def json_ready(value: Any, where: str) -> Any:
    """``value`` as JSON gives it back: NumPy scalars and arrays, tuples and paths become numbers, lists and text."""
    if value is None or (isinstance(value, (str, bool, int, float)) and not isinstance(value, np.generic)):
        return value
    if isinstance(value, np.str_):
        return str(value)
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufU":
        return value.tolist()
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{where}: key {key!r} is {type(key).__name__}; attributes are kept as JSON, use text.")
        return {str(key): json_ready(entry, f"{where}[{key!r}]") for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(entry, f"{where}[{at}]") for at, entry in enumerate(value)]
    raise TypeError(
        f"{where} is a {type(value).__name__}, which JSON cannot hold; "
        "use text, numbers, True, False, None, lists and dicts."
    )


def identity(stimulus: Any, size: int, name: str = "stimulus") -> np.ndarray:
    """(samples,) text labels from text or integers, checked for length and gaps."""
    if isinstance(stimulus, (str, bytes)) or np.ndim(stimulus) == 0:
        raise AlignmentError(f"{name}={stimulus!r} is one label; give one for each of the {size} samples.")
    labels = coordinate(stimulus, size, name, "sample")
    entries = labels.tolist()
    if labels.dtype.kind == "f":
        entries = [int(entry) if np.isfinite(entry) and entry == int(entry) else entry for entry in entries]
    for at, entry in enumerate(entries):
        if entry == "" or entry != entry:
            raise AlignmentError(f"{name} has no label at sample {at}; every sample needs one.")
    return np.array([str(entry) for entry in entries], dtype=str)


def coordinate(entry: Any, size: int, name: str, dim: str) -> np.ndarray:
    """(size,) label array without Python objects; one value is repeated."""
    if isinstance(entry, xr.DataArray):
        entry = entry.values
    array = entry.to_numpy() if hasattr(entry, "to_numpy") else np.asarray(as_array(entry))
    if array.ndim == 0:
        array = np.full(size, array[()])
    if array.ndim != 1:
        raise AlignmentError(
            f"{dim} coordinate {name!r} has shape {array.shape}; expected one entry per {dim}: ({size},)."
        )
    if len(array) != size:
        raise AlignmentError(f"{dim} coordinate {name!r} has {len(array)} entries, the values have {size} {dim}s.")
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind in "OT":
        array = _without_objects(array, name, dim)
    if array.dtype.kind not in "biufUmM":
        raise TypeError(f"{dim} coordinate {name!r} is {array.dtype}; use text, numbers, booleans or dates.")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _dims(values: Any, data: Any, dims: Sequence[str] | None) -> tuple[str, ...]:
    if dims is None and isinstance(values, xr.DataArray) and set(values.dims) <= set(DIMS):
        dims = [str(dim) for dim in values.dims]
    if dims is None:
        if data.ndim not in (2, 3):
            raise AlignmentError(
                f"values have shape {data.shape}; expected 2 dimensions (sample, unit) or 3 (sample, unit, time). "
                "One unit is values[:, None], one sample is values[None]."
            )
        return ("sample", "unit", "time")[: data.ndim]
    names = tuple(dims)
    if len(names) != data.ndim:
        raise AlignmentError(f"dims={names} names {len(names)} dimensions, the values have shape {data.shape}.")
    extra = [name for name in names if name not in ("sample", "unit")]
    if names[:1] != ("sample",) or "unit" not in names or len(extra) > 1 or not set(extra) <= {"time", "token"}:
        raise AlignmentError(
            f"dims={names}; expected 'sample' first, 'unit', and at most one of 'time' or 'token'. "
            "Transpose the values, for example np.moveaxis."
        )
    return names


def _free(name: Any, dim: str, taken: Mapping[str, tuple[str, np.ndarray]]) -> None:
    if not isinstance(name, str) or name in DIMS or name == "":
        raise AlignmentError(f"{dim} coordinate {name!r}: the name must be text and none of {DIMS}.")
    if name in taken:
        raise AlignmentError(
            f"coordinate {name!r} is given twice, on {taken[name][0]!r} and on {dim!r}; rename one of them."
        )


def _without_objects(array: np.ndarray, name: str, dim: str) -> np.ndarray:
    entries = array.tolist()
    for at, entry in enumerate(entries):
        if (
            entry is None
            or (isinstance(entry, float) and np.isnan(entry))
            or type(entry).__name__ in ("NAType", "NaTType")
        ):
            if all(isinstance(other, (int, float)) or other is None for other in entries):
                continue
            raise AlignmentError(f"{dim} coordinate {name!r} has no entry at {dim} {at}; fill it, for example with ''.")
    if all(isinstance(entry, (str, bytes)) for entry in entries):
        return np.array([e.decode() if isinstance(e, bytes) else e for e in entries], dtype=str)
    if all(isinstance(entry, bool) for entry in entries):
        return np.array(entries, dtype=bool)
    if all(isinstance(entry, (int, float)) or entry is None for entry in entries):
        return np.array([np.nan if entry is None else entry for entry in entries])
    if all(isinstance(entry, (str, bytes, int, PurePath)) for entry in entries):
        return np.array([str(entry) for entry in entries], dtype=str)
    kinds = sorted({type(entry).__name__ for entry in entries})
    raise TypeError(f"{dim} coordinate {name!r} mixes {', '.join(kinds)}; use text, numbers, booleans or dates.")


def _with_time(X: xr.DataArray, time: Any) -> xr.DataArray:
    if "time" not in X.dims:
        raise AlignmentError(f"time= is given, but the dims are {X.dims}; expected ('sample', 'unit', 'time').")
    seconds = np.asarray(time, dtype=np.float64)
    if seconds.shape != (X.sizes["time"],):
        raise AlignmentError(f"time has shape {seconds.shape}, the values have {X.sizes['time']} times.")
    steps = np.diff(seconds)
    if not np.isfinite(seconds).all() or (steps <= 0).any():
        raise TimingError("time must be finite and increase from each point to the next; give seconds.")
    rate = X.attrs.get("sfreq")
    if rate and len(steps) and abs(np.median(steps) * rate - 1) > 0.01:
        raise TimingError(
            f"time advances by {np.median(steps):g} per point, attrs['sfreq']={rate:g} Hz means {1 / rate:g} s; "
            "give time in seconds and sfreq in Hz."
        )
    return X.assign_coords(time=("time", seconds, {"units": "s"}))


def _mask_targets(X: xr.DataArray) -> xr.DataArray:
    axis = X.dims.index("unit")
    others = tuple(at for at in range(X.ndim) if at != axis)
    bad = np.zeros(X.sizes["unit"], dtype=bool)
    for _, block in row_blocks(X.data):
        bad |= ~np.isfinite(block).all(axis=others)
    if "masked" in X.coords:
        bad |= X["masked"].values.astype(bool)
    if bad.all():
        raise DegenerateDataError(f"all {len(bad)} units hold NaN or infinity; nothing is left to keep.")
    if bad.any():
        X = X.where(xr.DataArray(~bad, dims="unit"))
        X.attrs["history"] = [*X.attrs["history"], f"{int(bad.sum())} of {len(bad)} units masked: not finite"]
    return X.assign_coords(masked=("unit", bad))


def _sample_name(X: Any, row: int) -> str:
    if isinstance(X, xr.DataArray) and "stimulus" in X.coords:
        return f"{row} {str(X['stimulus'].values[row])!r}"
    return str(row)


def _unit_name(X: Any, column: int) -> str:
    if not isinstance(X, xr.DataArray):
        return str(column)
    said = [f"{name}={X[name].values[column]}" for name in X.coords if X[name].dims == ("unit",) and name != "masked"]
    return f"{column} ({', '.join(said[:3])})" if said else str(column)
