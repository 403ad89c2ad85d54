"""Models of a geometry: one that is fixed, one whose parts are weighted, one that is chosen from a set.

All three are fitted in the same way, on some subjects and some stimuli; a fixed one has nothing to fit. Where anything
is fitted, :func:`neurodecode.similarity.compare_models` scores on subjects and stimuli that the fit has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from ..exceptions import AlignmentError, DegenerateDataError
from .rdms import check_rdm, from_upper, match_all, match_rdms, upper
from .weighted import Measure, Sample, measure_of


@dataclass(frozen=True)
class Fixed:
    """A dissimilarity matrix as it is.

    Parameters
    ----------
    rdm : (stimulus, stimulus_other), as ``as_rdm`` makes it.

    Examples
    --------
    >>> from neurodecode.similarity import as_rdm
    >>> Fixed(as_rdm([1, 2, 3], stimulus=list("abc"))).names
    ['rdm']
    """

    rdm: xr.DataArray
    fitted = False

    @property
    def names(self) -> list[str]:
        """Names of the parts."""
        return ["rdm"]

    @property
    def parts(self) -> list[xr.DataArray]:
        """The matrices it is made of."""
        return [self.rdm]

    def weights(
        self, measure: Measure, parts: np.ndarray, data: np.ndarray, sample: Sample, times: np.ndarray,
        prepared: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """(fits, 1) of 1."""
        return np.ones((len(times), 1))

    def fit(self, rdms: xr.DataArray, how: Any = "spearman") -> FittedModel:
        """Fit on all of ``rdms``: see :func:`fit_model`."""
        return fit_model(self, rdms, how)


@dataclass(frozen=True)
class _Parts:
    """What models of several parts share: ``rdms``, name -> (stimulus, stimulus_other), two or more."""

    rdms: Mapping[str, xr.DataArray]
    fitted = True

    def __post_init__(self) -> None:
        _check_parts(self.rdms, type(self).__name__.lower())

    @property
    def names(self) -> list[str]:
        """Names of the parts."""
        return [str(name) for name in self.rdms]

    @property
    def parts(self) -> list[xr.DataArray]:
        """The matrices it is made of."""
        return list(self.rdms.values())

    def weights(
        self, measure: Measure, parts: np.ndarray, data: np.ndarray, sample: Sample, times: np.ndarray,
        prepared: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """(fits, parts): a subclass says how much of each part."""
        raise TypeError(f"{type(self).__name__} does not say how its parts are weighed")

    def fit(self, rdms: xr.DataArray, how: Any = "spearman") -> FittedModel:
        """Fit on all of ``rdms``: see :func:`fit_model`."""
        return fit_model(self, rdms, how)


@dataclass(frozen=True)
class Weighted(_Parts):
    """A sum of parts with weights that are not negative: ``sum over k of w_k d_k / |d_k|``, w from training data.

    The weights solve ``min |y - sum w_k x_k|^2, w >= 0`` with ``x_k`` the parts and ``y`` the pooled training subjects
    in the space of the measure: centred for Pearson and Spearman (y then of ranks), whitened for the whitened cosine.
    Up to its length the solution is the weighted sum with the largest cosine to y. A part that helps nothing has
    weight 0; where all are 0, the model says nothing and scores 0.

    Parameters
    ----------
    rdms : name -> (stimulus, stimulus_other), two or more.

    Source: Khaligh-Razavi and Kriegeskorte 2014, PLoS Computational Biology 10, "Remixing and reweighting"; Lawson and
    Hanson 1974, chapter 23 (the solver).

    Examples
    --------
    >>> from neurodecode.similarity import as_rdm
    >>> one, two = (as_rdm(v, stimulus=list("abcd")) for v in ([1, 2, 3, 4, 5, 7], [2, 1, 1, 2, 1, 2]))
    >>> (Weighted({"one": one, "two": two}).fit(one, "pearson").weights > 1e-9).tolist()
    [True, False]
    """

    def weights(
        self, measure: Measure, parts: np.ndarray, data: np.ndarray, sample: Sample, times: np.ndarray,
        prepared: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """(fits, parts): one solution for every row of ``times``, which says how often each subject counts."""
        from scipy.optimize import nnls

        images = measure.image(parts[:, sample.kept], sample)
        length = np.sqrt(np.einsum("kp,kp->k", images, images))
        usable = length > 0
        images = images[usable] / length[usable, None]
        share = times / np.maximum(times.sum(axis=1, keepdims=True), 1)
        gram, toward = images @ images.T, share @ (measure.units(data, sample) @ images.T)
        # A ridge far below rounding of the data keeps equal parts from breaking the factor.
        factor = np.linalg.cholesky(gram + 1e-10 * np.eye(len(gram))) if len(gram) else gram
        found = np.zeros((len(times), len(parts)))
        if len(gram):
            aims = np.linalg.solve(factor, toward.T).T
            for row in np.flatnonzero(np.isfinite(aims).all(axis=1)):
                found[row, usable] = nnls(factor.T, aims[row])[0] / length[usable]
        return found


@dataclass(frozen=True)
class Selected(_Parts):
    """The part with the highest mean score in the training subjects and stimuli.

    Parameters
    ----------
    rdms : name -> (stimulus, stimulus_other), two or more: the layers of a network, for example.

    Source: Schütt, Kipnis, Diedrichsen and Kriegeskorte 2023, eLife 12:e82566, selection models.

    Examples
    --------
    >>> from neurodecode.similarity import as_rdm
    >>> one, two = (as_rdm(v, stimulus=list("abcd")) for v in ([1, 2, 3, 4, 5, 7], [2, 1, 1, 2, 1, 2]))
    >>> Selected({"one": one, "two": two}).fit(two).weights.tolist()
    [0.0, 1.0]
    """

    def weights(
        self, measure: Measure, parts: np.ndarray, data: np.ndarray, sample: Sample, times: np.ndarray,
        prepared: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """(fits, parts): 1 for the best part, 0 for the others."""
        scores = measure.scores(measure.prepare(parts) if prepared is None else prepared, data, sample)
        known = np.isfinite(scores).all(axis=1)
        means = np.where(known, times @ np.where(np.isfinite(scores), scores, 0.0).T, -np.inf)
        found = np.zeros((len(times), len(parts)))
        if known.any():
            found[np.arange(len(times)), means.argmax(axis=1)] = 1.0
        return found


Model = Fixed | _Parts


@dataclass(frozen=True)
class FittedModel:
    """A model with the weights of one fit.

    Attributes
    ----------
    model : what was fitted. weights : (parts,), as they multiply the parts' dissimilarities.
    prediction : (stimulus, stimulus_other), the weighted sum.
    """

    model: Model
    weights: np.ndarray = field(repr=False)
    prediction: xr.DataArray = field(repr=False)


def fit_model(model: Model, rdms: xr.DataArray, how: Any = "spearman") -> FittedModel:
    """Weights of the parts from all stimuli and subjects in ``rdms``; nothing is scored here.

    Parameters
    ----------
    model : ``Fixed``, ``Weighted`` or ``Selected``.
    rdms : ([subject,] stimulus, stimulus_other).
    how : the measure that the fit makes large; see :func:`neurodecode.similarity.compare_models`.

    Returns
    -------
    ``FittedModel`` with ``weights`` and ``prediction``.

    Examples
    --------
    >>> from neurodecode.similarity import as_rdm
    >>> R = as_rdm([1, 2, 3], stimulus=list("abc"))
    >>> fit_model(Fixed(R), R).weights.tolist()
    [1.0]
    """
    measure = measure_of(how)
    rdms = check_rdm(rdms, "rdms")
    matched = [match_rdms(rdms, part, names=("rdms", name))[1] for name, part in zip(model.names, model.parts)]
    parts, data = np.stack([upper(part) for part in matched]), np.atleast_2d(upper(rdms))
    sample = Sample.of(np.ones(rdms.sizes["stimulus"]), np.isfinite(parts).all(axis=0) & np.isfinite(data).all(axis=0))
    weights = model.weights(measure, parts, measure.prepare(data), sample, np.ones((1, len(data))))[0]
    return FittedModel(model, weights, from_upper(weights @ parts, matched[0], {"metric": "weighted sum"}))


def as_model(entry: Any, name: str) -> Model:
    """A model from what was given: models as they are, a matrix as a fixed one."""
    if isinstance(entry, (Fixed, Weighted, Selected)):
        return entry
    if isinstance(entry, Mapping):
        raise TypeError(f"model {name!r} is a mapping; say what to do with its parts: Weighted(...) or Selected(...).")
    rdm = check_rdm(entry, f"model {name!r}")
    if rdm.ndim != 2:
        raise AlignmentError(
            f"model {name!r} has dims {rdm.dims}; a fixed model is one matrix. Take a mean over "
            f"{rdm.dims[0]!r}, or name each as a model of its own."
        )
    return Fixed(rdm)


def _check_parts(rdms: Mapping[str, xr.DataArray], kind: str) -> None:
    if not isinstance(rdms, Mapping):
        raise TypeError(f"a {kind} model takes name -> matrix, this is a {type(rdms).__name__}")
    if len(rdms) < 2:
        raise DegenerateDataError(f"a {kind} model needs 2 parts or more, and there are {len(rdms)}; one is Fixed(rdm)")
    for name, rdm in rdms.items():
        if check_rdm(rdm, f"part {name!r}").ndim != 2:
            raise AlignmentError(f"part {name!r} has dims {rdm.dims}; every part is one matrix")
    match_all(list(rdms.values()), [str(name) for name in rdms])
