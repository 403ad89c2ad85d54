"""Two representations: permutation tests of every measure of the table, and of a grid."""

import numpy as np

from neurodecode.similarity import MEASURES, compare, compare_grid
from neurodecode.similarity.comparison import draws, evaluate, measure, orders_for
from neurodecode.similarity.spaces import pair_up

PAIRED = [how for how, row in MEASURES.items() if row.paired]
# Measures that fit models again for every order of the stimuli.
SLOW = {"linear_predictivity", "sparse_matching"}
OPTIONS = {"mutual_knn": {"k": 3}}
DRAWS, FEW_DRAWS = 39, 19
MANY = "mutual_knn, 40 stimuli"


def unrelated(rng, n=12):
    """Patterns of ``n`` stimuli in 4 and in 6 units that have nothing to do with each other."""
    return rng.normal(size=(n, 4)), rng.normal(size=(n, 6))


def related(rng, n=40):
    """The same three latent dimensions in two sets of 6 units, with noise."""
    latent = rng.normal(size=(n, 3))
    return tuple(latent @ rng.normal(size=(3, 6)) + 1.2 * rng.normal(size=(n, 6)) for _ in range(2))


def p_value(how, rng, pair):
    """{test: p} of one pair of representations."""
    x, y = pair
    seed = int(rng.integers(2**31))
    if how in SLOW:
        return {how: one_by_one(how, x, y, seed)}
    options = {} if len(x) > 12 else OPTIONS.get(how, {})
    found = compare(x, y, how, permutations=DRAWS, random_state=seed, **options)
    if how != "mutual_knn" or len(x) > 12:
        return {how: float(found["p"])}
    # Its values are few. An exact test decides ties at random; the one offered counts them all against the data.
    value, null = float(found["value"]), found["null"].values
    ties = int((np.abs(null - value) < 1e-12).sum())
    above = int((null > value + 1e-12).sum()) + int(rng.integers(ties + 1))
    return {how: float(found["p"]), f"{how}, ties at random": (above + 1) / (DRAWS + 1)}


def one_by_one(how, x, y, seed):
    """p = 1 / 20 where the data are more alike than each of 19 draws; 1 once a draw is as alike, and no more are made.

    What is decided at .05 is what ``compare(..., permutations=19)`` decides.
    """
    row = measure(how, {})
    x, y = pair_up(x, y, None)
    value = row.better * evaluate(row, x, y, {})
    for order in orders_for(row, x.n, FEW_DRAWS, seed, None, how):
        if row.better * draws(row, x, y, order[None], {})[0] >= value - 1e-12:
            return 1.0
    return 1.0 / (FEW_DRAWS + 1)


def smallest(rng, planted):
    """The smallest p_max of a grid of 3 x 3 unrelated spaces; planted: one pair of them shares its latents."""
    one, two = ({name: rng.normal(size=(20, 6)) for name in "abc"} for _ in range(2))
    if planted:
        one["b"], two["c"] = related(rng, 20)
    found = compare_grid(one, two, "cka_debiased", permutations=DRAWS, random_state=int(rng.integers(2**31)))
    return {"grid 3 x 3, cka_debiased": float(found["p_max"].min())}


def parts(aim_sets=None):
    """Name of a part -> (null, planted): functions of a generator that return {test: p} of one data set."""
    found = {}
    for how in PAIRED:
        found[how] = (
            lambda rng, how=how: p_value(how, rng, unrelated(rng)),
            lambda rng, how=how: p_value(how, rng, related(rng)),
        )
    found["mutual_knn, 40"] = (lambda rng: {MANY: p_value("mutual_knn", rng, unrelated(rng, 40))["mutual_knn"]}, None)
    return found | {"grid": (lambda rng: smallest(rng, False), lambda rng: smallest(rng, True))}
