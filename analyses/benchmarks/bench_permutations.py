"""1,000 label permutations of an LDA and 1,000 permutations of ridge, beside scikit-learn.

The same permutations and folds on both sides, one thread each; scikit-learn fits again for each of the first ``--peer``
permutations, and its time is taken times 1,000 / ``--peer``. Ridge comes with one penalty (beside ``Ridge``) and with a
choice among 11 by 5 inner folds (beside ``RidgeCV`` with the same folds). Ask: 400x for LDA and 1,000x for ridge, the
same p for the same labellings.

    python analyses/benchmarks/bench_permutations.py [--samples 200] [--features 100] [--permutations 1000] [--peer 50]
        [--rounds 3] [--jobs lda ridge nested]
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
from side_by_side import Found, report
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge as ScikitRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold

from neurodecode.compute.nulls import permutation_orders
from neurodecode.evaluation import cross_validate
from neurodecode.linear import LinearClassifier, Ridge

ALPHA = 10.0
ALPHAS = tuple(10.0**power for power in range(-2, 9))
JOBS: dict[str, tuple[str, Any, Any, str, float]] = {
    "lda": (
        "LDA, accuracy", LinearClassifier("lda", shrinkage=0.1), LinearDiscriminantAnalysis("lsqr", shrinkage=0.1),
        "accuracy", 400,
    ),
    "ridge": ("ridge, one penalty, r", Ridge(alphas=ALPHA), ScikitRidge(ALPHA), "r", 1000),
    "nested": ("ridge, 11 penalties, r", Ridge(alphas=ALPHAS), RidgeCV(ALPHAS, cv=KFold(5)), "r", 1000),
}  # fmt: skip


def loop(est: Any, x: np.ndarray, y: np.ndarray, folds: list[Any], score: str) -> float:
    """The mean over folds of the score, by hand: less to do for scikit-learn than in ``cross_val_score``."""
    found = []
    for train, test in folds:
        predicted = clone(est).fit(x[train], y[train]).predict(x[test])
        right = np.mean(predicted == y[test]) if score == "accuracy" else np.corrcoef(predicted, y[test])[0, 1]
        found.append(right)
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("samples", 200), ("features", 100), ("permutations", 1000), ("peer", 50), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--jobs", nargs="+", default=list(JOBS), choices=list(JOBS))
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    n, p, count, few = asked.samples, asked.features, asked.permutations, asked.peer
    labels = np.arange(n) % 2
    x = rng.normal(size=(n, p)) + 0.12 * labels[:, None] * rng.normal(size=p)
    values = x @ rng.normal(size=p) * 0.03 + rng.normal(size=n)
    orders = permutation_orders(n, count, None, "shuffle", 0)
    for job in asked.jobs:
        name, ours, theirs, score, ask = JOBS[job]
        y = labels if score == "accuracy" else values
        folds = list((StratifiedKFold(5) if score == "accuracy" else KFold(5)).split(x, y))
        mine, other = [], []
        for number in range(asked.rounds + 1):
            start = time.perf_counter()
            result = cross_validate(
                ours, x, y, folds, score=score, permutations=count, random_state=0, permute="shuffle"
            )
            middle = time.perf_counter()
            null = [loop(theirs, x, y[order], folds, score) for order in orders[: few if number else 1]]
            end = time.perf_counter()
            if number:
                mine.append(middle - start)
                other.append((end - middle) * count / few)
        ratio = float(np.median(np.divide(other, mine)))
        found = Found(result, null, float(np.median(mine)), float(np.median(other)), ratio)
        apart = float(np.abs(result["null"].values[:few, 0] - null).max())
        observed = result["score"].item()
        p_ours, p_theirs = (int(np.sum(np.asarray(one) >= observed)) for one in (result["null"].values[:few, 0], null))
        also = f"null differs by at most {apart:.1e}; of {few} permutations {p_ours} and {p_theirs} reach the observed"
        report(f"{count:,} permutations of {name}, {n} x {p}, 5 folds", "scikit-learn", found, ask, also)


if __name__ == "__main__":
    main()
