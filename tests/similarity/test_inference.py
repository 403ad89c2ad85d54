"""Comparing models: planted truth, rsatoolbox, labels, and what cannot be said."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr, ttest_1samp, ttest_rel

from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.representation import as_representation
from neurodecode.similarity import Weighted, as_rdm, compare_models, rdm

N, PAIRS = 20, 190
NAMES = [f"s{at}" for at in range(N)]


def world(seed=0, people=10, noise=1.0):
    rng = np.random.default_rng(seed)
    true = rng.random(PAIRS)
    rdms = as_rdm(
        true + noise * rng.random((people, PAIRS)), stimulus=NAMES, subject=[f"p{at}" for at in range(people)]
    )
    values = {"right": true, "near": true + 0.7 * rng.random(PAIRS), "other": rng.random(PAIRS)}
    return rdms, {name: as_rdm(value, stimulus=NAMES) for name, value in values.items()}


@pytest.mark.parametrize("over", ["subject", "stimulus", "both"])
@pytest.mark.parametrize("how", ["spearman", "pearson", "whitened_pearson"])
def test_what_is_planted_is_found_and_what_is_not_is_not(over, how):
    rdms, models = world()
    found = compare_models(models, rdms, how=how, bootstrap=over, n_bootstrap=50, random_state=1)
    assert found["score"].dims == ("model", "subject") and found.attrs["schema"] == "neurodecode.rsa/1"
    above = dict(zip(found["model"].values, found["p"].values))
    assert above["right"] < 1e-4 and above["near"] < 1e-3 and above["other"] > 0.05
    p, p_fdr, p_fwe = (found[name].values for name in ("p", "p_fdr", "p_fwe"))
    assert (p_fwe >= p_fdr * (1 - 1e-9)).all() and (p_fdr >= p * (1 - 1e-9)).all()
    pair = found["p_pair"].to_pandas()
    assert pair.loc["right", "other"] < 1e-3 and pair.loc["right", "near"] < 0.05
    short = dict(zip(found["model"].values, found["p_ceiling"].values))
    assert short["right"] > 0.5 and short["other"] < 1e-3
    assert found["ceiling_lower"] < found["mean"][0] < found["ceiling_upper"]
    assert (found["low"] < found["mean"]).all() and (found["high"] > found["mean"]).all()


def test_over_people_it_is_the_t_test_of_people():
    rdms, models = world(1)
    found = compare_models(models, rdms, how="pearson", n_bootstrap=0)
    scores = found["score"].values
    np.testing.assert_allclose(found["p"], ttest_1samp(scores, 0, axis=1, alternative="greater").pvalue)
    np.testing.assert_allclose(found["p_pair"][0, 1], ttest_rel(scores[0], scores[1]).pvalue)
    np.testing.assert_allclose(found["difference"], -found["difference"].T)


@pytest.mark.parametrize(("how", "theirs"), [("spearman", "spearman"), ("pearson", "corr"), ("cosine", "cosine")])
def test_scores_and_bootstrap_of_people_as_rsatoolbox(how, theirs):
    inference = pytest.importorskip("rsatoolbox.inference")
    from rsatoolbox.model import ModelFixed
    from rsatoolbox.rdm import RDMs
    from rsatoolbox.rdm import compare as score

    from neurodecode.similarity.rdms import upper

    rdms, models = world(2)
    found = compare_models(models, rdms, how=how, n_bootstrap=600, random_state=0)
    data = RDMs(upper(rdms))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = inference.eval_fixed(
            [ModelFixed(name, upper(model)) for name, model in models.items()], data, method=theirs
        )
        one = score(RDMs(upper(models["near"])), data, theirs)
    np.testing.assert_allclose(found["score"].values, result.evaluations[0], atol=1e-9)
    np.testing.assert_allclose(found["score"].values[1], one[0], atol=1e-9)
    np.testing.assert_allclose(found["se"].values ** 2, result.model_var, rtol=1e-6)
    np.testing.assert_allclose(found["se_bootstrap"], found["se"], rtol=0.12)


def test_stimuli_meet_by_label():
    rdms, models = world(3)
    order = np.random.default_rng(0).permutation(N)
    turned = {name: model.isel(stimulus=order, stimulus_other=order) for name, model in models.items()}
    one, two = (compare_models(part, rdms, bootstrap="both", n_bootstrap=0) for part in (models, turned))
    for name in ("score", "p", "p_pair", "p_ceiling", "se"):
        np.testing.assert_allclose(one[name], two[name], atol=1e-10)
    renamed = dict(models)
    renamed["right"] = as_rdm(models["right"].values, stimulus=["unknown", *NAMES[1:]])
    with pytest.raises(AlignmentError, match=r"unknown"):
        compare_models(renamed, rdms)


def test_a_constant_model_has_no_score_and_is_no_test():
    rdms, models = world(4)
    models["flat"] = as_rdm(np.ones(PAIRS), stimulus=NAMES)
    found = compare_models(models, rdms, bootstrap="both", n_bootstrap=20, random_state=0)
    without = compare_models({k: v for k, v in models.items() if k != "flat"}, rdms, bootstrap="both", n_bootstrap=0)
    assert found.attrs["degenerate"] == ["flat"]
    assert np.isnan(found["p_fdr"].sel(model="flat")) and np.isnan(found["p_pair"].sel(model="flat")).all()
    np.testing.assert_allclose(found["p_fdr"].values[:3], without["p_fdr"].values)
    assert found.attrs["degenerate_draws"]["constant_model"] == 0


def test_a_model_that_is_constant_in_some_draws_is_counted():
    rng = np.random.default_rng(5)
    n = 8
    lone = np.ones((n, n)) - np.eye(n)
    lone[0, 1] = lone[1, 0] = 3.0
    names = NAMES[:n]
    rdms = as_rdm(rng.random((4, n * (n - 1) // 2)), stimulus=names)
    found = compare_models(
        {"lone": as_rdm(lone, stimulus=names)}, rdms, bootstrap="stimulus", random_state=0, how="pearson"
    )
    counts = found.attrs["degenerate_draws"]
    assert 300 < counts["constant_model"] < 900 and counts["n_resamples"] == 1000
    assert np.isfinite(found["se_bootstrap"]).all()


def test_one_person():
    rdms, models = world(6)
    found = compare_models(models, rdms.isel(subject=0), bootstrap="stimulus", n_bootstrap=20)
    assert np.isnan(found["ceiling_lower"]) and np.isnan(found["p_ceiling"]).all()
    assert "one subject" in found.attrs["ceiling_reason"] and found["p"][0] < 0.01
    with pytest.raises(DegenerateDataError, match="bootstrap='stimulus'"):
        compare_models(models, rdms.isel(subject=0))


def test_few_stimuli_are_refused():
    few = NAMES[:5]
    rdms = as_rdm(np.random.default_rng(0).random((6, 10)), stimulus=few)
    model = as_rdm(np.arange(10.0), stimulus=few)
    with pytest.raises(DegenerateDataError, match="needs 6 stimuli or more, and there are 5"):
        compare_models({"one": model}, rdms, bootstrap="both")
    with pytest.raises(DegenerateDataError, match="needs 10 stimuli"):
        compare_models({"fit": Weighted({"one": model, "two": model})}, rdms)
    assert compare_models({"one": model}, rdms, n_bootstrap=0)["mean"].size == 1


def test_what_else_is_refused():
    rdms, models = world(7)
    with pytest.raises(ValueError, match="Did you mean 'subject'"):
        compare_models(models, rdms, bootstrap="subjects")
    with pytest.raises(ValueError, match="at least one"):
        compare_models({}, rdms)
    with pytest.raises(TypeError, match="labels"):
        compare_models({"plain": models["right"].values}, rdms)
    with pytest.raises(AlignmentError, match="one matrix"):
        compare_models({"many": rdms}, rdms)
    with pytest.raises(TypeError, match="Weighted"):
        compare_models({"parts": models}, rdms)


def test_the_same_seed_gives_the_same_and_a_callable_is_a_measure():
    rdms, models = world(8, people=4)
    one, two = (compare_models(models, rdms, bootstrap="both", n_bootstrap=30, random_state=3) for _ in range(2))
    assert one.identical(two)

    def correlation(a, b):
        return np.corrcoef(a, b)[: len(a), len(a) :]

    own = compare_models(models, rdms, how=correlation, n_bootstrap=0)
    theirs = compare_models(models, rdms, how="pearson", n_bootstrap=0)
    np.testing.assert_allclose(own["score"], theirs["score"], atol=1e-10)
    np.testing.assert_allclose(own["ceiling_lower"], theirs["ceiling_lower"], atol=1e-10)
    assert own.attrs["how"] == "correlation"


def test_ties_of_a_model_do_not_depend_on_the_order_of_its_stimuli():
    """A model of categories that was computed has several numbers for equal pairs, other ones in every order."""
    rng = np.random.default_rng(50)
    stimulus, centres, kinds = [f"s{at:02d}" for at in range(30)], rng.normal(size=(5, 37)), rng.integers(5, size=30)
    model = as_representation(centres[kinds], stimulus=stimulus, kind="network")
    people = as_rdm(rng.random((4, 435)), stimulus=stimulus)
    for how in ("spearman", "kendall"):
        scores = []
        for _ in range(3):
            moved = rdm(model.isel(sample=rng.permutation(30)))
            scores.append(compare_models({"kinds": moved}, people, how=how, n_bootstrap=0)["score"].values)
        exact = as_rdm(rdm(model).values.round(9), stimulus=stimulus)
        scores.append(compare_models({"kinds": exact}, people, how=how, n_bootstrap=0)["score"].values)
        assert np.ptp(scores, axis=0).max() < 1e-12


def test_a_function_of_two_vectors_is_a_measure():
    rdms, models = world(9, people=4)
    models["both"] = Weighted({"near": models["near"], "other": models["other"]})

    def rows(a, b):
        return np.corrcoef(a, b)[: len(a), len(a) :]

    options = {"bootstrap": "both", "n_bootstrap": 5, "random_state": 1}
    one = compare_models(models, rdms, how=lambda a, b: float(np.corrcoef(a, b)[0, 1]), **options)
    xr.testing.assert_allclose(one, compare_models(models, rdms, how=rows, **options))
    del models["both"]
    own = compare_models(models, rdms, how=lambda a, b: spearmanr(a, b)[0], n_bootstrap=0)
    named = compare_models(models, rdms, how="spearman", n_bootstrap=0)
    np.testing.assert_allclose(own["score"], named["score"], atol=1e-10)


def test_times_are_gone_through_as_the_error_says():
    rdms, models = world(10, people=3)
    over_time = xr.concat([rdms, rdms], "time").transpose("time", "subject", "stimulus", "stimulus_other")
    with pytest.raises(DegenerateDataError, match=r"rdms.isel\(time=0\), or go through all: xr.concat\(\[compare_mod"):
        compare_models(models, over_time)
    found = xr.concat([compare_models(models, over_time.isel(time=at), n_bootstrap=0) for at in range(2)], "time")
    assert found["mean"].dims == ("time", "model")
    people = rdms.rename(subject="person")
    with pytest.raises(DegenerateDataError, match=r"rdms.rename\(person='subject'\)"):
        compare_models(models, people)
