"""Calcium traces: the same samples for neurons and behaviour, and lengths that must agree."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neurodecode.exceptions import AlignmentError, DegenerateDataError, IntegrityError, TimingError, UnsafeFileError
from neurodecode.representation import check_same_samples
from neurodecode.sources import calcium

T, N = 60, 9


@pytest.fixture
def traces():
    return np.random.default_rng(0).normal(size=(T, N)).astype(np.float32)


@pytest.fixture
def times():
    return 1000.0 + np.arange(T) * 0.5 + np.random.default_rng(1).uniform(-0.02, 0.02, T)


@pytest.fixture
def moving():
    rng = np.random.default_rng(2)
    return {"speed": rng.normal(size=T), "reversal": (rng.random(T) > 0.5)}


class TestRead:
    def test_neurons_and_behaviour_share_their_samples(self, traces, times, moving):
        X, B = calcium.read(traces, timestamps=times, behaviour=moving, neuron={"x": np.arange(N) * 2.0})
        check_same_samples(X, B)
        np.testing.assert_array_equal(X.values, traces)
        assert X.dtype == np.float32 and X.attrs["kind"] == "calcium" and B.attrs["kind"] == "behaviour"
        np.testing.assert_allclose(X["onset"].values, times - times[0])
        assert X.attrs["sfreq"] == pytest.approx(2.0, rel=0.01)
        assert B["variable"].values.tolist() == ["speed", "reversal"]
        np.testing.assert_array_equal(B.values[:, 0], moving["speed"])
        assert X["x"].values.tolist() == (np.arange(N) * 2.0).tolist() and X["neuron"].values.tolist() == list(range(N))
        assert len(set(X["stimulus"].values)) == T

    def test_rate_instead_of_times(self, traces):
        X, B = calcium.read(traces, sfreq=4.0, time_axis=0)
        assert B is None and X["onset"].values[:3].tolist() == [0.0, 0.25, 0.5]
        assert calcium.read(traces.T, sfreq=4.0, time_axis=1).traces.equals(X)

    def test_a_transposed_array_is_found_out(self, traces, times, moving):
        upright = calcium.read(traces, timestamps=times, behaviour=moving)
        turned = calcium.read(traces.T, timestamps=times, behaviour=moving)
        xr.testing.assert_identical(upright.traces, turned.traces)
        with pytest.raises(AlignmentError, match="They would fit with time_axis=1"):
            calcium.read(traces.T, timestamps=times, time_axis=0)
        with pytest.raises(AlignmentError, match="nothing says which axis is time"):
            calcium.read(traces, sfreq=2.0)
        with pytest.raises(AlignmentError, match="nothing says which axis is time"):
            calcium.read(traces[:N], timestamps=times[:N])
        with pytest.raises(AlignmentError, match="fit neither way round with timestamps 59"):
            calcium.read(traces, timestamps=times[:-1])
        with pytest.raises(AlignmentError, match="fit neither way"):
            calcium.read(traces, timestamps=times, behaviour={"speed": moving["speed"][:-2]})
        with pytest.raises(AlignmentError, match="fit neither way"):
            calcium.read(traces, timestamps=times, neuron={"x": np.arange(N + 1)})

    def test_files(self, traces, times, moving, tmp_path):
        expected = calcium.read(traces, timestamps=times, behaviour=moving, recording="worm 1")
        np.savez(tmp_path / "worm 1.npz", trace_z=traces, t=times, **moving)
        found = calcium.read(tmp_path / "worm 1.npz", trace="trace_z", timestamps="t", behaviour=["speed", "reversal"])
        np.testing.assert_array_equal(found.traces.values, expected.traces.values)
        xr.testing.assert_identical(found.behaviour, expected.behaviour)
        assert found.traces["stimulus"].values[0].startswith("worm 1_run-1_bin-")
        frame = pd.DataFrame(traces, columns=[f"AVA{n}" for n in range(N)]).assign(t=times, speed=moving["speed"])
        table = calcium.read(frame, timestamps="t", behaviour=["speed"])
        assert table.traces["name"].values.tolist() == [f"AVA{n}" for n in range(N)]
        frame.to_csv(tmp_path / "worm.csv", index=False)
        again = calcium.read(str(tmp_path / "worm.csv"), timestamps="t", behaviour="speed")
        np.testing.assert_allclose(again.traces.values, traces)
        np.save(tmp_path / "a.npy", traces)
        assert calcium.read(tmp_path / "a.npy", timestamps=times).traces.shape == (T, N)
        with pytest.raises(ValueError, match=r"which array of worm 1\.npz.*trace_z"):
            calcium.read(tmp_path / "worm 1.npz", timestamps="t")
        with pytest.raises(ValueError, match="timestamps='time' is not in what was read"):
            calcium.read(tmp_path / "worm 1.npz", trace="trace_z", timestamps="time")

    def test_files_that_are_unsafe_or_cut(self, traces, times, tmp_path):
        np.savez(tmp_path / "a.npz", trace=np.array([{"a": 1}], dtype=object))
        with pytest.raises(UnsafeFileError, match="Python objects"):
            calcium.read(tmp_path / "a.npz", trace="trace")
        (tmp_path / "a.pkl").write_bytes(b"")
        with pytest.raises(UnsafeFileError, match="without objects"):
            calcium.read(tmp_path / "a.pkl")
        np.savez(tmp_path / "b.npz", trace=traces)
        whole = (tmp_path / "b.npz").read_bytes()
        (tmp_path / "b.npz").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(IntegrityError, match="cannot be read"):
            calcium.read(tmp_path / "b.npz", trace="trace")
        (tmp_path / "c.npy").write_text("<html>")
        with pytest.raises((IntegrityError, UnsafeFileError)):
            calcium.read(tmp_path / "c.npy")
        with pytest.raises(FileNotFoundError):
            calcium.read(tmp_path / "absent.npz", trace="trace")

    def test_values_that_are_not_finite(self, traces, times, moving):
        moving["pumping"] = np.full(T, np.nan)
        moving["speed"][3] = np.nan
        with pytest.raises(DegenerateDataError, match=r"2 of 3 columns of behaviour.*'speed': 1, 'pumping': 60"):
            calcium.read(traces, timestamps=times, behaviour=moving)
        X, B = calcium.read(traces, timestamps=times, behaviour=moving, nan_policy="drop_targets")
        assert B["masked"].values.tolist() == [True, False, True] and B.attrs["dropped"] == ["speed", "pumping"]
        assert np.isnan(B.values[:, 0]).all() and np.isfinite(B.values[:, 1]).all() and np.isfinite(X.values).all()
        traces[5, 2] = np.inf
        with pytest.raises(DegenerateDataError, match="'neuron 2': 1"):
            calcium.read(traces, timestamps=times)

    def test_values_that_are_no_traces(self, times):
        with pytest.raises(DegenerateDataError, match="two axes"):
            calcium.read(np.ones((3, 4, 5)), sfreq=1.0)
        with pytest.raises(DegenerateDataError, match="not numbers"):
            calcium.read(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}), sfreq=1.0)
        with pytest.raises(ValueError, match="one number per bin"):
            calcium.read(np.ones((T, N)), timestamps=times, behaviour={"pose": np.ones((T, 2))})

    def test_the_input_is_left_alone(self, traces, times):
        before = traces.copy()
        X, _ = calcium.read(traces, timestamps=times)
        X.values[:] = 0
        np.testing.assert_array_equal(traces, before)


class TestTime:
    def test_times_must_increase(self, traces, times):
        times[7] = times[6]
        with pytest.raises(TimingError, match="bin 7 is at"):
            calcium.read(traces, timestamps=times)
        times[7] = np.nan
        with pytest.raises(TimingError, match="1 timestamps are not finite"):
            calcium.read(traces, timestamps=times)

    def test_milliseconds(self, traces, times):
        with pytest.raises(TimingError, match="in milliseconds that would be"):
            calcium.read(traces, timestamps=times * 1000)
        with pytest.raises(TimingError, match=r"milliseconds\?"):
            calcium.read(traces, timestamps=times * 1000, sfreq=2.0)
        with pytest.raises(TimingError, match="sfreq=3 Hz, and timestamps are"):
            calcium.read(traces, timestamps=times, sfreq=3.0)
        with pytest.raises(TimingError, match="say how fast"):
            calcium.read(traces, time_axis=0)
        with pytest.raises(TimingError, match="not a rate"):
            calcium.read(traces, time_axis=0, sfreq=0)

    def test_gaps_are_runs(self, traces, times):
        times[40:] += 30
        with pytest.raises(TimingError, match=r"first at bin 40.*runs=\"gaps\""):
            calcium.read(traces, timestamps=times)
        X, _ = calcium.read(traces, timestamps=times, runs="gaps")
        assert X["run"].values.tolist() == [1] * 40 + [2] * 20
        pairs, _ = calcium.read(traces, timestamps=times, runs=[(0, 40), (40, 60)])
        np.testing.assert_array_equal(pairs["run"].values, X["run"].values)
        named, _ = calcium.read(traces, timestamps=times, runs=["a"] * 40 + ["b"] * 20)
        assert set(named["run"].values) == {"a", "b"}

    def test_runs_that_do_not_cover_the_recording(self, traces, times):
        with pytest.raises(AlignmentError, match="1 bins belong to no run, first bin 59"):
            calcium.read(traces, timestamps=times, runs=[(0, 59)])
        with pytest.raises(AlignmentError, match="run 2: bins 30 to 60"):
            calcium.read(traces, timestamps=times, runs=[(0, 40), (30, 60)])
        with pytest.raises(AlignmentError, match="runs names 5 bins"):
            calcium.read(traces, timestamps=times, runs=[1] * 5)
