"""Correlations as features: against the formula and numpy, what does not matter, planted truth, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from references.connectivity import slow_correlations

from neurodecode.connectivity import correlations
from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.representation import as_representation

PEOPLE = ["ann", "bob", "cleo"]


def recording(seed=0, lengths=(40, 60, 30), regions=6, dtype=np.float64, **unit):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(regions, regions))
    values = (rng.normal(size=(sum(lengths), regions)) @ mixing + 3).astype(dtype)
    who = np.repeat(PEOPLE[: len(lengths)], lengths)
    return as_representation(
        values,
        stimulus=["rest"] * len(who),
        kind="fmri",
        sample={"subject": who, "site": np.repeat(["a", "b", "a"][: len(lengths)], lengths), "volume": range(len(who))},
        unit=unit or {"region": [f"r{k}" for k in range(regions)], "hemi": ["left", "right"] * (regions // 2)},
        attrs={"dataset": "drawn"},
    )


@pytest.mark.parametrize("fisher", [True, False])
def test_equals_the_formula_and_numpy(fisher):
    X = recording()
    found = correlations(X, fisher=fisher)
    who = X["subject"].values.tolist()
    np.testing.assert_allclose(found.values, slow_correlations(X.values, who, fisher), rtol=1e-10)
    upper = np.triu_indices(6, 1)
    for row, person in enumerate(PEOPLE):
        r = np.corrcoef(X.values[np.asarray(who) == person].T)[upper]
        np.testing.assert_allclose(found.values[row], np.arctanh(r) if fisher else r, rtol=1e-10)


def test_labels():
    X = recording()
    found = correlations(X)
    assert found.dims == ("sample", "unit") and found.shape == (3, 15)
    assert found["stimulus"].values.tolist() == found["subject"].values.tolist() == PEOPLE
    assert found["site"].values.tolist() == ["a", "b", "a"] and "volume" not in found.coords
    one, other = np.triu_indices(6, 1)
    for name in ("region", "hemi"):
        assert found[f"{name}_1"].values.tolist() == X[name].values[one].tolist()
        assert found[f"{name}_2"].values.tolist() == X[name].values[other].tolist()
    assert found.attrs["kind"] == "connectivity" and found.attrs["dataset"] == "drawn"
    bare = as_representation(X.values, stimulus=["rest"] * 130, kind="fmri", sample={"subject": X["subject"].values})
    assert correlations(bare)["region_2"].values.tolist() == other.tolist()


def test_parts_equal_the_whole_and_plain_equals_labelled():
    X = recording()
    whole = correlations(X)
    parts = (X[X["subject"].values == person] for person in PEOPLE)
    assert correlations(parts).identical(whole)
    np.testing.assert_array_equal(correlations(X.values, by=X["subject"].values), whole.values)
    mixed = X[np.random.default_rng(1).permutation(130)]
    other = correlations(mixed)
    order = [other["subject"].values.tolist().index(person) for person in PEOPLE]
    np.testing.assert_allclose(other.values[order], whole.values, rtol=1e-10)


def test_scale_and_shift_do_not_matter_and_sign_does():
    X = recording()
    found = correlations(X)
    scaled = X * np.linspace(0.5, 40, 6) - np.arange(6)
    np.testing.assert_allclose(correlations(scaled.assign_attrs(X.attrs)).values, found.values, rtol=1e-9)
    flipped = X * np.where(np.arange(6) == 0, -1.0, 1.0)
    turned = np.where(found["region_1"].values == "r0", -1, 1)
    np.testing.assert_allclose(correlations(flipped).values, found.values * turned, rtol=1e-9)


def test_precision():
    single = correlations(recording(dtype=np.float32))
    assert single.dtype == np.float32
    exact = correlations(recording(dtype=np.float32).astype(np.float64))
    assert exact.dtype == np.float64
    np.testing.assert_allclose(single.values, exact.values, rtol=1e-6, atol=1e-7)


def test_planted_pair_stands_out_and_others_do_not():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(400, 8))
    values[:, 5] = 0.6 * values[:, 2] + 0.8 * values[:, 5]
    found = correlations(values, by=["one"] * 400, fisher=False)[0]
    one, other = np.triu_indices(8, 1)
    planted = (one == 2) & (other == 5)
    assert found[planted].item() == pytest.approx(0.6, abs=0.1)
    assert np.abs(found[~planted]).max() < 0.2
    assert np.sqrt(397) * np.arctanh(found[~planted]).std() == pytest.approx(1, abs=0.4)


def test_a_region_that_does_not_vary_is_refused_or_listed():
    X = recording()
    X.values[40:100, 4] = 7.25
    with pytest.raises(DegenerateDataError, match=r"1 regions do not vary in 'bob': 'r4'.*constant='zero'"):
        correlations(X)
    found = correlations(X, constant="zero")
    assert found.attrs["constant"] == [{"subject": "bob", "region": "r4"}]
    touched = (found["region_1"].values == "r4") | (found["region_2"].values == "r4")
    assert (found.values[1, touched] == 0).all() and (found.values[1, ~touched] != 0).all()
    assert (found.values[[0, 2]] != 0).all()


def test_refusals():
    X = recording()
    with pytest.raises(AlignmentError, match=r"no such coordinate; they have .*subject"):
        correlations(X, by="person")
    with pytest.raises(AlignmentError, match="one label for each of its 130 time points"):
        correlations(X.values)
    with pytest.raises(AlignmentError, match="'bob' stands in two parts"):
        correlations([X[:60], X[60:]])
    with pytest.raises(AlignmentError):
        correlations([X[:40], X[40:100, ::-1]])
    with pytest.raises(AlignmentError, match="dimensions"):
        correlations(X.transpose("unit", "sample"))
    with pytest.raises(AlignmentError, match="iterable of representations"):
        correlations([X.values])
    with pytest.raises(DegenerateDataError, match="empty"):
        correlations([])
    with pytest.raises(DegenerateDataError, match="'ann' has 2 time points"):
        correlations(X[38:42])
    with pytest.raises(DegenerateDataError, match="1 region"):
        correlations(X[:, :1])
    copied = X.copy()
    copied.values[:, 3] = 2 * copied.values[:, 1] + 1
    with pytest.raises(DegenerateDataError, match=r"'r1' and 'r3'.*infinite"):
        correlations(copied)
    assert np.abs(correlations(copied, fisher=False).values).max() == pytest.approx(1)
    holed = X.copy()
    holed.values[3, 2] = np.nan
    with pytest.raises(DegenerateDataError):
        correlations(holed)
    with pytest.raises(ValueError, match="constant"):
        correlations(X, constant="drop")
