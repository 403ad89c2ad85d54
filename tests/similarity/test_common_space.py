"""Several people in one space: planted responses, textbook twins, new people, unrelated people."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from references.similarity import slow_hyperalign, slow_maxvar, slow_srm_likelihood, slow_srm_loss, wide_hyperalign
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from neurodecode.evaluation import cross_validate
from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.linear import Ridge
from neurodecode.representation import as_representation, concat
from neurodecode.similarity import GCCA, Hyperalignment, SharedResponse, ThroughSpace, cca

SPACES = {
    "hyperalignment": lambda **more: Hyperalignment(**more),
    "hyperalignment, 4": lambda **more: Hyperalignment(4, **more),
    "deterministic": lambda **more: SharedResponse(4, **more),
    "probabilistic": lambda **more: SharedResponse(4, "probabilistic", **more),
    "gcca": lambda **more: GCCA(4, alpha=0.1, **more),
}


def orthonormal(rng, p, k):
    return np.linalg.qr(rng.normal(size=(p, k)))[0]


def world(n=120, widths=(12, 12, 12, 12), k=4, noise=0.5, seed=0, related=True):
    """Responses that people share, each in axes of their own, with noise; unrelated people share nothing."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, k)) * np.sqrt(np.mean(widths)) * np.linspace(1.2, 0.8, k)
    names = "abcdefgh"[: len(widths)]
    people = {}
    for name, p in zip(names, widths):
        own = shared if related else rng.normal(size=(n, k)) * np.sqrt(p)
        people[name] = own @ orthonormal(rng, p, k).T + noise * rng.normal(size=(n, p)) + rng.normal(size=p)
    return people, shared


def tagged(people):
    return {
        name: as_representation(
            one, stimulus=[f"s{at}" for at in range(len(one))], kind="fmri", unit={"voxel": np.arange(one.shape[1])}
        )
        for name, one in people.items()
    }


def cut(people, rows):
    return {name: one[rows] for name, one in people.items()}


def segments_named(spaces, length=5):
    """Time-segment matching: the share of stretches that the mean of the others tells from all other stretches."""
    right = []
    for name, one in spaces.items():
        rest = np.mean([other for person, other in spaces.items() if person != name], axis=0)
        starts = range(0, len(one) - length + 1, length)
        mine = np.array([one[at : at + length].ravel() for at in starts])
        theirs = np.array([rest[at : at + length].ravel() for at in starts])
        r = np.corrcoef(mine, theirs)[: len(mine), len(mine) :]
        right.append((r.argmax(1) == np.arange(len(mine))).mean())
    return float(np.mean(right))


@pytest.mark.parametrize("name", SPACES)
def test_segments_are_told_between_people_once_they_are_aligned(name):
    # axes of different people overlap by chance, the less so the more units there are
    people, _ = world(200, (40,) * 4, noise=1.0)
    train, test = cut(people, slice(0, 100)), cut(people, slice(100, 200))
    before = segments_named(test)
    after = segments_named(SPACES[name]().fit(train).transform(test))
    assert before < 0.4
    assert after > 0.9


@pytest.mark.parametrize("name", SPACES)
def test_unrelated_people_are_told_at_chance(name):
    people, _ = world(200, noise=1.0, related=False, seed=4)
    train, test = cut(people, slice(0, 100)), cut(people, slice(100, 200))
    space = SPACES[name]().fit(train)
    assert segments_named(space.transform(test)) < 0.25  # chance 1 / 20
    # in the training samples everything is alike, which is why segments are told in others
    assert segments_named(space.transform(train)) > segments_named(space.transform(test)) + 0.1


@pytest.mark.parametrize("name", ["hyperalignment, 4", "deterministic", "probabilistic", "gcca"])
def test_planted_responses_are_found(name):
    people, shared = world(noise=0.3, widths=(12, 15, 9, 20))
    found = SPACES[name](standardize=False).fit(people).shared_
    assert cca(found, shared) > 0.98
    other = np.random.default_rng(8).normal(size=shared.shape)
    assert cca(found, other) < 0.4


def test_hyperalignment_equals_the_three_passes():
    people, _ = world(60, (5, 5, 5), k=5, noise=1.0)
    centred = [one - one.mean(0) for one in people.values()]
    found = Hyperalignment(standardize=False).fit(people)
    for known, one in zip(slow_hyperalign(centred), found.maps_.values()):
        np.testing.assert_allclose(one, known, atol=1e-7)


@pytest.mark.parametrize("widths", [(70, 70, 70), (90, 60, 25)])
def test_hyperalignment_of_more_units_than_samples_equals_the_three_passes(widths):
    people, _ = world(30, widths, k=5, noise=1.0)
    centred = [one - one.mean(0) for one in people.values()]
    known = wide_hyperalign(centred)
    model = Hyperalignment(standardize=False).fit(people)
    found = list(model.transform(people).values())
    for one, two in zip(found, known):  # what the training samples span
        np.testing.assert_allclose(one, two, atol=1e-8)
    np.testing.assert_allclose(model.shared_, np.mean(known, axis=0), atol=1e-8)
    few = Hyperalignment(6, standardize=False).fit(people)
    axes = np.linalg.svd(np.mean(known, axis=0))[2][:6].T
    for one, two in zip(few.transform(people).values(), known):
        np.testing.assert_allclose(np.abs(one), np.abs(two @ axes), atol=1e-8)


def test_what_training_does_not_span_is_turned_as_little_as_can_be():
    people, _ = world(20, (50, 50, 40), k=3)
    model = Hyperalignment(standardize=False).fit(people)
    for name, w in model.maps_.items():
        np.testing.assert_allclose(w @ w.T, np.eye(len(w)), atol=1e-10)  # geometry is kept, of new samples too
        back = model.inverse_transform(model.transform(people[name] + 1, subject=name), subject=name)
        np.testing.assert_allclose(back, people[name] + 1, atol=1e-9)
    # a direction that is in nobody's samples is not moved
    spans = [people[name] - people[name].mean(0) for name in "ab"]
    outside = np.linalg.svd(np.vstack(spans))[2][38:]
    assert len(outside) == 12
    np.testing.assert_allclose(outside @ model.maps_["b"], outside, atol=1e-9)
    # of those that only one of two spans, the rotation nearest to the identity is taken
    b = model.maps_["b"]
    hidden = np.linalg.svd(spans[1])[2][19:]
    rng = np.random.default_rng(1)
    for _ in range(5):
        other = b + hidden.T @ (orthonormal(rng, 31, 31) - np.eye(31)) @ hidden @ b
        np.testing.assert_allclose(other @ other.T, np.eye(50), atol=1e-10)
        np.testing.assert_allclose(spans[1] @ other, spans[1] @ b, atol=1e-9)
        assert np.trace(other) < np.trace(b)


def test_samples_that_span_less_than_others():
    rng = np.random.default_rng(2)
    people, _ = world(30, (80, 60, 60), k=4)
    people["a"] = rng.normal(size=(30, 5)) @ rng.normal(size=(5, 80))  # the widest person has 5 directions
    model = Hyperalignment(standardize=False).fit(people)
    for name, one in people.items():
        there = model.transform(one, subject=name)
        np.testing.assert_allclose(np.linalg.norm(there[0] - there[1]), np.linalg.norm(one[0] - one[1]))
    assert Hyperalignment(12, standardize=False).fit(people).shared_.shape == (30, 12)


def test_a_wide_person_joins():
    people, _ = world(200, (150,) * 5)
    late = people.pop("e")
    for k in (None, 4):
        space = Hyperalignment(k).fit(cut(people, slice(0, 100)))
        space.fit_subject("e", late[:100])
        others = space.transform(cut(people, slice(100, 200)))
        assert segments_named({**others, "e": space.transform(late[100:], subject="e")}) > 0.9
    assert segments_named({**cut(people, slice(100, 200)), "e": late[100:]}) < 0.5


def test_shared_response_falls_to_a_minimum_and_its_likelihood_rises():
    people, _ = world(60, (6, 7, 8), k=3)
    centred = [one - one.mean(0) for one in people.values()]
    model = SharedResponse(3, standardize=False).fit(people)
    maps = list(model.maps_.values())
    assert (np.diff(model.objective_) <= 1e-9 * model.objective_[0]).all()
    assert model.objective_[-1] == pytest.approx(slow_srm_loss(centred, maps, model.shared_), rel=1e-9)
    rng = np.random.default_rng(1)
    for _ in range(20):  # nothing near is better
        moved = [np.linalg.qr(w + 1e-2 * rng.normal(size=w.shape))[0] for w in maps]
        best = np.mean([x @ w for x, w in zip(centred, moved)], axis=0)
        assert slow_srm_loss(centred, moved, best) > model.objective_[-1]
    likely = SharedResponse(3, "probabilistic", standardize=False, max_iter=500).fit(people)
    assert (np.diff(likely.objective_) >= -1e-6).all()
    known = slow_srm_likelihood(centred, list(likely.maps_.values()), list(likely.noise_.values()), likely.covariance_)
    assert likely.objective_[-1] == pytest.approx(known, rel=1e-9)
    for w in maps:
        np.testing.assert_allclose(w.T @ w, np.eye(3), atol=1e-12)


def test_noisy_people_are_known():
    rng = np.random.default_rng(0)
    people, _ = world(400, noise=0.0)
    noisy = {name: one + (1 + at) * rng.normal(size=one.shape) for at, (name, one) in enumerate(people.items())}
    found = SharedResponse(4, "probabilistic", standardize=False).fit(noisy).noise_
    np.testing.assert_allclose(list(found.values()), [1, 4, 9, 16], rtol=0.1)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_gcca_equals_the_sum_of_projections(alpha):
    people, _ = world(60, (5, 6, 7), k=3)
    centred = [one - one.mean(0) for one in people.values()]
    values, vectors = slow_maxvar(centred, 3, alpha)
    found = GCCA(3, alpha=alpha, standardize=False).fit(people)
    np.testing.assert_allclose(found.agreement_, values / 3, atol=1e-10)
    np.testing.assert_allclose(np.abs(found.shared_.T @ vectors) / np.sqrt(60), np.eye(3), atol=1e-8)


def test_gcca_sees_through_any_linear_map():
    rng = np.random.default_rng(3)
    people, _ = world(100)
    moved = {name: one @ rng.normal(size=(12, 12)) for name, one in people.items()}
    one, two = GCCA(4, alpha=0.0).fit(people).shared_, GCCA(4, alpha=0.0).fit(moved).shared_
    np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize("name", SPACES)
def test_rotating_one_person_changes_nothing_for_the_others(name):
    people, _ = world(80)
    turn = orthonormal(np.random.default_rng(2), 12, 12)
    moved = {**people, "c": people["c"] @ turn}
    one = SPACES[name](standardize=False, device="cpu").fit(people).transform(people)
    two = SPACES[name](standardize=False, device="cpu").fit(moved).transform(moved)
    for person in people:
        np.testing.assert_allclose(one[person], two[person], atol=1e-5)


@pytest.mark.parametrize("name", SPACES)
def test_a_new_person_joins(name):
    people, _ = world(200, (40,) * 5)
    late = people.pop("e")
    space = SPACES[name]().fit(cut(people, slice(0, 100)))
    space.fit_subject("e", late[:100])
    others = space.transform(cut(people, slice(100, 200)))
    mine = space.transform(late[100:], subject="e")
    assert segments_named({**others, "e": mine}) > 0.9
    assert segments_named({**cut(people, slice(100, 200)), "e": late[100:]}) < 0.5
    back = space.inverse_transform(np.mean(list(others.values()), axis=0), subject="e")
    r = [np.corrcoef(back[:, unit], late[100:, unit])[0, 1] for unit in range(40)]
    assert np.mean(r) > 0.6


@pytest.mark.parametrize("name", SPACES)
def test_one_array_of_all_and_labels(name):
    people, _ = world(60, (6, 7, 8))
    parts = tagged(people)
    X = concat(parts, label="subject")
    space = SPACES[name]().fit(X[:40])
    S = space.transform(X[40:])
    assert isinstance(S, xr.DataArray) and S.dims == ("sample", "unit") and "component" in S.coords
    np.testing.assert_array_equal(S["stimulus"].values, X["stimulus"].values[40:])
    each = SPACES[name]().fit(cut(parts, slice(0, 40))).transform(cut(parts, slice(40, 60)))
    if name != "probabilistic":
        np.testing.assert_allclose(S, np.mean([one.values for one in each.values()], axis=0), atol=1e-9)
    back = space.inverse_transform(S)
    np.testing.assert_array_equal(back["subject"].values, X["subject"].values)
    one = space.inverse_transform(S, subject="b")
    np.testing.assert_array_equal(one.values, back.values[:, X["subject"].values == "b"])
    with pytest.raises(AlignmentError, match="units"):
        space.transform(X[:, ::-1])


def test_hyperalignment_takes_narrow_people_whole():
    people, _ = world(60, (4, 9, 7), k=3)
    space = Hyperalignment(standardize=False).fit(people)
    assert space.n_components_ == 9
    for name, one in people.items():  # distances within a person stay
        there = space.transform(one, subject=name)
        np.testing.assert_allclose(
            np.linalg.norm(there[0] - there[1:], axis=1), np.linalg.norm(one[0] - one[1:], axis=1)
        )
        np.testing.assert_allclose(space.inverse_transform(there, subject=name), one, atol=1e-9)


@pytest.mark.parametrize("name", ["hyperalignment, 4", "deterministic", "probabilistic", "gcca"])
def test_a_person_is_predicted_from_others_and_not_from_strangers(name):
    for related, low, high in ((True, 0.6, 1.0), (False, -0.15, 0.15)):
        people, _ = world(160, noise=1.0, related=related, seed=6)
        parts = tagged(people)
        target = parts.pop("d")
        X = concat(parts, label="subject")
        folds, said = KFold(4, shuffle=True, random_state=1), {"score": "r", "pool": "predictions"}
        result = cross_validate(ThroughSpace(SPACES[name]()), X, target, folds, **said)
        assert low < float(result["score"].mean()) < high


def test_in_a_pipeline_the_space_is_learnt_in_training_folds():
    people, shared = world(160, noise=1.0)
    X = concat(tagged(people), label="subject")
    Y = as_representation(shared[:, :2], stimulus=X["stimulus"].values, kind="features")
    model = make_pipeline(SharedResponse(4), Ridge(alphas=1.0))
    result = cross_validate(model, X, Y, KFold(4), score="r", permutations=19, random_state=0)
    assert float(result["score"].min()) > 0.9
    assert float(result["p"].max()) == pytest.approx(1 / 20)


@pytest.mark.parametrize("name", SPACES)
class TestBadInputs:
    def test_other_samples(self, name):
        parts = tagged(world(40)[0])
        with pytest.raises(AlignmentError, match="another order"):
            SPACES[name]().fit({**parts, "b": parts["b"][::-1]})
        with pytest.raises(AlignmentError, match="missing"):
            SPACES[name]().fit({**parts, "b": parts["b"][:30]})
        with pytest.raises(AlignmentError, match="40 samples and b has 30"):
            SPACES[name]().fit({"a": parts["a"].values, "b": parts["b"].values[:30]})
        with pytest.raises(AlignmentError, match="labelled"):
            SPACES[name]().fit({"a": parts["a"], "b": parts["b"].values})
        space = SPACES[name]().fit(parts)
        with pytest.raises(AlignmentError, match="another order"):
            space.fit_subject("z", parts["a"][::-1])

    def test_one_person(self, name):
        with pytest.raises(DegenerateDataError, match="one person"):
            SPACES[name]().fit({"a": world(40)[0]["a"]})

    def test_nobody_is_named(self, name):
        with pytest.raises(AlignmentError, match="whose units"):
            SPACES[name]().fit(world(40)[0]["a"])
        with pytest.raises(AlignmentError, match="12 units"):
            SPACES[name](by=list("ab")).fit(world(40)[0]["a"])

    def test_constant_units(self, name):
        people, _ = world(40)
        people["b"][:, 3] = 2.0
        with pytest.raises(DegenerateDataError, match="b: 1 of 12 units are constant"):
            SPACES[name]().fit(people)
        SPACES[name](standardize=False).fit(people)

    def test_missing_values(self, name):
        people, _ = world(40)
        people["b"][7, 3] = np.nan
        with pytest.raises(DegenerateDataError):
            SPACES[name]().fit(people)

    def test_names(self, name):
        people, _ = world(40)
        space = SPACES[name]().fit(people)
        with pytest.raises(ValueError, match="subject"):
            space.transform(people["a"], subject="nobody")
        with pytest.raises(ValueError, match="in the space already"):
            space.fit_subject("a", people["a"])
        with pytest.raises(AlignmentError, match="12 were seen"):
            space.transform(people["a"][:, :5], subject="a")
        with pytest.raises(AlignmentError, match="components"):
            space.inverse_transform(np.ones((3, 40)))


@pytest.mark.parametrize("make", [Hyperalignment, SharedResponse, GCCA], ids=lambda make: make.__name__)
def test_too_many_components(make):
    people, _ = world(10)
    with pytest.raises(DegenerateDataError, match="10 centred samples"):
        make(10).fit(people)
    wide, _ = world(60)
    with pytest.raises(DegenerateDataError, match="12 units"):
        make(13).fit(wide)
    with pytest.raises(ValueError, match="n_components"):
        make(0).fit(wide)


def test_gcca_refuses_what_reproduces_everything():
    people, _ = world(10)
    with pytest.raises(DegenerateDataError, match="reproduce any response"):
        GCCA(3, alpha=0.0).fit(people)
    GCCA(3, alpha=0.1).fit(people)
