"""Pictures of models that were compared on the dissimilarities of people: ``similarity.compare_models``."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from .._optional import require
from .markup import Cell, Html, table
from .pictures import Picture
from .style import (
    PURPOSE,
    Theme,
    colour_bar,
    dress,
    frame,
    keys_below,
    new_axes,
    readable_on,
    sequential,
    styled,
    turned,
)
from .wording import count, headed, listed, number, p_short, told_apart

HOW = {
    "spearman": "Spearman correlation",
    "pearson": "Pearson correlation",
    "kendall": "Kendall's tau-a",
    "cosine": "cosine",
    "whitened_cosine": "whitened cosine",
    "whitened_pearson": "whitened Pearson correlation",
}
MOST_ARCS = 8
LEVEL = 0.05
WIDE, PHONE = 7.5, 3.4
JOINS = ("auto", "differ", "same", "none")


def score_words(result: xr.Dataset) -> str:
    """What the score of a comparison of models is, in words of an axis."""
    how = str(result.attrs.get("how") or "score")
    return f"{HOW.get(how, how.replace('_', ' '))} of dissimilarities, " + (
        "mean over people" if people_of(result) > 1 else "one person"
    )


def people_of(result: xr.Dataset) -> int:
    """How many people were scored."""
    return int(result.attrs.get("n_subjects") or result.sizes.get("subject", 1))


def ranked(result: xr.Dataset) -> tuple[np.ndarray, list[str]]:
    """Positions of the models, best first, those without a score last; and the names in that order.

    Raises
    ------
    ValueError : no comparison of models.
    """
    if "mean" not in result or result["mean"].dims != ("model",) or "score" not in result:
        raise ValueError("this result has no mean(model) and score(model, subject): it is not of compare_models.")
    order = np.argsort(-np.nan_to_num(result["mean"].values.astype(float), nan=-np.inf), kind="stable")
    return order, result["model"].values.astype(str)[order].tolist()


def arcs_of(result: xr.Dataset, join: str = "auto") -> tuple[str, list[tuple[int, int]]]:
    """Which pairs of rows (best first) are joined, and why: ``"differ"``, ``"same"`` or ``"none"``.

    ``auto`` takes whichever says all in at most eight arcs; where neither does, none, and the matrix of p says it.

    Examples
    --------
    >>> from neurodecode.reporting.comparisons import arcs_of
    >>> p = [[np.nan, 0.01], [0.01, np.nan]]
    >>> arcs_of(xr.Dataset({"score": (("model", "subject"), [[0.4], [0.1]]), "mean": ("model", [0.4, 0.1]),
    ...                     "p_pair_fdr": (("model", "model_other"), p)}, {"model": ["a", "b"]}))
    ('differ', [(0, 1)])
    """
    if join not in JOINS:
        raise ValueError(f"join={join!r}: expected one of {listed(list(JOINS))}.")
    order, names = ranked(result)
    if join == "none" or "p_pair_fdr" not in result or len(names) < 2:
        return "none", []
    p = result["p_pair_fdr"].transpose("model", "model_other").values[np.ix_(order, order)]
    pairs = [(one, two) for one in range(len(names)) for two in range(one + 1, len(names)) if np.isfinite(p[one, two])]
    found = {
        "differ": [pair for pair in pairs if p[pair] < LEVEL],
        "same": [pair for pair in pairs if p[pair] >= LEVEL],
    }
    if join != "auto":
        return join, found[join][:MOST_ARCS]
    fewest = "differ" if 0 < len(found["differ"]) <= MOST_ARCS or not found["same"] else "same"
    return (fewest, found[fewest]) if 0 < len(found[fewest]) <= MOST_ARCS else ("none", [])


def pairs_of(result: xr.Dataset, kind: str) -> int:
    """How many pairs of models differ (``"differ"``) or cannot be said to (``"same"``)."""
    p = result["p_pair_fdr"].values[np.triu_indices(result.sizes["model"], 1)]
    p = p[np.isfinite(p)]
    return int((p < LEVEL).sum() if kind == "differ" else (p >= LEVEL).sum())


def lanes_of(arcs: list[tuple[int, int]]) -> list[int]:
    """A lane for every arc, short ones inside, so that none touches another.

    Examples
    --------
    >>> lanes_of([(0, 3), (0, 1), (2, 3)])
    [1, 0, 0]
    """
    lanes: list[list[tuple[int, int]]] = []
    found = {}
    for arc in sorted(arcs, key=lambda arc: (arc[1] - arc[0], arc)):
        free = [all(arc[1] < other[0] or other[1] < arc[0] for other in lane) for lane in lanes]
        found[arc] = free.index(True) if any(free) else len(lanes)
        if not any(free):
            lanes.append([])
        lanes[found[arc]].append(arc)
    return [found[arc] for arc in arcs]


@styled
def models(
    result: xr.Dataset, ax: Any = None, *, theme: Any = "light", compact: bool = False, join: str = "auto"
) -> Any:
    """One row per model, best first: mean with its interval, a dot per person, the noise ceiling, and arcs.

    Parameters
    ----------
    result : Dataset of ``similarity.compare_models``.
    join : which models an arc joins: ``"differ"``, those that differ (pairwise p, FDR, < .05); ``"same"``, those of
        which this cannot be said; ``"auto"``, whichever takes at most eight arcs; ``"none"``. Eight are drawn at most;
        where these are not all, the key says so.

    Returns
    -------
    The axes. Means are the points of a line with the gid ``mean``, people points of ``subjects``, the band of the
    ceiling has the gid ``ceiling``, every arc ``arc``.

    Raises
    ------
    ValueError : no comparison of models, or an unknown ``join``.

    Examples
    --------
    >>> found = xr.Dataset({"score": (("model", "subject"), [[0.4, 0.2], [0.1, 0.1]]), "mean": ("model", [0.3, 0.1])},
    ...                    {"model": ["animate", "silhouette"]})
    >>> [line.get_xdata().tolist() for line in models(found).lines if line.get_gid() == "mean"]
    [[0.3, 0.1]]
    """
    order, names = ranked(result)
    n = len(names)
    kind, arcs = arcs_of(result, join)
    if ax is None:
        ax = new_axes(*_size(result, compact), theme)
    rows = -np.arange(n, dtype=float)
    mean = result["mean"].values.astype(float)[order]
    people = result["score"].transpose("model", "subject").values.astype(float)[order]
    lower, upper = (
        float(result[f"ceiling_{end}"]) if f"ceiling_{end}" in result else np.nan for end in ("lower", "upper")
    )
    if np.isfinite(lower) and np.isfinite(upper):
        ax.axvspan(lower, upper, color=theme.ceiling, lw=0, alpha=0.75, gid="ceiling", zorder=0)
    ax.axvline(0, color=theme.muted, lw=1, ls=(0, (1, 2)), gid="zero", zorder=1)
    if people.shape[1] > 1:
        spread = np.linspace(-0.16, 0.16, people.shape[1]) if people.shape[1] > 1 else np.zeros(1)
        ax.plot(
            people.ravel(), (rows[:, None] + spread).ravel(), ls="", marker="o", ms=3, mew=0, color=theme.muted,
            alpha=0.8, gid="subjects", zorder=2,
        )  # fmt: skip
    if "low" in result and "high" in result:
        low, high = (result[end].values.astype(float)[order] for end in ("low", "high"))
        ax.hlines(rows, low, high, color=theme.accent, lw=2.6, gid="interval", zorder=3)
    ax.plot(mean, rows, ls="", marker="o", ms=7.5, mfc=theme.accent, mec=theme.paper, mew=1, gid="mean", zorder=4)
    _print_means(ax, result, order, mean, rows, theme)
    _draw_arcs(ax, arcs, rows, theme, kind, 42 if (mean < 0).any() else 34)
    ax.set_yticks(rows, told_apart(names, 14 if compact else 26), parse_math=False)
    ax.set_ylim(rows[-1] - 0.55, 0.55)
    left, right = ax.get_xlim()
    edge = 0.03 * (right - left)
    ax.set_xlim(min(left, -edge), max(right, edge))  # chance stands in the picture, wherever the scores lie
    label = score_words(result)
    ax.set_xlabel(label.rpartition(", ")[0] if compact else label, fontsize=9 if compact else 10)
    keys_below(ax, _keys(result, kind, theme, len(arcs)), theme, compact=compact)
    return dress(ax, theme, left=False, grid="x")


def _print_means(
    ax: Any, result: xr.Dataset, order: np.ndarray, mean: np.ndarray, rows: np.ndarray, theme: Theme
) -> None:
    """The means as numbers in a column at the right, those above 0 in ink."""
    p = result["p_fdr"].values[order] if "p_fdr" in result else np.full(len(order), np.nan)
    for value, one, row in zip(mean, p, rows):
        above = not np.isfinite(one) or one < LEVEL
        ax.annotate(
            number(float(value)).replace("-", "−"), (1, row), xycoords=ax.get_yaxis_transform(), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=9, color=theme.ink if above else theme.muted,
            fontweight="bold" if above and np.isfinite(one) else "normal", annotation_clip=False,
        )  # fmt: skip


def _draw_arcs(ax: Any, arcs: list[tuple[int, int]], rows: np.ndarray, theme: Theme, kind: str, beside: int) -> None:
    """Brackets ``beside`` points from the axes, right of the numbers, one lane beside the other."""
    lines = require("matplotlib.lines", purpose=PURPOSE)
    transforms = require("matplotlib.transforms", purpose=PURPOSE)
    for (one, two), lane in zip(arcs, lanes_of(arcs)):
        right = beside + 7 * lane
        shift = transforms.ScaledTranslation(right / 72, 0, ax.figure.dpi_scale_trans)
        tick = 4 / 72
        at = ax.get_yaxis_transform() + shift
        top, bottom = rows[one] - 0.12, rows[two] + 0.12
        arc = lines.Line2D(
            [1, 1], [top, bottom], transform=at, color=theme.ink if kind == "differ" else theme.muted, lw=1.2,
            clip_on=False, gid="arc", ls="-" if kind == "differ" else (0, (3, 1.5)), marker="_", ms=0,
        )  # fmt: skip
        ax.add_line(arc)
        for end in (top, bottom):
            back = ax.get_yaxis_transform() + transforms.ScaledTranslation(
                (right / 72) - tick / 2, 0, ax.figure.dpi_scale_trans
            )
            ax.plot(
                [1], [end], transform=back, marker="_", ms=4, mew=1.2, clip_on=False, ls="", gid="arc end",
                color=theme.ink if kind == "differ" else theme.muted,
            )  # fmt: skip


def _keys(result: xr.Dataset, kind: str, theme: Theme, drawn: int) -> list[Any]:
    lines = require("matplotlib.lines", purpose=PURPOSE)
    patches = require("matplotlib.patches", purpose=PURPOSE)
    keys = []
    if result.sizes.get("subject", 1) > 1:
        keys.append(lines.Line2D([], [], ls="", marker="o", ms=4, mew=0, color=theme.muted, label="one person"))
    if "low" in result:
        level = round(100 * float(result.attrs.get("level", 0.95)))
        keys.append(lines.Line2D([], [], color=theme.accent, lw=2.6, label=f"{level} % interval"))
    if "ceiling_lower" in result and np.isfinite(float(result["ceiling_lower"])):
        keys.append(patches.Patch(color=theme.ceiling, lw=0, alpha=0.75, label="noise ceiling"))
    else:
        keys.append(lines.Line2D([], [], ls="", label="ceiling n/a"))
    keys.append(lines.Line2D([], [], color=theme.muted, lw=1, ls=(0, (1, 2)), label="0, chance"))
    looks: dict[str, dict[str, Any]] = {
        "differ": {"color": theme.ink, "label": "differ, p(FDR) < .05"},
        "same": {"color": theme.muted, "ls": (0, (3, 1.5)), "label": "do not differ, p(FDR) ≥ .05"},
    }
    if kind in looks:
        if drawn < (every := pairs_of(result, kind)):
            looks[kind]["label"] += f": {drawn} of {every} drawn"
        keys.append(lines.Line2D([], [], lw=1.2, **looks[kind]))
    return keys


def _size(result: xr.Dataset, compact: bool) -> tuple[float, float]:
    n = result.sizes["model"]
    return (PHONE, 1.35 + 0.27 * n) if compact else (WIDE, 1.15 + 0.34 * n)


@styled
def pairs(result: xr.Dataset, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """Differences of models, row minus column, best first; where p(FDR) is .05 or more the cell is hatched.

    Returns
    -------
    The axes; ``ax.images[0]`` holds the differences, hatched cells have the gid ``not different``.

    Raises
    ------
    ValueError : no comparison of models.

    Examples
    --------
    >>> p = [[np.nan, 0.2], [0.2, np.nan]]
    >>> found = xr.Dataset({"score": (("model", "subject"), [[0.4], [0.1]]), "mean": ("model", [0.4, 0.1]),
    ...                     "difference": (("model", "model_other"), [[np.nan, 0.3], [-0.3, np.nan]]),
    ...                     "p_pair_fdr": (("model", "model_other"), p)}, {"model": ["a", "b"]})
    >>> len([one for one in pairs(found).patches if one.get_gid() == "not different"])
    1
    """
    patches = require("matplotlib.patches", purpose=PURPOSE)
    order, names = ranked(result)
    n = len(names)
    at = np.ix_(order, order)
    difference, p = (result[key].transpose("model", "model_other").values[at] for key in ("difference", "p_pair_fdr"))
    below = np.tril(np.ones((n, n), dtype=bool))
    shown = np.ma.masked_invalid(np.where(below, np.nan, difference)[:-1, 1:])
    if ax is None:
        ax = new_axes(*_pairs_size(result, compact), theme)
    top = float(np.nanmax(np.abs(difference))) if np.isfinite(difference).any() else 1.0
    image = ax.imshow(shown, cmap=sequential(), vmin=0, vmax=top or 1.0, aspect="auto", interpolation="none")
    for row in range(n - 1):
        for column in range(row + 1, n):
            value = float(difference[row, column])
            if not np.isfinite(value):
                continue
            colour = readable_on(image.cmap(image.norm(value)))
            if not p[row, column] < LEVEL:
                box = patches.Rectangle((column - 1.5, row - 0.5), 1, 1, fill=False, hatch="////", lw=0)
                box.set_gid("not different")
                box.set_edgecolor((*require("matplotlib.colors", purpose=PURPOSE).to_rgb(colour), 0.4))
                ax.add_patch(box)
            if n <= (6 if compact else 11):
                words = {"ha": "center", "va": "center", "fontsize": 8, "color": colour}
                ax.text(column - 1, row, p_short(float(p[row, column])), **words)
    short = told_apart(names, 12 if compact else 24)
    ax.set_xticks(range(n - 1), short[1:], parse_math=False, **turned(short[1:], 0 if max(map(len, short)) > 6 else 60))
    ax.set_yticks(range(n - 1), short[:-1], parse_math=False)
    colour_bar(ax, image, "difference of scores", theme, compact)
    return frame(ax, theme)


def _pairs_size(result: xr.Dataset, compact: bool) -> tuple[float, float]:
    n = result.sizes["model"] - 1
    return (PHONE, 2.0 + 0.24 * n) if compact else (min(WIDE, 3.2 + 0.6 * n), 1.6 + 0.34 * n)


def models_pictures(name: str, node: xr.Dataset) -> list[Picture | Html]:
    """What a page shows of a node with ``shows = "models"``."""
    order, names = ranked(node)
    mean = node["mean"].values.astype(float)[order]
    kind, _ = arcs_of(node)
    words = [f"{one} {number(float(value))}" for one, value in zip(names, mean)]
    lower, upper = (float(node[f"ceiling_{end}"]) if f"ceiling_{end}" in node else np.nan for end in ("lower", "upper"))
    alt = f"Dots on rows: {score_words(node)}. {listed(words, 24)}."
    alt += f" Noise ceiling {number(lower)} to {number(upper)}." if np.isfinite(lower) else " No noise ceiling."
    drawn = [Picture(partial(models, node), alt, models_caption(node), _size(node, False), _size(node, True))]
    if kind == "none" and len(names) > 2 and "p_pair_fdr" in node:
        drawn.append(_pairs_picture(node, names))
    return [*drawn, models_table(node, name)]


def models_caption(node: xr.Dataset) -> str:
    """How to read the dots, lines, band and arcs."""
    attrs = node.attrs
    people = people_of(node)
    said = [
        f"Large dot: {score_words(node)}; small dots: one person each." if people > 1 else f"Dot: {score_words(node)}."
    ]
    level = round(100 * float(attrs.get("level", 0.95)))
    if "low" in node:
        said.append(f"Line: {level} % interval for {attrs.get('about', 'new subjects')}.")
    if "ceiling_lower" in node and np.isfinite(float(node["ceiling_lower"])):
        said.append(
            f"Blue: noise ceiling, {number(float(node['ceiling_lower']))} (one person with the others) to "
            f"{number(float(node['ceiling_upper']))} (with all)."
        )
    elif attrs.get("ceiling_reason"):
        said.append(f"No ceiling: {attrs['ceiling_reason']}.")
    if "p_fdr" in node:
        said.append("Bold numbers: above 0, p(FDR) < .05.")
    kind, arcs = arcs_of(node)
    every = len(arcs) == node.sizes["model"] * (node.sizes["model"] - 1) // 2
    rest = "." if every else "; all other pairs differ."
    said += {
        "differ": ["Arcs join models that differ, p(FDR) < .05."],
        "same": ["Arcs join models of which no difference can be shown, p(FDR) ≥ .05" + rest],
    }.get(kind, [])
    if attrs.get("folds"):
        said.append(f"All scores are of stimuli left out ({attrs['folds']} folds), and fits without the person scored.")
    n = int(attrs.get("n_stimuli") or 0)
    who = count(people, "person", "people")
    of = count(n, *(attrs.get("sample_name") or ("stimulus", "stimuli")))
    return " ".join(said) + (f" n = {who}, {of}." if n else f" n = {who}.")


def _pairs_picture(node: xr.Dataset, names: list[str]) -> Picture:
    p = node["p_pair_fdr"].values[np.triu_indices(len(names), 1)]
    differ, known = int((p < LEVEL).sum()), int(np.isfinite(p).sum())
    alt = f"Matrix of the differences of {len(names)} models, best first; {differ} of {known} pairs differ."
    caption = (
        f"Difference of every two models, row minus column. Hatched: p ≥ .05 (two-sided, FDR over {known} pairs); "
        f"where there is room, p stands in the cell. {differ} of {known} pairs differ."
    )
    return Picture(partial(pairs, node), alt, caption, _pairs_size(node, False), _pairs_size(node, True))


def models_table(node: xr.Dataset, name: str) -> Html:
    """Every model as numbers: mean, interval, tests against 0 and the ceiling."""
    order, names = ranked(node)
    level = round(100 * float(node.attrs.get("level", 0.95)))
    columns = [("model", "text"), ("score", "number"), (f"{level} %", "number"), ("p, above\u00a00", "number")]
    columns += [("p(FDR)", "number"), ("p(FWE)", "number"), ("p(FDR), under the ceiling", "number")]
    kept = ["p", "p_fdr", "p_fwe", "p_ceiling_fdr"]
    rows = []
    for at, one in zip(order.tolist(), names):
        value = {
            key: float(node[key].values[at]) if key in node else float("nan") for key in ("mean", "low", "high", *kept)
        }
        span = f"{number(value['low'])} to {number(value['high'])}" if np.isfinite(value["low"]) else "n/a"
        rows.append(
            [one, Cell(number(value["mean"]), value["mean"]), Cell(span, value["low"])]
            + [Cell(p_short(value[key]), value[key]) for key in kept]
        )
    return table(
        columns, rows, caption="Models in numbers" if name == "models" else f"{headed(name)}, model by model", fold=4
    )
