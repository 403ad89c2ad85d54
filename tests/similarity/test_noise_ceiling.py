"""Noise ceilings: planted values, rsatoolbox, and what cannot have one."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from references.similarity import slow_spearman_sample

from neurodecode.compute.resample import (
    dense_codes,
    dual_variance,
    holm,
    pair_weights,
    standing,
    standing_of_codes,
    standing_of_whole,
)
from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.similarity import Fixed, as_rdm, compare, compare_models, noise_ceiling
from neurodecode.similarity.rdm_scores import RDM_SCORES
from neurodecode.similarity.resampling import Problem, left_out
from neurodecode.similarity.weighted import COSINES, Sample, bounds_of_products, sums_of_products

PEERS = {"spearman": "spearman", "pearson": "corr", "cosine": "cosine", "kendall": "tau-a"}


def names(n):
    return [f"s{at}" for at in range(n)]


def family(seed, people=8, n=14, noise=1.0):
    """A true vector of pairs, and people who have it with noise of their own."""
    rng = np.random.default_rng(seed)
    true = rng.random(n * (n - 1) // 2)
    return true, true + noise * rng.random((people, true.size))


@pytest.mark.parametrize(("sd", "low", "high"), [(0.5, 0.876, 0.896), (1.0, 0.674, 0.733), (2.0, 0.411, 0.536)])
def test_planted_noise_and_the_true_model_between_the_bounds(sd, low, high):
    rng = np.random.default_rng(18)
    found = []
    for _ in range(40):
        true = rng.normal(size=190)
        people = true + sd * rng.normal(size=(12, 190))
        ceiling = noise_ceiling(as_rdm(people, stimulus=names(20)), "pearson")
        found.append([ceiling["lower"].item(), np.mean([np.corrcoef(true, p)[0, 1] for p in people]), ceiling["upper"]])
    lower, right, upper = np.mean(found, axis=0)
    assert lower < right < upper
    assert lower == pytest.approx(low, abs=0.04) and upper == pytest.approx(high, abs=0.04)


@pytest.mark.parametrize("how", sorted(PEERS))
def test_the_same_as_rsatoolbox(how):
    inference = pytest.importorskip("rsatoolbox.inference")
    from rsatoolbox.rdm import RDMs

    _, people = family(1)
    people = np.round(people, 1)  # ties
    found = noise_ceiling(as_rdm(people, stimulus=names(14)), how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lower, upper = inference.boot_noise_ceiling(RDMs(people), method=PEERS[how])
    assert found["lower"].item() == pytest.approx(lower, abs=1e-9)
    assert found["upper"].item() == pytest.approx(upper, abs=1e-9)


@pytest.mark.parametrize("how", ["spearman", "pearson", "cosine", "whitened_cosine", "whitened_pearson"])
def test_a_resample_is_the_matrix_written_out(how):
    """Counts give what comes out when stimuli are copied, and pairs of copies of one stimulus are left out."""
    _, people = family(2, people=3, n=8)
    rng = np.random.default_rng(3)
    square = np.zeros((3, 8, 8))
    square[:, *np.triu_indices(8, 1)] = people
    square += square.transpose(0, 2, 1)
    counts = np.bincount(rng.integers(0, 8, 8), minlength=8).astype(float)
    drawn = np.repeat(np.arange(8), counts.astype(int))
    full = square[:, drawn][:, :, drawn]
    full[:, drawn[:, None] == drawn] = np.nan
    written = full[:, *np.triu_indices(8, 1)]
    measure = COSINES[how]
    prepared = measure.prepare(people)
    sample = Sample.of(counts, np.ones(28, dtype=bool))
    np.testing.assert_allclose(measure.scores(prepared, prepared, sample), RDM_SCORES[how](written, written), atol=1e-9)


def test_sums_of_products_are_the_scores_one_by_one():
    true, people = family(4)
    models = np.vstack([true, true[::-1], np.ones(91)])
    counts = np.random.default_rng(5).multinomial(14, np.full(14, 1 / 14), size=6).astype(float)
    valid = np.ones(91, dtype=bool)
    valid[7] = False
    times = np.ones((1, 8))
    for how in ("pearson", "cosine"):
        scores, gram = sums_of_products(people, models, counts, valid, how == "pearson")
        for at, row in enumerate(counts):
            sample = Sample.of(row, valid)
            np.testing.assert_allclose(scores[at], COSINES[how].scores(models, people, sample), atol=1e-10)
            one_by_one = COSINES[how].bounds(people[:, sample.kept], sample, times)
            for one, two in zip(bounds_of_products(gram[at], times), one_by_one):
                np.testing.assert_allclose(one, two, atol=1e-10)


def test_ranks_with_weights_are_ranks_of_copies():
    from scipy.stats import rankdata

    rng = np.random.default_rng(6)
    values, weights = rng.integers(0, 9, (3, 40)) / 2.0, rng.integers(1, 4, 40).astype(float)
    copies = np.repeat(values, weights.astype(int), axis=1)
    first = np.concatenate([[0], np.cumsum(weights)[:-1]]).astype(int)
    expected = 2 * rankdata(copies, axis=1)[:, first] - weights.sum() - 1
    np.testing.assert_array_equal(standing(values, weights), expected)
    everything = np.arange(40)
    np.testing.assert_array_equal(standing_of_codes(dense_codes(values), everything, weights), expected)
    for scale in (2.0, 4.0, 2e6, 2e12):  # one digit, all even, two digits, three
        np.testing.assert_array_equal(standing_of_whole(values * scale, weights), expected)
    once = np.ones(40)
    expected = 2 * rankdata(values, axis=1) - 41
    np.testing.assert_array_equal(standing(values, once), expected)
    np.testing.assert_array_equal(standing_of_codes(dense_codes(values), everything, once), expected)
    np.testing.assert_array_equal(standing_of_whole(-2 * values, once), -expected)
    some = np.arange(3, 40, 4)
    expected = 2 * rankdata(values[:, some], axis=1) - 11
    np.testing.assert_array_equal(standing_of_codes(dense_codes(values), some, np.ones(10)), expected)
    for ranked in (standing, standing_of_whole):
        assert ranked(np.empty((2, 0)), np.ones(0)).shape == (2, 0)
    assert standing_of_codes(dense_codes(values), some[:0], np.ones(0)).shape == (3, 0)


@pytest.mark.parametrize("levels", [None, 4])
def test_scores_and_ceilings_of_order_are_those_of_samples_written_out(levels):
    """Without one and two, and drawn with repeats: stimuli and people, pairs that one lacks, with ties and without."""
    rng, n, s = np.random.default_rng(19), 9, 5
    matrices = rng.random((s + 3, n, n)) + rng.random((n, n))
    matrices = matrices + matrices.transpose(0, 2, 1)
    if levels:
        matrices = np.round(levels * matrices)
    matrices[1, 2, 3] = matrices[1, 3, 2] = matrices[s, 4, 5] = matrices[s, 5, 4] = np.nan
    matrices[-1] = 1.0  # a model that says nothing
    people, models = matrices[:s], matrices[s:]
    vectors = matrices[:, *np.triu_indices(n, 1)]
    valid = np.isfinite(vectors).all(0)
    vectors[:, ~valid] = 0.0
    measure = COSINES["spearman"]
    entries = [(Fixed(as_rdm(np.arange(1.0, 4.0), stimulus=names(3))), row[None]) for row in vectors[s:]]
    problem = Problem(measure, measure.prepare(vectors[:s]), entries, n, valid)
    times = np.vstack([left_out(s), rng.multinomial(s, np.full(s, 1 / s), size=6), np.eye(s)[:1] * s])
    counts = np.vstack([np.ones((1, n)), left_out(n)[[3, 20]], rng.multinomial(n, np.full(n, 1 / n), size=4)])
    found = problem.across(counts, times[None])
    for at, drawn in enumerate(counts.astype(int)):
        for draw, often in enumerate(times.astype(int)):
            who = list(np.repeat(np.arange(s), often))
            expected = slow_spearman_sample(people, models, list(np.repeat(np.arange(n), drawn)), who)
            np.testing.assert_allclose(found[at, draw], expected, atol=1e-12)
    np.testing.assert_array_equal(problem.across(counts, times[None].astype(int)), found)
    # A thousand copies of each stimulus: sums beyond 32 bits, and nothing else.
    np.testing.assert_allclose(problem.across(1000 * counts, times[None]), found, atol=1e-12)


def test_order_of_stimuli_and_of_people_changes_nothing():
    _, people = family(7)
    rdms = as_rdm(people, stimulus=names(14))
    order = np.random.default_rng(8).permutation(14)
    shuffled = rdms.isel(stimulus=order, stimulus_other=order, subject=np.arange(8)[::-1])
    for one, two in zip(noise_ceiling(rdms).values(), noise_ceiling(shuffled).values()):
        np.testing.assert_allclose(one.mean(), two.mean(), atol=1e-12)


def test_one_person_has_no_ceiling():
    _, people = family(9)
    found = noise_ceiling(as_rdm(people[0], stimulus=names(14)), bootstrap="stimulus")
    assert np.isnan(found["lower"]) and np.isnan(found["upper"])
    assert "one subject" in found.attrs["reason"]


def test_the_bootstrap_counts_what_it_cannot_use():
    _, people = family(10, people=2, n=7)
    rdms = as_rdm(people, stimulus=names(7))
    found = noise_ceiling(rdms, "pearson", bootstrap="both", n_bootstrap=200, random_state=0)
    counts = found.attrs["degenerate_draws"]
    assert counts["n_resamples"] == 200 and counts["one_subject"] > 60 and counts["few_stimuli"] > 0
    assert int(np.isnan(found["lower_draw"]).sum()) >= counts["one_subject"]
    again = noise_ceiling(rdms, "pearson", bootstrap="both", n_bootstrap=200, random_state=0)
    assert found.identical(again) and found["lower_se"] > 0


@pytest.mark.parametrize("how", ["kendall", "kendall_tau_a", "kendall tau-a"])
def test_kendall_has_more_than_one_name(how):
    true, people = family(14, people=4, n=8)
    rdms, model = as_rdm(people, stimulus=names(8)), as_rdm(true, stimulus=names(8))
    expected = RDM_SCORES["kendall"](true[None], people)[0]
    np.testing.assert_allclose(compare_models({"one": model}, rdms, how=how, n_bootstrap=0)["score"][0], expected)
    assert noise_ceiling(rdms, how)["lower"] == noise_ceiling(rdms, "kendall")["lower"]
    assert compare(model, rdms.isel(subject=0), "rsa", score=how) == pytest.approx(expected[0])


def test_what_is_refused():
    _, people = family(11, n=5)
    rdms = as_rdm(people, stimulus=names(5))
    with pytest.raises(DegenerateDataError, match="needs 6 stimuli"):
        noise_ceiling(rdms, bootstrap="stimulus")
    with pytest.raises(ValueError, match=r"bootstrap=.subjects"):
        noise_ceiling(rdms, bootstrap="subjects")
    with pytest.raises(DegenerateDataError, match="constant"):
        noise_ceiling(as_rdm(np.ones((2, 10)), stimulus=names(5)))
    with pytest.raises(ValueError, match="Did you mean 'spearman'"):
        noise_ceiling(rdms, "spearmann")
    with pytest.raises((TypeError, AlignmentError)):
        noise_ceiling(people)


def test_pairs_that_one_person_lacks_are_left_out_for_all():
    _, people = family(12)
    holes = people.copy()
    holes[0, 3] = np.nan
    found = noise_ceiling(as_rdm(holes, stimulus=names(14), missing="keep"), "pearson")
    assert found.attrs["n_pairs_left_out"] == 1
    kept = np.delete(people, 3, axis=1)
    others = [np.corrcoef(p, pooled(np.delete(kept, at, 0)))[0, 1] for at, p in enumerate(kept)]
    assert found["lower"].item() == pytest.approx(np.mean(others), abs=1e-10)


def pooled(people):
    return ((people - people.mean(1, keepdims=True)) / people.std(1, keepdims=True)).mean(0)


def test_the_correction_of_both_factors():
    rng = np.random.default_rng(13)
    subject, stimulus, noise = rng.random((3, 50))
    both = subject + stimulus + 3 * noise
    found = dual_variance(both, subject + noise, stimulus + noise, 10**9, 10**9)
    np.testing.assert_allclose(found, subject + stimulus + noise, rtol=1e-6)


def test_holm_and_pair_weights():
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03, np.nan, 0.9])), [0.09, 0.04, 0.09, np.nan, 0.9])
    assert pair_weights(np.array([2.0, 1.0, 3.0])).tolist() == [2.0, 6.0, 3.0]
