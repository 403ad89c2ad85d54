"""Many ridge regressions at once: against the textbook, problem by problem."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from references.linear import contiguous_folds, slow_ridge, slow_search

from neurodecode.compute.many_ridges import fit

ALPHAS = np.array([1000.0, 100.0, 10.0, 1.0, 0.1])


def problems(b=4, p=5, n=36, t=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(b, p, n)) + 2
    y = x[0].T @ rng.normal(size=(p, t)) + 2 * rng.normal(size=(n, t))
    return x, y


@pytest.mark.parametrize("p", [5, 80])
@pytest.mark.parametrize("intercept", [True, False])
class TestAgainstTheTextbook:
    def test_one_penalty(self, p, intercept):
        x, y = problems(p=p)
        found = fit(torch.from_numpy(x), torch.from_numpy(y), torch.tensor([7.0]), [], centre=intercept)
        for b in range(len(x)):
            w, bias = slow_ridge(x[b].T, y, 7.0, intercept)
            np.testing.assert_allclose(found.coef[b].T, w, rtol=1e-7, atol=1e-9)
            np.testing.assert_allclose(found.intercept[b], bias, rtol=1e-7, atol=1e-7)

    def test_chosen_penalties(self, p, intercept):
        x, y = problems(p=p)
        folds = contiguous_folds(len(y), 4)
        tensors = [(torch.from_numpy(train), torch.from_numpy(test)) for train, test in folds]
        found = fit(torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(ALPHAS), tensors, centre=intercept)
        for b in range(len(x)):
            best = slow_search(x[b].T, y, ALPHAS, folds, intercept).argmax(0)
            np.testing.assert_array_equal(found.best[b], best)
            w, _ = slow_ridge(x[b].T, y, ALPHAS[best], intercept)
            np.testing.assert_allclose(found.coef[b].T, w, rtol=1e-6, atol=1e-9)


def test_a_dead_feature_weighs_nothing():
    x, y = problems()
    x[:, 2] = 4.0
    found = fit(torch.from_numpy(x), torch.from_numpy(y), torch.tensor([1e-6]), [])
    assert torch.isfinite(found.coef).all()
    np.testing.assert_allclose(found.coef[:, :, 2], 0, atol=1e-9)
