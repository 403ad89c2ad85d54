"""Attention over single pictures, averaged after the encoder, beside encoders that cannot attend; 63 categories."""

import tomllib
import warnings
from functools import partial

import numpy as np
import xarray as xr
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode import evaluation
from neurodecode.attention import RoutedEncoder, SpatialFeatureEncoder, Training
from neurodecode.compute.device import single_thread
from neurodecode.exceptions import NeurodecodeWarning
from neurodecode.linear import Ridge
from neurodecode.representation import Labelled, as_representation, match
from neurodecode.sources import network, recipes

RIVALS = ("flattened ridge", "spatial x feature", "mean ridge")
ALPHAS = 10.0 ** np.arange(0, 6)
NO_CEILING = "one response estimate a category, no repeats"
SMALL = {"epochs": 2, "permutations": 9}
KEPT_DRY = 20  # one voxel in so many in a dry run
SHARE = 0.1
SHOWN = 6


def run(job):
    with single_thread(), warnings.catch_warnings():
        for known in ("edge of the grid", "Of .* features", "no p value can be below"):
            warnings.filterwarnings("ignore", f".*{known}", NeurodecodeWarning)
        return study(job, job.settings | (SMALL if job.dry_run else {}))


def study(job, settings):
    data = recipes.open_recipe("object2vec_objects", root=job.data).load()
    brain = data["brain"][:, :: KEPT_DRY if job.dry_run else 1]
    tokens, Y = match(by_category(job, data["pictures"], settings), brain)
    results = {}
    for name, (encoder, X, permutations) in encoders(tokens, settings, job.seed).items():
        results[name] = evaluation.cross_validate(
            encoder, X, Y, evaluation.SplitBy("fold"), score="r", pool="predictions", random_state=job.seed,
            permutations=permutations, store=job.store(name),
            question=f"How well does the encoder called {name} predict each voxel?",
        )  # fmt: skip
        results[name].attrs["ceiling_reason"] = NO_CEILING
    table = evaluation.gains(results, "routed", RIVALS)
    areas = table["area"].values.tolist()
    figures = [
        job.figure(f"{area}: {name}, r", score)
        for name, result in results.items()
        for area, score in zip(areas, evaluation.area_means(result)["mean"].sel(area=areas).values)
    ]
    for row, rival in enumerate(RIVALS):
        for at, area in enumerate(areas):
            figures.append(job.figure(f"{area}: routed − {rival}", table["difference"].values[row, at]))
    visible = float(np.median((table["high"] - table["low"]).values) / 2)
    figures.append(job.figure("half width of a 95 % interval of a difference, median", visible))
    looking = attention(tokens, Y, data["pictures"], settings, job.seed)
    return evaluation.study_tree(
        {**results, "gains": table, "attention": looking},
        answer=sentence(table, visible),
        figures=figures,
        main=list(results),
        sample_name=["category", "categories"],
        **tomllib.loads((job.study.folder / "study.toml").read_text(encoding="utf-8"))["page"],
    )


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


def encoders(tokens, settings, seed):
    """Name to (encoder, what it reads, permutations); a linear map of the mean is the mean of the linear maps."""
    ten = tokens.values.reshape(len(tokens), tokens["picture"].values.max() + 1, -1, tokens.sizes["unit"]).mean(1)
    ridge = make_pipeline(Labelled(StandardScaler()), Ridge(ALPHAS, cv=6))
    training = {"batch_size": settings["batch"], "validation": 0.0}
    look = {"max_epochs": settings["epochs"], "random_state": seed, "within": "picture"}
    return {
        "routed": (RoutedEncoder(width=settings["width"], training=Training(**training), **look), tokens, 0),
        "flattened ridge": (ridge, like(tokens, ten.reshape(len(ten), -1)), 0),
        "spatial x feature": (
            SpatialFeatureEncoder(training=Training(learning_rate=0.05, dropout=0.0, **training), **look), tokens, 0,
        ),
        "mean ridge": (ridge, like(tokens, ten.mean(1)), settings["permutations"]),
    }  # fmt: skip


def like(tokens, values):
    attrs = {"model": "resnet20", "dataset": "object2vec_objects"}
    return as_representation(values, stimulus=tokens["stimulus"].values, kind="network", attrs=attrs)


def attention(tokens, Y, pictures, settings, seed):
    """Attention on pictures of the first held-out set, and what masking costs, averaged over all held-out sets."""
    lost, seen = [], None
    fold = Y["fold"].values
    for one in np.unique(fold):
        train, test = np.flatnonzero(fold != one), np.flatnonzero(fold == one)
        encoder = encoders(tokens, settings, seed)["routed"][0].fit(tokens[train], Y[train])
        lost.append(encoder.token_importance(tokens[test], Y[test], share=SHARE, random_state=seed))
        if seen is None:
            seen = encoder.attention(tokens[test[:SHOWN]])
    first = tokens["picture"].values == 0
    shown = [int(np.flatnonzero(pictures["category"].values == name)[0]) for name in seen["stimulus"].values.tolist()]
    return xr.Dataset(
        {
            "picture": (("sample", "pixel_row", "pixel_column", "channel"), np.asarray(pictures.values[shown])),
            "attention": (("sample", "query", "token"), seen.values[:, :, first]),
            "drop": ("query", np.mean([each["drop"].values for each in lost], axis=0)),
            "drop_random": ("query", np.mean([each["drop_random"].values for each in lost], axis=0)),
        },
        coords={
            "query": seen["query"].values.astype(str), "stimulus": ("sample", seen["stimulus"].values),
            "row": ("token", tokens["row"].values[first]), "col": ("token", tokens["col"].values[first]),
        },
        attrs={
            "shows": "attention", "title": "Attention on pictures that were not fitted", "share": SHARE, "score": "r",
            "how_chosen": "Pictures: the first one of the first six categories of the first held-out set.",
        },
    )  # fmt: skip


def sentence(table, visible):
    """What the tests say, and what they could have seen."""
    p, difference = table["p_fdr"].values, table["difference"].values
    best = table["area"].values[((difference > 0) & (p < 0.05)).all(axis=0)].tolist()
    worse = table["area"].values[((difference < 0) & (p < 0.05)).any(axis=0)].tolist()
    said = [f"beats every rival in {', '.join(best)}" if best else "beats all rivals in no area"]
    said.append(f"is beaten by at least one in {', '.join(worse)}" if worse else "is beaten in none")
    rivals = ", ".join(
        f"{float(np.nanmean(row)):+.2f} over {rival}".replace("-", "\N{MINUS SIGN}")
        for rival, row in zip(table["rival"].values.tolist(), difference)
    )
    return (
        f"In one person and 63 categories the routed encoder {said[0]} and {said[1]} of {table.sizes['area']} areas "
        f"(p(FDR) < .05; mean difference of r over areas {rivals}). Differences below about {visible:.2f} could not "
        "have been seen, and without repeats there is no ceiling: this says nothing about routing in the brain at large."
    )
