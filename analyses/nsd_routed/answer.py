"""What is reported: the list of figures, and the answer in a few sentences."""

import numpy as np


def figures_of(job, gains, chance, routed):
    figures = []
    for at, area in enumerate(gains["area"].values.tolist()):
        if not gains["n"].values[at]:
            continue
        figures.append(job.figure(f"{area}: routed, r", gains["score"].values[at]))
        figures.append(job.figure(f"{area}: routed, normalised", gains["normalized"].values[at]))
        for row, rival in enumerate(gains["rival"].values.tolist()):
            figures.append(job.figure(f"{area}: routed − {rival}", gains["difference"].values[row, at]))
        if chance is not None:
            figures.append(job.figure(f"{area}: shuffled, r", chance[at]))
    figures.append(job.figure("epoch that was kept", routed.best_epoch_ + 1))
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
        shuffled = f" Fitted to the responses of other pictures it reaches r = {np.nanmean(chance):.2f}."
    return (
        f"In {subject}, {n_test} test pictures, routing beats every rival in {int(sure.sum())} of {there} areas{said}; "
        f"in {int(lost.sum())} at least one rival is better (p(FDR) < .05 over pictures).{shuffled}"
    )
