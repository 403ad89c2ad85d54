r"""Ridge regression as a linear smoother: what takes training targets to predictions, for every fold at once.

With a fixed penalty a, predictions for the rows T of X from training rows R are linear in the targets,

    Y_T = m + H (Y_R - m),    H = T (R'R + a I)^-1 R' = T R' (R R' + a I)^-1,

T and R centred by the means of R. Many targets (permuted ones, voxels) then cost one product of test x training samples
each. The products X'X (or X X') of all samples serve every fold: those of the training rows are what is left of them.

Pure functions of tensors, in float64. Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning,
sections 3.4.1 and 18.3.5.
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST = 1e-7  # a penalty below this share of the trace of X'X: products of X with itself are not accurate enough


def ridge_smoothers(
    x: Tensor, alpha: float, folds: list[tuple[Tensor, Tensor]], centre: bool = True
) -> list[tuple[Tensor, ...]] | None:
    """H of every fold.

    Parameters
    ----------
    x : (n, p) features. alpha : the penalty. folds : (train, test) positions.
    centre : by the means of the training rows.

    Returns
    -------
    For every fold matrices whose product is H (test, train): one, or two where those hold fewer numbers. None where the
    penalty is too small for this way to be accurate.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0], [2.0], [3.0]], dtype=torch.float64)
    >>> ((h,),) = ridge_smoothers(x, 1.0, [(torch.tensor([0, 2]), torch.tensor([1, 3]))])
    >>> (h @ torch.tensor([[-1.0], [1.0]], dtype=torch.float64))[:, 0].round(decimals=4).tolist()
    [0.0, 1.3333]
    """
    x = x.double()
    if centre:
        x = x - x.mean(0)
    n, p = x.shape
    if not alpha > SMALLEST * float(x.square().sum()) / max(1, min(n, p)):
        return None
    return _primal(x, alpha, folds, centre) if p < n else _dual(x, alpha, folds, centre)


def _primal(
    x: Tensor, alpha: float, folds: list[tuple[Tensor, Tensor]], centre: bool
) -> list[tuple[Tensor, ...]] | None:
    product = x.T @ x
    found: list[tuple[Tensor, ...]] = []
    for train, test in folds:
        own = x[train]
        out = torch.ones(len(x), dtype=torch.bool)
        out[train] = False
        once = len(train) == len(x) - int(out.sum())
        rest = x[out]
        inner = product - rest.T @ rest if once and len(rest) < len(own) else own.T @ own
        mean = own.mean(0) if centre else own.new_zeros(x.shape[1])
        inner = inner.addr_(mean, mean, alpha=-len(own))
        factor = _factor(inner, alpha)
        if factor is None:
            return None
        sides = torch.cat([own, x[test]]) - mean
        half = torch.linalg.solve_triangular(factor, sides.T, upper=False)
        left, right = half[:, len(own) :].T, half[:, : len(own)]
        short = len(own) * len(test) <= x.shape[1] * (len(own) + len(test))
        found.append((left @ right,) if short else (left.contiguous(), right.contiguous()))
    return found


def _dual(x: Tensor, alpha: float, folds: list[tuple[Tensor, Tensor]], centre: bool) -> list[tuple[Tensor, ...]] | None:
    kernel = x @ x.T
    found: list[tuple[Tensor, ...]] = []
    for train, test in folds:
        inner, across = kernel[train][:, train], kernel[test][:, train]
        if centre:
            mean = inner.mean(0)
            across = across - mean - across.mean(1, keepdim=True) + mean.mean()
            inner = inner - mean - mean[:, None] + mean.mean()
        factor = _factor(inner, alpha)
        if factor is None:
            return None
        found.append((torch.cholesky_solve(across.T, factor).T.contiguous(),))
    return found


def _factor(inner: Tensor, alpha: float) -> Tensor | None:
    inner.diagonal().add_(alpha)
    factor, info = torch.linalg.cholesky_ex(inner)
    return None if int(info) else factor
