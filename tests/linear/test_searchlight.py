"""In space: at once as one by one, against nilearn, planted blocks with both sides, and what is never looked at."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import sparse
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold
from sklearn.naive_bayes import GaussianNB

from neurodecode.evaluation import SplitBy, check_result, cross_validate
from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.linear import CorrelationClassifier, LinearClassifier, Ridge, Searchlight
from neurodecode.linear.searchlight import members, spheres
from neurodecode.representation import as_representation
from neurodecode.sources.fmri import to_image

SIZE = 3.0


class SlowLDA(LinearClassifier):
    """The same estimator under another name has no closed form."""


class SlowRidge(Ridge):
    """As above."""


class SlowCorrelation(CorrelationClassifier):
    """As above."""


def volume(shape=(6, 5, 4), n=40, runs=4, blocks=(), effect=1.0, keep=None, seed=0, classes="ab"):
    """Noise with the pattern of a class in ``blocks`` (corners of cubes of two voxels), labelled with positions."""
    rng = np.random.default_rng(seed)
    y = np.array(list(classes))[np.arange(n) % len(classes)]
    x = rng.normal(size=(n, *shape))
    for i, j, k in blocks:
        x[:, i : i + 2, j : j + 2, k : k + 2] += effect * (y == classes[0])[:, None, None, None]
    mask = np.ones(shape, dtype=bool) if keep is None else keep
    ijk = np.argwhere(mask)
    unit = {name: ijk[:, at] for at, name in enumerate("ijk")}
    unit |= {name: SIZE * ijk[:, at] - 10.0 for at, name in enumerate("xyz")}
    affine = np.diag([SIZE, SIZE, SIZE, 1.0])
    affine[:3, 3] = -10.0
    X = as_representation(
        x[:, mask], stimulus=[f"trial {i}" for i in range(n)], kind="fmri", unit=unit,
        sample={"category": y, "run": np.repeat(np.arange(runs), n // runs)},
        attrs={"affine": affine.tolist(), "shape": list(shape)},
    )  # fmt: skip
    return X, X["category"]


class TestAtOnceAndOneByOne:
    @pytest.mark.parametrize("classes", ["ab", "abc"])
    @pytest.mark.parametrize(
        "pair",
        [
            (LinearClassifier("lda", shrinkage=amount), SlowLDA("lda", shrinkage=amount))
            for amount in (None, 0.1, "auto")
        ]
        + [(CorrelationClassifier(), SlowCorrelation()), (LinearClassifier("ridge", C=0.1), SlowLDA("ridge", C=0.1))],
        ids=lambda pair: repr(pair[0]),
    )
    def test_classifiers(self, pair, classes):
        X, y = volume(n=60, classes=classes, shape=(4, 3, 3))
        fast, slow = (Searchlight(one, radius=3.0).fit(X[:45], y[:45]) for one in pair)
        assert fast.closed_form_.all()
        assert len(slow.estimators_) == 36
        xr.testing.assert_allclose(fast.decision_function(X[45:]), slow.decision_function(X[45:]), rtol=1e-7, atol=1e-9)
        np.testing.assert_array_equal(fast.predict(X[45:]), slow.predict(X[45:]))

    def test_logistic_regression(self):
        X, y = volume(n=60, shape=(4, 3, 3), blocks=[(0, 0, 0)])
        model = Searchlight(LinearClassifier("logistic", C=2.0), radius=3.0).fit(X[:45], y[:45])
        assert model.closed_form_.all()
        values = model.decision_function(X[45:]).values
        for centre in (0, 13, 35):
            inside = model.members_[[centre]].nonzero()[1]
            one = LogisticRegression(C=2.0, tol=1e-12, solver="newton-cholesky").fit(X.values[:45][:, inside], y[:45])
            np.testing.assert_allclose(
                values[:, centre], one.decision_function(X.values[45:][:, inside]), rtol=1e-6, atol=1e-6
            )

    @pytest.mark.filterwarnings("ignore::neurodecode.exceptions.NeurodecodeWarning")
    def test_ridge(self):
        X, _ = volume(shape=(4, 3, 3))
        target = X.isel(unit=7, drop=True).copy(data=np.asarray(X[:, 7]) + np.random.default_rng(4).normal(size=40))
        target = target.drop_vars([name for name in target.coords if target[name].ndim == 0])
        settings = {"alphas": [0.01, 1.0, 100.0, 1e4], "cv": 3}
        fast, slow = (Searchlight(one(**settings), radius=3.0).fit(X[:30], target[:30]) for one in (Ridge, SlowRidge))
        assert fast.closed_form_.all()
        np.testing.assert_allclose(fast.predict(X[30:]), slow.predict(X[30:]), rtol=1e-7, atol=1e-8)

    def test_any_estimator(self):
        X, y = volume(shape=(3, 3, 2))
        model = Searchlight(GaussianNB(), radius=3.0).fit(X[:30], y[:30])
        for centre in (0, 8, 17):
            inside = model.members_[[centre]].nonzero()[1]
            alone = GaussianNB().fit(X.values[:30][:, inside], y.values[:30]).predict(X.values[30:][:, inside])
            np.testing.assert_array_equal(model.predict(X[30:]).values[:, centre], alone)

    def test_a_dead_voxel_is_left_to_the_estimator(self):
        X, y = volume(shape=(4, 3, 3))
        X.values[:, 13] = 1.0
        fast, slow = (
            Searchlight(one("lda", shrinkage=0.0), radius=3.0).fit(X, y) for one in (LinearClassifier, SlowLDA)
        )
        near = fast.members_.toarray()[:, 13] > 0
        np.testing.assert_array_equal(fast.closed_form_, ~near)
        np.testing.assert_allclose(fast.decision_function(X), slow.decision_function(X), rtol=1e-6, atol=1e-8)

    def test_weights(self):
        X, y = volume(shape=(4, 3, 3))
        model = Searchlight(LinearClassifier("lda", shrinkage=0.1), radius=3.0).fit(X, y)
        (weights,) = model.coef_
        assert ((weights.toarray() != 0) <= (model.members_.toarray() > 0)).all()
        np.testing.assert_allclose(X.values @ weights.T + model.intercept_[0], model.decision_function(X), atol=1e-10)


class TestNeighbours:
    def test_spheres_are_those_of_the_definition(self):
        places = np.random.default_rng(0).uniform(0, 10, size=(50, 3))
        far = np.linalg.norm(places[:, None] - places[None], axis=2)
        np.testing.assert_array_equal(spheres(places, 3.0).toarray(), far <= 3.0)

    def test_a_neighbour_at_exactly_the_radius_belongs(self):
        X, y = volume(shape=(3, 3, 3))
        sizes = {radius: Searchlight(LinearClassifier("lda", shrinkage=0.1), radius=radius).fit(X, y).members_[[13]].nnz
                 for radius in (0.0, 3.0, 3 * 2**0.5, 3 * 3**0.5)}  # fmt: skip
        assert list(sizes.values()) == [1, 7, 19, 27]

    def test_they_never_leave_the_mask(self):
        keep = np.random.default_rng(1).random((6, 5, 4)) > 0.4
        X, y = volume(keep=keep)
        model = Searchlight(LinearClassifier("lda", shrinkage=0.1), radius=3.0).fit(X, y)
        ijk = np.stack([X[name].values for name in "ijk"], axis=1)
        for centre in range(len(ijk)):
            inside = ijk[model.members_[[centre]].nonzero()[1]]
            assert keep[tuple(inside.T)].all()
            assert (np.abs(inside - ijk[centre]).sum(1) <= 1).all()
        # What lies outside of the mask cannot matter.
        wild, _ = volume(keep=keep)
        np.testing.assert_array_equal(model.predict(X), model.predict(wild))

    def test_a_mesh_in_three_spellings(self):
        X, y = volume(shape=(6, 1, 1))
        ring = np.roll(np.eye(6), 1, axis=1) + np.roll(np.eye(6), -1, axis=1)
        spelt = [ring, sparse.coo_array(ring), [np.flatnonzero(row) for row in ring], [[*np.flatnonzero(row), at]
                 for at, row in enumerate(ring)]]  # fmt: skip
        lda = LinearClassifier("lda", shrinkage=0.1)
        found = [Searchlight(lda, neighbours=one).fit(X, y).decision_function(X).values for one in spelt]
        for other in found[1:]:
            np.testing.assert_array_equal(found[0], other)
        one = lda.fit(X.values[:, [1, 2, 3]], y.values).decision_function(X.values[:, [1, 2, 3]])
        np.testing.assert_allclose(found[0][:, 2], one, rtol=1e-8)

    def test_every_unit_belongs_to_its_own(self):
        np.testing.assert_array_equal(members([[], [], []], 3).toarray(), np.eye(3))
        np.testing.assert_array_equal(members(np.zeros((3, 3)), 3).toarray(), np.eye(3))


@pytest.mark.filterwarnings("ignore:Use a custom estimator")
class TestSurfacesAndSensors:
    def test_a_patch_of_a_mesh_is_found_and_the_rest_is_not(self):
        """A sheet of 8 x 8 vertices, two triangles a square; classes differ in a patch of 3 x 3."""
        vertex = np.arange(64).reshape(8, 8)
        corners = [vertex[:-1, :-1], vertex[1:, :-1], vertex[:-1, 1:], vertex[1:, 1:]]
        a, b, c, d = (corner.ravel() for corner in corners)
        faces = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        edges = np.concatenate([edges, edges[:, ::-1]])
        mesh = sparse.csr_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(64, 64))
        rng = np.random.default_rng(8)
        y = np.arange(80) % 2
        x = rng.normal(size=(80, 64))
        patch = vertex[2:5, 2:5].ravel()
        x[:, patch] += 0.8 * y[:, None]
        light = Searchlight(LinearClassifier("lda", shrinkage=0.1), neighbours=mesh)
        found = cross_validate(light, x, y, StratifiedKFold(4), score="accuracy")["score"].values
        far = mesh[:, patch].sum(axis=1) == 0
        assert found[vertex[3, 3]] > 0.8
        assert abs(found[far].mean() - 0.5) < 0.06
        assert light.fit(x, y).members_[[vertex[3, 3]]].nnz == 7, "six neighbours and itself"

    def test_sensors_of_a_cap(self):
        mne = pytest.importorskip("mne")
        info = mne.create_info(["Fz", "Cz", "Pz", "Oz", "C3", "C4", "F3", "F4", "P3", "P4", "O1", "O2"], 100.0, "eeg")
        info.set_montage("standard_1020")
        adjacency, names = mne.channels.find_ch_adjacency(info, "eeg")
        rng = np.random.default_rng(9)
        y = np.arange(80) % 2
        x = rng.normal(size=(80, len(names)))
        x[:, names.index("Oz")] += 2.0 * y
        light = Searchlight(LinearClassifier("lda", shrinkage=0.1), neighbours=adjacency)
        found = cross_validate(light, x, y, StratifiedKFold(4), score="accuracy")["score"].values
        near = adjacency.toarray()[:, names.index("Oz")] > 0
        near[names.index("Oz")] = True
        assert found[near].min() > 0.7
        assert abs(found[~near].mean() - 0.5) < 0.1


class TestAgainstNilearn:
    @pytest.mark.filterwarnings("ignore:Use a custom estimator")
    def test_same_accuracies(self):
        nibabel = pytest.importorskip("nibabel")
        decoding = pytest.importorskip("nilearn.decoding")
        keep = np.zeros((6, 5, 4), dtype=bool)
        keep[1:, :4, :] = True
        X, y = volume(blocks=[(2, 1, 1)], keep=keep)
        affine = np.asarray(X.attrs["affine"])
        content = np.zeros((6, 5, 4, 40))
        content[keep] = X.values.T
        image, mask = nibabel.Nifti1Image(content, affine), nibabel.Nifti1Image(keep.astype(np.uint8), affine)
        lda = LinearDiscriminantAnalysis("lsqr", shrinkage=0.2)
        peer = decoding.SearchLight(
            mask, radius=4.5, estimator=lda, scoring="accuracy", cv=LeaveOneGroupOut(), n_jobs=1
        )
        peer.fit(image, y.values, groups=X["run"].values)
        result = cross_validate(Searchlight(lda, radius=4.5), X, y, SplitBy("run"), score="accuracy")
        np.testing.assert_allclose(result["score"], peer.scores_[keep], atol=1e-12)
        back = to_image(result, variable="score")
        np.testing.assert_allclose(back.get_fdata()[keep], result["score"])
        np.testing.assert_allclose(back.affine, affine)


class TestPlanted:
    @pytest.mark.parametrize("score", ["accuracy", "auc"])
    def test_two_blocks_are_found_and_the_rest_is_not(self, score):
        X, y = volume(shape=(9, 8, 6), n=100, runs=5, blocks=[(1, 1, 1), (6, 5, 3)], effect=1.2)
        lda = Searchlight(LinearClassifier("lda", shrinkage="auto"), radius=3.0)
        result = cross_validate(lda, X, y, SplitBy("run"), score=score)
        check_result(result)
        planted = np.zeros((9, 8, 6), dtype=bool)
        planted[1:3, 1:3, 1:3] = planted[6:8, 5:7, 3:5] = True
        reached = spheres(np.argwhere(np.ones((9, 8, 6))) * SIZE, 3.0) @ planted.reshape(-1) > 0
        found = result["score"].values
        assert found[planted.reshape(-1)].min() >= 0.8
        assert abs(found[~reached].mean() - 0.5) <= 0.03
        assert reached[np.argsort(found)[-16:]].all()
        np.testing.assert_array_equal(result["i"], X["i"])
        assert result.attrs["shape"] == [9, 8, 6]

    def test_permutations(self):
        X, y = volume(shape=(4, 4, 3), n=60, blocks=[(0, 0, 0)], effect=2.0)
        lda = Searchlight(LinearClassifier("lda", shrinkage=0.1), radius=3.0)
        result = cross_validate(lda, X, y, SplitBy("run"), score="accuracy", permutations=39, random_state=3)
        assert result["null"].dims == ("permutation", "unit")
        assert (result["p_max"].values[result["score"].values > 0.85] == 1 / 40).all()
        far = (X["i"].values == 3) & (X["j"].values == 3)
        assert (result["p_max"].values[far] > 0.05).all()

    def test_numbers_and_kept_predictions(self):
        X, _ = volume(shape=(4, 4, 3), n=60)
        rng = np.random.default_rng(8)
        target = xr.DataArray(
            X.values[:, :2].sum(1) + 0.3 * rng.normal(size=60), dims="sample", name="rating",
            coords={"stimulus": ("sample", X["stimulus"].values), "run": ("sample", X["run"].values)},
        )  # fmt: skip
        result = cross_validate(
            Searchlight(Ridge(alphas=1.0), radius=3.0), X, target, SplitBy("run"), score="r", keep="prediction"
        )
        assert result["prediction"].shape == (60, 48)
        assert result["truth"].dims == ("sample",)
        assert result["score"].values[0] > 0.7
        assert result["score"].values[-1] < 0.4
        with pytest.raises(ValueError, match="compares rows"):
            cross_validate(
                Searchlight(Ridge(alphas=1.0), radius=3.0), X, target, SplitBy("run"), score="identification"
            )

    def test_plain_arrays(self):
        X, y = volume(shape=(3, 3, 2))
        links = spheres(np.stack([X[name].values for name in "xyz"], axis=1), 3.0)
        model = Searchlight(LinearClassifier("lda", shrinkage=0.1), neighbours=links)
        folds = StratifiedKFold(4)
        plain = cross_validate(model, X.values, y.values, folds, score="accuracy")
        named = cross_validate(model.set_params(radius=3.0, neighbours=None), X, y, folds, score="accuracy",
                               allow_overlap="runs do not matter here")  # fmt: skip
        np.testing.assert_array_equal(plain["score"], named["score"])


class TestFaults:
    def test_arguments(self):
        X, y = volume(shape=(3, 3, 2))
        lda = LinearClassifier("lda", shrinkage=0.1)
        for wrong in ({}, {"radius": 3.0, "neighbours": np.eye(18)}):
            with pytest.raises(ValueError, match="give one"):
                Searchlight(lda, **wrong).fit(X, y)
        with pytest.raises(ValueError, match="radius=-1"):
            Searchlight(lda, radius=-1).fit(X, y)
        with pytest.raises(AlignmentError, match=r"shape \(3, 3\); X has 18 units"):
            Searchlight(lda, neighbours=np.eye(3)).fit(X, y)
        with pytest.raises(AlignmentError, match="3 entries; X has 18 units"):
            Searchlight(lda, neighbours=[[0], [1], [2]]).fit(X, y)
        with pytest.raises(AlignmentError, match="outside of the mask"):
            Searchlight(lda, neighbours=[[18]] * 18).fit(X, y)
        with pytest.raises(ValueError, match="one target"):
            Searchlight(Ridge(), radius=3.0).fit(X, np.ones((40, 2)))

    def test_positions(self):
        X, y = volume(shape=(3, 3, 2))
        lda = Searchlight(LinearClassifier("lda", shrinkage=0.1), radius=3.0)
        with pytest.raises(AlignmentError, match="lacks x, y, z"):
            lda.fit(X.values, y.values)
        with pytest.raises(AlignmentError, match="lacks z"):
            lda.fit(X.drop_vars("z"), y)
        with pytest.raises(AlignmentError, match="2 subjects"):
            lda.fit(X.assign_coords(subject=("unit", ["ann"] * 9 + ["bob"] * 9)), y)
        lost = X["x"].values.copy()
        lost[4] = np.nan
        with pytest.raises(DegenerateDataError, match="1 units have no position"):
            lda.fit(X.assign_coords(x=("unit", lost)), y)

    def test_samples_units_and_values(self):
        X, y = volume(shape=(3, 3, 2))
        lda = Searchlight(LinearClassifier("lda", shrinkage=0.1), radius=3.0)
        with pytest.raises(AlignmentError, match="match"):
            lda.fit(X[::-1], y)
        with pytest.raises(AlignmentError, match="units differ"):
            lda.fit(X, y).predict(X[:, ::-1])
        broken = X.copy(deep=True)
        broken[3, 2] = np.inf
        with pytest.raises(DegenerateDataError, match="trial 3"):
            lda.fit(broken, y)
