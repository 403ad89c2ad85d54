"""A world of objects on a grid of tokens, and the plain formulations that the fast ones are held against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ObjectWorld:
    """Pictures of 8 x 8 tokens with one 3 x 3 object for each area; units of an area read what its object carries."""

    tokens: np.ndarray
    responses: np.ndarray
    ceiling: np.ndarray
    centres: np.ndarray
    area: np.ndarray
    n_train: int


def object_world(
    seed: int,
    moving: bool,
    *,
    n_train: int = 800,
    n_test: int = 300,
    n_areas: int = 6,
    n_units: int = 20,
    snr: float = 0.5,
) -> ObjectWorld:
    """Objects whose place is drawn anew for every picture (moving), or stays: what an area reads never has a fixed place,
    or always.

    Tokens have 12 dimensions that say which object stands there and 12 that say what it carries; background noise of
    standard deviation .5. Responses are means of three trials with the given ratio of signal to noise variance.
    """
    rng = np.random.default_rng(seed)
    side, half, repeats = 8, 12, 3
    n = n_train + n_test
    keys = np.linalg.qr(rng.normal(size=(half, half)))[0][:n_areas]
    tokens = rng.normal(scale=0.5, size=(n, side, side, 2 * half))
    fixed = rng.permutation(np.array([(1, 1), (1, 4), (2, 6), (4, 1), (5, 4), (6, 6)]))[:n_areas]
    centres = np.empty((n, n_areas, 2), dtype=int)
    signal = np.empty((n, n_areas * n_units))
    for area in range(n_areas):
        carried = rng.normal(size=(n, half))
        centres[:, area] = rng.integers(1, side - 1, size=(n, 2)) if moving else fixed[area]
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                at = (np.arange(n), centres[:, area, 0] + down, centres[:, area, 1] + across)
                tokens[at[0], at[1], at[2], :half] += 2 * keys[area]
                tokens[at[0], at[1], at[2], half:] += carried
        signal[:, area * n_units : (area + 1) * n_units] = carried @ rng.normal(size=(half, n_units))
    signal = (signal - signal.mean(0)) / signal.std(0)
    noise = rng.normal(scale=np.sqrt(1 / (snr * repeats)), size=signal.shape)
    ceiling = np.full(signal.shape[1], repeats * snr / (repeats * snr + 1))
    area = np.repeat([f"area {number}" for number in range(n_areas)], n_units)
    return ObjectWorld(
        tokens.reshape(n, side * side, -1).astype(np.float32),
        (signal + noise).astype(np.float32),
        ceiling,
        centres,
        area,
        n_train,
    )
