"""Velocity from neurons, animal by animal: the calls are those of an fMRI study, only the recording is another."""

import numpy as np

from neurodecode.evaluation import Contiguous, cross_validate, group, study_tree
from neurodecode.linear import Ridge
from neurodecode.sources import recipes

METHOD = """\
For each animal ridge regression (penalty 100) from the z-scored traces of all its neurons to its velocity at the same
volume. A recording of about eight minutes is cut into five stretches; each is predicted from the other four. The score
is Pearson's r between velocity and the predictions of all five stretches together, so it also counts whether the level
of a stretch is found; the mean of the five correlations is given beside it. Neighbouring volumes are alike, so nothing
is shuffled: for the null, velocity is shifted in a circle against the neurons and everything is fitted again. The
gap of ten volumes on both sides of a stretch shows how much of a figure is owed to its neighbours.

Across animals the unit is the animal: neurons are not identified between them.
"""
REFERENCES = [
    "Dag U, Nwabudike I, Kang D, et al. (2023). Cell 186:2574-2592 (the recordings).",
    "Hallinen KM, Dempsey R, Scholz M, et al. (2021). eLife 10:e66135 (decoding locomotion from neural populations).",
    "Hoerl AE, Kennard RW (1970). Technometrics 12:55-67 (ridge regression).",
]


def run(job):
    recipe = recipes.open_recipe("celegans_nsm2023", root=job.data)
    loaded = recipe.load()
    animals = sorted(name.split("/")[0] for name in loaded if name.endswith("/neurons"))
    animals = animals[:2] if job.dry_run else animals
    permutations = job.sizes({"permutations": 19})["permutations"]
    said = {"score": "r", "random_state": job.seed, "data_card": recipe.card}
    results, others = {}, {}
    for animal in animals:
        neurons, behaviour = loaded[f"{animal}/neurons"], loaded[f"{animal}/behaviour"]
        velocity = behaviour[:, behaviour["variable"].values == "velocity"]
        results[animal] = cross_validate(
            Ridge(alphas=100.0), neurons, velocity, Contiguous(5, gap=0), **said, pool="predictions", keep="prediction",
            permutations=permutations, store=job.store(animal), question=f"The velocity of {animal} from its neurons",
        )  # fmt: skip
        others[animal] = cross_validate(
            Ridge(alphas=100.0), neurons, velocity, Contiguous(5, gap=10), **said, pool="predictions"
        )
    return report(job, results, others)


def report(job, results, others):
    pooled = {animal: float(result["score"].item()) for animal, result in results.items()}
    gap = np.mean([float(result["score"].item()) for result in others.values()])
    stretches = np.mean([float(result["score_fold"].mean()) for result in results.values()])
    figures = [job.figure(animal, r) for animal, r in pooled.items()]
    figures += [
        job.figure("mean over animals", np.mean(list(pooled.values()))),
        job.figure("mean over animals, stretches scored one by one", stretches),
        job.figure("mean over animals, ten volumes left out around a stretch", gap),
        job.figure("largest p of an animal", max(float(result["p"].item()) for result in results.values())),
    ]
    null = {animal: float(np.median(result["null"].values)) for animal, result in results.items()}
    highest = max(null, key=lambda animal: null[animal])
    notes = [
        "The traces were z-scored over the whole recording by the authors, test stretches included.",
        f"Slow signals resemble each other by chance: with velocity shifted in time the median r of {highest} is still "
        f"{null[highest]:.2f}. Compare a score with its own null, not with 0.",
    ]
    interval = ""
    if len(results) >= 5:
        together = group(results, random_state=job.seed)
        low, high, p = (float(together[name].item()) for name in ("low", "high", "p"))
        interval = f" (95 % interval between animals {low:.2f} to {high:.2f}, sign flips p = {p:.3f})"
    answer = (
        f"Velocity is predicted with r from {min(pooled.values()):.2f} to {max(pooled.values()):.2f} in "
        f"{len(pooled)} animals, {np.mean(list(pooled.values())):.2f} on average{interval}."
    )
    first = next(iter(results.values()))
    return study_tree(
        results, question=job.study.question, answer=answer, figures=figures, method=METHOD, references=REFERENCES,
        notes=notes, data_card=first.attrs["data_card"],
    )  # fmt: skip
