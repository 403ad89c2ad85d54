"""Token maps at the door of an encoder: checked, read a few samples at a time, brought to one scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..compute.batching import batches
from ..exceptions import AlignmentError, DegenerateDataError
from ..linear import _inputs
from .positions import token_axes, token_places

ROWS_READ = 64  # samples that go through a module at once, when it is not fitted
HELD = 1 << 30  # bytes of tokens that are kept in memory on one scale
UNITS_SCALED = 1024  # whose mean and standard deviation are taken at a time
SCALED = 1 << 22  # numbers of tokens whose mean and standard deviation are taken at a time, at most 64 samples
ROWS_COMPARED = 256  # tokens by which features that may be equal are found
SCALED_BY = 512  # samples that the scale is estimated from, where tokens are read from a disk


class Tokens:
    """Tokens of samples, ``(n, groups, P, D)`` a batch, from an array in memory, a memory map, zarr or Dask.

    Parameters
    ----------
    X : (sample, token, unit), labelled or plain, NumPy or torch; ``attended`` (sample, token) or (token) says which
        tokens count.
    within : token coordinate whose values tell groups of tokens apart, such as the pictures that a response is the mean
        over. Groups must have the same number of tokens.
    """

    def __init__(self, X: Any, within: str | None = None) -> None:
        if isinstance(X, Tensor):
            X = X.detach().cpu()
            X = (X.float() if X.dtype == torch.bfloat16 else X).numpy()
        self.labels = X if isinstance(X, xr.DataArray) else None
        if isinstance(X, xr.DataArray):
            if X.dims != ("sample", "token", "unit"):
                raise AlignmentError(
                    f"X has the dimensions {X.dims}; expected ('sample', 'token', 'unit'). Token maps come from "
                    "activations(..., pool=None); transpose others."
                )
            values = X.data if getattr(X.variable, "_in_memory", True) or X.chunks else _Stored(X)
        else:
            values = X if hasattr(X, "shape") and hasattr(X, "dtype") else np.asarray(X)
        if values.ndim != 3:
            raise AlignmentError(f"X has the shape {tuple(values.shape)}; expected (samples, tokens, features).")
        if np.dtype(values.dtype).kind not in "fiub":
            raise ValueError(f"X holds {values.dtype}; expected real numbers.")
        self.values = values
        self.n, self.n_tokens, self.n_features = (int(size) for size in values.shape)
        if min(self.n, self.n_tokens, self.n_features) < 1:
            raise DegenerateDataError(f"X has the shape {tuple(values.shape)}: there is nothing to read.")
        self.order = self._groups(within)
        self.groups, self.size = self.order.shape
        self.axes, self.places = token_axes(self.labels, self.size), self._places()
        self.attended = self._attended()
        wide = values.dtype.kind != "b" and values.dtype.itemsize > (4 if values.dtype.kind == "f" else 2)
        self.dtype = np.dtype(np.float64 if wide else np.float32)
        self.mean = torch.zeros(self.n_features)
        self.scale = torch.ones(self.n_features)
        self.held: Tensor | None = None
        self.late = False
        self.still = self.again = np.empty(0, dtype=int)

    @property
    def in_memory(self) -> bool:
        return isinstance(self.values, np.ndarray) and not isinstance(self.values, np.memmap)

    def _groups(self, within: str | None) -> np.ndarray:
        if within is None:
            return np.arange(self.n_tokens)[None]
        if self.labels is None or within not in self.labels.coords or self.labels[within].dims != ("token",):
            raise AlignmentError(f"within={within!r} names no coordinate of the tokens of X.")
        names = self.labels[within].values
        kinds, counts = np.unique(names, return_counts=True)
        if len(set(counts.tolist())) > 1:
            raise AlignmentError(
                f"within={within!r}: groups have {counts.min()} to {counts.max()} tokens; give each the same number."
            )
        return np.stack([np.flatnonzero(names == kind) for kind in kinds])

    def _attended(self) -> np.ndarray | None:
        """Boolean (samples, tokens): which tokens count; None where all do."""
        if self.labels is None or "attended" not in self.labels.coords:
            return None
        marks = self.labels["attended"]
        if not {"token"} <= set(marks.dims) <= {"sample", "token"}:
            raise AlignmentError(f"attended lies on {marks.dims}; expected ('sample', 'token'), or ('token',) for all.")
        values = np.asarray(marks.values)
        if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
            raise ValueError("attended holds more than True and False: it says of each token whether it counts.")
        values = values.astype(bool)
        if values.all():
            return None
        if marks.dims == ("token",):
            found = np.broadcast_to(values, (self.n, self.n_tokens))
        else:
            found = values if marks.dims == ("sample", "token") else values.T
        none = np.flatnonzero((found[:, self.order].sum(axis=2) == 0).any(axis=1))
        if len(none):
            raise DegenerateDataError(
                f"{len(none)} samples have no token that counts, the first at position {none[0]}."
            )
        return found

    def _places(self) -> np.ndarray:
        """Places of the tokens of one group, (P, axes); the tokens of all groups are brought into one order."""
        labels = self.labels
        known = token_places(labels, self.n_tokens)
        if not np.isfinite(known).all():
            raise AlignmentError(
                f"{(~np.isfinite(known).all(axis=1)).sum()} of {self.n_tokens} tokens have a place that is not a "
                "number; leave out tokens that lie nowhere, such as the class token, or give them a place."
            )
        if self.groups == 1:
            return known
        each = [token_places(None if labels is None else labels.isel(token=rows), self.size) for rows in self.order]
        sorted_rows = []
        for rows, places in zip(self.order, each):
            by_place = np.lexsort(places.T[::-1])
            sorted_rows.append(rows[by_place])
        first = each[0][np.lexsort(each[0].T[::-1])]
        for places in each:
            if not np.allclose(places[np.lexsort(places.T[::-1])], first):
                raise AlignmentError("groups of tokens lie at different places; give each the same grid.")
        self.order = np.stack(sorted_rows)
        return first

    def read(self, rows: np.ndarray) -> Tensor:
        """Values of some samples, (len(rows), groups, P, D) float32, for :meth:`put`.

        They are on the scale of the training samples, or, ``late``, as they are.
        """
        if self.held is not None:
            return self.held[torch.from_numpy(np.asarray(rows))]
        return self.raw(rows) if self.late else self._scaled(self.raw(rows))

    def put(self, values: Tensor, device: torch.device) -> Tensor:
        """What was read, where it is computed with, on the scale of the training samples."""
        there = values.to(device)
        if not self.late or self.held is not None:
            return there
        return (there - self.mean.to(device)).div_(self.scale.to(device))

    def raw(self, rows: np.ndarray) -> Tensor:
        """Values of some samples as they are, (len(rows), groups, P, D); float64 where they come in 64 bits."""
        rows = np.asarray(rows)
        upwards = np.argsort(rows, kind="stable")
        if isinstance(self.values, np.ndarray):
            found = np.asarray(self.values[rows], dtype=self.dtype)
        else:
            oindex = getattr(self.values, "oindex", self.values)
            part = oindex[rows[upwards]]
            part = part.compute() if hasattr(part, "compute") else part
            found = np.empty(part.shape, dtype=self.dtype)
            found[upwards] = part
        if not np.isfinite(found.sum(dtype=np.float64)) and not np.isfinite(found).all():
            bad = rows[np.flatnonzero(~np.isfinite(found).all(axis=(1, 2)))[0]]
            named = self.labels is not None and "stimulus" in self.labels.coords
            name = str(self.labels["stimulus"].values[bad]) if self.labels is not None and named else int(bad)
            raise DegenerateDataError(f"X holds NaN or infinite values, first in sample {name!r}.")
        if self.groups > 1:
            found = found[:, self.order]
        return torch.from_numpy(np.ascontiguousarray(found)).view(len(rows), self.groups, self.size, -1)

    def _scaled(self, raw: Tensor) -> Tensor:
        return ((raw - self.mean) / self.scale).float()

    def blocked(self, rows: np.ndarray) -> Tensor | None:
        """Boolean (len(rows) * groups, 1, P), True where a token does not count; None where all do."""
        if self.attended is None:
            return None
        kept = self.attended[np.asarray(rows)][:, self.order]
        return torch.from_numpy(~kept).flatten(0, 1)[:, None]

    def learn_scale(self, rows: np.ndarray, generator: np.random.Generator) -> None:
        """Mean and standard deviation of each feature over the tokens of training samples.

        ``still`` and ``again`` then hold the features that never vary, and those that repeat an earlier one.
        """
        if not self.in_memory and len(rows) > SCALED_BY:
            rows = np.sort(generator.choice(rows, SCALED_BY, replace=False))
        count, total, square = 0, torch.zeros(self.n_features).double(), torch.zeros(self.n_features).double()
        shift, twins = None, {}
        for some in batches(len(rows), scaled_at_once(self.n_tokens * self.n_features)):
            raw = self.raw(rows[some]).double()
            blocked = self.blocked(rows[some])
            if blocked is not None:
                raw = raw[~blocked[:, 0].view(raw.shape[:3])]
            flat = raw.reshape(-1, self.n_features)
            if shift is None:
                shift = flat.mean(0)
                twins = _twins(flat)
            twins = {later: first for later, first in twins.items() if torch.equal(flat[:, later], flat[:, first])}
            count += len(flat)
            total += (flat - shift).sum(0)
            square += (flat - shift).square().sum(0)
        if shift is None:
            raise DegenerateDataError("there is no sample to learn the scale of the features from.")
        mean = total / count
        spread = (square / count - mean.square()).clamp_min(0).sqrt()
        least = 1e-6 if self.dtype == np.float32 else 1e-12
        flat_line = spread <= least * (mean + shift).abs().clamp_min(1e-30)
        self.still = np.flatnonzero(flat_line.numpy())
        self.again = np.array(sorted(set(twins) - set(self.still.tolist())), dtype=int)
        kind = torch.float32 if self.dtype == np.float32 else torch.float64
        self.mean = (mean + shift).to(kind)
        self.scale = torch.where(flat_line, torch.ones_like(spread), spread).to(kind)

    def use_scale(self, mean: Tensor, scale: Tensor, *, hold: bool = True, device: torch.device | None = None) -> None:
        """Take the scale of a fit; small arrays in memory are brought to it once, where there is room (``hold``).

        Others are brought to it as they are read, or on a ``device`` other than the CPU after they went there; numbers
        of 64 bits never go anywhere, as differences between them may need all of their digits.
        """
        self.mean, self.scale, self.held = mean, scale, None
        self.late = device is not None and device.type != "cpu" and self.dtype == np.float32
        if hold and self.in_memory and 4 * self.n * self.n_tokens * self.n_features <= HELD:
            self.held = torch.empty(self.n, self.groups, self.size, self.n_features)
            for some in batches(self.n, ROWS_READ):
                self.held[some] = self._scaled(self.raw(np.arange(self.n)[some]))


def scaled_at_once(numbers: int) -> int:
    """Samples of so many numbers whose scale is learnt at a time."""
    return min(64, max(1, SCALED // numbers))


def _twins(flat: Tensor) -> dict[int, int]:
    """Columns that may repeat an earlier one, with that one: equal in the first rows."""
    seen: dict[bytes, int] = {}
    found = {}
    for number, column in enumerate(flat[:ROWS_COMPARED].T.contiguous().numpy()):
        first = seen.setdefault(column.tobytes(), number)
        if first != number:
            found[number] = first
    return found


def warn_features(tokens: Tokens, stacklevel: int = 2) -> None:
    """Say once which features never vary over the tokens that were looked at, and which repeat another."""
    what = "features of the tokens"
    advice = "Seen over all training samples, constant ones say nothing and equal ones share a weight"
    _inputs.warn_features(tokens.labels, tokens.n_features, tokens.still, tokens.again, what, advice, stacklevel)


class _Stored:
    """A labelled array whose values stay in their store until samples are asked for, in rising order."""

    def __init__(self, X: xr.DataArray) -> None:
        self.X, self.shape, self.dtype, self.ndim = X, X.shape, X.dtype, X.ndim

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.X.isel(sample=rows).values)
