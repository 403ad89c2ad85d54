"""When things happened: repetition time, BIDS events, labels per volume, regressors per condition.

Times are seconds from the first volume of their own run. Volume k of a run is recorded from
``k * tr`` to ``(k + 1) * tr``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .._names import lookup
from .._optional import require
from ..exceptions import TimingError
from ..representation import as_representation, plain

PLAUSIBLE_TR = (0.05, 30.0)
_SLACK = 1e-6


def repetition_time(given: float | None, header: float | None = None, unit: str = "unknown") -> float | None:
    """The repetition time in seconds, or None where nobody states one.

    A header whose unit of time is unknown and whose value is 0 or 1 says nothing (it is what programs
    write when they were told nothing). Milliseconds and microseconds are believed when the header says so.

    Parameters
    ----------
    given : what the caller says, in seconds, or None.
    header : the fourth voxel size of the image, in its own unit.
    unit : the header's unit of time: sec, msec, usec or unknown.

    Raises
    ------
    TimingError : not a time; milliseconds given as seconds; more than 1 % between the two.

    Examples
    --------
    >>> repetition_time(None, 2500.0, "msec")
    2.5
    >>> repetition_time(2.0, 1.0, "unknown")
    2.0
    """
    stated = _header_seconds(header, unit)
    if given is None:
        if stated is not None and not PLAUSIBLE_TR[0] <= stated <= PLAUSIBLE_TR[1]:
            raise TimingError(
                f"the header says tr = {stated:g} s, which no scanner does{_milliseconds(stated)}. Pass tr= in seconds."
            )
        return stated
    seconds = float(given)
    if not np.isfinite(seconds) or seconds <= 0:
        raise TimingError(f"tr={given!r} is not a time in seconds.")
    if not PLAUSIBLE_TR[0] <= seconds <= PLAUSIBLE_TR[1]:
        raise TimingError(
            f"tr={seconds:g} s is not plausible{_milliseconds(seconds)}; "
            f"expected {PLAUSIBLE_TR[0]:g} to {PLAUSIBLE_TR[1]:g} s"
            + (f", and the header says {stated:g} s." if stated is not None else ".")
        )
    if stated is not None and PLAUSIBLE_TR[0] <= stated <= PLAUSIBLE_TR[1] and abs(seconds - stated) > 0.01 * stated:
        raise TimingError(
            f"tr={seconds:g} s was given and the header says {stated:g} s, {abs(seconds / stated - 1):.0%} apart. "
            "Leave tr out to believe the header, or correct the header if it is wrong."
        )
    return seconds


def read_events(
    events: Any,
    n_volumes: Mapping[Any, int],
    tr: float,
    *,
    invalid: str = "raise",
    overlap: str = "raise",
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """A checked table of events (onset, duration, trial_type, run) and the list of those left out.

    Parameters
    ----------
    events : BIDS table (path to tsv or csv, DataFrame), or one per run in the order of ``n_volumes``.
    n_volumes : number of volumes of each run, in order.
    tr : seconds.
    invalid : ``"raise"`` or ``"drop"`` for events that are not finite, lie outside their run or name no
        condition or no known run; what is dropped is returned, with the reason, never forgotten.
    overlap : the same for events that begin before the previous one of their run has ended; ``"keep"``
        leaves them (regressors may overlap, labels may not).

    Raises
    ------
    TimingError : any such event, with its row, its times and the reason.
    """
    lookup({"raise": 0, "drop": 0}, invalid, "invalid", callables=False)
    lookup({"raise": 0, "drop": 0, "keep": 0}, overlap, "overlap", callables=False)
    table = _events_table(events, list(n_volumes))
    faults: dict[int, str] = {}
    for row in range(len(table)):
        reason = _fault(table.iloc[row], n_volumes, tr)
        if reason:
            faults[row] = reason
    if faults and invalid == "raise":
        raise TimingError(_listing(table, faults, "cannot be placed in the recording") + ' or pass invalid="drop".')
    kept = table.drop(index=list(faults))
    position = {run: place for place, run in enumerate(n_volumes)}
    order = sorted(kept.index, key=lambda row: (position[kept.at[row, "run"]], kept.at[row, "onset"], row))
    if order != list(kept.index) and invalid == "raise":
        first = next(row for row, wanted in zip(kept.index, order) if row != wanted)
        raise TimingError(
            f"events are not in order of run and onset (row {first}: run {kept.at[first, 'run']}, onset "
            f'{kept.at[first, "onset"]:g} s). Sort the table, or pass invalid="drop", which sorts it.'
        )
    kept = kept.loc[order]
    crossing = {} if overlap == "keep" else _overlaps(kept)
    if crossing and overlap == "raise" and invalid == "raise":
        raise TimingError(
            _listing(table, crossing, "overlap") + ' or pass invalid="drop" (or overlap="keep" for regressors).'
        )
    kept = kept.drop(index=list(crossing)).reset_index(drop=True)
    dropped = [
        {
            "row": int(row),
            "run": str(table.at[row, "run"]),
            "onset": _number(table.at[row, "onset"]),
            "trial_type": str(table.at[row, "trial_type"]),
            "reason": reason,
        }
        for row, reason in sorted({**faults, **crossing}.items())
    ]
    if not len(kept):
        raise TimingError("no event is left: " + "; ".join(f"row {d['row']}: {d['reason']}" for d in dropped[:5]))
    return kept, dropped


def events_to_labels(
    events: Any,
    n_volumes: Mapping[Any, int],
    tr: float,
    *,
    rest: str = "rest",
    delay: float = 0.0,
    invalid: str = "raise",
) -> pd.DataFrame:
    """One label per volume: the condition whose event covers the volume's onset, else ``rest``.

    Volume k of a run gets an event's ``trial_type`` when ``onset <= k tr - delay < onset + duration``.

    Parameters
    ----------
    events : BIDS table or path, or one per run.
    n_volumes : number of volumes of each run, in order.
    tr : seconds.
    rest : the label of volumes in no event.
    delay : seconds by which labels are moved later, to wait for the blood (4 to 6 s is usual).
    invalid : ``"raise"`` or ``"drop"`` (then listed in ``table.attrs["dropped"]``).

    Returns
    -------
    DataFrame with ``label``, ``run``, ``event`` (number of the event, -1 at rest), one row per volume.

    Raises
    ------
    TimingError : an event that cannot be placed, overlaps another, or is so short that no volume begins in it.

    Examples
    --------
    >>> table = pd.DataFrame({"onset": [2.0], "duration": [4.0], "trial_type": ["face"], "run": [1]})
    >>> events_to_labels(table, {1: 4}, tr=2.0)["label"].tolist()
    ['rest', 'face', 'face', 'rest']
    """
    table, dropped = read_events(events, n_volumes, tr, invalid=invalid)
    start = dict(zip(n_volumes, np.concatenate([[0], np.cumsum(list(n_volumes.values()))[:-1]])))
    total = int(sum(n_volumes.values()))
    labels = np.full(total, rest, dtype=object)
    number = np.full(total, -1)
    for row, event in enumerate(table.itertuples(index=False)):
        first = int(np.ceil((event.onset + delay) / tr - _SLACK))
        stop = min(int(np.ceil((event.onset + event.duration + delay) / tr - _SLACK)), n_volumes[event.run])
        if stop <= first:
            reason = f"no volume begins within its {event.duration:g} s"
            if invalid == "raise":
                raise TimingError(
                    f"event at {event.onset:g} s of run {event.run} ({event.trial_type}): {reason}. Labels per volume "
                    'cannot show it: use fmri.design for regressors, or pass invalid="drop".'
                )
            dropped.append(
                {
                    "row": row,
                    "run": str(event.run),
                    "onset": float(event.onset),
                    "trial_type": str(event.trial_type),
                    "reason": reason,
                }
            )
            continue
        window = slice(start[event.run] + max(first, 0), start[event.run] + stop)
        labels[window] = event.trial_type
        number[window] = row
    runs = [run for run, n in n_volumes.items() for _ in range(n)]
    found = pd.DataFrame({"label": labels.astype(str), "run": runs, "event": number})
    found.attrs["dropped"] = dropped
    return found


def design(
    events: Any, like: xr.DataArray, *, hrf: str | None = None, invalid: str = "raise", overlap: str = "keep"
) -> xr.DataArray:
    """One regressor per condition on the samples of a recording: features for an encoding model.

    Without ``hrf`` a value is the share of the volume that the condition's events cover,
    ``x_k = |[k tr, (k + 1) tr) and event| / tr``; delays are then left to ``linear.Delays``. With ``hrf`` the
    events are convolved with that response (nilearn).

    Parameters
    ----------
    events : BIDS table or path (onset, duration in s, trial_type, run), or one per run.
    like : the recording, one volume per sample, with ``onset`` (s in the run), ``run`` and ``attrs["tr"]``.
    hrf : None, or a response of nilearn: ``"glover"``, ``"spm"`` and their derivatives.
    invalid, overlap : as in `read_events`.

    Returns
    -------
    DataArray sample x unit, ``condition`` on unit, ``kind="features"``.

    Raises
    ------
    TimingError : events that cannot be placed, or a condition whose regressor would be zero throughout.
    """
    tr = like.attrs.get("tr")
    if tr is None or "onset" not in like.coords or "run" not in like.coords:
        raise TimingError('the recording states no attrs["tr"], onset or run; a design needs all three.')
    onsets, runs = np.asarray(like["onset"].values, dtype=float), like["run"].values
    names = list(dict.fromkeys(runs.tolist()))
    n_volumes = {run: round(float(onsets[runs == run].max()) / tr) + 1 for run in names}
    table, dropped = read_events(events, n_volumes, tr, invalid=invalid, overlap=overlap)
    conditions = list(dict.fromkeys(sorted(table["trial_type"])))
    columns: dict[str, list[np.ndarray]] = {condition: [] for condition in conditions}
    for run in names:
        frames = np.arange(n_volumes[run]) * tr
        wanted = np.round(onsets[runs == run] / tr).astype(int)
        for condition in conditions:
            own = table[(table["run"] == run) & (table["trial_type"] == condition)]
            for place, column in enumerate(_regressor(own, frames, tr, hrf)):
                if len(columns[condition]) <= place:
                    columns[condition].append(np.full(len(runs), np.nan))
                columns[condition][place][runs == run] = column[wanted]
    flat = [condition for condition in conditions if not np.any(columns[condition][0])]
    if flat:
        raise TimingError(
            f"the regressors of {flat} would be zero on every sample of the recording: their events lie in volumes "
            'that it does not hold (read it with drop=() and samples="volume").'
        )
    sample = {name: like[name].values for name in ("run", "onset", "session", "subject") if name in like.coords}
    kept = [(condition, place) for condition in conditions for place in range(len(columns[condition]))]
    values = np.stack([columns[condition][place] for condition, place in kept], axis=1)
    return as_representation(
        values.astype(plain(like).dtype),
        stimulus=like["stimulus"].values,
        kind="features",
        unit={"condition": np.array([c for c, _ in kept]), "basis": np.array([p for _, p in kept])},
        sample=sample,
        attrs={
            "quantity": "regressor",
            "units": "share of a volume" if hrf is None else "a.u.",
            "tr": float(tr),
            "dropped": dropped,
            "history": [f"design of {len(table)} events, hrf={hrf}", f"{len(dropped)} events left out"],
        },
    )


def _regressor(events: pd.DataFrame, frames: np.ndarray, tr: float, hrf: str | None) -> list[np.ndarray]:
    if hrf is None:
        covered = np.zeros(len(frames))
        for event in events.itertuples(index=False):
            stop = event.onset + event.duration
            covered += np.clip(np.minimum(stop, frames + tr) - np.maximum(event.onset, frames), 0, None)
            if event.duration == 0:
                covered[min(int(event.onset / tr + _SLACK), len(frames) - 1)] += tr
        return [covered / tr]
    first_level = require("nilearn.glm.first_level", purpose="convolving events with a haemodynamic response")
    if not len(events):
        basis = 1 + hrf.count("derivative") + hrf.count("dispersion")
        return [np.zeros(len(frames)) for _ in range(basis)]
    condition = np.stack([events["onset"], events["duration"], np.ones(len(events))]).astype(float)
    columns, _ = first_level.compute_regressor(condition, hrf, frames)
    return list(np.asarray(columns).T)


def _events_table(events: Any, runs: list[Any]) -> pd.DataFrame:
    if isinstance(events, Sequence) and not isinstance(events, (str, Path)):
        if len(events) != len(runs):
            raise TimingError(f"{len(events)} tables of events for {len(runs)} runs; give one per run.")
        parts = [_events_table(part, [run]).assign(run=run) for part, run in zip(events, runs)]
        return pd.concat(parts, ignore_index=True)
    if isinstance(events, (str, Path)):
        separator = "," if str(events).endswith(".csv") else "\t"
        events = pd.read_csv(events, sep=separator, na_values=["n/a"], keep_default_na=False, dtype={"trial_type": str})
    if not isinstance(events, pd.DataFrame):
        raise TypeError(f"events: expected a table, a path or a list of them, got {type(events).__name__}.")
    missing = [name for name in ("onset", "duration", "trial_type") if name not in events.columns]
    if missing:
        raise ValueError(f"events lack the columns {missing}; they have {list(events.columns)}.")
    table = events.reset_index(drop=True).copy()
    for name in ("onset", "duration"):
        table[name] = pd.to_numeric(table[name], errors="coerce").astype(float)
    if "run" not in table.columns:
        if len(runs) != 1:
            raise ValueError(f"events have no column 'run' and the recording has {len(runs)} runs: say which is which.")
        table["run"] = runs[0]
    table["run"] = run_names(table["run"], like=runs)
    return table


def run_names(given: Any, like: Sequence[Any]) -> list[Any]:
    """Names of runs in the type of ``like``: text stays text, and ``"1"`` meets ``1``."""
    known = {str(name): name for name in like}
    text = [str(int(name)) if isinstance(name, float) and name.is_integer() else str(name) for name in given]
    return [known.get(written, name) for written, name in zip(text, given)]


def _fault(event: pd.Series, n_volumes: Mapping[Any, int], tr: float) -> str | None:
    onset, duration, run = event["onset"], event["duration"], event["run"]
    if run not in n_volumes:
        return f"the recording has no run {run}"
    if pd.isna(event["trial_type"]) or str(event["trial_type"]) == "":
        return "it names no trial_type"
    if not np.isfinite(onset):
        return "its onset is not a number"
    if not np.isfinite(duration) or duration < 0:
        return f"its duration is {duration:g}"
    if onset < 0:
        return f"its onset {onset:g} s is negative"
    end = n_volumes[run] * tr
    if onset >= end - _SLACK:
        hint = " (milliseconds given as seconds?)" if onset / 1000 < end and onset > 10 * end else ""
        return f"its onset {onset:g} s lies after the end of the run at {end:g} s{hint}"
    if onset + duration > end + tr + _SLACK:
        return f"it ends at {onset + duration:g} s, after the end of the run at {end:g} s"
    return None


def _overlaps(events: pd.DataFrame) -> dict[int, str]:
    found: dict[int, str] = {}
    for _, own in events.groupby("run", sort=False):
        end, before = -np.inf, None
        for row in own.index:
            onset, duration = own.at[row, "onset"], own.at[row, "duration"]
            if onset < end - _SLACK:
                found[row] = f"it begins at {onset:g} s, before {before} has ended at {end:g} s"
                continue
            end, before = onset + duration, own.at[row, "trial_type"]
    return found


def _listing(table: pd.DataFrame, faults: Mapping[int, str], what: str) -> str:
    rows = [
        f"row {row} (run {table.at[row, 'run']}, {table.at[row, 'trial_type']}): {reason}"
        for row, reason in list(faults.items())[:5]
    ]
    more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
    return f"{len(faults)} of {len(table)} events {what}: " + "; ".join(rows) + more + ". Correct them,"


def _header_seconds(header: float | None, unit: str) -> float | None:
    if header is None or not np.isfinite(header) or header <= 0:
        return None
    if unit == "unknown" and float(header) == 1.0:
        return None
    # Headers keep 32-bit numbers: 2.2 is stored as 2.2000000477; six digits are what they know.
    return float(f"{float(header) * {'msec': 1e-3, 'usec': 1e-6}.get(unit, 1.0):.6g}")


def _milliseconds(value: float) -> str:
    return f" (it looks like milliseconds: {value / 1000:g} s)" if 100 <= value <= 30000 else ""


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
