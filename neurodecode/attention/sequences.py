"""Sequences as tokens: the past seconds of words or frames, over which an area's query attends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from ..linear import Delays


def past(X: xr.DataArray, seconds: Sequence[float], by: str | None = "run") -> xr.DataArray:
    """The past of every sample as tokens: what was there 0, 1, 2, ... seconds ago.

    token l of sample t is X[t - lag_l], within the run; zeros before its beginning. An encoder over these tokens learns
    which lag an area reads, and when it depends on content, which word or frame.

    Parameters
    ----------
    X : (sample, unit) continuous features with ``attrs["tr"]`` or ``attrs["sfreq"]``, samples of each run in order.
    seconds : lags, multiples of the time between samples; positive ones lie in the past.
    by : sample coordinate of the runs; None: one run.

    Returns
    -------
    DataArray (sample, token, unit) with ``lag`` (seconds) on token, coordinates and attrs of ``X``.

    Raises
    ------
    TimingError : the time between samples is not known, or a lag is not a multiple of it.

    Source: Huth et al. (2016), Nature 532, methods (features delayed by several seconds).

    Examples
    --------
    >>> import numpy as np
    >>> from neurodecode.representation import as_representation
    >>> X = as_representation(np.arange(1.0, 5.0)[:, None], stimulus=list("abcd"), kind="features", attrs={"tr": 2.0})
    >>> past(X, [0, 2], by=None).values[:, :, 0].tolist()
    [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0], [4.0, 3.0]]
    """
    wide = Delays(list(seconds), by=by).fit_transform(X)
    values = np.asarray(wide).reshape(X.sizes["sample"], len(list(seconds)), X.sizes["unit"])
    coords = {str(name): entry.variable for name, entry in X.coords.items()}
    coords["lag"] = xr.Variable("token", np.asarray(list(seconds), dtype=float))
    return xr.DataArray(values, dims=("sample", "token", "unit"), coords=coords, attrs=dict(X.attrs))
