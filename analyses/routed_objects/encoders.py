"""The four encoders that are compared, and what each reads of the tokens."""

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.attention import RoutedEncoder, SpatialFeatureEncoder, Training
from neurodecode.linear import Ridge
from neurodecode.representation import Labelled, as_representation

RIVALS = ("flattened ridge", "spatial x feature", "mean ridge")
ALPHAS = 10.0 ** np.arange(0, 6)


def encoders(tokens, settings, seed):
    """Name to (encoder, what it reads, permutations); a linear map of the mean is the mean of the linear maps."""
    ten = tokens.values.reshape(len(tokens), tokens["picture"].values.max() + 1, -1, tokens.sizes["unit"]).mean(1)
    ridge = make_pipeline(Labelled(StandardScaler()), Ridge(ALPHAS, cv=6))
    training = {"batch_size": settings["batch"], "validation": 0.0}
    look = {"max_epochs": settings["epochs"], "random_state": seed, "within": "picture"}
    return {
        "routed": (RoutedEncoder(width=settings["width"], training=Training(**training), **look), tokens, 0),
        "flattened ridge": (ridge, like(tokens, ten.reshape(len(ten), -1)), 0),
        "spatial x feature": (
            SpatialFeatureEncoder(training=Training(learning_rate=0.05, dropout=0.0, **training), **look), tokens, 0,
        ),
        "mean ridge": (ridge, like(tokens, ten.mean(1)), settings["permutations"]),
    }  # fmt: skip


def like(tokens, values):
    attrs = {"model": "resnet20", "dataset": "object2vec_objects"}
    return as_representation(values, stimulus=tokens["stimulus"].values, kind="network", attrs=attrs)
