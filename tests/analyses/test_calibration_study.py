"""The study of calibration: its null is one, its planted is found, a finished part is not drawn again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from neurodecode import studies


@pytest.fixture(scope="module")
def study():
    return studies.find_study("calibration")


@pytest.fixture(scope="module")
def module(study):
    return studies._load(study)


def job(study, out, **settings):
    return studies.Job(study, None, out, 0, False, {**study.settings, **settings})


def test_every_paired_measure_and_every_test_of_models_is_in(module):
    from neurodecode.similarity import MEASURES

    parts = module.representations.parts()
    assert {how for how, row in MEASURES.items() if row.paired} < set(parts) and "grid" in parts and "gw" not in parts
    rng = np.random.default_rng(0)
    kinds = {f"{over}: {test}" for over in ("new people", "new stimuli", "both") for test in module.geometries.TESTS}
    assert set(module.geometries.planted("pearson", rng)) == {f"pearson, {kind}" for kind in kinds}
    null = set(module.geometries.nothing_shared("pearson", rng)) | set(
        module.geometries.shared_by_others("pearson", rng)
    )
    assert null | {"pearson, new people: below the ceiling"} == {f"pearson, {kind}" for kind in kinds}


def test_what_is_unrelated_is_called_alike_in_one_of_twenty_and_what_is_planted_is_found(module, study, tmp_path):
    parts = module.geometries.parts()
    kept = {name: parts[name] for name in ("pearson, nothing shared", "cosine, nothing shared")}
    found = module.simulated(job(study, tmp_path, sets=2000), kept, {"sets": 2000, "power_sets": 1})
    assert len(found) == 4
    for test, row in found.items():
        false, sets = row["unrelated"]
        assert sets == 2000 and 0.035 <= false / sets <= 0.065, test
    rng = np.random.default_rng(1)
    p = [module.geometries.planted("pearson", rng)["pearson, both: above 0"] for _ in range(10)]
    assert np.mean(np.array(p) <= 0.05) >= 0.8


def test_a_model_as_good_as_the_others_reaches_the_ceiling(module):
    """The share is found with data sets of its own; with others the mean score is that of the ceiling."""
    made = module.geometries.AsGood("pearson", sets=200)
    rng = np.random.default_rng(2)
    scores = np.array([made.score(made.draw(rng), made.model) for _ in range(300)])
    off = scores[:, 0] - scores[:, 1]
    assert abs(off.mean()) < 5 * off.std() / np.sqrt(200)
    assert 0.5 < made.share < 1


def test_the_decision_of_draws_one_by_one_is_that_of_all(module):
    from neurodecode.similarity import compare

    rng = np.random.default_rng(3)
    for planted in (False, True):
        latent = rng.normal(size=(20, 2))
        x, y = (latent @ rng.normal(size=(2, 3)) * planted + rng.normal(size=(20, 3)) for _ in range(2))
        short = module.representations.one_by_one("linear_predictivity", x, y, 5)
        whole = float(compare(x, y, "linear_predictivity", permutations=19, random_state=5)["p"])
        assert (short <= 0.05) == (whole <= 0.05)


def test_a_finished_part_is_read(module, study, tmp_path):
    calls = []

    def draw(rng):
        calls.append(1)
        return {"test": float(rng.random())}

    mine = job(study, tmp_path)
    first = module.values(mine, "a part", draw, 5)
    assert module.values(mine, "a part", draw, 5) == first and len(calls) == 5
    assert json.loads((mine.store("a_part").with_suffix(".json")).read_text()) == first
    other = module.values(job(study, tmp_path / "other"), "a part", draw, 5)
    assert other == first


@pytest.mark.slow
def test_dry_run(tmp_path):
    tree = studies.run_study("calibration", out=tmp_path, dry_run=True)
    names = [row["name"] for row in tree.attrs["figures"]]
    assert len(names) == len(set(names)) > 100
    assert (tmp_path / "dry-run" / "report.html").is_file()
