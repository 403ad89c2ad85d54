"""Contrast energy of pictures at many orientations and frequencies, pooled where a receptive field looks."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import xarray as xr

ORIENTATIONS = (0.0, 45.0, 90.0, 135.0)
FREQUENCIES = (0.75, 1.5, 3.0)


def energy(pictures: xr.DataArray, *, size: int = 32) -> xr.DataArray:
    """Maps of local contrast energy: a quadrature pair of Gabor filters, squared, summed, square root.

    ``E_c(p) = f_c |(luminance * g_c)(p)|`` with ``g_c`` a complex Gabor of orientation and frequency ``f_c`` whose
    bandwidth is 1.3 octaves; the factor ``f_c`` makes the channels of a natural spectrum equally strong.

    Parameters
    ----------
    pictures : (sample, row, column, channel) uint8 with ``attrs["field_deg"]``, such as ``World.pictures``.
    size : side of the maps, which must divide the side of the pictures.

    Returns
    -------
    DataArray, dims (sample, filter, row, column), float32; coords ``orientation`` (degrees from horizontal,
    anticlockwise) and ``frequency`` (cycles per degree) on ``filter``; the attrs of the pictures.

    Raises
    ------
    ValueError : the pictures have no field of view or too few pixels for the highest frequency, or ``size`` does not
        divide their side.

    References
    ----------
    Kay, Naselaris, Prenger & Gallant (2008), supplementary methods; Adelson & Bergen (1985).

    Examples
    --------
    >>> from neurodecode.sources import simulated
    >>> energy(simulated.scenes(2).pictures).shape
    (2, 12, 32, 32)
    """
    side = pictures.sizes["row"]
    if "field_deg" not in pictures.attrs:
        raise ValueError(
            'the pictures carry no attrs["field_deg"], the side in degrees, so cycles per degree mean nothing'
        )
    if size < 1 or side % size:
        raise ValueError(f"size={size} does not divide the side of the pictures, {side} pixels")
    field = float(pictures.attrs["field_deg"])
    if side / field < 2 * FREQUENCIES[-1]:
        raise ValueError(
            f"pictures of {side} pixels over {field:g} degrees cannot show {FREQUENCIES[-1]:g} cycles per degree; "
            f"{int(np.ceil(2 * FREQUENCIES[-1] * field))} pixels or more are needed"
        )
    filters = _filters(side, field)
    gains = np.repeat(FREQUENCIES, len(ORIENTATIONS))[:, None, None]
    block, pad = side // size, side // 4
    maps = np.empty((len(pictures), len(filters), size, size), dtype=np.float32)
    luminance = np.array([0.2126, 0.7152, 0.0722]) / 255
    for row, picture in enumerate(pictures.values):
        grey = np.pad(picture @ luminance, pad, mode="reflect")
        response = np.fft.ifft2(np.fft.fft2(grey - grey.mean()) * filters)[:, pad:-pad, pad:-pad]
        full = gains * np.abs(response)
        maps[row] = full.reshape(len(filters), size, block, size, block).mean((2, 4))
    return xr.DataArray(
        maps,
        dims=("sample", "filter", "row", "column"),
        coords={
            "stimulus": ("sample", pictures["stimulus"].values),
            "orientation": ("filter", np.tile(ORIENTATIONS, len(FREQUENCIES))),
            "frequency": ("filter", np.repeat(FREQUENCIES, len(ORIENTATIONS))),
        },
        attrs=dict(pictures.attrs) | {"kind": "features", "quantity": "contrast energy", "units": "a.u."},
    )


def pools(x: np.ndarray, y: np.ndarray, sigma: np.ndarray, *, size: int, field: float) -> np.ndarray:
    """Gaussian receptive fields on a map, ``(fields, size * size)``, each summing to one.

    ``x``, ``y``, ``sigma`` are degrees from the middle, x to the right, y upwards.

    Examples
    --------
    >>> pools(np.array([0.0]), np.array([0.0]), np.array([1.0]), size=8, field=8.0).shape
    (1, 64)
    """
    centres = (np.arange(size) + 0.5) * (field / size) - field / 2
    x, y, sigma = (np.atleast_1d(np.asarray(value, dtype=float))[:, None] for value in (x, y, sigma))
    across = np.exp(-((centres - x) ** 2) / (2 * sigma**2))
    down = np.exp(-((-centres - y) ** 2) / (2 * sigma**2))
    weights = (down[:, :, None] * across[:, None, :]).reshape(len(x), -1)
    return weights / weights.sum(1, keepdims=True)


def pooled(maps: xr.DataArray, x: np.ndarray, y: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """What each receptive field sees of each filter: ``(sample, filter, fields)`` float64.

    ``maps`` are those of ``energy``; the other arguments as in ``pools``.
    """
    size = maps.sizes["row"]
    weights = pools(x, y, sigma, size=size, field=float(maps.attrs["field_deg"]))
    return maps.values.reshape(maps.sizes["sample"], maps.sizes["filter"], size * size).astype(float) @ weights.T


@lru_cache(maxsize=4)
def _filters(side: int, field: float) -> np.ndarray:
    """Transfer functions of the complex Gabors: a Gaussian around one side of the frequency plane each."""
    padded = side + 2 * (side // 4)
    frequency = np.fft.fftfreq(padded, d=field / side)
    fx, fy = frequency[None, :], -frequency[:, None]
    filters = []
    for peak in FREQUENCIES:
        for orientation in np.radians(ORIENTATIONS):
            # A grating whose bars lie along ``orientation`` varies across it.
            along = -fx * np.sin(orientation) + fy * np.cos(orientation)
            across = fx * np.cos(orientation) + fy * np.sin(orientation)
            width = 0.35 * peak
            filters.append(np.exp(-((along - peak) ** 2 + across**2) / (2 * width**2)))
    bank = np.stack(filters)
    bank.flags.writeable = False
    return bank
