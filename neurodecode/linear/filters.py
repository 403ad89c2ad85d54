"""Spatial filters: mixtures of channels that tell classes apart, follow a number, repeat, or swing in a band.

One generalised eigenproblem ``S w = lambda N w`` (``eigenfilters``) with three slots: what is to be large (S), what is
to be small (N), and the order of the components. Each estimator below fills them.

| estimator | S | N | order |
|---|---|---|---|
| CSP | covariance of one class | mean over the classes | distance of lambda from 1/2 |
| SPoC | covariance weighted by the target | mean covariance | size of lambda |
| Xdawn | covariance of the class average | covariance of everything | descending |
| SSD | covariance in the band | covariance beside the band | descending |
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from sklearn.utils.validation import check_consistent_length, column_or_1d

from ..exceptions import AlignmentError, DegenerateDataError, TimingError
from ..representation import plain
from . import eigenfilters as engine
from ._filtering import _SpatialFilter


def _classes(y: Any, n: int, who: str) -> tuple[np.ndarray, np.ndarray]:
    """Class names in sorted order, and which of them every sample is."""
    if isinstance(y, xr.DataArray) and y.dims != ("sample",):
        raise AlignmentError(
            f"y has the dimensions {y.dims}; expected one class label a sample, such as X['category']."
        )
    labels = column_or_1d(plain(y), warn=True)
    check_consistent_length(np.empty((n, 1)), labels)
    missing = [at for at, entry in enumerate(labels.tolist()) if entry is None or entry != entry]
    if missing:
        raise DegenerateDataError(f"Input y contains NaN: {len(missing)} of {n} class labels are missing.")
    names, which = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise DegenerateDataError(f"{n} sample(s) of one class, {names[0]!r}, came; {who} needs 2 or more.")
    return names, which


class CSP(_SpatialFilter):
    r"""Common spatial patterns: the mixtures of channels whose power differs most between classes, as log power.

    ``C_1 w = lambda (C_1 + C_2) w``: lambda is the share of a component's power that the first class has, and
    components come in the order of ``|lambda - 1/2|``. With more than two classes each is set against the sum of all in
    turn; the components of a class are those with its largest lambda.

    Data should be band-passed: power, not the mean, is what is compared. C is the mean of x x' over epochs and times.

    Parameters
    ----------
    n_components : how many components, over all classes.
    shrinkage : of the class covariances towards a scaled identity: None, ``"auto"`` (Ledoit-Wolf) or from 0 to 1. It
        acts within the rank of the data, so an average reference stays one.
    normalize : every epoch to total power 1 first (Ramoser et al. 2000), so that loud epochs count no more than others.
    log : logarithm of the power.

    Attributes
    ----------
    filters_, patterns_ : (components, channels); ``patterns_`` by Haufe et al. (2014), in the units of X.
    eigenvalues_ : (components,) lambda. classes_ : in sorted order; lambda is the share of the first.
    component_of_ : (components,) the class whose power is largest there. rank_ : numerical rank of the data.

    Raises
    ------
    DegenerateDataError : one class, values that are not finite, an epoch without power.
    AlignmentError : other dimensions, other samples in y, other channels than at fit.

    Warns
    -----
    NeurodecodeWarning : more components than the data have rank.

    References
    ----------
    Koles (1991), EEG and Clinical Neurophysiology 79; Ramoser, Mueller-Gerking & Pfurtscheller (2000), IEEE
    Transactions on Rehabilitation Engineering 8; Blankertz et al. (2008), IEEE Signal Processing Magazine 25; Dornhege
    et al. (2004), IEEE Transactions on Biomedical Engineering 51 (several classes); Haufe et al. (2014), NeuroImage 87.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["feet", "hands"], 20)
    >>> X = rng.normal(size=(40, 3, 200))
    >>> X[y == "feet", 1] *= 2
    >>> csp = CSP(n_components=2).fit(X, y)
    >>> int(np.argmax(np.abs(csp.patterns_[0]))), csp.eigenvalues_[0].round(1), csp.transform(X).shape
    (1, np.float64(0.8), (40, 2))
    """

    def __init__(
        self,
        n_components: int = 4,
        shrinkage: float | str | None = None,
        normalize: bool = False,
        log: bool = True,
    ):
        self.n_components = n_components
        self.shrinkage = shrinkage
        self.normalize = normalize
        self.log = log

    def _target(self, y: Any, n: int) -> Any:
        self.classes_, which = _classes(y, n, "CSP")
        return which

    def _arranged(self, x: np.ndarray, X: Any) -> np.ndarray:
        if not self.normalize:
            return x
        power = np.einsum("nct,nct->n", x, x) / x.shape[2]
        if (power <= 0).any():
            raise DegenerateDataError(f"{int((power <= 0).sum())} samples have no power and cannot be normalised.")
        return x / np.sqrt(power)[:, None, None]

    def _problems(self, x: np.ndarray, y: Any) -> list[engine.Problem]:
        each = [
            engine.shrunk(engine.second_moment(x[y == k]), self.shrinkage, x[y == k]) for k in range(len(self.classes_))
        ]
        total = np.sum(each, axis=0)
        if len(each) == 2:
            return [engine.Problem(each[0], total, "distance from half")]
        return [engine.Problem(one, total, name=str(name)) for one, name in zip(each, self.classes_)]

    def _each(self, n: int, problems: int) -> list[int]:
        return [n // problems + (k < n % problems) for k in range(problems)]

    def fit(self, X: Any, y: Any = None) -> CSP:
        """Learn from epochs (samples, channels, times) and one class label a sample, such as ``X["category"]``."""
        super().fit(X, y)
        if len(self.classes_) == 2:
            more = np.where(self.eigenvalues_ >= 0.5, 0, 1)
            self.component_of_ = np.array([str(self.classes_[k]) for k in more], dtype=str)
        return self


class SPoC(_SpatialFilter):
    r"""Source power comodulation: mixtures of channels whose power goes up and down with a number.

    ``C_z w = lambda C w`` with ``C_z = mean of z_e C_e`` and z the target, standardised: lambda is the covariance of
    the component's power with z. Components come in the order of ``|lambda|``.

    Parameters
    ----------
    n_components : how many components. shrinkage : as for ``CSP``, of C. log : logarithm of the power.

    Attributes
    ----------
    filters_, patterns_ : (components, channels). eigenvalues_ : (components,) covariance of power with the target.
    rank_ : numerical rank of the data.

    Raises
    ------
    DegenerateDataError : a constant target, values that are not finite.
    AlignmentError : other dimensions, other samples in y, other channels than at fit.

    References
    ----------
    Daehne et al. (2014), NeuroImage 86, section 2.3 (SPoC_lambda); Haufe et al. (2014), NeuroImage 87.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> z = rng.uniform(1, 3, size=60)
    >>> X = rng.normal(size=(60, 3, 200))
    >>> X[:, 2] *= z[:, None]
    >>> int(np.argmax(np.abs(SPoC(n_components=1).fit(X, z).patterns_[0])))
    2
    """

    def __init__(self, n_components: int = 4, shrinkage: float | str | None = None, log: bool = True):
        self.n_components = n_components
        self.shrinkage = shrinkage
        self.log = log

    def _target(self, y: Any, n: int) -> Any:
        values = np.asarray(plain(y))
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        z = column_or_1d(values, dtype=np.float64)
        check_consistent_length(np.empty((n, 1)), z)
        if not np.isfinite(z).all():
            raise DegenerateDataError(
                f"Input y contains NaN or infinity: {int((~np.isfinite(z)).sum())} of {n} values."
            )
        if z.max() == z.min():
            raise DegenerateDataError(f"the target is {z[0]:g} throughout; SPoC follows a number that changes.")
        return (z - z.mean()) / z.std()

    def _problems(self, x: np.ndarray, y: Any) -> list[engine.Problem]:
        signal = np.einsum("nat,nbt,n->ab", x, x, y, optimize=True) / (len(x) * x.shape[2])
        return [engine.Problem(signal, engine.shrunk(engine.second_moment(x), self.shrinkage, x), "size")]


class Xdawn(_SpatialFilter):
    r"""Xdawn: for every class the mixtures of channels in which its average response stands out of everything else.

    ``E_k E_k' / T w = lambda C w`` with E_k the average epoch of class k and C the covariance of all epochs: lambda is
    the share of a component's power that repeats from epoch to epoch. The components are courses over time: the
    classifier behind it sees ``n_components`` per class instead of channels.

    Parameters
    ----------
    n_components : components per class. shrinkage : as for ``CSP``, of C.
    overlap : epochs that reach into the next one: E_k are then the responses that together explain the recording with
        least squares, ``D E = X`` with D the onsets of every class, and E_k E_k' becomes ``E_k D_k D_k' E_k' / n_k``.
        X needs ``onset`` (s) on its samples, ``attrs["sfreq"]``, and ``run`` where there are several; epochs must
        not be baseline-corrected, and the overlap of events that were left out is not known.

    Attributes
    ----------
    responses_ : (classes, channels, times) E_k.
    filters_, patterns_ : (classes x components, channels). eigenvalues_ : (classes x components,).
    classes_ : in sorted order. component_of_ : the class of each component. rank_ : numerical rank of the data.

    Raises
    ------
    DegenerateDataError : one class, values that are not finite.
    AlignmentError : other dimensions, other samples in y, other channels than at fit.
    TimingError : ``overlap`` without onsets or a rate, or with onsets between two samples.

    References
    ----------
    Rivet, Souloumiac, Attina & Gibert (2009), IEEE Transactions on Biomedical Engineering 56, section II.B (equation 4
    with ``overlap``; class averages in place of the deconvolved responses without); Haufe et al. (2014), NeuroImage 87.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["rare", "usual"], [10, 40])
    >>> X = rng.normal(size=(50, 3, 60))
    >>> X[y == "rare", 2, 30:40] += 2
    >>> xdawn = Xdawn(n_components=1).fit(X, y)
    >>> int(np.argmax(np.abs(xdawn.patterns_[0]))), xdawn.transform(X).shape
    (2, (50, 2, 60))
    """

    feature = "signal"

    def __init__(self, n_components: int = 2, shrinkage: float | str | None = None, overlap: bool = False):
        self.n_components = n_components
        self.shrinkage = shrinkage
        self.overlap = overlap

    def _target(self, y: Any, n: int) -> Any:
        self.classes_, which = _classes(y, n, "Xdawn")
        return which

    def _arranged(self, x: np.ndarray, X: Any) -> np.ndarray:
        self._starts = _starts(X) if self.overlap else None
        return x

    def _problems(self, x: np.ndarray, y: Any) -> list[engine.Problem]:
        noise = engine.shrunk(engine.second_moment(x), self.shrinkage, x)
        count = len(self.classes_)
        if self._starts is None:
            responses = np.stack([x[y == k].mean(axis=0) for k in range(count)])
            signals = [engine.second_moment(one[None]) for one in responses]
        else:
            responses, own = engine.overlapping_responses(x, y, *self._starts, count)
            scale = np.bincount(y, minlength=count) * x.shape[2]
            signals = [e @ g @ e.T / n for e, g, n in zip(responses, own, scale)]
        self._inside = responses
        return [engine.Problem(one, noise, name=str(name)) for one, name in zip(signals, self.classes_)]

    def fit(self, X: Any, y: Any = None) -> Xdawn:
        """Learn from epochs (samples, channels, times) and one class label a sample, such as ``X["category"]``."""
        super().fit(X, y)
        self.responses_ = np.einsum("cr,krt->kct", self._basis, self._inside)
        return self


def _starts(X: Any) -> tuple[np.ndarray, np.ndarray]:
    """First sample of every epoch within its run, and the run as a number."""
    if not isinstance(X, xr.DataArray) or "onset" not in X.coords or "sfreq" not in X.attrs:
        raise TimingError("overlap=True needs X['onset'] (s) and X.attrs['sfreq'], as sources.eeg.epochs gives them.")
    exact = X["onset"].values.astype(np.float64) * float(X.attrs["sfreq"])
    exact = exact - exact.min()
    found = np.rint(exact).astype(np.int64)
    if np.abs(exact - found).max() > 0.1:
        raise TimingError(
            f"the onsets lie up to {np.abs(exact - found).max():.2f} samples beside those of the epochs (decimated?); "
            "overlap=True needs epochs at the rate of their onsets."
        )
    run = np.unique(X["run"].values, return_inverse=True)[1] if "run" in X.coords else np.zeros(len(found), dtype=int)
    return found, run


class SSD(_SpatialFilter):
    r"""Spatio-spectral decomposition: mixtures of channels that swing in a band more than beside it.

    ``C_band w = lambda C_beside w``, both from the spectrum of every epoch (Hann window): lambda is the power in the
    band over the power in the flanks. Nothing is learnt from a target. Samples x channels without times is taken as one
    continuous recording, or one per run where ``by`` is a coordinate of its samples: no window then reaches over the
    edge of a run, where the signal jumps, and every run counts by its length.

    Parameters
    ----------
    band : lowest and highest frequency of the band, Hz. n_components : how many components.
    flank : width of the stretch on either side that counts as noise, Hz. gap : what lies between, Hz.
    sfreq : samples per second; None: ``X.attrs["sfreq"]``.
    by : sample coordinate of continuous recordings, such as ``"run"``; None: one recording. Epochs need none.

    Attributes
    ----------
    filters_, patterns_ : (components, channels). eigenvalues_ : (components,) power in the band over the flanks,
        as sums over frequencies. rank_ : numerical rank of the data.

    Raises
    ------
    TimingError : no rate, or two that differ; a band beyond half the rate; epochs too short to tell band and flanks.
    DegenerateDataError : values that are not finite, flanks without power.

    References
    ----------
    Nikulin, Nolte & Curio (2011), NeuroImage 55, section 2.1; Haufe et al. (2014), NeuroImage 87.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> t = np.arange(400) / 100
    >>> X = rng.normal(size=(10, 3, 400))
    >>> X[:, 1] += np.sin(2 * np.pi * 10 * t)
    >>> int(np.argmax(np.abs(SSD((9, 11), n_components=1, sfreq=100).fit(X).patterns_[0])))
    1
    """

    feature = "signal"
    needs_target = False

    def __init__(
        self,
        band: tuple[float, float] = (8.0, 12.0),
        n_components: int = 4,
        flank: float = 2.0,
        gap: float = 1.0,
        sfreq: float | None = None,
        by: str | None = None,
    ):
        self.band = band
        self.n_components = n_components
        self.flank = flank
        self.gap = gap
        self.sfreq = sfreq
        self.by = by

    def _arranged(self, x: np.ndarray, X: Any) -> np.ndarray:
        noted: Any = X.attrs.get("sfreq") if isinstance(X, xr.DataArray) else None
        if self.sfreq is None and noted is None:
            raise TimingError("SSD needs the rate: X has no attrs['sfreq']. Set it, or pass sfreq= in Hz.")
        rate = float(noted if self.sfreq is None else self.sfreq)
        if noted is not None and abs(float(noted) - rate) > 0.01 * rate:
            raise TimingError(f"sfreq={rate:g} Hz was given, but X.attrs['sfreq'] is {float(noted):g} Hz.")
        low, high = (float(edge) for edge in self.band)
        if not (0 < low < high and self.flank > 0 and self.gap >= 0):
            raise ValueError(f"band={self.band!r}, flank={self.flank!r}, gap={self.gap!r}: 0 < low < high is needed.")
        if high + self.gap >= rate / 2:
            raise TimingError(
                f"a band up to {high:g} Hz needs a rate over {2 * (high + self.gap):g} Hz; it is {rate:g}."
            )
        self.sfreq_ = rate
        self._runs = self._stretches(X, len(x)) if x.shape[2] == 1 else None
        if self._runs is None:
            return x
        # Samples of one time each are a continuous recording: they are the time.
        long = x[:, :, 0].T[None].copy()
        for run in self._runs if self.by is not None else []:
            long[:, :, run] -= long[:, :, run].mean(axis=2, keepdims=True)
        return long

    def _stretches(self, X: Any, n: int) -> list[slice]:
        """Runs of a continuous recording, as stretches of samples."""
        if self.by is None:
            return [slice(0, n)]
        if not isinstance(X, xr.DataArray) or self.by not in X.coords:
            raise AlignmentError(f"by={self.by!r}: X has no such coordinate; label its samples, or pass by=None.")
        runs = X[self.by].values
        edges = np.flatnonzero(runs[1:] != runs[:-1]) + 1
        if len(edges) + 1 > len(np.unique(runs)):
            raise AlignmentError(f"by={self.by!r}: the samples of a run do not stand together; sort them by run.")
        return [slice(a, b) for a, b in zip([0, *edges.tolist()], [*edges.tolist(), n])]

    def _problems(self, x: np.ndarray, y: Any) -> list[engine.Problem]:
        (low, high), gap = self.band, self.gap

        def within(f: np.ndarray) -> np.ndarray:
            return (f >= low) & (f <= high)

        def beside(f: np.ndarray) -> np.ndarray:
            below, above = (
                (f >= low - gap - self.flank) & (f < low - gap),
                (f > high + gap) & (f <= high + gap + self.flank),
            )
            return below | above

        parts = [x] if self._runs is None else [x[:, :, run] for run in self._runs]
        moments = [[engine.band_moment(part, self.sfreq_, inside) for inside in (within, beside)] for part in parts]
        for part, found in zip(parts, moments):
            if found[0] is not None and found[1] is not None:
                continue
            raise TimingError(
                f"{'epochs' if self.by is None else 'runs'} of {part.shape[2] / self.sfreq_:g} s tell frequencies "
                f"{self.sfreq_ / part.shape[2]:g} Hz apart, too "
                f"far for the band {low:g} to {high:g} Hz or its flanks; take longer epochs, or a wider band and flank."
            )
        lengths = np.array([part.shape[2] for part in parts], dtype=np.float64)
        signal, noise = np.tensordot(lengths / lengths.sum(), np.array(moments), axes=1)
        return [engine.Problem(signal, noise)]
