"""Recipes: what a data set is, who may use it, where it comes from, and whether the copy on disk is it.

A recipe is a folder ``datasets/<name>/`` with ``recipe.toml`` (files with size and sha256, folders
with counts, arrays with shapes, licence, citation), ``card.md`` (for the reader) and, where reading
takes more than one line, ``prepare.py`` with a function ``load(folder, **options)``.
"""

from __future__ import annotations

import difflib
import json
import logging
import os
import sys
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from .._optional import require
from .._shipped_paths import checkout, shipped
from ..exceptions import DownloadError, IntegrityError
from .fetch import CONSENT, consent, fetch_file, offline
from .inventory import (
    Array,
    File,
    Finding,
    Layout,
    check_array,
    check_file,
    check_layout,
    inside,
    read_array,
    read_file,
    read_json,
    read_manifest,
    rows_of,
)
from .transfer import sha256_of

log = logging.getLogger("neurodecode")

FIRST_SEEN = "checksums_at_download.json"


@dataclass(frozen=True)
class Recipe:
    """A data set that neurodecode knows, bound to the folder that holds data sets.

    Attributes
    ----------
    name, title, kind : what it is called; ``kind`` is fmri, eeg, calcium, pictures, network or dissimilarities.
    card : markdown for the reader.
    licence, licence_text, citation : on what terms, and whom to cite.
    home : the folder of the recipe.
    sources : where the files were taken from (repository, commit, path, what was changed).
    how : ``files`` (fetched from ``urls``), ``nilearn`` (fetched by nilearn) or ``by hand`` (``note`` says how).
    files, layout, arrays : what must lie in ``folder``.
    root : folder that holds data sets; ``subfolder`` is the one in it, ``folder`` both together.
    nilearn : what is fetched through nilearn: ``function`` and its arguments.
    partial : a part of it (one subject) can be used alone.
    """

    name: str
    title: str
    kind: str
    card: str
    citation: str
    licence: str
    licence_text: str
    home: Path
    root: Path
    subfolder: str
    how: str = "files"
    note: str = ""
    sources: tuple[Mapping[str, str], ...] = ()
    files: tuple[File, ...] = ()
    layout: tuple[Layout, ...] = ()
    arrays: tuple[Array, ...] = ()
    nilearn: Mapping[str, Any] = field(default_factory=dict)
    partial: bool = False

    @property
    def folder(self) -> Path:
        """Where the files lie: ``root/<folder>``, or ``root`` itself where it is that very folder."""
        below = self.root / self.subfolder
        if not below.is_dir() and self.root.name == PurePosixPath(self.subfolder).name:
            return self.root
        return below

    def path(self, relative: str) -> Path:
        """A file of the data set; raises ``IntegrityError`` when it is not there."""
        path = self.folder / relative
        if not path.exists():
            raise IntegrityError(f"{self.name}: {relative} is not in {self.folder}. {self.advice()}")
        return path

    def check(self, root: str | Path | None = None, *, deep: bool = False) -> list[Finding]:
        """Compare what is on disk with the recipe.

        Parameters
        ----------
        root : another folder of data sets than the recipe's own.
        deep : also compare the sha256 of every file and the shape of every array.

        Returns
        -------
        One ``Finding`` per file, per pattern (and member) and, when ``deep``, per array.
        """
        if root is not None:
            return replace(self, root=Path(root)).check(deep=deep)
        seen = read_json(self.folder / FIRST_SEEN)
        listed = {file.path for file in self.files}
        later = [File(path, sha256=digest) for path, digest in seen.items() if deep and path not in listed]
        found = [check_file(self.folder, file, seen, deep) for file in (*self.files, *later)]
        for pattern in self.layout:
            found += check_layout(self.folder, pattern)
        if deep:
            for array in self.arrays:
                found += check_array(self.folder, array)
        return found

    def state(self) -> tuple[str, str]:
        """``complete``, ``partial`` or ``absent``, and a line that says what is missing."""
        findings = self.check()
        wrong = [one for one in findings if one.wrong]
        there = [one for one in findings if one.state != "missing"]
        if not wrong:
            return "complete", self.title
        if not there:
            way = "can be fetched" if self.fetchable else "by hand, see its card"
            return "absent", f"{self.title} ({way})"
        first = ", ".join(f"{one.path} {one.state}" for one in wrong[:3])
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return "partial", f"{len(wrong)} of {len(findings)} not as expected: {first}{more}"

    def require_files(self, *members: str) -> None:
        """Raise ``IntegrityError`` that names what is missing or has the wrong size.

        ``members`` restricts the question to some subjects of a data set that can be used in parts.
        """
        wrong = [
            one for one in self.check() if one.wrong and (not members or one.member is None or one.member in members)
        ]
        if wrong:
            named = "; ".join(f"{one.path} is {one.state}{_of(one)}" for one in wrong[:4])
            more = f"; and {len(wrong) - 4} more" if len(wrong) > 4 else ""
            raise IntegrityError(f"{self.name} in {self.folder}: {named}{more}. {self.advice()}")

    def advice(self) -> str:
        """One sentence: how a user comes by the files."""
        if self.how == "by hand":
            return self.note
        if self.fetchable:
            return f"`neurodecode data fetch {self.name}` downloads it."
        place = "point --data or NEURODECODE_DATA to the folder that holds it"
        return f"It has no public address of its own ({self.note or 'see its card'}); {place}."

    @property
    def fetchable(self) -> bool:
        """Whether ``fetch_data`` has somewhere to fetch it from."""
        return self.how == "nilearn" or any(file.urls for file in self.files)

    def load(self, **options: Any) -> dict[str, Any]:
        """Read the data set: name -> representation (or network), by ``prepare.py`` of the recipe.

        Parameters
        ----------
        options : what ``prepare.load`` of this data set takes (its card lists them).

        Raises
        ------
        IntegrityError : files are missing or have another size; the message names them.
        """
        if not self.partial:
            self.require_files()
        path = self.home / "prepare.py"
        if not path.is_file():
            raise ValueError(f"{self.name} has no prepare.py that reads it; its files lie in {self.folder}")
        loaded = dict(_module(path, f"neurodecode_dataset_{self.name}").load(self.folder, **options))
        for part in loaded.values():
            if hasattr(part, "attrs") and hasattr(part, "dims"):
                part.attrs.setdefault("dataset", self.name)
        return loaded


def open_recipe(name_or_path: str | Path, root: str | Path | None = None) -> Recipe:
    """A data set by name, bound to the folder where data sets lie.

    Parameters
    ----------
    name_or_path : name of a shipped recipe, or a folder with a ``recipe.toml`` (its ``prepare.py`` is run by ``load``).
    root : folder that holds data sets; None for ``default_root()``.

    Returns
    -------
    A ``Recipe``: ``.check()`` compares disk and recipe, ``.load()`` reads it.

    Raises
    ------
    ValueError : no such recipe (the message lists them), or a recipe that is not well formed.

    Examples
    --------
    >>> recipe = open_recipe("haxby2001_slice", root="nowhere")
    >>> recipe.licence, recipe.state()[0]
    ('CC BY-SA 3.0', 'absent')
    """
    where = Path(root) if root is not None else default_root()
    path = Path(name_or_path)
    home = path.parent if path.name == "recipe.toml" else path
    if not (home / "recipe.toml").is_file():
        home = shipped("datasets") / str(name_or_path)
        if str(name_or_path) not in recipe_names():
            near = difflib.get_close_matches(str(name_or_path), recipe_names(), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            names = ", ".join(recipe_names()) or "none: this installation has lost its datasets folder"
            raise ValueError(
                f"there is no data set called {str(name_or_path)!r}.{hint} Recipes: {names}. "
                "A folder with a recipe.toml works as well."
            )
    return _read(home, where)


def recipe_names() -> list[str]:
    """Names of the recipes that ship with neurodecode.

    Examples
    --------
    >>> "haxby2001_slice" in recipe_names()
    True
    """
    return sorted(path.parent.name for path in shipped("datasets").glob("*/recipe.toml"))


def default_root() -> Path:
    """The folder that holds data sets when nobody names one.

    ``NEURODECODE_DATA``; else ``shared/data`` beside the checkout or beside the working folder, where
    it is there; else ``data`` in the cache folder (``NEURODECODE_CACHE``, or the user's own).
    """
    named = os.environ.get("NEURODECODE_DATA")
    if named:
        return Path(named)
    home = checkout()
    for parent in ([home.parent] if home else []) + [Path.cwd().parent]:
        if (parent / "shared" / "data").is_dir():
            return parent / "shared" / "data"
    return _cache() / "data"


def list_data(root: str | Path | None = None) -> list[dict[str, Any]]:
    """Every recipe with what of it is on disk: rows of ``name, state, detail, kind, licence``.

    Examples
    --------
    >>> {row["state"] for row in list_data("nowhere")}
    {'absent'}
    """
    rows = []
    for name in recipe_names():
        recipe = open_recipe(name, root)
        state, detail = recipe.state()
        rows.append({"name": name, "state": state, "detail": detail, "kind": recipe.kind, "licence": recipe.licence})
    return rows


def check_data(name: str | Path, root: str | Path | None = None, *, deep: bool = False) -> list[dict[str, Any]]:
    """Rows of ``name, state, detail``: each file of a data set against its recipe; full folders as one row.

    ``deep`` compares every sha256 and the shape of every array as well.
    """
    return rows_of(open_recipe(name, root).check(deep=deep))


def fetch_data(
    name: str | Path, root: str | Path | None = None, *, accept_licence: bool = False, **patience: Any
) -> list[dict[str, Any]]:
    """Download what is missing of a data set and check it.

    Parameters
    ----------
    name, root : as in ``open_recipe``.
    accept_licence : the licence, which the error shows otherwise, has been read and is accepted.
        That is written into ``licence_accepted.json`` beside the data.
    patience : ``retries``, ``stall``, ``pause`` of ``fetch.fetch_file``.

    Returns
    -------
    The rows of ``check_data``.

    Raises
    ------
    DownloadError : licence not accepted, no public address, no network, no space.
    IntegrityError : a server sent something else.
    """
    recipe = open_recipe(name, root)
    findings = recipe.check(deep=True)
    if findings and not any(one.wrong for one in findings):
        return rows_of(findings)
    if not recipe.fetchable:
        raise DownloadError(f"{recipe.name} cannot be fetched. {recipe.advice()}")
    consent(recipe.folder, recipe.name, recipe.licence, recipe.licence_text, accept=accept_licence)
    if recipe.how == "nilearn":
        _through_nilearn(recipe)
    from ..compute.progress import progress

    wanted = [file for file in recipe.files if file.urls]
    for file in progress(wanted, f"fetching {recipe.name} (files)") if wanted else ():
        fetch_file(file.urls, recipe.folder / file.path, str(file.sha256), size=file.size, **patience)
    return rows_of(recipe.check(deep=True))


def _through_nilearn(recipe: Recipe) -> None:
    """Let nilearn fetch it, then write the checksums down: nobody vouches for them, but a later change is seen."""
    if offline():
        raise DownloadError(f"{recipe.name}: NEURODECODE_OFFLINE allows only what is in {recipe.folder}")
    datasets = require("nilearn.datasets", purpose=f"fetching {recipe.name}")
    arguments = {key: value for key, value in recipe.nilearn.items() if key != "function"}
    log.info("fetching %s with nilearn.datasets.%s", recipe.name, recipe.nilearn["function"])
    try:
        getattr(datasets, recipe.nilearn["function"])(data_dir=str(recipe.folder.parent), verbose=0, **arguments)
    except (OSError, RuntimeError) as error:  # requests and urllib errors are OSErrors
        raise DownloadError(
            f"{recipe.name} could not be fetched by nilearn: {error}. Repeat when the network is back."
        ) from error
    from ..representation.store import write_atomic

    files = sorted(
        path for path in recipe.folder.rglob("*") if path.is_file() and path.name not in (FIRST_SEEN, CONSENT)
    )
    sums = {path.relative_to(recipe.folder).as_posix(): sha256_of(path) for path in files}
    write_atomic(recipe.folder / FIRST_SEEN, (json.dumps(sums, indent=1) + "\n").encode())


def _of(one: Finding) -> str:
    return f" ({one.detail})" if one.detail and one.state != "missing" else ""


def _read(home: Path, root: Path) -> Recipe:
    """Parse ``recipe.toml``; every slip in it is named."""
    try:
        said = tomllib.loads((home / "recipe.toml").read_text(encoding="utf-8"))
        files = [read_file(row) for row in said.pop("file", [])]
        manifest = said.pop("manifest", None)
        if manifest:
            files += read_manifest(home / manifest)
        card = home / "card.md"
        return Recipe(
            name=home.name,
            home=home,
            root=root,
            card=card.read_text(encoding="utf-8") if card.is_file() else "",
            subfolder=inside(said.pop("folder", home.name)),
            files=tuple(files),
            layout=tuple(Layout(**{**row, "glob": inside(row["glob"])}) for row in said.pop("layout", [])),
            arrays=tuple(read_array(row) for row in said.pop("array", [])),
            sources=tuple(said.pop("source", [])),
            **{key: _one_of(key, value) for key, value in said.items()},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{home.name}/recipe.toml is not well formed: {error}") from error


def _one_of(key: str, value: Any) -> Any:
    choices = {
        "how": ("files", "nilearn", "by hand"),
        "kind": ("fmri", "eeg", "calcium", "pictures", "network", "dissimilarities"),
    }
    if key in choices and value not in choices[key]:
        raise ValueError(f"{key} = {value!r}; choose one of {', '.join(choices[key])}")
    return value


def _module(path: Path, name: str) -> Any:
    """Run ``prepare.py``; no bytecode is left beside it, in a folder that may be shared or read-only."""
    module = types.ModuleType(name)
    module.__file__ = str(path)
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    return module


def _cache() -> Path:
    """The user's cache folder for neurodecode, by the habits of the system."""
    named = os.environ.get("NEURODECODE_CACHE")
    if named:
        return Path(named)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "neurodecode"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "neurodecode" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neurodecode"
