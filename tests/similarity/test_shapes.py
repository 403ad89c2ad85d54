"""Shape distances and canonical correlations: against the papers, scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from references.similarity import (
    slow_bures,
    slow_correlations,
    slow_procrustes,
    slow_pwcca,
    slow_shape,
    slow_svcca,
)

from neurodecode.compute.alignment import centre, thin
from neurodecode.compute.nulls import permutation_orders
from neurodecode.exceptions import DegenerateDataError, NeurodecodeWarning
from neurodecode.similarity import bures, cca, compare, procrustes, pwcca, shape, svcca


def draw(n, p, q, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * rng.uniform(0.2, 3, p) + rng.normal(size=p)
    shared = x[:, : min(p, q)] @ rng.normal(size=(min(p, q), q))
    return x, shared + 2 * rng.normal(size=(n, q))


@pytest.mark.parametrize("size", [(30, 5, 7), (30, 7, 5), (12, 20, 40), (15, 6, 60)])
def test_angles_are_those_of_the_papers(size):
    x, y = draw(*size)
    assert procrustes(x, y) == pytest.approx(slow_procrustes(x, y), abs=1e-7)
    assert bures(x, y) == pytest.approx(slow_bures(x, y), abs=1e-6)
    for alpha in (0.1, 0.5, 0.9, 1.0):
        assert shape(x, y, alpha=alpha) == pytest.approx(slow_shape(x, y, alpha), abs=1e-7)


def test_procrustes_is_the_disparity_of_scipy():
    from scipy.spatial import procrustes as scipy_procrustes

    x, y = draw(25, 4, 4)
    assert np.sin(procrustes(x, y)) ** 2 == pytest.approx(scipy_procrustes(x, y)[2], abs=1e-10)


def test_correlations_are_those_of_the_papers():
    x, y = draw(60, 5, 8)
    assert cca(x, y) == pytest.approx(slow_correlations(x, y).mean(), abs=1e-9)
    assert pwcca(x, y) == pytest.approx(slow_pwcca(x, y), abs=1e-9)
    assert shape(x, y, alpha=0.0) == pytest.approx(np.arccos(slow_correlations(x, y).sum() / np.sqrt(40)), abs=1e-9)
    assert shape(x, y, alpha=0.0) == pytest.approx(slow_shape(x, y, 0.0), abs=1e-9)
    for variance in (0.5, 0.9, 0.99, 1.0):
        assert svcca(x, y, variance=variance) == pytest.approx(slow_svcca(x, y, variance), abs=1e-9)


def test_correlations_are_those_of_scikit_learn():
    from sklearn.cross_decomposition import CCA

    x, y = draw(80, 3, 4, seed=5)
    one, two = CCA(3, max_iter=5000, tol=1e-12).fit_transform(x, y)
    theirs = np.mean([np.corrcoef(one[:, k], two[:, k])[0, 1] for k in range(3)])
    assert cca(x, y) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("how", ["procrustes", "bures", "shape", "cca", "svcca", "pwcca"])
def test_nulls_are_values_of_permuted_rows(how):
    x, y = draw(40, 4, 6)
    found = compare(x, y, how, permutations=4, random_state=2)
    orders = permutation_orders(40, 4, random_state=2)
    np.testing.assert_allclose(found["null"], [compare(x, y[order], how) for order in orders], atol=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_triangle_inequality(alpha):
    rng = np.random.default_rng(3)
    latent = rng.normal(size=(20, 3))
    for _ in range(60):
        a, b, c = (
            latent @ rng.normal(size=(3, p)) * rng.uniform(0, 2) + rng.normal(size=(20, p))
            for p in rng.integers(2, 6, 3)
        )
        if alpha == 0:  # equal ranks, or the whitened space has its own unit
            b, c = b[:, :2] @ np.eye(2), c[:, :2] @ np.eye(2)
            a = a[:, :2]
        left = shape(a, c, alpha=alpha)
        assert left <= shape(a, b, alpha=alpha) + shape(b, c, alpha=alpha) + 1e-9


def test_the_path_goes_from_whitened_to_rotations():
    x, y = draw(60, 5, 5)
    steps = [shape(x, y, alpha=alpha) for alpha in np.linspace(0, 1, 6)]
    assert np.abs(np.diff(steps)).max() < 0.5
    assert steps[-1] == procrustes(x, y)
    stretched = y @ np.diag([100, 1, 1, 1, 0.01])
    assert shape(x, stretched, alpha=0) == pytest.approx(steps[0], abs=1e-8)
    assert abs(shape(x, stretched, alpha=0.5) - steps[2]) > 0.02


def test_the_size_of_a_shape_can_count():
    x, y = draw(30, 4, 4)
    plain = bures(x, y, normalized=False)
    a, b = x - x.mean(0), y - y.mean(0)
    u, _, vt = np.linalg.svd(b.T @ a)
    assert plain == pytest.approx(np.linalg.norm(a - b @ u @ vt), abs=1e-9)


def test_more_units_than_samples_is_refused_in_words():
    rng = np.random.default_rng(0)
    wide, narrow = rng.normal(size=(20, 30)), rng.normal(size=(20, 3))
    for call in (cca, pwcca, lambda x, y: shape(x, y, alpha=0.0), lambda x, y: svcca(x, y, variance=1.0)):
        with pytest.raises(DegenerateDataError, match="1 whatever the data"):
            call(wide, narrow)
        with pytest.raises(DegenerateDataError, match="1 whatever the data"):
            call(narrow, wide)
    assert shape(wide, narrow, alpha=0.5) > 0.1


def test_forced_correlations_are_counted():
    rng = np.random.default_rng(0)
    with pytest.warns(NeurodecodeWarning, match="1 of 10 canonical correlations are 1"):
        found = cca(rng.normal(size=(20, 10)), rng.normal(size=(20, 10)))
    assert found > 0.6


def test_repeated_and_constant_units_change_nothing_that_is_whitened():
    x, y = draw(60, 5, 6)
    more = np.hstack([x, x[:, :2], np.full((60, 1), 0.1)])
    assert cca(more, y) == pytest.approx(cca(x, y), abs=1e-9)
    assert shape(more, y, alpha=0.0) == pytest.approx(shape(x, y, alpha=0.0), abs=1e-9)


def test_small_directions_keep_their_digits():
    rng = np.random.default_rng(8)
    x, y = draw(200, 5, 5)
    steep = x @ np.linalg.qr(rng.normal(size=(5, 5)))[0] @ np.diag([1, 1e-2, 1e-4, 1e-6, 1e-8])
    u, s = thin(centre(torch.from_numpy(steep)))
    assert u.shape == (200, 5)
    np.testing.assert_allclose(u.T @ u, np.eye(5), atol=1e-12)
    np.testing.assert_allclose(s, np.linalg.svd(steep - steep.mean(0), compute_uv=False), rtol=1e-6)
    assert cca(steep, y) == pytest.approx(cca(x, y), abs=1e-6)


def test_wrong_options():
    x, y = draw(30, 3, 3)
    with pytest.raises(ValueError, match="alpha=2"):
        shape(x, y, alpha=2)
    with pytest.raises(ValueError, match="variance=0"):
        svcca(x, y, variance=0)
