"""SVG drawings in few bytes: everything that can be seen is still there, at its place."""

from __future__ import annotations

import base64
import io
import re
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from neurodecode.reporting.pictures import Picture, render
from neurodecode.reporting.style import LIGHT
from neurodecode.reporting.vectors import address_of, slim

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"


def drawn(draw, size=(5, 4)):
    content = render(Picture(lambda ax, theme, compact: draw(ax), "a", "b", size), LIGHT).content
    return ElementTree.fromstring(content), len(content)


def matrix_of(n=40, symmetric=True, seed=0):
    values = np.random.default_rng(seed).normal(size=(n, n))
    return values + values.T if symmetric else values


def held(root):
    """The only image of a drawing, as pixels, and what places it."""
    (image,) = [one for one in root.iter(f"{SVG}image") if "base64" in one.get(LINK, one.get("href", ""))]
    pixels = Image.open(io.BytesIO(base64.b64decode(image.get(LINK).split(",")[1])))
    return np.asarray(pixels.convert("RGBA")), image


def test_a_symmetric_matrix_is_held_half_and_drawn_whole():
    look = {"interpolation": "none"}
    root, few = drawn(lambda ax: ax.imshow(np.round(matrix_of(60) * 20), **look))
    whole, many = drawn(lambda ax: ax.imshow(np.round(matrix_of(60, symmetric=False) * 20), **look))
    assert few < 0.85 * many
    pixels, _ = held(root)
    under = np.tri(60, k=-1, dtype=bool)
    assert not pixels[under].any() and (pixels[~under][:, 3] == 255).all()
    straight, mirrored = [one for one in root.iter(f"{SVG}use") if "matrix" in one.get("transform", "")]
    a, b, c, d, e, f = map(float, re.findall(r"[-\d.]+", straight.get("transform")))
    assert list(map(float, re.findall(r"[-\d.]+", mirrored.get("transform")))) == [c, d, a, b, e, f]
    assert straight.get("href") == mirrored.get("href")
    full = np.where(under[..., None], pixels.swapaxes(0, 1), pixels).astype(float)
    assert (
        np.array_equal(full, full.swapaxes(0, 1))
        and np.corrcoef(full[..., 1].ravel(), matrix_of(60).ravel())[0, 1] > 0.9
    )
    everything, image = held(whole)
    assert (everything[..., 3] == 255).all() and image.get("transform"), "one that is not symmetric is held as it is"


def test_a_matrix_of_many_rows_fills_its_place():
    root, _ = drawn(
        lambda ax: ax.imshow(matrix_of(190, symmetric=False), aspect="auto", interpolation="none"), size=(3.37, 3.13)
    )
    image = next(root.iter(f"{SVG}image"))
    scale = float(re.match(r"matrix\(([-\d.]+)", image.get("transform"))[1])
    box = next(one for one in root.iter(f"{SVG}rect") if float(one.get("width")) < 243)
    assert scale * float(image.get("width")) == pytest.approx(float(box.get("width")), abs=0.05)


def test_many_points_become_one_path_with_a_marker():
    x, y = np.random.default_rng(1).uniform(size=(2, 60))
    root, size = drawn(lambda ax: ax.plot(x, y, "o", color="#123456", mec="#fedcba", ms=5))
    (marker,) = root.iter(f"{SVG}marker")
    path = next(one for one in root.iter(f"{SVG}path") if "marker-mid" in one.attrib)
    assert path.get("marker-start") == path.get("marker-end") == f"url(#{marker.get('id')})"
    places = np.array([point.split() for point in path.get("d")[1:].split("L")], dtype=float)
    assert places.shape == (60, 2)
    assert np.corrcoef(places[:, 0], x)[0, 1] > 0.9999 and np.corrcoef(places[:, 1], -y)[0, 1] > 0.9999
    style = root.find(f"{SVG}style").text
    shape = marker.find(f"{SVG}path")
    rule = re.search(rf"\.{shape.get('class')}{{([^}}]*)}}", style)[1]
    assert "fill:#123456" in rule and rule.rindex("stroke:#fedcba") > 0, "the point and the line around it"
    assert size < 7000
    few, _ = drawn(lambda ax: ax.plot(x[:3], y[:3], "o"))
    assert not list(few.iter(f"{SVG}marker")) and len(list(few.iter(f"{SVG}use"))) > 3


def test_words_colours_and_turned_labels_are_kept_and_nothing_is_said_twice():
    def draw(ax):
        for at in range(12):
            ax.text(0.1, at, f'row {at} <&> "it\'s"', color="#ab12cd", parse_math=False)
        ax.set_ylabel("a turned label in /home/alice/x.nii")
        ax.axhline(3, color="#00aa55", ls=":")

    root, size = drawn(draw)
    words = [one.text for one in root.iter(f"{SVG}text")]
    assert [f'row {at} <&> "it\'s"' in words for at in range(12)] == [True] * 12
    turned = next(one for one in root.iter(f"{SVG}text") if "label" in one.text)
    assert turned.text == "a turned label in x.nii" and "rotate(-90" in turned.get("transform")
    text = ElementTree.tostring(root, encoding="unicode")
    assert text.count("#ab12cd") == 1 and text.count("#00aa55") == 1 and text.count("system-ui") == 1
    assert "rotate(-0" not in text and "<metadata" not in text and "style=" not in text
    ids = [one.get("id") for one in root.iter() if one.get("id")]
    assert len(ids) == len(set(ids)), "an id stands once"
    assert all(f"#{name}" in text for name in ids), "and is there because something points to it"
    assert size < 9000


def test_an_address_gives_the_same_drawing_and_may_stand_in_a_list_of_addresses():
    svg = slim(
        '<svg xmlns="http://www.w3.org/2000/svg"><text style="fill: #123">a "b" \u2212 c, 50 % &amp; d</text></svg>'
    )
    address = address_of(svg)
    assert unquote(address.split(",", 1)[1]) == svg
    assert not set(address) & set(' "<>#&\n') and not address.endswith(",")
    assert len(address) < len(base64.b64encode(svg.encode())) + 20 or len(svg) < 400
