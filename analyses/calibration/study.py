"""How often every test of similarity cries wolf where nothing is, and how often it sees what is there."""

import json
import tomllib
import warnings
import zlib

import numpy as np
import xarray as xr
from scipy.stats import binomtest

from neurodecode.compute.device import single_thread
from neurodecode.compute.progress import progress
from neurodecode.evaluation import study_tree
from neurodecode.exceptions import NeurodecodeWarning
from neurodecode.representation.store import write_atomic

from . import geometries, representations

LEVEL, LOW, HIGH = 0.05, 0.035, 0.065
SMALL = {"sets": 12, "power_sets": 3, "aim_sets": 20}
GROUPS = {"Permutation tests": representations, "Tests of models": geometries}


def run(job):
    size = job.sizes(SMALL)
    with single_thread(), warnings.catch_warnings():
        # A lasso that stops before it has converged is a measure like any other, as long as it does so in every draw.
        warnings.filterwarnings("ignore", ".*lasso", NeurodecodeWarning)
        found = {name: simulated(job, module.parts(size["aim_sets"]), size) for name, module in GROUPS.items()}
    return tree(job, found)


def simulated(job, parts, size):
    """{test: {"unrelated": (false, sets), "planted": (true, sets)}} of all parts; finished ones are read."""
    found = {}
    for name, (null, planted) in progress(parts.items(), "tests", total=len(parts)):
        for kind, draw, sets in (("unrelated", null, size["sets"]), ("planted", planted, size["power_sets"])):
            if draw is None:
                continue
            for test, p in values(job, f"{name}, {kind}", draw, sets).items():
                below = int((np.asarray(p) <= LEVEL + 1e-9).sum())
                found.setdefault(test, {})[kind] = (below, len(p))
    return found


def values(job, name, draw, sets):
    """{test: p of every data set} of one part; its data sets follow from the seed and its name."""
    path = job.store(name.replace(", ", "-").replace(" ", "_")).with_suffix(".json")
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    rng = np.random.default_rng([job.seed, zlib.crc32(name.encode())])
    rows = [draw(rng) for _ in range(sets)]
    found = {test: [row[test] for row in rows] for test in rows[0]}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(found).encode())
    return found


def as_result(title, found, kind):
    """Rates with their 95 % intervals (Clopper and Pearson): a result like any other."""
    bounds = [binomtest(k, n).proportion_ci(method="exact") for k, n in found.values()]
    if kind == "unrelated":
        question = f"{title}: how often are unrelated representations called alike at .05?"
    else:
        question = f"{title}: how often is what was planted found at .05?"
    return xr.Dataset(
        {
            "score": ("unit", np.array([k / n for k, n in found.values()])),
            "low": ("unit", np.array([bound.low for bound in bounds])),
            "high": ("unit", np.array([bound.high for bound in bounds])),
        },
        {"roi": ("unit", list(found))},
        {
            "score": "share of p at or below .05", "chance": LEVEL, "question": question,
            "unit_name": ["test", "tests"], "area_name": ["test", "tests"],
        },
    )  # fmt: skip


def as_results(title, found):
    """Nodes of one group: unrelated and planted, and for models new people, new stimuli and both in one picture."""
    nodes = {}
    for kind in ("unrelated", "planted"):
        for test, row in found.items():
            if kind not in row:
                continue
            who, colon, what = test.partition(": ")
            how, _, over = who.partition(", ") if colon else (test, "", "")
            name = f"{over or title}, {kind}"
            # Rates and powers are not to share one axis.
            said = f"{how}: {what}" + (", planted" if kind == "planted" else "") if colon else test
            nodes.setdefault(name, {})[said] = row[kind]
    return {name: as_result(name.split(",")[0], rows, name.rsplit(", ", 1)[1]) for name, rows in nodes.items()}


def tree(job, groups):
    figures, nodes, outside, planted = [], {}, [], []
    for title, found in groups.items():
        nodes |= as_results(title, found)
        for test, row in found.items():
            if "unrelated" in row:
                k, n = row["unrelated"]
                limits = {} if job.dry_run else {"planted": LEVEL, "low": LOW, "high": HIGH}
                figures.append(job.figure(f"false positives, {test}", k / n, **limits))
                outside += [(k / n, test)] if not LOW <= k / n <= HIGH else []
        for test, row in found.items():
            if "planted" in row:
                k, n = row["planted"]
                figures.append(job.figure(f"power, {test}", k / n))
                planted.append((k / n, test))
    tests = sum("unrelated" in row for found in groups.values() for row in found.values())
    weakest = min(planted)
    ends = [f"{rate:.3f} ({test})" for rate, test in (min(outside), max(outside))] if outside else []
    answer = (
        f"{tests - len(outside)} of {tests} tests call {LOW:.3f} to {HIGH:.3f} of unrelated data sets alike at .05"
        + (f"; the others {' to '.join(ends)}" if ends else "")
        + f". What was planted is found in {weakest[0]:.2f} of the data sets or more (least by {weakest[1]})."
    )
    page = tomllib.loads((job.study.folder / "study.toml").read_text(encoding="utf-8"))["page"]
    return study_tree(nodes, answer=answer, figures=figures, **page)
