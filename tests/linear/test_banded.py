"""Banded ridge: planted bands, the textbook and himalaya, what must not change, bad inputs."""

import warnings

import numpy as np
import pytest
import torch
import xarray as xr
from references.linear import contiguous_folds, slow_banded, slow_r2
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from neurodecode.compute.banded import Winners, make_split, make_table, points, prepare_bands, solve_banded
from neurodecode.compute.penalty_gradient import score_and_slope
from neurodecode.exceptions import AlignmentError, CapacityError, DegenerateDataError, NeurodecodeWarning
from neurodecode.linear import BandedRidge, Delays, Ridge, StackedRegression
from neurodecode.linear.banded import _plan
from neurodecode.linear.stacking import simplex_weights
from neurodecode.representation import as_representation, concat

ALPHAS = np.logspace(-2, 6, 9)
pytestmark = pytest.mark.filterwarnings("ignore:The best penalty stands:neurodecode.exceptions.NeurodecodeWarning")


def draw(n=90, sizes=(4, 10), t=6, seed=0, noise=1.0):
    """Features in bands; even targets come from the first band alone, odd ones from all."""
    rng = np.random.default_rng(seed)
    band = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=(n, len(band)))
    w = rng.normal(size=(len(band), t))
    w[np.ix_(band > 0, np.arange(t) % 2 == 0)] = 0
    signal = x @ w
    return x + 2.0, signal / signal.std(0) + noise * rng.normal(size=(n, t)) - 3.0, band


def names(band):
    return [f"band {b}" for b in band]


def fit(x, y, band, **given):
    return BandedRidge(**{"by": names(band), "alphas": ALPHAS, "n_iter": 8, "random_state": 3, **given}).fit(x, y)


class TestPlanted:
    """Card check: 300 samples; band 1 of 20 features, band 2 of 400; half of the targets know nothing of band 2."""

    @pytest.fixture(scope="class")
    def planted(self):
        rng = np.random.default_rng(21)
        x, band = rng.normal(size=(400, 420)), np.repeat([0, 1], [20, 400])
        w = rng.normal(size=(420, 40))
        w[20:, :20], w[:20, 20:] = 0, 0
        signal = x @ w
        y = signal / signal.std(0) + rng.normal(size=signal.shape)
        y = np.c_[y, rng.normal(size=(400, 10))]
        return x, y, band

    @pytest.fixture(scope="class")
    def ridge(self, planted):
        x, y, _ = planted
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NeurodecodeWarning)
            return slow_r2(y[300:], Ridge(ALPHAS).fit(x[:300], y[:300]).predict(x[300:]))

    @pytest.mark.parametrize("solver", ["random", "adaptive"])
    def test_margins_over_ridge(self, planted, ridge, solver):
        x, y, band = planted
        model = fit(x[:300], y[:300], band, solver=solver, n_iter=20)
        found = slow_r2(y[300:], model.predict(x[300:]))
        assert found[:20].mean() >= ridge[:20].mean() + 0.2
        assert found[20:40].mean() >= ridge[20:40].mean() - 0.03
        assert abs(found[40:].mean()) < 0.1
        assert model.best_score_[40:].mean() < 0.05
        assert np.median(model.band_weights_[0, :20]) > 0.9
        assert np.median(model.band_weights_[0, 20:40]) < 0.6

    def test_the_gradient_goes_further(self, planted):
        x, y, band = planted
        x, y = x[:150, :60], y[:150, [0, 1, 2, 20, 21, 22]]
        start = fit(x, y, band[:60], n_iter=4)
        after = fit(x, y, band[:60], n_iter=4, solver="gradient")
        assert (after.best_score_ >= start.best_score_).all()
        assert after.best_score_.mean() > start.best_score_.mean() + 1e-4
        assert after.best_score_.mean() >= fit(x, y, band[:60], n_iter=60).best_score_.mean() - 0.002

    def test_adaptive_is_no_worse_than_random_with_as_many_points(self, planted):
        x, y, _ = planted
        three = np.repeat([0, 1, 2], [20, 20, 20])
        x, y = x[:150, :60], y[:150, :30]
        random = fit(x, y, three, n_iter=16)
        adaptive = fit(x, y, three, n_iter=16, solver="adaptive")
        assert adaptive.best_score_.mean() > random.best_score_.mean() - 0.002


class TestAgainstOthers:
    @pytest.mark.parametrize("sizes", [(4, 10), (30, 100)])
    @pytest.mark.parametrize("solver", ["random", "gradient"])
    def test_weights_are_those_of_the_textbook_and_scores_those_of_refits(self, sizes, solver):
        x, y, band = draw(60, sizes)
        model = fit(x, y, band, solver=solver, cv=3)
        scale = model.band_scale_[band]
        gamma = model.band_weights_
        w, b = slow_banded(x / scale, y, band, gamma, model.alpha_)
        np.testing.assert_allclose(model.coef_, w / scale[:, None], rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(model.predict(x), x / scale @ w + b, rtol=1e-6, atol=1e-7)
        found = 0
        for train, test in contiguous_folds(60, 3):
            w, b = slow_banded(x[train] / scale, y[train], band, gamma, model.alpha_)
            found += slow_r2(y[test], x[test] / scale @ w + b) / 3
        np.testing.assert_allclose(model.best_score_, found, rtol=1e-5, atol=1e-6)
        assert model.solver_ == ("primal" if sum(sizes) <= 60 else "dual")

    @pytest.mark.parametrize("sizes", [(4, 10), (30, 100)])
    def test_kernel_and_primal_agree(self, sizes):
        x, y, band = draw(80, sizes)
        tx, ty = torch.from_numpy(x - x.mean(0)), torch.from_numpy(y - y.mean(0))
        gamma = torch.from_numpy(np.random.default_rng(2).dirichlet([1, 1], y.shape[1]).T.copy())
        alpha = torch.logspace(-1, 3, y.shape[1], dtype=torch.float64)
        found = [
            solve_banded(prepare_bands(tx, torch.from_numpy(band), 2, form), ty, gamma, alpha) for form in (True, False)
        ]
        np.testing.assert_allclose(found[0], found[1], rtol=1e-6, atol=1e-8)

    def test_one_point_is_ridge(self):
        x, y, band = draw()
        model = fit(x / x.std(0), y, band, n_iter=1)
        peer = Ridge(2 * ALPHAS).fit(x / x.std(0), y)
        np.testing.assert_allclose(2 * model.alpha_, peer.alpha_)
        np.testing.assert_allclose(model.best_score_, peer.best_score_, rtol=1e-8)
        np.testing.assert_allclose(model.coef_, peer.coef_, rtol=1e-6, atol=1e-9)
        for solver in ("random", "adaptive", "gradient"):
            more = fit(x / x.std(0), y, band, n_iter=6, solver=solver)
            assert (more.best_score_ >= model.best_score_ - 1e-12).all(), "never below ridge"

    @pytest.mark.parametrize("sizes", [(4, 10), (30, 60)])
    def test_himalaya_at_the_same_points(self, sizes):
        himalaya = pytest.importorskip("himalaya.kernel_ridge")
        from himalaya.scoring import r2_score

        x, y, band = draw(60, sizes, noise=0.5)
        x = (x - x.mean(0)) / x.std(0)
        y = y - y.mean(0)
        gammas = points(
            6, np.array([4.0, 10.0]), np.random.default_rng(np.random.default_rng(3).integers(0, 2**63 - 1))
        )[[0, 3, 4, 5]]
        kernels = torch.from_numpy(np.stack([x[:, band == b] @ x[:, band == b].T for b in (0, 1)]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            deltas, duals, scores = himalaya.solve_multiple_kernel_ridge_random_search(
                kernels.numpy(), y, n_iter=gammas, alphas=ALPHAS, cv=KFold(5), score_func=r2_score, fit_intercept=False,
                progress_bar=False, return_weights="dual",
            )[:3]  # fmt: skip
        tx, ty = torch.from_numpy(x), torch.from_numpy(y)
        parts = prepare_bands(tx, torch.from_numpy(band), 2, sum(sizes) > 60)
        gamma = np.exp(deltas) / np.exp(deltas).sum(0)
        alpha = 1 / np.exp(deltas).sum(0)
        found = solve_banded(parts, ty, torch.from_numpy(gamma), torch.from_numpy(alpha))
        theirs = np.concatenate([np.exp(deltas[b]) * (x[:, band == b].T @ duals) for b in (0, 1)])
        np.testing.assert_allclose(found, theirs, rtol=1e-5, atol=1e-7)
        assert scores.shape[0] == 4

    @pytest.mark.parametrize("kernel", [True, False])
    def test_the_slope_is_the_slope(self, kernel):
        x, y, band = draw(40, (5, 12))
        parts = prepare_bands(torch.from_numpy(x - x.mean(0)), torch.from_numpy(band), 2, kernel)
        splits = [make_split(parts, *map(torch.from_numpy, pair)) for pair in contiguous_folds(40, 3)]
        tables = [make_table(split, torch.from_numpy(y)) for split in splits]
        delta = torch.from_numpy(np.random.default_rng(8).normal(size=(2, y.shape[1])) - 1)
        _, slope = score_and_slope(parts, splits, tables, delta, slice(0, y.shape[1]))
        for b in range(2):
            up, down = delta.clone(), delta.clone()
            up[b] += 1e-5
            down[b] -= 1e-5
            found = [score_and_slope(parts, splits, tables, d, slice(0, y.shape[1]))[0] for d in (up, down)]
            np.testing.assert_allclose(slope[b], (found[0] - found[1]) / 2e-5, rtol=1e-5, atol=1e-8)


class TestWhatMustNotChange:
    @pytest.mark.parametrize("sizes", [(4, 10), (30, 100)])
    @pytest.mark.parametrize("solver", ["random", "adaptive", "gradient"])
    def test_units_of_a_band(self, sizes, solver):
        x, y, band = draw(60, sizes)
        one, two = fit(x, y, band, solver=solver), fit(x * np.where(band == 1, 1e6, 1), y, band, solver=solver)
        np.testing.assert_allclose(two.band_weights_, one.band_weights_, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(two.predict(x * np.where(band == 1, 1e6, 1)), one.predict(x), rtol=1e-5, atol=1e-5)

    def test_without_standardising_they_matter_and_it_is_said(self):
        x, y, band = draw()
        wide = x * np.where(band == 1, 1e3, 1)
        model = BandedRidge(names(band), ALPHAS, 8, random_state=3)
        with pytest.warns(NeurodecodeWarning, match=r"not standardised: features of band 1 have .* times"):
            off = model.fit(wide, y, standardize=False)
        assert (off.band_scale_ == 1).all()
        assert not np.allclose(off.predict(wide), fit(wide, y, band).predict(wide), rtol=1e-3)

    def test_targets_side_by_side_are_targets_alone(self):
        x, y, band = draw()
        for solver in ("random", "gradient"):
            together = fit(x, y, band, solver=solver)
            assert together.targets_independent
            for t in range(y.shape[1]):
                alone = fit(x, y[:, [t]], band, solver=solver)
                np.testing.assert_allclose(alone.coef_[:, 0], together.coef_[:, t], rtol=1e-6, atol=1e-9)
        assert not BandedRidge(solver="adaptive", random_state=0).targets_independent
        assert not BandedRidge().targets_independent, "another draw for every fit"

    def test_order_of_samples_features_and_bands(self):
        x, y, band = draw()
        rng = np.random.default_rng(5)
        one = fit(x, y, band)
        order = rng.permutation(x.shape[1])
        order = np.r_[0, order[order != 0]]  # the first feature keeps the order of the bands
        two = fit(x[:, order], y, band[order])
        np.testing.assert_allclose(two.coef_, one.coef_[order], rtol=1e-7, atol=1e-10)
        rows = rng.permutation(len(x))
        place = np.argsort(rows)
        moved = [(place[a], place[b]) for a, b in contiguous_folds(len(x), 5)]
        np.testing.assert_allclose(fit(x[rows], y[rows], band, cv=moved).coef_, one.coef_, rtol=1e-7, atol=1e-10)

    def test_units_of_the_targets_and_shifts(self):
        x, y, band = draw()
        one, two = fit(x, y, band), fit(x - 40, y * 100 + 7, band)
        np.testing.assert_allclose(two.coef_, one.coef_ * 100, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(two.predict(x - 40), one.predict(x) * 100 + 7, rtol=1e-6)

    def test_chunks_equal_the_whole(self, monkeypatch):
        x, y, band = draw()
        whole = fit(x, y, band)
        monkeypatch.setattr("neurodecode.linear.banded.CHUNKS", (4,))
        np.testing.assert_allclose(fit(x, y, band).coef_, whole.coef_, rtol=1e-8, atol=1e-11)

    @pytest.mark.parametrize("sizes", [(4, 10), (30, 100)])
    def test_float32(self, sizes):
        x, y, band = draw(60, sizes)
        one, two = fit(x, y, band), fit(x.astype(np.float32), y.astype(np.float32), band)
        assert two.coef_.dtype == two.predict(x.astype(np.float32)).dtype == np.float32
        np.testing.assert_allclose(two.best_score_, one.best_score_, atol=1e-3)
        same = two.alpha_ == one.alpha_
        assert same.mean() > 0.5
        np.testing.assert_allclose(two.coef_[:, same], one.coef_[:, same], atol=1e-3)


class TestBands:
    def test_parts_sum_to_the_prediction_with_their_labels(self):
        x, y, band = draw()
        stimulus = [f"s{i}" for i in range(len(x))]
        made = {
            name: as_representation(x[:, band == b], stimulus=stimulus, kind="features")
            for b, name in enumerate(("words", "energy"))
        }
        X = concat(made, label="space")
        Y = as_representation(y, stimulus=stimulus, kind="fmri", unit={"roi": list("aabbcc")})
        model = BandedRidge(alphas=ALPHAS, n_iter=5, random_state=0).fit(X, Y)
        parts = model.predict_bands(X[:7])
        assert parts.dims == ("band", "sample", "unit")
        assert parts["band"].values.tolist() == model.bands_.tolist() == ["words", "energy"]
        assert parts["roi"].values.tolist() == list("aabbcc")
        assert parts["stimulus"].values.tolist() == stimulus[:7]
        np.testing.assert_allclose(parts.sum("band"), model.predict(X[:7]), rtol=0, atol=1e-12)
        assert isinstance(model.band_weights_, xr.DataArray)
        assert model.band_weights_.sel(unit=0).sizes == {"band": 2}
        np.testing.assert_allclose(model.band_weights_.sum("band"), 1)
        plain = fit(x, y, band, n_iter=5, random_state=0)
        np.testing.assert_allclose(plain.predict(x[:7]), model.predict(X[:7]).values, rtol=1e-12)
        assert plain.predict_bands(x[:7]).shape == (2, 7, 6)
        one = fit(x, y[:, 0], band)
        assert one.predict_bands(x).shape == (2, 90)
        np.testing.assert_allclose(one.predict_bands(x).sum(0), one.predict(x), atol=1e-12)

    def test_all_delays_of_a_feature_stay_in_its_band(self):
        x, y, band = draw()
        X = as_representation(
            x, stimulus=[f"s{i}" for i in range(90)], kind="features", unit={"space": names(band)},
            sample={"run": np.repeat([1, 2], 45)}, attrs={"tr": 2.0},
        )  # fmt: skip
        Y = as_representation(y, stimulus=X["stimulus"].values, kind="fmri", attrs={"tr": 2.0})
        model = make_pipeline(Delays([0, 2]), BandedRidge(alphas=ALPHAS, n_iter=4, random_state=0)).fit(X, Y)
        assert model[-1].bands_.tolist() == ["band 0", "band 1"]
        np.testing.assert_array_equal(model[-1].band_, np.tile(band, 2))

    def test_a_plain_array_without_names_is_one_band(self):
        x, y, _ = draw()
        model = BandedRidge(alphas=ALPHAS, random_state=0).fit(x, y)
        assert model.bands_.tolist() == ["all"]
        assert (model.band_weights_ == 1).all()

    def test_points_begin_with_all_alike_and_each_alone(self):
        found = points(50, np.array([1.0, 5.0, 2.0]), np.random.default_rng(0))
        np.testing.assert_allclose(found[:4], np.vstack([np.full(3, 1 / 3), np.eye(3)]))
        np.testing.assert_allclose(found.sum(1), 1)
        assert (found >= 0).all()
        assert points(1, np.ones(3), np.random.default_rng(0)).shape == (1, 3)

    def test_the_first_of_equals_stays(self):
        won = Winners.none(2, 1, torch.zeros(1, dtype=torch.float64))
        for gamma in ([0.5, 0.5], [1.0, 0.0]):
            won.offer(torch.tensor([[0.3]]).double(), torch.tensor([[1.0]]), torch.tensor(gamma), None)
        assert won.gamma[:, 0].tolist() == [0.5, 0.5]


class TestFaults:
    def test_a_band_of_low_rank(self):
        x, y, band = draw()
        x[:, 6] = x[:, 5]
        x[:, 7] = 4.0
        with pytest.warns(NeurodecodeWarning, match=r"1 constant \(7\) and 1 equal to an earlier one \(6\)"):
            model = fit(x, y, band)
        assert np.isfinite(model.coef_).all()
        assert (np.abs(model.coef_[7]) < 1e-12).all()
        np.testing.assert_allclose(model.coef_[5], model.coef_[6], atol=1e-10)
        x[:, band == 1] = 1.0
        with pytest.warns(NeurodecodeWarning, match="constant"):
            dead = fit(x, y, band)
        assert np.isfinite(dead.coef_).all()

    def test_constant_and_masked_targets(self):
        x, y, band = draw()
        y[:, 1] = 0.1
        model = fit(x, y, band)
        assert np.isnan(model.best_score_[1])
        np.testing.assert_allclose(model.predict(x)[:, 1], 0.1, rtol=1e-12)
        y[3, 2] = np.nan
        Y = as_representation(y, stimulus=np.arange(90).astype(str), kind="fmri", nan_policy="drop_targets")
        masked = fit(x, Y, band)
        assert np.isnan(masked.predict(x)[:, 2]).all()
        np.testing.assert_allclose(masked.coef_[:, 0], model.coef_[:, 0])

    def test_names_that_are_not_there(self):
        x, y, band = draw()
        X = as_representation(x, stimulus=np.arange(90).astype(str), kind="features", unit={"layer": names(band)})
        with pytest.raises(AlignmentError, match=r"by='space'.*\['layer'\]"):
            BandedRidge().fit(X, y)
        with pytest.raises(AlignmentError, match="names the bands of 3 features and X has 14"):
            BandedRidge(by=list("abc")).fit(x, y)
        with pytest.raises(AlignmentError, match="layer"):
            BandedRidge(by="layer", alphas=ALPHAS, n_iter=2, random_state=0).fit(X, y).predict(X[:, ::-1])

    @pytest.mark.parametrize(
        ("given", "said"),
        [({"n_iter": 0}, "n_iter=0"), ({"solver": "newton"}, "'adaptive'"), ({"alphas": [-1.0]}, "alphas"),
         ({"max_memory": 0}, "max_memory"), ({"random_state": "x"}, "random_state")],
    )  # fmt: skip
    def test_arguments(self, given, said):
        x, y, band = draw()
        with pytest.raises(ValueError, match=said):
            fit(x, y, band, **given)

    def test_values_and_numbers(self):
        x, y, band = draw()
        for side in (0, 1):
            broken = [x.copy(), y.copy()]
            broken[side][4, 1] = np.inf
            with pytest.raises(DegenerateDataError, match=r"NaN and|infinity"):
                fit(*broken, band)
        with pytest.raises(DegenerateDataError, match="n_samples=4"):
            fit(x[:4], y[:4], band)

    def test_memory_is_said_before_it_is_taken(self):
        x, y, band = draw(60, (30, 100))
        with pytest.raises(CapacityError, match=r"needs at least .* MiB beyond its inputs; max_memory is 1.0 MiB"):
            fit(x, y, band, max_memory=2**20)
        fit(x, y, band, max_memory=2**30)
        huge = np.broadcast_to(np.float32(1), (4000, 5000))
        with pytest.raises(CapacityError, match="in 2 bands and 10,000,000 targets"):
            _plan(huge, False, 10_000_000, 2, [(np.arange(3200), np.arange(800))] * 5, True, "random", 4 * 2**30)


class TestFiniteImpulseResponse:
    """Card check: 600 volumes, 10 white features, a response over lags 0-5 with its peak at lag 3, as much noise."""

    kernel = np.array([0.05, 0.3, 0.8, 1.0, 0.5, 0.15])

    def series(self):
        rng = np.random.default_rng(31)
        x = rng.normal(size=(600, 10))
        w = rng.normal(size=(10, 8))
        y = sum(k * np.vstack([np.zeros((lag, 8)), (x @ w)[: 600 - lag]]) for lag, k in enumerate(self.kernel))
        return x, y / y.std(0) + rng.normal(size=y.shape)

    def test_the_response_is_found_at_its_lags(self):
        x, y = self.series()
        scores = {}
        for lags in ((0, 1, 2, 3, 4, 5), (0,)):
            delays = Delays([2.0 * lag for lag in lags], by=None, tr=2.0)
            made = delays.fit_transform(x)
            band = np.tile(np.repeat([0, 1], 5), len(lags))
            model = fit(made[:450], y[:450], band)
            scores[len(lags)] = slow_r2(y[450:], model.predict(made[450:])).mean()
            energy = np.square(model.coef_).reshape(len(lags), 10, -1).sum((1, 2))
            if len(lags) == 6:
                assert energy.argmax() == 3
                assert np.corrcoef(np.sqrt(energy), self.kernel)[0, 1] > 0.95
        assert scores[6] >= 0.35
        assert scores[1] <= 0.05

    def test_two_runs_joined_are_two_runs_apart(self):
        x, y = self.series()
        x, y = x[:120], y[:120]
        X = as_representation(x, stimulus=np.arange(120).astype(str), kind="features",
                              sample={"run": np.repeat([1, 2], 60)}, attrs={"tr": 2.0})  # fmt: skip
        joined = Delays([0, 2, 4]).fit_transform(X).values
        apart = np.vstack(
            [Delays([0, 2, 4], by=None, tr=2.0).fit_transform(x[part]) for part in (slice(60), slice(60, 120))]
        )
        np.testing.assert_array_equal(joined, apart)
        band = np.tile(np.repeat([0, 1], 5), 3)
        np.testing.assert_array_equal(fit(joined, y, band).coef_, fit(apart, y, band).coef_)


class TestStacking:
    def test_the_mixture_is_the_best_on_the_simplex(self):
        from scipy.optimize import minimize

        rng = np.random.default_rng(4)
        parts = rng.normal(size=(30, 3, 5))
        truth = rng.normal(size=(30, 5)) + np.einsum("nbt,b->nt", parts, [0.7, 0.1, 0.0])
        gram, cross = np.einsum("nbt,nct->bct", parts, parts), np.einsum("nbt,nt->bt", parts, truth)
        found = simplex_weights(gram, cross)
        np.testing.assert_allclose(found.sum(0), 1)
        assert (found >= 0).all()
        for t in range(5):
            best = minimize(
                lambda s, t=t: np.square(truth[:, t] - parts[:, :, t] @ s).sum(), np.full(3, 1 / 3),
                bounds=[(0, 1)] * 3,
                constraints={"type": "eq", "fun": lambda s: s.sum() - 1}, options={"ftol": 1e-13},
            )  # fmt: skip
            np.testing.assert_allclose(found[:, t], best.x, atol=1e-5)
        np.testing.assert_allclose(simplex_weights(np.zeros((2, 2, 1)), np.zeros((2, 1))), 0.5)

    def test_planted_bands_and_none(self):
        x, y, band = draw(200, (5, 30), 8, seed=9)
        y[:, 6:] = np.random.default_rng(10).normal(size=(200, 2))
        model = StackedRegression(names(band), ALPHAS).fit(x[:150], y[:150])
        found = slow_r2(y[150:], model.predict(x[150:]))
        assert model.weights_[0, [0, 2, 4]].min() > 0.8
        assert found[[0, 2, 4]].min() > 0.25
        assert found[6:].max() < 0.1
        np.testing.assert_allclose(model.predict_bands(x).sum(0), model.predict(x), atol=1e-12)
        np.testing.assert_allclose(model.predict(x), x @ model.coef_ + model.intercept_, atol=1e-10)

    def test_one_band_is_ridge(self):
        x, y, _ = draw()
        one, two = StackedRegression(None, ALPHAS).fit(x, y), Ridge(ALPHAS).fit(x, y)
        np.testing.assert_allclose(one.predict(x), two.predict(x), rtol=1e-10)
