"""Convergent learning: which units of one space recur in another, one to one, many to one, and in groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from .._numbers import numbers_of, whole
from ..compute.nulls import p_value
from ..compute.random import check_random_state
from ..compute.scores import is_constant
from ..exceptions import DegenerateDataError
from ..representation import Labels
from .comparison import block_of, measure, orders_for
from .crossed import spaces
from .matching import assign, correlate, lasso, standardised
from .spaces import Space, fold_of


def match_units(
    X: Any,
    Y: Any,
    *,
    groups: str | None = None,
    permutations: int = 0,
    blocks: str | None = None,
    random_state: Any = None,
    device: Any = None,
) -> xr.Dataset:
    r"""Match the units of two spaces, and score every match on stimuli that did not choose it.

    Units are matched on one half of the stimuli by the correlations ``C_ij = corr(x_i, y_j)``, one to one (the
    assignment with the largest sum) and freely (every unit takes its best, which several may share); the correlation of
    each match is then taken on the other half, and the same the other way round. The difference of the two is what is
    many to one. A correlation of all stimuli, which chose the match as well, is above 0 for unrelated data; one of
    held-out stimuli is not.

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    groups : sample coordinate that names what is held out together (``"picture"``, ``"run"``); without it every
        stimulus alone. A half is drawn from the hash of the name, so that order does not matter.
    permutations : draws, in which the stimuli of Y are exchanged and units are matched again.
    blocks : stimuli are exchanged only within a block of this sample coordinate.
    random_state : seed of the draws.
    device : torch device; None: the CPU.

    Returns
    -------
    Dataset over ``unit`` (of X) and ``unit_other`` (of Y): ``correlation`` (unit, unit_other) and, of all stimuli,
    ``partner`` and ``best_partner`` (place on ``unit_other``, -1 where the narrower side has no unit left), ``matched``
    and ``best`` (their correlations); ``matched_held_out`` and ``best_held_out``, mean of both halves. Coordinates of
    units stay, those of Y as ``*_other``; ``position`` and ``position_other`` say where a unit stands in X and Y as
    they came, masked units counted though they are left out. With permutations
    ``null_matched``, ``null_best`` (permutation), means over units of all stimuli, ``null_held_out`` (permutation) of
    the one-to-one match on held-out stimuli, and attrs ``p_matched``, ``p_best``, ``p_held_out``. attrs: ``matched``,
    ``best``, ``matched_held_out``, ``best_held_out`` (means over units), ``gap`` (best minus matched, held out),
    ``n_samples``, ``n_permutations``, ``random_state``, ``blocks``, ``groups``.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats; no such coordinate. DegenerateDataError : not finite, too
        few, a constant unit (leave it out), halves with fewer than 3 stimuli.

    Source: Li et al. 2015, Convergent learning, section 3; held-out halves are added here.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(200, 4))
    >>> found = match_units(x, -2 * x[:, [2, 0, 3, 1]] * [-1, -1, -1, -1])
    >>> found["partner"].values.tolist(), round(found.attrs["matched_held_out"], 6)
    ([1, 3, 0, 2], 1.0)
    """
    permutations = whole(permutations, "permutations")
    x, y = spaces(X, Y, device)
    correlations = correlate(x, y)
    rows, columns = assign(correlations)
    partner = np.full(len(correlations), -1)
    partner[rows] = columns
    best = correlations.argmax(1)
    halves = _halves(x, X, groups)
    matched, freely = _held_out(x, y, halves)
    every = np.arange(len(correlations))
    found = {
        "correlation": (("unit", "unit_other"), correlations),
        "partner": ("unit", partner),
        "matched": ("unit", np.where(partner >= 0, correlations[every, partner], np.nan)),
        "matched_held_out": ("unit", matched),
        "best_partner": ("unit", best),
        "best": ("unit", correlations[every, best]),
        "best_held_out": ("unit", freely),
    }
    attrs: dict[str, Any] = {
        name: float(np.nanmean(found[name][1])) for name in ("matched", "best", "matched_held_out", "best_held_out")
    }
    attrs |= {
        "gap": attrs["best_held_out"] - attrs["matched_held_out"],
        "n_samples": x.n,
        "n_permutations": permutations,
        "random_state": random_state if isinstance(random_state, (int, type(None))) else repr(random_state),
    }
    attrs |= {"blocks": blocks, "groups": groups}
    if permutations:
        where = None if blocks is None else block_of(X, x, blocks)
        orders = orders_for(measure("permutation", {}), x.n, permutations, random_state, where, "permutation")
        nulls = np.array([_shuffled(x, y.take(order), halves) for order in orders]).T
        for name, null in zip(("matched", "best", "held_out"), nulls):
            found[f"null_{name}"] = ("permutation", null)
            observed = attrs["matched_held_out" if name == "held_out" else name]
            attrs[f"p_{name}"] = float(p_value(np.asarray(observed), null))
    return xr.Dataset(found, _units(X, "unit", "", found) | _units(Y, "unit_other", "_other", found), attrs)


def _units(X: Any, dim: str, suffix: str, taken: Any) -> dict[str, Any]:
    """Coordinates of the units of X that are compared, and where they stand in X; for the dimension ``dim``.

    Examples
    --------
    >>> _units(np.ones((3, 2)), "unit_other", "_other", {})["position_other"][1].tolist()
    [0, 1]
    """
    if not isinstance(X, xr.DataArray):
        return {f"position{suffix}": (dim, np.arange(X.width if isinstance(X, Space) else np.shape(X)[1]))}
    known = {name: entry for name, entry in Labels.of(X, "unit").coords.items() if name != "masked"}
    kept = np.arange(X.sizes["unit"])
    if "masked" in X.coords:
        kept = kept[~X["masked"].values.astype(bool)]
    found = {f"{name}{suffix}": (dim, np.asarray(entry)[kept]) for name, entry in known.items()}
    return {name: entry for name, entry in found.items() if name not in taken} | {f"position{suffix}": (dim, kept)}


def _halves(x: Space, X: Any, groups: str | None) -> np.ndarray:
    """Which half every stimulus is in, in the order of ``x``."""
    if groups is None:
        names = [str(label) for label in x.labels] if x.labels is not None else [str(at) for at in range(x.n)]
    else:
        named = isinstance(X, xr.DataArray) and isinstance(groups, str) and groups in X.coords
        if not named or X[groups].dims != ("sample",):
            known = ", ".join(sorted(map(str, X.coords))) if isinstance(X, xr.DataArray) else "none"
            raise ValueError(f"groups={groups!r} is not a coordinate of the samples of X; it has {known}.")
        names = [str(name) for name in block_of(X, x, groups)]
    unique = sorted(dict.fromkeys(names), key=lambda name: (fold_of(name, 1_000_003), name))
    side = {name: at % 2 for at, name in enumerate(unique)}
    half = np.array([side[name] for name in names])
    fewest = min((half == 0).sum(), (half == 1).sum())
    if fewest < 3:
        raise DegenerateDataError(
            f"one half has {fewest} stimuli, too few for a correlation; expected at least 3 in each"
            + (f", from two or more {groups!r}." if groups else ".")
        )
    return half


def _held_out(x: Space, y: Space, half: np.ndarray, drawn: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Correlation of every match on the half that did not choose it, mean of both; one to one, and freely.

    ``drawn``: the stimuli of y are exchanged, which may leave a rarely active unit silent in a half. Such a unit has no
    correlation there: 0.
    """
    parts = []
    for at in (0, 1):
        one, two = x.take(np.flatnonzero(half == at)), y.take(np.flatnonzero(half == at))
        parts.append(_correlate_drawn(one, two) if drawn else correlate(one, two))
    matched, freely = np.full((2, x.width), np.nan), np.empty((2, x.width))
    for at, (choose, score) in enumerate((parts, parts[::-1])):
        rows, columns = assign(choose)
        matched[at, rows] = score[rows, columns]
        freely[at] = score[np.arange(x.width), choose.argmax(1)]
    known = np.isfinite(matched)
    mean = np.where(known, matched, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
    return mean, freely.mean(0)


def _correlate_drawn(x: Space, y: Space) -> np.ndarray:
    """Correlations of units, 0 for units of y that are constant."""
    silent = is_constant(y.raw.cpu().numpy())
    if not silent.any():
        return correlate(x, y)
    found = np.zeros((x.width, y.width))
    if not silent.all():
        found[:, ~silent] = correlate(x, Space(y.raw.cpu().numpy()[:, ~silent], y.labels, y.name, y.raw.device))
    return found


def _shuffled(x: Space, y: Space, half: np.ndarray) -> tuple[float, float, float]:
    correlations = correlate(x, y)
    held_out = _held_out(x, y, half, drawn=True)[0]
    return (
        float(correlations[assign(correlations)].mean()),
        float(correlations.max(1).mean()),
        float(np.nanmean(held_out)),
    )


def sparse_prediction(
    X: Any, Y: Any, *, penalties: Any = (1e-2, 10**-1.6, 1e-1, 10**-0.6), n_folds: int = 3, device: Any = None
) -> xr.Dataset:
    r"""How well, and from how many units of X, every unit of Y is predicted, beside its one best partner.

        W = argmin ||Y - X W||^2 / n + penalty sum |W|, of standardised units; R2 over held-out stimuli

    Where one unit predicts as well as many, the two spaces share units; where many are needed, they share a subspace.

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    penalties : one or more, above 0, any order.
    n_folds : folds, by the hash of the stimulus; three at least.
    device : torch device; None: the CPU.

    Returns
    -------
    Dataset: ``r2`` and ``used`` (penalty, unit): held-out R2, and weights that are not 0, mean over folds; ``weight``
    (penalty, source, unit): the weights of standardised units of X (``source``), mean over folds, so that one that is 0
    was used in none; ``r2_one`` (unit): from the one unit of X with the largest correlation among the training stimuli,
    by regression. Coordinates of units stay, those of X as ``*_source``; ``position`` and ``position_source`` say where
    a unit stands in Y and X as they came.

    Raises
    ------
    AlignmentError, DegenerateDataError : as :func:`neurodecode.similarity.sparse_matching`. ValueError : a penalty that
        is not above 0.

    Warns
    -----
    NeurodecodeWarning : the lasso did not converge.

    Source: Li et al. 2015, Convergent learning, section 4.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(300, 6))
    >>> found = sparse_prediction(x, (x[:, :1] + x[:, 1:2]) / 2, penalties=[0.05])
    >>> float(found["used"][0, 0]), bool(found["r2"][0, 0] > 0.9), bool(found["r2_one"][0] < 0.7)
    (2.0, True, True)
    """
    x, y = spaces(X, Y, device)
    sweep = np.sort(np.atleast_1d(numbers_of(penalties, "penalties", "numbers above 0")))[::-1]
    if sweep.ndim != 1 or not len(sweep) or not (np.isfinite(sweep).all() and (sweep > 0).all()):
        raise ValueError(f"penalties={penalties!r}: expected numbers above 0.")
    for side in (x, y):
        _ = side.standard  # refuses constant units
    one, two = x.raw.cpu().numpy(), y.raw.cpu().numpy()
    folds = x.folds(n_folds)
    error, used = np.zeros((len(sweep), two.shape[1])), np.zeros((len(sweep), two.shape[1]))
    error_one, spread = np.zeros(two.shape[1]), np.zeros(two.shape[1])
    summed = np.zeros((len(sweep), one.shape[1], two.shape[1]))
    for test in folds:
        train = np.setdiff1d(np.arange(len(one)), test)
        (a, a_test), (b, b_test) = (standardised(values, train, test) for values in (one, two))
        spread += (b_test**2).sum(0)
        correlations = a.T @ b / len(a)
        chosen = np.abs(correlations).argmax(0)
        error_one += ((b_test - a_test[:, chosen] * correlations[chosen, np.arange(len(chosen))]) ** 2).sum(0)
        for at, penalty in enumerate(sweep):
            weights = lasso(a, b, float(penalty))
            error[at] += ((b_test - a_test @ weights) ** 2).sum(0)
            used[at] += (weights != 0).sum(0)
            summed[at] += weights
    found = {
        "r2": (("penalty", "unit"), 1 - error / spread),
        "used": (("penalty", "unit"), used / len(folds)),
        "weight": (("penalty", "source", "unit"), summed / len(folds)),
        "r2_one": ("unit", 1 - error_one / spread),
    }
    taken = {*found, "penalty"}
    return xr.Dataset(
        found,
        {"penalty": sweep} | _units(X, "source", "_source", taken) | _units(Y, "unit", "", taken),
        {"n_folds": len(folds), "n_samples": x.n},
    )


def cluster_units(X: Any, Y: Any, n_clusters: int, *, random_state: Any = 0, device: Any = None) -> xr.Dataset:
    r"""Groups of units that correlate, across both spaces: spectral clustering of their union.

    The affinity of two units of the union is ``|corr|`` over stimuli; with degrees d, the eigenvectors of
    ``D^-1/2 A D^-1/2`` with the ``n_clusters`` largest eigenvalues, each row scaled to length 1, go through k-means.

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    n_clusters : groups, 2 to p + q - 1.
    random_state : seed of k-means.
    device : torch device; None: the CPU.

    Returns
    -------
    Dataset over ``member`` (p units of X, then q of Y): ``cluster``, ``side`` (``"X"`` or ``"Y"``), ``position``
    (in X or Y as it came, masked units counted); over ``cluster_name``: ``n_X``, ``n_Y``, ``across`` (mean \|corr\|
    between its units of X and those of Y, NaN where one side has none). attrs: ``within`` and ``between``, mean
    \|corr\| of units of X with units of Y of the same and of other clusters; ``shared``, clusters with units of both.

    Raises
    ------
    AlignmentError, DegenerateDataError : as :func:`match_units`. ValueError : ``n_clusters``.

    Source: Li et al. 2015, Convergent learning, section 5; Ng, Jordan and Weiss 2002, NeurIPS 14.

    Examples
    --------
    >>> rng = np.random.default_rng(0); source = rng.normal(size=(200, 2))
    >>> x, y = (np.repeat(source, 3, axis=1) + 0.3 * rng.normal(size=(200, 6)) for _ in range(2))
    >>> found = cluster_units(x, y, 2)
    >>> found.attrs["shared"], found["n_X"].values.tolist(), found["n_Y"].values.tolist()
    (2, [3, 3], [3, 3])
    """
    from sklearn.cluster import KMeans

    x, y = spaces(X, Y, device)
    p, q = x.width, y.width
    if not 2 <= (n_clusters := whole(n_clusters, "n_clusters")) < p + q:
        raise ValueError(f"n_clusters={n_clusters}: expected 2 to {p + q - 1} for {p} + {q} units.")
    both = np.hstack([x.standard.cpu().numpy(), y.standard.cpu().numpy()])
    affinity = np.clip(np.abs(both.T @ both), 0, 1)
    root = 1 / np.sqrt(affinity.sum(0))
    _, vectors = np.linalg.eigh(root[:, None] * affinity * root)
    rows = vectors[:, -n_clusters:]
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    seed = int(check_random_state(random_state).integers(2**31))
    found = KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(rows)
    # Numbered by their first unit, so that a seed does not change the names of equal groups.
    names = list(dict.fromkeys(found.tolist()))
    cluster = np.array([names.index(one) for one in found.tolist()])
    across = affinity[:p, p:]
    same = cluster[:p, None] == cluster[None, p:]
    of = [(cluster[:p] == at, cluster[p:] == at) for at in range(len(names))]
    means = [across[np.ix_(a, b)].mean() if a.any() and b.any() else np.nan for a, b in of]
    return xr.Dataset(
        {
            "cluster": ("member", cluster),
            "side": ("member", np.array(["X"] * p + ["Y"] * q)),
            "position": ("member", np.concatenate([_units(side, "", "", ())["position"][1] for side in (X, Y)])),
            "n_X": ("cluster_name", [int(a.sum()) for a, _ in of]),
            "n_Y": ("cluster_name", [int(b.sum()) for _, b in of]),
            "across": ("cluster_name", means),
        },
        {"cluster_name": np.arange(len(names))},
        {
            "within": float(across[same].mean()) if same.any() else float("nan"),
            "between": float(across[~same].mean()) if (~same).any() else float("nan"),
            "shared": int(sum(a.any() and b.any() for a, b in of)),
            "n_samples": x.n,
        },
    )
