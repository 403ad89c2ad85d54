"""Walking an axis in pieces covers it once and in order."""

import numpy as np
import pytest

from neurodecode.compute.batching import batches


@pytest.mark.parametrize("n", [0, 1, 2, 7, 10, 64])
@pytest.mark.parametrize("size", [1, 2, 3, 10, 100, None])
def test_every_entry_once_in_order(n, size):
    parts = list(batches(n, size))
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(n))
    assert all(part.stop - part.start == (size or n) for part in parts[:-1])
    np.testing.assert_array_equal(np.concatenate([np.arange(n)[p] for p in parts] or [[]]), np.arange(n))


@pytest.mark.parametrize(("n", "size", "said"), [(-1, 2, "n=-1"), (5, 0, "size=0"), (5, -3, "size=-3")])
def test_impossible_sizes_raise_at_the_call(n, size, said):
    with pytest.raises(ValueError, match=said):
        batches(n, size)
