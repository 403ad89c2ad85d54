"""The class whose mean pattern correlates best."""

from __future__ import annotations

import numpy as np
import pytest

from neurodecode.exceptions import DegenerateDataError
from neurodecode.linear import CorrelationClassifier


def patterns(n=60, p=20, classes="abc", noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % len(classes)
    shape = rng.normal(size=(len(classes), p))
    return shape[codes] + noise * rng.normal(size=(n, p)), np.array(list(classes))[codes]


@pytest.mark.parametrize("classes", ["ab", "abc"])
def test_equals_the_definition(classes):
    x, y = patterns(classes=classes)
    model = CorrelationClassifier().fit(x[:40], y[:40])
    means = np.stack([x[:40][y[:40] == name].mean(0) for name in classes])
    table = np.array([[np.corrcoef(row, mean)[0, 1] for mean in means] for row in x[40:]])
    np.testing.assert_array_equal(model.predict(x[40:]), np.array(list(classes))[table.argmax(1)])
    expected = table[:, 1] - table[:, 0] if len(classes) == 2 else table
    np.testing.assert_allclose(model.decision_function(x[40:]), expected, atol=1e-12)


def test_planted_shapes_are_found_and_noise_is_not():
    x, y = patterns(n=200)
    assert (CorrelationClassifier().fit(x[:100], y[:100]).predict(x[100:]) == y[100:]).mean() > 0.9
    x = np.random.default_rng(1).normal(size=x.shape)
    assert abs((CorrelationClassifier().fit(x[:100], y[:100]).predict(x[100:]) == y[100:]).mean() - 1 / 3) < 0.15


def test_mean_and_scale_of_a_pattern_do_not_matter():
    x, y = patterns()
    model = CorrelationClassifier().fit(x[:40], y[:40])
    rng = np.random.default_rng(2)
    other = x[40:] * rng.uniform(0.1, 10, size=(20, 1)) + rng.normal(size=(20, 1))
    np.testing.assert_allclose(model.decision_function(other), model.decision_function(x[40:]), atol=1e-12)


def test_a_flat_pattern_correlates_with_nothing():
    x, y = patterns()
    assert (CorrelationClassifier().fit(x, y).decision_function(np.full((2, 20), 0.3)) == 0).all()


def test_one_class():
    x, _ = patterns()
    with pytest.raises(DegenerateDataError, match="one class"):
        CorrelationClassifier().fit(x, np.full(60, "a"))
