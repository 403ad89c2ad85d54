"""Concepts before and after fine-tuning: planted moves are recovered, one move for all misses, noise moves nothing."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.representation import as_representation
from neurodecode.similarity import concept_shift, geometry

K, UNITS, EACH = 4, 16, 300


def states(seed=0, moved=True, noise=0.3):
    rng = np.random.default_rng(seed)
    kind = rng.permutation(np.repeat(np.arange(K), EACH))
    before = 12 * rng.normal(size=(K, UNITS))[kind] + rng.normal(size=(len(kind), UNITS))
    offsets = 6 * rng.normal(size=(K, UNITS)) if moved else np.zeros((K, UNITS))
    return before, before + offsets[kind] + noise * rng.normal(size=before.shape), kind, offsets


@pytest.mark.parametrize("statistic", ["mean", "median", "trimmed"])
def test_planted_shifts_are_recovered_and_one_for_all_misses(statistic):
    before, after, kind, offsets = states()
    found = concept_shift(before, after, K, statistic=statistic, random_state=7)
    assert adjusted_rand_score(kind, found["concept_of"].values) == 1
    names = [kind[found["concept_of"].values == k][0] for k in range(K)]
    assert np.abs(found["shift"].values - offsets[names]).max() < 0.1
    assert found.attrs["global_miss"] > 5
    assert found["cosine"].values.min() > 0.99 and sorted(found["partner"].values.tolist()) == list(range(K))
    for k, partner in enumerate(found["partner"].values):
        there = after[found["concept_of"].values == k].mean(0)
        np.testing.assert_allclose(found["centre_after"].values[partner], there, atol=1e-6)
    assert found["consistency"].values.min() > 0.9 and found.attrs["gain"] > 0.05
    assert (found["distance"].values < 1).all() and (found["distance_unshifted"].values > 5).all()


def test_the_shift_is_the_mean_move_to_the_second_digit():
    before, after, kind, offsets = states()
    found = concept_shift(before, after, K)
    names = [kind[found["concept_of"].values == k][0] for k in range(K)]
    assert np.abs(found["shift"].values - offsets[names]).max() < 0.06, "0.3 / sqrt(300) a coordinate, 64 of them"
    expected = np.stack([(after - before)[found["concept_of"].values == k].mean(0) for k in range(K)])
    np.testing.assert_allclose(found["shift"], expected, atol=1e-10)


def test_noise_moves_nothing():
    consistency = []
    for seed in range(8):
        before, after, *_ = states(seed, moved=False)
        found = concept_shift(before, after, K)
        assert abs(found.attrs["gain"]) < 1e-3 and found["cosine_unshifted"].values.min() > 0.99
        consistency.append(found["consistency"].values)
    # one move with the mean of all, itself included, would be near 1 / sqrt(EACH) = .058
    spread = (2 / UNITS) ** 0.5 / EACH**0.5
    assert abs(np.mean(consistency)) < 4 * spread / np.size(consistency) ** 0.5 < 0.02


def test_half_a_shift_goes_half_the_way():
    before, after, *_ = states()
    none, half, whole = (concept_shift(before, after, K, strength=share) for share in (0.0, 0.5, 1.0))
    assert none.attrs["gain"] == pytest.approx(0, abs=1e-12)
    assert whole["cosine"].mean() > half["cosine"].mean() > none["cosine"].mean()


def test_order_rotation_and_labels():
    before, after, *_ = states()
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(UNITS, UNITS)))[0]
    plain, turned = concept_shift(before, after, K), concept_shift(before @ turn, after @ turn, K)
    np.testing.assert_allclose(np.sort(turned["cosine"]), np.sort(plain["cosine"]), atol=1e-9)
    assert turned.attrs["gain"] == pytest.approx(plain.attrs["gain"], abs=1e-9)
    names = [f"s{at:04d}" for at in range(len(before))]
    one, two = (
        as_representation(side, stimulus=names, kind="network", unit={"layer": ["l"] * UNITS})
        for side in (before, after)
    )
    order = np.random.default_rng(6).permutation(len(names))
    found, other = concept_shift(one, two, K), concept_shift(one[order], two, K)
    np.testing.assert_array_equal(other["concept_of"].values, found["concept_of"].values[order])
    assert other["stimulus"].values.tolist() == [names[at] for at in order] and found["layer"].dims == ("unit",)
    np.testing.assert_allclose(other["shift"], found["shift"])
    assert geometry.concept_shift is concept_shift


def test_what_cannot_be_told():
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(AlignmentError, match="before has 3 units and after 2"):
        concept_shift(x, x[:, :2], 3)
    with pytest.raises(DegenerateDataError, match="n_concepts=21, and before has 20 different states"):
        concept_shift(x, x, 21)
    with pytest.raises(ValueError, match="n_concepts=1"):
        concept_shift(x, x, 1)
    with pytest.raises(ValueError, match="statistic='mode'"):
        concept_shift(x, x, 3, statistic="mode")
    with pytest.raises(DegenerateDataError, match="NaN"):
        concept_shift(np.where(x > 1, np.nan, x), x, 3)
    names = [f"s{at}" for at in range(20)]
    one, two = (as_representation(x, stimulus=labels, kind="network") for labels in (names, ["z", *names[1:]]))
    with pytest.raises(AlignmentError, match="'z'"):
        concept_shift(one, two, 3)
    still = concept_shift(x, x, 3)
    assert np.isnan(still["consistency"].values).all() and still.attrs["gain"] == pytest.approx(0)
