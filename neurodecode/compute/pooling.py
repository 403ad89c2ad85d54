"""From what a layer returns to rows per stimulus: which axis is what, and how places are pooled away."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .._names import lookup

_FIRST = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
)
_LAST = (nn.Linear, nn.LayerNorm, nn.RMSNorm, nn.Embedding, nn.RNNBase, nn.MultiheadAttention)
_ONE_DIMENSIONAL = (nn.Conv1d, nn.ConvTranspose1d)


def channel_axis(module: nn.Module, ndim: int, model: nn.Module | None = None) -> int:
    """The axis of a module's output that holds channels: 1 for maps (n, c, h, w), the last for tokens (n, t, d).

    Layers that act on the last axis (Linear, LayerNorm, Embedding ...) have it last; convolutions, batch norms and
    poolings have it at 1. Of anything else a 4-D or 5-D output is read as (n, c, ...) and a 3-D one as (n, t, d).

    Raises
    ------
    ValueError : a 3-D output of a module of unknown kind in a model with one-dimensional convolutions, where both
        readings are plausible.

    Examples
    --------
    >>> channel_axis(nn.Conv2d(1, 1, 1), 4), channel_axis(nn.LayerNorm(3), 4), channel_axis(nn.Identity(), 3)
    (1, 3, 2)
    """
    if ndim <= 2:
        return ndim - 1
    if isinstance(module, _FIRST):
        return 1
    if isinstance(module, _LAST):
        return ndim - 1
    if ndim > 3:
        return 1
    if model is not None and any(isinstance(part, _ONE_DIMENSIONAL) for part in model.modules()):
        raise ValueError(
            f"the output of a {type(module).__name__} has three axes, and in a model with one-dimensional convolutions "
            "it may be (n, channel, position) or (n, token, channel). Pass channel_axis=1 or channel_axis=2."
        )
    return ndim - 1


def places_last_channel(value: Tensor, axis: int) -> tuple[Tensor, tuple[int, ...]]:
    """Bring an output into (n, places, channels), or (n, channels) where it has no places.

    Returns the rearranged tensor and the shape of the grid of places: (h, w) of a map, (t,) of a sequence, () of a
    vector.

    Examples
    --------
    >>> moved, grid = places_last_channel(torch.zeros(2, 5, 3, 4), 1)
    >>> moved.shape, grid
    (torch.Size([2, 12, 5]), (3, 4))
    """
    if value.ndim == 1:
        return value[:, None], ()
    if value.ndim == 2:
        return value, ()
    moved = value.movedim(axis, -1)
    grid = tuple(moved.shape[1:-1])
    return moved.reshape(moved.shape[0], -1, moved.shape[-1]), grid


def mean_places(value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean over places of (n, places, channels); with a mask (n, places), over the places where it is true.

    Examples
    --------
    >>> x = torch.tensor([[[1.0], [3.0], [100.0]]])
    >>> mean_places(x, torch.tensor([[True, True, False]]))
    tensor([[2.]])
    """
    if mask is None:
        return value.mean(1)
    weight = mask[:, :, None]
    return torch.where(weight, value, value.new_zeros(())).sum(1) / weight.sum(1)


def last_place(value: Tensor, mask: Tensor | None = None) -> Tensor:
    """The last place of (n, places, channels); with a mask, the last where it is true.

    Examples
    --------
    >>> x = torch.tensor([[[1.0], [3.0], [100.0]]])
    >>> last_place(x, torch.tensor([[True, True, False]]))
    tensor([[3.]])
    """
    if mask is None:
        return value[:, -1]
    position = torch.arange(mask.shape[1], device=mask.device)
    last = torch.where(mask, position, -1).amax(1)
    return value[torch.arange(len(value), device=value.device), last]


POOLS: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {"mean": mean_places, "last": last_place}


def pool_rows(
    value: Tensor, axis: int, pool: str | Callable[[Tensor], Tensor] | None, mask: Tensor | None = None
) -> tuple[Tensor, tuple[int, ...]]:
    """Rows per stimulus of one layer's output, in at least single precision.

    Parameters
    ----------
    value : the output, stimuli on its first axis.
    axis : its channel axis.
    pool : ``"mean"`` or ``"last"`` over places, a callable of the output that returns (n, ...), or None for all places.
    mask : (n, t) boolean, which tokens count; used for sequences only.

    Returns
    -------
    rows : (n, units), or (n, places, channels) where nothing was pooled.
    grid : shape of the places that are left.

    Examples
    --------
    >>> pool_rows(torch.ones(2, 5, 3, 4), 1, "mean")[0].shape
    torch.Size([2, 5])
    """
    if value.dtype not in (torch.float32, torch.float64):
        value = value.float()
    if not isinstance(pool, str) and callable(pool):
        found = pool(value)
        return found.reshape(len(found), -1), ()
    rows, grid = places_last_channel(value, axis)
    if pool is None or not grid:
        return rows, grid
    if pool == "last" and len(grid) > 1:
        raise ValueError(f"pool='last' means the last token of a sequence; these are maps of {grid} places, use 'mean'")
    return lookup(POOLS, pool, "pool")(rows, mask if len(grid) == 1 else None), ()


def token_mask(ids: Tensor | None, attended: Tensor | None, pad_id: int | None, bos_id: int | None) -> Tensor | None:
    """Which tokens of (n, t) count: not padding, not the mark of the beginning.

    Padding is what ``attended`` (the attention mask) says, or without one the places that hold ``pad_id``. The mark of
    the beginning is left out only where it stands first, so a model that ends texts with the same id keeps that one.

    Examples
    --------
    >>> token_mask(torch.tensor([[1, 7, 1, 0]]), None, pad_id=0, bos_id=1)
    tensor([[False,  True,  True, False]])
    """
    if attended is not None:
        mask = attended.bool()
    elif ids is not None and pad_id is not None:
        mask = ids != pad_id
    elif ids is not None and bos_id is not None:
        mask = torch.ones_like(ids, dtype=torch.bool)
    else:
        return None
    if ids is None or bos_id is None:
        return mask
    first = mask & (mask.cumsum(1) == 1)
    return mask & ~(first & (ids == bos_id))
