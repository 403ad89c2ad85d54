"""Maps that are linear, whichever side is the brain: ridge, classifiers, delays; over time, times and places."""

from .._names import lazy as _lazy

__getattr__, __dir__, __all__ = _lazy(
    __name__,
    {
        "BandedRidge": "banded",
        "CSP": "filters",
        "CorrelationClassifier": "correlation",
        "Delays": "delays",
        "FIR": "delays",
        "Generalizing": "sliding",
        "HRF": "haemodynamic",
        "KernelRidge": "kernel",
        "LatentRegression": "latent",
        "LinearClassifier": "classify",
        "MinimumDistance": "tangent",
        "Ridge": "ridge",
        "SPoC": "filters",
        "SSD": "filters",
        "Searchlight": "searchlight",
        "Sliding": "sliding",
        "SpaceNetClassifier": "space_net",
        "SpaceNetRegressor": "space_net",
        "TemporalResponse": "receptive",
        "TangentSpace": "tangent",
        "Xdawn": "filters",
        "chain_time": "unfolding",
        "StackedRegression": "stacking",
        "stack_time": "unfolding",
    },
)
