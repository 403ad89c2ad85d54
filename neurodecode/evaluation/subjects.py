"""The same analysis for every subject: here or on a cluster, kept on disk, gone on with after a stop."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import xarray as xr

from .. import __version__
from ..compute.progress import progress
from ..exceptions import IntegrityError
from .distribution import quiet_process, version_notes
from .result import versions
from .resume import BlockStore, describe

log = logging.getLogger("neurodecode")
Found = xr.Dataset | xr.DataArray


def per_subject(
    function: Callable[..., Found],
    subjects: Iterable[str] | Mapping[str, Any],
    *,
    client: Any = None,
    store: str | Path | None = None,
) -> dict[str, Found]:
    """One call per subject, each a piece that runs anywhere, is kept when it is finished, and is never done twice.

    Parameters
    ----------
    function : what is done for one subject. It is given the subject's name, opens the data itself, and returns a
        labelled array or a Dataset, such as the result of ``cross_validate``; the same subject must give the same
        numbers. On a cluster it runs on a worker, which must be able to open the same files.
    subjects : their names; or name -> data, where ``function`` is given the data instead of the name.
    client : a ``dask.distributed`` client; None runs one subject after the other here.
    store : folder for finished subjects; the same call goes on from there. It knows the function by its name and
        code, and the subjects by their names: data that change behind a name are not noticed.

    Returns
    -------
    name -> what the function found, in the order of ``subjects``, ready for ``group``.

    Raises
    ------
    ValueError : no subject, the same one twice, or a name that cannot be a file name.
    TypeError : the function returned something else.
    ResumeError : ``store`` belongs to another function.
    ClusterError : no workers, no scheduler, or workers that died again and again.
    Whatever the function raises, with a note that names the subject; what the others found is kept.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from neurodecode.evaluation import cross_validate, group
    >>> def analysis(subject):
    ...     rng = np.random.default_rng(int(subject[-2:]))
    ...     X = rng.normal(size=(40, 3))
    ...     return cross_validate(LinearRegression(), X, X @ rng.normal(size=(3, 2)), 5, score="r")
    >>> found = per_subject(analysis, [f"sub-{n:02d}" for n in range(1, 6)])
    >>> list(found)[:2], group(found)["mean"].values.round(3).tolist()
    (['sub-01', 'sub-02'], [1.0, 1.0])
    """
    if not callable(function):
        raise TypeError(f"function is a {type(function).__name__}; expected what takes a subject and gives its result")
    given = dict(subjects) if isinstance(subjects, Mapping) else None
    names = _names(subjects)
    values = [given[name] if given is not None else name for name in names]
    keeper = None if store is None else BlockStore(store, _job(function, given))
    found: dict[str, Found] = {}
    if keeper is not None:
        found = {name: stored for name in names if (stored := _load(keeper.folder, name)) is not None}
        if found:
            log.info("%d of %d subjects were finished before", len(found), len(names))
    left = [place for place, name in enumerate(names) if name not in found]
    computed = _computed(function, names, values, left, client, keeper is not None)
    with closing(computed):
        for place, outcome in progress(computed, "subjects", total=len(left)):
            if keeper is not None:
                _save(keeper.folder, names[place], outcome)
            found[names[place]] = outcome
    log.info("%d of %d subjects are finished", len(found), len(names))
    return {name: found[name] for name in names}


def _names(subjects: Iterable[str] | Mapping[str, Any]) -> list[str]:
    if isinstance(subjects, str):
        raise ValueError(f"subjects is the text {subjects!r}; expected a list of names")
    names = list(subjects)
    wrong = [name for name in names if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", name)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no name of a subject; use letters, digits, '-', '_', '.', such as 'sub-01'")
    folded = [name.lower() for name in names]
    twice = sorted({name for name in names if folded.count(name.lower()) > 1})
    if twice or not names:
        raise ValueError(f"{', '.join(twice)} came more than once" if twice else "there is no subject")
    return names


def _job(function: Callable[..., Found], given: dict[str, Any] | None) -> dict[str, Any]:
    code = getattr(function, "__code__", None)
    body = None if code is None else hashlib.sha256(code.co_code + repr(code.co_names).encode()).hexdigest()
    constants = None if code is None else [describe(one) for one in code.co_consts if not hasattr(one, "co_code")]
    return {
        "function": describe(function),
        "code": body,
        "constants": constants,
        "data": None if given is None else {name: describe(value) for name, value in given.items()},
        "version": __version__,
    }


def _computed(
    function: Callable[..., Found], names: list[str], values: list[Any], left: list[int], client: Any, stored: bool
) -> Any:
    words = [f"subject {names[place]!r}" for place in left]
    if client is None or not left:
        for place, word in zip(left, words):
            try:
                outcome = _checked(function(values[place]))
            except Exception as error:
                error.add_note(f"This happened in {word}.")
                raise
            yield place, outcome
        return
    from .remote import Remote

    package = (function, [values[place] for place in left], versions())
    computed = Remote(client, stored=stored).results(run_subject, package, words)
    with closing(computed):
        for number, outcome in computed:
            yield left[number], outcome


def run_subject(package: tuple[Callable[..., Found], list[Any], dict[str, str]], place: int) -> Found:
    """One subject, on a worker."""
    function, values, theirs = package
    told = version_notes(theirs)
    with quiet_process():
        found = _checked(function(values[place]))
    if told:
        found = found.assign_attrs(notes=[*found.attrs.get("notes", []), *told])
    return found


def _checked(found: Any) -> Found:
    if not isinstance(found, (xr.Dataset, xr.DataArray)):
        raise TypeError(f"the function returned a {type(found).__name__}; expected a Dataset or a labelled array")
    return found


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.zarr"


def _load(folder: Path, name: str) -> Found | None:
    """What is stored of a subject; None where nothing is, or where it is damaged."""
    from ..representation import load

    path = _path(folder, name)
    if not path.exists():
        return None
    try:
        return _checked(load(path))
    except (IntegrityError, TypeError, ValueError, KeyError) as error:
        log.warning("subject %s in %s/ is damaged (%s): it is computed again", name, folder.name, error)
        return None


def _save(folder: Path, name: str, found: Found) -> None:
    from ..representation import save

    save(found, _path(folder, name))
