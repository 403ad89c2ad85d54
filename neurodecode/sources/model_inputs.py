"""What a model is called with, cut into batches with the name of every stimulus."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor, nn

from .. import _numbers
from ..compute.batching import batches as slices
from ..compute.pooling import token_mask
from ..exceptions import AlignmentError, DegenerateDataError


@dataclass(frozen=True)
class Batch:
    """Some stimuli as a model takes them: tensors with stimuli first, names, coordinates, which tokens count."""

    inputs: Any
    ids: np.ndarray
    coords: dict[str, np.ndarray]
    mask: Tensor | None = None

    @property
    def n(self) -> int:
        """Number of stimuli."""
        return len(self.ids)

    def rows(self, chosen: slice) -> Batch:
        """A part of the batch."""
        if chosen.start == 0 and chosen.stop >= self.n:
            return self
        return Batch(
            over_tensors(self.inputs, lambda value: value[chosen] if value.ndim else value),
            self.ids[chosen],
            {name: value[chosen] for name, value in self.coords.items()},
            None if self.mask is None else self.mask[chosen],
        )

    def to(self, device: torch.device, floating: torch.dtype | None) -> Batch:
        """The same on a device; floating point inputs in the dtype of the model."""

        def move(value: Tensor) -> Tensor:
            return value.to(device, floating if value.is_floating_point() and floating is not None else None)

        return replace(self, inputs=over_tensors(self.inputs, move))

    def alone(self, row: int) -> tuple[Batch, np.ndarray | None]:
        """One stimulus by itself, without padding where an attention mask tells it; and the tokens that are left."""
        single = self.rows(slice(row, row + 1))
        attended = single.inputs.get("attention_mask") if isinstance(single.inputs, Mapping) else None
        if attended is None or attended.ndim != 2 or bool(attended.all()):
            return single, None
        length = attended.shape[1]
        kept = torch.nonzero(attended[0]).flatten()

        def cut(value: Tensor) -> Tensor:
            return value[:, kept] if value.ndim >= 2 and value.shape[1] == length else value

        mask = None if single.mask is None else single.mask[:, kept]
        return replace(single, inputs=over_tensors(single.inputs, cut), mask=mask), kept.numpy()

    def shapes(self) -> Any:
        """Shape of one stimulus, for the record."""
        if isinstance(self.inputs, Mapping):
            return {name: list(value.shape[1:]) for name, value in self.inputs.items() if isinstance(value, Tensor)}
        if isinstance(self.inputs, tuple):
            return [list(value.shape[1:]) for value in self.inputs if isinstance(value, Tensor)]
        return list(self.inputs.shape[1:])


def over_tensors(inputs: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Apply a function to every tensor of a tensor, tuple or dict.

    Examples
    --------
    >>> over_tensors((torch.ones(2), True), lambda x: x + 1)
    (tensor([2., 2.]), True)
    """
    if isinstance(inputs, Tensor):
        return function(inputs)
    if isinstance(inputs, Mapping):
        return {name: function(value) if isinstance(value, Tensor) else value for name, value in inputs.items()}
    return tuple(function(value) if isinstance(value, Tensor) else value for value in inputs)


class Batches:
    """Batches of stimuli, walked once or twice; what a key of a cache can say about them."""

    def __init__(
        self,
        model: nn.Module,
        inputs: Any,
        batch_size: int | None,
        stimulus: Sequence[str] | None,
        preprocess: Callable[[Any], Any] | None,
        mask: Any,
    ) -> None:
        self.model, self.preprocess, self.mask = model, preprocess, mask
        self.stimulus = None if stimulus is None else np.asarray(stimulus).astype(str)
        if self.stimulus is not None and self.stimulus.ndim != 1:
            raise ValueError(f"stimulus has shape {self.stimulus.shape}; expected one name for each stimulus")
        if isinstance(inputs, list) and inputs and isinstance(inputs[0], str):
            inputs = np.asarray(inputs)
        whole = isinstance(inputs, (Tensor, np.ndarray, xarray.DataArray, tuple, Mapping))
        self.inputs = inputs
        self.n_batches: int | None = None
        self.n: int | None = None
        self.seen = 0
        if whole:
            self.n = _n_stimuli(inputs)
            if batch_size is not None:
                batch_size = _numbers.whole(batch_size, "batch_size", least=1)
            self.size = batch_size or max(self.n, 1)
            self.n_batches = -(-self.n // self.size)
            if self.stimulus is not None and len(self.stimulus) != self.n:
                raise AlignmentError(f"stimulus names {len(self.stimulus)} stimuli, the inputs hold {self.n}")
            if mask is not None and len(mask) != self.n:
                raise AlignmentError(f"mask has {len(mask)} rows, the inputs hold {self.n} stimuli")
        elif not isinstance(inputs, Iterable) or isinstance(inputs, (str, bytes)):
            raise ValueError(
                f"inputs are a {type(inputs).__name__}; expected arrays, a tuple, a dict or batches of these"
            )
        elif mask is not None:
            raise ValueError(
                "a mask for batches that come one by one goes with them: yield dicts with 'attention_mask'"
            )

    def __iter__(self) -> Iterator[Batch]:
        self.seen = 0
        if self.n is not None:
            for rows in slices(self.n, self.size):
                yield self._prepare(_part(self.inputs, rows), rows)
            return
        for raw in self.inputs:
            if isinstance(raw, list):
                raw = np.asarray(raw) if raw and isinstance(raw[0], str) else tuple(raw)
            if not isinstance(raw, (Tensor, np.ndarray, xarray.DataArray, tuple, Mapping)):
                raise ValueError(f"a batch is a {type(raw).__name__}; expected a tensor, an array, a tuple or a dict")
            n = _n_stimuli(raw)
            yield self._prepare(raw, slice(self.seen, self.seen + n))

    def _prepare(self, raw: Any, rows: slice) -> Batch:
        n = rows.stop - rows.start
        coords: dict[str, np.ndarray] = {}
        names = None
        if isinstance(raw, xarray.DataArray):
            coords = {str(name): c.values for name, c in raw.coords.items() if c.dims == ("sample",)}
            names = coords.pop("stimulus", None)
        if self.stimulus is not None:
            given = self.stimulus[rows]
            if len(given) != n:
                raise AlignmentError(f"stimulus names {len(self.stimulus)} stimuli, the batches hold more")
            if names is not None and not np.array_equal(given, np.asarray(names).astype(str)):
                raise AlignmentError(
                    "stimulus= differs from the stimulus coordinate of the inputs; pass one of the two"
                )
            names = given
        if names is None:
            names = np.asarray(content_names(raw))
        inputs = self._tensors(raw)
        self.seen = rows.stop
        inner = _n_stimuli(inputs)
        if inner != n:
            raise AlignmentError(f"preprocess made {inner} stimuli of {n}")
        return Batch(inputs, np.asarray(names).astype(str), coords, self._mask(inputs, rows))

    def _tensors(self, raw: Any) -> Any:
        values = raw.values if isinstance(raw, xarray.DataArray) else raw
        prepare = self.preprocess
        bytes_ = str(getattr(values, "dtype", "")).removeprefix("torch.") == "uint8"
        if prepare is None and (bytes_ or getattr(raw, "attrs", {}).get("kind") == "pictures"):
            prepare = getattr(self.model, "preprocess", None)
            if bytes_ and not callable(prepare):
                raise ValueError(
                    f"uint8 inputs: {type(self.model).__name__} has no preprocess of its own. Pass preprocess= "
                    "(pictures to the floats the model was trained on), or integers of another type for token ids."
                )
        if prepare is not None:
            values = prepare(values)
        if isinstance(values, Mapping):
            return {str(name): _tensor(value, str(name)) for name, value in values.items()}
        if isinstance(values, (tuple, list)):
            return tuple(_tensor(value, f"argument {index}") for index, value in enumerate(values))
        return _tensor(values, "inputs")

    def _mask(self, inputs: Any, rows: slice) -> Tensor | None:
        if self.mask is not None:
            return torch.as_tensor(np.asarray(self.mask[rows])).bool()
        keyed = inputs if isinstance(inputs, Mapping) else {}
        ids = keyed.get("input_ids", inputs if isinstance(inputs, Tensor) else None)
        if ids is not None and (ids.ndim != 2 or ids.is_floating_point() or ids.dtype == torch.bool):
            ids = None
        attended = keyed.get("attention_mask")
        if attended is not None and attended.ndim != 2:
            attended = None
        mask = token_mask(ids, attended, _token_id(self.model, "pad"), _token_id(self.model, "bos"))
        if mask is not None and not bool(mask.any(1).all()):
            row = int(torch.nonzero(~mask.any(1)).flatten()[0]) + rows.start
            raise DegenerateDataError(f"stimulus number {row} has no token that counts, only padding or marks")
        return mask

    def finish(self) -> None:
        """Called at the end of the walk: every name must have met a stimulus."""
        if self.stimulus is not None and self.seen != len(self.stimulus):
            raise AlignmentError(f"stimulus names {len(self.stimulus)} stimuli, the batches held {self.seen}")

    def key(self, pool: Any) -> dict[str, Any]:
        """What decides about the activations, besides the model; ``inputs`` is None for batches that come only once."""
        said = {"preprocess": _fingerprint(self.preprocess), "pool_code": _fingerprint(pool)}
        if self.n is None:
            return {"inputs": None, **said}
        digest = hashlib.sha256()
        for rows in slices(self.n, self.size):
            part = _part(self.inputs, rows)
            digest.update("".join(content_names(part)).encode())
            if isinstance(part, xarray.DataArray):
                for name, value in sorted(part.coords.items(), key=lambda item: str(item[0])):
                    digest.update(f"{name}={value.values.tolist()!r}".encode())
        if self.stimulus is not None:
            digest.update(repr(self.stimulus.tolist()).encode())
        if self.mask is not None:
            digest.update(np.asarray(self.mask).astype(bool).tobytes())
        return {"inputs": digest.hexdigest(), **said}


def read_batches(
    model: nn.Module,
    inputs: Any,
    batch_size: int | None,
    *,
    stimulus: Sequence[str] | None = None,
    preprocess: Callable[[Any], Any] | None = None,
    mask: Any = None,
) -> Batches:
    """The stimuli in batches; see ``network.activations`` for what inputs may be.

    Examples
    --------
    >>> [batch.n for batch in read_batches(nn.Identity(), np.zeros((5, 2)), 2)]
    [2, 2, 1]
    """
    return Batches(model, inputs, batch_size, stimulus, preprocess, mask)


def content_names(raw: Any) -> list[str]:
    """A name for each stimulus out of its content: the first 16 digits of a SHA-256 after ``#``.

    Examples
    --------
    >>> a, b, c = content_names(np.array([[1.0], [2.0], [1.0]]))
    >>> a == c, a == b
    (True, False)
    """
    arrays = [_host(value) for value in _arrays(raw).values()]
    names = []
    for row in range(len(arrays[0])):
        digest = hashlib.sha256()
        for array in arrays:
            piece = np.ascontiguousarray(array[row])
            digest.update(f"{piece.dtype.str}{piece.shape}".encode())
            digest.update(piece.tobytes())
        names.append("#" + digest.hexdigest()[:16])
    return names


def _arrays(inputs: Any) -> dict[str, Any]:
    """The parts that run over stimuli, by name; scalars, flags and None are shared by all."""
    if isinstance(inputs, Mapping):
        items = {str(name): value for name, value in inputs.items()}
    elif isinstance(inputs, tuple):
        items = {f"argument {index}": value for index, value in enumerate(inputs)}
    else:
        items = {"inputs": inputs}
    arrays = {name: value for name, value in items.items() if np.ndim(value) and hasattr(value, "shape")}
    if not arrays:
        raise ValueError("the inputs hold no array with stimuli on its first axis")
    return arrays


def _n_stimuli(inputs: Any) -> int:
    if isinstance(inputs, xarray.DataArray) and inputs.dims[:1] != ("sample",):
        raise ValueError(f"a labelled input has dimensions {inputs.dims}; expected 'sample' first")
    sizes = {name: int(value.shape[0]) for name, value in _arrays(inputs).items()}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise AlignmentError(f"the inputs have different numbers of stimuli: {shown}")
    return next(iter(sizes.values()))


def _part(inputs: Any, rows: slice) -> Any:
    if isinstance(inputs, (Tensor, np.ndarray, xarray.DataArray)):
        return inputs[rows]
    varying = set(_arrays(inputs))
    if isinstance(inputs, Mapping):
        return {name: value[rows] if str(name) in varying else value for name, value in inputs.items()}
    return tuple(value[rows] if f"argument {index}" in varying else value for index, value in enumerate(inputs))


def _host(value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return value.view(torch.uint8).numpy() if value.dtype == torch.bfloat16 and value.ndim else value.numpy()
    return np.asarray(value)


def _tensor(value: Any, name: str) -> Any:
    if isinstance(value, xarray.DataArray):
        value = value.values
    if isinstance(value, Tensor) or not hasattr(value, "shape"):
        return value.detach() if isinstance(value, Tensor) else value
    array = np.asarray(value)
    if array.dtype.kind not in "fiubc":
        raise ValueError(f"{name} holds {array.dtype}; tokenise texts first, or pass preprocess=")
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(np.array(native) if not native.flags.writeable else np.ascontiguousarray(native))


def _token_id(model: nn.Module, kind: str) -> int | None:
    found = getattr(model, f"{kind}_id", None)
    if found is None:
        found = getattr(getattr(model, "config", None), f"{kind}_token_id", None)
    return found if isinstance(found, int) else None


def _fingerprint(function: Any) -> str | None:
    """Name, source and bound values of a callable, so that a stored result is not taken for that of other code."""
    if function is None or isinstance(function, str):
        return function
    if isinstance(function, functools.partial):
        bound = repr((function.args, sorted(function.keywords.items())))
        return f"{_fingerprint(function.func)} with {hashlib.sha256(bound.encode()).hexdigest()[:16]}"
    target = function if hasattr(function, "__qualname__") else type(function)
    try:
        source = inspect.getsource(target)
    except (OSError, TypeError):
        source = repr(target)
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    source += repr([value for value in cells if isinstance(value, (int, float, str, bytes, bool, tuple))])
    name = f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', '')}"
    return f"{name} {hashlib.sha256(source.encode()).hexdigest()[:16]}"
