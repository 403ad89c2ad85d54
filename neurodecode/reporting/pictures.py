"""Pictures inside a page: drawn for light and dark, for a desk and a phone, as SVG or PNG without any other file."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .markup import Html, el
from .style import DARK, LIGHT, Theme, new_axes, rc_context
from .vectors import address_of, slim
from .wording import scrub

PIXELS = 96
MOST_MARKS = 5000
NARROW = 3.4
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
        """As ``src`` or ``srcset`` takes it: text as text, everything else in base64."""
        if self.kind == "image/svg+xml":
            return address_of(self.content.decode("utf-8"))
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
