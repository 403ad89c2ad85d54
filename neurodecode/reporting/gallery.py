"""The pictures of a page with their words: what is drawn at which size, what can be seen, how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from . import brains, plots
from . import topographies as scalp
from .matrices import FEW, matrix_of, rows_called
from .pictures import Picture
from .plots import GAP, LANE
from .summary import area_words, chance_of, sample_words, score_name, times_of, unit_words
from .tables import figures as figures_table
from .tables import highest_over_time
from .wording import SCORES, article, count, headed, listed, number, quantity, score_label

Nodes = Mapping[str, xr.Dataset]
WIDE = 7.5
PHONE = 3.4


def sampled(nodes: Nodes, attrs: Mapping[str, Any]) -> str:
    """The number of samples of results with its unit; from the fewest to the most where they differ."""
    known = {name: int(one.attrs["n_samples"]) for name, one in nodes.items() if (one.attrs.get("n_samples") or 0) > 0}
    if not known:
        return ""
    few, most = min(known.values()), max(known.values())
    said = count(most, *sample_words({**nodes[next(iter(known))].attrs, **attrs}))
    return said if few == most else f"{few:,} to {said}"


def short(one: xr.Dataset) -> str:
    """The short name of the score of a result."""
    name = score_name(one)
    return SCORES.get(name, ("", name.replace("_", " "), None))[1]


def areas_picture(nodes: Nodes, names: list[str], attrs: Mapping[str, Any]) -> Picture:
    """Scores by area of results that share a score."""
    rows, series = plots.rows_of(dict(nodes))
    one = next(iter(nodes.values()))
    height = len(rows) * (len(series) * LANE + GAP)
    words = [
        f"{row}{f' ({name})' if name else ''} {number(area.score)}"
        for at, row in enumerate(rows)
        for name, found in series.items()
        if (area := found[at]) is not None
    ]
    alt = f"Dots on rows: {score_label(score_name(one))}. {listed(words, 40)}."
    keys = len(series) if len(series) > 1 else 0
    return Picture(
        partial(plots.scores_by_area, dict(nodes), names=names),
        alt,
        areas_caption(nodes, attrs),
        (WIDE, max(1.55, height + 1.05)),
        (PHONE, max(1.7, height + 0.75 + 0.21 * ((keys + 5) // 2))),
    )


def areas_caption(nodes: Nodes, attrs: Mapping[str, Any]) -> str:
    """How to read the dots, lines and bands."""
    one = next(iter(nodes.values()))
    pool = one.attrs.get("pool")
    how = {
        "predictions": "computed once over all held-out predictions",
        "folds": "the mean over held-out folds",
    }.get(str(pool), "")
    many = unit_words(one)[1]
    said = [f"Dot: {score_label(score_name(one))}" + (f", {how}" if how else "") + "."]
    names, series = plots.rows_of(dict(nodes))
    found = [area for rows in series.values() for area in rows if area is not None]
    if any(area.n_units > 1 for area in found):
        said[0] = said[0][:-1] + f"; {article(area_words(one)[0])} is the mean over its {many}."
    for what, n in plots.repeats_of(found).items():
        shared = ", which share training samples, so it is a guide" if what == "folds" else ""
        said.append(f"Line: 95 % interval from the spread over {n} {what}{shared}.")
    if any(np.isfinite(area.null_low) for area in found):
        draws = max(node.sizes.get("permutation", 0) for node in nodes.values())
        drawn = {name: [area] for name, area in zip(names, series[""])} if "" in series else series  # a row each
        whose = [name for name, rows in drawn.items() if any(row and np.isfinite(row.null_low) for row in rows)]
        of = f" of {listed(whose)}" if len(whose) < len(drawn) else ""
        said.append(f"Grey: middle 95 % of {draws:,} permutations{of}.")
    if any(np.isfinite(area.ceiling) for area in found):
        said.append("Blue: noise ceiling.")
    samples = sampled(nodes, attrs)
    return " ".join(said) + (f" n = {samples}." if samples else "")


def time_picture(name: str, one: xr.Dataset) -> Picture:
    """A score over seconds."""
    times = np.asarray(times_of(one), dtype=float)
    best = highest_over_time(one).head(FEW)
    words = [f"{row.area} highest {number(row.score)} at {row.time:.3g} s" for row in best.itertuples()]
    alt = f"Line of {score_label(score_name(one))} from {times.min():.3g} to {times.max():.3g} s. {listed(words, 8)}."
    folds = one.sizes.get("fold", 0)
    said = f"{headed(name)}: {score_label(score_name(one))} at each time."
    if folds > 1 and "score_fold" in one.data_vars:
        said += f" Band: 95 % interval from the spread over {folds} folds."
    if "null" in one.data_vars:
        said += f" Grey: middle 95 % of {one.sizes['permutation']:,} permutations."
    return Picture(partial(plots.time_course, one), alt, said, (WIDE, 3.2), (PHONE, 2.8))


def generalization_picture(name: str, one: xr.Dataset) -> Picture:
    """A score across times of training and testing."""
    values = one["score"].mean("unit")
    alt = (
        f"Square map of {score_label(score_name(one))}, trained at one time and tested at another; from "
        f"{number(float(values.min()))} to {number(float(values.max()))}."
    )
    caption = f"{headed(name)}: trained at one time, tested at another. The diagonal is the time course."
    return Picture(partial(plots.generalization, one), alt, caption, (5.6, 4.4), (PHONE, 4.2))


def matrix_picture(result: Any) -> Picture:
    """Layer by area."""
    matrix, below, label = matrix_of(result)
    layers, rois = (np.asarray(matrix[dim].values).astype(str) for dim in ("layer", "roi"))
    best = [
        f"{roi} {layers[int(np.nanargmax(column))]} ({number(float(np.nanmax(column)))})"
        for roi, column in zip(rois, matrix.values.T)
        if np.isfinite(column).any()
    ]
    one, many = rows_called(matrix)
    size = f"{count(len(layers), one, many)} by {count(len(rois), 'area')}"
    alt = f"Heat map of {label}, {size}. Best {many}: {listed(best, 40)}."
    caption = f"{headed(label)} of every {one} in every area; the best {one} of each area is outlined."
    if below.any():
        caption += f" Hatched: not above the 95 % point of the null ({below.sum():,} of {below.size:,} cells)."
    height = 1.0 + 0.33 * len(layers)
    wide = (min(12.0, max(WIDE, 2.6 + 0.62 * len(rois))), height + 0.3)
    return Picture(partial(plots.layer_by_area, result), alt, caption, wide, (PHONE, 1.95 + 0.22 * len(layers)))


def lines_picture(result: Any) -> Picture:
    """A line per area over the layers."""
    matrix, _, label = matrix_of(result)
    one, many = rows_called(matrix)
    alt = f"Lines of {label} over {count(matrix.sizes['layer'], one, many)}, one per area."
    return Picture(
        partial(plots.layer_lines, result),
        alt,
        f"{headed(label)} over the {many}; rings mark the best.",
        (WIDE, 3.0),
        (PHONE, 2.8),
    )


def confusion_picture(name: str, one: xr.Dataset) -> Picture:
    """What was taken for what."""
    counts = one["confusion"].transpose("true", "predicted")
    values = counts.values.astype(float)
    n = len(values)
    total = values.sum()
    classes = np.asarray(counts["true"].values).astype(str)
    off = values - np.diag(np.diag(values))
    worst = np.unravel_index(int(np.argmax(off)), off.shape)
    alt = f"Confusion matrix of {n} classes, {int(np.trace(values))} of {int(total)} answers right."
    if off.max() > 0:
        alt += f" Most frequent error: {classes[worst[0]]} taken for {classes[worst[1]]}, {int(off.max())} times."
    chance = chance_of(one)
    caption = f"{headed(name)}: counts of {int(total):,} held-out samples; colour is the share of each row."
    caption += f" Chance {chance:.3g}." if chance is not None else ""
    side = min(6.4, 2.6 + 0.4 * n)
    return Picture(partial(plots.confusion, one), alt, caption, (side + 1.3, side), (PHONE, 4.3))


def null_picture(name: str, one: xr.Dataset) -> Picture:
    """The score under permutation."""
    n = one.sizes["permutation"]
    found = number(float(np.nanmean(one["score"].values)))
    alt = f"Histogram of {score_label(score_name(one))} in {n:,} permutations; {found} was found."
    caption = (
        f"{headed(name)}: the score with labels permuted ({one.attrs.get('exchangeability') or 'all samples'}), "
        f"{n:,} times. Grey: the middle 95 %."
    )
    caption += f" Dotted: chance, {chance:.3g}." if (chance := chance_of(one)) is not None else ""
    return Picture(partial(plots.null, one), alt, caption, (WIDE, 2.5), (PHONE, 2.4))


def null_p_picture(name: str, one: xr.Dataset) -> Picture:
    """p values against what the null would give."""
    p = one["p"].values[np.isfinite(one["p"].values)]
    alt = f"Quantiles of {len(p):,} p values against the uniform distribution; {int((p < 0.05).sum()):,} are under .05."
    caption = (
        f"{headed(name)}: p of every {unit_words(one)[0]}. On the dotted line nothing is predicted; grey is the "
        "95 % band of independent tests, and neighbours are not independent."
    )
    return Picture(partial(plots.null_p, one), alt, caption, (4.6, 3.9), (PHONE, 3.0))


def folds_picture(name: str, one: xr.Dataset) -> Picture:
    """The score of every held-out group."""
    values = one["score_fold"].mean("unit", skipna=True).values
    alt = f"Dots: {score_label(score_name(one))} of {len(values)} folds, {number(float(np.nanmin(values)))} to "
    alt += f"{number(float(np.nanmax(values)))}."
    caption = f"{headed(name)}: each held-out group. Line and band: mean over folds and its 95 % interval."
    return Picture(partial(plots.folds, one), alt, caption, (WIDE, 2.4), (PHONE, 2.5))


def found_picture(result: Any) -> Picture:
    """Figures against what was planted or published."""
    table = figures_table(result)
    table = table[table["verdict"] != ""]
    words = [
        f"{row.name_} {quantity(row.found)} {row.verdict}"
        for row in table.rename(columns={"name": "name_"}).itertuples()
    ]
    alt = f"Dots on rows: found minus expected in half-widths of the interval. {listed(words, 40)}."
    caption = (
        "Each figure against the value that was planted or published. Grey: its interval (planted) or tolerance "
        "(published)." + (" Orange: outside." if (~table["verdict"].isin(["inside", "reached"])).any() else "")
    )
    n = len(table)
    return Picture(
        partial(plots.found_planted, result),
        alt,
        caption,
        (WIDE, max(1.5, 0.31 * n + 1.0)),
        (PHONE, max(1.6, 0.42 * n + 1.0)),
    )


def map_picture(name: str, one: xr.Dataset, variable: str = "score") -> Picture:
    """Where in the brain: the slice, or three projections."""
    shown = brains.threshold(one, variable)
    values = one[variable].values
    label = brains.variable_label(one, variable)
    n = int(shown.above.sum())
    seen = f"{label} from {number(float(np.nanmin(values)))} to {number(float(np.nanmax(values)))}"
    alt = f"Map of {count(len(values), *unit_words(one))}, {seen}; {n:,} pass the threshold ({shown.words})."
    faded = " Faded: under the threshold." if n < np.isfinite(values).sum() else ""
    if brains.is_slice(one):
        caption = f"{headed(name)}: {label} of every {unit_words(one)[0]} of the slice. Left is left.{faded}"
        return Picture(partial(brains.slice_map, one, variable), alt, caption, (WIDE, 4.5), (PHONE, 3.4))
    caption = (
        f"{headed(name)}: {label}, seen from the back, from the side and from above; in each line of sight the "
        f"{unit_words(one)[0]} furthest from chance, those over the threshold first. Left is left.{faded}"
    )
    return Picture(partial(brains.glass, one, variable), alt, caption, (9.0, 3.4), (PHONE, 4.4))


def scalp_picture(name: str, one: xr.Dataset, variable: str) -> Picture:
    """Where on the scalp: one head for each component or time."""
    maps, titles, label, centre = scalp.shown_maps(one, variable)
    channels = np.asarray(one["channel"].values).astype(str)
    peaks = [
        f"{title or 'largest'} at {channels[at]}"
        for title, values in zip(titles, maps)
        for at in [int(np.nanargmax(np.abs(values - centre)))]
    ]
    alt = f"Scalp maps of {label}, {count(len(channels), 'channel', 'channels')}; furthest from {centre:.3g}: "
    alt += f"{listed(peaks, 8)}."
    said = one[variable].attrs.get("long_name") or {
        "pattern": "where each component is seen (patterns, not filters); its sign and size say nothing",
        "filter": "how each component weighs the channels, which is no map of its source",
        "score": f"{label} of every channel alone",
    }.get(variable, f"{variable.replace('_', ' ')} of the channels")
    said = f"{headed(name)}: {said}" if name else headed(str(said))
    caption = f"{said}. Seen from above, nose up, left is left; dots are electrodes, smooth between them."
    columns, rows = scalp.grid(len(maps), compact=False)
    across, down = scalp.grid(len(maps), compact=True)
    wide = (max(3.4, min(9.0, 0.6 + 2.0 * columns)), 0.75 + 2.0 * rows)
    narrow = (PHONE, 0.8 + PHONE / across * 1.05 * down)
    return Picture(partial(scalp.topographies, one, variable), alt, caption, wide, narrow)


def scalp_pictures(name: str, one: xr.Dataset) -> list[Picture]:
    """Every pattern and difference of a node that holds scalp maps, the main one first."""
    main = scalp.main_variable(one)
    drawn = [main, *(kind for kind in ("pattern", "difference") if kind in one.data_vars and kind != main)]
    return [scalp_picture("", one, kind) for kind in drawn if scalp.has_topography(one, kind)]
