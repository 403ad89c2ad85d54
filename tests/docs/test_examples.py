"""The code that stands on the pages runs as it stands."""

from __future__ import annotations

import ast
import math
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray

from neurodecode.exceptions import NeurodecodeWarning

DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_fifteen_lines(data_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEURODECODE_DATA", str(data_root))
    (code,) = blocks("index.md")
    assert len(code.strip().splitlines()) <= 15
    assert "permutations=100" in code
    space: dict = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NeurodecodeWarning)  # voxels that words say nothing about
        exec(code.replace("permutations=100", "permutations=19"), space)
    assert space["result"]["p"].values.min() == pytest.approx(1 / 20)
    text = (tmp_path / "words.html").read_text(encoding="utf-8")
    assert "LOC" in text and 'id="leakage"' in text


def test_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    code = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
    assert "permutations=200" in code and "scenes(200" in code
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NeurodecodeWarning)
        exec(code.replace("permutations=200", "permutations=4").replace("scenes(200", "scenes(60"), {})
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_an_array_that_you_have():
    rng = np.random.default_rng(4)
    given = {
        "betas": rng.normal(size=(6, 3)),
        "names": ["a", "b", "c", "c", "b", "a"],
        "runs": [1, 1, 1, 2, 2, 2],
        "areas": ["V1", "V1", "V2"],
        **{axis: np.arange(3.0) for axis in "xyz"},
        "embedding": rng.normal(size=(3, 5)),
        "picture_names": ["c", "a", "b"],
    }
    exec(blocks("howto/use_your_own_data.md")[0], given)
    from neurodecode.representation import match

    X, Y = match(given["features"], given["brain"], repeats="average")
    assert X["stimulus"].values.tolist() == Y["stimulus"].values.tolist() == ["c", "a", "b"]
    np.testing.assert_allclose(Y.values[1], given["betas"][[0, 5]].mean(0))


def test_a_recording_and_pictures(tmp_path, monkeypatch):
    import nibabel
    from PIL import Image
    from torch import nn

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(4)
    affine = np.diag([3.0, 3, 3, 1])
    image = nibabel.Nifti1Image(rng.normal(100, 1, (3, 3, 2, 24)).astype(np.float32), affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 2.0
    nibabel.save(image, "bold.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.ones((3, 3, 2), np.uint8), affine), "mask.nii.gz")
    labels = (["rest"] * 4 + ["face"] * 4 + ["house"] * 4) * 2
    pd.DataFrame({"label": labels, "run": [1] * 12 + [2] * 12}).to_csv("labels.csv", index=False)
    Path("pictures").mkdir()
    for name in ("one", "two"):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(f"pictures/{name}.png")
    pd.DataFrame({"file": ["one.png", "two.png"], "category": ["face", "house"]}).to_csv("pictures.csv", index=False)
    space: dict = {"model": nn.Sequential()}
    space["model"].add_module("layer1", nn.Conv2d(3, 4, 3))
    space["model"].add_module("layer4", nn.Conv2d(4, 5, 3))
    recording, network = blocks("howto/use_your_own_data.md")[1:3]
    exec(recording, space)
    assert space["blocks"].shape == (4, 18)
    exec(network, space)
    assert space["layers"].shape == (2, 9)
    assert space["layers"]["stimulus"].values.tolist() == ["one", "two"]


def test_the_recipe_of_the_page_is_a_recipe(tmp_path):
    from neurodecode.sources.recipes import open_recipe

    (text,) = re.findall(
        r"^```toml\n(.*?)^```", (DOCS / "howto/use_your_own_data.md").read_text(), re.MULTILINE | re.DOTALL
    )
    home = tmp_path / "mine"
    home.mkdir()
    (home / "recipe.toml").write_text(text.replace("64 hexadecimal digits", "0" * 64))
    recipe = open_recipe(home, tmp_path)
    assert recipe.files[0].size == 1234567
    assert recipe.arrays[0].shape == (900, -1)
    assert recipe.fetchable


def bodies() -> dict[str, str]:
    """Heading -> all that stands under it in the catalogue."""
    text = (DOCS / "catalogue.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^### (.*?)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))


def rows() -> dict[str, str]:
    """Heading -> code of every row of the catalogue."""
    return {
        title: re.findall(r"^```python\n(.*?)^```", body, re.MULTILINE | re.DOTALL)[0]
        for title, body in bodies().items()
    }


def yields(code: str, space: dict) -> dict:
    """Run an example; what it leaves: the names it binds, and the value of its last line where that is an expression.

    What it imports is left out.
    """
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    imported = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    before = dict(space)
    exec(compile(tree, "<example>", "exec"), space)
    found = {name: value for name, value in space.items() if name not in before or before[name] is not value}
    if last is not None:
        found["the last line"] = eval(compile(ast.Expression(last.value), "<example>", "eval"), space)
    return {name: value for name, value in found.items() if name not in imported and not name.startswith("__")}


def holds(value) -> bool:
    """Whether a result holds anything: a finite number, text, a part that does, or whatever else is no None."""
    if isinstance(value, xarray.Dataset):
        return any(holds(one) for one in value.data_vars.values())
    if isinstance(value, dict):
        return bool(value) and all(map(holds, value.values()))
    if isinstance(value, tuple | list):
        return bool(value) and all(map(holds, value))
    if isinstance(value, xarray.DataArray | np.ndarray | pd.DataFrame | np.generic | float | int):
        numbers = np.asarray(value)
        return numbers.size > 0 and (numbers.dtype.kind not in "fc" or bool(np.isfinite(numbers).any()))
    return value is not None


def named(body: str) -> list[str]:
    """``room.name`` in code font below the example of a row, without the tests."""
    after = body.rpartition("```")[2]
    return [name for name in re.findall(r"`([^`]+)`", after) if re.fullmatch(r"[a-z_]+(\.[A-Za-z_]+)+", name)]


@pytest.mark.parametrize("title", list(rows()))
def test_every_row_of_the_catalogue_runs(desk, title, tmp_path, monkeypatch):
    space, changes = desk
    monkeypatch.chdir(tmp_path)
    if "bold.nii.gz" in rows()[title]:
        import nibabel

        image = nibabel.Nifti1Image(np.random.default_rng(0).normal(100, 1, (2, 2, 2, 24)), np.diag([3.0, 3, 3, 1]))
        image.header.set_xyzt_units("mm", "sec")
        image.header["pixdim"][4] = 2.0
        nibabel.save(image, "bold.nii.gz")
        nibabel.save(nibabel.Nifti1Image(np.ones((2, 2, 2), np.uint8), image.affine), "mask.nii.gz")
        labels = (["rest"] * 4 + ["face"] * 4 + ["house"] * 4) * 2
        pd.DataFrame({"label": labels, "run": [1] * 12 + [2] * 12}).to_csv("labels.csv", index=False)
    if "run1_raw.fif" in rows()[title]:
        import mne

        noise = np.random.default_rng(0).normal(size=(4, 2000)) * 1e-5
        raw = mne.io.RawArray(noise, mne.create_info(["Fz", "Cz", "Pz", "Oz"], 200.0, "eeg"), verbose="ERROR")
        raw.set_annotations(mne.Annotations([1, 3, 5, 7], 0, ["target/code1", "nontarget/code2"] * 2))
        raw.save("run1_raw.fif", verbose="ERROR")
    code = rows()[title].replace("permutations=1000", "permutations=9")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NeurodecodeWarning)  # few samples, as befits an example
        found = yields(code, {**space, **changes.get(title, {})})
    assert found, "an example leaves something that can be looked at"
    for name, value in found.items():
        assert holds(value), f"{name} holds nothing"


@pytest.mark.parametrize("title", list(bodies()))
def test_every_row_of_the_catalogue_names_what_is_there(title, repository):
    import neurodecode

    body = bodies()[title]
    assert named(body), "a row names the functions that it is about"
    for name in named(body):
        found = neurodecode
        for part in name.split("."):
            found = getattr(found, part)
        assert (getattr(found, "__doc__", None) or "").strip(), f"{name} is not documented"
    promised = re.findall(r"`(tests/[^`]+)`", body)
    assert promised, "a row names the test or the twin that proves it"
    for one in promised:
        path, _, test = one.partition("::")
        text = (repository / path).read_text(encoding="utf-8")
        assert not test or re.search(rf"^\s*(def|class) {re.escape(test)}\b", text, re.MULTILINE), one
    assert re.search(r"\[[\w ,]+\]\(methods/\w+\.md#[\w-]+\)", body), "a row leads to its formula"


def test_an_example_that_leaves_nothing_is_seen():
    assert yields("import math\nx = math.pi", {}) == {"x": math.pi}
    assert yields("x = 1\nx + 1", {"y": 2}) == {"x": 1, "the last line": 2}
    assert not yields("from math import pi", {"y": 2})
    for nothing in (None, math.nan, np.full(3, np.nan), {}, (), [None], xarray.Dataset(), np.zeros((0, 2))):
        assert not holds(nothing)
    for something in (0.0, "p", np.array([np.nan, 1]), np.array(["a"]), {"a": 1}, xarray.Dataset({"a": 1}), object()):
        assert holds(something)
