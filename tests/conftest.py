"""Shared fixtures: where the real recordings are, and the textbook twins on the path."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

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


def pytest_collection_modifyitems(items):
    for item in items:
        if "data_root" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)
