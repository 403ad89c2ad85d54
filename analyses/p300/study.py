"""Flashes that hold the attended letter against those that do not: the course of the answer, its place, the letters."""

import numpy as np
import xarray as xr

from neurodecode.evaluation import SplitBy, cross_validate, study_tree
from neurodecode.linear import LinearClassifier, Sliding, Xdawn, stack_time
from neurodecode.sources import recipes

SMALL = {"permutations": 19, "course_permutations": 0}
METHOD = """\
Eight channels, filtered from 0.5 to 20 Hz, cut from 0 to 0.8 s after each flash and sampled every 31 ms: 208 numbers a
flash. Linear discriminant analysis with Ledoit-Wolf shrinkage tells flashes that hold the attended letter from the
others; a letter (180 flashes) is held out at a time, because neighbouring epochs overlap. AUC is taken within the held
out letter. For the null, labels change places among the flashes of a letter and everything is fitted again.

A letter is spelled as the speller would: decision values of its 180 flashes are summed for each of six rows and six
columns, the largest row and the largest column name a cell of the matrix. Chance is 1/36.

The course has a classifier of its own at every moment, from eight channels; the map one for every channel, from its
whole course. `difference` is the mean of targets less that of the others, in volts; `pattern` that of the first Xdawn
component of targets (the scalp map of what repeats).
"""
REFERENCES = [
    "Farwell LA, Donchin E (1988). Electroencephalography and Clinical Neurophysiology 70:510-523 (the speller).",
    "Blankertz B, Lemm S, Treder M, Haufe S, Mueller KR (2011). NeuroImage 56:814-825 (shrinkage LDA of responses).",
    "Rivet B, Souloumiac A, Attina V, Gibert G (2009). IEEE Trans. Biomedical Engineering 56:2035-2043 (Xdawn).",
    "Schalk G et al. (2004). IEEE Transactions on Biomedical Engineering 51:1034-1043 (the recording).",
]
LDA = LinearClassifier("lda", shrinkage="auto")


def run(job):
    size = job.sizes(SMALL)
    recipe = recipes.open_recipe("eeg_p300_speller", root=job.data)
    X = recipe.load()["brain"]
    y, rows = X["category"], stack_time(X)
    said = {"score": "auc", "random_state": job.seed, "data_card": recipe.card}
    first = np.flatnonzero(X["letter"].values <= 2)
    halves = [(first, np.setdiff1d(np.arange(len(X)), first))]
    results = {
        "one letter out": cross_validate(
            LDA, rows, y, SplitBy("letter"), **said, blocks="letter", permutations=size["permutations"],
            store=job.store("letters"), question="Does a flash hold the attended letter? One letter held out.",
        ),
        "two letters out": cross_validate(
            LDA, rows, y, halves, **said, question="The same, trained on the first two letters, tested on the others."
        ),
        "when": cross_validate(
            Sliding(LDA), X, y, SplitBy("letter"), **said, blocks="letter", permutations=size["course_permutations"],
            store=job.store("when"), question="When does the answer tell the two apart?",
        ),
        "where": where(X, y, said),
    }  # fmt: skip
    spelled = {name: spell(X, rows, folds) for name, folds in
               {"one": list(SplitBy("letter").split(X)), "two": halves}.items()}  # fmt: skip
    return report(job, results, topographies(X), spelled, X)


def where(X, y, said):
    """AUC of each channel from its own course, as one result whose units are channels."""
    each = [
        cross_validate(LDA, stack_time(X[:, [unit]]), y, SplitBy("letter"), **said, question="Where on the scalp?")
        for unit in range(X.sizes["unit"])
    ]
    kept = [one[["score", "score_fold", "degenerate"]].drop_vars("unit_name") for one in each]
    joined = xr.concat(kept, dim="unit", combine_attrs="override")
    joined.attrs |= {"degenerate": [], "notes": ["every channel is a classifier of its own"]}
    return joined.assign_coords({name: ("unit", X[name].values) for name in ("channel", "x", "y", "z")})


def topographies(X):
    """Scalp maps: the difference of means at every time, and the pattern of the component that repeats."""
    target = X["category"].values == "target"
    difference = X[target].mean("sample").values - X[~target].mean("sample").values
    found = Xdawn(n_components=1, shrinkage="auto").fit(X, X["category"]).to_dataset()
    found = found.isel(component=found["component_of"].values == "target")
    name = "mean of the flashes that hold the attended letter, less that of the others"
    found["difference"] = (("unit", "time"), difference, {"units": "V", "long_name": name})
    said = {"kind": "eeg", "shows": "topography", "topography": "pattern", "title": "On the scalp"}
    return found.assign_coords(time=X["time"]).assign_attrs(said)


def spell(X, rows, folds):
    """The letters of the held-out flashes, by row and column of the largest summed decision value."""
    matrix, text = np.array(X.attrs["matrix"]), ""
    for train, test in folds:
        value = LDA.fit(rows[train], rows["category"][train]).decision_function(rows[test])
        value = np.asarray(value) * (1 if LDA.classes_[1] == "target" else -1)
        for letter in np.unique(X["letter"].values[test]):
            mine = X["letter"].values[test] == letter
            summed = [value[mine & (X["code"].values[test] == code)].sum() for code in range(1, 13)]
            text += str(matrix[np.argmax(summed[:6]), np.argmax(summed[6:])])
    return text


def report(job, results, scalp, spelled, X):
    letters = results["one letter out"]["score_fold"].values[:, 0]
    half = float(results["two letters out"]["score"].item())
    course, text = results["when"], X.attrs["text"]
    best = int(np.nanargmax(course["score"].values[0]))
    right = {name: sum(a == b for a, b in zip(found, text[-len(found) :])) for name, found in spelled.items()}
    unit, at = np.unravel_index(np.argmax(np.abs(scalp["difference"].values)), scalp["difference"].shape)
    p = float(results["one letter out"]["p"].item())
    figures = [
        job.figure("AUC, trained on two letters, tested on two", half),
        job.figure("letters spelled of the last two", right["two"]),
        job.figure("lowest AUC, leaving one letter out", letters.min()),
        job.figure("highest AUC, leaving one letter out", letters.max()),
        job.figure("letters spelled of four, leaving one out", right["one"]),
        job.figure("p of AUC, leaving one letter out", p),
        job.figure("best moment, seconds after the flash", float(course["time"][best])),
        job.figure("AUC at that moment", float(course["score"].values[0, best])),
        job.figure("largest difference of targets, microvolts", 1e6 * float(scalp["difference"].values[unit, at])),
    ]
    answer = (
        f"A single flash is told with an AUC of {letters.mean():.2f} ({letters.min():.2f} to {letters.max():.2f} over "
        f"four held-out letters, p = {p:.3f}); summed over 15 rounds, {right['one']} of 4 letters are spelled "
        f"({spelled['one']} for {text}), and {right['two']} of the last 2 from training on the first 2. One person, "
        "720 flashes."
    )
    notes = [
        f"Targets differ most at {X['channel'].values[unit]}, {float(X['time'][at]) * 1e3:.0f} ms after the flash.",
        "Four letters: one letter more or less is a quarter of the spelling figure; chance for a letter is 1/36.",
        "The pattern and the difference are taken over all flashes; nothing is predicted from them.",
    ]
    tree = study_tree(
        results, question=job.study.question, answer=answer, figures=figures, method=METHOD, references=REFERENCES,
        notes=notes, data_card=results["one letter out"].attrs["data_card"],
    )  # fmt: skip
    tree.attrs["main"] = ["one letter out", "two letters out"]
    tree["topographies"] = xr.DataTree(scalp)
    return tree
