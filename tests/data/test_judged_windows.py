"""Windows for judging: every token but the first counts exactly once, behind as much context as was promised."""

from itertools import product

import pytest
import torch

from genlab.data.judged_windows import CarriedWindows, StridedWindows


def text(n: int) -> torch.Tensor:
    """Tokens that are their own places, counted from 1, so that padding is told from the first."""
    return torch.arange(1, n + 1, dtype=torch.int16)


def counted(batches):
    """The targets that count."""
    return [int(t) for b in batches for t, w in zip(b.target.flatten(), b.weight.flatten(), strict=True) if w]


def carried(n=101, *, batch_size=3, length=5, warmup=7, world_size=1):
    return [
        CarriedWindows(
            text(n), batch_size=batch_size, length=length, warmup=warmup, rank=r, world_size=world_size
        )
        for r in range(world_size)
    ]


def strided(n=101, *, batch_size=3, length=6, stride=4, world_size=1):
    return [
        StridedWindows(
            text(n), batch_size=batch_size, length=length, stride=stride, rank=r, world_size=world_size
        )
        for r in range(world_size)
    ]


@pytest.mark.parametrize(
    ("n", "batch_size", "warmup", "world_size"),
    list(product([7, 31, 100, 101], [1, 2, 7], [0, 1, 5, 40], [1, 3])),
)
def test_carried_windows_count_every_token_but_the_first_once(n, batch_size, warmup, world_size):
    ranks = [
        list(loader) for loader in carried(n, batch_size=batch_size, warmup=warmup, world_size=world_size)
    ]
    assert len({len(batches) for batches in ranks}) == 1  # or one process would wait for the others
    assert sorted(counted([b for batches in ranks for b in batches])) == list(range(2, n + 1))
    for batch in (b for batches in ranks for b in batches):
        assert batch.input.shape == batch.weight.shape == (batch_size, 5)


@pytest.mark.parametrize(
    ("n", "batch_size", "stride", "world_size"),
    list(product([7, 8, 31, 101], [1, 2, 7], [1, 4, 6], [1, 3, 40])),
)
def test_strided_windows_count_every_token_but_the_first_once(n, batch_size, stride, world_size):
    ranks = [
        list(loader) for loader in strided(n, batch_size=batch_size, stride=stride, world_size=world_size)
    ]
    assert len({len(batches) for batches in ranks}) == 1
    assert sorted(counted([b for batches in ranks for b in batches])) == list(range(2, n + 1))


def test_a_carried_row_reads_its_warmup_before_it_is_judged():
    (loader,) = carried()
    batches = list(loader)
    # 100 targets and 14 of warming up in three rows of T = 5: eight windows, 40 steps, of which 33 are judged
    assert len(batches) == 8 and [b.begins.tolist() for b in batches] == [[True] * 3] + [[False] * 3] * 7
    inputs = torch.cat([b.input for b in batches], dim=1)
    weights = torch.cat([b.weight for b in batches], dim=1)
    assert inputs[:, 0].tolist() == [1, 34, 67]
    assert weights[0].tolist() == [1.0] * 40
    assert weights[1].tolist() == [0.0] * 7 + [1.0] * 33
    assert weights[2].tolist() == [0.0] * 7 + [1.0] * 27 + [0.0] * 6  # the text ends
    assert torch.equal(inputs[1], torch.arange(34, 74))
    assert inputs[2, 34:].tolist() == [101, 0, 0, 0, 0, 0]


def test_every_window_of_a_row_goes_on_where_the_one_before_ended():
    (loader,) = carried(warmup=0)
    batches = list(loader)
    for before, after in zip(batches, batches[1:], strict=False):
        assert torch.equal(after.input[:2, 0], before.target[:2, -1])


def test_strided_windows_judge_behind_a_context_of_what_they_do_not_advance():
    (loader,) = strided(n=20, batch_size=2)
    batches = list(loader)
    # 19 targets, T = 6, steps of 4: windows at 0, 4, 8, 12 and the last at 13, which has one token left to judge
    assert torch.cat([b.input[:, 0] for b in batches]).tolist() == [1, 5, 9, 13, 14]
    assert torch.cat([b.weight for b in batches]).tolist() == [
        [1] * 6,
        *[[0, 0, 1, 1, 1, 1]] * 3,
        [0, 0, 0, 0, 0, 1],
    ]
    assert all(b.begins.all() for b in batches)


def test_a_stride_of_a_whole_window_gives_no_context():
    (loader,) = strided(n=13, stride=6)
    (batch,) = loader
    assert batch.input[:, 0].tolist() == [1, 7] and bool((batch.weight == 1).all())


@pytest.mark.parametrize("make", [carried, strided])
def test_judging_is_the_same_each_time(make):
    (loader,) = make()
    first = [b.input.tolist() for b in loader]
    loader.order.set_epoch(5)
    assert [b.input.tolist() for b in loader] == first
    state = torch.get_rng_state()
    list(loader)
    assert torch.equal(torch.get_rng_state(), state)
