"""Textbook twins of the linear maps: slow, plain NumPy, written from the formulas."""

from __future__ import annotations

import numpy as np


def slow_ridge(x, y, alpha, intercept=True):
    """Weights (p, t) and intercepts (t,): (X'X + alpha I)^-1 X'y, target by target (Hoerl & Kennard 1970)."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    alpha = np.broadcast_to(alpha, y.shape[1])
    mx = x.mean(0) if intercept else np.zeros(x.shape[1])
    my = y.mean(0) if intercept else np.zeros(y.shape[1])
    gram = (x - mx).T @ (x - mx)
    w = np.stack(
        [np.linalg.solve(gram + a * np.eye(x.shape[1]), (x - mx).T @ (y[:, t] - my[t])) for t, a in enumerate(alpha)], 1
    )
    return w, my - mx @ w


def slow_r2(truth, predicted):
    """1 - squared error / squared deviation from the mean of the truth, column by column."""
    return 1 - ((truth - predicted) ** 2).sum(0) / ((truth - truth.mean(0)) ** 2).sum(0)


def slow_search(x, y, alphas, folds, intercept=True):
    """Mean R2 over folds of every penalty for every target: (penalties, targets), by refitting each time."""
    found = np.zeros((len(alphas), y.shape[1]))
    for i, alpha in enumerate(alphas):
        for train, test in folds:
            w, b = slow_ridge(x[train], y[train], alpha, intercept)
            found[i] += slow_r2(y[test], x[test] @ w + b) / len(folds)
    return found


def contiguous_folds(n, k):
    """k folds of neighbours, the first ones longer by one where n is not a multiple."""
    parts = np.array_split(np.arange(n), k)
    return [(np.setdiff1d(np.arange(n), part), part) for part in parts]


def slow_delays(x, steps, runs):
    """out[t, d * p + j] = x[t - steps[d], j] within the run of t, else 0: sample by sample."""
    n, p = x.shape
    out = np.zeros((n, p * len(steps)))
    for t in range(n):
        for d, step in enumerate(steps):
            source = t - step
            if 0 <= source < n and runs[source] == runs[t]:
                out[t, d * p : (d + 1) * p] = x[source]
    return out


def slow_convolution(x, taps, runs):
    """out[t, b * p + j] = sum_k taps[b, k] x[t - k, j] over the k that stay within the run of t: sample by sample."""
    n, p = x.shape
    out = np.zeros((n, p * len(taps)))
    for t in range(n):
        for b, weights in enumerate(taps):
            for k, weight in enumerate(weights[: t + 1]):
                if runs[t - k] == runs[t]:
                    out[t, b * p : (b + 1) * p] += weight * x[t - k]
    return out


def slow_smooth_ridge(design, y, lags, alpha, smooth):
    """Weights (features, lags, targets) on lags-first columns: the normal equations with the penalty written out.

    alpha (sum_l w_l^2 + smooth sum_l (w_l - w_(l-1))^2) for every feature and target.
    """
    p = design.shape[1] // lags
    penalty = np.zeros((design.shape[1],) * 2)
    for j in range(p):
        for first in range(lags):
            penalty[first * p + j, first * p + j] += 1
            if first + 1 < lags:
                here, there = first * p + j, (first + 1) * p + j
                penalty[here, here] += smooth
                penalty[there, there] += smooth
                penalty[here, there] -= smooth
                penalty[there, here] -= smooth
    weights = np.linalg.solve(design.T @ design + alpha * penalty, design.T @ y)
    return weights.reshape(lags, p, -1).transpose(1, 0, 2)


def slow_lda(x, y, shrinkage=0.0):
    """Weights (classes, p) and intercepts: S^-1 mu_k and -mu_k' S^-1 mu_k / 2 + log prior.

    Hastie, Tibshirani & Friedman (2009), equation 4.10, with the within covariance shrunk to (1 - s) S + s tr(S) / p I.
    """
    classes = np.unique(y)
    means = np.stack([x[y == c].mean(0) for c in classes])
    prior = np.array([np.mean(y == c) for c in classes])
    within = sum(p * np.cov(x[y == c].T, bias=True) for p, c in zip(prior, classes))
    within = (1 - shrinkage) * within + shrinkage * np.trace(within) / x.shape[1] * np.eye(x.shape[1])
    w = np.linalg.solve(within, means.T).T
    return w, -0.5 * np.einsum("kp,kp->k", means, w) + np.log(prior)


def cross_entropy(w, b, x, y, C):
    """What multinomial logistic regression minimises: sum of -log softmax + ||W||^2 / (2 C)."""
    classes = np.unique(y)
    score = x @ w.T + b
    log_z = np.log(np.exp(score).sum(1))
    chosen = score[np.arange(len(y)), np.searchsorted(classes, y)]
    return (log_z - chosen).sum() + (w**2).sum() / (2 * C)


def slow_csp(x, which, n):
    """Filters of two classes: C_1 w = l (C_1 + C_2) w by scipy, the furthest from 1/2 first (Koles 1991)."""
    from scipy.linalg import eigh

    one, two = (np.mean([epoch @ epoch.T / epoch.shape[1] for epoch in x[which == k]], axis=0) for k in (0, 1))
    values, vectors = eigh(one, one + two)
    order = np.argsort(-np.abs(values - 0.5))[:n]
    return values[order], vectors[:, order].T


def slow_spoc(x, z, n):
    """Filters that follow z: C_z w = l C w with C_z the mean of z_e C_e, z standardised (Daehne et al. 2014, eq. 9)."""
    from scipy.linalg import eigh

    each = np.array([epoch @ epoch.T / epoch.shape[1] for epoch in x])
    z = (z - z.mean()) / z.std()
    values, vectors = eigh(np.mean([a * c for a, c in zip(z, each)], axis=0), each.mean(axis=0))
    order = np.argsort(-np.abs(values))[:n]
    return values[order], vectors[:, order].T


def slow_xdawn(x, of_class, n):
    """Filters of one class: the average epoch against all data (Rivet et al. 2009, eq. 10, averages for responses)."""
    from scipy.linalg import eigh

    average = np.mean([epoch for epoch, mine in zip(x, of_class) if mine], axis=0)
    everything = np.concatenate(list(x), axis=1)
    values, vectors = eigh(average @ average.T / average.shape[1], everything @ everything.T / everything.shape[1])
    return values[::-1][:n], vectors[:, ::-1][:, :n].T


def slow_ssd(x, sfreq, low, high, flank, gap, n):
    """Filters of a band: the cross-spectrum of Hann-windowed epochs, frequency by frequency (Nikulin et al. 2011)."""
    from scipy.linalg import eigh

    channels, length = x.shape[1:]
    taper = np.sin(np.pi * np.arange(1, length + 1) / (length + 1)) ** 2
    t = np.arange(length)
    signal, noise = np.zeros((2, channels, channels))
    for epoch in x:
        centred = (epoch - epoch.mean(axis=1, keepdims=True)) * taper
        for k in range(1, length // 2 + 1):
            f = k * sfreq / length
            wave = centred @ np.exp(-2j * np.pi * k * t / length)
            spectrum = np.outer(wave, wave.conj()).real
            if low <= f <= high:
                signal += spectrum
            elif low - gap - flank <= f < low - gap or high + gap < f <= high + gap + flank:
                noise += spectrum
    values, vectors = eigh(signal, noise)
    return values[::-1][:n], vectors[:, ::-1][:, :n].T


def slow_patterns(x, filters):
    """Regression of the channels on the components, channel by channel: where each component is seen."""
    flat = np.concatenate(list(x), axis=1)
    components = filters @ flat
    return np.linalg.lstsq(components.T, flat.T, rcond=None)[0]


def slow_banded(x, y, band, gamma, alpha):
    """Weights (p, t) and intercepts: (X'X + diag(alpha / gamma_b))^-1 X'y, target by target; gamma (bands, t)."""
    xc, w = x - x.mean(0), np.zeros((x.shape[1], y.shape[1]))
    for t in range(y.shape[1]):
        keep = gamma[band, t] > 0
        penalty = np.diag(alpha[t] / gamma[band[keep], t])
        w[keep, t] = np.linalg.solve(xc[:, keep].T @ xc[:, keep] + penalty, xc[:, keep].T @ (y[:, t] - y[:, t].mean()))
    return w, y.mean(0) - x.mean(0) @ w


def slow_product(truth, parts):
    """Sum over samples of (2 y y_b - y_b y_hat) over that of y^2, one target and one band at a time (Pratt 1987)."""
    found = np.zeros((len(parts), truth.shape[1]))
    for t in range(truth.shape[1]):
        y = truth[:, t] - truth[:, t].mean()
        each = [part[:, t] - truth[:, t].mean() / len(parts) for part in parts]
        for b, one in enumerate(each):
            found[b, t] = sum(2 * y[n] * one[n] - one[n] * sum(e[n] for e in each) for n in range(len(y))) / (y @ y)
    return found


def slow_cca(x, y, k):
    """Directions of x (p, k), those of y (t, k), and the correlations, from the generalised eigenproblem.

    Hotelling (1936): [0 Cxy; Cyx 0] v = rho [Cxx 0; 0 Cyy] v.
    """
    from scipy.linalg import eigh

    x, y = x - x.mean(0), y - y.mean(0)
    p, t = x.shape[1], y.shape[1]
    left, right = np.zeros((p + t, p + t)), np.zeros((p + t, p + t))
    left[:p, p:], left[p:, :p] = x.T @ y, y.T @ x
    right[:p, :p], right[p:, p:] = x.T @ x, y.T @ y
    rho, v = eigh(left, right)
    order = np.argsort(-rho)[:k]
    return v[:p, order], v[p:, order], rho[order]


def slow_reduced_rank(x, y, k):
    """Least squares of rank k: the weights projected on the first k directions of the fit (Izenman 1975)."""
    x, y = x - x.mean(0), y - y.mean(0)
    w = np.linalg.lstsq(x, y, rcond=None)[0]
    _, v = np.linalg.eigh(w.T @ x.T @ x @ w)
    return w @ v[:, -k:] @ v[:, -k:].T


def _hat(x, alpha, intercept):
    """The matrix that turns targets into fitted values: ridge with an intercept that is not penalised."""
    n = len(x)
    middle = np.eye(n) - 1 / n if intercept else np.eye(n)
    x = middle @ x
    return x @ np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T) + (np.eye(n) - middle)


def slow_leave_one_out(x, y, alphas, intercept=True):
    """1 - squared error / deviation from the mean, each sample predicted from all others: (penalties, targets)."""
    found = np.zeros((len(alphas), y.shape[1]))
    for i, alpha in enumerate(alphas):
        for row in range(len(x)):
            rest = np.arange(len(x)) != row
            w, b = slow_ridge(x[rest], y[rest], alpha, intercept)
            found[i] += (y[row] - x[row] @ w - b) ** 2
    return 1 - found / ((y - y.mean(0)) ** 2).sum(0)


def slow_gcv(x, y, alphas, intercept=True):
    """Generalised cross-validation, Golub, Heath & Wahba (1979), eq. 1.4, as 1 - V / variance: (penalties, targets)."""
    n = len(x)
    found = []
    for alpha in alphas:
        away = np.eye(n) - _hat(x, alpha, intercept)
        found.append(1 - ((away @ y) ** 2).mean(0) / (np.trace(away) / n) ** 2 / y.var(0))
    return np.array(found)


def slow_riemann_distance(a, b):
    """Root of the sum of squared log eigenvalues of b^-1 a (Foerstner and Moonen 1999)."""
    from scipy.linalg import eigvals

    return float(np.sqrt((np.log(eigvals(a, b).real) ** 2).sum()))


def slow_riemann_mean(c):
    """Karcher's mean by small steps along the gradient, matrix functions by scipy (Moakher 2005, equation 3.6)."""
    from scipy.linalg import expm, inv, logm, sqrtm

    mean = np.mean(c, axis=0)
    for _ in range(200):
        half = sqrtm(mean)
        back = inv(half)
        step = np.mean([logm(back @ one @ back) for one in c], axis=0).real
        mean = (half @ expm(0.9 * step) @ half).real
        if np.abs(step).max() < 1e-14:
            break
    return mean


def slow_overlap(recording, starts, which, length, n):
    """Responses by a regression of the whole recording on shifted onsets, and Xdawn's filters (Rivet et al. 2009)."""
    from scipy.linalg import eigh

    columns = []
    for k in np.unique(which):
        for lag in range(length):
            column = np.zeros(recording.shape[1])
            column[starts[which == k] + lag] = 1
            columns.append(column)
    design = np.array(columns).T
    covered = design.any(axis=1)
    weights = np.linalg.lstsq(design[covered], recording[:, covered].T, rcond=None)[0]
    responses = weights.reshape(-1, length, len(recording)).transpose(0, 2, 1)
    filters = []
    epochs = np.concatenate([recording[:, s : s + length] for s in starts], axis=1)
    for k in range(len(responses)):
        made = design[covered][:, k * length : (k + 1) * length] @ weights[k * length : (k + 1) * length]
        _, vectors = eigh(made.T @ made, epochs @ epochs.T)
        filters.append(vectors[:, ::-1][:, :n].T)
    return responses, np.concatenate(filters)
