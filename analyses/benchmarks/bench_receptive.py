"""Temporal response functions beside mne: 30,000 samples x 16 features at 51 lags to 64 sensors, one penalty.

Both centre features and targets and count what lies outside of the recording as 0; the two run in turn in one process,
and the median ratio of neighbouring runs counts. Ask: 1x, the same coefficients.

    python analyses/benchmarks/bench_receptive.py [--samples 30000] [--features 16] [--lags 51] [--sensors 64]
"""

from __future__ import annotations

import argparse

import numpy as np
from side_by_side import report, side_by_side

from neurodecode.linear import Ridge, TemporalResponse

SFREQ = 100.0


def draw(n: int, p: int, lags: int, sensors: int) -> tuple[np.ndarray, np.ndarray]:
    """Features that are smooth in time, and sensors that follow them through kernels, with as much noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, p))
    for at in range(1, n):
        x[at] += 0.8 * x[at - 1]
    y = rng.normal(size=(n, sensors))
    for lag in range(0, lags // 2, 5):
        y[lag:] += x[: n - lag] @ rng.normal(size=(p, sensors)) / np.sqrt(p * lags)
    return x, y


def main() -> None:
    import mne

    mne.set_log_level("ERROR")

    parser = argparse.ArgumentParser()
    for name, default in (("samples", 30000), ("features", 16), ("lags", 51), ("sensors", 64), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--penalties", type=int, default=1, help="more than one: chosen for each sensor in five folds")
    asked = parser.parse_args()
    x, y = draw(asked.samples, asked.features, asked.lags, asked.sensors)
    first = -(asked.lags // 10)
    window = first / SFREQ, (first + asked.lags - 1) / SFREQ
    alphas = 10.0 ** np.arange(1, asked.penalties + 1) if asked.penalties > 1 else 10.0

    def mine() -> np.ndarray:
        model = TemporalResponse(*window, Ridge(alphas, fit_intercept=asked.penalties > 1), by=None, sfreq=SFREQ)
        return model.fit(x, y).coef_

    def peer() -> np.ndarray:
        return mne.decoding.ReceptiveField(*window, SFREQ, estimator=10.0).fit(x, y).coef_.transpose(1, 2, 0)

    found = side_by_side(mine, peer, asked.rounds)
    apart = float(np.abs(found.ours - found.theirs).max())
    size = f"{asked.samples:,} x {asked.features}, {asked.lags} lags, {asked.sensors} sensors"
    job = f"TemporalResponse, {size}, {asked.penalties} " + ("penalty" if asked.penalties == 1 else "penalties")
    report(job, "mne with one", found, 1, f"largest difference of weights {apart:.1e}")


if __name__ == "__main__":
    main()
