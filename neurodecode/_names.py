"""Names to things: rows of a table, public names of a room."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lookup(table: Mapping[str, Any], key: Any, argument: str, *, callables: bool = True) -> Any:
    """The row of ``table`` called ``key``; a callable is its own row, unless ``callables`` is False.

    Raises
    ------
    ValueError : no such row; the message lists the names and the nearest one.

    Examples
    --------
    >>> lookup({"r": max, "r2": min}, "r", "score") is max
    True
    """
    if callables and callable(key):
        return key
    if isinstance(key, str) and key in table:
        return table[key]
    near = difflib.get_close_matches(str(key), list(table), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    if not table:
        raise ValueError(f"{argument}={key!r} is not known: there is none to choose.")
    names = ", ".join(repr(name) for name in table)
    end = ", or pass a callable." if callables else "."
    raise ValueError(f"{argument}={key!r} is not known.{hint} Choose one of {names}{end}")


def lazy(module: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a room whose public names load on first use.

    ``names`` maps a public name to the file (submodule) that holds it; a name that maps to itself
    is the submodule.
    """

    def getter(name: str) -> Any:
        if name not in names:
            near = difflib.get_close_matches(name, list(names), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise AttributeError(f"module {module!r} has no attribute {name!r}.{hint}")
        found = importlib.import_module(f"{module}.{names[name]}")
        return found if names[name] == name else getattr(found, name)

    public = sorted(names)
    return getter, lambda: public, public
