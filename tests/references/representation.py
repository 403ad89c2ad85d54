"""Slow twins of the labelled arrangements, one sample at a time, with lists and dictionaries."""

from __future__ import annotations

import math


def slow_match(rows_x, labels_x, rows_y, labels_y, inner=False):
    """Pairs (label, row of X, row of Y) in the order of X; no label may repeat."""
    assert len(set(labels_x)) == len(labels_x)
    assert len(set(labels_y)) == len(labels_y)
    pairs = []
    for label, row in zip(labels_x, rows_x):
        partner = [other for name, other in zip(labels_y, rows_y) if name == label]
        if partner:
            pairs.append((label, row, partner[0]))
        else:
            assert inner, f"{label} is missing"
    return pairs


def slow_average(rows, labels):
    """(label, mean row, count) in the order in which labels first appear, with exact sums."""
    out = []
    for label in dict.fromkeys(labels):
        members = [row for row, name in zip(rows, labels) if name == label]
        columns = list(zip(*members))
        out.append((label, [math.fsum(column) / len(members) for column in columns], len(members)))
    return out
