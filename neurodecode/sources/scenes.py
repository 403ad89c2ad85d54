"""A world of drawn scenes: pictures whose every attribute is known.

Each scene holds one to three objects of eight kinds (two of them, faces and houses, made of parts) in seven colours,
four textures and three sizes, at free positions over a textured background. A scene depends on the seed and its own
number alone, so the first hundred of a thousand scenes are the hundred scenes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from .._names import lookup
from .._numbers import whole
from ..representation import as_representation
from . import drawing

WORDS_LEFT_OUT = ("a", "and", "on", "of", "to", "the")


@dataclass(frozen=True, eq=False)
class World:
    """Drawn scenes with everything that is true of them.

    pictures : DataArray, dims (sample, row, column, channel), uint8; coords stimulus, sha256, category, caption.
    scenes : one row per scene: stimulus, sha256, category (kind of the main object), caption, n_objects,
        background, tint.
    objects : one row per object: stimulus, scene (position in ``scenes``), kind, colour, texture, size, diameter, x,
        y (degrees from the middle, x to the right, y upwards), column0, row0, column1, row1 (its box in pixels, ends
        excluded).
    field : side of the picture in degrees of visual angle.
    random_state : the seed it was drawn from.
    """

    pictures: xr.DataArray
    scenes: pd.DataFrame
    objects: pd.DataFrame
    field: float
    random_state: int

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, rows: slice | Sequence[int] | np.ndarray) -> World:
        """The world of some scenes, in the order given; ``rows`` is a slice, a mask or positions."""
        chosen = np.arange(len(self))[rows]
        if chosen.ndim != 1:
            raise TypeError("a world is indexed by a slice, a mask or a list of positions, not by one number")
        place = {int(old): new for new, old in enumerate(chosen)}
        objects = self.objects[self.objects["scene"].isin(place)]
        objects = objects.assign(scene=objects["scene"].map(place)).sort_values("scene", kind="stable")
        return World(
            self.pictures[chosen],
            self.scenes.iloc[chosen].reset_index(drop=True),
            objects.reset_index(drop=True),
            self.field,
            self.random_state,
        )

    @property
    def stimulus(self) -> np.ndarray:
        """Names of the scenes, ``(n,)``."""
        return self.scenes["stimulus"].to_numpy(dtype=str)

    @property
    def category(self) -> np.ndarray:
        """Kind of the main (largest) object of each scene, ``(n,)``."""
        return self.scenes["category"].to_numpy(dtype=str)

    @property
    def captions(self) -> list[str]:
        """One sentence per scene."""
        return self.scenes["caption"].tolist()

    def boxes(self, scene: int) -> pd.DataFrame:
        """The objects of one scene: kind, colour, texture, size and the box in pixels."""
        columns = ["kind", "colour", "texture", "size", "column0", "row0", "column1", "row1"]
        return self.objects.loc[self.objects["scene"] == scene, columns].reset_index(drop=True)

    def present(self, kind: str) -> np.ndarray:
        """Whether a scene holds an object of ``kind``, ``(n,)`` bool."""
        lookup(drawing.SHAPES, kind, "kind", callables=False)
        return np.bincount(self.objects.loc[self.objects["kind"] == kind, "scene"], minlength=len(self)) > 0

    def attributes(self) -> xr.DataArray:
        """How many objects of each kind, colour, texture and size a scene holds: sample x unit.

        Unit coords: ``space`` (kind, colour, texture, size) and ``attribute`` (``face``, ``red`` ...).
        """
        tables: dict[str, Iterable[str]] = {
            "kind": drawing.SHAPES,
            "colour": drawing.COLOURS,
            "texture": drawing.TEXTURES,
            "size": drawing.SIZES,
        }
        names = [(space, name) for space, table in tables.items() for name in table]
        counts = np.zeros((len(self), len(names)))
        for position, (space, name) in enumerate(names):
            rows = self.objects.loc[self.objects[space] == name, "scene"]
            counts[:, position] = np.bincount(rows, minlength=len(self))
        spaces, attributes = zip(*names)
        return self.features(counts, "attributes", space=spaces, attribute=attributes)

    def of_kind(self, kind: str) -> xr.DataArray:
        """The attributes of the objects of one kind, wherever they are: sample x unit, zero where there is none.

        Units (``attribute``): ``present`` (how many), ``log size`` (log of the diameter over 2 degrees), then colours
        and textures; each summed over the objects of that kind.
        """
        lookup(drawing.SHAPES, kind, "kind", callables=False)
        chosen = self.objects[self.objects["kind"] == kind]
        columns = {"present": np.ones(len(chosen)), "log size": np.log(chosen["diameter"].to_numpy() / 2)}
        columns |= {colour: (chosen["colour"] == colour).to_numpy(float) for colour in drawing.COLOURS}
        columns |= {texture: (chosen["texture"] == texture).to_numpy(float) for texture in drawing.TEXTURES}
        values = np.zeros((len(self), len(columns)))
        np.add.at(values, chosen["scene"].to_numpy(), np.stack(list(columns.values()), 1))
        return self.features(values, f"attributes of {kind}", attribute=list(columns))

    def words(self) -> xr.DataArray:
        """How often each word stands in a caption: sample x unit, unit coord ``word``; articles are left out."""
        vocabulary = caption_words()
        place = {word: position for position, word in enumerate(vocabulary)}
        counts = np.zeros((len(self), len(vocabulary)))
        for row, caption in enumerate(self.captions):
            for word in caption.replace(",", "").split():
                if word in place:
                    counts[row, place[word]] += 1
        return self.features(counts, "caption words", word=vocabulary)

    def features(self, values: np.ndarray, name: str, **unit: Sequence) -> xr.DataArray:
        """Label ``values`` (scenes x units) as features of this world; keywords become unit coordinates."""
        coords = {"space": [name] * values.shape[1], **unit}
        return as_representation(
            values,
            stimulus=self.stimulus,
            kind="features",
            unit={key: np.asarray(value) for key, value in coords.items()},
            sample={"sha256": self.scenes["sha256"].to_numpy(dtype=str), "category": self.category},
            attrs={"quantity": name, "units": "a.u.", "dataset": "simulated"},
        )


def scenes(
    n: int,
    *,
    size: int = 64,
    random_state: int = 0,
    objects: tuple[int, int] = (1, 3),
    kinds: Sequence[str] | None = None,
    field: float = 8.0,
) -> World:
    """Draw ``n`` scenes.

    Parameters
    ----------
    n : how many. The kind of the main (largest) object, ``category``, is balanced within every run of
        ``len(kinds)`` scenes; the other objects are of any kind.
    size : side of the picture in pixels, 16 or more.
    random_state : seed, a whole number. Scene ``i`` depends on it and on ``i`` alone, never on ``n``.
    objects : least and most objects in a scene. Objects keep clear of each other; one that finds no room is left out.
    kinds : names of the kinds that occur; all eight by default.
    field : side of the picture in degrees of visual angle.

    Returns
    -------
    A ``World``: pictures (sample, row, column, channel) uint8, captions, a table of objects with their boxes.

    Raises
    ------
    ValueError : a count, size or kind that cannot be drawn.

    Examples
    --------
    >>> world = scenes(3, random_state=1)
    >>> world.pictures.shape, str(world.pictures.dtype)
    ((3, 64, 64, 3), 'uint8')
    >>> bool((scenes(2, random_state=1).pictures == world[:2].pictures).all())
    True
    """
    kinds = tuple(drawing.SHAPES if kinds is None else kinds)
    _check(n, size, random_state, objects, kinds, field)
    pictures = np.empty((n, size, size, 3), dtype=np.uint8)
    about, things = [], []
    for index in range(n):
        pictures[index], scene, found = _scene(index, size, int(random_state), objects, kinds, float(field))
        about.append(scene | {"sha256": picture_hash(pictures[index])})
        things += [{"stimulus": scene["stimulus"], "scene": index, **row} for row in found]
    columns = ["stimulus", "sha256", "category", "caption", "n_objects", "background", "tint"]
    table = pd.DataFrame(about, columns=columns)
    labelled = xr.DataArray(
        pictures,
        dims=("sample", "row", "column", "channel"),
        coords={key: ("sample", table[key].to_numpy(dtype=str)) for key in columns[:4]},
        attrs={
            "kind": "pictures",
            "quantity": "sRGB",
            "units": "0 to 255",
            "range": [0, 255],
            "dataset": "simulated",
            "field_deg": float(field),
        },
    )
    return World(labelled, table, pd.DataFrame(things), float(field), int(random_state))


def picture_hash(pixels: np.ndarray) -> str:
    """sha256 of a picture: of its shape and its bytes."""
    text = "x".join(map(str, pixels.shape)).encode()
    return hashlib.sha256(text + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def caption_words() -> list[str]:
    """Every word that a caption can hold, articles left out, in a fixed order."""
    tables = (drawing.SIZES, drawing.TEXTURES, drawing.COLOURS, drawing.SHAPES, drawing.BACKGROUNDS)
    return [word for table in tables for word in table] + ["left", "right", "above", "below"]


def _check(n: int, size: int, seed: int, objects: tuple[int, int], kinds: tuple[str, ...], field: float) -> None:
    whole(n, "n", least=1)
    if whole(size, "size") < 16:
        raise ValueError(f"size={size}: a scene needs 16 pixels or more on a side")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(
            f"random_state={seed!r}: a scene depends on a seed and its number, so a whole number from 0 up is needed"
        )
    if not 1 <= objects[0] <= objects[1] <= 4:
        raise ValueError(f"objects={objects}: expected (least, most) with 1 <= least <= most <= 4")
    if not kinds:
        raise ValueError(f"kinds is empty; choose from {', '.join(drawing.SHAPES)}")
    for kind in kinds:
        lookup(drawing.SHAPES, kind, "kinds", callables=False)
    if not 6 <= field <= 20:
        raise ValueError(f"field={field}: the picture should span 6 to 20 degrees, objects are up to 3.3 degrees wide")


def _scene(
    index: int, size: int, seed: int, objects: tuple[int, int], kinds: tuple[str, ...], field: float
) -> tuple[np.ndarray, dict, list[dict]]:
    block = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, index // len(kinds))))
    category = kinds[int(block.permutation(len(kinds))[index % len(kinds)])]
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, index)))
    things = _things(rng, category, objects, kinds, field)
    ground, tint = _one(rng, drawing.BACKGROUNDS), _one(rng, drawing.TINTS)
    canvas = drawing.background(ground, tint, size, field, rng)
    rows = []
    for thing in things:
        box = drawing.paint(canvas, thing, field)
        rows.append(
            {
                "kind": thing.kind,
                "colour": thing.colour,
                "texture": thing.texture,
                "size": thing.size,
                "diameter": thing.diameter,
                "x": thing.x,
                "y": thing.y,
                **dict(zip(("column0", "row0", "column1", "row1"), box)),
            }
        )
    scene = {
        "stimulus": f"scene-{seed}-{index:05d}",
        "category": category,
        "caption": _caption(things, ground),
        "n_objects": len(things),
        "background": ground,
        "tint": tint,
    }
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8), scene, rows


def _things(
    rng: np.random.Generator, category: str, objects: tuple[int, int], kinds: tuple[str, ...], field: float
) -> list[drawing.Thing]:
    """Draw attributes, then places; largest first, and the largest is the main object."""
    n = int(rng.integers(objects[0], objects[1] + 1))
    sizes = [_one(rng, drawing.SIZES) for _ in range(n)]
    diameters = sorted([(float(rng.uniform(*drawing.SIZES[size])), size) for size in sizes], reverse=True)
    things: list[drawing.Thing] = []
    for position, (diameter, size) in enumerate(diameters):
        kind = category if position == 0 else kinds[int(rng.integers(len(kinds)))]
        upright = kind in drawing.MARKS
        look = {"colour": _one(rng, drawing.COLOURS), "texture": _one(rng, drawing.TEXTURES)}
        angle, grain = float(rng.uniform(-1, 1) * np.radians(8 if upright else 22)), float(rng.uniform(0, np.pi))
        reach = field / 2 - 1.05 * diameter / 2
        for x, y in rng.uniform(-reach, reach, (40, 2)):
            if all(np.hypot(x - o.x, y - o.y) > 1.02 * (diameter / 2 + o.radius) for o in things):
                things.append(
                    drawing.Thing(
                        kind, look["colour"], look["texture"], size, diameter, float(x), float(y), angle, grain
                    )
                )
                break
    return things


def _one(rng: np.random.Generator, table: dict) -> str:
    return list(table)[int(rng.integers(len(table)))]


def _caption(things: list[drawing.Thing], ground: str) -> str:
    """``a large striped red star above a small plain blue circle on clouds``."""
    nouns = [f"a {thing.size} {thing.texture} {thing.colour} {thing.kind}" for thing in things]
    parts = [f"{_where(things[0], other)} {noun}" for other, noun in zip(things[1:], nouns[1:])]
    return " ".join([nouns[0], *([" and ".join(parts)] if parts else []), "on", ground])


def _where(thing: drawing.Thing, other: drawing.Thing) -> str:
    dx, dy = thing.x - other.x, thing.y - other.y
    if abs(dx) >= abs(dy):
        return "left of" if dx < 0 else "right of"
    return "below" if dy < 0 else "above"
