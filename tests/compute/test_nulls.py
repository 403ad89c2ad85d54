"""Null distributions: what may be exchanged, p values, many tests, intervals."""

from __future__ import annotations

import numpy as np
import pytest
from references import evaluation as slow
from scipy import stats

from neurodecode.compute import nulls
from neurodecode.exceptions import DegenerateDataError


class TestOrders:
    def test_are_permutations_that_stay_in_their_blocks(self):
        blocks = np.repeat(["run-1", "run-2", "run-3"], [4, 7, 5])
        orders = nulls.permutation_orders(16, 50, blocks, random_state=0)
        assert orders.shape == (50, 16)
        np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(16), (50, 1)))
        assert all((blocks[order] == blocks).all() for order in orders)
        free = nulls.permutation_orders(16, 50, random_state=0)
        assert any((blocks[order] != blocks).any() for order in free)

    def test_same_seed_same_orders(self):
        first = nulls.permutation_orders(20, 5, random_state=3)
        np.testing.assert_array_equal(first, nulls.permutation_orders(20, 5, random_state=3))
        assert (first != nulls.permutation_orders(20, 5, random_state=4)).any()

    @pytest.mark.parametrize(
        ("blocks", "groups"),
        [
            ([0, 0, 0, 1, 1], [0, 1, 2, 3, 4]),
            ([0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 2, 2]),
            ([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]),
            ([0, 0, 0, 0, 0], [0, 0, 1, 1, 2]),
            ([0, 0, 1, 1, 0, 0], [0, 1, 0, 1, 2, 2]),
        ],
    )
    def test_all_allowed_orders_and_no_other_come_up(self, blocks, groups):
        allowed = set(slow.allowed_orders(blocks, groups))
        drawn = nulls.permutation_orders(len(blocks), 600, blocks, groups=groups, random_state=1)
        assert {tuple(order.tolist()) for order in drawn} == allowed
        assert nulls.count_orders(len(blocks), blocks, groups) == len(allowed)

    def test_repeats_of_a_stimulus_move_together(self):
        stimulus = np.array(list("abcabcdd"))
        orders = nulls.permutation_orders(8, 40, groups=stimulus, random_state=2)
        for order in orders:
            moved = stimulus[order]
            assert all(len(set(moved[stimulus == name])) == 1 for name in "abcd")

    def test_shift_keeps_neighbours(self):
        blocks = np.repeat([0, 1], [30, 40])
        for order in nulls.permutation_orders(70, 30, blocks, "shift", random_state=0):
            for block in (0, 1):
                places = np.flatnonzero(blocks == block)
                turned = order[places] - places[0]
                steps = np.diff(turned) % len(places)
                assert (steps == 1).all()
                shift = turned[0]
                least = -(-len(places) // 10)
                assert least <= shift <= len(places) - least

    def test_count_of_shifts_and_of_labels(self):
        assert nulls.count_orders(30, how="shift", min_shift=3) == 30 - 2 * 3 + 1 + 1
        assert nulls.count_orders(4, labels=["a", "b", "b", "b"]) == 4
        assert nulls.count_orders(4, [0, 0, 1, 1], labels=["a", "a", "b", "b"]) == 1
        assert nulls.count_orders(500) == np.inf

    def test_nothing_to_exchange(self):
        with pytest.raises(DegenerateDataError, match="blocks=False"):
            nulls.permutation_orders(3, 5, [0, 1, 2])
        with pytest.raises(DegenerateDataError, match="repeated stimuli"):
            nulls.permutation_orders(5, 5, groups=[0, 0, 1, 1, 1])
        with pytest.raises(DegenerateDataError, match="too short"):
            nulls.permutation_orders(6, 5, how="shift", min_shift=4)
        with pytest.raises(ValueError, match="shuffle"):
            nulls.permutation_orders(6, 5, how="mix")
        with pytest.raises(ValueError, match="one label each"):
            nulls.permutation_orders(6, 5, blocks=[1, 2])
        with pytest.raises(ValueError, match="shifts"):
            nulls.permutation_orders(6, 5, how="shift", groups=[1, 1, 2, 2, 3, 3])


class TestPValues:
    def test_formula(self):
        rng = np.random.default_rng(0)
        observed, null = rng.normal(size=7), np.round(rng.normal(size=(99, 7)), 1)
        observed[3] = null[5, 3]
        expected = [slow.permutation_p(o, n) for o, n in zip(observed, null.T)]
        np.testing.assert_allclose(nulls.p_value(observed, null), expected)
        np.testing.assert_allclose(nulls.p_value(observed, null.T, axis=1), expected)
        assert nulls.p_value(np.array(9.0), np.zeros(99)) == 0.01

    def test_missing_stays_missing(self):
        null = np.array([[0.0, 0.0, np.nan], [1.0, np.nan, np.nan]])
        found = nulls.p_value(np.array([np.nan, 0.5, 0.5]), null)
        np.testing.assert_array_equal(found, [np.nan, 0.5, np.nan])

    def test_equal_up_to_rounding_is_a_tie(self):
        assert nulls.p_value(np.array(0.3), np.array([0.1 + 0.2 - 1e-15])) == 1.0
        assert nulls.p_value(np.array(0.3), np.array([0.29])) == 0.5

    def test_uniform_when_nothing_is_there(self):
        rng = np.random.default_rng(1)
        found = nulls.p_value(rng.normal(size=2000), rng.normal(size=(199, 2000)))
        assert stats.kstest(found, "uniform").statistic < 0.05

    def test_max_statistic_controls_the_family(self):
        rng = np.random.default_rng(2)
        wrong = 0
        for _ in range(200):
            draws = rng.normal(size=(100, 30))
            corrected = nulls.max_statistic(draws[0], draws[1:])
            wrong += (corrected <= 0.05).any()
            assert (corrected >= nulls.p_value(draws[0], draws[1:]) - 1e-12).all()
        assert wrong / 200 < 0.12
        strong = np.r_[9.0, np.zeros(29)]
        assert nulls.max_statistic(strong, draws)[0] == pytest.approx(1 / 101)

    def test_max_statistic_leaves_out_what_has_no_score(self):
        null = np.array([[0.1, 5.0], [0.2, 5.0], [0.3, np.nan]])
        found = nulls.max_statistic(np.array([0.9, np.nan]), null)
        np.testing.assert_array_equal(found, [0.25, np.nan])
        folded = nulls.max_statistic(np.array([[0.9], [0.0]]), np.zeros((3, 2, 1)))
        np.testing.assert_array_equal(folded, [[0.25], [1.0]])


class TestFdr:
    @pytest.mark.parametrize("method", ["bh", "by"])
    def test_equals_scipy(self, method):
        p = np.random.default_rng(3).random(50) ** 3
        p[10] = p[11]
        np.testing.assert_allclose(nulls.fdr(p, method), stats.false_discovery_control(p, method=method))

    def test_equals_the_definition_and_keeps_nan(self):
        p = np.array([0.01, np.nan, 0.2, 0.02, 0.02, np.nan, 0.9])
        found = nulls.fdr(p)
        np.testing.assert_allclose(found, slow.benjamini_hochberg(p.tolist()))
        np.testing.assert_allclose(found[np.isfinite(p)], nulls.fdr(p[np.isfinite(p)]))
        assert not (found <= 0.05)[np.isnan(p)].any()

    def test_shape_and_bad_values(self):
        assert nulls.fdr(np.full((2, 3), 0.5)).shape == (2, 3)
        assert np.isnan(nulls.fdr(np.full(3, np.nan))).all()
        with pytest.raises(ValueError, match="between 0 and 1"):
            nulls.fdr(np.array([0.5, 1.5]))
        with pytest.raises(ValueError, match="'bh'"):
            nulls.fdr(np.array([0.5]), "holm")


class TestIntervals:
    def test_t_interval_equals_scipy(self):
        x = np.random.default_rng(4).normal(size=(9, 3))
        low, high = nulls.t_interval(x, 0.9)
        for column in range(3):
            expected = stats.ttest_1samp(x[:, column], 0).confidence_interval(0.9)
            np.testing.assert_allclose([low[column], high[column]], expected)
        x[3, 1] = np.nan
        expected = stats.ttest_1samp(np.delete(x[:, 1], 3), 0).confidence_interval(0.95)
        np.testing.assert_allclose([bound[1] for bound in nulls.t_interval(x)], expected)
        assert np.isnan(nulls.t_interval(x[:1])[0]).all()

    def test_bootstrap_covers_the_mean(self):
        rng = np.random.default_rng(5)
        values = rng.normal(size=(40, 200))
        low, high, dropped = nulls.bootstrap_interval(values, n_resamples=400, random_state=6)
        covered = ((low < 0) & (high > 0)).mean()
        assert 0.87 < covered < 0.99
        assert (dropped == 0).all()
        shifted = nulls.bootstrap_interval(values + 5, n_resamples=400, random_state=6)
        np.testing.assert_allclose(shifted[0], low + 5)

    def test_degenerate_resamples_are_counted(self):
        values = np.r_[np.zeros(5), 1.0]
        with np.errstate(all="ignore"):
            _, _, dropped = nulls.bootstrap_interval(values, lambda x: np.log(x.max()), n_resamples=500, random_state=0)
        assert 50 < dropped < 350

    @pytest.mark.parametrize("n", [0, 1, 4])
    def test_too_few_to_resample(self, n):
        with pytest.raises(DegenerateDataError, match="at least 5"):
            nulls.bootstrap_interval(np.arange(float(n)))

    def test_sign_flips(self):
        every = nulls.sign_flips(4, 1000)
        assert len({tuple(row) for row in every.tolist()}) == 15
        assert not (every == 1).all(axis=1).any()
        some = nulls.sign_flips(30, 200, random_state=0)
        assert some.shape == (200, 30)
        assert set(np.unique(some)) == {-1.0, 1.0}
        with pytest.raises(DegenerateDataError, match="at least 2"):
            nulls.sign_flips(1, 10)
