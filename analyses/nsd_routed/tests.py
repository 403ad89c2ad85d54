"""Scores on one set of test pictures, and paired differences of area means by resampling those pictures."""

import numpy as np

from neurodecode.compute.nulls import fdr
from neurodecode.compute.scores import pearson


def resampled_r(truth, predicted, weights):
    """r of every unit in every resample, (resamples, units); ``weights`` (resamples, samples) sum to one."""
    t, p = truth - truth.mean(0), predicted - predicted.mean(0)
    mean_t, mean_p = weights @ t, weights @ p
    cover = weights @ (t * p) - mean_t * mean_p
    spread = (weights @ t**2 - mean_t**2) * (weights @ p**2 - mean_p**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 0, cover / np.sqrt(np.maximum(spread, 0)), np.nan)


def draws(n, count, rng):
    return rng.multinomial(n, np.full(n, 1 / n), size=count) / n


def area_mean(values, members):
    """Mean over the units of each area, (..., areas); units without a score are left out, an empty area is NaN."""
    finite = np.isfinite(values)
    counts = finite @ members.T.astype(float)
    total = np.where(finite, values, 0.0) @ members.T.astype(float)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def differences(truth, predicted, model, rivals, members, count, rng):
    """``difference``, ``low``, ``high``, ``p``, ``p_fdr`` (rival, area) of one model over its rivals."""
    weights = draws(len(truth), count, rng)
    many = {name: area_mean(resampled_r(truth, predicted[name], weights), members) for name in (model, *rivals)}
    once = {name: area_mean(pearson(truth, predicted[name]), members) for name in (model, *rivals)}
    rows = {"difference": [], "low": [], "high": [], "p": []}
    for rival in rivals:
        spread = many[model] - many[rival]
        found = once[model] - once[rival]
        low, high = np.quantile(spread, [0.025, 0.975], axis=0)
        below, above = ((spread <= 0).sum(0) + 1) / (count + 1), ((spread >= 0).sum(0) + 1) / (count + 1)
        p = np.where(np.isfinite(found), np.minimum(1, 2 * np.minimum(below, above)), np.nan)
        for key, value in zip(rows, (found, low, high, p)):
            rows[key].append(value)
    table = {key: np.stack(values) for key, values in rows.items()}
    return {**table, "p_fdr": fdr(table["p"].ravel()).reshape(table["p"].shape)}
