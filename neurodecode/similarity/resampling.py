"""Scores of models under any sample of subjects and stimuli, and how far they vary over new ones.

Everything here is on plain arrays: vectors of pairs, and counts that say how often a subject or a stimulus is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..compute.batching import batches
from ..compute.resample import dual_variance, resample_counts
from .models import Model
from .weighted import Cosine, Measure, Sample, bounds_of_products, sums_of_products, unit

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

    @cached_property
    def prepared(self) -> list[np.ndarray]:
        """The values of every model as the measure takes them."""
        return [self.measure.prepare(parts) for _, parts in self.models]

    def together(self, counts: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(draws, models + 2, subjects): scores, then the lower and the upper ceiling; means over folds.

        ``counts`` (n,) of the stimuli, ``times`` (draws, subjects). Models are fitted without the subject and without
        the fold. NaN where a model or a subject is constant.
        """
        blocks = self.blocks(counts)
        out = np.zeros((len(times), len(self.models) + 2, self.n_subjects))
        for train, test in blocks:
            taken = self.measure.taken(self.data, test)
            aims = unit(self.measure.image(taken, test)) if isinstance(self.measure, Cosine) and self.models else None
            for at, (model, parts) in enumerate(self.models):
                if model.fitted:
                    out[:, at] += self._left_out(at, times, train, test, taken)
                elif aims is None:
                    out[:, at] += self.measure.scores_of_kept(parts[:, test.kept], taken, test)[0]
                else:
                    out[:, at] += np.clip(self.measure.units(self.prepared[at], test) @ aims.T, -1.0, 1.0)[0]
            lower, upper = self.measure.bounds(taken, test, times)
            out[:, -2] += lower
            out[:, -1] += upper
        return out / len(blocks)

    def bounds(self, counts: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(draws, 2, subjects): the lower and the upper ceiling alone."""
        return replace(self, models=[]).together(counts, times)

    def left_out_weights(self, at: int, times: np.ndarray, train: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(draw, subject, weights) of who was drawn: fitted to the others of the draw, or to all where there is one."""
        draw, subject = np.nonzero(times)
        without = times[draw]
        several = np.count_nonzero(without, axis=1) > 1
        without[several, subject[several]] = 0.0
        model, parts = self.models[at]
        return draw, subject, model.weights(self.measure, parts, self.data, train, without, self.prepared[at])

    def _left_out(self, at: int, times: np.ndarray, train: Sample, test: Sample, taken: np.ndarray) -> np.ndarray:
        """(draws, subjects) scores of a model that is fitted."""
        draw, subject, weights = self.left_out_weights(at, times, train)
        weights, same = np.unique(weights, axis=0, return_inverse=True)
        same = same.reshape(-1)
        values = self.models[at][1][:, test.kept]
        scores = np.empty((len(weights), self.n_subjects))
        for some in batches(len(weights), max(1, 2_000_000 // max(values.shape[1], 1))):
            scores[some] = self.measure.scores_of_kept(weights[some] @ values, taken, test)
        # A model that says nothing predicts nothing: 0, not a missing score, which would leave the good folds alone.
        scores[~weights.any(axis=1)] = 0.0
        found = np.full(times.shape, np.nan)
        found[draw, subject] = scores[same, subject]
        return found

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
        everyone = np.ones((1, self.n_subjects))
        for train, test in blocks:
            aims = self.measure.units(self.data, test)
            others = self.measure.others(self.data, test) if self.n_subjects > 1 else np.full_like(aims, np.nan)
            part = np.empty((len(self.models) + 2, *aims.shape))
            for at, (model, parts) in enumerate(self.models):
                weights = np.ones((1, 1))
                if model.fitted:
                    weights = self.left_out_weights(at, everyone, train)[2]
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
    stimuli, subjects as they are. ``subject_ends`` and ``stimulus_ends``: the same with pairs (of subjects, of stimuli)
    counted at both ends. ``shared``: what belongs to a subject and a stimulus together, which is in either.
    """

    subjects: np.ndarray
    subject_ends: np.ndarray
    stimuli: np.ndarray
    stimulus_ends: np.ndarray
    shared: np.ndarray
    n_subjects: int
    n_stimuli: int

    def within(self, rows: np.ndarray) -> Spread:
        """The parts of some rows."""
        at = np.ix_(rows, rows)
        one, two, three, four, five = (part[at] for part in self._parts())
        return Spread(one, two, three, four, five, self.n_subjects, self.n_stimuli)

    def _parts(self) -> tuple[np.ndarray, ...]:
        return self.subjects, self.subject_ends, self.stimuli, self.stimulus_ends, self.shared

    def of(self, contrasts: np.ndarray, over: str) -> tuple[np.ndarray, np.ndarray]:
        """Variance and degrees of freedom of each row of ``contrasts`` (q, rows), over subjects, stimuli or both."""
        subject, subject_ends, stimulus, stimulus_ends, shared = (
            np.einsum("qi,ij,qj->q", contrasts, part, contrasts) for part in self._parts()
        )
        # A + B is at least half of A + 2 B.
        subject, stimulus = np.maximum(subject, 0.5 * subject_ends), np.maximum(stimulus, 0.5 * stimulus_ends)
        if over == "subject":
            return np.maximum(subject, 0.0), np.full(len(subject), self.n_subjects - 1.0)
        if over == "stimulus":
            return np.maximum(stimulus, 0.0), np.full(len(stimulus), self.n_stimuli - 1.0)
        # The sum is at least the larger one, but the larger of two estimates would be too large where both are noise.
        total = np.maximum(subject + stimulus - shared, np.minimum(subject, stimulus))
        # Satterthwaite: degrees of freedom of a sum of two variances, not below those of the smaller sample.
        below = subject**2 / (self.n_subjects - 1.0) + stimulus**2 / (self.n_stimuli - 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            freedom = np.where(below > 0, total**2 / below, 1.0)
        return np.maximum(total, 0.0), np.maximum(freedom, min(self.n_subjects, self.n_stimuli) - 1.0)


def spread(problem: Problem, over: str) -> Spread:
    r"""Variance of mean scores over new subjects and new stimuli, from leaving one out.

    Subjects: the jackknife, which for the mean of fixed models' scores is their variance over n. A ceiling is a mean
    over pairs of subjects: :func:`pairs_of_subjects` is taken off, what two of them have together being counted twice.

    Stimuli: a score is a mean over pairs. What a stimulus does to all of its pairs makes the variance A, what a pair
    does alone makes B; the score varies by A + B. Leaving one stimulus out counts a pair at both of its ends, A + 2 B;
    drawing stimuli with replacement counts it three times, A + 3 B. B is the sum of squares of what single pairs move,
    ``B = sum over pairs of psi^2``, so ``A + B = jackknife - B``.

    Both: ``subjects + stimuli - shared``, the part that a subject and a stimulus have together being in either. For
    one subject A and B hold it whole, for the mean of S subjects an S-th of it, and the difference tells how large it
    is: ``shared = (V_one - V_mean) / (S - 1)``, V_one the mean over subjects of A + B of their own scores, for the
    lower ceiling of what each moves (:func:`reach`).

    Source: Fafchamps and Gubert 2007, Journal of Development Economics 83, eq. 2.5; Aronow, Samii and Assenova 2015,
    Political Analysis 23, eq. 5 (pairs that share an end); Efron and Stein 1981, Annals of Statistics 9 (the jackknife,
    and its bias from second differences).
    """
    rows, subjects, n = len(problem.models) + 2, problem.n_subjects, problem.n
    empty = np.zeros((rows, rows))
    by_subject = subject_ends = by_stimulus = stimulus_ends = shared = empty
    if over != "stimulus":
        times = 1.0 - np.eye(subjects)
        values = mean_over(problem.together(np.ones(n), times), times)
        subject_ends = _jackknife(values)
        by_subject = subject_ends.copy()
        by_subject[-2:, -2:] -= pairs_of_subjects(problem, values[:, -2:])
    if over != "subject":
        values = problem.across(1.0 - np.eye(n), np.ones((1, 1, subjects)))[:, 0]
        parts = problem.pair_parts()
        mean = values.mean(axis=2)
        stimulus_ends = _jackknife(mean)
        by_stimulus = stimulus_ends if parts is None else stimulus_ends - parts.mean(axis=1) @ parts.mean(axis=1).T
        if over == "both":
            far = reach(float(mean[:, -2].mean()), subjects)
            values[:, -2] = mean[:, -2:-1] + far * (values[:, -2] - mean[:, -2:-1])
            alone = sum(_jackknife(values[:, :, s]) for s in range(subjects)) / subjects
            if parts is not None:
                parts[-2] = parts[-2].mean(axis=0) + far * (parts[-2] - parts[-2].mean(axis=0))
                alone = alone - np.einsum("isp,jsp->ij", parts, parts) / subjects
            shared = (alone - by_stimulus) / (subjects - 1)
    return Spread(by_subject, subject_ends, by_stimulus, stimulus_ends, shared, subjects, n)


def reach(lower: float, s: int) -> float:
    r"""How far a subject moves the mean lower ceiling of s subjects, relative to moving its own score alone.

    It is in the pooled matrix of the others too. With h the product of two subjects' unit vectors, equal for all,
    ``lower = h sqrt(s - 1) / sqrt(1 + (s - 2) h)``, and a change of one vector that moves its own score by d moves the
    sum of all by ``d (2 - (s - 1) h / (1 + (s - 2) h))``: 2 d where subjects share little, d where they are equal.
    """
    square = max(lower, 0.0) ** 2
    h = (square * (s - 2) + np.sqrt(square**2 * (s - 2) ** 2 + 4 * (s - 1) * square)) / (2 * (s - 1))
    return float(2.0 - (s - 1) * h / (1.0 + (s - 2) * h))


def pairs_of_subjects(problem: Problem, without: np.ndarray) -> np.ndarray:
    r"""(2, 2) covariance of the ceilings from what two subjects have together; 0 for fewer than 4 subjects.

    Second differences single it out, S subjects, ``T_i`` and ``T_ij`` the ceiling without one and without two:

    ``Q_ij = S T - (S - 1)(T_i + T_j) + (S - 2) T_ij``, ``B = (S - 3) / (S (S - 1)(S - 2)) sum over i < j of Q_ij^2``.

    For a mean over pairs, v_1 the variance of what one subject does to its pairs and v_2 of what a pair does alone, the
    jackknife expects ``4 v_1 / S + 4 v_2 / (S (S - 2))`` where T varies by ``4 v_1 / S + 2 v_2 / (S (S - 1))``; B
    expects the difference. Scores of fixed models have no such part.

    Source: Efron and Stein 1981, Annals of Statistics 9, section 5 (second differences).
    """
    s = problem.n_subjects
    if s < 4:
        return np.zeros((2, 2))
    one, two = pairs_drawn(s)
    times = np.ones((len(one), s))
    times[np.arange(len(one)), one] = times[np.arange(len(one)), two] = 0.0
    stimuli, all_of_them = np.ones(problem.n), np.ones((1, s))
    whole = mean_over(problem.bounds(stimuli, all_of_them), all_of_them)
    without_both = mean_over(problem.bounds(stimuli, times), times)
    second = s * whole - (s - 1) * (without[one] + without[two]) + (s - 2) * without_both
    mean = second.T @ second / len(one)
    return np.asarray(0.5 * (s - 3) / (s - 2) * mean)


def pairs_drawn(s: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of subjects: all up to 25 subjects; above, about 300, every subject in as many as any other."""
    if s <= 25:
        return np.triu_indices(s, 1)
    lags = np.arange(1, max(2, 300 // s) + 1)
    one = np.tile(np.arange(s), len(lags))
    return one, (one + np.repeat(lags, s)) % s


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
