"""The simulated scalp: latencies and topographies come back, channels see one head, noise is as stated."""

from __future__ import annotations

import numpy as np
import pytest
from references.simulated import slow_dipole

from neurodecode.representation import check_representation
from neurodecode.sources import simulated
from neurodecode.sources.simulated_eeg import COMPONENTS, dipole


@pytest.fixture(scope="module")
def world():
    return simulated.scenes(80, random_state=31)


def test_repeats_are_numbered_so_that_they_can_be_folds(world):
    from neurodecode.similarity import rdm

    epochs = simulated.eeg(world[:6], n_repeats=3, n_runs=2, random_state=4)
    for name in np.unique(epochs["stimulus"].values):
        assert epochs["repeat"].values[epochs["stimulus"].values == name].tolist() == [1, 2, 3]
    found = rdm(epochs.isel(time=slice(0, 4)), "crossnobis", by="repeat")
    assert dict(found.sizes) == {"time": 4, "stimulus": 6, "stimulus_other": 6}


def test_epochs_are_labelled_volts(world):
    epochs = simulated.eeg(world, random_state=1)
    check_representation(epochs)
    assert epochs.dims == ("sample", "unit", "time")
    assert epochs.shape == (160, 32, 181)
    assert float(epochs["time"][0]) == -0.2 and float(epochs["time"][-1]) == pytest.approx(0.7)
    assert epochs.attrs["units"] == "V" and epochs.attrs["sfreq"] == 200
    assert epochs.values.std() == pytest.approx(10e-6, rel=0.05)
    assert np.unique(epochs["run"].values, return_counts=True)[1].tolist() == [27, 27, 26, 27, 27, 26]
    assert {"Oz", "Pz", "P8"} <= set(epochs["channel"].values.tolist())


def test_without_noise_every_component_is_exact(world):
    epochs = simulated.eeg(world, noise=0.0, random_state=2)
    names = dict(zip(world.stimulus.tolist(), range(len(world))))
    rows = np.array([names[name] for name in epochs["stimulus"].values.tolist()])
    p1, n170, p300 = epochs.attrs["planted"]["components"]
    face, house = world.present("face")[rows], world.present("house")[rows]
    time, channel = epochs["time"].values, epochs["channel"].values.tolist()
    plain = epochs.values[~face & ~house].mean(0)
    waves = {
        "P1": (p1, plain),
        "N170": (n170, epochs.values[face & ~house].mean(0) - plain),
        "P300": (p300, epochs.values[house & ~face].mean(0) - plain),
    }
    for component, wave in waves.values():
        peak = channel.index(component["peak_channel"])
        at = np.abs(wave[peak]).argmax()
        assert time[at] == pytest.approx(component["latency"], abs=0.0026)
        assert wave[peak, at] == pytest.approx(component["amplitude"], rel=0.02)
        assert np.abs(wave).max() == np.abs(wave[peak]).max()
        assert np.allclose(wave[:, at] / wave[peak, at], component["topography"])


def test_where_nothing_is_evoked_there_is_nothing(world):
    epochs = simulated.eeg(world, components=(), random_state=3)
    mean = epochs.values.mean(0)
    assert np.abs(mean).max() < 6 * 10e-6 / np.sqrt(160)


def test_latencies_are_personal_and_reproducible(world):
    few = world[:8]
    first, second = (simulated.eeg(few, n_repeats=1, n_runs=1, random_state=seed) for seed in (1, 2))
    again = simulated.eeg(few, n_repeats=1, n_runs=1, random_state=1)
    assert np.array_equal(first.values, again.values)
    latency = [epochs.attrs["planted"]["components"][0]["latency"] for epochs in (first, second)]
    assert latency[0] != latency[1]
    assert all(abs(value - COMPONENTS[0].latency) <= 0.010 for value in latency)


def test_a_dipole_is_two_charges_apart():
    rng = np.random.default_rng(0)
    positions = rng.standard_normal((20, 3))
    for component in COMPONENTS:
        fast, slow = dipole(positions, component.source), slow_dipole(positions, np.array(component.source))
        assert np.allclose(fast, slow, atol=1e-4)
        assert fast.mean() == pytest.approx(0, abs=1e-12)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    source = np.array(COMPONENTS[1].source)
    assert np.allclose(dipole(positions @ turn.T, turn @ source), dipole(positions, source))


def test_noise_falls_with_frequency_and_is_shared_by_neighbours(world):
    epochs = simulated.eeg(world, components=(), random_state=6)
    power = (np.abs(np.fft.rfft(epochs.values * np.hanning(181), axis=2)) ** 2).mean((0, 1))
    frequency = np.fft.rfftfreq(181, 1 / 200)
    band = (frequency > 4) & (frequency < 60)
    slope = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.15)
    channel = epochs["channel"].values.tolist()
    flat = epochs.transpose("unit", "sample", "time").values.reshape(32, -1)
    near = np.corrcoef(flat[channel.index("O1")], flat[channel.index("Oz")])[0, 1]
    far = np.corrcoef(flat[channel.index("O1")], flat[channel.index("Fp2")])[0, 1]
    assert near > 0.5 and abs(far) < 0.1
    assert np.allclose(flat.std(1), 10e-6, rtol=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"montage": "biosemi33"}, "biosemi32"),
        ({"tmax": 0.3}, "outside the epoch"),
        ({"n_runs": 500}, "runs"),
        ({"n_repeats": 0}, "n_repeats"),
    ],
)
def test_what_cannot_be_recorded_is_refused(world, settings, message):
    with pytest.raises(ValueError, match=message):
        simulated.eeg(world, **settings)
