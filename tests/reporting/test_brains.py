"""Maps: left is left whatever the affine, the threshold is said, and NIfTI files give every value back."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import xarray as xr
from references.reporting import world_of_voxel

from neurodecode.exceptions import AlignmentError
from neurodecode.reporting import brains
from neurodecode.reporting.views import planes, space_of


def marked(affine, shape, voxel):
    """All voxels of a volume score 0.1, one of them 0.9."""
    ijk = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3)
    score = np.where((ijk == voxel).all(axis=1), 0.9, 0.1)
    coords = {name: ("unit", ijk[:, axis]) for axis, name in enumerate("ijk")}
    attrs = {"affine": np.asarray(affine, dtype=float).tolist(), "shape": list(shape), "score": "r"}
    return xr.Dataset({"score": ("unit", score)}, coords=coords, attrs=attrs)


AFFINES = {
    "RAS": [[3, 0, 0, -30], [0, 3, 0, -40], [0, 0, 3, -20], [0, 0, 0, 1]],
    "LAS": [[-3, 0, 0, 30], [0, 3, 0, -40], [0, 0, 3, -20], [0, 0, 0, 1]],
    "LPI": [[-2, 0, 0, 30], [0, -3, 0, 40], [0, 0, -4, 20], [0, 0, 0, 1]],
    "PSR": [[0, 0, 3, -30], [-3, 0, 0, 40], [0, 3, 0, -20], [0, 0, 0, 1]],
}


@pytest.mark.parametrize("name", AFFINES)
def test_a_voxel_is_drawn_at_its_millimetres(name):
    affine, shape, voxel = AFFINES[name], (9, 7, 5), (1, 5, 3)
    result = marked(affine, shape, voxel)
    truth = dict(zip("xyz", world_of_voxel(voxel, affine)))
    space = space_of(result)
    strong = np.ones(result.sizes["unit"], dtype=bool)
    for across, up in (("x", "y"), ("x", "z"), ("y", "z")):
        values, _ = planes(result, space, result["score"].values, strong, across, up)
        row, column = np.unravel_index(np.nanargmax(values), values.shape)
        for axis, at, n in ((across, column, values.shape[1]), (up, row, values.shape[0])):
            low, high = space.edges(axis)
            assert low + (at + 0.5) * (high - low) / n == pytest.approx(truth[axis])


def test_left_is_left_on_a_slice_whose_first_axis_runs_leftwards(make_searchlight):
    result = make_searchlight()
    ax = brains.slice_map(result)
    values = np.asarray(ax.images[0].get_array().filled(np.nan))
    left, right, low, high = ax.images[0].get_extent()
    assert (left, right) == pytest.approx((60.45 - 39.5 * 3.1, 60.45 + 0.5 * 3.1))
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    x = left + (column + 0.5) * (right - left) / values.shape[1]
    y = low + (row + 0.5) * (high - low) / values.shape[0]
    unit = int(np.nanargmax(result["score"].values))
    assert (x, y) == pytest.approx((float(result["x"][unit]), float(result["y"][unit])))
    letters = {text.get_text(): text.xy for text in ax.texts if text.get_text() in "LRAP"}
    assert letters["L"][0] < letters["R"][0] and letters["P"][1] < letters["A"][1]


def test_under_the_threshold_is_faded_not_cut(make_searchlight):
    result = make_searchlight()
    ax = brains.slice_map(result)
    strength = ax.images[0].get_alpha()
    shown = np.isfinite(ax.images[0].get_array().filled(np.nan))
    finite = np.isfinite(result["score"].values)
    assert shown.sum() == finite.sum(), "every unit with a score is there"
    passed = int((result["p_fdr"].values < 0.05).sum())
    assert (strength[shown] == 1).sum() == passed and 0 < passed < finite.sum()
    said = " ".join(text.get_text() for text in ax.texts)
    assert "p < .05, false discovery rate" in said and f"{passed} voxels pass" in said and "2 × no score" in said
    crosses = [line for line in ax.lines if line.get_gid() == "degenerate"]
    assert len(crosses[0].get_xdata()) == 2


def test_a_threshold_can_be_given(make_searchlight):
    result = make_searchlight()
    shown = brains.threshold(result, value=0.3)
    np.testing.assert_array_equal(shown.above, result["score"].values > 0.3)
    assert "0.30" in shown.words
    assert "not tested" in brains.threshold(result.drop_vars(["p", "p_fdr"])).words
    assert "uncorrected" in brains.threshold(result.drop_vars("p_fdr")).words


def test_colours_are_centred_on_chance(make_searchlight):
    low, high = brains.slice_map(make_searchlight()).images[0].get_clim()
    assert (low + high) / 2 == pytest.approx(0.125)


def test_projections_show_the_voxel_furthest_from_chance():
    result = marked(AFFINES["LAS"], (6, 7, 8), (1, 2, 3))
    ax = brains.glass(result)
    back, side, top = ax.child_axes
    for view in (back, side, top):
        assert np.nanmax(view.images[0].get_array()) == 0.9
        assert (view.images[0].get_array() == 0.9).sum() == 1
    assert back.get_xlabel() == "x (mm)" and side.get_xlabel() == "y (mm)" and top.get_ylabel() == "y (mm)"


def test_units_with_positions_only_are_points():
    random = np.random.default_rng(0)
    xyz = random.normal(size=(20, 3))
    coords = {name: ("unit", xyz[:, axis]) for axis, name in enumerate("xyz")}
    result = xr.Dataset({"score": ("unit", random.random(20))}, coords=coords, attrs={"score": "r"})
    top = brains.glass(result).child_axes[2]
    np.testing.assert_allclose(np.sort(top.collections[0].get_offsets()[:, 0]), np.sort(xyz[:, 0]))


def test_schematics_are_drawn_only_where_the_space_is_known():
    result = marked(AFFINES["RAS"], (6, 7, 8), (1, 2, 3))
    plain = len(brains.glass(result).child_axes[0].patches)
    result.attrs["space"] = "MNI152NLin2009cAsym"
    assert len(brains.glass(result).child_axes[0].patches) > plain


@pytest.mark.parametrize("name", ["map.nii", "map.nii.gz"])
def test_nifti_gives_every_value_back(make_searchlight, tmp_path, name):
    result = make_searchlight()
    path = brains.to_nifti(result, "score", tmp_path / "new folder" / name)
    image = nibabel.load(path)
    assert image.shape == (40, 20, 1)
    np.testing.assert_allclose(image.affine, np.array(result.attrs["affine"]), rtol=1e-6)
    volume = image.get_fdata()
    at = tuple(result[axis].values for axis in "ijk")
    np.testing.assert_array_equal(volume[at].astype(np.float32), result["score"].values.astype(np.float32))
    outside = np.ones(volume.shape, dtype=bool)
    outside[at] = False
    assert np.isnan(volume[outside]).all(), "what is outside of the mask is not a score of 0"
    first = path.read_bytes()
    brains.to_nifti(result, "score", path)
    assert path.read_bytes() == first


def test_nifti_of_flags_and_of_times(make_searchlight, tmp_path):
    result = make_searchlight()
    flags = nibabel.load(brains.to_nifti(result, "degenerate", tmp_path / "d.nii"))
    assert flags.get_fdata().sum() == 2
    timed = result.assign(score=(("unit", "time"), np.stack([result["score"].values] * 3, axis=1)))
    assert nibabel.load(brains.to_nifti(timed, "score", tmp_path / "t.nii")).shape == (40, 20, 1, 3)


def test_what_has_no_place_is_refused(make_encoding, make_searchlight, tmp_path):
    bare = make_encoding(per_area=2, geometry=False)
    assert not brains.has_geometry(bare)
    for draw in (brains.slice_map, brains.glass):
        with pytest.raises(AlignmentError, match="i, j, k"):
            draw(bare)
    with pytest.raises(AlignmentError, match="i, j, k"):
        brains.to_nifti(bare, "score", tmp_path / "x.nii")
    with pytest.raises(ValueError, match=r"\.nii"):
        brains.to_nifti(make_searchlight(), "score", tmp_path / "x.img")
    with pytest.raises(ValueError, match="no variable 'beta'"):
        brains.to_nifti(make_searchlight(), "beta", tmp_path / "x.nii")
    with pytest.raises(AlignmentError, match="glass"):
        brains.slice_map(make_encoding(per_area=4))
    assert not list(tmp_path.iterdir())


def test_two_subjects_in_one_voxel_are_no_volume(make_searchlight):
    result = make_searchlight()
    assert brains.has_geometry(result) and brains.is_slice(result)
    assert not brains.has_geometry(xr.concat([result, result], dim="unit", data_vars="minimal"))
