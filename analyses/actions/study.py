"""Nine areas, ten models of actions: ceilings, ranks, and a weighted sum of the models, scored on clips left out."""

import tomllib

import numpy as np
import xarray as xr

from neurodecode import evaluation
from neurodecode.compute.device import single_thread
from neurodecode.similarity import Weighted, compare_models
from neurodecode.sources import recipes

CLIPS = ["clip", "clips"]
METRIC = "1 - correlation, cross-validated"
LABEL = {"label": "Spearman correlation of dissimilarities", "rows": ["model", "models"]}


def run(job):
    with single_thread():
        return study(job, job.sizes({"n_bootstrap": 0}))


def study(job, settings):
    data = recipes.open_recipe("action_video_rdms", root=job.data).load()
    held = data.pop("models")
    models = {str(name): held.isel(model=at).drop_vars("model") for at, name in enumerate(held["model"].values)}
    areas = list(data)[:2] if job.dry_run else list(data)
    about = {"bootstrap": "both", "random_state": job.seed}
    results = {}
    for area in areas:
        single = compare_models(models, data[area], n_bootstrap=settings["n_bootstrap"], **about)
        best = str(single["model"].values[int(single["mean"].values.argmax())])
        results[area] = single
        results[f"{area} weighted"] = compare_models(
            {"weighted": Weighted(models), best: models[best]}, data[area], n_bootstrap=0, **about
        )
    return tree(job, {area: data[area] for area in areas}, models, results)


def tree(job, data, models, results):
    figures = []
    for area in data:
        single, weighted = results[area], results[f"{area} weighted"]
        figures += [job.figure(f"{area}: one person with the others", float(single["ceiling_lower"]))]
        figures += [
            job.figure(f"{area}: {name}", value) for name, value in zip(single["model"].values, single["mean"].values)
        ]
        figures += [
            job.figure(f"{area}: weighted, left out", float(weighted["mean"][0])),
            job.figure(f"{area}: {weighted['model'].values[1]}, left out", float(weighted["mean"][1])),
            job.figure(f"{area}: ceiling, left out", float(weighted["ceiling_lower"])),
        ]
    table = np.stack([results[area]["mean"].values for area in data], axis=1)
    coords = {"layer": list(models), "roi": list(data)}
    results = {name: found.assign_attrs(shows="models", sample_name=CLIPS) for name, found in results.items()}
    shown = {"dissimilarities of the areas": matrices(data)}
    return evaluation.study_tree(
        results | shown,
        answer=answer(data, results),
        figures=figures,
        matrix=xr.DataArray(table, coords, ("layer", "roi"), attrs=LABEL),
        **tomllib.loads((job.study.folder / "study.toml").read_text(encoding="utf-8"))["page"],
    )


def matrices(data):
    """The mean matrix of every area."""
    like = next(iter(data.values())).mean("subject")
    stack = np.stack([rdms.mean("subject").values for rdms in data.values()])
    rdms = xr.DataArray(stack, {"area": list(data), **like.coords}, ("area", *like.dims), attrs={"metric": METRIC})
    about = {"shows": "rdm", "percentile": True, "sample_name": CLIPS, "wide": True}
    return xr.Dataset({"rdm": rdms}, attrs=about)


def answer(data, results):
    """What was found, in words."""
    best, gained, short = {}, [], 0
    for area in data:
        single, weighted = results[area], results[f"{area} weighted"]
        best.setdefault(str(single["model"].values[int(single["mean"].values.argmax())]), []).append(area)
        if float(weighted["difference"][0, 1]) > 0 and float(weighted["p_pair"][0, 1]) < 0.05:
            gained.append(area)
        short += float(weighted["p_ceiling"][0]) < 0.05
    listed = "; ".join(f"{name}: {', '.join(areas)}" for name, areas in best.items())
    lowest, highest = (pick(data, key=lambda area: float(results[area]["ceiling_lower"])) for pick in (min, max))
    low, high = (float(results[area]["ceiling_lower"]) for area in (lowest, highest))
    return (
        f"The best single model is, by area, {listed}. A weighted sum of the ten, on people and clips that "
        f"were left out, is better than it in {len(gained) or 'none'} of {len(data)} areas (p < .05 for new people and "
        f"clips, uncorrected), and falls short of the ceiling in {short}. One person resembles the others "
        f"from {low:.2f} ({lowest}) to {high:.2f} ({highest})."
    )
