"""Reads celegans_nsm2023: neurons and behaviour of one animal, or of all six."""

from __future__ import annotations

from pathlib import Path

from neurodecode.sources import calcium

BEHAVIOUR = ["velocity", "head_angle", "angular_velocity", "pumping", "worm_curvature", "nose_curling", "reversal_vec"]


def load(folder: Path, animal: str | None = None, trace: str = "trace_z") -> dict:
    """``neurons`` and ``behaviour`` of one animal; for all of them ``ANIMAL/neurons`` and ``ANIMAL/behaviour``.

    Both have the same samples (volumes, with ``onset`` in seconds). Behaviour that is not finite is masked and listed.
    """
    animals = sorted(path.stem for path in folder.glob("*.npz"))
    if animal is not None and animal not in animals:
        raise ValueError(f"animal={animal!r} is not known; choose one of {', '.join(animals)}")
    found = {}
    for name in animals if animal is None else [animal]:
        recording = calcium.read(
            folder / f"{name}.npz",
            trace=trace,
            timestamps="timestamp_s",
            behaviour=BEHAVIOUR,
            nan_policy="drop_targets",
            quantity="fluorescence, z-scored" if trace == "trace_z" else trace,
            units="standard deviations" if trace == "trace_z" else "a.u.",
            subject=name,
            dataset="celegans_nsm2023",
        )
        before = f"{name}/" if animal is None else ""
        found |= {f"{before}neurons": recording.traces, f"{before}behaviour": recording.behaviour}
    return found
