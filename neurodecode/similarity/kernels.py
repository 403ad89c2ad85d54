"""Centred kernel alignment and its relatives: one kernel of inner products against the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..compute.alignment import inner_products, power_of, powers, through_samples, unbiased
from ..exceptions import DegenerateDataError
from .crossed import Cross, spaces
from .spaces import Space

FEWEST_UNBIASED = 4


def cka(X: Any, Y: Any, *, device: Any = None) -> float:
    r"""Linear centred kernel alignment.

        CKA = ||Y'X||_F^2 / (||X'X||_F ||Y'Y||_F)

    with centred X (n, p) and Y (n, q).

    - invariant to: rotations, isotropic scaling, translation; not to invertible linear maps
    - range: 0 to 1, 1 when identical; unrelated: about 0 with many more samples than units
    - few samples: biased upwards, near 1 for unrelated data with more units than samples; use :func:`cka_debiased`
    - cost: n p q, or n^2 (p + q) with fewer samples than units

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, too few, constant.

    Source: Kornblith et al. 2019, ICML, eq. 4 and table 1.

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0], [3.0, 3.0]])
    >>> round(cka(x, 7 * x[:, ::-1] + 2), 6)
    1.0
    """
    x, y = spaces(X, Y, device)
    return min(float(cross_power(x, y) / (x.self_power * y.self_power).sqrt()), 1.0)  # rounding stays in the range


def cka_null(X: Space, Y: Space, orders: np.ndarray) -> np.ndarray:
    """CKA with the stimuli of Y in each order."""
    scale = (X.self_power * Y.self_power).sqrt()
    return Cross(X.compact, Y.compact, lambda m, _: m.square().sum((-2, -1)) / scale).null(orders)


def cka_debiased(X: Any, Y: Any, *, device: Any = None) -> float:
    r"""Linear CKA from the unbiased estimator of the Hilbert-Schmidt independence criterion.

        CKA_u = HSIC_1(K, L) / sqrt(HSIC_1(K, K) HSIC_1(L, L))
        HSIC_1(K, L) = 1 / (n (n - 3)) (tr(K0 L0) + (1'K0 1)(1'L0 1) / ((n - 1)(n - 2)) - 2 / (n - 2) 1'K0 L0 1)

    with K = XX', L = YY' and K0, L0 the same with zeros on the diagonal; computed without n x n matrices.

    - invariant to: rotations, isotropic scaling, translation; not to invertible linear maps
    - range: -1 to 1, 1 when identical; unrelated: 0 on average
    - few samples: not biased upwards, so values below 0 are to be expected; four samples at least
    - cost: as :func:`cka`

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, fewer than 4, constant.

    Source: Song et al. 2012, JMLR 13, eq. 5; Nguyen, Raghu and Kornblith 2021, ICLR, eq. 3.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(50, 2000)), rng.normal(size=(50, 2000))
    >>> bool(cka(x, y) > 0.95), bool(abs(cka_debiased(x, y)) < 0.1)
    (True, True)
    """
    x, y = spaces(X, Y, device)
    return float(unbiased(cross_power(x, y), x.row_power, y.row_power) / _unbiased_scale(x, y))


def cka_debiased_null(X: Space, Y: Space, orders: np.ndarray) -> np.ndarray:
    """Debiased CKA with the stimuli of Y in each order."""
    scale, r_x, r_y = _unbiased_scale(X, Y), X.row_power, Y.row_power

    def finish(m: Tensor, order: Tensor | None) -> Tensor:
        return unbiased(m.square().sum((-2, -1)), r_x, r_y if order is None else r_y[order]) / scale

    return Cross(X.compact, Y.compact, finish).null(orders)


def rv(X: Any, Y: Any, *, modified: bool = False, device: Any = None) -> float:
    r"""RV coefficient: the correlation of two configurations of the same stimuli.

        RV = tr(XX' YY') / sqrt(tr((XX')^2) tr((YY')^2))

    with centred X and Y: the same number as linear CKA, under the name it had first. ``modified=True`` leaves the
    diagonals of XX' and YY' out of the traces, which takes most of the bias away.

    - invariant to: rotations, isotropic scaling, translation; not to invertible linear maps
    - range: 0 to 1, 1 when identical (modified: -1 to 1); unrelated: about 0 with many more samples than units
    - few samples: biased upwards as CKA is; use ``modified=True`` or :func:`cka_debiased`
    - cost: as :func:`cka`; modified n^2 (p + q)

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    modified : leave out the diagonals.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, too few, constant.

    Source: Robert and Escoufier 1976, Applied Statistics 25; modified: Smilde et al. 2009, Bioinformatics 25.

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0], [3.0, 3.0]])
    >>> round(rv(x, x[:, :1]), 4) == round(cka(x, x[:, :1]), 4)
    True
    """
    x, y = spaces(X, Y, device)
    if not modified:
        return cka(x, y)
    k, m = _without_diagonal(x), _without_diagonal(y)
    return float((k * m).sum() / (k.square().sum() * m.square().sum()).sqrt())


def rv_null(X: Space, Y: Space, orders: np.ndarray, *, modified: bool = False) -> np.ndarray:
    """RV with the stimuli of Y in each order."""
    if not modified:
        return cka_null(X, Y, orders)
    scale = (_without_diagonal(X).square().sum() * _without_diagonal(Y).square().sum()).sqrt()
    r_x, r_y = X.row_power, Y.row_power

    def finish(m: Tensor, order: Tensor | None) -> Tensor:
        return (m.square().sum((-2, -1)) - (r_x * (r_y if order is None else r_y[order])).sum(-1)) / scale

    return Cross(X.compact, Y.compact, finish).null(orders)


def cross_power(x: Space, y: Space) -> Tensor:
    """``||X'Y||_F^2`` of the centred rows, through features or samples, with what is already there."""
    if not x._kept and not y._kept and x is not y and x.width + y.width <= x.n:
        shared, *own = powers(x.raw, y.raw)
        for side, power in zip((x, y), own):
            side.learn("self power", power)
        return shared
    through_samples = x.n * x.n + sum(0 if "gram" in s._kept else x.n * x.n * s.width for s in (x, y))
    if x.n * x.width * y.width <= through_samples:
        return power_of(x.centred.T @ y.centred)
    return (x.gram * y.gram).sum()


def shared_grams(one: Sequence[Space], two: Sequence[Space]) -> np.ndarray | None:
    """``||X'Y||_F^2`` of every space with every other (K, L), where that is less work than pair by pair; else None.

    What each has with itself is kept in the spaces.
    """
    same = all(x is y for x, y in zip(one, two)) and len(one) == len(two)
    rows = [x.centred for x in one], None if same else [y.centred for y in two]
    if not through_samples(*rows):
        return None
    found, own, others = inner_products(*rows)
    for side, power in [*zip(one, own), *zip(two, others)]:
        side.learn("self power", power)
    return found.cpu().numpy()


def cka_grid(one: Sequence[Space], two: Sequence[Space]) -> np.ndarray | None:
    """CKA of every space with every other, or None where pair by pair is less work."""
    shared = shared_grams(one, two)
    if shared is None:
        return None
    own = [np.array([float(side.self_power) for side in sides]) for sides in (one, two)]
    return np.asarray(np.clip(shared, 0, None) / np.sqrt(np.outer(*own)))


def cka_debiased_grid(one: Sequence[Space], two: Sequence[Space]) -> np.ndarray | None:
    """Debiased CKA of every space with every other, or None where pair by pair is less work."""
    shared = shared_grams(one, two)
    if shared is None:
        return None
    return np.array(
        [
            [float(unbiased(torch.tensor(power), x.row_power.cpu(), y.row_power.cpu())) / float(_unbiased_scale(x, y))
             for power, y in zip(row, two)]
            for row, x in zip(shared, one)
        ]
    )  # fmt: skip


def rv_grid(one: Sequence[Space], two: Sequence[Space], *, modified: bool = False) -> np.ndarray | None:
    """RV of every space with every other, or None where pair by pair is less work."""
    return None if modified else cka_grid(one, two)


def _unbiased_scale(x: Space, y: Space) -> Tensor:
    if x.n < FEWEST_UNBIASED:
        raise DegenerateDataError(f"the unbiased estimator needs {FEWEST_UNBIASED} samples, and there are {x.n}.")
    own = x.keep("unbiased", lambda: _unbiased_self(x)), y.keep("unbiased", lambda: _unbiased_self(y))
    return (own[0] * own[1]).sqrt()


def _unbiased_self(side: Space) -> Tensor:
    found = unbiased(side.self_power, side.row_power, side.row_power)
    if not bool(found > 1e-12 * side.self_power):
        raise DegenerateDataError(
            f"{side.name}: all stimuli are equally far from each other, so there is nothing to compare."
        )
    return found


def _without_diagonal(x: Space) -> Tensor:
    def make() -> Tensor:
        found = x.gram.clone()
        found.fill_diagonal_(0)
        return found

    return torch.as_tensor(x.keep("no diagonal", make))
