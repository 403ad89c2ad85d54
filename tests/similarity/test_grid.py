"""Grids: every cell is the comparison of its pair, every space is worked out once."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr

from neurodecode.evaluation import fdr
from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.representation import as_representation, concat
from neurodecode.similarity import MEASURES, as_rdm, compare, compare_grid, rsa

NAMES = [f"s{at:02d}" for at in range(40)]


def space(p, seed, names=NAMES, **more):
    return as_representation(
        np.random.default_rng(seed).normal(size=(len(names), p)), stimulus=names, kind="network", **more
    )


@pytest.fixture(scope="module")
def layers():
    return {"conv1": space(4, 0), "conv2": space(5, 1), "fc": space(3, 2)}


@pytest.fixture(scope="module")
def areas(layers):
    return {"V1": layers["conv1"][::-1] + 0.3 * space(4, 4)[::-1].values, "IT": layers["fc"]}


@pytest.mark.parametrize("how", [how for how in MEASURES if how not in ("gw", "sparse_matching", "soft_matching")])
def test_cells_are_comparisons(how, layers, areas):
    grid = compare_grid(layers, areas, how)
    assert grid.dims == ("first", "second") and grid.attrs["how"] == how
    for a in layers:
        for b in areas:
            assert float(grid.sel(first=a, second=b)) == pytest.approx(compare(layers[a], areas[b], how), abs=1e-9)
    itself = compare_grid(layers, how=how)
    for a in layers:
        for b in layers:
            assert float(itself.sel(first=a, second=b)) == pytest.approx(compare(layers[a], layers[b], how), abs=1e-7)


def test_one_array_and_a_coordinate(layers, areas):
    network = concat(layers, label="layer")
    brain = concat({name: area.sortby("stimulus") for name, area in areas.items()}, label="roi")
    grid = compare_grid(network, brain, "cka", by="layer", by_other="roi")
    assert grid.dims == ("layer", "roi")
    np.testing.assert_allclose(grid, compare_grid(layers, areas, "cka"), atol=1e-12)
    square = compare_grid(network, how="cka", by="layer")
    assert square.dims == ("layer", "layer_other")
    np.testing.assert_allclose(np.diag(square), 1)
    np.testing.assert_array_equal(square, square.T)


def test_areas_over_time(layers):
    rng = np.random.default_rng(5)
    values = rng.normal(size=(40, 6, 5))
    values[:, :4, 3] += 3 * layers["conv1"].values
    epochs = as_representation(values, stimulus=NAMES, kind="eeg", time=np.arange(5) * 0.1)
    grid = compare_grid(layers, {"occipital": epochs}, "cka_debiased")
    assert grid.dims == ("first", "second", "time")
    np.testing.assert_allclose(grid["time"], np.arange(5) * 0.1)
    assert grid.sel(first="conv1", second="occipital").argmax() == 3
    assert float(grid.isel(first=1, second=0, time=2)) == pytest.approx(
        compare(layers["conv2"], epochs.isel(time=2), "cka_debiased")
    )
    across = compare_grid(epochs, how="procrustes", by="time")
    assert across.dims == ("time", "time_other") and across.shape == (5, 5)
    same = compare_grid({"a": epochs}, {"b": epochs + 1}, "cka")
    assert same.dims == ("first", "second", "time")
    np.testing.assert_allclose(same, 1)
    every = compare_grid({"a": epochs}, {"b": epochs + 1}, "cka", times="all")
    assert every.dims == ("first", "second", "time", "time_other")
    np.testing.assert_allclose(np.diag(every[0, 0]), 1)
    assert float(every[0, 0, 1, 3]) == pytest.approx(compare(epochs[..., 1], epochs[..., 3]))
    later = epochs.assign_coords(time=epochs["time"] + 1)
    with pytest.raises(AlignmentError, match="other times"):
        compare_grid({"a": epochs}, {"b": later}, "cka")
    with pytest.raises(AlignmentError, match="other times"):
        compare_grid({"a": epochs, "b": later}, layers, "cka")


def test_plain_arrays_and_matrices(layers):
    plain = {name: layer.values for name, layer in layers.items()}
    np.testing.assert_allclose(compare_grid(plain, how="cka"), compare_grid(layers, how="cka"))
    np.testing.assert_allclose(
        compare_grid({"a": np.stack([plain["fc"]] * 2, -1)}, plain, "cka")[0, :, 0], compare_grid(plain, how="cka")[2]
    )
    rdms = {
        name: as_rdm(np.where(np.eye(40), 0, 1 - np.corrcoef(layer.values)), stimulus=NAMES)
        for name, layer in layers.items()
    }
    expected = compare_grid(layers, how="rsa")
    np.testing.assert_allclose(compare_grid(rdms, how="rsa"), expected, atol=1e-10)
    np.testing.assert_allclose(compare_grid(layers, rdms, "rsa"), expected, atol=1e-10)
    with pytest.raises(AlignmentError, match="dissimilarity matrix"):
        compare_grid(rdms, how="cka")


def test_permutations(layers, areas):
    found = compare_grid(layers, areas, "procrustes", permutations=99, random_state=3)
    assert found["null"].dims == ("permutation", "first", "second")
    planted = [("conv1", "V1"), ("fc", "IT")]
    for a in layers:
        for b in areas:
            alone = compare(layers[a], areas[b], "procrustes", permutations=99, random_state=3)
            cell = found.sel(first=a, second=b)
            np.testing.assert_allclose(cell["null"], alone["null"], atol=1e-9)
            assert float(cell["p"]) == float(alone["p"])
            assert float(cell["p_max"]) >= float(cell["p"])
            assert (float(cell["p_max"]) == 0.01) == ((a, b) in planted)
    assert found.attrs["alike"] == "smaller" and found.attrs["n_permutations"] == 99


def test_family_wise_errors_are_rare():
    """200 grids of unrelated spaces: the smallest p_max is at or below .05 in about one of twenty."""
    wrong = 0
    for seed in range(200):
        rng = np.random.default_rng(10_000 + seed)
        one, two = ({name: rng.normal(size=(14, 3)) for name in "abc"} for _ in range(2))
        found = compare_grid(one, two, "cka_debiased", permutations=39, random_state=seed)
        wrong += bool((found["p_max"] <= 0.05).any())
    assert 1 <= wrong <= 22


def test_every_space_is_worked_out_once(layers, monkeypatch):
    from neurodecode.similarity import spaces

    calls = []
    monkeypatch.setattr(spaces, "directions", lambda x, real=spaces.directions: calls.append(x.shape) or real(x))
    compare_grid(layers, how="cca")
    assert len(calls) == 3


def test_stimuli_that_one_array_does_not_have(layers, areas):
    other = {**areas, "FFA": space(3, 9, names=["somebody", *NAMES[1:]])}
    with pytest.raises(AlignmentError, match=r"B\['FFA'\].*somebody"):
        compare_grid(layers, other)
    twice = {"a": xr.concat([layers["fc"]] * 2, dim="sample")}
    with pytest.raises(AlignmentError, match="average_repeats"):
        compare_grid(layers, twice)
    with pytest.raises(AlignmentError, match="plain array"):
        compare_grid(layers, {"a": np.ones((40, 2))})


def test_what_cannot_be_a_grid(layers):
    with pytest.raises(ValueError, match="by='layer'"):
        compare_grid(layers["fc"], by="layer")
    with pytest.raises(ValueError, match="empty"):
        compare_grid({})
    with pytest.raises(ValueError, match="times='some'"):
        compare_grid(layers, times="some")
    with pytest.raises(ValueError, match="how="):
        compare_grid(layers, how="ckaa")


@pytest.mark.parametrize("how", ["cka", "cka_debiased", "rv"])
@pytest.mark.parametrize("held", [1 << 24, 5000, 1], ids=["whole", "blocks", "rows"])
def test_all_pairs_through_samples_are_the_pairs(how, held, monkeypatch):
    from neurodecode.compute import alignment

    monkeypatch.setattr(alignment, "HELD", held)
    shared = np.random.default_rng(9).normal(size=(40, 3))

    def network(seed, widths):
        rng = np.random.default_rng(seed)
        return {f"at{p}": shared @ rng.normal(size=(3, p)) + 2 * rng.normal(size=(40, p)) + 7 for p in widths}

    one, two = network(10, (30, 50, 45, 38)), network(11, (60, 33, 41))
    rows = [[x - x.mean(0) for x in side.values()] for side in (one, two)]
    assert alignment.through_samples(*rows) and alignment.through_samples(rows[0])
    found, itself = compare_grid(one, two, how), compare_grid(one, how=how)
    for a, x in one.items():
        for b, y in two.items():
            assert float(found.sel(first=a, second=b)) == pytest.approx(compare(x, y, how), abs=1e-12)
        for b, y in one.items():
            assert float(itself.sel(first=a, second=b)) == pytest.approx(compare(x, y, how), abs=1e-12)
    np.testing.assert_allclose(np.diag(itself), 1, atol=1e-12)
    np.testing.assert_array_equal(itself, itself.T)


def test_the_way_through_samples_is_taken_where_it_is_less_work(monkeypatch):
    from neurodecode.compute import alignment

    few = [np.zeros((1000, 4))] * 3
    assert not alignment.through_samples(few) and not alignment.through_samples(few, few)
    rng = np.random.default_rng(12)
    many = {name: rng.normal(size=(20, 100)) for name in "abcdef"}
    pairs = []
    monkeypatch.setattr(
        "neurodecode.similarity.kernels.cross_power", lambda *sides: pairs.append(sides) or torch.ones(())
    )
    compare_grid(many, how="cka")
    assert not pairs
    compare_grid({name: rows[:, :2] for name, rows in many.items()}, how="cka")
    assert len(pairs) == 21  # 6 with themselves, 15 with others


def test_false_discoveries_are_corrected_over_the_grid(layers, areas):
    found = compare_grid(layers, areas, "cka_debiased", permutations=39, random_state=0)
    np.testing.assert_allclose(found["p_fdr"].values.reshape(-1), fdr(found["p"].values.reshape(-1)))
    assert bool((found["p_fdr"] >= found["p"] - 1e-12).all())
    assert float(found["p_fdr"].sel(first="conv1", second="V1")) < 0.1 < float(found["p_fdr"].sel(second="V1")[1])


@pytest.mark.parametrize("how", ["cka", "pwcca"])
def test_a_space_with_itself_is_no_test(how, layers):
    found = compare_grid(layers, how=how, permutations=19, random_state=0)
    p, adjusted = found["p"].values, found["p_fdr"].values
    off = ~np.eye(3, dtype=bool)
    assert np.isnan(np.diag(adjusted)).all()
    tests = np.triu(off) if how == "cka" else off  # of a symmetric measure every pair is one test
    np.testing.assert_allclose(adjusted[tests], fdr(p[tests]))
    if how == "cka":
        np.testing.assert_array_equal(adjusted, adjusted.T)


def test_each_side_has_its_own_coordinate(layers, areas):
    network = concat(layers, label="layer")
    brain = concat({name: area.sortby("stimulus") for name, area in areas.items()}, label="roi")
    with pytest.raises(ValueError, match=r"by=\('layer', 'roi'\): .* by='layer', by_other='roi'"):
        compare_grid(network, brain, by=("layer", "roi"))
    with pytest.raises(ValueError, match="by_other=3: expected the name of one coordinate"):
        compare_grid(network, brain, by="layer", by_other=3)
    with pytest.raises(ValueError, match=r"B: .* by_other= a coordinate of its units \(roi\).* by_other='layer' came"):
        compare_grid(network, brain, by="layer")


def test_another_coordinate_of_the_same_array_is_another_side(layers):
    both = concat(layers, label="layer")
    both = both.assign_coords(half=("unit", np.where(np.arange(both.sizes["unit"]) % 2, "odd", "even")))
    grid = compare_grid(both, both, "cka", by="layer", by_other="half")
    assert grid.dims == ("layer", "half") and grid.shape == (3, 2)
    odd = both[:, both["half"].values == "odd"]
    assert float(grid.sel(layer="fc", half="odd")) == pytest.approx(compare(layers["fc"], odd, "cka"))
    xr.testing.assert_identical(compare_grid(both, how="cka", by="layer", by_other="half"), grid)
    again = compare_grid(layers, layers, "cka", by="layer", by_other="again", permutations=19, random_state=0)
    assert again["value"].dims == ("layer", "again") and np.isnan(np.diag(again["p_fdr"])).all()


def test_a_dictionary_keeps_its_own_name_beside_a_coordinate(layers, areas):
    network = concat(layers, label="layer")
    assert compare_grid(network, areas, "cka", by="layer").dims == ("layer", "second")
    assert compare_grid(areas, network, "cka", by_other="layer").dims == ("first", "layer")


def test_times_of_either_side_have_names_of_their_own():
    values = np.random.default_rng(3).normal(size=(40, 6, 3))
    epochs = as_representation(values, stimulus=NAMES, kind="meg").assign_coords(time=[0.1, 0.2, 0.3])
    layer = space(5, 4)
    grid = compare_grid(epochs, {"fc": layer}, "cka", by="time")
    assert grid.dims == ("time", "second") and grid["second"].values.tolist() == ["fc"]
    np.testing.assert_array_equal(grid["time"], epochs["time"])
    one = compare_grid(epochs, {"all": epochs}, "cka", by="time")
    two = compare_grid({"all": epochs}, epochs, "cka", by_other="time")
    assert one.dims == ("time", "second", "time_other") and two.dims == ("first", "time_other", "time")
    here = compare(epochs.isel(time=1), epochs.isel(time=2), "cka")
    assert float(one[1, 0, 2]) == pytest.approx(here) and float(two[0, 1, 2]) == pytest.approx(here)
    with pytest.raises(ValueError, match="by='time' names the dimension of a dictionary whose arrays have times"):
        compare_grid({"all": epochs}, {"fc": layer}, by="time")


def test_names_that_cannot_stand_on_an_axis(layers, areas):
    with pytest.raises(ValueError, match=r"A has the name \('V1', 'left'\)"):
        compare_grid({("V1", "left"): layers["fc"]}, areas)
    network = concat(layers, label="layer")
    depth = np.where(np.arange(network.sizes["unit"]) < 3, np.nan, 1.0)
    with pytest.raises(DegenerateDataError, match="some units have no 'depth'"):
        compare_grid(network.assign_coords(depth=("unit", depth)), by="depth")


def test_a_grid_says_what_was_asked(layers):
    grid = compare_grid(layers, how=partial(rsa, score="kendall_tau_a"), metric="euclidean")
    assert grid.attrs["how"] == "rsa" and grid.attrs["options"] == {"score": "kendall_tau_a", "metric": "euclidean"}
    assert grid.attrs["alike"] == "larger" and grid.attrs["n_samples"] == 40
    assert compare_grid(layers, how="procrustes").attrs["alike"] == "smaller"
