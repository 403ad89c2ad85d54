"""Pixels of pictures: decoding, grey and colour, transparency, resizing, the meaning of numbers, identity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .._names import lookup
from .._optional import require
from ..exceptions import DegenerateDataError, IntegrityError

LUMA = (0.299, 0.587, 0.114)


def content_hash(pixels: np.ndarray) -> str:
    """SHA-256 of pixels, their type and shape, as hexadecimal digits."""
    pixels = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("<"), copy=False))
    digest = hashlib.sha256(f"{pixels.dtype.str}{pixels.shape}".encode())
    digest.update(pixels.tobytes())
    return digest.hexdigest()


def decode(path: Path) -> Any:
    """The picture of a file as Pillow holds it: upright, 8 bits, grey or colour, perhaps transparent."""
    image_module = require("PIL.Image", purpose="reading pictures")
    operations = require("PIL.ImageOps", purpose="reading pictures")
    try:
        with image_module.open(path) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise ValueError(f"{path.name} holds {image.n_frames} frames; a picture has one.")
            upright = operations.exif_transpose(image)
            if upright.mode == "P":
                return upright.convert("RGBA" if "transparency" in upright.info else "RGB")
            if upright.mode == "1":
                return upright.convert("L")
            if upright.mode not in ("RGB", "L", "RGBA", "LA"):
                raise ValueError(
                    f"{path.name} is stored as {upright.mode!r}; pictures are 8-bit grey or RGB. Convert it first, "
                    "or pass its values as an array with value_range."
                )
            return upright.copy()
    except (OSError, SyntaxError) as error:
        raise IntegrityError(f"{path.name} cannot be read as a picture ({error}).") from error


def convert(pixels: np.ndarray, name: str, mode: str | None, background: tuple[int, int, int] | None) -> np.ndarray:
    """Opaque pixels (rows, columns, 1 or 3) of the mode that was asked for."""
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.shape[2] in (2, 4):
        if background is None:
            raise ValueError(
                f"{name} has transparent pixels (alpha channel); say what stands behind them, "
                "for example background=(255, 255, 255)."
            )
        alpha = pixels[..., -1:].astype(np.float64) / 255
        front = np.broadcast_to(pixels[..., :-1].astype(np.float64), (*pixels.shape[:2], 3))
        mixed = alpha * front + (1 - alpha) * np.asarray(background, dtype=np.float64)
        pixels = np.round(mixed).astype(np.uint8)
    return pixels if mode is None else MODES[mode](pixels)


def _rgb(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def _grey(pixels: np.ndarray) -> np.ndarray:
    if pixels.shape[2] == 1:
        return pixels
    return np.round(pixels.astype(np.float64) @ np.asarray(LUMA))[..., None].astype(pixels.dtype)


MODES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"RGB": _rgb, "L": _grey}
FILTERS = {"nearest": "NEAREST", "bilinear": "BILINEAR", "bicubic": "BICUBIC", "lanczos": "LANCZOS"}


def resized(picture: np.ndarray, size: tuple[int, int], fit: str | None, resize: str) -> np.ndarray:
    """One picture (rows, columns, channels) at another size; uint8 stays uint8, other numbers are resized as floats."""
    rows, columns = picture.shape[:2]
    if (rows, columns) == size:
        return picture
    if rows * size[1] != columns * size[0]:
        if fit is None:
            raise ValueError(
                f"pictures of {rows} x {columns} do not fit {size[0]} x {size[1]}: pass fit='crop', 'pad' or 'stretch'."
            )
        lookup({"crop": 0, "pad": 0, "stretch": 0}, fit, "fit", callables=False)
    if fit in ("crop", "pad"):
        pick = max if fit == "crop" else min
        ratio = pick(size[0] / rows, size[1] / columns)
        scaled = _scaled(picture, (max(1, round(rows * ratio)), max(1, round(columns * ratio))), resize)
        out = np.zeros((*size, picture.shape[2]), dtype=scaled.dtype)
        source, target = [], []
        for have, want in zip(scaled.shape[:2], size):
            shorter = min(have, want)
            source.append(slice((have - shorter) // 2, (have - shorter) // 2 + shorter))
            target.append(slice((want - shorter) // 2, (want - shorter) // 2 + shorter))
        out[tuple(target)] = scaled[tuple(source)]
        return out
    return _scaled(picture, size, resize)


def _scaled(picture: np.ndarray, size: tuple[int, int], resize: str) -> np.ndarray:
    image_module = require("PIL.Image", purpose="resizing pictures")
    method = getattr(image_module.Resampling, FILTERS[resize])
    whole = picture.dtype == np.uint8
    planes = [
        np.asarray(
            image_module.fromarray(plane if whole else plane.astype(np.float32)).resize((size[1], size[0]), method)
        )
        for plane in (np.ascontiguousarray(picture[..., channel]) for channel in range(picture.shape[2]))
    ]
    return np.stack(planes, axis=2)


def four_dimensions(values: np.ndarray) -> np.ndarray:
    """Pictures as (n, rows, columns, channels), 1 or 3 channels."""
    if values.ndim == 3:
        values = values[..., None]
    if values.ndim != 4 or values.shape[3] not in (1, 3):
        raise ValueError(
            f"an array of pictures is (n, rows, columns) or (n, rows, columns, 1 or 3), not {values.shape}: "
            "channels last, transparency mixed with a background."
        )
    if 0 in values.shape:
        raise DegenerateDataError(f"there are no pictures in an array of the shape {values.shape}.")
    return values


def value_range_of(values: np.ndarray, told: tuple[float, ...] | None) -> tuple[Any, Any]:
    """Black and white of these numbers; refuses to guess where two readings are possible."""
    if values.dtype.kind not in "biuf":
        raise TypeError(f"pictures hold numbers, not {values.dtype}.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DegenerateDataError(f"{int((~np.isfinite(values)).sum())} pixels are not finite.")
    least, most = values.min(), values.max()
    if told is not None:
        low, high = told
        if not low < high or least < low or most > high:
            raise ValueError(f"value_range={tuple(told)!r}, and the pixels go from {least:g} to {most:g}.")
        return low, high
    if values.dtype.kind == "b":
        return 0, 1
    if values.dtype == np.uint8 and most > 1:
        return 0, 255
    if values.dtype.kind == "f" and least >= 0 and most <= 1:
        return 0, 1
    raise ValueError(
        f"pixels of type {values.dtype} from {least:g} to {most:g} can be read in several ways: "
        "pass value_range=(0, 255), (0, 1) or what black and white are."
    )


def size_of(size: Any) -> tuple[int, int]:
    """(rows, columns) of a side or a pair."""
    pair = (size, size) if isinstance(size, (int, np.integer)) else tuple(size)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"size={size!r} must be a side or (rows, columns) in pixels.")
    return int(pair[0]), int(pair[1])
