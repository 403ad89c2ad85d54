"""Two species, two groups of people, eight models and the stages of a network, all by their 92 x 92 dissimilarities."""

import tomllib
from functools import partial

import numpy as np
import xarray as xr

from neurodecode import evaluation
from neurodecode.compute.device import single_thread
from neurodecode.similarity import Selected, compare_models, match_rdms, noise_ceiling, rdm
from neurodecode.similarity.rdm_scores import RDM_SCORES
from neurodecode.similarity.rdms import upper
from neurodecode.sources import network, recipes

from .pictures import pictures

PICTURES = ["picture", "pictures"]
STAGES = {"relu": "stem", "layer1": "layer1", "layer2": "layer2", "layer3": "layer3", "linear": "classes"}
LABEL = {"label": "Spearman correlation of dissimilarities"}


def run(job):
    with single_thread():
        return study(job, job.sizes({"n_bootstrap": 0}))


def study(job, settings):
    data = recipes.open_recipe("kriegeskorte2008_92", root=job.data).load()
    others = recipes.open_recipe("cichy_fmri_rdms_92", root=job.data).load()
    layers = stages(job, data["pictures"], settings)
    models = {str(name): one(data["models"], at) for at, name in enumerate(data["models"]["model"].values)}
    people = {"human IT": data["human"], "IT of fifteen": others["IT"], "EVC of fifteen": others["EVC"]}
    about = {"bootstrap": "both", "n_bootstrap": settings["n_bootstrap"], "random_state": job.seed}
    results = {}
    for name, rdms in people.items():
        results[f"models and {name}"] = compare_models(models, rdms, **about)
        results[f"layers and {name}"] = compare_models(layers, rdms, **about)
    # What is fitted is scored on people and pictures that were left out, and everything beside it as well.
    chosen = {"chosen layer": Selected(layers), "animacy": models["animacy"], "HMAX": models["HMAX"]}
    results["chosen layer and IT of fifteen"] = compare_models(
        chosen, others["IT"], **about | {"n_bootstrap": settings["n_bootstrap"] // 10}
    )
    shown = {"human IT": mean(data["human"]), "monkey IT": data["monkey"], "behaviour": mean(data["behaviour"]),
             "IT of fifteen": mean(others["IT"]), "EVC of fifteen": mean(others["EVC"])}  # fmt: skip
    shown |= {f"resnet20 {name}": layer for name, layer in layers.items()}
    return tree(job, data, shown, results)


def stages(job, pictures, settings):
    """Dissimilarities (1 - r) of the 92 pictures in every stage of ResNet-20."""
    net = recipes.open_recipe("cifar10_resnets", root=job.data).load()["resnet20"]
    prepare = partial(net.preprocess, size=settings["picture_size"])
    X = network.activations(
        net,
        pictures,
        list(STAGES),
        pool=flat,
        preprocess=prepare,
        batch_size=46,
        store=job.store("resnet20 activations"),
    )
    return {name: rdm(X[:, X["layer"].values == layer]) for layer, name in STAGES.items()}


def flat(output):
    """All places of all channels as units."""
    return output.flatten(1)


def one(rdms, at):
    """One matrix of several."""
    return rdms.isel({rdms.dims[0]: at}).drop_vars(rdms.dims[0])


def mean(rdms):
    """The mean matrix of a group."""
    return rdms.mean("subject", keep_attrs=True)


def alike(first, second):
    """Spearman of two matrices or groups of matrices, each person of the second with the first."""
    first, second = match_rdms(first, second)
    return float(np.mean(RDM_SCORES["spearman"](np.atleast_2d(upper(first)), np.atleast_2d(upper(second)))))


def tree(job, data, shown, results):
    human = data["human"]
    rest = [alike(mean(human.isel(subject=np.arange(4) != at)), one(human, at)) for at in range(4)]
    figures = [
        job.figure("human IT with monkey IT", alike(shown["human IT"], data["monkey"])),
        job.figure("one person with the mean of the other three", np.mean(rest)),
        job.figure("behaviour with human IT", alike(shown["behaviour"], shown["human IT"])),
        job.figure("fifteen people with four others, IT", alike(shown["IT of fifteen"], shown["human IT"])),
        job.figure("monkey IT with fifteen people, IT", alike(data["monkey"], shown["IT of fifteen"])),
        job.figure("behaviour: one judge with the others (ceiling)", float(noise_ceiling(data["behaviour"])["lower"])),
    ]
    for name, result in results.items():
        figures += [job.figure(f"ceiling, {name}", float(result["ceiling_lower"]))]
        figures += [
            job.figure(f"{model}, {name}", value) for model, value in zip(result["model"].values, result["mean"].values)
        ]
    rows = results["layers and human IT"]["model"].values.tolist()
    areas = ["human IT", "IT of fifteen", "EVC of fifteen"]
    table = np.stack([results[f"layers and {area}"]["mean"].values for area in areas], axis=1)
    results = {name: found.assign_attrs(shows="models", sample_name=PICTURES) for name, found in results.items()}
    return evaluation.study_tree(
        results | pictures(mean(data["human"]), shown, PICTURES),
        answer=answer(results, figures),
        main=["models and IT of fifteen"],
        figures=figures,
        matrix=xr.DataArray(table, {"layer": rows, "roi": areas}, ("layer", "roi"), attrs=LABEL),
        **tomllib.loads((job.study.folder / "study.toml").read_text(encoding="utf-8"))["page"],
    )


def answer(results, figures):
    """What was found, in words."""
    found = {row["name"]: row["found"] for row in figures}
    models = results["models and IT of fifteen"]
    order = np.argsort(-models["mean"].values)
    names = models["model"].values[order]
    ranked = ", ".join(f"{name} {value:.2f}" for name, value in zip(names, models["mean"].values[order]))
    above = int((models["p_fwe"].values < 0.05).sum())
    differ = models["p_pair_fwe"].values[order[0]][order[1:]] < 0.05
    short = int((models["p_ceiling_fwe"].values < 0.05).sum())
    layers = results["layers and IT of fifteen"]
    best = str(layers["model"].values[int(layers["mean"].values.argmax())])
    kin, person = found["human IT with monkey IT"], found["one person with the mean of the other three"]
    low, high = float(models["ceiling_lower"]), float(models["ceiling_upper"])
    return (
        f"People and monkeys agree (rho = {kin:.2f}), about as one person with three others ({person:.2f}). "
        f"In the inferior temporal cortex of fifteen people the models rank {ranked}; the ceiling is "
        f"{low:.2f} to {high:.2f}. For new people and new pictures {above} of {len(order)} models stand above "
        f"0, the first differs from {int(differ.sum())} of the others and {short} fall short of the ceiling "
        f"(Holm). Of the stages of ResNet-20 {best} is nearest ({layers['mean'].values.max():.2f})."
    )
