"""The study of actions on its recordings."""

from __future__ import annotations

import pytest

from neurodecode.similarity import compare_models, noise_ceiling
from neurodecode.sources.recipes import open_recipe
from neurodecode.studies import find_study, run_study


def test_figures(data_root):
    data = open_recipe("action_video_rdms", data_root).load()
    known = find_study("actions").figures
    ceiling = noise_ceiling(data["LO"])["lower"].item()
    assert ceiling == pytest.approx(known["LO: one person with the others"]["published"], abs=0.02)
    names = data["models"]["model"].values.tolist()
    model = data["models"].isel(model=names.index("transitivity")).drop_vars("model")
    found = compare_models({"transitivity": model}, data["LO"], n_bootstrap=0)
    assert found["mean"].item() == pytest.approx(known["LO: transitivity"]["published"], abs=0.02)


@pytest.mark.slow
def test_dry_run(data_root, tmp_path):
    tree = run_study("actions", data=data_root, out=tmp_path, dry_run=True)
    weighted = tree["EV weighted"].to_dataset()
    assert weighted.attrs["folds"] == 5 and weighted["model"].values.tolist() == ["weighted", "motion"]
    assert weighted["difference"][0, 1] > 0
    assert tree["dissimilarities of the areas"]["rdm"].shape[-2:] == (90, 90)
