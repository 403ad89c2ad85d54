"""Foreign data becomes a representation here, and nothing else: recordings, pictures, networks, simulations."""

from .._names import lazy as _lazy

__getattr__, __dir__, __all__ = _lazy(
    __name__,
    {name: name for name in ("calcium", "eeg", "fmri", "network", "recipes", "simulated", "stimuli", "zoo")},
)
