"""Published models from a hub or a folder: safetensors only, revision pinned."""

from __future__ import annotations

import logging
import os
import socket
import threading
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .._optional import require
from ..exceptions import DownloadError, UnsafeFileError
from .fetch import offline as forbidden

log = logging.getLogger("neurodecode")

EACH, WAIT = 3.0, 10.0  # seconds for one address of the hub to take a connection, for its name and all of them


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
    offline : use only what is on disk, as with ``NEURODECODE_OFFLINE=1``.
    settings : further arguments of ``from_pretrained``, such as ``attn_implementation="eager"``.

    Returns
    -------
    model : ``torch.nn.Module`` in evaluation mode.
    processor : tokenizer or image processor of that model, None where it has neither.

    Raises
    ------
    UnsafeFileError : the weights are there only in a format that may run code when it is read.
    ValueError : a name on the hub without revision, or no such class.
    DownloadError : the model is not on this disk, and the hub does not answer or must not be asked.

    Notes
    -----
    Where the hub does not answer within seconds, what an earlier call has left on this disk is used; a revision
    means the same weights there.

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
    absent = "" if local else _no_hub(offline)
    common = {"revision": revision, "local_files_only": local or bool(absent), "trust_remote_code": False}
    source = str(path) if local else str(name)
    try:
        model = builder.from_pretrained(source, use_safetensors=True, **common, **settings)
    except OSError as error:
        if absent:
            raise DownloadError(_how_to_bring(source, revision, settings.get("cache_dir"), absent)) from error
        if "safetensors" in str(error):
            raise UnsafeFileError(f"{name} has no safetensors weights at revision {revision}: {error}") from error
        raise
    where: dict[str, Any] = {key: settings[key] for key in ("cache_dir", "token", "subfolder") if key in settings}
    return model.eval(), _processor(transformers, source, {**common, **where})


def _no_hub(offline: bool) -> str:
    """Why the hub cannot be asked, as the end of a sentence; empty where it answers.

    The client of the hub tries again for half a minute before it says that there is no network; whether a server
    (or the proxy before it) takes a connection is known at once.
    """
    hub = require("huggingface_hub", purpose="loading a model of the hub").constants
    if offline:
        return "offline=True forbids asking the hub"
    if forbidden():
        return "NEURODECODE_OFFLINE forbids asking the hub"
    if hub.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids asking the hub"
    address = urlsplit(hub.ENDPOINT)
    proxies = {} if urllib.request.proxy_bypass(address.hostname or "") else urllib.request.getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    if proxy:
        if proxy.startswith("socks"):
            return ""  # left to the client
        address = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    why = _refused(address.hostname or "", address.port or {"https": 443}.get(address.scheme, 80))
    if why:
        log.info("the hub at %s does not answer: only what is on disk is used", hub.ENDPOINT)
        through = f" through the proxy {address.hostname}" if proxy else ""
        return f"the hub ({hub.ENDPOINT}{through}) cannot be reached: {why}"
    return ""


def _refused(host: str, port: int) -> str:
    """Why nobody takes a connection there, empty where somebody does."""
    said = []

    def knock() -> None:
        try:
            socket.create_connection((host, port), timeout=EACH).close()
            said.append("")
        except OSError as error:
            said.append(error.strerror or str(error))

    # A name that no server resolves holds its thread for longer than a person waits.
    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    thread.join(WAIT)
    return said[0] if said else f"no answer within {WAIT:g} s"


def _how_to_bring(name: str, revision: str | None, cache: Any, absent: str) -> str:
    cache = cache or require("huggingface_hub", purpose="loading a model of the hub").constants.HF_HUB_CACHE
    return (
        f"{name} at revision {revision} is not (or not whole) in {cache}, and {absent}. On a machine that has a "
        f"network: `hf download {name} --revision {revision} --local-dir FOLDER`; copy FOLDER here and pass its path "
        f"in place of {name!r}."
    )


def _processor(transformers: Any, source: str, common: dict[str, Any]) -> Any:
    for kind in ("AutoTokenizer", "AutoImageProcessor"):
        try:
            found = getattr(transformers, kind).from_pretrained(source, **common)
        except (OSError, ValueError, KeyError, ImportError):
            continue
        if getattr(found, "vocab_size", 1):  # a tokenizer without vocabulary was made up from the configuration
            return found
    return None
