"""Tutorials: scripts in percent format, run from top to bottom, with what they print and draw.

``# %% [markdown]`` begins text (in comments), ``# %%`` begins code. A cell shows what it prints, the
value of its last expression, and every figure that it leaves open or returns.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import html
import io
import re
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurodecode.exceptions import NeurodecodeWarning

from .markdown import code_block

MOST_MARKS = 5000  # above that a picture is pixels, below it is lines


@dataclass
class Cell:
    """Text or code; after running, what came out: printed text and pictures (light, dark) as HTML."""

    kind: str
    text: str
    printed: str = ""
    pictures: list[str] = field(default_factory=list)


def read_cells(source: str) -> list[Cell]:
    """The cells of a script in percent format; what stands before the first mark is left out."""
    cells = []
    for part in re.split(r"^# %%", source, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        if "[markdown]" in head:
            lines = [re.sub(r"^# ?", "", line) for line in body.strip("\n").splitlines()]
            cells.append(Cell("markdown", "\n".join(lines)))
        elif body.strip():
            cells.append(Cell("code", body.strip("\n")))
    return cells


def run(path: str | Path, draw: bool = True) -> tuple[list[Cell], dict[str, Any]]:
    """Run a tutorial in a namespace of its own; returns its cells with their output, and the namespace.

    Raises
    ------
    RuntimeError : a cell fails; the message shows the cell and the error.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from neurodecode.reporting import style

    path = Path(path)
    cells = read_cells(path.read_text(encoding="utf-8"))
    space: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
    pyplot.close("all")
    with matplotlib.rc_context(style.rc("light")):
        for cell in cells:
            if cell.kind == "code":
                value = _run_cell(cell, space, path.name)
                figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
                shown = _figure_of(value)
                if shown is not None and shown not in figures:
                    figures.append(shown)
                elif value is not None and shown is None:
                    cell.printed += f"{value!r}\n"
                if draw:
                    cell.pictures = [_picture(figure, path.stem) for figure in figures]
                pyplot.close("all")
    return cells, space


def as_html(cells: list[Cell], render: Any) -> str:
    """The cells as one body; ``render`` turns markdown into HTML."""
    parts = []
    for cell in cells:
        if cell.kind == "markdown":
            parts.append(render(cell.text))
            continue
        parts.append(code_block(cell.text, "python"))
        if cell.printed.strip():
            parts.append(f'<pre class="out"><code>{html.escape(cell.printed.rstrip())}</code></pre>\n')
        parts += cell.pictures
    return "\n".join(parts)


def _run_cell(cell: Cell, space: dict[str, Any], name: str) -> Any:
    tree = ast.parse(cell.text)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("error")
            warnings.simplefilter("always", NeurodecodeWarning)
            exec(compile(tree, name, "exec"), space)
            value = eval(compile(ast.Expression(last.value), name, "eval"), space) if last else None
    except Exception as error:
        raise RuntimeError(f"{name} fails in the cell\n\n{cell.text}\n\n{traceback.format_exc()}") from error
    cell.printed = printed.getvalue() + _warnings([str(one.message) for one in warned])
    return value


def _warnings(messages: list[str]) -> str:
    """Warnings as a reader would see them; those that differ in numbers only are shown once."""
    alike: dict[str, list[str]] = {}
    for message in messages:
        alike.setdefault(re.sub(r"[0-9.]+(e[+-]?[0-9]+)?", "#", message), []).append(message)
    more = {1: "", 2: " (and one more like it)"}
    lines = [same[0] + more.get(len(same), f" (and {len(same) - 1} more like it)") for same in alike.values()]
    return "".join(f"NeurodecodeWarning: {line}\n" for line in lines)


def _figure_of(value: Any) -> Any:
    """The figure behind axes or a list of axes; None for anything else."""
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    if isinstance(value, Figure):
        return value
    if isinstance(value, Axes):
        return value.figure
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Axes):
        return value[0].figure
    return None


def _picture(figure: Any, name: str) -> str:
    words = figure.get_label() or _alternative(figure)
    light = _image(figure, f"light: {name}", words, "light")
    to_dark(figure)
    return f"<figure>{light}{_image(figure, f'dark: {name}', words, 'dark')}</figure>\n"


def _alternative(figure: Any) -> str:
    """Words for readers who do not see the picture: what stands on the axes."""
    said = [
        " against ".join(filter(None, (ax.get_ylabel(), ax.get_xlabel()))) for ax in figure.axes if ax.get_visible()
    ]
    return "Picture: " + "; ".join(filter(None, said)) if any(said) else "Picture"


def _image(figure: Any, salt: str, words: str, css: str) -> str:
    import matplotlib

    marks = sum(len(collection.get_offsets()) for ax in figure.axes for collection in ax.collections)
    buffer = io.BytesIO()
    kind = "png" if marks > MOST_MARKS or any(ax.images for ax in figure.axes) else "svg"
    with matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "path"}):
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(buffer, format=kind, dpi=192, metadata=metadata, facecolor=figure.get_facecolor())
    data = base64.b64encode(buffer.getvalue()).decode()
    mime = "image/svg+xml" if kind == "svg" else "image/png"
    width = round(figure.get_size_inches()[0] * 96)
    return f'<img class="{css}" width="{width}" alt="{html.escape(words)}" src="data:{mime};base64,{data}">'


def to_dark(figure: Any) -> None:
    """Give a figure that was drawn in the light theme the colours of the dark one: the same picture on dark paper."""
    import matplotlib.colors as colors

    from neurodecode.reporting.style import DARK, LIGHT

    pairs = [
        (getattr(LIGHT, name), getattr(DARK, name)) for name in ("paper", "ink", "muted", "line", "null", "ceiling")
    ]
    pairs += [
        (LIGHT.accent, DARK.accent),
        ("black", DARK.ink),
        ("white", DARK.paper),
        *zip(LIGHT.categories, DARK.categories),
    ]
    table = {tuple(round(255 * part) for part in colors.to_rgb(old)): colors.to_rgb(new) for old, new in pairs}

    def dark(colour: Any) -> Any:
        if isinstance(colour, str) and colour in ("none", "auto", "inherit", "face"):
            return colour
        rgba = colors.to_rgba(colour)
        new = table.get(tuple(round(255 * part) for part in rgba[:3]))
        return (*new, rgba[3]) if new else colour

    for artist in figure.findobj():
        for part in ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor"):
            get, put = getattr(artist, f"get_{part}", None), getattr(artist, f"set_{part}", None)
            if get is None or put is None or (part == "color" and hasattr(artist, "set_facecolor")):
                continue
            if getattr(artist, "get_array", lambda: None)() is not None and part != "edgecolor":
                continue
            value = get()
            if isinstance(value, str) or (
                hasattr(value, "__len__") and len(value) and not hasattr(value[0], "__len__")
            ):
                put(dark(value))
            elif hasattr(value, "__len__") and len(value):
                put([dark(one) for one in value])
