"""Pictures of dissimilarities, grids, matched units and compared models: what is drawn is what the result says."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from neurodecode.reporting import alignments, comparisons, dissimilarities, embeddings, page
from neurodecode.reporting.pictures import Picture, render
from neurodecode.reporting.shown import drawer
from neurodecode.reporting.style import DARK, LIGHT
from neurodecode.similarity import as_rdm, compare_grid, compare_models, embed, match_units

KINDS = ("face", "house", "tool")


def planted(n=12, people=None, seed=0, noise=0.2):
    """Three kinds in mixed order: alike within, not between."""
    rng = np.random.default_rng(seed)
    kind = np.resize(KINDS, n)
    pairs = np.triu_indices(n, 1)
    true = np.where(kind[pairs[0]] == kind[pairs[1]], 0.3, 1.0)
    shape = (people, len(true)) if people else len(true)
    values = true + noise * rng.random(shape)
    return as_rdm(
        values, stimulus=[f"s{at:02d}" for at in range(n)], coords={"kind": kind}, attrs={"metric": "correlation"}
    )


def compared(n_models=4, seed=0, people=8, **settings):
    """Models that hold less and less of what the people share."""
    rng = np.random.default_rng(seed)
    R = planted(people=people, seed=seed, noise=0.6)
    true = planted(noise=0).values[np.triu_indices(12, 1)]
    shares = np.linspace(1, 0, n_models)
    models = {
        f"model {at}": as_rdm(share * true + (1 - share) * rng.random(66), stimulus=R["stimulus"].values)
        for at, share in enumerate(shares)
    }
    return compare_models(models, R, n_bootstrap=0, random_state=0, **settings)


def by_gid(ax, gid):
    return [one for one in [*ax.lines, *ax.patches, *ax.collections] if one.get_gid() == gid]


class Found(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.images, self.text, self.source = [], "", path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_data(self, data):
        self.text += data


# Matrices


def test_a_matrix_is_sorted_into_named_blocks():
    R = planted()
    ax = dissimilarities.rdm(R, by="kind")
    shown = ax.images[0].get_array()
    order = np.argsort([KINDS.index(kind) for kind in R["kind"].values], kind="stable")
    expected = R.values[np.ix_(order, order)]
    off = ~np.eye(12, dtype=bool)
    np.testing.assert_array_equal(shown.data[off], expected[off])
    assert shown.mask[~off].all(), "the diagonal is no dissimilarity"
    assert [label.get_text() for label in ax.get_yticklabels()] == list(KINDS)
    np.testing.assert_allclose(ax.get_yticks(), [1.5, 5.5, 9.5])
    assert sorted(line.get_ydata()[0] for line in by_gid(ax, "block") if line.get_xdata()[0] == 0) == [3.5, 7.5]
    (bar,) = [other for other in ax.figure.axes if other is not ax]
    assert bar.get_ylabel() == "1 − Pearson r"


def test_percentiles_do_not_depend_on_the_scale():
    R = planted()
    one, two = (dissimilarities.rdm(which, percentile=True).images[0].get_array() for which in (R, 5 * R**3))
    np.testing.assert_allclose(one.compressed(), two.compressed())
    assert one.min() == 0 and one.max() == 100


def test_several_matrices_share_a_scale_and_are_named():
    R = planted(people=5)
    ax = dissimilarities.rdm(R, by="kind")
    assert [inner.get_title() for inner in ax.child_axes] == list(R["subject"].values)
    assert len({inner.images[0].get_clim() for inner in ax.child_axes}) == 1
    assert [bool(inner.get_yticks().size) for inner in ax.child_axes] == [True, False, False, True, False]


def test_pairs_that_were_not_measured_stay_empty():
    values = planted().values.copy()
    values[0, 1] = values[1, 0] = np.nan
    R = as_rdm(values, stimulus=range(12), missing="keep")
    assert dissimilarities.rdm(R).images[0].get_array().mask[0, 1]
    with pytest.raises(ValueError, match="nothing to draw"):
        dissimilarities.rdm(as_rdm(np.full((3, 3), np.nan), stimulus=range(3), missing="keep"))


def test_what_is_no_matrix_or_no_coordinate_is_named():
    with pytest.raises(ValueError, match="no coordinate 'colour'; they have kind"):
        dissimilarities.rdm(planted(), by="colour")
    with pytest.raises(ValueError, match="no dissimilarities here"):
        dissimilarities.rdm(xr.Dataset())
    with pytest.raises(ValueError, match="at most one"):
        dissimilarities.rdm(planted(people=2).expand_dims("time"))


# Places and trees


def test_places_are_those_of_the_embedding_and_coloured_by_kind():
    found = embed(planted())
    ax = embeddings.mds(found, by="kind")
    for kind in KINDS:
        (points,) = by_gid(ax, f"group:{kind}")
        np.testing.assert_array_equal(points.get_xydata(), found["place"].values[found["kind"].values == kind, :2])
    assert len({by_gid(ax, f"group:{kind}")[0].get_marker() for kind in KINDS}) == 3, "readable in grey"
    (scale,) = by_gid(ax, "scale")
    assert f"{np.ptp(scale.get_xdata()):g}" in [text.get_text() for text in ax.texts]


def test_branches_of_one_kind_have_its_colour():
    found = embed(planted(noise=0.05))
    ax = embeddings.dendrogram(found, by="kind")
    branches = by_gid(ax, "branch")
    assert len(branches) == 11
    colours = {kind: by_gid(ax, f"group:{kind}")[0].get_color() for kind in KINDS}
    for kind, colour in colours.items():
        assert sum(branch.get_color() == colour for branch in branches) == 3, kind
    np.testing.assert_allclose(max(branch.get_ydata().max() for branch in branches), found["tree"].values[-1, 2])


def test_what_is_no_embedding_is_named():
    for draw in (embeddings.mds, embeddings.dendrogram):
        with pytest.raises(ValueError, match="not of similarity"):
            draw(xr.Dataset())


# Models


def test_models_are_ranked_with_people_intervals_and_ceiling():
    result = compared()
    ax = comparisons.models(result, join="none")
    order, names = comparisons.ranked(result)
    (means,) = by_gid(ax, "mean")
    np.testing.assert_array_equal(means.get_xdata(), result["mean"].values[order])
    assert np.all(np.diff(means.get_xdata()) < 0) and [label.get_text() for label in ax.get_yticklabels()] == names
    (people,) = by_gid(ax, "subjects")
    np.testing.assert_array_equal(people.get_xdata(), result["score"].values[order].ravel())
    (lines,) = by_gid(ax, "interval")
    ends = np.array([segment[:, 0] for segment in lines.get_segments()])
    np.testing.assert_allclose(ends, np.column_stack([result["low"].values[order], result["high"].values[order]]))
    (band,) = by_gid(ax, "ceiling")
    np.testing.assert_allclose(
        [band.get_x(), band.get_x() + band.get_width()], [result["ceiling_lower"], result["ceiling_upper"]]
    )
    assert ax.get_xlabel() == "Spearman correlation of dissimilarities, mean over people"


def test_arcs_join_the_pairs_that_differ_and_do_not_touch():
    result = compared(3)
    kind, arcs = comparisons.arcs_of(result)
    order, _ = comparisons.ranked(result)
    p = result["p_pair_fdr"].values[np.ix_(order, order)]
    expected = [(a, b) for a in range(3) for b in range(a + 1, 3) if p[a, b] < 0.05]
    assert kind == "differ" and arcs == expected != []
    assert len(by_gid(comparisons.models(result), "arc")) == len(arcs)
    every = [(a, b) for a in range(6) for b in range(a + 1, 6)]
    lanes = dict(zip(every, comparisons.lanes_of(every)))
    for one in every:
        for other in every:
            if one < other and lanes[one] == lanes[other]:
                assert one[1] < other[0] or other[1] < one[0]


def test_ten_models_get_few_arcs_or_a_matrix():
    rng = np.random.default_rng(1)
    names = [f"m{at}" for at in range(10)]
    p = np.full((10, 10), np.nan)
    upper = np.triu_indices(10, 1)
    mean = np.linspace(0.5, 0.1, 10)

    def result(values):
        p[upper] = values
        pair = ("model", "model_other")
        return xr.Dataset(
            {
                "score": (("model", "subject"), mean[:, None] + 0.1 * rng.normal(size=(10, 5))),
                "mean": ("model", mean),
                "difference": (pair, mean[:, None] - mean), "p_pair_fdr": (pair, np.fmax(p, p.T)),
            },
            {"model": names},
        )  # fmt: skip

    half = result(np.where(np.arange(45) % 2, 0.01, 0.5))
    assert comparisons.arcs_of(half) == ("none", [])
    drawn = comparisons.models_pictures("ten", half)
    assert len(drawn) == 3 and "22 of 45 pairs differ" in drawn[1].alt
    few = result(np.where(np.arange(45) < 5, 0.5, 0.01))
    assert comparisons.arcs_of(few)[0] == "same" and len(comparisons.arcs_of(few)[1]) == 5
    assert len(comparisons.models_pictures("ten", few)) == 2
    ax = comparisons.pairs(half)
    hatched = [one for one in ax.patches if one.get_gid() == "not different"]
    assert len(hatched) == 23
    np.testing.assert_allclose(ax.images[0].get_array()[0, 0], mean[0] - mean[1])
    with pytest.raises(ValueError, match="join='all'"):
        comparisons.models(half, join="all")


def test_one_person_has_no_ceiling_and_the_caption_says_why():
    result = compared(people=1, bootstrap="stimulus")
    ax = comparisons.models(result)
    assert not by_gid(ax, "ceiling") and not by_gid(ax, "subjects")
    caption = comparisons.models_caption(result)
    assert "No ceiling" in caption and "1 person" in caption and "12 stimuli" in caption
    with pytest.raises(ValueError, match="not of compare_models"):
        comparisons.models(xr.Dataset())


# Grids and matches


def layers(seed=0):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(60, 8))
    return {f"layer{at}": base + at * rng.normal(size=(60, 8)) for at in range(4)}, base


def test_the_best_of_every_row_is_outlined_and_distances_are_turned():
    spaces, _ = layers()
    others = {f"other{at}": space + 0.01 for at, space in enumerate(spaces.values())}
    for how in ("cka_debiased", "procrustes"):
        cells = compare_grid(spaces, others, how)
        ax = alignments.grid(cells)
        np.testing.assert_allclose(ax.images[0].get_array(), cells.values)
        boxes = [one for one in ax.patches if one.get_gid() == "best"][::2]
        assert [(round(box.get_x() + 0.45), round(box.get_y() + 0.44)) for box in boxes] == [
            (at, at) for at in range(4)
        ]
    assert "small is alike" in " ".join(ax.figure.axes[-1].get_ylabel().split())
    assert alignments.best_of(np.eye(3), "cka", itself=True).tolist() == [1, 0, 0]
    own, same_names = compare_grid(spaces, how="cka"), compare_grid(spaces, dict(zip(spaces, others.values())), "cka")
    same_names[0, 1] += 0.01
    for cells, trivial in ((own, True), (same_names, False)):
        boxes = [one for one in alignments.grid(cells).patches if one.get_gid() == "best"]
        diagonal = [round(box.get_x() + 0.45) == round(box.get_y() + 0.44) for box in boxes]
        assert any(diagonal) != trivial, "two sets may have the same names"


def test_cells_within_the_null_are_hatched():
    spaces, base = layers()
    noise = {"same": base, "noise": np.random.default_rng(5).normal(size=base.shape)}
    found = compare_grid({"layer0": spaces["layer0"]}, noise, "cka_debiased", permutations=39, random_state=1)
    ax = alignments.grid(found)
    hatched = [one for one in ax.patches if one.get_gid() == "below null"]
    assert len(hatched) == 1 and hatched[0].get_x() == 0.5
    with pytest.raises(ValueError, match="no grid here"):
        alignments.grid(xr.Dataset())


def test_matched_units_stand_on_the_diagonal_best_first():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(300, 6))
    y = np.column_stack(
        [x[:, [3, 1, 5, 0, 4, 2]] + np.linspace(0.1, 1, 6) * rng.normal(size=(300, 6)), rng.normal(size=300)]
    )
    found = match_units(x, y, permutations=19, random_state=0)
    ax = alignments.matched_matrix(found)
    before, after = (inner.images[0].get_array() for inner in ax.child_axes)
    np.testing.assert_array_equal(before, found["correlation"].values)
    assert after.shape == (6, 7) and np.all(np.diff(np.diag(after)) <= 0) and np.diag(after).min() > 0.5
    ax = alignments.matched(found)
    (line,) = by_gid(ax, "one to one")
    np.testing.assert_array_equal(line.get_ydata(), np.sort(found["matched_held_out"].values)[::-1])
    assert len(by_gid(ax, "null")) == 1
    many = match_units(rng.normal(size=(80, 70)), rng.normal(size=(80, 90)))
    inner = alignments.matched_matrix(many).child_axes[1].images[0].get_array()
    best = np.sort(many["matched"].values)[::-1][:64]
    np.testing.assert_allclose(np.diag(inner), best)
    with pytest.raises(ValueError, match="match_units"):
        alignments.matched(xr.Dataset())


# Pages


def study():
    rng = np.random.default_rng(3)
    spaces, base = layers()
    R = planted(people=3)
    rdms = xr.Dataset({"rdm": R}, attrs={"shows": "rdm", "by": "kind", "percentile": True})
    pairs = {"matched_held_out": [0.5], "best_held_out": [0.6], "null_low": [-0.1], "null_high": [0.1]}
    nodes = {
        "models": compared().assign_attrs(shows="models"),
        "dissimilarities": rdms,
        "plane": embed(planted()).assign_attrs(shows="embedding", by="kind"),
        "grid": xr.Dataset({"value": compare_grid(spaces, how="cka")}, attrs={"shows": "grid"}),
        "units": match_units(base, base + rng.normal(size=base.shape), permutations=9, random_state=0).assign_attrs(
            shows="matching"
        ),
        "all units": xr.Dataset(
            {name: ("pair", value) for name, value in pairs.items()}, {"pair": ["a <b>"]}, {"shows": "matchings"}
        ),
    }
    tree = xr.DataTree.from_dict({"/": xr.Dataset(), **{f"/{name}": node for name, node in nodes.items()}})
    tree.attrs = {"question": "Which?", "main": ["models"]}
    return tree, nodes


def test_every_kind_stands_on_a_page_with_words(tmp_path):
    tree, _ = study()
    found = Found(page(tree, tmp_path / "page.html"))
    alts = [image["alt"] for image in found.images]
    assert alts[0].startswith("Dots on rows: Spearman"), "the main picture leads"
    assert sum(alt == alts[0] for alt in alts) == 2, "light and dark, and not once more below"
    for words in ("dissimilarity matrices of 12 stimuli", "Points in a plane", "Tree of 12", "Heat map of linear CKA",
                  "Falling lines", "Two heat maps of r"):  # fmt: skip
        assert any(words in alt for alt in alts), words
    assert "n = 8 people, 12 stimuli" in found.text and "Noise ceiling" in alts[0]
    assert "a <b>" in " ".join(alts) and "<b>" not in found.source.split("<main>")[1].replace("a &lt;b&gt;", "")


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("compact", [False, True], ids=["desk", "phone"])
def test_every_picture_is_drawn_in_every_variant(theme, compact):
    _, nodes = study()
    for name, node in nodes.items():
        for picture in drawer(node.attrs["shows"])(name, node):
            if isinstance(picture, Picture):
                drawing = render(picture, theme, compact)
                assert drawing.width == round(96 * (picture.narrow if compact else picture.size)[0]), name
                assert picture.alt.endswith(".") and picture.caption.endswith("."), name


def test_a_matrix_takes_few_bytes_and_is_drawn_as_it_is():
    rng = np.random.default_rng(0)
    R = as_rdm(rng.normal(size=60 * 59 // 2), stimulus=[f"s{at}" for at in range(60)])
    (picture,) = dissimilarities.rdm_pictures("m", R.to_dataset(name="rdm"))
    svg = render(picture, LIGHT).content.decode()
    image = re.search(r"data:image/png;base64,([^\"']+)", svg)[1]
    drawn = Image.open(io.BytesIO(base64.b64decode(image)))
    assert drawn.size == (60, 60) and drawn.mode == "P"
    shades = np.asarray(drawn.convert("RGBA"), dtype=float)[..., :3].mean(2)
    upper = np.triu_indices(60, 1)
    assert np.corrcoef(shades[upper], R.values[upper])[0, 1] > 0.9


def test_pairs_without_a_value_are_counted():
    R = as_rdm([1.0, np.nan, 2.0], stimulus=["a", "b", "c"], missing="keep")
    (picture,) = dissimilarities.rdm_pictures("m", R.to_dataset(name="rdm"))
    assert "Grey: 1 pair without a value." in picture.caption
