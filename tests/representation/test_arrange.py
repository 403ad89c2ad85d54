"""Samples meet by label; repeats are averaged when asked; what was done is written down."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from references.representation import slow_average, slow_match

from neurodecode.exceptions import AlignmentError, TimingError
from neurodecode.representation import (
    as_representation,
    average_repeats,
    check_representation,
    check_same_samples,
    match,
)


def array(ids, width=3, seed=0, dtype=np.float64, kind="fmri", **named):
    values = np.random.default_rng(seed).normal(size=(len(ids), width)).astype(dtype)
    return as_representation(values, stimulus=list(ids), kind=kind, **named)


def series(per_run, tr=2.0, seed=0, ids=None):
    runs = np.repeat(np.arange(len(per_run)), per_run)
    onset = np.concatenate([tr * np.arange(n) for n in per_run])
    ids = ids if ids is not None else ["movie"] * len(runs)
    return array(ids, seed=seed, sample={"run": runs, "onset": onset}, attrs={"tr": tr})


class TestMatch:
    @pytest.mark.parametrize("seed", range(5))
    def test_as_the_twin_does(self, seed):
        rng = np.random.default_rng(100 + seed)
        ids = [f"s{at}" for at in range(12)]
        a, b = rng.permutation(ids)[:9], rng.permutation(ids)[:10]
        X, Y = array(a, seed=seed), array(b, seed=seed + 50)
        left, right = match(X, Y, join="inner")
        expected = slow_match(X.values.tolist(), a.tolist(), Y.values.tolist(), b.tolist(), inner=True)
        assert left["stimulus"].values.tolist() == [label for label, _, _ in expected]
        np.testing.assert_array_equal(left.values, [row for _, row, _ in expected])
        np.testing.assert_array_equal(right.values, [row for _, _, row in expected])
        check_same_samples(left, right)
        check_representation(left), check_representation(right)

    def test_order_is_that_of_x_and_recorded(self):
        X, Y = array("abc"), array("cab", sample={"run": [3, 1, 2]})
        left, right = match(X, Y)
        assert left is X, "nothing to do, nothing touched"
        np.testing.assert_array_equal(right.values, Y.values[[1, 2, 0]])
        assert right["run"].values.tolist() == [1, 2, 3]
        assert right.attrs["history"] == ["match by stimulus: 3 samples, reordered"]
        assert Y.attrs["history"] == [], "the input keeps its own history"

    def test_matching_twice_changes_nothing(self):
        once = match(array("abc"), array("cab"))
        twice = match(*once)
        assert twice[0] is once[0] and twice[1] is once[1]

    def test_missing_ids_raise_and_inner_keeps_the_shared_with_the_count(self):
        X, Y = array("abcd"), array("dbxa")
        with pytest.raises(AlignmentError, match=r"'c'; 1 of 4 stimulus labels are missing in X: 'x'\. .*join='inner'"):
            match(X, Y)
        left, right = match(X, Y, join="inner")
        assert left["stimulus"].values.tolist() == right["stimulus"].values.tolist() == ["a", "b", "d"]
        assert left.attrs["history"] == ["match by stimulus: kept 3 of 4 samples"]
        assert right.attrs["history"] == ["match by stimulus: kept 3 of 4 samples, reordered"]

    @pytest.mark.parametrize("join", ["exact", "inner"])
    def test_nothing_shared_raises_always(self, join):
        with pytest.raises(AlignmentError, match="same way"):
            match(array("ab"), array("xy"), join=join)

    def test_by_another_coordinate_and_by_several(self):
        X = array("abcd", sample={"trial": [1, 2, 3, 4]})
        Y = array("wxyz", sample={"trial": [4, 3, 2, 1]})
        np.testing.assert_array_equal(match(X, Y, by="trial")[1].values, Y.values[::-1])
        X = array("aabb", sample={"run": [1, 2, 1, 2]})
        Y = array("baba", sample={"run": [2, 2, 1, 1]})
        np.testing.assert_array_equal(match(X, Y, by=("stimulus", "run"))[1].values, Y.values[[3, 1, 2, 0]])

    @pytest.mark.parametrize(
        ("call", "error", "says"),
        [
            (lambda X: match(X, X.values), TypeError, "Y is a plain ndarray"),
            (lambda X: match(X, X, by="trial"), AlignmentError, "no sample coordinate 'trial'; it has stimulus"),
            (lambda X: match(X, X, join="outer"), ValueError, r"join='outer'.* 'inner'\.$"),
            (lambda X: match(X, X, join=min), ValueError, "join=<built-in"),
            (lambda X: match(X, X, repeats="mean"), ValueError, "repeats='mean'"),
            (lambda X: match(X, X, trim="start"), ValueError, "trim='start'"),
        ],
    )
    def test_wrong_calls(self, call, error, says):
        with pytest.raises(error, match=says):
            call(array("abc"))

    def test_same_name_other_bytes(self):
        X = array("ab", sample={"sha256": ["0" * 64, "1" * 64]})
        Y = array("ba", sample={"sha256": ["1" * 64, "2" * 64]})
        with pytest.raises(AlignmentError, match=r"other content .*'a'"):
            match(X, Y)
        left, _ = match(X, array("ba", sample={"sha256": ["1" * 64, "0" * 64]}))
        assert left is X


class TestRepeats:
    """Row 12: the caller says what happens to repeats."""

    def test_raise(self):
        with pytest.raises(
            AlignmentError, match=r"2 stimulus labels occur more than once: 'a', 'b' .*repeats='average'"
        ):
            match(array("abc"), array("abbca"))

    def test_average(self):
        X, Y = array("abc"), array("cabca")
        left, right = match(X, Y, repeats="average")
        np.testing.assert_array_equal(left.values, X.values)
        np.testing.assert_allclose(right.values[0], Y.values[[1, 4]].mean(0))
        assert right["n_repeats"].values.tolist() == [2, 1, 2]
        assert any("average_repeats" in line for line in right.attrs["history"])

    def test_keep_repeats_the_single_side(self):
        X, Y = array("ab"), array("bab", sample={"run": [1, 2, 3]})
        left, right = match(X, Y, repeats="keep")
        assert right["stimulus"].values.tolist() == left["stimulus"].values.tolist() == ["a", "b", "b"]
        assert right["run"].values.tolist() == [2, 1, 3]
        np.testing.assert_array_equal(left.values, X.values[[0, 1, 1]])
        assert left.attrs["history"] == ["match by stimulus: 2 samples, repeated to 3"]
        right, left = match(Y, X, repeats="keep")
        assert right is Y
        np.testing.assert_array_equal(left.values, X.values[[1, 0, 1]])

    def test_keep_does_not_invent_pairs(self):
        with pytest.raises(AlignmentError, match=r"repeat in X and in Y \('a'\).*'split'"):
            match(array("aab"), array("aab"), repeats="keep")

    def test_split_pairs_kth_with_kth(self):
        X, Y = array("aab"), array("baa")
        left, right = match(X, Y, repeats="split")
        np.testing.assert_array_equal(right.values, Y.values[[1, 2, 0]])
        assert left["repeat"].values.tolist() == right["repeat"].values.tolist() == [0, 1, 0]

    def test_split_follows_repeat_labels_where_both_have_them(self):
        X = array("aab", sample={"repeat": [0, 1, 0]})
        Y = array("baa", sample={"repeat": [0, 1, 0]})
        _, right = match(X, Y, repeats="split")
        np.testing.assert_array_equal(right.values, Y.values[[2, 1, 0]])

    def test_split_needs_equal_counts(self):
        with pytest.raises(AlignmentError, match=r"equally often: \['a'\]"):
            match(array("aab"), array("aaab"), repeats="split")


class TestSeries:
    """Row 16: volumes meet by time; a surplus is named and cut only on request."""

    def test_same_times_need_no_decision_about_repeats(self):
        X, Y = series([10, 10]), series([10, 10], seed=1)
        left, right = match(X, Y)
        assert left is X and right is Y

    def test_surplus(self):
        with pytest.raises(TimingError, match="Y is 3 samples longer"):
            match(series([10]), series([13]))

    def test_trim_cuts_the_end_of_every_run(self):
        X, Y = series([10, 12]), series([11, 10], seed=1)
        left, right = match(X, Y, trim="end")
        assert left.sizes["sample"] == right.sizes["sample"] == 20
        np.testing.assert_array_equal(left["onset"].values, right["onset"].values)
        np.testing.assert_array_equal(left.values, X.values[:20])
        np.testing.assert_array_equal(right.values, Y.values[[*range(10), *range(11, 21)]])
        assert left.attrs["history"] == ["trim='end': 2 samples cut at the end of runs"]

    def test_trim_does_not_hide_a_shift(self):
        Y = series([13])
        with pytest.raises(TimingError, match="shift"):
            match(series([10]), Y.assign_coords(onset=("sample", Y["onset"].values + 2.0)), trim="end")

    def test_trim_needs_times_and_the_same_runs(self):
        with pytest.raises(TimingError, match="no 'onset'"):
            match(array("ab"), array("ab"), trim="end")
        with pytest.raises(TimingError, match="runs"):
            match(series([5, 5]), series([10]), trim="end")

    def test_same_times_other_stimuli(self):
        with pytest.raises(AlignmentError, match=r"first at sample 2: 'a' in X, 'b' in Y"):
            match(series([4], ids=list("aaab")), series([4], ids=list("aabb")))

    def test_frames_with_names_of_their_own_are_reordered_by_name(self):
        X, Y = series([4], ids=list("abcd")), series([4], ids=list("badc"))
        np.testing.assert_array_equal(match(X, Y)[1].values, Y.values[[1, 0, 3, 2]])


class TestAverage:
    @pytest.mark.parametrize("seed", range(5))
    def test_as_the_twin_and_pandas_do(self, seed):
        ids = np.random.default_rng(200 + seed).choice(list("abcdef"), size=20)
        X = array(ids, seed=seed)
        mean = average_repeats(X)
        expected = slow_average(X.values.tolist(), ids.tolist())
        assert mean["stimulus"].values.tolist() == [label for label, _, _ in expected]
        assert mean["n_repeats"].values.tolist() == [count for _, _, count in expected]
        np.testing.assert_allclose(mean.values, [row for _, row, _ in expected], rtol=1e-14)
        table = pd.DataFrame(X.values).groupby(ids).mean()
        np.testing.assert_allclose(mean.values, table.loc[mean["stimulus"].values].values, rtol=1e-12)
        assert check_representation(mean) is mean

    def test_coordinates_that_vary_are_dropped_and_named(self):
        X = array("aba", sample={"category": ["u", "v", "u"], "run": [1, 1, 2], "onset": [0.0, 4.0, 8.0]})
        mean = average_repeats(X)
        assert mean["category"].values.tolist() == ["u", "v"]
        assert "run" not in mean.coords and "onset" not in mean.coords
        assert mean.attrs["history"] == [
            "average_repeats by stimulus: 3 samples to 2; dropped because they vary within a group: onset, run"
        ]

    def test_averages_of_averages_count_every_trial_once(self):
        X = array("aaabbb", sample={"run": [1, 1, 2, 1, 2, 2]})
        per_run = average_repeats(X, by=("stimulus", "run"))
        assert per_run["n_repeats"].values.tolist() == [2, 1, 1, 2]
        both = average_repeats(per_run)
        np.testing.assert_allclose(both.values, average_repeats(X).values, rtol=1e-14)
        assert both["n_repeats"].values.tolist() == [3, 3]

    def test_by_category_the_group_becomes_the_stimulus(self):
        X = array("abcd", sample={"category": ["u", "u", "v", "v"]})
        mean = average_repeats(X, by="category")
        assert mean["stimulus"].values.tolist() == ["u", "v"]
        assert "stimulus is now the label of the group" in mean.attrs["history"][0]
        assert check_representation(mean) is mean

    def test_float32_stays_and_is_summed_in_double(self):
        X = as_representation(np.full((3000, 1), 0.1, np.float32), stimulus=["a"] * 3000, kind="eeg")
        mean = average_repeats(X)
        assert mean.dtype == np.float32
        assert mean.values[0, 0] == np.float32(0.1)

    def test_units_time_and_masks_stay(self):
        values = np.random.default_rng(0).normal(size=(4, 2, 3))
        values[1, 1, 1] = np.nan
        X = as_representation(values, stimulus=list("abab"), kind="eeg", unit={"channel": ["Fz", "Cz"]},
                              time=[0.0, 0.1, 0.2], nan_policy="drop_targets")  # fmt: skip
        mean = average_repeats(X)
        assert mean["channel"].values.tolist() == ["Fz", "Cz"]
        assert mean["masked"].values.tolist() == [False, True]
        np.testing.assert_allclose(mean.values[0, 0], values[[0, 2], 0].mean(0))
        assert mean["time"].values.tolist() == [0.0, 0.1, 0.2]
        assert check_representation(mean) is mean

    def test_without_repeats_nothing_changes(self):
        X = array("abc", sample={"run": [1, 2, 3]})
        mean = average_repeats(X)
        np.testing.assert_array_equal(mean.values, X.values)
        assert mean["run"].values.tolist() == [1, 2, 3]

    def test_text_cannot_be_averaged(self):
        with pytest.raises(TypeError, match="only numbers"):
            average_repeats(array("aa", sample={"category": ["u", "v"]})["category"])
