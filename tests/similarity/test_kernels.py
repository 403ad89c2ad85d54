"""Kernel alignment: against the papers, and what few samples do to it."""

from __future__ import annotations

import numpy as np
import pytest
from references.similarity import slow_cka, slow_cka_debiased, slow_rv

from neurodecode.exceptions import DegenerateDataError
from neurodecode.similarity import cka, cka_debiased, compare, rv

SIZES = [(30, 5, 7), (12, 20, 40), (15, 8, 60), (15, 60, 8)]


def draw(n, p, q, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * rng.uniform(0.2, 3, p) + rng.normal(size=p)
    shared = x[:, : min(p, q)] @ rng.normal(size=(min(p, q), q))
    return x, shared + 2 * rng.normal(size=(n, q))


@pytest.mark.parametrize("size", SIZES)
def test_equal_to_the_papers(size):
    x, y = draw(*size)
    assert cka(x, y) == pytest.approx(slow_cka(x, y), abs=1e-12)
    assert cka_debiased(x, y) == pytest.approx(slow_cka_debiased(x, y), abs=1e-12)
    assert rv(x, y) == pytest.approx(slow_rv(x, y), abs=1e-12)
    assert rv(x, y, modified=True) == pytest.approx(slow_rv(x, y, modified=True), abs=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", ["cka", "cka_debiased", "rv"])
def test_nulls_are_values_of_permuted_rows(how, size):
    from references.similarity import slow_cka as biased

    from neurodecode.compute.nulls import permutation_orders

    x, y = draw(*size)
    found = compare(x, y, how, permutations=3, random_state=4)
    orders = permutation_orders(len(x), 3, random_state=4)
    slow = slow_cka_debiased if how == "cka_debiased" else biased
    np.testing.assert_allclose(found["null"], [slow(x, y[order]) for order in orders], atol=1e-10)


def test_modified_null():
    x, y = draw(20, 4, 6)
    from neurodecode.compute.nulls import permutation_orders

    found = compare(x, y, "rv", modified=True, permutations=3, random_state=1)
    orders = permutation_orders(20, 3, random_state=1)
    np.testing.assert_allclose(found["null"], [slow_rv(x, y[order], modified=True) for order in orders], atol=1e-10)


def test_biased_is_near_one_and_debiased_near_zero_with_more_units_than_samples():
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(50, 2000)), rng.normal(size=(50, 2000))) for _ in range(20)]
    biased = np.array([cka(x, y) for x, y in pairs])
    debiased = np.array([cka_debiased(x, y) for x, y in pairs])
    assert biased.min() > 0.95
    assert abs(debiased.mean()) < 3 * debiased.std(ddof=1) / np.sqrt(len(pairs))
    assert np.abs(debiased).max() < 0.15


def test_the_smaller_setting_of_the_card():
    rng = np.random.default_rng(1)
    pairs = [(rng.normal(size=(30, 300)), rng.normal(size=(30, 300))) for _ in range(50)]
    assert abs(np.mean([cka_debiased(x, y) for x, y in pairs])) < 0.05
    assert min(cka(x, y) for x, y in pairs) > 0.5


def test_debiased_finds_what_is_shared():
    rng = np.random.default_rng(2)
    latent = rng.normal(size=(50, 3))
    x, y = (3 * latent @ rng.normal(size=(3, 400)) + rng.normal(size=(50, 400)) for _ in range(2))
    assert cka_debiased(x, y) > 0.7


def test_too_few_samples_for_the_unbiased_estimator():
    rng = np.random.default_rng(3)
    with pytest.raises(DegenerateDataError, match="needs 4 samples"):
        cka_debiased(rng.normal(size=(3, 2)), rng.normal(size=(3, 2)))


def test_far_means_do_not_cost_digits():
    x, y = draw(40, 5, 6)
    assert cka(x + 1e6, y) == pytest.approx(cka(x, y), abs=1e-8)
    assert cka_debiased(x + 1e6, y) == pytest.approx(cka_debiased(x, y), abs=1e-8)
