"""What one representation looks like: how classes lie, how many directions it uses, what it is spread over.

Functions of (samples, units), labelled or plain. Those that compare two states of one network are in ``change``, those
of its gradients in ``tangent``, what a readout can tell in ``capacity``; all are reached from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .._names import lookup
from .._numbers import amount, whole
from ..compute.nulls import p_value, permutation_orders
from ..compute.scores import is_constant
from ..exceptions import AlignmentError, DegenerateDataError
from ..representation import Labels, check_same_labels, check_same_samples, plain
from .capacity import manifold_capacity
from .change import kernel_alignment, representation_change
from .classes import by_class
from .shift import concept_shift
from .spaces import matrix
from .tangent import tangent_change, tangent_kernel

__all__ = [
    "class_separability",
    "components",
    "concept_shift",
    "dirichlet_energy",
    "effective_rank",
    "gdv",
    "intrinsic_dimension",
    "kernel_alignment",
    "manifold_capacity",
    "participation_ratio",
    "representation_change",
    "tangent_change",
    "tangent_kernel",
    "variance_explained",
]


def gdv(X: Any, labels: Any, *, permutations: int = 0, blocks: Any = None, random_state: Any = None) -> xr.Dataset:
    r"""Generalised discrimination value: how much nearer samples are to their own class than to others.

        GDV = (1/sqrt(D)) [ mean_k within_k - mean_{k<l} between_kl ]

    of z-scored units, s = (x - mean) / (2 sd) over all samples (a constant unit becomes 0): ``within_k`` the mean
    Euclidean distance of two samples of class k, ``between_kl`` of one of k and one of l. Lower is better separated; 0
    means that classes say nothing. Unchanged by shifts, by a scale for every unit, by exchanging units or repeating all
    of them; changed by rotations.

    -1 is reached by two balanced classes of one point each only. Two points with a share p in one: -1 / (2 sqrt(p (1 -
    p))). K balanced points in general position: -sqrt(K / (2 (K - 1))). So compare layers with the same labels, not
    label sets with each other.

    Parameters
    ----------
    X : (samples, units). labels : (samples,) class of every sample, in the order of X, or the name of a sample
        coordinate of X.
    permutations : how often labels are exchanged, for the value that they reach by chance; n^2 distances are then held.
    blocks : (samples,) group of every sample, such as its story or run; labels are exchanged within groups only.
    random_state : seed of the exchanges.

    Returns
    -------
    Dataset: ``gdv``; ``gdv_class(class)``, (within_k - mean of between_kl over l) / sqrt(D), whose mean is ``gdv``;
    ``within(class)`` and ``between(class, class_other)`` mean distances, NaN on the diagonal; ``n(class)``.
    With ``permutations``: ``null(permutation)``, ``null_class(permutation, class)``, and ``p``, ``p_class(class)``, the
    share of permutations (and of what was observed) as low as observed.

    Raises
    ------
    AlignmentError : labels of other samples. DegenerateDataError : not finite, one class, a class of one sample.

    Source: Schilling et al. 2021, Neural Networks 139, section 2; Surendra et al. 2023, eq. 1 to 4.

    Examples
    --------
    >>> X = np.array([[0.0, 1.0], [0.0, 1.0], [2.0, 5.0], [2.0, 5.0]])
    >>> round(float(gdv(X, ["a", "a", "b", "b"])["gdv"]), 6)
    -1.0
    """
    permutations = whole(permutations, "permutations")
    x, which, names = by_class(X, labels, fewest=2)
    still = is_constant(x)
    s = np.where(still, 0.0, 0.5 * (x - x.mean(0)) / np.where(still, 1.0, x.std(0)))
    k, counts, root = len(names), np.bincount(which), np.sqrt(x.shape[1])
    if permutations:
        from scipy.spatial.distance import cdist

        far = cdist(s, s)
        sums = _sums(far, which, k)
    else:
        sums = _class_sums(s, which, k)
    within, between = _means(sums, counts)
    each = _per_class(within, between) / root
    found = xr.Dataset(
        {
            "gdv": float(each.mean()),
            "gdv_class": ("class", each),
            "within": ("class", within),
            "between": (("class", "class_other"), between),
            "n": ("class", counts),
        },
        {"class": names, "class_other": names},
        {"units": x.shape[1], "permutations": permutations},
    )
    if permutations:
        orders = permutation_orders(
            len(x), permutations, None if blocks is None else np.asarray(plain(blocks)), random_state=random_state
        )
        null = np.stack([_per_class(*_means(_sums(far, which[order], k), counts)) for order in orders]) / root
        found["null"] = ("permutation", null.mean(1))
        found["null_class"] = (("permutation", "class"), null)
        found["p"] = float(p_value(np.asarray(-each.mean()), -null.mean(1)))
        found["p_class"] = ("class", p_value(-each, -null))
    return found


def _sums(far: np.ndarray, which: np.ndarray, k: int) -> np.ndarray:
    """Sums of distances (k, k) over all ordered pairs of classes, from all distances."""
    one = np.zeros((len(which), k))
    one[np.arange(len(which)), which] = 1.0
    return np.asarray(one.T @ (far @ one))


def _class_sums(s: np.ndarray, which: np.ndarray, k: int) -> np.ndarray:
    """The same without holding all distances."""
    parts = [s[which == at] for at in range(k)]
    sums = np.empty((k, k))
    for a in range(k):
        for b in range(a, k):
            sums[a, b] = sums[b, a] = _distance_sum(parts[a], parts[b])
    return sums


def _means(sums: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean distance within every class (k,) and between every two (k, k), NaN on the diagonal."""
    within = np.diag(sums) / (counts * (counts - 1))
    between = sums / np.outer(counts, counts)
    np.fill_diagonal(between, np.nan)
    return within, between


def _per_class(within: np.ndarray, between: np.ndarray) -> np.ndarray:
    return np.asarray(within - np.nanmean(between, axis=1))


def class_separability(X: Any, labels: Any, how: str = "fisher") -> float:
    r"""How far classes are apart, against how far they spread.

    ``"fisher"``: tr(S_b) / tr(S_w), variance of the class means around the grand mean over variance within, classes
    counting by their size; 0 to infinity, about (K - 1) / (n - K) where the labels say nothing. ``"fisher_corrected"``:
    the F ratio less 1, ((n - K) / (K - 1)) tr(S_b) / tr(S_w) - 1, which is about 0 there. ``"mahalanobis"``: mean over
    pairs of classes of the squared distance of their means in units of the (Ledoit-Wolf shrunk) covariance within: what
    a linear readout can use. All are unchanged by rotation, scale and shift.

    For the accuracy of a linear readout on held-out samples use ``cross_validate(LinearClassifier(), X, labels)``.

    Parameters
    ----------
    X : (samples, units). labels : (samples,).

    Raises
    ------
    AlignmentError : labels of other samples. DegenerateDataError : not finite, one class, a class of one sample, no
        spread within classes.

    Source: Fisher 1936, Annals of Eugenics 7; Bishop 2006, Pattern Recognition and Machine Learning, section 4.1.6.

    Examples
    --------
    >>> class_separability(np.array([[0.0], [2.0], [4.0], [6.0]]), ["a", "a", "b", "b"])
    4.0
    """
    lookup({"fisher": 0, "fisher_corrected": 0, "mahalanobis": 0}, how, "how", callables=False)
    x, which, names = by_class(X, labels, fewest=2)
    n, k = len(x), len(names)
    counts = np.bincount(which)
    means = np.stack([x[which == at].mean(0) for at in range(k)])
    residual = x - means[which]
    spread = float((residual**2).sum())
    if spread <= np.finfo(float).eps * float((x**2).sum()):
        raise DegenerateDataError("nothing varies within the classes, so there is no spread to compare with.")
    if how == "mahalanobis":
        from sklearn.covariance import ledoit_wolf

        covariance = ledoit_wolf(residual, assume_centered=True)[0] * n / (n - k)
        apart = means[:, None] - means[None]
        squared = np.einsum("abp,pq,abq->ab", apart, np.linalg.pinv(covariance, hermitian=True), apart)
        return float(squared[np.triu_indices(k, 1)].mean())
    ratio = float((counts[:, None] * (means - x.mean(0)) ** 2).sum()) / spread
    return ratio if how == "fisher" else (n - k) / (k - 1) * ratio - 1


def dirichlet_energy(X: Any, graph: Any, scale: str = "none") -> float:
    r"""How much a representation changes along the edges of a graph.

        E = sum_ij A_ij ||x_i - x_j||^2 = 2 tr(X' L X),  L the Laplacian of A

    over ordered pairs of nodes. Low: neighbours in the graph are neighbours in the space. Rotation and shift change
    nothing.

    Parameters
    ----------
    X : (nodes, units), a mean state for every node. graph : (nodes, nodes) symmetric weights, 0 or above; a labelled
        array (stimulus, stimulus_other) is brought to the order of X.
    scale : ``"none"``: E. ``"variance"``: E over its mean when nodes are exchanged, 2 tr(L) v with v the summed
        variance (n - 1) of the units: 1 if nodes are placed at random, whatever the scale of X. ``"whitened"``: E of
        the left singular vectors of centred X, so that a single long axis cannot carry it.

    Raises
    ------
    ValueError : a graph that is not square, not symmetric or negative. AlignmentError : other nodes.
    DegenerateDataError : not finite, no edge; nothing varies, where a scale is wanted.

    Source: Park et al. 2025, ICLR (In-context learning of representations), section 4; Chung 1997, Spectral Graph
    Theory.

    Examples
    --------
    >>> path = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    >>> dirichlet_energy(np.array([[0.0], [1.0], [2.0]]), path)
    4.0
    """
    lookup({"none": 0, "variance": 0, "whitened": 0}, scale, "scale", callables=False)
    x = matrix(X, "X", part=True)
    a = _adjacency(X, graph, len(x))
    x = x - x.mean(0)
    power = float((x**2).sum())
    if scale != "none" and (len(x) < 2 or power == 0):
        raise DegenerateDataError("every node has the same state, so there is no variance to scale by.")
    if scale == "whitened":
        left, s, _ = np.linalg.svd(x, full_matrices=False)
        x = left[:, s > np.finfo(float).eps * max(x.shape) * s[0]]
    degree = a.sum(1)
    energy = 2 * float((degree[:, None] * x * x).sum() - (x * (a @ x)).sum())
    if scale == "variance":
        energy /= 2 * float(degree.sum() - np.trace(a)) * power / (len(x) - 1)
    return max(energy, 0.0)


def effective_rank(X: Any, how: str = "participation", center: bool = True) -> float:
    r"""How many directions a representation (or a weight matrix) uses, as a number that need not be whole.

    With the singular values s of X: ``"participation"``: (sum s^2)^2 / sum s^4. ``"entropy"``: exp of the entropy of
    s / sum s. ``"stable"``: sum s^2 / max s^2. They differ much (for a 50 x 50 Gaussian matrix about 25, 40 and 13), so
    say which. All lie between 1 and min(n, p); rotation, scale and (centred) shift change nothing.

    Parameters
    ----------
    X : (samples, units). center : take the mean of every unit out first; False for weights.

    Raises
    ------
    DegenerateDataError : not finite, or nothing varies.

    Source: Roy and Vetterli 2007, EUSIPCO (entropy); Rudelson and Vershynin 2007, J. ACM 54 (stable); Gao et al. 2017,
    bioRxiv 214262 (participation).

    Examples
    --------
    >>> effective_rank(np.eye(4), center=False)
    4.0
    """
    found = lookup(RANKS, how, "how", callables=False)
    s = _spectrum(X, center)
    return float(found(s / s[0]))


RANKS = {
    "participation": lambda s: (s**2).sum() ** 2 / (s**4).sum(),
    "entropy": lambda s: np.exp(-(s / s.sum() * np.log(s / s.sum())).sum()),
    "stable": lambda s: (s**2).sum() / s[0] ** 2,
}


def participation_ratio(X: Any) -> float:
    r"""Participation ratio of the covariance: (tr C)^2 / tr(C^2), from 1 to the number of units.

    For n samples of p isotropic units it is about p n / (n + p): with few samples it is too small, so compare spaces at
    the same n. The same as ``effective_rank(X, "participation")``.

    Parameters
    ----------
    X : (samples, units).

    Raises
    ------
    DegenerateDataError : not finite, or nothing varies.

    Source: Gao et al. 2017, bioRxiv 214262, eq. 5.

    Examples
    --------
    >>> round(participation_ratio([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), 9)
    2.0
    """
    return effective_rank(np.asarray(X) if isinstance(X, list) else X, "participation")


def components(X: Any) -> np.ndarray:
    """Share of the variance that every principal component explains: (min(n - 1, p),), largest first, sum 1.

    Parameters
    ----------
    X : (samples, units).

    Raises
    ------
    DegenerateDataError : not finite, or nothing varies.

    Source: Pearson 1901, Philosophical Magazine 2.

    Examples
    --------
    >>> components(np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])).round(9).tolist()
    [0.9, 0.1]
    """
    s = _spectrum(X, True)
    return s**2 / (s**2).sum()


def intrinsic_dimension(X: Any, discard: float = 0.1) -> float:
    r"""Intrinsic dimension from the two nearest neighbours of every sample (two-NN).

        mu_i = r_i2 / r_i1,  F(mu) = 1 - mu^-d:  d = slope through 0 of -log(1 - F) over log(mu)

    with F the empirical distribution of mu over samples. Where density hardly changes over the second neighbour's
    distance nothing else is assumed; curved spaces are fine. Dimensions above about 10 come out too small.

    Parameters
    ----------
    X : (samples, units). discard : share of the largest mu left out of the line: far, unlike neighbours.

    Returns
    -------
    float. For thinned samples the estimate should stay; if it grows with n, it measures noise.

    Raises
    ------
    DegenerateDataError : not finite, fewer than 10 different samples, or equidistant ones (no ratio above 1). Samples
        that repeat another are counted once.

    Source: Facco et al. 2017, Scientific Reports 7:12140, methods.

    Examples
    --------
    >>> line = np.random.default_rng(0).uniform(size=(2000, 1)) * [[1.0, 2.0, 3.0]]
    >>> round(intrinsic_dimension(line))
    1
    """
    if not 0 <= amount(discard, "discard", least=None) < 1:
        raise ValueError(f"discard={discard!r}: expected a share from 0 to below 1.")
    from sklearn.neighbors import NearestNeighbors

    x = matrix(X, "X")
    x = np.unique(x - x.mean(0), axis=0)
    if len(x) < 10:
        raise DegenerateDataError(f"{len(x)} different samples; two-NN needs 10 at least, and hundreds to be of use.")
    near = NearestNeighbors(n_neighbors=min(5, len(x))).fit(x).kneighbors(x)[1]
    # Distances that follow from products of samples lose their digits where neighbours are much alike.
    far = np.sort(np.sqrt(((x[near] - x[:, None]) ** 2).sum(-1)), axis=1)
    far = far[far[:, 1] > 0]
    ratio = np.sort(np.log(far[:, 2] / far[:, 1]))
    n = len(ratio)
    kept = min(max(int(np.floor(n * (1 - discard))), 2), n - 1)  # at F = 1 the logarithm is infinite
    empirical = -np.log1p(-np.arange(1, kept + 1) / n)
    power = float((ratio[:kept] ** 2).sum())
    if power == 0:
        raise DegenerateDataError("first and second neighbours are equally far everywhere (a lattice?): no dimension.")
    return float((ratio[:kept] * empirical).sum() / power)


def variance_explained(X: Any, features: Any, n_folds: int | None = 5) -> xr.Dataset:
    r"""Share of a representation's variance that each feature of the stimuli explains.

        VE_f = 1 - ||X - X_f||^2 / ||X - mean||^2

    X_f the regression of all units on feature f (text: one column a value), on samples held out. How strongly a feature
    is represented is not how well it can be decoded. Rotation of X changes nothing in ``total``.

    Parameters
    ----------
    X : (samples, units). features : dict of name to (samples,) numbers or text, or (samples, columns) numbers; or one
        DataArray (sample, unit), each unit a feature; or the name of a sample coordinate of X. Independent features
        add up; shared variance is in each.
    n_folds : folds, cut by a hash of the stimulus label; None: fitted and scored on all samples.

    Returns
    -------
    Dataset: ``total(feature)`` over all units; ``unit_r2(feature, unit)``, NaN for a constant unit, with the unit
    coordinates of X.

    Raises
    ------
    AlignmentError : features of other samples, or a coordinate that X does not have. TypeError : features that are
        none of these. ValueError : no features. DegenerateDataError : not finite, nothing varies, too few samples.

    Source: Lampinen, Chan and Hermann 2024, Learned feature representations are biased, section 2.

    Examples
    --------
    >>> f = np.tile([1.0, -1.0], 20)
    >>> X = np.outer(f, [3.0, 0.0]) + np.outer(np.repeat([1.0, -1.0], 20), [0.0, 1.0])
    >>> variance_explained(X, {"f": f}, n_folds=None)["total"].values.round(9).tolist()
    [0.9]
    """
    from .spaces import group

    x = matrix(X, "X")
    if isinstance(features, xr.DataArray):
        check_same_samples(X, features, ("X", "features"))
        names = features["feature"].values if "feature" in features.coords else np.arange(features.sizes["unit"])
        features = {str(name): features.values[:, at] for at, name in enumerate(names)}
    features = _named(X, features)
    labels = X["stimulus"].values.astype(str) if isinstance(X, xr.DataArray) else [str(at) for at in range(len(x))]
    folds = [np.arange(len(x))] if n_folds is None else group(list(labels), n_folds)
    still = is_constant(x)
    total, each = [], []
    for name, given in features.items():
        check_same_samples(X, given, ("X", f"feature {name}"))
        design = _design(np.asarray(plain(given)), str(name), len(x))
        error, spread = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        for test in folds:
            train = test if n_folds is None else np.setdiff1d(np.arange(len(x)), test)
            middle, mean = design[train].mean(0), x[train].mean(0)
            weights = np.linalg.lstsq(design[train] - middle, x[train] - mean, rcond=None)[0]
            error += ((x[test] - mean - (design[test] - middle) @ weights) ** 2).sum(0)
            spread += ((x[test] - mean) ** 2).sum(0)
        total.append(1 - error.sum() / spread.sum())
        each.append(np.where(still, np.nan, 1 - error / np.where(still, 1.0, spread)))
    units = Labels.of(X, "unit").coords if isinstance(X, xr.DataArray) else {}
    seen = ~np.asarray(units["masked"], dtype=bool) if "masked" in units else slice(None)
    return xr.Dataset(
        {"total": ("feature", np.array(total)), "unit_r2": (("feature", "unit"), np.array(each))},
        {"feature": [str(name) for name in features], **{name: ("unit", one[seen]) for name, one in units.items()}},
        {"n_folds": 0 if n_folds is None else len(folds)},
    )


def _named(X: Any, features: Any) -> Mapping[Any, Any]:
    """Features by name; text names a sample coordinate of X."""
    if isinstance(features, str):
        known = [str(name) for name in getattr(X, "coords", {}) if X[name].dims == ("sample",)]
        if features not in known:
            raise AlignmentError(
                f"features={features!r}: X has no such sample coordinate (it has {', '.join(known) or 'none'}); "
                "give one of its own, or a dict of name to one value for each sample."
            )
        return {features: X[features].values}
    if not isinstance(features, Mapping):
        raise TypeError(
            f"features is a {type(features).__name__}; expected a dict of name to one value for each sample, such as "
            "{'size': sizes}, or the name of a sample coordinate of X."
        )
    if not features:
        raise ValueError("features is empty; expected a dict of name to one value for each sample, with one at least.")
    return features


def _design(values: np.ndarray, name: str, n: int) -> np.ndarray:
    if len(values) != n:
        raise AlignmentError(f"feature {name!r} has {len(values)} samples and X has {n}.")
    missing = np.flatnonzero(np.asarray(pd.isna(values)).reshape(n, -1).any(axis=1))
    if values.dtype.kind == "O" and len(missing):
        raise DegenerateDataError(
            f"feature {name!r} is missing for {len(missing)} of {n} samples (first at {missing[0]}); leave these out."
        )
    if values.dtype.kind in "OUSb":
        found = np.unique(values.astype(str))
        values = (values.astype(str)[:, None] == found).astype(float)
    values = (values[:, None] if values.ndim == 1 else values).astype(float)
    if not np.isfinite(values).all():
        raise DegenerateDataError(f"feature {name!r} holds NaN or infinity; give a value for every sample.")
    return values


def _distance_sum(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of the Euclidean distances of all rows of a to all rows of b, a block at a time."""
    from scipy.spatial.distance import cdist

    size = max(1, (1 << 22) // max(1, len(b)))
    return float(sum(cdist(a[at : at + size], b).sum() for at in range(0, len(a), size)))


def _adjacency(X: Any, graph: Any, n: int) -> np.ndarray:
    if isinstance(graph, xr.DataArray) and isinstance(X, xr.DataArray):
        names = [graph[dim].values.astype(str).tolist() for dim in ("stimulus", "stimulus_other")]
        wanted = X["stimulus"].values.astype(str).tolist()
        check_same_labels(sorted(wanted), sorted(names[0]), "stimulus", ("X", "graph"))
        values = graph.transpose("stimulus", "stimulus_other").values
        graph = values[np.ix_(*[[side.index(name) for name in wanted] for side in names])]
    a = np.asarray(plain(graph), dtype=np.float64)
    if a.shape != (n, n):
        raise ValueError(f"the graph has the shape {a.shape}; expected {(n, n)}, a row and a column for every node.")
    if not np.isfinite(a).all() or (a < 0).any() or not np.allclose(a, a.T):
        raise ValueError("the graph must be symmetric, its weights finite and 0 or above.")
    if not a[~np.eye(n, dtype=bool)].any():
        raise DegenerateDataError("the graph has no edge between different nodes.")
    return a


def _spectrum(X: Any, center: bool) -> np.ndarray:
    """Singular values above rounding."""
    x = matrix(X, "X", part=not center)
    s = np.linalg.svd(x - x.mean(0) if center else x, compute_uv=False)
    if not len(s) or s[0] == 0:
        raise DegenerateDataError("X is 0 everywhere; it has no direction.")
    return np.asarray(s[s > np.finfo(float).eps * max(x.shape) * s[0]])
