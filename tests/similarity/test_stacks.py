"""Several matrices as one: met by label, never by position."""

from __future__ import annotations

import numpy as np
import pytest

from neurodecode.exceptions import AlignmentError
from neurodecode.similarity import as_rdm, compare_models, stack_rdms

NAMES = [f"s{at}" for at in range(8)]


def matrices(n=5, seed=0):
    rng = np.random.default_rng(seed)
    kinds = {"kind": np.resize(["a", "b"], 8)}
    made = {f"p{at}": as_rdm(rng.random(28), stimulus=NAMES, coords=kinds, attrs={"metric": "euclidean", "at": at})
            for at in range(n)}  # fmt: skip
    return made, [rng.permutation(8) for _ in range(n)]


def test_order_of_stimuli_does_not_matter():
    made, orders = matrices()
    R = stack_rdms(made)
    shuffled = {name: one[order, order] for (name, one), order in zip(made.items(), orders)}
    other = stack_rdms(shuffled)
    back = [other["stimulus"].values.tolist().index(name) for name in NAMES]
    np.testing.assert_array_equal(other.values[:, back][:, :, back], R.values)
    assert other["kind"].values[back].tolist() == R["kind"].values.tolist()
    assert R["subject"].values.tolist() == list(made) and R.attrs == {"metric": "euclidean"}
    assert float(compare_models({"first": made["p0"]}, R, n_bootstrap=0)["score"][0, 0]) == pytest.approx(1)


def test_what_does_not_meet_is_named():
    made, _ = matrices(2)
    renamed = as_rdm(np.ones(28), stimulus=[*NAMES[:7], "another"])
    with pytest.raises(AlignmentError, match="another"):
        stack_rdms({**made, "odd": renamed})
    with pytest.raises(ValueError, match="'all'"):
        stack_rdms({"p0": made["p0"], "all": stack_rdms(made)})
    with pytest.raises(ValueError, match="at least one"):
        stack_rdms({})


def test_what_all_have_is_kept_when_asked_for():
    made, _ = matrices(3)
    part = made["p1"][[5, 2, 0, 7]][:, [5, 2, 0, 7]]
    with pytest.raises(AlignmentError, match="join='inner'"):
        stack_rdms({**made, "p1": part})
    R = stack_rdms({**made, "p1": part}, join="inner")
    assert R["stimulus"].values.tolist() == ["s0", "s2", "s5", "s7"]
    for at, name in enumerate(made):
        np.testing.assert_array_equal(R.values[at], made[name].values[np.ix_([0, 2, 5, 7], [0, 2, 5, 7])])
    with pytest.raises(ValueError, match="dim='stimulus'"):
        stack_rdms(made, "stimulus")


def test_coordinates_in_which_matrices_differ_are_dropped():
    first, second, third = (
        as_rdm(np.arange(28.0), stimulus=NAMES, coords=coords)
        for coords in (
            {"kind": list("aabbaabb"), "session": [1] * 8},
            {"kind": list("aabbaabb"), "session": [2] * 8, "size": np.arange(8.0)},
            {},
        )
    )
    order = [3, 1, 0, 2, 7, 6, 5, 4]
    for R in (
        stack_rdms({"p0": first, "p1": second, "p2": third}),
        stack_rdms({"p0": first, "p1": second[order, order]}),
    ):
        assert "session" not in R.coords and R["kind"].values.tolist() == list("aabbaabb")
        np.testing.assert_array_equal(R["size"], np.arange(8))
    assert stack_rdms({"p0": first, "p1": first})["session"].values.tolist() == [1] * 8
