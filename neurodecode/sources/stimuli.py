"""Pictures with names, categories and a content hash: what was shown, ready for a network.

`read` gives one labelled array, `open_folder` the same pictures one batch at a time, so that memory does not
grow with their number. `to_tensor` and `tensor_batches` resize and normalise them. Identity is the SHA-256 of the
decoded pixels, not of the file: a picture that was re-encoded is another picture.
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .._names import lookup
from ..exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning
from .pixels import FILTERS, MODES, content_hash, convert, decode, four_dimensions, resized, size_of, value_range_of

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
DIMS = ("sample", "row", "column", "channel")


def read(
    source: Any,
    labels: Any = None,
    *,
    size: int | tuple[int, int] | None = None,
    fit: str | None = None,
    mode: str | None = None,
    background: tuple[int, int, int] | None = None,
    value_range: tuple[float, float] | None = None,
    stimulus: Sequence[str] | None = None,
    ids: str = "stem",
    duplicates: str = "warn",
    dataset: str | None = None,
) -> xr.DataArray:
    """Pictures as one labelled array, (sample, row, column, channel).

    Parameters
    ----------
    source : folder (searched through), list of files, or array (n, rows, columns[, channels]).
    labels : what the pictures show: a table (DataFrame, csv, tsv) with ``file`` or ``stimulus`` and ``category`` (or
        ``condition``, ``label``) and any further columns; a mapping {name: category}; a list in the order of
        ``stimulus``; ``"folder"`` for the name of the folder that each file lies in; None.
    size : side or (rows, columns) in pixels that pictures of a folder are brought to. None keeps them, which needs one
        size throughout.
    fit : as in `to_tensor`.
    mode : ``"RGB"`` turns grey pictures into three equal channels, ``"L"`` colour into grey (luma of ITU-R BT.601).
        None leaves them, and refuses a mixture.
    background : colour (0-255) behind transparent pixels; without it transparency is refused.
    value_range : black and white of an array that is not plainly 0-255 or 0-1.
    stimulus : names for the pictures of an array; ``picture-0000`` ... otherwise.
    ids : ``"stem"`` names a file's picture by its name without ending, ``"path"`` by its path within the folder.
    duplicates : ``"warn"``, ``"raise"`` or ``"allow"`` where two names hold the same pixels.

    Returns
    -------
    DataArray uint8 (files), or the array's own numbers. On sample ``stimulus``, ``sha256``, ``category`` and
    further columns. In attrs ``kind="pictures"``, ``range``, ``duplicates`` (lists of names), ``history``.

    Raises
    ------
    AlignmentError : pictures without label, labels without picture, names that occur twice.
    ValueError : several sizes or modes, transparency, or a range of values that can be read in two ways.
    IntegrityError : a file that is not a picture.

    Examples
    --------
    >>> drawn = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    >>> pictures = read(drawn, ["cat", "house"], stimulus=["a", "b"])
    >>> pictures.dims, pictures["category"].values.tolist(), pictures.attrs["range"]
    (('sample', 'row', 'column', 'channel'), ['cat', 'house'], [0, 255])
    """
    lookup(DUPLICATES, duplicates, "duplicates", callables=False)
    if isinstance(source, (np.ndarray, xr.DataArray)):
        return _from_array(source, labels, stimulus, value_range, duplicates, dataset)
    if stimulus is not None or value_range is not None:
        raise ValueError("stimulus and value_range belong to arrays; files bring their names and are 0-255.")
    folder = open_folder(source, labels, size=size, fit=fit, mode=mode, background=background, ids=ids, dataset=dataset)
    found = folder.load()
    return _report_duplicates(found, duplicates)


def open_folder(
    source: Any,
    labels: Any = None,
    *,
    size: int | tuple[int, int] | None = None,
    fit: str | None = None,
    mode: str | None = None,
    background: tuple[int, int, int] | None = None,
    ids: str = "stem",
    dataset: str | None = None,
) -> PictureFolder:
    """The pictures of a folder, each read when it is asked for; arguments as in `read`."""
    paths, root = _files(source)
    lookup({"stem": 0, "path": 0}, ids, "ids", callables=False)
    names = [p.stem if ids == "stem" else p.relative_to(root).as_posix() for p in paths]
    _check_unique(names, 'name them by path with ids="path"')
    by_file = dict(zip((p.name if ids == "stem" else p.relative_to(root).as_posix() for p in paths), names))
    if isinstance(labels, str) and labels == "folder":
        columns = {"category": np.array([p.parent.name for p in paths])}
    else:
        columns = _label_columns(labels, names, by_file)
    if mode is not None:
        lookup(MODES, mode, "mode", callables=False)
    return PictureFolder(paths, names, columns, size, fit, mode, background, dataset)


class PictureFolder:
    """Pictures on disk with the order and labels of an array: ``len``, ``[i]``, ``ids``, ``batches(n)``, ``load()``."""

    def __init__(
        self,
        paths: Sequence[Path],
        ids: Sequence[str],
        columns: Mapping[str, np.ndarray],
        size: int | tuple[int, int] | None,
        fit: str | None,
        mode: str | None,
        background: tuple[int, int, int] | None,
        dataset: str | None,
    ) -> None:
        self.paths, self.ids, self.columns = list(paths), list(ids), dict(columns)
        self.size, self.fit, self.mode, self.background, self.dataset = size, fit, mode, background, dataset

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> np.ndarray:
        """The picture at a position: uint8 (rows, columns, channels)."""
        return self._picture(self.paths[position])[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[position] for position in range(len(self)))

    def batches(self, batch_size: int = 32) -> Iterator[xr.DataArray]:
        """Labelled arrays of up to ``batch_size`` pictures, in order; only one is in memory."""
        for start in range(0, len(self), batch_size):
            yield self._labelled(range(start, min(start + batch_size, len(self))))

    def load(self) -> xr.DataArray:
        """All pictures as one labelled array."""
        return self._labelled(range(len(self)))

    def hashes(self) -> list[str]:
        """SHA-256 of the decoded pixels of every picture; reads them all, one at a time."""
        return [self._picture(path)[1] for path in self.paths]

    def duplicates(self) -> list[list[str]]:
        """Names that hold the same pixels."""
        return _same(self.ids, self.hashes())

    def _picture(self, path: Path) -> tuple[np.ndarray, str]:
        decoded = decode(path)
        array = np.asarray(decoded)
        pixels = convert(array, path.name, self.mode, self.background)
        if self.size is not None:
            pixels = resized(pixels, size_of(self.size), self.fit, "bilinear")
        return pixels, content_hash(array)

    def _labelled(self, rows: range) -> xr.DataArray:
        pairs = [self._picture(self.paths[row]) for row in rows]
        kinds: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for row, (pixels, _) in zip(rows, pairs):
            kinds[pixels.shape].append(self.paths[row].name)
        if len(kinds) > 1:
            shown = ", ".join(f"{shape} ({len(names)}, such as {names[0]})" for shape, names in kinds.items())
            need = "mode=" if len({shape[:2] for shape in kinds}) == 1 else "size="
            raise ValueError(f"the pictures differ in shape: {shown}. Pass {need} to bring them to one.")
        channels = next(iter(kinds))[2]
        history = [f"read {len(rows)} pictures"] + ([f"resized to {size_of(self.size)} pixels"] if self.size else [])
        attrs: dict[str, Any] = {"kind": "pictures", "quantity": "luminance" if channels == 1 else "colour"}
        attrs.update(units="a.u.", range=[0, 255], size=[int(n) for n in next(iter(kinds))[:2]], history=history)
        if self.dataset is not None:
            attrs["dataset"] = self.dataset
        coords = {name: ("sample", column[rows.start : rows.stop]) for name, column in self.columns.items()}
        coords["stimulus"] = ("sample", np.array([self.ids[row] for row in rows]))
        coords["sha256"] = ("sample", np.array([digest for _, digest in pairs]))
        return xr.DataArray(np.stack([pixels for pixels, _ in pairs]), dims=DIMS, coords=coords, attrs=attrs)


def to_tensor(
    pictures: Any,
    size: int | tuple[int, int] | None = None,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    fit: str | None = None,
    resize: str = "bilinear",
    value_range: tuple[float, float] | None = None,
) -> Any:
    """Pictures as a network takes them: float32 (n, channels, rows, columns), ``(p / white - mean) / std``.

    Parameters
    ----------
    pictures : what `read` returns, or an array (n, rows, columns[, channels]).
    size : side or (rows, columns) in pixels; None keeps the size.
    mean, std : per channel on the scale 0-1 (`IMAGENET_MEAN`, `IMAGENET_STD`); None leaves 0-1.
    fit : for pictures of another shape than ``size``: ``"crop"`` (shorter side to size, middle kept), ``"pad"`` (longer
        side to size, zeros around) or ``"stretch"``. None refuses.
    resize : ``"nearest"``, ``"bilinear"``, ``"bicubic"``, ``"lanczos"``; shrinking is anti-aliased (Pillow).
    value_range : black and white of a plain array, where they are not plain.

    Returns
    -------
    For labelled pictures a DataArray (sample, channel, row, column) with the same coordinates and ``size``, ``mean``,
    ``std`` in attrs; for an array an array. ``network.activations`` takes either.

    Examples
    --------
    >>> white = np.full((1, 8, 8, 3), 255, np.uint8)
    >>> to_tensor(white, 4, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)).shape
    (1, 3, 4, 4)
    """
    labelled = isinstance(pictures, xr.DataArray)
    values = four_dimensions(pictures.values if labelled else np.asarray(pictures))
    low, high = value_range_of(values, tuple(pictures.attrs["range"]) if labelled else value_range)
    n_channels = values.shape[3]
    shift, scale = _per_channel(mean, 0.0, n_channels, "mean"), _per_channel(std, 1.0, n_channels, "std")
    if (scale <= 0).any():
        raise ValueError(f"std={std!r} must be positive.")
    target = None if size is None else size_of(size)
    lookup(FILTERS, resize, "resize", callables=False)
    rows, columns = target or values.shape[1:3]
    out = np.empty((len(values), n_channels, rows, columns), dtype=np.float32)
    for number, picture in enumerate(values):
        if target is not None:
            picture = resized(picture, target, fit, resize)
        unit = (picture.astype(np.float64) - low) / (high - low)
        out[number] = np.moveaxis((unit - shift) / scale, -1, 0)
    if not labelled:
        return out
    attrs = dict(pictures.attrs)
    attrs["size"] = [int(rows), int(columns)]
    attrs["mean"], attrs["std"] = shift.tolist(), scale.tolist()
    attrs["range"] = [float(((0 - shift) / scale).min()), float(((1 - shift) / scale).max())]
    note = f"tensor of {rows} x {columns} pixels, mean {shift.tolist()}, std {scale.tolist()}"
    attrs["history"] = [*attrs.get("history", []), note + (f", {resize}" if target else "")]
    coords = {name: coord for name, coord in pictures.coords.items() if coord.dims == ("sample",)}
    return xr.DataArray(out, dims=("sample", "channel", "row", "column"), coords=coords, attrs=attrs)


def tensor_batches(
    folder: PictureFolder, size: int | tuple[int, int] | None = None, *, batch_size: int = 32, **settings: Any
) -> TensorBatches:
    """The pictures of a folder as tensors, one batch at a time: ``len`` and iteration, again and again.

    ``settings`` are those of `to_tensor`. ``network.activations`` takes this as its inputs.
    """
    return TensorBatches(folder, size, batch_size, settings)


class TensorBatches:
    """Batches of `to_tensor` over a `PictureFolder`; every pass reads the files anew."""

    def __init__(self, folder: PictureFolder, size: Any, batch_size: int, settings: Mapping[str, Any]) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size} must be at least 1.")
        self.folder, self.size, self.batch_size, self.settings = folder, size, batch_size, dict(settings)

    def __len__(self) -> int:
        return -(-len(self.folder) // self.batch_size)

    def __iter__(self) -> Iterator[xr.DataArray]:
        return (to_tensor(batch, self.size, **self.settings) for batch in self.folder.batches(self.batch_size))


def _from_array(
    source: Any,
    labels: Any,
    stimulus: Sequence[str] | None,
    value_range: tuple[float, float] | None,
    duplicates: str,
    dataset: str | None,
) -> xr.DataArray:
    values = four_dimensions(np.asarray(source))
    low, high = value_range_of(values, value_range)
    names = [str(s) for s in stimulus] if stimulus is not None else [f"picture-{n:04d}" for n in range(len(values))]
    if len(names) != len(values):
        raise AlignmentError(f"stimulus names {len(names)} pictures and there are {len(values)}.")
    _check_unique(names, "each picture needs a name of its own")
    columns = _label_columns(labels, names, {})
    coords = {name: ("sample", column) for name, column in columns.items()}
    coords["stimulus"] = ("sample", np.array(names))
    coords["sha256"] = ("sample", np.array([content_hash(picture) for picture in values]))
    attrs: dict[str, Any] = {"kind": "pictures", "quantity": "luminance" if values.shape[3] == 1 else "colour"}
    attrs.update(units="a.u.", range=[low, high], size=[int(n) for n in values.shape[1:3]])
    attrs["history"] = [f"{len(values)} pictures from an array"]
    if dataset is not None:
        attrs["dataset"] = dataset
    found = xr.DataArray(values.copy(), dims=DIMS, coords=coords, attrs=attrs)
    return _report_duplicates(found, duplicates)


def _files(source: Any) -> tuple[list[Path], Path]:
    if isinstance(source, (str, Path)):
        root = Path(source)
        if not root.is_dir():
            raise FileNotFoundError(f"there is no folder {str(source)!r}.")
        found = [p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
        if not found:
            raise DegenerateDataError(f"the folder {root.name!r} holds no pictures ({', '.join(SUFFIXES)}).")
        return sorted(found, key=lambda p: p.relative_to(root).as_posix()), root
    paths = [Path(one) for one in source]
    if not paths:
        raise DegenerateDataError("the list of pictures is empty.")
    missing = [p.name for p in paths if not p.is_file()]
    if missing:
        raise FileNotFoundError(f"{len(missing)} of {len(paths)} pictures are not there, such as {missing[0]!r}.")
    parents = {p.parent for p in paths}
    root = Path(*_common(list(parents)))
    return paths, root


def _common(folders: Sequence[Path]) -> list[str]:
    parts: list[str] = []
    for level in zip(*(folder.parts for folder in folders)):
        if len(set(level)) > 1:
            break
        parts.append(level[0])
    return parts


def _label_columns(labels: Any, names: Sequence[str], by_file: Mapping[str, str]) -> dict[str, np.ndarray]:
    if labels is None:
        return {}
    if isinstance(labels, (str, Path)):
        labels = pd.read_csv(labels, sep="\t" if str(labels).endswith(".tsv") else ",", keep_default_na=False)
    if isinstance(labels, Mapping):
        labels = pd.DataFrame({"stimulus": list(labels), "category": list(labels.values())})
    if not isinstance(labels, pd.DataFrame):
        listed = list(labels)
        if len(listed) != len(names):
            raise AlignmentError(f"there are {len(listed)} labels for {len(names)} pictures.")
        return {"category": np.array([str(one) for one in listed])}
    key = next((name for name in ("stimulus", "file") if name in labels.columns), None)
    if key is None:
        raise ValueError(f"labels need a column 'file' or 'stimulus'; they have {list(labels.columns)}.")
    told = [by_file.get(str(one), str(one)) for one in labels[key]]
    _check_unique(told, "a picture has one row of labels")
    without, unknown = sorted(set(names) - set(told)), sorted(set(told) - set(names))
    if without or unknown:
        raise AlignmentError(
            f"{len(without)} pictures have no label (such as {without[:3]}) and {len(unknown)} labels have no picture "
            f"(such as {unknown[:3]})."
        )
    order = [told.index(name) for name in names] if told != list(names) else list(range(len(names)))
    table = labels.drop(columns=[key]).iloc[order]
    if "category" not in table.columns:
        other = next((name for name in ("condition", "label") if name in table.columns), None)
        table = table.rename(columns={other: "category"}) if other else table
    columns = {}
    for name in table.columns:
        column = table[name].to_numpy()
        columns[str(name)] = column if column.dtype.kind in "biuf" else column.astype(str)
    return columns


DUPLICATES = {"warn": 0, "raise": 0, "allow": 0}


def _per_channel(given: Sequence[float] | None, default: float, n: int, what: str) -> np.ndarray:
    found = np.full(n, default) if given is None else np.atleast_1d(np.asarray(given, dtype=np.float64))
    if found.shape not in ((1,), (n,)):
        raise ValueError(f'{what} has {found.size} values for pictures of {n} channels; read them with mode="RGB".')
    return np.broadcast_to(found, (n,)).copy()


def _check_unique(names: Sequence[str], advice: str) -> None:
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise AlignmentError(f"{len(twice)} names occur more than once (such as {twice[:3]}): {advice}.")


def _same(names: Sequence[str], hashes: Sequence[str]) -> list[list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name, digest in zip(names, hashes):
        groups[digest].append(str(name))
    return [group for group in groups.values() if len(group) > 1]


def _report_duplicates(pictures: xr.DataArray, duplicates: str) -> xr.DataArray:
    groups = _same(pictures["stimulus"].values.tolist(), pictures["sha256"].values.tolist())
    pictures.attrs["duplicates"] = groups
    if groups:
        text = f"{len(groups)} pictures stand under more than one name, such as {groups[0]}: they are one stimulus."
        if duplicates == "raise":
            raise AlignmentError(text)
        if duplicates == "warn":
            warnings.warn(text + ' Give them one name, or pass duplicates="allow".', NeurodecodeWarning, stacklevel=3)
    return pictures
