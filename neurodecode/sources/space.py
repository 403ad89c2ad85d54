"""Where voxels lie: images, masks and atlases brought onto one grid, or refused.

A mask and a recording meet through their affines, never through their array shapes alone: two
grids are the same when every corner voxel lands at the same place (within 1 % of a voxel).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .._optional import require
from ..exceptions import AlignmentError, DegenerateDataError, IntegrityError

LEAST_OVERLAP = 0.5
OUTSIDE = "outside"


def load_image(image: Any, what: str = "image") -> Any:
    """A nibabel image from a path or an image; the file is opened, its values are not read yet.

    Raises
    ------
    FileNotFoundError : no file of that name.
    IntegrityError : the file is not an image that nibabel reads.
    TypeError : neither a path nor an image.
    """
    nibabel = require("nibabel", purpose="reading NIfTI and GIFTI files")
    if isinstance(image, (str, Path)):
        if not Path(image).is_file():
            raise FileNotFoundError(f"{what}: there is no file {str(image)!r}.")
        try:
            return nibabel.load(image)
        except (nibabel.filebasedimages.ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
            raise IntegrityError(f"{what}: {Path(image).name} cannot be read as an image ({error}).") from error
    if not hasattr(image, "affine") or not hasattr(image, "dataobj"):
        raise TypeError(f"{what}: expected a path or a nibabel image, got {type(image).__name__}.")
    return image


def values_of(image: Any, what: str = "image") -> np.ndarray:
    """The voxel values of an image, in the type in which they are stored where no scaling is needed."""
    try:
        return np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise IntegrityError(
            f"{what}: the header can be read but the values cannot ({error}); the file is cut or damaged."
        ) from error


def same_grid(one: Any, other: Any) -> bool:
    """Whether two images share shape and affine: no corner voxel is off by more than 1 % of a voxel."""
    if tuple(one.shape[:3]) != tuple(other.shape[:3]):
        return False
    corners = np.array(np.meshgrid(*[[0, n - 1] for n in one.shape[:3]])).reshape(3, -1)
    corners = np.vstack([corners, np.ones(corners.shape[1])])
    off = np.abs((np.asarray(one.affine) - np.asarray(other.affine)) @ corners).max()
    voxel = np.linalg.norm(np.asarray(one.affine)[:3, :3], axis=0).min()
    return bool(off <= 0.01 * voxel)


def positions(ijk: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Millimetres of voxel indices: ``ijk`` (voxels, 3) -> (voxels, 3), by the affine of the image."""
    affine = np.asarray(affine, dtype=float)
    return np.asarray(ijk, dtype=float) @ affine[:3, :3].T + affine[:3, 3]


def overlap_fraction(mask: Any, image: Any) -> float:
    """Share of a mask's voxels whose centre lies inside the field of view of ``image`` (0 to 1).

    Raises
    ------
    AlignmentError : the mask holds no voxel at all.
    """
    inside = np.argwhere(_binary(values_of(mask, "mask")))
    if not len(inside):
        raise AlignmentError("the mask is empty: none of its voxels is set.")
    there = positions(positions(inside, mask.affine), np.linalg.inv(np.asarray(image.affine, dtype=float)))
    limits = np.asarray(image.shape[:3])
    return float(np.all((there > -0.5) & (there < limits - 0.5), axis=1).mean())


def mask_on_grid(mask: Any, image: Any, resample: bool = False) -> np.ndarray:
    """The mask as booleans on the grid of ``image``.

    Parameters
    ----------
    mask : path, nibabel image, or a nilearn masker whose only setting is its mask.
    image : the recording, a nibabel image.
    resample : bring a mask of another grid over by nearest neighbour (nilearn); otherwise it is refused.

    Raises
    ------
    AlignmentError : empty mask; another grid; less than half of the mask inside the image.
    """
    mask = load_image(_from_masker(mask), "mask")
    _check_three_dimensions(mask, "mask")
    fraction = overlap_fraction(mask, image)
    if same_grid(mask, image):
        return _binary(values_of(mask, "mask"))
    shapes = f"mask {tuple(mask.shape[:3])}, image {tuple(image.shape[:3])}"
    if fraction < LEAST_OVERLAP:
        raise AlignmentError(
            f"only {fraction:.0%} of the mask's voxels lie inside the image ({shapes}; at least {LEAST_OVERLAP:.0%} "
            "must): the affine of one of them is flipped or shifted, or they belong to different spaces."
        )
    if not resample:
        differ = "shapes" if tuple(mask.shape[:3]) != tuple(image.shape[:3]) else "affines"
        raise AlignmentError(
            f"mask and image lie on different grids, their {differ} differ ({shapes}; {fraction:.0%} of the mask "
            "lies inside the image). If both are in the same space, pass resample=True (nearest neighbour)."
        )
    found = _binary(values_of(_resampled(mask, image), "mask"))
    if not found.any():
        raise AlignmentError(f"the mask is empty after resampling to the grid of the image ({shapes}).")
    return found


def check_signal(values: np.ndarray) -> None:
    """Refuse a mask that lies beside the brain: at least half of its voxels must ever differ from zero.

    ``values`` : (volumes, voxels) inside the mask.
    """
    filled = np.zeros(values.shape[1], dtype=bool)
    for volume in values:
        filled |= np.isfinite(volume) & (volume != 0)
        if filled.all():
            return
    if filled.mean() < LEAST_OVERLAP:
        raise AlignmentError(
            f"only {filled.mean():.0%} of the mask's {filled.size} voxels hold any value other than zero (at least "
            f"{LEAST_OVERLAP:.0%} must): the mask lies beside the brain. Look for a flipped or shifted affine."
        )


def area_names(atlas: Any, atlas_labels: Any, image: Any, mask: np.ndarray, resample: bool = False) -> np.ndarray:
    """The name of the area of every voxel in the mask; ``"outside"`` where the atlas says nothing.

    Parameters
    ----------
    atlas : an image of whole numbers (0 is outside), or a mapping from area name to mask.
    atlas_labels : for whole numbers: a mapping {number: name}, a list in which the position is the number,
        or a table (DataFrame, csv, tsv) with the columns ``index`` and ``name``. None names areas by number.
    image, mask : the recording and its mask as booleans on the same grid.
    """
    if isinstance(atlas, Mapping):
        return _areas_from_masks(atlas, image, mask, resample)
    loaded = load_image(atlas, "atlas")
    _check_three_dimensions(loaded, "atlas")
    if not same_grid(loaded, image):
        if not resample:
            raise AlignmentError(
                f"atlas {tuple(loaded.shape[:3])} and image {tuple(image.shape[:3])} lie on different grids. "
                "If both are in the same space, pass resample=True (nearest neighbour)."
            )
        loaded = _resampled(loaded, image)
    numbers = np.nan_to_num(values_of(loaded, "atlas").reshape(mask.shape)[mask])
    if not np.array_equal(numbers, np.round(numbers)):
        raise AlignmentError(
            "an atlas holds whole numbers, one per area; this one holds fractions (a probabilistic atlas must be "
            "turned into its most likely area first)."
        )
    numbers = numbers.astype(int)
    names = _label_table(atlas_labels, np.unique(numbers))
    missing = sorted({int(n) for n in numbers if n != 0 and int(n) not in names})
    if missing:
        raise AlignmentError(f"atlas_labels has no name for the numbers {missing} that occur inside the mask.")
    areas = np.array([OUTSIDE if n == 0 else names[int(n)] for n in numbers], dtype=object)
    if (areas == OUTSIDE).all():
        raise AlignmentError("no voxel of the mask lies in any area of the atlas: they are in different spaces.")
    return areas.astype(str)


def _areas_from_masks(masks: Mapping[str, Any], image: Any, mask: np.ndarray, resample: bool) -> np.ndarray:
    areas = np.full(int(mask.sum()), OUTSIDE, dtype=object)
    for name, one in masks.items():
        inside = mask_on_grid(one, image, resample)[mask]
        taken = inside & (areas != OUTSIDE)
        if taken.any():
            others = sorted(set(areas[taken]))
            raise AlignmentError(f"{int(taken.sum())} voxels lie in {name!r} and in {others}; a voxel has one area.")
        areas[inside] = str(name)
    return areas.astype(str)


def _label_table(labels: Any, present: np.ndarray) -> dict[int, str]:
    if labels is None:
        return {int(n): str(int(n)) for n in present}
    if isinstance(labels, (str, Path)):
        labels = pd.read_csv(labels, sep="\t" if str(labels).endswith(".tsv") else ",", keep_default_na=False)
    if isinstance(labels, pd.DataFrame):
        if not {"index", "name"} <= set(labels.columns):
            raise ValueError(f"atlas_labels needs the columns 'index' and 'name', it has {list(labels.columns)}.")
        return {int(i): str(n) for i, n in zip(labels["index"], labels["name"])}
    if isinstance(labels, Mapping):
        return {int(i): str(n) for i, n in labels.items()}
    if isinstance(labels, Sequence):
        return {i: str(n) for i, n in enumerate(labels)}
    raise TypeError(f"atlas_labels: expected a mapping, a list or a table, got {type(labels).__name__}.")


def _from_masker(mask: Any) -> Any:
    """The mask image of a nilearn masker, refused where the masker would also have processed the signals."""
    if not hasattr(mask, "fit") or not hasattr(mask, "get_params"):
        return mask
    settings = mask.get_params(deep=False)
    own = [
        name
        for name in ("smoothing_fwhm", "standardize", "detrend", "low_pass", "high_pass", "runs")
        if settings.get(name) not in (None, False)
    ]
    if own:
        raise ValueError(
            f"the masker also sets {', '.join(own)}; only its mask is used here. Leave these out of the masker and "
            "say them to fmri.read (detrend, standardize, high_pass), so that nothing is done twice."
        )
    found = getattr(mask, "mask_img_", None) or settings.get("mask_img")
    if found is None:
        raise ValueError(f"{type(mask).__name__} holds no mask yet: fit it first, or pass the mask image itself.")
    return found


def _check_three_dimensions(image: Any, what: str) -> None:
    if len(image.shape) < 3 or any(n != 1 for n in image.shape[3:]):
        raise AlignmentError(f"the {what} must have three dimensions; this one has the shape {tuple(image.shape)}.")


def _binary(values: np.ndarray) -> np.ndarray:
    values = np.nan_to_num(np.asarray(values).reshape(values.shape[:3]))
    kinds = np.unique(values)
    if len(kinds) > 2 or (len(kinds) == 2 and kinds[0] != 0):
        raise DegenerateDataError(
            f"a mask holds zeros and one other value; this one holds {len(kinds)} values from {kinds[0]:g} to "
            f"{kinds[-1]:g}. Threshold it, or pass it as atlas= if its values name areas."
        )
    return np.asarray(values != 0)


def _resampled(image: Any, target: Any) -> Any:
    resampling = require("nilearn.image", purpose="resampling a mask or an atlas")
    nibabel = require("nibabel", purpose="resampling a mask or an atlas")
    values = values_of(image)
    source = nibabel.Nifti1Image(values.reshape(values.shape[:3]).astype(np.float32), image.affine)
    return resampling.resample_img(
        source,
        target_affine=np.asarray(target.affine, dtype=float),
        target_shape=tuple(int(n) for n in target.shape[:3]),
        interpolation="nearest",
        force_resample=True,
        copy_header=True,
    )
