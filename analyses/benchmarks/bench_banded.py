"""Banded ridge beside himalaya's multiple-kernel ridge: seconds and held-out R2, alternating in one process.

    python analyses/benchmarks/bench_banded.py --samples 600 --targets 2000 --repeats 3

Three feature spaces; each target is driven by a random mixture of them. Both sides get the same standardised features,
float32, folds and penalties. The peer draws ``--peer-draws`` points at random; ours searches adaptively with
``--draws``, fewer, and has to reach the same R2 on samples that neither has seen. Medians over repeats.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings

import numpy as np
import torch

from neurodecode.compute.scores import r2
from neurodecode.linear import BandedRidge


def world(n: int, sizes: list[int], t: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (2n, p) of unit variance, targets (2n, t) with as much noise as signal, band of each feature."""
    rng = np.random.default_rng(seed)
    band = np.repeat(np.arange(len(sizes)), sizes)
    x = np.concatenate([rng.normal(size=(2 * n, k)) @ (rng.normal(size=(k, k)) / np.sqrt(k)) for k in sizes], 1)
    x = (x - x[:n].mean(0)) / x[:n].std(0)
    share = rng.dirichlet(np.full(len(sizes), 0.5), t).T
    signal = np.zeros((2 * n, t))
    for number, size in enumerate(sizes):
        part = x[:, band == number] @ rng.normal(size=(size, t))
        signal += np.sqrt(share[number]) * part / part.std(0)
    y = signal / signal.std(0) + rng.normal(size=(2 * n, t))
    return x.astype(np.float32), (y - y[:n].mean(0)).astype(np.float32), band


def ours(x: np.ndarray, y: np.ndarray, band: np.ndarray, alphas: np.ndarray, draws: int, solver: str) -> np.ndarray:
    n = len(x) // 2
    model = BandedRidge(list(band), alphas, draws, solver=solver, random_state=0).fit(x[:n], y[:n])
    return np.asarray(model.predict(x[n:]))


def peer(x: np.ndarray, y: np.ndarray, band: np.ndarray, alphas: np.ndarray, draws: int, how: str) -> np.ndarray:
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import MultipleKernelRidgeCV
    from himalaya.scoring import r2_score

    backend = set_backend("torch")
    n, tensor = len(x) // 2, torch.from_numpy(x)
    kernels = [torch.stack([tensor[rows][:, band == b] @ tensor[:n][:, band == b].T for b in np.unique(band)])
               for rows in (slice(n), slice(n, None))]  # fmt: skip
    params = {"n_iter": draws, "alphas": torch.from_numpy(alphas.astype(np.float32)), "progress_bar": False,
              "n_targets_batch": 1000, "n_alphas_batch": 5, "n_targets_batch_refit": 500, "diagonalize_method": how,
              "score_func": r2_score}  # fmt: skip
    model = MultipleKernelRidgeCV("precomputed", solver_params=params, cv=5, random_state=0)
    return np.asarray(backend.to_numpy(model.fit(kernels[0], torch.from_numpy(y[:n])).predict(kernels[1])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--features", type=int, nargs="+", default=[100, 400, 1000])
    parser.add_argument("--targets", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--peer-draws", type=int, default=60)
    parser.add_argument("--solver", default="adaptive")
    parser.add_argument("--diagonalize", nargs="+", default=["svd", "eigh"], help="the peer's; svd is its default")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    warnings.simplefilter("ignore")
    alphas = np.logspace(-1, 6, 15)
    x, y, band = world(given.samples, given.features, given.targets, given.seed)
    jobs = {"neurodecode": lambda: ours(x, y, band, alphas, given.draws, given.solver)}
    for how in given.diagonalize:
        jobs[f"himalaya {how}"] = lambda how=how: peer(x, y, band, alphas, given.peer_draws, how)
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    score: dict[str, float] = {}
    for _ in range(given.repeats):
        for name, job in jobs.items():
            start = time.perf_counter()
            predicted = job()
            seconds[name].append(time.perf_counter() - start)
            score[name] = float(r2(y[given.samples :], predicted).mean())
    mine = float(np.median(seconds["neurodecode"]))
    rows = {
        name: {"seconds": round(float(np.median(taken)), 3), "r2": round(score[name], 4),
               "ratio": round(float(np.median(taken)) / mine, 2)}
        for name, taken in seconds.items()
    }  # fmt: skip
    print(json.dumps({"settings": vars(given), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
