"""The penalty search of ridge: every penalty and every target of a fold, scored where it is computed.

What a fold predicts for its held-out samples under penalty a is ``B diag(T_a) U'Y``, with B the held-out samples in the
basis of the training samples and ``T_a = s^2 / (s^2 + a)``. Three things make a sweep over penalties cheap.

* Few of the columns of T are really different: smooth functions of the spectrum span little. The sweep runs over q
  combinations of penalties (the right singular vectors of T, weighted by what B makes of them) and mixes their
  predictions; q is the smallest number for which every prediction is off by less than the arithmetic itself rounds. A
  spectrum as wide as the grid of penalties leaves q at the number of penalties, and nothing is lost.
* ``B diag(T_j) U'`` is a small matrix (held-out x training samples), worked out once for all targets where that is
  cheaper than turning all targets into the basis.
* Predictions, residuals and their sums of squares are made for some hundred targets at a time, which the cache holds.

Golub & Van Loan (2013), Matrix Computations, section 2.4 (the best approximation of a given rank).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .batching import batches
from .linalg import choose_solver, double, eigenvectors, factorise, gram_matrix, like

STACK = 1 << 20  # entries of the stacked prediction matrices that are held at once where they are not kept
ROOM = 1 << 26  # entries of the stacked prediction matrices that a fold may keep
CACHE = 1 << 21  # entries of predictions and residuals that are worked on at once
EXACT = 8.0  # roundings of the dtype by which a mixed prediction may be off
FAST = 2.0**-7  # the same in bfloat16, as a share of a target's size


@dataclass(frozen=True)
class Fold:
    """One split of a penalty search, factorised: all that scoring a block of targets needs.

    ``train`` (n_train,), ``test`` (m,) row numbers. ``rotation`` (m, k), k = min(m, r): the held-out samples are turned
    into r rows where there are more samples than that. ``left`` (n_train, r) turns training targets into the basis;
    None where ``steps`` take them as they are. ``steps`` (q k, r or n_train): stacked prediction matrices, in the dtype
    of the sweep; None where they are made anew from ``basis`` (k, r) and ``table`` (r, q). ``mixture`` (penalties, q):
    the predictions of the penalties from those of the steps; None where every step is a penalty.
    """

    train: Tensor
    test: Tensor
    rotation: Tensor | None
    left: Tensor | None
    steps: Tensor | None
    basis: Tensor
    table: Tensor
    mixture: Tensor | None

    @property
    def penalties(self) -> int:
        return len(self.table.T) if self.mixture is None else len(self.mixture)


def sweep_dtype(precision: str, device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """The dtype in which penalties are compared: that of the data, or with ``"fast"`` the quickest that will do.

    ``"fast"`` is bfloat16 where the processor multiplies bfloat16 matrices in hardware (AVX512-BF16, AMX, CUDA from
    compute capability 8), and float32 everywhere else.

    Examples
    --------
    >>> sweep_dtype("exact", torch.device("cpu"), torch.float64)
    torch.float64
    """
    if precision == "exact":
        return dtype
    if precision != "fast":
        raise ValueError(f"precision={precision!r} is not known. Choose one of 'exact', 'fast'.")
    return torch.bfloat16 if _multiplies_bfloat16(device) else torch.float32


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, name, bool)() for name in names)


def fused(train: int, rows: int, rank: int, steps: int, targets: int) -> bool:
    """Whether it is cheaper to make (rows x train) matrices for all steps than to turn all targets into the basis."""
    return steps * rows * train * (rank + targets) < targets * rank * (train + steps * rows)


def factorise_fold(
    x: Tensor,
    train: Tensor,
    test: Tensor,
    alphas: Tensor,
    *,
    centre: bool = True,
    solver: str = "auto",
    gram: Tensor | None = None,
    targets: int = 1,
    sweep: torch.dtype | None = None,
    room: int = ROOM,
) -> Fold:
    """Factorise the training rows of ``x`` and bring the held-out rows into their basis.

    Held-out rows are centred with the training means. Where there are more held-out samples than directions, the
    basis is replaced by the triangle of its QR decomposition: the squared error splits into a part within the
    span, which depends on the penalty, and a part outside of it, which does not.

    Parameters
    ----------
    x : (n, p) all samples; train, test : row numbers. alphas : (penalties,).
    centre : True where an intercept is fitted. solver : as for :func:`linalg.factorise`.
    gram : (n, n) x x', which serves all folds in the dual form, in the dtype to factorise in; None: made here, float64.
    targets : how many will be scored, which decides what is worked out beforehand.
    sweep : dtype of the predictions; None: that of x. room : entries of prediction matrices that may be kept.
    """
    if choose_solver(len(train), x.shape[1], solver) == "dual":
        left, values, basis = _dual(gram_matrix(x) if gram is None else gram, train, test, centre, x.shape[1])
    else:
        left, values, basis = _primal(x, train, test, centre)
    rotation = None
    if basis.shape[1] < basis.shape[0]:
        rotation, basis = torch.linalg.qr(basis)
        rotation = like(rotation, x)
    table = values[:, None] / (values[:, None] + alphas.to(values)[None, :])
    sweep = x.dtype if sweep is None else sweep
    tolerance = FAST if sweep == torch.bfloat16 else EXACT * torch.finfo(sweep).eps
    short, mixture = _mixed(table, basis, tolerance * (len(test) / len(train)) ** 0.5)
    (k, r), q = basis.shape, short.shape[1]
    direct = fused(len(train), k, r, q, targets)
    steps = None
    if q * k * (len(train) if direct else r) <= room:
        stacked = (like(basis, x)[None] * like(short, x).T[:, None, :]).reshape(q * k, r)
        steps = (stacked @ like(left, x).T if direct else stacked).to(sweep)
        table = short
    elif mixture is not None:
        mixture = None  # no room to keep the steps: every penalty is walked by itself
    keep_left = None if steps is not None and direct else like(left, x)
    mixing = None if mixture is None else like(mixture, x)
    return Fold(train, test, rotation, keep_left, steps, like(basis, x), like(table, x), mixing)


def _dual(gram: Tensor, train: Tensor, test: Tensor, centre: bool, p: int) -> tuple[Tensor, Tensor, Tensor]:
    """Left vectors, squared singular values and held-out basis / s from the Gram matrix of all samples."""
    train, test = train.to(gram.device), test.to(gram.device)
    rows = gram[train]
    inner, cross = rows[:, train], gram[test][:, train]
    del rows
    if centre:
        mean = inner.mean(0)
        cross = cross - cross.mean(1, keepdim=True) - mean + mean.mean()
        inner = inner - mean[:, None] - mean + mean.mean()
    eps = torch.finfo(inner.dtype).eps * (64 if inner.dtype == torch.float32 else 4 * max(len(train), p))
    values, left = eigenvectors(inner, eps)
    return left, values.double(), ((cross @ left) / values).double()


def _primal(x: Tensor, train: Tensor, test: Tensor, centre: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The same from the singular values of the training samples."""
    x_train, x_test = x[train], x[test]
    if centre:
        mean = x_train.mean(0)
        x_train -= mean
        x_test -= mean
    spectrum = factorise(x_train, "primal")
    assert spectrum.right is not None
    basis = double(x_test) @ double(spectrum.right)
    return double(spectrum.left), spectrum.values, basis / spectrum.values.sqrt()


def _mixed(table: Tensor, basis: Tensor, tolerance: float) -> tuple[Tensor, Tensor | None]:
    """The fewest combinations of the columns of ``table`` that give all of them back: (r, q) and (penalties, q).

    A column that is off by d changes predictions by at most ``||diag(w) d||`` times the norm of the targets, w being
    the norms of the columns of ``basis``; that must stay below ``tolerance`` for every column.
    """
    r, count = table.shape
    if r == 0 or count < 3:
        return table, None
    weighted = torch.linalg.vector_norm(basis, dim=0)[:, None] * table
    _, size, turn = torch.linalg.svd(weighted, full_matrices=False)
    parts = (size[:, None] * turn).square()
    left_out = parts.flip(0).cumsum(0).flip(0).sqrt().amax(1)  # when this direction and all after it are dropped
    enough = torch.nonzero(left_out <= tolerance)
    q = int(enough[0]) if len(enough) else len(size)
    if q > 0.9 * count:
        return table, None
    q = max(q, 1)
    return table @ turn[:q].T, turn[:q].T


def path_r2(fold: Fold, y: Tensor, *, centre: bool = True) -> Tensor:
    """Held-out R2 of every penalty for every target of one split.

    R2 = 1 - sum (y - y_hat)^2 / sum (y - mean of the held-out y)^2. Where a target does not vary over the held-out
    samples (always so with one sample held out), the variance of the training samples stands in for that of the
    held-out ones; where it does not vary there either, R2 is 0 for every penalty.

    Parameters
    ----------
    fold : from :func:`factorise_fold`.
    y : (n, t) targets, all rows, both sides.
    centre : True where an intercept is fitted.

    Returns
    -------
    (penalties, t)
    """
    y_train, y_test = y[fold.train], y[fold.test]
    total = held_out_total(y_train, y_test)
    if centre:
        mean_train = y_train.mean(0)
        y_train -= mean_train
        y_test -= mean_train
    outside = torch.zeros_like(total)
    if fold.rotation is not None:
        inside = fold.rotation.T @ y_test
        outside = (y_test.square().sum(0) - inside.square().sum(0)).clamp_min_(0.0)
        y_test = inside
    feed = y_train if fold.left is None else fold.left.T @ y_train
    error = _kept(fold, fold.steps, feed, y_test) if fold.steps is not None else _anew(fold, feed, y_test)
    error += outside
    positive = total > 0
    return torch.where(positive, 1.0 - error / torch.where(positive, total, torch.ones_like(total)), 0.0)


def held_out_total(y_train: Tensor, y_test: Tensor) -> Tensor:
    """(t,) what R2 divides by: squared deviations of the held-out targets from their mean.

    Where a target does not vary over the held-out samples (always so with one sample held out), the variance of the
    training samples stands in for that of the held-out ones; 0 where it does not vary there either.

    Parameters
    ----------
    y_train : (n, t); y_test : (m, t).
    """
    m = len(y_test)
    mean = y_test.mean(0)
    total = (y_test - mean).square_().sum(0)
    flat = total <= m * (8 * torch.finfo(y_test.dtype).eps * mean.abs()).square()
    if bool(flat.any()):
        spread = (y_train.amax(0) > y_train.amin(0)).to(y_test.dtype) * y_train.var(0, correction=0)
        total = torch.where(flat, m * spread, total)
    return total


def _kept(fold: Fold, steps: Tensor, feed: Tensor, y_test: Tensor) -> Tensor:
    """Squared errors (penalties, t) from the prediction matrices that a fold keeps."""
    k, t = y_test.shape
    count, q = fold.penalties, fold.table.shape[1]
    width = max(64, CACHE // max(1, k * (q + 1 + (count if fold.mixture is not None else 0))) // 64 * 64)
    error = y_test.new_empty((count, t))
    feed = feed.to(steps.dtype)
    if fold.mixture is not None:
        mixture = torch.cat([fold.mixture, fold.mixture.new_full((count, 1), -1.0)], 1)
    for columns in batches(t, width):
        here = y_test[:, columns]
        predicted = (steps @ feed[:, columns]).to(y_test.dtype).view(q, k, -1)
        if fold.mixture is None:
            residual = predicted.sub_(here)
        else:
            parts = torch.cat([predicted, here[None]])
            residual = (mixture @ parts.view(q + 1, -1)).view(count, k, -1)
        error[:, columns] = residual.square_().sum(1)
    return error


def _anew(fold: Fold, spectral: Tensor, y_test: Tensor) -> Tensor:
    """The same where the matrices are made again for every block, a few penalties at a time."""
    (k, r), t = fold.basis.shape, y_test.shape[1]
    count = fold.penalties
    error = y_test.new_empty((count, t))
    for some in batches(count, max(1, STACK // max(1, k * max(r, t)))):
        stacked = fold.basis[None] * fold.table.T[some, None, :]  # (penalties, k, r)
        residual = (stacked.reshape(-1, r) @ spectral).reshape(-1, k, t)
        error[some] = residual.sub_(y_test).square_().sum(1)
    return error
