"""Walking a long axis in pieces."""

from __future__ import annotations

from collections.abc import Iterator


def batches(n: int, size: int | None) -> Iterator[slice]:
    """Slices that cover ``range(n)`` in order, each of ``size`` entries but the last.

    Parameters
    ----------
    n : length of the axis, 0 or more.
    size : entries a slice, 1 or more; None for all at once.

    Raises
    ------
    ValueError : negative ``n`` or ``size`` below 1.

    Examples
    --------
    >>> [(s.start, s.stop) for s in batches(5, 2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    if n < 0:
        raise ValueError(f"n={n}: the length of an axis cannot be negative.")
    size = max(n, 1) if size is None else int(size)
    if size < 1:
        raise ValueError(f"size={size}: a batch needs at least 1 entry.")
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
