"""The four encoders that are compared, and the scenes on which they are looked at."""

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.attention import RoutedEncoder, SpatialFeatureEncoder
from neurodecode.linear import Ridge
from neurodecode.representation import Labelled, as_representation

RIVALS = ("flattened ridge", "spatial x feature", "mean ridge")


def encoders(tokens, size, seed):
    """Name to (encoder, what it reads, permutations)."""
    alphas = 10.0 ** np.arange(0, 6)
    flat = tokens.values.reshape(len(tokens), -1)
    ridge = make_pipeline(Labelled(StandardScaler()), Ridge(alphas, cv=3))
    look = {"max_epochs": size["epochs"], "random_state": seed}
    return {
        "routed": (RoutedEncoder(width=64, n_heads=4, **look), tokens, 0),
        "flattened ridge": (ridge, like(tokens, flat), 0),
        "spatial x feature": (SpatialFeatureEncoder(**look), tokens, 0),
        "mean ridge": (ridge, like(tokens, tokens.values.mean(1)), size["permutations"]),
    }


def like(tokens, values):
    return as_representation(
        values, stimulus=tokens["stimulus"].values, kind="features", attrs={"dataset": "simulated"}
    )


def held_out(n):
    """The last sixth is looked at, the rest is fitted."""
    return np.arange(n - n // 6), np.arange(n - n // 6, n)
