"""Finished pieces on disk: what makes a killed job go on where it stopped, and refuse to mix with another one.

A folder holds ``job.json``, which says whose pieces these are, and one ``.npz`` without objects for every finished
piece. Every file is written whole or not at all, so a folder is valid at any moment.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import logging
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy import sparse

from ..exceptions import ResumeError

log = logging.getLogger("neurodecode")
MANIFEST = "job.json"
FORMAT = "neurodecode.blocks/1"
DAMAGE = (OSError, ValueError, KeyError, EOFError, IndexError, RuntimeError, zlib.error, zipfile.BadZipFile)


def digest(values: Any) -> str:
    """sha256 of an array: its values, type, shape, and the labels it carries."""
    if isinstance(values, xr.DataArray):
        from ..representation.store import content_hash

        return content_hash(values)
    array = np.asarray(values)
    if array.dtype.kind == "O":
        array = array.astype(str)
    found = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    found.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return found.hexdigest()


def describe(thing: Any) -> Any:
    """Something JSON can hold that says what an estimator, a score or a parameter is, the same in every process.

    Arrays become their digest, functions their name and the digest of their code, estimators their class and
    parameters.

    Examples
    --------
    >>> describe({"alphas": (1.0, 10.0)})
    {'alphas': [1.0, 10.0]}
    """
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return thing
    if isinstance(thing, np.generic):
        return thing.item()
    if isinstance(thing, (np.ndarray, xr.DataArray)):
        return f"array {digest(thing)}"
    if sparse.issparse(thing):
        rows, columns = thing.nonzero()
        return f"sparse {thing.shape} {digest(np.stack([rows, columns]))} {digest(thing.tocsr()[rows, columns])}"
    if isinstance(thing, Mapping):
        return {str(key): describe(value) for key, value in thing.items()}
    if isinstance(thing, (set, frozenset)):
        return sorted(map(str, thing))
    if isinstance(thing, (list, tuple)):
        return [describe(value) for value in thing]
    if isinstance(thing, functools.partial):
        return {"partial": describe(thing.func), "args": describe(thing.args), "keywords": describe(thing.keywords)}
    if hasattr(thing, "get_params") and not isinstance(thing, type):
        return {"class": _where(type(thing)), **describe(thing.get_params(deep=False))}
    if isinstance(thing, type):
        return _where(thing)
    if callable(thing) and hasattr(thing, "__qualname__"):
        code = getattr(thing, "__code__", None)
        body = "" if code is None else hashlib.sha256(code.co_code + repr(code.co_consts).encode()).hexdigest()[:16]
        return " ".join(filter(None, [_where(thing), body if "<" in thing.__qualname__ else ""]))
    return re.sub(r" at 0x[0-9a-f]+", "", repr(thing))


def _where(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 160 else text[:157] + "..."


class BlockStore:
    """A folder of finished pieces of one job.

    Parameters
    ----------
    folder : made when it is not there.
    job : what makes the job this one and no other, by name; values that JSON can hold.

    Raises
    ------
    ResumeError : the folder holds pieces of another job (the message says what differs), or foreign files.
    """

    def __init__(self, folder: str | Path, job: dict[str, Any]):
        from ..representation.store import write_atomic

        self.folder = Path(folder)
        self.job = json.loads(json.dumps(job))
        self.key = hashlib.sha256(json.dumps(self.job, sort_keys=True).encode()).hexdigest()
        self.resumed = 0
        theirs = self.read_job(self.folder)
        if theirs is not None and theirs != self.job:
            names = [name for name in {**self.job, **theirs} if self.job.get(name) != theirs.get(name)]
            differ = "; ".join(
                f"{name} was {_short(theirs.get(name))}, now {_short(self.job.get(name))}" for name in names
            )
            raise ResumeError(
                f"{self.folder.name}/ holds the pieces of another job: {differ}. Name another folder with store=, "
                "or delete this one to start again."
            )
        if theirs is None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise ResumeError(f"store={str(self.folder)!r}: a file is in the way; name a folder") from error
            text = json.dumps({"format": FORMAT, "job": self.job, "key": self.key}, indent=1)
            write_atomic(self.folder / MANIFEST, text.encode())

    @staticmethod
    def read_job(folder: str | Path) -> dict[str, Any] | None:
        """What job a folder belongs to; None when it is not there or empty."""
        folder = Path(folder)
        path = folder / MANIFEST
        if not path.is_file():
            foreign = sorted(item.name for item in folder.glob("*")) if folder.is_dir() else []
            # An unfinished write leaves only a temporary file, which is nobody's work.
            foreign = [name for name in foreign if not name.startswith(".") and not name.endswith(".tmp")]
            if foreign:
                raise ResumeError(
                    f"{folder.name}/ is no store of finished pieces: it has no {MANIFEST} but {foreign[0]!r}; "
                    "name an empty or new folder with store="
                )
            return None
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            if said["format"] == FORMAT:
                return dict(said["job"])
        except (ValueError, KeyError, TypeError) as error:
            raise ResumeError(
                f"{folder.name}/{MANIFEST} cannot be read ({error}); delete the folder to start again"
            ) from error
        raise ResumeError(f"{folder.name}/ was written in another format ({said['format']}); name another folder")

    def path(self, name: str) -> Path:
        """Where a piece is."""
        return self.folder / f"{name}.npz"

    def load(self, name: str) -> dict[str, Any] | None:
        """A finished piece, or None when it has to be computed; a damaged file is one that has to be, and is logged."""
        path = self.path(name)
        if not path.is_file():
            return None
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                found: dict[str, Any] = {key: file[key] for key in file.files}
            if found.pop("key").item() != self.key:
                raise ValueError("it belongs to another job")
            if found.pop("name").item() != name:
                raise ValueError("it is another piece")
            arrays = sorted(found.pop("arrays").tolist())
            if arrays != sorted(found):
                raise ValueError(f"it holds {sorted(found)} instead of {arrays}")
            found["elapsed"] = float(found["elapsed"])
            found["notes"] = [str(note) for note in found["notes"]]
        except DAMAGE as error:
            log.warning("piece %s of %s/ is damaged (%s): it is computed again", name, self.folder.name, error)
            return None
        self.resumed += 1
        return found

    def save(self, name: str, found: dict[str, Any]) -> None:
        """Write a finished piece, whole or not at all."""
        from ..representation.store import write_atomic

        arrays = {**found, "elapsed": np.float64(found["elapsed"]), "notes": np.asarray(found["notes"], dtype=np.str_)}
        buffer = io.BytesIO()
        np.savez(buffer, key=np.str_(self.key), name=np.str_(name), arrays=np.asarray(sorted(arrays)), **arrays)
        write_atomic(self.path(name), buffer.getvalue())
