"""The top of a page: question, answer with its figure, what was overridden, the main picture, the key numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from .gallery import areas_picture, found_picture, matrix_picture, sampled, short, time_picture
from .likeness import Words, words_of
from .markup import Html, el, inline, join
from .pictures import Picture
from .shown import drawn_of
from .summary import (
    Area,
    Contents,
    area_words,
    areas,
    chance_of,
    digits_of,
    draws_of,
    score_name,
    subjects_of,
    times_of,
    unit_words,
)
from .tables import figures_of, highest_over_time
from .wording import UNITS, count, headed, number, p_short, p_text, score_label, typeset

SERIES = 4
ROWS = 24


def groups_of(contents: Contents) -> list[dict[str, xr.Dataset]]:
    """Results that share a picture: the same score and areas, at most four; the main ones come first, alone."""
    main = [name for name in contents.attrs.get("main") or [] if name in contents.nodes]
    order = [*main, *(name for name in contents.nodes if name not in main)]
    found: dict[tuple[Any, ...], list[dict[str, xr.Dataset]]] = {}
    for name in order:
        one = contents.nodes[name]
        if one["score"].dims != ("unit",) or times_of(one) is not None:
            continue
        grouped = "roi" in one.coords
        areas_of = tuple(sorted(set(one["roi"].values.astype(str)))) if grouped else None
        key = (name in main, score_name(one), unit_words(one), areas_of)
        chunks = found.setdefault(key, [{}])
        if len(chunks[-1]) >= (SERIES if grouped else ROWS):
            chunks.append({})
        chunks[-1][name] = one
    return [chunk for chunks in found.values() for chunk in chunks]


def in_time(contents: Contents) -> dict[str, xr.Dataset]:
    """Results with a score at every time."""
    return {name: one for name, one in contents.nodes.items() if times_of(one) is not None}


def main_picture(contents: Contents) -> Picture | None:
    """The picture that answers the question: what the study calls main, or else the first scores."""
    for name in contents.attrs.get("main") or []:
        if name in contents.shown:
            drawn = [part for part in drawn_of(contents, name) if isinstance(part, Picture)]
            if drawn:
                return drawn[0]
    groups = groups_of(contents)
    if groups:
        return areas_picture(groups[0], list(contents.nodes), contents.attrs)
    for name, one in in_time(contents).items():
        return time_picture(name, one)
    if "matrix" in contents.root.data_vars:
        return matrix_picture(contents.root)
    if len(table := figures_of(contents.attrs.get("figures") or [])) and (table["verdict"] != "").any():
        return found_picture(_figures_only(contents))
    return None


def _figures_only(contents: Contents) -> xr.DataTree:
    return xr.DataTree(xr.Dataset(attrs={"figures": contents.attrs.get("figures") or []}))


def primary(contents: Contents) -> tuple[str, xr.Dataset] | None:
    """The result that the key numbers are about: the first of the main picture."""
    for group in [*groups_of(contents), in_time(contents)]:
        for name, one in group.items():
            return name, one
    return next(iter(contents.nodes.items()), None)


def opening(contents: Contents) -> Html:
    """Question as heading, answer as sentence, overrides where they cannot be missed."""
    attrs = contents.attrs
    question, title = question_of(contents) or "What was found", attrs.get("title")
    eyebrow = el("p", title, class_="eyebrow") if title and title != question else None
    answer = inline(typeset(str(attrs["answer"]))) if attrs.get("answer") else answer_of(contents)
    return join([eyebrow, el("h1", question), el("p", answer, class_="answer"), callouts(contents)])


def question_of(contents: Contents) -> str | None:
    """What the page is about: its question, its title, or what one asks of what it shows."""
    attrs = contents.attrs
    said = attrs.get("question") or _first(contents, "question") or attrs.get("title")
    if not said and (lead := leading(contents)) is not None:
        said = lead[1].question
    return str(said) if said else None


def leading(contents: Contents) -> tuple[xr.Dataset, Words] | None:
    """What a page without scores and figures is about: its main node, and the words for its kind."""
    if contents.nodes or contents.attrs.get("figures"):
        return None
    name = next((name for name in contents.attrs.get("main") or [] if name in contents.shown), None)
    words = words_of(contents.shown[name]) if name is not None else None
    return None if name is None or words is None else (contents.shown[name], words)


def _first(contents: Contents, key: str) -> Any:
    return next((one.attrs[key] for one in contents.nodes.values() if one.attrs.get(key)), None)


def answer_of(contents: Contents) -> str:
    """One sentence that says no more than was tested: the mean, its ceiling, its p, and the number of samples."""
    found = primary(contents)
    if found is None:
        lead = leading(contents)
        return "The figures below say what was found." if lead is None else lead[1].answer(lead[0])
    name, one = found
    label = score_label(score_name(one))
    if times_of(one) is not None:
        best = highest_over_time(one).sort_values("score", ascending=False)
        if best.empty:
            return "No unit has a score."
        row = best.iloc[0]
        behind = _in_brackets(
            [_chance_words(one), "the highest of all times, so it is biased upwards", *_who(one, contents)]
        )
        start = f"{headed(label)} is highest at {row['time']:.3g} s after onset"
        return f"{start}: {number(row['score'])} ({behind})."
    rows = areas(one)
    whole = overall(one)
    if not np.isfinite(whole.score):
        return "No unit has a score; the reasons stand under Scores."
    inside = [ceiling_words(whole, one), p_text(whole.p), _chance_words(one), *_who(one, contents)]
    start = f"{headed(label)} is {number(whole.score)}"
    if len(rows) > 1:
        top = max((row for row in rows if np.isfinite(row.score)), key=lambda row: row.score)
        many = unit_words(one)[1]
        start = f"Over all {len(rows)} {area_words(one)[1]} the mean {label} of {many} is {number(whole.score)}"
        ending = f"; it is highest in {top.name} ({number(top.score)})."
    else:
        ending = "."
    model = f" for {name}" if len(contents.nodes) > 1 else ""
    return f"{start}{model} ({_in_brackets(inside)}){ending}"


def overall(one: xr.Dataset) -> Area:
    """All units of a result as one area."""
    return areas(one, by="")[0]


def ceiling_words(area: Area, one: xr.Dataset) -> str:
    """The ceiling beside a score, or why there is none."""
    if np.isfinite(area.ceiling):
        return f"ceiling {number(area.ceiling)}"
    reason = one.attrs.get("ceiling_reason")
    return f"ceiling n/a ({reason})" if reason else "ceiling n/a"


def _chance_words(one: xr.Dataset) -> str:
    chance = chance_of(one)
    return "" if chance is None else f"chance {chance:.3g}"


def _who(one: xr.Dataset, contents: Contents) -> list[str]:
    return [sampled({"": one}, contents.attrs), subject_words(one)]


def subject_words(one: xr.Dataset) -> str:
    """How many persons, in words; a single one says so."""
    n = subjects_of(one)
    return "" if n is None else "one subject" if n == 1 else f"{n} subjects"


def _in_brackets(words: list[str]) -> str:
    return ", ".join(filter(None, words))


def callouts(contents: Contents) -> Html | None:
    """What the reader has to know before believing a number: overrides and dry runs."""
    said = []
    if contents.attrs.get("dry_run"):
        said.append(("Dry run.", "Everything was done at a small size, so no number on this page means anything."))
    for name, one in contents.nodes.items():
        where = f" ({name})" if len(contents.nodes) > 1 else ""
        if one.attrs.get("allow_overlap"):
            said.append(
                (
                    f"Overlap between training and test was allowed{where}.",
                    f"Reason given: {one.attrs['allow_overlap']}",
                )
            )
        if one.attrs.get("assume_aligned"):
            said.append(
                (f"Samples were assumed to be aligned{where}.", "Their labels were not compared (assume_aligned=True).")
            )
    if not said:
        return None
    rows = [el("p", el("strong", head), " ", body) for head, body in said]
    return el("div", *rows, class_="callout", role="note")


def audit(contents: Contents) -> str:
    """``passed``, ``overridden``, ``nothing to check``, ``not recorded`` or ``no split``, over all results.

    A study in which nothing is fitted and tested on samples says so by its attribute ``no_split``.
    """
    rows = [row for one in contents.nodes.values() for row in one.attrs.get("leakage") or []]
    if any(one.attrs.get("allow_overlap") for one in contents.nodes.values()) or any(row.get("shared") for row in rows):
        return "overridden"
    if not rows:
        split = any("score_fold" in one.data_vars or "splits" in one.attrs for one in contents.nodes.values())
        drawn = bool(contents.shown) or bool(contents.attrs.get("no_split"))
        return "not recorded" if split or not drawn else "no split"
    return "passed" if any(row.get("checked") for row in rows) else "nothing to check"


def key_numbers(contents: Contents) -> Html | None:
    """A row of numbers: score against ceiling, n, p, leakage audit, figures inside their intervals."""
    cards: list[tuple[str, Any, str]] = []
    found = primary(contents)
    if found is not None:
        cards += _score_cards(*found, contents)
    if (lead := leading(contents)) is not None:
        cards += lead[1].cards(lead[0])
    verdict = audit(contents)
    if contents.nodes:
        look = {"passed": "good", "overridden": "warn"}.get(verdict)
        words = (
            "nothing was fitted and tested on samples" if verdict == "no split" else "training against test, every fold"
        )
        cards.append(("Leakage audit", el("span", verdict, class_=look), words))
    table = figures_of(contents.attrs.get("figures") or [])
    expected = table[table["verdict"] != ""]
    if len(expected):
        good = int(expected["verdict"].isin(["inside", "reached"]).sum())
        look = "good" if good == len(expected) else "warn"
        words = "figures inside the interval of what was planted or published"
        cards.append(("Found as expected", el("span", f"{good} of {len(expected)}", class_=look), words))
    if not cards:
        return None
    rows = [el("div", el("dt", name), el("dd", value), el("dd", note)) for name, value, note in cards]
    return el("dl", *rows, class_="keys")


def _score_cards(name: str, one: xr.Dataset, contents: Contents) -> list[tuple[str, Any, str]]:
    label = short(one)
    behind = f", {name}" if len(contents.nodes) > 1 else ""
    attrs = one.attrs
    who = ", ".join(filter(None, [_units_words(one), subject_words(one)]))
    n = sampled({"": one}, contents.attrs)
    samples = [("n", n, who)] if n else []
    if times_of(one) is not None:
        best = highest_over_time(one).sort_values("score", ascending=False)
        if best.empty:
            return samples
        row = best.iloc[0]
        return [(f"Highest {label}{behind}", number(row["score"]), f"at {row['time']:.3g} s after onset"), *samples]
    rows = [row for row in areas(one) if np.isfinite(row.score)]
    if not rows:
        return samples
    whole, digits = overall(one), digits_of([one])
    cards: list[tuple[str, Any, str]] = []
    if len(rows) > 1:
        top = max(rows, key=lambda row: row.score)
        cards.append((f"Highest {label}{behind}: {top.name}", number(top.score, digits), _against(top, one)))
        cards.append(
            (f"Mean {label} over all {unit_words(one)[1]}{behind}", number(whole.score, digits), _against(whole, one))
        )
    else:
        cards.append((f"{headed(label)}{behind}", number(whole.score, digits), _against(whole, one)))
    if np.isfinite(whole.p):
        least = attrs.get("p_min")
        by = f"{draws_of(one):,} permutations" if draws_of(one) else "permutations"
        note = (
            ("of the mean; " if one.sizes["unit"] > 1 else "")
            + by
            + (f", smallest possible {p_short(least)}" if isinstance(least, float) else "")
        )
        cards.append((f"Significance{behind}", p_text(whole.p), note))
    return [*cards, *samples]


def _units_words(one: xr.Dataset) -> str:
    """What the result is about: its units, or what a single answer was decoded from."""
    if one.sizes["unit"] > 1:
        return count(one.sizes["unit"], *unit_words(one))
    source = (one.attrs.get("data") or {}).get("X") or {}
    shape = source.get("shape") or []
    if len(shape) < 2:
        return ""
    kind = str(source.get("kind"))
    # Channels that were flattened over time are channels no longer.
    words = UNITS["features"] if len(shape) == 2 and kind in ("eeg", "meg") else UNITS.get(kind, UNITS["features"])
    return f"from {count(int(shape[1]), *words)}"


def _against(area: Area, one: xr.Dataset) -> str:
    chance = _chance_words(one)
    normalised = f"normalised {number(area.normalized)}" if np.isfinite(area.normalized) else ""
    return "; ".join(filter(None, [ceiling_words(area, one), normalised, chance]))


def leading_attrs(contents: Contents) -> Mapping[str, Any]:
    """attrs of the study, or of the only result."""
    if len(contents.nodes) == 1:
        return {**next(iter(contents.nodes.values())).attrs, **contents.attrs}
    return contents.attrs
