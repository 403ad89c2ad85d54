"""Pictures as numbers in 0..1, channels first, at the size a network was made for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def as_pictures(
    values: Any,
    size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Tensor:
    """Pictures (n, height, width, colours) or (n, colours, height, width) as a float32 tensor, channels first.

    x = (resize(values / 255) - mean) / std; the division only for uint8.

    Parameters
    ----------
    values : uint8 in 0..255, or floating point in 0..1; 3 colours (or 1) on the last axis, or on axis 1.
    size : side of the square in pixels that the result has (bilinear, antialiased); None keeps the size.
    mean, std : per colour, in 0..1 units; None leaves 0..1.

    Returns
    -------
    Tensor (n, colours, height, width).

    Raises
    ------
    ValueError : another number of axes, RGBA, integers that are not uint8, or floats outside 0..1.

    Examples
    --------
    >>> as_pictures(np.full((2, 8, 8, 3), 255, np.uint8), size=4).shape
    torch.Size([2, 3, 4, 4])
    """
    pictures = torch.as_tensor(np.ascontiguousarray(values) if not isinstance(values, Tensor) else values)
    shape = tuple(pictures.shape)
    if pictures.ndim != 4:
        raise ValueError(f"pictures have shape {shape}; expected (n, height, width, colours)")
    if shape[-1] in (1, 3) and shape[1] not in (1, 3):
        pictures = pictures.movedim(-1, 1)
    elif shape[1] not in (1, 3):
        raise ValueError(f"pictures of shape {shape} have neither 3 nor 1 colours; drop the alpha channel explicitly")
    elif shape[-1] in (1, 3):
        raise ValueError(f"shape {shape} leaves open which axis holds the colours")
    if pictures.dtype == torch.uint8:
        pictures = pictures.float() / 255
    elif not pictures.is_floating_point():
        raise ValueError(f"pictures of {pictures.dtype} have no known range; pass uint8 (0..255) or floats in 0..1")
    else:
        pictures = pictures.float()
        if pictures.numel() and not (float(pictures.min()) >= 0 and float(pictures.max()) <= 1):
            raise ValueError(
                f"floating point pictures run from {float(pictures.min()):.3g} to {float(pictures.max()):.3g}; "
                "expected 0..1 (divide by 255, or pass uint8). Mean and standard deviation are left to the network, "
                "which applies those it was trained with."
            )
    if size is not None and tuple(pictures.shape[2:]) != (size, size):
        pictures = torch.nn.functional.interpolate(
            pictures, size=(size, size), mode="bilinear", antialias=True, align_corners=False
        ).clamp(0, 1)
    if mean is not None:
        pictures = pictures - pictures.new_tensor(mean)[:, None, None]
    if std is not None:
        pictures = pictures / pictures.new_tensor(std)[:, None, None]
    return pictures
