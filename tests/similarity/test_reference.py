"""What the tests of models are held against: twins from sets written out, and rates that theory gives."""

from __future__ import annotations

import numpy as np
import pytest
from references.similarity import slow_skewed_t, slow_variance
from scipy.stats import t as student

from neurodecode.similarity import as_rdm, compare_models
from neurodecode.similarity.inference import reference, straight
from neurodecode.similarity.resampling import LeftOut, Spread, left_out, pairs_drawn

N, PEOPLE = 8, 5
ENDS = np.triu_indices(N, 1)


def world():
    rng = np.random.default_rng(2010)
    true = rng.random(len(ENDS[0]))
    return true + rng.random((PEOPLE, true.size)), true + rng.random(true.size)


def scores(data, model, stimuli, people):
    """Pearson: the mean score of the model, and the lower ceiling, of some stimuli and some people."""
    inside = np.isin(ENDS[0], stimuli) & np.isin(ENDS[1], stimuli)
    rows = data[people][:, inside]
    rows = (rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True)
    mine = np.mean([np.corrcoef(model[inside], row)[0, 1] for row in rows])
    return mine, np.mean([np.corrcoef(np.delete(rows, s, 0).mean(0), rows[s])[0, 1] for s in range(len(rows))])


def found(over):
    data, model = world()
    names = [f"s{at}" for at in range(N)]
    rdms, models = as_rdm(data, stimulus=names), {"one": as_rdm(model, stimulus=names)}
    return compare_models(models, rdms, how="pearson", bootstrap=over, n_bootstrap=0)["p_ceiling"].item()


def test_below_the_ceiling_of_new_people_as_written_out():
    def short(people):
        mine, lower = scores(data, model, range(N), people)
        return lower - mine

    data, model = world()
    t = short(list(range(PEOPLE))) / np.sqrt(slow_variance(short, PEOPLE, 1 / 2))
    assert found("subject") == pytest.approx(student.sf(t, PEOPLE - 1), rel=1e-9)


def test_below_the_ceiling_for_new_stimuli_as_written_out():
    def short(stimuli):
        mine, lower = scores(data, model, stimuli, list(range(PEOPLE)))
        return slope[1] * lower - slope[0] * mine

    data, model = world()
    mine, lower = scores(data, model, range(N), list(range(PEOPLE)))
    slope = 1 / (1 - mine**2), 1 / (1 - lower**2)
    without = [short([j for j in range(N) if j != i]) for i in range(N)]
    moves = [(N - 1) * (np.mean(without) - one) for one in without]
    t = (np.arctanh(lower) - np.arctanh(mine)) / np.sqrt(slow_variance(short, N, N / (2 * (N - 1))))
    straightened = slow_skewed_t(t, moves)
    assert abs(straightened - t) > 0.01, "the sample is skewed, or nothing was tested"
    assert found("stimulus") == pytest.approx(student.sf(straightened, N - 1), rel=1e-9)


def pairs_means(rng, n, one, two, sets):
    """Means over all pairs of n, normal: variance ``one`` of what each does, ``two`` of a pair; without one and two."""
    first, second = pairs_drawn(n)
    size = n * (n - 1) / 2
    for _ in range(sets):
        each = np.sqrt(one) * rng.normal(size=n)
        values = np.triu(np.sqrt(two) * rng.normal(size=(n, n)), 1)
        values = values + values.T + each[:, None] + each
        np.fill_diagonal(values, 0.0)
        total, rows = values.sum() / 2, values.sum(1)
        without = (total - rows) / (size - (n - 1))
        pairs = (total - rows[first] - rows[second] + values[first, second]) / (size - 2 * (n - 1) + 1)
        yield total / size, LeftOut.of(np.array([total / size]), without[:, None], pairs[:, None])


@pytest.mark.parametrize("n", [5, 8, 15])
@pytest.mark.parametrize("one", [0.02, 0.2, 2.0])
def test_people_who_do_something_alone_and_in_pairs(n, one):
    """From nearly nothing but pairs (w at its limit: careful) to hardly any: the rate at .05, above the jackknife's."""
    rng, at = np.random.default_rng(2011), np.array([0])
    p, careful = [], []
    for mean, left in pairs_means(rng, n, one, 1.0, 2000):
        variance, freedom, skewness = reference(Spread(left, None, np.zeros((1, 1))), np.eye(1), at, np.array([True]))
        assert freedom.item() == n - 1 and skewness.item() == 0
        p.append(student.sf(mean / np.sqrt(variance.item()), n - 1))
        careful.append(student.sf(mean / np.sqrt(left.jackknife.item()), n - 1))
    rate = np.mean(np.array(p) < 0.05)
    assert (0.035 if one > 0.1 else 0.025) <= rate <= 0.065, rate
    assert np.mean(np.array(careful) < 0.05) < rate


@pytest.mark.parametrize("one", [0.02, 0.1, 1.0])
def test_stimuli_that_do_something_alone_and_in_pairs(one):
    """As people, but degrees of freedom go with what pairs do: both sides."""
    rng, at, n = np.random.default_rng(2015), np.array([0]), 16
    p = []
    for mean, left in pairs_means(rng, n, one, 1.0, 2000):
        spread = Spread(None, left, np.zeros((1, 1)))
        variance, freedom, skewness = reference(spread, np.eye(1), at, np.array([False]))
        assert freedom.item() < n - 1 and skewness.item() == 0
        p.append(2 * student.sf(abs(mean) / np.sqrt(variance.item()), freedom.item()))
    assert 0.035 <= np.mean(np.array(p) < 0.05) <= 0.065


def test_means_of_people_keep_their_t():
    """Where pairs do nothing, nothing is taken off: the variance of a mean."""
    values = np.random.default_rng(2012).normal(size=9)
    means = np.array([values[kept > 0].mean() for kept in left_out(9)])[:, None]
    one = LeftOut.of(means[0], means[1:10], means[10:])
    variance, freedom, _ = reference(Spread(one, None, np.zeros((1, 1))), np.eye(1), np.array([0]), np.array([False]))
    assert variance.item() == pytest.approx(values.var(ddof=1) / 9) and freedom.item() == 8


def test_what_is_skewed_is_straightened():
    """Means of squares: both tails come nearer to .05; means of normal numbers stay."""
    rng, n = np.random.default_rng(2013), 24
    rates = {}
    for power in (1, 2):
        values = rng.normal(size=(20_000, n)) ** power - (power == 2)
        off = values - values.mean(1, keepdims=True)
        t = values.mean(1) / values.std(1, ddof=1) * np.sqrt(n)
        skewness = (off**3).mean(1) / (off**2).mean(1) ** 1.5 / np.sqrt(n)
        better = straight(t, skewness)
        assert better[0] == pytest.approx(slow_skewed_t(t[0], values[0]))
        bound = student.isf(0.05, n - 1)
        rates[power] = [np.mean(side > bound) for side in (t, better, -t, -better)]
    assert rates[2][0] < 0.02 and 0.03 < rates[2][1] < 0.05
    assert rates[2][2] > 0.12 and rates[2][3] < 0.085
    assert np.allclose(rates[1], 0.05, atol=0.008)


def test_a_larger_difference_is_never_less_certain():
    t = np.linspace(-40, 40, 2001)
    for skewness in (-1.5, -0.3, 0.0, 0.3, 1.5):
        assert (np.diff(straight(t, np.full_like(t, skewness))) >= 0).all()


def test_only_below_the_ceiling_and_only_over_stimuli_is_it_skewed():
    rng = np.random.default_rng(2014)
    values = rng.exponential(size=(29, 2))
    left = LeftOut(values[:7] - values[:7].mean(0), np.full((21, 2), 1e-3), *np.triu_indices(7, 1))
    contrasts, at, ceiling = np.eye(2), np.array([0, 1]), np.array([False, True])
    alone = reference(Spread(None, left, np.zeros((2, 2))), contrasts, at, ceiling)[2]
    both = reference(Spread(left, left, np.zeros((2, 2))), contrasts, at, ceiling)[2]
    assert alone[0] == both[0] == 0 and abs(alone[1]) > 0.05
    assert both[1] == pytest.approx(alone[1] * 0.5**1.5, rel=0.01), "half of the variance is of stimuli"
    assert (reference(Spread(left, None, np.zeros((2, 2))), contrasts, at, ceiling)[2] == 0).all()
