"""Pooling: which axis is what, and means that leave out what does not count."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neurodecode.compute.pooling import channel_axis, last_place, mean_places, pool_rows, token_mask


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("module", "ndim", "axis"),
    [
        (nn.Conv2d(1, 1, 1), 4, 1),
        (nn.Conv1d(1, 1, 1), 3, 1),
        (nn.BatchNorm1d(2), 3, 1),
        (nn.MaxPool3d(2), 5, 1),
        (nn.GroupNorm(1, 2), 4, 1),
        (nn.LayerNorm(3), 4, 3),
        (nn.Linear(2, 2), 3, 2),
        (nn.LSTM(2, 2), 3, 2),
        (nn.ReLU(), 4, 1),
        (nn.ReLU(), 3, 2),
        (nn.ReLU(), 2, 1),
        (nn.Flatten(), 1, 0),
    ],
)
def test_the_channel_axis_follows_the_kind_of_layer(module, ndim, axis):
    assert channel_axis(module, ndim) == axis


def test_an_axis_that_can_be_read_in_two_ways_is_asked_for():
    with pytest.raises(ValueError, match="channel_axis=1 or channel_axis=2"):
        channel_axis(nn.ReLU(), 3, nn.Sequential(nn.Conv1d(1, 1, 1), nn.ReLU()))


def test_maps_and_tokens_are_pooled_over_places():
    maps, tokens = drawn(3, 5, 4, 2), drawn(3, 4, 5)
    torch.testing.assert_close(pool_rows(maps, 1, "mean")[0], maps.mean((2, 3)))
    torch.testing.assert_close(pool_rows(maps.movedim(1, 3), 3, "mean")[0], maps.mean((2, 3)))
    torch.testing.assert_close(pool_rows(tokens, 2, "mean")[0], tokens.mean(1))
    torch.testing.assert_close(pool_rows(tokens, 2, "last")[0], tokens[:, -1])
    rows, grid = pool_rows(maps, 1, None)
    assert grid == (4, 2)
    torch.testing.assert_close(rows[:, 5], maps[:, :, 2, 1])  # row-major: place 5 is row 2, column 1
    assert pool_rows(drawn(3), 0, "mean")[0].shape == (3, 1)
    with pytest.raises(ValueError, match="last token of a sequence"):
        pool_rows(maps, 1, "last")


def test_half_precision_is_summed_in_single():
    big = torch.full((1, 4000, 1), 30.0, dtype=torch.float16)  # the sum is beyond what half precision holds
    rows, _ = pool_rows(big, 2, "mean")
    assert rows.dtype == torch.float32
    assert rows.item() == 30
    assert pool_rows(torch.arange(4)[:, None], 1, "mean")[0].dtype == torch.float32


def test_places_that_do_not_count_do_not_enter_even_when_they_are_not_finite():
    x = drawn(2, 5, 3)
    mask = torch.tensor([[1, 1, 0, 0, 0], [0, 1, 0, 1, 0]], dtype=torch.bool)
    x[~mask] = float("nan")
    truth = torch.stack([x[0, :2].mean(0), x[1, [1, 3]].mean(0)])
    torch.testing.assert_close(mean_places(x, mask), truth)
    torch.testing.assert_close(last_place(x, mask), torch.stack([x[0, 1], x[1, 3]]))
    torch.testing.assert_close(mean_places(x[:, [3, 1, 0, 2, 4]], mask[:, [3, 1, 0, 2, 4]]), truth)  # order is nothing
    assert pool_rows(x, 2, "mean", mask)[0].isfinite().all()


def test_which_tokens_count():
    ids = torch.tensor([[1, 5, 1, 0], [0, 1, 5, 6]])
    attended = torch.tensor([[1, 1, 1, 0], [0, 1, 1, 1]])
    expected = [[False, True, True, False], [False, False, True, True]]
    assert token_mask(ids, attended, None, 1).tolist() == expected
    assert token_mask(ids, None, 0, 1).tolist() == expected  # a mark in the middle of a text stays
    assert token_mask(ids, attended, None, None).tolist() == attended.bool().tolist()
    assert token_mask(torch.tensor([[1, 1, 5]]), None, None, 1).tolist() == [[False, True, True]]
    assert token_mask(ids, None, None, None) is None
    assert token_mask(None, None, 0, 1) is None
