"""Nodes of a study that are no scores: what they show, and who draws it.

A node says what it is in ``attrs["shows"]``, or is told by its form (``forms``); the table names, for each kind, the
function that turns it into pictures. A new kind is one row.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import xarray as xr

from .markup import Html, el, join
from .pictures import Picture, figure
from .summary import Contents
from .wording import headed

# attrs["shows"] -> module of this room : function of (name, node) that gives pictures or ready HTML.
SHOWS: dict[str, str] = {
    "topography": "gallery:scalp_pictures",
    "attention": "attended:attention_pictures",
    "fields": "attended:field_pictures",
    "gain": "attended:gain_pictures",
    "rdm": "dissimilarities:rdm_pictures",
    "embedding": "embeddings:embedding_pictures",
    "models": "comparisons:models_pictures",
    "grid": "alignments:grid_pictures",
    "comparison": "likeness:comparison_pictures",
    "matching": "alignments:matching_pictures",
    "matchings": "alignments:matchings_pictures",
}
Drawer = Callable[[str, xr.Dataset], "list[Picture | Html]"]


def drawer(kind: str) -> Drawer:
    """The function that draws nodes of that kind.

    Raises
    ------
    ValueError : a kind that is not in the table.
    """
    if kind not in SHOWS:
        raise ValueError(f"a node shows {kind!r}; known are {sorted(SHOWS)}.")
    module, function = SHOWS[kind].split(":")
    found: Drawer = getattr(importlib.import_module(f".{module}", __package__), function)
    return found


def drawn_of(contents: Contents, name: str) -> list[Picture | Html]:
    """Everything that is drawn of one node; it knows the results of the page, which have one colour in all pictures."""
    one = contents.shown[name]
    return drawer(str(one.attrs["shows"]))(name, one.assign_attrs(names=list(contents.nodes)))


def shown_section(contents: Contents, variants: int) -> tuple[str, str, Html] | None:
    """Everything that is neither a score nor a comparison of scores, in the order of the study."""
    parts: list[Any] = []
    first = next((name for name in contents.attrs.get("main") or [] if name in contents.shown), None)
    for name, one in contents.shown.items():
        found = drawn_of(contents, name)
        if name == first:  # its first picture stands at the top of the page
            leading = next((at for at, drawn in enumerate(found) if isinstance(drawn, Picture)), len(found))
            found = found[:leading] + found[leading + 1 :]
        if found:
            parts.append(el("h3", str(one.attrs.get("title") or headed(name.replace("_", " ")))))
        for drawn in found:
            wide = bool(one.attrs.get("wide"))
            parts.append(figure(drawn, variants, wide=wide) if isinstance(drawn, Picture) else drawn)
    return ("pictures", "Pictures", join(parts)) if parts else None
