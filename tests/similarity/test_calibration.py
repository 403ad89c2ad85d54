"""How often tests cry wolf, and how often they see what is there: 2,000 data sets at one seed for each.

The simulation calls the algebra of ``compare_models`` on plain arrays, without the labels.
"""

from __future__ import annotations

import numpy as np
import pytest

from neurodecode.similarity import Fixed, as_rdm
from neurodecode.similarity.inference import analyse
from neurodecode.similarity.resampling import Problem
from neurodecode.similarity.weighted import COSINES

SETS = 2000
ANY = Fixed(as_rdm([1.0, 2.0, 3.0], stimulus=["a", "b", "c"]))


def distances(patterns):
    """Squared Euclidean distances: (..., n, units) -> (..., pairs)."""
    n = patterns.shape[-2]
    square = (patterns**2).sum(-1)
    product = patterns @ np.swapaxes(patterns, -1, -2)
    full = square[..., :, None] + square[..., None, :] - 2 * product
    return full[..., *np.triu_indices(n, 1)]


def analysed(data, models, n, over):
    measure = COSINES["pearson"]
    entries = [(ANY, model[None]) for model in models]
    problem = Problem(measure, measure.prepare(data), entries, n, np.ones(data.shape[1], dtype=bool))
    return analyse(problem, over, 0, np.random.default_rng(0))


def rates(p):
    return (np.asarray(p) < 0.05).mean(axis=0)


def test_over_people():
    """People who share nothing, and two models that share nothing with them."""
    rng, n = np.random.default_rng(2000), 12
    p = []
    for _ in range(SETS):
        found = analysed(distances(rng.normal(size=(10, n, 20))), distances(rng.normal(size=(2, n, 20))), n, "subject")
        p.append([found.p[0], found.p_pair[0, 1]])
    assert ((rates(p) >= 0.035) & (rates(p) <= 0.065)).all(), rates(p)


def test_over_stimuli():
    """2,000 pairs of unrelated representations, one person each."""
    rng, n = np.random.default_rng(2001), 16
    p = []
    for _ in range(SETS):
        found = analysed(distances(rng.normal(size=(1, n, 20))), distances(rng.normal(size=(2, n, 20))), n, "stimulus")
        p.append([found.p[0], found.p_pair[0, 1]])
    assert ((rates(p) >= 0.035) & (rates(p) <= 0.065)).all(), rates(p)


def test_over_both():
    """People who share a representation, each with noise of their own; models that have nothing to do with it."""
    rng, n = np.random.default_rng(2002), 16
    p = []
    for _ in range(SETS):
        patterns = rng.normal(size=(n, 20)) + rng.normal(size=(6, n, 20))
        found = analysed(distances(patterns), distances(rng.normal(size=(2, n, 20))), n, "both")
        p.append([found.p[0], found.p_pair[0, 1]])
    assert ((rates(p) >= 0.035) & (rates(p) <= 0.065)).all(), rates(p)


def test_below_the_ceiling():
    """A model that is exactly as good as the others of a person are, in each of 2,000 data sets."""
    n, people = 16, 10
    fixed = np.random.default_rng(2003)
    true, off = fixed.normal(size=(2, 120))
    true = (true - true.mean()) / true.std()
    off -= off.mean()
    off -= true * (off @ true) / 120
    off /= off.std()

    def draw(rng):
        return true + 1.5 * rng.normal(size=(people, 120))

    # By how much the true vector must be turned away, from data sets of their own.
    rng, lower, right = np.random.default_rng(2004), [], []
    for _ in range(1000):
        found = analysed(draw(rng), [true], n, "subject")
        lower.append(found.ceiling[0])
        right.append(found.mean[0])
    share = np.mean(lower) / np.mean(right)
    model = share * true + np.sqrt(1 - share**2) * off
    rng = np.random.default_rng(2005)
    p = [analysed(draw(rng), [model], n, "subject").p_ceiling[0] for _ in range(SETS)]
    assert 0.035 <= rates(p) <= 0.065, rates(p)
    p = [analysed(draw(rng), [true], n, "subject").p_ceiling[0] for _ in range(200)]
    assert rates(p) < 0.035, "the right model stands above the lower ceiling"


def test_below_the_ceiling_for_new_stimuli():
    """A model pooled from as many other people as the ceiling is: what it lacks is skewed, the test is not careful."""
    rng, n, people = np.random.default_rng(2016), 16, 5
    p = []
    for _ in range(SETS):
        patterns = rng.normal(size=(n, 20))
        data = distances(patterns + rng.normal(size=(2 * people - 1, n, 20)))
        others = data[people:] - data[people:].mean(1, keepdims=True)
        others = (others / np.linalg.norm(others, axis=1, keepdims=True)).sum(0)
        p.append(analysed(data[:people], [others], n, "stimulus").p_ceiling[0])
    assert 0.035 <= rates(p) <= 0.065, rates(p)


@pytest.mark.parametrize(("over", "power"), [("subject", 0.95), ("stimulus", 0.9), ("both", 0.9)])
def test_power(over, power):
    """12 people and 24 stimuli are enough for a model that shares half of its variance with the people."""
    rng, n = np.random.default_rng(2006), 24
    p = []
    for _ in range(100):
        shared = rng.normal(size=(n, 20))
        people = shared + rng.normal(size=(12, n, 20))
        found = analysed(distances(people), [distances(shared + rng.normal(size=(n, 20)))], n, over)
        p.append(found.p[0])
    assert rates(p) >= power
