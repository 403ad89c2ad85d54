"""One trunk over people: pictures and responses of several persons side by side, each with queries of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ..exceptions import AlignmentError
from ..representation import check_same_samples


def stack_people(people: Mapping[str, tuple[Any, Any]]) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Tokens of all pictures once, responses of all people side by side, and which person saw which picture.

    ``RoutedEncoder(by=["subject", "roi"]).fit(X, Y, seen=seen)`` then shares keys, values and the small network over
    people, and gives each area of each person a query and a readout of its own; ``routing=Routing(trunk=that)`` fits
    another person's on what was learnt.

    Parameters
    ----------
    people : name to (X, Y): (sample, token, unit) tokens and (sample, unit) responses with the same samples, one for
        each stimulus. People may have seen different pictures; what they share is met by ``stimulus``.

    Returns
    -------
    (X, Y, seen) : X (sample, token, unit) each stimulus once; Y (sample, unit) with ``subject`` on unit, NaN where a
    person did not see a picture; ``seen`` boolean, in the shape of Y.

    Raises
    ------
    AlignmentError : people whose tokens differ for the same stimulus, or whose features differ.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodecode.representation import as_representation
    >>> dims = ("sample", "token", "unit")
    >>> def person(names):
    ...     X = as_representation(np.ones((len(names), 4, 2)), stimulus=names, kind="network", dims=dims)
    ...     Y = as_representation(np.zeros((len(names), 3)), stimulus=names, kind="fmri", unit={"roi": list("abc")})
    ...     return X, Y
    >>> X, Y, seen = stack_people({"one": person(["p", "q"]), "two": person(["q", "r"])})
    >>> X.shape, Y.shape, int(seen.sum())
    ((3, 4, 2), (3, 6), 12)
    """
    if not isinstance(people, Mapping):
        raise ValueError(f"people is a {type(people).__name__}; expected {{name: (X, Y)}}")
    if not people:
        raise ValueError("no person was given; pass {name: (X, Y)}")
    for name, pair in people.items():
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and all(isinstance(x, xr.DataArray) for x in pair)):
            raise ValueError(
                f"person {name!r} came as a {type(pair).__name__}; expected (X, Y): labelled tokens and responses, "
                "from as_representation"
            )
    pictures: dict[str, tuple[str, int]] = {}
    for name, (X, Y) in people.items():
        check_same_samples(X, Y)
        _check_alike(name, X, *next(iter(people.items())))
        stimuli = [str(one) for one in X["stimulus"].values]
        if len(set(stimuli)) < len(stimuli):
            raise AlignmentError(f"person {name!r} has repeats of a stimulus; average them first (average_repeats)")
        for row, stimulus in enumerate(stimuli):
            if stimulus not in pictures:
                pictures[stimulus] = (name, row)
                continue
            other, place = pictures[stimulus]
            theirs = people[other][0]
            if not np.array_equal(theirs.isel(sample=place).values, X.isel(sample=row).values):
                raise AlignmentError(f"stimulus {stimulus!r} has other tokens for {name!r} than for {other!r}")
    order = list(pictures)
    kept = set.intersection(*({str(k) for k in X.coords} for X, _ in people.values()))
    alike = {name: X.drop_vars([k for k in X.coords if str(k) not in kept]) for name, (X, _) in people.items()}
    parts = [alike[name].isel(sample=[row]) for name, row in pictures.values()]
    X = xr.concat(parts, "sample", coords="minimal", compat="override", join="override", combine_attrs="override")
    index = {stimulus: number for number, stimulus in enumerate(order)}
    blocks, masks = [], []
    for name, (_, Y) in people.items():
        rows = [index[str(one)] for one in Y["stimulus"].values]
        values = np.full((len(order), Y.sizes["unit"]), np.nan, dtype=Y.dtype)
        values[rows] = Y.values
        mask = np.zeros(values.shape, dtype=bool)
        mask[rows] = True
        coords = {str(k): v.variable for k, v in Y.coords.items() if v.dims == ("unit",) and k != "subject"}
        coords |= {"stimulus": ("sample", np.asarray(order)), "subject": ("unit", np.full(Y.sizes["unit"], name))}
        blocks.append(xr.DataArray(values, dims=("sample", "unit"), coords=coords, attrs=Y.attrs))
        masks.append(mask)
    shared = set.intersection(*({str(k) for k in block.coords} for block in blocks))
    blocks = [block.drop_vars([str(k) for k in block.coords if str(k) not in shared]) for block in blocks]
    joined = xr.concat(
        blocks, "unit", coords="minimal", compat="override", join="override", combine_attrs="drop_conflicts"
    )
    return X, joined, joined.copy(data=np.concatenate(masks, axis=1))


def _check_alike(name: str, X: xr.DataArray, first: str, theirs: tuple[Any, Any]) -> None:
    """Tokens and features of two people must be the same, by number and by name."""
    other = theirs[0]
    if X.shape[1:] != other.shape[1:]:
        raise AlignmentError(
            f"person {name!r} has {X.shape[1]} tokens of {X.shape[2]} features, {first!r} {other.shape[1]} of "
            f"{other.shape[2]}; give all people the same layer."
        )
    for dim in ("token", "unit"):
        for key, entry in X.coords.items():
            if entry.dims != (dim,) or key not in other.coords or entry.equals(other.coords[key]):
                continue
            raise AlignmentError(f"the coordinate {key!r} of {dim} differs between {name!r} and {first!r}.")
