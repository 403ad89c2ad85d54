"""Functional MRI becomes a representation, and any result per voxel becomes an image again.

`read` takes a NIfTI recording and a mask, `read_surface` GIFTI files; both detrend, standardise and remove
confounds within each run through nilearn, name every sample, and keep where each unit lies. `to_image` and
`to_gifti` are the way back. `events_to_labels` and `design` turn BIDS events into labels or regressors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .._optional import require
from ..exceptions import AlignmentError, DegenerateDataError
from .cleaning import Cleaning, read_confounds
from .events import design, events_to_labels, read_events, repetition_time
from .sampling import DEFAULT_DROP, label_table, represent
from .space import (
    area_names,
    check_signal,
    load_image,
    mask_on_grid,
    overlap_fraction,
    positions,
    same_grid,
    values_of,
)
from .surface import read_surface, to_gifti

__all__ = [
    "design",
    "events_to_labels",
    "overlap_fraction",
    "read",
    "read_events",
    "read_surface",
    "to_gifti",
    "to_image",
]


def read(
    img: Any,
    mask: Any,
    *,
    labels: Any = None,
    events: Any = None,
    runs: Sequence[Any] | None = None,
    tr: float | None = None,
    detrend: bool = True,
    standardize: bool | str = True,
    confounds: Any = None,
    confound_columns: Sequence[str] | None = None,
    high_pass: float | None = None,
    samples: str = "volume",
    drop: Sequence[str] = DEFAULT_DROP,
    atlas: Any = None,
    atlas_labels: Any = None,
    resample: bool = False,
    trim: str | None = None,
    invalid: str = "raise",
    nan_policy: str = "raise",
    subject: str | None = None,
    dataset: str | None = None,
    dtype: Any = np.float32,
) -> xr.DataArray:
    """The voxels of a mask as a representation: sample (volume or block) x unit (voxel).

    Every run is cleaned by itself, ``z = (x - line - confounds b) / sd``, with all its volumes, rest included; only
    then are the conditions in ``drop`` left out and blocks averaged.

    Parameters
    ----------
    img : path or nibabel image with four dimensions (x, y, z, volume), or a list of them, one per run.
    mask : path, image or nilearn masker on the same grid.
    labels : table (DataFrame, csv, tsv) with one row per volume: ``label``, ``run`` and any further columns, which
        become coordinates on sample; ``stimulus`` names what was shown, ``time_s`` is checked against the
        repetition time. A list of tables, one per image, is taken too.
    events : instead, a BIDS table (``onset`` and ``duration`` in s, ``trial_type``, ``run``).
    runs : names of the runs where neither labels nor the list of images gives them: one per image or per volume.
    tr : repetition time in seconds; None takes the header's, and what is given is compared with it.
    detrend, standardize : within each run; ``standardize`` is True (z), ``"percent"`` of the run's mean, or False.
    confounds : table, array or path with one row per volume (or one per run); see ``confound_columns``.
    high_pass : Hz; slower cosines are removed as well.
    samples : ``"volume"``, or ``"block"`` for the mean over unbroken volumes of one label in one run.
    drop : labels left out after cleaning.
    atlas, atlas_labels : areas as ``roi`` on unit; an image of whole numbers and their names, or {area: mask}.
    resample : allow mask and atlas to be brought onto the recording's grid by nearest neighbour.
    trim : ``"end"`` cuts the longer of labels and recording at its end.
    invalid : ``"raise"`` or ``"drop"`` for events that cannot be placed; dropped ones stand in ``attrs["dropped"]``.
    nan_policy : ``"raise"``, or ``"drop_targets"`` for voxels that are not finite (kept as NaN and ``masked``).
    subject : whose voxels these are, as ``subject`` on unit.

    Returns
    -------
    DataArray (sample, unit). On sample: ``stimulus`` (unique: run and volume, or run, condition and ordinal),
    ``run``, ``category``, ``onset`` (s from the first volume of its run), ``volume`` (number within the run), for
    blocks ``n_volumes`` and ``duration`` (s). On unit: ``i j k`` (voxel index), ``x y z`` (mm), ``roi``. In attrs
    ``tr``, ``affine`` (4 x 4), ``shape``, ``history``. Constant voxels stay, as zeros once standardised.

    Raises
    ------
    AlignmentError : mask empty, beside the image or on another grid; labels and confounds that disagree.
    TimingError : labels and volumes differ in number; repetition times differ; events outside their run.
    DegenerateDataError : values that are not finite; runs too short to be cleaned.

    References
    ----------
    Haxby et al. (2001), Science 293:2425, note 19, for block patterns; Lindquist et al. (2019), Human Brain Mapping
    40:2358, for removing drifts and confounds in one step; Gorgolewski et al. (2016), Scientific Data 3:160044 (BIDS).

    Examples
    --------
    >>> import nibabel, pandas
    >>> noise = np.random.default_rng(0).normal(100, 1, (2, 2, 1, 12))
    >>> recording = nibabel.Nifti1Image(noise, np.diag([3.0, 3.0, 3.0, 1.0]))
    >>> mask = nibabel.Nifti1Image(np.ones((2, 2, 1), np.uint8), recording.affine)
    >>> table = pandas.DataFrame({"label": (["rest"] * 2 + ["face"] * 2 + ["house"] * 2) * 2, "run": [1] * 6 + [2] * 6})
    >>> X = read(recording, mask, labels=table, tr=2.0, samples="block")
    >>> X.dims, X.shape, X["category"].values.tolist()
    (('sample', 'unit'), (4, 4), ['face', 'house', 'face', 'house'])
    """
    images = [load_image(one) for one in (img if isinstance(img, (list, tuple)) else [img])]
    _check_images(images)
    seconds = repetition_time(tr, *_header_tr(images[0]))
    inside = mask_on_grid(mask, images[0], resample)
    table, keep, dropped = label_table(
        labels, events, runs, [one.shape[3] for one in images], tr=seconds, trim=trim, invalid=invalid
    )
    raw = np.concatenate([values_of(one)[inside][:, :n].T for one, n in zip(images, keep)])
    check_signal(raw)
    ijk = np.argwhere(inside)
    raw, lost = _finite(raw, ijk, nan_policy)
    unit: dict[str, np.ndarray] = {name: ijk[:, axis] for axis, name in enumerate("ijk")}
    xyz = positions(ijk, images[0].affine)
    unit.update({name: xyz[:, axis] for axis, name in enumerate("xyz")})
    if atlas is not None:
        unit["roi"] = area_names(atlas, atlas_labels, images[0], inside, resample)
    return represent(
        raw,
        table,
        dropped,
        unit,
        Cleaning(detrend, standardize, *read_confounds(confounds, table["run"].tolist(), confound_columns), high_pass),
        samples=samples,
        drop=drop,
        tr=seconds,
        lost=lost,
        attrs={
            "affine": np.asarray(images[0].affine, dtype=float).tolist(),
            "shape": [int(n) for n in images[0].shape[:3]],
        },
        subject=subject,
        dataset=dataset,
        dtype=dtype,
    )


def to_image(values: Any, *, variable: str | None = None, like: Any = None, fill: float = 0.0) -> Any:
    """Any result per voxel as a NIfTI image on the grid of the recording it came from.

    Parameters
    ----------
    values : DataArray with a ``unit`` dimension that carries ``i``, ``j``, ``k``; one further dimension (sample, fold)
        becomes the fourth of the image. A Dataset with ``variable``. An array (units,) or (n, units) with ``like``.
    variable : which variable of a Dataset.
    like : where the values say too little: a representation or result with voxel indices, ``affine`` and ``shape``
        in attrs, or a nibabel image for affine and shape.
    fill : value of voxels outside the mask and of NaN; ``numpy.nan`` keeps NaN.

    Returns
    -------
    nibabel.Nifti1Image, in the type of the values (booleans as uint8, long integers as int32, half as float32).

    Raises
    ------
    AlignmentError : no voxel indices, affine or shape; two units in one voxel; indices outside the image.

    Examples
    --------
    >>> score = xr.DataArray([0.5, 0.25], dims="unit", coords={n: ("unit", [0, 1]) for n in "ijk"})
    >>> score.attrs.update(affine=np.eye(4).tolist(), shape=[2, 2, 2])
    >>> to_image(score).get_fdata()[1, 1, 1]
    np.float64(0.25)
    """
    nibabel = require("nibabel", purpose="writing NIfTI images")
    attrs: list[Mapping[str, Any]] = []
    if isinstance(values, xr.Dataset):
        if variable is None:
            raise ValueError(f"which variable? This result has {sorted(map(str, values.data_vars))}; pass variable=.")
        if variable not in values.data_vars:
            raise ValueError(f"no variable {variable!r} in this result; it has {sorted(map(str, values.data_vars))}.")
        attrs.append(values.attrs)
        values = values[variable]
    array, ijk = _voxels(values, like)
    if isinstance(values, xr.DataArray):
        attrs.insert(0, values.attrs)
    if isinstance(like, (xr.DataArray, xr.Dataset)):
        attrs.append(like.attrs)
    affine, shape = _geometry(attrs, like)
    if (ijk < 0).any() or (ijk >= np.asarray(shape)).any():
        raise AlignmentError(f"voxel indices up to {ijk.max(axis=0).tolist()} lie outside an image of shape {shape}.")
    if len(np.unique(ijk, axis=0)) < len(ijk):
        raise AlignmentError(
            "several units lie in the same voxel (more than one subject or layer?): select one before making an image."
        )
    array = _storable(array, fill)
    extra = array.shape[:-1]
    volume = np.full((*shape, *extra), fill, dtype=array.dtype)
    volume[tuple(ijk.T)] = np.moveaxis(array, -1, 0)
    image = nibabel.Nifti1Image(volume, np.asarray(affine, dtype=float))
    image.header.set_xyzt_units("mm", "sec")
    tr = next((one["tr"] for one in attrs if one.get("tr")), None)
    if extra and tr and getattr(values, "dims", ("",))[0] == "sample":
        image.header.set_zooms((*image.header.get_zooms()[:3], float(tr)))
    return image


def _check_images(images: Sequence[Any]) -> None:
    if not images:
        raise ValueError("no image was given.")
    for number, image in enumerate(images):
        if len(image.shape) != 4:
            raise AlignmentError(
                f"image {number + 1} has the shape {tuple(image.shape)}; expected four dimensions (x, y, z, volume). "
                "Single pictures are stacked with nilearn.image.concat_imgs."
            )
        if not same_grid(image, images[0]):
            raise AlignmentError(
                f"image {number + 1} {tuple(image.shape[:3])} lies on another grid than the first "
                f"{tuple(images[0].shape[:3])}: bring the runs into one space first."
            )
        if _header_tr(image) != _header_tr(images[0]):
            raise AlignmentError(f"image {number + 1} states another repetition time in its header than the first.")


def _header_tr(image: Any) -> tuple[float | None, str]:
    zooms = image.header.get_zooms()
    units = getattr(image.header, "get_xyzt_units", lambda: ("unknown", "unknown"))()[1]
    return (float(zooms[3]) if len(zooms) > 3 else None, units)


def _finite(raw: np.ndarray, ijk: np.ndarray, nan_policy: str) -> tuple[np.ndarray, np.ndarray]:
    """Values with voxels that are not finite set to 0, and which voxels these are."""
    if raw.dtype.kind != "f":
        return raw, np.zeros(raw.shape[1], dtype=bool)
    bad = ~np.isfinite(raw)
    lost = bad.any(axis=0)
    if lost.any() and nan_policy == "raise":
        where = [tuple(int(n) for n in voxel) for voxel in ijk[lost][:3]]
        raise DegenerateDataError(
            f"{int(bad.sum())} values in {int(lost.sum())} voxels of the mask are not finite (first voxels i, j, k: "
            f'{where}). Leave them out of the mask, or pass nan_policy="drop_targets" to keep them as NaN.'
        )
    return np.where(lost, 0, raw), lost


def _voxels(values: Any, like: Any) -> tuple[np.ndarray, np.ndarray]:
    """The values with unit last, and voxel indices (units, 3)."""
    holder = values if isinstance(values, xr.DataArray) and "i" in values.coords else like
    if not isinstance(holder, (xr.DataArray, xr.Dataset)) or any(name not in holder.coords for name in "ijk"):
        raise AlignmentError("the units carry no voxel index (coordinates i, j, k); pass like=, the recording.")
    if isinstance(values, xr.DataArray):
        if "unit" not in values.dims:
            raise AlignmentError(f"an image needs one value per unit; the dimensions are {values.dims}.")
        values = values.transpose(..., "unit").values
    array = np.asarray(values)
    ijk = np.stack([np.asarray(holder[name].values, dtype=int) for name in "ijk"], axis=1)
    if array.ndim not in (1, 2) or array.shape[-1] != len(ijk):
        raise AlignmentError(f"expected (units,) or (n, units) with {len(ijk)} units, got {array.shape}.")
    return array, ijk


def _geometry(attrs: Sequence[Mapping[str, Any]], like: Any) -> tuple[Any, tuple[int, ...]]:
    for one in attrs:
        if "affine" in one and "shape" in one:
            return one["affine"], tuple(int(n) for n in one["shape"])
    if isinstance(like, (str, Path)) or hasattr(like, "affine"):
        image = load_image(like, "like")
        return image.affine, tuple(image.shape[:3])
    raise AlignmentError(
        "no affine and shape in attrs. Give the whole result, to_image(result, variable='score'), or pass like=: the "
        "recording or an image of its grid."
    )


def _storable(array: np.ndarray, fill: float) -> np.ndarray:
    """In a type that NIfTI files hold, NaN replaced by ``fill``."""
    kind = array.dtype.kind
    if kind not in "biuf":
        raise TypeError(f"an image holds numbers, not {array.dtype}.")
    if kind == "b":
        array = array.astype(np.uint8)
    elif kind in "iu" and array.dtype.itemsize == 8:
        if array.size and (array.max() > np.iinfo(np.int32).max or array.min() < np.iinfo(np.int32).min):
            raise ValueError("whole numbers beyond 32 bits cannot be stored in an image; give them as float64.")
        array = array.astype(np.int32)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype.kind != "f":
        return array if np.isfinite(fill) and fill == int(fill) else array.astype(np.float64)
    return np.where(np.isnan(array), np.asarray(fill, array.dtype), array)
