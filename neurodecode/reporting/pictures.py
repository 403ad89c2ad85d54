"""Pictures inside a page: drawn for light and dark, for a desk and a phone, as SVG or PNG without any other file."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._optional import require
from .markup import Html, el
from .style import DARK, LIGHT, PURPOSE, Theme, new_axes, rc_context
from .wording import scrub

PIXELS = 96
MOST_MARKS = 5000
NARROW = 3.4
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
PHONE_SCREEN = "(max-width: 600px)"


@dataclass(frozen=True)
class Picture:
    """One picture of a page.

    draw : ``draw(ax=, theme=, compact=)``.
    alt : what can be seen, in words.
    caption : what it is and how to read it.
    size : inches of the wide drawing; ``narrow`` of the one for phones, None to scale the wide one.
    """

    draw: Callable[..., Any]
    alt: str
    caption: Any
    size: tuple[float, float]
    narrow: tuple[float, float] | None = None


@dataclass(frozen=True)
class Drawing:
    """Bytes of one drawing and how large it is shown, in CSS pixels."""

    kind: str
    content: bytes
    width: int
    height: int

    @property
    def address(self) -> str:
        return f"data:{self.kind};base64,{base64.b64encode(self.content).decode('ascii')}"


def render(picture: Picture, theme: Theme, compact: bool = False) -> Drawing:
    """Draw one variant: SVG under 5,000 marks, PNG at twice the pixels otherwise; no background, no date."""
    size = picture.narrow if compact and picture.narrow is not None else picture.size
    with rc_context(theme), warnings.catch_warnings():
        # Labels that leave no room for a picture: it is drawn without layout, which is better than no page.
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        ax = new_axes(*size, theme)
        picture.draw(ax=ax, theme=theme, compact=compact)
        figure = ax.figure
        width, height = (round(side * PIXELS) for side in figure.get_size_inches())
        target = io.BytesIO()
        if marks(figure) < MOST_MARKS:
            figure.savefig(
                target, format="svg", dpi=2 * PIXELS, facecolor="none", metadata={"Date": None, "Creator": None}
            )
            return Drawing("image/svg+xml", slim(target.getvalue().decode("utf-8")).encode("utf-8"), width, height)
        figure.savefig(target, format="png", dpi=2 * PIXELS, facecolor="none", metadata={"Software": None})
        return Drawing("image/png", target.getvalue(), width, height)


def marks(figure: Any) -> int:
    """How many marks a browser would have to draw: points, shapes and words; an image counts as one."""
    total = 0
    for ax in [*figure.axes, *(inner for outer in figure.axes for inner in outer.child_axes)]:
        total += sum(len(line.get_xdata()) for line in ax.lines)
        total += sum(max(len(one.get_offsets()), len(one.get_paths())) for one in ax.collections)
        total += len(ax.patches) + len(ax.images) + len(ax.texts)
    return total


def slim(svg: str) -> str:
    """An SVG without what a page does not need, in the letters of the page, with absolute paths scrubbed."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("'DejaVu Sans', sans-serif", FONT.replace("'", "&apos;"))
    svg = re.sub(r"(?<=>)([^<>]*\S[^<>]*)(?=</text>)", lambda found: scrub(found[1]), svg)
    svg = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\d+\.\d{2})\d+", r"\1", tag[0]), svg)
    svg = re.sub(r"(?<=data:image/png;base64,)([\w+/=\s]+)", lambda found: _smaller(found[1]), svg)
    return re.sub(r"\n\s*", "\n", _once(svg))


def _once(svg: str) -> str:
    """An SVG in which an image that is drawn at several places is held once."""
    found = re.findall(r'xlink:href="(data:image/png;base64,[^"]+)"', svg)
    held = {data: f"held{at}" for at, data in enumerate(dict.fromkeys(found)) if found.count(data) > 1}
    kept = []

    def used(tag: re.Match[str]) -> str:
        data = tag[2]
        if data not in held or re.search(r'\s[xy]="', tag[0]):
            return tag[0]
        size = " ".join(re.findall(r'(?:width|height)="[^"]+"', tag[0]))
        if held[data] not in kept:
            kept.append(held[data])
            style = re.search(r'style="[^"]*"', tag[0])
            image = f'<image id="{held[data]}" xlink:href="{data}" {size} {style[0] if style else ""}/>'
            kept.append(image)
        rest = re.sub(r'(?:width|height|style|id)="[^"]*"', "", tag[1] + tag[3])
        return f'<use xlink:href="#{held[data]}" {" ".join(rest.split())}/>'

    svg = re.sub(r'<image ([^>]*?)xlink:href="(data:image/png;base64,[^"]+)"([^>]*?)/>', used, svg)
    return svg.replace("</defs>", "".join(kept[1::2]) + "</defs>", 1) if kept else svg


def _smaller(image: str) -> str:
    """The same PNG with a palette, where 256 colours are enough: a third of the bytes of a matrix."""
    images = require("PIL.Image", purpose=PURPOSE)
    before = base64.b64decode(image)
    pixels = np.asarray(images.open(io.BytesIO(before)).convert("RGBA"))
    colours, which = np.unique(pixels.reshape(-1, 4), axis=0, return_inverse=True)
    if len(colours) > 256:
        return image
    small = images.fromarray(which.reshape(pixels.shape[:2]).astype(np.uint8), mode="P")
    small.putpalette(colours[:, :3].ravel().tolist())
    target = io.BytesIO()
    small.save(target, format="png", optimize=True, transparency=bytes(colours[:, 3].tolist()))
    after = target.getvalue()
    return base64.b64encode(after).decode("ascii") if len(after) < len(before) else image


def figure(picture: Picture, variants: int = 4, *, wide: bool = False) -> Html:
    """The picture as HTML: ``variants`` 4 for light, dark, desk and phone; 2 for light and dark; 1 for light alone.

    The style sheet of the page shows the light or the dark one. Both are there from the beginning, so that a dark
    screen prints the light one.
    """
    shown = [
        _themed(picture, theme, phone=variants == 4 and picture.narrow is not None, alone=variants == 1)
        for theme in ((LIGHT, DARK) if variants > 1 else (LIGHT,))
    ]
    return el("figure", *shown, el("figcaption", picture.caption), class_="figure wide" if wide else "figure")


def _themed(picture: Picture, theme: Theme, phone: bool, alone: bool) -> Html:
    one = render(picture, theme)
    image = el("img", src=one.address, alt=scrub(picture.alt), width=one.width, height=one.height)
    sources = []
    if phone:
        small = render(picture, theme, compact=True)
        sources.append(el("source", srcset=small.address, media=PHONE_SCREEN, width=small.width, height=small.height))
    return el("picture", *sources, image, class_=None if alone else theme.name)
