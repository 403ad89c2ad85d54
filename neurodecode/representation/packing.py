"""xarray objects as plain arrays plus a description in JSON: what every file format of the store writes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .schema import json_ready
from .values import row_blocks

PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
RESERVED = {"zarr", "c", "neurodecode"}


@dataclass(frozen=True)
class Packed:
    """One array on its way to a file: where it goes, its dimensions, and values of a dtype every format knows."""

    node: str
    key: str
    dims: tuple[str, ...]
    data: Any
    text: bool
    attrs: dict[str, Any]


def pack(X: Any) -> tuple[dict[str, Any], list[Packed]]:
    """Description (JSON-able) and arrays of a DataArray, Dataset or DataTree.

    Raises
    ------
    TypeError : not one of these; objects, bytes or a MultiIndex in it; attributes that JSON cannot hold.
    """
    nodes: list[dict[str, Any]] = []
    arrays: list[Packed] = []
    taken: dict[str, set[str]] = {}
    for path, name, dataset in _datasets(X):
        parent = path.rsplit("/", 1)[0] or "/"
        parts = [part for part in path.split("/") if part]
        folder = ""
        if parts:
            above = next(node["folder"] for node in nodes if node["path"] == parent)
            folder = f"{above}/{_key(parts[-1], taken.setdefault(above, set()), 'node')}".lstrip("/")
        used = taken.setdefault(folder, set())
        variables = []
        for variable_name, variable in dataset.variables.items():
            if not isinstance(variable_name, str):
                raise TypeError(f"variable name {variable_name!r} is not text and cannot be saved; rename it.")
            key = _key(variable_name, used, "variable")
            indexed = variable_name in dataset.xindexes
            if indexed and not isinstance(dataset.xindexes[variable_name], xr.indexes.PandasIndex):
                raise TypeError(
                    f"{variable_name!r} belongs to an index of several levels; call X.reset_index(...) first."
                )
            if variable_name in dataset.xindexes and variable.dtype.kind == "O" and _levels(dataset, variable_name):
                raise TypeError(f"{variable_name!r} is a MultiIndex; call X.reset_index({variable_name!r}) first.")
            data, dtype = storable(variable, variable_name)
            attrs = json_ready(dict(variable.attrs), f"attrs of {variable_name!r}")
            dims = [str(dim) for dim in variable.dims]
            variables.append(
                {
                    "name": variable_name,
                    "key": key,
                    "dims": dims,
                    "dtype": dtype,
                    "coord": variable_name in dataset.coords,
                    "index": indexed,
                    "attrs": attrs,
                }
            )
            arrays.append(Packed(folder, key, tuple(dims), data, dtype == "str", attrs))
        attrs = json_ready(dict(dataset.attrs), f"attrs of {path}")
        nodes.append({"path": path, "folder": folder, "name": name, "attrs": attrs, "variables": variables})
    described: dict[str, Any] = {"type": type(X).__name__, "nodes": nodes}
    if isinstance(X, xr.DataArray):
        described["type"] = "DataArray"
        described["name"] = X.name if isinstance(X.name, str) else None
    return described, arrays


def unpack(described: dict[str, Any], read: Callable[[str, str, dict[str, Any]], Any]) -> Any:
    """The object that ``pack`` described; ``read(folder, key, variable)`` gives the stored values."""
    datasets = {}
    for node in described["nodes"]:
        coords: dict[str, xr.Variable] = {}
        data_vars: dict[str, xr.Variable] = {}
        for variable in node["variables"]:
            values = restored(read(node["folder"], variable["key"], variable), variable["dtype"])
            made = xr.Variable(tuple(variable["dims"]), values, variable["attrs"])
            (coords if variable["coord"] else data_vars)[variable["name"]] = made
        dataset = xr.Dataset(data_vars, coords=xr.Coordinates(coords, indexes={}), attrs=node["attrs"])
        for variable in node["variables"]:
            if variable["index"]:
                dataset = dataset.set_xindex(variable["name"])
        datasets[node["path"]] = dataset
    if described["type"] == "DataTree":
        return xr.DataTree.from_dict(datasets, name=described["nodes"][0]["name"])
    dataset = datasets["/"]
    if described["type"] == "Dataset":
        return dataset
    name = next(variable["name"] for variable in described["nodes"][0]["variables"] if not variable["coord"])
    return dataset[name].rename(described["name"])


def storable(variable: xr.Variable, name: str) -> tuple[Any, str]:
    """Values of a dtype that files know, lazily where they were lazy, and the dtype to restore."""
    data: Any = variable.data
    kind = data.dtype.kind
    if kind in "OTU":
        text = np.asarray(data)
        if kind != "U" and not all(isinstance(entry, str) for entry in text.ravel().tolist()):
            raise TypeError(f"{name!r} holds Python objects, which would need pickling; convert it to numbers or text.")
        return text.astype(str), "str"
    if kind in "mM":
        return np.asarray(data).view(np.int64), data.dtype.newbyteorder("=").str.lstrip("<>=|")
    if kind not in "biufc":
        raise TypeError(f"{name!r} is {data.dtype}, which no file format here holds; convert it to numbers or text.")
    if not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    if data.dtype.itemsize > 8 and kind == "f":
        raise TypeError(f"{name!r} is {data.dtype}; convert it to float64 before saving.")
    return data, data.dtype.name


def restored(values: Any, dtype: str) -> Any:
    """Stored values in the dtype they had; lazy ones stay lazy."""
    if dtype == "str":
        entries = np.asarray(values)
        return np.array([str(entry) for entry in entries.ravel().tolist()], dtype=str).reshape(entries.shape)
    if dtype[:2] in ("M8", "m8"):
        return np.asarray(values).astype(np.int64).view(dtype)
    if isinstance(values, np.ndarray) and values.dtype.name != dtype:
        return values.astype(dtype)
    return values


def content_hash(X: Any) -> str:
    """SHA-256 (hex) of the values and coordinates of an array: the same content, the same hash.

    Memory order, byte order, laziness, the width of text, names, attributes and history do not count; dims, dtype,
    shape and the names of the coordinates do. Read in blocks, so that arrays on disk may be larger than memory.

    Parameters
    ----------
    X : DataArray, Dataset, DataTree or plain array.

    Examples
    --------
    >>> content_hash(np.zeros((2, 3))) == content_hash(np.zeros((2, 3), order="F"))
    True
    >>> content_hash(np.zeros((2, 3))) == content_hash(np.zeros((3, 2)))
    False
    """
    if not isinstance(X, (xr.DataArray, xr.Dataset, xr.DataTree)):
        X = xr.DataArray(X if hasattr(X, "dtype") else np.asarray(X))
    digest = hashlib.sha256(type(X).__name__.encode())
    for path, _, dataset in _datasets(X):
        digest.update(f"node {path}\n".encode())
        for name in sorted(dataset.variables, key=str):
            variable = dataset.variables[name]
            data, dtype = storable(variable, str(name))
            shown = "" if isinstance(X, xr.DataArray) and name not in dataset.coords else str(name)
            said = f"{shown!r} {name in dataset.coords} {[str(dim) for dim in variable.dims]} {dtype} {data.shape}\n"
            digest.update(said.encode())
            for piece in raw_bytes(data):
                digest.update(piece)
    return digest.hexdigest()


def raw_bytes(data: Any) -> Iterator[bytes | memoryview]:
    """The values as little-endian bytes in C order, block by block; text as lengths and UTF-8."""
    for _, block in row_blocks(data):
        if block.dtype.kind == "U":
            encoded = [entry.encode("utf-8", "surrogatepass") for entry in block.ravel().tolist()]
            yield np.array([len(entry) for entry in encoded], dtype="<i8").tobytes()
            yield b"".join(encoded)
        else:
            ordered = np.ascontiguousarray(block.astype(block.dtype.newbyteorder("<"), copy=False))
            yield ordered.reshape(-1).view(np.uint8).data


def _datasets(X: Any) -> Iterator[tuple[str, str | None, xr.Dataset]]:
    if isinstance(X, xr.DataTree):
        for node in X.subtree:
            yield node.path if node is not X else "/", node.name, node.to_dataset(inherit=False)
    elif isinstance(X, xr.Dataset):
        yield "/", None, X
    elif isinstance(X, xr.DataArray):
        free = "values"
        while free in X.coords or free in X.dims:
            free += "_"
        yield "/", None, X.to_dataset(name=free)
    else:
        raise TypeError(
            f"expected a DataArray, Dataset or DataTree, got {type(X).__name__}; see as_representation(...)."
        )


def _levels(dataset: xr.Dataset, name: str) -> bool:
    return len(getattr(dataset.indexes.get(name), "names", [name])) > 1


def _key(name: str, taken: set[str], word: str) -> str:
    """A file name for a variable: its own where that is plain, else a number; unique whatever the case."""
    key = name
    if not PLAIN_NAME.fullmatch(name) or name.casefold() in taken or name.casefold() in RESERVED:
        key = f"{word}_{len(taken)}"
        while key in taken:
            key += "_"
    taken.add(key.casefold())
    return key
