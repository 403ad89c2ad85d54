"""Cross-validation: right numbers, labels, degenerate targets, and everything that stands in the record."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from references import evaluation as slow
from sklearn import linear_model
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, RepeatedKFold, ShuffleSplit, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.compute.scores import pearson, top_k
from neurodecode.evaluation import SplitBy, check_result, cross_validate
from neurodecode.exceptions import DegenerateDataError
from neurodecode.linear import LinearClassifier, Ridge
from neurodecode.representation import Labelled, load, save

RUNS = SplitBy("run")


def ridge():
    return linear_model.Ridge(alpha=2.0)


class TestNumbers:
    @pytest.mark.parametrize("pool", ["folds", "predictions"])
    def test_equal_the_slow_loop(self, world, pool):
        X, Y = world
        result = cross_validate(ridge(), X, Y, RUNS, score="r", pool=pool)
        by_fold, pooled = slow.cross_validated(ridge, slow.pearson, X.values, Y.values, RUNS.split(Y))
        np.testing.assert_allclose(result["score_fold"], by_fold, rtol=1e-10)
        expected = by_fold.mean(0) if pool == "folds" else pooled
        np.testing.assert_allclose(result["score"], expected, rtol=1e-10)
        assert result.attrs["pool"] == pool

    def test_pools_differ(self, world):
        X, Y = world
        folds, together = (cross_validate(ridge(), X, Y, RUNS, score="r", pool=p) for p in ("folds", "predictions"))
        np.testing.assert_array_equal(folds["score_fold"], together["score_fold"])
        assert (folds["score"] != together["score"]).any()

    @pytest.mark.parametrize("score", ["accuracy", "balanced_accuracy"])
    def test_classification_equals_scikit_learn(self, classes, score):
        X, y = classes
        result = cross_validate(LogisticRegression(), X, y, RUNS, score=score)
        expected = cross_val_score(
            LogisticRegression(), X.values, y.values, groups=X["run"].values, cv=RUNS, scoring=score
        )
        np.testing.assert_allclose(result["score_fold"].values[:, 0], expected)
        assert result["score"].item() == pytest.approx(expected.mean())
        assert result["score"].item() > 0.7

    @pytest.mark.parametrize("names", [("cat", "dog"), ("cat", "dog", "eel")])
    def test_auc_equals_scikit_learn(self, class_worlds, names):
        X, y = class_worlds(names=names)
        result = cross_validate(LogisticRegression(), X, y, RUNS, score="auc")
        expected = []
        for train, test in RUNS.split(X):
            decision = LogisticRegression().fit(X[train].values, y[train].values).decision_function(X[test].values)
            columns = decision[:, None] if decision.ndim == 1 else decision
            cases = names[1:] if len(names) == 2 else names
            expected.append(np.mean([roc_auc_score(y[test].values == c, d) for c, d in zip(cases, columns.T)]))
        np.testing.assert_allclose(result["score_fold"].values[:, 0], expected)

    def test_labels_change_no_number(self, world):
        X, Y = world
        labelled = cross_validate(Ridge(alphas=1.0), X, Y, RUNS, score="r")
        plain = cross_validate(Ridge(alphas=1.0), X.values, Y.values, KFold(4), score="r")
        np.testing.assert_array_equal(labelled["score"], plain["score"])

    def test_order_of_samples_and_of_targets_does_not_matter(self, world):
        X, Y = world
        order, units = np.random.default_rng(1).permutation(48), [3, 0, 5]
        base = cross_validate(ridge(), X, Y, RUNS, score="r", pool="predictions")
        moved = cross_validate(ridge(), X[order], Y[order][:, units], RUNS, score="r", pool="predictions")
        np.testing.assert_allclose(moved["score"], base["score"][units], rtol=1e-9)
        assert moved["roi"].values.tolist() == [base["roi"].values[unit] for unit in units]

    @pytest.mark.filterwarnings("ignore:The best penalty")
    def test_blocks_of_targets_change_nothing(self, world):
        X, Y = world
        est = Ridge(alphas=[1.0, 10.0, 100.0])
        whole = cross_validate(est, X, Y, RUNS, score="r", permutations=19, random_state=0)
        parts = cross_validate(est, X, Y, RUNS, score="r", permutations=19, random_state=0, target_block=2)
        assert parts.attrs["pieces"]["total"] > whole.attrs["pieces"]["total"]
        np.testing.assert_allclose(parts["score_fold"], whole["score_fold"], rtol=1e-9)
        np.testing.assert_allclose(parts["null"], whole["null"], rtol=1e-9, atol=1e-12)

    def test_planted_relation_is_found_and_none_is_not(self, worlds):
        X, Y = worlds(seed=3, n=160)
        assert (cross_validate(ridge(), X, Y, RUNS, score="r")["score"] > 0.5).all()
        _, other = worlds(seed=4, n=160)
        assert np.abs(cross_validate(ridge(), X, other, RUNS, score="r")["score"]).max() < 0.35

    def test_own_score(self, world):
        X, Y = world

        def negative_mse(truth, predicted):
            return -((truth - predicted) ** 2).mean(axis=0)

        result = cross_validate(ridge(), X, Y, RUNS, score=negative_mse, pool="predictions", keep="prediction")
        assert result.attrs["score"] == "negative_mse"
        expected = -((result["truth"] - result["prediction"]) ** 2).mean("sample")
        np.testing.assert_allclose(result["score"], expected)
        assert cross_validate(ridge(), X, Y, RUNS, score=pearson).attrs["score"] == "r"


class TestRows:
    def test_identification_and_retrieval(self, worlds):
        X, Y = worlds(seed=5, n=60, units=12, noise=0.3)
        two_way = cross_validate(ridge(), X, Y, RUNS, score="identification")
        assert two_way["score"].item() > 0.9
        assert two_way.attrs["chance"] == 0.5
        found = cross_validate(ridge(), X, Y, RUNS, score="top1", pool="predictions", keep="prediction")
        assert found["score"].item() > 0.3
        assert found.attrs["chance"] == pytest.approx(1 / 60)
        assert found["prediction"].dims == ("sample", "target")
        expected = np.mean(slow.top_k(found["truth"].values, found["prediction"].values, 1))
        assert found["score"].item() == pytest.approx(expected)
        from functools import partial

        three = cross_validate(ridge(), X, Y, RUNS, score=partial(top_k, k=3))
        assert three.attrs["score"] == "top3"
        assert three.attrs["chance"] == pytest.approx(3 / 15)

    def test_per_area(self, worlds):
        X, Y = worlds(seed=6, n=60, units=8, noise=0.3)
        Y = Y.copy(deep=True)
        Y[:, 4:] = np.random.default_rng(0).normal(size=(60, 4))
        areas = Y.assign_coords(roi=("unit", ["V1"] * 4 + ["V2"] * 4))
        result = cross_validate(ridge(), X, areas, RUNS, score="identification", by="roi")
        assert result["roi"].values.tolist() == ["V1", "V2"]
        assert result["score"].values[0] > 0.8
        assert abs(result["score"].values[1] - 0.5) < 0.15
        check_result(result)

    def test_chance_when_nothing_is_there(self, worlds):
        X, _ = worlds(seed=7, n=80)
        _, Y = worlds(seed=8, n=80)
        assert abs(cross_validate(ridge(), X, Y, RUNS, score="identification")["score"].item() - 0.5) < 0.12

    def test_refuses(self, world, classes):
        X, Y = world
        with pytest.raises(ValueError, match="scores every target"):
            cross_validate(ridge(), X, Y, RUNS, score="r", by="roi")
        with pytest.raises(ValueError, match="no such coordinate; they have roi"):
            cross_validate(ridge(), X, Y, RUNS, score="identification", by="layer")
        with pytest.raises(DegenerateDataError, match="at least 2 targets"):
            cross_validate(ridge(), X, Y[:, :1], RUNS, score="identification")
        with pytest.raises(ValueError, match="classifier"):
            cross_validate(LogisticRegression(), *classes, RUNS, score="identification")


class TestDegenerate:
    """Row 2: a dead voxel has no score and is listed; row 26: no mean over a missing fold."""

    @pytest.mark.parametrize("pool", ["folds", "predictions"])
    @pytest.mark.parametrize("score", ["r", "r2", "explained_variance"])
    def test_dead_voxel(self, world, pool, score):
        X, Y = world
        Y = Y.copy(deep=True)
        Y[:, 3] = 4.25
        result = cross_validate(Ridge(alphas=1.0), X, Y, RUNS, score=score, pool=pool, permutations=19, random_state=0)
        assert np.isnan(result["score"].values[3])
        assert np.isfinite(np.delete(result["score"].values, 3)).all()
        assert result.attrs["degenerate"] == [3]
        assert result.attrs["degenerate_reasons"] == {"constant target": [3]}
        assert result["degenerate"].values.tolist() == [False, False, False, True, False, False]
        assert np.isnan(result["p"].values[3]) and np.isnan(result["p_fdr"].values[3])
        assert any("1 of 6 units have no score" in note for note in result.attrs["notes"])

    def test_none_is_listed_where_all_is_well(self, world):
        result = cross_validate(ridge(), *world, RUNS, score="r")
        assert result.attrs["degenerate"] == []
        assert not result["degenerate"].any()

    def test_constant_in_one_fold(self, world):
        X, Y = world
        Y = Y.copy(deep=True)
        Y[:12, 1] = 0.0
        result = cross_validate(ridge(), X, Y, RUNS, score="r")
        assert np.isnan(result["score"].values[1])
        assert "pool='predictions'" in next(iter(result.attrs["degenerate_reasons"]))
        pooled = cross_validate(ridge(), X, Y, RUNS, score="r", pool="predictions")
        assert np.isfinite(pooled["score"].values[1])
        assert pooled.attrs["degenerate"] == []

    def test_constant_prediction(self, world):
        X, Y = world
        constant = linear_model.Lasso(alpha=1e6)
        result = cross_validate(constant, X, Y, RUNS, score="r")
        assert np.isnan(result["score"]).all()
        assert result.attrs["degenerate_reasons"] == {"constant prediction": [0, 1, 2, 3, 4, 5]}
        assert np.isfinite(cross_validate(constant, X, Y, RUNS, score="r2")["score"]).all()

    def test_values_that_are_not_finite(self, world):
        X, Y = world
        broken = Y.copy(deep=True)
        broken[5, 2] = np.nan
        broken[6, 4] = np.inf
        with pytest.raises(DegenerateDataError, match=r"2 values.*2 targets: 2 \(roi b\), 4 \(roi c\).*drop_targets"):
            cross_validate(Ridge(alphas=1.0), X, broken, RUNS, score="r")
        result = cross_validate(
            Ridge(alphas=1.0), X, broken, RUNS, score="r", nan_policy="drop_targets", permutations=19, random_state=1,
            keep="prediction",
        )  # fmt: skip
        assert result.attrs["dropped_targets"] == [2, 4]
        assert result.attrs["degenerate"] == []
        assert np.isnan(result["score"].values[[2, 4]]).all()
        whole = cross_validate(Ridge(alphas=1.0), X, Y, RUNS, score="r", permutations=19, random_state=1)
        np.testing.assert_allclose(result["score"].values[[0, 1, 3, 5]], whole["score"].values[[0, 1, 3, 5]])
        np.testing.assert_allclose(result["p"].values[[0, 1, 3, 5]], whole["p"].values[[0, 1, 3, 5]])
        assert np.isnan(result["prediction"].values[:, 2]).all()
        assert result["roi"].values.tolist() == Y["roi"].values.tolist()
        bad = X.copy(deep=True)
        bad[7, 0] = np.nan
        with pytest.raises(DegenerateDataError, match=r"X has 1 values.*7 \(stimulus s007\)"):
            cross_validate(Ridge(alphas=1.0), bad, Y, RUNS, score="r", nan_policy="drop_targets")

    def test_targets_masked_before(self, world):
        X, Y = world
        values = Y.values.copy()
        values[:, 1] = np.nan
        Y = Y.copy(data=values).assign_coords(masked=("unit", [False, True, False, False, False, False]))
        result = cross_validate(Ridge(alphas=1.0), X, Y, RUNS, score="r")
        assert result.attrs["dropped_targets"] == [1]
        assert np.isnan(result["score"].values[1])


class TestTooLittle:
    """Row 8: the needed minimum is named."""

    def test_samples_features_targets(self, world):
        X, Y = world
        with pytest.raises(DegenerateDataError, match="at least 2 samples"):
            cross_validate(ridge(), X[:1], Y[:1], 2, score="r")
        with pytest.raises(DegenerateDataError, match="at least 1 feature"):
            cross_validate(ridge(), X.values[:, :0], Y.values, 2, score="r")
        with pytest.raises(DegenerateDataError, match="at least 1 target"):
            cross_validate(ridge(), X.values, Y.values[:, :0], 2, score="r")
        with pytest.raises(DegenerateDataError, match="at least 50 samples"):
            cross_validate(ridge(), X.values, Y.values, 50, score="r")
        with pytest.raises(DegenerateDataError, match="samples, features"):
            cross_validate(ridge(), X.values[:, 0], Y.values, 2, score="r")

    def test_one_test_sample_per_fold(self, world):
        X, Y = world
        with pytest.raises(DegenerateDataError, match=r"at least 2 samples together and gets 1.*pool='predictions'"):
            cross_validate(ridge(), X.values, Y.values, 48, score="r")
        result = cross_validate(ridge(), X.values, Y.values, 48, score="r", pool="predictions")
        assert (result["score"] > 0.3).all()
        assert np.isnan(result["score_fold"]).all()

    def test_pooling_needs_one_prediction_each(self, world):
        X, Y = world[0].values, world[1].values
        twice = RepeatedKFold(n_splits=3, n_repeats=2, random_state=0)
        with pytest.raises(ValueError, match="tested more than once"):
            cross_validate(ridge(), X, Y, twice, score="r", pool="predictions")
        assert cross_validate(ridge(), X, Y, twice, score="r").sizes["fold"] == 6
        once = ShuffleSplit(1, test_size=12, random_state=0)
        with pytest.raises(ValueError, match="36 of 48 samples are never tested"):
            cross_validate(ridge(), X, Y, once, score="r", pool="predictions")
        result = cross_validate(ridge(), X, Y, once, score="r", keep="prediction")
        assert "36 of 48 samples are never tested" in result.attrs["notes"]
        assert np.isnan(result["prediction"]).sum() == 36 * 6

    def test_options(self, world):
        with pytest.raises(ValueError, match="pool='all'"):
            cross_validate(ridge(), *world, RUNS, score="r", pool="all")
        with pytest.raises(ValueError, match="keep='models'"):
            cross_validate(ridge(), *world, RUNS, score="r", keep="models")
        with pytest.raises(ValueError, match="Did you mean 'r2'"):
            cross_validate(ridge(), *world, RUNS, score="r22")
        with pytest.raises(ValueError, match=r"a regressor\. Choose one of 'r'"):
            cross_validate(ridge(), *world, RUNS, score="accuracy")
        with pytest.raises(ValueError, match="nan_policy"):
            cross_validate(ridge(), *world, RUNS, score="r", nan_policy="skip")


class TestClasses:
    """Row 26: said before anything is fitted."""

    class Never(LogisticRegression):
        def fit(self, X, y):
            raise AssertionError("nothing may be fitted")

    def test_one_class(self, classes):
        X, y = classes
        with pytest.raises(DegenerateDataError, match="all 24 samples have the class cat"):
            cross_validate(self.Never(), X[::2], y[::2], RUNS, score="accuracy")

    def test_class_missing_in_training(self, class_worlds):
        X, y = class_worlds()
        rare = y.copy(data=np.where(np.arange(48) < 12, "eel", y.values))
        with pytest.raises(DegenerateDataError, match="fold '1' has no training sample of class eel"):
            cross_validate(self.Never(), X, rare, RUNS, score="accuracy")

    def test_class_missing_in_test(self, class_worlds):
        X, y = class_worlds(gap=3)
        sorted_y = y.copy(data=np.where((np.arange(48) % 12 < 6) | (np.arange(48) < 12), "cat", "dog"))
        with pytest.raises(DegenerateDataError, match="fold '1' has no test sample of class dog"):
            cross_validate(self.Never(), X, sorted_y, RUNS, score="auc")
        pooled = cross_validate(LogisticRegression(), X, sorted_y, RUNS, score="auc", pool="predictions")
        assert np.isfinite(pooled["score"].item())
        assert np.isnan(pooled["score_fold"].values[0, 0])

    def test_labels_that_cannot_be(self, classes, world):
        X, y = classes
        with pytest.raises(DegenerateDataError, match="not finite"):
            cross_validate(self.Never(), X.values, np.where(np.arange(48) == 3, np.nan, 1.0), 3, score="accuracy")
        with pytest.raises(DegenerateDataError, match="one label per sample"):
            cross_validate(self.Never(), X.values, np.ones((48, 2)), 3, score="accuracy")
        with pytest.raises(DegenerateDataError, match="predicts numbers"):
            cross_validate(ridge(), X.values, y.values, 3, score="r")

    def test_confusion_and_predictions(self, classes):
        X, y = classes
        result = cross_validate(LinearClassifier(kind="lda"), X, y, RUNS, score="accuracy", keep="prediction")
        counts = result["confusion"]
        assert int(counts.sum()) == 48
        assert counts["true"].values.tolist() == ["cat", "dog"]
        truth, said = result["truth"].values[:, 0], result["prediction"].values[:, 0]
        np.testing.assert_array_equal(truth, y.values)
        assert int(counts.sel(true="cat", predicted="dog")) == ((truth == "cat") & (said == "dog")).sum()
        assert result["unit_name"].values.tolist() == ["category"]
        assert result["score"].item() == pytest.approx(np.trace(counts) / 48)

    def test_chance(self, classes):
        X, y = classes
        assert cross_validate(LogisticRegression(), X, y, RUNS, score="accuracy").attrs["chance"] == 0.5
        most = cross_validate(
            LogisticRegression(), X[:47], y[:47], StratifiedKFold(4), score="accuracy", allow_overlap="x"
        )
        assert most.attrs["chance"] == pytest.approx(24 / 47)
        assert cross_validate(LogisticRegression(), X, y, RUNS, score="accuracy", chance=0.3).attrs["chance"] == 0.3

    def test_default_folds_are_stratified(self):
        rng = np.random.default_rng(0)
        y = np.repeat(["a", "b"], 30)
        X = rng.normal(size=(60, 3)) + (y == "a")[:, None]
        result = cross_validate(LogisticRegression(), X, y, score="accuracy")
        assert result.attrs["splits"].startswith("StratifiedKFold")


class TestPipelines:
    """Row 24: everything that learns from data is fitted inside the fold."""

    def noise(self, seed):
        rng = np.random.default_rng(seed)
        return rng.normal(size=(40, 10_000)), np.tile(["a", "b"], 20)

    def test_selection_inside_stays_at_chance_and_outside_does_not(self):
        inside, outside = [], []
        for seed in range(3):
            X, y = self.noise(seed)
            pipe = make_pipeline(SelectKBest(f_classif, k=20), LogisticRegression())
            inside.append(cross_validate(pipe, X, y, StratifiedKFold(5), score="accuracy")["score"].item())
            chosen = SelectKBest(f_classif, k=20).fit_transform(X, y)
            outside.append(
                cross_validate(LogisticRegression(), chosen, y, StratifiedKFold(5), score="accuracy")["score"].item()
            )
        assert abs(np.mean(inside) - 0.5) < 0.15
        assert np.mean(outside) > 0.85

    @pytest.mark.parametrize("thing", [Ridge, np.ones(3), lambda X: X, StandardScaler(), "ridge"])
    def test_only_estimators(self, world, thing):
        with pytest.raises(TypeError, match="make_pipeline"):
            cross_validate(thing, *world, RUNS, score="r")

    def test_scaler_sees_training_samples_only(self, world):
        X, Y = world
        seen = []

        class Spy(StandardScaler):
            def fit(self, X, y=None, sample_weight=None):
                seen.append(X["run"].values if isinstance(X, xr.DataArray) else len(X))
                return super().fit(X, y)

        X = X.assign_coords(run=Y["run"])
        cross_validate(make_pipeline(Spy(), ridge()), X, Y, RUNS, score="r")
        assert [sorted(set(np.unique(runs))) for runs in seen] == [[2, 3, 4], [1, 3, 4], [1, 2, 4], [1, 2, 3]]

    @pytest.mark.filterwarnings("ignore:The best penalty")
    def test_labels_reach_the_last_step_and_nested_splitters(self, world):
        X, Y = world
        seen = []

        class Reads(RegressorMixin, BaseEstimator):
            def fit(self, X, y):
                seen.append((sorted(set(X["run"].values)), list(X["layer"].values), list(y["roi"].values)))
                self.shape_ = y.shape[1]
                return self

            def predict(self, X):
                return np.tile(np.asarray(X)[:, :1], self.shape_)

        pipe = make_pipeline(Labelled(StandardScaler()), Reads())
        cross_validate(pipe, X, Y, RUNS, score="r")
        assert seen[0][0] == [2, 3, 4]
        assert seen[0][1][0] == "l0"
        assert seen[0][2] == Y["roi"].values.tolist()
        nested = make_pipeline(Labelled(StandardScaler()), Ridge(alphas=[1.0, 10.0, 100.0], cv=SplitBy("run")))
        result = cross_validate(nested, X, Y, RUNS, score="r")
        assert (result["score"] > 0.2).all()

    def test_estimator_is_left_alone(self, world):
        est = Ridge(alphas=1.0)
        cross_validate(est, *world, RUNS, score="r")
        assert not hasattr(est, "coef_")


class TestRecord:
    def test_everything_is_written_down(self, world):
        X, Y = world
        result = cross_validate(
            Ridge(alphas=[1.0]), X, Y, RUNS, score="r", permutations=19, random_state=7, question="Does it?"
        )
        check_result(result)
        attrs = result.attrs
        json.dumps(attrs)
        assert attrs["schema"] == "neurodecode.result/1"
        assert attrs["estimator"] == "Ridge(alphas=[1.0])"
        assert attrs["splits"] == "SplitBy('run')"
        assert attrs["random_state"] == 7
        assert attrs["question"] == "Does it?"
        assert attrs["n_samples"] == 48
        assert attrs["n_folds"] == 4
        assert attrs["n_permutations"] == 19
        assert attrs["data"]["Y"]["kind"] == "fmri"
        assert attrs["data"]["X"]["shape"] == [48, 5]
        assert len(attrs["data"]["X"]["hash"]) == 64
        assert attrs["versions"]["numpy"] == np.__version__
        assert attrs["elapsed_s"] > 0
        assert result["score"].dims == ("unit",)
        assert result["score_fold"].dims == ("fold", "unit")
        assert result["null"].dims == ("permutation", "unit")
        assert result["fold"].values.tolist() == ["1", "2", "3", "4"]
        assert result["roi"].values.tolist() == Y["roi"].values.tolist()

    def test_hash_follows_content(self, world):
        X, Y = world
        first = cross_validate(ridge(), X, Y, RUNS, score="r").attrs["data"]
        again = cross_validate(ridge(), X.copy(deep=True), Y, RUNS, score="r").attrs["data"]
        other = X.copy(deep=True)
        other[0, 0] += 1e-9
        changed = cross_validate(ridge(), other, Y, RUNS, score="r").attrs["data"]
        assert first == again
        assert changed["X"]["hash"] != first["X"]["hash"]
        assert changed["Y"] == first["Y"]

    def test_same_seed_same_result_to_the_bit(self, world):
        X, Y = world
        calls = [
            cross_validate(Ridge(alphas=1.0), X, Y, RUNS, score="r", permutations=19, random_state=s) for s in (2, 2, 3)
        ]
        np.testing.assert_array_equal(calls[0]["null"], calls[1]["null"])
        assert (calls[0]["null"] != calls[2]["null"]).any()
        np.testing.assert_array_equal(calls[0]["score"], calls[2]["score"])
        drawn = cross_validate(Ridge(alphas=1.0), X, Y, RUNS, score="r", permutations=19)
        again = cross_validate(
            Ridge(alphas=1.0), X, Y, RUNS, score="r", permutations=19, random_state=drawn.attrs["random_state"]
        )
        np.testing.assert_array_equal(drawn["null"], again["null"])

    def test_the_seed_reaches_an_estimator_that_draws(self, world):
        X, Y = world
        draws = make_pipeline(Labelled(StandardScaler()), RandomForestRegressor(n_estimators=3, max_depth=2))
        found = [cross_validate(draws, X, Y, RUNS, score="r", random_state=seed) for seed in (5, 5, 6)]
        np.testing.assert_array_equal(found[0]["score_fold"], found[1]["score_fold"])
        assert (found[0]["score_fold"] != found[2]["score_fold"]).any()
        assert found[0].attrs["random_state"] == 5 and "random_state=5" in found[0].attrs["estimator"]
        assert draws[-1].random_state is None
        own = clone(draws).set_params(randomforestregressor__random_state=8)
        kept = [cross_validate(own, X, Y, RUNS, score="r", random_state=seed) for seed in (5, 6)]
        np.testing.assert_array_equal(kept[0]["score_fold"], kept[1]["score_fold"])

    def test_geometry_travels(self, worlds):
        affine = np.diag([3.0, 3.0, 3.0, 1.0]).tolist()
        X, Y = worlds(affine=affine, shape=[4, 4, 4], tr=2.0)
        ijk = {axis: ("unit", np.arange(6)) for axis in "ijk"}
        result = cross_validate(ridge(), X, Y.assign_coords(ijk), RUNS, score="r")
        assert result.attrs["affine"] == affine
        assert result.attrs["shape"] == [4, 4, 4]
        assert result.attrs["data"]["Y"]["tr"] == 2.0
        assert result["k"].values.tolist() == [0, 1, 2, 3, 4, 5]

    def test_kept_predictions(self, world):
        X, Y = world
        result = cross_validate(ridge(), X, Y, RUNS, score="r", pool="predictions", keep="prediction")
        np.testing.assert_array_equal(result["truth"], Y.values)
        np.testing.assert_array_equal(result["stimulus"].values, Y["stimulus"].values)
        np.testing.assert_allclose(pearson(result["truth"].values, result["prediction"].values), result["score"])
        assert "prediction" not in cross_validate(ridge(), X, Y, RUNS, score="r")

    def test_survives_saving(self, world, tmp_path):
        result = cross_validate(
            Ridge(alphas=1.0), *world, RUNS, score="r", permutations=19, random_state=0, keep="prediction"
        )
        xr.testing.assert_identical(load(save(result, tmp_path / "result.zarr")), result)

    def test_warnings_of_a_fit_are_repeated_and_kept(self, world):
        from neurodecode.exceptions import NeurodecodeWarning

        X, Y = world
        with pytest.warns(NeurodecodeWarning, match="edge of the grid"):
            result = cross_validate(Ridge(alphas=[1e7, 1e8]), X, Y, RUNS, score="r")
        assert any("edge of the grid" in note for note in result.attrs["notes"])


class TestTime:
    def test_targets_over_time(self, world):
        X, Y = world
        series = np.stack([Y.values, np.random.default_rng(0).normal(size=Y.shape)], axis=2)
        timed = xr.DataArray(
            series, dims=("sample", "unit", "time"), attrs=Y.attrs,
            coords={**{k: (c.dims, c.values) for k, c in Y.coords.items()}, "time": [0.1, 0.2]},
        )  # fmt: skip

        class PerTime(RegressorMixin, BaseEstimator):
            def fit(self, X, y):
                self.shape_ = y.shape[1:]
                self.ridge_ = ridge().fit(X.values, y.values.reshape(len(y), -1))
                return self

            def predict(self, X):
                return self.ridge_.predict(X.values).reshape(-1, *self.shape_)

        result = cross_validate(PerTime(), X, timed, RUNS, score="r", permutations=19, random_state=0)
        assert result["score"].dims == ("unit", "time")
        assert result["time"].values.tolist() == [0.1, 0.2]
        flat = cross_validate(ridge(), X, Y, RUNS, score="r")
        np.testing.assert_allclose(result["score"][:, 0], flat["score"], rtol=1e-9)
        assert float(result["score"][:, 1].mean()) < 0.3
        assert (result["p"][:, 0] <= 0.1).all()
        check_result(result)

    def test_classifier_over_time(self, classes):
        X, y = classes

        class Sliding(LogisticRegression):
            def predict(self, X):
                first = super().predict(np.asarray(X))
                return np.stack([first, np.roll(first, 1)], axis=1)

        result = cross_validate(Sliding(), X, y, RUNS, score="accuracy")
        assert result["score"].dims == ("unit", "time")
        assert result["score_fold"].shape == (4, 1, 2)
        assert result["score"].values[0, 0] > result["score"].values[0, 1]
