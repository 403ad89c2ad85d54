"""Reads eeg_oddball_p300: one epoch per letter."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodecode.sources import eeg


def load(
    folder: Path,
    tmin: float = -0.1,
    tmax: float = 0.8,
    l_freq: float | None = 0.5,
    h_freq: float | None = 20.0,
    decimate: int = 8,
) -> dict:
    """``brain``: letter x channel x time in volts, with ``category`` X (the rare target) or O."""
    with np.load(folder / "run1.npz") as stored:
        raw = eeg.from_array(
            stored["signal"], sfreq=float(stored["sfreq"]), channels=stored["ch_names"], positions=stored["ch_pos"],
            units="uV", gain=stored["gain"], offset=stored["offset"],
        )  # fmt: skip
        events = eeg.from_codes(stored["stimulus_code"])
    found = eeg.epochs(
        raw, events=events, event_id={"X": 1, "O": 2}, tmin=tmin, tmax=tmax, l_freq=l_freq, h_freq=h_freq,
        decimate=decimate, recording="run1", subject="sub-01", dataset="eeg_oddball_p300",
    )  # fmt: skip
    return {"brain": found}
