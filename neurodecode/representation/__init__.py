"""One data model for recordings and activations: a labelled ``sample x unit`` array, and how it is kept."""

from .._names import lazy as _lazy

__getattr__, __dir__, __all__ = _lazy(
    __name__,
    {
        "as_representation": "schema",
        "check_representation": "schema",
        "check_finite": "schema",
        "Labels": "labels",
        "plain": "labels",
        "labelled": "labels",
        "check_same_samples": "labels",
        "check_same_units": "labels",
        "check_same_labels": "labels",
        "match": "arrange",
        "average_repeats": "arrange",
        "concat": "concatenate",
        "Labelled": "wrap",
        "save": "store",
        "load": "store",
        "verify": "store",
        "content_hash": "store",
        "write_atomic": "store",
        "cached": "cache",
    },
)
