"""Where the units of a simulated brain lie, what each would answer without noise, and which are dead."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from .scenes import World
from .tuning import Area, standardised

# A toy brain: an ellipsoid (mm) whose outer fifth is cortex, cut into voxels, split between the hemispheres.
VOXEL = 4.0
CENTRE, RADII, DEPTH = (0.0, -18.0, 10.0), (66.0, 86.0, 56.0), 0.8
# Where the middle of an area lies in the right hemisphere (mm); areas that are not listed are spread over the rest.
PLACES = {
    "V1": (10.0, -100.0, 6.0),
    "V2": (26.0, -94.0, 22.0),
    "face area": (44.0, -56.0, -20.0),
    "house area": (18.0, -52.0, -34.0),
    "language area": (60.0, -34.0, 18.0),
    "null area": (30.0, 44.0, 34.0),
}


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Random numbers for one purpose: the same whatever else is drawn.

    Examples
    --------
    >>> bool(stream(0, "noise", "V1").random() == stream(0, "noise", "V1").random())
    True
    """
    key = zlib.crc32("/".join(map(str, names)).encode())
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key,)))


def anatomy(
    world: World,
    areas: Mapping[str, Area],
    n_units: Mapping[str, int],
    ceilings: Mapping[str, float],
    seed: int,
    subject: str,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Unit coordinates, and the noise-free responses (scenes, units), each unit with variance 1."""
    voxels = _voxels(areas, n_units)
    columns: dict[str, list[np.ndarray]] = {}
    responses = []
    for name, area in areas.items():
        n = n_units[name]
        left = np.arange(n) < (n + 1) // 2
        hemi = np.where(left, "left", "right")
        values, truth = area.respond(world, hemi, stream(seed, "tuning", name))
        responses.append(standardised(values))
        i, j, k = voxels[name]
        unset = np.full(n, np.nan)
        row = {
            "roi": np.full(n, name),
            "hemi": hemi,
            "subject": np.full(n, subject),
            "i": i,
            "j": j,
            "k": k,
            "planted_ceiling": np.full(n, ceilings[name]),
            "planted_x": unset,
            "planted_y": unset,
            "planted_size": unset,
            "planted_kind": np.full(n, ""),
            **truth,
        }
        for key, value in row.items():
            columns.setdefault(key, []).append(value)
    unit = {key: np.concatenate(values) for key, values in columns.items()}
    voxel = np.stack([unit["i"], unit["j"], unit["k"], np.ones(len(unit["i"]))])
    unit |= dict(zip(("x", "y", "z"), (affine() @ voxel)[:3]))
    return unit, np.concatenate(responses, axis=1)


def _voxels(areas: Mapping[str, Area], n_units: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Voxels (3, units) of every area: the free ones nearest to its middle, the same on both sides of the head."""
    i, j, k = (index.ravel() for index in np.indices(grid()))
    x, y, z = (affine() @ np.stack([i, j, k, np.ones(len(i))]))[:3]
    distance = np.sqrt(sum(((mm - c) / r) ** 2 for mm, c, r in zip((x, y, z), CENTRE, RADII)))
    free = (distance <= 1) & (distance >= DEPTH) & (x > 0)
    halves = {name: (n_units[name] + 1) // 2 for name in areas}
    if sum(halves.values()) > free.sum():
        raise ValueError(f"{sum(n_units.values())} units do not fit into a brain of {2 * free.sum()} voxels")
    found = {}
    for number, (name, half) in enumerate(halves.items()):
        middle = PLACES.get(name) or _elsewhere(number)
        away = (x - middle[0]) ** 2 + (y - middle[1]) ** 2 + (z - middle[2]) ** 2
        chosen = np.argsort(np.where(free, away, np.inf), kind="stable")[:half]
        free[chosen] = False
        right = np.stack([i[chosen], j[chosen], k[chosen]])
        left = np.stack([grid()[0] - 1 - i[chosen], j[chosen], k[chosen]])
        found[name] = np.concatenate([left, right[:, : n_units[name] - half]], axis=1)
    return found


def _elsewhere(number: int) -> tuple[float, float, float]:
    """A place on the right half of the ellipsoid, far from the last ones (golden angle)."""
    up = 1 - 2 * ((number * 0.618034) % 1)
    turn = np.pi * ((number * 0.754878) % 1)
    direction = (np.sqrt(1 - up**2) * np.sin(turn), np.sqrt(1 - up**2) * np.cos(turn), up)
    x, y, z = (c + 0.9 * r * d for c, r, d in zip(CENTRE, RADII, direction))
    return float(x), float(y), float(z)


def affine() -> np.ndarray:
    """Voxel to mm: voxels of 4 mm, the first at the left, back and bottom of the head; no voxel lies at x = 0."""
    matrix = np.diag([VOXEL, VOXEL, VOXEL, 1.0])
    sizes = grid()
    matrix[:3, 3] = [c - VOXEL * (n - 1) / 2 for c, n in zip(CENTRE, sizes)]
    return matrix


def grid() -> tuple[int, int, int]:
    """Voxels of the volume along each axis: the ellipsoid and a margin; an even number from left to right."""
    i, j, k = (2 * int(np.ceil(r / VOXEL)) + 2 for r in RADII)
    return i, j, k


def draw_dead(unit: Mapping[str, np.ndarray], n: int, seed: int) -> np.ndarray:
    """Which units record a constant: ``n`` of those that respond to anything."""
    alive = np.flatnonzero(unit["planted_ceiling"] > 0)
    if n > len(alive):
        raise ValueError(f"dead_units={n}, but only {len(alive)} units respond to anything")
    dead = np.zeros(len(unit["roi"]), dtype=bool)
    dead[stream(seed, "dead").choice(alive, n, replace=False)] = True
    return dead
