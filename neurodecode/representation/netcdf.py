"""netCDF export: the same arrays for other programs, with the full description inside for the way back."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import __version__
from .._optional import require
from ..exceptions import IntegrityError
from .packing import Packed, raw_bytes, restored, unpack

SCHEMA = 1
NOTE = "neurodecode_description"
DIM = "neurodecode_bytes"


def write_netcdf(path: Path, described: dict[str, Any], arrays: list[Packed]) -> None:
    """Write packed arrays as groups and variables; text, numbers and flags among the attributes stay readable."""
    described = {"schema": f"neurodecode.netcdf/{SCHEMA}", "neurodecode": __version__, **described}
    digests = {f"{array.node}/{array.key}": _digest(array.data) for array in arrays}
    text = json.dumps({**described, "arrays": digests}, ensure_ascii=True).encode("ascii")
    note = hashlib.sha256(text).hexdigest().encode() + text
    groups: dict[str, dict[str, xr.Variable]] = {node["folder"]: {} for node in described["nodes"]}
    for array in arrays:
        groups[array.node][array.key] = xr.Variable(array.dims, _writable(array), _simple(array.attrs))
    datasets = {}
    for node in described["nodes"]:
        variables = groups[node["folder"]]
        coords = {v["key"]: variables.pop(v["key"]) for v in node["variables"] if v["coord"]}
        attrs = _simple(node["attrs"])
        held = xr.Dataset(variables, coords=xr.Coordinates(coords, indexes={}), attrs=attrs)
        datasets[f"/{node['folder']}"] = held
    datasets["/"] = datasets["/"].assign({NOTE: (DIM, np.frombuffer(note, dtype=np.uint8))})
    engine = _engine("writing netCDF")
    for at, (folder, dataset) in enumerate(datasets.items()):
        encoding = {name: {"_FillValue": None} for name in dataset.variables if dataset[name].dtype.kind in "iuf"}
        group = folder.strip("/") or None
        dataset.to_netcdf(path, mode="w" if at == 0 else "a", group=group, engine=engine, encoding=encoding)


def read_netcdf(path: Path) -> Any:
    """What ``write_netcdf`` wrote, after comparing every array with its checksum."""
    engine = _engine("reading netCDF")
    described = _description(path, engine)
    opened: dict[str, xr.Dataset] = {}

    def read(folder: str, key: str, variable: dict[str, Any]) -> Any:
        try:
            if folder not in opened:
                opened[folder] = xr.load_dataset(path, group=folder or None, engine=engine, decode_cf=False)
            values = opened[folder].variables[key].values
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            raise IntegrityError(f"{path.name!r}: {key!r} cannot be read ({error}).") from error
        stored = variable["dtype"] if variable["dtype"][:2] not in ("M8", "m8") else "int64"
        values = restored(values, stored)
        if _digest(values) != described["arrays"][f"{folder}/{key}"]:
            raise IntegrityError(f"{path.name!r}: {variable['name']!r} is not what was saved: its checksum differs.")
        return values

    return unpack(described, read)


def verify_netcdf(path: Path) -> list[str]:
    """Problems of a netCDF file as text; an empty list where it is whole."""
    try:
        read_netcdf(path)
    except IntegrityError as error:
        return [str(error)]
    return []


def _description(path: Path, engine: Any) -> dict[str, Any]:
    try:
        with xr.open_dataset(path, engine=engine, decode_cf=False) as root:
            if NOTE not in root.variables:
                raise ValueError(
                    f"{path.name!r} is a netCDF file that save did not write; open it with xarray.open_dataset "
                    "and label it with as_representation(...)."
                )
            note = root.variables[NOTE].values.astype(np.uint8).tobytes()
    except (OSError, RuntimeError) as error:
        raise IntegrityError(f"{path.name!r} cannot be read as netCDF: it is damaged ({error}).") from error
    digest, text = note[:64], note[64:]
    if hashlib.sha256(text).hexdigest().encode() != digest:
        raise IntegrityError(f"{path.name!r}: the description inside is not what was saved: its checksum differs.")
    said: dict[str, Any] = json.loads(text)
    schema = int(said["schema"].removeprefix("neurodecode.netcdf/"))
    if schema > SCHEMA:
        raise IntegrityError(
            f"{path.name!r} was written by neurodecode {said['neurodecode']} in format {schema}; this is neurodecode "
            f"{__version__}, which reads formats up to {SCHEMA}. Update it: pip install --upgrade neurodecode"
        )
    return said


def _engine(purpose: str) -> Any:
    here = {name for name in ("netCDF4", "h5netcdf", "h5py") if importlib.util.find_spec(name) is not None}
    if "netCDF4" not in here and {"h5netcdf", "h5py"} <= here:
        return "h5netcdf"
    require("netCDF4", extra="netcdf", purpose=purpose)
    return "netcdf4"


def _writable(array: Packed) -> Any:
    if array.text:
        return np.asarray(array.data).astype(object)
    kind = array.data.dtype.kind
    if kind == "c":
        raise TypeError(f"{array.key!r} is complex, which netCDF does not hold; save it as .zarr.")
    if kind == "b":
        return array.data.astype(np.int8)
    return array.data.astype(np.float32) if array.data.dtype.name == "float16" else array.data


def _simple(attrs: dict[str, Any]) -> dict[str, Any]:
    """Attributes that every program reads; the others are in the description only."""
    plain = {key: int(entry) if isinstance(entry, bool) else entry for key, entry in attrs.items()}
    return {k: v for k, v in plain.items() if isinstance(v, (str, int, float)) and k.isidentifier() and v != ""}


def _digest(data: Any) -> str:
    digest = hashlib.sha256()
    for piece in raw_bytes(data):
        digest.update(piece)
    return digest.hexdigest()
