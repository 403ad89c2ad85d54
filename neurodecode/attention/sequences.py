"""Sequences as tokens: the past seconds of words or frames, over which an area's query attends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from .._numbers import amount, numbers_of
from ..exceptions import AlignmentError, TimingError
from ..linear import Delays
from ..linear._timeline import runs_of
from .held_back import PAST
from .positions import LAG


def past(X: xr.DataArray, seconds: Sequence[float] | float, by: str | None = "run") -> xr.DataArray:
    """The past of every sample as tokens: what was there 0, 1, 2, ... seconds ago.

    token l of sample t is X[t - lag_l], within the run; zeros before its beginning. An encoder over these tokens learns
    which lag an area reads, and when it depends on content, which word or frame. Where samples have tokens already,
    such as the places of a frame, tokens are all of them at every lag: lag after lag, in each the tokens of X.

    Parameters
    ----------
    X : (sample, unit), or (sample, token, unit), continuous features with ``attrs["tr"]`` or ``attrs["sfreq"]``,
        samples of each run in order.
    seconds : one or more lags, multiples of the time between samples; positive ones lie in the past.
    by : sample coordinate of the runs; None: one run.

    Returns
    -------
    DataArray (sample, token, unit) with ``lag`` (seconds) on token, coordinates and attrs of ``X``; ``attrs["past"]``
    has the lags and runs. Neighbours share tokens, so a fit chooses its epoch by a stretch of each run, or by whole
    runs. Tokens of X that did not count (``attended``) do not count at any lag; zeros before a run count.

    Raises
    ------
    TimingError : the time between samples is not known, or a lag is not a multiple of it. AlignmentError : a plain
    array, no coordinate ``by``, lags there already.

    Source: Huth et al. (2016), Nature 532, methods (features delayed by several seconds).

    Examples
    --------
    >>> import numpy as np
    >>> from neurodecode.representation import as_representation
    >>> X = as_representation(np.arange(1.0, 5.0)[:, None], stimulus=list("abcd"), kind="features", attrs={"tr": 2.0})
    >>> past(X, [0, 2], by=None).values[:, :, 0].tolist()
    [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0], [4.0, 3.0]]
    """
    if not isinstance(X, xr.DataArray) or X.dims not in (("sample", "unit"), ("sample", "token", "unit")):
        came = f"the dimensions {X.dims}" if isinstance(X, xr.DataArray) else f"a plain {type(X).__name__}"
        raise AlignmentError(f"past: {came}; expected a labelled (sample, unit) or (sample, token, unit).")
    if LAG in X.coords:
        raise AlignmentError(f"past: X has the coordinate {LAG!r} already; take the past once, with all lags.")
    lags = np.atleast_1d(numbers_of(seconds, "seconds", "one or more lags in seconds"))
    runs_of(X, len(X), by, "past")
    delays = Delays(lags, by=by, tr=_between(X))
    known = {str(name): entry for name, entry in X.coords.items()}
    moments = {name: entry.variable for name, entry in known.items() if entry.dims == ("sample",)}

    def earlier(values: np.ndarray) -> np.ndarray:
        """(samples, ...) -> (samples, lags, ...)."""
        flat = xr.DataArray(values.reshape(len(X), -1), dims=("sample", "unit"), coords=moments)
        return np.asarray(delays.fit_transform(flat)).reshape(len(X), len(lags), *values.shape[1:])

    places = X.sizes.get("token", 1)
    coords = {**moments, LAG: xr.Variable("token", np.repeat(lags, places))}
    coords |= {name: entry.variable for name, entry in known.items() if entry.dims == ("unit",)}
    coords |= {
        name: xr.Variable("token", np.tile(entry.values, len(lags)), entry.attrs)
        for name, entry in known.items()
        if entry.dims == ("token",)
    }
    if "attended" in known and known["attended"].dims == ("sample", "token"):
        missing = earlier((~known["attended"].values.astype(bool)).astype(np.float32))
        coords["attended"] = xr.Variable(("sample", "token"), missing.reshape(len(X), -1) == 0)
    values = earlier(X.values).reshape(len(X), len(lags) * places, X.sizes["unit"])
    said = {"seconds": lags.tolist(), "by": by, "between": _between(X)}
    return xr.DataArray(values, dims=("sample", "token", "unit"), coords=coords, attrs={**X.attrs, PAST: said})


def _between(X: xr.DataArray) -> float:
    """Seconds between samples."""
    if "tr" in X.attrs:
        return amount(X.attrs["tr"], "attrs['tr']", unit="seconds")
    if "sfreq" in X.attrs:
        return 1 / amount(X.attrs["sfreq"], "attrs['sfreq']", least=1e-9, unit="Hz")
    raise TimingError("past needs the time between samples, and X has no attrs['tr'] (seconds) or attrs['sfreq'] (Hz).")
