"""Values on the scalp seen from above, nose up, left is left: patterns of filters, differences, scores of channels.

mne draws the map between the electrodes; where they are is read from ``x y z`` (metres) on unit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from .._optional import require
from ..exceptions import AlignmentError
from .style import Theme, colour_bar, diverging, new_axes, styled
from .summary import chance_of, score_name
from .wording import BOUNDS, count, score_label

MOST = 6
FEWEST = 4
RADIUS = 0.095
RIM = 100.0  # degrees from the top of the head to the outline of the map, more where electrodes lie lower
MICRO = {"V": ("µV", 1e6), "T": ("fT", 1e15), "T/m": ("fT/cm", 1e13)}


def has_topography(result: xr.Dataset, variable: str | None = None) -> bool:
    """Whether the units are channels on a head: ``channel`` and ``x y z`` (metres) on unit, four or more with a place.

    Examples
    --------
    >>> has_topography(xr.Dataset({"score": ("unit", [0.5])}))
    False
    """
    if any(name not in result.coords or result[name].dims != ("unit",) for name in ("channel", *"xyz")):
        return False
    if variable is not None and (variable not in result.data_vars or "unit" not in result[variable].dims):
        return False
    placed = np.isfinite(_xyz(result)).all(axis=1)
    return int(placed.sum()) >= FEWEST and float(np.nanmax(np.abs(_xyz(result)))) < 1


def main_variable(result: xr.Dataset) -> str:
    """What is shown where nothing is named: ``attrs["topography"]``, else pattern, difference, score.

    Examples
    --------
    >>> main_variable(xr.Dataset({"filter": ("unit", [1.0]), "pattern": ("unit", [1.0])}))
    'pattern'
    """
    for name in (result.attrs.get("topography"), "pattern", "difference", "score"):
        if name in result.data_vars:
            return str(name)
    raise ValueError(f"no pattern, difference or score in this result; it has {', '.join(map(str, result.data_vars))}.")


@styled
def topographies(
    result: xr.Dataset,
    variable: str | None = None,
    ax: Any = None,
    *,
    at: Any = None,
    theme: Any = "light",
    compact: bool = False,
) -> Any:
    """Scalp maps side by side: one per component or time, or a single one, on one colour scale.

    Parameters
    ----------
    result : Dataset with ``channel`` and ``x y z`` (metres) on unit.
    variable : (unit), (component, unit) or (unit, time); by default see ``main_variable``. The score is centred on
        chance, other variables on 0; the scale is symmetric, and patterns, whose sign and size say nothing, are each
        scaled to their largest value.
    at : which components (from 0) or times (s); by default the first ones, or six times around the largest value.
    ax : axes whose place is divided among the maps.

    Returns
    -------
    The axes; each map is one of ``ax.child_axes``, with its title, and ``ax.child_axes[k].images[0]`` is the map.

    Raises
    ------
    AlignmentError : the channels have no places.
    ValueError : no such variable, or one with other dimensions.
    """
    name = variable or main_variable(result)
    if name not in result.data_vars:
        raise ValueError(f"no variable {name!r}; the result has {', '.join(map(str, result.data_vars))}.")
    if not has_topography(result, name):
        raise AlignmentError(
            "a scalp map needs channel and x, y, z (metres) on unit, for at least four channels "
            "(sources.eeg.epochs gives them where the recording has a montage)."
        )
    chosen, titles, label, centre = shown_maps(result, name, at)
    placed = np.isfinite(_xyz(result)).all(axis=1)
    largest = float(np.nanmax(np.abs(chosen[:, placed] - centre), initial=0)) or 1.0
    columns, rows = grid(len(chosen), compact)
    if ax is None:
        ax = new_axes(min(7.5, 1.0 + 1.9 * columns), 0.7 + 2.0 * rows, theme)
    ax.set_axis_off()
    for position, (values, title) in enumerate(zip(chosen, titles)):
        row, column = divmod(position, columns)
        place = (column / columns + 0.01, 1 - (row + 1) / rows + 0.04, 1 / columns - 0.02, 1 / rows - 0.14)
        inset = ax.inset_axes(place)
        image = _paint(inset, values[placed], result.isel(unit=placed), centre, largest, theme)
        inset.set_title(title, fontsize=9, color=theme.ink)
    first = ax.child_axes[0]
    look = {"fontsize": 8.5, "color": theme.muted, "clip_on": False}
    for side, x in (("L", 0.02), ("R", 0.98)):
        first.text(x, 0.12, side, transform=first.transAxes, ha="center", va="center", **look)
    bar = colour_bar(ax, image, label, theme, compact=True)
    bar.locator = require("matplotlib.ticker", purpose="drawing scalp maps").MaxNLocator(4, symmetric=name != "score")
    bar.update_ticks()
    if name == "score":
        least, most = BOUNDS.get(score_name(result), image.get_clim())
        bar.ax.set_xlim(max(image.get_clim()[0], least), min(image.get_clim()[1], most))
    unseen = int((~placed).sum())
    if unseen:
        said = f"{count(unseen, 'channel', 'channels')} without a place left out"
        ax.text(0, 0, said, transform=ax.transAxes, va="top", **look)
    return ax


def shown_maps(result: xr.Dataset, name: str, at: Any = None) -> tuple[np.ndarray, list[str], str, float]:
    """What ``topographies`` draws: values (maps, units), a title for each, what the colours mean, and their middle."""
    chosen, titles = _maps(result, name, at)
    label, centre, chosen = _scale(result, name, chosen)
    return chosen, titles, label, centre


def grid(maps: int, compact: bool) -> tuple[int, int]:
    """Columns and rows of that many maps."""
    columns = min(maps, 2 if compact else MOST)
    return columns, -(-maps // columns)


def _xyz(result: xr.Dataset) -> np.ndarray:
    return np.stack([np.asarray(result[axis].values, dtype=float) for axis in "xyz"], axis=1)


def _flat(xyz: np.ndarray) -> np.ndarray:
    """Places (units, 2) on the map: as far from its middle as a place is from the top of the sphere that fits best."""
    found = np.linalg.lstsq(np.column_stack([2 * xyz, np.ones(len(xyz))]), (xyz**2).sum(axis=1), rcond=None)[0]
    radius = float(np.sqrt(max(found[3] + found[:3] @ found[:3], 0)))
    away = xyz - (found[:3] if 0.06 < radius < 0.13 else 0)
    angle = np.degrees(np.arccos(np.clip(away[:, 2] / np.linalg.norm(away, axis=1), -1, 1)))
    round_ = np.arctan2(away[:, 1], away[:, 0])
    far = RADIUS * angle / max(RIM, 1.03 * float(angle.max()))
    return np.column_stack([far * np.cos(round_), far * np.sin(round_)])


def _maps(result: xr.Dataset, name: str, at: Any) -> tuple[np.ndarray, list[str]]:
    """(maps, units) and a title for each."""
    values = result[name]
    if values.dims == ("unit",):
        return values.values[None].astype(float), [""]
    if set(values.dims) == {"component", "unit"}:
        table = values.transpose("component", "unit").values.astype(float)
        which = list(range(min(len(table), MOST))) if at is None else [int(one) for one in np.atleast_1d(at)]
        of = result["component_of"].values if "component_of" in result.coords else np.full(len(table), "")
        alone = len(set(of)) == len(of)
        return table[which], [str(of[one]) if alone else f"{one + 1}: {of[one]}".rstrip(": ") for one in which]
    if set(values.dims) == {"unit", "time"} and "time" in result.coords:
        table = values.transpose("time", "unit").values.astype(float)
        times = np.asarray(result["time"].values, dtype=float)
        if at is None:
            peak = int(np.argmax(np.nanmax(np.abs(table), axis=1)))
            start = int(np.clip(peak - MOST // 2, 0, max(len(times) - MOST, 0)))
            which = list(range(start, min(start + MOST, len(times))))
        else:
            which = [int(np.argmin(np.abs(times - float(one)))) for one in np.atleast_1d(at)]
        return table[which], [f"{1e3 * times[one]:.0f} ms" for one in which]
    raise ValueError(f"{name} has the dimensions {values.dims}; expected unit, with component or time at most.")


def _scale(result: xr.Dataset, name: str, maps: np.ndarray) -> tuple[str, float, np.ndarray]:
    """What the colours mean, where their middle lies, and the values in those units."""
    if name == "score":
        return score_label(score_name(result)), chance_of(result) or 0.0, maps
    if name in ("pattern", "filter"):
        largest = np.nanmax(np.abs(maps), axis=1, keepdims=True)
        return f"{name} (largest channel 1)", 0.0, maps / np.where(largest > 0, largest, 1)
    units = str(result[name].attrs.get("units", ""))
    shown, factor = MICRO.get(units, (units, 1.0))
    return f"{name}" + (f" ({shown})" if shown else ""), 0.0, maps * factor


def _paint(ax: Any, values: np.ndarray, result: xr.Dataset, centre: float, largest: float, theme: Theme) -> Any:
    mne = require("mne", purpose="drawing scalp maps")
    places = _flat(_xyz(result))
    many = len(places) > 40
    image, _ = mne.viz.plot_topomap(
        np.nan_to_num(values, nan=centre), places, axes=ax, show=False, cmap=diverging(theme), contours=4,
        vlim=(centre - largest, centre + largest), sphere=RADIUS, sensors=True, extrapolate="head",
        mask_params={"markersize": 2 if many else 4},
    )  # fmt: skip
    for line in ax.lines:
        line.set_color(theme.ink)
        line.set_linewidth(1.0)
    for dots in ax.collections:
        if hasattr(dots, "get_offsets") and len(dots.get_offsets()) == len(places):
            dots.set_color(theme.ink)
    return image
