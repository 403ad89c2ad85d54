"""Where activations go: into memory, or row after row into a folder that is read when it is used."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

import numpy as np
import xarray

from ..exceptions import IntegrityError, ResumeError
from ..representation import as_representation
from .model_inputs import Batch

log = logging.getLogger("neurodecode")

SCHEMA = "neurodecode.activations/1"
INFO = "info.json"
LABELS = "labels.npz"
HEADER = 256  # bytes reserved for the header of an array whose length is known only at the end
Rows = dict[str, np.ndarray]


class Sink(Protocol):
    """Takes rows of every layer batch by batch, and gives back one labelled array, or one per layer."""

    n: int

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def add(self, rows: Rows, batch: Batch) -> None:
        """The rows of one batch."""

    def finish(self, attrs: dict[str, Any], grids: dict[str, tuple[int, ...]], pooled: bool) -> Any:
        """All rows, labelled."""


class _Labels:
    """Names and coordinates of the stimuli as they come."""

    def __init__(self) -> None:
        self.n = 0
        self.ids: list[np.ndarray] = []
        self.coords: list[dict[str, np.ndarray]] = []
        self.masks: list[np.ndarray] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def note(self, batch: Batch) -> None:
        """Keep the labels of a batch."""
        self.n += batch.n
        self.ids.append(batch.ids)
        self.coords.append(batch.coords)
        if batch.mask is not None:
            self.masks.append(batch.mask.numpy())

    def sample(self) -> dict[str, np.ndarray]:
        """``stimulus`` and the coordinates that every batch had."""
        shared = set.intersection(*(set(coords) for coords in self.coords))
        found = {name: np.concatenate([coords[name] for coords in self.coords]) for name in sorted(shared)}
        return {"stimulus": np.concatenate(self.ids), **found}

    def attended(self) -> np.ndarray | None:
        """(n, t) which tokens count, where that is known and all batches have one length."""
        known = sum(map(len, self.masks)) == self.n and len({mask.shape[1] for mask in self.masks}) == 1
        return np.concatenate(self.masks) if known else None


class MemorySink(_Labels):
    """Keeps rows in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Rows] = []

    def add(self, rows: Rows, batch: Batch) -> None:
        self.note(batch)
        self.rows.append(rows)

    def finish(self, attrs: dict[str, Any], grids: dict[str, tuple[int, ...]], pooled: bool) -> Any:
        widths = {layer: values.shape[-1] for layer, values in self.rows[0].items()}
        tables: Rows = {}
        if pooled:
            tables[""] = np.concatenate([np.concatenate(list(rows.values()), axis=1) for rows in self.rows])
        else:
            tables = {layer: np.concatenate([rows[layer] for rows in self.rows]) for layer in widths}
        self.rows = []
        return label(tables, self.sample(), self.attended(), widths, grids, attrs)


class StoreSink(_Labels):
    """Writes rows to a folder beside its final place, which it takes when it is whole.

    One ``.npy`` file for the pooled layers or for each layer, names and coordinates in ``labels.npz``, and
    ``info.json`` with the key of the job and the SHA-256 of every file.
    """

    def __init__(self, path: str | os.PathLike[str], key: dict[str, Any]) -> None:
        super().__init__()
        self.path, self.key = Path(path), key
        self.part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self.files: dict[str, _Growing] = {}
        self.widths: dict[str, int] = {}

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for stale in self.path.parent.glob(f".{self.path.name}.*.part"):
            if not _alive(stale.name.split(".")[-2]):
                shutil.rmtree(stale)
        self.part.mkdir()
        return self

    def __exit__(self, *error: object) -> None:
        for file in self.files.values():
            file.close()
        shutil.rmtree(self.part, ignore_errors=True)

    def add(self, rows: Rows, batch: Batch) -> None:
        self.note(batch)
        if not self.widths:
            self.widths = {layer: values.shape[-1] for layer, values in rows.items()}
        pooled = self.key["pool"] != "none"
        tables = {"": np.concatenate(list(rows.values()), axis=1)} if pooled else rows
        for number, (layer, values) in enumerate(tables.items()):
            if layer not in self.files:
                self.files[layer] = _Growing(self.part / f"values{number}.npy", values)
            self.files[layer].append(values)

    def finish(self, attrs: dict[str, Any], grids: dict[str, tuple[int, ...]], pooled: bool) -> Any:
        labels: dict[str, Any] = self.sample()
        attended = self.attended()
        if attended is not None:
            labels["__attended"] = attended
        with open(self.part / LABELS, "wb") as file:
            np.savez(file, allow_pickle=False, **labels)
            file.flush()
            os.fsync(file.fileno())
        sums = {LABELS: file_hash(self.part / LABELS)}
        for growing in self.files.values():
            growing.finish()
            sums[growing.path.name] = file_hash(growing.path)
        info = {
            "schema": SCHEMA,
            "key": self.key,
            "attrs": attrs,
            "files": {layer: growing.path.name for layer, growing in self.files.items()},
            "widths": self.widths,
            "grids": {layer: list(grid) for layer, grid in grids.items()},
            "sha256": sums,
        }
        with open(self.part / INFO, "w", encoding="utf-8") as said:
            json.dump(info, said, indent=1)
            said.flush()
            os.fsync(said.fileno())
        try:
            os.rename(self.part, self.path)
        except OSError:
            if not (self.path / INFO).is_file():
                raise  # not another process that finished the same folder first
        return _read(self.path, json.loads((self.path / INFO).read_text(encoding="utf-8")))


class _Growing:
    """A ``.npy`` file whose first axis grows; its header is written last, so an unfinished file cannot be read."""

    def __init__(self, path: Path, example: np.ndarray) -> None:
        self.path, self.shape, self.dtype = path, example.shape[1:], example.dtype
        self.n = 0
        self.file: BinaryIO = open(path, "wb")  # noqa: SIM115 - closed by finish or by the sink
        self.file.write(b"\0" * HEADER)

    def append(self, values: np.ndarray) -> None:
        """More rows."""
        self.file.write(np.ascontiguousarray(values).data)
        self.n += len(values)

    def finish(self) -> None:
        """Write the header and bring everything to disk."""
        said = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.n, *self.shape),
        }
        text = repr(said).encode().ljust(HEADER - 11) + b"\n"
        self.file.seek(0)
        self.file.write(b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little") + text)
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()

    def close(self) -> None:
        """Give up the file."""
        self.file.close()


def open_finished(path: str | os.PathLike[str], key: dict[str, Any]) -> Any:
    """The activations of a finished folder, read from disk when they are used; None where there is none.

    A folder whose files are not what was written is removed, with the reason in the log, and None comes back.

    Raises
    ------
    ResumeError : the folder holds other activations (the difference is named), or batches that come only once cannot be
        compared with it.
    IntegrityError : there is something at that place that is no folder of activations.
    """
    path = Path(path)
    if not path.exists():
        return None
    try:
        info = json.loads((path / INFO).read_text(encoding="utf-8"))
        if info["schema"] != SCHEMA:
            raise KeyError(info["schema"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"store={path.name}: there is something here that is no folder of activations") from error
    wanted = json.loads(json.dumps(key))
    if wanted.get("inputs") is None:
        raise ResumeError(
            f"{path.name} is finished, and batches that come one by one cannot be compared with what it was made from; "
            "delete it or name another folder."
        )
    differ = sorted(name for name in {*wanted, *info["key"]} if wanted.get(name) != info["key"].get(name))
    if differ:
        raise ResumeError(
            f"{path.name} holds activations of another job: {', '.join(differ)} differ. "
            "Delete it or name another folder."
        )
    for name, expected in info["sha256"].items():
        if not (path / name).is_file() or file_hash(path / name) != expected:
            log.warning("%s: %s is damaged (checksum); computing the activations again", path.name, name)
            shutil.rmtree(path)
            return None
    return _read(path, info)


def _read(path: Path, info: dict[str, Any]) -> Any:
    """The labelled arrays of a folder, the values left on disk."""
    tables = {layer: np.load(path / name, mmap_mode="r", allow_pickle=False) for layer, name in info["files"].items()}
    with np.load(path / LABELS, allow_pickle=False) as stored:
        labels = {name: stored[name] for name in stored.files}
    attended = labels.pop("__attended", None)
    grids = {layer: tuple(grid) for layer, grid in info["grids"].items()}
    return label(tables, labels, attended, info["widths"], grids, info["attrs"])


def label(
    tables: Rows,
    sample: dict[str, np.ndarray],
    attended: np.ndarray | None,
    widths: dict[str, int],
    grids: dict[str, tuple[int, ...]],
    attrs: dict[str, Any],
) -> Any:
    """Labelled arrays from plain ones: ``{"": (n, all units)}`` gives one array, ``{layer: ...}`` gives a dict."""
    if list(tables) == [""]:
        names = np.repeat(list(widths), list(widths.values()))
        channel = np.concatenate([np.arange(width) for width in widths.values()])
        return _labelled(tables[""], sample, {"layer": names, "channel": channel}, {}, attrs)
    found = {}
    for layer, values in tables.items():
        grid = grids[layer]
        unit = {"layer": np.full(widths[layer], layer), "channel": np.arange(widths[layer])}
        one = _labelled(values, sample, unit, places(grid), {**attrs, "layers": [layer], "grid": list(grid)})
        if attended is not None and len(grid) == 1 and attended.shape[1] == grid[0]:
            one = one.assign_coords(attended=(("sample", "token"), attended))
        found[layer] = one
    return found


def _labelled(
    values: np.ndarray,
    sample: dict[str, np.ndarray],
    unit: dict[str, np.ndarray],
    token: dict[str, np.ndarray],
    attrs: dict[str, Any],
) -> xarray.DataArray:
    """A representation around the values as they are: half precision and memory maps stay; finite was checked."""
    dims = ("sample", "unit") if values.ndim == 2 else ("sample", "token", "unit")
    unit = {**unit, "model": np.full(values.shape[-1], attrs["model"])}
    frame = as_representation(
        np.zeros((len(values), *(1 for _ in values.shape[1:]))),
        stimulus=sample["stimulus"],
        kind="network",
        sample={name: entry for name, entry in sample.items() if name != "stimulus"},
        attrs=attrs,
        dims=dims,
    )
    coords: dict[str, Any] = {str(name): ("sample", c.values) for name, c in frame.coords.items()}
    coords |= {name: ("unit", entry) for name, entry in unit.items()}
    coords |= {name: ("token", entry) for name, entry in token.items()}
    return xarray.DataArray(values, dims=dims, coords=coords, attrs=frame.attrs)


def places(grid: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Coordinates of the places of a grid: ``position`` of a sequence, ``row`` and ``col`` of a map, ``depth`` before.

    Examples
    --------
    >>> places((2, 2))["row"].tolist()
    [0, 0, 1, 1]
    """
    names = {0: (), 1: ("position",), 2: ("row", "col"), 3: ("depth", "row", "col")}.get(len(grid))
    if names is None:
        names = tuple(f"place{axis}" for axis in range(len(grid)))
    return dict(zip(names, np.indices(grid).reshape(len(grid), -1))) if grid else {}


def file_hash(path: Path) -> str:
    """SHA-256 of a file, read piece by piece."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _alive(process: str) -> bool:
    if not process.isdigit():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
