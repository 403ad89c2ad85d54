"""Noise ceilings: planted ceilings come back, and where the data cannot tell the answer is NaN with a reason."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from references import evaluation as slow
from sklearn import linear_model

from neurodecode.compute.scores import pearson
from neurodecode.evaluation import (
    SplitBy,
    cross_validate,
    normalize,
    repeat_ceiling,
    repeat_variances,
    subject_ceiling,
)
from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.representation import as_representation


def trials(seed=0, stimuli=300, repeats=3, units=60, snr=0.5):
    """Signal variance 1 and noise variance 1/snr; returns the trials and the signal."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(stimuli, units))
    names = np.repeat([f"s{i}" for i in range(stimuli)], repeats)
    values = np.repeat(signal, repeats, axis=0)
    values = values + rng.normal(size=values.shape) / np.sqrt(snr)
    Y = as_representation(
        values, stimulus=names, kind="fmri", unit={"roi": np.resize(["a", "b"], units)},
        sample={"repeat": np.tile(np.arange(repeats), stimuli)},
    )  # fmt: skip
    return Y, signal


class TestRepeats:
    @pytest.mark.parametrize("snr", [0.2, 0.5, 2.0])
    def test_planted_ceiling_comes_back(self, snr):
        Y, signal = trials(snr=snr)
        expected = 3 * snr / (3 * snr + 1)
        found = repeat_ceiling(Y, score="r2")
        assert float(found.mean()) == pytest.approx(expected, abs=0.02)
        assert float(repeat_ceiling(Y, n=1, score="r2").mean()) == pytest.approx(snr / (snr + 1), abs=0.02)
        averaged = Y.values.reshape(300, 3, -1).mean(axis=1)
        share, _ = normalize(pearson(averaged, signal), repeat_ceiling(Y).values, "r")
        assert np.nanmean(share) >= (0.97 if snr >= 0.5 else 0.9)

    def test_equals_the_definition(self):
        Y, _ = trials(stimuli=20, units=4)
        rows = np.random.default_rng(1).permutation(60)[:50]
        uneven = Y[rows]
        for n in (None, 1, 4):
            expected = [
                slow.noise_ceiling(col, uneven["stimulus"].values.tolist(), n) for col in uneven.values.T.tolist()
            ]
            np.testing.assert_allclose(repeat_ceiling(uneven, n=n, score="r2"), expected, rtol=1e-10)
            np.testing.assert_allclose(repeat_ceiling(uneven, n=n), np.sqrt(expected), rtol=1e-10)

    def test_scale_offset_and_order_do_not_matter(self):
        Y, _ = trials(stimuli=40, units=5)
        base = repeat_ceiling(Y)
        order = np.random.default_rng(2).permutation(len(Y))
        np.testing.assert_allclose(repeat_ceiling(Y[order] * 7.0 - 3.0), base, rtol=1e-9)
        np.testing.assert_allclose(repeat_ceiling(Y.values, groups=Y["stimulus"].values), base)

    def test_units_keep_their_labels_and_the_definition_is_said(self):
        Y, _ = trials(stimuli=40, units=5)
        found = repeat_ceiling(Y)
        assert found.dims == ("unit",)
        assert found["roi"].values.tolist() == Y["roi"].values.tolist()
        assert "signal / (signal + noise / n)" in found.attrs["definition"]
        assert found.attrs["score"] == "r"
        assert found.attrs["reason"] is None
        assert found.attrs["n"] == pytest.approx(3)
        parts = repeat_variances(Y)
        np.testing.assert_allclose(parts["ncsnr"] ** 2, parts["signal"] / parts["noise"])
        assert parts.attrs["n_repeats"] == [3, 3]

    def test_over_time(self):
        Y, _ = trials(stimuli=40, units=4)
        both = xr.concat([Y, Y * 2], dim="time").transpose("sample", "unit", "time")
        found = repeat_ceiling(both)
        assert found.dims == ("unit", "time")
        np.testing.assert_allclose(found[:, 0], repeat_ceiling(Y))

    def test_single_repeat(self):
        Y, _ = trials(repeats=1, stimuli=30, units=4)
        found = repeat_ceiling(Y)
        assert np.isnan(found).all()
        assert found.attrs["reason"] == "no stimulus is repeated"
        one = repeat_ceiling(trials(stimuli=1, repeats=5, units=4)[0])
        assert np.isnan(one).all()
        assert "only one stimulus" in one.attrs["reason"]

    def test_no_reliable_signal(self):
        Y, _ = trials(stimuli=60, units=40, snr=1.0)
        Y = Y.copy(data=np.random.default_rng(3).normal(size=Y.shape))
        Y[:, 0] = np.repeat(np.random.default_rng(4).normal(size=60), 3)
        found = repeat_ceiling(Y)
        lost = np.isnan(found.values)
        assert 5 < lost.sum() < 35
        assert f"{lost.sum()} of 40 units have no signal above noise" in found.attrs["reason"]
        assert found.values[0] == pytest.approx(1.0)
        constant = Y.copy(data=np.ones(Y.shape))
        assert np.isnan(repeat_ceiling(constant)).all()

    def test_refuses(self):
        Y, _ = trials(stimuli=10, units=2)
        with pytest.raises(ValueError, match="score='accuracy'"):
            repeat_ceiling(Y, score="accuracy")
        with pytest.raises(ValueError, match="must be positive"):
            repeat_ceiling(Y, n=0)
        with pytest.raises(ValueError, match="no coordinate 'word'"):
            repeat_ceiling(Y, by="word")
        with pytest.raises(ValueError, match="plain array"):
            repeat_ceiling(Y.values)


def people(n_subjects=6, stimuli=80, units=5, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(stimuli, units))
    shared[:, -1] = 0
    parts = [shared + noise * rng.normal(size=shared.shape) for _ in range(n_subjects)]
    names = [f"s{i}" for i in range(stimuli)]
    return as_representation(
        np.concatenate(parts), stimulus=names * n_subjects, kind="fmri", unit={"roi": list("abcde"[:units])},
        sample={"subject": np.repeat([f"p{i}" for i in range(n_subjects)], stimuli)},
    )  # fmt: skip


class TestSubjects:
    def test_each_against_the_mean_of_the_others(self):
        Y = people()
        blocks = Y.values.reshape(6, 80, 5)
        expected = []
        for unit in range(5):
            each = []
            for me in range(6):
                others = np.delete(blocks[:, :, unit], me, axis=0).mean(axis=0)
                each.append(slow.pearson(list(blocks[me, :, unit]), list(others)))
            expected.append(np.mean(each))
        found = subject_ceiling(Y)
        np.testing.assert_allclose(found[:-1], expected[:-1], rtol=1e-10)
        # r = sqrt(signal / (signal + noise)) times how well five others average it out
        assert float(found[:-1].mean()) == pytest.approx(np.sqrt(0.5) * np.sqrt(1 / 1.2), abs=0.05)
        if expected[-1] <= 0:
            assert np.isnan(found[-1])
            assert "do not agree" in found.attrs["reason"]
        else:
            assert found[-1] < 0.25
        assert found.attrs["n_subjects"] == 6
        assert "mean of the others" in found.attrs["definition"]

    def test_order_of_samples_does_not_matter(self):
        Y = people()
        order = np.random.default_rng(1).permutation(len(Y))
        np.testing.assert_allclose(subject_ceiling(Y[order]), subject_ceiling(Y), rtol=1e-9)

    def test_side_by_side_on_units(self):
        Y = people(n_subjects=3)
        wide = np.concatenate(Y.values.reshape(3, 80, 5), axis=1)
        stacked = as_representation(
            wide, stimulus=[f"s{i}" for i in range(80)], kind="fmri",
            unit={"subject": np.repeat(["p0", "p1", "p2"], 5), "roi": list("abcde") * 3},
        )  # fmt: skip
        found = subject_ceiling(stacked)
        assert found.shape == (15,)
        np.testing.assert_allclose(found.values.reshape(3, 5)[:, :4].mean(axis=0), subject_ceiling(Y)[:4], rtol=1e-9)
        with pytest.raises(AlignmentError, match="number of units"):
            subject_ceiling(stacked[:, :14])
        wrong = stacked.assign_coords(roi=("unit", [*list("abcde"), *list("bacde"), *list("abcde")]))
        with pytest.raises(AlignmentError, match="'roi'"):
            subject_ceiling(wrong)

    def test_only_shared_stimuli_count(self):
        Y = people()
        some = Y[20:]
        found = subject_ceiling(some)
        assert found.attrs["n_left_out"] == 20
        kept = Y[np.flatnonzero(np.isin(Y["stimulus"], some["stimulus"][:60].values))]
        np.testing.assert_allclose(found, subject_ceiling(kept), rtol=1e-9)

    def test_one_subject(self):
        found = subject_ceiling(people(n_subjects=1))
        assert np.isnan(found).all()
        assert found.attrs["reason"] == "there is only one subject (p0)"

    def test_refuses(self):
        with pytest.raises(ValueError, match="coordinate 'subject'"):
            subject_ceiling(people().drop_vars("subject"))
        Y = people(n_subjects=2)
        apart = Y.assign_coords(stimulus=("sample", [f"x{i}" for i in range(160)]))
        with pytest.raises(DegenerateDataError, match="share 0 values"):
            subject_ceiling(apart)


class TestNormalised:
    def test_formulas(self):
        score, ceiling = np.array([0.5, -0.1, 0.9, 0.4, 0.4, np.nan]), np.array([0.8, 0.8, 0.8, np.nan, 0.1, 0.8])
        found, text = normalize(score, ceiling, "r")
        np.testing.assert_allclose(found, [0.25 / 0.64, 0.0, 1.0, np.nan, np.nan, np.nan])
        assert "max(0, r)^2 / ceiling^2" in text
        found, _ = normalize(score, ceiling, "r2")
        np.testing.assert_allclose(found, [0.625, 0.0, 1.0, np.nan, 1.0, np.nan])
        found, text = normalize(np.array([0.6]), np.array([0.8]), "accuracy")
        assert found.item() == pytest.approx(0.75)

    def test_in_a_result(self, worlds):
        """Row 29: without a ceiling the normalised score is NaN and the raw one is kept."""
        X, Y = worlds(n=120)
        ceiling = xr.DataArray(
            [0.9, np.nan, 0.9, 0.1, 0.9, 0.9], dims="unit", coords={"roi": Y["roi"]},
            attrs={"score": "r", "reason": "1 of 6 units have no signal", "definition": "planted"},
        )  # fmt: skip
        result = cross_validate(linear_model.Ridge(), X, Y, SplitBy("run"), score="r", ceiling=ceiling)
        np.testing.assert_array_equal(result["ceiling"], ceiling)
        assert np.isfinite(result["score"]).all()
        assert np.isnan(result["normalized"].values[[1, 3]]).all()
        expected = np.minimum(1, result["score"].values[[0, 2, 4, 5]] ** 2 / 0.81)
        np.testing.assert_allclose(result["normalized"].values[[0, 2, 4, 5]], expected)
        assert result.attrs["ceiling_reason"] == "1 of 6 units have no signal"
        assert result.attrs["ceiling_definition"] == "planted"
        assert result.attrs["n_below_ceiling_floor"] == 2
        plain = cross_validate(linear_model.Ridge(), X, Y, SplitBy("run"), score="r", ceiling=ceiling.values)
        np.testing.assert_array_equal(plain["normalized"], result["normalized"])

    def test_constant_prediction_counts_as_nothing_explained(self, world):
        X, Y = world
        Y = Y.copy(deep=True)
        Y[:, 5] = 1.0
        result = cross_validate(
            linear_model.Lasso(alpha=1e6), X, Y, SplitBy("run"), score="r", ceiling=np.array([0.9] * 5 + [np.nan])
        )
        assert np.isnan(result["score"]).all()
        np.testing.assert_array_equal(result["normalized"], [0, 0, 0, 0, 0, np.nan])

    def test_the_ceiling_must_belong_to_the_score(self, world):
        X, Y = world

        def call(ceiling):
            return cross_validate(linear_model.Ridge(), X, Y, SplitBy("run"), score="r", ceiling=ceiling)

        with pytest.raises(AlignmentError, match=r"\(5,\).*\(6,\)"):
            call(np.ones(5))
        with pytest.raises(AlignmentError, match="'roi'"):
            call(xr.DataArray(np.ones(6), dims="unit", coords={"roi": ("unit", list("aabbcd"))}))
        with pytest.raises(ValueError, match="ceiling of 'r2'"):
            call(xr.DataArray(np.ones(6), dims="unit", attrs={"score": "r2"}))
