"""Any estimator in every neighbourhood: spheres of a volume, patches of a surface, groups of sensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy import sparse
from scipy.spatial import cKDTree
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from .._numbers import amount
from ..exceptions import AlignmentError, DegenerateDataError
from ..representation import Labels, check_same_units, labelled
from . import _inputs
from ._each import _Each, outputs_second
from ._stacks import Recipe, Stack, Targets, fold_order, solve, solve_folds

POSITION = ("x", "y", "z")


class Searchlight(_Each):
    r"""An estimator of its own around every unit, fitted to that unit and its neighbours alone.

    For a centre c with the neighbours N(c), among them c, a clone of ``estimator`` is fitted to ``X[:, N(c)]``. With
    ``radius``, N(c) are the units of X that are at most so far from c; nothing outside of X, that is outside of the
    mask, is ever looked at. What :class:`Sliding` solves for all times at once (linear discriminant analysis, logistic
    regression of two classes, ridge classifiers, ``Ridge``, ``CorrelationClassifier``) is solved here for all
    neighbourhoods of a size at once; any other estimator is cloned and fitted one neighbourhood after the other.

    Parameters
    ----------
    estimator : for samples x units; it is cloned, never changed.
    radius : millimetres, the largest distance of a neighbour, measured between the unit coordinates ``x y z`` of X.
    neighbours : instead of ``radius``, which units belong together: a sparse or dense (units, units) matrix that is not
        zero between neighbours (the adjacency of a mesh, of sensors), or one sequence of positions for each unit. A
        unit belongs to its own neighbourhood, also where its row does not say so.

    Attributes
    ----------
    classes_ : (classes,) of a classifier.
    members_ : sparse (units, units), 1 where the unit of the column belongs to the neighbourhood of the row.
    coef_ : one sparse (units, units) matrix an output (one output for two classes or one target), where all
        neighbourhoods were solved at once: row c holds the weights of the neighbourhood of c.
    intercept_ : (outputs, units).
    estimators_ : position of a centre -> fitted clone, for those that were not solved at once.
    closed_form_ : (units,) booleans: which were solved at once.
    n_features_in_, n_problems_ : number of units.

    Raises
    ------
    AlignmentError : no positions, positions of several subjects, or samples or units that are not the expected ones.
    DegenerateDataError : NaN or infinite values, a single class, too few samples.
    ValueError : neither ``radius`` nor ``neighbours``, or both; more than one target.

    References
    ----------
    Kriegeskorte, Goebel & Bandettini (2006), PNAS 103, for the searchlight; Haxby et al. (2001), Science 293, for
    correlation of patterns.

    Examples
    --------
    >>> from neurodecode.linear import LinearClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(40) % 2
    >>> X = rng.normal(size=(40, 5))
    >>> X[:, 4] += 8 * y
    >>> line = [[0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4]]
    >>> model = Searchlight(LinearClassifier("lda", shrinkage=0.1), neighbours=line).fit(X[:30], y[:30])
    >>> (model.predict(X[30:]) == y[30:, None]).mean(axis=0)[[3, 4]].tolist()
    [1.0, 1.0]
    """

    _problems = "neighbourhoods"
    answers_over: tuple[str, ...] = ("unit",)

    def __init__(self, estimator: Any, radius: float | None = None, neighbours: Any = None):
        self.estimator = estimator
        self.radius = radius
        self.neighbours = neighbours

    def fit(self, X: Any, y: Any) -> Searchlight:
        """Learn from (samples, units) and labels or numbers, one a sample."""
        x = self._begin(X)
        if np.ndim(y) > 1 and np.shape(y)[1] > 1:
            raise ValueError(f"y has shape {np.shape(y)}; Searchlight predicts one target. Take one at a time.")
        flat = y.isel(unit=0, drop=True) if isinstance(y, xr.DataArray) and y.ndim > 1 else y
        flat = np.ravel(flat) if np.ndim(flat) > 1 else flat
        return self._learn(X, flat, x)

    def _begin(self, X: Any) -> np.ndarray:
        x = _inputs.features(self, X, samples=1)
        self.n_problems_ = x.shape[1]
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        self.members_ = self._members(X, x.shape[1])
        return x

    def _solved(self, asked: Recipe, checked: Targets, x: np.ndarray, X: Any, y: Any) -> Stack:
        """Every neighbourhood, those of one size at once."""
        rows = np.ascontiguousarray(x.T)
        parts = [(bucket, solve(asked, _gather(rows, bucket), (*bucket.members.shape, len(x)), checked, X, y))
                 for bucket in _buckets(self.members_)]  # fmt: skip
        return _joined(parts, self.members_)

    def _shared(self, asked: Recipe, checked: Targets, x: np.ndarray, tests: list[np.ndarray]) -> list[Stack]:
        rows = np.ascontiguousarray(x[fold_order(tests, len(x))].T)
        parts = [(bucket, solve_folds(asked, _gather(rows, bucket), (*bucket.members.shape, len(x)), checked, tests))
                 for bucket in _buckets(self.members_)]  # fmt: skip
        return [
            _joined([(bucket, found[fold]) for bucket, found in parts], self.members_) for fold in range(len(tests))
        ]

    def _named(self, X: Any, numbers: tuple[int, ...]) -> str:
        return f"{len(numbers)} of {self.n_problems_:,} units: {_inputs.names(X, 'unit', np.asarray(numbers))}"

    def _pick(self, X: Any, number: int) -> Any:
        members = self._of(number)
        return X.isel(unit=members) if isinstance(X, xr.DataArray) else np.asarray(X)[:, members]

    def predict(self, X: Any) -> Any:
        """Labels or numbers of every neighbourhood: (samples, units), a column stands for the centre."""
        x = self._check(X)
        closed, alone = self._ways(x)
        if not is_classifier(self.estimator):
            return labelled(self._decisions(closed, alone, "predict")[:, 0], samples_of=X, units=self.features_)
        found = labelled(self.classes_[self._classified(closed, alone)], samples_of=X, units=self.features_)
        return found.rename(self.target_name_) if isinstance(found, xr.DataArray) else found

    @property
    def coef_(self) -> list[Any]:
        return [self._matrix(row) for row in self._weights().coef]

    def _of(self, c: int) -> np.ndarray:
        return self.members_.indices[self.members_.indptr[c] : self.members_.indptr[c + 1]]

    def _matrix(self, data: np.ndarray) -> Any:
        return sparse.csr_array((data, self.members_.indices, self.members_.indptr), shape=self.members_.shape)

    def _ways(self, x: np.ndarray) -> tuple[Any, Any]:
        """The answers of the neighbourhoods that were solved at once, and those of one clone."""

        def closed() -> np.ndarray:
            assert self.stack_ is not None
            columns = np.ascontiguousarray(x.T)
            found = np.stack([(self._matrix(row) @ columns).T for row in self.stack_.coef], axis=1)
            found += self.stack_.intercept.T
            return found / self._lengths(columns)[:, None] if self.stack_.normed else found

        def alone(fitted: Any, c: int, method: str) -> np.ndarray:
            return outputs_second(getattr(fitted, method)(x[:, self._of(c)]), len(x))

        return closed, alone

    def _lengths(self, columns: np.ndarray) -> np.ndarray:
        """Lengths of the centred patterns, (samples, units); infinite where a pattern does not vary."""
        inside = self._matrix(np.ones(self.members_.nnz, dtype=columns.dtype))
        size = np.diff(self.members_.indptr)[:, None]
        power = inside @ (columns * columns)
        left = power - (inside @ columns) ** 2 / size
        still = left <= 64 * np.finfo(columns.dtype).eps * power
        return np.sqrt(np.where(still, np.inf, left)).T

    def _over_classes(self, values: np.ndarray, X: Any) -> Any:
        if values.shape[1] == 1:
            return labelled(values[:, 0], samples_of=X, units=self.features_)
        found = labelled(values, samples_of=X, units=self.features_, dims=("sample", "class", "unit"))
        return found.assign_coords({"class": self.classes_}) if isinstance(found, xr.DataArray) else found

    def _check(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "n_problems_")
        check_same_units(X, self.features_)
        return _inputs.features(self, X, reset=False, samples=1)

    def _members(self, X: Any, p: int) -> Any:
        if (self.radius is None) == (self.neighbours is None):
            raise ValueError(
                f"radius={self.radius!r} and neighbours={'given' if self.neighbours is not None else None}: give one, "
                "radius in millimetres or neighbours as an adjacency matrix or one sequence of positions a unit."
            )
        if self.radius is None:
            return members(self.neighbours, p)
        return spheres(positions(X), self.radius)


@dataclass(frozen=True)
class _Bucket:
    """Neighbourhoods of one size: centres (b,), members (b, size), and where their weights lie (b, size)."""

    centres: np.ndarray
    members: np.ndarray
    places: np.ndarray


def _buckets(inside: Any) -> Iterator[_Bucket]:
    sizes = np.diff(inside.indptr)
    for size in np.unique(sizes):
        centres = np.flatnonzero(sizes == size)
        places = inside.indptr[centres][:, None] + np.arange(size)
        yield _Bucket(centres, inside.indices[places], places)


def _gather(rows: np.ndarray, bucket: _Bucket) -> Any:
    """Units x samples as slice of neighbourhoods -> (neighbourhoods, units, samples), a copy."""
    return lambda some: rows[bucket.members[some]]


def _joined(parts: list[tuple[_Bucket, Stack]], inside: Any) -> Stack:
    """One stack of all neighbourhoods, in the order of the units."""
    first = parts[0][1]
    outputs = first.coef.shape[1]
    coef = np.empty((outputs, inside.nnz), dtype=first.coef.dtype)
    intercept = np.empty((inside.shape[0], outputs), dtype=first.intercept.dtype)
    sound = np.zeros(inside.shape[0], dtype=bool)
    for bucket, found in parts:
        coef[:, bucket.places] = found.coef.transpose(1, 0, 2)
        intercept[bucket.centres], sound[bucket.centres] = found.intercept, found.sound
    left = sorted(int(bucket.centres[place]) for bucket, found in parts for place in found.unfinished)
    return Stack(coef, intercept, sound, first.classes, first.normed, tuple(left))


def positions(X: Any) -> np.ndarray:
    """(units, 3) millimetres, from the unit coordinates ``x y z``."""
    lacking = [name for name in POSITION if not isinstance(X, xr.DataArray) or name not in X.coords]
    if lacking:
        raise AlignmentError(
            f"radius needs the unit coordinates x, y and z in millimetres, and X lacks {', '.join(lacking)}; label the "
            "units, or pass neighbours="
        )
    if "subject" in X.coords and X["subject"].dims == ("unit",) and len(np.unique(X["subject"].values)) > 1:
        raise AlignmentError(
            f"the units are of {len(np.unique(X['subject'].values))} subjects, whose positions are not of one space; "
            "select one: X[:, (X['subject'] == name).values]."
        )
    found = np.stack([np.asarray(X[name].values, dtype=np.float64) for name in POSITION], axis=1)
    if not np.isfinite(found).all():
        where = np.flatnonzero(~np.isfinite(found).all(axis=1))
        raise DegenerateDataError(f"{len(where)} units have no position: {_inputs.names(X, 'unit', where)}.")
    return found


def spheres(places: np.ndarray, radius: float) -> Any:
    """Sparse (units, units): which units are at most ``radius`` from each; ``places`` (units, 3), same length unit.

    Examples
    --------
    >>> spheres(np.array([[0.0, 0, 0], [2, 0, 0], [4, 0, 0]]), 2.0).toarray().astype(int).tolist()
    [[1, 1, 0], [1, 1, 1], [0, 1, 1]]
    """
    radius = amount(radius, "radius", unit="millimetres")
    tree = cKDTree(places)
    return members(tree.query_ball_point(places, radius * (1 + 1e-9), return_sorted=True), len(places))


def members(neighbours: Any, p: int) -> Any:
    """Sparse (units, units) with ones, sorted, the diagonal always there; see ``Searchlight``.

    Examples
    --------
    >>> members([[1], [], [0]], 3).toarray().astype(int).tolist()
    [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    """
    if sparse.issparse(neighbours) or (isinstance(neighbours, np.ndarray) and neighbours.ndim == 2):
        if neighbours.shape != (p, p):
            raise AlignmentError(
                f"neighbours has shape {neighbours.shape}; X has {p} units, so ({p}, {p}) is expected."
            )
        found = sparse.csr_array(neighbours)
        rows, columns = found.nonzero()
    else:
        if len(neighbours) != p:
            raise AlignmentError(f"neighbours has {len(neighbours)} entries; X has {p} units, one entry for each.")
        sizes = [len(entry) for entry in neighbours]
        rows = np.repeat(np.arange(p), sizes)
        columns = np.concatenate([np.asarray(entry, dtype=np.int64) for entry in neighbours]) if p else np.empty(0)
        if len(columns) and (columns.min() < 0 or columns.max() >= p):
            raise AlignmentError(
                f"neighbours names units {columns.min()} to {columns.max()}; X has units 0 to {p - 1}: a neighbour "
                "outside of the mask cannot be used."
            )
    rows, columns = np.concatenate([rows, np.arange(p)]), np.concatenate([columns, np.arange(p)])
    found = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(p, p))
    found.sum_duplicates()
    found.sort_indices()
    found.data[:] = 1.0
    return found
