"""Real pictures and real calcium recordings through the doors, against what their READMEs say."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict

from neurodecode.exceptions import DegenerateDataError
from neurodecode.representation import check_same_samples
from neurodecode.sources import calcium, stimuli

WORMS = {
    "swf415_2022-01-16-01": 0.78,
    "swf702_2022-07-26-31": 0.49,
    "swf702_2022-07-27-31": 0.59,
    "swf702_2022-07-27-38": 0.69,
    "swf702_2022-08-02-31": 0.54,
    "swf702_2022-08-02-38": 0.43,
}


def test_630_pictures_of_63_categories(data_root):
    folder = data_root / "object2vec_objects"
    pictures = stimuli.read(folder / "images_96px", folder / "images.csv")
    assert pictures.shape == (630, 96, 96, 3) and pictures.attrs["duplicates"] == []
    names, counts = np.unique(pictures["category"].values, return_counts=True)
    assert len(names) == 63 and set(counts) == {10}
    assert all(str(s).startswith(str(c)) for s, c in zip(pictures["stimulus"].values, pictures["category"].values))
    small = stimuli.to_tensor(pictures[:5], 32, mean=stimuli.IMAGENET_MEAN, std=stimuli.IMAGENET_STD)
    assert small.shape == (5, 3, 32, 32) and small.attrs["size"] == [32, 32]


def test_digits_are_pictures_too(data_root):
    loaded = np.load(data_root / "vangerven2010_digits" / "digits69.npz")
    pictures = stimuli.read(loaded["stimulus_28x28"], loaded["label"], duplicates="allow")
    assert pictures.shape == (90, 28, 28, 1) and set(pictures["category"].values) == {"6", "9"}


@pytest.mark.parametrize(("animal", "published"), WORMS.items())
def test_velocity_of_a_worm(data_root, animal, published):
    path = data_root / "celegans_nsm2023" / f"{animal}.npz"
    X, B = calcium.read(path, trace="trace_z", timestamps="timestamp_s", behaviour=["velocity"])
    check_same_samples(X, B)
    loaded = np.load(path)
    np.testing.assert_array_equal(X.values, loaded["trace_z"])
    assert X.attrs["sfreq"] == pytest.approx(1.5, abs=0.2) and set(X["run"].values) == {1}
    found = cross_val_predict(Ridge(alpha=100), X.values.astype(float), B.values[:, 0], cv=KFold(5))
    assert np.corrcoef(found, B.values[:, 0])[0, 1] == pytest.approx(published, abs=0.02)


def test_behaviour_that_was_not_seen(data_root):
    path = data_root / "celegans_nsm2023" / "swf702_2022-07-26-31.npz"
    said = {"trace": "trace_z", "timestamps": "timestamp_s", "behaviour": ["velocity", "pumping"]}
    with pytest.raises(DegenerateDataError, match="'pumping': 800"):
        calcium.read(path, **said)
    assert calcium.read(path, **said, nan_policy="drop_targets").behaviour.attrs["dropped"] == ["pumping"]


def test_assemblies_of_a_fish(data_root):
    folder = data_root / "zebrafish_triplett2018"
    cells = np.load(folder / "zf_20151104-f1.npz")["cell_xy"]
    X, _ = calcium.read(
        folder / "zf_20151104-f1.npz",
        trace="activity",
        sfreq=2.2,
        neuron={"x": cells[:, 0], "y": cells[:, 1]},
    )
    assert X.shape == (4245, 114), "cell x frame was turned round by the coordinates of the cells"
    r = np.corrcoef(X.values.T)
    with (folder / "zf_20151104-f1_assembly_assignments.csv").open() as lines:
        assemblies = [[int(cell) - 1 for cell in row] for row in csv.reader(lines)]
    within = [np.mean([r[a, b] for n, a in enumerate(group) for b in group[:n]]) for group in assemblies]
    assert np.mean(within) == pytest.approx(0.33, abs=0.01)
    assert np.mean(r[np.triu_indices(114, 1)]) == pytest.approx(0.09, abs=0.01)
