"""Maps of a result on the brain: the slice, orthogonal projections of a volume, and NIfTI files.

Positions come from the affine, so left is left (neurological order) and both sides say so. Colours are centred on
chance; what is under the threshold is faded, not cut, and the threshold stands in the picture.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .._optional import require
from ..exceptions import AlignmentError
from .style import FAINT, Theme, colour_bar, diverging, frame, new_axes, note, sequential, styled
from .summary import chance_of, geometry, score_name, unit_words
from .views import VIEWS, Space, boxes_of, places, planes, space_of, span_of, wider
from .wording import BOUNDS, count, number, score_label

ENDS = {"x": ("L", "R"), "y": ("P", "A"), "z": ("I", "S")}


@dataclass(frozen=True)
class Threshold:
    """Which units are shown at full strength, and the words for it."""

    above: np.ndarray
    words: str


def has_geometry(result: xr.Dataset) -> bool:
    """Whether each unit of a result has its own voxel of a volume (``i j k`` on unit, affine and shape in attrs).

    Examples
    --------
    >>> has_geometry(xr.Dataset({"score": ("unit", [0.5])}))
    False
    """
    if "score" not in result.data_vars or "unit" not in result["score"].dims or geometry(result) is None:
        return False
    ijk = np.stack([np.asarray(result[name].values) for name in "ijk"], axis=1)
    return len(np.unique(ijk, axis=0)) == len(ijk)


def is_slice(result: xr.Dataset) -> bool:
    """Whether the volume has only one voxel along one of its axes."""
    place = geometry(result)
    return place is not None and min(place[1]) == 1


def threshold(result: xr.Dataset, variable: str = "score", value: float | None = None) -> Threshold:
    """What counts as found: a given value, else p_fdr < .05, else p < .05, else everything with a value.

    Examples
    --------
    >>> threshold(xr.Dataset({"score": ("unit", [0.5, 0.1])}), value=0.2).words
    'score over 0.20'
    """
    values = np.asarray(result[variable].values, dtype=float)
    if value is not None:
        return Threshold(values > value, f"{variable_label(result, variable)} over {number(value)}")
    for name, words in (("p_fdr", "p < .05, false discovery rate"), ("p", "p < .05, uncorrected")):
        if variable in ("score", "normalized") and name in result.data_vars:
            return Threshold(np.nan_to_num(result[name].values, nan=1.0) < 0.05, words)
    return Threshold(np.isfinite(values), "none, not tested")


def _bar(ax: Any, image: Any, result: xr.Dataset, variable: str, theme: Any, compact: bool) -> None:
    """The colour bar, ending where the score does (no accuracy is below 0), with a rule at chance."""
    bar = colour_bar(ax, image, variable_label(result, variable), theme, compact)
    low, high = image.get_clim()
    least, most = BOUNDS.get(score_name(result), (low, high)) if variable == "score" else (low, high)
    (bar.ax.set_xlim if compact else bar.ax.set_ylim)(max(low, least), min(high, most))
    chance = chance_of(result) if variable == "score" else None
    if chance is not None and max(low, least) < chance < min(high, most):
        (bar.ax.axvline if compact else bar.ax.axhline)(chance, color=theme.ink, lw=1.0, ls=":")
        at, frame_of, off = ((chance, 1), "edge", (0, 6)) if compact else ((0, chance), "side", (-3, 0))
        note(bar.ax, "chance", at, frame_of, off, ha="center" if compact else "right", fontsize=7.5, color=theme.muted)


@styled
def slice_map(
    result: xr.Dataset,
    variable: str = "score",
    ax: Any = None,
    *,
    theme: Any = "light",
    compact: bool = False,
    at: float | None = None,
) -> Any:
    """One slice of the volume in millimetres, seen so that left is left; units under the threshold are faded.

    Parameters
    ----------
    result : Dataset with ``i j k`` on unit and ``affine`` (4 x 4, mm), ``shape`` in attrs; the volume has one voxel
        along one axis.
    variable : which value per unit; the score is centred on chance, other variables on 0.
    at : threshold of the value; None takes the stored test (see ``threshold``).

    Returns
    -------
    The axes; ``ax.images[0]`` holds the values with NaN outside, rows upwards.

    Raises
    ------
    AlignmentError : no voxel indices or affine, or no axis with a single voxel (use ``glass``).
    """
    space = space_of(result)
    if min(space.shape) != 1:
        raise AlignmentError(f"a volume of {space.shape} voxels is not a slice; brains.glass shows its projections.")
    flat = space.world[int(np.argmin(space.shape))]
    across, up = [axis for at_axis, axis in enumerate("xyz") if at_axis != flat]
    cut = _cut(result, variable)
    shown = threshold(result, variable, at)
    values, strong = planes(result, space, cut, shown.above, across, up)
    width, height = (np.subtract(*space.edges(axis)[::-1]) for axis in (across, up))
    if ax is None:
        ax = new_axes(7.5, min(7.5, max(2.6, 5.6 * height / width + 0.9)), theme)
    image = _paint(ax, values, strong, space, (across, up), _limits(result, variable, cut), theme)
    ax.set_xlabel(f"{across} (mm)")
    ax.set_ylabel(f"{up} (mm)")
    _outline(ax, values, space, (across, up), theme)
    _mark_missing(ax, result, cut, space, (across, up), theme)
    ax.set(xlim=wider(space.edges(across), 0.04), ylim=wider(space.edges(up), 0.06))
    _sides(ax, across, up, theme)
    _bar(ax, image, result, variable, theme, compact)
    _say_threshold(ax, shown, result, theme, 34, compact)
    return frame(ax, theme)


@styled
def glass(
    result: xr.Dataset,
    variable: str = "score",
    ax: Any = None,
    *,
    theme: Any = "light",
    compact: bool = False,
    at: float | None = None,
) -> Any:
    """Three projections of a volume in millimetres: of the voxels in a line of sight the one furthest from chance.

    The view from the back, from the right side and from above, on one scale. The outline is that of all units; where
    ``attrs["space"]`` begins with ``"MNI"`` the schematics of nilearn's glass brain are drawn as well. Units that
    lie nowhere in a volume but have ``x y z`` are drawn as points.

    Parameters
    ----------
    result, variable, at : as for ``slice_map``; the volume may have any shape.
    compact : two views above one instead of three in a row.

    Returns
    -------
    The axes that hold the views: ``ax.child_axes`` in the order back, side, top.

    Raises
    ------
    AlignmentError : neither voxel indices with an affine nor positions.
    """
    space = space_of(result) if geometry(result) is not None or "x" not in result.coords else None
    spans = {axis: span_of(result, space, axis) for axis in "xyz"}
    size = {axis: high - low for axis, (low, high) in spans.items()}
    boxes, ratio = boxes_of(size, compact)
    if ax is None:
        ax = new_axes(*((3.4, 3.3 * ratio + 1.3) if compact else (7.5, 6.6 * ratio + 0.95)), theme)
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(0, ratio), aspect="equal", anchor="W")
    cut = _cut(result, variable)
    shown = threshold(result, variable, at)
    limits = _limits(result, variable, cut)
    for (across, up), box in zip(VIEWS, boxes):
        inner = ax.inset_axes(box, transform=ax.transData)
        if space is None:
            image = _points(inner, result, cut, shown.above, (across, up), limits, theme)
        else:
            values, strong = planes(result, space, cut, shown.above, across, up)
            image = _paint(inner, values, strong, space, (across, up), limits, theme)
            _outline(inner, values, space, (across, up), theme)
        inner.set(xlim=spans[across], ylim=spans[up], aspect="equal")
        _schematics(inner, result, (across, up), theme)
        _sides(inner, across, up, theme)
        if compact:
            inner.set(xticks=[], yticks=[])
        else:
            inner.set_xlabel(f"{across} (mm)", fontsize=8.5, labelpad=2)
            inner.set_ylabel(f"{up} (mm)", fontsize=8.5, labelpad=0)
            inner.tick_params(labelsize=7.5)
            inner.locator_params(nbins=3)
        frame(inner, theme)
    if compact:
        _ruler(ax.child_axes[2], spans["x"], theme)
    _bar(ax, image, result, variable, theme, compact)
    _say_threshold(ax, shown, result, theme, 4 if compact else 33, compact)
    return ax


def to_nifti(result: xr.Dataset, variable: str, path: str | Path) -> Path:
    """Write one variable per voxel as a NIfTI file (``.nii`` or ``.nii.gz``) on the grid of the recording.

    Voxels outside the mask are NaN, as are degenerate ones, so that neither is mistaken for a score of 0. A further
    dimension (time, fold) becomes the fourth. The same result gives the same bytes, and the file appears whole or
    not at all.

    Raises
    ------
    AlignmentError : the units do not lie in a volume.
    ValueError : no such variable, or a name that is not a NIfTI file's.
    """
    from ..representation.store import write_atomic
    from ..sources.fmri import to_image

    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"{path.name}: a NIfTI file ends in .nii or .nii.gz.")
    if variable not in result.data_vars:
        raise ValueError(f"no variable {variable!r} in this result; it has {sorted(map(str, result.data_vars))}.")
    space = space_of(result)
    values = result[variable]
    values = values.astype(np.float32) if values.dtype.kind in "fiu" else values
    values = values.assign_attrs(affine=space.affine.tolist(), shape=list(space.shape))
    content = to_image(values, fill=0 if values.dtype.kind == "b" else np.nan).to_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)
    return path


def _cut(result: xr.Dataset, variable: str) -> np.ndarray:
    if variable not in result.data_vars:
        raise ValueError(f"no variable {variable!r} in this result; it has {sorted(map(str, result.data_vars))}.")
    if result[variable].dims != ("unit",):
        raise ValueError(f"{variable} has the dimensions {result[variable].dims}: select one value per unit first.")
    return np.asarray(result[variable].values, dtype=float)


def _limits(result: xr.Dataset, variable: str, values: np.ndarray) -> tuple[float, float, bool]:
    """Lowest and highest colour, and whether the scale has a centre."""
    finite = values[np.isfinite(values)]
    top = float(np.quantile(np.abs(finite), 0.995)) if len(finite) else 1.0
    if variable in ("score", "normalized"):
        centre = (chance_of(result) or 0.0) if variable == "score" else 0.0
        reach = float(np.quantile(np.abs(finite - centre), 0.995)) if len(finite) else 1.0
        return centre - (reach or 1.0), centre + (reach or 1.0), True
    if len(finite) and finite.min() < 0:
        return -top, top, True
    return 0.0, top or 1.0, False


def _paint(
    ax: Any,
    values: np.ndarray,
    strong: np.ndarray,
    space: Space,
    axes: tuple[str, str],
    limits: tuple[float, float, bool],
    theme: Theme,
) -> Any:
    low, high, centred = limits
    map_of = diverging(theme) if centred else sequential()
    extent = (*space.edges(axes[0]), *space.edges(axes[1]))
    look = {"extent": extent, "origin": "lower", "interpolation": "nearest", "aspect": "equal"}
    image = ax.imshow(values, cmap=map_of, vmin=low, vmax=high, alpha=np.where(strong, 1.0, FAINT), **look)
    return image


def _ruler(ax: Any, span: tuple[float, float], theme: Theme) -> None:
    """A bar of a round number of millimetres to the right of a view without ticks."""
    wide = span[1] - span[0]
    length = next((step for step in (100, 50, 20, 10, 5, 2, 1) if step < 0.6 * wide), wide / 2)
    place = ax.get_yaxis_transform()
    ends = np.array([1.15, 1.15 + length / wide])
    ax.plot(ends, np.full(2, np.mean(ax.get_ylim())), color=theme.ink, lw=2, transform=place, clip_on=False)
    note(
        ax,
        f"{length:g} mm",
        (float(ends.mean()), float(np.mean(ax.get_ylim()))),
        "side",
        (0, -9),
        ha="center",
        color=theme.muted,
    )


def _points(
    ax: Any,
    result: xr.Dataset,
    values: np.ndarray,
    strong: np.ndarray,
    axes: tuple[str, str],
    limits: tuple[float, float, bool],
    theme: Theme,
) -> Any:
    low, high, centred = limits
    order = np.argsort(np.where(strong, 1, 0) + np.nan_to_num(np.abs(values)) * 1e-6)
    across, up = (np.asarray(result[axis].values, dtype=float)[order] for axis in axes)
    look = {"cmap": diverging(theme) if centred else sequential(), "vmin": low, "vmax": high, "lw": 0}
    return ax.scatter(across, up, c=values[order], s=16, alpha=np.where(strong, 1.0, FAINT)[order], **look)


def _outline(ax: Any, values: np.ndarray, space: Space, axes: tuple[str, str], theme: Theme) -> None:
    """The edge of all units in this view, degenerate ones included."""
    from scipy.ndimage import binary_closing, binary_fill_holes

    # Small gaps between sampled voxels are closed, so that the line is the edge of the whole.
    filled = binary_fill_holes(binary_closing(np.pad(np.isfinite(values), 3), iterations=2))
    inside = filled[2:-2, 2:-2].astype(float)
    (left, right), (low, high) = (space.edges(axis) for axis in axes)
    steps = [(right - left) / values.shape[1], (high - low) / values.shape[0]]
    fine = np.kron(inside, np.ones((6, 6)))
    across = left - steps[0] + (np.arange(fine.shape[1]) + 0.5) * steps[0] / 6
    up = low - steps[1] + (np.arange(fine.shape[0]) + 0.5) * steps[1] / 6
    ax.contour(across, up, fine, levels=[0.5], colors=[theme.muted], linewidths=0.9)


def _mark_missing(
    ax: Any, result: xr.Dataset, values: np.ndarray, space: Space, axes: tuple[str, str], theme: Theme
) -> None:
    """A small cross in every unit without a value."""
    missing = ~np.isfinite(values)
    if missing.any():
        place, shape = places(result, space, *axes)
        middle = []
        for at, axis in enumerate(axes):
            low, high = space.edges(axis)
            middle.append(low + (place[missing, at] + 0.5) * (high - low) / shape[1 - at])
        ax.plot(*middle, "x", color=theme.muted, ms=4, mew=0.9, gid="degenerate")


def _schematics(ax: Any, result: xr.Dataset, axes: tuple[str, str], theme: Theme) -> None:
    """nilearn's glass brain behind a view, where the result says that it is in that space."""
    target = (result.attrs.get("data") or {}).get("Y") or {}
    said = result.attrs.get("space") or target.get("space") or (target.get("attrs") or {}).get("space")
    if not str(said or "").upper().startswith("MNI"):
        return
    drawn = require("nilearn.plotting.glass_brain", purpose="drawing a glass brain")
    drawn.plot_brain_schematics(ax, {("x", "z"): "y", ("y", "z"): "r", ("x", "y"): "z"}[axes], edgecolor=theme.muted)


def _sides(ax: Any, across: str, up: str, theme: Theme) -> None:
    """Letters at the four sides: left and right, back and front, below and above."""
    words = {"color": theme.ink, "fontsize": 9, "fontweight": "bold", "xycoords": "axes fraction"}
    for text, at, ha, va in (
        (ENDS[across][0], (0.01, 0.5), "left", "center"),
        (ENDS[across][1], (0.99, 0.5), "right", "center"),
        (ENDS[up][0], (0.5, 0.01), "center", "bottom"),
        (ENDS[up][1], (0.5, 0.99), "center", "top"),
    ):
        ax.annotate(text, at, ha=ha, va=va, **words)


def _say_threshold(ax: Any, shown: Threshold, result: xr.Dataset, theme: Theme, below: float, compact: bool) -> None:
    words = f"Threshold: {shown.words}.{chr(10) if compact else ' '}{_counted(shown, result)}"
    ax.annotate(
        words,
        (0, 0),
        xycoords="axes fraction",
        xytext=(0, -below),
        textcoords="offset points",
        va="top",
        fontsize=8.5,
        color=theme.muted,
        annotation_clip=False,
    )


def _counted(shown: Threshold, result: xr.Dataset) -> str:
    n = int(shown.above.sum())
    dead = int((~np.isfinite(result["score"].values)).sum()) if "score" in result.data_vars else 0
    faded = len(shown.above) - n - dead
    parts = [
        f"{count(n, *unit_words(result))} {'shown' if shown.words.startswith('none') else 'pass'}",
        f"{faded:,} faded" if faded else "",
        f"{dead} × no score" if dead else "",
    ]
    return ", ".join(filter(None, parts)) + "."


def variable_label(result: xr.Dataset, variable: str) -> str:
    """Words for a value per unit, with its units where it has any."""
    if variable == "score":
        return score_label(score_name(result))
    named = {"normalized": "normalised score", "ceiling": "noise ceiling"}.get(variable, variable.replace("_", " "))
    said = result[variable].attrs
    units = f" ({said['units']})" if said.get("units") else ""
    return f"{said.get('long_name') or named}{units}"
