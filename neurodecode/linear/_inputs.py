"""What stands at the door of every linear estimator: shapes, dtypes, values, and the names that messages use."""

from __future__ import annotations

import mmap
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from sklearn.utils.validation import validate_data

from ..compute.batching import batches
from ..exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning
from ..representation import check_finite, plain

NAMES_SHOWN = 5
NAMING = ("unit_name", "space", "layer", "model", "roi", "hemi", "channel", "vertex", "voxel", "token", "delay")


def matrix(X: Any, what: str = "X") -> Any:
    """The values of a labelled ``X``, which must be sample x unit and nothing more; anything else is passed on."""
    if not isinstance(X, xr.DataArray):
        return X
    if X.dims != ("sample", "unit"):
        raise AlignmentError(
            f"{what} has the dimensions {X.dims}; expected ('sample', 'unit'). Transpose it, take one time or token, "
            "or stack the others into unit."
        )
    return plain(X)


def features(
    estimator: Any, X: Any, *, also: np.ndarray | None = None, reset: bool = True, samples: int = 2
) -> np.ndarray:
    """Checked features as float32 or float64 (samples, features), finite; without a copy where none is needed.

    ``also`` is what they will be multiplied with: the dtype serves both. ``reset`` False: compare with ``fit``.
    """
    who = type(estimator).__name__
    values = matrix(X)
    dtype = np.dtype(np.float64)
    if isinstance(values, np.ndarray):
        check_counts(values.shape, who, samples=samples)
        dtype = working_dtype(values) if also is None else working_dtype(values, also)
    x = validate_data(estimator, values, dtype=dtype, ensure_all_finite=False, reset=reset)
    check_counts(x.shape, who, samples=samples)
    unusable = masked(X, x.shape[1])
    if unusable.any():
        raise DegenerateDataError(
            f"{unusable.sum()} of {x.shape[1]} features of X are masked and hold NaN "
            f"({names(X, 'unit', unusable.nonzero()[0])}); leave them out: X[:, ~X['masked'].values]."
        )
    if not is_finite(x):
        check_finite(X if isinstance(X, xr.DataArray) else x, "X")
    return x


def targets(y: Any, estimator: str) -> Any:
    """Real numbers as (samples,) or (samples, targets), not yet read: a memory map or a store stays one."""
    if y is None:
        raise ValueError(f"{estimator} requires y to be passed, but the target y is None.")
    if isinstance(y, xr.DataArray) and y.dims not in (("sample",), ("sample", "unit")):
        raise AlignmentError(f"y has the dimensions {y.dims}; expected ('sample', 'unit') or ('sample',).")
    values: Any
    if isinstance(y, xr.DataArray):
        values = y.data if getattr(y.variable, "_in_memory", True) else Lazy(y) if y.ndim == 2 else y.values
    else:
        values = y if isinstance(y, np.ndarray) or (in_store(y) and y.ndim == 2) else np.asarray(y)
    if values.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: y is {values.dtype}. Take its real and imaginary part as targets."
        )
    if values.dtype.kind not in "fiub":
        try:
            values = np.asarray(values).astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"y is {values.dtype}; {estimator} predicts numbers. Use LinearClassifier for classes."
            ) from error
    if values.ndim not in (1, 2):
        raise ValueError(f"y has {values.ndim} dimensions; expected (samples, targets) or (samples,).")
    return values


def check_counts(shape: tuple[int, ...], estimator: str, *, samples: int = 2, what: str = "feature") -> None:
    """Refuse too few samples and no columns, naming the minimum."""
    if len(shape) != 2:
        return
    for count, least, thing in ((shape[0], samples, "sample"), (shape[1], 1, what)):
        if count < least:
            raise DegenerateDataError(
                f"Found array with {count} {thing}(s) (shape={shape}) while a minimum of {least} is required by "
                f"{estimator}."
            )


def working_dtype(*arrays: np.ndarray) -> np.dtype:
    """Float32 where every array is float32 or half precision, float64 otherwise (integers, mixtures, byte-swapped)."""
    small = all(array.dtype.kind == "f" and array.dtype.itemsize <= 4 for array in arrays)
    return np.dtype(np.float32 if small else np.float64)


def is_finite(values: np.ndarray) -> bool:
    """A quick look: False where a value is NaN or infinite (or the sum overflows, which a closer look tells apart)."""
    if values.dtype.kind != "f":
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()))


def masked(labelled: Any, size: int) -> np.ndarray:
    """Boolean (size,): the units that were marked as unusable when the array was made."""
    if isinstance(labelled, xr.DataArray) and "masked" in labelled.coords and "unit" in labelled.dims:
        return labelled.coords["masked"].values.astype(bool)
    return np.zeros(size, dtype=bool)


def name(labelled: Any, dim: str, position: int) -> str:
    """How a message calls one sample or unit: by its labels where there are any, else by its position."""
    if not isinstance(labelled, xr.DataArray) or dim not in labelled.dims:
        return str(position)
    wanted = ("stimulus",) if dim == "sample" else NAMING
    known = [coord for coord in wanted if coord in labelled.coords and labelled.coords[coord].dims == (dim,)]
    if not known:
        return str(position)
    said = [str(labelled.coords[coord].values[position]) for coord in known]
    if dim == "sample":
        return repr(said[0])
    return f"{position} (" + ", ".join(f"{coord} {value}" for coord, value in zip(known, said)) + ")"


def names(labelled: Any, dim: str, positions: np.ndarray) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(name(labelled, dim, int(position)) for position in positions[:NAMES_SHOWN])
    more = len(positions) - NAMES_SHOWN
    return shown + (f" and {more:,} more" if more > 0 else "")


def constant(x: np.ndarray) -> np.ndarray:
    """Boolean, one a column: it holds a single value."""
    return x.max(axis=0) == x.min(axis=0)


def repeated(x: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Positions of columns that repeat an earlier one of ``among`` exactly."""
    seen: dict[int, int] = {}
    found = []
    for some in batches(len(among), 256):
        rows = np.ascontiguousarray(x[:, among[some]].T)
        for position, row in zip(among[some], rows):
            first = seen.setdefault(hash(row.tobytes()), int(position))
            if first != position and np.array_equal(x[:, first], row):
                found.append(int(position))
    return np.asarray(found, dtype=int)


def warn_features(
    labelled: Any, n: int, still: np.ndarray, again: np.ndarray, what: str, advice: str, stacklevel: int
) -> None:
    """Say once which features never vary (``still``, positions) and which repeat another (``again``)."""
    said = [
        f"{len(positions):,} {kind} ({names(labelled, 'unit', positions)})"
        for positions, kind in ((still, "constant"), (again, "equal to an earlier one"))
        if len(positions)
    ]
    if said:
        warnings.warn(
            f"Of {n:,} {what}, {' and '.join(said)}. {advice}; drop them if they were not meant to be there.",
            NeurodecodeWarning,
            stacklevel=stacklevel + 1,
        )


def read_columns(values: Any, columns: slice, dtype: np.dtype) -> np.ndarray:
    """A writable copy of some columns, row by row in memory; of a memory map a few rows at a time, then forgotten.

    The system maps 64 KiB around every page that is touched, so a narrow block of a wide map would otherwise
    hold many times its own size.
    """
    release = _release(values)
    if release is None:
        return np.array(values[:, columns], dtype=dtype, order="C")
    found = np.empty((values.shape[0], columns.stop - columns.start), dtype=dtype)
    for rows in batches(len(found), 32):
        found[rows] = values[rows, columns]
        release()
    return found


def _release(values: Any) -> Callable[[], None] | None:
    """What gives back the memory of the part of a read-only memory map that has been read; None for other arrays."""
    owner: Any = values if isinstance(values, np.ndarray) else None
    read_only = False
    while isinstance(owner, np.ndarray):
        read_only = read_only or (isinstance(owner, np.memmap) and owner.mode == "r")
        owner = owner.base
    if read_only and isinstance(owner, mmap.mmap) and hasattr(owner, "madvise"):
        return partial(owner.madvise, mmap.MADV_DONTNEED)
    return None


def read_rows(values: np.ndarray, rows: slice) -> np.ndarray:
    """A copy of some rows of a memory map, which is then forgotten."""
    found = np.array(values[rows])
    release = _release(values)
    if release is not None:
        release()
    return found


class Lazy:
    """A labelled array that is not in memory, read by positions."""

    def __init__(self, y: xr.DataArray):
        self.y, self.shape, self.dtype, self.ndim = y, y.shape, y.dtype, y.ndim
        self.chunks = y.chunks or y.encoding.get("chunks")

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        return np.asarray(self.y[key].values)

    def __len__(self) -> int:
        return int(self.shape[0])


def in_store(values: Any) -> bool:
    """Whether an array is one that gives its columns on request and is not in memory (zarr, Dask, HDF5)."""
    known = all(hasattr(values, name) for name in ("shape", "dtype", "ndim", "__getitem__"))
    return known and not isinstance(values, np.ndarray) and isinstance(getattr(values, "dtype", None), np.dtype)


def together(values: Any) -> int:
    """How many columns lie together in a store; 0 for an array in memory or a memory map."""
    if isinstance(values, np.ndarray):
        return 0
    chunks = getattr(values, "chunks", None)
    if not chunks or len(chunks) < 2:
        return 1
    return int(chunks[1]) if isinstance(chunks[1], (int, np.integer)) else int(max(chunks[1]))
