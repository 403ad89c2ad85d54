"""Over time: at once as one by one, planted windows with both sides, labels, and what is refused."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.compute import logistic
from neurodecode.evaluation import check_result, cross_validate
from neurodecode.exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning, TimingError
from neurodecode.linear import CorrelationClassifier, Generalizing, LinearClassifier, Ridge, Sliding
from neurodecode.representation import Labelled, as_representation

TIMES = 6
KINDS = [Sliding, Generalizing]


class SlowLDA(LinearClassifier):
    """The same estimator under another name has no closed form."""


class SlowRidge(Ridge):
    """As above."""


class SlowCorrelation(CorrelationClassifier):
    """As above."""


def recording(n=40, p=5, times=TIMES, classes="ab", start=2, stop=4, size=1.5, seed=0):
    """Noise with an offset and a pattern of the first class in the times start to stop."""
    rng = np.random.default_rng(seed)
    y = np.array(list(classes))[np.arange(n) % len(classes)]
    x = rng.normal(size=(n, p, times)) + 2
    x[:, :, start:stop] += size * ((y == classes[0])[:, None] * rng.normal(size=p))[:, :, None]
    return x, y


def labelled(x, y, **attrs):
    return as_representation(
        x, stimulus=[f"trial {i}" for i in range(len(x))], kind="eeg", time=0.01 * np.arange(x.shape[2]),
        unit={"channel": [f"E{i}" for i in range(x.shape[1])]}, sample={"category": y}, attrs=attrs,
    )  # fmt: skip


def pairs():
    for amount in (None, 0.0, 0.2, "auto"):
        yield LinearClassifier("lda", shrinkage=amount), SlowLDA("lda", shrinkage=amount)
    yield LinearDiscriminantAnalysis("lsqr", shrinkage=0.3), SlowLDA("lda", shrinkage=0.3)
    scaled = [make_pipeline(StandardScaler(), one("lda", shrinkage=0.1)) for one in (LinearClassifier, SlowLDA)]
    yield tuple(scaled)
    yield CorrelationClassifier(), SlowCorrelation()
    yield LinearClassifier("ridge", C=0.1), SlowLDA("ridge", C=0.1)
    yield RidgeClassifier(alpha=4.0), SlowLDA("ridge", C=0.25)
    yield tuple(make_pipeline(StandardScaler(), one("ridge", C=0.1)) for one in (LinearClassifier, SlowLDA))


class TestAtOnceAndOneByOne:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("classes", ["ab", "abc"])
    @pytest.mark.parametrize("pair", list(pairs()), ids=lambda pair: repr(pair[0]))
    def test_classifiers(self, pair, classes, kind):
        x, y = recording(classes=classes)
        x[:, 1] *= 50
        fast, slow = (kind(one).fit(x[:30], y[:30]) for one in pair)
        assert fast.closed_form_.all()
        assert not slow.closed_form_.any()
        np.testing.assert_allclose(fast.decision_function(x[30:]), slow.decision_function(x[30:]), rtol=1e-8, atol=1e-8)
        np.testing.assert_array_equal(fast.predict(x[30:]), slow.predict(x[30:]))
        np.testing.assert_array_equal(fast.classes_, slow.classes_)
        if hasattr(slow, "predict_proba"):
            np.testing.assert_allclose(fast.predict_proba(x[30:]), slow.predict_proba(x[30:]), atol=1e-8)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
    @pytest.mark.parametrize("p", [5, 60])
    def test_logistic_regression(self, p, C, kind):
        x, y = recording(p=p)
        x[:, 1] *= 5
        model = kind(LinearClassifier("logistic", C=C)).fit(x[:30], y[:30])
        assert model.closed_form_.all()
        values, chances = model.decision_function(x[30:]), model.predict_proba(x[30:])
        for t in range(TIMES):
            one = LogisticRegression(C=C, tol=1e-12, max_iter=10_000, solver="newton-cholesky").fit(
                x[:30, :, t], y[:30]
            )
            here = (slice(None), t) if kind is Sliding else (slice(None), t, t)
            np.testing.assert_allclose(values[here], one.decision_function(x[30:, :, t]), rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(
                chances[(here[0], 1, *here[1:])], one.predict_proba(x[30:, :, t])[:, 1], atol=1e-6
            )
            np.testing.assert_allclose(model.coef_[0, :, t], one.coef_[0], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(model.intercept_[0, t], one.intercept_[0], rtol=1e-5, atol=1e-6)

    def test_logistic_regression_where_it_is_left_to_the_estimator(self):
        x, y = recording(classes="abc")
        assert not Sliding(LinearClassifier()).fit(x, y).closed_form_.any(), "three classes"
        x, y = recording()
        assert Sliding(LogisticRegression(C=3.0)).fit(x, y).closed_form_.all()
        for other in ({"class_weight": "balanced"}, {"fit_intercept": False}, {"solver": "liblinear"}):
            assert not Sliding(LogisticRegression(**other)).fit(x, y).closed_form_.any()

    def test_times_that_did_not_converge_are_named(self, monkeypatch):
        x, y = recording(p=3, n=30, size=0.0)
        X = labelled(x, y)
        monkeypatch.setattr("neurodecode.compute.logistic.fit", partial(logistic.fit, iterations=1))
        with pytest.warns(NeurodecodeWarning, match=f"stopped before it converged at {TIMES} of {TIMES} times: .* s, "):
            Sliding(LinearClassifier()).fit(X, X["category"])

    @pytest.mark.filterwarnings("ignore::neurodecode.exceptions.NeurodecodeWarning")
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("p", [5, 60])
    @pytest.mark.parametrize(
        "settings",
        [{"alphas": 3.0}, {"alphas": [0.1, 1, 10, 100, 1000], "cv": 3},
         {"alphas": [0.1, 1, 10, 100, 1000], "cv": 3, "shared_alpha": True, "fit_intercept": False}],
    )  # fmt: skip
    def test_ridge(self, settings, p, kind):
        x, _ = recording(p=p)
        rng = np.random.default_rng(5)
        Y = x[:, :, 0] @ rng.normal(size=(p, 2)) + rng.normal(size=(len(x), 2))
        for y in (Y, Y[:, 0]):
            fast, slow = (kind(one(**settings)).fit(x[:30], y[:30]) for one in (Ridge, SlowRidge))
            assert fast.closed_form_.all()
            np.testing.assert_allclose(fast.predict(x[30:]), slow.predict(x[30:]), rtol=1e-8, atol=1e-8)
            assert fast.predict(x[30:]).shape[:-1] == (10, 2, TIMES)[: slow.predict(x[30:]).ndim - 1] or y.ndim == 1

    @pytest.mark.parametrize("kind", KINDS)
    def test_times_without_a_closed_form_are_fitted_by_clones(self, kind):
        x, y = recording()
        x[:, 2, 1] = 3.0
        fast, slow = (kind(one("lda", shrinkage=0.0)).fit(x[:30], y[:30]) for one in (LinearClassifier, SlowLDA))
        assert fast.closed_form_.tolist() == [True, False, True, True, True, True]
        assert list(fast.estimators_) == [1]
        np.testing.assert_allclose(fast.decision_function(x[30:]), slow.decision_function(x[30:]), atol=1e-8)
        np.testing.assert_array_equal(fast.predict(x[30:]), slow.predict(x[30:]))
        with pytest.raises(AttributeError, match="1 times were fitted by clones"):
            fast.coef_  # noqa: B018

    def test_more_features_than_samples(self):
        x, y = recording(p=60)
        fast = Sliding(LinearDiscriminantAnalysis("lsqr", shrinkage="auto")).fit(x[:30], y[:30])
        assert fast.closed_form_.all()
        one = LinearDiscriminantAnalysis("lsqr", shrinkage="auto").fit(x[:30, :, 3], y[:30])
        np.testing.assert_allclose(
            fast.decision_function(x[30:])[:, 3], one.decision_function(x[30:, :, 3]), rtol=1e-8, atol=1e-8
        )
        alone = Sliding(LinearDiscriminantAnalysis("lsqr")).fit(x[:30], y[:30])
        assert not alone.closed_form_.any()

    def test_any_estimator(self):
        x, y = recording(classes="abc", size=3)
        one = Sliding(GaussianNB()).fit(x[:30], y[:30])
        each = np.stack([GaussianNB().fit(x[:30, :, t], y[:30]).predict(x[30:, :, t]) for t in range(TIMES)], 1)
        np.testing.assert_array_equal(one.predict(x[30:]), each)
        assert one.predict_proba(x[30:]).shape == (10, 3, TIMES)
        assert not hasattr(one, "decision_function")
        both = Generalizing(GaussianNB()).fit(x[:30], y[:30]).predict(x[30:])
        for t in range(TIMES):
            np.testing.assert_array_equal(both[:, t, t], each[:, t])

    def test_the_diagonal_of_generalizing_is_sliding(self):
        x, y = recording()
        model = LinearClassifier("lda", shrinkage=0.1)
        all_times = Generalizing(model).fit(x[:30], y[:30]).decision_function(x[30:])
        np.testing.assert_allclose(
            np.einsum("ntt->nt", all_times), Sliding(model).fit(x[:30], y[:30]).decision_function(x[30:]), atol=1e-10
        )

    def test_weights(self):
        x, y = recording()
        model = Sliding(LinearClassifier("lda", shrinkage=0.1)).fit(x, y)
        assert model.coef_.shape == (1, 5, TIMES)
        values = np.einsum("npt,pt->nt", x, model.coef_[0]) + model.intercept_[0]
        np.testing.assert_allclose(values, model.decision_function(x), atol=1e-10)


class TestPlanted:
    """The ground truth of the method: a pattern in samples 20-34 of 60, weight .6, 80 epochs of 20 channels."""

    @pytest.fixture(scope="class")
    def planted(self):
        rng = np.random.default_rng(21)
        y = np.arange(80) % 2
        x = rng.normal(size=(80, 20, 60))
        x[:, :, 20:35] += 0.6 * (y[:, None] * rng.normal(size=20))[:, :, None]
        return x, y

    def test_a_window_is_found_and_the_rest_is_not(self, planted):
        x, y = planted
        model = Sliding(make_pipeline(StandardScaler(), LinearClassifier("lda", shrinkage="auto")))
        folds = StratifiedKFold(5, shuffle=True, random_state=1)
        result = cross_validate(model, x, y, folds, score="auc")
        score = result["score"].values[0]
        inside = np.zeros(60, dtype=bool)
        inside[20:35] = True
        assert score[inside].mean() >= 0.85
        assert abs(score[~inside].mean() - 0.5) <= 0.05
        check_result(result)

    def test_a_lasting_pattern_is_a_square_and_changing_ones_a_diagonal(self, planted):
        x, y = planted
        folds = StratifiedKFold(5, shuffle=True, random_state=1)
        model = Generalizing(LinearClassifier("lda", shrinkage="auto"))
        lasting = cross_validate(model, x, y, folds, score="auc")["score"]
        assert lasting.dims == ("unit", "time", "time_test")
        inside = np.zeros(60, dtype=bool)
        inside[20:35] = True
        assert lasting.values[0][np.ix_(inside, inside)].mean() >= 0.85
        assert abs(lasting.values[0][np.ix_(~inside, ~inside)].mean() - 0.5) <= 0.05
        rng = np.random.default_rng(22)
        changing = rng.normal(size=(80, 20, 15)) + 0.6 * y[:, None, None] * rng.normal(size=(20, 15))
        found = cross_validate(model, changing, y, folds, score="auc")["score"].values[0]
        off = ~np.eye(15, dtype=bool)
        assert found[~off].mean() >= 0.85
        assert abs(found[off].mean() - 0.5) <= 0.06


class TestLabels:
    def test_sliding(self):
        x, y = recording(classes="abc")
        X = labelled(x, y, sfreq=100.0)
        model = Sliding(LinearClassifier("lda", shrinkage=0.1)).fit(X[:30], X["category"][:30])
        found = model.predict(X[30:])
        assert found.dims == ("sample", "time")
        assert found.name == "category"
        np.testing.assert_array_equal(found["time"], X["time"])
        np.testing.assert_array_equal(found["stimulus"], X["stimulus"][30:])
        scores = model.decision_function(X[30:])
        assert scores.dims == ("sample", "unit", "time")
        np.testing.assert_array_equal(scores["class_name"], list("abc"))
        np.testing.assert_array_equal(found.values, Sliding(model.estimator).fit(x[:30], y[:30]).predict(x[30:]))

    def test_generalizing_to_another_window(self):
        x, y = recording()
        X = labelled(x, y)
        model = Generalizing(LinearClassifier("lda", shrinkage=0.1)).fit(X[:30, :, 1:5], X["category"][:30])
        found = model.decision_function(X[30:])
        assert found.dims == ("sample", "time", "time_test")
        np.testing.assert_array_equal(found["time"], X["time"][1:5])
        np.testing.assert_array_equal(found["time_test"], X["time"])
        np.testing.assert_array_equal(found["category"], X["category"][30:])

    def test_several_targets(self):
        x, y = recording()
        X = labelled(x, y)
        Y = as_representation(
            x[:, :2, 3], stimulus=X["stimulus"].values, kind="network", unit={"layer": ["one", "two"]}
        )
        found = Sliding(Ridge(alphas=1.0)).fit(X, Y).predict(X)
        assert found.dims == ("sample", "unit", "time")
        np.testing.assert_array_equal(found["layer"], ["one", "two"])
        with pytest.raises(AlignmentError, match="match"):
            Sliding(Ridge(alphas=1.0)).fit(X, Y[::-1])

    def test_one_by_one_the_estimator_sees_labels(self):
        x, y = recording()
        X = labelled(x, y)
        slow = Sliding(make_pipeline(Labelled(StandardScaler()), SlowLDA("lda", shrinkage=0.1))).fit(X, X["category"])
        fast = Sliding(make_pipeline(Labelled(StandardScaler()), LinearClassifier("lda", shrinkage=0.1)))
        fast.fit(X, X["category"])
        assert fast.closed_form_.all()
        assert slow.estimators_[3][-1].features_.coords["channel"].tolist() == [f"E{i}" for i in range(5)]
        xr.testing.assert_allclose(fast.decision_function(X), slow.decision_function(X), rtol=1e-7)


class TestEstimator:
    def test_is_what_its_estimator_is(self):
        assert is_classifier(Sliding(LinearClassifier()))
        assert is_regressor(Generalizing(Ridge()))
        assert not hasattr(Sliding(Ridge()), "decision_function")

    def test_clone_pickle_and_nothing_changed(self):
        x, y = recording()
        before = x.copy()
        model = Sliding(LinearClassifier("lda", shrinkage=0.1))
        first = model.fit(x, y).decision_function(x)
        np.testing.assert_array_equal(x, before)
        np.testing.assert_array_equal(clone(model).fit(x, y).decision_function(x), first)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).decision_function(x), first)
        assert not hasattr(model.estimator, "classes_")

    def test_single_precision_is_kept(self):
        x, y = recording()
        single = Sliding(LinearClassifier("lda", shrinkage=0.1)).fit(x.astype(np.float32), y)
        found = single.decision_function(x.astype(np.float32))
        assert found.dtype == np.float32
        exact = Sliding(LinearClassifier("lda", shrinkage=0.1)).fit(x, y).decision_function(x)
        np.testing.assert_allclose(found, exact, atol=1e-3)

    @pytest.mark.parametrize("dtype", [np.int16, ">f8", np.float16])
    def test_other_numbers(self, dtype):
        x, y = recording()
        x = np.asfortranarray((100 * x).round().astype(dtype))
        found = Sliding(LinearClassifier("lda", shrinkage=0.1)).fit(x, y).decision_function(x)
        exact = (
            Sliding(LinearClassifier("lda", shrinkage=0.1)).fit(x.astype(float), y).decision_function(x.astype(float))
        )
        np.testing.assert_allclose(found, exact, rtol=1e-2, atol=1e-2)

    def test_edge_of_the_grid_is_said_once(self):
        x, _ = recording()
        y = np.random.default_rng(3).normal(size=len(x))
        with pytest.warns(NeurodecodeWarning, match="upper edge") as said:
            Sliding(Ridge(alphas=[1e-3, 1e-2], cv=3)).fit(x, y)
        assert len(said) == 1


@pytest.mark.parametrize("kind", KINDS)
class TestFaults:
    def test_shapes(self, kind):
        x, y = recording()
        X = labelled(x, y)
        with pytest.raises(AlignmentError, match=r"3 dimensions: samples x units x times"):
            kind(LinearClassifier()).fit(x[:, :, 0], y)
        with pytest.raises(AlignmentError, match=r"takes .'sample', 'unit', 'time'"):
            kind(LinearClassifier()).fit(X.transpose("sample", "time", "unit"), X["category"])
        model = kind(LinearClassifier("lda", shrinkage=0.1)).fit(x, y)
        with pytest.raises(ValueError, match="X has 4 features"):
            model.predict(x[:, :4])
        with pytest.raises(DegenerateDataError, match="0 time"):
            kind(LinearClassifier()).fit(x[:, :, :0], y)

    def test_other_units_and_samples(self, kind):
        x, y = recording()
        X = labelled(x, y)
        model = kind(LinearClassifier("lda", shrinkage=0.1)).fit(X, X["category"])
        with pytest.raises(AlignmentError, match="channel"):
            model.predict(X[:, ::-1])
        with pytest.raises(AlignmentError, match="match"):
            kind(LinearClassifier("lda")).fit(X[::-1], X["category"])

    def test_values_and_classes(self, kind):
        x, y = recording()
        X = labelled(x, y)
        broken = x.copy()
        broken[7, 2, 1] = np.nan
        for model in (LinearClassifier("lda", shrinkage=0.1), SlowLDA("lda", shrinkage=0.1)):
            with pytest.raises(DegenerateDataError, match="trial 7"):
                kind(model).fit(X.copy(data=broken), X["category"])
            with pytest.raises(DegenerateDataError, match="one class"):
                kind(model).fit(X, X["category"].copy(data=np.full(40, "a")))


def test_sliding_is_tested_at_the_times_of_fit():
    x, y = recording()
    X = labelled(x, y)
    model = Sliding(LinearClassifier("lda", shrinkage=0.1)).fit(X, X["category"])
    with pytest.raises(TimingError, match="4 times, Sliding was fitted to 6"):
        model.predict(X[:, :, :4])
    with pytest.raises(TimingError, match=r"time 0 of X is 1 s, at fit it was 0 s.*Generalizing"):
        model.predict(X.assign_coords(time=X["time"] + 1.0))


class TestFolds:
    """Cross-validation lets folds share their sums; the numbers are those of a fit for each fold."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("classes", ["ab", "abc"])
    @pytest.mark.parametrize("score", ["accuracy", "auc"])
    def test_equal_a_fit_for_each(self, kind, classes, score):
        x, y = recording(n=60, classes=classes)
        folds = StratifiedKFold(4, shuffle=True, random_state=0)
        fast, slow = (
            cross_validate(kind(one("lda", shrinkage=0.1)), x, y, folds, score=score, permutations=19, random_state=1)
            for one in (LinearClassifier, SlowLDA)
        )
        for name in ("score_fold", "null", "p"):
            np.testing.assert_allclose(fast[name], slow[name], atol=1e-12)

    def test_a_dead_channel_goes_to_the_estimator_in_every_fold(self):
        x, y = recording(n=60)
        x[:, 2, 1] = 3.0
        folds = list(StratifiedKFold(4).split(x[:, :, 0], y))
        fitted = Sliding(LinearClassifier("lda", shrinkage=0.0)).fit_folds(x, y, folds)
        for (train, test), one in zip(folds, fitted):
            assert list(one.estimators_) == [1]
            alone = Sliding(SlowLDA("lda", shrinkage=0.0)).fit(x[train], y[train])
            np.testing.assert_allclose(one.decision_function(x[test]), alone.decision_function(x[test]), atol=1e-8)

    def test_only_where_they_can(self):
        x, y = recording(n=40)
        folds = list(StratifiedKFold(4).split(x[:, :, 0], y))
        lda = LinearClassifier("lda", shrinkage=0.1)
        assert Sliding(lda).fit_folds(x, y, folds) is not None
        assert Sliding(LinearClassifier("lda", shrinkage="auto")).fit_folds(x, y, folds) is None
        assert Sliding(LinearClassifier()).fit_folds(x, y, folds) is None
        assert Sliding(Ridge(alphas=1.0)).fit_folds(x, np.arange(40.0), folds) is None
        assert Sliding(lda).fit_folds(x, y, [(train[:-1], test) for train, test in folds]) is None
        assert Sliding(lda).fit_folds(x, y, [*folds, folds[0]]) is None
