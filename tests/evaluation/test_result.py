"""The result itself: what it must hold, area means with their counts, figures, trees, and the table of scores."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import xarray as xr
from sklearn import linear_model

from neurodecode.compute import scores as arrays
from neurodecode.evaluation import (
    SplitBy,
    area_means,
    check_result,
    cross_validate,
    evaluate,
    figure,
    group,
    retrieval,
    study_tree,
)
from neurodecode.evaluation.result import check_readable, jsonable, other_versions, versions
from neurodecode.evaluation.scores import SCORES, Score, resolve_score
from neurodecode.exceptions import AlignmentError, IntegrityError
from neurodecode.representation import load, save
from neurodecode.studies import open_result

RUNS = SplitBy("run")


@pytest.fixture
def result(world):
    X, Y = world
    Y = Y.copy(deep=True)
    Y[:, 1] = 0.0
    return cross_validate(linear_model.Ridge(), X, Y, RUNS, score="r")


class TestCheck:
    def test_a_result_is_one(self, result):
        assert check_result(result) is result

    def test_everything_missing_is_named(self, result):
        with pytest.raises(ValueError, match=r"'score' is missing.*'score_fold' is missing"):
            check_result(xr.Dataset())
        with pytest.raises(ValueError, match="'leakage'"):
            check_result(result.assign_attrs({}).drop_attrs().assign_attrs(schema="neurodecode.result/1"))
        with pytest.raises(ValueError, match=r"score has the dimensions"):
            check_result(result.assign(score=("voxel", np.zeros(6))))
        with pytest.raises(ValueError, match="schema is 'neurodecode"):
            check_result(result.assign_attrs(schema="neurodecode.result/9"))


class TestAreaMeans:
    def test_dead_units_are_left_out_and_counted(self, result):
        table = area_means(result)
        assert table["area"].values.tolist() == ["a", "b", "c"]
        score = result["score"].values
        np.testing.assert_allclose(table["mean"], [score[0], score[2:4].mean(), score[4:].mean()])
        assert table["n"].values.tolist() == [1, 2, 2]
        assert table["n_left_out"].values.tolist() == [1, 0, 0]
        assert (table["low"] < table["mean"]).all()
        assert (table["mean"] < table["high"]).all()

    def test_all_together_and_empty_areas(self, result):
        table = area_means(result, by=None)
        assert table["mean"].item() == pytest.approx(np.nanmean(result["score"]))
        assert table["n"].item() == 5
        only = result.assign_coords(roi=("unit", list("abcccc")))
        assert np.isnan(area_means(only)["mean"].values[1])
        assert area_means(only)["n"].values[1] == 0

    def test_other_variables_and_refusals(self, result):
        table = area_means(result, variable="degenerate")
        assert table["mean"].values.tolist() == [0.5, 0, 0]
        assert np.isnan(table["low"]).all()
        with pytest.raises(ValueError, match="no variable 'p'"):
            area_means(result, variable="p")
        with pytest.raises(ValueError, match="they have roi"):
            area_means(result, by="layer")


class TestFigures:
    def test_planted_and_published(self):
        assert figure("x", np.float32(1)) == {"name": "x", "found": 1.0, "planted": None, "low": None, "high": None}
        row = figure("y", 0.5, planted=0.4, low=0.3, high=0.6, published=0.45, tolerance=0.02)
        assert row["published"] == 0.45
        assert json.loads(json.dumps(row)) == row
        with pytest.raises(ValueError, match="empty"):
            figure("z", 1, low=2, high=1)

    def test_tree(self, result, tmp_path):
        matrix = xr.DataArray(np.ones((2, 3)), {"layer": ["l1", "l2"], "roi": ["a", "b", "c"]}, ("layer", "roi"))
        tree = study_tree(
            {"alexnet": result, "words": result}, question="Which?", answer="That.", figures=[figure("x", 1.0)],
            matrix=matrix, matrix_null95=0 * matrix, method="ridge",
        )  # fmt: skip
        assert list(tree.children) == ["alexnet", "words"]
        assert tree.attrs["figures"][0]["name"] == "x"
        assert tree.attrs["method"] == "ridge"
        assert tree["matrix"].dims == ("layer", "roi")
        assert tree["matrix"]["roi"].values.tolist() == ["a", "b", "c"]
        assert tree["alexnet"]["roi"].dims == ("unit",)
        check_result(tree["words"].to_dataset())
        again = load(save(tree, tmp_path / "tree.zarr"))
        xr.testing.assert_identical(again["alexnet"].to_dataset(), tree["alexnet"].to_dataset())
        with pytest.raises(ValueError, match="without '/'"):
            study_tree({"a/b": result})
        with pytest.raises(ValueError, match="not a Dataset"):
            study_tree({"a": 3})

    def test_jsonable(self):
        values = {"a": np.arange(2), "b": [np.float32(0.5), np.nan, np.bool_(True)], 3: RUNS}
        assert jsonable(values) == {"a": [0, 1], "b": [0.5, None, True], "3": "SplitBy('run')"}


class TestScores:
    def test_table(self):
        assert {"r", "r2", "explained_variance", "accuracy", "balanced_accuracy", "auc", "identification"} <= set(
            SCORES
        )
        assert {"top1", "top5"} <= set(SCORES)
        assert all(row.name == name and row.higher for name, row in SCORES.items())

    def test_every_way_to_name_one(self):
        assert resolve_score("r", False) is SCORES["r"]
        assert resolve_score(arrays.pearson, False) is SCORES["r"]
        assert resolve_score(partial(arrays.top_k, k=3), False).name == "top3"
        assert resolve_score(arrays.top_k, False).name == "top1"
        own = Score("mine", arrays.r2, "values", higher=False)
        assert resolve_score(own, False) is own
        assert resolve_score(lambda t, p: t, True).needs == "labels"
        with pytest.raises(ValueError, match="at least one row"):
            retrieval(0)

    @pytest.mark.parametrize("name", SCORES)
    def test_needs_are_checked(self, name):
        labels = SCORES[name].needs in ("labels", "decision")
        assert resolve_score(name, labels) is SCORES[name]
        with pytest.raises(ValueError, match="Choose one of"):
            resolve_score(name, not labels)

    def test_lower_is_better(self, world):
        def error(truth, predicted):
            return ((truth - predicted) ** 2).mean(axis=0)

        low = Score("error", error, "values", higher=False)
        good = cross_validate(linear_model.Ridge(), *world, RUNS, score=low, permutations=19, random_state=0)
        assert (good["p"] == 0.05).all()

    def test_of_a_prediction_that_exists(self, world):
        _, Y = world
        predicted = Y.copy(data=Y.values + 1.0)
        found = evaluate(Y, predicted, "r")
        assert found["roi"].values.tolist() == Y["roi"].values.tolist()
        np.testing.assert_allclose(found, 1.0)
        np.testing.assert_allclose(evaluate(Y, predicted, "r2"), arrays.r2(Y.values, predicted.values))
        assert evaluate(Y, Y, "identification", by="roi")["roi"].values.tolist() == ["a", "b", "c"]
        assert evaluate(Y.values, Y.values, "identification").item() == 1.0
        with pytest.raises(AlignmentError, match="another order"):
            evaluate(Y, predicted[::-1], "r")


class TestOtherReleases:
    """A result of an older release loads, one of a later release explains itself."""

    def test_a_later_form_is_refused_and_an_older_or_none_is_read(self):
        tree = xr.DataTree.from_dict(
            {"/": xr.Dataset(), "/words": xr.Dataset(attrs={"schema": "neurodecode.result/9"})}
        )
        with pytest.raises(IntegrityError, match=r"/words has the form 'neurodecode.result/9'.*later release"):
            check_readable(tree)
        for form in ("neurodecode.result/0", "neurodecode.result/1", "other.thing/7", ""):
            check_readable(xr.Dataset(attrs={"schema": form}))
        one = xr.Dataset(
            {"score": ("unit", [0.3])}, attrs={"score": "r", "chance": 0.0, "schema": "neurodecode.group/3"}
        )
        with pytest.raises(IntegrityError, match="later release"):
            group({"ann": one, "bob": one})

    def test_a_stored_one_is_refused_where_it_is_opened(self, tmp_path):
        later = xr.Dataset({"score": ("unit", [0.3])}, attrs={"schema": "neurodecode.result/2"})
        for number, form in enumerate((later, xr.DataTree.from_dict({"/": xr.Dataset(), "/one": later}))):
            save(form, tmp_path / f"{number}.zarr")
            with pytest.raises(IntegrityError, match="pip install --upgrade neurodecode"):
                open_result(tmp_path / f"{number}.zarr")

    def test_other_versions_are_named(self):
        said = {**versions(), "torch": "1.0", "cupy": "13"}
        tree = xr.DataTree.from_dict({"/": xr.Dataset(), "/one": xr.Dataset(attrs={"versions": said})})
        assert other_versions(tree) == {"torch": ("1.0", versions()["torch"]), "cupy": ("13", "absent")}
        assert other_versions(xr.Dataset(attrs={"versions": versions()})) == {}
