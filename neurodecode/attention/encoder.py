"""What encoders of token maps have in common: the door, the fit loop, prediction, and what ablation says."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import Tensor, nn

from ..compute.batching import batches
from ..compute.device import resolve
from ..compute.random import check_random_state, torch_generator
from ..compute.scores import pearson
from ..compute.training import Training, fit_loop
from ..exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning
from ..linear import _inputs
from ..representation import Labels, check_finite, check_same_samples, check_same_units, labelled, plain
from .areas import gather
from .modules import Readout
from .positions import line_name, sine_code
from .tokens import ROWS_READ, Tokens

LEAST_HELD_BACK = 3


class TokenModel(nn.Module):
    """A reader of tokens and the readout of units; where a sample holds several pictures, what is read is averaged."""

    def __init__(self, reader: nn.Module, readout: Readout) -> None:
        super().__init__()
        self.reader, self.readout = reader, readout

    def forward(self, tokens: Tensor, *, blocked: Tensor | None = None, **place: Any) -> Tensor:
        """(b, groups, P, D) -> (b, units)."""
        b, groups = tokens.shape[:2]
        read = self.reader(tokens.flatten(0, 1), blocked=blocked, **place)
        if groups > 1:
            read = read.unflatten(0, (b, groups)).mean(1)
        return self.readout(read)


class _TokenEncoder(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Base of encoders from ``sample x token x unit`` to ``sample x unit``; a subclass says what reads the tokens.

    A subclass has the parameters below and the method ``_reader(n_areas, tokens, settings) -> (module, width)``.
    """

    usual = Training()
    by: Any
    within: str | None
    max_epochs: int
    training: Any
    random_state: Any

    def _reader(self, n_areas: int, tokens: Tokens, settings: Training) -> tuple[nn.Module, int]:
        raise TypeError(f"{type(self).__name__} does not say what reads the tokens")

    # fitting

    def fit(self, X: Any, Y: Any, *, seen: Any = None) -> _TokenEncoder:
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
        settings = self._settings()
        device = resolve(settings.device)
        tokens = Tokens(X, self.within)
        targets = _inputs.targets(Y, type(self).__name__)
        check_consistent_length(np.empty(tokens.n), targets)
        y, measured, usable = self._targets(targets, Y, seen)
        rng = check_random_state(self.random_state)
        train, held = _hold_back(X, tokens.n, settings, rng)
        self.__dict__.pop("held_back_r_", None)  # a fit that is interrupted leaves nothing that predicts
        flat = self._flat(y, measured, usable, train)
        usable = usable & np.isfinite(self.mean_)
        varies = usable & ~flat
        self.areas_of_ = gather(Y, self.by, y.shape[1], usable=varies)
        self.areas_ = list(self.areas_of_.names)
        self.features_ = Labels.of(X if isinstance(X, xr.DataArray) else np.empty((1, tokens.n_features)), "unit")
        self.targets_ = Labels.of(Y if isinstance(Y, xr.DataArray) else targets, "unit")
        self.one_target_ = targets.ndim == 1
        self.dtype_ = np.dtype(np.float32 if y.dtype == np.float32 else np.float64)
        self.usable_ = usable
        tokens.learn_scale(train, rng)
        tokens.use_scale(tokens.mean, tokens.scale)
        self.token_mean_, self.token_scale_ = tokens.mean, tokens.scale
        self.places_, self.n_features_in_ = tokens.places, tokens.n_features
        self.line_ = line_name(tokens.labels)
        order = self.areas_of_.order
        goal = torch.from_numpy(((y - self.mean_) / self.scale_)[:, order].astype(np.float32))
        weight = None if measured is None else torch.from_numpy(measured[:, order].astype(np.float32))
        if weight is not None:
            goal = torch.where(weight > 0, goal, 0.0)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(int(rng.integers(2**63 - 1)))
            reader, width = self._reader(len(self.areas_), tokens, settings)
            self.module_ = TokenModel(reader, Readout(self.areas_of_.patterns, self.areas_of_.sizes, width))
            with self._on(device) as module:
                self.history_ = fit_loop(
                    module,
                    lambda rows: self._loss(module, tokens, rows, goal, weight, device),
                    lambda generator: _shuffled(train, settings.batch_size, generator, tokens),
                    -(-len(train) // settings.batch_size),
                    settings=settings,
                    max_epochs=self.max_epochs,
                    generator=torch_generator(rng),
                    validate=(lambda: self._validate(tokens, held, goal, weight)) if len(held) else None,
                    key=self._key(tokens, goal, weight, train) if settings.checkpoint is not None else "",
                    text=f"fitting {len(order):,} units",
                )
        self.best_epoch_, self.n_held_back_ = self.history_.best_epoch, len(held)
        self.held_back_r_ = self._held_back_r(tokens, held, y, measured)
        if self.areas_of_.empty:
            warnings.warn(
                f"{len(self.areas_of_.empty)} areas have no unit to fit ({', '.join(self.areas_of_.empty[:5])}): "
                "their attention is NaN.",
                NeurodecodeWarning,
                stacklevel=2,
            )
        return self

    def _held_back_r(self, tokens: Tokens, held: np.ndarray, y: np.ndarray, measured: np.ndarray | None) -> np.ndarray:
        """Correlation of every unit on the samples that chose the epoch; NaN where there are none."""
        if not len(held):
            return np.full(y.shape[1], np.nan)
        found = self._units(self._forward(tokens, held)).astype(float)
        return _correlation(y[held].astype(float), found, None if measured is None else measured[held])

    def _settings(self) -> Training:
        if self.max_epochs < 1:
            raise ValueError(f"max_epochs={self.max_epochs}; expected at least 1")
        if self.training is None:
            return self.usual
        if not isinstance(self.training, Training):
            raise ValueError(f"training={self.training!r}; expected attention.Training(...), or None")
        return self.training

    def _targets(self, values: Any, Y: Any, seen: Any) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        y = np.asarray(values)
        y = (y[:, None] if y.ndim == 1 else y).astype(_inputs.working_dtype(y), copy=True)
        masked = _inputs.masked(Y, y.shape[1])
        measured = None
        if seen is not None:
            measured = np.asarray(plain(seen), dtype=bool)
            if measured.shape != y.shape:
                raise AlignmentError(f"seen has the shape {measured.shape}, the targets {y.shape}")
            y[~measured] = 0
        y[:, masked] = 0
        if not _inputs.is_finite(y):
            check_finite(Y if isinstance(Y, xr.DataArray) and seen is None else y, "Y")
        return y, measured, ~masked

    def _flat(self, y: np.ndarray, measured: np.ndarray | None, usable: np.ndarray, train: np.ndarray) -> np.ndarray:
        """Boolean (units,): constant over the training samples; mean and scale of the others are learnt here."""
        part = y[train].astype(np.float64)
        if measured is None:
            self.mean_, spread = part.mean(0), part.std(0)
            flat = part.max(0) == part.min(0)
        else:
            count = measured[train].sum(0)
            self.mean_ = part.sum(0) / np.maximum(count, 1)
            spread = np.sqrt((measured[train] * (part - self.mean_) ** 2).sum(0) / np.maximum(count, 1))
            flat = (count < 2) | (spread <= 1e-12 * np.abs(self.mean_))
            self.mean_ = np.where(count == 0, np.nan, self.mean_)
        flat |= spread == 0
        self.scale_ = np.where(flat, 1.0, spread)
        self.degenerate_ = np.flatnonzero(flat & usable & np.isfinite(self.mean_))
        return flat

    def _loss(
        self, module: nn.Module, tokens: Tokens, batch: Any, goal: Tensor, weight: Tensor | None, device: torch.device
    ) -> Tensor:
        rows, values, blocked = batch
        found = module(values.to(device), blocked=_moved(blocked, device), **self._place(tokens, device))
        error = (found - goal[rows].to(device)).square()
        if weight is None:
            return error.mean()
        counts = weight[rows].to(device)
        return (error * counts).sum() / counts.sum().clamp_min(1.0)

    def _validate(self, tokens: Tokens, held: np.ndarray, goal: Tensor, weight: Tensor | None) -> float:
        found = self._forward(tokens, held)
        truth = goal[torch.from_numpy(held)].numpy()
        present = None if weight is None else weight[torch.from_numpy(held)].numpy() > 0
        return float(np.nan_to_num(_correlation(truth, found, present)).mean())

    def _key(self, tokens: Tokens, goal: Tensor, weight: Tensor | None, train: np.ndarray) -> str:
        """What a checkpoint belongs to: settings, areas, targets, places, the scale of the tokens and a few of them."""
        said = {**self.get_params(deep=False), "training": replace(self._settings(), device=None, checkpoint=None)}
        said["by"] = self.areas_
        rows = np.unique(np.linspace(0, tokens.n - 1, 8).astype(int))
        parts = [tokens.raw(rows).numpy(), goal.numpy(), train, self.areas_of_.members, tokens.places, tokens.order]
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

    def _place(self, tokens: Tokens, device: torch.device) -> dict[str, Any]:
        """What the reader is told of the places of these tokens: keyword arguments of its forward."""
        return {}

    def _rows_of_places(self, tokens: Tokens) -> Tensor | None:
        """Rows of a table over places, for tokens that come in another order than at fit; None in the same order."""
        known, now = self.places_, tokens.places
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

    def _sine(self, tokens: Tokens, device: torch.device) -> Tensor:
        span = np.stack([self.places_.min(0), self.places_.max(0)], axis=1)
        return sine_code(tokens.places, tokens.n_features, span).to(device)

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
        tokens.mean, tokens.scale = self.token_mean_, self.token_scale_
        return tokens

    def _forward(self, tokens: Tokens, rows: np.ndarray, also: Tensor | None = None) -> np.ndarray:
        """Predictions on the scale of the fit, (rows, units in the order of areas); ``also`` blocks more tokens."""
        self.module_.eval()
        found = []
        device = next(self.module_.parameters()).device
        with torch.no_grad():
            for some in batches(len(rows), ROWS_READ):
                blocked = tokens.blocked(rows[some])
                if also is not None:
                    more = also[some].flatten(0, 1)
                    blocked = more if blocked is None else blocked | more
                values = tokens.read(rows[some]).to(device)
                found.append(self.module_(values, blocked=_moved(blocked, device), **self._place(tokens, device)).cpu())
        return torch.cat(found).numpy()

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
        with self._on(resolve(self._settings().device)):
            answer = self._units(self._forward(tokens, np.arange(tokens.n)))
        return labelled(answer[:, 0] if self.one_target_ else answer, samples_of=X, units=self.targets_)

    def _weights(self, tokens: Tokens, rows: np.ndarray) -> Tensor:
        """Weights over tokens (rows, groups, areas, P) that sum to one over P, averaged over heads."""
        raise TypeError(f"{type(self).__name__} has no weights over tokens that sum to one")

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
        tokens = self._tokens(X)
        found = np.empty((tokens.n, len(self.areas_), tokens.n_tokens), dtype=np.float32)
        with self._on(resolve(self._settings().device)), torch.no_grad():
            for some in batches(tokens.n, ROWS_READ):
                rows = np.arange(tokens.n)[some]
                weights = self._weights(tokens, rows).cpu().numpy()
                part = np.empty((len(rows), len(self.areas_), tokens.n_tokens), dtype=np.float32)
                for group, at in enumerate(tokens.order):
                    part[:, :, at] = weights[:, group]
                found[some] = part
        return self._labelled_weights(found, X, ("sample", "query", "token"))

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
            attrs["reason"] = dict.fromkeys(self.areas_of_.empty, "no unit of this area could be fitted")
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
        from .ablation import token_importance

        return token_importance(self, X, Y, share=share, random_state=random_state)


def _moved(value: Tensor | None, device: torch.device) -> Tensor | None:
    return None if value is None else value.to(device)


def _hold_back(X: Any, n: int, settings: Training, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Training rows, and rows held back for choosing the epoch; samples of one group are never torn apart."""
    everything = np.arange(n)
    if settings.validation == 0:
        return everything, everything[:0]
    groups = everything
    if isinstance(X, xr.DataArray) and settings.validation_by in X.coords:
        first: dict[Any, int] = {}
        groups = np.array([first.setdefault(value, row) for row, value in enumerate(X[settings.validation_by].values)])
    names = np.unique(groups)
    count = min(max(LEAST_HELD_BACK if len(names) == n else 1, round(settings.validation * len(names))), len(names))
    taken = rng.choice(names, count, replace=False)
    more = iter(rng.permutation(np.setdiff1d(names, taken)) if np.isin(groups, taken).sum() < LEAST_HELD_BACK else ())
    while np.isin(groups, taken).sum() < LEAST_HELD_BACK and (name := next(more, None)) is not None:
        taken = np.append(taken, name)
    chosen = np.isin(groups, taken)
    if chosen.sum() < LEAST_HELD_BACK or (~chosen).sum() < LEAST_HELD_BACK:
        raise DegenerateDataError(
            f"{n} samples are too few to hold {settings.validation:.0%} of them back for choosing the epoch; give "
            "more, or training=Training(validation=0), which takes the last epoch."
        )
    return everything[~chosen], everything[chosen]


def _correlation(truth: np.ndarray, found: np.ndarray, present: np.ndarray | None) -> np.ndarray:
    """Pearson correlation of every unit over the samples that are there; NaN where it is not defined."""
    if present is None:
        return pearson(truth, found)
    each = np.full(truth.shape[1], np.nan)
    kinds, which = np.unique(present, axis=1, return_inverse=True)  # units of one person were measured together
    for number, rows in enumerate(kinds.T):
        units = np.flatnonzero(which.ravel() == number)
        if rows.sum() > 1:
            each[units] = pearson(truth[np.ix_(rows, units)], found[np.ix_(rows, units)])
    return each


def _shuffled(
    rows: np.ndarray, size: int, generator: torch.Generator, tokens: Tokens
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    order = rows[torch.randperm(len(rows), generator=generator).numpy()]
    for some in batches(len(order), size):
        part = order[some]
        yield torch.from_numpy(part), tokens.read(part), tokens.blocked(part)
