"""Shapes: how far rotations, or linear maps, can bring one cloud of stimuli onto the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._numbers import amount
from ..compute.alignment import between, nuclear
from ..exceptions import DegenerateDataError, NeurodecodeWarning
from .crossed import Cross, spaces
from .spaces import Space


def procrustes(X: Any, Y: Any, *, device: Any = None) -> float:
    r"""Angle that is left between two shapes after the best rotation, in radians.

        theta = arccos(||X'Y||_* / (||X||_F ||Y||_F))

    with centred X (n, p) and Y (n, q) and the nuclear norm; the narrower side counts as padded with zeros. A metric: it
    is symmetric and obeys the triangle inequality.

    - invariant to: rotations and reflections, isotropic scaling, translation; not to invertible linear maps
    - range: 0 (the same shape) to pi / 2; unrelated: near pi / 2 with many more samples than units
    - few samples: biased downwards (shapes look alike), towards 0 with more units than samples
    - cost: n p q + p q min(p, q); with more units than samples n^2 (p + q) + n^3

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, too few, constant.

    Source: Schoenemann 1966, Psychometrika 31; Williams et al. 2021, NeurIPS 34, eq. 7.

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0], [3.0, 3.0]])
    >>> abs(procrustes(x, 3 * x[:, ::-1] + 1)) < 1e-6
    True
    """
    return _procrustes(*spaces(X, Y, device)).value()


def _procrustes(x: Space, y: Space) -> Cross:
    return Cross(x.compact, y.compact, lambda m, _: _angle(nuclear(m) / (x.power * y.power).sqrt()))


def bures(X: Any, Y: Any, *, normalized: bool = True, device: Any = None) -> float:
    r"""Bures distance of the two kernels K = XX', L = YY'.

        d^2 = tr K + tr L - 2 tr (K^1/2 L K^1/2)^1/2 = ||X||^2 + ||Y||^2 - 2 ||X'Y||_*

    The kernels of centred rows, scaled to trace 1 unless ``normalized=False``; then 1 - d^2 / 2 is the normalised Bures
    similarity, and the cosine of :func:`procrustes`. A metric.

    - invariant to: rotations and reflections, isotropic scaling (when normalised), translation; not to linear maps
    - range: 0 to sqrt 2 (when normalised), 0 when identical; unrelated: near sqrt 2 with many more samples than units
    - few samples: biased downwards, as :func:`procrustes`
    - cost: as :func:`procrustes`

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    normalized : scale both kernels to trace 1.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, too few, constant.

    Source: Bhatia, Jain and Lim 2019, Expositiones Mathematicae 37; Harvey, Larsen and Williams 2024, UniReps, on its
    being a shape distance.

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0], [3.0, 3.0]])
    >>> bool(np.isclose(1 - bures(x, x[:, :1]) ** 2 / 2, np.cos(procrustes(x, x[:, :1]))))
    True
    """
    return _bures(*spaces(X, Y, device), normalized=normalized).value()


def _bures(x: Space, y: Space, *, normalized: bool = True) -> Cross:
    def finish(m: Tensor, _: Tensor | None) -> Tensor:
        if normalized:
            return (2.0 - 2.0 * nuclear(m) / (x.power * y.power).sqrt()).clamp_min(0).sqrt()
        return (x.power + y.power - 2.0 * nuclear(m)).clamp_min(0).sqrt()

    return Cross(x.compact, y.compact, finish)


def shape(X: Any, Y: Any, *, alpha: float = 0.5, device: Any = None) -> float:
    r"""Angle between two shapes after partial whitening: a path from canonical correlation to Procrustes.

        theta = arccos(||Xa'Ya||_* / (||Xa||_F ||Ya||_F)),  Xa = X (alpha I + (1 - alpha) C^-1/2)

    with X centred and scaled so that the covariance C of its directions has mean eigenvalue 1. ``alpha=1`` is
    :func:`procrustes`; ``alpha=0`` whitens, and is the arccos of the sum of canonical correlations over
    sqrt(rank X rank Y). A metric for every alpha.

    - invariant to: rotations and reflections, isotropic scaling, translation; to any invertible linear map for alpha 0
    - range: 0 (the same shape) to pi / 2; unrelated: near pi / 2 with many more samples than units
    - few samples: biased downwards, the more so the smaller alpha
    - cost: n p^2 + p^3 for each space once, then n p q + p q min(p, q) for a pair

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    alpha : 0 (whitened) to 1 (rotations only). With as many units as samples less one it must be above 0.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, too few, constant; or
        alpha = 0 and a side that reproduces anything. ValueError : alpha outside 0 to 1.

    Source: Williams et al. 2021, NeurIPS 34, section 2.2 and eq. 9.

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0], [3.0, 3.0]])
    >>> round(shape(x, x[:, :1], alpha=1.0) - procrustes(x, x[:, :1]), 9)
    0.0
    """
    return _shape(*spaces(X, Y, device), alpha=alpha).value()


def _shape(x: Space, y: Space, *, alpha: float = 0.5) -> Cross:
    alpha = path_of(alpha)
    if alpha == 1:
        return _procrustes(x, y)
    if alpha == 0:
        check_rank(len(x.directions[2]), len(y.directions[2]), x.n)
    return _weighted(x, y, lambda s: between(s, alpha), shape_of)


def path_of(alpha: Any) -> float:
    """``alpha`` as a number on the path from whitened to rotations only."""
    if not 0 <= (found := amount(alpha, "alpha", least=None)) <= 1:
        raise ValueError(f"alpha={alpha!r}: expected a number from 0 (whitened) to 1 (rotations only).")
    return found


def shape_of(m: Tensor, t_x: Tensor, t_y: Tensor) -> Tensor:
    """The angle from products of weighted directions and their weights."""
    return _angle(nuclear(m) / (t_x.square().sum() * t_y.square().sum()).sqrt())


def cca(X: Any, Y: Any, *, device: Any = None) -> float:
    r"""Mean canonical correlation.

        rho_i = singular values of Ux'Uy;  value = sum_i rho_i / min(rank X, rank Y)

    with the left singular vectors of centred X and Y.

    - invariant to: any invertible linear map, so also rotations, scaling, scaling of each unit; translation
    - range: 0 to 1, 1 when one is a linear map of the other; unrelated: nearly sqrt(max(p, q) / n), 0 with many
      samples
    - few samples: biased upwards, and 1 whatever the data when one side has as many units as samples less one, which
      is refused; a warning says how many correlations are 1 by necessity when both sides together have as many
    - cost: n p^2 + p^3 for each space once, then n p q + p q min(p, q) for a pair

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, too few, constant; or one
        side reproduces any target.

    Source: Hotelling 1936, Biometrika 28; Raghu et al. 2017, NeurIPS 30, section 2, for the mean.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(20, 2))
    >>> round(cca(x, x @ np.array([[1.0, 5.0], [0.0, 0.1]])), 9)
    1.0
    """
    return _cca(*spaces(X, Y, device)).value()


def _cca(x: Space, y: Space) -> Cross:
    check_rank(len(x.directions[2]), len(y.directions[2]), x.n)
    return _weighted(x, y, torch.ones_like, mean_correlation)


def mean_correlation(m: Tensor, t_x: Tensor, t_y: Tensor) -> Tensor:
    """Mean singular value of products of orthonormal directions."""
    return nuclear(m) / min(len(t_x), len(t_y))


def svcca(X: Any, Y: Any, *, variance: float = 0.99, device: Any = None) -> float:
    r"""Mean canonical correlation of the leading principal components.

        each side: the fewest components with ``variance`` of the total; then :func:`cca` of these

    - invariant to: rotations and reflections, isotropic scaling, translation; not to invertible linear maps
    - range: 0 to 1, 1 when identical; unrelated: nearly sqrt(max(k, l) / n) for k and l components kept
    - few samples: biased upwards, as :func:`cka` is, less than :func:`cca`; refused when a side keeps all directions
    - cost: as :func:`cca`

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    variance : share of the variance of each side that is kept, above 0, at most 1.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, too few, constant; or what
        is kept of one side reproduces any target. ValueError : ``variance`` outside (0, 1].

    Source: Raghu et al. 2017, NeurIPS 30, section 2.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(20, 3))
    >>> round(svcca(x, 2 * x[:, ::-1]), 9)
    1.0
    """
    return _svcca(*spaces(X, Y, device), variance=variance).value()


def _svcca(x: Space, y: Space, *, variance: float = 0.99) -> Cross:
    check_rank(len(leading(x.directions[2], variance)), len(leading(y.directions[2], variance)), x.n)
    return _weighted(x, y, lambda s: torch.ones_like(leading(s, variance)), mean_correlation)


def leading(s: Tensor, variance: float) -> Tensor:
    """The first singular values with at least ``variance`` of the sum of squares."""
    if not 0 < amount(variance, "variance", least=None) <= 1:
        raise ValueError(f"variance={variance!r}: expected a share above 0, at most 1.")
    share = s.square().cumsum(0) / s.square().sum()
    return s[: min(len(s), 1 + int((share < variance - 1e-12).sum()))]


def pwcca(X: Any, Y: Any, *, device: Any = None) -> float:
    r"""Canonical correlations, weighted by how much of X each canonical variate accounts for.

        value = sum_i a_i rho_i / sum_i a_i,  a_i = sum_j |<h_i, x_j>|

    with h_i the canonical variates of X and x_j its centred units. Not symmetric: the weights are those of X.

    - invariant to: permutation of units, isotropic scaling, translation; on the side of Y any invertible linear map
    - range: 0 to 1, 1 when identical; unrelated: as :func:`cca`
    - few samples: biased upwards, as :func:`cca`, and refused where that is
    - cost: as :func:`cca`, with singular vectors

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, too few, constant; or one
        side reproduces any target.

    Source: Morcos, Raghu and Bengio 2018, NeurIPS 31, eq. 2.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(20, 3))
    >>> round(pwcca(x, x), 9)
    1.0
    """
    return _pwcca(*spaces(X, Y, device)).value()


def _pwcca(x: Space, y: Space) -> Cross:
    (left, s_x), (right, s_y) = x.basis, y.basis
    check_rank(len(s_x), len(s_y), x.n)
    own = x.keep("units in basis", lambda: left.T @ x.centred)
    return Cross(left, right, lambda m, _: weighted_correlation(m, own))


def weighted_correlation(m: Tensor, own: Tensor) -> Tensor:
    """Projection-weighted mean of singular values of (..., k, l); ``own`` (k, p): units of X in its own basis."""
    turn, correlations, _ = torch.linalg.svd(m, full_matrices=False)
    weights = (turn.mT @ own).abs().sum(-1)
    return (weights * correlations).sum(-1) / weights.sum(-1)


def check_rank(r_x: int, r_y: int, n: int) -> None:
    """Refuse canonical correlations that are 1 whatever the data; warn where some are."""
    if max(r_x, r_y) >= n - 1:
        raise DegenerateDataError(
            f"{n} samples and {max(r_x, r_y)} independent directions on one side: it reproduces any target, so every "
            "canonical correlation is 1 whatever the data. Use svcca with fewer components, shape with alpha above 0, "
            "or cka_debiased; or add samples."
        )
    forced = r_x + r_y - (n - 1)
    if forced > 0:
        warnings.warn(
            f"{n} samples, {r_x} and {r_y} directions: {forced} of {min(r_x, r_y)} canonical correlations are 1 "
            "whatever the data. Reduce the spaces first (svcca), or compare the value with that of permuted stimuli.",
            NeurodecodeWarning,
            stacklevel=4,
        )


def _weighted(
    x: Space, y: Space, weigh: Callable[[Tensor], Tensor], finish: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Cross:
    """Orthonormal directions of both sides, each times its weight; fewer weights keep the first directions."""
    rows, turns, weights = [], [], []
    for side in (x, y):
        own, turn, s = side.directions
        t = weigh(s)
        rows.append(own if turn is not None else own[:, : len(t)] * t)
        turns.append(None if turn is None else turn[:, : len(t)] * t)
        weights.append(t)
    return Cross(rows[0], rows[1], lambda m, _: finish(m, *weights), (turns[0], turns[1]))


def _angle(cosine: Tensor) -> Tensor:
    return torch.arccos(cosine.clamp(-1.0, 1.0))


def crossed(make: Callable[..., Cross]) -> Callable[..., np.ndarray]:
    """The null of a measure from what makes its products."""

    def null(X: Space, Y: Space, orders: np.ndarray, **options: Any) -> np.ndarray:
        return make(X, Y, **options).null(orders)

    return null


procrustes_null, bures_null, shape_null, cca_null, svcca_null, pwcca_null = (
    crossed(make) for make in (_procrustes, _bures, _shape, _cca, _svcca, _pwcca)
)
