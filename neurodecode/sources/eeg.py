"""EEG and MEG around events become a representation: sample (epoch) x unit (channel) x time.

`epochs` cuts a continuous recording (mne Raw, a file, or an array through `from_array`), `from_epochs` takes what mne
has cut already, `bids` finds the recording in a BIDS folder. Filtering, rejection and interpolation are mne's. Every
event that gives no epoch is listed in ``attrs["dropped"]`` with the reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .._names import lookup
from .._numbers import amount
from .._optional import require
from ..exceptions import DegenerateDataError, NeurodecodeWarning, TimingError
from ..representation import as_representation
from .eeg_channels import check_finite_channels, chosen_channels, from_array, kind_of, limits, rank_of
from .eeg_events import OWN, event_table, from_codes

__all__ = ["bids", "epochs", "from_array", "from_codes", "from_epochs"]

REASONS = {
    "TOO_SHORT": "its window reaches over the end of the recording",
    "NO_DATA": "its window begins before the recording or after its end",
    "USER": "it was dropped by hand",
    "EQUALIZED_COUNT": "it was dropped to make the counts equal",
}


def epochs(
    raw: Any,
    *,
    events: Any = None,
    event_id: Any = None,
    tmin: float,
    tmax: float,
    l_freq: float | None = None,
    h_freq: float | None = None,
    decimate: int = 1,
    baseline: tuple[float | None, float | None] | None = None,
    reject: float | Mapping[str, float] | None = None,
    flat: float | Mapping[str, float] | None = None,
    reference: Any = None,
    picks: Any = "eeg",
    bads: Sequence[str] = (),
    bad_channels: str = "leave out",
    reject_by_annotation: bool = True,
    invalid: str = "raise",
    recording: str | None = None,
    run: Any = None,
    subject: str | None = None,
    dataset: str | None = None,
) -> xr.DataArray:
    """Cut a continuous recording around its events: sample (epoch) x unit (channel) x time, in volts.

    In this order: bad channels, re-referencing, filter of the whole recording, cutting, baseline, rejection, every
    ``decimate``-th time from ``tmin`` on.

    Parameters
    ----------
    raw : mne Raw, a path that mne reads (.fif, .edf, .bdf, .vhdr, .set ...), or what ``from_array`` gave.
    events : None for the annotations; (n, 3) numbers as mne has them (sample, previous value, code); or a table or path
        with ``onset`` (s from the first sample) and ``trial_type``. Its other columns become sample coordinates;
        ``stimulus`` names what was shown.
    event_id : {category: code, description, or a list of them}, a list of names, or None for every event. A name also
        stands for what begins with it: ``"target"`` takes ``target/code3``.
    tmin, tmax : first and last time of an epoch, seconds from the event.
    l_freq, h_freq : edges of the pass band in Hz (mne's FIR filter without delay); None leaves that side open.
    decimate : keeps every so-manieth time. What the filter leaves above half the new rate folds back; that edge stands
        in ``attrs["folds_above"]`` (Hz) where there is any.
    baseline : (start, stop) in seconds whose mean is subtracted per epoch and channel.
    reject, flat : largest and smallest peak-to-peak amplitude of an epoch, in volts, or {channel type: value}.
    reference : None, ``"average"``, or names of channels. The average reference costs one rank.
    picks : ``"eeg"``, ``"mag"``, ``"grad"``, ``"ecog"``, ``"seeg"``, or names of channels of one kind.
    bads : bad channels beside those that the recording names. ``bad_channels``: ``"leave out"``, ``"interpolate"``
        (spherical splines, needs positions) or ``"keep"``.
    reject_by_annotation : leave out epochs that overlap an annotation that begins with "bad".
    invalid : ``"raise"`` or ``"drop"`` for events that are not finite, outside of the recording, unsorted or double.
    recording : first part of the epochs' names; the file's name by default. run, subject : coordinates.

    Returns
    -------
    DataArray (sample, unit, time) in volts (tesla for MEG). On sample ``stimulus`` (unique, unless the table names
    it), ``category``, ``event`` (the description or code), ``onset`` (s from the first sample), ``run``; on unit
    ``channel``, ``subject``, ``x y z`` (metres) where known; ``time`` in s. In attrs ``sfreq`` (after decimation),
    ``rank``, ``bads``, ``band`` (Hz), ``reference``, ``dropped`` (row, onset, trial_type and reason of every event
    asked for that gave no epoch), ``other_events`` (counts).

    Raises
    ------
    TimingError : events that cannot be placed; a window that is empty or longer than the recording.
    AlignmentError : unknown channels, channels of several kinds, no positions to interpolate from.
    DegenerateDataError : values that are not finite, no channel, no epoch left (with the reasons).
    MissingExtraError : mne is not there.

    Warns
    -----
    NeurodecodeWarning : decimation without any low-pass filter; what mne warns of.

    References
    ----------
    Gramfort et al. (2013), Frontiers in Neuroscience 7:267 (mne); Widmann, Schroeger & Maess (2015), Journal of
    Neuroscience Methods 250 (filters); Perrin et al. (1989), EEG and Clinical Neurophysiology 72 (splines).

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(2, 1000))
    >>> raw = from_array(noise, sfreq=100, channels=["Cz", "Pz"], units="uV")
    >>> events = pd.DataFrame({"onset": [1.0, 3.0, 9.9], "trial_type": ["a", "b", "a"]})
    >>> X = epochs(raw, events=events, event_id=["a", "b"], tmin=-0.1, tmax=0.4)
    >>> X.shape, X["category"].values.tolist(), X.attrs["dropped"][0]["reason"]
    ((2, 2, 51), ['a', 'b'], 'its window reaches over the end of the recording')
    """
    mne = require("mne", purpose="reading EEG")
    lookup({"leave out": 0, "interpolate": 0, "keep": 0}, bad_channels, "bad_channels", callables=False)
    name = _name(raw, recording)
    opened = _open(mne, raw)
    _check_window(opened, tmin, tmax, decimate, baseline)
    _check_filter(opened, l_freq, h_freq)
    table, dropped, others = event_table(opened, events, event_id, invalid=invalid)
    held, bad, history = chosen_channels(mne, opened, picks, bads, bad_channels)
    kind = kind_of(held)
    check_finite_channels(held.get_data(verbose="ERROR"), held.ch_names)
    history += _prepared(held, reference, l_freq, h_freq)
    lowpass = float(held.info["lowpass"])
    _check_folding(held, decimate)
    numbers = np.stack([table["place"] + held.first_samp, np.zeros(len(table)), np.arange(len(table)) + 1], axis=1)
    with _said():
        cut = mne.Epochs(
            held, numbers.astype(int), None, tmin, tmax, baseline=baseline, decim=int(decimate), preload=True,
            reject=limits(reject, held), flat=limits(flat, held), reject_by_annotation=reject_by_annotation,
            proj=True, picks="all", verbose="ERROR",
        )  # fmt: skip
    lost = {at: _why(said) for at, said in enumerate(cut.drop_log) if said}
    dropped = dropped + [_lost(table, at, why) for at, why in lost.items()]
    if not len(cut):
        raise DegenerateDataError(f"none of {len(table)} epochs is left: {_counted(dropped)}.")
    table = table.iloc[cut.events[:, 2] - 1].reset_index(drop=True)
    new_rate = float(cut.info["sfreq"])
    history += _cut_as(f"{len(table)} epochs from {tmin:g} to {tmax:g} s", len(dropped), decimate, baseline)
    attrs = {
        **_said_of(kind, new_rate, bad, history, dataset),
        "band": [float(held.info["highpass"]), lowpass],
        "reference": "as recorded" if reference is None else reference,
        "dropped": dropped,
        "other_events": others,
    }
    if lowpass > new_rate / 2:
        attrs["folds_above"] = new_rate / 2
    return _represent(cut, table, name, run, subject, attrs)


def _prepared(held: Any, reference: Any, l_freq: float | None, h_freq: float | None) -> list[str]:
    """Refer and filter a recording in place; what was done."""
    history = []
    with _said():
        if reference is not None:
            held.set_eeg_reference(reference, verbose="ERROR")
            history.append(f"referred to {reference}")
        if l_freq is not None or h_freq is not None:
            held.filter(l_freq, h_freq, verbose="ERROR")
            history.append(f"filtered, {_band(l_freq, h_freq)}")
    return history


def _cut_as(what: str, lost: int, decimate: int, baseline: Any) -> list[str]:
    """How epochs were cut, for the history."""
    said = [f"cut {what}, {lost} events left out"]
    said += [f"every {decimate}th time kept"] if decimate > 1 else []
    return said + ([f"baseline {baseline}"] if baseline is not None else [])


def _check_folding(held: Any, decimate: int) -> None:
    """Warn where times are left out of a recording that may hold frequencies too high for what is left."""
    lowpass, sfreq = float(held.info["lowpass"]), float(held.info["sfreq"])
    if decimate > 1 and lowpass > 0.499 * sfreq:
        warnings.warn(
            f"every {decimate}th time is kept and nothing says that the recording was low-pass filtered: what lies "
            f"above {sfreq / decimate / 2:g} Hz folds back. Pass h_freq=.",
            NeurodecodeWarning,
            stacklevel=3,
        )


def from_epochs(
    cut: Any,
    *,
    picks: Any = "eeg",
    bad_channels: str = "leave out",
    recording: str | None = None,
    run: Any = None,
    subject: str | None = None,
    dataset: str | None = None,
) -> xr.DataArray:
    """Epochs that mne has cut already (an ``mne.Epochs``, or the path of a ``-epo.fif``).

    Categories are the names in ``event_id``, columns of ``metadata`` become sample coordinates, and what the drop log
    lists is in ``attrs["dropped"]``. Everything else is as ``epochs`` has it.

    Raises
    ------
    DegenerateDataError : no epoch is left. AlignmentError : unknown channels or several kinds.

    Examples
    --------
    >>> import mne
    >>> info = mne.create_info(["Cz", "Pz"], 100.0, "eeg")
    >>> values = np.random.default_rng(0).normal(size=(3, 2, 50)) * 1e-6
    >>> from_epochs(mne.EpochsArray(values, info, event_id={"a": 1}, verbose="ERROR"))["category"].values.tolist()
    ['a', 'a', 'a']
    """
    mne = require("mne", purpose="reading EEG")
    lookup({"leave out": 0, "interpolate": 0, "keep": 0}, bad_channels, "bad_channels", callables=False)
    name = _name(cut, recording)
    if isinstance(cut, (str, Path)):
        cut = mne.read_epochs(cut, verbose="ERROR")
    if not isinstance(cut, mne.BaseEpochs):
        raise TypeError(f"expected mne.Epochs or a path, got {type(cut).__name__}; a continuous recording: epochs().")
    held, bad, history = chosen_channels(mne, cut, picks, (), bad_channels)
    if not len(held):
        raise DegenerateDataError("there is no epoch left.")
    check_finite_channels(
        np.moveaxis(held.get_data(verbose="ERROR"), 1, 0).reshape(len(held.ch_names), -1), held.ch_names
    )
    known = {code: str(key) for key, code in held.event_id.items()}
    names = [known.get(code, str(code)) for code in held.events[:, 2].tolist()]
    rate = float(held.info["sfreq"])
    raw_rate = rate if getattr(held, "_raw_sfreq", None) is None else float(np.atleast_1d(held._raw_sfreq)[0])
    table = pd.DataFrame({"row": held.selection, "onset": held.events[:, 0] / raw_rate, "trial_type": names})
    table["category"] = names
    if held.metadata is not None:
        own = [column for column in held.metadata.columns if column not in OWN]
        table = pd.concat([table, held.metadata[own].reset_index(drop=True)], axis=1)
    dropped = [
        {"row": at, "onset": None, "trial_type": "", "reason": _why(said)}
        for at, said in enumerate(held.drop_log)
        if said and tuple(said) != ("IGNORED",)
    ]
    history.append(f"{len(table)} epochs cut by mne from {held.tmin:g} to {held.tmax:g} s, {len(dropped)} dropped")
    attrs = {
        **_said_of(kind_of(held), rate, bad, history, dataset),
        "band": [float(held.info["highpass"]), float(held.info["lowpass"])],
        "dropped": dropped,
    }
    return _represent(held, table, name, run, subject, attrs)


def bids(
    root: str | Path,
    *,
    subject: str,
    task: str,
    session: str | None = None,
    run: Any = None,
    datatype: str = "eeg",
    **how: Any,
) -> xr.DataArray:
    """Epochs of one recording of a BIDS folder; events and bad channels are those of its tables.

    Parameters
    ----------
    root : the BIDS folder. subject, task, session, run : its entities, without ``sub-`` and so on.
    datatype : ``"eeg"``, ``"meg"`` or ``"ieeg"``.
    how : everything else that ``epochs`` takes: ``event_id``, ``tmin``, ``tmax``, the band ...

    Raises
    ------
    MissingExtraError : mne-bids is not there (``pip install "neurodecode[bids]"``).
    FileNotFoundError : no such recording.

    References
    ----------
    Pernet et al. (2019), Scientific Data 6:103 (EEG-BIDS); Appelhoff et al. (2019), Journal of Open Source Software 4.
    """
    mne_bids = require("mne_bids", extra="bids", purpose="reading a BIDS folder of EEG")
    place = mne_bids.BIDSPath(
        root=root, subject=subject, task=task, session=session, run=run, datatype=datatype, suffix=datatype
    )
    if place.fpath.suffix == "" or not place.fpath.exists():
        raise FileNotFoundError(f"there is no recording {place.basename} in the BIDS folder {Path(root).name}.")
    with _said():
        raw = mne_bids.read_raw_bids(place, verbose="ERROR")
    raw.load_data(verbose="ERROR")
    given = {"recording": place.basename, "run": run, "subject": f"sub-{subject}", "dataset": Path(root).name}
    return epochs(raw, **{**given, **how})


def _name(raw: Any, recording: str | None) -> str:
    if recording is not None:
        return str(recording)
    if isinstance(raw, (str, Path)):
        return Path(raw).stem
    files = [one for one in getattr(raw, "filenames", None) or [] if one is not None]
    return Path(files[0]).stem if files else "recording"


def _open(mne: Any, raw: Any) -> Any:
    if isinstance(raw, (str, Path)):
        if not Path(raw).exists():
            raise FileNotFoundError(f"there is no recording {str(raw)!r}.")
        with _said():
            return mne.io.read_raw(raw, verbose="ERROR")
    if isinstance(raw, mne.BaseEpochs):
        raise TypeError("these are epochs already; pass them to eeg.from_epochs.")
    if not isinstance(raw, mne.io.BaseRaw):
        raise TypeError(
            f"raw is a {type(raw).__name__}; expected an mne Raw or a path. An array goes through "
            "eeg.from_array(values, sfreq=..., channels=...)."
        )
    return raw


def _check_window(raw: Any, tmin: float, tmax: float, decimate: int, baseline: Any) -> None:
    length = len(raw.times) / float(raw.info["sfreq"])
    tmin, tmax = (amount(one, name, None, unit="seconds") for one, name in ((tmin, "tmin"), (tmax, "tmax")))
    if not tmin < tmax:
        raise TimingError(f"an epoch from tmin={tmin!r} to tmax={tmax!r} s is empty; tmin < tmax is needed.")
    if tmax - tmin >= length:
        hint = " Are tmin and tmax in milliseconds?" if (tmax - tmin) / 1000 < length else ""
        raise TimingError(f"an epoch of {tmax - tmin:g} s is longer than the recording, {length:g} s.{hint}")
    if isinstance(decimate, bool) or int(decimate) != decimate or decimate < 1:
        raise ValueError(f"decimate={decimate!r}: a whole number from 1 is needed.")
    if baseline is not None:
        ends = tuple(baseline) if isinstance(baseline, (tuple, list, np.ndarray)) else ()
        ends = tuple(edge if one is None else one for one, edge in zip(ends, (tmin, tmax))) if len(ends) == 2 else ()
        if not ends or not all(isinstance(one, (int, float, np.number)) for one in ends):
            raise ValueError(f"baseline={baseline!r}: expected (from, to) in seconds, None for an end of the epoch.")
        if not tmin <= ends[0] <= ends[1] <= tmax:
            raise TimingError(f"baseline={baseline!r} does not lie inside the epoch, {tmin:g} to {tmax:g} s.")


def _check_filter(raw: Any, l_freq: float | None, h_freq: float | None) -> None:
    """Frequencies that make a filter which passes what lies between them, below half the sampling rate."""
    half = float(raw.info["sfreq"]) / 2
    low, high = (
        None if one is None else amount(one, name, unit="Hz") for one, name in ((l_freq, "l_freq"), (h_freq, "h_freq"))
    )
    if low is not None and high is not None and low >= high:
        raise ValueError(
            f"l_freq={l_freq!r} is not below h_freq={h_freq!r}: what lies above l_freq and below h_freq is kept. To "
            "take a band out, filter the mne Raw before it comes here."
        )
    if max(low or 0.0, high or 0.0) >= half:
        raise ValueError(f"l_freq={l_freq!r}, h_freq={h_freq!r}: expected below half the sampling rate, {half:g} Hz.")


def _band(low: float | None, high: float | None) -> str:
    return f"{'0' if low is None else f'{low:g}'} to {'open' if high is None else f'{high:g}'} Hz"


def _why(said: Sequence[str]) -> str:
    """What a drop log says of one epoch, in words."""
    first = said[0]
    if first in REASONS:
        return REASONS[first]
    if first.upper().startswith(("BAD", "EDGE")):
        return f"it overlaps the annotation {first!r}"
    channels = ", ".join(said[:5]) + (f" and {len(said) - 5} more" if len(said) > 5 else "")
    return f"amplitude out of bounds in {channels}"


def _lost(table: pd.DataFrame, at: int, reason: str) -> dict[str, Any]:
    row = table.iloc[at]
    onset, name = float(row["onset"]), str(row["trial_type"])
    return {"row": int(row["row"]), "onset": onset, "trial_type": name, "reason": reason}


def _counted(dropped: Sequence[Mapping[str, Any]]) -> str:
    counts = pd.Series([one["reason"] for one in dropped]).value_counts()
    return "; ".join(f"{n} times {reason}" for reason, n in list(counts.items())[:5])


def _said_of(
    kind: tuple[str, str], rate: float, bad: list[str], history: list[str], dataset: str | None
) -> dict[str, Any]:
    said = {
        "kind": kind[0], "quantity": "potential" if kind[1] == "V" else "field", "units": kind[1], "sfreq": rate,
        "bads": bad, "history": history,
    }  # fmt: skip
    return said | ({"dataset": dataset} if dataset is not None else {})


def _represent(
    cut: Any, table: pd.DataFrame, name: str, run: Any, subject: str | None, attrs: dict[str, Any]
) -> xr.DataArray:
    values = cut.get_data(verbose="ERROR")
    sample: dict[str, Any] = {
        "category": table["category"].to_numpy(dtype=str),
        "event": table["trial_type"].to_numpy(dtype=str),
        "onset": table["onset"].to_numpy(dtype=float),
    }
    if run is not None:
        sample["run"] = np.repeat(np.asarray([run]), len(table))
    for column in table.columns:
        if column not in (*OWN, *sample, "stimulus"):
            sample[str(column)] = table[column].to_numpy()
    between = "" if run is None else f"_run-{run}"
    stimulus = [f"{name}{between}_event-{row:04d}" for row in table["row"]]
    if "stimulus" in table.columns:
        stimulus = table["stimulus"].to_numpy(dtype=str)
    channels = cut.ch_names
    unit: dict[str, Any] = {"channel": np.array(channels)}
    if subject is not None:
        unit["subject"] = np.full(len(channels), str(subject))
    xyz = np.array([np.asarray(one["loc"][:3], dtype=float) for one in cut.info["chs"]])
    known = np.isfinite(xyz).all(axis=1) & xyz.any(axis=1)
    if known.any():
        unit |= dict(zip("xyz", np.where(known[:, None], xyz, np.nan).T))
    kind = attrs.pop("kind")
    attrs["rank"] = rank_of(values)
    # mne counts times from tmin in steps of the rate; rounding keeps 0.3 from being 0.30000000000000004.
    time = np.round(np.asarray(cut.times, dtype=float), 9)
    return as_representation(values, stimulus=stimulus, kind=kind, unit=unit, sample=sample, attrs=attrs, time=time)


@contextmanager
def _said() -> Iterator[None]:
    """What mne warns of, said as a NeurodecodeWarning; the folding of decimation is recorded instead."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for one in caught:
        text = " ".join(str(one.message).split())
        if "decim" in text or not issubclass(one.category, (RuntimeWarning, UserWarning)):
            continue
        warnings.warn(f"mne: {text}", NeurodecodeWarning, stacklevel=4)
