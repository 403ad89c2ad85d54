"""Slow twins of scores, null distributions and ceilings, written from their definitions, one number at a time."""

from __future__ import annotations

import itertools
import math

import numpy as np


def pearson(truth, predicted):
    """Pearson's r of two lists of numbers, as printed in any textbook."""
    n = len(truth)
    mt, mp = sum(truth) / n, sum(predicted) / n
    top = sum((a - mt) * (b - mp) for a, b in zip(truth, predicted))
    return top / math.sqrt(sum((a - mt) ** 2 for a in truth) * sum((b - mp) ** 2 for b in predicted))


def auc(truth, decision):
    """Share of (case, control) pairs in which the case has the larger value; ties count half. truth: booleans."""
    cases = [d for t, d in zip(truth, decision) if t]
    controls = [d for t, d in zip(truth, decision) if not t]
    wins = sum((a > b) + 0.5 * (a == b) for a in cases for b in controls)
    return wins / (len(cases) * len(controls))


def balanced_accuracy(truth, predicted):
    """Mean of the recalls."""
    recalls = []
    for label in sorted(set(truth)):
        here = [p == t for t, p in zip(truth, predicted) if t == label]
        recalls.append(sum(here) / len(here))
    return sum(recalls) / len(recalls)


def two_way(truth, predicted):
    """mean over j of #{i != j : C_ij < C_jj} / (n - 1), C_ij = corr(truth i, prediction j)."""
    n = len(truth)
    scores = []
    for j in range(n):
        own = pearson(list(truth[j]), list(predicted[j]))
        scores.append(sum(pearson(list(truth[i]), list(predicted[j])) < own for i in range(n) if i != j) / (n - 1))
    return scores


def top_k(truth, predicted, k):
    """1 where fewer than k other truths correlate at least as well with a prediction as its own."""
    n = len(truth)
    hits = []
    for j in range(n):
        own = pearson(list(truth[j]), list(predicted[j]))
        better = sum(pearson(list(truth[i]), list(predicted[j])) >= own for i in range(n) if i != j)
        hits.append(float(better < k))
    return hits


def permutation_p(observed, null):
    """(b + 1) / (n + 1)."""
    return (sum(value >= observed for value in null) + 1) / (len(null) + 1)


def benjamini_hochberg(p):
    """Adjusted p values from the definition: min over all larger p of p m / rank; NaN stay NaN."""
    finite = [value for value in p if not math.isnan(value)]
    m = len(finite)
    ranked = sorted(finite)
    adjusted = []
    for value in p:
        if math.isnan(value):
            adjusted.append(math.nan)
            continue
        larger = [other * m / (ranked.index(other) + ranked.count(other)) for other in ranked if other >= value]
        adjusted.append(min(1.0, *larger, 1.0))
    return adjusted


def allowed_orders(blocks, groups):
    """Every order that keeps samples in their blocks and the members of a group together, by trying all of them."""
    n = len(blocks)
    found = []
    for order in itertools.permutations(range(n)):
        if any(blocks[order[i]] != blocks[i] for i in range(n)):
            continue
        # Members of one group must come from one group, in their own order.
        sources = {}
        kept = True
        for i in range(n):
            sources.setdefault(groups[i], []).append(order[i])
        for taken in sources.values():
            source = groups[taken[0]]
            members = [i for i in range(n) if groups[i] == source]
            kept = kept and sorted(taken) == members and [blocks[i] for i in taken] == sorted(blocks[i] for i in taken)
            kept = kept and all(a < b for a, b in itertools.pairwise(taken) if blocks[a] == blocks[b])
        if kept:
            found.append(order)
    return found


def noise_ceiling(values, stimulus, n=None):
    """Share of explainable variance of one unit, in the words of the Natural Scenes Dataset.

    Noise variance: variance over repeats (ddof 1), averaged over stimuli that repeat. Signal variance: variance of
    the stimulus means minus what noise adds to it. values, stimulus: lists.
    """
    names = sorted(set(stimulus))
    trials = {name: [v for v, s in zip(values, stimulus) if s == name] for name in names}
    noise = np.mean([np.var(one, ddof=1) for one in trials.values() if len(one) > 1])
    inverse = np.mean([1 / len(one) for one in trials.values()])
    signal = max(0.0, np.var([np.mean(one) for one in trials.values()], ddof=1) - noise * inverse)
    snr = math.sqrt(signal) / math.sqrt(noise)
    return snr**2 / (snr**2 + (inverse if n is None else 1 / n))


def cross_validated(make, score, X, y, folds):
    """Scores of each fold and over all held-out predictions, in a loop over folds and targets."""
    X, y = np.asarray(X), np.asarray(y)
    held = np.full(y.shape, np.nan)
    by_fold = []
    for train, test in folds:
        held[test] = make().fit(X[train], y[train]).predict(X[test])
        by_fold.append([score(list(y[test, unit]), list(held[test, unit])) for unit in range(y.shape[1])])
    pooled = [score(list(y[:, unit]), list(held[:, unit])) for unit in range(y.shape[1])]
    return np.asarray(by_fold), np.asarray(pooled)
