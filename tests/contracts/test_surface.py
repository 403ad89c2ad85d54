"""Names and arguments that scripts outside already use."""

from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest

SURFACE = {
    "representation": {
        "as_representation": "values stimulus kind unit sample attrs dims",
        "match": "X Y by join",
        "Labelled": "estimator",
        "average_repeats": "X",
        "concat": "parts",
        "save": "",
        "load": "",
    },
    "sources.fmri": {"read": "img mask labels tr detrend standardize samples drop"},
    "sources.eeg": {"epochs": "raw events event_id tmin tmax l_freq h_freq decimate baseline"},
    "sources.network": {"activations": "model inputs layers pool batch_size device stimulus store", "list_layers": ""},
    "sources.zoo": {
        "cifar_resnet": "path",
        "story_model": "folder",
        "story_tokenizer": "folder",
        "char_lstm": "path",
        "mnist_ddpm": "path",
        "mnist_vae": "path",
    },
    "sources.recipes": {"open_recipe": "name_or_path root"},
    "linear": {
        "Ridge": "alphas cv fit_intercept max_memory shared_alpha device",
        "LinearClassifier": "kind C shrinkage",
        "BandedRidge": "by",
        "Delays": "seconds by",
        "CSP": "n_components",
        "Sliding": "",
        "Generalizing": "",
        "Searchlight": "estimator radius",
    },
    "evaluation": {
        "SplitBy": "coord",
        "cross_validate": "est X Y splits score pool permutations random_state ceiling assume_aligned allow_overlap "
        "client store",
    },
    "reporting": {"page": "result path"},
    "similarity": {
        "as_rdm": "values stimulus subject",
        "rdm": "X metric by noise",
        "compare": "X Y how permutations random_state",
        "noise_ceiling": "rdms how",
        "compare_models": "models rdms how bootstrap n_bootstrap random_state",
    },
    "attention": {
        "RoutedEncoder": "by width n_heads max_epochs random_state",
        "SpatialFeatureEncoder": "by max_epochs random_state",
    },
}
KEYWORD_ONLY = {
    (
        "evaluation",
        "cross_validate",
    ): "score pool permutations random_state ceiling assume_aligned allow_overlap client store",
    ("sources.eeg", "epochs"): "events event_id tmin tmax l_freq h_freq decimate baseline",
    ("representation", "as_representation"): "stimulus kind unit sample attrs dims",
    ("sources.network", "activations"): "pool batch_size device stimulus store",
}
DEFAULTS = {
    ("similarity", "noise_ceiling"): {"how": "spearman"},
    ("similarity", "rdm"): {"by": None, "noise": None},
    ("attention", "RoutedEncoder"): {"by": "roi"},
    ("evaluation", "cross_validate"): {"pool": "folds", "permutations": 0, "ceiling": None, "store": None},
    ("representation", "match"): {"by": "stimulus", "join": "exact"},
    ("linear", "Delays"): {"by": "run"},
    ("linear", "CSP"): {"log": True},
    ("sources.eeg", "epochs"): {"l_freq": None, "h_freq": None, "decimate": 1, "baseline": None},
    ("linear", "Ridge"): {"fit_intercept": True, "shared_alpha": False},
    ("linear", "LinearClassifier"): {"C": 1.0, "shrinkage": None},
    ("sources.network", "activations"): {"pool": "mean", "batch_size": 32},
    ("sources.fmri", "read"): {"detrend": True, "standardize": True, "samples": "volume", "drop": ("rest",)},
}
NAMES = [(room, name) for room, names in SURFACE.items() for name in names]


def fixed(room: str, name: str):
    return getattr(importlib.import_module(f"neurodecode.{room}"), name)


@pytest.mark.parametrize(("room", "name"), NAMES)
def test_arguments_keep_their_names(room, name):
    parameters = inspect.signature(fixed(room, name)).parameters
    wanted = SURFACE[room][name].split()
    assert set(wanted) <= set(parameters), sorted(set(wanted) - set(parameters))
    extra = set(parameters) - set(wanted)
    for argument in extra if wanted else ():
        kind = parameters[argument]
        optional = kind.default is not inspect.Parameter.empty or kind.kind in (kind.VAR_KEYWORD, kind.VAR_POSITIONAL)
        assert optional, f"{argument} is new and has no default"
    for argument in KEYWORD_ONLY.get((room, name), "").split():
        assert parameters[argument].kind is inspect.Parameter.KEYWORD_ONLY
    for argument, value in DEFAULTS.get((room, name), {}).items():
        assert parameters[argument].default == value, argument


def test_exceptions_keep_their_families():
    import neurodecode.exceptions as known

    for name in "Alignment Leakage DegenerateData Timing TokenAlignment LayerNotFound Capacity".split():
        error = known.DegenerateDataError if name == "DegenerateData" else getattr(known, f"{name}Error")
        assert issubclass(error, ValueError), name
    for name in ("IntegrityError", "UnsafeFileError", "ResumeError"):
        assert issubclass(getattr(known, name), OSError), name
    assert issubclass(known.MissingExtraError, ImportError)


@pytest.fixture
def shown():
    """Twelve stimuli in six people, and a model of them."""
    rng = np.random.default_rng(0)
    names = [f"s{number}" for number in range(12)]
    patterns = rng.normal(size=(6, 12, 4)) + 2 * rng.normal(size=(12, 4))
    return names, np.stack([1 - np.corrcoef(one) for one in patterns]), 1 - np.corrcoef(patterns.mean(0))


def test_what_similarity_gives_back(shown):
    from neurodecode.similarity import as_rdm, compare, compare_models, noise_ceiling

    names, people, model = shown
    one = as_rdm(model, stimulus=names)
    assert one.dims == ("stimulus", "stimulus_other")
    all_of_them = as_rdm(people, stimulus=names, subject=list("abcdef"))
    assert all_of_them.dims == ("subject", "stimulus", "stimulus_other")
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(40, 5)), rng.normal(size=(40, 3))
    centred = [side - side.mean(0) for side in (X, Y)]
    norms = np.prod([np.linalg.norm(side) for side in centred])
    angle = np.arccos(np.linalg.norm(centred[0].T @ centred[1], "nuc") / norms)
    assert compare(X, Y, "procrustes") == pytest.approx(angle, abs=1e-9)
    bases = [np.linalg.svd(side, full_matrices=False)[0] for side in centred]
    correlations = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    found = compare(X, Y, "cca")
    assert isinstance(found, float) and found == pytest.approx(correlations.mean(), abs=1e-9)
    tested = compare(X, Y, "cka", permutations=9, random_state=0)
    assert {"value", "p"} <= set(tested.data_vars) and float(tested["value"]) == pytest.approx(compare(X, Y, "cka"))
    ceiling = noise_ceiling(all_of_them)
    assert float(ceiling["lower"]) < float(ceiling["upper"])
    alone = noise_ceiling(one)
    assert np.isnan(alone["lower"]) and np.isnan(alone["upper"]) and alone.attrs["reason"]
    for bootstrap in ("subject", "stimulus", "both"):
        result = compare_models(
            {"m": one, "other": one**2}, all_of_them, how="spearman", bootstrap=bootstrap, n_bootstrap=9, random_state=0
        )
        assert result["score"].dims == ("model", "subject") and result["model"].values.tolist() == ["m", "other"]
        assert {"p", "p_fdr", "ceiling_lower", "ceiling_upper"} <= set(result.data_vars)


def test_what_encoders_of_tokens_give_back():
    from neurodecode.attention import RoutedEncoder, SpatialFeatureEncoder
    from neurodecode.representation import as_representation

    rng, names = np.random.default_rng(2), [f"s{number}" for number in range(30)]
    X = as_representation(rng.normal(size=(30, 4, 3)), stimulus=names, kind="network", dims=("sample", "token", "unit"))
    Y = as_representation(
        rng.normal(size=(30, 5)), stimulus=names, kind="fmri", unit={"roi": ["face"] * 2 + ["house"] * 3}
    )
    model = RoutedEncoder(by="roi", width=4, n_heads=2, max_epochs=2, random_state=0).fit(X, Y)
    assert list(model.areas_) == ["face", "house"] and model.query_.shape == (2, 4)
    attended = model.attention(X)
    assert attended.dims == ("sample", "query", "token") and attended["query"].values.tolist() == ["face", "house"]
    np.testing.assert_allclose(attended.sum("token"), 1, rtol=1e-5)
    before = model.predict(X)
    query = np.array(model.query_)
    query[0] += 3
    model.query_ = query
    after = model.predict(X)
    np.testing.assert_array_equal(after.values[:, 2:], before.values[:, 2:])
    assert np.abs(after.values[:, :2] - before.values[:, :2]).max() > 1e-4
    masks = {"first": np.arange(5) < 3, "last": np.arange(5) > 1}
    plain = RoutedEncoder(by=masks, width=4, n_heads=1, max_epochs=2, random_state=0).fit(X.values, Y.values)
    assert list(plain.areas_) == ["first", "last"] and plain.predict(X.values).shape == (30, 5)
    assert SpatialFeatureEncoder(by="roi", max_epochs=2, random_state=0).fit(X, Y).predict(X).shape == (30, 5)


def test_score_names_keep_their_spelling():
    from neurodecode.evaluation.scores import SCORES

    assert {"r", "r2", "explained_variance", "accuracy", "balanced_accuracy", "auc", "identification"} <= set(SCORES)
