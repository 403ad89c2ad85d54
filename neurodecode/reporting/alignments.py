"""Pictures of two sets of spaces: a grid of any measure, and units that were matched."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from .._optional import require
from .forms import JOINT, flat_grids
from .markup import Html, el
from .pictures import Picture
from .style import (
    PURPOSE,
    colour_bar,
    diverging,
    dress,
    frame,
    keys_below,
    new_axes,
    readable_on,
    sequential,
    styled,
    turned,
)
from .wording import count, headed, listed, number, p_text, shortened, told_apart

WIDE, PHONE = 7.5, 3.4
MOST_UNITS = 64
MOST_GRIDS = 6
SMALL = 0.1  # values of a grid below which two decimals say nothing
MEASURES = {
    "cka": "linear CKA",
    "cka_debiased": "linear CKA, debiased",
    "rsa": "Spearman correlation of dissimilarities",
    "rv": "RV coefficient",
    "procrustes": "Procrustes angle (rad)",
    "bures": "Bures distance",
    "shape": "shape distance (rad)",
    "cca": "mean canonical correlation",
    "svcca": "SVCCA",
    "pwcca": "PWCCA",
    "linear_predictivity": "R² of linear prediction, both ways",
    "permutation": "mean r of units matched one to one",
    "semi_matching": "mean r of units with their best",
    "sparse_matching": "R² from few units, both ways",
    "soft_matching": "mean r under the best transport",
    "mutual_knn": "share of common neighbours",
    "gw": "Gromov-Wasserstein distance",
}
DISTANCES = {"procrustes", "bures", "shape", "gw"}


def grid_of(result: Any) -> tuple[xr.DataArray, np.ndarray, str]:
    """The values of a grid, which of them are not above the null (p_max of .05 or more), and the measure.

    Raises
    ------
    ValueError : no value over exactly two dimensions.
    """
    values = result["value"] if isinstance(result, xr.Dataset) and "value" in result else result
    if not isinstance(values, xr.DataArray) or values.ndim != 2:
        raise ValueError("no grid here: expected value(first, second), as similarity.compare_grid gives it.")
    below = np.zeros(values.shape, dtype=bool)
    if isinstance(result, xr.Dataset) and "p_max" in result:
        below = ~(result["p_max"].transpose(*values.dims).values < 0.05)
    return values, below, str(values.attrs.get("how") or result.attrs.get("how") or "similarity")


def best_of(values: np.ndarray, how: str, itself: bool = False) -> np.ndarray:
    """The best column of every row, -1 where there is none; without the diagonal where a set meets itself."""
    rated = np.array(values, dtype=float) * (-1 if how in DISTANCES else 1)
    if itself:
        np.fill_diagonal(rated, np.nan)
    rated = np.where(np.isfinite(rated), rated, -np.inf)
    return np.where(np.isfinite(rated.max(1)), rated.argmax(1), -1)


def itself(values: xr.DataArray) -> bool:
    """Whether a set meets itself: the same names, and what a has to b b has to a. Then every diagonal is trivial."""
    one, two = (values[dim].values if dim in values.coords else np.arange(values.sizes[dim]) for dim in values.dims)
    return np.array_equal(one, two) and np.allclose(values.values, values.values.T, rtol=0, atol=1e-9, equal_nan=True)


@styled
def grid(result: Any, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """Every space of one set with every space of another; the best of every row outlined.

    Parameters
    ----------
    result : what ``similarity.compare_grid`` gives. Where it holds permutations, cells that are not beyond the null of
        the whole grid (p_max of .05 or more) are hatched. Attrs ``rows`` and ``columns`` name the axes.

    Returns
    -------
    The axes; ``ax.images[0]`` holds the values, outlines have the gid ``best``, hatched cells ``below null``.

    Raises
    ------
    ValueError : no grid.

    Examples
    --------
    >>> cells = xr.DataArray([[0.9, 0.2], [0.1, 0.7]], dims=("layer", "area"), attrs={"how": "cka"})
    >>> [round(box.get_x() + 0.45) for box in grid(cells).patches if box.get_gid() == "best"]
    [0, 0, 1, 1]
    """
    patches = require("matplotlib.patches", purpose=PURPOSE)
    to_rgb = require("matplotlib.colors", purpose=PURPOSE).to_rgb
    cells, below, how = grid_of(result)
    values = cells.values.astype(float)
    rows, columns = (_names(cells, dim, 12 if compact else 20) for dim in cells.dims)
    if ax is None:
        ax = new_axes(*_grid_size(cells, compact), theme)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if how not in DISTANCES:
        low = min(low, 0.0)
    digits = 3 if max(abs(low), abs(high)) < SMALL else 2
    colour_map = sequential().reversed() if how in DISTANCES else sequential()
    image = ax.imshow(
        values, cmap=colour_map, vmin=low, vmax=high if high > low else low + 1, aspect="auto", interpolation="none"
    )
    for row, column in np.ndindex(values.shape):
        value = float(values[row, column])
        colour = readable_on(image.cmap(image.norm(value))) if np.isfinite(value) else theme.muted
        if below[row, column]:
            box = patches.Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch="////", lw=0, gid="below null")
            box.set_edgecolor((*to_rgb(colour), 0.4))
            ax.add_patch(box)
        if values.size <= 200 and not compact:
            text = number(value, digits).replace("-", "−")
            text = text.replace("0.", ".", 1) if abs(value) < 1 else text
            ax.text(column, row, text, ha="center", va="center", fontsize=7.5, color=colour)
    for row, best in enumerate(best_of(values, how, itself(cells))):
        if best < 0:
            continue
        for colour, width in ((theme.paper, 3.6), (theme.ink, 1.8)):
            corner = (best - 0.45, row - 0.44)
            ax.add_patch(patches.Rectangle(corner, 0.9, 0.88, fill=False, ec=colour, lw=width, gid="best"))
    room = (20 if compact else 70) if max(map(len, columns)) * len(columns) < 60 else 0
    every = max(1, -(-len(columns) // (14 if compact else 48)))
    ax.set_xticks(range(0, len(columns), every), columns[::every], parse_math=False, **turned(columns[::every], room))
    ax.set_yticks(range(len(rows)), rows, parse_math=False)
    first, second = (cells.attrs.get(key) or getattr(result, "attrs", {}).get(key) for key in ("rows", "columns"))
    ax.set_ylabel(first or "")
    ax.set_xlabel(second or "")
    label = MEASURES.get(how, how.replace("_", " "))
    colour_bar(ax, image, label + (", small is alike" if how in DISTANCES else ""), theme, compact)
    return frame(ax, theme)


def _names(cells: xr.DataArray, dim: Any, most: int) -> list[str]:
    if dim not in cells.coords:
        return told_apart(range(cells.sizes[dim]), most)
    values = cells[dim].values
    if dim == "pair" and all(JOINT in str(value) for value in values):  # both names are cut, so that both can be told
        sides = zip(*(str(value).split(JOINT, 1) for value in values))
        return [" · ".join(one) for one in zip(*(told_apart(side, 3 * most // 4) for side in sides))]
    return told_apart([f"{value:.4g}" for value in values] if values.dtype.kind == "f" else values.astype(str), most)


def _grid_size(cells: xr.DataArray, compact: bool) -> tuple[float, float]:
    rows, columns = cells.shape
    if compact:
        return PHONE, 1.9 + max(0.2 * rows, 1.0)
    return min(11.0, max(5.0, 2.4 + 0.48 * columns)), 1.35 + max(0.3 * rows, 1.2)


def grid_pictures(name: str, node: xr.Dataset) -> list[Picture | Html]:
    """What a page shows of a node with ``shows = "grid"``; over time one, over two times one for each of some pairs."""
    found = list(flat_grids(node).items())
    rest = len(found) - MOST_GRIDS
    drawn: list[Picture | Html] = [_grid_picture(one, title) for title, one in found[:MOST_GRIDS]]
    if rest > 0:
        drawn.append(
            el("p", f"{count(rest, 'more pair')} of spaces over both times: not drawn here.", class_="small muted")
        )
    return drawn


def _grid_picture(node: xr.Dataset, title: str) -> Picture:
    cells, below, how = grid_of(node)
    rows, columns = (_names(cells, dim, 40) for dim in cells.dims)
    words = MEASURES.get(how, how.replace("_", " "))
    values = cells.values.astype(float)
    best = best_of(values, how, itself(cells))
    pairs = [f"{rows[at]} with {columns[to]} ({number(values[at, to])})" for at, to in enumerate(best) if to >= 0]
    alt = f"Heat map of {words}, {len(rows)} by {len(columns)}. Best of every row: {listed(pairs, 24)}."
    axes = [str(node.attrs.get(key) or "") for key in ("rows", "columns")]
    caption = f"{title + ': ' if title else ''}{headed(words) if not title else words}: every pair" + (
        f", {axes[0]} down, {axes[1]} across" if all(axes) else ""
    )
    caption += "; the best of every row is outlined" + (
        ", the least, since it is a distance." if how in DISTANCES else "."
    )
    if "p_max" in node:
        draws = int(node.sizes.get("permutation") or node.attrs.get("n_permutations") or 0)
        caption += f" Hatched: not beyond the null of the whole grid ({draws:,} permutations; {below.sum():,} cells)."
    n = node.attrs.get("n_samples") or cells.attrs.get("n_samples")
    if n:
        caption += f" n = {count(int(n), *(node.attrs.get('sample_name') or ('stimulus', 'stimuli')))}."
    return Picture(partial(grid, node), alt, caption, _grid_size(cells, False), _grid_size(cells, True))


def _check_matched(result: xr.Dataset) -> None:
    if "correlation" not in result or "matched_held_out" not in result:
        raise ValueError("this result has no correlation and matched_held_out: it is not of similarity.match_units.")


@styled
def matched(result: xr.Dataset, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """Correlation of every unit with its partner on stimuli left out, best first, beside the free match and the null.

    Parameters
    ----------
    result : Dataset of ``similarity.match_units``.

    Returns
    -------
    The axes; the lines have the gids ``one to one``, ``best`` and ``all stimuli``, the band of the null ``null``.

    Raises
    ------
    ValueError : no matched units.

    Examples
    --------
    >>> from neurodecode.similarity import match_units
    >>> x = np.random.default_rng(0).normal(size=(50, 4))
    >>> [len(line.get_xdata()) for line in matched(match_units(x, x)).lines if line.get_gid() == "one to one"]
    [4]
    """
    _check_matched(result)
    patches = require("matplotlib.patches", purpose=PURPOSE)
    if ax is None:
        ax = new_axes(*_matched_size(compact), theme)
    lines = {
        "best": ("best_held_out", theme.categories[1], (0, (4, 1.5)), "best, may be shared"),
        "one to one": ("matched_held_out", theme.categories[0], "-", "one to one"),
        "all stimuli": ("matched", theme.muted, (0, (1, 1.2)), "one to one, not left out"),
    }
    keys = []
    for gid, (name, colour, style, words) in lines.items():
        values = np.sort(result[name].values[np.isfinite(result[name].values)])[::-1]
        at = np.arange(1, len(values) + 1)
        few = {"marker": "o", "ms": 3.5} if len(values) <= 20 else {}
        keys += ax.plot(at, values, color=colour, ls=style, lw=1.8, gid=gid, label=words, **few)
    if "null_held_out" in result:
        low, high = np.quantile(result["null_held_out"].values, [0.025, 0.975])
        ax.axhspan(low, high, color=theme.null, lw=0, zorder=0, gid="null")
        keys.append(patches.Patch(color=theme.null, lw=0, label="shuffled"))
    if "null_matched" in result:
        middle = float(result["null_matched"].mean())
        look = {"color": theme.muted, "lw": 0.9, "ls": (0, (5, 3)), "label": "shuffled, not left out"}
        keys.append(ax.axhline(middle, gid="null of all", zorder=1, **look))
    ax.axhline(0, color=theme.muted, lw=0.8, ls=(0, (1, 2)), zorder=1)
    ax.set_xlabel("units, best first")
    ax.set_ylabel("r with partner" if compact else "Pearson r with partner")
    ax.set_ylim(top=1.02)
    ax.xaxis.get_major_locator().set_params(integer=True)
    keys_below(ax, keys, theme, below=0.52, compact=compact)
    return dress(ax, theme, grid="y")


@styled
def matched_matrix(result: xr.Dataset, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """Correlations of units as they came, and with partners put on the diagonal, best first; at most 64 of each side.

    Parameters
    ----------
    result : Dataset of ``similarity.match_units``.

    Returns
    -------
    The axes; ``ax.child_axes`` are the two panels, each with its correlations as ``images[0]``.

    Raises
    ------
    ValueError : no matched units.
    """
    _check_matched(result)
    if ax is None:
        ax = new_axes(*_matrix_size(compact), theme)
    values = result["correlation"].transpose("unit", "unit_other").values
    rows, columns = matched_order(result)
    if max(values.shape) > MOST_UNITS:
        rows, columns = rows[:MOST_UNITS], columns[:MOST_UNITS]
        values = values[np.ix_(np.sort(rows), np.sort(columns))]
        rows, columns = (np.argsort(np.argsort(which)) for which in (rows, columns))
    ax.set_axis_off()
    top = float(np.abs(values).max())
    look = {"cmap": diverging(theme), "vmin": -top, "vmax": top, "aspect": "auto", "interpolation": "none"}
    names = (result.attrs.get("rows") or "units of one", result.attrs.get("columns") or "units of the other")
    for at, (title, shown) in enumerate({"as they came": values, "matched": values[np.ix_(rows, columns)]}.items()):
        inner = ax.inset_axes([0.5 * at + 0.01, 0, 0.47, 0.92])
        image = inner.imshow(shown, **look)
        inner.set_xticks([])
        inner.set_yticks([])
        inner.set_title(title, fontsize=9, color=theme.ink, pad=4)
        inner.set_xlabel(shortened(names[1], 24), fontsize=8.5)
        if at == 0:
            inner.set_ylabel(shortened(names[0], 24), fontsize=8.5)
        frame(inner, theme)
    colour_bar(ax, image, "Pearson r of units", theme, compact)
    return ax


def matched_order(result: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Units of both sides with partners at the same place, best first; units without a partner come last."""
    partner = result["partner"].values
    score = np.where(partner >= 0, result["matched"].values, -np.inf)
    rows = np.argsort(-score, kind="stable")
    taken = partner[rows][partner[rows] >= 0]
    rest = np.setdiff1d(np.arange(result.sizes["unit_other"]), taken)
    return rows, np.concatenate([taken, rest]).astype(int)


@styled
def matchings(result: xr.Dataset, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """Mean r of matched units of many pairs of spaces, one row each: one to one, by free choice, and the null.

    Parameters
    ----------
    result : Dataset over ``pair`` with ``matched_held_out``, ``best_held_out``, ``null_low`` and ``null_high``.

    Returns
    -------
    The axes; the dots have the gids ``one to one`` and ``best``, the bands of the null ``null``.

    Raises
    ------
    ValueError : other variables.

    Examples
    --------
    >>> values = {"matched_held_out": [0.5], "best_held_out": [0.6], "null_low": [-0.1], "null_high": [0.1]}
    >>> found = xr.Dataset({name: ("pair", value) for name, value in values.items()}, {"pair": ["layer1"]})
    >>> [line.get_xdata().tolist() for line in matchings(found).lines if line.get_gid() == "best"]
    [[0.6]]
    """
    if "pair" not in result.dims or "matched_held_out" not in result:
        raise ValueError("no pairs here: expected matched_held_out(pair), best_held_out(pair) and the null's ends.")
    lines = require("matplotlib.lines", purpose=PURPOSE)
    patches = require("matplotlib.patches", purpose=PURPOSE)
    if ax is None:
        ax = new_axes(*_matchings_size(result, compact), theme)
    names = result["pair"].values.astype(str)
    rows = -np.arange(len(names), dtype=float)
    one, free, low, high = (
        result[name].values for name in ("matched_held_out", "best_held_out", "null_low", "null_high")
    )
    for row, left, right in zip(rows, low, high):
        ax.add_patch(patches.Rectangle((left, row - 0.3), right - left, 0.6, color=theme.null, lw=0, gid="null"))
    ax.axvline(0, color=theme.muted, lw=1, ls=(0, (1, 2)), zorder=1)
    ax.hlines(rows, one, free, color=theme.line, lw=1.4, zorder=2)
    looks = {
        "best": (free, theme.categories[1], "D", "best, may be shared"),
        "one to one": (one, theme.categories[0], "o", "one to one"),
    }
    keys = []
    for gid, (values, colour, marker, words) in looks.items():
        look = {"ls": "", "marker": marker, "ms": 6.5, "mec": theme.paper, "mew": 0.8, "color": colour}
        ax.plot(values, rows, gid=gid, zorder=3, **look)
        keys.append(lines.Line2D([], [], label=words, **look))
    keys.append(patches.Patch(color=theme.null, lw=0, label="shuffled, middle 95 %"))
    keys.append(lines.Line2D([], [], color=theme.muted, lw=1, ls=(0, (1, 2)), label="chance"))
    ax.set_yticks(rows, told_apart(names, 24 if compact else 36), parse_math=False)
    ax.tick_params(axis="y", labelsize=7.5 if compact else 9)
    ax.set_ylim(rows[-1] - 0.6, 0.6)
    ax.set_xlabel("r with partner, left out" if compact else "Pearson r with partner, stimuli left out")
    keys_below(ax, keys, theme, compact=compact)
    return dress(ax, theme, left=False, grid="x")


def _matchings_size(result: xr.Dataset, compact: bool) -> tuple[float, float]:
    n = result.sizes["pair"]
    return (PHONE, 1.4 + 0.22 * n) if compact else (WIDE, 1.1 + 0.26 * n)


def matchings_pictures(name: str, node: xr.Dataset) -> list[Picture | Html]:
    """What a page shows of a node with ``shows = "matchings"``."""
    names = node["pair"].values.astype(str).tolist()
    values = zip(names, node["matched_held_out"].values, node["best_held_out"].values)
    said = [f"{name} {number(float(one))} and {number(float(free))}" for name, one, free in values]
    alt = f"Dots on rows, r of matched units one to one and by free choice. {listed(said, 40)}."
    caption = (
        "Circle: mean r of units with their one-to-one partner; diamond: with the best, which several may share; "
        "partners are chosen on one half of the stimuli, r is of the other. Line: what is many to one. Grey: "
        "middle 95 % of the one-to-one mean when stimuli are shuffled. Ceiling n/a."
    )
    caption += f" {node.attrs['about']}" if node.attrs.get("about") else ""
    sizes = _matchings_size(node, False), _matchings_size(node, True)
    return [Picture(partial(matchings, node), alt, caption, *sizes)]


def _matched_size(compact: bool) -> tuple[float, float]:
    return (PHONE, 3.9) if compact else (WIDE, 3.4)


def _matrix_size(compact: bool) -> tuple[float, float]:
    return (PHONE, 2.7) if compact else (WIDE, 3.5)


def matching_pictures(name: str, node: xr.Dataset) -> list[Picture | Html]:
    """What a page shows of a node with ``shows = "matching"``."""
    _check_matched(node)
    p, q = node.sizes["unit"], node.sizes["unit_other"]
    attrs = node.attrs
    held, free, all_of = (float(attrs[key]) for key in ("matched_held_out", "best_held_out", "matched"))
    alt = (
        f"Falling lines, r of {p:,} units with partners among {q:,}: on stimuli left out {number(held)} on average "
        f"one to one, {number(free)} by free choice."
    )
    caption = (
        "r of every unit with its partner, the partner chosen on one half of the stimuli and r taken on the "
        f"other, both ways. Mean {number(held)} one to one, {number(free)} where several may share a partner; "
        f"on the stimuli "
        f"that chose the partner {number(all_of)}, which is above 0 for any data."
    )
    if "null_held_out" in node:
        caption += (
            f" Grey: middle 95 % of {node.sizes['permutation']:,} matchings of shuffled stimuli "
            f"({p_text(attrs['p_held_out'])}); on the stimuli that chose, these give "
            f"{number(float(node['null_matched'].mean()))} (broken line)."
        )
    unit = str(attrs.get("unit_name") or "units")
    caption += f" n = {count(int(attrs['n_samples']), *(attrs.get('sample_name') or ('stimulus', 'stimuli')))}, "
    caption += f"{p:,} and {q:,} {unit}."
    few = max(p, q) > MOST_UNITS
    which = f"the best matched {min(p, MOST_UNITS)} {unit} of both sides" if few else f"all {p:,} with all {q:,} {unit}"
    matrix_alt = f"Two heat maps of r, {which}: as they came, and matched, with a diagonal."
    matrix_caption = (
        f"r of {which}: as they came, and with partners on the diagonal, best first. What is "
        "strong beside the diagonal is shared by several."
    )
    return [
        Picture(partial(matched, node), alt, caption, _matched_size(False), _matched_size(True)),
        Picture(partial(matched_matrix, node), matrix_alt, matrix_caption, _matrix_size(False), _matrix_size(True)),
    ]
