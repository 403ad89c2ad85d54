"""Detrending, confounds and standardising of time series, run by run, through nilearn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .._names import lookup
from .._optional import require
from ..exceptions import AlignmentError, DegenerateDataError, TimingError

BOOKKEEPING = ("run", "volume", "volume_in_run", "time_s", "onset", "label", "session", "subject", "stimulus")
STANDARDS = {"zscore": "zscore", "percent": "percent", "none": None}
_ROUNDING = 1e-10


@dataclass(frozen=True)
class Cleaning:
    """What is to be done to every run: settings and confounds of one call, and their words in the history."""

    detrend: bool
    standardize: bool | str
    confounds: np.ndarray | None
    confound_names: list[str]
    high_pass: float | None

    def apply(self, values: np.ndarray, runs: Sequence[Any], tr: float | None) -> np.ndarray:
        """`clean_runs` with these settings."""
        return clean_runs(
            values,
            runs,
            detrend=self.detrend,
            standardize=self.standardize,
            confounds=self.confounds,
            high_pass=self.high_pass,
            tr=tr,
        )

    @property
    def units(self) -> str:
        """The unit of values cleaned in this way."""
        return {"zscore": "z", "percent": "percent"}.get(_standard(self.standardize), "a.u.")

    @property
    def history(self) -> str:
        """The settings in words."""
        done = ["detrended"] if self.detrend else []
        if self.high_pass is not None:
            done.append(f"high-pass {self.high_pass:g} Hz")
        if self.confound_names:
            done.append(f"confounds removed: {', '.join(self.confound_names)}")
        if self.units != "a.u.":
            done.append("in percent of its mean" if self.units == "percent" else "standardised")
        return f"each run {', '.join(done)} (nilearn)" if done else "not cleaned"


def clean_runs(
    values: np.ndarray,
    runs: Sequence[Any],
    *,
    detrend: bool = True,
    standardize: bool | str = True,
    confounds: np.ndarray | None = None,
    high_pass: float | None = None,
    tr: float | None = None,
) -> np.ndarray:
    """Time series cleaned within each run by ``nilearn.signal.clean``; a copy, in float64.

    In this order: a straight line is removed; slow cosines below ``high_pass`` and the confounds (standardised,
    detrended alike) are regressed out together; then each unit is standardised, ``z = (x - mean) / sd`` with
    n - 1 in the standard deviation, or expressed in percent of its mean before cleaning. A unit that is constant
    within a run (or a straight line, when that is removed) becomes 0 there, never amplified rounding.

    Parameters
    ----------
    values : (volumes, units), finite.
    runs : name of the run of every volume; each run is one unbroken stretch.
    standardize : True or ``"zscore"``, ``"percent"``, False or ``"none"``.
    confounds : (volumes, confounds) or None.
    high_pass : Hz, or None. Needs ``tr`` in seconds.

    Raises
    ------
    DegenerateDataError : a run too short for what is asked; percent of a mean of zero.
    TimingError : a run that comes back, or ``high_pass`` without ``tr``.

    Examples
    --------
    >>> x = np.array([[0.0, 5.0], [2.0, 5.0], [1.0, 5.0], [3.0, 5.0]])
    >>> clean_runs(x, [1, 1, 1, 1], detrend=False).round(2)
    array([[-1.16,  0.  ],
           [ 0.39,  0.  ],
           [-0.39,  0.  ],
           [ 1.16,  0.  ]])
    """
    scale = lookup(STANDARDS, _standard(standardize), "standardize", callables=False)
    codes = run_codes(runs)
    values = np.array(values, dtype=np.float64)
    if not detrend and scale is None and confounds is None and high_pass is None:
        return values
    _check_lengths(codes, runs, 0 if confounds is None else confounds.shape[1], detrend)
    filtering: dict[str, Any] = {"filter": False}
    if high_pass is not None:
        if tr is None:
            raise TimingError("high_pass is given in Hz and needs tr in seconds; neither header nor caller states it.")
        filtering = {"filter": "cosine", "high_pass": float(high_pass), "t_r": float(tr)}
    signal = require("nilearn.signal", purpose="cleaning time series")
    cleaned = signal.clean(values, runs=codes, detrend=detrend, standardize=None, confounds=confounds, **filtering)
    removes_mean = detrend or confounds is not None or high_pass is not None or scale is not None
    for code in np.unique(codes):
        own = codes == code
        raw, part = values[own], cleaned[own]
        size = np.abs(raw).max(axis=0)
        flat = np.ptp(part, axis=0) <= _ROUNDING * size
        if scale == "zscore":
            spread = part.std(axis=0, ddof=1)
            part = (part - part.mean(axis=0)) / np.where(flat, 1.0, spread)
        elif scale == "percent":
            mean = raw.mean(axis=0)
            zero = ~flat & (np.abs(mean) <= _ROUNDING * size)
            if zero.any():
                raise DegenerateDataError(
                    f"standardize='percent' divides by the mean of the run, which is zero for {int(zero.sum())} units "
                    f"(first: {np.flatnonzero(zero)[:5].tolist()}); these are not raw intensities. Use 'zscore'."
                )
            part = 100 * (part - part.mean(axis=0)) / np.where(flat, 1.0, np.abs(mean))
        if removes_mean:
            part = np.where(flat, 0.0, part)
        cleaned[own] = part
    return cleaned


def run_codes(runs: Sequence[Any]) -> np.ndarray:
    """0, 1, 2 ... by order of appearance; refuses a run that stops and comes back later.

    nilearn puts cleaned runs together in sorted order of their names; numbers by appearance keep every
    volume where it was.
    """
    names = list(runs)
    starts = [place for place in range(len(names)) if place == 0 or names[place] != names[place - 1]]
    seen: dict[Any, int] = {}
    codes = np.empty(len(names), dtype=int)
    for place, stop in zip(starts, [*starts[1:], len(names)]):
        if names[place] in seen:
            raise TimingError(
                f"run {names[place]!r} stops and comes back at volume {place}; volumes must be in the order in which "
                "they were recorded, and each run must have its own name (add the session to it)."
            )
        seen[names[place]] = len(seen)
        codes[place:stop] = seen[names[place]]
    return codes


def read_confounds(
    confounds: Any, runs: Sequence[Any], columns: Sequence[str] | None = None
) -> tuple[np.ndarray | None, list[str]]:
    """Confounds as (volumes, confounds) and their names.

    Parameters
    ----------
    confounds : array, DataFrame, path to csv or tsv, or a list of these, one per run.
    runs : name of the run of every volume of the recording.
    columns : the columns to use; None takes all but the bookkeeping ones (run, volume, time_s, onset, label ...).

    Raises
    ------
    AlignmentError : another number of rows than volumes, or another ``run`` in a row.
    DegenerateDataError : a column that is not numeric or not finite.
    """
    if confounds is None:
        return None, []
    if isinstance(confounds, (list, tuple)) and not np.isscalar(confounds[0]):
        table = pd.concat([_confound_table(part) for part in confounds], ignore_index=True)
    else:
        table = _confound_table(confounds)
    if len(table) != len(runs):
        raise AlignmentError(
            f"confounds have {len(table)} rows and the recording has {len(runs)} volumes; one row per volume is "
            "needed, rest and dropped conditions included."
        )
    if "run" in table.columns and [str(r) for r in table["run"]] != [str(r) for r in runs]:
        first = next(i for i, (a, b) in enumerate(zip(table["run"], runs)) if str(a) != str(b))
        raise AlignmentError(
            f"confounds and labels disagree on the run of volume {first}: {table['run'].iloc[first]!r} and "
            f"{runs[first]!r}."
        )
    names = [c for c in table.columns if str(c) not in BOOKKEEPING] if columns is None else list(columns)
    missing = [name for name in names if name not in table.columns]
    if missing or not names:
        raise ValueError(f"confounds have no columns {missing or names}; they have {list(table.columns)}.")
    chosen = table[names]
    text = [str(name) for name in names if not pd.api.types.is_numeric_dtype(chosen[name])]
    if text:
        raise DegenerateDataError(f"confound columns {text} are not numbers; name the ones to use in confound_columns.")
    found = chosen.to_numpy(dtype=np.float64)
    bad = ~np.isfinite(found)
    if bad.any():
        where = {str(name): int(n) for name, n in zip(names, bad.sum(axis=0)) if n}
        raise DegenerateDataError(
            f"confounds are not finite: {where} (column: rows), first row {int(np.argmax(bad.any(axis=1)))}. "
            "Derivatives begin with an empty cell: fill it with 0, or leave the column out with confound_columns."
        )
    return found, [str(name) for name in names]


def _standard(standardize: bool | str) -> str:
    if isinstance(standardize, (bool, np.bool_)):
        return "zscore" if standardize else "none"
    return standardize


def _confound_table(confounds: Any) -> pd.DataFrame:
    if isinstance(confounds, (str, Path)):
        return pd.read_csv(confounds, sep="\t" if str(confounds).endswith(".tsv") else ",", na_values=["n/a"])
    if isinstance(confounds, pd.DataFrame):
        return confounds.reset_index(drop=True)
    array = np.asarray(confounds, dtype=np.float64)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise ValueError(f"confounds: expected (volumes, confounds), got the shape {array.shape}.")
    return pd.DataFrame(array, columns=[f"confound_{n}" for n in range(array.shape[1])])


def _check_lengths(codes: np.ndarray, runs: Sequence[Any], n_confounds: int, detrend: bool) -> None:
    needed = 2 + int(detrend) + n_confounds
    for code, n in enumerate(np.bincount(codes)):
        if n < needed:
            name = list(runs)[int(np.argmax(codes == code))]
            raise DegenerateDataError(
                f"run {name!r} has {n} volumes; cleaning with {n_confounds} confounds and detrend={detrend} needs at "
                f"least {needed}. Single pictures such as beta maps are read with detrend=False, standardize=False."
            )
