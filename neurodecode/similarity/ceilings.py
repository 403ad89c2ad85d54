"""How well any model could do: the noise ceiling of dissimilarities from what subjects share."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from .._numbers import whole
from ..compute.random import check_random_state
from ..exceptions import DegenerateDataError
from .rdms import check_rdm, upper
from .resampling import LEAST_DISTINCT, Problem, bootstrap
from .weighted import Measure, Sample, measure_of

ONE_SUBJECT = "one subject: a ceiling is what subjects share, so it needs two or more"
FEWEST_STIMULI = 6
OVER = ("subject", "stimulus", "both")


def noise_ceiling(
    rdms: xr.DataArray,
    how: Any = "spearman",
    *,
    bootstrap: str | None = None,
    n_bootstrap: int = 1000,
    random_state: Any = None,
) -> xr.Dataset:
    """Between which two scores the true model would lie, from how alike the subjects are.

    ``upper``: mean score of each subject with the pooled matrix of all; no model can have a higher mean score.
    ``lower``: mean score of each subject with the pooled matrix of the others; a model that is right should reach it.

    Pooled is what has the highest mean score: for Spearman (and, nearly, Kendall) the mean of the subjects' ranks; for
    Pearson, cosine and the whitened ones the mean after each was brought to length 1 in the space of the measure.

    Parameters
    ----------
    rdms : (subject, stimulus, stimulus_other), as ``as_rdm`` makes it. Pairs that some subject lacks are left out.
    how : a row of ``RDM_SCORES``, or a function as for :func:`neurodecode.similarity.compare_models`.
    bootstrap : ``"subject"``, ``"stimulus"`` or ``"both"``: what is drawn ``n_bootstrap`` times for the standard
        errors; None for none.
    random_state : seed of the draws.

    Returns
    -------
    Dataset: ``lower``, ``upper``; ``lower_subject``, ``upper_subject`` (subject). With ``bootstrap`` also
    ``lower_se``, ``upper_se`` and ``lower_draw``, ``upper_draw`` (draw), NaN where a draw is degenerate;
    ``attrs["degenerate_draws"]`` counts those. One subject: NaN, and ``attrs["reason"]``.

    Raises
    ------
    TypeError, AlignmentError, DegenerateDataError : not labelled matrices, fewer than 3 stimuli, a constant matrix.

    Source: Nili et al. 2014, PLoS Computational Biology 10:e1003553, "Estimating the noise ceiling".

    Examples
    --------
    >>> from neurodecode.similarity import as_rdm
    >>> two = as_rdm([[1, 2, 3, 4, 5, 6], [2, 1, 3, 4, 5, 6]], stimulus=list("abcd"))
    >>> found = noise_ceiling(two)
    >>> round(float(found["lower"]), 3), round(float(found["upper"]), 3)
    (0.943, 0.986)
    """
    n_bootstrap = whole(n_bootstrap, "n_bootstrap")
    measure = measure_of(how)
    labels, vectors, valid = subjects_of(rdms, measure)
    n, subjects = rdms.sizes["stimulus"], len(vectors)
    problem = Problem(measure, measure.prepare(vectors), [], n, valid)
    everyone = np.ones((1, subjects))
    lower, upper_ = problem.bounds(np.ones(n), everyone)[0]
    attrs: dict[str, Any] = {"how": name_of(how), "n_subjects": subjects, "n_stimuli": n, "reason": None}
    attrs["n_pairs_left_out"] = int((~valid).sum())
    if subjects < 2:
        attrs["reason"], upper_ = ONE_SUBJECT, np.full(subjects, np.nan)
    variables: dict[str, Any] = {
        "lower": ((), lower.mean()),
        "upper": ((), upper_.mean()),
        "lower_subject": ("subject", lower),
        "upper_subject": ("subject", upper_),
    }
    if bootstrap is not None and subjects > 1:
        check_resamples(bootstrap, n, subjects, n_bootstrap)
        drawn = _draws(problem, bootstrap, n_bootstrap, random_state)
        attrs |= {"bootstrap": bootstrap, "random_state": _plain_seed(random_state), "degenerate_draws": drawn.counts}
        for at, name in enumerate(("lower", "upper")):
            variables[f"{name}_se"] = ((), np.sqrt(drawn.variance[at]))
            variables[f"{name}_draw"] = ("draw", drawn.values[:, at])
    return xr.Dataset(variables, {"subject": ("subject", labels)}, attrs)


def _draws(problem: Problem, over: str, n: int, random_state: Any) -> Any:
    return bootstrap(problem, over, n, check_random_state(random_state))


def subjects_of(rdms: xr.DataArray, measure: Measure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Names, (subjects, pairs) vectors and (pairs,) measured in all, of matrices that can be scored."""
    rdms = check_rdm(rdms, "rdms")
    if rdms.ndim > 3 or (rdms.ndim == 3 and rdms.dims[0] != "subject"):
        dim = next(str(one) for one in rdms.dims if one != "subject")
        people = f" If these are people: rdms.rename({dim}='subject')." if rdms.ndim == 3 and dim != "time" else ""
        each = f"[compare_models(models, rdms.isel({dim}=at), ...) for at in range({rdms.sizes[dim]})]"
        raise DegenerateDataError(
            f"rdms have dims {rdms.dims}; expected ([subject,] stimulus, stimulus_other). Take one {dim}, "
            f"rdms.isel({dim}=0), or go through all: xr.concat({each}, {dim!r}).{people}"
        )
    if rdms.sizes["stimulus"] < 3:
        raise DegenerateDataError("two stimuli make one dissimilarity, which has no order; at least 3 are needed")
    vectors = np.atleast_2d(upper(rdms))
    named = rdms["subject"].values if "subject" in rdms.dims else np.array(["0"])
    valid = np.isfinite(vectors).all(axis=0)
    if valid.sum() < 3:
        raise DegenerateDataError(
            f"{int(valid.sum())} pairs of stimuli were measured in every subject; at least 3 are needed"
        )
    sample = Sample.of(np.ones(rdms.sizes["stimulus"]), valid)
    units = measure.units(measure.prepare(np.where(valid, vectors, 0.0)), sample)
    flat = np.flatnonzero(~np.isfinite(units).all(axis=1))
    if len(flat):
        raise DegenerateDataError(
            f"the matrix of subject {named[flat[0]]!s} is constant, so nothing can be like it; leave the subject out"
        )
    return named, np.where(valid, vectors, 0.0), valid


def check_resamples(over: str, n: int, subjects: int, n_bootstrap: int, fitted: bool = False) -> None:
    """Refuse what cannot say anything about new subjects or new stimuli."""
    if over not in OVER:
        raise ValueError(f"bootstrap={over!r} is not known; choose one of {', '.join(map(repr, OVER))}.")
    if over != "stimulus" and subjects < 2:
        raise DegenerateDataError(
            f"bootstrap={over!r} speaks about new subjects and needs 2 or more, and there is one; bootstrap='stimulus' "
            "speaks about new stimuli for this one."
        )
    least = 2 * (LEAST_DISTINCT + 1) if fitted else FEWEST_STIMULI
    if (over != "subject" or fitted) and n < least:
        what = "Fitted models are scored on stimuli held out; that" if fitted else f"bootstrap={over!r}"
        raise DegenerateDataError(f"{what} needs {least} stimuli or more, and there are {n}.")
    if n_bootstrap == 1:
        raise ValueError(f"n_bootstrap={n_bootstrap}: 2 draws or more, or 0 for none")


def name_of(how: Any) -> str:
    """The measure in words."""
    return how if isinstance(how, str) else str(getattr(how, "__name__", type(how).__name__))


def _plain_seed(random_state: Any) -> int | None:
    return int(random_state) if isinstance(random_state, (int, np.integer)) else None
