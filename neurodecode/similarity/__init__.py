"""How alike two representations are: dissimilarities, geometric measures, and what may be concluded from them."""

from .._names import lazy as _lazy

__getattr__, __dir__, __all__ = _lazy(
    __name__,
    {
        "as_rdm": "rdms",
        "check_rdm": "rdms",
        "match_rdms": "rdms",
        "rdm": "dissimilarity",
        "searchlight_rdms": "dissimilarity",
        "MEASURES": "comparison",
        "Measure": "comparison",
        "compare": "comparison",
        "describe": "comparison",
        "compare_grid": "grid",
        "StreamingComparison": "streaming",
        "cka": "kernels",
        "cka_debiased": "kernels",
        "rv": "kernels",
        "procrustes": "shapes",
        "bures": "shapes",
        "shape": "shapes",
        "cca": "shapes",
        "svcca": "shapes",
        "pwcca": "shapes",
        "permutation": "matching",
        "semi_matching": "matching",
        "sparse_matching": "matching",
        "soft_matching": "matching",
        "mutual_knn": "neighbours",
        "gw": "neighbours",
        "linear_predictivity": "predictivity",
        "rsa": "representational",
    },
)
