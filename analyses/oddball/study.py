"""Rare against frequent letters: how well one epoch tells them, how much hangs on the folds, when and where."""

import numpy as np
import xarray as xr
from sklearn.model_selection import StratifiedKFold

from neurodecode.evaluation import cross_validate, study_tree
from neurodecode.linear import LinearClassifier, Sliding, stack_time
from neurodecode.sources import recipes

SMALL = {"shuffles": 2, "permutations": 19, "course_permutations": 0}
METHOD = """\
64 channels, filtered from 0.5 to 20 Hz, cut from -0.1 to 0.8 s around each letter and sampled every 50 ms: 1,216
numbers a letter. Linear discriminant analysis with Ledoit-Wolf shrinkage, five folds with four targets each; AUC is
taken over the held-out decision values of all folds together. Folds follow the recording in the first result; in the
others letters are dealt into them at random, once per seed. For the null labels change places and everything is fitted
again.

The course has a classifier of its own at every moment, from 64 channels. `difference` is the mean of X less that of O.
"""
REFERENCES = [
    "Polich J (2007). Clinical Neurophysiology 118:2128-2148 (the P300).",
    "Blankertz B, Lemm S, Treder M, Haufe S, Mueller KR (2011). NeuroImage 56:814-825 (shrinkage LDA of responses).",
    "Schalk G et al. (2004). IEEE Transactions on Biomedical Engineering 51:1034-1043 (the recording).",
]
LDA = LinearClassifier("lda", shrinkage="auto")


def run(job):
    size = job.sizes(SMALL)
    recipe = recipes.open_recipe("eeg_oddball_p300", root=job.data)
    X = recipe.load()["brain"]
    y, rows = X["category"], stack_time(X)
    said = {"score": "auc", "random_state": job.seed, "data_card": recipe.card, "permute": "shuffle"}
    results = {
        "rare or frequent": cross_validate(
            LDA, rows, y, StratifiedKFold(5), **said, pool="predictions", permutations=size["permutations"],
            store=job.store("order"), question="Rare or frequent? Folds follow the recording.",
        ),
        "when": cross_validate(
            Sliding(LDA), X, y, StratifiedKFold(5), **said, pool="predictions", store=job.store("when"),
            permutations=size["course_permutations"], question="When does the answer tell the two apart?",
        ),
    }  # fmt: skip
    shuffled = {}
    for number in range(size["shuffles"]):
        deal = StratifiedKFold(5, shuffle=True, random_state=job.seed + number)
        # Positions, not the splitter: epochs lie 0.6 s apart, so that shuffled ones share no sample with each other.
        folds = list(deal.split(rows.values, y.values))
        shuffled[number] = cross_validate(LDA, rows, y, folds, **said, pool="predictions")["score"].item()
    rare = y.values == "X"
    difference = X[rare].mean("sample").values - X[~rare].mean("sample").values
    coords = {name: ("unit", X[name].values) for name in ("channel", "x", "y", "z")} | {"time": X["time"]}
    said = {"kind": "eeg", "shows": "topography", "title": "On the scalp"}
    name = {"units": "V", "long_name": "mean of the rare letters less that of the frequent ones"}
    scalp = xr.Dataset({"difference": (("unit", "time"), difference, name)}, coords, said)
    return report(job, results, scalp, np.array(list(shuffled.values())))


def report(job, results, scalp, shuffled):
    order, course = float(results["rare or frequent"]["score"].item()), results["when"]
    best = int(np.nanargmax(course["score"].values[0]))
    unit, at = np.unravel_index(np.argmax(scalp["difference"].values), scalp["difference"].shape)
    p = float(results["rare or frequent"]["p"].item()) if "p" in results["rare or frequent"] else np.nan
    said = f"p = {p:.3f}" if np.isfinite(p) else "not tested"
    figures = [
        job.figure("AUC, folds in the order of the recording", order),
        job.figure("AUC, mean over shuffled folds", shuffled.mean()),
        job.figure("lowest AUC over shuffles", shuffled.min()),
        job.figure("highest AUC over shuffles", shuffled.max()),
        job.figure("p", p),
        job.figure("best moment, seconds after the letter", float(course["time"][best])),
        job.figure("AUC at that moment", float(course["score"].values[0, best])),
        job.figure("largest difference, microvolts", 1e6 * float(scalp["difference"].values[unit, at])),
        job.figure("its time, seconds", float(scalp["time"][at])),
    ]
    answer = (
        f"One epoch tells the rare letter from the frequent one with an AUC of {order:.2f} ({said}); how the folds are "
        f"dealt moves that between {shuffled.min():.2f} and {shuffled.max():.2f}. Rare letters differ most at "
        f"{scalp['channel'].values[unit]}, {1e3 * float(scalp['time'][at]):.0f} ms after they appear. One person, 20 "
        "rare and 80 frequent letters."
    )
    notes = [
        "20 targets: the spread over fold seeds is that of the folds, on the same 100 letters, not of other people.",
        "Shuffled folds put neighbours in time on both sides; slow drifts then help, so the ordered folds count.",
    ]
    tree = study_tree(
        results, question=job.study.question, answer=answer, figures=figures, method=METHOD, references=REFERENCES,
        notes=notes, data_card=results["rare or frequent"].attrs["data_card"],
    )  # fmt: skip
    tree["topographies"] = xr.DataTree(scalp)
    return tree
