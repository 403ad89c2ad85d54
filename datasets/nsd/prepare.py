"""Reads one person of the Natural Scenes Dataset from the folders that its data manual describes."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neurodecode._optional import require
from neurodecode.exceptions import AlignmentError, IntegrityError
from neurodecode.representation import as_representation

SPACES = ("func1pt8mm", "fsaverage")
BETAS = "nsddata_betas/ppdata/{subject}/{space}/betas_fithrf_GLMdenoise_RR"
REGIONS = "nsddata/ppdata/{subject}/func1pt8mm/roi/{region}.nii.gz"
RESPONSES = "nsddata/ppdata/{subject}/behav/responses.tsv"
DESIGN = "nsddata/experiments/nsd/nsd_expdesign.mat"
PICTURES = "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
COMMON_LABELS = "nsddata/freesurfer/fsaverage/label/{side}.{region}.mgz"
OWN_LABELS = "nsddata/freesurfer/{subject}/label/{side}.{region}.mgz"
TO_COMMON = "nsddata/ppdata/{subject}/transforms/{side}.white-to-fsaverage.mgz"
PEOPLE = tuple(f"subj{number:02d}" for number in range(1, 9))
PARTS = ("files", "brain", "areas", "shared", "pictures", "design")
BUCKET = "s3://natural-scenes-dataset"
NAMED = 6  # missing files that an error names
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
    space: str = "func1pt8mm",
) -> dict:
    """The ``parts`` asked for, of voxels (``func1pt8mm``) or of vertices of the common surface (``fsaverage``).

    ``files``: every file that the others read, looked for and listed; ``design``: one row a trial. See
    :func:`load_brain`, :func:`areas`, :func:`shared` and :class:`Pictures` for the others.
    """
    for name, given, known in (("part", parts, PARTS), ("space", (space,), SPACES), ("person", (subject,), PEOPLE)):
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ValueError(f"nsd has no {name} {unknown[0]!r}; it has {', '.join(known)}")
    read = load_brain if space == "func1pt8mm" else load_surface
    makers = {
        "files": lambda: needed(folder, subject, sessions, space),
        "brain": lambda: read(folder, subject, region, sessions),
        "areas": lambda: areas(folder, subject, region, space),
        "shared": lambda: shared(folder),
        "pictures": lambda: Pictures(_there(folder, PICTURES)),
        "design": lambda: design(folder, subject, sessions),
    }
    return {part: makers[part]() for part in parts}


def needed(
    folder: Path, subject: str = "subj01", sessions: list[int] | None = None, space: str = "func1pt8mm"
) -> list[Path]:
    """Every file that a study of one person with areas and pictures reads; IntegrityError names those that lack.

    Without ``sessions`` those that ``responses.tsv`` lists.
    """
    names = [RESPONSES.format(subject=subject), DESIGN, PICTURES]
    for side in HEMISPHERES:
        if space == "fsaverage":
            names.append(COMMON_LABELS.format(side=side, region="nsdgeneral"))
            names.append(TO_COMMON.format(subject=subject, side=side))
            names += [OWN_LABELS.format(subject=subject, side=side, region=family) for family in AREAS]
        else:
            regions = ("nsdgeneral", *AREAS)
            names += [REGIONS.format(subject=subject, region=f"{side}.{region}") for region in regions]
    if space == "func1pt8mm":
        names.append(REGIONS.format(subject=subject, region="nsdgeneral"))
    if sessions is None and (folder / names[0]).is_file():
        sessions = sorted(pd.read_csv(folder / names[0], sep="\t")["SESSION"].unique().tolist())
    betas = BETAS.format(subject=subject, space=space)
    for session in sessions or [1]:
        names += [f"{betas}/{name}" for name in _beta_names(session, space)]
    lacking = [name for name in names if not (folder / name).is_file()]
    if lacking:
        raise IntegrityError(_missing(folder, lacking, len(names)))
    return [folder / name for name in names]


def _missing(folder: Path, lacking: list[str], of: int) -> str:
    """One paragraph: which files, where they belong, where they come from."""
    named = ", ".join(lacking[:NAMED]) + (f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else "")
    where = "" if folder.is_dir() else f" There is no folder {folder.name} in {folder.parent}."
    if (folder.parent / "nsddata").is_dir():
        where = f" {folder.parent} itself holds nsddata: name that folder nsd, or put a link called nsd beside it."
    first, more = ("it", "") if len(lacking) == 1 else ("the first", ", and the others alike")
    return (
        f"nsd: {len(lacking)} of {of} files are not in {folder}: {named}.{where} Each lies at the same path in "
        f"{BUCKET}; after agreeing to the terms at http://naturalscenesdataset.org copy {first} with `aws s3 cp "
        f"--no-sign-request {BUCKET}/{lacking[0]} {folder / lacking[0]}`{more}."
    )


def design(folder: Path, subject: str, sessions: list[int] | None = None) -> pd.DataFrame:
    """One row a trial of the sessions: SESSION, RUN, TRIAL, 73KID (the picture, from 1) and more."""
    table = pd.read_csv(_there(folder, RESPONSES.format(subject=subject)), sep="\t")
    return table if sessions is None else table[table["SESSION"].isin(sessions)]


def areas(folder: Path, subject: str, region: str = "nsdgeneral", space: str = "func1pt8mm") -> xr.DataArray:
    """Boolean (area, unit): 24 areas a hemisphere and what is left of it, over the units of ``region``.

    ``area`` names ``left V1v`` ... ``right mTL-words``, ``left rest``, ``right rest``. A unit may belong to areas of
    several localisers. An area that a person lacks is False everywhere. On the common surface the labels of the
    person's own surface are taken over vertex by vertex (``white-to-fsaverage``, counted from 1).
    """
    rows = {}
    inside = _region(folder, subject, region) > 0 if space == "func1pt8mm" else _common(folder, region)
    for code, side in HEMISPHERES.items():
        if space == "fsaverage":
            step = _surface(folder, TO_COMMON.format(subject=subject, side=code)).astype(int) - 1
        for family, names in AREAS.items():
            if space == "func1pt8mm":
                numbers = _region(folder, subject, f"{code}.{family}")[inside]
            else:
                own = _surface(folder, OWN_LABELS.format(subject=subject, side=code, region=family))
                if step.min() < 0 or step.max() >= len(own):
                    raise AlignmentError(f"{code}.white-to-fsaverage.mgz points outside {code}.{family}.mgz")
                numbers = np.concatenate([
                    own[step][mine] if other == code else np.zeros(mine.sum()) for other, mine in inside.items()
                ])  # fmt: skip
            rows |= {f"{side} {name}": numbers == number for number, name in enumerate(names, start=1)}
        known = np.any([row for name, row in rows.items() if name.startswith(side)], axis=0)
        if space == "func1pt8mm":
            here = _region(folder, subject, f"{code}.nsdgeneral")[inside] > 0
        else:
            here = np.concatenate([np.full(int(mine.sum()), other == code) for other, mine in inside.items()])
        rows[f"{side} rest"] = here & ~known
    return xr.DataArray(np.stack(list(rows.values())), dims=("area", "unit"), coords={"area": list(rows)})


def shared(folder: Path) -> np.ndarray:
    """Names of the pictures that all people were shown, ``nsd00001`` and so on."""
    from scipy.io import loadmat

    found = loadmat(_there(folder, DESIGN))
    return np.array([f"nsd{number:05d}" for number in np.sort(found["sharedix"].ravel().astype(int))])


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

    def at(self, places: np.ndarray) -> Chosen:
        """Some of them, still on the disk."""
        return Chosen(self.stored, self.rows[places])

    def __getitem__(self, chosen: Any) -> np.ndarray:
        rows = np.atleast_1d(self.rows[chosen])
        return np.stack([np.asarray(self.stored[int(row)]) for row in rows]).astype(np.uint8)


def load_brain(folder: Path, subject: str, region: str, sessions: list[int] | None) -> xr.DataArray:
    """Trial x voxel in percent signal change, from the sessions on disk (or those named, from 1).

    ``stimulus`` is ``nsd00001`` to ``nsd73000`` (the 73k ID, from 1); sample also carries ``session``, ``run`` and
    ``trial``. Voxels are those of the region file that are above zero; ``roi`` is its number there.
    """
    nibabel = require("nibabel", purpose="reading regions of NSD")
    image = nibabel.load(_there(folder, REGIONS.format(subject=subject, region=region)))
    region_values = np.asarray(image.dataobj)
    inside = region_values > 0
    i, j, k = np.nonzero(inside)
    x, y, z = (image.affine[:3, :3] @ np.stack([i, j, k]) + image.affine[:3, 3:]).round(4)
    values, table = _trials(folder, subject, "func1pt8mm", sessions, lambda path: _betas(path, inside))
    return _labelled(
        values,
        table,
        unit={
            **{"i": i, "j": j, "k": k, "x": x, "y": y, "z": z},
            "roi": region_values[inside].astype(int).astype(str),
            "subject": np.repeat(subject, len(i)),
        },
        attrs={
            "affine": image.affine.tolist(),
            "shape": list(inside.shape),
        },
    )


def _labelled(values: np.ndarray, table: Any, unit: dict[str, Any], attrs: dict[str, Any]) -> xr.DataArray:
    """Trials with what was shown and when."""
    said = {"quantity": "single-trial GLM beta (fithrf_GLMdenoise_RR)", "units": "percent signal change"}
    return as_representation(
        values,
        stimulus=[f"nsd{number:05d}" for number in table["73KID"]],
        kind="fmri",
        sample={name.lower(): table[name].to_numpy() for name in ("SESSION", "RUN", "TRIAL")},
        unit=unit,
        attrs={**said, **attrs, "dataset": "nsd"},
    )


def load_surface(folder: Path, subject: str, region: str, sessions: list[int] | None) -> xr.DataArray:
    """Trial x vertex of the common surface in percent signal change: the vertices of ``region``, left before right.

    As :func:`load_brain`, with ``hemi`` and ``vertex`` on unit in the place of voxels.
    """
    inside = _common(folder, region)
    values, table = _trials(folder, subject, "fsaverage", sessions, lambda path: _surface_betas(path, inside))
    return _labelled(
        values,
        table,
        unit={
            "hemi": np.concatenate([np.repeat(HEMISPHERES[side], mine.sum()) for side, mine in inside.items()]),
            "vertex": np.concatenate([np.flatnonzero(mine) for mine in inside.values()]),
            "subject": np.repeat(subject, sum(mine.sum() for mine in inside.values())),
        },
        attrs={
            "n_vertices": {HEMISPHERES[side]: len(mine) for side, mine in inside.items()},
        },
    )


def _trials(
    folder: Path, subject: str, space: str, sessions: list[int] | None, read: Callable[[Path], np.ndarray]
) -> tuple[np.ndarray, pd.DataFrame]:
    """Responses of all sessions, one row a trial, and what was shown."""
    table = design(folder, subject)
    values, rows = [], []
    for session, path in _sessions(folder / BETAS.format(subject=subject, space=space), sessions, space).items():
        seen, betas = table[table["SESSION"] == session], read(path)
        if len(seen) != len(betas):
            raise AlignmentError(
                f"{path.name} holds {len(betas)} trials, responses.tsv {len(seen)} of session {session}"
            )
        values.append(betas)
        rows.append(seen)
    return np.concatenate(values), pd.concat(rows)


def _region(folder: Path, subject: str, region: str) -> np.ndarray:
    nibabel = require("nibabel", purpose="reading regions of NSD")
    return np.asarray(nibabel.load(_there(folder, REGIONS.format(subject=subject, region=region))).dataobj)


def _surface(folder: Path, name: str) -> np.ndarray:
    """One number a vertex."""
    return _mgh(_there(folder, name)).ravel()


def _mgh(path: Path) -> np.ndarray:
    """The numbers of a FreeSurfer file, which nibabel would leave open."""
    freesurfer = require("nibabel.freesurfer", purpose="reading surfaces of NSD")
    with gzip.open(path) if path.suffix == ".mgz" else path.open("rb") as file:
        return np.asarray(freesurfer.MGHImage.from_stream(file).dataobj)


def _common(folder: Path, region: str) -> dict[str, np.ndarray]:
    """Boolean (vertices,) of the common surface, for each hemisphere."""
    return {side: _surface(folder, COMMON_LABELS.format(side=side, region=region)) > 0 for side in HEMISPHERES}


def _there(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise IntegrityError(_missing(folder, [name], 1))
    return folder / name


def _beta_names(session: int, space: str) -> list[str]:
    if space == "func1pt8mm":
        return [f"betas_session{session:02d}.hdf5"]
    return [f"{side}.betas_session{session:02d}.mgh" for side in HEMISPHERES]


def _sessions(folder: Path, wanted: list[int] | None, space: str) -> dict[int, Path]:
    pattern = "betas_session[0-9][0-9].hdf5" if space == "func1pt8mm" else "lh.betas_session[0-9][0-9].mgh"
    found = {int(path.stem[-2:]): path for path in sorted(folder.glob(pattern))}
    missing = sorted(set(wanted or []) - set(found))
    if missing or not found:
        raise IntegrityError(f"nsd: sessions {missing or 'of this person'} are not in {folder}")
    return found if wanted is None else {session: found[session] for session in wanted}


def _surface_betas(path: Path, inside: dict[str, np.ndarray]) -> np.ndarray:
    """Trial x vertex (percent signal change) from the files of both hemispheres, vertex x 1 x 1 x trial."""
    parts = []
    for side, mine in inside.items():
        own = path.with_name(path.name.replace("lh.", f"{side}.", 1))
        if not own.is_file():
            raise IntegrityError(f"nsd: {own.name} is not in {own.parent}, beside that of the other hemisphere")
        stored = _mgh(own)
        if stored.shape[0] != len(mine):
            raise AlignmentError(f"{own.name} has {stored.shape[0]} vertices, the region {len(mine)}")
        parts.append(stored.reshape(len(mine), -1)[mine].T.astype(np.float32))
    return np.concatenate(parts, axis=1)


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
