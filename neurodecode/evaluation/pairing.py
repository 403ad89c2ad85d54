"""What ``cross_validate`` is given, checked once at the door: the same samples on both sides, usable values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from ..exceptions import AlignmentError, DegenerateDataError, TimingError
from ..representation import check_same_samples, plain

SHOWN = 5


@dataclass(frozen=True)
class Pair:
    """X and Y after the checks, with everything that later steps ask of them.

    ``X`` and ``y`` are what an estimator is given (``y`` without dropped targets), ``truth`` is (n, targets, ...)
    numbers or, for a classifier, (n, 1) positions in ``classes``. ``frame`` carries the sample coordinates of both
    sides and is None for plain arrays; ``units`` are the unit coordinates of Y (all targets), ``kept`` the positions
    of the targets that can be used.
    """

    X: Any
    y: Any
    truth: np.ndarray
    frame: xr.DataArray | None
    units: dict[str, np.ndarray]
    n_units: int
    kept: np.ndarray
    classes: np.ndarray | None = None
    extra: dict[str, np.ndarray | None] = field(default_factory=dict)

    @property
    def n_samples(self) -> int:
        return len(self.truth)

    @property
    def labels(self) -> np.ndarray | None:
        """Class labels, one per sample; None for numbers."""
        return None if self.classes is None else self.classes[self.truth[:, 0]]


def pair(X: Any, Y: Any, *, classifier: bool, assume_aligned: bool = False, nan_policy: str = "raise") -> Pair:
    """Check X against Y and bring both into the form that folds are cut from.

    Parameters
    ----------
    X : (sample, unit[, ...]) labelled or plain. Y : (sample, unit[, time]) or (sample,) labelled or plain.
    classifier : whether Y holds class labels.
    assume_aligned : go on although the labels of the samples cannot be compared, or differ.
    nan_policy : ``"drop_targets"`` leaves out targets that are not finite, ``"raise"`` refuses them.

    Raises
    ------
    AlignmentError : other stimuli or another order; labels on one side only, without ``assume_aligned``.
    TimingError : two series whose lengths differ.
    DegenerateDataError : too few samples, no features, no targets, values that are not finite, one class only.
    """
    if nan_policy not in ("raise", "drop_targets"):
        raise ValueError(f"nan_policy={nan_policy!r} is not known; choose 'raise' or 'drop_targets'")
    X, Y = _array(X, "X"), _array(Y, "Y")
    n = X.shape[0] if X.ndim else 0
    labelled = [isinstance(array, xr.DataArray) for array in (X, Y)]
    if all(labelled) and not assume_aligned:
        check_same_samples(X, Y)
    elif any(labelled) and not all(labelled) and not assume_aligned:
        bare = "Y" if labelled[0] else "X"
        raise AlignmentError(
            f"{'X' if labelled[0] else 'Y'} has sample labels and {bare} has none, so their order cannot be checked; "
            f"label {bare} with as_representation, or pass assume_aligned=True, which is written into the result"
        )
    if Y.ndim == 0 or len(Y) != n:
        both_in_time = all(labelled) and "onset" in X.coords and "onset" in Y.coords
        kind = TimingError if both_in_time else AlignmentError
        raise kind(f"X has {n} samples and Y {len(Y) if Y.ndim else 0}: they differ by {abs(n - (Y.size and len(Y)))}")
    if X.ndim < 2:
        raise DegenerateDataError(f"X has shape {X.shape}; it must be (samples, features), also for one feature")
    if n < 2:
        raise DegenerateDataError(f"cross-validation needs at least 2 samples, and there {'is' if n else 'are'} {n}")
    if 0 in X.shape[1:]:
        raise DegenerateDataError(f"X has shape {X.shape}: at least 1 feature is needed")
    if 0 in Y.shape[1:]:
        raise DegenerateDataError(f"Y has shape {Y.shape}: at least 1 target is needed")
    _refuse_missing(X)
    frame = _frame(X, Y, n)
    units = _units(Y)
    # Estimators compare labels too; where the caller vouches for the order, they are given bare targets.
    y: Any = np.asarray(plain(Y)) if assume_aligned else Y
    if classifier:
        return _classes(X, y, Y, frame)
    return _numbers(_with_coordinates(X, frame), y, Y, frame, units, nan_policy)


def _array(values: Any, name: str) -> Any:
    if isinstance(values, xr.DataArray):
        if not values.dims or values.dims[0] != "sample":
            raise AlignmentError(f"{name} has the dimensions {values.dims}; the first must be 'sample': transpose it")
        return values
    if isinstance(values, (xr.Dataset, str, bytes, dict)) or callable(values):
        raise TypeError(f"{name} is a {type(values).__name__}; expected a labelled array or a plain one")
    return np.asarray(values)


def _frame(X: Any, Y: Any, n: int) -> xr.DataArray | None:
    """Sample coordinates of both sides; those of Y count where the two differ."""
    coords: dict[str, Any] = {}
    for array in (X, Y):
        if isinstance(array, xr.DataArray):
            coords.update({str(k): ("sample", v.values) for k, v in array.coords.items() if v.dims == ("sample",)})
    if not coords:
        return None
    return xr.DataArray(np.zeros((n, 1)), dims=("sample", "unit"), coords=coords)


def _with_coordinates(X: Any, frame: xr.DataArray | None) -> Any:
    """X with the sample coordinates that only Y has, so that splitters inside an estimator can read them."""
    if frame is None or not isinstance(X, xr.DataArray):
        return X
    new = {key: ("sample", c.values) for key, c in frame.coords.items() if key not in X.coords}
    return X.assign_coords(new) if new else X


def _units(Y: Any) -> dict[str, np.ndarray]:
    if isinstance(Y, xr.DataArray) and "unit" in Y.dims:
        return {str(key): c.values for key, c in Y.coords.items() if c.dims == ("unit",)}
    return {}


def _name(array: Any, dim: str, place: int) -> str:
    wanted = ("stimulus",) if dim == "sample" else ("unit_name", "roi", "layer", "channel", "space")
    if isinstance(array, xr.DataArray):
        for key in wanted:
            if key in array.coords and array.coords[key].dims == (dim,):
                return f"{place} ({key} {array.coords[key].values[place]})"
    return str(place)


def _bad(values: np.ndarray) -> np.ndarray | None:
    """Where values are not finite, as (n, rest); None when all are."""
    if values.dtype.kind not in "fc":
        return None
    flat = values.reshape(len(values), -1)
    with np.errstate(all="ignore"):
        if np.isfinite(flat.sum(dtype=np.float64)):
            return None
    bad = ~np.isfinite(flat)
    return bad if bad.any() else None


def _refuse_missing(X: Any) -> None:
    values = plain(X)
    if values.dtype.kind == "O":
        raise DegenerateDataError("X holds objects, not numbers; convert it to a float array first")
    bad = _bad(values)
    if bad is not None:
        rows = np.flatnonzero(bad.any(axis=1))
        shown = ", ".join(_name(X, "sample", int(row)) for row in rows[:SHOWN])
        raise DegenerateDataError(
            f"X has {int(bad.sum())} values that are not finite, in {len(rows)} samples: {shown}"
            f"{', ...' if len(rows) > SHOWN else ''}; remove those samples or features, or fill them inside a pipeline "
            "before calling"
        )


def _classes(X: Any, y: Any, Y: Any, frame: xr.DataArray | None) -> Pair:
    values = np.asarray(plain(y))
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
        y = y.isel(unit=0, drop=True) if isinstance(y, xr.DataArray) else values
    if values.ndim != 1:
        raise DegenerateDataError(
            f"a classifier takes one label per sample, and Y has shape {values.shape}; for numbers use a regressor"
        )
    missing = _bad(values)
    if missing is not None:
        raise DegenerateDataError(f"{int(missing.sum())} class labels are not finite; remove those samples")
    if values.dtype.kind == "f" and (values != np.floor(values)).any():
        first = float(values[values != np.floor(values)][0])
        raise DegenerateDataError(
            f"Y is continuous ({len(np.unique(values))} different numbers in {len(values)} samples, such as {first:g})"
            ", and a classifier predicts labels; for numbers use a regressor such as Ridge with score='r', or cut Y "
            "into classes first"
        )
    classes, truth = np.unique(values, return_inverse=True)
    if len(classes) < 2:
        raise DegenerateDataError(
            f"all {len(values)} samples have the class {classes[0]!s}: a classifier needs at least 2 classes"
        )
    name = str(Y.name) if isinstance(Y, xr.DataArray) and Y.name is not None else "target"
    return Pair(
        X=_with_coordinates(X, frame),
        y=y,
        truth=truth.reshape(-1, 1),
        frame=frame,
        units={"unit_name": np.asarray([name])},
        n_units=1,
        kept=np.arange(1),
        classes=classes,
    )


def _numbers(X: Any, y: Any, Y: Any, frame: xr.DataArray | None, units: dict[str, np.ndarray], nan_policy: str) -> Pair:
    values = np.asarray(plain(y))
    if values.dtype.kind not in "fiub":
        raise DegenerateDataError(
            f"Y holds {values.dtype} and the estimator predicts numbers; for labels use a classifier"
        )
    one = values.ndim == 1
    table = values[:, None] if one else values
    if one:
        units = {"unit_name": np.asarray([str(getattr(Y, "name", None) or "target")])}
    bad = _bad(table)
    kept = np.arange(table.shape[1])
    if bad is not None:
        broken = np.asarray(bad.reshape(len(table), table.shape[1], -1).any(axis=(0, 2)))
        asked = np.asarray(units.get("masked", np.zeros(table.shape[1]))).astype(bool)
        places = np.flatnonzero(broken & ~asked)
        if nan_policy == "raise" and len(places):
            shown = ", ".join(_name(Y, "unit", int(place)) for place in places[:SHOWN])
            raise DegenerateDataError(
                f"Y has {int(bad.sum())} values that are not finite, in {len(places)} targets: {shown}"
                f"{', ...' if len(places) > SHOWN else ''}; pass nan_policy='drop_targets' to leave those targets out"
            )
        kept = np.flatnonzero(~broken)
        if len(kept) == 0:
            raise DegenerateDataError("every target has values that are not finite: nothing is left to predict")
        y = y[:, kept]
        table = table[:, kept]
    named = list(Y.dims[2:]) if isinstance(Y, xr.DataArray) else ["time", "time_test"][: table.ndim - 2]
    extra = {str(d): (Y.coords[d].values if isinstance(Y, xr.DataArray) and d in Y.coords else None) for d in named}
    n_units = 1 if one else values.shape[1]
    return Pair(X, y, table, frame, units, n_units, kept, None, extra)
