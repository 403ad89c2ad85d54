"""Wrong pairs of arrays and leaking splits are refused, and what was overridden is written down."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from sklearn import linear_model
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold

from neurodecode.evaluation import Contiguous, SplitBy, cross_validate
from neurodecode.exceptions import AlignmentError, LeakageError, NeurodecodeWarning, TimingError
from neurodecode.linear import Ridge
from neurodecode.representation import as_representation, average_repeats, match

RUNS = SplitBy("run")


def ridge():
    return linear_model.Ridge(alpha=2.0)


class Never(linear_model.Ridge):
    def fit(self, X, y):
        raise AssertionError("nothing may be fitted")


class TestAlignment:
    """Rows 10 to 13."""

    def test_another_order(self, world):
        X, Y = world
        order = np.random.default_rng(0).permutation(48)
        with pytest.raises(AlignmentError, match=r"another order.*match"):
            cross_validate(Never(), X[order], Y, RUNS, score="r")
        matched = match(X[order], Y)
        result = cross_validate(Ridge(alphas=1.0), *matched, RUNS, score="r")
        base = cross_validate(Ridge(alphas=1.0), X, Y, RUNS, score="r")
        np.testing.assert_allclose(np.sort(result["score"]), np.sort(base["score"]), atol=0.3)
        assert result.attrs["assume_aligned"] is False

    def test_assumed_alignment_is_recorded(self, world):
        X, Y = world
        order = np.random.default_rng(0).permutation(48)
        wrong = cross_validate(
            Ridge(alphas=1.0), X[order], Y, RUNS, score="r", assume_aligned=True, allow_overlap="test"
        )
        right = cross_validate(Ridge(alphas=1.0), X, Y, RUNS, score="r", assume_aligned=True)
        assert wrong.attrs["assume_aligned"] is True
        assert float(wrong["score"].mean()) < 0.3 < float(right["score"].mean())
        assert right["roi"].values.tolist() == Y["roi"].values.tolist()
        reference = cross_validate(Ridge(alphas=1.0), X, Y, RUNS, score="r")
        np.testing.assert_array_equal(right["score"], reference["score"])

    def test_labels_on_one_side(self, world):
        X, Y = world
        with pytest.raises(AlignmentError, match=r"Y has none.*assume_aligned=True"):
            cross_validate(Never(), X, Y.values, 4, score="r")
        with pytest.raises(AlignmentError, match="X has none"):
            cross_validate(Never(), X.values, Y, RUNS, score="r")
        reference = cross_validate(Ridge(alphas=1.0), X, Y, RUNS, score="r")
        for pair in ((X.values, Y), (X.assign_coords(run=Y["run"]), Y.values)):
            result = cross_validate(Ridge(alphas=1.0), *pair, RUNS, score="r", assume_aligned=True)
            assert result.attrs["assume_aligned"] is True
            np.testing.assert_array_equal(result["score"], reference["score"])

    def test_other_stimuli_and_other_bytes(self, world):
        X, Y = world
        other = Y.assign_coords(stimulus=("sample", np.char.add("z", Y["stimulus"].values)))
        with pytest.raises(AlignmentError, match="48 of 48"):
            cross_validate(Never(), X, other, RUNS, score="r")
        hashes = np.array([f"{i:064d}" for i in range(48)])
        recoded = hashes.copy()
        recoded[4] = "f" * 64
        with pytest.raises(AlignmentError, match="s004"):
            cross_validate(
                Never(), X.assign_coords(sha256=("sample", hashes)), Y.assign_coords(sha256=("sample", recoded)),
                RUNS, score="r",
            )  # fmt: skip

    def test_lengths(self, world):
        X, Y = world
        with pytest.raises(AlignmentError):
            cross_validate(Never(), X[:40], Y, RUNS, score="r")
        with pytest.raises(AlignmentError, match="differ by 8"):
            cross_validate(Never(), X.values[:40], Y.values, 4, score="r")
        onset = xr.DataArray(np.arange(48) * 2.0, dims="sample")
        late, early = X[:45].assign_coords(onset=onset[:45]), Y.assign_coords(onset=onset)
        with pytest.raises(TimingError, match="3 samples longer"):
            cross_validate(Never(), late, early, RUNS, score="r")
        with pytest.raises(TimingError, match="differ by 3"):
            cross_validate(Never(), late, early, RUNS, score="r", assume_aligned=True)

    def test_shifted_series(self, world):
        """Rows 16 and 18: onsets that disagree are found before anything is fitted."""
        X, Y = world
        onset = np.arange(48) * 2.0
        slow = X.assign_coords(onset=("sample", onset)).assign_attrs(tr=2.0)
        shifted = Y.drop_vars("run").assign_coords(onset=("sample", onset + 4.0)).assign_attrs(tr=2.0)
        with pytest.raises(TimingError, match="shift"):
            cross_validate(Never(), slow, shifted, 4, score="r")

    def test_first_dimension_is_sample(self, world):
        X, Y = world
        with pytest.raises(AlignmentError, match="transpose"):
            cross_validate(Never(), X.T, Y, RUNS, score="r")
        with pytest.raises(TypeError, match="labelled array or a plain one"):
            cross_validate(Never(), X.to_dataset(name="x"), Y, RUNS, score="r")


class TestLeakage:
    """Row 23."""

    def test_runs_split_across_folds(self, world):
        with pytest.raises(LeakageError, match=r"runs \('run': '1', '2'.*KFold.*SplitBy\('run'\).*allow_overlap"):
            cross_validate(Never(), *world, KFold(5), score="r")

    def test_a_run_is_told_by_session_and_subject(self, worlds):
        X, Y = worlds(sample={"session": np.repeat([1, 2], 24)})
        Y = Y.assign_coords(run=("sample", np.tile(np.repeat([1, 2], 12), 2)))
        cross_validate(ridge(), X, Y, SplitBy(("session", "run")), score="r")
        cross_validate(ridge(), X, Y, SplitBy("run"), score="r")
        with pytest.raises(LeakageError, match="1/1"):
            cross_validate(Never(), X, Y, KFold(3, shuffle=True, random_state=0), score="r")

    def test_repeated_stimuli(self, world):
        X, Y = world
        stimulus = ("sample", np.tile([f"s{i}" for i in range(12)], 4))
        X, Y = X.assign_coords(stimulus=stimulus), Y.assign_coords(stimulus=stimulus)
        with pytest.raises(LeakageError, match=r"12 of 12 stimuli.*'s0', 's1'.*SplitBy\('stimulus'\)"):
            cross_validate(Never(), X, Y, RUNS, score="r")
        with pytest.raises(LeakageError, match="run"):
            cross_validate(Never(), X, Y, SplitBy("stimulus", 3), score="r")
        averaged = average_repeats(X), average_repeats(Y)
        cross_validate(ridge(), *averaged, SplitBy("stimulus", 3), score="r")

    def test_subjects(self, worlds):
        X, Y = worlds(runs=0, sample={"subject": np.repeat(["a", "b"], 24)})
        cross_validate(ridge(), X, Y, SplitBy("subject"), score="r")
        with pytest.raises(LeakageError, match="subject"):
            cross_validate(Never(), X, Y, KFold(3), score="r")

    def test_override_is_recorded(self, world):
        result = cross_validate(ridge(), *world, KFold(5), score="r", allow_overlap="runs were drawn at random")
        assert result.attrs["allow_overlap"] == "runs were drawn at random"
        rows = {row["coord"]: row for row in result.attrs["leakage"]}
        assert rows["run"]["shared"] == 4
        assert rows["run"]["verdict"] == "shared, allowed: runs were drawn at random"
        assert rows["stimulus"]["verdict"] == "nothing shared"
        for reason in (True, "", "  "):
            with pytest.raises(ValueError, match="reason in words"):
                cross_validate(Never(), *world, KFold(5), score="r", allow_overlap=reason)

    def test_passes_are_recorded(self, world):
        X, Y = world
        Y = Y.assign_coords(subject=("sample", np.full(48, "s1")))
        result = cross_validate(ridge(), X, Y, RUNS, score="r")
        assert result.attrs["allow_overlap"] is None
        rows = {row["coord"]: row for row in result.attrs["leakage"]}
        assert rows["run"] == {"coord": "run", "checked": True, "groups": 4, "shared": 0, "verdict": "nothing shared"}
        assert rows["stimulus"]["groups"] == 48
        assert rows["subject"]["checked"] is False
        assert "one value only" in rows["subject"]["verdict"]
        plain = cross_validate(ridge(), X.values, Y.values, 4, score="r").attrs["leakage"]
        assert {row["verdict"] for row in plain} == {"no such label"}

    def test_labels_of_either_side_count(self, world):
        X, Y = world
        with pytest.raises(LeakageError, match="run"):
            cross_validate(Never(), X.assign_coords(run=Y["run"]), Y.drop_vars("run"), KFold(5), score="r")
        one = X.assign_coords(subject=("sample", np.repeat(["a", "b"], 24)))
        two = Y.drop_vars("run").assign_coords(subject=("sample", np.repeat(["a", "b", "c"], 16)))
        with pytest.raises(LeakageError, match="subject of Y"):
            cross_validate(Never(), one, two, [(np.arange(24), np.arange(24, 48))], score="r")


class TestSeries:
    """Row 25."""

    def series(self, n=120):
        rng = np.random.default_rng(0)
        walk = np.cumsum(rng.normal(size=(n, 4)), axis=0)
        x = as_representation(
            walk, stimulus=[f"t{i}" for i in range(n)], kind="calcium",
            sample={"onset": np.arange(n) * 0.5}, attrs={"sfreq": 2.0},
        )  # fmt: skip
        y = np.cumsum(np.random.default_rng(1).normal(size=(n, 3)), axis=0)
        return x, x.copy(data=np.c_[y, y[:, 0]])

    def test_blocks_with_a_gap_by_default(self):
        X, Y = self.series()
        result = cross_validate(ridge(), X, Y, score="r", pool="predictions")
        assert result.attrs["splits"] == "Contiguous(n_splits=5, gap=None)"
        three = cross_validate(ridge(), X, Y, 3, score="r", gap=7)
        assert three.attrs["splits"] == "Contiguous(n_splits=3, gap=7)"

    @pytest.mark.parametrize("splitter", [KFold(5, shuffle=True, random_state=0), ShuffleSplit(5, random_state=0)])
    def test_shuffled_folds_warn(self, splitter):
        X, Y = self.series()
        with pytest.warns(NeurodecodeWarning, match="neighbours in time"):
            shuffled = cross_validate(ridge(), X, Y, splitter, score="r")
        assert any("neighbours in time" in note for note in shuffled.attrs["notes"])
        blocked = cross_validate(ridge(), X, Y, Contiguous(5), score="r")
        # Two unrelated random walks: what is learnt from neighbours is worth nothing further away.
        assert float(shuffled["score"].mean()) > 0.5
        assert float(blocked["score"].mean()) < 0.3

    def test_no_warning_without_onset_or_shuffling(self, class_worlds):
        X, y = class_worlds(runs=0)
        splitter = StratifiedKFold(4, shuffle=True, random_state=0)
        without = cross_validate(LogisticRegression(), X, y, splitter, score="accuracy")
        blocked = cross_validate(ridge(), *self.series(), KFold(4), score="r")
        assert not any("neighbours in time" in note for one in (without, blocked) for note in one.attrs["notes"])
