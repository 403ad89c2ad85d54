"""Scores on arrays: against their definitions, other libraries, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from references import evaluation as slow
from scipy import stats
from sklearn import metrics

from neurodecode.compute import scores


@pytest.fixture
def pair():
    rng = np.random.default_rng(11)
    truth = rng.normal(size=(40, 6))
    return truth, 0.5 * truth + rng.normal(size=truth.shape)


NUMBERS = {"pearson": scores.pearson, "r2": scores.r2, "explained_variance": scores.explained_variance}
ORACLES = {
    "pearson": lambda t, p: stats.pearsonr(t, p).statistic,
    "r2": metrics.r2_score,
    "explained_variance": metrics.explained_variance_score,
}


@pytest.mark.parametrize("name", NUMBERS)
class TestNumbers:
    def test_equals_another_library(self, name, pair):
        truth, predicted = pair
        expected = [ORACLES[name](t, p) for t, p in zip(truth.T, predicted.T)]
        np.testing.assert_allclose(NUMBERS[name](truth, predicted), expected, rtol=1e-12)

    def test_axes_after_samples_are_scored_alone(self, name, pair):
        truth, predicted = pair
        folded = NUMBERS[name](truth.reshape(40, 2, 3), predicted.reshape(40, 2, 3))
        np.testing.assert_array_equal(folded, NUMBERS[name](truth, predicted).reshape(2, 3))
        alone = NUMBERS[name](truth[:, 0], predicted[:, 0])
        assert alone.shape == ()
        assert alone == pytest.approx(NUMBERS[name](truth, predicted)[0], rel=1e-12)

    def test_order_of_samples_does_not_matter(self, name, pair):
        truth, predicted = pair
        order = np.random.default_rng(3).permutation(len(truth))
        np.testing.assert_allclose(
            NUMBERS[name](truth[order], predicted[order]), NUMBERS[name](truth, predicted), rtol=1e-12
        )
        assert not np.allclose(NUMBERS[name](truth[order], predicted), NUMBERS[name](truth, predicted))

    def test_constant_truth_is_missing_not_zero(self, name, pair):
        truth, predicted = (part.copy() for part in pair)
        truth[:, 2] = 7.3
        found = NUMBERS[name](truth, predicted)
        assert np.isnan(found[2])
        assert np.isfinite(np.delete(found, 2)).all()

    @pytest.mark.parametrize("kind", ["f2", "f4", ">f8", "i4"])
    def test_storage_changes_nothing_beyond_its_precision(self, name, kind, pair):
        truth, predicted = (np.round(part * 8).astype(kind) for part in pair)
        expected = NUMBERS[name](truth.astype(float), predicted.astype(float))
        np.testing.assert_allclose(NUMBERS[name](np.asfortranarray(truth), predicted), expected, rtol=1e-12)
        locked = truth.copy()
        locked.flags.writeable = False
        np.testing.assert_array_equal(
            NUMBERS[name](locked[::2], predicted[::2]), NUMBERS[name](truth[::2].copy(), predicted[::2].copy())
        )

    def test_shapes_must_agree(self, name, pair):
        truth, predicted = pair
        with pytest.raises(ValueError, match=r"\(40, 6\).*\(40, 5\)"):
            NUMBERS[name](truth, predicted[:, :5])
        with pytest.raises(ValueError, match="at least one"):
            NUMBERS[name](truth[:0], predicted[:0])


def test_pearson_equals_the_textbook(pair):
    truth, predicted = pair
    expected = [slow.pearson(list(t), list(p)) for t, p in zip(truth.T, predicted.T)]
    np.testing.assert_allclose(scores.pearson(truth, predicted), expected, rtol=1e-12)


def test_constant_prediction_has_no_r_but_an_r2(pair):
    truth, predicted = (part.copy() for part in pair)
    predicted[:, 1] = 0.1
    assert np.isnan(scores.pearson(truth, predicted)[1])
    assert scores.r2(truth, predicted)[1] <= 0
    assert scores.explained_variance(truth, predicted)[1] == pytest.approx(0, abs=1e-12)


def test_rounding_noise_is_still_a_constant():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(30, 2))
    predicted = np.stack([1e6 + 1e-10 * rng.normal(size=30), 1e6 + rng.normal(size=30)], axis=1)
    found = scores.pearson(truth, predicted)
    assert np.isnan(found[0])
    assert np.isfinite(found[1])
    assert scores.is_constant(np.float32(0.1) * np.ones((5, 1), dtype=np.float32) + np.float32(1e3)).all()


def test_r_never_leaves_its_range():
    rng = np.random.default_rng(5)
    for _ in range(300):
        n = int(rng.integers(2, 9))
        x = rng.normal(size=(n, 20)) * 10.0 ** rng.integers(-150, 150) + 10.0 ** rng.integers(-150, 6)
        with np.errstate(all="raise"):
            found = scores.pearson(x, x * rng.choice([-3.0, 1e-9, 1e9]))
        found = found[np.isfinite(found)]
        assert (np.abs(found) <= 1.0).all()
        assert np.isfinite(np.arctanh(found * (1 - 1e-16))).all() or (np.abs(found) == 1).any()
    assert (
        scores.row_correlations(x.T, x.T).max(initial=-1, where=np.isfinite(scores.row_correlations(x.T, x.T))) <= 1.0
    )


def test_r_ignores_scale_and_offset(pair):
    truth, predicted = pair
    base = scores.pearson(truth, predicted)
    np.testing.assert_allclose(scores.pearson(truth * 1e200 + 1e199, -predicted * 1e-200), -base, rtol=1e-9)
    assert not np.allclose(scores.r2(truth, 2 * predicted), scores.r2(truth, predicted))


def test_labels():
    rng = np.random.default_rng(2)
    truth = rng.choice(["cat", "dog", "eel"], size=60, p=[0.6, 0.3, 0.1])
    predicted = np.where(rng.random(60) < 0.6, truth, rng.permutation(truth))
    assert scores.accuracy(truth, predicted) == pytest.approx(metrics.accuracy_score(truth, predicted))
    expected = metrics.balanced_accuracy_score(truth, predicted)
    assert scores.balanced_accuracy(truth, predicted) == pytest.approx(expected)
    assert slow.balanced_accuracy(list(truth), list(predicted)) == pytest.approx(expected)
    always = np.full(60, "cat")
    assert scores.balanced_accuracy(truth, always) == pytest.approx(1 / 3)
    assert scores.accuracy(truth, always) > 0.5
    both = scores.accuracy(np.stack([truth, truth], 1), np.stack([predicted, truth], 1))
    np.testing.assert_allclose(both, [metrics.accuracy_score(truth, predicted), 1.0])


class TestAuc:
    def test_two_classes(self):
        rng = np.random.default_rng(4)
        truth = rng.random(50) < 0.4
        decision = np.round(rng.normal(size=50) + truth, 1)
        found = scores.auc(truth, decision)
        assert found == pytest.approx(slow.auc(truth, decision))
        assert found == pytest.approx(metrics.roc_auc_score(truth, decision))
        assert scores.auc(truth, -decision) == pytest.approx(1 - found)
        assert scores.auc(truth, np.stack([-decision, decision], 1)) == pytest.approx(found)

    def test_several_classes(self):
        rng = np.random.default_rng(6)
        truth = np.repeat(["a", "b", "c"], 20)
        decision = rng.random((60, 3)) + (truth[:, None] == np.array(["a", "b", "c"]))
        decision /= decision.sum(1, keepdims=True)
        expected = metrics.roc_auc_score(truth, decision, multi_class="ovr", average="macro")
        assert scores.auc(truth, decision) == pytest.approx(expected)

    def test_over_time(self):
        rng = np.random.default_rng(7)
        truth = np.repeat([0, 1], 15)
        decision = rng.normal(size=(30, 1, 4)) + truth[:, None, None]
        found = scores.auc(truth, decision)
        assert found.shape == (4,)
        assert found[2] == pytest.approx(scores.auc(truth, decision[:, 0, 2]))

    def test_what_cannot_be_scored(self):
        assert np.isnan(scores.auc(np.ones(4), np.arange(4.0)))
        assert np.isnan(scores.auc(np.array([0, 1, 1]), np.array([0.1, np.nan, 0.3])))
        with pytest.raises(ValueError, match="3 classes need 3"):
            scores.auc(np.array([0, 1, 2]), np.arange(3.0))
        with pytest.raises(ValueError, match="one row per sample"):
            scores.auc(np.array([0, 1, 1]), np.arange(2.0))


class TestRows:
    def test_equals_the_definition(self):
        rng = np.random.default_rng(8)
        truth = rng.normal(size=(12, 5))
        predicted = 0.4 * truth + rng.normal(size=truth.shape)
        np.testing.assert_allclose(scores.identification(truth, predicted), slow.two_way(truth, predicted))
        for k in (1, 3, 12):
            np.testing.assert_array_equal(scores.top_k(truth, predicted, k), slow.top_k(truth, predicted, k))

    def test_published_check(self):
        """Two-way identification of 200 x 64 Gaussian features at known signal strengths."""
        rng = np.random.default_rng(9)
        truth = rng.normal(size=(200, 64))
        assert scores.identification(truth, truth).mean() == 1.0
        assert scores.identification(truth, rng.normal(size=truth.shape)).mean() == pytest.approx(0.5, abs=0.04)
        jitter = rng.normal(size=64) + 1e-9 * rng.normal(size=truth.shape)
        assert scores.identification(truth, jitter).mean() == pytest.approx(0.5, abs=0.01)
        for strength, expected in ((0.1, 0.70), (0.25, 0.93), (0.5, 0.995)):
            found = scores.identification(truth, strength * truth + rng.normal(size=truth.shape)).mean()
            assert found == pytest.approx(expected, abs=0.02)

    def test_ties_are_failures(self):
        rng = np.random.default_rng(10)
        truth = np.repeat(rng.normal(size=(1, 6)), 5, axis=0)
        assert scores.identification(truth, truth).mean() == 0.0
        truth = rng.normal(size=(5, 6))
        flat = np.ones((5, 6))
        assert scores.identification(truth, flat).mean() == 0.0
        assert scores.top_k(truth, flat, 1).mean() == 0.0

    def test_a_flat_truth_is_missing_and_no_rival(self):
        rng = np.random.default_rng(12)
        truth = rng.normal(size=(6, 4))
        truth[2] = 1.0
        found = scores.identification(truth, truth + 0)
        assert np.isnan(found[2])
        np.testing.assert_array_equal(np.delete(found, 2), 1.0)

    def test_batches_change_nothing(self, monkeypatch):
        rng = np.random.default_rng(13)
        truth = rng.normal(size=(30, 8))
        predicted = truth + 2 * rng.normal(size=truth.shape)
        whole = scores.identification(truth, predicted)
        monkeypatch.setattr(scores, "ROWS_AT_ONCE", 7)
        np.testing.assert_array_equal(scores.identification(truth, predicted), whole)

    def test_chance_of_retrieval_is_k_over_n(self):
        rng = np.random.default_rng(14)
        hits = [scores.top_k(rng.normal(size=(50, 30)), rng.normal(size=(50, 30)), 5).mean() for _ in range(40)]
        assert np.mean(hits) == pytest.approx(0.1, abs=0.02)

    def test_too_little_to_compare(self):
        with pytest.raises(ValueError, match="at least 2 samples and 2 targets"):
            scores.identification(np.ones((1, 4)), np.ones((1, 4)))
        with pytest.raises(ValueError, match="between 1 and"):
            scores.top_k(np.ones((3, 4)), np.ones((3, 4)), 4)
