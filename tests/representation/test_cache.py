"""Answers are kept by the content of what went in, and are computed again when anything of it changed."""

from __future__ import annotations

import dataclasses
import functools
import io
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.linear_model import Ridge

from neurodecode.exceptions import NeurodecodeWarning
from neurodecode.representation import as_representation, cached
from neurodecode.representation.cache import cache_folder, key_of


def array(seed=0, dtype=np.float64, **attrs):
    values = np.random.default_rng(seed).normal(size=(3, 2)).astype(dtype)
    return as_representation(values, stimulus=["a", "b", "c"], kind="network", attrs=attrs)


@pytest.fixture
def counted(tmp_path):
    calls = []

    @cached(folder=tmp_path / "kept")
    def scaled(X, factor=2.0, *, options=None):
        """Scale."""
        calls.append(factor)
        return X.copy(data=X.values * factor)

    return scaled, calls


class TestHits:
    def test_the_second_call_is_read(self, counted):
        scaled, calls = counted
        first, second = scaled(array()), scaled(array())
        xr.testing.assert_identical(first, second)
        assert calls == [2.0]

    def test_how_arguments_are_passed_does_not_matter(self, counted):
        scaled, calls = counted
        scaled(array()), scaled(X=array(), factor=2.0), scaled(array(), 2.0, options=None)
        assert len(calls) == 1

    def test_history_does_not_matter_and_attributes_do(self, counted):
        scaled, calls = counted
        scaled(array(tr=2.0)), scaled(array(tr=2.0, history=["read"]))
        assert len(calls) == 1
        scaled(array(tr=2.5))
        assert len(calls) == 2

    @pytest.mark.parametrize(
        "change",
        [
            lambda: ((array(seed=1),), {}),
            lambda: ((array(dtype=np.float32),), {}),
            lambda: ((array().assign_coords(stimulus=("sample", ["a", "c", "b"])),), {}),
            lambda: ((array(), 2), {}),
            lambda: ((array(),), {"options": {"a": 1}}),
            lambda: ((array().rename(unit="voxel"),), {}),
        ],
    )
    def test_other_content_is_another_answer(self, counted, change):
        scaled, calls = counted
        scaled(array())
        args, kwargs = change()
        scaled(*args, **kwargs)
        assert len(calls) == 2

    def test_other_code_is_another_answer(self, tmp_path):
        def make(text):
            space = {}
            exec(compile(text, "<typed>", "exec"), space)
            return cached(space["f"], folder=tmp_path)

        one = make("def f(X):\n    return X + 1")
        two = make("def f(X):\n    return X + 2")
        assert float(one(array()).values[0, 0]) + 1 == pytest.approx(float(two(array()).values[0, 0]))
        assert one.entry(array()) != two.entry(array())

    def test_plain_values_that_a_function_closes_over_are_part_of_it(self, tmp_path):
        def make(n):
            @cached(folder=tmp_path)
            def added(X):
                return X + n

            return added

        assert make(1).entry(array()) == make(1).entry(array())
        assert make(1).entry(array()) != make(2).entry(array())

    def test_data_sets_and_trees(self, tmp_path):
        for thing in (xr.Dataset({"a": 1.0}), xr.DataTree.from_dict({"/b": xr.Dataset({"a": 1.0})})):
            function = cached(lambda made=thing: made, folder=tmp_path)
            xr.testing.assert_identical(function(), thing)
            xr.testing.assert_identical(function(), thing)

    def test_it_stays_the_function_it_was(self, counted):
        scaled, _ = counted
        assert scaled.__name__ == "scaled" and scaled.__doc__ == "Scale."
        assert scaled.entry(array()).suffix == ".zarr"
        with pytest.raises(TypeError, match="missing a required argument"):
            scaled()

    def test_another_process_finds_it(self, tmp_path):
        script = tmp_path / "job.py"
        script.write_text(
            "import numpy as np\n"
            "from neurodecode.representation import as_representation, cached\n"
            "@cached(folder='kept')\n"
            "def f(X, names):\n"
            "    print('computed')\n"
            "    return X + 1\n"
            "X = as_representation(np.ones((2, 2)), stimulus=['a', 'b'], kind='network')\n"
            "print(float(f(X, {'x', 'y', 'z'}).sum()))\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        said = []
        for seed in ("1", "2"):
            job = [sys.executable, str(script)]
            done = subprocess.run(
                job,
                cwd=tmp_path,
                env={**environment, "PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
            )
            said.append(done.stdout.split())
        assert said == [["computed", "8.0"], ["8.0"]]


class TestDamage:
    @pytest.mark.parametrize("how", ["flip", "missing", "manifest"])
    def test_damage_is_computed_again_with_the_reason(self, counted, caplog, how):
        scaled, calls = counted
        good = scaled(array())
        entry = scaled.entry(array())
        chunk = entry / "values" / "c" / "0" / "0"
        if how == "flip":
            chunk.write_bytes(bytes([chunk.read_bytes()[0] ^ 1]) + chunk.read_bytes()[1:])
        elif how == "missing":
            shutil.rmtree(entry / "values")
        else:
            (entry / "zarr.json").unlink()
        with caplog.at_level(logging.WARNING, logger="neurodecode"):
            xr.testing.assert_identical(scaled(array()), good)
        assert len(calls) == 2
        assert "computing" in caplog.text and entry.name in caplog.text
        xr.testing.assert_identical(scaled(array()), good)
        assert len(calls) == 2

    def test_an_answer_of_another_type_is_refused(self, tmp_path):
        with pytest.raises(TypeError, match="returned a ndarray; cached keeps DataArray"):
            cached(lambda: np.zeros(2), folder=tmp_path)()

    def test_an_error_is_not_kept(self, tmp_path):
        calls = []

        @cached(folder=tmp_path)
        def fails(X):
            calls.append(1)
            raise RuntimeError("no")

        for _ in range(2):
            with pytest.raises(RuntimeError):
                fails(array())
        assert len(calls) == 2 and not list(tmp_path.iterdir())


class TestFolder:
    def test_the_environment_names_it(self, tmp_path, monkeypatch):
        monkeypatch.setenv("NEURODECODE_CACHE", str(tmp_path / "with space ü"))
        function = cached(lambda X: X + 1)
        function(array())
        assert function.entry(array()).is_relative_to(tmp_path / "with space ü")
        assert function.entry(array()).is_dir()

    def test_the_default_is_in_the_home(self, tmp_path, monkeypatch):
        monkeypatch.delenv("NEURODECODE_CACHE", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        assert cache_folder() == tmp_path / ".cache" / "neurodecode"
        assert cache_folder("~/x") == tmp_path / "x"

    def test_a_folder_that_cannot_be_written_costs_one_warning(self, tmp_path):
        (tmp_path / "file").write_text("x")
        calls = []

        @cached(folder=tmp_path / "file" / "below")
        def f(X):
            calls.append(1)
            return X + 1

        for _ in range(2):
            with pytest.warns(NeurodecodeWarning, match=r"not kept: cannot write .*NEURODECODE_CACHE") as said:
                np.testing.assert_array_equal(f(array()).values, array().values + 1)
            assert len(said) == 1 and "\n" not in str(said[0].message)
        assert len(calls) == 2


@dataclasses.dataclass
class Settings:
    layers: tuple
    batch: int


class TestKeys:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (1, 1.0),
            (1, True),
            (1, "1"),
            (None, "None"),
            ([1, 2], [2, 1]),
            ([1, 2], (1, 2)),
            ([[1], [2]], [[1, 2]]),
            (["ab", "c"], ["a", "bc"]),
            ({"a": 1}, {"a": 2}),
            ({1, 2}, {1, 3}),
            (b"ab", b"ba"),
            (np.zeros(3), np.zeros(3, np.float32)),
            (np.zeros((2, 3)), np.zeros((3, 2))),
            (np.array(["a"]), np.array(["b"])),
            (float("nan"), 0.0),
            (Ridge(alpha=1.0), Ridge(alpha=2.0)),
            (Settings(("a",), 1), Settings(("a",), 2)),
            (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"b": [1, 2]})),
            (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 3]})),
            (functools.partial(max, 1), functools.partial(max, 2)),
            (np.mean, np.median),
        ],
    )
    def test_different_content_different_key(self, one, other):
        assert key_of(one) == key_of(one)
        assert key_of(one) != key_of(other)

    @pytest.mark.parametrize(
        ("one", "same"),
        [
            ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
            ({3, 1, 2}, {2, 3, 1}),
            (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3))),
            (Ridge(alpha=1.0), Ridge(alpha=1.0)),
            (Settings(("a",), 1), Settings(("a",), 1)),
            (pd.Series([1, 2]), pd.Series([1, 2])),
        ],
    )
    def test_same_content_same_key(self, one, same):
        assert key_of(one) == key_of(same)

    def test_closures_count(self):
        def make(n):
            return lambda x: x + n

        assert key_of(make(1)) == key_of(make(1))
        assert key_of(make(1)) != key_of(make(2))

    def test_a_path_is_what_it_points_to(self, tmp_path):
        path = tmp_path / "weights.bin"
        keys = {key_of(path)}
        for content in (b"one", b"two"):
            path.write_bytes(content)
            keys.add(key_of(path))
        assert len(keys) == 3
        assert key_of(path) == key_of(Path(shutil.copy(path, tmp_path / "copy.bin")))
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / "a").write_bytes(b"x")
        before = key_of(folder)
        (folder / "a").rename(folder / "b")
        assert key_of(folder) != before

    def test_models_by_their_weights(self):
        """Row 46: other weights under the same name."""
        torch = pytest.importorskip("torch")
        one, two = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
        assert key_of(one) != key_of(two)
        two.load_state_dict(one.state_dict())
        assert key_of(one) == key_of(two)
        assert key_of(one.eval()) != key_of(two.train())
        assert key_of(torch.zeros(2, dtype=torch.bfloat16)) != key_of(torch.zeros(2))
        assert key_of(torch.zeros(2)) == key_of(torch.zeros(2))

    @pytest.mark.parametrize("thing", [np.random.default_rng(0), io.BytesIO(b"x"), (n for n in range(3))])
    def test_what_changes_by_use_has_no_key(self, thing):
        with pytest.raises(TypeError, match="pass a seed, a path or an array"):
            key_of(thing)

    def test_loops_are_noticed(self):
        loop = []
        loop.append(loop)
        with pytest.raises(TypeError, match="contains itself"):
            key_of(loop)
