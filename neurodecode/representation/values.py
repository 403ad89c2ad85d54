"""Foreign values as NumPy: tensors without their library, promotion to floats, reading in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

BLOCK_BYTES = 1 << 23


def as_array(values: Any) -> Any:
    """A tensor of any library as something NumPy can read, without importing that library."""
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        values = values.detach().cpu()
        if str(values.dtype).endswith("bfloat16"):
            values = values.float()
        return values.numpy()
    return values


def promoted(values: Any) -> tuple[Any, list[str]]:
    """The values as float32 or float64 in native byte order, and what was done to get there."""
    if isinstance(values, xr.DataArray):
        values = values.data
    brain_float = str(getattr(values, "dtype", "")).endswith("bfloat16")
    values = as_array(values)
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.result_type(values.dtype, np.float32)), np.nan)
    data = values if hasattr(values, "dask") else np.asanyarray(values)
    if isinstance(data, np.matrix):
        data = np.asarray(data)
    source = "bfloat16" if brain_float else data.dtype.name
    if source in ("float16", "bfloat16"):
        data = data.astype(np.float32)
    elif data.dtype.kind in "biu":
        _check_exact(data)
        data = data.astype(np.float64)
    elif data.dtype.kind == "f" and data.dtype.itemsize > 8:
        data = data.astype(np.float64)
    elif data.dtype.kind != "f":
        why = {
            "c": " Take the absolute value, or real and imaginary parts as units.",
            "O": " An array of objects holds text, None, or rows of unequal length.",
        }
        raise TypeError(f"values are {data.dtype}; expected numbers.{why.get(data.dtype.kind, '')}")
    elif not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    return data, [f"values converted from {source} to {data.dtype.name}"] if source != data.dtype.name else []


def _check_exact(data: Any) -> None:
    """Integers that float64 would round are refused."""
    if data.dtype.kind == "b" or data.dtype.itemsize < 8 or hasattr(data, "dask") or not data.size:
        return
    if int(data.max()) > 2**53 or int(data.min()) < -(2**53):
        raise TypeError(
            f"values are {data.dtype} beyond 2^53, which float64 rounds; subtract an offset or scale first."
        )


def row_blocks(data: Any) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of ``data`` in blocks of about 8 MB, read from memory, disk or Dask one after another."""
    if data.ndim == 0:
        yield slice(0, 1), np.asarray(data).reshape(1)
        return
    size = len(data)
    row_bytes = max(1, int(np.prod(data.shape[1:], dtype=np.int64)) * data.dtype.itemsize)
    step = max(1, BLOCK_BYTES // row_bytes)
    if hasattr(data, "chunks") and data.chunks:
        step = max(step, int(data.chunks[0][0]))
    for start in range(0, size, step):
        rows = slice(start, min(size, start + step))
        yield rows, np.asarray(data[rows])
