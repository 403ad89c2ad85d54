"""Pictures of dissimilarity matrices: one or several, with the blocks of their categories drawn and named."""

from __future__ import annotations

from functools import partial
from textwrap import wrap
from typing import Any

import numpy as np
import xarray as xr

from .markup import Html
from .pictures import Picture
from .style import Theme, colour_bar, frame, new_axes, sequential, styled, turned
from .wording import count, listed, number, told_apart

METRICS = {
    "correlation": "1 − Pearson r",
    "1 - correlation": "1 − Pearson r",
    "1 - correlation, cross-validated": "1 − Pearson r, cross-validated",
    "cosine": "1 − cosine",
    "euclidean": "Euclidean distance",
    "sqeuclidean": "squared Euclidean distance",
    "mahalanobis": "Mahalanobis distance, squared, per unit",
    "crossnobis": "crossnobis distance, per unit",
    "poisson": "divergence of counts, per unit",
    "poisson_crossed": "cross-validated divergence of counts, per unit",
}
MOST_BLOCKS = 24
FEW_BLOCKS = 8
COLOURS = 240  # and those of the paper and of pairs without a value: a palette of one byte holds them
MOST_NAMED = 24
PHONE = 3.4


def rdms_of(result: Any) -> xr.DataArray:
    """The matrices of a DataArray or of the variable ``rdm`` of a Dataset; any leading dimension comes first.

    Raises
    ------
    ValueError : there is none, or more than one dimension stands before the two of stimuli.
    """
    values = result["rdm"] if isinstance(result, xr.Dataset) and "rdm" in result else result
    if not isinstance(values, xr.DataArray) or {"stimulus", "stimulus_other"} - set(values.dims):
        raise ValueError("no dissimilarities here: expected rdm(stimulus, stimulus_other), as similarity.rdm gives it.")
    values = values.transpose(..., "stimulus", "stimulus_other")
    if values.ndim > 3:
        raise ValueError(f"the matrices have the dimensions {values.dims}: at most one may stand before the stimuli.")
    return values


def blocks_of(values: xr.DataArray, by: str | None) -> tuple[np.ndarray, list[tuple[str, int]]]:
    """The order of the stimuli in which those of one category stand together, and the size of every block.

    Categories come in the order in which they first appear, or counted up where they are numbers.

    Examples
    --------
    >>> from neurodecode.similarity import as_rdm
    >>> R = as_rdm([1, 2, 3], stimulus=["cat", "car", "dog"], coords={"kind": ["animal", "thing", "animal"]})
    >>> blocks_of(R, "kind")[0].tolist(), blocks_of(R, "kind")[1]
    ([0, 2, 1], [('animal', 2), ('thing', 1)])
    """
    n = values.sizes["stimulus"]
    if by is None:
        return np.arange(n), []
    if by not in values.coords or values[by].dims != ("stimulus",):
        known = sorted(str(name) for name in values.coords if values[name].dims == ("stimulus",))
        raise ValueError(f"the stimuli have no coordinate {by!r}; they have {listed(known)}.")
    labels = values[by].values
    names = np.unique(labels) if labels.dtype.kind in "iuf" else np.array(list(dict.fromkeys(labels.tolist())))
    codes = np.array([int(np.flatnonzero(names == label)[0]) for label in labels])
    return np.argsort(codes, kind="stable"), [(str(name), int((codes == at).sum())) for at, name in enumerate(names)]


def percentiles(matrix: np.ndarray) -> np.ndarray:
    """Rank of every dissimilarity among all pairs, 0 to 100; the diagonal stays empty, as do pairs without a value.

    Examples
    --------
    >>> percentiles(np.array([[0, 1.0, 5], [1, 0, 2], [5, 2, 0]]))[0].tolist()
    [nan, 0.0, 100.0]
    """
    from scipy.stats import rankdata

    out = np.full(matrix.shape, np.nan)
    at = np.triu_indices(len(matrix), 1)
    pairs = matrix[at]
    known = np.isfinite(pairs)
    ranks = np.full(len(pairs), np.nan)
    ranks[known] = 100 * (rankdata(pairs[known]) - 1) / max(known.sum() - 1, 1)
    out[at] = ranks
    return np.fmax(out, out.T)


@styled
def rdm(
    result: Any,
    by: str | None = None,
    ax: Any = None,
    *,
    theme: Any = "light",
    compact: bool = False,
    percentile: bool = False,
    columns: int | None = None,
) -> Any:
    """Dissimilarity matrices with category blocks drawn and named.

    Parameters
    ----------
    result : matrix ([any,] stimulus, stimulus_other), or a Dataset with the variable ``rdm``. Several are drawn side by
        side on one scale, each named by the coordinate of their dimension.
    by : coordinate of the stimuli that makes the blocks; stimuli are sorted by it.
    percentile : colour is the rank among the pairs of the matrix, 0 to 100, so that matrices of different measures can
        be set beside each other.
    columns : matrices in a row.

    Returns
    -------
    The axes. Every panel (``ax.child_axes`` where there are several) has the matrix, sorted, as ``images[0]``; lines
    between blocks have the gid ``block``.

    Raises
    ------
    ValueError : no dissimilarities, or no such coordinate.

    Examples
    --------
    >>> from neurodecode.similarity import as_rdm
    >>> R = as_rdm([1, 2, 3], stimulus=["cat", "car", "dog"], coords={"kind": ["animal", "thing", "animal"]})
    >>> rdm(R, by="kind").images[0].get_array()[0].tolist()
    [None, 2.0, 1.0]
    """
    values = rdms_of(result)
    order, blocks = blocks_of(values, by)
    panels = _panels(values, order, percentile)
    if not any(np.isfinite(one).any() for one in panels.values()):
        raise ValueError("no pair of stimuli has a dissimilarity, so there is nothing to draw.")
    if ax is None:
        ax = new_axes(*_size(len(panels), _letters(values, blocks, compact), columns, compact), theme)
    low, high = (0.0, 100.0) if percentile else _limits(list(panels.values()))
    look = {
        "cmap": sequential().resampled(COLOURS),
        "vmin": low,
        "vmax": high,
        "aspect": "equal",
        "interpolation": "none",
    }
    if len(panels) == 1:
        image = _paint(ax, next(iter(panels.values())), blocks, look, theme, compact)
        if not blocks and len(order) <= MOST_NAMED:
            names = told_apart(values["stimulus"].values, 12 if compact else 20)
            small = {"parse_math": False, "fontsize": 7.5 if compact or len(order) > 16 else 8.5}
            ax.set_yticks(range(len(order)), names, **small)
            ax.set_xticks(range(len(order)), names, **turned(names, 18 if compact else 40), **small)
    else:
        ax.set_axis_off()
        across = _columns(len(panels), columns, compact)
        wide, tall = 1 / across, 1 / -(-len(panels) // across)
        titles = told_apart(panels, 17 if compact else 28)
        for at, matrix in enumerate(panels.values()):
            row, column = divmod(at, across)
            inner = ax.inset_axes([(column + 0.02) * wide, 1 - (row + 1) * tall, 0.96 * wide, 0.88 * tall])
            image = _paint(inner, matrix, blocks, look, theme, compact, named=column == 0)
            inner.set_title(titles[at], fontsize=8 if compact else 9, color=theme.ink, pad=4)
    colour_bar(ax, image, _label(values, percentile), theme, compact)
    return ax


def _panels(values: xr.DataArray, order: np.ndarray, percentile: bool) -> dict[str, np.ndarray]:
    """Sorted matrices by name, without their diagonal."""
    stack = values.values if values.ndim == 3 else values.values[None]
    front = str(values.dims[0])
    known = values.ndim == 3 and front in values.coords
    names = values[front].values.astype(str).tolist() if known else [str(at + 1) for at in range(len(stack))]
    out = {}
    for name, matrix in zip(names, stack):
        one = np.array(matrix, dtype=float)[np.ix_(order, order)]
        np.fill_diagonal(one, np.nan)
        out[name] = percentiles(one) if percentile else one
    return out


def _limits(matrices: list[np.ndarray]) -> tuple[float, float]:
    """From the 1st to the 99th percentile of all pairs, so that one odd pair does not take all of the colours."""
    pairs = np.concatenate([one[np.isfinite(one)] for one in matrices])
    low, high = np.percentile(pairs, [1, 99])
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _label(values: xr.DataArray, percentile: bool) -> str:
    metric = str(values.attrs.get("metric") or "dissimilarity")
    words = METRICS.get(metric, metric.replace("_", " "))
    return f"percentile of {words}" if percentile else words


def _paint(
    ax: Any,
    matrix: np.ndarray,
    blocks: list[tuple[str, int]],
    look: dict[str, Any],
    theme: Theme,
    compact: bool,
    named: bool = True,
) -> Any:
    """One matrix, with lines between its blocks and their names at the left; pairs without a value are grey."""
    absent = missing_of(matrix)
    look = look | {"cmap": look["cmap"].with_extremes(bad=theme.null if absent else theme.paper)}
    image = ax.imshow(np.ma.masked_invalid(matrix), **look)
    ends = np.cumsum([0, *(n for _, n in blocks)])
    for end in ends[1:-1]:
        for rule in (ax.axhline, ax.axvline):
            rule(end - 0.5, color=theme.paper, lw=1.2 if len(blocks) <= MOST_BLOCKS else 0.5, gid="block")
    ax.set_xticks([])
    ax.set_yticks([])
    if named and blocks and len(blocks) <= MOST_BLOCKS:
        size = 7.5 if compact or len(blocks) > 16 else 8.5
        names = _block_names([name for name, _ in blocks], compact)
        small = {"fontsize": 6.5 if any("\n" in name for name in names) else size, "linespacing": 0.85}
        ax.set_yticks((ends[:-1] + ends[1:] - 1) / 2, names, parse_math=False, **small)
    frame(ax, theme)
    return image


def missing_of(matrix: np.ndarray) -> int:
    """How many pairs have no value.

    Examples
    --------
    >>> missing_of(np.array([[np.nan, np.nan, 5], [np.nan, 0, 2], [5, 2, 0]]))
    1
    """
    return int((~np.isfinite(matrix[np.triu_indices(len(matrix), 1)])).sum())


def _block_names(names: list[str], compact: bool) -> list[str]:
    """Names at the left of a matrix; on a narrow screen few long ones take two lines, so that the matrix has room."""
    if compact and len(names) <= FEW_BLOCKS:
        lines = [wrap(name, 10, break_on_hyphens=False) for name in names]
        if all(len(parts) <= 2 and max(map(len, parts), default=0) <= 10 for parts in lines):
            return ["\n".join(parts) for parts in lines]
    return told_apart(names, 16 if compact else 24)


def _letters(values: xr.DataArray, blocks: list[tuple[str, int]], compact: bool) -> int:
    """Of the longest name at the left: of the blocks, or of few stimuli of one matrix; 0 where there is none."""
    if blocks and len(blocks) <= MOST_BLOCKS:
        names = _block_names([name for name, _ in blocks], compact)
        return max(len(line) for name in names for line in name.split("\n"))
    if blocks:
        return 0
    named = values.ndim == 2 and values.sizes["stimulus"] <= MOST_NAMED
    return max(map(len, values["stimulus"].values.astype(str))) if named else 0


def _columns(n: int, columns: int | None, compact: bool) -> int:
    if compact:
        return min(n, 2)
    return min(n, columns or (3 if n in (3, 5, 6, 9) else 4))


def _size(n: int, letters: int, columns: int | None, compact: bool) -> tuple[float, float]:
    """Inches of the whole drawing."""
    across = _columns(n, columns, compact)
    names = 0.15 + (0.076 * min(letters, 16) if compact else 0.078 * min(letters, 24))
    if compact:
        side = (PHONE - names) / across
        return PHONE, -(-n // across) * (side + (0.3 if n > 1 else 0.15)) + 0.7
    side = 4.0 if n == 1 else (10.6 - names) / max(across, 3)
    return names + across * side + 0.9, -(-n // across) * side * (1.13 if n > 1 else 1.0) + 0.15


def rdm_pictures(name: str, node: xr.Dataset) -> list[Picture | Html]:
    """What a page shows of a node with ``shows = "rdm"``; its attrs ``by`` and ``percentile`` are those of ``rdm``."""
    values = rdms_of(node)
    by, percentile = node.attrs.get("by"), bool(node.attrs.get("percentile"))
    order, blocks = blocks_of(values, by)
    panels = _panels(values, order, percentile)
    n = values.sizes["stimulus"]
    what = f"{len(panels)} dissimilarity matrices" if len(panels) > 1 else "Dissimilarity matrix"
    alt = f"{what} of {n:,} stimuli, {_label(values, percentile)}"
    alt += f", in blocks: {listed([block for block, _ in blocks], 12)}." if blocks else "."
    absent = sum(missing_of(one) for one in panels.values())
    if len(blocks) > 1:
        said = [f"{one}: {_contrast(matrix, blocks)}" for one, matrix in list(panels.items())[:8]]
        alt += (
            " Mean within blocks and between them, " + listed(said, 8) + "."
            if len(panels) > 1
            else (f" Mean within blocks and between them: {_contrast(next(iter(panels.values())), blocks)}.")
        )
    caption = f"Dissimilarity of each of {count(n, *_stimuli(node))} with each other: {_label(values, percentile)}."
    if percentile:
        caption += " Colour is the rank among the pairs of one matrix, so matrices of different measures compare."
    elif len(panels) > 1:
        caption += " One scale for all."
    if blocks:
        caption += f" Sorted by {str(by).replace('_', ' ')}; lines part the blocks."
    if absent:
        caption += f" Grey: {count(absent, 'pair')} without a value."
    if values.attrs.get("about"):
        caption += f" {values.attrs['about']}."
    draw = partial(rdm, values, by, percentile=percentile, columns=node.attrs.get("columns"))
    sizes = (
        _size(len(panels), _letters(values, blocks, compact), node.attrs.get("columns"), compact)
        for compact in (False, True)
    )
    return [Picture(draw, alt, caption, *sizes)]


def _contrast(matrix: np.ndarray, blocks: list[tuple[str, int]]) -> str:
    """Mean within blocks and between them."""
    code = np.repeat(np.arange(len(blocks)), [n for _, n in blocks])
    same = code[:, None] == code
    upper = np.triu(np.isfinite(matrix), 1)
    means = [matrix[upper & part].mean() if (upper & part).any() else float("nan") for part in (same, ~same)]
    digits = 0 if np.nanmax(np.abs(matrix)) > 20 else 2
    return " and ".join(number(float(mean), digits) for mean in means)


def _stimuli(node: xr.Dataset) -> tuple[str, str]:
    one, many = node.attrs.get("sample_name") or ("stimulus", "stimuli")
    return str(one), str(many)
