"""Passes through a model that leave rows per stimulus for every layer, and check what they leave."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..compute import hooks
from ..compute.pooling import channel_axis as find_channel_axis
from ..compute.pooling import pool_rows
from ..exceptions import CapacityError, DegenerateDataError, LayerNotFoundError, NeurodecodeWarning
from .model_inputs import Batch

Pool = str | Callable[[Tensor], Tensor] | None
TOLERANCE = {"float32": 1e-3, "float64": 1e-6}
HALF_TOLERANCE = 3e-2


class Capture:
    """One pass after another through a model, each giving rows per stimulus for every layer."""

    def __init__(
        self,
        model: nn.Module,
        layers: list[str],
        pool: Pool,
        dtype: str | None,
        channel_axis: int | None,
        device: torch.device,
    ) -> None:
        self.model, self.layers, self.pool, self.device = model, layers, pool, device
        self.dtype = None if dtype is None else np.dtype(dtype)
        if self.dtype is not None and self.dtype.kind != "f":
            raise ValueError(f"dtype={dtype!r}: activations are floating point; use 'float16', 'float32' or 'float64'")
        self.channel_axis = channel_axis
        self.names = [name for name, _ in model.named_modules(remove_duplicate=False)]
        for layer in layers:
            hooks.find_module(model, hooks.Site.parse(layer, self.names).module)
        self.grids: dict[str, tuple[int, ...]] = {}
        self.limit: int | None = None
        self.warned = False

    def halving(self, batch: Batch) -> dict[str, np.ndarray]:
        """Rows of a batch; where the device runs out of memory, of its halves."""
        size = self.limit or batch.n
        parts = []
        start = 0
        while start < batch.n:
            piece = batch.rows(slice(start, start + size))
            try:
                parts.append(self.run(piece))
                start += piece.n
            except torch.OutOfMemoryError as error:
                if piece.n == 1:
                    raise CapacityError(
                        f"one stimulus alone does not fit into the memory of {self.device}; "
                        "use a device with more memory, smaller stimuli or a model in half precision"
                    ) from error
                size = self.limit = piece.n // 2
        if self.limit is not None and size < batch.n and not self.warned:
            self.warned = True
            warnings.warn(
                f"{self.device} ran out of memory with {batch.n} stimuli at once; going on with {size}. "
                f"Pass batch_size={size} to say so from the start.",
                NeurodecodeWarning,
                stacklevel=4,
            )
        if len(parts) == 1:
            return parts[0]
        return {layer: np.concatenate([part[layer] for part in parts]) for layer in parts[0]}

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """One pass of the model over a batch."""
        inputs = batch.to(self.device, floating_dtype(self.model)).inputs
        mask = None if batch.mask is None else batch.mask.to(self.device)
        grids: dict[str, tuple[int, ...]] = {}

        def keep(layer: str, value: Tensor) -> Tensor:
            rows, grids[layer] = self._rows(layer, value, batch.n, mask)
            return rows if self.dtype is None else rows.to(getattr(torch, self.dtype.name))

        with hooks.recorded(self.model, self.layers, keep) as tape:
            hooks.call_model(self.model, inputs)
            missing = tape.missing()
            if missing:
                numbered = any(hooks.Site.parse(layer, self.names).call is not None for layer in missing)
                raise LayerNotFoundError(
                    f"never called while {model_name(self.model)} ran: {', '.join(map(repr, missing))}. "
                    + ("Calls count from 0: 'name@0' is the first, 'name@1' the second. " if numbered else "")
                    + "list_layers(model, example) shows how often each layer is called."
                )
            found = {layer: value.cpu().numpy() for layer, value in tape.items()}
        now = {layer: grids[_asked(layer, grids)] for layer in found}
        if self.pool is None and self.grids and now != self.grids:
            changed = next(layer for layer in {**now, **self.grids} if now.get(layer) != self.grids.get(layer))
            raise ValueError(
                f"layer {changed!r} has places {now.get(changed)} in one batch, {self.grids.get(changed)} in another; "
                "pad all stimuli to one length or size, or pool"
            )
        if self.grids and list(now) != list(self.grids):
            raise LayerNotFoundError(f"the calls differ between batches: {list(self.grids)}, then {list(now)}")
        self.grids = now
        for layer, values in found.items():
            finite = np.isfinite(values).reshape(len(values), -1).all(1)
            if not finite.all():
                names = ", ".join(repr(str(batch.ids[row])) for row in np.flatnonzero(~finite)[:3])
                raise DegenerateDataError(
                    f"layer {layer!r} gives values that are not finite for {(~finite).sum()} stimuli, first {names}"
                    + ("; float16 ends at 65504, use dtype='float32'" if values.dtype == np.float16 else "")
                )
        return found

    def _rows(self, layer: str, value: Tensor, n: int, mask: Tensor | None) -> tuple[Tensor, tuple[int, ...]]:
        module = hooks.find_module(self.model, hooks.Site.parse(layer, self.names).module)
        if value.ndim == 3 and getattr(module, "batch_first", True) is False:
            value = value.transpose(0, 1)
        if value.ndim == 0 or len(value) != n:
            raise ValueError(
                f"layer {layer!r} returns shape {tuple(value.shape)} for {n} stimuli; "
                "its first axis must be the stimuli. Choose another layer, or the module around it; a loader "
                "must yield batches, also where a batch is one stimulus, (1, ...)."
            )
        axis = self.channel_axis
        if axis is None:
            try:
                axis = find_channel_axis(module, value.ndim, self.model)
            except ValueError as error:
                raise ValueError(f"layer {layer!r}: {error}") from error
        sequence = value.ndim == 3
        if mask is not None and sequence and self.pool in ("mean", "last"):
            length = value.shape[1 if axis in (2, -1) else 2]
            if length != mask.shape[1]:
                raise ValueError(
                    f"layer {layer!r} has {length} tokens where the mask has {mask.shape[1]}; "
                    "pass a mask of that length, or a callable pool"
                )
        rows, grid = pool_rows(value, axis, self.pool, mask)
        if len(rows) != n:
            raise ValueError(f"pool returned {len(rows)} rows of layer {layer!r} for {n} stimuli")
        return rows, grid

    def check(self, batch: Batch, together: dict[str, np.ndarray]) -> None:
        """Compare the first stimulus, and the one with most padding, alone and in the batch."""
        chosen = {0}
        if batch.mask is not None:
            chosen.add(int(batch.mask.sum(1).argmin()))
        before = self.grids
        for row in sorted(chosen):
            single, kept = batch.alone(row)
            if batch.n == 1 and kept is None:
                continue
            self.grids = {}
            alone = self.run(single)
            for layer, values in alone.items():
                other = together[layer][row : row + 1]
                if kept is not None and self.pool is None and other.ndim == 3:
                    other = other[:, kept]
                tolerance = TOLERANCE.get(str(values.dtype), HALF_TOLERANCE)
                if floating_dtype(self.model) in (torch.float16, torch.bfloat16):
                    tolerance = HALF_TOLERANCE
                same = other.shape == values.shape
                gap = float(np.abs(values - other).max()) if same else np.inf
                scale = float(np.abs(other).max()) if other.size else 0.0
                if gap > tolerance * max(scale, 1e-6):
                    self.grids = before
                    raise ValueError(
                        f"layer {layer!r} with pool={self.pool!r} answers stimulus {str(batch.ids[row])!r} differently "
                        f"alone and in a batch of {batch.n} (largest difference {gap:.3g}, largest value {scale:.3g}): "
                        "padding or the other stimuli reach it. Pad on the other side, pass the attention_mask and "
                        "position ids, use batch_size=1, or pass check_batch=False if this is meant."
                    )
        self.grids = before


def _asked(layer: str, grids: dict[str, Any]) -> str:
    """The site that was asked for: ``name`` for the ``name@0`` of a module called several times."""
    if layer in grids:
        return layer
    site = hooks.Site.parse(layer)
    return str(hooks.Site(site.module, None, site.output))


def floating_dtype(model: nn.Module) -> torch.dtype | None:
    """The dtype of the first floating point parameter; None where there is none."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), None)


def home_of(model: nn.Module) -> torch.device:
    """Where the model is: the device of its first tensor, the CPU where it has none."""
    if not isinstance(model, nn.Module):
        what = f"the class {model.__name__}; build it first" if isinstance(model, type) else f"a {type(model).__name__}"
        raise TypeError(f"expected a torch.nn.Module, got {what}")
    tensors = [*model.parameters(), *model.buffers()]
    if any(tensor.device.type == "meta" for tensor in tensors):
        raise ValueError(f"{type(model).__name__} has no weights yet: its parameters are on the device 'meta'")
    return tensors[0].device if tensors else torch.device("cpu")


@contextlib.contextmanager
def moved(model: nn.Module, where: torch.device, home: torch.device) -> Iterator[None]:
    """Move a model for the length of a block and bring it back, also after an exception."""
    places = {tensor.device for tensor in (*model.parameters(), *model.buffers())}
    if where == home:
        yield
        return
    if len(places) > 1:
        raise ValueError(f"the model is spread over {', '.join(sorted(map(str, places)))}; leave device=None")
    try:
        model.to(where)
        yield
    finally:
        model.to(home)


def model_name(model: nn.Module) -> str:
    """The ``name`` a model gives itself, else that of its class.

    Examples
    --------
    >>> model_name(nn.Linear(1, 1))
    'Linear'
    """
    name = getattr(model, "name", None) or getattr(getattr(model, "config", None), "name_or_path", None)
    return os.path.basename(name.rstrip("/")) if isinstance(name, str) and name else type(model).__name__
