"""A simulated person in the scanner: the order of scenes, repeats in runs, noise that meets the ceiling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .anatomy import stream
from .haemodynamics import Haemodynamics
from .scenes import World

CEILING = (
    "correlation of the noise-free responses with the mean over {n} repeats: sqrt(s2 / (s2 + noise variance / {n})), "
    "s2 the variance (ddof 1) of the noise-free responses over the scenes shown"
)
CEILING_SERIES = (
    "correlation of the noise-free time course with one recording of it after the drift is gone: "
    "sqrt(s2 / (s2 + noise variance)), s2 the variance (ddof 1) of the noise-free time course over all volumes"
)


@dataclass(frozen=True)
class Recorded:
    """Values (samples, units), names of the samples, their coordinates, and what was planted besides."""

    values: np.ndarray
    stimulus: np.ndarray
    sample: dict[str, np.ndarray]
    planted: dict[str, Any]


@dataclass(frozen=True)
class Session:
    """What is shown to whom: noise-free responses (scenes, units), unit coordinates, repeats, runs and the seed."""

    world: World
    responses: np.ndarray
    unit: Mapping[str, np.ndarray]
    n_repeats: int
    n_runs: int
    seed: int

    def order(self) -> list[tuple[int, np.ndarray]]:
        """(repeat, scenes in order) of every run: all scenes once, split over runs, then all again."""
        rng = stream(self.seed, "order")
        per = self.n_runs // self.n_repeats
        repeats = range(1, self.n_repeats + 1)
        return [(r, part) for r in repeats for part in np.array_split(rng.permutation(len(self.world)), per)]

    def noise_scale(self, signal_variance: np.ndarray, n_averaged: int) -> np.ndarray:
        """Standard deviation of the noise of one sample with which the mean of ``n_averaged`` meets the ceiling."""
        ceiling = self.unit["planted_ceiling"]
        responds = ceiling > 0
        variance = n_averaged * signal_variance * (1 / np.where(responds, ceiling, 1.0) ** 2 - 1)
        return np.sqrt(np.where(responds, variance, 1.0))

    def per_area(self, draw: Callable[[int, np.random.Generator], np.ndarray], *names: str | int) -> np.ndarray:
        """Noise of all units side by side, drawn from a stream of its own for each area."""
        roi = self.unit["roi"]
        areas = list(dict.fromkeys(roi.tolist()))
        return np.concatenate([draw(int((roi == area).sum()), stream(self.seed, *names, area)) for area in areas], 1)

    def noise_free(self) -> Recorded:
        """One sample per scene, without noise."""
        sample = {"category": self.world.category, "sha256": self.world.scenes["sha256"].to_numpy(dtype=str)}
        return Recorded(self.responses.copy(), self.world.stimulus, sample, {})

    def trials(self) -> Recorded:
        """One sample per trial."""
        runs = self.order()
        shown = np.concatenate([part for _, part in runs])
        sample = {
            "run": np.concatenate([np.full(len(part), number + 1) for number, (_, part) in enumerate(runs)]),
            "repeat": np.concatenate([np.full(len(part), repeat) for repeat, part in runs]),
            "category": self.world.category[shown],
            "sha256": self.world.scenes["sha256"].to_numpy(dtype=str)[shown],
        }
        draws = self.per_area(lambda units, rng: rng.standard_normal((len(shown), units)), "trials")
        values = self.responses[shown] + self.noise_scale(self.responses.var(0, ddof=1), self.n_repeats) * draws
        planted = {"ceiling_definition": CEILING.format(n=self.n_repeats), "n_repeats": self.n_repeats}
        return Recorded(values, self.world.stimulus[shown], sample, planted)

    def volumes(self, haemo: Haemodynamics, noise: bool) -> Recorded:
        """One sample per volume."""
        haemo.check()
        peak = float(stream(self.seed, "peak").uniform(4.5, 6.0)) if haemo.peak is None else float(haemo.peak)
        gaps = stream(self.seed, "gaps")
        drives = self.unit["planted_ceiling"] > 0
        courses, scenes = [], []
        for _, part in self.order():
            onsets, n_volumes = haemo.onsets(len(part), gaps)
            courses.append(haemo.convolve(self.responses[part] + haemo.evoked * drives, onsets, n_volumes, peak))
            on = np.full(n_volumes, "", dtype=object)
            on[onsets] = self.world.stimulus[part]
            scenes.append(on)
        spread = np.concatenate(courses).var(0, ddof=1)
        if noise:
            scale, drift_scale = self.noise_scale(spread, 1), np.where(drives, np.sqrt(spread), 1.0)
            for number, course in enumerate(courses):
                n = len(course)
                random = self.per_area(partial(haemo.noise, n), "volumes", number)
                drift = self.per_area(partial(haemo.drifts, n), "drift", number)
                courses[number] = course + scale * random + drift_scale * drift
        run = np.concatenate([np.full(len(course), number + 1) for number, course in enumerate(courses)])
        volume = np.concatenate([np.arange(len(course)) for course in courses])
        stimulus = np.array([f"run-{r}_volume-{v:04d}" for r, v in zip(run.tolist(), volume.tolist())])
        sample = {"run": run, "onset": volume * haemo.tr, "scene": np.concatenate(scenes).astype(str)}
        planted = {
            "ceiling_definition": CEILING_SERIES,
            "n_repeats": self.n_repeats,
            "peak": peak,
            "evoked": haemo.evoked,
            "autocorrelation": haemo.autocorrelation,
            "drift": haemo.drift,
        }
        return Recorded(np.concatenate(courses), stimulus, sample, planted)
