"""Representational similarity: dissimilarities of the one side against those of the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compute.alignment import HELD
from ..compute.batching import batches
from ..compute.rank import ranks
from ..exceptions import DegenerateDataError
from .crossed import spaces
from .rdm_scores import rdm_score, tied
from .rdms import check_not_bare
from .spaces import Space


def rsa(X: Any, Y: Any, *, score: Any = "spearman", metric: Any = "correlation", device: Any = None) -> float:
    r"""Correlation of two dissimilarity matrices over pairs of stimuli.

        value = score(upper triangle of D_X, upper triangle of D_Y)

    - invariant to: permutation of units, isotropic scaling (with the default ``metric="correlation"``); rotations and
      translation too with ``metric="euclidean"``; monotone changes of the dissimilarities with rank scores
    - range: -1 to 1, 1 when identical (``kendall_tau_a``: below 1 where dissimilarities are tied); unrelated: 0 on
      average (``cosine`` and ``whitened_cosine``: above 0)
    - few samples: not biased, but noisy: pairs share stimuli, so a p value needs permuted stimuli, not pairs
    - cost: n^2 (p + q), and sorting n^2 / 2 pairs

    Parameters
    ----------
    X, Y : (n, p) and (n, q), or labelled dissimilarity matrices, which meet by stimulus too.
    score : ``"spearman"``, ``"kendall_tau_a"`` (or ``"kendall"``), ``"pearson"``, ``"cosine"``, ``"whitened_cosine"``,
        ``"whitened_pearson"``, or a function of two vectors (pairs,) that gives a number.
    metric : of the dissimilarities, as in :func:`rdm`; matrices that are given are taken as they are.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, fewer than 3, no variation.

    Source: Kriegeskorte, Mur and Bandettini 2008, Frontiers in Systems Neuroscience 2; Nili et al. 2014, PLoS
    Computational Biology 10, on tau-a; Diedrichsen et al. 2021, on the whitened cosine.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(12, 5))
    >>> round(rsa(x, 3 * x[:, ::-1]), 9)
    1.0
    """
    for side, called in ((X, "X"), (Y, "Y")):
        check_not_bare(side, called, "rsa")
    x, y = spaces(X, Y, device)
    return float(_score(score)(_pairs(x, metric), _pairs(y, metric)))


def rsa_null(
    X: Space, Y: Space, orders: np.ndarray, *, score: Any = "spearman", metric: Any = "correlation"
) -> np.ndarray:
    """The score with the stimuli of Y in each order."""
    one, two = _pairs(X, metric), _pairs(Y, metric)
    value = _score(score)
    rows, columns = np.triu_indices(X.n, 1)
    if score == "spearman" and np.isfinite(one).all() and np.isfinite(two).all():
        value = rdm_score("pearson")
        one, two = (ranks(tied(side[None])[0]) for side in (one, two))  # exchanging stimuli exchanges ranks
    matrix = np.zeros((X.n, X.n))
    matrix[rows, columns] = matrix[columns, rows] = two
    found = [
        np.atleast_1d(value(one, matrix[orders[some][:, rows], orders[some][:, columns]]))
        for some in batches(len(orders), max(1, HELD // len(rows)))
    ]
    return np.concatenate(found)


def _score(score: Any) -> Any:
    return rdm_score(score, "score")


def _pairs(side: Space, metric: Any) -> np.ndarray:
    """Dissimilarities of all pairs, row after row of the upper triangle; NaN where one was not measured."""
    found = side.rdm(metric)[np.triu_indices(side.n, 1)]
    known = found[np.isfinite(found)]
    if len(known) < 3 or np.ptp(known) <= 1e-12 * np.abs(known).max():
        raise DegenerateDataError(
            f"{side.name}: the {len(known)} dissimilarities do not vary; there is nothing to compare."
        )
    return found
