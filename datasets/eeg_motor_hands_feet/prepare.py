"""Reads eeg_motor_hands_feet: one epoch per movement, both runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodecode.representation import concat
from neurodecode.sources import eeg


def load(
    folder: Path,
    tmin: float = 0.5,
    tmax: float = 4.09375,
    l_freq: float | None = 8.0,
    h_freq: float | None = 30.0,
    decimate: int = 1,
) -> dict:
    """``brain``: movement x channel x time in volts, with ``category`` (hands, feet) and ``run`` (1, 2)."""
    runs = {}
    for run in (1, 2):
        with np.load(folder / f"run{run}.npz") as stored:
            raw = eeg.from_array(
                stored["signal"], sfreq=float(stored["sfreq"]), channels=stored["ch_names"],
                positions=stored["ch_pos"], units="uV", gain=stored["gain"], offset=stored["offset"],
            )  # fmt: skip
            events = eeg.from_codes(stored["stimulus_code"])
        runs[f"run {run}"] = eeg.epochs(
            raw, events=events, event_id={"hands": 1, "feet": 2}, tmin=tmin, tmax=tmax, l_freq=l_freq, h_freq=h_freq,
            decimate=decimate, recording="movement", run=run, subject="sub-01", dataset="eeg_motor_hands_feet",
        )  # fmt: skip
    return {"brain": concat(runs, dim="sample")}
