"""Places of ten pictures as the tokens of one category."""

from functools import partial

import numpy as np

from neurodecode.representation import as_representation
from neurodecode.sources import network, recipes


def by_category(job, pictures, settings):
    """Categories x tokens x channels: the places of all ten pictures of a category, ``picture`` telling them apart."""
    net = recipes.open_recipe("cifar10_resnets", root=job.data).load()["resnet20"]
    prepare = partial(net.preprocess, size=settings["picture_size"])
    layer = settings["layer"]
    maps = network.activations(net, pictures, layer, pool=None, preprocess=prepare, batch_size=63)[layer]
    names = list(dict.fromkeys(maps["category"].values.tolist()))
    rows = np.stack([np.flatnonzero(maps["category"].values == name) for name in names])
    n, each = rows.shape
    values = maps.values[rows].reshape(n, each * maps.sizes["token"], -1)
    token = {name: np.tile(maps[name].values, each) for name in ("row", "col")}
    token["picture"] = np.repeat(np.arange(each), maps.sizes["token"])
    return as_representation(
        values,
        stimulus=names,
        kind="network",
        dims=("sample", "token", "unit"),
        token=token,
        attrs={"quantity": "activation", "model": "resnet20", "layers": [layer], "dataset": "object2vec_objects"},
    )
