"""Ridge on lagged features without the lagged features: sums over samples, built lag by lag.

With D (samples, lags x features) the features at every lag, D'D is nearly block Toeplitz: one sample later in both
lags, a sum loses its first term and gains the one behind its last,

    G[j+1, i+1] = G[j, i] - x(t0 - s_j) x(t0 - s_i)' + x(t1 - s_j) x(t1 - s_i)',    s_(j+1) = s_j - 1,

for samples t0 <= t < t1, with x = 0 outside of the run. So the products with one lag give all the others, exactly.
Sums of stretches add up, which serves runs, trials and the folds that choose a penalty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..compute.batching import batches

PIECE = 1 << 21  # entries of the lagged features that are held at once
Stretch = tuple[int, int, int, int]  # start and stop of the run, start and stop of the stretch


@dataclass(frozen=True)
class Sums:
    """Sums over ``n`` samples: D'D (q, q), D'y (q, t), D'1 (q,), y'1 (t,) and y'y of each target (t,)."""

    gram: np.ndarray
    cross: np.ndarray
    total: np.ndarray
    targets: np.ndarray
    squares: np.ndarray
    n: int

    def __add__(self, other: Sums) -> Sums:
        return self._with(other, 1)

    def __sub__(self, other: Sums) -> Sums:
        return self._with(other, -1)

    def _with(self, other: Sums, sign: int) -> Sums:
        names = ("gram", "cross", "total", "targets", "squares", "n")
        return Sums(*(getattr(self, name) + sign * getattr(other, name) for name in names))

    def around(self, total: np.ndarray, targets: np.ndarray) -> Sums:
        """The same sums of features and targets less these means."""
        n, d, y = self.n, total, targets
        gram = self.gram - np.outer(self.total, d) - np.outer(d, self.total) + n * np.outer(d, d)
        cross = self.cross - np.outer(d, self.targets) - np.outer(self.total, y) + n * np.outer(d, y)
        squares = self.squares - 2 * y * self.targets + n * y**2
        return Sums(gram, cross, self.total - n * d, self.targets - n * y, squares, n)

    def turned(self, basis: np.ndarray) -> Sums:
        """In other coordinates of the lags: D with (lags, lags) ``basis`` applied to the lags of each feature."""
        half = turn(self.gram, basis)
        return Sums(
            turn(half.T, basis), turn(self.cross, basis), turn(self.total[:, None], basis)[:, 0],
            self.targets, self.squares, self.n,
        )  # fmt: skip


@dataclass(frozen=True)
class Lagged:
    """The features at every lag, row by row: x (n, p) centred, y (n, t), positions of each run, lags in samples."""

    x: np.ndarray
    y: np.ndarray
    first: int
    lags: int

    @property
    def columns(self) -> int:
        return self.lags * self.x.shape[1]

    def rows(self, stretch: Stretch) -> Iterator[tuple[slice, np.ndarray]]:
        """Positions, and the features at all lags, the last lag first: (some, lags x features) float64."""
        start, stop, begin, end = stretch
        p, last = self.x.shape[1], self.first + self.lags - 1
        for some in batches(end - begin, max(64, PIECE // self.columns)):
            low, high = begin + some.start, begin + some.stop
            here = np.zeros((high - low + self.lags - 1, p))
            one, two = max(low - last, start), min(high - self.first, stop)
            if two > one:
                here[one - low + last : two - low + last] = self.x[one:two]
            step = here.itemsize
            moved = np.lib.stride_tricks.as_strided(here, (high - low, self.columns), (p * step, step))
            yield slice(low, high), np.ascontiguousarray(moved)

    def sums(self, stretches: list[Stretch]) -> Sums:
        """Sums over the samples of these stretches, first lag first."""
        q, p, t = self.columns, self.x.shape[1], self.y.shape[1]
        products, edges = np.zeros((q, p + t + 1)), np.zeros((q, q))
        targets, squares, n = np.zeros(t), np.zeros(t), 0
        ends = []
        for stretch in stretches:
            start, stop, begin, end = stretch
            for place, rows in self.rows(stretch):
                y = self.y[place].astype(float, copy=False)
                products += rows.T @ np.concatenate([rows[:, :p], y, np.ones((len(y), 1))], axis=1)
                targets += y.sum(0)
                squares += np.einsum("nt,nt->t", y, y)
                n += len(y)
                if place.start == begin:
                    ends.append((-1, rows[0].copy()))
            ends += [(1, rows[0]) for _, rows in self.rows((start, stop, end, end + 1))]
            if len(ends) >= 512:
                edges += _outer(ends)
                ends = []
        if ends:
            edges += _outer(ends)
        gram = _filled(products[:, :p], edges, self.lags)
        return Sums(
            self._forward(self._forward(gram).T), self._forward(products[:, p:-1]),
            self._forward(products[:, -1:])[:, 0], targets, squares, n,
        )  # fmt: skip

    def _forward(self, table: np.ndarray) -> np.ndarray:
        """Blocks of rows in the order of the lags."""
        return np.ascontiguousarray(table.reshape(self.lags, self.x.shape[1], -1)[::-1]).reshape(self.columns, -1)

    def lead(self, stretches: list[Stretch], weights: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """D'(y - D w - offset) (q, t), and the sum of what is in the brackets (t,)."""
        backward, found = self._forward(weights), np.zeros(weights.shape)
        left = np.zeros(weights.shape[1])
        for stretch in stretches:
            for place, rows in self.rows(stretch):
                residual = self.y[place] - rows @ backward - offset
                found += rows.T @ residual
                left += residual.sum(0)
        return self._forward(found), left


def turn(table: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """``basis`` transposed, applied to the lags of the rows (lags x features)."""
    lags = len(basis)
    return (basis.T @ table.reshape(lags, -1)).reshape(table.shape)


def _outer(ends: list[tuple[int, np.ndarray]]) -> np.ndarray:
    table = np.array([row for _, row in ends])
    return (table * np.array([sign for sign, _ in ends])[:, None]).T @ table


def _filled(column: np.ndarray, edges: np.ndarray, lags: int) -> np.ndarray:
    """D'D from its first block column (q, p) and what each step along a diagonal of blocks adds (q, q)."""
    p = column.shape[1]
    gram = np.empty((lags, p, lags, p))
    gram[:, :, 0] = column.reshape(lags, p, p)
    gram[0] = column.reshape(lags, p, p).transpose(2, 0, 1)
    added = edges.reshape(lags, p, lags, p)
    for j in range(lags - 1):
        np.add(gram[j, :, :-1], added[j, :, :-1], out=gram[j + 1, :, 1:])
    return gram.reshape(lags * p, lags * p)
