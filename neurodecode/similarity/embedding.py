"""Dissimilarities as places in a plane and as a tree: what is near, and what falls into groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from .._names import lookup
from .._numbers import whole
from ..compute.random import check_random_state
from ..exceptions import DegenerateDataError
from .rdms import check_rdm

HOW = {"smacof": "smacof", "classical": "classical"}
LINKAGES = {"average": "average", "complete": "complete", "single": "single"}


def embed(
    R: Any, how: str = "smacof", *, linkage: str = "average", n_dims: int = 2, n_starts: int = 8, random_state: Any = 0
) -> xr.Dataset:
    r"""Places of stimuli whose distances are as near as can be to their dissimilarities, and the tree of their groups.

    ``classical``: the leading eigenvectors of ``-J D^2 J / 2``, with D the dissimilarities and J the centring matrix,
    each scaled by the root of its eigenvalue. ``smacof``: from there, and from starts drawn at random, places x are
    moved until

        stress = sqrt( sum_ij (D_ij - ||x_i - x_j||)^2 / sum_ij D_ij^2 )

    no longer falls (majorisation), and the lowest stress of all starts counts. Axes are the principal ones of the
    places; each points to where the stimulus farthest from the centre lies.

    Parameters
    ----------
    R : (stimulus, stimulus_other), every pair known. Values below 0 (crossnobis) count as 0.
    how : ``"smacof"`` or ``"classical"``.
    linkage : how far apart two groups are: the mean of their pairs, the largest, or the smallest.
    n_dims : axes.
    n_starts : starts of ``smacof``, the classical places first; more find lower stress. random_state : seed of the
        others.

    Returns
    -------
    Dataset: ``rdm``; ``place`` (stimulus, axis), in units of the dissimilarity; ``tree`` (merge, part), scipy's linkage
    matrix with leaves in an order that puts near ones side by side; coordinates of the stimuli as in R. attrs:
    ``how``, ``linkage``, ``stress``, ``metric``, ``negative`` (pairs that were below 0), ``random_state``.

    Raises
    ------
    TypeError, AlignmentError : no labelled matrix. DegenerateDataError : pairs that were not measured, all stimuli
        alike, or not more stimuli than axes.
    ValueError : an unknown name; several matrices at once (take their mean, or one of them).

    Source: Torgerson 1952, Psychometrika 17 (classical); Borg and Groenen 2005, Modern Multidimensional Scaling,
    sections 3.2 (stress) and 8.6 (majorisation); Bar-Joseph et al. 2001, Bioinformatics 17 (order of leaves).

    Examples
    --------
    >>> from neurodecode.similarity import as_rdm
    >>> line = as_rdm([1.0, 3.0, 2.0], stimulus=["a", "b", "c"])
    >>> found = embed(line)
    >>> np.abs(np.diff(found["place"].values[:, 0])).round(6).tolist(), round(found.attrs["stress"], 6)
    ([1.0, 2.0], 0.0)
    """
    from scipy.cluster.hierarchy import linkage as merged
    from scipy.spatial.distance import squareform

    lookup(HOW, how, "how", callables=False)
    lookup(LINKAGES, linkage, "linkage", callables=False)
    n_dims, n_starts = whole(n_dims, "n_dims", least=1), whole(n_starts, "n_starts", least=1)
    R = check_rdm(R, missing="raise")
    if R.ndim != 2:
        raise ValueError(f"R holds several matrices (dims {R.dims}): take one of them, or their mean.")
    n = R.sizes["stimulus"]
    if n <= n_dims:
        raise DegenerateDataError(f"{n} stimuli do not need {n_dims} axes; expected more stimuli than axes.")
    values = np.array(R.values, dtype=np.float64)
    np.fill_diagonal(values, 0.0)
    negative = int((values[np.triu_indices(n, 1)] < 0).sum())
    distances = np.maximum(values, 0.0)
    if not distances.any():
        raise DegenerateDataError("all dissimilarities are 0, so all stimuli would lie on one point.")
    places = _classical(distances, n_dims)
    if how == "smacof":
        rng = check_random_state(random_state)
        starts = [places, *(rng.normal(size=places.shape) * distances.mean() for _ in range(n_starts - 1))]
        places = min((_majorised(distances, start) for start in starts), key=lambda found: _stress(distances, found))
    tree = merged(squareform(distances, checks=False), method=linkage, optimal_ordering=True)
    attrs = {
        "how": how,
        "linkage": linkage,
        "stress": _stress(distances, places),
        "metric": R.attrs.get("metric"),
        "negative": negative,
        "random_state": random_state if isinstance(random_state, (int, type(None))) else repr(random_state),
    }
    return xr.Dataset(
        {"rdm": R, "place": (("stimulus", "axis"), _turned(places)), "tree": (("merge", "part"), tree)}, attrs=attrs
    )


def _classical(distances: np.ndarray, n_dims: int) -> np.ndarray:
    """Torgerson's places (n, n_dims)."""
    squared = distances**2
    inner = -0.5 * (squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean())
    values, vectors = np.linalg.eigh(inner)
    order = np.argsort(-values)[:n_dims]
    return vectors[:, order] * np.sqrt(np.maximum(values[order], 0.0))


def _majorised(distances: np.ndarray, places: np.ndarray, steps: int = 600, tolerance: float = 1e-7) -> np.ndarray:
    """SMACOF with equal weights: the Guttman transform until the stress stands still; axes as in a principal system."""
    n = len(distances)
    before = np.inf
    for _ in range(steps):
        apart = _apart(places)
        ratio = np.divide(distances, apart, out=np.zeros_like(distances), where=apart > 1e-12 * apart.max())
        moved = -ratio
        np.fill_diagonal(moved, ratio.sum(1))
        places = moved @ places / n
        now = _stress(distances, places)
        if before - now < tolerance:
            break
        before = now
    left, size, _ = np.linalg.svd(places - places.mean(0), full_matrices=False)
    return left * size


def _apart(places: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(((places[:, None] - places[None]) ** 2).sum(-1), 0.0))


def _stress(distances: np.ndarray, places: np.ndarray) -> float:
    return float(np.sqrt(((distances - _apart(places)) ** 2).sum() / (distances**2).sum()))


def _turned(places: np.ndarray) -> np.ndarray:
    """Every axis with its largest value above 0."""
    largest = places[np.abs(places).argmax(0), np.arange(places.shape[1])]
    return places * np.where(largest < 0, -1.0, 1.0)
