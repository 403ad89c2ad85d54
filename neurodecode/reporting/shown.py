"""Nodes of a study that are no scores: what they show, and who draws it.

A node says what it is in ``attrs["shows"]``; the table names, for each kind, the function that turns it into pictures.
A new kind is one row.
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
SHOWS: dict[str, str] = {}
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


def shown_section(contents: Contents, variants: int) -> tuple[str, str, Html] | None:
    """Everything that is neither a score nor a comparison of scores, in the order of the study."""
    parts: list[Any] = []
    for name, one in contents.shown.items():
        parts.append(el("h3", str(one.attrs.get("title") or headed(name.replace("_", " ")))))
        for drawn in drawer(str(one.attrs["shows"]))(name, one):
            wide = bool(one.attrs.get("wide"))
            parts.append(figure(drawn, variants, wide=wide) if isinstance(drawn, Picture) else drawn)
    return ("pictures", "Pictures", join(parts)) if parts else None
