"""Neighbourhoods, and distances that are compared without labels."""

from __future__ import annotations

import numpy as np
import pytest
from references.similarity import slow_mutual_knn

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


def test_transport_finds_a_geometry_without_labels():
    pytest.importorskip("ot")
    rng = np.random.default_rng(1)
    x, y = draw(15, 4, 5)
    near = gw(x, x + 0.05 * rng.normal(size=x.shape))
    assert near < 0.1 < gw(x, rng.normal(size=(15, 4)))
    assert gw(x, y) == pytest.approx(gw(y, x), abs=0.05)


def test_transport_is_no_worse_than_the_labelled_match():
    pytest.importorskip("ot")
    x, y = draw(12, 4, 5)
    D, E = (np.linalg.norm(side[:, None] - side[None], axis=-1) for side in (x, y))
    D, E = D / np.sqrt((D**2).mean()), E / np.sqrt((E**2).mean())
    assert gw(x, y) <= np.sqrt(((D - E) ** 2).mean()) + 1e-12


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
