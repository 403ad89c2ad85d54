"""Names to things: rows of a table, public names of a room."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Mapping
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
    hint = _hint(str(key), table)
    if not table:
        raise ValueError(f"{argument}={key!r} is not known: there is none to choose.")
    names = ", ".join(repr(name) for name in table)
    end = ", or pass a callable." if callables else "."
    raise ValueError(f"{argument}={key!r} is not known.{hint} Choose one of {names}{end}")


def _hint(key: str, names: Iterable[str]) -> str:
    """A sentence that asks for the name next to ``key``: spelt nearly so, in other cases, or beginning like it.

    Examples
    --------
    >>> _hint("corr", ["cosine", "correlation"])
    " Did you mean 'correlation'?"
    """
    small = {name.lower(): name for name in map(str, names)}
    near = difflib.get_close_matches(key.lower(), list(small), n=1)
    begun = [name for name in small if len(key) > 1 and name.startswith(key.lower())]
    return f" Did you mean {small[(near or begun)[0]]!r}?" if near or begun else ""


def lazy(module: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a room whose public names load on first use.

    ``names`` maps a public name to the file (submodule) that holds it; a name that maps to itself
    is the submodule.
    """

    def getter(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}.{_hint(name, names)}")
        found = importlib.import_module(f"{module}.{names[name]}")
        return found if names[name] == name else getattr(found, name)

    public = sorted(names)
    return getter, lambda: public, public
