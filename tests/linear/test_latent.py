"""Latent regression: against scikit-learn, SciPy and the textbook; planted rank; what must not change; bad inputs."""

import numpy as np
import pytest
import torch
from references.linear import contiguous_folds, slow_cca, slow_r2, slow_reduced_rank
from scipy.linalg import subspace_angles
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import Ridge as PeerRidge
from sklearn.pipeline import make_pipeline

from neurodecode.compute.latent import DIRECTIONS
from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.linear import LatentRegression
from neurodecode.representation import as_representation

KINDS = list(DIRECTIONS)


def draw(n=80, p=9, t=5, rank=2, seed=0, noise=0.5):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * np.linspace(0.5, 2, p) + 4
    w = rng.normal(size=(p, rank)) @ rng.normal(size=(rank, t))
    return x, (x - 4) @ w + noise * rng.normal(size=(n, t)) + 1, w


class TestAgainstOthers:
    @pytest.mark.parametrize("k", [1, 3, 9])
    def test_pcr_is_pca_then_least_squares(self, k):
        x, y, _ = draw()
        peer = make_pipeline(PCA(k), LinearRegression()).fit(x, y)
        model = LatentRegression("pcr", k).fit(x, y)
        np.testing.assert_allclose(model.predict(x), peer.predict(x), rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(np.abs(model.transform(x)), np.abs(peer[0].transform(x)), rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(model.strength_, peer[0].singular_values_, rtol=1e-9)
        shrunk = make_pipeline(PCA(k), PeerRidge(3.0)).fit(x, y)
        np.testing.assert_allclose(LatentRegression("pcr", k, 3.0).fit(x, y).predict(x), shrunk.predict(x), rtol=1e-8)

    @pytest.mark.parametrize("k", [1, 3, 6])
    @pytest.mark.parametrize("targets", [1, 5])
    def test_pls_is_that_of_scikit_learn(self, k, targets):
        x, y, _ = draw()
        peer = PLSRegression(k, scale=False, tol=1e-14, max_iter=5000).fit(x, y[:, :targets])
        model = LatentRegression("pls", k).fit(x, y[:, :targets])
        np.testing.assert_allclose(model.predict(x), peer.predict(x).reshape(80, -1), rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(np.abs(model.x_rotations_), np.abs(peer.x_rotations_), rtol=1e-5, atol=1e-7)

    @pytest.mark.parametrize("k", [1, 3, 5])
    def test_cca_solves_the_generalised_eigenproblem(self, k):
        x, y, _ = draw(noise=2.0)
        directions, _, rho = slow_cca(x, y, k)
        model = LatentRegression("cca", k).fit(x, y)
        np.testing.assert_allclose(model.strength_, rho, rtol=1e-8)
        assert subspace_angles(model.x_rotations_, directions).max() < 1e-6
        scores = model.transform(x)
        np.testing.assert_allclose(scores.T @ scores, np.eye(k), atol=1e-9)
        best = LinearRegression().fit((x - x.mean(0)) @ directions, y)
        np.testing.assert_allclose(model.predict(x), best.predict((x - x.mean(0)) @ directions), rtol=1e-7, atol=1e-8)

    @pytest.mark.parametrize("k", [1, 2, 5])
    def test_reduced_rank_is_the_best_of_its_rank(self, k):
        x, y, _ = draw(noise=2.0)
        model = LatentRegression("rrr", k).fit(x, y)
        np.testing.assert_allclose(model.coef_, slow_reduced_rank(x, y, k), rtol=1e-7, atol=1e-9)
        assert np.linalg.matrix_rank(model.coef_, tol=1e-8) == k
        loss = np.square(y - model.predict(x)).sum()
        for kind in ("pcr", "pls", "cca"):
            assert loss <= np.square(y - LatentRegression(kind, k).fit(x, y).predict(x)).sum() + 1e-9

    def test_reduced_rank_with_a_penalty_minimises_what_it_says(self):
        x, y, _ = draw(30, 40, 6)
        model = LatentRegression("rrr", 2, alpha=5.0).fit(x, y)
        wide, tall = np.r_[x - x.mean(0), np.sqrt(5.0) * np.eye(40)], np.r_[y - y.mean(0), np.zeros((40, 6))]
        w = np.linalg.lstsq(wide, tall, rcond=None)[0]
        v = np.linalg.svd(wide @ w)[2][:2]
        np.testing.assert_allclose(model.coef_, w @ v.T @ v, rtol=1e-6, atol=1e-8)

    @pytest.mark.parametrize("kind", ["pcr", "pls", "rrr"])
    def test_all_directions_are_ridge(self, kind):
        x, y, _ = draw(80, 5, 6)
        alpha = 0.0 if kind == "pls" else 2.0
        model = LatentRegression(kind, 5, alpha=alpha).fit(x, y)
        np.testing.assert_allclose(model.coef_.T, PeerRidge(alpha, solver="svd").fit(x, y).coef_, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
class TestWhatMustNotChange:
    def test_rotations_and_shifts_of_the_features(self, kind):
        x, y, _ = draw()
        turn = np.linalg.qr(np.random.default_rng(3).normal(size=(9, 9)))[0]
        one, two = (LatentRegression(kind, 2).fit(z, y) for z in (x, x @ turn + 9))
        np.testing.assert_allclose(two.predict(x @ turn + 9), one.predict(x), rtol=1e-7, atol=1e-7)

    def test_units_of_features_matter_to_pcr_and_pls_alone(self, kind):
        x, y, _ = draw(noise=2.0)
        scale = 10.0 ** np.linspace(-1, 1, 9)
        one, two = LatentRegression(kind, 2).fit(x, y), LatentRegression(kind, 2).fit(x * scale, y)
        same = np.allclose(two.predict(x * scale), one.predict(x), rtol=1e-6, atol=1e-6)
        assert same == (kind in ("cca", "rrr"))

    def test_order_of_samples_and_targets(self, kind):
        x, y, _ = draw()
        rows, columns = np.random.default_rng(4).permutation(80), [3, 1, 0, 4, 2]
        one, two = LatentRegression(kind, 2).fit(x, y), LatentRegression(kind, 2).fit(x[rows], y[rows][:, columns])
        np.testing.assert_allclose(two.coef_, one.coef_[:, columns], rtol=1e-6, atol=1e-8)

    def test_planted_rank_is_chosen_and_noise_is_not_predicted(self, kind):
        x, y, _ = draw(300, 8, 12, rank=2, seed=6, noise=2.0)
        model = LatentRegression(kind, range(1, 9)).fit(x[:200], y[:200])
        if kind in ("cca", "rrr"):
            assert model.n_components_ == 2
        assert slow_r2(y[200:], model.predict(x[200:])).mean() > 0.6
        noise = np.random.default_rng(7).normal(size=(300, 12))
        empty = LatentRegression(kind, range(1, 9)).fit(x[:200], noise[:200])
        assert slow_r2(noise[200:], empty.predict(x[200:])).mean() < 0.03
        assert empty.best_score_ < 0.03

    def test_the_choice_is_that_of_refits(self, kind):
        x, y, _ = draw(60, 6, 4, noise=3.0)
        scores = []
        for k in (1, 2, 3):
            each = []
            for train, test in contiguous_folds(60, 5):
                model = LatentRegression(kind, k).fit(x[train], y[train])
                each.append(slow_r2(y[test], model.predict(x[test])).mean())
            scores.append(np.mean(each))
        model = LatentRegression(kind, [1, 2, 3]).fit(x, y)
        assert model.n_components_ == 1 + int(np.argmax(scores))
        assert model.best_score_ == pytest.approx(max(scores), rel=1e-8)


class TestFaults:
    def test_labels(self):
        x, y, _ = draw()
        stimulus = np.arange(80).astype(str)
        X = as_representation(x, stimulus=stimulus, kind="network", unit={"layer": list("aaabbbccc")})
        Y = as_representation(y, stimulus=stimulus, kind="fmri", unit={"roi": list("uvwxy")})
        model = LatentRegression("cca", 2).fit(X, Y)
        found = model.transform(X)
        assert found["component"].values.tolist() == ["cca0", "cca1"]
        assert model.predict(X)["roi"].values.tolist() == list("uvwxy")
        with pytest.raises(AlignmentError):
            model.predict(X[:, ::-1])
        np.testing.assert_allclose(model.predict(X).values, LatentRegression("cca", 2).fit(x, y).predict(x))

    @pytest.mark.parametrize("kind", ["cca", "rrr"])
    def test_features_that_reproduce_any_target(self, kind):
        x, y, _ = draw(12, 30, 3)
        with pytest.raises(DegenerateDataError, match="30 features reproduce any target in 12 samples"):
            LatentRegression(kind, 1).fit(x, y)
        assert np.isfinite(LatentRegression(kind, 1, alpha=1.0).fit(x, y).coef_).all()

    def test_more_components_than_directions(self):
        x, y, _ = draw()
        with pytest.raises(DegenerateDataError, match=r"n_components=6.*have 5 directions"):
            LatentRegression("cca", 6).fit(x, y)
        with pytest.raises(DegenerateDataError, match=r"n_components=10.*have 9 directions"):
            LatentRegression("pls", 10).fit(x, y)
        assert LatentRegression("cca", [1, 2, 64]).fit(x, y).n_components_ in (1, 2)

    @pytest.mark.parametrize(
        ("given", "said"),
        [({"kind": "ica"}, "'pcr', 'pls', 'cca', 'rrr'"), ({"n_components": 0}, "n_components=0"),
         ({"alpha": -1}, "alpha=-1"), ({"n_components": 1.5}, "n_components=1.5")],
    )  # fmt: skip
    def test_arguments(self, given, said):
        x, y, _ = draw()
        with pytest.raises(ValueError, match=said):
            LatentRegression(**given).fit(x, y)

    @pytest.mark.parametrize("kind", KINDS)
    def test_constant_and_masked_targets(self, kind):
        x, y, _ = draw()
        y[:, 1] = 5.0
        found = LatentRegression(kind, 2).fit(x, y).predict(x)
        np.testing.assert_allclose(found[:, 1], 5.0, rtol=1e-9)
        y[2, 0] = np.nan
        Y = as_representation(y, stimulus=np.arange(80).astype(str), kind="fmri", nan_policy="drop_targets")
        found = LatentRegression(kind, 2).fit(x, Y).predict(x)
        assert np.isnan(found[:, 0]).all()
        assert np.isfinite(found[:, 1:]).all()

    def test_directions_of_ones_own(self):
        def first(x, y, k, alpha):
            return torch.eye(x.shape[1], dtype=x.dtype)[:, :k], torch.ones(k)

        x, y, _ = draw()
        model = LatentRegression(first, 2).fit(x, y)
        np.testing.assert_allclose(model.predict(x), LinearRegression().fit(x[:, :2], y).predict(x[:, :2]), rtol=1e-9)
