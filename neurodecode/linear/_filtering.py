"""What every spatial filter shares: the door, the span of the data, solving, patterns, labels."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from ..exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning
from ..representation import Labels, check_finite, check_same_samples, check_same_units, labelled, plain
from . import eigenfilters as engine
from ._inputs import working_dtype

TOLERANCE = 1e-10


class _Epochs(BaseEstimator):
    """The door of what takes epochs."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _epochs(self, X: Any, *, reset: bool) -> np.ndarray:
        """(samples, channels, times) in float64; samples x channels is one time per sample."""
        who = type(self).__name__
        if isinstance(X, xr.DataArray) and X.dims not in (("sample", "unit"), ("sample", "unit", "time")):
            raise AlignmentError(f"X has the dimensions {X.dims}; {who} expects ('sample', 'unit', 'time').")
        x = validate_data(
            self, plain(X), dtype=np.float64, allow_nd=True, ensure_all_finite=False, reset=reset, ensure_min_samples=1
        )
        if x.ndim not in (2, 3):
            raise AlignmentError(f"X has the shape {x.shape}; {who} expects (samples, channels, times).")
        least = 2 if reset else 1
        if len(x) < least or 0 in x.shape:
            raise DegenerateDataError(
                f"Found array with {len(x)} sample(s) (shape={x.shape}) while a minimum of {least} is required by "
                f"{who}."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            finite = bool(np.isfinite(x.sum()))
        if not finite:
            check_finite(X if isinstance(X, xr.DataArray) else x, "X")
        return x if x.ndim == 3 else x[:, :, None]


class _SpatialFilter(TransformerMixin, _Epochs):
    """What every filling shares: the door, the span of the data, solving, patterns, labels."""

    feature = "power"
    needs_target = True

    n_components: int
    log: bool = False

    def _problems(self, x: np.ndarray, y: Any) -> list[engine.Problem]:
        """The slots, from epochs in the span of the data (epochs, rank, times)."""
        raise AttributeError("a spatial filter says what is to be large and what small.")

    def _target(self, y: Any, n: int) -> Any:
        """The target, checked; None for filters that need none."""
        return None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.needs_target
        return tags

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn the filters from epochs (samples, channels, times) and, where one is needed, a target per sample."""
        if self.needs_target:
            if y is None:
                raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
            check_same_samples(X, y)
        n_asked = self.n_components
        if isinstance(n_asked, bool) or int(n_asked) != n_asked or n_asked < 1:
            raise ValueError(f"n_components={n_asked!r}: a whole number from 1 is needed.")
        x = self._epochs(X, reset=True)
        target = self._target(y, len(x))
        x = self._arranged(x, X)
        total = engine.second_moment(x)
        basis = self._basis = engine.span(total, TOLERANCE)
        problems = self._problems(np.einsum("nct,cr->nrt", x, basis, optimize=True), target)
        self.rank_ = basis.shape[1]
        each = self._each(int(n_asked), len(problems))
        if max(each) > self.rank_:
            warnings.warn(
                f"{type(self).__name__}: {max(each)} components were asked for, and {x.shape[1]} channels of rank "
                f"{self.rank_} have no more than {self.rank_}.",
                NeurodecodeWarning,
                stacklevel=2,
            )
        values, filters, found, names = [], [], [], []
        for problem, n in zip(problems, each):
            value, weight = engine.solve(problem, n)
            weight = weight @ basis.T
            values.append(value)
            filters.append(weight)
            found.append(engine.patterns(total, weight))
            names += [problem.name] * len(value)
        self.eigenvalues_ = np.concatenate(values)
        self.filters_ = np.concatenate(filters)
        self.patterns_ = np.concatenate(found)
        self.component_of_ = np.array(names, dtype=str)
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        return self

    def transform(self, X: Any) -> Any:
        """Power of every component (samples, components), or its course (samples, components, times).

        Labelled input gives labelled output, with ``component`` (from 0) and ``component_of`` (class) on unit.
        """
        check_is_fitted(self)
        check_same_units(X, self.features_)
        x, given = self._epochs(X, reset=False), np.asarray(plain(X))
        out = np.einsum("nct,kc->nkt", x, self.filters_, optimize=True)
        quantity = "component"
        if self.feature == "power":
            out, quantity = np.mean(out**2, axis=2), "power"
            if self.log:
                dead = np.flatnonzero((out <= 0).any(axis=1))
                if len(dead):
                    raise DegenerateDataError(
                        f"{len(dead)} samples have no power at all (first: {dead[0]}), so there is no logarithm; leave "
                        "them out, or pass log=False."
                    )
                out, quantity = np.log(out), "log power"
        elif given.ndim == 2:
            out = out[:, :, 0]
        out = out.astype(working_dtype(given), copy=False)
        coords = {"component": np.arange(len(self.filters_))}
        if any(self.component_of_):
            coords["component_of"] = self.component_of_
        kept = {key: said for key, said in self.features_.attrs.items() if key in ("kind", "dataset", "sfreq", "tr")}
        attrs = {**kept, "quantity": quantity, "units": "a.u."}
        if isinstance(X, xr.DataArray):
            attrs["history"] = [*X.attrs.get("history", []), f"{type(self).__name__}, {len(self.filters_)} components"]
        return labelled(out, samples_of=X, units=Labels("unit", out.shape[1], coords), attrs=attrs)

    def to_dataset(self) -> xr.Dataset:
        """``filter`` and ``pattern`` (component, unit) and ``eigenvalue`` (component), with the channels' labels."""
        check_is_fitted(self)
        coords = {name: ("unit", np.array(kept)) for name, kept in self.features_.coords.items()}
        coords["component_of"] = ("component", self.component_of_)
        rows = {"filter": self.filters_, "pattern": self.patterns_}
        found = xr.Dataset({name: (("component", "unit"), kept) for name, kept in rows.items()}, coords)
        return found.assign(eigenvalue=("component", self.eigenvalues_))

    @property
    def _n_features_out(self) -> int:
        return len(self.filters_)

    def _each(self, n: int, problems: int) -> list[int]:
        """How many components each problem gives."""
        return [n] * problems

    def _arranged(self, x: np.ndarray, X: Any) -> np.ndarray:
        """Epochs as the slots want them."""
        return x
