"""Textbook twins of similarity: slow, plain NumPy, written from the papers."""

from __future__ import annotations

import numpy as np

# Geometric measures of two sets of rows.


def orthonormal(p: int, seed: int = 0) -> np.ndarray:
    """(p, p) drawn matrix of perpendicular unit columns."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(p, p)))[0]


def centring(n):
    """I - 11'/n."""
    return np.eye(n) - np.ones((n, n)) / n


def slow_cka(x, y):
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), HSIC = tr(KHLH) / (n - 1)^2 (Kornblith et al. 2019, eq. 3 and 4)."""
    n = len(x)
    h = centring(n)

    def hsic(k, m):
        return np.trace(k @ h @ m @ h) / (n - 1) ** 2

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def slow_hsic1(k, m):
    """The unbiased estimator as printed, with sums over elements (Song et al. 2012, eq. 5)."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    sums = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ m) + sums - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))


def slow_cka_debiased(x, y):
    """Nguyen, Raghu and Kornblith 2021, eq. 3, of all samples at once; kernels not centred."""
    k, m = x @ x.T, y @ y.T
    return slow_hsic1(k, m) / np.sqrt(slow_hsic1(k, k) * slow_hsic1(m, m))


def slow_rv(x, y, modified=False):
    """tr(Sxy Syx) / sqrt(tr(Sxx^2) tr(Syy^2)) (Robert and Escoufier 1976); Smilde et al. 2009 for ``modified``."""
    x, y = x - x.mean(0), y - y.mean(0)
    if modified:
        k, m = x @ x.T, y @ y.T
        k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        return (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())
    covariance = np.cov(np.hstack([x, y]).T)
    p = x.shape[1]
    xx, yy, xy = covariance[:p, :p], covariance[p:, p:], covariance[:p, p:]
    return np.trace(xy @ xy.T) / np.sqrt(np.trace(xx @ xx) * np.trace(yy @ yy))


def slow_procrustes(x, y):
    """arccos of <X, Y Q*> over norms, Q* the rotation that minimises ||X - Y Q||, of sides padded to one width."""
    width = max(x.shape[1], y.shape[1])
    x, y = (np.pad(side - side.mean(0), ((0, 0), (0, width - side.shape[1]))) for side in (x, y))
    u, _, vt = np.linalg.svd(y.T @ x)
    cosine = np.sum(x * (y @ u @ vt)) / (np.linalg.norm(x) * np.linalg.norm(y))
    return np.arccos(np.clip(cosine, -1, 1))


def slow_bures(x, y):
    """sqrt(tr K + tr L - 2 tr (K^1/2 L K^1/2)^1/2) of kernels of trace 1, with matrix square roots."""
    h = centring(len(x))
    k, m = h @ x @ x.T @ h, h @ y @ y.T @ h
    k, m = k / np.trace(k), m / np.trace(m)

    def root(a):
        values, vectors = np.linalg.eigh((a + a.T) / 2)
        return vectors @ np.diag(np.sqrt(np.clip(values, 0, None))) @ vectors.T

    return np.sqrt(max(0.0, 2 - 2 * np.trace(root(root(k) @ m @ root(k)))))


def slow_whiten(x, alpha):
    """X (alpha I + (1 - alpha) C^-1/2), C with mean eigenvalue 1 over its directions (Williams et al. 2021, eq. 9)."""
    x = x - x.mean(0)
    values, vectors = np.linalg.eigh(x.T @ x)
    there = values > 1e-10 * values.max()
    mean = values[there].mean()
    inverse = vectors[:, there] @ np.diag(np.sqrt(mean / values[there])) @ vectors[:, there].T
    return alpha * x + (1 - alpha) * x @ inverse


def slow_shape(x, y, alpha):
    """The angle of Procrustes after partial whitening (Williams et al. 2021, eq. 7 to 9)."""
    return slow_procrustes(slow_whiten(x, alpha), slow_whiten(y, alpha))


def slow_correlations(x, y):
    """Canonical correlations: roots of the eigenvalues of Sxx^-1 Sxy Syy^-1 Syx (Hotelling 1936)."""
    x, y = x - x.mean(0), y - y.mean(0)
    m = np.linalg.solve(x.T @ x, x.T @ y) @ np.linalg.solve(y.T @ y, y.T @ x)
    values = np.sort(np.linalg.eigvals(m).real)[::-1][: min(x.shape[1], y.shape[1])]
    return np.sqrt(np.clip(values, 0, 1))


def slow_svcca(x, y, variance=0.99):
    """Principal components to a share of the variance, then the mean correlation (Raghu et al. 2017, section 2)."""
    kept = []
    for side in (x, y):
        side = side - side.mean(0)
        u, s, _ = np.linalg.svd(side, full_matrices=False)
        k = 1
        while (s[:k] ** 2).sum() < variance * (s**2).sum():
            k += 1
        kept.append(u[:, :k] * s[:k])
    return slow_correlations(*kept).mean()


def slow_pwcca(x, y):
    """Weights sum_j |<h_i, x_j>|, h_i = X w_i the canonical variates (Morcos et al. 2018, eq. 2)."""
    x, y = x - x.mean(0), y - y.mean(0)
    m = np.linalg.solve(x.T @ x, x.T @ y) @ np.linalg.solve(y.T @ y, y.T @ x)
    values, directions = np.linalg.eig(m)
    order = np.argsort(-values.real)[: min(x.shape[1], y.shape[1])]
    variates = x @ directions.real[:, order]
    variates /= np.linalg.norm(variates, axis=0)
    weights = np.abs(variates.T @ x).sum(1)
    return (weights * np.sqrt(values.real[order])).sum() / weights.sum()


def slow_match(x, y):
    """The best mean correlation over all one-to-one maps, tried one by one (p at most q)."""
    from itertools import permutations

    c = np.corrcoef(x.T, y.T)[: x.shape[1], x.shape[1] :]
    return max(np.mean([c[i, j] for i, j in enumerate(order)]) for order in permutations(range(c.shape[1]), len(c)))


def slow_semi_match(x, y):
    """Every unit takes its best partner; both ways, averaged (Li et al. 2015)."""
    best_x = [max(np.corrcoef(x[:, i], y[:, j])[0, 1] for j in range(y.shape[1])) for i in range(x.shape[1])]
    best_y = [max(np.corrcoef(x[:, i], y[:, j])[0, 1] for i in range(x.shape[1])) for j in range(y.shape[1])]
    return (np.mean(best_x) + np.mean(best_y)) / 2


def slow_transport(x, y):
    """The linear program of Khosla and Williams 2024 over all transports, by simplex."""
    from scipy.optimize import linprog

    p, q = x.shape[1], y.shape[1]
    c = np.corrcoef(x.T, y.T)[:p, p:]
    rows, columns = np.kron(np.eye(p), np.ones(q)), np.kron(np.ones(p), np.eye(q))
    masses = np.concatenate([np.full(p, 1 / p), np.full(q, 1 / q)])
    return -linprog(-c.ravel(), A_eq=np.vstack([rows, columns]), b_eq=masses).fun


def slow_mutual_knn(x, y, k):
    """Overlap of neighbour lists by cosine of centred rows, stimulus by stimulus (Huh et al. 2024, eq. 11)."""
    x, y = x - x.mean(0), y - y.mean(0)
    shared = 0
    for i in range(len(x)):
        near = []
        for side in (x, y):
            cosine = [
                -np.inf if j == i else side[i] @ side[j] / np.linalg.norm(side[i]) / np.linalg.norm(side[j])
                for j in range(len(side))
            ]
            near.append(set(np.argsort(cosine)[-k:].tolist()))
        shared += len(near[0] & near[1])
    return shared / (k * len(x))


def slow_gw_loss(D, E, plan):
    """sum_ijkl T_ij T_kl (D_ik - E_jl)^2, index by index (Peyre, Cuturi and Solomon 2016, eq. 2)."""
    n, total = len(D), 0.0
    for i in range(n):
        for j in range(n):
            if plan[i, j]:
                total += plan[i, j] * (plan * (D[i][:, None] - E[j]) ** 2).sum()
    return total


def slow_gw_descent(D, E, plan):
    """Conditional gradient: the linear program over all plans, then the exact minimum on the way there."""
    from scipy.optimize import linprog

    n = len(D)
    rows, columns = np.kron(np.eye(n), np.ones(n)), np.kron(np.ones(n), np.eye(n))
    loss = slow_gw_loss(D, E, plan)
    for _ in range(200):
        slope = 2 * np.array([[(plan * (D[i][:, None] - E[j]) ** 2).sum() for j in range(n)] for i in range(n)])
        solved = linprog(slope.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.full(2 * n, 1 / n), method="highs")
        way = solved.x.reshape(n, n) - plan
        fall, bend = (slope * way).sum(), slow_gw_loss(D, E, plan + way) - loss - (slope * way).sum()
        step = 1.0 if bend <= 0 else min(1.0, -fall / (2 * bend))
        if fall >= -1e-13 or step <= 0:
            break
        plan = plan + step * way
        loss = slow_gw_loss(D, E, plan)
    return loss


def slow_gw(D, E, plans=(), n_starts=0, rng=None):
    """The smallest of descents from no match, from ``plans``, and from means of two random matches."""
    n = len(D)
    plans = [np.full((n, n), 1 / n**2), *plans]
    plans += [(np.eye(n)[rng.permutation(n)] + np.eye(n)[rng.permutation(n)]) / (2 * n) for _ in range(n_starts)]
    return np.sqrt(max(0.0, min(slow_gw_descent(D, E, plan) for plan in plans)))


def slow_gw_matches(D, E):
    """The smallest over all one-to-one matches, tried one by one (n! of them), and that match."""
    from itertools import permutations

    far = {order: ((D - E[np.ix_(order, order)]) ** 2).mean() for order in permutations(range(len(D)))}
    best = min(far, key=far.get)
    return np.sqrt(far[best]), list(best)


def slow_held_out_r2(x, y, folds, alphas):
    """1 - held-out squared error / squared distance to training means; penalty by inner folds, all targets together."""
    from references.linear import slow_ridge

    everything = np.arange(len(x))
    scale = ((x - x.mean(0)) ** 2).sum() / x.size

    def error(train, test, alpha):
        w, b = slow_ridge(x[train], y[train], alpha * scale)
        return ((y[test] - x[test] @ w - b) ** 2).sum()

    residual = baseline = 0.0
    for f, test in enumerate(folds):
        train = np.setdiff1d(everything, test)
        inner = [
            sum(error(np.setdiff1d(train, other), other, a) for g, other in enumerate(folds) if g != f) for a in alphas
        ]
        residual += error(train, test, alphas[int(np.argmin(inner))])
        baseline += ((y[test] - y[train].mean(0)) ** 2).sum()
    return 1 - residual / baseline


def slow_correlation_distances(x):
    out = np.zeros((len(x), len(x)))
    for i in range(len(x)):
        for j in range(len(x)):
            if i != j:
                out[i, j] = 1 - np.corrcoef(x[i], x[j])[0, 1]
    return out


def slow_crossnobis(folds, precision=None):
    """Walther et al. 2016, equation 12, mean over ordered pairs of different folds, per unit."""
    count, n, p = folds.shape
    precision = np.eye(p) if precision is None else precision
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            terms = [
                (folds[f, i] - folds[f, j]) @ precision @ (folds[g, i] - folds[g, j]) / p
                for f in range(count)
                for g in range(count)
                if f != g
            ]
            out[i, j] = np.mean(terms)
    return out


def slow_poisson(x, y=None, rate=1.0, weight=0.1):
    """Rates of x with logarithms of y, which is x where nothing is crossed."""
    y = x if y is None else y
    m, logs = (x + rate * weight) / (1 + weight), np.log((y + rate * weight) / (1 + weight))
    n, p = x.shape
    return np.array([[np.sum((m[i] - m[j]) * (logs[i] - logs[j])) / p for j in range(n)] for i in range(n)])


def slow_contrasts(n):
    rows = []
    for i in range(n):
        for j in range(i + 1, n):
            row = np.zeros(n)
            row[i], row[j] = 1, -1
            rows.append(row)
    return np.array(rows)


def slow_whitened_cosine(a, b, n, covariance=None):
    """Diedrichsen et al. 2021: the covariance of the distances written out and inverted; NaN pairs left out of it."""
    contrasts = slow_contrasts(n)
    spread = contrasts @ (np.eye(n) if covariance is None else covariance) @ contrasts.T
    kept = np.isfinite(a) & np.isfinite(b)
    inverse = np.linalg.inv((spread * spread)[np.ix_(kept, kept)])
    a, b = a[kept], b[kept]
    return (a @ inverse @ b) / np.sqrt((a @ inverse @ a) * (b @ inverse @ b))


def slow_tau_a(a, b):
    total = 0.0
    for i in range(len(a)):
        for j in range(i):
            total += np.sign(a[i] - a[j]) * np.sign(b[i] - b[j])
    return total / (len(a) * (len(a) - 1) / 2)


# Maps between spaces, and several people in one.


def slow_rotation(x, y):
    """Schönemann 1966 as a search would check it: the polar factor of x'y by Newton's iteration (square, full rank)."""
    a = x.T @ y
    for _ in range(100):
        a = (a + np.linalg.inv(a).T) / 2
    return a


def slow_hyperalign(people):
    """Haxby et al. 2011, three passes, from rows of equal width that are centred."""
    first, *others = people
    running, done = first.copy(), [first]
    for x in others:
        turned = x @ slow_rotation(x, running)
        done.append(turned)
        running = sum(done) / len(done)
    second = []
    for at, x in enumerate(people):
        rest = [one for place, one in enumerate(done) if place != at]
        second.append(x @ slow_rotation(x, sum(rest) / len(rest)))
    common = sum(second) / len(second)
    return [slow_rotation(x, common) for x in people]


def wide_hyperalign(people):
    """The same three passes, by decompositions of p x p; no one is wider than the first."""

    def turn(x, y):
        u, _, vt = np.linalg.svd(x.T @ y, full_matrices=False)
        return u @ vt

    first, *others = people
    running, done = first.copy(), [first]
    for x in others:
        done.append(x @ turn(x, running))
        running = sum(done) / len(done)
    second = [x @ turn(x, (sum(done) - own) / (len(people) - 1)) for x, own in zip(people, done)]
    common = sum(second) / len(second)
    return [x @ turn(x, common) for x in people]


def slow_srm_loss(people, maps, shared):
    """Chen et al. 2015, eq. 1."""
    return sum(np.sum((x - shared @ w.T) ** 2) for x, w in zip(people, maps))


def slow_srm_likelihood(people, maps, noise, covariance):
    """Log density of the stacked units of every sample under N(0, W C W' + noise), written out, without 2 pi."""
    w = np.vstack(maps)
    spread = w @ covariance @ w.T + np.diag(np.concatenate([np.full(len(m), v) for m, v in zip(maps, noise)]))
    x = np.hstack(people)
    return -0.5 * (len(x) * np.linalg.slogdet(spread)[1] + np.trace(x @ np.linalg.inv(spread) @ x.T))


def slow_maxvar(people, k, alpha):
    """Kettenring 1971: eigenvectors of the sum of ridge projections, each matrix n x n and formed in full."""
    total = np.zeros((len(people[0]),) * 2)
    for x in people:
        a = alpha * np.trace(x.T @ x) / min(x.shape)
        total += x @ np.linalg.solve(x.T @ x + a * np.eye(x.shape[1]), x.T)
    values, vectors = np.linalg.eigh(total)
    return values[::-1][:k], vectors[:, ::-1][:, :k]


# Geometry of one representation.


def slow_gdv(x, y):
    """Schilling et al. 2021, eq. 1 to 3, pair by pair."""
    x = np.asarray(x, dtype=float)
    spread = x.std(0)
    s = 0.5 * (x - x.mean(0)) / np.where(spread == 0, 1, spread)
    names = sorted(set(y))
    rows = {name: [s[i] for i in range(len(s)) if y[i] == name] for name in names}
    within = []
    for mine in rows.values():
        pairs = [np.linalg.norm(a - b) for i, a in enumerate(mine) for j, b in enumerate(mine) if i < j]
        within.append(2 / (len(mine) * (len(mine) - 1)) * sum(pairs))
    between = []
    for i, one in enumerate(names):
        for two in names[i + 1 :]:
            between.append(np.mean([np.linalg.norm(a - b) for a in rows[one] for b in rows[two]]))
    return (np.mean(within) - np.mean(between)) / np.sqrt(x.shape[1])


def slow_dirichlet(x, a):
    """Sum over ordered pairs of nodes."""
    return sum(a[i, j] * np.sum((x[i] - x[j]) ** 2) for i in range(len(x)) for j in range(len(x)))


def slow_two_nn(x, discard):
    """Facco et al. 2017: the line through the origin, neighbours found by sorting all distances."""
    ratio = []
    for i in range(len(x)):
        far = sorted(np.linalg.norm(x[i] - x[j]) for j in range(len(x)) if j != i)
        ratio.append(far[1] / far[0])
    ratio = np.sort(ratio)
    kept = int(np.floor(len(x) * (1 - discard)))
    across = np.log(ratio[:kept])
    up = [-np.log(1 - (i + 1) / len(x)) for i in range(kept)]
    return np.dot(across, up) / np.dot(across, across)


def slow_fisher(x, y):
    """Traces of the scatter between and within classes, sample by sample (Fisher 1936)."""
    within = between = 0.0
    for name in set(y):
        mine = np.array([row for row, label in zip(x, y) if label == name])
        within += sum(np.sum((row - mine.mean(0)) ** 2) for row in mine)
        between += len(mine) * np.sum((mine.mean(0) - x.mean(0)) ** 2)
    return between / within


def slow_mahalanobis(x, y):
    """Mean squared Mahalanobis distance of class means, by the covariance within classes (Ledoit and Wolf 2004)."""
    from sklearn.covariance import LedoitWolf

    names = sorted(set(y))
    means = {name: np.mean([row for row, label in zip(x, y) if label == name], axis=0) for name in names}
    rest = np.array([row - means[label] for row, label in zip(x, y)])
    covariance = LedoitWolf(assume_centered=True).fit(rest).covariance_ * len(x) / (len(x) - len(names))
    inverse = np.linalg.inv(covariance)
    apart = [means[a] - means[b] for i, a in enumerate(names) for b in names[i + 1 :]]
    return np.mean([d @ inverse @ d for d in apart])


def slow_ranks(x):
    """Participation (Gao et al. 2017), entropy (Roy and Vetterli 2007), stable rank, from eigenvalues of x x'."""
    values = np.clip(np.linalg.eigvalsh(x @ x.T), 0, None)
    s = np.sqrt(values[values > 1e-12 * values.max()])
    share = s / s.sum()
    return {
        "participation": values.sum() ** 2 / (values**2).sum(),
        "entropy": np.prod(share**-share),
        "stable": values.sum() / values.max(),
    }


def slow_explained(x, design, folds):
    """Held-out share of variance by scikit-learn's regression, fold by fold; the training mean is the rival."""
    from sklearn.linear_model import LinearRegression

    residual = spread = 0.0
    for test in folds:
        train = np.setdiff1d(np.arange(len(x)), test) if len(folds) > 1 else test
        guess = LinearRegression().fit(design[train], x[train]).predict(design[test])
        residual += ((x[test] - guess) ** 2).sum()
        spread += ((x[test] - x[train].mean(0)) ** 2).sum()
    return 1 - residual / spread


def slow_cone_power(rays, t):
    """Squared norm of the point of the cone nearest to t: all faces tried, t put onto the span of each."""
    from itertools import combinations

    best, found = t @ t, np.zeros_like(t)
    for size in range(1, min(rays.shape) + 1):
        for face in combinations(range(len(rays)), size):
            sides = rays[list(face)].T
            weights = np.linalg.lstsq(sides, t, rcond=None)[0]
            near = sides @ weights
            if (weights >= 0).all() and (t - near) @ (t - near) < best:
                best, found = (t - near) @ (t - near), near
    return found @ found


def slow_separable(x, which, sides):
    """Whether a hyperplane through 0 has every class on its side, by a linear program (Cover 1965, for points)."""
    from scipy.optimize import linprog

    if not x.shape[1]:
        return False
    rows = x * sides[which, None]
    solved = linprog(np.zeros(x.shape[1]), A_ub=-rows, b_ub=-np.ones(len(x)), bounds=(None, None), method="highs")
    return solved.status == 0


def slow_separable_share(x, which, n, trials, rng):
    """Share of random dichotomies (classes on both sides) that n random projections of the units keep separable."""
    k, right = which.max() + 1, 0
    for _ in range(trials):
        sides = np.ones(k)
        while abs(sides.sum()) == k:
            sides = rng.choice([-1.0, 1.0], size=k)
        right += slow_separable(x @ rng.normal(size=(x.shape[1], n)), which, sides)
    return right / trials


def slow_tangent_kernel(model, inputs):
    """Gradients of one output after the other."""
    import torch

    rows = []
    for x in inputs:
        for out in model(x[None])[0]:
            grads = torch.autograd.grad(out, [p for p in model.parameters() if p.requires_grad], retain_graph=True)
            rows.append(np.concatenate([g.detach().numpy().ravel() for g in grads]))
    rows = np.array(rows, dtype=float)
    return rows @ rows.T


# What leaving out one and two of n says of a variance.


def slow_second_differences(statistic, n):
    """Efron and Stein 1981: the jackknife, and the second differences Q that tell its bias, from sets written out.

    ``statistic`` takes the list of those who are in. Returns the jackknife and what it counts too often.
    """
    everyone = list(range(n))

    def without(*out):
        return statistic([i for i in everyone if i not in out])

    first = [without(i) for i in everyone]
    mean = sum(first) / n
    jackknife = (n - 1) / n * sum((value - mean) ** 2 for value in first)
    total = 0.0
    for i in everyone:
        for j in everyone[:i]:
            q = n * without() - (n - 1) * (first[i] + first[j]) + (n - 2) * without(i, j)
            total += q**2
    return jackknife, (n - 3) / (n * (n - 1) * (n - 2)) * total


def slow_skewed_t(t, moves):
    """Hall 1992, for a mean: ((1 + 2 a t)^3 - 1) / (6 a) + a, a a sixth of the skewness of the mean."""
    n = len(moves)
    mean = sum(moves) / n
    second, third = (sum((one - mean) ** power for one in moves) / n for power in (2, 3))
    a = third / second**1.5 / n**0.5 / 6
    return ((1 + 2 * a * t) ** 3 - 1) / (6 * a) + a


def slow_variance(statistic, n, most):
    """The jackknife less what pairs do twice: (n - 3) / (n - 1) B, and a share ``most`` of the jackknife at most."""
    jackknife, twice = slow_second_differences(statistic, n)
    return jackknife - min((n - 3) / (n - 1) * twice, most * jackknife)


# Scores and ceilings of one resample of stimuli and people.


def slow_spearman_sample(people, models, stimuli, drawn):
    """Nili et al. 2014: every copy of a stimulus and of a person written out, ranks of mean ranks for the ceilings.

    ``people`` (s, n, n), ``models`` (m, n, n), NaN where nothing was measured; ``stimuli``, ``drawn``: who is in, with
    repeats. Returns for every person scores (models), the lower and the upper ceiling; NaN for who was not drawn.
    """
    from scipy.stats import rankdata

    missing = np.isnan(people).any(0) | np.isnan(models).any(0)
    pairs = [(i, j) for at, i in enumerate(stimuli) for j in stimuli[:at] if i != j and not missing[i, j]]

    def ranks(matrix):
        return rankdata([matrix[i, j] for i, j in pairs])

    def correlation(one, two):
        one, two = one - one.mean(), two - two.mean()
        return one @ two / np.sqrt((one @ one) * (two @ two)) if one.any() and two.any() else np.nan

    own, theirs = [ranks(one) for one in people], [ranks(one) for one in models]
    found = np.full((len(models) + 2, len(people)), np.nan)
    for s in range(len(people)):
        found[:-2, s] = [correlation(model, own[s]) for model in theirs]
        if s in drawn:
            others = [own[t] for t in drawn if t != s]
            if others:
                found[-2, s] = correlation(own[s], rankdata(sum(others)))
            found[-1, s] = correlation(own[s], rankdata(sum(own[t] for t in drawn)))
    return found
