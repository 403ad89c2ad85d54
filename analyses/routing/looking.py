"""Where the routed encoder looks on held-out scenes, and how often that is the thing an area was planted to seek."""

import numpy as np
import xarray as xr

from .encoders import encoders, held_out
from .patches import SIDE

SHARE = 0.1
SHOWN = 6


def attention(world, tokens, Y, size, seed):
    """Attention on scenes that were not fitted, what masking costs, and how often a peak lies on the thing."""
    train, test = held_out(len(tokens))
    encoder = encoders(tokens, size, seed)["routed"][0].fit(tokens[train], Y[train])
    lost = encoder.token_importance(tokens[test], Y[test], share=SHARE, random_state=seed)
    seen = encoder.attention(tokens[test])
    there = world[test]
    peaks = which_of_two(there, seen)
    for kind in ("face", "house"):
        on, by_chance = peaks_on(there, seen.sel(query=seen["query"] == f"{kind} area").values[:, 0], kind)
        peaks[f"{kind} area: peak of attention on the {kind}, share of scenes"] = on
        peaks[f"{kind} area: the same with scenes exchanged"] = by_chance
    both = np.flatnonzero(there.present("face") & there.present("house"))[:SHOWN]
    pictures = there.pictures.values[both]
    node = xr.Dataset(
        {
            "picture": (("sample", "pixel_row", "pixel_column", "channel"), pictures),
            "attention": (("sample", "query", "token"), seen.values[both]),
            "drop": ("query", lost["drop"].values),
            "drop_random": ("query", lost["drop_random"].values),
        },
        coords={
            "query": seen["query"].values.astype(str),
            "stimulus": ("sample", there.stimulus[both]),
            "row": ("token", tokens["row"].values),
            "col": ("token", tokens["col"].values),
        },
        attrs={
            "shows": "attention", "title": "Attention on scenes that were not fitted", "share": SHARE, "score": "r",
            "how_chosen": "Scenes: the first six held-out ones with both a face and a house.",
        },
    )  # fmt: skip
    return node, peaks


def peaks_on(world, weights, kind):
    """Share of scenes with one thing of a kind where attention peaks in its box, half a patch wider; and exchanged."""
    objects = world.objects[world.objects["kind"] == kind]
    counts = objects.groupby("scene").size()
    one = objects[objects["scene"].isin(counts.index[counts == 1])]
    edge = world.pictures.sizes["row"] / SIDE
    at = weights[one["scene"].to_numpy()].argmax(1)
    down, across = ((part + 0.5) * edge for part in np.divmod(at, SIDE))
    box = {key: one[key].to_numpy() for key in ("row0", "row1", "column0", "column1")}

    def inside(y, x):
        good = (y >= box["row0"] - edge / 2) & (y <= box["row1"] + edge / 2)
        return (good & (x >= box["column0"] - edge / 2) & (x <= box["column1"] + edge / 2)).mean()

    return inside(down, across), np.mean([inside(np.roll(down, k), np.roll(across, k)) for k in range(1, len(at))])


def which_of_two(world, seen):
    """Where a face and a house are both there: how much more of its attention an area gives to its own kind."""
    edge = world.pictures.sizes["row"] / SIDE
    centre = (np.arange(SIDE) + 0.5) * edge
    both = np.flatnonzero(world.present("face") & world.present("house"))
    found = {}
    for own, other in (("face", "house"), ("house", "face")):
        maps = seen.sel(query=seen["query"] == f"{own} area").values[:, 0].reshape(-1, SIDE, SIDE)
        lead = []
        for scene in both:
            boxes = world.boxes(scene)
            mean = {}
            for kind in (own, other):
                inside = np.zeros((SIDE, SIDE), dtype=bool)
                for box in boxes[boxes["kind"] == kind].itertuples():
                    down = (centre >= box.row0 - edge / 2) & (centre <= box.row1 + edge / 2)
                    inside |= down[:, None] & ((centre >= box.column0 - edge / 2) & (centre <= box.column1 + edge / 2))
                mean[kind] = maps[scene][inside].mean()
            lead.append(mean[own] > mean[other])
        found[f"{own} area: more attention on a place of the {own} than of the {other}, share of scenes"] = np.mean(
            lead
        )
    return found
