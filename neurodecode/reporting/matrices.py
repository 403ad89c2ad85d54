"""Plots of matrices: layer by area, confusion, and the lines of a few areas over the layers."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import xarray as xr

from .._optional import require
from .style import (
    MARKERS,
    PURPOSE,
    colour_bar,
    colours,
    dress,
    frame,
    keys_below,
    new_axes,
    note,
    readable_on,
    sequential,
    styled,
    turned,
    upright,
)
from .summary import Result, chance_of, opened, score_name
from .wording import number, score_label, told_apart

FEW = 4
PHONE = 3.4
CELLS: dict[str, Any] = {"aspect": "auto", "interpolation": "none"}


def matrix_of(result: Result) -> tuple[xr.DataArray, np.ndarray, str]:
    """The layer x roi matrix of a result, where it is not above the null's 95 %, and the words for its score."""
    if isinstance(result, xr.Dataset):
        holder, nodes = result, {}
    else:
        contents = opened(result)
        holder, nodes = contents.root, contents.nodes
    if "matrix" not in holder.data_vars:
        raise ValueError("this result has no variable matrix(layer, roi), so there is no layer-by-area picture.")
    matrix = holder["matrix"].transpose("layer", "roi")
    below = np.zeros(matrix.shape, dtype=bool)
    if "matrix_null95" in holder.data_vars:
        below = matrix.values <= holder["matrix_null95"].transpose("layer", "roi").values
    # Rows that are called like results have the score of these; other rows that of all results, where it is one.
    named = [nodes[layer] for layer in np.asarray(matrix["layer"].values).astype(str) if layer in nodes]
    scores = {score_name(one) for one in named or nodes.values()}
    said = matrix.attrs.get("score") or holder.attrs.get("score") or (scores.pop() if len(scores) == 1 else "score")
    return matrix, below, str(matrix.attrs.get("label") or score_label(str(said)))


def rows_called(matrix: xr.DataArray) -> tuple[str, str]:
    """What one row of the matrix is, and many of them: ``attrs["rows"]``, layers where it does not say.

    Examples
    --------
    >>> rows_called(xr.DataArray([[0.1]], dims=("layer", "roi"), attrs={"rows": ["model", "models"]}))
    ('model', 'models')
    """
    said = matrix.attrs.get("rows") or "layer"
    return (str(said[0]), str(said[1])) if isinstance(said, (list, tuple)) else (str(said), f"{said}s")


def _names(coord: xr.DataArray, most: int) -> list[str]:
    return told_apart(np.asarray(coord.values).astype(str).tolist(), most)


@styled
def layer_by_area(result: Result, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """Heat map layer x area: the best layer of each area outlined, cells under the null's 95 % hatched.

    Parameters
    ----------
    result : Dataset with ``matrix(layer, roi)`` and, where tested, ``matrix_null95(layer, roi)``; or a DataTree with
        these at its root. Where rows are no layers, ``attrs["rows"]`` of the matrix says what one is and many are:
        ``["model", "models"]``.

    Returns
    -------
    The axes; ``ax.images[0]`` holds the matrix, outlines have the gid ``best``, hatched cells ``below null``.

    Raises
    ------
    ValueError : there is no ``matrix``.
    """
    patches = require("matplotlib.patches", purpose=PURPOSE)
    to_rgb = require("matplotlib.colors", purpose=PURPOSE).to_rgb
    matrix, below, label = matrix_of(result)
    values = matrix.values
    layers, rois = _names(matrix["layer"], 16 if compact else 20), _names(matrix["roi"], 14 if compact else 20)
    if ax is None:
        wide = (min(11, 2.6 + 0.62 * len(rois)), 1.5 + 0.36 * len(layers))
        ax = new_axes(*((PHONE, 1.95 + 0.22 * len(layers)) if compact else wide), theme)
    finite = values[np.isfinite(values)]
    low, high = (min(finite.min(), 0.0), finite.max()) if len(finite) else (0.0, 1.0)
    image = ax.imshow(values, cmap=sequential(), vmin=low, vmax=high if high > low else low + 1, **CELLS)
    for row, column in np.ndindex(values.shape):
        value = float(values[row, column])
        colour = readable_on(image.cmap(image.norm(value))) if np.isfinite(value) else theme.muted
        if below[row, column]:
            box = patches.Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch="////", lw=0, gid="below null")
            box.set_edgecolor((*to_rgb(colour), 0.4))
            ax.add_patch(box)
        if (values.size <= 200 and not compact) or not np.isfinite(value):
            ax.text(column, row, number(value).replace("-", "−"), ha="center", va="center", fontsize=8, color=colour)
    for column in range(values.shape[1]):
        if np.isfinite(values[:, column]).any():
            best = int(np.nanargmax(values[:, column]))
            for colour, width in ((theme.paper, 4.4), (theme.ink, 2.2)):
                corner = (column - 0.45, best - 0.44)
                ax.add_patch(patches.Rectangle(corner, 0.9, 0.88, fill=False, ec=colour, lw=width, gid="best"))
    stand = turned(rois, 26 if compact else 58)
    ax.set_xticks(range(len(rois)), rois, parse_math=False, **stand)
    ax.set_yticks(range(len(layers)), layers, parse_math=False)
    colour_bar(ax, image, label, theme, compact)
    keys = [patches.Patch(fill=False, ec=theme.ink, lw=1.8, label=f"best {rows_called(matrix)[0]}")]
    if below.any():
        keys.append(
            patches.Patch(
                fill=False,
                ec=theme.muted,
                lw=0,
                hatch="/////",
                label="under the null's 95 %" if compact else "not above the null's 95 %",
            )
        )
    below_axes = 0.34 if stand["rotation"] == 0 else 0.34 + 0.055 * max(map(len, rois))
    keys_below(ax, keys, theme, below=below_axes, compact=compact)
    return frame(ax, theme)


@styled
def layer_lines(result: Result, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """A line per area over the layers, for at most four areas; it stands beside ``layer_by_area``.

    Returns
    -------
    The axes; lines have the gid ``area:<name>`` and their best layer is ringed.

    Raises
    ------
    ValueError : no ``matrix``, or more than four areas.
    """
    matrix, _, label = matrix_of(result)
    layers, rois = (_names(matrix[dim], 14 if compact else 20) for dim in ("layer", "roi"))
    if len(rois) > FEW:
        raise ValueError(
            f"{len(rois)} areas are too many lines (at most {FEW}); layer_by_area shows them as a heat map."
        )
    if ax is None:
        ax = new_axes(PHONE if compact else 7.5, 2.8 if compact else 3.0, theme)
    palette = colours(rois, theme)
    at = np.arange(len(layers))
    for column, name in enumerate(rois):
        values = matrix.values[:, column]
        ax.plot(at, values, color=palette[name], lw=1.6, marker=MARKERS[column], ms=5, gid=f"area:{name}")
        if np.isfinite(values).any():
            best = int(np.nanargmax(values))
            ax.plot(best, values[best], marker=MARKERS[column], ms=10, mfc="none", mec=theme.ink, mew=1.4, ls="")
    label_ends(ax, {name: float(matrix.values[-1, column]) for column, name in enumerate(rois)}, palette)
    step = max(1, int(np.ceil(len(layers) / (6 if compact else 14))))
    ax.set_xticks(at[::step], layers[::step], parse_math=False, **turned(layers[::step], 20 if compact else 72))
    if np.nanmin(matrix.values, initial=0) < 0 < np.nanmax(matrix.values, initial=0):
        ax.axhline(0, color=theme.muted, lw=1.3, ls=(0, (1, 2)), zorder=0.5, gid="zero")
    ax.set_ylabel(fill(label, upright(ax, label)))
    return dress(ax, theme, grid="y")


def label_ends(ax: Any, ends: dict[str, float], palette: dict[str, str], taken: tuple[float, ...] = ()) -> None:
    """Names at the ends of their lines, pushed apart where they would touch each other or what is at ``taken``."""
    ax.figure.canvas.draw()
    low, high = ax.get_ylim()
    step = (high - low) * 13 / max(ax.get_window_extent().height * 72 / ax.figure.dpi, 1)
    used = list(taken)
    shown = dict(zip(ends, told_apart(ends, 18)))
    for name, y in sorted(ends.items(), key=lambda end: -end[1]):
        if not np.isfinite(y):
            continue
        way = -1 if used and not taken else (1 if not taken or y >= taken[0] else -1)
        place = y
        while any(abs(place - other) < step for other in used):
            place += way * step / 8
        used.append(place)
        note(ax, shown[name], (1, place), "side", (4, 0), color=palette[name])


@styled
def confusion(result: xr.Dataset, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """Confusion matrix: colour is the share of each true class, numbers are counts of held-out samples.

    Parameters
    ----------
    result : Dataset with ``confusion(true, predicted)`` in counts, coordinates the names of the classes.

    Returns
    -------
    The axes; ``ax.images[0]`` holds the shares, rows summing to one.

    Raises
    ------
    ValueError : there is no ``confusion``.
    """
    if "confusion" not in result.data_vars:
        raise ValueError("this result has no variable confusion(true, predicted): it is not a classification.")
    counts = result["confusion"].transpose("true", "predicted")
    truth, answer = (_names(counts[dim], 14 if compact else 20) for dim in ("true", "predicted"))
    values = counts.values.astype(float)
    total = values.sum(axis=1, keepdims=True)
    shares = np.divide(values, total, out=np.full_like(values, np.nan), where=total > 0)
    n = len(truth)
    if ax is None:
        side = min(7.0, 2.4 + 0.42 * n)
        ax = new_axes(side + 1.5, side, theme)
    image = ax.imshow(shares, cmap=sequential(), vmin=0, vmax=1, aspect="equal", interpolation="none")
    size = 7.5 if compact else 9
    for row, column in np.argwhere(values > 0) if n <= 14 else ():
        colour = readable_on(image.cmap(image.norm(shares[row, column])))
        words = {"ha": "center", "va": "center", "fontsize": size, "color": colour}
        ax.text(column, row, f"{values[row, column]:.0f}", **words)
    step = int(np.ceil(n / 24))
    small = {"parse_math": False, "fontsize": 8 if compact or n > 14 else 9}
    room = max(4 * n, 16) if compact else max(6 * n, 18)
    ax.set_xticks(range(0, n, step), answer[::step], **turned(answer[::step], room), **small)
    ax.set_yticks(range(0, n, step), truth[::step], **small)
    ax.set_xlabel("answer of the decoder")
    ax.set_ylabel("what was there")
    bar = colour_bar(ax, image, "share of the true class", theme, compact)
    chance = chance_of(result)
    if chance is not None and 0 < chance < 1:
        rule = bar.ax.axvline if compact else bar.ax.axhline
        rule(chance, color=readable_on(image.cmap(chance)), lw=1.4, ls=(0, (1, 1)))
        at, frame_of, off, ha = (
            ((chance, 1), "edge", (0, 6), "center") if compact else ((0, chance), "side", (-3, 0), "right")
        )
        note(bar.ax, "chance", at, frame_of, off, ha=ha, fontsize=7.5, color=theme.muted)
    return frame(ax, theme)
