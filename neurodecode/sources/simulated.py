"""A simulated person who looks at drawn scenes: areas with known tuning, noise with a known ceiling.

``scenes`` draws a world, ``person`` records a brain that looks at it, ``eeg`` records its scalp. What was planted
travels with the recording (``attrs["planted"]`` and unit coordinates that begin with ``planted``), so that whatever a
method finds can be set beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from .._numbers import whole
from ..representation import as_representation
from .anatomy import affine, anatomy, draw_dead, grid, stream
from .gabor import energy, pooled, pools
from .haemodynamics import Haemodynamics, hrf, hrf_peak
from .scenes import World, caption_words, scenes
from .sessions import Session
from .simulated_eeg import Component, eeg
from .tuning import (
    AREAS,
    Area,
    Meaning,
    Retinotopic,
    Selective,
    Silent,
    chosen_areas,
    described,
    kind_contrast,
    word_vectors,
)

__all__ = [
    "AREAS",
    "Area",
    "Component",
    "Haemodynamics",
    "Meaning",
    "Retinotopic",
    "Selective",
    "Silent",
    "World",
    "at_onsets",
    "caption_words",
    "eeg",
    "energy",
    "hrf",
    "hrf_peak",
    "kind_contrast",
    "people",
    "person",
    "pooled",
    "pools",
    "scenes",
    "word_vectors",
]


def person(
    world: World,
    *,
    areas: Sequence[str] | Mapping[str, Area] | None = None,
    n_units: int | Mapping[str, int] = 40,
    ceiling: float | Mapping[str, float] = 0.7,
    n_repeats: int = 3,
    n_runs: int | None = None,
    dead_units: int = 0,
    random_state: int = 0,
    subject: str = "sub-01",
    noise: bool = True,
    time_series: bool | Haemodynamics = False,
) -> xr.DataArray:
    """Record a simulated brain while it looks at every scene of ``world``.

    Parameters
    ----------
    world : what is looked at.
    areas : names of ``AREAS`` (V1, V2, face area, house area, language area, null area), or a dict of name ->
        ``Retinotopic``, ``Selective``, ``Meaning`` or ``Silent``; all of ``AREAS`` by default.
    n_units : units per area, spread over both hemispheres; a number, or one per area.
    ceiling : noise ceiling of every unit, as a correlation, for all areas or per area; its definition stands in
        ``attrs["planted"]["ceiling_definition"]``. It fixes the noise of a unit exactly in expectation:
        with repeats, the noise-free responses correlate with the mean over the repeats that well; in a time series
        the noise-free time course with one recording of it. A silent area has ceiling 0 and noise of variance 1.
    n_repeats : how often each scene is shown, each time in another run.
    n_runs : a multiple of ``n_repeats``; ``2 * n_repeats`` when None.
    dead_units : units that record a constant, among the areas that respond.
    random_state : seed of the person. Tuning, order and noise of an area depend on it and on the area's name alone,
        not on which other areas are recorded.
    subject : name of the person, a unit coordinate.
    noise : False gives what would be recorded without noise or drift: for trials, one sample per scene.
    time_series : False gives one sample per trial; True or a ``Haemodynamics`` gives one sample per volume.

    Returns
    -------
    DataArray (sample, unit). Responses are in standard deviations of the unit's own noise-free responses over the
    scenes. Sample coords: stimulus, run, and for trials repeat, category, sha256; for volumes onset (seconds in the
    run), scene (name of the scene that comes on with this volume, else ""). Unit coords: roi, hemi, subject, i, j, k
    (voxel), x, y, z (mm), planted_ceiling, planted_x, planted_y, planted_size (receptive field, degrees, NaN where
    there is none), planted_kind, planted_dead.

    Raises
    ------
    ValueError : a ceiling outside 0..1, runs that do not hold the repeats, fewer than two scenes.

    Examples
    --------
    >>> from neurodecode.sources import simulated
    >>> world = simulated.scenes(16)
    >>> brain = simulated.person(world, areas=["face area", "null area"], n_units=4, n_repeats=2)
    >>> dict(brain.sizes), sorted(set(brain["roi"].values.tolist()))
    ({'sample': 32, 'unit': 8}, ['face area', 'null area'])
    """
    chosen = chosen_areas(areas)
    n_runs = 2 * n_repeats if n_runs is None else n_runs
    ceilings = _ceilings(ceiling, chosen)
    counts = dict(n_units) if isinstance(n_units, Mapping) else dict.fromkeys(chosen, n_units)
    _check(world, chosen, counts, n_repeats, n_runs, dead_units, random_state)
    seed = int(random_state)
    unit, responses = anatomy(world, chosen, counts, ceilings, seed, subject)
    unit["planted_dead"] = draw_dead(unit, dead_units, seed)
    session = Session(world, responses, unit, n_repeats, n_runs, seed)
    attrs: dict[str, Any] = {
        "quantity": "response",
        "units": "standard deviations of the noise-free response",
        "dataset": "simulated",
        "affine": affine().tolist(),
        "shape": list(grid()),
        "history": [f"simulated.person(random_state={seed})"],
    }
    if time_series:
        haemo = time_series if isinstance(time_series, Haemodynamics) else Haemodynamics()
        found = session.volumes(haemo, noise)
        attrs["tr"] = haemo.tr
    else:
        found = session.trials() if noise else session.noise_free()
    found.values[:, unit["planted_dead"]] = 0.0
    attrs["planted"] = {
        "areas": {name: described(area) for name, area in chosen.items()},
        "ceiling": ceilings,
        "dead_units": np.flatnonzero(unit["planted_dead"]).tolist(),
        "random_state": seed,
        **found.planted,
    }
    return as_representation(
        found.values, stimulus=found.stimulus, kind="fmri", unit=unit, sample=found.sample, attrs=attrs
    )


def people(
    n: int, world: World, *, ceiling: float = 0.7, spread: float = 0.05, random_state: int = 0, **settings: Any
) -> dict[str, xr.DataArray]:
    """Several persons who look at the same world, each with a tuning, an order of scenes and a ceiling of their own.

    The ceiling of a person is drawn uniformly with mean ``ceiling`` and standard deviation ``spread`` in the
    population; the other arguments are those of ``person``. Persons differ from ``person(random_state=random_state)``.

    Returns
    -------
    ``{"sub-01": recording, ...}``; ``attrs["planted"]["population_ceiling"]`` is ``ceiling``.

    Examples
    --------
    >>> from neurodecode.sources import simulated
    >>> group = simulated.people(2, simulated.scenes(8), areas=["face area"], n_units=2)
    >>> list(group)
    ['sub-01', 'sub-02']
    """
    if n < 1:
        raise ValueError(f"n={n}: at least one person is needed")
    reach = np.sqrt(3) * spread
    if spread < 0 or not 0 < ceiling - reach <= ceiling + reach < 1:
        raise ValueError(f"ceiling={ceiling} with spread={spread} leaves 0..1: they go {reach:.2f} to either side")
    group = {}
    for number in range(1, n + 1):
        rng = stream(random_state, "people", number)
        own = float(ceiling + reach * rng.uniform(-1, 1))
        seed = int(rng.integers(2**31))
        name = f"sub-{number:02d}"
        group[name] = person(world, ceiling=own, random_state=seed, subject=name, **settings)
        group[name].attrs["planted"]["population_ceiling"] = float(ceiling)
    return group


def at_onsets(features: xr.DataArray, recording: xr.DataArray) -> xr.DataArray:
    """Features of scenes as a time series: their values at the volume a scene comes on, 0 elsewhere.

    Parameters
    ----------
    features : scenes x unit, one sample per scene.
    recording : a time series of ``person``, with the sample coordinate ``scene``.

    Returns
    -------
    DataArray (sample, unit): the samples of ``recording``, the units of ``features``, ``attrs["tr"]``.

    Raises
    ------
    ValueError : ``recording`` is not a time series, or shows a scene that has no features.

    Examples
    --------
    >>> from neurodecode.sources import simulated
    >>> world = simulated.scenes(8)
    >>> bold = simulated.person(world, areas=["V1"], n_units=2, time_series=True)
    >>> sticks = at_onsets(world.attributes(), bold)
    >>> sticks.sizes["sample"] == bold.sizes["sample"]
    True
    """
    if "scene" not in recording.coords:
        raise ValueError("recording has no sample coordinate 'scene'; make it with person(world, time_series=True)")
    place = {name: row for row, name in enumerate(features["stimulus"].values.tolist())}
    shown = recording["scene"].values.tolist()
    missing = sorted({name for name in shown if name} - set(place))
    if missing:
        raise ValueError(f"{len(missing)} scenes of the recording have no features, first {missing[0]!r}")
    values = np.zeros((len(shown), features.sizes["unit"]), dtype=features.dtype)
    on = [position for position, name in enumerate(shown) if name]
    values[on] = features.values[[place[shown[position]] for position in on]]
    sample = {name: recording[name].values for name in ("run", "onset", "scene")}
    unit = {name: coord.values for name, coord in features.coords.items() if coord.dims == ("unit",)}
    attrs = {key: value for key, value in features.attrs.items() if key != "kind"} | {"tr": recording.attrs["tr"]}
    return as_representation(
        values, stimulus=recording["stimulus"].values, kind="features", unit=unit, sample=sample, attrs=attrs
    )


def _check(
    world: World,
    areas: Mapping[str, Area],
    n_units: Mapping[str, int],
    n_repeats: int,
    n_runs: int,
    dead_units: int,
    seed: Any,
) -> None:
    if not isinstance(world, World):
        raise TypeError(
            f"a person looks at a World, which simulated.scenes(n) makes; this is a {type(world).__name__}."
        )
    for name, value in (("n_repeats", n_repeats), ("n_runs", n_runs), ("dead_units", dead_units)):
        whole(value, name)
    if len(world) < 2:
        raise ValueError("a person needs two scenes or more: responses are scaled by their spread over scenes")
    if set(n_units) != set(areas):
        raise ValueError(f"n_units per area: given {sorted(n_units)}, expected {sorted(areas)}")
    if min(n_units.values()) < 1 or n_repeats < 1 or dead_units < 0:
        raise ValueError(f"n_units={n_units}, n_repeats={n_repeats}: 1 or more; dead_units={dead_units}: 0 or more")
    if n_runs < n_repeats or n_runs % n_repeats:
        raise ValueError(f"n_runs={n_runs} is not a multiple of n_repeats={n_repeats}: repeats cannot fill whole runs")
    if n_runs // n_repeats > len(world):
        raise ValueError(f"n_runs={n_runs}: {len(world)} scenes cannot be spread over {n_runs // n_repeats} runs")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"random_state={seed!r}: a person is a seed, a whole number from 0 up")


def _ceilings(ceiling: float | Mapping[str, float], areas: Mapping[str, Area]) -> dict[str, float]:
    given = ceiling if isinstance(ceiling, Mapping) else dict.fromkeys(areas, ceiling)
    unknown = sorted(set(given) - set(areas))
    missing = sorted(name for name, area in areas.items() if name not in given and not isinstance(area, Silent))
    if unknown or missing:
        raise ValueError(f"ceiling per area: unknown {unknown or 'none'}, missing {missing or 'none'}")
    found = {name: 0.0 if isinstance(area, Silent) else float(given[name]) for name, area in areas.items()}
    for name, value in found.items():
        if not isinstance(areas[name], Silent) and not 0 < value <= 1:
            raise ValueError(f"ceiling of {name} is {value}: it is a correlation, above 0 and up to 1")
    return found
