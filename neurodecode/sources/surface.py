"""Cortical surfaces: GIFTI time series per vertex become a representation, results per vertex GIFTI again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .._optional import require
from ..exceptions import AlignmentError, DegenerateDataError, IntegrityError
from .cleaning import Cleaning, read_confounds
from .events import repetition_time
from .sampling import DEFAULT_DROP, label_table, represent
from .space import OUTSIDE, check_signal

HEMISPHERES = {"left": "CortexLeft", "right": "CortexRight"}


def read_surface(
    func: Mapping[str, Any],
    mask: Mapping[str, Any] | None = None,
    *,
    mesh: Mapping[str, Any] | None = None,
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
    atlas: Mapping[str, Any] | None = None,
    trim: str | None = None,
    invalid: str = "raise",
    subject: str | None = None,
    dataset: str | None = None,
    dtype: Any = np.float32,
) -> xr.DataArray:
    """The vertices of one or two hemispheres as a representation: sample x unit, left before right.

    Parameters
    ----------
    func : ``{"left": gii, "right": gii}``: path, GIFTI image or array (vertices, volumes); a list per hemisphere
        holds one per run.
    mask : the same keys: GIFTI, path or booleans per vertex. None takes every vertex; those of the medial wall are
        then constant and score NaN.
    mesh : the same keys: surface GIFTI, whose coordinates become ``x y z`` (mm).
    atlas : the same keys: label GIFTI, whose names become ``roi``.
    tr : seconds; GIFTI headers seldom say. None leaves ``onset`` and ``attrs["tr"]`` out.
    Everything else as in `read`.

    Returns
    -------
    DataArray (sample, unit) with ``hemi`` and ``vertex`` on unit and ``attrs["n_vertices"]`` per hemisphere.

    Raises
    ------
    AlignmentError : hemispheres with other numbers of volumes, or maps with other numbers of vertices.
    TimingError, DegenerateDataError : as in `read`.

    References
    ----------
    Fischl, Sereno & Dale (1999), NeuroImage 9:195, for surface-based analysis; the GIFTI standard 1.0 (2011).

    Examples
    --------
    >>> series = np.random.default_rng(0).normal(size=(5, 8))
    >>> X = read_surface({"left": series, "right": series}, runs=[1] * 8, tr=2.0)
    >>> X.shape, X["hemi"].values[[0, -1]].tolist()
    ((8, 10), ['left', 'right'])
    """
    sides = _sides(func, "func")
    series = {side: _per_run(func[side], side) for side in sides}
    lengths = [part.shape[1] for part in series[sides[0]]]
    for side in sides[1:]:
        if [part.shape[1] for part in series[side]] != lengths:
            raise AlignmentError(
                f"{sides[0]} has {lengths} volumes per image and {side} has {[p.shape[1] for p in series[side]]}."
            )
    n_vertices = {side: series[side][0].shape[0] for side in sides}
    chosen = {side: _mask(mask, side, n_vertices[side]) for side in sides}
    if not any(inside.any() for inside in chosen.values()):
        raise AlignmentError("the mask is empty: none of its vertices is set.")
    seconds = repetition_time(tr)
    table, keep, dropped = label_table(labels, events, runs, lengths, tr=seconds, trim=trim, invalid=invalid)
    raw = np.concatenate(
        [np.concatenate([part[chosen[side]][:, :n] for part, n in zip(series[side], keep)], axis=1) for side in sides]
    ).T
    if mask is not None:
        check_signal(raw)
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        lost = np.flatnonzero(~np.isfinite(raw).all(axis=0))
        raise DegenerateDataError(f"{len(lost)} vertices hold values that are not finite; leave them out of the mask.")
    return represent(
        raw,
        table,
        dropped,
        _units(sides, chosen, n_vertices, mesh, atlas),
        Cleaning(detrend, standardize, *read_confounds(confounds, table["run"].tolist(), confound_columns), high_pass),
        samples=samples,
        drop=drop,
        tr=seconds,
        attrs={"n_vertices": {side: int(n) for side, n in n_vertices.items()}},
        subject=subject,
        dataset=dataset,
        dtype=dtype,
    )


def to_gifti(values: Any, *, like: Any = None, fill: float = np.nan) -> dict[str, Any]:
    """Any result per vertex as GIFTI images: ``{"left": image, "right": image}``, in 32-bit floats.

    Parameters
    ----------
    values : DataArray with ``unit`` that carries ``hemi`` and ``vertex``; one further dimension becomes one map each.
        Arrays (units,) or (n, units) need ``like``.
    like : the recording, where the values do not carry ``hemi``, ``vertex`` or ``attrs["n_vertices"]``.
    fill : value of vertices that are not in the result.

    Examples
    --------
    >>> score = xr.DataArray([0.5], dims="unit", coords={"hemi": ("unit", ["left"]), "vertex": ("unit", [2])})
    >>> score.attrs["n_vertices"] = {"left": 4}
    >>> to_gifti(score)["left"].agg_data().tolist()
    [nan, nan, 0.5, nan]
    """
    gifti = require("nibabel.gifti", purpose="writing GIFTI files")
    holder = values if isinstance(values, xr.DataArray) and "vertex" in values.coords else like
    if holder is None or "vertex" not in holder.coords or "hemi" not in holder.coords:
        raise AlignmentError("the units carry no hemi and vertex; pass like=, the recording.")
    counts = next(
        (one.attrs["n_vertices"] for one in (values, holder, like) if "n_vertices" in getattr(one, "attrs", {})), None
    )
    if counts is None:
        raise AlignmentError('attrs["n_vertices"] is missing; pass like=, the recording.')
    array = np.atleast_2d(values.transpose(..., "unit").values if isinstance(values, xr.DataArray) else values)
    hemi, vertex = holder["hemi"].values.astype(str), holder["vertex"].values.astype(int)
    if array.ndim != 2 or array.shape[1] != len(vertex):
        raise AlignmentError(f"expected (units,) or (n, units) with {len(vertex)} units, got {np.shape(values)}.")
    images = {}
    for side, n in counts.items():
        own = hemi == side
        if own.any() and (len(np.unique(vertex[own])) < own.sum() or vertex[own].max() >= n):
            raise AlignmentError(f"units of the {side} hemisphere share a vertex, or lie beyond its {n} vertices.")
        maps = []
        for row in array:
            full = np.full(int(n), fill, dtype=np.float32)
            full[vertex[own]] = row[own]
            maps.append(gifti.GiftiDataArray(full, intent="NIFTI_INTENT_SHAPE", datatype="NIFTI_TYPE_FLOAT32"))
        meta = gifti.GiftiMetaData({"AnatomicalStructurePrimary": HEMISPHERES[side]})
        images[str(side)] = gifti.GiftiImage(darrays=maps, meta=meta)
    return images


def _units(
    sides: Sequence[str],
    chosen: Mapping[str, np.ndarray],
    n_vertices: Mapping[str, int],
    mesh: Mapping[str, Any] | None,
    atlas: Mapping[str, Any] | None,
) -> dict[str, np.ndarray]:
    unit = {
        "hemi": np.concatenate([np.full(int(chosen[side].sum()), side) for side in sides]),
        "vertex": np.concatenate([np.flatnonzero(chosen[side]) for side in sides]),
    }
    if mesh is not None:
        parts = []
        for side in sides:
            points = _gifti(_of(mesh, side, "mesh"), f"mesh {side}").agg_data("pointset")
            points = np.asarray(points[0] if isinstance(points, tuple) else points)
            if points.ndim != 2 or len(points) != n_vertices[side]:
                raise AlignmentError(f"mesh {side} has {len(points)} vertices, the recording {n_vertices[side]}.")
            parts.append(points[chosen[side]])
        unit.update(dict(zip("xyz", np.concatenate(parts).astype(float).T)))
    if atlas is not None:
        unit["roi"] = np.concatenate(
            [_areas(_of(atlas, side, "atlas"), side, n_vertices[side])[chosen[side]] for side in sides]
        )
    return unit


def _areas(atlas: Any, side: str, n: int) -> np.ndarray:
    image = _gifti(atlas, f"atlas {side}")
    keys = np.asarray(image.agg_data())
    if keys.shape != (n,):
        raise AlignmentError(f"atlas {side} has the shape {keys.shape}, the recording {n} vertices.")
    names = {int(key): str(name) for key, name in image.labeltable.get_labels_as_dict().items()}
    missing = sorted({int(key) for key in keys if int(key) not in names and key != 0})
    if missing:
        raise AlignmentError(f"atlas {side} has no name for the numbers {missing}.")
    return np.array([OUTSIDE if key == 0 else names[int(key)] for key in keys])


def _mask(mask: Mapping[str, Any] | None, side: str, n: int) -> np.ndarray:
    if mask is None:
        return np.ones(n, dtype=bool)
    one = _of(mask, side, "mask")
    found = np.asarray(one) if isinstance(one, np.ndarray) else np.asarray(_gifti(one, f"mask {side}").agg_data())
    if found.shape != (n,):
        raise AlignmentError(f"mask {side} has the shape {found.shape}, the recording {n} vertices.")
    return np.nan_to_num(found) != 0


def _per_run(func: Any, side: str) -> list[np.ndarray]:
    parts = [_series(one, side) for one in (func if isinstance(func, (list, tuple)) else [func])]
    if len({len(part) for part in parts}) != 1:
        raise AlignmentError(f"the runs of {side} have {[len(part) for part in parts]} vertices.")
    return parts


def _series(func: Any, side: str) -> np.ndarray:
    if isinstance(func, np.ndarray):
        found = func
    else:
        data = _gifti(func, f"func {side}").agg_data()
        found = np.stack(data, axis=1) if isinstance(data, tuple) else np.asarray(data)
    if found.ndim != 2:
        raise AlignmentError(f"func {side}: expected (vertices, volumes), got the shape {found.shape}.")
    return found


def _gifti(image: Any, what: str) -> Any:
    nibabel = require("nibabel", purpose="reading GIFTI files")
    if isinstance(image, (str, Path)):
        if not Path(image).is_file():
            raise FileNotFoundError(f"{what}: there is no file {str(image)!r}.")
        try:
            image = nibabel.load(image)
        except Exception as error:
            raise IntegrityError(f"{what}: {Path(image).name} cannot be read as GIFTI ({error}).") from error
    if not hasattr(image, "agg_data"):
        raise TypeError(f"{what}: expected a path or a GIFTI image, got {type(image).__name__}.")
    return image


def _sides(given: Mapping[str, Any], what: str) -> list[str]:
    if not isinstance(given, Mapping) or not given or set(given) - set(HEMISPHERES):
        names = list(given) if isinstance(given, Mapping) else type(given).__name__
        raise ValueError(f'{what}: expected {{"left": ..., "right": ...}}, got {names}.')
    return [side for side in HEMISPHERES if side in given]


def _of(given: Mapping[str, Any], side: str, what: str) -> Any:
    if side not in given:
        raise AlignmentError(f"{what} has no {side} hemisphere and the recording does; it has {list(given)}.")
    return given[side]
