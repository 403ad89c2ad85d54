"""Samples that are moments of a recording: what chooses the epoch lies apart from what is learnt from."""

from __future__ import annotations

import json

import numpy as np
import pytest

from neurodecode.attention import RoutedEncoder, Training, past
from neurodecode.attention.held_back import hold_back
from neurodecode.exceptions import DegenerateDataError
from neurodecode.representation import as_representation, load, save

TR, LAGS = 2.0, [0, 2, 4, 6]


def slow(rng, runs, length, size):
    """Numbers that follow each other closely, anew in each run."""
    found = np.empty((runs, length, size))
    found[:, 0] = rng.normal(size=(runs, size))
    for t in range(1, length):
        found[:, t] = 0.9 * found[:, t - 1] + np.sqrt(1 - 0.81) * rng.normal(size=(runs, size))
    return found.reshape(runs * length, size)


def moments(values, runs, kind="features", names=None, onset=False, **attrs):
    length = len(values) // runs
    sample = {"run": np.repeat(np.arange(runs), length)}
    if onset:
        sample["onset"] = np.tile(np.arange(length) * TR, runs)
    names = [f"t{number}" for number in range(len(values))] if names is None else names
    dims = {"dims": ("sample", "token", "unit")} if values.ndim == 3 else {}
    return as_representation(values, stimulus=names, kind=kind, sample=sample, attrs={"tr": TR, **attrs}, **dims)


def apart(train, held, run):
    """The least distance, in samples, between a training and a held-back sample of one run."""
    return min(
        np.abs(train[run[train] == one][:, None] - held[run[held] == one]).min()
        for one in np.unique(run[held])
        if (run[train] == one).any()
    )


def split(X, share=0.1, seed=0, **settings):
    return hold_back(X, len(X), Training(validation=share, **settings), np.random.default_rng(seed))


class TestSeries:
    @pytest.mark.parametrize("seed", [0, 1])
    def test_unrelated_responses_are_not_predicted_where_the_epoch_is_chosen(self, seed):
        rng = np.random.default_rng(seed)
        X, Y = (moments(slow(rng, 4, 100, 12), 4, kind) for kind in ("features", "fmri"))
        model = RoutedEncoder(None, 16, max_epochs=4, random_state=0, training=Training(learning_rate=1e-2))
        tokens = past(X, LAGS)
        mine = float(np.mean(model.fit(tokens, Y).held_back_r_))
        torn = float(np.mean(model.fit(tokens.values, Y.values).held_back_r_))  # neighbours on both sides
        assert abs(mine) < 0.2 < 0.3 < torn

    @pytest.mark.parametrize("made", ["past", "onset"])
    def test_a_stretch_of_each_run_with_a_gap(self, made):
        rng = np.random.default_rng(0)
        if made == "past":
            X, gap = past(moments(rng.normal(size=(200, 3)), 4), LAGS), 3
        else:
            X, gap = moments(rng.normal(size=(200, 9, 3)), 4, onset=True), 1
        train, held = split(X)
        run = X["run"].values
        assert len(held) == 20 and np.bincount(run[held]).tolist() == [5, 5, 5, 5]
        assert all(np.ptp(held[run[held] == one]) == 4 for one in range(4))
        assert apart(train, held, run) == gap + 1
        assert len(train) + len(held) >= 200 - 4 * 2 * gap
        other = split(X, seed=1)[1]
        assert set(other) != set(held)

    def test_responses_say_it_where_the_tokens_do_not(self):
        rng = np.random.default_rng(0)
        Y = moments(rng.normal(size=(200, 5)), 4, "fmri", onset=True)
        for X in (rng.normal(size=(200, 9, 3)), moments(rng.normal(size=(200, 9, 3)), 4)):
            train, held = hold_back(X, 200, Training(), np.random.default_rng(0), Y)
            assert apart(train, held, Y["run"].values) == 2 and np.diff(np.sort(held)).min() == 1
            model = RoutedEncoder(None, 4, max_epochs=1, random_state=0).fit(X, Y)
            assert apart(np.setdiff1d(np.arange(200), model.held_back_), model.held_back_, Y["run"].values) == 1
            assert (np.diff(model.held_back_) == 1).sum() == 4 * 4

    def test_many_runs_are_held_back_whole(self):
        X = past(moments(np.random.default_rng(0).normal(size=(200, 3)), 20), LAGS)
        train, held = split(X)
        run = X["run"].values
        assert len(held) == 20 and not set(run[train]) & set(run[held]) and len(train) == 180

    def test_moments_that_were_shown_again_are_not_learnt_from(self):
        names = [f"t{number}" for number in range(100)] * 2
        X = past(moments(np.random.default_rng(0).normal(size=(200, 3)), 2, names=names), LAGS)
        train, held = split(X)
        assert not set(X["stimulus"].values[train]) & set(X["stimulus"].values[held])

    def test_stories_that_last_are_held_back_whole_and_one_story_by_stretches(self):
        values = np.random.default_rng(0).normal(size=(200, 3))
        stories = [f"story {number // 20}" for number in range(200)]
        train, held = split(past(moments(values, 2, names=stories), LAGS))
        assert len(held) == 20 and len(set(np.array(stories)[held])) == 1 and len(train) == 180
        train, held = split(past(moments(values, 2, names=["story"] * 200), LAGS))
        assert len(held) == 20 and apart(train, held, np.repeat([0, 1], 100)) == 4

    def test_what_is_no_series_is_drawn_sample_by_sample(self):
        values = np.random.default_rng(0).normal(size=(200, 9, 3))
        events = moments(values, 4, onset=True).assign_coords(onset=("sample", np.arange(200) * 7.5))
        for X in (values, moments(values, 4), events):
            train, held = split(X)
            assert len(train) == 180 and len(held) == 20 and np.diff(held).max() > 1
        train, held = split(past(moments(values[:, 0], 4), LAGS), validation_by="run", share=0.25)
        assert len(held) == 50 and len(train) == 150

    def test_too_short_a_series_is_said(self):
        X = past(moments(np.random.default_rng(0).normal(size=(12, 3)), 1), [0, 2, 4, 6, 8, 10, 12])
        with pytest.raises(DegenerateDataError, match="too few to hold 10% of them back"):
            split(X)

    def test_what_the_past_was_made_of_is_kept_on_disk(self, tmp_path):
        X = past(moments(np.random.default_rng(0).normal(size=(40, 3)), 2), LAGS)
        assert json.loads(json.dumps(X.attrs["past"])) == {"seconds": [0, 2, 4, 6], "by": "run", "between": 2.0}
        again = load(save(X, tmp_path / "x.zarr"))
        for one, two in zip(split(X), split(again)):
            np.testing.assert_array_equal(one, two)
