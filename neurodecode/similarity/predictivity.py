"""Linear predictivity: how well one side is predicted from the other, on stimuli that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .._names import lookup
from .._numbers import numbers_of
from ..compute.alignment import Moments, held_out_r2
from .crossed import spaces
from .matching import DIRECTIONS

DEFAULT_ALPHAS = tuple(10.0**power for power in range(-6, 7))


def linear_predictivity(
    X: Any,
    Y: Any,
    *,
    alphas: Sequence[float] = DEFAULT_ALPHAS,
    direction: str = "both",
    n_folds: int = 5,
    device: Any = None,
) -> float:
    r"""Cross-validated R2 of the ridge regression of one side on the other, all units together.

        R2 = 1 - sum ||Y_f - Yhat_f||^2 / sum ||Y_f - mean of Y outside f||^2

    over folds f, with Yhat_f fitted on the other folds. One penalty serves all units, chosen inside the training folds
    by squared error. Folds follow the hash of the stimulus label, so the order of stimuli does not matter.

    - invariant to: rotations and reflections, isotropic scaling, translation, of both sides; not to invertible linear
      maps (the penalty has its directions, and R2 weighs units by their variance)
    - range: below 0 to 1, nearly 1 when identical; unrelated: 0, or a little below
    - few samples: biased downwards, as predictions are; never upwards
    - cost: n_folds^2 / 2 eigendecompositions of min(n, p)^3 for each direction

    Parameters
    ----------
    X, Y : (n, p) and (n, q). Labelled arrays meet by stimulus, plain ones row by row.
    alphas : penalties, above 0, in units of the mean variance of a feature: 1 shrinks as one more sample would.
    direction : ``"both"`` (the mean of both); ``"xy"``: Y from X; ``"yx"``: X from Y.
    n_folds : folds at most, three at least.
    device : torch device; None: the CPU.

    Raises
    ------
    AlignmentError : stimuli of one side only, or repeats. DegenerateDataError : not finite, too few, constant.

    Source: Yamins et al. 2014, PNAS 111, for its use; Hoerl and Kennard 1970, Technometrics 12. For each unit alone,
    with noise ceilings: ``evaluation.cross_validate(linear.Ridge(), X, Y, ...)``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(60, 4))
    >>> round(linear_predictivity(x, x @ rng.normal(size=(4, 3)), direction="xy"), 4)
    1.0
    """
    x, y = spaces(X, Y, device)
    chosen = lookup(DIRECTIONS, direction, "direction", callables=False)
    rows = [torch.as_tensor(fold, device=x.raw.device) for fold in x.folds(n_folds)]
    folds = [Moments.of(x.compact[part], y.compact[part]) for part in rows]
    return predictivity_of(folds, penalties(alphas), chosen)


def predictivity_of(folds: list[Moments], alphas: torch.Tensor, ways: Sequence[str]) -> float:
    """The mean of held-out R2 over directions, from the moments of every fold."""
    sides = {"xy": lambda: folds, "yx": lambda: [fold.turned for fold in folds]}
    return float(np.mean([held_out_r2(sides[way](), alphas) for way in ways]))


def penalties(alphas: Any) -> torch.Tensor:
    """The grid, largest first, so that the first of equals is the larger penalty."""
    values = np.atleast_1d(numbers_of(alphas, "alphas", "one or more finite numbers above 0"))
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all() or (values <= 0).any():
        raise ValueError(f"alphas={alphas!r}: expected one or more finite numbers above 0.")
    return torch.from_numpy(np.unique(values)[::-1].copy())
