"""Clusters over time: a planted window is found, the rest is not; what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from neurodecode.evaluation import cluster_test, cross_validate, group
from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.linear import Generalizing, LinearClassifier, Sliding


def scores(n=14, times=50, start=20, stop=32, effect=0.08, seed=0):
    """AUC of n people around chance, above it in a window."""
    values = 0.5 + 0.05 * np.random.default_rng(seed).normal(size=(n, times))
    values[:, start:stop] += effect
    return xr.DataArray(
        values[:, None], dims=("subject", "unit", "time"), coords={"time": 0.02 * np.arange(times) - 0.2}
    )


def test_a_planted_window_is_found_and_the_rest_is_not():
    found = cluster_test(scores(), chance=0.5, permutations=500, random_state=1)
    inside = np.zeros(50, dtype=bool)
    inside[20:32] = True
    assert found["significant"].values[inside].mean() > 0.9
    assert not found["significant"].values[~inside][[0, 1, 2, -3, -2, -1]].any()
    assert found["significant"].values[~inside].mean() < 0.06
    assert found.attrs["clusters"][0]["p"] == pytest.approx(1 / 500)
    np.testing.assert_allclose(found["time"], 0.02 * np.arange(50) - 0.2)
    assert found["cluster"].values[25] == 1


def test_t_is_that_of_the_definition():
    values = scores()
    found = cluster_test(values, chance=0.5, permutations=20)
    apart = values.values[:, 0] - 0.5
    np.testing.assert_allclose(found["t"], apart.mean(0) / (apart.std(0, ddof=1) / np.sqrt(14)), rtol=1e-10)


def test_nothing_is_found_where_nothing_is():
    hits = [
        bool(cluster_test(scores(effect=0.0, seed=seed), chance=0.5, permutations=100)["significant"].any())
        for seed in range(40)
    ]
    assert np.mean(hits) <= 0.15


def test_tails():
    below = cluster_test(1.0 - scores(), chance=0.5, permutations=200, tail=-1)
    assert below["significant"].values[25]
    assert not cluster_test(1.0 - scores(), chance=0.5, permutations=200)["significant"].values[25]
    assert cluster_test(1.0 - scores(), chance=0.5, permutations=200, tail=0)["significant"].values[25]


def test_times_by_times_and_units():
    rng = np.random.default_rng(3)
    square = 0.5 + 0.05 * rng.normal(size=(12, 15, 15))
    square[:, 4:10, 4:10] += 0.1
    found = cluster_test(square, chance=0.5, permutations=200)
    assert found["significant"].dims == ("time", "time_test")
    assert found["significant"].values[4:10, 4:10].mean() > 0.8
    assert found["significant"].values[:3, 11:].mean() < 0.1
    places = 0.5 + 0.05 * rng.normal(size=(12, 4, 20))
    places[:, 1:3, 5:12] += 0.1
    chain = np.eye(4, k=1) + np.eye(4, k=-1)
    named = xr.DataArray(places, dims=("subject", "unit", "time"), coords={"channel": ("unit", list("abcd"))})
    found = cluster_test(named, chance=0.5, permutations=200, adjacency=chain)
    assert found["significant"].dims == ("unit", "time")
    assert found["significant"].values[1:3, 5:12].mean() > 0.8
    assert not found["significant"].values[3].any()
    assert found["channel"].values.tolist() == list("abcd")


def test_from_people_to_clusters():
    """The whole way: a decoder over time for each person, the group, the clusters."""
    people = {}
    for seed in range(8):
        rng = np.random.default_rng(100 + seed)
        y = np.arange(40) % 2
        x = rng.normal(size=(40, 6, 20))
        x[:, :, 8:14] += (y[:, None] * rng.normal(size=6))[:, :, None]
        people[f"p{seed}"] = cross_validate(
            Sliding(LinearClassifier("lda", shrinkage=0.1)), x, y, 4, score="auc"
        )  # fmt: skip
    together = group(people, permutations=200)
    assert together["score"].dims == ("subject", "unit", "time")
    found = cluster_test(together["score"], chance=0.5)
    assert found["significant"].values[8:14].all()
    assert not found["significant"].values[[0, 1, 2, 3, 4, 17, 18, 19]].any()
    crossed = cross_validate(Generalizing(LinearClassifier("lda", shrinkage=0.1)), x, y, 4, score="accuracy")
    assert crossed["score"].dims == ("unit", "time", "time_test")


def test_same_seed_same_answer():
    first, again = (cluster_test(scores(), chance=0.5, permutations=50, random_state=7) for _ in range(2))
    xr.testing.assert_identical(first, again)


def test_refuses():
    values = scores()
    with pytest.raises(AlignmentError, match="must be 'subject'"):
        cluster_test(values.rename(subject="fold"))
    with pytest.raises(DegenerateDataError, match="at least 2 subjects"):
        cluster_test(values[:1])
    with pytest.raises(DegenerateDataError, match="1 points have scores that are not finite"):
        cluster_test(values.where(values["time"] > values["time"][0]))
    with pytest.raises(AlignmentError, match="need adjacency"):
        cluster_test(xr.concat([values, values], dim="unit"))
    with pytest.raises(AlignmentError, match="there are 2 units"):
        cluster_test(xr.concat([values, values], dim="unit"), adjacency=np.eye(3))
    with pytest.raises(AlignmentError, match="people first"):
        cluster_test(np.ones(5))
    with pytest.raises(ValueError, match="tail=2"):
        cluster_test(values, tail=2)
