"""One loop that fits a torch module: batches, early stopping, a checkpoint an epoch, the same again by seed."""

from __future__ import annotations

import hashlib
import math
import numbers
import os
import queue
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..exceptions import DegenerateDataError, NeurodecodeWarning, ResumeError
from .pieces import Gradients, Piece
from .progress import progress

Item = TypeVar("Item")
LEAST_EPOCHS = 5  # fewer say nothing of a trend
CLEAR_RISE = 0.03  # of the validation score over the second half of the epochs, where a finished fit hardly rises


@dataclass(frozen=True)
class Training:
    """How a module is fitted: AdamW on batches, with the epoch kept that predicts held-back samples best.

    Parameters
    ----------
    learning_rate, weight_decay : of AdamW.
    schedule : ``"cosine"``: the rate falls to 0 along half a cosine; ``"constant"``; or ``(every, factor)``: it is
        multiplied by ``factor`` after each ``every`` epochs.
    batch_size : samples a step.
    clip : largest norm of the gradient; None: as it comes.
    dropout : share of hidden numbers set to 0 in training.
    validation : share of the training samples that are held back to choose the epoch; 0: the last epoch is taken.
    validation_by : sample coordinate that is never torn apart by that split. ``"stimulus"`` where there is one, and of
        a series whole runs or stretches with a gap around them; another that is not there raises.
    patience : epochs without a better validation score after which fitting stops; None: all epochs are run.
    device : torch device, such as ``"cuda"``; None: the CPU. One that is not there raises.
    checkpoint : file written after each epoch, whole or not at all; a fit that was stopped goes on from it to the same
        weights as without an interruption. A folder that exists: one file for each fit, named by its data and settings,
        as folds, permutations and ensembles need.
    max_memory : bytes that a fit may take beyond the arrays it is given, where it steps: a number, or text such as
        ``"4 GiB"``; None: the memory of the machine, or of the device. Above it a batch is stepped through in pieces
        whose gradients add up to those of the whole; where one sample at a time is too much, ``CapacityError`` says by
        how much before anything is made.

    References
    ----------
    Loshchilov & Hutter (2019), Decoupled weight decay regularization, ICLR; (2017), SGDR, ICLR, section 3.

    Examples
    --------
    >>> Training(learning_rate=1e-3, schedule="constant").batch_size
    64
    """

    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    schedule: str | tuple[int, float] = "cosine"
    batch_size: int = 64
    clip: float | None = 1.0
    dropout: float = 0.1
    validation: float = 0.1
    validation_by: str = "stimulus"
    patience: int | None = None
    device: Any = None
    checkpoint: Any = None
    max_memory: float | str | None = None

    def __post_init__(self) -> None:
        wrong = [
            f"{name}={getattr(self, name)!r} ({expected})"
            for name, good, expected in (
                ("learning_rate", _number(self.learning_rate, least=0, open=True), "a number above 0"),
                ("weight_decay", _number(self.weight_decay, least=0), "a number, 0 or more"),
                ("batch_size", _count(self.batch_size), "a whole number, 1 or more"),
                ("clip", self.clip is None or _number(self.clip, least=0, open=True), "a number above 0, or None"),
                ("dropout", _number(self.dropout, least=0, below=1), "a number from 0 to below 1"),
                ("validation", _number(self.validation, least=0, below=1), "a number from 0 to below 1"),
                ("validation_by", isinstance(self.validation_by, str), "the name of a coordinate of the samples"),
                ("patience", self.patience is None or _count(self.patience), "a whole number, 1 or more, or None"),
                ("schedule", _is_schedule(self.schedule), "'cosine', 'constant' or (every, factor)"),
            )
            if not good
        ]
        if wrong:
            raise ValueError("Training cannot be set up: " + "; ".join(wrong) + ".")
        object.__setattr__(self, "batch_size", int(self.batch_size))

    def rate(self, done: float, epoch: int) -> float:
        """Learning rate when the share ``done`` of all steps is behind, in epoch number ``epoch`` (from 0)."""
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        if isinstance(self.schedule, tuple):
            every, factor = self.schedule
            return self.learning_rate * factor ** (epoch // every)
        return self.learning_rate


def _is_schedule(value: Any) -> bool:
    if isinstance(value, tuple):
        return len(value) == 2 and _number(value[0], least=1) and _number(value[1], least=0, open=True)
    return isinstance(value, str) and value in ("cosine", "constant")


def _number(value: Any, *, least: float, below: float = math.inf, open: bool = False) -> bool:
    """Whether ``value`` is a finite number from ``least`` on, or above it where ``open``, and below ``below``."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    return real and least <= float(value) < below and not (open and value == least)


def _count(value: Any) -> bool:
    return _number(value, least=1) and int(value) == value


@dataclass
class History:
    """What happened: a number an epoch, the epoch that was kept, and the share of the time spent waiting for data.

    ``rows_at_once`` is 0 where whole batches were stepped through, else the samples that memory had room for at a time.
    """

    loss: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best_epoch: int = -1
    waiting_share: float = 0.0
    seconds: float = 0.0
    resumed_at: int = 0
    rows_at_once: int = 0

    @property
    def rising(self) -> float:
        """How much better the best epoch is than the best of the first half; 0 unless it is in the last fifth.

        A rate that falls to 0 hides by the last epochs that a fit was cut short, so the halves are compared.
        """
        done = len(self.validation)
        if done < LEAST_EPOCHS or self.best_epoch < done - max(1, done // 5):
            return 0.0
        before = max(self.validation[: done // 2])
        return self.validation[self.best_epoch] - before if math.isfinite(before) else 0.0


def fit_loop(
    module: nn.Module,
    loss_of: Callable[[Any], Tensor],
    epoch_batches: Callable[[torch.Generator], Iterable[Any]],
    n_batches: int,
    *,
    settings: Training,
    max_epochs: int,
    generator: torch.Generator,
    validate: Callable[[], float] | None = None,
    cut: Callable[[Any, int], list[Piece]] | None = None,
    rows_at_once: int = 0,
    key: str = "",
    text: str = "fitting",
) -> History:
    """Fit ``module`` in place and leave it with the weights of the best epoch.

    Parameters
    ----------
    loss_of : batch -> scalar loss.
    epoch_batches : called with the generator at the start of each epoch; gives its batches. They are made ahead of time
        in a thread of their own, so that reading a disk and computing overlap.
    n_batches : batches an epoch, for the schedule.
    validate : the score to be made large, called after each epoch without gradients; None: the last epoch is kept.
    cut : (batch, most rows) -> pieces of it, for a batch that does not fit into memory; their gradients are added up,
        so that the step is that of the whole batch. rows_at_once : pieces from the start; 0: whole batches.
    key : what the checkpoint of the settings belongs to, such as a hash of data and settings.

    Returns
    -------
    History

    Raises
    ------
    ResumeError : the checkpoint belongs to other data or settings, or is damaged.
    DegenerateDataError : the loss is not finite any more.
    CapacityError : the device has no room for one sample.

    Warns
    -----
    NeurodecodeWarning : the device ran out of memory, and batches are cut; the score still rose when the epochs ended.
    """
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, foreach=True
    )
    history, best, start = History(rows_at_once=rows_at_once), None, 0
    path = None if settings.checkpoint is None else Path(settings.checkpoint)
    if path is not None and path.is_dir():
        path = path / f"{_digest(key)[:24]}.pt"
    if path is not None and path.exists():
        history, best, start = _read(path, key, module, optimiser, generator)
    began, waited, busy = time.perf_counter(), history.waiting_share * history.seconds, history.seconds
    steps, gradients = max_epochs * n_batches, Gradients(module, loss_of, cut, history.rows_at_once)
    epochs = range(start, max_epochs)
    if _finished(history, settings, start, max_epochs):
        epochs = range(0)
    for epoch in progress(epochs, text) if epochs else ():
        module.train()
        total, seen = 0.0, 0
        with closing(ahead(epoch_batches(generator))) as batches:
            for number, (batch, waiting) in enumerate(batches):
                waited += waiting
                for group in optimiser.param_groups:
                    group["lr"] = settings.rate((epoch * n_batches + number) / steps, epoch)
                optimiser.zero_grad(set_to_none=True)
                loss = gradients.add(batch)
                if settings.clip is not None:
                    nn.utils.clip_grad_norm_(module.parameters(), settings.clip)
                optimiser.step()
                total, seen = total + loss, seen + 1
        history.rows_at_once = gradients.rows
        history.loss.append(total / max(seen, 1))
        if not math.isfinite(history.loss[-1]):
            raise DegenerateDataError(
                f"the loss of epoch {epoch + 1} is {history.loss[-1]}: lower learning_rate, or set clip to a number"
            )
        if validate is not None:
            module.eval()
            with torch.no_grad():
                score = float(validate())
            history.validation.append(score if math.isfinite(score) else -math.inf)
        seen_before = history.validation[:-1]
        if validate is None or not seen_before or history.validation[-1] > max(seen_before):
            history.best_epoch = epoch
            if validate is not None:
                best = {name: value.detach().clone() for name, value in module.state_dict().items()}
        history.seconds = busy + time.perf_counter() - began
        history.waiting_share = waited / max(history.seconds, 1e-9)
        if path is not None:
            _write(path, key, module, optimiser, generator, history, best)
        if _finished(history, settings, epoch + 1, max_epochs):
            break
    if best is not None:
        module.load_state_dict(best)
    module.eval()
    if history.rising > CLEAR_RISE and len(history.loss) == max_epochs:
        warnings.warn(
            f"the score on held-back samples still rose by {history.rising:.3f} over the second half of {max_epochs} "
            f"epochs, to {history.validation[history.best_epoch]:.3f}: the fit is not finished. Raise max_epochs, or "
            "learning_rate.",
            NeurodecodeWarning,
            stacklevel=3,
        )
    return history


def _finished(history: History, settings: Training, done: int, max_epochs: int) -> bool:
    waits = settings.patience is not None and bool(history.validation)
    return done >= max_epochs or (waits and done - 1 - history.best_epoch >= (settings.patience or 0))


def ahead(items: Iterable[Item], depth: int = 2) -> Generator[tuple[Item, float], None, None]:
    """Walk ``items`` while a thread makes the next ones; each comes with the seconds that were spent waiting for it.

    Leaving early stops the thread; what it raises is raised here.

    Examples
    --------
    >>> [item for item, waited in ahead(range(3))]
    [0, 1, 2]
    """
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=depth)
    left = threading.Event()

    def put(message: tuple[str, Any]) -> bool:
        while not left.is_set():
            try:
                ready.put(message, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(("item", item)):
                    return
            put(("end", None))
        except BaseException as error:
            put(("error", error))

    thread = threading.Thread(target=work, daemon=True, name="neurodecode-batches")
    thread.start()
    try:
        while True:
            start = time.perf_counter()
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value, time.perf_counter() - start
    finally:
        left.set()
        thread.join()


def _write(
    path: Path,
    key: str,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    history: History,
    best: dict[str, Tensor] | None,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "key": _digest(key),
        "module": module.state_dict(),
        "optimiser": optimiser.state_dict(),
        "generator": generator.get_state(),
        "chance": torch.get_rng_state(),
        "chance_cuda": _cuda_state(module),
        "history": vars(replace(history)),
        "best": best,
    }
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _read(
    path: Path, key: str, module: nn.Module, optimiser: torch.optim.Optimizer, generator: torch.Generator
) -> tuple[History, dict[str, Tensor] | None, int]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        same = state["key"] == _digest(key)
    except Exception as error:
        raise ResumeError(
            f"{path.name} is not a checkpoint of this kind, or it is damaged ({error}); remove it"
        ) from error
    if not same:
        raise ResumeError(
            f"{path.name} was written for other data or other settings; remove it, or give another checkpoint="
        )
    module.load_state_dict(state["module"])
    optimiser.load_state_dict(state["optimiser"])
    generator.set_state(state["generator"])
    torch.set_rng_state(state["chance"])
    device = next(module.parameters()).device
    if device.type == "cuda" and state.get("chance_cuda") is not None:
        torch.cuda.set_rng_state(state["chance_cuda"], device)
    history = History(**state["history"])
    history.resumed_at = len(history.loss)
    return history, state["best"], len(history.loss)


def _cuda_state(module: nn.Module) -> Tensor | None:
    """Where the draws of the module's device stand; None on the CPU."""
    device = next(module.parameters()).device
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
