"""Reads one person of the Natural Scenes Dataset from the folders that its data manual describes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neurodecode._optional import require
from neurodecode.exceptions import AlignmentError, IntegrityError
from neurodecode.representation import as_representation

BETAS = "nsddata_betas/ppdata/{subject}/func1pt8mm/betas_fithrf_GLMdenoise_RR"
REGIONS = "nsddata/ppdata/{subject}/func1pt8mm/roi/{region}.nii.gz"
RESPONSES = "nsddata/ppdata/{subject}/behav/responses.tsv"
DESIGN = "nsddata/experiments/nsd/nsd_expdesign.mat"
PICTURES = "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
PARTS = ("brain", "areas", "shared", "pictures")
# Numbers in the region files of the functional localisers and of the mapping of receptive fields.
AREAS = {
    "prf-visualrois": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"),
    "floc-bodies": ("EBA", "FBA-1", "FBA-2", "mTL-bodies"),
    "floc-faces": ("OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"),
    "floc-places": ("OPA", "PPA", "RSC"),
    "floc-words": ("OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"),
}
HEMISPHERES = {"lh": "left", "rh": "right"}


def load(
    folder: Path,
    subject: str = "subj01",
    region: str = "nsdgeneral",
    sessions: list[int] | None = None,
    parts: tuple[str, ...] = ("brain",),
) -> dict:
    """The ``parts`` asked for; see :func:`load_brain`, :func:`areas`, :func:`shared` and :class:`Pictures`."""
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise ValueError(f"nsd has no part {unknown[0]!r}; it has {', '.join(PARTS)}")
    makers = {
        "brain": lambda: load_brain(folder, subject, region, sessions),
        "areas": lambda: areas(folder, subject, region),
        "shared": lambda: shared(folder),
        "pictures": lambda: Pictures(_there(folder / PICTURES)),
    }
    return {part: makers[part]() for part in parts}


def needed(folder: Path, subject: str = "subj01", sessions: list[int] | None = None) -> list[Path]:
    """Every file that a study of one person with areas and pictures reads; IntegrityError names the first lacking.

    Without ``sessions`` those that ``responses.tsv`` lists.
    """
    table = _there(folder / RESPONSES.format(subject=subject))
    if sessions is None:
        sessions = sorted(pd.read_csv(table, sep="\t")["SESSION"].unique().tolist())
    names = [DESIGN, PICTURES, REGIONS.format(subject=subject, region="nsdgeneral")]
    names += [
        REGIONS.format(subject=subject, region=f"{side}.{one}")
        for side in HEMISPHERES
        for one in ("nsdgeneral", *AREAS)
    ]
    names += [f"{BETAS.format(subject=subject)}/betas_session{session:02d}.hdf5" for session in sessions]
    return [table, *(_there(folder / name) for name in names)]


def areas(folder: Path, subject: str, region: str = "nsdgeneral") -> xr.DataArray:
    """Boolean (area, unit): 24 areas a hemisphere and what is left of it, over the voxels of ``region``.

    ``area`` names ``left V1v`` ... ``right mTL-words``, ``left rest``, ``right rest``. A voxel may belong to areas of
    several localisers. An area that a person lacks is False everywhere.
    """
    inside = _region(folder, subject, region) > 0
    rows = {}
    for code, side in HEMISPHERES.items():
        for family, names in AREAS.items():
            numbers = _region(folder, subject, f"{code}.{family}")[inside]
            rows |= {f"{side} {name}": numbers == number for number, name in enumerate(names, start=1)}
        own = np.any([row for name, row in rows.items() if name.startswith(side)], axis=0)
        rows[f"{side} rest"] = (_region(folder, subject, f"{code}.nsdgeneral")[inside] > 0) & ~own
    return xr.DataArray(np.stack(list(rows.values())), dims=("area", "unit"), coords={"area": list(rows)})


def shared(folder: Path) -> np.ndarray:
    """Names of the pictures that all people were shown, ``nsd00001`` and so on."""
    from scipy.io import loadmat

    design = loadmat(_there(folder / DESIGN))
    return np.array([f"nsd{number:05d}" for number in np.sort(design["sharedix"].ravel().astype(int))])


class Pictures:
    """The pictures on disk, uint8 (n, row, column, colour): read one by one when they are indexed by their names."""

    def __init__(self, path: Path) -> None:
        netcdf = require("netCDF4", extra="netcdf", purpose="reading HDF5 files of NSD")
        self.file = netcdf.Dataset(path)
        self.stored = self.file.variables["imgBrick"]
        self.stored.set_auto_maskandscale(False)
        self.shape = tuple(self.stored.shape)

    def of(self, names: Iterable[str]) -> Chosen:
        """Some pictures in an order of one's own; names count from nsd00001."""
        rows = np.array([int(str(name).removeprefix("nsd")) - 1 for name in names])
        if len(rows) and (rows.min() < 0 or rows.max() >= self.shape[0]):
            raise AlignmentError(f"the file holds {self.shape[0]} pictures, nsd{rows.max() + 1:05d} was asked for")
        return Chosen(self.stored, rows)


class Chosen:
    """Pictures at some rows of the file; a slice of it is an array."""

    def __init__(self, stored: Any, rows: np.ndarray) -> None:
        self.stored, self.rows = stored, rows
        self.shape, self.ndim, self.dtype = (len(rows), *stored.shape[1:]), 4, np.dtype("uint8")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: Any) -> np.ndarray:
        rows = np.atleast_1d(self.rows[chosen])
        return np.stack([np.asarray(self.stored[int(row)]) for row in rows]).astype(np.uint8)


def load_brain(folder: Path, subject: str, region: str, sessions: list[int] | None) -> xr.DataArray:
    """Trial x voxel in percent signal change, from the sessions on disk (or those named, from 1).

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
    return as_representation(
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


def _region(folder: Path, subject: str, region: str) -> np.ndarray:
    nibabel = require("nibabel", purpose="reading regions of NSD")
    return np.asarray(nibabel.load(_there(folder / REGIONS.format(subject=subject, region=region))).dataobj)


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
