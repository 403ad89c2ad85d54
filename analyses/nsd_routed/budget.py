"""What the job will take, said before it starts: disk, memory, hours."""

import logging
import os
import shutil
import time

import torch

from neurodecode.exceptions import CapacityError

log = logging.getLogger("neurodecode")
TRIALS_A_SESSION = 750
GIGA = 1e9


def predict(model, n_pictures, n_trials, n_voxels, n_tokens, settings, fits):
    """Bytes on disk, bytes in memory and hours of a job, from sizes and the speed of this machine in one product."""
    width = model.config.hidden_size
    parameters = sum(one.numel() for one in model.parameters())
    blocks = model.config.num_hidden_layers
    tokens_bytes = 2 * n_pictures * (n_tokens + 1) * width
    readout = 16 * n_voxels * settings["width"]  # weights, gradient and two moments of AdamW
    step = 4 * settings["batch"] * n_tokens * (3 * width + 3 * 50 * settings["heads"])
    ridge = 4 * n_pictures * (2 * settings["grid"] ** 2 * width + 3 * n_pictures)
    # Trials are held twice while sessions are put together; so are what is averaged and what is predicted.
    memory = 4 * parameters + 8 * n_trials * n_voxels + 20 * n_pictures * n_voxels + max(readout + step, ridge)
    through = 2 * n_pictures * (parameters * n_tokens + 2 * blocks * width * n_tokens**2)
    trained = 3 * 4 * settings["epochs"] * n_pictures * n_tokens * width * 50 * settings["heads"]
    return {
        "disk": tokens_bytes,
        "memory": memory,
        "hours": (through + fits * trained) / speed(settings["device"]) / 3600,
    }


def speed(device, size=768, seconds=0.2):
    """Half the operations a second that products of matrices reach here: the rest of a network is slower."""
    left = torch.zeros(size, size, device=device)
    left @ left
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        float((left @ left)[0, 0])
        done += 1
    return 0.5 * 2 * size**3 * done / (time.perf_counter() - start)


def allow(predicted, folder, settings):
    """Say what is coming; CapacityError where it cannot be."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    limit = settings["max_memory"] or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    said = (
        f"{predicted['disk'] / GIGA:.1f} GB of tokens on disk ({free / GIGA:.0f} GB are free), "
        f"{predicted['memory'] / GIGA:.1f} GB of memory (of {limit / GIGA:.0f} GB), "
        f"about {predicted['hours']:.1f} hours on {settings['device']}"
    )
    log.info("nsd_routed: %s", said)
    if predicted["disk"] > free:
        raise CapacityError(f"the tokens do not fit on the disk of the output: {said}. Name another folder with --out.")
    if predicted["memory"] > limit:
        raise CapacityError(f"the job does not fit in memory: {said}. Name fewer sessions, or a smaller grid.")
    if predicted["hours"] > settings["most_hours"]:
        raise CapacityError(
            f"the job is predicted to be too long: {said}; at most {settings['most_hours']:g} are allowed. Set "
            "device=cuda, fewer sessions or epochs, or more most_hours."
        )
    return said
