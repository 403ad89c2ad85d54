"""The worm study on the recordings themselves: six animals, the animal as the unit."""

from __future__ import annotations

import numpy as np
import pytest

from neurodecode.studies import find_study, run_study


@pytest.fixture(scope="module")
def tree(data_root, tmp_path_factory):
    return run_study("worm", data=data_root, out=tmp_path_factory.mktemp("worm"), settings={"permutations": 99})


def test_figures(tree):
    found = {row["name"]: row["found"] for row in tree.attrs["figures"]}
    known = find_study("worm").figures
    assert len(known) == 6
    for name, row in known.items():
        assert found[name] == pytest.approx(row["published"], abs=row["tolerance"]), name
    assert found["largest p of an animal"] <= 0.05
    pooled, stretches = found["mean over animals"], found["mean over animals, stretches scored one by one"]
    assert abs(pooled - stretches) < 0.1, "the level of a stretch is not what carries the figure"


def test_score_is_over_all_held_out_predictions(tree):
    for node in tree.children.values():
        assert node.attrs["pool"] == "predictions" and node.attrs["n_folds"] == 5
        truth, predicted = node["truth"].values[:, 0], node["prediction"].values[:, 0]
        assert np.corrcoef(truth, predicted)[0, 1] == pytest.approx(node["score"].item())


def test_the_null_shifts_in_time(tree):
    for node in tree.children.values():
        assert "circular shifts" in node.attrs["exchangeability"]
        assert np.quantile(node["null"].values, 0.975) < node["score"].item()
        assert np.std(node["null"].values) > 0.03, "shifted recordings are not all the same"


def test_dry_run(data_root, tmp_path):
    tree = run_study("worm", data=data_root, out=tmp_path, dry_run=True)
    assert len(tree.children) == 2
