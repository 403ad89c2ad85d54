"""Closed forms for a stack of problems that share their samples and targets: time points, spheres, sensors.

``recipe`` says whether an estimator has one; ``solve`` fits it. What cannot be solved with full accuracy is named in
``Stack.sound``, and is fitted by the estimator itself.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
import xarray as xr
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_consistent_length

from ..compute import discriminant, logistic, many_ridges
from ..compute.batching import batches
from ..exceptions import DegenerateDataError
from ..representation import Labelled, check_finite
from . import _inputs
from .classify import LinearClassifier, _labels
from .correlation import CorrelationClassifier
from .ridge import Ridge, _folds, _penalties, _warn_edges

BYTES = 64 << 20  # what the features of the problems that are solved at once may take
BYTES_SHARED = 8 << 20  # the same with the products of all folds, which are passed over again and again: a cache


@dataclass(frozen=True)
class Recipe:
    """What to solve: ``final`` is the estimator, ``scale`` whether features are standardised before it."""

    final: Any
    scale: bool

    @property
    def logistic(self) -> bool:
        return isinstance(self.final, LogisticRegression) or getattr(self.final, "kind", None) == "logistic"

    @property
    def penalty(self) -> float | None:
        """Of a ridge classifier; None of others."""
        if isinstance(self.final, RidgeClassifier):
            return float(self.final.alpha)
        return 1.0 / float(self.final.C) if getattr(self.final, "kind", None) == "ridge" else None

    @property
    def shares_sums(self) -> bool:
        """Whether training sets that overlap can share their sums: a discriminant of fixed shrinkage."""
        discriminates = isinstance(self.final, LinearDiscriminantAnalysis) or getattr(self.final, "kind", None) == "lda"
        return discriminates and not self.scale and self.shrinkage != "auto"

    def serves(self, y: Targets) -> bool:
        """Whether there is a closed form, or iterations at once, for these targets: logistic regression is of two
        classes."""
        return not self.logistic or (y.classes is not None and len(y.classes) == 2)

    @property
    def shrinkage(self) -> Any:
        """Of an LDA: None, a number, or ``"auto"``, in the sense of ``compute.discriminant``."""
        if isinstance(self.final, LinearDiscriminantAnalysis) and self.final.solver == "lsqr":
            return 0.0 if self.final.shrinkage is None else self.final.shrinkage
        return self.final.shrinkage


@dataclass(frozen=True)
class Stack:
    """Fitted problems: ``coef`` (problems, outputs, features), ``intercept`` (problems, outputs), ``sound`` (problems).

    Problems of unequal size lie one behind the other: ``coef`` (outputs, all features of all problems).
    ``classes`` are those of classifiers. ``normed``: decision values are divided by the length of the centred pattern.
    ``unfinished``: positions of problems whose iterations stopped before they converged.
    """

    coef: np.ndarray
    intercept: np.ndarray
    sound: np.ndarray
    classes: np.ndarray | None = None
    normed: bool = False
    unfinished: tuple[int, ...] = ()


def recipe(estimator: Any) -> Recipe | None:
    """How a stack of problems is solved with this estimator; None where only the estimator itself can."""
    steps = [step for _, step in estimator.steps] if hasattr(estimator, "steps") else [estimator]
    final = steps[-1]
    if len(steps) > 2 or not _known(final):
        return None
    if len(steps) == 2:
        first = steps[0].estimator if type(steps[0]) is Labelled else steps[0]
        if type(first) is not StandardScaler or not (first.with_mean and first.with_std):
            return None
        if type(final) is CorrelationClassifier:
            return None
    return Recipe(final, len(steps) == 2)


def _known(final: Any) -> bool:
    if type(final) is LinearClassifier:
        penalised = final.kind in ("logistic", "ridge") and final.shrinkage is None and _strength(final.C)
        return penalised or (final.kind == "lda" and _amount(final.shrinkage))
    if type(final) is LogisticRegression:
        return _ordinary(final, LogisticRegression, "C", "tol", "max_iter", "solver", "random_state", "verbose") and (
            _strength(final.C) and final.solver in ("lbfgs", "newton-cg", "newton-cholesky")
        )
    if type(final) is RidgeClassifier:
        ordinary = _ordinary(final, RidgeClassifier, "alpha", "tol", "max_iter", "copy_X", "random_state")
        return ordinary and _strength(final.alpha)
    if type(final) is LinearDiscriminantAnalysis:
        plain = final.priors is None and final.covariance_estimator is None and final.tol == 1e-4
        svd = final.solver == "svd" and final.shrinkage is None
        return plain and (svd or final.solver == "lsqr") and _amount(final.shrinkage) and final.n_components is None
    if type(final) is Ridge:
        usual = final.precision == "exact" and not isinstance(final.cv, str)
        return final.device is None and final.max_memory is None and usual
    return type(final) is CorrelationClassifier


def _ordinary(final: Any, kind: type, *may_differ: str) -> bool:
    """Whether all parameters but some are those that the class starts with."""
    usual = kind().get_params()
    return all(name in may_differ or value == usual[name] for name, value in final.get_params().items())


def _strength(number: Any) -> bool:
    return isinstance(number, Real) and not isinstance(number, bool) and 0 < float(number) < np.inf


def _amount(shrinkage: Any) -> bool:
    number = isinstance(shrinkage, Real) and not isinstance(shrinkage, bool) and 0 <= float(shrinkage) <= 1
    return shrinkage is None or shrinkage == "auto" or number


@dataclass(frozen=True)
class Targets:
    """Targets as the closed forms take them: ``values`` (n, targets) numbers or (n,) positions in ``classes``."""

    values: np.ndarray
    classes: np.ndarray | None
    one: bool


def targets(asked: Recipe, y: Any, n: int, who: str) -> Targets:
    """Check the targets of a stack by the rules of its estimator."""
    if isinstance(asked.final, Ridge):
        values = np.asarray(_inputs.targets(y, who))
        one = values.ndim == 1
        values = np.ascontiguousarray(values.reshape(len(values), -1), dtype=_inputs.working_dtype(values))
        check_consistent_length(np.empty(n), values)
        check_finite(y if isinstance(y, xr.DataArray) else values, "y")
        return Targets(values, None, one)
    labels = _labels(y)
    check_consistent_length(np.empty(n), labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise DegenerateDataError(f"{n} sample(s) of one class, {classes[0]!r}, came; {who} needs 2 or more.")
    return Targets(codes, classes, True)


def solve(asked: Recipe, problems: Any, shape: tuple[int, int, int], y: Targets, X: Any, labels: Any) -> Stack:
    """Solve a stack.

    Parameters
    ----------
    problems : slice of problems -> (problems, features, samples) array, free to be changed.
    shape : numbers of problems, features and samples.
    y : from :func:`targets`. X, labels : what ``fit`` was given, for splitters that read labels.
    """
    b, p, n = shape
    extra = _ridge_settings(asked.final, X, labels, n) if isinstance(asked.final, Ridge) else ()
    parts: list[tuple[np.ndarray, ...]] = []
    best: list[np.ndarray] = []
    left: list[int] = []
    for some in batches(b, max(1, BYTES // max(1, 8 * p * n))):
        x = torch.from_numpy(problems(some))
        if asked.scale:
            mean, scale = _standard(x)
            weights, bias, good = _solve(asked, (x - mean) / scale, y, extra, best)
            weights = weights / scale.mT
            bias = bias - (weights @ mean)[:, :, 0]
        else:
            weights, bias, good = _solve(asked, x, y, extra, best)
        if asked.logistic:
            left += (some.start + (~good).nonzero()[:, 0]).tolist()
            good = torch.ones_like(good)
        parts.append((weights.numpy(), bias.numpy(), good.numpy()))
    coef, intercept, sound = (np.concatenate(list(one)) for one in zip(*parts))
    if extra and len(extra[0]) > 1:
        varies = ~_inputs.constant(y.values)
        _warn_edges(np.concatenate(best)[:, varies].reshape(-1), extra[0])
    return Stack(coef, intercept, sound, y.classes, type(asked.final) is CorrelationClassifier, tuple(left))


def fold_order(tests: list[np.ndarray], n: int) -> np.ndarray:
    """Positions of all samples: those of each fold together, then the ones that are never tested."""
    tested = np.concatenate(tests)
    return np.concatenate([tested, np.setdiff1d(np.arange(n), tested)])


def solve_folds(asked: Recipe, problems: Any, shape: tuple[int, int, int], y: Targets, tests: list[Any]) -> list[Stack]:
    """Solve a stack of discriminants for every fold: fitted to all samples but ``tests``. See :func:`sharable`.

    ``problems`` has its samples in the order of :func:`fold_order`.
    """
    assert y.classes is not None
    b, p, n = shape
    codes = torch.from_numpy(y.values[fold_order(tests, n)])
    ends = np.cumsum([len(test) for test in tests])
    held = [torch.arange(end - len(test), end) for test, end in zip(tests, ends.tolist())]
    found: list[list[tuple[np.ndarray, ...]]] = [[] for _ in tests]
    for some in batches(b, max(1, BYTES_SHARED // (8 * p * (n + p * (len(tests) + 1))))):
        x = torch.from_numpy(problems(some))
        solved = discriminant.fit_folds(x, codes, len(y.classes), held, asked.shrinkage)
        for parts, one in zip(found, solved):
            parts.append((one.coef.numpy(), one.intercept.numpy(), one.sound.numpy()))
    joined = [[np.concatenate(list(one)) for one in zip(*parts)] for parts in found]
    return [Stack(coef, intercept, sound, y.classes) for coef, intercept, sound in joined]


def sharable(asked: Recipe | None, y: Targets, folds: list[tuple[np.ndarray, np.ndarray]]) -> bool:
    """Whether training sets can share their sums: a discriminant of fixed shrinkage, trained on all that is not tested,
    no sample tested twice, and every class left in every training set."""
    if asked is None or y.classes is None or not asked.shares_sums:
        return False
    n = len(y.values)
    tested = np.zeros(n, dtype=int)
    for train, test in folds:
        tested[test] += 1
        if len(train) + len(test) != n or len(np.intersect1d(train, test)):
            return False
        if np.bincount(y.values[train], minlength=len(y.classes)).min() < 2:
            return False
    return bool((tested <= 1).all())


def _ridge_settings(final: Ridge, X: Any, labels: Any, n: int) -> tuple[Any, ...]:
    alphas = _penalties(final.alphas)
    folds = _folds(final.cv, X, labels, n) if len(alphas) > 1 else []
    return alphas, [(torch.from_numpy(train), torch.from_numpy(test)) for train, test in folds], final


def _solve(
    asked: Recipe, x: torch.Tensor, y: Targets, extra: tuple[Any, ...], best: list[np.ndarray]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    if extra:
        alphas, folds, final = extra
        fitted = many_ridges.fit(
            x, torch.from_numpy(y.values), torch.from_numpy(alphas), folds,
            centre=final.fit_intercept, shared=final.shared_alpha,
        )  # fmt: skip
        best.append(fitted.best.numpy())
        return fitted.coef, fitted.intercept, torch.ones(len(x), dtype=torch.bool)
    assert y.classes is not None
    codes = torch.from_numpy(y.values)
    if asked.logistic:
        found = logistic.fit(x, codes == 1, float(asked.final.C))
        return found.coef[:, None], found.intercept[:, None], found.converged
    if asked.penalty is not None:
        signs = 2.0 * torch.nn.functional.one_hot(codes, len(y.classes)).double() - 1.0
        signs = signs[:, 1:] if len(y.classes) == 2 else signs
        line = many_ridges.fit(x, signs, torch.tensor([asked.penalty]), [])
        return line.coef, line.intercept, torch.ones(len(x), dtype=torch.bool)
    if type(asked.final) is CorrelationClassifier:
        coef = torch.from_numpy(_patterns(x.numpy(), y.values, len(y.classes)))
        return coef, coef.new_zeros(coef.shape[:2]), torch.ones(len(x), dtype=torch.bool)
    counts = torch.bincount(codes)
    if asked.shrinkage == "auto" and int(counts.min()) < 2:
        empty = x.new_zeros((len(x), 1 if len(counts) == 2 else len(counts), x.shape[1]))
        return empty, empty[:, :, 0], torch.zeros(len(x), dtype=torch.bool)
    apart = discriminant.fit(x, codes, len(counts), asked.shrinkage, overwrite=True)
    return apart.coef, apart.intercept, apart.sound


def _patterns(x: np.ndarray, codes: np.ndarray, n_classes: int) -> np.ndarray:
    from .correlation import unit_patterns

    means = np.stack([x[:, :, codes == k].mean(2) for k in range(n_classes)], axis=1)
    found = unit_patterns(means)
    return found[:, 1:] - found[:, :1] if n_classes == 2 else found


def _standard(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and standard deviations over samples, (problems, features, 1); 1 where a feature does not vary."""
    mean = x.mean(2, keepdim=True)
    scale = (x - mean).square().mean(2, keepdim=True).sqrt()
    still = scale <= x.shape[2] * torch.finfo(x.dtype).eps * mean.abs()
    return mean, torch.where(still | (scale == 0), torch.ones_like(scale), scale)


def said_once(caught: list[warnings.WarningMessage]) -> None:
    """Repeat the warnings of many fits, each text once."""
    seen = set()
    for entry in caught:
        key = (entry.category, str(entry.message))
        if key not in seen:
            seen.add(key)
            warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)
