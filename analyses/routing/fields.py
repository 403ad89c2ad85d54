"""Places that do not depend on the scene: the static encoder's maps, and receptive fields beside the planted ones."""

import numpy as np
import xarray as xr

from neurodecode.attention import GaussianFieldEncoder

from .encoders import encoders, held_out
from .patches import SIDE


def static_maps(tokens, Y, size, seed):
    """The map of places that the static encoder settles on for each area."""
    train, _ = held_out(len(tokens))
    found = encoders(tokens, size, seed)["spatial x feature"][0].fit(tokens[train], Y[train]).map_
    coords = {
        "query": found["query"].values.astype(str),
        "row": ("token", found["row"].values), "col": ("token", found["col"].values),
    }  # fmt: skip
    attrs = {"shows": "fields", "title": "Places that the static encoder reads"}
    return xr.Dataset({"map": (("query", "token"), found.values)}, coords, attrs)


def receptive_fields(tokens, Y):
    """Gaussian pools of V1 and V2, and how they agree with those that were planted."""
    early = Y[:, np.isin(Y["roi"].values, ["V1", "V2"])]
    train, _ = held_out(len(tokens))
    encoder = GaussianFieldEncoder(
        sizes=(0.35, 0.7, 1.4), alphas=(1.0, 30.0, 1e3, 3e4), cv=3, degrees=1.0, nonlinearity=None
    ).fit(tokens[train], early[train])
    roi = early["roi"].values
    node = xr.Dataset(
        {"x": ("unit", encoder.x_), "y": ("unit", encoder.y_), "size": ("unit", encoder.size_)},
        coords={"roi": ("unit", roi), "hemi": ("unit", early["hemi"].values)},
        attrs={
            "shows": "fields", "title": "Receptive fields of V1 and V2", "field": float(SIDE),
            "about": "Centres lie on the grid of patches, one degree apart.",
        },
    )  # fmt: skip
    found = {}
    for axis, values in (("x", encoder.x_), ("y", encoder.y_)):
        planted = early[f"planted_{axis}"].values
        for area in ("V1", "V2"):
            mine = roi == area
            found[f"{area}: field centres against planted, {axis}, r"] = np.corrcoef(values[mine], planted[mine])[0, 1]
    return node, found
