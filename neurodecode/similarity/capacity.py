"""Manifold capacity: how many classes for each direction a linear readout can tell apart, whatever is asked of them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr

from .._numbers import whole
from ..compute.random import check_random_state
from ..exceptions import DegenerateDataError, NeurodecodeWarning
from .classes import by_class

NEARLY_ALL = 0.9  # of the directions of the data, from which on they are what limits the answer


def manifold_capacity(
    X: Any, labels: Any, *, n_draws: int = 200, center: bool = True, random_state: Any = 0
) -> xr.Dataset:
    r"""Capacity of a linear readout for classes: how many of them for every dimension it reads.

        capacity = P / E_y,t ||proj_K(y) t||^2,   K(y) = { sum_is a_is y_i s : a >= 0, s a sample of class i }

    with P classes, y the sides (-1, 1) that a dichotomy puts them on, and t standard normal. The mean in it is the
    statistical dimension of the cone K(y): at so many random projections n of the units, the chance that a hyperplane
    has all samples of every class on its side passes one half (for many classes: sharply). A class is the convex hull
    of its samples; the hyperplane needs no margin.

    Points in general position: 2. The more a class spreads against the distance of class centres, and in the more
    directions, the lower: 2 / m where the m samples of every class have nothing in common (labels that say nothing),
    and 1 / m at least.

    Parameters
    ----------
    X : (samples, units). labels : (samples,) class of every sample in the order of X, or the name of a sample
        coordinate. A class of one sample is a point.
    n_draws : draws of y and t. y is drawn among the dichotomies with classes on both sides.
    center : take the mean of the class means out first, so that the hyperplane passes between the classes; the value
        is then unchanged by shifts. False: it passes through the origin of X.
    random_state : seed of the draws.

    Returns
    -------
    Dataset: ``capacity``; ``se``, its standard error over draws; ``dimension``, the mean above, in dimensions;
    ``lowest``, P / rank of the samples, below which these data cannot show it; ``n(class)``.
    Samples add to a hull, so compare spaces with the same labels. Rotation, one scale, and (centred) shift change
    nothing; the order of samples only what is drawn.

    Warns
    -----
    NeurodecodeWarning : the cones fill nearly all directions that the data have, so that their number is measured.

    Raises
    ------
    AlignmentError : labels of other samples. DegenerateDataError : not finite, labels missing, one class, a class that
        lies in the point between the classes. ValueError : fewer than 2 draws.

    Cost: a non-negative least squares problem a draw, of all samples in as many directions as they span: about 10 ms
    for 500 samples of 500 units, whatever the number of units beyond.

    Source: Chung, Lee and Sompolinsky 2018, Physical Review X 8, 031003 (capacity of manifolds); Chou et al. 2024,
    bioRxiv 2024.02.26.582157 (all classes at once); Amelunxen, Lotz, McCoy and Tropp 2014, Information and Inference 3
    (statistical dimension); Cover 1965, IEEE Transactions on Electronic Computers 14 (points).

    Examples
    --------
    >>> X = np.repeat(np.eye(12), 2, axis=0)
    >>> found = manifold_capacity(X, np.repeat(np.arange(12), 2), random_state=0)
    >>> bool(abs(found["capacity"] - 2) < 3 * found["se"])
    True
    """
    if (n_draws := whole(n_draws, "n_draws")) < 2:
        raise ValueError(f"n_draws={n_draws}: expected 2 or more, for a standard error.")
    if not isinstance(center, (bool, np.bool_)):
        raise ValueError(f"center={center!r}: expected True or False.")
    x, which, names = by_class(X, labels, fewest=1)
    counts = np.bincount(which)
    if center:
        x = x - np.stack([x[which == at].mean(0) for at in range(len(counts))]).mean(0)
    rays, frame = _rays(x, which, names, center)
    rng = check_random_state(random_state)
    power = np.empty(n_draws)
    for draw in range(n_draws):
        sides = _dichotomy(len(counts), rng)
        power[draw] = cone_power(rays * sides[which, None], rng.standard_normal(len(x)) @ frame)
    dimension, spread = float(power.mean()), float(power.std(ddof=1) / np.sqrt(n_draws))
    rank = rays.shape[1]
    if dimension > NEARLY_ALL * rank and rank < len(x) - center:
        warnings.warn(
            f"a readout of all {rank} directions of these {len(x)} samples is needed for half of the dichotomies "
            f"({dimension:.1f}), so the capacity is held up by their number (lowest value {len(counts) / rank:.2g}). "
            "Take more units, or fewer classes.",
            NeurodecodeWarning,
            stacklevel=2,
        )
    capacity = len(counts) / dimension
    return xr.Dataset(
        {
            "capacity": capacity,
            "se": capacity * spread / dimension,
            "dimension": dimension,
            "lowest": len(counts) / rank,
            "n": ("class", counts),
        },
        {"class": names},
        {"units": x.shape[1], "rank": rank, "n_draws": n_draws, "center": bool(center)},
    )


def cone_power(rays: np.ndarray, t: np.ndarray) -> float:
    """Squared norm of the projection of t (r,) onto the cone that the rows of ``rays`` (n, r) span.

    Examples
    --------
    >>> cone_power(np.eye(2), np.array([3.0, -4.0]))
    9.0
    """
    from scipy.optimize import nnls

    weights = nnls(rays.T, t, maxiter=max(1000, 10 * len(rays)))[0]
    near = weights @ rays
    return float(near @ near)


def _dichotomy(k: int, rng: np.random.Generator) -> np.ndarray:
    """Sides of k classes, each as likely as the other, not all the same."""
    while True:
        sides = rng.choice([-1.0, 1.0], size=k)
        if len(set(sides.tolist())) == 2:
            return np.asarray(sides)


def _rays(x: np.ndarray, which: np.ndarray, names: list[str], center: bool) -> tuple[np.ndarray, np.ndarray]:
    """Directions of the samples in coordinates of their span (n, rank), each of length 1 (0 where there is none).

    Beside them the orthonormal columns (n, rank) that turn into these coordinates, so that draws turn with the data.
    """
    left, s, _ = np.linalg.svd(x, full_matrices=False)
    keep = s > np.finfo(float).eps * max(x.shape) * s[0]
    frame = left[:, keep]
    places = frame * s[keep]
    size = np.linalg.norm(places, axis=1)
    none = size <= 1e-12 * size.max()
    lost = [name for at, name in enumerate(names) if none[which == at].all()]
    if lost:
        where = "the mean of the class means" if center else "the origin"
        raise DegenerateDataError(f"class {lost[0]} lies in {where}, so no side of a hyperplane is its own.")
    return np.where(none[:, None], 0.0, places / np.where(none, 1.0, size)[:, None]), frame
