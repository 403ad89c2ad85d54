"""Reads eeg_p300_speller: epochs after every flash, with the letter they belong to and what flashed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodecode.exceptions import IntegrityError
from neurodecode.sources import eeg

DURING = 2


def load(
    folder: Path,
    tmin: float = 0.0,
    tmax: float = 0.8,
    l_freq: float | None = 0.5,
    h_freq: float | None = 20.0,
    decimate: int = 8,
) -> dict:
    """``brain``: flash x channel x time in volts; ``category`` target or nontarget, ``code``, ``letter`` (from 1).

    ``attrs["matrix"]`` holds the letters of the matrix, ``attrs["text"]`` what was copied.
    """
    with np.load(folder / "run1.npz") as stored:
        phase, matrix, text = stored["phase"], stored["matrix"], str(stored["text"])
    found = eeg.epochs(
        folder / "run1_raw.fif", event_id=["target", "nontarget"], tmin=tmin, tmax=tmax, l_freq=l_freq, h_freq=h_freq,
        decimate=decimate, recording="run1", subject="sub-01", dataset="eeg_p300_speller",
    )  # fmt: skip
    begins = np.flatnonzero((phase == DURING) & (np.r_[0, phase[:-1]] != DURING))
    place = np.rint(found["onset"].values * 256).astype(int)
    letter = np.searchsorted(begins, place, side="right")
    if len(begins) != len(text) or letter.min() < 1:
        raise IntegrityError(f"{len(begins)} letters were spelled, and the text {text!r} has {len(text)}.")
    code = np.array([int(name.split("code")[1]) for name in found["event"].values])
    found = found.assign_coords(letter=("sample", letter), code=("sample", code))
    found.attrs |= {"matrix": matrix.tolist(), "text": text}
    return {"brain": found}
