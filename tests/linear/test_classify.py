"""Linear classifiers: against the formulas and scikit-learn; labels that survive; classes that are not there."""

import warnings

import numpy as np
import pytest
import xarray as xr
from references.linear import cross_entropy, slow_lda
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.svm import LinearSVC

from neurodecode.evaluation import cross_validate
from neurodecode.exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning
from neurodecode.linear import LinearClassifier, classify
from neurodecode.representation import as_representation

KINDS = ["logistic", "lda", "svm", "ridge"]
NAMES = np.array(["cat", "chair", "face", "house"])


def draw(n=120, p=6, classes=4, apart=2.0, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    means = apart * rng.normal(size=(classes, p))
    x = means[y] + rng.normal(size=(n, p)) @ (np.eye(p) + 0.3 * rng.normal(size=(p, p)))
    order = rng.permutation(n)
    return x[order], NAMES[y[order]]


WORLDS = {"brain": ("fmri", "roi"), "network": ("network", "layer")}


def world(name, x, y):
    kind, unit = WORLDS[name]
    return as_representation(
        x,
        stimulus=[f"trial {i}" for i in range(len(x))],
        kind=kind,
        unit={unit: [f"u{i}" for i in range(x.shape[1])]},
        sample={"category": y, "run": np.arange(len(x)) // 10},
    )


class TestAgainstTheFormulas:
    @pytest.mark.parametrize("classes", [2, 4])
    @pytest.mark.parametrize("shrinkage", [None, 0.0, 0.3, 1.0])
    def test_lda(self, classes, shrinkage):
        x, y = draw(classes=classes)
        model = LinearClassifier("lda", shrinkage=shrinkage).fit(x, y)
        w, b = slow_lda(x, y, shrinkage or 0.0)
        if classes == 2:
            w, b = w[1:] - w[:1], b[1:] - b[:1]
        scores = x @ w.T + b
        found = np.atleast_2d(model.decision_function(x).T).T
        centred = [v - v.mean(1, keepdims=True) if classes > 2 else v for v in (found, scores)]
        np.testing.assert_allclose(centred[0], centred[1], rtol=1e-6, atol=1e-8)
        agree = model.predict(x) == np.unique(y)[scores.argmax(1) if classes > 2 else (scores[:, 0] > 0).astype(int)]
        assert agree.all()

    def test_logistic_minimises_cross_entropy_over_all_classes_at_once(self):
        x, y = draw(apart=0.7)
        model = LinearClassifier("logistic", C=0.3).fit(x, y)
        best = cross_entropy(model.coef_, model.intercept_, x, y, 0.3)
        rng = np.random.default_rng(9)
        for _ in range(30):
            dw, db = 0.03 * rng.normal(size=model.coef_.shape), 0.03 * rng.normal(size=model.intercept_.shape)
            assert cross_entropy(model.coef_ + dw, model.intercept_ + db, x, y, 0.3) > best
        score = np.exp(x @ model.coef_.T + model.intercept_)
        np.testing.assert_allclose(model.predict_proba(x), score / score.sum(1, keepdims=True), rtol=1e-6)

    def test_svm_is_one_class_against_the_rest(self):
        x, y = draw(apart=1.0)
        model = LinearClassifier("svm", C=0.1).fit(x, y)
        for row, name in enumerate(NAMES):
            alone = LinearClassifier("svm", C=0.1).fit(x, y == name)
            np.testing.assert_allclose(model.coef_[row], alone.coef_[0], rtol=1e-2, atol=1e-3)
        np.testing.assert_allclose(model.decision_function(x), x @ model.coef_.T + model.intercept_, rtol=1e-10)

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            (LinearClassifier("logistic", C=0.01), LogisticRegression(C=0.01, max_iter=10_000)),
            (LinearClassifier("lda"), LinearDiscriminantAnalysis()),
            (LinearClassifier("lda", shrinkage="auto"), LinearDiscriminantAnalysis("lsqr", shrinkage="auto")),
            (LinearClassifier("ridge", C=0.5), RidgeClassifier(alpha=2.0)),
            (LinearClassifier("svm", C=0.5), LinearSVC(C=0.5, dual="auto", max_iter=100_000, random_state=0)),
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("shape", [(120, 6), (40, 100)])
    def test_scikit_learn(self, ours, theirs, shape):
        x, y = draw(*shape)
        ours, theirs = clone(ours).fit(x, y), clone(theirs).fit(x, y)
        np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
        np.testing.assert_allclose(ours.decision_function(x), theirs.decision_function(x))
        np.testing.assert_allclose(ours.coef_, theirs.coef_)


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("kind", KINDS)
class TestPlanted:
    def test_classes_are_found_where_planted_and_not_where_shuffled(self, kind, name):
        x, y = draw(400, 10, apart=1.5)
        X = world(name, x, y)
        model = LinearClassifier(kind, shrinkage="auto" if kind == "lda" else None).fit(X[:200], X["category"][:200])
        assert (model.predict(X[200:]) == X["category"][200:].values).mean() > 0.8
        shuffled = X["category"][:200].copy(data=np.random.default_rng(4).permutation(y[:200]))
        model.fit(X[:200], shuffled)
        assert abs((model.predict(X[200:]) == X["category"][200:].values).mean() - 0.25) < 0.15

    def test_labels(self, kind, name):
        x, y = draw()
        X = world(name, x, y)
        model = LinearClassifier(kind).fit(X, X["category"])
        found = model.predict(X[5:20])
        assert found.dims == ("sample",)
        assert found.name == "category"
        for coord in ("stimulus", "run"):
            np.testing.assert_array_equal(found[coord], X[coord][5:20])
        plain = LinearClassifier(kind).fit(x, y)
        got = plain.predict(x[5:20])
        assert type(got) is np.ndarray
        np.testing.assert_array_equal(got, found.values)
        scores = model.decision_function(X[5:20])
        assert scores.dims == ("sample", "unit")
        np.testing.assert_array_equal(scores["class_name"], NAMES)
        np.testing.assert_array_equal(scores.values, plain.decision_function(x[5:20]))
        np.testing.assert_array_equal(NAMES[scores.values.argmax(1)], got)
        assert model.score(X, X["category"]) == plain.score(x, y)
        np.testing.assert_array_equal(model.classes_, NAMES)
        two = LinearClassifier(kind).fit(X, X["category"] == "face")
        assert two.decision_function(X).dims == ("sample",)
        np.testing.assert_array_equal(two.decision_function(X).values > 0, two.predict(X).values)
        if kind in ("svm", "ridge"):
            assert not hasattr(model, "predict_proba")
        else:
            chances = model.predict_proba(X[5:20])
            np.testing.assert_array_equal(chances["class_name"], NAMES)
            np.testing.assert_allclose(chances.sum("unit"), 1)

    def test_samples_and_units_must_match(self, kind, name):
        X = world(name, *draw())
        with pytest.raises(AlignmentError, match="match"):
            LinearClassifier(kind).fit(X[::-1], X["category"])
        model = LinearClassifier(kind).fit(X, X["category"])
        with pytest.raises(AlignmentError, match=WORLDS[name][1]):
            model.predict(X[:, ::-1])


@pytest.mark.parametrize("kind", KINDS)
class TestWhatMustNotChange:
    def test_order_of_samples_and_features(self, kind):
        x, y = draw(apart=1.0)
        rng = np.random.default_rng(3)
        rows, columns = rng.permutation(len(x)), rng.permutation(x.shape[1])
        one, two = LinearClassifier(kind).fit(x, y), LinearClassifier(kind).fit(x[rows][:, columns], y[rows])
        np.testing.assert_allclose(two.coef_, one.coef_[:, columns], rtol=1e-2, atol=5e-3)
        assert (one.predict(x) == two.predict(x[:, columns])).mean() > 0.98

    def test_names_of_the_classes(self, kind):
        x, y = draw()
        numbers = np.searchsorted(NAMES, y)
        named, numbered = LinearClassifier(kind).fit(x, y), LinearClassifier(kind).fit(x, numbers)
        np.testing.assert_array_equal(named.predict(x), NAMES[numbered.predict(x)])
        np.testing.assert_array_equal(named.coef_, numbered.coef_)

    def test_same_seed_same_answer(self, kind):
        x, y = draw(40, 200)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first, second = (LinearClassifier(kind, random_state=3).fit(x, y).coef_ for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_single_precision_is_kept(self, kind):
        x, y = draw()
        exact, single = LinearClassifier(kind).fit(x, y), LinearClassifier(kind).fit(x.astype(np.float32), y)
        assert single.coef_.dtype == single.decision_function(x.astype(np.float32)).dtype == np.float32
        np.testing.assert_allclose(single.coef_, exact.coef_, rtol=1e-2, atol=1e-2)


class TestFaults:
    @pytest.mark.parametrize("kind", KINDS)
    def test_one_class(self, kind):
        x, y = draw()
        with pytest.raises(DegenerateDataError, match=r"120 sample.*one class, .*'face'.* 2 or more"):
            LinearClassifier(kind).fit(x, np.full(len(y), "face"))

    @pytest.mark.parametrize("kind", KINDS)
    def test_values_that_are_not_there(self, kind):
        x, y = draw()
        X = world("brain", x, y)
        broken = x.copy()
        broken[7, 2] = np.nan
        with pytest.raises(DegenerateDataError, match="trial 7"):
            LinearClassifier(kind).fit(X.copy(data=broken), X["category"])
        labels = y.astype(object)
        labels[[3, 5]] = None
        with pytest.raises(DegenerateDataError, match="2 of 120 class labels are missing"):
            LinearClassifier(kind).fit(x, labels)
        with pytest.raises(DegenerateDataError, match="infinity"):
            LinearClassifier(kind).fit(x, np.where(y == "face", np.inf, 1.0))
        with pytest.raises(DegenerateDataError, match=r"0 sample\(s\)"):
            LinearClassifier(kind).fit(x[:0], y[:0])

    def test_two_dimensions_of_labels(self):
        x, y = draw()
        X = world("brain", x, y)
        with pytest.raises(AlignmentError, match="one class label a sample"):
            LinearClassifier().fit(X, X)
        with pytest.raises(ValueError, match="Unknown label type"):
            LinearClassifier().fit(x, x[:, 0])

    def test_continuous_numbers_are_no_labels(self):
        x, _ = draw()
        values = np.linspace(0, 1, len(x))
        with pytest.raises(ValueError, match=r"Unknown label type: continuous.*such as 0\.0.*regressor, such as Ridge"):
            LinearClassifier().fit(x, values)
        with pytest.raises(DegenerateDataError, match=r"Y is continuous \(120 different numbers.*Ridge with score='r'"):
            cross_validate(LinearClassifier(), x, values, 3, score="accuracy")

    def test_arguments_belong_to_their_kind(self):
        x, y = draw()
        with pytest.raises(ValueError, match="belongs to kind='lda'"):
            LinearClassifier("svm", shrinkage=0.1).fit(x, y)
        with pytest.raises(ValueError, match="Did you mean 'logistic'"):
            LinearClassifier("logistik").fit(x, y)
        for kind in ("svm", "logistic", "ridge"):
            with pytest.raises(ValueError, match="C=-1: expected a number above 0"):
                LinearClassifier(kind, C=-1).fit(x, y)
        with pytest.raises(ValueError, match="C='1'"):
            LinearClassifier(C="1").fit(x, y)
        for amount in (2, -0.1, "much", True):
            with pytest.raises(ValueError, match="expected a number from 0"):
                LinearClassifier("lda", shrinkage=amount).fit(x, y)
        with pytest.raises(AttributeError, match="predict_proba"):
            LinearClassifier("svm").predict_proba(x)

    def test_no_convergence_is_said(self, monkeypatch):
        x, y = draw(60, 50, apart=0.1)
        monkeypatch.setitem(classify.ITERATIONS, "logistic", 2)
        with pytest.warns(NeurodecodeWarning, match="LogisticRegression on 60 samples x 50 features: .*converge"):
            LinearClassifier("logistic", C=100).fit(x, y)

    @pytest.mark.parametrize("kind", KINDS)
    def test_constant_and_repeated_features_give_finite_weights(self, kind):
        x, y = draw()
        model = LinearClassifier(kind).fit(np.c_[x, x[:, :3], np.ones(len(x))], y)
        assert np.isfinite(model.coef_).all()
        assert (
            model.predict(np.c_[x, x[:, :3], np.ones(len(x))]) == LinearClassifier(kind).fit(x, y).predict(x)
        ).mean() > 0.97

    def test_answers_are_labelled_only_where_x_is(self):
        x, y = draw()
        X = world("brain", x, y)
        model = LinearClassifier().fit(x, y)
        assert isinstance(model.predict(X), xr.DataArray)
        assert isinstance(LinearClassifier().fit(X, X["category"]).predict(x), np.ndarray)
