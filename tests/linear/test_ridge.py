"""Ridge: against normal equations, scikit-learn and himalaya; what must not change; planted truth and none."""

import warnings

import numpy as np
import pytest
import xarray as xr
from references.linear import contiguous_folds, slow_ridge, slow_search
from sklearn.linear_model import Ridge as PeerRidge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold

from neurodecode.exceptions import NeurodecodeWarning
from neurodecode.linear import Ridge
from neurodecode.representation import as_representation

ALPHAS = [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]
SHAPES = [(60, 8), (40, 40), (35, 90)]
pytestmark = pytest.mark.filterwarnings("ignore:The best penalty stands:neurodecode.exceptions.NeurodecodeWarning")


def draw(n=60, p=8, t=6, seed=0, noise=1.0):
    """Features and targets; the last target is noise alone."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * np.linspace(0.5, 2, p) + 3.0
    w = rng.normal(size=(p, t)) / np.sqrt(p)
    w[:, -1] = 0
    return x, (x - 3.0) @ w + noise * rng.normal(size=(n, t)) - 5.0, w


class TestAgainstOthers:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("solver", ["primal", "dual", "auto"])
    @pytest.mark.parametrize("intercept", [True, False])
    def test_penalties_and_weights_are_those_of_the_textbook(self, shape, solver, intercept):
        x, y, _ = draw(*shape)
        model = Ridge(ALPHAS, cv=4, fit_intercept=intercept, solver=solver).fit(x, y)
        scores = slow_search(x, y, ALPHAS, contiguous_folds(len(x), 4), intercept)
        np.testing.assert_array_equal(model.alpha_, np.asarray(ALPHAS)[scores.argmax(0)])
        np.testing.assert_allclose(model.best_score_, scores.max(0), rtol=1e-8)
        w, b = slow_ridge(x, y, model.alpha_, intercept)
        np.testing.assert_allclose(model.coef_, w, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(model.intercept_, b, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(model.predict(x), x @ w + b, rtol=1e-8, atol=1e-8)
        assert model.solver_ == (solver if solver != "auto" else "primal" if shape[0] >= shape[1] else "dual")

    @pytest.mark.parametrize("shape", SHAPES)
    def test_scikit_learn_target_by_target(self, shape):
        x, y, _ = draw(*shape, t=3)
        model = Ridge(ALPHAS, cv=5).fit(x, y)
        for t in range(y.shape[1]):
            peer = GridSearchCV(PeerRidge(), {"alpha": ALPHAS}, cv=5, scoring="r2").fit(x, y[:, t])
            assert model.alpha_[t] == peer.best_params_["alpha"]
            assert model.best_score_[t] == pytest.approx(peer.best_score_, rel=1e-8)
            np.testing.assert_allclose(model.coef_[:, t], peer.best_estimator_.coef_, rtol=1e-6, atol=1e-10)
        assert len(set(model.alpha_)) > 1

    @pytest.mark.parametrize("shape", SHAPES)
    def test_himalaya(self, shape):
        himalaya = pytest.importorskip("himalaya.ridge")
        from himalaya.scoring import r2_score

        x, y, _ = draw(*shape)
        model = Ridge(ALPHAS, cv=5).fit(x, y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer = himalaya.RidgeCV(
                ALPHAS, fit_intercept=True, cv=5, solver_params={"score_func": r2_score, "warn": False}
            ).fit(x, y)
        np.testing.assert_allclose(model.alpha_, peer.best_alphas_, rtol=1e-12)
        np.testing.assert_allclose(model.coef_, peer.coef_, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(model.predict(x), peer.predict(x), rtol=1e-6, atol=1e-8)

    def test_one_held_out_sample_at_a_time_minimises_the_squared_error(self):
        x, y, _ = draw(25, 6)
        model = Ridge(ALPHAS, cv=25).fit(x, y)
        error = np.zeros((len(ALPHAS), y.shape[1]))
        for i, alpha in enumerate(ALPHAS):
            for row in range(25):
                rest = np.arange(25) != row
                w, b = slow_ridge(x[rest], y[rest], alpha)
                error[i] += (y[row] - x[row] @ w - b) ** 2 / y[rest].var(0)
        np.testing.assert_array_equal(model.alpha_, np.asarray(ALPHAS)[error.argmin(0)])

    def test_a_shared_penalty_has_the_smallest_squared_error_over_all_targets(self):
        x, y, _ = draw()
        y = y * np.array([1, 1, 1, 1, 1, 30.0])
        model = Ridge(ALPHAS, cv=5, shared_alpha=True).fit(x, y)
        scores = slow_search(x, y, ALPHAS, contiguous_folds(len(x), 5))
        expected = ALPHAS[(scores @ y.var(0)).argmax()]
        assert set(model.alpha_) == {expected}
        assert expected == Ridge(ALPHAS, cv=5).fit(x, y[:, -1]).alpha_[0]
        assert not model.targets_independent
        assert Ridge().targets_independent

    def test_one_penalty_needs_no_folds(self):
        x, y, _ = draw(4, 3)
        model = Ridge(2.5, cv=50).fit(x, y)
        np.testing.assert_allclose(model.coef_, slow_ridge(x, y, 2.5)[0], rtol=1e-9)
        assert set(model.alpha_) == {2.5}
        assert np.isnan(model.best_score_).all()


class TestWhatMustNotChange:
    def test_order_of_samples_with_their_folds(self):
        x, y, _ = draw()
        order = np.random.default_rng(5).permutation(len(x))
        place = np.argsort(order)
        folds = contiguous_folds(len(x), 5)
        moved = [(place[train], place[test]) for train, test in folds]
        one, two = Ridge(ALPHAS, cv=moved).fit(x[order], y[order]), Ridge(ALPHAS, cv=folds).fit(x, y)
        self.same(one, two)
        np.testing.assert_allclose(one.predict(x), two.predict(x), rtol=1e-8, atol=1e-11)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_order_of_targets_and_of_features(self, shape):
        x, y, _ = draw(*shape)
        rng = np.random.default_rng(6)
        f, t = rng.permutation(x.shape[1]), rng.permutation(y.shape[1])
        one, two = Ridge(ALPHAS).fit(x, y), Ridge(ALPHAS).fit(x[:, f], y[:, t])
        np.testing.assert_array_equal(two.alpha_, one.alpha_[t])
        np.testing.assert_allclose(two.coef_, one.coef_[f][:, t], rtol=1e-8, atol=1e-10)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_rotation_of_the_features_and_shifts_of_both_sides(self, shape):
        x, y, _ = draw(*shape)
        turn = np.linalg.qr(np.random.default_rng(7).normal(size=(shape[1], shape[1])))[0]
        one, two = Ridge(ALPHAS).fit(x, y), Ridge(ALPHAS).fit(x @ turn + 50.0, y - 100.0)
        np.testing.assert_array_equal(one.alpha_, two.alpha_)
        np.testing.assert_allclose(two.predict(x @ turn + 50.0) + 100.0, one.predict(x), rtol=1e-7, atol=1e-7)

    def test_units_of_the_targets(self):
        x, y, _ = draw()
        scale = 10.0 ** np.arange(-3, 3)
        one, two = Ridge(ALPHAS).fit(x, y), Ridge(ALPHAS).fit(x, y * scale)
        np.testing.assert_array_equal(one.alpha_, two.alpha_)
        np.testing.assert_allclose(two.coef_, one.coef_ * scale, rtol=1e-8)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_targets_side_by_side_are_targets_alone(self, shape):
        x, y, _ = draw(*shape)
        orders = [np.random.default_rng(seed).permutation(len(x)) for seed in range(4)]
        together = Ridge(ALPHAS).fit(x, np.hstack([y[order] for order in orders]))
        for k, order in enumerate(orders):
            alone = Ridge(ALPHAS).fit(x, y[order])
            part = slice(k * y.shape[1], (k + 1) * y.shape[1])
            np.testing.assert_array_equal(together.alpha_[part], alone.alpha_)
            np.testing.assert_allclose(together.coef_[:, part], alone.coef_, rtol=1e-9, atol=1e-12)
        x1, y1 = x, y[:, 2]
        flat, column = Ridge(ALPHAS).fit(x1, y1), Ridge(ALPHAS).fit(x1, y1[:, None])
        assert flat.predict(x1).shape == (len(x),)
        np.testing.assert_array_equal(flat.predict(x1), column.predict(x1)[:, 0])
        assert flat.coef_.shape == (shape[1], 1)

    def test_repeated_features_share_their_weight(self):
        x, y, _ = draw()
        with pytest.warns(NeurodecodeWarning, match=r"1 equal to an earlier one \(8\)"):
            double = Ridge(1.0).fit(np.c_[x, x[:, 2]], y)
        np.testing.assert_allclose(double.coef_[2], double.coef_[8], rtol=1e-8)
        once = Ridge(1.0).fit(np.c_[x[:, :2], np.sqrt(2) * x[:, 2], x[:, 3:]], y)
        np.testing.assert_allclose(double.predict(np.c_[x, x[:, 2]]), once.predict(x * ([1, 1, 2**0.5] + [1] * 5)))

    @staticmethod
    def same(one, two):
        np.testing.assert_array_equal(one.alpha_, two.alpha_)
        np.testing.assert_allclose(one.coef_, two.coef_, rtol=1e-8, atol=1e-11)
        np.testing.assert_allclose(one.intercept_, two.intercept_, rtol=1e-8, atol=1e-11)


class TestFolds:
    def test_an_integer_is_contiguous_and_free_of_chance(self):
        x, y, _ = draw()
        one, two = Ridge(ALPHAS, cv=5).fit(x, y), Ridge(ALPHAS, cv=KFold(5)).fit(x, y)
        TestWhatMustNotChange.same(one, two)
        np.testing.assert_array_equal(one.alpha_, Ridge(ALPHAS, cv=5).fit(x, y).alpha_)

    def test_splitters_lists_and_masks(self):
        x, y, _ = draw()
        splitter = KFold(4, shuffle=True, random_state=1)
        pairs = list(splitter.split(x))
        masks = [(np.isin(np.arange(60), a), np.isin(np.arange(60), b)) for a, b in pairs]
        by_splitter = Ridge(ALPHAS, cv=splitter).fit(x, y)
        for cv in (pairs, masks):
            TestWhatMustNotChange.same(Ridge(ALPHAS, cv=cv).fit(x, y), by_splitter)
        scores = slow_search(x, y, ALPHAS, pairs)
        np.testing.assert_array_equal(by_splitter.alpha_, np.asarray(ALPHAS)[scores.argmax(0)])

    def test_a_splitter_sees_the_labels(self):
        x, y, _ = draw()
        X, Y = world("brain", x, y)
        run = X["run"].values

        class ByRun:
            def split(self, X, y=None, groups=None):
                assert isinstance(X, xr.DataArray)
                assert isinstance(y, xr.DataArray)
                return GroupKFold(3).split(X.values, groups=X["run"].values)

        found = Ridge(ALPHAS, cv=ByRun()).fit(X, Y)
        pairs = [(np.flatnonzero(run != r), np.flatnonzero(run == r)) for r in np.unique(run)]
        TestWhatMustNotChange.same(found, Ridge(ALPHAS, cv=pairs).fit(x, y))

    def test_folds_of_very_different_sizes(self):
        x, y, _ = draw()
        folds = [(np.arange(30), np.arange(30, 60)), (np.arange(5, 60), np.arange(5)), (np.arange(1, 60), [0])]
        found = Ridge(ALPHAS, cv=folds).fit(x, y)
        np.testing.assert_array_equal(found.alpha_, Ridge(ALPHAS, cv=folds, solver="dual").fit(x, y).alpha_)


WORLDS = {"brain": ("trial", "roi", "fmri"), "network": ("stimulus", "layer", "network")}


def world(name, x, y):
    """The same numbers as a recording predicted from features, or as a network's units predicted from a brain."""
    samples, units, kind = WORLDS[name]
    stimulus = [f"{samples} {i}" for i in np.random.default_rng(3).permutation(len(x))]
    run = np.repeat([1, 2, 3], len(x) // 3)
    X = as_representation(
        x,
        stimulus=stimulus,
        kind="features",
        sample={"run": run},
        unit={"space": "gabor", "channel": np.arange(x.shape[1])},
    )
    areas = np.array(["V1", "LOC", "PPA"])[np.arange(y.shape[1]) % 3]
    return X, as_representation(
        y, stimulus=stimulus, kind=kind, unit={units: areas}, attrs={"quantity": "beta", "tr": 2.0}
    )


@pytest.mark.parametrize("name", WORLDS)
class TestPlanted:
    def test_weights_are_found_where_planted_and_nothing_elsewhere(self, name):
        x, y, w = draw(399, 12, 40, noise=1.0)
        rng = np.random.default_rng(11)
        y[:, 20:] = rng.normal(size=(399, 20)) * 3
        X, Y = world(name, x[:300], y[:300])
        model = Ridge(np.logspace(-1, 6, 15), cv=5).fit(X, Y)
        X_new, _ = world(name, x[300:], y[300:])
        predicted = model.predict(X_new)
        r = [np.corrcoef(predicted[:, t], y[300:, t])[0, 1] for t in range(40)]
        assert np.mean(r[:20]) > 0.6
        assert abs(np.mean(r[20:])) < 0.1
        assert np.corrcoef(model.coef_[:, :20].ravel(), w[:, :20].ravel())[0, 1] > 0.95
        assert np.median(model.alpha_[20:]) > 100 * np.median(model.alpha_[:20])
        assert np.nanmean(model.best_score_[:20]) > 0.3
        assert np.nanmean(model.best_score_[20:]) < 0.02

    def test_decoding_is_the_same_call(self, name):
        x, y, _ = draw(300, 6, 60, noise=1.0)
        Y, X = world(name, y, x)
        model = Ridge(np.logspace(-1, 6, 15)).fit(Y[:210], X[:210])
        decoded = model.predict(Y[210:])
        assert decoded.shape == (90, 6)
        np.testing.assert_array_equal(decoded[WORLDS[name][1]], X[WORLDS[name][1]])
        r = [np.corrcoef(decoded[:, t], x[210:, t])[0, 1] for t in range(6)]
        assert min(r) > 0.8

    def test_labels_of_the_prediction(self, name):
        x, y, _ = draw()
        X, Y = world(name, x, y)
        model = Ridge(ALPHAS).fit(X, Y)
        found = model.predict(X[7:30])
        assert found.dims == ("sample", "unit")
        np.testing.assert_array_equal(found["stimulus"], X["stimulus"][7:30])
        np.testing.assert_array_equal(found["run"], X["run"][7:30])
        np.testing.assert_array_equal(found[WORLDS[name][1]], Y[WORLDS[name][1]])
        assert found.attrs["quantity"] == "beta"
        plain = Ridge(ALPHAS).fit(x, y).predict(x[7:30])
        assert type(plain) is np.ndarray
        np.testing.assert_array_equal(plain, found.values)
        one = Ridge(ALPHAS).fit(X, Y[:, 0]).predict(X[7:30])
        assert one.dims == ("sample",)
        np.testing.assert_array_equal(one["stimulus"], X["stimulus"][7:30])
        assert Ridge(ALPHAS).fit(X, Y).score(X, Y) == pytest.approx(Ridge(ALPHAS).fit(x, y).score(x, y))
