"""The middle of a page: data card, scores, maps, comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from . import brains
from .gallery import (
    areas_picture,
    confusion_picture,
    folds_picture,
    found_picture,
    generalization_picture,
    lines_picture,
    map_picture,
    matrix_picture,
    null_p_picture,
    null_picture,
    scalp_picture,
    time_picture,
)
from .markup import Cell, Html, el, join, markdown, table
from .matrices import FEW, rows_called
from .opening import groups_of, in_time, leading_attrs
from .pictures import figure
from .summary import Contents, area_words, digits_of, geometry, score_name, times_of, unit_words
from .tables import PER_UNIT, by_area, figures_of, highest_over_time
from .topographies import has_topography
from .wording import count, headed, listed, number, p_short, quantity, score_label

MOST_PICTURES = 6
OPEN = 2
Section = tuple[str, str, Html]


def data_section(contents: Contents) -> Section | None:
    """The data card, or at least what the arrays were."""
    attrs = leading_attrs(contents)
    cards = [attrs.get("data_card")] if attrs.get("data_card") else []
    cards += [one.attrs["data_card"] for one in contents.nodes.values() if one.attrs.get("data_card")]
    parts = [markdown(str(card)) for card in dict.fromkeys(cards)]
    rows = []
    for name, one in contents.nodes.items():
        for side, words in (("X", "predicted from"), ("Y", "predicted")):
            said = (one.attrs.get("data") or {}).get(side)
            if said:
                shape = " × ".join(f"{n:,}" for n in said.get("shape") or [])
                rows.append([name, words, said.get("dataset") or "–", said.get("kind") or "–", Cell(shape, "")])
    if rows:
        columns = [("result", "text"), ("role", "text"), ("data set", "text"), ("kind", "text"), ("shape", "number")]
        parts.append(table(columns, rows, caption="Arrays", fold=8))
    return ("data", "Data", join(parts)) if parts else None


def scores_section(contents: Contents, variants: int) -> Section | None:
    """Every score as numbers, and the pictures that the main one left out."""
    parts: list[Html | None] = []
    names = list(contents.nodes)
    groups, timed = groups_of(contents), in_time(contents)
    worth = [
        group for group in groups[1:] if any("roi" in one.coords or one.sizes["unit"] == 1 for one in group.values())
    ]
    for group in worth[:MOST_PICTURES]:
        parts.append(figure(areas_picture(group, names, contents.attrs), variants))
    skip = 0 if groups else 1
    for name, one in list(timed.items())[skip : MOST_PICTURES + skip]:
        parts.append(figure(time_picture(name, one), variants))
    by_score: dict[str, dict[str, xr.Dataset]] = {}
    for group in groups:
        for name, one in group.items():
            by_score.setdefault(score_name(one), {})[name] = one
    for score, nodes in by_score.items():
        ordered = {name: nodes[name] for name in names if name in nodes}
        words = headed(score_label(score))
        grouped = any("roi" in one.coords for one in ordered.values())
        if len(ordered) > 1 and grouped:
            each = area_words(next(iter(ordered.values())))[0]
            parts.append(means_table(ordered, f"{words}, mean of each {each}"))
            parts.append(area_table(ordered, f"{words} in full: intervals, ceilings, null, p", fold=1))
        else:
            parts.append(
                area_table(ordered, f"{words} by {area_words(next(iter(ordered.values())))[0]}" if grouped else words)
            )
        parts.append(_missing_words(ordered))
    for name, one in timed.items():
        parts += [_time_table(name, one), _missing_words({name: one})]
    parts += _distributions(contents, variants)
    kept = [part for part in parts if part is not None]
    return ("scores", "Scores", join(kept)) if kept else None


def means_table(nodes: dict[str, xr.Dataset], caption: str) -> Html:
    """Area means side by side: a row for each area, a column for each result."""
    found = by_area(nodes)
    names = list(dict.fromkeys(found["area"]))
    many = unit_words(next(iter(nodes.values())))[1]
    value = {(row["area"], row["result"]): row["score"] for row in found.to_dict("records")}
    size = found.groupby("area", sort=False)["n_units"].max()
    counted = bool((size > 1).any())
    digits = digits_of(nodes.values())
    first = area_words(next(iter(nodes.values())))[0]
    columns = [(first, "text"), *([(many, "number")] if counted else []), *((name, "number") for name in nodes)]
    rows = [
        [
            area,
            *([Cell(f"{size[area]:,}", int(size[area]))] if counted else []),
            *(Cell(number(value.get((area, name)), digits), value.get((area, name))) for name in nodes),
        ]
        for area in names
    ]
    return table(columns, rows, caption=caption, fold=40)


def area_table(nodes: dict[str, xr.Dataset], caption: str, fold: int = 24) -> Html:
    """Means of every area to two decimals, with interval, ceiling, null and p; columns that are empty are left out."""
    found = by_area(nodes)
    several = len(nodes) > 1
    group, digits = area_words(next(iter(nodes.values())))[0], digits_of(nodes.values())
    columns: list[tuple[str, str]] = [(group, "text")]
    single = (found["n_units"] == 1).all() and (found["area"] == found["area"].iloc[0]).all()
    if several:
        columns = [("result", "text"), (group, "text")] if not single else [("result", "text")]
    many = unit_words(next(iter(nodes.values())))[1]
    columns += [(many, "number")] if (found["n_units"] > 1).any() else []
    columns += [("score", "number")]
    has = {
        name: found[name].notna().any() for name in ("low", "ceiling", "normalized", "null_low", "p", "n_significant")
    }
    over = " or ".join(dict.fromkeys(filter(None, found["over"])))
    columns += [(f"95 % over {over}", "number")] if has["low"] else []
    columns += [("ceiling", "number")]
    columns += [("normalised", "number")] if has["normalized"] else []
    columns += [("null, middle 95 %", "number")] if has["null_low"] else []
    columns += [("p", "number")] if has["p"] else []
    columns += (
        [(f"{many} with p(FDR) < .05", "number")] if has["n_significant"] and (found["n_units"] > 1).any() else []
    )
    headings = [name for name, _ in columns]
    rows = [
        [_area_cells(row, group, many, over, digits)[heading] for heading in headings]
        for row in found.to_dict("records")
    ]
    return table(columns, rows, caption=caption, fold=fold)


def _area_cells(row: dict[str, Any], group: str, many: str, over: str, digits: int) -> dict[str, Any]:
    used = row["n_units"] - row["n_degenerate"]
    n = f"{row['n_units']:,}" if not row["n_degenerate"] else f"{used:,} of {row['n_units']:,}"
    ceiling = number(row["ceiling"]) + (f" ({row['n_ceiling']:,})" if 0 < row["n_ceiling"] < used else "")
    significant = row["n_significant"]
    tested = significant is not None and not pd.isna(significant)
    return {
        "result": row["result"],
        group: row["area"],
        many: Cell(n, row["n_units"]),
        "score": Cell(number(row["score"], digits), row["score"]),
        f"95 % over {over}": Cell(_span(row["low"], row["high"], digits), row["low"]),
        "ceiling": Cell(ceiling, row["ceiling"]),
        "normalised": Cell(number(row["normalized"]), row["normalized"]),
        "null, middle 95 %": Cell(_span(row["null_low"], row["null_high"], digits), row["null_high"]),
        "p": Cell(p_short(row["p"]), row["p"]),
        f"{many} with p(FDR) < .05": Cell(f"{int(significant):,}" if tested else "n/a", significant),
    }


def _span(low: float, high: float, digits: int = 2) -> str:
    return f"{number(low, digits)} to {number(high, digits)}" if np.isfinite(low) and np.isfinite(high) else "n/a"


def _missing_words(nodes: dict[str, xr.Dataset]) -> Html:
    """What is not in the means, and what ceiling and normalised mean; said once where it is the same for all."""
    said: dict[str, list[str]] = {}
    for name, one in nodes.items():
        for sentence in _about(one):
            said.setdefault(sentence, []).append(name)
    rows = []
    for sentence, names in said.items():
        whose = "" if len(names) == len(nodes) else f"{listed(names)}: "
        rows.append(el("li", f"{whose}{sentence}"))
    return el("ul", *rows, class_="small muted") if rows else Html("")


def _about(one: xr.Dataset) -> list[str]:
    attrs = one.attrs
    said = []
    lost = int((~np.isfinite(one["score"].values)).reshape(one.sizes["unit"], -1).all(axis=1).sum())
    if "degenerate" in one.data_vars:
        lost = max(lost, int(one["degenerate"].values.sum()))
    many = unit_words(one)[1]
    if lost:
        reasons = attrs.get("degenerate_reasons") or {}
        why = "; ".join(f"{len(places)} {reason}" for reason, places in reasons.items())
        said.append(
            f"{lost:,} of {one.sizes['unit']:,} {many} have no score and are left out of every mean" + _dash(why) + "."
        )
    elif one.sizes["unit"] > 1 and times_of(one) is None:
        n, (unit, area) = one.sizes["unit"], (unit_words(one)[0], area_words(one)[0])
        if "unit_name" in attrs and "area_name" in attrs and unit != area:  # the same ones in every area
            said.append(f"Every {unit} of every {area} has a score ({n:,} in all).")
        else:
            said.append(f"Every one of {count(n, *unit_words(one))} has a score.")
    dropped = attrs.get("dropped_targets")
    dropped = len(dropped) if isinstance(dropped, (list, tuple)) else int(dropped or 0)
    if dropped:
        said.append(f"{dropped:,} of {one.sizes['unit']:,} {many} were not finite and were dropped.")
    if "ceiling" not in one.data_vars or not np.isfinite(one["ceiling"].values).any():
        said.append(f"Ceiling n/a ({attrs.get('ceiling_reason') or 'none was given'}).")
    else:
        missing = int((~np.isfinite(one["ceiling"].values)).sum())
        if attrs.get("ceiling_definition"):
            said.append(f"Ceiling: {attrs['ceiling_definition']}.")
        if missing > lost:
            said.append(
                f"{missing:,} {many} have no ceiling{_dash(attrs.get('ceiling_reason'))}; in brackets how many have "
                "one. Where that is less than half of an area, the area has none."
            )
        if attrs.get("normalized_definition"):
            said.append(f"Normalised: mean over {many} of {attrs['normalized_definition']}.")
    return said


def _dash(words: Any) -> str:
    return f" ({words})" if words else ""


def _time_table(name: str, one: xr.Dataset) -> Html | None:
    best = highest_over_time(one)
    if best.empty:
        return None
    rows = [
        [
            row.area,
            Cell(number(row.score), row.score),
            Cell(f"{row.time:.3g}", row.time),
            Cell(_span(row.low, row.high), row.low),
        ]
        for row in best.itertuples()
    ]
    columns = [("area", "text"), ("highest score", "number"), ("at (s)", "number"), ("95 % over folds", "number")]
    shown = table(columns, rows, caption=f"{headed(name)}: the highest of all times, so biased upwards")
    every = by_area({name: one})
    if "time_test" in every:
        return shown
    long = [
        [
            row.area,
            Cell(f"{row.time:.3g}", row.time),
            Cell(number(row.score), row.score),
            Cell(_span(row.low, row.high), row.low),
        ]
        for row in every.itertuples()
    ]
    columns = [("area", "text"), ("time (s)", "number"), ("score", "number"), ("95 % over folds", "number")]
    return join([shown, table(columns, long, caption=f"{headed(name)}: every time", fold=1)])


def _distributions(contents: Contents, variants: int) -> list[Html]:
    """Folds and null of single scores; quantiles of p where there are many. What is long is closed until asked for."""
    plain = [(name, one) for name, one in contents.nodes.items() if one["score"].dims == ("unit",)]
    alone = [(name, one) for name, one in plain if one.sizes["unit"] == 1][:MOST_PICTURES]
    parts = []
    for name, one in alone:
        if "score_fold" in one.data_vars and one.sizes["fold"] > 1:
            parts.append(figure(folds_picture(name, one), variants))
        if "null" in one.data_vars:
            parts.append(figure(null_picture(name, one), variants))
    if len(alone) > 3:
        parts = [el("details", el("summary", "Held-out groups and nulls, one by one"), *parts)]
    closed = [
        figure(null_p_picture(name, one), min(variants, 2))
        for name, one in plain[:FEW]
        if one.sizes["unit"] >= 20 and "p" in one.data_vars and np.isfinite(one["p"].values).any()
    ]
    if closed:
        parts.append(el("details", el("summary", "p values against what the null would give"), *closed))
    return parts


def maps_section(contents: Contents, variants: int) -> Section | None:
    """Where in the brain or on the scalp, for every result with a place for its units."""
    shown = [
        (name, one)
        for name, one in contents.nodes.items()
        if one["score"].dims == ("unit",) and one.sizes["unit"] > 1 and _has_place(one)
    ]
    if not shown:
        return None
    drawn = [(name, one, "score") for name, one in shown]
    drawn += [(name, one, variable) for name, one in shown for variable in _further(one)]
    parts: list[Any] = []
    for name, one, variable in drawn[:MOST_PICTURES]:
        if has_topography(one, variable):
            parts.append(figure(scalp_picture(name, one, variable), variants))
        else:
            parts.append(figure(map_picture(name, one, variable), variants, wide=not brains.is_slice(one)))
    if len(drawn) > MOST_PICTURES:
        rest = listed([f"{name}, {variable.replace('_', ' ')}" for name, _, variable in drawn[MOST_PICTURES:]], 40)
        parts.append(el("p", f"Not drawn here: {rest}.", class_="small muted"))
    return "maps", "Maps", join(parts)


def _further(one: xr.Dataset) -> list[str]:
    """Values per unit that a study has added to its result."""
    return [
        str(name)
        for name, values in one.data_vars.items()
        if values.dims == ("unit",) and values.dtype.kind == "f" and name not in PER_UNIT and np.isfinite(values).any()
    ]


def _has_place(one: xr.Dataset) -> bool:
    return geometry(one) is not None or all(axis in one.coords and one[axis].dims == ("unit",) for axis in "xyz")


def comparisons_section(contents: Contents, result: Any, variants: int) -> Section | None:
    """Layer by area, what was taken for what, across times, found against planted and published."""
    parts: list[Any] = []
    led = any(name in contents.shown for name in contents.attrs.get("main") or [])
    if "matrix" in contents.root.data_vars and (contents.nodes or led):
        parts.append(el("h3", f"{headed(rows_called(contents.root['matrix'])[0])} by area"))
        n_areas = contents.root.sizes.get("roi", 0)
        parts.append(figure(matrix_picture(result), variants, wide=n_areas > 8))
        if n_areas <= FEW:
            parts.append(figure(lines_picture(result), variants))
        parts.append(_matrix_table(contents.root))
    confused = [(name, one) for name, one in contents.nodes.items() if "confusion" in one.data_vars]
    if confused:
        parts.append(el("h3", "Confusions"))
        drawn = [figure(confusion_picture(name, one), variants) for name, one in confused[:MOST_PICTURES]]
        parts += drawn[:OPEN]
        if len(drawn) > OPEN:
            rest = listed([name for name, _ in confused[OPEN:MOST_PICTURES]], 40)
            parts.append(el("details", el("summary", f"The same of {rest}"), *drawn[OPEN:]))
        counts = [_confusion_table(name, one) for name, one in confused]
        parts += (
            counts if len(counts) <= FEW else [el("details", el("summary", f"Counts of all {len(counts)}"), *counts)]
        )
    across = [(name, one) for name, one in contents.nodes.items() if "time_test" in one["score"].dims]
    if across:
        parts.append(el("h3", "Across times"))
        parts += [figure(generalization_picture(name, one), variants) for name, one in across[:MOST_PICTURES]]
    found = figures_of(contents.attrs.get("figures") or [])
    if len(found):
        against = [word for word in ("planted", "published") if found[word].notna().any()]
        parts.append(el("h3", f"Found against {listed(against)}" if against else "Figures found"))
        tree = xr.DataTree(xr.Dataset(attrs={"figures": contents.attrs["figures"]}))
        if (found["verdict"] != "").any() and contents.nodes:
            parts.append(figure(found_picture(tree), variants))
        parts.append(_figures_table(found))
    return ("comparisons", "Comparisons", join(parts)) if parts else None


def _matrix_table(root: xr.Dataset) -> Html:
    matrix = root["matrix"].transpose("layer", "roi")
    one, many = rows_called(matrix)
    columns = [(one, "text"), *((str(roi), "number") for roi in matrix["roi"].values)]
    rows = [
        [str(layer), *(Cell(number(float(value)), float(value)) for value in values)]
        for layer, values in zip(matrix["layer"].values, matrix.values)
    ]
    return table(columns, rows, caption=f"Scores of {many} by area", fold=1)


def _confusion_table(name: str, one: xr.Dataset) -> Html:
    counts = one["confusion"].transpose("true", "predicted")
    columns = [
        ("true, down; answer, across", "text"),
        *((str(label), "number") for label in counts["predicted"].values),
    ]
    rows = [[str(label), *(f"{int(n)}" for n in row)] for label, row in zip(counts["true"].values, counts.values)]
    return table(columns, rows, caption=f"{headed(name)}, counts", fold=1)


def _figures_table(found: pd.DataFrame) -> Html:
    planted, published = found["planted"].notna().any(), found["published"].notna().any()
    columns = [("figure", "text"), ("found", "number")]
    columns += [("planted", "number"), ("interval", "number")] if planted else []
    columns += [("published", "number"), ("tolerance", "number")] if published else []
    columns += [("verdict", "text")] if planted or published else []
    rows: list[list[Any]] = []
    for row in found.to_dict("records"):
        beside = [row[key] for key in ("found", "planted", "low", "high", "published")]
        others = beside if not all(pd.isna(value) for value in beside[1:]) else []
        cells = [row["name"], Cell(quantity(row["found"], others), row["found"])]
        if planted:
            span = (
                f"{quantity(row['low'], others)} to {quantity(row['high'], others)}" if not pd.isna(row["low"]) else "–"
            )
            cells += [Cell(_or_dash(row["planted"], others), row["planted"]), Cell(span, row["low"])]
        if published:
            within = f"± {quantity(row['tolerance'])}" if not pd.isna(row["tolerance"]) else "–"
            cells += [Cell(_or_dash(row["published"], others), row["published"]), Cell(within, row["tolerance"])]
        look = "warn" if row["verdict"] in ("outside", "not reached") else "good"
        said = el("span", row["verdict"], class_=look) if row["verdict"] else "–"
        rows.append([*cells, *([said] if planted or published else [])])
    return table(columns, rows, caption="Figures of the study", fold=40)


def _or_dash(value: float, beside: list[float]) -> str:
    return "–" if pd.isna(value) else quantity(value, beside)
