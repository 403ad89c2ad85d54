"""What one model adds to its rivals, area by area: paired differences side by side, and the room that was left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..compute.nulls import fdr
from .inference import paired_difference


def gains(results: Mapping[str, xr.Dataset], model: str, rivals: Sequence[str], *, by: str = "roi") -> xr.Dataset:
    """The score of one model minus that of each rival, for every area, with the paired test of each difference.

    Everything is a mean over folds, which is what the test is about: difference, interval, p and room belong together,
    also where the results themselves were scored once over all predictions.

    Parameters
    ----------
    results : name -> Dataset of ``cross_validate``, all on the same targets with the same folds and score.
    model, rivals : names in ``results``.
    by : unit coordinate that names the areas.

    Returns
    -------
    Dataset over ``rival`` and ``area``: ``difference`` of the area means, ``low``, ``high``, ``p`` of
    :func:`paired_difference`; ``p_fdr`` over all areas and rivals; ``room``: mean ceiling minus the rival's score, NaN
    where fewer than half of an area's units have a ceiling; ``score`` of the model and ``score_rival``. Its attrs say
    ``shows="gain"``, so that a page draws it.

    Raises
    ------
    ValueError : no rival, or a name that is not in ``results``. AlignmentError : as :func:`paired_difference`.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from neurodecode.evaluation import cross_validate
    >>> from neurodecode.representation import as_representation
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 3))
    >>> Y = X @ rng.normal(size=(3, 2)) + rng.normal(size=(60, 2))
    >>> Y = as_representation(Y, stimulus=[f"s{n}" for n in range(60)], kind="fmri", unit={"roi": ["V1", "V2"]})
    >>> X = as_representation(X, stimulus=Y["stimulus"].values, kind="features")
    >>> spaces = {"all": X, "one": X[:, :1]}
    >>> found = {name: cross_validate(Ridge(), x, Y, 5, score="r") for name, x in spaces.items()}
    >>> bool((gains(found, "all", ["one"])["difference"] > 0).all())
    True
    """
    missing = [name for name in (model, *rivals) if name not in results]
    if missing or not rivals:
        raise ValueError(f"no result is called {missing[0]!r}" if missing else "name at least one rival")
    tested = [paired_difference(results[model], results[rival], by=by) for rival in rivals]
    areas = tested[0][by].values.astype(str)
    table = {key: np.stack([one[key].values for one in tested]) for key in ("difference", "low", "high", "p")}
    p = fdr(table["p"].ravel()).reshape(table["p"].shape)
    score = _over_folds(results[model], by, areas)
    rival_scores = score - table["difference"]
    dims = ("rival", "area")
    variables: dict[str, Any] = {
        key: (dims, values) for key, values in {**table, "p_fdr": p, "score_rival": rival_scores}.items()
    }
    variables["score"] = ("area", score)
    variables["room"] = (dims, _ceiling(results[model], by, areas) - rival_scores)
    attrs = {
        "shows": "gain",
        "model": model,
        "score": results[model].attrs.get("score"),
        "pool": "folds",
        "n_samples": results[model].attrs.get("n_samples"),
        "n_folds": results[model].attrs.get("n_folds"),
        "level": tested[0].attrs["level"],
        "test": tested[0].attrs["test"],
    }
    return xr.Dataset(variables, {"rival": list(map(str, rivals)), "area": areas}, attrs)


def _over_folds(result: xr.Dataset, by: str, areas: np.ndarray) -> np.ndarray:
    """Mean over folds of the mean of each area, over its units with a score."""
    labels, finite = result[by].values.astype(str), np.isfinite(result["score"].values)
    each = [result["score_fold"].values[:, (labels == area) & finite].mean(1) for area in areas.tolist()]
    return np.array([one.mean() for one in each])


def _ceiling(result: xr.Dataset, by: str, areas: np.ndarray) -> np.ndarray:
    """Mean ceiling of each area; NaN where less than half of its units with a score have one."""
    if "ceiling" not in result:
        return np.full(len(areas), np.nan)
    labels = result[by].values.astype(str)
    scored, known = np.isfinite(result["score"].values), np.isfinite(result["ceiling"].values)
    answer = np.full(len(areas), np.nan)
    for place, area in enumerate(areas.tolist()):
        units = (labels == area) & scored
        if 2 * (units & known).sum() >= max(units.sum(), 1):
            answer[place] = result["ceiling"].values[units & known].mean()
    return answer
