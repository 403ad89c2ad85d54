"""Which training samples choose the epoch: whole stimuli or groups, or stretches of a series with a gap around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ..compute.training import Training
from ..exceptions import AlignmentError, DegenerateDataError

LEAST = 3  # samples on either side
RUNS = ("subject", "session", "run")
PAST = "past"  # what attrs of tokens call the lags that they were made of
EVEN = 0.05  # of the sampling interval, by which steps of a series may differ from it


def hold_back(
    X: Any, n: int, settings: Training, rng: np.random.Generator, Y: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Training rows, and rows held back for choosing the epoch; samples of one group are never torn apart.

    Neighbours in a series resemble each other, and tokens made of its past are in part the same, so that a sample that
    is held back beside training samples is not new: of a series whole runs are held back where there are many, else a
    stretch of each, and the samples around it are in neither part.
    """
    everything, by = np.arange(n), settings.validation_by
    known = []
    if isinstance(X, xr.DataArray):
        known = [str(name) for name, entry in X.coords.items() if entry.dims == ("sample",)]
    if by not in known and by != Training.validation_by:
        there = f"the samples of X have {known}" if known else "the samples of X have no coordinates"
        raise AlignmentError(f"validation_by={by!r}: {there}. Name one of the coordinates of the samples.")
    if settings.validation == 0:
        return everything, everything[:0]
    groups = _codes(X, [by]) if by in known else everything
    runs = None
    if by == Training.validation_by:
        runs = _series(X)
        runs = _series(Y) if runs is None else runs  # what the tokens do not say, the responses may
    if runs is not None and not _long(groups, runs):
        train, held = _stretches(_past(X), n, runs, settings.validation, rng)
        if groups.max() > 0:  # moments that were shown again
            train = train[~np.isin(groups[train], groups[held])]
    else:
        chosen = np.isin(groups, _drawn(groups, n, settings.validation, rng))
        train, held = everything[~chosen], everything[chosen]
    if len(held) < LEAST or len(train) < LEAST:
        raise DegenerateDataError(
            f"{n} samples are too few to hold {settings.validation:.0%} of them back for choosing the epoch; give "
            "more, or training=Training(validation=0), which takes the last epoch."
        )
    return train, held


def _drawn(groups: np.ndarray, n: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """A share of the groups, and more of them until they have enough samples."""
    names = np.unique(groups)
    count = min(max(LEAST if len(names) == n else 1, round(share * len(names))), len(names))
    taken = rng.choice(names, count, replace=False)
    more = iter(rng.permutation(np.setdiff1d(names, taken)) if np.isin(groups, taken).sum() < LEAST else ())
    while np.isin(groups, taken).sum() < LEAST and (name := next(more, None)) is not None:
        taken = np.append(taken, name)
    return taken


def _codes(X: xr.DataArray, names: list[str]) -> np.ndarray:
    """The same number for samples with the same values, in order of first appearance."""
    first: dict[Any, int] = {}
    values = zip(*(X[name].values.tolist() for name in names))
    return np.array([first.setdefault(value, len(first)) for value in values])


def _long(groups: np.ndarray, runs: list[np.ndarray]) -> bool:
    """Whether several stimuli last for many samples each, as stories do."""
    alike = np.concatenate([groups[rows[1:]] == groups[rows[:-1]] for rows in runs])
    return bool(groups.max() > 0 and alike.size and alike.mean() > 0.5)


def _past(X: Any) -> Mapping[str, Any]:
    said = X.attrs.get(PAST) if isinstance(X, xr.DataArray) else None
    return said if isinstance(said, Mapping) else {}


def _series(X: Any) -> list[np.ndarray] | None:
    """Rows of every run in time order, where samples are the moments of a recording; None where they are not.

    They are where tokens were made of their past, or where onsets advance by the sampling interval.
    """
    if not isinstance(X, xr.DataArray):
        return None
    said = _past(X)
    by = [said["by"]] if said.get("by") in X.coords else []
    by += [name for name in RUNS if name in X.coords and X[name].dims == ("sample",) and name not in by]
    runs = _codes(X, by) if by else np.zeros(len(X), dtype=int)
    onset = X["onset"].values if "onset" in X.coords and X["onset"].dims == ("sample",) else None
    onset = None if onset is None or onset.dtype.kind not in "fiu" else onset
    order = np.arange(len(X)) if onset is None else np.argsort(onset, kind="stable")
    rows = [order[runs[order] == run] for run in range(runs.max() + 1)]
    if said:
        return rows
    between = _interval(X)
    if onset is None or between is None:
        return None
    steps = np.concatenate([np.diff(np.asarray(onset, dtype=float)[one]) for one in rows])
    middle = float(np.median(steps)) if len(steps) else np.nan
    return rows if abs(middle - between) <= EVEN * between else None


def _interval(X: xr.DataArray) -> float | None:
    """Seconds between samples, where attrs say it."""
    if X.attrs.get("tr"):
        return float(X.attrs["tr"])
    return 1 / float(X.attrs["sfreq"]) if X.attrs.get("sfreq") else None


def _stretches(
    said: Mapping[str, Any], n: int, runs: list[np.ndarray], share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Training rows and held-back rows of a series."""
    whole = round(share * len(runs))
    if whole:
        taken = rng.choice(len(runs), whole, replace=False)
        held = np.sort(np.concatenate([runs[one] for one in taken]))
        return np.setdiff1d(np.arange(n), held), held
    reach = round(float(np.max(np.abs(said["seconds"]))) / float(said["between"])) if said else 0
    held_rows, near = [], []
    for rows in runs:
        length = min(max(1, round(share * len(rows))), len(rows))
        gap = max(reach, -(-length // 10))
        start = int(rng.integers(len(rows) - length + 1))
        held_rows.append(rows[start : start + length])
        near.append(rows[max(0, start - gap) : start + length + gap])
    held = np.sort(np.concatenate(held_rows))
    return np.setdiff1d(np.arange(n), np.concatenate(near)), held
