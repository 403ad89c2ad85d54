"""Grids: every space of one set against every space of another, each worked out once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from .._names import lookup
from .._numbers import whole
from ..compute.nulls import fdr, max_statistic, p_value
from ..compute.progress import progress
from ..exceptions import AlignmentError, DegenerateDataError
from .comparison import (
    Measure,
    block_of,
    check_matrices,
    check_sides,
    draws,
    evaluate,
    measure,
    orders_for,
    said,
    spelled,
    within,
)
from .spaces import Space, by_label, is_rdm, matrix, pair_up

TIMES = {"all": "all", "same": "same"}


def compare_grid(
    A: Any,
    B: Any = None,
    how: Any = "cka",
    *,
    by: str | None = None,
    by_other: str | None = None,
    times: str = "same",
    permutations: int = 0,
    random_state: Any = None,
    blocks: str | None = None,
    device: Any = None,
    **options: Any,
) -> Any:
    """Compare every space of A with every space of B: layers and areas, layers and layers, areas over time.

    Each space is centred, whitened or turned into inner products once, however many others it meets; where A and B are
    the same and the measure is symmetric, half of the grid is computed.

    Parameters
    ----------
    A, B : name to (samples, units[, times]) array; or one labelled array whose units (or times) are told apart by
        ``by``. None for B: A against itself. All must hold the same stimuli, in any order; plain arrays the same rows.
    how : as in :func:`compare`.
    by : a coordinate on the units of A (``"layer"``, ``"roi"``), or ``"time"``; names the dimension of the answer. Of a
        dictionary it only names the dimension.
    by_other : the same for B; ``by`` when None and B is one array.
    times : where both sides have times: ``"same"`` compares the same time of both, ``"all"`` every time with every
        other.
    permutations : draws, in which the stimuli of B are exchanged, the same in every cell.
    random_state, blocks, device, options : as in :func:`compare`.

    Returns
    -------
    DataArray with dims (``by`` or ``"first"``, ``by_other`` or ``"second"``[, ``"time"``[, ``"time_other"``]]) and the
    names as coordinates; ``by`` without ``by_other`` is for both where both are arrays, and the second is called
    ``*_other`` where both have one name. With permutations a Dataset of
    ``value``, ``p`` (each cell alone), ``p_fdr`` (false discovery rate over the grid), ``p_max`` (against the largest
    of the grid in each draw) and ``null``. In a grid of A against itself a space meets itself on the diagonal, which is
    no test: ``p_fdr`` is NaN there, and a cell that is there twice counts once.

    Raises
    ------
    AlignmentError : stimuli that one array does not have (named), repeats, one array labelled and another plain, other
        times. DegenerateDataError, ValueError : as :func:`compare`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> layers = {"conv1": rng.normal(size=(30, 4)), "conv2": rng.normal(size=(30, 6))}
    >>> grid = compare_grid(layers, how="cka")
    >>> grid.dims, np.diag(grid).round(6).tolist()
    (('first', 'second'), [1.0, 1.0])
    """
    how, options = spelled(how, options)
    row, permutations = measure(how, options), whole(permutations, "permutations")
    lookup(TIMES, times, "times", callables=False)
    for argument, given in (("by", by), ("by_other", by_other)):
        if given is not None and not isinstance(given, str):
            pair = len(given) == 2 if isinstance(given, (tuple, list)) else False
            advice = f"by={given[0]!r}, by_other={given[1]!r}" if pair else "by='layer', by_other='roi'"
            raise ValueError(
                f"{argument}={given!r}: expected the name of one coordinate. Each side has its own: {advice}."
            )
    other = A if B is None else B
    # Parts of one array by another coordinate are other spaces.
    itself = other is A and (by_other in (None, by) or isinstance(A, Mapping))
    by_b = by if by_other is None and (itself or not isinstance(other, Mapping)) else by_other
    first, times_a, dim_a = _parts(A, by, "first", "A", "by")
    second, times_b, dim_b = _parts(other, by_b, "second", "B", "by_other")
    second = first if itself else second
    dim_b = f"{dim_b}_other" if dim_b == dim_a or (dim_b == "time" and times_a is not None) else dim_b
    for side, parts in (("A", first), ("B", second)):
        check_sides(row, {f"{side}[{name!r}]": array for name, array in parts.items()}, how)
    one, two = _spaces(first, None if itself else second, device)
    for space in (*one.values(), *two.values()):
        check_matrices(row, space, space, how)
    cells = _cells(list(one), list(two), times_a, times_b, times)
    fold = row.symmetric and itself
    first_space = next(iter(one.values()))
    where = None if blocks is None else block_of(next(iter(first.values())), first_space, blocks)
    orders = orders_for(row, first_space.n, permutations, random_state, where, how) if permutations else None
    values, nulls = _walk(row, one, two, cells, fold, orders, options)
    dims, shape, coords = _frame(first, second, times_a, times_b, dim_a, dim_b, times)
    asked = said(how, row, first_space.n, 0, None, None, options)
    attrs = {name: asked[name] for name in ("how", "options", "alike", "n_samples")}
    value = xr.DataArray(values.reshape(shape), dims=dims, coords=coords, attrs=attrs)
    if orders is None or nulls is None:
        return value
    null = nulls.reshape(len(orders), *shape)
    signed = row.better * value.values, row.better * null
    p = p_value(*signed)
    return xr.Dataset(
        {
            "value": value,
            "p": (dims, p),
            "p_fdr": (dims, _adjusted(p.reshape(-1), cells, itself, fold).reshape(shape)),
            "p_max": (dims, max_statistic(*signed)),
            "null": (("permutation", *dims), null),
        },
        attrs=said(how, row, first_space.n, permutations, random_state, where, options),
    )


def _adjusted(p: np.ndarray, cells: list[tuple[Any, Any]], itself: bool, fold: bool) -> np.ndarray:
    """p values (cells,) adjusted for the false discovery rate; NaN where a space meets itself."""
    tested = np.array([np.nan if itself and a == b else 1.0 for a, b in cells]) * p
    if not fold:
        return fdr(tested)
    place = {cell: at for at, cell in enumerate(cells)}
    once = np.array([min(at, place.get((b, a), at)) for at, (a, b) in enumerate(cells)])
    kept, own = np.unique(once, return_inverse=True)
    return fdr(tested[kept])[own]


def _parts(
    A: Any, by: str | None, fallback: str, side: str, argument: str
) -> tuple[dict[Any, Any], np.ndarray | None, str]:
    """Arrays by name (by name and time where there is time), the times, and the name of the dimension."""
    if isinstance(A, Mapping):
        if not A:
            raise ValueError(f"{side} is an empty dictionary; expected name to (samples, units) arrays.")
        odd = [name for name in A if not isinstance(name, (str, int, float, np.generic))]
        if odd:
            raise ValueError(
                f"{side} has the name {odd[0]!r}, which cannot stand on an axis; expected text or numbers, such as "
                "'V1 left'."
            )
        named, dim = dict(A), by or fallback
    elif isinstance(A, xr.DataArray) and by == "time" and "time" in A.dims:
        clock = A["time"].values if "time" in A.coords else np.arange(A.sizes["time"])
        return {at: A.isel(time=number) for number, at in enumerate(clock.tolist())}, None, "time"
    elif isinstance(A, xr.DataArray) and by is not None and by in A.coords and A[by].dims == ("unit",):
        names = list(dict.fromkeys(A[by].values.tolist()))
        lost = [name for name in names if name is None or name != name]
        if lost:
            raise DegenerateDataError(
                f"{side}: some units have no {by!r} ({lost[0]}); leave them out, or give them a name of their own."
            )
        named, dim = {name: A.isel(unit=np.flatnonzero(A[by].values == name)) for name in names}, by
    else:
        coords = A.coords if isinstance(A, xr.DataArray) else {}
        known = sorted(str(name) for name in coords if coords[name].dims == ("unit",))
        raise ValueError(
            f"{side}: expected a dictionary of arrays, or one labelled array and {argument}= a coordinate of its units "
            f"({', '.join(known) or 'it has none'}), or {argument}='time'; {argument}={by!r} came with a "
            f"{type(A).__name__}."
        )
    clocks = [_clock(array) for array in named.values()]
    if all(clock is None for clock in clocks):
        return named, None, dim
    if dim == "time":
        raise ValueError(
            f"{argument}='time' names the dimension of a dictionary whose arrays have times themselves, which stay on "
            f"'time'. Leave {argument}= out, or call it something else, such as 'roi'."
        )
    common = clocks[0]
    for clock, name in zip(clocks, named):
        if clock is None or common is None or not np.array_equal(clock, common):
            raise AlignmentError(f"{side}: {name!r} has other times than {next(iter(named))!r}; bring all to the same.")
    assert common is not None
    slices = {
        (name, number): (array.isel(time=number) if isinstance(array, xr.DataArray) else array[:, :, number])
        for name, array in named.items()
        for number in range(len(common))
    }
    return slices, common, dim


def _clock(array: Any) -> Any:
    if isinstance(array, xr.DataArray):
        if "time" not in array.dims:
            return None
        return array["time"].values if "time" in array.coords else np.arange(array.sizes["time"])
    return np.arange(np.shape(array)[2]) if np.ndim(array) == 3 else None


def _spaces(
    first: dict[Any, Any], second: dict[Any, Any] | None, device: Any
) -> tuple[dict[Any, Space], dict[Any, Space]]:
    """A space for every array, all with the same rows."""
    both = [(("A", name), array) for name, array in first.items()]
    both += [(("B", name), array) for name, array in (second or {}).items()]
    texts = [f"{side}[{name!r}]" for (side, name), _ in both]
    arrays = [array for _, array in both]
    found: dict[Any, Space] = {}
    if any(is_rdm(array) for array in arrays):
        reference = arrays[0]
        for (key, array), text in zip(both, texts):
            met = is_rdm(reference) or is_rdm(array)
            found[key] = pair_up(reference, array, device)[1] if met else _own(array, text, device)
            found[key].name = text
    else:
        rows, labels = by_label(arrays, texts)
        for (key, _), array, text in zip(both, rows, texts):
            found[key] = Space(matrix(array, text), labels, text, device)
    one = {name: space for (side, name), space in found.items() if side == "A"}
    return one, (one if second is None else {name: space for (side, name), space in found.items() if side == "B"})


def _own(array: Any, name: str, device: Any) -> Space:
    rows, labels = by_label([array], [name])
    return Space(matrix(rows[0], name), labels, name, device)


def _cells(
    one: list[Any], two: list[Any], times_a: np.ndarray | None, times_b: np.ndarray | None, times: str
) -> list[tuple[Any, Any]]:
    """Pairs of keys in the order of the answer: first, second, then time, then the other time."""
    names_a = one if times_a is None else list(dict.fromkeys(name for name, _ in one))
    names_b = two if times_b is None else list(dict.fromkeys(name for name, _ in two))
    clock_a = range(1 if times_a is None else len(times_a))
    clock_b = range(1 if times_b is None else len(times_b))
    same = times_a is not None and times_b is not None and times == "same"
    if same and not np.array_equal(np.asarray(times_a), np.asarray(times_b)):
        raise AlignmentError("A and B have other times, so times='same' has no pairs; align them, or use times='all'.")
    return [
        (a if times_a is None else (a, s), b if times_b is None else (b, t))
        for a in names_a
        for b in names_b
        for s in clock_a
        for t in ([s] if same else clock_b)
    ]


def _walk(
    row: Measure,
    one: dict[Any, Space],
    two: dict[Any, Space],
    cells: list[tuple[Any, Any]],
    fold: bool,
    orders: np.ndarray | None,
    options: dict[str, Any],
) -> tuple[np.ndarray, np.ndarray | None]:
    """Values of all cells, and their draws; mirrored where the grid is symmetric."""
    values = np.empty(len(cells))
    nulls = None if orders is None else np.empty((len(orders), len(cells)))
    place = {cell: at for at, cell in enumerate(cells)}
    known = _at_once(row, one, two, cells, options)
    for at, (a, b) in enumerate(progress(cells, "comparing", total=len(cells))):
        mirrored = place.get((b, a), at) if fold else at
        if mirrored < at:
            values[at] = values[mirrored]
            if nulls is not None:
                nulls[:, at] = nulls[:, mirrored]
            continue
        values[at] = evaluate(row, one[a], two[b], options) if known is None else within(row, known[a, b])
        if nulls is not None and orders is not None:
            nulls[:, at] = draws(row, one[a], two[b], orders, options)
    return values, nulls


def _at_once(
    row: Measure, one: dict[Any, Space], two: dict[Any, Space], cells: list[tuple[Any, Any]], options: dict[str, Any]
) -> dict[tuple[Any, Any], float] | None:
    """The values of all cells where the measure has a way to them that is shorter than one after the other."""
    if row.grid is None or len(cells) < len(one) * len(two):
        return None
    found = row.grid(list(one.values()), list(two.values()), **options)
    if found is None:
        return None
    return {(a, b): float(value) for a, line in zip(one, found) for b, value in zip(two, line)}


def _frame(
    first: dict[Any, Any],
    second: dict[Any, Any],
    times_a: np.ndarray | None,
    times_b: np.ndarray | None,
    dim_a: str,
    dim_b: str,
    times: str,
) -> tuple[tuple[str, ...], tuple[int, ...], dict[str, Any]]:
    """Dims, shape and coordinates of the answer."""
    names_a = list(first) if times_a is None else list(dict.fromkeys(name for name, _ in first))
    names_b = list(second) if times_b is None else list(dict.fromkeys(name for name, _ in second))
    axes: list[tuple[str, Any]] = [(dim_a, names_a), (dim_b, names_b)]
    if times_a is not None:
        axes.append(("time", times_a))
    if times_b is not None and (times_a is None or times == "all"):
        axes.append(("time_other" if times_a is not None or dim_a == "time" else "time", times_b))
    dims = tuple(dim for dim, _ in axes)
    shape = tuple(len(entries) for _, entries in axes)
    return dims, shape, {dim: (dim, np.asarray(entries)) for dim, entries in axes}
