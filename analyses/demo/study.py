"""Train a small network on drawn scenes, predict a simulated brain, and set what is found beside what was planted."""

import tomllib
import warnings
from functools import partial

import numpy as np
import torch
import xarray as xr
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode import evaluation
from neurodecode.compute.device import single_thread
from neurodecode.exceptions import NeurodecodeWarning
from neurodecode.linear import LinearClassifier, Ridge
from neurodecode.representation import Labelled, average_repeats, match
from neurodecode.sources import network, simulated, zoo

from . import planted

CEILING = {"V1": 0.80, "V2": 0.75, "face area": 0.70, "house area": 0.65, "language area": 0.60}
GROUP_CEILING = 0.70
MISSED = 0.001  # how often any of the intervals misses when everything is right
SMALL = {"scenes": 96, "training": 96, "epochs": 1, "units": 8, "people": 5, "permutations": 19}


def run(job):
    with single_thread(), warnings.catch_warnings():
        # Some units of the network are silent, and in the null area the best penalty is the largest one of any grid.
        warnings.filterwarnings("ignore", ".*(edge|constant)", NeurodecodeWarning)
        return answer(job, job.sizes(SMALL))


def answer(job, size):
    world = simulated.scenes(size["scenes"], random_state=job.seed)
    units = dict.fromkeys(CEILING, size["units"]) | {"null area": 3 * size["units"]}
    person = partial(simulated.person, world, n_units=units, ceiling=CEILING, dead_units=2, random_state=job.seed)
    brain, truth = person(), person(noise=False)
    settings = {"splits": KFold(6), "score": "r", "pool": "predictions", "random_state": job.seed}
    tested = settings | {"permutations": size["permutations"], "ceiling": evaluation.repeat_ceiling(brain)}
    encoder = make_pipeline(Labelled(StandardScaler()), Ridge(alphas=[30.0, 300.0, 3e3, 3e4], cv=3))
    results = {}
    for name, features in spaces(world, size, job.seed).items():
        X, Y = match(features, average_repeats(brain))
        results[name] = evaluation.cross_validate(encoder, X, Y, store=job.store(name), **tested)
    X, Y = match(truth, average_repeats(brain))
    results["planted responses"] = evaluation.cross_validate(planted.Oracle(), X, Y, **tested)
    for name, chosen in {
        "category": Y["roi"] != "null area",
        "category from null area": Y["roi"] == "null area",
    }.items():
        results[name] = decode(Y[:, chosen.values])
    results["face area of people"] = group(world, size["people"], settings)
    checks = [
        *planted.ceilings(brain, results["planted responses"]),
        *planted.null_area(results["stage2"]),
        *planted.null_decoding(results["category from null area"], world),
        *planted.dead_units(brain, results["stage2"]),
        *planted.selectivity(world, brain, truth),
        *planted.fields(world, Y),
        *planted.lag(world, job.seed),
        *planted.latencies(world, job.seed),
        *planted.people(results["face area of people"], GROUP_CEILING),
    ]
    return tree(job, results, checks)


def spaces(world, size, seed):
    """Feature spaces: stages of a network that was trained on other scenes, and the words of the captions."""
    others = simulated.scenes(size["training"], size=48, random_state=10_000 + seed)
    kinds = np.stack([others.present(kind) for kind in np.unique(others.category)], 1).astype(int)
    net = zoo.train_small_conv(others.pictures.values, kinds, epochs=size["epochs"], random_state=seed)
    placed = network.activations(net, world.pictures, list(net.stages), pool=four_by_four)
    found = {stage: placed[:, placed["layer"].values == stage] for stage in net.stages}
    found["stage3 averaged"] = network.activations(net, world.pictures, "stage3")
    return found | {"caption words": world.words()}


def four_by_four(maps):
    return torch.nn.functional.adaptive_avg_pool2d(maps, 4).flatten(1)


def decode(Y):
    lda = LinearClassifier("lda", shrinkage="auto")
    return evaluation.cross_validate(lda, Y, Y["category"], KFold(6), score="accuracy", pool="predictions")


def group(world, n, settings):
    """The face area of several people, each predicted by the responses planted in it."""
    look = {"areas": ["face area"], "n_units": 10, "ceiling": GROUP_CEILING, "random_state": settings["random_state"]}
    recorded, noise_free = simulated.people(n, world, **look), simulated.people(n, world, noise=False, **look)
    scores = {}
    for name, brain in recorded.items():
        X, Y = match(noise_free[name], average_repeats(brain))
        scores[name] = evaluation.cross_validate(planted.Oracle(), X, Y, **settings)
    return evaluation.group(scores, by="roi")


def tree(job, results, checks):
    """Everything in one result: the figures, the matrix of feature spaces and areas, and the answer in a sentence."""
    encoded = [name for name in results if "null" in results[name] and name != "planted responses"]
    areas = [*CEILING, "null area"]
    means = {name: evaluation.area_means(results[name]) for name in (*encoded, "planted responses")}
    table = np.stack([means[name]["mean"].sel(area=areas).values for name in means])
    nulls = [[null95(results[name], area) for area in areas] for name in means]
    coords = {"layer": list(means), "roi": areas}
    figures = []
    for name, value, found, margin in checks:
        half = margin(MISSED / len(checks) / 2)
        figures.append(job.figure(name, found, planted=value, low=value - half, high=value + half))
    figures += [
        job.figure(f"{name}: r in {area}", table[i, j])
        for i, name in enumerate(encoded)
        for j, area in enumerate(areas)
    ]
    accuracy = float(results["category"]["score"].item())
    figures.append(job.figure("category from all other areas, accuracy", accuracy))
    inside = sum(row["low"] <= row["found"] <= row["high"] for row in figures[: len(checks)])
    stages = encoded[:-1]
    best = table[: len(stages), : len(CEILING)].argmax(0)
    said = ", ".join(
        f"{table[i, j]:.2f} in {areas[j]} ({stages[i]}; ceiling {CEILING[areas[j]]:.2f})" for j, i in enumerate(best)
    )
    return evaluation.study_tree(
        results,
        answer=f"In one simulated person the stages of a small network reach r = {said}; no stage is tested against "
        f"another. {inside} of {len(checks)} planted figures lie in their intervals.",
        figures=figures,
        matrix=xr.DataArray(table, coords, ("layer", "roi")),
        matrix_null95=xr.DataArray(np.array(nulls), coords, ("layer", "roi")),
        **tomllib.loads((job.study.folder / "study.toml").read_text(encoding="utf-8"))["page"],
    )


def null95(result, area):
    """95 % point of the null of an area's mean score; NaN where nothing is predicted."""
    null = result["null"].values[:, result["roi"].values == area]
    finite = np.isfinite(null).all(0)
    return np.quantile(null[:, finite].mean(1), 0.95) if finite.any() else np.nan
