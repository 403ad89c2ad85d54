"""Maps that route: every area reads the tokens that match its query, or keeps to a place."""

from .._names import lazy as _lazy

__getattr__, __dir__, __all__ = _lazy(
    __name__,
    {
        "EncoderEnsemble": "ensemble",
        "FactorizedEncoder": "spatial",
        "GaussianFieldEncoder": "fields",
        "Reader": "modules",
        "RoutedEncoder": "routed",
        "Routing": "routed",
        "SpatialFeatureEncoder": "spatial",
        "TokenEncoder": "encoder",
        "Training": "routed",
        "past": "sequences",
        "stack_people": "people",
    },
)
