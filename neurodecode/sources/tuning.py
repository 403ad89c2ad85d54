"""What the areas of a simulated brain respond to: places in the picture, kinds of object, meanings, or nothing.

Each class draws the units of one area and answers with their noise-free responses and with the truth about them. A
new sort of area is a new class with the method ``respond`` and a row of ``AREAS``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, Protocol

import numpy as np
import xarray as xr

from .._names import lookup
from .gabor import energy, pooled
from .scenes import World, caption_words


class Area(Protocol):
    """The one method of an area."""

    def respond(self, world: World, hemi: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
        """Responses (scenes, units) on any scale, and unit coordinates that state what was planted."""


@dataclass(frozen=True)
class Retinotopic:
    """Contrast energy under a Gaussian receptive field in the opposite half of the visual field.

    The size of a field (its standard deviation, degrees) is ``size_at_fixation + size_per_degree * eccentricity``.
    Eccentricity is drawn log-uniformly from .3 degrees to .4 of the picture, the polar angle within 75 degrees of the
    horizontal meridian. Each unit weighs the orientations and frequencies in its own way (Dirichlet, all positive).
    """

    size_at_fixation: float
    size_per_degree: float

    def respond(self, world: World, hemi: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
        n = len(hemi)
        eccentricity = np.exp(rng.uniform(np.log(0.3), np.log(0.4 * world.field), n))
        angle = rng.uniform(-1, 1, n) * np.radians(75)
        x = np.where(hemi == "left", 1, -1) * eccentricity * np.cos(angle)
        y = eccentricity * np.sin(angle)
        size = self.size_at_fixation + self.size_per_degree * eccentricity
        maps = energy(world.pictures)
        weights = rng.dirichlet(np.full(maps.sizes["filter"], 0.5), n)
        responses = np.einsum("sfu,uf->su", pooled(maps, x, y, size), weights)
        return responses, {"planted_x": x, "planted_y": y, "planted_size": size}


@dataclass(frozen=True)
class Selective:
    """Responds to one kind of object wherever it is, and there to its size, colour and texture.

    ``sum over objects of that kind of 1 + w . (log size, colour, texture)``, the weights of a unit drawn once.
    """

    kind: str
    spread: float = 0.5

    def respond(self, world: World, hemi: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
        features = world.of_kind(self.kind).values
        weights = self.spread * rng.standard_normal((features.shape[1], len(hemi)))
        weights[0] = 1
        return features @ weights, {"planted_kind": np.full(len(hemi), self.kind)}


@dataclass(frozen=True)
class Meaning:
    """Linear in the meaning of the caption: the sum of the vectors of its words.

    Word vectors are the same for everyone; how a unit reads them is the person's own.
    """

    n_dimensions: int = 16

    def respond(self, world: World, hemi: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
        meaning = world.words().values @ word_vectors(caption_words(), self.n_dimensions)
        return meaning @ rng.standard_normal((self.n_dimensions, len(hemi))), {}


@dataclass(frozen=True)
class Silent:
    """No response to anything: what it records is noise."""

    def respond(self, world: World, hemi: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
        return np.zeros((len(world), len(hemi))), {}


AREAS: dict[str, Area] = {
    "V1": Retinotopic(0.25, 0.10),
    "V2": Retinotopic(0.45, 0.22),
    "face area": Selective("face"),
    "house area": Selective("house"),
    "language area": Meaning(),
    "null area": Silent(),
}


def word_vectors(words: Sequence[str], n_dimensions: int = 16) -> np.ndarray:
    """A fixed vector for every word, (words, dimensions), entries normal with variance 1 / dimensions.

    Examples
    --------
    >>> bool((word_vectors(["red", "face"])[1] == word_vectors(["face"])[0]).all())
    True
    """
    rows = [np.random.default_rng(zlib.crc32(word.encode())).standard_normal(n_dimensions) for word in words]
    return np.stack(rows) / np.sqrt(n_dimensions)


def chosen_areas(areas: Sequence[str] | Mapping[str, Area] | None) -> dict[str, Area]:
    """Names of ``AREAS``, or a dict of one's own, as a dict; all of ``AREAS`` when None."""
    if areas is None:
        return dict(AREAS)
    if isinstance(areas, Mapping):
        found = dict(areas)
    elif not isinstance(areas, Iterable):
        raise TypeError(f"areas={areas!r}: expected names of areas ({', '.join(AREAS)}), or areas by name")
    else:
        names = [areas] if isinstance(areas, str) else list(areas)
        found = {name: lookup(AREAS, name, "areas") for name in names}
    if not found:
        raise ValueError(f"areas is empty; choose from {', '.join(AREAS)}")
    return found


def described(area: Area) -> dict[str, Any]:
    """An area in words and numbers that JSON can hold."""
    settings: dict[str, Any] = asdict(area) if is_dataclass(area) and not isinstance(area, type) else {}
    return {"sort": type(area).__name__.lower(), **settings}


def standardised(responses: np.ndarray) -> np.ndarray:
    """Each unit with mean 0 and variance 1 (``ddof=1``) over the scenes; a unit that never changes becomes 0."""
    centred = responses - responses.mean(0)
    scale = centred.std(0, ddof=1) if len(centred) > 1 else np.zeros(centred.shape[1])
    silent = scale <= 1e-12 * np.maximum(1, np.abs(responses).max(0, initial=0))
    return np.where(silent, 0.0, centred / np.where(silent, 1, scale))


def kind_contrast(noise_free: xr.DataArray, present: np.ndarray) -> np.ndarray:
    """Mean response to scenes with a kind of object minus without it, per unit."""
    values = noise_free.values
    return values[present].mean(0) - values[~present].mean(0)
