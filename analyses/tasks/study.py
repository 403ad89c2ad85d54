"""Five categories in ventral temporal cortex: across runs, across tasks, and from equally much of one task."""

from functools import partial

import numpy as np

from neurodecode.evaluation import SplitBy, cross_validate, study_tree
from neurodecode.linear import CorrelationClassifier
from neurodecode.sources import recipes

METHOD = """\
One GLM beta a category and run: 45 patterns a person (three tasks, three runs each, five categories). The mean over the
five categories is taken out of every run, voxel by voxel, without looking at labels. A pattern is given to the category
whose mean pattern over the training runs it correlates with best over voxels (Haxby et al. 2001).

- **Across runs**: one run of nine is held out; eight, of all three tasks, train.
- **Across tasks**: the three runs of a task are held out; the six of the other two tasks train.
- **Within a task**: a run is held out and only the two other runs of its task train.
- **Another task**: the same run is named by two runs of each other task in turn (runs of the same two numbers), so that
  as many patterns train as within a task.

For the null, categories change places within runs and everything is fitted again. Every score is the share of the
45 held-out patterns that are named rightly; chance is one in five.
"""
REFERENCES = [
    "Haxby JV, Gobbini MI, Furey ML, Ishai A, Schouten JL, Pietrini P (2001). Science 293:2425-2430.",
    "Bugatus L, Weiner KS, Grill-Spector K (2017). NeuroImage 155:437-449.",
    "Phipson B, Smyth GK (2010). Statistical Applications in Genetics and Molecular Biology 9:39 (p values).",
]
NOTES = [
    "Three people, and each is a case of its own: nothing is averaged over them, and no test between three people can "
    "come below p = .125.",
    "Which run belongs to which task was inferred when the data were gathered, for sub2 and sub3 because only this "
    "order decodes: accuracy across runs is therefore not an independent check of the order.",
    "Taking out the mean of a held-out run needs all five categories of that run at once, so a single new picture "
    "could not be named this way.",
]


def run(job):
    permutations = job.sizes({"permutations": 19})["permutations"]
    recipe = recipes.open_recipe("vtc_three_tasks", root=job.data)
    centred, raw = recipe.load(), recipe.load(center=False)
    said = {"score": "accuracy", "random_state": job.seed, "data_card": recipe.card, "blocks": "run"}
    drawn = {"permutations": permutations, "keep": "prediction"}
    runs, tasks = (lambda _: SplitBy("run")), (lambda _: SplitBy("task"))
    kinds = {
        "across runs": (centred, runs, drawn, "Which category, in a run that was not seen?"),
        "across tasks": (centred, tasks, drawn, "Which category, in a task that was not seen?"),
        "within a task": (centred, partial(pairs_of_runs, same=True), {}, "The same from two runs of the same task."),
        "another task": (centred, partial(pairs_of_runs, same=False), {}, "The same from two runs of another task."),
        "runs not centred": (raw, runs, {}, "The same across runs, the mean of a run not taken out."),
    }
    results = {}
    for kind, (people, splits, more, question) in kinds.items():
        for person, brain in people.items():
            name = f"{person}, {kind}"
            store = {"store": job.store(name)} if more else {}
            found = cross_validate(
                CorrelationClassifier(), brain, brain["category"], splits(brain), **said, **more, **store,
                question=question,
            )  # fmt: skip
            results[name] = found.assign_attrs(subject=person)
    return report(job, results, list(centred))


def pairs_of_runs(brain, same):
    """(train, test) for every held-out run: the two other run numbers of its own task, or of each other task."""
    task = brain["task"].values
    number = np.array([int(name[-1]) for name in brain["run"].values])
    return [
        (np.flatnonzero((task == trained) & (number != held)), np.flatnonzero((task == tested) & (number == held)))
        for tested in dict.fromkeys(task)
        for held in range(1, 4)
        for trained in dict.fromkeys(task)
        if (trained == tested) == same
    ]


def folds(result):
    """Held-out task -> share of its 15 patterns that are named rightly."""
    return dict(zip(result["fold"].values.tolist(), result["score_fold"].values[:, 0].tolist()))


def report(job, results, people):
    score = {name: float(result["score"].item()) for name, result in results.items()}
    figures = [job.figure(f"{person}, across runs", score[f"{person}, across runs"]) for person in people]
    for person in people:
        figures += [
            job.figure(f"{person}, {held} held out", found)
            for held, found in folds(results[f"{person}, across tasks"]).items()
        ]
        held_out = folds(results[f"{person}, across tasks"]).values()
        figures += [
            job.figure(f"{person}, lowest of the held-out tasks", min(held_out)),
            job.figure(f"{person}, highest of the held-out tasks", max(held_out)),
        ]
    for kind in ("across tasks", "within a task", "another task", "runs not centred"):
        figures += [job.figure(f"{person}, {kind}", score[f"{person}, {kind}"]) for person in people]
    nulls = [float(results[f"{person}, across runs"]["null"].mean()) for person in people]
    figures.append(job.figure("accuracy across runs with categories permuted", float(np.mean(nulls))))
    p = {person: float(results[f"{person}, across runs"]["p"].item()) for person in people}
    figures += [job.figure(f"{person}, p across runs", value) for person, value in p.items()]
    figures += [
        job.figure(f"{person}, p across tasks", float(results[f"{person}, across tasks"]["p"].item()))
        for person in people
    ]

    def listed(kind):
        return ", ".join(f"{score[f'{person}, {kind}']:.2f}" for person in people)

    answer = (
        f"Yes, in each of three people: {listed('across runs')} of patterns are named rightly in a held-out run and "
        f"{listed('across tasks')} in a held-out task (chance .20, p = {max(p.values()):.3f}). With equal amounts of "
        f"training, two runs of the same task name {listed('within a task')} and two of another task "
        f"{listed('another task')}."
    )
    return study_tree(
        results, question=job.study.question, answer=answer, figures=figures, method=METHOD, references=REFERENCES,
        notes=NOTES, data_card=next(iter(results.values())).attrs["data_card"], sample_name="pattern",
        main=[f"{person}, across runs" for person in people],
    )  # fmt: skip
