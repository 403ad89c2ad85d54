"""What is saved comes back: values, labels, dtypes and attributes, of arrays, data sets and trees."""

from __future__ import annotations

import json
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import neurodecode
from neurodecode.exceptions import IntegrityError
from neurodecode.representation import as_representation, concat, content_hash, load, save, verify, write_atomic

FIXTURES = Path(__file__).parent / "fixtures"


def array(dtype=np.float64, seed=0):
    values = np.random.default_rng(seed).normal(size=(4, 3)).astype(dtype)
    return as_representation(
        values,
        stimulus=["cat", "dög", "a longer name", "猫"],
        kind="fmri",
        unit={"roi": ["V1", "V2", ""], "x": [1.5, np.nan, -3.0], "kept": [True, False, True]},
        sample={"run": [1, 1, 2, 2], "onset": [0.0, 2.0, 0.0, 2.0]},
        attrs={"tr": 2.0, "affine": np.eye(4), "nested": {"list": [1, None, True, {"deep": 'é"\\ \n'}], "empty": {}}},
    )


def epochs():
    return as_representation(np.zeros((2, 3, 4), np.float32), stimulus=["a", "b"], kind="eeg", time=np.arange(4) / 100)


def dataset():
    return xr.Dataset(
        {
            "score": ("unit", np.array([0.5, np.nan], np.float32), {"long_name": "r", "range": [-1, 1]}),
            "score_fold": (("fold", "unit"), np.arange(4).reshape(2, 2)),
            "degenerate": ("unit", [False, True]),
            "when": ("fold", np.array(["2001-09-28", "NaT"], dtype="M8[ns]")),
            "lasted": ("fold", np.array([5, 7], dtype="m8[s]")),
            "phase": ("unit", np.array([1 + 2j, 0])),
            "a name with spaces": ((), 3),
            "Score": ((), 2.5),
        },
        coords={"roi": ("unit", ["V1", "é"]), "fold": [10, 20], "what": "text", "empty": ("none", np.zeros(0))},
        attrs={"random_state": None, "splits": "SplitBy('run')", "leakage": [{"coord": "run", "shared": 0}]},
    )


def tree():
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(
                {"matrix": (("layer", "roi"), np.eye(2))}, attrs={"question": "which?", "figures": [{"low": None}]}
            ),
            "/alexnet": dataset(),
            "/alexnet/fold one": xr.Dataset({"p": ("permutation", [0.1])}),
            "/é": xr.Dataset(attrs={"n": 1}),
        },
        name="objects",
    )


THINGS = {
    "float64": array,
    "float32": lambda: array(np.float32),
    "epochs": epochs,
    "named": lambda: array().rename("bold"),
    "coordinate called values": lambda: array().assign_coords(values=("unit", [1, 2, 3])),
    "labels": lambda: array()["stimulus"],
    "two subjects": lambda: concat({"S1": array(seed=1), "S2": array(seed=2)}, label="subject"),
    "scalar": lambda: xr.DataArray(3.5, attrs={"a": 1}),
    "no samples": lambda: array().isel(sample=[]),
    "dataset": dataset,
    "tree": tree,
}


class TestRoundTrip:
    @pytest.mark.parametrize(
        "name", ["x.zarr", "folder", "with space/ünï cödé 猫.zarr", "a.b.zarr", "n" * 190 + ".zarr"]
    )
    @pytest.mark.parametrize("thing", ["float64", "tree"])
    def test_paths(self, tmp_path, name, thing):
        X = THINGS[thing]()
        path = save(X, tmp_path / name)
        assert path == tmp_path / name
        xr.testing.assert_identical(load(path), X)
        assert verify(str(path)) == []
        assert [found.name for found in path.parent.iterdir()] == [path.name], "nothing is left beside it"

    @pytest.mark.parametrize("thing", THINGS)
    @pytest.mark.parametrize("lazy", [False, True])
    def test_things(self, tmp_path, thing, lazy):
        X = THINGS[thing]()
        got = load(save(X, tmp_path / "x.zarr"), lazy=lazy)
        assert type(got) is type(X)
        xr.testing.assert_identical(got, X)
        assert got.name == X.name if hasattr(X, "name") else True
        assert content_hash(got) == content_hash(X)
        if isinstance(X, xr.DataArray):
            assert got.dtype == X.dtype or X.dtype.kind == "U"
            assert set(got.xindexes) == set(X.xindexes)

    def test_attributes_keep_their_types(self, tmp_path):
        got = load(save(array(), tmp_path / "x.zarr")).attrs
        assert got["nested"] == {"list": [1, None, True, {"deep": 'é"\\ \n'}], "empty": {}}
        assert got["nested"]["list"][2] is True
        assert got["affine"] == np.eye(4).tolist()
        assert json.dumps(got) == json.dumps(array().attrs)

    def test_attributes_with_nan(self, tmp_path):
        got = load(save(xr.Dataset(attrs={"chance": float("nan"), "top": float("inf")}), tmp_path / "x.zarr"))
        assert np.isnan(got.attrs["chance"]) and got.attrs["top"] == float("inf")

    @pytest.mark.parametrize("value", [0.0, -0.0, np.inf, 5e-324])
    def test_bits_are_kept(self, tmp_path, value):
        X = xr.DataArray(np.full((3, 2), value))
        got = load(save(X, tmp_path / "x.zarr"))
        assert got.values.tobytes() == X.values.tobytes()

    @pytest.mark.parametrize("dtype", ["i1", "u2", "i4", "u8", "f2", "f4", "c8", "c16", "?", ">f8", ">i2"])
    def test_dtypes(self, tmp_path, dtype):
        X = xr.DataArray(np.array([[0, 1], [2, 3]]).astype(dtype))
        got = load(save(X, tmp_path / "x.zarr"))
        assert got.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_array_equal(got.values, X.values)

    def test_saving_again_replaces(self, tmp_path):
        path = tmp_path / "x.zarr"
        for seed in range(3):
            save(array(seed=seed), path)
            xr.testing.assert_identical(load(path), array(seed=seed))
        save(dataset(), path)
        xr.testing.assert_identical(load(path), dataset())
        assert [found.name for found in tmp_path.iterdir()] == ["x.zarr"]

    def test_no_warning_escapes(self, tmp_path):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            load(save(tree(), tmp_path / "t.zarr"))
            load(save(array(), tmp_path / "x.zarr"), lazy=True)
        assert [str(warning.message) for warning in caught] == []

    def test_other_programs_can_open_it(self, tmp_path):
        save(array(), tmp_path / "x.zarr")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = xr.open_zarr(tmp_path / "x.zarr", consolidated=False, chunks=None)
        np.testing.assert_array_equal(found["values"].values, array().values)
        assert found["stimulus"].values.tolist() == array()["stimulus"].values.tolist()
        assert set(found.coords) == set(array().coords)


class TestLargeArrays:
    def test_many_chunks(self, tmp_path, monkeypatch):
        import neurodecode.representation.store as store

        monkeypatch.setattr(store, "CHUNK_BYTES", 4096)
        X = xr.DataArray(np.random.default_rng(0).normal(size=(101, 53)), dims=("sample", "unit"))
        path = save(X, tmp_path / "x.zarr")
        assert len(list(path.rglob("c/*/*"))) > 10
        xr.testing.assert_identical(load(path), X)
        xr.testing.assert_identical(load(path, lazy=True)[7:9, ::5].load(), X[7:9, ::5])

    def test_memory_maps_are_written_piece_by_piece(self, tmp_path):
        shape = (6000, 1500)
        values = np.memmap(tmp_path / "big.f4", mode="w+", dtype=np.float32, shape=shape)
        values[::100] = 1.0
        X = xr.DataArray(
            np.memmap(tmp_path / "big.f4", mode="r", dtype=np.float32, shape=shape), dims=("sample", "unit")
        )
        save(X[:2], tmp_path / "warm.zarr")
        tracemalloc.start()
        save(X, tmp_path / "x.zarr")
        _, while_saving = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        content_hash(X)
        _, while_hashing = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert max(while_saving, while_hashing) < 0.6 * values.nbytes
        np.testing.assert_array_equal(load(tmp_path / "x.zarr").values, values)

    def test_dask_is_written_by_its_own_chunks(self, tmp_path):
        array_module = pytest.importorskip("dask.array")
        values = np.arange(60.0).reshape(10, 6)
        X = xr.DataArray(array_module.from_array(values, chunks=(4, 6)), dims=("sample", "unit"))
        path = save(X, tmp_path / "x.zarr")
        assert len(list(path.rglob("c/*/*"))) == 3
        np.testing.assert_array_equal(load(path).values, values)

    def test_lazy_reads_when_selected(self, tmp_path):
        path = save(xr.DataArray(np.arange(12.0).reshape(4, 3), dims=("sample", "unit")), tmp_path / "x.zarr")
        X = load(path, lazy=True)
        assert not X.variable._in_memory
        np.testing.assert_array_equal(X.isel(sample=[2, 0]).values, [[6, 7, 8], [0, 1, 2]])


class TestRefusals:
    @pytest.mark.parametrize(
        ("X", "says"),
        [
            (xr.DataArray(np.array([{"a": 1}, None], dtype=object)), "Python objects, which would need pickling"),
            (xr.DataArray(np.array([b"a"])), "no file format here holds"),
            (xr.DataArray([1.0], attrs={"model": object()}), r"attrs of 'values'\['model'\] is a object"),
            (xr.Dataset({1: ("x", [1])}), "not text"),
            (xr.DataArray(np.zeros(2, "longdouble")), "float64"),
            (np.zeros((2, 2)), "as_representation"),
        ],
    )
    def test_what_would_need_pickles(self, tmp_path, X, says):
        with pytest.raises(TypeError, match=says):
            save(X, tmp_path / "x.zarr")
        assert list(tmp_path.iterdir()) == []

    def test_an_index_of_levels(self, tmp_path):
        X = xr.Dataset({"v": (("a", "b"), np.eye(2))}, coords={"a": [1, 2], "b": [3, 4]}).stack(c=("a", "b"))
        with pytest.raises(TypeError, match="reset_index"):
            save(X, tmp_path / "x.zarr")

    def test_folders_of_others_are_left_alone(self, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.txt").write_text("four years")
        with pytest.raises(FileExistsError, match="other files"):
            save(array(), tmp_path / "mine")
        assert (tmp_path / "mine" / "thesis.txt").read_text() == "four years"
        (tmp_path / "file.zarr").write_text("x")
        with pytest.raises(FileExistsError, match="is a file"):
            save(array(), tmp_path / "file.zarr")
        (tmp_path / "empty").mkdir()
        xr.testing.assert_identical(load(save(array(), tmp_path / "empty")), array())

    def test_nothing_there(self, tmp_path):
        for call in (load, verify):
            with pytest.raises(FileNotFoundError, match="nothing is saved there"):
                call(tmp_path / "none.zarr")


class TestReleases:
    """Row 50: files of every release load; those of a later one explain themselves."""

    @pytest.mark.parametrize("path", sorted(FIXTURES.glob("release_*")), ids=lambda path: path.name)
    def test_stored_files_load(self, path, monkeypatch):
        import neurodecode.representation.netcdf as netcdf
        import neurodecode.representation.store as store

        monkeypatch.setattr(store, "SCHEMA", store.SCHEMA + 1)
        monkeypatch.setattr(netcdf, "SCHEMA", netcdf.SCHEMA + 1)
        if path.suffix == ".nc":
            pytest.importorskip("netCDF4")
        assert verify(path) == []
        got = load(path)
        assert got["/array"].attrs == {"note": "an array of this release"}
        X = got["/array"]["values"]
        assert X.dims == ("sample", "unit")
        assert X.dtype == np.float32
        np.testing.assert_array_equal(X.values, np.arange(6, dtype=np.float32).reshape(2, 3) / 4)
        assert X["stimulus"].values.tolist() == ["cat", "猫"]
        assert X["roi"].values.tolist() == ["V1", "V2", ""]
        assert got.attrs == {"question": "which?", "nested": {"list": [1, None, True]}}

    def test_there_is_one_for_every_format(self):
        assert {path.suffix for path in FIXTURES.glob("release_*")} == {".zarr", ".nc"}

    def test_a_later_format_explains_itself(self, tmp_path):
        path = save(array(), tmp_path / "x.zarr")
        manifest = path / "zarr.json"
        text = manifest.read_text().replace("neurodecode.store/1", "neurodecode.store/7")
        manifest.write_text(text.replace(f'"neurodecode":"{neurodecode.__version__}"', '"neurodecode":"9.1.0"'))
        says = r"written by neurodecode 9\.1\.0 in format 7; .* reads formats up to 1\. Update it: pip install"
        with pytest.raises(IntegrityError, match=says):
            load(path)
        assert "9.1.0" in verify(path)[0]


class TestContentHash:
    def test_memory_does_not_count(self):
        values = np.random.default_rng(0).normal(size=(6, 4))
        same = [np.asfortranarray(values), values.astype(">f8"), np.repeat(values, 2, axis=0)[::2]]
        assert {content_hash(other) for other in [values, *same]} == {content_hash(values)}
        assert content_hash(np.array(["a", "bb"])) == content_hash(np.array(["a", "bb"], dtype="U9"))

    def test_history_names_and_order_of_coordinates_do_not_count(self):
        X = array()
        other = X.drop_vars("run").assign_coords(run=X["run"].variable).rename("bold").assign_attrs(history=["x"])
        assert content_hash(other) == content_hash(X)

    @pytest.mark.parametrize(
        "change",
        [
            lambda X: X.astype(np.float32),
            lambda X: X + 1e-15,
            lambda X: X[::-1],
            lambda X: X.rename(unit="voxel"),
            lambda X: X.rename(roi="area"),
            lambda X: X.drop_vars("roi"),
            lambda X: X.assign_coords(roi=("unit", ["V1", "V", "2"])),
            lambda X: X.to_dataset(name="values"),
            lambda X: X.values,
        ],
    )
    def test_content_counts(self, change):
        X = array()
        assert content_hash(change(X)) != content_hash(X)

    def test_blocks_and_dask_give_the_same(self, monkeypatch):
        import neurodecode.representation.values as values_module

        dask = pytest.importorskip("dask.array")
        values = np.random.default_rng(0).normal(size=(50, 4))
        whole = content_hash(values)
        monkeypatch.setattr(values_module, "BLOCK_BYTES", 100)
        assert content_hash(values) == whole
        assert content_hash(dask.from_array(values, chunks=(7, 2))) == whole

    def test_text_has_boundaries(self):
        assert content_hash(np.array(["ab", "c"])) != content_hash(np.array(["a", "bc"]))


class TestWriteAtomic:
    def test_bytes_and_text(self, tmp_path):
        assert write_atomic(tmp_path / "a" / "b.bin", b"\x00\xff").read_bytes() == b"\x00\xff"
        assert write_atomic(str(tmp_path / "ü.txt"), "é").read_text(encoding="utf-8") == "é"
        write_atomic(tmp_path / "ü.txt", "new")
        assert sorted(found.name for found in tmp_path.iterdir()) == ["a", "ü.txt"]
        assert (tmp_path / "ü.txt").read_text() == "new"
