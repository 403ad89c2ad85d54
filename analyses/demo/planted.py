"""What was planted and what is found: one function per question, each with the error of its own figure.

Each question is a function that returns rows ``(name, planted, found, margin)``. ``margin(tail)`` is the half width of
the interval that misses with probability ``2 * tail`` when the tool is right; its standard error comes from the data.
"""

import numpy as np
from scipy import stats
from scipy.optimize import curve_fit
from sklearn.base import BaseEstimator, RegressorMixin

from neurodecode.evaluation import repeat_variances
from neurodecode.linear import Delays, Ridge
from neurodecode.representation import average_repeats, match
from neurodecode.sources import simulated


class Oracle(RegressorMixin, BaseEstimator):
    """Predicts the planted responses themselves: no encoder of this brain can do better."""

    def fit(self, X, y):
        return self

    def predict(self, X):
        return X


def by_spread(values):
    """Margin of a mean of independent values: t quantile times their standard error."""
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return lambda tail: stats.t.isf(tail, len(values) - 1) * error


def by_error(error):
    """Margin of an estimate whose standard error is known well."""
    return lambda tail: stats.norm.isf(tail) * error


def by_count(n, share):
    """Margin of a share of ``n`` independent trials that each succeed with probability ``share``."""
    return lambda tail: stats.binom.isf(tail, n, share) / n - share


def area(result, name, variable="score"):
    """Values of the units of one area that have one."""
    values = result[variable].values[result["roi"].values == name]
    return values[np.isfinite(values)]


def ceilings(brain, oracle):
    """The ceiling of each area, from repeats alone and from the planted responses themselves.

    Variances are averaged over the units of an area before they are divided: the mean of the units' own ceilings is
    biased by a few thousandths, as any ratio of estimates is. Its error is a jackknife over units.
    """
    split, rows = repeat_variances(brain), []
    noise_share = 1 / brain.attrs["planted"]["n_repeats"]
    for name, value in brain.attrs["planted"]["ceiling"].items():
        if not value:
            continue
        units = (brain["roi"].values == name) & ~brain["planted_dead"].values
        signal, noise = split["signal"].values[units], split["noise"].values[units] * noise_share
        found = np.sqrt(signal.sum() / (signal + noise).sum())
        without = np.sqrt((signal.sum() - signal) / ((signal + noise).sum() - signal - noise))
        reached = area(oracle, name)
        rows.append((f"{name}: ceiling from repeats, r", value, found, by_spread((len(signal) - 1) * without)))
        rows.append((f"{name}: r of the planted responses", value, reached.mean(), by_spread(reached)))
    return rows


def null_area(result):
    """Where nothing answers, fold scores average 0 and one p value in twenty is .05 or less."""
    p = area(result, "null area", "p")
    score = result["score_fold"].values[:, result["roi"].values == "null area"].mean(0)
    return [
        ("null area: share of p <= .05", 0.05, (p <= 0.05).mean(), by_count(len(p), 0.05)),
        ("null area: r, mean of folds", 0.0, score.mean(), by_spread(score)),
    ]


def null_decoding(result, world):
    """A classifier of noise is right as often as chance."""
    chance = 1 / len(np.unique(world.category))
    found = float(result["score"].item())
    return [("null area: category, accuracy", chance, found, by_count(len(world), chance))]


def dead_units(brain, result):
    """Units that recorded a constant."""
    planted = len(brain.attrs["planted"]["dead_units"])
    return [("dead units listed", planted, len(result.attrs["degenerate"]), by_error(0.0))]


def selectivity(world, brain, truth):
    """Response to scenes with the preferred kind minus the others, in sd of the noise-free response."""
    mean, rows = match(truth, average_repeats(brain))[1], []
    noise = repeat_variances(brain)["noise"].values
    for kind in ("face", "house"):
        units = (brain["roi"].values == f"{kind} area") & ~brain["planted_dead"].values
        present = world.present(kind)
        planted = simulated.kind_contrast(truth[:, units], present).mean()
        found = simulated.kind_contrast(mean[:, units], present).mean()
        scenes = 1 / present.sum() + 1 / (~present).sum()
        error = np.sqrt(noise[units].mean() / brain.attrs["planted"]["n_repeats"] / units.sum() * scenes)
        rows.append((f"{kind} area: {kind}s minus others (sd)", planted, found, by_error(error)))
    return rows


def fields(world, Y, step=0.25, sizes=(0.25, 0.35, 0.5, 0.7)):
    """Centres of receptive fields in V1: the Gaussian pool of Gabor energy that fits best, refined by a parabola."""
    V1 = match(world.attributes(), Y[:, (Y["roi"].values == "V1") & ~Y["planted_dead"].values])[1]
    maps = simulated.energy(world.pictures)
    y = V1.values - V1.values.mean(0)
    axis = np.arange(-3.5, 3.5 + step / 2, step)
    x0, y0 = (grid.ravel() for grid in np.meshgrid(axis, axis))
    explained = []
    for size in sizes:
        pooled = simulated.pooled(maps, x0, y0, np.full(len(x0), size))
        basis = np.linalg.qr((pooled - pooled.mean(0)).transpose(2, 0, 1))[0]
        explained.append(((basis.transpose(0, 2, 1) @ y) ** 2).sum(1).reshape(len(axis), len(axis), -1))
    fit, unit = np.stack(explained), np.arange(y.shape[1])
    size, row, column = np.unravel_index(fit.reshape(-1, len(unit)).argmax(0), fit.shape[:3])
    row, column = np.clip(row, 1, len(axis) - 2), np.clip(column, 1, len(axis) - 2)
    across = vertex(*(fit[size, row, column + shift, unit] for shift in (-1, 0, 1)))
    up = vertex(*(fit[size, row + shift, column, unit] for shift in (-1, 0, 1)))
    side = np.where(V1["hemi"].values == "left", 1, -1)
    rows = []
    for name, found, planted in (
        ("across", side * (axis[column] + step * across), side * V1["planted_x"].values),
        ("up", axis[row] + step * up, V1["planted_y"].values),
    ):
        rows.append((f"V1: receptive fields, degrees {name}", planted.mean(), found.mean(), by_spread(found - planted)))
    return rows


def vertex(before, here, after):
    """Where a parabola through three neighbours has its top, in steps from the middle one; at most half a step."""
    bend = before - 2 * here + after
    return np.clip(0.5 * (before - after) / np.where(bend < 0, bend, -np.inf), -0.5, 0.5)


def lag(world, seed, n_runs=12):
    """Time of the haemodynamic peak: delayed onsets, least squares, the canonical shape that fits best, run by run.

    What scenes evoke beyond their mean is left over, and shared by all units: runs, not units, give the error.
    """
    bold = simulated.person(
        world[:192], areas=["V1"], ceiling=0.4, n_repeats=2, n_runs=n_runs, random_state=seed, time_series=True
    )
    onsets = simulated.at_onsets(world.attributes()[:, :1].copy(data=np.ones((len(world), 1))), bold)
    seconds = np.arange(0, 40, bold.attrs["tr"])
    delayed, mean = Delays(seconds).fit_transform(onsets).values, bold.values.mean(1, keepdims=True)
    peaks = np.arange(3.5, 7.501, 0.01)
    shapes = np.stack([simulated.hrf(seconds, peak) for peak in peaks])
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)
    found = []
    for run in np.unique(bold["run"].values):
        here = bold["run"].values == run
        course = Ridge(alphas=0.0).fit(without_drift(delayed[here]), without_drift(mean[here])).coef_
        found.append(peaks[(shapes @ course).argmax()])
    return [("haemodynamic peak (s)", bold.attrs["planted"]["peak"], np.mean(found), by_spread(found))]


def without_drift(values, degree=4):
    """Residuals of slow polynomials of one run."""
    slow = np.polynomial.legendre.legvander(np.linspace(-1, 1, len(values)), degree)
    return values - slow @ np.linalg.lstsq(slow, values, rcond=None)[0]


def latencies(world, seed, resamples=200):
    """Latency of the wave of every scene and of faces: regression ERPs, a Gaussian fitted at the largest channel."""
    epochs = simulated.eeg(world, n_repeats=4, random_state=seed)
    place = {name: row for row, name in enumerate(world.stimulus.tolist())}
    shown = [place[name] for name in epochs["stimulus"].values.tolist()]
    kinds = [world.present("face")[shown], world.present("house")[shown]]
    design = np.stack([np.ones(len(shown)), *kinds], 1).astype(float)
    solve = np.linalg.pinv(design)
    time, rng, rows = epochs["time"].values, np.random.default_rng(seed), []
    planted = {part["name"]: part["latency"] for part in epochs.attrs["planted"]["components"]}
    for row, (name, start, stop) in enumerate((("P1", 0.05, 0.18), ("N170", 0.10, 0.25))):
        window = (time >= start) & (time <= stop)
        values = epochs.values[:, :, window]
        waves = np.tensordot(solve[row], values, 1)
        channel = np.abs(waves).max(1).argmax()
        found = latency(time[window], waves[channel])
        draws = []
        for _ in range(resamples):
            again = rng.integers(len(shown), size=len(shown))
            draws.append(latency(time[window], np.linalg.pinv(design[again])[row] @ values[again, channel]))
        rows.append((f"{name} latency (s)", planted[name], found, by_error(np.std(draws, ddof=1))))
    return rows


def latency(time, wave):
    """Centre of the Gaussian that fits a wave best."""

    def gaussian(t, height, centre, width):
        return height * np.exp(-((t - centre) ** 2) / (2 * width**2))

    top = np.abs(wave).argmax()
    start, low, high = (wave[top], time[top], 0.02), (-np.inf, time[0], 0.005), (np.inf, time[-1], 0.06)
    return curve_fit(gaussian, time, wave, start, bounds=(low, high), x_scale=(abs(wave[top]), 0.01, 0.01))[0][1]


def people(result, planted):
    """Mean over persons of how well the planted responses predict them; persons are the units of the error."""
    scores = result["score"].values[:, 0]
    return [(f"face area of {len(scores)} people: planted responses", planted, scores.mean(), by_spread(scores))]
