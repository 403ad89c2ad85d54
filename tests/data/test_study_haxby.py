"""The haxby study on the recording itself: the figures it promises, the confusion, the course, the maps."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest

from neurodecode.studies import find_study, run_study

CHEAP = {"permutations": 19, "course_permutations": 0, "map_permutations": 99}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("haxby")


@pytest.fixture(scope="module")
def tree(data_root, out):
    return run_study("haxby", data=data_root, out=out, settings=CHEAP)


@pytest.mark.slow
def test_figures(tree):
    found = {row["name"]: row for row in tree.attrs["figures"]}
    assert set(find_study("haxby").figures) <= set(found)
    for name, known in find_study("haxby").figures.items():
        assert found[name]["found"] == pytest.approx(known["published"], abs=known["tolerance"]), name
    assert found["p of eight categories"]["found"] == 0.05


@pytest.mark.slow
def test_nothing_is_shared_between_runs(tree):
    for node in tree.children.values():
        rows = {row["coord"]: row for row in node.attrs["leakage"]}
        assert rows["run"]["checked"] and rows["run"]["shared"] == 0
        assert rows["stimulus"]["shared"] == 0
        assert node.attrs["assume_aligned"] is False and node.attrs["allow_overlap"] is None


@pytest.mark.slow
def test_confusion_counts_every_block_once(tree):
    eight = tree["eight categories"]
    counts = eight["confusion"].values
    assert counts.sum() == 72 and (counts.sum(axis=1) == 9).all()
    assert np.trace(counts) / 72 == pytest.approx(eight["score"].item())
    assert "within run" in eight.attrs["exchangeability"]


@pytest.mark.slow
def test_the_course_rises_after_the_labels_begin(tree):
    course = tree["time course"]
    assert course["time"].values.tolist() == [2.5 * lag for lag in range(-2, 14)]
    before = course["score"].values[course["time"].values < 0].mean()
    during = course["score"].values[(course["time"].values > 0) & (course["time"].values < 20)].mean()
    after = course["score"].values[course["time"].values > 27].mean()
    assert during > 0.35 and before < 0.2 and after < 0.25


@pytest.mark.slow
def test_maps_lie_on_the_slice(tree, out, data_root):
    two = tree["voxels, face or house"]
    assert two.attrs["shape"] == [40, 20, 1] and two.sizes["unit"] == 530
    selective = np.abs(two["face_minus_house"].values)
    r = two["score"].values
    assert r[selective > 1.5].min() > 0.8, "voxels that differ strongly are predicted in held-out runs"
    mask = np.asarray(nibabel.load(data_root / "haxby2001_slice" / "mask_1slice_brain.nii.gz").dataobj) > 0
    written = nibabel.load(out / "maps" / "voxels-face-or-house_score.nii.gz")
    np.testing.assert_allclose(written.get_fdata()[mask], r, atol=1e-6)


@pytest.mark.slow
def test_files(tree, out):
    rows = json.loads((out / "figures.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in rows] == [row["name"] for row in tree.attrs["figures"]]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "0.72" in page and "leakage" in page.lower() and str(out) not in page


def test_dry_run(data_root, tmp_path):
    tree = run_study("haxby", data=data_root, out=tmp_path, dry_run=True)
    assert set(tree.children) >= {"eight categories", "face or house", "time course", "voxels, eight categories"}
    assert tree["eight categories"].attrs["n_samples"] == 40
    assert (tmp_path / "dry-run" / "report.html").is_file()
