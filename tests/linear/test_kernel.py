"""Kernel ridge: against scikit-learn, ridge and refits; planted curves; elastic net by ``Labelled``; bad inputs."""

import warnings

import numpy as np
import pytest
from references.linear import contiguous_folds, slow_r2
from sklearn.kernel_ridge import KernelRidge as Peer
from sklearn.linear_model import ElasticNetCV, MultiTaskElasticNet
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.multioutput import MultiOutputRegressor
from sklearn.preprocessing import KernelCenterer

from neurodecode.evaluation import SplitBy, cross_validate
from neurodecode.exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning
from neurodecode.linear import KernelRidge, Ridge
from neurodecode.representation import Labelled, as_representation

ALPHAS = [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0]
pytestmark = pytest.mark.filterwarnings("ignore:The best penalty stands:neurodecode.exceptions.NeurodecodeWarning")


def draw(n=70, p=6, t=4, seed=0, noise=0.3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) + 2
    return x, np.sin(1.5 * x @ rng.normal(size=(p, t))) + noise * rng.normal(size=(n, t)) + 3


def slow(x, y, new, kernel, alpha):
    """scikit-learn on a centred kernel and centred targets."""
    centre = KernelCenterer().fit(kernel(x, x))
    model = Peer(alpha=alpha, kernel="precomputed").fit(centre.transform(kernel(x, x)), y - y.mean(0))
    return model.predict(centre.transform(kernel(new, x))) + y.mean(0)


def cauchy(one, two):
    return 1 / (1 + ((one[:, None] - two[None]) ** 2).sum(2))


KERNELS = {"linear": lambda a, b: a @ b.T, "rbf": lambda a, b: rbf_kernel(a, b, 0.2), "own": cauchy}


@pytest.mark.parametrize("name", KERNELS)
class TestAgainstOthers:
    def make(self, name, **given):
        return KernelRidge(cauchy if name == "own" else name, gamma=0.2, **{"alphas": ALPHAS, **given})

    def test_scikit_learn(self, name):
        x, y = draw()
        model = self.make(name, alphas=0.7).fit(x[:50], y[:50])
        np.testing.assert_allclose(model.predict(x[50:]), slow(x[:50], y[:50], x[50:], KERNELS[name], 0.7), rtol=1e-7)

    def test_penalties_are_those_of_refits(self, name):
        x, y = draw()
        scores = np.zeros((len(ALPHAS), 4))
        for number, alpha in enumerate(ALPHAS):
            for train, test in contiguous_folds(70, 5):
                scores[number] += slow_r2(y[test], slow(x[train], y[train], x[test], KERNELS[name], alpha)) / 5
        model = self.make(name).fit(x, y)
        np.testing.assert_array_equal(model.alpha_, np.asarray(ALPHAS)[scores.argmax(0)])
        np.testing.assert_allclose(model.best_score_, scores.max(0), rtol=1e-7)

    def test_order_of_samples_and_shifts_of_targets(self, name):
        x, y = draw()
        rows = np.random.default_rng(2).permutation(70)
        one, two = self.make(name, alphas=0.5).fit(x, y), self.make(name, alphas=0.5).fit(x[rows], y[rows] - 50)
        np.testing.assert_allclose(two.predict(x) + 50, one.predict(x), rtol=1e-8)

    def test_targets_alone(self, name):
        x, y = draw()
        together = self.make(name).fit(x, y)
        for t in range(4):
            alone = self.make(name).fit(x, y[:, t])
            np.testing.assert_allclose(alone.predict(x), together.predict(x)[:, t], rtol=1e-8)


def test_the_linear_kernel_is_ridge():
    for shape in ((60, 6), (40, 90)):
        x, y = draw(*shape)
        one, two = KernelRidge("linear", ALPHAS).fit(x, y), Ridge(ALPHAS).fit(x, y)
        np.testing.assert_array_equal(one.alpha_, two.alpha_)
        np.testing.assert_allclose(one.predict(x), two.predict(x), rtol=1e-6, atol=1e-8)


def test_a_curve_is_found_and_noise_is_not():
    rng = np.random.default_rng(5)
    x = rng.uniform(-2, 2, size=(300, 2))
    y = np.c_[np.sin(2 * x[:, 0]) * x[:, 1] + 0.3 * rng.normal(size=300), rng.normal(size=300)]
    curved = KernelRidge("rbf", np.logspace(-4, 4, 9)).fit(x[:200], y[:200])
    straight = KernelRidge("linear", np.logspace(-4, 4, 9)).fit(x[:200], y[:200])
    found = slow_r2(y[200:], curved.predict(x[200:]))
    assert found[0] > 0.7
    assert slow_r2(y[200:], straight.predict(x[200:]))[0] < 0.3
    assert found[1] < 0.05


def test_the_width_follows_the_features():
    x, y = draw()
    one, two = KernelRidge("rbf", 0.1).fit(x, y), KernelRidge("rbf", 0.1).fit(x * 1000, y)
    np.testing.assert_allclose(two.predict(x * 1000), one.predict(x), rtol=1e-7)
    assert two.gamma_ == pytest.approx(one.gamma_ / 1e6)


def test_float32_and_labels():
    x, y = draw()
    stimulus = np.arange(70).astype(str)
    X = as_representation(x, stimulus=stimulus, kind="network", unit={"layer": list("aabbcc")})
    Y = as_representation(y, stimulus=stimulus, kind="fmri", unit={"roi": list("uvwx")})
    model = KernelRidge("rbf", ALPHAS).fit(X, Y)
    assert model.predict(X)["roi"].values.tolist() == list("uvwx")
    with pytest.raises(AlignmentError):
        model.predict(X[:, ::-1])
    small = KernelRidge("rbf", ALPHAS).fit(x.astype(np.float32), y.astype(np.float32))
    assert small.predict(x.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(small.predict(x.astype(np.float32)), model.predict(X).values, atol=1e-3)


class TestFaults:
    def test_what_is_no_kernel(self):
        x, y = draw()
        with pytest.raises(DegenerateDataError, match="positive semidefinite"):
            KernelRidge(lambda a, b: -(a @ b.T), 1.0).fit(x, y)
        with pytest.raises(DegenerateDataError, match="symmetric"):
            KernelRidge(lambda a, b: a @ np.roll(b, 1, axis=1).T, 1.0).fit(x, y)
        with pytest.raises(DegenerateDataError, match=r"gave \(70,\); expected \(70, 70\)"):
            KernelRidge(lambda a, b: a[:, 0], 1.0).fit(x, y)

    @pytest.mark.parametrize(
        ("given", "said"),
        [({"kernel": "poly"}, "'linear', 'rbf'"), ({"gamma": -1.0, "kernel": "rbf"}, "gamma=-1"),
         ({"alphas": []}, "alphas"), ({"cv": 1}, "cv=1")],
    )  # fmt: skip
    def test_arguments(self, given, said):
        with pytest.raises(ValueError, match=said):
            KernelRidge(**given).fit(*draw())

    def test_constant_and_masked_targets(self):
        x, y = draw()
        y[:, 1] = 0.1
        model = KernelRidge("rbf", ALPHAS).fit(x, y)
        assert np.isnan(model.best_score_[1])
        np.testing.assert_allclose(model.predict(x)[:, 1], 0.1)
        y[4, 0] = np.nan
        Y = as_representation(y, stimulus=np.arange(70).astype(str), kind="fmri", nan_policy="drop_targets")
        found = KernelRidge("rbf", ALPHAS).fit(x, Y).predict(x)
        assert np.isnan(found[:, 0]).all()
        assert np.isfinite(found[:, 1:]).all()
        with pytest.raises(DegenerateDataError):
            KernelRidge("rbf", ALPHAS).fit(x, y)


def test_elastic_net_keeps_labels_and_the_features_that_matter():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(80, 10))
    y = x[:, :2] @ np.array([[2.0, -1, 1], [1, 2, -2]]) + 0.3 * rng.normal(size=(80, 3))
    stimulus = np.arange(80).astype(str)
    X = as_representation(x, stimulus=stimulus, kind="features", unit={"channel": np.arange(10)})
    Y = as_representation(y, stimulus=stimulus, kind="fmri", unit={"roi": list("abc")})
    with warnings.catch_warnings():
        warnings.simplefilter("error", NeurodecodeWarning)
        model = Labelled(MultiTaskElasticNet(alpha=0.3)).fit(X, Y)
    found = model.predict(X)
    assert found["roi"].values.tolist() == list("abc")
    np.testing.assert_array_equal(found.values, MultiTaskElasticNet(alpha=0.3).fit(x, y).predict(x))
    kept = np.abs(model.estimator_.coef_).sum(0) > 0
    assert kept[:2].all()
    assert not kept[2:].any()


def test_elastic_net_of_its_own_for_every_target():
    rng = np.random.default_rng(10)
    x = rng.normal(size=(80, 6))
    y = np.stack([2 * x[:, 0], 2 * x[:, 3]], 1) + 0.3 * rng.normal(size=(80, 2))
    stimulus = np.arange(80).astype(str)
    X = as_representation(x, stimulus=stimulus, kind="features")
    run = {"run": np.arange(80) // 20}
    Y = as_representation(y, stimulus=stimulus, kind="fmri", unit={"roi": list("ab")}, sample=run)
    model = Labelled(MultiOutputRegressor(ElasticNetCV(cv=3)))
    for target, one in enumerate(model.fit(X, Y).estimator_.estimators_):
        assert np.abs(one.coef_).argmax() == 3 * target
    result = cross_validate(model, X.assign_coords(run=Y["run"]), Y, SplitBy("run"), score="r")
    assert result["roi"].values.tolist() == list("ab")
    assert result["score"].values.min() > 0.9
