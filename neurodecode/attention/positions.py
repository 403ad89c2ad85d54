"""Where tokens lie: places on a grid or along a line, and the codes that keys carry for them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

GRID = ("row", "col")
LINE = ("position", "lag")
TEMPERATURE = 10_000.0


def token_places(X: Any, n_tokens: int) -> np.ndarray:
    """Places of tokens, (tokens, 2) on a grid or (tokens, 1) along a line.

    Read off the token coordinates ``row`` and ``col``, or ``position`` or ``lag`` (seconds). Without them a square
    number of tokens is a grid read row by row, any other number a line.

    Examples
    --------
    >>> token_places(None, 4).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    >>> token_places(None, 3).ravel().tolist()
    [0.0, 1.0, 2.0]
    """
    named = {}
    if isinstance(X, xr.DataArray):
        named = {str(name): entry.values for name, entry in X.coords.items() if entry.dims == ("token",)}
    if all(name in named for name in GRID):
        return np.stack([np.asarray(named[name], dtype=float) for name in GRID], axis=1)
    for name in LINE:
        if name in named:
            return np.asarray(named[name], dtype=float)[:, None]
    side = math.isqrt(n_tokens)
    if side * side == n_tokens and side > 1:
        rows, cols = np.divmod(np.arange(n_tokens), side)
        return np.stack([rows, cols], axis=1).astype(float)
    return np.arange(n_tokens, dtype=float)[:, None]


def line_name(X: Any) -> str:
    """What a place along a line is called: ``position``, or ``lag`` where the tokens carry that.

    Examples
    --------
    >>> line_name(None)
    'position'
    """
    if not isinstance(X, xr.DataArray):
        return LINE[0]
    return next((name for name in LINE if name in X.coords and X.coords[name].dims == ("token",)), LINE[0])


def sine_code(places: np.ndarray, width: int, span: np.ndarray | None = None) -> Tensor:
    """Fixed sines and cosines of the places: an equal share of the width for each axis.

    Along each axis, with place x from 0 to 2 pi and frequencies 1 / 10,000^(2i/m): sin(x f_i), cos(x f_i) in turn.

    Parameters
    ----------
    places : (tokens, 1 or 2). width : numbers a token. span : (axes, 2) lowest and highest place; by default of these.

    Returns
    -------
    (tokens, width)

    References
    ----------
    Vaswani et al. (2017), Attention is all you need, section 3.5; Carion et al. (2020), End-to-end object detection
    with transformers, appendix A.4, for two dimensions.

    Examples
    --------
    >>> sine_code(token_places(None, 9), 8).shape
    torch.Size([9, 8])
    """
    places = np.asarray(places, dtype=float)
    low, high = (places.min(0), places.max(0)) if span is None else (span[:, 0], span[:, 1])
    reach = np.where(high > low, high - low, 1.0)
    angle = 2 * math.pi * (places - low) / reach
    parts = []
    axes = places.shape[1]
    for axis in range(axes):
        share = width // axes + (1 if axis < width % axes else 0)
        pairs = -(-share // 2)
        frequency = TEMPERATURE ** (-2 * np.arange(pairs) / max(share, 1))
        phase = angle[:, axis, None] * frequency[None, :]
        both = np.stack([np.sin(phase), np.cos(phase)], axis=2).reshape(len(places), -1)
        parts.append(both[:, :share])
    return torch.from_numpy(np.concatenate(parts, axis=1).astype(np.float32))
