"""Permutation tests: p is uniform when nothing is there, small when something is, and knows what may be exchanged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import linear_model
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis as LDA
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.evaluation import Contiguous, SplitBy, cross_validate
from neurodecode.evaluation.blocks import targets_stand_alone
from neurodecode.exceptions import DegenerateDataError, NeurodecodeWarning
from neurodecode.linear import Delays, Ridge
from neurodecode.representation import Labelled, as_representation

RUNS = SplitBy("run")


class Independent(linear_model.Ridge):
    """Ridge of scikit-learn that says that its targets do not know of each other."""

    targets_independent = True


class TestCalibration:
    def test_p_is_uniform_when_nothing_is_there(self):
        rng = np.random.default_rng(10)
        X, Y = rng.normal(size=(40, 3)), rng.normal(size=(40, 600))
        result = cross_validate(Independent(5.0), X, Y, 4, score="r", permutations=199, random_state=1)
        assert stats.kstest(result["p"], "uniform").statistic < 0.08
        assert abs(float((result["p"] <= 0.05).mean()) - 0.05) < 0.035
        assert (result["p_max"] > 0.01).all()
        assert (result["p_fdr"] > 0.01).all()

    def test_planted_targets_are_found_and_the_others_are_not(self):
        rng = np.random.default_rng(11)
        X = rng.normal(size=(60, 3))
        Y = rng.normal(size=(60, 40))
        Y[:, :5] += 2 * X @ rng.normal(size=(3, 5))
        result = cross_validate(Independent(1.0), X, Y, 5, score="r", permutations=499, random_state=2)
        assert (result["p_max"].values[:5] < 0.01).all()
        assert (result["p_fdr"].values[:5] < 0.05).all()
        assert (result["p_max"].values[5:] > 0.05).all()
        assert (result["p"] >= 1 / 500).all()
        assert (result["p_fdr"] >= result["p"]).all()
        assert (result["p_max"] >= result["p"]).all()

    def test_classification_null_stands_at_chance(self, class_worlds):
        X, y = class_worlds(gap=2.5, n=64)
        found = cross_validate(LDA(), X, y, RUNS, score="accuracy", permutations=99, random_state=0)
        assert found["p"].item() == 0.01
        assert abs(float(found["null"].mean()) - 0.5) < 0.06
        X, y = class_worlds(gap=0.0, n=64, seed=3)
        assert cross_validate(
            LDA(), X, y, RUNS, score="accuracy", permutations=99, random_state=0
        )["p"].item() > 0.05  # fmt: skip

    def test_selection_is_repeated_on_permuted_targets(self):
        """A null that kept the features chosen with the real targets would be too low."""
        rng = np.random.default_rng(12)
        X, Y = rng.normal(size=(40, 400)), rng.normal(size=(40, 1))
        pipe = make_pipeline(SelectKBest(f_regression, k=10), linear_model.LinearRegression())
        result = cross_validate(pipe, X, Y[:, 0], 4, score="r", permutations=49, random_state=0)
        assert result["p"].item() > 0.05
        assert abs(float(result["null"].mean())) < 0.2


class TestFastPath:
    """Permuted targets side by side give the numbers of one fit after the other."""

    @pytest.mark.filterwarnings("ignore:The best penalty")
    @pytest.mark.parametrize("pool", ["folds", "predictions"])
    @pytest.mark.parametrize(
        "make",
        [
            lambda: Ridge(alphas=1.0),
            lambda: Ridge(alphas=[0.1, 1.0, 10.0, 100.0], cv=3),
            lambda: make_pipeline(Labelled(StandardScaler()), Ridge(alphas=[1.0, 10.0], cv=SplitBy("run"))),
            lambda: make_pipeline(Labelled(StandardScaler()), Ridge(alphas=5.0)),
            lambda: Ridge(alphas=[0.1, 10.0, 1000.0], cv=3, shared_alpha=True),
            lambda: make_pipeline(Labelled(StandardScaler()), Ridge(alphas=[0.1, 100.0], cv=3, shared_alpha=True)),
            lambda: make_pipeline(StandardScaler(), PCA(3, random_state=0), Independent(1.0)),
        ],
    )
    def test_equals_the_loop(self, world, make, pool, monkeypatch):
        X, Y = world
        kwargs = {"score": "r", "pool": pool, "permutations": 25, "random_state": 4}
        fast = cross_validate(make(), X, Y, RUNS, **kwargs)
        monkeypatch.setattr("neurodecode.evaluation.crossval.can_stack", lambda est, data: False)
        slow = cross_validate(make(), X, Y, RUNS, **kwargs)
        assert fast.attrs["pieces"]["total"] < slow.attrs["pieces"]["total"]
        np.testing.assert_allclose(fast["null"], slow["null"], rtol=1e-8, atol=1e-10)
        np.testing.assert_array_equal(fast["p"], slow["p"])

    def test_identification_too(self, world, monkeypatch):
        X, Y = world
        kwargs = {"score": "identification", "permutations": 20, "random_state": 4}
        fast = cross_validate(Ridge(alphas=1.0), X, Y, RUNS, **kwargs)
        monkeypatch.setattr("neurodecode.evaluation.crossval.can_stack", lambda est, data: False)
        slow = cross_validate(Ridge(alphas=1.0), X, Y, RUNS, **kwargs)
        np.testing.assert_allclose(fast["null"], slow["null"], atol=1e-12)

    @pytest.mark.filterwarnings("ignore:The best penalty")
    def test_every_copy_chooses_its_own_shared_penalty(self):
        rng = np.random.default_rng(5)
        X = rng.normal(size=(60, 12))
        strong, weak = 4 * X[:, :3] + rng.normal(size=(60, 3)), rng.normal(size=(60, 3))
        both = Ridge(alphas=[1.0, 1e4], cv=4, shared_alpha=True).fit_copies(X, np.hstack([strong, weak]), 2)
        assert both.alpha_.tolist() == [1.0] * 3 + [1e4] * 3
        for part, Y in ((slice(0, 3), strong), (slice(3, 6), weak)):
            alone = Ridge(alphas=[1.0, 1e4], cv=4, shared_alpha=True).fit(X, Y)
            np.testing.assert_allclose(both.coef_[:, part], alone.coef_, rtol=1e-10)

    def test_one_target_without_a_second_dimension(self, monkeypatch):
        rng = np.random.default_rng(6)
        X = rng.normal(size=(40, 5))
        y = X[:, 0] + rng.normal(size=40)
        kwargs = {"score": "r", "permutations": 30, "random_state": 1}
        fast = cross_validate(Ridge(alphas=1.0), X, y, 4, **kwargs)
        monkeypatch.setattr("neurodecode.evaluation.crossval.can_stack", lambda est, data: False)
        slow = cross_validate(Ridge(alphas=1.0), X, y, 4, **kwargs)
        np.testing.assert_allclose(fast["null"], slow["null"], atol=1e-12)
        np.testing.assert_allclose(fast["score"], slow["score"], atol=1e-12)

    @pytest.mark.filterwarnings("ignore:no p value can be below")
    def test_the_observed_order_ties_with_itself(self):
        """Two samples a block: one of sixteen draws leaves everything as it is, and must count."""
        rng = np.random.default_rng(7)
        X = rng.normal(size=(8, 3))
        y = X[:, :1] + 0.01 * rng.normal(size=(8, 1))
        blocks = np.repeat(np.arange(4), 2)
        found = cross_validate(
            Ridge(alphas=0.01), X, y, 4, score="r", pool="predictions", permutations=200, random_state=0, blocks=blocks
        )
        same = np.isclose(found["null"].values[:, 0], found["score"].item(), rtol=1e-10).sum()
        above = (found["null"].values[:, 0] > found["score"].item() + 1e-10).sum()
        assert same > 5
        assert found["p"].item() == pytest.approx((same + above + 1) / 201)

    def test_who_may_take_it(self):
        assert targets_stand_alone(Ridge())
        assert not targets_stand_alone(Ridge(shared_alpha=True))
        assert targets_stand_alone(make_pipeline(Labelled(StandardScaler()), Delays([0.0, 2.0]), Ridge()))
        assert targets_stand_alone(make_pipeline("passthrough", PCA(2), Ridge()))
        assert not targets_stand_alone(make_pipeline(SelectKBest(f_regression), Ridge()))
        assert not targets_stand_alone(make_pipeline(Labelled(SelectKBest(f_regression)), Ridge()))
        assert not targets_stand_alone(linear_model.LinearRegression())

    def test_saves_fits(self, world):
        X, Y = world
        counted = []

        class Counts(Independent):
            def fit(self, X, y):
                counted.append(y.shape)
                return super().fit(X, y)

        cross_validate(Counts(1.0), X, Y, RUNS, score="r", permutations=50, random_state=0)
        assert len(counted) == 8
        assert counted[-1] == (36, 300)


class Remembers(RegressorMixin, BaseEstimator):
    """Keeps the targets of every fit."""

    seen = []  # noqa: RUF012

    def fit(self, X, y):
        type(self).seen.append(np.asarray(y))
        self.y_ = np.asarray(y)
        return self

    def predict(self, X):
        return np.zeros((len(X), self.y_.shape[1])) + np.asarray(X)[:, :1]


class TestExchange:
    """Row 27: what may change places."""

    def drawn(self, X, Y, splits=RUNS, **kwargs):
        Remembers.seen = []
        result = cross_validate(
            Remembers(), X, Y, splits, score="r", permutations=30, random_state=0, allow_overlap="test", **kwargs
        )
        return result, Remembers.seen[result.sizes["fold"] :]

    def marked(self, Y):
        """Each target is a number that says which sample it was."""
        return Y.copy(data=np.repeat(np.arange(len(Y))[:, None] * 1.0, Y.sizes["unit"], 1))

    def test_within_runs_by_default(self, world):
        X, Y = world
        result, fits = self.drawn(X, self.marked(Y))
        assert result.attrs["exchangeability"] == "samples shuffled, within run"
        run = Y["run"].values
        for number, fit in enumerate(fits):
            train = np.flatnonzero(run != number % 4 + 1)
            np.testing.assert_array_equal(run[fit[:, 0].astype(int)], run[train])
        result, fits = self.drawn(X, self.marked(Y), blocks=False)
        assert result.attrs["exchangeability"] == "samples shuffled, all samples"
        assert any((run[fit[:, 0].astype(int)] != run[run != n % 4 + 1]).any() for n, fit in enumerate(fits))

    def test_targets_of_a_sample_move_together(self, world):
        X, Y = world
        _, fits = self.drawn(X, self.marked(Y))
        assert all((fit == fit[:, :1]).all() for fit in fits)

    def test_repeats_move_together(self, world):
        X, Y = world
        stimulus = np.tile([f"s{i}" for i in range(12)], 4)
        coords = {"stimulus": ("sample", stimulus)}
        result, fits = self.drawn(X.assign_coords(coords), self.marked(Y).assign_coords(coords))
        assert result.attrs["exchangeability"] == "whole stimuli shuffled, within run"
        run = Y["run"].values
        for number, fit in enumerate(fits):
            train = np.flatnonzero(run != number % 4 + 1)
            came_from = stimulus[fit[:, 0].astype(int)]
            assert all(len(set(came_from[stimulus[train] == name])) == 1 for name in stimulus[:12])

    def test_series_are_shifted(self, worlds):
        onset = np.tile(np.arange(12) * 2.0, 4)
        X, Y = worlds(sample={"onset": onset}, tr=2.0)
        result, fits = self.drawn(X, self.marked(Y))
        assert result.attrs["exchangeability"] == "circular shifts, within run"
        for fit in fits:
            steps = np.diff(fit[:, 0].reshape(3, 12)) % 12
            assert (steps == 1).all()
        result, _ = self.drawn(X, self.marked(Y), permute="shuffle")
        assert result.attrs["exchangeability"] == "samples shuffled, within run"

    def test_events_are_shuffled_though_they_have_onsets(self, worlds):
        X, Y = worlds(sample={"onset": np.tile(np.arange(12) * 10.0, 4)}, tr=2.0)
        assert self.drawn(X, Y)[0].attrs["exchangeability"] == "samples shuffled, within run"
        X, Y = worlds(sample={"onset": np.tile(np.cumsum(np.arange(12) + 3.0), 4)})
        assert self.drawn(X, Y)[0].attrs["exchangeability"] == "samples shuffled, within run"

    def test_series_in_another_order_are_shifted_in_time(self, worlds):
        rng = np.random.default_rng(5)
        X, Y = worlds(runs=0, sample={"onset": np.arange(48) * 2.0}, tr=2.0)
        order = rng.permutation(48)
        result, fits = self.drawn(X[order], self.marked(Y)[order], splits=4, permute="shift")
        assert result.attrs["exchangeability"].startswith("circular shifts")
        assert len(fits) == 120

    def test_shuffling_a_series_is_too_liberal_and_shifting_is_not(self):
        rng = np.random.default_rng(6)
        n = 300
        noise = rng.normal(size=(n + 50, 81))
        walk = np.zeros_like(noise)
        for t in range(1, len(noise)):
            walk[t] = 0.95 * walk[t - 1] + noise[t]
        walk = walk[50:]
        sample = {"onset": np.arange(n) * 1.0}
        names = [f"t{i}" for i in range(n)]
        X = as_representation(walk[:, :1], stimulus=names, kind="network", sample=sample, attrs={"tr": 1.0})
        Y = as_representation(walk[:, 1:], stimulus=names, kind="fmri", sample=sample, attrs={"tr": 1.0})
        kwargs = {"score": "r", "permutations": 199, "random_state": 0}
        shifted = cross_validate(Independent(1.0), X, Y, Contiguous(4), **kwargs)
        shuffled = cross_validate(Independent(1.0), X, Y, Contiguous(4), permute="shuffle", **kwargs)
        assert float((shifted["p"] <= 0.05).mean()) < 0.15
        assert float((shuffled["p"] <= 0.05).mean()) > 0.2

    def test_blocks_of_ones_own(self, worlds):
        X, Y = worlds(sample={"session": np.tile([1, 2], 24)})
        result, _ = self.drawn(X, Y, blocks="session")
        assert result.attrs["exchangeability"] == "samples shuffled, within session"
        assert self.drawn(X, Y, blocks=np.arange(48) // 6)[0].attrs["exchangeability"].endswith("given blocks")
        with pytest.raises(ValueError, match="no coordinate 'half'"):
            self.drawn(X, Y, blocks="half")
        with pytest.raises(ValueError, match="48 samples"):
            self.drawn(X, Y, blocks=np.arange(3))
        with pytest.raises(ValueError, match="permute='mix'"):
            self.drawn(X, Y, permute="mix")

    def test_blocks_that_allow_nothing(self, worlds, class_worlds):
        X, Y = worlds(n=8, runs=8)
        with pytest.raises(DegenerateDataError, match=r"nothing can change places.*blocks=False"):
            cross_validate(Remembers(), X, Y, SplitBy("run", 2), score="r", permutations=30, random_state=0)
        X, y = class_worlds()
        y = y.copy(data=np.where(y["run"].values <= 2, "cat", "dog"))
        halves = np.r_[0:12, 24:36], np.r_[12:24, 36:48]
        with pytest.raises(DegenerateDataError, match="labels are equal"):
            cross_validate(
                LogisticRegression(), X, y, [halves, halves[::-1]], score="accuracy", permutations=30, random_state=0
            )

    def test_plain_arrays_are_exchanged_freely(self, world):
        result = cross_validate(
            Independent(1.0), world[0].values, world[1].values, 4, score="r", permutations=20, random_state=0
        )
        assert result.attrs["exchangeability"] == "samples shuffled, all samples"
        result = cross_validate(
            Independent(1.0), world[0].values, world[1].values, 4, score="r", permutations=20, random_state=0,
            blocks=world[1]["run"].values,
        )  # fmt: skip
        assert result.attrs["exchangeability"] == "samples shuffled, within given blocks"


class TestAttainable:
    def test_too_few_permutations_warn(self, world):
        with pytest.warns(NeurodecodeWarning, match=r"no p value can be below 0\.1 with 9 permutations"):
            result = cross_validate(Independent(1.0), *world, RUNS, score="r", permutations=9, random_state=0)
        assert result.attrs["p_min"] == 0.1
        assert any("no p value can be below" in note for note in result.attrs["notes"])

    def test_enough_do_not(self, world):
        result = cross_validate(Independent(1.0), *world, RUNS, score="r", permutations=19, random_state=0)
        assert result.attrs["p_min"] == 0.05

    def test_few_distinct_orders_limit_it(self, class_worlds):
        X, y = class_worlds(n=8, runs=4, gap=4)
        with pytest.warns(NeurodecodeWarning, match=r"below 0\.0625"):
            result = cross_validate(LDA(), X, y, RUNS, score="accuracy", permutations=49, random_state=0)
        assert result.attrs["p_min"] == pytest.approx(1 / 16)

    def test_no_permutations_no_p(self, world):
        result = cross_validate(Independent(1.0), *world, RUNS, score="r")
        assert not {"p", "null", "p_fdr", "p_max"} & set(result)
        assert result.attrs["n_permutations"] == 0
        assert result.attrs["p_min"] is None
        with pytest.raises(ValueError, match="permutations=-1"):
            cross_validate(Independent(1.0), *world, RUNS, score="r", permutations=-1)
