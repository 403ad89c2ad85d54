"""Seeds: the same one gives the same draws, the process is never seeded."""

import numpy as np
import pytest
import torch

from neurodecode.compute.random import check_random_state, normal, torch_generator


@pytest.mark.parametrize("seed", [0, 7, [1, 2], np.int64(3), np.random.SeedSequence(5)])
def test_same_seed_same_draws(seed):
    np.testing.assert_array_equal(check_random_state(seed).normal(size=5), check_random_state(seed).normal(size=5))
    a, b = torch_generator(seed), torch_generator(seed)
    assert torch.equal(torch.randn(5, generator=a), torch.randn(5, generator=b))


def test_other_seed_other_draws():
    assert not np.array_equal(check_random_state(0).normal(size=5), check_random_state(1).normal(size=5))
    assert not np.array_equal(check_random_state(None).normal(size=5), check_random_state(None).normal(size=5))


def test_generators_are_used_and_move_on():
    rng = np.random.default_rng(0)
    assert check_random_state(rng) is rng
    old = np.random.RandomState(0)
    first, second = check_random_state(old).integers(1 << 30), check_random_state(old).integers(1 << 30)
    assert first != second
    assert first == check_random_state(np.random.RandomState(0)).integers(1 << 30)
    generator = torch.Generator().manual_seed(1)
    assert torch_generator(generator) is generator


@pytest.mark.parametrize("seed", [-1, "a", 1.5, True, object()])
def test_nonsense_raises(seed):
    with pytest.raises(ValueError, match="random_state="):
        check_random_state(seed)


def test_the_process_is_not_seeded():
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    expected = np.random.rand(), float(torch.rand(()))  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    check_random_state(3).normal()
    check_random_state(np.random)
    normal((4,), torch_generator(3), torch.zeros(1))
    np.random.seed(0)  # noqa: NPY002
    assert (np.random.rand(), float(torch.rand(()))) == expected  # noqa: NPY002


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normals_take_dtype_and_are_standard(dtype):
    drawn = normal((20_000,), torch_generator(2), torch.zeros(1, dtype=dtype))
    assert drawn.dtype == dtype
    assert abs(float(drawn.mean())) < 0.05
    assert abs(float(drawn.std()) - 1) < 0.05
