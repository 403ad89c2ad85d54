"""The simulated person: what was planted is there, where nothing was planted there is nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from references.simulated import slow_ceiling, slow_time_course

from neurodecode.representation import check_representation
from neurodecode.sources import simulated
from neurodecode.sources.haemodynamics import DURATION

CEILINGS = {"V1": 0.8, "V2": 0.7, "face area": 0.6, "house area": 0.9, "language area": 0.5}


@pytest.fixture(scope="module")
def world():
    return simulated.scenes(240, random_state=21)


@pytest.fixture(scope="module")
def brain(world):
    return simulated.person(world, n_units=30, ceiling=CEILINGS, dead_units=2, random_state=22)


@pytest.fixture(scope="module")
def truth(world):
    return simulated.person(world, n_units=30, ceiling=CEILINGS, random_state=22, noise=False)


def test_it_is_a_representation_whose_truth_json_can_hold(brain):
    check_representation(brain)
    assert json.loads(json.dumps(brain.attrs["planted"]))["ceiling"]["V1"] == 0.8
    assert brain.sizes == {"sample": 720, "unit": 180}
    assert set(brain["hemi"].values.tolist()) == {"left", "right"}


def test_repeats_of_a_scene_stand_in_different_runs(brain, world):
    pairs = set(zip(brain["stimulus"].values.tolist(), brain["run"].values.tolist()))
    assert len(pairs) == 3 * len(world)
    assert len(set(brain["run"].values.tolist())) == 6


def test_the_ceiling_is_met_in_every_area(brain, truth, world):
    """Two estimates, each within five standard errors over the units of an area: from repeats, and from the truth."""
    stimulus = brain["stimulus"].values
    order = {name: row for row, name in enumerate(world.stimulus.tolist())}
    rows = np.array([order[name] for name in stimulus.tolist()])
    mean = np.zeros((len(world), brain.sizes["unit"]))
    np.add.at(mean, rows, brain.values / 3)
    alive = ~brain["planted_dead"].values
    for area, planted in CEILINGS.items():
        units = np.flatnonzero((brain["roi"].values == area) & alive)
        repeats = np.array([slow_ceiling(brain.values[:, unit], stimulus) for unit in units])
        direct = np.array([np.corrcoef(mean[:, unit], truth.values[:, unit])[0, 1] for unit in units])
        for found in (repeats, direct):
            assert abs(found.mean() - planted) < 5 * found.std(ddof=1) / np.sqrt(len(found)) + 0.004


def test_the_null_area_answers_to_nothing(brain, truth):
    null = brain["roi"].values == "null area"
    assert (truth.values[:, null] == 0).all()
    assert brain.values[:, null].std() == pytest.approx(1, abs=0.03)
    assert (brain["planted_ceiling"].values[null] == 0).all()


def test_dead_units_are_constant_and_listed(brain):
    constant = np.flatnonzero(brain.values.std(0) == 0)
    assert constant.tolist() == brain.attrs["planted"]["dead_units"]
    assert len(constant) == 2 and brain["planted_dead"].values[constant].all()


def test_a_content_area_answers_wherever_its_object_is(truth, world):
    faces = world.objects[world.objects["kind"] == "face"]
    area = truth.values[:, truth["roi"].values == "face area"].mean(1)
    present = world.present("face")
    assert np.ptp(area[~present]) < 1e-12
    assert area[present].mean() - area[~present].mean() > 1.5
    alone = faces[faces["scene"].duplicated(keep=False) == False]  # noqa: E712
    response = area[alone["scene"].to_numpy()]
    for side in (alone["x"].to_numpy() > 0, alone["x"].to_numpy() <= 0):
        assert response[side].mean() - area[~present].mean() > 1.5
    assert simulated.kind_contrast(truth, present)[truth["roi"].values == "null area"].max() == 0


def test_a_retinotopic_unit_answers_to_its_place_alone():
    """Paint over half of the picture: units that look at the other half do not notice."""
    world = simulated.scenes(24, random_state=3)
    covered = world.pictures.copy(data=world.pictures.values.copy())
    covered.values[:, :, :32] = 128
    area = simulated.Retinotopic(0.25, 0.1)
    maps, blind = simulated.energy(world.pictures), simulated.energy(covered)
    x, y, size = np.array([-2.0, 2.0]), np.array([0.5, 0.5]), np.array([0.4, 0.4])
    before, after = simulated.pooled(maps, x, y, size), simulated.pooled(blind, x, y, size)
    change = np.abs(after - before).mean((0, 1)) / before.mean((0, 1))
    assert change[0] > 0.3 and change[1] < 0.1
    _, planted = area.respond(world, np.array(["left"] * 50 + ["right"] * 50), np.random.default_rng(0))
    assert (planted["planted_x"][:50] > 0).all() and (planted["planted_x"][50:] < 0).all()
    eccentricity = np.hypot(planted["planted_x"], planted["planted_y"])
    assert np.allclose(planted["planted_size"], 0.25 + 0.1 * eccentricity)


def test_the_language_area_is_linear_in_the_caption(truth, world):
    words = np.column_stack([np.ones(len(world)), world.words().values])
    area = truth.values[:, truth["roi"].values == "language area"]
    left = area - words @ np.linalg.lstsq(words, area, rcond=None)[0]
    assert np.abs(left).max() < 1e-8
    early = truth.values[:, truth["roi"].values == "V1"]
    left = early - words @ np.linalg.lstsq(words, early, rcond=None)[0]
    assert left.var() > 0.3


def test_an_area_does_not_depend_on_the_others(world, brain):
    alone = simulated.person(world, areas=["face area"], n_units=30, ceiling=0.6, random_state=22)
    units = (brain["roi"].values == "face area") & ~brain["planted_dead"].values
    same = alone.values[:, ~brain["planted_dead"].values[brain["roi"].values == "face area"]]
    assert np.array_equal(brain.values[:, units], same)
    assert (brain["stimulus"].values == alone["stimulus"].values).all()


def test_another_seed_is_another_person(world):
    a, b = (simulated.person(world[:50], areas=["V1"], n_units=6, random_state=seed) for seed in (1, 2))
    assert not np.allclose(a["planted_x"].values, b["planted_x"].values)
    again = simulated.person(world[:50], areas=["V1"], n_units=6, random_state=1)
    assert np.array_equal(a.values, again.values)


def test_every_unit_has_a_voxel_of_its_own(brain):
    voxels = np.stack([brain[axis].values for axis in "ijk"], 1)
    assert len(np.unique(voxels, axis=0)) == brain.sizes["unit"]
    assert (voxels >= 0).all() and (voxels < np.array(brain.attrs["shape"])).all()
    affine = np.array(brain.attrs["affine"])
    mm = voxels @ affine[:3, :3].T + affine[:3, 3]
    assert np.allclose(mm, np.stack([brain[axis].values for axis in "xyz"], 1))
    assert ((brain["x"].values < 0) == (brain["hemi"].values == "left")).all()


def test_people_differ_around_the_population(world):
    group = simulated.people(
        40, world[:20], areas=["face area"], n_units=1, ceiling=0.6, spread=0.05, random_state=5, n_repeats=2
    )
    own = np.array([person.attrs["planted"]["ceiling"]["face area"] for person in group.values()])
    assert abs(own.mean() - 0.6) < 5 * 0.05 / np.sqrt(40)
    assert own.std(ddof=1) == pytest.approx(0.05, rel=0.4)
    assert [person["subject"].values[0] for person in group.values()] == list(group)


def test_own_areas_can_be_planted(world):
    areas = {"star area": simulated.Selective("star"), "noise": simulated.Silent()}
    brain = simulated.person(world, areas=areas, n_units={"star area": 5, "noise": 9}, random_state=1)
    assert np.unique(brain["roi"].values, return_counts=True)[1].tolist() == [9, 5]
    assert brain.attrs["planted"]["areas"]["star area"] == {"sort": "selective", "kind": "star", "spread": 0.5}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ceiling": 1.2}, "correlation"),
        ({"ceiling": {"V1": 0.5}}, "missing"),
        ({"areas": ["V9"]}, "V9"),
        ({"areas": []}, "empty"),
        ({"n_repeats": 3, "n_runs": 4}, "multiple"),
        ({"n_repeats": 1, "n_runs": 300}, "spread over"),
        ({"dead_units": 10_000}, "only"),
        ({"random_state": "x"}, "seed"),
        ({"n_units": {"V1": 3}}, "n_units"),
        ({"time_series": simulated.Haemodynamics(tr=2000)}, "seconds"),
        ({"time_series": simulated.Haemodynamics(peak=0.005)}, "4 to 9"),
        ({"time_series": simulated.Haemodynamics(gaps=(0, 2))}, "volumes"),
        ({"time_series": simulated.Haemodynamics(autocorrelation=1.0)}, "below 1"),
    ],
)
def test_what_cannot_be_simulated_is_refused(world, settings, message):
    with pytest.raises(ValueError, match=message):
        simulated.person(world[:20], **settings)


def test_one_scene_is_too_few(world):
    with pytest.raises(ValueError, match="two scenes"):
        simulated.person(world[:1])


def test_the_response_is_the_canonical_one():
    """Oracle: nilearn's SPM response, whose clock starts one of its samples later."""
    from nilearn.glm.first_level.hemodynamic_models import spm_hrf

    theirs = spm_hrf(t_r=1.0, oversampling=10, time_length=32.0)
    ours = simulated.hrf(np.linspace(0, 32, len(theirs)) - 0.1)
    assert np.corrcoef(theirs, ours)[0, 1] > 0.999999
    fine = np.arange(0, 30, 0.001)
    for peak in (4.5, 5.0, 6.0):
        assert fine[simulated.hrf(fine, peak).argmax()] == pytest.approx(peak, abs=0.002)
        assert simulated.hrf(np.array([peak]), peak)[0] == pytest.approx(1, abs=1e-6)
    assert (simulated.hrf(np.array([-1.0, -0.1, DURATION + 2])) == 0).all()


@pytest.fixture(scope="module")
def bold(world):
    haemo = simulated.Haemodynamics(peak=5.5, drift=0.0)
    return simulated.person(
        world[:60], areas=["V1", "null area"], n_units=20, ceiling=0.8, random_state=4, time_series=haemo
    )


def test_a_time_series_is_the_sum_of_its_responses(world):
    haemo = simulated.Haemodynamics(peak=6.0, tr=1.5)
    settings = {"areas": ["face area"], "n_units": 2, "n_repeats": 1, "n_runs": 2, "random_state": 8, "noise": False}
    free = simulated.person(world[:30], time_series=haemo, **settings)
    response = simulated.person(world[:30], **settings)
    known = dict(zip(response["stimulus"].values.tolist(), response.values[:, 1]))
    for run in (1, 2):
        here = free["run"].values == run
        shown = free["scene"].values[here]
        onsets = np.flatnonzero(shown != "").tolist()
        amplitudes = [haemo.evoked + known[shown[onset]] for onset in onsets]
        slow = slow_time_course(onsets, amplitudes, int(here.sum()), 1.5, lambda t: simulated.hrf(np.array(t), 6.0))
        assert np.allclose(free.values[here, 1], slow)
        assert np.allclose(np.diff(free["onset"].values[here]), 1.5)


def test_the_series_meets_its_ceiling_and_its_autocorrelation(world, bold):
    haemo = simulated.Haemodynamics(peak=5.5)
    free = simulated.person(
        world[:60], areas=["V1", "null area"], n_units=20, ceiling=0.8, random_state=4, time_series=haemo, noise=False
    )
    v1 = bold["roi"].values == "V1"
    found = np.array([np.corrcoef(bold.values[:, u], free.values[:, u])[0, 1] for u in np.flatnonzero(v1)])
    assert abs(found.mean() - 0.8) < 5 * found.std(ddof=1) / np.sqrt(len(found)) + 0.002
    noise = (bold - free).values
    same_run = bold["run"].values[1:] == bold["run"].values[:-1]
    lag1 = [np.corrcoef(noise[1:][same_run, u], noise[:-1][same_run, u])[0, 1] for u in range(noise.shape[1])]
    assert np.mean(lag1) == pytest.approx(0.3, abs=0.02)
    assert (free.values[:, ~v1] == 0).all()


def test_drift_is_slow_and_of_the_stated_size(world):
    settings = {"areas": ["V1"], "n_units": 200, "ceiling": 1.0, "n_repeats": 1, "n_runs": 1, "random_state": 4}
    haemo = simulated.Haemodynamics(peak=5.0, drift=0.5)
    seen = simulated.person(world[:40], time_series=haemo, **settings)
    free = simulated.person(world[:40], time_series=haemo, noise=False, **settings)
    drift = (seen - free).values / free.values.std(0, ddof=1)
    assert np.sqrt((drift**2).mean()) == pytest.approx(0.5, rel=0.1)
    t = np.linspace(-1, 1, len(drift))
    smooth = np.polynomial.polynomial.polyfit(t, drift, 6)
    assert np.abs(drift - np.polynomial.polynomial.polyval(t, smooth).T).max() < 0.01


def test_features_go_to_the_volumes_of_their_scenes(world, bold):
    sticks = simulated.at_onsets(world[:60].attributes(), bold)
    check_representation(sticks)
    assert sticks.attrs["tr"] == 2.0
    on = bold["scene"].values != ""
    assert on.sum() == 180
    assert (sticks.values[~on] == 0).all()
    first = int(np.flatnonzero(on)[0])
    row = world.stimulus.tolist().index(bold["scene"].values[first])
    assert (sticks.values[first] == world.attributes().values[row]).all()
    with pytest.raises(ValueError, match="no features"):
        simulated.at_onsets(world[:10].attributes(), bold)
    with pytest.raises(ValueError, match="time_series"):
        simulated.at_onsets(world.attributes(), world.attributes())
