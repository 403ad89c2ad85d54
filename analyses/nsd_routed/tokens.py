"""Pictures to tokens: padded, through a block of a vision transformer, to disk, with the places that count."""

from functools import partial

import numpy as np
import torch

from neurodecode.sources import network

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH = 16
QUERIES = ("attention.query", "attention.q_proj")  # what transformers before and after 5 calls them


def load_backbone(settings, dry_run, seed):
    """The network of the settings; in a dry run without a folder of weights, a small one of the same kind."""
    from pathlib import Path

    if dry_run and not Path(settings["backbone"]).is_dir():
        from transformers import Dinov2Config, Dinov2Model

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            small = Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, patch_size=14)
            return Dinov2Model(small).eval()
    return network.load_hub(settings["backbone"], revision=settings["revision"] or None)[0]


def query_layer(model, block):
    """Name of the query projection of a block counted from the end."""
    names = [name for name, _ in model.named_modules() if name.endswith(QUERIES)]
    if not 1 <= block <= len(names):
        raise ValueError(f"block={block}: the network has {len(names)} blocks with a query projection")
    return names[-block]


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


def read_tokens(model, pictures, names, settings, store):
    """Tokens (sample, token, unit) that stay on disk, with their places and ``attended``."""
    patch = model.config.patch_size
    layer = query_layer(model, settings["block"])
    found = network.activations(
        model, (pictures,), layer, pool=None, batch_size=BATCH, stimulus=list(names), store=store, dtype="float16",
        preprocess=partial(padded, patch=patch), device=settings["device"],
    )[layer]  # fmt: skip
    rows, cols, counted = grid_of(pictures.shape[1:3], patch)
    extra = found.sizes["token"] - rows * cols  # the class token, and registers where there are any
    found = found[:, extra:]
    row, col = np.divmod(np.arange(rows * cols), cols)
    attended = np.broadcast_to(counted, (len(names), rows * cols))
    return found.drop_vars("position", errors="ignore").assign_coords(
        row=("token", row), col=("token", col), attended=(("sample", "token"), attended)
    )


def pooled(tokens, side):
    """Tokens that count, averaged on a grid of ``side`` x ``side`` cells, (sample, cells x units); 1 is the mean."""
    counted = tokens["attended"].values[0]
    cell = np.zeros(len(counted), dtype=int)
    for name in ("row", "col"):
        place = tokens[name].values
        most = place[counted].max() + 1
        cell = cell * side + np.minimum(place * side // most, side - 1)
    table = np.stack([(cell == one) & counted for one in range(side * side)]).astype(np.float32)
    table = table[table.any(1)]
    table /= table.sum(1, keepdims=True)
    parts = []
    for start in range(0, len(tokens), 64):
        values = np.asarray(tokens.data[start : start + 64], dtype=np.float32)
        parts.append(np.einsum("npd,cp->ncd", values, table).reshape(len(values), -1))
    return np.concatenate(parts)
