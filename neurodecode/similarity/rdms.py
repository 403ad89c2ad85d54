"""What a dissimilarity matrix is: labelled by stimulus on both axes, checked, and met with others by label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from .._names import lookup
from ..exceptions import AlignmentError, DegenerateDataError
from ..representation.arrange import JOINS
from ..representation.labels import check_same_content, describe_missing
from ..representation.schema import coordinate, identity, json_ready
from ..representation.values import promoted

PAIR = ("stimulus", "stimulus_other")
MISSING = {"raise": "raise", "keep": "keep"}


def as_rdm(
    values: Any,
    *,
    stimulus: Any,
    subject: Any = None,
    attrs: Mapping[str, Any] | None = None,
    coords: Mapping[str, Any] | None = None,
    dims: Sequence[str] | None = None,
    missing: str = "raise",
) -> xr.DataArray:
    """Label dissimilarities by stimulus on both axes.

    Parameters
    ----------
    values : (n, n) or (subjects, n, n) symmetric with a zero (or NaN) diagonal; or upper triangles, row after row,
        (pairs,) or (subjects, pairs) with pairs = n (n - 1) / 2.
    stimulus : (n,) label of each stimulus; text, or integers that become text. Every label once.
    subject : (subjects,) who each matrix is of; counted from 0 when not given.
    attrs : anything JSON can hold; ``metric`` says which dissimilarity it is.
    coords : other coordinates of the stimuli: name to (n,) array (``category`` ...). ``sha256``, the hash of the
        stimulus itself, is compared wherever two matrices meet. The name of a dimension in ``dims`` labels that one.
    dims : names of the dimensions in front of the two of stimuli; ``("subject",)`` when not given.
    missing : ``"raise"``, or ``"keep"``: a pair that was not measured is NaN, and is left out, on both sides, of
        every comparison.

    Returns
    -------
    DataArray, float64, dims ``[subject,] stimulus, stimulus_other`` with the labels in coordinates of these names.
    These are no indexes, so that xarray never aligns two matrices by itself: ``match_rdms`` does, by label.

    Raises
    ------
    AlignmentError : labels that do not fit the values, or are not those that the values carry themselves (a labelled
        matrix, a table of pandas), or a label that occurs twice (average the repeats first).
    DegenerateDataError : fewer than two stimuli, a matrix that is not symmetric, a diagonal that is not zero, or values
        that are not finite; the pair is named.

    Source: Kriegeskorte, Mur and Bandettini 2008, Frontiers in Systems Neuroscience 2.

    Examples
    --------
    >>> R = as_rdm([[0, 1, 2], [1, 0, 3], [2, 3, 0]], stimulus=["cat", "dog", "car"], attrs={"metric": "euclidean"})
    >>> R.dims, upper(R).tolist()
    (('stimulus', 'stimulus_other'), [1.0, 2.0, 3.0])
    >>> bool((as_rdm([1, 2, 3], stimulus=["cat", "dog", "car"]) == R).all())
    True
    """
    lookup(MISSING, missing, "missing", callables=False)
    data = np.array(promoted(values)[0], dtype=np.float64)
    labels = identity(stimulus, len(np.atleast_1d(stimulus)))
    _check_own_labels(values, labels)
    data = _matrices(data, len(labels))
    front = tuple(dims) if dims is not None else ("subject",) * (data.ndim - 2)
    if subject is not None and np.ndim(subject) == 0 and data.ndim == 2:
        data, front = data[None], front or ("subject",)
    _check_front(front, data.ndim - 2)
    if subject is not None and "subject" not in front:
        raise AlignmentError(
            f"subject= is given, but values have shape {np.shape(values)}: one matrix for each is due."
        )
    given: dict[str, tuple[str, np.ndarray]] = {}
    if "subject" in front:
        size = data.shape[front.index("subject")]
        given["subject"] = (
            "subject",
            identity(np.arange(size) if subject is None else np.atleast_1d(subject), size, "subject"),
        )
        _check_once(given["subject"][1], "subject")
    for name, entry in (coords or {}).items():
        if name in (*PAIR, "subject"):
            raise AlignmentError(f"coords names {name!r}, which has an argument of its own.")
        on = name if name in front else "stimulus"
        size = data.shape[front.index(name)] if name in front else len(labels)
        given[name] = (on, coordinate(entry, size, name, on))
    R = build(_tidied(data, labels, missing), labels, front, given, json_ready(dict(attrs or {}), "attrs"))
    return check_rdm(R, missing=missing)


def build(
    values: np.ndarray,
    labels: np.ndarray,
    front: Sequence[str] = (),
    coords: Mapping[str, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """The labelled array from checked values; nothing is looked at."""
    said = {"stimulus": ("stimulus", labels), "stimulus_other": ("stimulus_other", labels.copy()), **(coords or {})}
    entries = {name: xr.Variable(*(e.dims, e.values, e.attrs) if hasattr(e, "dims") else e) for name, e in said.items()}
    plain = {name: entry.to_base_variable() for name, entry in entries.items()}
    found = xr.DataArray(
        values, dims=(*front, *PAIR), coords=xr.Coordinates(plain, indexes={}), attrs=dict(attrs or {}), name="rdm"
    )
    return found.set_xindex("time") if "time" in front and "time" in plain else found


def check_rdm(R: Any, name: str = "the RDM", *, missing: str = "keep") -> xr.DataArray:
    """Give back ``R`` if it is a dissimilarity matrix as ``as_rdm`` makes it, else say what is wrong.

    Parameters
    ----------
    R : what should be a DataArray with ``stimulus`` and ``stimulus_other`` last.
    missing : whether NaN outside of the diagonal are pairs that were not measured, or an error.

    Raises
    ------
    TypeError : not labelled, so that nothing says which stimulus a row is.
    AlignmentError : other dimensions, no labels, other labels on rows than on columns, or a label twice.
    DegenerateDataError : as ``as_rdm``.

    Examples
    --------
    >>> R = as_rdm([1, 2, 3], stimulus=["cat", "dog", "car"])
    >>> check_rdm(R) is R
    True
    """
    if isinstance(R, Mapping):
        raise TypeError(f"{name} is a {type(R).__name__}; make one array of several matrices with stack_rdms({name}).")
    if not isinstance(R, xr.DataArray):
        raise TypeError(
            f"{name} is a plain {type(R).__name__} without labels, and matrices are never compared by position; "
            "make it with as_rdm(values, stimulus=labels)."
        )
    if R.dims[-2:] != PAIR:
        raise AlignmentError(
            f"{name} has dims {R.dims}; expected {PAIR} at the end. Make it with rdm(X) or as_rdm(...)."
        )
    for dim in PAIR:
        if dim not in R.coords or R[dim].dims != (dim,):
            raise AlignmentError(f"{name} has no labels {dim!r}; make it with as_rdm(values, stimulus=labels).")
    labels, others = R["stimulus"].values, R["stimulus_other"].values
    if not np.array_equal(labels, others):
        at = int(np.flatnonzero(labels != others)[0]) if labels.shape == others.shape else 0
        raise AlignmentError(
            f"{name} has other labels on its columns than on its rows, first at {at}: {labels[at]!s} and "
            f"{others[at]!s}. Select stimuli on both sides: R.isel(stimulus=rows, stimulus_other=rows)."
        )
    _check_once(labels, "stimulus")
    if len(labels) < 2:
        raise DegenerateDataError(f"{name} has {len(labels)} stimuli; at least 2 are needed for one dissimilarity.")
    if R.dtype != np.float64:
        raise TypeError(f"{name} is {R.dtype}; expected float64. Make it with as_rdm(...).")
    _check_values(np.asarray(R.values), labels, name, missing)
    return R


def match_rdms(
    A: xr.DataArray, B: xr.DataArray, join: str = "exact", names: tuple[str, str] = ("A", "B")
) -> tuple[xr.DataArray, xr.DataArray]:
    """Bring two dissimilarity matrices to the same stimuli in the same order (that of ``A``), by label.

    Parameters
    ----------
    A, B : labelled matrices, with or without subjects, times ... in front; those are left as they are.
    join : ``"exact"`` raises where a stimulus is missing on one side; ``"inner"`` keeps the stimuli both have.

    Returns
    -------
    (A, B) with equal labels row by row.

    Raises
    ------
    AlignmentError : labels missing on one side (listed), or the same label with other content (sha256).
    TypeError : a matrix without labels.

    Examples
    --------
    >>> A = as_rdm([1, 2, 3], stimulus=["cat", "dog", "car"])
    >>> B = as_rdm([2, 1, 3], stimulus=["cat", "car", "dog"])
    >>> upper(match_rdms(A, B)[1]).tolist()
    [1.0, 2.0, 3.0]
    """
    lookup(JOINS, join, "join", callables=False)
    A, B = check_rdm(A, names[0]), check_rdm(B, names[1])
    one, two = A["stimulus"].values.astype(str).tolist(), B["stimulus"].values.astype(str).tolist()
    if one != two:
        in_one, in_two = Counter(one), Counter(two)
        if set(in_one) != set(in_two) and (join == "exact" or not set(in_one) & set(in_two)):
            said = describe_missing(in_one, in_two, "stimulus", names)
            shared = set(in_one) & set(in_two)
            advice = (
                "Keep what both have: match_rdms(A, B, join='inner')."
                if shared
                else "Do both name the stimuli the same way?"
            )
            raise AlignmentError(f"{said}. {advice}")
        kept = [label for label in one if label in in_two]
        if len(kept) < 2:
            raise AlignmentError(f"{names[0]} and {names[1]} share {len(kept)} stimulus; at least 2 are needed.")
        at_one, at_two = {label: at for at, label in enumerate(one)}, {label: at for at, label in enumerate(two)}
        if kept != one:
            A = take(A, [at_one[label] for label in kept])
        B = take(B, [at_two[label] for label in kept])
    check_same_content(A, B, names)
    return A, B


def match_all(rdms: Sequence[xr.DataArray], names: Sequence[str], join: str = "exact") -> list[xr.DataArray]:
    """Several matrices on the stimuli of the first, by label; see ``match_rdms``.

    Examples
    --------
    >>> A = as_rdm([1, 2, 3], stimulus=["cat", "dog", "car"])
    >>> B = as_rdm([2, 1, 3], stimulus=["cat", "car", "dog"])
    >>> [upper(R).tolist() for R in match_all([A, B], ["one", "two"])]
    [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]
    """
    out = list(rdms)
    for at in range(1, len(out)):
        out[0], out[at] = match_rdms(out[0], out[at], join, (names[0], names[at]))
    if join == "inner":
        out[1:] = [match_rdms(out[0], other, join, (names[0], name))[1] for other, name in zip(out[1:], names[1:])]
    return out


def check_not_bare(X: Any, name: str, how: Any) -> None:
    """Raise for a plain array that looks like dissimilarities: square, symmetric, 0 on the diagonal only.

    Its rows would be taken for the responses of units, and compared by position.

    Examples
    --------
    >>> check_not_bare(np.eye(3), "X", "rsa")
    """
    if isinstance(X, (xr.DataArray, xr.Dataset, Mapping, str)) or np.ndim(X) != 2 or len(set(np.shape(X))) > 1:
        return
    values = np.asarray(promoted(X)[0])
    if values.dtype.kind not in "iuf" or len(values) < 3 or np.diagonal(values).any() or not values.any():
        return
    if np.allclose(values, values.T, rtol=1e-6):
        raise AlignmentError(
            f"{name} is a plain array, symmetric with a diagonal of 0: a dissimilarity matrix, whose rows how={how!r} "
            f"would take for responses of units. Label it, as_rdm({name}, stimulus=...), and it is taken as it is."
        )


def take(R: xr.DataArray, rows: Any) -> xr.DataArray:
    """The matrix of some stimuli, in the order asked for; ``rows`` are positions or booleans.

    Examples
    --------
    >>> upper(take(as_rdm([1, 2, 3], stimulus=["cat", "dog", "car"]), [2, 0])).tolist()
    [2.0]
    """
    rows = np.asarray(rows)
    rows = np.flatnonzero(rows) if rows.dtype.kind == "b" else rows
    return R.isel(stimulus=rows, stimulus_other=rows)


def upper(R: xr.DataArray) -> np.ndarray:
    """The dissimilarities above the diagonal, row after row: ``([subject,] pairs)`` float64.

    Examples
    --------
    >>> upper(as_rdm([[0, 1, 2], [1, 0, 3], [2, 3, 0]], stimulus=["a", "b", "c"])).tolist()
    [1.0, 2.0, 3.0]
    """
    values = np.asarray(R.values if isinstance(R, xr.DataArray) else R)
    n = values.shape[-1]
    return values.reshape(*values.shape[:-2], n * n)[..., _flat_upper(n)]


def from_upper(vectors: np.ndarray, like: xr.DataArray, attrs: Mapping[str, Any] | None = None) -> xr.DataArray:
    """Vectors of pairs as matrices with the stimuli of ``like``; one vector, or one for each in front of ``like``.

    Examples
    --------
    >>> R = as_rdm([1, 2, 3], stimulus=["a", "b", "c"])
    >>> upper(from_upper(2 * upper(R), R)).tolist()
    [2.0, 4.0, 6.0]
    """
    n = like.sizes["stimulus"]
    front = tuple(map(str, like.dims[:-2])) if np.ndim(vectors) > 1 else ()
    coords = {
        str(name): like[name].variable
        for name in like.coords
        if name not in PAIR and set(like[name].dims) <= {*front, "stimulus"}
    }
    return build(square(np.asarray(vectors), n), like["stimulus"].values, front, coords, attrs or like.attrs)


def square(vectors: np.ndarray, n: int) -> np.ndarray:
    """(..., pairs) -> (..., n, n), symmetric with a diagonal of 0.

    Examples
    --------
    >>> square(np.array([1.0, 2.0, 3.0]), 3).tolist()
    [[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]]
    """
    out = np.zeros((*vectors.shape[:-1], n, n))
    rows, columns = np.triu_indices(n, 1)
    out[..., rows, columns] = vectors
    out[..., columns, rows] = vectors
    return out


def _flat_upper(n: int) -> np.ndarray:
    rows, columns = np.triu_indices(n, 1)
    return rows * n + columns


def _matrices(data: np.ndarray, n: int) -> np.ndarray:
    """(..., n, n) from matrices, or from upper triangles (..., n (n - 1) / 2)."""
    pairs = n * (n - 1) // 2
    if data.ndim >= 2 and data.shape[-2:] == (n, n):
        return data
    if data.ndim >= 1 and n > 1 and data.shape[-1] == pairs:
        return square(data, n)
    raise AlignmentError(
        f"values have shape {data.shape} and there are {n} stimuli; expected matrices ([subjects,] {n}, {n}) or upper "
        f"triangles ([subjects,] {pairs})."
    )


def _check_own_labels(values: Any, labels: np.ndarray) -> None:
    """Labels that the values bring along, in the matrix or the table they come in, are those that are given."""
    own: dict[str, Any] = {}
    if isinstance(values, xr.DataArray):
        own = {dim: values[dim].values for dim in PAIR if dim in values.coords}
    elif hasattr(values, "index") and hasattr(values, "columns"):
        own = {side: np.asarray(getattr(values, side)) for side in ("index", "columns")}
        own = {side: names for side, names in own.items() if names.dtype.kind not in "iu"}
    for side, names in own.items():
        said = names.astype(str)
        if said.shape == labels.shape and not np.array_equal(said, labels.astype(str)):
            at = int(np.flatnonzero(said != labels.astype(str))[0])
            raise AlignmentError(
                f"values carry labels of their own ({side}), and they are not those of stimulus=: first at {at}, "
                f"{said[at]} and {labels[at]}. Nothing is named again by position; pass stimulus= in the order of the "
                "values, or the bare numbers (.values)."
            )


def _check_front(front: tuple[str, ...], number: int) -> None:
    if len(front) != number or len(set(front)) != number or set(front) & set(PAIR):
        raise AlignmentError(
            f"{number} dimensions stand before the two of stimuli, and dims={front} names them; name each once, for "
            "example dims=('subject', 'time')."
        )


def _check_once(labels: np.ndarray, what: str) -> None:
    if len(set(labels.tolist())) < len(labels):
        often = [f"{label!r} ({count})" for label, count in Counter(map(str, labels.tolist())).items() if count > 1]
        more = f" and {len(often) - 5} more" if len(often) > 5 else ""
        advice = "Average repeats first: average_repeats(X)." if what == "stimulus" else "Give each its own."
        raise AlignmentError(f"{len(often)} {what} labels occur more than once: {', '.join(often[:5])}{more}. {advice}")


def _tidied(data: np.ndarray, labels: np.ndarray, missing: str) -> np.ndarray:
    """Exactly symmetric with a diagonal of exactly 0, where the values are so to single precision."""
    diagonal = np.einsum("...ii->...i", data)
    size = np.max(np.abs(data), axis=(-2, -1), keepdims=True, initial=0.0, where=np.isfinite(data))
    close = np.isnan(diagonal) | (np.abs(diagonal) <= 1e-6 * size[..., 0])
    if not close.all():
        at = tuple(np.argwhere(~close)[0])
        raise DegenerateDataError(
            f"the dissimilarity of {labels[at[-1]]!s} with itself is {diagonal[at]:g}; it is 0 by definition. "
            "Similarities become dissimilarities by 1 - values."
        )
    flipped = np.swapaxes(data, -1, -2)
    with np.errstate(invalid="ignore"):
        unlike = (np.abs(data - flipped) > 1e-6 * size) | (np.isnan(data) != np.isnan(flipped))
    if unlike.any():
        at = tuple(np.argwhere(unlike)[0])
        raise DegenerateDataError(
            f"the matrix is not symmetric: {labels[at[-2]]!s} with {labels[at[-1]]!s} is {data[at]:g}, the other way "
            f"round {flipped[at]:g}. Decide which holds, or take the mean of both."
        )
    with np.errstate(invalid="ignore"):
        data = (data + flipped) / 2
    np.einsum("...ii->...i", data)[...] = 0.0
    return data


def _check_values(values: np.ndarray, labels: np.ndarray, name: str, missing: str) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        bad = ~finite if missing == "raise" else np.isinf(values)
        if bad.any():
            at = tuple(np.argwhere(bad)[0])
            pairs = int(bad.sum() + np.einsum("...ii->...i", bad).sum()) // 2
            raise DegenerateDataError(
                f"{name}: {pairs} dissimilarities are not finite, first {labels[at[-2]]!s} with {labels[at[-1]]!s} "
                f"({values[at]}). Leave the stimuli out, or say that pairs were not measured: missing='keep'."
            )
    if np.einsum("...ii->...i", values).any():
        raise DegenerateDataError(f"{name} has a diagonal that is not 0; make it with as_rdm(...).")
    flipped = np.swapaxes(values, -1, -2)
    if not np.array_equal(values, flipped, equal_nan=not finite.all()) and not np.allclose(
        values, flipped, rtol=1e-9, atol=1e-12 * np.abs(values[finite]).max(initial=0.0), equal_nan=True
    ):
        raise DegenerateDataError(f"{name} is not symmetric; make it with as_rdm(...), which names the pair.")
