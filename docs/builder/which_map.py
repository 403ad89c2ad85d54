"""Draws ``docs/images/which_map.svg``, the chart at the top of the page on linear maps; run it after a change.

python docs/builder/which_map.py
"""

from __future__ import annotations

import html
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "images" / "which_map.svg"
# (question, what to take where the answer is yes, what it is for)
STEPS = [
    ("Is a sample an epoch,", "with times in it?", [
        ("one answer at every moment", "Sliding, Generalizing"),
        ("a rhythm's power: filters", "CSP, SPoC, SSD"),
        ("its covariances as points", "TangentSpace, MinimumDistance"),
        ("the whole course at once", "Xdawn, stack_time"),
    ]),
    ("Do both sides run on", "in time?", [
        ("EEG, MEG: a kernel over lags", "TemporalResponse"),
        ("fMRI: before any map below", "Delays, FIR, HRF"),
    ]),
    ("Is the question where", "it can be told?", [
        ("around every place", "Searchlight"),
        ("a sparse map of classes", "SpaceNetClassifier"),
        ("a sparse map of a number", "SpaceNetRegressor"),
    ]),
    ("Are classes predicted?", "", [
        ("weights and probabilities", "LinearClassifier"),
        ("few samples, many voxels", "CorrelationClassifier"),
    ]),
    ("Are there several", "spaces of features?", [
        ("a penalty for each space", "BandedRidge"),
        ("a map for each, then weights", "StackedRegression"),
    ]),
    ("Do targets share few", "dimensions?", [("components of both sides", "LatentRegression")]),
    ("May the map be curved?", "", [("a kernel between samples", "KernelRidge")]),
]  # fmt: skip
LAST = ("Otherwise, and first of all", "Ridge")
STYLE = """
  text { font: 14px system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif; fill: #1b1d21 }
  .said { font-size: 13px; fill: #5b6068 } .name { font-weight: 600; fill: #0072b2 }
  .box { fill: #f4f5f7; stroke: #b4b8bf }
  .rule { stroke: #8a9099; stroke-width: 1.4; fill: none } .tip { fill: #8a9099 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e8e9ec } .said { fill: #a3a8b1 } .name { fill: #4ea8e0 }
    .box { fill: #1f232a; stroke: #5b616c } .rule { stroke: #7d8490 } .tip { fill: #7d8490 }
  }
"""
WIDTH, BOX, LEFT, LINE, GAP = 740, 200, 256, 21, 26


def draw() -> str:
    """The chart as SVG: questions down the left, what to take to their right."""
    parts: list[str] = []
    y = 8
    for first, second, answers in STEPS:
        height = max(50, LINE * len(answers) + 12)
        middle = y + height / 2
        parts.append(f'<rect class="box" x="4" y="{y}" width="{BOX}" height="{height}" rx="6"/>')
        lines = [line for line in (first, second) if line]
        for number, line in enumerate(lines):
            at = middle + 5 + 18 * (number - (len(lines) - 1) / 2)
            parts.append(_text(4 + BOX / 2, at, line, anchor="middle"))
        parts.append(_arrow(4 + BOX, middle, LEFT - 8, middle))
        parts.append(_text(4 + BOX + 14, middle - 6, "yes", "said"))
        for number, (said, names) in enumerate(answers):
            at = middle + 5 + LINE * (number - (len(answers) - 1) / 2)
            parts.append(_text(LEFT, at, said, "said"))
            parts.append(_text(LEFT + 206, at, names, "name"))
        parts.append(_arrow(4 + BOX / 2, y + height, 4 + BOX / 2, y + height + GAP - 2))
        parts.append(_text(4 + BOX / 2 + 8, y + height + 16, "no", "said"))
        y += height + GAP
    parts.append(f'<rect class="box" x="4" y="{y}" width="{BOX}" height="34" rx="6"/>')
    parts.append(_text(4 + BOX / 2, y + 22, LAST[0], anchor="middle"))
    parts.append(_arrow(4 + BOX, y + 17, LEFT - 8, y + 17))
    parts.append(_text(LEFT, y + 22, "a penalty for each target", "said"))
    parts.append(_text(LEFT + 206, y + 22, LAST[1], "name"))
    height = y + 42
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    return (
        f"{head}>\n<title>Which linear map to use</title>\n<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _text(x: float, y: float, words: str, css: str = "", anchor: str = "start") -> str:
    look = f' class="{css}"' if css else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{look}>{html.escape(words)}</text>'


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    across = to_x > x
    tip = f"{to_x - 7:g},{to_y - 4:g} {to_x:g},{to_y:g} {to_x - 7:g},{to_y + 4:g}"
    tip = tip if across else f"{to_x - 4:g},{to_y - 7:g} {to_x:g},{to_y:g} {to_x + 4:g},{to_y - 7:g}"
    end = (to_x - 6, to_y) if across else (to_x, to_y - 6)
    return f'<path class="rule" d="M{x:g} {y:g}L{end[0]:g} {end[1]:g}"/><polygon class="tip" points="{tip}"/>'


def names() -> list[str]:
    """Every name of ``neurodecode.linear`` in the chart."""
    shown = [names for _, _, answers in STEPS for _, names in answers] + [LAST[1]]
    return [name for row in shown for name in row.split(", ")]


if __name__ == "__main__":
    TARGET.write_text(draw(), encoding="utf-8")
