"""What each feature space contributes to a prediction: what only it explains, what is shared, and an exact split."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ..compute.progress import progress
from ..compute.random import check_random_state
from ..compute.scores import is_constant
from ..exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning
from ..representation import plain
from .crossval import cross_validate, seeded
from .leakage import check_neighbours
from .pairing import pair
from .splits import resolve_splits


def product_measure(truth: Any, parts: Any) -> np.ndarray:
    r"""Split R2 over bands whose predictions add up, exactly.

    With the truth y less its mean m over the samples, y_hat = sum_b y_hat_b less the same m (an equal share from each):

        R2_b = sum_n (2 y y_hat_b - y_hat_b y_hat) / sum_n y^2,        sum_b R2_b = R2

    A band may come out below 0: it then serves to take out what another one adds too much (a suppressor).

    Parameters
    ----------
    truth : (samples, targets); parts : (bands, samples, targets), labelled or plain.

    Returns
    -------
    (bands, targets) float64; NaN where the truth is constant.

    Raises
    ------
    ValueError : the shapes do not fit.

    Source: Pratt 1987 (product measure); Dupre la Tour et al. 2022, NeuroImage 264, section 2.8.

    Examples
    --------
    >>> truth = np.array([[1.0], [2.0], [3.0]])
    >>> split = product_measure(truth, np.stack([truth, 0 * truth]) + np.array([0.0, 0.1])[:, None, None])
    >>> bool(np.isclose(split.sum(), 1 - 3 * 0.01 / 2))
    True
    """
    y, each = np.asarray(plain(truth), dtype=np.float64), np.asarray(plain(parts), dtype=np.float64)
    if each.ndim != 3 or y.ndim != 2 or each.shape[1:] != y.shape:
        raise ValueError(
            f"truth {y.shape} and parts {each.shape} do not fit: expected (samples, targets), (bands, samples, targets)"
        )
    flat = is_constant(y)
    mean = y.mean(0)
    y, each = y - mean, each - mean / len(each)
    total = np.where(flat, np.nan, (y**2).sum(0))
    return np.asarray(((2 * y - each.sum(0)) * each).sum(1) / total)


def partition_variance(
    est: Any,
    X: Any,
    Y: Any,
    splits: Any = None,
    *,
    by: Any = "space",
    random_state: Any = None,
    store: str | Path | None = None,
    **options: Any,
) -> xr.Dataset:
    r"""Held-out R2 of a model on several feature spaces, and how much of it each space accounts for.

    - ``unique_b`` = R2 of the model on all bands - R2 of the same model fitted anew without band b.
    - ``shared`` = R2 - sum_b unique_b: what more than one band could explain (below 0 where they work together).
    - ``product_b``: :func:`product_measure` of the band predictions of the one model; sums exactly to R2.

    The three answer different questions. R2 is that of all held-out predictions together.

    Parameters
    ----------
    est : an estimator with ``predict_bands``, such as ``BandedRidge(by="space")`` or ``StackedRegression``, or a
        pipeline that ends in one. Cloned, never changed.
    X : (sample, unit) features with the coordinate ``by``; or plain, and then ``by`` is a sequence of names and so is
        ``est.by``.
    Y : (sample, unit) numbers.
    splits : as for :func:`cross_validate`.
    by : unit coordinate of X that names the bands, or a sequence of names, one a feature.
    random_state : seed for estimators that draw and have none, so that every fit draws the same.
    store : folder for finished pieces, one subfolder a model.
    options : further arguments of :func:`cross_validate`: ``ceiling, assume_aligned, allow_overlap, groups, gap,
        client, question, data_card, command``.

    Returns
    -------
    The result of ``cross_validate(est, X, Y, score="r2", pool="predictions")`` with predictions, and
    ``unique(band, unit)``, ``without(band, unit)`` (R2 without that band), ``shared(unit)``, ``product(band, unit)``.

    Raises
    ------
    TypeError : ``est`` cannot say what each band predicts.
    AlignmentError, LeakageError, DegenerateDataError : as for :func:`cross_validate`; fewer than two bands.

    Source: de Heer et al. 2017, J. Neuroscience 37 (variance partitioning by refits); Dupre la Tour et al. 2022,
    NeuroImage 264, section 2.8 (product measure).

    Examples
    --------
    >>> from neurodecode.linear import BandedRidge
    >>> rng = np.random.default_rng(0)
    >>> X, names = rng.normal(size=(80, 6)), ["a"] * 3 + ["b"] * 3
    >>> Y = X @ rng.normal(size=(6, 2)) + 2 * rng.normal(size=(80, 2))
    >>> model = BandedRidge(by=names, alphas=np.logspace(-6, 5, 12), n_iter=5, random_state=0)
    >>> found = partition_variance(model, X, Y, 4, by=names)
    >>> bool(np.allclose(found["product"].sum("band"), found["score"], atol=1e-12))
    True
    """
    band = _bands(X, by)
    names = list(dict.fromkeys(band.tolist()))
    if len(names) < 2:
        raise DegenerateDataError(
            f"there is one band only ({names[0]}), and nothing to share; by= must name two or more."
        )
    est = seeded(clone(est), int(check_random_state(random_state).integers(2**31 - 1)))
    _check(est)
    aligned = bool(options.get("assume_aligned", False))
    data = pair(X, Y, classifier=False, assume_aligned=aligned)
    folds, text, splitter = resolve_splits(
        splits, data.frame, data.n_samples, groups=options.pop("groups", None), gap=options.pop("gap", None)
    )
    check_neighbours(data.frame, splitter, text)
    pairs = [(fold.train, fold.test) for fold in folds]
    given: dict[str, Any] = {"score": "r2", "pool": "predictions", **options}

    def scored(model: Any, features: Any, name: str, **more: Any) -> xr.Dataset:
        place = None if store is None else Path(store) / name
        return cross_validate(model, features, Y, pairs, store=place, **{**given, **more})

    joint = scored(est, X, "joint", keep="prediction")
    joint = joint.assign_coords(fold=("fold", [fold.name for fold in folds]))
    given.pop("ceiling", None)
    without = []
    for number, name in enumerate(progress(names, "fitting without each band")):
        rest = band != name
        model = _for_features(est, rest)
        with warnings.catch_warnings():
            # Some targets lose all that explains them, and their penalty then goes to the upper edge: as it should.
            warnings.filterwarnings("ignore", "The best penalty stands at the upper edge", NeurodecodeWarning)
            without.append(scored(model, X[:, rest], f"without_{number}")["score"].values)
    missing = np.stack(without)
    split = _split(est, data, folds, len(names))
    unique = joint["score"].values - missing
    joint["without"] = (("band", "unit"), missing)
    joint["unique"] = (("band", "unit"), unique)
    joint["shared"] = ("unit", joint["score"].values - unique.sum(0))
    joint["product"] = (("band", "unit"), split)
    joint = joint.assign_coords(band=("band", names))
    joint.attrs["splits"] = text
    joint.attrs["notes"] = [*joint.attrs["notes"], f"unique: R2 lost without a band named by {_said(by)}, fitted anew"]
    return joint


def partition_table(result: xr.Dataset, by: str | None = None) -> Any:
    """A row for each unit (or the mean of each value of the unit coordinate ``by``): R2, shared, unique and product.

    Returns
    -------
    pandas.DataFrame with the columns ``r2, shared, unique NAME ..., product NAME ...`` and the labels of the units.

    Examples
    --------
    >>> found = xr.Dataset(
    ...     {"score": ("unit", [0.5]), "shared": ("unit", [0.1]), "unique": (("band", "unit"), [[0.3], [0.1]]),
    ...      "product": (("band", "unit"), [[0.35], [0.15]])}, coords={"band": ["words", "pixels"]})
    >>> partition_table(found).columns.tolist()
    ['r2', 'shared', 'unique words', 'unique pixels', 'product words', 'product pixels']
    """
    import pandas as pd

    columns: dict[str, Any] = {"r2": result["score"].values, "shared": result["shared"].values}
    for kind in ("unique", "product"):
        for number, name in enumerate(result["band"].values):
            columns[f"{kind} {name}"] = result[kind].values[number]
    table = pd.DataFrame(columns)
    if by is None:
        labels = {str(key): c.values for key, c in result.coords.items() if c.dims == ("unit",)}
        return pd.concat([pd.DataFrame(labels), table], axis=1) if labels else table
    if by not in result.coords or result[by].dims != ("unit",):
        raise AlignmentError(f"by={by!r}: the result has no such coordinate on unit.")
    return table.groupby(result[by].values).mean().rename_axis(by)


def _said(by: Any) -> str:
    return repr(by) if isinstance(by, str) else "a list"


def _bands(X: Any, by: Any) -> np.ndarray:
    """The band of each feature, as text."""
    if isinstance(by, str):
        if not isinstance(X, xr.DataArray) or by not in X.coords or X.coords[by].dims != ("unit",):
            there = sorted(str(k) for k, c in X.coords.items() if c.dims == ("unit",)) if hasattr(X, "coords") else []
            raise AlignmentError(f"by={by!r}: X has no such coordinate on unit (it has {there}); it names the bands.")
        return np.asarray(X.coords[by].values).astype(str)
    band = np.asarray(by).astype(str)
    if band.shape != (np.shape(X)[1],):
        raise AlignmentError(f"by= names {band.size} features and X has {np.shape(X)[1]}; give one name a feature.")
    return band


def _last(est: Any) -> Any:
    return est[-1] if isinstance(est, Pipeline) else est


def _check(est: Any) -> None:
    if not hasattr(_last(est), "predict_bands"):
        raise TypeError(
            f"{type(_last(est)).__name__} does not say what each band predicts. Pass BandedRidge(by=...), "
            "StackedRegression(by=...), or a pipeline that ends in one."
        )


def _for_features(est: Any, kept: np.ndarray) -> Any:
    """The estimator for some of the features: where it was given the name of each, those of the ones that are kept."""
    model = clone(est)
    by = getattr(_last(model), "by", None)
    if by is not None and not isinstance(by, str):
        _last(model).set_params(by=[name for name, keep in zip(by, kept) if keep])
    return model


def _split(est: Any, data: Any, folds: list, count: int) -> np.ndarray:
    """The product measure over all held-out predictions: (bands, targets)."""
    truth, parts = [], []
    for fold in folds:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NeurodecodeWarning)  # the joint model has said it
            model = clone(est).fit(data.X[fold.train], data.y[fold.train])
        features = data.X[fold.test]
        if isinstance(model, Pipeline):
            features = model[:-1].transform(features) if len(model) > 1 else features
        found = np.asarray(plain(_last(model).predict_bands(features)), dtype=np.float64)
        if len(found) != count:
            raise AlignmentError(f"the estimator has {len(found)} bands and by= names {count}; give both the same by.")
        parts.append(found if found.ndim == 3 else found[:, :, None])
        truth.append(data.truth[fold.test])
    return product_measure(np.concatenate(truth), np.concatenate(parts, axis=1))
