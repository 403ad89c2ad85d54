"""Ridge as a smoother, against scikit-learn's Ridge fitted to each training set."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as ScikitRidge

from neurodecode.compute.smoothing import ridge_smoothers
from neurodecode.exceptions import NeurodecodeWarning
from neurodecode.linear import Ridge


def folds_of(n, k, seed=0):
    order = np.random.default_rng(seed).permutation(n)
    return [(np.setdiff1d(np.arange(n), test), test) for test in np.array_split(order, k)]


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("shape", [(60, 10), (40, 90), (50, 50), (300, 4)])
def test_predictions_are_those_of_a_fit(shape, centre):
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=shape) + 3, rng.normal(size=(shape[0], 6)) + 100
    Y[:, 2] = 7.5
    folds = folds_of(shape[0], 4)
    found = Ridge(alphas=3.0, fit_intercept=centre).smoothers(X, folds)
    for smoother, (train, test) in zip(found, folds):
        twin = ScikitRidge(3.0, fit_intercept=centre).fit(X[train], Y[train]).predict(X[test])
        predicted = smoother.predict(Y[train])
        np.testing.assert_allclose(predicted, twin, atol=1e-8)
        if centre:
            assert (predicted[:, 2] == 7.5).all(), "a constant is predicted by itself"


@pytest.mark.parametrize("shape", [(40, 6), (30, 50)])
def test_training_sets_may_leave_samples_out_or_overlap_the_test(shape):
    rng = np.random.default_rng(2)
    X, Y = rng.normal(size=shape), rng.normal(size=(shape[0], 3))
    folds = [(np.arange(20), np.arange(22, 30)), (np.arange(5, 30), np.arange(10))]
    for smoother, (train, test) in zip(Ridge(alphas=2.0).smoothers(X, folds), folds):
        twin = ScikitRidge(2.0).fit(X[train], Y[train]).predict(X[test])
        np.testing.assert_allclose(smoother.predict(Y[train]), twin, atol=1e-10)


def test_two_matrices_where_those_are_smaller():
    pairs = [(torch.arange(80), torch.arange(80, 160))]
    x = torch.from_numpy(np.random.default_rng(3).normal(size=(160, 4)))
    (few,) = ridge_smoothers(x, 1.0, pairs)
    assert [one.shape for one in few] == [(80, 4), (4, 80)]


def test_single_precision_stays():
    rng = np.random.default_rng(4)
    X, Y = rng.normal(size=(30, 8)).astype(np.float32), rng.normal(size=(30, 2)).astype(np.float32)
    folds = folds_of(30, 3)
    (train, test), *_ = folds
    predicted = Ridge(alphas=1.0).smoothers(X, folds)[0].predict(Y[train])
    assert predicted.dtype == np.float32
    np.testing.assert_allclose(predicted, Ridge(alphas=1.0).fit(X[train], Y[train]).predict(X[test]), atol=1e-5)


def test_only_for_one_penalty_that_is_large_enough():
    rng = np.random.default_rng(5)
    X, folds = rng.normal(size=(30, 8)), folds_of(30, 3)
    assert Ridge(alphas=[1.0, 2.0]).smoothers(X, folds) is None
    assert Ridge(alphas=0.0).smoothers(X, folds) is None
    assert Ridge(alphas=1e-9).smoothers(X, folds) is None, "not accurate enough from products"
    assert Ridge(alphas=1.0, max_memory=1e9).smoothers(X, folds) is None


def test_says_what_a_fit_says():
    X = np.random.default_rng(6).normal(size=(30, 4))
    X[:, 2] = 1.0
    with pytest.warns(NeurodecodeWarning, match="constant"):
        Ridge(alphas=1.0).smoothers(X, folds_of(30, 3))
