"""What may change places with what under the null hypothesis, read off the labels of the samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..compute.nulls import codes, count_orders, permutation_orders
from ..exceptions import DegenerateDataError
from .splits import IDENTITY_OF_RUN, coordinate, varies


@dataclass(frozen=True)
class Exchange:
    """How targets are permuted: within ``blocks``, whole ``groups`` at a time, shuffled or shifted."""

    how: str
    blocks: np.ndarray | None
    groups: np.ndarray | None
    text: str
    in_time: np.ndarray | None = None

    def orders(self, n_samples: int, n_permutations: int, seed: int) -> np.ndarray:
        """Random orders of the samples, (n_permutations, n)."""
        if self.in_time is None:
            return permutation_orders(n_samples, n_permutations, self.blocks, self.how, seed, groups=self.groups)
        blocks = None if self.blocks is None else self.blocks[self.in_time]
        found = permutation_orders(n_samples, n_permutations, blocks, self.how, seed)
        orders = np.empty_like(found)
        orders[:, self.in_time] = self.in_time[found]
        return orders

    def smallest_p(self, n_samples: int, n_permutations: int, labels: np.ndarray | None) -> float:
        """The smallest p value that can come out: limited by the draws taken, and by how many different ones exist."""
        different = count_orders(n_samples, self.blocks, self.groups, self.how, labels)
        return max(1.0 / (n_permutations + 1), 1.0 / different)


def sampling_interval(attrs: dict[str, Any]) -> float | None:
    """Seconds between samples, from ``tr`` or ``sfreq``."""
    if attrs.get("tr"):
        return float(attrs["tr"])
    return 1.0 / float(attrs["sfreq"]) if attrs.get("sfreq") else None


def is_series(frame: xr.DataArray | None, attrs: list[dict[str, Any]], labels: np.ndarray | None) -> bool:
    """Whether samples are consecutive bins of a recording: their onsets follow at the sampling interval.

    Without a sampling interval in attrs, evenly spaced onsets count as a series, unless the samples have labels or a
    ``category``, which single out events.
    """
    if frame is None or "onset" not in frame.coords:
        return False
    onset = np.asarray(frame["onset"].values, dtype=float)
    block = _blocks(frame, [name for name in IDENTITY_OF_RUN if name in frame.coords])
    same = np.ones(len(onset) - 1, dtype=bool) if block is None else codes(block)[1:] == codes(block)[:-1]
    steps = np.diff(onset)[same]
    if len(steps) < 2:
        return False
    middle = float(np.median(steps))
    intervals = [found for found in map(sampling_interval, attrs) if found]
    if intervals:
        return any(abs(middle - interval) <= 0.05 * interval for interval in intervals)
    even = bool(np.abs(steps - middle).max() <= 0.01 * abs(middle))
    return even and labels is None and "category" not in frame.coords


def exchangeability(
    frame: xr.DataArray | None,
    n_samples: int,
    *,
    attrs: list[dict[str, Any]],
    labels: np.ndarray | None = None,
    blocks: Any = None,
    permute: str | None = None,
) -> Exchange:
    """Decide how targets are permuted, and say it in words.

    Parameters
    ----------
    frame : sample coordinates; None for plain arrays.
    attrs : attributes of X and Y, for the sampling interval.
    labels : class labels, None for other targets.
    blocks : None reads them off: within runs (of a session, of a subject) where there are several. A coordinate name,
        several, or one label per sample name others. False: everything may change places.
    permute : ``"shuffle"`` or ``"shift"``; None shifts a series (bins of a recording in order) and shuffles events.

    Returns
    -------
    Exchange : a series is shifted in circles within its run; repeats of a stimulus move together.

    Raises
    ------
    DegenerateDataError : within these blocks nothing can change places, or only labels that are equal.
    """
    if blocks is False or (frame is None and blocks is None):
        block, said = None, "all samples"
    elif blocks is None:
        names = [name for name in IDENTITY_OF_RUN if frame is not None and name in frame.coords and varies(frame, name)]
        block, said = _blocks(frame, names), f"within {' x '.join(names)}" if names else "all samples"
    elif isinstance(blocks, str) or (isinstance(blocks, tuple) and all(isinstance(name, str) for name in blocks)):
        if frame is None:
            raise ValueError(
                f"blocks={blocks!r} names a coordinate, and the arrays are plain; pass one label per sample"
            )
        block, said = coordinate(frame, blocks), f"within {blocks if isinstance(blocks, str) else ' x '.join(blocks)}"
    else:
        block, said = np.asarray(blocks), "within given blocks"
        if block.shape != (n_samples,):
            raise ValueError(f"blocks has shape {block.shape}; one label for each of the {n_samples} samples is needed")
    if permute not in (None, "shuffle", "shift"):
        raise ValueError(f"permute={permute!r} is not known; choose 'shuffle', 'shift' or None")
    how = permute or ("shift" if is_series(frame, attrs, labels) else "shuffle")
    if how == "shift":
        in_time = (
            None if frame is None or "onset" not in frame.coords else np.argsort(frame["onset"].values, kind="stable")
        )
        return Exchange("shift", block, None, f"circular shifts, {said}", in_time)
    groups = _groups(frame, labels)
    text = f"{'whole stimuli' if groups is not None else 'samples'} shuffled, {said}"
    found = Exchange("shuffle", block, groups, text)
    if count_orders(n_samples, block, groups, "shuffle", labels) < 2:
        kind = (
            "labels are equal wherever samples may change places" if labels is not None else "nothing can change places"
        )
        raise DegenerateDataError(
            f"permutations of {text}: {kind}, so the null would be the observed score. "
            "Name wider blocks with blocks='session' (a coordinate), or blocks=False to exchange all samples."
        )
    return found


def _blocks(frame: xr.DataArray | None, names: list[str]) -> np.ndarray | None:
    return coordinate(frame, names) if names else None


def _groups(frame: xr.DataArray | None, labels: np.ndarray | None) -> np.ndarray | None:
    """Stimulus of each sample where stimuli repeat; None otherwise.

    When a class is one stimulus, exchanging stimuli would only rename the classes, so samples are exchanged.
    """
    if frame is None or "stimulus" not in frame.coords:
        return None
    stimulus = codes(frame["stimulus"].values)
    count = int(stimulus.max()) + 1
    if count == len(stimulus) or count < 2:
        return None
    if labels is not None and count <= len(np.unique(labels)):
        return None
    return stimulus
