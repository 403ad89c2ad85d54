"""Events in time: what is refused, what is listed, and regressors against a fine grid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from nilearn.glm.first_level import make_first_level_design_matrix
from references.sources import slow_boxcar

from neurodecode.exceptions import TimingError
from neurodecode.representation import as_representation
from neurodecode.sources import fmri
from neurodecode.sources.events import repetition_time, run_names

VOLUMES = {1: 20, 2: 20}
TR = 2.0


@pytest.fixture
def events():
    return pd.DataFrame(
        [(1, 4.0, 6.0, "face"), (1, 20.0, 6.0, "house"), (2, 5.0, 6.0, "house"), (2, 30.5, 3.0, "face")],
        columns=["run", "onset", "duration", "trial_type"],
    )


@pytest.fixture
def recording():
    n = sum(VOLUMES.values())
    run = np.repeat([1, 2], 20)
    onset = np.tile(np.arange(20) * TR, 2)
    names = [f"run-{r}_volume-{k:04d}" for r in (1, 2) for k in range(20)]
    return as_representation(
        np.random.default_rng(0).normal(size=(n, 3)),
        stimulus=names,
        kind="fmri",
        sample={"run": run, "onset": onset},
        attrs={"tr": TR},
    )


FAULTS = [
    ({"onset": 40.0}, r"onset 40 s lies after the end of the run at 40 s"),
    ({"onset": 4000.0}, r"milliseconds given as seconds\?"),
    ({"onset": -0.5}, r"onset -0.5 s is negative"),
    ({"onset": np.nan}, r"onset is not a number"),
    ({"duration": np.nan}, r"its duration is nan"),
    ({"duration": -1.0}, r"its duration is -1"),
    ({"duration": 60.0}, r"it ends at 90.5 s, after the end"),
    ({"trial_type": ""}, r"names no trial_type"),
    ({"run": 3}, r"the recording has no run 3"),
]


class TestRead:
    def test_good_events_are_left_alone(self, events):
        table, dropped = fmri.read_events(events, VOLUMES, TR)
        pd.testing.assert_frame_equal(table[list(events.columns)], events)
        assert dropped == []

    @pytest.mark.parametrize(("change", "message"), FAULTS)
    def test_a_fault_is_refused_or_listed(self, events, change, message):
        for name, value in change.items():
            events.loc[3, name] = value
        with pytest.raises(TimingError, match=message):
            fmri.read_events(events, VOLUMES, TR)
        table, dropped = fmri.read_events(events, VOLUMES, TR, invalid="drop")
        assert len(table) == 3 and [one["row"] for one in dropped] == [3]
        assert dropped[0]["reason"]

    def test_overlapping(self, events):
        events.loc[1, "onset"] = 8.0
        with pytest.raises(
            TimingError, match=r"row 1 \(run 1, house\): it begins at 8 s, before face has ended at 10 s"
        ):
            fmri.read_events(events, VOLUMES, TR)
        table, dropped = fmri.read_events(events, VOLUMES, TR, invalid="drop", overlap="drop")
        assert len(table) == 3 and dropped[0]["row"] == 1
        assert len(fmri.read_events(events, VOLUMES, TR, overlap="keep")[0]) == 4

    def test_unsorted(self, events):
        mixed = events.iloc[[1, 0, 3, 2]]
        with pytest.raises(TimingError, match="not in order of run and onset"):
            fmri.read_events(mixed, VOLUMES, TR)
        table, dropped = fmri.read_events(mixed, VOLUMES, TR, invalid="drop")
        pd.testing.assert_frame_equal(table[list(events.columns)], events)
        assert dropped == []

    def test_nothing_left(self, events):
        with pytest.raises(TimingError, match="no event is left"):
            fmri.read_events(events.assign(onset=99.0), VOLUMES, TR, invalid="drop")

    def test_tables_and_columns(self, events, tmp_path):
        events.fillna("n/a").to_csv(tmp_path / "events.tsv", sep="\t", index=False)
        table, _ = fmri.read_events(tmp_path / "events.tsv", VOLUMES, TR)
        pd.testing.assert_frame_equal(table[list(events.columns)], events, check_dtype=False)
        own = [events[events["run"] == run].drop(columns="run") for run in (1, 2)]
        pd.testing.assert_frame_equal(fmri.read_events(own, VOLUMES, TR)[0][list(events.columns)], events)
        with pytest.raises(ValueError, match="no column 'run'"):
            fmri.read_events(events.drop(columns="run"), VOLUMES, TR)
        with pytest.raises(ValueError, match=r"lack the columns \['trial_type'\]"):
            fmri.read_events(events.drop(columns="trial_type"), VOLUMES, TR)
        with pytest.raises(TimingError, match="1 tables of events for 2 runs"):
            fmri.read_events([events], VOLUMES, TR)
        with pytest.raises(ValueError, match="'drop'"):
            fmri.read_events(events, VOLUMES, TR, invalid="ignore")

    def test_names_of_runs_meet_across_types(self):
        assert run_names(["1", 2, 3.0, "x"], [1, 2, 3]) == [1, 2, 3, "x"]
        assert run_names([1, 2], ["1", "2"]) == ["1", "2"]


class TestLabels:
    def test_a_volume_belongs_to_the_event_in_which_it_begins(self, events):
        table = fmri.events_to_labels(events, VOLUMES, TR)
        expected = ["rest"] * 40
        expected[2:5], expected[10:13], expected[23:26] = ["face"] * 3, ["house"] * 3, ["house"] * 3
        expected[36] = "face"
        assert table["label"].tolist() == expected
        assert table["run"].tolist() == [1] * 20 + [2] * 20
        assert table["event"].max() == 3

    def test_the_delay_moves_labels_later(self, events):
        now = fmri.events_to_labels(events, VOLUMES, TR)["label"].to_numpy()
        later = fmri.events_to_labels(events, VOLUMES, TR, delay=4.0)["label"].to_numpy()
        np.testing.assert_array_equal(later[2:20], now[:18])
        assert (later[:2] == "rest").all() and (later[20:22] == "rest").all()

    def test_an_event_between_two_volumes_is_never_lost_in_silence(self, events):
        events.loc[0, ["onset", "duration"]] = [4.5, 1.0]
        with pytest.raises(TimingError, match="no volume begins within its 1 s"):
            fmri.events_to_labels(events, VOLUMES, TR)
        table = fmri.events_to_labels(events, VOLUMES, TR, invalid="drop")
        assert "no volume begins" in table.attrs["dropped"][0]["reason"]

    def test_dropped_events_stand_in_the_recording(self, events, recording):
        import nibabel

        bold = nibabel.Nifti1Image(np.random.default_rng(0).normal(size=(2, 2, 2, 40)), np.eye(4))
        mask = nibabel.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4))
        events.loc[3, "onset"] = 99.0
        with pytest.raises(TimingError):
            fmri.read(bold, mask, events=events, runs=[1] * 20 + [2] * 20, tr=TR)
        X = fmri.read(bold, mask, events=events, runs=[1] * 20 + [2] * 20, tr=TR, invalid="drop")
        assert X.attrs["dropped"][0]["onset"] == 99.0 and X.sizes["sample"] == 9


class TestDesign:
    @pytest.mark.parametrize("shift", [0.0, 0.7, 1.3])
    def test_share_of_the_volume(self, events, recording, shift):
        events["onset"] += shift
        found = fmri.design(events, recording)
        assert found["condition"].values.tolist() == ["face", "house"]
        for column, condition in enumerate(("face", "house")):
            for run in (1, 2):
                expected = slow_boxcar(events, run, 20, TR, condition)
                own = found.values[found["run"].values == run, column]
                np.testing.assert_allclose(own, expected, atol=2e-3)
        np.testing.assert_array_equal(found["stimulus"].values, recording["stimulus"].values)
        assert found.attrs["tr"] == TR and found.attrs["kind"] == "features"

    def test_convolved_as_nilearn_does(self, events, recording):
        found = fmri.design(events, recording, hrf="glover")
        own = events[events["run"] == 1].drop(columns="run")
        matrix = make_first_level_design_matrix(np.arange(20) * TR, own, hrf_model="glover", drift_model=None)
        for column, condition in enumerate(("face", "house")):
            np.testing.assert_allclose(found.values[:20, column], matrix[condition], atol=1e-10)
        peak = np.argmax(found.values[:20, 0]) * TR
        assert 4 + 4 <= peak <= 4 + 6 + 6, "the response follows the event"
        assert fmri.design(events, recording, hrf="glover + derivative")["basis"].values.tolist() == [0, 1, 0, 1]

    def test_an_impulse_is_seen(self, events, recording):
        events["duration"] = 0.0
        found = fmri.design(events, recording)
        assert (np.abs(found.values).sum(axis=0) > 0).all()
        assert found.values[2, 0] == 1.0

    def test_a_regressor_is_never_zero_throughout(self, events, recording):
        early = recording.isel(sample=slice(0, 8))
        with pytest.raises(TimingError):
            fmri.design(events, early)
        events = events[events["run"] == 1]
        holes = recording.isel(sample=[0, 1, 2, 3, 4, 5, 6, 7, 15, 16])
        with pytest.raises(TimingError, match=r"\['house'\] would be zero"):
            fmri.design(events, holes)

    def test_the_recording_must_say_when(self, events, recording):
        with pytest.raises(TimingError, match="a design needs all three"):
            fmri.design(events, recording.drop_vars("onset"))


def test_repetition_time_in_every_unit():
    assert repetition_time(None) is None
    assert repetition_time(None, 0.0, "sec") is None
    assert repetition_time(None, 2500000.0, "usec") == 2.5
    assert repetition_time(2.2, 2.2000000476837, "sec") == 2.2
    with pytest.raises(TimingError, match=r"milliseconds: 0\.8 s"):
        repetition_time(800)
