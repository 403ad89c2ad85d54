"""Dissimilarity matrices beside rsatoolbox and scipy, float64: 1,000 stimuli x 5,000 units.

Correlation of 1,000 patterns (asks: 30x rsatoolbox, 7x scipy); crossnobis of 125 stimuli in 8 runs,
250 in 4 and 1,000 in 2, without a noise model (ask: 20x rsatoolbox, the same values to 1e-6), and with a precision
shrunk by Ledoit and Wolf from residuals, which the peer is given as a matrix. All run in turn in one process.

    OMP_NUM_THREADS=2 python analyses/benchmarks/bench_rdm.py [--stimuli 1000] [--units 5000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from side_by_side import report, side_by_side
from sklearn.covariance import ledoit_wolf

from neurodecode.representation import as_representation
from neurodecode.similarity import rdm
from neurodecode.similarity.rdms import upper


def main() -> None:
    import rsatoolbox.rdm
    from rsatoolbox.data import Dataset
    from scipy.spatial.distance import pdist

    parser = argparse.ArgumentParser()
    for name, default in (("stimuli", 1000), ("units", 5000), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    n, p = asked.stimuli, asked.units
    x = rng.normal(size=(n, p)) + rng.normal(size=p)
    X = as_representation(x, stimulus=[f"s{i:04d}" for i in range(n)], kind="fmri")

    def rsa(data: Dataset, method: str, **options: object) -> np.ndarray:
        return rsatoolbox.rdm.calc_rdm(data, method, **options).dissimilarities[0]

    plain = Dataset(x)
    size = f"{n:,} x {p:,}"
    found = side_by_side(lambda: upper(rdm(X)), lambda: rsa(plain, "correlation"), asked.rounds)
    report(f"correlation RDM, {size}", "rsatoolbox", found, 30, f"largest difference {differ(found):.1e}")
    found = side_by_side(lambda: upper(rdm(X)), lambda: pdist(x, "correlation"), asked.rounds)
    report(f"correlation RDM, {size}", "scipy", found, 7, f"largest difference {differ(found):.1e}")

    for stimuli, runs in ((n // 8, 8), (n // 4, 4), (n, 2)):
        names = np.array([f"s{i:04d}" for i in range(stimuli)])
        labels, run = np.tile(names, runs), np.repeat(np.arange(runs), stimuli)
        y = x[: stimuli * runs] if stimuli * runs <= n else np.concatenate([x, x + rng.normal(size=x.shape)])
        Y = as_representation(y, stimulus=labels, kind="fmri", sample={"run": run})
        data = Dataset(y, obs_descriptors={"stimulus": labels, "run": run})
        options = {"descriptor": "stimulus", "cv_descriptor": "run"}
        size = f"{stimuli:,} stimuli x {runs} runs x {p:,}"
        found = side_by_side(
            lambda Y=Y: upper(rdm(Y, "crossnobis", by="run")),
            lambda data=data, options=options: rsa(data, "crossnobis", **options),
            min(asked.rounds, 3),
        )
        report(f"crossnobis, {size}", "rsatoolbox", found, 20, f"largest difference {differ(found):.1e}")
        if stimuli != n // 4:
            continue
        residuals = rng.normal(size=(400, p))
        residuals -= residuals.mean(axis=0)

        def ours(Y: object = Y, residuals: np.ndarray = residuals) -> np.ndarray:
            return upper(rdm(Y, "crossnobis", by="run", noise=residuals))

        def theirs(data: Dataset = data, options: dict = options, residuals: np.ndarray = residuals) -> np.ndarray:
            covariance = ledoit_wolf(residuals, assume_centered=True)[0] * 400 / 399
            return rsa(data, "crossnobis", noise=np.linalg.inv(covariance), **options)

        found = side_by_side(ours, theirs, 1)
        also = f"largest difference {differ(found):.1e}; the peer with scikit-learn's covariance"
        report(f"crossnobis, 400 residuals, {size}", "rsatoolbox", found, 20, also)


def differ(found: object) -> float:
    return float(np.abs(found.ours - found.theirs).max())


if __name__ == "__main__":
    main()
