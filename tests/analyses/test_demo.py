"""The built-in demo at a size that takes seconds: what was planted is found, and a wrong tool is caught."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from neurodecode import studies
from neurodecode.evaluation import check_result
from neurodecode.representation import average_repeats, match
from neurodecode.sources import simulated

TAIL = 0.001 / 22 / 2


@pytest.fixture(scope="module")
def study():
    return studies.find_study("demo")


@pytest.fixture(scope="module")
def demo(study):
    return studies._load(study)


def dry_run(study, demo, out, seed=5):
    return demo.run(studies.Job(study, None, out, seed, True, dict(study.settings)))


@pytest.fixture(scope="module")
def tree(study, demo, tmp_path_factory):
    return dry_run(study, demo, tmp_path_factory.mktemp("demo"))


def test_every_planted_figure_lies_in_its_interval(tree):
    planted = [row for row in tree.attrs["figures"] if row["planted"] is not None]
    assert len(planted) >= 20
    for row in planted:
        assert row["low"] <= row["planted"] <= row["high"], row
        assert row["low"] <= row["found"] <= row["high"], row


def test_what_is_not_planted_says_so(tree):
    others = [row for row in tree.attrs["figures"] if row["planted"] is None]
    assert len(others) == 5 * 6 + 1
    for row in others:
        assert row["low"] is None and row["high"] is None and math.isfinite(row["found"])


def test_the_results_are_results_and_the_matrix_is_theirs(tree):
    for name in ("stage1", "stage2", "stage3", "caption words", "category"):
        check_result(tree[name].to_dataset())
    assert tree["matrix"].dims == ("layer", "roi")
    v1 = tree["stage2"]["roi"].values == "V1"
    score = tree["stage2"]["score"].values[v1]
    assert float(tree["matrix"].sel(layer="stage2", roi="V1")) == pytest.approx(np.nanmean(score))
    confusion = tree["category"]["confusion"].values
    assert confusion.sum() == 96 and confusion.shape == (8, 8)
    assert "no stage is tested" in tree.attrs["answer"]
    assert {"data_card", "method", "references"} <= set(tree.attrs)


def test_the_same_seed_gives_the_same_figures_at_two_threads(tree, study, demo, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = dry_run(study, demo, tmp_path)
    finally:
        torch.set_num_threads(threads)
    assert again.attrs["figures"] == tree.attrs["figures"]


@pytest.fixture(scope="module")
def recorded():
    world = simulated.scenes(192, random_state=41)
    settings = {"areas": ["V1", "face area", "house area"], "n_units": 24, "ceiling": 0.8, "random_state": 42}
    return world, simulated.person(world, **settings), simulated.person(world, noise=False, **settings)


def inside(rows):
    return [abs(found - planted) <= margin(TAIL) for _, planted, found, margin in rows]


def test_fields_are_found_in_the_pictures_seen_and_not_in_their_mirror_image(demo, recorded):
    world, brain, truth = recorded
    Y = match(truth, average_repeats(brain))[1]
    rows = demo.planted.fields(world, Y)
    assert all(inside(rows))
    mirrored = world.pictures.copy(data=world.pictures.values[:, :, ::-1].copy())
    other = simulated.World(mirrored, world.scenes, world.objects, world.field, world.random_state)
    assert demo.planted.fields(other, Y)[0][2] < 0 < rows[0][2]


def test_selectivity_is_found_and_a_shuffled_recording_is_caught(demo, recorded):
    world, brain, truth = recorded
    assert all(inside(demo.planted.selectivity(world, brain, truth)))
    turned = brain.assign_coords(stimulus=("sample", np.roll(brain["stimulus"].values, 7)))
    assert not any(inside(demo.planted.selectivity(world, turned, truth)))


def test_a_late_response_is_caught(demo, recorded, monkeypatch):
    """Onsets written one volume late give a peak that is 2 s early, and the interval excludes it."""
    world = recorded[0]
    assert all(inside(demo.planted.lag(world, 43)))
    honest = simulated.at_onsets

    def late(features, recording):
        found = honest(features, recording)
        return found.copy(data=np.roll(found.values, 1, axis=0))

    monkeypatch.setattr(simulated, "at_onsets", late)
    assert not any(inside(demo.planted.lag(world, 43)))


def test_latencies_are_those_of_this_person(demo, recorded):
    assert all(inside(demo.planted.latencies(recorded[0], 44)))
    wave = -3e-6 * np.exp(-((np.linspace(0.1, 0.25, 31) - 0.171) ** 2) / (2 * 0.02**2))
    assert demo.planted.latency(np.linspace(0.1, 0.25, 31), wave) == pytest.approx(0.171, abs=1e-6)


def test_a_parabola_has_its_top_where_it_has(demo):
    for top in (-0.4, 0.0, 0.3):
        values = [-((step - top) ** 2) for step in (-1, 0, 1)]
        assert demo.planted.vertex(*map(np.array, values)) == pytest.approx(top)
    assert demo.planted.vertex(np.array(1.0), np.array(0.0), np.array(1.0)) == 0
