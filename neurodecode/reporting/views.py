"""Volumes seen from a side: which world axis a voxel axis runs along, where its edges lie, what is in front."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..exceptions import AlignmentError
from .summary import chance_of, geometry

# World axes across and up: seen from the back, from the right side, from above.
VIEWS = (("x", "z"), ("y", "z"), ("x", "y"))


@dataclass(frozen=True)
class Space:
    """Which world axis each voxel axis runs along, and where the edges of the volume lie in millimetres.

    An oblique volume is shown along its own axes; its millimetres are those of the line through its middle.
    """

    affine: np.ndarray
    shape: tuple[int, int, int]
    world: tuple[int, int, int]

    def edges(self, axis: str) -> tuple[float, float]:
        """Lowest and highest millimetre of the volume along world axis x, y or z."""
        return self.millimetres(axis, -0.5, self.shape[self.voxel(axis)] - 0.5)

    def voxel(self, axis: str) -> int:
        """The voxel axis that runs along a world axis."""
        return self.world.index("xyz".index(axis))

    def millimetres(self, axis: str, first: float, last: float) -> tuple[float, float]:
        """Positions of two voxel indices along a world axis, the lower one first."""
        row, voxel = self.affine["xyz".index(axis)], self.voxel(axis)
        middle = (np.array(self.shape) - 1) / 2
        middle[voxel] = 0
        ends = row[3] + row[:3] @ middle + row[voxel] * np.array([first, last])
        return float(ends.min()), float(ends.max())


def space_of(result: xr.Dataset) -> Space:
    """The volume that the units of a result lie in.

    Raises
    ------
    AlignmentError : the units lie in no volume.
    """
    place = geometry(result)
    if place is None:
        raise AlignmentError(
            "the units of this result do not lie in a volume: a map needs i, j, k on unit and affine, shape in attrs "
            "(sources.fmri.read gives them)."
        )
    affine, shape = place
    world: dict[int, int] = {}
    # The steepest voxel axis chooses its world axis first, so that two never share one.
    for column in np.argsort(-np.abs(affine[:3, :3]).max(axis=0)):
        weight = np.abs(affine[:3, column])
        world[int(column)] = max(set(range(3)) - set(world.values()), key=lambda axis: weight[axis])
    return Space(affine, shape, (world[0], world[1], world[2]))


def places(result: xr.Dataset, space: Space, across: str, up: str) -> tuple[np.ndarray, tuple[int, int]]:
    """Column and row of every unit in a view whose world axes run rightwards and upwards, and the view's shape."""
    ijk = np.stack([np.asarray(result[name].values, dtype=int) for name in "ijk"], axis=1)
    voxel = [space.voxel(axis) for axis in (across, up)]
    place = ijk[:, voxel].copy()
    for at, (axis, which) in enumerate(zip((across, up), voxel)):
        if space.affine["xyz".index(axis), which] < 0:
            place[:, at] = space.shape[which] - 1 - place[:, at]
    return place, (space.shape[voxel[1]], space.shape[voxel[0]])


def planes(
    result: xr.Dataset, space: Space, values: np.ndarray, strong: np.ndarray, across: str, up: str
) -> tuple[np.ndarray, np.ndarray]:
    """Values (rows up, columns across) and which of them pass the threshold, projected along the third axis."""
    place, shape = places(result, space, across, up)
    plane = np.full(shape, np.nan)
    passed = np.zeros(plane.shape, dtype=bool)
    centre = 0.0 if "score" not in result.data_vars else (chance_of(result) or 0.0)
    rank = np.where(np.isfinite(values), np.abs(values - centre), -1) + np.where(strong, 1e6, 0)
    for unit in np.argsort(rank, kind="stable"):
        plane[place[unit, 1], place[unit, 0]] = values[unit]
        passed[place[unit, 1], place[unit, 0]] = strong[unit]
    return plane, passed


def span_of(result: xr.Dataset, space: Space | None, axis: str) -> tuple[float, float]:
    """What a view shows along a world axis: all units and some room for the letters of the sides."""
    if space is None:
        values = np.asarray(result[axis].values, dtype=float)
        return wider((float(values.min()), float(values.max()) + 1e-9), 0.14)
    index = np.asarray(result["ijk"[space.voxel(axis)]].values, dtype=float)
    return wider(space.millimetres(axis, index.min() - 0.5, index.max() + 0.5), 0.14)


def wider(span: tuple[float, float], share: float) -> tuple[float, float]:
    """A span with a share of its length added at both ends."""
    pad = share * (span[1] - span[0])
    return span[0] - pad, span[1] + pad


def boxes_of(size: dict[str, float], compact: bool) -> tuple[list[tuple[float, float, float, float]], float]:
    """Where each view lies in a field of width 1, on one scale, and the height of that field."""
    gap = 0.09 if not compact else 0.04
    rows = [[0, 1, 2]] if not compact else [[0, 1], [2]]
    views = [(size[across], size[up]) for across, up in VIEWS]
    scale = min((1 - gap * len(row)) / sum(views[at][0] for at in row) for row in rows)
    heights = [max(views[at][1] for at in row) * scale + (gap if compact else 0.0) for row in rows]
    boxes: dict[int, tuple[float, float, float, float]] = {}
    floor = sum(heights)
    for row, height in zip(rows, heights):
        floor -= height
        left = gap * 0.75
        for at in row:
            wide, tall = (side * scale for side in views[at])
            boxes[at] = (left, floor + (gap if compact else 0.0), wide, tall)
            left += wide + gap
    return [boxes[at] for at in range(3)], sum(heights)
