"""The command line as a person meets it: what it prints, what it leaves, how it fails and how it continues."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOML = """
title = "A small study"
question = "Does the planted signal reach the second area?"

[[figure]]
name = "planted area r"
published = 0.9
tolerance = 0.2

[settings]
n_units = 8          # half of them hear nothing
name = "main"        # of the result
share = 0.5

[page]
main = ["main"]
"""

STUDY = """
import os, time
import numpy as np
from neurodecode.evaluation import SplitBy, cross_validate
from neurodecode.evaluation.result import study_tree
from neurodecode.linear import Ridge
from neurodecode.representation import as_representation

class Slow(Ridge):
    def fit(self, X, y):
        log = os.environ.get("FIT_LOG")
        if log:
            with open(log, "a") as f:
                f.write("fit\\n")
            if open(log).read().count("fit") == int(os.environ.get("STAND_STILL_AT", "0")):
                time.sleep(600)
        return super().fit(X, y)

def run(job):
    rng = np.random.default_rng(job.seed)
    n, units = 60, job.sizes({"n_units": 6})["n_units"]
    said = dict(stimulus=[f"s{i}" for i in range(n)], sample={"run": np.repeat(np.arange(6), n // 6)})
    x = rng.normal(size=(n, 3))
    y = rng.normal(size=(n, units))
    y[:, units // 2:] = x @ rng.normal(size=(3, units - units // 2)) + 0.05 * y[:, units // 2:]
    X = as_representation(x, kind="features", unit={"space": ["a", "b", "c"]}, **said)
    Y = as_representation(y, kind="fmri", unit={"roi": ["null"] * (units // 2) + ["planted"] * (units // 2)}, **said)
    assert job.settings["share"] == 0.5 and isinstance(job.settings["name"], str)
    result = cross_validate(Slow(alphas=[0.1, 1.0, 10.0], cv=3), X, Y, SplitBy("run"), score="r", pool="predictions",
                            random_state=job.seed, store=job.store("main"))
    means = result["score"].groupby("roi").mean()
    figures = [job.figure(f"{roi} area r", float(means.sel(roi=roi))) for roi in ("planted", "null")]
    return study_tree({job.settings["name"]: result}, question=job.study.question, answer="It does.", figures=figures)
"""


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "small study"
    folder.mkdir()
    (folder / "study.toml").write_text(TOML)
    (folder / "study.py").write_text(STUDY)
    (folder / "README.md").write_text("# A small study\n")
    return folder


def start(*words, cwd, before=None, **environment):
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "neurodecode", *map(str, words)],
        cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, preexec_fn=before or hear_ctrl_c,
    )  # fmt: skip


def hear_ctrl_c():
    """A job that a script starts in the background ignores Ctrl-C, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def call(*words, cwd, before=None, **environment):
    process = start(*words, cwd=cwd, before=before, **environment)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def here(*words):
    """A command in this process: what it refuses before it computes."""
    from typer.testing import CliRunner

    from neurodecode.cli import app

    found = CliRunner().invoke(app, [str(word) for word in words])
    return found.exit_code, found.stdout, found.stderr


def size(path: Path) -> int:
    return path.stat().st_size


def found(folder: Path) -> dict[str, float]:
    return {row["name"]: row["found"] for row in json.loads((folder / "figures.json").read_text())}


def test_help_names_every_command(tmp_path):
    code, out, _ = call("--help", cwd=tmp_path)
    assert code == 0
    for command in ("demo", "list", "run", "rerun", "report", "verify", "data"):
        assert command in out


def test_a_study_prints_its_figures_and_writes_what_it_found(study, tmp_path):
    code, out, err = call("run", study, "--out", tmp_path / "found", cwd=tmp_path)
    assert code == 0, err
    figures = found(tmp_path / "found")
    assert figures["planted area r"] > 0.9
    assert abs(figures["null area r"]) < 0.5
    assert f"{figures['planted area r']:.3f}" in out and "published 0.900 ± 0.200: reached" in out
    rows = json.loads((tmp_path / "found" / "figures.json").read_text())
    assert all({"name", "planted", "found", "low", "high"} <= set(row) for row in rows)
    page = (tmp_path / "found" / "report.html").read_text()
    assert "Does the planted signal reach the second area?" in page and 'id="leakage"' in page
    assert str(tmp_path) not in page
    assert (tmp_path / "found" / "scores.csv").read_text().count("\n") > 8


def test_settings_are_listed_with_what_they_mean(study, tmp_path):
    code, out, _ = call("run", study, "--settings", cwd=tmp_path)
    assert code == 0
    assert out.splitlines() == ["n_units = 8          # half of them hear nothing",
                                'name = "main"        # of the result', "share = 0.5"]  # fmt: skip
    assert not list(tmp_path.glob("results*")), "nothing is run"
    assert "permutations" in call("run", "objects", "--settings", cwd=tmp_path)[1]
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "study.toml").write_text('title = "Bare"\nquestion = "None?"\n')
    assert "has no settings" in call("run", bare, "--settings", cwd=tmp_path)[1]


@pytest.mark.filterwarnings("ignore::neurodecode.exceptions.NeurodecodeWarning")
def test_settings_are_changed_recorded_and_repeated(study, tmp_path):
    words = ("run", study, "--out", tmp_path / "found", "--set", "n_units=4", "--set", "name=two words")
    code, _, err = call(*words, cwd=tmp_path)
    assert code == 0, err
    from neurodecode import studies

    tree = studies.open_result(tmp_path / "found")
    assert tree.attrs["settings"] == {"n_units": 4, "name": "two words", "share": 0.5}
    assert tree.attrs["command"].endswith("--seed 0 --set n_units=4 --set 'name=two words'")
    assert tree["two words"].sizes["unit"] == 4
    page = re.sub("<[^>]*>", "", (tmp_path / "found" / "report.html").read_text())
    assert "--set n_units=4" in page
    code, _, err = call("run", study, "--out", tmp_path / "found", cwd=tmp_path)
    assert code == 1 and "n_units 4 there, 8 now" in err and "share" not in err
    tree.attrs["study"] = str(study)
    studies.write_result(tree, tmp_path / "found")
    code, out, err = call("rerun", tmp_path / "found", cwd=tmp_path)
    assert code == 0 and "2 of 2 figures are the same" in out, err


@pytest.mark.filterwarnings("ignore::neurodecode.exceptions.NeurodecodeWarning")
def test_a_dry_run_makes_small_what_was_not_changed(study, tmp_path):
    from neurodecode import studies

    sizes = {}
    for name, changed in (("usual", None), ("changed", {"n_units": 4})):
        tree = studies.run_study(study, out=tmp_path / name, dry_run=True, settings=changed)
        sizes[name] = tree["main"].sizes["unit"]
    assert sizes == {"usual": 6, "changed": 4}
    assert studies.run_study(study, out=tmp_path / "whole")["main"].sizes["unit"] == 8


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("n_unit=4", "it has n_units=8, name=main, share=0.5"),
        ("n_units", "--set permutations=999"),
        ("=4", "NAME=VALUE"),
        ("n_units=many", "n_units=many of study 'small study' is a text; it must be a whole number"),
        ("n_units=4.5", "is a number; it must be a whole number"),
        ("n_units=true", "true or false"),
        ("name=3", "must be a text, such as its usual main"),
        ("share=[1, 2]", "is a list; it must be a number"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_runs(study, tmp_path, given, expected):
    code, _, err = call("run", study, "--out", tmp_path / "found", "--set", given, cwd=tmp_path)
    assert code == 1 and expected in " ".join(err.split()) and "Traceback" not in err
    assert not (tmp_path / "found").exists()


@pytest.mark.filterwarnings("ignore::neurodecode.exceptions.NeurodecodeWarning")
def test_text_settings_that_look_like_json_come_back_as_text(study, tmp_path):
    from neurodecode import studies

    tree = studies.run_study(study, out=tmp_path / "found", settings={"name": "7", "share": 0.5})
    text = tree.attrs["command"].split("--set ")[1]
    assert studies.parse_setting(shlex.split(text)[0]) == ("name", "7")


def test_report_rerun_and_verify(study, tmp_path):
    first = tmp_path / "first"
    assert call("run", study, "--out", first, cwd=tmp_path)[0] == 0
    page = (first / "report.html").read_text()
    (first / "report.html").unlink()
    assert call("report", first, cwd=tmp_path)[0] == 0
    assert (first / "report.html").read_text() == page, "a report reads the result and computes nothing"
    code, out, _ = call("verify", first, cwd=tmp_path)
    assert code == 0 and "0 problems" in out
    chunk = max((path for path in (first / "result.zarr").rglob("*") if "c" in path.parts and path.is_file()), key=size)
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(bytes(content))
    code, out, _ = call("verify", first, cwd=tmp_path)
    assert code == 1 and "1 problems" in out
    code, _, err = call("report", first, cwd=tmp_path)
    assert code == 1 and "Traceback" not in err


@pytest.mark.filterwarnings("ignore::neurodecode.exceptions.NeurodecodeWarning")
def test_rerun_compares_every_figure(study, tmp_path):
    from neurodecode import studies

    tree = studies.run_study(study, out=tmp_path / "first")
    tree.attrs["study"] = str(study)
    studies.write_result(tree, tmp_path / "first")
    code, out, err = call("rerun", tmp_path / "first", cwd=tmp_path)
    assert code == 0, err
    assert "2 of 2 figures are the same" in out
    tree.attrs["figures"][0]["found"] += 1e-6
    studies.write_result(tree, tmp_path / "first")
    code, out, _ = call("rerun", tmp_path / "first", "--out", tmp_path / "third", cwd=tmp_path)
    assert code == 1 and "DIFFERENT" in out and "1 of 2" in out


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill -9"])
def test_a_stopped_run_continues_where_it_was(study, tmp_path, how):
    reference = tmp_path / "reference"
    assert call("run", study, "--out", reference, cwd=tmp_path)[0] == 0
    log, folder = tmp_path / "fits", tmp_path / "stopped"
    # It stands still in the fourth of six fits until it is stopped: no busy machine can let it come to the end.
    process = start("run", study, "--out", folder, cwd=tmp_path, FIT_LOG=str(log), STAND_STILL_AT="4")
    while process.poll() is None and not (log.exists() and log.read_text().count("fit") >= 4):
        time.sleep(0.05)
    process.send_signal(how)
    _, err = process.communicate(timeout=300)
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    if how == signal.SIGINT:
        assert "continues" in err and "Traceback" not in err
    assert log.read_text().count("fit") == 4, "it was stopped half way"
    assert call("run", study, "--out", folder, cwd=tmp_path, FIT_LOG=str(log))[0] == 0
    assert log.read_text().count("fit") == 6 + 1, "the block that was interrupted is done again, and no other"
    assert found(folder) == found(reference)


def test_a_folder_of_another_job_is_refused(study, tmp_path):
    assert call("run", study, "--out", tmp_path / "out", cwd=tmp_path)[0] == 0
    code, _, err = call("run", study, "--out", tmp_path / "out", "--seed", "5", cwd=tmp_path)
    assert code == 1 and "seed" in err and "--out" in err
    assert err.count("\n") <= 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "objcts"], "objects"),
        (["run", "objects", "--data", "no such folder"], "no such folder"),
        (["report", "nothing here"], "nothing here"),
        (["verify", "nothing here"], "nothing"),
        (["data", "check", "haxby_2001"], "haxby2001"),
        (["rerun", "nothing here"], "nothing here"),
    ],
)
def test_errors_are_one_paragraph(words, expected, tmp_path):
    code, _, err = call(*words, cwd=tmp_path)
    assert code == 1
    assert expected in err and "Traceback" not in err
    assert len(err) < 700


def test_an_unknown_option_is_a_usage_error(tmp_path):
    code, _, err = call("run", "objects", "--colour", "blue", cwd=tmp_path)
    assert code == 2 and "--colour" in err


def test_debug_shows_the_traceback(tmp_path):
    code, _, err = call("run", "objcts", "--debug", cwd=tmp_path)
    assert code == 1 and "Traceback" in err


def test_missing_files_of_a_data_set_are_named(tmp_path):
    (tmp_path / "object2vec_objects").mkdir()
    code, _, err = call("run", "objects", "--data", tmp_path, cwd=tmp_path)
    assert code == 1 and "fmri_subj001.npz" in err


def test_list_shows_studies_and_data_sets(tmp_path):
    code, out, err = call("list", "--data", tmp_path, cwd=tmp_path)
    assert code == 0, err
    assert "objects" in out and "needs object2vec_objects" in out
    assert "demo" in out and "ready" in out


@pytest.mark.parametrize("where", ["a file", "a file/found"])
def test_a_folder_that_cannot_be_written_is_named_before_anything_runs(study, tmp_path, where, monkeypatch):
    (tmp_path / "a file").write_text("mine")
    monkeypatch.setenv("FIT_LOG", str(tmp_path / "fits"))
    code, _, err = here("run", study, "--out", tmp_path / where)
    assert code == 1 and f"--out: cannot write to the folder {tmp_path / where}: {tmp_path / 'a file'} is a file" in err
    assert (tmp_path / "a file").read_text() == "mine" and not (tmp_path / "fits").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder_is_named(study, tmp_path):
    (tmp_path / "shared").mkdir(mode=0o555)
    code, _, err = here("run", study, "--out", tmp_path / "shared")
    assert code == 1 and "read-only" in err and "--out" in err


@pytest.mark.parametrize("seed", ["-1", "4294967296"])
def test_a_seed_that_not_everything_takes_is_a_usage_error(study, tmp_path, seed):
    from neurodecode import studies

    code, _, err = here("run", study, "--seed", seed, "--out", tmp_path / "out")
    assert code == 2 and "--seed" in err and "than or equal to" in err
    with pytest.raises(ValueError, match=f"seed={seed}: expected a whole number, from 0 to 4294967295"):
        studies.run_study(study, out=tmp_path / "out", seed=int(seed))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [["list"], ["data", "list"], ["data", "check", "haxby2001_slice"]])
def test_a_data_folder_that_is_not_there_is_not_an_empty_one(command, tmp_path):
    code, out, err = here(*command, "--data", tmp_path / "wher")
    assert code == 1 and not out
    assert "wher: there is no such folder" in err


def test_a_folder_without_a_result_is_named(tmp_path, monkeypatch):
    for command in ("report", "rerun"):
        monkeypatch.chdir(tmp_path)
        code, _, err = here(command, ".")
        assert code == 1 and ".: no result is there; expected result.zarr" in err


def test_a_page_is_not_written_over_a_folder(tmp_path, monkeypatch):
    import xarray

    from neurodecode.representation import save

    save(xarray.DataTree(), tmp_path / "found.zarr")
    monkeypatch.chdir(tmp_path)
    code, _, err = here("report", "found.zarr", "--out", ".")
    assert code == 1 and "--out . is a folder; name the page itself, such as report.html" in err


def test_what_a_study_cannot_do_is_said_with_the_settings_it_was_given(study, tmp_path):
    source = (study / "study.py").read_text()
    (study / "study.py").write_text(source.replace("rng = np", "{}[job.settings['name']]\n    rng = np"))
    code, _, err = here("run", study, "--set", "name=mine", "--out", tmp_path / "out")
    assert code == 1 and "KeyError: 'mine'" in err
    assert "The study was run with name=mine in the place of its usual settings." in err
    toml = (study / "study.toml").read_text()
    (study / "study.toml").write_text(toml.replace("[settings]", "[least]\ndraws = 1\n[settings]\ndraws = 99"))
    code, _, err = here("run", study, "--set", "draws=0", "--out", tmp_path / "out")
    assert code == 1 and "draws=0 of study 'small study': expected 1 or more, such as its usual 99" in err


def test_two_runs_into_one_folder_at_once_do_the_same(study, tmp_path):
    both = [start("run", study, "--out", "found", cwd=tmp_path, FIT_SECONDS="0.2") for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    assert found(tmp_path / "found")["planted area r"] > 0.9
    code, out, _ = here("verify", tmp_path / "found")
    assert code == 0 and "1 checked, 0 problems" in out


def test_a_disk_that_fills_up_leaves_nothing_half_written(study, tmp_path):
    """A limit on the size of a file stands for the disk: the page is the largest file that a run writes."""
    resource = pytest.importorskip("resource")

    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    code, _, err = call("run", study, "--out", "found", cwd=tmp_path, before=little_room)
    assert code == 1 and "cannot write" in err and "report.html" in err and "Traceback" not in err
    assert not (tmp_path / "found" / "report.html").exists()
    assert not [path for path in (tmp_path / "found").iterdir() if path.name.startswith(".")]
    code, _, err = call("run", study, "--out", "found", cwd=tmp_path, FIT_LOG=str(tmp_path / "fits"))
    assert code == 0 and (tmp_path / "found" / "report.html").stat().st_size > 20_000
    assert not (tmp_path / "fits").exists(), "finished pieces are not fitted again"
