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


def test_there_are_tutorials_and_each_has_a_number_of_its_own():
    numbers = [int(path.name[:2]) for path in SCRIPTS]
    assert numbers[0] == 1 and len(set(numbers)) == len(numbers)


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


def told(monkeypatch, folder):
    """Tutorial 2 with its language model from a folder of recordings, checked against what it planted."""
    monkeypatch.setenv("NEURODECODE_DATA", str(folder))
    cells, space = tutorials.run(DOCS / "tutorials" / "02_stories_and_delays.py")
    score = {
        name: {area: float(result["score"].values[own].mean()) for area, own in space["in_area"].items()}
        for name, result in space["results"].items()
    }
    areas = space["areas"]
    for area in list(areas)[:4]:
        assert score["response"][area] > score["same volume"][area] + 0.2
        assert score["delays"][area] > score["same volume"][area] + 0.1
    assert all(abs(one["null area"]) < 0.1 for one in score.values())
    lead = {area: score["response"][area] - score["delays"][area] for area in areas}
    assert lead["language"] > 0.05 > lead["late language"]
    for area, found in space["peaks"].items():
        assert found == pytest.approx(areas[area][0], abs=1.0)
    assert space["peaks"]["late language"] > space["peaks"]["language"] + 1
    before = space["course"][space["seconds"] < 0][:, space["in_area"]["word area"]].mean()
    assert abs(before) < 0.2 * space["course"][:, space["in_area"]["word area"]].mean(1).max()
    for area, (_, shares) in areas.items():
        found, truth = space["found"][area], space["truth"][area]
        assert found.argmax() == truth.argmax() or not shares
        for name, value, planted in zip(space["spaces"], found, truth):
            absent = name not in shares
            assert abs(value) < 0.03 if absent else 0.01 < value < planted + 0.05
    np.testing.assert_allclose(space["split"]["product"].sum("band"), space["split"]["score"], atol=1e-10)
    printed = "".join(cell.printed for cell in cells)
    assert "no multiple of the repetition time 2 s" in printed
    assert sum(len(cell.pictures) for cell in cells) == 3
    return space, printed


@pytest.mark.slow
def test_comparing_representations_finds_what_was_planted():
    cells, space = tutorials.run(DOCS / "tutorials" / "03_comparing_representations.py")
    found, values = space["found"], space["values"]
    best = {name: str(one["model"].values[one["mean"].values.argmax()]) for name, one in found.items()}
    assert best["V1"] == "contrast" and best["language area"] == "words"
    for name in ("V1", "language area"):
        result = found[name]
        assert result["p_fdr"].sel(model=best[name]) < 0.01 < result["p_fdr"].sel(model="noise")
        assert result["mean"].max() < result["ceiling_upper"]
    lower = {name: float(space["noise_ceiling"](rdms)["lower"]) for name, rdms in space["group"].items()}
    assert abs(lower["null area"]) < 0.03 < 0.2 < min(lower["V1"], lower["language area"])
    assert values["cka"][1] > 0.4 and abs(values["cka_debiased"][1]) < 0.05 and values["cka_debiased"][0] > 0.8
    assert float(space["tested"]["p"]) > 0.05
    attrs = space["matched"].attrs
    assert attrs["p_held_out"] < 0.05 and attrs["best_held_out"] > attrs["matched_held_out"] > 0.5
    assert "'another'" in "".join(cell.printed for cell in cells)
    assert sum(len(cell.pictures) for cell in cells) == 5
    shown = space["written"].read_text(encoding="utf-8")
    assert "Which model orders the stimuli as the data do?" in shown
    assert all(f">{name.capitalize()}</h3>" in shown for name in space["results"]), "each of them stands on the page"


@pytest.mark.slow
def test_stories_and_delays_without_the_weights(monkeypatch, tmp_path):
    space, _ = told(monkeypatch, tmp_path)
    assert not space["learnt"]


@pytest.mark.slow
def test_stories_and_delays_with_the_model_that_learnt(monkeypatch, data_root):
    space, printed = told(monkeypatch, data_root)
    assert space["learnt"]
    assert "Once upon a time" in printed


def timed(monkeypatch, folder):
    """Tutorial 11 with a recording from a folder, checked against what was planted in its simulated people."""
    monkeypatch.setenv("NEURODECODE_DATA", str(folder))
    cells, space = tutorials.run(DOCS / "tutorials" / "11_eeg_over_time.py")
    times, found = space["times"], space["found"]
    significant = found["significant"].values
    assert not significant[times < 0.1].any() and not significant[times > 0.55].any()
    for moment in (0.17, 0.36):
        assert significant[np.abs(times - moment).argmin()]
    assert not significant[(times > 0.21) & (times < 0.26)].any(), "two stretches, not one"
    across, early, late = space["across"], space["early"], space["late"]
    assert min(across[early, early], across[late, late]) > 0.6
    assert max(abs(across[early, late] - 0.5), abs(across[late, early] - 0.5)) < 0.06
    assert sum(one["p"] < 0.05 for one in space["square"].attrs["clusters"]) == 2
    assert min(space["alike"].values()) > 0.8
    printed = "".join(cell.printed for cell in cells)
    assert "X has 81 times, Sliding was fitted to 91" in printed
    return space, printed, sum(len(cell.pictures) for cell in cells)


@pytest.mark.slow
def test_eeg_over_time_without_a_recording(monkeypatch, tmp_path):
    space, printed, pictures = timed(monkeypatch, tmp_path)
    assert not space["recorded"] and "not there" in printed and pictures == 4


@pytest.mark.slow
def test_eeg_over_time_with_a_recording(monkeypatch, data_root):
    space, _, pictures = timed(monkeypatch, data_root)
    assert pictures == 5 and 0.4 < space["peak"] < 0.6 and space["letters"]["p_max"].values.min() == 0.05


@pytest.mark.slow
def test_where_does_this_area_look_finds_what_was_planted():
    cells, space = tutorials.run(DOCS / "tutorials" / "08_where_does_this_area_look.py")
    table = space["table"]
    gain = {str(area): table["difference"].sel(area=area) for area in table["area"].values}
    sure = {str(area): table["p_fdr"].sel(area=area).values < 0.05 for area in table["area"].values}
    for kind in ("face", "house"):
        area = f"{kind} area"
        assert (gain[area] > 0.05).all() and sure[area].all()
        on, exchanged = space["shares"][kind]
        assert on > 0.7 > 0.4 > exchanged
        lost = space["lost"].sel(query=area)
        assert float(lost["drop"]) > 0.15 > 0.06 > float(lost["drop_random"])
    assert float(gain["V1"].sel(rival="ridge")) < -0.1 and sure["V1"][0]
    assert min(space["agreement"]) > 0.8
    assert sum(len(cell.pictures) for cell in cells) == 3
