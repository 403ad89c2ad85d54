"""Matching of units: planted partners are found, held out, and unrelated units give 0."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from neurodecode.exceptions import DegenerateDataError, NeurodecodeWarning
from neurodecode.representation import as_representation
from neurodecode.similarity import (
    cka,
    cluster_units,
    match_units,
    permutation,
    semi_matching,
    sparse_matching,
    sparse_prediction,
)
from neurodecode.similarity.convergence import _halves
from neurodecode.similarity.crossed import spaces


def labelled(values, **sample):
    return as_representation(
        values, stimulus=[f"s{at:04d}" for at in range(len(values))], kind="features", sample=sample
    )


def test_a_permuted_copy_is_matched_and_unrelated_units_are_not():
    rng = np.random.default_rng(0)
    x, order = rng.normal(size=(400, 40)), rng.permutation(40)
    y = x[:, order] + 0.1 * rng.normal(size=(400, 40))
    found = match_units(x, y, permutations=39, random_state=1)
    np.testing.assert_array_equal(found["partner"].values[order], np.arange(40))
    assert found.attrs["matched"] > 0.99 and found.attrs["matched_held_out"] > 0.99
    assert found.attrs["p_matched"] == found.attrs["p_held_out"] == 1 / 40 and abs(found.attrs["gap"]) < 1e-9
    other = match_units(x, rng.normal(size=(400, 40)), permutations=39, random_state=1)
    assert other.attrs["matched"] > 0.05, "the best of many is above 0 whatever the data"
    assert abs(other.attrs["matched_held_out"]) < 0.03 and other.attrs["p_held_out"] > 0.05
    assert abs(other["null_held_out"].mean()) < 0.01 and abs(found["null_held_out"].mean()) < 0.01


def test_rotated_units_share_a_space_and_no_axes():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2000, 40))
    y = x @ np.linalg.qr(rng.normal(size=(40, 40)))[0]
    assert cka(x, y) == pytest.approx(1, abs=1e-9)
    assert match_units(x, y).attrs["matched_held_out"] < 0.6


def test_means_are_those_of_the_measures():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(60, 5)), rng.normal(size=(60, 8))
    found = match_units(x, y)
    assert found.attrs["matched"] == pytest.approx(permutation(x, y), abs=1e-12)
    assert found.attrs["best"] == pytest.approx(semi_matching(x, y, direction="xy"), abs=1e-12)
    wide = match_units(y, x)
    assert (wide["partner"].values == -1).sum() == 3 and np.isnan(wide["matched"].values).sum() == 3
    assert wide.attrs["matched"] == pytest.approx(permutation(x, y), abs=1e-12)


def test_copies_of_a_unit_are_many_to_one():
    rng = np.random.default_rng(4)
    y = rng.normal(size=(300, 12))
    x = np.repeat(y[:, :4], 3, axis=1) + 0.05 * rng.normal(size=(300, 12))
    found = match_units(x, y)
    np.testing.assert_array_equal(found["best_partner"], np.repeat(np.arange(4), 3))
    assert found.attrs["gap"] > 0.4


def test_order_and_labels():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 80, 6))
    picture = np.repeat(np.arange(20), 4).astype(str)
    one, two = labelled(x, picture=picture), labelled(y, picture=picture)
    order = rng.permutation(80)
    found = match_units(one, two, groups="picture")
    for name in ("matched_held_out", "best_held_out", "matched"):
        np.testing.assert_allclose(match_units(one[order], two, groups="picture")[name], found[name], atol=1e-12)
    with pytest.raises(ValueError, match="place"):
        match_units(one, two, groups="place")


def test_what_cannot_be_matched_is_refused():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(30, 3))
    dead = x.copy()
    dead[:, 1] = 2
    with pytest.raises(DegenerateDataError, match="constant"):
        match_units(x, dead)
    with pytest.raises(DegenerateDataError, match="at least 3"):
        match_units(x[:4], x[:4])
    with pytest.raises(ValueError, match="above 0"):
        sparse_prediction(x, x, penalties=[0.0])
    with pytest.raises(ValueError, match="n_clusters"):
        cluster_units(x, x, 6)


def test_sums_of_two_units_need_two():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(500, 10))
    pairs = [(0, 1), (2, 3), (4, 5)]
    y = np.column_stack([x[:, a] + x[:, b] for a, b in pairs] + [x[:, 9], rng.normal(size=500)])
    found = sparse_prediction(x, y, penalties=[0.2])
    np.testing.assert_array_equal(found["used"].values[0, :4], [2, 2, 2, 1])
    r2, one = found["r2"].values[0], found["r2_one"].values
    assert (r2[:3] > 0.9).all() and (np.abs(one[:3] - 0.5) < 0.15).all() and one[3] > 0.99
    assert abs(r2[4]) < 0.05 and one[4] < 0.05


def test_planted_groups_are_found_across_both_spaces():
    rng = np.random.default_rng(8)
    source = rng.normal(size=(400, 5))
    groups_x, groups_y = rng.permutation(np.repeat(np.arange(5), 4)), rng.permutation(np.repeat(np.arange(5), 6))
    x = source[:, groups_x] * rng.choice([-1, 1], 20) + 0.5 * rng.normal(size=(400, 20))
    y = source[:, groups_y] + 0.5 * rng.normal(size=(400, 30))
    found = cluster_units(x, y, 5, random_state=9)
    assert adjusted_rand_score(np.concatenate([groups_x, groups_y]), found["cluster"].values) == 1
    assert found.attrs["shared"] == 5 and found.attrs["within"] > 0.7 > 0.1 > found.attrs["between"]
    unrelated = cluster_units(x, rng.normal(size=(400, 30)), 5, random_state=9)
    gap = unrelated.attrs["within"] - unrelated.attrs["between"]
    assert not gap > 0.05


def test_a_rarely_active_unit_does_not_end_the_draws():
    """Active for one stimulus of either half: fine as it is, silent in a half in every second draw."""
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(2, 40, 5))
    half = _halves(spaces(x, y)[0], x, None)
    y[:, 0] = 0
    y[[np.flatnonzero(half == 0)[0], np.flatnonzero(half == 1)[0]], 0] = 1
    found = match_units(x, y, permutations=60, random_state=11)
    assert np.isfinite(found["null_held_out"].values).all() and np.isfinite(found.attrs["p_held_out"])
    planted = match_units(np.column_stack([y[:, 0], x]), y, permutations=60, random_state=11)
    assert planted["partner"].values[0] == 0 and planted["matched_held_out"].values[0] == pytest.approx(1)


def test_a_unit_that_is_constant_in_training_is_refused_and_not_divided_by_rounding():
    rng = np.random.default_rng(12)
    x, y = rng.normal(size=(2, 60, 4))
    x[:, 1] = 0.1
    x[7, 1] = 5.0
    for one, other in ((x, y), (y, x)):
        with pytest.raises(DegenerateDataError, match=r"unit \(at 1\) is constant over the .* training stimuli"):
            sparse_prediction(one, other)
        with pytest.raises(DegenerateDataError, match=r"unit \(at 1\) is constant over the .* training stimuli"):
            sparse_matching(one, other)


def test_what_is_said_of_wrong_arguments():
    rng = np.random.default_rng(13)
    x = rng.normal(size=(30, 3))
    with pytest.raises(ValueError, match=r"groups='run' is not a coordinate"):
        match_units(x, x, groups="run")
    with pytest.raises(ValueError, match=r"groups='run' is not a coordinate of the samples of X; it has stimulus"):
        match_units(labelled(x), labelled(x), groups="run")
    assert sparse_prediction(x, x, penalties=0.1)["penalty"].values.tolist() == [0.1]
    with pytest.raises(ValueError, match="n_clusters"):
        cluster_units(x, x, 2.5)
    assert cluster_units(x, x, 3.0).attrs["shared"] == 3
    near = x[:, :1] + 1e-4 * rng.normal(size=(30, 3))
    with pytest.warns(NeurodecodeWarning, match="did not converge"):
        sparse_prediction(near, 1e4 * (near[:, :1] - near[:, 1:2]), penalties=[1e-9])


def test_units_are_told_by_their_coordinates_and_by_their_place_in_what_came():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(80, 6))
    order = np.array([3, 0, 5, 1, 4, 2])
    names = [f"s{at}" for at in range(80)]
    X = as_representation(values, stimulus=names, kind="fmri", unit={"voxel": [f"v{at}" for at in range(6)]})
    other = values[:, order]
    other[3, [0, 4]] = np.nan  # units 3 and 4 of X
    Y = as_representation(
        other, stimulus=names, kind="fmri", nan_policy="drop_targets", unit={"voxel": [f"v{at}" for at in order]}
    )
    found = match_units(X, Y)
    there = found["partner"].values >= 0
    assert found.sizes["unit_other"] == 4 and found["position_other"].values.tolist() == [1, 2, 3, 5]
    partners = found["voxel_other"].values[found["partner"].values[there]]
    assert there.sum() == 4 and partners.tolist() == found["voxel"].values[there].tolist()
    np.testing.assert_array_equal(
        order[found["position_other"].values[found["partner"].values[there]]], np.flatnonzero(there)
    )

    sparse = sparse_prediction(X, Y, penalties=[0.1])
    used = [np.flatnonzero(weights).tolist() for weights in sparse["weight"].values[0].T]
    assert sparse["voxel_source"].values[np.ravel(used)].tolist() == sparse["voxel"].values.tolist()
    assert sparse["position"].values.tolist() == [1, 2, 3, 5] and sparse["weight"].dims == ("penalty", "source", "unit")

    groups = cluster_units(X, Y, 4)
    assert groups["position"].values.tolist() == [0, 1, 2, 3, 4, 5, 1, 2, 3, 5]


def test_the_two_units_of_a_sum_are_named():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 12))
    pairs = rng.permutation(12).reshape(6, 2)
    found = sparse_prediction(x, x[:, pairs[:, 0]] + x[:, pairs[:, 1]], penalties=[0.1, 0.3])
    for at in range(2):
        assert [set(np.flatnonzero(weights)) for weights in found["weight"].values[at].T] == [
            set(pair) for pair in pairs.tolist()
        ]
