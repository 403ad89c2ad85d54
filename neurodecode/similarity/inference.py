"""Which models of a geometry hold for new subjects and new stimuli, which differ, and which fall short of the ceiling.

Scores are means over subjects. What they would be elsewhere is judged by how they change when subjects, stimuli or both
are others; see :func:`neurodecode.similarity.resampling.spread` for the variance that the tests use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .._names import lookup
from .._numbers import amount, whole
from ..compute.nulls import fdr
from ..compute.random import check_random_state
from ..compute.resample import holm
from .ceilings import ONE_SUBJECT, check_resamples, name_of, subjects_of
from .models import Model, as_model, fit_model
from .rdms import match_rdms, upper
from .resampling import Draws, LeftOut, Problem, Spread, spread, stimulus_folds
from .resampling import bootstrap as drawn_again
from .weighted import Cosine, measure_of

SCHEMA = "neurodecode.rsa/1"
OVER = {"subject": "new subjects", "stimulus": "new stimuli", "both": "new subjects and new stimuli"}


def compare_models(
    models: Mapping[str, Any],
    rdms: xr.DataArray,
    *,
    how: Any = "spearman",
    bootstrap: str = "subject",
    n_bootstrap: int = 1000,
    random_state: Any = None,
    level: float = 0.95,
) -> xr.Dataset:
    """Score models against the dissimilarities of subjects, and test them: against 0, each other, and the ceiling.

    Every model is scored with every subject; its score is the mean over subjects. Tests are t tests: the score (the
    difference of two, the distance to the lower ceiling) over its standard error for new subjects, new stimuli or both.
    The standard errors come from leaving out one and two (:func:`reference`); degrees of freedom are subjects - 1,
    stimuli - 1 less the share of single pairs of stimuli, and for both those of a sum of two variances
    (Satterthwaite), not below the smaller. Where stimuli are new, scores are tested as ``atanh`` (Fisher's z), and what
    a model lacks to the ceiling, which is skewed, by Hall's t (:func:`straight`).

    Parameters
    ----------
    models : name -> matrix (stimulus, stimulus_other), or ``Fixed``, ``Weighted``, ``Selected``. Stimuli are met by
        label. If one of them has something to fit, all are scored on stimuli held out (2 to 5 folds), each fit done
        without the subject that is scored.
    rdms : ([subject,] stimulus, stimulus_other).
    how : a row of ``RDM_SCORES`` (``spearman``, ``pearson``, ``kendall_tau_a``, ``cosine``, ``whitened_cosine`` ...)
        or a function of two vectors (pairs,) that gives a number, larger meaning more alike; one of (m, pairs) and
        (k, pairs) that gives (m, k) is faster.
    bootstrap : what the statement is about: ``"subject"`` other people and these stimuli, ``"stimulus"`` these people
        and other stimuli, ``"both"`` others of both.
    n_bootstrap : draws of the bootstrap, for ``se_bootstrap``, ``low_bootstrap`` and ``high_bootstrap``; 0 for none.
    random_state : seed of folds and draws.
    level : coverage of ``low`` to ``high``.

    Returns
    -------
    Dataset with coordinates ``model``, ``model_other``, ``subject``:

    - ``score`` (model, subject); ``mean``, ``se``, ``low``, ``high``, ``p`` (above 0, one-sided), ``p_fdr``, ``p_fwe``
      (Holm) over model;
    - ``difference``, ``p_pair`` (two-sided), ``p_pair_fdr``, ``p_pair_fwe`` over (model, model_other), NaN on the
      diagonal, corrected over all pairs of models;
    - ``ceiling_lower``, ``ceiling_upper``, ``p_ceiling`` (below the lower ceiling, one-sided), ``p_ceiling_fdr``,
      ``p_ceiling_fwe`` over model; NaN with ``attrs["ceiling_reason"]`` for one subject;
    - ``se_bootstrap``, ``low_bootstrap``, ``high_bootstrap`` (model): the plain bootstrap, for both factors with the
      correction of Schütt et al. It counts the noise of a pair of stimuli three times and is wider than ``se`` where
      stimuli are drawn.

    attrs: ``schema``, ``how``, ``bootstrap``, ``degenerate`` (models that are constant: score NaN),
    ``degenerate_draws`` (counts by reason), ``weights`` of the fitted models (from all data; scores never use these),
    ``folds``, ``n_subjects``, ``n_stimuli``.

    Raises
    ------
    AlignmentError : stimuli that are missing on one side.
    DegenerateDataError : one subject where the statement is about subjects, fewer than 6 stimuli where it is about
        stimuli (10 for fitted models), a subject whose matrix is constant.
    ValueError : no models, or an unknown name.

    Source: Nili et al. 2014, PLoS Computational Biology 10:e1003553 (ceilings, tests); Schütt et al. 2023, eLife
    12:e82566 (both factors, cross-validation); Holm 1979, Scandinavian Journal of Statistics 6; Hall 1992, Journal of
    the Royal Statistical Society B 54:221-228 (skewness).

    Examples
    --------
    >>> from neurodecode.similarity import as_rdm
    >>> rng = np.random.default_rng(0); true = rng.random(66); names = [f"s{i}" for i in range(12)]
    >>> people = as_rdm(true + 0.3 * rng.random((8, 66)), stimulus=names)
    >>> found = compare_models({"right": as_rdm(true, stimulus=names),
    ...                         "other": as_rdm(rng.random(66), stimulus=names)}, people, n_bootstrap=0)
    >>> found["p_fdr"].values.round(3).tolist()[0], bool(found["p_pair"][0, 1] < 0.001)
    (0.0, True)
    """
    if not isinstance(models, Mapping) or not models:
        what = "empty" if isinstance(models, Mapping) else f"a {type(models).__name__}"
        raise ValueError(f"models is {what}; expected a mapping of names to matrices, with at least one.")
    lookup(OVER, bootstrap, "bootstrap", callables=False)
    n_bootstrap = whole(n_bootstrap, "n_bootstrap")
    if not 0 < amount(level, "level", least=None) < 1:
        raise ValueError(f"level={level!r}: expected a share above 0 and below 1, such as 0.95.")
    measure = measure_of(how)
    names = [str(name) for name in models]
    named = {name: as_model(entry, name) for name, entry in zip(names, models.values())}
    subjects, data, valid = subjects_of(rdms, measure)
    arrays = {name: _parts(model, name, rdms) for name, model in named.items()}
    valid = valid & np.all([np.isfinite(part).all(axis=0) for part in arrays.values()], axis=0)
    n, fitted = rdms.sizes["stimulus"], any(model.fitted for model in named.values())
    check_resamples(bootstrap, n, len(data), n_bootstrap, fitted)
    rng = check_random_state(random_state)
    problem = Problem(
        measure, measure.prepare(data), [(named[name], np.where(valid, arrays[name], 0.0)) for name in names], n, valid,
        stimulus_folds(n, rng) if fitted else None,
    )  # fmt: skip
    found = analyse(problem, bootstrap, n_bootstrap, rng, level)
    weights = {
        name: dict(zip(model.names, fit_model(model, rdms, how).weights.tolist()))
        for name, model in named.items()
        if model.fitted
    }
    attrs: dict[str, Any] = {
        "schema": SCHEMA,
        "how": name_of(how),
        "bootstrap": bootstrap,
        "about": OVER[bootstrap],
        "level": level,
        "n_subjects": len(data),
        "n_stimuli": n,
        "n_pairs_left_out": int((~valid).sum()),
        "n_bootstrap": n_bootstrap,
        "random_state": int(random_state) if isinstance(random_state, (int, np.integer)) else None,
        "degenerate": [name for name, score in zip(names, found.mean) if not np.isfinite(score)],
        "degenerate_draws": {} if found.draws is None else found.draws.counts,
        "weights": weights,
        "folds": 0 if problem.fold is None else int(problem.fold.max()) + 1,
        "ceiling_reason": ONE_SUBJECT if len(data) < 2 else None,
        "test": "t; above 0 and below the ceiling one-sided, two models two-sided; FDR Benjamini-Hochberg, FWE Holm",
    }
    return _dataset(found, names, subjects, attrs)


@dataclass(frozen=True)
class Found:
    """Scores and p values on plain arrays; rows are models."""

    score: np.ndarray
    mean: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    p_pair: np.ndarray
    ceiling: tuple[float, float]
    p_ceiling: np.ndarray
    draws: Draws | None


def analyse(
    problem: Problem,
    over: str,
    n_bootstrap: int,
    rng: np.random.Generator,
    level: float = 0.95,
    varied: Spread | None = None,
) -> Found:
    """Scores, standard errors and tests of a problem; what :func:`compare_models` labels.

    ``varied``: its :func:`neurodecode.similarity.resampling.spread`, where that is known already.
    """
    from scipy.stats import t

    rows = len(problem.models)
    whole = problem.together(np.ones(problem.n), np.ones((1, problem.n_subjects)))[0]
    means = whole.mean(axis=1)
    known = np.flatnonzero(np.isfinite(means[: rows + 1]))
    scored = known[known < rows]
    # Contrasts: each model, each pair of models, each model below the lower ceiling.
    first, second = (scored[index] for index in np.triu_indices(len(scored), 1))
    ceiling = scored if rows in known else scored[:0]
    single = _contrasts(rows, scored, None)
    pairs = _contrasts(rows, first, second)
    short = _contrasts(rows, np.full(len(ceiling), rows), ceiling)
    contrasts = np.vstack([single, pairs, short])[:, known]
    # Fisher's z: a score varies less the further it is from 0. Over people the tests are those of their scores.
    bounded = over != "subject" and (isinstance(problem.measure, Cosine) or problem.measure.ranked)
    inside = np.clip(means, -1 + 1e-9, 1 - 1e-9) if bounded else means
    scaled, slope = (np.arctanh(inside), 1.0 / (1.0 - inside**2)) if bounded else (means, np.ones(len(means)))
    estimate = contrasts @ scaled[known]
    below = np.arange(len(contrasts)) >= len(single) + len(pairs)
    varied = spread(problem, over) if varied is None else varied
    variance, freedom, skewness = reference(varied, contrasts * slope[known], known, below)
    error = np.sqrt(variance)
    # What differs by rounding only does not differ.
    same = error <= 1e-10
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = straight(estimate / error, skewness)
        ratio = np.where(same, np.where(np.abs(estimate) <= 1e-10, 0.0, np.nan), ratio)
    at = np.cumsum([len(single), len(pairs)])
    p, p_pair, p_ceiling = np.full(rows, np.nan), np.full((rows, rows), np.nan), np.full(rows, np.nan)
    se, reach = np.full(rows, np.nan), np.full(rows, np.nan)
    p[scored] = t.sf(ratio[: at[0]], freedom[: at[0]])
    se[scored] = error[: at[0]] / slope[scored]
    reach[scored] = t.ppf((1 + level) / 2, freedom[: at[0]]) * error[: at[0]]
    p_pair[first, second] = p_pair[second, first] = 2 * t.sf(np.abs(ratio[at[0] : at[1]]), freedom[at[0] : at[1]])
    p_ceiling[ceiling] = t.sf(ratio[at[1] :], freedom[at[1] :])
    draws = drawn_again(problem, over, n_bootstrap, rng) if n_bootstrap else None
    bounds = (float(means[rows]), float(means[rows + 1]) if problem.n_subjects > 1 else float("nan"))
    low, high = scaled[:rows] - reach, scaled[:rows] + reach
    if bounded:
        low, high = np.tanh(low), np.tanh(high)
    return Found(whole[:rows], means[:rows], se, low, high, p, p_pair, bounds, p_ceiling, draws)


def reference(
    varied: Spread, contrasts: np.ndarray, rows: np.ndarray, ceiling: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""(q,) variance, degrees of freedom, skewness of contrasts (q, kept) between the rows at the positions ``rows``.

    J is the jackknife and B what it counts twice (:class:`neurodecode.similarity.resampling.LeftOut`). With n left out
    the variance is ``J (1 - w)``: ``w = (n - 3) / (n - 1) B / J`` expects ``E B / E J`` where these are independent.

    - **People**: w is at most 1/2, and there are n - 1 degrees of freedom, exact for normal parts were w known. Scores
      of fixed models are means over people: w is 0. Ceilings and fits hold more than people and pairs of them, so that
      w often is at its limit.
    - **Stimuli**: w is at most ``n / (2 (n - 1))``, nothing but pairs. Degrees of freedom are ``(n - 1)(1 - w)``: n - 1
      were w known, ``(n - 1)(1 - w)^2`` were B known; estimates of either give what lies between. n - 1 below the
      ceiling (``ceiling`` (q,)), where the variance is large where the difference is; that is met by the skewness.
    - **Both**: the sum less what is in either, at least the smaller; degrees of freedom by Satterthwaite, not below
      those of the smaller sample.

    The skewness is that of what single stimuli move, ``mean of l^3 / (mean of l^2)^(3/2) / sqrt(n)``, times the cube of
    their share of the standard deviation; 0 but below the ceiling. What noise does to a stimulus takes from a model and
    never gives, so what a model lacks is a sum of squares; the difference of two models has no such side.
    """
    found, least = [], np.inf
    skewness = np.zeros(len(contrasts))
    if varied.subjects is not None:
        people = varied.subjects.turned(contrasts, rows)
        least = len(people.moves) - 1.0
        found.append((_variance(people, 0.5)[0], np.full(len(contrasts), least)))
    if varied.stimuli is not None:
        stimuli = varied.stimuli.turned(contrasts, rows)
        n = len(stimuli.moves)
        least = min(least, n - 1.0)
        variance, share = _variance(stimuli, n / (2.0 * (n - 1.0)))
        found.append((variance, (n - 1.0) * (1.0 - np.where(ceiling, 0.0, share))))
        second, third = (np.mean(stimuli.moves**power, axis=0) for power in (2, 3))
        with np.errstate(invalid="ignore", divide="ignore"):
            skewness = np.where(ceiling & (second > 0), third / second**1.5 / np.sqrt(n), 0.0)
    total, freedom = found[0]
    if len(found) == 2:
        (subject, few), (stimulus, many) = found
        shared = np.einsum("qi,ij,qj->q", contrasts, varied.shared[np.ix_(rows, rows)], contrasts)
        # The sum is at least the larger one, but the larger of two estimates is too large where both are noise.
        total = np.maximum(subject + stimulus - shared, np.minimum(subject, stimulus))
        below = subject**2 / few + stimulus**2 / many
        with np.errstate(invalid="ignore", divide="ignore"):
            freedom = np.where(below > 0, total**2 / below, 1.0)
            skewness = skewness * np.where(total > 0, np.minimum(stimulus / total, 1.0), 0.0) ** 1.5
        freedom = np.maximum(freedom, least)
    return total, freedom, skewness


def _variance(left: LeftOut, most: float) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) J (1 - w), and w, which is at most ``most``."""
    n = len(left.moves)
    whole, twice = np.diagonal(left.jackknife), np.diagonal(left.pairs)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(whole > 0, twice / whole, 0.0) * max(n - 3.0, 0.0) / (n - 1.0)
    share = np.minimum(share, most)
    return whole * (1.0 - share), share


def straight(ratio: np.ndarray, skewness: np.ndarray) -> np.ndarray:
    r"""t of a skewed estimate, its tails made those of t: ``t + 2 a t^2 + 4/3 a^2 t^3 + a`` with a = skewness / 6.

    What is skewed to the right varies more where it is large, so that its t is skewed to the left: for means of squares
    of 24 normal numbers t exceeds its .05 bound in .014 of samples, this in .037 (50: .020 and .044). The skewness is
    estimated, which leaves some of it. Monotone in t.

    Source: Hall 1992, Journal of the Royal Statistical Society B 54:221-228; Johnson 1978, Journal of the American
    Statistical Association 73:536-544 (without the last term, which makes it monotone).

    Examples
    --------
    >>> straight(np.array([2.0, 2.0]), np.array([0.0, 0.3])).round(3).tolist()
    [2.0, 2.477]
    """
    a = skewness / 6.0
    out: np.ndarray = ratio + 2.0 * a * ratio**2 + 4.0 / 3.0 * a**2 * ratio**3 + a
    return out


def _contrasts(rows: int, plus: np.ndarray, minus: np.ndarray | None) -> np.ndarray:
    """(q, rows + 2) of 1 at ``plus`` and -1 at ``minus``."""
    out = np.zeros((len(plus), rows + 2))
    out[np.arange(len(plus)), plus] = 1.0
    if minus is not None:
        out[np.arange(len(plus)), minus] = -1.0
    return out


def _parts(model: Model, name: str, rdms: xr.DataArray) -> np.ndarray:
    """(parts, pairs) of a model, its stimuli in the order of ``rdms``."""
    said = [f"model {name!r}" if not model.fitted else f"part {part!r} of {name!r}" for part in model.names]
    return np.stack([upper(match_rdms(rdms, part, names=("rdms", words))[1]) for part, words in zip(model.parts, said)])


def _dataset(found: Found, names: list[str], subjects: np.ndarray, attrs: dict[str, Any]) -> xr.Dataset:
    pair = ("model", "model_other")
    variables: dict[str, Any] = {"score": (("model", "subject"), found.score)}
    for key in ("mean", "se", "low", "high", "p"):
        variables[key] = ("model", getattr(found, key))
    variables |= {"p_fdr": ("model", fdr(found.p)), "p_fwe": ("model", holm(found.p))}
    upper_ = np.triu_indices(len(names), 1)
    difference = found.mean[:, None] - found.mean
    np.fill_diagonal(difference, np.nan)
    variables |= {"difference": (pair, difference), "p_pair": (pair, found.p_pair)}
    for key, correct in (("p_pair_fdr", fdr), ("p_pair_fwe", holm)):
        table = np.full(found.p_pair.shape, np.nan)
        table[upper_] = correct(found.p_pair[upper_])
        variables[key] = (pair, np.fmax(table, table.T))
    variables |= {"ceiling_lower": ((), found.ceiling[0]), "ceiling_upper": ((), found.ceiling[1])}
    variables["p_ceiling"] = ("model", found.p_ceiling)
    variables |= {
        "p_ceiling_fdr": ("model", fdr(found.p_ceiling)),
        "p_ceiling_fwe": ("model", holm(found.p_ceiling)),
    }
    if found.draws is not None:
        rows = len(names)
        variables["se_bootstrap"] = ("model", np.sqrt(found.draws.variance[:rows]))
        tails = [(1 - attrs["level"]) / 2, (1 + attrs["level"]) / 2]
        low, high = np.full(rows, np.nan), np.full(rows, np.nan)
        for at, drawn in enumerate(found.draws.values[:, :rows].T):
            kept = drawn[np.isfinite(drawn)]
            if len(kept):
                low[at], high[at] = np.quantile(kept, tails)
        variables |= {"low_bootstrap": ("model", low), "high_bootstrap": ("model", high)}
        for at, key in enumerate(("ceiling_lower_se", "ceiling_upper_se")):
            variables[key] = ((), np.sqrt(found.draws.variance[rows + at]))
    coords = {"model": names, "model_other": names, "subject": subjects}
    return xr.Dataset(variables, {key: (key, value) for key, value in coords.items()}, attrs)
