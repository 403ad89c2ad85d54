"""One person of the Natural Scenes Dataset, a vision transformer, and encoders that read the same tokens of it."""

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

from . import budget, rivals, shards, tests, tokens
from .answer import dry, figures_of, notes, sentence
from .encoders import RIVALS, fitted, waiting
from .layout import MOST_DRY, families, first_area, order, sessions_read, split, standardised
from .looking import looking
from .results import gain_node, result

SMALL = {
    "width": 32, "heads": 2, "hidden": 64, "epochs": 25, "batch": 32, "learning_rate": 3e-3, "clip": 1.0,
    "resamples": 200, "channels": 16, "penalty": 0.0002,
}  # fmt: skip


def run(job):
    with warnings.catch_warnings():
        short = ("still rose",) if job.dry_run else ()  # a dry run is not meant to be finished
        for known in ("edge of the grid", "areas have no unit to fit", *short):
            warnings.filterwarnings("ignore", f".*{known}", NeurodecodeWarning)
        # A dry run is small, except in what was asked for.
        usual = {key: value for key, value in SMALL.items() if job.settings[key] == job.study.settings[key]}
        settings = job.settings | (usual if job.dry_run else {})
        if settings["device"] == "best":
            settings = settings | {"device": "cuda" if torch.cuda.is_available() else "cpu"}
        strange = sorted(set(settings["rivals"]) - set(RIVALS))
        if strange or not settings["rivals"]:
            raise ValueError(f"rivals={settings['rivals']}: name some of {', '.join(RIVALS)}")
        return study(job, settings)


def study(job, settings):
    recipe = recipes.open_recipe("nsd", root=job.data)
    sessions = list(range(1, settings["sessions"] + 1)) if settings["sessions"] else None
    where = {"subject": settings["subject"], "space": settings["space"]}
    parts = ("files", "areas", "shared", "pictures", "design")
    data = recipe.load(**where, sessions=sessions, parts=parts)  # every file is looked for before any is read
    masks = dict(zip(data["areas"]["area"].values.tolist(), data["areas"].values))
    model = tokens.load_backbone(settings, job.dry_run, job.seed)
    there = data["design"]["SESSION"].nunique()
    read = sessions_read(data["design"], data["shared"], job.dry_run)
    data["design"] = data["design"][data["design"]["SESSION"].isin(read)]
    said = plan(job, data, masks, model, settings)
    brain = recipe.load(**where, sessions=read)["brain"]
    train, test = split(brain, data["shared"], job.dry_run)
    brain = standardised(brain.assign_coords(roi=("unit", first_area(data["areas"]))), train)
    names, n = np.concatenate([train, test]), len(train)
    pictures = data["pictures"].of(names)
    X, classes = shards.tokens_of(model, pictures, names, settings, job.store("tokens"))
    Y = order(average_repeats(brain[np.isin(brain["stimulus"].values, names)]), names)
    ceiling = evaluation.repeat_ceiling(brain[np.isin(brain["stimulus"].values, test)])
    del brain
    ensembles = fitted(X[:n], Y[:n], masks, settings, job)
    predicted = {name: np.asarray(one.predict(X[n:]), dtype=float) for name, one in ensembles.items()}
    predicted |= rivals.predictions(X, classes, Y, n, settings, job)
    truth = Y[n:].values.astype(float)
    results = {name: result(found, Y[n:], truth, ceiling, name, X[:n], job) for name, found in predicted.items()}
    members = data["areas"].values
    compared = [name for name in RIVALS if name in predicted]
    rng = check_random_state(job.seed)
    table = tests.differences(truth, predicted, "routed", compared, members, settings["resamples"], rng)
    gains = gain_node(table, results, compared, members, list(masks))
    chance = tests.area_mean(pearson(truth, predicted["shuffled"]), members) if "shuffled" in predicted else None
    shown = looking(ensembles["routed"], X[n:], Y[n:], pictures, n, gains)
    return evaluation.study_tree(
        {name: results[name] for name in ("routed", *compared, "shuffled") if name in results}
        | {"gains": gains, "attention": shown},
        answer=sentence(gains, chance, len(test), settings["subject"]),
        figures=figures_of(job, families(data["areas"]), results, compared),
        main=["routed", *compared],
        sample_name=["test picture", "test pictures"],
        notes=[*notes(said, ensembles, *waiting(ensembles), ceiling), *dry(job, len(read), there)],
        **tomllib.loads((job.study.folder / "study.toml").read_text(encoding="utf-8"))["page"],
    )


def plan(job, data, masks, model, settings):
    """What it will take, from the design alone; raises where it cannot be."""
    count = data["design"]["73KID"].nunique()
    count = min(count, sum(MOST_DRY.values())) if job.dry_run else count
    grid = tokens.grid_of(data["pictures"].shape[1:3], model.config.patch_size)[:2]
    return budget.allow(budget.predict(model, count, len(data["design"]), masks, grid, settings), job.out, settings)
