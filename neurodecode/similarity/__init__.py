"""How alike two representations are: dissimilarities, geometric measures, and what may be concluded from them."""

from .._names import lazy as _lazy

__getattr__, __dir__, __all__ = _lazy(
    __name__,
    {
        "as_rdm": "rdms",
        "check_rdm": "rdms",
        "match_rdms": "rdms",
        "rdm": "dissimilarity",
    },
)
