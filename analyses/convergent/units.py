"""Units matched, with their nulls, and one row for every pair."""

import numpy as np
import xarray as xr

from neurodecode.similarity import match_units


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


def summary(found):
    """One row for every pair that was matched."""
    names = ("matched_held_out", "best_held_out", "matched", "p_held_out")
    rows = {name: [node.attrs[name] for node in found.values()] for name in names}
    ends = np.array([np.quantile(node["null_held_out"].values, [0.025, 0.975]) for node in found.values()])
    chose = [float(node["null_matched"].mean()) for node in found.values()]
    rows |= {"null_low": ends[:, 0], "null_high": ends[:, 1], "null_matched": chose}
    about = {"shows": "matchings", "title": "Units that recur"}
    return xr.Dataset({name: ("pair", values) for name, values in rows.items()}, {"pair": list(found)}, about)
