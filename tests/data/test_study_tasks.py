"""The tasks study on the recording itself: the figures it promises, a second way to them, and what a null gives."""

from __future__ import annotations

import json

import numpy as np
import pytest

from neurodecode.sources.recipes import open_recipe
from neurodecode.studies import find_study, run_study

PEOPLE = ("sub1", "sub2", "sub3")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("tasks")


@pytest.fixture(scope="module")
def tree(data_root, out):
    return run_study("tasks", data=data_root, out=out, settings={"permutations": 39})


@pytest.mark.slow
def test_figures(tree):
    found = {row["name"]: row["found"] for row in tree.attrs["figures"]}
    promised = find_study("tasks").figures
    assert len(promised) == 9
    for name, known in promised.items():
        assert found[name] == pytest.approx(known["published"], abs=known["tolerance"]), name


@pytest.mark.slow
def test_a_second_way_to_the_same_numbers(tree, data_root):
    """numpy alone: correlate each pattern of a run with the mean patterns of the eight others."""
    for person, known in zip(PEOPLE, (43, 43, 29)):
        betas = np.load(data_root / "vtc_three_tasks" / f"{person}.npz")["betas"].astype(float)
        runs = betas.reshape(9, 5, -1)
        runs = runs - runs.mean(1, keepdims=True)
        right = 0
        for held in range(9):
            mean = np.delete(runs, held, 0).mean(0)
            right += (np.corrcoef(runs[held], mean)[:5, 5:].argmax(1) == np.arange(5)).sum()
        assert right == known
        assert tree[f"{person}, across runs"]["score"].item() == pytest.approx(right / 45)


@pytest.mark.slow
def test_permuted_categories_are_at_chance(tree):
    for person in PEOPLE:
        for kind in ("across runs", "across tasks"):
            result = tree[f"{person}, {kind}"]
            assert result.attrs["chance"] == pytest.approx(0.2)
            assert result["null"].values.mean() == pytest.approx(0.2, abs=0.05)
            assert result["p"].item() == pytest.approx(1 / 40)
            assert result.attrs["exchangeability"] == "samples shuffled, within run"


@pytest.mark.slow
def test_nothing_is_shared_between_runs(tree):
    for node in tree.children.values():
        rows = {row["coord"]: row for row in node.attrs["leakage"]}
        assert rows["run"]["checked"] and rows["run"]["shared"] == 0 and rows["stimulus"]["shared"] == 0
    assert tree["sub1, within a task"].sizes["fold"] == 9 and tree["sub1, another task"].sizes["fold"] == 18
    assert tree["sub1, across tasks"]["fold"].values.tolist() == ["oddball", "working memory", "selective attention"]


@pytest.mark.slow
def test_files(tree, out):
    rows = json.loads((out / "figures.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in rows] == [row["name"] for row in tree.attrs["figures"]]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Bugatus" in page and "45 patterns" in page and str(out) not in page


def test_recipe(data_root):
    recipe = open_recipe("vtc_three_tasks", data_root)
    centred, raw = recipe.load(), recipe.load(center=False)
    assert [centred[person].shape for person in PEOPLE] == [(45, 749), (45, 918), (45, 1176)]
    for brain in centred.values():
        assert len(set(brain["stimulus"].values)) == 45 and len(set(brain["run"].values)) == 9
        np.testing.assert_allclose(brain.groupby("run").mean("sample").values, 0, atol=1e-5)
    betas = np.load(data_root / "vtc_three_tasks" / "sub2.npz")["betas"]
    one = raw["sub2"][(raw["sub2"]["run"] == "working memory 3") & (raw["sub2"]["category"] == "cars")]
    np.testing.assert_array_equal(one.values[0], betas[1, 2, 2])


def test_dry_run(data_root, tmp_path):
    tree = run_study("tasks", data=data_root, out=tmp_path, dry_run=True)
    assert len(tree.children) == 15
    assert (tmp_path / "dry-run" / "report.html").is_file()
