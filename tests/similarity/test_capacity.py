"""Manifold capacity: closed forms of cones, linear programs on random projections, and what must change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from references.similarity import orthonormal, slow_cone_power, slow_separable_share

from neurodecode.exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning
from neurodecode.representation import as_representation
from neurodecode.similarity import geometry, manifold_capacity
from neurodecode.similarity.capacity import cone_power


def clouds(k=6, m=4, p=40, spread=0.5, seed=0):
    """Classes around centres of unit variance, and the class of every sample."""
    rng = np.random.default_rng(seed)
    which = np.repeat(np.arange(k), m)
    return rng.normal(size=(k, p))[which] + spread * rng.normal(size=(k * m, p)), which


def upright(k, shape):
    """Every class in directions of its own: one towards its centre, the others those of the points of ``shape``."""
    m, d = shape.shape
    x = np.zeros((k, m, k, d + 1))
    for at in range(k):
        x[at, :, at, 0], x[at, :, at, 1:] = 1.0, shape
    return x.reshape(k * m, -1), np.repeat(np.arange(k), m)


def off(found, expected):
    """How many standard errors a value is from what it should be."""
    return abs(float(found["capacity"]) - expected) / float(found["se"])


class TestClosedForms:
    @pytest.mark.parametrize("k", [2, 5, 12])
    def test_points(self, k):
        x = np.random.default_rng(k).normal(size=(k, 30))
        x = np.vstack([x, x])  # a sample that is there twice adds nothing
        which = np.tile(np.arange(k), 2)
        # k cones of one ray in k - 1 dimensions, of which the two with all rays on one side are the whole space
        centred = k * (2**k - 2) / (k * 2 ** (k - 1) - 2 * k + 1)
        assert off(manifold_capacity(x, which, n_draws=3000), centred) < 4
        upright = np.vstack([np.eye(k), np.eye(k)])
        assert off(manifold_capacity(upright, which, n_draws=3000, center=False), 2) < 4

    @pytest.mark.parametrize("radius", [0.2, 1.0, 4.0])
    def test_segments(self, radius):
        # a wedge of the angle a has the statistical dimension 1/2 + a / pi
        x, which = upright(8, np.array([[-radius], [radius]]))
        expected = 1 / (0.5 + 2 * np.arctan(radius) / np.pi)
        found = manifold_capacity(x, which, n_draws=2000, center=False, random_state=1)
        assert off(found, expected) < 4
        assert float(found["se"]) < 0.05

    @pytest.mark.parametrize("radius", [0.3, 2.0])
    def test_discs(self, radius):
        # a round cone of half the angle a in three dimensions: 3/2 - cos a + sin a
        turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        x, which = upright(5, radius * np.stack([np.cos(turn), np.sin(turn)], axis=1))
        a = np.arctan(radius)
        found = manifold_capacity(x, which, n_draws=1000, center=False, random_state=2)
        assert off(found, 1 / (1.5 - np.cos(a) + np.sin(a))) < 4

    def test_projections_equal_the_faces_of_the_cone(self):
        rng = np.random.default_rng(3)
        for _ in range(30):
            rays, t = rng.normal(size=(6, 4)), rng.normal(size=4)
            assert cone_power(rays, t) == pytest.approx(slow_cone_power(rays, t), abs=1e-10)


@pytest.mark.parametrize(("center", "spread"), [(True, 0.3), (False, 1.0)])
def test_it_is_the_number_of_dimensions_at_which_half_can_be_separated(center, spread):
    x, which = clouds(spread=spread)
    found = manifold_capacity(x, which, center=center, n_draws=1000, random_state=4)
    dimension = float(found["dimension"])
    rng = np.random.default_rng(5)
    seen = x - x.mean(0) if center else x
    trials, shares = 60, []
    for n in range(0, int(found.attrs["rank"])):
        shares.append(slow_separable_share(seen, which, n, trials, rng))
        if len(shares) > 2 and min(shares[-3:]) == 1:
            break
    shares = np.array(shares)
    # The conic Crofton formula: the chance of failing, summed over n, is the dimension and one half, for cones that
    # are no subspaces. The standard error of the simulation is that of as many shares.
    drawn = dimension * float(found["se"] / found["capacity"])
    error = np.hypot(np.sqrt((shares * (1 - shares)).sum() / trials), drawn)
    assert abs((1 - shares).sum() - dimension - 0.5) < 4 * error
    assert error < 0.4
    half = np.interp(0.5, np.maximum.accumulate(shares), np.arange(len(shares)))
    assert abs(half - dimension) < 1
    assert float(found["capacity"]) == pytest.approx(6 / dimension)


def test_it_falls_with_the_radius_and_with_the_dimension_of_classes():
    rng = np.random.default_rng(6)
    centres, kinds = rng.normal(size=(10, 1, 300)) / np.sqrt(300), {}
    for d in (2, 10):
        balls = rng.normal(size=(10, 20, d))
        balls /= np.linalg.norm(balls, axis=2, keepdims=True)
        kinds[d] = np.einsum("ksd,kdp->ksp", balls, rng.normal(size=(10, d, 300)) / np.sqrt(300))
    which = np.repeat(np.arange(10), 20)
    value = {
        (d, radius): float(manifold_capacity((centres + radius * ball).reshape(200, 300), which)["capacity"])
        for d, ball in kinds.items()
        for radius in (0.0, 0.3, 1.0, 3.0)
    }
    for d in kinds:
        falling = [value[d, radius] for radius in (0.0, 0.3, 1.0, 3.0)]
        assert (np.diff(falling) < 0).all()
        assert 1.8 < falling[0] < 2.2
        # a cone has at most the directions that the class has
        assert falling[-1] > 1 / (d + 1)
    assert value[10, 1.0] < value[2, 1.0]


def test_classes_that_are_there_and_labels_that_say_nothing():
    x, which = clouds(8, 12, 120, spread=0.4, seed=7)
    rng = np.random.default_rng(8)
    told = manifold_capacity(x, which)
    mixed, drawn = (manifold_capacity(x, labels) for labels in (rng.permutation(which), rng.permutation(which)))
    alike = manifold_capacity(rng.normal(size=x.shape), which)
    assert float(told["capacity"]) > 3 * float(mixed["capacity"])
    for other in (drawn, alike):
        apart = abs(float(mixed["capacity"] - other["capacity"]))
        assert apart < 4 * np.hypot(float(mixed["se"]), float(other["se"]))
    # m samples in unrelated directions: 2 / m, since each is a point of its own
    assert off(manifold_capacity(rng.normal(size=(96, 400)), which, center=False), 2 / 12) < 4


class TestInvariance:
    def test_rotation_scale_shift_and_more_units(self):
        x, which = clouds()
        value = float(manifold_capacity(x, which)["capacity"])
        for moved in (x @ orthonormal(40), 7 * x, x + 100, np.hstack([x, np.ones((24, 500))]), np.hstack([x, x])):
            assert float(manifold_capacity(moved, which)["capacity"]) == pytest.approx(value, rel=1e-6)
        # not centred, a shift is another question; units that are stretched are another space
        assert float(manifold_capacity(x + 3, which, center=False)["capacity"]) != pytest.approx(value, rel=0.01)
        assert float(manifold_capacity(x * np.geomspace(1, 1e3, 40), which)["capacity"]) != pytest.approx(
            value, rel=0.01
        )

    def test_order_of_samples_and_names_of_classes(self):
        x, which = clouds()
        order = np.random.default_rng(9).permutation(len(x))
        one, two = manifold_capacity(x, which, n_draws=1000), manifold_capacity(x[order], which[order], n_draws=1000)
        assert off(one, float(two["capacity"])) < 4 * np.sqrt(2)
        named = manifold_capacity(x, np.array(list("abcdef"))[which], n_draws=1000)
        assert float(named["capacity"]) == float(one["capacity"])
        assert named["class"].values.tolist() == list("abcdef")

    def test_points_within_a_class_hull_add_nothing(self):
        x, which = clouds(5, 6, 60)
        inside = np.stack([x[which == at].mean(0) for at in range(5)])
        more = manifold_capacity(np.vstack([x, inside]), np.r_[which, np.arange(5)], center=False, n_draws=800)
        assert off(manifold_capacity(x, which, center=False, n_draws=800), float(more["capacity"])) < 4 * np.sqrt(2)

    def test_seeds(self):
        x, which = clouds()
        assert manifold_capacity(x, which, random_state=3).identical(manifold_capacity(x, which, random_state=3))
        one, two = (manifold_capacity(x, which, n_draws=400, random_state=seed) for seed in (3, 4))
        assert float(one["capacity"]) != float(two["capacity"])
        assert off(one, float(two["capacity"])) < 4 * np.sqrt(2)


class TestBadInputs:
    def test_labels(self):
        x, which = clouds()
        with pytest.raises(DegenerateDataError, match="one class"):
            manifold_capacity(x, np.zeros(24))
        with pytest.raises(AlignmentError, match="one for each"):
            manifold_capacity(x, which[:-1])
        for missing in (np.where(which == 1, np.nan, which), np.where(which == 1, None, which)):
            with pytest.raises(DegenerateDataError, match="4 of 24 labels are missing"):
                manifold_capacity(x, missing)
        X = as_representation(x, stimulus=[f"s{at}" for at in range(24)], kind="network", sample={"kind": which})
        assert float(manifold_capacity(X, "kind")["capacity"]) == float(manifold_capacity(x, which)["capacity"])
        with pytest.raises(AlignmentError, match="no sample coordinate of this name"):
            manifold_capacity(X, "class")
        with pytest.raises(AlignmentError, match="another order"):
            manifold_capacity(X, X[::-1]["kind"])

    def test_values(self):
        x, which = clouds()
        broken = x.copy()
        broken[0, 0] = np.nan
        with pytest.raises(DegenerateDataError):
            manifold_capacity(broken, which)
        with pytest.raises(DegenerateDataError, match="every unit is constant"):
            manifold_capacity(np.ones((24, 3)), which)
        with pytest.raises(ValueError, match="n_draws=1"):
            manifold_capacity(x, which, n_draws=1)
        with pytest.raises(DegenerateDataError, match="class 1 lies in the mean"):
            manifold_capacity(np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]), [0, 1, 2])

    def test_a_class_of_one_sample_is_a_point(self):
        x, which = clouds()
        kept = np.r_[0, np.flatnonzero(which > 0)]
        assert manifold_capacity(x[kept], which[kept])["n"].values.tolist() == [1, 4, 4, 4, 4, 4]

    def test_too_few_units_are_said(self):
        x, which = clouds(6, 10, 5, spread=1.0)
        with pytest.warns(NeurodecodeWarning, match="all 5 directions"):
            found = manifold_capacity(x, which)
        assert float(found["lowest"]) == 6 / 5
        assert float(found["capacity"]) == pytest.approx(6 / 5, abs=4 * float(found["se"]))


def test_it_stands_with_the_geometry():
    assert geometry.manifold_capacity is manifold_capacity
