"""One door for all encoders of token maps: what is refused, what is carried through, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest

from neurodecode.attention import (
    EncoderEnsemble,
    FactorizedEncoder,
    GaussianFieldEncoder,
    RoutedEncoder,
    Routing,
    SpatialFeatureEncoder,
    Training,
    stack_people,
)
from neurodecode.attention.tokens import Tokens
from neurodecode.exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning, ResumeError
from neurodecode.representation import as_representation, load, save

# Responses here have no noise, or are nothing else: the best penalty is the least, or the largest, of any grid.
pytestmark = pytest.mark.filterwarnings("ignore:The best penalty stands:neurodecode.exceptions.NeurodecodeWarning")
ENCODERS = {
    "routed": lambda: RoutedEncoder(None, 8, max_epochs=2, random_state=0),
    "spatial": lambda: SpatialFeatureEncoder(None, max_epochs=2, random_state=0),
    "factorised": lambda: FactorizedEncoder(2, None, max_epochs=2, random_state=0),
    "gaussian": lambda: GaussianFieldEncoder(sizes=[0.5, 2.0], nonlinearity=None),
}
FITTED_BY_STEPS = ("routed", "spatial", "factorised")
N, P, D, T = 50, 9, 4, 3


def world(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, P, D)).astype(np.float32)
    return X, X[:, 4] @ rng.normal(size=(D, T))


def tokens(X, names=None, kind="network", **labels):
    names = [f"s{number}" for number in range(len(X))] if names is None else names
    if X.shape[1] == P:
        labels = {"token": {"row": np.repeat(range(3), 3), "col": np.tile(range(3), 3)}, **labels}
    return as_representation(X, stimulus=names, kind=kind, dims=("sample", "token", "unit"), **labels)


def responses(Y, names=None, kind="fmri", **labels):
    names = [f"s{number}" for number in range(len(Y))] if names is None else names
    return as_representation(Y, stimulus=names, kind=kind, **labels)


@pytest.fixture(params=list(ENCODERS))
def encoder(request):
    return ENCODERS[request.param]()


@pytest.fixture(params=FITTED_BY_STEPS)
def stepped(request):
    return ENCODERS[request.param]()


class TestValues:
    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_values_that_are_not_finite_are_refused_and_named(self, encoder, bad):
        X, Y = world()
        hole, gap = X.copy(), Y.copy()
        hole[7, 2, 1], gap[7, 1] = bad, bad
        with pytest.raises(DegenerateDataError, match=r"(?<!np\.str_\()'s7'"):
            encoder.fit(tokens(hole), responses(Y))
        with pytest.raises(DegenerateDataError, match="Y"):
            encoder.fit(X, gap)
        encoder.fit(tokens(X), responses(Y))
        with pytest.raises(DegenerateDataError, match=r"(?<!np\.str_\()'s7'"):
            encoder.predict(tokens(hole))

    def test_constant_and_masked_units_are_listed_and_do_not_touch_the_others(self, encoder):
        X, Y = world()
        full = encoder.fit(tokens(X), responses(Y)).predict(X)
        changed = np.column_stack([Y, np.full(N, 7.5), np.full(N, np.nan)])
        with_both = encoder.fit(tokens(X), responses(changed, nan_policy="drop_targets"))
        found = with_both.predict(X)
        assert with_both.degenerate_.tolist() == [3]
        assert (found[:, 3] == 7.5).all() and np.isnan(found[:, 4]).all()
        assert np.isfinite(found[:, :3]).all() and np.isfinite(full).all()
        if isinstance(encoder, GaussianFieldEncoder):
            np.testing.assert_allclose(found[:, :3], full, atol=1e-6)
            for said in (with_both.centre_, with_both.size_, with_both.x_, with_both.alpha_, with_both.best_score_):
                assert np.isnan(said[3:]).all() and np.isfinite(said[:3]).all()

    @pytest.mark.parametrize(("scale", "offset"), [(1e6, 0.0), (1e-12, 0.0), (1e-25, 0.0), (0.01, 1e6)])
    def test_units_and_offsets_of_the_targets_do_not_matter(self, encoder, scale, offset):
        X, Y = world()
        plain = encoder.fit(X, Y).predict(X)
        other = encoder.fit(X, Y * scale + offset).predict(X)
        np.testing.assert_allclose((other - offset) / scale, plain, atol=0.02 * Y.std())

    def test_units_and_offsets_of_the_features_do_not_matter(self, encoder):
        X, Y = world()
        wide = X.astype(float)
        plain = encoder.fit(wide, Y).predict(wide)
        scaled = wide * [1.0, 1e6, 1e-3, 1.0]
        np.testing.assert_allclose(encoder.fit(scaled, Y).predict(scaled), plain, atol=2e-3)
        moved = wide * 0.01 + 1e6  # what single precision has no digits for
        np.testing.assert_allclose(encoder.fit(moved, Y).predict(moved), plain, atol=2e-3)

    def test_kinds_of_numbers_and_layouts_do_not_matter(self, encoder):
        X, Y = world()
        whole = np.round(X * 10)
        expected = encoder.fit(whole, Y).predict(whole)
        for other in (
            whole.astype(np.int64), whole.astype(np.int8), whole.astype(np.float16), whole.astype(">f8"),
            np.asfortranarray(whole), np.repeat(whole, 2, axis=0)[::2],
        ):  # fmt: skip
            np.testing.assert_allclose(encoder.fit(other, Y).predict(other), expected, atol=1e-4)

    def test_tokens_and_targets_that_stay_in_a_store(self, encoder, tmp_path):
        X, Y = world()
        expected = encoder.fit(tokens(X), responses(Y)).predict(tokens(X)).values
        lazy = load(save(tokens(X), tmp_path / "x.zarr"), lazy=True)
        found = encoder.fit(lazy, responses(Y)).predict(lazy)
        np.testing.assert_allclose(found.values, expected, atol=1e-4)
        assert not Tokens(lazy).in_memory and not lazy.variable._in_memory
        pytest.importorskip("dask")
        chunks = {"sample": 7}
        found = encoder.fit(tokens(X).chunk(chunks), responses(Y).chunk(chunks)).predict(tokens(X).chunk(chunks))
        np.testing.assert_allclose(found.values, expected, atol=1e-4)

    def test_nothing_to_fit(self, encoder):
        X, Y = world()
        for x, y in ((X[:1], Y[:1]), (X, Y[:, :0]), (X[:, :, :0], Y), (X[:, :0], Y)):
            with pytest.raises(DegenerateDataError):
                encoder.fit(x, y)


class TestLabels:
    def test_other_features_samples_and_places_are_refused(self, encoder):
        X, Y = world()
        layers = {"layer": list("abcd")}
        place = {"row": np.repeat(range(3), 3), "col": np.tile(range(3), 3)}
        known = tokens(X, unit=layers, token=place)
        with pytest.raises(AlignmentError, match="another order"):
            encoder.fit(known, responses(Y)[::-1])
        encoder.fit(known, responses(Y))
        with pytest.raises(AlignmentError, match="layer"):
            encoder.predict(tokens(X, unit={"layer": list("abdc")}, token=place))
        with pytest.raises(AlignmentError, match="4 were seen"):
            encoder.predict(X[:, :, :3])
        with pytest.raises(AlignmentError, match="places"):
            encoder.predict(X[:, :4])
        with pytest.raises(AlignmentError, match="3 of 9 tokens have a place that is not a number"):
            encoder.fit(known.assign_coords(row=("token", [0, 1, 2] * 2 + [np.nan] * 3)), responses(Y))
        order = np.random.default_rng(1).permutation(P)
        np.testing.assert_allclose(encoder.predict(known[:, order]), encoder.predict(known), atol=1e-5)

    def test_tokens_at_one_place_cannot_be_reordered(self, stepped):
        X, Y = world()
        place = {"row": np.arange(8) // 2 % 2, "col": np.arange(8) % 2}
        twice = tokens(X[:, :8], token=place)
        stepped.fit(twice, responses(Y)).predict(twice)
        with pytest.raises(AlignmentError, match="8 tokens lie at 4 places"):
            stepped.predict(twice[:, ::-1])
        one = tokens(np.concatenate([X[:, :8]], axis=1), token=place | {"picture": np.arange(8) // 4})
        stepped.set_params(within="picture").fit(one, responses(Y))
        np.testing.assert_allclose(stepped.predict(one[:, ::-1]), stepped.predict(one), atol=1e-5)

    def test_tokens_that_do_not_count_are_not_read(self, encoder):
        X, Y = world()
        counted = np.random.default_rng(0).random((N, P)) < 0.7
        counted[:, 4] = True
        marked = tokens(X).assign_coords(attended=(("sample", "token"), counted))
        encoder.fit(marked, responses(Y))
        loud = marked.copy(data=np.where(counted[..., None], X, 99.0).astype(np.float32))
        np.testing.assert_array_equal(encoder.predict(loud), encoder.predict(marked))
        assert (encoder.predict(loud.drop_vars("attended")) != encoder.predict(marked)).any()

    def test_repeats_of_a_stimulus_do_not_choose_for_each_other(self):
        rng = np.random.default_rng(0)
        which = rng.permutation(np.repeat(np.arange(16), 4))
        names = [f"s{number}" for number in which]
        X = tokens(rng.normal(size=(16, P, 8)).astype(np.float32)[which], names)
        Y = responses(rng.normal(size=(16, 20))[which], names)
        model = GaussianFieldEncoder([[1, 1]], [0.3], [1e-3, 1.0], nonlinearity=None)
        assert np.median(model.fit(X, Y).best_score_) < 0.1
        assert np.median(model.fit(X.values, Y.values).best_score_) > 0.3  # what tearing them apart would say

    def test_a_group_that_is_named_is_never_torn_apart(self):
        X, Y = world()
        run = {"run": np.arange(N) // 5}
        shown, target = tokens(X, sample=run), responses(Y, sample=run)
        model = ENCODERS["routed"]().set_params(training=Training(validation_by="run", validation=0.2))
        held = model.fit(shown, target).held_back_
        assert len(held) == 10 and set(np.bincount(held // 5)) == {0, 5}
        with pytest.raises(AlignmentError, match="validation_by='run': the samples of X have no coordinates"):
            model.fit(X, Y)
        assert ENCODERS["routed"]().fit(X, Y).n_held_back_ == 5  # the default is for those that have it

    def test_few_repeats_leave_enough_to_choose_the_epoch(self):
        X, Y = world()
        names = [f"s{number}" for number in range(20)] + ["s0"]
        model = ENCODERS["routed"]().fit(tokens(X[:21], names), responses(Y[:21], names))
        assert model.n_held_back_ in (3, 4)

    @pytest.mark.parametrize("kind", ["eeg", "fmri", "network"])
    @pytest.mark.parametrize("source", ["picture", "sentence", "sound"])
    def test_what_is_predicted_and_from_what_is_nothing_special(self, kind, source):
        X, Y = world()
        places = {
            "picture": {"row": np.repeat(range(3), 3), "col": np.tile(range(3), 3)},
            "sentence": {"position": np.arange(P), "word": list("abcdefghi")},
            "sound": {"lag": np.arange(P) * 0.5},
        }[source]
        coords = {
            "eeg": {"channel": ["Cz", "Pz", "Oz"]}, "fmri": {"roi": ["V1", "V1", "FFA"], "i": [0, 1, 2]},
            "network": {"layer": ["a", "a", "b"]},
        }[kind]  # fmt: skip
        by = {"eeg": "unit", "fmri": "roi", "network": "layer"}[kind]
        shown = tokens(X, token=places)
        model = RoutedEncoder(by, 8, max_epochs=2, random_state=0).fit(shown, responses(Y, kind=kind, unit=coords))
        found = model.predict(shown)
        assert set(coords) <= set(found.coords) and set(places) <= set(model.attention(shown).coords)
        static = SpatialFeatureEncoder(by, max_epochs=120, random_state=0)
        static.fit(shown, responses(Y, kind=kind, unit=coords))
        assert (static.map_.argmax("token") == 4).all()
        assert set(static.map_.coords) == {"query", *(set(places) - {"word"})}
        assert all(type(name) is str for name in model.areas_)
        if kind == "eeg":
            assert model.areas_ == ["Cz", "Pz", "Oz"]


class TestGaussian:
    def test_one_penalty_still_chooses_a_pool(self):
        X, Y = world()
        model = GaussianFieldEncoder(sizes=[0.3, 2.0], alphas=[1.0], nonlinearity=None).fit(X, Y)
        assert (model.centre_ == 1).all() and (model.size_ == 0.3).all() and (model.best_score_ > 0.9).all()
        several = GaussianFieldEncoder(sizes=[0.3, 2.0], alphas=[1.0, 1e12], nonlinearity=None).fit(X, Y)
        np.testing.assert_allclose(model.best_score_, several.best_score_, atol=1e-5)
        with pytest.raises(ValueError, match="cv='loo'"):
            GaussianFieldEncoder(alphas=[1.0], cv="loo").fit(X, Y)

    def test_splitters_see_the_labels(self):
        from neurodecode.evaluation import SplitBy

        X, Y = world()
        run = {"run": np.arange(N) // 10}
        model = GaussianFieldEncoder(sizes=[0.3], cv=SplitBy("run"), nonlinearity=None)
        model.fit(tokens(X, sample=run), responses(Y, sample=run))
        fifths = GaussianFieldEncoder(sizes=[0.3], cv=5, nonlinearity=None).fit(X, Y)
        np.testing.assert_allclose(model.best_score_, fifths.best_score_)
        with pytest.raises(DegenerateDataError, match="cv=80"):
            GaussianFieldEncoder(cv=80).fit(X, Y)

    def test_labelled_tokens_say_where_they_lie(self):
        X, Y = world()
        shown, model = tokens(X), GaussianFieldEncoder(sizes=[0.5], nonlinearity=None)
        named = model.fit(shown, responses(Y)).centre_
        np.testing.assert_array_equal(named, model.fit(X, Y).centre_)  # a plain array: a square map, row after row
        bare = shown.drop_vars(["row", "col"])
        with pytest.raises(AlignmentError, match="the tokens of X have no coordinates; a Gaussian pool needs 'row'"):
            model.fit(bare, responses(Y))
        with pytest.raises(AlignmentError, match=r"\['word'\]; a Gaussian pool needs"):
            model.fit(bare.assign_coords(word=("token", list("abcdefghi"))), responses(Y))
        with pytest.raises(AlignmentError, match="along row, col, lag"):
            model.fit(shown.assign_coords(lag=("token", np.zeros(P))), responses(Y))

    def test_a_pool_without_a_token_that_counts_is_an_error(self):
        X, Y = world()
        counted = np.ones((N, P), dtype=bool)
        counted[5, 4] = False
        marked = tokens(X).assign_coords(attended=(("sample", "token"), counted))
        with pytest.raises(DegenerateDataError, match="sample 5"):
            GaussianFieldEncoder([[1.0, 1.0]], [0.01]).fit(marked, responses(Y))


class TestMeasured:
    def test_a_unit_that_was_never_measured_is_nan(self, stepped):
        X, Y = world()
        seen = np.ones((N, T), dtype=bool)
        seen[:, 1] = False
        found = stepped.fit(X, np.where(seen, Y, np.nan), seen=seen).predict(X)
        assert np.isnan(found[:, 1]).all() and np.isfinite(found[:, [0, 2]]).all()
        assert 1 not in stepped.degenerate_

    def test_what_was_measured_is_met_by_label(self, stepped):
        X, Y = world()
        seen = responses(np.ones((N, T)), unit={"voxel": list("abc")}).astype(bool)
        target = responses(Y, unit={"voxel": list("abc")})
        stepped.fit(tokens(X), target, seen=seen)
        with pytest.raises(AlignmentError, match="another order"):
            stepped.fit(tokens(X), target, seen=seen[::-1])
        with pytest.raises(AlignmentError, match="voxel"):
            stepped.fit(tokens(X), target, seen=seen[:, ::-1])

    def test_people_with_other_tokens_or_coordinates(self):
        X, Y = world()

        def person(rows, x=X, place=(0, 1, 2), **sample):
            names = [f"s{row}" for row in rows]
            side = {"row": np.repeat(place, 3), "col": np.tile(range(3), 3)}
            return (
                tokens(x[rows], names, token=side, sample=sample),
                responses(Y[rows], names, sample=sample),
            )

        first, second = np.arange(10), np.arange(10, 18)
        with pytest.raises(AlignmentError, match="9 tokens of 3 features"):
            stack_people({"one": person(first), "two": person(second, X[:, :, :3])})
        with pytest.raises(AlignmentError, match="'row' of token differs"):
            stack_people({"one": person(first), "two": person(second, place=(2, 1, 0))})
        both, target, seen = stack_people({"one": person(first, session=np.arange(10)), "two": person(second)})
        assert "session" not in both.coords and "row" in both.coords and int(seen.sum()) == 18 * T
        assert target.shape == (18, 2 * T)

    def test_a_trunk_must_be_read_the_way_it_was_fitted(self):
        X, Y = world()
        few = {"width": 4, "max_epochs": 1, "random_state": 0}
        trunk = RoutedEncoder(None, n_heads=2, **few).fit(X, Y)
        same = RoutedEncoder(None, n_heads=2, routing=Routing(trunk=trunk), **few).fit(X, Y)
        np.testing.assert_array_equal(same.router_.key.detach(), trunk.router_.key.detach())
        for settings, said in (
            ({"routing": Routing(trunk=trunk)}, "n_heads=1"),
            ({"n_heads": 2, "routing": Routing(positions=None, trunk=trunk)}, "positions=None"),
            ({"n_heads": 2, "routing": Routing(values="raw", trunk=trunk)}, "values='raw'"),
            ({"n_heads": 2, "routing": Routing(hidden=5, trunk=trunk)}, "hidden=5"),
        ):
            with pytest.raises(ValueError, match=said):
                RoutedEncoder(None, **settings, **few).fit(X, Y)
        with pytest.raises(ValueError, match="hidden=0"):
            Routing(hidden=0)


class TestCheckpoints:
    def test_a_checkpoint_knows_its_areas_tokens_and_trunk(self, tmp_path):
        X, Y = world()
        target = np.repeat(Y[:, :1], 2000, axis=1)
        settings = {"width": 4, "max_epochs": 2, "random_state": 0}

        def fit(x, border, name, **more):
            masks = {"left": np.arange(2000) < border, "right": np.arange(2000) >= border}
            training = Training(checkpoint=tmp_path / name)
            return RoutedEncoder(masks, training=training, **settings, **more).fit(x, target)

        fit(X, 900, "areas.pt")
        assert fit(X, 900, "areas.pt").history_.resumed_at == 2
        with pytest.raises(ResumeError, match="other data"):
            fit(X, 901, "areas.pt")
        changed = X.copy()
        changed[3] += 1
        with pytest.raises(ResumeError, match="other data"):
            fit(changed, 900, "areas.pt")
        one, two = (RoutedEncoder(None, 4, max_epochs=1, random_state=0).fit(X, y) for y in (Y, -Y[::-1]))
        fit(X, 900, "trunk.pt", routing=Routing(trunk=one))
        with pytest.raises(ResumeError, match="other data"):
            fit(X, 900, "trunk.pt", routing=Routing(trunk=two))

    def test_a_folder_holds_the_checkpoints_of_many_fits(self, tmp_path):
        X, Y = world()
        single = SpatialFeatureEncoder(None, max_epochs=2, training=Training(checkpoint=tmp_path))
        model = EncoderEnsemble(single, 3, random_state=0).fit(X, Y)
        assert len(list(tmp_path.iterdir())) == 3
        again = EncoderEnsemble(single, 3, random_state=0).fit(X, Y)
        assert [one.history_.resumed_at for one in again.members_["all"]] == [2, 2, 2]
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        single.set_params(training=Training(checkpoint=tmp_path / "one.pt"))
        with pytest.raises(ValueError, match="give a folder"):
            EncoderEnsemble(single, 3, random_state=0).fit(X, Y)

    def test_a_fit_that_was_interrupted_does_not_predict(self, stepped, monkeypatch):
        from neurodecode.attention import encoder as module

        X, Y = world()
        stepped.fit(X, Y)

        def dies(*args, **kwargs):
            raise KeyboardInterrupt

        monkeypatch.setattr(module, "fit_loop", dies)
        with pytest.raises(KeyboardInterrupt):
            stepped.fit(X, Y)
        with pytest.raises(ValueError, match="not fitted"):
            stepped.predict(X)


class TestRest:
    def test_an_area_without_units_has_no_factors_and_no_map(self):
        X, Y = world()
        masks = {"all": np.ones(T, dtype=bool), "nobody": np.zeros(T, dtype=bool)}
        with pytest.warns(NeurodecodeWarning, match="nobody"):
            factors = FactorizedEncoder(2, masks, max_epochs=1, random_state=0).fit(X, Y)
        assert np.isnan(factors.where_.sel(query="nobody")).all() and np.isnan(factors.what_[1]).all()
        assert np.isfinite(factors.where_.sel(query="all")).all() and np.isfinite(factors.what_[0]).all()
        with pytest.warns(NeurodecodeWarning, match="nobody"):
            static = SpatialFeatureEncoder(masks, max_epochs=1, random_state=0).fit(X, Y)
        assert np.isnan(static.map_.sel(query="nobody")).all()

    def test_layers_of_an_ensemble_need_their_names(self):
        X, Y = world()
        shown = tokens(X, unit={"layer": list("aabb")})
        model = EncoderEnsemble(SpatialFeatureEncoder(None, max_epochs=1), 1, by="layer", random_state=0)
        model.fit(shown, responses(Y))
        with pytest.raises(AlignmentError, match="'layer'"):
            model.predict(X)

    def test_masking_counts_only_the_tokens_that_count(self):
        rng = np.random.default_rng(0)
        n, size = 200, 16
        X = rng.normal(size=(n, size, D)).astype(np.float32)
        Y = X[:, 1] @ rng.normal(size=(D, T))
        counted = np.zeros((n, size), dtype=bool)
        counted[:, :4] = True  # three quarters are padding
        marked = tokens(X).assign_coords(attended=(("sample", "token"), counted))
        model = SpatialFeatureEncoder(None, max_epochs=40, random_state=0).fit(marked, responses(Y))
        found = model.token_importance(marked, responses(Y), share=0.25).isel(query=0)
        assert float(found["r_masked"]) < 0.2
        assert 0.08 < float(found["drop_random"]) < 0.6  # one of four tokens, not four of sixteen
        with pytest.raises(ValueError, match="masks all 4 tokens that count in sample 0"):
            model.token_importance(marked, responses(Y), share=0.9)
