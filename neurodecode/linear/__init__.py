"""Maps that are linear, whichever side is the brain: ridge regression, linear classifiers, delays."""

from .._names import lazy as _lazy

__getattr__, __dir__, __all__ = _lazy(__name__, {"Delays": "delays", "LinearClassifier": "classify", "Ridge": "ridge"})
