"""Where in time, or in times by times, people agree: a test of clusters, through mne."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
import xarray as xr
from scipy import sparse

from .._optional import require
from ..compute.random import check_random_state
from ..exceptions import AlignmentError, DegenerateDataError
from .result import jsonable, versions


def cluster_test(
    scores: Any,
    *,
    chance: float = 0.0,
    threshold: float | dict[str, float] | None = None,
    tail: int = 1,
    permutations: int = 1000,
    adjacency: Any = None,
    level: float = 0.05,
    random_state: Any = 0,
) -> xr.Dataset:
    r"""Clusters of scores above chance, between people, corrected for all points together.

    At every point ``t = mean(s - chance) / (sd / sqrt(n))`` over n people; neighbouring points beyond ``threshold``
    form a cluster, its mass is the sum of its t values, and its p value is the share of sign flips (the observed one
    among them) whose largest mass is at least as large. A cluster is significant as a whole: nothing is said of its
    first or last point.

    Parameters
    ----------
    scores : (subject, unit, time[, time_test]), such as ``group(results)["score"]``; a ``unit`` of size 1 is left out.
        A plain array has people first.
    chance : score without effect (.5 for AUC), taken off before the test.
    threshold : |t| from which points count; None: the t of p = .05 for one point (in this ``tail``). A dict
        ``{"start": 0, "step": 0.2}`` asks for threshold-free enhancement.
    tail : 1 above chance, -1 below, 0 both.
    permutations : sign flips, the observed one among them; where there are fewer different ones, all of them.
    adjacency : (units, units) matrix that is not zero between neighbours, needed for more than one unit.
    level : p value up to which ``significant`` is True.
    random_state : seed of the flips.

    Returns
    -------
    Dataset over the points: ``t``; ``cluster`` (0: none, else its number, smallest p first); ``p`` of the cluster a
    point belongs to, NaN outside; ``significant``; attrs ``clusters`` with mass, p and number of points of each.

    Raises
    ------
    AlignmentError : no ``subject`` dimension, or several units without ``adjacency``.
    DegenerateDataError : fewer than 2 people, or scores that are not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scores = 0.5 + 0.05 * rng.normal(size=(12, 30))
    >>> scores[:, 10:20] += 0.15
    >>> found = cluster_test(scores, chance=0.5, permutations=200)
    >>> bool(found["significant"][10:20].all()), bool(found["significant"][:9].any())
    (True, False)

    Source: Maris and Oostenveld 2007, Journal of Neuroscience Methods 164; Sassenhagen and Draschkow 2019.
    """
    table, dims, coords = _points(scores)
    if tail not in (-1, 0, 1):
        raise ValueError(f"tail={tail!r}: choose 1 (above chance), -1 (below) or 0 (both)")
    stats = require("mne.stats", purpose="testing clusters")
    links = _links(adjacency, dims, table.shape[1:], stats)
    # mne wants units last; the answers are brought back.
    order = [0, *[at + 1 for at, name in enumerate(dims) if name != "unit"]]
    order += [at + 1 for at, name in enumerate(dims) if name == "unit"]
    moved = np.ascontiguousarray((table - chance).transpose(order))
    # Newer versions of mne call the seed rng.
    named = "rng" if "rng" in signature(stats.permutation_cluster_1samp_test).parameters else "seed"
    seed: dict[str, Any] = {named: int(check_random_state(random_state).integers(0, 2**31 - 1))}
    t, clusters, p_values, null = stats.permutation_cluster_1samp_test(
        moved, threshold=threshold, n_permutations=int(permutations), tail=tail, adjacency=links, out_type="mask",
        verbose="error", n_jobs=1, **seed,
    )  # fmt: skip
    ranked = np.argsort(p_values, kind="stable")
    label = np.zeros(t.shape, dtype=np.int64)
    p = np.full(t.shape, np.nan)
    said = []
    for number, at in enumerate(ranked, start=1):
        mask = _mask(clusters[at], t.shape)
        label[mask], p[mask] = number, p_values[at]
        said.append({"cluster": number, "mass": float(t[mask].sum()), "p": float(p_values[at]), "n": int(mask.sum())})
    back = np.argsort(np.asarray(order)[1:] - 1)
    found = {"t": t, "cluster": label, "p": p, "significant": np.nan_to_num(p, nan=1.0) <= level}
    attrs = {
        "schema": "neurodecode.clusters/1", "chance": chance, "threshold": threshold, "tail": tail, "level": level,
        "n_subjects": len(table), "n_permutations": len(null), "clusters": said, "random_state": random_state,
        "unit_of_inference": "subject", "versions": versions(),
    }  # fmt: skip
    return xr.Dataset({key: (dims, value.transpose(back)) for key, value in found.items()}, coords, jsonable(attrs))


def _points(scores: Any) -> tuple[np.ndarray, tuple[str, ...], dict[str, Any]]:
    """Scores (people, points...), the names of the points' dimensions, and their coordinates."""
    coords: dict[str, Any] = {}
    if isinstance(scores, xr.DataArray):
        if "subject" not in scores.dims:
            raise AlignmentError(f"scores have the dimensions {scores.dims}; one of them must be 'subject'")
        single = scores.isel(unit=0, drop=True) if scores.sizes.get("unit") == 1 else scores
        single = single.transpose("subject", ...)
        dims = tuple(str(name) for name in single.dims[1:])
        values = np.asarray(single.values, dtype=np.float64)
        coords = {str(key): (one.dims, one.values) for key, one in single.coords.items() if set(one.dims) <= set(dims)}
        coords = {key: entry for key, entry in coords.items() if entry[0]}
    else:
        values = np.asarray(scores, dtype=np.float64)
        dims = ("time", "time_test")[: values.ndim - 1]
    if values.ndim < 2 or len(dims) != values.ndim - 1:
        raise AlignmentError(
            f"scores have shape {values.shape}; expected people first, then time, and perhaps time_test"
        )
    if len(values) < 2:
        raise DegenerateDataError(f"a statement about a group needs at least 2 subjects, and there is {len(values)}")
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).any(axis=0).sum())
        raise DegenerateDataError(f"{bad} points have scores that are not finite; select the others first")
    return values, dims, coords


def _links(adjacency: Any, dims: tuple[str, ...], shape: tuple[int, ...], stats: Any) -> Any:
    """What mne calls adjacency: None for a lattice of times."""
    if "unit" not in dims:
        return None
    if adjacency is None:
        raise AlignmentError("scores of several units need adjacency=, or select one unit: scores.isel(unit=[0])")
    links = sparse.coo_array(adjacency)
    count = shape[dims.index("unit")]
    if links.shape != (count, count):
        raise AlignmentError(f"adjacency has shape {links.shape}; there are {count} units")
    times = [size for name, size in zip(dims, shape) if name != "unit"]
    return stats.combine_adjacency(*times, links) if times else sparse.csr_array(links)


def _mask(cluster: Any, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    if isinstance(cluster, np.ndarray) and cluster.dtype == bool and cluster.shape == shape:
        return cluster
    mask[cluster] = True
    return mask
