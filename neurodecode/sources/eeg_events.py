"""Events of a continuous recording as one checked table: from annotations, numbers or a BIDS table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .._names import lookup
from ..exceptions import TimingError

OWN = ("row", "place", "onset", "duration", "trial_type", "category")


def event_table(
    raw: Any, events: Any, event_id: Any, *, invalid: str = "raise"
) -> tuple[pd.DataFrame, list[dict[str, Any]], dict[str, int]]:
    """The events that were asked for, those that cannot be placed with the reason, and how many others there were.

    Parameters
    ----------
    raw : an mne Raw: its annotations, rate, first sample and length are read.
    events : None or ``"annotations"``; (n, 3) numbers as mne has them (sample counted like ``raw.first_samp``, previous
        value, code); a table or path with ``onset`` (s from the first sample) and ``trial_type``.
    event_id : {name: code, description or a list of them}; a list of names; None takes every event. A name also
        stands for what begins with it: ``"target"`` takes ``target/code3``.
    invalid : ``"raise"`` or ``"drop"`` for events that are not finite, outside the recording, unsorted or double.

    Returns
    -------
    table with ``row`` (number in what was given), ``place`` (sample counted from 0), ``onset`` (s), ``trial_type``,
    ``category`` and the table's own further columns; dropped; counts of the events that were not asked for.

    Raises
    ------
    TimingError : an event that cannot be placed, with its row and the reason.
    ValueError : a name in ``event_id`` without an event.
    """
    lookup({"raise": 0, "drop": 0}, invalid, "invalid", callables=False)
    table = _read(raw, events)
    category = _categories(event_id, table["trial_type"].tolist())
    table["category"] = [category.get(name, "") for name in table["trial_type"]]
    asked = table["trial_type"].isin(list(category)).to_numpy()
    others = {str(name): int(n) for name, n in table.loc[~asked, "trial_type"].value_counts(sort=False).items()}
    table = table[asked]
    faults = _faults(table, float(raw.info["sfreq"]), len(raw.times))
    advice = ' Correct them, or pass invalid="drop" to leave them out and have them listed.'
    if faults and invalid == "raise":
        raise TimingError(f"{len(faults)} of {len(table)} events cannot be placed: {listing(table, faults)}.{advice}")
    kept = table.drop(index=list(faults))
    ordered = kept.sort_values("place", kind="stable")
    if invalid == "raise" and not ordered.index.equals(kept.index):
        wrong = next(row for row, wanted in zip(kept.index, ordered.index) if row != wanted)
        raise TimingError(
            f"events are not in order of onset (row {wrong} at {kept.at[wrong, 'onset']:g} s). Sort them, or pass "
            'invalid="drop", which sorts them.'
        )
    double = ordered.index[ordered["place"].duplicated()]
    again = dict.fromkeys(double, "another event that was asked for begins at the same sample")
    if again and invalid == "raise":
        raise TimingError(f"{len(again)} events begin together with another: {listing(ordered, again)}.{advice}")
    ordered = ordered.drop(index=list(again)).astype({"place": int})
    dropped = [_entry(table, row, reason) for row, reason in sorted({**faults, **again}.items())]
    if not len(ordered):
        raise TimingError("no event is left: " + "; ".join(f"row {one['row']}: {one['reason']}" for one in dropped[:5]))
    return ordered.reset_index(drop=True), dropped, others


def from_codes(codes: Any) -> np.ndarray:
    """Events from a channel of codes that is 0 in between, as a stimulation program or a trigger channel stores them.

    An event begins where the code becomes something other than 0, from 0 or from another code.

    Parameters
    ----------
    codes : (samples,) whole numbers, in step with the recording.

    Returns
    -------
    (events, 3) sample counted from 0, code before, code: what ``epochs(events=)`` takes for a recording that begins at
    sample 0, as one from ``from_array`` does.

    Raises
    ------
    TimingError : not one whole number for each sample, or no event.

    Examples
    --------
    >>> from_codes([0, 0, 2, 2, 0, 1, 3, 0]).tolist()
    [[2, 0, 2], [5, 0, 1], [6, 1, 3]]
    """
    found = np.asarray(codes)
    whole = found.dtype.kind in "biu" or (found.dtype.kind == "f" and np.array_equal(found, np.rint(found)))
    if found.ndim != 1 or not whole:
        raise TimingError(f"codes are {found.dtype} {found.shape}; expected one whole number for each sample.")
    found = found.astype(int)
    before = np.r_[0, found[:-1]]
    begins = np.flatnonzero((found != 0) & (found != before))
    if not len(begins):
        raise TimingError(f"all of {len(found)} codes are 0: there is no event.")
    return np.stack([begins, before[begins], found[begins]], axis=1)


def listing(table: pd.DataFrame, reasons: Mapping[Any, str], most: int = 5) -> str:
    """The first few events with what is wrong with them, in one sentence."""
    said = [f"row {row} ({table.at[row, 'trial_type']}): {reason}" for row, reason in list(reasons.items())[:most]]
    return "; ".join(said) + (f"; and {len(reasons) - most} more" if len(reasons) > most else "")


def _read(raw: Any, events: Any) -> pd.DataFrame:
    """Every event: row, place (float), onset (s), duration, trial_type (text) and what else the table holds."""
    rate = float(raw.info["sfreq"])
    if events is None or (isinstance(events, str) and events == "annotations"):
        return _annotated(raw, rate)
    if isinstance(events, (str, Path)):
        if not Path(events).is_file():
            raise FileNotFoundError(f"events: there is no file {str(events)!r}.")
        separator = "," if str(events).endswith(".csv") else "\t"
        events = pd.read_csv(events, sep=separator, na_values=["n/a"], keep_default_na=False, dtype={"trial_type": str})
    if isinstance(events, pd.DataFrame):
        missing = [name for name in ("onset", "trial_type") if name not in events.columns]
        if missing:
            raise ValueError(f"the table of events lacks the columns {missing}; it has {list(events.columns)}.")
        table = events.reset_index(drop=True).copy()
        table["onset"] = pd.to_numeric(table["onset"], errors="coerce").astype(float)
        table["trial_type"] = [_text(name) for name in table["trial_type"]]
        table["place"] = np.rint(table["onset"] * rate)
        table["row"] = np.arange(len(table))
        return table
    numbers = np.asarray(events)
    if numbers.ndim != 2 or numbers.shape[1] != 3 or numbers.dtype.kind not in "iuf":
        raise ValueError(
            f"events of shape {numbers.shape} ({numbers.dtype}); expected (n, 3): sample, previous value, code. "
            "Or a table with onset in seconds and trial_type, or None for the annotations."
        )
    place = numbers[:, 0].astype(float) - raw.first_samp
    finite = np.isfinite(place)
    if finite.any() and not np.array_equal(place[finite], np.rint(place[finite])):
        raise TimingError("events[:, 0] counts samples, and some are no whole numbers; seconds belong in a table.")
    names = [_text(code) for code in numbers[:, 2].tolist()]
    return pd.DataFrame(
        {"row": np.arange(len(place)), "place": place, "onset": place / rate, "duration": 0.0, "trial_type": names}
    )


def _annotated(raw: Any, rate: float) -> pd.DataFrame:
    """Annotations as events, those that mark bad or joined stretches left out."""
    said = raw.annotations
    names = np.array([str(name) for name in said.description], dtype=str)
    mark = np.array([not name.lower().startswith(("bad", "edge")) for name in names], dtype=bool)
    if not mark.any():
        raise ValueError(
            f"the recording has no annotations to take as events ({len(names)} mark bad stretches); pass events=."
        )
    onset = np.asarray(said.onset, dtype=float)[mark] - raw.first_time
    return pd.DataFrame(
        {
            "row": np.flatnonzero(mark),
            "place": np.rint(onset * rate),
            "onset": onset,
            "duration": np.asarray(said.duration, dtype=float)[mark],
            "trial_type": names[mark],
        }
    )


def _text(name: Any) -> str:
    if isinstance(name, float):
        return str(int(name)) if np.isfinite(name) and name.is_integer() else "" if np.isnan(name) else str(name)
    return "" if name is None else str(name)


def _categories(event_id: Any, names: Sequence[str]) -> dict[str, str]:
    """{trial_type: category} of the events that were asked for."""
    there = list(dict.fromkeys(name for name in names if name))
    if event_id is None:
        return {name: name for name in there}
    if isinstance(event_id, str):
        event_id = [event_id]
    if not isinstance(event_id, Mapping):
        event_id = {str(name): str(name) for name in event_id}
    coded = all(name.lstrip("-").isdigit() for name in there)
    found: dict[str, str] = {}
    for category, given in event_id.items():
        wanted = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
        # Numbers that mne gave to named annotations say nothing here: the names do.
        if not coded and all(not isinstance(one, str) for one in wanted):
            wanted = [str(category)]
        texts = [_text(one) for one in wanted]
        mine = [name for name in there if any(name == text or name.startswith(f"{text}/") for text in texts)]
        lost = [text for text in texts if not any(name == text or name.startswith(f"{text}/") for name in there)]
        if lost:
            raise ValueError(f"event_id: there is no event {', '.join(map(repr, lost))}; there are {there[:12]}.")
        for name in mine:
            if found.setdefault(name, str(category)) != str(category):
                raise ValueError(f"event_id: {name!r} belongs to {found[name]!r} and to {category!r}; name it once.")
    if not found:
        raise ValueError("event_id names no event.")
    return found


def _faults(table: pd.DataFrame, rate: float, n_times: int) -> dict[Any, str]:
    end, found = n_times / rate, {}
    for row, onset, place in zip(table.index, table["onset"], table["place"]):
        if not np.isfinite(onset):
            found[row] = "its onset is not a number"
        elif place < 0:
            found[row] = f"its onset {onset:g} s lies before the recording"
        elif place >= n_times:
            hint = " (milliseconds given as seconds?)" if onset > 10 * end and onset / 1000 < end else ""
            found[row] = f"its onset {onset:g} s lies after the end of the recording at {end:g} s{hint}"
    return found


def _entry(table: pd.DataFrame, row: Any, reason: str) -> dict[str, Any]:
    onset = float(table.at[row, "onset"])
    return {
        "row": int(table.at[row, "row"]),
        "onset": onset if np.isfinite(onset) else None,
        "trial_type": str(table.at[row, "trial_type"]),
        "reason": reason,
    }
