"""Routed encoders of objects: the structure of the study, what it states, and the mean that is taken afterwards."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from neurodecode import studies
from neurodecode.sources.recipes import open_recipe

AREAS = ["EVC", "LOC", "PFS", "OPA", "PPA", "RSC", "FFA", "OFA", "STS", "EBA"]


@pytest.fixture(scope="module")
def study():
    return studies.find_study("routed_objects")


@pytest.fixture(scope="module")
def module(study):
    studies._load(study)
    return sys.modules["neurodecode_study_routed_objects"]


@pytest.fixture(scope="module")
def job(study, data_root, tmp_path_factory):
    return studies.Job(study, data_root, tmp_path_factory.mktemp("routed_objects"), 0, True, dict(study.settings))


@pytest.fixture(scope="module")
def tree(module, job):
    return module.run(job)


def test_every_encoder_is_scored_on_the_same_folds_of_the_authors(tree):
    results = [tree[name].to_dataset() for name in ("routed", "flattened ridge", "spatial x feature", "mean ridge")]
    assert {one.attrs["folds_hash"] for one in results} == {results[0].attrs["folds_hash"]}
    for one in results:
        assert one.attrs["n_folds"] == 7 and one.attrs["n_samples"] == 63
        assert all(row["verdict"] == "nothing shared" for row in one.attrs["leakage"] if row["checked"])
        assert "no repeats" in one.attrs["ceiling_reason"]
    assert tree["gains"]["area"].values.tolist() == AREAS
    assert np.isnan(tree["gains"]["room"].values).all()


def test_the_answer_says_what_cannot_be_said(tree):
    for part in ("one person", "63 categories", "could not have been seen", "no ceiling"):
        assert part in tree.attrs["answer"]


def test_attention_is_on_single_pictures(tree):
    node = tree["attention"].to_dataset()
    np.testing.assert_allclose(10 * node["attention"].sum("token") if node["attention"].sum("token").max() < 0.5
                               else node["attention"].sum("token"), 1, atol=1e-4)  # fmt: skip
    assert node.sizes["token"] == 64 and node["picture"].shape[1:] == (96, 96, 3)


def test_tokens_are_those_of_ten_pictures(module, job, data_root):
    pictures = open_recipe("object2vec_objects", root=data_root).load()["pictures"]
    tokens = module.by_category(job, pictures, job.settings)
    assert tokens.shape == (63, 640, 64)
    assert sorted(set(tokens["picture"].values.tolist())) == list(range(10))
    flat = module.encoders(tokens, job.settings, 0)["mean ridge"][1]
    np.testing.assert_allclose(flat.values, tokens.values.mean(1), rtol=1e-4, atol=1e-5)
