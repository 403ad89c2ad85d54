"""Reads cifar10_images: 2000 labelled pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodecode.sources import stimuli


def load(folder: Path) -> dict:
    """``pictures``: (2000, 32, 32, 3) uint8 with ``category`` on sample; ``stimulus`` is the file each came from."""
    with np.load(folder / "images.npz") as stored:
        images, labels, names, files = (stored[key] for key in ("images", "labels", "class_names", "source_files"))
    pictures = stimuli.read(
        images,
        names.astype(str)[labels],
        stimulus=files.astype(str),
        duplicates="allow",
        dataset="cifar10_images",
    )
    return {"pictures": pictures}
