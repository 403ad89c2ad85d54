"""Pages of what ``similarity`` gives back, as it is: no attrs beside those of the functions."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from neurodecode.evaluation import study_tree
from neurodecode.reporting import page, plots, tables
from neurodecode.reporting.forms import flat_grids, kind_of, ready
from neurodecode.reporting.pictures import Picture, render
from neurodecode.reporting.shown import SHOWS, drawer
from neurodecode.reporting.style import DARK, LIGHT
from neurodecode.reporting.summary import opened
from neurodecode.representation import as_representation, concat, save
from neurodecode.similarity import (
    as_rdm,
    compare,
    compare_grid,
    compare_models,
    embed,
    gdv,
    match_units,
    rdm,
    stack_rdms,
)

N = 18
KINDS = np.repeat(["face", "house", "tool"], N // 3)
NAMES = [f"{kind} {at}" for at, kind in enumerate(KINDS)]
BASE = np.random.default_rng(0).normal(size=(N, 4))


def space(seed, noise=1.0, p=6, times=0):
    rng = np.random.default_rng(seed)
    values = BASE @ rng.normal(size=(4, p)) + noise * rng.normal(size=(N, p))
    dims = None
    if times:
        gain = np.exp(-((np.arange(times) - 2) ** 2))
        values = values[:, :, None] * gain + 0.3 * rng.normal(size=(N, p, times))
        dims = ("sample", "unit", "time")
    found = as_representation(values, stimulus=NAMES, kind="fmri", sample={"category": KINDS}, dims=dims)
    return found.assign_coords(time=("time", np.arange(times) / 10)) if times else found


@pytest.fixture(scope="module")
def given():
    layers = {"conv1": space(1, 3.0), "conv2": space(2)}
    areas = {"V1": space(3, 3.0), "IT": space(4)}
    people = stack_rdms({f"p{at}": rdm(space(10 + at)) for at in range(3)})
    models = {name: rdm(one) for name, one in layers.items()}
    noise = as_rdm(np.random.default_rng(9).random(N * (N - 1) // 2), stimulus=NAMES)
    each = [compare_models(models, people, n_bootstrap=0) for _ in range(3)]
    eeg = {"left": space(5, times=4), "right": space(6, times=4)}
    return {
        "models": compare_models({**models, "noise": noise}, people, n_bootstrap=0),
        "models over time": xr.concat(each, "time").assign_coords(time=[0.0, 0.1, 0.2]),
        "grid": compare_grid(layers, areas, "cka_debiased"),
        "tested grid": compare_grid(layers, areas, "cka_debiased", permutations=19, random_state=0),
        "grid with itself": compare_grid(concat(layers, label="layer"), how="procrustes", by="layer"),
        "grid over time": compare_grid(layers, eeg, "cka_debiased", permutations=19, random_state=0),
        "grid over times": compare_grid(eeg, eeg.copy(), "cka_debiased", times="all"),
        "matching": match_units(space(1), space(2), permutations=9, random_state=0),
        "matching without a null": match_units(space(1), space(2)),
        "comparison": compare(space(1), space(4), "cka", permutations=19, random_state=0),
        "distance": compare(space(1), space(4), "procrustes", permutations=19, random_state=0),
        "rdm": rdm(space(4)),
        "rdm of people": people,
        "rdm over time": rdm(space(5, times=15)),
        "rdm that was given": as_rdm([1.0, 2.0, 3.0], stimulus=["a", "b", "c"]),
        "embedding": embed(rdm(space(4))),
    }


EACH = [
    ("models", "Of 3 models conv2 is most like the data: Spearman", "similarity.compare_models"),
    (
        "models over time",
        "Most alike: conv2 at 0 s, Spearman correlation of dissimilarities",
        "similarity.compare_models",
    ),
    ("grid", "Most alike: conv2 and IT, linear CKA, debiased", "similarity.compare_grid"),
    ("tested grid", "over the whole grid, 18 stimuli", "similarity.compare_grid"),
    ("grid with itself", "Most alike: conv1 and conv2, Procrustes angle", "similarity.compare_grid"),
    ("grid over time", "at 0.2 s, linear CKA", "similarity.compare_grid"),
    ("grid over times", "linear CKA, debiased", "similarity.compare_grid"),
    ("matching", "Units matched one to one on half of the stimuli", "similarity.match_units"),
    ("matching without a null", "no permutations were drawn", "similarity.match_units"),
    ("comparison", "Linear CKA is 0.", "similarity.compare"),
    ("distance", "Procrustes angle (rad) is ", "similarity.compare"),
    ("rdm", "Most alike are ", "similarity.rdm"),
    ("rdm of people", "mean of the 3 matrices", "similarity.rdm"),
    ("rdm over time", "12 of 15, evenly spaced", "similarity.rdm"),
    ("rdm that was given", "Most alike are a and b (1.00), least alike b and c (3.00)", "similarity.as_rdm"),
    ("embedding", "A plane holds the dissimilarities of 18 stimuli", "similarity.embed"),
]


@pytest.mark.parametrize(("name", "said", "made_by"), EACH, ids=[name for name, _, _ in EACH])
def test_a_page_takes_it_as_it_is(given, name, said, made_by, tmp_path):
    found = page(given[name], tmp_path / "page.html").read_text(encoding="utf-8")
    assert said in found and f"<code>{made_by}</code>" in found
    assert found.count("<h1>") == 1 and "What was found" not in found and "cross_validate" not in found
    head, rest = found.split("</header>")
    assert head.count("<img") == 2, "one picture leads, light and dark"
    assert "No split." in rest and (
        "No permutations" in rest
        or "permutations" in rest
        or "not a test" in rest
        or "is a test" in rest
        or "Tests: t" in rest
    )


@pytest.mark.parametrize("name", ["models", "grid", "tested grid", "matching", "comparison", "rdm", "embedding"])
def test_what_was_saved_is_shown_too(given, name, tmp_path):
    direct = page(given[name], tmp_path / "direct.html").read_text(encoding="utf-8")
    stored = page(save(given[name], tmp_path / "kept.zarr"), tmp_path / "stored.html").read_text(encoding="utf-8")
    assert stored.split("<section")[0] == direct.split("<section")[0]


def test_a_study_and_a_mapping_of_them(given, tmp_path):
    some = {
        name: given[name] for name in ("models", "grid", "tested grid", "matching", "comparison", "rdm", "embedding")
    }
    for whole in (study_tree(some, question="Which?"), some):
        text = page(whole, tmp_path / "study.html").read_text(encoding="utf-8")
        for alt in ("Dots on rows", "Heat map of linear CKA", "Falling lines", "Histogram of linear CKA",
                    "Dissimilarity matrix of 18", "Points in a plane"):  # fmt: skip
            assert alt in text, alt
    table = tables.to_csv(study_tree(some), tmp_path / "scores.csv")
    assert table.read_text(encoding="utf-8").count("\n") <= 1, "a study without scores has a table without rows"
    scores = xr.Dataset({"score": ("unit", [0.5, 0.4])}, {"roi": ("unit", ["V1", "IT"])}, {"score": "r"})
    text = page({"scores": scores, **some}, tmp_path / "both.html").read_text(encoding="utf-8")
    assert "Falling lines" in text and "it is highest in V1" in text


def test_forms_are_told_apart_and_scores_stay_scores(given):
    kinds = {"models": "models", "models over time": "grid", "matching": "matching", "comparison": "comparison",
             "tested grid": "grid", "embedding": "embedding"}  # fmt: skip
    for name, kind in kinds.items():
        assert kind_of(given[name]) == kind and kind in SHOWS
    scores = xr.Dataset({"score": ("unit", [0.5])}, attrs={"shows": "topography"})
    assert opened(scores).nodes and not opened(scores).shown, "a result with scores is one, whatever it shows elsewhere"
    assert kind_of(given["tested grid"].assign_attrs(shows=None)) is None, "a study may keep it off the page"
    assert ready(given["rdm"].to_dataset(name="rdm")).attrs["by"] == "category"


def test_grids_over_time_keep_every_value(given):
    one = flat_grids(given["grid over time"])[""]
    value = given["grid over time"]["value"]
    at = one["pair"].values.tolist().index("conv2 with left")
    np.testing.assert_array_equal(one["value"][at], value.sel(first="conv2", second="left"))
    np.testing.assert_array_equal(one["p_max"][at], given["grid over time"]["p_max"].sel(first="conv2", second="left"))
    for compact in (False, True):
        labels = [label.get_text() for label in plots.grid(one, compact=compact).get_yticklabels()]
        assert len(set(labels)) == len(labels) == 4, labels
    many = flat_grids(given["grid over times"].to_dataset(name="value"))
    assert list(many) == ["left with left", "left with right", "right with left", "right with right"]
    expected = given["grid over times"].sel(first="left", second="right")
    np.testing.assert_array_equal(many["left with right"]["value"], expected)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("compact", [False, True], ids=["desk", "phone"])
@pytest.mark.parametrize("name", ["comparison", "grid over time", "models over time"])
def test_pictures_are_drawn_in_every_variant(given, name, theme, compact):
    node = ready(given[name])
    for picture in drawer(node.attrs["shows"])(name, node):
        if isinstance(picture, Picture):
            assert render(picture, theme, compact).content
            assert picture.alt.endswith(".") and picture.caption.endswith(".")


def test_the_null_of_a_comparison_shows_what_was_found(given):
    ax = plots.exchanged(given["distance"])
    line = next(line for line in ax.lines if line.get_gid() == "found")
    assert line.get_xdata()[0] == float(given["distance"]["value"])
    assert sum(patch.get_height() for patch in ax.patches if patch.get_gid() is None) == 19
    with pytest.raises(ValueError, match="permutations="):
        plots.exchanged(given["matching"])


def test_what_cannot_be_shown_says_what_can(given, tmp_path):
    separation = gdv(np.random.default_rng(0).normal(size=(6, 3)), list("aabbcc"))
    for wrong, error, said in (
        (compare(space(1), space(2)), TypeError, "got float"),
        (separation, ValueError, "not a comparison, a grid, compared models"),
        ({"alike": 0.3}, TypeError, "'alike' is a float"),
        (space(1), TypeError, "got DataArray"),
    ):
        with pytest.raises(error, match=said):
            page(wrong, tmp_path / "none.html")
    for draw in (plots.scores_by_area, tables.by_area):
        with pytest.raises(ValueError, match="models: no variable 'score' for each unit"):
            draw(given["models"])
