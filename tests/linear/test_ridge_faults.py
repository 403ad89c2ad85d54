"""Ridge when the input is wrong, odd, or too large: errors that teach, warnings once, memory said beforehand."""

import os
import subprocess
import sys
import textwrap
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from references.linear import slow_ridge

from neurodecode.exceptions import AlignmentError, CapacityError, DegenerateDataError, LeakageError, NeurodecodeWarning
from neurodecode.linear import Ridge, _capacity
from neurodecode.linear._capacity import Job, plan, said
from neurodecode.representation import as_representation

ALPHAS = [0.1, 1.0, 10.0, 100.0]
EDGE = "ignore:The best penalty stands:neurodecode.exceptions.NeurodecodeWarning"


def draw(n=40, p=5, t=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    return x, x @ rng.normal(size=(p, t)) + rng.normal(size=(n, t))


def labelled(x, y, **more):
    stimulus = [f"picture {i}" for i in range(len(x))]
    X = as_representation(
        x, stimulus=stimulus, kind="network", unit={"layer": "conv1", "channel": np.arange(x.shape[1])}
    )
    return X, as_representation(
        y, stimulus=stimulus, kind="fmri", unit={"roi": [f"area {i}" for i in range(y.shape[1])]}, **more
    )


@pytest.mark.filterwarnings(EDGE)
class TestAlignment:
    def test_shuffled_samples_are_refused(self):
        X, Y = labelled(*draw())
        with pytest.raises(AlignmentError, match="match"):
            Ridge(ALPHAS).fit(X[::-1], Y)
        with pytest.raises(AlignmentError):
            Ridge(ALPHAS).fit(X[:-1], Y)
        Ridge(ALPHAS).fit(X[::-1], Y[::-1])

    def test_other_features_at_predict_are_refused(self):
        X, Y = labelled(*draw())
        model = Ridge(ALPHAS).fit(X, Y)
        with pytest.raises(AlignmentError, match="channel"):
            model.predict(X[:, [1, 0, 2, 3, 4]])
        with pytest.raises(AlignmentError, match="4 units"):
            model.predict(X[:, :4])
        with pytest.raises(ValueError, match="X has 4 features"):
            model.predict(X.values[:, :4])

    def test_dimensions(self):
        X, Y = labelled(*draw())
        with pytest.raises(AlignmentError, match=r"X has the dimensions \('unit', 'sample'\)"):
            Ridge(ALPHAS).fit(X.T, Y)
        with pytest.raises(AlignmentError, match="y has the dimensions"):
            Ridge(ALPHAS).fit(X, Y.T)
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            Ridge(ALPHAS).fit(X.values, Y.values[:-1])
        with pytest.raises(ValueError, match="y has 3 dimensions"):
            Ridge(ALPHAS).fit(X.values, Y.values[..., None])

    def test_overlapping_folds_leak(self):
        X, Y = labelled(*draw())
        with pytest.raises(LeakageError, match=r"1 samples, the first 'picture 7'.* fold 1"):
            Ridge(ALPHAS, cv=[(np.arange(20), np.arange(20, 40)), (np.arange(8), np.arange(7, 40))]).fit(X, Y)


class TestValues:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("alphas", [1.0, ALPHAS])
    def test_not_finite(self, value, alphas):
        x, y = draw()
        broken = x.copy()
        broken[[4, 9], 2] = value
        X, Y = labelled(x, y)
        with pytest.raises(DegenerateDataError, match=r"X: .*2 .*picture 4.*picture 9"):
            Ridge(alphas).fit(X.copy(data=broken), Y)
        with pytest.raises(DegenerateDataError, match="NaN"):
            Ridge(alphas).fit(broken, y)
        with pytest.raises(DegenerateDataError, match="picture 4"):
            Ridge(1.0).fit(X, Y).predict(X.copy(data=broken))
        broken = y.copy()
        broken[6, 1] = value
        with pytest.raises(DegenerateDataError, match=r"y: .*1 .*picture 6"):
            Ridge(alphas).fit(X, Y.copy(data=broken))
        with pytest.raises(DegenerateDataError, match=r"y: .*1 "):
            Ridge(alphas).fit(x, broken)

    def test_large_values_whose_sum_overflows_are_finite(self):
        x, y = draw()
        model = Ridge(1.0).fit(x, (1e37 * (y + 20)).astype(np.float32))
        assert np.isfinite(model.coef_).all()

    def test_masked_targets_become_nan_and_masked_features_are_refused(self):
        x, y = draw()
        y[3, 1] = np.nan
        X, Y = labelled(x, y, nan_policy="drop_targets")
        model = Ridge(1.0).fit(X, Y)
        found = model.predict(X)
        assert np.isnan(found[:, 1]).all()
        np.testing.assert_allclose(found[:, [0, 2]], Ridge(1.0).fit(x, y[:, [0, 2]]).predict(x))
        with pytest.raises(DegenerateDataError, match="1 of 3 features of X are masked"):
            Ridge(1.0).fit(Y, X)

    @pytest.mark.parametrize("level", [0.0, 0.1, -1e6])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("alphas", [0.0, ALPHAS])
    def test_a_constant_target_is_predicted_by_its_constant(self, level, dtype, alphas):
        x, y = draw(t=30)
        y[:, 4] = level
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = Ridge(alphas).fit(x.astype(dtype), y.astype(dtype))
        np.testing.assert_allclose(model.predict(x.astype(dtype))[:, 4], dtype(level), rtol=1e-6)
        assert np.isnan(model.best_score_[4])
        assert np.isfinite(model.coef_).all()

    def test_constant_and_repeated_features_are_kept_and_named_once(self):
        x, y = draw(p=6)
        x[:, 2], x[:, 4] = 0.1, x[:, 0]
        X, Y = labelled(x, y)
        with pytest.warns(NeurodecodeWarning) as record:
            model = Ridge(0.0).fit(X, Y)
        assert len(record) == 1
        assert str(record[0].message).startswith(
            "Of 6 features, 1 constant (2 (layer conv1, channel 2)) and 1 equal to an earlier one (4 (layer conv1, "
        )
        assert record[0].filename == __file__
        assert np.isfinite(model.coef_).all()
        assert (model.coef_[2] == 0).all()
        alone = Ridge(0.0).fit(x[:, [0, 1, 3, 5]], y)
        np.testing.assert_allclose(model.predict(x), alone.predict(x[:, [0, 1, 3, 5]]), atol=1e-10)

    @pytest.mark.parametrize("solver", ["primal", "dual"])
    def test_only_constant_features(self, solver):
        _, y = draw()
        with pytest.warns(NeurodecodeWarning, match="2 constant"):
            model = Ridge(0.0, solver=solver).fit(np.full((40, 2), 0.1), y)
        np.testing.assert_allclose(model.predict(np.ones((1, 2))), y.mean(0)[None])

    def test_many_constant_features_are_one_short_sentence(self):
        x, y = draw(p=30)
        x[:, 5:] = 0
        with pytest.warns(NeurodecodeWarning, match=r"25 constant \(5, 6, 7, 8, 9 and 20 more\)"):
            Ridge(1.0).fit(x, y)


class TestGridEdges:
    def test_the_share_and_the_edge_are_named(self):
        x, y = draw(200, 5, 10)
        y[:, 7:] = np.random.default_rng(1).normal(size=(200, 3))
        model = Ridge([300, 3e3, 3e4, 1e9])
        with pytest.warns(NeurodecodeWarning) as record:
            model.fit(x, y)
        low, high = (model.alpha_ == 300).mean(), (model.alpha_ == 1e9).mean()
        assert low == 0.7
        said = [str(entry.message) for entry in record]
        assert "lower edge of the grid, alpha=300, for 70% of 10 targets; add smaller alphas" in said[-1]
        assert len(said) == 1 + (high > 0.05)
        with pytest.warns(NeurodecodeWarning, match=r"upper edge of the grid, alpha=1e-08, for \d+% of 10 targets"):
            Ridge([1e-8, 1e-9, 1e-10]).fit(x, y)

    def test_constant_targets_do_not_count(self):
        x, y = draw(200, 5, 3)
        y = np.hstack([y, np.zeros((200, 20))])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = Ridge(np.logspace(-6, 6, 25)).fit(x, y)
        assert (model.alpha_[:3] < 1e3).all()

    def test_five_percent_are_let_pass(self):
        x, y = draw(300, 5, 40)
        y[:, :2] = np.random.default_rng(1).normal(size=(300, 2))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = Ridge(np.logspace(-6, 6, 25)).fit(x, y)
        lowest, highest = ((model.alpha_ == edge).mean() for edge in (model.alphas.min(), model.alphas.max()))
        assert max(lowest, highest) <= 0.05 and lowest + highest > 0  # each edge is counted for itself

    def test_a_single_penalty_has_no_edges(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = Ridge(alphas=3.0).fit(*draw())
        assert set(model.alpha_) == {3.0}


class TestCounts:
    @pytest.mark.parametrize(
        ("x", "y", "text"),
        [
            (np.ones((1, 3)), np.ones((1, 2)), r"1 sample\(s\).* minimum of 2"),
            (np.ones((9, 0)), np.ones((9, 2)), r"0 feature\(s\).* minimum of 1"),
            (np.ones((9, 3)), np.ones((9, 0)), r"0 target\(s\).* minimum of 1"),
            (np.ones((4, 3)), np.ones((4, 2)), "need at least 5 samples"),
        ],
    )
    def test_the_minimum_is_named(self, x, y, text):
        with pytest.raises(DegenerateDataError, match=text):
            Ridge(ALPHAS).fit(x, y)

    def test_folds_that_hold_too_little(self):
        x, y = draw()
        with pytest.raises(DegenerateDataError, match="fold 0 of cv has 1 training and 3 held-out"):
            Ridge(ALPHAS, cv=[([0], [1, 2, 3])]).fit(x, y)
        with pytest.raises(ValueError, match="gave no fold"):
            Ridge(ALPHAS, cv=[]).fit(x, y)
        with pytest.raises(ValueError, match="at least 2 folds"):
            Ridge(ALPHAS, cv=1).fit(x, y)

    @pytest.mark.parametrize("alphas", [[], [-1.0], [np.nan], [[1.0, 2.0]], [np.inf]])
    def test_penalties(self, alphas):
        with pytest.raises(ValueError, match="finite numbers, 0 or above"):
            Ridge(alphas).fit(*draw())

    def test_names_are_checked(self):
        with pytest.raises(ValueError, match="solver='svd'"):
            Ridge(solver="svd").fit(*draw())
        if not torch.cuda.is_available():
            with pytest.raises(ValueError, match="no CUDA device"):
                Ridge(device="cuda").fit(*draw())
        with pytest.raises(ValueError, match="Use LinearClassifier"):
            Ridge().fit(draw()[0], np.repeat("face", 40))


def as_memmap(array, folder):
    path = folder / "values.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


DTYPES = {
    "fortran": lambda a, _: np.asfortranarray(a),
    "read-only": lambda a, _: frozen(a),
    "memmap": as_memmap,
    "strided": lambda a, _: np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2],
    "backwards": lambda a, _: a[::-1].copy()[::-1],
    "byte-swapped": lambda a, _: a.astype(a.dtype.newbyteorder()),
    "list": lambda a, _: a.tolist(),
}


def frozen(array):
    array = array.copy()
    array.setflags(write=False)
    return array


@pytest.mark.filterwarnings(EDGE)
class TestMemoryLayoutAndDtype:
    @pytest.mark.parametrize("how", DTYPES)
    def test_same_numbers_however_they_lie(self, how, tmp_path):
        x, y = draw()
        expected = Ridge(ALPHAS).fit(x, y)
        (tmp_path / "x").mkdir()
        (tmp_path / "y").mkdir()
        model = Ridge(ALPHAS).fit(DTYPES[how](x, tmp_path / "x"), DTYPES[how](y, tmp_path / "y"))
        np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-12, atol=1e-14)
        assert model.coef_.dtype == np.float64
        np.testing.assert_allclose(model.predict(DTYPES[how](x, tmp_path / "x")), expected.predict(x), rtol=1e-12)

    @pytest.mark.parametrize("solver", ["primal", "dual"])
    def test_single_stays_single_and_half_becomes_single(self, solver):
        x, y = draw()
        exact = Ridge(ALPHAS, solver=solver).fit(x, y)
        single = Ridge(ALPHAS, solver=solver).fit(x.astype(np.float32), y.astype(np.float32))
        for name in ("coef_", "intercept_", "best_score_"):
            assert getattr(single, name).dtype == np.float32
            np.testing.assert_allclose(getattr(single, name), getattr(exact, name), rtol=1e-4, atol=1e-4)
        assert single.predict(x.astype(np.float32)).dtype == np.float32
        half = Ridge(ALPHAS, solver=solver).fit(x.astype(np.float16), y.astype(np.float16))
        assert half.coef_.dtype == np.float32
        np.testing.assert_allclose(half.coef_, exact.coef_, atol=5e-3)

    def test_integers_and_mixtures_become_double(self):
        x, y = np.round(draw()[0] * 10).astype(int), np.round(draw()[1] * 10).astype(np.int16)
        model = Ridge(ALPHAS).fit(x, y)
        assert model.coef_.dtype == np.float64
        np.testing.assert_allclose(model.coef_, Ridge(ALPHAS).fit(x.astype(float), y.astype(float)).coef_)
        assert Ridge(ALPHAS).fit(x.astype(np.float32), y.astype(np.float64)).coef_.dtype == np.float64
        assert Ridge(ALPHAS).fit(x > 0, y > 0).coef_.dtype == np.float64

    def test_raw_scanner_values_in_single_precision(self):
        x, y = draw(200, 20, 5)
        exact = Ridge(1.0).fit(x + 3000, 50 * y + 10_000)
        single = Ridge(1.0).fit((x + 3000).astype(np.float32), (50 * y + 10_000).astype(np.float32))
        np.testing.assert_allclose(single.coef_, exact.coef_, rtol=2e-2, atol=0.05)

    def test_targets_that_are_not_in_memory(self, tmp_path):
        dask = pytest.importorskip("dask.array")
        x, y = draw(t=50)
        X, Y = labelled(x, y)
        expected = Ridge(ALPHAS).fit(X, Y).predict(X)
        lazy = Y.copy(data=dask.from_array(y, chunks=(10, 20)))
        assert Ridge(ALPHAS).fit(X, lazy).predict(X).identical(expected)
        mapped = as_representation(as_memmap(y, tmp_path), stimulus=X["stimulus"], kind="fmri", unit={"roi": Y["roi"]})
        assert Ridge(ALPHAS).fit(X, mapped).predict(X).identical(expected)

    @pytest.mark.parametrize("mode", ["r", "r+", "c"])
    def test_a_memory_map_keeps_what_was_written_to_it(self, mode, tmp_path):
        x, y = draw(90, t=70)
        np.save(tmp_path / "y.npy", np.zeros_like(y))
        mapped = np.load(tmp_path / "y.npy", mmap_mode=mode)
        if mode == "r":
            np.save(tmp_path / "y.npy", y)
            mapped = np.load(tmp_path / "y.npy", mmap_mode=mode)
        else:
            mapped[:] = y
        found = Ridge(ALPHAS).fit(x, mapped[:, 3:60])
        np.testing.assert_array_equal(mapped, y)
        np.testing.assert_array_equal(found.coef_, Ridge(ALPHAS).fit(x, y[:, 3:60]).coef_)


@pytest.mark.filterwarnings(EDGE)
class TestCapacity:
    def test_too_large_is_said_before_anything_is_allocated(self):
        x = np.broadcast_to(np.float32(1.0), (1000, 200))
        y = np.broadcast_to(np.float32(1.0), (1000, 2_000_000))
        tracemalloc.start()
        with pytest.raises(CapacityError) as caught:
            Ridge(ALPHAS, max_memory=500e6).fit(x, y)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 5e6
        text = str(caught.value)
        for part in (
            "1,000 samples x 200 features and 2,000,000 targets",
            "at least 1.",
            "max_memory is 476.8 MiB",
            "1.5 GiB",
        ):
            assert part in text, text

    def test_without_a_limit_the_machine_is_the_limit(self):
        y = np.broadcast_to(1.0, (50, 10**12))
        with pytest.raises(CapacityError, match="this machine has"):
            Ridge(ALPHAS).fit(np.broadcast_to(1.0, (50, 500)), y)

    @pytest.mark.parametrize("limit", [0, -5, float("nan")])
    def test_a_limit_is_a_number_of_bytes(self, limit):
        with pytest.raises(ValueError, match="number of bytes above 0"):
            Ridge(ALPHAS, max_memory=limit).fit(*draw())

    @pytest.mark.parametrize("shape", [(60, 20), (40, 90)])
    def test_blocks_are_the_whole(self, shape, monkeypatch):
        x, y = draw(*shape, t=70)
        whole = Ridge(ALPHAS, cv=4).fit(x, y)
        for blocks, held in (((16,), 4), ((8,), 1), ((64,), 3)):
            monkeypatch.setattr(
                "neurodecode.linear.ridge.plan", lambda job, limit, b=blocks[0], h=held: _capacity.Plan(b, h, 0)
            )
            parts = Ridge(ALPHAS, cv=4).fit(x, y)
            np.testing.assert_array_equal(parts.alpha_, whole.alpha_)
            np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-10, atol=1e-13)
            np.testing.assert_allclose(parts.best_score_, whole.best_score_, rtol=1e-10)

    def test_a_tighter_limit_gives_smaller_pieces_until_none_is_small_enough(self):
        job = Job(n=20_000, p=20, t=9_000, penalties=20, folds=((16_000, 4000),) * 5, itemsize=4, solver="auto")
        limit, seen = 64e9, []
        while True:
            try:
                steps = plan(job, limit)
            except CapacityError:
                break
            assert steps.peak <= limit
            seen.append((steps.held, steps.block))
            limit = steps.peak - 1
        assert seen[0] == (5, 1024)
        assert seen[-1][0] == 1
        assert seen[-1][1] <= 16
        assert seen == sorted(seen, reverse=True)

    def test_dual_is_planned_where_features_outnumber_samples(self):
        sizes = {"n": 200, "t": 1000, "penalties": 10, "folds": ((160, 40),) * 5, "itemsize": 8}
        wide = {
            solver: Job(p=50_000, solver=solver, **sizes).factor_bytes(200) for solver in ("auto", "primal", "dual")
        }
        assert wide["auto"] == wide["dual"] < wide["primal"] / 10

    def test_sizes_are_written_for_people(self):
        assert said(512) == "512 bytes"
        assert said(5 * 2**40) == "5.0 TiB"

    @pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
    def test_peak_memory_stays_below_what_was_allowed(self, tmp_path):
        """Targets on disk twice as large as the memory that the fit may take, in a process of its own."""
        script = textwrap.dedent(
            """
            import sys, warnings
            import numpy as np
            from neurodecode.linear import Ridge

            def high_water():
                with open("/proc/self/status") as file:
                    found = dict(line.split(":", 1) for line in file)
                return int(found["VmHWM"].split()[0]) * 1024

            warnings.simplefilter("ignore")
            Y = np.load(sys.argv[1], mmap_mode="r")
            X = np.random.default_rng(0).normal(size=(len(Y), 20)).astype(np.float32)
            model = Ridge(np.logspace(-1, 5, 5), max_memory=float(sys.argv[2]))
            model.fit(X[:50], np.array(Y[:50, :50]))
            before = high_water()  # not what it holds now: pages of libraries that the system took back come again
            model.fit(X, Y)
            print(high_water() - before)
            """
        )
        n, t, limit = 500, 60_000, 56 * 2**20
        Y = np.lib.format.open_memmap(tmp_path / "y.npy", mode="w+", dtype=np.float32, shape=(n, t))
        rng = np.random.default_rng(0)
        for rows in range(0, n, 50):
            Y[rows : rows + 50] = rng.standard_normal((50, t), dtype=np.float32)
        Y.flush()
        assert Y.nbytes > 2 * limit
        del Y
        found = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "y.npy"), str(limit)],
            capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert found.returncode == 0, found.stderr
        assert int(found.stdout) < limit


def test_the_constructor_stores_and_fit_decides():
    grid = [1.0]
    model = Ridge(grid, solver="nonsense", cv="also")
    assert model.alphas is grid
    x, y = draw()
    found = model.set_params(alphas=[3.0], solver="auto").fit(x, y)
    np.testing.assert_allclose(found.coef_, slow_ridge(x, y, 3.0)[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.filterwarnings(EDGE)
@pytest.mark.parametrize("shape", [(60, 20), (40, 90)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cuda_agrees_with_the_cpu(shape, dtype):
    x, y = (part.astype(dtype) for part in draw(*shape, t=30))
    here, there = Ridge(ALPHAS).fit(x, y), Ridge(ALPHAS, device="cuda").fit(x, y)
    assert np.mean(here.alpha_ == there.alpha_) > 0.9
    same = here.alpha_ == there.alpha_
    np.testing.assert_allclose(there.coef_[:, same], here.coef_[:, same], rtol=1e-3, atol=1e-4)
    assert type(there.coef_) is np.ndarray
    assert there.coef_.dtype == dtype
