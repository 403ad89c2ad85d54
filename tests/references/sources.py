"""Slow twins of what the sources do, written from the definitions with loops."""

from __future__ import annotations

import numpy as np


def slow_clean(values, runs, detrend, standardize, confounds=None):
    """Per run and voxel: regress out a line and the confounds by least squares, then z with n - 1."""
    out = np.array(values, dtype=float)
    for run in dict.fromkeys(runs):
        rows = [n for n, name in enumerate(runs) if name == run]
        time = np.arange(len(rows), dtype=float)
        columns = [np.ones(len(rows)), time] if detrend else []
        if confounds is not None:
            columns += [confounds[rows, c] - confounds[rows, c].mean() for c in range(confounds.shape[1])]
        for voxel in range(values.shape[1]):
            series = out[rows, voxel]
            if columns:
                design = np.stack(columns, axis=1)
                series = series - design @ np.linalg.lstsq(design, series, rcond=None)[0]
            if standardize:
                series = (series - series.mean()) / np.sqrt(np.sum((series - series.mean()) ** 2) / (len(rows) - 1))
            out[rows, voxel] = series
    return out


def slow_blocks(values, labels, runs, drop):
    """Mean of every unbroken stretch of one label in one run: (means, [(run, label, first volume), ...])."""
    means, names, start = [], [], 0
    for stop in range(1, len(labels) + 1):
        if stop == len(labels) or (labels[stop], runs[stop]) != (labels[start], runs[start]):
            if labels[start] not in drop:
                means.append(np.mean(values[start:stop], axis=0))
                names.append((runs[start], labels[start], start))
            start = stop
    return np.array(means), names


def slow_boxcar(events, run, n_volumes, tr, condition, grain=1000):
    """Share of each volume that the events of a condition cover, counted on a fine grid."""
    out = np.zeros(n_volumes)
    for volume in range(n_volumes):
        times = (volume + (np.arange(grain) + 0.5) / grain) * tr
        for _, event in events.iterrows():
            if event["run"] == run and event["trial_type"] == condition:
                out[volume] += np.mean((times >= event["onset"]) & (times < event["onset"] + event["duration"]))
    return out


def slow_luma(pixels):
    """Grey of ITU-R BT.601, pixel by pixel."""
    out = np.empty(pixels.shape[:2])
    for row in range(pixels.shape[0]):
        for column in range(pixels.shape[1]):
            red, green, blue = (float(v) for v in pixels[row, column])
            out[row, column] = 0.299 * red + 0.587 * green + 0.114 * blue
    return out
