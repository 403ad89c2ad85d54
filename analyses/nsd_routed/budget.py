"""What the job will take, said before it starts: disk, memory, and hours from a few real steps at the real sizes."""

import logging
import os
import shutil
import time
import warnings
from dataclasses import replace

import numpy as np
import torch
from sklearn.base import clone

from neurodecode.exceptions import CapacityError, NeurodecodeWarning

from .encoders import makers
from .rivals import CHUNK, FOLDS
from .tokens import BATCH

log = logging.getLogger("neurodecode")
ALWAYS = 8e8  # bytes of the libraries
RIDGE_ALWAYS = 3e8  # bytes of its blocks of units
ROWS_READ = 64  # samples that go through an encoder at once when it predicts
STEPS = 3  # of each encoder, timed after one that is not
PICTURES = 2  # through the network, timed after one


def predict(model, n, n_trials, masks, grid, settings):
    """Bytes on disk and in memory, and hours of each part, of a job with ``n`` pictures.

    A fit is ``epochs`` times as many steps as there are batches; a step, and a picture through the network, take as
    long as they do now; the disk keeps up with the steps. Ridge is counted in products at half the speed of one.
    """
    log.info("nsd_routed: timing a few steps of every encoder on %s", settings["device"])
    rows, cols = grid
    n_tokens, width, blocks = rows * cols, model.config.hidden_size, len(settings["blocks"])
    units = len(next(iter(masks.values())))
    parameters = sum(one.numel() for one in model.parameters())
    hours = {"network": n * picture_seconds(model, grid, settings["device"]) / 3600}
    wide = {"convolution": settings["channels"] * -(-rows // 3) * -(-cols // 3), "spatial x feature": width}
    peak, stay, disk = 0.0, 0.0, 2 * n * blocks * (n_tokens + 1) * width
    for name, (encoder, members) in makers(masks, settings).items():
        fits, readout = members * blocks, 4 * units * wide.get(name, settings["width"])
        queries = len(masks) * (settings["heads"] if name in ("routed", "shuffled") else 1)
        step = 4 * n_tokens * max(settings["batch"] * (4 * width + 3 * queries), ROWS_READ * (3 * width + 2 * queries))
        stay, disk, peak = stay + fits * readout, disk + 4 * fits * readout, max(peak, 5 * readout + step)
        steps = settings["epochs"] * -(-n // settings["batch"])
        hours[name] = fits * steps * step_seconds(encoder, n_tokens, width, units, settings) / 3600
    flat = "flattened ridge" in settings["rivals"]
    products = 2 * n * n * n_tokens * width * blocks + 40 * (FOLDS + 2) * n**3 if flat else 2 * n * width**2
    products += 2 * (FOLDS + 1) * n * n * units * len(settings["rivals"])
    hours["ridge"] = products / (0.5 * speed(settings["device"])) / 3600
    heads = model.config.num_attention_heads
    through = 4 * BATCH * n_tokens * (8 * width + heads * n_tokens)
    # Trials are held twice while sessions are put together, and once beside the network; then they are let go. Held
    # twice too are what is averaged and what is predicted.
    first = max(8 * n_trials * units + 12 * n * units, 4 * n_trials * units + through)
    then = 20 * n * units + stay + max(peak, ridge_bytes(n, n_tokens, width * blocks, flat))
    return {"disk": disk, "memory": 1.1 * (ALWAYS + 4 * parameters + max(first, then)), "hours": hours}


def ridge_bytes(n, n_tokens, width, flat):
    """Peak of the ridges: tokens being standardised, then factors of all folds, as many components as pictures."""
    if not flat:
        return RIDGE_ALWAYS + 120 * n * width
    reading = 3.5 * min(CHUNK, 4 * n * n_tokens * width) + 8 * n * n
    return max(reading, RIDGE_ALWAYS + 112 * n * n)


def step_seconds(encoder, n_tokens, width, units, settings):
    """Seconds of one step of a fit at these sizes, on numbers that are drawn."""
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(STEPS * settings["batch"], n_tokens, width)).astype(np.float32)
    brain = rng.normal(size=(len(tokens), units)).astype(np.float32)
    training = replace(encoder.training, validation=0.0, checkpoint=None)
    short = clone(encoder).set_params(max_epochs=1, random_state=0, training=training)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NeurodecodeWarning)
        first = settings["batch"]
        clone(short).fit(tokens[:first], brain[:first])
        return short.fit(tokens, brain).history_.seconds / STEPS


def picture_seconds(model, grid, device):
    """Seconds of one picture through the network."""
    side = model.config.patch_size
    home = next(model.parameters()).device
    pixels = torch.zeros(PICTURES, 3, grid[0] * side, grid[1] * side, device=device)
    try:
        model.to(device)
        with torch.no_grad():
            float(model(pixels[:1]).last_hidden_state.sum())
            start = time.perf_counter()
            float(model(pixels).last_hidden_state.sum())
            return (time.perf_counter() - start) / PICTURES
    finally:
        model.to(home)


def speed(device, size=1024, seconds=0.2):
    """Operations a second that products of matrices reach here."""
    left = torch.zeros(size, size, device=device)
    float((left @ left)[0, 0])
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        float((left @ left)[0, 0])
        done += 1
    return 2 * size**3 * done / (time.perf_counter() - start)


def duration(hours):
    """Seconds, minutes or hours, whichever reads best."""
    for unit, factor in (("s", 3600), ("min", 60)):
        if hours * factor < 90:
            return f"{hours * factor:.2g} {unit}"
    return f"{hours:.2g} hours"


def size(number):
    """Bytes as megabytes or gigabytes."""
    return f"{number / 1e6:.2g} MB" if number < 1e8 else f"{number / 1e9:.1f} GB"


def allow(predicted, folder, settings):
    """Say what is coming; CapacityError, with what to change, where it cannot be."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free + sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
    limit = settings["max_memory"] or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    hours = sum(predicted["hours"].values())
    parts = ", ".join(f"{name} {duration(value)}" for name, value in predicted["hours"].items())
    said = (
        f"{size(predicted['disk'])} on disk ({size(free)} are free), "
        f"{size(predicted['memory'])} of memory (of {size(limit)}), about {duration(hours)} on "
        f"{settings['device']} ({parts}; from {STEPS} steps of each, if the disk keeps up)"
    )
    log.info("nsd_routed: %s", said)
    if predicted["disk"] > free:
        raise CapacityError(f"tokens and fits do not fit on the disk of the output: {said}. Name another with --out.")
    if predicted["memory"] > limit:
        raise CapacityError(
            f"the job does not fit in memory: {said}. The convolution has by far the largest readout: leave it out "
            'with --set \'rivals=["flattened ridge", "spatial x feature"]\', or take fewer --set sessions=N.'
        )
    if hours > settings["most_hours"]:
        raise CapacityError(
            f"the job is predicted to be too long: {said}; at most {settings['most_hours']:g} hours are allowed. "
            "Change one of: --set device=cuda, members=1, shuffled=false, epochs=N, sessions=N, rivals=[...], or "
            "--set most_hours=N to wait that long."
        )
    return said
