"""Reads cichy_fmri_rdms_92: matrices of two areas of 15 people for 92 pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodecode.similarity import as_rdm


def load(folder: Path) -> dict:
    """``EVC`` and ``IT``: (subject, stimulus, stimulus_other); stimuli are named like the picture files."""
    names = sorted(path.stem for path in (folder / "images").glob("*.jpg"))
    found = {}
    for area in ("EVC", "IT"):
        with np.load(folder / f"rdm_{area}.npz") as stored:
            values = stored["rdm"]
        found[area] = as_rdm(
            values,
            stimulus=names,
            subject=[f"person {at:02d}" for at in range(1, len(values) + 1)],
            attrs={"dataset": "cichy_fmri_rdms_92", "metric": "1 - correlation", "roi": area},
        )
    return found
