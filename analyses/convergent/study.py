"""Units that recur: layers of two networks, their channels matched, three seeds of a small network, three people."""

import tomllib
from itertools import combinations

import numpy as np
import torch
import xarray as xr

from neurodecode import evaluation
from neurodecode.compute.device import single_thread
from neurodecode.representation import as_representation
from neurodecode.similarity import cluster_units, compare_grid, match_units, sparse_prediction
from neurodecode.sources import network, recipes, zoo

MEASURES = {
    "cka_debiased": "Layers by debiased CKA",
    "rsa": "Layers by dissimilarities (RSA)",
    "procrustes": "Layers by the Procrustes angle",
    "linear_predictivity": "Layers by linear prediction",
}
ENDS = {"relu": "stem", "layer1.2": "layer1", "layer2.2": "layer2", "layer3.2": "layer3"}
ENDS_32 = {"relu": "stem", "layer1.4": "layer1", "layer2.4": "layer2", "layer3.4": "layer3"}
QUARTERS = 2


def run(job):
    small = {"permutations": 9, "epochs": 2, "n_grid": 200} if job.dry_run else {}
    with single_thread():
        return study(job, job.settings | small)


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
    for layer in fresh[0]:
        for (a, one), (b, other) in combinations(enumerate(fresh, start=1), 2):
            names = (f"seed {a}", f"seed {b}")
            name = f"small networks, {layer}, {a} and {b}"
            found[name] = matching(one[layer], other[layer], names, settings, job.seed)
    results |= {name: node for name, node in found.items() if name.endswith("1 and 2")}
    people = recipes.open_recipe("vtc_three_tasks", root=job.data).load()
    for one, other in combinations(people, 2):
        found[f"people, {one} and {other}"] = voxels(people[one], people[other], settings, job.seed)
    results["people, sub1 and sub2"] = found["people, sub1 and sub2"]
    results = {"matching": summary(found)} | results
    return tree(job, results, found, sparse, groups, shuffled)


def halves(pictures, n_shown):
    """The first pictures of every class to compare on, the others to learn on."""
    category = pictures["category"].values
    each = n_shown // len(np.unique(category))
    rank = np.empty(len(category), dtype=int)
    for name in np.unique(category):
        own = np.flatnonzero(category == name)
        rank[own] = np.arange(len(own))
    return pictures[rank < each], pictures[rank >= each]


def blocks_of(net):
    """The first layer and every block."""
    stages = {f"layer{at}": getattr(net, f"layer{at}") for at in (1, 2, 3)}
    return ["relu", *(f"{name}.{number}" for name, stage in stages.items() for number in range(len(stage)))]


def quarters(output):
    """Mean of every channel in each quarter of the picture, channels first."""
    return torch.nn.functional.adaptive_avg_pool2d(output, QUARTERS).flatten(1)


def captured(job, name, net, pictures, layers):
    """(picture, channel in a quarter) of every layer."""
    about = {"pool": quarters, "batch_size": 100, "store": job.store(f"{name} activations")}
    return network.activations(net, pictures, layers, **about)


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


def channels(X, layer):
    """The channels of a layer as units and the quarters of the pictures as samples; silent channels are left out."""
    values = X.values[:, X["layer"].values == layer].reshape(len(X), -1, QUARTERS**2)
    rows = values.transpose(0, 2, 1).reshape(len(X) * QUARTERS**2, -1)
    picture = np.repeat(X["stimulus"].values, QUARTERS**2)
    quarter = np.tile(np.arange(QUARTERS**2), len(X))
    alive = rows.std(axis=0) > 1e-6 * rows.std()
    return as_representation(
        rows[:, alive],
        stimulus=[f"{name}, quarter {at}" for name, at in zip(picture, quarter)],
        kind="network",
        sample={"picture": picture, "quarter": quarter},
        attrs={"silent": int((~alive).sum())},
    )


def matching(one, other, names, settings, seed):
    """Channels matched, with the null of exchanged pictures."""
    about = {"groups": "picture", "blocks": "quarter", "random_state": seed}
    found = match_units(one, other, permutations=settings["permutations"], **about)
    silent = one.attrs["silent"] + other.attrs["silent"]
    said = {"rows": names[0], "columns": names[1], "unit_name": "channels", "silent": silent}
    return found.assign_attrs(shows="matching", sample_name=["quarter of a picture", "quarters of pictures"], **said)


def voxels(one, other, settings, seed):
    """Voxels of two people, chosen on half of the runs; the categories of a run are exchanged for the null."""
    draws = min(settings["permutations"], 39)
    found = match_units(one, other, groups="run", blocks="run", permutations=draws, random_state=seed)
    said = {"rows": one.attrs["subject"], "columns": other.attrs["subject"], "unit_name": "voxels", "silent": 0}
    return found.assign_attrs(shows="matching", sample_name=["pattern", "patterns"], **said)


def exchanged(X, seed):
    """The same array with whole pictures exchanged; the labels stay where they are."""
    values = X.values.reshape(-1, QUARTERS**2, X.sizes["unit"])
    order = np.random.default_rng(seed).permutation(len(values))
    return X.copy(data=values[order].reshape(X.shape))


def small_networks(job, shown, rest, settings):
    """Three small networks that differ in their seed: name of a layer to channels."""
    out = []
    for seed in range(3):
        net = zoo.train_small_conv(rest.values, rest["category"].values, settings["epochs"], job.seed + seed)
        layers = [f"{stage}.relu" for stage in net.stages]
        X = captured(job, f"small {seed}", net, shown, layers)
        out.append({f"stage {at}": channels(X, layer) for at, layer in enumerate(layers, start=1)})
    return out


def summary(found):
    """One row for every pair that was matched."""
    names = ("matched_held_out", "best_held_out", "matched", "p_held_out")
    rows = {name: [node.attrs[name] for node in found.values()] for name in names}
    ends = np.array([np.quantile(node["null_held_out"].values, [0.025, 0.975]) for node in found.values()])
    chose = [float(node["null_matched"].mean()) for node in found.values()]
    rows |= {"null_low": ends[:, 0], "null_high": ends[:, 1], "null_matched": chose}
    about = {"shows": "matchings", "title": "Units that recur"}
    return xr.Dataset({name: ("pair", values) for name, values in rows.items()}, {"pair": list(found)}, about)


def depths(cells, how):
    """How deep the best match of every layer of the first network lies, and how deep the layer itself does."""
    values = cells.values if how != "procrustes" else -cells.values
    own = np.arange(values.shape[0]) / (values.shape[0] - 1)
    return own, values.argmax(1) / (values.shape[1] - 1)


def tree(job, results, found, sparse, groups, shuffled):
    figures = []
    for how in MEASURES:
        own, best = depths(results[f"layers by {how}"]["value"], how)
        figures += [
            job.figure(f"{how}: depth of a layer with that of its best match (r)", np.corrcoef(own, best)[0, 1]),
            job.figure(f"{how}: distance in depth to the best match, mean", np.abs(own - best).mean()),
        ]
    for name, node in found.items():
        figures += [
            job.figure(f"{name}: r one to one, left out", node.attrs["matched_held_out"]),
            job.figure(f"{name}: r with the best, left out", node.attrs["best_held_out"]),
            job.figure(f"{name}: r one to one, shuffled, left out", float(node["null_held_out"].mean())),
            job.figure(f"{name}: r one to one, shuffled, on what chose", float(node["null_matched"].mean())),
        ]
    mean = sparse["r2"].mean("unit").values
    best = int(np.flatnonzero(mean >= 0.9 * mean.max())[0])  # the strictest penalty that costs a tenth at most
    figures += [
        job.figure("ResNets, layer3: R2 of a channel from few", mean[best]),
        job.figure("ResNets, layer3: channels used for it", float(sparse["used"].mean("unit")[best])),
        job.figure("ResNets, layer3: R2 of a channel from one", float(sparse["r2_one"].mean())),
        job.figure("ResNets, layer3: groups with channels of both", groups.attrs["shared"]),
        job.figure("ResNets, layer3: mean |r| across networks within a group", groups.attrs["within"]),
        job.figure("ResNets, layer3: mean |r| across networks between groups", groups.attrs["between"]),
        job.figure("ResNets, layer3, shuffled: groups with channels of both", shuffled.attrs["shared"]),
    ]
    results |= {"sparse prediction": sparse, "groups of channels": groups}
    return evaluation.study_tree(
        results,
        answer=answer(figures, found),
        figures=figures,
        main=["matching"],
        **tomllib.loads((job.study.folder / "study.toml").read_text(encoding="utf-8"))["page"],
    )


def answer(figures, found):
    """What was found, in words."""
    value = {row["name"]: row["found"] for row in figures}
    depth = [value[f"{how}: depth of a layer with that of its best match (r)"] for how in MEASURES]
    stages = [found[f"ResNets, {name}"].attrs["matched_held_out"] for name in ENDS.values()]
    alike = {}
    for name, node in found.items():
        alike.setdefault(name.split(",")[0], []).append(node.attrs["matched_held_out"])
    small, people = np.array(alike["small networks"]), np.array(alike["people"])
    above = sum(node.attrs["p_held_out"] < 0.05 for node in found.values())
    few, one = value["ResNets, layer3: R2 of a channel from few"], value["ResNets, layer3: R2 of a channel from one"]
    return (
        f"Layers of ResNet-20 find their match at like depth in ResNet-32 by all four measures (r of depths "
        f"{min(depth):.2f} to {max(depth):.2f}). Of single channels part recur: matched one to one and left out, r "
        f"falls from {stages[0]:.2f} in the first layer to {stages[-1]:.2f} in the last; there, several "
        f"channels together "
        f"predict one of the other network better than its best partner does (R² {few:.2f} against {one:.2f}). "
        f"Networks of three seeds reach {small.min():.2f} to {small.max():.2f}, voxels of three people "
        f"{people.min():.2f} to {people.max():.2f}; {above} of {len(found)} pairs are beyond shuffled stimuli "
        "(p < .05, each alone)."
    )
