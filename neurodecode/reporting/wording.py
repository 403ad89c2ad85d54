"""How numbers, names and paths are said: the same on every plot, table and page."""

from __future__ import annotations

import getpass
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

# name of a score -> (words on an axis, short form in a sentence, value when nothing is predicted)
SCORES: dict[str, tuple[str, str, float | None]] = {
    "r": ("Pearson r", "r", 0.0),
    "r2": ("R²", "R²", 0.0),
    "explained_variance": ("explained variance", "explained variance", 0.0),
    "accuracy": ("accuracy", "accuracy", None),
    "balanced_accuracy": ("balanced accuracy", "balanced accuracy", None),
    "auc": ("area under the ROC curve", "AUC", 0.5),
    "identification": ("two-way identification", "identification", 0.5),
}
# The values that a score can take; intervals end there.
BOUNDS = {
    "r": (-1.0, 1.0),
    "r2": (-np.inf, 1.0),
    "explained_variance": (-np.inf, 1.0),
    **dict.fromkeys(("accuracy", "balanced_accuracy", "auc", "identification", "top1", "top5"), (0.0, 1.0)),
}
UNITS = {
    "fmri": ("voxel", "voxels"),
    "eeg": ("channel", "channels"),
    "meg": ("sensor", "sensors"),
    "calcium": ("neuron", "neurons"),
    "behaviour": ("variable", "variables"),
    "features": ("feature", "features"),
}
# Where an absolute path begins (POSIX, home, drive, share), and how it goes on when no quotes hold it.
_BEGIN = r"(?:file:/*(?=/))?(?:~[\w.-]*/|/(?=[\w.~-])|[A-Za-z]:[\\/]|\\\\)"
_PERSON = r"(?:file:/*(?=/))?(?:[A-Za-z]:)?[\\/]{1,2}(?:home|Users)[\\/]{1,2}[^\\/\n'\"<>|]{1,64}[\\/]"
_QUOTED = re.compile(rf"(?P<quote>['\"])(?P<path>{_BEGIN}[^'\"\n]*)(?P=quote)")
_LOOSE = re.compile(rf"(?<![\w./:}}$\"'<\\])(?P<path>(?:{_PERSON}|{_BEGIN})[^\s'\"<>|;,()\[\]{{}}]*)")
_ROOTS = {"data", "home", "media", "mnt", "opt", "private", "project", "root", "scratch", "srv", "tmp", "usr", "Users"}
_ROOTS |= {"dev", "etc", "proj", "var", "Volumes", "work"}


def number(value: float | None, digits: int = 2) -> str:
    """A score to two decimals; a missing one says so; minus zero is zero.

    Examples
    --------
    >>> number(0.4567), number(-0.001), number(None), number(float("nan"))
    ('0.46', '0.00', 'n/a', 'n/a')
    """
    if value is None or not math.isfinite(value):
        return "n/a"
    text = f"{value:.{digits}f}"
    return text[1:] if float(text) == 0 and text.startswith("-") else text


def quantity(value: float | None, beside: Iterable[Any] = ()) -> str:
    """A figure of any size: two decimals where there are units to show, more for small ones, commas for large.

    A count has none: a whole number from 10 on, a smaller one from 2 on where all that stands ``beside`` it is whole.

    Examples
    --------
    >>> quantity(0.454), quantity(1870.0), quantity(0.00213), quantity(12345.6)
    ('0.45', '1,870', '0.0021', '12,346')
    >>> quantity(6.0, [6.0, 6.0]), quantity(4.0, [4.2]), quantity(4.0), quantity(0.025)
    ('6', '4.00', '4.00', '0.025')
    """
    if value is None or not math.isfinite(value):
        return "n/a"
    size = abs(value)
    known = [other for other in beside if other is not None and math.isfinite(other)]
    whole = bool(known) and all(float(other).is_integer() for other in known)
    if size >= 1000 or (size >= (2 if whole else 10) and float(value).is_integer()):
        return f"{value:,.0f}"
    if 0 < size < 0.1:
        return f"{value:.2g}"
    return number(value)


def p_text(p: float | None) -> str:
    """A p value as it stands in a sentence.

    Examples
    --------
    >>> p_text(0.0132), p_text(0.0004), p_text(1.0), p_text(None)
    ('p = .013', 'p < .001', 'p = 1.000', 'p n/a')
    """
    short = p_short(p)
    if short == "n/a":
        return "p n/a"
    return f"p {short}" if short.startswith("<") else f"p = {short}"


def p_short(p: float | None) -> str:
    """A p value as it stands in a column headed p.

    Examples
    --------
    >>> p_short(0.0132), p_short(0.0004)
    ('.013', '< .001')
    """
    if p is None or not math.isfinite(p):
        return "n/a"
    if p < 0.001:
        return "< .001"
    text = f"{p:.3f}"
    return text[1:] if text.startswith("0") else text


def typeset(words: str) -> str:
    """A sentence with numbers as pages print them: minus signs before digits, p without a zero in front.

    Examples
    --------
    >>> typeset("r = -0.12 (p = 0.025), 1-2, x, y = -26, 13; p = 0.0004")
    'r = −0.12 (p = .025), 1-2, x, y = −26, 13; p < .001'
    """
    words = re.sub(r"\bp = (0?\.\d+)", lambda found: p_text(float(found[1])), words)
    return re.sub(r"(?<![\w.)])-(?=\.?\d)", "−", words)


def count(n: int, one: str, many: str | None = None) -> str:
    """A count with its unit.

    Examples
    --------
    >>> count(1, "voxel"), count(1870, "voxel"), count(2, "category", "categories")
    ('1 voxel', '1,870 voxels', '2 categories')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def score_label(score: str, *, of: str | None = None) -> str:
    """Words for an axis: what the score is, and what it is a mean over.

    Examples
    --------
    >>> score_label("r", of="voxels")
    'Pearson r, mean over voxels'
    """
    words = SCORES.get(score, (score.replace("_", " "), score, None))[0]
    return f"{words}, mean over {of}" if of else words


def article(word: str) -> str:
    """A noun with its article.

    Examples
    --------
    >>> article("area"), article("layer")
    ('an area', 'a layer')
    """
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def headed(words: str) -> str:
    """Words as the beginning of a sentence; a symbol of one letter keeps its case, as do names like pSTS and sub1.

    Examples
    --------
    >>> headed("accuracy"), headed("r"), headed("pSTS weighted"), headed("sub1, across runs")
    ('Accuracy', 'r', 'pSTS weighted', 'sub1, across runs')
    """
    named = len(words) == 1 or words[1:2].isupper() or re.match(r"\S*[\d_]", words)
    return words if named else words[:1].upper() + words[1:]


def listed(words: list[str], most: int = 6) -> str:
    """Words in a sentence; what does not fit is counted.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(["a", "b", "c"], most=2)
    ('a, b and c', 'a, b and 1 more')
    """
    if len(words) > most:
        return ", ".join(words[:most]) + f" and {len(words) - most} more"
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def shortened(text: str, most: int) -> str:
    """A label cut to ``most`` letters, with an ellipsis where something is missing.

    Examples
    --------
    >>> shortened("left inferior temporal gyrus", 12)
    'left inferi…'
    """
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def told_apart(names: Iterable[Any], most: int) -> list[str]:
    """Labels of at most ``most`` letters; those that would read the same are cut where they do not differ.

    Examples
    --------
    >>> told_apart(["left inferior temporal gyrus", "V1"], 12)
    ['left inferi…', 'V1']
    >>> told_apart(["superior temporal sulcus 1", "superior temporal sulcus 2"], 12)
    ['superior t…1', 'superior t…2']
    """
    whole = list(dict.fromkeys(map(str, names := list(names))))
    found = {name: shortened(name, most) for name in whole}
    for _ in range(4):  # a longer part in common may be found once names with another part are met
        groups: dict[str, list[str]] = {}
        for name in whole:
            groups.setdefault(found[name], []).append(name)
        for group in (group for group in groups.values() if len(group) > 1):
            differs = (at for at, letters in enumerate(zip(*group)) if len(set(letters)) > 1)
            same = next(differs, min(map(len, group)))
            for name in group:
                rest = shortened(name[same:].strip(), max(1, 2 * most // 3))
                found[name] = f"{name[:same][: most - 1 - len(rest)].rstrip()}…{rest}"
    return [found[str(name)] for name in names]


def scrub(text: str) -> str:
    """Text without absolute paths and without the name of whoever runs this: of a path its last part stays.

    Addresses of the web stay as they are.

    Examples
    --------
    >>> scrub("read /home/alice smith/study/bold.nii.gz and https://osf.io/abc/x")
    'read bold.nii.gz and https://osf.io/abc/x'
    >>> scrub(r"PosixPath('/mnt/disk one/a b.csv'), C:\\\\Users\\\\bob\\\\labels.csv, r = .4/.5, n/a")
    "PosixPath('a b.csv'), labels.csv, r = .4/.5, n/a"
    """
    whole = text.strip()
    if "\n" not in whole and re.match(_BEGIN, whole) and not re.search(r"\s[-/~\"']", whole):
        return _last(whole)
    text = _QUOTED.sub(lambda found: found["quote"] + _last(found["path"]) + found["quote"], text)
    return _without_user(_LOOSE.sub(lambda found: _last(found["path"]), text))


def _last(path: str) -> str:
    """The last part of a path; nothing of it where that would be a person's folder."""
    parts = [part for part in re.split(r"[\\/]+", path.removeprefix("file:")) if part]
    if not parts:
        return path
    if re.fullmatch(r"[A-Za-z]:|~[\w.-]*", parts[0]):
        parts = parts[1:] if len(parts) > 1 else ["…"]
    elif len(parts) == 1 and parts[0] not in _ROOTS:
        return path
    return "…" if len(parts) == 2 and parts[0] in ("home", "Users") else parts[-1]


def _without_user(text: str) -> str:
    """Folders named after the person at the keyboard are left out, wherever they stand in a path."""
    for name in {Path.home().name, _user()} - {"", "root"}:
        text = re.sub(rf"(?<=[\\/]){re.escape(name)}(?=[\\/]|$)", "…", text)
    return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def plain_text(value: Any) -> str:
    """Any value of attrs as text that can be shown: paths scrubbed, lists joined, nothing invented."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain_text(part)}" for key, part in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(plain_text(part) for part in value) or "none"
    return scrub(str(value))
