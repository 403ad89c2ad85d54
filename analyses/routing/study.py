"""Four encoders of a simulated brain on the same folds: which areas gain from looking for things, by paired tests."""

import tomllib
import warnings

from sklearn.model_selection import KFold

from neurodecode import evaluation
from neurodecode.compute.device import single_thread
from neurodecode.evaluation import gains
from neurodecode.exceptions import NeurodecodeWarning
from neurodecode.representation import average_repeats, match
from neurodecode.sources import simulated

from .answer import sentence
from .encoders import RIVALS, encoders
from .fields import receptive_fields, static_maps
from .looking import attention
from .patches import patches
from .verdicts import verdicts

CEILING = {"V1": 0.80, "V2": 0.80, "face area": 0.80, "house area": 0.80, "language area": 0.80}
PLANTED = {
    "V1": "place",
    "V2": "place",
    "face area": "content",
    "house area": "content",
    "language area": "content",
    "null area": "nothing",
}
SMALL = {"scenes": 240, "units": 6, "epochs": 4, "permutations": 9}


def run(job):
    with single_thread(), warnings.catch_warnings():
        # Where nothing answers, and where a pool or a mean says nothing, the best penalty is the largest of any grid.
        known = "(edge of the grid|no p value can be below|equal to an earlier)"
        warnings.filterwarnings("ignore", f".*{known}", NeurodecodeWarning)
        return study(job, job.sizes(SMALL))


def study(job, size):
    world = simulated.scenes(size["scenes"], random_state=job.seed)
    brain = simulated.person(world, n_units=size["units"], ceiling=CEILING, random_state=job.seed)
    tokens, Y = match(patches(world), average_repeats(brain))
    common = {
        "splits": KFold(6), "score": "r", "pool": "predictions", "random_state": job.seed,
        "ceiling": evaluation.repeat_ceiling(brain),
    }  # fmt: skip
    results = {}
    for name, (encoder, X, permutations) in encoders(tokens, size, job.seed).items():
        results[name] = evaluation.cross_validate(
            encoder, X, Y, store=job.store(name), permutations=permutations,
            question=f"How well does the encoder called {name} predict each unit?", **common,
        )  # fmt: skip
    table = gains(results, "routed", RIVALS)
    found = verdicts(results, table)
    areas = table["area"].values.tolist()
    table["verdict"] = "area", [found[area] for area in areas]
    table["planted"] = "area", [PLANTED[area] for area in areas]
    looking, peaks = attention(world, tokens, Y, size, job.seed)
    fields, recovered = receptive_fields(tokens, Y)
    right = sum(found[area] == PLANTED[area] for area in areas)
    figures = [job.figure("areas called what was planted", right, planted=len(areas), low=len(areas), high=len(areas))]
    figures += [
        job.figure(f"{area}: {name}, r", score)
        for name, result in results.items()
        for area, score in zip(areas, evaluation.area_means(result)["mean"].sel(area=areas).values)
    ]
    figures += [
        job.figure(f"{area}: routed − {rival}", table["difference"].values[row, column])
        for row, rival in enumerate(RIVALS)
        for column, area in enumerate(areas)
    ]
    figures += [job.figure(name, value) for name, value in {**peaks, **recovered}.items()]
    nodes = {
        "gains": table,
        "attention": looking,
        "maps of places": static_maps(tokens, Y, size, job.seed),
        "fields": fields,
    }
    return evaluation.study_tree(
        {**results, **nodes},
        answer=sentence(found, table, right),
        figures=figures,
        main=list(results),
        sample_name=["scene", "scenes"],
        **tomllib.loads((job.study.folder / "study.toml").read_text(encoding="utf-8"))["page"],
    )
