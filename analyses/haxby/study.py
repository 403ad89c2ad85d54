"""Eight categories from block patterns, leaving one run out; when the category can be read; which voxels carry it."""

import tomllib

import numpy as np
import xarray as xr
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.evaluation import SplitBy, cross_validate, study_tree
from neurodecode.evaluation.result import significance
from neurodecode.linear import LinearClassifier, Ridge, Searchlight
from neurodecode.representation import Labelled, as_representation
from neurodecode.sources import recipes

SMALL = {"permutations": 19, "course_permutations": 0, "before": 0, "after": 1}
SMALL |= {"map_permutations": 19, "searchlight_permutations": 19}


def run(job):
    size = job.sizes(SMALL)
    recipe = recipes.open_recipe("haxby2001_slice", root=job.data)
    blocks = recipe.load(samples="block")["brain"]
    volumes = recipe.load(samples="volume", drop=())["brain"]
    if job.dry_run:
        blocks, volumes = (found[found["run"].values <= 5] for found in (blocks, volumes))
    bare = LinearClassifier("svm", C=0.01)
    scaled = make_pipeline(Labelled(StandardScaler()), bare)
    said = {"splits": SplitBy("run"), "score": "accuracy", "random_state": job.seed, "data_card": recipe.card}

    results = {}
    results["eight categories"] = cross_validate(
        scaled, blocks, blocks["category"], **said, permutations=size["permutations"], keep="prediction",
        store=job.store("eight"), question="Which of eight categories was shown in a block?",
    )  # fmt: skip
    results["no scaling in training"] = cross_validate(
        bare, blocks, blocks["category"], **said, question="The same, voxels standardised within runs only."
    )
    two = blocks[np.isin(blocks["category"].values, ["face", "house"])]
    results["face or house"] = cross_validate(
        scaled, two, two["category"], **said, permutations=size["permutations"], store=job.store("two"),
        question="Face or house?",
    )  # fmt: skip
    around = Searchlight(LinearClassifier("lda", shrinkage="auto"), radius=size["radius"])
    results["searchlight"] = cross_validate(
        around, blocks, blocks["category"], **said, permutations=size["searchlight_permutations"],
        store=job.store("searchlight"), question="Around which voxels can the eight categories be told apart?",
    ).assign_attrs(kind="fmri")  # fmt: skip
    results["time course"] = time_course(job, scaled, blocks, volumes, said, size)
    encoder, voxels = Ridge(alphas=1.0), {**said, "score": "r", "pool": "predictions"}
    for name, chosen in {"voxels, eight categories": blocks, "voxels, face or house": two}.items():
        results[name] = cross_validate(
            encoder, category_features(chosen), chosen, **voxels, permutations=size["map_permutations"],
            question=f"Which voxels does the category predict ({name.split(', ')[1]})?",
        )  # fmt: skip
    face, house = (two[two["category"].values == name].mean("sample") for name in ("face", "house"))
    difference = ("unit", (face - house).values, {"units": "z", "long_name": "face minus house"})
    results["voxels, face or house"]["face_minus_house"] = difference
    return report(job, results)


def time_course(job, model, blocks, volumes, said, size):
    """Accuracy of single volumes, as a result whose units are moments after a block begins."""
    tr = volumes.attrs["tr"]
    runs, number = volumes["run"].values, volumes["volume"].values
    place = {(run, volume): row for row, (run, volume) in enumerate(zip(runs, number))}
    lags, moments = range(-size["before"], size["after"] + 1), []
    for lag in lags:
        rows = [place[run, volume + lag] for run, volume in zip(blocks["run"].values, blocks["volume"].values)]
        picture = volumes.isel(sample=rows).assign_coords(category=("sample", blocks["category"].values))
        settings = {**said, "question": "When can the category be read from a single volume?"}
        found = cross_validate(
            model, picture, picture["category"], **settings, permutations=size["course_permutations"],
            store=job.store(f"course{lag:+d}"),
        )  # fmt: skip
        moments.append(found[[name for name in ("score", "score_fold", "degenerate", "null") if name in found]])
    joined = xr.concat(moments, dim="unit", combine_attrs="override")
    if "null" in joined:
        # The same permutations served every moment, so the largest of each draw controls for looking at all of them.
        tests = significance(joined["score"].values, joined["null"].values)
        joined = joined.assign({name: ("unit", values) for name, values in tests.items()})
    joined.attrs |= {"degenerate": [], "notes": ["every moment is a classifier of its own"]}
    return joined.assign_coords(time=("unit", np.array(lags) * tr, {"units": "s"}))


def category_features(brain):
    """One column per category: 1 where it was shown."""
    names = np.unique(brain["category"].values)
    shown = (brain["category"].values[:, None] == names).astype(brain.dtype)
    sample = {"run": brain["run"].values}
    return as_representation(
        shown, stimulus=brain["stimulus"].values, kind="features", unit={"condition": names}, sample=sample
    )


def report(job, results):
    accuracy = {name: float(results[name]["score"].item()) for name in list(results)[:3]}
    eight, plain, two = accuracy.values()
    null = float(results["eight categories"]["null"].mean())
    course, voxels = results["time course"], results["voxels, eight categories"]
    best = int(np.argmax(course["score"].values))
    confused = results["eight categories"]["confusion"]
    light = results["searchlight"]
    top = int(np.argmax(light["score"].values))
    place = ", ".join(f"{float(light[axis][top]):.0f}" for axis in "xy")
    figures = [
        job.figure("eight categories, voxels standardised in the training runs", eight),
        job.figure("eight categories, voxels standardised within runs only", plain),
        job.figure("face against house", two),
        job.figure("mean accuracy with permuted labels", null),
        job.figure("p of eight categories", float(results["eight categories"]["p"].item())),
        job.figure("best single moment, seconds after the label begins", float(course["time"][best])),
        job.figure("accuracy at that moment", float(course["score"][best])),
        job.figure("voxels that the category predicts (FDR .05)", float((voxels["p_fdr"] < 0.05).sum())),
        job.figure("searchlight, highest accuracy", float(light["score"][top])),
        job.figure("searchlight, centres above chance (FDR .05)", float((light["p_fdr"] < 0.05).sum())),
        job.figure("searchlight, centres above the highest of each permutation", float((light["p_max"] < 0.05).sum())),
        job.figure("searchlight, mean accuracy with permuted labels", float(light["null"].mean())),
        job.figure("searchlight, highest with permuted labels", float(light["null"].max("unit").mean())),
    ]
    worst = str(confused["true"].values[int(np.argmin(np.diag(confused.values)))])
    answer = (
        f"{eight:.2f} of blocks are named rightly among eight categories (chance .125, permuted {null:.3f}), and "
        f"{two:.2f} between face and house; {worst} is named worst. A single volume says most "
        f"{float(course['time'][best]):g} s after the first volume that is labelled as its block. Spheres of 17 voxels "
        f"reach {float(light['score'][top]):.2f} (around x, y = {place} mm), and "
        f"{int((light['p_max'] < 0.05).sum())} of {light.sizes['unit']} stand out when all are looked at."
    )
    page = tomllib.loads((job.study.folder / "page.toml").read_text(encoding="utf-8"))
    return study_tree(
        results,
        question=job.study.question,
        answer=answer,
        figures=figures,
        data_card=results["eight categories"].attrs["data_card"],
        sample_name="block",
        **page,
    )
