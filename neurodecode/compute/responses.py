"""The haemodynamic response as a difference of two gamma densities, and its area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import gamma

DURATION = 32.0


@dataclass(frozen=True)
class DoubleGamma:
    r"""A response that rises, falls, and undershoots, for 0 <= t <= 32 s; 0 elsewhere.

    ``h(t) = g(t; delay, dispersion) - ratio g(t; undershoot, undershoot_dispersion)``, where ``g(t; m, s)`` is the
    density of a gamma variable of mean m and scale s: shape ``m / s``.

    Parameters
    ----------
    delay, undershoot : means of the two densities in seconds. dispersion, undershoot_dispersion : their scales in
        seconds. ratio : size of the undershoot.

    References
    ----------
    Friston et al. (1998), NeuroImage 7, "Event-related fMRI: characterizing differential responses"; Glover (1999),
    NeuroImage 9, equation 5.

    Examples
    --------
    >>> round(float(DoubleGamma().area(32.0)), 4)
    0.8334
    """

    delay: float = 6.0
    undershoot: float = 16.0
    dispersion: float = 1.0
    undershoot_dispersion: float = 1.0
    ratio: float = 1 / 6

    def __call__(self, seconds: np.ndarray) -> np.ndarray:
        """Height at ``seconds`` after an impulse, any shape, per second."""
        t = np.asarray(seconds, dtype=float)
        early = gamma.pdf(t, self.delay / self.dispersion, scale=self.dispersion)
        late = gamma.pdf(t, self.undershoot / self.undershoot_dispersion, scale=self.undershoot_dispersion)
        return np.where((t >= 0) & (t <= DURATION), early - self.ratio * late, 0.0)

    def area(self, seconds: np.ndarray) -> np.ndarray:
        """Area from 0 to ``seconds``, which stays what it is after 32 s."""
        t = np.clip(np.asarray(seconds, dtype=float), 0.0, DURATION)
        early = gamma.cdf(t, self.delay / self.dispersion, scale=self.dispersion)
        late = gamma.cdf(t, self.undershoot / self.undershoot_dispersion, scale=self.undershoot_dispersion)
        return early - self.ratio * late


RESPONSES = {
    "spm": DoubleGamma(),
    "glover": DoubleGamma(undershoot=12.0, dispersion=0.9, undershoot_dispersion=0.9, ratio=0.48),
}
