"""Reads one person of THINGS-EEG2 from the authors' preprocessed files, without running what a pickle might hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurodecode.exceptions import AlignmentError, IntegrityError
from neurodecode.representation import as_representation
from neurodecode.sources.pickled import read_dictionary

FILES = {"training": "preprocessed_eeg_training.npy", "test": "preprocessed_eeg_test.npy"}
KEYS = {"training": "train", "test": "test"}


def load(folder: Path, subject: str = "sub-01", split: str = "test", average: bool = True) -> dict:
    """``brain``: sample x channel x time; one sample a picture (``n_repeats`` averaged) or one a presentation.

    ``split`` is ``"training"`` (16,540 pictures x 4) or ``"test"`` (200 x 80). ``stimulus`` is the picture's file
    name, ``category`` its object. Values are whitened by the authors (multivariate noise normalisation): no volts.
    """
    if split not in FILES:
        raise ValueError(f"split={split!r}; choose 'training' or 'test'")
    path = folder / "preprocessed_data" / subject / FILES[split]
    metadata = folder / "image_set" / "image_metadata.npy"
    for needed in (path, metadata):
        if not needed.is_file():
            raise IntegrityError(
                f"things_eeg2: {needed.name} is not in {needed.parent}; the card says where it comes from"
            )
    recorded, pictures = read_dictionary(path), read_dictionary(metadata)
    values = np.asarray(recorded["preprocessed_eeg_data"], dtype=np.float32)  # picture x repeat x channel x time
    names = [Path(str(name)).stem for name in pictures[f"{KEYS[split]}_img_files"]]
    concepts = [str(name) for name in pictures[f"{KEYS[split]}_img_concepts"]]
    if len(names) != len(values):
        raise AlignmentError(f"{path.name} holds {len(values)} pictures, image_metadata.npy names {len(names)}")
    repeats = values.shape[1]
    if average:
        sample = {"category": concepts, "n_repeats": np.repeat(repeats, len(names))}
        values = values.mean(axis=1)
    else:
        names, concepts = np.repeat(names, repeats), np.repeat(concepts, repeats)
        sample = {"category": concepts, "repeat": np.tile(np.arange(repeats), len(values))}
        values = values.reshape(-1, *values.shape[2:])
    times = np.asarray(recorded["times"], dtype=float)
    brain = as_representation(
        values,
        stimulus=names,
        kind="eeg",
        sample={**sample, "subject": np.repeat(subject, len(names)), "split": np.repeat(split, len(names))},
        unit={"channel": [str(name) for name in recorded["ch_names"]]},
        attrs={
            "quantity": "whitened potential",
            "units": "a.u.",
            "sfreq": float(round(1 / np.diff(times).mean(), 6)),
            "dataset": "things_eeg2",
        },
    )
    return {"brain": brain.assign_coords(time=("time", times))}
