"""Plots with a line or a distribution: scores over time, generalization across times, nulls, folds."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import xarray as xr

from ..compute.nulls import p_value, t_interval
from .matrices import FEW, label_ends
from .style import Theme, colour_bar, colours, diverging, dress, frame, new_axes, note, styled, turned, upright
from .summary import as_over_time, chance_of, groups, null_of, score_name, times_of, unit_words
from .wording import BOUNDS, count, number, p_text, score_label, told_apart

DOTTED = (0, (1, 2))


@styled
def time_course(
    result: xr.Dataset,
    by: str = "roi",
    ax: Any = None,
    *,
    theme: Any = "light",
    compact: bool = False,
    onset: float = 0.0,
) -> Any:
    """Score over seconds: a line with its interval over folds, onset, chance, null and significant spans.

    Parameters
    ----------
    result : Dataset whose score has a dimension ``time`` (seconds), or one unit per moment with ``time`` on unit.
    by : unit coordinate that names areas; at most four are drawn, the ones that reach highest.
    onset : seconds at which the stimulus began, a thin rule where it lies in the picture.

    Returns
    -------
    The axes. Lines have the gid ``score:<area>``; significant spans (p_max < .05, else p_fdr < .05, of a single
    unit) are bars above the time axis with the gid ``significant``.

    Raises
    ------
    ValueError : the score has no time.
    """
    if times_of(result) is None:
        raise ValueError(f"score has the dimensions {result['score'].dims} and no time, so there is no course to draw.")
    result = as_over_time(result)
    times = np.asarray(times_of(result), dtype=float)
    if ax is None:
        ax = new_axes(7.5, 3.4, theme)
    found = groups(result, by)
    curves = {name: _over_units(result["score"], units) for name, units in found.items()}
    names = sorted(curves, key=lambda name: -np.nanmax(curves[name], initial=-np.inf))[:FEW]
    names = [name for name in found if name in names]
    # Of all areas, drawn or not, so that an area has one colour in every such picture.
    palette = colours(found if len(found) <= len(theme.categories) else names, theme)
    for name in names:
        low, high = _fold_band(result, found[name])
        if np.isfinite(low).any():
            ax.fill_between(times, low, high, color=palette[name], alpha=0.22, lw=0, gid="interval")
        marker = "o" if len(times) <= 25 else ""
        ax.plot(times, curves[name], color=palette[name], lw=1.9, marker=marker, ms=3.5, gid=f"score:{name}")
    if "null" in result.data_vars and "time_test" not in result["null"].dims:
        null = null_of(result, np.concatenate([found[name] for name in names]))
        ax.fill_between(
            times, *np.nanquantile(null, [0.025, 0.975], axis=0), color=theme.null, lw=0, zorder=0.5, gid="null"
        )
    chance = chance_of(result)
    if chance is not None:
        ax.axhline(chance, color=theme.muted, ls=DOTTED, lw=1.3, gid="chance")
        note(ax, "chance", (1, chance), "side", (4, 0), fontsize=8.5, color=theme.muted)
    if times.min() <= onset <= times.max():
        ax.axvline(onset, color=theme.muted, lw=0.9, gid="onset")
        note(ax, "onset", (onset, 1), "edge", (3, -1), va="top", fontsize=8.5, color=theme.muted)
    ax.margins(x=0.02)
    ax.set_xlabel("time from onset (s)")
    label = score_label(score_name(result), of=unit_words(result)[1] if result.sizes["unit"] > 1 else None)
    ax.set_ylabel(fill(label, upright(ax, label)))
    dress(ax, theme, grid="y")
    if len(names) > 1:
        label_ends(ax, {name: curves[name][-1] for name in names}, palette, () if chance is None else (chance,))
    else:
        _significance_bar(ax, result, times, theme, compact)
    return ax


def _over_units(values: xr.DataArray, units: np.ndarray) -> np.ndarray:
    """Mean over units at each time, (time,); of a map across times, its diagonal."""
    taken = values.transpose("unit", "time", ...).values[units]
    if taken.ndim > 2:
        taken = np.stack([np.diagonal(one) for one in taken])
    finite = np.isfinite(taken)
    n = finite.sum(axis=0)
    return np.where(finite, taken, 0).sum(axis=0) / np.where(n == 0, np.nan, n)


def _fold_band(result: xr.Dataset, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if "score_fold" not in result.data_vars:
        missing = np.full(result.sizes["time"], np.nan)
        return missing, missing
    folds = np.array([_over_units(one, units) for one in result["score_fold"].transpose("fold", ...)])
    low, high = t_interval(folds)
    middle = _over_units(result["score"], units)
    least, most = BOUNDS.get(score_name(result), (-np.inf, np.inf))
    return np.maximum(middle - (high - low) / 2, least), np.minimum(middle + (high - low) / 2, most)


def _significance_bar(ax: Any, result: xr.Dataset, times: np.ndarray, theme: Theme, compact: bool) -> None:
    variable = next((name for name in ("p_max", "p_fdr") if name in result.data_vars), None)
    if variable is None or result.sizes["unit"] != 1 or result[variable].dims != ("unit", "time"):
        return
    good = result[variable].values[0] < 0.05
    if not good.any():
        return
    low, high = ax.get_ylim()
    ax.set_ylim(low - 0.16 * (high - low), high)
    half = np.diff(times).mean() / 2 if len(times) > 1 else 0.5
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(int)))
    for start, stop in zip(edges[::2], edges[1::2]):
        span = [times[start] - half, times[stop - 1] + half]
        look = {"color": theme.ink, "lw": 4, "solid_capstyle": "butt", "gid": "significant"}
        ax.plot(span, [0.025, 0.025], transform=ax.get_xaxis_transform(), **look)
    long = {"p_max": "corrected by the maximum over time", "p_fdr": "false discovery rate"}
    how = {"p_max": "max. corrected", "p_fdr": "FDR"}[variable] if compact else long[variable]
    note(
        ax,
        f"p < .05, {how}",
        (times[edges[0]] - half, 0.04),
        "edge",
        (0, 2),
        va="bottom",
        fontsize=8.5,
        color=theme.muted,
    )


@styled
def generalization(result: xr.Dataset, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """Trained at one time, tested at another: a square map centred on chance, with the diagonal drawn.

    Parameters
    ----------
    result : Dataset whose score has the dimensions ``time`` (training) and ``time_test``, both in seconds.

    Returns
    -------
    The axes; ``ax.images[0]`` holds the mean over units, training time upwards.

    Raises
    ------
    ValueError : the score lacks one of the two dimensions.
    """
    if not {"time", "time_test"} <= set(result["score"].dims):
        raise ValueError(f"score has the dimensions {result['score'].dims}; generalization needs time and time_test.")
    values = result["score"].mean("unit").transpose("time", "time_test").values
    train, test = (np.asarray(result[name].values, dtype=float) for name in ("time", "time_test"))
    chance = chance_of(result) or 0.0
    reach = float(np.nanmax(np.abs(values - chance), initial=0.0)) or 0.1
    if ax is None:
        ax = new_axes(5.4, 4.4, theme)
    image = ax.imshow(
        values,
        origin="lower",
        extent=(*_edges(test), *_edges(train)),
        cmap=diverging(theme),
        vmin=chance - reach,
        vmax=chance + reach,
        interpolation="nearest",
    )
    ends = [max(train.min(), test.min()), min(train.max(), test.max())]
    ax.plot(ends, ends, color=theme.ink, lw=0.9, gid="diagonal")
    ax.axvline(0, color=theme.muted, lw=0.8)
    ax.axhline(0, color=theme.muted, lw=0.8)
    ax.set(xlim=_edges(test), ylim=_edges(train))
    ax.set_xlabel("tested at (s from onset)")
    ax.set_ylabel("trained at (s from onset)")
    colour_bar(ax, image, f"{score_label(score_name(result))} (chance {chance:.3g})", theme, compact)
    return frame(ax, theme)


def _edges(times: np.ndarray) -> tuple[float, float]:
    half = (times[-1] - times[0]) / max(len(times) - 1, 1) / 2
    return float(times[0] - half), float(times[-1] + half)


@styled
def null(result: xr.Dataset, ax: Any = None, *, units: Any = None, theme: Any = "light", compact: bool = False) -> Any:
    """Histogram of the score under permutation, its middle 95 % shaded, with what was found as a line.

    Parameters
    ----------
    result : Dataset with ``null(permutation, unit)``.
    units : positions of the units whose mean is taken; None for all.

    Returns
    -------
    The axes; the line of the found score has the gid ``found``, the shaded span the gid ``band``.

    Raises
    ------
    ValueError : the result has no null.
    """
    if "null" not in result.data_vars:
        raise ValueError("this result has no null: repeat cross_validate with permutations=1000.")
    values = null_of(result, units)
    score = result["score"].values if units is None else result["score"].values[units]
    found = float(np.nanmean(score))
    if ax is None:
        ax = new_axes(7.5, 2.7, theme)
    p = float(p_value(np.asarray(found), values))
    draw_null(ax, values, found, p, theme, chance=chance_of(result))
    words = f"{score_label(score_name(result))} with labels permuted"
    ax.set_xlabel(fill(words, 34) if compact else f"{words} ({count(len(values), 'permutation')})")
    ax.set_ylabel("permutations")
    return dress(ax, theme)


def draw_null(ax: Any, null: np.ndarray, found: float, p: float, theme: Theme, *, chance: float | None = None) -> None:
    """Histogram of draws, its middle 95 % shaded (``band``), what was found as a line (``found``) with its p value."""
    ax.axvspan(*np.quantile(null, [0.025, 0.975]), color=theme.null, lw=0, zorder=0, gid="band")
    ax.hist(null, bins=_bins(null), color=theme.muted, alpha=0.8, lw=0, zorder=2)
    ax.axvline(found, color=theme.accent, lw=2.4, zorder=3, gid="found")
    if chance is not None:
        ax.axvline(chance, color=theme.ink, ls=DOTTED, lw=1.3, zorder=2.5, gid="chance")
    ax.margins(x=0.03)
    shift, side = ((-6, -2), "right") if found > sum(ax.get_xlim()) / 2 else ((6, -2), "left")
    words = f"found {number(found)}".replace("-", "−") + f"\n{p_text(p)}"
    clear = {"facecolor": theme.paper, "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
    note(ax, words, (found, 1), "edge", shift, ha=side, va="top", color=theme.ink, bbox=clear)


def _bins(values: np.ndarray) -> np.ndarray:
    """Edges of the bins: between the possible values of a score that takes few, else even ones."""
    steps = np.unique(np.round(values, 10))
    if len(steps) > 1:
        ratio = np.diff(steps) / np.diff(steps).min()
        if np.abs(ratio - np.round(ratio)).max() < 1e-3 and ratio.sum() <= 60:
            n = round(ratio.sum())
            step = (steps[-1] - steps[0]) / n
            return steps[0] + step * (np.arange(n + 2) - 0.5)
    return np.histogram_bin_edges(values, bins=int(np.clip(np.sqrt(2 * len(values)), 6, 40)))


@styled
def null_p(p: Any, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """Quantiles of p values against the uniform distribution, with the pointwise 95 % band of independent tests.

    Under the null the points follow the diagonal; points under it are tests with more signal than chance gives. The
    k-th smallest of n uniform values follows Beta(k, n - k + 1).

    Parameters
    ----------
    p : p values, an array or a result with ``p``.

    Returns
    -------
    The axes; the points are a line with the gid ``p``.
    """
    from scipy import stats

    if isinstance(p, xr.Dataset):
        if "p" not in p.data_vars:
            raise ValueError("this result has no p: repeat cross_validate with permutations=1000.")
        p = p["p"].values
    values = np.sort(np.asarray(p, dtype=float).ravel())
    values = values[np.isfinite(values)]
    n = len(values)
    rank = np.arange(1, n + 1)
    if ax is None:
        ax = new_axes(4.2, 4.0, theme)
    band = [stats.beta.ppf(at, rank, n - rank + 1) for at in (0.025, 0.975)]
    ax.fill_between(rank / (n + 1), *band, color=theme.null, lw=0, gid="band")
    ax.plot([0, 1], [0, 1], color=theme.muted, lw=0.9, ls=DOTTED)
    thin = np.unique(np.linspace(0, n - 1, min(n, 200)).astype(int))
    ax.plot((rank / (n + 1))[thin], values[thin], "o", ms=3.5, color=theme.accent, mew=0, gid="p")
    ax.set(xlim=(0, 1), ylim=(-0.01, 1), aspect="equal")
    ax.set_xlabel("expected p under the null")
    ax.set_ylabel(f"p found ({n:,} tests)")
    return dress(ax, theme)


@styled
def folds(result: xr.Dataset, ax: Any = None, *, theme: Any = "light", compact: bool = False) -> Any:
    """The score of every held-out group: a dot each, their mean and its interval, chance.

    Parameters
    ----------
    result : Dataset with ``score_fold(fold, unit)``; the mean over units is drawn.

    Returns
    -------
    The axes; the dots are a line with the gid ``fold``.

    Raises
    ------
    ValueError : there is no ``score_fold``.
    """
    if "score_fold" not in result.data_vars:
        raise ValueError("this result has no score_fold(fold, unit).")
    values = result["score_fold"].mean("unit", skipna=True).values
    at = np.arange(len(values))
    names = (
        np.asarray(result["fold"].values).astype(str).tolist() if "fold" in result.coords else [str(n + 1) for n in at]
    )
    if ax is None:
        ax = new_axes(7.5, 2.6, theme)
    least, most = BOUNDS.get(score_name(result), (-np.inf, np.inf))
    low, high = (float(np.clip(end, least, most)) for end in t_interval(values))
    if np.isfinite(low):
        ax.axhspan(low, high, color=theme.accent, alpha=0.18, lw=0, zorder=0.5, gid="interval")
    mean = float(np.nanmean(values))
    ax.axhline(mean, color=theme.accent, lw=1.4, zorder=1)
    ax.plot(at, values, "o", color=theme.accent, ms=6.5, mec=theme.paper, mew=0.8, zorder=3, gid="fold")
    ax.margins(x=0.04, y=0.12)
    chance = chance_of(result)
    if chance is not None:
        ax.axhline(chance, color=theme.muted, ls=DOTTED, lw=1.3, gid="chance")
        note(ax, "chance", (1, chance), "side", (4, 0), fontsize=8.5, color=theme.muted)
    names = told_apart(names, 10 if compact else 16)
    step = max(1, int(np.ceil(len(names) / (8 if compact else 20))))
    ax.set_xticks(at[::step], names[::step], parse_math=False, **turned(names[::step], 36 if compact else 80))
    ax.set_xlabel("held-out group")
    ax.set_ylabel(score_label(score_name(result)))
    dress(ax, theme, grid="y")
    label_ends(ax, {"mean": mean}, {"mean": theme.accent}, () if chance is None else (chance,))
    return ax
