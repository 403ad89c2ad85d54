"""What ``similarity`` gives back, told by its form, and made ready for a page.

A node that says in ``attrs["shows"]`` what it is, is left as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from .comparisons import HOW

PAIR = ("stimulus", "stimulus_other")
JOINT = " with "
MOST_PANELS = 12
MOST_GROUPS = 12
#: What a result is called that has no name of its own.
CALLED = {
    "models": "models", "grid": "grid", "matching": "units", "rdm": "dissimilarities", "embedding": "places",
    "comparison": "comparison",
}  # fmt: skip
SHOWN = "a comparison, a grid, compared models, matched units, dissimilarities or their embedding (similarity)"


def kind_of(node: xr.Dataset) -> str | None:
    """Which row of ``shown.SHOWS`` a Dataset of ``similarity`` is: by ``attrs["shows"]``, else by its variables.

    Examples
    --------
    >>> kind_of(xr.Dataset({"value": (("layer", "area"), [[0.5]])})), kind_of(xr.Dataset({"score": ("unit", [0.5])}))
    ('grid', None)
    """
    if "shows" in node.attrs:
        return str(node.attrs["shows"]) if node.attrs["shows"] else None
    dims = {str(name): tuple(map(str, node[name].dims)) for name in node.data_vars}
    if "model" in dims.get("mean", ()) and "model" in dims.get("score", ()) and "difference" in dims:
        return "models" if dims["mean"] == ("model",) else "grid" if len(dims["mean"]) == 2 else None
    if dims.get("correlation") == ("unit", "unit_other") and "matched_held_out" in dims:
        return "matching"
    if "pair" in dims.get("matched_held_out", ()) and {"best_held_out", "null_low", "null_high"} <= set(dims):
        return "matchings"
    if {"place", "tree", "rdm"} <= set(dims):
        return "embedding"
    if set(PAIR) <= set(dims.get("rdm", ())):
        return "rdm"
    if "value" in dims:
        if not dims["value"]:
            return "comparison" if dims.get("null") == ("permutation",) else None
        return "grid" if 2 <= len(dims["value"]) <= 4 else None
    return None


def dataset_of(found: Any) -> Any:
    """A labelled array of ``similarity`` (dissimilarities, a grid) as a Dataset; all else as it is."""
    if not isinstance(found, xr.DataArray):
        return found
    if set(PAIR) <= set(found.dims):
        # what ``by`` says of matrices are their folds; of a node it is the coordinate of its blocks
        return xr.Dataset({"rdm": found.rename("rdm")}, attrs={k: v for k, v in found.attrs.items() if k != "by"})
    if 2 <= found.ndim <= 4 and not {"sample", "unit"} & set(found.dims):
        return xr.Dataset({"value": found.rename("value")}, attrs=dict(found.attrs))
    return found


def ready(node: xr.Dataset) -> xr.Dataset | None:
    """A Dataset as a node that can be drawn, with ``attrs["shows"]``; None where its form is not known."""
    kind = kind_of(node)
    if kind is None or node.attrs.get("shows"):
        return None if kind is None else node
    node = node.assign_attrs(shows=kind)
    if kind == "rdm":
        return _of_rdms(node)
    if kind == "embedding":
        return _coloured(node)
    return _of_grid(node) if kind == "grid" else node


def _of_rdms(node: xr.Dataset) -> xr.Dataset:
    """At most twelve matrices, evenly spaced, with the blocks of their categories."""
    values = node["rdm"].transpose(..., *PAIR)
    if values.ndim == 3:
        dim, n = str(values.dims[0]), values.sizes[values.dims[0]]
        said = f"One matrix for each {dim}"
        if n > MOST_PANELS:
            values = values.isel({dim: np.linspace(0, n - 1, MOST_PANELS).round().astype(int)})
            said += f"; {MOST_PANELS} of {n:,}, evenly spaced"
        values = values.assign_attrs(about=values.attrs.get("about") or said)
    return _coloured(xr.Dataset({"rdm": values}, attrs=node.attrs))


def _coloured(node: xr.Dataset) -> xr.Dataset:
    by = category_of(node["rdm"])
    return node if by is None else node.assign_attrs(by=by)


def category_of(values: xr.DataArray) -> str | None:
    """The first coordinate of the stimuli that parts them into 2 to 12 groups by words.

    Examples
    --------
    >>> names = {"stimulus": list("abcd"), "kind": ("stimulus", ["x", "x", "y", "y"])}
    >>> category_of(xr.DataArray(np.zeros((4, 4)), dims=("stimulus", "stimulus_other"), coords=names))
    'kind'
    """
    for name in values.coords:
        if name not in PAIR and values[name].dims == ("stimulus",) and values[name].dtype.kind in "OUS":
            groups = len(set(values[name].values.astype(str).tolist()))
            if 2 <= groups <= min(MOST_GROUPS, values.sizes["stimulus"] - 1):
                return str(name)
    return None


def _of_grid(node: xr.Dataset) -> xr.Dataset:
    """Two dimensions, named: pairs of spaces are rows and their times columns where there are times."""
    if "value" not in node:
        over = next(str(dim) for dim in node["mean"].dims if dim != "model")
        how = str(node.attrs.get("how") or "score")
        how = f"{HOW.get(how, how.replace('_', ' '))} of dissimilarities"
        said = {"rows": "model", "columns": _word(over), "how": how}
        return xr.Dataset({"value": node["mean"].transpose("model", over)}, attrs=node.attrs | said)
    dims = tuple(map(str, node["value"].dims))
    named = {"rows": _word(dims[0]), "columns": _word(dims[1])} if len(dims) == 2 else {}
    return node.assign_attrs({key: word for key, word in named.items() if word and key not in node.attrs})


def _word(dim: str) -> str:
    if dim in ("first", "second", "second_other"):
        return ""
    words = dim.removesuffix("_other").replace("_", " ")
    return "time (s)" if words == "time" else words


def flat_grids(node: xr.Dataset) -> dict[str, xr.Dataset]:
    """Grids of two dimensions: one over time becomes pairs by times, one over two times a grid for every pair.

    Examples
    --------
    >>> value = xr.DataArray(np.zeros((1, 2, 3)), dims=("first", "second", "time"), coords={"second": ["V1", "V2"]})
    >>> {name: dict(one.sizes) for name, one in flat_grids(xr.Dataset({"value": value})).items()}
    {'': {'pair': 2, 'time': 3}}
    """
    value = node["value"]
    if value.ndim == 2:
        return {"": node}
    first, second, *times = map(str, value.dims)
    kept = node[[name for name in ("value", "p_max", "p_fdr") if name in node]]
    names = [
        JOINT.join(filter(None, (_entry(value, first, a), _entry(value, second, b))))
        for a in range(value.sizes[first])
        for b in range(value.sizes[second])
    ]
    if len(times) == 1:
        stacked = {
            str(name): (("pair", times[0]), one.values.reshape(len(names), -1)) for name, one in kept.data_vars.items()
        }
        coords = {"pair": names, **({times[0]: value[times[0]].values} if times[0] in value.coords else {})}
        about = node.attrs | {"rows": "", "columns": _word(times[0]), "how": _how(node)}
        return {"": xr.Dataset(stacked, coords, about)}
    found = {}
    for at, name in enumerate(names):
        a, b = divmod(at, value.sizes[second])
        sides = [f"time of {_entry(value, dim, place)} (s)" for dim, place in ((first, a), (second, b))]
        about = node.attrs | {"rows": sides[0], "columns": sides[1], "how": _how(node)}
        found[name] = kept.isel({first: a, second: b}).assign_attrs(about)
    return found


def _entry(value: xr.DataArray, dim: str, at: int) -> str:
    if value.sizes[dim] == 1 and dim not in value.coords:
        return ""
    return str(value[dim].values[at]) if dim in value.coords else str(at)


def _how(node: xr.Dataset) -> str:
    return str(node["value"].attrs.get("how") or node.attrs.get("how") or "similarity")
