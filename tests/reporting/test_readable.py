"""What a reader would trip over: names cut alike, chance out of sight, labels cut off, words that are not true."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr

from neurodecode.reporting import brains, gallery, page, plots
from neurodecode.reporting.alignments import grid
from neurodecode.reporting.comparisons import models
from neurodecode.reporting.dissimilarities import rdm
from neurodecode.reporting.markup import table
from neurodecode.reporting.opening import _units_words
from neurodecode.reporting.sections import _about
from neurodecode.reporting.style import new_axes
from neurodecode.similarity import as_rdm

LONG = [f"left superior temporal sulcus, bank no. {n}" for n in range(6)]


def named(ax, gid):
    return [one for one in (*ax.lines, *ax.collections, *ax.patches) if one.get_gid() == gid]


def words(ax):
    return [one.get_text() for one in ax.texts]


def compared(mean, people=4):
    score = np.asarray(mean)[:, None] + np.linspace(-0.02, 0.02, people)
    return xr.Dataset(
        {"score": (("model", "subject"), score), "mean": ("model", np.asarray(mean, dtype=float))},
        {"model": [f"model {n}" for n in range(len(mean))]},
        {"how": "spearman"},
    )


def single(score, null=(0.0, 0.1), **attrs):
    values = {"score": ("unit", [score]), "null": (("permutation", "unit"), np.asarray(null, dtype=float)[:, None])}
    return xr.Dataset(values, attrs={"score": "r", **attrs})


def inside(ax, text):
    """Whether a label lies within its figure."""
    ax.figure.draw_without_rendering()
    box, whole = text.get_window_extent(), ax.figure.bbox
    return box.x0 >= -1 and box.y0 >= -1 and box.x1 <= whole.x1 + 1 and box.y1 <= whole.y1 + 1


@pytest.mark.parametrize("mean", [[0.3, 0.25, 0.2], [-0.3, -0.2, -0.4]])
def test_chance_stands_in_a_comparison_of_models_wherever_they_lie(mean):
    ax = models(compared(mean))
    left, right = ax.get_xlim()
    assert left < 0 < right and named(ax, "zero")
    assert any("chance" in text.get_text() for text in ax.get_legend().get_texts())


def test_long_names_that_begin_alike_can_be_told_apart_at_the_end_of_rows_and_lines(make_encoding):
    several = {name: make_encoding(per_area=2, areas=("V1", "V2"), geometry=False) for name in LONG}
    shown = [text for text in words(plots.scores_by_area(several)) if "left" in text]
    assert len(shown) == len(set(shown)) == len(LONG)
    matrix = xr.DataArray(np.arange(12.0).reshape(3, 4) / 20, {"layer": list("abc"), "roi": LONG[:4]}, ("layer", "roi"))
    ends = [text for text in words(plots.layer_lines(matrix.to_dataset(name="matrix"))) if "left" in text]
    assert len(ends) == len(set(ends)) == 4


def test_what_is_the_same_under_another_setting_keeps_its_colour_and_no_two_look_alike(make_encoding):
    names = [f"layer {n}" for n in range(10)] + ["layer 3 (voxel)"]
    one = make_encoding(per_area=5, areas=("V1",), geometry=False)

    def looks(*some):
        ax = plots.scores_by_area(dict.fromkeys(some, one), names=names)
        return [(line.get_color(), line.get_marker()) for name in some for line in named(ax, f"score:{name}")]

    (plain,), (other,) = looks("layer 3"), looks("layer 3 (voxel)")
    assert plain == other
    both = looks("layer 3", "layer 3 (voxel)")
    assert both[0] != both[1]
    every = [looks(name)[0] for name in names[:10]]
    assert len(set(every)) == 10, "a colour that comes again has another marker"


def test_labels_are_not_cut_off():
    counts = xr.Dataset(
        {"confusion": (("true", "predicted"), [[13, 1], [2, 15]]), "score": ("unit", [0.9])},
        {"true": ["a", "b"], "predicted": ["a", "b"]},
        {"score": "accuracy", "chance": 0.5},
    )
    ax = plots.confusion(counts)
    assert inside(ax, ax.yaxis.label)
    times = np.linspace(0, 1, 20)
    course = xr.Dataset({"score": (("unit", "time"), np.full((3, 20), 0.6))}, {"time": times}, {"score": "auc"})
    ax = plots.time_course(course)
    assert inside(ax, ax.yaxis.label)


def test_an_interval_ends_where_the_score_does():
    folds = np.array([0.0, 0.0, 0.4])[:, None, None] * np.ones((3, 1, 5))
    course = xr.Dataset(
        {"score": (("unit", "time"), folds.mean(0)), "score_fold": (("fold", "unit", "time"), folds)},
        {"time": np.arange(5.0)},
        {"score": "accuracy", "chance": 0.1},
    )
    (band,) = named(plots.time_course(course), "interval")
    assert band.get_paths()[0].vertices[:, 1].min() >= 0
    held = xr.Dataset({"score": ("unit", [0.9]), "score_fold": (("fold", "unit"), [[1.0], [1.0], [0.7]])})
    (band,) = named(plots.folds(held.assign_attrs(score="accuracy")), "interval")
    assert band.get_window_extent().y1 <= band.axes.transData.transform((0, 1.0))[1] + 0.5


def test_a_map_across_times_without_a_difference_is_drawn_on_a_scale_that_scores_can_have():
    flat = xr.Dataset(
        {"score": (("unit", "time", "time_test"), np.full((1, 4, 4), 0.5))},
        {"time": np.arange(4) / 10, "time_test": np.arange(4) / 10},
        {"score": "auc", "chance": 0.5},
    )
    ax = plots.generalization(flat)
    assert ax.images[0].get_clim() == pytest.approx((0.4, 0.6))
    assert ax.get_xlim() == ax.get_ylim() == pytest.approx((-0.05, 0.35))
    plots.generalization(flat.where(flat["score"] > 2).assign_attrs(flat.attrs))  # nothing finite: drawn, not refused


def test_a_null_says_what_grey_and_dotted_are_in_true_words():
    ax = plots.null(single(-0.9, [0.1]))
    assert "(1 permutation)" in ax.get_xlabel() and any("found −0.90" in text for text in words(ax))
    caption = gallery.null_picture("sub1, runs", single(0.4, np.linspace(-0.1, 0.1, 19))).caption
    assert caption.startswith("sub1, runs: ") and "Grey: the middle 95 %. Dotted: chance, 0." in caption


def test_whose_permutations_are_drawn_is_said_where_not_all_rows_have_them():
    nodes = {"tested": single(0.4, np.linspace(-0.1, 0.1, 19)), "bare": single(0.3).drop_vars("null")}
    assert "19 permutations of tested." in gallery.areas_caption(nodes, {})
    both = {"tested": nodes["tested"], "too": nodes["tested"]}
    assert "19 permutations." in gallery.areas_caption(both, {})


def test_units_of_areas_that_are_the_same_in_each_are_not_counted_as_many():
    coords = {"roi": ("unit", np.repeat(["one", "two"], 3))}
    values = xr.Dataset({"score": ("unit", np.linspace(0.1, 0.6, 6))}, coords)
    classes = values.assign_attrs(unit_name=["class", "classes"], area_name=["layer", "layers"])
    assert "Every class of every layer has a score (6 in all)." in _about(classes)
    alone = values.assign_attrs(unit_name=["test", "tests"], area_name=["test", "tests"])
    assert "Every one of 6 tests has a score." in _about(alone)
    assert "Every one of 6 units has a score." in _about(values)


def test_a_map_names_chance_and_says_faded_only_where_something_is(make_searchlight):
    result = make_searchlight()
    ax = brains.slice_map(result)
    bar = next(one for one in ax.figure.axes if one is not ax)
    assert "chance" in words(bar)
    everything = result.assign(p_fdr=("unit", np.full(result.sizes["unit"], 0.001)))
    assert "Faded" not in gallery.map_picture("a", everything).caption
    nothing = result.assign(p_fdr=("unit", np.full(result.sizes["unit"], 0.9)))
    assert "Faded" in gallery.map_picture("a", nothing).caption


def test_small_values_of_a_grid_keep_a_digit_that_says_something():
    cells = xr.DataArray([[0.021, 0.004], [0.0, -0.013]], dims=("layer", "class"), attrs={"how": "separation"})
    assert {".021", ".004", "−.013"} <= set(words(grid(cells)))
    assert ".21" in words(grid(cells * 10))


def test_names_of_blocks_take_two_lines_on_a_phone_so_that_matrices_have_room():
    kinds = ["human face", "nonhuman face", "artificial inanimate"]
    R = as_rdm(np.arange(15.0), stimulus=list("abcdef"), coords={"kind": kinds * 2})
    narrow = [label.get_text() for label in rdm(R, by="kind", compact=True).get_yticklabels()]
    assert narrow == ["human face", "nonhuman\nface", "artificial\ninanimate"]
    assert [label.get_text() for label in rdm(R, by="kind").get_yticklabels()] == kinds


def test_numbers_that_were_flattened_over_time_are_not_called_channels():
    decoded = single(0.9).assign_attrs(data={"X": {"kind": "eeg", "shape": [100, 1216]}})
    assert _units_words(decoded) == "from 1,216 features"
    assert _units_words(decoded.assign_attrs(data={"X": {"kind": "eeg", "shape": [100, 64, 19]}})) == "from 64 channels"
    assert _units_words(decoded.assign_attrs(data={"X": {"kind": "fmri", "shape": [72, 530]}})) == "from 530 voxels"


def test_words_under_a_narrow_histogram_fit():
    tested = single(0.9, np.linspace(0.3, 0.7, 39)).assign_attrs(score="auc")
    ax = plots.null(tested, new_axes(3.4, 2.4), compact=True)
    assert inside(ax, ax.xaxis.label)


def test_options_of_a_command_are_never_parted_and_settings_of_pictures_are_no_provenance(make_encoding, tmp_path):
    command = "neurodecode run objects --data DATA --out results/objects --dry-run"
    said = {
        "command": command,
        "exchangeability": "samples within runs " * 5,
        "unit_name": ["voxel", "voxels"],
        "area_name": ["area", "areas"],
    }
    text = page(make_encoding(per_area=2, **said), tmp_path / "page.html").read_text(encoding="utf-8")
    shown = re.search(r"<pre><code>(neurodecode run.*?)</code></pre>", text)[1]
    assert "<span>--dry-run</span>" in shown and re.sub("<[^>]+>", "", shown) == command
    provenance = text.split('id="provenance"')[1]
    assert "unit name" not in provenance and "area name" not in provenance
    assert 'class="long"' in provenance, "long words have a column that is wide enough"


def test_counts_beside_counts_have_no_decimals(tmp_path):
    figures = [
        {"name": "areas", "found": 6.0, "planted": 6.0, "low": 6.0, "high": 6.0},
        {"name": "lag (s)", "found": 4.2, "planted": 4.0, "low": 3.0, "high": 5.0},
    ]
    result = xr.Dataset({"score": ("unit", [0.4])}, attrs={"figures": figures, "score": "r"})
    shown = words(plots.found_planted(result))
    assert shown.count("6") == 2 and "4.00" in shown and "4.20" in shown
    result.attrs |= {"splits": "one: the pictures of all", "n_folds": 1}
    text = page(result, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "6 to 6</td>" in text and "3.00 to 5.00</td>" in text
    assert ", 1 fold." in text and "Orange" not in text, "nothing lies outside"
    result.attrs["figures"] = [figures[0], figures[1] | {"found": 7.0}]
    assert "Orange: outside." in gallery.found_picture(result).caption


def test_numbers_of_the_answer_are_printed_as_those_of_the_page(tmp_path):
    answer = "Found r = -0.26 at x = -26 mm (p = 0.025), in 1-2 of 3 runs of `sub-01`."
    text = page(single(0.4, answer=answer, question="Is it?"), tmp_path / "page.html").read_text(encoding="utf-8")
    shown = re.search(r'<p class="answer">(.*?)</p>', text)[1]
    assert "r = −0.26 at x = −26 mm (p = .025), in 1-2 of 3 runs of <code>sub-01</code>." in shown


def test_a_first_column_of_sentences_has_room_on_a_phone_and_one_of_names_takes_none():
    columns = [("figure", "text"), ("found", "number")]
    assert 'class="data wordy"' in table(columns, [["accuracy with labels permuted", 0.1]], caption="a")
    assert 'class="data"' in table(columns, [["V1", 0.1]], caption="a")
