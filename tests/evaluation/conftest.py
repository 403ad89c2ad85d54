"""Labelled worlds with a planted relation, small enough to fit in milliseconds."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from neurodecode.representation import as_representation


def make_world(seed=0, n=48, features=5, units=6, noise=1.0, runs=4, sample=None, **attrs):
    """X (network) and Y (fmri): Y = X W + noise, ``runs`` runs, areas a a b b c c ..."""
    rng = np.random.default_rng(seed)
    stimulus = [f"s{i:03d}" for i in range(n)]
    run = {"run": np.repeat(np.arange(1, runs + 1), n // runs)} if runs else {}
    labels = {**run, **(sample or {})}
    x = rng.normal(size=(n, features))
    y = x @ rng.normal(size=(features, units)) + noise * rng.normal(size=(n, units))
    X = as_representation(x, stimulus=stimulus, kind="network", unit={"layer": [f"l{i}" for i in range(features)]})
    roi = [chr(ord("a") + i // 2) for i in range(units)]
    Y = as_representation(y, stimulus=stimulus, kind="fmri", unit={"roi": roi}, sample=labels, attrs=attrs)
    return X, Y


def make_classes(seed=0, n=48, features=5, gap=1.5, runs=4, names=("cat", "dog"), sample=None):
    """X whose first features tell the classes apart, and its labels with ``run`` and ``stimulus``."""
    rng = np.random.default_rng(seed)
    truth = np.tile(np.arange(len(names)), n // len(names) + 1)[:n]
    x = rng.normal(size=(n, features))
    x[:, : len(names)] += gap * np.eye(len(names))[truth]
    run = {"run": np.repeat(np.arange(1, runs + 1), n // runs)} if runs else {}
    X = as_representation(
        x, stimulus=[f"t{i:03d}" for i in range(n)], kind="fmri",
        sample={"category": np.asarray(names)[truth], **run, **(sample or {})},
    )  # fmt: skip
    return X, X["category"]


@pytest.fixture
def world():
    return make_world()


@pytest.fixture
def classes():
    return make_classes()


@pytest.fixture
def worlds():
    return make_world


@pytest.fixture
def class_worlds():
    return make_classes


def without(array: xr.DataArray, *names: str) -> xr.DataArray:
    return array.drop_vars(list(names))
