"""How penalties are chosen: closed forms against one fit after another, fewer steps, bfloat16."""

import numpy as np
import pytest
import torch
from references.linear import slow_gcv, slow_leave_one_out
from sklearn.linear_model import RidgeCV

from neurodecode.compute import ridge_path
from neurodecode.compute.linalg import factorise_single
from neurodecode.compute.ridge_path import factorise_fold, path_r2, sweep_dtype
from neurodecode.linear import Ridge

ALPHAS = [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]
DENSE = np.logspace(-1, 5, 25)
SHAPES = [(60, 8), (40, 40), (35, 90)]
pytestmark = pytest.mark.filterwarnings("ignore:The best penalty stands:neurodecode.exceptions.NeurodecodeWarning")


def world(n=60, p=8, t=12, seed=0, decay=0.0):
    """Features with variances rank^-decay; the first half of the targets follows them, the other is noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * np.arange(1, p + 1) ** (-decay / 2)
    w = rng.normal(size=(p, t))
    signal = x @ w
    signal /= signal.std(0)
    signal[:, t // 2 :] = 0
    return x + 2.0, signal + rng.normal(size=(n, t)) - 5.0


class TestClosedForms:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("intercept", [True, False])
    @pytest.mark.parametrize("solver", ["primal", "dual"])
    @pytest.mark.parametrize(("cv", "slow"), [("loo", slow_leave_one_out), ("gcv", slow_gcv)])
    def test_textbook(self, shape, intercept, solver, cv, slow):
        x, y = world(*shape)
        model = Ridge(ALPHAS, cv=cv, fit_intercept=intercept, solver=solver).fit(x, y)
        expected = slow(x, y, ALPHAS, intercept)
        np.testing.assert_array_equal(model.alpha_, np.asarray(ALPHAS)[expected.argmax(0)])
        np.testing.assert_allclose(model.best_score_, expected.max(0), rtol=1e-6, atol=1e-9)
        assert model.selection_dtype_ == "float64"

    @pytest.mark.parametrize("shape", SHAPES)
    def test_scikit_learn(self, shape):
        x, y = world(*shape)
        peer = RidgeCV(ALPHAS, cv=None, alpha_per_target=True).fit(x, y)
        model = Ridge(ALPHAS, cv="loo").fit(x, y)
        np.testing.assert_array_equal(model.alpha_, peer.alpha_)
        np.testing.assert_allclose(model.coef_.T, peer.coef_, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(model.best_score_, 1 + peer.best_score_ / y.var(0), rtol=1e-8, atol=1e-9)

    @pytest.mark.parametrize("cv", ["loo", "gcv"])
    def test_signal_and_noise_and_constants(self, cv):
        x, y = world(300, 12)
        y[:, 3] = 7.0
        model = Ridge(np.logspace(-2, 6, 9), cv=cv).fit(x, y)
        assert np.nanmin(model.best_score_[:6]) > 0.3
        assert model.best_score_[6:].max() < 0.05
        assert np.median(model.alpha_[6:]) > 100 * np.median(model.alpha_[:3])
        assert np.isnan(model.best_score_[3])

    @pytest.mark.parametrize("cv", ["loo", "gcv"])
    def test_a_penalty_that_reproduces_every_sample_is_never_chosen(self, cv):
        x, y = world(20, 60)
        model = Ridge([0.0, 10.0], cv=cv).fit(x, y)
        assert set(model.alpha_) == {10.0}

    def test_one_fit_for_all_targets(self):
        x, y = world()
        model = Ridge(ALPHAS, cv="gcv", shared_alpha=True).fit(x, y)
        scores = slow_gcv(x, y, ALPHAS)
        assert set(model.alpha_) == {ALPHAS[(scores @ y.var(0)).argmax()]}

    def test_other_text_is_refused(self):
        with pytest.raises(ValueError, match=r"cv='LOO' is not known.*'loo' or 'gcv'"):
            Ridge(ALPHAS, cv="LOO").fit(*world())


class TestFewerSteps:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("shape", [(200, 400), (300, 40)])
    @pytest.mark.parametrize("targets", [1, 100_000])
    def test_scores_are_those_of_every_penalty_by_itself(self, dtype, shape, targets):
        x, y = (torch.from_numpy(part).to(dtype) for part in world(*shape, t=40))
        train, test = torch.arange(50, shape[0]), torch.arange(50)
        alphas = torch.from_numpy(DENSE[::-1].copy())
        few = factorise_fold(x, train, test, alphas, targets=targets)
        every = factorise_fold(x.double(), train, test, alphas, room=0)
        assert every.mixture is None
        assert every.steps is None
        if dtype == torch.float32:
            assert few.mixture is not None
            assert few.table.shape[1] < 20
        assert (few.left is None) == (targets > 1 and shape[1] > shape[0])
        error = (path_r2(few, y) - path_r2(every, y.double())).abs().max()
        assert float(error) < (2e-5 if dtype == torch.float32 else 1e-10)

    def test_a_spectrum_as_wide_as_the_grid_keeps_every_penalty(self):
        x, _ = world(100, 100, decay=4.0)
        alphas = torch.logspace(-4, 2, 7, dtype=torch.float64)
        fold = factorise_fold(torch.from_numpy(x - x.mean(0)), torch.arange(80), torch.arange(80, 100), alphas)
        assert fold.mixture is None
        assert fold.table.shape[1] == 7


class TestSingleFactorisation:
    def test_white_features_need_no_double(self, monkeypatch):
        x, y = world(150, 400, 60)
        single = tuple(part.astype(np.float32) for part in (x, y))
        assert factorise_single(torch.from_numpy(single[0] - single[0].mean(0)), 1.0, True) is not None
        quick, exact = Ridge(DENSE[8:]).fit(*single), Ridge(DENSE[8:]).fit(x, y)
        np.testing.assert_array_equal(quick.alpha_, exact.alpha_)
        np.testing.assert_allclose(quick.best_score_, exact.best_score_, atol=1e-5)
        assert np.abs(quick.coef_ - exact.coef_).max() < 1e-4 * np.abs(exact.coef_).max()

    @pytest.mark.parametrize(("decay", "smallest", "fine"), [(2.0, 1e-6, False), (2.0, 1e3, True), (0.0, 0.0, True)])
    def test_a_wide_spectrum_does_unless_the_penalties_cover_it(self, decay, smallest, fine):
        x = world(100, 300, decay=decay)[0].astype(np.float32)
        found = factorise_single(torch.from_numpy(x - x.mean(0)), smallest, True)
        assert (found is not None) == fine
        assert factorise_single(torch.from_numpy(x.astype(float)), 1e9, False) is None

    def test_repeated_samples_are_left_to_double(self):
        x = world(100, 300)[0].astype(np.float32)
        x[3] = x[4]
        assert factorise_single(torch.from_numpy(x - x.mean(0)), 1.0, True) is None


class TestFast:
    @pytest.mark.parametrize("decay", [0.0, 1.0, 2.0])
    @pytest.mark.parametrize(("n", "p"), [(300, 500), (500, 60)])
    def test_what_the_choice_costs_is_bounded(self, n, p, decay, monkeypatch):
        monkeypatch.setattr(ridge_path, "_multiplies_bfloat16", lambda device: True)
        x, y = (part.astype(np.float32) for part in world(n, p, 400, decay=decay))
        exact = Ridge(DENSE, cv=5).fit(x, y)
        fast = Ridge(DENSE, cv=5, precision="fast").fit(x, y)
        assert (exact.selection_dtype_, fast.selection_dtype_) == ("float32", "bfloat16")
        again = np.empty(400)
        for alpha in np.unique(fast.alpha_):  # R2 of the penalties that fast chose, measured exactly
            here = fast.alpha_ == alpha
            both = Ridge([alpha, alpha * (1 + 1e-12)], cv=5).fit(x.astype(float), y[:, here].astype(float))
            again[here] = both.best_score_
        loss = exact.best_score_ - again
        assert loss.max() < 0.03 / np.sqrt(n)
        assert abs(loss.mean()) < 1e-4
        assert np.mean(exact.alpha_ == fast.alpha_) > 0.8
        assert abs(np.log10(exact.alpha_).mean() - np.log10(fast.alpha_).mean()) < 0.02
        same = exact.alpha_ == fast.alpha_
        np.testing.assert_array_equal(exact.coef_[:, same], fast.coef_[:, same])

    def test_without_bfloat16_it_is_float32_and_says_so(self, monkeypatch):
        monkeypatch.setattr(ridge_path, "_multiplies_bfloat16", lambda device: False)
        x, y = world()
        model = Ridge(ALPHAS, precision="fast").fit(x, y)
        assert model.selection_dtype_ == "float32"
        np.testing.assert_array_equal(model.alpha_, Ridge(ALPHAS).fit(x, y).alpha_)
        assert model.coef_.dtype == np.float64
        assert Ridge(1.0, precision="fast").fit(x, y).selection_dtype_ is None

    def test_names_are_checked(self):
        with pytest.raises(ValueError, match="'exact', 'fast'"):
            Ridge(precision="bf16").fit(*world())

    def test_exact_is_the_dtype_of_the_data(self):
        assert sweep_dtype("exact", torch.device("cpu"), torch.float32) == torch.float32
