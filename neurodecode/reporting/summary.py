"""What a result says, area by area: means, intervals, ceilings and nulls read off its variables.

Nothing is fitted or scored again. An area's figures are means over its units with a score; units without one
(degenerate or masked) are counted, never averaged in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..compute.nulls import p_value, t_interval
from .forms import CALLED, SHOWN, dataset_of, kind_of, ready
from .wording import BOUNDS, SCORES, UNITS

Result = xr.DataArray | xr.Dataset | xr.DataTree | Mapping[str, xr.Dataset | xr.DataArray] | str | Path
NONE = float("nan")


@dataclass(frozen=True)
class Contents:
    """A result of any shape, opened: attrs of the whole, pictures of the root, and the results by name.

    ``shown`` are the nodes that are no scores and say in ``attrs["shows"]`` what they are, or have the form of what
    ``similarity`` gives, see ``shown.SHOWS`` and ``forms``.
    """

    attrs: dict[str, Any]
    root: xr.Dataset
    nodes: dict[str, xr.Dataset]
    shown: dict[str, xr.Dataset] = field(default_factory=dict)


@dataclass(frozen=True)
class Area:
    """One group of units in one result, and everything a row of a plot or a table shows of it.

    ``low`` and ``high`` lie around ``score``: Student's t times the standard error over folds or subjects (95 %),
    ending where the score does; ``over`` says which, ``repeats`` holds the values. The ceilings, and ``normalized``,
    the mean of the stored normalised scores, are means over the ``n_ceiling`` units that have a ceiling, and NaN where
    that is less than half of those with a score: the few that look reliable by luck say nothing of the area. ``p`` is
    (b + 1) / (n + 1) for the area's mean against the permutations, or the stored p of a single unit;
    ``significant`` counts units with p_fdr < .05, None when that was not tested.
    """

    name: str
    n_units: int
    n_degenerate: int
    score: float
    low: float = NONE
    high: float = NONE
    over: str = ""
    repeats: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)
    n_ceiling: int = 0
    ceiling: float = NONE
    ceiling_low: float = NONE
    ceiling_high: float = NONE
    normalized: float = NONE
    null_low: float = NONE
    null_high: float = NONE
    p: float = NONE
    significant: int | None = None


def opened(result: Result) -> Contents:
    """Open a result: a Dataset, a DataTree of them, a mapping of names to Datasets, or the path of a saved one.

    What ``similarity`` gives (labelled arrays too) stands among ``shown``; alone, it leads the page.

    Raises
    ------
    TypeError : something else.
    ValueError : nothing in it holds a score or a matrix, or can be shown.

    Examples
    --------
    >>> scores = xr.Dataset({"score": ("unit", [0.5, 0.25])}, attrs={"question": "Why?"})
    >>> opened(scores).attrs["question"], list(opened({"one": scores, "two": scores}).nodes)
    ('Why?', ['one', 'two'])
    """
    if isinstance(result, (str, Path)):
        from ..representation.store import load

        result = load(result)
    result = dataset_of(result)
    if isinstance(result, xr.Dataset):
        name = result.attrs.get("name") or CALLED.get(str(kind_of(result)), "result")
        contents = _of_nodes(_attrs(result), {str(name): result})
    elif isinstance(result, xr.DataTree):
        below = {
            node.path.removeprefix(result.path).strip("/"): node.to_dataset(inherit=False)
            for node in result.subtree
            if node is not result
        }
        root = result.to_dataset()
        if "score" in root.data_vars or ready(root) is not None:
            below = {str(result.name or "result"): root, **below}
        contents = _of_nodes(_attrs(result), below, root)
    elif isinstance(result, Mapping):
        found = {str(name): dataset_of(one) for name, one in result.items()}
        wrong = next((name for name, one in found.items() if not isinstance(one, xr.Dataset)), None)
        if wrong is not None:
            came = type(found[wrong]).__name__
            raise TypeError(f"{wrong!r} is a {came}; expected name to Dataset of cross_validate, or {SHOWN}.")
        contents = _of_nodes({}, found)
    else:
        raise TypeError(
            f"a result is an xarray Dataset, a DataTree or the path of a saved one, or {SHOWN}; got "
            f"{type(result).__name__}."
        )
    contents = replace(contents, nodes={name: _one(one) for name, one in contents.nodes.items()})
    lacking = [name for name, one in contents.nodes.items() if "score" not in one.data_vars]
    if lacking:
        raise ValueError(
            f"{', '.join(lacking)}: no variable 'score', so this is not a result of cross_validate, and not {SHOWN}."
        )
    if (
        not contents.nodes
        and not contents.shown
        and "matrix" not in contents.root.data_vars
        and not contents.attrs.get("figures")
    ):
        raise ValueError("nothing in this result can be shown: no variable 'score' or 'matrix', no attrs['figures'].")
    return contents


def _of_nodes(attrs: dict[str, Any], nodes: Mapping[str, xr.Dataset], root: xr.Dataset | None = None) -> Contents:
    """Nodes parted into those with scores and those that are shown.

    ``root``: of a study, whose nodes say what they show, and may hold what is for no page; None: all are for the page.
    """
    study = root is not None
    with_score = {name for name, one in nodes.items() if "score" in one.data_vars and "model" not in one["score"].dims}
    shown = {name: ready(one) for name, one in nodes.items() if study or name not in with_score}
    known = {name: one for name, one in shown.items() if one is not None}
    scores = {name: one for name, one in nodes.items() if name not in known and (name in with_score or not study)}
    root = xr.Dataset() if root is None else root
    if known and not scores and "matrix" not in root and not attrs.get("main") and not attrs.get("figures"):
        attrs = attrs | {"main": [next(iter(known))]}
    return Contents(attrs, root, scores, known)


def scored(result: Result, some: bool = True) -> dict[str, xr.Dataset]:
    """The results with scores; ``some``: one at least. A study may have none, a result that is none never has.

    Raises
    ------
    ValueError : there is none.
    """
    found = opened(result)
    if not found.nodes and found.shown and (some or isinstance(result, (xr.Dataset, xr.DataArray))):
        raise ValueError(f"{', '.join(found.shown)}: no variable 'score' for each unit; page(result, path) shows it.")
    return found.nodes


def _one(result: xr.Dataset) -> xr.Dataset:
    """A result with one score per unit: of a group, the mean over subjects, their scores beside it."""
    if "score" not in result.data_vars or "subject" not in result["score"].dims:
        return result
    return result.rename(score="score_subject").assign(score=result["mean"])


def _attrs(result: xr.Dataset | xr.DataTree) -> dict[str, Any]:
    return {str(key): value for key, value in result.attrs.items()}


def groups(result: xr.Dataset, by: str = "roi") -> dict[str, np.ndarray]:
    """Positions of the units of every group, in order of first appearance; one group where ``by`` is absent.

    Examples
    --------
    >>> groups(xr.Dataset({"score": ("unit", [1.0, 2.0, 3.0])}, coords={"roi": ("unit", ["LOC", "EVC", "LOC"])}))
    {'LOC': array([0, 2]), 'EVC': array([1])}
    """
    n = result.sizes["unit"]
    if by not in result.coords or result[by].dims != ("unit",):
        name = (
            str(result["unit_name"].values[0])
            if n == 1 and "unit_name" in result.coords
            else f"all {unit_words(result)[1]}"
        )
        return {name: np.arange(n)}
    names = np.asarray(result[by].values).astype(str)
    return {name: np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())}


def areas(result: xr.Dataset, by: str = "roi") -> list[Area]:
    """Every area of one result, in order of first appearance.

    Raises
    ------
    ValueError : the score has dimensions besides ``unit``; select a time first.

    Examples
    --------
    >>> found = areas(xr.Dataset({"score": ("unit", [0.5, np.nan, 0.7])}))
    >>> found[0].score, found[0].n_units, found[0].n_degenerate
    (0.6, 3, 1)
    """
    if result["score"].dims != ("unit",):
        raise ValueError(
            f"score has the dimensions {result['score'].dims}: select one time (isel) before taking areas."
        )
    return [_area(result, name, units) for name, units in groups(result, by).items()]


def _area(result: xr.Dataset, name: str, units: np.ndarray) -> Area:
    score = _values(result, "score", units)
    used = np.isfinite(score)
    if "degenerate" in result.data_vars:
        used &= ~np.asarray(result["degenerate"].values, dtype=bool)[units]
    kept = units[used]
    if not len(kept):
        return Area(name, len(units), len(units), NONE)
    mean = float(score[used].mean())
    repeats, over = _repeats(result, kept)
    half = float(np.subtract(*t_interval(repeats)[::-1])) / 2 if len(repeats) else NONE
    least, most = BOUNDS.get(score_name(result), (-np.inf, np.inf))
    n_ceiling = max(_finite(result, name, kept) for name in ("ceiling", "ceiling_upper"))
    reliable = kept if 2 * n_ceiling >= len(kept) else kept[:0]
    ceiling, lower, upper = (_mean(result, f"ceiling{end}", reliable) for end in ("", "_lower", "_upper"))
    null = null_of(result, kept)
    tested = "p_fdr" in result.data_vars
    return Area(
        name=name,
        n_units=len(units),
        n_degenerate=int((~used).sum()),
        score=mean,
        low=max(mean - half, least) if np.isfinite(half) else NONE,
        high=min(mean + half, most) if np.isfinite(half) else NONE,
        over=over,
        repeats=repeats,
        n_ceiling=n_ceiling,
        ceiling=ceiling if np.isfinite(ceiling) else upper,
        ceiling_low=lower,
        ceiling_high=upper if np.isfinite(upper) else ceiling,
        normalized=_mean(result, "normalized", reliable),
        null_low=float(np.quantile(null, 0.025)) if len(null) else NONE,
        null_high=float(np.quantile(null, 0.975)) if len(null) else NONE,
        p=float(p_value(np.asarray(mean), null)) if len(null) else _mean(result, "p", kept[: 2 - len(kept)]),
        significant=int(np.sum(_values(result, "p_fdr", kept) < 0.05)) if tested else None,
    )


def null_of(result: xr.Dataset, units: np.ndarray | None = None) -> np.ndarray:
    """Mean over units of the score in every permutation, (permutations,); empty when there were none."""
    if "null" not in result.data_vars:
        return np.empty(0)
    null = result["null"].transpose("permutation", "unit", ...).values
    mean = _mean_of_finite(null[:, units] if units is not None else null)
    return mean[np.isfinite(mean)] if mean.ndim == 1 else mean


def _mean_of_finite(values: np.ndarray) -> np.ndarray:
    """Mean along the second axis of what is finite; NaN where nothing is."""
    finite = np.isfinite(values)
    n = finite.sum(axis=1)
    return np.where(finite, values, 0).sum(axis=1) / np.where(n == 0, np.nan, n)


def _repeats(result: xr.Dataset, units: np.ndarray) -> tuple[np.ndarray, str]:
    """One mean per subject where there are several, else one per fold."""
    if "score_subject" in result.data_vars:
        subjects = result["score_subject"].transpose("subject", "unit").values[:, units]
        return _mean_of_finite(subjects), "subjects"
    if "subject" in result.coords and result["subject"].dims == ("unit",):
        subjects = np.asarray(result["subject"].values).astype(str)[units]
        names = list(dict.fromkeys(subjects.tolist()))
        if len(names) > 1:
            score = _values(result, "score", units)
            return np.array([score[subjects == name].mean() for name in names]), "subjects"
    if "score_fold" not in result.data_vars:
        return np.empty(0), ""
    return _mean_of_finite(result["score_fold"].transpose("fold", "unit").values[:, units]), "folds"


def _values(result: xr.Dataset, variable: str, units: np.ndarray) -> np.ndarray:
    return np.asarray(result[variable].values, dtype=float)[units]


def _mean(result: xr.Dataset, variable: str, units: np.ndarray) -> float:
    if variable not in result.data_vars:
        return NONE
    values = _values(result, variable, units)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else NONE


def _finite(result: xr.Dataset, variable: str, units: np.ndarray) -> int:
    return int(np.isfinite(_values(result, variable, units)).sum()) if variable in result.data_vars else 0


def chance_of(result: xr.Dataset) -> float | None:
    """What a score is worth when nothing is predicted: as stored, else 0 for correlations, .5 for AUC."""
    chance = result.attrs.get("chance")
    if chance is not None:
        return float(chance)
    return SCORES.get(score_name(result), ("", "", None))[2]


def score_name(result: xr.Dataset) -> str:
    """The name of the score, ``"score"`` where none is stored."""
    return str(result.attrs.get("score") or "score")


def unit_words(result: xr.Dataset) -> tuple[str, str]:
    """One unit and many: ``attrs["unit_name"]``, or voxel and voxels, neuron and neurons, by the kind of the target.

    Scores that compare whole rows (identification, top-k) have one unit for each area.
    """
    if isinstance(named := result.attrs.get("unit_name"), (list, tuple)) and len(named) == 2:
        return str(named[0]), str(named[1])
    name = score_name(result)
    if name == "identification" or name.startswith("top"):
        return "area", "areas"
    target = (result.attrs.get("data") or {}).get("Y") or {}
    if "vertex" in result.coords:
        return "vertex", "vertices"
    if "channel" in result.coords and result["channel"].dims == ("unit",):
        return UNITS["eeg"]
    return UNITS.get(str(target.get("kind") or result.attrs.get("kind")), ("unit", "units"))


def area_words(result: xr.Dataset) -> tuple[str, str]:
    """What units are grouped by, one and many: ``attrs["area_name"]``, areas where it does not say.

    Examples
    --------
    >>> area_words(xr.Dataset(attrs={"area_name": ["layer", "layers"]})), area_words(xr.Dataset())
    (('layer', 'layers'), ('area', 'areas'))
    """
    named = result.attrs.get("area_name")
    if isinstance(named, (list, tuple)) and len(named) == 2:
        return str(named[0]), str(named[1])
    return "area", "areas"


def draws_of(result: xr.Dataset) -> int:
    """How many permutations a result has."""
    return int(result.attrs.get("n_permutations") or result.sizes.get("permutation", 0))


def digits_of(nodes: Iterable[xr.Dataset]) -> int:
    """Decimals of a score: two, or three where a score of a study's own has no area with .2 or more.

    Examples
    --------
    >>> small = xr.Dataset({"score": ("unit", [0.05, 0.01])})
    >>> digits_of([small]), digits_of([small.assign_attrs(score="r")])
    (3, 2)
    """
    shown = list(nodes)
    own = bool(shown) and all(score_name(one) not in SCORES for one in shown)
    if not own or any(one["score"].dims != ("unit",) for one in shown):
        return 2
    means = [abs(area.score) for one in shown for area in areas(one) if np.isfinite(area.score)]
    return 3 if means and max(means) < 0.2 else 2


def sample_words(attrs: Mapping[str, Any]) -> tuple[str, str]:
    """One sample and many of them, by ``attrs["sample_name"]`` (singular, or singular and plural)."""
    named = attrs.get("sample_name")
    if isinstance(named, (list, tuple)) and len(named) == 2:
        return str(named[0]), str(named[1])
    return (str(named), f"{named}s") if named else ("sample", "samples")


def subjects_of(result: xr.Dataset) -> int | None:
    """How many persons or animals stand behind a result; None when it does not say."""
    for dim in ("subject", "unit", "sample"):
        if "subject" in result.coords and result["subject"].dims == (dim,):
            return len(set(np.asarray(result["subject"].values).astype(str).tolist()))
    if result.attrs.get("n_subjects"):
        return int(result.attrs["n_subjects"])
    data = result.attrs.get("data") or {}
    named = {str(part.get("subject")) for part in data.values() if isinstance(part, dict) and part.get("subject")}
    inner = [part.get("attrs") or {} for part in data.values() if isinstance(part, dict)]
    named |= {str(one["subject"]) for one in inner if one.get("subject")}
    return len(named) or None


def geometry(result: xr.Dataset) -> tuple[np.ndarray, tuple[int, int, int]] | None:
    """Affine (4, 4) and shape of the volume that the units lie in; None where the result has no voxel indices."""
    if any(name not in result.coords or result[name].dims != ("unit",) for name in "ijk"):
        return None
    target = (result.attrs.get("data") or {}).get("Y") or {}
    for said, key in ((result.attrs, "shape"), (target, "volume_shape"), (target.get("attrs") or {}, "shape")):
        if said.get("affine") is not None and len(said.get(key) or ()) >= 3:
            shape = [int(n) for n in said[key][:3]]
            return np.asarray(said["affine"], dtype=float), (shape[0], shape[1], shape[2])
    return None


def times_of(result: xr.Dataset) -> np.ndarray | None:
    """Seconds of a score over time: the dimension ``time``, or ``time`` on unit when every unit is one moment."""
    if "time" in result["score"].dims:
        return (
            np.asarray(result["time"].values, dtype=float)
            if "time" in result.coords
            else np.arange(result.sizes["time"], dtype=float)
        )
    if "time" in result.coords and result["time"].dims == ("unit",) and result.sizes["unit"] > 1:
        times = np.asarray(result["time"].values, dtype=float)
        return times if len(np.unique(times)) == len(times) else None
    return None


def as_over_time(result: xr.Dataset) -> xr.Dataset:
    """A result whose score has a dimension ``time``: as it is, or with its units unfolded into moments."""
    if "time" in result["score"].dims or times_of(result) is None:
        return result
    alone = result.drop_vars([name for name, coord in result.coords.items() if "unit" in coord.dims and name != "time"])
    alone = alone.sortby("time").swap_dims(unit="time")
    return xr.Dataset(
        {name: one.expand_dims("unit") if "time" in one.dims else one for name, one in alone.data_vars.items()},
        attrs=result.attrs,
    )
