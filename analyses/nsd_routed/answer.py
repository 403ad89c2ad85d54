"""What is reported: the list of figures, and the answer in a few sentences."""

import numpy as np

from .budget import duration


def figures_of(job, families, results, rivals):
    """For every family of areas in each hemisphere, normalised: routed, its gain over ridge and over the best rival."""

    def mean(name, members):
        values = results[name]["normalized"].values[members] if name in results else np.array([])
        return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan

    figures = []
    for family, members in families.items():
        found = {name: mean(name, members) for name in ("routed", "flattened ridge", "shuffled")}
        best = max((mean(name, members) for name in rivals), key=lambda value: np.nan_to_num(value, nan=-1))
        rows = {
            "routed": found["routed"],
            "routed − flattened ridge": found["routed"] - found["flattened ridge"],
            "routed − best rival": found["routed"] - best,
            "shuffled": found["shuffled"],
        }
        for name, value in rows.items():
            name = f"{family}: {name}, normalised"
            promised = name in job.study.figures and not job.dry_run
            if np.isfinite(value) or promised:  # a person may lack an area
                figures.append(job.figure(name, value))
    return figures


def sentence(gains, chance, n_test, subject):
    """Which areas gain, by the paired test."""
    sure = ((gains["difference"] > 0) & (gains["p_fdr"] < 0.05)).all("rival").values
    lost = ((gains["difference"] < 0) & (gains["p_fdr"] < 0.05)).any("rival").values
    there = int((gains["n"].values > 0).sum())
    names = gains["area"].values[sure].tolist()
    said = f": {', '.join(names[:8])}{' and others' if len(names) > 8 else ''}" if names else ""
    shuffled = ""
    if chance is not None:
        shuffled = f" Fitted to the responses of other pictures it reaches r = {np.nanmean(chance):z.2f}."
    return (
        f"In {subject}, {n_test} test pictures, routing beats every rival in {int(sure.sum())} of {there} areas{said}; "
        f"in {int(lost.sum())} at least one rival is better (p(FDR) < .05 over pictures).{shuffled}"
    )


def notes(said, ensembles, share, hours, ceiling):
    """What a reader needs beside the figures: what was predicted, what it took, how many voxels can be explained."""
    fits = sum(len(members) for members in ensembles["routed"].members_.values())
    epochs = [one.best_epoch_ + 1 for members in ensembles["routed"].members_.values() for one in members]
    kept = f"epoch {epochs[0]}" if fits == 1 else f"epochs {min(epochs)} to {max(epochs)}"
    few = int((np.nan_to_num(ceiling.values) ** 2 < 0.05).sum())
    return [
        f"Predicted before the start: {said}.",
        f"Fits took {duration(hours)}, {share:.0%} of that waiting for tokens from the disk. Routed: mean of "
        f"{fits} fit{'s' if fits > 1 else ''}, {kept} kept by the held-back pictures.",
        f"{few:,} of {ceiling.size:,} units have an explainable share of variance under .05 and no normalised score.",
    ]


def dry(job, read, there):
    """What a dry run leaves out, for the page."""
    if not job.dry_run:
        return []
    return [
        f"A dry run: {read} of {there} sessions were read, and test pictures are those seen at least twice. Its "
        "numbers say that every step works on these files, and nothing else."
    ]
