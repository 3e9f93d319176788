"""Noise of rows: the same numbers in blocks of any size."""

import pytest
import torch

from genlab.models import row_noise
from genlab.models.row_noise import RowNoise


def steps(rows, count, per_step=3):
    noise = RowNoise(5, rows, per_step)
    return torch.stack([noise.next() for _ in range(count)])  # [T, n, R]


@pytest.mark.parametrize("numbers", [1, 7 * 6 * 3])
def test_blocks_of_any_size_give_equal_numbers(monkeypatch, numbers):
    expected = steps(6, 600)  # blocks of 256
    monkeypatch.setattr(row_noise, "_NUMBERS", numbers)
    torch.testing.assert_close(steps(6, 600), expected, rtol=0, atol=0)
    torch.testing.assert_close(steps(2, 600), expected[:, :2], rtol=0, atol=0)


def test_no_block_holds_more_than_its_share_of_memory():
    noise = RowNoise(5, 3000, 56)
    noise.next()
    assert noise._block.shape == (3000, 2**22 // (3000 * 56), 56)
    assert len(set(noise.next()[:, 0].tolist())) > 2900
    few = RowNoise(5, 2, 56)
    few.next()
    assert few._block.shape == (2, 256, 56)
