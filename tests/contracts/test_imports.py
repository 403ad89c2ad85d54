"""The house: what imports what, what loading costs, how long files are."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "neurodecode"
ROOMS = {
    "exceptions": 0, "_names": 0, "_numbers": 0, "_shipped_paths": 0, "_optional": 0.5, "__init__": 0.5,
    "representation": 1, "compute": 1,
    "sources": 2, "linear": 2, "attention": 2, "concepts": 2, "similarity": 2, "circuits": 2,
    "connectivity": 2, "pretraining": 2, "generation": 2,
    "evaluation": 3, "reporting": 4, "studies": 5, "cli": 6, "__main__": 7,
}  # fmt: skip
ALSO = {(room, "linear") for room, floor in ROOMS.items() if floor == 2 and room != "sources"}
ALSO |= {("generation", "attention"), ("generation", "concepts"), ("studies", "_shipped_paths")}
INSIDE_FUNCTIONS = {
    "mne", "nilearn", "nibabel", "diffusers", "transformers", "matplotlib", "pooch", "dask", "distributed",
    "mne_bids", "pyriemann", "nltk", "ot", "networkx", "tensorly", "himalaya", "netCDF4",
}  # fmt: skip
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[tuple[str, bool]]:
    """Absolute names of the modules that a file imports, with whether it does so at its top level."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    here = ("neurodecode", *path.relative_to(PACKAGE).with_suffix("").parts)
    package = here if path.name != "__init__.py" else here[:-1]
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    top = {id(node) for node in tree.body}
    names = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names += [(alias.name, id(node) in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                depth = len(package) - node.level + (1 if path.name == "__init__.py" else 0)
                base = ".".join(package[:depth])
            else:
                base = ""
            module = ".".join(part for part in (base, node.module or "") if part)
            names.append((module, id(node) in top))
            names += [(f"{module}.{alias.name}", id(node) in top) for alias in node.names]
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_stands_left_of_its_room(path):
    room = room_of(path)
    assert room in ROOMS, f"{room} is a new room: add it to the table with its place"
    wrong = []
    for name, _ in imported(path):
        parts = name.split(".")
        if parts[0] != "neurodecode" or len(parts) < 2:
            continue
        other = parts[1] if parts[1] in ROOMS else "__init__"
        left = ROOMS[other] < ROOMS[room] or other == room
        if not left and (room, other) not in ALSO:
            wrong.append(name)
    assert not wrong, f"{room} may not import {sorted(set(wrong))}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_optional_and_slow_packages_are_imported_inside_functions(path):
    at_top = {name.split(".")[0] for name, top in imported(path) if top} & INSIDE_FUNCTIONS
    assert not at_top, f"import {sorted(at_top)} through require, inside the function that needs it"


def test_the_import_reader_sees_relative_and_absolute_imports():
    names = [name for name, _ in imported(PACKAGE / "studies.py")]
    assert "neurodecode.exceptions" in names
    assert "neurodecode._names.lookup" in names
    names = [name for name, _ in imported(PACKAGE / "linear" / "__init__.py")]
    assert "neurodecode._names" in names


@pytest.mark.parametrize("room", ["compute"])
def test_compute_knows_no_labels(room):
    for path in (PACKAGE / room).glob("*.py"):
        assert "xarray" not in {name.split(".")[0] for name, _ in imported(path)}, path.name


def test_representation_runs_without_torch():
    for path in (PACKAGE / "representation").glob("*.py"):
        assert "torch" not in {name.split(".")[0] for name, _ in imported(path)}, path.name


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


HEAVY = {"xarray", "pandas", "sklearn", "torch", "matplotlib", "numpy", "scipy", "mne", "nilearn", "typer", "zarr",
         "transformers", "diffusers", "pooch", "tqdm"}  # fmt: skip


def test_importing_neurodecode_loads_nothing_heavy():
    assert not loaded_by("import neurodecode") & HEAVY
    assert "xarray" in loaded_by("import neurodecode; neurodecode.representation.match"), "the check can see a load"


def test_the_command_line_shows_help_without_loading_anything_heavy():
    loaded = loaded_by("import neurodecode.cli")
    assert not loaded & (HEAVY - {"typer"})
    assert "typer" in loaded


def test_null_distributions_and_pages_do_not_pay_for_torch():
    loaded = loaded_by("import neurodecode.compute.nulls, neurodecode.reporting.document")
    assert "numpy" in loaded and "torch" not in loaded
    assert "torch" in loaded_by("from neurodecode.compute.random import torch_generator; torch_generator(0)")


def test_every_room_is_reached_from_the_package():
    import neurodecode

    rooms = {init.parent.name for init in PACKAGE.glob("*/__init__.py")}
    assert rooms <= set(neurodecode.__all__)
    for room in sorted(rooms):
        assert getattr(neurodecode, room).__name__ == f"neurodecode.{room}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_is_an_idea_not_a_drawer(path):
    assert path.stem not in {"utils", "common", "core", "helpers", "misc"}
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 600, f"{lines} lines: look for the second idea"


def test_data_sets_are_not_packages(repository):
    assert not list((repository / "datasets").rglob("__init__.py"))


def test_studies_are_short(repository):
    found = list((repository / "analyses").glob("*/study.py"))
    assert found
    for path in found:
        assert path.read_text(encoding="utf-8").count("\n") <= 150, path


def test_every_public_name_of_every_room_exists_and_is_documented():
    import importlib

    checked = 0
    for init in PACKAGE.rglob("__init__.py"):
        name = ".".join(("neurodecode", *init.parent.relative_to(PACKAGE).parts))
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", []):
            thing = getattr(module, public)
            if callable(thing):
                assert thing.__doc__, f"{name}.{public} has no docstring"
            checked += 1
    assert checked > 30
