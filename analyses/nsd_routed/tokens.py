"""Pictures to what a vision transformer takes, the layers that are read, and the places that count."""

from pathlib import Path

import numpy as np
import torch

from neurodecode.exceptions import DownloadError
from neurodecode.sources import network

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH = 16
QUERIES = ("attention.query", "attention.q_proj")  # what transformers before and after 5 calls them


def load_backbone(settings, dry_run, seed):
    """The network of the settings; in a dry run without a folder of weights, a small one of the same kind."""
    name, revision = settings["backbone"], settings["revision"] or None
    if dry_run and not Path(name).is_dir():
        from transformers import Dinov2Config, Dinov2Model

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            small = Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, patch_size=14)
            return Dinov2Model(small).eval()
    try:
        return network.load_hub(name, revision=revision)[0]
    except OSError as error:
        if Path(name).is_dir() or "safetensors" in str(error):
            raise
        raise DownloadError(
            f"the weights of {name} (revision {revision}) are not on this machine, and the hub does not answer. On a "
            f"machine that has a network: `hf download {name} --revision {revision} --local-dir dinov2` (config.json "
            "and model.safetensors are enough); copy that folder here and add --set backbone=/path/to/dinov2."
        ) from error


def layers_of(model, blocks):
    """Names of the query projections of blocks counted from the end (1 is the last), and of the blocks themselves."""
    modules = dict(model.named_modules())
    names = [name for name in modules if name.endswith(QUERIES)]
    wrong = [one for one in blocks if not 1 <= one <= len(names)]
    if wrong or not blocks or len(set(blocks)) < len(blocks):
        raise ValueError(f"blocks={blocks}: the network has {len(names)} blocks with a query projection, from the end")
    queries = [names[-one] for one in blocks]
    outputs = [name.partition(".attention")[0] for name in queries]
    side = model.config.patch_size
    seen = network.list_layers(model, {"pixel_values": torch.zeros(1, 3, side, side)})
    # Some releases of transformers return a tuple from a block; its first is what the next block takes.
    return queries, [name if isinstance(seen.loc[name, "shape"], tuple) else f"{name}:0" for name in outputs]


def padded(pictures, patch):
    """uint8 pictures (n, h, w, 3), or a tuple of one such array, as the network takes them; zeros right and below."""
    values = np.asarray(pictures[0] if isinstance(pictures, tuple) else pictures).astype(np.float32) / 255
    values = (values - np.float32(MEAN)) / np.float32(SPREAD)
    height, width = values.shape[1:3]
    room = ((0, 0), (0, -height % patch), (0, -width % patch), (0, 0))
    return {"pixel_values": torch.from_numpy(np.pad(values, room)).permute(0, 3, 1, 2).contiguous()}


def grid_of(shape, patch):
    """Rows and columns of tokens, and boolean (tokens,): those whose middle lies on the picture."""
    rows, cols = (-(-side // patch) for side in shape)
    middle = [(np.arange(n) + 0.5) * patch < side for n, side in zip((rows, cols), shape)]
    return rows, cols, (middle[0][:, None] & middle[1]).ravel()
