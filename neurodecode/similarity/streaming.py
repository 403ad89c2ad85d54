"""Comparisons in batches: sums over stimuli that come a few at a time, and from them the value of all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from .._names import lookup
from .._numbers import whole
from ..compute.alignment import Moments, between, nuclear, unbiased_from_sums, whitener
from ..compute.batching import batches
from ..compute.device import resolve
from ..exceptions import AlignmentError, DegenerateDataError
from ..representation import check_same_samples
from . import shapes
from .matching import DIRECTIONS
from .predictivity import DEFAULT_ALPHAS, penalties, predictivity_of
from .spaces import FEWEST, by_label, check_once, fold_of, matrix

Key = tuple[str, Any]


@dataclass
class Sums:
    """What is kept of the rows seen: counts, means, second moments, and for the unbiased estimator sums of row norms.

    ``mean`` name to (p,); ``product`` pair of names to (p, q), centred; ``shift`` name to (p,), about which the third
    and fourth moments are summed: ``power`` name to sum of squared norms; ``both`` pair to the sum of their products;
    ``turn`` pair (a, b) to the sum of |a|^2 b.
    """

    n: int = 0
    mean: dict[Key, Tensor] = field(default_factory=dict)
    product: dict[tuple[Key, Key], Tensor] = field(default_factory=dict)
    power: dict[Key, Tensor] = field(default_factory=dict)
    both: dict[tuple[Key, Key], Tensor] = field(default_factory=dict)
    turn: dict[tuple[Key, Key], Tensor] = field(default_factory=dict)

    def add(self, rows: Mapping[Key, Tensor], pairs: Sequence[tuple[Key, Key]]) -> None:
        """Take in a batch (Chan, Golub and LeVeque 1983, Am. Stat. 37, eq. 1.5)."""
        m = len(next(iter(rows.values())))
        n = self.n + m
        means = {key: x.mean(0) for key, x in rows.items()}
        centred = {key: x - means[key] for key, x in rows.items()}
        away = {key: means[key] - self.mean.get(key, torch.zeros_like(means[key])) for key in rows}
        for a, b in pairs:
            fresh = centred[a].T @ centred[b] + (self.n * m / n) * torch.outer(away[a], away[b])
            self.product[a, b] = self.product[a, b] + fresh if self.n else fresh
        for key in rows:
            self.mean[key] = self.mean[key] + away[key] * (m / n) if self.n else means[key]
        self.n = n

    def add_norms(self, rows: Mapping[Key, Tensor], pairs: Sequence[tuple[Key, Key]]) -> None:
        """Take in the norms of rows that were shifted by a mean of before."""
        norms = {key: x.square().sum(1) for key, x in rows.items()}
        for key, norm in norms.items():
            self.power[key] = self.power.get(key, 0) + norm.sum()
        for a, b in pairs:
            self.both[a, b] = self.both.get((a, b), 0) + norms[a] @ norms[b]
            for one, two in {(a, b), (b, a)}:
                self.turn[one, two] = self.turn.get((one, two), 0) + norms[one] @ rows[two]

    def moments(self, a: Key, b: Key) -> Moments:
        """Those of one pair."""
        return Moments(self.n, self.mean[a], self.mean[b], self.product[a, a], self.product[a, b], self.product[b, b])

    def norm_products(self, a: Key, b: Key, shift: Mapping[Key, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """``<r_a, r_b>``, ``sum r_a`` and ``sum r_b`` of the squared norms r of centred rows."""
        da, db = self.mean[a] - shift[a], self.mean[b] - shift[b]
        ca, cb, n = da @ da, db @ db, self.n
        crossed = da @ self.product[a, b] @ db + n * ca * cb
        found = (
            self.both[a, b]
            + cb * self.power[a] + ca * self.power[b]
            - 2 * (db @ self.turn[a, b]) - 2 * (da @ self.turn[b, a])
            + 4 * crossed
            - 2 * n * ca * cb - 2 * n * ca * cb + n * ca * cb
        )  # fmt: skip
        return found, self.power[a] - n * ca, self.power[b] - n * cb


class StreamingComparison:
    """Compare representations that arrive in batches, or do not fit into memory.

    What is kept grows with the square of the numbers of units, not with the stimuli. The value is that of
    :func:`compare` on all stimuli at once, to rounding (canonical correlations to rounding times the condition number
    of the covariance), whatever the order and the size of the batches.

    Parameters
    ----------
    how : one of ``STREAMED``: ``cka cka_debiased rv procrustes bures shape cca svcca pwcca linear_predictivity``, or
        the function of this name, also with options through ``partial``.
    device : torch device; None: the CPU.
    options : those of the measure.

    Examples
    --------
    >>> from neurodecode.similarity import compare
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 6))
    >>> stream = StreamingComparison("cka")
    >>> for rows in (slice(0, 20), slice(20, 50)):
    ...     stream = stream.partial_fit(x[rows], y[rows])
    >>> abs(stream.finalize() - compare(x, y, "cka")) < 1e-10
    True
    """

    def __init__(self, how: Any = "cka", *, device: Any = None, **options: Any):
        from .comparison import measure, spelled

        how, options = spelled(how, options)
        self.how = how
        self.value_of = lookup(STREAMED, how, "how", callables=False)
        row = measure(how, options)
        self.symmetric = row.symmetric
        self.options = options
        self.device = resolve(device)
        if options.get("modified"):
            raise ValueError("rv with modified=True is not available in batches; use cka_debiased.")
        self.n_folds = whole(options.get("n_folds", 5), "n_folds", least=3) if how == "linear_predictivity" else 1
        self.parts = [Sums() for _ in range(self.n_folds)]
        self.shift: dict[Key, Tensor] = {}
        self.seen: set[str] = set()
        self.kept: dict[Key, tuple[Any, ...]] = {}
        self.named: bool | None = None
        self.itself = False
        self.plain_rows = 0

    def partial_fit(self, X: Any, Y: Any = None) -> StreamingComparison:
        """Take in a batch of stimuli that have not been seen before.

        Parameters
        ----------
        X, Y : (stimuli of the batch, units), or dictionaries of such arrays for a grid; Y None: X against itself.
            The same spaces with the same units in every batch. Plain arrays are told apart by their bytes.

        Raises
        ------
        AlignmentError : a stimulus or a batch came before, other spaces or units than before, or as :func:`compare`.
        DegenerateDataError : not finite.
        """
        sides = self._sides(X, Y)
        texts = [f"{side}[{name!r}]" if self.named else side for side, name in sides]
        for array, text in zip(sides.values(), texts):
            if isinstance(array, xr.DataArray):
                check_once(array, text)
        arrays, labels = by_label(list(sides.values()), texts)
        tables = {key: matrix(array, text, part=True) for key, array, text in zip(sides, arrays, texts)}
        units = {key: (table.shape[1], *_unit_names(array)) for (key, table), array in zip(tables.items(), arrays)}
        if self.kept and units != self.kept:
            wrong = next(key for key in {**self.kept, **units} if self.kept.get(key) != units.get(key))
            raise AlignmentError(
                f"space {wrong[1]!r} of side {wrong[0]} is not what it was in the first batch (units, their labels, or "
                "whether it is there); every batch must hold the same spaces with the same units."
            )
        labels = self._new(labels, tables, isinstance(arrays[0], xr.DataArray))
        self.kept = units
        rows = {key: torch.from_numpy(table).to(self.device) for key, table in tables.items()}
        pairs = self._pairs()
        own = [(key, key) for key in rows]
        every = list(dict.fromkeys(own + pairs))
        where = np.array([fold_of(label, self.n_folds) for label in labels])
        for at, part in enumerate(self.parts):
            places = torch.as_tensor(np.flatnonzero(where == at), device=self.device)
            if len(places):
                part.add({key: x[places] for key, x in rows.items()}, every)
        if self.how == "cka_debiased":
            if not self.shift:
                self.shift = {key: x.mean(0) for key, x in rows.items()}
            self.parts[0].add_norms({key: x - self.shift[key] for key, x in rows.items()}, every)
        return self

    def fit(self, X: Any, Y: Any, rows: int = 4096) -> StreamingComparison:
        """Go once through two arrays on disk (memory maps, zarr), ``rows`` stimuli at a time.

        Labelled arrays must hold the same stimuli in the same order: bring them there with ``match``.
        """
        check_same_samples(X, Y)
        sizes = [side.sizes["sample"] if isinstance(side, xr.DataArray) else len(side) for side in (X, Y)]
        if sizes[0] != sizes[1]:
            raise AlignmentError(f"X has {sizes[0]} rows and Y has {sizes[1]}; they are compared row by row.")
        for some in batches(sizes[0], whole(rows, "rows", least=1)):
            one, two = (
                side.isel(sample=some).compute() if isinstance(side, xr.DataArray) else side[some] for side in (X, Y)
            )
            self.partial_fit(one, two)
        return self

    def finalize(self) -> Any:
        """The value; for dictionaries a DataArray with dims ``first``, ``second``.

        Raises
        ------
        DegenerateDataError : fewer than three stimuli (four for ``cka_debiased``), or as :func:`compare`.
        """
        n = sum(part.n for part in self.parts)
        least = 4 if self.how == "cka_debiased" else FEWEST
        if n < least:
            raise DegenerateDataError(f"{n} stimuli have come; at least {least} are needed to compare.")
        for key in self.kept:
            spread = sum(float(part.product[key, key].trace()) for part in self.parts if part.n)
            if spread <= 0:
                raise DegenerateDataError(f"every unit of {key[1]!r} is constant; there is nothing to compare.")
        from .comparison import MEASURES, within

        memo: dict[Any, Any] = {}
        row = MEASURES[self.how]
        found = {pair: within(row, float(self.value_of(self, *pair, memo))) for pair in self._pairs()}
        first = [key for key in self.kept if key[0] == "X"]
        second = first if self.itself else [key for key in self.kept if key[0] == "Y"]
        if not self.named:
            return found[first[0], second[0]]
        grid = [[found[(a, b)] if (a, b) in found else found[(b, a)] for b in second] for a in first]
        names = {"first": [key[1] for key in first], "second": [key[1] for key in second]}
        return xr.DataArray(np.array(grid), dims=("first", "second"), coords=names, attrs={"how": self.how})

    def _sides(self, X: Any, Y: Any) -> dict[Key, Any]:
        named, itself = isinstance(X, Mapping), Y is None
        if Y is not None and isinstance(Y, Mapping) != named:
            raise TypeError("X and Y must both be arrays, or both dictionaries of arrays.")
        if self.named is not None and (named, itself) != (self.named, self.itself):
            raise AlignmentError("batches must all be arrays or all be dictionaries, with Y or without.")
        self.named, self.itself = named, itself
        found = {("X", name): array for name, array in (X.items() if named else [("X", X)])}
        if Y is not None:
            found |= {("Y", name): array for name, array in (Y.items() if named else [("Y", Y)])}
        if not found:
            raise ValueError("a batch without spaces came; expected name to (stimuli, units) arrays.")
        return found

    def _pairs(self) -> list[tuple[Key, Key]]:
        first = [key for key in self.kept if key[0] == "X"]
        if not self.itself:
            return [(a, b) for a in first for b in self.kept if b[0] == "Y"]
        return [(a, b) for i, a in enumerate(first) for j, b in enumerate(first) if j >= i or not self.symmetric]

    def _new(self, labels: list[str], tables: Mapping[Key, np.ndarray], tagged: bool) -> list[str]:
        """Labels of the batch, after making sure that none came before."""
        if tagged:
            again = [label for label in labels if label in self.seen]
            if again:
                raise AlignmentError(
                    f"{len(again)} stimuli of this batch came before ({', '.join(map(repr, again[:5]))}); every "
                    "stimulus counts once. Average repeats first: average_repeats."
                )
            self.seen.update(labels)
            return labels
        digest = hashlib.sha256()
        for table in tables.values():
            digest.update(np.ascontiguousarray(table).tobytes())
        if digest.hexdigest() in self.seen:
            raise AlignmentError("this batch came before, with the same values; every stimulus counts once.")
        self.seen.add(digest.hexdigest())
        first = self.plain_rows
        self.plain_rows += len(labels)
        return [str(at) for at in range(first, self.plain_rows)]


def _unit_names(array: Any) -> tuple[Any, ...]:
    """What tells the units of a labelled array apart, to be compared between batches."""
    if not isinstance(array, xr.DataArray):
        return ()
    names = sorted(str(name) for name in array.coords if array[name].dims == ("unit",))
    digest = hashlib.sha256()
    for name in names:
        digest.update(repr((name, array[name].values.tolist())).encode())
    return (digest.hexdigest(),)


Streamed = Callable[[StreamingComparison, Key, Key, dict[Any, Any]], Any]


def _moments(stream: StreamingComparison, a: Key, b: Key) -> Moments:
    return stream.parts[0].moments(a, b)


def _once(memo: dict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
    if key not in memo:
        memo[key] = make()
    return memo[key]


def _cka(stream: StreamingComparison, a: Key, b: Key, memo: dict[Any, Any]) -> Tensor:
    m = _moments(stream, a, b)
    size_x = _once(memo, a, lambda: torch.linalg.matrix_norm(m.xx))
    size_y = _once(memo, b, lambda: torch.linalg.matrix_norm(m.yy))
    return m.xy.square().sum() / (size_x * size_y)


def _cka_debiased(stream: StreamingComparison, a: Key, b: Key, memo: dict[Any, Any]) -> Tensor:
    sums = stream.parts[0]

    def term(one: Key, two: Key) -> Tensor:
        return unbiased_from_sums(
            sums.product[one, two].square().sum(), *sums.norm_products(one, two, stream.shift), sums.n
        )

    return term(a, b) / (_once(memo, a, lambda: term(a, a)) * _once(memo, b, lambda: term(b, b))).sqrt()


def _cosine(stream: StreamingComparison, a: Key, b: Key) -> Tensor:
    m = _moments(stream, a, b)
    return nuclear(m.xy) / (m.xx.trace() * m.yy.trace()).sqrt()


def _procrustes(stream: StreamingComparison, a: Key, b: Key, memo: dict[Any, Any]) -> Tensor:
    return torch.arccos(_cosine(stream, a, b).clamp(-1, 1))


def _bures(stream: StreamingComparison, a: Key, b: Key, memo: dict[Any, Any]) -> Tensor:
    if stream.options.get("normalized", True):
        return (2 - 2 * _cosine(stream, a, b)).clamp_min(0).sqrt()
    m = _moments(stream, a, b)
    return (m.xx.trace() + m.yy.trace() - 2 * nuclear(m.xy)).clamp_min(0).sqrt()


def _bases(
    stream: StreamingComparison, a: Key, b: Key, memo: dict[Any, Any]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Moments]:
    """Products of orthonormal directions (r, k), singular values of both sides, the whitener of the first, moments."""
    m = _moments(stream, a, b)
    white_x, s_x = _once(memo, ("white", a), lambda: whitener(m.xx))
    white_y, s_y = _once(memo, ("white", b), lambda: whitener(m.yy))
    return white_x.T @ m.xy @ white_y, s_x, s_y, white_x, m


def _shape(stream: StreamingComparison, a: Key, b: Key, memo: dict[Any, Any]) -> Tensor:
    alpha = shapes.path_of(stream.options.get("alpha", 0.5))
    if alpha == 1:
        return _procrustes(stream, a, b, memo)
    product, s_x, s_y, _, m = _bases(stream, a, b, memo)
    if alpha == 0:
        shapes.check_rank(len(s_x), len(s_y), m.n)
    t_x, t_y = between(s_x, alpha), between(s_y, alpha)
    return shapes.shape_of(t_x[:, None] * product * t_y, t_x, t_y)


def _cca(stream: StreamingComparison, a: Key, b: Key, memo: dict[Any, Any]) -> Tensor:
    product, s_x, s_y, _, m = _bases(stream, a, b, memo)
    shapes.check_rank(len(s_x), len(s_y), m.n)
    return shapes.mean_correlation(product, s_x, s_y)


def _svcca(stream: StreamingComparison, a: Key, b: Key, memo: dict[Any, Any]) -> Tensor:
    product, s_x, s_y, _, m = _bases(stream, a, b, memo)
    variance = stream.options.get("variance", 0.99)
    s_x, s_y = shapes.leading(s_x, variance), shapes.leading(s_y, variance)
    shapes.check_rank(len(s_x), len(s_y), m.n)
    return shapes.mean_correlation(product[: len(s_x), : len(s_y)], s_x, s_y)


def _pwcca(stream: StreamingComparison, a: Key, b: Key, memo: dict[Any, Any]) -> Tensor:
    product, s_x, s_y, white_x, m = _bases(stream, a, b, memo)
    shapes.check_rank(len(s_x), len(s_y), m.n)
    return shapes.weighted_correlation(product, white_x.T @ m.xx)


def _linear(stream: StreamingComparison, a: Key, b: Key, memo: dict[Any, Any]) -> float:
    folds = [part.moments(a, b) for part in stream.parts if part.n]
    if len(folds) < 3:
        raise DegenerateDataError(f"the stimuli fall into {len(folds)} of {stream.n_folds} folds; three are needed.")
    ways = lookup(DIRECTIONS, stream.options.get("direction", "both"), "direction", callables=False)
    return predictivity_of(folds, penalties(stream.options.get("alphas", DEFAULT_ALPHAS)), ways)


STREAMED: dict[str, Streamed] = {
    "cka": _cka,
    "cka_debiased": _cka_debiased,
    "rv": _cka,
    "procrustes": _procrustes,
    "bures": _bures,
    "shape": _shape,
    "cca": _cca,
    "svcca": _svcca,
    "pwcca": _pwcca,
    "linear_predictivity": _linear,
}
