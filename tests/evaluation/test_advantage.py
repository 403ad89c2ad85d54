"""Gains of a model over rivals: the tested quantity, its interval and its p belong together."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from neurodecode.compute.nulls import fdr
from neurodecode.evaluation import cross_validate, gains, paired_difference
from neurodecode.representation import as_representation


@pytest.fixture(scope="module")
def results():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 6))
    Y = X @ rng.normal(size=(6, 8)) + rng.normal(size=(90, 8))
    Y[:, 4:] = X[:, :2] @ rng.normal(size=(2, 4)) + rng.normal(size=(90, 4))
    roi = ["all"] * 4 + ["first"] * 4
    Y = as_representation(Y, stimulus=[f"s{n}" for n in range(90)], kind="fmri", unit={"roi": roi})
    ceiling = np.r_[np.full(5, 0.9), np.full(3, np.nan)]
    settings = {"score": "r", "pool": "predictions", "ceiling": ceiling}
    spaces = {"whole": X, "two": X[:, :2], "noise": rng.normal(size=(90, 2))}
    names = Y["stimulus"].values
    spaces = {name: as_representation(x, stimulus=names, kind="features") for name, x in spaces.items()}
    return {name: cross_validate(Ridge(), x, Y, 6, **settings) for name, x in spaces.items()}


def test_difference_interval_and_p_are_of_the_folds(results):
    table = gains(results, "whole", ["two", "noise"])
    assert table.attrs["shows"] == "gain" and table["area"].values.tolist() == ["all", "first"]
    for rival in ("two", "noise"):
        tested = paired_difference(results["whole"], results[rival], by="roi")
        mine = table.sel(rival=rival)
        np.testing.assert_allclose(mine["difference"], tested["difference_fold"].mean("fold"))
        np.testing.assert_allclose((mine["low"] + mine["high"]) / 2, mine["difference"])
        np.testing.assert_allclose(mine["p"], tested["p"])
        outside = (mine["low"] > 0) | (mine["high"] < 0)
        np.testing.assert_array_equal(outside, mine["p"] < 0.05)
    np.testing.assert_allclose(table["p_fdr"].values.ravel(), fdr(table["p"].values.ravel()))


def test_what_was_planted_is_gained_and_the_rest_is_not(results):
    table = gains(results, "whole", ["two", "noise"])
    assert (table["difference"].sel(area="all") > 0.1).all() and (table["p_fdr"].sel(area="all") < 0.05).all()
    assert abs(float(table["difference"].sel(area="first", rival="two"))) < 0.1


def test_room_ends_at_the_ceiling_and_needs_one_in_half_of_the_units(results):
    table = gains(results, "whole", ["two"])
    np.testing.assert_allclose(table["room"].sel(area="all"), 0.9 - table["score_rival"].sel(area="all"))
    assert np.isnan(table["room"].sel(area="first")).all()


def test_names_that_are_not_there_are_refused(results):
    with pytest.raises(ValueError, match="'three'"):
        gains(results, "whole", ["three"])
    with pytest.raises(ValueError, match="at least one rival"):
        gains(results, "whole", [])
