"""Kernel ridge: the dual of ridge with any similarity of samples in the place of their inner product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from .._names import lookup
from .._numbers import numbers_of
from ..compute.banded import SWEEP, Split, Winners, factorise_kernel, make_table, path_scores
from ..compute.batching import batches
from ..compute.device import resolve
from ..exceptions import DegenerateDataError
from ..representation import Labels, check_finite, check_same_samples, check_same_units, labelled
from . import _inputs
from ._capacity import largest_block, steps_and_what_lingers
from .ridge import DEFAULT_ALPHAS, _folds, _penalties, _warn_edges, _warn_features

BLOCKS = (4096, 2048, 1024, 512, 256, 128, 64)  # targets at a time


def linear(one: np.ndarray, two: np.ndarray, gamma: float) -> np.ndarray:
    """Inner products of rows: kernel ridge is then ridge."""
    return one @ two.T


def rbf(one: np.ndarray, two: np.ndarray, gamma: float) -> np.ndarray:
    """exp(-gamma ||a - b||^2)."""
    far = (one**2).sum(1)[:, None] + (two**2).sum(1) - 2 * one @ two.T
    return np.exp(-gamma * np.maximum(far, 0.0))


KERNELS = {"linear": linear, "rbf": rbf}


class KernelRidge(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Ridge regression on a kernel between samples, with a penalty for each target.

    With the kernel matrix K centred in feature space (which is the intercept),

        y_hat(x) = mean(y_t) + k(x)' (K + alpha_t I)^-1 (y_t - mean(y_t))

    and alpha_t the penalty with the highest R2, averaged over the folds of ``cv``; ties go to the larger penalty.

    Parameters
    ----------
    kernel : ``"linear"``, ``"rbf"`` (exp(-gamma ||a - b||^2)), or a callable ``(one, two) ->
        (rows of one, rows of two)`` that is symmetric and positive semidefinite.
    alphas : sequence of penalties, 0 or more, or one number: then nothing is chosen.
    gamma : of the rbf kernel, in 1 / (units of X)^2; None: 1 / (features x variance of X).
    cv : folds inside the training samples, as for :class:`Ridge`.
    device : torch device; None: the CPU.
    max_memory : what ``fit`` may take beyond the arrays it is given, and beyond what a callable ``kernel`` takes for
        itself: bytes, or text such as ``"4 GiB"``; None: the memory of the machine.

    Attributes
    ----------
    alpha_ : (targets,). best_score_ : (targets,) mean R2 over folds; NaN for a constant target or a single penalty.
    dual_coef_ : (samples, targets). intercept_ : (targets,). X_fit_ : (samples, features). gamma_ : as used.
    memory_ : predicted peak of ``fit`` in bytes beyond the arrays that it was given.

    Raises
    ------
    AlignmentError : X and y carry labels of different samples; other features in ``predict``.
    DegenerateDataError : values that are not finite, too few samples, or a kernel that is no kernel.
    CapacityError : the predicted peak is above ``max_memory``; said before anything of that size is made.

    References
    ----------
    Saunders, Gammerman & Vovk (1998), ICML; Scholkopf, Smola & Muller (1998), Neural Computation 10, appendix B.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-3, 3, 90)[:, None]
    >>> y = np.sin(2 * X[:, 0]) + 0.3 * np.random.default_rng(0).normal(size=90)
    >>> cv = [(np.arange(90) % 3 != k, np.arange(90) % 3 == k) for k in range(3)]
    >>> model = KernelRidge("rbf", alphas=[1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100], gamma=1.0, cv=cv).fit(X, y)
    >>> bool(abs(model.predict(X) - np.sin(2 * X[:, 0])).mean() < 0.1)
    True
    """

    def __init__(
        self,
        kernel: Any = "linear",
        alphas: Sequence[float] | float = DEFAULT_ALPHAS,
        gamma: float | None = None,
        cv: Any = 5,
        device: Any = None,
        max_memory: float | str | None = None,
    ):
        self.kernel = kernel
        self.alphas = alphas
        self.gamma = gamma
        self.cv = cv
        self.device = device
        self.max_memory = max_memory

    targets_independent = True

    def fit(self, X: Any, y: Any) -> KernelRidge:
        """Choose the penalties and solve.

        Parameters
        ----------
        X : (samples, features); y : (samples, targets) or (samples,). Labelled or plain.
        """
        check_same_samples(X, y)
        device = resolve(self.device)
        lookup(KERNELS, self.kernel, "kernel")
        alphas = _penalties(self.alphas)
        targets = _inputs.targets(y, "KernelRidge")
        x = _inputs.features(self, X, also=targets)
        check_consistent_length(x, targets)
        table = targets[:, None] if targets.ndim == 1 else targets
        _inputs.check_counts(table.shape, "KernelRidge", what="target")
        folds = _folds(self.cv, X, y, len(x)) if len(alphas) > 1 else []
        copied = not np.may_share_memory(x, _inputs.matrix(X))
        block, self.memory_ = _plan(x, copied, table.shape[1], folds, len(alphas), self.max_memory)
        if not isinstance(self.kernel, str) or self.kernel == "linear":
            _warn_features(x, X, True)
        spread = float(x.var(dtype=np.float64))
        given = (
            None if self.gamma is None else float(numbers_of(self.gamma, "gamma", "a finite number above 0, or None"))
        )
        self.gamma_ = 1.0 / (x.shape[1] * (spread or 1.0)) if given is None else given
        if not (np.isfinite(self.gamma_) and self.gamma_ > 0):
            raise ValueError(f"gamma={self.gamma!r}: expected a finite number above 0, or None.")
        self.mean_ = x.mean(0, dtype=np.float64) if self.kernel in ("linear", "rbf") else np.zeros(x.shape[1])
        self.X_fit_ = x
        kernel = self._kernel(x, own=True)
        sound = np.isfinite(kernel).all()
        if not sound or not np.allclose(kernel, kernel.T, rtol=1e-5, atol=1e-6 * np.abs(kernel).max()):
            raise DegenerateDataError(
                "the kernel of the training samples is not finite and symmetric; it must be both."
            )
        self._solve(torch.from_numpy(kernel).to(device), folds, table, y, alphas, x.dtype, block)
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        self.targets_ = Labels.of(y if isinstance(y, xr.DataArray) else targets, "unit")
        self.one_target_ = targets.ndim == 1
        return self

    def _solve(
        self, kernel: torch.Tensor, folds: list, table: Any, y: Any, alphas: np.ndarray, dtype: np.dtype, at_once: int
    ) -> None:
        n, t, device = len(kernel), table.shape[1], kernel.device
        masked, still = _inputs.masked(y, t), np.zeros(t, dtype=bool)
        every = torch.arange(n, device=device)
        splits = [Split(*(torch.from_numpy(side).to(device) for side in pair)) for pair in folds]
        factors = [factorise_kernel(kernel, one.train, one.test, torch.float64) for one in splits]
        whole = factorise_kernel(kernel, every, every, torch.float64)
        lowest = -float(torch.linalg.eigvalsh(kernel)[0])
        if lowest > 1e-6 * float(kernel.diagonal().abs().max()):
            raise DegenerateDataError(
                f"the kernel is not positive semidefinite (smallest eigenvalue {-lowest:.3g}); give one that is."
            )
        penalties = torch.from_numpy(alphas).to(device)[:, None]
        self.alpha_, self.best_score_ = np.full(t, alphas[0]), np.full(t, np.nan, dtype=dtype)
        self.dual_coef_, self.intercept_ = np.zeros((n, t), dtype=dtype), np.zeros(t, dtype=dtype)
        for columns in batches(t, at_once):
            block = _inputs.read_columns(table, columns, dtype)
            block[:, masked[columns]] = 0
            if not _inputs.is_finite(block):
                check_finite(y if isinstance(y, xr.DataArray) else table, "y")
            still[columns] = _inputs.constant(block)
            self.intercept_[columns] = np.where(still[columns], block[0], block.mean(0, dtype=np.float64))
            values = torch.from_numpy(block - self.intercept_[columns]).to(device)
            if splits:
                won = Winners.none(1, values.shape[1], values)
                scores = path_scores(factors, [make_table(one, values) for one in splits], penalties, None)
                won.offer(scores, penalties, torch.ones(1), None)
                self.alpha_[columns] = won.alpha.cpu().numpy()
                self.best_score_[columns] = won.score.cpu().numpy()
            penalty = torch.from_numpy(self.alpha_[columns]).to(device)
            dual = whole.turn.T @ ((whole.turn @ values.double()) / (whole.values[:, None] + penalty))
            self.dual_coef_[:, columns] = dual.cpu().numpy()
        self.best_score_[still] = np.nan
        if splits:
            _warn_edges((alphas[:, None] == self.alpha_[~still]).argmax(0), alphas)
        for fitted in (self.dual_coef_, self.intercept_, self.alpha_):
            fitted[..., masked] = np.nan
        self.kernel_means_, self.kernel_mean_ = kernel.mean(0).cpu().numpy(), float(kernel.mean())

    def _kernel(self, x: np.ndarray, own: bool = False) -> np.ndarray:
        """Of ``x`` with the training samples, in float64; ``own``: in fit, where they are the same."""
        if callable(self.kernel):
            one, two = x.astype(np.float64), self.X_fit_.astype(np.float64)
            found = np.asarray(self.kernel(one, two), dtype=np.float64)
            if found.shape != (len(one), len(two)):
                raise DegenerateDataError(f"the kernel gave {found.shape}; expected {(len(one), len(two))}.")
            return found
        one = x - self.mean_
        two = one if own else self.X_fit_ - self.mean_
        return np.asarray(KERNELS[self.kernel](one, two, self.gamma_))

    def predict(self, X: Any) -> Any:
        """(samples, targets), or (samples,) where y was 1-D; labelled where X is."""
        check_is_fitted(self)
        check_same_units(X, self.features_)
        x = _inputs.features(self, X, also=self.dual_coef_, reset=False, samples=1)
        to = self._kernel(x)
        to = to - to.mean(1, keepdims=True) - self.kernel_means_ + self.kernel_mean_
        found = (to @ self.dual_coef_ + self.intercept_).astype(self.dual_coef_.dtype)
        return labelled(found[:, 0] if self.one_target_ else found, samples_of=X, units=self.targets_)


def _plan(
    x: np.ndarray, copied: bool, t: int, folds: list, penalties: int, max_memory: float | str | None
) -> tuple[int, int]:
    """Targets scored together so that the predicted peak stays under ``max_memory``, and that peak in bytes.

    Counted in (n, n) matrices of float64: the kernel and four more while it is made and judged; while a fold is
    factorised, its rows and eight of its own size; the eigenvectors of every fold, and those of all samples.
    """
    n, p, size = *x.shape, x.dtype.itemsize
    train, test = (max((len(pair[side]) for pair in folds), default=0) for side in (0, 1))
    kept = copied * size * n * p + size * n * t + 8 * t * (size + 3)
    turned = len(folds) * 8 * train * (train + test)
    making = 8 * (2 * n * p + 5 * n * n)
    splitting = 8 * (n * n + train * n + 8 * train * train + 4 * test * train) if folds else 0

    def peak(block: int) -> float:
        now = min(block, t)
        tables = (len(folds) + 2) * size * n * now + penalties * size * now
        sweep = size * (train * (train + test) + min(now, SWEEP) * 2 * (train + test)) if folds else 0
        targets = 3 * size * n * now + max(tables + sweep, 8 * 4 * n * now)
        steps = max(making, turned + splitting, turned + 8 * 12 * n * n, turned + 8 * 3 * n * n + targets)
        return kept + steps_and_what_lingers(steps)

    return largest_block(
        peak,
        BLOCKS,
        max_memory,
        f"KernelRidge on {n:,} samples x {p:,} features and {t:,} targets ({8 * size}-bit)",
        "or fewer samples: a kernel of the samples does not grow with the features",
    )
