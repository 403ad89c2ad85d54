"""Splitters: who is held out with whom."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_predict,
)

from neurodecode.evaluation import Contiguous, SplitBy
from neurodecode.evaluation.splits import resolve_splits
from neurodecode.exceptions import DegenerateDataError, LeakageError
from neurodecode.linear import Ridge


def frame(**coords):
    n = len(next(iter(coords.values())))
    return xr.DataArray(np.zeros((n, 1)), {k: ("sample", np.asarray(v)) for k, v in coords.items()}, ("sample", "unit"))


def sides(splitter, X, **more):
    return [(train.tolist(), test.tolist()) for train, test in splitter.split(X, **more)]


class TestSplitBy:
    def test_leaves_one_value_out_in_order_of_first_appearance(self):
        X = frame(run=["b", "b", "a", "c", "a"])
        assert sides(SplitBy("run"), X) == [([2, 3, 4], [0, 1]), ([0, 1, 3], [2, 4]), ([0, 1, 2, 4], [3])]
        assert SplitBy("run").names(X) == ["b", "a", "c"]
        assert SplitBy("run").get_n_splits(X) == 3

    def test_equals_leave_one_group_out(self):
        run = np.random.default_rng(0).integers(0, 5, 40)
        expected = {tuple(test) for _, test in LeaveOneGroupOut().split(np.zeros(40), groups=run)}
        assert {tuple(test) for _, test in SplitBy("run").split(frame(run=run))} == expected

    def test_groups_of_values(self):
        run = np.repeat(np.arange(10), 3)
        folds = sides(SplitBy("run", n_splits=3), frame(run=run))
        assert len(folds) == 3
        assert sorted(place for _, test in folds for place in test) == list(range(30))
        for train, test in folds:
            assert not set(run[train]) & set(run[test])
        assert SplitBy("run", 3).get_n_splits() == 3

    @pytest.mark.parametrize("k", [2, 3, 5, 7])
    def test_uneven_groups_are_never_empty(self, k):
        rng = np.random.default_rng(k)
        run = np.repeat(np.arange(7), rng.integers(1, 30, 7))
        sizes = [len(test) for _, test in SplitBy("run", k).split(frame(run=run))]
        assert len(sizes) == k
        assert min(sizes) >= 1
        assert sum(sizes) == len(run)

    def test_several_coordinates_together(self):
        X = frame(session=[1, 1, 2, 2], run=[1, 2, 1, 2])
        assert len(sides(SplitBy("run"), X)) == 2
        assert len(sides(SplitBy(("session", "run")), X)) == 4
        assert SplitBy(["session", "run"]) == SplitBy(("session", "run"))

    def test_reads_groups_for_plain_arrays(self):
        assert sides(SplitBy("run"), np.zeros((3, 2)), groups=[1, 2, 1]) == [([1], [0, 2]), ([0, 2], [1])]

    def test_says_what_is_missing(self):
        with pytest.raises(ValueError, match="no coordinate 'run'; they have session"):
            next(SplitBy("run").split(frame(session=[1, 2])))
        with pytest.raises(ValueError, match="plain array"):
            next(SplitBy("run").split(np.zeros((3, 2))))
        with pytest.raises(DegenerateDataError, match="at least 2 values"):
            next(SplitBy("run").split(frame(run=[4, 4, 4])))
        with pytest.raises(DegenerateDataError, match="2 to 3"):
            next(SplitBy("run", 5).split(frame(run=[1, 2, 3])))
        with pytest.raises(ValueError, match="pass X"):
            SplitBy("run").get_n_splits()

    def test_is_a_value(self):
        assert repr(SplitBy("run")) == "SplitBy('run')"
        assert repr(SplitBy("run", 4)) == "SplitBy('run', n_splits=4)"
        assert len({SplitBy("run"), SplitBy("run"), SplitBy("run", 2)}) == 2
        assert eval(repr(SplitBy(("a", "b"), 3))) == SplitBy(("a", "b"), 3)

    def test_serves_scikit_learn(self, world):
        X, Y = world
        X = X.assign_coords(run=Y["run"])
        predicted = cross_val_predict(Ridge(alphas=1.0), X, Y, cv=SplitBy("run"))
        assert predicted.shape == Y.shape
        search = GridSearchCV(Ridge(), {"alphas": [0.1, 10.0]}, cv=SplitBy("run")).fit(X, Y)
        assert search.n_splits_ == 4


class TestContiguous:
    def test_without_gap_equals_kfold(self):
        assert sides(Contiguous(4, gap=0), np.zeros(18)) == sides(KFold(4), np.zeros(18))

    def test_gap_is_used_by_neither_side(self):
        for train, test in Contiguous(3, gap=2).split(np.zeros(30)):
            assert np.abs(train[:, None] - test[None]).min() == 3
        assert min(len(train) for train, _ in Contiguous(3).split(np.zeros(30))) == 30 - 10 - 2

    def test_follows_onset(self):
        rng = np.random.default_rng(1)
        onset = rng.permutation(20) * 2.0
        for train, test in Contiguous(4, gap=1).split(frame(onset=onset)):
            assert np.ptp(onset[test]) == 8
            assert np.abs(onset[train][:, None] - onset[test][None]).min() > 2

    def test_refuses_what_cannot_be_done(self):
        with pytest.raises(DegenerateDataError, match="between 2 and 3"):
            next(Contiguous(5).split(np.zeros(3)))
        with pytest.raises(DegenerateDataError, match="no training sample"):
            next(Contiguous(2, gap=9).split(np.zeros(10)))
        with pytest.raises(ValueError, match="0 or more"):
            next(Contiguous(2, gap=-1).split(np.zeros(10)))
        assert eval(repr(Contiguous(3, gap=2))) == Contiguous(3, 2)


def resolved(splits, X=None, n=None, **more):
    return resolve_splits(splits, X, len(X) if n is None else n, **more)


class TestResolving:
    def test_what_no_splitter_means(self):
        unique = [f"s{i}" for i in range(12)]
        assert resolved(None, frame(run=[1, 1, 2, 2], onset=[0, 1, 0, 1]))[1] == "SplitBy('run')"
        assert resolved(2, frame(run=[1, 1, 2, 2, 3, 3]))[1] == "SplitBy('run', n_splits=2)"
        assert resolved(None, frame(run=[1, 1, 1, 1], session=[1, 1, 2, 2]))[1] == "SplitBy('session')"
        assert resolved(None, frame(subject=[1, 1, 2, 2], run=[1, 2, 1, 2]))[1] == "SplitBy('subject')"
        assert resolved(None, frame(onset=np.arange(12.0)))[1] == "Contiguous(n_splits=5, gap=None)"
        assert resolved(3, frame(onset=np.arange(12.0)), gap=1)[1] == "Contiguous(n_splits=3, gap=1)"
        assert resolved(None, frame(stimulus=unique))[1].startswith("KFold(n_splits=5")
        assert resolved(4, frame(stimulus=list("abcabcabcabd")))[1] == "SplitBy('stimulus', n_splits=4)"
        labels = np.tile(["x", "y"], 6)
        assert resolved(3, frame(stimulus=unique), labels=labels)[1].startswith("StratifiedKFold(n_splits=3")
        _, text, _ = resolved(3, frame(stimulus=np.repeat(unique[:6], 2)), labels=np.repeat(["x", "y"] * 3, 2))
        assert text.startswith("StratifiedGroupKFold")
        assert resolved(None, n=10)[1].startswith("KFold(n_splits=5")

    def test_splitters_lists_and_masks(self):
        X = frame(run=[1, 1, 2, 2])
        folds, _, _ = resolved(GroupKFold(2), X, groups="run")
        assert {fold.name for fold in folds} == {"1", "2"}
        mask = np.array([True, True, False, False])
        folds, text, _ = resolved([(mask, ~mask), ([2, 3], [0, 1])], X)
        assert text == "2 given folds"
        assert folds[0].test.tolist() == [2, 3]
        assert len(resolved(ShuffleSplit(3, random_state=0), X)[0]) == 3
        assert len(resolved(StratifiedKFold(2), X, labels=np.array(["a", "b", "a", "b"]))[0]) == 2

    def test_refuses(self):
        X = frame(run=[1, 1, 2, 2])
        with pytest.raises(ValueError, match="at least 2 folds"):
            resolved(1, X)
        with pytest.raises(ValueError, match="at least 2 folds"):
            resolved(True, X)
        with pytest.raises(DegenerateDataError, match="9 folds need at least 9 samples"):
            resolved(9, n=4)
        with pytest.raises(DegenerateDataError, match="9 folds need at least 9 samples"):
            resolved(KFold(9), X)
        with pytest.raises(ValueError, match="needs groups"):
            resolved(GroupKFold(2), X)
        with pytest.raises(ValueError, match="neither a splitter"):
            resolved("run", X)
        with pytest.raises(ValueError, match="balances class labels"):
            resolved(StratifiedKFold(2), X)
        with pytest.raises(LeakageError, match="1 samples stand in training and test"):
            resolved([([0, 1], [1, 2])], X)
        with pytest.raises(DegenerateDataError, match="no test sample"):
            resolved([([0, 1], [])], X)
        with pytest.raises(ValueError, match="between 0 and 3"):
            resolved([([0, 1], [4])], X)
