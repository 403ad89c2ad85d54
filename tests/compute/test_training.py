"""The loop that fits modules: reading ahead, rates, the epoch that is kept, errors that name their cure."""

from __future__ import annotations

import math
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

from neurodecode.compute.random import torch_generator
from neurodecode.compute.training import Training, ahead, fit_loop
from neurodecode.exceptions import CapacityError, DegenerateDataError, NeurodecodeWarning


def problem(seed=0, n=80):
    generator = torch_generator(seed)
    x = torch.randn(n, 3, generator=generator)
    return x, x @ torch.tensor([[1.0], [-2.0], [0.5]])


def fitted(x, y, settings, max_epochs=20, validate=None, seed=1):
    torch.manual_seed(0)
    module = nn.Linear(3, 1)

    def batches(generator):
        order = torch.randperm(len(x), generator=generator)
        yield from order.split(settings.batch_size)

    history = fit_loop(
        module, lambda rows: (module(x[rows]) - y[rows]).square().mean(), batches, -(-len(x) // settings.batch_size),
        settings=settings, max_epochs=max_epochs, generator=torch_generator(seed),
        validate=None if validate is None else lambda: validate(module),
    )  # fmt: skip
    return module, history


def test_a_line_is_found_and_noise_is_not():
    x, y = problem()
    settings = Training(learning_rate=0.1, batch_size=20)
    module, history = fitted(x, y, settings)
    np.testing.assert_allclose(module.weight.detach(), [[1.0, -2.0, 0.5]], atol=0.05)
    assert history.loss[-1] < 0.01 < history.loss[0] and history.best_epoch == 19
    other, _ = fitted(x, torch.randn(80, 1, generator=torch_generator(5)), settings)
    assert other.weight.detach().abs().max() < 0.6


def test_the_best_epoch_is_kept_and_patience_ends_it():
    x, y = problem()
    scores = iter([0.1, 0.5, 0.4, 0.3, 0.2, 0.9])
    seen = []

    def validate(module):
        seen.append(module.weight.detach().clone())
        return next(scores)

    module, history = fitted(x, y, Training(learning_rate=0.05, patience=3), validate=validate)
    assert history.best_epoch == 1 and history.validation == [0.1, 0.5, 0.4, 0.3, 0.2]
    torch.testing.assert_close(module.weight.detach(), seen[1])
    assert not torch.equal(module.weight.detach(), seen[-1])


def test_an_epoch_without_a_score_is_never_the_best():
    x, y = problem()
    scores = iter([math.nan, 0.1, math.nan, 0.3, math.nan])
    _, history = fitted(x, y, Training(learning_rate=0.05), max_epochs=5, validate=lambda module: next(scores))
    assert history.best_epoch == 3 and history.validation[0] == -math.inf


@pytest.mark.parametrize(
    ("scores", "unfinished"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], True),
        ([0.1, 0.2, 0.3, 0.4, 0.45, 0.451], True),  # as where the rate has fallen to 0
        ([0.1, 0.4, 0.5, 0.51, 0.52, 0.52], False),  # hardly better than at half time
        ([0.1, 0.2, 0.3, 0.4, 0.35, 0.3], False),  # the best is behind it
        ([math.nan, math.nan, math.nan, 0.1, 0.4, 0.6], False),  # nothing to compare with
        ([0.1, 0.2, 0.3, 0.4], False),  # too few to say
    ],
)
def test_a_fit_that_was_cut_short_says_so(scores, unfinished):
    x, y = problem()
    given = iter(scores)
    settings = {"max_epochs": len(scores), "validate": lambda module: next(given)}
    if not unfinished:
        assert fitted(x, y, Training(), **settings)[1].rising <= 0.03
        return
    with pytest.warns(NeurodecodeWarning, match=r"still rose by 0\.\d+ over the second half.*Raise max_epochs"):
        assert fitted(x, y, Training(), **settings)[1].rising > 0.03


def test_patience_that_ends_a_fit_is_not_being_cut_short():
    x, y = problem()
    given = iter([0.1, 0.2, 0.3, 0.6, 0.5, 0.5])
    _, history = fitted(x, y, Training(patience=2), validate=lambda module: next(given))
    assert len(history.loss) == 6 and history.best_epoch == 3


def test_a_batch_that_cannot_be_cut_is_an_error_where_memory_ends():
    module, error = nn.Linear(3, 1), torch.cuda.OutOfMemoryError("out of memory")

    def full(batch):
        raise error

    with pytest.raises(CapacityError, match="one sample alone does not fit into the memory of cpu"):
        fit_loop(
            module, full, lambda generator: [0], 1, settings=Training(), max_epochs=1, generator=torch_generator(0)
        )


def test_epochs_are_shown(monkeypatch):
    from neurodecode.compute import training

    shown = []
    monkeypatch.setattr(training, "progress", lambda items, text: shown.append((list(items), text)) or items)
    x, y = problem()
    fitted(x, y, Training(), max_epochs=3)
    assert shown == [([0, 1, 2], "fitting")]


def test_rates_follow_their_schedule():
    cosine = Training(learning_rate=2.0)
    assert [round(cosine.rate(done, 0), 6) for done in (0.0, 0.5, 1.0)] == [2.0, 1.0, 0.0]
    steps = Training(learning_rate=2.0, schedule=(3, 0.5))
    assert [steps.rate(0.0, epoch) for epoch in (0, 2, 3, 6)] == [2.0, 2.0, 1.0, 0.5]
    assert Training(learning_rate=2.0, schedule="constant").rate(0.9, 9) == 2.0


def test_a_loss_that_diverges_says_what_to_do():
    x, y = problem()
    with pytest.raises(DegenerateDataError, match="lower learning_rate"):
        fitted(x * 1e30, y, Training(learning_rate=1e30, clip=None))


def test_reading_ahead_keeps_order_and_passes_errors_on():
    assert [item for item, _ in ahead(range(50))] == list(range(50))

    def broken():
        yield 1
        raise OSError("the disk is gone")

    walk = ahead(broken())
    assert next(walk)[0] == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(walk)


def test_leaving_early_stops_the_thread():
    before = set(threading.enumerate())
    made = []

    def endless():
        while True:
            made.append(1)
            yield len(made)

    walk = ahead(endless(), depth=2)
    next(walk)
    (own,) = [one for one in threading.enumerate() if one not in before and one.name == "neurodecode-batches"]
    walk.close()
    assert not own.is_alive()
    count = len(made)
    time.sleep(0.05)
    assert len(made) == count <= 5


def test_waiting_is_counted():
    def slow():
        for number in range(3):
            time.sleep(0.02)
            yield number

    waited = [seconds for _, seconds in ahead(slow())]
    assert all(math.isfinite(one) and one >= 0 for one in waited) and sum(waited) > 0
