"""Variance partition: what is unique, what is shared, a split that sums exactly; twins, planted truth, bad inputs."""

import warnings

import numpy as np
import pytest
from references.linear import slow_product, slow_r2
from sklearn.pipeline import make_pipeline

from neurodecode.evaluation import (
    SplitBy,
    check_result,
    cross_validate,
    partition_table,
    partition_variance,
    product_measure,
)
from neurodecode.exceptions import AlignmentError, DegenerateDataError, LeakageError, NeurodecodeWarning
from neurodecode.linear import BandedRidge, Delays, Ridge, StackedRegression
from neurodecode.representation import as_representation

ALPHAS = np.logspace(-2, 6, 9)
pytestmark = pytest.mark.filterwarnings("ignore:The best penalty stands:neurodecode.exceptions.NeurodecodeWarning")


def draw(n=240, seed=0, noise=0.7, share=0.0):
    """Bands a and b of 5 features, correlated by ``share``; targets from a, from b, from both, and from neither."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, 5))
    b = share * a + np.sqrt(1 - share**2) * rng.normal(size=(n, 5))
    wa, wb = rng.normal(size=(2, 5, 8)) / np.sqrt(5)
    wa[:, [2, 3, 6, 7]], wb[:, [0, 1, 6, 7]] = 0, 0
    y = a @ wa + b @ wb + noise * rng.normal(size=(n, 8))
    stimulus, run = [f"s{i:03d}" for i in range(n)], np.repeat([1, 2, 3, 4], n // 4)
    X = as_representation(np.c_[a, b], stimulus=stimulus, kind="features", unit={"space": ["a"] * 5 + ["b"] * 5},
                          sample={"run": run}, attrs={"tr": 2.0})  # fmt: skip
    Y = as_representation(y, stimulus=stimulus, kind="fmri", unit={"roi": np.repeat(["A", "B", "AB", "none"], 2)},
                          sample={"run": run}, attrs={"tr": 2.0})  # fmt: skip
    return X, Y


def banded(**given):
    return BandedRidge(**{"alphas": ALPHAS, "n_iter": 6, "random_state": 1, **given})


class TestProductMeasure:
    def test_the_textbook_and_the_sum(self):
        rng = np.random.default_rng(1)
        truth, parts = rng.normal(size=(30, 4)) + 5, rng.normal(size=(3, 30, 4)) + 2
        found = product_measure(truth, parts)
        np.testing.assert_allclose(found, slow_product(truth, parts), rtol=1e-10)
        np.testing.assert_allclose(found.sum(0), slow_r2(truth, parts.sum(0)), rtol=0, atol=1e-12 * np.abs(found).max())

    def test_what_must_not_change(self):
        rng = np.random.default_rng(2)
        truth, parts = rng.normal(size=(30, 4)), rng.normal(size=(2, 30, 4))
        found = product_measure(truth, parts)
        np.testing.assert_allclose(product_measure(7 * truth, 7 * parts), found)
        np.testing.assert_allclose(product_measure(truth + 6, parts + 3), found)
        np.testing.assert_allclose(product_measure(truth, parts[::-1]), found[::-1])
        order = rng.permutation(30)
        np.testing.assert_allclose(product_measure(truth[order], parts[:, order]), found)

    def test_a_constant_truth_has_none_and_shapes_are_checked(self):
        assert np.isnan(product_measure(np.ones((4, 1)), np.ones((2, 4, 1)))).all()
        with pytest.raises(ValueError, match=r"truth \(4, 1\) and parts \(4, 1\)"):
            product_measure(np.ones((4, 1)), np.ones((4, 1)))


class TestPartition:
    def test_planted_bands(self):
        X, Y = draw()
        found = partition_variance(banded(), X, Y, SplitBy("run"))
        check_result(found)
        assert found["band"].values.tolist() == ["a", "b"]
        unique, joint = found["unique"].values, found["score"].values
        np.testing.assert_allclose(found["product"].values.sum(0), joint, rtol=0, atol=1e-12)
        np.testing.assert_allclose(unique.sum(0) + found["shared"].values, joint, rtol=0, atol=1e-12)
        assert joint[:6].min() > 0.4
        for own, other in ((0, 1), (1, 0)):
            columns = [2 * own, 2 * own + 1]
            assert (unique[own, columns] > joint[columns] - 0.1).all()
            assert np.abs(unique[other, columns]).max() < 0.05
            assert np.abs(found["product"].values[other, columns]).max() < 0.05
        assert (unique[:, 4:6] > 0.15).all()
        assert np.abs(found["shared"].values).max() < 0.15
        assert joint[6:].max() < 0.05
        assert np.abs(unique[:, 6:]).max() < 0.05

    def test_what_two_bands_both_say_is_shared(self):
        X, Y = draw(share=0.95)
        found = partition_variance(banded(), X, Y, SplitBy("run"))
        assert (found["shared"].values[:4] > 0.5 * found["score"].values[:4]).all()
        assert found["unique"].values[:, :4].max() < 0.2

    def test_each_number_is_that_of_a_cross_validation(self):
        X, Y = draw(120)
        found = partition_variance(banded(), X, Y, SplitBy("run"))
        given = {"score": "r2", "pool": "predictions"}
        joint = cross_validate(banded(), X, Y, SplitBy("run"), **given)
        np.testing.assert_array_equal(found["score"], joint["score"])
        assert found["fold"].values.tolist() == joint["fold"].values.tolist()
        assert found.attrs["splits"] == joint.attrs["splits"]
        without = cross_validate(banded(), X[:, 5:], Y, SplitBy("run"), **given)
        np.testing.assert_allclose(found["unique"].values[0], joint["score"] - without["score"], atol=1e-12)
        assert found["roi"].values.tolist() == Y["roi"].values.tolist()

    def test_draws_without_a_seed_are_the_same_in_every_fit(self):
        X, Y = draw(120)
        found = partition_variance(banded(random_state=None), X, Y, SplitBy("run"))
        np.testing.assert_allclose(found["product"].values.sum(0), found["score"], rtol=0, atol=1e-12)
        again = [partition_variance(banded(random_state=None), X, Y, SplitBy("run"), random_state=5) for _ in range(2)]
        np.testing.assert_array_equal(again[0]["product"], again[1]["product"])

    def test_pipelines_and_stacking(self):
        X, Y = draw(120)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NeurodecodeWarning)
            delayed = partition_variance(make_pipeline(Delays([0, 2]), banded(n_iter=3)), X, Y, SplitBy("run"))
            stacked = partition_variance(StackedRegression(alphas=ALPHAS, cv=3), X, Y, SplitBy("run"))
        for found in (delayed, stacked):
            np.testing.assert_allclose(found["product"].values.sum(0), found["score"], rtol=0, atol=1e-12)
            assert (found["product"].values[0, :2] > 0.3).all()

    def test_plain_arrays_with_names(self):
        X, Y = draw(120)
        names = X["space"].values.tolist()
        labelled = partition_variance(banded(), X, Y, 4)
        plain = partition_variance(
            banded(by=names), X.values, Y.values, [(f, g) for f, g in SplitBy("run").split(X)], by=names
        )
        np.testing.assert_allclose(plain["unique"], labelled["unique"], atol=1e-10)

    def test_a_table(self):
        X, Y = draw(120)
        found = partition_variance(banded(), X, Y, SplitBy("run"))
        table = partition_table(found)
        assert len(table) == 8
        assert {"roi", "r2", "shared", "unique a", "unique b", "product a", "product b"} == set(table.columns)
        np.testing.assert_allclose(table["product a"] + table["product b"], table["r2"], atol=1e-12)
        areas = partition_table(found, by="roi")
        assert areas.index.tolist() == ["A", "AB", "B", "none"]
        assert areas.loc["A", "r2"] == pytest.approx(found["score"].values[:2].mean())
        with pytest.raises(AlignmentError, match="hemi"):
            partition_table(found, by="hemi")

    def test_it_goes_on_where_it_was_stopped(self, tmp_path):
        X, Y = draw(120)
        one = partition_variance(banded(), X, Y, SplitBy("run"), store=tmp_path)
        two = partition_variance(banded(), X, Y, SplitBy("run"), store=tmp_path)
        np.testing.assert_array_equal(one["unique"], two["unique"])
        assert two.attrs["pieces"]["resumed"] == two.attrs["pieces"]["total"]


class TestFaults:
    def test_what_cannot_be_split(self):
        X, Y = draw(120)
        with pytest.raises(TypeError, match="Ridge does not say what each band predicts"):
            partition_variance(Ridge(), X, Y)
        with pytest.raises(DegenerateDataError, match="one band only"):
            partition_variance(banded(), X[:, :5], Y)
        with pytest.raises(AlignmentError, match="by='layer'"):
            partition_variance(banded(), X, Y, by="layer")
        with pytest.raises(AlignmentError, match="names 3 features and X has 10"):
            partition_variance(banded(), X, Y, by=list("abc"))
        with pytest.raises(AlignmentError, match="match"):
            partition_variance(banded(), X, Y[::-1])
        with pytest.raises(LeakageError, match="run"):
            partition_variance(
                banded(), X, Y, [(np.arange(60), np.arange(60, 120)), (np.arange(10, 120), np.arange(10))]
            )

    def test_dead_targets(self):
        X, Y = draw(120)
        Y[:, 1] = 2.0
        found = partition_variance(banded(), X, Y, SplitBy("run"))
        assert np.isnan(found["product"].values[:, 1]).all()
        assert np.isnan(found["unique"].values[:, 1]).all()
        assert found.attrs["degenerate"] == [1]
