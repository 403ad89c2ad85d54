"""The oddball study on the recording itself: AUC by folds, its course, the place of the difference."""

from __future__ import annotations

import numpy as np
import pytest

from neurodecode.studies import find_study, run_study

CHEAP = {"permutations": 0, "course_permutations": 0, "shuffles": 5}


@pytest.fixture(scope="module")
def tree(data_root, tmp_path_factory):
    return run_study("oddball", data=data_root, out=tmp_path_factory.mktemp("oddball"), settings=CHEAP)


@pytest.mark.slow
def test_figures(tree):
    found = {row["name"]: row["found"] for row in tree.attrs["figures"]}
    for name, known in find_study("oddball").figures.items():
        assert found[name] == pytest.approx(known["published"], abs=known["tolerance"] + 1e-9), name
    assert 0.90 < found["lowest AUC over shuffles"] < found["highest AUC over shuffles"] < 0.98


@pytest.mark.slow
def test_the_answer_comes_late_and_over_parietal_cortex(tree):
    scalp = tree["topographies"].to_dataset()
    unit, at = np.unravel_index(np.argmax(scalp["difference"].values), scalp["difference"].shape)
    assert str(scalp["channel"].values[unit]).startswith("P") and 0.40 <= float(scalp["time"][at]) <= 0.52
    assert 12e-6 < float(scalp["difference"].values[unit, at]) < 25e-6
    course, time = tree["when"]["score"].values[0], tree["when"]["time"].values
    assert np.abs(course[time <= 0] - 0.5).mean() < 0.15 and course[time > 0.3].max() > 0.85


@pytest.mark.slow
def test_labels_that_changed_places_give_nothing(data_root):
    from sklearn.model_selection import StratifiedKFold

    from neurodecode.evaluation import cross_validate
    from neurodecode.linear import LinearClassifier, stack_time
    from neurodecode.sources import recipes

    X = recipes.open_recipe("eeg_oddball_p300", root=data_root).load()["brain"]
    assert X.sizes["sample"] == 100 and X.attrs["dropped"] == []
    order = np.random.default_rng(3).permutation(100)
    y = X["category"].copy(data=X["category"].values[order])
    null = cross_validate(
        LinearClassifier("lda", shrinkage="auto"), stack_time(X), y, StratifiedKFold(5), score="auc", pool="predictions"
    )
    assert 0.25 < null["score"].item() < 0.75
