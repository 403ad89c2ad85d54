"""Nothing may stand on both sides of a split: the same stimulus, run or subject in training and test."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr

from ..compute.nulls import codes
from ..exceptions import LeakageError, NeurodecodeWarning
from .splits import IDENTITY_OF_RUN, Fold, coordinate

SHOWN = 5


def identities(X: Any, Y: Any) -> dict[str, np.ndarray]:
    """What a sample is known by: stimulus, run and subject, from the labels of either array.

    A run is told by subject, session and run together. Where X and Y say different things (another subject's
    recording as features), both are kept, as ``subject of X`` and ``subject of Y``.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    for side, array in (("X", X), ("Y", Y)):
        if not isinstance(array, xr.DataArray):
            continue
        there = {str(key) for key, value in array.coords.items() if value.dims == ("sample",)}
        for name in ("stimulus", "run", "subject"):
            if name in there:
                parts = tuple(key for key in IDENTITY_OF_RUN if key in there) if name == "run" else name
                found.setdefault(name, {})[side] = coordinate(array, parts)
    flat: dict[str, np.ndarray] = {}
    for name, sides in found.items():
        values = list(sides.values())
        if len(values) == 2 and not np.array_equal(codes(values[0]), codes(values[1])):
            flat.update({f"{name} of {side}": value for side, value in sides.items()})
        else:
            flat[name] = values[0]
    return flat


def audit(X: Any, Y: Any, folds: list[Fold], splits: str, allow_overlap: str | None) -> list[dict[str, Any]]:
    """Check every identity in every fold, and write down what was checked.

    Parameters
    ----------
    X, Y : the arrays as given; plain ones have no identities.
    folds : what is trained and tested on.
    splits : how the splitter is called in messages.
    allow_overlap : a reason to go on in spite of an overlap; it stands in the result.

    Returns
    -------
    Rows ``{"coord", "checked", "groups", "shared", "verdict"}``: ``groups`` is the number of different values,
    ``shared`` how many of them stand on both sides of some fold.

    Raises
    ------
    LeakageError : something is shared and no reason was given; the message names what, how many and the first ones.
    """
    if allow_overlap is not None and (not isinstance(allow_overlap, str) or not allow_overlap.strip()):
        raise ValueError(f"allow_overlap={allow_overlap!r}: give the reason in words; it is printed in the report")
    known = identities(X, Y)
    rows: list[dict[str, Any]] = []
    for name in ("stimulus", "run", "subject"):
        mine = {key: values for key, values in known.items() if key == name or key.startswith(f"{name} of ")}
        if not mine:
            rows.append({"coord": name, "checked": False, "groups": 0, "shared": 0, "verdict": "no such label"})
        for key, values in mine.items():
            rows.append(_row(key, name, values, folds, splits, allow_overlap))
    return rows


def _row(
    key: str, name: str, values: np.ndarray, folds: list[Fold], splits: str, allow_overlap: str | None
) -> dict[str, Any]:
    label = codes(values)
    count = int(label.max(initial=-1)) + 1
    row: dict[str, Any] = {"coord": key, "checked": count > 1, "groups": count, "shared": 0}
    if count < 2:
        return {**row, "verdict": "one value only, nothing to share"}
    shared = np.zeros(count, dtype=bool)
    where = None
    for fold in folds:
        trained, tested = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
        trained[label[fold.train]] = True
        tested[label[fold.test]] = True
        both = trained & tested
        where = fold.name if where is None and both.any() else where
        shared |= both
    row["shared"] = int(shared.sum())
    if not shared.any():
        return {**row, "verdict": "nothing shared"}
    if allow_overlap is not None:
        return {**row, "verdict": f"shared, allowed: {allow_overlap}"}
    firsts = values[np.unique(label, return_index=True)[1]][shared]
    names = ", ".join(repr(str(value)) for value in firsts[:SHOWN]) + (", ..." if len(firsts) > SHOWN else "")
    plural = {"stimulus": "stimuli", "run": "runs", "subject": "subjects"}[name] if len(firsts) > 1 else name
    raise LeakageError(
        f"{len(firsts)} of {count} {plural} ({key!r}: {names}) stand in training and test when splitting by {splits}, "
        f"first in fold {where!r}; split with SplitBy({name!r}), or pass allow_overlap='why it is right here'"
    )


def check_neighbours(frame: xr.DataArray | None, splitter: Any, text: str) -> list[str]:
    """Warn when a shuffled split scatters the samples of a series (those with ``onset``) over both sides.

    Returns what was said, so that the result can repeat it.
    """
    if frame is None or "onset" not in frame.coords:
        return []
    name = type(splitter).__name__
    if not (getattr(splitter, "shuffle", False) is True or "Shuffle" in name or "Repeated" in name):
        return []
    said = (
        f"{text} shuffles samples that carry an onset: neighbours in time resemble each other and stand on both "
        "sides, so the score is too high. Use splits=Contiguous(5) or SplitBy('run')."
    )
    warnings.warn(said, NeurodecodeWarning, stacklevel=3)
    return [said]
