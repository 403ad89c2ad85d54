"""Maps that are linear, whichever side is the brain: ridge, classifiers, delays; over time, times and places."""

from .._names import lazy as _lazy

__getattr__, __dir__, __all__ = _lazy(
    __name__,
    {
        "CorrelationClassifier": "correlation",
        "Delays": "delays",
        "Generalizing": "sliding",
        "LinearClassifier": "classify",
        "Ridge": "ridge",
        "Searchlight": "searchlight",
        "Sliding": "sliding",
    },
)
