"""Scores of models under any sample of subjects and stimuli, and how far they vary over new ones.

Everything here is on plain arrays: vectors of pairs, and counts that say how often a subject or a stimulus is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..compute.resample import dual_variance, resample_counts
from .models import Model
from .weighted import Cosine, Measure, Sample, bounds_of_products, sums_of_products

LEAST_DISTINCT = 4
LEAST_IN_FOLD = 3


@dataclass(frozen=True)
class Problem:
    """Models, subjects and folds, ready to be scored on samples.

    Attributes
    ----------
    measure : the comparison. data : (subjects, pairs) prepared by it.
    models : with (parts, pairs) values of each. n : number of stimuli. valid : (pairs,) measured in all.
    fold : (n,) fold of each stimulus; None where nothing is fitted, and then nothing is held out.
    """

    measure: Measure
    data: np.ndarray
    models: Sequence[tuple[Model, np.ndarray]]
    n: int
    valid: np.ndarray
    fold: np.ndarray | None = None

    @property
    def n_subjects(self) -> int:
        return len(self.data)

    def blocks(self, counts: np.ndarray) -> list[tuple[Sample, Sample]]:
        """(training, test) samples of every fold; one, training and test the same, where nothing is held out."""
        if self.fold is None:
            whole = Sample.of(counts, self.valid)
            return [(whole, whole)]
        folds = range(int(self.fold.max()) + 1)
        return [
            (Sample.of(counts * (self.fold != f), self.valid), Sample.of(counts * (self.fold == f), self.valid))
            for f in folds
        ]

    def scores(self, counts: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(draws, models, subjects): mean over folds; models are fitted without the subject and without the fold.

        ``counts`` (n,) of the stimuli, ``times`` (draws, subjects). NaN where a model or a subject is constant.
        """
        out = np.zeros((len(times), len(self.models), self.n_subjects))
        blocks = self.blocks(counts)
        for train, test in blocks:
            aims = self.measure.units(self.data, test) if isinstance(self.measure, Cosine) else None
            for at, (model, parts) in enumerate(self.models):
                if not model.fitted:
                    out[:, at] += self._scored(self.prepared[at], test, aims)[0]
                    continue
                for draw, often in enumerate(times):
                    out[draw, at] += self._left_out(model, parts, often, train, test, aims)
        return out / len(blocks)

    @cached_property
    def prepared(self) -> list[np.ndarray]:
        """The values of every model as the measure takes them."""
        return [self.measure.prepare(parts) for _, parts in self.models]

    def _against(self, predicted: np.ndarray, test: Sample, aims: np.ndarray | None) -> np.ndarray:
        """(predictions, subjects) scores of values on the test pairs."""
        return self._scored(self.measure.prepare(predicted), test, aims)

    def _scored(self, prepared: np.ndarray, test: Sample, aims: np.ndarray | None) -> np.ndarray:
        if aims is None:
            return self.measure.scores(prepared, self.data, test)
        return np.clip(self.measure.units(prepared, test) @ aims.T, -1.0, 1.0)

    def left_out_weights(
        self, model: Model, parts: np.ndarray, often: np.ndarray, train: Sample
    ) -> tuple[np.ndarray, np.ndarray]:
        """(subjects that were drawn, their weights): each fitted to the others, or to all where there is one."""
        drawn = np.flatnonzero(often)
        without = np.tile(often, (len(drawn), 1))
        if len(drawn) > 1:
            without[np.arange(len(drawn)), drawn] = 0.0
        return drawn, model.weights(self.measure, parts, self.data, train, without)

    def _left_out(
        self, model: Model, parts: np.ndarray, often: np.ndarray, train: Sample, test: Sample, aims: np.ndarray | None
    ) -> np.ndarray:
        found = np.full(self.n_subjects, np.nan)
        drawn, weights = self.left_out_weights(model, parts, often, train)
        if self.n_subjects and len(np.unique(weights, axis=0)) == 1:
            weights = weights[:1]
        scores = self._against(weights @ parts, test, aims)
        own = scores[np.arange(len(drawn)) if len(weights) > 1 else 0, drawn]
        # A model that says nothing predicts nothing: 0, not a missing score, which would leave the good folds alone.
        empty = ~weights.any(axis=1)
        found[drawn] = np.where(np.broadcast_to(empty, own.shape), 0.0, own)
        return found

    def bounds(self, counts: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ceiling of every subject, (draws, subjects) each; means over folds."""
        found = [self.measure.bounds(self.data, test, times) for _, test in self.blocks(counts)]
        lower, upper = (np.mean([part[side] for part in found], axis=0) for side in (0, 1))
        return lower, upper

    def together(self, counts: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(draws, models + 2, subjects): scores, then the lower and the upper ceiling."""
        scores = self.scores(counts, times)
        lower, upper = self.bounds(counts, times)
        return np.concatenate([scores, lower[:, None], upper[:, None]], axis=1)

    def across(self, counts: np.ndarray, times: np.ndarray) -> np.ndarray:
        """As :meth:`together` for many samples: (samples, n), (samples or 1, draws, subjects) -> with samples in front.

        Measures for which sums of products are enough take all samples in one product of matrices.
        """
        times = np.broadcast_to(times, (len(counts), *times.shape[1:]))
        measure = self.measure
        if not isinstance(measure, Cosine) or measure.plain is None or self.fold is not None:
            found = [self.together(row, often) for row, often in zip(counts, times)]
            return np.stack(found) if found else np.empty((0, times.shape[1], len(self.models) + 2, self.n_subjects))
        parts = np.concatenate([np.empty((0, self.data.shape[1])), *(values for _, values in self.models)])
        scores, gram = sums_of_products(self.data, parts, counts, self.valid, measure.plain == "centred")
        lower, upper = bounds_of_products(gram, times)
        scores = np.broadcast_to(scores[:, None], (len(counts), times.shape[1], *scores.shape[1:]))
        return np.concatenate([scores, lower[:, :, None], upper[:, :, None]], axis=2)

    def enough(self, counts: np.ndarray) -> bool:
        """Whether every fold of a sample keeps enough different stimuli to be scored on."""
        least = LEAST_DISTINCT if self.fold is None else LEAST_IN_FOLD
        return all(test.distinct >= least and len(test.kept) > 2 for _, test in self.blocks(counts))

    def pair_parts(self) -> np.ndarray | None:
        """(models + 2, subjects, pairs): by how much each pair moves a score, to first order; None for a table's row.

        With unit vectors u and v, ``r = sum u v`` and a pair moves it by ``u v - r (u^2 + v^2) / 2``.
        """
        if not isinstance(self.measure, Cosine):
            return None
        rows = []
        blocks = self.blocks(np.ones(self.n))
        everyone = np.ones(self.n_subjects)
        for train, test in blocks:
            aims = self.measure.units(self.data, test)
            others = self.measure.others(self.data, test) if self.n_subjects > 1 else np.full_like(aims, np.nan)
            part = np.empty((len(self.models) + 2, *aims.shape))
            for at, (model, parts) in enumerate(self.models):
                weights = np.ones((1, 1))
                if model.fitted:
                    weights = self.left_out_weights(model, parts, everyone, train)[1]
                vectors = self.measure.units(self.measure.prepare(weights @ parts), test)
                empty = np.abs(weights).sum(axis=1, keepdims=True) == 0
                part[at] = _moves(np.where(empty, 0.0, vectors), aims)
            part[-2] = part[-1] = _moves(others, aims)
            rows.append(part)
        return np.concatenate(rows, axis=2) / len(blocks)


def _moves(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    product = one * two
    return product - 0.5 * product.sum(axis=1, keepdims=True) * (one**2 + two**2)


def mean_over(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(draws, rows, subjects), (draws, subjects) -> (draws, rows): means over the subjects drawn, NaN if one lacks."""
    drawn = np.sign(times)[:, None]
    total = np.where(drawn > 0, values * times[:, None], 0.0).sum(axis=2)
    return total / times.sum(axis=1)[:, None]


def stimulus_folds(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) fold of each stimulus, drawn at random: 2 folds below 24 stimuli, 3 below 40, 4 below 60, else 5.

    Only pairs within a fold are scored, so folds must stay large enough that a resample leaves several stimuli in each.
    """
    k = 2 if n < 24 else 3 if n < 40 else 4 if n < 60 else 5
    return rng.permutation(np.arange(n) % k)


@dataclass(frozen=True)
class Spread:
    """Variances and covariances of the mean scores of models and ceilings, in parts that add up as wanted.

    Each is a (rows, rows) covariance. ``subjects``: over new subjects, stimuli as they are. ``stimuli``: over new
    stimuli, subjects as they are; ``ends`` the same with pairs counted at both ends. ``shared``: what belongs to a
    subject and a stimulus together, which is in either.
    """

    subjects: np.ndarray
    stimuli: np.ndarray
    ends: np.ndarray
    shared: np.ndarray
    n_subjects: int
    n_stimuli: int

    def within(self, rows: np.ndarray) -> Spread:
        """The parts of some rows."""
        at = np.ix_(rows, rows)
        parts = [part[at] for part in (self.subjects, self.stimuli, self.ends, self.shared)]
        return Spread(parts[0], parts[1], parts[2], parts[3], self.n_subjects, self.n_stimuli)

    def of(self, contrasts: np.ndarray, over: str) -> tuple[np.ndarray, np.ndarray]:
        """Variance and degrees of freedom of each row of ``contrasts`` (q, rows), over subjects, stimuli or both."""
        subject, stimulus, ends, shared = (
            np.einsum("qi,ij,qj->q", contrasts, part, contrasts)
            for part in (self.subjects, self.stimuli, self.ends, self.shared)
        )
        # A + B is at least half of A + 2 B.
        stimulus = np.maximum(stimulus, 0.5 * ends)
        if over == "subject":
            return np.maximum(subject, 0.0), np.full(len(subject), self.n_subjects - 1.0)
        if over == "stimulus":
            return np.maximum(stimulus, 0.0), np.full(len(stimulus), self.n_stimuli - 1.0)
        total = np.maximum(subject + stimulus - shared, np.maximum(subject, stimulus))
        rest = np.maximum(total - subject, 0.0)
        # Satterthwaite: degrees of freedom of a sum of variances.
        below = subject**2 / (self.n_subjects - 1.0) + rest**2 / (self.n_stimuli - 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return total, np.where(below > 0, total**2 / below, 1.0)


def spread(problem: Problem, over: str) -> Spread:
    r"""Variance of mean scores over new subjects and new stimuli, from leaving one out.

    Subjects: the jackknife, which for the mean of fixed models' scores is their variance over n.

    Stimuli: a score is a mean over pairs. What a stimulus does to all of its pairs makes the variance A, what a pair
    does alone makes B; the score varies by A + B. Leaving one stimulus out counts a pair at both of its ends, A + 2 B;
    drawing stimuli with replacement counts it three times, A + 3 B. B is the sum of squares of what single pairs move,
    ``B = sum over pairs of psi^2``, so ``A + B = jackknife - B``.

    Both: ``subjects + stimuli - shared``, the part that a subject and a stimulus have together being in either. For
    one subject A and B hold it whole, for the mean of S subjects an S-th of it, and the difference tells how large it
    is: ``shared = (V_one - V_mean) / (S - 1)``, V_one the mean over subjects of A + B of their own scores.

    Source: Fafchamps and Gubert 2007, Journal of Development Economics 83, eq. 2.5; Aronow, Samii and Assenova 2015,
    Political Analysis 23, eq. 5 (pairs that share an end); Efron and Stein 1981, Annals of Statistics 9 (jackknife).
    """
    rows, subjects, n = len(problem.models) + 2, problem.n_subjects, problem.n
    empty = np.zeros((rows, rows))
    by_subject = by_stimulus = ends = shared = empty
    if over != "stimulus":
        times = 1.0 - np.eye(subjects)
        values = mean_over(problem.together(np.ones(n), times), times)
        by_subject = _jackknife(values)
    if over != "subject":
        values = problem.across(1.0 - np.eye(n), np.ones((1, 1, subjects)))[:, 0]
        parts = problem.pair_parts()
        mean = values.mean(axis=2)
        ends = _jackknife(mean)
        by_stimulus = ends if parts is None else ends - parts.mean(axis=1) @ parts.mean(axis=1).T
        if over == "both":
            alone = sum(_jackknife(values[:, :, s]) for s in range(subjects)) / subjects
            if parts is not None:
                alone = alone - np.einsum("isp,jsp->ij", parts, parts) / subjects
            shared = (alone - by_stimulus) / (subjects - 1)
    return Spread(by_subject, by_stimulus, ends, shared, subjects, n)


def _jackknife(values: np.ndarray) -> np.ndarray:
    """(n, rows) statistics with one left out -> (rows, rows) covariance of the statistic."""
    n = len(values)
    off = values - values.mean(axis=0)
    return (n - 1.0) / n * off.T @ off


@dataclass(frozen=True)
class Draws:
    """Bootstrap: mean scores and ceilings of every draw, their corrected variance, and what had to be left out."""

    values: np.ndarray
    variance: np.ndarray
    counts: dict[str, int]


def bootstrap(problem: Problem, over: str, n_resamples: int, rng: np.random.Generator) -> Draws:
    """Draw subjects, stimuli or both with replacement and score again.

    Returns
    -------
    ``values`` (draws, models + 2), NaN where a draw is degenerate; ``variance`` (models + 2,) with the factor
    n / (n - 1), and for both factors :func:`neurodecode.compute.resample.dual_variance`.
    """
    subjects, n, rows = problem.n_subjects, problem.n, len(problem.models) + 2
    all_stimuli = np.ones(n)
    times = resample_counts(subjects, n_resamples, rng) if over != "stimulus" else None
    stimuli = resample_counts(n, n_resamples, rng) if over != "subject" else None
    held = {name: np.full((n_resamples, rows), np.nan) for name in ("subject", "stimulus", "both")}
    if times is not None:
        held["subject"] = mean_over(problem.together(all_stimuli, times), times)
    few = 0
    if stimuli is not None:
        kept = np.flatnonzero([problem.enough(counts) for counts in stimuli])
        few = n_resamples - len(kept)
        which = np.ones((1, 1, subjects))
        if times is not None:
            which = np.stack([np.ones((len(kept), subjects)), times[kept]], axis=1)
        found = problem.across(stimuli[kept], which)
        held["stimulus"][kept] = mean_over(found[:, 0], np.broadcast_to(which[:, 0], (len(kept), subjects)))
        if times is not None:
            held["both"][kept] = mean_over(found[:, 1], which[:, 1])
    values = held[over]
    finite = np.isfinite(values)
    n_few = np.zeros(n_resamples, dtype=bool) if stimuli is None else ~finite.any(axis=1)
    counted = {
        "n_resamples": int(n_resamples),
        "few_stimuli": few,
        "constant_model": int((~finite[:, :-2] & finite.any(axis=0)[:-2] & ~n_few[:, None]).any(axis=1).sum()),
        "one_subject": 0 if times is None else int((np.count_nonzero(times, axis=1) < 2).sum()),
    }
    variances = {name: _variance(one) for name, one in held.items()}
    if over == "both":
        variance = dual_variance(variances["both"], variances["subject"], variances["stimulus"], subjects, n)
    else:
        size = subjects if over == "subject" else n
        variance = variances[over] * size / (size - 1.0)
    return Draws(values, variance, counted)


def _variance(values: np.ndarray) -> np.ndarray:
    finite = np.isfinite(values)
    count = finite.sum(axis=0)
    mean = np.where(finite, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    squares = np.where(finite, (values - mean) ** 2, 0.0).sum(axis=0)
    return np.where(count > 1, squares / np.maximum(count - 1, 1), np.nan)
