"""Drawing one scene of the simulated world: shapes, textures, backgrounds, in NumPy alone.

Everything is a formula on a grid that is ``OVERSAMPLING`` times finer than the picture and then averaged, so edges
are smooth and no font, driver or drawing library has a say in the pixels. Positions are degrees of visual angle from
the centre of the picture, where the simulated person looks; x runs to the right, y upwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

OVERSAMPLING = 4

# Okabe & Ito (2008): told apart by people with any kind of colour vision.
COLOURS: dict[str, tuple[int, int, int]] = {
    "orange": (230, 159, 0),
    "cyan": (86, 180, 233),
    "green": (0, 158, 115),
    "yellow": (240, 228, 66),
    "blue": (0, 114, 178),
    "red": (213, 94, 0),
    "pink": (204, 121, 167),
}
SIZES: dict[str, tuple[float, float]] = {"small": (1.2, 1.5), "medium": (1.8, 2.2), "large": (2.7, 3.3)}
TINTS = {"grey": (168, 170, 173), "sand": (188, 176, 158), "mist": (156, 172, 182)}


def _circle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u**2 + v**2 <= 1


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(u), np.abs(v)) <= 0.8


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (v >= -0.5) & (np.sqrt(3) * np.abs(u) + v <= 1)


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Five points: fold the plane onto one half point, then one straight edge decides."""
    step = 2 * np.pi / 5
    angle = np.arctan2(u, v)
    folded = np.abs(angle - step * np.round(angle / step))
    radius = np.hypot(u, v)
    along, aside = radius * np.cos(folded), radius * np.sin(folded)
    inner = 0.45
    notch = (inner * np.cos(step / 2), inner * np.sin(step / 2))
    return (along - 1) * notch[1] - aside * (notch[0] - 1) <= 0


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    a, b = np.abs(u), np.abs(v)
    return (np.minimum(a, b) <= 0.32) & (np.maximum(a, b) <= 0.92)


def _ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    r = np.hypot(u, v)
    return (r <= 1) & (r >= 0.5)


def _face(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (u / 0.82) ** 2 + v**2 <= 1


def _house(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    walls = (np.abs(u) <= 0.66) & (v >= -0.85) & (v <= 0.2)
    roof = (v >= 0.15) & (np.abs(u) <= 0.95 * (0.95 - v) / 0.8)
    return walls | roof


SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
    "face": _face,
    "house": _house,
}


def _face_marks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    eyes = (((np.abs(u) - 0.33) / 0.13) ** 2 + ((v - 0.22) / 0.17) ** 2) <= 1
    mouth = (np.abs(np.hypot(u, v - 0.05) - 0.52) <= 0.09) & (v <= -0.2)
    return eyes | mouth


def _house_marks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    door = (np.abs(u + 0.28) <= 0.15) & (v >= -0.85) & (v <= -0.25)
    window = (np.abs(u - 0.28) <= 0.18) & (np.abs(v + 0.2) <= 0.18)
    return door | window


# Dark parts that make a face a face; most shapes have none.
MARKS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"face": _face_marks, "house": _house_marks}


def _stripes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * y / 0.55) > 0


def _dots(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    period = 0.55
    dx, dy = x / period - np.round(x / period), y / period - np.round(y / period)
    return dx**2 + dy**2 <= 0.3**2


def _checks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * x / 0.8) * np.sin(2 * np.pi * y / 0.8) > 0


# True where the lighter of the two inks goes; x and y in degrees, so a texture keeps its grain on every size.
TEXTURES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "plain": lambda x, y: np.zeros(x.shape, dtype=bool),
    "striped": _stripes,
    "dotted": _dots,
    "checked": _checks,
}


def _clouds(fx: np.ndarray, fy: np.ndarray) -> np.ndarray:
    return 1 / (0.15**2 + fx**2 + fy**2)


def _grain(fx: np.ndarray, fy: np.ndarray) -> np.ndarray:
    return np.exp(-(((np.hypot(fx, fy) - 1.8) / 0.9) ** 2))


def _waves(fx: np.ndarray, fy: np.ndarray) -> np.ndarray:
    return np.exp(-(((np.abs(fy) - 0.7) / 0.25) ** 2) - (fx / 0.25) ** 2)


# Amplitude of the background at each spatial frequency (cycles per degree).
BACKGROUNDS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "clouds": _clouds,
    "grain": _grain,
    "waves": _waves,
}


@dataclass(frozen=True)
class Thing:
    """One object of a scene: what it is, how it looks, and where (degrees; ``angle`` in radians)."""

    kind: str
    colour: str
    texture: str
    size: str
    diameter: float
    x: float
    y: float
    angle: float
    grain: float

    @property
    def radius(self) -> float:
        return self.diameter / 2


def axis(size: int, field: float, oversampling: int = 1) -> np.ndarray:
    """Centres of the pixels of one side, in degrees from the middle, left to right."""
    n = size * oversampling
    return (np.arange(n) + 0.5) * (field / n) - field / 2


def background(kind: str, tint: str, size: int, field: float, rng: np.random.Generator) -> np.ndarray:
    """A textured surface, ``(size, size, 3)`` in 0..255: noise whose spectrum is that of ``kind``."""
    frequency = np.fft.fftfreq(size, d=field / size)
    amplitude = BACKGROUNDS[kind](frequency[None, :], frequency[:, None])
    amplitude[0, 0] = 0
    noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) * amplitude).real
    noise *= 10.0 / noise.std()
    return np.asarray(TINTS[tint], dtype=float) + np.clip(noise, -30, 30)[:, :, None]


def paint(canvas: np.ndarray, thing: Thing, field: float) -> tuple[int, int, int, int]:
    """Draw ``thing`` over ``canvas`` in place; returns its box ``(column0, row0, column1, row1)``, ends excluded."""
    size = len(canvas)
    centres = axis(size, field)
    reach = thing.radius * 1.05 + field / size
    columns = np.flatnonzero(np.abs(centres - thing.x) <= reach)
    rows = np.flatnonzero(np.abs(-centres - thing.y) <= reach)
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

    fine = axis(size, field, OVERSAMPLING)
    x = fine[window[1].start * OVERSAMPLING : window[1].stop * OVERSAMPLING][None, :] - thing.x
    y = -fine[window[0].start * OVERSAMPLING : window[0].stop * OVERSAMPLING][:, None] - thing.y
    x, y = _turn(x, y, thing.angle)
    u, v = x / thing.radius, y / thing.radius
    shape = SHAPES[thing.kind]
    inside = shape(u, v)
    border = inside & ~shape(u * (1 + 0.13 / thing.radius), v * (1 + 0.13 / thing.radius))
    marks = MARKS[thing.kind](u, v) & inside if thing.kind in MARKS else np.zeros(inside.shape, dtype=bool)

    ink = np.asarray(COLOURS[thing.colour], dtype=float)
    light = ink + 0.72 * (255 - ink)
    tx, ty = _turn(x, y, thing.grain)
    fill = np.where(TEXTURES[thing.texture](tx, ty)[:, :, None], light, ink)
    fill = np.where(border[:, :, None], 0.62 * ink, fill)
    fill = np.where(marks[:, :, None], 0.18 * ink, fill)

    alpha = _shrink(inside.astype(float)[:, :, None])
    colour = _shrink(fill * inside[:, :, None])
    canvas[window] = canvas[window] * (1 - alpha) + colour
    seen = alpha[:, :, 0] >= 0.5
    up, across = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    left, top = window[1].start, window[0].start
    return int(left + across[0]), int(top + up[0]), int(left + across[-1] + 1), int(top + up[-1] + 1)


def _turn(x: np.ndarray, y: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    c, s = np.cos(angle), np.sin(angle)
    return c * x + s * y, c * y - s * x


def _shrink(fine: np.ndarray) -> np.ndarray:
    """Mean over blocks of ``OVERSAMPLING`` squared pixels."""
    rows, columns, channels = fine.shape
    blocks = fine.reshape(rows // OVERSAMPLING, OVERSAMPLING, columns // OVERSAMPLING, OVERSAMPLING, channels)
    return blocks.mean((1, 3))
