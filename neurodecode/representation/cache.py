"""Results kept by what went in: the same content in, the stored answer out."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import __version__
from ..exceptions import IntegrityError, NeurodecodeWarning
from .packing import content_hash
from .schema import json_ready
from .store import load, save

log = logging.getLogger("neurodecode")
PLAIN = (type(None), bool, int, float, complex, str, bytes, Path)


def cached(function: Callable[..., Any] | None = None, *, folder: str | os.PathLike[str] | None = None) -> Any:
    """Keep what a function returns, keyed by the content of its arguments and by its code.

    The key hashes every argument by value (arrays with dtype, shape and labels; models by their weights; a ``Path`` by
    the bytes it points to; text and numbers as they are), the source of the function, the plain values it closes over
    and the version of neurodecode. Other things that it reads from outside do not count: pass them as arguments.
    A changed byte in the stored answer is noticed: it is computed again and the reason is logged. Where the folder
    cannot be written, the answer is given all the same, with one warning.

    Parameters
    ----------
    function : returns a DataArray, Dataset or DataTree. Without it, ``cached(folder=...)`` is the decorator.
    folder : where answers are kept; by default the folder named by the environment variable ``NEURODECODE_CACHE``,
        else ``~/.cache/neurodecode``.

    Returns
    -------
    The function, with ``entry(*args, **kwargs)``: the path at which its answer is kept.

    Raises
    ------
    TypeError : an argument without content to hash (an open file, a random generator), or an answer of another type.

    Examples
    --------
    >>> from neurodecode.representation import as_representation
    >>> calls = []
    >>> @cached(folder="kept")
    ... def doubled(X):
    ...     calls.append(1)
    ...     return X.copy(data=2 * X.values)
    >>> X = as_representation([[1.0]], stimulus=["a"], kind="features")
    >>> doubled(X).identical(doubled(X)), len(calls)
    (True, 1)
    """
    if function is None:
        return functools.partial(cached, folder=folder)
    signature = inspect.signature(function)
    name = getattr(function, "__qualname__", type(function).__name__).replace("<locals>.", "")
    plain_name = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)[:80]

    def entry(*args: Any, **kwargs: Any) -> Path:
        """Where the answer to these arguments is kept."""
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        digest = hashlib.sha256(f"{__version__} {_code(function)}".encode())
        digest.update(key_of([held for held in _closed_over(function) if isinstance(held, PLAIN)]).encode())
        for argument, value in bound.arguments.items():
            digest.update(f" {argument}=".encode())
            _feed(digest, value, argument, ())
        return cache_folder(folder) / plain_name / f"{digest.hexdigest()[:40]}.zarr"

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        path = entry(*args, **kwargs)
        found = _kept(path, name)
        if found is not None:
            return found
        made = function(*args, **kwargs)
        if not isinstance(made, (xr.DataArray, xr.Dataset, xr.DataTree)):
            raise TypeError(
                f"{name} returned a {type(made).__name__}; cached keeps DataArrays, Datasets and DataTrees."
            )
        try:
            save(made, path)
        except OSError as error:
            warnings.warn(
                f"the answer of {name} was computed but not kept: {error.strerror or error}. Choose another folder "
                "with the environment variable NEURODECODE_CACHE or cached(folder=...).",
                NeurodecodeWarning,
                stacklevel=2,
            )
        return made

    wrapper.__dict__["entry"] = entry
    return wrapper


def cache_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """Where answers are kept: what is asked for, else ``NEURODECODE_CACHE``, else ``~/.cache/neurodecode``.

    Examples
    --------
    >>> cache_folder("here").as_posix()
    'here'
    """
    if folder is not None:
        return Path(folder).expanduser()
    named = os.environ.get("NEURODECODE_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "neurodecode"


def key_of(value: Any) -> str:
    """SHA-256 (hex) of a value by its content, as ``cached`` sees an argument.

    Examples
    --------
    >>> key_of(1) == key_of(1), key_of(1) == key_of(1.0), key_of([1, 2]) == key_of([2, 1])
    (True, False, False)
    """
    digest = hashlib.sha256()
    _feed(digest, value, "value", ())
    return digest.hexdigest()


def _kept(path: Path, name: str) -> Any:
    """The stored answer, or None where there is none that can be trusted; a damaged one is removed."""
    try:
        return load(path)
    except FileNotFoundError:
        return None
    except (IntegrityError, PermissionError) as error:
        log.warning("computing %s again: %s", name, error)
        shutil.rmtree(path, ignore_errors=True)
        return None


def _code(function: Callable[..., Any]) -> str:
    """The source of a function, else its byte code: another body is another key."""
    inner = inspect.unwrap(function)
    if isinstance(inner, functools.partial):
        return f"partial {_code(inner.func)} {key_of([list(inner.args), dict(inner.keywords)])}"
    name = f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', '')}"
    try:
        return f"{name}\n{inspect.getsource(inner)}"
    except (OSError, TypeError):
        code = getattr(inner, "__code__", None)
        return f"{name} {code.co_code.hex()} {code.co_consts!r}" if code is not None else name


def _closed_over(function: Any) -> list[Any]:
    """The values that a function holds from the function around it."""
    held = []
    for cell in getattr(inspect.unwrap(function), "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # a name that has no value yet
            held.append(cell.cell_contents)
    return held


def _feed(digest: Any, value: Any, where: str, above: tuple[int, ...]) -> None:
    """Add a value to the hash, with its type, so that 1, 1.0, True and "1" differ."""
    if id(value) in above:
        raise TypeError(f"{where} contains itself and cannot be part of a key.")
    inside = (*above, id(value))
    digest.update(f"<{type(value).__module__}.{type(value).__qualname__}:".encode())
    if value is None or isinstance(value, (bool, int, float, complex, str, np.generic)):
        digest.update(repr(value).encode("utf-8", "surrogatepass"))
    elif isinstance(value, (bytes, bytearray)):
        digest.update(len(value).to_bytes(8, "little") + bytes(value))
    elif isinstance(value, Enum):
        digest.update(value.name.encode())
    elif isinstance(value, (xr.DataArray, xr.Dataset, xr.DataTree)):
        digest.update(content_hash(value).encode())
        _feed(digest, _attributes(value), f"attrs of {where}", inside)
    elif isinstance(value, np.ndarray) and value.dtype.kind != "O":
        digest.update(content_hash(value).encode())
    elif isinstance(value, Path):
        _feed_path(digest, value)
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            _feed(digest, key, where, inside)
            _feed(digest, value[key], f"{where}[{key!r}]", inside)
    elif isinstance(value, (list, tuple)):
        for at, entry in enumerate(value):
            _feed(digest, entry, f"{where}[{at}]", inside)
    elif isinstance(value, (set, frozenset)):
        for entry in sorted(key_of(entry) for entry in value):
            digest.update(entry.encode())
    else:
        _feed_object(digest, value, where, inside)
    digest.update(b">")


def _feed_object(digest: Any, value: Any, where: str, inside: tuple[int, ...]) -> None:
    """Tensors by values, models by weights, tables by columns, functions by code, plain objects by their fields."""
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        held = value.detach().cpu()
        digest.update(f"{held.dtype} ".encode())
        held = held.float() if str(held.dtype).endswith("bfloat16") else held
        digest.update(content_hash(held.numpy()).encode())
    elif callable(getattr(value, "state_dict", None)):
        digest.update(f"{value!r} training={getattr(value, 'training', None)}".encode())
        _feed(digest, dict(value.state_dict()), f"weights of {where}", inside)
    elif hasattr(value, "to_dict") and hasattr(value, "to_numpy") and hasattr(value, "index"):
        listed = value.reset_index().to_dict(orient="list") if hasattr(value, "columns") else value.to_dict()
        _feed(digest, listed, where, inside)
    elif inspect.isfunction(value) or inspect.isbuiltin(value) or inspect.isclass(value):
        digest.update(_code(value).encode())
        _feed(digest, _closed_over(value), f"closure of {where}", inside)
    elif isinstance(value, functools.partial):
        _feed(digest, [value.func, list(value.args), dict(value.keywords)], where, inside)
    elif type(value).__module__.startswith("numpy.random") or hasattr(value, "read") or inspect.isgenerator(value):
        raise TypeError(
            f"{where} is a {type(value).__name__}, whose content changes when it is used; "
            "pass a seed, a path or an array."
        )
    elif hasattr(value, "__dict__"):
        _feed(digest, dict(vars(value)), where, inside)
    else:
        raise TypeError(
            f"{where} is a {type(value).__name__}, which has no content to hash; pass plain values or arrays."
        )


def _feed_path(digest: Any, path: Path) -> None:
    """A file by its bytes, a folder by the names and bytes in it, a path to nothing by its text."""
    if path.is_file():
        with open(path, "rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    elif path.is_dir():
        for file in sorted(found for found in path.rglob("*") if found.is_file()):
            digest.update(file.relative_to(path).as_posix().encode("utf-8", "surrogateescape") + b"\0")
            _feed_path(digest, file)
    else:
        digest.update(f"nothing at {path.as_posix()}".encode("utf-8", "surrogateescape"))


def _attributes(value: Any) -> Any:
    """What the attributes say, without the history."""
    if isinstance(value, xr.DataTree):
        return [[node.path, json_ready(dict(node.attrs), "attrs")] for node in value.subtree]
    return json_ready({key: entry for key, entry in value.attrs.items() if key != "history"}, "attrs")
