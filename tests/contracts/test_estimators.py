"""What every estimator keeps, found by walking the package: scikit-learn's checks and labels in, labels out."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil

import nibabel
import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import neurodecode
from neurodecode.attention import SpatialFeatureEncoder
from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.linear import LinearClassifier, Ridge
from neurodecode.representation import as_representation

# Small random problems end at the edge of the penalty grid and have constant features; that is not what is asked here.
pytestmark = pytest.mark.filterwarnings("ignore::neurodecode.exceptions.NeurodecodeWarning")


def six_voxels() -> nibabel.Nifti1Image:
    """A mask of as many voxels as the worlds below have units."""
    return nibabel.Nifti1Image(np.ones((3, 2, 1), dtype=np.int8), np.eye(4))


def frozen_model() -> torch.nn.Module:
    """A model of as many outputs as the worlds below have targets, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.nn.Linear(3, 4)


# Estimators whose constructor needs arguments; everything else is built with none.
MAKE = {
    "Labelled": lambda cls: cls(StandardScaler()),
    "BandedRidge": lambda cls: cls(by=None, alphas=[0.1, 1.0, 10.0], cv=3, random_state=0),
    "Delays": lambda cls: cls([0.0, 2.0], by=None, tr=2.0),
    "FIR": lambda cls: cls(0.0, 4.0, by=None, tr=2.0),
    "HRF": lambda cls: cls(by=None, tr=2.0),
    "KernelRidge": lambda cls: cls(alphas=[0.1, 1.0, 10.0], cv=3),
    "LatentRegression": lambda cls: cls(n_components=1),
    "StackedRegression": lambda cls: cls(by=None, alphas=[0.1, 1.0, 10.0], cv=3),
    "Ridge": lambda cls: cls(alphas=[0.1, 1.0, 10.0], cv=3),
    "Generalizing": lambda cls: cls(LinearClassifier("lda", shrinkage=0.1)),
    "Searchlight": lambda cls: cls(LinearClassifier("lda", shrinkage=0.1), neighbours=[[0, 1], [2], [1], [4], [5], []]),
    "Sliding": lambda cls: cls(LinearClassifier("lda", shrinkage=0.1)),
    "SpaceNetClassifier": lambda cls: cls(alphas=0.01, mask=six_voxels()),
    "SpaceNetRegressor": lambda cls: cls(alphas=0.01, mask=six_voxels()),
    "TemporalResponse": lambda cls: cls(-2.0, 4.0, Ridge([0.1, 1.0, 10.0], cv=3), by=None, sfreq=0.5),
    "MinimumDistance": lambda cls: cls(shrinkage=0.5),
    "TangentSpace": lambda cls: cls(shrinkage=0.5),
    "EncoderEnsemble": lambda cls: cls(SpatialFeatureEncoder(None, max_epochs=1), 2, random_state=0),
    "FactorizedEncoder": lambda cls: cls(2, None, max_epochs=1, random_state=0),
    "GaussianFieldEncoder": lambda cls: cls(sizes=[1.0], alphas=[0.1, 1.0, 10.0], cv=3),
    "RoutedEncoder": lambda cls: cls(None, 4, max_epochs=1, random_state=0),
    "SpatialFeatureEncoder": lambda cls: cls(None, max_epochs=1, random_state=0),
    "Hyperalignment": lambda cls: cls(by=list("aabbcc")),
    "SharedResponse": lambda cls: cls(2, by=list("aabbcc")),
    "GCCA": lambda cls: cls(2, by=list("aabbcc")),
    "ThroughSpace": lambda cls: cls(importlib.import_module("neurodecode.similarity").GCCA(2, by=list("aabbcc"))),
    "FrozenMap": lambda cls: cls(frozen_model(), 3, max_epochs=2, random_state=0),
    "RidgeMap": lambda cls: cls(alphas=[0.1, 1.0, 10.0], cv=3),
    "SSD": lambda cls: cls((0.1, 0.2), flank=0.3, gap=0.0, sfreq=1.0),
}
# What a time series cannot promise: a delayed sample depends on those before it.
TIME = "the delayed features of a sample are those of earlier samples, so order and subset matter"
# Power has no logarithm where a sample is nothing but zeros, as one of this check's is; log=False takes it.
ZEROS = "one sample is zero in every channel, and that is refused"
# What cannot be asked of them: scikit-learn's checks hand over two dimensions and want one answer a sample. Their
# labels are asked for below like those of all others, from three dimensions where they need them.
NEEDS_TIME = {
    "Sliding": "takes samples x units x times and answers for every time",
    "Generalizing": "takes samples x units x times and answers for every time and time of testing",
    "MinimumDistance": "takes samples x units x times: one time has no covariance",
    "TangentSpace": "takes samples x units x times: one time has no covariance",
}
TOKENS = "takes samples x tokens x units"
NEEDS_TOKENS = {
    "EncoderEnsemble": TOKENS,
    "FactorizedEncoder": TOKENS,
    "GaussianFieldEncoder": TOKENS,
    "RoutedEncoder": TOKENS,
    "SpatialFeatureEncoder": TOKENS,
}
PEOPLE = "takes the units of several people, so whose they are is given"
VOLUME = "takes the voxels of one volume, so their number is given"
NOT_SCIKIT = {
    **NEEDS_TIME,
    **NEEDS_TOKENS,
    "Searchlight": "answers for every neighbourhood, samples x units",
    "Hyperalignment": PEOPLE,
    "SharedResponse": PEOPLE,
    "GCCA": PEOPLE,
    "ThroughSpace": PEOPLE,
    "FrozenMap": "answers what its model answers, whose outputs are given",
    "SpaceNetClassifier": VOLUME,
    "SpaceNetRegressor": VOLUME,
}
EXPECTED = {
    "CSP": {"check_estimators_dtypes": ZEROS},
    "SPoC": {"check_estimators_dtypes": ZEROS},
    **{
        name: {"check_methods_sample_order_invariance": TIME, "check_methods_subset_invariance": TIME}
        for name in ("Delays", "FIR", "HRF", "TemporalResponse")
    },
}


def classes() -> list[type]:
    found = []
    for module in pkgutil.walk_packages(neurodecode.__path__, "neurodecode."):
        if "_shipped" in module.name:
            continue
        loaded = importlib.import_module(module.name)
        for name, thing in vars(loaded).items():
            mine = inspect.isclass(thing) and issubclass(thing, BaseEstimator) and thing.__module__ == module.name
            if mine and not name.startswith("_") and not inspect.isabstract(thing):
                found.append(thing)
    return sorted(found, key=lambda cls: cls.__name__)


CLASSES = classes()


def make(cls: type) -> BaseEstimator:
    return MAKE[cls.__name__](cls) if cls.__name__ in MAKE else cls()


@parametrize_with_checks(
    [make(cls) for cls in CLASSES if cls.__name__ not in NOT_SCIKIT],
    expected_failed_checks=lambda estimator: EXPECTED.get(type(estimator).__name__, {}),
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn(estimator, check):
    check(estimator)


WORLDS = {
    "brain": {"kind": "fmri", "samples": "trial", "units": "roi"},
    "network": {"kind": "network", "samples": "stimulus", "units": "layer"},
}


def world(name: str, seed: int = 0, n: int = 30, dtype: type = np.float64):
    """A labelled X and what is to be learnt from it, as a recording or as activations."""
    rng = np.random.default_rng(seed)
    said = WORLDS[name]
    stimulus = [f"{said['samples']}-{i:02d}" for i in rng.permutation(n)]
    run = np.repeat([1, 2, 3], n // 3)
    sample = {"run": run, "category": np.tile(["a", "b"], n // 2)}
    X = as_representation(
        rng.normal(size=(n, 6)).astype(dtype), stimulus=stimulus, kind=said["kind"],
        unit={said["units"]: list("uuvvww")}, sample=sample, attrs={"tr": 2.0},
    )  # fmt: skip
    weights = rng.normal(size=(6, 4))
    Y = as_representation(
        (X.values @ weights + 0.1 * rng.normal(size=(n, 4))).astype(dtype), stimulus=stimulus, kind="fmri",
        unit={"roi": list("ppqq")}, sample={"run": run},
    )  # fmt: skip
    return X, Y


def given(cls: type, where: str, **settings):
    """A world, with X over four times for those who need them."""
    X, Y = world(where, **settings)
    if cls.__name__ in NEEDS_TIME:
        growing = np.linspace(1, 2, 4).astype(X.dtype)
        X = X.expand_dims({"time": 0.1 * np.arange(4)}, axis=2).copy(data=X.values[:, :, None] * growing)
    if cls.__name__ in NEEDS_TOKENS:
        near = np.linspace(1, 2, 4).astype(X.dtype)
        X = X.expand_dims({"token": 4}, axis=1).copy(data=X.values[:, None] * near[:, None])
        X = X.assign_coords(row=("token", [0, 0, 1, 1]), col=("token", [0, 1, 0, 1]))
    return X, Y


# What the transformers that learn from a target learn from; regressors learn from Y, classifiers from the category.
LEARN = {"CSP": lambda X, Y: X["category"], "Xdawn": lambda X, Y: X["category"], "SPoC": lambda X, Y: Y[:, 0]}


def target(estimator, X, Y):
    if type(estimator).__name__ in LEARN:
        return LEARN[type(estimator).__name__](X, Y)
    return X["category"] if is_classifier(estimator) else Y


def answer(estimator, X):
    return estimator.predict(X) if hasattr(estimator, "predict") else estimator.transform(X)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("where", WORLDS)
class TestLabels:
    def test_labels_in_labels_out(self, cls, where):
        X, Y = given(cls, where)
        estimator = make(cls).fit(X, target(make(cls), X, Y))
        got = answer(estimator, X[:12])
        assert isinstance(got, xr.DataArray)
        np.testing.assert_array_equal(got["stimulus"].values, X["stimulus"].values[:12])
        if is_regressor(estimator):
            np.testing.assert_array_equal(got["roi"].values, Y["roi"].values)

    def test_plain_in_plain_out(self, cls, where):
        X, Y = given(cls, where)
        y = target(make(cls), X, Y)
        got = answer(make(cls).fit(X.values, y.values), X.values[:12])
        assert isinstance(got, np.ndarray)
        assert not isinstance(got, xr.DataArray)

    def test_labels_change_no_number(self, cls, where):
        X, Y = given(cls, where)
        y = target(make(cls), X, Y)
        labelled = answer(make(cls).fit(X, y), X)
        plain = answer(make(cls).fit(X.values, y.values), X.values)
        np.testing.assert_array_equal(np.asarray(labelled), plain)

    def test_samples_in_another_order_are_refused(self, cls, where):
        X, Y = given(cls, where)
        y = target(make(cls), X, Y)
        if not hasattr(cls, "predict"):
            pytest.skip("learns from one array only")
        order = np.random.default_rng(1).permutation(X.sizes["sample"])
        with pytest.raises(AlignmentError, match="match"):
            make(cls).fit(X[order], y)
        make(cls).fit(X[order], y[order])

    def test_inputs_are_left_as_they_were(self, cls, where):
        X, Y = given(cls, where)
        y = target(make(cls), X, Y)
        before = X.copy(deep=True), y.copy(deep=True)
        estimator = make(cls).fit(X, y)
        answer(estimator, X)
        xr.testing.assert_identical(X, before[0])
        xr.testing.assert_identical(y, before[1])

    def test_same_call_same_answer_and_pickles(self, cls, where):
        X, Y = given(cls, where)
        estimator = make(cls)
        y = target(estimator, X, Y)
        first = answer(estimator.fit(X, y), X)
        xr.testing.assert_identical(first, answer(clone(estimator).fit(X, y), X))
        xr.testing.assert_identical(first, answer(pickle.loads(pickle.dumps(estimator)), X))

    def test_missing_values_are_refused(self, cls, where):
        X, Y = given(cls, where)
        broken = X.copy(deep=True)
        broken[{"sample": 3, "unit": 2}] = np.nan
        estimator = make(cls)
        if not hasattr(cls, "predict"):
            pytest.skip("a transformer passes on what its own estimator accepts")
        with pytest.raises(DegenerateDataError, match=str(X["stimulus"].values[3])):
            estimator.fit(broken, target(estimator, X, Y))

    def test_float32_stays_float32(self, cls, where):
        X, Y = given(cls, where, dtype=np.float32)
        estimator = make(cls)
        got = answer(estimator.fit(X, target(estimator, X, Y)), X)
        if got.dtype.kind == "f":
            assert got.dtype == np.float32


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_set_params_equals_constructing(cls):
    estimator = make(cls)
    again = clone(estimator).set_params(**estimator.get_params(deep=False))
    assert repr(again) == repr(estimator)
    arguments = [p for p in inspect.signature(cls.__init__).parameters if p != "self"]
    assert len(arguments) <= 8, "over eight constructor arguments is a sign of two estimators"


def test_the_walk_finds_what_is_there():
    assert {"Ridge", "LinearClassifier", "Delays", "Labelled"} <= {cls.__name__ for cls in CLASSES}
