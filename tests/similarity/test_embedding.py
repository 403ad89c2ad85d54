"""Places and trees of dissimilarities: planted places come back, and scikit-learn finds no better ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, leaves_list
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist, squareform
from sklearn.manifold import smacof

from neurodecode.exceptions import DegenerateDataError
from neurodecode.similarity import as_rdm, embed


def planted(n=30, dims=2, seed=0):
    places = np.random.default_rng(seed).normal(size=(n, dims))
    return places, as_rdm(pdist(places), stimulus=[f"s{at}" for at in range(n)], attrs={"metric": "euclidean"})


@pytest.mark.parametrize("how", ["classical", "smacof"])
def test_places_in_a_plane_come_back(how):
    places, R = planted()
    found = embed(R, how)
    np.testing.assert_allclose(squareform(pdist(found["place"].values)), R.values, atol=1e-6)
    assert procrustes(places, found["place"].values)[2] < 1e-10 and found.attrs["stress"] < 1e-6


def test_stress_is_as_low_as_that_of_scikit_learn():
    _, R = planted(25, 6, seed=1)
    found = embed(R)
    settings = {"n_init": 8, "random_state": 1, "max_iter": 2000, "eps": 1e-12, "normalized_stress": False}
    _, raw = smacof(R.values, n_components=2, **settings)
    stress = np.sqrt(2 * raw / (R.values**2).sum())
    assert found.attrs["stress"] <= stress * 1.02
    assert found.attrs["stress"] < embed(R, "classical").attrs["stress"]


def test_order_of_stimuli_does_not_matter():
    _, R = planted(20, 5, seed=2)
    order = np.random.default_rng(3).permutation(20)
    one, two = embed(R), embed(R[order, order])
    assert two.attrs["stress"] == pytest.approx(one.attrs["stress"], rel=0.01)
    classical = [embed(which, "classical")["place"].values for which in (R, R[order, order])]
    np.testing.assert_allclose(classical[1], classical[0][order], atol=1e-8)


def test_the_tree_parts_planted_groups():
    rng = np.random.default_rng(4)
    group = rng.permutation(np.repeat([0, 1, 2], 6))
    values = np.where(group[:, None] == group, 1.0, 4.0) + 0.1 * rng.random((18, 18))
    values = np.triu(values, 1) + np.triu(values, 1).T
    found = embed(as_rdm(values, stimulus=np.arange(18)))
    parts = fcluster(found["tree"].values, 3, "maxclust")
    assert all(len(set(parts[group == at])) == 1 for at in range(3)) and len(set(parts)) == 3
    assert sorted(leaves_list(found["tree"].values)) == list(range(18))


def test_what_cannot_be_placed_is_refused():
    _, R = planted(5)
    with pytest.raises(DegenerateDataError, match="more stimuli than axes"):
        embed(R[:2, :2])
    with pytest.raises(DegenerateDataError, match="all dissimilarities are 0"):
        embed(R * 0)
    with pytest.raises(ValueError, match="several matrices"):
        embed(as_rdm(np.ones((2, 10)), stimulus=list("abcde")))
    with pytest.raises(ValueError, match="how"):
        embed(R, "tsne")
    negative = embed(R - 0.5 * (R > 0))
    assert negative.attrs["negative"] == int((R.values[np.triu_indices(5, 1)] < 0.5).sum())
