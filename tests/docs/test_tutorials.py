"""Every tutorial runs from top to bottom, and says what is true."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
sys.path.insert(0, str(DOCS))

from builder import tutorials  # noqa: E402

SCRIPTS = sorted((DOCS / "tutorials").glob("[0-9][0-9]_*.py"))


def test_there_are_tutorials_and_they_are_numbered_from_one():
    assert [path.name[:2] for path in SCRIPTS] == [f"{number:02d}" for number in range(1, len(SCRIPTS) + 1)]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_tutorial_begins_with_its_title(path):
    first = tutorials.read_cells(path.read_text(encoding="utf-8"))[0]
    assert first.kind == "markdown"
    assert first.text.startswith(f"# {int(path.name[:2])}. ")


def test_a_first_encoding_model_finds_what_was_planted():
    cells, space = tutorials.run(DOCS / "tutorials" / "01_first_encoding_model.py")
    found = {
        name: {str(a): float(column.sel(area=a)) for a in column["area"].values}
        for name, column in space["table"].items()
    }
    energy, words = found["energy"], found["words"]
    for area in ("V1", "V2"):
        assert energy[area] > words[area] + 0.2
    for area in ("face area", "house area", "language area"):
        assert words[area] > energy[area] + 0.2
    assert abs(energy["null area"]) < 0.15 and abs(words["null area"]) < 0.15
    for area, planted in space["planted"].items():
        assert energy[area] < planted + 0.15 and words[area] < planted + 0.15
    ceiling = space["ceiling"].values[space["brain"]["roi"].values == "V1"]
    assert np.nanmean(ceiling) == pytest.approx(0.75, abs=0.05)
    assert space["results"]["words"].attrs["degenerate"] == space["brain"].attrs["planted"]["dead_units"]
    null = space["areas"] == "null area"
    assert not (space["results"]["energy"]["p_max"].values[null] < 0.05).any()
    printed = "".join(cell.printed for cell in cells)
    assert "another order" in printed
    assert "stand in training and test" in printed
    assert sum(len(cell.pictures) for cell in cells) == 2
