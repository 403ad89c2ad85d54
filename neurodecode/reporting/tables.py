"""Results as tables: areas, figures found against planted or published, and every unit as CSV."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .summary import Area, Result, areas, as_over_time, opened, scored

PER_UNIT = (
    "score", "ceiling", "ceiling_lower", "ceiling_upper", "normalized", "p", "p_fdr", "p_max", "degenerate",
)  # fmt: skip


def by_area(result: Result, by: str = "roi") -> pd.DataFrame:
    """Scores of every area: one row per result and area (and time, where there is one).

    Parameters
    ----------
    result : Dataset, DataTree, mapping of names to Datasets, or path of a saved one.
    by : unit coordinate that names the areas.

    Returns
    -------
    DataFrame with ``result``, ``area``, ``n_units`` (all of them), ``n_degenerate`` (left out of every mean),
    ``score`` (mean over units), ``low`` and ``high`` around it (95 %, t times the standard error over ``over``: folds,
    or subjects where there are several), ``ceiling`` and ``normalized`` (means over the ``n_ceiling`` units that have
    one; NaN where that is less than half), ``null_low`` and ``null_high`` (middle 95 % of the permutations), ``p`` of
    the area's mean, ``n_significant`` (units with p_fdr < .05), and ``time`` (s).

    Examples
    --------
    >>> scores = xr.Dataset({"score": ("unit", [0.5, 0.3, 0.1])}, coords={"roi": ("unit", ["V1", "V1", "V2"])})
    >>> by_area(scores)[["area", "n_units", "score"]].values.tolist()
    [['V1', 2, 0.4], ['V2', 1, 0.1]]
    """
    rows = []
    for name, one in scored(result, some=False).items():
        for place, part in _moments(as_over_time(one)):
            rows += [{"result": name, **place, **_row(area)} for area in areas(part, by)]
    return pd.DataFrame(rows)


def _moments(one: xr.Dataset) -> list[tuple[dict[str, float], xr.Dataset]]:
    """The result at each point of its further dimensions (time, time_test), or as it is."""
    further = [str(dim) for dim in one["score"].dims if dim != "unit"]
    if not further:
        return [({}, one)]
    found = []
    for index in np.ndindex(*(one.sizes[dim] for dim in further)):
        part = one.isel(dict(zip(further, index)))
        place = {dim: float(part[dim]) if dim in part.coords else float(at) for dim, at in zip(further, index)}
        found.append((place, part))
    return found


def _row(area: Area) -> dict[str, Any]:
    return {
        "area": area.name,
        "n_units": area.n_units,
        "n_degenerate": area.n_degenerate,
        "score": area.score,
        "low": area.low,
        "high": area.high,
        "over": area.over,
        "n_ceiling": area.n_ceiling,
        "ceiling": area.ceiling,
        "normalized": area.normalized,
        "null_low": area.null_low,
        "null_high": area.null_high,
        "p": area.p,
        "n_significant": area.significant,
    }


def by_unit(result: Result) -> pd.DataFrame:
    """Scores of every unit with its coordinates: one row per result, unit and, where there is one, time.

    Examples
    --------
    >>> scores = xr.Dataset({"score": ("unit", [0.5, 0.3])}, coords={"roi": ("unit", ["V1", "V2"])})
    >>> by_unit(scores).values.tolist()
    [['result', 0, 'V1', 0.5], ['result', 1, 'V2', 0.3]]
    """
    parts = []
    for name, one in scored(result, some=False).items():
        along = [str(dim) for dim in one["score"].dims]
        whole = np.empty([one.sizes[dim] for dim in along])
        columns = {"result": np.full(whole.size, name), "unit": np.indices(whole.shape)[along.index("unit")].ravel()}
        coords = [str(key) for key, coord in one.coords.items() if set(coord.dims) <= set(along) and key != "unit"]
        further = [dim for dim in along if dim in coords]
        order = [*further, *(key for key in coords if key not in further), *(v for v in PER_UNIT if v in one.data_vars)]
        for key in order:
            values = xr.Variable(one[key].dims, one[key].values)
            columns[key] = values.set_dims(dict(zip(along, whole.shape))).transpose(*along).values.ravel()
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["result", "unit", "score"])


def to_csv(result: Result, path: str | Path) -> Path:
    """Write the score of every unit as a CSV file (UTF-8, full precision, empty where missing); see ``by_unit``.

    The file appears whole or not at all.
    """
    from ..representation.store import write_atomic

    path = Path(path)
    write_atomic(path, by_unit(result).to_csv(index=False, lineterminator="\n").encode("utf-8"))
    return path


def figures(result: Result) -> pd.DataFrame:
    """The figures of a study: found, planted with its interval, published with its tolerance, and the verdict.

    Returns
    -------
    DataFrame with ``name found planted low high published tolerance verdict``; the verdict is ``inside`` or
    ``outside`` of the interval of a planted value, ``reached`` or ``not reached`` within the tolerance of a published
    one, empty where nothing is expected.

    Examples
    --------
    >>> lag = {"name": "lag (s)", "found": 4.1, "planted": 4.0, "low": 3.5, "high": 4.5}
    >>> study = xr.DataTree(xr.Dataset(attrs={"figures": [lag]}))
    >>> figures(study).iloc[0][["name", "verdict"]].tolist()
    ['lag (s)', 'inside']
    """
    return figures_of(opened(result).attrs.get("figures") or [])


def figures_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The same table from rows of ``evaluation.figure``."""
    columns = ["name", "found", "planted", "low", "high", "published", "tolerance"]
    table = pd.DataFrame([{column: row.get(column) for column in columns} for row in rows], columns=columns)
    for column in columns[1:]:
        table[column] = pd.to_numeric(table[column])
    table["verdict"] = [verdict(row) for row in rows]
    return table


def verdict(row: dict[str, Any]) -> str:
    """Whether a found figure is where it should be; empty when nothing was planted or published.

    Published values have two decimals, so half a unit of rounding in the last digit of the sum is forgiven.
    """
    found, planted, published = (row.get(key) for key in ("found", "planted", "published"))
    if planted is not None and row.get("low") is not None and row.get("high") is not None:
        return "inside" if not _missing(found) and row["low"] <= found <= row["high"] else "outside"
    if published is not None and row.get("tolerance") is not None:
        return "reached" if not _missing(found) and abs(found - published) <= row["tolerance"] + 1e-9 else "not reached"
    return ""


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)


def highest_over_time(result: xr.Dataset, by: str = "roi") -> pd.DataFrame:
    """For a score over time: of every area the highest mean, and when it stands there (seconds)."""
    table = by_area({"": result}, by)
    if "time" not in table:
        return table.iloc[:0]
    best = table.loc[table.groupby("area", sort=False)["score"].idxmax().dropna()]
    return best.reset_index(drop=True)
