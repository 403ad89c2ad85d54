"""The responses that are compared: channels of networks in the quarters of a picture."""

import numpy as np
import torch

from neurodecode.representation import as_representation
from neurodecode.sources import network, zoo

QUARTERS = 2


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


def exchanged(X, seed):
    """The same array with whole pictures exchanged; the labels stay where they are."""
    values = X.values.reshape(-1, QUARTERS**2, X.sizes["unit"])
    order = np.random.default_rng(seed).permutation(len(values))
    return X.copy(data=values[order].reshape(X.shape))


def small_networks(job, shown, rest, settings):
    """Three small networks that learnt from different seeds, and two that did not: name of a layer to channels."""
    names, out = rest["category"].values, {}
    for kind, seed in (("small", 1), ("small", 2), ("small", 3), ("untrained", 1), ("untrained", 2)):
        if kind == "small":
            net = zoo.train_small_conv(rest.values, names, settings["epochs"], job.seed + seed)
        else:
            net = zoo.small_conv(len(np.unique(names)), random_state=job.seed + seed)
            net.picture_size = shown.shape[1]
        layers = [f"{stage}.relu" for stage in net.stages]
        X = captured(job, f"{kind} {seed}", net, shown, layers)
        out[kind, seed] = {f"stage {at}": channels(X, layer) for at, layer in enumerate(layers, start=1)}
    return out
