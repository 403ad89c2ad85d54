"""The scalp of a simulated person: evoked responses with known latencies and topographies, in 1/f noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr

from .._numbers import whole
from .._optional import require
from ..representation import as_representation
from .scenes import World

SOURCE_DEPTH = 0.65
SPREAD = 0.04


@dataclass(frozen=True)
class Component:
    """A deflection of the scalp potential that follows a scene.

    name : what it is called.
    latency : seconds from the onset of the scene to its extremum.
    width : standard deviation of its Gaussian time course, seconds.
    amplitude : value at its extremum at the channel where it is largest, volts.
    source : where its dipole lies, a direction from the centre of the head (x right, y front, z up).
    kind : the kind of object that evokes it; None when every scene does.
    """

    name: str
    latency: float
    width: float
    amplitude: float
    source: tuple[float, float, float]
    kind: str | None = None


COMPONENTS = (
    Component("P1", 0.105, 0.015, 5e-6, (0.0, -0.95, 0.10)),
    Component("N170", 0.170, 0.020, -6e-6, (0.85, -0.65, -0.05), kind="face"),
    Component("P300", 0.360, 0.060, 5e-6, (0.0, -0.50, 0.85), kind="house"),
)


def eeg(
    world: World,
    *,
    components: Sequence[Component] = COMPONENTS,
    montage: str = "biosemi32",
    n_repeats: int = 2,
    n_runs: int = 6,
    sfreq: float = 200.0,
    tmin: float = -0.2,
    tmax: float = 0.7,
    noise: float = 10e-6,
    jitter: float = 0.010,
    random_state: int = 0,
    subject: str = "sub-01",
) -> xr.DataArray:
    """Record the scalp while a simulated person looks at every scene.

    ``V(epoch, channel, t) = sum of amplitude * topography(channel) * exp(-(t - latency)^2 / (2 width^2)) + noise`` over
    the components that the scene evokes. A topography is the field of a dipole that points outwards at 65 % of the
    head's radius, referred to the mean of all channels and scaled to 1 at its largest channel.

    Parameters
    ----------
    world : what is looked at.
    components : what is evoked; by default a P1 by every scene, an N170 by faces, a P300 by houses.
    montage : name of a standard montage of MNE.
    n_repeats, n_runs : each scene is shown ``n_repeats`` times in random order, spread over ``n_runs`` runs.
    sfreq : samples per second. tmin, tmax : first and last time of an epoch, seconds from onset.
    noise : standard deviation at every channel and time, volts; its power falls as 1 / frequency and neighbouring
        channels share it.
    jitter : the latency of each component in this person lies within this many seconds of the component's.
    random_state : seed of the person. subject : name of the person, a unit coordinate.

    Returns
    -------
    DataArray (sample, unit, time), volts. Sample coords: stimulus, category, run, repeat (from 1), sha256.
    Unit coords: channel,
    subject, x, y, z (metres). ``attrs["planted"]["components"]``: of each its latency in this person, amplitude,
    width, kind, peak channel and topography.

    Raises
    ------
    ValueError : no such montage, an epoch that does not hold a latency, runs that cannot be filled.

    References
    ----------
    Nunez & Srinivasan (2006), Electric Fields of the Brain, ch. 5: the dipole in an unbounded conductor.

    Examples
    --------
    >>> from neurodecode.sources import simulated
    >>> epochs = simulated.eeg(simulated.scenes(8), n_repeats=1, n_runs=1)
    >>> epochs.dims, epochs.sizes["unit"]
    (('sample', 'unit', 'time'), 32)
    """
    if not isinstance(world, World):
        raise TypeError(f"world is a {type(world).__name__}; expected a World, which simulated.scenes(n) makes")
    n_repeats, n_runs = whole(n_repeats, "n_repeats", least=1), whole(n_runs, "n_runs", least=1)
    times = np.arange(round(tmin * sfreq), round(tmax * sfreq) + 1) / sfreq
    n_epochs = len(world) * n_repeats
    for component in components:
        if not times[0] < component.latency - jitter < component.latency + jitter < times[-1]:
            raise ValueError(f"{component.name} at {component.latency} s lies outside the epoch, {tmin} to {tmax} s")
    if n_repeats < 1 or not 1 <= n_runs <= n_epochs:
        raise ValueError(f"n_repeats={n_repeats}, n_runs={n_runs}: {n_epochs} epochs cannot fill the runs")
    rng = np.random.default_rng(np.random.SeedSequence(random_state, spawn_key=(11,)))
    channels, positions = _channels(montage)
    shown = np.concatenate([rng.permutation(len(world)) for _ in range(n_repeats)])
    values = noise * _noise(n_epochs, positions, times, sfreq, rng)
    planted = []
    for component in components:
        latency = component.latency + jitter * float(rng.uniform(-1, 1))
        topography = dipole(positions, component.source)
        course = component.amplitude * np.exp(-((times - latency) ** 2) / (2 * component.width**2))
        evoked = np.ones(len(world), dtype=bool) if component.kind is None else world.present(component.kind)
        values[evoked[shown]] += topography[:, None] * course
        peak = channels[int(np.argmax(np.abs(topography)))]
        more = {"latency": latency, "peak_channel": peak, "topography": topography.tolist()}
        planted.append(asdict(component) | more | {"source": list(component.source)})
    attrs: dict[str, Any] = {
        "quantity": "potential",
        "units": "V",
        "sfreq": float(sfreq),
        "montage": montage,
        "dataset": "simulated",
        "planted": {"components": planted, "noise": float(noise), "random_state": int(random_state)},
        "history": [f"simulated.eeg(random_state={random_state})"],
    }
    sample = {
        "category": world.category[shown],
        "run": np.arange(n_epochs) * n_runs // n_epochs + 1,
        "repeat": np.repeat(np.arange(n_repeats) + 1, len(world)),
        "sha256": world.scenes["sha256"].to_numpy(dtype=str)[shown],
    }
    unit = {"channel": np.array(channels), "subject": np.full(len(channels), subject)}
    unit |= dict(zip(("x", "y", "z"), positions.T))
    found = as_representation(values, stimulus=world.stimulus[shown], kind="eeg", unit=unit, sample=sample, attrs=attrs)
    return found.assign_coords(time=times)


def dipole(positions: np.ndarray, source: Sequence[float]) -> np.ndarray:
    """Potential of an outward dipole at each channel, average reference, 1 at the channel where it is largest.

    ``p . (r - r0) / |r - r0|^3``; positions (channels, 3) are projected to the unit sphere, ``source`` gives the
    direction of ``r0``, which lies at .65 of the radius.

    Examples
    --------
    >>> import numpy as np
    >>> float(np.abs(dipole(np.eye(3), (0, 0, 1))).max())
    1.0
    """
    on = positions / np.linalg.norm(positions, axis=1, keepdims=True)
    direction = np.asarray(source, dtype=float)
    direction = direction / np.linalg.norm(direction)
    away = on - SOURCE_DEPTH * direction
    potential = away @ direction / np.linalg.norm(away, axis=1) ** 3
    potential = potential - potential.mean()
    return potential / potential[np.argmax(np.abs(potential))]


def _channels(montage: str) -> tuple[list[str], np.ndarray]:
    mne = require("mne", purpose="placing electrodes")
    known = mne.channels.get_builtin_montages()
    if montage not in known:
        raise ValueError(f"montage={montage!r} is not known; choose one of {', '.join(known)}")
    found = mne.channels.make_standard_montage(montage).get_positions()["ch_pos"]
    return list(found), np.stack([np.asarray(place, dtype=float) for place in found.values()])


def _noise(
    n_epochs: int, positions: np.ndarray, times: np.ndarray, sfreq: float, rng: np.random.Generator
) -> np.ndarray:
    """Noise (epochs, channels, times) of variance 1: power 1 / f from half a hertz, shared by neighbours."""
    n_times = len(times)
    length = 4 * n_times
    frequency = np.fft.rfftfreq(length, 1 / sfreq)
    shape = 1 / np.sqrt(np.maximum(frequency, 0.5))
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    mixing = np.exp(-((distance / SPREAD) ** 2) / 2)
    mixing /= np.linalg.norm(mixing, axis=1, keepdims=True)
    # The expected variance of a filtered white series of unit variance: the mean power of the filter over all bins.
    doubled = np.where((frequency == 0) | (frequency == sfreq / 2), 1, 2)
    scale = np.sqrt((doubled * shape**2).sum() / length)
    values = np.empty((n_epochs, len(positions), n_times))
    for epoch in range(n_epochs):
        white = np.fft.rfft(rng.standard_normal((len(positions), length)), axis=1)
        values[epoch] = mixing @ np.fft.irfft(white * shape, n=length, axis=1)[:, :n_times] / scale
    return values
