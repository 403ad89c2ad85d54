"""Labels come off, go back on, and are compared: by value and order, never by length or position."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr

from neurodecode.exceptions import AlignmentError, TimingError
from neurodecode.representation import (
    Labels,
    as_representation,
    check_same_labels,
    check_same_samples,
    check_same_units,
    labelled,
    plain,
)


def array(ids, width=2, kind="fmri", seed=0, **named):
    values = np.random.default_rng(seed).normal(size=(len(ids), width))
    return as_representation(values, stimulus=list(ids), kind=kind, **named)


def series(n, tr=2.0, start=0.0, runs=1, **named):
    onset = np.tile(start + tr * np.arange(n // runs), runs)
    run = np.repeat(np.arange(runs), n // runs)
    ids = named.pop("ids", [f"volume-{at}" for at in range(n)])
    return array(ids, sample={"onset": onset, "run": run}, attrs={"tr": tr}, **named)


class TestLabels:
    def test_units_are_kept_with_their_coordinates(self):
        Y = array("ab", unit={"roi": ["V1", "V2"], "x": [1.0, 2.0]}, attrs={"tr": 2.0, "affine": [[1.0]]})
        units = Labels.of(Y, "unit")
        assert (units.dim, units.size) == ("unit", 2)
        assert sorted(units.coords) == ["roi", "x"]
        assert units.attrs == {"kind": "fmri", "tr": 2.0, "affine": [[1.0]]}

    def test_they_do_not_follow_later_changes(self):
        Y = array("ab", unit={"x": [1.0, 2.0]})
        units = Labels.of(Y, "unit")
        Y["x"].values[0] = 99.0
        assert units.coords["x"].tolist() == [1.0, 2.0]
        with pytest.raises(ValueError, match="read-only"):
            units.coords["x"][0] = 5.0
        with pytest.raises(AttributeError):
            units.size = 3

    def test_samples_too(self):
        assert Labels.of(array("ab"), "sample").coords["stimulus"].tolist() == ["a", "b"]

    @pytest.mark.parametrize(("shape", "size"), [((5, 3), 3), ((5,), 1), ((5, 3, 2), 3)])
    def test_plain_arrays_have_a_size(self, shape, size):
        assert Labels.of(np.zeros(shape), "unit").size == size
        assert Labels.of(np.zeros(shape).tolist(), "unit").size == size
        assert Labels.of(np.zeros(shape), "sample").size == 5

    def test_a_column_of_labels_is_one_unit(self):
        y = array("ab", sample={"category": ["u", "v"]})["category"]
        assert Labels.of(y, "unit").size == 1

    def test_pickles(self):
        units = pickle.loads(pickle.dumps(Labels.of(array("ab", unit={"roi": ["V1", "V2"]}), "unit")))
        assert units.coords["roi"].tolist() == ["V1", "V2"]


class TestLabelled:
    def test_samples_of_x_and_units_of_y(self):
        X = array("abc", 4, kind="network", sample={"run": [1, 1, 2]})
        Y = array("abc", 2, unit={"roi": ["V1", "V2"]}, attrs={"quantity": "beta"})
        got = labelled(np.ones((3, 2)), samples_of=X, units=Labels.of(Y, "unit"), attrs={"note": "predicted"})
        assert got.dims == ("sample", "unit")
        assert got["stimulus"].values.tolist() == ["a", "b", "c"]
        assert got["run"].values.tolist() == [1, 1, 2]
        assert got["roi"].values.tolist() == ["V1", "V2"]
        assert got.attrs == {"kind": "fmri", "quantity": "beta", "note": "predicted"}
        got["roi"].values[0] = "XX"
        assert Y["roi"].values[0] == "V1"

    def test_plain_stays_plain(self):
        values = np.ones((3, 2))
        assert labelled(values, samples_of=np.zeros((3, 4)), units=Labels("unit", 2)) is values

    def test_one_answer_per_sample(self):
        got = labelled(np.array(["u", "v"]), samples_of=array("ab"))
        assert got.dims == ("sample",)
        assert got["stimulus"].values.tolist() == ["a", "b"]

    def test_time_follows(self):
        X = as_representation(np.zeros((2, 3, 4)), stimulus=["a", "b"], kind="eeg", time=np.arange(4) / 10)
        got = labelled(np.zeros((2, 3, 4)), samples_of=X, units=Labels.of(X, "unit"))
        assert got["time"].values.tolist() == [0.0, 0.1, 0.2, 0.3]
        assert "time" not in labelled(np.zeros((2, 3, 2)), samples_of=X).coords

    @pytest.mark.parametrize(("shape", "says"), [((4, 2), "3 samples of X"), ((3, 5), "2 units seen at fit")])
    def test_sizes_that_do_not_fit(self, shape, says):
        with pytest.raises(AlignmentError, match=says):
            labelled(np.zeros(shape), samples_of=array("abc"), units=Labels("unit", 2))

    def test_one_name_for_samples_and_units_is_refused(self):
        X = array("ab", sample={"subject": "S1"})
        with pytest.raises(AlignmentError, match="'subject' labels the samples of X and the units"):
            labelled(np.zeros((2, 1)), samples_of=X, units=Labels("unit", 1, {"subject": np.array(["S2"])}))


class TestSameSamples:
    """Rows 10, 11, 13, 16: order, missing ids, other content, other timing."""

    def test_same_passes_and_plain_is_not_compared(self):
        X = array("abc")
        assert check_same_samples(X, array("abc", 5, kind="network")) is None
        assert check_same_samples(X, np.zeros((7, 1))) is None
        assert check_same_samples(np.zeros((7, 1)), X) is None
        assert check_same_samples(X, X["stimulus"]) is None

    def test_another_order_is_named_and_match_offered(self):
        with pytest.raises(
            AlignmentError, match=r"same 3 stimulus labels .*position 1: 'b' and 'c'.*match\(X, Y"
        ) as error:
            check_same_samples(array("abc"), array("acb"))
        assert "by='stimulus'" in str(error.value)

    def test_missing_ids_are_listed_on_both_sides(self):
        with pytest.raises(AlignmentError) as error:
            check_same_samples(array("abcdefgh"), array("hxyz"))
        said = str(error.value)
        assert "7 of 8 stimulus labels are missing in Y: 'a', 'b', 'c', 'd', 'e' and 2 more" in said
        assert "3 of 4 stimulus labels are missing in X: 'x', 'y', 'z'" in said
        assert "the 1 that are shared" in said and "join='inner'" in said

    def test_nothing_in_common(self):
        with pytest.raises(AlignmentError, match="name the stimuli the same way"):
            check_same_samples(array(["img1.png", "img2.png"]), array(["1", "2"]))

    def test_same_ids_other_counts(self):
        with pytest.raises(AlignmentError, match=r"different numbers: 'a' \(2 and 1\), 'b' \(1 and 2\)"):
            check_same_samples(array("aab"), array("abb"))

    def test_labelled_without_stimulus_is_refused(self):
        bare = xr.DataArray(np.zeros((3, 2)), dims=("sample", "unit"))
        with pytest.raises(AlignmentError, match=r"Y is labelled, but has no 'stimulus'.*assume_aligned"):
            check_same_samples(array("abc"), bare)

    def test_same_name_other_bytes(self):
        hashes = [f"{at:064x}" for at in range(3)]
        X = array("abc", sample={"sha256": hashes})
        check_same_samples(X, array("abc", sample={"sha256": hashes}))
        check_same_samples(X, array("abc"))
        with pytest.raises(AlignmentError, match=r"1 stimuli have the same name and other content .*'b'"):
            check_same_samples(X, array("abc", sample={"sha256": [hashes[0], "f" * 64, hashes[2]]}))

    @pytest.mark.parametrize("k", [1, 3])
    def test_surplus_volumes_are_counted(self, k):
        with pytest.raises(
            TimingError, match=rf"X has {20 + k} samples and Y has 20: X is {k} samples longer.*trim='end'"
        ):
            check_same_samples(series(20 + k), series(20))

    @pytest.mark.parametrize("k", [1, -2])
    def test_shifted_series_give_the_shift(self, k):
        ids = ["movie"] * 20
        with pytest.raises(TimingError, match=rf"a shift of \{k:+d} samples"):
            check_same_samples(series(20, ids=ids), series(20, ids=ids, start=2.0 * k))

    def test_other_repetition_time(self):
        with pytest.raises(TimingError, match=r"every 2 s and Y every 2\.5 s"):
            check_same_samples(series(20), series(20, tr=2.5))

    def test_rounding_of_onsets_is_no_shift(self):
        check_same_samples(series(20), series(20, start=1e-4))

    def test_trials_at_other_times_are_the_same_samples(self):
        trials = {"onset": [0.0, 7.0, 12.0, 30.0]}, {"onset": [3.0, 9.0, 21.0, 26.0]}
        X, Y = (array("abcd", sample=sample, attrs={"tr": 2.0}) for sample in trials)
        check_same_samples(X, Y)

    def test_the_same_with_runs(self):
        check_same_samples(series(20, runs=2), series(20, runs=2))


class TestSameLabels:
    """Row 15: whatever is compared, it is compared by label."""

    def test_any_labels(self):
        check_same_labels(np.array(["a", "b"]), ["a", "b"])
        check_same_labels([1, 2], ["1", "2"])

    @pytest.mark.parametrize(
        ("first", "second", "says"),
        [
            (["a", "b"], ["b", "a"], "in another order"),
            (["a", "b"], ["a", "c"], "missing"),
            (["a", "b"], ["a"], "missing"),
        ],
    )
    def test_conditions_of_a_matrix(self, first, second, says):
        with pytest.raises(AlignmentError, match=says):
            check_same_labels(first, second, "condition", ("first RDM", "second RDM"))

    def test_names_that_are_no_variables_are_not_put_into_the_advice(self):
        with pytest.raises(AlignmentError, match=r"part 'b' have .* reorder with match\(X, Y"):
            check_same_labels(list("ab"), list("ba"), names=("part 'a'", "part 'b'"))


class TestSameUnits:
    def units(self):
        return Labels.of(array("ab", 3, unit={"layer": ["c1", "c1", "fc"], "x": [0.1, 0.2, np.nan]}), "unit")

    def test_same_passes(self):
        check_same_units(array("xyz", 3, unit={"layer": ["c1", "c1", "fc"], "x": [0.1, 0.2, np.nan]}), self.units())
        check_same_units(np.zeros((2, 7)), self.units())
        check_same_units(array("ab", 3, unit={"layer": ["c1", "c1", "fc"], "new": [1, 2, 3]}), self.units())

    @pytest.mark.parametrize(
        ("width", "unit", "says"),
        [
            (2, {"layer": ["c1", "fc"]}, "has 2 units, 3 were seen at fit"),
            (3, {"layer": ["c1", "fc", "c1"]}, "in 'layer': unit 1 is fc, was c1"),
            (3, {"layer": ["c1", "c1", "fc"], "x": [0.1, 0.3, np.nan]}, "in 'x': unit 1 is 0.3, was 0.2"),
            (3, None, "carry no coordinates"),
            (3, {"roi": ["a", "b", "c"]}, r"carry \['roi'\], at fit they carried \['layer', 'x'\]"),
        ],
    )
    def test_others_are_refused(self, width, unit, says):
        with pytest.raises(AlignmentError, match=says):
            check_same_units(array("ab", width, unit=unit), self.units())

    def test_plain_at_fit_accepts_labels(self):
        check_same_units(array("ab", 3, unit={"layer": list("abc")}), Labels.of(np.zeros((4, 3)), "unit"))


def test_labels_change_no_number():
    X = array("abc", 4)
    np.testing.assert_array_equal(plain(labelled(X.values, samples_of=X, units=Labels.of(X, "unit"))), X.values)
