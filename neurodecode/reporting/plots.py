"""Plots of a result: matplotlib functions that draw on ``ax`` and return it.

Every function takes ``ax=None`` (a new figure that belongs to no window), ``theme="light"`` or ``"dark"``, and
``compact=True`` for pictures as narrow as a phone. Chance, ceiling and null stand in every picture in which a score
stands. What is drawn carries a gid, so that it can be found again.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import xarray as xr

from .._optional import require
from .alignments import grid, matched, matched_matrix, matchings
from .comparisons import models, pairs
from .curves import folds, generalization, null, null_p, time_course
from .dissimilarities import rdm
from .embeddings import dendrogram, mds
from .likeness import exchanged
from .matrices import confusion, layer_by_area, layer_lines
from .style import PURPOSE, Theme, dress, keys_below, looks, new_axes, note, styled
from .summary import Area, Result, areas, chance_of, digits_of, score_name, scored, unit_words
from .tables import figures as figures_table
from .wording import count, number, quantity, score_label, told_apart

__all__ = [
    "confusion",
    "dendrogram",
    "exchanged",
    "folds",
    "found_planted",
    "generalization",
    "grid",
    "layer_by_area",
    "layer_lines",
    "matched",
    "matched_matrix",
    "matchings",
    "mds",
    "models",
    "null",
    "null_p",
    "pairs",
    "rdm",
    "rows_of",
    "scores_by_area",
    "time_course",
]
LANE = 0.21
GAP = 0.12
DOTTED = (0, (1, 2))
Series = dict[str, list[Area | None]]


def rows_of(result: Result, by: str = "roi") -> tuple[list[str], Series]:
    """Rows and series of the area plot: areas and one series per result, or one row per result without areas.

    Examples
    --------
    >>> scores = xr.Dataset({"score": ("unit", [0.5])})
    >>> rows_of({"faces": scores, "houses": scores})[0]
    ['faces', 'houses']
    """
    nodes = scored(result)
    found = {name: {area.name: area for area in areas(one, by)} for name, one in nodes.items()}
    if len(nodes) > 1 and not any(by in one.coords for one in nodes.values()):
        return list(found), {"": [next(iter(one.values())) for one in found.values()]}
    names = list(dict.fromkeys(name for one in found.values() for name in one))
    return names, {series: [one.get(name) for name in names] for series, one in found.items()}


@styled
def scores_by_area(
    result: Result,
    by: str = "roi",
    ax: Any = None,
    *,
    theme: Any = "light",
    sort: bool = True,
    compact: bool = False,
    names: Sequence[str] = (),
) -> Any:
    """One row per area, best first: dot, interval over folds or subjects, ceiling and null.

    Parameters
    ----------
    result : Dataset; or a DataTree or mapping whose results share a score, one colour each. Results without areas
        become one row each.
    by : unit coordinate that names the areas.
    sort : best first (by the first result); False keeps the order in which areas come.
    compact : names of the results under the picture instead of beside their first row.
    names : all results of a study in their order, so that each keeps its colour in every picture.

    Returns
    -------
    The axes. The dots of result ``s`` are the points of a line with the gid ``score:s``.

    Raises
    ------
    ValueError : results with different scores.

    Examples
    --------
    >>> scores = xr.Dataset({"score": ("unit", [0.3, 0.5])}, coords={"roi": ("unit", ["V1", "V2"])})
    >>> ax = scores_by_area(scores)
    >>> [line.get_xdata().tolist() for line in ax.lines if line.get_gid() == "score:result"]
    [[0.5, 0.3]]
    """
    nodes = scored(result)
    scores = list(dict.fromkeys(score_name(one) for one in nodes.values()))
    if len(scores) > 1:
        raise ValueError(f"these results have different scores ({', '.join(scores)}): draw them one by one.")
    rows, series = rows_of(result, by)
    if sort:
        order = _best_first(next(iter(series.values())))
        rows, series = [rows[at] for at in order], {key: [found[at] for at in order] for key, found in series.items()}
    step = len(series) * LANE + GAP
    if ax is None:
        ax = new_axes(7.5, max(1.9, len(rows) * step + 1.25), theme)
    palette, marker = looks(list(series), names, theme)
    digits = digits_of(nodes.values())
    beside = dict(zip(series, told_apart(series, 18)))
    for lane, (name, found) in enumerate(series.items()):
        y = -np.arange(len(found)) * step - (lane - (len(series) - 1) / 2) * LANE
        _draw_series(ax, name, found, y, palette[name], marker[name], theme)
        _print_scores(ax, "" if compact or len(series) == 1 else beside[name], found, y, palette[name], theme, digits)
    _rule_chance(ax, nodes, rows, step, theme)
    one = next(iter(nodes.values()))
    ax.set_yticks(-np.arange(len(rows)) * step, _row_labels(rows, series, one, compact), parse_math=False)
    ax.set_ylim(-(len(rows) - 1) * step - step * 0.62, step * 0.62)
    several = any(area is not None and area.n_units > 1 for found in series.values() for area in found)
    ax.set_xlabel(score_label(scores[0], of=unit_words(one)[1] if several else None))
    _limit(ax, series, list(nodes.values()))
    shown = {name: (palette[name], marker[name]) for name in series} if compact and len(series) > 1 else {}
    keys_below(ax, _keys(series, shown, theme), theme, compact=compact)
    return dress(ax, theme, left=False, grid="x")


def _best_first(rows: Sequence[Area | None]) -> list[int]:
    values = [area.score if area is not None and np.isfinite(area.score) else -np.inf for area in rows]
    return sorted(range(len(values)), key=lambda at: -values[at])


def _draw_series(
    ax: Any, name: str, rows: Sequence[Area | None], at: np.ndarray, colour: str, marker: str, theme: Theme
) -> None:
    drawn = [(y, area) for y, area in zip(at, rows) if area is not None and np.isfinite(area.score)]
    tall = LANE * 0.86
    for y, area in drawn:
        if np.isfinite(area.null_low):
            width = area.null_high - area.null_low
            ax.barh(y, width, left=area.null_low, height=tall, color=theme.null, lw=0, zorder=1, gid="null")
        if np.isfinite(area.ceiling_low) and area.ceiling_high > area.ceiling_low:
            width = area.ceiling_high - area.ceiling_low
            ax.barh(y, width, left=area.ceiling_low, height=tall, color=theme.ceiling, lw=0, zorder=1.5, gid="ceiling")
        elif np.isfinite(area.ceiling):
            ends = (y - tall / 2, y + tall / 2)
            ax.vlines(area.ceiling, *ends, color=theme.ceiling, lw=5, zorder=1.5, gid="ceiling")
        if np.isfinite(area.low):
            ax.hlines(y, area.low, area.high, color=colour, lw=2.6, alpha=0.75, zorder=2, gid="interval")
    places = [area.score for _, area in drawn], [y for y, _ in drawn]
    look = {"color": colour, "ms": 7, "mec": theme.paper, "mew": 0.9, "zorder": 3}
    ax.plot(*places, marker, label=name or "score", gid=f"score:{name}", **look)


def _print_scores(
    ax: Any, name: str, rows: Sequence[Area | None], at: np.ndarray, colour: str, theme: Theme, digits: int
) -> None:
    """The scores as text at the right edge; the first row says whose they are."""
    for row, (y, area) in enumerate(zip(at, rows)):
        text = number(area.score, digits).replace("-", "−") if area is not None else "–"
        note(ax, text, (1, y), "side", (32, 0), ha="right", color=theme.ink)
        if row == 0 and name:
            note(ax, name, (1, y), "side", (38, 0), ha="left", color=colour)


def _row_labels(names: list[str], series: Series, one: xr.Dataset, compact: bool) -> list[str]:
    """Names of the rows with their number of units; the word for a unit stands once, in the first row."""
    sizes = [max((area.n_units for area in row if area is not None), default=0) for row in zip(*series.values())]
    names = told_apart(names, 22 if compact else 32)
    if compact or all(size == 1 for size in sizes):
        return names
    said = [count(size, *unit_words(one)) if row == 0 else f"{size:,}" for row, size in enumerate(sizes)]
    return [f"{name} ({size})" for name, size in zip(names, said)]


def _rule_chance(ax: Any, nodes: dict[str, xr.Dataset], names: list[str], step: float, theme: Theme) -> None:
    """One rule where chance is the same for all, else a short one in each row (rows are results then)."""
    known = {chance_of(one) for one in nodes.values()} - {None}
    look = {"color": theme.muted, "ls": DOTTED, "lw": 1.3, "zorder": 1.2, "gid": "chance"}
    if len(known) == 1:
        ax.axvline(known.pop(), **look)
    elif known and set(names) == set(nodes):
        for row, name in enumerate(names):
            chance = chance_of(nodes[name])
            if chance is not None:
                ax.vlines(chance, -(row + 0.5) * step, -(row - 0.5) * step, **look)


def _limit(ax: Any, series: Series, nodes: list[xr.Dataset]) -> None:
    ends: list[float] = [chance for chance in map(chance_of, nodes) if chance is not None]
    for area in (area for rows in series.values() for area in rows if area is not None):
        ends += [area.score, area.low, area.high, area.ceiling, area.ceiling_low, area.ceiling_high]
        ends += [area.null_low, area.null_high]
    ends = [end for end in ends if np.isfinite(end)]
    if ends:
        span = max(ends) - min(ends)
        pad = 0.04 * max(span, 0.05) if span > 0 else 0.5
        ax.set_xlim(min(ends) - pad, max(ends) + pad)


def repeats_of(found: list[Area]) -> dict[str, str]:
    """How many folds or subjects the intervals are over, in words: ``9``, or ``3 to 9`` where rows differ.

    Examples
    --------
    >>> rows = [Area("a", 1, 0, 0.5, 0.4, 0.6, "folds", np.ones(n)) for n in (9, 3)]
    >>> repeats_of(rows)
    {'folds': '3 to 9'}
    """
    counts: dict[str, set[int]] = {}
    for area in found:
        if np.isfinite(area.low):
            counts.setdefault(area.over, set()).add(len(area.repeats))
    return {what: str(min(n)) if len(n) == 1 else f"{min(n)} to {max(n)}" for what, n in counts.items()}


def _keys(series: Series, shown: dict[str, tuple[str, str]], theme: Theme) -> list[Any]:
    """What the marks mean: only of what is in the picture."""
    patch = require("matplotlib.patches", purpose=PURPOSE).Patch
    line = require("matplotlib.lines", purpose=PURPOSE).Line2D
    found = [area for rows in series.values() for area in rows if area is not None]
    keys = [
        line([], [], marker=marker, ls="", color=colour, ms=6, label=name) for name, (colour, marker) in shown.items()
    ]
    for what, n in repeats_of(found).items():
        label = f"95 % over {n} {what}" if n.isdigit() else f"95 % over {what}"
        keys.append(line([], [], color=theme.muted, lw=2.6, label=label))
    if any(np.isfinite(area.ceiling) for area in found):
        keys.append(patch(color=theme.ceiling, lw=0, label="noise ceiling"))
    if any(np.isfinite(area.null_low) for area in found):
        keys.append(patch(color=theme.null, lw=0, label="null, middle 95 %"))
    keys.append(line([], [], color=theme.muted, ls=DOTTED, lw=1.3, label="chance"))
    if not any(np.isfinite(area.ceiling) for area in found):
        keys.append(line([], [], ls="", label="ceiling n/a"))
    return keys


@styled
def found_planted(result: Result, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """Every figure of a study against its planted or published value, in units of the interval it should fall in.

    0 is the expected value, -1 and 1 are the ends of its interval (planted) or tolerance (published), so that figures
    of different size stand on one axis; what lies further than 2.5 is an arrow at the edge. Figures without an
    expected value are left to the table.

    Returns
    -------
    The axes. Dots have the gid ``found``, one line for those inside and one for those outside.

    Raises
    ------
    ValueError : no figure has an expected value with an interval.
    """
    table = figures_table(result)
    table = table[table["verdict"] != ""].reset_index(drop=True)
    if table.empty:
        raise ValueError("no figure of this result has a planted or published value with an interval to compare with.")
    if ax is None:
        ax = new_axes(7.5, max(1.7, 0.32 * len(table) + 1.15), theme)
    where = np.array([_relative(row) for row in table.to_dict("records")])
    y = -np.arange(len(table), dtype=float)
    ax.axvspan(-1, 1, color=theme.null, lw=0, zorder=0)
    ax.axvline(0, color=theme.muted, lw=1, zorder=1)
    good = table["verdict"].isin(["inside", "reached"]).to_numpy()
    near = np.abs(where) <= 2.5
    for inside, colour, marker in ((True, theme.categories[0], "o"), (False, theme.categories[1], "X")):
        chosen = (good == inside) & near
        look = {"color": colour, "ms": 7 if inside else 8, "mec": theme.paper, "mew": 0.8}
        ax.plot(where[chosen], y[chosen], marker, gid="found", **look)
    for at in np.flatnonzero(~near & ~np.isnan(where)):
        ax.plot(np.sign(where[at]) * 2.75, y[at], ">" if where[at] > 0 else "<", color=theme.categories[1], ms=8)
    expected = table["planted"].where(table["planted"].notna(), table["published"])
    word = (
        "published" if table["planted"].isna().all() else "planted" if table["published"].isna().all() else "expected"
    )
    columns = [(table["found"], "found", 38 if compact else 44, theme.ink)]
    columns += [(expected, word, 88 if compact else 100, theme.muted)]
    for values, title, offset, colour in columns:
        note(ax, title, (1, 0.85), "side", (offset, 0), ha="right", color=theme.muted)
        for place, value, *beside in zip(y, values, table["found"], expected, table["low"], table["high"]):
            note(
                ax, quantity(value, beside).replace("-", "−"), (1, place), "side", (offset, 0), ha="right", color=colour
            )
    names = told_apart(table["name"], 46 if compact else 76)
    if compact:
        # Names stand above their dots, so that the rows keep the width of the phone.
        ax.set_yticks([])
        for place, name in zip(y, names):
            clear = {"facecolor": theme.paper, "edgecolor": "none", "pad": 1}
            note(ax, name, (0, place + 0.42), "side", (0, 0), ha="left", color=theme.ink, bbox=clear)
    else:
        lines = ["\n".join(wrap(name, 38)[:2]) for name in names]
        ax.set_yticks(y, lines, parse_math=False, fontsize=9, linespacing=1.05)
    ax.set(ylim=(-len(table) + 0.4, 1.2), xlim=(-3, 3), xticks=[-2, -1, 0, 1, 2])
    ax.set_xlabel("found − expected" + ("\n" if compact else ", ") + "in half-widths of its interval")
    return dress(ax, theme, left=False)


def _relative(row: dict[str, Any]) -> float:
    """Where a figure lies: 0 at the expected value, ±1 at the ends of its interval."""
    found = float("nan") if row["found"] is None else row["found"]
    if np.isfinite(row["planted"]) and np.isfinite(row["low"]):
        off = found - row["planted"]
        half = row["high"] - row["planted"] if off > 0 else row["planted"] - row["low"]
        if half <= 0:
            off, half = found - (row["low"] + row["high"]) / 2, (row["high"] - row["low"]) / 2
    else:
        off, half = found - row["published"], row["tolerance"]
    if half > 0:
        return float(off / half)
    return 0.0 if off == 0 else float(np.sign(off) * np.inf)
