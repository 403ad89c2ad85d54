"""Ridge beside himalaya's kernel ridge: seconds, held-out R2 and penalties, alternating in one process.

    python analyses/benchmarks/bench_ridge.py
    python analyses/benchmarks/bench_ridge.py --features 10000 --targets 5000

Both sides get the same float32 arrays, folds and penalties, and choose by R2. The peer runs its torch backend with the
fastest of the batch sizes in ``PEERS``, found in a first round. It keeps dual weights, so ours is timed with
``weights="dual"`` and with coefficients in memory. ``--decay`` makes the spectrum of the features fall like
rank^-decay, as that of natural features does; with 0 they are white. The share of the limit is the rate of the products
that our algorithm asks for over that of a large sgemm, timed between the runs.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from neurodecode.linear import Ridge

CLOCK = {"now": time.perf_counter}
PEERS = ((1000, 20, 1000), (2000, 20, 500), (500, 20, 500), (5000, 5, 1000))  # targets, penalties, targets of the refit


def world(n: int, p: int, t: int, decay: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (n + 200, p) and targets (n + 200, t), float32; half of the targets follow the features at SNR 1."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n + 200, p), dtype=np.float32)
    x *= (np.arange(1, p + 1, dtype=np.float32) ** (-decay / 2))[None]
    x *= np.float32(np.sqrt(p) / np.linalg.norm(x[:n]) * np.sqrt(n))
    y = np.zeros((n + 200, t), dtype=np.float32)
    y[:, : t // 2] = x @ rng.standard_normal((p, t // 2), dtype=np.float32) / np.sqrt(p)
    y += rng.standard_normal(y.shape, dtype=np.float32)
    return x - x[:n].mean(0), y - y[:n].mean(0)


def ours(x: np.ndarray, y: np.ndarray, alphas: np.ndarray, folds: int, precision: str, weights: str) -> Any:
    """Penalties, cross-validated R2 and the model."""
    model = Ridge(alphas, cv=folds, fit_intercept=False, precision=precision).fit(x, y, weights=weights)
    return model.alpha_, model.best_score_, model


def peer(x: np.ndarray, y: np.ndarray, alphas: np.ndarray, folds: int, sizes: tuple[int, int, int]) -> Any:
    """The same from himalaya."""
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import KernelRidgeCV
    from himalaya.scoring import r2_score

    set_backend("torch")
    params = {"n_targets_batch": sizes[0], "n_alphas_batch": sizes[1], "n_targets_batch_refit": sizes[2]}
    grid = torch.from_numpy(alphas.astype(np.float32))
    model = KernelRidgeCV(grid, cv=folds, solver_params={**params, "score_func": r2_score}, warn=False)
    model.fit(torch.from_numpy(x), torch.from_numpy(y))
    return model.best_alphas_.numpy(), model.cv_scores_.numpy(), model


def timed(job: Callable[[], Any]) -> tuple[float, Any]:
    start = CLOCK["now"]()
    found = job()
    return CLOCK["now"]() - start, found


def sgemm(size: int = 2048) -> float:
    """Products a second (2 x multiply-adds) of a large float32 matrix product."""
    a = torch.ones(size, size)
    return 2 * size**3 / min(timed(lambda: a @ a)[0] for _ in range(3))


def asked(n: int, p: int, t: int, penalties: int, folds: int) -> float:
    """Arithmetic of a plain dual solution with all penalties: Gram matrix, sweep, dual weights."""
    train = n - n // folds
    return 2.0 * (n * n * p + folds * penalties * (n - train) * train * t + 2 * n * n * t)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--features", type=int, default=2000)
    parser.add_argument("--targets", type=int, default=20_000)
    parser.add_argument("--penalties", type=int, default=20)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--decay", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cpu", action="store_true", help="processor time instead of wall time, for a busy machine")
    given = parser.parse_args()
    CLOCK["now"] = time.process_time if given.cpu else time.perf_counter
    torch.set_num_threads(given.threads)
    warnings.simplefilter("ignore")
    alphas = np.logspace(0, 6, given.penalties)
    x, y = world(given.samples, given.features, given.targets, given.decay, given.seed)
    x, y = np.ascontiguousarray(x[: given.samples]), np.ascontiguousarray(y[: given.samples])
    sizes = min(PEERS, key=lambda one: timed(lambda: peer(x, y, alphas, given.folds, one))[0])
    jobs: dict[str, Callable[[], Any]] = {f"himalaya {sizes}": lambda: peer(x, y, alphas, given.folds, sizes)}
    for precision in ("exact", "fast"):
        for weights in ("dual", "memory"):
            jobs[f"{precision}, {weights}"] = lambda precision=precision, weights=weights: ours(
                x, y, alphas, given.folds, precision, weights
            )
            jobs[f"{precision}, {weights}"]()
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    answers: dict[str, Any] = {}
    limit = []
    for _ in range(given.repeats):
        limit.append(sgemm())
        for name, job in jobs.items():
            seconds, answers[name] = timed(job)
            taken[name].append(seconds)
            answers[name] = answers[name][:2]
    base = next(iter(jobs))
    plain = asked(given.samples, given.features, given.targets, given.penalties, given.folds) / np.median(limit)
    rows = {
        name: {
            "seconds": round(float(np.median(seconds)), 3),
            "ratio": round(float(np.median(np.array(taken[base]) / np.array(seconds))), 2),
            "share of sgemm limit": round(plain / float(np.median(seconds)), 2),
            "mean R2 less the peer's": float(f"{answers[name][1].mean() - answers[base][1].mean():.2g}"),
            "mean log10 penalty less the peer's": float(
                f"{np.log10(answers[name][0]).mean() - np.log10(answers[base][0]).mean():.2g}"
            ),
        }
        for name, seconds in taken.items()
    }
    said = {"settings": vars(given), "sgemm GFLOP/s": round(float(np.median(limit)) / 1e9), "load": os.getloadavg()[0]}
    print(json.dumps({**said, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
