"""Hyperalignment of more units than samples, beside the same three passes by decompositions of units x units.

Float64, in turn in one process; what both say of the training samples is compared.

    python analyses/benchmarks/bench_hyperalignment.py [--people 5] [--samples 200] [--units 1000] [--rounds 1]
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from side_by_side import report, side_by_side
from threadpoolctl import threadpool_limits

from neurodecode.similarity import Hyperalignment


def plain(people: list[np.ndarray]) -> np.ndarray:
    """Mean of the rotated rows, all people of one width."""

    def turned(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        left, _, right = np.linalg.svd(x.T @ y)
        return x @ (left @ right)

    running, done = people[0], [people[0]]
    for x in people[1:]:
        done.append(turned(x, running))
        running = sum(done) / len(done)
    second = [turned(x, (sum(done) - own) / (len(people) - 1)) for x, own in zip(people, done)]
    common = sum(second) / len(second)
    return sum(turned(x, common) for x in people) / len(people)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("people", 5), ("samples", 200), ("units", 1000), ("rounds", 1), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    threadpool_limits(asked.threads)
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(asked.samples, 20))
    people = [
        shared @ rng.normal(size=(20, asked.units)) + rng.normal(size=(asked.samples, asked.units))
        for _ in range(asked.people)
    ]
    people = [x - x.mean(0) for x in people]
    named = {f"person{at}": x for at, x in enumerate(people)}
    for k in (None, 20):
        found = side_by_side(
            lambda k=k: Hyperalignment(k, standardize=False).fit(named).shared_, lambda: plain(people), asked.rounds
        )
        expected = found.theirs
        if k is not None:  # the same up to the signs of the axes
            expected = expected @ np.linalg.svd(expected, full_matrices=False)[2][:k].T
            expected = expected * np.sign((expected * found.ours).sum(0))
        off = np.abs(found.ours - expected).max()
        size = f"{asked.people} people, {asked.samples} x {asked.units}, n_components={k}"
        report(f"hyperalignment, {size}", "units x units", found, 1, f"values differ by {off:.1e}")


if __name__ == "__main__":
    main()
