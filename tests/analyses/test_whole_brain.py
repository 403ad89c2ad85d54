"""The whole-brain study: planted correlations at a small size, the peak of its process at a tenth of the full one."""

import numpy as np
import pytest

from neurodecode import studies
from neurodecode.evaluation import check_result


@pytest.fixture
def study():
    return studies.find_study("whole_brain")


def job(study, out, **settings):
    return studies.Job(study, None, out, 3, bool(settings.pop("dry_run", False)), {**study.settings, **settings})


def test_a_dry_run_finds_what_was_planted_and_is_resumed(study, tmp_path, monkeypatch):
    whole_brain = studies._load(study)
    tree = whole_brain.run(job(study, tmp_path, dry_run=True, parts=2))
    check_result(tree["voxels"].to_dataset())
    r, null = tree.attrs["figures"][:2]
    assert r["low"] < r["found"] < r["high"]
    assert null["low"] < null["found"] < null["high"]
    assert (tree["voxels"]["roi"] == "planted").sum() == 750
    kept = {path.name for path in (tmp_path / "blocks" / "part 1 of 2").iterdir()}
    assert kept == {"found.json", "found.npz", "simulated"}

    calls = []
    real = whole_brain.subprocess.run
    monkeypatch.setattr(whole_brain.subprocess, "run", lambda *args, **more: calls.append(1) or real(*args, **more))
    (tmp_path / "blocks" / "part 2 of 2" / "found.json").unlink()
    (tmp_path / "blocks" / "part 2 of 2" / "simulated").unlink()
    again = whole_brain.run(job(study, tmp_path, dry_run=True, parts=2))
    assert len(calls) == 1
    np.testing.assert_array_equal(again["voxels"]["score"], tree["voxels"]["score"])


def test_peak_memory_at_a_tenth_of_the_size(study, tmp_path):
    """Responses (32 MB), weights (40 MB) and what a fit needs: below the limit, and below what was predicted."""
    whole_brain = studies._load(study)
    if not whole_brain.Path("/proc/self/status").is_file():
        pytest.skip("this system does not measure the peak of a process")
    size = {"voxels": 20_000, "features": 500, "samples": 400, "held_out": 100, "limit": "640 MiB"}
    tree = whole_brain.run(job(study, tmp_path, **size))
    (part,) = tree["voxels"].attrs["parts"]
    assert part["peak"] < part["predicted"] <= 640 * 2**20
    r, null, penalty, peak = (row["found"] for row in tree.attrs["figures"])
    assert peak == part["peak"] / 2**30 < tree.attrs["figures"][3]["high"] == 0.625
    assert abs(r - tree.attrs["figures"][0]["planted"]) < 0.05
    assert abs(null) < 0.004
    assert penalty == 1.0
