"""Reads results and shows them, never recomputes: tables, plots, maps of the brain, one self-contained page."""

from .._names import lazy as _lazy

__getattr__, __dir__, __all__ = _lazy(
    __name__,
    {"brains": "brains", "page": "document", "plots": "plots", "tables": "tables", "topographies": "topographies"},
)
