"""Labels in, labels out: taking them off for a solver, putting them back, and comparing them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from ..exceptions import AlignmentError, TimingError


def plain(X: Any) -> Any:
    """The values of a labelled array as NumPy (a view where there is one); anything else as it came.

    Examples
    --------
    >>> plain(xr.DataArray([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    return X.values if isinstance(X, xr.DataArray) else X


@dataclass(frozen=True, eq=False)
class Labels:
    """What the entries of one dimension are, kept by an estimator between fit and predict.

    Attributes
    ----------
    dim : name of the dimension.
    size : how many entries it has.
    coords : name to (size,) array, read-only; empty for a plain array.
    attrs : attributes of the array they were taken from, without its history (``kind``, ``tr``, geometry ...).

    Examples
    --------
    >>> from neurodecode.representation import as_representation
    >>> Y = as_representation([[1.0, 2.0]], stimulus=["a"], kind="fmri", unit={"roi": ["V1", "V2"]})
    >>> Labels.of(Y, "unit").coords["roi"].tolist()
    ['V1', 'V2']
    """

    dim: str
    size: int
    coords: Mapping[str, np.ndarray] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, X: Any, dim: str = "unit") -> Labels:
        """Labels of ``dim`` of ``X``; of a plain array only the size (axis 0 for ``sample``, else axis 1)."""
        if not isinstance(X, xr.DataArray):
            shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
            axis = 0 if dim == "sample" else 1
            return cls(dim, int(shape[axis]) if len(shape) > axis else 1)
        attrs = {key: entry for key, entry in X.attrs.items() if key != "history"}
        if dim not in X.dims:
            return cls(dim, 1, {}, attrs)
        coords = {}
        for name in X.coords:
            if X[name].dims == (dim,) and name != dim:
                kept = np.array(X[name].values)
                kept.setflags(write=False)
                coords[str(name)] = kept
        return cls(dim, int(X.sizes[dim]), coords, attrs)


def labelled(
    values: Any,
    samples_of: Any,
    units: Labels | None = None,
    attrs: Mapping[str, Any] | None = None,
    dims: Sequence[str] | None = None,
) -> Any:
    """Values with the samples of ``samples_of`` and the units of ``units``; plain where the samples are plain.

    Parameters
    ----------
    values : (samples,), (samples, units) or (samples, units, times), or what ``dims`` says.
    samples_of : the array that was predicted from. If it is not a DataArray the values come back as they are.
    units : labels of the units, as ``Labels.of`` gave them at fit; None leaves the units without coordinates.
    attrs : added to those of ``units``.
    dims : names of the dimensions of ``values``.

    Returns
    -------
    DataArray with every sample coordinate of ``samples_of``, its ``time`` where the values have one too.

    Examples
    --------
    >>> from neurodecode.representation import as_representation
    >>> X = as_representation([[1.0], [2.0]], stimulus=["a", "b"], kind="network")
    >>> labelled(np.zeros((2, 3)), samples_of=X, units=Labels("unit", 3, {"roi": np.array(list("uvw"))}))["roi"].size
    3
    """
    if not isinstance(samples_of, xr.DataArray):
        return values
    X: xr.DataArray = samples_of
    values = np.asarray(values)
    if dims is None:
        third = "token" if "token" in X.dims and "time" not in X.dims else "time"
        dims = ("sample", "unit", third, f"{third}_test")[: values.ndim]
    names = tuple(dims)
    if "sample" in names and values.shape[names.index("sample")] != X.sizes.get("sample", -1):
        raise AlignmentError(f"values of shape {values.shape} do not have the {X.sizes.get('sample')} samples of X.")
    coords: dict[str, Any] = {}
    for name in X.coords:
        entry = X[name]
        on_sample = entry.dims == ("sample",)
        on_rest = entry.dims in (("time",), ("token",)) and entry.dims[0] in names
        if on_sample or (on_rest and values.shape[names.index(str(entry.dims[0]))] == entry.size):
            coords[str(name)] = entry.variable
    if units is not None and "unit" in names:
        if values.shape[names.index("unit")] != units.size:
            raise AlignmentError(f"values of shape {values.shape} do not have the {units.size} units seen at fit.")
        for name, kept in units.coords.items():
            if name in coords:
                raise AlignmentError(
                    f"{name!r} labels the samples of X and the units of the answer; rename one of them before fitting, "
                    f"for example X.rename({name}='sample_{name}')."
                )
            coords[name] = ("unit", kept.copy())
    said = {**(dict(units.attrs) if units is not None else {}), **(attrs or {})}
    return xr.DataArray(values, dims=names, coords=coords, attrs=said)


def check_same_labels(first: Any, second: Any, what: str = "stimulus", names: tuple[str, str] = ("X", "Y")) -> None:
    """Raise unless two label arrays are the same labels in the same order.

    The one rule by which samples, conditions of a dissimilarity matrix, and the ends of a comparison meet:
    by label, never by length or position.

    Raises
    ------
    AlignmentError : another order (``match`` reorders), other counts of the same labels, or labels that are
        missing on one side (listed).

    Examples
    --------
    >>> check_same_labels(["a", "b"], ["a", "b"])
    >>> check_same_labels(["a", "b"], ["b", "a"])
    Traceback (most recent call last):
    ...
    neurodecode.exceptions.AlignmentError: X and Y have the same 2 stimulus labels in another order ...
    """
    one, two = np.asarray(first), np.asarray(second)
    if one.shape == two.shape and bool(np.all(one == two)):
        return
    a, b = [str(label) for label in one.tolist()], [str(label) for label in two.tolist()]
    if a == b:
        return
    left, right = names
    call = f"match({left}, {right}" if left.isidentifier() and right.isidentifier() else "match(X, Y"
    in_a, in_b = Counter(a), Counter(b)
    if in_a == in_b:
        at = next(i for i, (p, q) in enumerate(zip(a, b)) if p != q)
        raise AlignmentError(
            f"{left} and {right} have the same {len(a)} {what} labels in another order "
            f"(first at position {at}: {a[at]!r} and {b[at]!r}); reorder with {call}, by={what!r})."
        )
    if set(in_a) == set(in_b):
        uneven = [f"{label!r} ({in_a[label]} and {in_b[label]})" for label in in_a if in_a[label] != in_b[label]]
        raise AlignmentError(
            f"{left} ({len(a)} samples) and {right} ({len(b)}) repeat the same {what} labels in different numbers: "
            f"{_few(uneven)}. Say what to do with repeats: {call}, repeats='average'|'keep'|'split')."
        )
    raise AlignmentError(f"{describe_missing(in_a, in_b, what, names)}. {_join_advice(in_a, in_b, call)}")


def describe_missing(one: Mapping[str, Any], two: Mapping[str, Any], what: str, names: tuple[str, str]) -> str:
    """Which labels are on one side only, in one sentence without a full stop."""
    parts = []
    for here, there, name in ((one, two, names[1]), (two, one, names[0])):
        missing = [repr(label) for label in here if label not in there]
        if missing:
            parts.append(f"{len(missing)} of {len(here)} {what} labels are missing in {name}: {_few(missing)}")
    return "; ".join(parts)


def check_same_samples(X: Any, y: Any, names: tuple[str, str] = ("X", "Y")) -> None:
    """Raise unless the samples of two labelled arrays are the same, in the same order.

    Compares ``stimulus``; the hash ``sha256`` of the stimulus where both carry it; and for time series
    (regular ``onset`` at the repetition time) the onsets. Nothing is compared unless both are DataArrays.

    Raises
    ------
    AlignmentError : other samples, another order, no ``stimulus``, or the same name with other content.
    TimingError : both carry ``onset`` and one is k samples longer, or their onsets differ.

    Examples
    --------
    >>> check_same_samples(np.ones((3, 1)), np.ones(3))
    """
    if not (isinstance(X, xr.DataArray) and isinstance(y, xr.DataArray)):
        return
    for array, name in ((X, names[0]), (y, names[1])):
        if "sample" not in array.dims or "stimulus" not in array.coords or array["stimulus"].dims != ("sample",):
            raise AlignmentError(
                f"{name} is labelled, but has no 'stimulus' on 'sample' (dims {array.dims}, coordinates "
                f"{sorted(map(str, array.coords))}), so it cannot be compared with the other; make it with "
                "as_representation(...), or pass plain arrays, or assume_aligned=True where that is offered."
            )
    if "onset" in X.coords and "onset" in y.coords:
        check_same_times(X, y, names)
    check_same_labels(X["stimulus"].values, y["stimulus"].values, "stimulus", names)
    check_same_content(X, y, names)


def check_same_content(X: xr.DataArray, y: xr.DataArray, names: tuple[str, str] = ("X", "Y")) -> None:
    """Raise if stimuli of the same name have different hashes in two arrays whose samples correspond."""
    if "sha256" not in X.coords or "sha256" not in y.coords:
        return
    a, b = X["sha256"].values.astype(str), y["sha256"].values.astype(str)
    differ = np.flatnonzero((a != b) & (a != "") & (b != ""))
    if len(differ):
        ids = list(dict.fromkeys(repr(str(X["stimulus"].values[at])) for at in differ))
        raise AlignmentError(
            f"{len(ids)} stimuli have the same name and other content (sha256) in {names[0]} and {names[1]}: "
            f"{_few(ids)}. Was a file encoded again? Compute both sides from the same files."
        )


def both_series(X: xr.DataArray, y: xr.DataArray) -> bool:
    """Whether both are continuous recordings: samples are volumes or bins, one period apart within a run.

    The period is ``tr`` or ``1 / sfreq``; an array that does not say takes that of the other.
    """
    one, two = sample_period(X), sample_period(y)
    return _regular(X, one or two) and _regular(y, two or one)


def _regular(X: xr.DataArray, period: float | None) -> bool:
    if period is None or "onset" not in X.coords or X["onset"].dims != ("sample",) or X.sizes["sample"] < 2:
        return False
    steps = np.diff(np.asarray(X["onset"].values, dtype=float))
    if "run" in X.coords and X["run"].dims == ("sample",):
        runs = X["run"].values
        steps = steps[runs[1:] == runs[:-1]]
    return len(steps) > 0 and abs(float(np.median(steps)) - period) <= 0.01 * period


def sample_period(X: xr.DataArray) -> float | None:
    """Seconds from one sample of a continuous recording to the next, from ``tr`` or ``sfreq``."""
    if "time" in X.dims:
        return None
    if X.attrs.get("tr"):
        return float(X.attrs["tr"])
    return 1.0 / float(X.attrs["sfreq"]) if X.attrs.get("sfreq") else None


def check_same_times(X: xr.DataArray, y: xr.DataArray, names: tuple[str, str] = ("X", "Y")) -> None:
    """Raise unless two arrays with onsets have as many samples, and as series the same onsets."""
    n, m = X.sizes["sample"], y.sizes["sample"]
    if n != m:
        longer = names[0] if n > m else names[1]
        raise TimingError(
            f"{names[0]} has {n} samples and {names[1]} has {m}: {longer} is {abs(n - m)} samples longer. If the "
            f"surplus is at the end, ask for it: match({names[0]}, {names[1]}, trim='end')."
        )
    if not both_series(X, y):
        return
    one, two = sample_period(X), sample_period(y)
    one, two = one or two or 1.0, two or one or 1.0
    if abs(one - two) > 0.01 * one:
        raise TimingError(
            f"{names[0]} has a sample every {one:g} s and {names[1]} every {two:g} s; resample one of them."
        )
    a, b = np.asarray(X["onset"].values, dtype=float), np.asarray(y["onset"].values, dtype=float)
    differ = np.flatnonzero(np.abs(a - b) > max(1e-3, 0.01 * one))
    if len(differ):
        at = int(differ[0])
        k = (b[at] - a[at]) / one
        raise TimingError(
            f"onsets differ at {len(differ)} of {n} samples, first at sample {at}: {a[at]:g} s in {names[0]}, "
            f"{b[at]:g} s in {names[1]} (a shift of {k:+.3g} samples). Correct the onsets of one side."
        )


def check_same_units(X: Any, units: Labels) -> None:
    """Raise if the units of a labelled array are not those that were seen at fit.

    Raises
    ------
    AlignmentError : another number of units, or a shared unit coordinate that differs; the first one is named.

    Examples
    --------
    >>> check_same_units(np.ones((2, 3)), Labels("unit", 3))
    """
    if not isinstance(X, xr.DataArray) or "unit" not in X.dims:
        return
    if X.sizes["unit"] != units.size:
        raise AlignmentError(f"the array has {X.sizes['unit']} units, {units.size} were seen at fit.")
    now = {str(name): X[name].values for name in X.coords if X[name].dims == ("unit",)}
    known = {name: entry for name, entry in units.coords.items() if name != "masked"}
    now.pop("masked", None)
    if known and now and not set(known) & set(now):
        raise AlignmentError(
            f"units carry {sorted(now)}, at fit they carried {sorted(known)}; label them the same way."
        )
    if known and not now:
        raise AlignmentError(
            f"units carry no coordinates, at fit they carried {sorted(known)}; label them the same way."
        )
    for name in known:
        if name not in now or same_entries(known[name], now[name]):
            continue
        equal = known[name].astype(str) == now[name].astype(str)
        at = int(np.flatnonzero(~equal)[0]) if not equal.all() else 0
        raise AlignmentError(
            f"units differ from those at fit in {name!r}: unit {at} is {now[name][at]!s}, was {known[name][at]!s}. "
            "Select and order the units as they were at fit."
        )


def same_entries(one: np.ndarray, two: np.ndarray) -> bool:
    """Whether two coordinates say the same; floats to rounding, NaN equal to NaN."""
    if one.shape != two.shape:
        return False
    if one.dtype.kind in "biuf" and two.dtype.kind in "biuf":
        if one.dtype.kind == "f" or two.dtype.kind == "f":
            return bool(np.allclose(one, two, rtol=1e-6, atol=1e-9, equal_nan=True))
        return bool(np.array_equal(one, two))
    return bool(np.all(one == two)) if one.dtype.kind == two.dtype.kind else one.tolist() == two.tolist()


def _few(entries: Sequence[str], most: int = 5) -> str:
    return ", ".join(entries[:most]) + (f" and {len(entries) - most} more" if len(entries) > most else "")


def _join_advice(one: Mapping[str, Any], two: Mapping[str, Any], call: str) -> str:
    shared = sum(label in two for label in one)
    if not shared:
        first, second = next(iter(one)), next(iter(two))
        return f"They share no label: do both name the stimuli the same way ({first!r}, {second!r})?"
    return f"Keep the {shared} that are shared with {call}, join='inner')."
