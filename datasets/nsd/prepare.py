"""Reads one person of the Natural Scenes Dataset from the folders that its data manual describes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from neurodecode._optional import require
from neurodecode.exceptions import AlignmentError, IntegrityError
from neurodecode.representation import as_representation

BETAS = "nsddata_betas/ppdata/{subject}/func1pt8mm/betas_fithrf_GLMdenoise_RR"
REGIONS = "nsddata/ppdata/{subject}/func1pt8mm/roi/{region}.nii.gz"
RESPONSES = "nsddata/ppdata/{subject}/behav/responses.tsv"


def load(folder: Path, subject: str = "subj01", region: str = "nsdgeneral", sessions: list[int] | None = None) -> dict:
    """``brain``: trial x voxel in percent signal change, from the sessions on disk (or those named, from 1).

    ``stimulus`` is ``nsd00001`` to ``nsd73000`` (the 73k ID, from 1); sample also carries ``session``, ``run`` and
    ``trial``. Voxels are those of the region file that are above zero; ``roi`` is its number there.
    """
    nibabel = require("nibabel", purpose="reading regions of NSD")
    image = nibabel.load(_there(folder / REGIONS.format(subject=subject, region=region)))
    region_values = np.asarray(image.dataobj)
    inside = region_values > 0
    i, j, k = np.nonzero(inside)
    x, y, z = (image.affine[:3, :3] @ np.stack([i, j, k]) + image.affine[:3, 3:]).round(4)
    trials = pd.read_csv(_there(folder / RESPONSES.format(subject=subject)), sep="\t")
    files = _sessions(folder / BETAS.format(subject=subject), sessions)
    values, rows = [], []
    for session, path in files.items():
        seen = trials[trials["SESSION"] == session]
        betas = _betas(path, inside)
        if len(seen) != len(betas):
            raise AlignmentError(
                f"{path.name} holds {len(betas)} trials, responses.tsv {len(seen)} of session {session}"
            )
        values.append(betas)
        rows.append(seen)
    table = pd.concat(rows)
    brain = as_representation(
        np.concatenate(values),
        stimulus=[f"nsd{number:05d}" for number in table["73KID"]],
        kind="fmri",
        sample={
            "session": table["SESSION"].to_numpy(),
            "run": table["RUN"].to_numpy(),
            "trial": table["TRIAL"].to_numpy(),
        },
        unit={
            **{"i": i, "j": j, "k": k, "x": x, "y": y, "z": z},
            "roi": region_values[inside].astype(int).astype(str),
            "subject": np.repeat(subject, len(i)),
        },
        attrs={
            "quantity": "single-trial GLM beta (fithrf_GLMdenoise_RR)",
            "units": "percent signal change",
            "affine": image.affine.tolist(),
            "shape": list(inside.shape),
            "dataset": "nsd",
        },
    )
    return {"brain": brain}


def _there(path: Path) -> Path:
    if not path.is_file():
        raise IntegrityError(f"nsd: {path.name} is not in {path.parent}; the card says which folders to copy")
    return path


def _sessions(folder: Path, wanted: list[int] | None) -> dict[int, Path]:
    found = {int(path.stem[-2:]): path for path in sorted(folder.glob("betas_session[0-9][0-9].hdf5"))}
    missing = sorted(set(wanted or []) - set(found))
    if missing or not found:
        raise IntegrityError(f"nsd: sessions {missing or 'of this person'} are not in {folder}")
    return found if wanted is None else {session: found[session] for session in wanted}


def _betas(path: Path, inside: np.ndarray) -> np.ndarray:
    """Trial x voxel (percent signal change). The file holds trial x z x y x x as 300-fold integers."""
    netcdf = require("netCDF4", extra="netcdf", purpose="reading HDF5 files of NSD")
    with netcdf.Dataset(path) as file:
        stored = file.variables["betas"]
        stored.set_auto_maskandscale(False)
        if tuple(stored.shape[1:]) != inside.shape[::-1]:
            raise AlignmentError(f"{path.name} has a grid of {tuple(stored.shape[:0:-1])}, the region {inside.shape}")
        column = np.full(inside.shape, -1)
        column[inside] = np.arange(int(inside.sum()))
        flat = np.empty((stored.shape[0], int(inside.sum())), np.float32)
        for z in np.flatnonzero(inside.any((0, 1))):
            slab = np.asarray(stored[:, int(z)])  # trial x y x x
            across, down = np.nonzero(inside[:, :, z])
            flat[:, column[across, down, z]] = slab[:, down, across]
    return flat / 300
