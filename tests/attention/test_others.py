"""Gaussian pools, factors, ensembles, sequences and people: what was planted is found, and only that."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from references.attention import normalised_accuracy, object_world

from neurodecode.attention import (
    EncoderEnsemble,
    FactorizedEncoder,
    GaussianFieldEncoder,
    RoutedEncoder,
    Routing,
    SpatialFeatureEncoder,
    Training,
    past,
    stack_people,
)
from neurodecode.compute.scores import pearson
from neurodecode.exceptions import AlignmentError, CapacityError, DegenerateDataError, NeurodecodeWarning, TimingError
from neurodecode.linear import Ridge
from neurodecode.representation import as_representation


def pooled_world(seed, side=16, n=600, n_train=450):
    """White maps, and three units that read them through a Gaussian each; signal as strong as noise."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(n, side * side, 12)).astype(np.float32)
    fields = np.array([[5.0, 9.0, 1.5], [11.0, 4.0, 2.5], [8.0, 8.0, 1.0]])
    row, col = np.divmod(np.arange(side * side), side)
    signal = np.empty((n, 3))
    pools = np.empty((3, side * side))
    for unit, (down, across, size) in enumerate(fields):
        pools[unit] = np.exp(-((row - down) ** 2 + (col - across) ** 2) / (2 * size**2))
        pools[unit] /= pools[unit].sum()
        signal[:, unit] = np.einsum("npd,p,d->n", maps, pools[unit], rng.normal(size=12))
    responses = signal / signal.std(0) + rng.normal(size=signal.shape)
    return maps, responses.astype(np.float32), fields, pools, n_train


class TestGaussianFields:
    @pytest.fixture(scope="class")
    def fitted(self):
        maps, responses, fields, pools, n = pooled_world(3)
        centres = np.stack(np.meshgrid(np.arange(4, 13.0), np.arange(2, 11.0), indexing="ij"), -1).reshape(-1, 2)
        model = GaussianFieldEncoder(centres, [1.0, 1.5, 2.5, 4.0], nonlinearity=None)
        return model.fit(maps[:n], responses[:n]), maps, responses, fields, pools, n

    def test_the_planted_pools_are_found(self, fitted):
        model, _, _, fields, *_ = fitted
        assert (np.abs(model.centre_ - fields[:, :2]) <= 1).all()
        sizes = np.array([1.0, 1.5, 2.5, 4.0])
        steps = [
            abs(np.argmin(abs(sizes - found)) - np.argmin(abs(sizes - true)))
            for found, true in zip(model.size_, fields[:, 2])
        ]
        assert max(steps) <= 1

    def test_it_predicts_as_well_as_the_true_pool_and_better_than_the_mean(self, fitted):
        model, maps, responses, _, pools, n = fitted
        r = pearson(responses[n:].astype(float), model.predict(maps[n:]).astype(float))
        for unit in range(3):
            true = np.einsum("npd,p->nd", maps, pools[unit])
            best, mean = (Ridge().fit(z[:n], responses[:n, unit]).predict(z[n:]) for z in (true, maps.mean(1)))
            assert r[unit] > np.corrcoef(best, responses[n:, unit])[0, 1] - 0.05
            assert r[unit] > np.corrcoef(mean, responses[n:, unit])[0, 1] + 0.25

    def test_degrees_are_from_the_middle_right_and_up(self, fitted):
        _, maps, responses, *_ = fitted
        wide = GaussianFieldEncoder([[0.0, 15.0], [7.5, 7.5]], [0.5], degrees=0.5)
        with pytest.warns(NeurodecodeWarning, match=r"upper edge.*for 33% of 3 targets"):  # no field is among these
            wide.fit(maps[:200], responses[:200])
        corner = (wide.centre_ == [0.0, 15.0]).all(axis=1)
        assert np.isin(wide.x_, [0.0, 3.75]).all() and np.isin(wide.y_, [0.0, 3.75]).all()
        np.testing.assert_array_equal(wide.x_ == 3.75, corner)
        assert (wide.size_ == 0.25).all()

    def test_degrees_are_a_step_from_token_to_token_in_whatever_units_places_are(self):
        maps, responses, *_ = pooled_world(0, side=4, n=80)
        responses = responses + 2 * maps[:, 5, :1]
        names = [f"s{number}" for number in range(80)]
        row, col = np.divmod(np.arange(16), 4)
        found = []
        for unit in (1.0, 8.0):  # places in tokens, and in pixels
            place = {"row": row * unit, "col": col * unit}
            X = as_representation(maps, stimulus=names, kind="network", dims=("sample", "token", "unit"), token=place)
            model = GaussianFieldEncoder(sizes=[0.5 * unit], nonlinearity=None, degrees=0.5)
            found.append(model.fit(X, responses))
        one, other = found
        for name in ("x_", "y_", "size_"):
            np.testing.assert_allclose(getattr(other, name), getattr(one, name))
        assert (one.x_ == -0.25).all() and (one.y_ == 0.25).all() and (other.centre_ == 8).all()
        torn = X.assign_coords(row=("token", row**2 * 1.0))
        with pytest.raises(AlignmentError, match="steps are 1 to 8"):
            GaussianFieldEncoder(sizes=[0.5], degrees=0.5).fit(torn, responses)

    def test_what_moves_has_no_field(self):
        world = object_world(2, True, n_units=5)
        n = world.n_train
        model = GaussianFieldEncoder(
            sizes=[1.0, 4.0], centres=[[2, 2], [2, 5], [5, 2], [5, 5], [3.5, 3.5]], nonlinearity=None
        )
        found = normalised_accuracy(world, model.fit(world.tokens[:n], world.responses[:n]).predict(world.tokens[n:]))
        assert found < 0.2

    def test_less_memory_is_kept_to_or_refused(self):
        maps, responses, *_ = pooled_world(0, side=4, n=80)
        responses = responses + 2 * maps[:, 5, :1]
        settings = {"sizes": [0.5, 1.0], "nonlinearity": None}
        whole = GaussianFieldEncoder(**settings).fit(maps, responses)
        less = GaussianFieldEncoder(**settings, max_memory="128 MiB").fit(maps, responses)
        np.testing.assert_allclose(less.predict(maps), whole.predict(maps), atol=1e-5)
        with pytest.raises(CapacityError, match=r"80 samples x 16 tokens x 12 features.*max_memory is 1\.0 MiB.*fewer"):
            GaussianFieldEncoder(**settings, max_memory="1 MiB").fit(maps, responses)

    def test_bad_inputs(self):
        maps, responses, *_ = pooled_world(0, side=4, n=40)
        with pytest.raises(AlignmentError, match="along a line"):
            GaussianFieldEncoder().fit(maps[:, :7], responses)
        for settings, said in (
            ({"sizes": [0.0]}, "sizes"),
            ({"centres": [[1.0, 2.0, 3.0]]}, "row and column"),
            ({"nonlinearity": "relu"}, "nonlinearity='relu'"),
            ({"degrees": -1.0}, "degrees=-1"),
        ):
            with pytest.raises(ValueError, match=said):
                GaussianFieldEncoder(**settings).fit(maps, responses)
        model = GaussianFieldEncoder(sizes=[1.0]).fit(maps, responses)
        with pytest.raises(AlignmentError, match="other places"):
            model.predict(maps[:, :9])


class TestStatic:
    @pytest.mark.parametrize("by", [None, "unit"])
    def test_a_planted_place_is_found(self, by):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(300, 25, 4)).astype(np.float32)
        Y = X[:, 7] @ rng.normal(size=(4, 3)) + 0.3 * rng.normal(size=(300, 3))
        model = SpatialFeatureEncoder(by, max_epochs=40, random_state=1).fit(X, Y)
        assert (model.map_.argmax("token") == 7).all()
        np.testing.assert_allclose(model.map_.sum("token"), 1.0, atol=1e-6)
        noise = SpatialFeatureEncoder(by, max_epochs=40, random_state=1).fit(X, rng.normal(size=(300, 3)))
        assert float(noise.map_.max()) < 0.5

    def test_factors_read_a_difference_that_a_softmax_cannot(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(400, 16, 6)).astype(np.float32)
        Y = (X[:, 3] - X[:, 12]) @ rng.normal(size=(6, 5)) + 0.3 * rng.normal(size=(400, 5))
        new = rng.normal(size=(200, 16, 6)).astype(np.float32)
        settings = {"by": None, "max_epochs": 60, "random_state": 2}
        found, short, static = (
            pearson(
                (new[:, 3] - new[:, 12]) @ np.linalg.lstsq(X[:, 3] - X[:, 12], Y, rcond=None)[0],
                model.fit(X, Y).predict(new),
            ).mean()
            for model in (
                FactorizedEncoder(6, **settings),
                FactorizedEncoder(1, **settings),
                SpatialFeatureEncoder(**settings),
            )
        )
        assert found > 0.9
        assert short < found - 0.2 and static < found - 0.2

    def test_a_rank_below_one_is_refused(self):
        with pytest.raises(ValueError, match="rank=0"):
            FactorizedEncoder(0, by=None).fit(np.ones((20, 4, 2)), np.random.default_rng(0).normal(size=(20, 2)))


class TestEnsemble:
    def test_weights_sum_to_one_and_prefer_the_layer_that_predicts(self):
        rng = np.random.default_rng(1)
        good, bad = (rng.normal(size=(200, 9, 4)).astype(np.float32) for _ in range(2))
        Y = good[:, 4] @ rng.normal(size=(4, 3)) + 0.5 * rng.normal(size=(200, 3))
        names = [f"s{number}" for number in range(200)]
        both = as_representation(
            np.concatenate([bad, good], axis=2), stimulus=names, kind="network", dims=("sample", "token", "unit"),
            unit={"layer": ["early"] * 4 + ["late"] * 4},
        )  # fmt: skip
        single = SpatialFeatureEncoder(None, max_epochs=60)
        model = EncoderEnsemble(single, 2, by="layer", random_state=0).fit(both, Y)
        np.testing.assert_allclose(model.weights_.sum("layer"), 1.0, atol=1e-12)
        assert (model.weights_.sel(layer="late") > 0.9).all()
        assert [len(members) for members in model.members_.values()] == [2, 2]
        mean = np.mean([one.predict(both.isel(unit=slice(4, 8))) for one in model.members_["late"]], axis=0)
        late = model.weights_.sel(layer="late").values
        early = np.mean([one.predict(both.isel(unit=slice(0, 4))) for one in model.members_["early"]], axis=0)
        np.testing.assert_allclose(model.predict(both), late * mean + (1 - late) * early, atol=1e-6)
        seeds = [[one.random_state for one in members] for members in model.members_.values()]
        assert seeds[0] == seeds[1] and seeds[0][0] != seeds[0][1]
        alike = EncoderEnsemble(single, 1, by="layer", temperature=0.0, random_state=0).fit(both, Y)
        np.testing.assert_allclose(alike.weights_, 0.5)

    @pytest.fixture(scope="class")
    def layered(self):
        """Units that each read one place of one layer; two layers, two members, a routed and a static ensemble."""
        rng = np.random.default_rng(3)
        early, late = (rng.normal(size=(260, 9, 4)).astype(np.float32) for _ in range(2))
        Y = np.concatenate([early[:, 2] @ rng.normal(size=(4, 3)), late[:, 6] @ rng.normal(size=(4, 3))], axis=1)
        names = [f"s{number}" for number in range(260)]
        X = as_representation(
            np.concatenate([early, late], axis=2), stimulus=names, kind="network", dims=("sample", "token", "unit"),
            unit={"layer": ["early"] * 4 + ["late"] * 4},
        )  # fmt: skip
        areas = {"a": np.arange(6) < 3, "b": np.arange(6) >= 3}
        single = SpatialFeatureEncoder(areas, max_epochs=60)
        return X, Y, single, EncoderEnsemble(single, 2, by="layer", random_state=0).fit(X[:200], Y[:200])

    def test_it_looks_where_the_layers_of_an_area_look(self, layered):
        X, _, _, model = layered
        weights, each = model.attention(X[:5]), model.attention(X[:5], per_layer=True)
        assert weights.dims == ("sample", "query", "token") and list(weights["query"].values) == ["a", "b"]
        assert weights["stimulus"].values.tolist() == X["stimulus"].values[:5].tolist()
        np.testing.assert_allclose(weights.sum("token"), 1.0, atol=1e-5)
        assert (weights.argmax("token") == [2, 6]).all()
        assert each.dims == ("layer", "sample", "query", "token")
        members = [one.attention(X[:5, :, :4]).values for one in model.members_["early"]]
        np.testing.assert_allclose(each.sel(layer="early"), np.mean(members, axis=0), atol=1e-6)
        share = np.stack([model.weights_.values[:, :3].mean(1), model.weights_.values[:, 3:].mean(1)], axis=1)
        by_hand = (each.values * share[:, None, :, None]).sum(0)
        np.testing.assert_allclose(weights, by_hand, atol=1e-6)

    def test_what_it_looks_at_is_what_it_needs(self, layered):
        X, Y, _, model = layered
        found = model.token_importance(X[200:], Y[200:], share=1 / 9)
        assert (found["r"] > 0.95).all() and (found["drop"] > 0.8).all()
        assert (found["drop_random"] < found["drop"] / 2).all()

    def test_one_member_says_what_it_says_alone(self, layered):
        X, Y, single, _ = layered
        one = EncoderEnsemble(single, 1, random_state=4).fit(X[:200], Y[:200])
        (member,) = one.members_["all"]
        np.testing.assert_array_equal(one.attention(X[200:]), member.attention(X[200:]))
        alone, found = (model.token_importance(X[200:], Y[200:], share=1 / 9) for model in (member, one))
        for name in alone:
            np.testing.assert_allclose(found[name], alone[name], atol=1e-6)
        assert one.areas_ == ["a", "b"] and len(one.degenerate_) == 0

    def test_constant_units_are_listed_and_empty_areas_are_nan_with_a_reason(self, layered):
        X, Y, *_ = layered
        constant = Y.copy()
        constant[:, 4] = 2.5
        areas = {"a": np.arange(6) < 6, "nobody": np.zeros(6, dtype=bool)}
        few = SpatialFeatureEncoder(areas, max_epochs=1)
        with pytest.warns(NeurodecodeWarning, match="nobody"):
            model = EncoderEnsemble(few, 2, by="layer", random_state=0).fit(X, constant)
        assert model.degenerate_.tolist() == [4] and (model.predict(X)[:, 4] == 2.5).all()
        weights, lost = model.attention(X[:5]), model.token_importance(X, constant)
        assert np.isnan(weights.sel(query="nobody")).all() and np.isfinite(weights.sel(query="a")).all()
        assert np.isnan(lost["drop"].sel(query="nobody")) and np.isfinite(lost["r"].sel(query="a"))
        assert "nobody" in weights.attrs["reason"] and "nobody" in lost.attrs["reason"]

    def test_many_members_predict_in_the_memory_of_few(self):
        rng = np.random.default_rng(0)
        X, Y = rng.normal(size=(200, 4, 2)).astype(np.float32), rng.normal(size=(200, 1500)).astype(np.float32)
        peaks = []
        for n_members in (2, 10):
            model = EncoderEnsemble(SpatialFeatureEncoder(None, 1), n_members, random_state=0).fit(X, Y)
            tracemalloc.start()
            found = model.predict(X)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            each = np.mean([one.predict(X) for one in model.members_["all"]], axis=0)
            np.testing.assert_allclose(found, each, atol=1e-6)
        assert peaks[1] < 1.2 * peaks[0]

    def test_a_unit_that_one_member_never_saw_is_that_of_the_others(self):
        rng = np.random.default_rng(0)
        X, Y = rng.normal(size=(60, 4, 2)).astype(np.float32), rng.normal(size=(60, 4))
        model = EncoderEnsemble(SpatialFeatureEncoder(None, 1), 3, random_state=0)
        held = [set(one.held_back_) for one in model.fit(X, Y).members_["all"]]
        row = min(held[0] - held[1] - held[2])
        seen = np.ones(Y.shape, dtype=bool)
        seen[:, 2:] = False
        seen[row, 2] = True  # measured once, in a sample that the first member holds back; the last one never
        model.fit(X, np.where(seen, Y, np.nan), seen=seen)
        each = np.stack([one.predict(X) for one in model.members_["all"]])
        assert np.isnan(each[0, :, 2]).all() and np.isfinite(each[1:, :, 2]).all()
        found = model.predict(X)
        np.testing.assert_allclose(found[:, 2], each[1:, :, 2].mean(0), atol=1e-6)
        np.testing.assert_allclose(found[:, :2], each[:, :, :2].mean(0), atol=1e-6)
        assert np.isnan(found[:, 3]).all()

    def test_layers_cannot_be_weighed_without_held_back_samples(self):
        X = as_representation(
            np.random.default_rng(0).normal(size=(20, 4, 2)), stimulus=[str(n) for n in range(20)], kind="network",
            dims=("sample", "token", "unit"), unit={"layer": ["a", "b"]},
        )  # fmt: skip
        Y = np.random.default_rng(1).normal(size=(20, 2))
        single = SpatialFeatureEncoder(None, max_epochs=1, training=Training(validation=0))
        with pytest.raises(DegenerateDataError, match="nothing is held back"):
            EncoderEnsemble(single, 1, by="layer").fit(X, Y)
        with pytest.raises(AlignmentError, match="'depth'"):
            EncoderEnsemble(single, 1, by="depth").fit(X, Y)
        with pytest.raises(ValueError, match="n_members=0"):
            EncoderEnsemble(single, 0).fit(X, Y)


class TestSequences:
    def test_the_lag_that_an_area_reads_is_found(self):
        rng = np.random.default_rng(0)
        n, tr = 400, 2.0
        run = np.repeat([1, 2], n // 2)
        X = as_representation(
            rng.normal(size=(n, 4)), stimulus=[f"s{number}" for number in range(n)], kind="features",
            sample={"run": run}, attrs={"tr": tr},
        )  # fmt: skip
        tokens = past(X, [0, 2, 4, 6, 8])
        weights = rng.normal(size=(4, 6))
        late = np.repeat([4.0, 8.0], 3)
        Y = np.empty((n, 6))
        for unit, lag in enumerate(late):
            Y[:, unit] = tokens.sel(token=tokens["lag"] == lag).values[:, 0] @ weights[:, unit]
        target = as_representation(
            Y + 0.3 * rng.normal(size=Y.shape), stimulus=X["stimulus"].values, kind="fmri",
            unit={"roi": np.repeat(["early", "late"], 3)}, sample={"run": run},
        )  # fmt: skip
        model = RoutedEncoder(width=16, max_epochs=60, training=Training(batch_size=16), random_state=0)
        model.fit(tokens, target)
        mean = model.attention(tokens).mean("sample")
        found = mean["lag"].values[mean.argmax("token").values]
        assert dict(zip(model.areas_, found)) == {"early": 4.0, "late": 8.0}

    def test_runs_do_not_leak_and_lags_fit_the_sampling(self):
        X = as_representation(
            np.arange(1.0, 7.0)[:, None], stimulus=list("abcdef"), kind="features", sample={"run": [1, 1, 1, 2, 2, 2]},
            attrs={"tr": 2.0},
        )  # fmt: skip
        found = past(X, [0, 2])
        assert found.values[:, 1, 0].tolist() == [0, 1, 2, 0, 4, 5]
        assert found["lag"].values.tolist() == [0, 2] and found.dims == ("sample", "token", "unit")
        with pytest.raises(TimingError, match="3"):
            past(X, [0, 3])
        np.testing.assert_array_equal(past(X, 2), found[:, 1:])
        X.attrs = {"sfreq": 0.5}
        np.testing.assert_array_equal(past(X, [0, 2]), found)
        X.attrs = {}
        with pytest.raises(TimingError, match="past needs the time between samples"):
            past(X, [0, 2])

    def frames(self, n=300):
        """Frames of 2 x 3 places in two runs, an image every two seconds."""
        rng = np.random.default_rng(7)
        return as_representation(
            rng.normal(size=(n, 6, 6)), stimulus=[f"frame {number}" for number in range(n)], kind="network",
            dims=("sample", "token", "unit"), sample={"run": np.repeat([1, 2], n // 2)},
            token={"row": np.repeat([0, 1], 3), "col": np.tile([0, 1, 2], 2)}, unit={"layer": list("aabbcc")},
            attrs={"tr": 2.0},
        )  # fmt: skip

    def test_frames_with_places_are_tokens_at_every_lag(self):
        X = self.frames(8)
        seen = np.random.default_rng(0).random((8, 6)) < 0.5
        found = past(X.assign_coords(attended=(("sample", "token"), seen)), [0, 4])
        assert dict(found.sizes) == {"sample": 8, "token": 12, "unit": 6}
        assert found["lag"].values.tolist() == [0] * 6 + [4] * 6
        assert found["row"].values.tolist() == [0, 0, 0, 1, 1, 1] * 2
        assert found["layer"].values.tolist() == list("aabbcc")
        assert found.dtype == X.dtype and found.attrs["tr"] == 2.0 and set(found.coords) >= set(X.coords)
        for sample in range(8):
            within = sample % 4 >= 2  # two frames back lie in the same run
            np.testing.assert_array_equal(found[sample, :6], X[sample])
            np.testing.assert_array_equal(found[sample, 6:], X[sample - 2] if within else np.zeros((6, 6)))
            assert found["attended"].values[sample, :6].tolist() == seen[sample].tolist()
            assert found["attended"].values[sample, 6:].tolist() == (
                seen[sample - 2].tolist() if within else [True] * 6
            )

    def test_the_place_and_the_lag_that_an_area_reads_are_found(self):
        X = self.frames()
        tokens, rng = past(X, [0, 2, 4]), np.random.default_rng(8)
        planted = {"near": (0, 2, 2.0), "far": (1, 0, 4.0)}
        Y = []
        for row, col, lag in planted.values():
            at = (tokens["row"] == row) & (tokens["col"] == col) & (tokens["lag"] == lag)
            Y.append(tokens.values[:, np.flatnonzero(at.values)[0]] @ rng.normal(size=(6, 4)))
        target = as_representation(
            np.concatenate(Y, 1) + 0.2 * rng.normal(size=(300, 8)), stimulus=X["stimulus"].values, kind="fmri",
            unit={"roi": ["near"] * 4 + ["far"] * 4}, sample={"run": X["run"].values},
        )  # fmt: skip
        training = Training(learning_rate=1e-2, batch_size=16, dropout=0.0)
        model = RoutedEncoder(width=16, max_epochs=60, training=training, random_state=0)
        mean = model.fit(tokens, target).attention(tokens).mean("sample")
        best = mean.argmax("token").values
        places = {name: tuple(float(mean[axis][at]) for axis in ("row", "col", "lag")) for name, at in
                  zip(model.areas_, best)}  # fmt: skip
        assert places == planted
        order = rng.permutation(18)
        fixed = RoutedEncoder(width=16, max_epochs=2, routing=Routing(positions="sine"), random_state=0)
        for one in (model, fixed.fit(tokens, target)):
            np.testing.assert_allclose(one.predict(tokens[:, order]), one.predict(tokens), atol=1e-5)
            late = tokens.assign_coords(lag=("token", np.roll(tokens["lag"].values, 6)))
            assert np.abs(one.predict(late) - one.predict(tokens)).max() > 1e-4  # places are lags too
        static = SpatialFeatureEncoder(max_epochs=1, random_state=0).fit(tokens, target).map_
        assert {"row", "col", "lag"} <= set(static.coords)


class TestPeople:
    def person(self, world, rows, seed):
        rng = np.random.default_rng(seed)
        names = [f"picture {number}" for number in rows]
        X = as_representation(world.tokens[rows], stimulus=names, kind="network", dims=("sample", "token", "unit"))
        mixing = np.abs(rng.normal(size=(3, 8))) * np.repeat(np.eye(3), 4, axis=1)[:, :8]
        base = world.responses[rows][:, ::4][:, :3]
        Y = base @ mixing + 0.3 * rng.normal(size=(len(rows), 8))
        roi = np.repeat(["area 0", "area 1"], 4)
        return X, as_representation(Y, stimulus=names, kind="fmri", unit={"roi": roi})

    def test_people_who_saw_other_pictures_share_a_trunk(self):
        world = object_world(4, True, n_train=500, n_test=0, n_areas=3, n_units=4, snr=3.0)
        one, two, new = (
            self.person(world, rows, seed)
            for seed, rows in enumerate((np.arange(0, 260), np.arange(200, 440), np.arange(440, 500)))
        )
        X, Y, seen = stack_people({"one": one, "two": two})
        assert X.sizes["sample"] == 440 and Y.shape == (440, 16)
        assert int(seen.sum()) == 8 * 260 + 8 * 240
        np.testing.assert_array_equal(np.isfinite(Y), seen)
        model = RoutedEncoder(["subject", "roi"], max_epochs=60, random_state=0).fit(X, Y, seen=seen)
        assert model.areas_ == ["one area 0", "one area 1", "two area 0", "two area 1"]
        held = self.person(world, np.arange(440, 500), 0)
        r = pearson(held[1].values, model.predict(held[0]).values[:, :8].astype(float))
        assert r.mean() > 0.4
        added = RoutedEncoder(
            "roi", routing=Routing(trunk=model), training=Training(batch_size=8), max_epochs=60, random_state=0
        ).fit(*new)
        for name, value in model.router_.state_dict().items():
            same = np.array_equal(value, added.router_.state_dict()[name])
            assert same == (name != "query"), name
        with pytest.raises(ValueError, match="another width"):
            RoutedEncoder("roi", width=8, routing=Routing(trunk=model)).fit(*new)

    def test_the_same_picture_must_have_the_same_tokens(self):
        world = object_world(4, True, n_train=20, n_test=0, n_areas=3, n_units=4)
        one = self.person(world, np.arange(10), 0)
        two = self.person(world, np.arange(10), 1)
        other = two[0].copy(data=two[0].values + 1), two[1]
        with pytest.raises(AlignmentError, match=r"picture 0.*other tokens"):
            stack_people({"one": one, "two": other})
        twice = (one[0].isel(sample=[0, 0]), one[1].isel(sample=[0, 0]))
        with pytest.raises(AlignmentError, match="repeats"):
            stack_people({"one": twice})
        with pytest.raises(ValueError, match="no person"):
            stack_people({})

    def test_targets_that_were_not_measured_do_not_count(self):
        world = object_world(5, True, n_train=80, n_test=0, n_areas=3, n_units=4)
        seen = np.random.default_rng(0).random(world.responses.shape) < 0.8
        masks = {"all": np.ones(12, bool)}
        few = {"width": 8, "max_epochs": 2, "random_state": 0}
        first = RoutedEncoder(masks, **few).fit(world.tokens, np.where(seen, world.responses, np.nan), seen=seen)
        second = RoutedEncoder(masks, **few).fit(world.tokens, np.where(seen, world.responses, 1e6), seen=seen)
        np.testing.assert_array_equal(first.predict(world.tokens), second.predict(world.tokens))
        with pytest.raises(AlignmentError, match="seen has the shape"):
            RoutedEncoder(masks, **few).fit(world.tokens, world.responses, seen=seen[:5])
