"""Geometry of a representation: closed forms, planted values, twins, and what must change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from references.similarity import (
    orthonormal,
    slow_dirichlet,
    slow_explained,
    slow_fisher,
    slow_gdv,
    slow_mahalanobis,
    slow_ranks,
    slow_two_nn,
)

from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.representation import as_representation
from neurodecode.similarity import (
    class_separability,
    components,
    dirichlet_energy,
    effective_rank,
    gdv,
    geometry,
    intrinsic_dimension,
    participation_ratio,
    variance_explained,
)
from neurodecode.similarity.spaces import fold_of


def blobs(n=120, p=20, k=4, apart=3.0, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    return apart * rng.normal(size=(k, p))[y] + rng.normal(size=(n, p)), np.array(list("abcdefgh"))[y]


class TestGdv:
    @pytest.mark.parametrize("share", [0.5, 0.75, 0.95])
    def test_two_points(self, share):
        y = np.array(["a"] * round(200 * share) + ["b"] * round(200 * (1 - share)))
        x = np.where(y[:, None] == "a", [[1.0, 2.0, -1.0]], [[4.0, 0.0, 7.0]])
        assert float(gdv(x, y)["gdv"]) == pytest.approx(-1 / (2 * np.sqrt(share * (1 - share))), abs=1e-9)

    @pytest.mark.parametrize("k", [3, 4, 8])
    def test_balanced_points_in_many_dimensions(self, k):
        rng = np.random.default_rng(k)
        x = np.repeat(rng.normal(size=(k, 20_000)), 3, axis=0)
        found = float(gdv(x, np.repeat(np.arange(k), 3))["gdv"])
        assert found == pytest.approx(-np.sqrt(k / (2 * (k - 1))), abs=5e-3)

    def test_random_labels(self):
        rng = np.random.default_rng(0)
        assert abs(float(gdv(rng.normal(size=(300, 20)), rng.integers(0, 4, 300))["gdv"])) < 0.01

    def test_equals_the_definition_pair_by_pair(self):
        x, y = blobs(40, 5, 3)
        x, y = np.c_[x, np.ones(40)][3:], y[3:]  # a constant unit, classes of unequal size
        found = gdv(x, y)
        assert float(found["gdv"]) == pytest.approx(slow_gdv(x, y.tolist()), abs=1e-12)
        assert float(found["gdv_class"].mean()) == pytest.approx(float(found["gdv"]), abs=1e-12)
        assert sorted(found["n"].values.tolist()) == [12, 12, 13]

    def test_what_changes_nothing_and_what_does(self):
        x, y = blobs()
        value = float(gdv(x, y)["gdv"])
        rng = np.random.default_rng(1)
        for moved in (x * rng.uniform(1, 9, 20) + rng.normal(size=20), x[:, ::-1], np.hstack([x, x])):
            assert float(gdv(moved, y)["gdv"]) == pytest.approx(value, abs=1e-12)
        order = rng.permutation(len(x))
        assert float(gdv(x[order], y[order])["gdv"]) == pytest.approx(value, abs=1e-12)
        one_unit = rng.normal(size=x.shape)  # the class in one of twenty units, or in a mixture of all of them
        one_unit[:, 0] += 30 * (y == "a")
        assert float(gdv(one_unit @ orthonormal(20), y)["gdv"]) < float(gdv(one_unit, y)["gdv"]) - 0.2

    def test_permuted_labels(self):
        x, y = blobs()
        found = gdv(x, y, permutations=99, random_state=3)
        xr.testing.assert_allclose(found[["gdv", "gdv_class", "between"]], gdv(x, y)[["gdv", "gdv_class", "between"]])
        assert float(found["p"]) == 0.01 and float(found["p_class"].max()) == 0.01
        assert abs(float(found["null"].mean())) < 0.01
        order = np.random.default_rng(3).permutation(len(x))
        assert float(gdv(x, y[order], permutations=99, random_state=4)["p"]) > 0.05
        # a class that is the same as its block cannot be told from it
        assert float(gdv(x, y, permutations=19, blocks=y, random_state=5)["p"]) == 1.0

    def test_a_class_that_stands_apart_is_named(self):
        x, y = blobs(apart=0.0)
        x[y == "c"] += 3
        found = gdv(x, y)
        assert str(found["class"].values[found["gdv_class"].argmin()]) == "c"
        assert found["between"].sel({"class": "a", "class_other": "c"}) > found["between"].sel(
            {"class": "a", "class_other": "b"}
        )

    def test_bad_inputs(self):
        x, y = blobs()
        with pytest.raises(DegenerateDataError, match="one class"):
            gdv(x, np.zeros(len(x)))
        with pytest.raises(DegenerateDataError, match="needs 2 samples"):
            gdv(x, np.r_[["z"], y[1:]])
        with pytest.raises(AlignmentError, match="one for each"):
            gdv(x, y[:-1])
        broken = x.copy()
        broken[0, 0] = np.inf
        with pytest.raises(DegenerateDataError):
            gdv(broken, y)
        X = as_representation(x, stimulus=[f"s{at}" for at in range(len(x))], kind="network", sample={"kind": y})
        assert float(gdv(X, X["kind"])["gdv"]) == float(gdv(x, y)["gdv"])
        assert gdv(X, "kind").identical(gdv(X, X["kind"]))
        with pytest.raises(AlignmentError, match="another order"):
            gdv(X, X[::-1]["kind"])
        with pytest.raises(AlignmentError, match="no sample coordinate of this name"):
            gdv(X, "word")
        with pytest.raises(DegenerateDataError, match="labels are missing"):
            gdv(x, np.where(y == "a", None, y))


class TestSeparability:
    def test_equals_the_sums_over_samples(self):
        x, y = blobs(41, 6, 3)
        fisher = slow_fisher(x, y.tolist())
        assert class_separability(x, y) == pytest.approx(fisher, rel=1e-10)
        assert class_separability(x, y, "fisher_corrected") == pytest.approx((41 - 3) / 2 * fisher - 1, rel=1e-10)
        assert class_separability(x, y, "mahalanobis") == pytest.approx(slow_mahalanobis(x, y.tolist()), rel=1e-8)

    @pytest.mark.parametrize("how", ["fisher", "fisher_corrected", "mahalanobis"])
    def test_classes_that_lie_apart_and_labels_that_say_nothing(self, how):
        x, y = blobs()
        mixed = np.random.default_rng(7).permutation(y)
        assert class_separability(x, y, how) > 20 * abs(class_separability(x, mixed, how))

    def test_labels_that_say_nothing(self):
        rng = np.random.default_rng(0)
        found = [
            class_separability(rng.normal(size=(60, 10)), np.arange(60) % 3, "fisher_corrected") for _ in range(200)
        ]
        assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(200)

    def test_known_distance(self):
        rng = np.random.default_rng(1)
        y = np.arange(20_000) % 2
        x = rng.normal(size=(20_000, 3)) @ np.diag([1.0, 2.0, 3.0]) + np.outer(y, [3.0, 0.0, 0.0])
        assert class_separability(x, y, "mahalanobis") == pytest.approx(9, rel=0.1)
        # between: (3/2)^2; within: 1 + 4 + 9
        assert class_separability(x, y) == pytest.approx(2.25 / 14, rel=0.1)

    @pytest.mark.parametrize("how", ["fisher", "fisher_corrected", "mahalanobis"])
    def test_rotation_scale_and_shift(self, how):
        x, y = blobs()
        moved = 7 * x @ orthonormal(20) + 3
        assert class_separability(moved, y, how) == pytest.approx(class_separability(x, y, how), rel=1e-8)

    def test_bad_inputs(self):
        x, y = blobs()
        with pytest.raises(DegenerateDataError, match="varies within"):
            class_separability(np.array([[0.0], [0.0], [1.0], [1.0]]), list("aabb"))
        with pytest.raises(ValueError, match="how"):
            class_separability(x, y, "linear discriminants")
        with pytest.raises(DegenerateDataError, match="one class"):
            class_separability(x, np.zeros(len(x)))
        with pytest.raises(DegenerateDataError, match="needs 2 samples"):
            class_separability(x, np.r_[["z"], y[1:]])
        with pytest.raises(AlignmentError, match="one for each"):
            class_separability(x, y[:-1])
        with pytest.raises(DegenerateDataError):
            class_separability(np.where(x > 2, np.nan, x), y)


def grid_graph(side=4):
    at = np.array([(i, j) for i in range(side) for j in range(side)])
    return (np.abs(at[:, None] - at[None]).sum(-1) == 1).astype(float)


class TestDirichlet:
    def test_eigenvectors_of_the_grid(self):
        a = grid_graph()
        vectors = np.linalg.eigh(np.diag(a.sum(1)) - a)[1]
        assert dirichlet_energy(vectors[:, 1:3], a) == pytest.approx(4 * (2 - np.sqrt(2)), abs=1e-10)
        rng = np.random.default_rng(0)
        drawn = rng.normal(size=(200, 16, 2))
        drawn -= drawn.mean(1, keepdims=True)
        found = [dirichlet_energy(one / np.linalg.norm(one, axis=0), a) for one in drawn]
        assert min(found) > dirichlet_energy(vectors[:, 1:3], a)
        assert np.mean(found) == pytest.approx(2 * 2 * a.sum() / 15, rel=0.05)

    def test_equals_the_sum_and_the_scaled_one_is_1_on_average(self):
        rng = np.random.default_rng(1)
        a = rng.uniform(size=(9, 9)) * (rng.uniform(size=(9, 9)) < 0.5)
        a += a.T
        x = rng.normal(size=(9, 4)) * [1, 2, 3, 9] + 5
        assert dirichlet_energy(x, a) == pytest.approx(slow_dirichlet(x, a), rel=1e-10)
        found = [dirichlet_energy(x[rng.permutation(9)], a, "variance") for _ in range(2000)]
        assert np.mean(found) == pytest.approx(1, abs=4 * np.std(found) / np.sqrt(2000))

    def test_what_changes_nothing(self):
        a = grid_graph()
        x = np.random.default_rng(2).normal(size=(16, 5))
        assert dirichlet_energy(x @ orthonormal(5) + 3, a) == pytest.approx(dirichlet_energy(x, a), rel=1e-9)
        for scale in ("variance", "whitened"):
            assert dirichlet_energy(9 * x, a, scale) == pytest.approx(dirichlet_energy(x, a, scale), rel=1e-9)
        mixed = x @ np.random.default_rng(3).normal(size=(5, 5))
        assert dirichlet_energy(mixed, a, "whitened") == pytest.approx(dirichlet_energy(x, a, "whitened"), rel=1e-8)

    def test_smoothing_by_the_graph_is_seen_and_by_another_graph_is_not(self):
        rng = np.random.default_rng(4)
        a = grid_graph()
        order = rng.permutation(16)
        x = rng.normal(size=(16, 8))
        for _ in range(10):
            x = 0.5 * x + 0.5 * (a @ x) / a.sum(1)[:, None]
        assert dirichlet_energy(x, a, "variance") < 0.4
        assert dirichlet_energy(x, a[np.ix_(order, order)], "variance") > 0.7

    def test_labels_and_bad_inputs(self):
        x = np.random.default_rng(5).normal(size=(16, 3))
        names, order = [f"n{at}" for at in range(16)], np.random.default_rng(6).permutation(16)
        X = as_representation(x, stimulus=names, kind="network")
        moved = [names[at] for at in order]
        graph = xr.DataArray(
            grid_graph()[np.ix_(order, order)], {"stimulus": moved, "stimulus_other": moved},
            ("stimulus", "stimulus_other"),
        )  # fmt: skip
        assert dirichlet_energy(X, graph) == pytest.approx(dirichlet_energy(x, grid_graph()), rel=1e-12)
        with pytest.raises(AlignmentError, match="missing"):
            dirichlet_energy(X[:10], graph)
        with pytest.raises(ValueError, match="symmetric"):
            dirichlet_energy(x, np.triu(grid_graph()))
        with pytest.raises(ValueError, match="shape"):
            dirichlet_energy(x, grid_graph(3))
        with pytest.raises(DegenerateDataError, match="no edge"):
            dirichlet_energy(x, np.eye(16))
        with pytest.raises(DegenerateDataError, match="same state"):
            dirichlet_energy(np.ones((16, 2)), grid_graph(), "variance")
        with pytest.raises(ValueError, match="finite"):
            dirichlet_energy(x, np.where(grid_graph() > 0, np.inf, 0))
        with pytest.raises(DegenerateDataError):
            dirichlet_energy(np.where(x > 1, np.nan, x), grid_graph())


class TestRank:
    def test_closed_forms(self):
        for how in ("participation", "entropy", "stable"):
            assert effective_rank(np.eye(7), how, center=False) == pytest.approx(7)
            assert effective_rank(np.outer(np.arange(1, 5), np.arange(3) + 1.0), how, center=False) == pytest.approx(1)
        d = np.diag([2.0, 1.0])
        assert effective_rank(d, "participation", center=False) == pytest.approx(25 / 17)
        assert effective_rank(d, "stable", center=False) == pytest.approx(5 / 4)
        p = np.array([2 / 3, 1 / 3])
        assert effective_rank(d, "entropy", center=False) == pytest.approx(np.exp(-(p * np.log(p)).sum()))

    def test_a_gaussian_matrix(self):
        w = np.random.default_rng(0).normal(size=(50, 50))
        assert effective_rank(w, "stable", center=False) == pytest.approx(12.9, rel=0.15)
        assert effective_rank(w, "entropy", center=False) == pytest.approx(39.8, rel=0.05)
        assert effective_rank(w, "participation", center=False) == pytest.approx(24.8, rel=0.05)

    @pytest.mark.parametrize(("n", "p"), [(5000, 10), (100, 100)])
    def test_isotropic_data(self, n, p):
        x = np.random.default_rng(1).normal(size=(n, p))
        assert participation_ratio(x) == pytest.approx(p * n / (n + p), rel=0.04)
        np.testing.assert_allclose(participation_ratio(3 * x @ orthonormal(p) + 1), participation_ratio(x), rtol=1e-9)

    @pytest.mark.parametrize("shape", [(40, 7), (7, 40)])
    def test_equals_the_definitions_from_eigenvalues(self, shape):
        x = np.random.default_rng(3).normal(size=shape) * np.geomspace(1, 9, shape[1]) + 2
        for center in (True, False):
            for how, known in slow_ranks(x - x.mean(0) if center else x).items():
                assert effective_rank(x, how, center=center) == pytest.approx(known, rel=1e-9)

    @pytest.mark.parametrize("how", ["participation", "entropy", "stable"])
    def test_what_changes_nothing_and_what_does(self, how):
        x = np.random.default_rng(4).normal(size=(60, 8)) * np.geomspace(1, 9, 8)
        value = effective_rank(x, how)
        for moved in (-3 * x @ orthonormal(8) + 5, x[::-1], np.hstack([x, np.ones((60, 4))])):
            assert effective_rank(moved, how) == pytest.approx(value, rel=1e-9)
        assert effective_rank(x / x.std(0), how) > 1.2 * value
        few = np.random.default_rng(5).normal(size=(60, 2)) @ np.random.default_rng(6).normal(size=(2, 8))
        assert effective_rank(few, how) <= 2 + 1e-9

    def test_components(self):
        x = np.random.default_rng(2).normal(size=(50, 6))
        values = np.linalg.eigvalsh(np.cov(x.T))[::-1]
        np.testing.assert_allclose(components(x), values / values.sum(), atol=1e-12)

    def test_bad_inputs(self):
        with pytest.raises(DegenerateDataError, match="constant"):
            participation_ratio(np.ones((5, 3)))
        for what in (participation_ratio, components, effective_rank):
            with pytest.raises(DegenerateDataError):
                what(np.diag([1.0, np.nan, 2.0]))
        with pytest.raises(DegenerateDataError, match="0 everywhere"):
            effective_rank(np.zeros((3, 3)), center=False)
        with pytest.raises(ValueError, match="how"):
            effective_rank(np.eye(3), "numerical")


class TestTwoNN:
    @pytest.mark.parametrize("d", [1, 2, 5])
    @pytest.mark.parametrize("kind", ["ball", "gaussian"])
    def test_known_dimensions(self, d, kind):
        rng = np.random.default_rng(d)
        x = rng.normal(size=(3000, d))
        if kind == "ball":
            x *= rng.uniform(size=(3000, 1)) ** (1 / d) / np.linalg.norm(x, axis=1, keepdims=True)
        found = intrinsic_dimension(np.hstack([x, np.zeros((3000, 15))]) @ orthonormal(15 + d))
        assert found == pytest.approx(d, rel=0.12)

    def test_a_curved_surface(self):
        rng = np.random.default_rng(0)
        t, h = 1.5 * np.pi * (1 + 2 * rng.uniform(size=3000)), 20 * rng.uniform(size=3000)
        assert intrinsic_dimension(np.stack([t * np.cos(t), h, t * np.sin(t)], 1)) == pytest.approx(2, rel=0.1)

    def test_equals_the_paper(self):
        x = np.random.default_rng(1).normal(size=(60, 3))
        for discard in (0.1, 0.3):
            assert intrinsic_dimension(x, discard) == pytest.approx(slow_two_nn(x, discard), rel=1e-10)
        assert intrinsic_dimension(5 * x @ orthonormal(3) + 1) == pytest.approx(intrinsic_dimension(x), rel=1e-9)

    def test_repeats_count_once(self):
        x = np.random.default_rng(2).normal(size=(60, 3))
        assert intrinsic_dimension(np.vstack([x, x])) == pytest.approx(intrinsic_dimension(x))

    def test_bad_inputs(self):
        with pytest.raises(DegenerateDataError, match="different samples"):
            intrinsic_dimension(np.arange(6.0)[:, None])
        with pytest.raises(DegenerateDataError):
            intrinsic_dimension(np.full((30, 2), np.nan))
        with pytest.raises(DegenerateDataError, match="lattice"):
            intrinsic_dimension(np.eye(20))
        with pytest.raises(ValueError, match="discard"):
            intrinsic_dimension(np.random.default_rng(0).normal(size=(30, 2)), 1.0)


class TestVarianceExplained:
    def planted(self, n=4000, p=20, seed=0):
        rng = np.random.default_rng(seed)
        one, two = rng.choice([-1.0, 1.0], size=(2, n))
        u, v = orthonormal(p)[:2]
        x = 3 * np.outer(one, u) + np.outer(two, v) + 0.1 * rng.normal(size=(n, p))
        return x, {"strong": one, "weak": two, "shuffled": rng.permutation(one)}

    def test_planted_shares(self):
        x, features = self.planted()
        found = variance_explained(x, features)["total"].values
        whole = 10 + 0.01 * 20
        np.testing.assert_allclose(found, [9 / whole, 1 / whole, 0], atol=0.01)
        turned = variance_explained(x @ orthonormal(20, 5), features)["total"].values
        np.testing.assert_allclose(turned, found, atol=1e-10)
        named = {name: np.where(one > 0, "up", "down") for name, one in features.items()}
        np.testing.assert_allclose(variance_explained(x, named)["total"].values, found, atol=1e-10)

    @pytest.mark.parametrize("n_folds", [None, 4])
    def test_equals_scikit_learn_on_the_same_folds(self, n_folds):
        x, features = self.planted(80, 6)
        kinds = np.array(list("abc"))[np.arange(80) % 3]
        features = {"strong": features["strong"], "kinds": kinds, "both": np.stack([*features.values()][:2], axis=1)}
        found = variance_explained(x, features, n_folds)["total"].values
        where = np.array([fold_of(str(at), n_folds or 1) for at in range(80)])
        folds = [np.flatnonzero(where == at) for at in range(n_folds or 1)]
        designs = [features["strong"][:, None], (kinds[:, None] == list("abc")).astype(float), features["both"]]
        np.testing.assert_allclose(found, [slow_explained(x, one, folds) for one in designs], atol=1e-9)

    def test_labels(self):
        x, features = self.planted(60)
        X = as_representation(x, stimulus=[f"s{at}" for at in range(60)], kind="network", unit={"layer": ["l"] * 20})
        found = variance_explained(X, features)
        assert found["unit_r2"].dims == ("feature", "unit") and found["layer"].values[0] == "l"
        F = as_representation(
            np.stack([features["strong"]], 1), stimulus=X["stimulus"].values, kind="features",
            unit={"feature": ["strong"]},
        )  # fmt: skip
        assert float(variance_explained(X, F)["total"][0]) == pytest.approx(float(found["total"][0]))
        with pytest.raises(AlignmentError, match="another order"):
            variance_explained(X, F[::-1])
        with pytest.raises(AlignmentError, match="samples"):
            variance_explained(x, {"short": features["weak"][:10]})
        with pytest.raises(DegenerateDataError, match="NaN"):
            variance_explained(x, {"bad": np.full(60, np.nan)})


def test_all_of_it_is_reached_from_one_place():
    from neurodecode import similarity

    for name in geometry.__all__:
        assert getattr(similarity, name) is getattr(geometry, name)


@pytest.mark.parametrize("offset", [0.0, 1e8, -1e8])
def test_a_large_mean_leaves_the_intrinsic_dimension(offset):
    x = np.random.default_rng(0).uniform(size=(800, 3)) @ np.random.default_rng(1).normal(size=(3, 30))
    assert intrinsic_dimension(x + offset) == pytest.approx(intrinsic_dimension(x), rel=1e-3)


def test_neighbours_that_are_much_alike_keep_their_distance():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 40))
    pairs = np.vstack([x, x + 1e-9 * rng.normal(size=(200, 2)) @ rng.normal(size=(2, 40))])
    assert np.isfinite(intrinsic_dimension(pairs))
    assert intrinsic_dimension(pairs) == pytest.approx(slow_two_nn(pairs, 0.1), rel=1e-4)


def test_a_feature_may_be_a_coordinate():
    x = np.random.default_rng(0).normal(size=(30, 4))
    kind = np.resize(["a", "b", "c"], 30)
    X = as_representation(x, stimulus=np.arange(30), kind="features", sample={"kind": kind})
    xr.testing.assert_identical(variance_explained(X, "kind"), variance_explained(X, {"kind": kind}))


@pytest.mark.parametrize("values", [["a", None] * 10, [1.0, None] * 10, [np.nan, "b"] * 10])
def test_a_feature_that_is_missing_is_no_kind_of_its_own(values):
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(DegenerateDataError, match="feature 'f' is missing for 10 of 20 samples"):
        variance_explained(x, {"f": np.array(values, dtype=object)})
