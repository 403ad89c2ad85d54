"""What the page shows of the separation of classes: layer by layer, and class by class."""

import numpy as np
import xarray as xr

from neurodecode.compute.nulls import max_statistic

from .words import NAMES


def as_result(name, layers):
    """Separation, the value with its sign turned, of every class in every layer: a result like any other."""
    found = list(layers.values())
    classes = np.concatenate([one["class"].values for one in found])
    return xr.Dataset(
        {
            "score": ("unit", -np.concatenate([one["gdv_class"].values for one in found])),
            "null": (("permutation", "unit"), -np.concatenate([one["null_class"].values for one in found], axis=1)),
            "p": ("unit", np.concatenate([one["p_class"].values for one in found])),
        },
        {"roi": ("unit", np.repeat(list(layers), len(NAMES))), "class_name": ("unit", classes)},
        {
            "score": "separation", "chance": 0.0, "question": f"Separation by the class of the next word: {name}",
            "unit_name": ["class", "classes"], "area_name": ["layer", "layers"],
        },
    )  # fmt: skip


def as_grid(net, layers):
    """The same as a picture: classes down, layers across, hatched where the whole picture reaches as much by chance."""
    found = list(layers.values())
    order = [found[0]["class"].values.tolist().index(name) for name in NAMES]
    dims = ("class", "layer")
    value = -np.stack([one["gdv_class"].values[order] for one in found], axis=1)
    null = -np.stack([one["null_class"].values[:, order] for one in found], axis=2)
    p = max_statistic(value.ravel(), null.reshape(len(null), -1)).reshape(value.shape)
    return xr.Dataset(
        {"value": (dims, value), "p_max": (dims, p), "null_max": ("permutation", null.max((1, 2)))},
        {"class": NAMES, "layer": list(layers)},
        {
            "shows": "grid", "how": "separation", "rows": "class of the next word", "columns": "layer",
            "title": f"Separation of every class, {net}", "n_samples": int(found[0]["n"].sum()),
            "sample_name": ["word", "words"],
        },
    )  # fmt: skip
