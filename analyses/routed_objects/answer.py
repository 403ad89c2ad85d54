"""The answer of the study in a few sentences."""

import numpy as np


def sentence(table, visible):
    """What the tests say, and what they could have seen."""
    p, difference = table["p_fdr"].values, table["difference"].values
    best = table["area"].values[((difference > 0) & (p < 0.05)).all(axis=0)].tolist()
    worse = table["area"].values[((difference < 0) & (p < 0.05)).any(axis=0)].tolist()
    said = [f"beats every rival in {', '.join(best)}" if best else "beats all rivals in no area"]
    said.append(f"is beaten by at least one in {', '.join(worse)}" if worse else "is beaten in none")
    rivals = ", ".join(
        f"{float(np.nanmean(row)):+.2f} over {rival}".replace("-", "\N{MINUS SIGN}")
        for rival, row in zip(table["rival"].values.tolist(), difference)
    )
    return (
        f"In one person and 63 categories the routed encoder {said[0]} and {said[1]} of {table.sizes['area']} areas "
        f"(p(FDR) < .05; mean difference of r over areas {rivals}). Differences below about {visible:.2f} could not "
        "have been seen, and without repeats there is no ceiling: this says nothing about routing in the brain at "
        "large."
    )
