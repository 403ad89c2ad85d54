"""The answer of the study in a few sentences."""

from .bands import BANDS, band_tests


def answer(means, best, below, results):
    """What was found, in words."""
    picture, word = means["alexnet"], means["word2vec"]
    leads = [area for area in best if picture.sel(area=area) > word.sel(area=area)]
    peak = {area: picture.sel(area=area).item() for area in best}
    top = max(peak, key=peak.get)
    stages_of = {}
    for area, stage in best.items():
        stages_of.setdefault(stage, []).append(area)
    listed = "; ".join(f"{stage}: {', '.join(names)}" for stage, names in stages_of.items())
    alone = "; ".join(f"{band}: {', '.join(found) or 'none'}" for band, found in standing_out(results).items())
    return (
        f"AlexNet components predict {top} best (r = {peak[top]:.2f}, held-out categories) and lead word vectors in "
        f"{len(leads)} of {len(best)} areas. Of the stages of ResNet-20 the best one is, by area: {listed}. "
        f"{below.sum()} of {len(below)} area means stand out from those of shuffled categories (FDR < .05). "
        f"With both in one model, areas in which one explains what the other does not (FDR < .05): {alone}."
    )


def standing_out(results):
    """Band -> areas in which what only it explains is above 0 and above its null."""
    tests = band_tests(results)
    return {band: [row["area"] for row in tests if row["band"] == band and row["unique"] > 0 and row["p_fdr"] < 0.05]
            for band in BANDS}  # fmt: skip
