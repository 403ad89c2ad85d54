"""Weights from safetensors files, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor, nn

from ..._optional import require
from ...exceptions import IntegrityError, UnsafeFileError

SUFFIX = ".safetensors"


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Parameters
    ----------
    path : a ``.safetensors`` file.

    Returns
    -------
    dict : name -> tensor, as stored.

    Raises
    ------
    UnsafeFileError : any other kind of file (``.pt``, ``.pth``, ``.ckpt``, pickle, ``.npy``): reading it may run code.
    IntegrityError : the file is cut, or is not what its name says.
    FileNotFoundError : there is no such file.

    Examples
    --------
    >>> read_weights("model.pt")
    Traceback (most recent call last):
    neurodecode.exceptions.UnsafeFileError: model.pt: weights are read from .safetensors files only, because ...
    """
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        raise UnsafeFileError(
            f"{path.name}: weights are read from {SUFFIX} files only, because other formats may run code when they are "
            "read. Convert it once, where you trust it, with safetensors.torch.save_file(state_dict, path)."
        )
    if not path.is_file():
        raise FileNotFoundError(f"{path.name}: there is no such file of weights")
    safetensors = require("safetensors", purpose="reading weights")
    torch_side = require("safetensors.torch", purpose="reading weights")
    try:
        return torch_side.load_file(path)
    except safetensors.SafetensorError as error:
        raise IntegrityError(f"{path.name} is not a whole safetensors file ({error}); fetch it again.") from error


def fill(module: nn.Module, tensors: dict[str, Tensor], source: str) -> nn.Module:
    """Put the tensors into the module, every one of them, and set it to evaluation mode.

    Raises
    ------
    IntegrityError : names or shapes differ; the message lists them.
    """
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    counters = {name for name in wanted if name.endswith("num_batches_tracked")} - set(tensors)
    missing = sorted(set(wanted) - counters - set(tensors))
    extra = sorted(set(tensors) - set(wanted))
    shapes = [
        f"{name} {tuple(tensors[name].shape)} instead of {shape}"
        for name, shape in sorted(wanted.items())
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    problems = [
        f"{what} {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
        for what, names in (("missing", missing), ("unknown", extra), ("of another shape", shapes))
        if names
    ]
    if problems:
        raise IntegrityError(f"{source} does not hold a {type(module).__name__}: {'; '.join(problems)}.")
    module.load_state_dict(tensors, strict=False)
    return module.eval()
