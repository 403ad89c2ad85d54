"""Shape distance and canonical correlations of a pair and of a grid, beside a plain version with an SVD for each pair.

The plain version centres, takes the thin SVD of both sides with LAPACK, weights the directions and takes the singular
values of their product: the textbook, without anything kept between pairs. Float64, in turn in one process. Ask: 2x
for the shape distance, 1.8x for CCA.

    python analyses/benchmarks/bench_shapes.py [--samples 2000] [--units 300] [--layers 6] [--rounds 3] [--threads 2]
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from side_by_side import report, side_by_side
from threadpoolctl import threadpool_limits

from neurodecode.similarity import compare, compare_grid


def plain_shape(x: np.ndarray, y: np.ndarray, alpha: float = 0.5) -> float:
    weighted = []
    for side in (x, y):
        u, s, _ = np.linalg.svd(side - side.mean(0), full_matrices=False)
        t = alpha * s / np.sqrt((s**2).mean()) + 1 - alpha
        weighted.append(u * t)
    a, b = weighted
    nuclear = np.linalg.svd(a.T @ b, compute_uv=False).sum()
    return float(np.arccos(nuclear / np.linalg.norm(a) / np.linalg.norm(b)))


def plain_cca(x: np.ndarray, y: np.ndarray) -> float:
    u, v = (np.linalg.svd(side - side.mean(0), full_matrices=False)[0] for side in (x, y))
    return float(np.linalg.svd(u.T @ v, compute_uv=False).mean())


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("samples", 2000), ("units", 300), ("layers", 6), ("rounds", 3), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    threadpool_limits(asked.threads)
    rng = np.random.default_rng(0)
    n, p = asked.samples, asked.units
    latent = rng.normal(size=(n, 20))
    layers = [latent @ rng.normal(size=(20, p)) + 2 * rng.normal(size=(n, p)) for _ in range(2 * asked.layers)]
    one = {f"layer{at}": layer for at, layer in enumerate(layers[: asked.layers])}
    two = {f"layer{at}": layer for at, layer in enumerate(layers[asked.layers :])}
    x, y = layers[0], layers[-1]
    for how, plain, ask in (("shape", plain_shape, 2.0), ("cca", plain_cca, 1.8)):
        pair = side_by_side(lambda how=how: compare(x, y, how), lambda plain=plain: plain(x, y), asked.rounds)
        apart = f"values differ by {abs(pair.ours - pair.theirs):.1e}; {asked.threads} threads"
        report(f"{how}, {n} x {p}, a pair", "an SVD for each pair", pair, ask, apart)
        grid = side_by_side(
            lambda how=how: compare_grid(one, two, how).values,
            lambda plain=plain: np.array([[plain(a, b) for b in two.values()] for a in one.values()]),
            max(1, asked.rounds // 2),
        )
        apart = f"values differ by {np.abs(grid.ours - grid.theirs).max():.1e}; {asked.threads} threads"
        report(f"{how}, {asked.layers} x {asked.layers} layers", "an SVD for each pair", grid, ask, apart)


if __name__ == "__main__":
    main()
