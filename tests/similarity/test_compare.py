"""The table: what every row declares about itself is so, and stimuli meet by label."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
import xarray as xr

from neurodecode import similarity
from neurodecode.compute.random import check_random_state
from neurodecode.exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning
from neurodecode.representation import as_representation, average_repeats
from neurodecode.similarity import MEASURES, as_rdm, compare, describe, rdm
from neurodecode.similarity.comparison import TRANSFORMS

N, P, Q = 60, 4, 6


def transform(name, x, seed=11):
    rng = np.random.default_rng(seed)
    p = x.shape[1]
    turn = np.linalg.qr(rng.normal(size=(p, p)))[0]
    turn[:, 0] *= np.sign(np.linalg.det(turn))
    mirror = turn * np.where(np.arange(p) == 0, -1.0, 1.0)
    return {
        "translation": lambda: x + rng.normal(size=p) * 3,
        "scaling": lambda: 2.5 * x,
        "permutation": lambda: x[:, np.roll(np.arange(p), 1)],
        "unit scaling": lambda: x * np.linspace(0.3, 3, p),
        "rotation": lambda: x @ turn,
        "orthogonal": lambda: x @ mirror,
        "linear": lambda: x @ (turn * np.linspace(0.2, 4, p)) @ mirror,
    }[name]()


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(N, P)) * [1.0, 2.0, 0.6, 1.4] + [2.0, -1.0, 0.5, 0.0]
    return x, x @ rng.normal(size=(P, Q)) * 0.7 + rng.normal(size=(N, Q)) * 1.5


def test_names_of_the_issue_are_there():
    asked = (
        "cka cka_debiased rsa rv procrustes bures shape cca svcca pwcca linear_predictivity permutation semi_matching "
        "sparse_matching soft_matching mutual_knn gw"
    )
    assert set(asked.split()) == set(MEASURES)


@pytest.fixture(autouse=True)
def transport(request):
    if "how" in request.fixturenames and request.getfixturevalue("how") in ("gw", "soft_matching"):
        pytest.importorskip("ot")


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("how", MEASURES)
def test_declared_invariances_and_no_others(how, name, pair):
    x, y = pair
    before = compare(x, y, how)
    after = [compare(transform(name, x), y, how), compare(x, transform(name, y), how)]
    apart = np.abs(np.array(after) - before)
    if name in MEASURES[how].invariant_to:
        assert apart.max() < 1e-6
    else:
        assert apart.max() > 1e-4


@pytest.mark.parametrize("how", MEASURES)
def test_identical_is_best_and_the_range_holds(how, pair):
    x, y = pair
    row = MEASURES[how]
    same, other = compare(x, x, how), compare(x, y, how)
    assert same == pytest.approx(row.identical, abs=row.tolerance)
    assert row.low - 1e-9 <= other <= row.high + 1e-9
    assert row.better * same > row.better * other
    rng = np.random.default_rng(3)
    unrelated = compare(x, rng.normal(size=(N, 3)), how)
    assert row.low - 1e-9 <= unrelated <= row.high + 1e-9
    assert row.better * other > row.better * unrelated


@pytest.mark.parametrize("how", [how for how, row in MEASURES.items() if row.unrelated_value is not None])
def test_unrelated_data_come_to_what_is_declared(how):
    found = []
    for seed in range(4):
        rng = np.random.default_rng(100 + seed)
        found.append(compare(rng.normal(size=(800, 3)), rng.normal(size=(800, 4)), how))
    assert np.mean(found) == pytest.approx(MEASURES[how].unrelated_value, abs=0.12)


@pytest.mark.parametrize(("n", "p", "q"), [(200, 8, 8), (100, 3, 30), (80, 20, 20)])
def test_unrelated_data_with_few_samples_come_to_what_the_words_say(n, p, q):
    rng = np.random.default_rng(20)
    pairs = [(rng.normal(size=(n, p)), rng.normal(size=(n, q))) for _ in range(10)]
    mean = {how: np.mean([compare(x, y, how) for x, y in pairs]) for how in ("cca", "pwcca", "svcca")}
    for value in mean.values():
        assert 0.8 < value / np.sqrt(max(p, q) / n) < 1.05
    for how in ("permutation", "semi_matching", "soft_matching"):
        assert 0 < np.mean([compare(x, y, how) for x, y in pairs]) < np.sqrt(2 * np.log(max(p, q)) / n)


def test_debiased_alignment_may_be_far_below_0():
    """The unbiased inner product of centred kernels is bounded by -1, and few outlying stimuli come near."""
    rng = np.random.default_rng(21)
    values = [compare(rng.normal(size=(5, 1)), rng.normal(size=(5, 1)), "cka_debiased") for _ in range(300)]
    assert -1 <= min(values) < -0.6 and max(values) <= 1


def test_unrelated_neighbours():
    rng = np.random.default_rng(1)
    found = compare(rng.normal(size=(400, 3)), rng.normal(size=(400, 4)), "mutual_knn", k=10)
    assert found == pytest.approx(10 / 399, abs=0.02)


@pytest.mark.parametrize("how", [how for how, row in MEASURES.items() if row.symmetric])
def test_symmetric_measures_are(how, pair):
    x, y = pair
    assert compare(x, y, how) == pytest.approx(compare(y, x, how), abs=1e-6)


def test_weights_of_one_side_are_not_symmetric(pair):
    assert abs(compare(*pair, "pwcca") - compare(*pair[::-1], "pwcca")) > 1e-4


@pytest.mark.parametrize("how", MEASURES)
def test_docstrings_and_descriptions_say_the_same(how):
    row = MEASURES[how]
    text = " ".join((row.value.__doc__ or "").split())
    for word in ("invariant to:", "range:", "unrelated:", "few samples:", "cost:", "Source:"):
        assert word in text, word
    said = describe(how)
    assert row.source in said and row.few in said and row.unrelated in said and row.cost in said
    year = row.source.split()[-1].rstrip(";")
    assert year in text
    for option in row.options:
        assert option in said and option in text
    biased = [word for word in ("biased upwards", "biased downwards", "not biased") if word in row.few]
    assert all(word in text for word in biased), biased


# Stimuli meet by label.


def labelled(values, names, **more):
    return as_representation(values, stimulus=names, kind="network", **more)


@pytest.fixture
def named(pair):
    names = [f"stimulus {at}" for at in check_random_state(0).permutation(N)]
    return labelled(pair[0], names), labelled(pair[1], names)


@pytest.mark.parametrize("how", MEASURES)
def test_the_order_of_either_side_does_not_matter_and_a_new_name_raises(how, named):
    X, Y = named
    rng = np.random.default_rng(1)
    before = compare(X, Y, how)
    assert compare(X, Y.isel(sample=rng.permutation(N)), how) == before
    assert compare(X.isel(sample=rng.permutation(N)), Y, how) == before
    renamed = Y.assign_coords(stimulus=("sample", ["somebody", *Y["stimulus"].values[1:].tolist()]))
    with pytest.raises(AlignmentError, match="somebody"):
        compare(X, renamed, how)


def test_permutations_do_not_depend_on_the_order_either(named):
    X, Y = named
    mixed = Y.isel(sample=np.random.default_rng(1).permutation(N))
    one, two = (compare(X, side, "cka", permutations=20, random_state=3) for side in (Y, mixed))
    xr.testing.assert_identical(one, two)


def test_fewer_stimuli_on_one_side(named):
    X, Y = named
    with pytest.raises(AlignmentError, match="join='inner'"):
        compare(X, Y.isel(sample=slice(1, None)))


def test_repeats_are_not_averaged_silently(named):
    X, Y = named
    twice = xr.concat([Y, Y], dim="sample")
    with pytest.raises(AlignmentError, match=r"average_repeats\(Y\)"):
        compare(X, twice)
    assert compare(X, average_repeats(twice)) == pytest.approx(compare(X, Y))


def test_other_content_under_one_name(named):
    X, Y = named
    X = X.assign_coords(sha256=("sample", ["a"] * N))
    Y = Y.assign_coords(sha256=("sample", ["a"] * (N - 1) + ["b"]))
    with pytest.raises(AlignmentError, match="same name and other content"):
        compare(X, Y)


def test_labelled_does_not_meet_plain(named, pair):
    with pytest.raises(AlignmentError, match="nothing says that their rows belong together"):
        compare(named[0], pair[1])
    with pytest.raises(AlignmentError, match="X has 60 rows and Y has 59"):
        compare(pair[0], pair[1][1:])


def test_recordings_with_repeated_stimuli_meet_by_time():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(40, 3))
    sample = {"onset": np.arange(40) * 2.0}
    X = labelled(values, ["film", "rest"] * 20, sample=sample, attrs={"tr": 2.0})
    assert compare(X, X) == pytest.approx(1)


@pytest.mark.parametrize("how", MEASURES)
def test_bad_values(how, pair):
    x, y = pair
    hole = x.copy()
    hole[3, 1] = np.nan
    with pytest.raises(DegenerateDataError, match="1 NaN"):
        compare(hole, y, how)
    with pytest.raises(DegenerateDataError, match="at least 3 samples"):
        compare(x[:1], y[:1], how)
    with pytest.raises(DegenerateDataError, match="every unit is constant"):
        compare(x, np.ones((N, 3)), how)
    with pytest.raises(ValueError, match="expected \\(samples, units\\)"):
        compare(x[:, 0], y, how)
    with pytest.raises(TypeError, match="real and imaginary"):
        compare(x * 1j, y, how)


@pytest.mark.parametrize("how", MEASURES)
def test_repeated_units_are_borne(how, pair):
    x, y = pair
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NeurodecodeWarning)
        assert np.isfinite(compare(np.hstack([x, x]), y, how))


@pytest.mark.parametrize("how", [how for how in MEASURES if how not in ("cca", "pwcca", "svcca")])
def test_more_units_than_samples_are_borne(how):
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NeurodecodeWarning)  # the lasso is slow to converge there
        assert np.isfinite(compare(rng.normal(size=(16, 40)), rng.normal(size=(16, 30)), how))


def test_inputs_are_left_alone(pair):
    x, y = (side.copy() for side in pair)
    for side in (x, y):
        side.setflags(write=False)
    for how in MEASURES:
        if how not in ("gw", "soft_matching"):
            compare(x, y, how)
    np.testing.assert_array_equal(x, pair[0])


def test_integers_float32_and_masked_units(pair):
    x, y = pair
    whole = np.round(10 * x).astype(int)
    assert compare(whole, y) == pytest.approx(compare(whole.astype(float), y))
    assert compare(x.astype(np.float32), y) == pytest.approx(compare(x, y), abs=1e-5)
    holes = x.copy()
    holes[0, 1] = np.nan
    names = [str(at) for at in range(N)]
    X = labelled(holes, names, nan_policy="drop_targets")
    assert compare(X, labelled(y, names)) == pytest.approx(compare(x[:, [0, 2, 3]], y))


def test_half_precision_tensors_and_masked_entries(pair):
    torch = pytest.importorskip("torch")
    x, y = pair
    half = torch.tensor(x).bfloat16()
    assert compare(half, torch.tensor(y, requires_grad=True), "cka") == compare(half.double().numpy(), y, "cka")
    with pytest.raises(DegenerateDataError, match="NaN"):
        compare(np.ma.masked_greater(x, 2.0), y, "cka")
    for factor in (1e-160, 1e160):
        with pytest.raises(DegenerateDataError, match="another scale"):
            compare(factor * x, y, "cka")
    assert compare(1e-50 * x, 1e50 * y, "cka") == pytest.approx(compare(x, y, "cka"))


def test_times_have_to_be_chosen(named):
    epochs = labelled(np.ones((N, 2, 3)) * np.arange(N)[:, None, None], named[0]["stimulus"].values)
    with pytest.raises(AlignmentError, match="compare_grid goes over time"):
        compare(epochs, named[1])


def test_names_and_options_that_are_not_there(pair):
    with pytest.raises(ValueError, match="Did you mean 'cka'"):
        compare(*pair, "ckaa")
    with pytest.raises(ValueError, match="alfa"):
        compare(*pair, "shape", alfa=0.5)
    with pytest.raises(ValueError, match="how="):
        describe("nothing")
    with pytest.raises(ValueError, match="cuda:77"):
        compare(*pair, device="cuda:77")


def test_a_function_that_works_in_place_leaves_the_data(pair):
    def centred(x, y):
        x -= x.mean(0)
        y -= y.mean(0)
        return float(np.sum((x.T @ y) ** 2))

    before = [side.copy() for side in pair]
    found = compare(*pair, centred, permutations=3, random_state=0)
    assert float(found["value"]) == pytest.approx(compare(*pair, centred))
    assert all(np.array_equal(one, other) for one, other in zip(before, pair))


def test_a_function_of_ones_own(pair):
    def one_pair_of_units(x, y, power=1):
        return abs(np.corrcoef(x[:, 1], y[:, 0])[0, 1]) ** power

    x, y = pair
    assert compare(x, y, one_pair_of_units) == pytest.approx(one_pair_of_units(x, y))
    found = compare(x, y, one_pair_of_units, permutations=50, random_state=0, power=2)
    assert found.attrs["how"] == "one_pair_of_units" and found["p"] < 0.1
    assert float(found["value"]) == pytest.approx(one_pair_of_units(x, y, 2))


def test_a_function_of_the_table_means_what_its_name_means(pair):
    x, y = pair
    for how in ("procrustes", "shape", "bures", "cka", "pwcca"):
        by_name = compare(x, y, how, permutations=39, random_state=0)
        by_function = compare(x, y, getattr(similarity, how), permutations=39, random_state=0)
        assert by_function.identical(by_name), how
    assert float(compare(x, y, similarity.procrustes, permutations=39, random_state=0)["p"]) <= 0.05
    options = partial(partial(similarity.shape, alpha=0.9), alpha=0.2)
    assert compare(x, y, options) == compare(x, y, "shape", alpha=0.2) == compare(x, y, similarity.shape, alpha=0.2)
    assert compare(x, y, options, alpha=0.4) == compare(x, y, "shape", alpha=0.4)
    stream = similarity.StreamingComparison(options).partial_fit(x, y)
    assert stream.finalize() == pytest.approx(compare(x, y, options))


def test_scores_of_dissimilarities_through_partial(named):
    X, Y = named
    for score in ("spearman", "kendall_tau_a", "cosine", "whitened_cosine"):
        expected = compare(X, Y, "rsa", score=score)
        assert compare(X, Y, partial(similarity.rsa, score=score)) == expected
        assert compare(rdm(X), rdm(Y), partial(similarity.rsa, score=score)) == pytest.approx(expected, abs=1e-12)
        with pytest.raises(ValueError, match=f"how='rsa' with score='{score}'"):
            compare(X, Y, score)
    with pytest.raises(ValueError, match="score='kendall_tau_a'"):
        compare(X, Y, partial(similarity.rsa, how="kendall_tau_a"))
    with pytest.raises(ValueError, match=r"option='alhpa' .*'alpha'"):
        compare(X, Y, partial(similarity.shape, alhpa=0.2))


def test_what_is_no_comparison(pair, named):
    x, y = pair
    for gives, words in ((lambda a, b: None, "gave None"), (lambda a, b: a, "gave an array of shape")):
        with pytest.raises(TypeError, match=words):
            compare(x, y, gives)
    with pytest.raises(TypeError, match=r"X is a dictionary.*compare_grid"):
        compare({"a": x}, y)
    one, two = (rdm(side).values for side in named)
    for how in ("rsa", "gw"):
        with pytest.raises(AlignmentError, match=r"X is a plain array.*as_rdm"):
            compare(one, two, how)
        with pytest.raises(AlignmentError, match="as_rdm"):
            getattr(similarity, how)(one, two)
    with pytest.raises(AlignmentError, match=r"A\['a'\] is a plain array.*as_rdm"):
        similarity.compare_grid({"a": one}, {"b": two}, "rsa")


def test_rounding_leaves_no_value_beyond_the_range():
    beyond = 0
    for seed in range(30):
        x = np.random.default_rng(seed).normal(size=(30, 5))
        for how in ("cka", "cca", "svcca", "pwcca", "permutation"):
            value = compare(x, x, how)
            assert value <= 1.0, how
            beyond += getattr(similarity, how)(x, x) > 1.0
        grid = similarity.compare_grid({"a": x, "b": x[:, ::-1]}, how="cka")
        assert float(grid.max()) <= 1.0 and float(similarity.representation_change(x, x)["cka"]) <= 1.0
    assert beyond, "the measures themselves round, or this says nothing"


# Dissimilarity matrices.


def test_matrices_meet_by_label(named):
    from scipy.spatial.distance import pdist
    from scipy.stats import spearmanr

    X, Y = named
    one, two = (
        as_rdm(np.where(np.eye(N), 0, 1 - np.corrcoef(side.values)), stimulus=side["stimulus"].values) for side in named
    )
    expected = spearmanr(pdist(X.values, "correlation"), pdist(Y.values, "correlation")).statistic
    order = np.random.default_rng(0).permutation(N)
    moved = as_rdm(two.values[np.ix_(order, order)], stimulus=two["stimulus"].values[order])
    for left, right in ((one, two), (one, moved), (X, Y), (one, Y)):
        assert compare(left, right, "rsa") == pytest.approx(expected, abs=1e-12)
    renamed = as_rdm(two.values, stimulus=["somebody", *two["stimulus"].values[1:].tolist()])
    with pytest.raises(AlignmentError, match="somebody"):
        compare(one, renamed, "rsa")
    with pytest.raises(AlignmentError, match="how='rsa'"):
        compare(one, two, "cka")
    with pytest.raises(AlignmentError, match="plain array"):
        compare(one, two.values, "rsa")
    people = as_rdm(np.stack([two.values] * 2), stimulus=two["stimulus"].values, subject=["ann", "bob"])
    with pytest.raises(AlignmentError, match="several matrices"):
        compare(one, people, "rsa")


@pytest.mark.parametrize("score", ["spearman", "kendall_tau_a", "cosine", "whitened_cosine"])
def test_scores_of_matrices(score, pair):
    x, y = pair[0][:15], pair[1][:15]
    from scipy.spatial.distance import pdist
    from scipy.stats import kendalltau, spearmanr

    found = compare(x, y, "rsa", score=score, metric="euclidean", permutations=5, random_state=1)
    a, b = pdist(x), pdist(y)
    if score == "spearman":
        assert float(found["value"]) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)
    if score == "kendall_tau_a":
        assert float(found["value"]) == pytest.approx(kendalltau(a, b).statistic, abs=1e-12)
    if score == "cosine":
        assert float(found["value"]) == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-12)
    from neurodecode.compute.nulls import permutation_orders

    orders = permutation_orders(15, 5, random_state=1)
    each = [compare(x, y[order], "rsa", score=score, metric="euclidean") for order in orders]
    np.testing.assert_allclose(found["null"], each, atol=1e-10)


# Chance.


def test_permutations_find_what_is_planted_and_nothing_else(pair):
    x, y = pair
    noise = np.random.default_rng(9).normal(size=(N, 5))
    for how, row in MEASURES.items():
        if not row.paired or how in ("sparse_matching", "soft_matching"):
            continue
        found = compare(x, y, how, permutations=39, random_state=1)
        assert float(found["p"]) == pytest.approx(1 / 40), how
        assert found["null"].dims == ("permutation",) and found.sizes["permutation"] == 39
        assert found.attrs["alike"] == ("larger" if row.better > 0 else "smaller")
        assert float(compare(x, noise, how, permutations=39, random_state=1)["p"]) > 0.05, how


def test_stimuli_stay_in_their_block():
    rng = np.random.default_rng(0)
    block = np.repeat(["one", "two"], 20)
    offset = np.where(block == "one", 0.0, 8.0)[:, None]
    names = [f"s{at:02d}" for at in range(40)]
    X, Y = (labelled(rng.normal(size=(40, 3)) + offset, names, sample={"run": block}) for _ in range(2))
    free = compare(X, Y, "cka", permutations=99, random_state=0)
    held = compare(X, Y, "cka", permutations=99, random_state=0, blocks="run")
    assert float(free["p"]) == 0.01
    assert float(held["p"]) > 0.05
    assert held.attrs["exchangeability"] == "stimuli within blocks"
    with pytest.raises(ValueError, match="blocks='session'"):
        compare(X, Y, permutations=9, blocks="session")


# Left out of the 2,000 pairs, and why. Their p is made by the same lines of code from their own values.
NOT_SIMULATED = {
    "linear_predictivity": "fits ridges again for every order of the stimuli: 20 minutes",
    "sparse_matching": "fits lassos again for every order of the stimuli: longer",
    "soft_matching": "a linear program for every order of the stimuli",
    "gw": "does not use which stimulus is which; permutations are refused",
}
PERMUTATIONS = {"cka_debiased": 99, "procrustes": 99, "rsa": 99}


@pytest.mark.parametrize("how", [how for how in MEASURES if how not in NOT_SIMULATED])
def test_p_values_of_unrelated_pairs_are_uniform(how):
    """2,000 pairs of unrelated representations: one in twenty is called alike at .05."""
    from scipy.stats import kstest

    rng, n = np.random.default_rng(2025), PERMUTATIONS.get(how, 39)
    options = {"k": 3} if how == "mutual_knn" else {}
    p = np.empty(2000)
    for at in range(2000):
        x, y = rng.normal(size=(12, 4)), rng.normal(size=(12, 6))
        p[at] = compare(x, y, how, permutations=n, random_state=at, **options)["p"]
    if how == "mutual_knn":  # few values, so many ties with the null, which count against
        assert 0.01 <= (p <= 0.05).mean() <= 0.065
        return
    assert 0.035 <= (p <= 0.05).mean() <= 0.065
    jittered = p - np.random.default_rng(0).uniform(0, 1 / (n + 1), 2000)
    assert kstest(jittered, "uniform").pvalue > 0.001


def test_power():
    """A latent that both sides share, 40 stimuli: found at .05 in sixteen of twenty draws at least."""
    found = dict.fromkeys(("cka_debiased", "procrustes", "rsa", "cca", "permutation"), 0)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        latent = rng.normal(size=(40, 3))
        x, y = (latent @ rng.normal(size=(3, 6)) + 1.2 * rng.normal(size=(40, 6)) for _ in range(2))
        for how in found:
            found[how] += float(compare(x, y, how, permutations=39, random_state=seed)["p"]) <= 0.05
    assert min(found.values()) >= 16, found
