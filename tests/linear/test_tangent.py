"""Covariances as points: against pyriemann, what mixing cannot change, planted classes, rank, patterns."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest
from references.linear import slow_riemann_distance, slow_riemann_mean
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline

from neurodecode.evaluation import cross_validate
from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.linear import LinearClassifier, MinimumDistance, TangentSpace, _curved
from neurodecode.representation import as_representation

N, CHANNELS, TIMES = 60, 5, 150
METRICS = ("riemann", "logeuclid", "euclid")


def two_classes(seed=0, factor=1.6, n=N):
    """Epochs (n, channels, times) whose second source is louder in class 1, mixed; labels; the mixing."""
    rng = np.random.default_rng(seed)
    which = np.random.default_rng(seed + 100).permutation(np.arange(n) % 2)
    sources = rng.normal(size=(n, CHANNELS, TIMES))
    sources[which == 1, 1] *= factor
    mixing = rng.normal(size=(CHANNELS, CHANNELS))
    return mixing @ sources, which, mixing


def covariances(x):
    return x @ x.swapaxes(1, 2) / x.shape[2]


def labelled(x, which):
    return as_representation(
        x, stimulus=[f"e{i}" for i in range(len(x))], kind="eeg",
        unit={"channel": [f"c{i}" for i in range(x.shape[1])]},
        sample={"category": np.array(["feet", "hands"])[which]}, time=np.arange(x.shape[2]) / 100,
    )  # fmt: skip


class TestAgainstPyriemann:
    @pytest.fixture(autouse=True)
    def _theirs(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pytest.importorskip("pyriemann")
            home = "pyriemann.geometry" if importlib.util.find_spec("pyriemann.geometry") else "pyriemann.utils"
            self.means, self.distances = (importlib.import_module(f"{home}.{name}") for name in ("mean", "distance"))
            self.spaces = importlib.import_module("pyriemann.tangentspace")
            self.classifiers = importlib.import_module("pyriemann.classification")
            yield

    @pytest.mark.parametrize("metric", METRICS)
    def test_means_and_distances(self, metric):
        c = covariances(two_classes()[0])
        row = _curved.METRICS[metric]
        options = {"tol": 1e-13, "maxiter": 200} if metric == "riemann" else {}
        mean = getattr(self.means, f"mean_{metric}")(c, **options)
        np.testing.assert_allclose(row.mean(c), mean, rtol=1e-8, atol=1e-8 * np.abs(mean).max())
        far = getattr(self.distances, f"distance_{metric}")(c, mean)
        np.testing.assert_allclose(row.distance(c, mean), far, rtol=1e-8)

    def test_tangent_vectors(self):
        x, _, _ = two_classes()
        made = TangentSpace().fit(x)
        theirs = self.spaces.TangentSpace(metric="riemann")
        theirs.reference_ = made.mean_
        np.testing.assert_allclose(made.transform(x), theirs.transform(covariances(x)), rtol=1e-8, atol=1e-8)

    @pytest.mark.parametrize("metric", METRICS)
    def test_minimum_distance(self, metric):
        x, which, _ = two_classes(factor=1.2)
        other, _, _ = two_classes(seed=0, factor=1.2, n=N)
        theirs = self.classifiers.MDM(metric=metric).fit(covariances(x), which)
        made = MinimumDistance(metric).fit(x, which)
        np.testing.assert_array_equal(made.predict(other), theirs.predict(covariances(other)))
        far = theirs.transform(covariances(other))
        np.testing.assert_allclose(made.decision_function(other), far[:, 0] - far[:, 1], rtol=1e-5, atol=1e-6)


class TestAgainstTheTextbook:
    def test_the_mean_makes_the_logarithms_vanish(self):
        c = covariances(two_classes()[0])
        mean = _curved.riemann_mean(c)
        np.testing.assert_allclose(mean, slow_riemann_mean(c), rtol=1e-9)
        pull = _curved.logarithm(_curved.whitened(c, mean)).mean(axis=0)
        assert np.abs(pull).max() < 1e-11
        for one in c[:5]:
            far = _curved.riemann_distance(one[None], mean)[0]
            assert far == pytest.approx(slow_riemann_distance(one, mean), rel=1e-9)

    def test_one_dimension_is_the_geometric_mean(self):
        values = np.array([0.5, 2.0, 9.0])
        assert _curved.riemann_mean(values[:, None, None]).item() == pytest.approx(np.exp(np.log(values).mean()))

    def test_the_length_of_a_tangent_vector_is_the_distance(self):
        x, _, _ = two_classes()
        made = TangentSpace().fit(x)
        length = np.linalg.norm(made.transform(x), axis=1)
        np.testing.assert_allclose(length, _curved.riemann_distance(covariances(x), made.mean_), rtol=1e-9)
        np.testing.assert_allclose(made.transform(x).mean(axis=0), 0, atol=1e-10)

    @pytest.mark.parametrize("metric", METRICS)
    def test_there_and_back(self, metric):
        x, _, _ = two_classes()
        made = TangentSpace(metric).fit(x)
        np.testing.assert_allclose(made.inverse_transform(made.transform(x)), covariances(x), rtol=1e-8, atol=1e-9)
        x -= x.mean(axis=1, keepdims=True)
        made = TangentSpace(metric).fit(x)
        np.testing.assert_allclose(made.inverse_transform(made.transform(x)), covariances(x), rtol=1e-8, atol=1e-9)


class TestWhatMustNotChange:
    def test_mixing_the_channels(self):
        x, which, _ = two_classes(factor=1.2)
        mixing = np.random.default_rng(8).normal(size=(CHANNELS, CHANNELS))
        before, after = MinimumDistance().fit(x, which), MinimumDistance().fit(mixing @ x, which)
        other = two_classes(seed=3, factor=1.2)[0]
        np.testing.assert_allclose(
            after.decision_function(mixing @ other), before.decision_function(other), rtol=1e-7, atol=1e-8
        )
        np.testing.assert_array_equal(after.predict(mixing @ other), before.predict(other))
        np.testing.assert_allclose(after.means_, mixing @ before.means_ @ mixing.T, rtol=1e-7)
        plain = [MinimumDistance("euclid").fit(m @ x, which).decision_function(m @ other) for m in (mixing, np.eye(5))]
        assert np.abs(plain[0] - plain[1]).max() > 0.1, "a flat distance does change"

    def test_lengths_and_angles_of_tangent_vectors(self):
        x, _, _ = two_classes()
        mixing = np.random.default_rng(8).normal(size=(CHANNELS, CHANNELS))
        one, two = TangentSpace().fit_transform(x), TangentSpace().fit_transform(mixing @ x)
        np.testing.assert_allclose(one @ one.T, two @ two.T, rtol=1e-7, atol=1e-8)

    def test_order_of_epochs_and_of_channels_and_volts(self):
        x, which, _ = two_classes(factor=1.2)
        rng = np.random.default_rng(8)
        epochs, channels = rng.permutation(N), rng.permutation(CHANNELS)
        before = MinimumDistance().fit(x, which).decision_function(x)
        after = MinimumDistance().fit(1e-6 * x[epochs][:, channels], which[epochs])
        np.testing.assert_allclose(after.decision_function(1e-6 * x[:, channels]), before, rtol=1e-7, atol=1e-9)

    def test_average_reference_costs_one_dimension_and_nothing_else(self):
        x, which, _ = two_classes(factor=1.2)
        x = x - x.mean(axis=1, keepdims=True)
        whole, fewer = MinimumDistance().fit(x, which), MinimumDistance().fit(x[:, 1:], which)
        assert whole.rank_ == CHANNELS - 1 == fewer.rank_
        np.testing.assert_allclose(whole.decision_function(x), fewer.decision_function(x[:, 1:]), rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(whole.means_.sum(axis=1), 0, atol=1e-9 * np.abs(whole.means_).max())
        assert TangentSpace().fit_transform(x).shape == (N, 4 * 5 // 2)


class TestPlanted:
    @pytest.mark.parametrize("metric", ["riemann", "logeuclid"])
    @pytest.mark.parametrize("kind", ["nearest", "tangent"])
    def test_classes_are_found_in_held_out_epochs_and_where_there_are_none_not(self, kind, metric):
        if kind == "nearest":
            model = MinimumDistance(metric)
        else:
            model = make_pipeline(TangentSpace(metric), LinearClassifier("lda", shrinkage=0.1))
        for factor, low, high in ((1.6, 0.95, 1.0), (1.0, 0.25, 0.75)):
            x, which, _ = two_classes(seed=1, factor=factor)
            X = labelled(x, which)
            found = cross_validate(model, X, X["category"], StratifiedKFold(5), score="auc", pool="predictions")
            assert low <= found["score"].item() <= high

    def test_three_classes(self):
        rng = np.random.default_rng(2)
        which = np.arange(90) % 3
        x = rng.normal(size=(90, CHANNELS, TIMES))
        x[np.arange(90), which] *= 1.6
        made = MinimumDistance().fit(x[:60], np.array(list("abc"))[which[:60]])
        assert (made.predict(x[60:]) == np.array(list("abc"))[which[60:]]).mean() > 0.95
        assert made.decision_function(x[60:]).shape == (30, 3)
        np.testing.assert_array_equal(made.classes_[made.decision_function(x).argmax(1)], made.predict(x))

    def test_the_pattern_of_a_linear_map_is_the_source_that_differs(self):
        x, which, mixing = two_classes(seed=4, n=200)
        space = TangentSpace().fit(x)
        s = space.transform(x)
        map_ = LogisticRegression(C=0.1).fit(s, which)
        pattern = np.cov(s.T) @ map_.coef_[0]  # Haufe et al. (2014): where the map's answer is seen
        seen = space.inverse_transform(0.5 * pattern[None] / np.linalg.norm(pattern))[0]
        change = np.linalg.eigh(seen - space.inverse_transform(np.zeros((1, 15)))[0])
        strongest = change[1][:, np.abs(change[0]).argmax()]
        source = mixing[:, 1] / np.linalg.norm(mixing[:, 1])
        assert abs(strongest @ source) > 0.98


class TestLabelsAndErrors:
    def test_labels(self):
        x, which, _ = two_classes()
        X = labelled(x, which)
        s = TangentSpace().fit_transform(X)
        assert s.dims == ("sample", "unit") and s.sizes["unit"] == 15
        assert (s["row"].values[1], s["column"].values[1]) == ("c0", "c1")
        assert s["stimulus"].values.tolist() == X["stimulus"].values.tolist()
        made = MinimumDistance().fit(X, X["category"])
        assert made.predict(X).name == "category"
        with pytest.raises(AlignmentError, match="channel"):
            made.predict(X[:, ::-1])
        with pytest.raises(AlignmentError, match="match"):
            made.fit(X[::-1], X["category"])

    def test_what_is_refused(self):
        x, which, _ = two_classes()
        short = labelled(x[:, :, :3], which)
        for made in (TangentSpace(), MinimumDistance("logeuclid")):
            with pytest.raises(
                DegenerateDataError, match=r"60 of 60 samples have a singular covariance.*e0.*shrinkage"
            ):
                made.fit(short, short["category"])
        assert np.isfinite(TangentSpace(shrinkage="auto").fit_transform(short)).all()
        assert np.isfinite(TangentSpace("euclid").fit_transform(short)).all()
        broken = x.copy()
        broken[7, 2] = broken[7, 1]
        with pytest.raises(DegenerateDataError, match=r"1 of 60 .*first: 7"):
            TangentSpace().fit(broken)
        with pytest.raises(DegenerateDataError, match="one class"):
            MinimumDistance().fit(x, np.zeros(N))
        with pytest.raises(ValueError, match="riemann"):
            TangentSpace("rieman").fit(x)
        with pytest.raises(ValueError, match="shrinkage"):
            TangentSpace(shrinkage=2.0).fit(x)
        with pytest.raises(AlignmentError, match="tangent vectors"):
            TangentSpace().fit(x).inverse_transform(np.zeros((1, 4)))
        with pytest.raises(DegenerateDataError, match="did not converge"):
            _curved.riemann_mean(np.stack([np.diag([1.0, np.inf]), np.eye(2)]))
