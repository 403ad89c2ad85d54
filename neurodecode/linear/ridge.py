"""Ridge regression with a penalty of its own for every target."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.model_selection import KFold, check_cv
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from .._numbers import numbers_of
from ..compute.batching import batches
from ..compute.device import resolve
from ..compute.linalg import (
    Spectrum,
    choose_solver,
    closed_form_r2,
    factorise,
    factorise_single,
    gram_matrix,
    leave_one_out_r2,
)
from ..compute.ridge_path import factorise_fold, path_r2, sweep_dtype
from ..exceptions import DegenerateDataError, LeakageError, NeurodecodeWarning
from ..representation import Labels, check_same_samples, check_same_units, labelled
from . import _inputs, _weights
from ._blocks import Targets
from ._capacity import Job, Plan, plan

if TYPE_CHECKING:
    from ._smoothers import Smoother

DEFAULT_ALPHAS = tuple(10.0**power for power in range(-2, 9))
EDGE_SHARE = 0.05
CLOSED_FORMS = ("loo", "gcv")
PREDICTED = 4096  # targets predicted at a time where weights or predictions are not in memory
Folds = list[tuple[np.ndarray, np.ndarray]]


class Ridge(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Linear regression with an L2 penalty, chosen for each target by cross-validation.

    For every target t (a voxel, a sensor, a network unit, a latent), with centred X and y,

        w_t = argmin ||X w - y_t||^2 + alpha_t ||w||^2 = (X'X + alpha_t I)^-1 X' y_t

    and alpha_t is the penalty with the highest R2, averaged over the folds of ``cv``; ties go to the larger penalty.
    One factorisation a fold serves all penalties and all targets: the thin SVD of X where there are at least
    as many samples as features (primal), the eigenvectors of XX' otherwise (dual).

    Features are centred, not scaled: a feature in large units is penalised less. Put
    ``Labelled(StandardScaler())`` before it in a pipeline where the units are not meant to matter.

    Parameters
    ----------
    alphas : sequence of penalties, 0 or more, or one number: then nothing is chosen.
    cv : folds inside the training samples that choose the penalty. An integer: that many contiguous folds in the
        order of the samples, which keeps neighbours in time together and never depends on chance; samples that
        are sorted by class need ``KFold(5, shuffle=True, random_state=0)`` instead. A splitter with
        ``split(X, y)``, such as ``SplitBy("run")``, gets the labelled X. A list of (train, test) positions.
        ``"loo"``: every sample is left out once, in closed form; ``"gcv"``: generalised cross-validation, the same
        with the mean leverage in the place of each sample's. Both assume that samples are independent.
    fit_intercept : centre X and y with training means and add the intercept back.
    shared_alpha : False: a penalty per target. True: one for all, the best mean R2 over targets weighted by their
        variance: the one with the smallest squared error over all targets, in the units of y.
    solver : ``"auto"`` (by shape), ``"primal"`` or ``"dual"``; both give the same weights.
    max_memory : what ``fit`` may take beyond the arrays it is given: bytes, or text such as ``"4 GiB"``; None: the
        memory of the machine. The peak is predicted before anything is allocated. Targets are walked in blocks; a
        ``numpy.memmap``, a zarr or Dask array, or a labelled array over one, is never loaded whole.
    precision : ``"exact"``: penalties are compared in the arithmetic of the data. ``"fast"``: in bfloat16 where the
        processor multiplies bfloat16 matrices in hardware, in float32 elsewhere (``selection_dtype_`` says). The fit at
        the chosen penalties is the same. What it costs: see Notes. Not used by ``"loo"`` and ``"gcv"``.
    device : torch device for the algebra, such as ``"cuda"``; None: the CPU. A device that is not there raises.

    Attributes
    ----------
    alpha_ : (targets,) the penalty of each target.
    coef_ : (features, targets) in units of target per unit of feature; float32 where X and y both are (half precision
        counts as float32), else float64.
    intercept_ : (targets,).
    best_score_ : (targets,) mean R2 over the folds at ``alpha_``; NaN for a constant target and for a single penalty.
        For ``"loo"`` and ``"gcv"``: 1 - squared error / squared deviation from the mean, over all samples.
    selection_dtype_ : ``"bfloat16"``, ``"float32"`` or ``"float64"``: in which penalties were compared; None: a single
        penalty.
    memory_ : predicted peak of ``fit`` in bytes beyond the arrays that it was given.
    dual_coef_ : (samples, targets), after ``fit(weights="dual")``; ``coef_`` is the centred X' times these.
    solver_ : ``"primal"`` or ``"dual"``, as used for the final fit.
    n_features_in_ : number of features.

    Raises
    ------
    AlignmentError : X and y carry labels of different samples; ``predict`` got other features than ``fit``.
    DegenerateDataError : NaN or infinite values, fewer than 2 samples, no feature, no target, fewer samples than folds.
    CapacityError : the predicted peak is above ``max_memory``.

    Warns
    -----
    NeurodecodeWarning : constant or repeated features (kept, with finite weights); the chosen penalty is at an
        edge of the grid for more than 5 % of the targets that vary.

    Notes
    -----
    A constant target is predicted by its constant; a masked one (``nan_policy="drop_targets"``) by NaN.

    In bfloat16 three roundings (matrix, targets, prediction) of .16 % each put a prediction off by .28 % of what it
    makes of white noise of the size of the target, independently from sample to sample; residuals are at most as large
    as the target, so a score from n held-out samples in all is off by at most .006 / sqrt(n) (one standard deviation).
    ``precision="fast"`` takes the best of such scores: the R2 of its penalty, measured exactly, is below the best by
    less than .03 / sqrt(n), five standard deviations. Where the choice is the same, so are the weights.

    References
    ----------
    Hoerl & Kennard (1970), Technometrics 12, section 3;
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, sections 3.4.1, 7.10 and 18.3.5;
    Golub, Heath & Wahba (1979), Technometrics 21 (generalised cross-validation).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 5))
    >>> Y = X @ rng.normal(size=(5, 3)) + rng.normal(size=(60, 3))
    >>> model = Ridge(alphas=[0.01, 0.1, 1, 10, 100]).fit(X, Y)
    >>> model.alpha_.shape, model.coef_.shape, model.predict(X[:2]).shape
    ((3,), (5, 3), (2, 3))
    """

    def __init__(
        self,
        alphas: Sequence[float] | float = DEFAULT_ALPHAS,
        cv: Any = 5,
        fit_intercept: bool = True,
        shared_alpha: bool = False,
        solver: str = "auto",
        max_memory: float | str | None = None,
        device: Any = None,
        precision: str = "exact",
    ):
        self.alphas = alphas
        self.cv = cv
        self.fit_intercept = fit_intercept
        self.shared_alpha = shared_alpha
        self.solver = solver
        self.max_memory = max_memory
        self.device = device
        self.precision = precision

    @property
    def targets_independent(self) -> bool:
        """True where every target is fitted as if it were alone, so that permuted targets can stand side by side."""
        return not self.shared_alpha

    def fit(self, X: Any, y: Any, weights: Any = "memory") -> Ridge:
        """Choose the penalties and fit the weights.

        Parameters
        ----------
        X : (samples, features); y : (samples, targets) or (samples,). Labelled or plain.
        weights : where the weights are kept. ``"memory"``: as an array of coefficients. ``"dual"``: as sample weights
            beside the features, which is smaller where there are fewer samples than features; enough to predict, and
            ``coef_`` is worked out when asked for. A folder: in its ``coef.npy``, written block by block; ``coef_`` is
            a read-only memory map. A later fit into the same folder replaces the file.

        Returns
        -------
        self
        """
        return self._fit(X, y, 1, weights)

    def fit_copies(self, X: Any, y: Any, copies: int) -> Ridge:
        """:meth:`fit` to ``copies`` sets of equally many targets side by side, each as if it came alone.

        For null distributions: every permuted copy of the targets chooses its own shared penalty.
        """
        return self._fit(X, y, copies, "memory")

    def smoothers(self, X: Any, folds: list[tuple[np.ndarray, np.ndarray]]) -> list[Smoother] | None:
        """What takes targets of the training samples to predictions for the test samples, one for each (train, test).

        None unless there is a single penalty above 0; see ``linear._smoothers``.
        """
        from ._smoothers import ridge_smoothers

        return ridge_smoothers(self, X, folds)

    def _fit(self, X: Any, y: Any, copies: int, weights: Any) -> Ridge:
        check_same_samples(X, y)
        device = resolve(self.device)
        choose_solver(1, 1, self.solver)
        alphas = _penalties(self.alphas)
        targets = _inputs.targets(y, "Ridge")
        x = _inputs.features(self, X, also=targets)
        check_consistent_length(x, targets)
        table = targets[:, None] if targets.ndim == 1 else targets
        _inputs.check_counts(table.shape, "Ridge", what="target")
        closed = len(alphas) > 1 and isinstance(self.cv, str) and _is_closed(self.cv)
        folds = _folds(self.cv, X, y, len(x)) if len(alphas) > 1 and not closed else []
        dtype = sweep_dtype(self.precision, device, getattr(torch, x.dtype.name))
        n, p = x.shape
        job = Job(
            n, p, table.shape[1], len(alphas), tuple((len(train), len(test)) for train, test in folds),
            x.dtype.itemsize, self.solver, not np.may_share_memory(x, _inputs.matrix(X)),
            _weights.kind_of(weights), _inputs.together(table),
        )  # fmt: skip
        steps = plan(job, self.max_memory)
        self.memory_ = steps.peak
        _warn_features(x, X, self.fit_intercept, stacklevel=4)
        mean = _means(x) if self.fit_intercept else np.zeros_like(x[0])
        centred = torch.from_numpy(np.subtract(x, mean, order="C")).to(device)
        named = y if isinstance(y, xr.DataArray) else table
        blocks = Targets(table, named, x.dtype, device, steps.block, _inputs.together(table))
        self.solver_ = choose_solver(n, p, self.solver)
        spectrum, gram = _factorised(centred, alphas, self.solver_, self.fit_intercept)
        chosen = np.full(table.shape[1], alphas[0])
        self.best_score_ = np.full(table.shape[1], np.nan, dtype=x.dtype)
        self.selection_dtype_ = None
        if len(alphas) > 1:
            if closed:
                scores = _search_closed(spectrum, blocks, self.cv, alphas, self.fit_intercept)
                dtype = centred.dtype
            else:
                scores = _search(
                    centred, spectrum, gram, blocks, folds, alphas, self.fit_intercept, self.solver, steps, dtype
                )
            self.selection_dtype_ = str(dtype).removeprefix("torch.")
            best = _shared(scores, blocks, copies) if self.shared_alpha else scores.argmax(0)
            chosen = alphas[best]
            self.best_score_ = np.where(blocks.constant, np.nan, scores[best, np.arange(len(best))]).astype(x.dtype)
            _warn_edges(best[~blocks.constant], alphas, stacklevel=4)
        self.alpha_ = chosen
        del gram
        self._solve(centred, spectrum, mean, blocks, weights)
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else x, "unit")
        self.targets_ = Labels.of(y if isinstance(y, xr.DataArray) else table, "unit")
        self.one_target_ = targets.ndim == 1
        return self

    def _solve(self, x: torch.Tensor, spectrum: Spectrum, mean: np.ndarray, targets: Targets, weights: Any) -> None:
        """Weights and intercepts at the chosen penalties, a block of targets after the other."""
        p, t, dtype = x.shape[1], len(self.alpha_), targets.dtype
        still = ~x.any(0).cpu().numpy()
        kind = _weights.kind_of(weights)
        onto: Any
        if kind == "dual":
            onto = _weights.Dual(x.cpu().numpy(), t, dtype)
            lever = onto.x @ mean
        else:
            spectrum = spectrum.for_many(t)
            if kind == "memory":
                onto = _weights.InMemory(p, t, dtype, still)
            else:
                onto = _weights.OnDisk(weights, p, t, dtype, still, targets.masked)
            lever = mean
        self.intercept_ = np.zeros(t, dtype=dtype)
        with onto:
            for columns, y in targets:
                centre = y.mean(0) if self.fit_intercept else y.new_zeros(y.shape[1])
                found = onto.solve(spectrum, y - centre, torch.from_numpy(self.alpha_[columns]), columns)
                self.intercept_[columns] = centre.cpu().numpy()
                if self.fit_intercept:
                    self.intercept_[columns] -= lever @ found
        onto.forget(targets.masked)
        for fitted in (self.intercept_, self.alpha_):
            fitted[targets.masked] = np.nan
        self._kept: _weights.Kept = onto

    @property
    def coef_(self) -> np.ndarray:
        """(features, targets): the array, a memory map of the file, or worked out from the dual weights."""
        if "_kept" not in vars(self):
            raise AttributeError("coef_ is there after fit")
        return self._kept.coef

    @property
    def dual_coef_(self) -> np.ndarray:
        """(samples, targets) weights of the training samples; after ``fit(weights="dual")``."""
        kept = vars(self).get("_kept")
        if not isinstance(kept, _weights.Dual):
            raise AttributeError("dual_coef_ is there after fit(X, y, weights='dual')")
        return kept.dual

    def predict(self, X: Any, out: Any = None) -> Any:
        """X W + intercept: (samples, targets), or (samples,) where y was 1-D; labelled where X is.

        Parameters
        ----------
        X : (samples, features), the features of ``fit`` in the order of ``fit``.
        out : array to write to, (samples, targets), and to give back: a memory map or a zarr array, for predictions
            that do not fit into memory. None: a new array.
        """
        check_is_fitted(self)
        check_same_units(X, self.features_)
        x = _inputs.features(self, X, also=self.intercept_, reset=False, samples=1)
        t = len(self.intercept_)
        if out is not None and tuple(out.shape) != (len(x), t):
            raise ValueError(f"out has the shape {tuple(out.shape)}; expected {(len(x), t)}.")
        if out is None and isinstance(self._kept, _weights.InMemory):
            found = self._kept.product(x, slice(None)) + self.intercept_
        else:
            found = np.empty((len(x), t), dtype=np.result_type(x, self.intercept_)) if out is None else out
            for columns in batches(t, PREDICTED):
                found[:, columns] = self._kept.product(x, columns) + self.intercept_[columns]
        if out is not None:
            return out
        return labelled(found[:, 0] if self.one_target_ else found, samples_of=X, units=self.targets_)


def _is_closed(cv: str) -> bool:
    """True for the names of closed forms; an error for other text."""
    if cv not in CLOSED_FORMS:
        raise ValueError(f"cv={cv!r} is not known. Choose a number of folds, a splitter, a list, 'loo' or 'gcv'.")
    return True


def _factorised(x: torch.Tensor, alphas: np.ndarray, solver: str, centre: bool) -> tuple[Spectrum, torch.Tensor | None]:
    """The spectrum of all samples, and in the dual form the Gram matrix that serves the folds too."""
    if solver == "primal":
        return factorise(x, solver), None
    quick = factorise_single(x, float(alphas[-1]), centre)
    if quick is not None:
        return quick
    gram = gram_matrix(x)
    return factorise(x, solver, gram), gram


def _search_closed(spectrum: Spectrum, targets: Targets, how: str, alphas: np.ndarray, centre: bool) -> np.ndarray:
    """Scores of every penalty for every target by leave-one-out or generalised cross-validation."""
    scores = np.zeros((len(alphas), len(targets.constant)), dtype=targets.dtype)
    for columns, y in targets:
        targets.prepare(columns, y, centre)
        found = closed_form_r2(spectrum, y, torch.from_numpy(alphas), how, centre=centre)
        scores[:, columns] = found.cpu().numpy()
    return scores


def _search(
    x: torch.Tensor, spectrum: Spectrum, gram: torch.Tensor | None, targets: Targets, folds: Folds,
    alphas: np.ndarray, centre: bool, solver: str, steps: Plan, sweep: torch.dtype,
) -> np.ndarray:  # fmt: skip
    """R2 of every penalty for every target, averaged over folds: (penalties, targets).

    ``steps.held`` folds are factorised at once; the targets are read once for each such group. Where every fold holds
    out one sample, one factorisation serves them all. ``sweep``: the dtype of the predictions.
    """
    penalties = torch.from_numpy(alphas)
    t = len(targets.constant)
    scores = np.zeros((len(alphas), t), dtype=targets.dtype)
    if _one_out(folds, len(x)) and _search_one_out(spectrum, targets, penalties, centre, scores):
        return scores
    for group in batches(len(folds), steps.held):
        ready = [
            factorise_fold(
                x, torch.from_numpy(train), torch.from_numpy(test), penalties,
                centre=centre, solver=solver, gram=gram, targets=t, sweep=sweep, room=steps.room,
            )
            for train, test in folds[group]
        ]  # fmt: skip
        for columns, y in targets:
            targets.prepare(columns, y, centre)
            for fold in ready:
                scores[:, columns] += path_r2(fold, y, centre=centre).cpu().numpy()
    scores /= len(folds)
    scores[np.isnan(scores)] = -np.inf
    return scores


def _one_out(folds: Folds, n: int) -> bool:
    """Whether every sample is held out once, alone, with all others in training."""
    held = [int(test[0]) for train, test in folds if len(test) == 1 and len(train) == n - 1]
    return len(held) == len(folds) == n and len(set(held)) == n


def _search_one_out(
    spectrum: Spectrum, targets: Targets, penalties: torch.Tensor, centre: bool, scores: np.ndarray
) -> bool:
    """Fill in the scores of leaving one sample out; False where that needs a factorisation for each."""
    for columns, y in targets:
        targets.prepare(columns, y, centre)
        found = leave_one_out_r2(spectrum, y, penalties, centre=centre)
        if found is None:
            return False
        scores[:, columns] = found.cpu().numpy()
    scores[np.isnan(scores)] = -np.inf
    return True


def _shared(scores: np.ndarray, targets: Targets, copies: int) -> np.ndarray:
    """Position of the one penalty with the best R2 over the targets of a copy, each weighted by its variance."""
    weighted = np.where(targets.constant, 0.0, scores) * np.where(targets.constant, 0.0, targets.variance)
    best = weighted.reshape(len(scores), copies, -1).sum(2).argmax(0)
    return np.repeat(best, scores.shape[1] // copies)


def _penalties(alphas: Any) -> np.ndarray:
    """The grid, largest first, so that the first of equals is the larger penalty."""
    values = np.atleast_1d(numbers_of(alphas, "alphas", "one or more finite numbers, 0 or above"))
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"alphas={alphas!r}: expected one or more finite numbers, 0 or above.")
    return np.unique(values)[::-1].copy()


def _folds(cv: Any, X: Any, y: Any, n: int) -> Folds:
    """(train, test) positions of every fold, from an integer, a splitter that sees the labels, or a list."""
    if isinstance(cv, (int, np.integer)) and not isinstance(cv, bool):
        if cv < 2:
            raise ValueError(f"cv={cv}: choosing a penalty needs at least 2 folds; give one alpha to choose nothing.")
        if n < cv:
            raise DegenerateDataError(
                f"cv={cv} folds need at least {cv} samples, and n_samples={n} came. Lower cv, or give one alpha."
            )
        pairs = KFold(int(cv)).split(np.empty(n))
    else:
        pairs = check_cv(cv).split(X, y)
    folds = []
    for number, pair in enumerate(pairs):
        train, test = (np.flatnonzero(side) if np.asarray(side).dtype == bool else np.asarray(side) for side in pair)
        if len(train) < 2 or len(test) < 1:
            raise DegenerateDataError(
                f"fold {number} of cv has {len(train)} training and {len(test)} held-out samples; "
                "it needs at least 2 and 1."
            )
        both = np.intersect1d(train, test)
        if len(both):
            raise LeakageError(
                f"{len(both)} samples, the first {_inputs.name(X, 'sample', int(both[0]))}, stand in both sides of "
                f"fold {number} of cv; a penalty chosen on its own training samples is too small. Give disjoint sides."
            )
        folds.append((train.astype(np.int64), test.astype(np.int64)))
    if not folds:
        raise ValueError(f"cv={cv!r} gave no fold.")
    return folds


def _means(x: np.ndarray) -> np.ndarray:
    """Column means; of a constant column its value, so that it is exactly 0 when centred."""
    mean = x.mean(axis=0, dtype=np.float64).astype(x.dtype)
    return np.where(_inputs.constant(x), x[0], mean)


def _warn_features(x: np.ndarray, X: Any, centre: bool, stacklevel: int = 3) -> None:
    still = _inputs.constant(x) if centre else ~x.any(axis=0)
    again = _inputs.repeated(x, np.flatnonzero(~still))
    advice = "Constant ones get weight 0, equal ones share theirs"
    _inputs.warn_features(X, x.shape[1], np.flatnonzero(still), again, "features", advice, stacklevel)


def _warn_edges(best: np.ndarray, alphas: np.ndarray, stacklevel: int = 3) -> None:
    """``best`` are positions in ``alphas`` (largest first) of the targets that vary."""
    if not len(best):
        return
    for edge, position, cure in (("upper", 0, "larger"), ("lower", len(alphas) - 1, "smaller")):
        share = float(np.mean(best == position))
        if share > EDGE_SHARE:
            also = " (targets that the features do not explain end there too)" if edge == "upper" else ""
            warnings.warn(
                f"The best penalty stands at the {edge} edge of the grid, alpha={alphas[position]:g}, for {share:.0%} "
                f"of {len(best):,} targets{also}; add {cure} alphas.",
                NeurodecodeWarning,
                stacklevel=stacklevel,
            )
