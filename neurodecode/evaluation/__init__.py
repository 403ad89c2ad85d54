"""Driving estimators and judging them: splits, scores, cross-validation, ceilings, group statistics, results."""

from .._names import lazy as _lazy

__getattr__, __dir__, __all__ = _lazy(
    __name__,
    {
        "SplitBy": "splits",
        "Contiguous": "splits",
        "SCORES": "scores",
        "Score": "scores",
        "retrieval": "scores",
        "evaluate": "scores",
        "gains": "advantage",
        "cross_validate": "crossval",
        "repeat_ceiling": "ceilings",
        "repeat_variances": "ceilings",
        "subject_ceiling": "ceilings",
        "normalize": "ceilings",
        "cluster_test": "clusters",
        "partition_variance": "partition",
        "partition_table": "partition",
        "product_measure": "partition",
        "fdr": "corrections",
        "group": "inference",
        "paired_difference": "inference",
        "per_subject": "subjects",
        "check_result": "result",
        "figure": "result",
        "study_tree": "result",
        "area_means": "result",
    },
)
