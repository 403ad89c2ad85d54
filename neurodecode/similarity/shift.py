"""What fine-tuning did to the concepts of a network: groups of states, how far each moved, and whether that is all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from .._names import lookup
from .._numbers import amount, whole
from ..compute.random import check_random_state
from ..exceptions import AlignmentError, DegenerateDataError
from ..representation import Labels
from .change import check_places
from .matching import assign
from .spaces import pair_up


def _trimmed(moves: np.ndarray) -> np.ndarray:
    from scipy.stats import trim_mean

    return np.asarray(trim_mean(moves, 0.1, axis=0))


STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda moves: moves.mean(0),
    "median": lambda moves: np.median(moves, axis=0),
    "trimmed": _trimmed,
}


def concept_shift(
    before: Any,
    after: Any,
    n_concepts: int = 20,
    *,
    statistic: str = "mean",
    strength: float = 1.0,
    n_starts: int = 10,
    random_state: Any = 0,
) -> xr.Dataset:
    r"""Whether the concepts of a fine-tuned network are those of the original, each moved by a vector of its own.

        D_k = mean over i in k of (b_i - a_i),   shifted_k = u_k + strength D_k

    with a_i and b_i the states of one sample before and after, and u_k the centres of k-means of the states before. The
    centres of k-means of the states after, found on their own, are the concepts to be recovered: shifted and unshifted
    ones are each matched to them one to one by the largest sum of cosines. Cosines are of centres less the mean state
    after; of states as they are nearly all cosines are near 1.

    Parameters
    ----------
    before, after : (samples, units) of the same samples and units. Labelled arrays meet by stimulus.
    n_concepts : number of groups, 2 or more.
    statistic : of the moves of the samples of a concept: ``"mean"``, ``"median"``, ``"trimmed"`` (without the tenth at
        either end of every unit).
    strength : how much of the shift is added.
    n_starts : starts of k-means, of which the best counts. random_state : their seed.

    Returns
    -------
    Dataset over ``concept`` (the largest first) and ``unit``: ``centre`` and ``shift`` (concept, unit); ``n``;
    ``consistency``, mean cosine of a sample's move with the mean move of the *others* of its concept, about 0 for
    moves that have nothing in common; ``partner`` (the concept after that a shifted one is matched to); ``cosine`` and
    ``distance`` to it; ``cosine_unshifted`` and ``distance_unshifted`` to its own match without the shift;
    ``concept_of`` (sample), in the order of ``before``; ``centre_after`` (concept_after, unit). attrs: ``gain``,
    (mean cosine - mean cosine unshifted) / mean cosine unshifted, about 0 where nothing moved; ``global_miss``, the
    largest coordinate by which one shift for all, the mean move, misses the shift of a concept.

    Raises
    ------
    AlignmentError : other samples, or other units. DegenerateDataError : not finite, nothing varies, fewer different
        states than concepts. ValueError : fewer than 2 concepts, an unknown statistic.

    Source: Khayatan et al. 2025, ICCV (Analyzing Finetuning Representation Shift for Multimodal LLMs Steering), section
    3; leaving a sample out of the mean of its own concept is added here.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> kind = np.repeat([0, 1, 2], 40)
    >>> states = 9 * np.eye(3)[kind] + rng.normal(size=(120, 3))
    >>> found = concept_shift(states, states + 5 * np.eye(3)[(kind + 1) % 3], 3)
    >>> found["shift"].values.round().sum(0).tolist(), round(float(found["cosine"].min()), 6)
    ([5.0, 5.0, 5.0], 1.0)
    """
    from sklearn.cluster import KMeans

    middle = lookup(STATISTICS, statistic, "statistic", callables=False)
    n_concepts, n_starts = whole(n_concepts, "n_concepts", least=2), whole(n_starts, "n_starts", least=1)
    strength = amount(strength, "strength", least=None)
    x, y = pair_up(before, after)
    if x.width != y.width:
        raise AlignmentError(
            f"before has {x.width} units and after {y.width}; two states of one network have the same."
        )
    check_places(before, after)
    a, b = x.raw.cpu().numpy(), y.raw.cpu().numpy()
    for rows, name in ((a, "before"), (b, "after")):
        if (many := len(np.unique(rows, axis=0))) < n_concepts:
            raise DegenerateDataError(f"n_concepts={n_concepts}, and {name} has {many} different states. Lower it.")
    rng = check_random_state(random_state)
    fits = [KMeans(n_concepts, n_init=n_starts, random_state=int(rng.integers(2**31))).fit(rows) for rows in (a, b)]
    counts = np.bincount(fits[0].labels_, minlength=n_concepts)
    largest = np.argsort(-counts, kind="stable")
    which = np.argsort(largest)[fits[0].labels_]
    centres, others = fits[0].cluster_centers_[largest], fits[1].cluster_centers_
    moves = b - a
    shift = np.stack([middle(moves[which == k]) for k in range(n_concepts)])
    mean = b.mean(0)
    shifted = centres + strength * shift
    partner, cosine, distance = _recovered(shifted, others, mean)
    _, cosine_plain, distance_plain = _recovered(centres, others, mean)
    gain = (cosine.mean() - cosine_plain.mean()) / abs(cosine_plain.mean()) if cosine_plain.mean() else np.nan
    own = Labels.of(before, "unit").coords if isinstance(before, xr.DataArray) else {}
    seen = ~np.asarray(own["masked"], dtype=bool) if "masked" in own else slice(None)
    values: dict[str, Any] = {
        "centre": (("concept", "unit"), centres),
        "shift": (("concept", "unit"), shift),
        "n": ("concept", counts[largest]),
        "consistency": ("concept", _consistency(moves, which, n_concepts)),
        "partner": ("concept", partner),
        "cosine": ("concept", cosine),
        "cosine_unshifted": ("concept", cosine_plain),
        "distance": ("concept", distance),
        "distance_unshifted": ("concept", distance_plain),
        "concept_of": ("sample", which[_order(before, x.labels)]),
        "centre_after": (("concept_after", "unit"), others),
    }
    coords: dict[str, Any] = {
        name: ("unit", np.asarray(entry)[seen])
        for name, entry in own.items()
        if name not in values and name != "masked"
    }
    if isinstance(before, xr.DataArray):
        coords["stimulus"] = ("sample", before["stimulus"].values)
    attrs = {
        "gain": float(gain),
        "global_miss": float(np.abs(shift - moves.mean(0)).max()),
        "statistic": statistic,
        "strength": float(strength),
        "n_samples": x.n,
        "random_state": random_state if isinstance(random_state, (int, type(None))) else repr(random_state),
    }
    return xr.Dataset(values, coords, attrs)


def _recovered(concepts: np.ndarray, others: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Partner of every concept one to one, and the cosine and the distance to it."""
    one, two = concepts - mean, others - mean
    sizes = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(two, axis=1)
    cosines = np.divide(one @ two.T, sizes, out=np.zeros_like(sizes), where=sizes > 0)
    partner = assign(cosines)[1]
    return partner, cosines[np.arange(len(one)), partner], np.linalg.norm(concepts - others[partner], axis=1)


def _consistency(moves: np.ndarray, which: np.ndarray, k: int) -> np.ndarray:
    """Mean cosine of every move with the mean of the others of its concept; NaN for one alone, or where none moved."""
    found = np.full(k, np.nan)
    for at in range(k):
        own = moves[which == at]
        rest = own.sum(0) - own
        sizes = np.linalg.norm(own, axis=1) * np.linalg.norm(rest, axis=1)
        if len(own) > 1 and (sizes > 0).any():
            found[at] = ((own * rest).sum(1)[sizes > 0] / sizes[sizes > 0]).mean()
    return found


def _order(before: Any, labels: list[str]) -> Any:
    """Where each sample of ``before`` stands among rows that are in the order of ``labels``."""
    if not isinstance(before, xr.DataArray):
        return slice(None)
    place = {label: at for at, label in enumerate(labels)}
    own = before["stimulus"].values.astype(str)
    return [place[label] for label in own] if len(place) == len(own) else slice(None)
