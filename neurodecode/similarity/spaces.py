"""One side of a comparison: rows that were matched by stimulus, and what was worked out from them once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from .._numbers import whole
from ..compute.alignment import centre, directions, power_of, square
from ..compute.device import resolve
from ..compute.scores import is_constant
from ..exceptions import AlignmentError, DegenerateDataError
from ..representation import as_representation, check_finite, match
from ..representation.labels import both_series, check_same_content, describe_missing
from ..representation.values import promoted

FEWEST = 3
SMALLEST = 1e-70  # fourth powers of what is smaller are 0 in float64


class Space:
    """Rows (n, p) in float64, and what measures ask of them, each thing computed once.

    Parameters
    ----------
    rows : (n, p) numbers; row i of two spaces belongs to the same stimulus.
    labels : (n,) text, one per row; None numbers the rows.
    name : how errors call it.

    Examples
    --------
    >>> space = Space(np.arange(6.0).reshape(3, 2))
    >>> space.centred.tolist()
    [[-2.0, -2.0], [0.0, 0.0], [2.0, 2.0]]
    """

    def __init__(self, rows: Any, labels: Sequence[str] | None = None, name: str = "X", device: Any = None):
        where = resolve(device)
        self.raw = torch.from_numpy(_double(np.asarray(rows))).to(where)
        self.name = name
        self.labels = [str(at) for at in range(len(self.raw))] if labels is None else [str(label) for label in labels]
        self._kept: dict[Any, Any] = {}

    def keep(self, key: Any, make: Callable[[], Any]) -> Any:
        """What ``make`` gives, computed the first time."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def learn(self, key: Any, value: Any) -> None:
        """Take what was computed elsewhere."""
        self._kept.setdefault(key, value)

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.raw.shape[0])

    @property
    def width(self) -> int:
        """Number of units."""
        return int(self.raw.shape[1])

    @property
    def centred(self) -> Tensor:
        """Rows less their mean (n, p)."""
        return self.keep("centred", lambda: centre(self.raw))

    @property
    def power(self) -> Tensor:
        """Squared Frobenius norm of the centred rows."""
        return self.keep("power", lambda: self.centred.square().sum())

    @property
    def row_power(self) -> Tensor:
        """Squared norm of every centred row (n,)."""
        return self.keep("row power", lambda: self.centred.square().sum(1))

    @property
    def gram(self) -> Tensor:
        """Inner products of centred rows (n, n)."""
        return self.keep("gram", lambda: square(self.centred.T))

    @property
    def self_power(self) -> Tensor:
        """``||x'x||_F^2``, through the smaller of the two products."""
        return self.keep("self power", self._self_power)

    def _self_power(self) -> Tensor:
        if self.n < self.width or "gram" in self._kept:
            return power_of(self.gram)
        return power_of(square(self.centred))

    @property
    def basis(self) -> tuple[Tensor, Tensor]:
        """Left singular vectors (n, r) and singular values (r,) of the centred rows."""
        rows, turn, s = self.directions
        return self.keep("basis", lambda: rows if turn is None else rows @ turn), s

    @property
    def directions(self) -> tuple[Tensor, Tensor | None, Tensor]:
        """The same without the product: rows, what turns them into singular vectors, singular values."""
        return self.keep("directions", lambda: directions(self.centred))

    @property
    def compact(self) -> Tensor:
        """The centred rows, turned into n - 1 units at most: what rotations leave alone is the same."""
        if self.width <= self.n:
            return self.centred
        return self.keep("compact", lambda: self.basis[0] * self.basis[1])

    @property
    def standard(self) -> Tensor:
        """Units with mean 0 and sum of squares 1 (n, p): inner products are correlations.

        Raises
        ------
        DegenerateDataError : a unit is constant.
        """
        return self.keep("standard", self._standard)

    def _standard(self) -> Tensor:
        flat = np.flatnonzero(is_constant(self.raw.cpu().numpy()))
        if len(flat):
            first = ", ".join(map(str, flat[:10])) + (", ..." if len(flat) > 10 else "")
            raise DegenerateDataError(
                f"{self.name}: {len(flat)} of {self.width} units are constant ({first}), so they have no correlation "
                "with any other. Leave them out before matching units: keep those whose values.std(axis=0) is above 0."
            )
        return self.centred / torch.linalg.vector_norm(self.centred, dim=0)

    def rdm(self, metric: Any = "correlation") -> np.ndarray:
        """Dissimilarities of the rows (n, n)."""
        if not isinstance(metric, str) and not callable(metric):
            return self._rdm(metric)  # says which there are
        return np.asarray(self.keep(("rdm", metric), lambda: self._rdm(metric)))

    def _rdm(self, metric: Any) -> np.ndarray:
        if metric == "euclidean":
            return torch.cdist(self.centred, self.centred, compute_mode="donot_use_mm_for_euclid_dist").cpu().numpy()
        from .dissimilarity import DISSIMILARITIES, rdm

        row = DISSIMILARITIES.get(metric) if isinstance(metric, str) else None
        if row is not None and (row.crossed or row.noisy):
            raise ValueError(
                f"metric={metric!r} needs folds or noise, which are not known here. Make the matrices first, "
                f"rdm({self.name}, {metric!r}, by=..., noise=...), and compare these."
            )
        unique = len(set(self.labels)) == self.n
        stimulus = self.labels if unique else [f"row {at}" for at in range(self.n)]
        try:
            return rdm(as_representation(self.raw.cpu().numpy(), stimulus=stimulus, kind="features"), metric).values
        except DegenerateDataError as error:
            raise DegenerateDataError(f"{self.name}: {error}") from None

    def take(self, order: np.ndarray) -> Space:
        """The same rows in another order; the labels stay, as those of the places."""
        found = Space.__new__(Space)
        found.raw = self.raw[torch.as_tensor(order)]
        found.name, found.labels, found._kept = self.name, self.labels, {}
        return found

    def folds(self, n_folds: int) -> list[np.ndarray]:
        """Positions of every fold; a stimulus goes where the hash of its label says, so order does not matter."""
        n_folds = whole(n_folds, "n_folds")
        return self.keep(("folds", n_folds), lambda: group(self.labels, n_folds))


class Dissimilar(Space):
    """A dissimilarity matrix in the place of a space: all that there is of the rows is how far apart they are."""

    def __init__(self, values: np.ndarray, labels: Sequence[str], name: str):
        self.values, self.labels, self.name, self._kept = values, [str(label) for label in labels], name, {}

    @property
    def n(self) -> int:
        """Number of stimuli."""
        return len(self.labels)

    def rdm(self, metric: Any = "correlation") -> np.ndarray:
        """The dissimilarities that were given (n, n); ``metric`` has been chosen already."""
        return self.values

    def take(self, order: np.ndarray) -> Space:
        """Rows and columns in another order."""
        return Dissimilar(self.values[np.ix_(order, order)], self.labels, self.name)

    def __getattr__(self, name: str) -> Any:
        if name == "raw":
            raise AlignmentError(
                f"{self.name} is a dissimilarity matrix, which has no units; compare it with how='rsa' or how='gw'."
            )
        raise AttributeError(name)


def fold_of(label: str, n_folds: int) -> int:
    """Fold of a stimulus, from its label alone.

    Examples
    --------
    >>> [fold_of(label, 5) for label in "abc"]
    [0, 1, 0]
    """
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big") % n_folds


def group(labels: Sequence[str], n_folds: int) -> list[np.ndarray]:
    """Positions of every fold that has any; three at least.

    Raises
    ------
    DegenerateDataError : fewer than three folds have a stimulus.
    """
    if (n_folds := whole(n_folds, "n_folds")) < 3:
        raise ValueError(f"n_folds={n_folds}: three at least, one to score, one to choose the penalty, one to fit.")
    which = np.array([fold_of(label, n_folds) for label in labels])
    parts = [np.flatnonzero(which == at) for at in range(n_folds)]
    parts = [part for part in parts if len(part)]
    if len(parts) < 3:
        raise DegenerateDataError(
            f"{len(labels)} stimuli fall into {len(parts)} of {n_folds} folds, and three are needed. Add stimuli."
        )
    return parts


def is_rdm(X: Any) -> bool:
    """Whether ``X`` is a labelled dissimilarity matrix."""
    return isinstance(X, xr.DataArray) and "stimulus_other" in X.dims


def pair_up(X: Any, Y: Any, device: Any = None) -> tuple[Space, Space]:
    """Two spaces whose rows belong together, in the order of the stimulus labels.

    Labelled arrays meet by ``stimulus``; plain arrays row by row.

    Raises
    ------
    AlignmentError : stimuli of one side only (named), repeats, other lengths, one side labelled and the other not.
    DegenerateDataError : not finite, too few rows, or nothing varies.
    """
    if is_rdm(X) or is_rdm(Y):
        return _pair_dissimilar(X, Y, device)
    (x, y), labels = by_label([X, Y], ["X", "Y"])
    return Space(matrix(x, "X"), labels, "X", device), Space(matrix(y, "Y"), labels, "Y", device)


def by_label(arrays: Sequence[Any], names: Sequence[str]) -> tuple[list[Any], list[str]]:
    """The arrays with corresponding rows, in the order of the labels, and the labels; plain arrays as they are.

    Raises
    ------
    AlignmentError : as :func:`pair_up`.
    """
    tagged = [isinstance(array, xr.DataArray) for array in arrays]
    if any(tagged) and not all(tagged):
        one, two = names[tagged.index(True)], names[tagged.index(False)]
        raise AlignmentError(
            f"{one} is labelled and {two} is a plain array, so nothing says that their rows belong together. Label "
            f"{two} with as_representation(..., stimulus=...), or pass {one}.values to compare row by row."
        )
    if not any(tagged):
        sizes = [np.shape(array)[0] if np.ndim(array) else 0 for array in arrays]
        for size, name in zip(sizes, names):
            if size != sizes[0]:
                raise AlignmentError(
                    f"{names[0]} has {sizes[0]} rows and {name} has {size}; plain arrays meet row by row. Label "
                    "both sides with as_representation(..., stimulus=...) and they meet by stimulus."
                )
        return list(arrays), [str(at) for at in range(sizes[0])]
    first = arrays[0]
    for array, name in zip(arrays, names):
        if not _are_series(first, array):
            check_once(array, name)
    found = [first]
    for array, name in zip(arrays[1:], names[1:]):
        try:
            found.append(match(first, array)[1])
        except AlignmentError as error:
            known = (names[0], name) == ("X", "Y")
            raise (error if known else AlignmentError(f"{names[0]} as X and {name} as Y: {error}")) from None
    labels = first["stimulus"].values.astype(str)
    if len(set(labels.tolist())) < len(labels):  # a recording with repeats is paired by time
        return found, labels.tolist()
    order = np.argsort(labels, kind="stable")
    return [array.isel(sample=order) for array in found], labels[order].tolist()


def _are_series(X: xr.DataArray, Y: xr.DataArray) -> bool:
    return "onset" in X.coords and "onset" in Y.coords and both_series(X, Y)


def _pair_dissimilar(X: Any, Y: Any, device: Any) -> tuple[Space, Space]:
    """Two sides of which one at least is a dissimilarity matrix, by label."""
    from .rdms import check_rdm

    labels = []
    for side, name in ((X, "X"), (Y, "Y")):
        if not isinstance(side, xr.DataArray):
            raise AlignmentError(
                f"{name} is a plain array and the other side a labelled dissimilarity matrix; label it with "
                "as_rdm(..., stimulus=...) or as_representation(..., stimulus=...)."
            )
        if is_rdm(side):
            check_rdm(side, name)
            if side.ndim != 2:
                raise AlignmentError(
                    f"{name} has dims {side.dims}: several matrices. Select one, average them, or use compare_models."
                )
        else:
            check_once(side, name)
        labels.append(side["stimulus"].values.astype(str))
    missing = describe_missing(Counter(labels[0].tolist()), Counter(labels[1].tolist()), "stimulus", ("X", "Y"))
    if missing:
        both = is_rdm(X) and is_rdm(Y)
        advice = "match_rdms(X, Y, join='inner')" if both else "select them on both sides"
        raise AlignmentError(f"{missing}. Keep what both have: {advice}.")
    orders = [np.argsort(own, kind="stable") for own in labels]
    check_same_content(*(side.isel({side["stimulus"].dims[0]: order}) for side, order in zip((X, Y), orders)))
    found: list[Space] = []
    for side, own, order, name in zip((X, Y), labels, orders, ("X", "Y")):
        if is_rdm(side):
            values = side.transpose("stimulus", "stimulus_other").values[np.ix_(order, order)].astype(np.float64)
            found.append(Dissimilar(values, own[order].tolist(), name))
        else:
            found.append(Space(matrix(side, name)[order], own[order].tolist(), name, device))
    return found[0], found[1]


def check_once(X: xr.DataArray, name: str) -> None:
    """Raise unless every stimulus of a labelled array occurs once."""
    if "stimulus" not in X.coords or X["stimulus"].dims != ("sample",):
        raise AlignmentError(
            f"{name} is labelled, but has no 'stimulus' on 'sample' (dims {X.dims}); make it with as_representation."
        )
    labels, counts = np.unique(X["stimulus"].values.astype(str), return_counts=True)
    often = labels[counts > 1]
    if len(often):
        raise AlignmentError(
            f"{name}: {len(often)} stimuli occur more than once ({', '.join(map(repr, often[:5].tolist()))}"
            f"{', ...' if len(often) > 5 else ''}), so a row has no single partner. Average them first: "
            f"average_repeats({name})."
        )


def matrix(X: Any, name: str, *, part: bool = False) -> np.ndarray:
    """(samples, units) float64, checked; masked units are left out. ``part``: some of the rows, which may be few."""
    if isinstance(X, xr.DataArray):
        if set(X.dims) != {"sample", "unit"}:
            raise AlignmentError(
                f"{name} has dims {X.dims}; expected ('sample', 'unit'). Select one time, pool the tokens, or stack "
                "them into units; compare_grid goes over time."
            )
        X = X.transpose("sample", "unit")
        check_finite(X, name)
        if "masked" in X.coords:
            X = X.isel(unit=~X["masked"].values.astype(bool))
        values = X.values
    else:
        values = np.asarray(promoted(X)[0])
    if values.ndim != 2:
        raise ValueError(f"{name} has shape {values.shape}; expected (samples, units).")
    if values.dtype.kind not in "biuf":
        raise TypeError(f"{name} holds {values.dtype}; expected real numbers.")
    check_finite(values, name)
    n, p = values.shape
    size = max(abs(float(values.max())), abs(float(values.min()))) if values.size else 0.0
    if size and not SMALLEST < size < 1 / SMALLEST:
        raise DegenerateDataError(
            f"{name} has values up to {size:.3g}, whose products no number can hold; bring all units to another scale."
        )
    if part and n and p:
        return _double(values)
    if n < FEWEST or p == 0:
        raise DegenerateDataError(
            f"{name} has {n} samples of {p} units; at least {FEWEST} samples and one unit are needed to compare."
        )
    if bool(is_constant(values).all()):
        raise DegenerateDataError(f"{name}: every unit is constant over its {n} samples; there is nothing to compare.")
    return _double(values)


def _double(values: np.ndarray) -> np.ndarray:
    """Float64 in one piece that torch may look at: a view where it can be."""
    found = np.ascontiguousarray(values, dtype=np.float64)
    return found if found.flags.writeable else found.copy()
