"""Who asks: units gathered into areas, one query an area, and the units that share the same set of areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..exceptions import AlignmentError, DegenerateDataError

REST = "rest"
NOWHERE = {"", "none", "nan", "None", "unknown"}


@dataclass(frozen=True)
class Areas:
    """Areas and the units that belong to them.

    ``names`` (areas,); ``units``: positions of the units of each area, which may overlap; ``patterns``: for each set
    of areas that some unit belongs to, the areas; ``order`` the units sorted by pattern; ``sizes`` units a pattern.
    Units in no area are in no pattern.
    """

    names: tuple[str, ...]
    units: tuple[np.ndarray, ...]
    patterns: tuple[tuple[int, ...], ...]
    order: np.ndarray
    sizes: tuple[int, ...]

    @property
    def empty(self) -> tuple[str, ...]:
        """Areas without a unit to fit."""
        return tuple(name for name, units in zip(self.names, self.units) if not len(units))


def gather(Y: Any, by: str | Sequence[str] | Mapping[str, Any] | None, n_units: int, *, usable: np.ndarray) -> Areas:
    """Areas of the units of ``Y``.

    Parameters
    ----------
    Y : labelled targets, or an array where ``by`` is a dict or None.
    by : unit coordinate (``"roi"``, ``"hemi"``), several of them (one area for each combination), a dict of area name
        to boolean mask (units,), which may overlap, ``"unit"`` (each unit asks for itself), or None (one for all).
    usable : boolean (units,), the units that can be fitted; others are left out of every area.

    Raises
    ------
    AlignmentError : the coordinate is not there, or a mask has another length. ValueError : ``by`` is something else.
    DegenerateDataError : no unit is left.
    """
    if by is None:
        names, members = ["all"], np.ones((1, n_units), dtype=bool)
    elif isinstance(by, Mapping):
        names, members = [str(name) for name in by], _masks(by, n_units)
    elif isinstance(by, str) and by == "unit":
        return _each(_unit_names(Y, n_units), usable)
    else:
        labels = _labels(Y, [by] if isinstance(by, str) else _names(by))
        shown = [str(name) for name in dict.fromkeys(labels) if name not in NOWHERE]
        names, members = shown, np.stack([labels == name for name in shown]) if shown else np.zeros((0, n_units), bool)
    alone = ~members.any(axis=0) if len(members) else np.ones(n_units, dtype=bool)
    if alone.any():
        if REST in names:
            raise AlignmentError(f"an area is named {REST!r}, the name of the query of units in no area; rename it")
        names, members = [*names, REST], np.vstack([members, alone])
    members = members & usable
    _some(members)
    codes = members.T
    kinds, which = np.unique(codes, axis=0, return_inverse=True)
    which = which.ravel()
    used = [number for number in range(len(kinds)) if kinds[number].any()]
    used.sort(key=lambda number: tuple(np.flatnonzero(kinds[number])))
    order = np.concatenate([np.flatnonzero(which == number) for number in used])
    sizes = tuple(int((which == number).sum()) for number in used)
    patterns = tuple(tuple(int(area) for area in np.flatnonzero(kinds[number])) for number in used)
    return Areas(tuple(names), tuple(np.flatnonzero(row) for row in members), patterns, order, sizes)


def _each(names: list[str], usable: np.ndarray) -> Areas:
    """Each unit an area of its own, without a table of units by units."""
    _some(usable)
    order = np.flatnonzero(usable)
    units = tuple(np.array([number] if usable[number] else [], dtype=int) for number in range(len(names)))
    return Areas(tuple(names), units, tuple((int(number),) for number in order), order, (1,) * len(order))


def _some(members: np.ndarray) -> None:
    if not members.any():
        raise DegenerateDataError("no unit is left to fit: every unit is masked, constant, or in no area")


def _names(by: Any) -> list[str]:
    """Names of several coordinates."""
    if not isinstance(by, Sequence) or not by or not all(isinstance(name, str) for name in by):
        raise ValueError(
            f"by={by!r}: expected a coordinate of the units of Y such as 'roi', several of them, 'unit', a dict of "
            "area name to boolean mask, or None."
        )
    return [str(name) for name in by]


def _masks(by: Mapping[str, Any], n_units: int) -> np.ndarray:
    rows = []
    for name, mask in by.items():
        row = np.asarray(mask.values if isinstance(mask, xr.DataArray) else mask)
        if row.shape != (n_units,) or row.dtype.kind != "b":
            raise AlignmentError(f"the mask of area {name!r} is {row.dtype} {row.shape}; expected boolean ({n_units},)")
        rows.append(row)
    if not rows:
        raise ValueError("by= is an empty dict; name at least one area")
    return np.stack(rows)


def _labels(Y: Any, coords: list[str]) -> np.ndarray:
    if not isinstance(Y, xr.DataArray):
        raise AlignmentError(
            f"by={coords} names coordinates, but the targets are a plain array; pass a dict of masks, or None"
        )
    there = sorted(str(name) for name, entry in Y.coords.items() if entry.dims == ("unit",))
    missing = [name for name in coords if name not in there]
    if missing:
        raise AlignmentError(f"the units of Y have no coordinate {missing[0]!r}; they have {there}")
    columns = [Y.coords[name].values.astype(str) for name in coords]
    nowhere = [np.isin(column, list(NOWHERE)) for column in columns]
    if len(columns) == 1:
        return np.where(nowhere[0], "", columns[0])
    # A unit that lies in no area of a hemisphere belongs to the rest of that hemisphere.
    columns = [np.where(lost, REST, column) for lost, column in zip(nowhere, columns)]
    joined = [" ".join(parts) for parts in zip(*columns)]
    return np.where(np.all(nowhere, axis=0), "", np.asarray(joined, dtype=object)).astype(str)


def _unit_names(Y: Any, n_units: int) -> list[str]:
    if isinstance(Y, xr.DataArray):
        for name in ("unit_name", "channel", "voxel", "vertex"):
            if name in Y.coords and Y.coords[name].dims == ("unit",):
                found = [str(value) for value in Y.coords[name].values]
                if len(set(found)) == len(found):
                    return found
    return [str(number) for number in range(n_units)]
