"""What must lie in the folder of a data set, and what does: files, patterns with counts, arrays with shapes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from .headers import array_header
from .transfer import sha256_of

MANY = 20  # files of one folder that are all in order are shown as one row


@dataclass(frozen=True)
class File:
    """One file of a data set: path below its folder, bytes, checksum, and addresses where there are any."""

    path: str
    size: int | None = None
    sha256: str | None = None
    urls: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Layout:
    """How many files match a pattern; ``{member}`` in it stands for each name in ``counts`` (subjects, say)."""

    what: str
    glob: str
    count: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    optional: bool = False


@dataclass(frozen=True)
class Array:
    """An array in a file (``-1`` in ``shape``: any length); a pattern in ``file`` means each file that matches."""

    file: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    key: str | None = None
    dtype: str | None = None
    units: str | None = None


@dataclass(frozen=True)
class Finding:
    """One line of a check: what was looked at and how it is.

    ``state`` is ``ok``, ``missing``, ``wrong size``, ``wrong sha256``, ``wrong count``,
    ``wrong shape`` or ``unreadable``; ``member`` is the subject it belongs to; findings of one
    ``group`` can be told in one line.
    """

    path: str
    state: str
    detail: str = ""
    member: str | None = None
    optional: bool = False
    group: str = ""

    @property
    def wrong(self) -> bool:
        """Whether this speaks against using the data (an absent optional file does not)."""
        return self.state != "ok" and not (self.optional and self.state == "missing")


def check_file(folder: Path, file: File, seen: Mapping[str, str], deep: bool) -> Finding:
    """One file against its size and, when ``deep``, its checksum (of the recipe, or of the first download)."""
    path = folder / file.path
    group = PurePosixPath(file.path).parent.as_posix()

    def found(state: str, detail: str = "") -> Finding:
        return Finding(file.path, state, detail, optional=file.optional, group=f"{group}/")

    if not path.is_file():
        return found("missing")
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return found("wrong size", f"expected {file.size} bytes, found {size}")
    expected = file.sha256 or seen.get(file.path)
    if deep and expected:
        digest = sha256_of(path)
        if digest != expected:
            return found("wrong sha256", f"expected {expected}, found {digest}")
    if not expected:
        return found("ok", "no checksum is known")
    return found("ok", "size and sha256 as in the recipe" if deep else "size as in the recipe")


def check_layout(folder: Path, pattern: Layout) -> list[Finding]:
    """How many files match a pattern, for each member."""
    found = []
    for member, count in _members(pattern).items():
        glob = pattern.glob.replace("{member}", member)
        number = sum(1 for _ in folder.glob(glob)) if folder.is_dir() else 0
        state = "ok" if number == count or (count is None and number) else "wrong count" if number else "missing"
        detail = f"{pattern.what}: {number}" + (f" of {count}" if count is not None else "")
        found.append(Finding(glob, state, detail, member or None, pattern.optional, pattern.glob))
    return found


def _members(pattern: Layout) -> dict[str, int | None]:
    return {**pattern.counts} if pattern.counts else {"": pattern.count}


def check_array(folder: Path, array: Array) -> list[Finding]:
    """Shape and type of an array in every file that matches."""
    found = []
    for path in sorted(folder.glob(array.file)) if folder.is_dir() else []:
        name = path.relative_to(folder).as_posix() + (f"[{array.key}]" if array.key else "")
        try:
            shape, dtype = array_header(path, array.key)
        except (OSError, ValueError) as error:
            found.append(Finding(name, "unreadable", str(error), group=name))
            continue
        fits = len(shape) == len(array.shape) and all(want in (-1, have) for want, have in zip(array.shape, shape))
        fits = fits and array.dtype in (None, dtype)
        expected = f"{_sized(array.dims, array.shape)} {array.dtype or ''}".strip()
        detail = expected if fits else f"expected {expected}, found {shape} {dtype}"
        found.append(Finding(name, "ok" if fits else "wrong shape", detail, group=name))
    return found


def _sized(dims: Iterable[str], shape: Iterable[int]) -> str:
    return " x ".join(name if n < 0 else f"{n} {name}" for name, n in zip(dims, shape))


def rows_of(findings: list[Finding]) -> list[dict[str, Any]]:
    """Findings as rows ``name, state, detail``; a full folder, or a pattern that nobody has, is one row.

    What is not there and need not be has the state ``optional``.
    """
    groups: dict[str, list[Finding]] = {}
    for one in findings:
        groups.setdefault(one.group, []).append(one)
    rows = []
    for group, members in groups.items():
        states = {one.state for one in members}
        if states == {"ok"} and len(members) > MANY:
            rows.append({"name": group, "state": "ok", "detail": f"{len(members)} files, {members[0].detail}"})
        elif states == {"missing"} and len(members) > 1 and all(one.member for one in members):
            what = members[0].detail.split(":")[0]
            optional = members[0].optional
            detail = f"{what}: of none of {len(members)} subjects"
            rows.append({"name": group, "state": "optional" if optional else "missing", "detail": detail})
        else:
            rows += [
                {"name": one.path, "state": "optional" if _not_needed(one) else one.state, "detail": _detail(one)}
                for one in members
            ]
    return rows


def _not_needed(one: Finding) -> bool:
    return one.optional and one.state == "missing"


def _detail(one: Finding) -> str:
    return "not there" if _not_needed(one) else one.detail


def read_file(row: Mapping[str, Any]) -> File:
    """One ``[[file]]`` table of a recipe."""
    file = File(**{**row, "path": inside(row["path"]), "urls": tuple(row.get("urls", ()))})
    if file.urls and not file.sha256:
        raise ValueError(f"{file.path} has an address but no sha256; what is fetched must be verified")
    return file


def read_manifest(path: Path) -> list[File]:
    """Files listed one per line: sha256, bytes, path."""
    rows = [line.split(maxsplit=2) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [File(path=inside(name), size=int(size), sha256=digest) for digest, size, name in rows]


def read_array(row: Mapping[str, Any]) -> Array:
    """One ``[[array]]`` table of a recipe."""
    array = Array(**{**row, "dims": tuple(row["dims"]), "shape": tuple(row["shape"])})
    if len(array.dims) != len(array.shape):
        raise ValueError(f"array in {array.file}: {len(array.dims)} dims for {len(array.shape)} sizes")
    return array


def inside(path: str) -> str:
    """The path, when it stays in the data folder; ``ValueError`` when not."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path:
        raise ValueError(f"{path!r} leads out of the data folder; paths are relative, with forward slashes")
    return path


def read_json(path: Path) -> dict[str, str]:
    """A JSON object, empty when there is none that can be read."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
