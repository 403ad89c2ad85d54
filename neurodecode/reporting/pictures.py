"""Pictures inside a page: drawn for light and dark, for a desk and a phone, as SVG or PNG without any other file."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .markup import Html, el
from .style import DARK, LIGHT, Theme, new_axes, rc_context
from .wording import scrub

PIXELS = 96
MOST_MARKS = 5000
NARROW = 3.4
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
# Every dark or narrow drawing names the screen it is for; the last, light and wide, is also what is printed.
SCREENS = {
    (True, True): "screen and (prefers-color-scheme: dark) and (max-width: 600px)",
    (False, True): "(max-width: 600px)",
    (True, False): "screen and (prefers-color-scheme: dark)",
}


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
    return re.sub(r"\n\s*", "\n", svg)


def figure(picture: Picture, variants: int = 4, *, wide: bool = False) -> Html:
    """The picture as HTML: ``variants`` 4 for light, dark, desk and phone; 2 for light and dark; 1 for light alone."""
    if picture.narrow is None:
        variants = min(variants, 2)
    light = render(picture, LIGHT)
    sources = []
    for (dark, compact), screen in SCREENS.items():
        if (compact and variants < 4) or (dark and variants < 2):
            continue
        one = render(picture, DARK if dark else LIGHT, compact)
        sources.append(el("source", srcset=one.address, media=screen, width=one.width, height=one.height))
    image = el("img", src=light.address, alt=scrub(picture.alt), width=light.width, height=light.height)
    name = "figure wide" if wide else "figure"
    return el("figure", el("picture", *sources, image), el("figcaption", picture.caption), class_=name)
