"""Estimators of scikit-learn keep labels: the same numbers, with the samples and units they belong to."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.representation import Labelled, as_representation, check_representation


@parametrize_with_checks(
    [Labelled(StandardScaler()), Labelled(Ridge()), Labelled(LogisticRegression()), Labelled(PCA())]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn(estimator, check):
    check(estimator)


def world(n=24, seed=0):
    rng = np.random.default_rng(seed)
    ids = [f"s{at:02d}" for at in range(n)]
    values = rng.normal(size=(n, 5)) * [1, 2, 3, 4, 5]
    X = as_representation(
        values,
        stimulus=ids,
        kind="network",
        unit={"layer": list("aabbc"), "x": np.arange(5.0)},
        sample={"run": np.repeat([1, 2], n // 2), "category": np.tile(["u", "v", "w"], n // 3)},
        attrs={"units": "a.u.", "model": "net"},
    )
    targets = values[:, :2] @ rng.normal(size=(2, 3))
    Y = as_representation(targets, stimulus=ids, kind="fmri", unit={"roi": ["V1", "V2", "LOC"]}, attrs={"tr": 2.0})
    return X, Y


class TestTransform:
    def test_scaled_features_are_the_same_units(self):
        X, _ = world()
        Z = Labelled(StandardScaler()).fit_transform(X)
        np.testing.assert_allclose(Z.values, StandardScaler().fit_transform(X.values))
        assert Z["layer"].values.tolist() == list("aabbc")
        assert Z["run"].values.tolist() == X["run"].values.tolist()
        assert Z.attrs["model"] == "net" and Z.attrs["kind"] == "network"
        assert "units" not in Z.attrs, "a scaled value no longer has the unit it had"
        assert Z.attrs["history"] == ["StandardScaler()"]
        assert check_representation(Z) is Z

    def test_selected_features_keep_their_labels(self):
        X, Y = world()
        chosen = Labelled(SelectKBest(f_regression, k=2)).fit(X, Y[:, 0].drop_attrs())
        kept = chosen.estimator_.get_support(indices=True)
        Z = chosen.transform(X)
        np.testing.assert_array_equal(Z.values, X.values[:, kept])
        np.testing.assert_array_equal(Z["x"].values, X["x"].values[kept])

    def test_new_features_are_components(self):
        X, _ = world()
        for estimator in (PCA(3), PCA(5)):
            Z = Labelled(estimator).fit(X).transform(X)
            size = Z.sizes["unit"]
            assert Z["component"].values.tolist() == [f"pca{at}" for at in range(size)]
            assert "layer" not in Z.coords, "a mixture of units is none of them"
            assert Z.attrs["kind"] == "features"

    def test_a_pipeline_inside(self):
        X, _ = world()
        Z = Labelled(make_pipeline(StandardScaler(), PCA(2))).fit_transform(X)
        assert Z["component"].values.tolist() == ["pca0", "pca1"]
        scaled = Labelled(make_pipeline(StandardScaler(), StandardScaler())).fit_transform(X)
        assert scaled["layer"].values.tolist() == list("aabbc")

    def test_estimators_that_name_nothing_and_sparse_answers(self):
        X, _ = world()
        Z = Labelled(FunctionTransformer(lambda x: x[:, :2])).fit(X).transform(X)
        assert Z["component"].values.tolist() == ["functiontransformer0", "functiontransformer1"]
        positive = X.copy(data=np.abs(X.values))
        sparse = Labelled(TfidfTransformer()).fit(positive).transform(positive)
        assert isinstance(sparse, xr.DataArray) and sparse.shape == X.shape

    def test_the_way_back(self):
        X, _ = world()
        wrapped = Labelled(PCA(5)).fit(X)
        back = wrapped.inverse_transform(wrapped.transform(X))
        np.testing.assert_allclose(back.values, X.values, atol=1e-12)
        assert back["layer"].values.tolist() == list("aabbc")
        assert back.attrs["kind"] == "network"


class TestPredict:
    def test_predictions_have_samples_of_x_and_units_of_y(self):
        X, Y = world()
        got = Labelled(Ridge()).fit(X[:12], Y[:12]).predict(X[12:])
        np.testing.assert_allclose(got.values, Ridge().fit(X.values[:12], Y.values[:12]).predict(X.values[12:]))
        assert got["stimulus"].values.tolist() == X["stimulus"].values[12:].tolist()
        assert got["roi"].values.tolist() == ["V1", "V2", "LOC"]
        assert got.attrs["kind"] == "fmri" and got.attrs["tr"] == 2.0
        assert check_representation(got) is got

    def test_classes(self):
        X, _ = world()
        fitted = Labelled(LogisticRegression()).fit(X, X["category"])
        assert fitted.classes_.tolist() == ["u", "v", "w"]
        assert fitted.predict(X).dims == ("sample",)
        assert set(fitted.predict(X).values) <= {"u", "v", "w"}
        chances = fitted.predict_proba(X)
        assert chances["class"].values.tolist() == ["u", "v", "w"]
        np.testing.assert_allclose(chances.sum("unit").values, 1.0)
        assert fitted.decision_function(X).dims == ("sample", "unit")
        assert fitted.score(X, X["category"]) == fitted.estimator_.score(X.values, X["category"].values)
        two = X[(X["category"] != "w").values]
        assert Labelled(LogisticRegression()).fit(two, two["category"]).decision_function(two).dims == ("sample",)

    def test_in_a_pipeline_and_a_grid(self):
        X, Y = world()
        chain = make_pipeline(Labelled(StandardScaler()), Labelled(Ridge()))
        got = chain.fit(X, Y).predict(X)
        plain = make_pipeline(StandardScaler(), Ridge()).fit(X.values, Y.values).predict(X.values)
        np.testing.assert_allclose(got.values, plain)
        assert got["roi"].values.tolist() == ["V1", "V2", "LOC"]
        grid = GridSearchCV(chain, {"labelled-2__estimator__alpha": [1e-3, 1e3]}, cv=3).fit(X, Y)
        assert grid.best_params_["labelled-2__estimator__alpha"] == 1e-3
        assert isinstance(grid.predict(X), xr.DataArray)

    def test_plain_in_plain_out(self):
        X, Y = world()
        assert type(Labelled(Ridge()).fit(X, Y).predict(X.values)) is np.ndarray
        assert type(Labelled(StandardScaler()).fit_transform(X.values)) is np.ndarray


class TestRefusals:
    def test_other_order(self):
        X, Y = world()
        with pytest.raises(AlignmentError, match="match"):
            Labelled(Ridge()).fit(X[::-1], Y)

    def test_other_units_at_predict(self):
        X, Y = world()
        fitted = Labelled(Ridge()).fit(X, Y)
        with pytest.raises(AlignmentError, match="'layer': unit 0 is c, was a"):
            fitted.predict(X[:, ::-1])
        with pytest.raises(AlignmentError, match="4 units, 5 were seen"):
            fitted.predict(X[:, :4])

    @pytest.mark.parametrize("which", ["X", "y", "new"])
    def test_missing_values(self, which):
        X, Y = world()
        hole = np.ones_like(X.values)
        hole[3, 1] = np.nan
        if which == "X":
            with pytest.raises(DegenerateDataError, match=r"X: 1 NaN.*\(3 's03'; first in unit 1 \(layer=a, x=1.0\)"):
                Labelled(StandardScaler()).fit(X * hole)
        elif which == "y":
            with pytest.raises(DegenerateDataError, match="y: 1 NaN"):
                Labelled(Ridge()).fit(X, Y * hole[:, :3])
        else:
            with pytest.raises(DegenerateDataError, match="X: 1 NaN"):
                Labelled(Ridge()).fit(X, Y).predict(X * hole)

    def test_time_is_sent_to_sliding(self):
        X = as_representation(np.zeros((3, 2, 4)), stimulus=list("abc"), kind="eeg")
        with pytest.raises(ValueError, match="Sliding"):
            Labelled(StandardScaler()).fit(X)

    def test_methods_are_those_of_the_estimator(self):
        assert not hasattr(Labelled(StandardScaler()), "predict")
        assert not hasattr(Labelled(Ridge()), "transform")
        assert not hasattr(Labelled(Ridge()), "classes_")
        with pytest.raises(NotFittedError):
            Labelled(Ridge()).predict(np.zeros((2, 2)))


def test_parameters_reach_the_estimator():
    wrapped = Labelled(Ridge(alpha=2.0))
    assert wrapped.get_params()["estimator__alpha"] == 2.0
    assert clone(wrapped).set_params(estimator__alpha=9.0).estimator.alpha == 9.0
    assert wrapped.estimator.alpha == 2.0


def test_inputs_stay_and_fits_pickle():
    X, Y = world()
    before = X.copy(deep=True), Y.copy(deep=True)
    fitted = Labelled(Ridge()).fit(X, Y)
    xr.testing.assert_identical(fitted.predict(X), pickle.loads(pickle.dumps(fitted)).predict(X))
    xr.testing.assert_identical(X, before[0])
    xr.testing.assert_identical(Y, before[1])
