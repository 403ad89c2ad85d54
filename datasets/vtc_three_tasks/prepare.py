"""Reads vtc_three_tasks: category patterns of three people in three tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodecode.representation import as_representation

PEOPLE = ("sub1", "sub2", "sub3")


def load(folder: Path, center: bool = True) -> dict:
    """``sub1``, ``sub2``, ``sub3``: 45 category patterns x voxels, with ``category``, ``task`` and ``run`` on sample.

    ``run`` is one of nine (``oddball 1`` ...). ``center`` takes the mean over categories out of every run.
    """
    found = {}
    for person in PEOPLE:
        with np.load(folder / f"{person}.npz") as stored:
            betas, tasks, categories = stored["betas"], stored["task"].astype(str), stored["category"].astype(str)
        if center:
            betas = betas - betas.mean(axis=2, keepdims=True)
        rows = [(task.replace("_", " "), run, category)
                for task in tasks for run in range(1, betas.shape[1] + 1) for category in categories]  # fmt: skip
        n_voxels = betas.shape[-1]
        found[person] = as_representation(
            betas.reshape(-1, n_voxels),
            stimulus=[f"{task} {run}, {category}" for task, run, category in rows],
            kind="fmri",
            sample={
                "category": np.array([category for *_, category in rows]),
                "task": np.array([task for task, *_ in rows]),
                "run": np.array([f"{task} {run}" for task, run, _ in rows]),
            },
            unit={"voxel": np.arange(n_voxels)},
            attrs={
                "quantity": "GLM beta" + (", mean over categories of the run taken out" if center else ""),
                "units": "a.u.",
                "dataset": "vtc_three_tasks",
                "subject": person,
            },
        )
    return found
