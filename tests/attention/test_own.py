"""A read-out of one's own: what a subclass fills in, what it gets for it, and tokens that are scaled where they go."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurodecode.attention import EncoderEnsemble, Reader, RoutedEncoder, SpatialFeatureEncoder, TokenEncoder, Training
from neurodecode.attention.tokens import Tokens
from neurodecode.exceptions import AlignmentError, CapacityError, NeurodecodeWarning
from neurodecode.representation import as_representation


class Gate(Reader):
    """Each area weighs a token by a linear map of it."""

    def __init__(self, n_areas, n_features):
        super().__init__()
        self.gate = torch.nn.Linear(n_features, n_areas)

    def attend(self, tokens, *, blocked=None):
        logits = self.gate(tokens).transpose(1, 2)
        if blocked is not None:
            logits = logits.masked_fill(blocked, -torch.inf)
        return logits.softmax(-1)[:, None]

    def forward(self, tokens, *, blocked=None):
        return self.attend(tokens, blocked=blocked)[:, 0] @ tokens

    def room(self, n_tokens, n_features, *, blocked=False):
        return self.gate.out_features * (4 * n_tokens + n_features)


class GatedEncoder(TokenEncoder):
    """The least that a subclass can be: tokens are read by their order, and nothing is added to the loss."""

    by = None
    within = None
    usual = Training(learning_rate=0.03, dropout=0.0)
    made = Gate

    def __init__(self, max_epochs=80, random_state=0, *, training=None):
        self.max_epochs, self.random_state, self.training = max_epochs, random_state, training

    def reader(self, n_areas, tokens, settings):
        return self.made(n_areas, tokens.n_features), tokens.n_features


class Held(GatedEncoder):
    """The same, with the norm of the gate added."""

    def __init__(self, strength=1.0, max_epochs=80, random_state=0, *, training=None):
        super().__init__(max_epochs, random_state, training=training)
        self.strength = strength

    def extra_loss(self, module):
        return self.strength * module.reader.gate.weight.norm()


def world(n=200):
    """One of nine tokens is marked by its first feature, and the responses read that one."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 9, 5)).astype(np.float32)
    at = rng.integers(9, size=n)
    X[np.arange(n), at, 0] += 5
    Y = (X[np.arange(n), at, 1:] @ rng.normal(size=(4, 6))).astype(np.float32)
    names = [f"s{number}" for number in range(n)]
    place = {"row": np.repeat(range(3), 3), "col": np.tile(range(3), 3)}
    X = as_representation(X, stimulus=names, kind="network", dims=("sample", "token", "unit"), token=place)
    return X, as_representation(Y, stimulus=names, kind="fmri", unit={"roi": list("aaabbb")}), at


@pytest.fixture(scope="module")
def fitted():
    X, Y, at = world()
    return GatedEncoder().fit(X[:160], Y[:160]), X, Y, at


def correlation(model, X, Y):
    return np.diag(np.corrcoef(model.predict(X).values.T, Y.values.T)[:6, 6:]).mean()


class TestOwn:
    def test_it_finds_what_its_module_can_say_and_a_static_map_cannot(self, fitted):
        model, X, Y, at = fitted
        assert correlation(model, X[160:], Y[160:]) > 0.9
        static = SpatialFeatureEncoder(None, max_epochs=40, random_state=0).fit(X[:160], Y[:160])
        assert correlation(static, X[160:], Y[160:]) < 0.6
        weights = model.attention(X[160:])
        np.testing.assert_allclose(weights.sum("token"), 1, atol=1e-5)
        assert (weights.values[:, 0].argmax(1) == at[160:]).mean() > 0.9
        lost = model.token_importance(X[160:], Y[160:], share=1 / 9)
        assert lost["drop"].item() > 0.5 > 0.3 > lost["drop_random"].item()

    def test_labels_and_order_are_looked_after(self, fitted):
        model, X, Y, _ = fitted
        found = model.predict(X)
        assert found["roi"].equals(Y["roi"]) and found["stimulus"].equals(X["stimulus"])
        with pytest.raises(
            AlignmentError, match="another order than at fit, and GatedEncoder reads them by their order"
        ):
            model.predict(X[:, ::-1])
        free = type("Free", (GatedEncoder,), {"place": lambda self, tokens, device: {}})()
        free.fit(X[:160], Y[:160])
        np.testing.assert_allclose(free.predict(X[:, ::-1]), free.predict(X), atol=1e-5)

    def test_what_is_added_to_the_loss_counts(self):
        X, Y, _ = world()
        held, free = (Held(strength).fit(X, Y).module_.reader.gate.weight.norm().item() for strength in (1.0, 0.0))
        assert held < 0.2 * free

    def test_it_goes_into_ensembles_pieces_and_checkpoints(self, tmp_path, monkeypatch):
        X, Y, _ = world(80)
        both = EncoderEnsemble(Held(0.1, 3), 2, random_state=0).fit(X, Y)
        assert both.attention(X).sizes == {"sample": 80, "query": 1, "token": 9}
        path = Training(checkpoint=tmp_path / "fit.pt")
        whole = Held(0.1, 3, training=path).fit(X, Y)
        assert Held(0.1, 3, training=path).fit(X, Y).history_.resumed_at == 3
        forward = Gate.forward

        def refuses(self, tokens, *, blocked=None):
            if len(tokens) > 20:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return forward(self, tokens, blocked=blocked)

        monkeypatch.setattr(Gate, "forward", refuses)
        with pytest.warns(NeurodecodeWarning, match="ran out of memory"):
            cut = Held(0.1, 3, training=Training()).fit(X, Y)
        np.testing.assert_allclose(cut.history_.loss, whole.history_.loss, rtol=1e-5)
        with pytest.raises(CapacityError, match="max_memory is"):
            Held(0.1, 3, training=Training(max_memory="1 kB")).fit(X, Y)

    def test_what_is_left_out_is_named(self):
        X, Y, _ = world(40)
        with pytest.raises(TypeError, match=r"abstract.*reader"):
            TokenEncoder()
        bare = type("Bare", (Reader,), {"__init__": lambda self, *sizes: Reader.__init__(self)})
        with pytest.raises(TypeError, match=r"Bare does not say what a step keeps: give it room\(n_tokens"):
            type("NoRoom", (GatedEncoder,), {"made": bare})().fit(X, Y)
        blind = type(
            "Blind", (Gate,), {"attend": Reader.attend, "forward": lambda self, tokens, blocked=None: tokens[:, :1]}
        )
        model = type("NoWeights", (GatedEncoder,), {"made": blind})(1).fit(X, Y)
        with pytest.raises(TypeError, match="Blind has no weights over tokens"):
            model.attention(X)


class TestScaledThere:
    """On a device other than the CPU tokens go as they are and are brought to their scale there."""

    def test_the_same_bits_wherever_it_is_done(self, tmp_path, monkeypatch):
        X, Y, _ = world(80)
        np.save(tmp_path / "tokens.npy", (X.values * [1, 50, 1, 0.01, 1] + 3).astype(np.float16))
        mapped = np.load(tmp_path / "tokens.npy", mmap_mode="r")
        model = RoutedEncoder(None, 8, max_epochs=3, random_state=0)
        here = model.fit(mapped, Y.values).predict(mapped), model.attention(mapped).values, model.history_.loss
        use, late = Tokens.use_scale, []

        def elsewhere(self, mean, scale, *, hold=True, device=None):
            use(self, mean, scale, hold=hold, device=torch.device("meta"))  # any that is not the CPU
            late.append(self.late)

        monkeypatch.setattr(Tokens, "use_scale", elsewhere)
        there = model.fit(mapped, Y.values).predict(mapped), model.attention(mapped).values, model.history_.loss
        assert late and all(late)
        for one, other in zip(here, there):
            np.testing.assert_array_equal(one, other)
        assert mapped[0, 0, 0] == np.float16(X.values[0, 0, 0] + 3)

    @pytest.mark.parametrize(
        ("dtype", "device", "late"), [("f2", "cuda", True), ("f8", "cuda", False), ("f4", "cpu", False)]
    )
    def test_what_is_read_for_it(self, dtype, device, late):
        values = np.random.default_rng(0).normal(3, 2, size=(6, 4, 2)).astype(dtype)
        tokens = Tokens(values)
        tokens.learn_scale(np.arange(6), np.random.default_rng(0))
        tokens.use_scale(tokens.mean, tokens.scale, hold=False, device=torch.device(device))
        read = tokens.read(np.arange(6))
        assert tokens.late == late and torch.equal(read, tokens.raw(np.arange(6))) == late
        on_scale = tokens.put(read, torch.device("cpu"))
        assert on_scale.dtype == torch.float32
        np.testing.assert_allclose(on_scale.mean((0, 1, 2)), 0, atol=1e-5)
        np.testing.assert_allclose(on_scale.std((0, 1, 2), correction=0), 1, atol=1e-4)
