"""Textbook twins of the simulated world: slow, written from the definitions."""

from __future__ import annotations

import numpy as np
from scipy.signal import convolve2d


def slow_energy(grey: np.ndarray, orientation: float, frequency: float, degrees_per_pixel: float) -> np.ndarray:
    """Contrast energy by convolution in space: an explicit sine and cosine Gabor, squared, summed, square root."""
    spread = 1 / (2 * np.pi * 0.35 * frequency)
    reach = int(np.ceil(4.5 * spread / degrees_per_pixel))
    offset = np.arange(-reach, reach + 1) * degrees_per_pixel
    x, y = np.meshgrid(offset, -offset)
    theta = np.radians(orientation)
    phase = 2 * np.pi * frequency * (-x * np.sin(theta) + y * np.cos(theta))
    envelope = np.exp(-(x**2 + y**2) / (2 * spread**2)) / (2 * np.pi * spread**2) * degrees_per_pixel**2
    even = convolve2d(grey, envelope * np.cos(phase), mode="same")
    odd = convolve2d(grey, envelope * np.sin(phase), mode="same")
    return frequency * np.sqrt(even**2 + odd**2)


def slow_dipole(positions: np.ndarray, source: np.ndarray) -> np.ndarray:
    """A dipole as two opposite charges a hair's breadth apart; mean of all channels as reference, largest value 1."""
    on = positions / np.linalg.norm(positions, axis=1, keepdims=True)
    outward = source / np.linalg.norm(source)
    place, hair = 0.65 * outward, 1e-6 * outward
    plus = 1 / np.linalg.norm(on - place - hair, axis=1)
    minus = 1 / np.linalg.norm(on - place + hair, axis=1)
    potential = plus - minus
    potential -= potential.mean()
    return potential / potential[np.abs(potential).argmax()]


def slow_time_course(onsets: list[int], amplitudes: list[float], n_volumes: int, tr: float, hrf) -> np.ndarray:
    """Add up the response to each event, volume by volume."""
    course = np.zeros(n_volumes)
    for onset, amplitude in zip(onsets, amplitudes):
        for volume in range(onset, n_volumes):
            course[volume] += amplitude * float(hrf((volume - onset) * tr))
    return course


def slow_ceiling(values: np.ndarray, stimulus: np.ndarray) -> float:
    """Ceiling of the mean over repeats of one unit, as a correlation, from variances within and between scenes."""
    groups = [values[stimulus == name] for name in dict.fromkeys(stimulus.tolist())]
    n = len(groups[0])
    noise = np.mean([np.var(group, ddof=1) for group in groups])
    between = np.var([group.mean() for group in groups], ddof=1)
    signal = max(0.0, between - noise / n)
    return float(np.sqrt(signal / (signal + noise / n)))
