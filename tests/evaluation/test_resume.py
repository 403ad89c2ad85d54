"""Finished pieces: nothing is computed twice, nothing of another job is mixed in, damage is repaired and said."""

from __future__ import annotations

import logging
import os
import runpy
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from sklearn import linear_model

from neurodecode.evaluation import SplitBy, cross_validate
from neurodecode.evaluation.resume import MANIFEST, BlockStore, describe, digest
from neurodecode.exceptions import ResumeError
from neurodecode.linear import Ridge

RUNS = SplitBy("run")
FITS = []


class Counting(linear_model.Ridge):
    """Counts its fits, and stops the whole job at a given one."""

    stop_at = None

    def fit(self, X, y):
        FITS.append(len(FITS))
        if Counting.stop_at is not None and len(FITS) > Counting.stop_at:
            raise KeyboardInterrupt
        return super().fit(X, y)


@pytest.fixture(autouse=True)
def _fresh():
    FITS.clear()
    Counting.stop_at = None
    yield
    Counting.stop_at = None


def job(world, store, est=None, **kwargs):
    options = {"score": "r", "permutations": 25, "random_state": 3, **kwargs}
    return cross_validate(est or Counting(2.0), *world, RUNS, store=store, **options)


def assert_same_numbers(one, two):
    assert set(one) == set(two)
    for name in one:
        np.testing.assert_array_equal(one[name].values, two[name].values)


class TestResuming:
    def test_finished_job_is_not_computed_again(self, world, tmp_path):
        first = job(world, tmp_path / "store")
        count = len(FITS)
        assert count == 4 + 25 * 4
        again = job(world, tmp_path / "store")
        assert len(FITS) == count
        assert_same_numbers(first, again)
        assert_same_numbers(first, job(world, None))
        assert again.attrs["pieces"] == {"total": 7, "resumed": 7}
        assert first.attrs["pieces"] == {"total": 7, "resumed": 0}

    @pytest.mark.parametrize("stop_at", [2, 4, 30, 60])
    def test_interrupted_job_goes_on(self, world, tmp_path, stop_at, caplog):
        whole = job(world, None)
        FITS.clear()
        Counting.stop_at = stop_at
        with pytest.raises(KeyboardInterrupt):
            job(world, tmp_path / "store")
        Counting.stop_at = None
        FITS.clear()
        finished = len(list((tmp_path / "store").glob("*.npz")))
        with caplog.at_level(logging.INFO, "neurodecode"):
            resumed = job(world, tmp_path / "store")
        assert_same_numbers(whole, resumed)
        assert resumed.attrs["pieces"]["resumed"] == finished
        # 4 folds, then batches of 10, 10 and 5 permutations in 4 folds each
        done = min(finished, 4) + 40 * max(0, finished - 4)
        assert len(FITS) == 104 - done
        if finished:
            assert f"{finished} of 7 pieces were finished before; {7 - finished} are left" in caplog.text
        assert "7 of 7 pieces are finished" in caplog.text

    def test_seed_of_the_first_run_is_taken_up(self, world, tmp_path):
        Counting.stop_at = 50
        with pytest.raises(KeyboardInterrupt):
            job(world, tmp_path / "store", random_state=None)
        Counting.stop_at = None
        resumed = job(world, tmp_path / "store", random_state=None)
        assert resumed.attrs["pieces"]["resumed"] == 5
        assert_same_numbers(resumed, job(world, None, random_state=resumed.attrs["random_state"]))

    def test_notes_of_finished_pieces_are_kept(self, world, tmp_path):
        from neurodecode.exceptions import NeurodecodeWarning

        for _ in range(2):
            with pytest.warns(NeurodecodeWarning, match="edge of the grid"):
                result = job(world, tmp_path / "store", est=Ridge(alphas=[1e7, 1e8]))
            assert any("edge of the grid" in note for note in result.attrs["notes"])

    def test_labels_and_decisions_survive(self, classes, tmp_path):
        from sklearn.linear_model import LogisticRegression

        results = [
            cross_validate(
                LogisticRegression(), *classes, RUNS, score="auc", keep="prediction", store=tmp_path / "store"
            )
            for _ in range(2)
        ]
        assert_same_numbers(*results)


class TestAnotherJob:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"est": Counting(3.0)}, "estimator"),
            ({"random_state": 4}, "random_state was 3, now 4"),
            ({"score": "r2"}, "score"),
            ({"pool": "predictions"}, "pool was folds, now predictions"),
            ({"permutations": 26}, "permutations was 25, now 26"),
            ({"blocks": False}, "orders"),
        ],
    )
    def test_is_refused_and_what_differs_is_said(self, world, tmp_path, change, said):
        job(world, tmp_path / "store")
        with pytest.raises(ResumeError, match=f"another job.*{said}"):
            job(world, tmp_path / "store", **change)

    def test_other_data_or_folds(self, world, tmp_path):
        X, Y = world
        job(world, tmp_path / "store")
        other = Y.copy(deep=True)
        other[0, 0] += 1e-12
        with pytest.raises(ResumeError, match="Y was"):
            job((X, other), tmp_path / "store")
        with pytest.raises(ResumeError, match="splits was"):
            cross_validate(
                Counting(2.0), X, Y, SplitBy("run", 2), score="r", permutations=25, random_state=3,
                store=tmp_path / "store",
            )  # fmt: skip

    def test_foreign_folders(self, world, tmp_path):
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "chapter.txt").write_text("text")
        with pytest.raises(ResumeError, match=r"chapter\.txt"):
            job(world, tmp_path / "thesis")
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / MANIFEST).write_text("{")
        with pytest.raises(ResumeError, match="cannot be read"):
            job(world, tmp_path / "broken")
        (tmp_path / "newer").mkdir()
        (tmp_path / "newer" / MANIFEST).write_text('{"format": "neurodecode.blocks/9"}')
        with pytest.raises(ResumeError, match="blocks/9"):
            job(world, tmp_path / "newer")
        (tmp_path / "empty").mkdir()
        job(world, tmp_path / "empty")


class TestDamage:
    def test_damaged_piece_is_computed_again_and_said(self, world, tmp_path, caplog):
        whole = job(world, tmp_path / "store")
        FITS.clear()
        path = sorted((tmp_path / "store").glob("fold-*.npz"))[1]
        path.write_bytes(path.read_bytes()[:-30])
        with caplog.at_level(logging.WARNING, "neurodecode"):
            again = job(world, tmp_path / "store")
        assert len(FITS) == 1
        assert_same_numbers(whole, again)
        assert path.stem in caplog.text
        assert "computed again" in caplog.text
        assert job(world, tmp_path / "store").attrs["pieces"]["resumed"] == 7

    def test_no_flipped_bit_goes_unseen(self, tmp_path):
        store = BlockStore(tmp_path / "store", {"a": 1})
        arrays = {"prediction": np.arange(6.0).reshape(3, 2), "elapsed": 0.5, "notes": ["note"]}
        store.save("piece", arrays)
        path = store.path("piece")
        good = path.read_bytes()
        silent = lost = 0
        for place in range(len(good)):
            bad = bytearray(good)
            bad[place] ^= 1 << (place % 8)
            path.write_bytes(bytes(bad))
            found = store.load("piece")
            if found is None:
                lost += 1
            else:
                silent += not np.array_equal(found["prediction"], arrays["prediction"]) or found["notes"] != ["note"]
                silent += found["elapsed"] != 0.5
        assert silent == 0
        assert lost > 0.5 * len(good)

    def test_a_piece_of_another_job_or_name_is_not_taken(self, tmp_path):
        one, two = BlockStore(tmp_path / "one", {"a": 1}), BlockStore(tmp_path / "two", {"a": 2})
        one.save("piece", {"x": np.zeros(2), "elapsed": 0.0, "notes": []})
        two.path("piece").write_bytes(one.path("piece").read_bytes())
        assert two.load("piece") is None
        one.path("other").write_bytes(one.path("piece").read_bytes())
        assert one.load("other") is None
        assert one.load("piece")["notes"] == []
        assert one.load("never") is None

    def test_no_objects_are_read(self, tmp_path):
        store = BlockStore(tmp_path / "store", {"a": 1})
        np.savez(store.path("piece"), key=np.array([{}], dtype=object))
        assert store.load("piece") is None


SCRIPT = """
    import os, signal, sys
    import numpy as np
    from sklearn import linear_model
    from neurodecode.evaluation import SplitBy, cross_validate
    from neurodecode.representation import as_representation, save

    folder, kill_at = sys.argv[1], int(sys.argv[2])
    log = os.path.join(folder, "fits.txt")

    class Counting(linear_model.Ridge):
        def fit(self, X, y):
            with open(log, "a") as file:
                file.write("x")
            if os.path.getsize(log) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().fit(X, y)

    rng = np.random.default_rng(0)
    names, run = [f"s{i}" for i in range(24)], np.repeat([1, 2, 3], 8)
    X = as_representation(rng.normal(size=(24, 3)), stimulus=names, kind="network")
    Y = as_representation(rng.normal(size=(24, 2)), stimulus=names, kind="fmri", sample={"run": run})
    store = os.path.join(folder, "store") if kill_at >= 0 else None
    result = cross_validate(
        Counting(1.0), X, Y, SplitBy("run"), score="r", permutations=40, random_state=1, store=store
    )
    np.savez(os.path.join(folder, "answer.npz"), score=result["score"], null=result["null"], p=result["p"])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_killed_job_goes_on_with_the_same_numbers(tmp_path, repository, monkeypatch):
    script = tmp_path / "job.py"
    script.write_text(textwrap.dedent(SCRIPT))

    def run(folder, kill_at):
        folder.mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, str(script), str(folder), str(kill_at)], env=environment, capture_output=True, check=False
        )
        return done.returncode, (folder / "fits.txt").stat().st_size

    (tmp_path / "whole").mkdir()
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path / "whole"), "-1"])
    runpy.run_path(str(script))
    assert (tmp_path / "whole" / "fits.txt").stat().st_size == 3 + 3 * 40
    code, fits = run(tmp_path / "killed", 70)
    assert code == -signal.SIGKILL
    assert not (tmp_path / "killed" / "answer.npz").exists()
    code, fits = run(tmp_path / "killed", 0)
    assert code == 0
    # The first 3 + 60 fits were stored; the batch that was cut short is the only one done again.
    assert fits == 70 + (3 + 3 * 40) - 63
    with np.load(tmp_path / "whole" / "answer.npz") as whole, np.load(tmp_path / "killed" / "answer.npz") as killed:
        for name in whole.files:
            np.testing.assert_array_equal(whole[name], killed[name])


class TestIdentity:
    def test_estimators_and_functions(self):
        assert describe(Ridge(alphas=[1.0])) == describe(Ridge(alphas=[1.0]))
        assert describe(Ridge(alphas=[1.0])) != describe(Ridge(alphas=[2.0]))
        assert describe(np.arange(3000)) != describe(np.r_[np.arange(2999), 0])
        assert describe(lambda x: x + 1) != describe(lambda x: x + 2)
        assert describe(len) == "builtins.len"
        assert " at 0x" not in str(describe({"thing": object()}))

    def test_arrays(self):
        x = np.arange(6.0)
        assert digest(x) == digest(x.copy())
        assert digest(x) != digest(x.reshape(2, 3))
        assert digest(x) != digest(x.astype(np.float32))
        assert digest(np.asfortranarray(x.reshape(2, 3))) == digest(x.reshape(2, 3))
        assert digest(np.array(["a", "b"], dtype=object)) == digest(np.array(["a", "b"]))
