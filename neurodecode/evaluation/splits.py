"""Which samples are held out together: splitters that read a coordinate, and what a splitter becomes in the end.

``SplitBy`` and ``Contiguous`` follow the splitter interface of scikit-learn, so they also serve as ``cv`` of an
estimator inside a fold, where they read the coordinates of the training samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..compute.nulls import codes
from ..exceptions import DegenerateDataError, LeakageError

IDENTITY_OF_RUN = ("subject", "session", "run")


def coordinate(X: Any, names: str | Sequence[str], groups: Any = None) -> np.ndarray:
    """One label per sample: a coordinate, several joined by ``/``, or ``groups`` where ``X`` has no labels.

    Raises
    ------
    ValueError : ``X`` lacks the coordinate and no groups were given; the message lists those it has.

    Examples
    --------
    >>> X = xr.DataArray(np.zeros((2, 1)), dims=("sample", "unit"), coords={"run": ("sample", [1, 2])})
    >>> coordinate(X, "run").tolist()
    [1, 2]
    """
    wanted = (names,) if isinstance(names, str) else tuple(names)
    if isinstance(X, xr.DataArray):
        there = [str(key) for key, value in X.coords.items() if value.dims == ("sample",)]
        if set(wanted) <= set(there):
            columns = [X.coords[name].values for name in wanted]
            if len(columns) == 1:
                return columns[0]
            return np.asarray(["/".join(map(str, row)) for row in zip(*columns)])
        if groups is None:
            lost = ", ".join(repr(name) for name in wanted if name not in there)
            raise ValueError(f"the samples have no coordinate {lost}; they have {', '.join(there) or 'none'}")
    if groups is None:
        raise ValueError(
            f"splitting by {' and '.join(map(repr, wanted))} needs labelled samples; this is a plain array. "
            "Use as_representation, or pass groups= with one label per sample."
        )
    return np.asarray(groups)


@dataclass(frozen=True)
class SplitBy:
    """Hold out the samples that share a value of a coordinate: leave one run, subject or stimulus out.

    Parameters
    ----------
    coord : name of a coordinate on ``sample``, or several names, whose values are then taken together.
    n_splits : None leaves out one value at a time, in order of first appearance; a number cuts the values, in that
        order, into so many groups with about as many samples each.

    Examples
    --------
    >>> X = xr.DataArray(np.zeros((4, 1)), dims=("sample", "unit"), coords={"run": ("sample", [2, 2, 1, 1])})
    >>> [test.tolist() for train, test in SplitBy("run").split(X)]
    [[0, 1], [2, 3]]
    >>> [test.tolist() for train, test in SplitBy("run").split(np.zeros((3, 1)), groups=["a", "b", "a"])]
    [[0, 2], [1]]
    """

    coord: str | tuple[str, ...]
    n_splits: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.coord, str):
            if not isinstance(self.coord, Iterable):
                raise TypeError(f"SplitBy({self.coord!r}): expected the name of a sample coordinate, such as 'run'")
            object.__setattr__(self, "coord", tuple(self.coord))

    def __repr__(self) -> str:
        return f"SplitBy({self.coord!r}" + ("" if self.n_splits is None else f", n_splits={self.n_splits}") + ")"

    def _folds(self, X: Any, groups: Any = None) -> tuple[np.ndarray, list[str]]:
        """Number of the fold of each sample, and the names of the folds."""
        values = coordinate(X, self.coord, groups)
        label = codes(values)
        first = [str(values[place]) for place in np.unique(label, return_index=True)[1]]
        count = len(first)
        said = self.coord if isinstance(self.coord, str) else "/".join(self.coord)
        if count < 2:
            raise DegenerateDataError(
                f"all {len(values)} samples have the same {said} ({first[0] if first else 'none'}): "
                f"splitting by {said!r} needs at least 2 values"
            )
        if self.n_splits is None:
            return label, first
        if not 2 <= self.n_splits <= count:
            raise DegenerateDataError(
                f"{self.n_splits} folds by {said!r} were asked for; its {count} values allow 2 to {count}"
            )
        return _even_groups(label, self.n_splits)[label], [str(fold) for fold in range(self.n_splits)]

    def names(self, X: Any, groups: Any = None) -> list[str]:
        """The name of each fold: the value held out, or a number when values are grouped."""
        return self._folds(X, groups)[1]

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Positions of training and test samples, fold by fold."""
        fold, names = self._folds(X, groups)
        for number in range(len(names)):
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of folds; needs ``X`` (or ``groups``) unless ``n_splits`` was given."""
        if X is None and groups is None:
            if self.n_splits is None:
                raise ValueError(f"{self!r} knows its number of folds only from the samples: pass X")
            return self.n_splits
        return len(self._folds(X, groups)[1])


def _even_groups(label: np.ndarray, n_splits: int) -> np.ndarray:
    """Group of each value: consecutive values together, every group holding about n / n_splits samples, none empty."""
    sizes = np.bincount(label)
    group = np.empty(len(sizes), dtype=np.intp)
    taken, current, filled = 0, 0, 0
    for value, size in enumerate(sizes):
        left = len(sizes) - value
        share = -(-(len(label) - taken) // (n_splits - current))
        if filled and current < n_splits - 1 and (filled + size / 2 > share or left == n_splits - 1 - current):
            taken, current, filled = taken + filled, current + 1, 0
        group[value] = current
        filled += int(size)
    return group


@dataclass(frozen=True)
class Contiguous:
    """Cut a series into stretches and hold out one at a time, with a gap around it that is used by neither side.

    Neighbouring samples of a recording resemble each other, so a held-out sample beside a training sample is not
    new. Samples are taken in order of their ``onset`` where they have one, else as they stand.

    Parameters
    ----------
    n_splits : number of stretches.
    gap : samples left out of training on each side of the held-out stretch; divide seconds by the sampling
        interval. None: a tenth of a stretch, rounded up.

    Examples
    --------
    >>> train, test = next(iter(Contiguous(3, gap=1).split(np.zeros((9, 1)))))
    >>> test.tolist(), train.tolist()
    ([0, 1, 2], [4, 5, 6, 7, 8])
    """

    n_splits: int = 5
    gap: int | None = None

    def names(self, X: Any, groups: Any = None) -> list[str]:
        """Numbers from 0, in order of time."""
        return [str(fold) for fold in range(self.n_splits)]

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Positions of training and test samples, fold by fold."""
        n = len(X)
        if not 2 <= self.n_splits <= n:
            raise DegenerateDataError(f"{self.n_splits} folds of {n} samples: choose between 2 and {n} folds")
        order = _order_in_time(X, n)
        start = 0
        for length in (len(part) for part in np.array_split(order, self.n_splits)):
            stop = start + length
            gap = -(-(stop - start) // 10) if self.gap is None else int(self.gap)
            if gap < 0:
                raise ValueError(f"gap={self.gap}: a number of samples, 0 or more, is needed")
            train = np.sort(np.concatenate([order[: max(0, start - gap)], order[stop + gap :]]))
            if len(train) == 0:
                raise DegenerateDataError(f"a gap of {gap} samples leaves no training sample of {n}; make it smaller")
            yield train, np.sort(order[start:stop])
            start = stop

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of folds."""
        return self.n_splits


def _order_in_time(X: Any, n: int) -> np.ndarray:
    if not isinstance(X, xr.DataArray) or "onset" not in X.coords:
        return np.arange(n)
    keys = [X.coords["onset"].values]
    keys += [codes(X.coords[name].values) for name in reversed(IDENTITY_OF_RUN) if name in X.coords]
    return np.lexsort(keys)


@dataclass(frozen=True)
class Fold:
    """One held-out set: its name, and the positions of its training and test samples."""

    name: str
    train: np.ndarray
    test: np.ndarray


def default_splits(frame: xr.DataArray | None, n_splits: int | None, gap: int | None, labels: np.ndarray | None) -> Any:
    """What ``splits=None`` or a number means for these samples.

    Subjects are left out where there are several; else runs; else a series with ``onset`` is cut into stretches with
    a gap; else class labels are stratified, repeats of a stimulus kept together; else plain consecutive folds.
    A number sets how many folds that makes. Without one, every subject or run is a fold of its own, otherwise 5.
    """
    from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold

    k = 5 if n_splits is None else n_splits
    if frame is None:
        return KFold(k) if labels is None else StratifiedKFold(k)
    if "subject" in frame.coords and varies(frame, "subject"):
        return SplitBy("subject", n_splits)
    run = run_coordinates(frame)
    if run:
        return SplitBy(run[0] if len(run) == 1 else run, n_splits)
    if "onset" in frame.coords:
        return Contiguous(k, gap)
    repeated = "stimulus" in frame.coords and len(np.unique(frame["stimulus"].values)) < frame.sizes["sample"]
    if labels is not None:
        return StratifiedGroupKFold(k) if repeated else StratifiedKFold(k)
    return SplitBy("stimulus", k) if repeated else KFold(k)


def varies(frame: xr.DataArray, name: str) -> bool:
    """Whether the samples have more than one value of a coordinate."""
    return len(np.unique(frame[name].values)) > 1


def run_coordinates(frame: xr.DataArray) -> tuple[str, ...]:
    """Names of the coordinates that tell one run from another; empty when there is no run or only one."""
    if "run" not in frame.coords:
        return ()
    return tuple(name for name in IDENTITY_OF_RUN if name in frame.coords and varies(frame, name))


def resolve_splits(
    splits: Any,
    frame: xr.DataArray | None,
    n_samples: int,
    *,
    labels: np.ndarray | None = None,
    groups: Any = None,
    gap: int | None = None,
) -> tuple[list[Fold], str, Any]:
    """Folds out of whatever stands in ``splits``.

    Parameters
    ----------
    splits : a splitter, a list of (train, test) positions or masks, a number of folds, or None.
    frame : an array whose ``sample`` coordinates are those of X and Y together; None for plain arrays.
    labels : class labels, for stratified splitters; None for other targets.
    groups : a coordinate name or one label per sample, for scikit-learn splitters that need groups.

    Returns
    -------
    The folds, how they are described in a result, and the splitter.

    Raises
    ------
    DegenerateDataError : fewer samples than folds, an empty side.
    LeakageError : a sample stands on both sides of one fold.
    ValueError : not a splitter, a splitter that needs groups has none, positions out of range.
    """
    if isinstance(splits, (bool, np.bool_)) or (isinstance(splits, (int, np.integer)) and splits < 2):
        raise ValueError(f"splits={splits!r}: pass at least 2 folds, a splitter, or a list of (train, test)")
    if splits is None or isinstance(splits, (int, np.integer)):
        if splits is not None and splits > n_samples:
            raise DegenerateDataError(f"{splits} folds need at least {splits} samples, and there are {n_samples}")
        splits = default_splits(frame, None if splits is None else int(splits), gap, labels)
        if "Group" in type(splits).__name__ and frame is not None and groups is None:
            groups = "stimulus"
    view: Any = np.zeros((n_samples, 1)) if frame is None else frame
    if isinstance(groups, str):
        groups = coordinate(view, groups)
    name = type(splits).__name__
    if hasattr(splits, "split") and not isinstance(splits, (str, bytes)):
        if "Stratified" in name and labels is None:
            raise ValueError(f"{name} balances class labels, and the targets are numbers; use KFold or SplitBy")
        if "Group" in name and groups is None:
            raise ValueError(f"{name} needs groups: pass groups='run' (a coordinate) or use SplitBy('run')")
        asked = getattr(splits, "n_splits", None)
        if isinstance(asked, (int, np.integer)) and "Shuffle" not in name and asked > n_samples:
            raise DegenerateDataError(f"{asked} folds need at least {asked} samples, and there are {n_samples}")
        pairs = list(splits.split(view, labels if labels is not None else np.zeros(n_samples), groups))
        text = repr(splits)
    elif not isinstance(splits, (str, bytes, dict)) and hasattr(splits, "__iter__"):
        pairs = [_pair(pair) for pair in splits]
        text = f"{len(pairs)} given folds"
    else:
        hint = f"; to hold out its values, pass SplitBy({splits!r})" if isinstance(splits, str) else ""
        raise ValueError(f"splits={splits!r} is neither a splitter, a list of (train, test), a number nor None{hint}")
    if isinstance(splits, (SplitBy, Contiguous)):
        names = splits.names(view, groups)
    else:
        names = _names(pairs, groups)
    return [_checked(*item, n_samples) for item in zip(names, pairs)], text, splits


def _pair(pair: Any) -> tuple[np.ndarray, np.ndarray]:
    sides = tuple(pair) if hasattr(pair, "__iter__") and not isinstance(pair, (str, bytes)) else (pair,)
    if len(sides) != 2:
        said = f"has {len(sides)} parts" if sides[1:] or not sides else f"is {pair!r}"
        raise ValueError(f"a fold is a pair (train, test) of positions; this one {said}")
    return np.asarray(sides[0]), np.asarray(sides[1])


def _names(pairs: list[tuple[np.ndarray, np.ndarray]], groups: Any) -> list[str]:
    if groups is not None:
        held = [np.unique(np.asarray(groups)[test]) for _, test in pairs]
        found = [str(values[0]) for values in held if len(values) == 1]
        if len(set(found)) == len(pairs):
            return found
    return [str(number) for number in range(len(pairs))]


def _checked(name: str, pair: tuple[np.ndarray, np.ndarray], n: int) -> Fold:
    sides = []
    for side, said in zip(pair, ("training", "test")):
        places = np.flatnonzero(side) if side.dtype == bool else np.asarray(side, dtype=np.intp)
        if len(places) == 0:
            raise DegenerateDataError(f"fold {name!r} has no {said} sample; every fold needs at least 1")
        if (side.dtype == bool and len(side) != n) or places.min() < 0 or places.max() >= n:
            raise ValueError(f"fold {name!r}: {said} positions must lie between 0 and {n - 1}")
        sides.append(places)
    both = np.intersect1d(sides[0], sides[1])
    if len(both):
        raise LeakageError(
            f"fold {name!r}: {len(both)} samples stand in training and test, the first at position {both[0]}; "
            "remove them from one side"
        )
    return Fold(name, sides[0], sides[1])
