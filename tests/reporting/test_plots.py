"""What is drawn is what the result says: positions of dots, lines, bands, cells."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
import xarray as xr

from neurodecode.reporting import plots, tables
from neurodecode.reporting.style import THEMES, colours, readable_on


def by_gid(ax, gid):
    return [artist for artist in ax.get_children() if artist.get_gid() == gid]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_dots_stand_at_the_area_means(make_encoding):
    result = make_encoding(per_area=8)
    ax = plots.scores_by_area(result)
    table = tables.by_area(result).sort_values("score", ascending=False)
    (dots,) = by_gid(ax, "score:result")
    np.testing.assert_allclose(dots.get_xdata(), table["score"])
    labels = [label.get_text().split(" ")[0] for label in ax.get_yticklabels()]
    assert labels == table["area"].tolist()
    assert np.all(np.diff(dots.get_ydata()) < 0), "the best stands on top"
    for value in table["score"]:
        assert f"{value:.2f}".replace("-", "−") in texts(ax)


def test_intervals_null_ceiling_and_chance_stand_with_every_score(make_encoding):
    result = make_encoding(per_area=8)
    ax = plots.scores_by_area(result, sort=False)
    table = tables.by_area(result)
    lines = [one.get_segments()[0][:, 0] for one in by_gid(ax, "interval")]
    np.testing.assert_allclose(lines, table[["low", "high"]].to_numpy())
    bands = [(one.get_x(), one.get_x() + one.get_width()) for one in by_gid(ax, "null")]
    np.testing.assert_allclose(bands, table[["null_low", "null_high"]].to_numpy())
    ceilings = [one.get_segments()[0][0, 0] for one in by_gid(ax, "ceiling")]
    np.testing.assert_allclose(ceilings, table["ceiling"])
    (chance,) = by_gid(ax, "chance")
    assert set(chance.get_xdata()) == {0.0}
    low, high = ax.get_xlim()
    assert low < table["null_low"].min() and high > table["ceiling"].max(), "nothing is cut off"


def test_a_ceiling_with_two_ends_is_a_band(make_encoding):
    result = make_encoding(per_area=4, dead=0)
    result["ceiling_lower"], result["ceiling_upper"] = result["ceiling"] - 0.1, result["ceiling"] + 0.1
    (first, *_) = by_gid(plots.scores_by_area(result, sort=False), "ceiling")
    assert first.get_width() == pytest.approx(0.2)


def test_feature_spaces_share_rows_and_keep_their_colours(make_study):
    tree = make_study()
    ax = plots.scores_by_area(tree)
    known = colours(["alexnet", "words"])
    for name in known:
        (dots,) = by_gid(ax, f"score:{name}")
        assert dots.get_color() == known[name]
        assert name in texts(ax)
    alone = plots.scores_by_area({"words": tree["words"].to_dataset()}, names=["alexnet", "words"])
    assert by_gid(alone, "score:words")[0].get_color() == known["words"]


def test_results_without_areas_are_rows_with_their_own_chance(make_classification):
    nodes = {"eight": make_classification(right=0.2), "two": make_classification(1, ("face", "house"), 0.97)}
    ax = plots.scores_by_area(nodes)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["two", "eight"]
    rules = {
        round(float(one.get_segments()[0][:, 1].mean()), 3): one.get_segments()[0][0, 0] for one in by_gid(ax, "chance")
    }
    ticks = [round(float(y), 3) for y in ax.get_yticks()]
    assert [rules[y] for y in ticks] == [0.5, 0.125], "chance goes with its row when rows are sorted"


def test_an_area_without_a_score_has_no_dot_and_says_so(make_encoding):
    result = make_encoding(per_area=4, dead=0)
    result["score"] = ("unit", np.where(result["roi"].values == "PPA", np.nan, result["score"].values))
    ax = plots.scores_by_area(result)
    assert len(by_gid(ax, "score:result")[0].get_xdata()) == 9
    assert ax.get_yticklabels()[-1].get_text().startswith("PPA") and "n/a" in texts(ax)


def test_scores_of_two_kinds_do_not_share_an_axis(make_encoding, make_classification):
    with pytest.raises(ValueError, match="different scores"):
        plots.scores_by_area({"a": make_encoding(per_area=2), "b": make_classification()})


def test_found_against_planted_in_units_of_the_interval(make_study):
    ax = plots.found_planted(make_study())
    table = tables.figures(make_study())
    table = table[table["verdict"] != ""]
    inside, _ = (np.column_stack(line.get_data()) for line in by_gid(ax, "found"))
    lag = (4.2 - 4.0) / 0.5
    assert any(x == pytest.approx(lag) for x, _ in inside)
    shown = {round(-y): x for x, y in inside}
    for at, row in enumerate(table.to_dict("records")):
        if row["published"] == row["published"] and row["verdict"] == "reached":
            assert shown[at] == pytest.approx((row["found"] - row["published"]) / row["tolerance"])
    arrows = [line for line in ax.lines if line.get_marker() in "<>"]
    assert len(arrows) == 1, "3.9 where 1.5 to 2.5 was planted lies far outside"
    with pytest.raises(ValueError, match="planted or published"):
        plots.found_planted(xr.DataTree(xr.Dataset(attrs={"figures": [{"name": "n", "found": 1.0}]})))


def test_layer_by_area_outlines_the_best_and_hatches_the_null(make_study):
    tree = make_study()
    ax = plots.layer_by_area(tree)
    matrix, null = tree["matrix"].values, tree["matrix_null95"].values
    np.testing.assert_array_equal(ax.images[0].get_array(), matrix)
    best = {(round(box.get_x() + 0.45), round(box.get_y() + 0.44)) for box in by_gid(ax, "best")}
    assert best == {(column, int(row)) for column, row in enumerate(matrix.argmax(axis=0))}
    assert len(by_gid(ax, "below null")) == int((matrix <= null).sum())
    with pytest.raises(ValueError, match="matrix"):
        plots.layer_by_area(tree["alexnet"].to_dataset())


def test_a_matrix_of_results_has_their_score(make_study, make_classification):
    study = make_study()
    root = study.to_dataset().isel(layer=slice(0, 2)).assign_coords(layer=["alexnet", "words"])
    results = {f"/{name}": node.to_dataset(inherit=False) for name, node in study.children.items()}
    tree = xr.DataTree.from_dict({"/": root, **results, "/decoder": make_classification()})
    bars = [ax.get_ylabel() for ax in plots.layer_by_area(tree).figure.axes]
    assert "Pearson r" in bars


def test_lines_of_a_few_areas(make_study):
    root = make_study().to_dataset().isel(roi=slice(0, 3))
    ax = plots.layer_lines(root)
    np.testing.assert_array_equal(by_gid(ax, "area:LOC")[0].get_ydata(), root["matrix"].sel(roi="LOC").values)
    with pytest.raises(ValueError, match="too many lines"):
        plots.layer_lines(make_study())


def test_confusions_are_shares_of_the_true_class(make_classification):
    result = make_classification()
    ax = plots.confusion(result)
    counts = result["confusion"].values
    np.testing.assert_allclose(ax.images[0].get_array(), counts / counts.sum(axis=1, keepdims=True))
    assert sorted(texts(ax)) == sorted(str(n) for n in counts.ravel() if n)
    with pytest.raises(ValueError, match="confusion"):
        plots.confusion(result.drop_vars("confusion"))


def test_many_classes_are_not_numbered():
    classes = [f"c{n}" for n in range(40)]
    result = xr.Dataset(
        {"score": ("unit", [1.0]), "confusion": (("true", "predicted"), np.eye(40, dtype=int))},
        coords={"true": classes, "predicted": classes},
    )
    ax = plots.confusion(result)
    assert not ax.texts and len(ax.get_xticks()) <= 24


def test_time_course_with_onset_chance_and_significance(make_over_time):
    result = make_over_time()
    ax = plots.time_course(result)
    (line,) = by_gid(ax, "score:category")
    np.testing.assert_array_equal(line.get_xdata(), result["time"].values)
    np.testing.assert_allclose(line.get_ydata(), result["score"].values[0])
    assert by_gid(ax, "onset")[0].get_xdata()[0] == 0
    assert by_gid(ax, "chance")[0].get_ydata()[0] == 0.125
    good = result["time"].values[result["p_max"].values[0] < 0.05]
    spans = [one.get_xdata() for one in by_gid(ax, "significant")]
    assert min(map(min, spans)) == pytest.approx(good.min() - 1.25)
    assert max(map(max, spans)) == pytest.approx(good.max() + 1.25)
    assert by_gid(ax, "interval") and by_gid(ax, "null")


def test_of_many_areas_the_four_highest_are_drawn(make_over_time):
    names = ["V1", "V2", "LOC", "FFA", "PPA", "RSC"]
    ax = plots.time_course(make_over_time(areas=names))
    drawn = [line.get_gid() for line in ax.lines if str(line.get_gid()).startswith("score:")]
    assert drawn == [f"score:{name}" for name in names[:4]]
    assert set(names[:4]) <= set(texts(ax))


def test_time_is_needed_for_a_course(make_encoding):
    with pytest.raises(ValueError, match="no time"):
        plots.time_course(make_encoding(per_area=2))
    with pytest.raises(ValueError, match="time_test"):
        plots.generalization(make_encoding(per_area=2))


def test_generalization_is_centred_on_chance(make_attrs):
    times = np.arange(5) * 0.1
    values = 0.5 + 0.3 * np.eye(5)
    result = xr.Dataset(
        {"score": (("unit", "time", "time_test"), values[None])},
        coords={"time": times, "time_test": times},
        attrs=make_attrs(score="auc", chance=0.5),
    )
    image = plots.generalization(result).images[0]
    np.testing.assert_array_equal(image.get_array(), values)
    assert np.mean(image.get_clim()) == pytest.approx(0.5)
    assert by_gid(image.axes, "diagonal")


def test_null_shows_what_was_found(make_classification):
    result = make_classification()
    ax = plots.null(result)
    assert by_gid(ax, "found")[0].get_xdata()[0] == float(result["score"][0])
    band = by_gid(ax, "band")[0]
    null = result["null"].values[:, 0]
    np.testing.assert_allclose([band.get_x(), band.get_x() + band.get_width()], np.quantile(null, [0.025, 0.975]))
    assert sum(patch.get_height() for patch in ax.patches if patch is not band) == len(null), "every draw is in a bin"
    with pytest.raises(ValueError, match="permutations"):
        plots.null(result.drop_vars("null"))


@pytest.mark.parametrize(
    "values", [np.array([0.1, 0.2, 0.2, 0.4]), np.random.default_rng(0).normal(size=19), np.ones(5)]
)
def test_bins_hold_every_value(values):
    from neurodecode.reporting.curves import _bins

    edges = _bins(values)
    assert np.histogram(values, edges)[0].sum() == len(values) and 1 <= len(edges) - 1 <= 60


def test_quantiles_of_null_p_follow_the_diagonal_and_lie_in_their_band():
    n = 200
    even = (np.arange(n) + 0.5) / n
    ax = plots.null_p(even)
    (points,) = by_gid(ax, "p")
    np.testing.assert_allclose(points.get_xdata(), points.get_ydata(), atol=0.006)
    band = by_gid(ax, "band")[0].get_paths()[0]
    assert all(band.contains_point(point) for point in np.column_stack(points.get_data())[5:-5])
    signal = plots.null_p(even**4)
    (points,) = by_gid(signal, "p")
    assert not band.contains_point(np.column_stack(points.get_data())[60])


def test_folds_are_dots_at_their_scores(make_classification):
    result = make_classification()
    ax = plots.folds(result)
    np.testing.assert_allclose(by_gid(ax, "fold")[0].get_ydata(), result["score_fold"].values[:, 0])
    assert [label.get_text() for label in ax.get_xticklabels()] == result["fold"].values.tolist()


def every_plot(make_encoding, make_classification, make_over_time, make_study):
    return {
        "areas": lambda **k: plots.scores_by_area(make_encoding(per_area=3), **k),
        "found": lambda **k: plots.found_planted(make_study(), **k),
        "matrix": lambda **k: plots.layer_by_area(make_study(), **k),
        "confusion": lambda **k: plots.confusion(make_classification(), **k),
        "time": lambda **k: plots.time_course(make_over_time(), **k),
        "null": lambda **k: plots.null(make_classification(), **k),
        "folds": lambda **k: plots.folds(make_classification(), **k),
        "p": lambda **k: plots.null_p(make_encoding(per_area=3), **k),
    }


def test_plots_leave_matplotlib_as_it_was_and_draw_on_the_given_axes(
    make_encoding, make_classification, make_over_time, make_study
):
    from matplotlib.figure import Figure

    before = dict(matplotlib.rcParams)
    for name, draw in every_plot(make_encoding, make_classification, make_over_time, make_study).items():
        ax = Figure().add_subplot()
        assert draw(ax=ax, theme="dark") is ax, name
        assert draw().figure is not ax.figure
    assert dict(matplotlib.rcParams) == before


def test_an_unknown_theme_is_named(make_encoding):
    with pytest.raises(ValueError, match="light"):
        plots.scores_by_area(make_encoding(per_area=2), theme="sepia")


def test_labels_with_dollars_and_tags_are_drawn_as_they_are():
    result = xr.Dataset({"score": ("unit", [0.5, 0.2])}, coords={"roi": ("unit", ["$x_1$ <b>", "\\alpha_{"])})
    ax = plots.scores_by_area(result)
    ax.figure.canvas.draw()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["$x_1$ <b>", "\\alpha_{"]


def luminance(colour):
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, two):
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_colours_can_be_seen(theme):
    assert contrast(theme.ink, theme.paper) > 10 and contrast(theme.muted, theme.paper) > 4.5
    assert all(contrast(colour, theme.paper) >= 2.2 for colour in theme.categories)
    assert all(contrast(colour, theme.paper) >= 3 for colour in theme.categories[:3])
    assert len(set(theme.categories)) == 8


def test_words_on_a_colour_can_be_read():
    for value in np.linspace(0, 1, 50):
        rgba = matplotlib.colormaps["viridis"](value)
        assert contrast(readable_on(rgba), rgba[:3]) > 3.9


def test_an_area_keeps_its_colour_over_time_whichever_four_are_drawn():
    areas = np.array(["V1", "V2", "V3", "V4", "LOC", "FFA"])
    seen: dict[str, set] = {}
    for best in (0, 2):
        score = np.zeros((6, 5))
        score[best : best + 4, 2] = 0.5
        one = xr.Dataset(
            {"score": (("unit", "time"), score)}, {"roi": ("unit", areas), "time": np.arange(5) / 10}, {"score": "r"}
        )
        for line in plots.time_course(one).lines:
            if str(line.get_gid()).startswith("score:"):
                seen.setdefault(line.get_gid(), set()).add(line.get_color())
    assert len(seen) == 6 and all(len(colours) == 1 for colours in seen.values())
    assert len(set.union(*seen.values())) == 6


class TestNamesAreToldApart:
    def test_of_lines_on_a_phone(self):
        names = [f"left superior temporal area {at}" for at in range(3)]
        matrix = xr.DataArray(np.arange(6.0).reshape(2, 3), {"layer": ["a", "b"], "roi": names}, ("layer", "roi"))
        ax = plots.layer_lines(xr.Dataset({"matrix": matrix}), compact=True)
        drawn = [line for line in ax.lines if str(line.get_gid()).startswith("area:")]
        assert len({line.get_color() for line in drawn}) == len({line.get_gid() for line in drawn}) == 3

    def test_rows_that_are_no_layers(self):
        matrix = xr.DataArray([[0.1], [0.3]], {"layer": ["a", "b"], "roi": ["V1"]}, ("layer", "roi"))
        for attrs, words in (({}, "best layer"), ({"rows": ["model", "models"]}, "best model")):
            ax = plots.layer_by_area(xr.Dataset({"matrix": matrix.assign_attrs(attrs)}))
            assert [text.get_text() for text in ax.get_legend().get_texts()] == [words]
