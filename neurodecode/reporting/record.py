"""The end of a page: method with references, leakage audit, provenance, and the command that repeats it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import xarray as xr

from .likeness import words_of
from .markup import Html, el, inline, join, markdown, pairs, table
from .opening import audit, callouts, leading_attrs
from .summary import Contents, draws_of, score_name
from .wording import count, headed, listed, plain_text, score_label, scrub

# Told elsewhere on the page, or too long for a table.
ELSEWHERE = {
    "affine", "answer", "area_name", "command", "data", "data_card", "dry_run", "degenerate", "degenerate_reasons",
    "columns", "dropped_targets", "figures", "leakage", "main", "method", "notes", "planted", "question", "references",
    "rows", "sample_name", "settings", "shape", "shows", "title", "unit_name", "versions", "wide",
}  # fmt: skip
FIRST = (
    "study", "seed", "random_state", "estimator", "splits", "n_folds", "n_samples", "score", "pool", "chance",
    "n_permutations", "p_min", "exchangeability", "assume_aligned", "allow_overlap", "ceiling_definition",
    "ceiling_reason", "normalized_definition", "elapsed_s",
)  # fmt: skip
NAMES = {
    "random_state": "seed of the permutations",
    "n_folds": "folds",
    "n_samples": "samples",
    "n_permutations": "permutations",
    "p_min": "smallest possible p",
    "exchangeability": "what is permuted",
    "pool": "score is taken over",
    "elapsed_s": "computing time (s)",
    "ceiling_definition": "ceiling",
    "ceiling_reason": "why no ceiling",
    "normalized_definition": "normalised",
    "allow_overlap": "overlap of training and test",
    "assume_aligned": "samples assumed aligned",
    "folds_hash": "hash of the folds",
    "n_below_ceiling_floor": "units under that floor",
}
LONG = 60  # letters of a cell that has a width of its own
Section = tuple[str, str, Html]


def method_section(contents: Contents) -> Section:
    """How it was done, with references and notes."""
    attrs = leading_attrs(contents)
    parts: list[Any] = []
    if attrs.get("method"):
        parts.append(markdown(str(attrs["method"])))
    parts.append(_how_scored(contents))
    if not contents.nodes and not attrs.get("method"):
        said = {name: words.method(one) for name, one in contents.shown.items() if (words := words_of(one)) is not None}
        parts += [el("p", f"{headed(name)}: {text}" if len(said) > 1 else text) for name, text in said.items()]
    notes = _notes(contents)
    if notes:
        parts += [el("h3", "Notes"), el("ul", *(el("li", inline(note)) for note in notes))]
    references = attrs.get("references") or []
    if references:
        parts += [el("h3", "References"), el("ol", *(el("li", inline(str(one))) for one in references), class_="small")]
    return "method", "Method", join(parts)


def _notes(contents: Contents) -> list[str]:
    """Notes of the study, then those of its results; what several results say alike is said once."""
    said: dict[str, list[str]] = {str(note): [] for note in contents.attrs.get("notes") or []}
    for name, one in contents.nodes.items():
        for note in one.attrs.get("notes") or []:
            said.setdefault(str(note), []).append(name)
    whole = len(contents.nodes)
    return [f"{listed(names)}: {note}" if names and len(names) < whole else note for note, names in said.items()]


def _how_scored(contents: Contents) -> Html | None:
    """A sentence for each kind of scoring among the results."""
    said: dict[str, list[str]] = {}
    for name, one in contents.nodes.items():
        said.setdefault(_scoring(one), []).append(name)
    rows = []
    for sentence, names in said.items():
        whose = f"{listed(names, 8)}: " if len(said) > 1 else ""
        rows.append(el("p", f"{whose}{sentence}", class_="small"))
    return join(rows) if rows else None


def _scoring(one: xr.Dataset) -> str:
    attrs = one.attrs
    pool = {
        "predictions": "computed once over the pooled held-out predictions",
        "folds": "computed in every held-out fold and averaged",
    }.get(str(attrs.get("pool")), "")
    said = [f"Score: {score_label(score_name(one))}" + (f", {pool}" if pool else "") + "."]
    if attrs.get("splits"):
        folds = attrs.get("n_folds")
        said.append(f"Held out by {attrs['splits']}" + (f", {count(int(folds), 'fold')}" if folds else "") + ".")
    if draws := draws_of(one):
        what = f" ({attrs['exchangeability']})" if attrs.get("exchangeability") else ""
        said.append(
            f"Significance: {draws:,} permutations{what}, one-sided, p = (b + 1) / (n + 1)"
            + ("; over units by false discovery rate (Benjamini and Hochberg 1995)" if "p_fdr" in one else "")
            + (" and by the maximum statistic" if "p_fdr" in one and "p_max" in one else "")
            + "."
        )
    else:
        said.append("No permutations were drawn, so nothing here is a test.")
    return " ".join(said)


def leakage_section(contents: Contents) -> Section:
    """What was checked for standing on both sides of a split."""
    verdict = audit(contents)
    words = {
        "passed": "Nothing that was checked stands in training and test of the same fold.",
        "overridden": "Something stands in training and test of the same fold, and was allowed for the reason given.",
        "nothing to check": "The samples carry no label with several values (stimulus, run, subject) to be checked.",
        "not recorded": "No audit was recorded with this result.",
        "no split": "Nothing on this page comes from training and test samples.",
    }[verdict]
    fitted = [name for name, one in contents.shown.items() if one.attrs.get("folds")]
    if verdict == "no split" and fitted:
        words = (
            "No result on this page is of cross_validate, which is what is audited. What is fitted "
            f"({listed(fitted)}) is scored on stimuli and people that were left out of the fit, told apart by name."
        )
    look = {"passed": "good", "overridden": "warn", "not recorded": "warn"}.get(verdict)
    parts: list[Any] = [
        el(
            "p",
            el(
                "strong",
                ("Nothing to audit" if verdict == "no split" and fitted else verdict.capitalize()) + ".",
                class_=look,
            ),
            " ",
            words,
        )
    ]
    rows: dict[tuple[str, ...], list[str]] = {}
    for name, one in contents.nodes.items():
        for row in one.attrs.get("leakage") or []:
            shown = (row.get("coord"), row.get("checked"), row.get("groups"), row.get("shared"), row.get("verdict"))
            rows.setdefault(tuple(plain_text(value) for value in shown), []).append(name)
    if rows:
        columns = [
            ("label", "text"),
            ("checked", "text"),
            ("values", "number"),
            ("on both sides", "number"),
            ("verdict", "text"),
        ]
        several = len(contents.nodes) > 1
        labels = list(dict.fromkeys(cells[0] for cells in rows))
        rows = dict(sorted(rows.items(), key=lambda row: labels.index(row[0][0])))
        body = [[*cells, *([_whose(names, contents)] if several else [])] for cells, names in rows.items()]
        columns += [("results", "text")] if several else []
        parts.append(table(columns, body, caption="Labels that may not stand on both sides of a split"))
    return "leakage", "Leakage audit", join(parts)


def _whose(names: list[str], contents: Contents) -> str:
    return "all" if len(set(names)) == len(contents.nodes) else listed(list(dict.fromkeys(names)), 8)


def provenance_section(contents: Contents) -> Section:
    """Seed, estimator, splits, versions, hashes: what is the same for all results once, the rest by result."""
    parts: list[Any] = [callouts(contents)]
    own = {key: value for key, value in contents.attrs.items() if key not in ELSEWHERE}
    whole = contents.nodes or ({} if own else contents.shown)
    alone = len(whole) == 1
    drawn = set() if contents.nodes else {"by", "percentile"}  # how a picture is drawn
    nodes = {
        name: {key: one.attrs[key] for key in one.attrs if key not in ELSEWHERE | drawn} for name, one in whole.items()
    }
    shared = _shared(list(nodes.values()))
    together = {**shared, **own} if not alone else {**next(iter(nodes.values())), **own}
    drew = any(one.get("n_permutations") or one.get("n_bootstrap") for one in (together, *nodes.values()))
    if "random_state" not in together and (drew or contents.nodes or not contents.shown):
        together.setdefault("seed", "not recorded")
    settings = contents.attrs.get("settings")
    kept = [key for key in _ordered(together) if together[key] is not None or key == "allow_overlap"]
    rows = [(_named(key, together), _shown(key, together[key])) for key in kept]
    rows += [("settings", plain_text(settings))] if settings else []
    parts.append(pairs(rows))
    differ = [key for key in _ordered({key: 1 for one in nodes.values() for key in one}) if key not in together]
    if differ and not alone:
        columns = [("result", "text"), *((_named(key, {}), "text") for key in differ)]
        body = [[name, *(_shown(key, one.get(key)) for key in differ)] for name, one in nodes.items()]
        parts.append(table(columns, body, caption="Where the results differ"))
    parts.append(_versions(contents))
    parts.append(_hashes(contents))
    return "provenance", "Provenance", join(parts)


def _shared(nodes: list[Mapping[str, Any]]) -> dict[str, Any]:
    if not nodes:
        return {}
    return {key: value for key, value in nodes[0].items() if all(key in one and one[key] == value for one in nodes)}


def _ordered(attrs: Mapping[str, Any]) -> list[str]:
    return [*(key for key in FIRST if key in attrs), *sorted(key for key in attrs if key not in FIRST)]


def _named(key: str, together: Mapping[str, Any]) -> str:
    if key == "random_state" and "seed" not in together:
        return "seed (random_state)"
    return NAMES.get(key, key.replace("_", " "))


def _shown(key: str, value: Any) -> Any:
    if key == "allow_overlap" and value is None:
        return "no overlap was allowed"
    if key in ("estimator", "splits", "folds_hash") and value is not None:
        return el("code", plain_text(value), class_="wide")
    if key in ("affine", "planted") or len(words := plain_text(value)) > 600:
        return "…"
    return el("span", words, class_="long") if len(words) > LONG else words


def _versions(contents: Contents) -> Html | None:
    found: dict[str, list[str]] = {}
    for one in (contents.attrs, *(node.attrs for node in contents.nodes.values())):
        for name, version in (one.get("versions") or {}).items():
            if str(version) not in found.setdefault(name, []):
                found[name].append(str(version))
    if not found:
        return None
    return join([el("h3", "Versions"), pairs((name, " and ".join(versions)) for name, versions in found.items())])


def _hashes(contents: Contents) -> Html | None:
    rows: dict[tuple[str, str], list[str]] = {}
    for name, one in contents.nodes.items():
        for side, said in (one.attrs.get("data") or {}).items():
            if isinstance(said, Mapping) and said.get("hash"):
                rows.setdefault((side, str(said["hash"])), []).append(name)
    if not rows:
        return None
    body = [
        [side, el("code", digest, class_="wide"), _whose(names, contents)] for (side, digest), names in rows.items()
    ]
    columns = [("array", "text"), ("SHA-256 of its content", "text"), ("results", "text")]
    if len(contents.nodes) == 1:
        columns, body = columns[:2], [row[:2] for row in body]
    return join([el("h3", "Hashes"), table(columns, body, caption="Content of the arrays", fold=8)])


def rerun_section(contents: Contents) -> Section:
    """The command that repeats all of it, or how to repeat it without one."""
    known = [contents.attrs.get("command"), *(one.attrs.get("command") for one in contents.nodes.values())]
    commands = list(dict.fromkeys(str(one) for one in known if one))
    parts: list[Any] = []
    if commands:
        parts += [
            el("p", "This command repeats everything on this page:"),
            el("pre", el("code", *_whole_options("\n".join(commands)))),
        ]
        if any(scrub(one) != one for one in commands):
            words = "Of paths only the last part is shown: put your own before it."
            parts.append(el("p", words, class_="small muted"))
    else:
        made = {said.made_by for one in contents.shown.values() if (said := words_of(one)) is not None}
        shown_only = bool(made) and not contents.nodes
        calls = sorted(made) if shown_only else ["cross_validate"]
        parts.append(
            el(
                "p",
                "This result was made by a call of ",
                *(part for at, call in enumerate(calls) for part in (" and " if at else "", el("code", call))),
                ", not by a study: repeat it with the "
                + ("options and the seed" if shown_only else "estimator, the splits and the seed")
                + " under ",
                el("a", "Provenance", href="#provenance"),
                " on the same arrays." if shown_only else " on arrays with the same hashes.",
            )
        )
    words = "A stored result is compared with a repetition, figure by figure, by "
    if commands:
        parts.append(el("p", words, el("code", "neurodecode rerun RESULT"), ".", class_="small"))
    return "rerun", "Rerun", join(parts)


def _whole_options(command: str) -> list[Any]:
    """The parts of a command; an option is never parted at its hyphens where the line ends."""
    parts = re.split(r"(--[a-z][\w-]*)", scrub(command))
    return [el("span", part) if at % 2 else part for at, part in enumerate(parts)]
