"""fMRI at the door: cleaning, samples, geometry and back, and what is refused."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from nilearn import signal
from nilearn.maskers import NiftiMasker
from references.sources import slow_blocks, slow_clean

from neurodecode.exceptions import AlignmentError, DegenerateDataError, IntegrityError, TimingError
from neurodecode.sources import fmri
from neurodecode.sources.cleaning import clean_runs, run_codes

AFFINE = np.array([[-3.0, 0, 0, 60], [0, 3.5, 0, -40], [0, 0, 4, 10], [0, 0, 0, 1.0]])
SHAPE = (5, 4, 3)
ONE_RUN = ["rest"] * 3 + ["face"] * 4 + ["rest"] * 3 + ["house"] * 4 + ["rest"] * 2 + ["face"] * 4


def image(values, affine=AFFINE, tr=2.0, unit="sec"):
    found = nibabel.Nifti1Image(values, affine)
    if values.ndim == 4:
        found.header.set_zooms((*found.header.get_zooms()[:3], tr))
    found.header.set_xyzt_units("mm", unit)
    return found


@pytest.fixture
def table():
    return pd.DataFrame({"label": ONE_RUN * 3, "run": np.repeat([2, 1, 10], len(ONE_RUN))})


@pytest.fixture
def bold(table):
    rng = np.random.default_rng(11)
    drift = np.linspace(0, 40, len(table))
    return image(500 + drift + rng.normal(0, 5, (*SHAPE, len(table))))


@pytest.fixture
def mask():
    inside = np.zeros(SHAPE, dtype=np.uint8)
    inside[1:4, 1:3, :] = 1
    return image(inside)


def matrix(bold, mask):
    return np.asarray(bold.dataobj)[np.asarray(mask.dataobj) > 0].T


class TestCleaning:
    @pytest.mark.parametrize("detrend", [True, False])
    @pytest.mark.parametrize("standardize", [True, False])
    @pytest.mark.parametrize("with_confounds", [True, False])
    def test_equals_least_squares_run_by_run(self, table, bold, mask, detrend, standardize, with_confounds):
        confounds = np.random.default_rng(3).normal(size=(len(table), 2)) if with_confounds else None
        if not (detrend or standardize) and with_confounds:
            confounds = confounds - 1.0
        found = clean_runs(
            matrix(bold, mask), table["run"], detrend=detrend, standardize=standardize, confounds=confounds
        )
        expected = slow_clean(matrix(bold, mask), table["run"].tolist(), detrend, standardize, confounds)
        np.testing.assert_allclose(found, expected, atol=1e-9)

    def test_equals_one_call_of_nilearn(self, table, bold, mask):
        found = clean_runs(matrix(bold, mask), table["run"], high_pass=0.02, tr=2.0)
        one = signal.clean(
            matrix(bold, mask), runs=np.repeat([0, 1, 2], len(ONE_RUN)), filter="cosine", high_pass=0.02, t_r=2.0
        )
        np.testing.assert_allclose(found, one, atol=1e-10)

    def test_runs_keep_their_place_whatever_they_are_called(self, table, bold, mask):
        named = clean_runs(matrix(bold, mask), [f"run-{r}" for r in table["run"]])
        np.testing.assert_array_equal(named, clean_runs(matrix(bold, mask), table["run"]))
        assert run_codes(["b", "b", "a"]).tolist() == [0, 0, 1]

    def test_scale_and_offset_of_a_voxel_do_not_matter(self, table, bold, mask):
        x = matrix(bold, mask)
        np.testing.assert_allclose(clean_runs(1e4 * x + 7, table["run"]), clean_runs(x, table["run"]), atol=1e-7)

    def test_flat_voxels_become_zero_and_never_noise(self, table, bold, mask):
        x = matrix(bold, mask)
        x[:, 0] = 731.7
        x[:, 1] = 0.1 * np.arange(len(x))
        x[: len(ONE_RUN), 2] = 3.3
        for found in (clean_runs(x, table["run"]), clean_runs(x, table["run"], standardize="percent")):
            assert not found[:, :2].any()
            assert not found[: len(ONE_RUN), 2].any()
            assert found[len(ONE_RUN) :, 2].std() > 0.3

    def test_percent_of_the_mean(self, table):
        x = np.full((len(table), 1), 200.0)
        x[::2] += 4
        found = clean_runs(x, table["run"], detrend=False, standardize="percent")
        np.testing.assert_allclose(found[:2, 0], np.array([2.0, -2.0]) / 2.02, rtol=1e-12)
        with pytest.raises(DegenerateDataError, match="mean of the run, which is zero"):
            clean_runs(x - x.mean(), table["run"], detrend=False, standardize="percent")

    def test_the_input_is_left_alone(self, table, bold, mask):
        x = matrix(bold, mask)
        before = x.copy()
        clean_runs(x, table["run"])
        np.testing.assert_array_equal(x, before)

    def test_refuses_a_run_that_comes_back_and_runs_too_short(self):
        with pytest.raises(TimingError, match=r"run 1 stops and comes back at volume 4"):
            clean_runs(np.ones((6, 2)), [1, 1, 2, 2, 1, 1])
        with pytest.raises(DegenerateDataError, match="run 'b' has 2 volumes"):
            clean_runs(np.ones((6, 2)), list("aaaabb"))
        with pytest.raises(ValueError, match="'zscore'"):
            clean_runs(np.ones((6, 2)), [1] * 6, standardize="z-score")
        with pytest.raises(TimingError, match="high_pass"):
            clean_runs(np.ones((6, 2)), [1] * 6, high_pass=0.01)


class TestRead:
    def test_volumes_are_cleaned_with_rest_and_then_dropped(self, bold, mask, table):
        X = fmri.read(bold, mask, labels=table, dtype=np.float64)
        kept = (table["label"] != "rest").to_numpy()
        expected = slow_clean(matrix(bold, mask), table["run"].tolist(), True, True)[kept]
        np.testing.assert_allclose(X.values, expected, atol=1e-9)
        without = clean_runs(matrix(bold, mask)[kept], table["run"][kept].tolist())
        assert np.abs(X.values - without).max() > 0.1, "dropping first would have given other numbers"
        assert X["category"].values.tolist() == table["label"][kept].tolist()
        assert X["run"].values.tolist() == table["run"][kept].tolist()
        np.testing.assert_allclose(X["onset"].values, 2.0 * X["volume"].values)
        assert X["onset"].values[:2].tolist() == [6.0, 8.0]
        assert len(set(X["stimulus"].values)) == X.sizes["sample"]
        assert X.attrs["kind"] == "fmri" and X.attrs["tr"] == 2.0 and X.attrs["units"] == "z"
        assert any("24 volumes" in line for line in X.attrs["history"])

    def test_blocks_are_means_of_unbroken_stretches(self, bold, mask, table):
        X = fmri.read(bold, mask, labels=table, samples="block", dtype=np.float64)
        volumes = fmri.read(bold, mask, labels=table, drop=(), dtype=np.float64)
        means, names = slow_blocks(volumes.values, table["label"].tolist(), table["run"].tolist(), {"rest"})
        np.testing.assert_allclose(X.values, means, atol=1e-12)
        assert list(zip(X["run"].values.tolist(), X["category"].values.tolist())) == [name[:2] for name in names]
        assert X["n_volumes"].values.tolist() == [4] * 9
        assert X["duration"].values.tolist() == [8.0] * 9
        assert X["onset"].values[:3].tolist() == [6.0, 20.0, 32.0]
        assert X["stimulus"].values[:3].tolist() == ["run-2_face-1", "run-2_house-1", "run-2_face-2"]
        assert len(set(X["stimulus"].values)) == 9

    def test_events_give_the_same_samples_as_labels(self, bold, mask, table):
        events = pd.DataFrame(
            [
                (run, onset, 8.0, name)
                for run in (2, 1, 10)
                for onset, name in ((6, "face"), (20, "house"), (32, "face"))
            ],
            columns=["run", "onset", "duration", "trial_type"],
        )
        by_events = fmri.read(bold, mask, events=events, runs=table["run"].tolist(), samples="block")
        by_labels = fmri.read(bold, mask, labels=table, samples="block")
        xr.testing.assert_allclose(by_events, by_labels)
        assert by_events["stimulus"].values.tolist() == by_labels["stimulus"].values.tolist()

    def test_neighbouring_events_of_one_condition_stay_two_blocks(self, bold, mask, table):
        events = pd.DataFrame({"run": 1, "onset": [4.0, 8.0], "duration": 4.0, "trial_type": "face"})
        X = fmri.read(bold, mask, events=events, runs=[1] * len(table), samples="block")
        assert X["stimulus"].values.tolist() == ["run-1_face-1", "run-1_face-2"]

    def test_one_image_per_run(self, bold, mask, table):
        n = len(ONE_RUN)
        parts = [image(np.asarray(bold.dataobj)[..., start : start + n]) for start in (0, n, 2 * n)]
        together = fmri.read(bold, mask, labels=table)
        apart = fmri.read(parts, mask, labels=table)
        xr.testing.assert_identical(together, apart)
        listed = fmri.read(parts, mask, labels=[table[["label"]][:n]] * 3, runs=[2, 1, 10])
        np.testing.assert_array_equal(listed.values, together.values)
        assert listed["run"].values.tolist() == together["run"].values.tolist()
        bare = fmri.read(parts, mask)
        assert sorted(set(bare["run"].values)) == [1, 2, 3] and "category" not in bare.coords

    def test_further_columns_become_coordinates(self, bold, mask, table):
        table["session"] = np.repeat(["a", "a", "b"], len(ONE_RUN))
        table["rating"] = np.arange(len(table)) * 0.5
        X = fmri.read(bold, mask, labels=table)
        assert set(X["session"].values) == {"a", "b"} and X["rating"].dtype == float
        blocks = fmri.read(bold, mask, labels=table, samples="block")
        assert "session" in blocks.coords and "rating" not in blocks.coords
        assert any("'rating', which varies" in line for line in blocks.attrs["history"])

    def test_paths_maskers_and_csv_are_read_alike(self, bold, mask, table, tmp_path):
        folder = tmp_path / "with spaces and ü"
        folder.mkdir()
        nibabel.save(bold, folder / "bold.nii.gz")
        nibabel.save(mask, folder / "mask.nii.gz")
        table.to_csv(folder / "labels.csv", index=False)
        one = fmri.read(str(folder / "bold.nii.gz"), folder / "mask.nii.gz", labels=folder / "labels.csv")
        xr.testing.assert_allclose(one, fmri.read(bold, mask, labels=table), atol=1e-5)
        fitted = NiftiMasker(mask_img=mask).fit()
        xr.testing.assert_identical(fmri.read(bold, fitted, labels=table), fmri.read(bold, mask, labels=table))
        with pytest.raises(ValueError, match="also sets smoothing_fwhm, standardize"):
            fmri.read(bold, NiftiMasker(mask_img=mask, standardize="zscore_sample", smoothing_fwhm=4), labels=table)
        with pytest.raises(ValueError, match="holds no mask yet"):
            fmri.read(bold, NiftiMasker(), labels=table)

    def test_units_lie_where_nilearn_puts_them(self, bold, mask, table):
        X = fmri.read(bold, mask, labels=table, detrend=False, standardize=False, drop=(), dtype=np.float64)
        np.testing.assert_allclose(X.values, NiftiMasker(mask_img=mask).fit().transform(bold), atol=1e-4)
        first = X.isel(unit=5)
        ijk = [int(first[name]) for name in "ijk"]
        np.testing.assert_allclose([float(first[name]) for name in "xyz"], (AFFINE @ [*ijk, 1])[:3])
        np.testing.assert_array_equal(X.values[:, 5], np.asarray(bold.dataobj)[tuple(ijk)])

    def test_constant_voxels_stay_as_zeros(self, table, mask):
        values = np.random.default_rng(1).normal(100, 3, (*SHAPE, len(table)))
        values[1, 1, 0] = 55
        X = fmri.read(image(values), mask, labels=table)
        assert X.sizes["unit"] == 18
        assert not X.values[:, 0].any() and X.values[:, 1].std() > 0.5

    def test_whose_voxels_these_are(self, bold, mask, table):
        X = fmri.read(bold, mask, labels=table, subject="s1", dataset="haxby")
        assert set(X["subject"].values) == {"s1"} and X["subject"].dims == ("unit",)
        assert X.attrs["dataset"] == "haxby"

    def test_inputs_unchanged(self, bold, mask, table):
        before, labels = np.array(bold.dataobj), table.copy()
        fmri.read(bold, mask, labels=table, samples="block")
        np.testing.assert_array_equal(bold.dataobj, before)
        pd.testing.assert_frame_equal(table, labels)

    def test_areas(self, bold, mask, table):
        atlas = np.zeros(SHAPE, dtype=np.int16)
        atlas[:3], atlas[3] = 7, 2
        atlas[..., 2] = 0
        X = fmri.read(bold, mask, labels=table, atlas=image(atlas), atlas_labels={7: "V1", 2: "FFA"})
        expected = {0: "outside", 7: "V1", 2: "FFA"}
        assert X["roi"].values.tolist() == [expected[int(n)] for n in atlas[np.asarray(mask.dataobj) > 0]]
        frame = pd.DataFrame({"index": [2, 7], "name": ["FFA", "V1"]})
        assert fmri.read(bold, mask, labels=table, atlas=image(atlas), atlas_labels=frame)["roi"].equals(X["roi"])
        masks = {"V1": image((atlas == 7).astype(np.uint8)), "FFA": image((atlas == 2).astype(np.uint8))}
        assert fmri.read(bold, mask, labels=table, atlas=masks)["roi"].equals(X["roi"])
        with pytest.raises(AlignmentError, match=r"no name for the numbers \[2\]"):
            fmri.read(bold, mask, labels=table, atlas=image(atlas), atlas_labels={7: "V1"})
        with pytest.raises(AlignmentError, match="a voxel has one area"):
            fmri.read(bold, mask, labels=table, atlas={"V1": masks["V1"], "all": mask})
        with pytest.raises(AlignmentError, match="probabilistic"):
            fmri.read(bold, mask, labels=table, atlas=image(np.full(SHAPE, 0.3, np.float32)))

    def test_confounds(self, bold, mask, table):
        motion = pd.DataFrame(np.random.default_rng(5).normal(size=(len(table), 3)), columns=["x", "y", "z"])
        motion.insert(0, "run", table["run"])
        X = fmri.read(bold, mask, labels=table, confounds=motion, drop=(), dtype=np.float64)
        for run in (2, 1, 10):
            own = X.values[X["run"].values == run]
            left = motion.loc[motion["run"] == run, ["x", "y", "z"]].to_numpy()
            assert np.abs((left - left.mean(0)).T @ own).max() < 1e-8
        assert any("confounds removed: x, y, z" in line for line in X.attrs["history"])
        one = fmri.read(bold, mask, labels=table, confounds=motion, confound_columns=["y"])
        assert any("removed: y" in line for line in one.attrs["history"])
        with pytest.raises(AlignmentError, match="59 rows and the recording has 60"):
            fmri.read(bold, mask, labels=table, confounds=motion[:-1])
        with pytest.raises(AlignmentError, match="disagree on the run of volume 0"):
            fmri.read(bold, mask, labels=table, confounds=motion.assign(run=motion["run"].to_numpy()[::-1]))
        empty = motion.copy()
        empty.loc[0, "x"] = np.nan
        with pytest.raises(DegenerateDataError, match=r"\{'x': 1\}"):
            fmri.read(bold, mask, labels=table, confounds=empty)
        with pytest.raises(DegenerateDataError, match=r"\['note'\] are not numbers"):
            fmri.read(bold, mask, labels=table, confounds=motion.assign(note="a"))
        with pytest.raises(DegenerateDataError, match="needs at least 23"):
            fmri.read(bold, mask, labels=table, confounds=np.ones((len(table), 20)))

    def test_values_that_are_not_finite(self, table, mask):
        values = np.random.default_rng(1).normal(100, 3, (*SHAPE, len(table)))
        values[2, 1, 0, 4] = np.nan
        with pytest.raises(DegenerateDataError, match=r"1 values in 1 voxels.*\(2, 1, 0\)"):
            fmri.read(image(values), mask, labels=table)
        X = fmri.read(image(values), mask, labels=table, nan_policy="drop_targets")
        lost = X["masked"].values
        assert lost.sum() == 1 and np.isnan(X.values[:, lost]).all() and np.isfinite(X.values[:, ~lost]).all()

    def test_refuses_labels_it_cannot_understand(self, bold, mask, table):
        with pytest.raises(ValueError, match="spell it as in the labels"):
            fmri.read(bold, mask, labels=table, drop=("Rest",))
        with pytest.raises(ValueError, match="which no volume carries"):
            fmri.read(bold, mask, labels=table, drop=("rest", "cat"))
        with pytest.raises(DegenerateDataError, match="leaves no volume"):
            fmri.read(bold, mask, labels=table, drop=("rest", "face", "house"))
        with pytest.raises(ValueError, match="samples='blocks' is not known"):
            fmri.read(bold, mask, labels=table, samples="blocks")
        with pytest.raises(ValueError, match="needs labels or events"):
            fmri.read(bold, mask, samples="block")
        table.loc[3, "label"] = ""
        with pytest.raises(DegenerateDataError, match="1 volumes have no label"):
            fmri.read(bold, mask, labels=table)
        with pytest.raises(AlignmentError, match="expected four dimensions"):
            fmri.read(mask, mask)
        with pytest.raises(TimingError, match="comes back"):
            fmri.read(bold, mask, labels=table.assign(label="a", run=[1, 2] * 30))


class TestTiming:
    @pytest.mark.parametrize("k", [1, 3])
    def test_labels_and_volumes_that_differ_by_k(self, bold, mask, table, k):
        with pytest.raises(TimingError, match=f"60 rows and the recording has {60 - k} volumes.*differ by {k}"):
            fmri.read(image(np.asarray(bold.dataobj)[..., :-k]), mask, labels=table)
        with pytest.raises(TimingError, match=f"differ by {k} \\(volumes are too many"):
            fmri.read(bold, mask, labels=table[:-k])
        shorter = image(np.asarray(bold.dataobj)[..., :-k])
        X = fmri.read(shorter, mask, labels=table, trim="end")
        expected = fmri.read(shorter, mask, labels=table[:-k])
        np.testing.assert_array_equal(X.values, expected.values)
        assert f"{k} labels cut at the end" in X.attrs["history"]
        Y = fmri.read(bold, mask, labels=table[:-k], trim="end")
        np.testing.assert_array_equal(Y.values, expected.values)

    def test_repetition_time_is_compared_with_the_header(self, bold, mask, table):
        assert fmri.read(bold, mask, labels=table, tr=2.01).attrs["tr"] == 2.01
        with pytest.raises(TimingError, match=r"tr=2.5 s was given and the header says 2 s, 25% apart"):
            fmri.read(bold, mask, labels=table, tr=2.5)
        with pytest.raises(TimingError, match=r"milliseconds: 2 s"):
            fmri.read(bold, mask, labels=table, tr=2000)

    @pytest.mark.parametrize(
        ("zoom", "unit", "given", "expected"),
        [
            (2000.0, "msec", None, 2.0),
            (1.0, "unknown", None, None),
            (1.0, "unknown", 2.5, 2.5),
            (1.0, "sec", None, 1.0),
            (2.2, "sec", None, 2.2),
            (2.5, "unknown", None, 2.5),
            (2500.0, "sec", 2.5, 2.5),
        ],
    )
    def test_headers(self, bold, mask, table, zoom, unit, given, expected):
        odd = image(np.asarray(bold.dataobj), tr=zoom, unit=unit)
        X = fmri.read(odd, mask, labels=table, tr=given)
        assert X.attrs.get("tr") == expected
        assert ("onset" in X.coords) == (expected is not None)

    def test_headers_that_cannot_be_believed(self, bold, mask, table):
        with pytest.raises(TimingError, match=r"no scanner does.*milliseconds: 2.5 s"):
            fmri.read(image(np.asarray(bold.dataobj), tr=2500, unit="sec"), mask, labels=table)
        for wrong in (0, -1, np.nan):
            with pytest.raises(TimingError, match="not a time in seconds"):
                fmri.read(bold, mask, labels=table, tr=wrong)

    def test_times_of_the_labels_are_compared_too(self, bold, mask, table):
        table["time_s"] = np.tile(np.arange(len(ONE_RUN)) * 2.0, 3)
        fmri.read(bold, mask, labels=table)
        table["time_s"] *= 1.25
        with pytest.raises(TimingError, match=r"2.5 s apart \(time_s\) and tr is 2 s"):
            fmri.read(bold, mask, labels=table)

    def test_events_need_a_repetition_time(self, bold, mask, table):
        events = pd.DataFrame({"onset": [4.0], "duration": [4.0], "trial_type": ["face"]})
        odd = image(np.asarray(bold.dataobj), tr=1.0, unit="unknown")
        with pytest.raises(TimingError, match="pass tr="):
            fmri.read(odd, mask, events=events, runs=[1] * 60)


class TestSpace:
    def test_a_mask_beside_the_image(self, bold, mask, table):
        moved = AFFINE.copy()
        moved[:3, 3] += 500
        flipped = np.diag([-1, 1, 1, 1.0]) @ AFFINE
        for affine in (moved, flipped):
            for resample in (False, True):
                with pytest.raises(AlignmentError, match="only 0% of the mask's voxels lie inside the image"):
                    fmri.read(bold, image(np.asarray(mask.dataobj), affine), labels=table, resample=resample)

    def test_overlap_is_a_share_of_voxels(self, bold, mask):
        assert fmri.overlap_fraction(mask, bold) == 1.0
        moved = AFFINE.copy()
        moved[:3, 3] += AFFINE[:3, 0] * 2
        assert fmri.overlap_fraction(image(np.asarray(mask.dataobj), moved), bold) == pytest.approx(2 / 3)

    def test_an_empty_mask(self, bold, table):
        with pytest.raises(AlignmentError, match="the mask is empty"):
            fmri.read(bold, image(np.zeros(SHAPE, np.uint8)), labels=table)

    def test_another_grid_is_refused_and_resampled_on_demand(self, bold, mask, table):
        shifted = AFFINE.copy()
        shifted[0, 3] += 1.0
        with pytest.raises(AlignmentError, match=r"their affines differ.*100% of the mask"):
            fmri.read(bold, image(np.asarray(mask.dataobj), shifted), labels=table)
        fine = AFFINE.copy()
        fine[:3, :3] /= 2
        fine[:3, 3] -= AFFINE[:3, :3].sum(1) / 4
        doubled = np.kron(np.asarray(mask.dataobj), np.ones((2, 2, 2), np.uint8))
        with pytest.raises(AlignmentError, match=r"mask \(10, 8, 6\), image \(5, 4, 3\)"):
            fmri.read(bold, image(doubled, fine), labels=table)
        X = fmri.read(bold, image(doubled, fine), labels=table, resample=True)
        xr.testing.assert_identical(X, fmri.read(bold, mask, labels=table))

    def test_rounding_in_an_affine_is_the_same_grid(self, bold, mask, table):
        nearly = AFFINE.astype(np.float32).astype(float) * (1 + 1e-7)
        assert fmri.read(bold, image(np.asarray(mask.dataobj), nearly), labels=table).sizes["unit"] == 18

    def test_a_mask_beside_the_brain(self, mask, table):
        values = np.zeros((*SHAPE, len(table)))
        values[0] = np.random.default_rng(0).normal(100, 1, values[0].shape)
        with pytest.raises(AlignmentError, match="only 0% of the mask's 18 voxels hold any value"):
            fmri.read(image(values), mask, labels=table)

    def test_an_atlas_is_not_a_mask(self, bold, table):
        with pytest.raises(DegenerateDataError, match="pass it as atlas="):
            fmri.read(bold, image(np.arange(60, dtype=np.int16).reshape(SHAPE)), labels=table)
        hollow = np.ones(SHAPE, dtype=np.float32)
        hollow[0] = np.nan
        assert fmri.read(bold, image(hollow), labels=table).sizes["unit"] == 48

    def test_runs_on_different_grids(self, bold, mask, table):
        with pytest.raises(AlignmentError, match=r"image 2 .* lies on another grid"):
            fmri.read([bold, image(np.asarray(bold.dataobj), AFFINE + np.eye(4))], mask)

    def test_files_that_are_cut_or_no_images(self, mask, bold, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no file"):
            fmri.read(tmp_path / "absent.nii.gz", mask)
        (tmp_path / "page.nii").write_text("<html>not found</html>" * 100)
        with pytest.raises(IntegrityError, match="cannot be read as an image"):
            fmri.read(tmp_path / "page.nii", mask)
        nibabel.save(bold, tmp_path / "whole.nii.gz")
        whole = (tmp_path / "whole.nii.gz").read_bytes()
        (tmp_path / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(IntegrityError, match="cut or damaged"):
            fmri.read(tmp_path / "cut.nii.gz", mask)
        (tmp_path / "short.nii.gz").write_bytes(gzip.compress(gzip.decompress(whole)[:3000]))
        with pytest.raises(IntegrityError):
            fmri.read(tmp_path / "short.nii.gz", mask)
        with pytest.raises(TypeError, match="a path or a nibabel image"):
            fmri.read(np.ones((2, 2, 2, 3)), mask)


class TestToImage:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_there_and_back_again_exactly(self, mask, dtype):
        values = np.random.default_rng(8).normal(100, 4, (*SHAPE, 6)).astype(dtype)
        X = fmri.read(image(values), mask, detrend=False, standardize=False, drop=(), dtype=dtype)
        back = fmri.to_image(X)
        expected = np.where(np.asarray(mask.dataobj)[..., None] > 0, values, 0)
        assert back.get_data_dtype() == dtype
        np.testing.assert_array_equal(np.asarray(back.dataobj), expected)
        np.testing.assert_allclose(back.affine, AFFINE)
        assert back.header.get_zooms()[3] == 2.0
        again = fmri.read(back, mask, detrend=False, standardize=False, drop=(), dtype=dtype)
        xr.testing.assert_identical(again, X)

    def test_shuffled_units_land_in_their_voxels(self, bold, mask, table):
        X = fmri.read(bold, mask, labels=table)
        order = np.random.default_rng(2).permutation(X.sizes["unit"])
        np.testing.assert_array_equal(fmri.to_image(X.isel(unit=order)[3]).get_fdata(), fmri.to_image(X[3]).get_fdata())

    def test_results(self, bold, mask, table):
        X = fmri.read(bold, mask, labels=table)
        coords = {name: X[name] for name in "ijk"}
        score = xr.DataArray(np.arange(18.0), dims="unit", coords=coords)
        score[4] = np.nan
        result = xr.Dataset({"score": score, "dead": score > 9, "count": score.fillna(0).astype(np.int64)})
        result.attrs.update(affine=X.attrs["affine"], shape=X.attrs["shape"])
        inside = np.asarray(mask.dataobj) > 0
        found = fmri.to_image(result, variable="score").get_fdata()
        np.testing.assert_array_equal(found[inside], np.nan_to_num(score.values))
        kept = fmri.to_image(result["score"], like=X, fill=np.nan).get_fdata()
        np.testing.assert_array_equal(kept[inside], score.values)
        assert np.isnan(kept[~inside]).all()
        assert fmri.to_image(result, variable="dead").get_data_dtype() == np.uint8
        assert fmri.to_image(result, variable="count").get_data_dtype() == np.int32
        bare = fmri.to_image(score.values, like=X)
        np.testing.assert_array_equal(bare.get_fdata()[inside], np.nan_to_num(score.values))
        np.testing.assert_array_equal(fmri.to_image(score, like=mask).get_fdata(), bare.get_fdata())

    def test_refuses_what_has_no_place(self, bold, mask, table):
        X = fmri.read(bold, mask, labels=table)
        with pytest.raises(AlignmentError, match="no voxel index"):
            fmri.to_image(np.ones(18))
        with pytest.raises(AlignmentError, match="no affine and shape"):
            fmri.to_image(xr.DataArray(np.ones(18), dims="unit", coords={name: X[name] for name in "ijk"}))
        with pytest.raises(AlignmentError, match="several units lie in the same voxel"):
            fmri.to_image(xr.concat([X[0], X[0]], dim="unit"))
        with pytest.raises(ValueError, match=r"which variable\?"):
            fmri.to_image(xr.Dataset({"score": X[0]}))
        with pytest.raises(AlignmentError, match="17"):
            fmri.to_image(np.ones(17), like=X)
        with pytest.raises(AlignmentError, match="lie outside"):
            fmri.to_image(X[0].assign_attrs(X.attrs | {"shape": [2, 2, 2]}))


class TestSurfaces:
    @pytest.fixture
    def sides(self):
        rng = np.random.default_rng(4)
        return {"right": rng.normal(10, 1, (5, 60)).astype(np.float32), "left": rng.normal(10, 1, (7, 60))}

    @staticmethod
    def gifti(columns, intent="NIFTI_INTENT_TIME_SERIES"):
        arrays = [nibabel.gifti.GiftiDataArray(np.float32(c), intent, "NIFTI_TYPE_FLOAT32") for c in columns]
        return nibabel.gifti.GiftiImage(darrays=arrays)

    def test_vertices_are_units(self, sides, table, tmp_path):
        func = {}
        for side, series in sides.items():
            func[side] = tmp_path / f"{side}.func.gii"
            nibabel.save(self.gifti(series.T), func[side])
        X = fmri.read_surface(func, labels=table, tr=2.0, drop=(), dtype=np.float64)
        assert X["hemi"].values.tolist() == ["left"] * 7 + ["right"] * 5
        assert X["vertex"].values.tolist() == [*range(7), *range(5)]
        series = np.concatenate([np.float32(sides["left"]), sides["right"]]).T
        np.testing.assert_allclose(X.values, slow_clean(series, table["run"].tolist(), True, True), atol=1e-9)
        blocks = fmri.read_surface(func, labels=table, samples="block")
        assert blocks.shape == (9, 12) and "tr" not in blocks.attrs and "onset" not in blocks.coords

    def test_mask_mesh_atlas_and_back(self, sides, table):
        mask = {"left": np.arange(7) > 2, "right": np.ones(5, dtype=bool)}
        mesh = {side: self.gifti([], "NIFTI_INTENT_POINTSET") for side in sides}
        points = np.random.default_rng(0).normal(0, 30, (7, 3)).astype(np.float32)
        for side, n in (("left", 7), ("right", 5)):
            mesh[side].add_gifti_data_array(
                nibabel.gifti.GiftiDataArray(points[:n], "NIFTI_INTENT_POINTSET", "NIFTI_TYPE_FLOAT32")
            )
        atlas = {}
        for side, n in (("left", 7), ("right", 5)):
            keys = nibabel.gifti.GiftiDataArray(np.int32(np.arange(n) > 3), "NIFTI_INTENT_LABEL", "NIFTI_TYPE_INT32")
            atlas[side] = nibabel.gifti.GiftiImage(darrays=[keys])
            label = nibabel.gifti.GiftiLabel(key=1)
            label.label = "V1"
            atlas[side].labeltable.labels.append(label)
        X = fmri.read_surface(sides, mask, mesh=mesh, atlas=atlas, labels=table, tr=2.0)
        assert X.sizes["unit"] == 9 and X["vertex"].values[:4].tolist() == [3, 4, 5, 6]
        np.testing.assert_allclose(X["y"].values[:4], points[3:, 1])
        assert X["roi"].values[:4].tolist() == ["outside", "V1", "V1", "V1"]
        back = fmri.to_gifti(X[0])
        np.testing.assert_array_equal(back["left"].agg_data()[3:], X.values[0, :4].astype(np.float32))
        assert np.isnan(back["left"].agg_data()[:3]).all() and back["right"].agg_data().shape == (5,)
        assert len(fmri.to_gifti(X)["left"].darrays) == X.sizes["sample"]
        np.testing.assert_array_equal(fmri.to_gifti(X[0].values, like=X)["right"].agg_data(), back["right"].agg_data())

    def test_refuses(self, sides, table, tmp_path):
        with pytest.raises(AlignmentError, match="the mask is empty"):
            fmri.read_surface(sides, {"left": np.zeros(7), "right": np.zeros(5)}, labels=table)
        with pytest.raises(AlignmentError, match=r"mask left has the shape \(5,\), the recording 7"):
            fmri.read_surface(sides, {"left": np.ones(5), "right": np.ones(5)}, labels=table)
        with pytest.raises(AlignmentError, match="no right hemisphere"):
            fmri.read_surface(sides, {"left": np.ones(7)}, labels=table)
        with pytest.raises(AlignmentError, match=r"left has \[60\] volumes per image and right has \[50\]"):
            fmri.read_surface({**sides, "right": sides["right"][:, :50]}, labels=table)
        with pytest.raises(ValueError, match="expected"):
            fmri.read_surface({"lh": sides["left"]}, labels=table)
        (tmp_path / "a.gii").write_text("<html>")
        with pytest.raises(IntegrityError, match="as GIFTI"):
            fmri.read_surface({"left": tmp_path / "a.gii"})
        with pytest.raises(AlignmentError, match="hemi and vertex"):
            fmri.to_gifti(np.ones(3))
        sides["left"][2, 3] = np.inf
        with pytest.raises(DegenerateDataError, match="1 vertices"):
            fmri.read_surface(sides, labels=table)
