"""Activations of any torch module as a representation: capture by layer name, pooled in the hook, model untouched."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .. import __version__
from .._names import lookup
from ..compute import hooks
from ..compute.device import resolve
from ..compute.pooling import POOLS
from ..compute.progress import progress
from ..exceptions import DegenerateDataError, LayerNotFoundError
from .activation_store import MemorySink, Sink, StoreSink, open_finished
from .capture import Capture, Pool, floating_dtype, home_of, model_name, moved
from .hub import load_hub
from .model_inputs import read_batches

__all__ = ["activations", "list_layers", "load_hub", "model_name", "weights_hash"]


def activations(
    model: nn.Module,
    inputs: Any,
    layers: str | Sequence[str],
    *,
    pool: Pool = "mean",
    batch_size: int = 32,
    device: str | torch.device | None = None,
    stimulus: Sequence[str] | None = None,
    store: str | os.PathLike[str] | None = None,
    dtype: str | None = None,
    preprocess: Callable[[Any], Any] | None = None,
    mask: Any = None,
    channel_axis: int | None = None,
    check_batch: bool = True,
) -> Any:
    """What the layers of a network answer to each stimulus.

    The model runs in evaluation mode, without gradients or autocast; afterwards its mode, device, gradients, hooks and
    the random generators are as before, also after an exception. Pooling and down-casting happen inside the hook, so a
    full map is never kept.

    Parameters
    ----------
    model : any ``torch.nn.Module``.
    inputs : what the model is called with, stimuli on the first axis: a tensor or NumPy array, a tuple (positional
        arguments), a dict (keywords; what is not an array goes along with every batch), a labelled DataArray with
        ``sample`` first, or any other iterable, such as a loader, that yields batches of these. Floating point inputs
        take the dtype of the model. Of a loader only one batch is in memory at a time.
    layers : names as in ``named_modules()``. ``"name@1"`` is the second call of a module, ``"name:0"`` one of several
        outputs. A module called several times under its bare name gives one layer per call, ``name@0``, ``name@1``.
    pool : ``"mean"`` over places, of maps (n, c, h, w) or tokens (n, t, d); ``"last"``: the last token that is not
        padding; a callable of the output that returns (n, units); None: nothing is pooled.
    batch_size : stimuli a pass. Where the device runs out of memory it is halved, with a warning.
    device : where to run; None is where the model is. A device that is not there raises.
    stimulus : names of the stimuli. By default those of a labelled input; without them each stimulus is named by the
        hash of its content, so that two arrays never meet by position alone.
    store : folder for the activations; memory then does not grow with the number of stimuli, and the array returned
        reads from the folder when it is used. A finished folder of the same job (weights, inputs, layers, pooling) is
        opened and nothing is computed; of another job, ``ResumeError``.
    dtype : of the result, such as ``"float16"``; None keeps the model's, half precision becoming float32.
    preprocess : applied to the values of each batch, before the model. uint8 arrays and what ``stimuli.read`` gives
        (``attrs["kind"] == "pictures"``) go through ``model.preprocess`` when the model has one.
    mask : (n, t) boolean, the tokens that count. By default what ``attention_mask`` among the keywords says, or the
        places without the model's ``pad_id``; a leading ``bos_id`` never counts (``pool="mean"`` and ``"last"``).
    channel_axis : axis of the outputs that holds channels, where it cannot be told from the layer.
    check_batch : compare a stimulus of the first batch with itself alone, without padding.

    Returns
    -------
    Pooled: one DataArray (sample, unit) with ``stimulus`` on sample and ``model``, ``layer``, ``channel`` on unit, the
    layers one after the other. ``pool=None``: a dict layer -> DataArray, (sample, unit) for vectors, (sample, token,
    unit) for maps (``row``, ``col`` on token) and sequences (``position``; ``attended`` on sample x token where a mask
    is known). ``attrs`` hold kind, model, weights (hash), pool and how the inputs looked.

    Raises
    ------
    LayerNotFoundError : unknown layer, layer never called, or one of several outputs not chosen.
    AlignmentError : names and stimuli differ in number.
    DegenerateDataError : an activation is not finite; no stimulus; a text without any token that counts.
    ValueError : the device is not there; a stimulus alone gives another answer than in its batch (row named); uint8
        without preprocessing.

    Examples
    --------
    >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
    >>> X = activations(model, torch.rand(5, 3, 8, 8), ["0", "1"], stimulus=list("abcde"))
    >>> X.sizes["unit"], sorted(set(X["layer"].values.tolist()))
    (8, ['0', '1'])
    """
    if not isinstance(layers, Iterable):
        raise TypeError(f"layers={layers!r}: expected names of layers; list_layers(model, example) shows them")
    layers = [layers] if isinstance(layers, str) else list(layers)
    if not layers:
        raise LayerNotFoundError("no layer was asked for; list_layers(model, example) shows them")
    if pool is not None:
        lookup(POOLS, pool, "pool")
    if isinstance(pool, str):
        pool_name = pool
    else:
        pool_name = (
            "none" if pool is None else f"{pool.__module__}.{getattr(pool, '__qualname__', type(pool).__name__)}"
        )
    home = home_of(model)
    where = home if device is None else resolve(device)
    capture = Capture(model, layers, pool, dtype, channel_axis, where)
    batches = read_batches(model, inputs, batch_size, stimulus=stimulus, preprocess=preprocess, mask=mask)
    attrs = {
        "kind": "network",
        "quantity": "activation",
        "units": "a.u.",
        "model": model_name(model),
        "weights": weights_hash(model),
        "layers": layers,
        "pool": pool_name,
    }
    key = None
    if store is not None:
        key = {**attrs, "dtype": dtype, "channel_axis": channel_axis, "code": __version__, **batches.key(pool)}
        finished = open_finished(store, key)
        if finished is not None:
            return finished
    sink: Sink = MemorySink() if store is None else StoreSink(store, key or {})
    with sink, moved(model, where, home), hooks.at_rest(model):
        text = f"{attrs['model']}: {len(layers)} layers"
        for number, batch in enumerate(progress(batches, text, batches.n_batches)):
            rows = capture.halving(batch)
            if number == 0:
                attrs["input"] = batch.shapes()
                if check_batch:
                    capture.check(batch, rows)
            sink.add(rows, batch)
        if not sink.n:
            raise DegenerateDataError("there are no stimuli: the inputs are empty")
        batches.finish()
        history = [f"activations of {attrs['model']}, pool={pool_name}, {sink.n} stimuli"]
        return sink.finish({**attrs, "history": history}, capture.grids, pooled=pool is not None)


def list_layers(model: nn.Module, example: Any) -> Any:
    """The layers of a model in the order of ``named_modules()``, with what each returned for an example.

    Parameters
    ----------
    model : any module; untouched afterwards.
    example : what the model is called with: a tensor, an array, a tuple of arguments or a dict of keywords.

    Returns
    -------
    DataFrame indexed by ``name``: ``type``, ``shape`` of the output (a dict selector -> shape for several outputs,
    None where never called), ``calls`` in one pass, ``parameters`` (own and of everything inside).

    Examples
    --------
    >>> list_layers(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), torch.zeros(1, 3, 8, 8)).loc["0", "shape"]
    (1, 4, 6, 6)
    """
    import pandas

    batch = next(iter(read_batches(model, example, None)))
    home = home_of(model)
    rows = hooks.list_layers(model, batch.to(home, floating_dtype(model)).inputs)
    table = pandas.DataFrame([vars(row) for row in rows], columns=["name", "type", "shape", "calls", "parameters"])
    return table.set_index("name")


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of all parameters and buffers.

    Examples
    --------
    >>> a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    >>> weights_hash(a) == weights_hash(b), weights_hash(a) == weights_hash(a)
    (False, True)
    """
    digest = hashlib.sha256(repr(type(model)).encode())
    for name, value in sorted(model.state_dict().items()):
        if not isinstance(value, Tensor):
            digest.update(f"{name}={value!r}".encode())
            continue
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
