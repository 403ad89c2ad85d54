"""Encoders whose places stay: a map of weights for each area, and products of places and features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from .._numbers import whole
from ..compute.training import Training
from .encoder import TokenEncoder
from .modules import Factors, Reader, StaticMap
from .tokens import Tokens


class _StaticEncoder(TokenEncoder):
    """What encoders with fixed places share: tokens that come in another order are met by their places."""

    usual = Training(learning_rate=0.05, dropout=0.0)

    def __init__(
        self,
        by: str | Sequence[str] | Mapping[str, Any] | None = "roi",
        max_epochs: int = 30,
        random_state: Any = None,
        *,
        within: str | None = None,
        training: Training | None = None,
    ) -> None:
        self.by = by
        self.within = within
        self.max_epochs = max_epochs
        self.training = training
        self.random_state = random_state

    def place(self, tokens: Tokens, device: torch.device) -> dict[str, Any]:
        """Rows of the places in the tables of the fit, where tokens come in another order."""
        rows = self._rows_of_places(tokens)
        return {"rows": None if rows is None else rows.to(device)}

    def _on_tokens(self, values: np.ndarray) -> dict[str, Any]:
        """Coordinates of the places of the fit."""
        return {name: ("token", values[:, axis]) for axis, name in enumerate(self.axes_)}


class SpatialFeatureEncoder(_StaticEncoder):
    r"""Encoding model with a static map of places for each area and feature weights for each unit.

        y_v = w_v' sum_p m_p x_p + b_v,   m = softmax of one learned number a place, shared by the units of an area

    The rival of :class:`RoutedEncoder` that cannot follow a thing that moves; with ``by="unit"`` every unit has a map
    of its own, which is a receptive field.

    Parameters
    ----------
    by, within, max_epochs, training, random_state : as for :class:`RoutedEncoder`.

    Attributes
    ----------
    areas_ : names of the maps. map_ : DataArray (query, token), weights that sum to one, with the places of the tokens.
    history_, degenerate_, module_, n_features_in_ : as for :class:`RoutedEncoder`.

    Raises
    ------
    AlignmentError, DegenerateDataError : as :class:`RoutedEncoder`.

    References
    ----------
    Klindt, Ecker, Euler & Bethge (2017), Neural system identification for large populations separating what and where,
    NeurIPS, section 3; St-Yves & Naselaris (2018), NeuroImage 180, for the receptive field that weighs features.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 9, 4))
    >>> Y = X[:, 4] @ rng.normal(size=(4, 3))
    >>> model = SpatialFeatureEncoder(by=None, max_epochs=100, random_state=0).fit(X, Y)
    >>> int(model.map_.argmax("token")[0])
    4
    """

    def reader(self, n_areas: int, tokens: Tokens, settings: Training) -> tuple[Reader, int]:
        """One map of places an area, and as many numbers as features."""
        return StaticMap(n_areas, tokens.size), tokens.n_features

    @property
    def map_(self) -> xr.DataArray:
        """Where each area reads: (query, token), with the places of the tokens; NaN for an area without units."""
        with torch.no_grad():
            weights = self._map().weights(1)[0].numpy().copy()
        weights[[self.areas_.index(name) for name in self.areas_of_.empty]] = np.nan
        coords = {"query": np.asarray(self.areas_), **self._on_tokens(self.places_)}
        return xr.DataArray(weights, dims=("query", "token"), coords=coords, attrs={"quantity": "weight of place"})

    def _map(self) -> StaticMap:
        reader = self.module_.reader
        assert isinstance(reader, StaticMap)
        return reader


class FactorizedEncoder(_StaticEncoder):
    r"""Encoding model whose weights over places and features are a matrix of low rank, with factors shared in an area.

        y_v = sum_k a_vk sum_p sum_d s_kp f_kd x_pd + b_v,   k = 1..rank

    Places may count with either sign, so that an area can read a difference between two places.

    Parameters
    ----------
    rank : number of products of a place map and a feature direction in each area.
    by, within, max_epochs, training, random_state : as for :class:`RoutedEncoder`.

    Attributes
    ----------
    where_ : DataArray (query, rank, token). what_ : (query, rank, features), features on the scale of the fit.
    areas_, history_, degenerate_, module_, n_features_in_ : as for :class:`RoutedEncoder`.

    Raises
    ------
    AlignmentError, DegenerateDataError : as :class:`RoutedEncoder`. ValueError : a rank below 1.

    References
    ----------
    Klindt, Ecker, Euler & Bethge (2017), NeurIPS, section 3 (one place map and one feature vector a unit).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 9, 4))
    >>> Y = (X[:, 4] - X[:, 3]) @ rng.normal(size=(4, 2))
    >>> FactorizedEncoder(rank=2, by=None, max_epochs=100, random_state=0).fit(X, Y).predict(X).shape
    (60, 2)
    """

    def __init__(
        self,
        rank: int = 8,
        by: str | Sequence[str] | Mapping[str, Any] | None = "roi",
        max_epochs: int = 30,
        random_state: Any = None,
        *,
        within: str | None = None,
        training: Training | None = None,
    ) -> None:
        super().__init__(
            by,
            within=within,
            max_epochs=max_epochs,
            training=training,
            random_state=random_state,
        )
        self.rank = rank

    def reader(self, n_areas: int, tokens: Tokens, settings: Training) -> tuple[Reader, int]:
        """Products of places and features, ``rank`` an area."""
        rank = whole(self.rank, "rank", least=1)
        return Factors(n_areas, tokens.size, tokens.n_features, rank), rank

    @property
    def where_(self) -> xr.DataArray:
        """Place maps (query, rank, token), of either sign; NaN for an area without units."""
        coords = {"query": np.asarray(self.areas_), **self._on_tokens(self.places_)}
        values = self._factors().where.detach().numpy().copy()
        values[[self.areas_.index(name) for name in self.areas_of_.empty]] = np.nan
        return xr.DataArray(values, dims=("query", "rank", "token"), coords=coords)

    @property
    def what_(self) -> np.ndarray:
        """Feature directions (query, rank, features); NaN for an area without units."""
        values = self._factors().what.detach().numpy().copy()
        values[[self.areas_.index(name) for name in self.areas_of_.empty]] = np.nan
        return values

    def _factors(self) -> Factors:
        reader = self.module_.reader
        assert isinstance(reader, Factors)
        return reader
