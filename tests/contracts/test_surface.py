"""Names and arguments that scripts outside already use."""

from __future__ import annotations

import importlib
import inspect

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
    "sources.zoo": {"cifar_resnet": "path"},
    "sources.recipes": {"open_recipe": "name_or_path root"},
    "linear": {
        "Ridge": "alphas cv fit_intercept max_memory shared_alpha device",
        "LinearClassifier": "kind C shrinkage",
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


def test_score_names_keep_their_spelling():
    from neurodecode.evaluation.scores import SCORES

    assert {"r", "r2", "explained_variance", "accuracy", "balanced_accuracy", "auc", "identification"} <= set(SCORES)
