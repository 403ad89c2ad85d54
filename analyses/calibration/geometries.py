"""Models of a geometry: tests against 0, against each other and below the ceiling, for new people, stimuli and both."""

import numpy as np
from scipy.stats import rankdata

from neurodecode.similarity import Fixed, as_rdm
from neurodecode.similarity.inference import analyse
from neurodecode.similarity.resampling import Problem, spread
from neurodecode.similarity.weighted import Sample, measure_of

# Stimuli and people. A pair of stimuli is one number among many from some twenty stimuli on; tau is slow.
SIZES = {
    "spearman": (24, 8),
    "pearson": (24, 8),
    "cosine": (24, 8),
    "whitened_cosine": (24, 8),
    "kendall_tau_a": (16, 6),
}
LARGER = dict.fromkeys(SIZES, (24, 12)) | {"kendall_tau_a": (16, 8)}  # for power: more people
CROSSED = ("cosine", "whitened_cosine")
UNITS, NOISE = 20, 1.0
TESTS = ("above 0", "two models", "below the ceiling")
OVER = {"subject": "new people", "stimulus": "new stimuli", "both": "both"}
ANY = Fixed(as_rdm([1.0, 2.0, 3.0], stimulus=["a", "b", "c"]))
FIXED_SEED = 11  # of the stimuli that stay when people are new


def distances(one, two):
    """Squared distances of patterns (..., n, units), cross-validated where two halves differ: (..., pairs)."""
    n = one.shape[-2]
    product = one @ np.swapaxes(two, -1, -2)
    own = np.diagonal(product, axis1=-2, axis2=-1)
    full = own[..., :, None] + own[..., None, :] - product - np.swapaxes(product, -1, -2)
    return full[..., *np.triu_indices(n, 1)]


def measured(rng, how, patterns, count, noise=NOISE):
    """``count`` noisy measurements of patterns (n, units): (count, pairs); for cosines with two halves."""
    one, two = (patterns + noise * rng.normal(size=(count, *patterns.shape)) for _ in range(2))
    return distances(one, two if how in CROSSED else one)


def pooled(how, people):
    """What people have in common, as the ceiling pools it."""
    measure = measure_of(how)
    if how in ("spearman", "kendall_tau_a"):
        return rankdata(people, axis=1).sum(axis=0)
    if how == "pearson":
        people = people - people.mean(axis=1, keepdims=True)
    n = round((1 + np.sqrt(1 + 8 * people.shape[1])) / 2)
    images = measure.image(people, Sample.of(np.ones(n), np.ones(people.shape[1], dtype=bool)))
    return (people / np.linalg.norm(images, axis=1)[:, None]).sum(axis=0)


def tested(how, people, models, overs):
    """{(over, test): p}: the first model above 0, the first and the second, the last below the ceiling."""
    pairs = people.shape[1]
    n = round((1 + np.sqrt(1 + 8 * pairs)) / 2)
    measure = measure_of(how)
    entries = [(ANY, model[None]) for model in models]
    problem = Problem(measure, measure.prepare(people), entries, n, np.ones(pairs, dtype=bool))
    varied = spread(problem, "both" if len(overs) > 1 else overs[0])
    found = {}
    for over in overs:
        answer = analyse(problem, over, 0, np.random.default_rng(0), varied=varied.about(over))
        values = answer.p[0], answer.p_pair[0, min(1, len(models) - 1)], answer.p_ceiling[-1]
        found |= {(over, test): float(p) for test, p in zip(TESTS, values)}
    return found


def names(how, found, tests=TESTS):
    """Keys in words, of the tests that are wanted."""
    return {f"{how}, {OVER[over]}: {test}": p for (over, test), p in found.items() if test in tests}


def nothing_shared(how, rng):
    """New people: they share nothing, neither with each other nor with two models."""
    n, count = SIZES[how]
    people = measured(rng, how, np.zeros((n, UNITS)), count)
    models = measured(rng, how, np.zeros((n, UNITS)), 2)
    return names(how, tested(how, people, models, ["subject"]), TESTS[:2])


def shared_by_others(how, rng):
    """New stimuli, and both: people share patterns; two models share nothing, the third is pooled from other people.

    The third model is drawn as the ceiling is (as many people as are pooled there, of the same population), so that
    over stimuli it is as good as the ceiling, exactly.
    """
    n, count = SIZES[how]
    patterns = rng.normal(size=(n, UNITS))
    people = measured(rng, how, patterns, count)
    others = pooled(how, measured(rng, how, patterns, count - 1))
    models = [*measured(rng, how, np.zeros((n, UNITS)), 2), others]
    return names(how, tested(how, people, models, ["stimulus", "both"]))


def planted(how, rng):
    """A model that shares half of its variance with the people, one that shares nothing: far from right."""
    n, count = LARGER[how]
    patterns = rng.normal(size=(n, UNITS))
    people = measured(rng, how, patterns, count)
    models = [measured(rng, how, patterns, 1)[0], measured(rng, how, np.zeros((n, UNITS)), 1)[0]]
    return names(how, tested(how, people, models, list(OVER)))


class AsGood:
    """New people, the same stimuli: a model turned away from the truth until it scores what the lower ceiling does.

    By how much is found in data sets with a seed of their own. What is left is 1 / sqrt(sets) of the spread and moves
    the rate by a tenth of that: .0007 of .05 with 20,000.
    """

    def __init__(self, how, sets=20000):
        n, self.count = SIZES[how]
        self.how, fixed = how, np.random.default_rng(FIXED_SEED)
        self.true, off = fixed.normal(size=(2, n * (n - 1) // 2))
        self.true, off = self.true - self.true.mean(), off - off.mean()
        off -= self.true * (off @ self.true) / (self.true @ self.true)
        self.off = off * np.linalg.norm(self.true) / np.linalg.norm(off)
        rng = np.random.default_rng(FIXED_SEED + 1)
        # Roughly, then close by, where the score is a straight line.
        self.share = self.crossing(rng, np.linspace(0.0, 1.0, 21), max(sets // 50, 2))
        self.share = self.crossing(rng, np.clip(self.share + np.linspace(-0.05, 0.05, 5), 0.0, 1.0), sets)

    def crossing(self, rng, shares, sets):
        """At which share the mean score of the model is the mean lower ceiling."""
        models = [self.turned(share) for share in shares]
        found = np.array([self.score(self.draw(rng), *models) for _ in range(sets)]).mean(axis=0)
        return float(np.interp(0.0, found[:-1] - found[-1], shares))

    def turned(self, share):
        return share * self.true + np.sqrt(1 - share**2) * self.off

    @property
    def model(self):
        return self.turned(self.share)

    def draw(self, rng):
        return self.true + 1.5 * rng.normal(size=(self.count, self.true.size))

    def score(self, people, *models):
        """Mean scores of models, and the lower ceiling."""
        n, measure = SIZES[self.how][0], measure_of(self.how)
        entries = [(ANY, model[None]) for model in models]
        valid = np.ones(self.true.size, dtype=bool)
        problem = Problem(measure, measure.prepare(people), entries, n, valid)
        return problem.together(np.ones(n), np.ones((1, self.count)))[0, :-1].mean(axis=1)

    def __call__(self, rng):
        return names(self.how, tested(self.how, self.draw(rng), [self.model], ["subject"]), TESTS[2:])


def parts(aim_sets=20000):
    """Name of a part -> (null, planted): functions of a generator that return {test: p} of one data set."""
    found = {}
    for how in SIZES:
        found[f"{how}, nothing shared"] = (lambda rng, how=how: nothing_shared(how, rng), None)
        found[f"{how}, as good as others"] = (Later(how, aim_sets), None)
        found[f"{how}, new stimuli"] = (
            lambda rng, how=how: shared_by_others(how, rng),
            lambda rng, how=how: planted(how, rng),
        )
    return found


class Later:
    """``AsGood`` that is made when it is first called."""

    def __init__(self, how, sets):
        self.how, self.sets, self.made = how, sets, None

    def __call__(self, rng):
        self.made = self.made or AsGood(self.how, self.sets)
        return self.made(rng)
