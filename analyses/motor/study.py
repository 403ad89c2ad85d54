"""Common spatial patterns and linear discriminant analysis, each run tested on the other; where the rhythms change."""

import numpy as np
import xarray as xr
from sklearn.pipeline import make_pipeline

from neurodecode.evaluation import SplitBy, cross_validate, study_tree
from neurodecode.linear import CSP, LinearClassifier
from neurodecode.sources import recipes

METHOD = """\
64 channels, filtered from 8 to 30 Hz, cut from 0.5 to 4.1 s after each movement begins. Common spatial patterns (six
components, class covariances shrunk after Ledoit and Wolf) are learnt from one run, the logarithm of their power goes
to linear discriminant analysis, and the other run is named; then the other way round. For the null, labels change
places within runs and filters and classifier are fitted again.

The map has a classifier of its own for every channel, from the logarithm of its power. The patterns are those of each
run (Haufe et al. 2014): where on the scalp a component is seen. Filters are no maps of sources and stand beside them.
"""
REFERENCES = [
    "Ramoser H, Mueller-Gerking J, Pfurtscheller G (2000). IEEE Transactions on Rehabilitation Engineering 8:441-446.",
    "Blankertz B, Tomioka R, Lemm S, Kawanabe M, Mueller KR (2008). IEEE Signal Processing Magazine 25:41-56.",
    "Haufe S, Meinecke F, Goergen K, et al. (2014). NeuroImage 87:96-110 (patterns).",
    "Pfurtscheller G, Lopes da Silva FH (1999). Clinical Neurophysiology 110:1842-1857 (desynchronisation).",
    "Schalk G et al. (2004). IEEE Transactions on Biomedical Engineering 51:1034-1043 (the recording).",
]


def run(job):
    permutations = job.sizes({"permutations": 19})["permutations"]
    recipe = recipes.open_recipe("eeg_motor_hands_feet", root=job.data)
    X = recipe.load()["brain"]
    csp = CSP(job.settings["components"], shrinkage="auto")
    said = {"score": "accuracy", "random_state": job.seed, "data_card": recipe.card}
    results = {
        "hands or feet": cross_validate(
            make_pipeline(csp, LinearClassifier("lda")), X, X["category"], SplitBy("run"), **said, keep="prediction",
            permutations=permutations, store=job.store("csp"), question="Hands or feet, in a run that was not learnt?",
        ),
        "where": where(X, said),
    }  # fmt: skip
    scalp = {}
    for number in (1, 2):
        mine = X[X["run"].values == number]
        scalp[f"patterns of run {number}"] = csp.fit(mine, mine["category"]).to_dataset()
    return report(job, results, scalp)


def where(X, said):
    """Accuracy of each channel by the power of that channel alone."""
    one = make_pipeline(CSP(1), LinearClassifier("lda"))
    each = [
        cross_validate(one, X[:, [unit]], X["category"], SplitBy("run"), **said, question="Where on the scalp?")
        for unit in range(X.sizes["unit"])
    ]
    kept = [one[["score", "score_fold", "degenerate"]].drop_vars("unit_name") for one in each]
    joined = xr.concat(kept, dim="unit", combine_attrs="override")
    joined.attrs |= {"degenerate": [], "notes": ["every channel is a classifier of its own"]}
    return joined.assign_coords({name: ("unit", X[name].values) for name in ("channel", "x", "y", "z")})


def report(job, results, scalp):
    main = results["hands or feet"]
    right = {str(fold): 15 * float(score) for fold, score in zip(main["fold"].values, main["score_fold"].values[:, 0])}
    p = float(main["p"].item())
    one, two = (found["pattern"].values[0] for found in scalp.values())
    alike = abs(float(np.corrcoef(one, two)[0, 1]))
    channels = results["where"]
    best = int(np.argmax(channels["score"].values))
    figures = [
        job.figure("right in run 2, trained on run 1, of 15", right["2"]),
        job.figure("right in run 1, trained on run 2, of 15", right["1"]),
        job.figure("accuracy with permuted labels", float(main["null"].mean())),
        job.figure("p", p),
        job.figure("correlation of the first patterns of the two runs", alike),
        job.figure("accuracy of the best single channel", float(channels["score"][best])),
    ]
    answer = (
        f"{right['2']:.0f} of 15 movements of run 2 are named rightly after training on run 1, and {right['1']:.0f} of "
        f"15 the other way round (chance .53, p = {p:.3f}); {channels['channel'].values[best]} alone reaches "
        f"{float(channels['score'][best]):.2f}. One person, 30 movements."
    )
    notes = [
        "30 movements of one person for whom the task is easy: a ceiling, not a ranking of methods.",
        "The best of 64 channels is picked after the fact, so its accuracy is biased upwards.",
    ]
    tree = study_tree(
        results, question=job.study.question, answer=answer, figures=figures, method=METHOD, references=REFERENCES,
        notes=notes, data_card=main.attrs["data_card"],
    )  # fmt: skip
    tree.attrs["main"] = ["hands or feet"]
    for name, found in scalp.items():
        tree[name] = xr.DataTree(found.assign_attrs(kind="eeg", shows="topography", topography="pattern"))
    return tree
