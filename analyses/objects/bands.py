"""AlexNet and word vectors in one model: what only one of them explains, area by area, and how they share the rest."""

import numpy as np
import xarray as xr
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.compute.nulls import fdr, max_statistic, p_value
from neurodecode.compute.progress import progress
from neurodecode.evaluation import SplitBy, area_means, cross_validate, repeat_ceiling
from neurodecode.evaluation.partition import partition_variance
from neurodecode.evaluation.result import significance
from neurodecode.linear import BandedRidge
from neurodecode.representation import Labelled, concat

BANDS = ("alexnet", "word2vec")


def two_bands(job, spaces, brain, settings):
    """The joint model, each band's part of it, and what only a band explains with its null."""
    X = concat({band: spaces[band] for band in BANDS}, label="space")
    search = BandedRidge(by="space", n_iter=settings["band_draws"], cv=5, random_state=job.seed)
    model, splits = make_pipeline(Labelled(StandardScaler()), search), SplitBy("fold")
    whole = partition_variance(
        model, X, brain, splits, by="space", random_state=job.seed, store=job.store("bands"),
        ceiling=repeat_ceiling(brain, score="r2"),
        question="How much of each voxel do pictures and words explain together?",
    )  # fmt: skip
    # R2 within a fold of nine categories says nothing, so no interval over folds stands beside it.
    found = {"both bands": whole.drop_vars(["prediction", "truth", "score_fold"])}
    for band in BANDS:
        found[f"{band} of both"] = derived(
            whole, whole["product"].sel(band=band).values, "r2",
            f"Which part of what both explain is carried by the prediction of {band}?",
        )  # fmt: skip
    draws = settings["permutations_bands"]
    for number, band in enumerate(BANDS):
        without = whole["without"].sel(band=band).values
        null = np.empty((draws, brain.sizes["unit"]))
        for draw in progress(range(draws), f"shuffling {band}"):
            shuffled = exchanged(X, band, np.random.default_rng([job.seed, number, draw]))
            again = cross_validate(
                model, shuffled, brain, splits, score="r2", pool="predictions", random_state=job.seed,
                store=job.store("bands") / f"shuffled {band}" / str(draw),
            )  # fmt: skip
            null[draw] = again["score"].values - without
        alone = derived(whole, whole["unique"].sel(band=band).values, "unique R²", f"What does only {band} explain?")
        alone["null"] = (("permutation", "unit"), null)
        alone = alone.assign({name: ("unit", p) for name, p in significance(alone["score"].values, null).items()})
        alone.attrs |= {
            "n_permutations": draws, "p_min": 1 / (draws + 1),
            "exchangeability": f"categories of {band} shuffled, the other band and the responses stay",
        }  # fmt: skip
        found[f"only {band}"] = alone
    return found


def exchanged(X, band, rng):
    """The same features with the categories of one band in another order."""
    mine = X["space"].values == band
    values = X.values.copy()
    values[:, mine] = values[rng.permutation(len(values))][:, mine]
    return X.copy(data=values)


def derived(whole, score, name, question):
    """A result about the same voxels with another number for each."""
    units = {key: coord for key, coord in whole.coords.items() if coord.dims == ("unit",)}
    found = xr.Dataset({"score": ("unit", score), "degenerate": whole["degenerate"]}, units, dict(whole.attrs))
    none = {"total": 0, "resumed": 0}  # its pieces are those of the joint model
    return found.assign_attrs(score=name, chance=0.0, question=question, pieces=none)


def band_tests(results):
    """A row for each band and area: what only it explains, its share of both, p, FDR over all rows, largest area."""
    rows = []
    for band in BANDS:
        alone, share = results[f"only {band}"], area_means(results[f"{band} of both"])["mean"]
        table = area_means(alone)["mean"]
        null = np.stack(
            [alone["null"].values[:, alone["roi"].values == area].mean(1) for area in table["area"].values], axis=1
        )
        p, largest = p_value(table.values, null), max_statistic(table.values, null)
        rows += [
            {"band": band, "area": str(area), "unique": float(table.values[at]), "product": float(share.values[at]),
             "p": float(p[at]), "p_max": float(largest[at])}
            for at, area in enumerate(table["area"].values)
        ]  # fmt: skip
    for row, corrected in zip(rows, fdr(np.array([row["p"] for row in rows]))):
        row["p_fdr"] = float(corrected)
    return rows


def band_figures(results):
    """Names and numbers for the list of figures."""
    both = area_means(results["both bands"])["mean"]
    found = [(f"both bands {area} R2", float(value)) for area, value in zip(both["area"].values, both.values)]
    for row in band_tests(results):
        found += [
            (f"only {row['band']} {row['area']} unique R2", row["unique"]),
            (f"{row['band']} of both {row['area']} R2", row["product"]),
            (f"only {row['band']} {row['area']} p (FDR)", row["p_fdr"]),
        ]
    return found
