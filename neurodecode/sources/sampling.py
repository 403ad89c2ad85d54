"""From volumes to samples: labels per volume, dropped conditions, block means, names of samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .._names import lookup
from ..exceptions import AlignmentError, DegenerateDataError, TimingError
from ..representation import as_representation
from .cleaning import Cleaning, run_codes
from .events import events_to_labels

DEFAULT_DROP = ("rest",)
_OWN_COLUMNS = ("label", "run", "volume_in_run", "volume", "time_s", "onset", "event", "stimulus")


def label_table(
    labels: Any,
    events: Any,
    runs: Sequence[Any] | None,
    lengths: Sequence[int],
    *,
    tr: float | None,
    trim: str | None = None,
    invalid: str = "raise",
) -> tuple[pd.DataFrame, list[int], list[dict[str, Any]]]:
    """One row per volume (label, run, volume, further columns), volumes to keep per image, events left out.

    ``lengths`` are the volumes of each image. Several images are runs of their own; one image may hold
    several runs, which then stand in the ``run`` column of ``labels`` or in ``runs``.

    Raises
    ------
    TimingError : labels and volumes differ by k, and ``trim`` was not asked for.
    """
    if trim not in (None, "end"):
        raise ValueError(f'trim={trim!r} is not known; None or "end".')
    table = _labels_of(labels, runs, lengths)
    if table is None:
        names = _run_names(runs, lengths)
        table = pd.DataFrame({"run": names})
    table, keep = _fit_length(table, lengths, trim)
    run_codes(table["run"].tolist())
    table["volume"] = table.groupby("run", sort=False).cumcount()
    dropped: list[dict[str, Any]] = []
    if events is not None:
        if "label" in table.columns:
            raise ValueError("both labels and events name the conditions; give one of them (labels may give run only).")
        if tr is None:
            raise TimingError("events are given in seconds and nobody states the repetition time: pass tr=.")
        counts = table.groupby("run", sort=False).size().to_dict()
        found = events_to_labels(events, counts, tr, invalid=invalid)
        table["label"], table["event"] = found["label"].to_numpy(), found["event"].to_numpy()
        dropped = found.attrs["dropped"]
    _check_span(table, tr)
    return table, keep, dropped


def drop_labels(table: pd.DataFrame, drop: Sequence[str]) -> np.ndarray:
    """Which volumes stay (booleans). A name in ``drop`` that never occurs is refused, except the default ``rest``.

    Raises
    ------
    ValueError : a name that no volume carries, or one that differs from a label only in its capitals.
    DegenerateDataError : nothing would be left.
    """
    if isinstance(drop, str):
        drop = (drop,)
    if not isinstance(drop, Iterable):
        raise TypeError(f"drop={drop!r}: expected a list of labels, such as ['rest']")
    if "label" not in table.columns:
        if tuple(drop) not in ((), DEFAULT_DROP):
            raise ValueError(f"drop={tuple(drop)!r} needs labels or events.")
        return np.ones(len(table), dtype=bool)
    present = set(table["label"])
    for name in drop:
        near = [label for label in present if label.lower() == str(name).lower() and label != name]
        if near:
            raise ValueError(f"drop names {name!r} and the recording has {near[0]!r}: spell it as in the labels.")
        if name not in present and tuple(drop) != DEFAULT_DROP:
            raise ValueError(f"drop names {name!r}, which no volume carries; the labels are {sorted(present)}.")
    stays = ~table["label"].isin(list(drop)).to_numpy()
    if not stays.any():
        raise DegenerateDataError(f"dropping {tuple(drop)!r} leaves no volume; the labels are {sorted(present)}.")
    return stays


def represent(
    raw: np.ndarray,
    table: pd.DataFrame,
    dropped: list[dict[str, Any]],
    unit: dict[str, np.ndarray],
    cleaning: Cleaning,
    *,
    samples: str,
    drop: Sequence[str],
    tr: float | None,
    attrs: dict[str, Any],
    lost: np.ndarray | None = None,
    subject: str | None = None,
    dataset: str | None = None,
    dtype: Any = np.float32,
) -> xr.DataArray:
    """Clean the runs, leave conditions out, form samples, and label the lot.

    ``raw`` (volumes, units); ``lost`` marks units that were not finite and come out as NaN.
    """
    stays = drop_labels(table, drop)
    cleaned = cleaning.apply(raw, table["run"].tolist(), tr)
    if lost is not None:
        cleaned[:, lost] = np.nan
    values, stimulus, sample, notes = to_samples(cleaned, table, samples=samples, stays=stays, tr=tr)
    if subject is not None:
        unit = {**unit, "subject": np.full(values.shape[1], str(subject))}
    history = [f"read {len(raw)} volumes in {table['run'].nunique()} runs, {raw.shape[1]} units"]
    history.append(cleaning.history)
    if "trimmed" in table.attrs:
        history.append(table.attrs["trimmed"])
    if not stays.all():
        history.append(f"left out {int((~stays).sum())} volumes labelled {sorted(set(table['label'][~stays]))}")
    said: dict[str, Any] = {
        "quantity": "BOLD",
        "units": cleaning.units,
        "samples": samples,
        "dropped": dropped,
        **attrs,
    }
    said.update({name: value for name, value in (("tr", tr), ("dataset", dataset)) if value is not None})
    said["history"] = history + notes
    return as_representation(
        values.astype(dtype),
        stimulus=stimulus,
        kind="fmri",
        unit=unit,
        sample=sample,
        attrs=said,
        nan_policy="raise" if lost is None or not lost.any() else "drop_targets",
    )


def to_samples(
    values: np.ndarray, table: pd.DataFrame, *, samples: str, stays: np.ndarray, tr: float | None
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], list[str]]:
    """Cleaned volumes as samples: (values, stimulus, coordinates on sample, history).

    ``samples="volume"`` keeps each volume, ``"block"`` averages unbroken stretches of one condition in one run.
    """
    return lookup(SAMPLES, samples, "samples", callables=False)(values, table, stays, tr)


def _volumes(
    values: np.ndarray, table: pd.DataFrame, stays: np.ndarray, tr: float | None
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], list[str]]:
    kept = table[stays]
    stimulus = _column(kept, "stimulus")
    if stimulus is None:
        stimulus = np.array([f"run-{run}_volume-{volume:04d}" for run, volume in zip(kept["run"], kept["volume"])])
    sample = _coordinates(kept, tr)
    return values[stays], stimulus, sample, []


def _blocks(
    values: np.ndarray, table: pd.DataFrame, stays: np.ndarray, tr: float | None
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], list[str]]:
    if "label" not in table.columns:
        raise ValueError('samples="block" averages conditions and needs labels or events.')
    marks = [table["run"], table["label"], *([table["event"]] if "event" in table.columns else [])]
    changes = np.zeros(len(table), dtype=bool)
    for mark in marks:
        changes |= (mark != mark.shift()).to_numpy()
    block = np.cumsum(changes)[stays]
    numbers, first, size = np.unique(block, return_index=True, return_counts=True)
    kept = table[stays].reset_index(drop=True)
    means = np.add.reduceat(values[stays], first, axis=0) / size[:, None]
    firsts = kept.iloc[first].reset_index(drop=True)
    sample = _coordinates(firsts, tr)
    sample["n_volumes"] = size
    if tr is not None:
        sample["duration"] = size * float(tr)
    notes = [f"averaged {len(kept)} volumes to {len(numbers)} blocks of {size.min()} to {size.max()} volumes"]
    for name in [name for name in sample if name in kept.columns and name not in _OWN_COLUMNS]:
        varying = (kept.groupby(block)[name].nunique(dropna=False) > 1).any()
        if varying:
            del sample[name]
            notes.append(f"left out the column {name!r}, which varies within blocks")
    stimulus = None
    if "stimulus" in kept.columns and not (kept.groupby(block)["stimulus"].nunique() > 1).any():
        stimulus = _column(firsts, "stimulus")
    if stimulus is None:
        ordinal = firsts.groupby(["run", "label"], sort=False).cumcount()
        stimulus = np.array(
            [f"run-{run}_{label}-{n + 1}" for run, label, n in zip(firsts["run"], firsts["label"], ordinal)]
        )
    return means, stimulus, sample, notes


SAMPLES = {"volume": _volumes, "block": _blocks}


def _coordinates(kept: pd.DataFrame, tr: float | None) -> dict[str, np.ndarray]:
    sample = {"run": kept["run"].to_numpy()}
    if sample["run"].dtype == object:
        sample["run"] = sample["run"].astype(str)
    sample["volume"] = kept["volume"].to_numpy()
    if tr is not None:
        sample["onset"] = kept["volume"].to_numpy() * float(tr)
    if "label" in kept.columns:
        sample["category"] = kept["label"].to_numpy().astype(str)
    for name in kept.columns:
        if name not in _OWN_COLUMNS:
            column = kept[name].to_numpy()
            sample[str(name)] = column if column.dtype.kind in "biuf" else column.astype(str)
    return sample


def _column(table: pd.DataFrame, name: str) -> np.ndarray | None:
    return table[name].to_numpy().astype(str) if name in table.columns else None


def _labels_of(labels: Any, runs: Sequence[Any] | None, lengths: Sequence[int]) -> pd.DataFrame | None:
    if labels is None:
        return None
    if isinstance(labels, Sequence) and not isinstance(labels, (str, Path)):
        if len(labels) != len(lengths) or not all(isinstance(one, (str, Path, pd.DataFrame)) for one in labels):
            raise ValueError(
                f"labels: expected one table (label, run) or one per image ({len(lengths)}); for a plain list of "
                'names use pandas.DataFrame({"label": names, "run": runs}).'
            )
        names = _names_per_image(runs, lengths)
        parts = [_read_table(one).assign(run=name) for one, name in zip(labels, names)]
        return pd.concat(parts, ignore_index=True)
    table = _read_table(labels)
    if "run" not in table.columns:
        if runs is None and len(lengths) > 1:
            raise ValueError("labels have no column 'run' and there are several images: give one table per image.")
        named = runs if runs is not None else [1] * len(table)
        if len(named) != len(table):
            raise TimingError(f"labels have {len(table)} rows and runs name {len(named)} volumes.")
        table["run"] = list(named)
    elif runs is not None:
        raise ValueError("labels have a column 'run' and runs is given too; give one of them.")
    return table


def _read_table(labels: Any) -> pd.DataFrame:
    if isinstance(labels, (str, Path)):
        separator = "\t" if str(labels).endswith(".tsv") else ","
        labels = pd.read_csv(labels, sep=separator, keep_default_na=False, dtype={"label": str})
    if not isinstance(labels, pd.DataFrame):
        raise TypeError(f"labels: expected a table or a path, got {type(labels).__name__}.")
    table = labels.reset_index(drop=True).copy()
    if "label" not in table.columns and "run" not in table.columns:
        raise ValueError(f"labels need the columns 'label' and 'run'; they have {list(table.columns)}.")
    if "label" in table.columns:
        empty = table["label"].isna() | (table["label"].astype(str) == "")
        if empty.any():
            raise DegenerateDataError(
                f"{int(empty.sum())} volumes have no label (first: row {int(np.argmax(empty))}); "
                "name them, for example 'rest'."
            )
        table["label"] = table["label"].astype(str)
    return table


def _run_names(runs: Sequence[Any] | None, lengths: Sequence[int]) -> list[Any]:
    if runs is not None and len(lengths) == 1 and len(runs) != 1:
        return list(runs)
    return [name for name, n in zip(_names_per_image(runs, lengths), lengths) for _ in range(n)]


def _names_per_image(runs: Sequence[Any] | None, lengths: Sequence[int]) -> list[Any]:
    if runs is None:
        return list(range(1, len(lengths) + 1))
    if len(runs) != len(lengths):
        raise AlignmentError(f"runs names {len(runs)} runs and there are {len(lengths)} images.")
    return list(runs)


def _fit_length(table: pd.DataFrame, lengths: Sequence[int], trim: str | None) -> tuple[pd.DataFrame, list[int]]:
    """The table cut to the images and the volumes kept of each image; refuses unless trim was asked for."""
    if len(lengths) == 1:
        parts = [table]
    else:
        codes = run_codes(table["run"].tolist())
        if codes.max() + 1 != len(lengths):
            raise AlignmentError(f"labels name {codes.max() + 1} runs and there are {len(lengths)} images.")
        parts = [table[codes == code] for code in range(len(lengths))]
    keep, fitted, cut = [], [], []
    for number, (part, n) in enumerate(zip(parts, lengths)):
        k = len(part) - n
        where = "" if len(lengths) == 1 else f" in image {number + 1}"
        if k and trim is None:
            raise TimingError(
                f"labels have {len(part)} rows and the recording has {n} volumes{where}: they differ by {abs(k)} "
                f"({'labels' if k > 0 else 'volumes'} are too many). If the surplus stands at the end, pass "
                'trim="end"; if it is one per run or at the beginning, correct the labels.'
            )
        if k:
            cut.append(f"{abs(k)} {'labels' if k > 0 else 'volumes'} cut at the end{where}")
        keep.append(min(len(part), n))
        fitted.append(part.iloc[: keep[-1]])
    fitted_table = pd.concat(fitted, ignore_index=True)
    if cut:
        fitted_table.attrs["trimmed"] = ", ".join(cut)
    return fitted_table, keep


def _check_span(table: pd.DataFrame, tr: float | None) -> None:
    """A column ``time_s`` (seconds) must advance by the repetition time from volume to volume."""
    if tr is None or "time_s" not in table.columns:
        return
    steps = table.groupby("run", sort=False)["time_s"].diff().dropna().to_numpy(dtype=float)
    off = np.abs(steps - tr) > 0.01 * tr + 1e-9
    if off.any():
        raise TimingError(
            f"labels state times {np.median(steps):g} s apart (time_s) and tr is {tr:g} s; "
            f"{int(off.sum())} of {len(steps)} steps are off by more than 1 %."
        )
