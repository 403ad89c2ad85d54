"""Where tokens lie: places on a grid or along a line, and the codes that keys carry for them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

GRID = ("row", "col")
LINE, LAG = "position", "lag"
TEMPERATURE = 10_000.0


def token_places(X: Any, n_tokens: int) -> np.ndarray:
    """Places of tokens, (tokens, axes): on a grid, along a line, some seconds ago, or two of these.

    Read off the token coordinates ``row`` and ``col``, or ``position``; and ``lag`` (seconds). Without them a square
    number of tokens is a grid read row by row, any other number a line.

    Examples
    --------
    >>> token_places(None, 4).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    >>> token_places(None, 3).ravel().tolist()
    [0.0, 1.0, 2.0]
    """
    axes, given = token_axes(X, n_tokens), named_axes(X)
    if given:
        return np.stack([np.asarray(X[name].values, dtype=float) for name in axes], axis=1)
    if axes == GRID:
        rows, cols = np.divmod(np.arange(n_tokens), math.isqrt(n_tokens))
        return np.stack([rows, cols], axis=1).astype(float)
    return np.arange(n_tokens, dtype=float)[:, None]


def token_axes(X: Any, n_tokens: int) -> tuple[str, ...]:
    """Names of the axes along which tokens lie.

    Examples
    --------
    >>> token_axes(None, 4), token_axes(None, 3)
    (('row', 'col'), ('position',))
    """
    side = math.isqrt(n_tokens)
    return named_axes(X) or (GRID if side * side == n_tokens and side > 1 else (LINE,))


def named_axes(X: Any) -> tuple[str, ...]:
    """Axes that the coordinates of the tokens say; empty where they say none."""
    there = set()
    if isinstance(X, xr.DataArray):
        there = {str(name) for name, entry in X.coords.items() if entry.dims == ("token",)}
    where = GRID if there.issuperset(GRID) else (LINE,) if LINE in there else ()
    return where + ((LAG,) if LAG in there else ())


def sine_code(places: np.ndarray, width: int, span: np.ndarray | None = None, turn: float = 1.0) -> Tensor:
    """Fixed sines and cosines of the places: an equal share of the width for each axis.

    Along each axis, with place x from 0 to 2 pi and frequencies 1 / 10,000^(2i/m): sin(x f_i), cos(x f_i) in turn.
    After a full turn the first pair says the same of the first and the last place, and where an axis has but two
    numbers nothing tells them apart; half a ``turn``, from 0 to pi, does.

    Parameters
    ----------
    places : (tokens, axes). width : numbers a token. span : (axes, 2) lowest and highest place; by default of these.
    turn : of x between the lowest and the highest place, 1 for 2 pi.

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
    angle = 2 * math.pi * turn * (places - low) / reach
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
