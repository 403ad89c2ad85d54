"""Linear CKA of a pair, 5,000 stimuli x 1,000 units, and of 12 x 12 layers of 2,000 x 500.

The pair beside ckatorch (its ``cka_base`` with a linear kernel) and beside the formula as it is printed (two n x n
kernels, a centring matrix; ``--plain``); the grid beside a loop of three products a pair, which is how CKA is usually
written well. All in float64, in turn in one process. Ask: 10x for the pair, 1.6x for the grid.

    python analyses/benchmarks/bench_cka.py [--samples 5000] [--units 1000] [--layers 12] [--rounds 3]
        [--grid-samples 2000] [--grid-units 500] [--threads 2] [--plain]
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from side_by_side import report, side_by_side
from threadpoolctl import threadpool_limits

from neurodecode.similarity import compare, compare_grid


def plain_pair(x: np.ndarray, y: np.ndarray) -> float:
    """HSIC with centring matrices, as printed (Kornblith et al. 2019, eq. 3)."""
    n = len(x)
    centring = np.eye(n) - 1.0 / n
    k, m = centring @ (x @ x.T) @ centring, centring @ (y @ y.T) @ centring
    return float((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))


def plain_grid(layers: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> np.ndarray:
    """Features centred, three products of features for each pair."""
    found = np.empty((len(layers), len(others)))
    for i, x in enumerate(layers.values()):
        for j, y in enumerate(others.values()):
            a, b = x - x.mean(0), y - y.mean(0)
            found[i, j] = np.linalg.norm(a.T @ b) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("samples", 5000), ("units", 1000), ("layers", 12), ("rounds", 3), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--grid-samples", type=int, default=2000)
    parser.add_argument("--grid-units", type=int, default=500)
    parser.add_argument("--plain", action="store_true", help="the printed formula in the place of ckatorch")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    threadpool_limits(asked.threads)
    rng = np.random.default_rng(0)
    n, p = asked.samples, asked.units

    def layer(samples: int, units: int) -> np.ndarray:
        latent = np.random.default_rng(1).normal(size=(samples, 20))
        return latent @ rng.normal(size=(20, units)) + 2 * rng.normal(size=(samples, units))

    x, y = layer(n, p), layer(n, p)
    if asked.plain:
        peer, name = (lambda: plain_pair(x, y)), "the printed formula"
    else:
        from ckatorch import cka_base

        one, two = torch.from_numpy(x), torch.from_numpy(y)
        peer, name = (lambda: float(cka_base(one, two, kernel="linear", unbiased=False))), "ckatorch"
    found = side_by_side(lambda: compare(x, y, "cka"), peer, asked.rounds)
    apart = f"values differ by {abs(found.ours - found.theirs):.1e}; {asked.threads} threads"
    report(f"linear CKA, {n} x {p}, a pair", name, found, 10, apart)
    size = asked.grid_samples, asked.grid_units
    one_net, other_net = ({f"layer{at}": layer(*size) for at in range(asked.layers)} for _ in range(2))
    for job, second in (("of two networks", other_net), ("of a network with itself", one_net)):
        both = side_by_side(
            lambda second=second: compare_grid(one_net, second, "cka").values,
            lambda second=second: plain_grid(one_net, second),
            max(1, asked.rounds // 2),
        )
        apart = f"values differ by {np.abs(both.ours - both.theirs).max():.1e}; {asked.threads} threads"
        report(
            f"linear CKA, {asked.layers} x {asked.layers} layers of {size[0]} x {size[1]} {job}",
            "a loop",
            both,
            1.6,
            apart,
        )


if __name__ == "__main__":
    main()
