"""Reads one person of the whole Haxby et al. 2001 data set."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from neurodecode.exceptions import IntegrityError
from neurodecode.sources import fmri


def load(folder: Path, subject: str = "subj2", mask: str = "mask4_vt.nii.gz", samples: str = "block") -> dict:
    """``brain`` of one person in a mask, detrended and standardised per run, ``category`` and ``run`` on sample.

    ``mask`` is a file of the person's folder, such as ``mask4_vt.nii.gz`` (ventral temporal).
    """
    home = folder / subject
    for name in ("bold.nii.gz", "labels.txt", mask):
        if not (home / name).is_file():
            raise IntegrityError(f"haxby2001: {subject}/{name} is not there; `neurodecode data fetch haxby2001`")
    labels = pd.read_csv(home / "labels.txt", sep=" ").rename(columns={"labels": "label", "chunks": "run"})
    brain = fmri.read(
        home / "bold.nii.gz",
        home / mask,
        labels=labels,
        tr=2.5,
        samples=samples,
        subject=subject,
        dataset="haxby2001",
    )
    return {"brain": brain}
