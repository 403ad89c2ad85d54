"""What is a representation and what is refused: labels, dims, values, attributes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neurodecode.exceptions import AlignmentError, DegenerateDataError, TimingError
from neurodecode.representation import as_representation, check_finite, check_representation, plain

IDS = ["cat", "dog", "owl", "eel"]
VALUES = np.arange(12.0).reshape(4, 3)


def make(values=VALUES, **changed):
    return as_representation(values, **{"stimulus": IDS, "kind": "fmri", **changed})


class TestShape:
    def test_two_dimensions_are_sample_and_unit(self):
        X = make(unit={"roi": ["V1", "V1", "LOC"]}, sample={"run": [1, 1, 2, 2]}, attrs={"tr": 2.0})
        assert X.dims == ("sample", "unit")
        assert X["stimulus"].values.tolist() == IDS
        assert X["roi"].dims == ("unit",) and X["run"].dims == ("sample",)
        assert X.attrs == {"kind": "fmri", "tr": 2.0, "history": []}
        assert check_representation(X) is X

    def test_no_dimension_of_labels_has_an_index(self):
        X = make()
        assert "sample" not in X.xindexes and "unit" not in X.xindexes and "stimulus" not in X.xindexes

    def test_three_dimensions_end_in_time(self):
        X = make(np.zeros((4, 3, 5)), time=[-0.1, 0.0, 0.1, 0.2, 0.3], attrs={"sfreq": 10.0})
        assert X.dims == ("sample", "unit", "time")
        assert X["time"].attrs["units"] == "s"
        assert X.sel(time=slice(0.0, 0.2)).sizes["time"] == 3

    def test_token_maps_are_named(self):
        X = make(
            np.zeros((4, 7, 3)), dims=("sample", "token", "unit"), token={"row": np.arange(7)}, unit={"layer": "c1"}
        )
        assert X.dims == ("sample", "token", "unit")
        assert X["row"].dims == ("token",)
        assert X["layer"].values.tolist() == ["c1"] * 3

    @pytest.mark.parametrize(
        ("values", "dims", "says"),
        [
            (np.zeros(4), None, "expected 2 dimensions"),
            (np.zeros((4, 3, 2, 2)), None, "expected 2 dimensions"),
            (np.zeros((4, 3)), ("unit", "sample"), "'sample' first"),
            (np.zeros((4, 3)), ("sample", "voxel"), "'unit'"),
            (np.zeros((4, 3)), ("sample", "unit", "time"), "names 3 dimensions"),
            (np.zeros((4, 3, 2)), ("sample", "unit", "frequency"), "at most one"),
        ],
    )
    def test_other_dimensions_are_refused(self, values, dims, says):
        with pytest.raises(AlignmentError, match=says):
            make(values, dims=dims)

    @pytest.mark.parametrize(("shape", "says"), [((0, 3), "no samples"), ((4, 0), "no units")])
    def test_nothing_is_refused_and_one_sample_is_not(self, shape, says):
        with pytest.raises(DegenerateDataError, match=f"{says}; at least 1 is needed"):
            make(np.zeros(shape), stimulus=IDS[: shape[0]])
        assert make(np.zeros((1, 1)), stimulus=["only"]).shape == (1, 1)


class TestLabels:
    @pytest.mark.parametrize(
        ("changed", "says"),
        [
            ({"stimulus": IDS[:3]}, "'stimulus' has 3 entries, the values have 4 samples"),
            ({"stimulus": "cat"}, "stimulus='cat' is one label; give one for each of the 4"),
            ({"sample": {"run": [1, 2]}}, "sample coordinate 'run' has 2 entries"),
            ({"unit": {"roi": ["V1"] * 4}}, "unit coordinate 'roi' has 4 entries, the values have 3 units"),
            ({"unit": {"roi": np.zeros((3, 2))}}, "'roi' has shape"),
            ({"unit": {"roi": ["V1", None, "V2"]}}, "'roi' has no entry at unit 1"),
            ({"sample": {"time": [1, 2, 3, 4]}}, "'time'"),
            ({"sample": {"subject": "S1"}, "unit": {"subject": "S1"}}, "'subject' is given twice"),
            ({"sample": {"stimulus": IDS}}, "'stimulus' is given twice"),
            ({"stimulus": ["cat", "", "owl", "eel"]}, "no label at sample 1"),
            ({"stimulus": [1.0, float("nan"), 2.0, 3.0]}, "no label at sample 1"),
            ({"token": {"row": [1]}}, "token= is given"),
            ({"time": [0.1]}, "time= is given"),
        ],
    )
    def test_labels_that_do_not_fit_are_named(self, changed, says):
        with pytest.raises(AlignmentError, match=says):
            make(**changed)

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ([3, 1, 2, 0], ["3", "1", "2", "0"]),
            ([3.0, 1.0, 2.5, 0.0], ["3", "1", "2.5", "0"]),
            (pd.Series(IDS), IDS),
            (pd.Categorical(IDS), IDS),
            (np.array([b"a", b"b", b"c", b"d"]), list("abcd")),
            (["a", "b", 3, "d"], ["a", "b", "3", "d"]),
            (xr.DataArray(IDS), IDS),
            (["nan", "roti", "dal", "rice"], ["nan", "roti", "dal", "rice"]),
        ],
    )
    def test_ids_become_text(self, given, text):
        X = make(stimulus=given)
        assert X["stimulus"].dtype.kind == "U"
        assert X["stimulus"].values.tolist() == text

    def test_tables_give_coordinates_without_objects(self):
        table = pd.DataFrame({"category": ["a", "b", "a", "b"], "run": [1, 1, 2, 2], "ok": [True, False, True, True]})
        X = make(sample=table)
        assert {name: X[name].dtype.kind for name in table} == {"category": "U", "run": "i", "ok": "b"}

    def test_mixed_objects_are_refused(self):
        with pytest.raises(TypeError, match="mixes"):
            make(unit={"roi": [{"a": 1}, "V1", "V2"]})

    def test_numbers_with_gaps_become_nan(self):
        X = make(unit={"x": np.array([1.0, None, 3.0], dtype=object)})
        np.testing.assert_array_equal(X["x"].values, [1.0, np.nan, 3.0])

    def test_swapped_coordinates_become_native(self):
        X = make(unit={"x": np.arange(3, dtype=">f8")})
        assert X["x"].dtype.isnative
        np.testing.assert_array_equal(X["x"].values, [0, 1, 2])


class TestValues:
    """Row 7: whatever the memory looks like, the numbers are the same, and a promotion is written down."""

    @pytest.mark.parametrize(
        ("dtype", "becomes", "noted"),
        [
            ("float32", "float32", False),
            ("float64", "float64", False),
            (">f4", "float32", False),
            (">f8", "float64", False),
            ("float16", "float32", True),
            ("int16", "float64", True),
            ("uint8", "float64", True),
            ("int64", "float64", True),
            ("bool", "float64", True),
            ("longdouble", "float64", True),
        ],
    )
    def test_dtypes(self, dtype, becomes, noted):
        values = (VALUES % 2 if dtype == "bool" else VALUES).astype(dtype)
        X = make(values)
        assert X.dtype == np.dtype(becomes)
        np.testing.assert_array_equal(X.values, np.asarray(values, dtype=np.float64))
        name = np.dtype(dtype).name
        assert X.attrs["history"] == ([f"values converted from {name} to {becomes}"] if noted else [])

    @pytest.mark.parametrize(
        "how", ["fortran", "strided", "reversed", "read-only", "memmap", "list", "frame", "matrix"]
    )
    def test_layouts(self, how, tmp_path):
        wide = np.zeros((8, 6))
        wide[::2, ::2] = VALUES
        given = {
            "fortran": lambda: np.asfortranarray(VALUES),
            "strided": lambda: wide[::2, ::2],
            "reversed": lambda: VALUES[::-1][::-1],
            "read-only": lambda: np.broadcast_to(VALUES, (4, 3)),
            "memmap": lambda: memory_map(tmp_path),
            "list": lambda: VALUES.tolist(),
            "frame": lambda: pd.DataFrame(VALUES),
            "matrix": lambda: np.asmatrix(VALUES) if hasattr(np, "asmatrix") else VALUES,
        }[how]()
        X = make(given)
        np.testing.assert_array_equal(X.values, VALUES)
        assert type(X.values) is np.ndarray
        if how in ("fortran", "strided", "read-only", "memmap"):
            assert np.shares_memory(X.values, given), "what can be viewed is not copied"

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int32"])
    def test_tensors(self, dtype):
        torch = pytest.importorskip("torch")
        tensor = torch.tensor(VALUES, requires_grad=False).to(getattr(torch, dtype))
        if dtype == "float32":
            tensor.requires_grad_(True)
        X = make(tensor)
        np.testing.assert_array_equal(X.values, VALUES)
        assert X.dtype == {"float64": np.float64, "int32": np.float64}.get(dtype, np.float32)
        assert bool(X.attrs["history"]) == (dtype not in ("float32", "float64"))
        assert all(dtype in line for line in X.attrs["history"])

    def test_dask_stays_lazy(self):
        array = pytest.importorskip("dask.array")
        X = make(array.from_array(VALUES.astype("float16"), chunks=(2, 3)))
        assert hasattr(X.data, "dask")
        np.testing.assert_array_equal(X.values, VALUES)
        with pytest.raises(DegenerateDataError, match="1 NaN"):
            make(array.from_array(np.where(VALUES == 5, np.nan, VALUES), chunks=(2, 3)))

    @pytest.mark.parametrize(
        ("values", "says"),
        [
            (VALUES + 1j, "real and imaginary"),
            (np.full((4, 3), "a"), "expected numbers"),
            (np.array([[1, None], [2, 3]], dtype=object), "objects"),
            (np.full((4, 3), 2**60 + 1), "beyond 2\\^53"),
        ],
    )
    def test_what_is_no_number_is_refused(self, values, says):
        with pytest.raises(TypeError, match=says):
            make(values)

    def test_the_input_is_not_changed(self):
        values = VALUES.copy()
        values[2, 1] = np.nan
        before = values.copy()
        make(values, nan_policy="drop_targets")
        np.testing.assert_array_equal(values, before)


class TestMissingValues:
    """Row 1: counted and named, or masked on request; never carried along in silence."""

    def broken(self):
        values = VALUES.copy()
        values[1, 2], values[3, 2], values[1, 0] = np.nan, np.inf, -np.inf
        return values

    def test_raise_counts_and_names(self):
        with pytest.raises(DegenerateDataError) as error:
            make(self.broken(), unit={"roi": ["V1", "V2", "LOC"]})
        said = str(error.value)
        assert "1 NaN and 2 infinity among 12 values, in 2 samples" in said
        assert "1 'dog', 3 'eel'" in said
        assert "unit 0 (roi=V1)" in said
        assert "drop_targets" in said

    def test_drop_targets_masks_whole_units(self):
        X = make(self.broken(), nan_policy="drop_targets")
        assert X["masked"].values.tolist() == [True, False, True]
        assert np.isnan(X.values[:, [0, 2]]).all()
        np.testing.assert_array_equal(X.values[:, 1], VALUES[:, 1])
        assert X.attrs["history"] == ["2 of 3 units masked: not finite"]
        assert check_representation(X) is X

    def test_drop_targets_with_nothing_to_drop(self):
        X = make(nan_policy="drop_targets")
        assert not X["masked"].values.any()
        np.testing.assert_array_equal(X.values, VALUES)

    def test_over_time_too(self):
        values = np.zeros((4, 3, 5))
        values[0, 1, 3] = np.nan
        X = make(values, nan_policy="drop_targets")
        assert X["masked"].values.tolist() == [False, True, False]
        assert np.isnan(X.values[:, 1]).all()
        tokens = make(np.moveaxis(values, 1, 2), dims=("sample", "token", "unit"), nan_policy="drop_targets")
        assert tokens["masked"].values.tolist() == [False, True, False]
        assert check_representation(tokens) is tokens

    def test_masked_arrays_of_numpy_count_as_missing(self):
        with pytest.raises(DegenerateDataError, match="1 NaN"):
            make(np.ma.masked_equal(VALUES, 4.0))

    def test_all_units_gone(self):
        with pytest.raises(DegenerateDataError, match="all 3 units"):
            make(np.full((4, 3), np.nan), nan_policy="drop_targets")

    def test_a_masked_unit_does_not_excuse_another(self):
        X = make(self.broken(), nan_policy="drop_targets").copy(deep=True)
        X[0, 1] = np.nan
        with pytest.raises(DegenerateDataError, match=r"1 NaN and 0 infinity .* \(0 'cat'; first in unit 1"):
            check_representation(X)

    def test_plain_arrays_are_checked_too(self):
        assert check_finite(VALUES) is VALUES
        with pytest.raises(DegenerateDataError, match=r"features: 1 NaN .* 1 samples \(3;"):
            check_finite(np.where(VALUES == 10, np.nan, VALUES), "features")
        with pytest.raises(DegenerateDataError, match="first at 2"):
            check_finite(np.array([0.0, 1.0, np.inf]))
        assert check_finite(np.array(["a"])).size == 1

    def test_blocks_see_every_row(self, monkeypatch):
        import neurodecode.representation.values as values_module

        monkeypatch.setattr(values_module, "BLOCK_BYTES", 48)
        for row in range(4):
            values = VALUES.copy()
            values[row, 1] = np.nan
            with pytest.raises(DegenerateDataError, match=f"{row} '{IDS[row]}'"):
                make(values)


class TestAttributes:
    def test_they_become_what_json_gives_back(self):
        given = {
            "tr": np.float32(2.0),
            "shape": np.array([2, 3]),
            "pair": (1, None),
            "deep": {"ok": np.True_, "a": [{}]},
        }
        X = make(attrs=given)
        assert {key: X.attrs[key] for key in given} == {
            "tr": 2.0,
            "shape": [2, 3],
            "pair": [1, None],
            "deep": {"ok": True, "a": [{}]},
        }

    @pytest.mark.parametrize(
        ("attrs", "says"),
        [
            ({"model": object()}, r"attrs\['model'\] is a object"),
            ({"deep": {"list": [1, {2}]}}, r"attrs\['deep'\]\['list'\]\[1\] is a set"),
            ({"deep": {1: 2}}, "key 1 is int"),
            ({"history": "once"}, "list of text"),
        ],
    )
    def test_what_json_cannot_hold_is_named(self, attrs, says):
        with pytest.raises(TypeError, match=says):
            make(attrs=attrs)

    def test_kind_is_said_once(self):
        with pytest.raises(ValueError, match="disagree"):
            make(attrs={"kind": "eeg"})
        with pytest.raises(ValueError, match="kind=''"):
            make(kind="")

    def test_earlier_history_is_kept(self):
        assert make(VALUES.astype(int), attrs={"history": ["read"]}).attrs["history"] == [
            "read",
            "values converted from int64 to float64",
        ]

    def test_nan_policy_is_looked_up(self):
        with pytest.raises(ValueError, match="Did you mean 'raise'"):
            make(nan_policy="raises")


class TestTime:
    @pytest.mark.parametrize("onset", [[0.0, 2.0, np.nan, 6.0], [0.0, np.inf, 4.0, 6.0]])
    def test_onsets_are_finite(self, onset):
        with pytest.raises(TimingError, match=f"sample {int(np.flatnonzero(~np.isfinite(onset))[0])}"):
            make(sample={"onset": onset})

    @pytest.mark.parametrize("time", [[0.0, 0.1, 0.1], [0.2, 0.1, 0.0], [0.0, np.nan, 0.2]])
    def test_time_increases(self, time):
        with pytest.raises(TimingError, match="increase"):
            make(np.zeros((4, 3, 3)), time=time)

    def test_milliseconds_are_noticed(self):
        with pytest.raises(TimingError, match="give time in seconds"):
            make(np.zeros((4, 3, 3)), time=[0.0, 10.0, 20.0], attrs={"sfreq": 100.0})

    def test_length(self):
        with pytest.raises(AlignmentError, match="3 times"):
            make(np.zeros((4, 3, 3)), time=[0.0, 0.1])


class TestCheck:
    @pytest.mark.parametrize(
        ("break_it", "error", "says"),
        [
            (lambda X: X.values, TypeError, "as_representation"),
            (lambda X: X.T, AlignmentError, "transpose"),
            (lambda X: X.rename(unit="voxel"), AlignmentError, "'unit'"),
            (lambda X: X.drop_vars("stimulus"), AlignmentError, "no 'stimulus'"),
            (lambda X: X.assign_coords(sample=np.arange(4)), AlignmentError, "index"),
            (lambda X: X.assign_coords(stimulus=("sample", np.arange(4))), AlignmentError, "must be text"),
            (lambda X: X.astype(int), TypeError, "int64"),
            (lambda X: X.drop_attrs(), ValueError, "kind"),
            (lambda X: X.isel(sample=[]), DegenerateDataError, "no samples"),
            (lambda X: X.assign_attrs(model=object()), TypeError, "JSON"),
        ],
    )
    def test_what_is_missing_is_said(self, break_it, error, says):
        with pytest.raises(error, match=says):
            check_representation(break_it(make()))

    def test_selections_stay_representations(self):
        X = make(unit={"roi": ["V1", "V2", "V1"]})
        for part in (X[:2], X.isel(unit=[2, 0]), X.isel(sample=X["stimulus"] == "dog"), X[:, X["roi"] == "V1"]):
            assert check_representation(part) is part
        means = X.groupby("roi").mean()
        assert means["roi"].values.tolist() == ["V1", "V2"]

    def test_finite_can_be_left_out(self):
        X = make().where(False)
        assert check_representation(X, finite=False) is X


def test_plain_is_a_view_and_passes_everything_else_through():
    X = make(VALUES.copy())
    assert np.shares_memory(plain(X), X.values)
    for thing in (VALUES, [1, 2], None):
        assert plain(thing) is thing


def memory_map(folder):
    path = folder / "values.f8"
    VALUES.tofile(path)
    return np.memmap(path, mode="r", dtype=np.float64, shape=(4, 3))
