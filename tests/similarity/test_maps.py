"""Maps between two spaces: planted rotations and matches, scipy, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from references.similarity import slow_rotation
from scipy.linalg import orthogonal_procrustes
from sklearn.model_selection import KFold

from neurodecode.evaluation import cross_validate
from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.linear import Ridge
from neurodecode.representation import as_representation
from neurodecode.similarity import PermutationMap, ProcrustesMap, RidgeMap, procrustes

MAPS = {
    "procrustes": lambda: ProcrustesMap(scaling=True),
    "permutation": lambda: PermutationMap(scaling=True),
    "ridge": lambda: RidgeMap(alphas=1e-6),
}


def turned(n=60, p=6, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * np.linspace(1, 2, p)
    turn = np.linalg.qr(rng.normal(size=(p, p)))[0]
    return x, 3 * x @ turn + rng.normal(size=p) + noise * rng.normal(size=(n, p)), turn


def exchanged(n=60, p=6, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    x, order = rng.normal(size=(n, p)), rng.permutation(p)
    return x, 2 * x[:, order] + 1 + noise * rng.normal(size=(n, p)), order


def labels(values, kind="fmri", **unit):
    return as_representation(values, stimulus=[f"s{at}" for at in range(len(values))], kind=kind, unit=unit)


def test_procrustes_equals_scipy_and_the_polar_factor():
    x, y, _ = turned(noise=1.0)
    a, b = x - x.mean(0), y - y.mean(0)
    known, power = orthogonal_procrustes(a, b)
    model = ProcrustesMap(scaling=True).fit(x, y)
    np.testing.assert_allclose(model.rotation_, known, atol=1e-12)
    np.testing.assert_allclose(model.rotation_, slow_rotation(a, b), atol=1e-8)
    assert model.scale_ == pytest.approx(power / np.sum(a**2), abs=1e-12)
    size = np.linalg.norm(a) * np.linalg.norm(b)
    assert procrustes(x, y) == pytest.approx(np.arccos(power / size), abs=1e-9)


def test_a_planted_rotation_is_found_and_a_skew_map_is_not():
    x, y, turn = turned(noise=0.1)
    model = ProcrustesMap(scaling=True).fit(x, y)
    np.testing.assert_allclose(model.rotation_, turn, atol=0.03)
    assert model.scale_ == pytest.approx(3, abs=0.03)
    assert model.rank_ == 6
    skew = np.diag([10, 1, 1, 1, 1, 0.1]) @ turn
    assert ProcrustesMap(scaling=True).fit(x, x @ skew).score(x, x @ skew) < 0.9
    assert RidgeMap(alphas=1e-6).fit(x, x @ skew).score(x, x @ skew) > 0.999


@pytest.mark.parametrize("widths", [(6, 4), (4, 6)])
def test_procrustes_of_other_widths_does_not_stretch(widths):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, widths[0])), rng.normal(size=(50, widths[1]))
    turn = ProcrustesMap().fit(x, y).rotation_
    assert turn.shape == widths
    small = turn.T @ turn if widths[0] > widths[1] else turn @ turn.T
    np.testing.assert_allclose(small, np.eye(4), atol=1e-12)


@pytest.mark.parametrize(("p", "q"), [(60, 50), (40, 70), (30, 30)])
def test_with_fewer_samples_than_units_the_rotation_is_that_of_the_product(p, q):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(20, p)), rng.normal(size=(20, q))
    model = ProcrustesMap().fit(x, y)
    a, b = x - x.mean(0), y - y.mean(0)
    left, s, right = np.linalg.svd(a.T @ b, full_matrices=False)
    np.testing.assert_allclose(a @ model.rotation_, a @ left @ right, atol=1e-9)
    assert model.rank_ == 19
    narrow = model.rotation_ if p >= q else model.rotation_.T
    np.testing.assert_allclose(narrow.T @ narrow, np.eye(min(p, q)), atol=1e-10)
    assert ProcrustesMap(scaling=True).fit(x, y).scale_ == pytest.approx(s.sum() / (a**2).sum(), rel=1e-9)
    apart = np.kron(np.eye(2), [[1.0], [-1.0]])  # two time courses that are orthogonal
    with pytest.raises(DegenerateDataError, match="X'y is 0"):
        ProcrustesMap().fit(apart[:, :1] @ x[:1], apart[:, 1:] @ y[:1])


def test_a_rotation_of_x_changes_no_prediction():
    x, y, turn = turned(noise=1.0)
    one = ProcrustesMap(scaling=True).fit(x[:40], y[:40]).predict(x[40:])
    moved = 7 * x @ turn + 4
    two = ProcrustesMap(scaling=True).fit(moved[:40], y[:40]).predict(moved[40:])
    np.testing.assert_allclose(one, two, atol=1e-9)


def test_a_planted_match_is_found_and_a_rotation_has_none():
    x, y, order = exchanged(noise=0.2)
    model = PermutationMap(scaling=True).fit(x, y)
    np.testing.assert_array_equal(model.partner_, order)
    assert model.correlation_.min() > 0.97
    np.testing.assert_allclose(model.slope_, 2, atol=0.15)
    spun, target, _ = turned(400, 40, seed=3)
    assert np.nanmean(PermutationMap().fit(spun, target).correlation_) < 0.6


def test_units_without_a_partner():
    x, y, _ = exchanged()
    wide = np.hstack([y, np.random.default_rng(5).normal(size=(60, 2))])
    model = PermutationMap().fit(x, wide)
    assert (model.partner_ == -1).sum() == 2
    assert np.isnan(model.correlation_[model.partner_ == -1]).all()
    alone = np.flatnonzero(model.partner_ == -1)
    np.testing.assert_allclose(model.predict(x)[:, alone], np.tile(wide[:, alone].mean(0), (60, 1)))
    assert sorted(model.partner_[model.partner_ >= 0].tolist()) == list(range(6))
    back = PermutationMap().fit(wide, x).inverse_transform(x)
    assert back.shape == wide.shape


@pytest.mark.parametrize("name", MAPS)
def test_there_and_back(name):
    x, y, _ = exchanged()
    model = MAPS[name]().fit(x, y)
    np.testing.assert_allclose(model.transform(x), y, atol=1e-5)
    np.testing.assert_allclose(model.inverse_transform(y), x, atol=1e-5)
    np.testing.assert_array_equal(model.predict(x), model.transform(x))


@pytest.mark.parametrize("name", MAPS)
def test_labels_go_through_and_come_back(name):
    x, y, _ = exchanged()
    X, Y = labels(x, roi=list("aabbcc")), labels(y, "network", layer=list("uuvvww"))
    model = MAPS[name]().fit(X, Y)
    there, back = model.transform(X[:5]), model.inverse_transform(Y[:5])
    assert there["layer"].values.tolist() == list("uuvvww") and back["roi"].values.tolist() == list("aabbcc")
    assert there["stimulus"].values.tolist() == [f"s{at}" for at in range(5)]
    with pytest.raises(AlignmentError, match="units"):
        model.inverse_transform(X)


def test_ridge_map_is_ridge():
    x, y, _ = turned(noise=1.0)
    alphas = [0.1, 1.0, 10.0]
    with pytest.warns(UserWarning, match="edge"):
        one, two = RidgeMap(alphas).fit(x, y), Ridge(alphas).fit(x, y)
    np.testing.assert_array_equal(one.predict(x), two.predict(x))
    # the way back gives an x that the map takes to y
    np.testing.assert_allclose(one.predict(one.inverse_transform(y)), y, atol=1e-9)


@pytest.mark.parametrize("name", MAPS)
def test_inside_cross_validation_truth_is_found_and_chance_is_not(name):
    x, y, _ = exchanged(120, noise=1.0)
    X, Y = labels(x), labels(y)
    other = labels(np.random.default_rng(9).normal(size=y.shape))
    folds = KFold(4, shuffle=True, random_state=0)
    said = {"score": "r", "pool": "predictions"}
    found = cross_validate(MAPS[name](), X, Y, folds, **said)["score"]
    null = cross_validate(MAPS[name](), X, other, folds, **said)["score"]
    assert float(found.min()) > 0.8
    assert abs(float(null.mean())) < 0.2


@pytest.mark.parametrize("name", MAPS)
def test_bad_inputs(name):
    x, y, _ = exchanged()
    X, Y = labels(x), labels(y)
    with pytest.raises(AlignmentError, match="match"):
        MAPS[name]().fit(X, Y[::-1])
    with pytest.raises(AlignmentError, match="missing"):
        MAPS[name]().fit(X, Y[:40])
    with pytest.raises(ValueError):
        MAPS[name]().fit(x, y[:40])
    broken = y.copy()
    broken[3, 1] = np.nan
    with pytest.raises(DegenerateDataError):
        MAPS[name]().fit(x, broken)
    model = MAPS[name]().fit(x, y)
    with pytest.raises(AlignmentError, match="6 units"):
        model.inverse_transform(y[:, :4])


def test_constant_units():
    x, y, _ = exchanged()
    x[:, 2] = 1.0
    with pytest.raises(DegenerateDataError, match="constant"):
        PermutationMap().fit(x, y)
    with pytest.raises(DegenerateDataError, match="constant"):
        PermutationMap().fit(y, x)
    assert np.isfinite(ProcrustesMap().fit(x, y).predict(x)).all()
    with pytest.raises(DegenerateDataError, match="X'y is 0"):
        ProcrustesMap().fit(np.ones((10, 3)), y[:10])
