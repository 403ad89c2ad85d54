"""Scores of dissimilarities beside rsatoolbox and scipy: 50 matrices with 10 others, 200 stimuli.

Kendall's tau-a (ask: level with the faster of scipy and rsatoolbox) without ties, and with models of two and of ten
levels; the whitened cosine (ask: level with rsatoolbox, 18 ms); and, for the record, Spearman. All run in turn in one
process.

    OMP_NUM_THREADS=2 python analyses/benchmarks/bench_rdm_scores.py [--stimuli 200] [--rounds 3]
"""

from __future__ import annotations

import argparse

import numpy as np
from side_by_side import report, side_by_side

from neurodecode.similarity.rdm_scores import kendall_tau_a, spearman, whitened_cosine


def main() -> None:
    from rsatoolbox.rdm.compare import compare
    from scipy.stats import kendalltau

    parser = argparse.ArgumentParser()
    for name, default in (("stimuli", 200), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    pairs = asked.stimuli * (asked.stimuli - 1) // 2
    a, b = rng.normal(size=(50, pairs)) ** 2, rng.normal(size=(10, pairs)) ** 2
    size = f"50 x 10 RDMs of {asked.stimuli}"

    def scipy_tau(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.array([[kendalltau(one, two).statistic for two in y] for one in x])

    for ties, model in (
        ("no ties", b),
        ("models of 2 levels", (b > 1) * 1.0),
        ("models of 10 levels", np.round(b * 2)),
    ):
        found = side_by_side(lambda y=model: kendall_tau_a(a, y), lambda y=model: compare(a, y, "tau-a"), asked.rounds)
        report(f"Kendall tau-a, {size}, {ties}", "rsatoolbox", found, 1, differ(found))
        found = side_by_side(lambda y=model: kendall_tau_a(a, y), lambda y=model: scipy_tau(a, y), asked.rounds)
        also = "the peer gives tau-b" if ties != "no ties" else differ(found)
        report(f"Kendall tau-a, {size}, {ties}", "scipy", found, 1, also)
    for name, ours, theirs in (("whitened cosine", whitened_cosine, "cosine_cov"), ("Spearman", spearman, "spearman")):
        found = side_by_side(
            lambda ours=ours: ours(a, b), lambda theirs=theirs: compare(a, b, theirs), 5 * asked.rounds
        )
        report(f"{name}, {size}", "rsatoolbox", found, 1, differ(found))


def differ(found: object) -> str:
    return f"largest difference {np.abs(found.ours - found.theirs).max():.1e}"


if __name__ == "__main__":
    main()
