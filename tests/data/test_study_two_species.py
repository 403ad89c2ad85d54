"""The study of two species on its recordings."""

from __future__ import annotations

import numpy as np
import pytest

from neurodecode.studies import find_study, run_study


@pytest.fixture(scope="module")
def tree(data_root, tmp_path_factory):
    return run_study("two_species", data=data_root, out=tmp_path_factory.mktemp("two_species"), dry_run=True)


def test_figures(tree):
    found = {row["name"]: row["found"] for row in tree.attrs["figures"]}
    known = find_study("two_species").figures
    assert len(known) == 4
    for name, row in known.items():
        assert found[name] == pytest.approx(row["published"], abs=row["tolerance"]), name


def test_models_are_ranked_with_ceilings_and_tests(tree):
    for name in ("models and human IT", "models and IT of fifteen", "layers and IT of fifteen"):
        result = tree[name].to_dataset()
        assert result.attrs["schema"] == "neurodecode.rsa/1"
        assert np.isfinite(result["p_fwe"].values).all() and result["ceiling_lower"] < result["ceiling_upper"]
        assert np.isfinite(result["p_pair_fdr"].values).sum() == result.sizes["model"] * (result.sizes["model"] - 1)
    models = tree["models and IT of fifteen"].to_dataset()
    assert models["mean"].values.argmax() == models["model"].values.tolist().index("monkeyIT")
    assert float(models["p_fwe"].sel(model="RADON")) > 0.05


def test_matrices_are_kept_and_shown(tree):
    shown = tree["Dissimilarities of people and monkeys"].to_dataset()
    assert shown["rdm"].shape == (5, 92, 92) and len(set(shown["category"].values)) == 6
    assert tree["matrix"].dims == ("layer", "roi")
    kinds = {name: tree[name].attrs.get("shows") for name in tree.children}
    assert kinds["models and IT of fifteen"] == "models" and kinds["the pictures in human IT"] == "embedding"
