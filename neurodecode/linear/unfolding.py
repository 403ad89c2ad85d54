"""Epochs as one row each: every channel at every time is a unit of its own."""

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
    if isinstance(X, xr.DataArray):
        fits, said = X.dims == ("sample", "unit", "time"), X.dims
    else:
        X = np.asarray(X)
        fits, said = X.ndim == 3, X.shape
    if not fits:
        raise AlignmentError(f"X has the dimensions {said}; expected ('sample', 'unit', 'time').")
    values = plain(X)
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
