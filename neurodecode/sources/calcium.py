"""Calcium traces with behaviour: a recording like any other, time bins by neurons.

Every time bin is a sample with an ``onset`` in seconds; behaviour comes back as a second representation with the same
samples, so that decoding behaviour from neurons and predicting neurons from behaviour are the same call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from ..exceptions import AlignmentError, DegenerateDataError, IntegrityError, TimingError, UnsafeFileError
from ..representation import as_representation

LONGEST_STEP = 30.0
GAP = 5.0


class Recording(NamedTuple):
    """What `read` returns: ``traces``, and ``behaviour`` with the same samples (None where none was given)."""

    traces: xr.DataArray
    behaviour: xr.DataArray | None


def read(
    traces: Any,
    *,
    sfreq: float | None = None,
    timestamps: Any = None,
    behaviour: Any = None,
    neuron: Mapping[str, Any] | None = None,
    trace: str | None = None,
    time_axis: int | None = None,
    runs: Any = None,
    nan_policy: str = "raise",
    recording: str | None = None,
    quantity: str = "fluorescence",
    units: str = "a.u.",
    subject: str | None = None,
    dataset: str | None = None,
) -> Recording:
    """Traces and behaviour as two representations with the same samples.

    Parameters
    ----------
    traces : array (time, neuron) or (neuron, time), DataFrame (rows are time bins, columns neurons), or path of an
        ``.npz``, ``.npy``, ``.csv`` or ``.tsv`` file. There, ``trace``, ``timestamps``, ``behaviour``
        and the values of ``neuron`` may be names of arrays or columns in it.
    sfreq : bins per second. Needed where there are no ``timestamps``; compared with them where there are.
    timestamps : seconds, one per bin, increasing. ``onset`` counts from the first.
    behaviour : mapping or table of one value per bin and column, or names in the file.
    neuron : coordinates of the neurons, one value each, such as ``{"x": ..., "y": ...}``.
    trace : which array of an ``.npz`` file holds the traces.
    time_axis : 0 or 1. None finds the axis that timestamps, behaviour and neuron agree on, and refuses to guess.
    runs : name of the run of every bin, or a list of (start, stop) bins counted from 0 without stop, or ``"gaps"`` to
        begin a run wherever timestamps leap by more than five steps. None is one run, and refuses such leaps.
    nan_policy : ``"raise"``, or ``"drop_targets"`` for columns of behaviour (and neurons) that are not finite; they
        become NaN throughout and are marked ``masked``.
    recording : name that goes before every bin's name; by default the file's.

    Returns
    -------
    Recording(traces, behaviour). On sample ``stimulus`` (unique per bin), ``run``, ``onset`` (s); on unit of the traces
    ``neuron`` (position from 0) and the given coordinates, of the behaviour ``variable``; ``attrs["sfreq"]`` in Hz.

    Raises
    ------
    AlignmentError : lengths that do not agree, or an orientation that cannot be told.
    TimingError : timestamps that do not increase, are in milliseconds, leap, or disagree with ``sfreq``.
    DegenerateDataError : values that are not finite, with the columns and how many.
    UnsafeFileError : a file that holds objects.

    References
    ----------
    Dag et al. (2023), Cell 186:2574, methods, for traces and behaviour at volume times.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X, B = read(rng.normal(size=(50, 8)), timestamps=np.arange(50) / 2, behaviour={"speed": rng.normal(size=50)})
    >>> X.shape, B["variable"].values.tolist(), X.attrs["sfreq"]
    ((50, 8), ['speed'], 2.0)
    """
    table, values, name = _source(traces, trace)
    times = _named(timestamps, table, "timestamps")
    columns = _behaviour(behaviour, table)
    units_of = {str(key): np.asarray(_named(one, table, f"neuron[{key!r}]")) for key, one in (neuron or {}).items()}
    if isinstance(traces, pd.DataFrame) or (isinstance(table, pd.DataFrame) and trace is None):
        values, labels = _neuron_columns(table, (timestamps, *columns))
        units_of.setdefault("name", labels)
        time_axis = 0 if time_axis is None else time_axis
    values = _oriented(values, time_axis, times, columns, units_of)
    n_bins, n_neurons = values.shape
    onset, sfreq, history = _onsets(times, sfreq, n_bins)
    run = _runs(runs, onset, n_bins)
    recording = str(recording or name or "recording")
    stimulus = np.array([f"{recording}_run-{r}_bin-{n:06d}" for n, r in enumerate(run)])
    sample: dict[str, np.ndarray] = {"run": run, "onset": onset}
    if subject is not None:
        units_of["subject"] = np.full(n_neurons, str(subject))
    attrs: dict[str, Any] = {"sfreq": sfreq, "recording": recording}
    if dataset is not None:
        attrs["dataset"] = dataset
    history.insert(0, f"read {n_bins} bins of {n_neurons} neurons" + (f" ({trace})" if trace else ""))
    _check_finite(values, [f"neuron {n}" for n in range(n_neurons)], "traces", nan_policy)
    found = as_representation(
        values,
        stimulus=stimulus,
        kind="calcium",
        unit={"neuron": np.arange(n_neurons), **units_of},
        sample=sample,
        attrs={**attrs, "quantity": quantity, "units": units, "history": history},
        nan_policy=nan_policy,
    )
    if not columns:
        return Recording(found, None)
    moved = np.stack([np.asarray(one, dtype=np.float64) for one in columns.values()], axis=1)
    lost = _check_finite(moved, list(columns), "behaviour", nan_policy)
    told = [f"{len(columns)} variables" + (f", masked because not finite: {', '.join(lost)}" if lost else "")]
    moving = as_representation(
        moved,
        stimulus=stimulus,
        kind="behaviour",
        unit={"variable": np.array(list(columns))},
        sample=sample,
        attrs={**attrs, "quantity": "behaviour", "units": "as recorded", "dropped": lost, "history": told},
        nan_policy=nan_policy,
    )
    return Recording(found, moving)


def _source(traces: Any, trace: str | None) -> tuple[Mapping[str, Any] | pd.DataFrame | None, Any, str | None]:
    """(what names refer to, the traces where already known, a name for the recording)."""
    if isinstance(traces, pd.DataFrame):
        return traces, None, None
    if not isinstance(traces, (str, Path)):
        if trace is not None:
            raise ValueError("trace names an array of a file, and traces is an array already.")
        return None, np.asarray(traces), None
    path = Path(traces)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(traces)!r}.")
    if path.suffix in (".csv", ".tsv"):
        return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ","), None, path.stem
    if path.suffix not in (".npz", ".npy"):
        raise UnsafeFileError(f"{path.name}: traces are read from .npz, .npy, .csv or .tsv without objects.")
    arrays = _arrays(path)
    if path.suffix == ".npy":
        return None, arrays["values"], path.stem
    if trace is None or trace not in arrays:
        shapes = {name: array.shape for name, array in arrays.items()}
        raise ValueError(f"which array of {path.name} holds the traces? trace={trace!r}; it has {shapes}.")
    return arrays, arrays[trace], path.stem


def _arrays(path: Path) -> dict[str, np.ndarray]:
    import zipfile

    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"values": loaded}
            return {name: loaded[name] for name in loaded.files}
    except ValueError as error:
        if "pickle" in str(error) or "Object" in str(error):
            raise UnsafeFileError(
                f"{path.name} holds Python objects, which could run code when read; store plain arrays."
            ) from error
        raise IntegrityError(f"{path.name} cannot be read ({error}).") from error
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise IntegrityError(f"{path.name} cannot be read ({error}); the file is cut or damaged.") from error


def _named(given: Any, table: Mapping[str, Any] | pd.DataFrame | None, what: str) -> Any:
    """An array, or the array of that name in the file."""
    if not isinstance(given, str):
        return None if given is None else np.asarray(given)
    if table is None or given not in table:
        have = "no named arrays" if table is None else list(table)
        raise ValueError(f"{what}={given!r} is not in what was read; it has {have}.")
    return np.asarray(table[given])


def _behaviour(behaviour: Any, table: Mapping[str, Any] | pd.DataFrame | None) -> dict[str, np.ndarray]:
    if behaviour is None:
        return {}
    if isinstance(behaviour, (str, Path)) and str(behaviour).endswith((".csv", ".tsv")):
        behaviour = pd.read_csv(behaviour, sep="\t" if str(behaviour).endswith(".tsv") else ",")
    if isinstance(behaviour, str):
        behaviour = [behaviour]
    if isinstance(behaviour, (Mapping, pd.DataFrame)):
        columns = {str(name): np.asarray(behaviour[name]) for name in behaviour}
    elif isinstance(behaviour, Sequence) and all(isinstance(name, str) for name in behaviour):
        columns = {name: _named(name, table, "behaviour") for name in behaviour}
    else:
        raise TypeError(f"behaviour: expected a mapping, a table or names, got {type(behaviour).__name__}.")
    for name, column in columns.items():
        if column.ndim != 1 or column.dtype.kind not in "biuf":
            raise ValueError(f"behaviour {name!r} must be one number per bin; it is {column.dtype} {column.shape}.")
    return columns


def _neuron_columns(table: Any, named: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """The columns of a table that are neurons: all that nothing else was named after."""
    taken = {name for name in named if isinstance(name, str)}
    names = [name for name in table.columns if name not in taken]
    text = [str(name) for name in names if not pd.api.types.is_numeric_dtype(table[name])]
    if text:
        raise DegenerateDataError(f"columns {text} are not numbers; leave them out of the table of traces.")
    return table[names].to_numpy(), np.array([str(name) for name in names])


def _oriented(
    values: np.ndarray,
    time_axis: int | None,
    times: np.ndarray | None,
    columns: Mapping[str, np.ndarray],
    units_of: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Traces as (time, neuron), by the lengths of everything that came along."""
    if values.ndim != 2 or 0 in values.shape or values.dtype.kind not in "biuf":
        raise DegenerateDataError(
            f"traces must be numbers with two axes and at least one bin and neuron; they are {values.dtype} "
            f"{values.shape}."
        )
    over_time = {f"behaviour {name!r}": len(column) for name, column in columns.items()}
    if times is not None:
        over_time["timestamps"] = len(times)
    over_units = {f"neuron[{name!r}]": len(column) for name, column in units_of.items() if name != "subject"}

    def fits(axis: int) -> bool:
        n_time, n_units = values.shape[axis], values.shape[1 - axis]
        return all(n == n_time for n in over_time.values()) and all(n == n_units for n in over_units.values())

    lengths = ", ".join(f"{name} {n}" for name, n in {**over_time, **over_units}.items())
    if time_axis is None:
        axes = [axis for axis in (0, 1) if fits(axis)]
        if len(axes) == 2:
            raise AlignmentError(
                f"traces {values.shape}: nothing says which axis is time ({lengths or 'no timestamps or behaviour'}). "
                "Pass time_axis=0 for time x neuron, time_axis=1 for neuron x time."
            )
        if not axes:
            raise AlignmentError(f"traces {values.shape} fit neither way round with {lengths}.")
        time_axis = axes[0]
    if time_axis not in (0, 1):
        raise ValueError(f"time_axis={time_axis!r} must be 0 or 1.")
    if not fits(time_axis):
        hint = f" They would fit with time_axis={1 - time_axis}." if fits(1 - time_axis) else ""
        raise AlignmentError(f"traces {values.shape} with time_axis={time_axis} do not fit {lengths}.{hint}")
    values = values if time_axis == 0 else values.T
    return np.array(values, dtype=values.dtype if values.dtype.kind == "f" else np.float64)


def _onsets(times: np.ndarray | None, sfreq: float | None, n_bins: int) -> tuple[np.ndarray, float, list[str]]:
    if sfreq is not None and (not np.isfinite(sfreq) or sfreq <= 0):
        raise TimingError(f"sfreq={sfreq!r} is not a rate in bins per second.")
    if times is None:
        if sfreq is None:
            raise TimingError("neither timestamps nor sfreq: say how fast the recording was.")
        return np.arange(n_bins) / float(sfreq), float(sfreq), []
    times = np.asarray(times, dtype=np.float64)
    if not np.isfinite(times).all():
        raise TimingError(f"{int((~np.isfinite(times)).sum())} timestamps are not finite.")
    steps = np.diff(times)
    if n_bins < 2:
        raise DegenerateDataError("a recording has at least two time bins.")
    if (steps <= 0).any():
        first = int(np.argmax(steps <= 0)) + 1
        raise TimingError(f"timestamps must increase: bin {first} is at {times[first]:g} after {times[first - 1]:g} s.")
    step = float(np.median(steps))
    if sfreq is not None and abs(step * sfreq - 1) > 0.01:
        hint = " (timestamps in milliseconds?)" if 500 < step * sfreq < 2000 else ""
        raise TimingError(f"sfreq={sfreq:g} Hz, and timestamps are {step:g} s apart, {1 / step:.4g} Hz{hint}.")
    if sfreq is None and step > LONGEST_STEP:
        raise TimingError(
            f"timestamps are {step:g} s apart; in milliseconds that would be {step / 1000:g} s. Give them in seconds, "
            "or pass sfreq as well if it is meant."
        )
    return times - times[0], float(sfreq or 1 / step), [f"onset 0 is timestamp {times[0]:.6f} s"]


def _runs(runs: Any, onset: np.ndarray, n_bins: int) -> np.ndarray:
    steps = np.diff(onset)
    leaps = np.flatnonzero(steps > GAP * np.median(steps)) + 1 if len(steps) else np.array([], dtype=int)
    if runs is None:
        if len(leaps):
            raise TimingError(
                f"timestamps leap by {steps[leaps - 1].max():g} s (first at bin {leaps[0]}): the recording has gaps. "
                'Pass runs="gaps" to begin a run after each, or name the runs.'
            )
        return np.ones(n_bins, dtype=int)
    if isinstance(runs, str):
        if runs != "gaps":
            raise ValueError(f'runs={runs!r} is not known; "gaps", one name per bin, or (start, stop) pairs.')
        return 1 + np.searchsorted(leaps, np.arange(n_bins), side="right")
    given = np.asarray(runs)
    if given.ndim == 1:
        if len(given) != n_bins:
            raise AlignmentError(f"runs names {len(given)} bins and there are {n_bins}.")
        return given
    if given.ndim != 2 or given.shape[1] != 2:
        raise ValueError(f"runs: expected one name per bin or (start, stop) pairs, got the shape {given.shape}.")
    found = np.zeros(n_bins, dtype=int)
    for number, (start, stop) in enumerate(given.tolist(), 1):
        if not 0 <= start < stop <= n_bins or found[start:stop].any():
            raise AlignmentError(f"run {number}: bins {start} to {stop} are empty, taken or beyond the {n_bins} bins.")
        found[start:stop] = number
    if (found == 0).any():
        raise AlignmentError(
            f"{int((found == 0).sum())} bins belong to no run, first bin {int(np.argmax(found == 0))}."
        )
    return found


def _check_finite(values: np.ndarray, names: Sequence[str], what: str, nan_policy: str) -> list[str]:
    """Names of columns that are not finite; refuses them unless they are to be masked."""
    count = (~np.isfinite(values)).sum(axis=0)
    lost = {names[n]: int(count[n]) for n in np.flatnonzero(count).tolist()}
    if lost and nan_policy == "raise":
        shown = dict(list(lost.items())[:5])
        raise DegenerateDataError(
            f"{len(lost)} of {len(names)} columns of {what} are not finite: {shown} (column: bins). Leave them out, or "
            'pass nan_policy="drop_targets" to keep them as NaN.'
        )
    return list(lost)
