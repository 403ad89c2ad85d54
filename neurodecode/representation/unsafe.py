"""Files that could run code when they are read are recognised by their bytes and refused."""

from __future__ import annotations

import ast
import pickletools
import zipfile
from pathlib import Path

from ..exceptions import IntegrityError, UnsafeFileError

UNSAFE_ENDINGS = {".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".dill", ".cpkl"}
NETCDF = (b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02", b"CDF\x05")


def refuse_file(path: Path) -> None:
    """Raise unless a file is netCDF: pickles as unsafe, everything else with what to do instead.

    Examples
    --------
    >>> import pickle
    >>> _ = Path("decoder.bin").write_bytes(pickle.dumps([1]))
    >>> refuse_file(Path("decoder.bin"))
    Traceback (most recent call last):
    ...
    neurodecode.exceptions.UnsafeFileError: 'decoder.bin' is a pickle, ...
    """
    with open(path, "rb") as file:
        head = file.read(4096)
    kind = unsafe_kind(path, head)
    if kind is not None:
        raise UnsafeFileError(
            f"{path.name!r} is {kind}, which can run any code when it is read, so it is not opened. "
            "Where you trust it, open it with the program that wrote it and keep arrays with save(X, 'name.zarr') "
            "and weights as safetensors."
        )
    if head.startswith(NETCDF):
        return
    if head.startswith(b"\x93NUMPY"):
        raise ValueError(
            f"{path.name!r} is a NumPy file without labels; label it: "
            f"as_representation(numpy.load({path.name!r}), stimulus=..., kind=...)."
        )
    if path.suffix == ".nc":
        raise IntegrityError(f"{path.name!r} does not begin like a netCDF file: it is damaged or something else.")
    raise ValueError(f"{path.name!r} is not something that save wrote; expected a .zarr folder or a .nc file.")


def unsafe_kind(path: Path, head: bytes) -> str | None:
    """What makes a file unsafe, or None."""
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a pickle"
    if head.startswith(b"PK\x03\x04"):
        found = _archived(path)
        if found is not None:
            return found
    if _objects(head):
        return "an array of Python objects (a pickle inside)"
    if _old_pickle(head):
        return "a pickle"
    if path.suffix.lower() in UNSAFE_ENDINGS:
        return f"a {path.suffix} file (a pickle by its name)"
    return None


def _archived(path: Path) -> str | None:
    """What makes a zip archive unsafe: a pickle among its members, or arrays of objects."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith((".pkl", ".pickle")):
                    return "a torch archive with a pickle in it"
                with archive.open(name) as member:
                    if name.endswith(".npy") and _objects(member.read(4096)):
                        return "an archive of arrays of Python objects"
    except (zipfile.BadZipFile, OSError, RuntimeError):
        return None
    return None


def _objects(head: bytes) -> bool:
    """Whether bytes begin a NumPy file of objects."""
    if not head.startswith(b"\x93NUMPY"):
        return False
    start = 10 if head[6:7] == b"\x01" else 12
    try:
        text = head[start:].split(b"\n", 1)[0].decode("latin1")
        return "O" in str(ast.literal_eval(text)["descr"])
    except (ValueError, SyntaxError, KeyError):
        return b"'|O'" in head


def _old_pickle(head: bytes) -> bool:
    """Pickles of the first protocols have no magic number: they are text that parses as pickle instructions."""
    if head[:1] not in b"(cl]}d" or len(head) < 2:
        return False
    steps = 0
    try:
        for _ in pickletools.genops(head):
            steps += 1
    except Exception:
        return steps > 8
    return True
