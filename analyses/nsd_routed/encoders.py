"""The encoders that are compared, each fitted to the same training pictures: routed, static, two ridges, shuffled."""

from dataclasses import replace

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.attention import RoutedEncoder, Routing, SpatialFeatureEncoder, Training
from neurodecode.compute.random import check_random_state
from neurodecode.linear import Ridge

from . import tokens

ALPHAS = 10.0 ** np.arange(0, 7)
RIVALS = ("flattened ridge", "spatial x feature", "mean ridge")


def fitted(X, Y, masks, settings, job):
    """Name to (encoder fitted to the training pictures, what it reads of the tokens)."""
    look = {"random_state": job.seed, "max_epochs": settings["epochs"]}

    def training(name):
        return Training(
            learning_rate=settings["learning_rate"], weight_decay=settings["weight_decay"], schedule=(100, 0.5),
            batch_size=settings["batch"], clip=settings["clip"], dropout=settings["dropout"],
            validation=settings["held_back"], device=settings["device"], checkpoint=job.store(f"{name}.checkpoint"),
        )  # fmt: skip

    def routed(name):
        routing = Routing(positions="sine", hidden=settings["hidden"])
        return RoutedEncoder(
            masks, settings["width"], settings["heads"], routing=routing, training=training(name), **look
        )

    static = replace(
        training("static"), learning_rate=0.05, clip=1.0, dropout=0.0, schedule="cosine", weight_decay=1e-2
    )
    job.store("").mkdir(parents=True, exist_ok=True)
    ridge = make_pipeline(StandardScaler(), Ridge(ALPHAS, cv=3, device=settings["device"]))
    found = {
        "routed": (routed("routed").fit(X, Y), lambda tokens: tokens),
        "spatial x feature": (SpatialFeatureEncoder(masks, training=static, **look).fit(X, Y), lambda tokens: tokens),
    }
    for name, side in (("flattened ridge", settings["grid"]), ("mean ridge", 1)):
        own = make_pipeline(*(type(step)(**step.get_params()) for _, step in ridge.steps))
        found[name] = (own.fit(tokens.pooled(X, side), Y.values), lambda some, side=side: tokens.pooled(some, side))
    if settings["shuffled"]:
        other = check_random_state(job.seed + 1).permutation(len(Y))
        found["shuffled"] = (routed("shuffled").fit(X, Y.copy(data=Y.values[other])), lambda some: some)
    return found
