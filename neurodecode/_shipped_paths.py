"""Where the folders that travel with the package lie: ``datasets/`` and ``analyses/``.

In a checkout they stand beside ``neurodecode/``; in an installed wheel inside it, under ``_shipped/``.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """The folder of the checkout that this package runs from, or None when it was installed.

    Examples
    --------
    >>> folder = checkout()
    >>> folder is None or (folder / "pyproject.toml").is_file()
    True
    """
    folder = _PACKAGE.parent
    return folder if (folder / "pyproject.toml").is_file() else None


def shipped(name: str) -> Path:
    """The folder ``datasets`` or ``analyses``, wherever this copy of the package keeps it.

    The folder may be empty or absent in a broken installation; whoever lists it says what is missing.

    Examples
    --------
    >>> shipped("datasets").name
    'datasets'
    """
    home = checkout()
    if home is not None and (home / name).is_dir():
        return home / name
    return _PACKAGE / "_shipped" / name
