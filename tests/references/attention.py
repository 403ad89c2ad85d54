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
    """Objects whose place is drawn anew for every picture (moving), or stays.

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


def normalised_accuracy(world: ObjectWorld, predicted: np.ndarray) -> float:
    """Mean over units of min(1, max(0, r)^2 / ceiling) on the pictures that were not fitted."""
    truth = world.responses[world.n_train :]
    total = 0.0
    for unit in range(truth.shape[1]):
        if np.ptp(predicted[:, unit]) == 0:
            continue
        r = np.corrcoef(truth[:, unit], predicted[:, unit])[0, 1]
        total += min(1.0, max(0.0, r) ** 2 / world.ceiling[unit])
    return total / truth.shape[1]


def routed_by_hand(state: dict[str, np.ndarray], tokens: np.ndarray, n_heads: int, members: np.ndarray) -> np.ndarray:
    """The routed encoder as the formulas say it: one picture, one area, one head, one unit after another, in float64.

    ``state`` the weights by name; ``tokens`` (n, P, D); ``members`` boolean (areas, units), columns in the order of the
    readout. Values are projected, places learned.
    """
    get = {name: np.asarray(value, dtype=float) for name, value in state.items()}
    query, key, value = get["reader.query"], get["reader.key"], get["reader.value"]
    width = query.shape[1]
    size = width // n_heads
    answer = np.zeros((len(tokens), members.shape[1]))
    for n, x in enumerate(np.asarray(tokens, dtype=float)):
        for area in range(len(query)):
            read = np.zeros(width)
            for head in range(n_heads):
                part = slice(head * size, (head + 1) * size)
                logits = np.array(
                    [query[area, part] @ (key[part] @ (x[p] + get["reader.places"][p])) for p in range(len(x))]
                ) / np.sqrt(size)
                weights = np.exp(logits - logits.max())
                weights /= weights.sum()
                read[part] = sum(w * (value[part] @ token) for w, token in zip(weights, x))
            t = get["reader.out.weight"] @ read + get["reader.out.bias"]
            inner = layer_norm(t) * get["reader.hidden.0.weight"] + get["reader.hidden.0.bias"]
            inner = np.maximum(get["reader.hidden.1.weight"] @ inner + get["reader.hidden.1.bias"], 0)
            t = t + get["reader.hidden.4.weight"] @ inner + get["reader.hidden.4.bias"]
            t = layer_norm(t) * get["reader.norm.weight"] + get["reader.norm.bias"]
            for unit in np.flatnonzero(members[area]):
                answer[n, unit] += get["readout.weight"][unit] @ t
    return answer + get["readout.bias"]


def layer_norm(t: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1 over the numbers of one vector."""
    return (t - t.mean()) / np.sqrt(t.var() + 1e-5)
