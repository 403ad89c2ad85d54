"""Published models from a hub or a folder: safetensors only, revision pinned."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .._optional import require
from ..exceptions import UnsafeFileError


def load_hub(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    head: str = "AutoModel",
    offline: bool = False,
    **settings: Any,
) -> tuple[Any, Any]:
    """A transformers model with its tokenizer or image processor, for ``network.activations``.

    Parameters
    ----------
    name : ``"owner/model"`` on the hub, or a folder with ``config.json`` and safetensors weights.
    revision : commit of the hub's repository; needed there, because a name alone means other weights tomorrow.
    head : which class of transformers builds it: ``"AutoModel"``, ``"AutoModelForCausalLM"``, ...
    offline : use only what is on disk.
    settings : further arguments of ``from_pretrained``, such as ``attn_implementation="eager"``.

    Returns
    -------
    model : ``torch.nn.Module`` in evaluation mode.
    processor : tokenizer or image processor of that model, None where it has neither.

    Raises
    ------
    UnsafeFileError : the weights are there only in a format that may run code when it is read.
    ValueError : a name on the hub without revision, or no such class.

    Examples
    --------
    >>> load_hub("openai-community/gpt2")
    Traceback (most recent call last):
    ValueError: 'openai-community/gpt2' needs a revision (a commit of its repository), so that the same name means ...
    """
    path = Path(name)
    local = path.is_dir()
    if local:
        weights = sorted(file.name for file in path.iterdir() if file.suffix in (".safetensors", ".bin", ".pt", ".pth"))
        if not any(file.endswith(".safetensors") for file in weights):
            raise UnsafeFileError(
                f"{path.name} holds no .safetensors weights ({', '.join(weights) or 'none at all'}); other formats "
                "may run code when they are read. Convert them with model.save_pretrained(folder) where you trust them."
            )
    elif revision is None:
        raise ValueError(
            f"{str(name)!r} needs a revision (a commit of its repository), so that the same name means the same "
            "weights next month; or pass a folder."
        )
    transformers = require("transformers", purpose="loading a model of the hub")
    builder = getattr(transformers, head, None)
    if builder is None or not hasattr(builder, "from_pretrained"):
        raise ValueError(f"head={head!r} is not a class of transformers that loads models; try 'AutoModel'")
    common = {"revision": revision, "local_files_only": offline or local, "trust_remote_code": False}
    source = str(path) if local else str(name)
    try:
        model = builder.from_pretrained(source, use_safetensors=True, **common, **settings)
    except OSError as error:
        if "safetensors" in str(error):
            raise UnsafeFileError(f"{name} has no safetensors weights at revision {revision}: {error}") from error
        raise
    return model.eval(), _processor(transformers, source, common)


def _processor(transformers: Any, source: str, common: dict[str, Any]) -> Any:
    for kind in ("AutoTokenizer", "AutoImageProcessor"):
        try:
            found = getattr(transformers, kind).from_pretrained(source, **common)
        except (OSError, ValueError, KeyError, ImportError):
            continue
        if getattr(found, "vocab_size", 1):  # a tokenizer without vocabulary was made up from the configuration
            return found
    return None
