"""Graphs from time series: what regions have in common over time, as features of a person."""

from .._names import lazy as _lazy

__getattr__, __dir__, __all__ = _lazy(__name__, {"correlations": "pairwise"})
