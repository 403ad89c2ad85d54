"""Attention over single pictures, averaged after the encoder, beside encoders that cannot attend; 63 categories."""

import tomllib
import warnings

import numpy as np

from neurodecode import evaluation
from neurodecode.compute.device import single_thread
from neurodecode.exceptions import NeurodecodeWarning
from neurodecode.representation import match
from neurodecode.sources import recipes

from .answer import sentence
from .encoders import RIVALS, encoders
from .looking import attention
from .tokens import by_category

NO_CEILING = "one response estimate a category, no repeats"
SMALL = {"epochs": 2, "permutations": 9}
KEPT_DRY = 20  # one voxel in so many in a dry run


def run(job):
    with single_thread(), warnings.catch_warnings():
        for known in ("edge of the grid", "Of .* features", "no p value can be below"):
            warnings.filterwarnings("ignore", f".*{known}", NeurodecodeWarning)
        return study(job, job.sizes(SMALL))


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
