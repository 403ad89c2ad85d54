"""The frame around every page: navigation, width, light and dark, nothing from the network."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

STYLE = Path(__file__).with_name("style.css")


def frame(title: str, body: str, address: str, navigation: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """A whole HTML page.

    Parameters
    ----------
    title, body : of the page. address : where it lies below the root of the site, with forward slashes.
    navigation : heading -> list of (text, address).
    """
    up = "../" * address.count("/")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)} · neurodecode</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{up}style.css">
</head>
<body>
<a class="skip" href="#content">to the text</a>
<header class="phone"><a class="name" href="{up}index.html">neurodecode</a> <a href="#pages">all pages</a></header>
<div class="frame">
<nav class="site" id="pages" aria-label="pages"><div class="inside">
<a class="name" href="{up}index.html">neurodecode</a>
{_menu(address, up, navigation)}
</div></nav>
<main id="content">
{body}
<footer>neurodecode, BSD-3-Clause. This page works without a network.</footer>
</main>
</div>
</body>
</html>
"""


def _menu(address: str, up: str, navigation: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    def item(text: str, target: str) -> str:
        mark = ' aria-current="page"' if target == address else ""
        return f'<li><a href="{up}{target}"{mark}>{html.escape(text)}</a></li>'

    return "\n".join(
        f"<h2>{html.escape(heading)}</h2>\n<ul>{''.join(item(*one) for one in rows)}</ul>"
        for heading, rows in navigation.items()
    )


def contents(headings: Sequence[tuple[int, str, str]]) -> str:
    """The sections of a page in one line, where there are three or more."""
    rows = [(text, anchor) for level, text, anchor in headings if level == 2]
    if len(rows) < 3:
        return ""
    return (
        '<p class="toc">' + " ".join(f'<a href="#{anchor}">{html.escape(text)}</a>' for text, anchor in rows) + "</p>"
    )


def write_style(out: Path) -> None:
    """Copy the style sheet beside the pages."""
    (out / "style.css").write_text(STYLE.read_text(encoding="utf-8"), encoding="utf-8")


def relative(address: str, target: str) -> str:
    """``target`` as seen from the page at ``address`` (both below the root of the site)."""
    return os.path.normpath(os.path.join(os.path.dirname(address), target)).replace(os.sep, "/")
