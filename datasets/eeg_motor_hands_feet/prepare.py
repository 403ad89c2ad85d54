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
            microvolts = (stored["signal"] - stored["offset"][:, None]) * stored["gain"][:, None].astype(float)
            code, names, place = stored["stimulus_code"].astype(int), stored["ch_names"], stored["ch_pos"]
            rate = float(stored["sfreq"])
        raw = eeg.from_array(microvolts, sfreq=rate, channels=names, positions=place, units="uV")
        begins = np.flatnonzero((code != 0) & (np.r_[0, code[:-1]] == 0))
        events = np.stack([begins, np.zeros_like(begins), code[begins]], axis=1)
        runs[f"run {run}"] = eeg.epochs(
            raw, events=events, event_id={"hands": 1, "feet": 2}, tmin=tmin, tmax=tmax, l_freq=l_freq, h_freq=h_freq,
            decimate=decimate, recording="movement", run=run, subject="sub-01", dataset="eeg_motor_hands_feet",
        )  # fmt: skip
    return {"brain": concat(runs, dim="sample")}
