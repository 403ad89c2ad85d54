"""Whether an area needs what it attends to: the tokens are taken away, and what is lost is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from .._numbers import amount
from ..compute.batching import batches
from ..compute.device import resolve
from ..compute.random import check_random_state
from ..compute.scores import pearson
from ..representation import check_same_samples, check_same_units, plain
from .tokens import Tokens

if TYPE_CHECKING:
    from .encoder import TokenEncoder

AT_ONCE = 1 << 24  # weights over tokens that are held at a time
NOBODY = "no unit of this area could be fitted"


def token_importance(
    parts: Sequence[tuple[TokenEncoder, Any, np.ndarray | None]], Y: Any, *, share: float, random_state: Any
) -> xr.Dataset:
    """See :meth:`TokenEncoder.token_importance`.

    ``parts``: encoders of the same areas and units, what each reads, and its share (units,) in the prediction of each
    unit; None: all of it. The same tokens are taken from all.
    """
    first = parts[0][0]
    shared = [(encoder, encoder._tokens(X), weight) for encoder, X, weight in parts]
    check_same_samples(parts[0][1], Y)
    check_same_units(Y, first.targets_)
    tokens = shared[0][1]
    k = round(amount(share, "share", 0, 1) * tokens.size)
    if not 1 <= k < tokens.size:
        raise ValueError(f"share={share} masks {k} of {tokens.size} tokens; expected some, not all")
    counts = _attended(tokens)
    masked = np.clip(np.round(share * counts), 1, None)
    if (masked >= counts).any():
        at = int(np.flatnonzero((masked >= counts).any(axis=1))[0])
        raise ValueError(
            f"share={share} masks all {counts[at].min()} tokens that count in sample {at}; give a smaller one"
        )
    truth = np.asarray(plain(Y), dtype=float)
    truth = truth[:, None] if truth.ndim == 1 else truth
    rng, sizes = check_random_state(random_state), torch.from_numpy(masked.astype(int))
    found: dict[str, list[np.ndarray]] = {"r": [], "r_masked": [], "r_random": []}
    for some in batches(tokens.n, max(1, AT_ONCE // (tokens.groups * tokens.size * len(first.areas_)))):
        rows = np.arange(tokens.n)[some]
        weights = _weights(shared, rows)
        chance = torch.from_numpy(rng.random(weights.shape))
        blocked = tokens.blocked(rows)
        if blocked is not None:
            blocked = blocked.unflatten(0, (len(rows), tokens.groups))
            weights, chance = weights.masked_fill(blocked, -1.0), chance.masked_fill(blocked, -1.0)
        most, drawn = _largest(weights, sizes[some]), _largest(chance, sizes[some])
        for name, taken in (("r", None), ("r_masked", most), ("r_random", drawn)):
            found[name].append(_predicted(shared, rows, taken))
    scores = {}
    for name, pieces in found.items():
        each = pearson(truth, np.concatenate(pieces))
        scores[name] = ("query", [_mean(each[units]) for units in first.areas_of_.units])
    attrs: dict[str, Any] = {"share": share, "tokens": k}
    if first.areas_of_.empty:
        attrs["reason"] = dict.fromkeys(first.areas_of_.empty, NOBODY)
    answer = xr.Dataset(scores, coords={"query": np.asarray(first.areas_)}, attrs=attrs)
    answer["drop"] = answer["r"] - answer["r_masked"]
    answer["drop_random"] = answer["r"] - answer["r_random"]
    return answer


def _weights(shared: list[tuple[TokenEncoder, Tokens, np.ndarray | None]], rows: np.ndarray) -> Tensor:
    """Weights over tokens (rows, groups, areas, P) of all encoders together."""
    total: Any = 0.0
    for encoder, tokens, weight in shared:
        one = encoder._all_weights(tokens, rows)
        if weight is not None:
            one = one * torch.from_numpy(of_areas(encoder, weight)).float()[:, None]
        total = total + one
    return total


def of_areas(encoder: TokenEncoder, weight: np.ndarray) -> np.ndarray:
    """Mean of a number a unit over the units of each area; 0 for an area without units."""
    return np.array([weight[units].mean() if len(units) else 0.0 for units in encoder.areas_of_.units])


def _predicted(
    shared: list[tuple[TokenEncoder, Tokens, np.ndarray | None]], rows: np.ndarray, taken: Tensor | None
) -> np.ndarray:
    """Predictions (rows, units) without the tokens that were taken from each area."""
    total: Any = 0.0
    for encoder, tokens, weight in shared:
        with encoder._on(resolve(encoder._settings().device)):
            one = encoder._units(encoder._forward(tokens, rows, taken))
        total = total + (one if weight is None else one * weight)
    return total


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
