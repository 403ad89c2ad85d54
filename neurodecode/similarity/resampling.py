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

    @cached_property
    def prepared(self) -> list[np.ndarray]:
        """The values of every model as the measure takes them."""
        return [self.measure.prepare(parts) for _, parts in self.models]

    @cached_property
    def rows(self) -> np.ndarray:
        """(subjects + fixed models, pairs) the data, then the models that have nothing to fit, prepared."""
        fixed = [own for (model, _), own in zip(self.models, self.prepared) if not model.fitted]
        return np.concatenate([self.data, *fixed])

    def together(self, counts: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(draws, models + 2, subjects): scores, then the lower and the upper ceiling; means over folds.

        ``counts`` (n,) of the stimuli, ``times`` (draws, subjects). Models are fitted without the subject and without
        the fold. NaN where a model or a subject is constant.
        """
        blocks = self.blocks(counts)
        fitted = [at for at, (model, _) in enumerate(self.models) if model.fitted]
        fixed = [at for at, (model, _) in enumerate(self.models) if not model.fitted]
        out = np.zeros((len(times), len(self.models) + 2, self.n_subjects))
        for train, test in blocks:
            both = self.measure.taken(self.rows, test)
            taken, own = both[: self.n_subjects], both[self.n_subjects :]
            for at in fitted:
                out[:, at] += self._left_out(at, times, train, test, taken)
            if isinstance(self.measure, Cosine):
                vectors = self.measure.vectors(both, test)
                aims = vectors[: self.n_subjects]
                out[:, fixed] += np.clip(vectors[self.n_subjects :] @ aims.T, -1.0, 1.0)
                lower, upper = self.measure.bounds_of(aims, taken, test, times)
            else:
                if fixed:
                    out[:, fixed] += self.measure.scores_of_kept(own, taken, test)
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
        _keep_pages()
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


def _keep_pages() -> None:
    """Let the allocator keep what it is given back: the pages of arrays that are made and released for every sample.

    The GNU C library returns them to the system, and has to ask for them again, until an array as large as this one was
    released. It is never written to and takes no memory.
    """
    np.empty(28 << 20, dtype=np.uint8)


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
class LeftOut:
    r"""What leaving out one, and two, of n does to statistics, and how these vary over n others.

    With ``T`` a statistic, ``T_i`` and ``T_ij`` the same without one and without two:

    ``l_i = (n - 1)(mean of T_i - T_i)``,  ``Q_ij = n T - (n - 1)(T_i + T_j) + (n - 2) T_ij``
    ``J = sum of l_i^2 / (n (n - 1))``,  ``B = (n - 3) / (2 (n - 2)) mean of Q_ij^2``.

    J is the jackknife. Of what each of n does alone it counts all once; of what two do together, which is in the score
    of a pair, it counts all twice: for a mean over pairs, v_1 the variance of what one does to its pairs and v_2 of
    what a pair does alone, it expects ``4 v_1 / n + 4 v_2 / (n (n - 2))`` where T varies by
    ``4 v_1 / n + 2 v_2 / (n (n - 1))``. B expects the difference, so ``J - B`` is the variance
    (:func:`neurodecode.similarity.inference.reference`).

    Attributes
    ----------
    moves : (n, rows) of l. second : (pairs, rows) of Q. one, two : (pairs,) who was left out.

    Source: Efron and Stein 1981, Annals of Statistics 9, section 5 (second differences).
    """

    moves: np.ndarray
    second: np.ndarray
    one: np.ndarray
    two: np.ndarray

    @classmethod
    def of(cls, whole: np.ndarray, without: np.ndarray, without_two: np.ndarray) -> LeftOut:
        """From statistics (rows,), (n, rows) and, for the pairs of :func:`pairs_drawn`, (pairs, rows)."""
        n = len(without)
        one, two = pairs_drawn(n)
        second = n * whole - (n - 1) * (without[one] + without[two]) + (n - 2) * without_two
        return cls((n - 1) * (without.mean(axis=0) - without), second, one, two)

    def turned(self, contrasts: np.ndarray, rows: np.ndarray) -> LeftOut:
        """Of sums of some rows: contrasts (q, kept), positions (kept,)."""
        return replace(self, moves=self.moves[:, rows] @ contrasts.T, second=self.second[:, rows] @ contrasts.T)

    @property
    def jackknife(self) -> np.ndarray:
        """(rows, rows) covariance J."""
        n = len(self.moves)
        return self.moves.T @ self.moves / (n * (n - 1.0))

    @property
    def pairs(self) -> np.ndarray:
        """(rows, rows) covariance B; 0 for fewer than 4. Left out are pairs without which a row is not known."""
        n = len(self.moves)
        if n < 4:
            return np.zeros((self.moves.shape[1],) * 2)
        known = self.second[np.isfinite(self.second[:, np.isfinite(self.moves).all(axis=0)]).all(axis=1)]
        return 0.5 * (n - 3.0) / (n - 2.0) * known.T @ known / max(len(known), 1)


@dataclass(frozen=True)
class Spread:
    """How mean scores of models and ceilings vary over new subjects, new stimuli, or both.

    Attributes
    ----------
    subjects, stimuli : (rows) with one and two of them left out; None where the statement is not about them.
    shared : (rows, rows) covariance of what a subject and a stimulus have together, which is in either of the two.
    """

    subjects: LeftOut | None
    stimuli: LeftOut | None
    shared: np.ndarray

    def about(self, over: str) -> Spread:
        """Of both, what is over new subjects, new stimuli, or both."""
        people, stimuli = over != "stimulus", over != "subject"
        return replace(self, subjects=self.subjects if people else None, stimuli=self.stimuli if stimuli else None)


def spread(problem: Problem, over: str) -> Spread:
    r"""How mean scores vary over new subjects and new stimuli, from leaving out one and two of them.

    For subjects and for stimuli see :class:`LeftOut`: a score is a mean over pairs of stimuli, a ceiling (and the score
    of a fitted model) one over pairs of subjects as well. Scores of fixed models are means over subjects, whose second
    differences are 0, and their variance is that of the scores over n.

    Both: ``subjects + stimuli - shared``, the part that a subject and a stimulus have together being in either. One
    subject's own score holds S times of it that the mean of S subjects holds, and the difference tells how large it
    is: ``shared = (V_one - V_mean) / (S - 1)``, V the variance over stimuli, V_one the mean over subjects, for the
    lower ceiling of what each moves (:func:`reach`).
    """
    rows, subjects, n = len(problem.models) + 2, problem.n_subjects, problem.n
    people = stimuli = None
    shared = np.zeros((rows, rows))
    everyone = np.ones((1, subjects))
    if over != "stimulus":
        times = left_out(subjects)
        people = _left_out_of(mean_over(problem.together(np.ones(n), times), times), subjects)
    if over != "subject":
        values = problem.across(left_out(n), everyone[None])[:, 0]
        mean = values.mean(axis=2)
        stimuli = _left_out_of(mean, n)
        if over == "both":
            far = reach(float(mean[0, -2]), subjects)
            values[:, -2] = mean[:, -2:-1] + far * (values[:, -2] - mean[:, -2:-1])
            alone = [_left_out_of(values[:, :, s], n) for s in range(subjects)]
            own = sum(one.jackknife - one.pairs for one in alone) / subjects
            shared = (own - (stimuli.jackknife - stimuli.pairs)) / (subjects - 1)
    return Spread(people, stimuli, shared)


def left_out(n: int) -> np.ndarray:
    """(1 + n + pairs, n) counts: all, without each one, without the two of :func:`pairs_drawn`.

    Examples
    --------
    >>> left_out(3).shape
    (4, 3)
    """
    one, two = pairs_drawn(n)
    pairs = np.ones((len(one), n))
    pairs[np.arange(len(one)), one] = pairs[np.arange(len(one)), two] = 0.0
    return np.vstack([np.ones((1, n)), 1.0 - np.eye(n), pairs])


def _left_out_of(values: np.ndarray, n: int) -> LeftOut:
    """From statistics (1 + n + pairs, rows) in the order of :func:`left_out`."""
    return LeftOut.of(values[0], values[1 : n + 1], values[n + 1 :])


def reach(lower: float, s: int) -> float:
    r"""How far a subject moves the mean lower ceiling of s subjects, relative to moving its own score alone.

    It is in the pooled matrix of the others too. With h the product of two subjects' unit vectors, equal for all,
    ``lower = h sqrt(s - 1) / sqrt(1 + (s - 2) h)``, and a change of one vector that moves its own score by d moves the
    sum of all by ``d (2 - (s - 1) h / (1 + (s - 2) h))``: 2 d where subjects share little, d where they are equal.
    """
    square = max(lower, 0.0) ** 2
    h = (square * (s - 2) + np.sqrt(square**2 * (s - 2) ** 2 + 4 * (s - 1) * square)) / (2 * (s - 1))
    return float(2.0 - (s - 1) * h / (1.0 + (s - 2) * h))


def pairs_drawn(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs to leave out: none below 4, all up to 25; above about 300 (25 / n)^2, n / 2 at least, spread evenly.

    Beside what one of n does, what two do together falls as 1 / n, so that fewer pairs say it as well.

    Examples
    --------
    >>> [len(pairs_drawn(n)[0]) for n in (3, 4, 25, 40, 92)]
    [0, 6, 300, 120, 46]
    """
    if n < 4:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    if n <= 25:
        return np.triu_indices(n, 1)
    wanted = 300.0 * (25.0 / n) ** 2
    if wanted <= n:
        one = np.arange(n // 2)
        return one, one + n // 2
    lags = np.arange(1, int(np.ceil(wanted / n)) + 1)
    one = np.tile(np.arange(n), len(lags))
    return one, (one + np.repeat(lags, n)) % n


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
