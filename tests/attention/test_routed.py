"""Routed encoding: a thing is followed wherever it is; what fakes would do fails; what must not matter does not."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from references.attention import normalised_accuracy, object_world, routed_by_hand
from sklearn.base import clone
from sklearn.model_selection import KFold

from neurodecode.attention import FactorizedEncoder, RoutedEncoder, Routing, SpatialFeatureEncoder, Training
from neurodecode.attention.modules import Router
from neurodecode.evaluation import cross_validate
from neurodecode.exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning, ResumeError
from neurodecode.linear import Ridge
from neurodecode.representation import as_representation


def labelled_world(world):
    names = [f"picture {number}" for number in range(len(world.tokens))]
    row, col = np.divmod(np.arange(world.tokens.shape[1]), 8)
    X = as_representation(
        world.tokens, stimulus=names, kind="network", dims=("sample", "token", "unit"), token={"row": row, "col": col}
    )
    return X, as_representation(world.responses, stimulus=names, kind="fmri", unit={"roi": world.area})


def areas(world):
    return {str(name): world.area == name for name in dict.fromkeys(world.area)}


def small(seed=0, **settings):
    world = object_world(seed, True, n_train=60, n_test=20, n_areas=3, n_units=4)
    return world, RoutedEncoder(**{"width": 8, "max_epochs": 2, "random_state": 3, **settings})


class TestWorlds:
    """The table that the method has to reproduce: a thing that moves, a thing that stays, and no thing at all."""

    @pytest.fixture(scope="class", params=[0, 1])
    def moving(self, request):
        world = object_world(request.param, True)
        n = world.n_train
        model = RoutedEncoder(areas(world), max_epochs=25, random_state=11).fit(world.tokens[:n], world.responses[:n])
        return world, model

    @pytest.fixture(scope="class", params=[0, 1])
    def staying(self, request):
        return object_world(request.param, False)

    @pytest.mark.slow
    def test_what_moves_is_followed_and_nothing_static_does(self, moving):
        world, model = moving
        n = world.n_train
        routed = normalised_accuracy(world, model.predict(world.tokens[n:]))
        static = SpatialFeatureEncoder(areas(world), max_epochs=25, random_state=11)
        static.fit(world.tokens[:n], world.responses[:n])
        rivals = {"spatial": normalised_accuracy(world, static.predict(world.tokens[n:]))}
        for name, tokens in (("flat", world.tokens.reshape(len(world.tokens), -1)), ("pooled", world.tokens.mean(1))):
            ridge = Ridge(alphas=10.0 ** np.arange(0, 7)).fit(tokens[:n], world.responses[:n])
            rivals[name] = normalised_accuracy(world, ridge.predict(tokens[n:]))
        assert routed >= 0.65
        assert routed >= max(rivals.values()) + 0.50
        assert max(rivals.values()) < 0.20

    def test_attention_lies_on_the_thing(self, moving):
        world, model = moving
        n = world.n_train
        weights = model.attention(world.tokens[n:])
        np.testing.assert_allclose(weights.sum("token"), 1.0, atol=1e-5)
        found = np.stack(np.divmod(weights.values.argmax(-1), 8), axis=-1)
        near = np.abs(found - world.centres[n:]).max(-1) <= 1
        assert near.mean() >= 0.95
        shuffled = np.random.default_rng(0).permutation(len(near))
        assert (np.abs(found[shuffled] - world.centres[n:]).max(-1) <= 1).mean() < 0.5

    def test_without_its_query_or_with_even_attention_it_fails(self, moving):
        world, model = moving
        n = world.n_train
        mute = copy.deepcopy(model)
        mute.query_ = np.broadcast_to(mute.query_.mean(0), mute.query_.shape)
        assert normalised_accuracy(world, mute.predict(world.tokens[n:])) < 0.3
        even = copy.deepcopy(model)
        even.query_ = np.zeros_like(even.query_)
        weights = even.attention(world.tokens[n : n + 5])
        np.testing.assert_allclose(weights, 1 / 64, atol=1e-6)
        assert normalised_accuracy(world, even.predict(world.tokens[n:])) < 0.2

    def test_shuffled_responses_teach_nothing(self, moving):
        world, _ = moving
        n = world.n_train
        order = np.random.default_rng(5).permutation(n)
        model = RoutedEncoder(areas(world), max_epochs=25, random_state=11)
        model.fit(world.tokens[:n], world.responses[:n][order])
        assert normalised_accuracy(world, model.predict(world.tokens[n:])) <= 0.03

    @pytest.mark.slow
    def test_what_stays_needs_no_routing(self, staying):
        world, n = staying, staying.n_train
        found = {}
        for name, model in (
            ("routed", RoutedEncoder(areas(world), max_epochs=25, random_state=11)),
            ("spatial", SpatialFeatureEncoder(areas(world), max_epochs=25, random_state=11)),
        ):
            found[name] = normalised_accuracy(
                world, model.fit(world.tokens[:n], world.responses[:n]).predict(world.tokens[n:])
            )
        flat = world.tokens.reshape(len(world.tokens), -1)
        ridge = Ridge(alphas=10.0 ** np.arange(0, 7)).fit(flat[:n], world.responses[:n])
        found["ridge"] = normalised_accuracy(world, ridge.predict(flat[n:]))
        assert found["routed"] >= found["spatial"] - 0.05
        assert found["spatial"] >= found["ridge"] + 0.05

    def test_what_is_masked_is_missed(self, moving):
        world, model = moving
        n = world.n_train
        found = model.token_importance(world.tokens[n:], world.responses[n:], share=9 / 64)
        assert (found["drop"] > 0.15).all()
        assert (abs(found["drop_random"]) < 0.05).all()


class TestAlgebra:
    @pytest.mark.parametrize("n_heads", [1, 4])
    def test_the_formulas_say_the_same(self, n_heads):
        world, model = small(n_heads=n_heads, by=None)
        overlapping = {"left": np.arange(12) < 7, "right": np.arange(12) > 4, "one": np.arange(12) == 2}
        model.set_params(by=overlapping).fit(world.tokens[:60], world.responses[:60])
        scaled = (world.tokens[:3] - model.token_mean_.numpy()) / model.token_scale_.numpy()
        state = {name: value.numpy() for name, value in model.module_.state_dict().items()}
        order = model.areas_of_.order
        byhand = routed_by_hand(
            state, scaled, n_heads, np.stack([np.isin(order, units) for units in model.areas_of_.units])
        )
        expected = np.empty_like(byhand)
        expected[:, order] = byhand
        expected = expected * model.scale_ + model.mean_
        np.testing.assert_allclose(model.predict(world.tokens[:3]), expected, atol=2e-5)

    @pytest.mark.parametrize("values", ["projected", "raw"])
    def test_bringing_queries_to_tokens_is_bringing_tokens_to_keys(self, values):
        torch.manual_seed(0)
        sizes = {"hidden": 8, "dropout": 0.0, "values": values, "learned_places": 9}
        router = Router(3, 8, 8, 2, **sizes).double()
        tokens = torch.randn(4, 9, 8, dtype=torch.float64)
        blocked = torch.rand(4, 3, 9) < 0.3
        assert router.absorbed
        first = router(tokens, blocked=blocked)
        many = Router(9, 8, 8, 2, **sizes).double()
        many.load_state_dict({**router.state_dict(), "query": router.query.detach().repeat(3, 1)})
        assert not many.absorbed
        second = many(tokens, blocked=blocked.repeat(1, 3, 1))
        torch.testing.assert_close(second[:, :3], first, rtol=0, atol=1e-12)
        assert not router.attend(tokens, blocked=blocked)[:, 0][blocked].any()

    def test_queries_differ_and_areas_do_not_meet(self):
        world, model = small()
        X, Y = labelled_world(world)
        model.fit(X, Y)
        assert np.unique(model.query_, axis=0).shape == (3, 8)
        before = model.predict(X)
        query = model.query_.copy()
        query[1] += 0.5
        model.query_ = query
        after = model.predict(X)
        other = (Y["roi"] != model.areas_[1]).values
        np.testing.assert_array_equal(after.values[:, other], before.values[:, other])
        assert (after.values[:, ~other] != before.values[:, ~other]).all(axis=0).all()
        with pytest.raises(ValueError, match=r"\(2, 8\).*\(3, 8\)"):
            model.query_ = query[:2]

    @pytest.mark.parametrize("positions", ["learned", "sine", None])
    def test_tokens_with_their_places_may_come_in_any_order(self, positions):
        world, model = small(routing=Routing(positions=positions))
        X, Y = labelled_world(world)
        model.fit(X, Y)
        order = np.random.default_rng(0).permutation(64)
        moved = X.isel(token=order)
        np.testing.assert_allclose(model.predict(moved).values, model.predict(X).values, atol=1e-5)
        np.testing.assert_allclose(model.attention(moved).values, model.attention(X).values[:, :, order], atol=1e-6)
        torn = moved.assign_coords(row=X["row"], col=X["col"])
        changes = np.abs(model.predict(torn).values - model.predict(X).values).max()
        assert changes < 1e-5 if positions is None else changes > 1e-4

    def test_static_encoders_meet_tokens_by_place_too(self):
        world, _ = small()
        X, Y = labelled_world(world)
        order = np.random.default_rng(0).permutation(64)
        for model in (
            SpatialFeatureEncoder(max_epochs=3, random_state=0),
            FactorizedEncoder(2, max_epochs=3, random_state=0),
        ):
            model.fit(X, Y)
            np.testing.assert_allclose(model.predict(X.isel(token=order)).values, model.predict(X).values, atol=1e-5)
            with pytest.raises(AlignmentError, match="no token lay at fit"):
                model.predict(X.assign_coords(row=X["row"] + 0.5))

    def test_the_readout_keeps_no_table_of_units_by_areas(self):
        world, model = small(by=None)
        model.set_params(by=areas(world)).fit(world.tokens, world.responses)
        kept = []
        read = torch.randn(5, 3, 8, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
            found = model.module_.readout(read)
        assert found.shape == (5, 12)
        assert all(len(shape) <= 2 for shape in kept)

    def test_a_response_to_several_pictures_is_the_mean_of_what_is_read(self):
        world, model = small()
        X, Y = labelled_world(world)
        pictures = 4
        tokens = X.values.reshape(20, pictures * 64, -1)
        place = np.tile(np.stack(np.divmod(np.arange(64), 8)), pictures)
        coords = {"row": place[0], "col": place[1], "picture": np.repeat(np.arange(pictures), 64)}
        names = [f"category {number}" for number in range(20)]
        many = as_representation(tokens, stimulus=names, kind="network", dims=("sample", "token", "unit"), token=coords)
        target = as_representation(Y.values[:20], stimulus=names, kind="fmri", unit={"roi": world.area})
        model.set_params(within="picture", training=Training(batch_size=8)).fit(many, target)
        weights = model.attention(many)
        sums = weights.groupby("picture").sum("token")
        np.testing.assert_allclose(sums, 1.0, atol=1e-5)
        alone = copy.deepcopy(model).set_params(within=None)
        single = X.isel(sample=slice(0, 80))
        mean = alone.predict(single).values.reshape(20, pictures, -1).mean(1)
        np.testing.assert_allclose(model.predict(many).values, mean, atol=1e-5)

    def test_several_heads_can_be_looked_at(self):
        world, model = small(n_heads=2)
        X, Y = labelled_world(world)
        model.fit(X, Y)
        heads = model.attention(X, per_head=True)
        assert heads.dims == ("sample", "head", "query", "token")
        np.testing.assert_allclose(heads.mean("head"), model.attention(X), atol=1e-6)
        assert list(heads["query"].values) == model.areas_


class TestDoor:
    def test_labels_go_in_and_come_out(self):
        world, model = small()
        X, Y = labelled_world(world)
        found = model.fit(X, Y).predict(X)
        assert found.dims == ("sample", "unit")
        assert list(found["roi"].values) == list(world.area)
        assert list(found["stimulus"].values) == list(X["stimulus"].values)
        plain = RoutedEncoder(areas(world), width=8, max_epochs=2, random_state=3).fit(world.tokens, world.responses)
        np.testing.assert_array_equal(plain.predict(world.tokens), found.values)
        assert found.dtype == np.float32

    def test_other_samples_features_or_shapes_are_refused(self):
        world, model = small()
        X, Y = labelled_world(world)
        with pytest.raises(AlignmentError, match="another order"):
            model.fit(X, Y.isel(sample=slice(None, None, -1)))
        with pytest.raises(AlignmentError, match=r"\('sample', 'unit', 'token'\)"):
            model.fit(X.transpose("sample", "unit", "token"), Y)
        with pytest.raises(AlignmentError, match="shape"):
            model.fit(world.tokens[:, 0], world.responses)
        with pytest.raises(AlignmentError, match="no coordinate 'area'"):
            model.set_params(by="area").fit(X, Y)
        with pytest.raises(AlignmentError, match=r"expected boolean \(12,\)"):
            model.set_params(by={"a": np.ones(5, bool)}).fit(X, Y)
        model.set_params(by="roi").fit(X, Y)
        with pytest.raises(AlignmentError, match="24 were seen"):
            model.predict(world.tokens[:, :, :5])

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_values_that_are_not_finite_are_named(self, bad):
        world, model = small()
        X, Y = labelled_world(world)
        tokens = X.copy(deep=True)
        tokens[7, 3, 2] = bad
        with pytest.raises(DegenerateDataError, match="picture 7"):
            model.fit(tokens, Y)
        responses = Y.copy(deep=True)
        responses[7, 3] = bad
        with pytest.raises((DegenerateDataError, ValueError), match="Y"):
            model.fit(X, responses)

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"width": 8, "n_heads": 3}, "n_heads=3"),
            ({"routing": Routing(values="raw"), "n_heads": 8, "width": 8}, None),
            ({"routing": Routing(values="raw"), "n_heads": 5, "width": 10}, "24 features over 5 heads"),
            ({"routing": "sine"}, "expected attention.Routing"),
            ({"max_epochs": 0}, "max_epochs=0"),
            ({"training": {"learning_rate": 1}}, "expected attention.Training"),
            ({"training": Training(device="cuda:99")}, "cuda"),
        ],
    )
    def test_wrong_settings_say_what_was_expected(self, settings, said):
        world, model = small(**settings)
        model.set_params(by=areas(world))
        if said is None:
            assert np.isfinite(model.fit(world.tokens, world.responses).predict(world.tokens)).all()
            return
        with pytest.raises(ValueError, match=said):
            model.fit(world.tokens, world.responses)

    def test_training_refuses_nonsense_at_once(self):
        with pytest.raises(ValueError, match=r"learning_rate=0.*dropout=1"):
            Training(learning_rate=0, dropout=1)
        with pytest.raises(ValueError, match="schedule='linear'"):
            Training(schedule="linear")
        with pytest.raises(ValueError, match="positions='2d'"):
            Routing(positions="2d")
        with pytest.raises(ValueError, match="values='none'"):
            Routing(values="none")

    def test_too_few_samples_to_hold_some_back(self):
        world, model = small()
        model.set_params(by=areas(world))
        with pytest.raises(DegenerateDataError, match="validation=0"):
            model.fit(world.tokens[:5], world.responses[:5])
        model.set_params(training=Training(validation=0)).fit(world.tokens[:5], world.responses[:5])
        assert model.n_held_back_ == 0 and np.isnan(model.held_back_r_).all()

    def test_constant_masked_and_homeless_units(self):
        world, model = small()
        responses = world.responses.copy()
        responses[:, 2] = 4.0
        responses[:, 5] = np.nan
        roi = world.area.astype(object)
        roi[8:] = ""
        names = [f"picture {number}" for number in range(len(responses))]
        Y = as_representation(
            responses, stimulus=names, kind="fmri", unit={"roi": roi.astype(str)}, nan_policy="drop_targets"
        )
        X, _ = labelled_world(world)
        found = model.fit(X, Y).predict(X)
        assert model.areas_ == ["area 0", "area 1", "rest"]
        assert model.degenerate_.tolist() == [2]
        assert (found.values[:, 2] == 4.0).all() and np.isnan(found.values[:, 5]).all()
        assert np.isfinite(np.delete(found.values, 5, axis=1)).all()

    def test_an_area_without_units_is_nan_with_a_reason(self):
        world, model = small()
        masks = areas(world) | {"nobody": np.zeros(12, dtype=bool)}
        with pytest.warns(NeurodecodeWarning, match="nobody"):
            model.set_params(by=masks).fit(world.tokens, world.responses)
        weights = model.attention(world.tokens)
        assert np.isnan(weights.sel(query="nobody")).all() and "nobody" in weights.attrs["reason"]
        assert np.isfinite(weights.drop_sel(query="nobody")).all()
        assert np.isfinite(model.predict(world.tokens)).all()
        with pytest.raises(DegenerateDataError, match="no unit is left"):
            model.fit(world.tokens, np.ones_like(world.responses))

    def test_every_granularity(self):
        world, model = small()
        X, Y = labelled_world(world)
        Y = Y.assign_coords(hemi=("unit", ["lh", "rh"] * 6))
        assert model.set_params(by="hemi").fit(X, Y).areas_ == ["lh", "rh"]
        assert model.set_params(by=["roi", "hemi"]).fit(X, Y).areas_[:2] == ["area 0 lh", "area 0 rh"]
        home = np.where(np.arange(12) < 8, Y["roi"].values, "")
        partly = Y.assign_coords(roi=("unit", home))
        named = ["lh area 0", "rh area 0", "lh area 1", "rh area 1", "lh rest", "rh rest"]
        assert model.set_params(by=["hemi", "roi"]).fit(X, partly).areas_ == named
        assert model.set_params(by=None).fit(X, Y).areas_ == ["all"]
        each = model.set_params(by="unit").fit(X, Y)
        assert each.query_.shape == (12, 8) and each.attention(X).sizes["query"] == 12
        alone = model.set_params(by={"first": world.area == "area 0"}).fit(X, Y)
        assert alone.areas_ == ["first", "rest"]

    def test_tokens_that_do_not_count_are_not_read(self):
        world, model = small()
        X, Y = labelled_world(world)
        counted = np.random.default_rng(0).random((80, 64)) < 0.7
        X = X.assign_coords(attended=(("sample", "token"), counted))
        model.fit(X, Y)
        assert (model.attention(X).values[np.broadcast_to(~counted[:, None], (80, 3, 64))] == 0).all()
        noisy = X.copy(data=np.where(counted[:, :, None], X.values, 99.0).astype(np.float32))
        np.testing.assert_array_equal(model.predict(noisy).values, model.predict(X).values)
        with pytest.raises(DegenerateDataError, match="no token that counts"):
            model.predict(X.assign_coords(attended=(("sample", "token"), counted & (np.arange(80) != 4)[:, None])))


class TestAgain:
    def test_the_same_seed_gives_the_same_figures(self):
        world, model = small()
        model.set_params(by=areas(world))
        first = model.fit(world.tokens, world.responses).predict(world.tokens)
        state = torch.get_rng_state()
        second = clone(model).fit(world.tokens, world.responses).predict(world.tokens)
        np.testing.assert_array_equal(first, second)
        assert torch.equal(state, torch.get_rng_state())
        other = clone(model).set_params(random_state=4).fit(world.tokens, world.responses).predict(world.tokens)
        assert (first != other).any()
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(world.tokens), first)

    def test_a_fit_that_was_stopped_goes_on_to_the_same_weights(self, tmp_path, monkeypatch):
        from neurodecode.compute import training

        world, model = small(max_epochs=6)
        model.set_params(by=areas(world))
        whole = model.fit(world.tokens, world.responses).predict(world.tokens)
        path = tmp_path / "fit.pt"
        stopped = clone(model).set_params(training=Training(checkpoint=path))
        write, done = training._write, []

        def dies(*args):
            write(*args)
            done.append(1)
            if len(done) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(training, "_write", dies)
        with pytest.raises(KeyboardInterrupt):
            stopped.fit(world.tokens, world.responses)
        monkeypatch.setattr(training, "_write", write)
        again = clone(model).set_params(training=Training(checkpoint=path)).fit(world.tokens, world.responses)
        assert again.history_.resumed_at == 3 and len(again.history_.loss) == 6
        np.testing.assert_array_equal(again.predict(world.tokens), whole)
        with pytest.raises(ResumeError, match="other data or other settings"):
            clone(again).set_params(n_heads=2).fit(world.tokens, world.responses)
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(ResumeError, match="damaged"):
            clone(again).fit(world.tokens, world.responses)
        assert [one.name for one in tmp_path.iterdir()] == ["fit.pt"]

    def test_early_stopping_keeps_the_best_epoch(self):
        world, _ = small()
        settings = Training(patience=2, learning_rate=0.02, schedule="constant")
        model = RoutedEncoder(areas(world), width=8, max_epochs=60, training=settings, random_state=0)
        model.fit(world.tokens[:60], world.responses[:60])
        history = model.history_
        assert history.best_epoch == int(np.argmax(history.validation))
        assert len(history.loss) == min(60, history.best_epoch + 3)

    def test_tokens_on_a_disk_give_the_same_as_in_memory(self, tmp_path):
        world, model = small()
        model.set_params(by=areas(world))
        first = model.fit(world.tokens, world.responses).predict(world.tokens)
        np.save(tmp_path / "tokens.npy", world.tokens)
        mapped = np.load(tmp_path / "tokens.npy", mmap_mode="r")
        second = clone(model).fit(mapped, world.responses)
        np.testing.assert_allclose(second.predict(mapped), first, atol=1e-5)
        assert 0 <= second.history_.waiting_share <= 1
        zarr = pytest.importorskip("zarr")
        stored = zarr.create_array(str(tmp_path / "t.zarr"), shape=world.tokens.shape, chunks=(16, 64, 24), dtype="f4")
        stored[:] = world.tokens
        third = clone(model).fit(stored, world.responses)
        np.testing.assert_allclose(third.predict(stored), first, atol=1e-5)

    def test_folds_and_permutations_go_through_the_same_door(self):
        world, model = small()
        X, Y = labelled_world(world)
        with pytest.warns(NeurodecodeWarning, match="3 permutations"):
            result = cross_validate(model, X, Y, KFold(2), score="r", permutations=3, random_state=0)
        assert result["score"].sizes == {"unit": 12} and result["null"].shape == (3, 12)
        assert "RoutedEncoder" in result.attrs["estimator"]

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
    def test_cpu_and_gpu_agree(self, tmp_path):
        world, model = small()
        model.set_params(by=areas(world), training=Training(dropout=0.0))
        first = model.fit(world.tokens, world.responses).predict(world.tokens)
        second = (
            clone(model)
            .set_params(training=Training(dropout=0.0, device="cuda"))
            .fit(world.tokens, world.responses)
            .predict(world.tokens)
        )
        np.testing.assert_allclose(second, first, atol=1e-4)
        np.save(tmp_path / "tokens.npy", world.tokens)  # not held in memory: brought to one scale on the device
        mapped = np.load(tmp_path / "tokens.npy", mmap_mode="r")
        model.set_params(training=Training(dropout=0.0, device="cuda"))
        np.testing.assert_allclose(clone(model).fit(mapped, world.responses).predict(mapped), first, atol=1e-4)
