"""A map through a frozen model: as good as a closed form, at chance for strangers, and the model stays as it was."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from neurodecode.compute.training import Training
from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.representation import as_representation
from neurodecode.similarity import FrozenMap, maps

WORDS, WIDTH, LATENT, UNITS = 5, 8, 4, 12


def language_model(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Linear(WIDTH, WORDS, bias=False)


def scenes(seed=0, n=1500, related=True, quadratic=False):
    """Pictures that show latent concepts, and the word that belongs to the strongest."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, LATENT))
    pictures = z @ rng.normal(size=(LATENT, UNITS)) + 0.1 * rng.normal(size=(n, UNITS))
    told = z if related else rng.normal(size=z.shape)
    told = told**2 - 1 if quadratic else told
    return pictures, (told @ rng.normal(size=(LATENT, WORDS))).argmax(1)


def accuracy(model, x, y):
    return float((model.predict(x) == y).mean())


def test_as_good_as_the_closed_form_and_the_model_stays():
    x, y = scenes()
    model = language_model().train()
    before = copy.deepcopy(model.state_dict())
    fitted = FrozenMap(model, WIDTH, "cross_entropy", max_epochs=80, random_state=3).fit(x[:1000], y[:1000])
    best = LogisticRegression(C=1e4, max_iter=2000).fit(x[:1000], y[:1000]).score(x[1000:], y[1000:])
    assert best > 0.9 and accuracy(fitted, x[1000:], y[1000:]) > best - 0.03
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    prompts = fitted.transform(x[1000:])
    np.testing.assert_allclose(prompts, x[1000:] @ fitted.coef_ + fitted.intercept_, atol=1e-4)
    logits = prompts @ model.weight.detach().numpy().T
    np.testing.assert_allclose(fitted.decision_function(x[1000:]), logits, atol=1e-4)
    assert fitted.history_.loss[-1] < fitted.history_.loss[0] and maps.FrozenMap is FrozenMap


def test_strangers_are_at_chance():
    x, y = scenes(1, related=False)
    fitted = FrozenMap(language_model(), WIDTH, "cross_entropy", max_epochs=40, random_state=3).fit(x[:1000], y[:1000])
    usual = np.bincount(y[1000:]).max() / 500
    assert accuracy(fitted, x[1000:], y[1000:]) < usual + 0.06


def test_what_is_not_there_linearly_needs_a_hidden_layer():
    x, y = scenes(2, n=3000, quadratic=True)
    line, bent = (
        FrozenMap(language_model(), WIDTH, "cross_entropy", hidden=hidden, max_epochs=40, random_state=3).fit(
            x[:2500], y[:2500]
        )
        for hidden in (None, 64)
    )
    usual = np.bincount(y[2500:]).max() / 500
    assert accuracy(line, x[2500:], y[2500:]) < usual + 0.06
    assert accuracy(bent, x[2500:], y[2500:]) > 0.75
    assert not hasattr(line, "coef_") or not hasattr(bent, "coef_")


def test_squared_loss_reaches_least_squares():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(400, 5))
    torch.manual_seed(4)
    model = torch.nn.Linear(6, 3)
    y = x @ rng.normal(size=(5, 3)) + 0.5 * rng.normal(size=(400, 3))
    fitted = FrozenMap(model, 6, random_state=0, max_epochs=300).fit(x, y)
    design = np.column_stack([x, np.ones(400)])
    expected = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    assert np.abs(fitted.predict(x) - expected).max() < 0.05


def test_positions_and_a_loss_of_ones_own():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 4, 6))

    class Reader(torch.nn.Module):
        def forward(self, prompt):
            return prompt.mean(1)

    y = x.mean(1) @ rng.normal(size=(6, 2))
    settings = Training(learning_rate=0.02, weight_decay=0.0, batch_size=64, validation=0.0)
    fitted = FrozenMap(Reader(), 2, lambda out, y: (out - y).abs().mean(), training=settings, random_state=0).fit(x, y)
    assert np.abs(fitted.predict(x) - y).mean() < 0.03
    assert fitted.transform(x).shape == (300, 4, 2)


def test_the_same_seed_gives_the_same_map_and_labels_stay():
    x, y = scenes(6, n=200)
    names = [f"p{at}" for at in range(200)]
    X = as_representation(x, stimulus=names, kind="features", unit={"name": [f"u{at}" for at in range(UNITS)]})
    one, two = (
        FrozenMap(language_model(), WIDTH, "cross_entropy", max_epochs=3, random_state=8).fit(X, y) for _ in range(2)
    )
    np.testing.assert_array_equal(one.coef_, two.coef_)
    assert one.transform(X)["stimulus"].values.tolist() == names and one.predict(X).dims == ("sample",)
    with pytest.raises(AlignmentError, match="unit"):
        one.predict(X[:, ::-1])


def test_what_cannot_be_fitted():
    x, y = scenes(7, n=50)
    model = language_model()
    for wrong, given, words in (
        ({"model": "gpt"}, y, "torch.nn.Module"),
        ({"width": 3}, y, "does not take width=3"),
        ({"loss": "hinge"}, y, "loss='hinge'"),
        ({"loss": "squared"}, y, "5 outputs and y has 1"),
        ({}, y + 3, "names output"),
        ({}, y.astype(float), "whole numbers"),
    ):
        with pytest.raises(ValueError, match=words):
            FrozenMap(**{"model": model, "width": WIDTH, "loss": "cross_entropy", **wrong}).fit(x, given)
    with pytest.raises(AlignmentError, match="50 samples and y has 49"):
        FrozenMap(model, WIDTH, "cross_entropy").fit(x, y[:49])
    with pytest.raises(DegenerateDataError, match="NaN"):
        FrozenMap(model, WIDTH, "cross_entropy").fit(np.where(x > 4, np.nan, x), y)
    assert all(parameter.requires_grad for parameter in model.parameters())
