"""The motor study on the recording itself: each run named from the other, and patterns that agree."""

from __future__ import annotations

import numpy as np
import pytest

from neurodecode.studies import find_study, run_study


@pytest.fixture(scope="module")
def tree(data_root, tmp_path_factory):
    return run_study("motor", data=data_root, out=tmp_path_factory.mktemp("motor"), settings={"permutations": 19})


def test_figures(tree):
    found = {row["name"]: row["found"] for row in tree.attrs["figures"]}
    for name, known in find_study("motor").figures.items():
        assert found[name] == pytest.approx(known["published"], abs=known["tolerance"] + 1e-9), name
    assert found["p"] == 0.05
    assert abs(found["accuracy with permuted labels"] - 0.5) < 0.12


def test_every_movement_is_named_once_by_the_other_run(tree):
    node = tree["hands or feet"]
    assert node.attrs["n_samples"] == 30 and node.attrs["n_folds"] == 2
    assert node["confusion"].values.tolist() == [[14, 0], [0, 16]]
    assert node["score"].item() == 1.0 and tree["where"]["score"].values.max() < 1.0
    rows = {row["coord"]: row for row in node.attrs["leakage"]}
    assert rows["run"]["checked"] and rows["run"]["shared"] == 0 and rows["stimulus"]["shared"] == 0


def test_patterns_agree_between_runs_and_filters_are_no_maps(tree):
    one, two = (tree[f"patterns of run {run}"].to_dataset() for run in (1, 2))
    alike = {name: abs(np.corrcoef(one[name].values[0], two[name].values[0])[0, 1]) for name in ("pattern", "filter")}
    assert alike["pattern"] > 0.9 and alike["filter"] < alike["pattern"]
    # A pattern is smooth over the scalp: neighbours are alike, and more so than in the filter.
    place = np.stack([one[axis].values for axis in "xyz"], axis=1)
    distance = np.linalg.norm(place[:, None] - place[None], axis=2) + np.eye(64)
    nearest = distance.argmin(axis=1)
    smooth = {name: np.corrcoef(one[name].values[0], one[name].values[0][nearest])[0, 1] for name in alike}
    assert smooth["pattern"] > 0.7 and smooth["pattern"] > smooth["filter"]


def test_dry_run(data_root, tmp_path):
    tree = run_study("motor", data=data_root, out=tmp_path, dry_run=True)
    assert len(tree.children) == 4
