"""Dissimilarities against scipy, rsatoolbox and the definitions; planted geometry; what is refused."""

import itertools
import warnings

import numpy as np
import pytest
from references.similarity import slow_correlation_distances, slow_crossnobis, slow_poisson
from scipy.spatial.distance import pdist, squareform

from neurodecode.compute import dissimilarity as algebra
from neurodecode.exceptions import AlignmentError, CapacityError, DegenerateDataError
from neurodecode.representation import as_representation, average_repeats
from neurodecode.similarity import compare, match_rdms, rdm, searchlight_rdms
from neurodecode.similarity.dissimilarity import DISSIMILARITIES
from neurodecode.similarity.rdm_scores import spearman
from neurodecode.similarity.rdms import check_rdm, upper

CROSSED = ("crossnobis", "poisson_crossed")


def pictures(n):
    return [f"s{i:02d}" for i in range(n)]


def still(values, **more):
    return as_representation(values, stimulus=pictures(len(values)), kind="fmri", **more)


def runs(folds, order=None, **more):
    """(folds, n, p) as samples, in another order if one is given."""
    count, n = folds.shape[:2]
    values = folds.reshape(count * n, *folds.shape[2:])
    order = np.arange(count * n) if order is None else order
    stimulus, run = np.tile(pictures(n), count)[order], np.repeat(np.arange(count), n)[order]
    return as_representation(values[order], stimulus=stimulus, kind="fmri", sample={"run": run}, **more)


def folds_of(seed, count=4, n=7, p=10):
    return np.random.default_rng(seed).normal(size=(count, n, p)) + 1


@pytest.mark.parametrize("offset", [0.0, 3.0, 1e6])
@pytest.mark.parametrize("metric", ["correlation", "cosine", "euclidean", "sqeuclidean"])
def test_scipy_gives_the_same(metric, offset):
    x = np.random.default_rng(0).normal(size=(15, 40)) + offset
    x[3] = x[2] + 1e-7 * x[4]
    expected = x
    if metric == "correlation":  # scipy loses digits where the mean is large; a constant changes no correlation
        expected = x - offset
    assert np.allclose(upper(rdm(still(x), metric)), pdist(expected, metric), atol=1e-6 if offset < 1e5 else 1e-5)
    if metric != "cosine" and offset < 1e5:
        assert np.allclose(upper(rdm(still(x), metric)), pdist(expected, metric), rtol=1e-6, atol=1e-12)


def test_correlation_distance_is_its_definition():
    x = np.random.default_rng(1).normal(size=(6, 9))
    assert np.allclose(rdm(still(x)).values, slow_correlation_distances(x), atol=1e-13)


def test_rsatoolbox_gives_the_same_per_unit():
    calc_rdm = pytest.importorskip("rsatoolbox.rdm").calc_rdm
    from rsatoolbox.data import Dataset

    rng = np.random.default_rng(2)
    x, root = rng.normal(size=(9, 12)), rng.normal(size=(12, 30))
    precision = np.linalg.inv(root @ root.T)
    data = Dataset(x)
    assert np.allclose(
        upper(rdm(still(x), "sqeuclidean")) / 12, calc_rdm(data, "euclidean").dissimilarities, atol=1e-10
    )
    expected = calc_rdm(data, "mahalanobis", noise=precision).dissimilarities
    assert np.allclose(upper(rdm(still(x), "mahalanobis", noise=precision)), expected, atol=1e-10)
    counts = rng.poisson(3, size=(9, 12)).astype(float)
    expected = calc_rdm(Dataset(counts), "poisson").dissimilarities
    assert np.allclose(upper(rdm(still(counts), "poisson")), expected, atol=1e-10)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("with_noise", [False, True])
def test_crossnobis_is_that_of_rsatoolbox_and_of_the_definition(with_noise, count):
    calc_rdm = pytest.importorskip("rsatoolbox.rdm").calc_rdm
    from rsatoolbox.data import Dataset

    folds = folds_of(3, count)
    root = np.random.default_rng(4).normal(size=(10, 20))
    precision = np.linalg.inv(root @ root.T) if with_noise else None
    X = runs(folds)
    found = rdm(X, "crossnobis", by="run", noise=precision)
    assert found["stimulus"].values.tolist() == pictures(7)
    data = Dataset(X.values, obs_descriptors={"s": X["stimulus"].values, "run": X["run"].values})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = calc_rdm(data, "crossnobis", descriptor="s", cv_descriptor="run", noise=precision).dissimilarities
    assert np.allclose(upper(found), peer, atol=1e-10)
    assert np.allclose(found.values, slow_crossnobis(folds, precision), atol=1e-10)


def test_crossnobis_with_a_large_mean_pattern_keeps_its_digits():
    folds = folds_of(5)
    there = folds + 1e7 * np.random.default_rng(6).normal(size=10)
    assert np.allclose(rdm(runs(there), "crossnobis", by="run").values, slow_crossnobis(folds), atol=1e-6)


def test_poisson_and_its_crossed_form_are_their_definitions():
    counts = np.random.default_rng(7).poisson(4, size=(3, 6, 8)).astype(float)
    assert np.allclose(rdm(still(counts[0]), "poisson").values, slow_poisson(counts[0]), atol=1e-12)
    expected = np.mean([slow_poisson(counts[f], counts[g]) for f in range(3) for g in range(3) if f != g], axis=0)
    expected = (expected + expected.T) / 2
    assert np.allclose(rdm(runs(counts), "poisson_crossed", by="run").values, expected, atol=1e-12)


@pytest.mark.parametrize("m", [6, 40])
def test_shrunk_covariances_are_those_of_their_packages(m):
    noise = pytest.importorskip("rsatoolbox.data.noise")
    from sklearn.covariance import ledoit_wolf

    rng = np.random.default_rng(8)
    r = rng.normal(size=(m, 12)) @ rng.normal(size=(12, 12))
    r -= r.mean(axis=0)
    x = rng.normal(size=(5, 12))
    covariance, share = ledoit_wolf(r, assume_centered=True)
    white = algebra.ledoit_wolf(r)
    assert np.isclose(white.shrinkage, share, atol=1e-10)
    assert np.allclose(white(x) @ white(x).T, x @ np.linalg.inv(covariance) @ x.T, rtol=1e-8)
    for name, peer in (("ledoit_wolf", "shrinkage_eye"), ("shrink_diagonal", "shrinkage_diag"), ("diagonal", "diag")):
        white = algebra.NOISES[name](r, m - 1)
        precision = noise.prec_from_residuals(r.copy(), method=peer)
        assert np.allclose(white(x) @ white(x).T, x @ precision @ x.T, rtol=1e-8)
    if m > 12:
        white = algebra.NOISES["full"](r, m - 1)
        assert np.allclose(white(x) @ white(x).T, x @ np.linalg.inv(np.cov(r.T)) @ x.T, rtol=1e-6)


@pytest.mark.parametrize("name", ["ledoit_wolf", "shrink_diagonal", "diagonal"])
def test_noise_by_name_is_of_the_other_folds_or_of_repeats_within(name):
    folds = folds_of(9)
    X = runs(folds, np.random.default_rng(10).permutation(28))
    expected = []
    for f, g in itertools.combinations(range(4), 2):
        rest = np.delete(folds, [f, g], axis=0)
        white = algebra.NOISES[name]((rest - rest.mean(axis=0)).reshape(-1, 10), 7)
        expected.append(upper_of(slow_crossnobis(white(folds[[f, g]]))))
    assert np.allclose(sorted_upper(rdm(X, "crossnobis", by="run", noise=name)), np.mean(expected, axis=0))
    white = algebra.NOISES[name]((folds - folds.mean(axis=0)).reshape(-1, 10), 28 - 7)
    found = sorted_upper(rdm(X, "mahalanobis", by="run", noise=name))
    assert np.allclose(found, pdist(white(folds.mean(axis=0)), "sqeuclidean") / 10)

    twice = folds_of(31, count=4, n=14).reshape(2, 2, 14, 10).transpose(0, 2, 1, 3)  # 2 runs, 14 stimuli, 2 trials
    samples = runs(twice.transpose(0, 2, 1, 3).reshape(4, 14, 10))
    samples = samples.assign_coords(run=("sample", samples["run"].values // 2))
    residuals = (twice - twice.mean(axis=2, keepdims=True)).reshape(-1, 10)
    white = algebra.NOISES[name](residuals, 28)
    found = rdm(samples, "crossnobis", by="run", noise=name)
    assert np.allclose(upper(found), upper_of(slow_crossnobis(white(twice.mean(axis=2)))))


def sorted_upper(R):
    order = np.argsort(R["stimulus"].values)
    return upper(R.isel(stimulus=order, stimulus_other=order))


def upper_of(matrix):
    return matrix[np.triu_indices(len(matrix), 1)]


def test_residuals_are_noise_and_a_precision_is_itself():
    rng = np.random.default_rng(11)
    x, r = rng.normal(size=(6, 8)), rng.normal(size=(30, 8)) * np.arange(1, 9)
    X = still(x, unit={"voxel": np.arange(8)})
    R = as_representation(r, stimulus=range(30), kind="fmri", unit={"voxel": np.arange(8)})
    white = algebra.ledoit_wolf(r - r.mean(axis=0), 29)
    for noise in (r, R):
        assert np.allclose(upper(rdm(X, "mahalanobis", noise=noise)), pdist(white(x), "sqeuclidean") / 8)
    assert rdm(X, "mahalanobis", noise=np.eye(8)).attrs["noise"] == "precision"
    with pytest.raises(AlignmentError, match="voxel"):
        rdm(X, "mahalanobis", noise=R.isel(unit=slice(None, None, -1)))
    with pytest.raises(AlignmentError, match=r"\(30, 7\) and X has 8 units"):
        rdm(X, "mahalanobis", noise=r[:, 1:])


def test_a_planted_geometry_is_found_and_none_where_none_is():
    rng = np.random.default_rng(12)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    place = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    truth = pdist(place)
    signal = place @ rng.normal(size=(2, 200))
    folds = signal + 2 * rng.normal(size=(6, 24, 200))
    for metric, by in (("crossnobis", "run"), ("euclidean", "run"), ("correlation", "run")):
        found = rdm(runs(folds), metric, by=by)
        assert spearman(upper(found), truth) > 0.85
        null = rdm(runs(rng.permuted(folds, axis=1)), metric, by=by)
        assert abs(spearman(upper(null), truth)) < 0.3
    crossed = upper(rdm(runs(folds), "crossnobis", by="run"))
    assert np.allclose(np.polyfit(pdist(signal, "sqeuclidean") / 200, crossed, 1), [1, 0], atol=0.25)


def test_crossnobis_is_unbiased_where_mahalanobis_is_not():
    rng = np.random.default_rng(13)
    same = rng.normal(size=20)
    crossed, plain = [], []
    for _ in range(200):
        folds = same + rng.normal(size=(3, 5, 20))
        residuals = rng.normal(size=(60, 20))
        X = runs(folds)
        crossed.append(upper(rdm(X, "crossnobis", by="run", noise=residuals)).mean())
        plain.append(upper(rdm(X, "mahalanobis", by="run", noise=residuals)).mean())
    crossed, plain = np.array(crossed), np.array(plain)
    assert abs(crossed.mean()) < 3 * crossed.std() / 200**0.5
    assert (crossed < 0).mean() > 0.3
    assert plain.min() > 0
    assert 0.5 < plain.mean() < 0.9  # twice the variance of a mean of three runs


@pytest.mark.parametrize("name", ["ledoit_wolf", "diagonal"])
def test_noise_from_the_same_recording_leaves_crossnobis_unbiased(name):
    rng = np.random.default_rng(14)
    found, naive = [], []
    for _ in range(150):
        folds = rng.normal(size=(4, 8, 30))
        found.append(upper(rdm(runs(folds), "crossnobis", by="run", noise=name)).mean())
        white = algebra.NOISES[name]((folds - folds.mean(axis=0)).reshape(-1, 30), 24)
        naive.append(upper_of(algebra.crossed(white(folds))).mean() / 30)
    assert abs(np.mean(found)) < 3 * np.std(found) / 150**0.5
    assert np.mean(naive) > 4 * np.std(naive) / 150**0.5


@pytest.mark.parametrize("metric", list(DISSIMILARITIES))
def test_another_order_of_samples_changes_no_pair_and_times_are_done_one_by_one(metric):
    rng = np.random.default_rng(15)
    folds = rng.poisson(5, size=(4, 6, 8, 4)).astype(float)
    noise = {"noise": "ledoit_wolf"} if metric in ("mahalanobis", "crossnobis") else {}
    X = runs(folds, time=[0.0, 0.1, 0.2, 0.3])
    whole = check_rdm(rdm(X, metric, by="run", **noise))
    assert whole.dims == ("time", "stimulus", "stimulus_other")
    assert whole["time"].values.tolist() == [0.0, 0.1, 0.2, 0.3]
    assert whole.sel(time=0.1).dims == ("stimulus", "stimulus_other")
    moved = runs(folds, rng.permutation(24), time=[0.0, 0.1, 0.2, 0.3])
    again = match_rdms(whole, rdm(moved, metric, by="run", **noise))[1]
    assert np.allclose(again.values, whole.values, atol=1e-12)
    for t in range(4):
        one = rdm(X.isel(time=t, drop=True), metric, by="run", **noise)
        assert np.allclose(one.values, whole.values[t], atol=1e-12)


def test_what_each_metric_does_not_see():
    rng = np.random.default_rng(16)
    x = rng.normal(size=(8, 12))
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    unit_shift = x + rng.normal(size=12)
    pattern_shift = 2 * x + rng.normal(size=(8, 1))

    def same(metric, y):
        return np.allclose(upper(rdm(still(y), metric)), upper(rdm(still(x), metric)), atol=1e-9)

    assert [same(m, x @ turn) for m in ("correlation", "cosine", "euclidean")] == [False, True, True]
    assert [same(m, unit_shift) for m in ("correlation", "cosine", "euclidean")] == [False, False, True]
    assert [same(m, pattern_shift) for m in ("correlation", "cosine", "euclidean")] == [True, False, False]
    assert all(same(m, x[:, ::-1]) for m in ("correlation", "cosine", "euclidean", "sqeuclidean"))


def test_a_function_is_a_metric():
    x = np.random.default_rng(17).normal(size=(6, 5))

    def cityblock(patterns):
        return pdist(patterns, "cityblock")

    found = rdm(still(x), cityblock)
    assert np.allclose(upper(found), cityblock(x))
    assert found.attrs["metric"] == "cityblock"
    assert np.allclose(rdm(still(x), lambda p: squareform(cityblock(p))).values, found.values)
    with pytest.raises(ValueError, match=r"expected symmetric \(6, 6\)"):
        rdm(still(x), lambda patterns: patterns)


def test_labels_of_stimuli_stay_and_those_that_vary_go():
    folds = folds_of(18, count=2, n=3)
    X = runs(folds).assign_coords(category=("sample", list("aabaab")), onset=("sample", np.arange(6.0)))
    found = rdm(X, "crossnobis", by="run")
    assert found["category"].values.tolist() == list("aab")
    assert "onset" not in found.coords and "run" not in found.coords
    assert found.attrs["by"] == "run" and found.attrs["n_units"] == 10
    assert any("crossnobis" in line for line in found.attrs["history"])
    assert rdm(average_repeats(X))["n_repeats"].values.tolist() == [2, 2, 2]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int16", ">f8"])
def test_other_number_types_and_layouts_give_the_same(dtype):
    x = np.round(np.random.default_rng(19).normal(size=(6, 9)) * 8)
    X = still(np.asfortranarray(x.astype(dtype)))
    assert np.allclose(rdm(X).values, rdm(still(x)).values, atol=1e-12)


def test_masked_units_are_left_out():
    x = np.random.default_rng(20).normal(size=(6, 9))
    y = np.insert(x, 4, np.nan, axis=1)
    X = as_representation(y, stimulus=pictures(6), kind="fmri", nan_policy="drop_targets")
    assert np.allclose(rdm(X).values, rdm(still(x)).values)
    assert rdm(X).attrs["n_units"] == 9
    with pytest.raises(ValueError, match="not masked"):
        rdm(X, "mahalanobis", noise=np.eye(10))


def test_a_searchlight_is_the_matrix_of_every_neighbourhood():
    rng = np.random.default_rng(21)
    grid = np.argwhere(np.ones((3, 4, 2)))
    space = {name: 2.0 * grid[:, at] for at, name in enumerate("xyz")}
    folds = rng.normal(size=(4, 6, len(grid)))
    X = runs(folds, unit=space)
    near = np.linalg.norm(2.0 * (grid[:, None] - grid[None]), axis=2) <= 2.0
    for metric, noise in (("correlation", None), ("crossnobis", None), ("crossnobis", "ledoit_wolf")):
        found = check_rdm(searchlight_rdms(X, metric, radius=2.0, by="run", noise=noise))
        assert found.dims == ("unit", "stimulus", "stimulus_other")
        assert found["x"].values.tolist() == X["x"].values.tolist()
        for c in (0, 7, 23):
            alone = rdm(X.isel(unit=near[c]), metric, by="run", noise=noise)
            assert np.allclose(found.values[c], alone.values, atol=1e-12)
    some = searchlight_rdms(X, radius=2.0, by="run", centres=[7, 0])
    assert np.allclose(some.values, searchlight_rdms(X, radius=2.0, by="run").values[[7, 0]])
    assert some["x"].values.tolist() == X["x"].values[[7, 0]].tolist()


def test_neighbourhoods_without_a_matrix_are_listed():
    x = np.random.default_rng(22).normal(size=(5, 8))
    x[2, 4:7] = 1.0
    line = [[i - 1, i + 1] if 0 < i < 7 else [] for i in range(8)]
    found = searchlight_rdms(still(x), neighbours=line)
    assert found.attrs["degenerate"] == [0, 5, 7]
    assert np.isnan(upper(found)[[0, 5, 7]]).all()
    assert np.isfinite(found.values[[1, 2, 3, 4, 6]]).all()
    check_rdm(found)
    with pytest.raises(CapacityError, match="do some at a time with centres="):
        searchlight_rdms(still(x), neighbours=line, max_memory=100)
    with pytest.raises(ValueError, match="give one of radius"):
        searchlight_rdms(still(x))
    with pytest.raises(ValueError, match="by name or as residuals"):
        searchlight_rdms(still(x), "mahalanobis", neighbours=line, noise=np.eye(8))


def test_a_pattern_without_variation_is_named():
    x = np.random.default_rng(23).normal(size=(4, 6))
    x[2] = 7.7
    with pytest.raises(DegenerateDataError, match=r"1 of 4 stimuli have no dissimilarity: 's02'.*constant"):
        rdm(still(x))
    assert np.isfinite(rdm(still(x), "euclidean").values).all()
    x[2] = 0.0
    with pytest.raises(DegenerateDataError, match="'s02'"):
        rdm(still(x), "cosine")
    with pytest.raises(DegenerateDataError, match="at time 1: 's02'"):
        rdm(still(np.stack([np.random.default_rng(24).normal(size=(4, 6)), x], axis=2)), "cosine")


def test_repeats_are_never_averaged_in_silence():
    X = runs(folds_of(25))
    with pytest.raises(AlignmentError, match=r"'s00' \(4\).*average_repeats.*by='run'"):
        rdm(X)
    assert np.allclose(rdm(average_repeats(X)).values, rdm(X, by="run").values)
    with pytest.raises(AlignmentError, match="cross-validated; say over what"):
        rdm(X, "crossnobis")


@pytest.mark.parametrize(
    ("metric", "options", "error", "says"),
    [
        ("corelation", {}, ValueError, "Did you mean 'correlation'"),
        ("crossnobis", {"by": "session"}, AlignmentError, "no sample coordinate of X; it has run, stimulus"),
        ("correlation", {"by": "run", "noise": "ledoit_wolf"}, ValueError, "does not use noise"),
        ("mahalanobis", {"by": "run"}, ValueError, "needs noise="),
        ("crossnobis", {"by": "run", "noise": "ledoitwolf"}, ValueError, "Did you mean 'ledoit_wolf'"),
        ("poisson", {"by": "run"}, DegenerateDataError, "values below 0"),
        ("crossnobis", {"by": "run", "noise": np.ones((1, 10))}, DegenerateDataError, "1 sample of residuals"),
    ],
)
def test_what_cannot_be_computed_says_what_to_do(metric, options, error, says):
    with pytest.raises(error, match=says):
        rdm(runs(folds_of(26)), metric, **options)


def test_folds_must_be_complete_and_more_than_one():
    X = runs(folds_of(27))
    with pytest.raises(AlignmentError, match=r"1 stimuli are missing in a fold: 's03' in run 2"):
        rdm(X.isel(sample=np.delete(np.arange(28), 2 * 7 + 3)), "crossnobis", by="run")
    with pytest.raises(DegenerateDataError, match="at least 2 folds"):
        rdm(X.isel(sample=slice(0, 7)), "crossnobis", by="run")


def test_too_few_units_stimuli_or_repeats_are_refused():
    x = np.random.default_rng(28).normal(size=(4, 2))
    with pytest.raises(DegenerateDataError, match=r"at least 3 units.*X has 2"):
        rdm(still(x))
    assert np.isfinite(rdm(still(x), "cosine").values).all()
    with pytest.raises(DegenerateDataError, match="X has 1 stimulus"):
        rdm(still(np.ones((1, 4))), "euclidean")
    with pytest.raises(DegenerateDataError, match="every stimulus of X is there once"):
        rdm(still(x), "mahalanobis", noise="ledoit_wolf")
    with pytest.raises(DegenerateDataError, match=r"at least two others, and X has no .* 3 folds"):
        rdm(runs(folds_of(29, count=3)), "crossnobis", by="run", noise="ledoit_wolf")
    with pytest.raises(DegenerateDataError, match="do not determine a covariance of 40 units"):
        rdm(runs(folds_of(29, p=40)), "crossnobis", by="run", noise="full")


def test_what_is_no_representation_is_refused():
    with pytest.raises(TypeError, match="as_representation"):
        rdm("patterns")
    with pytest.raises(DegenerateDataError, match="'row 0'"):
        rdm(np.ones((3, 4)))
    x = np.random.default_rng(30).normal(size=(4, 6))
    bad = still(x)
    bad.values[1, 2] = np.nan
    with pytest.raises(DegenerateDataError, match=r"1 NaN.*'s01'"):
        rdm(bad)
    for metric in ("poisson", "euclidean"):
        with pytest.raises(DegenerateDataError, match="1 NaN"):
            rdm(bad, metric)
        with pytest.raises(DegenerateDataError, match="1 NaN"):
            searchlight_rdms(bad, metric, neighbours=np.ones((6, 6)))
    bad.values[1, 2] = np.inf
    with pytest.raises(DegenerateDataError, match="1 infinity"):
        rdm(bad)
    tokens = as_representation(
        np.ones((2, 3, 4)), stimulus=["a", "b"], kind="network", dims=("sample", "token", "unit")
    )
    with pytest.raises(AlignmentError, match="tokens; pool them"):
        rdm(tokens)


def test_plain_arrays_meet_row_by_row_and_nothing_that_is_labelled():
    x, y = np.random.default_rng(31).normal(size=(2, 9, 12))
    assert np.array_equal(rdm(x).values, rdm(still(x)).values)
    assert compare(rdm(x), rdm(y), "rsa") == pytest.approx(compare(x, y, "rsa"), abs=1e-12)
    assert rdm((10 * x).astype(int), "euclidean").dtype == np.float64
    numbered = as_representation(y, stimulus=range(9), kind="fmri")
    with pytest.raises(AlignmentError, match="row 0"):
        compare(rdm(x), rdm(numbered), "rsa")
    lights = searchlight_rdms(x, neighbours=np.ones((12, 12)))
    assert np.allclose(lights.values[4], rdm(x).values)


@pytest.mark.parametrize("offset", [1e4, 1e8])
def test_a_large_common_mean_takes_no_digits_from_cross_validated_distances(offset):
    folds = np.round(folds_of(32, count=3, n=8, p=6) * 64) / 64  # exact beside the offset
    root = np.random.default_rng(33).normal(size=(6, 6))
    precision = root @ root.T + np.eye(6)
    residuals = np.random.default_rng(34).normal(size=(50, 6))
    for noise in (None, precision, residuals):
        expected = rdm(runs(folds), "crossnobis", by="run", noise=noise).values
        moved = rdm(runs(folds + offset), "crossnobis", by="run", noise=noise).values
        assert np.allclose(moved, expected, rtol=1e-10, atol=1e-10)
        if noise is not None:
            expected = rdm(still(folds[0]), "mahalanobis", noise=noise).values
            assert np.allclose(rdm(still(folds[0] + offset), "mahalanobis", noise=noise).values, expected, atol=1e-10)


def test_units_without_noise_are_named():
    folds = folds_of(35, count=8, n=5, p=4)
    folds[..., 2] = 0.1
    X = runs(folds)
    for noise in ("diagonal", "shrink_diagonal", "full"):
        with pytest.raises(DegenerateDataError, match=r"1 of 4 units have no noise \(2\)"):
            rdm(X, "crossnobis", by="run", noise=noise)
        found = searchlight_rdms(X, "crossnobis", by="run", noise=noise, neighbours=[[1], [0], [], []])
        assert found.attrs["degenerate"] == [2] and np.isfinite(found.values[[0, 1, 3]]).all()
    assert np.isfinite(rdm(X, "crossnobis", by="run", noise="ledoit_wolf").values).all()
    same = runs(np.repeat(folds[:1], 8, axis=0))
    with pytest.raises(DegenerateDataError, match="4 of 4 units have no noise"):
        rdm(same, "crossnobis", by="run", noise="ledoit_wolf")
    with pytest.raises(DegenerateDataError, match="4 of 4 units have no noise"):
        rdm(X, "crossnobis", by="run", noise=np.full((20, 4), 0.1))
    with pytest.raises(DegenerateDataError, match="positive definite"):
        rdm(X, "crossnobis", by="run", noise=-np.eye(4))


def test_a_full_covariance_in_small_neighbourhoods_of_many_units():
    X = runs(folds_of(36, count=5, n=4, p=30))
    with pytest.raises(DegenerateDataError, match="covariance of 30 units"):
        rdm(X, "crossnobis", by="run", noise="full")
    found = searchlight_rdms(
        X, "crossnobis", by="run", noise="full", neighbours=[[at, (at + 1) % 30] for at in range(30)]
    )
    assert np.allclose(found.values[3], rdm(X.isel(unit=[3, 4]), "crossnobis", by="run", noise="full").values)


def test_a_metric_that_works_in_place_leaves_the_data():
    def shifted(x):
        x -= x.mean(axis=0)
        return np.abs(x[:, None] - x).sum(axis=-1)

    x = np.random.default_rng(37).normal(size=(6, 4))
    X = still(x.copy())
    rdm(X, shifted)
    assert np.array_equal(X.values, x)
    for radius in (0.0, -3.0, np.nan):
        with pytest.raises(ValueError, match="radius"):
            searchlight_rdms(X, radius=radius)


@pytest.mark.parametrize("metric", ["correlation", "cosine", "euclidean"])
@pytest.mark.parametrize(("scale", "said"), [(1e-170, "e-170, too small"), (1e160, r"e\+160, too large")])
def test_values_whose_squares_are_no_numbers_are_named(metric, scale, said):
    x = np.random.default_rng(0).uniform(1, 9, size=(5, 6))
    with pytest.raises(DegenerateDataError, match=said):
        rdm(still(x * scale), metric)
    for fine in (1e-140, 1e140):
        np.testing.assert_allclose(
            upper(rdm(still(x * fine), metric)) / (fine if metric == "euclidean" else 1), upper(rdm(still(x), metric))
        )
    one = x.copy()
    one[2] *= scale
    if metric != "euclidean" or scale > 1:
        with pytest.raises(DegenerateDataError, match=said):
            rdm(still(one), metric)


@pytest.mark.parametrize("least", [-0.1, -1e-6, 0.0])
def test_a_precision_must_be_positive_definite(least):
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    precision = turn * [least, 1, 2, 3, 4, 5] @ turn.T
    assert (np.diagonal(precision) > 0).all()
    X = still(rng.normal(size=(5, 6)))
    if least == 0:  # rounding decides on which side of 0 it is
        precision -= 1e-12 * np.eye(6)
    with pytest.raises(DegenerateDataError, match="not positive definite"):
        rdm(X, "mahalanobis", noise=(precision + precision.T) / 2)
    right = turn * [0.1, 1, 2, 3, 4, 5] @ turn.T
    assert (upper(rdm(X, "mahalanobis", noise=(right + right.T) / 2)) > 0).all()
