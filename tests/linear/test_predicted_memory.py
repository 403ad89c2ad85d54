"""Kernel and banded ridge say how much memory a fit takes before it takes any."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from neurodecode.exceptions import CapacityError
from neurodecode.linear import BandedRidge, KernelRidge

ALPHAS = [1.0, 100.0]
EDGE = "ignore:The best penalty stands:neurodecode.exceptions.NeurodecodeWarning"

FITS = {
    "kernel, many samples": ("KernelRidge('rbf', ALPHAS, max_memory=LIMIT)", 700, 40, 200),
    "kernel, many targets": ("KernelRidge('linear', ALPHAS, max_memory=LIMIT)", 200, 20, 12_000),
    "banded, fewer features": ("BandedRidge([0, 1] * 150, ALPHAS, 3, random_state=0, max_memory=LIMIT)", 900, 300, 300),
    "banded, more features": ("BandedRidge([0, 1] * 450, ALPHAS, 3, random_state=0, max_memory=LIMIT)", 400, 900, 2000),
}

SCRIPT = textwrap.dedent(
    """
    import sys, warnings
    import numpy as np
    from neurodecode.linear import BandedRidge, KernelRidge

    def high_water():
        with open("/proc/self/status") as file:
            found = dict(line.split(":", 1) for line in file)
        return int(found["VmHWM"].split()[0]) * 1024

    warnings.simplefilter("ignore")
    ALPHAS, LIMIT = [1.0, 100.0], "300 MiB"
    model, n, p, t = eval(sys.argv[1]), *map(int, sys.argv[2:5])
    rng = np.random.default_rng(0)
    for rows, columns in ((40, 30), (n, t)):  # the first fit is what libraries keep from their first use on
        X, Y = rng.normal(size=(rows, p)), rng.normal(size=(rows, columns))
        before = high_water()  # not what it holds now: pages of libraries that the system took back come again
        model.fit(X, Y)
    print(high_water() - before, model.memory_)
    """
)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("call", FITS.values(), ids=list(FITS))
def test_a_fit_takes_less_than_it_said_and_not_much_less(call):
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, call)],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    taken, said = map(int, found.stdout.split())
    assert taken < said < 300 * 2**20
    assert said < 3 * taken + 48 * 2**20


def draw(n, p, t, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)), rng.normal(size=(n, t))


@pytest.mark.parametrize("make", [KernelRidge, lambda **more: BandedRidge([0, 1], n_iter=3, random_state=0, **more)])
@pytest.mark.filterwarnings(EDGE)
def test_what_does_not_fit_is_refused_with_numbers(make):
    x, y = draw(60, 2, 7)
    with pytest.raises(
        CapacityError, match=r"60 samples .* 7 targets .*needs at least 2\d.\d MiB .* is 20.0 MiB.*Raise"
    ):
        make(alphas=ALPHAS, max_memory="20480 KiB").fit(x, y)
    with pytest.raises(ValueError, match="max_memory='plenty': expected a number of bytes"):
        make(alphas=ALPHAS, max_memory="plenty").fit(x, y)
    assert make(alphas=ALPHAS, max_memory="1 GiB").fit(x, y).memory_ < 2**30


def test_a_kernel_too_large_for_the_machine_is_refused_before_it_is_made():
    x = np.broadcast_to(np.arange(2.0), (3_000_000, 2))
    y = np.broadcast_to(np.zeros(1), (3_000_000, 1))
    with pytest.raises(CapacityError, match=r"3,000,000 samples .* TiB beyond its inputs; this machine has"):
        KernelRidge(alphas=1.0).fit(x, y)


@pytest.mark.filterwarnings(EDGE)
def test_less_memory_means_fewer_targets_at_a_time_and_the_same_answer():
    x, y = draw(50, 4, 5000)
    whole = KernelRidge(alphas=ALPHAS).fit(x, y)
    limit = whole.memory_ - 2**20
    parts = KernelRidge(alphas=ALPHAS, max_memory=limit).fit(x, y)
    assert parts.memory_ <= limit
    np.testing.assert_array_equal(parts.alpha_, whole.alpha_)
    np.testing.assert_allclose(parts.dual_coef_, whole.dual_coef_, rtol=1e-10, atol=1e-12)
