"""Many tests at once: p values with their labels, adjusted."""

from __future__ import annotations

from typing import Any

import xarray as xr

from .._numbers import numbers_of
from ..compute.nulls import fdr as adjusted


def fdr(p: Any, method: str = "bh") -> Any:
    """p values adjusted for the false discovery rate; what is at most .05 is found, with 5 % wrong of all that is.

    ``q_(i) = min over j >= i of p_(j) m c / j`` over all m finite values; c = 1 for ``"bh"`` (independent or positively
    dependent tests), ``1 + 1/2 + ... + 1/m`` for ``"by"`` (any dependence).

    Parameters
    ----------
    p : p values of any shape, such as ``result["p"]`` or ``compare_grid(...)["p"]``; NaN stay NaN and are no tests.
    method : ``"bh"`` (Benjamini and Hochberg) or ``"by"`` (Benjamini and Yekutieli).

    Returns
    -------
    The same shape, and labelled (``p_fdr``) where ``p`` is.

    Raises
    ------
    ValueError : text, a p value outside 0 to 1, or an unknown method.

    Source: Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57; Benjamini and Yekutieli 2001, Ann. Stat. 29.

    Examples
    --------
    >>> p = xr.DataArray([0.01, 0.04, 0.03], dims="unit", coords={"roi": ("unit", ["V1", "V2", "IT"])})
    >>> found = fdr(p)
    >>> found.values.round(3).tolist(), found["roi"].values.tolist()
    ([0.03, 0.04, 0.04], ['V1', 'V2', 'IT'])
    """
    labelled = isinstance(p, xr.DataArray)
    found = adjusted(numbers_of(p.values if labelled else p, "p", "p values, numbers from 0 to 1"), method)
    return p.copy(data=found).rename("p_fdr") if labelled else found
