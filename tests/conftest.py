"""Shared fixtures: where the real recordings are, and the textbook twins on the path."""

from __future__ import annotations

import itertools
import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
sys.path.insert(0, str(HERE))
os.environ.setdefault("MPLBACKEND", "Agg")


def recordings() -> Path | None:
    """The folder of real recordings: NEURODECODE_DATA, else shared/data beside the checkout."""
    named = os.environ.get("NEURODECODE_DATA")
    root = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    return root.resolve() if root.is_dir() else None


@pytest.fixture(scope="session")
def data_root() -> Path:
    root = recordings()
    if root is None:
        pytest.skip("the real recordings are not here; set NEURODECODE_DATA to their folder")
    return root


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


default_rng = np.random.default_rng
fresh = itertools.count()


def one_after_another(seed=None):
    """A generator as NumPy makes it; where it would take fresh entropy, the next of a row that is always the same."""
    return default_rng([20260, next(fresh)] if seed is None else seed)


np.random.default_rng = one_after_another


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """What is drawn without a seed is the same in every run, whatever ran before: no test passes or fails by chance."""
    global fresh
    fresh = itertools.count()
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)


def pytest_collection_modifyitems(items):
    for item in items:
        if "data_root" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)
