"""Numbers that a caller gave: checked once, with one wording, before anything is computed with them."""

from __future__ import annotations

import math
import numbers
from typing import Any


def whole(value: Any, argument: str, least: int = 0, most: int | None = None) -> int:
    """``value`` as an int: a count such as permutations, folds or neighbours.

    Raises
    ------
    ValueError : not a whole number (text, 2.5, True), or outside ``least`` to ``most``.

    Examples
    --------
    >>> whole(1e3, "permutations"), whole(5, "k", least=1)
    (1000, 5)
    >>> whole("10", "permutations")
    Traceback (most recent call last):
    ValueError: permutations='10': expected a whole number, 0 or more.
    """
    fine = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if not fine or int(value) != value or value < least or (most is not None and value > most):
        reach = f"{least} or more" if most is None else f"from {least} to {most}"
        raise ValueError(f"{argument}={value!r}: expected a whole number, {reach}.")
    return int(value)


def amount(value: Any, argument: str, least: float | None = 0.0, most: float | None = None, unit: str = "") -> float:
    """``value`` as a float: a finite number in ``unit`` from ``least`` on, such as a radius or a penalty.

    Raises
    ------
    ValueError : not a finite number (text, NaN, True), or outside ``least`` to ``most``.

    Examples
    --------
    >>> amount(4, "radius", unit="millimetres")
    4.0
    >>> amount(-4, "radius", unit="millimetres")
    Traceback (most recent call last):
    ValueError: radius=-4: expected a number of millimetres, 0 or more.
    """
    fine = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if not fine or (least is not None and value < least) or (most is not None and value > most):
        reach = "" if most is None else f" up to {most:g}"
        reach = reach if least is None else f", {least:g} or more" if most is None else f" from {least:g} to {most:g}"
        raise ValueError(f"{argument}={value!r}: expected a number{unit and f' of {unit}'}{reach}.")
    return float(value)


def numbers_of(values: Any, argument: str, said: str) -> Any:
    """``values`` as an array of floats; text and other things that are no numbers are refused with ``said``.

    Examples
    --------
    >>> numbers_of([1, 10], "alphas", "one or more numbers").tolist()
    [1.0, 10.0]
    >>> numbers_of("auto", "alphas", "one or more numbers")
    Traceback (most recent call last):
    ValueError: alphas='auto': expected one or more numbers.
    """
    import numpy as np

    try:
        found = np.asarray(values)
        if found.dtype.kind in "USb":
            raise ValueError
        return found.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{argument}={values!r}: expected {said}.") from None
