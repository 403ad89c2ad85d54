"""Slow twins of the connectivity room: the formulas pair by pair."""

from __future__ import annotations

import math

import numpy as np


def slow_correlations(series: np.ndarray, who: list, fisher: bool = True) -> np.ndarray:
    """Person by person, pair by pair, sum by sum."""
    rows = []
    for person in dict.fromkeys(who):
        mine = [row for row, name in zip(series.tolist(), who) if name == person]
        row = []
        for i in range(series.shape[1]):
            for j in range(i + 1, series.shape[1]):
                a, b = [t[i] for t in mine], [t[j] for t in mine]
                ma, mb = sum(a) / len(a), sum(b) / len(b)
                top = sum((u - ma) * (v - mb) for u, v in zip(a, b))
                below = math.sqrt(sum((u - ma) ** 2 for u in a) * sum((v - mb) ** 2 for v in b))
                r = top / below
                row.append(0.5 * math.log((1 + r) / (1 - r)) if fisher else r)
        rows.append(row)
    return np.asarray(rows)
