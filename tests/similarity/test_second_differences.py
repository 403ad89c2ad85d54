"""Variances from leaving out one and two: a twin written from the paper, and planted variances."""

from __future__ import annotations

import numpy as np
import pytest
from references.similarity import slow_second_differences

from neurodecode.similarity import Fixed, as_rdm
from neurodecode.similarity.resampling import LeftOut, Problem, left_out, pairs_drawn, spread
from neurodecode.similarity.weighted import COSINES

ANY = Fixed(as_rdm([1.0, 2.0, 3.0], stimulus=["a", "b", "c"]))


def distances(patterns):
    """Squared Euclidean distances: (..., n, units) -> (..., pairs)."""
    n = patterns.shape[-2]
    return ((patterns[..., :, None, :] - patterns[..., None, :, :]) ** 2).sum(-1)[..., *np.triu_indices(n, 1)]


def pairs_mean(kept, alone, together):
    """Mean over pairs of what both stimuli do and of what the pair does."""
    return np.mean([alone[i] + alone[j] + together[i, j] for i in kept for j in kept if i < j])


def test_second_differences_are_those_of_the_paper():
    """Scores of a fixed model and both ceilings, without one and two stimuli and people, as the sets written out."""
    rng, n, people = np.random.default_rng(2007), 7, 5
    data, model = distances(rng.normal(size=(people, n, 4))), distances(rng.normal(size=(n, 4)))
    measure = COSINES["pearson"]
    entries = [(ANY, model[None])]
    problem = Problem(measure, measure.prepare(data), entries, n, np.ones(data.shape[1], dtype=bool))
    found = spread(problem, "both")
    ends = np.triu_indices(n, 1)

    def scores(stimuli, who):
        inside = np.isin(ends[0], stimuli) & np.isin(ends[1], stimuli)
        rows = data[who][:, inside]
        rows = (rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True)
        mine = [np.corrcoef(model[inside], row)[0, 1] for row in rows]
        lower = [np.corrcoef(np.delete(rows, s, 0).mean(0), rows[s])[0, 1] for s in range(len(rows))]
        upper = [np.corrcoef(rows.mean(0), row)[0, 1] for row in rows]
        return np.array([np.mean(part) for part in (mine, lower, upper)])

    everyone, all_stimuli = list(range(people)), list(range(n))
    for row in range(3):
        expected = slow_second_differences(lambda kept, row=row: scores(kept, everyone)[row], n)
        np.testing.assert_allclose(found.stimuli.jackknife[row, row], expected[0], rtol=1e-9)
        np.testing.assert_allclose(found.stimuli.pairs[row, row], expected[1], rtol=1e-9)
        expected = slow_second_differences(lambda kept, row=row: scores(all_stimuli, kept)[row], people)
        np.testing.assert_allclose(found.subjects.jackknife[row, row], expected[0], rtol=1e-9)
        np.testing.assert_allclose(found.subjects.pairs[row, row], expected[1], rtol=1e-9, atol=1e-20)
    assert found.subjects.pairs[0, 0] < 1e-20, "a fixed model's score is a mean over people: nothing of pairs"


def test_second_differences_take_off_what_a_pair_does_alone():
    """A mean over pairs with known variance: the jackknife is too long, what is left after the correction is not."""
    rng, n, v_one, v_two = np.random.default_rng(2008), 8, 0.3, 1.0
    variance = 4 * v_one / n + 2 * v_two / (n * (n - 1))
    found, jackknife = [], []
    for _ in range(400):
        alone, together = np.sqrt(v_one) * rng.normal(size=n), np.sqrt(v_two) * rng.normal(size=(n, n))
        values = np.array([pairs_mean(np.flatnonzero(kept), alone, together) for kept in left_out(n)])[:, None]
        one = LeftOut.of(values[0], values[1 : n + 1], values[n + 1 :])
        jackknife.append(one.jackknife.item())
        found.append((one.jackknife - one.pairs).item())
    error = np.std(found) / np.sqrt(400)
    assert np.mean(found) == pytest.approx(variance, abs=4 * error)
    assert np.mean(jackknife) > variance + 4 * error


@pytest.mark.parametrize(("n", "each"), [(40, 6), (60, 1)])
def test_fewer_pairs_say_the_same(n, each):
    """Above 25 not all pairs are left out: in each as many, and what they say is what all pairs would, on average."""
    rng = np.random.default_rng(2009)
    one, two = pairs_drawn(n)
    assert (np.bincount(np.concatenate([one, two])) == each).all() and (one != two).all()
    ratio = []
    for _ in range(60):
        together = rng.normal(size=(n, n))
        together = np.triu(together, 1) + np.triu(together, 1).T
        total, rows = together.sum() / 2, together.sum(1)
        size = n * (n - 1) / 2
        without = (total - rows) / (size - (n - 1))
        pairs = (total - rows[one] - rows[two] + together[one, two]) / (size - 2 * (n - 1) + 1)
        found = LeftOut.of(np.array([total / size]), without[:, None], pairs[:, None])
        ratio.append(found.pairs.item() / (2 / ((n - 1) * (n - 2))))
    assert np.mean(ratio) == pytest.approx(1, abs=4 * np.std(ratio) / np.sqrt(60))
