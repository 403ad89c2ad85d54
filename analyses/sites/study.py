"""Diagnosis and age from correlations between regions: sites mixed, sites left out, and what site and motion do."""

import tomllib
import warnings
from itertools import islice

import numpy as np
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.compute.device import single_thread
from neurodecode.connectivity import correlations
from neurodecode.evaluation import SplitBy, cross_validate, study_tree
from neurodecode.evaluation.scores import Score
from neurodecode.exceptions import NeurodecodeWarning
from neurodecode.linear import Ridge
from neurodecode.representation import Labelled, as_representation
from neurodecode.sources import recipes

from .controls import TakeOut

SMALL = {"shuffles": 1, "permutations": 19}
EMPTY = (1401, 3455, 3701)  # regions that lie outside of the picture in some people


def run(job):
    with single_thread(), warnings.catch_warnings():
        # Regions that are empty in nearly everybody of a training set have constant correlations; they get no weight.
        warnings.filterwarnings("ignore", "Of .* features, .* constant", NeurodecodeWarning)
        return study(job, job.sizes(SMALL))


def right(truth, predicted):
    """Share of signs that agree: accuracy of a ridge classifier whose classes are -1 and 1."""
    return ((truth > 0) == (predicted > 0)).mean(axis=0)


def study(job, size):
    recipe = recipes.open_recipe("abide_ho_timeseries", root=job.data)
    loaded = recipe.load()
    X = correlations(islice(loaded["series"], 0, None, 4 if job.dry_run else 1), by="subject", constant="zero")
    X = X.assign_coords(log_motion=("sample", np.log(X["motion"].values)))
    autism, age, motion = (column(X, name) for name in ("autism", "age", "log_motion"))
    larger = max(np.mean(autism.values > 0), np.mean(autism.values < 0))

    accuracy = {"score": Score("accuracy", right, "values", fewest=1), "chance": float(larger)}
    r = {"score": "r", "pool": "predictions"}
    said = {"random_state": job.seed, "data_card": recipe.card, "blocks": "site"}
    null = {"permutations": size["permutations"]}
    dealt = 3 if job.dry_run else 10
    ten = [KFold(dealt, shuffle=True, random_state=job.seed + number) for number in range(size["shuffles"])]
    sites = SplitBy("site")
    no_motion, no_site = TakeOut(("log_motion",)), TakeOut(("log_motion",), ("site",))
    kept = ~(np.isin(X["region_1"].values, EMPTY) | np.isin(X["region_2"].values, EMPTY))
    whole = {"pool": "predictions"}
    plan = {
        "diagnosis, site left out": (model(), X, autism, sites, accuracy | null),
        "diagnosis, no motion": (model(no_motion), X, autism, sites, accuracy),
        "diagnosis, 108 regions": (model(), X[:, kept], autism, sites, accuracy),
        "diagnosis from motion": (model(alpha=1.0), motion, autism, sites, accuracy),
        "diagnosis, pooled": (model(), X, autism, sites, accuracy | whole),
        "diagnosis, mixed 1": (model(), X, autism, ten[0], accuracy | null | whole),
        "diagnosis, mixed, no site": (model(no_site), X, autism, ten[0], accuracy | whole),
        "age, site left out": (model(), X, age, sites, r | null),
        "age, no motion": (model(no_motion), X, age, sites, r),
        "age, mixed 1": (model(), X, age, ten[0], r | null),
        "age, mixed, no site": (model(no_site), X, age, ten[0], r),
        "motion, site left out": (model(), X, motion, sites, r | null),
    }
    for number, splits in enumerate(ten[1:], 2):
        plan[f"diagnosis, mixed {number}"] = (model(), X, autism, splits, accuracy | whole)
        plan[f"age, mixed {number}"] = (model(), X, age, splits, r)
    results = {}
    for name, (estimator, features, target, splits, more) in plan.items():
        store = {"store": job.store(name)} if "permutations" in more else {}
        results[name] = cross_validate(estimator, features, target, splits, **said, **more, **store)
    named = {"score": "balanced_accuracy", "pool": "predictions", "random_state": job.seed, "data_card": recipe.card}
    for name, before in {"site": (), "site, taken out": (no_site,)}.items():
        steps = make_pipeline(*before, Labelled(StandardScaler()), RidgeClassifier(alpha=1e4))
        results[name] = cross_validate(steps, X, X["site"], ten[0], **named)
    return report(job, results, float(larger))


def column(X, name):
    """One number a person: 1 for autism and -1 for control, or a coordinate."""
    values = np.where(X["diagnosis"].values == "autism", 1.0, -1.0) if name == "autism" else X[name].values
    sample = {key: X[key].values for key in ("site", "subject")}
    return as_representation(
        values[:, None], stimulus=X["stimulus"].values, kind="features", sample=sample, unit={"unit_name": [name]}
    )


def model(*before, alpha=1e4):
    """Features standardised with the training people, then ridge; what comes before is fitted there as well."""
    return make_pipeline(*before, Labelled(StandardScaler()), Ridge(alphas=alpha))


def report(job, results, larger):
    found = {name: float(result["score"].item()) for name, result in results.items()}
    shuffles = {
        what: [score for name, score in found.items() if name[:-1] == f"{what}, mixed "]
        for what in ("diagnosis", "age")
    }
    p = {name: float(result["p"].item()) for name, result in results.items() if "p" in result}
    null = {name: float(result["null"].mean()) for name, result in results.items() if "null" in result}
    by_site = results["diagnosis, site left out"]
    each = dict(zip(by_site["fold"].values.tolist(), by_site["score_fold"].values[:, 0].tolist()))
    rows = {
        "diagnosis, mean over left-out sites": found["diagnosis, site left out"],
        "diagnosis, all people of left-out sites together": found["diagnosis, pooled"],
        "diagnosis, ten shuffled folds, mean of the shuffles": np.mean(shuffles["diagnosis"]),
        "diagnosis, always the larger class": larger,
        "age r, ten shuffled folds, mean of the shuffles": np.mean(shuffles["age"]),
        "age r, ten shuffled folds, lowest": min(shuffles["age"]),
        "age r, ten shuffled folds, highest": max(shuffles["age"]),
        "age r, sites left out": found["age, site left out"],
        "age r, mean of the r within each left-out site": results["age, site left out"]["score_fold"].mean().item(),
        "p of diagnosis, sites left out": p["diagnosis, site left out"],
        "p of age, sites left out": p["age, site left out"],
        "diagnosis, sites left out, permuted within sites": null["diagnosis, site left out"],
        "age r, ten shuffled folds, permuted within sites": null["age, mixed 1"],
        **{f"diagnosis at {site}, left out": score for site, score in each.items()},
        "control: diagnosis, sites left out, motion taken out": found["diagnosis, no motion"],
        "control: diagnosis, sites mixed, motion and site taken out": found["diagnosis, mixed, no site"],
        "control: diagnosis, sites left out, without three regions that are empty in some": found[
            "diagnosis, 108 regions"
        ],
        "control: diagnosis from motion alone, sites left out": found["diagnosis from motion"],
        "control: age r, sites left out, motion taken out": found["age, no motion"],
        "control: age r, sites mixed, motion and site taken out": found["age, mixed, no site"],
        "control: site, balanced accuracy": found["site"],
        "control: site, balanced accuracy, motion and site taken out": found["site, taken out"],
        "control: motion r, sites left out": found["motion, site left out"],
    }
    answer = (
        f"A little: {rows['diagnosis, mean over left-out sites']:.2f} of diagnoses are right, mean over seven left-out "
        f"sites (always the larger class {larger:.2f}, p = {p['diagnosis, site left out']:.3f}). Age: r = "
        f"{found['age, site left out']:.2f} at left-out sites, {np.mean(shuffles['age']):.2f} where sites are mixed. "
        f"Site itself ({found['site']:.2f}, chance {1 / 7:.2f}) and motion (r = "
        f"{found['motion, site left out']:.2f}) are read from the same features; with motion taken out of them "
        f"{found['diagnosis, no motion']:.2f} of diagnoses are right."
    )
    page = tomllib.loads((job.study.folder / "page.toml").read_text(encoding="utf-8"))
    return study_tree(
        results, question=job.study.question, answer=answer, figures=[job.figure(*row) for row in rows.items()],
        data_card=by_site.attrs["data_card"], sample_name=["person", "people"], **page,
    )  # fmt: skip
