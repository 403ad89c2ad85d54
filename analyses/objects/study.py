"""Predict ten areas of a brain from a network, from words and from every stage of another network."""

import tomllib
import warnings
from functools import partial

import numpy as np
import xarray as xr
from sklearn.model_selection import LeaveOneOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode import evaluation
from neurodecode.compute.device import single_thread
from neurodecode.compute.nulls import fdr, p_value
from neurodecode.exceptions import NeurodecodeWarning
from neurodecode.linear import Ridge
from neurodecode.representation import Labelled, average_repeats, concat, match
from neurodecode.sources import network, recipes

from .answer import answer
from .bands import band_figures, two_bands

ALPHAS = 10.0 ** np.linspace(0, 4, 9)
SCHEMES = {"one penalty": True, "penalty per voxel": False}
STAGES = {"relu": "stem", "layer1": "layer1", "layer2": "layer2", "layer3": "layer3", "linear": "classes"}
SMALL = {"permutations": 9, "permutations_shared": 2, "permutations_bands": 2, "voxels": 20}


def run(job):
    with single_thread(), warnings.catch_warnings():
        # Voxels that nothing predicts take the largest penalty, as they should; two channels of the stem never fire.
        for known in (".*edge of the grid", "Of .* features, .* constant", "no p value can be below"):
            warnings.filterwarnings("ignore", known, NeurodecodeWarning)
        return study(job, job.sizes(SMALL))


def study(job, settings):
    data = recipes.open_recipe("object2vec_objects", root=job.data).load()
    brain = data["brain"][:, :: settings.get("voxels", 1)]
    spaces = {"alexnet": data["alexnet"], "word2vec": data["words"], **stages(job, data["pictures"], settings)}
    spaces = {name: match(X, brain)[0] for name, X in spaces.items()}
    common = {"splits": evaluation.SplitBy("fold"), "pool": "predictions", "random_state": job.seed}
    results = {}
    for scheme, shared in SCHEMES.items():
        for name, X in spaces.items():
            key = node(name, scheme)
            results[key] = evaluation.cross_validate(
                encoder(shared),
                X,
                brain,
                score="r",
                permutations=settings["permutations_shared" if shared else "permutations"],
                store=job.store(key),
                question=f"How well do the features of {name} predict each voxel? ({scheme})",
                **common,
            )
    together = concat({name: X for name, X in spaces.items() if name.startswith("resnet20")}, label="stage")
    for name, X in {"alexnet": spaces["alexnet"], "word2vec": spaces["word2vec"], "resnet20": together}.items():
        key = f"by {name}"
        results[key] = evaluation.cross_validate(
            encoder(False),
            X,
            brain,
            score="identification",
            by="roi",
            permutations=settings["permutations"],
            store=job.store(key),
            question=f"Which of two categories did the person see, judged by what {name} predicts in each area?",
            **common,
        )
    first = {name: results[name] for name in ("alexnet", "word2vec")}  # they keep the first colours
    return tree(job, spaces, first | two_bands(job, spaces, brain, settings) | results)


def node(space, scheme):
    """Short names for the results: those of one penalty are called like the space, without the network's name."""
    return space.removeprefix("resnet20 ") + ("" if SCHEMES[scheme] else " (voxel)")


def encoder(shared):
    """Features standardised in the training set, then ridge; the penalty is chosen by leaving one category out."""
    return make_pipeline(Labelled(StandardScaler()), Ridge(ALPHAS, cv=LeaveOneOut(), shared_alpha=shared))


def stages(job, pictures, settings):
    """Mean over space of every stage of ResNet-20 for the 630 pictures, averaged over the ten of a category."""
    net = recipes.open_recipe("cifar10_resnets", root=job.data).load()["resnet20"]
    prepare = partial(net.preprocess, size=settings["picture_size"])
    store = job.store("resnet20 activations")
    X = network.activations(net, pictures, list(STAGES), preprocess=prepare, batch_size=63, store=store)
    X = average_repeats(X, by="category")
    return {f"resnet20 {name}": X[:, X["layer"].values == layer] for layer, name in STAGES.items()}


def tree(job, spaces, results):
    """Everything in one result: figures, the matrix of stages and areas, and the answer in a few sentences."""
    encoded = {key: result for key, result in results.items() if result.attrs["score"] == "r"}
    means = {key: evaluation.area_means(result)["mean"] for key, result in encoded.items()}
    areas = next(iter(means.values()))["area"].values.tolist()
    tests = [
        p_value(mean.sel(area=area).values, null(encoded[key], area)) for key, mean in means.items() for area in areas
    ]
    below = fdr(np.array(tests)) < 0.05
    figures = [
        job.figure(f"{name} {area} r ({scheme})", means[node(name, scheme)].sel(area=area).item())
        for scheme in SCHEMES
        for name in spaces
        for area in areas
        if scheme == "one penalty" or not name.startswith("resnet20")
    ]
    for key in [key for key, result in results.items() if result.attrs["score"] == "identification"]:
        scores = results[key]["score"]
        figures += [
            job.figure(f"identification {key}, {area}", scores.values[at])
            for at, area in enumerate(scores["roi"].values)
        ]
    figures += [job.figure(*row) for row in band_figures(results)]
    rows = [name for name in spaces if name.startswith("resnet20")]
    table = np.array([[means[node(name, "one penalty")].sel(area=area).item() for area in areas] for name in rows])
    chance = [[np.quantile(null(encoded[node(name, "one penalty")], area), 0.95) for area in areas] for name in rows]
    coords = {"layer": rows, "roi": areas}
    best = {area: rows[int(column.argmax())].removeprefix("resnet20 ") for area, column in zip(areas, table.T)}
    return evaluation.study_tree(
        results,
        answer=answer(means, best, below, results),
        figures=figures,
        matrix=xr.DataArray(table, coords, ("layer", "roi"), attrs={"score": "r"}),
        matrix_null95=xr.DataArray(np.array(chance), coords, ("layer", "roi")),
        sample_name=["category", "categories"],
        **tomllib.loads((job.study.folder / "study.toml").read_text(encoding="utf-8"))["page"],
    )


def null(result, area):
    """Area mean of r in every permutation."""
    return result["null"].values[:, result["roi"].values == area].mean(1)
