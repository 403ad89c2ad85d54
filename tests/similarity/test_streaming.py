"""Batches: the value of all stimuli, exactly, whatever the batches; and representations larger than memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import xarray as xr

from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.representation import as_representation
from neurodecode.similarity import StreamingComparison, compare, compare_grid
from neurodecode.similarity.streaming import STREAMED

OPTIONS = [(how, {}) for how in STREAMED] + [
    ("shape", {"alpha": 0.0}),
    ("shape", {"alpha": 1.0}),
    ("bures", {"normalized": False}),
    ("svcca", {"variance": 0.8}),
    ("linear_predictivity", {"alphas": [1.0], "direction": "yx", "n_folds": 4}),
]


@pytest.fixture(scope="module")
def sides():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 6)) * [1, 2, 0.5, 1, 3, 1] + 5
    y = x @ rng.normal(size=(6, 8)) + 2 * rng.normal(size=(120, 8)) - 2
    names = [f"s{at:03d}" for at in range(120)]
    return tuple(as_representation(side, stimulus=names, kind="network") for side in (x, y))


def in_batches(how, X, Y, rows, **options):
    stream = StreamingComparison(how, **options)
    for some in rows:
        stream.partial_fit(X.isel(sample=some), Y.isel(sample=some))
    return stream.finalize()


@pytest.mark.parametrize(("how", "options"), OPTIONS)
def test_batches_are_the_whole(how, options, sides):
    X, Y = sides
    whole = compare(X, Y, how, **options)
    parts = np.split(np.arange(120), [1, 30, 31, 90])
    assert in_batches(how, X, Y, parts, **options) == pytest.approx(whole, abs=1e-10)
    shuffled = np.split(np.random.default_rng(1).permutation(120), 7 * np.arange(1, 17))
    assert in_batches(how, X, Y, shuffled[::-1], **options) == pytest.approx(whole, abs=1e-10)


@pytest.mark.parametrize("how", ["cka", "cka_debiased", "procrustes", "rv"])
def test_means_far_from_zero(how, sides):
    X, Y = (side + 1e4 for side in sides)
    found = in_batches(how, X, Y, np.split(np.arange(120), 4))
    assert found == pytest.approx(compare(X, Y, how), abs=1e-10)


@pytest.mark.parametrize("how", ["cka", "cka_debiased", "procrustes", "cca", "pwcca", "linear_predictivity"])
def test_grids(how, sides):
    X, Y = sides
    layers = {"a": X, "b": X[:, :3] + Y[:, :3].values, "c": Y}
    areas = {"v1": Y[:, :4], "v2": Y}
    stream, itself = StreamingComparison(how), StreamingComparison(how)
    for some in np.split(np.arange(120), 5):
        batch = {name: layer.isel(sample=some) for name, layer in layers.items()}
        stream.partial_fit(batch, {name: area.isel(sample=some) for name, area in areas.items()})
        itself.partial_fit(batch)
    found = stream.finalize()
    atol = 1e-7 if how == "procrustes" else 1e-10  # the arccos of almost 1, for equal spaces
    xr.testing.assert_allclose(found, compare_grid(layers, areas, how), atol=atol)
    assert found["first"].values.tolist() == ["a", "b", "c"] and found["second"].values.tolist() == ["v1", "v2"]
    xr.testing.assert_allclose(itself.finalize(), compare_grid(layers, how=how), atol=atol)


def test_a_stimulus_counts_once(sides):
    X, Y = sides
    stream = StreamingComparison("cka").partial_fit(X[:50], Y[:50])
    with pytest.raises(AlignmentError, match="1 stimuli of this batch came before \\('s049'\\)"):
        stream.partial_fit(X[49:60], Y[49:60])
    plain = StreamingComparison("cka").partial_fit(X.values[:50], Y.values[:50])
    with pytest.raises(AlignmentError, match="this batch came before"):
        plain.partial_fit(X.values[:50], Y.values[:50])


def test_refused_batches_leave_no_trace(sides):
    X, Y = sides
    stream = StreamingComparison("cka").partial_fit(X[:50], Y[:50])
    before = stream.finalize()
    for left, right, text in (
        (X[50:60], Y[50:59], "missing"),
        (X[50:60, :3], Y[50:60], "not what it was"),
        ({"a": X[50:60]}, {"a": Y[50:60]}, "all be arrays"),
        (X[50:60], None, "with Y or without"),
        (X[50:60] * np.nan, Y[50:60], "NaN"),
    ):
        with pytest.raises((AlignmentError, DegenerateDataError), match=text):
            stream.partial_fit(left, right)
    assert stream.finalize() == before
    stream.partial_fit(X[50:], Y[50:])
    assert stream.finalize() == pytest.approx(compare(X, Y), abs=1e-12)


def test_units_in_another_order_are_refused(sides):
    X, Y = sides
    X = X.assign_coords(channel=("unit", list("abcdef")))
    stream = StreamingComparison("cka").partial_fit(X[:50], Y[:50])
    with pytest.raises(AlignmentError, match="not what it was"):
        stream.partial_fit(X[50:, ::-1], Y[50:])


def test_the_order_within_a_batch_is_that_of_labels(sides):
    X, Y = sides
    stream = StreamingComparison("cka").partial_fit(X[:60], Y[:60][::-1]).partial_fit(X[60:], Y[60:])
    assert stream.finalize() == pytest.approx(compare(X, Y), abs=1e-12)


def test_too_little_to_say(sides):
    X, Y = sides
    with pytest.raises(DegenerateDataError, match="2 stimuli have come"):
        StreamingComparison().partial_fit(X[:2], Y[:2]).finalize()
    with pytest.raises(DegenerateDataError, match="0 stimuli"):
        StreamingComparison().finalize()
    with pytest.raises(DegenerateDataError, match="constant"):
        StreamingComparison().partial_fit(X.values, np.ones((120, 2))).finalize()
    with pytest.raises(DegenerateDataError, match="1 whatever the data"):
        StreamingComparison("cca").partial_fit(X[:8], Y[:8]).finalize()
    with pytest.raises(ValueError, match="how='rsa'"):
        StreamingComparison("rsa")
    with pytest.raises(ValueError, match="modified"):
        StreamingComparison("rv", modified=True)
    with pytest.raises(ValueError, match="alfa"):
        StreamingComparison("shape", alfa=1)
    with pytest.raises(TypeError, match="both"):
        StreamingComparison().partial_fit(X, {"a": Y})


def test_larger_than_memory(tmp_path):
    rng = np.random.default_rng(0)
    n, p = 20_000, 40
    files = []
    for name in ("x", "y"):
        file = np.memmap(tmp_path / name, dtype=np.float32, mode="w+", shape=(n, p))
        for start in range(0, n, 1000):
            file[start : start + 1000] = rng.normal(size=(1000, p)) + np.linspace(0, 1, p)
        file.flush()
        files.append(np.memmap(tmp_path / name, dtype=np.float32, mode="r", shape=(n, p)))
    StreamingComparison("cka").fit(files[0][:600], files[1][:600], rows=500)
    tracemalloc.start()
    found = StreamingComparison("cka").fit(*files, rows=500).finalize()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * p * 8 / 4
    assert found == pytest.approx(compare(np.asarray(files[0]), np.asarray(files[1])), abs=1e-10)


def test_labelled_arrays_on_disk(tmp_path, sides):
    X, Y = sides
    for side, name in ((X, "x"), (Y, "y")):
        side.to_dataset(name="values").to_zarr(tmp_path / name, consolidated=False)
    one, two = (xr.open_zarr(tmp_path / name, chunks=None, consolidated=False)["values"] for name in ("x", "y"))
    assert StreamingComparison().fit(one, two, rows=32).finalize() == pytest.approx(compare(X, Y), abs=1e-10)
    with pytest.raises(AlignmentError, match="another order"):
        StreamingComparison().fit(one, two[::-1], rows=32)
    with pytest.raises(AlignmentError, match="X has 120 rows and Y has 119"):
        StreamingComparison().fit(X.values, Y.values[1:])
