"""Where tokens lie when new ones come: places that were never seen, axes with other names, tokens that do not count."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from neurodecode.attention import GaussianFieldEncoder, RoutedEncoder, Routing, SpatialFeatureEncoder, Training
from neurodecode.attention.positions import sine_code, token_places
from neurodecode.exceptions import AlignmentError
from neurodecode.representation import as_representation

N, SIDE, D, T = 50, 4, 6, 5
ROW, COL = np.divmod(np.arange(SIDE * SIDE), SIDE)


def world():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, SIDE * SIDE, D)).astype(np.float32), rng.normal(size=(N, T))


def on(X, **places):
    names = [f"s{number}" for number in range(len(X))]
    return as_representation(X, stimulus=names, kind="network", dims=("sample", "token", "unit"), token=places)


def routed(positions="sine", **routing):
    return RoutedEncoder(None, 8, max_epochs=2, random_state=0, routing=Routing(positions=positions, **routing))


class TestPlaces:
    def test_fixed_codes_are_of_the_field_that_was_fitted(self):
        X, Y = world()
        model = routed().fit(on(X, row=ROW, col=COL), Y)
        middle = (ROW > 0) & (ROW < 3) & (COL > 0) & (COL < 3)
        between = on(X[:, middle], row=ROW[middle] + 0.5, col=COL[middle])
        assert np.isfinite(model.predict(between).values).all()  # fewer tokens, of which it is said where they lie
        with pytest.raises(AlignmentError, match=r"lies at \(4\.0, 0\.0\), at fit they lay between"):
            model.predict(on(X, row=ROW + 4, col=COL))
        with pytest.raises(AlignmentError, match="9 tokens came, 16 at fit, and nothing says where they lie"):
            model.predict(X[:, :9])
        with pytest.raises(AlignmentError, match="at fit they lay between"):
            model.predict(np.repeat(X, 4, axis=1))

    @pytest.mark.parametrize("make", [routed, lambda: routed("learned"), lambda: SpatialFeatureEncoder(None, 2, 0)])
    def test_axes_with_other_names_are_refused(self, make):
        X, Y = world()
        model = make().fit(on(X, row=ROW, col=COL), Y)
        with pytest.raises(AlignmentError, match="tokens lie along position, lag, at fit along row, col"):
            model.predict(on(X, position=ROW, lag=COL.astype(float)))
        with pytest.raises(AlignmentError, match="tokens lie along position, at fit along row, col"):
            model.predict(on(X, position=ROW))

    def test_content_alone_takes_any_number_of_tokens(self):
        X, Y = world()
        model = routed(None).fit(X, Y)
        twice = np.concatenate([X, X], axis=1)
        np.testing.assert_allclose(model.predict(twice), model.predict(X), atol=1e-5)

    def test_a_full_turn_tells_all_but_the_ends_apart_and_half_a_turn_all(self):
        places = token_places(None, 25)
        full, half = (sine_code(places, 4, turn=turn).numpy() for turn in (1.0, 0.5))
        assert len(np.unique(full.round(5), axis=0)) == 16 and len(np.unique(half.round(5), axis=0)) == 25
        np.testing.assert_allclose(sine_code(places, 24).numpy(), sine_code(places, 24, turn=1.0).numpy())
        wide = sine_code(places, 24).numpy()  # slower sines see the difference
        assert np.abs(wide[0] - wide[-1]).max() > 0.5

    def test_half_a_turn_finds_both_ends_of_a_line_with_few_features(self):
        rng = np.random.default_rng(3)
        X = rng.normal(size=(300, 5, 2)).astype(np.float32)
        Y = np.concatenate([X[:, at] @ rng.normal(size=(2, 4)) for at in (0, 4)], axis=1)
        areas = {"first": np.arange(8) < 4, "last": np.arange(8) > 3}
        training = Training(learning_rate=2e-2, batch_size=16, dropout=0.0)
        found = []
        for turn in (1.0, 0.5):
            routing = Routing(positions="sine", turn=turn)
            model = RoutedEncoder(areas, 16, max_epochs=50, random_state=0, routing=routing, training=training)
            weights = model.fit(X, Y).attention(X[:100]).mean("sample").values
            found.append((weights[0, 0] - weights[0, 4], weights[1, 4] - weights[1, 0]))
        assert max(found[0]) < 0.1  # nothing tells the ends apart
        assert min(found[1]) > 0.2

    @pytest.mark.parametrize("wrong", [0, -1, float("nan"), "half", True])
    def test_a_turn_is_a_number_above_0(self, wrong):
        with pytest.raises(ValueError, match="turn="):
            Routing(positions="sine", turn=wrong)


class TestCounted:
    @pytest.mark.parametrize("make", [lambda: routed("learned"), lambda: SpatialFeatureEncoder(None, 2, 0)])
    def test_what_counts_may_be_said_once_for_all_samples(self, make):
        X, Y = world()
        kept = ROW < 3
        once = on(X, row=ROW, col=COL).assign_coords(attended=("token", kept))
        each = once.drop_vars("attended").assign_coords(
            attended=(("sample", "token"), np.broadcast_to(kept, X.shape[:2]))
        )
        models = [make().fit(tokens, Y) for tokens in (once, each)]
        np.testing.assert_array_equal(models[0].predict(once), models[1].predict(each))
        assert (models[0].attention(once).values[..., ~kept] == 0).all()

    def test_marks_that_are_not_yes_or_no_are_refused(self):
        X, Y = world()
        tokens = on(X, row=ROW, col=COL)
        for marks in (np.where(ROW < 3, 1.0, np.nan), np.arange(16)):
            with pytest.raises(ValueError, match="more than True and False"):
                routed().fit(tokens.assign_coords(attended=("token", marks)), Y)
        with pytest.raises(AlignmentError, match=r"attended lies on \('sample',\)"):
            routed().fit(tokens.assign_coords(attended=("sample", np.ones(N, bool))), Y)


class TestAround:
    """What somebody set in torch does not reach the numbers of an encoder."""

    @pytest.mark.parametrize("make", [routed, lambda: GaussianFieldEncoder(sizes=[0.5, 1.0], alphas=(10.0,))])
    @pytest.mark.parametrize("around", ["autocast", "inference", "no_grad", "float64"])
    def test_the_same_bits_inside(self, make, around):
        X, Y = world()
        plain = make().fit(X, Y)
        expected = plain.predict(X)
        kind = torch.get_default_dtype()
        contexts = {
            "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
            "inference": torch.inference_mode,
            "no_grad": torch.no_grad,
            "float64": lambda: default_dtype(torch.float64),
        }
        with contexts[around]():
            model = make().fit(X, Y)
            inside, late = model.predict(X), plain.predict(X)
            if hasattr(model, "attention"):
                np.testing.assert_array_equal(model.attention(X), plain.attention(X))
                share = {"share": 0.2}
                assert model.token_importance(X, Y, **share).equals(plain.token_importance(X, Y, **share))
        np.testing.assert_array_equal(inside, expected)
        np.testing.assert_array_equal(late, expected)
        assert torch.get_default_dtype() == kind and torch.is_grad_enabled()

    def test_a_trunk_of_another_kind_is_refused(self):
        with pytest.raises(ValueError, match="expected a fitted RoutedEncoder"):
            Routing(trunk=SpatialFeatureEncoder(None))


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class TestKinds:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
    def test_tensors_are_taken(self, dtype):
        X, Y = world()
        tensor = torch.from_numpy(X).to(dtype)
        expected = routed().fit(tensor.double().numpy(), Y).predict(tensor.double().numpy())
        model = routed().fit(tensor, torch.from_numpy(Y))
        np.testing.assert_allclose(model.predict(tensor), expected, atol=1e-4)
        assert model.attention(tensor).shape == (N, 1, SIDE * SIDE)

    def test_queries_that_were_read_keep_their_numbers(self):
        X, Y = world()
        model = routed().fit(X, Y)
        first, kept = model.predict(X), model.query_
        model.query_ = np.zeros_like(kept)
        assert (kept != 0).any() and not model.query_.any() and (model.predict(X) != first).any()
        model.query_ = kept
        np.testing.assert_array_equal(model.predict(X), first)
        model.query_[0, 0] += 1.0  # in place, too
        assert (model.predict(X) != first).any()

    def test_importance_is_of_the_units_that_were_fitted(self):
        X, Y = world()
        names = [f"s{number}" for number in range(N)]
        target = as_representation(Y, stimulus=names, kind="fmri", unit={"voxel": list("abcde")})
        model = routed().fit(on(X, row=ROW, col=COL), target)
        model.token_importance(on(X, row=ROW, col=COL), target)
        with pytest.raises(AlignmentError, match="voxel"):
            model.token_importance(on(X, row=ROW, col=COL), target[:, ::-1])

    def test_importance_is_the_same_in_pieces(self, monkeypatch):
        from neurodecode.attention import ablation

        X, Y = world()
        model = routed().fit(X, Y)
        whole = model.token_importance(X, Y, share=0.2)
        monkeypatch.setattr(ablation, "AT_ONCE", 100)
        pieces = model.token_importance(X, Y, share=0.2)
        for name in whole:
            np.testing.assert_allclose(pieces[name], whole[name], atol=1e-5)
