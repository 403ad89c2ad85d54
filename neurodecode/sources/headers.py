"""Shape and type of a stored array, read off the head of its file without loading the values."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from .._optional import require
from ..exceptions import IntegrityError, UnsafeFileError

Shape = tuple[int, ...]


def array_header(path: str | Path, key: str | None = None) -> tuple[Shape, str]:
    """Shape and dtype name of an array in a file.

    Parameters
    ----------
    path : ``.npy``, ``.npz``, ``.nii``, ``.nii.gz``, ``.csv``, ``.tsv``, ``.safetensors``, ``.h5`` or ``.hdf5``.
        A table has shape (rows without the head, columns) and dtype ``"table"``.
    key : which array, where a file holds several (``.npz``, ``.safetensors``, HDF5).

    Raises
    ------
    IntegrityError : the file cannot be read as what its name says, or has no such key.
    UnsafeFileError : the array holds Python objects, which could run code when loaded.
    ValueError : a kind of file that this function does not know.

    Examples
    --------
    >>> np.savez("pair.npz", a=np.zeros((3, 4), np.float32), b=np.zeros(2))
    >>> array_header("pair.npz", "a")
    ((3, 4), 'float32')
    """
    path = Path(path)
    name = path.name.lower()
    readers = {
        ".npy": _npy,
        ".npz": _npz,
        ".nii.gz": _nifti,
        ".nii": _nifti,
        ".csv": _table,
        ".tsv": _table,
        ".safetensors": _safetensors,
        ".hdf5": _hdf5,
        ".h5": _hdf5,
    }
    reader = next((function for ending, function in readers.items() if name.endswith(ending)), None)
    if reader is None:
        raise ValueError(f"{path.name}: shapes are read from {', '.join(readers)} files only")
    try:
        return reader(path, key)
    except (UnsafeFileError, IntegrityError, FileNotFoundError):
        raise
    except Exception as error:
        raise IntegrityError(f"{path.name} cannot be read: {error or type(error).__name__}") from error


def _npy(path: Path, _: str | None) -> tuple[Shape, str]:
    with open(path, "rb") as file:
        return _npy_header(file, path.name)


def _npz(path: Path, key: str | None) -> tuple[Shape, str]:
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        chosen = _choose(names, key, path)
        with archive.open(f"{chosen}.npy") as member:
            return _npy_header(member, f"{path.name}[{chosen}]")


def _npy_header(file: IO[bytes], name: str) -> tuple[Shape, str]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise UnsafeFileError(f"{name} holds pickled Python objects; loading them could run code")
    return tuple(shape), str(dtype)


def _nifti(path: Path, _: str | None) -> tuple[Shape, str]:
    nibabel = require("nibabel", purpose="reading NIfTI images")
    image = nibabel.load(path)
    return tuple(int(n) for n in image.shape), str(image.get_data_dtype())


def _table(path: Path, _: str | None) -> tuple[Shape, str]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        head = next(rows)
        return (sum(1 for _ in rows), len(head)), "table"


def _safetensors(path: Path, key: str | None) -> tuple[Shape, str]:
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > 100_000_000:
            raise IntegrityError(f"{path.name} is not a safetensors file")
        head: dict[str, Any] = json.loads(file.read(length))
    head.pop("__metadata__", None)
    chosen = head[_choose(list(head), key, path)]
    kinds = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}
    return tuple(chosen["shape"]), kinds.get(chosen["dtype"], chosen["dtype"])


def _hdf5(path: Path, key: str | None) -> tuple[Shape, str]:
    netcdf = require("netCDF4", extra="netcdf", purpose="reading HDF5 files")
    with netcdf.Dataset(path) as file:
        variable = file.variables[_choose(list(file.variables), key, path)]
        return tuple(int(n) for n in variable.shape), str(variable.dtype)


def _choose(names: list[str], key: str | None, path: Path) -> str:
    if key is None and len(names) == 1:
        return names[0]
    if key not in names:
        raise IntegrityError(f"{path.name} holds {', '.join(names) or 'nothing'}, not {key!r}")
    return key
