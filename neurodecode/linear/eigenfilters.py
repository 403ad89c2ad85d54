"""The generalised eigenproblem behind every spatial filter: which mixture of channels is large in one covariance and
small in another. Plain arrays in and out; the slots are filled in ``filters``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from sklearn.covariance import ledoit_wolf_shrinkage

from .._names import lookup
from ..exceptions import DegenerateDataError


@dataclass(frozen=True)
class Problem:
    """What is to be large, what is to be small, which components come first, and what the answer is called.

    signal, noise : (rank, rank) covariances in the span of the data. order : a name in ``ORDERS``. name : of the class;
    empty where there is only one problem.
    """

    signal: np.ndarray
    noise: np.ndarray
    order: str = "descending"
    name: str = ""


def _descending(values: np.ndarray) -> np.ndarray:
    return np.argsort(-values, kind="stable")


def _from_half(values: np.ndarray) -> np.ndarray:
    return np.argsort(-np.abs(values - 0.5), kind="stable")


def _by_size(values: np.ndarray) -> np.ndarray:
    return np.argsort(-np.abs(values), kind="stable")


ORDERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "descending": _descending,
    "distance from half": _from_half,
    "size": _by_size,
}


def second_moment(x: np.ndarray) -> np.ndarray:
    """Mean of x x' over epochs and times: (epochs, channels, times) -> (channels, channels)."""
    flat = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    return flat @ flat.T / flat.shape[1]


def span(total: np.ndarray, tol: float) -> np.ndarray:
    """Orthonormal basis (channels, rank) of what the channels can do at all.

    Rank is counted on the correlation matrix, so that it does not hang on the units of a channel: eigenvalues above
    ``tol`` times the largest count. An average reference costs one, every interpolated channel one, and a dead
    channel has no part in it.

    Raises
    ------
    DegenerateDataError : every channel is zero.
    """
    size = np.sqrt(np.diag(total))
    alive = size > 0
    if not alive.any():
        raise DegenerateDataError(f"all {len(size)} channels are zero throughout; there is nothing to filter.")
    values, vectors = np.linalg.eigh(total[np.ix_(alive, alive)] / np.outer(size[alive], size[alive]))
    kept = vectors[:, values > tol * values[-1]]
    basis = np.zeros((len(size), kept.shape[1]))
    basis[alive] = np.linalg.qr(size[alive, None] * kept)[0]
    return basis


def shrunk(covariance: np.ndarray, shrinkage: float | str | None, x: np.ndarray | None = None) -> np.ndarray:
    """(1 - s) C + s tr(C) / p I; ``"auto"`` takes s of Ledoit and Wolf (2004) from ``x`` (epochs, channels, times)."""
    if shrinkage is None:
        return covariance
    if isinstance(shrinkage, str):
        lookup({"auto": 0}, shrinkage, "shrinkage")
        if x is None:
            raise ValueError("shrinkage='auto' needs the data themselves.")
        share = float(ledoit_wolf_shrinkage(np.moveaxis(x, 1, 2).reshape(-1, x.shape[1]), assume_centered=True))
    else:
        share = float(shrinkage)
        if not 0 <= share <= 1:
            raise ValueError(f"shrinkage={shrinkage!r}: None, 'auto' or a number from 0 to 1 is needed.")
    p = len(covariance)
    return (1 - share) * covariance + share * np.trace(covariance) / p * np.eye(p)


def solve(problem: Problem, n: int) -> tuple[np.ndarray, np.ndarray]:
    """S w = lambda N w: the first ``n`` eigenvalues (n,) and filters (n, rank) in the problem's order, w' N w = 1.

    The sign of a filter is chosen so that its largest weight is positive.

    Raises
    ------
    DegenerateDataError : N is not positive definite in the span of the data.
    """
    noise = (problem.noise + problem.noise.T) / 2
    # To unit trace, so that volts and microvolts meet the same rounding; undone below.
    scale = np.trace(noise) / len(noise)
    try:
        values, vectors = linalg.eigh((problem.signal + problem.signal.T) / 2 / scale, noise / scale)
    except (linalg.LinAlgError, ValueError) as error:
        raise DegenerateDataError(
            f"the noise covariance ({len(noise)} dimensions) is not positive definite: too few samples for so many "
            "channels, or a band without power. Give more epochs, fewer channels, or shrinkage='auto'."
        ) from error
    chosen = lookup(ORDERS, problem.order, "order")(values)[:n]
    filters = vectors[:, chosen].T / np.sqrt(scale)
    largest = np.argmax(np.abs(filters), axis=1)
    return values[chosen], filters * np.sign(filters[np.arange(len(filters)), largest])[:, None]


def patterns(covariance: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """What each component looks like on the scalp: A = C W (W' C W)^-1, (components, channels).

    Haufe et al. (2014), equation 6: filters say how to extract a source, patterns where it is seen.
    """
    seen = filters @ covariance
    return np.linalg.pinv(seen @ filters.T, hermitian=True) @ seen


def band_moment(x: np.ndarray, sfreq: float, inside: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | None:
    """Covariance of a part of the spectrum: (channels, channels); None where no frequency of the epochs lies in it.

    ``sum over f of Re(X_f X_f*)`` with X the Fourier transform of every epoch under a Hann window, without its mean.
    """
    length = x.shape[2]
    frequency = np.fft.rfftfreq(length, 1 / sfreq)
    wanted = inside(frequency) & (frequency > 0)
    if not wanted.any():
        return None
    taper = np.hanning(length + 2)[1:-1]
    spectrum = np.fft.rfft((x - x.mean(axis=2, keepdims=True)) * taper, axis=2)[:, :, wanted]
    flat = np.moveaxis(spectrum, 1, 0).reshape(x.shape[1], -1)
    return 2 * (flat @ flat.conj().T).real / (len(x) * length * (taper**2).sum())


def overlapping_responses(
    x: np.ndarray, which: np.ndarray, start: np.ndarray, run: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Responses of every class that together explain the recording with least squares, although epochs overlap.

    ``G E = sum of epochs`` with G the counts of how often lag i of one class falls on lag j of another (Rivet et al.
    2009, equation 4, by the normal equations, which need nothing but the epochs). Responses that the onsets cannot tell
    apart are those of least size.

    Parameters
    ----------
    x : (epochs, channels, times). which : (epochs,) classes from 0. start : (epochs,) first sample in its run.
    run : (epochs,) number of the run. count : of classes.

    Returns
    -------
    (classes, channels, times), and the blocks of G of each class with itself (classes, times, times).
    """
    length = x.shape[2]
    counts = np.zeros((count, count, 2 * length - 1))
    for one in np.unique(run):
        mine = np.flatnonzero(run == one)
        later = start[mine][None, :] - start[mine][:, None]
        near = np.abs(later) < length
        first, second = (which[mine[side]] for side in np.nonzero(near))
        np.add.at(counts, (first, second, later[near] + length - 1), 1)
    lags = np.arange(length)
    # Lag i of an event at p falls on lag j of one at q where q - p = i - j.
    blocks = counts[:, :, lags[:, None] - lags[None, :] + length - 1]
    whole = blocks.transpose(0, 2, 1, 3).reshape(count * length, count * length)
    sums = np.stack([x[which == k].sum(axis=0) for k in range(count)])
    right = sums.transpose(0, 2, 1).reshape(count * length, -1)
    values, vectors = np.linalg.eigh(whole)
    kept = values > 1e-10 * values[-1]
    found = vectors[:, kept] @ ((vectors[:, kept].T @ right) / values[kept, None])
    return found.reshape(count, length, -1).transpose(0, 2, 1), np.stack([blocks[k, k] for k in range(count)])
