"""Reads vangerven2010_digits: voxels of V1 to V3 and the digits that were seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodecode.representation import as_representation


def load(folder: Path) -> dict:
    """``brain`` (90 x 3092) and ``pixels`` (90 x 784 pixels, 0 to 1), with ``category`` six or nine on sample."""
    with np.load(folder / "digits69.npz") as stored:
        voxels, digits, label = stored["fmri"], stored["stimulus_28x28"], stored["label"]
    names = [f"trial{trial:02d}" for trial in range(len(label))]
    category = np.where(label == 6, "six", "nine")
    row, column = np.divmod(np.arange(28 * 28), 28)
    brain = as_representation(
        voxels,
        stimulus=names,
        kind="fmri",
        sample={"category": category},
        attrs={"quantity": "response", "units": "a.u.", "dataset": "vangerven2010_digits"},
    )
    pixels = as_representation(
        digits.reshape(len(label), -1).astype(np.float32) / 255,
        stimulus=names,
        kind="features",
        sample={"category": category},
        unit={"space": np.repeat("pixel", 784), "row": row, "column": column},
        attrs={"quantity": "luminance", "units": "0 to 1", "dataset": "vangerven2010_digits"},
    )
    return {"brain": brain, "pixels": pixels}
