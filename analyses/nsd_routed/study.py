"""One person of the Natural Scenes Dataset, a vision transformer, and four encoders on the same pictures."""

import importlib.util
import tomllib
import warnings
from dataclasses import replace

import numpy as np
import torch
import xarray as xr
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode import evaluation
from neurodecode.attention import RoutedEncoder, Routing, SpatialFeatureEncoder, Training
from neurodecode.compute.random import check_random_state
from neurodecode.compute.scores import pearson
from neurodecode.evaluation.result import versions
from neurodecode.exceptions import DegenerateDataError, NeurodecodeWarning
from neurodecode.linear import Ridge
from neurodecode.representation import average_repeats
from neurodecode.sources import recipes

from . import budget, tests, tokens

SMALL = {
    "width": 32, "heads": 2, "hidden": 64, "epochs": 25, "batch": 32, "learning_rate": 3e-3, "clip": 1.0,
    "resamples": 200, "grid": 4,
}  # fmt: skip
MOST_DRY = {"train": 600, "test": 100}
LEAST_REPEATS = 3
ALPHAS = 10.0 ** np.arange(0, 7)
RIVALS = ("flattened ridge", "spatial x feature", "mean ridge")
SHOWN = 6


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


def first_area(areas):
    """The first area of every voxel, for tables that give each voxel one name."""
    names = areas["area"].values
    return np.where(areas.values.any(0), names[areas.values.argmax(0)], "none")


def standardised(brain):
    """Every voxel with mean 0 and deviation 1 within each session."""
    values, session = brain.values.astype(np.float32), brain["session"].values
    for one in np.unique(session):
        rows = session == one
        spread = values[rows].std(0)
        values[rows] = (values[rows] - values[rows].mean(0)) / np.where(spread > 0, spread, 1)
    return brain.copy(data=values)


def split(brain, shared, dry_run):
    """Names of training and test pictures: what only this person saw, and what all saw and this one three times."""
    names, counts = np.unique(brain["stimulus"].values, return_counts=True)
    common = np.isin(names, shared)
    train, test = names[~common], names[common & (counts >= LEAST_REPEATS)]
    if dry_run:
        train, test = train[: MOST_DRY["train"]], test[: MOST_DRY["test"]]
    if len(train) < 20 or len(test) < 20:
        raise DegenerateDataError(
            f"{len(train)} training pictures and {len(test)} test pictures seen {LEAST_REPEATS} times: 20 of each are "
            "the least. Later sessions hold the third repeats; name all sessions (sessions = 0)."
        )
    return train, test


def order(Y, names):
    """The samples in the order of the names."""
    place = {name: row for row, name in enumerate(Y["stimulus"].values.tolist())}
    return Y[[place[name] for name in names.tolist()]]


def fitted(X, Y, masks, settings, job):
    """Name to (encoder fitted to the training pictures, what it reads of the tokens)."""
    look = {"random_state": job.seed, "max_epochs": settings["epochs"]}

    def training(name):
        return Training(
            learning_rate=settings["learning_rate"], weight_decay=settings["weight_decay"], schedule=(100, 0.5),
            batch_size=settings["batch"], clip=settings["clip"], dropout=settings["dropout"],
            validation=settings["held_back"], device=settings["device"], checkpoint=job.store(f"{name}.checkpoint"),
        )  # fmt: skip

    def routed(name):
        routing = Routing(positions="sine", hidden=settings["hidden"])
        return RoutedEncoder(
            masks, settings["width"], settings["heads"], routing=routing, training=training(name), **look
        )

    static = replace(
        training("static"), learning_rate=0.05, clip=1.0, dropout=0.0, schedule="cosine", weight_decay=1e-2
    )
    job.store("").mkdir(parents=True, exist_ok=True)
    ridge = make_pipeline(StandardScaler(), Ridge(ALPHAS, cv=3, device=settings["device"]))
    found = {
        "routed": (routed("routed").fit(X, Y), lambda tokens: tokens),
        "spatial x feature": (SpatialFeatureEncoder(masks, training=static, **look).fit(X, Y), lambda tokens: tokens),
    }
    for name, side in (("flattened ridge", settings["grid"]), ("mean ridge", 1)):
        own = make_pipeline(*(type(step)(**step.get_params()) for _, step in ridge.steps))
        found[name] = (own.fit(tokens.pooled(X, side), Y.values), lambda some, side=side: tokens.pooled(some, side))
    if settings["shuffled"]:
        other = check_random_state(job.seed + 1).permutation(len(Y))
        found["shuffled"] = (routed("shuffled").fit(X, Y.copy(data=Y.values[other])), lambda some: some)
    return found


def result(predicted, Y, truth, ceiling, name, settings, job):
    """One result in the layout of cross_validate, with the single fold that the test pictures are."""
    score = pearson(truth, predicted)
    normalized, definition = evaluation.normalize(score, ceiling.values, "r")
    coords = {key: ("unit", coord.values) for key, coord in Y.coords.items() if coord.dims == ("unit",)}
    nothing = {"coord": "stimulus", "checked": True, "groups": len(truth), "shared": 0, "verdict": "nothing shared"}
    attrs = {
        "schema": "neurodecode.result/1", "question": f"How well does the encoder called {name} predict each voxel?",
        "score": "r", "pool": "predictions", "chance": 0.0, "estimator": name, "random_state": job.seed,
        "splits": "one: the pictures that all people saw", "n_folds": 1, "n_samples": len(truth), "n_permutations": 0,
        "p_min": None, "exchangeability": "pictures", "degenerate": np.flatnonzero(~np.isfinite(score)).tolist(),
        "dropped_targets": [], "assume_aligned": False, "allow_overlap": None,
        "leakage": [nothing],
        "data": {"Y": {"kind": "fmri", "dataset": "nsd", "shape": list(truth.shape)}}, "versions": versions(),
        "elapsed_s": None, "ceiling_reason": None, "notes": [], "command": None, "data_card": None,
        "ceiling_definition": "square root of the explainable share of the variance of means over repeats",
        "normalized_definition": definition,
    }  # fmt: skip
    attrs |= {key: Y.attrs[key] for key in ("affine", "shape") if key in Y.attrs}
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


def figures_of(job, gains, chance, routed):
    figures = []
    for at, area in enumerate(gains["area"].values.tolist()):
        if not gains["n"].values[at]:
            continue
        figures.append(job.figure(f"{area}: routed, r", gains["score"].values[at]))
        figures.append(job.figure(f"{area}: routed, normalised", gains["normalized"].values[at]))
        for row, rival in enumerate(gains["rival"].values.tolist()):
            figures.append(job.figure(f"{area}: routed − {rival}", gains["difference"].values[row, at]))
        if chance is not None:
            figures.append(job.figure(f"{area}: shuffled, r", chance[at]))
    figures.append(job.figure("epoch that was kept", routed.best_epoch_ + 1))
    return figures


def looking(encoder, X, Y, pictures, start, gains):
    """Attention of the areas that gain most over the mean ridge, and what masking costs."""
    lost = encoder.token_importance(X, Y, share=0.1, random_state=0)
    there = np.flatnonzero(gains["n"].values > 0)
    lead = gains["difference"].values[-1][there]
    chosen = there[np.argsort(-np.nan_to_num(lead, nan=-np.inf))][:6]
    names = gains["area"].values[chosen].tolist()
    seen = encoder.attention(X[:SHOWN])
    at = [seen["query"].values.tolist().index(name) for name in names]
    return xr.Dataset(
        {
            "picture": (("sample", "pixel_row", "pixel_column", "channel"), pictures[start : start + len(seen)]),
            "attention": (("sample", "query", "token"), seen.values[:, at]),
            "drop": ("query", lost["drop"].values[at]),
            "drop_random": ("query", lost["drop_random"].values[at]),
        },
        coords={
            "query": names, "stimulus": ("sample", seen["stimulus"].values),
            "row": ("token", X["row"].values), "col": ("token", X["col"].values),
        },
        attrs={
            "shows": "attention", "title": "Attention on test pictures", "share": 0.1, "score": "r",
            "how_chosen": "Areas: those that gain most over the mean ridge. Pictures: the first of the test set.",
        },
    )  # fmt: skip


def sentence(gains, chance, n_test, subject):
    """Which areas gain, by the paired test."""
    sure = ((gains["difference"] > 0) & (gains["p_fdr"] < 0.05)).all("rival").values
    lost = ((gains["difference"] < 0) & (gains["p_fdr"] < 0.05)).any("rival").values
    there = int((gains["n"].values > 0).sum())
    names = gains["area"].values[sure].tolist()
    said = f": {', '.join(names[:8])}{' and others' if len(names) > 8 else ''}" if names else ""
    shuffled = ""
    if chance is not None:
        shuffled = f" Fitted to the responses of other pictures it reaches r = {np.nanmean(chance):.2f}."
    return (
        f"In {subject}, {n_test} test pictures, routing beats every rival in {int(sure.sum())} of {there} areas{said}; "
        f"in {int(lost.sum())} at least one rival is better (p(FDR) < .05 over pictures).{shuffled}"
    )
