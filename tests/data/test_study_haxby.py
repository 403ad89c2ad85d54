"""The haxby study on the recording itself: the figures it promises, the confusion, the course, the maps."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest

from neurodecode.evaluation import SplitBy, cross_validate
from neurodecode.linear import LinearClassifier, Searchlight
from neurodecode.sources.recipes import open_recipe
from neurodecode.studies import find_study, run_study

CHEAP = {"permutations": 19, "course_permutations": 0, "map_permutations": 99, "searchlight_permutations": 19}


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
        assert node.attrs["splits"] == "SplitBy('run')"
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
def test_the_searchlight_finds_places_and_permuted_labels_do_not(tree, out):
    light = tree["searchlight"]
    assert light.sizes["unit"] == 530 and light.attrs["chance"] == pytest.approx(0.125)
    assert light["score"].values.max() > 0.6 > light["score"].values.mean() > 0.2
    null = light["null"].values
    assert null.shape == (19, 530) and null.mean() == pytest.approx(0.125, abs=0.02)
    assert null.max(axis=1).mean() < 0.35
    # What stands out when all are looked at is a part of what stands out by itself.
    assert 50 < (light["p_max"].values <= 0.05).sum() < (light["p"].values <= 0.05).sum() < 530
    assert (out / "maps" / "searchlight_score.nii.gz").is_file()


@pytest.mark.slow
def test_the_searchlight_is_lda_of_the_voxels_around_each(tree, data_root):
    """A second way: scikit-learn in three spheres, cut out by hand."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_score

    blocks = open_recipe("haxby2001_slice", root=data_root).load()["brain"]
    places = np.stack([blocks[axis].values for axis in "xyz"], axis=1)
    light = tree["searchlight"]["score"].values
    mine = cross_validate(
        Searchlight(LinearClassifier("lda", shrinkage=0.1), radius=8.0), blocks, blocks["category"], SplitBy("run"),
        score="accuracy",
    )  # fmt: skip
    for centre in (0, 260, int(light.argmax())):
        near = np.linalg.norm(places - places[centre], axis=1) <= 8.0
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
        found = cross_val_score(
            model, blocks.values[:, near], blocks["category"].values, groups=blocks["run"].values, cv=LeaveOneGroupOut()
        )
        assert mine["score"].values[centre] == pytest.approx(found.mean(), abs=1e-9)


def test_a_planted_place_is_found_on_the_slice_and_nothing_elsewhere(data_root):
    """Noise on the voxels of the slice, with categories planted in the voxels around one of them."""
    blocks = open_recipe("haxby2001_slice", root=data_root).load()["brain"]
    rng = np.random.default_rng(7)
    places = np.stack([blocks[axis].values for axis in "xyz"], axis=1)
    far = np.linalg.norm(places - places[200], axis=1)
    _, code = np.unique(blocks["category"].values, return_inverse=True)
    noise = rng.normal(size=blocks.shape)
    noise[:, far <= 6.0] += 2.0 * rng.normal(size=(8, (far <= 6.0).sum()))[code]
    drawn = blocks.copy(data=noise.astype(blocks.dtype))
    light = cross_validate(
        Searchlight(LinearClassifier("lda", shrinkage="auto"), radius=8.0), drawn, drawn["category"], SplitBy("run"),
        score="accuracy", permutations=19, random_state=1,
    )  # fmt: skip
    assert far[int(light["score"].values.argmax())] <= 8.0
    assert light["score"].values[200] > 0.7 and light["p_max"].values[200] == pytest.approx(0.05)
    outside = far > 6.0 + 8.0 + 0.1
    assert light["score"].values[outside].mean() == pytest.approx(0.125, abs=0.02)
    assert (light["p_max"].values[outside] <= 0.05).sum() <= 2


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
