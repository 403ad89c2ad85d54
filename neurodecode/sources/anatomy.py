"""Where the units of a simulated brain lie, what each would answer without noise, and which are dead."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from .scenes import World
from .tuning import Area, standardised

# An area fills a block of BLOCK x depth x SLICES voxels in each hemisphere; MARGIN voxels lie between blocks.
BLOCK, SLICES, MARGIN = 4, 2, 1
REACH = 2 * (BLOCK + MARGIN)
VOXEL = 4.0


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
    depth = max(-(-((n + 1) // 2) // (BLOCK * SLICES)) for n in n_units.values())
    columns: dict[str, list[np.ndarray]] = {}
    responses = []
    for position, (name, area) in enumerate(areas.items()):
        n = n_units[name]
        left = np.arange(n) < (n + 1) // 2
        hemi = np.where(left, "left", "right")
        values, truth = area.respond(world, hemi, stream(seed, "tuning", name))
        responses.append(standardised(values))
        i, j, k = _voxels(position, left, depth)
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


def _voxels(position: int, left: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Voxel of every unit of the area at ``position``: two blocks per row in each hemisphere, back to front."""
    row, lateral = divmod(position, 2)
    number = np.where(left, np.cumsum(left), np.cumsum(~left)) - 1
    aside = MARGIN + lateral * (BLOCK + MARGIN) + number % BLOCK
    i = np.where(left, REACH - aside, REACH + aside)
    j = MARGIN + row * (depth + MARGIN) + number // (BLOCK * SLICES)
    k = MARGIN + number // BLOCK % SLICES
    return i, j, k


def affine() -> np.ndarray:
    """Voxel to mm: voxels of 4 mm, left hemisphere at negative x, the first row at the back of the head."""
    matrix = np.diag([VOXEL, VOXEL, VOXEL, 1.0])
    matrix[:3, 3] = -VOXEL * REACH, -100.0, -8.0
    return matrix


def grid(unit: Mapping[str, np.ndarray]) -> list[int]:
    """Voxels of the volume along each axis: all units and a margin."""
    return [2 * REACH + 1, *(int(unit[axis].max()) + 1 + MARGIN for axis in ("j", "k"))]


def draw_dead(unit: Mapping[str, np.ndarray], n: int, seed: int) -> np.ndarray:
    """Which units record a constant: ``n`` of those that respond to anything."""
    alive = np.flatnonzero(unit["planted_ceiling"] > 0)
    if n > len(alive):
        raise ValueError(f"dead_units={n}, but only {len(alive)} units respond to anything")
    dead = np.zeros(len(unit["roi"]), dtype=bool)
    dead[stream(seed, "dead").choice(alive, n, replace=False)] = True
    return dead
