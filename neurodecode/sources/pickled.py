"""Arrays out of pickled dictionaries, without running code.

Many laboratories publish a dictionary of arrays with ``numpy.save`` or ``pickle.dump``. A pickle can
call any function when it is read; here only what rebuilds NumPy arrays, text and numbers may be called.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ..exceptions import IntegrityError, UnsafeFileError

_ARRAYS = {"_reconstruct", "scalar", "_frombuffer"}
_MODULES = {"numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric"}
_ALLOWED = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module in _MODULES and name in _ARRAYS) or (module, name) in _ALLOWED:
            return super().find_class(module, name)
        if module == "numpy.dtypes" and name.endswith("DType") and "." not in name:
            return super().find_class(module, name)
        raise UnsafeFileError(f"the pickle asks for {module}.{name}, which is not needed to rebuild arrays")


def read_dictionary(path: str | Path) -> dict[str, Any]:
    """A dictionary of arrays, lists, text and numbers from ``numpy.save`` or ``pickle.dump``.

    Parameters
    ----------
    path : ``.npy`` with one pickled dictionary, or a bare pickle of one.

    Raises
    ------
    UnsafeFileError : the pickle asks for anything that is not needed to rebuild arrays; nothing of it was run.
    IntegrityError : not such a file, or a damaged one.

    Examples
    --------
    >>> np.save("answers.npy", {"trial": np.arange(3), "names": ["a", "b", "c"]})
    >>> read_dictionary("answers.npy")["names"]
    ['a', 'b', 'c']
    """
    path = Path(path)
    with open(path, "rb") as file:
        start = file.read(6)
        file.seek(0)
        if start == b"\x93NUMPY":
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            if not dtype.hasobject:
                raise IntegrityError(
                    f"{path.name} holds one plain array of shape {shape}, not a dictionary; use np.load"
                )
        elif not start.startswith(b"\x80"):
            raise IntegrityError(f"{path.name} is neither a NumPy file nor a pickle")
        try:
            found = _ArraysOnly(file).load()
        except UnsafeFileError as error:
            raise UnsafeFileError(f"{path.name} is not read: {error}") from None
        except Exception as error:
            raise IntegrityError(f"{path.name} is damaged: {error or type(error).__name__}") from error
    if isinstance(found, np.ndarray) and found.dtype.hasobject and found.size == 1:
        found = found.reshape(-1)[0]
    if not isinstance(found, dict):
        raise IntegrityError(f"{path.name} holds a {type(found).__name__}, not a dictionary")
    return found
