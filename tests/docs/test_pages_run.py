"""Every code block of every page is run or, where it needs a cluster that is not here, read; commands and links too."""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from pathlib import Path

import click
import numpy as np
import pytest
import typer

from neurodecode.exceptions import NeurodecodeWarning

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("*.md", "docs/*.md", "docs/methods/*.md", "docs/howto/*.md", "analyses/*/README.md", "datasets/*/*.md")
PAGES = sorted(page for place in PLACES for page in ROOT.glob(place))
ELSEWHERE = {"README.md": 1, "docs/index.md": 1, "docs/howto/use_your_own_data.md": 4}  # run by test_examples.py
NOT_RUN = ("dask_jobqueue", "dask_kubernetes")


def text_of(page: str | Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def code(page: str | Path, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def run(source: str, space: dict) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NeurodecodeWarning)  # few samples, as befits an example
        exec(source, space)
    return space


def test_every_page_with_code_is_among_the_tests():
    found = {name(page): len(code(page)) for page in PAGES if code(page)}
    known = {**ELSEWHERE, "docs/howto/add_a_method.md": 1, "docs/howto/many_machines.md": 4, "docs/performance.md": 1,
             "docs/howto/resume_a_run.md": 1, "docs/methods/linear.md": 3, "docs/methods/attention.md": 1}  # fmt: skip
    found.pop("docs/catalogue.md")  # row by row, in test_examples.py
    assert {page: n for page, n in found.items() if not page.startswith("datasets/")} == known
    assert {page for page in found if page.startswith("datasets/")} == {f"datasets/{one}/card.md" for one in CARDS}


CARDS = [page.parent.name for page in PAGES if page.name == "card.md" and code(page)]


@pytest.mark.slow
@pytest.mark.parametrize("dataset", CARDS)
def test_cards_of_data_sets(dataset, data_root, monkeypatch):
    from neurodecode.sources.recipes import list_data

    monkeypatch.setenv("NEURODECODE_DATA", str(data_root))
    (source,) = code(f"datasets/{dataset}/card.md")
    ast.parse(source)
    if next(row for row in list_data(data_root) if row["name"] == dataset)["state"] != "complete":
        pytest.skip(f"{dataset} is not on this disk")
    space = run(source, {})
    last = ast.parse(source).body[-1]
    if isinstance(last, ast.Expr):
        assert eval(compile(ast.Expression(last.value), "<card>", "eval"), space) is not None


@pytest.mark.parametrize("number", range(len(code("docs/methods/linear.md"))))
def test_linear_maps(desk, number):
    epochs = desk[0]["epochs"]
    kinds = ("sample", np.tile(["hands", "feet"], len(epochs) // 2))
    found = run(code("docs/methods/linear.md")[number], {**desk[0], "epochs": epochs.assign_coords(category=kinds)})
    assert number == 2 or found["model"].get_params()


def test_a_read_out_of_your_own(desk):
    (source,) = code("docs/methods/attention.md")
    found = run(source, dict(desk[0]))
    np.testing.assert_allclose(found["weights"].sum("token"), 1, atol=1e-5)
    assert found["weights"]["query"].values.tolist() == found["model"].areas_
    shown = desk[0]["places"]
    predicted = found["model"].predict(shown[:, ::-1])
    np.testing.assert_allclose(predicted, found["model"].predict(shown), atol=1e-5)
    assert predicted["roi"].equals(desk[0]["seen_by"]["roi"])


def test_resume_a_run(desk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (source,) = code("docs/howto/resume_a_run.md")
    assert "permutations=1000" in source
    source = source.replace("permutations=1000", "permutations=9")
    first = run(source, dict(desk[0]))["result"]
    again = run(source, dict(desk[0]))["result"]
    assert (tmp_path / "pieces" / "job.json").is_file() and first["p"].identical(again["p"])
    assert again.attrs["pieces"]["resumed"] == again.attrs["pieces"]["total"] > 0


def test_add_a_method(desk):
    from sklearn.base import BaseEstimator
    from sklearn.utils.validation import validate_data

    from neurodecode.representation import Labels, check_same_samples, labelled, plain

    (source,) = code("docs/howto/add_a_method.md")
    given = {"check_same_samples": check_same_samples, "validate_data": validate_data, "plain": plain,
             "labelled": labelled, "Labels": Labels,
             "solve": lambda x, t, alpha: np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T @ t)}  # fmt: skip
    written = run(source, dict(given))
    method = type("Method", (BaseEstimator,), {"fit": written["fit"], "predict": written["predict"], "alpha": 1.0})()
    X, Y = desk[0]["X"], desk[0]["Y"]
    predicted = method.fit(X, Y).predict(X)
    assert predicted["roi"].equals(Y["roi"]) and predicted["stimulus"].values.tolist() == X["stimulus"].values.tolist()


def test_many_machines_subjects(desk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = code("docs/howto/many_machines.md")[1]
    assert "range(1, 65)" in source and "permutations=1000" in source
    people = {f"sub-{number:02d}": one for number, one in enumerate(desk[1]["A group of people"]["people"].values(), 1)}
    space = {**desk[0], "open_one": lambda subject: (people[subject], desk[0]["features"]), "client": None}
    found = run(source.replace("range(1, 65)", "range(1, 6)").replace("permutations=1000", "permutations=9"), space)
    assert set(found["results"]) == set(people) and found["everyone"]["n_subjects"].max() == 5


@pytest.mark.slow
def test_many_machines_on_one(desk, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    source = code("docs/howto/many_machines.md")[0]
    source = source.replace("n_workers=4", "n_workers=1").replace("permutations=1000", "permutations=9")
    assert run(source, dict(desk[0]))["result"]["p"].notnull().any()


def test_clusters_that_are_not_here_are_read_and_said_to_be_untried():
    page = text_of("docs/howto/many_machines.md")
    for source, package in zip(code("docs/howto/many_machines.md")[2:], NOT_RUN):
        assert package in source
        ast.parse(source)
        section = next(part for part in page.split("\n## ") if source in part)
        assert re.search(r"not\s+run", section), "what was not run is said to be so"


@pytest.mark.slow
def test_performance_of_a_routed_encoder(monkeypatch, capsys):
    (source,) = code("docs/performance.md")
    assert "scenes(1200" in source
    source = source.replace("scenes(1200", "scenes(60").replace("study.settings", "{**study.settings, 'epochs': 1}")
    run(source, {})
    assert len(capsys.readouterr().out.split()) == 2


def commands() -> list[tuple[str, str]]:
    """(page, command) of every ``neurodecode ...`` line in a block and in code font."""
    found = []
    for page in PAGES:
        text = text_of(page)
        blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        lines = [line for language, block in blocks if language in ("", "bash") for line in block.splitlines()]
        lines += re.findall(r"^    (neurodecode .*)$", text, re.MULTILINE)
        lines += re.findall(r"`(neurodecode [a-z][^`]*)`", text)
        found += [(name(page), line.partition("#")[0].strip()) for line in lines if line.startswith("neurodecode ")]
    return sorted(set(found))


@pytest.mark.parametrize(("page", "command"), commands())
def test_commands_are_those_of_the_command_line(page, command, tmp_path, monkeypatch):
    from neurodecode import cli, studies
    from neurodecode.sources.recipes import list_data

    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)[1:]
    open_ended = words[-1] == "..." or len(words) == 1
    words = [word for word in words if word != "..."]
    group: click.Command = typer.main.get_command(cli.app)
    context, called = click.Context(group, info_name="neurodecode"), "neurodecode"
    while isinstance(group, click.Group) and words:
        called, group, words = group.resolve_command(context, words)
        context = click.Context(group, info_name=called, parent=context)
    if open_ended and not words:
        return
    options = group.make_context(called, ["0" if word == "N" else word for word in words], parent=context.parent).params
    if "study" in options and options["study"].isidentifier() and options["study"].islower():
        study = studies.find_study(options["study"])
        studies._checked_settings(study, dict(studies.parse_setting(one) for one in options["setting"] or ()))
    if options.get("name", "").islower():
        assert options["name"] in {row["name"] for row in list_data(None)}


def test_commands_were_found():
    assert len(commands()) > 20
    assert ("docs/howto/resume_a_run.md", "neurodecode verify results/objects") in commands()


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9]+", "-", heading.replace("`", "").lower()).strip("-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text_of(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        there = (page.parent / target).resolve() if target else page
        if there.suffix == ".html":
            there = there.with_suffix(".py")  # a tutorial is a script
        assert there.exists(), f"{target} is not there"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{target}#{anchor}: no such section"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_in_code_font_exist(page):
    files = r"`((?:tests|docs|analyses|datasets|neurodecode)/[\w./-]+\.(?:py|md|toml|svg|png))(?:::\w+)?`"
    for path in re.findall(files, text_of(page)):
        assert (ROOT / path).exists() or "_build" in path, f"{path} is not there"


def test_the_readme_names_every_study_and_every_room():
    from neurodecode import studies

    text = text_of("README.md")
    said = set(re.findall(r"`neurodecode run (\w+)`", text))
    assert said == set(studies.studies()) - {"demo"}
    rooms = {init.parent.name for init in (ROOT / "neurodecode").glob("*/__init__.py")} - {"compute"}
    exist = re.search(r"Rooms that exist: (.*?)\.\s", text, re.DOTALL).group(1)
    missing = re.search(r"\.\s+([A-Z][\w, \n]+) are not here yet", text).group(1)
    assert {room for room in rooms if room in exist} == rooms
    for room in re.findall(r"[a-z]+", missing.lower()):
        assert not (ROOT / "neurodecode" / room).exists(), f"{room} is here"


def test_the_first_page_leads_to_every_other():
    text = text_of("docs/index.md")
    for page in (*ROOT.glob("docs/tutorials/*.py"), *ROOT.glob("docs/methods/*.md"), *ROOT.glob("docs/howto/*.md")):
        link = page.relative_to(ROOT / "docs").with_suffix(".html" if page.suffix == ".py" else ".md").as_posix()
        assert f"({link})" in text, f"{link} is not linked"


def test_targets_of_make_exist():
    made = set(re.findall(r"^(\w+):", text_of("Makefile"), re.MULTILINE))
    for page in PAGES:
        for target in re.findall(r"(?:^|`)make (\w+)(?=[`\s])", text_of(page), re.MULTILINE):
            assert target in made, f"{name(page)}: make {target}"
