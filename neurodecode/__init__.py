"""neurodecode: decode brains and networks with the same tools.

A recording (fMRI, EEG, MEG, calcium) and a network's activations are the same kind of
object, a labelled ``sample x unit`` array; every method here works on both.
Importing the package loads nothing heavy; rooms load when they are first used.
"""

from ._names import lazy as _lazy

__version__ = "0.1.0"

_rooms = (
    "representation",
    "compute",
    "sources",
    "linear",
    "attention",
    "connectivity",
    "similarity",
    "evaluation",
    "reporting",
    "exceptions",
    "studies",
)
__getattr__, __dir__, _public = _lazy(__name__, {room: room for room in _rooms})
__all__ = ["__version__", *_public]
