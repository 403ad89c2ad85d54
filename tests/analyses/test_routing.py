"""The study of routing in a drawn world: what decides about an area, and the answer at its full size."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import xarray as xr

from neurodecode import studies
from neurodecode.evaluation import check_result


@pytest.fixture(scope="module")
def study():
    return studies.find_study("routing")


@pytest.fixture(scope="module")
def module(study):
    studies._load(study)
    return sys.modules["neurodecode_study_routing"]


@pytest.fixture(scope="module")
def small(module, study, tmp_path_factory):
    return module.run(studies.Job(study, None, tmp_path_factory.mktemp("routing"), 5, True, dict(study.settings)))


def test_a_dry_run_has_every_part(small):
    for name in ("routed", "flattened ridge", "spatial x feature", "mean ridge"):
        check_result(small[name].to_dataset())
    assert {small[name].attrs["shows"] for name in ("gains", "attention", "maps of places", "fields")} == {
        "gain", "attention", "fields"
    }  # fmt: skip
    assert set(small["gains"]["verdict"].values) <= {"content", "place", "nothing", "undecided"}
    weights = small["attention"]["attention"]
    np.testing.assert_allclose(weights.sum("token"), 1, atol=1e-5)
    assert 1 <= weights.sizes["sample"] <= 6


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_every_area_is_called_what_was_planted(module, study, tmp_path, seed):
    tree = module.run(studies.Job(study, None, tmp_path, seed, False, dict(study.settings)))
    gains = tree["gains"].to_dataset()
    assert gains["verdict"].values.tolist() == gains["planted"].values.tolist()
    gain = gains.set_coords("planted")["difference"].min("rival")
    assert (gain.values[np.isin(gains["area"].values, ["face area", "house area"])] > 0.1).all()
    # What the page says of an area is the sign and the verdict of a paired test, whatever the size of the difference.
    better, sure = gains["difference"] > 0, gains["p_fdr"] < 0.05
    everywhere = gains["area"].values[(better & sure).all("rival").values].tolist()
    assert everywhere == ["face area", "house area", "language area"]
    beaten = (~better & sure).sel(rival="flattened ridge")
    assert gains["area"].values[beaten.values].tolist() == ["V1", "V2"]
    assert not sure.sel(area="null area").any()
    found = {row["name"]: row["found"] for row in tree.attrs["figures"]}
    for kind in ("face", "house"):
        on = found[f"{kind} area: peak of attention on the {kind}, share of scenes"]
        assert on > 0.7 > 0.3 > found[f"{kind} area: the same with scenes exchanged"]
    drop, random = tree["attention"]["drop"].values, tree["attention"]["drop_random"].values
    at = np.isin(tree["attention"]["query"].values, ["face area", "house area"])
    assert (drop[at] > 0.15).all() and (np.abs(random[at]) < 0.05).all()


def made(folds):
    """A result of one area whose folds have these scores."""
    folds = np.array(folds, dtype=float)[:, None]
    attrs = {"score": "r", "pool": "folds", "folds_hash": "a", "n_samples": 60, "n_folds": len(folds)}
    attrs["data"] = {"Y": {"shape": [60, 1], "hash": "b"}}
    coords = {"roi": ("unit", ["area"]), "fold": list("abcdef")}
    return xr.Dataset({"score": ("unit", folds.mean(0)), "score_fold": (("fold", "unit"), folds)}, coords, attrs)


@pytest.mark.parametrize(
    ("routed", "flat", "static", "mean", "called"),
    [
        (0.6, 0.2, 0.3, 0.4, "content"),
        (0.6, 0.2, 0.3, 0.7, "content"),
        (0.4, 0.7, 0.5, 0.2, "place"),
        (0.4, 0.7, 0.5, 0.8, "undecided"),
        (0.5, 0.2, 0.5, 0.3, "undecided"),
        (0.0, 0.0, 0.0, 0.0, "nothing"),
    ],
)
def test_what_an_area_is_called_follows_from_the_tests(module, routed, flat, static, mean, called):
    from neurodecode.evaluation import gains

    rng = np.random.default_rng(0)
    given = {"routed": routed, "flattened ridge": flat, "spatial x feature": static, "mean ridge": mean}
    results = {name: made(score + 0.01 * rng.standard_normal(6)) for name, score in given.items()}
    if called == "nothing":
        results = {name: made(np.array([-1, 1, -1, 1, -1, 1]) * 0.02 * rng.uniform(0.5, 1, 6)) for name in given}
    table = gains(results, "routed", [name for name in given if name != "routed"])
    assert module.verdicts(results, table)["area"] == called
