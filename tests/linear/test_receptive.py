"""Temporal response functions: mne's coefficients, planted kernels and their sign, smoothness, patterns, faults."""

import mne
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from references.linear import slow_delays, slow_r2, slow_smooth_ridge
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge as Theirs
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.evaluation import SCORES, SplitBy, cross_validate
from neurodecode.exceptions import AlignmentError, CapacityError, DegenerateDataError, NeurodecodeWarning, TimingError
from neurodecode.linear import BandedRidge, Delays, Ridge, TemporalResponse, chain_time
from neurodecode.representation import Labelled, as_representation, concat

QUIET = "ignore:The best penalty stands:neurodecode.exceptions.NeurodecodeWarning"
SFREQ = 100.0
SIDES = {"stimulus": ("features", "feature"), "sensors": ("eeg", "channel")}


def series(x, runs, side="stimulus", sfreq=SFREQ):
    runs = np.asarray(runs)
    within = np.concatenate([np.arange(np.sum(runs == r)) for r in dict.fromkeys(runs)])
    kind, unit = SIDES[side]
    return as_representation(
        x, stimulus=[f"{r}/{i}" for r, i in zip(runs, within)], kind=kind, attrs={"sfreq": sfreq},
        sample={"run": runs, "onset": within / sfreq}, unit={unit: [f"{unit[0]}{i}" for i in range(x.shape[1])]},
    )  # fmt: skip


def trials(x, side="stimulus", sfreq=SFREQ):
    kind, unit = SIDES[side]
    return as_representation(
        x, stimulus=[f"s{i}" for i in range(len(x))], kind=kind, attrs={"sfreq": sfreq},
        time=np.arange(x.shape[2]) / sfreq, sample={"run": np.arange(len(x)) // 2},
        unit={unit: [f"{unit[0]}{i}" for i in range(x.shape[1])]},
    )  # fmt: skip


def kernel(lags, peak=0.1, width=0.03):
    return np.exp(-0.5 * ((lags - peak) / width) ** 2)


def planted(seed, n=4000, runs=4, noise=1.0, features=2, sensors=5, peak=0.1):
    """White features whose kernel peaks at ``peak`` seconds, seen by sensors at a signal-to-noise ratio of 1."""
    rng = np.random.default_rng(seed)
    run = np.repeat(np.arange(runs), n // runs)
    x = rng.normal(size=(n, features))
    steps = np.arange(0, 21)
    taps = kernel(steps / SFREQ, peak)
    lagged = slow_delays(x, steps, run).reshape(n, len(steps), features)
    mixing = rng.normal(size=(features, sensors))
    clean = np.einsum("nlp,l,pt->nt", lagged, taps, mixing)
    y = clean + noise * clean.std(0) * rng.normal(size=clean.shape)
    return series(x, run), series(y, run, "sensors"), mixing


class TestAgainstMne:
    """Same delays, same zeros at the edges; mne's own ridge centres X and y as a whole, and so do we."""

    @pytest.mark.parametrize(("tmin", "tmax"), [(-0.03, 0.05), (0.02, 0.06), (-0.06, -0.01), (0.0, 0.0)])
    def test_continuous(self, tmin, tmax):
        rng = np.random.default_rng(0)
        x, y = rng.normal(2.0, 1, size=(400, 3)), rng.normal(-1.0, 1, size=(400, 4))
        theirs = mne.decoding.ReceptiveField(tmin, tmax, SFREQ, estimator=7.0, scoring="r2").fit(x, y)
        ours = TemporalResponse(tmin, tmax, Ridge(7.0, fit_intercept=False), by=None, sfreq=SFREQ).fit(x, y)
        assert_allclose(ours.coef_, theirs.coef_.transpose(1, 2, 0), atol=1e-8)
        assert_allclose(ours.lags_, theirs.delays_ / SFREQ)
        valid = theirs.valid_samples_
        assert_allclose(ours.predict(x)[valid], theirs.predict(x)[valid], atol=1e-8)
        assert_allclose(slow_r2(y[valid], ours.predict(x)[valid]), theirs.score(x, y), atol=1e-8)

    def test_trials(self):
        rng = np.random.default_rng(1)
        x, y = rng.normal(size=(6, 3, 80)), rng.normal(size=(6, 2, 80))
        theirs = mne.decoding.ReceptiveField(-0.02, 0.04, SFREQ, estimator=3.0).fit(
            x.transpose(2, 0, 1), y.transpose(2, 0, 1)
        )
        for X, Y in ((x, y), (trials(x), trials(y, "sensors"))):
            ours = TemporalResponse(-0.02, 0.04, Ridge(3.0, fit_intercept=False), sfreq=SFREQ).fit(X, Y)
            assert_allclose(ours.coef_, theirs.coef_.transpose(1, 2, 0), atol=1e-8)
            found = ours.predict(X)
            valid = theirs.valid_samples_
            assert_allclose(
                np.asarray(found)[:, :, valid],
                theirs.predict(x.transpose(2, 0, 1))[valid].transpose(1, 2, 0),
                atol=1e-8,
            )

    def test_another_estimator(self):
        """Without intercepts and with features of mean zero mne's lagged features are ours."""
        rng = np.random.default_rng(2)
        x, y = rng.normal(size=(300, 2)), rng.normal(size=(300, 3))
        x, y = x - x.mean(0), y - y.mean(0)
        theirs = mne.decoding.ReceptiveField(-0.02, 0.03, SFREQ, estimator=Theirs(5.0, fit_intercept=False)).fit(x, y)
        for inner in (Ridge(5.0, fit_intercept=False), Theirs(5.0, fit_intercept=False)):
            ours = TemporalResponse(-0.02, 0.03, inner, by=None, sfreq=SFREQ).fit(x, y)
            assert_allclose(ours.coef_, theirs.coef_.transpose(1, 2, 0), atol=1e-10)
            assert_allclose(ours.predict(x), theirs.predict(x), atol=1e-10)

    def test_smooth_in_the_limit_is_their_laplacian(self):
        rng = np.random.default_rng(3)
        x, y = rng.normal(size=(400, 2)), rng.normal(size=(400, 3))
        inner = mne.decoding.TimeDelayingRidge(-0.02, 0.06, SFREQ, alpha=50.0, reg_type=["laplacian", "ridge"])
        theirs = inner.fit(x, y).coef_.transpose(1, 2, 0)
        much = 1e7
        ours = TemporalResponse(
            -0.02, 0.06, Ridge(50.0 / much, fit_intercept=False), by=None, sfreq=SFREQ, smooth=much
        ).fit(x, y)
        assert_allclose(ours.coef_, theirs, atol=1e-6)

    def test_patterns_of_one_target_are_theirs_up_to_a_factor(self):
        X, Y, _ = planted(4, n=1000)
        theirs = mne.decoding.ReceptiveField(-0.15, 0.0, SFREQ, estimator=10.0, patterns=True)
        theirs.fit(Y.values, X.values[:, :1])
        ours = TemporalResponse(-0.15, 0.0, Ridge(10.0, fit_intercept=False), patterns=True, by=None)
        ours.fit(Y.drop_vars("onset"), X[:, :1].drop_vars("onset"))
        mine, other = ours.patterns_.ravel(), np.asarray(theirs.patterns_).ravel()
        assert np.corrcoef(mine, other)[0, 1] > 1 - 1e-8


class TestAgainstTheTwin:
    @pytest.mark.parametrize("smooth", [0.0, 3.0])
    def test_penalty_by_its_formula(self, smooth):
        rng = np.random.default_rng(5)
        runs = np.repeat([0, 1], [150, 110])
        x, y = rng.normal(1.0, 1, size=(260, 3)), rng.normal(size=(260, 2))
        model = TemporalResponse(-0.02, 0.03, Ridge(4.0, fit_intercept=False), smooth=smooth)
        model.fit(series(x, runs), series(y, runs, "sensors"))
        steps = range(-2, 4)
        design = slow_delays(x - x.mean(0), steps, runs)
        expected = slow_smooth_ridge(design, y - y.mean(0), len(steps), 4.0, smooth)
        assert_allclose(model.coef_, expected, atol=1e-10)
        assert_allclose(
            model.predict(series(x, runs)), design @ expected.transpose(1, 0, 2).reshape(18, 2) + y.mean(0), atol=1e-10
        )

    def test_is_delays_and_ridge(self):
        X, Y, _ = planted(6, n=800)
        centred = X.copy(data=X.values - X.values.mean(0))
        steps = np.arange(0, 6) / SFREQ
        lagged = Delays(steps).fit_transform(centred.assign_attrs(tr=1 / SFREQ))
        expected = Ridge(2.0).fit(lagged, Y)
        model = TemporalResponse(0, 0.05, Ridge(2.0)).fit(X, Y)
        assert_allclose(model.coef_.transpose(1, 0, 2).reshape(12, 5), expected.coef_, atol=1e-10)
        assert_allclose(model.predict(X), expected.predict(lagged), atol=1e-10)

    def test_runs_joined_are_runs_apart(self):
        X, Y, _ = planted(7, n=800)
        model = TemporalResponse(-0.03, 0.05, Ridge(2.0)).fit(X, Y)
        parts = [model.predict(X[X["run"].values == run]) for run in range(4)]
        assert_allclose(model.predict(X).values, concat(parts, dim="sample").values, atol=1e-12)
        changed = X.copy(deep=True)
        changed[X["run"].values == 1] += 50.0
        assert_array_equal(model.predict(changed)[X["run"].values == 2], model.predict(X)[X["run"].values == 2])


class TestPlantedTruth:
    @pytest.mark.filterwarnings(QUIET)
    def test_forward_finds_the_kernel_at_its_lag(self):
        X, Y, mixing = planted(8)
        model = TemporalResponse(-0.1, 0.2, Ridge([1.0, 10.0, 100.0])).fit(X, Y)
        course = np.einsum("plt,pt->l", model.coef_, mixing) / (mixing**2).sum()
        assert model.lags_[course.argmax()] == pytest.approx(0.1)
        assert np.corrcoef(course, kernel(model.lags_))[0, 1] > 0.99
        assert np.abs(course[model.lags_ < 0]).max() < 0.1 * course.max()

    @pytest.mark.filterwarnings(QUIET)
    def test_backward_reads_the_stimulus_from_later_sensors_and_patterns_show_where(self):
        X, Y, mixing = planted(9, features=1)
        model = TemporalResponse(-0.2, 0.1, Ridge([1.0, 10.0, 100.0]), patterns=True).fit(Y, X)
        at = np.abs(model.lags_ + 0.1).argmin()
        assert model.lags_[np.abs(model.patterns_).sum((0, 2)).argmax()] == pytest.approx(-0.1, abs=0.021)
        assert abs(np.corrcoef(model.patterns_[:, at, 0], mixing[0])[0, 1]) > 0.98
        train, test = X["run"].values < 3, X["run"].values == 3
        score = {}
        for window in ((-0.2, 0.0), (0.02, 0.2)):
            fitted = TemporalResponse(*window, Ridge([1.0, 10.0, 100.0])).fit(Y[train], X[train])
            score[window] = slow_r2(X[test].values, fitted.predict(Y[test]).values)[0]
        assert score[-0.2, 0.0] > 0.15  # of white samples the kernel lets pass the share below 10 Hz
        assert score[0.02, 0.2] < 0.05

    def test_a_sensor_that_only_cancels_noise_has_weight_but_no_pattern(self):
        rng = np.random.default_rng(10)
        s, noise = rng.normal(size=(6000, 1)), 3 * rng.normal(size=(6000, 1))
        sensors = np.concatenate([s + noise, noise], 1)
        model = TemporalResponse(0, 0, Ridge(1.0), by=None, sfreq=SFREQ, patterns=True).fit(sensors, s)
        assert model.coef_[1, 0, 0] < -0.9
        assert abs(model.patterns_[1, 0, 0]) < 0.1 * model.patterns_[0, 0, 0]

    @pytest.mark.filterwarnings(QUIET)
    def test_scores_over_runs_and_the_null(self):
        X, Y, _ = planted(11)
        settings = {"score": "r", "permutations": 19, "random_state": 0}
        model = TemporalResponse(-0.05, 0.2, Ridge([1.0, 10.0, 100.0]))
        found = cross_validate(model, X, Y, SplitBy("run"), **settings)
        assert found["score"].values.min() > 0.55
        assert (found["p"].values == 0.05).all()
        assert found["channel"].values.tolist() == Y["channel"].values.tolist()
        other = planted(12)[0]
        null = cross_validate(model, other, Y, SplitBy("run"), **settings)
        assert np.abs(null["score"].values).max() < 0.1
        assert (null["p"].values > 0.05).any()
        late = cross_validate(TemporalResponse(-0.2, -0.02, Ridge(10.0)), X, Y, SplitBy("run"), score="r")
        assert np.abs(late["score"].values).max() < 0.1

    def test_a_damped_kernel_of_ten_lags_comes_back(self):
        """Five minutes at 100 Hz of white samples at a signal-to-noise ratio of one."""
        rng = np.random.default_rng(13)
        x = rng.normal(size=(30000, 1))
        taps = np.exp(-np.arange(10) / 3) * np.cos(np.arange(10))
        clean = np.convolve(x[:, 0], taps)[:30000]
        y = clean + clean.std() * rng.normal(size=30000)
        model = TemporalResponse(0, 0.09, Ridge(1.0), by=None, sfreq=SFREQ).fit(x, y)
        assert np.corrcoef(model.coef_[0, :, 0], taps)[0, 1] > 0.99

    def test_smoothness_helps_where_the_kernel_is_smooth_and_data_are_few(self):
        X, Y, mixing = planted(14, n=400, noise=3.0)
        error = {}
        for smooth in (0.0, 30.0):
            model = TemporalResponse(0, 0.2, Ridge(20.0), smooth=smooth).fit(X, Y)
            truth = kernel(model.lags_)[None, :, None] * mixing[:, None, :]
            error[smooth] = ((model.coef_ - truth) ** 2).sum()
        assert error[30.0] < 0.7 * error[0.0]


class TestLabels:
    def test_continuous_and_trials(self):
        X, Y, _ = planted(15, n=400)
        model = TemporalResponse(-0.01, 0.02, Ridge(1.0), patterns=True).fit(X, Y)
        found = model.predict(X)
        assert found.dims == ("sample", "unit")
        assert_array_equal(found["channel"], Y["channel"])
        assert_array_equal(found["onset"], X["onset"])
        said = model.to_dataset()
        assert said["coef"].dims == ("feature", "lag", "unit")
        assert_allclose(said["lag"], [-0.01, 0.0, 0.01, 0.02])
        assert said["feature_feature"].values.tolist() == ["f0", "f1"]
        assert said["channel"].values.tolist() == Y["channel"].values.tolist()
        assert said["pattern"].shape == (2, 4, 5)
        rng = np.random.default_rng(16)
        x, y = trials(rng.normal(size=(6, 2, 50))), trials(rng.normal(size=(6, 3, 50)), "sensors")
        deep = TemporalResponse(0, 0.03, Ridge(1.0)).fit(x, y)
        answer = deep.predict(x)
        assert answer.dims == ("sample", "unit", "time")
        assert_array_equal(answer["time"], x["time"])
        assert_array_equal(answer["stimulus"], x["stimulus"])
        flat = TemporalResponse(0, 0.03, Ridge(1.0), by="trial").fit(chain_time(x), chain_time(y))
        assert_array_equal(flat.coef_, deep.coef_)
        assert_array_equal(chain_time(answer).values, flat.predict(chain_time(x)).values)

    @pytest.mark.filterwarnings(QUIET)
    def test_bands_and_splitters_of_the_inner_estimator_see_labels(self):
        X, Y, _ = planted(17, n=1200, features=1)
        rng = np.random.default_rng(18)
        other = series(rng.normal(size=(1200, 6)), X["run"].values)
        both = concat({"sound": X, "noise": other}, label="space")
        model = TemporalResponse(0, 0.2, BandedRidge(by="space", n_iter=10, random_state=0)).fit(both, Y)
        assert model.estimator_.band_weights_.sel(band="sound").values.mean() > 0.8
        TemporalResponse(0, 0.1, Ridge([1.0, 10.0], cv=SplitBy("run"))).fit(X, Y)
        scaled = make_pipeline(Labelled(StandardScaler()), Ridge(1.0))
        one = TemporalResponse(0, 0.05, scaled).fit(X, Y)
        assert_allclose(one.predict(X), one.estimator_.predict(_lagged(X, one)) + Y.values.mean(0), atol=1e-8)

    @pytest.mark.parametrize("window", [(-0.02, 0.03), (0.01, 0.03), (-0.04, -0.01)])
    def test_samples_with_all_their_lags(self, window):
        X, Y, _ = planted(25, n=400)
        model = TemporalResponse(*window, Ridge(1.0)).fit(X, Y)
        steps = np.round(model.lags_ * SFREQ).astype(int)
        ones = slow_delays(np.ones((400, 1)), steps, X["run"].values)
        kept = model.inside(X)
        assert_array_equal(kept.values, ones.all(1))
        assert_array_equal(kept["stimulus"], X["stimulus"])
        deep = trials(X.values.reshape(4, 100, 2).transpose(0, 2, 1))
        assert_array_equal(model.inside(deep).values, ones.all(1).reshape(4, 100))
        theirs = mne.decoding.ReceptiveField(*window, SFREQ, estimator=1.0).fit(X.values[:100], Y.values[:100])
        assert_array_equal(np.flatnonzero(kept.values[:100]), np.arange(100)[theirs.valid_samples_])

    def test_scores_without_the_edges_of_runs(self):
        X, Y, _ = planted(26, n=400)
        model = TemporalResponse(0, 0.3, Ridge(1.0))
        result = cross_validate(model, X, Y, SplitBy("run"), score="r", pool="predictions", keep="prediction")
        kept = model.inside(X).values
        truth, predicted = result["truth"].values[kept], result["prediction"].values[kept]
        assert_array_equal(result["truth"]["stimulus"], X["stimulus"])
        found = SCORES["r"](truth, predicted)
        assert_allclose(found, [np.corrcoef(truth[:, t], predicted[:, t])[0, 1] for t in range(truth.shape[1])])
        assert found.mean() > float(result["score"].mean()), "where lags are missing, predictions are worse"
        assert_array_equal(kept, model.fit(X, Y).inside(X).values)

    def test_chained_trials(self):
        rng = np.random.default_rng(19)
        X = trials(rng.normal(size=(4, 3, 5)))
        flat = chain_time(X)
        assert_array_equal(flat.values[5:10], X.values[1].T)
        assert flat["trial"].values.tolist() == np.repeat(range(4), 5).tolist()
        assert_allclose(flat["onset"].values[:6], [0.0, 0.01, 0.02, 0.03, 0.04, 0.0])
        assert flat["stimulus"].values.tolist() == np.repeat(["s0", "s1", "s2", "s3"], 5).tolist()
        assert flat.attrs["history"][-1] == "4 trials of 5 times chained"
        assert_array_equal(chain_time(X.values), flat.values)
        with pytest.raises(AlignmentError, match="expected"):
            chain_time(flat)

    @pytest.mark.filterwarnings(QUIET)
    def test_chained_trials_are_scored_by_trial(self):
        X, Y, _ = planted(20, n=2000, runs=10)
        x, y = (np.stack(np.split(one.values, 10)).transpose(0, 2, 1) for one in (X, Y))
        model = TemporalResponse(0, 0.2, Ridge([1.0, 10.0, 100.0]), by="trial")
        found = cross_validate(
            model, chain_time(trials(x)), chain_time(trials(y, "sensors")), SplitBy("run"), score="r"
        )
        assert found["score"].values.min() > 0.5


def _lagged(X, model):
    centred = X.copy(data=X.values - model.mean_).assign_attrs(tr=1 / SFREQ)
    return Delays(model.lags_).fit_transform(centred)


class TestFaults:
    def test_times(self):
        X, Y, _ = planted(21, n=200)
        model = TemporalResponse(0, 0.05, Ridge(1.0))
        plainly = X.values, Y.values
        with pytest.raises(TimingError, match="needs the sampling frequency"):
            TemporalResponse(0, 0.05, by=None).fit(*plainly)
        with pytest.raises(TimingError, match="sfreq=50 was given, but X has 100"):
            TemporalResponse(0, 0.05, sfreq=50.0).fit(X, Y)
        with pytest.raises(TimingError, match="is none"):
            TemporalResponse(0, 0.05, by=None, sfreq=-1.0).fit(*plainly)
        with pytest.raises(TimingError, match=r"a lag of 50 s is as long as run 0, of 0.5 s"):
            TemporalResponse(0, 50, Ridge(1.0)).fit(X, Y)
        with pytest.raises(TimingError, match="no multiple of the sampling interval"):
            TemporalResponse(0.001, 0.009, Ridge(1.0)).fit(X, Y)
        with pytest.raises(ValueError, match="the first at most the last"):
            TemporalResponse(0.1, 0.0, Ridge(1.0)).fit(X, Y)
        with pytest.raises(TimingError, match="samples are missing there"):
            model.fit(X[np.r_[0:20, 25:200]], Y[np.r_[0:20, 25:200]])
        with pytest.raises(TimingError, match="fitted at 100 samples a second and now gets 50"):
            model.fit(X, Y).predict(X.drop_vars("onset").assign_attrs(sfreq=50.0))
        assert TemporalResponse(0, 0.05, Ridge(1.0)).fit(
            X.assign_attrs(sfreq=None, tr=0.01), Y
        ).sfreq_ == pytest.approx(100.0)

    def test_shapes_and_labels(self):
        X, Y, _ = planted(22, n=200)
        model = TemporalResponse(0, 0.05, Ridge(1.0))
        with pytest.raises(AlignmentError, match="another order"):
            model.fit(X, Y[::-1])
        with pytest.raises(AlignmentError, match=r"by='block'"):
            TemporalResponse(0, 0.05, by="block").fit(X, Y)
        with pytest.raises(AlignmentError, match="both are series"):
            TemporalResponse(0, 0.05, sfreq=SFREQ).fit(np.zeros((4, 2, 9)), np.zeros((36, 1)))
        with pytest.raises(TimingError, match="trials of X have 9 times and those of y 8"):
            TemporalResponse(0, 0.05, sfreq=SFREQ).fit(np.zeros((4, 2, 9)), np.zeros((4, 2, 8)))
        x = trials(np.random.default_rng(0).normal(size=(4, 2, 30)))
        with pytest.raises(TimingError, match="times of X and y differ"):
            model.fit(x, x.assign_coords(time=x["time"] + 0.1))
        with pytest.raises(TimingError, match=r"the times of X advance by 0.02 s, but 100 samples a second are 0.01"):
            model.fit(x.assign_coords(time=x["time"] * 2), x)
        with pytest.raises(AlignmentError):
            model.fit(X, Y).predict(X[:, ::-1])
        with pytest.raises(AlignmentError, match="makes the lags itself"):
            model.fit(Delays([0.0], tr=0.01).fit_transform(X), Y)
        with pytest.raises(ValueError, match="target y is None"):
            model.fit(X, None)

    def test_values(self, monkeypatch):
        X, Y, _ = planted(23, n=200)
        broken = Y.copy(deep=True)
        broken[3, 1] = np.nan
        with pytest.raises(DegenerateDataError, match="y"):
            TemporalResponse(0, 0.05, Ridge(1.0)).fit(X, broken)
        with pytest.raises(ValueError, match="smooth=-1"):
            TemporalResponse(0, 0.05, Ridge(1.0), smooth=-1.0).fit(X, Y)
        with pytest.raises(ValueError, match="RandomForestRegressor is not linear"):
            TemporalResponse(0, 0.05, RandomForestRegressor(3, random_state=0)).fit(X, Y)
        monkeypatch.setattr("neurodecode.linear.receptive.machine_memory", lambda: 1000.0)
        with pytest.raises(CapacityError, match="200 samples of 2 features at 6 lags take"):
            TemporalResponse(0, 0.05, Ridge(1.0)).fit(X, Y)

    def test_masked_targets_stay_nan_and_float32_stays(self):
        X, Y, _ = planted(24, n=200)
        values = Y.values.copy()
        values[:, 2] = np.nan
        masked = as_representation(
            values,
            stimulus=Y["stimulus"].values,
            kind="eeg",
            nan_policy="drop_targets",
            sample={"run": Y["run"].values},
        )
        model = TemporalResponse(0, 0.03, Ridge(1.0)).fit(X.drop_vars("onset"), masked)
        assert np.isnan(model.coef_[:, :, 2]).all()
        rest = TemporalResponse(0, 0.03, Ridge(1.0)).fit(X, Y)
        assert_allclose(np.delete(model.coef_, 2, 2), np.delete(rest.coef_, 2, 2), atol=1e-12)
        single = TemporalResponse(0, 0.03, Ridge(1.0), smooth=1.0).fit(X.astype(np.float32), Y.astype(np.float32))
        assert single.coef_.dtype == single.predict(X.astype(np.float32)).dtype == np.float32
        double = TemporalResponse(0, 0.03, Ridge(1.0), smooth=1.0).fit(X, Y)
        assert_allclose(single.coef_, double.coef_, atol=1e-4)
        assert isinstance(rest.predict(X), xr.DataArray)


class TestSums:
    """Fits from sums over samples are those of the lagged features."""

    @staticmethod
    def both(monkeypatch, model, X, Y):
        with monkeypatch.context() as patched:
            patched.setattr("neurodecode.linear.receptive.solve", lambda *_, **__: None)
            slow = clone(model).fit(X, Y)
        with monkeypatch.context() as patched:
            patched.setattr(TemporalResponse, "_from_design", None)
            return clone(model).fit(X, Y), slow

    @pytest.mark.parametrize("window", [(-0.03, 0.05), (0.02, 0.06), (-0.06, -0.01), (0.0, 0.0)])
    @pytest.mark.parametrize(("smooth", "centre"), [(0.0, True), (2.0, True), (0.0, False)])
    def test_one_penalty(self, monkeypatch, window, smooth, centre):
        rng = np.random.default_rng(30)
        runs = np.repeat([0, 1, 2], [150, 9, 110])
        x, y = rng.normal(2.0, 1, size=(269, 3)), rng.normal(-1.0, 1, size=(269, 4))
        model = TemporalResponse(*window, Ridge(4.0, fit_intercept=centre), smooth=smooth, patterns=True)
        quick, slow = self.both(monkeypatch, model, series(x, runs), series(y, runs, "sensors"))
        assert_allclose(quick.coef_, slow.coef_, atol=1e-12)
        assert_allclose(quick.intercept_, slow.intercept_, atol=1e-12)
        assert_allclose(quick.patterns_, slow.patterns_, atol=1e-9)
        assert_allclose(quick.estimator_.coef_, slow.estimator_.coef_, atol=1e-12)
        assert_array_equal(quick.estimator_.alpha_, slow.estimator_.alpha_)
        given = labelled_design(quick, series(x, runs))
        assert_allclose(quick.estimator_.predict(given), slow.estimator_.predict(given), atol=1e-12)

    @pytest.mark.parametrize("cv", [5, SplitBy("run"), [(np.arange(200, 800), np.arange(0, 200))]])
    @pytest.mark.parametrize("shared", [False, True])
    @pytest.mark.filterwarnings(QUIET)
    def test_penalties_chosen_over_folds(self, monkeypatch, cv, shared):
        X, Y, _ = planted(31, n=800)
        X[:, 0] *= 3
        Y[:, 1] *= 5
        Y[:, 2] = 7.0
        ridge = Ridge(np.logspace(-1, 4, 6), cv=cv, shared_alpha=shared)
        quick, slow = self.both(monkeypatch, TemporalResponse(-0.02, 0.06, ridge), X, Y)
        assert_array_equal(quick.estimator_.alpha_, slow.estimator_.alpha_)
        assert shared or len(set(quick.estimator_.alpha_)) > 1
        assert_allclose(quick.estimator_.best_score_, slow.estimator_.best_score_, atol=1e-10)
        assert_allclose(quick.coef_, slow.coef_, atol=1e-12)
        assert_allclose(quick.intercept_, slow.intercept_, atol=1e-12)

    @pytest.mark.parametrize("alphas", [1e-3, 1e-5, [1e-3, 3e-3]])
    @pytest.mark.filterwarnings(QUIET)
    def test_features_that_hardly_change_from_lag_to_lag(self, monkeypatch, alphas):
        """The condition of the sums is 1e8 to 1e10, so that weights are refined."""
        rng = np.random.default_rng(32)
        x = np.cumsum(np.cumsum(rng.normal(size=(3000, 2)), 0), 0)
        x = (x - x.mean(0)) / x.std(0)
        y = rng.normal(size=(3000, 3)) + x[:, :1]
        model = TemporalResponse(0, 0.15, Ridge(alphas), by=None, sfreq=SFREQ)
        with monkeypatch.context() as patched:
            patched.setattr("neurodecode.linear.receptive.solve", lambda *_, **__: None)
            slow = clone(model).fit(x, y)
        quick = clone(model).fit(x, y)
        assert_allclose(quick.coef_, slow.coef_, atol=1e-8 * np.abs(slow.coef_).max())

    def test_trials_and_single_precision(self, monkeypatch):
        rng = np.random.default_rng(33)
        x, y = rng.normal(size=(30, 3, 40)), rng.normal(size=(30, 2, 40))
        quick, slow = self.both(monkeypatch, TemporalResponse(-0.02, 0.04, Ridge(3.0), sfreq=SFREQ), x, y)
        assert_allclose(quick.coef_, slow.coef_, atol=1e-12)
        single = TemporalResponse(-0.02, 0.04, Ridge(3.0), sfreq=SFREQ).fit(x.astype("f4"), y.astype("f4"))
        assert single.coef_.dtype == np.float32
        assert_allclose(single.coef_, quick.coef_, atol=1e-5)

    @pytest.mark.filterwarnings(QUIET)
    def test_what_sums_do_not_say_goes_the_long_way(self, monkeypatch):
        X, Y, _ = planted(34, n=400)
        asked = []
        real = TemporalResponse._from_design
        monkeypatch.setattr(TemporalResponse, "_from_design", lambda *given: asked.append(1) or real(*given))
        scattered = KFold(5, shuffle=True, random_state=0)
        for inner in (
            Ridge(1.0, solver="dual"), Ridge([1, 10], cv="loo"), Theirs(1.0), Ridge([1.0, 10.0], cv=scattered),
        ):  # fmt: skip
            at = len(asked)
            TemporalResponse(0, 0.03, inner).fit(X, Y)
            assert len(asked) == at + 1, inner
        x = np.column_stack([X.values, X.values.sum(1)])
        singular = TemporalResponse(0, 0.03, Ridge(0.0)).fit(series(x, X["run"].values), Y)
        assert len(asked) == 5 and np.abs(singular.coef_).max() < 10
        with pytest.warns(NeurodecodeWarning, match="equal to an earlier one"):
            TemporalResponse(0, 0.03, Ridge(1.0)).fit(X[:, [0, 0]], Y)


def labelled_design(model, X):
    centred = X.copy(data=X.values - model.mean_).assign_attrs(tr=1 / SFREQ)
    return Delays(model.lags_).fit_transform(centred).values
