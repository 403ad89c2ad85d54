"""Features as the blood answers them: convolution with a canonical response and its derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .._names import lookup
from ..compute.responses import DURATION, RESPONSES, DoubleGamma
from ..exceptions import TimingError
from ._timeline import _Convolved

LATER, WIDER = 0.1, 0.01
LEAST, PEAK = 4, 5.0
DERIVATIVES = ("time", "dispersion")


class HRF(_Convolved):
    r"""Features convolved with a haemodynamic response and, on request, its derivatives, within each run.

    Column block b of the output, for the response h_b, which has an area of 1 over its 32 s:

        out[t, b * p + j] = tr * sum_k h_b(k tr) X[t - k, j],    k = 0 ... 32 s / tr

    so a feature that stays at 1 settles at 1. Where :class:`Delays` leave the shape of the response to the data, this
    fixes it: fewer weights, and wrong where the response differs. The derivatives let it come a little earlier or later
    (``"time"``, the difference to the response 0.1 s later, per second) and be a little wider (``"dispersion"``, the
    difference to one whose first density has a scale larger by 0.01, per unit of scale). Weights on the response and
    the time derivative of opposite sign mean a later response.

    Parameters
    ----------
    kind : ``"spm"`` (rise 6 s, undershoot 16 s, ratio 1/6) or ``"glover"`` (6 s, 12 s, .48, dispersion
        .9), both with their peak at 5 s; or a ``compute.responses.DoubleGamma`` of your own.
    derivatives : any of ``"time"`` and ``"dispersion"``, in that order.
    duration : seconds that a sample's features last from its time on; 0: they are values at that time. Features that
        are averages over the volume beginning there last one repetition time.
    by : sample coordinate that names the run of each sample; None: all samples are one run.
    tr : repetition time in seconds; None: ``X.attrs["tr"]``. A plain array needs it, and ``by=None``.

    Attributes
    ----------
    tr_ : repetition time in seconds.
    taps_ : (functions, lags) the sampled responses, lag 0 first.
    n_features_in_ : number of features that came in.

    Raises
    ------
    TimingError : no repetition time, or two that differ, or one above 8 s; a run that ends before a response could
        peak; ``onset`` within a run does not advance by the repetition time.
    AlignmentError : no coordinate ``by``; a run in several pieces; other features than at ``fit``.

    References
    ----------
    Friston et al. (1998), NeuroImage 7, 30-40 (response and derivatives); Glover (1999), NeuroImage 9, 416-429.

    Examples
    --------
    >>> import numpy as np
    >>> sticks = np.zeros((20, 1))
    >>> sticks[2] = 1.0
    >>> seen = HRF(by=None, tr=1.0).fit_transform(sticks)
    >>> int(seen.argmax()), float(seen.max().round(3))
    (7, 0.211)
    """

    coord = "haemodynamic"

    def __init__(
        self,
        kind: str | DoubleGamma = "spm",
        derivatives: Sequence[str] = (),
        duration: float = 0.0,
        by: str | None = "run",
        tr: float | None = None,
    ):
        self.kind = kind
        self.derivatives = derivatives
        self.duration = duration
        self.by = by
        self.tr = tr

    def _taps(self, tr: float) -> tuple[int, np.ndarray]:
        own: Any = self.kind
        shape = own if isinstance(own, DoubleGamma) else lookup(RESPONSES, own, "kind", callables=False)
        wanted = self._wanted()
        if not (np.isfinite(self.duration) and 0 <= float(self.duration) <= DURATION):
            raise ValueError(f"duration={self.duration!r}: expected seconds from 0 to {DURATION:g}.")
        if tr * LEAST > DURATION:
            raise TimingError(
                f"a response of {DURATION:g} s cannot be sampled every {tr:g} s. Is the repetition time in seconds?"
            )
        lags = tr * np.arange(int(np.floor((DURATION + float(self.duration)) / tr + 1e-9)) + 1)
        found = [self._sampled(shape, lags, tr)]
        if "time" in wanted:
            found.append((found[0] - self._sampled(shape, lags - LATER, tr)) / LATER)
        if "dispersion" in wanted:
            wider = replace(shape, dispersion=shape.dispersion + WIDER)
            found.append((found[0] - self._sampled(wider, lags, tr)) / WIDER)
        return 0, np.stack(found)

    def _sampled(self, shape: DoubleGamma, seconds: np.ndarray, tr: float) -> np.ndarray:
        """What a sample that lasts ``duration`` leaves ``seconds`` after it began, for samples every ``tr``."""
        held = float(self.duration)
        height = (shape.area(seconds) - shape.area(seconds - held)) / held if held > 0 else shape(seconds)
        return tr * height / shape.area(np.array(DURATION))

    def _wanted(self) -> tuple[str, ...]:
        wanted = (self.derivatives,) if isinstance(self.derivatives, str) else tuple(self.derivatives)
        for name in wanted:
            lookup(dict.fromkeys(DERIVATIVES), name, "derivatives", callables=False)
        if len(set(wanted)) < len(wanted):
            raise ValueError(f"derivatives={self.derivatives!r}: one stands there twice.")
        return tuple(name for name in DERIVATIVES if name in wanted)

    def _names(self) -> tuple[np.ndarray, str]:
        wanted = self._wanted()
        names = np.array(["response", *(f"{name} derivative" for name in wanted)])
        also = f" and its derivatives ({', '.join(wanted)})" if wanted else ""
        return names, f"convolved with the response {self.kind}{also}"

    def _check_length(self, n: int, tr: float, where: str) -> None:
        if n * tr <= PEAK:
            raise TimingError(
                f"{where} last {n * tr:g} s ({n} samples of {tr:g} s), and a response peaks after {PEAK:g} s. Is the "
                "repetition time in seconds?"
            )
