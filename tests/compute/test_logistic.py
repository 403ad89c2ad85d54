"""Logistic regression of a stack, against scikit-learn and against the condition of a minimum."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from neurodecode.compute.logistic import fit


def draw(n, p, problems=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(problems, p, n)) + 3
    second = rng.random(n) < 0.3
    second[:2] = [True, False]
    x[1] += 1.5 * second
    return x, second


@pytest.mark.parametrize("C", [0.01, 1.0, 1000.0])
@pytest.mark.parametrize("shape", [(60, 5), (30, 50), (120, 30)])
def test_scikit_learn(shape, C):
    x, second = draw(*shape)
    found = fit(torch.from_numpy(x), torch.from_numpy(second), C)
    assert found.converged.all()
    for one, coef, intercept in zip(x, found.coef.numpy(), found.intercept.numpy()):
        twin = LogisticRegression(C=C, tol=1e-12, solver="newton-cholesky", max_iter=1000).fit(one.T, second)
        np.testing.assert_allclose(coef, twin.coef_[0], rtol=1e-5, atol=1e-6 * np.abs(coef).max())
        np.testing.assert_allclose(intercept, twin.intercept_[0], rtol=1e-5, atol=1e-6 * np.abs(intercept).max())


@pytest.mark.parametrize("shape", [(60, 5), (30, 50)])
def test_the_slope_is_zero_at_the_minimum(shape):
    x, second = draw(*shape, seed=1)
    found = fit(torch.from_numpy(x), torch.from_numpy(second), 10.0)
    for one, coef, intercept in zip(x, found.coef.numpy(), found.intercept.numpy()):
        residual = 1 / (1 + np.exp(-(coef @ one + intercept))) - second
        np.testing.assert_allclose(one @ residual + coef / 10.0, 0, atol=1e-7)
        np.testing.assert_allclose(residual.sum(), 0, atol=1e-8)  # the intercept is not penalised


def test_classes_that_a_plane_separates_still_have_a_minimum():
    x, second = draw(40, 3, seed=2)
    x[2, 0] = np.where(second, 5.0, -5.0)
    found = fit(torch.from_numpy(x), torch.from_numpy(second), 1e6)
    assert found.converged.all()
    right = (found.coef[2] @ torch.from_numpy(x[2]) + found.intercept[2] > 0).numpy() == second
    assert right.all()


def test_calling_the_classes_the_other_way_round_changes_the_sign():
    x, second = draw(50, 6, seed=3)
    one, other = (fit(torch.from_numpy(x), torch.from_numpy(side)) for side in (second, ~second))
    torch.testing.assert_close(one.coef, -other.coef, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(one.intercept, -other.intercept, rtol=1e-8, atol=1e-10)


def test_one_step_is_not_enough_and_is_said():
    x, second = draw(50, 6, seed=4)
    assert not fit(torch.from_numpy(x), torch.from_numpy(second), iterations=1).converged.any()


def test_single_precision():
    x, second = draw(50, 6, seed=5)
    small = fit(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(second))
    assert small.coef.dtype == torch.float32
    torch.testing.assert_close(small.coef.double(), fit(torch.from_numpy(x), torch.from_numpy(second)).coef,
                               rtol=1e-4, atol=1e-5)  # fmt: skip
