"""Where areas look: the peak is where the weight is, fields stand in degrees, gains are what the test says."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from neurodecode.reporting import attended
from neurodecode.reporting.document import page
from neurodecode.reporting.shown import SHOWS, drawer


def by_gid(ax, gid):
    return [artist for artist in ax.get_children() if artist.get_gid() == gid]


def attention(n=3, side=4, pixels=32, places=((0, 3), (2, 1))):
    """Areas that look at one place each, the same in all pictures, and one that looks everywhere."""
    weights = np.full((n, 3, side * side), 0.5 / (side * side - 1))
    for query, (row, col) in enumerate(places):
        weights[:, query, row * side + col] = 0.5
    weights[:, 2] = 1 / side**2
    row, col = np.divmod(np.arange(side * side), side)
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "picture": (
                ("sample", "down", "across", "channel"),
                rng.integers(0, 255, (n, pixels, pixels, 3), np.uint8),
            ),
            "attention": (("sample", "query", "token"), weights),
            "drop": ("query", [0.3, 0.2, 0.0]),
            "drop_random": ("query", [0.01, 0.0, 0.0]),
        },
        {"query": ["faces", "houses", "even"], "row": ("token", row), "col": ("token", col)},
        {"shows": "attention", "share": 0.1},
    )


def gains(**changed):
    found = {
        "difference": [[0.02, 0.3, -0.2], [0.1, 0.2, 0.0]],
        "low": [[-0.1, 0.2, -0.3], [0.0, 0.1, -0.1]],
        "high": [[0.12, 0.4, -0.1], [0.2, 0.3, 0.1]],
        "p_fdr": [[0.6, 0.001, 0.01], [0.04, 0.02, 0.9]],
        "room": [[0.5, 0.6, 0.1], [0.6, 0.5, np.nan]],
        **changed,
    }
    variables = {key: (("rival", "area"), np.array(values)) for key, values in found.items()}
    variables["score"] = ("area", [0.4, 0.5, 0.3])
    variables["verdict"] = ("area", ["undecided", "content", "place"])
    coords = {"rival": ["ridge", "mean"], "area": ["LOC", "FFA", "V1"]}
    return xr.Dataset(variables, coords, {"shows": "gain", "model": "routed", "score": "r", "n_folds": 6})


def fields():
    return xr.Dataset(
        {"x": ("unit", [2.0, -1.0, np.nan]), "y": ("unit", [1.0, 0.0, 0.0]), "size": ("unit", [0.5, 1.0, 1.0])},
        {"roi": ("unit", ["V1", "V1", "V2"]), "hemi": ("unit", ["left", "right", "left"])},
        {"shows": "fields", "field": 8.0},
    )


def maps():
    node = attention()
    return xr.Dataset({"map": node["attention"][0]}, node.coords, {"shows": "fields"})


class TestAttention:
    def test_the_ring_is_where_the_weight_is(self):
        ax = attended.attention_on_pictures(attention())
        assert [inset.get_gid() for inset in ax.child_axes[:4]] == ["faces:0", "faces:1", "faces:2", "houses:0"]
        for inset, (row, col) in ((ax.child_axes[0], (0, 3)), (ax.child_axes[3], (2, 1))):
            ring = by_gid(inset, "peak")[0]
            assert (ring.get_xdata()[0], ring.get_ydata()[0]) == ((col + 0.5) * 8, (row + 0.5) * 8)

    def test_a_class_token_moves_no_place(self):
        plain = attention()
        row, col = (np.append(np.nan, plain[name].values) for name in ("row", "col"))
        weights = np.concatenate([np.full((3, 3, 1), 0.9), plain["attention"].values], axis=2)
        node = plain.drop_dims("token").assign(attention=(("sample", "query", "token"), weights))
        node = node.assign_coords(row=("token", row), col=("token", col))
        ring = by_gid(attended.attention_on_pictures(node).child_axes[0], "peak")[0]
        assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (3.5 * 8, 0.5 * 8)
        (picture,) = attended.attention_pictures("attention", node)
        assert "1 token without a place" in picture.caption

    def test_tokens_that_are_no_square_need_places(self):
        node = attention().drop_vars(["row", "col"]).isel(token=slice(15))
        with pytest.raises(ValueError, match=r"15 tokens are no square grid.*grid_row"):
            attended.attention_on_pictures(node)

    def test_a_missing_picture_is_grey_and_counted(self):
        node = attention()
        node["picture"] = node["picture"] / 255.0
        node["picture"][1] = np.nan
        ax = attended.attention_on_pictures(node)
        assert np.ptp(ax.child_axes[1].images[0].get_array()) == 0 < np.ptp(ax.child_axes[0].images[0].get_array())
        (picture,) = attended.attention_pictures("attention", node)
        assert "Grey: 1 picture missing" in picture.caption

    def test_nothing_to_draw_is_said(self):
        node = attention()
        with pytest.raises(ValueError, match="no 'picture'"):
            attended.attention_on_pictures(node.drop_vars("picture"))
        node["attention"][:] = np.nan
        with pytest.raises(ValueError, match="nothing to draw"):
            attended.attention_on_pictures(node)
        assert "No area has attention" in attended.attention_pictures("attention", node)[0]

    def test_even_attention_leaves_the_picture_grey(self):
        ax = attended.attention_on_pictures(attention())
        peaked, even = ax.child_axes[0].images[1], ax.child_axes[6].images[1]
        colour = [image.cmap(image.norm(image.get_array().max())) for image in (peaked, even)]
        assert colour[0][3] > 0.5 and colour[1][3] == 0
        assert peaked.norm.vmax == even.norm.vmax

    def test_tokens_may_come_in_any_order(self):
        node = attention()
        order = np.random.default_rng(1).permutation(16)
        first, second = (attended.attention_on_pictures(one) for one in (node, node.isel(token=order)))
        np.testing.assert_allclose(
            first.child_axes[0].images[1].get_array(), second.child_axes[0].images[1].get_array()
        )

    def test_the_drop_stands_beside_the_name(self):
        said = [text.get_text() for text in attended.attention_on_pictures(attention()).texts]
        assert "masked −0.30\nas many random −0.01" in said and "houses" in said

    def test_an_area_without_attention_is_left_out_and_counted(self):
        node = attention()
        node["attention"][:, 1] = np.nan
        (picture,) = attended.attention_pictures("attention", node)
        assert "1 of 3 areas is not drawn" in picture.caption and "houses" not in picture.alt


class TestFields:
    def test_circles_stand_in_degrees(self):
        ax = attended.receptive_fields(fields())
        first, second = ax.child_axes
        assert [circle.center for circle in first.patches] == [(2.0, 1.0), (-1.0, 0.0)]
        assert [circle.radius for circle in first.patches] == [0.5, 1.0]
        assert not second.patches, "a unit without a field is not drawn"
        assert first.get_xlim() == (-4, 4)

    def test_a_map_is_drawn_in_even_shares(self):
        image = attended.receptive_fields(maps()).child_axes[0].images[0].get_array()
        assert image[0, 3] == pytest.approx(8) and image.mean() == pytest.approx(1)

    def test_neither_is_refused(self):
        with pytest.raises(ValueError, match="'map'"):
            attended.receptive_fields(xr.Dataset())


class TestGains:
    def test_rows_are_sorted_and_dots_are_differences(self):
        ax = attended.gain_by_area(gains())
        assert [label.get_text() for label in ax.get_yticklabels()] == ["FFA", "LOC", "V1"]
        sure, unsure = by_gid(ax, "gain:ridge")
        np.testing.assert_allclose(sure.get_xdata(), [0.3, -0.2])
        np.testing.assert_allclose(unsure.get_xdata(), [0.02])
        assert unsure.get_markerfacecolor() != sure.get_markerfacecolor()
        assert by_gid(ax, "zero")[0].get_xdata()[0] == 0

    def test_the_ceiling_is_room_above_the_rival_and_inside_the_axes(self):
        ax = attended.gain_by_area(gains())
        rooms = sorted(line.get_segments()[0][0, 0] for line in by_gid(ax, "room"))
        np.testing.assert_allclose(rooms, [0.1, 0.5, 0.5, 0.6, 0.6])
        assert ax.get_xlim()[1] > 0.6

    def test_the_table_says_what_the_test_called_it(self):
        _, table = attended.gain_pictures("gains", gains())
        assert "content" in table and "+0.30" in table and "−0.20" in table

    def test_without_a_ceiling_it_says_so(self):
        node = gains(room=np.full((2, 3), np.nan))
        picture, _ = attended.gain_pictures("gains", node)
        assert "Ceiling n/a" in picture.caption and "reach the noise ceiling" not in picture.caption
        assert not by_gid(attended.gain_by_area(node), "room")

    def test_areas_without_a_score_are_named_and_of_many_areas_one_rival_is_drawn(self):
        node = gains()
        node["difference"][:, 0] = np.nan
        picture, table = attended.gain_pictures("gains", node)
        assert "without a row: LOC" in picture.caption and "LOC" not in table
        assert len(attended.gain_by_area(node).get_yticklabels()) == 2
        many = xr.concat([gains().assign_coords(area=[f"{name} {n}" for name in "abc"]) for n in range(8)], "area")
        picture, table = attended.gain_pictures("gains", many)
        assert "Over mean: in the table" in picture.caption and "over mean" in table
        assert not by_gid(attended.gain_by_area(many), "gain:mean")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("compact", [False, True])
def test_every_kind_is_drawn_in_every_variant(theme, compact):
    for node, draw in (
        (attention(), attended.attention_on_pictures),
        (maps(), attended.receptive_fields),
        (fields(), attended.receptive_fields),
        (gains(), attended.gain_by_area),
    ):
        drawn = draw(node, theme=theme, compact=compact).figure
        drawn.draw_without_rendering()
        assert drawn.get_size_inches()[0] > 2 and drawn.findobj()


def test_a_page_shows_them(tmp_path):
    nodes = {"attention": attention(), "maps": maps(), "fields": fields(), "gains": gains()}
    assert all(drawer(node.attrs["shows"]) and node.attrs["shows"] in SHOWS for node in nodes.values())
    tree = xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs={"question": "Where?"}), **{f"/{k}": v for k, v in nodes.items()}}
    )
    text = page(tree, tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("<figure") == 4 and "p(FDR)" in text
