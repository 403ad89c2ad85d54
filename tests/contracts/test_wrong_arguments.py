"""One wrong argument at a time, as people pass them: what came stands in the message, and nothing fails deep inside."""

from __future__ import annotations

import traceback
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import KFold

from neurodecode._names import lookup
from neurodecode._numbers import amount, numbers_of, whole
from neurodecode.attention import (
    EncoderEnsemble,
    FactorizedEncoder,
    GaussianFieldEncoder,
    RoutedEncoder,
    Routing,
    Training,
    past,
    stack_people,
)
from neurodecode.compute.nulls import permutation_orders
from neurodecode.evaluation import (
    SplitBy,
    area_means,
    cross_validate,
    group,
    paired_difference,
    per_subject,
    study_tree,
)
from neurodecode.linear import (
    FIR,
    Delays,
    KernelRidge,
    LatentRegression,
    LinearClassifier,
    Ridge,
    Searchlight,
    TemporalResponse,
)
from neurodecode.representation import as_representation
from neurodecode.similarity import (
    GCCA,
    RidgeMap,
    SharedResponse,
    StreamingComparison,
    cluster_units,
    compare,
    compare_grid,
    compare_models,
    embed,
    gdv,
    intrinsic_dimension,
    manifold_capacity,
    match_units,
    noise_ceiling,
    rdm,
    representation_change,
    searchlight_rdms,
    sparse_prediction,
    stack_rdms,
    tangent_kernel,
    variance_explained,
)
from neurodecode.sources import eeg, network, simulated
from neurodecode.sources.sampling import drop_labels
from neurodecode.sources.zoo import small_conv
from neurodecode.sources.zoo.pictures import as_pictures

CODES = np.repeat([0, 1, 0, 2, 0, 1, 0], 100)


@cache
def features():
    rng = np.random.default_rng(0)
    return as_representation(
        rng.normal(size=(24, 5)), stimulus=[f"s{i}" for i in range(24)], kind="features",
        sample={"run": np.repeat([1, 2, 3], 8)}, unit={"x": np.arange(5.0), "y": np.zeros(5), "z": np.zeros(5)},
    )  # fmt: skip


@cache
def recording():
    values = np.random.default_rng(1).normal(size=(2, 700))
    return eeg.from_array(values, sfreq=100, channels=["Cz", "Pz"], units="uV")


@cache
def world():
    return simulated.scenes(8, random_state=0)


def scored(estimator=None, splits=None, **settings):
    estimator = Ridge(alphas=1.0) if estimator is None else estimator
    splits = SplitBy("run") if splits is None else splits
    return cross_validate(estimator, features(), features(), splits, **{"score": "r", **settings})


def cut(**settings):
    given = {"events": eeg.from_codes(CODES), "event_id": {"a": 1, "b": 2}, "tmin": 0.0, "tmax": 0.5}
    return eeg.epochs(recording(), **{**given, **settings})


def grouped(**settings):
    return group({"ann": scored(), "bob": scored()}, **settings)


def response(tmin=0.0, **settings):
    return TemporalResponse(tmin, 0.1, Ridge(1.0), sfreq=20.0, **settings).fit(features(), features())


def answers(layers="0", **settings):
    return network.activations(torch.nn.Sequential(torch.nn.Linear(2, 3)), torch.ones(4, 2), layers, **settings)


def lights(radius):
    return Searchlight(LinearClassifier("lda", shrinkage=0.5), radius=radius).fit(features(), np.arange(24) % 2)


def part(**settings):
    return as_representation(np.zeros((2, 1)), stimulus=["a", "b"], kind="fmri", **settings)


def alike(how="cka", **settings):
    return compare(features(), features(), how, **settings)


def shared(space):
    return space.fit({"ann": features(), "bob": features()})


def gradients(**settings):
    return tangent_kernel(torch.nn.Linear(3, 2), torch.zeros(4, 3), **settings)


@cache
def matrix():
    return rdm(features())


def modelled(**settings):
    return compare_models({"model": matrix()}, stack_rdms({"ann": matrix(), "bob": matrix()}), **settings)


CLASSES = np.arange(24) % 2


@cache
def places(frames=24):
    """Tokens on a grid, and what lies in their middle."""
    grid = {"row": np.repeat(range(3), 3), "col": np.tile(range(3), 3)}
    values = np.random.default_rng(2).normal(size=(frames, 9, 2))
    X = as_representation(
        values, stimulus=[f"s{i}" for i in range(frames)], kind="network", dims=("sample", "token", "unit"),
        token=grid, sample={"run": np.repeat([1, 2, 3], frames // 3)}, attrs={"tr": 2.0},
    )  # fmt: skip
    return X, as_representation(values[:, 4], stimulus=X["stimulus"].values, kind="fmri", unit={"roi": ["a", "b"]})


def routed(training=None, **settings):
    given = {"width": 4, "max_epochs": 1, "random_state": 0, "training": Training(**(training or {}))}
    return RoutedEncoder(**{**given, **settings}).fit(*places())


def ensemble(encoder=None, *more, **settings):
    few = RoutedEncoder(width=4, max_epochs=1) if encoder is None else encoder
    return EncoderEnsemble(few, *(more or (1,)), **settings).fit(*places())


def fields(**settings):
    return GaussianFieldEncoder(**{"sizes": [1.0], **settings}).fit(*places())


def read(share):
    return routed().token_importance(*places(), share=share)


WRONG = [
    (lambda: scored(permutations="10"), "permutations='10': expected a whole number"),
    (lambda: scored(permutations=2.5), "permutations=2.5: expected a whole number"),
    (lambda: scored(permutations=-1), "permutations=-1: expected a whole number, 0 or more"),
    (lambda: permutation_orders(4, "9"), "permutations='9'"),
    (lambda: permutation_orders(4, -2), "permutations=-2"),
    (lambda: scored(splits="run"), r"pass SplitBy\('run'\)"),
    (lambda: scored(splits=[1, 2, 3]), r"a fold is a pair \(train, test\) of positions; this one is 1"),
    (lambda: scored(splits=["ab", "cd"]), "this one is 'ab'"),
    (lambda: scored(splits=[([0], [1], [2])]), "has 3 parts"),
    (lambda: scored(splits=2.5), "splits=2.5 is neither"),
    (lambda: scored(ceiling="repeat"), "ceiling='repeat': expected a number a unit"),
    (lambda: scored(splits=SplitBy(5)), r"SplitBy\(5\): expected the name of a sample coordinate"),
    (lambda: scored(target_block="all"), "target_block='all': expected a whole number, 1 or more"),
    (lambda: scored(store=__file__), "a file is in the way; name a folder"),
    (lambda: grouped(level=95), "level=95: expected a share above 0 and below 1"),
    (lambda: grouped(permutations="all"), "permutations='all': expected a whole number, 1 or more"),
    (lambda: grouped(n_bootstrap=-1), "n_bootstrap=-1: expected a whole number, 0 or more"),
    (lambda: paired_difference(scored(), scored(), level=95), "level=95: expected a share"),
    (lambda: paired_difference(scored(), 0.5), "second is a float; expected a result of cross_validate"),
    (lambda: study_tree([scored()]), "results is a list; expected results by name"),
    (lambda: per_subject("mean", ["sub-01"]), "function is a str; expected what takes a subject"),
    (lambda: KernelRidge("rbf", gamma="wide").fit(features(), features()), "gamma='wide': expected a finite number"),
    (lambda: LatentRegression("pls", 2, alpha="x").fit(features(), features()), "alpha='x': expected a number, 0 or"),
    (lambda: Delays("2", tr=2.0).fit_transform(features()), "seconds='2': expected one or more finite delays"),
    (lambda: FIR("0", 4, tr=2.0).fit_transform(features()), "a window from '0' to 4 s: expected finite seconds"),
    (lambda: response(tmin="now"), "a window from 'now' to 0.1 s: expected finite seconds"),
    (lambda: response(smooth="x"), "smooth='x': expected a number, 0 or more"),
    (lambda: part(attrs=["tr"]), "attrs= is a list; expected attributes by name"),
    (lambda: small_conv("8"), "n_outputs='8': expected a whole number, 1 or more"),
    (lambda: scored(Ridge(alphas="auto")), "alphas='auto': expected one or more finite numbers"),
    (lambda: scored(Ridge(alphas=[1.0, -1.0])), "0 or above"),
    (lambda: lights("4"), "radius='4': expected a number of millimetres, 0 or more"),
    (lambda: lights(-4), "radius=-4: expected a number of millimetres"),
    (lambda: lights(np.nan), "radius=nan"),
    (lambda: LinearClassifier().fit(features(), ["a"] * 24), "of one class, 'a', came"),
    (lambda: part(unit=["roi"]), "unit= is a list; expected coordinates by name, such as unit={'name': values}"),
    (lambda: cut(tmin="0"), "tmin='0': expected a number of seconds"),
    (lambda: cut(tmax=True), "tmax=True"),
    (lambda: cut(l_freq=30, h_freq=10), "l_freq=30 is not below h_freq=10"),
    (lambda: cut(l_freq="1"), "l_freq='1': expected a number of Hz"),
    (lambda: cut(h_freq=60), "below half the sampling rate, 50 Hz"),
    (lambda: cut(baseline="0"), r"baseline='0': expected \(from, to\) in seconds"),
    (lambda: cut(baseline=(0, 0.1, 0.2)), r"expected \(from, to\)"),
    (lambda: cut(baseline=(-1, 0)), "does not lie inside the epoch, 0 to 0.5 s"),
    (lambda: eeg.from_codes(np.zeros(5)), "all of 5 codes are 0"),
    (lambda: eeg.from_codes([0.5, 1]), "expected one whole number for each sample"),
    (lambda: eeg.from_codes(["a", "b"]), "expected one whole number for each sample"),
    (lambda: eeg.from_codes(np.zeros((2, 5))), "expected one whole number for each sample"),
    (lambda: eeg.from_array(np.ones((2, 9)), sfreq=9, channels="ab", gain=[1, 2, 3]), r"gain has the shape \(3,\)"),
    (lambda: eeg.from_array(np.ones((2, 9)), sfreq=9, channels="ab", offset="x"), "offset='x': expected a number"),
    (lambda: lookup({}, "alpha", "option"), "option='alpha' is not known: there is none to choose"),
    (lambda: as_pictures(np.linspace(-2, 2, 96).reshape(2, 4, 4, 3)), "from -2 to 2; .* left to the network"),
    (lambda: answers(layers=5), "layers=5: expected names of layers"),
    (lambda: answers(pool="avg"), "pool='avg' is not known. Choose one of 'mean', 'last'"),
    (lambda: answers(pool=5), "pool=5 is not known"),
    (lambda: eeg.from_array(np.ones((1, 9)), sfreq="9", channels=["a"]), "sfreq='9' is no rate in samples per second"),
    (lambda: drop_labels(pd.DataFrame({"label": ["rest", "face"]}), 5), "drop=5: expected a list of labels"),
    (lambda: area_means(0.5), "result is a float; expected a result of cross_validate"),
    (lambda: simulated.scenes(5, size="64"), "size='64': expected a whole number"),
    (lambda: simulated.person(world(), areas=5), "areas=5: expected names of areas"),
    (lambda: simulated.eeg(np.zeros((3, 3))), "world is a ndarray; expected a World"),
    (lambda: simulated.scenes("5"), "n='5': expected a whole number, 1 or more"),
    (lambda: simulated.person(np.zeros((3, 3))), "a person looks at a World"),
    (lambda: simulated.person(world(), n_repeats="2"), "n_repeats='2'"),
    (lambda: simulated.eeg(world(), n_runs=1.5), "n_runs=1.5"),
    (lambda: routed(width="8"), "width='8': expected a whole number, 1 or more"),
    (lambda: routed(width=8.5), "width=8.5: expected a whole number"),
    (lambda: routed(n_heads="2"), "n_heads='2': expected a whole number"),
    (lambda: routed(max_epochs="3"), "max_epochs='3': expected a whole number, 1 or more"),
    (lambda: routed(max_epochs=1.5), "max_epochs=1.5"),
    (lambda: routed(by=3), "by=3: expected a coordinate of the units of Y such as 'roi'"),
    (lambda: routed(by=[]), r"by=\[\]: expected a coordinate"),
    (lambda: routed(by=["roi", 2]), r"by=\['roi', 2\]: expected a coordinate"),
    (lambda: routed(routing=Routing(hidden="8")), "hidden='8': expected a whole number"),
    (lambda: FactorizedEncoder("2").fit(*places()), "rank='2': expected a whole number, 1 or more"),
    (lambda: ensemble(None, "3"), "n_members='3': expected a whole number, 1 or more"),
    (lambda: ensemble(temperature="hot"), "temperature='hot': expected a number, 0 or more"),
    (lambda: ensemble(temperature=-1), "temperature=-1"),
    (lambda: ensemble(Ridge()), r"encoder=Ridge\(\): expected an encoder of token maps"),
    (lambda: ensemble(RoutedEncoder), r"encoder=the class RoutedEncoder: expected .* such as RoutedEncoder\(\)"),
    (lambda: ensemble("routed"), "encoder='routed': expected an encoder"),
    (lambda: Training(batch_size="64"), r"batch_size='64' \(a whole number, 1 or more\)"),
    (lambda: Training(batch_size=2.5), "batch_size=2.5"),
    (lambda: Training(learning_rate="0.1"), r"learning_rate='0.1' \(a number above 0\)"),
    (lambda: Training(learning_rate=np.nan), "learning_rate=nan"),
    (lambda: Training(validation="x"), r"validation='x' \(a number from 0 to below 1\)"),
    (lambda: Training(patience="3"), r"patience='3' \(a whole number, 1 or more, or None\)"),
    (lambda: Training(clip="1", dropout="0"), "clip='1'.*; dropout='0'"),
    (lambda: Training(schedule=("10", 0.5)), "schedule="),
    (lambda: Training(schedule=3), "schedule=3"),
    (lambda: Training(validation_by=3), "validation_by=3"),
    (lambda: routed({"validation_by": "rn"}), r"validation_by='rn': the samples of X have \['stimulus', 'run'\]"),
    (lambda: routed({"validation_by": "row"}), "validation_by='row': the samples of X have"),
    (lambda: routed({"validation_by": "rn", "validation": 0}), "validation_by='rn'"),
    (lambda: fields(degrees="x"), "degrees='x': expected a number of degrees of visual angle"),
    (lambda: fields(degrees=0), "degrees=0: expected degrees of visual angle a token, above 0"),
    (lambda: fields(sizes="x"), "sizes='x': expected one or more numbers above 0"),
    (lambda: fields(sizes=["1", "2"]), "expected one or more numbers above 0"),
    (lambda: fields(centres="middle"), "centres='middle': expected one or more places"),
    (lambda: read("0.1"), "share='0.1': expected a number from 0 to 1"),
    (lambda: read(2), "share=2"),
    (lambda: past(features(), "4"), "seconds='4': expected one or more lags in seconds"),
    (lambda: past(features(), ["0", "2"]), "expected one or more lags"),
    (lambda: past(np.zeros((4, 2)), [0]), "a plain ndarray; expected a labelled"),
    (lambda: past(places()[0], [0], by="rn"), r"past\(by='rn'\): X has the coordinates"),
    (lambda: past(past(places()[0], [0]), [0]), "'lag' already"),
    (lambda: stack_people([places()]), r"people is a list; expected \{name: \(X, Y\)\}"),
    (lambda: stack_people({"x": places()[0]}), r"person 'x' came as a DataArray; expected \(X, Y\)"),
    (lambda: stack_people({"x": (np.zeros((2, 4, 1)), np.zeros((2, 1)))}), r"person 'x' .*expected \(X, Y\): labelled"),
    (lambda: alike(permutations="many"), "permutations='many': expected a whole number"),
    (lambda: alike("shape", alpha="half"), "alpha='half': expected a number"),
    (lambda: alike("shape", alpha=3), "alpha=3: expected a number from 0"),
    (lambda: alike("svcca", variance="most"), "variance='most': expected a number"),
    (lambda: alike("mutual_knn", k="five"), "k='five': expected a whole number"),
    (lambda: alike("gw", n_starts="2"), "n_starts='2': expected a whole number"),
    (lambda: alike("linear_predictivity", n_folds="5"), "n_folds='5': expected a whole number"),
    (lambda: alike("linear_predictivity", alphas="auto"), "alphas='auto': expected one or more finite numbers"),
    (lambda: alike("sparse_matching", penalty="0.1"), "penalty='0.1': expected a number"),
    (lambda: alike("sparse_matching", n_folds=2.5), "n_folds=2.5: expected a whole number"),
    (lambda: compare_grid({"a": features()}, permutations="9"), "permutations='9'"),
    (lambda: StreamingComparison("shape", alpha="x").fit(features(), features()).finalize(), "alpha='x'"),
    (lambda: StreamingComparison("cka").fit(features(), features(), rows="64"), "rows='64'"),
    (lambda: StreamingComparison("linear_predictivity", n_folds="x"), "n_folds='x'"),
    (lambda: shared(GCCA(2, alpha="x")), "alpha='x': expected a number, 0 or more"),
    (lambda: shared(SharedResponse(2, max_iter="many")), "max_iter='many': expected a whole number, 1 or more"),
    (lambda: shared(SharedResponse(2, tol="x")), "tol='x': expected a number"),
    (lambda: SharedResponse(2).fit({}), "got no one, an empty dictionary"),
    (lambda: RidgeMap(alphas="x").fit(features(), features()), "alphas='x'"),
    (lambda: RidgeMap(rcond="x").fit(features(), features()), "rcond='x': expected a number from 0 to 1"),
    (lambda: match_units(features(), features(), permutations="9"), "permutations='9'"),
    (lambda: cluster_units(features(), features(), "3"), "n_clusters='3': expected a whole number"),
    (lambda: sparse_prediction(features(), features(), penalties="x"), "penalties='x': expected numbers above 0"),
    (lambda: sparse_prediction(features(), features(), n_folds="3"), "n_folds='3'"),
    (lambda: representation_change(features(), features(), "2"), "n_components='2': expected a whole number"),
    (lambda: manifold_capacity(features(), CLASSES, n_draws="9"), "n_draws='9': expected a whole number"),
    (lambda: intrinsic_dimension(features(), "0.1"), "discard='0.1': expected a number"),
    (lambda: gdv(features(), CLASSES, permutations="x"), "permutations='x'"),
    (lambda: embed(matrix(), n_dims="2"), "n_dims='2': expected a whole number, 1 or more"),
    (lambda: embed(matrix(), n_starts=0), "n_starts=0: expected a whole number, 1 or more"),
    (lambda: searchlight_rdms(features(), radius="2"), "radius='2': expected a number of millimetres"),
    (lambda: searchlight_rdms(features(), radius=2, max_memory="lots"), "max_memory='lots': expected a number of byte"),
    (
        lambda: variance_explained(features(), "size"),
        r"features='size': X has no such sample coordinate \(it has .*run",
    ),
    (lambda: variance_explained(features(), CLASSES), "features is a ndarray; expected a dict"),
    (lambda: variance_explained(features(), {}), "features is empty"),
    (lambda: variance_explained(features(), {"c": CLASSES}, n_folds="5"), "n_folds='5'"),
    (lambda: tangent_kernel(features(), np.zeros((3, 5))), "expected a network .* a DataArray came"),
    (lambda: gradients(chunk="half"), "chunk='half': expected a whole number, 1 or more"),
    (lambda: gradients(parameters=[1]), r"parameters=\[1\]: expected beginnings of names, such as \['weight'\]"),
    (lambda: gradients(parameters=2.5), "parameters=2.5"),
    (lambda: alike(permutations=2, blocks=["run"]), r"blocks=\['run'\] is not a coordinate"),
    (lambda: alike("rsa", metric=["cosine"]), r"metric=\['cosine'\] is not known"),
    (lambda: match_units(features(), features(), groups=["run"]), r"groups=\['run'\] is not a coordinate"),
    (lambda: rdm(features(), by=["run"]), r"by=\['run'\] is no sample coordinate"),
    (lambda: manifold_capacity(features(), CLASSES, center="yes"), "center='yes': expected True or False"),
    (lambda: stack_rdms({}), "rdms is empty; expected a mapping"),
    (lambda: stack_rdms([matrix()]), "rdms is a list; expected a mapping"),
    (lambda: noise_ceiling({"ann": matrix()}), r"rdms is a dict; .* stack_rdms\(rdms\)"),
    (lambda: modelled(n_bootstrap="5"), "n_bootstrap='5': expected a whole number"),
    (lambda: modelled(level="high"), "level='high': expected a number"),
    (lambda: modelled(level=95), "level=95: expected a share above 0 and below 1"),
    (lambda: modelled(how=lambda a, b: None, n_bootstrap=0), "expected a function of two vectors .* gave no number"),
    (lambda: modelled(how=lambda a: 1.0, n_bootstrap=0), "two vectors of 276 pairs it failed with TypeError"),
    (lambda: compare_models({}, matrix()), "models is empty; expected a mapping"),
    (lambda: compare_models([matrix()], matrix()), "models is a list; expected a mapping"),
    (lambda: noise_ceiling(matrix(), n_bootstrap="5"), "n_bootstrap='5'"),
    (lambda: alike("rsa", score=lambda a, b: a), "score=<lambda>: expected a function of two vectors"),
    (lambda: rdm(features(), "corr"), "Did you mean 'correlation'"),
    (lambda: rdm(features(), "EUCLIDEAN"), "Did you mean 'euclidean'"),
]


@pytest.mark.parametrize(("call", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
def test_what_came_and_what_was_expected_are_said(call, said):
    with pytest.raises((ValueError, TypeError, OSError), match=said) as caught:
        call()
    assert "/neurodecode/" in traceback.extract_tb(caught.value.__traceback__)[-1].filename


def test_the_right_ones_pass():
    assert cut(baseline=(None, 0.1), l_freq=1, h_freq=20).sizes["sample"] == 3
    assert scored(splits=KFold(3), permutations=19.0, allow_overlap="runs are not what is tested here")["p"].size == 5
    assert lights(0).members_.nnz == 5
    assert part(unit={"roi": ["v1"]})["roi"].item() == "v1"


@pytest.mark.parametrize("value", ["1", None, True, np.nan, np.inf, 1 + 0j, [1], -1])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="k="):
        whole(value, "k")
    with pytest.raises(ValueError, match="k="):
        amount(value, "k")


def test_numbers_are_taken_in_every_form():
    assert [whole(value, "k") for value in (3, 3.0, np.int8(3), np.float32(3))] == [3] * 4
    assert isinstance(whole(np.float64(3), "k"), int) and isinstance(amount(np.float32(2), "k"), float)
    assert amount(-2, "k", least=None) == -2 and amount(1, "k", 0, 1) == 1
    for value, least, most, said in ((7, 1, 5, "from 1 to 5"), (0, 1, None, "1 or more")):
        with pytest.raises(ValueError, match=said):
            whole(value, "k", least, most)
        with pytest.raises(ValueError, match=said):
            amount(value, "k", least, most)
    with pytest.raises(ValueError, match="up to 5"):
        amount(7, "k", None, 5)
    np.testing.assert_array_equal(numbers_of((1, 2), "a", "numbers"), [1.0, 2.0])
    for wrong in ("12", ["a"], [True, False], [[1], [2, 3]], None):
        with pytest.raises(ValueError, match="a="):
            numbers_of(wrong if wrong is not None else object(), "a", "numbers")
