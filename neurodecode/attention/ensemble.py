"""Many fits as one: seeds averaged, layers weighed for each unit, weights that sum to one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted

from .._numbers import amount, whole
from ..compute.progress import progress
from ..compute.random import check_random_state
from ..exceptions import AlignmentError, DegenerateDataError
from ..representation import labelled
from .ablation import of_areas, token_importance
from .encoder import TokenEncoder
from .settled import settled


class EncoderEnsemble(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Mean prediction of encoders fitted with other seeds, other held-back samples, and other layers of a network.

    With r_lv the correlation of unit v on samples held back from the fits of layer l, averaged over its members:

        y_v = sum_l sum_m p_lv / M  y_lmv,    p_lv = softmax_l( temperature * r_lv )

    so that the weights of a unit sum to one over all layers and members, and predictions keep their scale.

    Parameters
    ----------
    encoder : an encoder of token maps, such as :class:`RoutedEncoder`; it is cloned.
    n_members : fits a layer, each with a seed of its own and so another split that chooses its epoch.
    by : unit coordinate of X whose values are fitted one by one and mixed, such as ``"layer"``; None: X as it is.
    temperature : how sharply a unit prefers its best layers; 0: all layers alike.
    random_state : seed of the members' seeds.

    Attributes
    ----------
    members_ : the fitted encoders, {layer: [encoder, ...]}. weights_ : DataArray (layer, unit) that sums to one over
    layers. held_back_r_ : (layer, unit). areas_ : names of the queries. degenerate_ : positions of units that were
    constant for every member.

    Raises
    ------
    DegenerateDataError : several layers, and nothing held back to weigh them by.

    References
    ----------
    Adeli, Sun & Kriegeskorte (2025), arXiv:2505.17329, for the ensemble over layers and the temperature of 40.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodecode.attention import RoutedEncoder
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(40, 9, 4))
    >>> Y = X[:, 4] @ rng.normal(size=(4, 3))
    >>> model = EncoderEnsemble(RoutedEncoder(by=None, width=8, max_epochs=2), n_members=2, random_state=0).fit(X, Y)
    >>> model.weights_.sum("layer").values.tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(
        self,
        encoder: TokenEncoder,
        n_members: int = 10,
        *,
        by: str | None = None,
        temperature: float = 40.0,
        random_state: Any = None,
    ) -> None:
        self.encoder = encoder
        self.n_members = n_members
        self.by = by
        self.temperature = temperature
        self.random_state = random_state

    def fit(self, X: Any, Y: Any, *, seen: Any = None) -> EncoderEnsemble:
        """Fit every member; arguments as for the encoder."""
        n_members = whole(self.n_members, "n_members", least=1)
        temperature = amount(self.temperature, "temperature")
        if not isinstance(self.encoder, TokenEncoder):
            made = f"the class {self.encoder.__name__}" if isinstance(self.encoder, type) else f"{self.encoder!r}"
            raise ValueError(
                f"encoder={made}: expected an encoder of token maps that is fitted by steps, such as RoutedEncoder()."
            )
        checkpoint = getattr(self.encoder.training, "checkpoint", None)
        if checkpoint is not None and not Path(checkpoint).is_dir():
            raise ValueError(
                f"checkpoint={str(checkpoint)!r} is one file, and there are several fits; give a folder that exists, "
                "which holds a file for each"
            )
        rng = check_random_state(self.random_state)
        layers = self._layers(X)
        seeds = rng.integers(2**31 - 1, size=n_members)  # layers are weighed on the same held-back samples
        self.members_: dict[str, list[TokenEncoder]] = {layer: [] for layer in layers}
        jobs = [(layer, int(seed)) for layer in layers for seed in seeds]
        for layer, seed in progress(jobs, "members of the ensemble"):
            member = clone(self.encoder).set_params(random_state=seed)
            self.members_[layer].append(member.fit(self._part(X, layer), Y, seen=seen))
        r = np.stack([_mean([one.held_back_r_ for one in members]) for members in self.members_.values()])
        if len(layers) > 1 and not np.isfinite(r).any():
            raise DegenerateDataError(
                "layers are weighed by their correlation on held-back samples, and nothing is held back; set "
                "training=Training(validation=0.1) in the encoder"
            )
        logits = temperature * np.nan_to_num(r)
        share = np.exp(logits - logits.max(axis=0))
        share /= share.sum(axis=0)
        first = self._first()
        self.areas_, self.areas_of_ = first.areas_, first.areas_of_
        constant = [set(one.degenerate_.tolist()) for members in self.members_.values() for one in members]
        self.degenerate_ = np.array(sorted(set.intersection(*constant)), dtype=int)
        known = {k: ("unit", v) for k, v in first.targets_.coords.items() if k != "layer"}
        coords = {"layer": np.asarray(list(layers)), **known}
        self.weights_ = xr.DataArray(share, dims=("layer", "unit"), coords=coords)
        self.held_back_r_ = self.weights_.copy(data=r)
        self.targets_, self.one_target_ = first.targets_, first.one_target_
        return self

    def _first(self) -> TokenEncoder:
        return next(iter(self.members_.values()))[0]

    def _names(self, X: Any) -> np.ndarray:
        """The layer of every feature of ``X``."""
        if not isinstance(X, xr.DataArray) or self.by not in X.coords or X[self.by].dims != ("unit",):
            raise AlignmentError(f"by={self.by!r} names no coordinate of the units of X")
        return X[self.by].values.astype(str)

    def _layers(self, X: Any) -> list[str]:
        return ["all"] if self.by is None else list(dict.fromkeys(self._names(X).tolist()))

    def _part(self, X: Any, layer: str) -> Any:
        if self.by is None:
            return X
        names = self._names(X)
        return X.isel(unit=np.flatnonzero(names == layer))

    def predict(self, X: Any) -> Any:
        """Weighted mean of the members' predictions (sample, unit), labelled where ``X`` is.

        A unit that some members never saw measured is the mean of the others.
        """
        check_is_fitted(self)
        total: Any = 0.0
        for layer, members in self.members_.items():
            part = self._part(X, layer)
            fitted = np.stack([np.isfinite(one.mean_) for one in members])
            each = self.weights_.sel(layer=layer).values / np.maximum(fitted.sum(axis=0), 1)
            for one, there in zip(members, fitted):
                found = np.asarray(one.predict(part)).reshape(len(X), -1)
                total = total + np.where(there | ~fitted.any(axis=0), found, 0.0) * each
        total = np.asarray(total, dtype=self._first().dtype_)
        return labelled(total[:, 0] if self.one_target_ else total, samples_of=X, units=self.targets_)

    def attention(self, X: Any, *, per_layer: bool = False) -> xr.DataArray:
        """Where each area looks: the mean over the members of a layer, and over layers by their shares in the area.

        Parameters
        ----------
        X : (sample, token, unit). per_layer : one map for each layer; their mean hides layers that look elsewhere.

        Returns
        -------
        DataArray (sample, query, token), or (layer, sample, query, token): weights that sum to one over the tokens of a
        picture; NaN for an area without units, with the reason in attrs. A layer's share in an area is the mean of
        ``weights_`` over the area's units.
        """
        check_is_fitted(self)
        found, share = [], []
        for layer, members in self.members_.items():
            part = self._part(X, layer)
            mean = members[0].attention(part)
            for one in members[1:]:
                mean.values += one.attention(part).values
            found.append(mean.copy(data=mean.values / np.float32(len(members))))
            share.append(of_areas(members[0], self.weights_.sel(layer=layer).values))
        if per_layer:
            together = found[0].variable.set_dims({"layer": len(found), **found[0].sizes}).copy(deep=True)
            together.values = np.stack([one.values for one in found])
            return xr.DataArray(together, {"layer": self.weights_["layer"].values, **found[0].coords})
        total = sum(one.values * by_area[:, None] for one, by_area in zip(found, share))
        return found[0].copy(data=np.asarray(total, dtype=np.float32))

    def token_importance(self, X: Any, Y: Any, *, share: float = 0.1, random_state: Any = 0) -> xr.Dataset:
        """What is lost when the tokens that an area attends to most, by :meth:`attention`, are taken from all members.

        Parameters and what is returned as for :meth:`RoutedEncoder.token_importance`.
        """
        check_is_fitted(self)
        parts = [
            (one, self._part(X, layer), self.weights_.sel(layer=layer).values / len(members))
            for layer, members in self.members_.items()
            for one in members
        ]
        with settled():
            return token_importance(parts, Y, share=share, random_state=random_state)


def _mean(members: list[np.ndarray]) -> np.ndarray:
    """Mean over members, of those whose correlation is defined; NaN where none is."""
    each = np.stack(members)
    known = np.isfinite(each)
    total = np.where(known, each, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
