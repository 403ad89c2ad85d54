"""What a routed encoder promises: fakes fail, nothing leaks, nothing large is made, a killed fit goes on."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from references.attention import normalised_accuracy, object_world
from sklearn.base import clone
from sklearn.model_selection import KFold
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from neurodecode.attention import RoutedEncoder, Routing, SpatialFeatureEncoder, Training
from neurodecode.compute import training
from neurodecode.evaluation import cross_validate
from neurodecode.linear import Ridge
from neurodecode.representation import as_representation, concat

DIMS = ("sample", "token", "unit")


def areas(world):
    return {str(name): world.area == name for name in dict.fromkeys(world.area)}


class Even(RoutedEncoder):
    """A fake that attends evenly: fitted with queries that are held at nothing."""

    def reader(self, n_areas, tokens, settings):
        reader, width = super().reader(n_areas, tokens, settings)
        with torch.no_grad():
            reader.query.zero_()
        reader.query.requires_grad_(False)
        return reader, width


class Nameless(RoutedEncoder):
    """A fake without the embedding of its queries: what asks is one learned vector for all areas."""

    def reader(self, n_areas, tokens, settings):
        reader, width = super().reader(n_areas, tokens, settings)
        reader.query.register_hook(lambda gradient: gradient.mean(0).expand_as(gradient))
        with torch.no_grad():
            reader.query.copy_(reader.query[:1].expand_as(reader.query))
        return reader, width


class Placed(RoutedEncoder):
    """A fake that attends to places alone, whatever lies there."""

    def reader(self, n_areas, tokens, settings):
        reader, width = super().reader(n_areas, tokens, settings)
        logits = reader.logits
        reader.logits = lambda values, code: logits(torch.zeros_like(values), code)
        return reader, width


class TestFakes:
    @pytest.fixture(scope="class")
    def world(self):
        return object_world(0, True)

    def shows(self, world, model):
        """Whether an encoder passes what the routed one has to show in the world where things move."""
        n = world.n_train
        model.fit(world.tokens[:n], world.responses[:n])
        score = normalised_accuracy(world, model.predict(world.tokens[n:]))
        static = SpatialFeatureEncoder(areas(world), max_epochs=25, random_state=11)
        static.fit(world.tokens[:n], world.responses[:n])
        best = normalised_accuracy(world, static.predict(world.tokens[n:]))
        found = np.stack(np.divmod(model.attention(world.tokens[n:]).values.argmax(-1), 8), axis=-1)
        near = np.abs(found - world.centres[n:]).max(-1) <= 1
        return score >= 0.65, score >= best + 0.50, near.mean() >= 0.95

    def test_the_encoder_passes(self, world):
        assert self.shows(world, RoutedEncoder(areas(world), max_epochs=25, random_state=11)) == (True, True, True)

    @pytest.mark.parametrize("fake", [Even, Nameless, Placed])
    def test_an_encoder_that_is_crippled_before_it_is_fitted_fails_everything(self, world, fake):
        assert self.shows(world, fake(areas(world), max_epochs=25, random_state=11)) == (False, False, False)


class Largest(TorchDispatchMode):
    """Numbers in the largest tensor that is made, forwards and backwards."""

    def __init__(self):
        super().__init__()
        self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        sizes = [one.numel() for one in tree_leaves(found) if isinstance(one, torch.Tensor)]
        self.most = max([self.most, *sizes])
        return found


class TestSizes:
    @pytest.mark.parametrize("by", ["areas", "unit"])
    @pytest.mark.parametrize("values", ["projected", "raw"])
    def test_no_tensor_of_batch_by_unit_by_query_is_ever_made(self, by, values, monkeypatch):
        rng = np.random.default_rng(0)
        n, batch, units, tokens = 30, 20, 400, 9
        X, Y = rng.normal(size=(n, tokens, 4)), rng.normal(size=(n, units))
        masks = {str(k): np.arange(units) % 40 == k for k in range(40)}
        masks["over"] = np.arange(units) < 25
        queries = 41 if by == "areas" else units
        watched, step = Largest(), training.Gradients.add

        def add(self, one):
            with watched:
                return step(self, one)

        monkeypatch.setattr(training.Gradients, "add", add)
        settings = {"routing": Routing(values=values), "training": Training(batch_size=batch), "max_epochs": 1}
        RoutedEncoder(masks if by == "areas" else "unit", 8, 2, random_state=0, **settings).fit(X, Y)
        assert 0 < watched.most < batch * units * queries
        assert watched.most <= batch * max(2 * units, queries * 2 * tokens, queries * 16)  # weights, or what was read

    def test_units_that_ask_for_themselves_take_no_table_of_units_by_units(self):
        from neurodecode.attention.areas import gather

        many = gather(np.empty((2, 200_000)), "unit", 200_000, usable=np.ones(200_000, dtype=bool))
        assert len(many.units) == 200_000 and many.patterns[7] == (7,)


class TestNothingLeaks:
    def test_the_reported_fold_never_enters_a_fit(self):
        world = object_world(0, True, n_train=90, n_test=0, n_areas=3, n_units=4)
        names = [f"picture {number}" for number in range(90)]
        X = as_representation(world.tokens, stimulus=names, kind="network", dims=DIMS)
        Y = as_representation(world.responses, stimulus=names, kind="fmri", unit={"roi": world.area})
        model = RoutedEncoder(width=8, max_epochs=4, random_state=0)
        other, shuffled = X.copy(deep=True), Y.copy(deep=True)
        fold = np.arange(30)
        other[fold] = other.values[fold[::-1]] * 3 + 1
        shuffled[fold] = np.random.default_rng(1).normal(size=(30, 12)) * 100
        first = clone(model).fit(X[30:], Y[30:])
        results = [
            cross_validate(model, X, target, KFold(3), score="r", keep="prediction", random_state=0)
            for target in (Y, shuffled)
        ]
        np.testing.assert_array_equal(results[0]["prediction"][:30], results[1]["prediction"][:30])
        np.testing.assert_array_equal(results[0]["prediction"][:30], first.predict(X[:30]))
        swapped = cross_validate(model, other, Y, KFold(3), score="r", keep="prediction", random_state=0)
        np.testing.assert_array_equal(swapped["prediction"][:30], first.predict(other[:30]))
        assert set(first.held_back_) <= set(range(60))  # the epoch is chosen by training pictures

    def test_what_chooses_the_epoch_is_not_learnt_from(self):
        world = object_world(1, True, n_train=80, n_test=0, n_areas=3, n_units=4)
        settings = {"width": 8, "max_epochs": 4, "random_state": 0}
        model = RoutedEncoder(areas(world), **settings).fit(world.tokens, world.responses)
        held = model.held_back_
        assert len(held) == model.n_held_back_ == 8
        tokens, responses = world.tokens.copy(), world.responses.copy()
        tokens[held], responses[held] = tokens[held][::-1] * 5, np.random.default_rng(0).normal(size=(8, 12)) * 50
        other = RoutedEncoder(areas(world), **settings).fit(tokens, responses)
        assert other.history_.loss == model.history_.loss and other.history_.validation != model.history_.validation
        np.testing.assert_array_equal(other.held_back_, held)
        torch.testing.assert_close(other.token_mean_, model.token_mean_, rtol=0, atol=0)


class TestAreas:
    def test_a_query_moves_the_units_that_read_it_and_no_other(self):
        world = object_world(0, True, n_train=60, n_test=0, n_areas=3, n_units=4)
        masks = {"left": np.arange(12) < 7, "right": np.arange(12) > 4, "alone": np.arange(12) == 11}
        model = RoutedEncoder(masks, 8, max_epochs=2, random_state=0).fit(world.tokens, world.responses)
        before, query = model.predict(world.tokens), model.query_.copy()
        for number, mask in enumerate(masks.values()):
            changed = query.copy()
            changed[number] += 0.5
            model.query_ = changed
            after = model.predict(world.tokens)
            np.testing.assert_array_equal(after[:, ~mask], before[:, ~mask])
            assert (after[:, mask] != before[:, mask]).any(axis=0).all()


class TestSources:
    @pytest.mark.parametrize("positions", ["sine", "learned", None])
    def test_words_are_found_by_place_or_by_what_they_are(self, positions):
        rng = np.random.default_rng(0)
        n, words = 480, 7  # not a square: a line
        kind = np.argsort(rng.random((n, words)), axis=1)  # each of seven words once, in any order
        embedded = np.concatenate([np.eye(words)[kind], rng.normal(size=(n, words, 3))], axis=2)
        second = embedded[:, 2, words:] @ rng.normal(size=(3, 4))  # reads the third word
        verb = embedded[np.arange(n), (kind == 4).argmax(1), words:] @ rng.normal(size=(3, 4))  # reads word 4
        names = [f"sentence {number}" for number in range(n)]
        X = as_representation(embedded, stimulus=names, kind="text", dims=DIMS, token={"position": np.arange(words)})
        Y = as_representation(
            np.concatenate([second, verb], axis=1),
            stimulus=names,
            kind="eeg",
            unit={"roi": ["place"] * 4 + ["word"] * 4},
        )
        model = RoutedEncoder(
            width=16, max_epochs=60 if positions == "sine" else 20, random_state=0,
            routing=Routing(positions=positions),
            training=Training(learning_rate=1e-2, batch_size=16, dropout=0.0),
        )  # fmt: skip
        weights = model.fit(X[:400], Y[:400]).attention(X[400:])
        word = weights.sel(query="word").argmax("token").values
        assert (kind[400:][np.arange(80), word] == 4).mean() > 0.9
        place = weights.sel(query="place").mean("sample")
        if positions is None:  # no place can be read
            assert float(place.max()) < 1 / words + 0.05
        else:
            assert int(place.argmax()) == 2 and float(place.max()) > 1 / words + 0.1

    def test_several_layers_are_read_at_once(self):
        rng = np.random.default_rng(1)
        names = [f"s{number}" for number in range(240)]
        layers = {
            name: as_representation(rng.normal(size=(240, 9, 4)), stimulus=names, kind="network", dims=DIMS)
            for name in ("early", "late")
        }
        weights = rng.normal(size=(4, 3))
        Y = (layers["early"].values[:, 2] + layers["late"].values[:, 2]) @ weights
        both = concat(layers, "layer")
        assert both.dims == DIMS and both.shape == (240, 9, 8)
        scores = {}
        for name, X in {**layers, "both": both}.items():
            model = SpatialFeatureEncoder(None, max_epochs=60, random_state=0).fit(X[:180], Y[:180])
            scores[name] = model.score(X[180:], Y[180:])
        assert scores["both"] > 0.9 and max(scores["early"], scores["late"]) < 0.6

    def test_pooled_and_class_tokens_are_one_line_of_ridge(self):
        rng = np.random.default_rng(2)
        names = [f"s{number}" for number in range(90)]
        X = as_representation(rng.normal(size=(90, 10, 5)), stimulus=names, kind="network", dims=DIMS)
        W = rng.normal(size=(5, 4))
        for pooled, other in ((X.mean("token"), X.isel(token=0)), (X.isel(token=0), X.mean("token"))):
            Y = as_representation(
                pooled.values @ W + 0.2 * rng.normal(size=(90, 4)),
                stimulus=names,
                kind="fmri",
                unit={"roi": list("aabb")},
            )
            ridge = Ridge([1.0])
            right, wrong = (cross_validate(ridge, one, Y, KFold(3), score="r") for one in (pooled, other))
            assert float(right["score"].min()) > 0.8 > 0.6 > float(wrong["score"].max())
            assert right["roi"].values.tolist() == list("aabb") and not right.attrs["assume_aligned"]


class TestKilled:
    def test_a_fit_that_was_killed_goes_on_to_the_same_bits(self, tmp_path):
        code = """
import os, signal, sys
import numpy as np
from neurodecode.attention import RoutedEncoder, Training
from neurodecode.compute import training
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(60, 16, 6)), rng.normal(size=(60, 8))
halves = {"left": np.arange(8) < 5, "right": np.arange(8) > 3}
train = Training(batch_size=16, checkpoint=sys.argv[1])
model = RoutedEncoder(halves, 8, max_epochs=6, random_state=0, training=train)
write, done = training._write, []
def dies(*args):
    write(*args)
    done.append(1)
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
training._write = dies
model.fit(X, Y)
"""
        path = tmp_path / "fit.pt"
        died = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
        assert died.returncode == -signal.SIGKILL, died.stderr
        rng = np.random.default_rng(0)
        X, Y = rng.normal(size=(60, 16, 6)), rng.normal(size=(60, 8))
        halves = {"left": np.arange(8) < 5, "right": np.arange(8) > 3}
        settings = {"max_epochs": 6, "random_state": 0}
        whole, again = (
            RoutedEncoder(halves, 8, training=Training(batch_size=16, checkpoint=file), **settings).fit(X, Y)
            for file in (None, path)
        )
        assert again.history_.resumed_at == 3 and again.history_.loss == whole.history_.loss
        for name, value in whole.module_.state_dict().items():
            assert torch.equal(value, again.module_.state_dict()[name]), name
        np.testing.assert_array_equal(again.predict(X), whole.predict(X))
        assert [one.name for one in tmp_path.iterdir()] == ["fit.pt"]
