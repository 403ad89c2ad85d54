"""Devices: what is asked for or an error, never something else."""

import contextlib

import numpy as np
import pytest
import torch

from neurodecode.compute.device import resolve, single_thread


def test_none_is_the_tensors_own_device_or_the_cpu():
    assert resolve() == torch.device("cpu")
    assert resolve(like=torch.zeros(1, device="meta")).type == "meta"
    assert resolve("cpu", like=torch.zeros(1, device="meta")).type == "cpu"
    assert resolve(torch.device("cpu")).type == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", torch.device("cuda", 1)])
def test_absent_cuda_raises(name):
    with pytest.raises(ValueError, match="no CUDA device"):
        resolve(name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_absent_second_cuda_device_raises():
    assert resolve("cuda").type == "cuda"
    with pytest.raises(ValueError, match="CUDA devices here are 0 to"):
        resolve(f"cuda:{torch.cuda.device_count()}")


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has an MPS device")
def test_absent_mps_raises():
    with pytest.raises(ValueError, match="no MPS device"):
        resolve("mps")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", 3.5, ""])
def test_nonsense_raises_with_the_name(name):
    with pytest.raises(ValueError, match="is not the name of a device"):
        resolve(name)


def test_other_backends_are_named_as_unsupported():
    with pytest.raises(ValueError, match="not supported"):
        resolve("xla")


def test_single_thread_restores_even_after_an_error():
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        pools = [pool["num_threads"] for pool in threadpool_info()]
        with contextlib.suppress(ZeroDivisionError), single_thread():
            assert torch.get_num_threads() == 1
            assert all(pool["num_threads"] == 1 for pool in threadpool_info())
            1 / 0  # noqa: B018
        assert torch.get_num_threads() == 2
        assert [pool["num_threads"] for pool in threadpool_info()] == pools
    finally:
        torch.set_num_threads(before)
