"""Scores of each encoder in the layout of every other result, and how much routing gains over its rivals."""

import numpy as np
import xarray as xr

from neurodecode import evaluation
from neurodecode.compute.scores import pearson
from neurodecode.evaluation.result import versions

from . import tests


def result(predicted, Y, truth, ceiling, name, train, job):
    """One result in the layout of cross_validate, with the single fold that the test pictures are."""
    score = pearson(truth, predicted)
    normalized, definition = evaluation.normalize(score, ceiling.values, "r")
    coords = {key: ("unit", coord.values) for key, coord in Y.coords.items() if coord.dims == ("unit",)}
    shared = int(np.isin(Y["stimulus"].values, train["stimulus"].values).sum())
    seen = {"coord": "stimulus", "checked": True, "groups": len(truth), "shared": shared}
    seen["verdict"] = f"{shared} shared" if shared else "nothing shared"
    attrs = {
        "schema": "neurodecode.result/1", "question": f"How well does the encoder called {name} predict each voxel?",
        "score": "r", "pool": "predictions", "chance": 0.0, "estimator": name, "random_state": job.seed,
        "splits": "one: the pictures that all people saw", "n_folds": 1, "n_samples": len(truth), "n_permutations": 0,
        "p_min": None, "exchangeability": "pictures", "degenerate": np.flatnonzero(~np.isfinite(score)).tolist(),
        "dropped_targets": [], "assume_aligned": False, "allow_overlap": None,
        "leakage": [seen],
        "data": {
            "X": {"kind": "network", "dataset": train.attrs["model"], "shape": [len(truth), *train.shape[1:]]},
            "Y": {"kind": "fmri", "dataset": "nsd", "shape": list(truth.shape)},
        },
        "versions": versions(),
        "elapsed_s": None, "ceiling_reason": None, "notes": [], "command": None, "data_card": None,
        "ceiling_definition": "square root of the explainable share of the variance of means over repeats",
        "normalized_definition": definition,
    }  # fmt: skip
    attrs |= {key: Y.attrs[key] for key in ("affine", "shape", "n_vertices") if key in Y.attrs}
    return xr.Dataset(
        {
            "score": ("unit", score),
            "score_fold": (("fold", "unit"), score[None]),
            "ceiling": ("unit", ceiling.values),
            "normalized": ("unit", normalized),
        },
        {**coords, "fold": ["shared pictures"]},
        attrs,
    )


def gain_node(table, results, rivals, members, areas):
    """Paired differences in the layout that a page draws."""
    means = {name: tests.area_mean(one["score"].values, members) for name, one in results.items()}
    ceiling = tests.area_mean(results["routed"]["ceiling"].values, members)
    variables = {key: (("rival", "area"), values) for key, values in table.items()}
    variables["room"] = ("rival", "area"), np.stack([ceiling - means[rival] for rival in rivals])
    variables["score"] = "area", means["routed"]
    variables["normalized"] = "area", tests.area_mean(results["routed"]["normalized"].values, members)
    variables["n"] = "area", members.sum(1)
    attrs = {
        "shows": "gain", "model": "routed", "score": "r", "pool": "predictions", "level": 0.95,
        "test": "resampled test pictures, two-sided", "interval": "over resampled test pictures",
        "n_samples": results["routed"].attrs["n_samples"],
    }  # fmt: skip
    return xr.Dataset(variables, {"rival": list(rivals), "area": areas}, attrs)
