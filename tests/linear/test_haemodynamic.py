"""Canonical responses: the shapes of nilearn, the runs, a planted response and its lateness, times that cannot be."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from references.linear import slow_convolution, slow_delays, slow_r2
from sklearn.pipeline import make_pipeline

from neurodecode.compute.responses import DURATION, RESPONSES, DoubleGamma
from neurodecode.evaluation import SplitBy, cross_validate
from neurodecode.exceptions import AlignmentError, TimingError
from neurodecode.linear import FIR, HRF, BandedRidge, Delays, Ridge
from neurodecode.representation import as_representation, concat, plain

QUIET = "ignore:The best penalty stands:neurodecode.exceptions.NeurodecodeWarning"


def series(x, runs, tr=2.0, space="words"):
    runs = np.asarray(runs)
    within = np.concatenate([np.arange(np.sum(runs == r)) for r in dict.fromkeys(runs)])
    return as_representation(
        x, stimulus=[f"{r}/{i}" for r, i in zip(runs, within)], kind="features",
        sample={"run": runs, "onset": within * tr}, attrs={"tr": tr},
        unit={"space": np.repeat(space, x.shape[1]), "unit_name": [f"u{i}" for i in range(x.shape[1])]},
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["spm", "glover"])
class TestAgainstNilearn:
    """nilearn samples each response on a fine grid that begins one step late, and has .167 for 1/6."""

    def test_shapes(self, kind):
        from nilearn.glm import first_level

        fine = 0.01
        names = ("hrf", "time_derivative", "dispersion_derivative")
        theirs = [getattr(first_level, f"{kind}_{name}")(fine, oversampling=1) / fine for name in names]
        ours = HRF(kind, ("time", "dispersion"), by=None, tr=fine).fit(np.zeros((600, 1))).taps_ / fine
        late = np.linspace(0, DURATION, theirs[0].size) - fine
        at = np.arange(ours.shape[1]) * fine
        for name, one, two in zip(names, ours, theirs):
            # nilearn's dispersion derivative of Glover has a scale of 1 in the undershoot, its response .9
            tolerance = 0.1 if (kind, name) == ("glover", names[2]) else 2e-3
            assert_allclose(np.interp(late, at, one), two, atol=tolerance * np.abs(two).max())
            assert np.corrcoef(np.interp(late, at, one), two)[0, 1] > 0.9999

    @pytest.mark.parametrize("duration", [0.0, 2.0])
    def test_regressors(self, kind, duration):
        from nilearn.glm.first_level import compute_regressor

        rng = np.random.default_rng(0)
        x, fine, tr = rng.uniform(size=(60, 1)), 400, 2.0
        times = tr * np.arange(60)
        events = np.stack([times + 1e-9, np.full(60, duration), x[:, 0]])
        theirs = compute_regressor(events, kind, times, oversampling=fine)[0][:, 0] * (fine if duration == 0 else 1)
        ours = HRF(kind, duration=duration, by=None, tr=tr).fit_transform(x)[:, 0]
        assert_allclose(ours, theirs, atol=0.01 * np.abs(theirs).max())


class TestShape:
    def test_area_is_the_integral_and_a_constant_feature_settles_at_itself(self):
        fine = np.arange(0, DURATION, 0.001)
        for shape in RESPONSES.values():
            for t in (3.0, 9.0, 40.0):
                assert float(shape.area(t)) == pytest.approx(shape(fine[fine < t]).sum() * 0.001, abs=1e-4)
        for kind in RESPONSES:
            for duration in (0.0, 1.0):
                settled = HRF(kind, duration=duration, by=None, tr=1.0).fit_transform(np.ones((60, 1)))
                assert_allclose(settled[40:], 1.0, atol=2e-3)

    def test_a_response_of_your_own_and_derivatives_of_the_textbook(self):
        early = HRF(DoubleGamma(delay=4.0), by=None, tr=0.5).fit(np.zeros((60, 1))).taps_[0]
        late = HRF(by=None, tr=0.5).fit(np.zeros((60, 1))).taps_[0]
        assert early.argmax() == late.argmax() - 4
        response, slope = HRF(derivatives="time", by=None, tr=0.05).fit(np.zeros((200, 1))).taps_
        assert_allclose(slope[1:-1], np.gradient(response, 0.05)[1:-1], atol=0.05 * np.abs(slope).max())

    def test_duration_zero_is_the_limit(self):
        x = np.random.default_rng(1).normal(size=(40, 2))
        one = HRF(by=None, tr=1.0).fit_transform(x)
        assert_allclose(HRF(duration=1e-4, by=None, tr=1.0).fit_transform(x), one, atol=1e-4)
        assert np.abs(HRF(duration=1.0, by=None, tr=1.0).fit_transform(x) - one).max() > 0.05


class TestRuns:
    @pytest.mark.parametrize("derivatives", [(), ("time", "dispersion")])
    def test_sample_by_sample_and_runs_joined_are_runs_apart(self, derivatives):
        rng = np.random.default_rng(2)
        parts = [series(rng.normal(size=(n, 3)), np.full(n, r)) for r, n in ((2, 25), (1, 9), (3, 30))]
        both = concat(parts, dim="sample")
        model = HRF("glover", derivatives).fit(both)
        together = model.transform(both)
        assert_array_equal(
            together.values, np.concatenate([HRF("glover", derivatives).fit_transform(p) for p in parts])
        )
        assert_allclose(together, slow_convolution(both.values, model.taps_, both["run"].values), atol=1e-12)

    def test_nothing_leaks_from_run_to_run_nor_back_in_time(self):
        x = np.random.default_rng(3).normal(size=(40, 2))
        runs = np.repeat([1, 2], 20)
        changed = x.copy()
        changed[19] += 100.0
        one, two = (plain(HRF().fit_transform(series(each, runs))) for each in (x, changed))
        assert_array_equal(one[:19], two[:19])
        assert_array_equal(one[20:], two[20:])
        changed[5] += 100.0
        three = plain(HRF().fit_transform(series(changed, runs)))
        assert_array_equal(three[:6], one[:6])
        assert not np.allclose(three[7], one[7])

    def test_labels(self):
        X = series(np.random.default_rng(4).normal(size=(30, 2)), np.repeat([1, 2], 15))
        found = HRF(derivatives=["dispersion", "time"]).fit_transform(X)
        names = ["response", "time derivative", "dispersion derivative"]
        assert found["haemodynamic"].values.tolist() == np.repeat(names, 2).tolist()
        assert found["space"].values.tolist() == ["words"] * 6
        assert found["unit_name"].values.tolist() == ["u0", "u1"] * 3
        assert found.attrs["tr"] == 2.0
        assert found.attrs["history"][-1] == "convolved with the response spm and its derivatives (time, dispersion)"
        with pytest.raises(AlignmentError, match="already"):
            HRF().fit_transform(found)


class TestPlantedTruth:
    @staticmethod
    def planted(seed, later=0.0, noise=0.5):
        rng = np.random.default_rng(seed)
        runs = np.repeat([1, 2, 3, 4], 100)
        x, w = rng.normal(size=(400, 4)), rng.normal(size=(4, 6))
        taps = 2.0 * RESPONSES["spm"](2.0 * np.arange(17) - later) / RESPONSES["spm"].area(DURATION)
        y = slow_convolution(x, taps[None], runs) @ w
        return series(x, runs), series(y + noise * y.std() * rng.normal(size=y.shape), runs), w

    def test_a_planted_response_is_found(self):
        X, Y, w = self.planted(5)
        model = make_pipeline(HRF(), Ridge(0.1)).fit(X, Y)
        assert_allclose(model[-1].coef_, w, atol=0.25)
        found = cross_validate(make_pipeline(HRF(), Ridge(1.0)), X, Y, SplitBy("run"), score="r2")
        wrong = cross_validate(make_pipeline(Delays([0.0]), Ridge(1.0)), X, Y, SplitBy("run"), score="r2")
        assert found["score"].values.mean() > 0.7
        assert wrong["score"].values.mean() < 0.1

    @pytest.mark.parametrize("later", [1.0, -1.0])
    def test_the_time_derivative_says_how_late(self, later):
        """h(t - d) is h(t) - d h'(t) to first order, so the weights stand in the ratio -d."""
        X, Y, _ = self.planted(6, later, noise=0.2)
        coef = make_pipeline(HRF(derivatives=["time"]), Ridge(1e-3)).fit(X, Y)[-1].coef_.reshape(2, 4, 6)
        lateness = -(coef[0] * coef[1]).sum() / (coef[0] ** 2).sum()
        assert lateness == pytest.approx(later, abs=0.35)

    @pytest.mark.filterwarnings(QUIET)
    def test_bands_keep_their_functions(self):
        """Words drive the first voxels, sounds the others; all delays of a space stay in its band."""
        rng = np.random.default_rng(7)
        runs = np.repeat([1, 2, 3], 120)
        words, sounds = (series(rng.normal(size=(360, 5)), runs, space=name) for name in ("words", "sounds"))
        taps = HRF(by=None, tr=2.0).fit(np.zeros((40, 1))).taps_
        parts = [slow_convolution(one.values, taps, runs) @ rng.normal(size=(5, 4)) for one in (words, sounds)]
        y = np.concatenate(parts, 1)
        Y = series(y + y.std(0) * rng.normal(size=y.shape), runs)
        X = concat({"words": words, "sounds": sounds}, label="space")
        for time in (HRF(derivatives=["time"]), FIR(0, 12)):
            model = make_pipeline(time, BandedRidge(by="space", n_iter=30, random_state=0)).fit(X, Y)
            of_words = model[-1].band_weights_.sel(band="words").values
            assert of_words[:4].mean() > 0.8
            assert of_words[4:].mean() < 0.2


class TestFir:
    def test_is_delays_at_every_volume_of_the_window(self):
        X = series(np.random.default_rng(8).normal(size=(40, 3)), np.repeat([1, 2], 20))
        expected = Delays([-2.0, 0.0, 2.0, 4.0, 6.0]).fit_transform(X)
        found = FIR(-3, 7.9).fit_transform(X)
        assert_array_equal(found, expected)
        assert_array_equal(found["delay"], expected["delay"])
        assert_array_equal(found, slow_delays(X.values, range(-1, 4), X["run"].values))
        assert FIR(0, 2.9, by=None, tr=0.3).fit(np.zeros((30, 1))).steps_.tolist() == list(range(10))

    @pytest.mark.filterwarnings(QUIET)
    def test_recovers_the_response_that_was_planted(self):
        X, Y, w = TestPlantedTruth.planted(9, noise=0.3)
        coef = make_pipeline(FIR(-4, 20), Ridge([0.1, 1.0, 10.0])).fit(X, Y)[-1].coef_.reshape(-1, 4, 6)
        course = np.einsum("dpt,pt->d", coef, w) / (w**2).sum()
        seconds = np.arange(-4.0, 21.0, 2.0)
        planted = 2.0 * RESPONSES["spm"](seconds) / RESPONSES["spm"].area(DURATION)
        assert_allclose(course, planted, atol=0.05)
        assert seconds[course.argmax()] in (4.0, 6.0)
        assert slow_r2(planted, course) > 0.98

    def test_windows_that_cannot_be(self):
        for start, stop, error, said in (
            (0.5, 1.5, TimingError, "no multiple of the sampling interval 2 s lies between 0.5 and 1.5 s"),
            (4, 0, ValueError, "the first at most the last"),
            (0, np.inf, ValueError, "finite"),
            (0, 5000, TimingError, "Are the delays in seconds"),
        ):
            with pytest.raises(error, match=said):
                FIR(start, stop, by=None, tr=2.0).fit(np.zeros((20, 1)))


class TestTimes:
    def test_repetition_time(self):
        x = np.random.default_rng(0).normal(size=(20, 2))
        X = series(x, np.ones(20, int))
        assert HRF().fit(X).tr_ == 2.0
        with pytest.raises(TimingError, match=r"HRF needs the repetition time: X has no attrs\['tr'\]"):
            HRF().fit(X.assign_attrs(tr=None))
        with pytest.raises(TimingError, match=r"tr=1 s was given, but X.attrs\['tr'\] is 2 s"):
            HRF(tr=1.0).fit(X)
        with pytest.raises(TimingError, match="cannot be sampled every 2000 s"):
            HRF(by=None, tr=2000.0).fit(x)
        with pytest.raises(TimingError, match=r"last 0.04 s .*a response peaks after 5 s"):
            HRF(by=None, tr=0.002).fit(x)
        with pytest.raises(TimingError, match="run 1 last 4 s"):
            HRF().fit(X[:2])
        with pytest.raises(TimingError, match="from 4 to 8 s"):
            HRF().fit(X[[0, 1, 2, 4, 5, 6]])
        with pytest.raises(AlignmentError, match=r"HRF\(by='session'\)"):
            HRF(by="session").fit(X)

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"kind": "smp"}, "kind='smp' is not known. Did you mean 'spm'"),
            ({"derivatives": ["tim"]}, "Did you mean 'time'"),
            ({"derivatives": ["time", "time"]}, "twice"),
            ({"duration": -1.0}, "expected seconds from 0"),
            ({"duration": np.nan}, "expected seconds from 0"),
        ],
    )
    def test_nonsense(self, settings, said):
        with pytest.raises(ValueError, match=said):
            HRF(by=None, tr=2.0, **settings).fit(np.zeros((20, 1)))

    def test_float32_stays(self):
        x = np.ones((20, 2), dtype=np.float32)
        assert HRF(derivatives=["time"], by=None, tr=2.0).fit_transform(x).dtype == np.float32
