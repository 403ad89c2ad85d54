"""Several people (or networks) in one space: hyperalignment, shared responses, generalised canonical correlations.

All need the same samples in every person and nothing else in common; units may differ in number and place. What is
learnt on training samples takes other samples of the same people into the space, or out of it into any person's units.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from .._names import lookup
from .._numbers import amount, whole
from ..compute import shared_space as engine
from ..compute.device import resolve
from ..compute.scores import is_constant
from ..exceptions import AlignmentError, DegenerateDataError
from ..linear import _inputs
from ..representation import Labels, check_finite, check_same_samples, check_same_units, labelled, plain


class _Space(TransformerMixin, BaseEstimator, ABC):
    """Several sets of units with the same samples, each with a map into one space and a pattern out of it."""

    by: Any
    n_components: int | None
    standardize: bool
    device: Any
    word = "component"  # what one dimension of the space is called
    takes_narrow = False  # whether a person may have fewer units than the space has dimensions

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn the space from training samples.

        Parameters
        ----------
        X : dict of name to (samples, units) of each person, in the same order of samples; or one array (samples, units
            of all), with the name of the person on every unit (``by``).
        y : ignored.

        Raises
        ------
        AlignmentError : other samples in one of them, or units without the name of a person.
        DegenerateDataError : one person, constant units, values that are not finite, too few samples for so many
            components.
        """
        parts = self._split(X)
        if len(parts) < 2:
            who = f"one person ({', '.join(parts)})" if parts else "no one, an empty dictionary"
            raise DegenerateDataError(f"{type(self).__name__} got {who}; a common space needs two people or more.")
        self._check_samples(parts)
        self.columns_ = None if isinstance(X, Mapping) else self._columns(X)
        self.features_ = None if isinstance(X, Mapping) else Labels.of(X, "unit")
        self.units_: dict[str, Labels] = {}
        self.means_: dict[str, np.ndarray] = {}
        self.scales_: dict[str, np.ndarray] = {}
        names, device = list(parts), resolve(self.device)
        rows = [torch.from_numpy(self._learn(name, parts[name])).to(device) for name in names]
        self._check_components(rows)
        maps, patterns, shared = self._solve(rows)
        self.dtype_ = np.result_type(*(_inputs.working_dtype(np.asarray(plain(part))) for part in parts.values()))
        self.maps_ = {name: w.cpu().numpy() for name, w in zip(names, maps)}
        self.patterns_ = {name: a.cpu().numpy() for name, a in zip(names, patterns)}
        self.n_components_ = int(shared.shape[1])
        self.shared_ = labelled(
            shared.cpu().numpy().astype(self.dtype_), samples_of=parts[names[0]], units=self._components()
        )
        return self

    def fit_subject(self, name: str, X: Any) -> Any:
        """Add one more person, who saw the training samples, to the space as it stands.

        Parameters
        ----------
        name : of the person. X : (training samples, units of that person), in the order of training.

        Raises
        ------
        AlignmentError : other samples than in training. ValueError : the name is taken.
        """
        check_is_fitted(self)
        if name in self.maps_:
            raise ValueError(f"{name!r} is in the space already; those in it are {', '.join(self.maps_)}.")
        self._check_samples({"the space": self.shared_, name: X})
        device = resolve(self.device)
        x = torch.from_numpy(self._learn(name, X)).to(device)
        g = torch.from_numpy(np.asarray(plain(self.shared_), dtype=np.float64)).to(device)
        if x.shape[1] < g.shape[1] and not self.takes_narrow:
            raise DegenerateDataError(
                f"{name} has {x.shape[1]} units, fewer than the {g.shape[1]} components of the space. "
                "Lower n_components, or take more units."
            )
        w, pattern = self._join(x, g)
        self.maps_[name], self.patterns_[name] = w.cpu().numpy(), pattern.cpu().numpy()
        return self

    def transform(self, X: Any, subject: str | None = None) -> Any:
        """Into the common space.

        Parameters
        ----------
        X : dict of name to (samples, units): each on its own. One array with the units of all that were fitted: their
            mean. One array with the units of ``subject``: that person's.

        Returns
        -------
        (samples, components), or a dict of these; labelled where X is, with a unit coordinate ``component``.
        """
        check_is_fitted(self)
        if isinstance(X, Mapping):
            return {str(name): self.transform(one, subject=str(name)) for name, one in X.items()}
        if subject is not None:
            found = self._into(self._known(subject), X)
        else:
            if self.columns_ is None or self.features_ is None:
                raise AlignmentError(
                    "this space was fitted with a dict of people; give transform a dict too, or say subject=."
                )
            check_same_units(X, self.features_)
            if np.shape(X)[-1] != self.features_.size:
                raise AlignmentError(f"X has {np.shape(X)[-1]} units, {self.features_.size} were seen at fit.")
            parts = {name: self._into(name, X[:, at], named=False) for name, at in self.columns_.items()}
            found = self._pool(parts)
        return labelled(found.astype(self.dtype_), samples_of=X, units=self._components())

    def inverse_transform(self, S: Any, subject: str | None = None) -> Any:
        """Out of the common space, into units.

        Parameters
        ----------
        S : (samples, components). subject : into whose units; None: of all that were fitted, as one array (samples,
            units) where one was fitted, else as a dict.
        """
        check_is_fitted(self)
        values = np.asarray(plain(S), dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != self.n_components_:
            raise AlignmentError(
                f"the space has {self.n_components_} components; what came has the shape {values.shape}."
            )
        check_finite(S, "S")
        if subject is not None:
            name = self._known(subject)
            return labelled(self._out_of(name, values), samples_of=S, units=self.units_[name])
        if self.columns_ is None or self.features_ is None:
            return {name: self.inverse_transform(S, subject=name) for name in self.maps_}
        found = np.empty((len(values), self.features_.size), dtype=self.dtype_)
        for name, at in self.columns_.items():
            found[:, at] = self._out_of(name, values)
        return labelled(found, samples_of=S, units=self.features_)

    # what the kinds of space say themselves

    @abstractmethod
    def _solve(self, rows: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        """Maps (p, k), patterns (k, p) and shared rows (n, k)."""

    def _join(self, x: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map and pattern of one more person."""
        w = engine.rotation(x, g)[0]
        return w, w.T

    def _pool(self, parts: dict[str, np.ndarray]) -> np.ndarray:
        """One response from those of several people."""
        return np.asarray(np.mean(list(parts.values()), axis=0))

    # what they share

    def _into(self, name: str, X: Any, named: bool = True) -> np.ndarray:
        if named:
            check_same_units(X, self.units_[name])
        values = _matrix(X, name)
        if values.shape[1] != len(self.maps_[name]):
            raise AlignmentError(f"{name} has {values.shape[1]} units, {len(self.maps_[name])} were seen at fit.")
        return np.asarray(((values - self.means_[name]) / self.scales_[name]) @ self.maps_[name])

    def _out_of(self, name: str, values: np.ndarray) -> np.ndarray:
        found = (values @ self.patterns_[name]) * self.scales_[name] + self.means_[name]
        return np.asarray(found.astype(self.dtype_))

    def _learn(self, name: str, X: Any) -> np.ndarray:
        """Values of one person with mean 0 (and deviation 1), what was taken out kept."""
        values = _matrix(X, name, samples=3)
        flat = is_constant(values)
        if flat.any() and (self.standardize or flat.all()):
            raise DegenerateDataError(
                f"{name}: {flat.sum()} of {len(flat)} units are constant over the training samples "
                f"({_inputs.names(X, 'unit', np.flatnonzero(flat))}), so they cannot be standardised. Leave them out, "
                "or set standardize=False."
            )
        mean = values.mean(0)
        scale = values.std(0) if self.standardize else np.ones_like(mean)
        self.units_[name], self.means_[name], self.scales_[name] = Labels.of(X, "unit"), mean, scale
        return np.asarray((values - mean) / scale)

    def _split(self, X: Any) -> dict[str, Any]:
        """Name -> array of each person."""
        if isinstance(X, Mapping):
            return {str(name): one for name, one in X.items()}
        return {name: X[:, at] for name, at in self._columns(X).items()}

    def _columns(self, X: Any) -> dict[str, np.ndarray]:
        """Name -> positions of the units of each person."""
        if isinstance(self.by, str):
            if not isinstance(X, xr.DataArray) or self.by not in X.coords or X[self.by].dims != ("unit",):
                raise AlignmentError(
                    f"{type(self).__name__} needs to know whose units these are: give a dict of name to array, or one "
                    f"array with the coordinate {self.by!r} on unit (concat(people, label={self.by!r})), or by=names."
                )
            names = X[self.by].values.astype(str)
        else:
            names = np.asarray(self.by).astype(str)
            width = np.shape(X)[1] if np.ndim(X) == 2 else 0
            if names.shape != (width,):
                raise AlignmentError(f"by has the shape {names.shape}; expected one name for each of {width} units.")
        return {str(name): np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())}

    def _check_samples(self, parts: Mapping[str, Any]) -> None:
        first, *others = parts
        for other in others:
            one, two = parts[first], parts[other]
            tagged = [isinstance(part, xr.DataArray) for part in (one, two)]
            if any(tagged) and not all(tagged):
                raise AlignmentError(
                    f"one of {first} and {other} is labelled and the other a plain array, so nothing says that their "
                    "samples are the same. Label both with as_representation(..., stimulus=...)."
                )
            check_same_samples(one, two, (first, other))
            if np.shape(one)[0] != np.shape(two)[0]:
                raise AlignmentError(
                    f"{first} has {np.shape(one)[0]} samples and {other} has {np.shape(two)[0]}; a common space needs "
                    "the same samples in everyone."
                )

    def _check_components(self, rows: list[torch.Tensor]) -> None:
        k = self.n_components
        if k is None:
            return
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f"n_components={k!r}: expected a number from 1.")
        n, narrow = len(rows[0]), min(x.shape[1] for x in rows)
        if k > n - 1:
            raise DegenerateDataError(
                f"n_components={k}, and {n} centred samples span {n - 1} directions. Lower n_components."
            )
        if k > narrow and not self.takes_narrow:
            raise DegenerateDataError(
                f"n_components={k}, and one person has {narrow} units only. Lower n_components, or take more units."
            )

    def _size(self) -> int:
        """The number of components, of those kinds that need one."""
        if self.n_components is None:
            raise ValueError(f"{type(self).__name__} needs a number of components; n_components=None came.")
        return int(self.n_components)

    def _known(self, subject: str) -> str:
        return str(lookup({name: name for name in self.maps_}, str(subject), "subject", callables=False))

    def _components(self) -> Labels:
        names = np.array([f"{self.word}{at}" for at in range(self.n_components_)])
        return Labels("unit", self.n_components_, {"component": names}, {"kind": "features"})


class Hyperalignment(_Space):
    r"""Hyperalignment: the units of every person are rotated into common axes, in three passes.

    Pass 1 turns each person in order to the running mean of those before, pass 2 each to the mean of the others, pass 3
    each to the mean of all (orthogonal Procrustes every time). The widest person gives the axes; a narrower one fits
    into them without stretching. What people share may lie along any directions, and geometry within a person is kept.

    Parameters
    ----------
    n_components : keep so many principal components of the mean of training; None: one axis for each unit of the
        widest person, and units x units numbers for each. With fewer samples than units set it: what the samples do not
        span is in no one's data, and is turned as little as can be.
    by : unit coordinate that names the person, for one array of all; or the names themselves, one for each unit.
    standardize : z-score every unit with its mean and deviation over training samples.
    device : torch device for the algebra; None: the CPU.

    Attributes
    ----------
    maps_ : name -> (units, components). patterns_ : name -> (components, units), the way out. shared_ : (training
    samples, components), the mean of all. n_components_ : how many. means_, scales_, units_ : of every person.

    References
    ----------
    Haxby et al. (2011), Neuron 72, supplementary procedures; Guntupalli et al. (2016), Cerebral Cortex 26.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> response = rng.normal(size=(30, 4))
    >>> people = {name: response @ np.linalg.qr(rng.normal(size=(4, 4)))[0] for name in "abc"}
    >>> found = Hyperalignment(standardize=False).fit(people).transform(people)
    >>> bool(np.allclose(found["a"], found["b"]))
    True
    """

    word = "axis"
    takes_narrow = True

    def __init__(
        self, n_components: int | None = None, by: Any = "subject", standardize: bool = True, device: Any = None
    ):
        self.n_components = n_components
        self.by = by
        self.standardize = standardize
        self.device = device

    def _solve(self, rows: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        widest = max(x.shape[1] for x in rows)
        if self.n_components is not None and self.n_components > widest:
            raise DegenerateDataError(f"n_components={self.n_components}, and the widest person has {widest} units.")
        maps, shared = engine.hyperalign(rows, self.n_components)
        return maps, [w.T for w in maps], shared


class SharedResponse(_Space):
    r"""Shared response model: few time courses that everyone has, each person with an orthonormal map of their own.

        x_i = g w_i' + noise,  w_i' w_i = I

    Parameters
    ----------
    n_components : k, number of shared responses, at most the units of the narrowest person and the samples less one.
    kind : ``"deterministic"``: least squares, ``min sum ||x_i - g w_i'||^2``, by turns in w and g. ``"probabilistic"``:
        maximum likelihood with g ~ N(0, C) and noise N(0, v_i I), by expectation maximisation: noisy people count less.
    by : unit coordinate that names the person, for one array of all; or the names themselves, one for each unit.
    standardize : z-score every unit with its mean and deviation over training samples.
    max_iter : turns at most. tol : stop when the objective improves by less than this share.
    device : torch device for the algebra; None: the CPU.

    Attributes
    ----------
    maps_ : name -> (units, k) with orthonormal columns. patterns_ : their transposes. shared_ : (training samples, k).
    objective_ : after every turn, squared error (falling) or log likelihood (rising). noise_ : name -> v_i,
    covariance_ : (k, k) C, for the probabilistic kind.

    References
    ----------
    Chen et al. (2015), NeurIPS 28, sections 2 and 3.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> response = rng.normal(size=(50, 2))
    >>> people = {name: response @ rng.normal(size=(2, 6)) for name in "abc"}
    >>> SharedResponse(2).fit(people).transform(people)["b"].shape
    (50, 2)
    """

    word = "response"

    def __init__(
        self, n_components: int = 10, kind: str = "deterministic", by: Any = "subject", standardize: bool = True,
        max_iter: int = 200, tol: float = 1e-8, device: Any = None,
    ):  # fmt: skip
        self.n_components = n_components
        self.kind = kind
        self.by = by
        self.standardize = standardize
        self.max_iter = max_iter
        self.tol = tol
        self.device = device

    def _solve(self, rows: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        lookup({"deterministic": 0, "probabilistic": 1}, self.kind, "kind", callables=False)
        turns, least = whole(self.max_iter, "max_iter", least=1), amount(self.tol, "tol")
        k, names = self._size(), list(self.units_)
        self.noise_, self.covariance_ = None, None
        if self.kind == "deterministic":
            maps, shared, self.objective_ = engine.shared_response(rows, k, turns, least)
        else:
            maps, shared, self.objective_, noise, covariance = engine.probabilistic_response(rows, k, turns, least)
            self.noise_ = dict(zip(names, noise.tolist()))
            self.covariance_ = covariance.cpu().numpy()
        return maps, [w.T for w in maps], shared

    def _pool(self, parts: dict[str, np.ndarray]) -> np.ndarray:
        if self.noise_ is None or self.covariance_ is None:
            return super()._pool(parts)
        evidence = np.sum([part / self.noise_[name] for name, part in parts.items()], axis=0)
        precision = sum(1 / self.noise_[name] for name in parts)
        k = len(self.covariance_)
        return np.asarray(evidence @ self.covariance_ @ np.linalg.inv(np.eye(k) + precision * self.covariance_))


class GCCA(_Space):
    r"""Generalised canonical correlations (MAXVAR): responses that everyone's units reproduce best by ridge regression.

        g = first k eigenvectors of sum_i x_i (x_i'x_i + a_i I)^-1 x_i',  w_i = (x_i'x_i + a_i I)^-1 x_i' g

    Unlike hyperalignment and shared responses it may stretch: weak directions count as much as strong ones.

    Parameters
    ----------
    n_components : k.
    alpha : penalty in units of the mean eigenvalue of a person's x'x; above 0 where there are as many units as samples,
        or any response is reproduced by everyone.
    by : unit coordinate that names the person, for one array of all; or the names themselves, one for each unit.
    standardize : z-score every unit with its mean and deviation over training samples.
    device : torch device for the algebra; None: the CPU.

    Attributes
    ----------
    maps_ : name -> (units, k). patterns_ : name -> (k, units), regression of the units on g. shared_ : (training
    samples, k), of mean square 1. agreement_ : (k,) from 1 / people (nothing shared) to 1 (everyone has the response),
    shrunk by ``alpha``.

    References
    ----------
    Kettenring (1971), Biometrika 58; Tenenhaus & Tenenhaus (2011), Psychometrika 76.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> response = rng.normal(size=(50, 2))
    >>> people = {name: np.hstack([response, rng.normal(size=(50, 2))]) @ rng.normal(size=(4, 4)) for name in "abc"}
    >>> GCCA(3, alpha=0.0).fit(people).agreement_.round(1).tolist()
    [1.0, 1.0, 0.5]
    """

    word = "variate"

    def __init__(
        self, n_components: int = 10, alpha: float = 0.1, by: Any = "subject", standardize: bool = True,
        device: Any = None,
    ):  # fmt: skip
        self.n_components = n_components
        self.alpha = alpha
        self.by = by
        self.standardize = standardize
        self.device = device

    def _solve(self, rows: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        alpha, n = amount(self.alpha, "alpha"), len(rows[0])
        pairs = zip(self.units_, rows) if alpha == 0 else ()
        wide = [name for name, x in pairs if torch.linalg.matrix_rank(x) >= n - 1]
        if wide:
            raise DegenerateDataError(
                f"{', '.join(wide)}: as many units as samples ({n}) reproduce any response, so everything would be "
                "shared. Set alpha above 0, or reduce the units first."
            )
        maps, shared, agreement = engine.canonical(rows, self._size(), alpha)
        self.agreement_ = agreement.cpu().numpy()
        shared, maps = shared * n**0.5, [w * n**0.5 for w in maps]
        return maps, [shared.T @ x / n for x in rows], shared

    def _join(self, x: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return engine.regress(x, g, float(self.alpha)), g.T @ x / len(g)


class ThroughSpace(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    r"""One person predicted from others through a common space: into the space from theirs, out of it into the new one.

    ``fit`` learns the space from the units of the others (X, ``by`` names whose they are) and of the person to be
    predicted (y), all on training samples; ``predict`` pools the others in the space and takes the pattern of y out of
    it. A regressor: ``cross_validate(ThroughSpace(SharedResponse(10)), others, person, ...)`` scores held-out samples.

    Parameters
    ----------
    space : an unfitted :class:`Hyperalignment`, :class:`SharedResponse` or :class:`GCCA`; None: ``SharedResponse()``.

    Attributes
    ----------
    space_ : the fitted space; the predicted person is ``"(predicted)"`` in it.

    Raises
    ------
    AlignmentError, DegenerateDataError : as the space.

    References
    ----------
    Haxby et al. (2011), Neuron 72 (prediction between people).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> response = rng.normal(size=(60, 2))
    >>> others, person = response @ rng.normal(size=(2, 8)), response @ rng.normal(size=(2, 5))
    >>> model = ThroughSpace(GCCA(2, by=list("aaaabbbb"))).fit(others[:40], person[:40])
    >>> bool(np.corrcoef(model.predict(others[40:])[:, 0], person[40:, 0])[0, 1] > 0.9)
    True
    """

    target = "(predicted)"

    def __init__(self, space: Any = None):
        self.space = space

    def fit(self, X: Any, y: Any) -> ThroughSpace:
        """Learn the space. X (samples, units of the others); y (samples, units of the person)."""
        if y is None:
            raise ValueError("ThroughSpace requires y to be passed, but the target y is None.")
        check_same_samples(X, y)
        space = SharedResponse() if self.space is None else clone(self.space)
        parts = space._split(X)
        self.columns_ = space._columns(X)
        self.features_, self.targets_ = Labels.of(X, "unit"), Labels.of(y, "unit")
        self.one_target_ = np.ndim(y) == 1
        self.n_features_in_ = self.features_.size
        one = y if np.ndim(y) == 2 else np.asarray(plain(y))[:, None]
        if self.one_target_ and isinstance(y, xr.DataArray):
            one = labelled(one, samples_of=y, units=self.targets_)
        self.space_ = space.fit({**parts, self.target: one})
        return self

    def predict(self, X: Any) -> Any:
        """(samples, units of the person); labelled where X is."""
        check_is_fitted(self)
        check_same_units(X, self.features_)
        if np.shape(X)[1] != self.n_features_in_:
            raise AlignmentError(f"X has {np.shape(X)[1]} units, {self.n_features_in_} were seen at fit.")
        parts = {name: self.space_._into(name, X[:, at], named=False) for name, at in self.columns_.items()}
        found = self.space_._out_of(self.target, self.space_._pool(parts))
        return labelled(found[:, 0] if self.one_target_ else found, samples_of=X, units=self.targets_)


def _matrix(X: Any, name: str, samples: int = 1) -> np.ndarray:
    """(samples, units) in float64, finite."""
    values = np.asarray(_inputs.matrix(X, name))
    if values.ndim != 2:
        raise ValueError(f"{name} has the shape {values.shape}; expected (samples, units).")
    if values.dtype.kind not in "biuf":
        raise TypeError(f"{name} holds {values.dtype}; expected real numbers.")
    hidden = _inputs.masked(X, values.shape[1])
    if hidden.any():
        raise DegenerateDataError(
            f"{name}: {hidden.sum()} of {values.shape[1]} units are masked and hold NaN; leave them out: "
            "X[:, ~X['masked'].values]."
        )
    _inputs.check_counts(values.shape, name, samples=samples, what="unit")
    check_finite(X if isinstance(X, xr.DataArray) else values, name)
    return values.astype(np.float64)
