"""Group statements: subjects are the units, and two models are compared on the same folds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from sklearn import linear_model

from neurodecode.evaluation import SplitBy, cross_validate, fdr, group, paired_difference
from neurodecode.exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning

RUNS = SplitBy("run")


def result(scores, roi=None, n_samples=40, chance=0.0, score="r"):
    scores = np.asarray(scores, dtype=float)
    coords = {"roi": ("unit", list(roi))} if roi is not None else {}
    attrs = {"n_samples": n_samples, "chance": chance, "score": score}
    return xr.Dataset({"score": ("unit", scores), "score_fold": (("fold", "unit"), scores[None])}, coords, attrs)


def subjects(effect, n=8, seed=0, units=3, **kwargs):
    rng = np.random.default_rng(seed)
    return {f"s{i}": result(effect + 0.1 * rng.normal(size=units), **kwargs) for i in range(n)}


class TestGroup:
    def test_mean_and_interval_between_subjects(self):
        found = group(subjects(0.2))
        values = found["score"].values
        np.testing.assert_allclose(found["mean"], values.mean(0))
        for unit in range(3):
            expected = stats.ttest_1samp(values[:, unit], 0).confidence_interval(0.95)
            np.testing.assert_allclose([found["low"][unit], found["high"][unit]], expected)
        np.testing.assert_allclose(found["sd"], values.std(0, ddof=1))
        assert (found["boot_low"] > found["low"]).all()
        assert (found["boot_high"] < found["high"]).all()
        assert found["subject"].values.tolist() == [f"s{i}" for i in range(8)]
        assert found.attrs["unit_of_inference"] == "subject"

    def test_sign_flip_p_equals_all_flips(self):
        data = subjects(0.05, n=6, units=1)
        values = np.array([one["score"].item() for one in data.values()])
        flips = np.array(list(itertools.product([1, -1], repeat=6)))
        means = (flips * values).mean(axis=1)
        expected = (means >= values.mean() - 1e-12).mean()
        found = group(data)
        assert found["p"].item() == pytest.approx(expected)
        assert found.attrs["n_permutations"] == 63
        assert found.attrs["p_min"] == 1 / 64

    def test_effect_is_found_and_none_is_not(self):
        rng = np.random.default_rng(1)
        data = {f"s{i}": result(np.r_[0.3 * np.ones(3), np.zeros(40)] + 0.1 * rng.normal(size=43)) for i in range(10)}
        found = group(data)
        assert (found["p_max"][:3] < 0.05).all()
        assert (found["p_fdr"][:3] < 0.05).all()
        assert float((found["p"][3:] <= 0.05).mean()) < 0.25
        assert (found["p_max"] >= found["p"] - 1e-12).all()

    def test_calibration(self):
        rng = np.random.default_rng(2)
        data = {f"s{i}": result(rng.normal(size=800)) for i in range(9)}
        found = group(data)
        assert abs(float((found["p"] <= 0.05).mean()) - 0.05) < 0.03
        assert abs(float(((found["low"] < 0) & (found["high"] > 0)).mean()) - 0.95) < 0.03

    def test_chance_is_subtracted(self):
        data = subjects(0.5, chance=0.5, score="accuracy")
        assert (group(data)["p"] > 0.01).all()
        assert (group(data, chance=0.0)["p"] < 0.01).all()
        assert group(data).attrs["chance"] == 0.5

    def test_subjects_with_their_own_voxels_meet_in_areas(self):
        """Row 14: every subject counts once, whatever the number of trials or voxels."""
        data = {
            "a": result([0.1, 0.3, 0.5], roi=["V1", "V1", "V2"], n_samples=40),
            "b": result([0.4, 0.6, 0.8, np.nan], roi=["V2", "V1", "V1", "V1"], n_samples=38),
            "c": result([0.9], roi=["V1"], n_samples=12),
        }
        with pytest.raises(AlignmentError, match="by='roi'"):
            group(data)
        with pytest.warns(NeurodecodeWarning, match="3 subjects allow no p value below"):
            found = group(data, by="roi")
        assert found["roi"].values.tolist() == ["V1", "V2"]
        np.testing.assert_allclose(found["score"], [[0.2, 0.5], [0.7, 0.4], [0.9, np.nan]])
        np.testing.assert_allclose(found["mean"], [0.6, 0.45])
        assert found["n_samples"].values.tolist() == [40, 38, 12]
        assert found["n_subjects"].values.tolist() == [3, 2]

    def test_same_units_in_another_order_are_refused(self):
        data = {"a": result([0.1, 0.2], roi="xy"), "b": result([0.1, 0.2], roi="yx")}
        with pytest.raises(AlignmentError, match="differ in 'roi'"):
            group(data)

    @pytest.mark.parametrize("n", [0, 1])
    def test_fewer_than_two(self, n):
        with pytest.raises(DegenerateDataError, match=f"at least 2 subjects.*{n}"):
            group(subjects(0.1, n=n))

    def test_few_subjects_have_no_bootstrap(self):
        """Row 30."""
        with pytest.warns(NeurodecodeWarning, match="no p value below"):
            found = group(subjects(0.1, n=4))
        assert np.isnan(found["boot_low"]).all()
        assert "fewer than 5 subjects" in found.attrs["bootstrap_reason"]
        assert np.isfinite(found["low"]).all()
        many = group(subjects(0.1, n=5))
        assert np.isfinite(many["boot_low"]).all()
        assert many.attrs["bootstrap_reason"] is None

    def test_missing_scores_are_left_out_unit_by_unit(self):
        data = subjects(0.2, n=7)
        data["s3"] = result([np.nan, 0.2, 0.3])
        found = group(data)
        assert found["n_subjects"].values.tolist() == [6, 7, 7]
        expected = np.mean([one["score"].values[0] for name, one in data.items() if name != "s3"])
        assert found["mean"].values[0] == pytest.approx(expected)
        assert np.isfinite(found["p"]).all()
        assert np.isfinite(found["boot_low"]).all()

    def test_other_scores(self):
        with pytest.raises(ValueError, match="different scores"):
            group({"a": result([0.1]), "b": result([0.1], score="accuracy")})
        with pytest.raises(ValueError, match="no variable 'normalized'"):
            group(subjects(0.1), variable="normalized")

    def test_of_real_results(self, worlds):
        found = group(
            {f"s{i}": cross_validate(linear_model.Ridge(), *worlds(seed=i), RUNS, score="r") for i in range(5)}
        )
        assert (found["mean"] > 0.3).all()
        assert found["roi"].values.tolist() == list("aabbcc")


class TestPaired:
    def both(self, worlds, noise=1.0):
        X, Y = worlds(n=120, noise=noise)
        est = linear_model.Ridge()
        return cross_validate(est, X, Y, RUNS, score="r"), cross_validate(est, X[:, :2], Y, RUNS, score="r")

    def test_corrected_t(self, worlds):
        one, two = self.both(worlds)
        found = paired_difference(one, two)
        d = (one["score_fold"] - two["score_fold"]).values
        t = d.mean(0) / np.sqrt(d.var(0, ddof=1) * (1 / 4 + 1 / 3))
        np.testing.assert_allclose(found["p"], 2 * stats.t.sf(np.abs(t), 3))
        np.testing.assert_allclose(found["difference"], one["score"] - two["score"])
        assert (found["low"] < found["difference"]).all()
        # It is wider than the test that takes folds for independent.
        assert (found["p"] > stats.ttest_1samp(d, 0).pvalue).all()

    def test_interval_and_p_are_about_the_same_number(self, worlds):
        X, Y = worlds(n=120)
        est = linear_model.Ridge()
        one, two = (cross_validate(est, x, Y, RUNS, score="r", pool="predictions") for x in (X, X[:, :2]))
        found = paired_difference(one, two)
        np.testing.assert_allclose(found["difference"], (one["score_fold"] - two["score_fold"]).mean("fold"))
        np.testing.assert_allclose(found["difference_pooled"], one["score"] - two["score"])
        excludes = (found["low"] > 0) | (found["high"] < 0)
        np.testing.assert_array_equal(excludes, found["p"] < 0.05)
        folds = paired_difference(*self.both(worlds))
        assert "difference_pooled" not in folds

    def test_direction_and_areas(self, worlds):
        one, two = self.both(worlds)
        assert float(paired_difference(one, two)["difference"].mean()) > 0.05
        np.testing.assert_allclose(
            paired_difference(two, one)["difference"], -paired_difference(one, two)["difference"]
        )
        areas = paired_difference(one, two, by="roi")
        assert areas["roi"].values.tolist() == ["a", "b", "c"]
        np.testing.assert_allclose(areas["difference"][0], (one["score"] - two["score"])[:2].mean())
        same = paired_difference(one, one)
        assert (same["difference"] == 0).all()
        assert (same["p"] == 1).all()

    def test_refuses_what_cannot_be_paired(self, worlds):
        one, two = self.both(worlds)
        X, Y = worlds(n=120)
        est = linear_model.Ridge()
        with pytest.raises(ValueError, match="different scores"):
            paired_difference(one, cross_validate(est, X, Y, RUNS, score="r2"))
        with pytest.raises(AlignmentError, match="different folds"):
            paired_difference(one, cross_validate(est, X, Y, SplitBy("run", 2), score="r"))
        other = Y.copy(deep=True)
        other[0, 0] = 9.0
        with pytest.raises(AlignmentError, match="not about the same targets"):
            paired_difference(one, cross_validate(est, X, other, RUNS, score="r"))
        with pytest.raises(ValueError, match="no such coordinate"):
            paired_difference(one, two, by="layer")


def test_a_list_of_results_has_no_subjects():
    with pytest.raises(TypeError, match="mapping of subject to result"):
        group([None, None])


def test_p_values_are_adjusted_with_their_labels():
    p = xr.DataArray([[0.01, np.nan], [0.04, 0.03]], dims=("roi", "time"), coords={"roi": ["V1", "IT"]}, name="p")
    found = fdr(p)
    assert found.name == "p_fdr" and found.dims == p.dims and found["roi"].values.tolist() == ["V1", "IT"]
    tested = np.isfinite(p.values)
    np.testing.assert_allclose(found.values[tested], stats.false_discovery_control(p.values[tested]))
    assert np.isnan(found.values[0, 1])
    np.testing.assert_allclose(fdr([0.01, 0.04], "by"), stats.false_discovery_control([0.01, 0.04], method="by"))
    for wrong, said in ((["a"], "expected p values"), ([0.1, 2.0], "between 0 and 1")):
        with pytest.raises(ValueError, match=said):
            fdr(wrong)
