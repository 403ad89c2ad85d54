"""Tokens on disk, a shard of pictures at a time: a killed run loses one shard at most, a damaged one is redone."""

import hashlib
import io
import json
import logging
from functools import partial

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from neurodecode.compute import hooks
from neurodecode.compute.batching import batches
from neurodecode.compute.device import resolve
from neurodecode.compute.progress import progress
from neurodecode.exceptions import ResumeError
from neurodecode.representation.store import write_atomic
from neurodecode.sources import network
from neurodecode.sources.capture import Capture, home_of, moved
from neurodecode.sources.model_inputs import read_batches

from .tokens import BATCH, grid_of, layers_of, padded

log = logging.getLogger("neurodecode")
SHARD = 64  # pictures a file; a multiple of BATCH
FORM = "class token of the block, then query projections of its patches; zeros right and below; 1"


class OnDisk(BackendArray):
    """Tokens of all shards as one array (picture, token, unit) that is read where it is indexed."""

    def __init__(self, files, n):
        self.files = files
        _, self.blocks, tokens, self.width = files[0].shape
        self.shape, self.dtype = (n, tokens - 1, self.blocks * self.width), files[0].dtype

    def __getitem__(self, key):
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self.read)

    def read(self, key):
        rows, tokens, units = (np.arange(size)[part] for size, part in zip(self.shape, key))
        places = [np.atleast_1d(part) for part in (rows, tokens, units)]
        found = np.empty([len(part) for part in places], self.dtype)
        block, channel = np.divmod(places[2], self.width)
        every = len(places[1]) == self.shape[1] and (np.diff(places[1]) == 1).all()
        for at, row in enumerate(places[0].tolist()):
            stored = self.files[row // SHARD][row % SHARD]
            for one in np.unique(block):
                mine = np.flatnonzero(block == one)
                part = stored[one, 1:] if every else stored[one][1 + places[1]]
                whole = len(mine) == self.width and (np.diff(channel[mine]) == 1).all()
                found[at][:, mine[0] : mine[-1] + 1] = part if whole else part[:, channel[mine]]
        return found.reshape([len(part) for part, given in zip(places, (rows, tokens, units)) if np.ndim(given)])

    def classes(self, n):
        """Class tokens of the blocks, (pictures, blocks x width)."""
        found = [np.asarray(file[:, :, 0], np.float32).reshape(len(file), -1) for file in self.files]
        return np.concatenate(found)[:n]


def tokens_of(model, pictures, names, settings, folder):
    """Tokens (sample, token, unit) that stay on disk and the class tokens (sample, unit), in the order of ``names``."""
    patch = model.config.patch_size
    queries, outputs = layers_of(model, settings["blocks"])
    key = {
        "form": FORM, "weights": network.weights_hash(model), "layers": [*queries, *outputs], "patch": patch,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    shards = [np.arange(len(names))[some] for some in batches(len(names), SHARD)]
    said, lacking = [], []
    for number, rows in enumerate(progress(shards, f"looking for tokens of {len(names):,} pictures")):
        seen = hashlib.sha256("\n".join(names[rows]).encode() + pictures[rows].tobytes()).hexdigest()
        said.append({**key, "pictures": seen})
        if not whole(folder, number, said[-1]):
            lacking.append(number)
    rows, cols, counted = grid_of(pictures.shape[1:3], patch)
    if lacking:
        if len(lacking) < len(shards):
            log.info("%d of %d shards of tokens are kept", len(shards) - len(lacking), len(shards))
        found = passed(model, pictures, names, [shards[one] for one in lacking], settings["device"], queries, outputs)
        for number, values in zip(lacking, found):
            keep(folder, number, joined(values, queries, outputs, rows * cols), said[number])
    files = [np.load(place(folder, number), mmap_mode="r", allow_pickle=False) for number in range(len(shards))]
    array = OnDisk(files, len(names))
    row, col = np.divmod(np.arange(rows * cols), cols)
    coords = {
        "stimulus": ("sample", names), "row": ("token", row), "col": ("token", col),
        "attended": (("sample", "token"), np.broadcast_to(counted, (len(names), rows * cols))),
        "layer": ("unit", np.repeat(queries, array.width)),
        "channel": ("unit", np.tile(np.arange(array.width), len(queries))),
    }  # fmt: skip
    attrs = {"kind": "network", "quantity": "activation", "units": "a.u.", "model": network.model_name(model), **key}
    values = xr.Variable(("sample", "token", "unit"), indexing.LazilyIndexedArray(array))
    return xr.DataArray(values, coords=coords, attrs=attrs), array.classes(len(names))


def passed(model, pictures, names, shards, device, queries, outputs):
    """Pictures of some shards through the network: layer -> (pictures, tokens, width), one shard after the other."""
    rows = np.concatenate(shards)
    prepare = partial(padded, patch=model.config.patch_size)
    said = read_batches(model, (pictures.at(rows),), BATCH, stimulus=list(names[rows]), preprocess=prepare)
    where, home = resolve(device), home_of(model)
    capture = Capture(model, [*queries, *outputs], None, "float16", None, where)
    waiting, number = [], 0
    with moved(model, where, home), hooks.at_rest(model):
        for first, batch in enumerate(progress(said, f"{network.model_name(model)}: batches", said.n_batches)):
            found = capture.halving(batch)
            if first == 0:
                capture.check(batch, found)
            waiting.append(found)
            if sum(len(part[queries[0]]) for part in waiting) == len(shards[number]):
                yield {layer: np.concatenate([part[layer] for part in waiting]) for layer in found}
                waiting, number = [], number + 1


def joined(found, queries, outputs, n_patches):
    """(pictures, blocks, 1 + patches, width): class token as it leaves the block, then the patches' queries."""
    each = [
        np.concatenate([found[output][:, :1], found[query][:, -n_patches:]], axis=1)
        for query, output in zip(queries, outputs)
    ]
    return np.stack(each, axis=1)


def place(folder, number):
    return folder / f"shard_{number:04d}.npy"


def keep(folder, number, values, said):
    """The values, and then what they are with their sum: what is not said is not there."""
    held = io.BytesIO()
    np.save(held, values, allow_pickle=False)
    write_atomic(place(folder, number), held.getbuffer())
    sums = {**said, "sha256": hashlib.sha256(held.getbuffer()).hexdigest()}
    write_atomic(place(folder, number).with_suffix(".json"), json.dumps(sums, indent=1).encode())


def whole(folder, number, said):
    """Whether a shard is there and is what was written; ResumeError where it is of another job."""
    path = place(folder, number)
    note = path.with_suffix(".json")
    if not (path.is_file() and note.is_file()):
        return False
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except ValueError:
        known = {"sha256": "unreadable", **said}
    differ = sorted(name for name in said if known.get(name) != said[name])
    if differ:
        raise ResumeError(
            f"{path.name} holds tokens of another job ({', '.join(differ)} differ); remove {folder.name}/, or name "
            "another folder with --out"
        )
    with path.open("rb") as file:
        right = hashlib.file_digest(file, "sha256").hexdigest() == known.get("sha256")
    if not right:
        log.warning("%s is damaged (checksum); its pictures go through the network again", path.name)
    return right
