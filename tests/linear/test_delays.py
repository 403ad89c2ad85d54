"""Delays: the sign, the runs, the order of columns, and times that cannot be right."""

import numpy as np
import pytest
import xarray as xr
from references.linear import slow_delays, slow_r2
from sklearn.pipeline import make_pipeline

from neurodecode.exceptions import AlignmentError, DegenerateDataError, TimingError
from neurodecode.linear import Delays, Ridge
from neurodecode.representation import as_representation, concat

WORLDS = {"brain": ("fmri", "roi"), "network": ("network", "layer")}
QUIET = "ignore:The best penalty stands:neurodecode.exceptions.NeurodecodeWarning"


def series(x, runs, tr=2.0, name="brain", onset=True, **attrs):
    kind, unit = WORLDS[name]
    runs = np.asarray(runs)
    within = np.concatenate([np.arange(np.sum(runs == r)) for r in dict.fromkeys(runs)])
    sample = {"run": runs} | ({"onset": within * tr} if onset else {})
    return as_representation(
        x, stimulus=[f"{r}/{i}" for r, i in zip(runs, within)], kind=kind, sample=sample,
        unit={unit: [f"u{i}" for i in range(x.shape[1])]}, attrs={"tr": tr, "quantity": "energy", **attrs},
    )  # fmt: skip


@pytest.mark.parametrize("name", WORLDS)
class TestAgainstTheTwin:
    @pytest.mark.parametrize("seconds", [[0.0], [2.0, 4.0], [4.0, 0.0, -2.0], [-6.0], [0, 2, 4, 6, 8]])
    def test_sample_by_sample(self, name, seconds):
        rng = np.random.default_rng(0)
        runs = np.repeat([3, 1, 2], [7, 5, 9])
        x = rng.normal(size=(21, 4))
        found = Delays(seconds).fit_transform(series(x, runs, name=name))
        np.testing.assert_array_equal(found.values, slow_delays(x, [int(s / 2) for s in seconds], runs))

    def test_columns_are_delay_major_and_labelled(self, name):
        X = series(np.random.default_rng(0).normal(size=(10, 3)), np.repeat([1, 2], 5), name=name)
        found = Delays([4.0, 0.0]).fit_transform(X)
        unit = WORLDS[name][1]
        assert found.dims == ("sample", "unit")
        assert found["delay"].values.tolist() == [4.0, 4.0, 4.0, 0.0, 0.0, 0.0]
        assert found[unit].values.tolist() == ["u0", "u1", "u2"] * 2
        for coord in ("stimulus", "run", "onset"):
            np.testing.assert_array_equal(found[coord], X[coord])
        assert found.attrs["tr"] == 2.0
        assert found.attrs["quantity"] == "energy"
        assert found.attrs["history"][-1] == "delayed by 4, 0 s"
        np.testing.assert_array_equal(found.values[:, 3:], X.values)

    def test_runs_joined_are_runs_apart(self, name):
        rng = np.random.default_rng(1)
        parts = [series(rng.normal(size=(n, 3)), np.full(n, r), name=name) for r, n in ((1, 8), (2, 6), (3, 11))]
        together = Delays([0.0, 2.0, 6.0, -4.0]).fit_transform(concat(parts, dim="sample"))
        apart = [Delays([0.0, 2.0, 6.0, -4.0]).fit_transform(part) for part in parts]
        np.testing.assert_array_equal(together.values, np.concatenate([part.values for part in apart]))
        assert (together.values[8:11, 6:9] == 0).all()


class TestSign:
    """One convention: a response that follows the feature by 4 s stands at +4 s."""

    @staticmethod
    def planted(lag, seed):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(300, 3))
        runs = np.repeat([1, 2, 3], 100)
        w = rng.normal(size=(3, 8))
        y = slow_delays(x, [lag], runs) @ w + 0.5 * rng.normal(size=(300, 8))
        return series(x, runs), series(y, runs), w

    @pytest.mark.filterwarnings(QUIET)
    @pytest.mark.parametrize("seconds", [4.0, -4.0])
    def test_a_planted_lag_is_found_with_its_sign(self, seconds):
        X, Y, w = self.planted(int(seconds / 2), seed=2)
        lags = np.array([-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0])
        model = make_pipeline(Delays(lags), Ridge([0.1, 1.0, 10.0, 100.0])).fit(X, Y)
        weights = model[-1].coef_.reshape(7, 3, 8)
        energy = (weights**2).sum((1, 2))
        assert lags[energy.argmax()] == seconds
        assert energy[lags == seconds] > 50 * energy[lags == -seconds]
        np.testing.assert_allclose(weights[lags == seconds][0], w, atol=0.15)

    @pytest.mark.filterwarnings(QUIET)
    def test_only_the_right_lag_predicts(self):
        X, Y, _ = self.planted(2, seed=3)
        train, test = X["run"].values < 3, X["run"].values == 3
        score = {}
        for seconds in (4.0, -4.0, 0.0):
            model = make_pipeline(Delays([seconds]), Ridge(1.0)).fit(X[train], Y[train])
            score[seconds] = slow_r2(Y[test].values, model.predict(X[test]).values).mean()
        assert score[4.0] > 0.7
        assert score[-4.0] < 0.05
        assert score[0.0] < 0.05

    @pytest.mark.filterwarnings(QUIET)
    def test_a_finite_impulse_response_is_recovered(self):
        """Ten white features, kernel over lags 0 to 5, noise as strong as the signal."""
        kernel = np.array([0.05, 0.3, 0.8, 1.0, 0.5, 0.15])
        rng = np.random.default_rng(7)
        runs = np.repeat(np.arange(6), 100)
        x = rng.normal(size=(600, 10))
        lagged = slow_delays(x, range(6), runs).reshape(600, 6, 10)
        signal = np.einsum("tlp,l,pv->tv", lagged, kernel, rng.normal(size=(10, 20)))
        y = signal + signal.std(0) * rng.normal(size=signal.shape)
        X, Y = series(x, runs, 1.5), series(y, runs, 1.5)
        train, test = runs < 4, runs >= 4
        grid = np.logspace(-1, 4, 11)
        full = make_pipeline(Delays(1.5 * np.arange(6)), Ridge(grid)).fit(X[train], Y[train])
        alone = make_pipeline(Delays([0.0]), Ridge(grid)).fit(X[train], Y[train])
        assert slow_r2(y[test], full.predict(X[test]).values).mean() > 0.35
        assert slow_r2(y[test], alone.predict(X[test]).values).mean() < 0.05
        energy = (full[-1].coef_.reshape(6, 10, 20) ** 2).sum((1, 2))
        assert energy.argmax() == 3
        assert np.corrcoef(np.sqrt(energy), kernel)[0, 1] > 0.95


class TestTimes:
    def test_repetition_time_comes_from_the_array_or_the_argument_and_they_agree(self):
        x = np.random.default_rng(0).normal(size=(6, 2))
        X = series(x, np.ones(6, int), onset=False)
        expected = Delays([2.0]).fit_transform(X).values
        np.testing.assert_array_equal(Delays([2.0], by=None, tr=2.0).fit_transform(x), expected)
        np.testing.assert_array_equal(Delays([2.0], tr=2.01).fit_transform(X).values, expected)
        with pytest.raises(TimingError, match=r"tr=2.5 s was given, but X.attrs\['tr'\] is 2 s"):
            Delays([2.5], tr=2.5).fit(X)
        with pytest.raises(TimingError, match="needs the repetition time"):
            Delays([2.0], by=None).fit(x)
        with pytest.raises(TimingError, match="needs the repetition time"):
            Delays([2.0], by=None).fit(X.assign_attrs(tr=None))
        with pytest.raises(TimingError, match="is no time"):
            Delays([2.0], by=None, tr=0).fit(x)
        fitted = Delays([0.0]).fit(X)
        with pytest.raises(TimingError, match="fitted at a repetition time of 2 s and now gets 1 s"):
            fitted.transform(X.assign_attrs(tr=1.0))

    @pytest.mark.parametrize("seconds", [[3.0], [0.0, 2.1], [-1.0], [2000.5]])
    def test_delays_are_multiples_of_the_repetition_time(self, seconds):
        with pytest.raises(TimingError, match="no multiple of the repetition time 2 s; the nearest are"):
            Delays(seconds, by=None, tr=2.0).fit(np.ones((2000, 1)))
        Delays([2.019, 4.0], by=None, tr=2.0).fit(np.ones((9, 1)))

    def test_nearest_delays_are_named_on_both_sides_of_zero(self):
        with pytest.raises(TimingError, match="are 2 and 4 s"):
            Delays([3.0], by=None, tr=2.0).fit(np.ones((9, 1)))
        with pytest.raises(TimingError, match="are -4 and -2 s"):
            Delays([-3.0], by=None, tr=2.0).fit(np.ones((9, 1)))

    @pytest.mark.parametrize("seconds", [[10.0], [-10.0], [0, 4000.0]])
    def test_delays_as_long_as_a_run(self, seconds):
        X = series(np.ones((12, 1)), np.repeat([1, 2], [7, 5]))
        with pytest.raises(TimingError, match="as long as run 2, which last 10 s"):
            Delays(seconds).fit(X if max(seconds) < 4000 else X[7:])
        Delays([8.0, -8.0]).fit(X)

    @pytest.mark.parametrize("seconds", [[], [np.nan], [2.0, 2.0], [[0.0, 2.0]]])
    def test_nonsense(self, seconds):
        with pytest.raises(ValueError, match="seconds="):
            Delays(seconds, by=None, tr=2.0).fit(np.ones((9, 1)))

    def test_onsets_must_advance_by_the_repetition_time(self):
        X = series(np.ones((12, 1)), np.repeat([1, 2], 6))
        with pytest.raises(TimingError, match=r"onsets in run 1 advance by 2, but the repetition time is 2.5 s"):
            Delays([0.0]).fit(X.assign_attrs(tr=2.5))
        with pytest.raises(TimingError, match="milliseconds"):
            Delays([0.0]).fit(X.assign_coords(onset=X["onset"] * 1000))
        Delays([0.0]).fit(X.assign_coords(onset=X["onset"] + np.random.default_rng(0).uniform(-0.009, 0.009, 12)))

    def test_missing_volumes_and_joined_runs_are_seen(self):
        X = series(np.ones((12, 1)), np.repeat([1, 2], 6))
        with pytest.raises(TimingError, match=r"from 4 to 8 s at sample 3 of X, within run 1"):
            Delays([0.0]).fit(X[[0, 1, 2, 4, 5, 6, 7, 8]])
        with pytest.raises(TimingError, match=r"from 10 to 0 s at sample 6 of X, within the samples"):
            Delays([0.0], by=None).fit(X)
        shuffled = np.array([1, 0, 2, 3, 4, 5])
        with pytest.raises(TimingError, match="out of order"):
            Delays([0.0]).fit(X[shuffled])


class TestRuns:
    def test_runs_must_be_known(self):
        x = np.ones((6, 2))
        X = series(x, np.ones(6, int))
        with pytest.raises(AlignmentError, match=r"by='session'.*'run'"):
            Delays([0.0], by="session").fit(X)
        with pytest.raises(AlignmentError, match="a plain array has no coordinates"):
            Delays([0.0], tr=2.0).fit(x)
        with pytest.raises(AlignmentError, match="lies on"):
            Delays([0.0], by="roi").fit(X)

    def test_a_run_in_pieces(self):
        X = series(np.ones((9, 1)), np.repeat([1, 2, 3], 3), onset=False)
        with pytest.raises(AlignmentError, match="run 1 stands in 2 separate stretches"):
            Delays([0.0]).fit(X.assign_coords(run=("sample", [1, 1, 1, 2, 2, 2, 1, 1, 1])))

    def test_delays_are_made_once(self):
        X = series(np.ones((9, 1)), np.repeat(1, 9))
        once = Delays([0.0, 2.0]).fit_transform(X)
        with pytest.raises(AlignmentError, match="delay the features once"):
            Delays([0.0]).fit_transform(once)

    def test_other_features_at_transform(self):
        X = series(np.random.default_rng(0).normal(size=(9, 3)), np.repeat(1, 9))
        fitted = Delays([0.0]).fit(X)
        with pytest.raises(AlignmentError):
            fitted.transform(X[:, ::-1])
        with pytest.raises(ValueError, match="3 features"):
            Delays([0.0], by=None, tr=2.0).fit(X.values).transform(X.values[:, :2])

    def test_values(self):
        x = np.random.default_rng(0).normal(size=(9, 2))
        assert Delays([0.0, 2.0], by=None, tr=2.0).fit_transform(x.astype(np.float32)).dtype == np.float32
        assert isinstance(Delays(2.0).fit_transform(series(x, np.ones(9, int))), xr.DataArray)
        before = x.copy()
        Delays([0.0, 2.0], by=None, tr=2.0).fit_transform(x)
        np.testing.assert_array_equal(x, before)
        x[3, 1] = np.nan
        with pytest.raises(DegenerateDataError, match="NaN"):
            Delays([0.0], by=None, tr=2.0).fit(x)
