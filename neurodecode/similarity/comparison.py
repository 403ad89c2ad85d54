"""One table of measures, and the call that looks them up: ``compare(X, Y, how)``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from .._names import lookup
from .._numbers import whole
from ..compute.nulls import count_orders, p_value, permutation_orders
from . import kernels, matching, neighbours, predictivity, representational, shapes
from .rdm_scores import RDM_SCORES, SAME
from .rdms import check_not_bare
from .spaces import Dissimilar, Space, pair_up

TRANSFORMS = ("translation", "scaling", "permutation", "unit scaling", "rotation", "orthogonal", "linear")
ORTHOGONAL = ("translation", "scaling", "permutation", "rotation", "orthogonal")
UNITS = ("translation", "scaling", "permutation", "unit scaling")


@dataclass(frozen=True)
class Measure:
    """A row of the table: what is computed, and what a number of it means.

    Attributes
    ----------
    value : (X, Y, **options) -> float. null : (X, Y, orders, **options) -> (draws,), or None: one call a draw.
    better : 1 where larger values mean more alike, -1 for distances.
    invariant_to : transforms of either side that leave the value as it is, of ``TRANSFORMS``: a shift of units, one
        scale for all units, exchanged units, a scale above 0 for each unit, a rotation, a rotation or reflection,
        an invertible linear map. Of these, only the ones listed here do.
    low, high : the range. identical : the value of X with itself (``tolerance`` away at most).
    unrelated : what unrelated data give, in words; unrelated_value : the number, with many more samples than units
        (None where it depends on sizes in another way).
    few : what too few samples do. cost : operations, n samples, p and q units. source : where it was published.
    symmetric : compare(X, Y) = compare(Y, X). paired : whether it uses which stimulus is which.
    matrices : whether dissimilarity matrices can take the place of samples and units.
    grid : (Xs, Ys, **options) -> the values of all pairs at once, or None where pair by pair is less work.

    Examples
    --------
    >>> row = MEASURES["shape"]
    >>> row.better, row.identical, row.options, "linear" in row.invariant_to
    (-1, 0, ('alpha',), False)
    """

    value: Callable[..., float]
    null: Callable[..., np.ndarray] | None
    better: int
    invariant_to: tuple[str, ...]
    low: float
    high: float
    identical: float
    unrelated: str
    unrelated_value: float | None
    few: str
    cost: str
    source: str
    tolerance: float = 1e-6
    symmetric: bool = True
    paired: bool = True
    matrices: bool = False
    grid: Callable[..., np.ndarray | None] | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that the measure understands."""
        parameters = inspect.signature(self.value).parameters.values()
        return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "device")


ROUNDING = 1e-9
UP, HALF_PI = "biased upwards", float(np.pi / 2)
KERNEL = "n p q, or n^2 (p + q) with fewer samples than units"
ONCE = "n p^2 + p^3 a space once, then n p q + p q min(p, q)"
INF = float("inf")
ABOVE = "above 0, below sqrt(2 log(max(p, q)) / n)"

MEASURES: dict[str, Measure] = {
    "cka": Measure(
        kernels.cka, kernels.cka_null, 1, ORTHOGONAL, 0, 1, 1, "about 0 with many more samples than units", 0.0,
        f"{UP}: near 1 for unrelated data with more units than samples", KERNEL, "Kornblith et al. 2019",
        grid=kernels.cka_grid,
    ),
    "cka_debiased": Measure(
        kernels.cka_debiased, kernels.cka_debiased_null, 1, ORTHOGONAL, -1, 1, 1, "0 on average", 0.0,
        "not biased upwards; may be below 0", KERNEL, "Song et al. 2012; Nguyen et al. 2021",
        grid=kernels.cka_debiased_grid,
    ),
    "rsa": Measure(
        representational.rsa, representational.rsa_null, 1, ("scaling", "permutation"), -1, 1, 1, "0 on average", 0.0,
        "not biased, noisy", "n^2 (p + q) and sorting n^2 / 2 pairs", "Kriegeskorte et al. 2008", matrices=True,
    ),
    "rv": Measure(
        kernels.rv, kernels.rv_null, 1, ORTHOGONAL, 0, 1, 1, "about 0 with many more samples than units", 0.0,
        f"{UP} as cka; modified=True is not", KERNEL, "Robert and Escoufier 1976; Smilde et al. 2009",
        grid=kernels.rv_grid,
    ),
    "procrustes": Measure(
        shapes.procrustes, shapes.procrustes_null, -1, ORTHOGONAL, 0, HALF_PI, 0,
        "near pi / 2 with many more samples than units", HALF_PI, "biased downwards (alike)",
        "n p q + p q min(p, q)", "Schoenemann 1966; Williams et al. 2021",
    ),
    "bures": Measure(
        shapes.bures, shapes.bures_null, -1, ORTHOGONAL, 0, 2**0.5, 0,
        "near sqrt 2 with many more samples than units", 2**0.5, "biased downwards (alike)",
        "n p q + p q min(p, q)", "Bhatia et al. 2019; Harvey et al. 2024",
    ),
    "shape": Measure(
        shapes.shape, shapes.shape_null, -1, ORTHOGONAL, 0, HALF_PI, 0,
        "near pi / 2 with many more samples than units", HALF_PI, "biased downwards, the more so the smaller alpha",
        ONCE, "Williams et al. 2021",
    ),
    "cca": Measure(
        shapes.cca, shapes.cca_null, 1, TRANSFORMS, 0, 1, 1, "nearly sqrt(max(p, q) / n)", 0.0,
        f"{UP}: 1 whatever the data with as many units as samples (refused)", ONCE, "Hotelling 1936; Raghu et al. 2017",
    ),
    "svcca": Measure(
        shapes.svcca, shapes.svcca_null, 1, ORTHOGONAL, 0, 1, 1, "nearly sqrt(max(k, l) / n), k and l components", 0.0,
        f"{UP}, less than cca", ONCE, "Raghu et al. 2017",
    ),
    "pwcca": Measure(
        shapes.pwcca, shapes.pwcca_null, 1, ("translation", "scaling", "permutation"), 0, 1, 1,
        "as cca", 0.0, f"{UP} as cca", ONCE, "Morcos et al. 2018",
        symmetric=False,
    ),
    "linear_predictivity": Measure(
        predictivity.linear_predictivity, None, 1, ORTHOGONAL, -INF, 1, 1, "0, or a little below", 0.0,
        "biased downwards", "n_folds^2 / 2 eigendecompositions of min(n, p)^3",
        "Hoerl and Kennard 1970; Yamins et al. 2014", tolerance=1e-3,
    ),
    "permutation": Measure(
        matching.permutation, matching.permutation_null, 1, UNITS, -1, 1, 1, ABOVE, 0.0,
        UP, "n p q + p q min(p, q)", "Li et al. 2015",
    ),
    "semi_matching": Measure(
        matching.semi_matching, matching.semi_matching_null, 1, UNITS, -1, 1, 1, ABOVE, 0.0,
        UP, "n p q", "Li et al. 2015",
    ),
    "sparse_matching": Measure(
        matching.sparse_matching, None, 1, UNITS, -INF, 1, 1, "0, or below", 0.0, "biased downwards",
        "n_folds lasso fits of every unit", "Li et al. 2015", tolerance=1e-3,
    ),
    "soft_matching": Measure(
        matching.soft_matching, matching.soft_matching_null, 1, UNITS, -1, 1, 1, ABOVE, 0.0,
        UP, "n p q + a linear program of p q unknowns", "Khosla and Williams 2024",
    ),
    "mutual_knn": Measure(
        neighbours.mutual_knn, neighbours.mutual_knn_null, 1, ORTHOGONAL, 0, 1, 1, "k / (n - 1) on average", None,
        "not biased, but compare at one n only; stimuli that are equally near keep identical data below 1",
        "n^2 (p + q)", "Huh et al. 2024",
    ),
    "gw": Measure(
        neighbours.gw, None, -1, ORTHOGONAL, 0, 2**0.5, 0, "no fixed value", None, "biased downwards (alike)",
        "n^3 a step, tens of steps a start", "Peyre et al. 2016", paired=False, matrices=True,
    ),
}  # fmt: skip


def compare(
    X: Any,
    Y: Any,
    how: Any = "cka",
    *,
    permutations: int = 0,
    random_state: Any = None,
    blocks: str | None = None,
    device: Any = None,
    **options: Any,
) -> Any:
    """How alike two representations of the same stimuli are.

    Labelled arrays are paired by ``stimulus``, whatever the order of either side; plain arrays row by row. What a
    measure is invariant to, its range, its value for unrelated data and what few samples do to it: :func:`describe`.

    Parameters
    ----------
    X, Y : (samples, units) each, or labelled dissimilarity matrices (``rsa``, ``gw``).
    how : a name of ``MEASURES``; the function of this name, also with options, ``partial(rsa, score="kendall_tau_a")``;
        or a function of your own (x, y, **options) of two float64 arrays whose rows correspond, which gives a number,
        larger meaning more alike.
    permutations : draws of the null, in which the stimuli of Y are exchanged; 0: the value alone.
    random_state : seed of the draws.
    blocks : sample coordinate of X within whose values stimuli are exchanged (a run, a category); None: all freely.
    device : torch device; None: the CPU. A device that is not there raises.
    options : those of the measure, such as ``alpha=`` of ``shape``, ``score=`` and ``metric=`` of ``rsa``.

    Returns
    -------
    float; or with permutations a Dataset of ``value``, ``p`` and ``null(permutation)``, with p = (b + 1) / (n + 1) and
    b the draws that are at least as alike as the data.

    Raises
    ------
    AlignmentError : stimuli that one side does not have (named), repeats (average them first), unequal lengths, one
        side labelled and the other plain.
    DegenerateDataError : not finite, too few samples, nothing varies, or more directions than a measure can bear.
    ValueError : no such measure or option. TypeError : dictionaries of arrays; a function that gives no number.

    Examples
    --------
    >>> from neurodecode.representation import as_representation
    >>> X = as_representation([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0]], stimulus=["a", "b", "c"], kind="network")
    >>> Y = X.isel(sample=[2, 0, 1])
    >>> round(compare(X, Y, "cka"), 6)
    1.0
    """
    permutations = whole(permutations, "permutations")
    how, options = spelled(how, options)
    row = measure(how, options)
    check_sides(row, {"X": X, "Y": Y}, how)
    x, y = pair_up(X, Y, device)
    check_matrices(row, x, y, how)
    value = evaluate(row, x, y, options)
    if not permutations:
        return value
    where = None if blocks is None else block_of(X, x, blocks)
    orders = orders_for(row, x.n, permutations, random_state, where, how)
    null = draws(row, x, y, orders, options)
    found = row.better * np.asarray(value), row.better * null
    return xr.Dataset(
        {"value": value, "p": float(p_value(*found)), "null": ("permutation", null)},
        attrs=said(how, row, x.n, permutations, random_state, where, options),
    )


def describe(how: str) -> str:
    """What a measure is invariant to, its range, what unrelated data give, what few samples do, what it costs.

    Examples
    --------
    >>> print(describe("procrustes").splitlines()[0])
    procrustes: distance, 0 to 1.5708, 0 when identical
    """
    row = lookup(MEASURES, how, "how", callables=False)
    kind = "similarity" if row.better > 0 else "distance"
    left = [name for name in TRANSFORMS if name not in row.invariant_to]
    lines = [
        f"{how}: {kind}, {_short(row.low)} to {_short(row.high)}, {_short(row.identical)} when identical",
        f"invariant to: {', '.join(row.invariant_to)}" + (f"; not to: {', '.join(left)}" if left else ""),
        f"unrelated data: {row.unrelated}",
        f"few samples: {row.few}",
        f"cost: {row.cost}",
        f"options: {', '.join(row.options) or 'none'}",
        f"source: {row.source}",
    ]
    return "\n".join(lines)


def _short(value: float) -> str:
    return "below 0" if value == -INF else f"{value:.5g}"


def spelled(how: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A function of ``MEASURES``, bare or with options through ``partial``, as its name and all options.

    So that it means the same as its name: whether larger is more alike, which null it has, what it takes.

    Examples
    --------
    >>> spelled(partial(shapes.shape, alpha=0.2), {})
    ('shape', {'alpha': 0.2})
    """
    given = dict(options)
    while isinstance(how, partial) and not how.args:
        how, given = how.func, {**how.keywords, **given}
    names = [name for name, row in MEASURES.items() if row.value is how]
    return (names[0], given) if names else (how, given)


def measure(how: Any, options: dict[str, Any]) -> Measure:
    """The row of a name, or a row made for a function; the options are those it has."""
    how, options = spelled(how, options)
    if isinstance(how, str) and how not in MEASURES and how in (*RDM_SCORES, *SAME):
        raise ValueError(
            f"how={how!r} is a score of dissimilarities, not a measure; take how='rsa' with score={how!r}, or "
            f"compare_models(..., how={how!r}) for models and people."
        )
    found = lookup(MEASURES, how, "how")
    if not isinstance(found, Measure):
        return _own(found)
    for name, value in options.items():
        if how == "rsa" and name == "how":
            raise ValueError(f"rsa: option='how' is not known; what compares the dissimilarities is score={value!r}.")
        lookup(dict.fromkeys(found.options), name, f"{how}: option", callables=False)
    return found


def _own(function: Callable[..., Any]) -> Measure:
    """The row of a function of one's own."""

    def value(X: Space, Y: Space, **given: Any) -> float:
        found = function(X.raw.cpu().numpy().copy(), Y.raw.cpu().numpy().copy(), **given)  # it may work in place
        if found is None or np.shape(found) != ():
            what = "None" if found is None else f"an array of shape {np.shape(found)}"
            raise TypeError(
                f"how={getattr(function, '__name__', function)!r} gave {what}; expected a function (x, y) of two "
                "arrays that gives one number."
            )
        return float(found)

    return Measure(
        value, None, 1, (), -INF, INF, float("nan"), "not known", None, "not known", "not known", "given",
        symmetric=False,
    )  # fmt: skip


def evaluate(row: Measure, x: Space, y: Space, options: dict[str, Any]) -> float:
    """The value of two spaces, as a float."""
    return within(row, float(row.value(x, y, **options)))


def within(row: Measure, value: float) -> float:
    """The value; what rounding put beyond the range of the measure is its end.

    Examples
    --------
    >>> within(MEASURES["cka"], 1.0 + 1e-15), within(MEASURES["cka"], 0.5)
    (1.0, 0.5)
    """
    for end, beyond in ((row.low, value < row.low), (row.high, value > row.high)):
        if beyond and abs(value - end) <= ROUNDING:
            return float(end)
    return value


def draws(row: Measure, x: Space, y: Space, orders: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    """The values with the stimuli of y in each of the orders."""
    if row.null is not None:
        return np.asarray(row.null(x, y, orders, **options), dtype=np.float64)
    return np.array([evaluate(row, x, y.take(order), options) for order in orders])


def check_sides(row: Measure, sides: Mapping[str, Any], how: Any) -> None:
    """Refuse dictionaries, and bare dissimilarity matrices where labelled ones are taken."""
    for name, side in sides.items():
        if isinstance(side, Mapping) and not isinstance(side, xr.Dataset):
            raise TypeError(
                f"{name} is a dictionary; compare takes one array a side. For every array with every other: "
                "compare_grid(X, Y, how)."
            )
        if row.matrices:
            check_not_bare(side, name, how)


def check_matrices(row: Measure, x: Space, y: Space, how: Any) -> None:
    """Refuse dissimilarity matrices where units are needed."""
    if not row.matrices:
        for side in (x, y):
            if isinstance(side, Dissimilar):
                _ = side.raw  # raises with what can be done


def orders_for(row: Measure, n: int, permutations: int, random_state: Any, blocks: Any, how: Any) -> np.ndarray:
    """Orders of the stimuli under the null."""
    if not row.paired:
        raise ValueError(
            f"how={how!r} does not use which stimulus is which, so exchanging stimuli tests nothing; compare the value "
            "with that of other spaces."
        )
    return permutation_orders(n, permutations, blocks=blocks, random_state=random_state)


def block_of(X: Any, x: Space, blocks: str) -> np.ndarray:
    """The coordinate in the order of the space."""
    named = isinstance(X, xr.DataArray) and isinstance(blocks, str) and blocks in X.coords
    if not named or X[blocks].ndim != 1:
        known = sorted(map(str, X.coords)) if isinstance(X, xr.DataArray) else []
        raise ValueError(f"blocks={blocks!r} is not a coordinate of the samples of X; it has {known}.")
    own = X["stimulus"].values.astype(str)
    place = {label: at for at, label in enumerate(own.tolist())}
    order = [place[label] for label in x.labels] if len(place) == len(own) else list(range(len(own)))
    return X[blocks].values[order]


def said(
    how: Any, row: Measure, n: int, permutations: int, random_state: Any, blocks: Any, options: dict[str, Any]
) -> dict[str, Any]:
    """What was asked, for the attributes of the answer."""
    plain = {name: value if isinstance(value, (str, int, float)) else repr(value) for name, value in options.items()}
    return {
        "how": how if isinstance(how, str) else getattr(how, "__name__", repr(how)),
        "options": plain,
        "alike": "larger" if row.better > 0 else "smaller",
        "n_samples": n,
        "n_permutations": int(permutations),
        "p_min": max(1.0 / (permutations + 1), 1.0 / count_orders(n, blocks=blocks)),
        "random_state": random_state if isinstance(random_state, (int, type(None))) else repr(random_state),
        "exchangeability": "all stimuli" if blocks is None else "stimuli within blocks",
    }
