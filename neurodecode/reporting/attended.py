"""Where areas look: attention over pictures, receptive fields, and what looking there adds to a prediction.

Nodes of a study say ``shows="attention"``, ``"fields"`` or ``"gain"``; see :func:`attention_on_pictures`,
:func:`receptive_fields` and :func:`gain_by_area` for the variables that each holds.
"""

from __future__ import annotations

from functools import partial
from textwrap import wrap
from typing import Any

import numpy as np
import xarray as xr

from .._optional import require
from .gallery import PHONE, WIDE
from .markup import Cell, Html, el, table
from .pictures import Picture
from .style import PURPOSE, Theme, colour_bar, colours, dress, frame, keys_below, looks, new_axes, note, styled
from .wording import SCORES, count, headed, listed, number, p_short, score_label, told_apart

MOST_PICTURES = 6
MOST_AREAS = 8
MOST_ROWS = 20
OVERLAY = "#f07818"  # orange: seen on light and on dark places of a grey picture
LUMINANCE = (0.2126, 0.7152, 0.0722)
LANE = 0.23
GAP = 0.16
NAMES = 1.5  # inches for the names beside the pictures
GREYS, STEPS = 128, 64  # shades of a picture and of what lies over it: few enough for a palette
MOST_PIXELS = 160
NARROWEST = 4.0  # the least top of the colour scale, in even shares: nearly even attention looks even


# Attention over pictures


@styled
def attention_on_pictures(node: xr.Dataset, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """Attention as a transparent overlay on the luminance of pictures: a row for each area, the peak marked.

    One scale for all: how many times an even share a token gets, on a logarithmic axis from 1, so that attention that
    is spread over the whole picture leaves it grey.

    Parameters
    ----------
    node : ``picture`` (sample, row, column, channel) uint8 or 0..1, any size, NaN where a picture is missing (its
        place stays grey); ``attention`` (sample, query, token), as ``RoutedEncoder.attention`` gives it, with token
        coordinates ``grid_row`` and ``grid_col`` (or a square grid read row by row); tokens without a place (NaN or
        below 0: a class token) are not drawn; optional ``drop`` and ``drop_random`` (query) of ``token_importance``.
    compact : three pictures a row instead of six.

    Returns
    -------
    The axes; each picture is one of ``ax.child_axes`` with the gid ``area:sample``.

    Raises
    ------
    ValueError : no pictures, attention and pictures of other samples, tokens whose places are not known, or no area
        with attention.
    """
    pictures, maps, names = _luminance(node), _maps(node), _shown_areas(node)
    if not names:
        raise ValueError("no area has attention that is a number, so there is nothing to draw.")
    count = min(len(pictures), 3 if compact else MOST_PICTURES)
    top = max(NARROWEST, float(np.nanmax(maps[:count][:, [at for at, _ in names]], initial=NARROWEST)))
    if ax is None:
        ax = new_axes(*_sheet(len(names), count, compact, _aspect(node)), theme)
    ax.set_axis_off()
    called = told_apart([name for _, name in names], 16 if compact else 34)
    left = 0.0 if compact else NAMES / _sheet(len(names), count, compact, _aspect(node))[0]
    for row, (query, name) in enumerate(names):
        high = 1 / len(names)
        body = high * (0.74 if compact else 0.94)
        middle = 1 - row * high - (high - body if compact else 0) - body / 2
        _name_row(ax, node, query, called[row], (0, 1 - row * high - 0.01) if compact else (0, middle), compact, theme)
        for column in range(count):
            width = (1 - left) / (3 if compact else count)
            inset = ax.inset_axes((left + column * width, middle - body / 2, width * 0.95, body))
            inset.set_gid(f"{name}:{column}")
            image = _overlay(inset, pictures[column], maps[column, query], top, theme)
    bar = colour_bar(ax, image, "attention, times an even share", theme, compact=True)
    ticks = [tick for tick in (1, 2, 4, 8, 16, 32, 64, 128) if tick <= top]
    bar.set_ticks(ticks, labels=[f"{tick}" for tick in ticks])
    bar.ax.minorticks_off()
    return ax


def _sheet(rows: int, columns: int, compact: bool, aspect: float = 1.0) -> tuple[float, float]:
    """Inches of a sheet whose pictures, ``aspect`` times as high as wide, fill their places."""
    if compact:
        return PHONE, rows * min(PHONE / 3 * aspect / 0.78, 2.0) + 0.75
    side = (WIDE - NAMES) / MOST_PICTURES
    return max(NAMES + side * columns, 4.2), rows * max(min(side * aspect, 1.6), 0.62) + 0.75


def _aspect(node: xr.Dataset) -> float:
    """Height of the pictures as a share of their width."""
    return float(node["picture"].shape[1] / node["picture"].shape[2])


def _luminance(node: xr.Dataset) -> np.ndarray:
    """(sample, row, column) in 0..1."""
    if "picture" not in node:
        raise ValueError(
            "attention is drawn on pictures, and this node has no 'picture' (sample, row, column, channel)"
        )
    values = node["picture"].values.astype(float)
    if len(values) != node.sizes["sample"] or "sample" not in node["attention"].dims:
        raise ValueError("attention and pictures need the same samples")
    if np.nanmax(values, initial=0) > 1:
        values = values / 255
    return (
        values @ np.array(LUMINANCE) if values.ndim == 4 and values.shape[-1] == 3 else values.reshape(values.shape[:3])
    )


def _maps(node: xr.Dataset) -> np.ndarray:
    """Attention on its grid, (sample, query, rows, columns), in even shares."""
    values = node["attention"].transpose("sample", "query", "token").values.astype(float)
    return _gridded(values * values.shape[-1], node)


def _gridded(values: np.ndarray, node: xr.Dataset) -> np.ndarray:
    """Values on tokens, (..., token), as (..., rows, columns)."""
    rows, cols = _places(node, values.shape[-1])
    placed = rows >= 0
    grid = np.full((*values.shape[:-1], int(rows.max()) + 1, int(cols.max()) + 1), np.nan)
    grid[..., rows[placed], cols[placed]] = values[..., placed]
    return grid


def _places(node: xr.Dataset, n_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every token, -1 for those that lie nowhere."""
    for row, col in (("grid_row", "grid_col"), ("row", "col")):
        if all(name in node.coords and node[name].dims == ("token",) for name in (row, col)):
            known = [np.asarray(node[name].values, dtype=float) for name in (row, col)]
            nowhere = ~np.isfinite(known).all(0)
            if row == "grid_row":  # counted from 0; other places may be degrees, right and left of the middle
                nowhere |= (np.array(known) < 0).any(0)
            if nowhere.all():
                raise ValueError("no token has a place, so there is no map")
            found = []
            for values in known:  # ranks, so that places in degrees or in pixels are a grid as well
                ranks = np.full(n_tokens, -1)
                ranks[~nowhere] = np.unique(values[~nowhere], return_inverse=True)[1]
                found.append(ranks)
            return found[0], found[1]
    side = int(np.sqrt(n_tokens))
    if side * side != n_tokens:
        raise ValueError(
            f"{n_tokens} tokens are no square grid: give them the coordinates grid_row and grid_col, "
            "NaN for tokens that lie nowhere, such as the class token"
        )
    rows, cols = np.divmod(np.arange(n_tokens), side)
    return rows, cols


def _shown_areas(node: xr.Dataset) -> list[tuple[int, str]]:
    """Position and name of the areas that are drawn: with attention, the first few."""
    names = node["query"].values.astype(str).tolist()
    finite = np.isfinite(node["attention"].transpose("query", "sample", "token").values).all(axis=(1, 2))
    return [(at, name) for at, name in enumerate(names) if finite[at]][:MOST_AREAS]


def _name_row(
    ax: Any, node: xr.Dataset, query: int, name: str, at: tuple[float, float], compact: bool, theme: Theme
) -> None:
    """The area's name, and beside or under it what is lost when the places it looks at are masked."""
    lost = _lost_words(node, query)
    look = {"transform": ax.transAxes, "ha": "left", "parse_math": False}
    if compact:
        ax.text(*at, name + (f"   {lost[0]}" if lost else ""), va="top", fontsize=9, color=theme.ink, **look)
        return
    ax.text(*at, "\n".join(wrap(name, 18)[:2]), va="bottom" if lost else "center", fontsize=10, color=theme.ink, **look)
    if lost:
        ax.text(*at, "\n".join(lost), va="top", fontsize=8, color=theme.muted, linespacing=1.3, **look)


def _lost_words(node: xr.Dataset, query: int) -> list[str]:
    if "drop" not in node or not np.isfinite(node["drop"].values[query]):
        return []
    said = [f"masked {_signed(-float(node['drop'].values[query]))}"]
    if "drop_random" in node:
        said.append(f"as many random {_signed(-float(node['drop_random'].values[query]))}")
    return said


def _signed(value: float) -> str:
    text = number(abs(value))
    return text if not np.isfinite(value) or float(text) == 0 else ("+" if value > 0 else "−") + text


def _overlay(ax: Any, picture: np.ndarray, weights: np.ndarray, top: float, theme: Theme) -> Any:
    """Grey picture below, orange above, as strong as the logarithm of the weight; a ring at the largest weight."""
    colors = require("matplotlib.colors", purpose=PURPOSE)
    height, width = picture.shape
    grey = np.where(np.isfinite(picture), 0.25 + 0.65 * picture, 0.5)
    greys = require("matplotlib", purpose=PURPOSE).colormaps["gray"].resampled(GREYS)
    look = {"cmap": greys, "vmin": 0, "vmax": 1, "extent": (0, width, height, 0)}
    ax.imshow(_smaller(grey), interpolation="none", **look)
    ramp = colors.LinearSegmentedColormap.from_list(
        "attention", [(*colors.to_rgb(OVERLAY), 0.0), (*colors.to_rgb(OVERLAY), 0.92)], N=STEPS
    )
    image = ax.imshow(
        np.where(np.isfinite(weights), np.maximum(weights, 1), 1), cmap=ramp, norm=colors.LogNorm(1, top),
        extent=(0, width, height, 0), interpolation="bilinear", interpolation_stage="data",
    )  # fmt: skip
    row, col = np.unravel_index(int(np.nanargmax(weights)), weights.shape)
    place = (col + 0.5) * width / weights.shape[1], (row + 0.5) * height / weights.shape[0]
    for size, colour in ((7.5, "#121212"), (6, "#fdfdfd")):
        ax.plot(*place, "o", ms=size, mfc="none", mec=colour, mew=1.1, gid="peak")
    ax.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    frame(ax, theme)
    return image


def _smaller(picture: np.ndarray) -> np.ndarray:
    """A picture with at most ``MOST_PIXELS`` rows and columns: means of blocks."""
    block = -(-max(picture.shape) // MOST_PIXELS)
    rows, columns = (max(1, n // block) for n in picture.shape)
    if block == 1:
        return picture
    return picture[: rows * block, : columns * block].reshape(rows, block, columns, -1).mean((1, 3))


def attention_pictures(name: str, node: xr.Dataset) -> list[Picture | Html]:
    """The sheet of one attention node with its words."""
    areas = _shown_areas(node)
    if not areas:
        return [el("p", "No area has attention that is a number, so there is no picture of it.")]
    shown = min(node.sizes["sample"], MOST_PICTURES)
    left = node.sizes["query"] - len(areas)
    caption = (
        "Each row: the same pictures, and where one area reads them. Orange: attention above an even share of the "
        "places, one scale for all rows; ring: its largest value."
    )
    if "drop" in node:
        share = f"the {100 * node.attrs['share']:.0f} % of places" if "share" in node.attrs else "the places"
        caption += f" Masked: change of {score_label(str(node.attrs.get('score', 'r')))} when {share} with the largest "
        caption += "weights are taken away, beside as many random places."
    if absent := int((~np.isfinite(_luminance(node)[:shown])).any((1, 2)).sum()):
        caption += f" Grey: {count(absent, 'picture')} missing."
    if nowhere := int((_places(node, node.sizes["token"])[0] < 0).sum()):
        caption += f" Not drawn: what goes to {count(nowhere, 'token')} without a place."
    if left > 0:
        caption += f" {left} of {node.sizes['query']} areas {'is' if left == 1 else 'are'} not drawn."
    if node.attrs.get("how_chosen"):
        caption += f" {node.attrs['how_chosen']}"
    said = [f"{area}{''.join(f'; {words}' for words in _lost_words(node, at))}" for at, area in areas]
    alt = f"{count(shown, 'picture')} in {count(len(areas), 'row')} with attention in orange: {listed(said, 12)}."
    wide, narrow = (_sheet(len(areas), min(shown, most), most == 3, _aspect(node)) for most in (MOST_PICTURES, 3))
    return [Picture(partial(attention_on_pictures, node), alt, caption, wide, narrow)]


# Receptive fields


@styled
def receptive_fields(node: xr.Dataset, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """Where each area reads when places are fixed: a map on the grid of tokens, or circles in degrees.

    Parameters
    ----------
    node : either ``map`` (query, token), weights that sum to one, as ``SpatialFeatureEncoder.map_`` has it; or ``x``,
        ``y``, ``size`` (unit), centres and standard deviations in degrees from the middle, right and up positive, with
        ``roi`` on unit (``hemi`` colours the circles) and ``attrs["field"]``, the width of the picture in degrees.

    Returns
    -------
    The axes; each area is one of ``ax.child_axes``, with its name as title.

    Raises
    ------
    ValueError : neither is there.
    """
    drawn = _field_panels(node)
    columns = min(len(drawn), 2 if compact else 4)
    rows = -(-len(drawn) // columns)
    if ax is None:
        ax = new_axes(*_field_sheet(len(drawn), compact, _field_aspect(node)), theme)
    ax.set_axis_off()
    insets = []
    tall = (_field_sheet(len(drawn), compact, _field_aspect(node))[1] - 0.75) / rows  # inches of a row
    for at, title in enumerate(told_apart(drawn, 20)):
        row, column = divmod(at, columns)
        inset = ax.inset_axes(
            (column / columns + 0.015, 1 - (row + 1) / rows + 0.04 / tall / rows, 1 / columns - 0.03,
             (1 - 0.34 / tall) / rows)
        )  # fmt: skip
        inset.set_title(title, fontsize=8.5 if compact else 9.5, color=theme.ink)
        insets.append(inset)
    if "map" in node:
        maps = _gridded(node["map"].transpose("query", "token").values * node.sizes["token"], node)
        names = node["query"].values.astype(str).tolist()
        chosen = [maps[names.index(title)] for title in drawn]
        top = max(2.0, float(np.nanmax(chosen)))
        for inset, values in zip(insets, chosen):
            image = inset.imshow(values, cmap="viridis", vmin=0, vmax=top, interpolation="none")
            inset.set(xticks=[], yticks=[])
            frame(inset, theme)
        colour_bar(ax, image, "weight of the place, times an even share", theme, compact=True)
        return ax
    field = float(node.attrs.get("field", 2 * np.nanmax(np.abs([node["x"].values, node["y"].values]))))
    palette = colours(["left", "right"], theme)
    for at, (inset, title) in enumerate(zip(insets, drawn)):
        _circles(inset, node.isel(unit=np.flatnonzero(node["roi"].values.astype(str) == title)), palette, field, theme)
        inset.set_yticklabels([] if at % columns else inset.get_yticklabels())
        if at // columns < rows - 1 and at + columns < len(drawn):
            inset.set_xticklabels([])
    if "hemi" in node.coords:
        line = require("matplotlib.lines", purpose=PURPOSE).Line2D
        keys = [
            line([], [], marker="o", ls="", mfc="none", mec=palette[side], ms=7, label=f"{side} hemisphere")
            for side in ("left", "right")
        ]
        keys_below(ax, keys, theme, below=0.3, compact=compact)
    return ax


def _field_panels(node: xr.Dataset) -> list[str]:
    if "map" in node:
        finite = np.isfinite(node["map"].transpose("query", "token").values).all(axis=1)
        return [str(name) for name, good in zip(node["query"].values, finite) if good][:MOST_AREAS]
    if all(name in node for name in ("x", "y", "size")):
        return list(dict.fromkeys(node["roi"].values.astype(str).tolist()))[:MOST_AREAS]
    raise ValueError("receptive fields need 'map' (query, token), or 'x', 'y' and 'size' (unit) with 'roi' on unit")


def _field_aspect(node: xr.Dataset) -> float:
    """Height of a panel as a share of its width."""
    if "map" not in node:
        return 1.0
    rows, cols = _places(node, node.sizes["token"])
    return float(np.clip((rows.max() + 1) / (cols.max() + 1), 0.2, 2.0))


def _field_sheet(n: int, compact: bool, aspect: float = 1.0) -> tuple[float, float]:
    columns = min(n, 2 if compact else 4)
    rows = -(-n // columns)
    width = PHONE if compact else {1: 3.6, 2: 5.4, 3: 6.6}.get(columns, WIDE)
    return width, rows * ((width / columns - 0.1) * aspect + 0.34) + 0.75


def _circles(ax: Any, units: xr.Dataset, palette: dict[str, str], field: float, theme: Theme) -> None:
    circle = require("matplotlib.patches", purpose=PURPOSE).Circle
    for line in (ax.axhline, ax.axvline):
        line(0, color=theme.line, lw=0.7, zorder=0)
    sides = units["hemi"].values.astype(str) if "hemi" in units.coords else np.full(units.sizes["unit"], "left")
    for x, y, size, side in zip(units["x"].values, units["y"].values, units["size"].values, sides):
        if np.isfinite([x, y, size]).all():
            colour = palette.get(side, theme.accent)
            ax.add_patch(circle((x, y), size, fc=colour, ec=colour, alpha=0.16, lw=0))
            ax.plot(x, y, "o", ms=2.6, color=colour, gid="centre")
    half = field / 2
    tick = float(f"{half / 2:.0e}")
    ticks, words = [-tick, 0, tick], [f"−{tick:g}°", "0°", f"{tick:g}°"]
    ax.set(xlim=(-half, half), ylim=(-half, half), aspect="equal")
    ax.set_xticks(ticks, words)
    ax.set_yticks(ticks, words)
    ax.tick_params(length=2, color=theme.line, labelcolor=theme.muted, labelsize=8)
    for spine in ax.spines.values():
        spine.set_color(theme.line)


def field_pictures(name: str, node: xr.Dataset) -> list[Picture | Html]:
    """The fields of one node with their words."""
    drawn = _field_panels(node)
    if "map" in node:
        tokens = int((_places(node, node.sizes["token"])[0] >= 0).sum())
        caption = f"Where each area reads, the same place in every picture: weights of {tokens} places; 1 is even."
        alt = f"Maps of weights over {tokens} places for {listed(drawn, 8)}."
    else:
        caption = (
            "Receptive fields in degrees from the middle of the picture, right and up positive. Dot: centre of one "
            "unit; disc: one standard deviation of its Gaussian."
        )
        sizes = [float(np.nanmedian(node["size"].values[node["roi"].values.astype(str) == one])) for one in drawn]
        alt = "Circles in degrees. Median size: " + listed([f"{a} {number(s)}" for a, s in zip(drawn, sizes)], 8) + "."
        alt = alt.replace("Circles", "Receptive fields as circles")
    every = len(set(node["roi" if "map" not in node else "query"].values.astype(str).tolist()))
    if left := every - len(drawn):
        caption += f" {left} of {every} areas {'is' if left == 1 else 'are'} not drawn."
    if node.attrs.get("about"):
        caption += f" {node.attrs['about']}"
    wide, narrow = (_field_sheet(len(drawn), compact, _field_aspect(node)) for compact in (False, True))
    return [Picture(partial(receptive_fields, node), alt, caption, wide, narrow)]


# Gains


@styled
def gain_by_area(node: xr.Dataset, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """What a model adds to each rival: one row per area, most first, dot and interval of the paired difference.

    Parameters
    ----------
    node : as :func:`evaluation.gains` gives it: ``difference``, ``low``, ``high``, ``p_fdr``, ``room`` (rival, area).

    Returns
    -------
    The axes; the dots of rival ``r`` are a line with the gid ``gain:r``, filled where p_fdr < .05.

    Raises
    ------
    ValueError : no area has a difference.
    """
    node = _drawn(node)
    if not node.sizes["area"]:
        raise ValueError("no area has a difference between the two, so there is nothing to draw.")
    rivals, areas = node["rival"].values.astype(str).tolist(), node["area"].values.astype(str).tolist()
    step = _gain_step(node)
    if ax is None:
        ax = new_axes(*_gain_sheet(node, compact), theme)
    # The model itself takes the first colour, and all of them those of the picture of the scores.
    every = [str(node.attrs.get("model", "model")), *rivals]
    palette, markers = looks(every, list(node.attrs.get("names") or every), theme)
    ends = [0.0]
    for lane, rival in enumerate(rivals):
        y = -np.arange(len(areas)) * step - (lane - (len(rivals) - 1) / 2) * LANE
        one = node.isel(rival=lane)
        ends += _gain_lane(ax, one, y, rival, palette[rival], markers[rival], theme)
        for at, place in enumerate(y):
            said = (
                f"{_signed(float(one['difference'].values[at]))}" if np.isfinite(one["difference"].values[at]) else "–"
            )
            note(ax, said, (1, place), "side", (34, 0), ha="right", color=theme.ink, fontsize=8.5)
            p = p_short(float(one["p_fdr"].values[at]))
            note(ax, p, (1, place), "side", (72, 0), ha="right", color=theme.muted, fontsize=8.5)
    top = step * 0.62
    for words, offset in (("gain", 34), ("p(FDR)", 72)):
        note(ax, words, (1, top), "side", (offset, 3), ha="right", va="bottom", color=theme.muted, fontsize=8.5)
    ax.axvline(0, color=theme.muted, lw=1.1, zorder=1.2, gid="zero")
    pad = 0.05 * max(max(ends) - min(ends), 0.02)
    ax.set(xlim=(min(ends) - pad, max(ends) + pad), ylim=(-(len(areas) - 1) * step - top, top))
    ax.set_yticks(-np.arange(len(areas)) * step, told_apart(areas, 16 if compact else 28))
    model, short = str(node.attrs.get("model", "model")), SCORES.get(str(node.attrs.get("score")), ("", "score"))[1]
    ax.set_xlabel(
        f"{short} of {model} minus {short} of the other" if len(rivals) > 1 else f"{short}, {model} − {rivals[0]}"
    )
    keys_below(ax, _gain_keys(node, rivals, palette, markers, theme), theme, below=0.5, compact=compact)
    return dress(ax, theme, left=False, grid="x")


def _drawn(node: xr.Dataset) -> xr.Dataset:
    """Areas with a difference, the one that gains most first; of many areas the first rival alone."""
    known = np.isfinite(node["difference"].values).any(axis=0)
    node = node.isel(area=np.flatnonzero(known))
    if node.sizes["area"] > MOST_ROWS:
        node = node.isel(rival=[0])
    return node.isel(area=np.argsort(-np.nan_to_num(node["difference"].values[0], nan=-np.inf), kind="stable"))


def _gain_lane(
    ax: Any, one: xr.Dataset, y: np.ndarray, rival: str, colour: str, marker: str, theme: Theme
) -> list[float]:
    """Draw one rival; returns everything that must be inside the axes."""
    found, low, high, room = (one[key].values.astype(float) for key in ("difference", "low", "high", "room"))
    for place, left, right, most in zip(y, low, high, room):
        if np.isfinite(most):
            ends = (place - LANE * 0.43, place + LANE * 0.43)
            ax.vlines(most, *ends, color=theme.ceiling, lw=4, zorder=1.5, gid="room")
        if np.isfinite(left):
            ax.hlines(place, left, right, color=colour, lw=2.4, alpha=0.75, zorder=2, gid="interval")
    sure = one["p_fdr"].values < 0.05
    look = {"ls": "", "marker": marker, "color": colour, "ms": 6.5, "mew": 1.2, "zorder": 3}
    ax.plot(found[sure], y[sure], mec=colour, gid=f"gain:{rival}", **look)
    ax.plot(found[~sure], y[~sure], mfc=theme.paper, mec=colour, gid=f"gain:{rival}", **look)
    return [end for end in (*found, *low, *high, *room) if np.isfinite(end)]


def _gain_keys(
    node: xr.Dataset, rivals: list[str], palette: dict[str, str], markers: dict[str, str], theme: Theme
) -> list[Any]:
    line = require("matplotlib.lines", purpose=PURPOSE).Line2D
    keys = [
        line([], [], marker=markers[rival], ls="", color=palette[rival], ms=6, label=f"over {rival}")
        for rival in rivals
    ]
    keys.append(line([], [], marker="o", ls="", mfc=theme.paper, mec=theme.muted, ms=6, label="p(FDR) ≥ .05"))
    if np.isfinite(node["room"].values).any():
        keys.append(line([], [], color=theme.ceiling, lw=4, label="noise ceiling"))
    else:
        keys.append(line([], [], ls="", label="ceiling n/a"))
    return keys


def _gain_step(node: xr.Dataset) -> float:
    """Inches from one area to the next: closer together where there are many."""
    return node.sizes["rival"] * LANE + (GAP if node.sizes["area"] <= MOST_ROWS else 0.0)


def _gain_sheet(node: xr.Dataset, compact: bool) -> tuple[float, float]:
    rivals = _drawn(node).sizes["rival"]
    rows = max(_drawn(node).sizes["area"], 1) * _gain_step(_drawn(node))
    return (PHONE, rows + 1.0 + 0.21 * ((rivals + 3) // 2)) if compact else (WIDE, rows + 1.2)


def gain_pictures(name: str, node: xr.Dataset) -> list[Picture | Html]:
    """Differences as a picture and as a table; what an area is called by the test stands in ``verdict`` (area)."""
    lacking = node["area"].values[~np.isfinite(node["difference"].values).any(axis=0)].astype(str).tolist()
    hidden = node["rival"].values[_drawn(node).sizes["rival"] :].astype(str).tolist()
    node = node.sel(area=[area for area in node["area"].values if area not in lacking])
    if not node.sizes["area"]:
        return [el("p", f"No area has a unit that could be scored: {listed(lacking, 6)}.")]
    rivals, areas = node["rival"].values.astype(str).tolist(), node["area"].values.astype(str).tolist()
    said = [f"{area} {_signed(float(value))}" for area, value in zip(areas, node["difference"].values[0])]
    model = str(node.attrs.get("model", "model"))
    alt = f"Differences between {model} and {listed(rivals)}. Over {rivals[0]}: {listed(said, 12)}."
    folds = f" over {node.attrs['n_folds']} folds" if node.attrs.get("n_folds") else ""
    how = (
        "computed once over all held-out predictions" if node.attrs.get("pool") == "predictions" else "mean over folds"
    )
    interval = node.attrs.get("interval") or f"{folds.removeprefix(' ')}, corrected for the training samples they share"
    of = score_label(str(node.attrs.get("score", "score")))
    caption = (
        f"Dot: difference of {of}, mean over an area, {how}. Line: 95 % interval {interval}. Filled: p < .05, "
        f"corrected for all differences shown (FDR). Blue: where {model} would reach the noise ceiling."
    )
    if not np.isfinite(node["room"].values).any():
        caption = caption.replace(f" Blue: where {model} would reach the noise ceiling.", " Ceiling n/a.")
    if hidden:
        caption += f" Over {listed(hidden)}: in the table."
    if lacking:
        caption += f" Without a unit that could be scored, and so without a row: {listed(lacking, 6)}."
    picture = Picture(partial(gain_by_area, node), alt, caption, _gain_sheet(node, False), _gain_sheet(node, True))
    return [picture, _gain_table(node, rivals, areas, model, how)]


def _gain_table(node: xr.Dataset, rivals: list[str], areas: list[str], model: str, how: str) -> Html:
    columns = [("area", "text"), (model, "number")]
    spans = len(rivals) == 1
    for rival in rivals:
        columns += [(f"over {rival}", "number"), *([("95 %", "number")] if spans else [])]
    extra = [key for key in ("verdict", "planted") if key in node]
    columns += [(key, "text") for key in extra]
    rows = []
    for at, area in enumerate(areas):
        row: list[Any] = [area, Cell(number(float(node["score"].values[at])), float(node["score"].values[at]))]
        for which in range(len(rivals)):
            one = {key: float(node[key].values[which, at]) for key in ("difference", "low", "high", "p_fdr")}
            row.append(Cell(f"{_signed(one['difference'])} ({p_short(one['p_fdr'])})", one["difference"]))
            if spans:
                row.append(Cell(f"{number(one['low'])} to {number(one['high'])}", one["low"]))
        rows.append([*row, *(str(node[key].values[at]) for key in extra)])
    return table(
        columns, rows, caption=f"{headed(model)} minus its rivals, area by area, {how}; p(FDR) in brackets", fold=40
    )
