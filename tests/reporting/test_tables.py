"""Tables of a result: areas, figures, and a CSV that gives every score back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neurodecode.reporting import tables
from neurodecode.reporting.tables import verdict


def test_by_area_has_a_row_for_each_result_and_area(make_study):
    table = tables.by_area(make_study())
    assert len(table) == 20 and list(table["result"].unique()) == ["alexnet", "words"]
    row = table[(table["result"] == "alexnet") & (table["area"] == "LOC")].iloc[0]
    one = make_study()["alexnet"].to_dataset()
    assert row["score"] == pytest.approx(float(one["score"].where(one["roi"] == "LOC").mean()))
    assert row["low"] < row["score"] < row["high"] and np.isnan(row["ceiling"])


def test_by_area_takes_any_coordinate(make_encoding):
    result = make_encoding(per_area=4)
    result = result.assign_coords(hemi=("unit", np.tile(["L", "R"], result.sizes["unit"] // 2)))
    assert tables.by_area(result, by="hemi")["area"].tolist() == ["L", "R"]


def test_over_time_every_moment_has_a_row(make_over_time):
    result = make_over_time(areas=["V1", "V2"])
    table = tables.by_area(result)
    assert len(table) == 2 * result.sizes["time"]
    best = tables.highest_over_time(result)
    for row in best.itertuples():
        course = result["score"].values[result["roi"].values == row.area][0]
        assert row.score == pytest.approx(course.max())
        assert row.time == result["time"].values[course.argmax()]


def test_csv_gives_every_score_back(make_study, tmp_path):
    tree = make_study()
    path = tables.to_csv(tree, tmp_path / "folder with space" / "scores.csv")
    back = pd.read_csv(path)
    assert len(back) == sum(node.sizes["unit"] for node in tree.children.values())
    for name, node in tree.children.items():
        mine = back[back["result"] == name]
        for variable in ("score", "p", "p_fdr", "p_max"):
            np.testing.assert_array_equal(mine[variable].to_numpy(), node[variable].values)
        assert mine["roi"].tolist() == node["roi"].values.tolist()
        np.testing.assert_array_equal(mine[["i", "j", "k"]].to_numpy().T, [node[axis].values for axis in "ijk"])
        assert mine["degenerate"].tolist() == node["degenerate"].values.tolist()


def test_csv_of_a_time_course_is_long(make_over_time, tmp_path):
    result = make_over_time(areas=["V1", "V2"])
    back = pd.read_csv(tables.to_csv(result, tmp_path / "t.csv"))
    assert len(back) == result["score"].size
    again = back.set_index(["roi", "time"])["score"]
    assert again["V2", 5.0] == result["score"].sel(time=5.0).values[1]


def test_csv_keeps_awkward_names(tmp_path):
    names = ['a,"b"', "line\nbreak", "Größe", "<script>"]
    result = xr.Dataset({"score": ("unit", [0.1, 0.2, 0.3, 0.4])}, coords={"roi": ("unit", names)})
    assert pd.read_csv(tables.to_csv(result, tmp_path / "x.csv"))["roi"].tolist() == names


PLANTED = {"planted": 1.0, "low": 0.9, "high": 1.1}
PUBLISHED = {"planted": None, "low": None, "high": None, "published": 0.45, "tolerance": 0.02}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"found": 1.0, **PLANTED}, "inside"),
        ({"found": 1.2, **PLANTED}, "outside"),
        ({"found": float("nan"), **PLANTED}, "outside"),
        ({"found": 0.47, **PUBLISHED}, "reached"),
        ({"found": 0.48, **PUBLISHED}, "not reached"),
        ({"found": None, **PUBLISHED}, "not reached"),
        ({"found": 3.0, "planted": None, "low": None, "high": None}, ""),
    ],
)
def test_verdicts(row, said):
    assert verdict(row) == said


def test_figures_of_a_study(make_study):
    table = tables.figures(make_study())
    assert table["verdict"].tolist()[-3:] == ["inside", "outside", ""]
    assert table["published"].notna().sum() == 3
