import numpy as np
import pytest
import torch

from genlab.data.order import BatchOrder


def epoch_of(order, epoch=0):
    order.set_epoch(epoch)
    return [batch.tolist() for batch in order]


def flat(batches):
    return [row for batch in batches for row in batch]


def ranks(num, world_size, **settings):
    return [BatchOrder(np.arange(num), rank=r, world_size=world_size, **settings) for r in range(world_size)]


def test_an_epoch_gives_each_row_once_in_batches_of_the_size_asked_for():
    batches = epoch_of(BatchOrder(np.arange(100, 110), batch_size=4, seed=0))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert sorted(flat(batches)) == list(range(100, 110))


def test_without_a_seed_the_order_is_that_of_the_rows():
    assert epoch_of(BatchOrder(np.array([5, 3, 9]), batch_size=2), epoch=4) == [[5, 3], [9]]


def test_the_order_depends_on_seed_and_epoch_and_on_nothing_else():
    def order(seed, epoch):
        return flat(epoch_of(BatchOrder(np.arange(50), batch_size=8, seed=seed), epoch))

    torch.manual_seed(1)
    np.random.seed(1)
    first = order(0, 0)
    torch.manual_seed(2)
    np.random.seed(2)
    assert order(0, 0) == first
    orders = [order(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(o) for o in orders}) == 4


def test_the_global_random_streams_are_left_alone():
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    epoch_of(BatchOrder(np.arange(50), batch_size=8, seed=0))
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()


def test_drop_last_leaves_out_other_rows_each_epoch():
    order = BatchOrder(np.arange(10), batch_size=4, seed=0, drop_last=True)
    epochs = [epoch_of(order, epoch) for epoch in range(10)]
    assert all([len(batch) for batch in batches] == [4, 4] for batches in epochs)
    assert len({frozenset(flat(batches)) for batches in epochs}) > 3


@pytest.mark.parametrize("num", range(1, 40))
@pytest.mark.parametrize(("world_size", "batch_size"), [(1, 4), (2, 4), (3, 4), (4, 2)])
def test_the_ranks_deliver_every_row_once_in_equally_many_batches_none_of_them_empty(
    num, world_size, batch_size
):
    parts = [epoch_of(order, 1) for order in ranks(num, world_size, batch_size=batch_size, seed=0)]
    assert {len(part) for part in parts} == {len(parts[0])}
    assert all(1 <= len(batch) <= batch_size for part in parts for batch in part)
    delivered = sorted(flat(flat(parts)))
    if num >= world_size:
        assert delivered == list(range(num))
    else:  # fewer rows than processes: each process still needs one
        assert set(delivered) == set(range(num))


@pytest.mark.parametrize("num", range(1, 12))
def test_batches_of_one_keep_the_ranks_together_by_showing_one_row_twice(num):
    parts = [epoch_of(order) for order in ranks(num, 2, batch_size=1)]
    assert len(parts[0]) == len(parts[1])
    assert set(flat(flat(parts))) == set(range(num))
    assert len(flat(flat(parts))) - num == num % 2


@pytest.mark.parametrize("num", range(8, 30))
def test_with_drop_last_all_ranks_deliver_only_full_batches_of_different_rows(num):
    parts = [epoch_of(order) for order in ranks(num, 2, batch_size=4, seed=0, drop_last=True)]
    assert all(len(batch) == 4 for part in parts for batch in part)
    assert {len(part) for part in parts} == {num // 8}
    assert len(set(flat(flat(parts)))) == 8 * (num // 8)


def test_the_batches_of_all_ranks_together_are_those_of_one_process_with_larger_batches():
    alone = epoch_of(BatchOrder(np.arange(24), batch_size=8, seed=5))
    first, second = (epoch_of(order) for order in ranks(24, 2, batch_size=4, seed=5))
    assert [sorted(a + b) for a, b in zip(first, second, strict=True)] == [sorted(batch) for batch in alone]


def resumed(state, epoch):
    order = BatchOrder(np.arange(10), batch_size=3, seed=1)
    order.load_state_dict(state)
    order.set_epoch(epoch)
    return [batch.tolist() for batch in order]


def test_after_loading_a_state_the_epoch_goes_on_behind_the_delivered_batches():
    whole = epoch_of(BatchOrder(np.arange(10), batch_size=3, seed=1), 2)
    assert resumed({"epoch": 2, "done": 3}, 2) == whole[3:]


def test_another_epoch_than_the_stored_one_starts_at_its_beginning():
    whole = epoch_of(BatchOrder(np.arange(10), batch_size=3, seed=1), 3)
    assert resumed({"epoch": 2, "done": 3}, 3) == whole


def test_an_epoch_that_was_delivered_completely_starts_anew():
    whole = epoch_of(BatchOrder(np.arange(10), batch_size=3, seed=1), 2)
    assert resumed({"epoch": 2, "done": 4}, 2) == whole


def test_only_the_first_iteration_after_loading_is_cut_short():
    order = BatchOrder(np.arange(10), batch_size=3)
    order.load_state_dict({"epoch": 0, "done": 2})
    assert (len(list(order)), len(list(order))) == (2, 4)


def test_a_loaded_state_is_given_out_again_until_batches_are_drawn():
    order = BatchOrder(np.arange(10), batch_size=3)
    order.load_state_dict({"epoch": 2, "done": 1})
    assert order.state_dict() == {"epoch": 2, "done": 1, "rows_a_batch": 3}
    order.set_epoch(2)
    assert order.state_dict() == {"epoch": 2, "done": 1, "rows_a_batch": 3}
    order.set_epoch(3)
    assert order.state_dict() == {"epoch": 3, "done": 0, "rows_a_batch": 3}


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(ValueError, match=r"^batch_size must be at least 1, got 0$"):
        BatchOrder(np.arange(3), batch_size=0)


def test_a_resume_on_another_number_of_ranks_goes_on_where_the_others_were():
    one = BatchOrder(np.arange(48), batch_size=4, seed=1)
    whole = np.concatenate(list(one))
    one.done = 6  # 24 rows are behind it
    pair = [BatchOrder(np.arange(48), batch_size=4, seed=1, rank=rank, world_size=2) for rank in (0, 1)]
    for order in pair:
        order.load_state_dict(one.state_dict())
    rest = np.concatenate([np.concatenate(list(order)) for order in pair])
    assert sorted(rest) == sorted(whole[24:])
