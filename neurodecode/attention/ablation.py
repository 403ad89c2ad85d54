"""Whether an area needs what it attends to: the tokens are taken away, and what is lost is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..compute.batching import batches
from ..compute.device import resolve
from ..compute.random import check_random_state
from ..compute.scores import pearson
from ..representation import check_same_samples, plain
from .tokens import ROWS_READ, Tokens

if TYPE_CHECKING:
    from .encoder import _TokenEncoder


def token_importance(encoder: _TokenEncoder, X: Any, Y: Any, *, share: float, random_state: Any) -> xr.Dataset:
    """See :meth:`_TokenEncoder.token_importance`."""
    check_same_samples(X, Y)
    tokens = encoder._tokens(X)
    k = round(share * tokens.size)
    if not 1 <= k < tokens.size:
        raise ValueError(f"share={share} masks {k} of {tokens.size} tokens; expected some, not all")
    counts = _attended(tokens)
    masked = np.clip(np.round(share * counts), 1, None)
    if (masked >= counts).any():
        at = int(np.flatnonzero((masked >= counts).any(axis=1))[0])
        raise ValueError(
            f"share={share} masks all {counts[at].min()} tokens that count in sample {at}; give a smaller one"
        )
    rng = check_random_state(random_state)
    truth = np.asarray(plain(Y), dtype=float)
    truth = truth[:, None] if truth.ndim == 1 else truth
    rows = np.arange(tokens.n)
    with encoder._on(resolve(encoder._settings().device)), torch.no_grad():
        whole = encoder._forward(tokens, rows)
        weights = torch.cat([encoder._weights(tokens, rows[some]) for some in batches(tokens.n, ROWS_READ)]).cpu()
        chance = torch.from_numpy(rng.random(weights.shape))
        blocked = tokens.blocked(rows)
        if blocked is not None:
            blocked = blocked.unflatten(0, (tokens.n, tokens.groups))
            weights, chance = weights.masked_fill(blocked, -1.0), chance.masked_fill(blocked, -1.0)
        sizes = torch.from_numpy(masked.astype(int))
        most, drawn = _largest(weights, sizes), _largest(chance, sizes)
        least, random = (encoder._forward(tokens, rows, taken) for taken in (most, drawn))
    scores = {}
    for name, found in (("r", whole), ("r_masked", least), ("r_random", random)):
        each = pearson(truth, encoder._units(found))
        scores[name] = ("query", [_mean(each[row]) for row in encoder.areas_of_.members])
    answer = xr.Dataset(scores, coords={"query": np.asarray(encoder.areas_)}, attrs={"share": share, "tokens": k})
    answer["drop"] = answer["r"] - answer["r_masked"]
    answer["drop_random"] = answer["r"] - answer["r_random"]
    return answer


def _mean(values: np.ndarray) -> float:
    kept = values[np.isfinite(values)]
    return float(kept.mean()) if len(kept) else float("nan")


def _attended(tokens: Tokens) -> np.ndarray:
    """Tokens that count, (samples, groups)."""
    if tokens.attended is None:
        return np.full((tokens.n, tokens.groups), tokens.size)
    return tokens.attended[:, tokens.order].sum(axis=2)


def _largest(weights: Tensor, sizes: Tensor) -> Tensor:
    """Boolean, True at the ``sizes`` (samples, groups) largest along the last axis of (samples, groups, areas, P)."""
    most = int(sizes.max())
    taken = torch.arange(most) < sizes[..., None, None]
    chosen = torch.zeros(weights.shape, dtype=torch.bool)
    return chosen.scatter_(-1, weights.topk(most, dim=-1).indices, taken.expand(*weights.shape[:-1], most))
