"""Fixed, weighted and selected models: planted weights, and scores that a fit has never seen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.similarity import Fixed, Selected, Weighted, as_rdm, compare_models, fit_model
from neurodecode.similarity.rdms import upper

N, PAIRS = 30, 435
NAMES = [f"s{at}" for at in range(N)]


def parts(seed, k=4):
    values = np.random.default_rng(seed).random((k, PAIRS))
    return {f"part {at}": as_rdm(row, stimulus=NAMES) for at, row in enumerate(values)}, values


def test_planted_weights_come_back():
    named, values = parts(0)
    true = np.array([2.0, 0.0, 1.0, 0.0])
    rdms = as_rdm(true @ values + 0.01 * np.random.default_rng(1).random((6, PAIRS)), stimulus=NAMES)
    for how in ("pearson", "cosine", "whitened_cosine", "spearman"):
        weights = Weighted(named).fit(rdms, how).weights
        assert weights[0] / weights[2] == pytest.approx(2.0, rel=0.1), how
        assert (weights[[1, 3]] < 0.05 * weights[0]).all(), how


def test_the_weights_are_non_negative_least_squares():
    named, values = parts(2)
    one = np.random.default_rng(3).random(PAIRS)
    found = Weighted(named).fit(as_rdm(one, stimulus=NAMES), "pearson")
    centred = values - values.mean(1, keepdims=True)
    target = one - one.mean()
    expected = nnls(centred.T, target / np.linalg.norm(target))[0]
    np.testing.assert_allclose(found.weights, expected, atol=1e-6)
    np.testing.assert_allclose(upper(found.prediction), found.weights @ values, atol=1e-12)


def test_the_best_part_is_selected():
    named, values = parts(4)
    rdms = as_rdm(values[2] + np.random.default_rng(5).random((5, PAIRS)), stimulus=NAMES)
    assert Selected(named).fit(rdms).weights.tolist() == [0.0, 0.0, 1.0, 0.0]
    assert Fixed(named["part 1"]).fit(rdms).weights.tolist() == [1.0]


def test_a_fit_is_scored_on_people_and_stimuli_it_has_not_seen():
    """Many free parts and data of noise: in its own data the fit looks good, held out it is at 0."""
    named, _ = parts(6, k=40)
    rng = np.random.default_rng(7)
    held, seen = [], []
    for _ in range(10):
        rdms = as_rdm(rng.random(PAIRS) + 0.2 * rng.random((6, PAIRS)), stimulus=NAMES)
        model = Weighted(named)
        found = compare_models(
            {"fit": model, "best": Selected(named)}, rdms, how="pearson", n_bootstrap=0, random_state=0
        )
        held.append(found["mean"].values)
        seen.append(np.corrcoef(upper(model.fit(rdms, "pearson").prediction), upper(rdms).mean(0))[0, 1])
    assert np.mean(seen) > 0.15  # about 20 of 40 parts take part: sqrt(20 / 435) = .21
    assert np.abs(np.mean(held, axis=0)).max() < 3 * np.std(held, axis=0).max() / np.sqrt(10)


def test_a_mixture_is_predicted_better_by_weights_than_by_its_best_part():
    named, values = parts(8)
    people = np.array([1.0, 0.8, 0.0, 0.0]) @ values + 0.5 * np.random.default_rng(9).random((8, PAIRS))
    rdms = as_rdm(people, stimulus=NAMES)
    models = {"weighted": Weighted(named), "selected": Selected(named), "part 0": named["part 0"]}
    found = compare_models(models, rdms, bootstrap="both", n_bootstrap=10, random_state=0)
    assert found.attrs["folds"] == 3
    assert found["mean"][0] > found["mean"][1] == found["mean"][2]
    assert found["p_pair"][0, 2] < 0.01 and found["p_pair"][1, 2] == 1.0
    assert found.attrs["weights"]["weighted"]["part 0"] > found.attrs["weights"]["weighted"]["part 2"]


def test_a_model_that_finds_nothing_scores_zero():
    named, values = parts(10, k=2)
    rdms = as_rdm(5.0 - values.mean(0) + 0.01 * np.random.default_rng(0).random((4, PAIRS)), stimulus=NAMES)
    found = compare_models({"fit": Weighted(named)}, rdms, n_bootstrap=0, random_state=0)
    assert (found["score"] == 0).all() and found.attrs["degenerate"] == []


def test_what_is_refused():
    named, _ = parts(11)
    with pytest.raises(DegenerateDataError, match="2 parts"):
        Weighted({"one": named["part 0"]})
    with pytest.raises(TypeError, match="name -> matrix"):
        Selected([named["part 0"]])
    other = as_rdm(np.arange(3.0), stimulus=["a", "b", "c"])
    with pytest.raises(AlignmentError):
        Weighted({"one": named["part 0"], "two": other})
    assert fit_model(Fixed(other), other).prediction.equals(other)
