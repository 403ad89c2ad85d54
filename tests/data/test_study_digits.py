"""The digits study on the recording itself: its figure, and the two ways to miss it."""

from __future__ import annotations

import pytest

from neurodecode.studies import find_study, run_study


@pytest.fixture(scope="module")
def tree(data_root, tmp_path_factory):
    return run_study("digits", data=data_root, out=tmp_path_factory.mktemp("digits"), settings={"permutations": 19})


@pytest.mark.slow
def test_figures(tree):
    found = {row["name"]: row["found"] for row in tree.attrs["figures"]}
    for name, known in find_study("digits").figures.items():
        assert found[name] == pytest.approx(known["published"], abs=known["tolerance"]), name
    assert found["lowest of the shuffles"] >= 0.93
    assert found["standardised, folds in file order"] < 0.85
    assert found["raw voxels, folds in file order"] == 0
    assert abs(found["mean accuracy with permuted labels"] - 0.5) < 0.1


@pytest.mark.slow
def test_five_shuffles_are_five_splits(tree):
    shuffles = [name for name in tree.children if name.startswith("standardised, shuffle")]
    assert len(shuffles) == 5
    assert len({tree[name].attrs["splits"] for name in shuffles}) == 5
    assert all(tree[name].attrs["n_folds"] == 10 for name in shuffles)


@pytest.mark.slow
def test_the_study_says_what_went_wrong(tree):
    said = tree.attrs["answer"] + tree.attrs["method"] + " ".join(tree.attrs["notes"])
    assert "sorted by class" in said and "0.44" in said


def test_dry_run(data_root, tmp_path):
    tree = run_study("digits", data=data_root, out=tmp_path, dry_run=True)
    assert "standardised, shuffle 1" in tree.children and "standardised, shuffle 2" not in tree.children
