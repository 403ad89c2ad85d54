"""Reads haxby2001_slice through nilearn: the slice, or the whole brain at 25 mm."""

from __future__ import annotations

from pathlib import Path

from neurodecode.sources import fmri


def load(
    folder: Path,
    samples: str = "block",
    grid: str = "slice",
    detrend: bool = True,
    standardize: bool = True,
    drop: tuple[str, ...] = ("rest",),
) -> dict:
    """``brain``: 72 blocks (or volumes) x voxels, with ``category`` and ``run`` on sample.

    ``samples`` is ``"block"`` or ``"volume"``; ``grid`` is ``"slice"`` (530 voxels) or ``"25mm"`` (129 voxels);
    ``drop=()`` keeps rest, which stands between the blocks.
    """
    files = {
        "slice": ("bold_1slice.nii.gz", "mask_1slice_brain.nii.gz"),
        "25mm": ("bold_25mm.nii.gz", "mask_25mm_brain.nii.gz"),
    }
    if grid not in files:
        raise ValueError(f"grid={grid!r}; choose 'slice' or '25mm'")
    bold, mask = files[grid]
    brain = fmri.read(
        folder / bold,
        folder / mask,
        labels=folder / "labels.csv",
        tr=2.5,
        detrend=detrend,
        standardize=standardize,
        samples=samples,
        drop=drop,
        subject="subj1",
        dataset="haxby2001_slice",
    )
    return {"brain": brain}
