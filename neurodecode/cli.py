"""The command line: ``neurodecode demo | list | run | rerun | report | verify | data``.

Errors are one paragraph (``--debug`` shows the traceback); Ctrl-C leaves finished blocks behind
and ends with exit code 130, and the same command continues from them.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from . import __version__

app = typer.Typer(
    name="neurodecode",
    help="Decode brains and networks with the same tools.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Data sets: what is known, what is on disk, fetching and checking.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Data = Annotated[Path | None, typer.Option("--data", help="Folder that holds the data sets. [env: NEURODECODE_DATA]")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Every random draw follows from it.")]


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Errors as one paragraph with exit code 1; Ctrl-C with exit code 130."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        debug = bool(kwargs.get("debug")) or bool(os.environ.get("NEURODECODE_DEBUG"))
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except KeyboardInterrupt:
            print("\nstopped. Finished blocks are kept: the same command continues from them.", file=sys.stderr)
            raise SystemExit(130) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(1) from None
        except (SystemExit, typer.Exit):
            raise
        except Exception as error:
            if debug:
                raise
            text = str(error) or type(error).__name__
            if not type(error).__module__.startswith("neurodecode") and not isinstance(error, OSError | ValueError):
                text = f"{type(error).__name__}: {text} (--debug shows where)"
            text = " ".join([text, *getattr(error, "__notes__", [])])
            print(f"neurodecode: {text}", file=sys.stderr)
            raise SystemExit(1) from None

    return run


def main() -> None:
    """Entry point of the ``neurodecode`` command."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("neurodecode").setLevel(logging.INFO)
    app()


def _version(asked: bool) -> None:
    if asked:
        print(f"neurodecode {__version__}")
        raise typer.Exit()


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Decode brains and networks with the same tools."""


@app.command()
@guarded
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")] = Path("demo"),
    seed: Seed = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Every step at a size that takes seconds.")] = False,
    debug: Debug = False,
) -> None:
    """Draw a world, a network and a person; predict the person from the network; write a page."""
    _run("demo", None, out, seed, dry_run)


@app.command()
@guarded
def run(
    study: Annotated[
        str,
        typer.Argument(metavar="STUDY", help="Name of a study (see `neurodecode list`) or a folder with study.toml."),
    ],
    data: Data = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write to. [default: results/STUDY]")] = None,
    seed: Seed = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the data and run every step in seconds, at small sizes.")
    ] = False,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a setting of the study (JSON or text); repeatable."),
    ] = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="List the settings of the study with their usual values, and stop.")
    ] = False,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="Address of a Dask scheduler whose workers do the work.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Run a study: its figures are printed, its page, result and tables written."""
    from .studies import find_study, parse_setting, setting_lines

    if settings:
        lines = setting_lines(find_study(study))
        print("\n".join(lines) if lines else f"study {study} has no settings")
        return
    _run(study, data, out, seed, dry_run, scheduler, dict(parse_setting(text) for text in setting or ()))


@app.command("list")
@guarded
def list_(data: Data = None, debug: Debug = False) -> None:
    """Studies and data sets, and what of them is on disk."""
    from .sources.recipes import list_data
    from .studies import studies

    _check_folder(data)
    rows = {row["name"]: row for row in list_data(data)}
    print("studies")
    for name, study in studies().items():
        needed = [n for n in (study.dataset, *study.also) if n]
        absent = [n for n in needed if rows.get(n, {}).get("state") != "complete"]
        state = "ready" if not absent else "needs " + ", ".join(absent)
        print(f"  {name:12} {state:28} {study.title}")
    print("data sets")
    _data_lines(rows.values())


@app.command()
@guarded
def rerun(
    result: Annotated[Path, typer.Argument(help="Folder that a study wrote, or its result.zarr.")],
    data: Data = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the repeat. [default: RESULT-rerun]")] = None,
    debug: Debug = False,
) -> None:
    """Repeat the study that made a result and compare every figure with the stored one."""
    from . import studies

    rows = studies.rerun(result, data=data, out=out)
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        same = "same" if row["same"] else "DIFFERENT"
        print(f"{row['name']:{width}}  stored {_show(row['stored'])}  now {_show(row['found'])}  {same}")
    different = sum(not row["same"] for row in rows)
    print(f"{len(rows) - different} of {len(rows)} figures are the same")
    if different:
        raise SystemExit(1)


@app.command()
@guarded
def report(
    result: Annotated[Path, typer.Argument(help="Folder that a study wrote, or a saved result.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The page to write. [default: report.html beside it]")
    ] = None,
    debug: Debug = False,
) -> None:
    """Write the page of a stored result again, without computing anything."""
    from .reporting import page
    from .studies import PAGE, claim_folder, open_result

    tree = open_result(result)
    target = out or (result / PAGE if not result.name.endswith((".zarr", ".nc")) else result.parent / PAGE)
    if target.is_dir():
        raise IsADirectoryError(f"--out {target} is a folder; name the page itself, such as {target / PAGE}")
    claim_folder(target.parent)
    page(tree, target)
    print(f"page: {target}")


@app.command()
@guarded
def verify(
    path: Annotated[Path, typer.Argument(help="A saved array, a result, or a folder that holds some.")],
    debug: Debug = False,
) -> None:
    """Check every checksum below a path; list what is damaged."""
    from .representation.store import verify as verify_store

    if not path.exists():
        raise FileNotFoundError(f"{path}: there is nothing there to verify")
    stores = [path] if path.suffix in (".zarr", ".nc") else sorted(path.rglob("*.zarr"))
    if not stores:
        raise FileNotFoundError(f"{path}: no saved array or result is in there")
    problems = [f"{store.name}: {problem}" for store in stores for problem in verify_store(store)]
    for problem in problems:
        print(problem)
    print(f"{len(stores)} checked, {len(problems)} problems")
    if problems:
        raise SystemExit(1)


@data_app.command("list")
@guarded
def data_list(data: Data = None, debug: Debug = False) -> None:
    """Every data set that neurodecode has a recipe for, and what of it is on disk."""
    from .sources.recipes import list_data

    _check_folder(data)
    _data_lines(list_data(data))


@data_app.command("fetch")
@guarded
def data_fetch(
    name: Annotated[str, typer.Argument(help="Name of a data set.")],
    data: Data = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="I have read the licence that this command shows and accept it.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Download a data set; every file is checked against its sha256."""
    from .sources.recipes import fetch_data

    _data_lines(fetch_data(name, data, accept_licence=accept_licence))


@data_app.command("check")
@guarded
def data_check(
    name: Annotated[str, typer.Argument(help="Name of a data set.")],
    data: Data = None,
    deep: Annotated[bool, typer.Option("--deep", help="Compare the sha256 of every file as well.")] = False,
    debug: Debug = False,
) -> None:
    """Compare what is on disk with what the recipe says."""
    from .sources.recipes import check_data

    _check_folder(data)
    rows = list(check_data(name, data, deep=deep))
    wrong = _data_lines(rows)
    if wrong:
        raise SystemExit(1)


def _run(
    study: str,
    data: Path | None,
    out: Path | None,
    seed: int,
    dry_run: bool,
    scheduler: str | None = None,
    settings: dict[str, Any] | None = None,
) -> None:
    from .studies import FIGURES, PAGE, figure_lines, run_study

    tree = run_study(study, data=data, out=out, seed=seed, dry_run=dry_run, settings=settings, scheduler=scheduler)
    for line in figure_lines(tree.attrs["figures"]):
        print(line)
    if tree.attrs.get("answer"):
        print(f"\n{tree.attrs['answer']}")
    folder = (out if out is not None else Path("results") / tree.attrs["study"]) / ("dry-run" if dry_run else "")
    print(f"\npage:    {folder / PAGE}\nfigures: {folder / FIGURES}")


def _check_folder(data: Path | None) -> None:
    if data is not None and not data.is_dir():
        raise FileNotFoundError(f"--data {data}: there is no such folder; name the one that holds the data sets")


def _data_lines(rows: Iterable[dict[str, Any]]) -> int:
    """Print rows of ``name state detail``; the number that are not as they should be."""
    wrong = 0
    for row in rows:
        wrong += row["state"] not in ("complete", "ok", "optional")
        print(f"  {row['name']:28} {row['state']:12} {row.get('detail', '')}".rstrip())
    return wrong


def _show(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.6g}"


if __name__ == "__main__":
    main()
