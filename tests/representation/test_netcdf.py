"""netCDF export: the same content for other programs, checked when it comes back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

import neurodecode.representation.netcdf as netcdf
from neurodecode.exceptions import IntegrityError, MissingExtraError
from neurodecode.representation import as_representation, load, save, verify

pytest.importorskip("netCDF4")


def array():
    return as_representation(
        np.random.default_rng(0).normal(size=(3, 2)),
        stimulus=["cat", "dög", "猫"],
        kind="fmri",
        unit={"roi": ["V1", ""], "kept": [True, False]},
        attrs={"tr": 2.0, "units": "percent", "ok": True, "nested": {"list": [1, None, True, {"deep": "é"}]}},
    )


def dataset():
    return xr.Dataset(
        {
            "score": ("unit", np.array([0.5, np.nan], np.float32), {"long_name": "r"}),
            "half": ("unit", np.array([1, 2], np.float16)),
            "when": ("unit", np.array(["2001-09-28", "NaT"], dtype="M8[ns]")),
            "empty": ("none", np.zeros(0)),
        },
        coords={"fold": [10, 20], "time": ("time", [0.0, 0.5], {"units": "s"}), "what": "text"},
        attrs={"random_state": None, "leakage": [{"shared": 0}]},
    )


def tree():
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"a": {"b": None}}), "/x y": dataset(), "/x y/z": dataset()})


@pytest.mark.parametrize("make", [array, dataset, tree, lambda: array()["stimulus"]])
@pytest.mark.parametrize("name", ["x.nc", "sp ace/ünï 猫.nc"])
def test_round_trip(tmp_path, make, name):
    X = make()
    for _ in range(2):
        path = save(X, tmp_path / name)
        got = load(path)
        assert type(got) is type(X)
        xr.testing.assert_identical(got, X)
        assert verify(path) == []
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_the_other_engine(tmp_path, monkeypatch):
    pytest.importorskip("h5netcdf")
    pytest.importorskip("h5py")
    monkeypatch.setattr(netcdf, "_engine", lambda purpose: "h5netcdf")
    xr.testing.assert_identical(load(save(tree(), tmp_path / "x.nc")), tree())


def test_other_programs_read_it(tmp_path):
    with xr.open_dataset(save(array(), tmp_path / "x.nc"), engine="netcdf4") as found:
        np.testing.assert_array_equal(found["values"].values, array().values)
        assert found["stimulus"].values.tolist() == ["cat", "dög", "猫"]
        assert found["values"].attrs["tr"] == 2.0 and found["values"].attrs["units"] == "percent"


def test_a_flipped_bit_in_the_values_is_noticed(tmp_path):
    path = save(array(), tmp_path / "x.nc")
    whole = path.read_bytes()
    start = whole.index(array().values.tobytes())
    for at in range(start, start + array().values.nbytes):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(IntegrityError, match="checksum differs"):
            load(path)
    assert "checksum differs" in verify(path)[0]


def test_a_flipped_bit_in_the_description_is_noticed(tmp_path):
    path = save(array(), tmp_path / "x.nc")
    whole = path.read_bytes()
    at = whole.index(b'"neurodecode.netcdf/1"')
    path.write_bytes(whole.replace(b'"deep"', b'"dEep"'))
    with pytest.raises(IntegrityError, match="description inside"):
        load(path)
    path.write_bytes(whole[: at // 2])
    with pytest.raises(IntegrityError, match="damaged"):
        load(path)


def test_other_netcdf_files_are_explained(tmp_path):
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(tmp_path / "x.nc", engine="netcdf4")
    with pytest.raises(ValueError, match="save did not write"):
        load(tmp_path / "x.nc")


def test_a_later_format_explains_itself(tmp_path, monkeypatch):
    path = save(array(), tmp_path / "x.nc")
    monkeypatch.setattr(netcdf, "SCHEMA", 0)
    with pytest.raises(IntegrityError, match=r"in format 1; .* reads formats up to 0\. Update it"):
        load(path)


def test_what_netcdf_cannot_hold(tmp_path):
    with pytest.raises(TypeError, match="complex"):
        save(xr.DataArray([1j]), tmp_path / "x.nc")
    assert list(tmp_path.iterdir()) == []


def test_the_extra_is_named_where_it_is_missing(tmp_path, monkeypatch):
    def absent(name, extra, purpose):
        raise MissingExtraError(f'{purpose} needs {name}: pip install "neurodecode[{extra}]"')

    monkeypatch.setattr(netcdf, "require", absent)
    monkeypatch.setattr(netcdf.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"writing netCDF needs netCDF4.*neurodecode\[netcdf\]"):
        save(array(), tmp_path / "x.nc")
    assert list(tmp_path.iterdir()) == []


def test_the_description_is_json_inside(tmp_path):
    with xr.open_dataset(save(array(), tmp_path / "x.nc"), engine="netcdf4", decode_cf=False) as found:
        said = json.loads(found[netcdf.NOTE].values.tobytes()[64:])
    assert said["type"] == "DataArray"
    assert said["nodes"][0]["variables"][0]["name"]
