"""Several dissimilarity matrices as one array, met by label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ..representation.labels import same_entries
from .rdms import PAIR, build, check_rdm, match_all


def stack_rdms(rdms: Mapping[str, xr.DataArray], dim: str = "subject", *, join: str = "exact") -> xr.DataArray:
    """Matrices of people, areas or layers as one array, all with the stimuli in the order of the first.

    Parameters
    ----------
    rdms : name to matrix (stimulus, stimulus_other); all of the same stimuli, in any order.
    dim : name of the new dimension; the names become its labels.
    join : ``"exact"`` raises where a stimulus is missing in one of them; ``"inner"`` keeps the stimuli that all have.

    Returns
    -------
    DataArray (``dim``, stimulus, stimulus_other). Coordinates of the stimuli are those in which no two matrices differ;
    attrs those that all share.

    Raises
    ------
    AlignmentError : stimuli that one of them does not have; the matrix is named.
    ValueError : nothing to stack, one entry holds several matrices, or ``dim`` is one that matrices have already.

    Examples
    --------
    >>> from neurodecode.similarity import as_rdm
    >>> one = as_rdm([1, 2, 3], stimulus=["cat", "dog", "car"])
    >>> other = as_rdm([3, 2, 1], stimulus=["car", "dog", "cat"])
    >>> R = stack_rdms({"ann": one, "bob": other})
    >>> R.dims, R.values[1, 0].tolist()
    (('subject', 'stimulus', 'stimulus_other'), [0.0, 1.0, 2.0])
    """
    if not isinstance(rdms, Mapping) or not rdms:
        what = "empty" if isinstance(rdms, Mapping) else f"a {type(rdms).__name__}"
        raise ValueError(f"rdms is {what}; expected a mapping of names to matrices, with at least one.")
    if dim in PAIR:
        raise ValueError(f"dim={dim!r} is a dimension of every matrix; name what they are of, for example 'subject'.")
    names = [str(name) for name in rdms]
    met = match_all([check_rdm(one, name) for name, one in zip(names, rdms.values())], names, join)
    first = met[0]
    for name, one in zip(names, met):
        if one.dims != PAIR:
            raise ValueError(f"{name!r} has the dimensions {one.dims}: one matrix for each name.")
    coords: dict[str, Any] = {dim: (dim, np.array(names))}
    for key in dict.fromkeys(str(key) for one in met for key in one.coords if one[key].dims == ("stimulus",)):
        own = [one[key].variable for one in met if key in one.coords]
        if key not in PAIR and all(same_entries(one.values, own[0].values) for one in own[1:]):
            coords[key] = own[0]
    shared = {key: value for key, value in first.attrs.items() if all(one.attrs.get(key) == value for one in met)}
    values = np.stack([one.values for one in met])
    return build(values, first["stimulus"].values, (dim,), coords, shared)
