"""The encoders that are fitted by gradient: routed, spatial x feature, convolution, and routed to other responses."""

from dataclasses import replace

import numpy as np

from neurodecode.attention import EncoderEnsemble, RoutedEncoder, Routing, SpatialFeatureEncoder, Training
from neurodecode.compute.random import check_random_state

from .convolution import ConvolutionEncoder

RIVALS = ("flattened ridge", "spatial x feature", "convolution", "class token ridge", "mean ridge")


def makers(masks, settings):
    """Name to an encoder that is not fitted yet, with how many members it has a block."""
    look = {"max_epochs": settings["epochs"]}
    usual = Training(
        learning_rate=settings["learning_rate"], weight_decay=settings["weight_decay"], schedule=(100, 0.5),
        batch_size=settings["batch"], clip=settings["clip"], dropout=settings["dropout"],
        validation=settings["held_back"], device=settings["device"],
    )  # fmt: skip
    # A map over places starts even and has no attention to tune: it wants larger steps that end small.
    static = replace(usual, learning_rate=0.05, clip=1.0, dropout=0.0, schedule="cosine", weight_decay=1e-2)
    routing = Routing(positions="sine", hidden=settings["hidden"])
    routed = RoutedEncoder(masks, settings["width"], settings["heads"], routing=routing, training=usual, **look)
    found = {"routed": (routed, settings["members"])}
    if settings["shuffled"]:
        found["shuffled"] = routed, 1
    if "spatial x feature" in settings["rivals"]:
        found["spatial x feature"] = SpatialFeatureEncoder(masks, training=static, **look), settings["members"]
    if "convolution" in settings["rivals"]:
        plain = replace(usual, dropout=0.0)
        size = {"channels": settings["channels"], "penalty": settings["penalty"]}
        found["convolution"] = ConvolutionEncoder(training=plain, **size, **look), 1
    return found


def fitted(X, Y, masks, settings, job):
    """Name to the ensemble over members and blocks; every fit goes on from its own file of the last epoch."""
    answer = {}
    for name, (encoder, members) in makers(masks, settings).items():
        folder = job.store("fits") / name
        folder.mkdir(parents=True, exist_ok=True)
        encoder.set_params(training=replace(encoder.training, checkpoint=folder))
        told = Y
        if name == "shuffled":
            told = Y.copy(data=Y.values[check_random_state(job.seed + 1).permutation(len(Y))])
        by = "layer" if len(settings["blocks"]) > 1 else None
        answer[name] = EncoderEnsemble(encoder, members, by=by, random_state=job.seed).fit(X, told)
    return answer


def waiting(ensembles):
    """Share of the time of all fits that was spent waiting for tokens from the disk, and their hours."""
    each = [one.history_ for each in ensembles.values() for members in each.members_.values() for one in members]
    seconds = np.array([one.seconds for one in each])
    return float(np.average([one.waiting_share for one in each], weights=seconds)), float(seconds.sum() / 3600)
