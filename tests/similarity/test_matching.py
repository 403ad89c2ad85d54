"""Matching units: planted permutations, the papers, and transport by linear programming."""

from __future__ import annotations

import numpy as np
import pytest
from references.similarity import slow_held_out_r2, slow_match, slow_semi_match, slow_transport

from neurodecode.compute.nulls import permutation_orders
from neurodecode.exceptions import DegenerateDataError, NeurodecodeWarning
from neurodecode.similarity import (
    cka,
    compare,
    linear_predictivity,
    permutation,
    semi_matching,
    soft_matching,
    sparse_matching,
)
from neurodecode.similarity.spaces import group


def draw(n, p, q, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * rng.uniform(0.2, 3, p) + rng.normal(size=p)
    return x, x @ rng.normal(size=(p, q)) + 2 * rng.normal(size=(n, q))


@pytest.mark.parametrize("size", [(20, 4, 4), (20, 3, 6), (20, 6, 3)])
def test_equal_to_the_papers(size):
    x, y = draw(*size)
    small, large = sorted((x, y), key=lambda side: side.shape[1])
    assert permutation(x, y) == pytest.approx(slow_match(small, large), abs=1e-12)
    assert semi_matching(x, y) == pytest.approx(slow_semi_match(x, y), abs=1e-12)
    if size[1] != size[2]:
        pytest.importorskip("ot")
    assert soft_matching(x, y) == pytest.approx(slow_transport(x, y), abs=1e-9)


def test_a_planted_permutation_is_found_and_a_rotation_is_not():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 40))
    copy = x[:, rng.permutation(40)] + 0.1 * rng.normal(size=(400, 40))
    turned = x @ np.linalg.qr(rng.normal(size=(40, 40)))[0]
    assert permutation(x, copy) > 0.99
    assert cka(x, turned) == pytest.approx(1, abs=1e-12)
    assert permutation(x, turned) < 0.6


def test_many_to_one_is_seen_by_semi_matching_only():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 6))
    y = np.repeat(x[:, :2], 3, axis=1)
    assert semi_matching(x, y, direction="yx") == pytest.approx(1)
    assert permutation(x, y) < 0.6


def test_soft_matching_shares_units_out():
    pytest.importorskip("ot")
    x = np.random.default_rng(2).normal(size=(50, 4))
    assert soft_matching(x, np.repeat(x, 2, axis=1)) == pytest.approx(1)
    assert permutation(x, np.repeat(x, 2, axis=1)) == pytest.approx(1)
    assert soft_matching(x, x[:, :3]) < 1


def test_a_sum_of_two_units_is_predicted_and_not_matched():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 8))
    y = x[:, [0, 2, 4]] + x[:, [1, 3, 5]]
    assert sparse_matching(x, y, direction="xy") > 0.99
    assert permutation(x, y) < 0.8
    assert sparse_matching(x, rng.normal(size=(200, 3))) < 0


def test_sparse_prediction_is_one_lasso_a_fold():
    from sklearn.linear_model import Lasso

    x, y = draw(60, 5, 3, seed=4)
    folds = group([str(at) for at in range(60)], 5)
    error, spread = 0.0, 0.0
    for test in folds:
        train = np.setdiff1d(np.arange(60), test)
        mx, sx, my, sy = x[train].mean(0), x[train].std(0), y[train].mean(0), y[train].std(0)
        each = [Lasso(alpha=0.05, tol=1e-10).fit((x[train] - mx) / sx, (y[train, t] - my[t]) / sy[t]) for t in range(3)]
        guess = np.stack([model.predict((x[test] - mx) / sx) for model in each], 1) * sy + my
        error, spread = error + ((guess - y[test]) ** 2).sum(0), spread + ((y[test] - my) ** 2).sum(0)
    found = sparse_matching(x, y, penalty=0.1, direction="xy")
    assert found == pytest.approx((1 - error / spread).mean(), abs=1e-3)


@pytest.mark.parametrize("how", ["permutation", "semi_matching", "soft_matching"])
def test_nulls_are_values_of_permuted_rows(how):
    x, y = draw(25, 4, 4)
    found = compare(x, y, how, permutations=4, random_state=2)
    orders = permutation_orders(25, 4, random_state=2)
    np.testing.assert_allclose(found["null"], [compare(x, y[order], how) for order in orders], atol=1e-12)


@pytest.mark.parametrize("call", [permutation, semi_matching, soft_matching, sparse_matching])
def test_constant_units_are_named(call):
    x, y = draw(30, 4, 4)
    x[:, 2] = 7
    with pytest.raises(DegenerateDataError, match=r"X: 1 of 4 units are constant \(2\)"):
        call(x, y)


def test_wrong_options():
    x, y = draw(30, 3, 3)
    with pytest.raises(ValueError, match="direction='zz'"):
        semi_matching(x, y, direction="zz")
    with pytest.raises(ValueError, match="penalty=0"):
        sparse_matching(x, y, penalty=0)
    with pytest.raises(ValueError, match="n_folds=2"):
        linear_predictivity(x, y, n_folds=2)
    with pytest.raises(ValueError, match="alphas"):
        linear_predictivity(x, y, alphas=[-1.0])
    with pytest.raises(DegenerateDataError, match="2 stimuli fall into 1 of 5 folds"):
        group(["a", "c"], 5)


def test_a_lasso_that_does_not_converge_says_so(monkeypatch):
    import sklearn.linear_model as linear_model

    class Impatient(linear_model.Lasso):
        def __init__(self, alpha, fit_intercept, max_iter):
            super().__init__(alpha, fit_intercept=fit_intercept, max_iter=1, tol=1e-12)

    monkeypatch.setattr(linear_model, "Lasso", Impatient)
    x, y = draw(60, 8, 3)
    with pytest.warns(NeurodecodeWarning, match="did not converge"):
        sparse_matching(x @ np.random.default_rng(0).normal(size=(8, 8)), y)


@pytest.mark.parametrize("size", [(40, 4, 3), (30, 50, 4), (30, 4, 50)])
def test_predictivity_is_that_of_refits(size):
    x, y = draw(*size)
    folds = group([str(at) for at in range(len(x))], 5)
    alphas = [100.0, 1.0, 0.01]
    one = linear_predictivity(x, y, alphas=alphas, direction="xy")
    other = linear_predictivity(x, y, alphas=alphas, direction="yx")
    if size[1] <= size[0] and size[2] <= size[0]:
        assert one == pytest.approx(slow_held_out_r2(x, y, folds, alphas), abs=1e-9)
        assert other == pytest.approx(slow_held_out_r2(y, x, folds, alphas), abs=1e-9)
    assert linear_predictivity(x, y, alphas=alphas) == pytest.approx((one + other) / 2)


def test_predictivity_is_that_of_the_ridge_of_the_package():
    from neurodecode.linear import Ridge

    x, y = draw(50, 6, 4, seed=6)
    folds = group([str(at) for at in range(50)], 5)
    scale = ((x - x.mean(0)) ** 2).sum() / x.size
    residual = baseline = 0.0
    for test in folds:
        train = np.setdiff1d(np.arange(50), test)
        guess = Ridge(alphas=3.0 * scale).fit(x[train], y[train]).predict(x[test])
        residual += ((guess - y[test]) ** 2).sum()
        baseline += ((y[test] - y[train].mean(0)) ** 2).sum()
    assert linear_predictivity(x, y, alphas=[3.0], direction="xy") == pytest.approx(1 - residual / baseline, abs=1e-10)


def test_predictivity_has_a_direction():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(120, 10))
    y = x[:, :2]
    assert linear_predictivity(x, y, direction="xy") > 0.99
    assert 0.1 < linear_predictivity(x, y, direction="yx") < 0.3
    assert linear_predictivity(x, rng.normal(size=(120, 3))) == pytest.approx(0, abs=0.05)
