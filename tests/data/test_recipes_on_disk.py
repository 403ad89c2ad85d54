"""Recipes on the real recordings: what is on disk is what the recipe says, and reads as its README says."""

from __future__ import annotations

import numpy as np
import pytest

from neurodecode.sources.recipes import open_recipe, recipe_names

ELSEWHERE = {"haxby2001", "nsd", "object2vec", "things_eeg2"}  # too large for the folder of recordings, or by hand


@pytest.mark.parametrize("name", sorted(set(recipe_names()) - ELSEWHERE))
def test_real_files_are_what_the_recipe_says(data_root, name):
    recipe = open_recipe(name, data_root)
    assert recipe.state()[0] == "complete"
    wrong = [one for one in recipe.check(deep=True) if one.wrong]
    assert not wrong


def test_object2vec_objects(data_root):
    data = open_recipe("object2vec_objects", data_root).load()
    assert data["brain"].shape == (63, 1870)
    assert data["alexnet"].shape == (63, 20)
    assert data["words"].shape == (63, 30)
    assert data["pictures"].shape == (630, 96, 96, 3)
    assert set(data["brain"]["roi"].values) == {"EVC", "LOC", "PFS", "OPA", "PPA", "RSC", "FFA", "OFA", "STS", "EBA"}
    counts = np.unique(data["brain"]["fold"].values, return_counts=True)[1]
    assert counts.tolist() == [9] * 7
    shown, times = np.unique(data["pictures"]["category"].values, return_counts=True)
    assert set(shown) == set(data["brain"]["stimulus"].values)
    assert set(times) == {10}
    assert "pictures" not in open_recipe("object2vec_objects", data_root).load(pictures=False)


def test_haxby2001_slice(data_root):
    recipe = open_recipe("haxby2001_slice", root=data_root)
    blocks = recipe.load()["brain"]
    assert blocks.shape == (72, 530)
    assert len(set(blocks["category"].values)) == 8
    assert len(set(blocks["run"].values)) == 9
    volumes = recipe.load(samples="volume", grid="25mm")["brain"]
    assert volumes.sizes["unit"] == 129
    with pytest.raises(ValueError, match="grid"):
        recipe.load(grid="3mm")


def test_vangerven2010_digits(data_root):
    data = open_recipe("vangerven2010_digits", data_root).load()
    assert data["brain"].shape == (90, 3092)
    assert data["pixels"].shape == (90, 784)
    assert data["brain"]["category"].values.tolist().count("six") == 45
    assert float(data["pixels"].max()) == 1.0


def test_celegans_nsm2023(data_root):
    recipe = open_recipe("celegans_nsm2023", data_root)
    one = recipe.load(animal="swf415_2022-01-16-01")
    assert one["neurons"].shape == (799, 130)
    assert one["neurons"]["stimulus"].equals(one["behaviour"]["stimulus"])
    assert "velocity" in one["behaviour"]["variable"].values
    assert len(recipe.load()) == 12
    with pytest.raises(ValueError, match="swf702_2022-07-26-31"):
        recipe.load(animal="swf0")


def test_cifar(data_root):
    pictures = open_recipe("cifar10_images", data_root).load()["pictures"]
    assert pictures.shape == (2000, 32, 32, 3)
    assert len(set(pictures["stimulus"].values)) == 2000
    networks = open_recipe("cifar10_resnets", data_root).load()
    assert set(networks) == {"resnet20", "resnet32"}
    assert not networks["resnet20"].training
