"""Tensors and plain arrays, no labels: devices, seeds, batches, progress, algebra, scores, nulls, pooling, hooks.

Nothing in this room knows xarray. A function here is a pure function of its arguments; the rooms
above check, convert, call one of these and put the labels back.
"""

from .._names import lazy as _lazy

_files = (
    "alignment",
    "batching",
    "device",
    "discriminant",
    "dissimilarity",
    "hooks",
    "linalg",
    "many_ridges",
    "nulls",
    "pooling",
    "progress",
    "random",
    "rank",
    "responses",
    "scores",
)
__getattr__, __dir__, __all__ = _lazy(__name__, {name: name for name in _files})
