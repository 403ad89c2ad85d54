"""Whatever was cross-validated can be taken to a group, to a table and, where it lies in a volume, to an image."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from neurodecode.evaluation import SplitBy, cross_validate, group, paired_difference, partition_variance
from neurodecode.linear import BandedRidge, Generalizing, KernelRidge, LinearClassifier, Ridge, Searchlight, Sliding
from neurodecode.reporting import tables
from neurodecode.representation import as_representation
from neurodecode.sources.fmri import to_image

pytestmark = pytest.mark.filterwarnings("ignore::neurodecode.exceptions.NeurodecodeWarning")
LDA = LinearClassifier("lda", shrinkage=0.1)
RUNS = SplitBy("run")
ALPHAS = [0.1, 1.0, 10.0]


def person(seed):
    """Twelve voxels of a small volume, four features in two spaces, five sensors at six times."""
    rng = np.random.default_rng(seed)
    names, category = [f"trial {number}" for number in range(40)], np.arange(40) % 2
    said = {"run": np.repeat([1, 2, 3, 4], 10), "category": category}
    places = np.argwhere(np.ones((3, 2, 2)))
    unit = {axis: places[:, at] for at, axis in enumerate("ijk")} | {"roi": ["a"] * 6 + ["b"] * 6}
    unit |= {axis: 3.0 * places[:, at] for at, axis in enumerate("xyz")}
    brain = as_representation(
        rng.normal(size=(40, 12)) + category[:, None], stimulus=names, kind="fmri", unit=unit, sample=said,
        attrs={"affine": np.diag([3.0, 3, 3, 1]).tolist(), "shape": [3, 2, 2]},
    )  # fmt: skip
    features = as_representation(
        brain.values[:, :4] + rng.normal(size=(40, 4)), stimulus=names, kind="features", sample=said,
        unit={"space": list("ppqq")},
    )  # fmt: skip
    epochs = as_representation(
        rng.normal(size=(40, 5, 6)) + 0.5 * category[:, None, None], stimulus=names, kind="eeg", sample=said,
        unit={"channel": list("abcde")}, attrs={"sfreq": 10.0},
    )  # fmt: skip
    return brain, features, epochs.assign_coords(time=np.arange(6) / 10)


JOBS = {
    "ridge": lambda B, F, E: cross_validate(Ridge(ALPHAS), F, B, RUNS, score="r"),
    "banded": lambda B, F, E: cross_validate(
        BandedRidge(by="space", alphas=ALPHAS, random_state=0), F, B, RUNS, score="r2"
    ),
    "kernel": lambda B, F, E: cross_validate(KernelRidge(alphas=ALPHAS), F, B, RUNS, score="r"),
    "partition": lambda B, F, E: partition_variance(BandedRidge(by="space", alphas=ALPHAS, random_state=0), F, B, RUNS),
    "searchlight": lambda B, F, E: cross_validate(
        Searchlight(LDA, radius=4.0), B, B["category"], RUNS, score="accuracy"
    ),
    "classes": lambda B, F, E: cross_validate(LDA, B, B["category"], RUNS, score="accuracy"),
    "sliding": lambda B, F, E: cross_validate(Sliding(LDA), E, E["category"], RUNS, score="auc"),
    "generalizing": lambda B, F, E: cross_validate(Generalizing(LDA), E, E["category"], RUNS, score="auc"),
}
PLACED = ("ridge", "banded", "kernel", "partition", "searchlight")


@pytest.mark.parametrize("name", JOBS)
def test_group_table_and_image(name, tmp_path):
    found = {f"person {seed}": JOBS[name](*person(seed)) for seed in range(5)}
    one = found["person 0"]
    together = group(found)
    assert together["score"].sizes["subject"] == 5
    np.testing.assert_allclose(together["mean"], np.mean([each["score"] for each in found.values()], axis=0))
    for result, column in ((one, "score"), (together, "score")):
        tables.to_csv(result, tmp_path / "scores.csv")
        with (tmp_path / "scores.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == one["score"].size
        np.testing.assert_allclose(
            [float(row[column]) for row in rows], np.ravel(one["score"] if result is one else together["mean"])
        )
    if name in PLACED:
        places = tuple(one[axis].values for axis in "ijk")
        for result, variable in ((one, "score"), (together, "mean")):
            image = to_image(result, variable=variable)
            assert image.shape == (3, 2, 2)
            np.testing.assert_allclose(image.get_fdata()[places], result[variable], rtol=1e-6)


def test_a_difference_of_two_models_is_a_map_too():
    brain, features, _ = person(0)
    first = cross_validate(Ridge(ALPHAS), features, brain, RUNS, score="r")
    second = cross_validate(KernelRidge("rbf", ALPHAS), features, brain, RUNS, score="r")
    assert to_image(paired_difference(first, second), variable="difference").shape == (3, 2, 2)


def test_people_in_other_volumes_have_no_image_together():
    brain, features, _ = person(0)
    moved = brain.assign_attrs(affine=np.diag([2.0, 2, 2, 1]).tolist())
    found = {
        str(n): cross_validate(Ridge(ALPHAS), features, one, RUNS, score="r") for n, one in enumerate((brain, moved))
    }
    assert "affine" not in group(found).attrs
