"""One hand for every picture: colours, type and axes, in a light and a dark variant.

Categories take Okabe and Ito's colours in a fixed order (Okabe & Ito 2008, Color Universal Design); the dark variant
keeps the hues and lifts the lightness, so that an area or a model is the same colour on both pages. Every category has
a marker of its own as well, which keeps pictures readable in grey.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from textwrap import fill
from typing import Any

import numpy as np

from .._names import lookup
from .._optional import require

PURPOSE = "drawing results"
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "p")


@dataclass(frozen=True)
class Theme:
    """The colours of one variant: ``paper`` lies behind the picture, ``ink`` is text, ``muted`` is secondary text."""

    name: str
    paper: str
    ink: str
    muted: str
    line: str
    null: str
    ceiling: str
    accent: str
    categories: tuple[str, ...] = field(repr=False, default=())
    diverging: tuple[str, ...] = field(repr=False, default=())


LIGHT = Theme(
    name="light",
    paper="#ffffff",
    ink="#1b1d21",
    muted="#5b6068",
    line="#b4b8bf",
    null="#d9dbdf",
    ceiling="#a9cfe4",
    accent="#0072b2",
    categories=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#b87f00", "#3a3d42", "#9a9100"),
    diverging=("#08306b", "#2f79b5", "#a9cbe2", "#f5f5f5", "#f7c492", "#dd7a1e", "#7a3300"),
)
DARK = Theme(
    name="dark",
    paper="#16181d",
    ink="#e8e9ec",
    muted="#a3a8b1",
    line="#5b616c",
    null="#3a3f48",
    ceiling="#2f6d94",
    accent="#4ea8e0",
    categories=("#4ea8e0", "#f28233", "#23bf92", "#df9cc3", "#9ad4f7", "#e6a817", "#c9ccd2", "#f0e442"),
    diverging=("#a9d4f5", "#4ea8e0", "#1f5d8a", "#30343c", "#8a4b12", "#ee8a2c", "#ffd3a1"),
)
THEMES = {"light": LIGHT, "dark": DARK}
FAINT = 0.3
LETTERS_AN_INCH = 10  # of a label along a colour bar, in inches of the figure
MARGIN = 0.09  # inches at both sides: the letters of a browser may be wider than those that were measured
TURNED = 1.6  # inches that turned labels and a colour bar may leave over a matrix


def theme_of(theme: str | Theme) -> Theme:
    """The theme of that name.

    Examples
    --------
    >>> theme_of("dark").paper
    '#16181d'
    """
    return theme if isinstance(theme, Theme) else lookup(THEMES, theme, "theme")


def colours(names: Iterable[str], theme: str | Theme = "light") -> dict[str, str]:
    """Colour of each name, in the order in which they come; after eight names the order begins again.

    Examples
    --------
    >>> colours(["alexnet", "words"])
    {'alexnet': '#0072b2', 'words': '#d55e00'}
    """
    palette = theme_of(theme).categories
    return {name: palette[number % len(palette)] for number, name in enumerate(dict.fromkeys(names))}


def looks(
    series: Sequence[str], names: Sequence[str], theme: str | Theme = "light"
) -> tuple[dict[str, str], dict[str, str]]:
    """Colour and marker of every result, the same in every picture of a study.

    The same under another setting, ``layer1`` and ``layer1 (voxel)``, has one look, where no picture holds both; where
    colours come again, it is with another marker.

    Examples
    --------
    >>> looks(["words"], ["alexnet", "words"])
    ({'words': '#d55e00'}, {'words': 's'})
    """
    plain = {name: re.sub(r"(?<=\w) \([^()]*\)$", "", name) for name in [*names, *series]}
    if len({plain[name] for name in series}) < len(series):
        plain = {name: name for name in plain}
    known = list(dict.fromkeys(plain[name] for name in (names if set(series) <= set(names) else series)))
    palette = colours(known, theme)
    markers = {name: MARKERS[(at + at // len(MARKERS)) % len(MARKERS)] for at, name in enumerate(known)}
    return {name: palette[plain[name]] for name in series}, {name: markers[plain[name]] for name in series}


def rc(theme: str | Theme = "light") -> dict[str, Any]:
    """matplotlib settings of a theme, for ``matplotlib.rc_context``; nothing is set globally."""
    theme = theme_of(theme)
    return {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 10,
        "axes.labelsize": 10,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9.5,
        "legend.fontsize": 9,
        "legend.frameon": False,
        "text.color": theme.ink,
        "text.parse_math": False,
        "text.usetex": False,
        "axes.formatter.use_mathtext": False,
        "axes.labelcolor": theme.ink,
        "axes.edgecolor": theme.line,
        "axes.facecolor": "none",
        "axes.linewidth": 0.8,
        "axes.grid": False,
        "figure.facecolor": theme.paper,
        "figure.dpi": 96,
        "xtick.color": theme.line,
        "ytick.color": theme.line,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "hatch.linewidth": 0.7,
        "svg.fonttype": "none",
        "svg.hashsalt": "neurodecode",
        "svg.image_inline": True,
    }


def new_axes(width: float, height: float, theme: str | Theme = "light") -> Any:
    """Axes of a new figure (``width`` x ``height`` inches) that belongs to no window and no global state."""
    figures = require("matplotlib.figure", purpose=PURPOSE)
    backend = require("matplotlib.backends.backend_agg", purpose=PURPOSE)
    figure = figures.Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=MARGIN)
    backend.FigureCanvasAgg(figure)
    return figure.add_subplot()


def rc_context(theme: str | Theme = "light") -> Any:
    """Context in which everything that is drawn follows the theme; leaves matplotlib as it was."""
    return require("matplotlib", purpose=PURPOSE).rc_context(rc(theme))


def styled(draw: Callable[..., Any]) -> Callable[..., Any]:
    """A plot that runs inside the settings of its theme and leaves matplotlib as it was."""

    @wraps(draw)
    def inside(*args: Any, theme: str | Theme = "light", **keywords: Any) -> Any:
        with rc_context(theme):
            return draw(*args, theme=theme_of(theme), **keywords)

    return inside


def note(
    ax: Any, text: str, at: tuple[float, float], frame: str = "data", offset: tuple[float, float] = (0, 0), **words: Any
) -> Any:
    """Text beside a point, shifted by ``offset`` printer's points; it may stand outside the axes.

    ``frame`` is ``"data"``; ``"side"``: x from 0 to 1 across the axes and y in data; ``"edge"``: the other way round.
    """
    frames = {"data": "data", "side": ax.get_yaxis_transform(), "edge": ax.get_xaxis_transform()}
    words = {"fontsize": 9, "va": "center", "parse_math": False, "annotation_clip": False} | words
    return ax.annotate(text, at, xycoords=frames[frame], xytext=offset, textcoords="offset points", **words)


def colour_bar(ax: Any, image: Any, label: str, theme: Theme, compact: bool = False) -> Any:
    """A slim colour bar without a box: beside a matrix or a map, or under it where the picture is narrow."""
    place = (
        {"location": "bottom", "shrink": 0.9, "aspect": 30} if compact else {"shrink": 0.8, "aspect": 22, "pad": 0.03}
    )
    bar = ax.figure.colorbar(image, ax=ax, **place)
    if compact:
        ticks = require("matplotlib.ticker", purpose=PURPOSE)
        bar.locator = ticks.MaxNLocator(5)
        bar.update_ticks()
    across = int(ax.figure.get_size_inches()[0] * (LETTERS_AN_INCH + 0.8))
    width = across if compact else upright(bar.ax, label, 1.5)
    bar.set_label(fill(label, width, break_on_hyphens=False), color=theme.ink)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelcolor=theme.ink, labelsize=8.5)
    return bar


def upright(ax: Any, label: str, share: float = 1.2) -> int:
    """How many letters of a label along ``share`` of the height of the axes fit on one line."""
    least = (ax.figure.get_size_inches()[1] - TURNED) * LETTERS_AN_INCH
    if len(label) > least:  # it may not fit: the height is known once everything has its place
        ax.figure.draw_without_rendering()
        least = ax.get_window_extent().height / ax.figure.dpi * LETTERS_AN_INCH * share
    return int(max(12.0, least))


def turned(labels: list[str], room: int) -> dict[str, Any]:
    """How labels under an axis stand: upright where they fit into ``room`` letters, else at 45 degrees."""
    if sum(len(label) + 1 for label in labels) <= room:
        return {"rotation": 0, "ha": "center"}
    return {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}


def keys_below(ax: Any, keys: list[Any], theme: Theme, *, below: float = 0.5, compact: bool = False) -> None:
    """The meaning of bands and marks in a row under the axes, without a box, ``below`` inches under them.

    In a narrow picture they stand at the foot of the figure, two in a row.
    """
    transforms = require("matplotlib.transforms", purpose=PURPOSE)
    look = {"frameon": False, "handlelength": 1.5, "columnspacing": 1.6, "handletextpad": 0.6, "borderaxespad": 0}
    words = [str(key.get_label()) for key in keys]
    width = float(ax.figure.get_size_inches()[0])
    if compact:
        most = columns_of(words, width - 0.1, 8.5, 3 if max(map(len, words), default=0) < 9 else 2)
        look |= {"ncols": most, "fontsize": 8.5, "borderpad": 0.3}
        legend = ax.figure.legend(handles=keys, loc="outside lower left", **look)
    else:
        under = ax.transAxes + transforms.ScaledTranslation(0, -below, ax.figure.dpi_scale_trans)
        place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": under}
        beside = max((len(label.get_text()) for label in ax.get_yticklabels()), default=0) * 0.072 + 0.3
        look |= {"ncols": columns_of(words, width - beside, 9, 4 if len(keys) <= 12 else 6), "fontsize": 9}
        legend = ax.legend(handles=keys, borderpad=0, **place, **look)
    for text in legend.get_texts():
        text.set_color(theme.muted)
        text.set_parse_math(False)


def columns_of(labels: list[str], width: float, size: float, most: int) -> int:
    """How many columns of keys fit into ``width`` inches at ``size`` points; keys fill one column after the other.

    Examples
    --------
    >>> columns_of(["mean", "null"], 4, 9, 4), columns_of(["a long name of a group"] * 4, 4, 9, 4)
    (2, 2)
    """
    for columns in range(min(most, len(labels)), 1, -1):
        widest = [max(map(len, part)) for part in np.array_split(np.array(labels, dtype=object), columns)]
        if sum(0.57 * letters + 3.3 for letters in widest) * size / 72 <= width:
            return columns
    return 1


def dress(ax: Any, theme: Theme, *, left: bool = True, grid: str | None = None) -> Any:
    """Quiet axes: no box, thin lines, words in ink; ``grid`` is ``"x"`` or ``"y"`` for faint rules."""
    theme = theme_of(theme)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(theme.line)
    ax.tick_params(color=theme.line, labelcolor=theme.ink, length=3)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_color(theme.ink)
    if not left:
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
    if grid is not None:
        ax.grid(axis=grid, color=theme.line, alpha=0.35, linewidth=0.6)
        ax.set_axisbelow(True)
    return ax


def frame(ax: Any, theme: Theme) -> Any:
    """Axes of a matrix or a map: no spines, no tick marks, labels in ink."""
    theme = theme_of(theme)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(length=0, labelcolor=theme.ink)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_color(theme.ink)
    return ax


def diverging(theme: str | Theme = "light") -> Any:
    """Blue, paper, orange: for values on both sides of a centre."""
    theme = theme_of(theme)
    colors = require("matplotlib.colors", purpose=PURPOSE)
    return colors.LinearSegmentedColormap.from_list(f"neurodecode_{theme.name}", theme.diverging)


def sequential() -> Any:
    """viridis: even steps of lightness, the same for colour-blind readers."""
    return require("matplotlib", purpose=PURPOSE).colormaps["viridis"]


def readable_on(rgba: Any) -> str:
    """Black or white, whichever can be read on a colour (relative luminance of WCAG 2.1).

    Examples
    --------
    >>> readable_on((1, 1, 0, 1)), readable_on((0.2, 0, 0.3, 1))
    ('#111111', '#ffffff')
    """
    rgb = np.asarray(rgba, dtype=float)[:3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
    return "#111111" if luminance > 0.2 else "#ffffff"
