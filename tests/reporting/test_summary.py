"""Area means, intervals, nulls and p values against loops; what has no score is counted and left out."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from references.reporting import area_mean, permutation_p, t_half_width

from neurodecode.reporting.summary import (
    areas,
    as_over_time,
    chance_of,
    geometry,
    groups,
    opened,
    subjects_of,
    times_of,
    unit_words,
)

T_975_6 = 2.446912  # Student's t, 97.5 %, 6 degrees of freedom, from a table


def test_area_means_equal_loops_and_dead_units_are_counted(make_encoding):
    result = make_encoding(seed=3, per_area=9, dead=5)
    roi, score = result["roi"].values, result["score"].values
    found = {area.name: area for area in areas(result)}
    assert list(found) == list(dict.fromkeys(roi.tolist()))
    for name, area in found.items():
        mean, used, lost = area_mean(score, roi, name)
        assert area.score == pytest.approx(mean)
        assert (area.n_units, area.n_degenerate) == (used + lost, lost)
    assert sum(area.n_degenerate for area in found.values()) == 5


def test_intervals_are_students_t_around_the_score(make_encoding):
    result = make_encoding(seed=1, per_area=6, dead=0)
    for area in areas(result):
        members = result["roi"].values == area.name
        per_fold = [float(np.mean(row[members])) for row in result["score_fold"].values]
        half = t_half_width(per_fold, T_975_6)
        assert area.low == pytest.approx(area.score - half, rel=1e-5)
        assert area.high == pytest.approx(area.score + half, rel=1e-5)
        assert area.over == "folds" and len(area.repeats) == 7


def test_p_of_an_area_is_that_of_its_mean(make_encoding):
    result = make_encoding(seed=2, per_area=6, permutations=49)
    finite = np.isfinite(result["score"].values)
    by_name = {area.name: area for area in areas(result)}
    for name, area in by_name.items():
        members = (result["roi"].values == name) & finite
        null = [float(np.mean(row[members])) for row in result["null"].values]
        assert area.p == pytest.approx(permutation_p(area.score, null))
        assert area.null_low == pytest.approx(np.quantile(null, 0.025))
    assert by_name["PPA"].p == pytest.approx(1 / 50), "a planted area is found"
    assert by_name["EBA"].p > 0.05, "an area without signal is not"


def test_dead_areas_are_missing_not_zero(make_encoding):
    result = make_encoding(per_area=4, dead=0)
    dead = result["roi"].values == "LOC"
    result["score"] = ("unit", np.where(dead, np.nan, result["score"].values))
    area = {area.name: area for area in areas(result)}["LOC"]
    assert np.isnan(area.score) and area.n_degenerate == 4 and np.isnan(area.p)


def test_intervals_end_where_the_score_does():
    one = xr.Dataset(
        {"score": ("unit", [0.97]), "score_fold": (("fold", "unit"), [[1.0], [1.0], [0.9]])},
        attrs={"score": "accuracy"},
    )
    assert areas(one)[0].high == 1.0


def test_several_subjects_make_the_interval(make_encoding):
    result = make_encoding(per_area=6, dead=0, permutations=0)
    result = result.assign_coords(subject=("unit", np.tile(["a", "b", "c"], result.sizes["unit"] // 3)))
    area = areas(result)[0]
    members = result["roi"].values == area.name
    means = [result["score"].values[members & (result["subject"].values == name)].mean() for name in "abc"]
    assert area.over == "subjects"
    np.testing.assert_allclose(area.repeats, means)
    assert subjects_of(result) == 3


def test_a_group_is_its_mean_over_subjects():
    values = np.array([[0.3, 0.1], [0.5, 0.0], [0.4, 0.2]])
    group = xr.Dataset(
        {"score": (("subject", "unit"), values), "mean": ("unit", values.mean(axis=0)), "p": ("unit", [0.125, 0.25])},
        coords={"subject": ["a", "b", "c"], "roi": ("unit", ["V1", "V2"])},
        attrs={"schema": "neurodecode.group/1", "score": "r", "chance": 0.0},
    )
    one = opened(group).nodes["result"]
    found = areas(one)
    assert [area.score for area in found] == pytest.approx([0.4, 0.1])
    assert found[0].over == "subjects" and found[0].p == 0.125
    assert found[0].high - found[0].score == pytest.approx(t_half_width([0.3, 0.5, 0.4], 4.302653), rel=1e-5)
    assert subjects_of(one) == 3


def test_order_of_units_and_of_permutations_does_not_matter(make_encoding):
    result = make_encoding(per_area=5)
    order = np.random.default_rng(8).permutation(result.sizes["unit"])
    shuffled = result.isel(unit=order, permutation=slice(None, None, -1))
    one, two = ({area.name: area for area in areas(each)} for each in (result, shuffled))
    for name in one:
        assert one[name].score == pytest.approx(two[name].score)
        assert one[name].p == two[name].p
        assert one[name].low == pytest.approx(two[name].low)


def test_units_without_areas_are_one_group(make_classification, make_encoding):
    assert list(groups(make_classification())) == ["category"]
    assert list(groups(make_encoding(per_area=2).drop_vars("roi"))) == ["all voxels"]


def test_one_unit_per_moment_becomes_time(make_over_time):
    timed = make_over_time()
    flat = timed.isel(unit=0, drop=True).rename(time="unit")
    flat = flat.assign_coords(time=("unit", timed["time"].values)).drop_vars("unit")
    again = as_over_time(flat)
    assert times_of(flat) is not None
    assert set(again["score"].dims) == {"unit", "time"}
    np.testing.assert_array_equal(again["score"].values.ravel(), timed["score"].values.ravel())
    assert times_of(timed.isel(time=0)) is None


def test_chance_is_what_is_stored_else_what_the_score_says(make_encoding, make_classification):
    assert chance_of(make_classification()) == 0.125
    assert chance_of(make_encoding(per_area=2)) == 0.0
    assert chance_of(xr.Dataset({"score": ("unit", [1.0])}, attrs={"score": "home made"})) is None


def test_units_are_called_what_they_are(make_encoding, make_classification):
    assert unit_words(make_encoding(per_area=2)) == ("voxel", "voxels")
    assert unit_words(make_classification()) == ("unit", "units")
    calcium = xr.Dataset({"score": ("unit", [0.5])}, attrs={"data": {"Y": {"kind": "calcium"}}})
    assert unit_words(calcium) == ("neuron", "neurons")


def test_geometry_is_found_in_attrs_or_in_those_of_the_target(make_searchlight):
    result = make_searchlight()
    affine, shape = geometry(result)
    assert shape == (40, 20, 1)
    said = {"Y": {"affine": affine.tolist(), "shape": [72, 530], "volume_shape": [40, 20, 1]}}
    moved = result.copy()
    moved.attrs = {"score": "accuracy", "data": said}
    assert geometry(moved)[1] == (40, 20, 1)
    assert geometry(result.drop_vars("k")) is None


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (np.zeros(3), TypeError, "ndarray"),
        (xr.Dataset({"other": ("unit", [1.0])}), ValueError, "no variable 'score'"),
        (xr.DataTree(), ValueError, "nothing in this result"),
    ],
)
def test_what_is_no_result_is_refused(wrong, error, words):
    with pytest.raises(error, match=words):
        opened(wrong)


def test_areas_of_a_time_course_need_a_time(make_over_time):
    with pytest.raises(ValueError, match="select one time"):
        areas(make_over_time())


def test_a_ceiling_of_a_lucky_few_is_none(make_encoding):
    result = make_encoding(per_area=10, dead=0)
    few = (result["roi"].values == "EBA") & (np.cumsum(result["roi"].values == "EBA") > 4)
    some = (result["roi"].values == "LOC") & (np.cumsum(result["roi"].values == "LOC") > 6)
    result["ceiling"] = result["ceiling"].where(xr.DataArray(~few & ~some, dims="unit"))
    found = {area.name: area for area in areas(result)}
    assert found["EBA"].n_ceiling == 4 and np.isnan(found["EBA"].ceiling) and np.isnan(found["EBA"].normalized)
    members = result["ceiling"].values[result["roi"].values == "LOC"]
    assert found["LOC"].n_ceiling == 6 and found["LOC"].ceiling == pytest.approx(np.nanmean(members))
