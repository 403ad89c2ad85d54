"""Reads action_video_rdms: cross-validated matrices of nine areas of 15 people for 90 clips, and ten models."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodecode.similarity import as_rdm


def load(folder: Path) -> dict:
    """An entry an area (subject, stimulus, stimulus_other), hemispheres averaged, and ``models`` (model, ...)."""
    with np.load(folder / "neural_rdms.npz") as stored:
        values, areas, people = (stored[key] for key in ("rdm", "roi", "subject"))
    with np.load(folder / "model_rdms.npz") as stored:
        models, names = stored["rdm"], stored["name"].astype(str)
    clips = [f"clip_{at:02d}" for at in range(1, 91)]
    said = {"dataset": "action_video_rdms"}
    found = {
        str(area): as_rdm(
            values[:, :, at].mean(axis=1),
            stimulus=clips,
            subject=people.astype(str),
            attrs={**said, "metric": "1 - correlation, cross-validated", "roi": str(area)},
        )
        for at, area in enumerate(areas)
    }
    found["models"] = as_rdm(
        models, stimulus=clips, dims=("model",), coords={"model": names}, attrs={**said, "metric": "as published"}
    )
    return found
