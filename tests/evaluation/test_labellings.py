"""Permuted labels of an LDA in closed form: the same p values as fitting again for every permutation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.compute.scores import auc, auc_columns
from neurodecode.evaluation import SplitBy, blocks, cross_validate
from neurodecode.linear import LinearClassifier
from neurodecode.representation import Labelled

RUNS = SplitBy("run")


class SlowLDA(LinearClassifier):
    """Fitted again for every permutation."""

    permuted_decisions = None

    def __getattribute__(self, name):
        if name == "permuted_decisions":
            raise AttributeError(name)
        return super().__getattribute__(name)


def both(make, X, y, splits, **settings):
    settings = {"permutations": 24, "random_state": 4, **settings}
    return [cross_validate(make(kind), X, y, splits, **settings) for kind in (LinearClassifier, SlowLDA)]


@pytest.mark.parametrize("pool", ["folds", "predictions"])
@pytest.mark.parametrize("score", ["accuracy", "balanced_accuracy", "auc"])
@pytest.mark.parametrize("amount", [None, 0.0, 0.2, 1.0])
def test_same_null_and_same_p(class_worlds, amount, score, pool):
    X, y = class_worlds(gap=0.4, n=80, seed=5)
    fast, slow = both(lambda kind: kind("lda", shrinkage=amount), X, y, RUNS, score=score, pool=pool)
    np.testing.assert_allclose(fast["null"], slow["null"], rtol=1e-14)
    np.testing.assert_array_equal(fast["p"], slow["p"])
    for name in ("score", "p", "p_fdr", "p_max"):
        np.testing.assert_array_equal(fast[name], slow[name])


def test_more_features_than_samples(class_worlds):
    X, y = class_worlds(gap=0.4, n=40, features=90, seed=5)
    fast, slow = both(lambda kind: kind("lda", shrinkage=0.1), X, y, RUNS, score="auc")
    np.testing.assert_allclose(fast["null"], slow["null"], rtol=1e-14)
    np.testing.assert_array_equal(fast["p"], slow["p"])


@pytest.mark.parametrize("step", [StandardScaler, lambda: Labelled(PCA(3)), lambda: "passthrough"])
def test_behind_steps_that_never_look_at_labels(class_worlds, step):
    X, y = class_worlds(gap=0.4, n=80, seed=6)
    X = X * [1.0, 10.0, 0.1, 1.0, 1.0]
    X = X.assign_coords(category=("sample", y.values))
    fast, slow = both(lambda kind: make_pipeline(step(), kind("lda", shrinkage=0.2)), X, y, RUNS, score="accuracy")
    np.testing.assert_allclose(fast["null"], slow["null"], rtol=1e-14)
    np.testing.assert_array_equal(fast["p"], slow["p"])
    np.testing.assert_array_equal(fast["p"], slow["p"])


def test_only_where_it_holds(class_worlds):
    X, y = class_worlds(n=80)
    three, z = class_worlds(n=84, names=("cat", "dog", "owl"))

    def closed(est, X, y):
        from neurodecode.evaluation.pairing import pair

        return blocks.can_permute_labels(est, pair(X, y, classifier=True))

    assert closed(LinearClassifier("lda"), X, y)
    assert closed(make_pipeline(StandardScaler(), LinearClassifier("lda", shrinkage=0.3)), X, y)
    assert not closed(LinearClassifier("lda"), three, z)
    assert not closed(LinearClassifier("lda", shrinkage="auto"), X, y)
    assert not closed(LinearClassifier("logistic"), X, y)
    assert not closed(make_pipeline(SelectKBest(k=2), LinearClassifier("lda")), X, y)


def test_labellings_that_need_a_fit_get_one(class_worlds):
    """Without shrinkage and with as many features as samples no labelling has a closed form."""
    X, y = class_worlds(gap=0.4, n=40, features=60, seed=7)
    fast, slow = both(lambda kind: kind("lda"), X, y, RUNS, score="accuracy", permutations=19)
    np.testing.assert_allclose(fast["null"], slow["null"], rtol=1e-14)
    np.testing.assert_array_equal(fast["p"], slow["p"])


def test_calibration(class_worlds):
    """With nothing there p is uniform; the mean of the null stands at chance."""
    rng = np.random.default_rng(8)
    y = np.arange(40) % 2
    p = []
    for seed in range(60):
        found = cross_validate(
            LinearClassifier("lda", shrinkage=0.1), rng.normal(size=(40, 4)), y, StratifiedKFold(4), score="auc",
            permutations=39, random_state=seed,
        )  # fmt: skip
        p.append(float(found["p"][0]))
        assert abs(float(found["null"].mean()) - 0.5) < 0.06
    assert 0.35 < np.mean(p) < 0.65
    X, y = class_worlds(gap=2.0, n=80)
    found = cross_validate(
        LinearClassifier("lda", shrinkage=0.1), X, y, RUNS, score="auc", permutations=99, random_state=1
    )
    assert found["p"].item() == 0.01


def test_own_score(class_worlds):
    X, y = class_worlds(gap=0.4, n=80, seed=5)

    def errors(truth, predicted):
        return np.asarray([np.sum(truth != predicted)], dtype=float)

    fast, slow = both(lambda kind: kind("lda", shrinkage=0.2), X, y, RUNS, score=errors)
    np.testing.assert_allclose(fast["null"], slow["null"], rtol=1e-14)
    np.testing.assert_array_equal(fast["p"], slow["p"])


def test_auc_of_many_columns_is_that_of_each():
    rng = np.random.default_rng(9)
    truth = rng.random((30, 20)) > 0.5
    truth[:, 3] = True
    decision = rng.integers(0, 9, (30, 20)) / 2.0
    decision[0, 5] = np.nan
    each = [auc(t, d, np.array([False, True])) for t, d in zip(truth.T, decision.T)]
    np.testing.assert_array_equal(auc_columns(truth, decision), np.asarray(each))


def test_goes_on_from_a_store(class_worlds, tmp_path):
    X, y = class_worlds(gap=0.4, n=80, seed=5)
    settings = {"score": "accuracy", "permutations": 30, "random_state": 2, "store": tmp_path / "store"}
    model = LinearClassifier("lda", shrinkage=0.2)
    first, again = (cross_validate(model, X, y, RUNS, **settings) for _ in range(2))
    assert again.attrs["pieces"]["resumed"] == again.attrs["pieces"]["total"] == 5
    np.testing.assert_array_equal(first["null"], again["null"])
