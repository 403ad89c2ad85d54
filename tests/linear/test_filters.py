"""Spatial filters: against the textbook and mne, planted sources and their patterns, rank, what must not change."""

from __future__ import annotations

import itertools

import mne
import numpy as np
import pytest
from references.linear import slow_csp, slow_overlap, slow_patterns, slow_spoc, slow_ssd, slow_xdawn
from scipy.linalg import eigh
from sklearn.base import clone
from sklearn.covariance import ledoit_wolf
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

from neurodecode.evaluation import cross_validate
from neurodecode.exceptions import AlignmentError, DegenerateDataError, NeurodecodeWarning, TimingError
from neurodecode.linear import CSP, SSD, LinearClassifier, SPoC, Xdawn
from neurodecode.representation import as_representation

RATE = 100.0
N, SOURCES, TIMES = 60, 8, 200


def mixed(seed, gain, n=N, channels=SOURCES, times=TIMES):
    """White sources with a gain per epoch and source, mixed: (epochs, channels, times) and the mixing."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(channels, channels))
    sources = rng.normal(size=(n, channels, times)) * gain[:, :, None]
    return mixing @ sources, mixing


def two_classes(seed=0, factor=2.0, n=N):
    which = np.random.default_rng(seed + 100).permutation(np.arange(n) % 2)
    gain = np.ones((n, SOURCES))
    gain[which == 0, 3] = factor
    x, mixing = mixed(seed, gain, n)
    return x, which, mixing


def alike(a, b):
    """|cosine| of two vectors."""
    return float(np.abs(a @ b) / np.linalg.norm(a) / np.linalg.norm(b))


def same_up_to_sign(found, known, tol=1e-8):
    sign = np.sign(np.sum(found * known, axis=1, keepdims=True))
    np.testing.assert_allclose(found, sign * known, rtol=tol, atol=tol * np.abs(known).max())


def numbers(seed=0):
    z = np.random.default_rng(seed + 100).uniform(1, 3, size=N)
    gain = np.ones((N, SOURCES))
    gain[:, 5] = z
    x, mixing = mixed(seed, gain)
    return x, z, mixing


def evoked(seed=0, size=1.0):
    x, which, mixing = two_classes(seed, factor=1.0)
    x[which == 1] += size * mixing[:, 2][:, None] * np.exp(-(((np.arange(TIMES) - 80) / 10) ** 2))
    return x, which, mixing


def swinging(seed=0, size=1.0):
    rng = np.random.default_rng(seed)
    x, mixing = mixed(seed, np.ones((N, SOURCES)))
    phase = 2 * np.pi * rng.uniform(size=(N, 1))
    wave = np.sin(2 * np.pi * 10 * np.arange(TIMES) / RATE + phase)
    return x + size * mixing[:, 6][None, :, None] * wave[:, None, :], mixing


def labelled(x, which, **attrs):
    return as_representation(
        x, stimulus=[f"e{i}" for i in range(len(x))], kind="eeg",
        unit={"channel": [f"c{i}" for i in range(x.shape[1])]},
        sample={"category": np.array(["feet", "hands"])[which]},
        time=np.arange(x.shape[2]) / RATE, attrs={"sfreq": RATE, **attrs},
    )  # fmt: skip


class TestAgainstTheTextbook:
    def test_csp(self):
        x, which, _ = two_classes()
        csp = CSP(n_components=SOURCES).fit(x, which)
        values, filters = slow_csp(x, which, SOURCES)
        np.testing.assert_allclose(csp.eigenvalues_, values, rtol=1e-9)
        same_up_to_sign(csp.filters_, filters)
        np.testing.assert_allclose(csp.transform(x), np.log(((csp.filters_ @ x) ** 2).mean(axis=2)), rtol=1e-12)

    def test_spoc(self):
        x, z, _ = numbers()
        spoc = SPoC(n_components=4).fit(x, z)
        values, filters = slow_spoc(x, z, 4)
        np.testing.assert_allclose(spoc.eigenvalues_, values, rtol=1e-8)
        same_up_to_sign(spoc.filters_, filters, 1e-6)

    def test_xdawn(self):
        x, which, _ = evoked()
        xdawn = Xdawn(n_components=3).fit(x, which)
        for k in (0, 1):
            values, filters = slow_xdawn(x, which == k, 3)
            np.testing.assert_allclose(xdawn.eigenvalues_[3 * k : 3 * k + 3], values, rtol=1e-8)
            same_up_to_sign(xdawn.filters_[3 * k : 3 * k + 3], filters, 1e-6)
        np.testing.assert_allclose(xdawn.transform(x), xdawn.filters_ @ x, rtol=1e-10)

    @pytest.mark.parametrize("length", [200, 199])
    def test_ssd(self, length):
        x = swinging()[0][:6, :, :length]
        ssd = SSD((9, 11), n_components=4, flank=3, gap=1, sfreq=RATE).fit(x)
        values, filters = slow_ssd(x, RATE, 9, 11, 3, 1, 4)
        np.testing.assert_allclose(ssd.eigenvalues_, values, rtol=1e-7)
        sign = np.sign(np.sum(ssd.filters_ * filters, axis=1, keepdims=True))
        size = np.linalg.norm(filters, axis=1, keepdims=True) / np.linalg.norm(ssd.filters_, axis=1, keepdims=True)
        np.testing.assert_allclose(sign * size * ssd.filters_, filters, rtol=1e-5, atol=1e-7)

    def test_patterns_are_the_regression_on_the_components(self):
        x, which, _ = two_classes()
        for made in (CSP(3).fit(x, which), SPoC(2).fit(x, which + 1.0), SSD((8, 12), 2, sfreq=RATE).fit(x)):
            np.testing.assert_allclose(made.patterns_, slow_patterns(x, made.filters_), rtol=1e-7, atol=1e-9)

    def test_shrinkage_is_that_of_ledoit_and_wolf(self):
        x, which, _ = two_classes()
        found = CSP(2, shrinkage="auto").fit(x, which)
        one, two = (ledoit_wolf(np.concatenate([e.T for e in x[which == k]]), assume_centered=True)[0] for k in (0, 1))
        for value, w in zip(found.eigenvalues_, found.filters_):
            np.testing.assert_allclose(one @ w, value * (one + two) @ w, atol=1e-9 * np.abs(one @ w).max())
        half = CSP(2, shrinkage=1.0).fit(x, which)
        assert np.ptp(half.eigenvalues_) < 1e-12, "shrunk to the identity, every direction has the same share"

    def test_normalised_epochs_count_the_same(self):
        x, which, _ = two_classes()
        loud = x * np.random.default_rng(5).uniform(0.1, 10, size=(N, 1, 1))
        quiet = x / np.sqrt((x**2).sum(axis=1).mean(axis=1))[:, None, None]
        plain = CSP(4).fit(quiet, which)
        np.testing.assert_allclose(CSP(4, normalize=True).fit(loud, which).eigenvalues_, plain.eigenvalues_)
        assert np.abs(CSP(4).fit(loud, which).eigenvalues_ - plain.eigenvalues_).max() > 1e-3


class TestAgainstMne:
    def test_csp(self):
        x, which, _ = two_classes()
        x -= x.mean(axis=2, keepdims=True)
        theirs = mne.decoding.CSP(n_components=4, log=True, cov_est="concat").fit(x, which)
        mine = CSP(4).fit(x, which)
        for w, a, their_w, their_a in zip(mine.filters_, mine.patterns_, theirs.filters_, theirs.patterns_):
            assert alike(w, their_w) > 1 - 1e-8
            assert alike(a, their_a) > 1 - 1e-8
        ours, known = mine.transform(x), theirs.transform(x)
        np.testing.assert_allclose(ours - ours.mean(0), known - known.mean(0), atol=1e-6)

    def test_spoc(self):
        x, z, _ = numbers()
        x -= x.mean(axis=2, keepdims=True)
        theirs = mne.decoding.SPoC(n_components=3, log=True).fit(x, z)
        mine = SPoC(3).fit(x, z)
        for w, their_w in zip(mine.filters_, theirs.filters_):
            assert alike(w, their_w) > 1 - 1e-8

    def test_xdawn(self):
        x, which, _ = evoked(size=2.0)
        theirs = mne.decoding.XdawnTransformer(n_components=1).fit(x, which)
        mine = Xdawn(1).fit(x, which)
        assert alike(mine.filters_[1], theirs.filters_[1, 0]) > 0.999


class TestPlanted:
    def test_csp_finds_the_source_whose_power_differs(self):
        x, which, mixing = two_classes(seed=1, n=200)
        csp = CSP(4).fit(x, which)
        assert csp.eigenvalues_[0] == pytest.approx(0.8, abs=0.01), "four times the power: 4 of 5"
        assert alike(csp.patterns_[0], mixing[:, 3]) > 0.999
        assert alike(csp.patterns_[1], mixing[:, 3]) < 0.9
        assert np.abs(csp.eigenvalues_[1:] - 0.5).max() < 0.03, "the others differ by chance"
        assert csp.component_of_[0] == "0" and csp.classes_.tolist() == [0, 1]

    def test_nothing_planted_nothing_found(self):
        x, which, _ = two_classes(seed=2, factor=1.0, n=200)
        csp = CSP(4).fit(x, which)
        assert np.abs(csp.eigenvalues_ - 0.5).max() < 0.03

    def test_classification_of_held_out_epochs(self):
        x, which, _ = two_classes(seed=3)
        model = make_pipeline(CSP(4), LinearClassifier("lda"))
        X = labelled(x, which)
        found = cross_validate(model, X, X["category"], StratifiedKFold(5), score="accuracy", pool="predictions")
        assert found["score"].item() > 0.95
        x, which, _ = two_classes(seed=4, factor=1.0)
        X = labelled(x, which)
        null = cross_validate(model, X, X["category"], StratifiedKFold(5), score="accuracy", pool="predictions")
        assert null["score"].item() < 0.7

    def test_many_classes_take_turns(self):
        rng = np.random.default_rng(6)
        which = rng.permutation(np.arange(90) % 3)
        gain = np.ones((90, SOURCES))
        gain[np.arange(90), which] = 2.0
        x, mixing = mixed(6, gain, 90)
        csp = CSP(4).fit(x, np.array(["a", "b", "c"])[which])
        assert csp.component_of_.tolist() == ["a", "a", "b", "c"]
        for component, source in ((0, 0), (2, 1), (3, 2)):
            assert alike(csp.patterns_[component], mixing[:, source]) > 0.99
            assert csp.eigenvalues_[component] == pytest.approx(4 / 6, abs=0.03)

    def test_spoc_finds_the_source_that_follows(self):
        x, z, mixing = numbers(seed=1)
        spoc = SPoC(2).fit(x, z)
        assert alike(spoc.patterns_[0], mixing[:, 5]) > 0.99
        assert alike(spoc.patterns_[1], mixing[:, 5]) < 0.9
        other, _, _ = numbers(seed=2)
        power = spoc.transform(x)
        assert np.corrcoef(power[:, 0], z)[0, 1] > 0.9 and abs(np.corrcoef(power[:, 1], z)[0, 1]) < 0.5
        null = SPoC(2).fit(other, np.random.default_rng(9).permutation(z))
        assert np.abs(null.eigenvalues_).max() < 0.5 * spoc.eigenvalues_[0]

    def test_xdawn_finds_the_response(self):
        x, which, mixing = evoked(seed=1, size=2.0)
        xdawn = Xdawn(1).fit(x, which)
        assert alike(xdawn.patterns_[1], mixing[:, 2]) > 0.98
        course = xdawn.transform(x)[which == 1][:, 1].mean(axis=0)
        assert abs(int(np.argmax(np.abs(course))) - 80) <= 3
        assert xdawn.eigenvalues_[1] > 2 * xdawn.eigenvalues_[0], "the other class has no response"

    def test_ssd_finds_the_oscillation(self):
        x, mixing = swinging(seed=1)
        ssd = SSD((9, 11), 2, sfreq=RATE).fit(x)
        assert alike(ssd.patterns_[0], mixing[:, 6]) > 0.99
        assert ssd.eigenvalues_[0] > 5 * ssd.eigenvalues_[1]
        beside = SSD((20, 22), 2, sfreq=RATE).fit(x)
        assert beside.eigenvalues_[0] < 2, "nothing swings there"

    def test_ssd_of_a_continuous_recording(self):
        x, mixing = swinging(seed=1)
        long = np.concatenate(list(x), axis=1).T
        ssd = SSD((9, 11), 1, sfreq=RATE).fit(long)
        assert alike(ssd.patterns_[0], mixing[:, 6]) > 0.99
        assert ssd.transform(long).shape == (N * TIMES, 1)


class TestOverlap:
    LENGTH = 40

    def crowded(self, seed=0, size=1.0):
        """A recording whose events come before the last response is over: (channels, samples), starts, classes."""
        rng = np.random.default_rng(seed)
        starts = np.cumsum(rng.integers(12, 34, size=150))
        which = rng.permutation(np.arange(150) % 3 == 0).astype(int)
        recording = rng.normal(size=(SOURCES, starts[-1] + self.LENGTH))
        mixing = rng.normal(size=(SOURCES, SOURCES))
        t = np.arange(self.LENGTH)
        course = np.stack([np.exp(-(((t - 6) / 3) ** 2)), np.exp(-(((t - 25) / 5) ** 2))])
        for start, k in zip(starts, which):
            recording[k, start : start + self.LENGTH] += size * course[k]
        return mixing @ recording, starts, which, mixing, course

    def epochs(self, recording, starts, which, rate=RATE, run=None):
        x = np.stack([recording[:, s : s + self.LENGTH] for s in starts])
        X = labelled(x, which)
        runs = {} if run is None else {"run": ("sample", run)}
        return X.assign_coords(onset=("sample", starts / rate), **runs)

    def test_equals_the_regression_of_the_recording(self):
        recording, starts, which, _, _ = self.crowded()
        made = Xdawn(2, overlap=True).fit(X := self.epochs(recording, starts, which), X["category"])
        responses, filters = slow_overlap(recording, starts, which, self.LENGTH, 2)
        np.testing.assert_allclose(made.responses_, responses, rtol=1e-7, atol=1e-8)
        for w, v in zip(made.filters_, filters):
            assert alike(w, v) > 1 - 1e-8

    def test_mne_finds_the_same_responses(self):
        recording, starts, which, _, _ = self.crowded()
        # In mne the window of the first event has to be over before the second.
        starts, recording = starts.copy(), np.pad(recording, ((0, 0), (0, self.LENGTH)))
        starts[1:] += self.LENGTH
        X = self.epochs(recording, starts, which)
        info = mne.create_info(SOURCES, RATE, "eeg")
        events = np.stack([starts, np.zeros_like(starts), which], axis=1)
        theirs = mne.preprocessing.Xdawn(1, correct_overlap=True)
        theirs.fit(mne.EpochsArray(X.values, info, events, tmin=0.0, baseline=None, verbose=False))
        made = Xdawn(1, overlap=True).fit(X, X["category"])
        for k, found in enumerate(made.responses_):
            np.testing.assert_allclose(found, theirs.evokeds_[str(k)].data, atol=1e-8)
            assert alike(made.filters_[k], theirs.filters_[str(k)][0]) > 0.99

    def test_planted_responses_come_apart_and_averages_do_not(self):
        recording, starts, which, mixing, course = self.crowded(seed=1, size=5.0)
        X = self.epochs(recording, starts, which)
        apart = Xdawn(1, overlap=True).fit(X, X["category"]).responses_
        blurred = Xdawn(1).fit(X, X["category"]).responses_
        planted = np.stack([5 * mixing[:, k, None] * course[k] for k in (0, 1)])
        error = [((found - planted) ** 2).sum() / (planted**2).sum() for found in (apart, blurred)]
        assert error[0] < 0.1 < error[1]
        none, starts, which, _, _ = self.crowded(seed=2, size=0.0)
        X = self.epochs(none, starts, which)
        assert Xdawn(1, overlap=True).fit(X, X["category"]).eigenvalues_.max() < 0.5

    def test_without_overlap_it_is_the_average(self):
        x, which, _ = evoked()
        X = labelled(x, which).assign_coords(onset=("sample", 5.0 * np.arange(N)))
        one, two = (Xdawn(2, overlap=overlap).fit(X, X["category"]) for overlap in (True, False))
        np.testing.assert_allclose(one.responses_, two.responses_, atol=1e-9)
        np.testing.assert_allclose(one.eigenvalues_, two.eigenvalues_, rtol=1e-8)

    def test_runs_do_not_overlap(self):
        recording, starts, which, _, _ = self.crowded()
        run = np.repeat([1, 2], 75)
        later = np.where(run == 1, starts, starts - starts[75])  # both runs start at 0
        X = self.epochs(recording, starts, which, run=run)
        X["onset"] = ("sample", later / RATE)
        shifted = X.assign_coords(onset=("sample", (later + 100_000 * run) / RATE)).drop_vars("run")
        one, two = (Xdawn(1, overlap=True).fit(some, some["category"]) for some in (X, shifted))
        np.testing.assert_allclose(one.responses_, two.responses_, atol=1e-9)

    def test_what_is_refused(self):
        recording, starts, which, _, _ = self.crowded()
        X = self.epochs(recording, starts, which)
        with pytest.raises(TimingError, match="onset"):
            Xdawn(overlap=True).fit(X.drop_vars("onset"), X["category"])
        with pytest.raises(TimingError, match="onset"):
            Xdawn(overlap=True).fit(X.values, which)
        X["onset"] = X["onset"] + 0.004 * (np.arange(150) % 2)
        with pytest.raises(TimingError, match="decimated"):
            Xdawn(overlap=True).fit(X, X["category"])


class TestRuns:
    def test_runs_are_windows_of_their_own(self):
        x, mixing = swinging(seed=1)
        lengths = (1200, 800, 1600)
        edges = np.cumsum([0, *lengths])
        long = np.concatenate(list(x[:18]), axis=1).T
        run = np.repeat([1, 2, 3], lengths)
        jumps = long + 50 * np.random.default_rng(3).normal(size=(3, SOURCES))[run - 1]
        X = as_representation(
            jumps, stimulus=[f"t{i}" for i in range(len(long))], kind="eeg", sample={"run": run}, attrs={"sfreq": RATE}
        )
        made = SSD((9, 11), 3, by="run").fit(X)
        assert alike(made.patterns_[0], mixing[:, 6]) > 0.99
        signal, noise = np.zeros((2, SOURCES, SOURCES))
        for a, b in itertools.pairwise(edges):
            one = SSD((9, 11), SOURCES, sfreq=RATE)
            one._arranged(long[a:b, :, None], None)
            (problem,) = one._problems(long[a:b].T[None], None)
            signal, noise = signal + (b - a) * problem.signal, noise + (b - a) * problem.noise
        values, vectors = eigh(signal, noise)
        np.testing.assert_allclose(made.eigenvalues_, values[::-1][:3], rtol=1e-8)
        assert all(alike(w, v) > 1 - 1e-8 for w, v in zip(made.filters_, vectors.T[::-1]))
        level = SSD((9, 11), 3, by="run").fit(X.copy(data=long))
        np.testing.assert_allclose(made.eigenvalues_, level.eigenvalues_, rtol=1e-8)
        same_up_to_sign(made.patterns_, level.patterns_, 1e-6)
        one, two = (SSD((9, 11), 3).fit(X.copy(data=values)).eigenvalues_ for values in (long, jumps))
        assert np.abs(one / two - 1).max() > 1e-3, "windows over the edges see the jumps"

    def test_what_is_refused(self):
        x = swinging()[0]
        long = np.concatenate(list(x[:4]), axis=1).T
        with pytest.raises(AlignmentError, match="no such coordinate"):
            SSD((9, 11), by="run", sfreq=RATE).fit(long)
        run = np.tile([1, 2], len(long) // 2)
        X = as_representation(long, stimulus=[f"t{i}" for i in range(len(long))], kind="eeg", sample={"run": run})
        with pytest.raises(AlignmentError, match="sort them by run"):
            SSD((9, 11), by="run", sfreq=RATE).fit(X)
        X["run"] = ("sample", np.repeat([1, 2], [10, len(long) - 10]))
        with pytest.raises(TimingError, match=r"runs of 0\.1 s"):
            SSD((9, 11), by="run", sfreq=RATE).fit(X)


MADE = {
    "CSP": (lambda: CSP(3), lambda: two_classes()[:2]),
    "CSP, shrunk": (lambda: CSP(3, shrinkage=0.1), lambda: two_classes()[:2]),
    "SPoC": (lambda: SPoC(3), lambda: numbers()[:2]),
    "Xdawn": (lambda: Xdawn(2), lambda: evoked()[:2]),
    "SSD": (lambda: SSD((9, 11), 3, sfreq=RATE), lambda: (swinging()[0], None)),
}


@pytest.mark.parametrize("name", MADE)
class TestWhatMustNotChange:
    def test_mixing_the_channels(self, name):
        make, data = MADE[name]
        (x, y), rng = data(), np.random.default_rng(8)
        mixing = rng.normal(size=(SOURCES, SOURCES))
        if "shrunk" in name:
            mixing = np.linalg.qr(mixing)[0]  # an identity to shrink to stays one under rotations alone
        before, after = make().fit(x, y), make().fit(mixing @ x, y)
        np.testing.assert_allclose(after.eigenvalues_, before.eigenvalues_, rtol=1e-6)
        same_up_to_sign(after.patterns_, before.patterns_ @ mixing.T, 1e-5)

    def test_order_of_epochs_and_channels(self, name):
        make, data = MADE[name]
        x, y = data()
        rng = np.random.default_rng(8)
        epochs, channels = rng.permutation(N), rng.permutation(SOURCES)
        before = make().fit(x, y)
        after = make().fit(x[epochs][:, channels], None if y is None else y[epochs])
        same_up_to_sign(after.filters_, before.filters_[:, channels], 1e-6)
        np.testing.assert_allclose(after.eigenvalues_, before.eigenvalues_, rtol=1e-6)

    def test_volts_and_microvolts(self, name):
        make, data = MADE[name]
        x, y = data()
        before, after = make().fit(x, y), make().fit(x * 1e-6, y)
        np.testing.assert_allclose(after.eigenvalues_, before.eigenvalues_, rtol=1e-8)
        np.testing.assert_allclose(after.patterns_, before.patterns_ * 1e-6, rtol=1e-6, atol=1e-14)

    def test_average_reference_costs_one_and_nothing_else(self, name):
        make, data = MADE[name]
        x, y = data()
        x = x - x.mean(axis=1, keepdims=True)
        made = make().fit(x, y)
        assert made.rank_ == SOURCES - 1
        assert np.isfinite(made.filters_).all() and np.abs(made.filters_).max() < 1e3
        fewer = make().fit(x[:, 1:], y)
        if "shrunk" not in name:
            np.testing.assert_allclose(made.eigenvalues_, fewer.eigenvalues_, rtol=1e-6)
            same_up_to_sign(made.patterns_[:, 1:], fewer.patterns_, 1e-5)
        np.testing.assert_allclose(made.patterns_.sum(axis=1), 0, atol=1e-9 * np.abs(made.patterns_).max())

    def test_a_repeated_and_a_dead_channel(self, name):
        make, data = MADE[name]
        x, y = data()
        more = np.concatenate([x, x[:, :1], np.zeros_like(x[:, :1])], axis=1)
        made, plain = make().fit(more, y), make().fit(x, y)
        assert made.rank_ == SOURCES
        assert (made.filters_[:, -1] == 0).all() and np.abs(made.patterns_[:, -1]).max() < 1e-12
        if "shrunk" not in name:
            np.testing.assert_allclose(made.eigenvalues_, plain.eigenvalues_, rtol=1e-6)

    def test_labels(self, name):
        make, data = MADE[name]
        x, y = data()
        which = np.zeros(N, dtype=int) if y is None else (np.asarray(y) > np.median(y)).astype(int)
        X = labelled(x, which)
        target = None if y is None else X["category"] if name != "SPoC" else X[:, 0, 0].copy(data=y)
        made = make().fit(X, target)
        out = made.transform(X)
        assert out.dims[:2] == ("sample", "unit") and out["component"].values.tolist() == list(range(out.sizes["unit"]))
        np.testing.assert_array_equal(out["stimulus"].values, X["stimulus"].values)
        known = made.to_dataset()
        assert known["pattern"].dims == ("component", "unit")
        assert known["channel"].values.tolist() == [f"c{i}" for i in range(SOURCES)]
        if y is not None:
            with pytest.raises(AlignmentError, match="match"):
                make().fit(X[::-1], target)
        with pytest.raises(AlignmentError, match="channel"):
            made.transform(X[:, ::-1])


class TestWhatIsRefused:
    def test_values(self):
        x, which, _ = two_classes()
        broken = labelled(x.copy(), which)
        broken[4, 2, 7] = np.nan
        with pytest.raises(DegenerateDataError, match="e4"):
            CSP().fit(broken, broken["category"])
        with pytest.raises(DegenerateDataError, match="one class"):
            CSP().fit(x, np.zeros(N))
        with pytest.raises(DegenerateDataError, match="zero throughout"):
            CSP().fit(x * 0, which)
        with pytest.raises(DegenerateDataError, match="NaN"):
            Xdawn().fit(x, np.where(which, 1.0, np.nan))
        with pytest.raises(DegenerateDataError, match=r"2\.5 throughout"):
            SPoC().fit(x, np.full(N, 2.5))
        with pytest.raises(DegenerateDataError, match="NaN"):
            SPoC().fit(x, np.where(which, 1.0, np.nan))
        quiet = x.copy()
        quiet[5] = 0
        with pytest.raises(DegenerateDataError, match="no power"):
            CSP().fit(x, which).transform(quiet)
        assert np.isfinite(CSP(log=False).fit(x, which).transform(quiet)).all()
        with pytest.raises(DegenerateDataError, match="cannot be normalised"):
            CSP(normalize=True).fit(quiet, which)

    def test_shapes_and_arguments(self):
        x, which, _ = two_classes()
        with pytest.raises(ValueError, match="requires y"):
            CSP().fit(x)
        with pytest.raises(AlignmentError, match="samples, channels, times"):
            CSP().fit(x[None], which)
        with pytest.raises(ValueError, match="n_components"):
            CSP(n_components=0).fit(x, which)
        with pytest.raises(ValueError, match="shrinkage"):
            CSP(shrinkage=1.5).fit(x, which)
        with pytest.raises(ValueError, match="auto"):
            CSP(shrinkage="oas").fit(x, which)
        with pytest.warns(NeurodecodeWarning, match=r"12 components were asked for, and 8 channels of rank 8"):
            assert CSP(12).fit(x, which).filters_.shape == (8, 8)
        token = labelled(x, which).rename(time="token").drop_vars("token")
        with pytest.raises(AlignmentError, match="expects"):
            CSP().fit(token, which)

    def test_rates(self):
        x = swinging()[0]
        with pytest.raises(TimingError, match="needs the rate"):
            SSD((9, 11)).fit(x)
        with pytest.raises(TimingError, match="over"):
            SSD((30, 60), sfreq=RATE).fit(x)
        with pytest.raises(TimingError, match="longer epochs"):
            SSD((9.1, 9.3), sfreq=RATE).fit(x)
        with pytest.raises(TimingError, match="given"):
            SSD((9, 11), sfreq=200.0).fit(labelled(x, np.zeros(N, dtype=int)))
        with pytest.raises(ValueError, match="low < high"):
            SSD((11, 9), sfreq=RATE).fit(x)
        assert SSD((9, 11), 2).fit(labelled(x, np.zeros(N, dtype=int))).sfreq_ == RATE


def test_a_grid_search_compares_different_models():
    x, which, _ = two_classes(seed=5, factor=1.2)
    model = make_pipeline(CSP(2), LinearClassifier("lda"))
    search = GridSearchCV(model, {"csp__shrinkage": [None, 1.0]}, cv=3).fit(x, which)
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] != scores[1]
    again = clone(CSP()).set_params(shrinkage=1.0).fit(x, which)
    np.testing.assert_array_equal(again.filters_, CSP(shrinkage=1.0).fit(x, which).filters_)


def test_samples_by_channels_is_one_time_each():
    x, which, _ = two_classes()
    np.testing.assert_array_equal(CSP(2).fit(x[:, :, 0], which).filters_, CSP(2).fit(x[:, :, :1], which).filters_)
