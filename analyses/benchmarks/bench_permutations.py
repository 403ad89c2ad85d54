"""1,000 label permutations of an LDA and 1,000 permutations of ridge, beside scikit-learn: 200 samples x 100 features.

The same permutations and folds on both sides; scikit-learn fits again for each of ``--peer`` permutations (100), and
its time is taken times 1,000 / 100. Ask: 400x for LDA and 1,000x for ridge, the same p for the same labellings.

    python analyses/benchmarks/bench_permutations.py [--samples 200] [--features 100] [--permutations 1000] [--peer 100]
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from side_by_side import Found, report
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score

from neurodecode.compute.nulls import permutation_orders
from neurodecode.evaluation import cross_validate
from neurodecode.linear import LinearClassifier, Ridge

ALPHA = 10.0


def r(est: object, x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(est.predict(x), y)[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("samples", 200), ("features", 100), ("permutations", 1000), ("peer", 100), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    n, p, count, few = asked.samples, asked.features, asked.permutations, asked.peer
    labels = np.arange(n) % 2
    x = rng.normal(size=(n, p)) + 0.12 * labels[:, None] * rng.normal(size=p)
    values = x @ rng.normal(size=p) * 0.03 + rng.normal(size=n)
    orders = permutation_orders(n, count, None, "shuffle", 0)
    jobs = (
        ("LDA, accuracy", LinearClassifier("lda", shrinkage=0.1), LinearDiscriminantAnalysis("lsqr", shrinkage=0.1),
         labels, StratifiedKFold(5), "accuracy", "accuracy", 400),
        ("ridge, r", Ridge(alphas=ALPHA), RidgeCV([ALPHA]), values, KFold(5), "r", r, 1000),
    )  # fmt: skip
    for name, ours, theirs, y, splitter, score, scoring, ask in jobs:
        folds = list(splitter.split(x, y))
        target = y if score == "accuracy" else y[:, None]
        mine, other = [], []
        for number in range(asked.rounds + 1):
            start = time.perf_counter()
            result = cross_validate(
                ours, x, target, folds, score=score, permutations=count, random_state=0, permute="shuffle"
            )
            middle = time.perf_counter()
            null = [cross_val_score(theirs, x, y[order], cv=folds, scoring=scoring).mean() for order in orders[:few]]
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
