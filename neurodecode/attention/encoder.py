"""What encoders of token maps have in common: the door, the fit loop, prediction, and what ablation says."""

from __future__ import annotations

import hashlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import Tensor

from .._numbers import whole
from ..compute.batching import batches
from ..compute.device import resolve
from ..compute.pieces import Piece, in_pieces
from ..compute.random import check_random_state, torch_generator
from ..compute.training import Training, fit_loop
from ..exceptions import AlignmentError, NeurodecodeWarning
from ..linear import _inputs
from ..representation import Labels, check_same_samples, check_same_units, labelled
from .ablation import NOBODY, token_importance
from .areas import Areas, gather
from .capacity import Fit, Plan, plan
from .held_back import hold_back
from .modules import Reader, Readout, TokenModel
from .positions import named_axes, sine_code
from .settled import settled
from .targets import correlation, learn_scale, read_targets, standardised
from .tokens import ROWS_READ, Tokens, warn_features


class TokenEncoder(MultiOutputMixin, RegressorMixin, BaseEstimator, ABC):
    """Base of encoders from ``sample x token x unit`` to ``sample x unit``; a subclass says what reads the tokens.

    Labels, areas, units that are constant, masked or not measured, scales, memory, batches, early stopping,
    checkpoints, devices, prediction and what ablation says are here, and readouts are linear maps from what was read.

    A subclass stores ``by``, ``within``, ``max_epochs``, ``training`` and ``random_state`` beside what is its own, as
    arguments of its constructor or as class attributes, and fills in :meth:`reader`; where they are needed also
    :meth:`extra_loss`, :meth:`place`, and ``usual``, the :class:`Training` that is taken for None.

    Attributes
    ----------
    areas_ : names of the queries. module_ : the fitted ``torch.nn.Module``; ``module_.reader`` reads the tokens.
    history_ : loss and validation score an epoch. degenerate_ : positions of constant units. n_features_in_ : features
    a token.

    Examples
    --------
    An encoder for which every area adds up all tokens, each weighed by its first feature:

    >>> import numpy as np
    >>> import torch
    >>> from neurodecode.attention import Reader, TokenEncoder
    >>> class Weighed(Reader):
    ...     def __init__(self, n_areas):
    ...         super().__init__()
    ...         self.gain = torch.nn.Parameter(torch.ones(n_areas))
    ...     def forward(self, tokens, *, blocked=None):
    ...         read = (tokens[:, None] * tokens[:, None, :, :1]).mean(2)  # (b, 1, D)
    ...         return self.gain[:, None] * read  # (b, areas, D)
    ...     def room(self, n_tokens, n_features, *, blocked=False):
    ...         return (n_tokens + len(self.gain)) * n_features
    >>> class WeighedEncoder(TokenEncoder):
    ...     within = None
    ...     def __init__(self, by="roi", max_epochs=30, random_state=None, *, training=None):
    ...         self.by, self.max_epochs, self.random_state, self.training = by, max_epochs, random_state, training
    ...     def reader(self, n_areas, tokens, settings):
    ...         return Weighed(n_areas), tokens.n_features
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(40, 9, 4))
    >>> Y = (X * X[:, :, :1]).mean(1) @ rng.normal(size=(4, 3))
    >>> WeighedEncoder(by=None, max_epochs=2, random_state=0).fit(X, Y).predict(X).shape
    (40, 3)
    """

    usual = Training()
    by: Any
    within: str | None
    max_epochs: int
    training: Any
    random_state: Any

    @abstractmethod
    def reader(self, n_areas: int, tokens: Tokens, settings: Training) -> tuple[Reader, int]:
        """What reads the tokens, not fitted yet, and how many numbers it gives an area.

        Parameters
        ----------
        n_areas : vectors that are asked for. tokens : what was given: ``tokens.size`` tokens a picture,
            ``tokens.n_features`` features each, at ``tokens.places`` (size, axes). settings : such as the dropout.
        """

    def extra_loss(self, module: TokenModel) -> Tensor | float:
        """What is added to the mean squared error of standardised targets in each step; here nothing."""
        return 0.0

    def place(self, tokens: Tokens, device: torch.device) -> dict[str, Any]:
        """What the reader is told of the places of these tokens: keyword arguments of its ``forward`` and ``attend``.

        Here nothing, and tokens in another order than at fit are refused.
        """
        if self._rows_of_places(tokens) is not None:
            raise AlignmentError(
                f"tokens come in another order than at fit, and {type(self).__name__} reads them by their order; sort "
                "them as there."
            )
        return {}

    # fitting

    def fit(self, X: Any, Y: Any, *, seen: Any = None) -> TokenEncoder:
        """Fit queries, maps and readouts together.

        Parameters
        ----------
        X : (sample, token, unit) token maps, labelled or plain; Dask, zarr and memory maps are read a batch at a time.
        Y : (sample, unit) targets. A constant unit is predicted by its constant and listed in ``degenerate_``; a masked
            one by NaN.
        seen : boolean (samples, units): which targets were measured; the others may be NaN and are not fitted. A unit
            that was measured in no training sample is predicted by NaN.

        Returns
        -------
        self
        """
        check_same_samples(X, Y)
        if seen is not None and isinstance(Y, xr.DataArray):
            check_same_samples(Y, seen)
            check_same_units(seen, Labels.of(Y, "unit"))
        with settled():
            settings = self._settings()
            device = resolve(settings.device)
            tokens = Tokens(X, self.within)
            targets = _inputs.targets(Y, type(self).__name__)
            check_consistent_length(np.empty(tokens.n), targets)
            rng = check_random_state(self.random_state)
            train, held = hold_back(X, tokens.n, settings, rng, Y)
            room = self._plan(tokens, targets, Y, len(held), settings, device)
            self.__dict__.pop("held_back_r_", None)  # a fit that is interrupted leaves nothing that predicts
            y, measured, usable = read_targets(targets, Y, seen)
            self.mean_, self.scale_, flat = learn_scale(y, measured, train)
            usable = usable & np.isfinite(self.mean_)
            self.degenerate_ = np.flatnonzero(flat & usable)
            self.areas_of_ = gather(Y, self.by, y.shape[1], usable=usable & ~flat)
            self.areas_ = list(self.areas_of_.names)
            self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else np.empty((1, tokens.n_features)), "unit")
            self.targets_ = Labels.of(Y if isinstance(Y, xr.DataArray) else targets, "unit")
            self.one_target_ = targets.ndim == 1
            self.dtype_ = np.dtype(np.float32 if y.dtype == np.float32 else np.float64)
            self.usable_ = usable
            tokens.learn_scale(train, rng)
            warn_features(tokens, stacklevel=3)
            tokens.use_scale(tokens.mean, tokens.scale, hold=room.hold, device=device)
            self.token_mean_, self.token_scale_ = tokens.mean, tokens.scale
            self.places_, self.n_features_in_ = tokens.places, tokens.n_features
            self.axes_ = tokens.axes
            goal, weight = standardised(y, measured, self.mean_, self.scale_, self.areas_of_.order)
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(int(rng.integers(2**63 - 1)))
                self.module_ = self._module(self.areas_of_, tokens, settings)
                self._take_over(tokens)
                with self._on(device) as module:
                    self.history_ = fit_loop(
                        module,
                        lambda rows: self._loss(module, tokens, rows, goal, weight, device),
                        lambda generator: _shuffled(train, settings.batch_size, generator, tokens),
                        -(-len(train) // settings.batch_size),
                        settings=settings,
                        max_epochs=int(self.max_epochs),
                        generator=torch_generator(rng),
                        validate=(lambda: self._validate(tokens, held, goal, weight, room.read)) if len(held) else None,
                        cut=lambda batch, most: _cut(batch, most, weight, tokens.groups),
                        rows_at_once=room.rows,
                        key=self._key(tokens, goal, weight, train) if settings.checkpoint is not None else "",
                        text=f"fitting {len(self.areas_of_.order):,} units",
                    )
                    self.held_back_r_ = self._held_back_r(tokens, held, y, measured, room.read)
            self.best_epoch_, self.held_back_, self.n_held_back_ = self.history_.best_epoch, held, len(held)
            if self.areas_of_.empty:
                warnings.warn(
                    f"{len(self.areas_of_.empty)} areas have no unit to fit ({', '.join(self.areas_of_.empty[:5])}): "
                    "their attention is NaN.",
                    NeurodecodeWarning,
                    stacklevel=2,
                )
        return self

    def _plan(self, tokens: Tokens, y: Any, Y: Any, held: int, settings: Training, device: torch.device) -> Plan:
        """What fits into memory, asked of a module that has sizes and no numbers."""
        units = y.shape[1] if y.ndim == 2 else 1
        areas = gather(Y, self.by, units, usable=~_inputs.masked(Y, units))
        with torch.device("meta"):
            module = self._module(areas, tokens, settings)
        small = y.dtype.kind == "f" and y.dtype.itemsize <= 4
        fit = Fit(
            n=tokens.n,
            held_back=held,
            tokens=tokens.n_tokens,
            features=tokens.n_features,
            units=units,
            parameters=sum(weight.numel() for weight in module.parameters()),
            kept=module.room(tokens.groups, tokens.size, tokens.n_features, blocked=tokens.attended is not None),
            batch=min(settings.batch_size, tokens.n),
            itemsize=4 if small else 8,
            in_memory=tokens.in_memory,
        )
        return plan(fit, settings.max_memory, device)

    def _module(self, areas: Areas, tokens: Tokens, settings: Training) -> TokenModel:
        reader, width = self.reader(len(areas.names), tokens, settings)
        return TokenModel(reader, Readout(areas.patterns, areas.sizes, width))

    def _take_over(self, tokens: Tokens) -> None:
        """Put weights that come from elsewhere into the module, where there are any."""

    def _held_back_r(
        self, tokens: Tokens, held: np.ndarray, y: np.ndarray, measured: np.ndarray | None, most: int
    ) -> np.ndarray:
        """Correlation of every unit on the samples that chose the epoch; NaN where there are none."""
        if not len(held):
            return np.full(y.shape[1], np.nan)
        found = self._units(self._forward(tokens, held, most=most)).astype(float)
        return correlation(y[held].astype(float), found, None if measured is None else measured[held])

    def _settings(self) -> Training:
        whole(self.max_epochs, "max_epochs", least=1)
        if self.training is None:
            return self.usual
        if not isinstance(self.training, Training):
            raise ValueError(f"training={self.training!r}; expected attention.Training(...), or None")
        return self.training

    def _loss(
        self, module: TokenModel, tokens: Tokens, batch: Any, goal: Tensor, weight: Tensor | None, device: torch.device
    ) -> Tensor:
        rows, values, blocked = batch
        found = module(tokens.put(values, device), blocked=_moved(blocked, device), **self.place(tokens, device))
        error = (found - goal[rows].to(device)).square()
        if weight is None:
            return error.mean() + self.extra_loss(module)
        counts = weight[rows].to(device)
        return (error * counts).sum() / counts.sum().clamp_min(1.0) + self.extra_loss(module)

    def _validate(self, tokens: Tokens, held: np.ndarray, goal: Tensor, weight: Tensor | None, most: int) -> float:
        found = self._forward(tokens, held, most=most)
        truth = goal[torch.from_numpy(held)].numpy()
        present = None if weight is None else weight[torch.from_numpy(held)].numpy() > 0
        return float(np.nan_to_num(correlation(truth, found, present)).mean())

    def _key(self, tokens: Tokens, goal: Tensor, weight: Tensor | None, train: np.ndarray) -> str:
        """What a checkpoint belongs to: settings, areas, targets, places, the scale of the tokens and a few of them."""
        training = replace(self._settings(), device=None, checkpoint=None, max_memory=None)
        said = {**self.get_params(deep=False), "training": training, "by": self.areas_}
        rows = np.unique(np.linspace(0, tokens.n - 1, 8).astype(int))
        units = self.areas_of_.units
        parts = [tokens.raw(rows).numpy(), goal.numpy(), train, tokens.places, tokens.order]
        parts += [np.concatenate(units), np.array([len(one) for one in units])]
        parts += [tokens.mean.numpy(), tokens.scale.numpy()]
        parts += [] if weight is None else [weight.numpy()]
        parts += [] if tokens.attended is None else [tokens.attended]
        parts += [value.numpy() for value in self._given()]
        digest = hashlib.sha256(repr((said, tuple(tokens.values.shape))).encode())
        for part in parts:
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def _given(self) -> list[Tensor]:
        """Weights that come from elsewhere and are not fitted."""
        return []

    # places and devices

    def _rows_of_places(self, tokens: Tokens) -> Tensor | None:
        """Rows of a table over places, for tokens that come in another order than at fit; None in the same order."""
        known, now = self.places_, tokens.places
        self._same_axes(tokens)
        if known.shape == now.shape and np.allclose(known, now):
            return None
        table = {tuple(np.round(place, 6).tolist()): row for row, place in enumerate(known)}
        asked = [tuple(np.round(place, 6).tolist()) for place in now]
        strange = [place for place in asked if place not in table]
        if strange:
            raise AlignmentError(
                f"a token lies at {strange[0]}, where no token lay at fit; give tokens on the same grid."
            )
        if not len(set(asked)) == len(asked) == len(table) == len(known):
            raise AlignmentError(
                f"{len(asked)} tokens lie at {len(set(asked))} places, at fit {len(known)} lay at {len(table)}; tokens "
                "are told apart by their places: give all of them, one a place (within= where there are several "
                "pictures), or in the order of the fit. A coordinate attended (sample, token) leaves some out."
            )
        return torch.tensor([table[place] for place in asked])

    def _same_axes(self, tokens: Tokens) -> None:
        if tokens.axes != self.axes_:
            raise AlignmentError(
                f"tokens lie along {', '.join(tokens.axes)}, at fit along {', '.join(self.axes_)}; say where they lie "
                "by the same coordinates."
            )

    def _sine(self, tokens: Tokens, device: torch.device, turn: float) -> Tensor:
        """Codes of places between the first and the last of the fit."""
        self._same_axes(tokens)
        span = np.stack([self.places_.min(0), self.places_.max(0)], axis=1)
        inside = (tokens.places >= span[:, 0] - 1e-6) & (tokens.places <= span[:, 1] + 1e-6)
        if not inside.all():
            strange = tuple(tokens.places[~inside.all(axis=1)][0].tolist())
            raise AlignmentError(
                f"a token lies at {strange}, at fit they lay between {tuple(span[:, 0].tolist())} and "
                f"{tuple(span[:, 1].tolist())}; give tokens of the same field."
            )
        if tokens.size != len(self.places_) and not named_axes(tokens.labels):
            raise AlignmentError(
                f"{tokens.size} tokens came, {len(self.places_)} at fit, and nothing says where they lie; give them "
                f"the coordinates {', '.join(self.axes_)}."
            )
        return sine_code(tokens.places, tokens.n_features, span, turn).to(device)

    @contextmanager
    def _on(self, device: torch.device) -> Iterator[TokenModel]:
        """The module on a device, and back on the CPU afterwards."""
        try:
            yield self.module_.to(device)
        finally:
            self.module_.to("cpu")

    # reading

    def _tokens(self, X: Any) -> Tokens:
        check_is_fitted(self, "held_back_r_")
        check_same_units(X, self.features_)
        tokens = Tokens(X, self.within)
        if tokens.n_features != self.n_features_in_:
            raise AlignmentError(f"X has {tokens.n_features} features, {self.n_features_in_} were seen at fit.")
        tokens.use_scale(self.token_mean_, self.token_scale_, hold=False, device=resolve(self._settings().device))
        return tokens

    def _forward(
        self, tokens: Tokens, rows: np.ndarray, also: Tensor | None = None, most: int = ROWS_READ
    ) -> np.ndarray:
        """Predictions on the scale of the fit, (rows, units in the order of areas), ``most`` rows at a time.

        ``also`` blocks more tokens: boolean (rows, groups, areas, P).
        """
        self.module_.eval()
        device = next(self.module_.parameters()).device
        place = self.place(tokens, device)

        def run(some: slice) -> Tensor:
            blocked = tokens.blocked(rows[some])
            if also is not None:
                more = also[some].flatten(0, 1)
                blocked = more if blocked is None else blocked | more
            values = tokens.put(tokens.read(rows[some]), device)
            return self.module_(values, blocked=_moved(blocked, device), **place).cpu()

        with torch.no_grad():
            return torch.cat(in_pieces(run, len(rows), most, device)).numpy()

    def _units(self, found: np.ndarray) -> np.ndarray:
        """Predictions of every unit in its own units: constants for constant ones, NaN where nothing was fitted."""
        order = self.areas_of_.order
        answer = np.full((len(found), len(self.mean_)), np.nan)
        answer[:, self.degenerate_] = self.mean_[self.degenerate_]
        answer[:, order] = found * self.scale_[order] + self.mean_[order]
        answer[:, ~self.usable_] = np.nan
        return answer.astype(self.dtype_)

    def predict(self, X: Any) -> Any:
        """Predicted targets (sample, unit), labelled where ``X`` is.

        Parameters
        ----------
        X : (sample, token, unit), features and places as at fit; labelled tokens may come in another order.
        """
        tokens = self._tokens(X)
        with settled(), self._on(resolve(self._settings().device)):
            answer = self._units(self._forward(tokens, np.arange(tokens.n)))
        return labelled(answer[:, 0] if self.one_target_ else answer, samples_of=X, units=self.targets_)

    def _weights(self, tokens: Tokens, rows: np.ndarray) -> Tensor:
        """Weights over tokens (rows, groups, areas, P) that sum to one over P, averaged over heads."""
        return self._heads(tokens, rows).mean(2)

    def _heads(self, tokens: Tokens, rows: np.ndarray) -> Tensor:
        """(rows, groups, heads, areas, P)."""
        device = next(self.module_.parameters()).device
        values, blocked = tokens.put(tokens.read(rows), device), _moved(tokens.blocked(rows), device)
        found = self.module_.reader.attend(values.flatten(0, 1), blocked=blocked, **self.place(tokens, device))
        return found.unflatten(0, tuple(values.shape[:2]))

    def attention(self, X: Any) -> xr.DataArray:
        """Where each area reads: weights over tokens that sum to one in each picture.

        Parameters
        ----------
        X : (sample, token, unit).

        Returns
        -------
        DataArray (sample, query, token): ``query`` the area names, coordinates of the samples and tokens of ``X``. NaN
        for an area without units, with the reason in attrs.
        """
        return self._looked(X, self._weights, ("sample", "query", "token"))

    def _all_weights(
        self, tokens: Tokens, rows: np.ndarray, each: Callable[[Tokens, np.ndarray], Tensor] | None = None
    ) -> Tensor:
        """Weights of samples, (rows, groups, ..., P); ``each`` gives those of some."""
        of_rows = each or self._weights
        device = resolve(self._settings().device)
        with self._on(device), torch.no_grad():
            return torch.cat(in_pieces(lambda some: of_rows(tokens, rows[some]).cpu(), len(rows), ROWS_READ, device))

    def _looked(self, X: Any, each: Callable[[Tokens, np.ndarray], Tensor], dims: tuple[str, ...]) -> xr.DataArray:
        """Weights of all samples as a labelled array over the tokens of ``X``."""
        tokens = self._tokens(X)
        with settled():
            weights = self._all_weights(tokens, np.arange(tokens.n), each).numpy()
        if tokens.groups == 1:
            return self._labelled_weights(weights[:, 0], X, dims)
        found = np.empty((tokens.n, *weights.shape[2:-1], tokens.n_tokens), dtype=np.float32)
        for group, at in enumerate(tokens.order):
            found[..., at] = weights[:, group]
        return self._labelled_weights(found, X, dims)

    def _labelled_weights(self, found: np.ndarray, X: Any, dims: tuple[str, ...]) -> xr.DataArray:
        empty = [self.areas_.index(name) for name in self.areas_of_.empty]
        found[(slice(None),) * dims.index("query") + (empty,)] = np.nan
        coords: dict[str, Any] = {"query": np.asarray(self.areas_)}
        attrs: dict[str, Any] = {"quantity": "attention", "units": "share"}
        if isinstance(X, xr.DataArray):
            coords |= {
                str(name): entry.variable
                for name, entry in X.coords.items()
                if entry.dims in (("sample",), ("token",), ("sample", "token")) and name not in dims
            }
        if empty:
            attrs["reason"] = dict.fromkeys(self.areas_of_.empty, NOBODY)
        return xr.DataArray(found, dims=dims, coords=coords, attrs=attrs)

    def token_importance(self, X: Any, Y: Any, *, share: float = 0.1, random_state: Any = 0) -> xr.Dataset:
        """What is lost when the tokens that an area attends to most are taken away: attention alone is not proof.

        For each area and sample the ``share`` of tokens with the largest weights is masked, the weights of the others
        are made to sum to one again, and the area's units are predicted anew. Beside it the same with as many tokens
        drawn at random.

        Parameters
        ----------
        X : (sample, token, unit); Y : (sample, unit), neither seen in fitting. share : of the tokens of a picture.

        Returns
        -------
        Dataset over ``query``: ``r`` (mean over the area's units), ``r_masked``, ``r_random``, and ``drop``,
        ``drop_random``: what was lost.

        References
        ----------
        Jain & Wallace (2019), Attention is not explanation, NAACL; DeYoung et al. (2020), ERASER, ACL, section 4
        (comprehensiveness).
        """
        with settled():
            return token_importance([(self, X, None)], Y, share=share, random_state=random_state)


def _moved(value: Tensor | None, device: torch.device) -> Tensor | None:
    return None if value is None else value.to(device)


def _cut(batch: Any, most: int, weight: Tensor | None, groups: int) -> list[Piece]:
    """A batch in pieces of at most ``most`` samples; a piece's share is that of its measured targets."""
    rows, values, blocked = batch
    pieces = []
    for some in batches(len(rows), most):
        part = rows[some]
        share = len(part) / len(rows)
        if weight is not None:
            share = float(weight[part].sum().clamp_min(1.0) / weight[rows].sum().clamp_min(1.0))
        kept = None if blocked is None else blocked[some.start * groups : some.stop * groups]
        pieces.append(Piece((part, values[some], kept), share, some, len(rows)))
    return pieces


def _shuffled(
    rows: np.ndarray, size: int, generator: torch.Generator, tokens: Tokens
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    order = rows[torch.randperm(len(rows), generator=generator).numpy()]
    for some in batches(len(order), size):
        part = order[some]
        yield torch.from_numpy(part), tokens.read(part), tokens.blocked(part)
