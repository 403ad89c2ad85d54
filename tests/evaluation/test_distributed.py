"""Pieces on a cluster: the numbers of this process, whichever worker, driver or scheduler is killed on the way."""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
import xarray as xr
from references.workers import DRIVER, MORTAL
from sklearn import linear_model

from neurodecode.compute.device import single_thread
from neurodecode.evaluation import SCORES, SplitBy, cross_validate, distribution, group, per_subject, remote
from neurodecode.evaluation.blocks import Problem
from neurodecode.evaluation.resume import BlockStore
from neurodecode.exceptions import ClusterError, NeurodecodeWarning, ResumeError
from neurodecode.linear import Ridge

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")

RUNS = SplitBy("run")
LOCAL = {"dashboard_address": ":0", "threads_per_worker": 1, "silence_logs": logging.CRITICAL}
needs_sigkill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")


@pytest.fixture(scope="module")
def near():
    """A client whose worker is in this process: quick, and it sees what a test defines."""
    with distributed.LocalCluster(n_workers=1, processes=False, **LOCAL) as cluster, distributed.Client(cluster) as one:
        yield one


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """A folder of modules that worker processes started later can import."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "mortal.py").write_text(textwrap.dedent(MORTAL))
    (folder / "driver.py").write_text(textwrap.dedent(DRIVER))
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("mortal", None)


@pytest.fixture(scope="module")
def far(code):
    """A client with two worker processes, which come back when they are killed."""
    with distributed.LocalCluster(n_workers=2, **LOCAL) as cluster, distributed.Client(cluster) as one:
        yield one


@pytest.fixture
def mortal(tmp_path, code):
    """An estimator that worker processes can import, and the folder that tells it when to die."""
    folder = tmp_path / "fits"
    folder.mkdir()
    (folder / "plan.json").write_text('{"kill": []}')
    return importlib.import_module("mortal").Mortal(2.0, str(folder)), folder


def open_calls(dask_scheduler, own):
    """Clients other than one, and calls that are not over, as the scheduler knows them."""
    others = set(dask_scheduler.clients) - {own, "fire-and-forget"}
    waiting = ("waiting", "queued", "no-worker", "processing")
    return len(others) + sum(one.state in waiting for one in dask_scheduler.tasks.values())


def wait_until_quiet(client):
    """Until what a dead driver asked for has run out or is dropped, on the scheduler and in the workers."""
    deadline = time.monotonic() + 120
    while client.run_on_scheduler(open_calls, own=client.id) or any(
        client.run(lambda dask_worker: len(dask_worker.state.executing) + len(dask_worker.state.ready)).values()
    ):
        assert time.monotonic() < deadline, "the cluster does not come to rest"
        time.sleep(0.1)


def fits(folder):
    return len(list(folder.glob("fit-*")))


def job(world, est, client=None, store=None, **kwargs):
    options = {"score": "r", "permutations": 25, "random_state": 3, **kwargs}
    return cross_validate(est, *world, RUNS, client=client, store=store, **options)


def assert_same_numbers(one, two):
    assert set(one) == set(two)
    for name in one:
        np.testing.assert_array_equal(one[name].values, two[name].values)


class TestSameNumbers:
    def test_blocks_folds_and_permutations(self, world, near, tmp_path):
        there = job(world, Ridge(alphas=1.0), near, tmp_path / "store", target_block=2)
        with single_thread():
            here = job(world, Ridge(alphas=1.0), target_block=2)
        assert_same_numbers(there, here)
        assert there.attrs["pieces"] == {"total": 4 * 3 + 3, "resumed": 0}
        again = job(world, Ridge(alphas=1.0), None, tmp_path / "store", target_block=2)
        assert again.attrs["pieces"] == {"total": 15, "resumed": 15}
        assert_same_numbers(again, here)

    def test_classes_and_decisions(self, classes, near):
        est = linear_model.LogisticRegression()
        options = {"score": "auc", "keep": "prediction", "permutations": 19, "random_state": 1}
        one, two = (cross_validate(est, *classes, RUNS, client=client, **options) for client in (near, None))
        assert_same_numbers(one, two)

    def test_notes_come_along(self, world, near):
        with pytest.warns(NeurodecodeWarning, match="edge of the grid"):
            found = job(world, Ridge(alphas=[1e7, 1e8]), near)
        assert any("edge of the grid" in note for note in found.attrs["notes"])

    def test_an_estimator_that_workers_cannot_import(self, world, far, tmp_path, monkeypatch):
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "made_at_home.py").write_text(textwrap.dedent(MORTAL))
        monkeypatch.syspath_prepend(tmp_path / "home")
        with pytest.raises(ClusterError, match=r"made_at_home.*upload_file"):
            job(world, importlib.import_module("made_at_home").Mortal(), far)

    def test_a_score_that_came_by_wire_is_the_row_of_the_table(self, world, monkeypatch):
        """Closed forms for many permutations ask whether a score is a known one; on a worker it is a copy."""
        import pickle

        seen = []
        monkeypatch.setattr(distribution, "run", lambda problem, piece: seen.append(problem) or {"notes": []})
        score = SCORES["auc"]
        problem = Problem(None, None, (), pickle.loads(pickle.dumps(score)), "folds", [], False)
        assert problem.score is not score
        distribution.run_piece((problem, [None], distribution.versions(), None), 0)
        assert seen[0].score is score

    def test_what_is_no_client(self, world):
        with pytest.raises(TypeError, match=r"dask\.distributed"):
            job(world, linear_model.Ridge(), "tcp://scheduler:8786")

    def test_data_that_are_lost_are_sent_again(self, world, near, tmp_path, monkeypatch, caplog):
        save, ship, lost = BlockStore.save, remote.Remote._ship, []

        def losing(self, name, found):
            save(self, name, found)
            if len(lost) < 3:
                lost.append(name)
                near.cancel([lost_with_the_worker[-1]], force=True)

        def shipping(self):
            ship(self)
            lost_with_the_worker.append(self.sent)

        lost_with_the_worker = []
        monkeypatch.setattr(BlockStore, "save", losing)
        monkeypatch.setattr(remote.Remote, "_ship", shipping)
        with caplog.at_level(logging.WARNING, "neurodecode"):
            there = job(world, linear_model.Ridge(), near, tmp_path / "store", permutations=200)
        assert "data were lost with their workers; they are sent again" in caplog.text
        assert len(lost_with_the_worker) > 1
        assert_same_numbers(there, job(world, linear_model.Ridge(), permutations=200))

    def test_what_comes_twice_counts_once(self, near):
        class Doubled(remote.Remote):
            def _watch(self, *entry):
                super()._watch(*entry)
                entry[2].add_done_callback(self.done.put)

        calls = list(Doubled(near).results(lambda package, place: package[place] ** 2, [3, 4, 5], list("abc")))
        assert sorted(calls) == [(0, 9), (1, 16), (2, 25)]


@needs_sigkill
class TestKilledWorkers:
    @pytest.mark.slow
    def test_five_workers_killed_at_random_blocks(self, world, mortal, far, tmp_path):
        est, folder = mortal
        with single_thread():
            here = job(world, est)
        count = fits(folder)
        assert count == 4 + 25 * 4
        for old in folder.glob("fit-*"):
            old.unlink()
        kills = np.random.default_rng(0).choice(count, 5, replace=False).tolist()
        (folder / "plan.json").write_text(json.dumps({"kill": kills}))
        there = job(world, est, far, tmp_path / "store")
        assert fits(folder) > count, "what was cut short was done again"
        assert all((folder / f"fit-{number}").exists() for number in kills), "all five were killed"
        assert_same_numbers(here, there)
        again = job(world, est, None, tmp_path / "store")
        assert again.attrs["pieces"] == {"total": 7, "resumed": 7}
        assert_same_numbers(here, again)

    @pytest.mark.slow
    def test_a_piece_that_kills_every_worker_is_named_and_the_others_are_kept(self, worlds, mortal, tmp_path):
        est, folder = mortal
        X, Y = worlds(n=46, runs=0, sample={"run": np.repeat([1, 2, 3, 4], [12, 12, 12, 10])})
        (folder / "plan.json").write_text('{"kill": [], "samples": 36}')  # the training samples without run 4
        with (
            dask.config.set({"distributed.scheduler.allowed-failures": 0}),
            distributed.LocalCluster(n_workers=2, **LOCAL) as cluster,
            distributed.Client(cluster) as client,
            pytest.raises(ClusterError, match=r"died again and again while they did fold '4'.*too little memory"),
        ):
            job((X, Y), est, client, tmp_path / "store", permutations=0)
        assert len(list((tmp_path / "store").glob("fold-*.npz"))) == 3
        (folder / "plan.json").write_text('{"kill": []}')
        before = fits(folder)
        assert job((X, Y), est, None, tmp_path / "store", permutations=0).attrs["pieces"]["resumed"] == 3
        assert fits(folder) == before + 1


@pytest.mark.slow
@needs_sigkill
def test_a_killed_driver_goes_on_with_the_same_numbers(mortal, far, code, tmp_path, repository):
    _, folder = mortal

    def drive(address, kill_at, store):
        arguments = [sys.executable, *map(str, (code / "driver.py", code, folder, address, kill_at, store))]
        environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
        return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)

    total = 3 + 3 * 40
    address = far.scheduler.address
    done = drive(address, 4, tmp_path / "store")
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_until_quiet(far)
    before = fits(folder)
    assert not list(code.glob("answer*"))
    stored = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "store").glob("*.npz")}
    assert len(stored) == 4
    done = drive(address, 0, tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "4"
    null_pieces = sum(name.startswith("null") for name in stored)
    assert fits(folder) - before == total - (4 - null_pieces) - 30 * null_pieces
    for name, when in stored.items():
        assert (tmp_path / "store" / name).stat().st_mtime_ns == when
    assert drive("none", 0, "none").returncode == 0
    with np.load(code / "answer-True.npz") as whole, np.load(code / "answer-False.npz") as resumed:
        for name in whole.files:
            np.testing.assert_array_equal(whole[name], resumed[name])


class Fragile(linear_model.Ridge):
    """Cannot be fitted without the samples of the run that holds the value 99."""

    broken = True

    def fit(self, X, y):
        if Fragile.broken and np.asarray(X).max() < 99:
            raise ZeroDivisionError("a file on this machine is missing")
        return super().fit(X, y)


@pytest.fixture
def fragile(world):
    X, Y = world
    X = X.copy(deep=True)
    X[20, 0] = 99.0  # in run 2
    Fragile.broken = True
    yield X, Y
    Fragile.broken = True


class TestErrors:
    def test_of_a_piece_are_raised_here_with_its_fold_and_the_others_are_kept(self, fragile, near, tmp_path):
        with pytest.raises(ZeroDivisionError, match=r"a file on this machine is missing") as caught:
            job(fragile, Fragile(), near, tmp_path / "store", permutations=0)
        said = " ".join(caught.value.__notes__)
        assert "on a worker in fold '2' of targets 0 to 5 (piece fold-0001_targets-" in said
        assert "in the store" in said
        assert len(list((tmp_path / "store").glob("fold-*.npz"))) == 3
        Fragile.broken = False
        found = job(fragile, Fragile(), near, tmp_path / "store", permutations=0)
        assert found.attrs["pieces"] == {"total": 4, "resumed": 3}
        assert_same_numbers(found, job(fragile, Fragile(), permutations=0))

    def test_without_a_store_the_first_ends_the_job(self, fragile, near):
        with pytest.raises(ZeroDivisionError) as caught:
            job(fragile, Fragile(), near, permutations=0)
        assert "in the store" not in " ".join(caught.value.__notes__)

    def test_here_too(self, fragile):
        with pytest.raises(ZeroDivisionError) as caught:
            job(fragile, Fragile(), permutations=0)
        assert caught.value.__notes__[0].startswith("This happened in fold '2' of targets 0 to 5")

    def test_no_workers(self, world, monkeypatch):
        monkeypatch.setattr(remote, "PATIENCE", 1.0)
        with (
            distributed.LocalCluster(n_workers=0, processes=False, **LOCAL) as cluster,
            distributed.Client(cluster) as client,
            pytest.raises(ClusterError, match=r"no worker came within 1 s.*wait_for_workers"),
        ):
            job(world, linear_model.Ridge(), client)

    def test_workers_that_all_go_away(self, world, monkeypatch, tmp_path):
        monkeypatch.setattr(remote, "PATIENCE", 1.0)
        monkeypatch.setattr(remote, "FETCHING", 1.0)
        save = BlockStore.save
        with (
            distributed.LocalCluster(n_workers=1, processes=False, **LOCAL) as cluster,
            distributed.Client(cluster) as client,
        ):

            def close(self, name, found):
                save(self, name, found)
                for worker in list(cluster.workers.values()):
                    cluster.sync(worker.close)

            monkeypatch.setattr(BlockStore, "save", close)
            with pytest.raises(ClusterError, match=r"no worker came.*goes on from there"):
                job(world, linear_model.Ridge(), client, tmp_path / "store", permutations=150)

    def test_versions(self, world, near, monkeypatch):
        mine = distribution.versions()
        monkeypatch.setattr(distribution, "run_piece", _as_sent_by({**mine, "numpy": "1.0.0"}))
        with pytest.warns(NeurodecodeWarning, match=r"sent from 1\.0\.0: last digits may be others"):
            found = job(world, linear_model.Ridge(), near, permutations=0)
        assert any("1.0.0" in note for note in found.attrs["notes"])
        monkeypatch.undo()
        monkeypatch.setattr(distribution, "run_piece", _as_sent_by({**mine, "neurodecode": "0.0.0"}))
        with pytest.raises(ClusterError, match=r"comes from 0\.0\.0; install the same"):
            job(world, linear_model.Ridge(), near, permutations=0)


def _as_sent_by(versions):
    """``run_piece`` of work that another release sent."""
    run = distribution.run_piece
    return lambda package, place: run((*package[:2], versions, *package[3:]), place)


SCHEDULER = """
    import time
    from distributed import LocalCluster

    if __name__ == "__main__":
        with LocalCluster(
            n_workers=1, processes=False, protocol="tcp", threads_per_worker=1, dashboard_address=":0"
        ) as cluster:
            print(cluster.scheduler_address, flush=True)
            time.sleep(600)
"""


@pytest.mark.slow
@needs_sigkill
def test_a_scheduler_that_goes_away(world, tmp_path, monkeypatch, repository):
    (tmp_path / "scheduler.py").write_text(textwrap.dedent(SCHEDULER))
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, str(tmp_path / "scheduler.py")]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    ) as far:
        address = far.stdout.readline().strip()
        save, saved = BlockStore.save, []

        def pulling_the_plug(self, name, found):
            save(self, name, found)
            saved.append(name)
            if len(saved) == 2:
                far.kill()

        monkeypatch.setattr(BlockStore, "save", pulling_the_plug)
        with distributed.Client(address, timeout=60) as client:
            monkeypatch.setattr(client, "_timeout", 2)  # for finding it again, not for finding it at first
            with pytest.raises(ClusterError, match=r"scheduler.*goes on from there"):
                job(world, linear_model.Ridge(), client, tmp_path / "store", permutations=150)
    found = job(world, linear_model.Ridge(), None, tmp_path / "store", permutations=150)
    assert 2 <= found.attrs["pieces"]["resumed"] < found.attrs["pieces"]["total"]


class TestThreads:
    @pytest.mark.parametrize(("asked", "count"), [(None, 1), ("2", 2)])
    def test_a_piece_runs_on_one_unless_asked(self, world, monkeypatch, asked, count):
        from threadpoolctl import threadpool_info

        if asked is not None:
            monkeypatch.setenv(distribution.THREADS, asked)
        seen, inside, most = [], [], []

        class Watching(linear_model.Ridge):
            def fit(self, X, y):
                inside.append(1)
                most.append(len(inside))
                seen.append(torch.get_num_threads())
                seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
                time.sleep(0.01)
                inside.pop()
                return super().fit(X, y)

        def threads():
            """Of every library that is loaded by now."""
            return {"torch": torch.get_num_threads()} | {p["filepath"]: p["num_threads"] for p in threadpool_info()}

        before = threads()
        two = {**LOCAL, "threads_per_worker": 2}
        with (
            distributed.LocalCluster(n_workers=1, processes=False, **two) as cluster,
            distributed.Client(cluster) as client,
        ):
            job(world, Watching(), client, permutations=0)
        assert len(most) == 4 and max(most) == 1, "one piece at a time in a process"
        assert set(seen) == {count}
        assert {name: count for name, count in threads().items() if name in before} == before

    def test_what_is_no_number_of_threads(self, world, near, monkeypatch):
        monkeypatch.setenv(distribution.THREADS, "many")
        with pytest.raises(ValueError, match=r"NEURODECODE_THREADS='many'"):
            job(world, linear_model.Ridge(), near, permutations=0)


CALLS: list[str] = []


def analysis(subject):
    """A person who is predicted, by number, from planted weights."""
    CALLS.append(subject)
    if subject in BROKEN:
        raise FileNotFoundError(f"{subject}/func is not on this machine")
    rng = np.random.default_rng(int(subject[-2:]))
    X = rng.normal(size=(40, 3))
    Y = X @ np.ones((3, 2)) + rng.normal(size=(40, 2))
    return cross_validate(linear_model.LinearRegression(), X, Y, 5, score="r", permutations=9, random_state=0)


BROKEN: set[str] = set()
NAMES = [f"sub-{number:02d}" for number in range(1, 9)]


class TestSubjects:
    @pytest.fixture(autouse=True)
    def _fresh(self):
        CALLS.clear()
        BROKEN.clear()

    @pytest.mark.filterwarnings("ignore:no p value can be below")
    def test_the_same_here_and_there_and_ready_for_the_group(self, near):
        here, there = per_subject(analysis, NAMES), per_subject(analysis, NAMES, client=near)
        assert list(here) == list(there) == NAMES
        for name in NAMES:
            assert_same_numbers(here[name], there[name])
        assert group(there)["mean"].values.min() > 0.6

    @pytest.mark.filterwarnings("ignore:no p value can be below")
    @pytest.mark.parametrize("far", [False, True])
    def test_goes_on_after_some_of_them(self, near, tmp_path, caplog, far):
        client = near if far else None
        BROKEN.update({NAMES[3]})
        with pytest.raises(FileNotFoundError, match=r"not on this machine") as caught:
            per_subject(analysis, NAMES, client=client, store=tmp_path / "store")
        assert "subject 'sub-04'" in " ".join(caught.value.__notes__)
        BROKEN.clear()
        before = sorted(path.stem for path in (tmp_path / "store").glob("*.zarr"))
        assert before == (NAMES[:3] + NAMES[4:] if far else NAMES[:3]), "a cluster does not stop for one subject"
        CALLS.clear()
        with caplog.at_level(logging.INFO, "neurodecode"):
            found = per_subject(analysis, NAMES, client=client, store=tmp_path / "store")
        assert sorted(CALLS) == sorted(set(NAMES) - set(before))
        assert "8 of 8 subjects are finished" in caplog.text
        for name, one in per_subject(analysis, NAMES).items():
            assert_same_numbers(one, found[name])

    def test_data_instead_of_names(self, near, tmp_path):
        people = {name: xr.DataArray(np.arange(3.0) + place, dims="unit") for place, name in enumerate(NAMES)}
        found = per_subject(lambda x: (2 * x).rename("twice"), people, client=near, store=tmp_path / "store")
        assert found["sub-03"].values.tolist() == [4.0, 6.0, 8.0]
        with pytest.raises(ResumeError, match="another job"):
            per_subject(
                lambda x: (2 * x).rename("twice"), {**people, "sub-01": people["sub-02"]}, store=tmp_path / "store"
            )
        with pytest.raises(ResumeError, match="another job"):
            per_subject(lambda x: (3 * x).rename("twice"), people, store=tmp_path / "store")

    def test_damage_is_computed_again(self, tmp_path, caplog):
        one = {"sub-01": np.arange(4)}
        double = lambda x: xr.DataArray(2 * x, dims="unit")  # noqa: E731
        first = per_subject(double, one, store=tmp_path / "store")
        for path in (tmp_path / "store" / "sub-01.zarr").rglob("c/*"):
            if path.is_file():
                path.write_bytes(path.read_bytes()[:-1])
        with caplog.at_level(logging.WARNING, "neurodecode"):
            again = per_subject(double, one, store=tmp_path / "store")
        assert "computed again" in caplog.text
        xr.testing.assert_identical(first["sub-01"], again["sub-01"])

    def test_refused(self):
        with pytest.raises(ValueError, match="list of names"):
            per_subject(analysis, "sub-01")
        with pytest.raises(ValueError, match="no name of a subject"):
            per_subject(analysis, ["sub-01", "../etc"])
        with pytest.raises(ValueError, match="more than once"):
            per_subject(analysis, ["sub-01", "SUB-01"])
        with pytest.raises(ValueError, match="no subject"):
            per_subject(analysis, [])
        with pytest.raises(TypeError, match="returned a float"):
            per_subject(lambda name: 1.0, ["sub-01"])


class TestTheCommandLine:
    @pytest.mark.slow
    def test_a_study_runs_on_a_scheduler(self, far, tmp_path, monkeypatch):
        from neurodecode.studies import run_study

        submitted, submit = [], distributed.Client.submit

        def counting(self, *args, **kwargs):
            submitted.append(kwargs["key"])
            return submit(self, *args, **kwargs)

        monkeypatch.setattr(distributed.Client, "submit", counting)
        there = run_study("demo", out=tmp_path / "there", dry_run=True, scheduler=far.scheduler.address)
        count = len(submitted)
        here = run_study("demo", out=tmp_path / "here", dry_run=True)
        assert len(submitted) == count > 0
        assert [row["found"] for row in there.attrs["figures"]] == [row["found"] for row in here.attrs["figures"]]

    def test_nobody_there(self, monkeypatch, tmp_path, capsys):
        from neurodecode.cli import run

        real = distributed.Client
        monkeypatch.setattr(distributed, "Client", lambda address, timeout: real(address, timeout=1))
        with pytest.raises(SystemExit) as caught:
            run("demo", out=tmp_path, dry_run=True, scheduler="tcp://127.0.0.1:1")
        assert caught.value.code == 1
        assert "no scheduler answers at 'tcp://127.0.0.1:1'" in capsys.readouterr().err


def test_ctrl_c_takes_open_calls_back(world, near, tmp_path, monkeypatch):
    save = BlockStore.save

    def stop(self, name, found):
        save(self, name, found)
        raise KeyboardInterrupt

    monkeypatch.setattr(BlockStore, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        job(world, linear_model.Ridge(), near, tmp_path / "store", permutations=150)
    monkeypatch.undo()
    deadline = time.monotonic() + 30
    while any(near.processing().values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(near.processing().values())
    assert job(world, linear_model.Ridge(), None, tmp_path / "store", permutations=150).attrs["pieces"]["resumed"] == 1
