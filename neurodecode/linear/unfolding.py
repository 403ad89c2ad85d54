"""Epochs as one row each, or one behind the other: time laid out over units or over samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..exceptions import AlignmentError
from ..representation import Labels, labelled, plain


def stack_time(X: Any) -> Any:
    """Sample x unit x time as sample x (unit, time), so that any linear map can use the whole course at once.

    Column ``u * times + t`` holds unit u at time t. Nothing is learnt, so it may stand outside of the folds.

    Parameters
    ----------
    X : (samples, units, times), labelled or plain.

    Returns
    -------
    (samples, units x times). Labelled: the unit coordinates repeated, and ``seconds`` (s) of each column.

    Raises
    ------
    AlignmentError : X has other dimensions.

    Examples
    --------
    >>> stack_time(np.arange(6.0).reshape(1, 2, 3)).tolist()
    [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]
    """
    values = plain(_three(X))
    flat = values.reshape(len(values), -1)
    if not isinstance(X, xr.DataArray):
        return flat
    before, times = Labels.of(X, "unit"), X.sizes["time"]
    coords = {name: np.repeat(entry, times) for name, entry in before.coords.items()}
    if "time" in X.coords:
        coords["seconds"] = np.tile(np.asarray(X["time"].values), before.size)
    history = [*X.attrs.get("history", []), f"{times} times stacked into units"]
    units = Labels("unit", flat.shape[1], coords, before.attrs)
    return labelled(flat, samples_of=X, units=units, attrs={"history": history}, dims=("sample", "unit"))


def chain_time(X: Any) -> Any:
    """Sample x unit x time as (sample, time) x unit: the trials one behind the other, as one series of many runs.

    Row ``n * times + t`` holds time t of sample n. With labels, ``trial`` numbers the samples from 0, ``onset`` is the
    time within the trial (s), and every other sample coordinate is repeated; so ``TemporalResponse(by="trial")`` and
    ``Delays(by="trial")`` keep trials apart, and ``SplitBy("run")`` still holds out whole runs.

    Parameters
    ----------
    X : (samples, units, times), labelled or plain.

    Returns
    -------
    (samples x times, units).

    Raises
    ------
    AlignmentError : X has other dimensions.

    Examples
    --------
    >>> chain_time(np.arange(6.0).reshape(1, 2, 3)).tolist()
    [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    """
    values = plain(_three(X))
    flat = np.ascontiguousarray(values.transpose(0, 2, 1)).reshape(-1, values.shape[1])
    if not isinstance(X, xr.DataArray):
        return flat
    times = X.sizes["time"]
    coords: dict[str, Any] = {}
    for name, kept in X.coords.items():
        if kept.dims == ("sample",):
            coords[str(name)] = ("sample", np.repeat(kept.values, times))
        elif kept.dims == ("unit",):
            coords[str(name)] = ("unit", kept.values)
    coords["trial"] = ("sample", np.repeat(np.arange(len(X)), times))
    if "time" in X.coords:
        coords["onset"] = ("sample", np.tile(np.asarray(X["time"].values, dtype=float), len(X)))
    history = [*X.attrs.get("history", []), f"{len(X)} trials of {times} times chained"]
    return xr.DataArray(flat, dims=("sample", "unit"), coords=coords, attrs={**X.attrs, "history": history})


def _three(X: Any) -> Any:
    if isinstance(X, xr.DataArray):
        fits, said = X.dims == ("sample", "unit", "time"), X.dims
    else:
        X = np.asarray(X)
        fits, said = X.ndim == 3, X.shape
    if not fits:
        raise AlignmentError(f"X has the dimensions {said}; expected ('sample', 'unit', 'time').")
    return X
