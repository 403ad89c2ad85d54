"""LDA in every sphere of a volume beside nilearn: 16 x 16 x 16 voxels, 80 maps, radius of two voxels, 4 runs.

Both use scikit-learn's LDA (lsqr, shrinkage .1), leave one run out and score accuracy; nilearn runs once for every
round, in turn with ours in one process. Ask: 60x, the same accuracies.

    python analyses/benchmarks/bench_searchlight.py [--side 16] [--maps 80] [--rounds 1]
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from side_by_side import report, side_by_side
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import LeaveOneGroupOut

from neurodecode.evaluation import SplitBy, cross_validate
from neurodecode.linear import Searchlight
from neurodecode.representation import as_representation


def main() -> None:
    import nibabel
    from nilearn.decoding import SearchLight

    parser = argparse.ArgumentParser()
    for name, default in (("side", 16), ("maps", 80), ("rounds", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    shape = (asked.side,) * 3
    y = np.arange(asked.maps) % 2
    run = np.repeat(np.arange(4), asked.maps // 4)
    content = rng.normal(size=(*shape, asked.maps))
    content[2:6, 2:6, 2:6] += 0.6 * y
    places = np.argwhere(np.ones(shape, dtype=bool))
    X = as_representation(
        content.reshape(-1, asked.maps).T, stimulus=[f"map {i}" for i in range(asked.maps)], kind="fmri",
        unit={name: 3.0 * places[:, at] for at, name in enumerate("xyz")}, sample={"run": run, "category": y},
    )  # fmt: skip
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    image = nibabel.Nifti1Image(content, affine)
    mask = nibabel.Nifti1Image(np.ones(shape, dtype=np.uint8), affine)
    lda = LinearDiscriminantAnalysis("lsqr", shrinkage=0.1)

    def ours() -> np.ndarray:
        model = Searchlight(lda, radius=6.0)
        return cross_validate(model, X, X["category"], SplitBy("run"), score="accuracy")["score"].values

    def theirs() -> np.ndarray:
        peer = SearchLight(mask, radius=6.0, estimator=lda, scoring="accuracy", cv=LeaveOneGroupOut(), n_jobs=1)
        return peer.fit(image, y, groups=run).scores_.reshape(-1)

    found = side_by_side(ours, theirs, asked.rounds)
    same = float(np.mean(found.ours == found.theirs))
    size = f"{len(places):,} spheres of up to 33 voxels, {asked.maps} maps, 4 runs"
    report(f"searchlight LDA, {size}", "nilearn", found, 60, f"same accuracy in {same:.4%} of spheres")


if __name__ == "__main__":
    main()
