"""Scalp maps: the right value at the right place, left is left, one scale, and what is refused."""

from __future__ import annotations

import mne
import numpy as np
import pytest
import xarray as xr

from neurodecode.exceptions import AlignmentError
from neurodecode.reporting import gallery, page
from neurodecode.reporting import topographies as scalp

NAMES = ["Fz", "Cz", "Pz", "Oz", "C3", "C4", "P7", "P8", "F7", "F8"]


def channels():
    found = mne.channels.make_standard_montage("standard_1005").get_positions()["ch_pos"]
    place = np.stack([found[name] for name in NAMES])
    return {"channel": ("unit", NAMES)} | {axis: ("unit", place[:, k]) for k, axis in enumerate("xyz")}


def one(at="C3", size=1.0, name="difference", units="V"):
    values = np.array([size * (channel == at) for channel in NAMES])
    return xr.Dataset({name: ("unit", values, {"units": units})}, channels())


def peak(ax):
    """Where the largest value of a map lies: (across, up), metres from the middle of the head."""
    image = ax.images[0]
    values = np.ma.filled(np.ma.masked_invalid(image.get_array()), -np.inf)
    row, column = np.unravel_index(np.argmax(values), values.shape)
    left, right, bottom, top = image.get_extent()
    return left + (right - left) * column / values.shape[1], bottom + (top - bottom) * row / values.shape[0]


@pytest.mark.parametrize(("channel", "across", "up"), [("C3", -1, 0), ("C4", 1, 0), ("Fz", 0, 1), ("Oz", 0, -1)])
def test_left_is_left_and_the_nose_is_up(channel, across, up):
    x, y = peak(scalp.topographies(one(channel)).child_axes[0])
    # Within 2 cm of the midline counts as on it.
    assert [int(np.sign(part) * (abs(part) > 0.02)) for part in (x, y)] == [across, up]


def test_scale_is_symmetric_and_in_microvolts():
    ax = scalp.topographies(one(size=-3e-6))
    low, high = ax.child_axes[0].images[0].get_clim()
    assert low == pytest.approx(-3) and high == pytest.approx(3)
    assert "µV" in next(axes.get_xlabel() for axes in ax.figure.axes if axes is not ax)


def test_scores_are_centred_on_chance():
    result = one("Pz", name="score").assign_attrs(score="auc", chance=0.5)
    result["score"] = result["score"] * 0.3 + 0.6
    low, high = scalp.topographies(result).child_axes[0].images[0].get_clim()
    assert (low + high) / 2 == pytest.approx(0.5) and high == pytest.approx(0.9)


def test_components_side_by_side():
    values = np.random.default_rng(0).normal(size=(4, len(NAMES)))
    result = xr.Dataset(
        {"pattern": (("component", "unit"), values), "filter": (("component", "unit"), values)},
        channels() | {"component_of": ("component", list("abab"))},
    )
    assert scalp.main_variable(result) == "pattern" and scalp.has_topography(result, "pattern")
    ax = scalp.topographies(result)
    assert [inset.get_title() for inset in ax.child_axes] == ["1: a", "2: b", "3: a", "4: b"]
    assert len(scalp.topographies(result, "filter", at=[2]).child_axes) == 1


def test_times_around_the_largest():
    values = np.zeros((len(NAMES), 20))
    values[2, 11] = 5e-6
    result = xr.Dataset({"difference": (("unit", "time"), values, {"units": "V"})}, channels())
    result = result.assign_coords(time=np.arange(20) / 20)
    titles = [inset.get_title() for inset in scalp.topographies(result).child_axes]
    assert len(titles) == 6 and "550 ms" in titles
    assert [inset.get_title() for inset in scalp.topographies(result, at=[0.1, 0.3]).child_axes] == ["100 ms", "300 ms"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("compact", [False, True])
def test_it_can_be_rendered(theme, compact, tmp_path):
    ax = scalp.topographies(one(), theme=theme, compact=compact)
    ax.figure.savefig(tmp_path / "map.svg")
    assert (tmp_path / "map.svg").stat().st_size > 5000


def test_channels_without_a_place_are_left_out_and_counted():
    result = one()
    result["x"] = ("unit", np.where(result["channel"].values == "F8", np.nan, result["x"].values))
    ax = scalp.topographies(result)
    assert "1 channel without a place left out" in [text.get_text() for text in ax.texts]


def test_low_electrodes_stay_inside_the_head():
    low = channels()
    for axis, value in zip("xyz", (-0.086, -0.016, -0.048)):  # T9
        low[axis][1][NAMES.index("C3")] = value
    result = xr.Dataset({"difference": ("unit", np.arange(len(NAMES)) * 1e-6, {"units": "V"})}, low)
    places = scalp._flat(scalp._xyz(result))
    assert np.linalg.norm(places, axis=1).max() < scalp.RADIUS
    assert np.linalg.norm(places[NAMES.index("C3")]) == np.linalg.norm(places, axis=1).max()


def test_a_head_that_lies_elsewhere_gives_the_same_map():
    here = scalp._xyz(one())
    np.testing.assert_allclose(scalp._flat(here + np.array([0.002, 0.03, 0.045])), scalp._flat(here), atol=1e-9)


def test_a_page_shows_patterns_and_scores_of_channels(tmp_path):
    score = one(name="score").assign_attrs(score="auc", chance=0.5, question="Where?")
    scalps = one(name="pattern").expand_dims(component=3)
    scalps["difference"] = (("unit", "time"), np.eye(len(NAMES)) * 1e-6, {"units": "V", "long_name": "odd less even"})
    scalps = scalps.assign_coords(time=np.arange(len(NAMES)) / 10).assign_attrs(
        shows="topography", title="On the scalp"
    )
    text = page(xr.DataTree.from_dict({"where": score, "maps": scalps}), tmp_path / "page.html").read_text("utf-8")
    assert text.count("Scalp maps of ") == 3 * 2, "of each, a light and a dark picture"
    assert "On the scalp" in text and "Odd less even. Seen from above, nose up, left is left" in text
    assert "furthest from 0.5: largest at" in text and "Scalp maps of area under the ROC curve, 10 channels" in text
    assert [picture.caption.split(".")[0] for picture in gallery.scalp_pictures("maps", scalps)][1] == "Odd less even"


def test_what_is_refused():
    with pytest.raises(AlignmentError, match="scalp map needs"):
        scalp.topographies(one().drop_vars("x"))
    assert not scalp.has_topography(one().isel(unit=slice(3)))
    millimetres = one().assign_coords({axis: ("unit", channels()[axis][1] * 1000) for axis in "xyz"})
    assert not scalp.has_topography(millimetres), "a volume, in millimetres"
    with pytest.raises(ValueError, match="no variable"):
        scalp.topographies(one(), "height")
    with pytest.raises(ValueError, match="no pattern"):
        scalp.main_variable(one(name="height"))
    with pytest.raises(ValueError, match="expected unit"):
        scalp.topographies(one().expand_dims(fold=2))
