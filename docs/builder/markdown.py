"""Markdown to HTML: anchors, highlighted code, formulas as pictures, names that link to the reference."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

WORDS = {"python": "python", "pycon": "pycon", "toml": "toml", "bash": "bash", "json": "json"}


@dataclass
class Rendered:
    """HTML of a page with its title, its headings (level, text, anchor) and every address it points to."""

    body: str
    title: str
    headings: list[tuple[int, str, str]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)


def slug(text: str) -> str:
    """Anchor of a heading."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def code_block(text: str, language: str, css: str = "") -> str:
    """Code as highlighted HTML; unknown languages as plain text."""
    try:
        lexer = get_lexer_by_name(WORDS.get(language, language or "text"))
    except ClassNotFound:
        lexer = get_lexer_by_name("text")
    inside = highlight(text.rstrip("\n") + "\n", lexer, HtmlFormatter(nowrap=True)).rstrip("\n")
    return f'<pre class="{css}"><code>{inside}</code></pre>\n' if css else f"<pre><code>{inside}</code></pre>\n"


def formula(text: str) -> str:
    """Lines of TeX (the part that matplotlib knows) as one SVG each, in the colour of the text around it."""
    from matplotlib import rc_context
    from matplotlib.mathtext import math_to_image

    pictures = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        buffer = io.BytesIO()
        with rc_context({"svg.fonttype": "path", "svg.hashsalt": line, "mathtext.fontset": "stix"}):
            math_to_image(f"${line}$", buffer, format="svg", dpi=72, color="#123456")
        svg = buffer.getvalue().decode()
        svg = svg[svg.index("<svg") :].replace("#123456", "currentColor")
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        tag = slug(line)[:40] or "formula"
        svg = re.sub(r'\bid="([^"]+)"', rf'id="{tag}-\1"', svg)
        svg = re.sub(r'href="#([^"]+)"', rf'href="#{tag}-\1"', svg)
        svg = _sized(svg, 1.55)
        pictures.append(f'<div class="math" role="img" aria-label="{html.escape(line)}">{svg}</div>')
    return "\n".join(pictures) + "\n"


def _sized(svg: str, factor: float) -> str:
    def larger(match: re.Match[str]) -> str:
        return f'{match.group(1)}="{float(match.group(2)) * factor:.1f}px"'

    head, rest = svg.split(">", 1)
    return re.sub(r'(width|height)="([0-9.]+)pt"', larger, head) + ">" + rest


def render(text: str, names: Mapping[str, str] | None = None, root: str = "") -> Rendered:
    """Markdown of one page as HTML.

    Parameters
    ----------
    text : the page. names : ``room.name`` -> address in the reference, relative to the root of the site.
    root : how the page reaches the root (``""``, ``"../"``).
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    page = Rendered("", "")
    rules: Any = parser.renderer.rules
    tokens = parser.parse(text)
    _headings(tokens, page)
    _links(tokens, page)

    def fence(tokens: list[Token], i: int, *_: Any) -> str:
        language = tokens[i].info.strip().split(" ")[0]
        return formula(tokens[i].content) if language == "math" else code_block(tokens[i].content, language)

    def inline(tokens: list[Token], i: int, *_: Any) -> str:
        said = tokens[i].content
        page.code.append(said)
        shown = f"<code>{html.escape(said)}</code>"
        address = (names or {}).get(said.removesuffix("()").split("(")[0].removeprefix("neurodecode."))
        linked = i > 0 and tokens[i - 1].type == "link_open"
        return f'<a href="{root}{address}">{shown}</a>' if address and not linked else shown

    rules["fence"] = fence
    rules["code_block"] = lambda tokens, i, *_: code_block(tokens[i].content, "text")
    rules["code_inline"] = inline
    rules["table_open"] = lambda *_: '<div class="scroll"><table>\n'
    rules["table_close"] = lambda *_: "</table></div>\n"
    page.body = parser.renderer.render(tokens, parser.options, {})
    return page


def _headings(tokens: list[Token], page: Rendered) -> None:
    taken: set[str] = set()
    for number, token in enumerate(tokens):
        if token.type != "heading_open":
            continue
        inside = tokens[number + 1]
        text = "".join(child.content for child in inside.children or [])
        level, anchor = int(token.tag[1]), slug(text)
        while anchor in taken:
            anchor += "-more"
        taken.add(anchor)
        token.attrSet("id", anchor)
        page.headings.append((level, text, anchor))
        if level == 1 and not page.title:
            page.title = text
        if level in (2, 3):
            here = Token("link_open", "a", 1, attrs={"class": "here", "href": f"#{anchor}", "aria-label": "link here"})
            inside.children = [
                *(inside.children or []),
                here,
                Token("text", "", 0, content="#"),
                Token("link_close", "a", -1),
            ]


def _links(tokens: list[Token], page: Rendered) -> None:
    """Addresses of other pages end in .html on the site."""
    for token in tokens:
        for child in token.children or []:
            if child.type == "link_open" and "here" not in str(child.attrGet("class")):
                address = str(child.attrGet("href"))
                if "://" not in address and not address.startswith("#"):
                    address = re.sub(r"\.md(#|$)", r".html\1", address)
                    child.attrSet("href", address)
                page.links.append(address)
            elif child.type == "image":
                page.links.append(str(child.attrGet("src")))
