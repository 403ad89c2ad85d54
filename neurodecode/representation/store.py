"""Labelled arrays on disk: zarr folders with a checksum for every file, netCDF for export."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import __version__
from ..exceptions import IntegrityError
from .atomic import beside, explained, place_folder, recover, sweep, write_atomic
from .netcdf import read_netcdf, verify_netcdf, write_netcdf
from .packing import PLAIN_NAME, Packed, content_hash, pack, unpack
from .unsafe import refuse_file

__all__ = ["content_hash", "load", "save", "verify", "write_atomic"]

SCHEMA = 1
MANIFEST = "zarr.json"
HEAD = b'{"zarr_format":3,"node_type":"group","attributes":{"neurodecode":{"sha256":"'
BLANK = b"0" * 64
CHUNK_BYTES = 1 << 23
CODECS = {"bytes", "vlen-utf8", "zstd", "blosc", "gzip", "crc32c", "transpose"}


def save(X: xr.DataArray | xr.Dataset | xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Write a labelled array, a result or a tree of results; a reader sees the old content or the new, never a part.

    The folder is written beside its place, every file in it gets a SHA-256 in the manifest (the root ``zarr.json``,
    written last, which also carries its own), everything is flushed, and one rename puts it in place. Memory maps
    and Dask arrays are written chunk by chunk. Attributes come back as JSON gives them: nested, with None and booleans.

    Parameters
    ----------
    X : DataArray, Dataset or DataTree, without Python objects in it.
    path : ends in ``.nc`` for netCDF (needs the extra ``netcdf``); any other name is a zarr folder.

    Returns
    -------
    The path.

    Raises
    ------
    TypeError : values or attributes that would need pickling; the name is given.
    FileExistsError : a file or folder of that name exists that ``save`` did not write.
    OSError : the folder cannot be written, or the disk is full (one line).

    Examples
    --------
    >>> from neurodecode.representation import as_representation
    >>> X = as_representation([[1.0, 2.0]], stimulus=["cat"], kind="fmri", attrs={"tr": 2.0, "of": {"area": None}})
    >>> load(save(X, "cat.zarr")).attrs["of"]
    {'area': None}
    """
    path = Path(path)
    described, arrays = pack(X)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".nc":
            temporary = beside(path, "new")
            try:
                write_netcdf(temporary, described, arrays)
                with open(temporary, "rb+") as file:
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
            return path
        recover(path)
        _may_replace(path)
        sweep(path.parent)
        temporary = beside(path, "new")
        try:
            temporary.mkdir()
            _write(temporary, described, arrays)
            place_folder(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return path


def load(path: str | os.PathLike[str], *, lazy: bool = False) -> Any:
    """Read what ``save`` wrote, after checking every checksum.

    Parameters
    ----------
    path : a folder or ``.nc`` file that ``save`` wrote.
    lazy : leave the values of data variables on disk until they are selected (zarr only); labels are read. The
        folder must then stay as it is while the array is in use.

    Returns
    -------
    DataArray, Dataset or DataTree, whichever was saved, with the same labels, dtypes and attributes.

    Raises
    ------
    IntegrityError : a changed byte, a missing or unfinished part, a format of a newer release.
    UnsafeFileError : a pickle, ``.pt`` or array of objects: such a file could run code, and is not opened.
    FileNotFoundError : nothing is there.

    Examples
    --------
    >>> from neurodecode.representation import as_representation
    >>> X = as_representation([[1.0, 2.0]], stimulus=["cat"], kind="fmri")
    >>> load(save(X, "cat.zarr")).identical(X)
    True
    """
    path = Path(path)
    recover(path)
    if not path.exists():
        raise FileNotFoundError(f"{path.name!r}: nothing is saved there")
    if path.is_file():
        refuse_file(path)
        return read_netcdf(path)
    raw = b""
    for _ in range(20):
        raw = _manifest_bytes(path)
        try:
            manifest = _manifest(path, raw)
            problems = _problems(path, manifest)
            if problems:
                more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
                raise IntegrityError(
                    f"{path.name!r} is not what was saved: {problems[0]}{more}. Write it again from its source; "
                    "every damaged part is listed by: neurodecode verify."
                )
            found = unpack(manifest, _reader(path, manifest, lazy))
        except Exception:
            if _manifest_bytes(path, missing_ok=True) != raw:
                continue  # another process put new content in place while we read: begin again with that
            raise
        if _manifest_bytes(path, missing_ok=True) == raw:
            return found
    raise IntegrityError(f"{path.name!r} is being written again and again; try when the writers have finished.")


def verify(path: str | os.PathLike[str]) -> list[str]:
    """Check every checksum of a saved array or result; an empty list means that it is whole.

    Parameters
    ----------
    path : a folder or ``.nc`` file that ``save`` wrote.

    Returns
    -------
    One line per damaged, missing, unexpected or unsafe part.

    Examples
    --------
    >>> from neurodecode.representation import as_representation
    >>> verify(save(as_representation([[1.0]], stimulus=["a"], kind="fmri"), "one.zarr"))
    []
    """
    path = Path(path)
    recover(path)
    if not path.exists():
        raise FileNotFoundError(f"{path.name!r}: nothing is saved there")
    try:
        if path.is_file():
            refuse_file(path)
            return verify_netcdf(path)
        manifest = _manifest(path, _manifest_bytes(path))
    except OSError as error:
        return [str(error)]
    files = {_inside(path, found) for found in path.rglob("*") if found.is_file() and not found.name.startswith(".")}
    unexpected = sorted(files - set(manifest["files"]) - {MANIFEST})
    return _problems(path, manifest) + [f"{name}: is not part of what was saved" for name in unexpected]


def is_saved(path: str | os.PathLike[str]) -> bool:
    """Whether a folder looks like one that ``save`` wrote (its checksums are not read)."""
    try:
        head = (Path(path) / MANIFEST).read_bytes()[:4096]
    except OSError:
        return False
    return b'"neurodecode"' in head or b"neurodecode.store/" in head


def _may_replace(path: Path) -> None:
    if path.is_file():
        raise FileExistsError(f"{path.name!r} is a file; a zarr folder needs another name")
    if path.is_dir() and any(path.iterdir()) and not is_saved(path):
        raise FileExistsError(
            f"{path.name or str(path)!r} is a folder with other files in it, which save leaves alone; name another"
        )


def _write(folder: Path, described: dict[str, Any], arrays: list[Packed]) -> None:
    """All arrays, then the manifest with the checksum of every file."""
    import zarr

    with _quiet(), zarr.config.set({"array.write_empty_chunks": True}):
        group = zarr.open_group(folder, mode="w", zarr_format=3)
        for node in described["nodes"]:
            if node["folder"]:
                group.require_group(node["folder"])
        for array in arrays:
            _write_array(group, array)
    (folder / MANIFEST).unlink()
    written = sorted(file for file in folder.rglob("*") if file.is_file())
    with ThreadPoolExecutor(max_workers=8) as pool:  # a flush waits for the disk, not for the processor
        files = {_inside(folder, file): seal for file, seal in zip(written, pool.map(_sealed, written))}
    coords = " ".join(v["key"] for v in described["nodes"][0]["variables"] if v["coord"])
    said = {
        "sha256": BLANK.decode(),
        "schema": f"neurodecode.store/{SCHEMA}",
        "neurodecode": __version__,
        "id": os.urandom(8).hex(),
        **described,
        "files": files,
    }
    root = {"zarr_format": 3, "node_type": "group", "attributes": {"neurodecode": said, "coordinates": coords}}
    raw = json.dumps(root, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    raw = raw.replace(BLANK, hashlib.sha256(raw).hexdigest().encode(), 1)
    with open(folder / MANIFEST, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def _write_array(group: Any, array: Packed) -> None:
    data = array.data
    chunks = _chunks(data)
    native = {key: entry for key, entry in array.attrs.items() if isinstance(entry, (str, bool, int))}
    made = group.create_array(
        f"{array.node}/{array.key}".lstrip("/"),
        shape=data.shape,
        dtype=str if array.text else data.dtype,
        chunks=chunks,
        dimension_names=array.dims,
        attributes=native,
    )
    if data.ndim == 0:
        made[...] = np.asarray(data).astype("T") if array.text else np.asarray(data)
        return
    starts = [range(0, size, step) for size, step in zip(data.shape, chunks)]
    for corner in product(*starts):
        region = tuple(slice(at, min(at + step, size)) for at, step, size in zip(corner, chunks, data.shape))
        block = np.asarray(data[region])
        made[region] = block.astype("T") if array.text else block


def _chunks(data: Any) -> tuple[int, ...]:
    """Pieces of at most 8 MB, by halving the longest side; those of Dask where it has them."""
    chunks = [max(1, size) for size in data.shape]
    if getattr(data, "chunksize", None) and 0 not in data.shape:
        return tuple(int(size) for size in data.chunksize)
    while int(np.prod(chunks, dtype=np.int64)) * data.dtype.itemsize > CHUNK_BYTES and max(chunks) > 1:
        longest = chunks.index(max(chunks))
        chunks[longest] = -(-chunks[longest] // 2)
    return tuple(chunks)


def _reader(path: Path, manifest: dict[str, Any], lazy: bool) -> Any:
    import zarr

    opened: dict[str, Any] = {}

    def read(folder: str, key: str, variable: dict[str, Any]) -> Any:
        name = f"{folder}/{key}".lstrip("/")
        if not all(PLAIN_NAME.fullmatch(part) for part in name.split("/")):
            raise IntegrityError(f"{path.name!r} names a part {name!r} that save never writes.")
        if f"{name}/zarr.json" not in manifest["files"]:
            raise IntegrityError(f"{path.name!r} describes {name!r}, which is not in its list of files.")
        _check_codecs(path / name / "zarr.json", path)
        if lazy and not variable["coord"] and variable["dtype"] != "str" and variable["dtype"][:2] not in ("M8", "m8"):
            if folder not in opened:
                settings: dict[str, Any] = {"engine": "zarr", "consolidated": False, "decode_cf": False, "cache": False}
                opened[folder] = xr.open_dataset(path, group=folder or None, **settings)
            return opened[folder].variables[key]._data
        return zarr.open_array(path / name, mode="r", zarr_format=3)[...]

    def quietly(folder: str, key: str, variable: dict[str, Any]) -> Any:
        with _quiet():
            return read(folder, key, variable)

    return quietly


def _check_codecs(metadata: Path, path: Path) -> None:
    said = json.loads(metadata.read_bytes())
    unknown = {str(codec.get("name")) for codec in said.get("codecs", [])} - CODECS
    if unknown:
        raise IntegrityError(
            f"{path.name!r} uses {sorted(unknown)} in {metadata.parent.name!r}, which save never writes."
        )


def _manifest_bytes(path: Path, missing_ok: bool = False) -> bytes:
    try:
        return (path / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if missing_ok:
            return b""
        if not os.path.lexists(path):
            recover(path)
            if not os.path.lexists(path):
                raise
            return _manifest_bytes(path)
        raise IntegrityError(
            f"{path.name!r} has no manifest ({MANIFEST}): it was not written by save, or not to its end."
        ) from None


def _manifest(path: Path, raw: bytes) -> dict[str, Any]:
    """The description in a manifest whose own checksum holds."""
    try:
        said = json.loads(raw)["attributes"]["neurodecode"]
        schema = int(said["schema"].removeprefix("neurodecode.store/"))
        release = said["neurodecode"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise IntegrityError(
            f"{path.name!r}: the manifest ({MANIFEST}) cannot be read: it is damaged, or was not written by save."
        ) from None
    if schema > SCHEMA:
        raise IntegrityError(
            f"{path.name!r} was written by neurodecode {release} in format {schema}; this is neurodecode "
            f"{__version__}, which reads formats up to {SCHEMA}. Update it: pip install --upgrade neurodecode"
        )
    start, end = len(HEAD), len(HEAD) + len(BLANK)
    whole = (
        raw[:start] == HEAD and hashlib.sha256(raw[:start] + BLANK + raw[end:]).hexdigest().encode() == raw[start:end]
    )
    if not whole:
        raise IntegrityError(f"{path.name!r}: the manifest ({MANIFEST}) is not what was saved: its checksum differs.")
    return dict(said)


def _problems(path: Path, manifest: dict[str, Any]) -> list[str]:
    """Every listed file that is missing or differs."""
    found = []
    for name, (digest, size) in manifest["files"].items():
        file = path / name
        try:
            if file.stat().st_size != size:
                found.append(f"{name}: {file.stat().st_size} bytes, {size} were saved")
            elif _digest(file) != digest:
                found.append(f"{name}: its checksum differs")
        except (FileNotFoundError, NotADirectoryError):
            found.append(f"{name}: missing")
        except OSError as error:
            found.append(f"{name}: cannot be read ({error.strerror})")
    return found


def _digest(file: Path) -> str:
    with open(file, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _sealed(file: Path) -> list[Any]:
    """Checksum and size of a file that has been flushed to the disk."""
    with open(file, "rb+") as handle:
        os.fsync(handle.fileno())
        return [hashlib.file_digest(handle, "sha256").hexdigest(), os.fstat(handle.fileno()).st_size]


def _inside(folder: Path, file: Path) -> str:
    return file.relative_to(folder).as_posix()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Some releases of zarr warn that text arrays are young in its format; they are read here by the same code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
