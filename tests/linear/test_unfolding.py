"""Whole epochs as rows: which column is which, labels, and what is refused."""

import numpy as np
import pytest

from neurodecode.exceptions import AlignmentError
from neurodecode.linear import stack_time
from neurodecode.representation import as_representation, check_representation


def epochs():
    values = np.arange(24.0).reshape(2, 3, 4)
    return as_representation(
        values, stimulus=["a", "b"], kind="eeg", unit={"channel": ["Fz", "Cz", "Pz"]}, sample={"category": ["x", "y"]},
        time=[0.0, 0.1, 0.2, 0.3], attrs={"units": "V"},
    )  # fmt: skip


def test_every_column_is_one_channel_at_one_time():
    X = epochs()
    found = check_representation(stack_time(X))
    assert found.dims == ("sample", "unit") and found.shape == (2, 12)
    for column in range(12):
        channel, second = found["channel"].values[column], found["seconds"].values[column]
        here = X.values[:, X["channel"].values == channel][:, 0, X["time"].values == second][:, 0]
        np.testing.assert_array_equal(found.values[:, column], here)
    assert found["category"].values.tolist() == ["x", "y"] and found.attrs["units"] == "V"
    assert found.attrs["history"][-1] == "4 times stacked into units"
    np.testing.assert_array_equal(stack_time(X.values), found.values)


def test_other_dimensions_are_refused():
    with pytest.raises(AlignmentError, match="'sample', 'unit'"):
        stack_time(epochs()[:, :, 0])
    with pytest.raises(AlignmentError, match="expected"):
        stack_time(np.zeros((3, 2)))
