"""Layers, spaces and subjects along units; sessions along samples."""

from __future__ import annotations

import numpy as np
import pytest

from neurodecode.exceptions import AlignmentError, TimingError
from neurodecode.representation import as_representation, average_repeats, check_representation, concat

IDS = ["a", "b", "c"]


def part(width=2, seed=0, ids=IDS, kind="network", dtype=np.float64, **named):
    values = np.random.default_rng(seed).normal(size=(len(ids), width)).astype(dtype)
    return as_representation(values, stimulus=ids, kind=kind, **named)


class TestUnits:
    def test_layers(self):
        parts = {"conv1": part(2), "fc": part(3, seed=1)}
        both = concat(parts, label="layer")
        assert both.sizes == {"sample": 3, "unit": 5}
        assert both["layer"].values.tolist() == ["conv1"] * 2 + ["fc"] * 3
        np.testing.assert_array_equal(both.values, np.hstack([parts["conv1"].values, parts["fc"].values]))
        assert both.attrs["history"] == ["concat along unit of 2: conv1 (2), fc (3)"]
        assert both.attrs["kind"] == "network"
        assert check_representation(both) is both
        for name, one in parts.items():
            np.testing.assert_array_equal(both[:, both["layer"] == name].values, one.values)

    def test_names_become_spaces_when_nothing_is_said(self):
        assert concat({"alexnet": part(), "words": part()})["space"].values.tolist() == ["alexnet"] * 2 + ["words"] * 2

    def test_a_list_needs_no_names(self):
        assert concat([part(), part()]).sizes["unit"] == 4
        with pytest.raises(ValueError, match="pass a mapping"):
            concat([part(), part()], label="layer")

    def test_subjects_with_the_same_stimuli(self):
        """Row 14: every subject's number of trials stays visible, whatever it was."""
        trials = {"S1": IDS * 2, "S2": IDS * 3}
        parts = {}
        for seed, (name, ids) in enumerate(trials.items()):
            rows = {"run": np.arange(len(ids)) // 3, "subject": name}
            parts[name] = average_repeats(part(2, seed, ids, "fmri", sample=rows, unit={"roi": ["V1", "V2"]}))
        both = concat(parts, label="subject")
        assert both["subject"].dims == ("unit",)
        assert both["subject"].values.tolist() == ["S1", "S1", "S2", "S2"]
        assert both["n_repeats"].dims == ("unit",)
        assert both["n_repeats"].values.tolist() == [2, 2, 3, 3]
        assert any("moved from sample to unit: n_repeats, subject" in line for line in both.attrs["history"])
        assert check_representation(both) is both

    def test_sample_coordinates_that_disagree_go_and_are_named(self):
        parts = [part(sample={"onset": np.arange(3.0) * k, "category": list("uvu")}) for k in (1, 2)]
        both = concat(parts)
        assert "onset" not in both.coords
        assert both["category"].values.tolist() == ["u", "v", "u"]
        assert any("differ: onset" in line for line in both.attrs["history"])

    def test_other_samples_are_refused_with_the_name_of_the_part(self):
        with pytest.raises(AlignmentError, match=r"part 'x' and part 'y' have the same 3 .* another order"):
            concat({"x": part(), "y": part(ids=["b", "a", "c"])})
        with pytest.raises(AlignmentError, match="missing in part 'y': 'c'"):
            concat({"x": part(), "y": part(ids=["a", "b"])})

    def test_missing_unit_coordinates_are_blank(self):
        both = concat(
            {"x": part(unit={"roi": ["V1", "V2"], "row": [1, 2], "ok": [True, True]}), "y": part()}, label="layer"
        )
        assert both["roi"].values.tolist() == ["V1", "V2", "", ""]
        np.testing.assert_array_equal(both["row"].values, [1, 2, np.nan, np.nan])
        assert both["ok"].values.tolist() == [True, True, False, False]

    def test_masks_travel(self):
        broken = part().copy(deep=True)
        broken[0, 0] = np.nan
        masked = as_representation(broken.values, stimulus=IDS, kind="fmri", nan_policy="drop_targets")
        both = concat({"S1": masked, "S2": part(kind="fmri")}, label="subject")
        assert both["masked"].values.tolist() == [True, False, False, False]
        assert check_representation(both) is both

    def test_a_label_that_is_taken(self):
        parts = {"x": part(unit={"layer": ["p", "q"]}), "y": part(unit={"layer": ["p", "q"]})}
        with pytest.raises(AlignmentError, match="'layer' that says something else"):
            concat(parts, label="layer")
        assert (
            concat({"p": part(unit={"layer": "p"}), "q": part(unit={"layer": "q"})}, label="layer").sizes["unit"] == 4
        )

    def test_a_name_on_samples_here_and_units_there(self):
        with pytest.raises(AlignmentError, match="'run' labels samples in one part and units in another"):
            concat({"x": part(sample={"run": [1, 2, 3]}), "y": part(unit={"run": [1, 2]})})

    def test_attributes_that_agree_stay(self):
        both = concat({"x": part(attrs={"tr": 2.0, "a": 1}), "y": part(attrs={"tr": 2.0, "a": 2}, kind="fmri")})
        assert both.attrs["tr"] == 2.0 and "a" not in both.attrs
        assert both.attrs["kind"] == "network+fmri"

    def test_histories_stay(self):
        both = concat({"x": part(attrs={"history": ["read x"]}), "y": part(attrs={"history": ["read y"]})})
        assert both.attrs["history"][:2] == ["x: read x", "y: read y"]

    def test_dtypes(self):
        assert concat([part(dtype=np.float32), part(dtype=np.float32)]).dtype == np.float32
        assert concat([part(dtype=np.float32), part()]).dtype == np.float64

    def test_time_must_agree(self):
        def epochs(start):
            return as_representation(np.zeros((3, 2, 2)), stimulus=IDS, kind="eeg", time=[start, start + 0.1])

        assert concat([epochs(0.0), epochs(0.0)])["time"].values.tolist() == [0.0, 0.1]
        with pytest.raises(TimingError, match="'time'"):
            concat([epochs(0.0), epochs(0.05)])
        with pytest.raises(AlignmentError, match="dims"):
            concat([epochs(0.0), part()])


class TestSamples:
    def test_sessions(self):
        one = part(sample={"run": [1, 1, 2]}, unit={"roi": ["V1", "V2"]})
        two = part(seed=1, ids=["d", "e"], sample={"run": [3, 3]}, unit={"roi": ["V1", "V2"]})
        both = concat({"mon": one, "tue": two}, label="session", dim="sample")
        assert both["stimulus"].values.tolist() == ["a", "b", "c", "d", "e"]
        assert both["run"].values.tolist() == [1, 1, 2, 3, 3]
        assert both["session"].values.tolist() == ["mon"] * 3 + ["tue"] * 2
        assert both["roi"].values.tolist() == ["V1", "V2"]
        np.testing.assert_array_equal(both.values, np.vstack([one.values, two.values]))
        assert check_representation(both) is both

    def test_units_must_be_the_same(self):
        with pytest.raises(AlignmentError, match="'roi'"):
            concat([part(unit={"roi": ["V1", "V2"]}), part(unit={"roi": ["V2", "V1"]})], dim="sample")
        with pytest.raises(AlignmentError, match="3 units, 2 were seen"):
            concat([part(2), part(3)], dim="sample")

    def test_a_missing_sample_coordinate_is_not_invented(self):
        with pytest.raises(AlignmentError, match="part '1' has no sample coordinate 'run'"):
            concat([part(sample={"run": [1, 1, 2]}), part()], dim="sample")

    def test_other_masks_are_refused(self):
        def masked(column):
            values = np.zeros((3, 2))
            values[0, column] = np.nan
            return as_representation(values, stimulus=IDS, kind="fmri", nan_policy="drop_targets")

        assert concat([masked(0), masked(0)], dim="sample")["masked"].values.tolist() == [True, False]
        with pytest.raises(AlignmentError, match="mask other units"):
            concat([masked(0), masked(1)], dim="sample")


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: concat({}), AlignmentError, "nothing to concatenate"),
        (lambda: concat([np.zeros((3, 2))]), TypeError, "part '0' is not a labelled"),
        (lambda: concat([part()], dim="time"), ValueError, "dim='time'"),
    ],
)
def test_wrong_calls(call, error, says):
    with pytest.raises(error, match=says):
        call()
