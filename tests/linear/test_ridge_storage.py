"""Targets that are not in memory, weights that are not either, and predictions written where they are wanted."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from neurodecode.exceptions import CapacityError, DegenerateDataError
from neurodecode.linear import Ridge
from neurodecode.representation import as_representation

ALPHAS = [0.1, 1.0, 10.0, 100.0]
pytestmark = pytest.mark.filterwarnings("ignore:The best penalty stands:neurodecode.exceptions.NeurodecodeWarning")


def draw(n=40, p=12, t=90, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) + 1.0
    return x.astype(dtype), (x @ rng.normal(size=(p, t)) + rng.normal(size=(n, t))).astype(dtype)


class Counted:
    """Stands for a store: gives columns, counts them, and refuses to be read whole."""

    def __init__(self, values, most):
        self.values, self.most, self.asked = values, most, 0
        self.shape, self.dtype, self.ndim, self.chunks = values.shape, values.dtype, 2, (len(values), most)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, key):
        found = self.values[key]
        assert found.shape[1] <= self.most, found.shape
        self.asked += found.shape[1]
        return found

    def __array__(self, *args, **kwargs):
        raise AssertionError("read whole")


def in_zarr(y, folder):
    store = zarr.create_array(str(folder / "y.zarr"), shape=y.shape, dtype=y.dtype, chunks=(len(y), 32))
    store[:] = y
    return zarr.open_array(str(folder / "y.zarr"), mode="r")


def in_dask(y, folder):
    return pytest.importorskip("dask.array").from_array(y, chunks=(10, 32))


STORES = {"zarr": in_zarr, "dask": in_dask, "counted": lambda y, folder: Counted(y, 1024)}


class TestTargetsInAStore:
    @pytest.mark.parametrize("how", STORES)
    @pytest.mark.parametrize("alphas", [2.0, ALPHAS])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
    def test_same_numbers(self, how, alphas, dtype, tmp_path):
        x, y = draw()
        y = (10 * y).astype(dtype)
        expected = Ridge(alphas).fit(x, y)
        found = Ridge(alphas).fit(x, STORES[how](y, tmp_path))
        np.testing.assert_array_equal(found.coef_, expected.coef_)
        np.testing.assert_array_equal(found.alpha_, expected.alpha_)

    def test_columns_are_read_a_block_at_a_time_and_once_a_pass(self):
        x, y = draw(t=5000)
        store = Counted(y, 1024)
        found = Ridge(ALPHAS).fit(x, store)
        assert store.asked == 2 * 5000
        np.testing.assert_array_equal(found.coef_, Ridge(ALPHAS).fit(x, y).coef_)

    def test_wide_chunks_are_read_once_and_walked_in_blocks(self):
        x, y = draw(t=9000)
        store = Counted(y, 4096)
        found = Ridge(ALPHAS, cv="gcv").fit(x, store)
        assert store.asked == 2 * 9000
        np.testing.assert_array_equal(found.coef_, Ridge(ALPHAS, cv="gcv").fit(x, y).coef_)

    @pytest.mark.parametrize("chunks", [None, {}])
    def test_labels_over_a_store(self, chunks, tmp_path):
        if chunks is not None:
            pytest.importorskip("dask")
        x, y = draw()
        stimulus = [f"picture {i}" for i in range(len(x))]
        X = as_representation(x, stimulus=stimulus, kind="network")
        Y = as_representation(y, stimulus=stimulus, kind="fmri", unit={"roi": [f"area {i}" for i in range(90)]})
        Y.rename("y").drop_attrs().to_dataset().to_zarr(tmp_path / "labelled.zarr", consolidated=False)
        lazy = xr.open_zarr(tmp_path / "labelled.zarr", chunks=chunks, consolidated=False)["y"]
        found = Ridge(ALPHAS).fit(X, lazy).predict(X)
        expected = Ridge(ALPHAS).fit(X, Y).predict(X)
        np.testing.assert_array_equal(found.values, expected.values)
        np.testing.assert_array_equal(found["roi"], Y["roi"])
        if chunks is None:
            assert not lazy.variable._in_memory

    def test_what_is_not_finite_is_named(self):
        x, y = draw(t=3000)
        y[7, 2345] = np.nan
        with pytest.raises(DegenerateDataError, match=r"y: 1 values .*first in target 2345, sample 7"):
            Ridge(ALPHAS).fit(x, Counted(y, 1024))


class TestWeights:
    @pytest.mark.parametrize("shape", [(40, 12), (20, 60)])
    @pytest.mark.parametrize("intercept", [True, False])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("solver", ["primal", "dual"])
    def test_kept_anywhere_they_are_the_same(self, shape, intercept, dtype, solver, tmp_path):
        x, y = draw(*shape, dtype=dtype)
        x[:, 3] = 0
        settings = {"fit_intercept": intercept, "solver": solver}
        with pytest.warns(match="1 constant"):
            usual = Ridge(ALPHAS, **settings).fit(x, y)
        for weights in ("dual", tmp_path):
            with pytest.warns(match="1 constant"):
                other = Ridge(ALPHAS, **settings).fit(x, y, weights=weights)
            close = {"rtol": 1e-3, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-8, "atol": 1e-9}
            np.testing.assert_array_equal(other.alpha_, usual.alpha_)
            np.testing.assert_allclose(other.coef_, usual.coef_, **close)
            np.testing.assert_allclose(other.intercept_, usual.intercept_, **close)
            np.testing.assert_allclose(other.predict(x), usual.predict(x), **close)
            assert other.predict(x).dtype == other.coef_.dtype == dtype

    def test_dual_weights_lead_to_coefficients(self):
        x, y = draw(20, 60, dtype=np.float64)
        model = Ridge(ALPHAS).fit(x, y, weights="dual")
        assert model.dual_coef_.shape == (20, 90)
        np.testing.assert_allclose((x - x.mean(0)).T @ model.dual_coef_, model.coef_)
        with pytest.raises(AttributeError, match="weights='dual'"):
            _ = Ridge(ALPHAS).fit(x, y).dual_coef_

    def test_the_file(self, tmp_path):
        x, y = draw()
        model = Ridge(ALPHAS).fit(x, y, weights=tmp_path / "new" / "folder")
        assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["coef.npy"]
        raw = np.load(tmp_path / "new" / "folder" / "coef.npy", mmap_mode="r")
        assert raw.shape == (90, 12)  # targets first: a block of targets lies in one piece
        np.testing.assert_array_equal(raw.T, Ridge(ALPHAS).fit(x, y).coef_)
        assert isinstance(model.coef_.base, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            model.coef_[0, 0] = 1
        before = model.coef_
        again = Ridge(ALPHAS).fit(x, 2 * y, weights=tmp_path / "new" / "folder")
        np.testing.assert_allclose(again.coef_, 2 * before, rtol=1e-5)  # the earlier map is as it was
        (tmp_path / "new" / "folder" / "coef.npy").unlink()
        with pytest.raises(FileNotFoundError, match="Fit it again"):
            model.predict(x)

    def test_a_fit_that_fails_leaves_no_file(self, tmp_path):
        x, y = draw()
        y[3, 80] = np.inf
        with pytest.raises(DegenerateDataError):
            Ridge(1.0).fit(x, y, weights=tmp_path)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("weights", ["nowhere", 3, None, ""])
    def test_other_places_are_refused(self, weights):
        with pytest.raises(ValueError, match="'memory', 'dual', or the path of a folder"):
            Ridge(1.0).fit(*draw(), weights=weights)

    def test_masked_targets(self, tmp_path):
        x, y = draw()
        y[3, 1] = np.nan
        stimulus = [f"picture {i}" for i in range(len(x))]
        X = as_representation(x, stimulus=stimulus, kind="network")
        Y = as_representation(y, stimulus=stimulus, kind="fmri", nan_policy="drop_targets")
        for weights in ("dual", tmp_path):
            found = Ridge(1.0).fit(X, Y, weights=weights)
            assert np.isnan(found.predict(X)[:, 1]).all()
            assert np.isnan(found.coef_[:, 1]).all()
            assert np.isfinite(found.predict(X)[:, [0, 2]]).all()

    @pytest.mark.parametrize("weights", ["memory", "dual", "disk"])
    def test_predictions_go_where_they_are_wanted(self, weights, tmp_path):
        x, y = draw(t=5000)
        model = Ridge(1.0).fit(x, y, weights=tmp_path if weights == "disk" else weights)
        out = np.lib.format.open_memmap(tmp_path / "out.npy", mode="w+", dtype=np.float32, shape=(9, 5000))
        assert model.predict(x[:9], out=out) is out
        np.testing.assert_allclose(out, model.predict(x[:9]), rtol=1e-4, atol=1e-4)
        store = zarr.create_array(str(tmp_path / "out.zarr"), shape=(9, 5000), dtype="f4", chunks=(9, 1000))
        model.predict(x[:9], out=store)
        np.testing.assert_array_equal(store[:], out)
        with pytest.raises(ValueError, match=r"out has the shape \(9, 4\); expected \(9, 5000\)"):
            model.predict(x[:9], out=np.empty((9, 4)))


class TestMemory:
    def test_sizes_are_read_as_people_write_them(self):
        x, y = draw()
        for size in ("1GB", "1 GiB", "2e3 MB", 1e9, None):
            assert Ridge(ALPHAS, max_memory=size).fit(x, y).memory_ < 1e9
        for size in ("much", "4 parsecs", "-1 GB", "", "1.2.3 GB", [1]):
            with pytest.raises(ValueError, match="such as '4 GiB'"):
                Ridge(ALPHAS, max_memory=size).fit(x, y)

    def test_where_the_weights_lie_counts(self, tmp_path):
        x, y = np.broadcast_to(np.float32(1), (100, 5000)), np.broadcast_to(np.float32(1), (100, 200_000))
        for weights, least in (("memory", "3.7 GiB"), ("dual", "76.3 MiB"), (tmp_path, "6.1 MiB")):
            with pytest.raises(CapacityError, match=f"alone take {least}"):
                Ridge(1.0, max_memory="1 MB").fit(x, y, weights=weights)

    @pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
    def test_a_fit_and_its_predictions_stay_below_what_was_allowed(self, tmp_path):
        """Targets in a zarr store and weights in a file, both larger than the limit, in a process of their own."""
        script = textwrap.dedent(
            """
            import sys, warnings
            import numpy as np
            import zarr
            from neurodecode.linear import Ridge

            def high_water():
                with open("/proc/self/status") as file:
                    found = dict(line.split(":", 1) for line in file)
                return int(found["VmHWM"].split()[0]) * 1024

            warnings.simplefilter("ignore")
            folder = sys.argv[1]
            Y = zarr.open_array(folder + "/y.zarr", mode="r")
            X = np.random.default_rng(0).normal(size=(400, 500)).astype(np.float32)
            settings = {"cv": 4, "max_memory": sys.argv[2]}
            small = Ridge(np.logspace(0, 5, 6), **settings).fit(X, np.array(Y[:, :300]), weights=folder)
            small.predict(X[:50])
            del small
            before = high_water()  # not what it holds now: pages of libraries that the system took back come again
            model = Ridge(np.logspace(0, 5, 6), **settings).fit(X, Y, weights=folder)
            peak = high_water() - before
            out = np.lib.format.open_memmap(folder + "/out.npy", mode="w+", dtype=np.float32, shape=(50, Y.shape[1]))
            model.predict(X[:50], out=out)
            print(peak, high_water() - before, model.memory_)
            """
        )
        t, limit = 60_000, 96 * 2**20
        store = zarr.create_array(
            str(tmp_path / "y.zarr"), shape=(400, t), dtype="f4", chunks=(400, 1024), compressors=None
        )
        rng = np.random.default_rng(0)
        for start in range(0, t, 1024):
            store[:, start : start + 1024] = rng.standard_normal((400, min(1024, t - start)), dtype=np.float32)
        found = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path), f"{limit} B"],
            capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert found.returncode == 0, found.stderr
        fitted, predicted, said = map(int, found.stdout.split())
        assert fitted < said <= limit
        assert predicted < limit
        assert (tmp_path / "coef.npy").stat().st_size > limit
