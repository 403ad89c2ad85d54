"""Features of some seconds ago as features of now: finite impulse responses for any linear map."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import numpy as np

from .._numbers import numbers_of
from ..exceptions import TimingError
from ._timeline import TOLERANCE, _Convolved


class _Shifted(_Convolved):
    """Delays in samples as functions that are 1 at one lag and 0 at all others."""

    def _seconds(self, tr: float) -> np.ndarray:
        """Delays in seconds."""
        raise AttributeError("delays say how long they are.")

    def _taps(self, tr: float) -> tuple[int, np.ndarray]:
        delays = self._seconds(tr)
        steps = np.rint(delays / tr).astype(int)
        first = int(steps.min())
        taps = np.zeros((len(steps), int(steps.max()) - first + 1))
        taps[np.arange(len(steps)), steps - first] = 1.0
        self.steps_, self._delays = steps, delays
        return first, taps

    def _names(self) -> tuple[np.ndarray, str]:
        return self._delays, f"delayed by {', '.join(f'{seconds:g}' for seconds in self._delays)} s"

    def _check_length(self, n: int, tr: float, where: str) -> None:
        longest = int(np.abs(self.steps_).max())
        if longest >= n:
            raise TimingError(
                f"a delay of {longest * tr:g} s is as long as {where}, which last {n * tr:g} s ({n} "
                f"samples of {tr:g} s). Are the delays in seconds, and is the repetition time right?"
            )


class Delays(_Shifted):
    r"""Copies of the features, each delayed by some seconds, side by side, within each run.

    Column block d of the output holds, at the sample of time t, the features of time t - seconds[d]:

        out[t, d * p + j] = X[t - seconds[d] / tr, j],  0 where that lies outside of the run of t.

    So a response that follows a feature by 4 s is found at delay +4; negative delays look ahead. Nothing is carried
    from one run into another.

    Parameters
    ----------
    seconds : delays in seconds, each a multiple of the repetition time within 1 % of it.
    by : sample coordinate that names the run of each sample; None: all samples are one run.
    tr : repetition time in seconds; None: ``X.attrs["tr"]``. A plain array needs it, and ``by=None``.

    Attributes
    ----------
    tr_ : repetition time in seconds.
    steps_ : (delays,) delays in samples.
    n_features_in_ : number of features before they are delayed.

    Raises
    ------
    TimingError : no repetition time, or two that differ; a delay that is no multiple of it or is as long as a run;
        ``onset`` within a run does not advance by the repetition time (within 1 %).
    AlignmentError : no coordinate ``by``; a run in several pieces; other features than at ``fit``.
    DegenerateDataError : NaN or infinite features.

    References
    ----------
    Dale (1999), Human Brain Mapping 8, Methods (selective averaging by finite impulse responses); Huth et al. (2016),
    Nature 532, Methods (delayed copies of features in voxelwise models).

    Examples
    --------
    >>> import numpy as np
    >>> Delays([0, 2], by=None, tr=2.0).fit_transform(np.array([[1.0], [2.0], [3.0]])).tolist()
    [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0]]
    """

    def __init__(self, seconds: Sequence[float], by: str | None = "run", tr: float | None = None):
        self.seconds = seconds
        self.by = by
        self.tr = tr

    def _seconds(self, tr: float) -> np.ndarray:
        delays = np.atleast_1d(numbers_of(self.seconds, "seconds", "one or more finite delays in seconds"))
        if delays.ndim != 1 or not len(delays) or not np.isfinite(delays).all():
            raise ValueError(f"seconds={self.seconds!r}: expected one or more finite delays in seconds.")
        ratio = delays / tr
        steps = np.rint(ratio).astype(int)
        wrong = np.abs(ratio - steps) > TOLERANCE
        if wrong.any():
            delay, step = delays[wrong][0], int(np.floor(ratio[wrong][0]))
            raise TimingError(
                f"a delay of {delay:g} s is no multiple of the repetition time {tr:g} s; the nearest are {step * tr:g} "
                f"and {(step + 1) * tr:g} s. Choose multiples, or resample the features."
            )
        if len(np.unique(steps)) < len(steps):
            raise ValueError(f"seconds={self.seconds!r}: the same delay stands there twice.")
        return delays


class FIR(_Shifted):
    r"""Every delay of a window: a finite impulse response at the resolution of the recording.

    ``FIR(start, stop)`` is ``Delays`` at every multiple of the repetition time from ``start`` to ``stop``, both
    included, so the window may be stated before the repetition time is known.

    Parameters
    ----------
    start, stop : first and last delay in seconds; those multiples of the repetition time that lie between them (within
        1 % of it) are taken. Negative delays look ahead.
    by, tr : as for :class:`Delays`.

    Attributes
    ----------
    tr_, steps_, n_features_in_ : as of :class:`Delays`.

    Raises
    ------
    TimingError : as :class:`Delays`; no multiple of the repetition time in the window.

    References
    ----------
    Dale (1999), Human Brain Mapping 8, Methods; Glover (1999), NeuroImage 9.

    Examples
    --------
    >>> import numpy as np
    >>> FIR(0, 5, by=None, tr=2.0).fit_transform(np.array([[1.0], [2.0], [3.0]])).tolist()
    [[1.0, 0.0, 0.0], [2.0, 1.0, 0.0], [3.0, 2.0, 1.0]]
    """

    def __init__(self, start: float = 0.0, stop: float = 16.0, by: str | None = "run", tr: float | None = None):
        self.start = start
        self.stop = stop
        self.by = by
        self.tr = tr

    def _seconds(self, tr: float) -> np.ndarray:
        return steps_between(self.start, self.stop, tr) * tr


def steps_between(start: float, stop: float, tr: float) -> np.ndarray:
    """Whole samples from ``start`` to ``stop`` seconds, both included within 1 % of a sample."""
    first, last = (float(one) if isinstance(one, Real) else np.nan for one in (start, stop))
    if not (np.isfinite([first, last]).all() and first <= last):
        raise ValueError(f"a window from {start!r} to {stop!r} s: expected finite seconds, the first at most the last.")
    steps = np.arange(int(np.ceil(first / tr - TOLERANCE)), int(np.floor(last / tr + TOLERANCE)) + 1)
    if not len(steps):
        raise TimingError(
            f"no multiple of the sampling interval {tr:g} s lies between {first:g} and {last:g} s; widen the window."
        )
    return steps
