"""Dissimilarities as a plane and as a tree, coloured by a coordinate: what ``similarity.embed`` gives."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from .._optional import require
from .dissimilarities import METRICS, blocks_of
from .markup import Html
from .pictures import Picture
from .style import MARKERS, PURPOSE, Theme, colours, dress, frame, keys_below, new_axes, styled
from .wording import count, listed, number, told_apart

WIDE, PHONE = 7.5, 3.4
MOST_NAMED = 32


def groups_of(result: xr.Dataset, by: str | None) -> dict[str, np.ndarray]:
    """Positions of the stimuli of every category, in order of first appearance; all of them without ``by``."""
    if "place" not in result or "tree" not in result:
        raise ValueError(
            "this result has no place(stimulus, axis) and tree(merge, part): it is not of similarity.embed."
        )
    if by is None:
        return {"": np.arange(result.sizes["stimulus"])}
    order, blocks = blocks_of(result["rdm"], by)
    ends = np.cumsum([0, *(n for _, n in blocks)])
    return {name: order[start:end] for (name, _), start, end in zip(blocks, ends, ends[1:])}


@styled
def mds(
    result: xr.Dataset, by: str | None = None, ax: Any = None, *, theme: Any = "light", compact: bool = False
) -> Any:
    """Stimuli in a plane, near where they are alike; colour and marker say the category.

    Parameters
    ----------
    result : Dataset of ``similarity.embed`` with two axes or more; the first two are drawn.
    by : coordinate of the stimuli for colour and marker.

    Returns
    -------
    The axes; the points of a category have the gid ``group:<name>``.

    Raises
    ------
    ValueError : no places, or no such coordinate.

    Examples
    --------
    >>> from neurodecode.similarity import as_rdm, embed
    >>> found = embed(as_rdm([1, 3, 2], stimulus=["a", "b", "c"]))
    >>> len(mds(found).lines[0].get_xdata())
    3
    """
    groups = groups_of(result, by)
    places = result["place"].values
    if ax is None:
        ax = new_axes(*_plane(groups, compact), theme)
    palette = colours(groups, theme)
    for at, (name, own) in enumerate(groups.items()):
        look = {"ls": "", "marker": marker_of(at), "ms": 5 if compact else 6, "mew": 0.6}
        ax.plot(*places[own, :2].T, color=palette[name], mec=theme.paper, gid=f"group:{name}", **look)
    written: list[Any] = []
    if not compact and len(places) <= MOST_NAMED:
        written = _write_names(ax, told_apart(result["stimulus"].values, 16), places[:, :2], theme)
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.06)
    ax.set_xticks([])
    ax.set_yticks([])
    _scale(ax, places[:, :2], theme)
    if len(groups) > 1:
        keys_below(ax, _keys(groups, palette, compact), theme, below=0.12, compact=compact)
    frame(ax, theme)
    _part_names(ax, written, places[:, :2])
    return ax


def marker_of(at: int) -> str:
    """The marker of a category; those that share a colour, eight further on, have another.

    Examples
    --------
    >>> marker_of(0), marker_of(8)
    ('o', 's')
    """
    return MARKERS[(at + at // len(MARKERS)) % len(MARKERS)]


def _write_names(ax: Any, names: list[str], places: np.ndarray, theme: Theme) -> list[Any]:
    look = {"textcoords": "offset points", "fontsize": 7.5, "parse_math": False, "color": theme.muted, "gid": "name"}
    return [ax.annotate(name, place, xytext=(5, 3), **look) for name, place in zip(names, places)]


def _part_names(ax: Any, written: list[Any], places: np.ndarray) -> None:
    """Put each name at a side of its point where nothing else stands; leave out those for which there is none."""
    if not written:
        return
    ax.figure.draw_without_rendering()
    taken = [tuple(ax.transData.transform(place)) for place in places]
    points = [(x - 4, y - 4, x + 4, y + 4) for x, y in taken]
    scale = ax.figure.dpi / 72
    edge = ax.get_window_extent()
    boxes: list[tuple[float, float, float, float]] = []
    for at, (name, (x, y)) in enumerate(zip(written, taken)):
        size = name.get_window_extent()
        wide, tall = size.width, size.height
        for (right, up), (across, down) in {
            (5, 3): ("left", "bottom"), (5, -3): ("left", "top"), (-5, 3): ("right", "bottom"),
            (-5, -3): ("right", "top"), (0, 6): ("center", "bottom"), (0, -6): ("center", "top"),
        }.items():  # fmt: skip
            left = x + right * scale - {"left": 0.0, "right": wide, "center": wide / 2}[across]
            low = y + up * scale - (tall if down == "top" else 0)
            box = (left, low, left + wide, low + tall)
            others = [*boxes, *(point for other, point in enumerate(points) if other != at)]
            inside = edge.x0 <= box[0] and box[2] <= edge.x1 and edge.y0 <= box[1] and box[3] <= edge.y1
            if inside and not any(_touch(box, other) for other in others):
                name.set(position=(right, up), ha=across, va=down)
                boxes.append(box)
                break
        else:
            name.set_visible(False)


def _touch(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _scale(ax: Any, places: np.ndarray, theme: Theme) -> None:
    """A rule that says how far a dissimilarity is on the page; the axes themselves mean nothing."""
    reach = float(np.ptp(places, axis=0).max())
    if reach <= 0:
        return
    size = 10.0 ** np.floor(np.log10(reach / 3))
    size *= max(step for step in (1, 2, 5) if step * size <= reach / 3)
    left, bottom = places[:, 0].min(), places[:, 1].min() - 0.09 * reach
    ax.plot([left, left + size], [bottom, bottom], color=theme.muted, lw=1.4, gid="scale", solid_capstyle="butt")
    words = {"fontsize": 8, "color": theme.muted, "va": "top", "ha": "left", "parse_math": False}
    ax.annotate(f"{size:g}", (left, bottom), xytext=(0, -3), textcoords="offset points", **words)


def _keys(groups: dict[str, np.ndarray], palette: dict[str, str], compact: bool) -> list[Any]:
    lines = require("matplotlib.lines", purpose=PURPOSE)
    return [
        lines.Line2D([], [], ls="", marker=marker_of(at), color=palette[name], ms=6, mew=0, label=label)
        for at, (name, label) in enumerate(zip(groups, told_apart(groups, 20 if compact else 30)))
    ]  # fmt: skip


@styled
def dendrogram(
    result: xr.Dataset, by: str | None = None, ax: Any = None, *, theme: Any = "light", compact: bool = False
) -> Any:
    """The tree of the stimuli: two branches meet where their mean dissimilarity stands; leaves carry their category.

    Parameters
    ----------
    result : Dataset of ``similarity.embed``.
    by : coordinate of the stimuli that colours the leaves, and every branch all of whose leaves share it.

    Returns
    -------
    The axes; leaves of a category have the gid ``group:<name>``, branches ``branch``.

    Raises
    ------
    ValueError : no tree, or no such coordinate.

    Examples
    --------
    >>> from neurodecode.similarity import as_rdm, embed
    >>> found = embed(as_rdm([1, 3, 2], stimulus=["a", "b", "c"]))
    >>> sum(line.get_gid() == "branch" for line in dendrogram(found).lines)
    2
    """
    from scipy.cluster.hierarchy import leaves_list

    groups = groups_of(result, by)
    tree = result["tree"].values
    n = result.sizes["stimulus"]
    if ax is None:
        ax = new_axes(*_tree_size(result, groups, compact), theme)
    palette = colours(groups, theme) if by is not None else {"": theme.ink}
    names = list(groups)
    code = np.empty(n, dtype=int)
    for at, own in enumerate(groups.values()):
        code[own] = at
    order = leaves_list(tree)
    across = np.empty(n + len(tree))
    across[order] = np.arange(n)
    height = np.concatenate([np.zeros(n), tree[:, 2]])
    kind = np.concatenate([code, np.full(len(tree), -1)])
    for at, (left, right) in enumerate(tree[:, :2].astype(int), start=n):
        across[at] = (across[left] + across[right]) / 2
        kind[at] = kind[left] if kind[left] == kind[right] else -1
        colour = palette[names[kind[at]]] if kind[at] >= 0 else theme.muted
        x = [across[left], across[left], across[right], across[right]]
        y = [height[left], height[at], height[at], height[right]]
        ax.plot(x, y, color=colour, lw=0.8 if n > 60 else 1.2, gid="branch", solid_joinstyle="miter")
    floor = float(min(tree[:, 2].min() * 0.8, tree[:, 2].max() * 0.5)) if tree[:, 2].min() > 0 else 0.0
    for at, (name, own) in enumerate(groups.items()):
        look = {"ls": "", "marker": marker_of(at), "ms": 3.5 if n > 60 or compact else 5, "mew": 0}
        ax.plot(across[own], np.full(len(own), floor), color=palette[name], gid=f"group:{name}", clip_on=False, **look)
    ax.set_ylim(floor, float(tree[:, 2].max()) * 1.03)
    ax.set_xlim(-1, n)
    leaves = result["stimulus"].values.astype(str)[order]
    if n <= MOST_NAMED and not compact:
        ax.set_xticks(np.arange(n), told_apart(leaves, 16), rotation=90, fontsize=7.5, parse_math=False)
        ax.tick_params(axis="x", length=0, pad=6)
    else:
        ax.set_xticks([])
    ax.set_ylabel(_metric(result))
    if len(groups) > 1:
        keys_below(ax, _keys(groups, palette, compact), theme, below=1.1 if n <= MOST_NAMED else 0.16, compact=compact)
    dress(ax, theme, grid="y")
    ax.spines["bottom"].set_visible(False)
    return ax


def _metric(result: xr.Dataset) -> str:
    metric = str(result.attrs.get("metric") or result["rdm"].attrs.get("metric") or "dissimilarity")
    return METRICS.get(metric, metric.replace("_", " "))


def _plane(groups: dict[str, np.ndarray], compact: bool) -> tuple[float, float]:
    keys = len(groups) if len(groups) > 1 else 0
    return (PHONE, 3.3 + 0.2 * ((keys + 1) // 2)) if compact else (WIDE, 5.0 + 0.2 * ((keys + 3) // 4))


def _tree_size(result: xr.Dataset, groups: dict[str, np.ndarray], compact: bool) -> tuple[float, float]:
    keys = len(groups) if len(groups) > 1 else 0
    names = 0.9 if result.sizes["stimulus"] <= MOST_NAMED else 0.0
    return (PHONE, 2.6 + 0.2 * ((keys + 1) // 2)) if compact else (WIDE, 3.0 + names + 0.2 * ((keys + 3) // 4))


def embedding_pictures(name: str, node: xr.Dataset) -> list[Picture | Html]:
    """What a page shows of a node with ``shows = "embedding"``; its attrs ``by`` is the coordinate of the colours."""
    by = node.attrs.get("by")
    groups = groups_of(node, by)
    n = node.sizes["stimulus"]
    one, many = node.attrs.get("sample_name") or ("stimulus", "stimuli")
    coloured = f" Colour and marker: {str(by).replace('_', ' ')}." if by else ""
    of = f"{count(n, str(one), str(many))}, {_metric(node)}"
    about = f" {node['rdm'].attrs['about']}." if node["rdm"].attrs.get("about") else ""
    said = f" in {len(groups)} groups: {listed(list(groups), 12)}" if by else ""
    alt = f"Points in a plane, {n:,} {many}{said}."
    if by and len(groups) > 1:
        alt += f" Nearest to a point is one of its own group for {_neighbours(node, groups):.0%} of the points."
    how = {"smacof": "least stress (SMACOF)", "classical": "classical scaling"}.get(
        str(node.attrs.get("how")), "scaling"
    )
    caption = (
        f"Multidimensional scaling by {how} of {of}: near is alike; the rule is the length of a "
        f"dissimilarity. Stress {number(float(node.attrs.get('stress', np.nan)))}: what of them a plane cannot hold."
    )
    linkage = {"average": "mean", "complete": "largest", "single": "smallest"}.get(
        str(node.attrs.get("linkage")), "mean"
    )
    tree = f"Tree of {n:,} {many}{said}; branches meet from {number(float(node['tree'].values[0, 2]))} to "
    tree += f"{number(float(node['tree'].values[-1, 2]))}."
    branches = f"Tree of {of}: two branches meet at the {linkage} dissimilarity between their leaves."
    if by:
        branches += f" Marks and branches of one colour: one {str(by).replace('_', ' ')}."
    sizes = [(_plane(groups, compact), _tree_size(node, groups, compact)) for compact in (False, True)]
    return [
        Picture(partial(mds, node, by), alt, caption + coloured + about, sizes[0][0], sizes[1][0]),
        Picture(partial(dendrogram, node, by), tree, branches + about, sizes[0][1], sizes[1][1]),
    ]


def _neighbours(node: xr.Dataset, groups: dict[str, np.ndarray]) -> float:
    """Share of points whose nearest neighbour in the plane is of their own group."""
    places = node["place"].values[:, :2]
    code = np.empty(len(places), dtype=int)
    for at, own in enumerate(groups.values()):
        code[own] = at
    apart = ((places[:, None] - places[None]) ** 2).sum(-1)
    np.fill_diagonal(apart, np.inf)
    return float((code[apart.argmin(1)] == code).mean())
