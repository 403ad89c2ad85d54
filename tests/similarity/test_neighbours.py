"""Neighbourhoods, and distances that are compared without labels."""

from __future__ import annotations

import numpy as np
import pytest
from references.similarity import slow_gw, slow_gw_loss, slow_gw_matches, slow_mutual_knn

from neurodecode.compute.nulls import permutation_orders
from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.similarity import as_rdm, compare, gw, mutual_knn


def draw(n, p, q, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    return x, x @ rng.normal(size=(p, q)) + rng.normal(size=(n, q))


@pytest.mark.parametrize("k", [1, 5, 10])
def test_overlap_is_that_of_the_paper(k):
    x, y = draw(40, 4, 6)
    assert mutual_knn(x, y, k=k) == pytest.approx(slow_mutual_knn(x, y, k), abs=1e-12)


def test_euclidean_neighbours_are_those_of_scikit_learn():
    from sklearn.neighbors import NearestNeighbors

    x, y = draw(40, 4, 6)
    lists = [NearestNeighbors(n_neighbors=5).fit(side).kneighbors(return_distance=False) for side in (x, y)]
    shared = [len(set(a) & set(b)) for a, b in zip(*(found.tolist() for found in lists))]
    assert mutual_knn(x, y, k=5, metric="euclidean") == pytest.approx(np.mean(shared) / 5)
    jaccard = np.mean([both / (10 - both) for both in shared])
    assert mutual_knn(x, y, k=5, metric="euclidean", score="jaccard") == pytest.approx(jaccard)


def test_unrelated_overlap_is_k_over_n_minus_one():
    rng = np.random.default_rng(0)
    found = [mutual_knn(rng.normal(size=(60, 5)), rng.normal(size=(60, 5)), k=10) for _ in range(60)]
    assert abs(np.mean(found) - 10 / 59) < 3 * np.std(found) / np.sqrt(60)


def test_nulls_are_values_of_permuted_rows():
    x, y = draw(30, 4, 6)
    found = compare(x, y, "mutual_knn", k=4, permutations=4, random_state=2)
    orders = permutation_orders(30, 4, random_state=2)
    np.testing.assert_allclose(found["null"], [mutual_knn(x, y[order], k=4) for order in orders])


def kinds(n, seed):
    return np.eye(4)[np.random.default_rng(seed).permutation(n) % 4]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_equally_near_stimuli_are_drawn_by_lot(metric):
    x, y = kinds(24, 0), kinds(24, 1)
    rng = np.random.default_rng(2)

    def drawn(side):
        apart = ((side[:, None] - side) ** 2).sum(-1) + 1e-9 * rng.random((24, 24)) + 9.0 * np.eye(24)
        return [set(row[:3].tolist()) for row in np.argsort(apart, axis=1)]

    lots = [np.mean([len(a & b) / 3 for a, b in zip(drawn(x), drawn(y))]) for _ in range(400)]
    found = mutual_knn(x, y, k=3, metric=metric)
    assert abs(found - np.mean(lots)) < 4 * np.std(lots) / 20
    order = rng.permutation(24)
    assert mutual_knn(x[order], y[order], k=3, metric=metric) == pytest.approx(found, abs=1e-14)
    assert mutual_knn(x, x[:, ::-1], k=3, metric=metric) < 1 == mutual_knn(*[draw(24, 3, 3)[0]] * 2, k=3, metric=metric)


@pytest.mark.parametrize("make", [kinds, lambda n, seed: np.random.default_rng(seed).normal(size=(n, 1))])
def test_unrelated_categories_and_single_units_are_at_chance(make):
    found = [
        compare(make(30, s), make(30, 900 + s), "mutual_knn", k=5, permutations=19, random_state=s) for s in range(200)
    ]
    values = np.array([float(one["value"]) for one in found])
    assert abs(values.mean() - 5 / 29) < 3 * values.std() / 200**0.5
    assert np.mean([float(one["p"]) <= 0.05 for one in found]) < 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


def test_neighbours_that_cannot_be():
    x, y = draw(10, 3, 3)
    with pytest.raises(DegenerateDataError, match="k=10 neighbours of 10 stimuli"):
        mutual_knn(x, y)
    with pytest.raises(ValueError, match="metric='cosin'"):
        mutual_knn(x, y, k=3, metric="cosin")
    x[:] -= x.mean(0)
    x[4] = 0
    x[[0, 1, 2, 3, 5, 6, 7, 8, 9]] -= x[[0, 1, 2, 3, 5, 6, 7, 8, 9]].mean(0)
    with pytest.raises(DegenerateDataError, match="equals the mean"):
        mutual_knn(x, y, k=3)
    assert 0 <= mutual_knn(x, y, k=3, metric="euclidean") <= 1


def scaled(x):
    """Euclidean distances with a mean square of 1."""
    D = np.linalg.norm(x[:, None] - x[None], axis=-1)
    return D / np.sqrt((D**2).mean())


def two_sides(kind, n, seed):
    """X, Y whose rows are in another order, and where each row of X is in Y (which means nothing if unrelated)."""
    rng = np.random.default_rng(seed)
    x, order = rng.normal(size=(n, 4)), rng.permutation(n)
    y = {
        "rotated": lambda: 3 * x @ np.linalg.qr(rng.normal(size=(4, 4)))[0] + 1,
        "noisy": lambda: x + 0.05 * rng.normal(size=x.shape),
        "more units": lambda: np.hstack([x, 0.1 * rng.normal(size=(n, 5))]) @ np.linalg.qr(rng.normal(size=(9, 9)))[0],
        "unrelated": lambda: rng.normal(size=(n, 6)),
    }[kind]()
    return x, y[order], np.argsort(order)


@pytest.mark.parametrize("kind", ["rotated", "noisy", "more units", "unrelated"])
@pytest.mark.parametrize("seed", range(4))
def test_transport_reaches_the_minimum_over_all_matches(kind, seed):
    # for Euclidean distances the objective is concave, so that its minimum is at a match
    pytest.importorskip("ot")
    x, y, _ = two_sides(kind, 6, seed)
    D, E = scaled(x), scaled(y)
    known, match = slow_gw_matches(D, E)
    assert gw(x, y) == pytest.approx(known, abs=1e-7)
    assert np.sqrt(slow_gw_loss(D, E, np.eye(6)[match] / 6)) == pytest.approx(known, abs=1e-7)
    assert slow_gw(D, E, [np.eye(6)[match] / 6], 5, np.random.default_rng(seed)) == pytest.approx(known, abs=1e-7)


@pytest.mark.parametrize("kind", ["rotated", "noisy", "more units"])
@pytest.mark.parametrize(("n", "seed"), [(9, 1), (14, 2)])
def test_transport_equals_the_descent_of_the_paper_from_the_planted_match(kind, n, seed):
    pytest.importorskip("ot")
    x, y, match = two_sides(kind, n, seed)
    known = slow_gw(scaled(x), scaled(y), [np.eye(n)[match] / n])
    assert gw(x, y) == pytest.approx(known, abs=1e-6)
    assert known < 0.15 < gw(x, two_sides("unrelated", n, seed + 50)[1]) - 0.02


def test_transport_is_no_worse_than_many_descents_of_the_paper():
    pytest.importorskip("ot")
    for seed in range(3):
        x, y, _ = two_sides("unrelated", 9, seed)
        assert gw(x, y) <= slow_gw(scaled(x), scaled(y), n_starts=15, rng=np.random.default_rng(seed)) + 1e-9


def test_transport_of_dissimilarities_that_are_no_distances():
    # nothing is concave here, and stimuli may be split
    pytest.importorskip("ot")
    names = list("abcdefg")
    for seed in range(3):
        rng = np.random.default_rng(seed)
        D, E = (np.triu(rng.exponential(size=(7, 7)), 1) for _ in "xy")
        D, E = D + D.T, E + E.T
        found = gw(as_rdm(D, stimulus=names), as_rdm(E, stimulus=names))
        D, E = (side / np.sqrt((side**2).mean()) for side in (D, E))
        assert found <= slow_gw(D, E, n_starts=15, rng=rng) + 1e-6
        assert found <= slow_gw_matches(D, E)[0] + 1e-9


@pytest.mark.parametrize("n", [15, 60])
def test_transport_finds_a_geometry_without_labels(n):
    pytest.importorskip("ot")
    x, y, match = two_sides("noisy", n, 3)
    value = gw(x, y)
    assert value == pytest.approx(gw(x, y[match]), abs=1e-7)  # which stimulus is which is not used
    assert value == pytest.approx(np.sqrt(((scaled(x) - scaled(y[match])) ** 2).mean()), abs=1e-3)
    assert value < 0.12 < gw(x, two_sides("unrelated", n, 4)[1]) - 0.03


def test_what_changes_no_transport():
    pytest.importorskip("ot")
    x, y, _ = two_sides("noisy", 20, 5)
    value, rng = gw(x, y), np.random.default_rng(6)
    turned = -2 * y @ np.linalg.qr(rng.normal(size=(4, 4)))[0] + 7
    for other in (turned, y[rng.permutation(20)], np.hstack([y, np.ones((20, 3))])):
        assert gw(x, other) == pytest.approx(value, abs=1e-7)
    assert gw(y, x) == pytest.approx(value, abs=1e-7)
    assert gw(x, y, random_state=9) == pytest.approx(value, abs=1e-7)
    assert abs(gw(x, y * [1, 1, 5, 5]) - value) > 0.05


def test_more_starts_are_never_worse():
    pytest.importorskip("ot")
    x, y, _ = two_sides("unrelated", 25, 7)
    found = [gw(x, y, n_starts=n) for n in (0, 25)]
    assert found[1] <= found[0] + 1e-12
    with pytest.raises(ValueError, match="n_starts=-1"):
        gw(x, y, n_starts=-1)


def test_transport_of_matrices_and_what_it_refuses():
    pytest.importorskip("ot")
    x, y = draw(12, 4, 5)
    names = [f"s{at:02d}" for at in range(12)]
    D, E = (as_rdm(np.linalg.norm(side[:, None] - side[None], axis=-1), stimulus=names) for side in (x, y))
    assert compare(D, E, "gw") == pytest.approx(gw(x, y), abs=1e-9)
    with pytest.raises(ValueError, match="does not use which stimulus"):
        compare(D, E, "gw", permutations=10)
    with pytest.raises(AlignmentError, match="dissimilarity matrix"):
        compare(D, E, "cka")


def test_transport_of_what_cannot_be():
    pytest.importorskip("ot")
    x, y = draw(8, 3, 3)
    broken = x.copy()
    broken[2, 1] = np.nan
    with pytest.raises(DegenerateDataError):
        gw(broken, y)
    with pytest.raises(DegenerateDataError, match="constant"):
        gw(np.ones((8, 3)), y)
    with pytest.raises(AlignmentError, match="8 rows and Y has 6"):
        gw(x, y[:6])
    names = list("abcdefgh")
    D = as_rdm(scaled(x), stimulus=names)
    with pytest.raises(AlignmentError):
        gw(D, as_rdm(scaled(y), stimulus=[*"abcdefg", "z"]))
    with pytest.raises(DegenerateDataError, match="all dissimilarities are 0"):
        gw(D, as_rdm(np.zeros((8, 8)), stimulus=names))
    missing = scaled(y)
    missing[1, 2] = missing[2, 1] = np.nan
    with pytest.raises(DegenerateDataError, match="missing"):
        gw(D, as_rdm(missing, stimulus=names))
