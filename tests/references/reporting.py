"""What the reporting room reads off a result, written again with loops and the formulas as printed."""

from __future__ import annotations

import math


def area_mean(score, roi, name):
    """Mean over the units of an area that have a score; their number; the number without."""
    kept, lost = [], 0
    for value, area in zip(score, roi):
        if area == name:
            if math.isfinite(value):
                kept.append(float(value))
            else:
                lost += 1
    return sum(kept) / len(kept), len(kept), lost


def t_half_width(values, t):
    """Half of Student's interval of a mean: t s / sqrt(n), s with n - 1; ``t`` is read off a table."""
    n = len(values)
    mean = sum(values) / n
    s = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    return t * s / math.sqrt(n)


def permutation_p(found, null):
    """(b + 1) / (n + 1), Phipson and Smyth 2010."""
    return (1 + sum(1 for value in null if value >= found)) / (1 + len(null))


def world_of_voxel(ijk, affine):
    """Millimetres of one voxel, row by row."""
    return [sum(affine[row][axis] * ijk[axis] for axis in range(3)) + affine[row][3] for row in range(3)]
