"""Where the weights of a ridge fit are kept: in memory, as dual weights, or in a file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import torch

from ..compute.linalg import Spectrum, spectral_weights
from . import _inputs

NAME = "coef.npy"


class Kept(Protocol):
    """What stands behind ``Ridge.coef_`` and ``Ridge.predict``."""

    @property
    def coef(self) -> np.ndarray:
        """(features, targets)."""

    def product(self, x: np.ndarray, columns: slice) -> np.ndarray:
        """Uncentred predictions of some targets: x W."""


class InMemory:
    """Coefficients (features, targets) as an array."""

    def __init__(self, p: int, t: int, dtype: np.dtype, still: np.ndarray):
        self.coef = np.empty((p, t), dtype=dtype)
        self.still = still

    def __enter__(self) -> InMemory:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None: ...

    def solve(self, spectrum: Spectrum, y: torch.Tensor, alpha: torch.Tensor, columns: slice) -> np.ndarray:
        """Solve for some targets and keep the result: (features, targets)."""
        found = _solved(spectrum, y, alpha, self.still)
        self.coef[:, columns] = found
        return found

    def forget(self, masked: np.ndarray) -> None:
        """NaN for masked targets."""
        self.coef[:, masked] = np.nan

    def product(self, x: np.ndarray, columns: slice) -> np.ndarray:
        return x @ self.coef[:, columns]


class OnDisk:
    """Coefficients in ``folder/coef.npy``, target after target, so that a block of targets is written in one piece.

    The file appears under its name when it is complete, and replaces an earlier one.
    """

    def __init__(self, folder: Any, p: int, t: int, dtype: np.dtype, still: np.ndarray, masked: np.ndarray):
        self.path = Path(folder) / NAME
        self.p, self.t, self.dtype, self.still, self.masked = p, t, dtype, still, masked

    def __enter__(self) -> OnDisk:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        number, part = tempfile.mkstemp(prefix=NAME, suffix=".part", dir=self.path.parent)
        self._part, self._file = Path(part), os.fdopen(number, "wb")
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (self.t, self.p)}
        np.lib.format.write_array_header_2_0(self._file, header)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()
            if kind is None:
                os.replace(self._part, self.path)
            else:
                self._part.unlink(missing_ok=True)
            del self._file, self._part

    def solve(self, spectrum: Spectrum, y: torch.Tensor, alpha: torch.Tensor, columns: slice) -> np.ndarray:
        """Solve for some targets and write the result; blocks have to come in order."""
        found = _solved(spectrum, y, alpha, self.still)
        found[:, self.masked[columns]] = np.nan
        rows = np.ascontiguousarray(found.T)
        self._file.write(rows.data)
        with contextlib.suppress(OSError, AttributeError):  # what is written need not stay in memory
            self._file.flush()
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return found

    def forget(self, masked: np.ndarray) -> None:
        """Masked targets were written as NaN."""

    @property
    def coef(self) -> np.ndarray:
        if not self.path.is_file():
            raise FileNotFoundError(f"the weights of this model were in {self.path}, which is gone. Fit it again.")
        return np.load(self.path, mmap_mode="r").T

    def product(self, x: np.ndarray, columns: slice) -> np.ndarray:
        return x @ _inputs.read_rows(self.coef.T, columns).T


class Dual:
    """Sample weights (samples, targets) and the centred features (samples, features) that they belong to."""

    def __init__(self, x: np.ndarray, t: int, dtype: np.dtype):
        self.x = x
        self.dual = np.empty((len(x), t), dtype=dtype)

    def __enter__(self) -> Dual:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None: ...

    def solve(self, spectrum: Spectrum, y: torch.Tensor, alpha: torch.Tensor, columns: slice) -> np.ndarray:
        """Solve for some targets and keep the result: (samples, targets)."""
        found = spectrum.dual(y, alpha).cpu().numpy()
        self.dual[:, columns] = found
        return found

    def forget(self, masked: np.ndarray) -> None:
        """NaN for masked targets."""
        self.dual[:, masked] = np.nan

    @property
    def coef(self) -> np.ndarray:
        return self.x.T @ self.dual

    def product(self, x: np.ndarray, columns: slice) -> np.ndarray:
        return (x @ self.x.T) @ self.dual[:, columns]


def _solved(spectrum: Spectrum, y: torch.Tensor, alpha: torch.Tensor, still: np.ndarray) -> np.ndarray:
    found = spectral_weights(spectrum, y, alpha).cpu().numpy()
    found[still] = 0
    return found


def kind_of(weights: Any) -> str:
    """``"memory"``, ``"dual"`` or ``"disk"``."""
    if isinstance(weights, str) and weights in ("memory", "dual"):
        return weights
    if isinstance(weights, os.PathLike) or (isinstance(weights, str) and weights and os.sep in weights):
        return "disk"
    raise ValueError(
        f"weights={weights!r}: expected 'memory', 'dual', or the path of a folder (a pathlib.Path, or text with a "
        f"{os.sep!r} in it) that the coefficients are written to."
    )
