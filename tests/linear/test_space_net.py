"""Maps that are sparse and smooth: planted blocks, nilearn's own numbers, labels, voxels that are not known."""

import nibabel
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter

from neurodecode.evaluation import SplitBy, cross_validate
from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.linear import LinearClassifier, Ridge, SpaceNetClassifier, SpaceNetRegressor
from neurodecode.representation import as_representation

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])


def volume(seed, side=12, n=100, effect=0.6):
    """Maps of smooth noise; two blocks of 4 x 4 x 4 voxels are stronger for houses."""
    rng = np.random.default_rng(seed)
    noise = np.stack([gaussian_filter(rng.normal(size=(side,) * 3), 1.0) for _ in range(n)])
    noise /= noise.std()
    planted = np.zeros((side,) * 3, dtype=bool)
    planted[1:5, 1:5, 1:5] = planted[side - 5 : side - 1, side - 5 : side - 1, side - 6 : side - 2] = True
    house = np.tile([0, 1], n // 2)
    noise += effect * planted * house[:, None, None, None]
    return labelled_maps(noise, house), planted.ravel()


def labelled_maps(maps, house):
    n, shape = len(maps), maps.shape[1:]
    ijk = np.argwhere(np.ones(shape))
    return as_representation(
        maps.reshape(n, -1), stimulus=[f"block{i}" for i in range(n)], kind="fmri", unit=dict(zip("ijk", ijk.T)),
        sample={"run": np.repeat(range(5), n // 5), "category": np.array(["face", "house"])[house]},
        attrs={"affine": AFFINE.tolist(), "shape": list(shape)},
    )  # fmt: skip


def overlap(model, planted):
    """Dice of the planted voxels and as many with the largest weights."""
    top = np.argsort(-np.abs(model.coef_[0]))[: planted.sum()]
    return planted[top].mean()


class TestPlantedTruth:
    @pytest.mark.parametrize("penalty", ["graph-net", "tv-l1"])
    def test_blocks_are_found_better_than_without_space(self, penalty):
        X, planted = volume(0)
        model = SpaceNetClassifier(penalty, alphas=0.1, max_iter=50)
        result = cross_validate(model, X, X["category"], SplitBy("run"), score="accuracy")
        assert float(result["score"][0]) >= 0.75
        plain = LinearClassifier("svm", C=0.01).fit(X, X["category"])
        found = overlap(model.fit(X, X["category"]), planted)
        assert found >= 0.5
        assert found > overlap(plain, planted) + 0.1

    def test_labels_permuted_within_runs_are_not_found(self):
        X, _ = volume(1)
        rng = np.random.default_rng(2)
        scores = []
        for _ in range(6):
            order = np.concatenate([rng.permutation(np.flatnonzero(X["run"].values == run)) for run in range(5)])
            shuffled = X.assign_coords(category=("sample", X["category"].values[order]))
            model = SpaceNetClassifier(alphas=0.1, max_iter=20)
            found = cross_validate(model, shuffled, shuffled["category"], SplitBy("run"), score="accuracy")
            scores.append(float(found["score"][0]))
        assert abs(np.mean(scores) - 0.5) < 0.1

    def test_numbers_of_a_smooth_map(self):
        rng = np.random.default_rng(3)
        maps = rng.normal(size=(100, 5, 5, 4))
        truth = np.zeros((5, 5, 4))
        truth[1:4, 1:4, 1:3] = 1.0
        y = (maps * truth).sum((1, 2, 3)) + rng.normal(size=100) + 7.0
        X = labelled_maps(maps, np.zeros(100, int))
        Y = as_representation(np.stack([y, rng.normal(size=100)], 1), stimulus=X["stimulus"].values, kind="features",
                              unit={"name": ["planted", "null"]}, sample={"run": X["run"].values})  # fmt: skip
        found = cross_validate(SpaceNetRegressor(alphas=[0.05, 0.3], cv=3), X, Y, SplitBy("run"), score="r")
        assert found["score"].sel(unit=0) > 0.9
        assert abs(float(found["score"].sel(unit=1))) < 0.3
        assert found["name"].values.tolist() == ["planted", "null"]
        few = slice(0, 50)  # half as many maps as voxels
        model = SpaceNetRegressor(alphas=0.3).fit(X[few], Y[few])
        like = np.corrcoef(model.coef_[0], truth.ravel())[0, 1]
        assert like > np.corrcoef(Ridge(10.0).fit(X[few], Y[few]).coef_[:, 0], truth.ravel())[0, 1] + 0.05
        assert_array_equal(model.predict(X)["name"], ["planted", "null"])


class TestAgainstNilearn:
    def test_same_maps_and_decisions(self):
        from nilearn.decoding import SpaceNetClassifier as Theirs

        X, _ = volume(4, side=5, n=40, effect=1.0)
        X = X * np.linspace(0.5, 3, 125) + np.linspace(-5, 5, 125)
        scaled = (X.values - X.values.mean(0)) / X.values.std(0)
        cube = nibabel.Nifti1Image(np.ones((5, 5, 5), dtype=np.int8), AFFINE)
        image = nibabel.Nifti1Image(scaled.T.reshape(5, 5, 5, 40), AFFINE)
        theirs = Theirs(alphas=0.05, mask=cube, standardize=False)
        with pytest.warns(UserWarning, match="smaller"):
            theirs.fit(image, np.asarray(X["category"]))
        ours = SpaceNetClassifier(alphas=0.05).fit(X, X["category"])
        assert_allclose(ours.coef_ * X.values.std(0), theirs.coef_, atol=1e-10)
        assert_allclose(ours.decision_function(X), theirs.decision_function(image), atol=1e-8)

    def test_voxels_in_any_order_and_anywhere(self):
        X, _ = volume(5, side=5, n=40, effect=1.0)
        order = np.random.default_rng(6).permutation(125)
        shuffled = X[:, order]
        moved = X.assign_coords(i=X["i"] + 20, k=X["k"] + 3)
        one, two, three = (SpaceNetClassifier(alphas=0.05).fit(each, each["category"]) for each in (X, shuffled, moved))
        assert_allclose(two.coef_, one.coef_[:, order], atol=1e-10)
        assert_allclose(three.coef_, one.coef_, atol=1e-12)
        cube = nibabel.Nifti1Image(np.ones((5, 5, 5), dtype=np.int8), AFFINE)
        bare = SpaceNetClassifier(alphas=0.05, mask=cube).fit(X.values, X["category"].values)
        assert_array_equal(bare.coef_, one.coef_)
        assert isinstance(bare.predict(X.values), np.ndarray)

    def test_several_penalties_are_chosen_among(self):
        """A penalty that leaves no voxel comes first and is not taken."""
        X, _ = volume(7, side=5, n=60, effect=1.0)
        for alphas, ratio in (([50.0, 0.05], 0.5), (0.05, [0.5, 0.9]), ([0.05, 50.0], [0.5, 0.9])):
            model = SpaceNetClassifier(alphas=alphas, l1_ratio=ratio, cv=SplitBy("run"), max_iter=20)
            model.fit(X, X["category"])
            assert (model.estimator_.best_model_params_[:, 0] == 0.05).all()
            assert len(model.estimator_.best_model_params_) == 5
            assert np.abs(model.coef_).max() > 0


class TestLabels:
    def test_three_classes(self):
        rng = np.random.default_rng(8)
        kind = np.tile([0, 1, 2], 20)
        maps = rng.normal(size=(60, 4, 4, 4))
        maps[np.arange(60), kind] += 1.5
        X = labelled_maps(maps, np.zeros(60, int))
        y = X["category"].copy(data=np.array(["cat", "dog", "owl"])[kind])
        model = SpaceNetClassifier(alphas=0.05).fit(X, y)
        found = model.predict(X)
        assert (found.values == y.values).mean() > 0.9
        assert_array_equal(found["stimulus"], X["stimulus"])
        values = model.decision_function(X)
        assert values["class_name"].values.tolist() == ["cat", "dog", "owl"]
        assert model.coef_.shape == (3, 64)

    def test_scaled_by_training_samples_alone(self):
        X, _ = volume(9, side=5, n=40, effect=1.0)
        model = SpaceNetClassifier(alphas=0.05).fit(X[:30], X["category"][:30])
        together = model.decision_function(X[30:]).values
        alone = np.concatenate([model.decision_function(X[[row]]).values for row in range(30, 40)])
        assert_allclose(together, alone, atol=1e-12)


class TestFaults:
    def test_voxels_that_are_not_known(self):
        X, _ = volume(10, side=4, n=20)
        y = X["category"]
        with pytest.raises(
            AlignmentError, match=r"which voxel each unit is: .* the units have the coordinates \['i', 'j'\]"
        ):
            SpaceNetClassifier().fit(X.drop_vars("k"), y)
        with pytest.raises(AlignmentError, match="these units have no coordinates"):
            SpaceNetRegressor().fit(X.values, np.arange(20.0))
        with pytest.raises(AlignmentError, match=r"needs X.attrs\['affine'\]"):
            SpaceNetClassifier().fit(X.assign_attrs(affine=None), y)
        with pytest.raises(AlignmentError, match="same voxel"):
            SpaceNetClassifier().fit(X.assign_coords(i=("unit", np.zeros(64, int))), y)
        cube = nibabel.Nifti1Image(np.ones((2, 2, 2), dtype=np.int8), AFFINE)
        with pytest.raises(AlignmentError, match="has 8 voxels, and X has 64 units"):
            SpaceNetClassifier(mask=cube).fit(X.values, y.values)

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"penalty": "tv-l2"}, "Did you mean 'tv-l1'"),
            ({"l1_ratio": 1.0}, "between 0 and 1"),
            ({"screening": 0}, "percentage"),
            ({"alphas": -1.0}, "above 0"),
        ],
    )
    def test_settings(self, settings, said):
        X, _ = volume(11, side=4, n=20)
        with pytest.raises(ValueError, match=said):
            SpaceNetClassifier(**settings).fit(X, X["category"])

    def test_values(self):
        X, _ = volume(12, side=4, n=20)
        broken = X.copy(deep=True)
        broken[2, 3] = np.nan
        with pytest.raises(DegenerateDataError, match="block2"):
            SpaceNetClassifier().fit(broken, X["category"])
        with pytest.raises(DegenerateDataError, match="one class"):
            SpaceNetClassifier().fit(X, X["category"].copy(data=["face"] * 20))
        with pytest.raises(AlignmentError, match="another order"):
            SpaceNetRegressor().fit(X, X[::-1, :1])
        dead = X.copy(deep=True)
        dead[:, 5] = 4.0
        assert SpaceNetClassifier(alphas=0.01).fit(dead, X["category"]).coef_[0, 5] == 0
