"""A map into the input space of a frozen model, fitted by how well that model then does its own task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from .._names import lookup
from .._numbers import whole
from ..compute.device import resolve
from ..compute.hooks import at_rest
from ..compute.random import check_random_state, torch_generator
from ..compute.training import Training, fit_loop
from ..exceptions import AlignmentError, DegenerateDataError
from ..linear import _inputs
from ..representation import Labels, check_finite, check_same_samples, check_same_units, labelled, plain

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared": nn.functional.mse_loss,
    "cross_entropy": nn.functional.cross_entropy,
}


class FrozenMap(RegressorMixin, TransformerMixin, BaseEstimator):
    r"""A linear map from one space into the input of a frozen model, fitted through it.

        min over W, b of the mean loss( model(x W + b), y );  the model itself stays as it is, to the bit

    What a closed form such as :class:`RidgeMap` fits are the states that the model should be given; here nothing says
    which these are, only what the model should answer. Where it answers well, all that it needs of y is in X linearly,
    in a form that the model can use. Beside it set X of an encoder that was not trained, and ``hidden=``: a gain of the
    latter says that what is there is not there linearly.

    Parameters
    ----------
    model : ``torch.nn.Module`` that takes (samples, width), or (samples, positions, width) where X has positions, and
        gives (samples, outputs). It is run in evaluation mode and left as it was.
    width : units of the input of the model.
    loss : ``"squared"`` (y of outputs), ``"cross_entropy"`` (y of whole numbers: which output, such as the id of a
        token), or a function of outputs and y that gives a scalar tensor.
    hidden : None for a linear map; else the units of one hidden layer (GELU) between.
    max_epochs : passes over the samples.
    training : ``compute.training.Training`` (rate, batches, device ...); None: rate 0.01 falling to 0, 64 samples a
        batch, no decay and no dropout.
    random_state : seed of the start and of the batches.

    Attributes
    ----------
    coef_, intercept_ : W (units, width) and b of a linear map. map_ : the fitted ``torch.nn.Module``. history_ : loss
    of every epoch.

    Raises
    ------
    AlignmentError : y of other samples; other units afterwards. DegenerateDataError : not finite, too few samples.
    ValueError : a model without the width or the outputs that were said, an unknown loss.

    References
    ----------
    Merullo, Castricato, Eickhoff & Pavlick (2023), ICLR (Linearly mapping from image to text space).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(300, 3))
    >>> model = torch.nn.Linear(4, 2)
    >>> wanted = model(torch.tensor(z @ rng.normal(size=(3, 4)), dtype=torch.float32)).detach().numpy()
    >>> fitted = FrozenMap(model, 4, random_state=0).fit(z[:200], wanted[:200])
    >>> bool(np.corrcoef(fitted.predict(z[200:])[:, 0], wanted[200:, 0])[0, 1] > 0.99), fitted.coef_.shape
    (True, (3, 4))
    """

    def __init__(
        self, model: Any, width: int, loss: Any = "squared", hidden: int | None = None,
        max_epochs: int = 200, training: Any = None, random_state: Any = None,
    ):  # fmt: skip
        self.model = model
        self.width = width
        self.loss = loss
        self.hidden = hidden
        self.max_epochs = max_epochs
        self.training = training
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> FrozenMap:
        """Fit the map. X (samples[, positions], units); y (samples, outputs), or (samples,) for ``cross_entropy``."""
        check_same_samples(X, y)
        if not isinstance(self.model, nn.Module):
            raise ValueError(f"model is a {type(self.model).__name__}; expected a torch.nn.Module.")
        loss = lookup(LOSSES, self.loss, "loss")
        settings = self.training
        if settings is None:
            settings = Training(learning_rate=0.01, weight_decay=0.0, batch_size=64, dropout=0.0, validation=0.0)
        x, wanted = self._rows(X), np.asarray(plain(y))
        _inputs.check_counts((len(x), x.shape[-1]), "X", samples=2, what="unit")
        if len(wanted) != len(x):
            raise AlignmentError(f"X has {len(x)} samples and y has {len(wanted)}.")
        self.one_target_ = wanted.ndim == 1
        targets = self._targets(wanted, y)
        self.features_ = Labels.of(X, "unit") if hasattr(X, "dims") else Labels("unit", x.shape[-1])
        self.targets_ = Labels.of(y, "unit")
        self.dtype_, self.device_ = _inputs.working_dtype(x), resolve(settings.device)
        rng = check_random_state(self.random_state)
        p, width = x.shape[-1], whole(self.width, "width", least=1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            steps: list[nn.Module] = [nn.Linear(p, width)]
            if self.hidden is not None:
                between = whole(self.hidden, "hidden", least=1)
                steps = [nn.Linear(p, between), nn.GELU(), nn.Linear(between, width)]
            self.map_ = nn.Sequential(*steps).to(self.device_)
        rows = torch.from_numpy(x.astype(np.float32)).to(self.device_)
        n, size = len(rows), settings.batch_size

        def batches(generator: torch.Generator) -> Iterator[Tensor]:
            order = torch.randperm(n, generator=generator)
            return iter([order[at : at + size].to(self.device_) for at in range(0, n, size)])

        with frozen(self.model, self.device_) as model:
            self._check_outputs(model, rows[:2], targets)

            def loss_of(which: Any) -> Tensor:
                return loss(model(self.map_(rows[which])), targets[which])

            self.history_ = fit_loop(
                self.map_, loss_of, batches, -(-n // size), settings=settings,
                max_epochs=whole(self.max_epochs, "max_epochs", least=1),
                generator=torch_generator(int(rng.integers(2**31))), text="fitting a map through a frozen model",
            )  # fmt: skip
        if self.hidden is None:
            weight, bias = self.map_[0].parameters()
            self.coef_ = weight.detach().cpu().numpy().T.astype(self.dtype_)
            self.intercept_ = bias.detach().cpu().numpy().astype(self.dtype_)
        return self

    def transform(self, X: Any) -> Any:
        """X in the input space of the model: (samples[, positions], width)."""
        found = self._through(X, None)
        return found if found.ndim > 2 else labelled(found, samples_of=X)

    def predict(self, X: Any) -> Any:
        """What the model answers: (samples, outputs); for ``cross_entropy`` which output is the largest (samples,)."""
        found = self.decision_function(X)
        if isinstance(self.loss, str) and self.loss == "cross_entropy":
            return labelled(np.asarray(plain(found)).argmax(1), samples_of=X, units=self.targets_)
        return found

    def decision_function(self, X: Any) -> Any:
        """All outputs of the model: (samples, outputs)."""
        found = self._through(X, self.model)
        named = self.targets_.size == found.shape[1] and not self.one_target_
        if self.one_target_ and found.shape[1] == 1:
            found, named = found[:, 0], True
        return labelled(found, samples_of=X, units=self.targets_ if named else None)

    def _through(self, X: Any, model: Any) -> np.ndarray:
        check_is_fitted(self)
        check_same_units(X, self.features_)
        x = self._rows(X)
        if x.shape[-1] != self.features_.size:
            raise AlignmentError(f"X has {x.shape[-1]} units, {self.features_.size} were seen at fit.")
        with torch.no_grad():
            found = self.map_(torch.from_numpy(x.astype(np.float32)).to(self.device_))
            if model is not None:
                with frozen(model, self.device_) as still:
                    found = still(found)
        return np.asarray(found.cpu().numpy().astype(self.dtype_))

    @staticmethod
    def _rows(X: Any) -> np.ndarray:
        if hasattr(X, "dims") and "token" in X.dims:
            X = X.transpose("sample", "token", "unit")
        values = np.asarray(plain(X))
        if values.ndim not in (2, 3) or values.dtype.kind not in "biuf":
            raise ValueError(
                f"X has the shape {values.shape} of {values.dtype}; expected numbers (samples, units), or (samples, "
                "positions, units)."
            )
        hidden = _inputs.masked(X, values.shape[-1])
        if hidden.any():
            raise DegenerateDataError(
                f"{hidden.sum()} of {values.shape[-1]} units of X are masked and hold NaN; leave them out: "
                "X[:, ~X['masked'].values]."
            )
        check_finite(X, "X")
        return values

    def _targets(self, wanted: np.ndarray, y: Any) -> Tensor:
        """y as a tensor of the kind that the loss takes."""
        if isinstance(self.loss, str) and self.loss == "cross_entropy":
            if wanted.dtype.kind not in "iu" or wanted.ndim != 1 or (wanted < 0).any():
                raise ValueError(
                    f"loss='cross_entropy': y is {wanted.dtype} of shape {wanted.shape}; expected (samples,) whole "
                    "numbers from 0, which output is right."
                )
            return torch.from_numpy(wanted.astype(np.int64)).to(resolve(getattr(self.training, "device", None)))
        check_finite(y, "y")
        wanted = wanted[:, None] if wanted.ndim == 1 else wanted
        return torch.from_numpy(wanted.astype(np.float32)).to(resolve(getattr(self.training, "device", None)))

    def _check_outputs(self, model: nn.Module, rows: Tensor, targets: Tensor) -> None:
        """Run two samples, so that shapes that do not fit are said before anything is fitted."""
        with torch.no_grad():
            try:
                found = model(self.map_(rows))
            except RuntimeError as error:
                raise ValueError(f"the model does not take width={self.width} units: {error}") from None
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(rows):
            what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(f"the model gave {what} for {len(rows)} samples; expected a tensor (samples, outputs).")
        named = self.loss if isinstance(self.loss, str) else None
        if named == "squared" and found.shape[1] != targets.shape[1]:
            raise ValueError(f"the model has {found.shape[1]} outputs and y has {targets.shape[1]}.")
        if named == "cross_entropy" and int(targets.max()) >= found.shape[1]:
            raise ValueError(f"y names output {int(targets.max())}, and the model has {found.shape[1]}, from 0.")


@contextmanager
def frozen(model: nn.Module, device: torch.device) -> Iterator[nn.Module]:
    """The model in evaluation mode, without gradients for its parameters, on the device; afterwards as it was."""
    wanted, learning = [parameter.requires_grad for parameter in model.parameters()], torch.is_grad_enabled()
    places = {parameter.device for parameter in model.parameters()}
    if places - {device}:
        raise ValueError(f"the model is on {places.pop()} and the map on {device}; bring the model there first.")
    try:
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        with at_rest(model), torch.set_grad_enabled(learning):
            yield model
    finally:
        for parameter, before in zip(model.parameters(), wanted):
            parameter.requires_grad_(before)
