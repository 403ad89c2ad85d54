"""HTML in small pieces: everything that is not markup already is scrubbed of paths and escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .wording import scrub

VOID = {"br", "hr", "img", "meta", "source"}
FOLD = 15
WORDY = 24  # letters of a first column that wants room on a narrow screen
_INLINE = re.compile(
    r"(?P<code>`[^`\n]+`)|(?P<link>\[[^\]\n]+\]\(https?://[^\s)]+\))|(?P<bare>https?://[^\s<>()\"']*[\w/])"
    r"|(?P<strong>\*\*[^*\n]+\*\*)|(?P<em>(?<![\w*])\*[^*\s][^*\n]*\*(?![\w*]))"
)


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def text(value: Any) -> Html:
    """Any value as text of a page: paths scrubbed, ``< > & " '`` escaped; markup stays what it is.

    Examples
    --------
    >>> text("<script>alert(1)</script> in /home/alice/x.nii")
    '&lt;script&gt;alert(1)&lt;/script&gt; in x.nii'
    """
    if isinstance(value, Html):
        return value
    return Html(html.escape(scrub(str(value)), quote=True).replace(" %", "\u00a0%"))


def el(tag: str, *children: Any, **attributes: Any) -> Html:
    """An element; children are escaped unless they are markup, attributes always.

    ``class_`` and ``for_`` lose their underscore, inner underscores become hyphens; None and False leave an attribute
    out, True writes it bare.

    Examples
    --------
    >>> el("p", "a < b", class_="note", data_value=3)
    '<p class="note" data-value="3">a &lt; b</p>'
    """
    said = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        name = key.rstrip("_").replace("_", "-")
        words = html.escape(str(value), quote=False).replace('"', "&quot;")
        said.append(f" {name}" if value is True else f' {name}="{words}"')
    start = f"<{tag}{''.join(said)}>"
    return Html(start if tag in VOID else f"{start}{join(children)}</{tag}>")


def join(parts: Iterable[Any], between: str = "") -> Html:
    """Pieces one after another; None is left out."""
    return Html(between.join(text(part) for part in parts if part is not None))


@dataclass(frozen=True)
class Cell:
    """A cell whose order is not that of its text: ``shown`` is read, ``value`` is sorted by."""

    shown: Any
    value: float | str | None = None


def table(
    columns: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[Any]],
    *,
    caption: str,
    fold: int = FOLD,
) -> Html:
    """A table that can be sorted and copied where scripts run, and read where they do not.

    Parameters
    ----------
    columns : heading and kind of each: ``"text"`` or ``"number"`` (set to the right).
    rows : cells: text, markup or ``Cell``.
    caption : what the table is; also the text of the fold.
    fold : tables with more rows are closed until they are asked for.
    """
    head = el("tr", *(el("th", name, scope="col", class_=_kind(kind)) for name, kind in columns))
    body = [
        el("tr", *(_cell(cell, kind, at == 0) for at, (cell, (_, kind)) in enumerate(zip(row, columns))))
        for row in rows
    ]
    firsts = [row[0].shown if isinstance(row[0], Cell) else row[0] for row in rows if row]
    kind = "data wordy" if any(len(str(first)) > WORDY for first in firsts) else "data"
    whole = el("table", el("thead", head), el("tbody", *body), class_=kind, aria_label=scrub(caption))
    # The caption stands outside of what scrolls, so that all of it can be read on a narrow screen.
    framed = join([el("p", caption, class_="caption"), el("div", whole, class_="scroll", tabindex="0")])
    if len(rows) <= fold:
        return framed
    return el("details", el("summary", f"{caption}: {len(rows)} rows"), framed)


def _cell(cell: Any, kind: str, first: bool) -> Html:
    value = None
    if isinstance(cell, Cell):
        cell, value = cell.shown, "" if cell.value is None or cell.value != cell.value else cell.value
    if first:
        return el("th", cell, scope="row", class_=_kind(kind), data_value=value)
    return el("td", cell, class_=_kind(kind), data_value=value)


def _kind(kind: str) -> str | None:
    return "number" if kind == "number" else None


def pairs(rows: Iterable[tuple[str, Any]]) -> Html:
    """Names and values one below the other."""
    return el("dl", *(el("div", el("dt", name), el("dd", value)) for name, value in rows), class_="pairs")


def markdown(source: str, level: int = 3) -> Html:
    """The part of Markdown that data cards use: headings, paragraphs, lists, tables, code, emphasis, web links.

    Markup in the source is escaped, links lead to ``http`` and ``https`` alone, headings begin at ``level``.

    Examples
    --------
    >>> markdown("# Data\\n\\nOne **person**, `x < y`.\\n\\n- a\\n- b")
    '<h3>Data</h3>\\n<p>One <strong>person</strong>, <code>x &lt; y</code>.</p>\\n<ul><li>a</li><li>b</li></ul>'
    """
    found: list[Html] = []
    for block in _blocks(source):
        first = block[0]
        if first.startswith("```"):
            found.append(el("pre", el("code", "\n".join(block[1:]))))
        elif first.startswith("#"):
            depth = len(first) - len(first.lstrip("#"))
            found.append(el(f"h{min(6, level - 1 + depth)}", inline(first.lstrip("# ").rstrip("# "))))
        elif re.match(r"[-*+] ", first):
            found.append(el("ul", *(el("li", inline(item)) for item in _items(block, r"[-*+] "))))
        elif re.match(r"\d+[.)] ", first):
            found.append(el("ol", *(el("li", inline(item)) for item in _items(block, r"\d+[.)] "))))
        elif first.startswith("|") and len(block) > 1 and re.fullmatch(r"[|:\s-]+", block[1]):
            found.append(_markdown_table(block))
        else:
            found.append(el("p", inline(" ".join(line.strip() for line in block))))
    return join(found, "\n")


def inline(source: str) -> Html:
    """Code, links, bold and emphasis of one line."""
    source = scrub(source)
    parts: list[Html] = []
    at = 0
    for match in _INLINE.finditer(source):
        parts.append(text(source[at : match.start()]))
        at = match.end()
        said = match.group()
        if match["code"]:
            parts.append(el("code", said[1:-1]))
        elif match["link"]:
            words, address = said[1:-1].split("](", 1)
            parts.append(el("a", words, href=address, rel="noreferrer"))
        elif match["bare"]:
            parts.append(el("a", said, href=said, rel="noreferrer"))
        elif match["strong"]:
            parts.append(el("strong", said[2:-2]))
        else:
            parts.append(el("em", said[1:-1]))
    return join([*parts, text(source[at:])])


def _blocks(source: str) -> list[list[str]]:
    """Lines in groups: code between fences as it is, everything else parted by blank lines and changes of kind."""
    blocks: list[list[str]] = []
    fenced = False
    fresh = True
    for line in source.replace("\r\n", "\n").split("\n"):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            if fenced:
                blocks.append([line.strip()])
            fresh = not fenced
        elif fenced:
            blocks[-1].append(line)
        elif not line.strip():
            fresh = True
        else:
            starts = line.startswith("#") or (not blocks or fresh) or _kind_of(line) != _kind_of(blocks[-1][0])
            indented = line.startswith((" ", "\t")) and not fresh and blocks and _kind_of(blocks[-1][0]) == "list"
            if starts and not indented:
                blocks.append([line.rstrip() if not line.startswith("#") else line.strip()])
            else:
                blocks[-1].append(line.rstrip())
            fresh = line.startswith("#")
    return blocks


def _kind_of(line: str) -> str:
    if re.match(r"[-*+] |\d+[.)] ", line):
        return "list"
    return "table" if line.startswith("|") else "heading" if line.startswith("#") else "words"


def _items(block: list[str], mark: str) -> list[str]:
    items: list[str] = []
    for line in block:
        if re.match(mark, line):
            items.append(re.sub(f"^{mark}", "", line))
        else:
            items[-1] += " " + line.strip()
    return items


def _markdown_table(block: list[str]) -> Html:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in (block[0], *block[2:])]
    head = el("tr", *(el("th", inline(cell), scope="col") for cell in rows[0]))
    body = [el("tr", *(el("td", inline(cell)) for cell in row)) for row in rows[1:]]
    return el("div", el("table", el("thead", head), el("tbody", *body), class_="data"), class_="scroll", tabindex="0")
