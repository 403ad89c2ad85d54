"""Many discriminants at once: against scikit-learn one by one, the textbook, and what cannot be inverted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from references.linear import slow_lda
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from neurodecode.compute.discriminant import fit, fit_folds, permuted_decisions

AMOUNTS = [None, 0.0, 0.3, 1.0, "auto"]


def problems(classes=2, b=5, p=6, n=41, seed=0):
    """(problems, features, samples) with uneven classes, features of unequal size and an offset."""
    rng = np.random.default_rng(seed)
    codes = np.r_[np.arange(classes).repeat(3), rng.integers(0, classes, n - 3 * classes)]
    x = rng.normal(size=(b, p, n)) + 5 + codes * rng.normal(size=(b, p, 1))
    x[:, 1] *= 1000
    return x, codes


def scikit(amount):
    if amount is None:
        return LinearDiscriminantAnalysis(solver="svd")
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=amount)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("amount", AMOUNTS)
def test_equals_scikit_learn_problem_by_problem(amount, classes):
    x, codes = problems(classes)
    found = fit(torch.from_numpy(x), torch.from_numpy(codes), classes, amount)
    assert found.sound.all()
    new = np.random.default_rng(1).normal(size=(5, 6, 17)) + 5
    for b in range(len(x)):
        alone = scikit(amount).fit(x[b].T, codes).decision_function(new[b].T).reshape(17, -1)
        got = new[b].T @ found.coef[b].numpy().T + found.intercept[b].numpy()
        np.testing.assert_allclose(got, alone, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("amount", [0.0, 0.4])
def test_equals_the_formula(amount):
    x, codes = problems(3)
    found = fit(torch.from_numpy(x), torch.from_numpy(codes), 3, amount)
    for b in range(len(x)):
        w, bias = slow_lda(x[b].T, codes, amount)
        np.testing.assert_allclose(found.coef[b], w, rtol=1e-7)
        np.testing.assert_allclose(found.intercept[b], bias, rtol=1e-7)


def test_problems_do_not_know_of_each_other():
    x, codes = problems()
    whole = fit(torch.from_numpy(x), torch.from_numpy(codes), 2, "auto")
    for b in range(len(x)):
        alone = fit(torch.from_numpy(x[b : b + 1]), torch.from_numpy(codes), 2, "auto")
        np.testing.assert_allclose(whole.coef[b], alone.coef[0], rtol=1e-10)


def test_single_precision():
    x, codes = problems()
    exact = fit(torch.from_numpy(x), torch.from_numpy(codes), 2, 0.1)
    single = fit(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(codes), 2, 0.1)
    assert single.coef.dtype == torch.float32
    np.testing.assert_allclose(single.coef, exact.coef, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("amount", [None, 0.0])
def test_what_cannot_be_inverted_is_named(amount):
    x, codes = problems()
    x[1, 3] = 2.5
    x[3, 4] = x[3, 5]
    found = fit(torch.from_numpy(x), torch.from_numpy(codes), 2, amount)
    assert found.sound.tolist() == [True, False, True, False, True]
    assert torch.isfinite(found.coef).all()
    wide, codes = problems(p=60)
    assert not fit(torch.from_numpy(wide), torch.from_numpy(codes), 2, amount).sound.any()
    assert fit(torch.from_numpy(wide), torch.from_numpy(codes), 2, 0.1).sound.all()


class TestLabellings:
    @pytest.mark.parametrize(("n", "p"), [(50, 6), (30, 70)])
    @pytest.mark.parametrize("amount", [None, 0.0, 0.2, 1.0])
    def test_equals_a_fit_for_each(self, n, p, amount):
        rng = np.random.default_rng(2)
        x, new = rng.normal(size=(n, p)) * np.linspace(1, 9, p) + 3, rng.normal(size=(12, p)) + 3
        labels = rng.random((25, n)) > 0.35
        found, sound = permuted_decisions(*map(torch.from_numpy, (x, labels, new)), amount)
        assert sound.all() == (p < n or bool(amount))
        for at in np.flatnonzero(sound.numpy()):
            alone = scikit(amount).fit(x, labels[at]).decision_function(new)
            np.testing.assert_allclose(found[:, at], alone, rtol=1e-8, atol=1e-8)

    def test_names_what_it_cannot_do(self):
        rng = np.random.default_rng(3)
        x = rng.normal(size=(20, 3))
        labels = np.stack([np.zeros(20, bool), np.ones(20, bool), np.arange(20) % 2 == 0])
        _, sound = permuted_decisions(torch.from_numpy(x), torch.from_numpy(labels), torch.from_numpy(x), 0.1)
        assert sound.tolist() == [False, False, True]
        told = np.c_[x, labels[2]].astype(float)
        told[:, 3] += 1e-9 * rng.normal(size=20)
        _, sound = permuted_decisions(torch.from_numpy(told), torch.from_numpy(labels[2:]), torch.from_numpy(told), 0.0)
        assert sound.tolist() == [False]


@pytest.mark.parametrize("samples_last", [True, False])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("amount", [None, 0.0, 0.3])
def test_folds_that_share_sums_equal_one_fit_each(amount, classes, samples_last):
    x, codes = problems(classes, n=53)
    tests = [torch.from_numpy(part) for part in np.array_split(np.random.default_rng(4).permutation(50), 4)]
    given = torch.from_numpy(x.copy()) if samples_last else torch.from_numpy(np.array(x.transpose(0, 2, 1))).mT
    found = fit_folds(given, torch.from_numpy(codes), classes, tests, amount)
    for test, one in zip(tests, found):
        train = np.setdiff1d(np.arange(53), test)
        alone = fit(torch.from_numpy(x[:, :, train]), torch.from_numpy(codes[train]), classes, amount)
        np.testing.assert_allclose(one.coef, alone.coef, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(one.intercept, alone.intercept, rtol=1e-8, atol=1e-8)
        assert one.sound.all()
