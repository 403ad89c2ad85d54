"""Neighbourhoods and distances of stimuli: who is near whom on either side."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._names import lookup
from .._numbers import whole
from .._optional import require
from ..compute.random import check_random_state
from ..exceptions import DegenerateDataError
from .crossed import spaces
from .rdms import check_not_bare
from .spaces import Space

ROUNDING = 1e-12  # what differs by less of the largest is as near


def mutual_knn(
    X: Any, Y: Any, *, k: int = 10, metric: str = "cosine", score: str = "overlap", device: Any = None
) -> float:
    r"""Share of a stimulus' nearest neighbours that are its neighbours on both sides.

        value = (1/n) sum_i |N_X(i) & N_Y(i)| / k        (score="jaccard": over |N_X(i) | N_Y(i)|)

    with N(i) the k nearest other stimuli, by cosine of centred rows or by Euclidean distance. Where several are as near
    as the k-th (categories, few units, counts) the places that are left are shared out among them, and the overlap is
    its expectation were these drawn by lot on either side: no order of stimuli decides.

    - invariant to: rotations and reflections, isotropic scaling, translation; not to invertible linear maps
    - range: 0 to 1, 1 when identical (below 1 where stimuli are equally near); unrelated: k / (n - 1) on average
      (overlap)
    - few samples: not biased, but the value for unrelated data depends on n: compare at the same n only
    - cost: n^2 (p + q)

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    k : neighbours, 1 to n - 2.
    metric : ``"cosine"`` (of rows less their mean) or ``"euclidean"``.
    score : ``"overlap"`` or ``"jaccard"``.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, constant, too few for k.

    Source: Huh et al. 2024, ICML, The Platonic representation hypothesis, section 2 and eq. 11.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(20, 3))
    >>> mutual_knn(x, -2 * x + 1, k=3)
    1.0
    """
    x, y = spaces(X, Y, device)
    share = lookup(SHARES, score, "score", callables=False)
    both = (_neighbours(x, k, metric) * _neighbours(y, k, metric)).sum(-1)
    return float(share(both, k).mean())


def mutual_knn_null(
    X: Space, Y: Space, orders: np.ndarray, *, k: int = 10, metric: str = "cosine", score: str = "overlap"
) -> np.ndarray:
    """Mutual neighbours with the stimuli of Y in each order."""
    share = lookup(SHARES, score, "score", callables=False)
    left, right = _neighbours(X, k, metric), _neighbours(Y, k, metric)
    found = np.empty(len(orders))
    for at, order in enumerate(orders):
        places = torch.as_tensor(order, device=right.device)
        found[at] = float(share((left * right[places[:, None], places]).sum(-1), k).mean())
    return found


SHARES = {"overlap": lambda both, k: both / k, "jaccard": lambda both, k: both / (2 * k - both)}


def _neighbours(side: Space, k: int, metric: str) -> Tensor:
    """(n, n) chance that the column is among the k nearest of the row: 1 or 0, or a share where some are as near."""
    near = lookup({"cosine": _cosine, "euclidean": _minus_distance}, metric, "metric", callables=False)
    k = whole(k, "k")
    if not 1 <= k <= side.n - 2:
        raise DegenerateDataError(
            f"k={k} neighbours of {side.n} stimuli: expected 1 to {side.n - 2}, or everything is a neighbour. Lower k."
        )

    def make() -> Tensor:
        closeness = near(side)
        rounding = ROUNDING * closeness.abs().max()
        closeness.fill_diagonal_(-torch.inf)
        last = closeness.topk(k, dim=1).values[:, -1:]
        nearer, level = closeness > last + rounding, (closeness - last).abs() <= rounding
        left = k - nearer.sum(1, keepdim=True).double()
        return torch.where(level, left / level.sum(1, keepdim=True), nearer.double())

    return torch.as_tensor(side.keep(("neighbours", k, metric), make))


def _cosine(side: Space) -> Tensor:
    size = torch.linalg.vector_norm(side.centred, dim=1)
    if bool((size <= 1e-12 * size.max()).any()):
        raise DegenerateDataError(
            f"{side.name}: a stimulus equals the mean of all, so it has no angle to the others; use metric='euclidean'."
        )
    rows = side.centred / size[:, None]
    return rows @ rows.T


def _minus_distance(side: Space) -> Tensor:
    return -torch.cdist(side.centred, side.centred, compute_mode="donot_use_mm_for_euclid_dist")


def gw(
    X: Any, Y: Any, *, metric: str = "euclidean", n_starts: int = 5, random_state: Any = 0, device: Any = None
) -> float:
    r"""Gromov-Wasserstein distance: how well the distances within one side fit onto those of the other, labels unseen.

        d^2 = min_T sum_ijkl T_ij T_kl (D_ik - E_jl)^2,  T >= 0, all row and column sums 1 / n

    with D and E the dissimilarities of stimuli on either side, each scaled to a mean square of 1. The labels are not
    used: it asks whether the geometry alone would tell which stimulus is which. The problem has many local minima, for
    Euclidean distances each a one-to-one match (the objective is concave). Matches are improved by assignments and by
    exchanging two partners until neither helps, from: the labelled match, the match of the stimuli whose sorted
    distances are alike, ``n_starts`` in which the outermost stimulus of X goes to one with distances like its own, and
    ``n_starts`` random ones. From the best, and from no match at all, conditional gradient descends further. The value
    is an upper bound; for few stimuli, and where the sides are alike, it is the minimum in practice.

    - invariant to: rotations and reflections, isotropic scaling, translation, the order of either side (in so far as
      the minimum is found); not to invertible linear maps
    - range: 0 to sqrt 2, 0 when identical; unrelated: no fixed value (it falls with the number of units, since
      distances become alike): compare with unrelated spaces of the same size
    - few samples: any two small sets fit well: biased downwards
    - cost: n^3 an assignment, tens of them a start (extra ``transport``)

    Parameters
    ----------
    X, Y : (n, p) and (n, q), or dissimilarity matrices. Labelled arrays meet by stimulus, plain ones row by row.
    metric : of the dissimilarities, as in :func:`rdm`; matrices that are given are taken as they are.
    n_starts : starts of either kind, 0 or more; more find lower values for unrelated sides.
    random_state : seed of the random ones.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, too few, constant.
    ValueError : ``n_starts`` below 0. MissingExtraError : the extra ``transport`` is not installed.

    Source: Peyre, Cuturi and Solomon 2016, ICML, section 2; Memoli 2011, Foundations of Computational Mathematics 11,
    section 6 (sorted distances); Kawakita et al. 2024, Scientific Reports 14, for its use.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(12, 3))
    >>> abs(gw(x, 2 * x[::-1, ::-1])) < 1e-6
    True
    """
    n_starts = whole(n_starts, "n_starts")
    for side, called in ((X, "X"), (Y, "Y")):
        check_not_bare(side, called, "gw")
    x, y = spaces(X, Y, device)
    ot = require("ot", "transport", "Gromov-Wasserstein distance")
    D, E = _scaled(x.rdm(metric), x), _scaled(y.rdm(metric), y)
    n = len(D)
    matches = [_improved(D, E, start) for start in _matches(D, E, n_starts, check_random_state(random_state))]
    best = max(matches, key=lambda match: float((D * E[np.ix_(match, match)]).sum()))
    mass = np.full(n, 1.0 / n)
    found = [float(((D - E[np.ix_(best, best)]) ** 2).mean())]
    for start in (np.eye(n)[best] / n, np.outer(mass, mass)):
        plan = ot.gromov.gromov_wasserstein(
            D, E, mass, mass, "square_loss", G0=start, max_iter=1000, tol_rel=1e-12, symmetric=True
        )
        found.append(float((D**2).mean() + (E**2).mean() - 2 * ((D @ plan @ E) * plan).sum()))
    return float(np.sqrt(max(0.0, min(found))))


def _matches(D: np.ndarray, E: np.ndarray, n_starts: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Where the search begins: the partner of every stimulus (n,), of several guesses."""
    from scipy.optimize import linear_sum_assignment

    n = len(D)
    a, b = np.sort(D, axis=1), np.sort(E, axis=1)
    unlike = ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T) / n
    found = [np.arange(n), linear_sum_assignment(unlike)[1]]
    outer = int(D.sum(1).argmax())
    for other in np.argsort(unlike[outer], kind="stable")[:n_starts]:
        found.append(linear_sum_assignment(unlike + (D[outer][:, None] - E[other]) ** 2)[1])
    return found + [rng.permutation(n) for _ in range(n_starts)]


def _improved(D: np.ndarray, E: np.ndarray, match: np.ndarray) -> np.ndarray:
    """A match (n,) with a larger ``sum_ik D_ik E_m(i)m(k)``: no assignment and no exchange of two partners adds to it.

    Exchanging the partners of r and s adds ``2 (M_rs + M_sr - M_rr - M_ss + 2 D_rs E_m(r)m(s))``, with M = D E_mm.
    """
    from scipy.optimize import linear_sum_assignment

    value = float((D * E[np.ix_(match, match)]).sum())
    while True:
        other = linear_sum_assignment(D @ E[match], maximize=True)[1]
        reached = float((D * E[np.ix_(other, other)]).sum())
        if reached <= value * (1 + 1e-12):
            other = _exchanged(D, E, match)
            reached = float((D * E[np.ix_(other, other)]).sum())
            if reached <= value * (1 + 1e-12):
                return match
        match, value = other, reached


def _exchanged(D: np.ndarray, E: np.ndarray, match: np.ndarray) -> np.ndarray:
    """The match after the best exchanges of two partners, one after the other until none helps."""
    match = match.copy()
    moved = E[np.ix_(match, match)]
    products = D @ moved
    least = 1e-12 * float((D * moved).sum())
    for _ in range(10 * len(D)):
        own = np.diag(products)
        gain = products + products.T - own[:, None] - own + 2 * D * moved
        one, two = (int(at) for at in np.unravel_index(gain.argmax(), gain.shape))
        if gain[one, two] <= least:
            break
        pair = [one, two]
        match[pair] = match[[two, one]]
        before = moved[pair]
        moved[pair] = E[np.ix_(match[pair], match)]
        products += D[:, pair] @ (moved[pair] - before)
        moved[:, pair] = moved[pair].T
        products[:, pair] = D @ moved[:, pair]
    return match


def _scaled(D: np.ndarray, side: Space) -> np.ndarray:
    if not np.isfinite(D).all():
        raise DegenerateDataError(f"{side.name}: dissimilarities that are missing cannot be transported.")
    if not D.any():
        raise DegenerateDataError(f"{side.name}: all dissimilarities are 0, so there is no geometry to fit.")
    return D / np.sqrt((D**2).mean())
