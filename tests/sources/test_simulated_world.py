"""The drawn world: scenes do not depend on how many there are, captions and boxes say what is there."""

from __future__ import annotations

import numpy as np
import pytest
from references.simulated import slow_energy

from neurodecode.sources import drawing, simulated


@pytest.fixture(scope="module")
def world():
    return simulated.scenes(64, random_state=11)


def test_pictures_are_labelled_and_coloured(world):
    pictures = world.pictures
    assert pictures.dims == ("sample", "row", "column", "channel")
    assert pictures.dtype == np.uint8
    assert pictures.shape == (64, 64, 64, 3)
    assert len(set(pictures["stimulus"].values.tolist())) == 64
    assert len(set(pictures["sha256"].values.tolist())) == 64
    assert pictures.values.reshape(64, -1).std(1).min() > 5


def test_a_scene_depends_on_seed_and_number_alone(world):
    few = simulated.scenes(10, random_state=11)
    assert (few.pictures.values == world.pictures.values[:10]).all()
    assert few.captions == world.captions[:10]
    assert few.objects.equals(world[:10].objects)
    other = simulated.scenes(10, random_state=12)
    assert not (other.pictures.values == few.pictures.values).all((1, 2, 3)).any()


def test_a_selected_world_keeps_its_parts_together(world):
    chosen = world[[5, 2, 40]]
    assert chosen.stimulus.tolist() == [world.stimulus[i] for i in (5, 2, 40)]
    assert (chosen.pictures["stimulus"].values == chosen.stimulus).all()
    for new, old in enumerate((5, 2, 40)):
        assert chosen.boxes(new).equals(world.boxes(old))
    assert len(world[world.present("face")]) == world.present("face").sum()
    with pytest.raises(TypeError, match="slice"):
        world[3]


def test_categories_are_balanced_and_name_the_largest_object(world):
    _, counts = np.unique(world.category, return_counts=True)
    assert counts.tolist() == [8] * 8
    largest = world.objects.sort_values("diameter", ascending=False).groupby("scene")["kind"].first()
    assert largest.sort_index().tolist() == world.category.tolist()


def test_captions_name_every_object_and_where_it_is(world):
    for scene, caption in enumerate(world.captions):
        rows = world.objects[world.objects["scene"] == scene]
        for row in rows.itertuples():
            assert f"a {row.size} {row.texture} {row.colour} {row.kind}" in caption
        assert caption.endswith(f"on {world.scenes['background'][scene]}")
        if len(rows) == 2:
            main, other = rows.iloc[0], rows.iloc[1]
            dx, dy = main["x"] - other["x"], main["y"] - other["y"]
            expected = ("right of" if dx > 0 else "left of") if abs(dx) >= abs(dy) else "above" if dy > 0 else "below"
            assert f" {main['kind']} {expected} a " in caption


@pytest.mark.parametrize("kind", list(drawing.SHAPES))
def test_a_box_holds_its_object(kind):
    """Paint on white: what is not white lies in the box, and touches all its sides."""
    size, field = 64, 8.0
    canvas = np.full((size, size, 3), 255.0)
    thing = drawing.Thing(kind, "blue", "plain", "large", 3.0, 1.2, -0.7, 0.2, 0.0)
    column0, row0, column1, row1 = drawing.paint(canvas, thing, field)
    ink = (canvas.min(2) < 200) & (canvas.min(2) >= 0)
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    assert abs(rows[0] - row0) <= 1 and abs(rows[-1] + 1 - row1) <= 1
    assert abs(columns[0] - column0) <= 1 and abs(columns[-1] + 1 - column1) <= 1
    middle = (column0 + column1) / 2 * field / size - field / 2, field / 2 - (row0 + row1) / 2 * field / size
    assert np.hypot(middle[0] - 1.2, middle[1] + 0.7) < 0.5


def test_edges_are_smooth():
    canvas = np.zeros((64, 64, 3))
    drawing.paint(canvas, drawing.Thing("circle", "yellow", "plain", "large", 3.0, 0, 0, 0, 0), 8.0)
    edge = canvas[25, :, 0]
    assert ((edge > 0) & (edge < edge.max() * 0.55)).any()


def test_attributes_count_what_the_table_lists(world):
    attributes = world.attributes()
    for space in ("kind", "colour", "texture", "size"):
        columns = attributes["space"].values == space
        assert (attributes.values[:, columns].sum(1) == world.scenes["n_objects"]).all()
    face = attributes.values[:, attributes["attribute"].values == "face"][:, 0]
    assert ((face > 0) == world.present("face")).all()
    of_face = world.of_kind("face")
    assert (of_face.values[:, 0] == face).all()
    assert (of_face.values[~world.present("face")] == 0).all()


def test_words_are_counted(world):
    words = world.words()
    names = words["word"].values.tolist()
    row = words.values[0]
    for position, name in enumerate(names):
        assert row[position] == world.captions[0].split().count(name)
    assert "a" not in names and row.sum() >= 5


def test_energy_is_that_of_gabors_in_space(world):
    """Oracle: convolution with explicit sine and cosine Gabors, away from the border."""
    pictures = world.pictures[:2]
    maps = simulated.energy(pictures, size=64)
    grey = pictures.values[1] @ np.array([0.2126, 0.7152, 0.0722]) / 255
    for channel in (1, 4, 7):
        orientation, frequency = float(maps["orientation"][channel]), float(maps["frequency"][channel])
        slow = slow_energy(grey - grey.mean(), orientation, frequency, 8 / 64)
        inner = slice(22, 42)
        fast = maps.values[1, channel, inner, inner]
        assert np.allclose(fast, slow[inner, inner], atol=0.02 * slow.max())


def test_energy_prefers_its_orientation_and_frequency():
    x = drawing.axis(64, 8.0)
    across = np.sin(2 * np.pi * 1.5 * (-x[None, :] * np.sin(np.pi / 4) + -x[:, None] * np.cos(np.pi / 4)))
    grating = np.repeat((128 + 100 * across)[None, :, :, None], 3, 3).astype(np.uint8)
    pictures = simulated.scenes(1).pictures.copy(data=grating)
    maps = simulated.energy(pictures)
    best = int(maps.values[0, :, 8:24, 8:24].mean((1, 2)).argmax())
    assert (float(maps["orientation"][best]), float(maps["frequency"][best])) == (45.0, 1.5)


def test_pools_sit_where_they_are_put():
    weights = simulated.pools([2.0], [1.0], [0.5], size=32, field=8.0)[0].reshape(32, 32)
    centres = (np.arange(32) + 0.5) / 4 - 4
    assert weights.sum() == pytest.approx(1)
    assert (weights.sum(0) @ centres, weights.sum(1) @ -centres) == pytest.approx((2.0, 1.0), abs=0.01)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": 0}, "n=0: expected a whole number, 1 or more"),
        ({"n": 1, "size": 8}, "16 pixels"),
        ({"n": 1, "random_state": None}, "seed"),
        ({"n": 1, "objects": (2, 1)}, "least, most"),
        ({"n": 1, "kinds": ["faec"]}, "face"),
        ({"n": 1, "kinds": []}, "empty"),
        ({"n": 1, "field": 2.0}, "degrees"),
    ],
)
def test_what_cannot_be_drawn_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        simulated.scenes(**settings)


def test_energy_refuses_pictures_without_degrees_or_too_coarse(world):
    bare = world.pictures[:1].copy()
    bare.attrs = {}
    with pytest.raises(ValueError, match="field_deg"):
        simulated.energy(bare)
    with pytest.raises(ValueError, match="divide"):
        simulated.energy(world.pictures[:1], size=24)
    with pytest.raises(ValueError, match="48 pixels"):
        simulated.energy(simulated.scenes(1, size=32).pictures)
