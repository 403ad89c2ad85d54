"""EEG around events: planted responses found where they were put, and nothing lost without being listed."""

from __future__ import annotations

import importlib

import mne
import numpy as np
import pandas as pd
import pytest

from neurodecode.exceptions import (
    AlignmentError,
    DegenerateDataError,
    MissingExtraError,
    NeurodecodeWarning,
    TimingError,
)
from neurodecode.representation import check_representation, concat
from neurodecode.sources import eeg

RATE = 100.0
NAMES = ["Fz", "Cz", "Pz", "Oz", "P3", "P4"]
ONSETS = [1.0, 2.5, 4.0, 6.0, 8.0]


def values(seed=0, n=1000, channels=6):
    return np.random.default_rng(seed).normal(size=(channels, n))


def recording(data=None, **more):
    data = values() if data is None else data
    given = {"sfreq": RATE, "channels": NAMES[: len(data)], "positions": "standard_1005", "units": "uV"} | more
    return eeg.from_array(data, **given)


def table(onsets=ONSETS, kinds="ababa"):
    return pd.DataFrame({"onset": onsets, "trial_type": list(kinds)})


def cut(raw=None, **how):
    given = {"events": table(), "event_id": ["a", "b"], "tmin": -0.2, "tmax": 0.5} | how
    return eeg.epochs(recording() if raw is None else raw, **given)


class TestWhatIsCut:
    def test_every_value_is_that_of_the_recording(self):
        X = cut()
        check_representation(X)
        assert X.dims == ("sample", "unit", "time")
        for row, onset in enumerate(ONSETS):
            first = round((onset - 0.2) * RATE)
            np.testing.assert_allclose(X.values[row], values()[:, first : first + 71] * 1e-6, atol=1e-18)
        np.testing.assert_allclose(X["time"].values, np.arange(-20, 51) / RATE)

    def test_labels_and_attrs(self):
        X = cut(run=3, subject="sub-01", dataset="here", recording="first")
        assert X["channel"].values.tolist() == NAMES
        assert X["category"].values.tolist() == list("ababa")
        assert X["onset"].values.tolist() == ONSETS
        assert X["run"].values.tolist() == [3] * 5
        assert X["stimulus"].values[1] == "first_run-3_event-0001"
        assert len(set(X["stimulus"].values.tolist())) == 5
        for key, said in {"kind": "eeg", "units": "V", "sfreq": RATE, "rank": 6, "bads": [], "dataset": "here"}.items():
            assert X.attrs[key] == said, key
        assert X.attrs["dropped"] == [] and X.attrs["other_events"] == {}
        head = mne.channels.make_standard_montage("standard_1005").get_positions()["ch_pos"]
        assert np.abs(np.stack([X[axis].values for axis in "xyz"], 1)).max() < 0.15
        assert X["y"].values[0] > X["y"].values[3] and X["x"].values[4] < 0 < X["x"].values[5]
        assert set(NAMES) <= set(head)

    @pytest.mark.parametrize("how", ["table", "numbers", "annotations", "file"])
    def test_events_may_come_in_any_form(self, how, tmp_path):
        raw = recording()
        if how == "table":
            events = table().assign(stimulus=list("vwxyz"), contrast=[0.1, 0.2, 0.3, 0.4, 0.5])
        elif how == "numbers":
            events = np.array([[round(onset * RATE), 0, 1 + (kind == "b")] for onset, kind in zip(ONSETS, "ababa")])
        elif how == "annotations":
            raw.set_annotations(mne.Annotations(ONSETS, 0, list("ababa")))
            events = None
        else:
            events = tmp_path / "events.tsv"
            table().assign(duration="n/a").to_csv(events, sep="\t", index=False)
        X = cut(raw, events=events, event_id={"a": 1, "b": 2} if how == "numbers" else {"a": "a", "b": "b"})
        np.testing.assert_array_equal(X.values, cut().values)
        assert X["category"].values.tolist() == list("ababa")
        if how == "table":
            assert X["stimulus"].values.tolist() == list("vwxyz")
            assert X["contrast"].values.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]

    def test_a_recording_that_begins_late_is_counted_from_its_first_sample(self):
        raw = recording()
        raw.set_annotations(mne.Annotations(ONSETS, 0, list("ababa")))
        late = raw.copy().crop(2.0)
        assert late.first_samp == 200
        numbers, codes = mne.events_from_annotations(late, verbose="ERROR")
        for events, event_id in ((None, ["a", "b"]), (numbers, codes)):
            X = cut(late, events=events, event_id=event_id)
            assert X["onset"].values.tolist() == [0.5, 2.0, 4.0, 6.0]
            np.testing.assert_array_equal(X.values, cut().values[1:])

    def test_a_name_stands_for_what_begins_with_it(self):
        raw = recording()
        said = ["target/code1", "nontarget/code2", "target/code3", "nontarget/code1", "pause"]
        raw.set_annotations(mne.Annotations(ONSETS, 0, said))
        X = cut(raw, events=None, event_id=["target", "nontarget"])
        assert X["category"].values.tolist() == ["target", "nontarget", "target", "nontarget"]
        assert X["event"].values.tolist() == said[:4]
        assert X.attrs["other_events"] == {"pause": 1}

    def test_codes_may_share_a_category(self):
        events = np.array([[round(onset * RATE), 0, code] for onset, code in zip(ONSETS, (1, 2, 3, 4, 9))])
        X = cut(events=events, event_id={"low": [1, 2], "high": [3, 4]})
        assert X["category"].values.tolist() == ["low", "low", "high", "high"]
        assert X["event"].values.tolist() == ["1", "2", "3", "4"]
        assert X.attrs["other_events"] == {"9": 1}

    def test_files(self, tmp_path):
        recording().save(tmp_path / "mine_raw.fif", verbose="ERROR")
        X = cut(tmp_path / "mine_raw.fif")
        np.testing.assert_allclose(X.values, cut().values, rtol=1e-6, atol=1e-12)
        assert X["stimulus"].values[0] == "mine_raw_event-0000"

    def test_the_recording_is_left_as_it_was(self):
        raw = recording()
        before, info = raw.get_data(), raw.info.copy()
        cut(raw, l_freq=1, h_freq=20, reference="average", bads=["Oz"])
        np.testing.assert_array_equal(raw.get_data(), before)
        assert raw.info["bads"] == info["bads"] == []


class TestProcessing:
    def test_a_planted_response_comes_back_at_its_time_channel_and_sign(self):
        data = values(seed=3)
        for onset, kind in zip(ONSETS, "ababa"):
            if kind == "a":
                data[2, round((onset + 0.3) * RATE) - 3 : round((onset + 0.3) * RATE) + 4] += 30
        X = cut(recording(data), baseline=(None, 0))
        difference = (X[[0, 2, 4]].mean("sample") - X[[1, 3]].mean("sample")).values
        channel, at = np.unravel_index(np.argmax(difference), difference.shape)
        assert NAMES[channel] == "Pz" and abs(X["time"].values[at] - 0.3) <= 0.03
        assert 25e-6 < difference.max() < 35e-6
        assert np.abs(np.delete(difference, 2, axis=0)).max() < 5e-6, "no other channel shows it"

    def test_filter_is_that_of_the_whole_recording(self):
        t = np.arange(1000) / RATE
        data = np.stack([np.sin(2 * np.pi * f * t) for f in (0.2, 10.0, 40.0)])
        X = cut(recording(data), l_freq=5.0, h_freq=20.0)
        power = X.values.std(axis=(0, 2)) / (np.sqrt(0.5) * 1e-6)
        assert power[1] == pytest.approx(1, abs=0.03)
        assert power[0] < 0.02 and power[2] < 0.02
        assert X.attrs["band"] == [5.0, 20.0]

    def test_decimation_keeps_every_so_manieth_time(self):
        full, few = cut(h_freq=8.0), cut(h_freq=8.0, decimate=5)
        np.testing.assert_allclose(few.values, full.values[:, :, ::5])
        assert few.attrs["sfreq"] == 20.0 and "folds_above" not in few.attrs
        assert cut(h_freq=20.0, decimate=5).attrs["folds_above"] == 10.0

    def test_decimation_without_a_filter_says_so(self):
        with pytest.warns(NeurodecodeWarning, match=r"folds back. Pass h_freq"):
            cut(decimate=5)

    def test_baseline(self):
        X = cut(recording(values() + 100), baseline=(-0.2, 0))
        before = X.values[:, :, X["time"].values <= 0].mean(axis=2)
        np.testing.assert_allclose(before, 0, atol=1e-18)

    def test_average_reference_costs_a_rank(self):
        X = cut(reference="average")
        np.testing.assert_allclose(X.values.mean(axis=1), 0, atol=1e-18)
        assert X.attrs["rank"] == 5 and X.attrs["reference"] == "average"

    def test_another_reference(self):
        X = cut(reference=["Cz"])
        np.testing.assert_allclose(X.values[:, 0], cut().values[:, 0] - cut().values[:, 1], atol=1e-18)
        assert (X.values[:, 1] == 0).all() and X.attrs["rank"] == 5

    def test_bad_channels_are_left_out_and_listed(self):
        X = cut(recording(bads=["Pz"]), bads=["Oz"])
        assert X["channel"].values.tolist() == ["Fz", "Cz", "P3", "P4"]
        assert X.attrs["bads"] == ["Pz", "Oz"] and X.attrs["rank"] == 4
        assert any("left out: Pz, Oz" in line for line in X.attrs["history"])

    def test_bad_channels_are_interpolated_only_when_asked(self):
        X = cut(bads=["Pz"], bad_channels="interpolate")
        assert X["channel"].values.tolist() == NAMES
        assert X.attrs["rank"] == 5 and X.attrs["bads"] == ["Pz"]
        np.testing.assert_array_equal(X.values[:, 1], cut().values[:, 1])
        assert np.abs(X.values[:, 2] - cut().values[:, 2]).max() > 1e-7
        np.testing.assert_array_equal(cut(bads=["Pz"], bad_channels="keep").values, cut().values)
        with pytest.raises(AlignmentError, match="positions"):
            cut(recording(positions=None), bads=["Pz"], bad_channels="interpolate")

    def test_other_kinds_of_channels_stay_out(self):
        raw = recording()
        raw.set_channel_types({"Fz": "eog", "Cz": "mag"}, verbose="ERROR", on_unit_change="ignore")
        assert cut(raw)["channel"].values.tolist() == NAMES[2:]
        magnetic = cut(raw, picks="mag")
        assert magnetic.attrs["kind"] == "meg" and magnetic.attrs["units"] == "T"
        with pytest.raises(AlignmentError, match="different units"):
            cut(raw, picks=["Fz", "Pz"])
        with pytest.raises(AlignmentError, match="no channel Xz"):
            cut(raw, picks=["Xz"])
        with pytest.raises(AlignmentError, match="no ecog channel"):
            cut(raw, picks="ecog")


class TestNothingIsLostInSilence:
    def test_edges_amplitude_and_bad_stretches(self):
        data = values()
        data[3, 400] += 500
        raw = recording(data)
        raw.set_annotations(mne.Annotations([6.1, 2.0], [0.1, 0.0], ["bad_blink", "note"]))
        X = cut(raw, events=table([0.1, *ONSETS, 9.8], "aababab"), reject=100e-6)
        assert X["onset"].values.tolist() == [1.0, 2.5, 8.0]
        listed = {row["onset"]: row["reason"] for row in X.attrs["dropped"]}
        assert set(listed) == {0.1, 4.0, 6.0, 9.8}
        assert "before the recording" in listed[0.1] and "over the end" in listed[9.8]
        assert "amplitude" in listed[4.0] and "Oz" in listed[4.0]
        assert "bad_blink" in listed[6.0]
        assert [row["row"] for row in X.attrs["dropped"]] == [0, 3, 4, 6]
        assert X["stimulus"].values.tolist() == [f"recording_event-{row:04d}" for row in (1, 2, 5)]
        kept = cut(raw, events=table([0.1, *ONSETS, 9.8], "aababab"), reject_by_annotation=False)
        assert kept["onset"].values.tolist() == ONSETS

    def test_flat_epochs(self):
        data = values()
        data[0, 550:660] = 0
        X = cut(recording(data), flat={"eeg": 1e-9})
        assert [row["onset"] for row in X.attrs["dropped"]] == [6.0]

    def test_none_left_says_why(self):
        with pytest.raises(DegenerateDataError, match="none of 5 epochs is left: 5 times amplitude out of bounds"):
            cut(reject=1e-9)

    @pytest.mark.parametrize(
        ("onset", "said"), [(np.nan, "not a number"), (-0.5, "before the recording"), (12.0, "after the end"),
                            (8000.0, "milliseconds")]
    )  # fmt: skip
    def test_events_that_cannot_be_placed(self, onset, said):
        events = table([1.0, onset, 4.0], "aba")
        with pytest.raises(TimingError, match=rf"1 of 3 events cannot be placed: row 1 \(b\).*{said}"):
            cut(events=events)
        X = cut(events=events, invalid="drop")
        assert X["onset"].values.tolist() == [1.0, 4.0]
        assert [row["row"] for row in X.attrs["dropped"]] == [1] and said in X.attrs["dropped"][0]["reason"]

    def test_the_same_for_numbers(self):
        events = np.array([[100, 0, 1], [-5, 0, 1], [400, 0, 1], [5000, 0, 1]])
        with pytest.raises(TimingError, match="2 of 4 events"):
            cut(events=events, event_id={"a": 1})
        assert len(cut(events=events, event_id={"a": 1}, invalid="drop").attrs["dropped"]) == 2
        with pytest.raises(TimingError, match="1 of 4"):
            cut(events=np.where(events == 5000, np.nan, np.abs(events).astype(float)), event_id={"a": 1})
        with pytest.raises(TimingError, match="whole numbers"):
            cut(events=events + np.array([0.5, 0, 0]), event_id={"a": 1})

    def test_unsorted_and_double(self):
        with pytest.raises(TimingError, match=r"not in order of onset \(row 1 at 4 s\)"):
            cut(events=table([1.0, 4.0, 2.5], "aba"))
        X = cut(events=table([1.0, 4.0, 2.5], "aba"), invalid="drop")
        assert X["onset"].values.tolist() == [1.0, 2.5, 4.0] and X["category"].values.tolist() == ["a", "a", "b"]
        with pytest.raises(TimingError, match="same sample"):
            cut(events=table([1.0, 1.0, 2.5], "aba"))
        assert len(cut(events=table([1.0, 1.0, 2.5], "aba"), invalid="drop").attrs["dropped"]) == 1

    def test_no_event_left(self):
        with pytest.raises(TimingError, match="no event is left"):
            cut(events=table([-1.0], "a"), event_id=["a"], invalid="drop")


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("how", "error", "said"),
        [
            ({"event_id": ["a", "c"]}, ValueError, "no event 'c'"),
            ({"event_id": {"x": "a", "y": "a"}}, ValueError, "name it once"),
            ({"event_id": {}}, ValueError, "names no event"),
            ({"events": np.zeros((3, 2))}, ValueError, r"expected \(n, 3\)"),
            ({"events": pd.DataFrame({"time": [1.0]})}, ValueError, "lacks the columns"),
            ({"events": "nowhere.tsv"}, FileNotFoundError, "no file"),
            ({"events": None}, ValueError, "no annotations"),
            ({"tmin": 0.5, "tmax": 0.5}, TimingError, "empty"),
            ({"tmin": -200, "tmax": 500}, TimingError, "milliseconds"),
            ({"decimate": 0}, ValueError, "whole number"),
            ({"bads": ["Xz"]}, AlignmentError, "no channel Xz"),
            ({"bads": NAMES}, DegenerateDataError, "all 6 channels are marked bad"),
            ({"bad_channels": "forget"}, ValueError, "leave out"),
            ({"invalid": "ignore"}, ValueError, "drop"),
        ],
    )
    def test_arguments(self, how, error, said):
        with pytest.raises(error, match=said):
            cut(**how)

    def test_what_is_no_recording(self):
        with pytest.raises(TypeError, match=r"eeg.from_array"):
            cut(values())
        with pytest.raises(FileNotFoundError, match="nowhere"):
            cut("nowhere_raw.fif")

    def test_values_that_are_not_finite(self):
        raw = recording()
        raw._data[4, 7] = np.nan
        with pytest.raises(DegenerateDataError, match="in the channels P3"):
            cut(raw)
        assert cut(raw, bads=["P3"]).sizes["unit"] == 5

    @pytest.mark.parametrize(
        ("how", "error", "said"),
        [
            ({"units": "V"}, DegenerateDataError, "microvolts"),
            ({"units": "counts"}, ValueError, "uV"),
            ({"channels": NAMES[:5]}, AlignmentError, "5 names"),
            ({"channels": ["Fz"] * 6}, AlignmentError, "1 different"),
            ({"positions": np.zeros((5, 3))}, AlignmentError, "expected"),
            ({"positions": np.full((6, 3), 90.0)}, AlignmentError, "metres"),
            ({"sfreq": 0.0}, TimingError, "rate"),
            ({"kind": "eog"}, ValueError, "eeg"),
            ({"bads": ["Q"]}, AlignmentError, "no channel Q"),
        ],
    )
    def test_arrays(self, how, error, said):
        with pytest.raises(error, match=said):
            recording(**how)

    def test_an_array_the_wrong_way_round(self):
        with pytest.raises(AlignmentError, match="samples x channels"):
            recording(values().T, channels=NAMES)
        with pytest.raises(DegenerateDataError, match="not finite"):
            recording(np.where(values() > 3, np.nan, values()))

    def test_without_mne(self, monkeypatch):
        raw = recording()
        forbid(monkeypatch, "mne")
        with pytest.raises(MissingExtraError, match="reading EEG needs mne"):
            cut(raw)


def forbid(monkeypatch, package):
    """As if the package were not installed."""
    known = importlib.import_module

    def absent(name, *more):
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return known(name, *more)

    monkeypatch.setattr(importlib, "import_module", absent)


class TestMeeting:
    def test_runs_are_joined(self):
        both = concat({"one": cut(run=1), "two": cut(recording(values(1)), run=2)}, dim="sample")
        assert both.sizes["sample"] == 10 and len(set(both["stimulus"].values.tolist())) == 10
        assert both.attrs["sfreq"] == RATE

    def test_other_montages_and_rates_are_refused_with_names(self):
        with pytest.raises(AlignmentError, match=r"'channel': unit 5 is POz, was P4"):
            concat({"one": cut(run=1), "two": cut(recording(channels=[*NAMES[:5], "POz"]), run=2)}, dim="sample")
        with pytest.raises(AlignmentError, match="5 units, 6"):
            concat({"one": cut(run=1), "two": cut(bads=["Pz"], run=2)}, dim="sample")
        moved = recording(positions=np.random.default_rng(0).normal(size=(6, 3)) * 0.05)
        with pytest.raises(AlignmentError, match="differ from those at fit in 'x'"):
            concat({"one": cut(run=1), "two": cut(moved, run=2)}, dim="sample")
        fast = recording(values(n=2000), sfreq=200.0)
        with pytest.raises(TimingError, match="'one' and 'two' differ along 'time'"):
            concat({"one": cut(run=1), "two": cut(fast, run=2)}, dim="sample")


class TestEpochsOfMne:
    def made(self, **more):
        raw = recording()
        numbers = np.array([[round(onset * RATE), 0, 1 + (kind == "b")] for onset, kind in zip(ONSETS, "ababa")])
        given = {"tmin": -0.2, "tmax": 0.5, "baseline": None, "preload": True, "verbose": "ERROR"} | more
        return mne.Epochs(raw, numbers, {"a": 1, "b": 2}, **given)

    def test_the_same_as_cutting(self, tmp_path):
        X = eeg.from_epochs(self.made(), subject="sub-01")
        np.testing.assert_allclose(X.values, cut().values, atol=1e-18)
        for name in ("category", "onset", "channel", "time"):
            np.testing.assert_array_equal(X[name].values, cut()[name].values)
        self.made().save(tmp_path / "mine-epo.fif", verbose="ERROR")
        stored = eeg.from_epochs(tmp_path / "mine-epo.fif")
        np.testing.assert_allclose(stored.values, X.values, rtol=1e-6, atol=1e-12)
        assert stored["stimulus"].values[0] == "mine-epo_event-0000"

    def test_dropped_and_metadata(self):
        more = pd.DataFrame({"contrast": [1.0, 2.0, 3.0, 4.0, 5.0], "category": list("vwxyz")})
        made = self.made(reject={"eeg": 6.0e-6}, metadata=more)
        X = eeg.from_epochs(made, bad_channels="keep")
        assert X.sizes["sample"] == len(made) < 5
        assert len(X.attrs["dropped"]) == 5 - len(made)
        assert "amplitude" in X.attrs["dropped"][0]["reason"]
        np.testing.assert_array_equal(X["contrast"].values, made.metadata["contrast"])
        assert set(X["category"].values.tolist()) <= {"a", "b"}

    def test_confusions(self):
        with pytest.raises(TypeError, match="epochs\\(\\)"):
            eeg.from_epochs(recording())
        with pytest.raises(TypeError, match="from_epochs"):
            cut(self.made())
        made = self.made()
        made._data[1, 4, 3] = np.inf
        with pytest.raises(DegenerateDataError, match="P3"):
            eeg.from_epochs(made)


def test_bids_without_its_package_names_the_extra(monkeypatch):
    forbid(monkeypatch, "mne_bids")
    with pytest.raises(MissingExtraError, match=r"neurodecode\[bids\]"):
        eeg.bids("folder", subject="01", task="rest", tmin=0, tmax=1)


def test_a_bids_folder(tmp_path):
    mne_bids = pytest.importorskip("mne_bids", reason="mne-bids is not installed")
    raw = recording()
    raw.set_annotations(mne.Annotations(ONSETS, 0.1, list("ababa")))
    raw.info["line_freq"] = 50
    raw.info["bads"] = ["Oz"]
    place = mne_bids.BIDSPath(root=tmp_path / "study", subject="01", task="see", run=1, datatype="eeg")
    mne_bids.write_raw_bids(raw, place, format="BrainVision", allow_preload=True, verbose="ERROR")
    X = eeg.bids(tmp_path / "study", subject="01", task="see", run=1, event_id=["a", "b"], tmin=-0.2, tmax=0.5)
    np.testing.assert_allclose(X.values, cut(bads=["Oz"]).values, atol=2e-7)
    assert X["category"].values.tolist() == list("ababa")
    assert X.attrs["bads"] == ["Oz"] and X.attrs["dataset"] == "study"
    assert X["subject"].values[0] == "sub-01"
    with pytest.raises(FileNotFoundError, match="sub-02"):
        eeg.bids(tmp_path / "study", subject="02", task="see", tmin=-0.2, tmax=0.5)


class TestAmplifiers:
    """Recordings as an amplifier stores them: whole numbers with a gain, and a channel of codes."""

    def test_gain_and_offset_give_volts(self):
        rng = np.random.default_rng(3)
        stored, gain, offset = rng.integers(-3000, 3000, (2, 400)), np.array([0.5, 0.25]), np.array([10, -4])
        raw = eeg.from_array(stored, sfreq=100, channels=["Cz", "Pz"], units="uV", gain=gain, offset=offset)
        np.testing.assert_allclose(raw.get_data(), 1e-6 * (stored - offset[:, None]) * gain[:, None], rtol=1e-12)
        one = eeg.from_array(stored, sfreq=100, channels=["Cz", "Pz"], units="uV", gain=0.5).get_data()
        np.testing.assert_allclose(one, 0.5e-6 * stored, rtol=1e-12)

    def test_codes_become_events_where_they_begin(self):
        codes = np.array([3, 3, 0, 0, 1, 1, 2, 0, 1])
        by_hand = [(at, codes[at - 1] if at else 0, codes[at]) for at in range(9)
                   if codes[at] and (at == 0 or codes[at] != codes[at - 1])]  # fmt: skip
        found = eeg.from_codes(codes)
        assert [tuple(row) for row in found.tolist()] == by_hand == [(0, 0, 3), (4, 0, 1), (6, 1, 2), (8, 0, 1)]
        np.testing.assert_array_equal(eeg.from_codes(codes.astype(float)), found)
        np.testing.assert_array_equal(eeg.from_codes(codes > 0)[:, 2], [1, 1, 1])

    def test_they_are_those_of_mne(self):
        mne = pytest.importorskip("mne")
        rng = np.random.default_rng(4)
        codes = np.repeat(rng.integers(0, 4, 60), rng.integers(2, 9, 60))
        codes[0] = 0
        stim = mne.io.RawArray(codes[None].astype(float), mne.create_info(["STI"], 100.0, "stim"), verbose="ERROR")
        theirs = mne.find_events(stim, "STI", consecutive=True, verbose="ERROR")
        np.testing.assert_array_equal(eeg.from_codes(codes), theirs)
