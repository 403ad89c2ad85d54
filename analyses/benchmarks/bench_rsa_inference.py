"""Bootstrap noise ceilings, and ten models scored, against rsatoolbox: 15 people, 92 stimuli, 100 draws.

python analyses/benchmarks/bench_rsa_inference.py [--how cosine spearman] [--rounds 1] [--processor]

``--processor``: models with tests alone, in processor time, for a machine that does other things too. The peer, whose
work is that of its draws, is given a tenth of them and its time is taken ten times.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
import warnings

import numpy as np
from rsatoolbox.inference import boot_noise_ceiling, bootstrap_sample_pattern, eval_dual_bootstrap
from rsatoolbox.model import ModelFixed
from rsatoolbox.rdm import RDMs
from side_by_side import report, side_by_side

from neurodecode.similarity import as_rdm, compare_models, noise_ceiling
from neurodecode.similarity.models import as_model
from neurodecode.similarity.resampling import Problem, bootstrap
from neurodecode.similarity.weighted import measure_of

DRAWS, PEOPLE, N = 100, 15, 92


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--how", nargs="+", default=["cosine", "spearman"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--processor", action="store_true")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    true = rng.random(N * (N - 1) // 2)
    people = true + rng.random((PEOPLE, true.size))
    models = [true + 0.3 * (k + 1) * rng.random(true.size) for k in range(10)]
    names = [f"s{at}" for at in range(N)]
    ours, theirs = as_rdm(people, stimulus=names), RDMs(people)
    labelled = {f"m{k}": as_rdm(model, stimulus=names) for k, model in enumerate(models)}
    fixed = [ModelFixed(f"m{k}", model) for k, model in enumerate(models)]
    for how in asked.how:

        def ceilings(how=how):
            return [boot_noise_ceiling(bootstrap_sample_pattern(theirs)[0], method=how) for _ in range(DRAWS)]

        def scored(how=how, draws=DRAWS):
            with contextlib.redirect_stderr(io.StringIO()):
                return eval_dual_bootstrap(fixed, theirs, method=how, N=draws, k_pattern=1, k_rdm=1)

        def tested(how=how):
            return compare_models(labelled, ours, how=how, bootstrap="both", n_bootstrap=DRAWS, random_state=0)

        if asked.processor:
            tested()
            for _ in range(asked.rounds):
                start = time.process_time()
                tested()
                middle = time.process_time()
                scored(draws=DRAWS // 10)
                mine, other = middle - start, 10 * (time.process_time() - middle)
                print(f"10 models with tests, {how}, processor: {mine:.3f} s, {other:.2f} s, ratio {other / mine:.1f}")
            continue
        found = side_by_side(
            lambda how=how: noise_ceiling(ours, how, bootstrap="stimulus", n_bootstrap=DRAWS, random_state=0),
            ceilings,
            rounds=asked.rounds,
        )
        report(f"noise ceiling, {how}, {DRAWS} draws of stimuli", "rsatoolbox", found, 50)
        found = side_by_side(tested, scored, rounds=asked.rounds)
        report(f"10 models with tests, {how}, {DRAWS} draws of both", "rsatoolbox", found, 50)
        measure = measure_of(how)
        parts = [(as_model(labelled[f"m{k}"], f"m{k}"), model[None]) for k, model in enumerate(models)]

        def drawn(measure=measure, parts=parts):
            problem = Problem(measure, measure.prepare(people), parts, N, np.ones(true.size, dtype=bool))
            return bootstrap(problem, "both", DRAWS, np.random.default_rng(0))

        found = side_by_side(drawn, scored, rounds=asked.rounds)
        report(f"10 models, draws alone, {how}, {DRAWS} draws of both", "rsatoolbox", found, 50)


if __name__ == "__main__":
    main()
