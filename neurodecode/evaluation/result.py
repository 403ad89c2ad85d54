"""The result: an ``xarray.Dataset`` that holds all a report may read, a tree of them for a study, and its figures."""

from __future__ import annotations

import functools
import importlib.metadata
import math
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from .. import __version__
from ..compute.nulls import fdr, max_statistic, p_value, t_interval
from ..exceptions import IntegrityError

LATEST = 1  # form of everything that is stored: results, groups, clusters, tests of models
SCHEMA = f"neurodecode.result/{LATEST}"
DIMS = {
    "score_fold": ("fold", "unit"),
    "score": ("unit",),
    "ceiling": ("unit",),
    "normalized": ("unit",),
    "p": ("unit",),
    "p_fdr": ("unit",),
    "p_max": ("unit",),
    "degenerate": ("unit",),
    "null": ("permutation", "unit"),
    "prediction": ("sample",),
    "truth": ("sample",),
    "confusion": ("true", "predicted"),
}
ATTRS = (
    "schema", "question", "score", "pool", "chance", "estimator", "random_state", "splits", "n_folds", "n_samples",
    "n_permutations", "degenerate", "dropped_targets", "assume_aligned", "allow_overlap", "leakage", "data", "versions",
    "elapsed_s", "notes",
)  # fmt: skip
PACKAGES = ("numpy", "scipy", "xarray", "scikit-learn", "torch")


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on.

    Examples
    --------
    >>> sorted(versions())[:2]
    ['neurodecode', 'numpy']
    """
    return dict(_versions())


@functools.cache
def _versions() -> dict[str, str]:
    found = {"neurodecode": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def spread(values: np.ndarray, kept: np.ndarray, n_units: int, axis: int) -> np.ndarray:
    """Put the values of the kept targets in their places among all targets, NaN in the others."""
    if len(kept) == n_units:
        return values
    moved = np.moveaxis(values, axis, 0)
    full = np.full((n_units, *moved.shape[1:]), np.nan)
    full[kept] = moved
    return np.moveaxis(full, 0, axis)


def significance(observed: np.ndarray, null: np.ndarray, higher: bool = True) -> dict[str, np.ndarray]:
    """``p`` of each score against its null, ``p_fdr`` over all tests, ``p_max`` against the largest of each draw."""
    sign = 1.0 if higher else -1.0
    p = p_value(sign * observed, sign * null)
    return {"p": p, "p_fdr": fdr(p), "p_max": max_statistic(sign * observed, sign * null)}


def check_readable(result: xr.Dataset | xr.DataTree) -> None:
    """Refuse what a later release wrote in a form that this one does not know; older forms pass.

    Raises
    ------
    IntegrityError : the schema of the result, or of one in a tree, is a later one.

    Examples
    --------
    >>> check_readable(xr.Dataset(attrs={"schema": "neurodecode.result/1"}))
    >>> check_readable(xr.Dataset(attrs={"schema": "neurodecode.result/2"}))
    Traceback (most recent call last):
    neurodecode.exceptions.IntegrityError: the result has the form 'neurodecode.result/2', and this release ...
    """
    nodes = {"the result": result} if isinstance(result, xr.Dataset) else {n.path: n for n in result.subtree}
    for name, node in nodes.items():
        form = str(node.attrs.get("schema", ""))
        kind, _, number = form.partition("/")
        if kind.startswith("neurodecode.") and number.isdigit() and int(number) > LATEST:
            raise IntegrityError(
                f"{name} has the form {form!r}, and this release ({__version__}) reads '{kind}/{LATEST}' at most. It "
                "was written by a later release: install that one (pip install --upgrade neurodecode), or make the "
                "result again with this one."
            )


def other_versions(result: xr.Dataset | xr.DataTree) -> dict[str, tuple[str, str]]:
    """Packages whose version was another when the result was made: name to (version then, version now).

    Examples
    --------
    >>> other_versions(xr.Dataset(attrs={"versions": {"neurodecode": "0.0.1"}}))["neurodecode"][0]
    '0.0.1'
    """
    nodes = [result] if isinstance(result, xr.Dataset) else list(result.subtree)
    now, found = versions(), {}
    for node in nodes:
        for name, then in (node.attrs.get("versions") or {}).items():
            if now.get(name, "absent") != then:
                found[name] = (str(then), now.get(name, "absent"))
    return found


def check_result(result: xr.Dataset) -> xr.Dataset:
    """Refuse a Dataset that is no result: what reports read must be there and have the dimensions they expect.

    Returns
    -------
    The Dataset as it came.

    Raises
    ------
    ValueError : with everything that is missing or misplaced.

    Examples
    --------
    >>> check_result(xr.Dataset())
    Traceback (most recent call last):
    ...
    ValueError: this is no result: ...
    """
    wrong = [f"variable {name!r} is missing" for name in ("score", "score_fold", "degenerate") if name not in result]
    for name, dims in DIMS.items():
        if name in result and tuple(result[name].dims[: len(dims)]) != dims:
            wrong.append(f"{name} has the dimensions {result[name].dims}, expected {dims} first")
    wrong += [f"attrs[{name!r}] is missing" for name in ATTRS if name not in result.attrs]
    if result.attrs.get("schema", SCHEMA) != SCHEMA:
        wrong.append(f"its schema is {result.attrs['schema']!r}, expected {SCHEMA!r}")
    if wrong:
        raise ValueError(f"this is no result: {'; '.join(wrong)}")
    return result


def figure(
    name: str,
    found: float,
    planted: float | None = None,
    low: float | None = None,
    high: float | None = None,
    published: float | None = None,
    tolerance: float | None = None,
) -> dict[str, Any]:
    """One number of a study beside what it should be.

    Parameters
    ----------
    name : what the number is. found : the number, NaN where it could not be computed.
    planted : the truth, where it was planted. low, high : interval in which ``found`` should lie.
    published, tolerance : a number from the literature and how far off it may be.

    Returns
    -------
    dict of plain floats; ``planted``, ``low`` and ``high`` are always there (None where nothing was planted).

    Examples
    --------
    >>> figure("lag (s)", 4.1, planted=4.0, low=3.5, high=4.5)
    {'name': 'lag (s)', 'found': 4.1, 'planted': 4.0, 'low': 3.5, 'high': 4.5}
    """
    row: dict[str, Any] = {"name": str(name), "found": float(found)}
    row.update({key: None if value is None else float(value) for key, value in
                (("planted", planted), ("low", low), ("high", high))})  # fmt: skip
    if low is not None and high is not None and not low <= high:
        raise ValueError(f"figure {name!r}: the interval from {low} to {high} is empty")
    row.update({key: float(value) for key, value in
                (("published", published), ("tolerance", tolerance)) if value is not None})  # fmt: skip
    return row


def study_tree(
    results: Mapping[str, xr.Dataset | xr.DataArray],
    *,
    question: str | None = None,
    answer: str | None = None,
    figures: list[dict[str, Any]] | None = None,
    matrix: xr.DataArray | None = None,
    matrix_null95: xr.DataArray | None = None,
    **attrs: Any,
) -> xr.DataTree:
    """The answer of a study: named results, the figures, and what a page says about them.

    Parameters
    ----------
    results : name -> Dataset of ``cross_validate`` (or of ``group``), or what ``similarity`` gives (arrays too).
    question, answer : one sentence each.
    figures : rows of :func:`figure`.
    matrix : (layer, roi) mean scores, for a picture; ``matrix_null95`` the 95 % point of its null.
    attrs : further attributes, such as ``method`` (markdown), ``references`` (list), ``notes``, ``data_card``.

    Returns
    -------
    DataTree : the results are its children.

    Raises
    ------
    ValueError : a name that cannot be a node, or something that is no Dataset.

    Examples
    --------
    >>> study_tree({"a": xr.Dataset()}, question="why?").attrs["question"]
    'why?'
    """
    if not isinstance(results, Mapping):
        raise TypeError(f"results is a {type(results).__name__}; expected results by name, such as {{'words': result}}")
    for name, result in results.items():
        if not name or "/" in name or name != name.strip():
            raise ValueError(f"{name!r} cannot name a result: use a word without '/'")
        if not isinstance(result, (xr.Dataset, xr.DataArray)):
            raise ValueError(f"result {name!r} is a {type(result).__name__}, not a Dataset")
    said = {"question": question, "answer": answer, **attrs, "figures": list(figures or [])}
    root = xr.Dataset(attrs={key: value for key, value in said.items() if value is not None})
    for name, array in (("matrix", matrix), ("matrix_null95", matrix_null95)):
        if array is not None:
            # Without an index, so that the coordinates of the results below need not agree with these.
            plain = array.drop_indexes([key for key in array.coords if key in array.xindexes])
            root[name] = plain
    return xr.DataTree.from_dict({"/": root, **{f"/{name}": _as_node(result) for name, result in results.items()}})


def _as_node(result: xr.Dataset | xr.DataArray) -> xr.Dataset:
    """A node of a tree: a grid without a name is its values."""
    if isinstance(result, xr.Dataset):
        return result
    return result.to_dataset(name=str(result.name or "value")).assign_attrs(result.attrs)


def area_means(result: xr.Dataset, by: str | None = "roi", variable: str = "score", level: float = 0.95) -> xr.Dataset:
    """Mean of a variable over the units of each area; units without a value are left out and counted.

    Parameters
    ----------
    result : with ``variable`` (unit[, ...]).
    by : unit coordinate that names the area; None takes all units together.
    level : coverage of the interval over folds.

    Returns
    -------
    Dataset over ``area`` (coordinate: the names, in order of first appearance): ``mean``, ``low`` and ``high`` (mean
    -/+ t quantile times the standard error over folds of the area's mean, only for ``variable="score"``; folds share
    training samples, so it is a guide and not a test), ``n`` units in the mean and ``n_left_out``.

    Raises
    ------
    ValueError : no such variable, or no such coordinate on unit.

    Examples
    --------
    >>> result = xr.Dataset({"score": ("unit", [0.2, 0.4, np.nan])}, {"roi": ("unit", ["a", "a", "b"])})
    >>> area_means(result)["mean"].values.round(2).tolist()
    [0.3, nan]
    """
    if not isinstance(result, xr.Dataset):
        raise TypeError(f"result is a {type(result).__name__}; expected a result of cross_validate")
    if variable not in result:
        raise ValueError(f"the result has no variable {variable!r}; it has {', '.join(map(str, result.data_vars))}")
    values = np.asarray(result[variable].values, dtype=np.float64)
    if by is None:
        who, names = np.zeros(len(values), dtype=int), np.asarray(["all"])
    elif by in result.coords and result[by].dims == ("unit",):
        labels = result[by].values
        _, first = np.unique(labels, return_index=True)
        names = labels[np.sort(first)]
        who = np.argmax(labels[:, None] == names[None, :], axis=1)
    else:
        there = [str(key) for key, coord in result.coords.items() if coord.dims == ("unit",)]
        raise ValueError(f"by={by!r}: the units have no such coordinate; they have {', '.join(there) or 'none'}")
    folds = result["score_fold"].values if variable == "score" and "score_fold" in result else None
    rows: dict[str, list[Any]] = {"mean": [], "low": [], "high": [], "n": [], "n_left_out": []}
    for number in range(len(names)):
        mine = values[who == number]
        finite = np.isfinite(mine)
        count = finite.sum(axis=0)
        mean = np.where(count > 0, np.where(finite, mine, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
        low = high = np.full(mean.shape, np.nan)
        if folds is not None and len(folds) > 1:
            parts = np.where(np.isfinite(mine), folds[:, who == number], 0.0).sum(axis=1)
            bottom, top = t_interval(np.where(count > 0, parts / np.maximum(count, 1), np.nan), level)
            low, high = mean - (top - bottom) / 2, mean + (top - bottom) / 2
        for key, value in zip(rows, (mean, low, high, count, len(mine) - count)):
            rows[key].append(value)
    dims = ("area", *result[variable].dims[1:])
    coords = {str(d): result[d] for d in result[variable].dims[1:] if d in result.coords}
    table = xr.Dataset({key: (dims, np.asarray(value)) for key, value in rows.items()}, coords)
    table = table.assign_coords(area=("area", names))
    table.attrs = {"variable": variable, "by": by, "level": level, "interval": "over folds, around the mean"}
    return table


def jsonable(value: Any) -> Any:
    """Numbers, strings, lists and dicts only; NaN and infinity as None.

    Examples
    --------
    >>> jsonable({"a": np.float64(1.5), "b": (np.int64(2), float("nan"))})
    {'a': 1.5, 'b': [2, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
