"""The channels of a recording: arrays become an mne Raw, channels are chosen, bad ones set aside, rank is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from .._names import lookup
from .._numbers import numbers_of
from .._optional import require
from ..exceptions import AlignmentError, DegenerateDataError, TimingError

KINDS = {"eeg": ("eeg", "V"), "mag": ("meg", "T"), "grad": ("meg", "T/m"), "ecog": ("ecog", "V"), "seeg": ("seeg", "V")}
VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6}
LARGEST = 5e-3
RANK_TOLERANCE = 1e-10


def from_array(
    values: Any,
    *,
    sfreq: float,
    channels: Sequence[str],
    positions: Any = None,
    units: str = "V",
    kind: str = "eeg",
    bads: Sequence[str] = (),
    gain: Any = None,
    offset: Any = None,
) -> Any:
    """A continuous recording that is an array, as ``epochs`` takes it.

    Parameters
    ----------
    values : (channels, samples). sfreq : samples per second.
    channels : one name per channel.
    positions : (channels, 3) metres in head coordinates (x right, y front, z up); the name of a standard montage of
        mne, such as ``"standard_1005"``; or None.
    units : ``"V"``, ``"mV"`` or ``"uV"``; values are kept in volts.
    kind : ``"eeg"``, ``"ecog"`` or ``"seeg"``. bads : names of bad channels.
    gain, offset : where an amplifier's numbers are stored, one each per channel: ``(values - offset) * gain`` is in
        ``units``.

    Returns
    -------
    mne.io.RawArray.

    Raises
    ------
    AlignmentError : names, positions, gains or offsets that do not fit the channels.
    DegenerateDataError : values that are not finite, or that cannot be volts.

    Examples
    --------
    >>> raw = from_array(np.random.default_rng(0).normal(size=(2, 500)), sfreq=100, channels=["Cz", "Pz"], units="uV")
    >>> raw.ch_names
    ['Cz', 'Pz']
    """
    mne = require("mne", purpose="reading EEG")
    lookup({name: name for name, (_, unit) in KINDS.items() if unit == "V"}, kind, "kind", callables=False)
    scale = lookup(VOLTS, units, "units", callables=False)
    data = np.asarray(values)
    names = [str(name) for name in channels]
    if data.ndim != 2 or data.dtype.kind not in "biuf":
        raise AlignmentError(f"values are {data.dtype} {data.shape}; expected numbers (channels, samples).")
    if len(names) != len(data) or len(set(names)) != len(names):
        hint = " Are they samples x channels?" if len(names) == data.shape[1] else ""
        raise AlignmentError(f"{len(names)} names ({len(set(names))} different) for {len(data)} channels.{hint}")
    if not isinstance(sfreq, Real) or not (np.isfinite(sfreq) and sfreq > 0):
        raise TimingError(f"sfreq={sfreq!r} is no rate in samples per second.")
    data = data.astype(np.float64)
    if offset is not None:
        data -= _each("offset", offset, len(data))
    if gain is not None:
        data *= _each("gain", gain, len(data))
    data *= scale
    check_finite_channels(data, names)
    spread = float(np.median(data.std(axis=1)))
    if spread > LARGEST:
        raise DegenerateDataError(
            f"half of the channels vary by more than {spread:.2g} V, and no scalp does; are the values in microvolts? "
            f"units={units!r} was given; pass units='uV'."
        )
    raw = mne.io.RawArray(data, mne.create_info(names, float(sfreq), kind), verbose="ERROR")
    if isinstance(positions, str):
        raw.set_montage(positions, verbose="ERROR")
    elif positions is not None:
        xyz = np.asarray(positions, dtype=float)
        if xyz.shape != (len(names), 3):
            raise AlignmentError(f"positions of shape {xyz.shape} for {len(names)} channels; expected (channels, 3).")
        if np.nanmax(np.abs(xyz)) > 1:
            raise AlignmentError(f"positions reach {np.nanmax(np.abs(xyz)):g}; a head is no such size in metres.")
        raw.set_montage(mne.channels.make_dig_montage(dict(zip(names, xyz)), coord_frame="head"), verbose="ERROR")
    mark_bad(raw, bads)
    return raw


def _each(name: str, given: Any, n: int) -> np.ndarray:
    """A number for each channel, as a column."""
    found = numbers_of(given, name, "a number for each channel")
    if found.shape not in ((), (n,)):
        raise AlignmentError(f"{name} has the shape {found.shape}; expected one number for each of {n} channels.")
    return np.broadcast_to(found, (n,))[:, None]


def chosen_channels(mne: Any, data: Any, picks: Any, bads: Sequence[str], how: str) -> tuple[Any, list[str], list[str]]:
    """A loaded copy of the channels asked for, the names of the bad ones, and what was done about them."""
    known = list(data.ch_names)
    held = data.copy()
    mark_bad(held, bads)
    if isinstance(picks, str):
        lookup({**dict.fromkeys(KINDS, 0), "meg": 0}, picks, "picks", callables=False)
        types = held.get_channel_types()
        wanted = ("mag", "grad") if picks == "meg" else (picks,)
        names = [one for one, type_ in zip(known, types) if type_ in wanted]
        if not names:
            raise AlignmentError(f"there is no {picks} channel; there are {dict(pd.Series(types).value_counts())}.")
    else:
        names = [str(one) for one in picks]
        unknown = [one for one in names if one not in known]
        if unknown:
            raise AlignmentError(f"picks: there is no channel {', '.join(unknown)}; there are {', '.join(known)}.")
    bad = [one for one in held.info["bads"] if one in names]
    history = []
    if how == "leave out" and bad:
        names = [one for one in names if one not in bad]
        history.append(f"bad channels left out: {', '.join(bad)}")
        if not names:
            raise DegenerateDataError(f"all {len(bad)} channels are marked bad: {', '.join(bad)}.")
    held.pick(names, verbose="ERROR")
    with mne.use_log_level("ERROR"):
        held.load_data()
    if how == "interpolate" and bad:
        places = {one["ch_name"]: np.asarray(one["loc"][:3], dtype=float) for one in held.info["chs"]}
        without = [one for one, xyz in places.items() if not np.isfinite(xyz).all() or not xyz.any()]
        if without:
            raise AlignmentError(f"interpolating needs positions; {', '.join(without[:5])} have none: set a montage.")
        held.interpolate_bads(reset_bads=True, verbose="ERROR")
        history.append(f"bad channels interpolated: {', '.join(bad)}")
    return held, bad, history


def mark_bad(data: Any, bads: Sequence[str]) -> None:
    names = [bads] if isinstance(bads, str) else [str(one) for one in bads]
    unknown = [one for one in names if one not in data.ch_names]
    if unknown:
        raise AlignmentError(f"bads: there is no channel {', '.join(unknown)}; there are {', '.join(data.ch_names)}.")
    data.info["bads"] = list(dict.fromkeys([*data.info["bads"], *names]))


def kind_of(data: Any) -> tuple[str, str]:
    types = set(data.get_channel_types())
    if len(types) > 1 or not types <= set(KINDS):
        raise AlignmentError(
            f"the channels are of the kinds {sorted(types)}, which have different units; pick one of {list(KINDS)}."
        )
    return KINDS[types.pop()]


def check_finite_channels(values: np.ndarray, names: Sequence[str]) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        which = [names[int(at)] for at in np.flatnonzero(bad.any(axis=1))]
        raise DegenerateDataError(
            f"{int(bad.sum())} values are not finite, in the channels {', '.join(which[:5])}"
            f"{' and more' if len(which) > 5 else ''}; mark the channels bad, or annotate and cut the stretch."
        )


def limits(given: float | Mapping[str, float] | None, data: Any) -> dict[str, float] | None:
    if given is None or isinstance(given, Mapping):
        return None if given is None else dict(given)
    return {kind: float(given) for kind in set(data.get_channel_types())}


def rank_of(values: np.ndarray) -> int:
    """How many channels are independent: eigenvalues of their correlation matrix above the rounding of its largest."""
    flat = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    size = np.linalg.norm(flat, axis=1)
    flat = flat[size > 0] / size[size > 0, None]
    if not len(flat):
        return 0
    found = np.linalg.eigvalsh(flat @ flat.T)
    return int((found > RANK_TOLERANCE * found[-1]).sum())
