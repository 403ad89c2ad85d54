"""Results of ``similarity`` in words and as numbers, and the null of one comparison as a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from .alignments import DISTANCES, MEASURES, best_of, grid_of, itself
from .comparisons import HOW, people_of, ranked, score_words
from .curves import draw_null
from .dissimilarities import METRICS, rdms_of
from .forms import flat_grids
from .markup import Html
from .pictures import Picture
from .style import dress, new_axes, styled
from .wording import count, headed, number, p_text, quantity

WIDE, PHONE = (7.5, 2.6), (3.4, 2.4)
RSA = "neurodecode.rsa/1"
Card = tuple[str, Any, str]


@styled
def exchanged(result: xr.Dataset, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """Histogram of a measure with the stimuli of one side exchanged, its middle 95 % shaded, what was found as a line.

    Parameters
    ----------
    result : Dataset of ``similarity.compare`` with ``permutations=``.

    Returns
    -------
    The axes; the line of the found value has the gid ``found``, the shaded span the gid ``band``.

    Raises
    ------
    ValueError : no value with a null.

    Examples
    --------
    >>> found = xr.Dataset({"value": 0.8, "p": 0.25, "null": ("permutation", [0.1, 0.2, 0.0])}, attrs={"how": "cka"})
    >>> [line.get_xdata()[0] for line in exchanged(found).lines if line.get_gid() == "found"]
    [0.8]
    """
    if "value" not in result or "null" not in result or result["value"].ndim:
        raise ValueError("no null here: expected what similarity.compare gives with permutations=.")
    value, null = float(result["value"]), result["null"].values
    null = null[np.isfinite(null)]
    if ax is None:
        ax = new_axes(*(PHONE if compact else WIDE), theme)
    draw_null(ax, null, value, float(result["p"]), theme)
    ax.set_xlabel(
        measure_words(result) if compact else f"{measure_words(result)}, stimuli exchanged {len(null):,} times"
    )
    ax.set_ylabel("draws")
    return dress(ax, theme)


def comparison_pictures(name: str, node: xr.Dataset) -> list[Picture | Html]:
    """What a page shows of a node with ``shows = "comparison"``."""
    n, words = node.sizes["permutation"], measure_words(node)
    found = number(float(node["value"]))
    alt = f"Histogram of {words} in {n:,} draws with exchanged stimuli; {found} was found."
    how = node.attrs.get("exchangeability") or "all stimuli"
    caption = (
        f"{headed(words)} with the stimuli of one side exchanged ({how}), {n:,} times; grey: the middle 95 %. p: share "
        "of draws that are at least as alike, the data among them."
    )
    return [Picture(partial(exchanged, node), alt, caption, WIDE, PHONE)]


def measure_words(node: Any) -> str:
    """The measure of a comparison or a grid."""
    how = str(node.attrs.get("how") or "similarity")
    return MEASURES.get(how, how.replace("_", " "))


@dataclass(frozen=True)
class Words:
    """What a page says of a kind: the question, the function it came from, the answer, key numbers, how it was done."""

    question: str
    made_by: str
    answer: Callable[[xr.Dataset], str]
    cards: Callable[[xr.Dataset], list[Card]]
    method: Callable[[xr.Dataset], str]


def words_of(node: xr.Dataset) -> Words | None:
    """The words for a node, by its kind; None where the page has none of its own."""
    found = WORDS.get(str(node.attrs.get("shows")))
    if found is not None and node.attrs.get("shows") == "grid" and node.attrs.get("schema") == RSA:
        return replace(found, question=WORDS["models"].question, made_by=WORDS["models"].made_by)
    if found is not None and node.attrs.get("shows") == "rdm" and "n_units" not in node["rdm"].attrs:
        return replace(found, made_by="similarity.as_rdm")
    return found


def _stimuli(node: xr.Dataset, n: Any = None) -> str:
    n = node.attrs.get("n_samples") if n is None else n
    return count(int(n), *(node.attrs.get("sample_name") or ("stimulus", "stimuli"))) if n else ""


def _and(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _comparison_answer(node: xr.Dataset) -> str:
    inside = _and(p_text(float(node["p"])), f"{node.sizes['permutation']:,} draws", _stimuli(node))
    return f"{headed(measure_words(node))} is {number(float(node['value']))} ({inside})."


def _comparison_cards(node: xr.Dataset) -> list[Card]:
    null = node["null"].values[np.isfinite(node["null"].values)]
    low, high = (number(float(end)) for end in np.quantile(null, [0.025, 0.975]))
    least = node.attrs.get("p_min")
    return [
        (headed(measure_words(node)), number(float(node["value"])), f"exchanged stimuli: {low} to {high}"),
        ("Significance", p_text(float(node["p"])), f"{len(null):,} draws" + (f", least {least:.2g}" if least else "")),
        *_n_card(node),
    ]


def _n_card(node: xr.Dataset, n: Any = None, note: str = "") -> list[Card]:
    said = _stimuli(node, n)
    return [("n", said, note)] if said else []


def _permuted(node: xr.Dataset) -> str:
    draws = int(node.attrs.get("n_permutations") or node.sizes.get("permutation", 0))
    if not draws:
        return "No permutations were drawn, so nothing here is a test."
    what = node.attrs.get("exchangeability") or "stimuli"
    kinds = [words for key, words in (("p_fdr", "false discovery rate"), ("p_max", "maximum statistic")) if key in node]
    over = f"; over the grid by {' and '.join(kinds)}" if kinds else ""
    return f"Significance: {draws:,} permutations ({what}), one-sided, p = (b + 1) / (n + 1){over}."


def _measured(node: xr.Dataset) -> str:
    return f"Measure: {measure_words(node)}. {_permuted(node)}"


def _most_alike(node: xr.Dataset) -> tuple[str, float, float]:
    """The pair of spaces that is most alike, its value and its p over the grid."""
    most: tuple[str, float, float] | None = None
    for title, one in flat_grids(node).items():
        cells, _, how = grid_of(one)
        values, trivial = cells.values.astype(float), itself(cells)
        best = best_of(values, how, trivial)
        for row, column in enumerate(best):
            if column < 0:
                continue
            value, sign = float(values[row, column]), -1 if how in DISTANCES else 1
            if most is None or sign * value > sign * most[1]:
                names = [_name(cells, dim, at) for dim, at in zip(cells.dims, (row, column))]
                timed = [str(dim).startswith("time") for dim in cells.dims]
                joint = " at " if timed == [False, True] else " with " if all(timed) else " and "
                p = float(one["p_max"].transpose(*cells.dims).values[row, column]) if "p_max" in one else float("nan")
                most = _and(title, joint.join(names)), value, p
    return most or ("no pair", float("nan"), float("nan"))


def _name(cells: xr.DataArray, dim: Any, at: int) -> str:
    entry = cells[dim].values[at] if dim in cells.coords else at
    text = f"{entry:.4g}" if isinstance(entry, float) else str(entry)
    return f"{text} s" if str(dim).startswith("time") else text


def _grid_answer(node: xr.Dataset) -> str:
    pair, value, p = _most_alike(node)
    tested = f"{p_text(p)} over the whole grid" if np.isfinite(p) else ""
    inside = _and(tested, _stimuli(node))
    how = measure_words(next(iter(flat_grids(node).values())))
    return f"Most alike: {pair}, {how} {number(value)}" + (f" ({inside})." if inside else ".")


def _grid_cards(node: xr.Dataset) -> list[Card]:
    pair, value, p = _most_alike(node)
    tested = [("Significance", p_text(p), "against the largest of the grid in every draw")] if np.isfinite(p) else []
    return [("Most alike", number(value), pair), *tested, *_n_card(node)]


def _grid_method(node: xr.Dataset) -> str:
    if node.attrs.get("schema") == RSA:
        return _models_method(node)
    return (
        _measured(next(iter(flat_grids(node).values())).assign_attrs(node.attrs))
        if "p" not in node
        else _measured(node)
    )


def _models_answer(node: xr.Dataset) -> str:
    order, names = ranked(node)
    best = int(order[0])
    p = float(node["p_fdr"].values[best]) if "p_fdr" in node else float("nan")
    above = f"above 0: {p_text(p)}, FDR" if np.isfinite(p) else ""
    inside = _and(
        _ceiling(node), above, count(people_of(node), "person", "people"), _stimuli(node, node.attrs.get("n_stimuli"))
    )
    which = (
        f"Of {len(names)} models {names[0]} is most like the data" if len(names) > 1 else f"{names[0]} is like the data"
    )
    return f"{which}: {score_words(node)}, {number(float(node['mean'].values[best]))} ({inside})."


def _ceiling(node: xr.Dataset) -> str:
    ends = [float(node[f"ceiling_{end}"]) if f"ceiling_{end}" in node else float("nan") for end in ("lower", "upper")]
    return f"noise ceiling {number(ends[0])} to {number(ends[1])}" if np.isfinite(ends).all() else "no noise ceiling"


def _models_cards(node: xr.Dataset) -> list[Card]:
    order, names = ranked(node)
    cards = [("Highest", number(float(node["mean"].values[order[0]])), f"{names[0]}; {_ceiling(node)}")]
    if len(names) > 1:
        cards.append(("Second", number(float(node["mean"].values[order[1]])), names[1]))
    return [*cards, *_n_card(node, node.attrs.get("n_stimuli"), count(people_of(node), "person", "people"))]


def _models_method(node: xr.Dataset) -> str:
    how = str(node.attrs.get("how") or "score")
    said = [f"Measure: {HOW[how] + ' of dissimilarities' if how in HOW else how.replace('_', ' ')}."]
    said += [f"Statements are about {node.attrs['about']}."] if node.attrs.get("about") else []
    said += [f"Tests: {node.attrs['test']}."] if node.attrs.get("test") else []
    if node.attrs.get("n_bootstrap"):
        said.append(f"Bootstrap: {int(node.attrs['n_bootstrap']):,} draws.")
    return " ".join(said)


def _matching_answer(node: xr.Dataset) -> str:
    held, free = (float(node.attrs[key]) for key in ("matched_held_out", "best_held_out"))
    p = node.attrs.get("p_held_out")
    inside = _and(p_text(float(p)) if p is not None else "no permutations were drawn", _stimuli(node))
    return (
        f"Units matched one to one on half of the stimuli correlate with their partner with r = {number(held)} on the "
        f"other half ({inside}); with r = {number(free)} where several may share a partner."
    )


def _matching_cards(node: xr.Dataset) -> list[Card]:
    p = node.attrs.get("p_held_out")
    cards: list[Card] = [
        ("r with the partner", number(float(node.attrs["matched_held_out"])), "one to one, stimuli left out"),
        ("r with the best", number(float(node.attrs["best_held_out"])), "may be shared, stimuli left out"),
    ]
    cards += [("Significance", p_text(float(p)), f"{node.sizes['permutation']:,} draws")] if p is not None else []
    units = f"{node.sizes['unit']:,} and {node.sizes['unit_other']:,} units"
    return [*cards, *_n_card(node, note=units)]


def _matching_method(node: xr.Dataset) -> str:
    groups = node.attrs.get("groups")
    halves = f"halves hold {groups} together" if groups else "every stimulus alone"
    return (
        "Units are matched by the assignment with the largest sum of correlations on one half of the stimuli, and "
        f"scored on the other, both ways ({halves}). {_permuted(node)}"
    )


def _rdm_answer(node: xr.Dataset) -> str:
    values = rdms_of(node)
    mean = values.values if values.ndim == 2 else values.mean(str(values.dims[0])).values
    names = values["stimulus"].values.astype(str)
    rows, columns = np.triu_indices(len(names), 1)
    known = np.flatnonzero(np.isfinite(mean[rows, columns]))
    if not len(known):
        return "No pair of stimuli has a dissimilarity."
    pairs = mean[rows, columns][known]
    near, far = known[pairs.argmin()], known[pairs.argmax()]
    ends = [
        f"{names[rows[at]]} and {names[columns[at]]} ({quantity(float(mean[rows[at], columns[at]]))})"
        for at in (near, far)
    ]
    over = f", mean of the {values.sizes[values.dims[0]]:,} matrices" if values.ndim == 3 else ""
    return f"Most alike are {ends[0]}, least alike {ends[1]}: {_metric(values)}{over}, {_stimuli(node, len(names))}."


def _metric(values: xr.DataArray) -> str:
    metric = str(values.attrs.get("metric") or "dissimilarity")
    return METRICS.get(metric, metric.replace("_", " "))


def _rdm_method(node: xr.Dataset) -> str:
    attrs = node["rdm"].attrs
    said = [
        f"Dissimilarity: {_metric(node['rdm'])}"
        + (f" over {attrs['n_units']:,} units." if attrs.get("n_units") else ".")
    ]
    said += [f"Folds: {attrs['by']}."] if attrs.get("by") else []
    said += [f"Noise: {attrs['noise']}."] if attrs.get("noise") else []
    return " ".join([*said, "Nothing here is a test."])


def _embedding_answer(node: xr.Dataset) -> str:
    stress = number(float(node.attrs.get("stress", np.nan)))
    n = _stimuli(node, node.sizes["stimulus"])
    axes = {1: "A line", 2: "A plane"}.get(node.sizes["axis"], f"A space of {node.sizes['axis']} axes")
    return f"{axes} holds the dissimilarities of {n} with a stress of {stress} (0: all of them)."


def _embedding_method(node: xr.Dataset) -> str:
    how = {"smacof": "least stress (SMACOF)", "classical": "classical scaling"}.get(
        str(node.attrs.get("how")), "scaling"
    )
    return f"Places by {how}, groups by {node.attrs.get('linkage', 'average')} linkage. Nothing here is a test."


def _none(node: xr.Dataset) -> list[Card]:
    return []


WORDS: dict[str, Words] = {
    "comparison": Words(
        "How alike are the two?", "similarity.compare", _comparison_answer, _comparison_cards, _measured
    ),
    "grid": Words("Which are alike?", "similarity.compare_grid", _grid_answer, _grid_cards, _grid_method),
    "models": Words(
        "Which model orders the stimuli as the data do?", "similarity.compare_models", _models_answer, _models_cards,
        _models_method,
    ),
    "matching": Words(
        "Do units have partners?", "similarity.match_units", _matching_answer, _matching_cards, _matching_method
    ),
    "rdm": Words("How alike are the stimuli?", "similarity.rdm", _rdm_answer, _none, _rdm_method),
    "embedding": Words(
        "Which stimuli lie near each other?", "similarity.embed", _embedding_answer, _none, _embedding_method
    ),
}  # fmt: skip
