"""A process that forks writers, kills them, and reports what a reader finds after each kill.

Run as ``python writers.py MODE FOLDER SEED``; prints one JSON list.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import xarray as xr

import neurodecode.representation.atomic as atomic
import neurodecode.representation.store as store
from neurodecode.exceptions import IntegrityError
from neurodecode.representation import as_representation


def content(version: int) -> xr.DataArray:
    """An array in which every value, label and attribute says which version it is."""
    return as_representation(
        np.full((40, 25), float(version)),
        stimulus=[f"{version}-{at}" for at in range(40)],
        kind="fmri",
        attrs={"version": version},
    )


def version_of(X: xr.DataArray) -> int:
    """The one version that an array holds; anything mixed raises."""
    said = {int(entry) for entry in np.unique(X.values)} | {int(X.attrs["version"])}
    said |= {int(entry.split("-")[0]) for entry in X["stimulus"].values.tolist()}
    if len(said) != 1 or X.shape != (40, 25):
        raise AssertionError(f"a mix of versions: {sorted(said)}, {X.shape}")
    return said.pop()


def found_at(path: Path) -> str:
    """What a reader gets, in a process of its own."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = str(version_of(store.load(path)))
        except FileNotFoundError:
            answer = "nothing"
        except IntegrityError as error:
            answer = f"IntegrityError {error}"
        except BaseException:
            answer = traceback.format_exc()
        os.write(write, answer.encode()[:4000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


def at_random_moments(folder: Path, seed: int) -> list[dict]:
    """A writer that saves version after version is killed (SIGKILL) after a random time."""
    path, rng, out = folder / "loop.zarr", random.Random(seed), []
    started = time.perf_counter()
    store.save(content(1), path)
    one_save = time.perf_counter() - started
    newest = 1
    for _ in range(12):
        child = os.fork()
        if child == 0:
            for version in range(newest + 1, newest + 1000):
                store.save(content(version), path)
            os._exit(0)
        time.sleep(rng.uniform(0.0, 3.0) * one_save)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        answer = found_at(path)
        out.append({"before": newest, "found": answer})
        if answer.isdigit() and int(answer) > newest:
            newest = int(answer)
        else:
            one_save *= 1.5  # the machine was busy, or the moment early
    atomic._SWEPT.clear()
    before = len(os.listdir(folder)) - 1
    atomic.sweep(folder)
    out.append({"left": before, "after sweeping": len(os.listdir(folder)) - 1})
    return out


def at_every_step(folder: Path, can_exchange: bool) -> list[dict]:
    """A writer dies before every flush, and before and after every rename and removal, that one save makes."""
    old, out = store.save(content(1), folder / "old.zarr"), []
    for step in range(200):
        path = folder / f"step-{step}" / "x.zarr"
        shutil.copytree(old, path)
        child = os.fork()
        if child == 0:
            die_at(step, can_exchange)
            store.save(content(2), path)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        out.append({"step": step, "died": os.WIFSIGNALED(status), "found": found_at(path)})
        if not out[-1]["died"] or [row["found"] for row in out[-6:]] == ["2"] * 6:
            break
    return out


def die_at(step: int, can_exchange: bool) -> None:
    count = 0

    def here() -> None:
        nonlocal count
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    def dying(call, after=True):
        def wrapped(*args, **kwargs):
            here()
            answer = call(*args, **kwargs)
            if after:
                here()
            return answer

        return wrapped

    os.fsync = dying(os.fsync, after=False)
    for name in ("rename", "replace", "unlink", "rmdir"):
        setattr(os, name, dying(getattr(os, name)))
    if can_exchange:
        atomic.exchange = dying(atomic.exchange)
    else:
        atomic.exchange = lambda one, two: False


def two_at_once(folder: Path, can_exchange: bool) -> list[dict]:
    """Three writers of one name, and readers all the while."""
    path = folder / "shared.zarr"
    writers = []
    for number in range(1, 4):
        child = os.fork()
        if child == 0:
            if not can_exchange:
                atomic.exchange = lambda one, two: False
            code = 0
            try:
                for _ in range(6):
                    store.save(content(number), path)
            except BaseException:
                traceback.print_exc()
                code = 1
            os._exit(code)
        writers.append(child)
    answers = []
    while writers:
        answers.append(found_at(path))
        for child in list(writers):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                writers.remove(child)
                answers.append(f"exit {os.waitstatus_to_exitcode(status)}")
    answers.append(found_at(path))
    return [{"answers": answers, "left": [name for name in os.listdir(folder) if name != path.name]}]


if __name__ == "__main__":
    mode, folder, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    store.load(store.save(content(0), folder / "warm.zarr"))  # later writers start in milliseconds
    shutil.rmtree(folder / "warm.zarr")
    answer = {
        "random": lambda: at_random_moments(folder, seed),
        "steps": lambda: at_every_step(folder, can_exchange=True),
        "steps-without-exchange": lambda: at_every_step(folder, can_exchange=False),
        "together": lambda: two_at_once(folder, can_exchange=True),
        "together-without-exchange": lambda: two_at_once(folder, can_exchange=False),
    }[mode]()
    print(json.dumps(answer))
