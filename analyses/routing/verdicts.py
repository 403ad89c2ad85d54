"""What an area is called, by paired tests alone."""

import numpy as np

from neurodecode import evaluation
from neurodecode.compute.nulls import fdr

VERDICTS = ("content", "place", "nothing", "undecided")
LEVEL = 0.05


def verdicts(results, table):
    """Area to one of VERDICTS; ``table`` holds the routed encoder against its rivals."""
    rivals = table["rival"].values.tolist()
    static = [name for name in rivals if name != "mean ridge"]
    against_mean = {
        name: evaluation.paired_difference(results[name], results["mean ridge"], by="roi") for name in static
    }
    p = fdr(np.stack([one["p"].values for one in against_mean.values()]).ravel()).reshape(len(static), -1)
    alive = answers(results)
    found = {}
    for at, area in enumerate(table["area"].values.tolist()):
        over = {rival: sign(table["difference"].values[row, at], table["p_fdr"].values[row, at])
                for row, rival in enumerate(rivals)}  # fmt: skip
        mean = {
            name: sign(one["difference"].values[at], p[row, at]) for row, (name, one) in enumerate(against_mean.items())
        }
        if not alive[area]:
            found[area] = "nothing"
        elif all(over[name] > 0 for name in static):
            found[area] = "content"
        elif any(over[name] < 0 and mean[name] > 0 for name in static):
            found[area] = "place"
        else:
            found[area] = "undecided"
    return found


def gaining(table):
    """Areas in which the first model beats every rival."""
    sure = ((table["difference"] > 0) & (table["p_fdr"] < LEVEL)).all("rival").values
    return table["area"].values[sure].tolist()


def sign(difference, p):
    """1 or -1 where a difference is significant, else 0."""
    return int(np.sign(difference)) if p < LEVEL else 0


def answers(results):
    """Whether the interval over folds of any encoder's mean leaves zero upwards, area by area."""
    found = {}
    for result in results.values():
        means = evaluation.area_means(result)
        for area, low in zip(means["area"].values.tolist(), means["low"].values.tolist()):
            found[area] = found.get(area, False) or low > 0
    return found
