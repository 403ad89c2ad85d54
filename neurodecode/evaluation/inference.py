"""From single results to statements: a group of subjects, and two models on the same data.

Subjects are the unit of a group statement: what varies between people decides, never the number of their trials.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from .._numbers import amount, whole
from ..compute.nulls import FEWEST_RESAMPLED, bootstrap_interval, fdr, max_statistic, p_value, sign_flips, t_interval
from ..exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning
from ..representation.labels import same_entries
from .result import area_means, check_readable, jsonable, versions


def group(
    results: Mapping[str, xr.Dataset],
    *,
    by: str | None = None,
    variable: str = "score",
    level: float = 0.95,
    permutations: int = 10_000,
    n_bootstrap: int = 2000,
    chance: float | None = None,
    random_state: Any = 0,
) -> xr.Dataset:
    """Results of several subjects put together, with the interval and the p value between subjects.

    For each unit: the mean over subjects; ``mean -/+ t sd / sqrt(n)``; the bootstrap interval over subjects; and the
    sign-flip test of ``score - chance``, ``p = (b + 1) / (n + 1)`` with b of n flips whose mean is at least as large.

    Parameters
    ----------
    results : subject -> Dataset of ``cross_validate``. Samples may differ in number; units must be the same, unless
        ``by`` is given.
    by : unit coordinate; the mean of each area is taken within every subject first. What a subject lacks is NaN and is
        left out of that area alone. Needed where subjects have units of their own (voxels).
    variable : what is compared. chance : its value without effect; None takes each result's own (0 without one).
    level : coverage of both intervals.
    permutations : most sign flips; all of them are used where there are no more.
    n_bootstrap : resamples; below 5 subjects the bootstrap interval is NaN, with the reason in attrs.

    Returns
    -------
    Dataset: ``score`` (subject, unit), ``n_samples`` (subject), ``mean``, ``sd``, ``low``, ``high`` (t),
    ``boot_low``, ``boot_high``, ``p``, ``p_fdr``, ``p_max``, ``n_subjects`` (unit). With ``by`` the units are areas.

    Raises
    ------
    DegenerateDataError : fewer than 2 subjects.
    AlignmentError : units differ between subjects.
    ValueError : results of different scores, or a missing variable or coordinate.

    Examples
    --------
    >>> one = xr.Dataset({"score": ("unit", [0.3])}, attrs={"n_samples": 10, "score": "r", "chance": 0.0})
    >>> all_five = group({name: one + 0.01 * shift for shift, name in enumerate("abcde")})
    >>> round(all_five["mean"].item(), 3), all_five["p"].item()
    (0.32, 0.03125)

    Source: Nichols and Holmes 2002, Human Brain Mapping 15 (sign flips); Efron and Tibshirani 1993 (bootstrap).
    """
    if not isinstance(results, Mapping):
        raise TypeError(f"group takes a mapping of subject to result, this is a {type(results).__name__}")
    names = [str(name) for name in results]
    found = list(results.values())
    if len(found) < 2:
        raise DegenerateDataError(
            f"a statement about a group needs at least 2 subjects, and there {'is' if found else 'are'} {len(found)}; "
            "report the subject's own p value instead"
        )
    level, permutations = check_level(level), whole(permutations, "permutations", least=1)
    n_bootstrap = whole(n_bootstrap, "n_bootstrap")
    kinds = {result.attrs["score"] for result in found if "score" in result.attrs}
    if len(kinds) > 1:
        raise ValueError(
            f"the results hold different scores ({', '.join(map(str, sorted(kinds)))}); group one at a time"
        )
    for name, result in zip(names, found):
        check_readable(result)
        if variable not in result:
            raise ValueError(f"the result of {name!r} has no variable {variable!r}")
    values, coords = _same_units(names, found, variable) if by is None else _areas(found, variable, by)
    base = [_chance(result, variable) if chance is None else float(chance) for result in found]
    effect = values - np.asarray(base).reshape((-1,) + (1,) * (values.ndim - 1))
    present = np.isfinite(values)
    count = present.sum(axis=0)
    low, high = t_interval(values, level)
    dims = ("unit", *found[0][variable].dims[1:])
    attrs: dict[str, Any] = {
        "schema": "neurodecode.group/1", "score": next(iter(kinds), None), "variable": variable, "by": by,
        "level": level, "subjects": names, "n_bootstrap": int(n_bootstrap), "random_state": random_state,
        "chance": base[0], "unit_of_inference": "subject", "n_subjects": len(found),
        "versions": versions(), "bootstrap_reason": None,
    }  # fmt: skip
    attrs |= _grid(found) if by is None else {}
    boot_low, boot_high = _bootstrap(values, present, level, n_bootstrap, random_state, attrs)
    p, p_max, draws = _sign_test(effect, present, permutations, random_state)
    attrs["n_permutations"], attrs["p_min"] = draws, 1.0 / (draws + 1)
    if attrs["p_min"] > 0.05:
        warnings.warn(
            f"{len(found)} subjects allow no p value below {attrs['p_min']:.3g}; 5 are needed for p <= .05",
            NeurodecodeWarning,
            stacklevel=2,
        )
    mean = np.where(count > 0, np.where(present, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
    squares = np.where(present, (values - mean) ** 2, 0.0).sum(axis=0)
    sd = np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)
    variables: dict[str, Any] = {
        "score": (("subject", *dims), values),
        "n_samples": ("subject", [int(result.attrs.get("n_samples", -1)) for result in found]),
        "n_subjects": (dims, count),
    }
    per_unit = {"mean": mean, "sd": sd, "low": low, "high": high, "boot_low": boot_low, "boot_high": boot_high,
                "p": p, "p_fdr": fdr(p), "p_max": p_max}  # fmt: skip
    variables.update({key: (dims, value) for key, value in per_unit.items()})
    coords.update({str(d): found[0][d].values for d in dims[1:] if d in found[0].coords})
    return xr.Dataset(variables, {**coords, "subject": names}, jsonable(attrs))


def _grid(found: list[xr.Dataset]) -> dict[str, Any]:
    """Affine and shape of the volume that all results lie in; nothing where they do not share one."""
    first = {key: found[0].attrs[key] for key in ("affine", "shape") if key in found[0].attrs}
    return first if all(one.attrs.get(key) == first[key] for one in found for key in first) else {}


def _chance(result: xr.Dataset, variable: str) -> float:
    said = result.attrs.get("chance") if variable == "score" else None
    return 0.0 if said is None else float(said)


def _unit_coords(result: xr.Dataset) -> dict[str, np.ndarray]:
    return {str(k): c.values for k, c in result.coords.items() if c.dims == ("unit",) and k != "subject"}


def _same_units(names: list[str], found: list[xr.Dataset], variable: str) -> tuple[np.ndarray, dict[str, Any]]:
    first = _unit_coords(found[0])
    for name, result in zip(names[1:], found[1:]):
        mine = _unit_coords(result)
        if result[variable].shape != found[0][variable].shape:
            shapes = (
                f"{names[0]!r} has {found[0][variable].shape} values of {variable}, {name!r} {result[variable].shape}"
            )
            raise AlignmentError(f"{shapes}: the units differ; pass by='roi' to compare areas")
        for key in sorted(set(first) | set(mine)):
            if key not in first or key not in mine or not same_entries(first[key], mine[key]):
                raise AlignmentError(
                    f"the units of {names[0]!r} and {name!r} differ in {key!r}; pass by='roi' to compare areas"
                )
    stacked = np.stack([np.asarray(result[variable].values, dtype=np.float64) for result in found])
    return stacked, {key: ("unit", values) for key, values in first.items()}


def _areas(found: list[xr.Dataset], variable: str, by: str) -> tuple[np.ndarray, dict[str, Any]]:
    tables = [area_means(result, by, variable) for result in found]
    names = list(dict.fromkeys(name for table in tables for name in table["area"].values.tolist()))
    shape = (len(found), len(names), *tables[0]["mean"].shape[1:])
    values = np.full(shape, np.nan)
    for row, table in zip(values, tables):
        for name, mean in zip(table["area"].values.tolist(), table["mean"].values):
            row[names.index(name)] = mean
    return values, {by: ("unit", np.asarray(names))}


def _bootstrap(
    values: np.ndarray, present: np.ndarray, level: float, n: int, random_state: Any, attrs: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Interval of the mean over subjects; NaN, with a reason, where too few have a value."""
    low, high = np.full(values.shape[1:], np.nan), np.full(values.shape[1:], np.nan)
    enough = present.sum(axis=0) >= FEWEST_RESAMPLED
    if not enough.all():
        attrs["bootstrap_reason"] = (
            f"{int((~enough).sum())} of {enough.size} units have fewer than {FEWEST_RESAMPLED} subjects, "
            "too few to resample; the t interval stands"
        )
    complete = enough & present.all(axis=0)
    if complete.any():
        low[complete], high[complete], _ = bootstrap_interval(
            values[:, complete], level=level, n_resamples=n, random_state=random_state
        )
    for place in np.argwhere(enough & ~complete):
        one = values[(slice(None), *place)]
        bounds = bootstrap_interval(one[np.isfinite(one)], level=level, n_resamples=n, random_state=random_state)
        low[tuple(place)], high[tuple(place)] = bounds[0], bounds[1]
    return low, high


def _sign_test(
    effect: np.ndarray, present: np.ndarray, permutations: int, random_state: Any
) -> tuple[np.ndarray, np.ndarray, int]:
    """p of the mean effect, p against the largest t of each draw over units, and the number of draws."""
    flips = sign_flips(len(effect), permutations, random_state)
    flat = np.where(present, effect, 0.0).reshape(len(effect), -1)
    count = present.sum(axis=0).reshape(-1)
    usable = count >= 2
    squares = (flat**2).sum(axis=0)

    def statistic(total: np.ndarray) -> np.ndarray:
        # t of the mean; the sum of squares is the same for every flip.
        mean = total / np.maximum(count, 1)
        spread = np.maximum(squares - count * mean**2, 1e-12 * np.maximum(squares, 1e-300))
        return np.where(usable, mean / np.sqrt(spread), np.nan)

    observed, null = statistic(flat.sum(axis=0)), statistic(flips @ flat)
    shape = effect.shape[1:]
    return p_value(observed, null).reshape(shape), max_statistic(observed, null).reshape(shape), len(flips)


def check_level(level: Any) -> float:
    """The coverage of an interval: a share above 0 and below 1."""
    found = amount(level, "level")
    if not 0 < found < 1:
        raise ValueError(f"level={level!r}: expected a share above 0 and below 1, such as 0.95.")
    return found


def paired_difference(
    first: xr.Dataset, second: xr.Dataset, *, by: str | None = None, level: float = 0.95
) -> xr.Dataset:
    """First minus second: two models scored on the same targets, samples and folds.

    The test allows for folds that share training samples: ``t = mean d / sqrt(var d (1/k + 1/(k-1)))`` with d the
    differences of the k folds and k - 1 degrees of freedom; two-sided.

    Parameters
    ----------
    first, second : results of ``cross_validate`` on the same Y with the same splits and the same score.
    by : unit coordinate; differences of area means instead of single units.
    level : coverage of the interval.

    Returns
    -------
    Dataset over unit: ``difference``, the mean over folds, ``low`` and ``high`` around it, ``p``, ``p_fdr``;
    ``difference_fold`` (fold, unit). Where scores were computed once over all predictions (``pool="predictions"``),
    ``difference_pooled`` is the difference of these, which no test over folds is about. attrs ``n_left_out``: units
    without a score in either.

    Raises
    ------
    AlignmentError : other targets, samples or folds.
    ValueError : other scores.

    Source: Nadeau and Bengio 2003, Machine Learning 52, section 3, the corrected resampled t-test.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from neurodecode.evaluation import cross_validate
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 3)); Y = X @ rng.normal(size=(3, 2)) + rng.normal(size=(60, 2))
    >>> one, two = (cross_validate(Ridge(), x, Y, 5, score="r") for x in (X, X[:, :1]))
    >>> bool((paired_difference(one, two)["difference"] > 0).all())
    True
    """
    from scipy.stats import t

    for place, result in (("first", first), ("second", second)):
        if not isinstance(result, xr.Dataset):
            raise TypeError(f"{place} is a {type(result).__name__}; expected a result of cross_validate")
    level = check_level(level)
    for key, said in (
        ("score", "scores"),
        ("pool", "ways of pooling"),
        ("folds_hash", "folds"),
        ("n_samples", "samples"),
    ):
        if first.attrs.get(key) != second.attrs.get(key):
            kind = ValueError if key in ("score", "pool") else AlignmentError
            raise kind(f"the results have different {said}: {first.attrs.get(key)!r} and {second.attrs.get(key)!r}")
    for key in ("shape", "hash"):
        data = [result.attrs.get("data", {}).get("Y", {}).get(key) for result in (first, second)]
        if data[0] != data[1]:
            raise AlignmentError(f"the results are not about the same targets: their data differ ({key} of Y)")
    _same_units(["the first", "the second"], [first, second], "score")
    overall = first["score"].values - second["score"].values
    folds = first["score_fold"].values - second["score_fold"].values
    finite = np.isfinite(overall)
    coords: dict[str, Any] = {key: ("unit", values) for key, values in _unit_coords(first).items()}
    if by is not None:
        if by not in coords:
            raise ValueError(f"by={by!r}: the units have no such coordinate; they have {', '.join(coords) or 'none'}")
        labels = coords[by][1]
        names = labels[np.sort(np.unique(labels, return_index=True)[1])]
        sets = [(labels == name) & finite.reshape(len(finite), -1).all(axis=1) for name in names]
        empty = np.full(overall.shape[1:], np.nan)
        overall = np.stack([overall[one].mean(axis=0) if one.any() else empty for one in sets])
        folds = np.stack(
            [
                folds[:, one].mean(axis=1) if one.any() else np.broadcast_to(empty, folds.shape[:1] + empty.shape)
                for one in sets
            ],
            axis=1,
        )
        coords = {by: ("unit", names)}
    k = len(folds)
    if k < 2:
        raise DegenerateDataError(f"a difference is judged over folds, and there is {k}: at least 2 are needed")
    error = np.sqrt(folds.var(axis=0, ddof=1) * (1.0 / k + 1.0 / (k - 1)))
    mean = folds.mean(axis=0)
    with np.errstate(all="ignore"):
        p = np.where(error > 0, 2.0 * t.sf(np.abs(mean / np.where(error > 0, error, 1.0)), k - 1), np.nan)
    p = np.where((error == 0) & (mean == 0), 1.0, p)
    reach = t.ppf((1 + level) / 2, k - 1) * error
    dims = ("unit", *first["score"].dims[1:])
    mean = np.where(np.isfinite(overall), mean, np.nan)
    table = {"difference": mean, "low": mean - reach, "high": mean + reach, "p": p, "p_fdr": fdr(p)}
    if first.attrs.get("pool") == "predictions":
        table["difference_pooled"] = overall
    variables: dict[str, Any] = {key: (dims, value) for key, value in table.items()}
    variables["difference_fold"] = (("fold", *dims), folds)
    attrs = {
        "score": first.attrs.get("score"), "pool": first.attrs.get("pool"), "level": level, "by": by,
        "first": first.attrs.get("estimator"), "second": second.attrs.get("estimator"),
        "n_left_out": int((~finite).sum()), "test": "corrected resampled t over folds, two-sided",
        "versions": versions(),
    }  # fmt: skip
    attrs |= _grid([first, second]) if by is None else {}
    return xr.Dataset(variables, {**coords, "fold": first["fold"].values}, jsonable(attrs))
