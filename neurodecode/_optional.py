"""The one way an optional or heavy package is imported: inside the function that needs it."""

from __future__ import annotations

import importlib
from types import ModuleType

from .exceptions import MissingExtraError


def require(name: str, extra: str | None = None, purpose: str = "this") -> ModuleType:
    """Import ``name`` or say which install command provides it.

    Parameters
    ----------
    name : module to import, dots allowed.
    extra : the extra of neurodecode that installs it; None when it is a core dependency.
    purpose : what needs it, as it will stand at the start of the message.

    Raises
    ------
    MissingExtraError : the package is not installed.

    Examples
    --------
    >>> require("json", purpose="reading settings").__name__
    'json'
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        top = name.split(".")[0]
        if error.name is not None and error.name.split(".")[0] != top:
            raise
        target = f'"neurodecode[{extra}]"' if extra else "neurodecode"
        raise MissingExtraError(f"{purpose} needs {top}, which is not installed.\n  pip install {target}") from error
