"""One person of the Natural Scenes Dataset, a vision transformer, and four encoders on the same pictures."""

import importlib.util
import tomllib
import warnings

import numpy as np
import torch

from neurodecode import evaluation
from neurodecode.compute.random import check_random_state
from neurodecode.compute.scores import pearson
from neurodecode.exceptions import NeurodecodeWarning
from neurodecode.representation import average_repeats
from neurodecode.sources import recipes

from . import budget, tests, tokens
from .answer import figures_of, sentence
from .encoders import RIVALS, fitted
from .layout import MOST_DRY, first_area, order, split, standardised
from .looking import looking
from .results import gain_node, result

SMALL = {
    "width": 32, "heads": 2, "hidden": 64, "epochs": 25, "batch": 32, "learning_rate": 3e-3, "clip": 1.0,
    "resamples": 200, "grid": 4,
}  # fmt: skip


def run(job):
    with warnings.catch_warnings():
        for known in ("edge of the grid", "areas have no unit to fit"):
            warnings.filterwarnings("ignore", f".*{known}", NeurodecodeWarning)
        # A dry run is small, except in what was asked for.
        usual = {key: value for key, value in SMALL.items() if job.settings[key] == job.study.settings[key]}
        settings = job.settings | (usual if job.dry_run else {})
        if settings["device"] == "best":
            settings = settings | {"device": "cuda" if torch.cuda.is_available() else "cpu"}
        return study(job, settings)


def study(job, settings):
    recipe = recipes.open_recipe("nsd", root=job.data)
    sessions = list(range(1, settings["sessions"] + 1)) if settings["sessions"] else None
    reader(recipe).needed(recipe.folder, settings["subject"], sessions)
    data = recipe.load(subject=settings["subject"], parts=("areas", "shared", "pictures"))
    model = tokens.load_backbone(settings, job.dry_run, job.seed)
    said = plan(job, recipe, data, model, settings, sessions)
    brain = recipe.load(subject=settings["subject"], sessions=sessions)["brain"]
    brain = standardised(brain.assign_coords(roi=("unit", first_area(data["areas"]))))
    train, test = split(brain, data["shared"], job.dry_run)
    names = np.concatenate([train, test])
    pictures = data["pictures"].of(names)
    X = tokens.read_tokens(model, pictures, names, settings, job.store("tokens"))
    Y = average_repeats(brain[np.isin(brain["stimulus"].values, names)])
    Y = order(Y, names)
    ceiling = evaluation.repeat_ceiling(brain[np.isin(brain["stimulus"].values, test)])
    n, masks = len(train), dict(zip(data["areas"]["area"].values.tolist(), data["areas"].values))
    encoders = fitted(X[:n], Y[:n], masks, settings, job)
    predicted = {
        name: np.asarray(encoder.predict(read(X[n:])), dtype=float) for name, (encoder, read) in encoders.items()
    }
    truth = Y[n:].values.astype(float)
    results = {name: result(found, Y[n:], truth, ceiling, name, settings, job) for name, found in predicted.items()}
    members = data["areas"].values
    compared = [name for name in RIVALS if name in predicted]
    rng = check_random_state(job.seed)
    table = tests.differences(truth, predicted, "routed", compared, members, settings["resamples"], rng)
    gains = gain_node(table, results, compared, members, list(masks))
    chance = tests.area_mean(pearson(truth, predicted["shuffled"]), members) if "shuffled" in predicted else None
    figures = figures_of(job, gains, chance, encoders["routed"][0])
    return evaluation.study_tree(
        {**results, "gains": gains, "attention": looking(encoders["routed"][0], X[n:], Y[n:], pictures, n, gains)},
        answer=sentence(gains, chance, len(test), settings["subject"]),
        figures=figures,
        main=["routed", *compared],
        sample_name=["test picture", "test pictures"],
        notes=[f"Predicted before the start: {said}."],
        **tomllib.loads((job.study.folder / "study.toml").read_text(encoding="utf-8"))["page"],
    )


def reader(recipe):
    """prepare.py of the recipe, for its list of files."""
    spec = importlib.util.spec_from_file_location("nsd_prepare", recipe.home / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plan(job, recipe, data, model, settings, sessions):
    """What it will take, from the design alone; raises where it cannot be."""
    module = reader(recipe)
    table = module.pd.read_csv(recipe.folder / module.RESPONSES.format(subject=settings["subject"]), sep="\t")
    table = table if sessions is None else table[table["SESSION"].isin(sessions)]
    pictures = table["73KID"].nunique()
    pictures = min(pictures, sum(MOST_DRY.values())) if job.dry_run else pictures
    rows, cols, _ = tokens.grid_of(data["pictures"].shape[1:3], model.config.patch_size)
    fits = 2 if settings["shuffled"] else 1
    predicted = budget.predict(model, pictures, len(table), data["areas"].sizes["unit"], rows * cols, settings, fits)
    return budget.allow(predicted, job.out, settings)
