"""EEG recordings through their recipes: what lies in the files is what comes out, in volts, at the right time."""

from __future__ import annotations

import mne
import numpy as np
import pytest

from neurodecode.exceptions import AlignmentError, TimingError
from neurodecode.representation import check_representation, concat
from neurodecode.sources import eeg, recipes

KNOWN = {
    "eeg_p300_speller": ((720, 8, 26), {"nontarget": 600, "target": 120}, 32.0),
    "eeg_motor_hands_feet": ((30, 64, 576), {"feet": 14, "hands": 16}, 160.0),
    "eeg_oddball_p300": ((100, 64, 19), {"O": 80, "X": 20}, 20.0),
}


@pytest.mark.parametrize("name", KNOWN)
def test_recipes(name, data_root):
    recipe = recipes.open_recipe(name, root=data_root)
    recipe.require_files()
    X = check_representation(recipe.load()["brain"])
    shape, counts, rate = KNOWN[name]
    assert X.shape == shape
    names, n = np.unique(X["category"].values, return_counts=True)
    assert dict(zip(names.tolist(), n.tolist())) == counts
    assert X.attrs["sfreq"] == rate and X.attrs["units"] == "V" and X.attrs["kind"] == "eeg"
    assert X.attrs["rank"] == shape[1] and X.attrs["dropped"] == []
    assert len(set(X["stimulus"].values.tolist())) == shape[0]
    assert 2e-6 < X.values.std() < 50e-6, "volts"
    radius = np.sqrt(sum(X[axis].values ** 2 for axis in "xyz"))
    assert radius.min() > 0.05 and radius.max() < 0.15, "metres"


def test_the_fif_and_the_numbers_are_one_recording(data_root):
    folder = data_root / "eeg_p300_speller"
    with np.load(folder / "run1.npz") as stored:
        microvolts = (stored["signal"] - stored["offset"][:, None]) * stored["gain"][:, None].astype(float)
        code, kind, names = stored["stimulus_code"], stored["stimulus_type"], stored["ch_names"]
    begins = np.flatnonzero((code != 0) & (np.r_[0, code[:-1]] == 0))
    events = np.stack([begins, np.zeros_like(begins), 1 + kind[begins]], axis=1).astype(int)
    raw = eeg.from_array(microvolts, sfreq=256.0, channels=names, positions="standard_1020", units="uV")
    how = {"tmin": 0.0, "tmax": 0.8, "l_freq": 0.5, "h_freq": 20.0, "decimate": 8}
    mine = eeg.epochs(raw, events=events, event_id={"nontarget": 1, "target": 2}, **how)
    theirs = eeg.epochs(folder / "run1_raw.fif", event_id=["target", "nontarget"], **how)
    np.testing.assert_allclose(mine.values, theirs.values, atol=1e-9)
    for name in ("category", "onset", "channel", "time"):
        np.testing.assert_array_equal(mine[name].values, theirs[name].values)


def test_the_letters_are_those_of_the_text(data_root):
    X = recipes.open_recipe("eeg_p300_speller", root=data_root).load()["brain"]
    matrix = np.array(X.attrs["matrix"])
    spelled = ""
    for letter in (1, 2, 3, 4):
        mine = X["letter"].values == letter
        assert mine.sum() == 180
        codes = np.unique(X["code"].values[mine & (X["category"].values == "target")])
        spelled += str(matrix[codes[0] - 1, codes[1] - 7])
    assert spelled == X.attrs["text"] == "T3OF"


def test_the_same_numbers_as_mne(data_root):
    path = data_root / "eeg_p300_speller" / "run1_raw.fif"
    raw = mne.io.read_raw_fif(path, preload=True, verbose="ERROR").filter(0.5, 20, verbose="ERROR")
    numbers, codes = mne.events_from_annotations(raw, verbose="ERROR")
    cut = mne.Epochs(
        raw, numbers, codes, -0.1, 0.6, baseline=(None, 0), reject={"eeg": 80e-6}, preload=True, verbose="ERROR"
    )
    X = eeg.epochs(path, tmin=-0.1, tmax=0.6, l_freq=0.5, h_freq=20, baseline=(None, 0), reject=80e-6)
    np.testing.assert_allclose(X.values, cut.get_data(verbose="ERROR"), atol=1e-12)
    assert X.sizes["sample"] + len(X.attrs["dropped"]) == len(numbers) == 720
    assert 0 < len(X.attrs["dropped"]) < 720
    np.testing.assert_array_equal(eeg.from_epochs(cut)["event"].values, X["event"].values)


def test_a_window_one_sample_too_long_loses_an_epoch_and_says_which(data_root):
    load = recipes.open_recipe("eeg_motor_hands_feet", root=data_root).load
    X = load(tmax=4.1)["brain"]
    assert X.sizes["sample"] == 28 and load()["brain"].sizes["sample"] == 30


def test_recordings_that_differ_are_not_joined(data_root):
    motor = recipes.open_recipe("eeg_motor_hands_feet", root=data_root).load(tmin=0.0, tmax=0.5)["brain"]
    speller = recipes.open_recipe("eeg_p300_speller", root=data_root).load(tmin=0.0, tmax=0.5)["brain"]
    with pytest.raises((AlignmentError, TimingError), match=r"'motor'|units"):
        concat({"motor": motor, "speller": speller}, dim="sample")


def test_an_edf_file(data_root):
    path = data_root / "eeg_mental_arithmetic" / "Subject00_2.edf"
    events = np.array([[1000 * k, 0, 1] for k in range(1, 20)])
    scalp = [name for name in mne.io.read_raw_edf(path, verbose="ERROR").ch_names if name.startswith("EEG ")]
    how = {"h_freq": 40.0, "decimate": 5, "reference": "average", "picks": scalp}
    X = eeg.epochs(path, events=events, event_id={"piece": 1}, tmin=0.0, tmax=1.0, **how)
    assert X.sizes["sample"] == 19 and X.attrs["kind"] == "eeg"
    assert X.attrs["rank"] == X.sizes["unit"] - 1
