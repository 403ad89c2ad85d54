"""One slice of Haxby et al. 2001 through fmri.read, against plain nilearn and scikit-learn."""

from __future__ import annotations

import nibabel
import numpy as np
import pandas as pd
import pytest
from nilearn import signal
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from neurodecode.exceptions import AlignmentError, TimingError
from neurodecode.sources import fmri


@pytest.fixture(scope="module")
def folder(data_root):
    return data_root / "haxby2001_slice"


@pytest.fixture(scope="module")
def blocks(folder):
    return fmri.read(
        folder / "bold_1slice.nii.gz",
        folder / "mask_1slice_brain.nii.gz",
        labels=folder / "labels.csv",
        samples="block",
    )


def test_shape_and_labels(blocks):
    assert blocks.shape == (72, 530)
    assert blocks.attrs["tr"] == 2.5 and blocks.attrs["shape"] == [40, 20, 1]
    assert sorted(set(blocks["category"].values)) == [
        "bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe",
    ]  # fmt: skip
    assert (np.bincount(blocks["run"].values)[1:] == 8).all()
    assert set(blocks["n_volumes"].values) == {9} and set(blocks["duration"].values) == {22.5}
    assert len(set(blocks["stimulus"].values)) == 72


def test_values_equal_plain_nilearn(folder, blocks):
    image = nibabel.load(folder / "bold_1slice.nii.gz")
    mask = np.asarray(nibabel.load(folder / "mask_1slice_brain.nii.gz").dataobj) > 0
    table = pd.read_csv(folder / "labels.csv")
    raw = np.asarray(image.dataobj)[mask].T.astype(float)
    cleaned = signal.clean(raw, runs=table["run"].to_numpy(), detrend=True, standardize="zscore_sample")
    for row in (0, 17, 71):
        own = (table["run"] == int(blocks["run"][row])) & (table["label"] == str(blocks["category"][row].values))
        np.testing.assert_allclose(blocks.values[row], cleaned[own].mean(0), atol=1e-5)


@pytest.mark.parametrize(("scaled", "published"), [(True, 0.72), (False, 0.69)])
def test_eight_categories(blocks, scaled, published):
    steps = [StandardScaler()] if scaled else []
    model = make_pipeline(*steps, LinearSVC(C=0.01))
    y = blocks["category"].values
    found = cross_val_predict(model, blocks.values, y, groups=blocks["run"].values, cv=LeaveOneGroupOut())
    assert np.mean(found == y) == pytest.approx(published, abs=0.02)


def test_events_say_what_the_labels_say(folder, blocks):
    table = pd.read_csv(folder / "labels.csv")
    counts = dict.fromkeys(range(1, 10), 121)
    assert fmri.events_to_labels(folder / "events.tsv", counts, 2.5)["label"].tolist() == table["label"].tolist()
    by_events = fmri.read(
        folder / "bold_1slice.nii.gz",
        folder / "mask_1slice_brain.nii.gz",
        events=folder / "events.tsv",
        runs=table["run"].tolist(),
        samples="block",
    )
    np.testing.assert_array_equal(by_events.values, blocks.values)


def test_motion_leaves_the_signal(folder):
    X = fmri.read(
        folder / "bold_25mm.nii.gz",
        folder / "mask_25mm_brain.nii.gz",
        labels=folder / "labels.csv",
        confounds=folder / "motion.csv",
        drop=(),
        dtype=np.float64,
        atlas=folder / "mask_25mm_hoc.nii.gz",
    )
    motion = pd.read_csv(folder / "motion.csv")
    for run in (1, 9):
        own = X.values[X["run"].values == run]
        moved = signal.clean(motion[motion["run"] == run].iloc[:, 1:].to_numpy(), standardize="zscore_sample")
        assert np.abs(moved.T @ own / len(own)).max() < 1e-8
    inside = np.asarray(nibabel.load(folder / "mask_25mm_brain.nii.gz").dataobj) > 0
    areas = np.asarray(nibabel.load(folder / "mask_25mm_hoc.nii.gz").dataobj)[inside]
    assert X["roi"].values.tolist() == ["outside" if area == 0 else str(area) for area in areas]
    assert any("m0, m1, m2, m3, m4, m5" in line for line in X.attrs["history"])


def test_there_and_back_again(folder):
    X = fmri.read(
        folder / "bold_1slice.nii.gz",
        folder / "mask_1slice_brain.nii.gz",
        labels=folder / "labels.csv",
        detrend=False,
        standardize=False,
        drop=(),
    )
    image = nibabel.load(folder / "bold_1slice.nii.gz")
    mask = np.asarray(nibabel.load(folder / "mask_1slice_brain.nii.gz").dataobj) > 0
    back = fmri.to_image(X)
    np.testing.assert_array_equal(np.asarray(back.dataobj)[mask], np.asarray(image.dataobj)[mask])
    assert not np.asarray(back.dataobj)[~mask].any()
    np.testing.assert_allclose(back.affine, image.affine)


def test_what_is_refused(folder):
    bold, mask, labels = (folder / name for name in ("bold_1slice.nii.gz", "mask_1slice_brain.nii.gz", "labels.csv"))
    with pytest.raises(TimingError, match=r"tr=2 s was given and the header says 2\.5 s"):
        fmri.read(bold, mask, labels=labels, tr=2.0)
    with pytest.raises(TimingError, match="milliseconds"):
        fmri.read(bold, mask, labels=labels, tr=2500)
    with pytest.raises(TimingError, match="differ by 4"):
        fmri.read(bold, mask, labels=pd.read_csv(labels)[:-4])
    with pytest.raises(AlignmentError, match=r"mask \(6, 10, 10\), image \(40, 20, 1\)"):
        fmri.read(bold, folder / "mask_25mm_brain.nii.gz", labels=labels)
    loaded = nibabel.load(mask)
    flipped = nibabel.Nifti1Image(np.asarray(loaded.dataobj), np.diag([-1.0, 1, 1, 1]) @ loaded.affine)
    with pytest.raises(AlignmentError):
        fmri.read(bold, flipped, labels=labels)
