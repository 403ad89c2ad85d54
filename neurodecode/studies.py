"""Studies: a question, the data it needs, and the composition that answers it.

A study is a folder ``analyses/<name>/`` with three files: ``study.toml`` (title, question, data
set, published figures), ``study.py`` (a function ``run(job)`` that returns an
``xarray.DataTree`` of results) and ``README.md``. This file finds studies, runs them, and writes
what they found: the result, one page, the figures as JSON and the scores as a table.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import logging
import math
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._names import lookup
from ._numbers import whole
from ._shipped_paths import shipped
from .exceptions import IntegrityError, ResumeError

if TYPE_CHECKING:
    import xarray

log = logging.getLogger("neurodecode")

RESULT = "result.zarr"
PAGE = "report.html"
FIGURES = "figures.json"
TABLE = "scores.csv"
MOST_SEED = 2**32 - 1  # of what draws random numbers in NumPy and scikit-learn
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list"}


@dataclass(frozen=True)
class Study:
    """What ``study.toml`` says of a study.

    ``figures`` maps the name of a figure to its published value and tolerance; ``dataset`` is the
    name of a recipe in ``datasets/``, None when the study makes its own data. ``least`` maps a setting to the smallest
    number that the study can do with.
    """

    name: str
    folder: Path
    title: str
    question: str
    dataset: str | None = None
    also: tuple[str, ...] = ()
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    least: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One run of a study: where data come from, where results go, and the seed.

    ``data`` is the folder that holds the data sets (not one of them), None for studies that draw
    their own. ``settings`` are those of ``study.toml`` after overrides.
    """

    study: Study
    data: Path | None
    out: Path
    seed: int = 0
    dry_run: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    def store(self, name: str) -> Path:
        """Folder of finished blocks for ``cross_validate(store=...)``: what makes the run resumable."""
        return self.out / "blocks" / name

    def sizes(self, small: dict[str, Any]) -> dict[str, Any]:
        """The settings; in a dry run with those of ``small`` in the place of what nobody changed.

        Examples
        --------
        >>> job = Job(find_study("demo"), None, Path("out"), dry_run=True, settings={"people": 12, "epochs": 3})
        >>> job.sizes({"people": 5, "epochs": 1})
        {'people': 5, 'epochs': 3}
        """
        usual = self.study.settings
        shrunk = {
            name: value
            for name, value in small.items()
            if name not in self.settings or self.settings[name] == usual.get(name)
        }
        return {**self.settings, **(shrunk if self.dry_run else {})}

    def figure(self, name: str, found: float, **planted: float | None) -> dict[str, Any]:
        """A figure with the published value of ``study.toml`` beside it, where there is one."""
        from .evaluation.result import figure

        return figure(name, found, **planted, **self.study.figures.get(name, {}))


def read_study(folder: str | Path) -> Study:
    """Read ``study.toml`` of one study folder.

    Raises
    ------
    ValueError : the file lacks a title or a question.
    FileNotFoundError : the folder is not a study.

    Examples
    --------
    >>> read_study(find_study("demo").folder) == find_study("demo")
    True
    """
    folder = Path(folder)
    path = folder / "study.toml"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a study: it has no study.toml")
    said = tomllib.loads(path.read_text(encoding="utf-8"))
    missing = [key for key in ("title", "question") if not said.get(key)]
    if missing:
        raise ValueError(f"{folder.name}/study.toml lacks {' and '.join(missing)}")
    figures = {
        row["name"]: {key: row[key] for key in ("published", "tolerance") if key in row}
        for row in said.get("figure", [])
    }
    return Study(
        name=folder.name,
        folder=folder,
        title=said["title"],
        question=said["question"],
        dataset=said.get("dataset") or None,
        also=tuple(said.get("also", ())),
        figures=figures,
        settings=dict(said.get("settings", {})),
        least=dict(said.get("least", {})),
    )


def studies() -> dict[str, Study]:
    """Every study that ships with neurodecode, by name.

    Examples
    --------
    >>> "demo" in studies()
    True
    """
    root = shipped("analyses")
    folders = sorted(path.parent for path in root.glob("*/study.toml"))
    return {folder.name: read_study(folder) for folder in folders}


def find_study(name: str | Path) -> Study:
    """A shipped study by name, or any folder that holds a ``study.toml``.

    Examples
    --------
    >>> find_study("objects").dataset
    'object2vec_objects'
    """
    path = Path(name)
    if (path / "study.toml").is_file():
        return read_study(path.resolve())
    return lookup(studies(), str(name), "study", callables=False)


def run_study(
    name: str | Path,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    dry_run: bool = False,
    settings: dict[str, Any] | None = None,
    scheduler: str | None = None,
) -> xarray.DataTree:
    """Run a study, write its result, page, figures and table into ``out``, and return the result.

    Parameters
    ----------
    name : a shipped study, or a folder with ``study.toml`` and ``study.py``.
    data : folder that holds the data sets; None looks at ``NEURODECODE_DATA`` and its usual places.
    out : folder to write to; ``results/<name>`` when None. A dry run writes to ``<out>/dry-run``.
    seed : every random draw of the study follows from it.
    dry_run : check the data and go through every step at a size that takes seconds.
    settings : overrides of the ``[settings]`` table of ``study.toml``, of the same kind (a number stays a number). They
        stand in the result and in the command that repeats it. A dry run makes small what is not changed here.
    scheduler : address of a ``dask.distributed`` scheduler whose workers do the cross-validations; the numbers are
        those of one machine.

    Returns
    -------
    The result as an ``xarray.DataTree``; ``attrs["figures"]`` lists what was found.

    Raises
    ------
    ValueError : a setting that the study does not have, or of another kind; the message lists those it has. A seed
        that is no whole number from 0 to 2^32 - 1.
    OSError : ``out`` cannot be written to.
    IntegrityError : files of the data set are missing; the message names them.
    ResumeError : ``out`` holds blocks of another job.
    ClusterError : no scheduler answers at that address, or it has no workers.
    """
    from contextlib import nullcontext

    from .evaluation.distribution import on_cluster

    study = find_study(name)
    seed = whole(seed, "seed", most=MOST_SEED)
    chosen = _checked_settings(study, settings or {})
    folder = Path(out) if out is not None else Path("results") / study.name
    folder = folder / "dry-run" if dry_run else folder
    job = Job(study, _data_root(study, data), folder, seed, dry_run, chosen)
    _claim(job)
    module = _load(study)
    try:
        with on_cluster(scheduler, module) if scheduler else nullcontext():
            tree = module.run(job)
    except Exception as error:
        changed = [f"{key}={_as_text(value)}" for key, value in chosen.items() if value != study.settings[key]]
        if changed:
            error.add_note(f"The study was run with {', '.join(changed)} in the place of its usual settings.")
        raise
    tree = _complete(tree, job)
    write_result(tree, folder)
    return tree


def write_result(tree: xarray.DataTree, folder: str | Path) -> None:
    """Write ``result.zarr``, ``report.html``, ``figures.json``, ``scores.csv`` and maps into ``folder``."""
    from .reporting import brains, page, tables
    from .representation import save
    from .representation.store import write_atomic

    folder = Path(folder)
    save(tree, folder / RESULT)
    figures = [_finite(row) for row in tree.attrs.get("figures", [])]
    write_atomic(folder / FIGURES, (json.dumps(figures, indent=1) + "\n").encode())
    tables.to_csv(tree, folder / TABLE)
    for node in tree.children.values():
        if brains.has_geometry(node.to_dataset()):
            name = re.sub(r"[^A-Za-z0-9]+", "-", str(node.name)).strip("-")
            brains.to_nifti(node.to_dataset(), "score", folder / "maps" / f"{name}_score.nii.gz")
    page(tree, folder / PAGE)


def open_result(path: str | Path) -> xarray.DataTree:
    """The result in a folder that a study wrote, or in a saved result itself."""
    import xarray

    from .evaluation.result import check_readable
    from .representation import load

    path = Path(path)
    if (path / RESULT).exists():
        path = path / RESULT
    bare = path.is_dir() and path.suffix != ".zarr" and not (path / "zarr.json").exists()
    if bare or not path.exists():
        raise FileNotFoundError(f"{path}: no result is there; expected {RESULT} or a folder that holds one")
    found = load(path)
    if isinstance(found, xarray.Dataset):
        check_readable(found)
        return xarray.DataTree.from_dict({"/": xarray.Dataset(attrs=dict(found.attrs)), "/result": found})
    if not isinstance(found, xarray.DataTree):
        raise IntegrityError(
            f"{path.name} holds a {type(found).__name__}, not a result; results are Datasets or DataTrees"
        )
    check_readable(found)
    return found


def rerun(result: str | Path, *, data: str | Path | None = None, out: str | Path | None = None) -> list[dict[str, Any]]:
    """Repeat the study that made a result and set every figure beside the stored one.

    Returns a list of ``{"name", "stored", "found", "same"}``; ``same`` is exact equality of the
    two numbers (two missing numbers are the same). Packages that have another version now are logged.
    """
    from .evaluation.result import other_versions

    stored = open_result(result)
    attrs = stored.attrs
    if "study" not in attrs:
        raise ResumeError("this result was not made by a study, so there is no command that repeats it")
    others = other_versions(stored)
    if others:
        said = "; ".join(f"{name} {then}, here {now}" for name, (then, now) in sorted(others.items()))
        log.info("the result was made with %s: figures may differ", said)
    where = Path(out) if out is not None else Path(str(result).rstrip("/")).parent / (Path(result).stem + "-rerun")
    again = run_study(
        attrs["study"],
        data=data,
        out=where,
        seed=int(attrs["seed"]),
        dry_run=bool(attrs.get("dry_run", False)),
        settings=attrs.get("settings") or None,
    )
    found = {row["name"]: row["found"] for row in again.attrs["figures"]}
    return [
        {
            "name": row["name"],
            "stored": row["found"],
            "found": found.get(row["name"]),
            "same": _same(row["found"], found.get(row["name"])),
        }
        for row in attrs["figures"]
    ]


def figure_lines(figures: list[dict[str, Any]]) -> Iterator[str]:
    """The figures of a study as aligned text, one line each, with planted or published beside found.

    Examples
    --------
    >>> print(*figure_lines([{"name": "lag (s)", "found": 4.0, "planted": 4.0, "low": 3.5, "high": 4.5}]), sep="\\n")
    figure   found  expected
    lag (s)  4.000  planted 4.000, interval 3.500 to 4.500: inside
    """
    rows = [(row["name"], _number(row["found"]), _expected(row)) for row in figures]
    width = max([len(name) for name, _, _ in rows] + [len("figure")])
    digits = max([len(found) for _, found, _ in rows] + [len("found")])
    yield f"{'figure':{width}}  {'found':>{digits}}  expected"
    for name, found, expected in rows:
        yield f"{name:{width}}  {found:>{digits}}  {expected}".rstrip()


def _expected(row: dict[str, Any]) -> str:
    found = row.get("found")
    missing = found is None or math.isnan(found)
    if row.get("planted") is not None:
        text = f"planted {_number(row['planted'])}"
        if row.get("low") is None:
            return text
        inside = not missing and row["low"] <= found <= row["high"]
        return f"{text}, interval {_number(row['low'])} to {_number(row['high'])}: {'inside' if inside else 'OUTSIDE'}"
    if row.get("published") is not None:
        text = f"published {_number(row['published'])}"
        if row.get("tolerance") is None:
            return text
        # Published values have two decimals, so the comparison allows for half of the last one.
        reached = not missing and abs(found - row["published"]) <= row["tolerance"] + 1e-9
        return f"{text} ± {_number(row['tolerance'])}: {'reached' if reached else 'NOT REACHED'}"
    return ""


def _number(value: float | None) -> str:
    return "n/a" if value is None or math.isnan(value) else f"{value:.3f}"


def _same(a: float | None, b: float | None) -> bool:
    missing = [value is None or math.isnan(value) for value in (a, b)]
    return all(missing) or (not any(missing) and a == b)


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}


def parse_setting(text: str) -> tuple[str, Any]:
    """``NAME=VALUE`` of the command line: the value is read as JSON, and is the text itself where it is none.

    Raises
    ------
    ValueError : there is no name or no ``=``.

    Examples
    --------
    >>> parse_setting("permutations=999"), parse_setting("layer=layer2"), parse_setting('areas=["V1", "V4"]')
    (('permutations', 999), ('layer', 'layer2'), ('areas', ['V1', 'V4']))
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"--set {text!r} is not NAME=VALUE; write for example --set permutations=999")
    try:
        return name.strip(), json.loads(value)
    except json.JSONDecodeError:
        return name.strip(), value


def setting_lines(study: Study) -> list[str]:
    """The ``[settings]`` of ``study.toml`` as they are written there, comments included.

    Examples
    --------
    >>> any(line.startswith("permutations = ") for line in setting_lines(find_study("demo")))
    True
    """
    lines = (study.folder / "study.toml").read_text(encoding="utf-8").splitlines()
    if not study.settings:
        return []
    start = next(number for number, line in enumerate(lines) if line.strip().startswith("[settings]")) + 1
    end = next((number for number in range(start, len(lines)) if lines[number].startswith("[")), len(lines))
    return [line.rstrip() for line in lines[start:end] if line.strip()]


def _checked_settings(study: Study, given: dict[str, Any]) -> dict[str, Any]:
    """The settings of a study with those that were given in their place, each of its declared kind."""
    unknown = sorted(set(given) - set(study.settings))
    if unknown:
        raise ValueError(
            f"study {study.name!r} has no setting {', '.join(map(repr, unknown))}; it has "
            f"{', '.join(f'{name}={_as_text(value)}' for name, value in sorted(study.settings.items())) or 'none'}"
        )
    for name, value in given.items():
        usual = study.settings[name]
        kinds = (int, float) if isinstance(usual, float) else (type(usual),)
        if not isinstance(value, kinds) or isinstance(value, bool) != isinstance(usual, bool):
            given_kind, kind = (_KINDS.get(type(one), "something else") for one in (value, usual))
            raise ValueError(
                f"setting {name}={_as_text(value)} of study {study.name!r} is {given_kind}; it must be {kind}, "
                f"such as its usual {_as_text(usual)}"
            )
        if name in study.least and value < study.least[name]:
            raise ValueError(
                f"setting {name}={_as_text(value)} of study {study.name!r}: expected {_as_text(study.least[name])} or "
                f"more, such as its usual {_as_text(usual)}"
            )
    return {**study.settings, **given}


def _as_text(value: Any) -> str:
    """A setting as ``--set`` reads it back: bare text, except where that would be read as JSON."""
    if isinstance(value, str) and parse_setting(f"x={value}")[1] == value:
        return value
    return json.dumps(value)


def _data_root(study: Study, data: str | Path | None) -> Path | None:
    """The folder that holds the study's data, checked against the recipes it names."""
    if study.dataset is None:
        return Path(data) if data is not None else None
    from .sources.recipes import default_root, open_recipe

    if data is not None and not Path(data).is_dir():
        raise FileNotFoundError(
            f"--data {data}: there is no such folder. Give the folder that holds {study.dataset}/, "
            "or set NEURODECODE_DATA to it."
        )
    root = Path(data) if data is not None else default_root()
    for name in (study.dataset, *study.also):
        recipe = open_recipe(name, root=root)
        if not recipe.partial:  # of the others the study itself says which members it needs
            recipe.require_files()
    return root


def _load(study: Study) -> Any:
    path = study.folder / "study.py"
    # The folder counts as a package, so that a long study can import its other files: from .planted import ...
    spec = importlib.util.spec_from_file_location(
        f"neurodecode_study_{study.name}", path, submodule_search_locations=[str(study.folder)]
    )
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"study {study.name!r} has no study.py")
    module = importlib.util.module_from_spec(spec)
    for stale in [name for name in sys.modules if name.startswith(f"{spec.name}.")]:
        del sys.modules[stale]
    sys.modules[spec.name] = module
    # No bytecode is left beside the study, in a folder that may be shared or read-only.
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    if not callable(getattr(module, "run", None)):
        raise ValueError(f"{study.name}/study.py defines no function run(job)")
    return module


def _claim(job: Job) -> None:
    """Write down whose folder this is; refuse one that holds another study, seed or settings."""
    from .representation.store import write_atomic

    mine = {"study": job.study.name, "seed": job.seed, "settings": job.settings}
    path = job.out / "job.json"
    claim_folder(job.out)
    # A run that was refused before it began, for want of files or room, has left nothing but its claim.
    begun = path.is_file() and any(one != path for one in job.out.iterdir())
    if begun:
        theirs = json.loads(path.read_text(encoding="utf-8"))
        if theirs != json.loads(json.dumps(mine)):
            before: dict[str, Any] = {**theirs, **theirs.get("settings", {})}
            now: dict[str, Any] = {**mine, **job.settings}
            differ = ", ".join(
                f"{key} {before.get(key)!r} there, {now.get(key)!r} now"
                for key in sorted(before.keys() | now.keys())
                if key != "settings" and before.get(key) != now.get(key)
            )
            raise ResumeError(f"{job.out.name}/ holds another job ({differ}); name another folder with --out")
        log.info("continuing in %s: finished blocks are kept", job.out.name)
    write_atomic(path, json.dumps(mine, indent=1).encode())


def claim_folder(folder: Path) -> None:
    """Make a folder that is to be written to; where that cannot be, say so before anything is computed.

    Raises
    ------
    OSError : it is a file, lies in one, or may not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "it is read-only")
    except OSError as error:
        file = next((one for one in (folder, *folder.parents) if one.is_file()), None)
        why = f"{file} is a file" if file is not None else error.strerror or str(error)
        raise OSError(f"--out: cannot write to the folder {folder}: {why}. Name another one.") from error


def _complete(tree: xarray.DataTree, job: Job) -> xarray.DataTree:
    """Add what every study result says: who made it, with what, and the command that repeats it."""
    study = job.study
    figures = [{**row, **study.figures.get(row["name"], {})} for row in tree.attrs.get("figures", [])]
    if job.dry_run:
        # A dry run is too small to be held against published figures.
        figures = [{k: v for k, v in row.items() if k not in ("published", "tolerance")} for row in figures]
    lost = [name for name in study.figures if name not in {row["name"] for row in figures}]
    if lost and not job.dry_run:
        raise ValueError(f"study {study.name!r} did not report {', '.join(lost)}, which study.toml promises")
    data = ' --data "$NEURODECODE_DATA"' if study.dataset else ""
    chosen = [f"{name}={_as_text(value)}" for name, value in job.settings.items() if value != study.settings[name]]
    verb = "demo" if study.name == "demo" and not chosen else f"run {study.name}"
    command = f"neurodecode {verb}{data} --out results/{study.name} --seed {job.seed}"
    command += "".join(f" --set {shlex.quote(text)}" for text in chosen)
    tree.attrs = {
        "title": study.title,
        "question": study.question,
        **tree.attrs,
        "study": study.name,
        "seed": job.seed,
        "settings": job.settings,
        "dry_run": job.dry_run,
        "command": command + (" --dry-run" if job.dry_run else ""),
        "figures": figures,
    }
    return tree
