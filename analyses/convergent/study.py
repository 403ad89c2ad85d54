"""Units that recur: layers of two networks, their channels matched, three seeds of a small network, three people."""

import tomllib
from itertools import combinations, product

import numpy as np
import xarray as xr

from neurodecode import evaluation
from neurodecode.compute.device import single_thread
from neurodecode.similarity import cluster_units, compare_grid, sparse_prediction
from neurodecode.sources import recipes

from .answer import answer, figures_of
from .spaces import blocks_of, captured, channels, exchanged, halves, small_networks
from .units import matching, summary, voxels

MEASURES = {
    "cka_debiased": "Layers by debiased CKA",
    "rsa": "Layers by dissimilarities (RSA)",
    "procrustes": "Layers by the Procrustes angle",
    "linear_predictivity": "Layers by linear prediction",
}
ENDS = {"relu": "stem", "layer1.2": "layer1", "layer2.2": "layer2", "layer3.2": "layer3"}
ENDS_32 = {"relu": "stem", "layer1.4": "layer1", "layer2.4": "layer2", "layer3.4": "layer3"}


def run(job):
    small = {"permutations": 9, "epochs": 2, "n_grid": 200}
    with single_thread():
        return study(job, job.sizes(small))


def study(job, settings):
    pictures = recipes.open_recipe("cifar10_images", root=job.data).load()["pictures"]
    shown, rest = halves(pictures, settings["n_pictures"])
    nets = recipes.open_recipe("cifar10_resnets", root=job.data).load()
    responses = {name: captured(job, name, net, shown, blocks_of(net)) for name, net in nets.items()}
    results = grids(responses, settings)
    found = {}
    for one, other in zip(ENDS, ENDS_32):
        pair = channels(responses["resnet20"], one), channels(responses["resnet32"], other)
        found[f"ResNets, {ENDS[one]}"] = matching(*pair, ("ResNet-20", "ResNet-32"), settings, job.seed)
    results |= found
    few = [channels(responses[name], layer) for name, layer in (("resnet20", "layer3.2"), ("resnet32", "layer3.4"))]
    sparse = sparse_prediction(*few)
    groups = cluster_units(*few, settings["n_clusters"], random_state=job.seed)
    shuffled = cluster_units(few[0], exchanged(few[1], job.seed), settings["n_clusters"], random_state=job.seed)
    fresh = small_networks(job, shown, rest, settings)
    for layer, (one, other) in product(fresh["small", 1], combinations(fresh, 2)):
        (kind, a), (same, b) = one, other
        if kind == same:
            pair, names = (fresh[one][layer], fresh[other][layer]), (f"seed {a}", f"seed {b}")
            found[f"{kind} networks, {layer}, {a} and {b}"] = matching(*pair, names, settings, job.seed)
    results |= {name: node for name, node in found.items() if name.startswith("small") and name.endswith("1 and 2")}
    people = recipes.open_recipe("vtc_three_tasks", root=job.data).load()
    for one, other in combinations(people, 2):
        found[f"people, {one} and {other}"] = voxels(people[one], people[other], settings, job.seed)
    results["people, sub1 and sub2"] = found["people, sub1 and sub2"]
    results = {"matching": summary(found)} | results
    return tree(job, results, found, sparse, groups, shuffled)


def grids(responses, settings):
    """The grid of layers by every measure, on the first pictures of every class."""
    some = np.arange(0, len(responses["resnet20"]), len(responses["resnet20"]) // settings["n_grid"])
    one, other = (responses[name][some] for name in ("resnet20", "resnet32"))
    about = {"rows": "ResNet-20", "columns": "ResNet-32", "n_samples": len(some)}
    about |= {"sample_name": ["picture", "pictures"], "shows": "grid"}
    found = {}
    for how, title in MEASURES.items():
        cells = compare_grid(one, other, how, by="layer")
        cells = cells.assign_coords({dim: stem(cells[dim].values) for dim in cells.dims})
        found[f"layers by {how}"] = xr.Dataset({"value": cells}, attrs=about | {"title": title})
    return found


def stem(names):
    """Names of layers, the first one in words."""
    return ["stem" if name == "relu" else str(name) for name in names]


def tree(job, results, found, sparse, groups, shuffled):
    figures = figures_of(job, MEASURES, results, found, sparse, groups, shuffled)
    results |= {"sparse prediction": sparse, "groups of channels": groups}
    return evaluation.study_tree(
        results,
        answer=answer(MEASURES, figures, found),
        figures=figures,
        main=["matching"],
        **tomllib.loads((job.study.folder / "study.toml").read_text(encoding="utf-8"))["page"],
    )
