"""Reads object2vec_objects: voxels, AlexNet components, word vectors, and the 630 pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodecode.representation import as_representation
from neurodecode.sources import stimuli


def load(folder: Path, pictures: bool = True) -> dict:
    """``brain`` (63 x 1870), ``alexnet`` (63 x 20), ``words`` (63 x 30) and, on request, ``pictures`` (630).

    Samples are categories (``stimulus``, ``category``, and ``fold``, the authors' sets); voxels carry ``roi``.
    """
    with np.load(folder / "fmri_subj001.npz") as stored:
        held = {key: stored[key] for key in stored.files}
    names = held["conditions"].astype(str)
    sample = {"category": names, "fold": held["fold"].astype(int)}

    def features(key: str, space: str) -> object:
        values = held[key]
        return as_representation(
            values,
            stimulus=names,
            kind="features",
            sample=sample,
            unit={"space": np.repeat(space, values.shape[1]), "component": np.arange(values.shape[1])},
            attrs={"quantity": "principal component", "units": "a.u.", "dataset": "object2vec_objects"},
        )

    areas = held["roi_names"].astype(str)[held["roi_index"].astype(int) - 1]
    found = {
        "brain": as_representation(
            held["betas"],
            stimulus=names,
            kind="fmri",
            sample=sample,
            unit={"roi": areas, "subject": np.repeat("subj001", len(areas))},
            attrs={"quantity": "GLM beta, mean of ten pictures", "units": "a.u.", "dataset": "object2vec_objects"},
        ),
        "alexnet": features("alexnet_pcs", "alexnet"),
        "words": features("word2vec_pcs", "word2vec"),
    }
    if pictures:
        found["pictures"] = stimuli.read(
            folder / "images_96px", folder / "images.csv", duplicates="allow", dataset="object2vec_objects"
        )
    return found
