"""Scores of dissimilarities against rsatoolbox, scipy and the covariance written out."""

import numpy as np
import pytest
from references.similarity import slow_tau_a, slow_whitened_cosine

from neurodecode.compute.rank import inversions, kendall_tau_a, ranks
from neurodecode.exceptions import NeurodecodeError
from neurodecode.representation import as_representation
from neurodecode.similarity import as_rdm, compare, match_rdms, rdm
from neurodecode.similarity.rdm_scores import (
    RDM_SCORES,
    embedded,
    rdm_score,
    row_sums,
    stimuli_of,
    tied,
    whitened_cosine,
    whitened_pearson,
    why_undefined,
)
from neurodecode.similarity.rdms import upper

PEERS = {
    "spearman": "spearman",
    "pearson": "corr",
    "kendall": "tau-a",
    "cosine": "cosine",
    "whitened_cosine": "cosine_cov",
    "whitened_pearson": "corr_cov",
}


def vectors(n, seed, rows=(4, 3), ties=False):
    rng = np.random.default_rng(seed)
    a, b = (rng.normal(size=(m, n * (n - 1) // 2)) ** 2 for m in rows)
    if ties:
        a[1], b[0] = np.round(a[1]), b[0] > 1
    return a, b


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [4, 9, 30, 120])
@pytest.mark.parametrize("how", list(PEERS))
def test_every_row_gives_the_numbers_of_rsatoolbox(how, n, ties):
    compare = pytest.importorskip("rsatoolbox.rdm.compare").compare
    a, b = vectors(n, n, ties=ties)
    found = RDM_SCORES[how](a, b)
    assert found.shape == (4, 3)
    assert np.allclose(found, compare(a, b, PEERS[how]), atol=1e-12, rtol=0)


@pytest.mark.parametrize("how", list(PEERS))
def test_vectors_alone_lose_their_axis_and_both_sides_are_exchangeable(how):
    a, b = vectors(8, 3)
    score = rdm_score(how)
    whole = score(a, b)
    assert np.allclose(score(b, a), whole.T, atol=1e-14)
    assert score(a[0], b).shape == (3,) and np.allclose(score(a[0], b), whole[0])
    assert score(a, b[1]).shape == (4,) and np.allclose(score(a, b[1]), whole[:, 1])
    assert np.shape(score(a[2], b[2])) == () and np.isclose(score(a[2], b[2]), whole[2, 2])


@pytest.mark.parametrize("how", list(PEERS))
def test_the_same_stimuli_in_another_order_on_both_sides_change_nothing(how):
    n = 9
    a, b = vectors(n, 5)
    order = np.random.default_rng(6).permutation(n)
    rows, columns = np.triu_indices(n, 1)
    at = np.zeros((n, n), dtype=int)
    at[rows, columns] = at[columns, rows] = np.arange(len(rows))
    moved = at[order[rows], order[columns]]
    assert np.allclose(rdm_score(how)(a[:, moved], b[:, moved]), rdm_score(how)(a, b), atol=1e-13)


def test_what_each_score_does_not_see():
    a, b = vectors(9, 7)
    for how in PEERS:
        assert np.allclose(rdm_score(how)(3 * a, b), rdm_score(how)(a, b), atol=1e-13)
        shifted = np.allclose(rdm_score(how)(a + 5, b), rdm_score(how)(a, b), atol=1e-10)
        assert shifted == (how in ("spearman", "pearson", "kendall", "whitened_pearson"))
        monotone = np.allclose(rdm_score(how)(np.exp(a), b), rdm_score(how)(a, b), atol=1e-10)
        assert monotone == (how in ("spearman", "kendall"))
        assert np.allclose(np.diagonal(rdm_score(how)(a, a)), 1.0)


@pytest.mark.parametrize("how", list(PEERS))
def test_a_missing_pair_is_left_out_on_both_sides(how):
    a, b = vectors(7, 11)
    whole = rdm_score(how)(a, b)
    a[0, [1, 5]] = np.nan
    b[2, [5, 9]] = np.nan
    found = rdm_score(how)(a, b)
    assert np.allclose(found[1:, :2], whole[1:, :2])
    for i, j in ((0, 0), (0, 2), (1, 2)):
        kept = np.isfinite(a[i]) & np.isfinite(b[j])
        if how.startswith("whitened"):
            x, y = a[i].copy(), b[j].copy()
            if how == "whitened_pearson":
                x, y = x - x[kept].mean(), y - y[kept].mean()
            expected = slow_whitened_cosine(x, y, 7)
        else:
            expected = rdm_score(how)(a[i, kept], b[j, kept])
        assert np.isclose(found[i, j], expected, atol=1e-12)


def test_the_whitened_cosine_is_that_of_the_covariance_written_out():
    n = 8
    a, b = vectors(n, 13)
    root = np.random.default_rng(14).normal(size=(n, 2 * n))
    for covariance in (None, root @ root.T, np.diag(np.arange(1.0, n + 1))):
        expected = [[slow_whitened_cosine(x, y, n, covariance) for y in b] for x in a]
        assert np.allclose(whitened_cosine(a, b, covariance), expected, atol=1e-10)
        centred = [[slow_whitened_cosine(x - x.mean(), y - y.mean(), n, covariance) for y in b] for x in a]
        assert np.allclose(whitened_pearson(a, b, covariance), centred, atol=1e-10)


def test_the_whitened_cosine_of_squared_distances_is_linear_cka():
    from references.similarity import slow_cka
    from scipy.spatial.distance import pdist

    rng = np.random.default_rng(15)
    x, y = rng.normal(size=(12, 30)), rng.normal(size=(12, 7))
    found = whitened_cosine(pdist(x, "sqeuclidean"), pdist(y, "sqeuclidean"))
    assert np.isclose(found, slow_cka(x, y), atol=1e-12)


@pytest.mark.parametrize("how", [how for how in PEERS if how != "kendall"])
def test_embedded_vectors_have_the_scores_as_inner_products(how):
    a, b = vectors(11, 17, ties=True)
    a[3] = 0.0
    found = embedded(how, a) @ embedded(how, b).T
    assert np.allclose(found[:3], rdm_score(how)(a, b)[:3], atol=1e-13)
    assert np.isnan(found[3]).all()
    with pytest.raises(ValueError, match="pairs are missing"):
        embedded(how, np.where(a == a[0, 0], np.nan, a))


def test_vectors_that_say_nothing_score_nan_and_say_why():
    _, b = vectors(4, 19)
    a = np.array([[2.0] * 6, [0.0] * 6, [np.nan] * 5 + [1.0], [1.0, 2, 3, 4, 5, 6]])
    for how in PEERS:
        found = rdm_score(how)(a, b)
        reasons = why_undefined(how, a)
        angle = how in ("cosine", "whitened_cosine")
        assert np.isfinite(found[0]).all() == angle
        assert np.isnan(found[1:3]).all()
        assert np.isfinite(found[3]).all()
        assert reasons == [
            None if angle else "all 6 dissimilarities are equal",
            "all 6 dissimilarities are 0",
            "only 1 of 6 dissimilarities were measured",
            None,
        ]


def test_unrelated_matrices_score_nothing_on_average_and_related_ones_do():
    rng = np.random.default_rng(21)
    n, p = 20, 40
    from scipy.spatial.distance import pdist

    for how in ("spearman", "pearson", "kendall", "whitened_pearson"):
        null, true = [], []
        for _ in range(60):
            x, y = rng.normal(size=(n, p)), rng.normal(size=(n, p))
            null.append(rdm_score(how)(pdist(x), pdist(y)))
            true.append(rdm_score(how)(pdist(x), pdist(x + 0.5 * y)))
        assert abs(np.mean(null)) < 3 * np.std(null) / 60**0.5
        assert np.mean(true) > 0.5
    # distances are positive, so the angle of unrelated ones is small: the cosines are for cross-validated ones
    assert rdm_score("cosine")(pdist(x), pdist(y)) > 0.9
    noise = rng.normal(size=(2, 200, n * (n - 1) // 2))
    for how in ("cosine", "whitened_cosine"):
        found = np.diagonal(rdm_score(how)(*noise))
        assert abs(found.mean()) < 3 * found.std() / 200**0.5


@pytest.mark.parametrize("p", [2, 3, 5, 45, 300])
def test_tau_a_is_that_of_all_pairs(p):
    rng = np.random.default_rng(p)
    for levels in (2, 5, None):
        a = rng.normal(size=(2, p)) if levels is None else rng.integers(0, levels, (2, p)).astype(float)
        b = np.concatenate([rng.normal(size=(1, p)), np.round(rng.normal(size=(1, p)))])
        expected = [[slow_tau_a(x, y) for y in b] for x in a]
        assert np.allclose(kendall_tau_a(a, b), expected, atol=1e-13)


def test_long_vectors_are_counted_exactly_too():
    from scipy.stats import kendalltau

    rng = np.random.default_rng(23)
    a, b = rng.normal(size=70_001), rng.normal(size=70_001)
    assert np.isclose(kendall_tau_a(a[None], b[None])[0, 0], kendalltau(a, b).statistic, atol=1e-14)
    tied = np.round(b * 3000)  # more than 2^14 levels, with ties
    counts = np.unique(tied, return_counts=True)[1]
    pairs = len(a) * (len(a) - 1) / 2
    loss = np.sqrt(1 - (counts * (counts - 1) / 2).sum() / pairs)
    assert np.isclose(kendall_tau_a(a[None], tied[None])[0, 0], kendalltau(a, tied).statistic * loss, atol=1e-12)


def test_inversions_and_ranks_are_those_of_the_definition():
    from scipy.stats import rankdata

    rng = np.random.default_rng(25)
    for p in (1, 2, 7, 100):
        values = rng.permutation(p)
        expected = sum(values[s] > values[t] for t in range(p) for s in range(t))
        assert inversions(np.argsort(values), values) == expected
    x = np.round(rng.normal(size=(3, 2, 50)), 1)
    assert np.array_equal(ranks(x), rankdata(x, axis=-1))
    assert inversions(np.arange(500)[::-1], np.arange(500)[::-1]) == 500 * 499 // 2


def test_sums_and_sizes_belong_to_matrices():
    from neurodecode.similarity.rdms import square

    a, _ = vectors(7, 27)
    assert np.allclose(row_sums(a, 7), square(a, 7).sum(axis=-1))
    assert [stimuli_of(n * (n - 1) // 2) for n in range(2, 300)] == list(range(2, 300))
    with pytest.raises(ValueError, match="5 is no number of pairs"):
        stimuli_of(5)


def test_what_cannot_be_scored_is_refused():
    a, b = vectors(5, 29)
    with pytest.raises(ValueError, match="Did you mean 'spearman'"):
        rdm_score("spearmann")
    np.testing.assert_allclose(rdm_score(slow_tau_a)(a, b), rdm_score("kendall")(a, b), atol=1e-12)
    for how in PEERS:
        with pytest.raises((ValueError, NeurodecodeError)):
            rdm_score(how)(a, b[:, :6])
    with pytest.raises(ValueError, match=r"expected a symmetric \(5, 5\)"):
        whitened_cosine(a, b, np.eye(4))
    with pytest.raises(ValueError, match="not positive definite"):
        whitened_cosine(a, b, np.zeros((5, 5)))
    a[0, 0] = np.nan
    with pytest.raises(ValueError, match="leave out stimuli"):
        whitened_cosine(a, b, np.eye(5))


def test_differences_that_are_rounding_are_ties():
    """A model of categories has as many dissimilarities as pairs of categories, wherever its rows stand."""
    rng = np.random.default_rng(5)
    centres, kinds = rng.normal(size=(5, 37)), rng.integers(5, size=40)
    stimulus = np.array([f"s{at:02d}" for at in range(40)])
    model = as_representation(centres[kinds], stimulus=stimulus, kind="network")
    data = as_rdm(rng.random(40 * 39 // 2), stimulus=stimulus)
    orders = [rng.permutation(40) for _ in range(5)]
    for metric in ("correlation", "cosine", "sqeuclidean", "euclidean"):
        exact = upper(rdm(model, metric)).round(9)
        assert len(np.unique(exact)) == 11 and len(np.unique(tied(exact[None] + 1e-15 * rng.random(780)))) == 11
        for how in ("spearman", "kendall"):
            expected = float(rdm_score(how)(exact, upper(data)))
            for order in orders:
                moved = match_rdms(data, rdm(model.isel(sample=order), metric))[1]
                assert abs(float(rdm_score(how)(upper(moved), upper(data))) - expected) < 1e-12
                assert abs(compare(moved, data, "rsa", score=how) - expected) < 1e-12
        inner = embedded("spearman", upper(moved)) @ embedded("spearman", upper(data)).T
        assert np.allclose(inner, rdm_score("spearman")(exact, upper(data)))
    shuffled = compare(model, model, "rsa", permutations=20, random_state=1)
    assert np.unique(shuffled["null"].values.round(12)).size > 1


def test_ties_leave_what_differs_and_what_is_missing():
    a = np.array([[1.0, 1.0 + 1e-8, np.nan, 3.0, 3.0 + 1e-13]])
    assert np.array_equal(tied(a), [[1.0, 1.0 + 1e-8, np.nan, 3.0, 3.0]], equal_nan=True)
    b = np.random.default_rng(6).normal(size=(3, 50))
    assert tied(b) is b
    flat = 1.0 + 1e-15 * b
    assert np.isnan(rdm_score("spearman")(flat, b)).all() and np.isnan(rdm_score("kendall")(flat, b)).all()
    assert all(why_undefined("spearman", flat)) and why_undefined("spearman", b) == [None] * 3


def test_a_function_of_two_vectors_and_one_of_rows_are_rows_of_the_table():
    a, b = vectors(8, 0)
    for own in (lambda x, y: np.corrcoef(x, y)[0, 1], lambda x, y: np.corrcoef(x, y)[: len(x), len(x) :]):
        score = rdm_score(own)
        np.testing.assert_allclose(score(a, b), rdm_score("pearson")(a, b), atol=1e-12)
        assert score(a[0], b[0]).shape == () and score(a[0], b).shape == (3,) and score(a[:0], b).shape == (0, 3)
    assert rdm_score(whitened_cosine) is whitened_cosine

    def odd(x, y):
        return np.zeros((1, 1))

    with pytest.raises(
        ValueError, match=r"how=odd: expected .* For \(4, 28\) and \(3, 28\) it gave the shape \(1, 1\)"
    ):
        rdm_score(odd)(a, b)


def test_a_function_scores_every_draw_of_rsa():
    x, y = (np.random.default_rng(seed).normal(size=(12, 5)) for seed in (0, 1))
    own, named = (
        compare(x, y, "rsa", score=score, permutations=7, random_state=0)
        for score in (lambda a, b: np.corrcoef(a, b)[0, 1], "pearson")
    )
    np.testing.assert_allclose(own["null"], named["null"], atol=1e-12)
