"""The sites study on the recordings themselves: its figures, a second way to them, its controls, its memory."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.compute.device import single_thread
from neurodecode.connectivity import correlations
from neurodecode.exceptions import DegenerateDataError
from neurodecode.sources.recipes import open_recipe
from neurodecode.studies import find_study, run_study

CHEAP = {"permutations": 19, "shuffles": 1}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("sites")


@pytest.fixture(scope="module")
def tree(data_root, out):
    return run_study("sites", data=data_root, out=out, settings=CHEAP)


@pytest.fixture(scope="module")
def found(tree):
    return {row["name"]: row["found"] for row in tree.attrs["figures"]}


@pytest.fixture(scope="module")
def recording(data_root):
    with single_thread():
        data = open_recipe("abide_ho_timeseries", data_root).load()
        return data, correlations(data["series"], by="subject", constant="zero")


@pytest.mark.slow
def test_figures(found):
    promised = find_study("sites").figures
    assert len(promised) == 6
    for name, known in promised.items():
        assert found[name] == pytest.approx(known["published"], abs=known["tolerance"]), name


@pytest.mark.slow
def test_a_second_way_to_the_same_numbers(tree, found, data_root):
    """numpy.corrcoef and scikit-learn's ridge classifier, without this package."""
    with np.load(data_root / "abide_ho_timeseries" / "timeseries.npz") as stored:
        z, offsets = stored["z_int16"], stored["offsets"]
    upper = np.triu_indices(111, 1)
    rows = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for start, stop in itertools.pairwise(offsets):
            rows.append(np.arctanh(np.nan_to_num(np.corrcoef(z[start:stop].T / 2000.0)[upper])))
    people = open_recipe("abide_ho_timeseries", data_root).load()["people"]
    site, sick = people["site"].values, people["diagnosis"].values == "autism"
    split = {"groups": site, "cv": LeaveOneGroupOut()}
    with single_thread():
        said = cross_val_predict(make_pipeline(StandardScaler(), RidgeClassifier(alpha=1e4)), rows, sick, **split)
        old = cross_val_predict(make_pipeline(StandardScaler(), Ridge(alpha=1e4)), rows, people["age"].values, **split)
    each = [(said == sick)[site == name].mean() for name in dict.fromkeys(site)]
    np.testing.assert_allclose(tree["diagnosis, site left out"]["score_fold"].values[:, 0], each, atol=1e-9)
    assert found["diagnosis, all people of left-out sites together"] == pytest.approx((said == sick).mean())
    assert found["age r, sites left out"] == pytest.approx(np.corrcoef(old, people["age"].values)[0, 1], abs=1e-4)


@pytest.mark.slow
def test_nulls_and_controls(tree, found):
    assert tree["diagnosis, site left out"].attrs["exchangeability"] == "samples shuffled, within site"
    assert found["p of diagnosis, sites left out"] == found["p of age, sites left out"] == pytest.approx(0.05)
    assert found["diagnosis, sites left out, permuted within sites"] == pytest.approx(0.52, abs=0.03)
    # Ages permuted within sites keep what sites differ in, so mixed folds still find some of it.
    assert 0.05 < found["age r, ten shuffled folds, permuted within sites"] < 0.25
    assert abs(tree["age, site left out"]["null"].values.mean()) < 0.1
    assert found["control: site, balanced accuracy"] > 0.4
    assert found["control: site, balanced accuracy, motion and site taken out"] < 1 / 7 + 0.03
    assert found["control: motion r, sites left out"] > 0.5
    assert found["control: diagnosis from motion alone, sites left out"] < 0.6
    assert 0.6 < found["control: diagnosis, sites left out, motion taken out"] < 0.69


@pytest.mark.slow
def test_no_site_is_in_training_and_test(tree):
    rows = {row["coord"]: row for row in tree["diagnosis, site left out"].attrs["leakage"]}
    assert rows["subject"]["checked"] and rows["subject"]["shared"] == 0
    sites = ["NYU", "UM_1", "UCLA_1", "PITT", "UM_2", "STANFORD", "UCLA_2"]
    for name in ("diagnosis, site left out", "age, site left out", "diagnosis, no motion"):
        assert sorted(tree[name]["fold"].values.tolist()) == sorted(sites)


@pytest.mark.slow
def test_files(tree, out):
    rows = json.loads((out / "figures.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in rows] == [row["name"] for row in tree.attrs["figures"]]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "452 people" in page and "Di Martino" in page and str(out) not in page


def test_recipe(recording, data_root):
    data, X = recording
    assert len(data["series"]) == 452 and data["people"].shape == (452, 3)
    first = next(iter(data["series"]))
    with np.load(data_root / "abide_ho_timeseries" / "timeseries.npz") as stored:
        np.testing.assert_allclose(first.values, stored["z_int16"][: len(first)] / 2000, rtol=1e-6)
        empty = np.argwhere(stored["mean_sd"][:, 1] == 0)
        named = [(str(stored["subject_id"][row]), int(stored["roi_id"][place])) for row, place in empty]
    assert X.shape == (452, 6105) and X.dtype == np.float32
    assert X["subject"].values.tolist() == data["people"]["subject"].values.tolist()
    assert [(one["subject"], one["region"]) for one in X.attrs["constant"]] == named and len(named) == 50
    assert {"site", "diagnosis", "age", "motion", "sex", "eyes", "n_volumes"} <= set(X.coords)
    # Gone through again, it begins again.
    assert next(iter(data["series"])).identical(first)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_is_that_of_the_features_and_one_person(data_root):
    """All series as numbers are 80 MB; one person and the features, twice while they are put together, are 25."""
    script = """
from neurodecode.connectivity import correlations
from neurodecode.sources.recipes import open_recipe
def peak():
    # Not ru_maxrss, which a child inherits from the process that started it.
    with open("/proc/self/status") as file:
        return int(next(line.split()[1] for line in file if line.startswith("VmHWM"))) / 1024
data = open_recipe("abide_ho_timeseries").load()
series = iter(data["series"])
correlations([next(series)], constant="zero")
before = peak()
found = correlations(data["series"], constant="zero")
print(found.nbytes / 2**20, peak() - before)
"""
    settings = {**os.environ, "NEURODECODE_DATA": str(data_root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=settings, capture_output=True, text=True, check=True)
    size, rise = map(float, done.stdout.split())
    assert size == pytest.approx(10.5, abs=0.1)
    assert rise < 3 * size + 10


@pytest.fixture
def take_out(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "analyses" / "sites"))
    from controls import TakeOut

    return TakeOut


def drawn(seed, n=60):
    """Two features that follow motion and site, and a third that follows neither."""
    rng = np.random.default_rng(seed)
    motion, site = rng.normal(size=n), rng.choice(["a", "b", "c"], n)
    values = rng.normal(size=(n, 3))
    values[:, 0] += 3 * motion
    values[:, 1] += 5 * (site == "b") - 2 * (site == "c")
    labels = {
        "motion": ("sample", motion),
        "site": ("sample", site),
        "stimulus": ("sample", [str(k) for k in range(n)]),
    }
    return xr.DataArray(values, labels, ("sample", "unit"))


def test_what_is_taken_out_is_gone_and_the_rest_stays(take_out):
    X, new = drawn(0), drawn(1)
    model = take_out(("motion",), ("site",)).fit(X)
    left = model.transform(new)
    assert abs(np.corrcoef(left[:, 0], new["motion"])[0, 1]) < 0.35 < 0.9 < np.corrcoef(new[:, 0], new["motion"])[0, 1]
    means = [float(left[:, 1][new["site"].values == name].mean()) for name in "abc"]
    assert np.ptp(means) < 1 < 5 < np.ptp([float(new[:, 1][new["site"].values == name].mean()) for name in "abc"])
    assert np.corrcoef(left[:, 2], new[:, 2])[0, 1] > 0.9
    inside = model.transform(X)
    np.testing.assert_allclose(inside.groupby("site").mean("sample").values, 0, atol=1e-9)


def test_only_training_people_teach_what_to_take_out(take_out):
    X, new = drawn(0), drawn(1)
    model = take_out(("motion",), ("site",)).fit(X)
    np.testing.assert_allclose(model.transform(new[:5]).values, model.transform(new).values[:5], rtol=1e-12)
    with pytest.raises(DegenerateDataError, match="site d is not among the training samples"):
        model.transform(new[:2].assign_coords(site=("sample", ["a", "d"])))


def test_dry_run(data_root, tmp_path):
    tree = run_study("sites", data=data_root, out=tmp_path, dry_run=True)
    assert tree["diagnosis, site left out"].attrs["n_samples"] == 113
    assert (tmp_path / "dry-run" / "report.html").is_file()
