"""The reference: every public name of every room, from its docstring."""

from __future__ import annotations

import html
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from .markdown import code_block, render, slug

ROOMS = (
    "representation",
    "sources",
    "linear",
    "connectivity",
    "evaluation",
    "reporting",
    "studies",
    "compute",
    "exceptions",
)
LISTS = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns")
TEXTS = ("Notes", "References", "Examples", "See Also")


@dataclass
class Entry:
    """A public thing: ``name`` as a user writes it (``linear.Ridge``), its page and its anchor."""

    name: str
    thing: Any
    page: str

    @property
    def address(self) -> str:
        return f"{self.page}#{slug(self.name)}"


def entries() -> dict[str, list[Entry]]:
    """Page -> its entries. A room is one page; a room of modules (sources, reporting) has one page a module."""
    pages: dict[str, list[Entry]] = {}
    for room in ROOMS:
        module = importlib.import_module(f"neurodecode.{room}")
        for name in _public(module):
            thing = getattr(module, name)
            if inspect.ismodule(thing):
                page = f"reference/{room}.{name}.html"
                pages[page] = [
                    Entry(f"{room}.{name}.{inner}", getattr(thing, inner), page)
                    for inner in _public(thing)
                    if not inspect.ismodule(getattr(thing, inner))
                ]
            else:
                page = f"reference/{room}.html"
                pages.setdefault(page, []).append(Entry(f"{room}.{name}", thing, page))
    return {page: found for page, found in pages.items() if found}


def names(pages: dict[str, list[Entry]]) -> dict[str, str]:
    """What a page may write in code font -> where it is explained. ``fmri.read`` finds ``sources.fmri.read``."""
    found = {}
    for page, here in pages.items():
        for entry in here:
            found[entry.name] = entry.address
            parts = entry.name.split(".")
            if len(parts) == 3:
                found[".".join(parts[1:])] = entry.address
                found[".".join(parts[:2])] = page
    return found


def page(title: str, here: list[Entry], known: dict[str, str]) -> str:
    """HTML of one page of the reference."""
    room, _, inner = title.partition(".")
    module = importlib.import_module(f"neurodecode.{room}")
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        _text(inspect.getdoc(getattr(module, inner) if inner else module) or "", known),
    ]
    links = (f'<a href="#{slug(e.name)}">{e.name.split(".")[-1]}</a>' for e in here)
    parts.append('<p class="toc">' + " ".join(links) + "</p>")
    parts += [_entry(entry, known) for entry in here]
    return "\n".join(parts)


def _entry(entry: Entry, known: dict[str, str]) -> str:
    short = entry.name.split(".")[-1]
    anchor = slug(entry.name)
    here = f'<a class="here" href="#{anchor}" aria-label="link here">#</a>'
    parts = [f'<h2 id="{anchor}"><code>{html.escape(short)}</code>{here}</h2>']
    thing = entry.thing
    if callable(thing):
        parts.append(f'<pre class="signature"><code>{html.escape(short + signature(thing))}</code></pre>')
        parts.append(docstring(inspect.getdoc(thing) or "", known))
    else:
        parts.append(code_block(f"{short} = {_short(thing)}", "python"))
    if inspect.isclass(thing) and not issubclass(thing, BaseException):
        for name, method in _methods(thing):
            said = docstring(inspect.getdoc(method) or "", known)
            shown = f"{name}{signature(method)}" if callable(method) else name
            parts.append(
                f'<div class="method"><pre class="signature"><code>.{html.escape(shown)}</code></pre>{said}</div>'
            )
    return "\n".join(parts)


def signature(thing: Callable[..., Any]) -> str:
    """Arguments with defaults, without types: those stand in the text."""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return "(...)"
    shown, star = [], False
    for one in found.parameters.values():
        if one.name in ("self", "cls"):
            continue
        if one.kind is one.KEYWORD_ONLY and not star:
            shown.append("*")
            star = True
        if one.kind is one.VAR_POSITIONAL:
            shown.append(f"*{one.name}")
            star = True
        elif one.kind is one.VAR_KEYWORD:
            shown.append(f"**{one.name}")
        else:
            shown.append(one.name if one.default is one.empty else f"{one.name}={_short(one.default)}")
    return f"({', '.join(shown)})"


def docstring(text: str, known: dict[str, str]) -> str:
    """A docstring as HTML: sections underlined with dashes become headings and lists."""
    parts, section, lines = [], "", []

    def close() -> None:
        body = "\n".join(lines).strip("\n")
        if not body:
            return
        if section in LISTS:
            parts.append(f"<h3>{section}</h3>" + _list(body, known))
        elif section:
            parts.append(f"<h3>{section}</h3>" + (_examples(body) if section == "Examples" else _text(body, known)))
        else:
            parts.append(_text(body, known))

    rows = text.splitlines()
    number = 0
    while number < len(rows):
        under = rows[number + 1] if number + 1 < len(rows) else ""
        if rows[number].strip() in LISTS + TEXTS and re.fullmatch(r"-{3,}", under.strip()):
            close()
            section, lines = rows[number].strip(), []
            number += 2
            continue
        lines.append(rows[number])
        number += 1
    close()
    return "\n".join(parts)


def _list(body: str, known: dict[str, str]) -> str:
    """``name : text`` entries, continued by indentation; other lines as paragraphs."""
    items: list[list[str]] = []
    for line in body.splitlines():
        if not line.strip():
            if items:
                items[-1].append("")
        elif line.startswith((" ", "\t")) and items:
            items[-1].append(line.strip())
        else:
            items.append([line.strip()])
    parts, free = [], []
    for item in items:
        text = "\n".join(item)
        match = re.match(r"([^:`(]+?) : (.*)", text, flags=re.DOTALL)
        if match and len(match.group(1)) < 90:
            parts.append(f"<dt><code>{html.escape(match.group(1))}</code></dt><dd>{_text(match.group(2), known)}</dd>")
        elif parts:
            parts.append(f"<dd>{_text(text, known)}</dd>")
        else:
            free.append(_text(text, known))
    return "".join(free) + (f"<dl>{''.join(parts)}</dl>" if parts else "")


def _examples(body: str) -> str:
    return code_block(inspect.cleandoc(body), "pycon")


def _text(text: str, known: dict[str, str]) -> str:
    """Docstring text: markdown, where single backticks name other things and indented lines are formulas."""
    plain = re.sub(r":(?:func|class|meth|mod):`~?([^`]+)`", r"`\1`", inspect.cleandoc(text))
    return render(plain, known, root="../").body


def _methods(thing: type) -> list[tuple[str, Any]]:
    return [
        (name, member)
        for name, member in vars(thing).items()
        if not name.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod))
        and inspect.getdoc(member)
        for member in [getattr(thing, name) if isinstance(member, classmethod | staticmethod) else member]
    ]


def _public(module: ModuleType) -> list[str]:
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(listed)
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__ and inspect.getdoc(thing)
    ]


def _short(value: Any) -> str:
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    shown = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    return shown if len(shown) <= 60 else shown[:57] + "..."
