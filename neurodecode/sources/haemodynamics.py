"""From events to a BOLD time series: the canonical double-gamma response, AR(1) noise, slow drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..compute.responses import DURATION, RESPONSES


def hrf(seconds: np.ndarray, peak: float | None = None) -> np.ndarray:
    """Canonical haemodynamic response, largest value 1.

    ``h(t) = gamma(t; 6) - gamma(t; 16) / 6`` for 0 <= t <= 32 s, else 0, where ``gamma(t; a)`` is the density
    of a gamma variable of shape ``a`` and scale 1 s.

    Parameters
    ----------
    seconds : times after the event, any shape.
    peak : time of the maximum; the whole curve is shifted to it. None leaves it at ``hrf_peak()``, 5.0 s.

    References
    ----------
    Friston et al. (1998), "Event-related fMRI: characterizing differential responses"; the defaults of SPM.

    Examples
    --------
    >>> import numpy as np
    >>> float(hrf(np.array([6.0]), peak=6.0).round(6)[0])
    1.0
    """
    shift = 0.0 if peak is None else peak - hrf_peak()
    t = np.asarray(seconds, dtype=float)
    curve = RESPONSES["spm"](t - shift) / RESPONSES["spm"](np.array(hrf_peak()))
    return np.where(t >= 0, curve, 0.0)


def hrf_peak() -> float:
    """Seconds from the event to the maximum of the canonical response, to a millisecond.

    Examples
    --------
    >>> abs(hrf_peak() - 5) < 0.01
    True
    """
    grid = np.arange(4.5, 5.5, 0.001)
    return float(grid[np.argmax(RESPONSES["spm"](grid))])


@dataclass(frozen=True)
class Haemodynamics:
    """How a continuous recording is made of events.

    tr : seconds from volume to volume.
    peak : seconds from the onset of a scene to the maximum of the response; None draws 4.5 to 6 s per person.
    evoked : response to any scene at all, in standard deviations of the responses that tell scenes apart.
    gaps : least and most volumes from one onset to the next; onsets fall on volumes.
    autocorrelation : correlation of the noise with itself one volume later.
    drift : standard deviation of the slow drift of each run, in units of the noise-free time course.
    """

    tr: float = 2.0
    peak: float | None = None
    evoked: float = 2.0
    gaps: tuple[int, int] = (2, 5)
    autocorrelation: float = 0.3
    drift: float = 0.5

    def check(self) -> None:
        """Raise ValueError when a setting cannot be simulated."""
        if not 0 < self.tr <= 10:
            raise ValueError(f"tr={self.tr}: seconds from volume to volume are needed, above 0 and up to 10")
        if self.peak is not None and not 4 <= self.peak <= 9:
            raise ValueError(f"peak={self.peak}: the response should peak 4 to 9 seconds after the event")
        if not 1 <= self.gaps[0] <= self.gaps[1]:
            raise ValueError(f"gaps={self.gaps}: expected (least, most) volumes between onsets, 1 or more")
        if not 0 <= self.autocorrelation < 1:
            raise ValueError(f"autocorrelation={self.autocorrelation}: expected 0 or more and below 1")

    def onsets(self, n_events: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Volume of each event of a run, and how many volumes the run has: it ends when the last response has."""
        volumes = np.concatenate([[0], np.cumsum(rng.integers(self.gaps[0], self.gaps[1] + 1, n_events - 1))])
        tail = int(np.ceil((DURATION + 5) / self.tr))
        return volumes, int(volumes[-1]) + tail

    def convolve(self, amplitudes: np.ndarray, volumes: np.ndarray, n_volumes: int, peak: float) -> np.ndarray:
        """Noise-free time course ``(n_volumes, units)`` of events with ``amplitudes`` (events, units)."""
        lag = (np.arange(n_volumes)[:, None] - volumes[None, :]) * self.tr
        return np.where(lag >= 0, hrf(lag, peak), 0.0) @ amplitudes

    def noise(self, n_volumes: int, n_units: int, rng: np.random.Generator) -> np.ndarray:
        """AR(1) noise with variance 1 at every volume, independent between units."""
        innovation = rng.standard_normal((n_volumes, n_units))
        series = innovation.copy()
        rho = self.autocorrelation
        for volume in range(1, n_volumes):
            series[volume] = rho * series[volume - 1] + np.sqrt(1 - rho**2) * innovation[volume]
        return series

    def drifts(self, n_volumes: int, n_units: int, rng: np.random.Generator) -> np.ndarray:
        """Straight line plus half a cosine per run and unit, each of standard deviation ``drift / sqrt(2)``."""
        t = (np.arange(n_volumes) + 0.5) / n_volumes
        basis = np.stack([np.sqrt(12) * (t - 0.5), np.sqrt(2) * np.cos(2 * np.pi * t)], 1)
        return self.drift / np.sqrt(2) * basis @ rng.standard_normal((2, n_units))
