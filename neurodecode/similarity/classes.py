"""Samples and the class that each is of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..exceptions import AlignmentError, DegenerateDataError
from ..representation import check_same_samples, plain
from .spaces import matrix


def by_class(X: Any, labels: Any, fewest: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Values (n, p), class number (n,) and the names of the classes.

    ``labels``: one for each sample, or the name of a sample coordinate of X.

    Raises
    ------
    AlignmentError : labels of other samples, or an unknown coordinate. DegenerateDataError : not finite, a label that
        is missing, one class, a class of fewer than ``fewest`` samples.

    Examples
    --------
    >>> by_class(np.arange(6.0).reshape(3, 2), ["b", "a", "b"], 1)[1:]
    (array([1, 0, 1]), ['a', 'b'])
    """
    if isinstance(labels, str):
        if not isinstance(X, xr.DataArray) or labels not in X.coords or X[labels].dims != ("sample",):
            known = [str(name) for name in X.coords if X[name].dims == ("sample",)] if hasattr(X, "coords") else []
            raise AlignmentError(
                f"labels={labels!r}: X has no sample coordinate of this name"
                f"{' (it has ' + ', '.join(known) + ')' if known else ''}; give one of its own, or an array of labels."
            )
        labels = X[labels]
    check_same_samples(X, labels, ("X", "labels"))
    x, given = matrix(X, "X"), np.asarray(plain(labels))
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if given.shape != (len(x),):
        raise AlignmentError(f"labels have the shape {given.shape}; expected one for each of {len(x)} samples.")
    missing = np.flatnonzero(pd.isna(given))
    if len(missing):
        raise DegenerateDataError(
            f"{len(missing)} of {len(x)} labels are missing (first at sample {missing[0]}); leave these samples out."
        )
    names, which, counts = np.unique(given.astype(str), return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise DegenerateDataError(f"all samples are of one class ({names[0]}); two are needed.")
    if counts.min() < fewest:
        few = ", ".join(names[counts < fewest][:5])
        raise DegenerateDataError(f"each class needs {fewest} samples; these have fewer: {few}. Leave them out.")
    return x, which, names.tolist()
