"""The speller study on the recording itself: AUC, letters, course, maps."""

from __future__ import annotations

import numpy as np
import pytest

from neurodecode.studies import find_study, run_study

CHEAP = {"permutations": 19, "course_permutations": 0}


@pytest.fixture(scope="module")
def tree(data_root, tmp_path_factory):
    return run_study("p300", data=data_root, out=tmp_path_factory.mktemp("p300"), settings=CHEAP)


def test_figures(tree):
    found = {row["name"]: row["found"] for row in tree.attrs["figures"]}
    for name, known in find_study("p300").figures.items():
        assert found[name] == pytest.approx(known["published"], abs=known["tolerance"] + 1e-9), name
    assert found["letters spelled of the last two"] == 2
    assert found["p of AUC, leaving one letter out"] == 0.05, "the smallest that 19 permutations allow"


def test_whole_letters_are_held_out(tree):
    node = tree["one letter out"]
    assert node.attrs["n_folds"] == 4 and node.attrs["n_samples"] == 720
    assert "within letter" in node.attrs["exchangeability"]
    assert np.abs(node["null"].mean() - 0.5) < 0.03


def test_the_answer_comes_after_the_flash(tree):
    course = tree["when"]["score"].values[0]
    time = tree["when"]["time"].values
    assert np.abs(course[time < 0.06] - 0.5).max() < 0.06, "nothing is known yet"
    assert course.max() > 0.8 and 0.15 < time[np.argmax(course)] < 0.25


def test_scalp_maps(tree):
    scalp = tree["topographies"].to_dataset()
    unit, at = np.unravel_index(np.argmax(np.abs(scalp["difference"].values)), scalp["difference"].shape)
    assert scalp["channel"].values[unit] == "Fz" and 0.18 <= float(scalp["time"][at]) <= 0.22
    assert 15e-6 < scalp["difference"].values[unit, at] < 35e-6
    assert scalp["pattern"].shape == (1, 8)
    assert tree["where"].sizes["unit"] == 8 and tree["where"]["score"].values.min() > 0.5


def test_dry_run(data_root, tmp_path):
    tree = run_study("p300", data=data_root, out=tmp_path, dry_run=True)
    assert set(tree.children) == {"one letter out", "two letters out", "when", "where", "topographies"}
    assert "T3OF" in tree.attrs["answer"]
