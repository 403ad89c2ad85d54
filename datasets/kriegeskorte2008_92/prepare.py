"""Reads kriegeskorte2008_92: matrices of people, monkeys, judgements and models for 92 pictures, and the pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodecode.similarity import as_rdm
from neurodecode.sources import stimuli


def load(folder: Path) -> dict:
    """``human`` (4 people, sessions averaged), ``monkey``, ``behaviour`` (16 people), ``models`` (8), ``pictures``.

    All matrices carry ``stimulus`` (image_01 ... image_92) and ``category``; ``models`` has the dimension ``model``.
    """
    with np.load(folder / "rdms.npz") as stored:
        held = {key: stored[key] for key in stored.files}
    with np.load(folder / "stimuli.npz") as stored:
        shown = {key: stored[key] for key in stored.files}
    names = [f"image_{at:02d}" for at in range(1, 93)]
    category = shown["category"].astype(str)
    models = held["model_names"].astype(str)
    common = {"stimulus": names, "coords": {"category": category}}
    said = {"dataset": "kriegeskorte2008_92"}
    return {
        "human": as_rdm(
            held["human_IT_subject_session"].mean(axis=1),
            subject=[f"human {at}" for at in range(1, 5)],
            attrs={**said, "metric": "1 - correlation", "roi": "IT"},
            **common,
        ),
        "monkey": as_rdm(held["monkey_IT"], attrs={**said, "metric": "1 - correlation", "roi": "IT"}, **common),
        "behaviour": as_rdm(
            held["human_behaviour"],
            subject=[f"judge {at:02d}" for at in range(1, 17)],
            attrs={**said, "metric": "distance on a screen"},
            **common,
        ),
        "models": as_rdm(
            held["model_rdms"],
            stimulus=names,
            coords={"category": category, "model": models},
            dims=("model",),
            attrs={**said, "metric": "as published"},
        ),
        "pictures": stimuli.read(
            shown["images"], category, stimulus=names, duplicates="allow", dataset="kriegeskorte2008_92"
        ),
    }
