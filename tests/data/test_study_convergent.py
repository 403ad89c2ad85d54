"""The study of units that recur, on its recordings."""

from __future__ import annotations

import numpy as np
import pytest

from neurodecode.studies import run_study


@pytest.fixture(scope="module")
def tree(data_root, tmp_path_factory):
    return run_study("convergent", data=data_root, out=tmp_path_factory.mktemp("convergent"), dry_run=True)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cka_debiased", "rsa", "procrustes", "linear_predictivity"])
def test_a_layer_finds_its_match_at_like_depth(tree, how):
    cells = tree[f"layers by {how}"]["value"]
    assert cells.shape == (10, 16)
    values = -cells.values if how == "procrustes" else cells.values
    own, best = np.arange(10) / 9, values.argmax(1) / 15
    assert np.corrcoef(own, best)[0, 1] > 0.85 and np.abs(own - best).mean() < 0.2
    if how != "linear_predictivity":  # which is drawn towards earlier layers
        assert np.abs(own - best).max() < 0.3
    assert abs(best[-1] - 1) < 0.1 and best[0] < 0.15


@pytest.mark.slow
def test_units_recur_in_part_and_beyond_shuffled_stimuli(tree):
    pairs = tree["matching"].to_dataset()
    names = pairs["pair"].values.tolist()
    assert len(names) == 4 + 9 + 3 + 3
    assert (pairs["matched_held_out"] > pairs["null_high"] + 0.05).all()
    assert (pairs["best_held_out"] > pairs["matched_held_out"]).all(), "the gap is what is many to one"
    people = [name.startswith("people") for name in names]
    networks = ~np.array(people)
    assert (pairs["matched_held_out"].values[networks] > 0.4).all()
    middle = np.abs(pairs["null_low"] + pairs["null_high"]).values / 2
    untrained = np.array([name.startswith("untrained") for name in names])
    assert (middle[~untrained] < 0.06).all(), "held out, chance is near 0"
    value = dict(zip(names, pairs["matched_held_out"].values))
    assert value["untrained networks, stage 1, 1 and 2"] > 0.5, "much recurs without any learning"
    assert (pairs["null_matched"].values[people] > 0.3).all(), "on stimuli that chose, it is not"


@pytest.mark.slow
def test_channels_are_shared_in_groups(tree):
    found = {row["name"]: row["found"] for row in tree.attrs["figures"]}
    last = {name.removeprefix("ResNets, layer3"): value for name, value in found.items()}
    assert last[": mean |r| across networks within a group"] > last[": mean |r| across networks between groups"] + 0.1
    assert last[": R2 of a channel from few"] > last[": R2 of a channel from one"] + 0.1
    assert last[": groups with channels of both"] > last[", shuffled: groups with channels of both"]
    groups = tree["groups of channels"].to_dataset()
    assert int(groups["n_X"].sum()) <= 64 and len(groups["cluster"]) == int(groups["n_X"].sum() + groups["n_Y"].sum())
