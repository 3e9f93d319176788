"""Training windows of a stream: which tokens stand where, each epoch, on each process, and after a resume."""

import pytest
import torch

from genlab.data.windows import ContiguousWindows, RandomWindows

KINDS = [ContiguousWindows, RandomWindows]


def text(n: int) -> torch.Tensor:
    """Tokens that are their own places."""
    return torch.arange(n, dtype=torch.int16)


def windows(kind, n=101, *, batch_size=2, length=5, seed=0, **where):
    return kind(text(n), batch_size=batch_size, length=length, seed=seed, **where)


def epoch_of(loader, epoch=0):
    loader.order.set_epoch(epoch)
    return list(loader)


def targets(batches):
    return [token for batch in batches for token in batch.target.flatten().tolist()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_is_the_token_behind_its_input(kind):
    batches = epoch_of(windows(kind))
    assert len(batches) == len(windows(kind)) > 0
    for batch in batches:
        assert batch.input.shape == batch.target.shape == (2, 5)
        assert torch.equal(batch.target, batch.input + 1) and batch.weight is None
        assert torch.equal(batch.input, batch.input[:, :1] + torch.arange(5))
        assert batch.label.tolist() == [0, 0] and batch.label.dtype == torch.int64
        assert batch.begins.shape == (2,) and batch.begins.dtype == torch.bool


@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_tells_no_token_twice_and_leaves_out_less_than_two_windows_a_stream(kind):
    loader = windows(kind)
    told = targets(epoch_of(loader))
    assert len(set(told)) == len(told) >= 100 - 2 * 2 * 5


def test_a_stream_goes_on_where_its_window_before_ended_and_begins_once():
    batches = epoch_of(windows(ContiguousWindows))
    assert [batch.begins.tolist() for batch in batches] == [[True, True]] + [[False, False]] * 8
    for before, after in zip(batches, batches[1:], strict=False):
        assert torch.equal(after.input[:, 0], before.target[:, -1])
    # 101 tokens, two streams of nine windows of five: 90 targets, the second stream 45 behind the first
    first = batches[0].input[:, 0]
    assert first[1] - first[0] == 45 and 0 <= first[0] <= 10


def test_without_a_seed_every_epoch_begins_at_the_beginning():
    loader = windows(ContiguousWindows, seed=None)
    assert [epoch_of(loader, e)[0].input[:, 0].tolist() for e in (0, 1)] == [[0, 45]] * 2
    loader = windows(RandomWindows, seed=None)
    assert targets(epoch_of(loader, 0)) == targets(epoch_of(loader, 3)) == list(range(1, 91))


@pytest.mark.parametrize("kind", KINDS)
def test_epochs_cut_elsewhere_and_in_time_at_every_place_of_a_window(kind):
    loader = windows(kind, seed=3)
    cuts = [int(epoch_of(loader, epoch)[0].input[0, 0]) % 5 for epoch in range(40)]
    assert set(cuts) == {0, 1, 2, 3, 4}
    assert targets(epoch_of(loader, 7)) == targets(epoch_of(windows(kind, seed=3), 7))
    other = windows(kind, seed=4)
    assert [targets(epoch_of(loader, e)) for e in (7, 8)] != [targets(epoch_of(other, e)) for e in (7, 8)]


def test_random_windows_all_begin_and_come_in_another_order_each_epoch():
    loader = windows(RandomWindows)
    batches = epoch_of(loader)
    assert all(batch.begins.all() for batch in batches)
    starts = [batch.input[:, 0].tolist() for batch in batches]
    assert starts != sorted(starts) and starts != [b.input[:, 0].tolist() for b in epoch_of(loader, 1)]
    assert (
        len({start % 5 for pair in starts for start in pair}) == 1
    )  # one cut for all, so nothing is told twice


@pytest.mark.parametrize("kind", KINDS)
def test_the_shortest_text_fills_one_batch(kind):
    (batch,) = epoch_of(windows(kind, n=11))
    assert sorted(batch.target.flatten().tolist()) == list(range(1, 11))


@pytest.mark.parametrize("kind", KINDS)
def test_processes_together_read_what_one_with_all_their_rows_reads(kind):
    whole = epoch_of(windows(kind, batch_size=4), 2)
    ranks = [epoch_of(windows(kind, batch_size=2, rank=r, world_size=2), 2) for r in (0, 1)]
    assert len(whole) == len(ranks[0]) == len(ranks[1]) > 1
    for together, *apart in zip(whole, *ranks, strict=True):
        rows = [row for batch in apart for row in batch.input.tolist()]
        assert sorted(rows) == sorted(together.input.tolist())


def test_a_process_keeps_its_own_streams():
    loader = windows(ContiguousWindows, rank=1, world_size=2, seed=None)
    span = 5 * len(loader)
    assert [b.input[:, 0].tolist() for b in epoch_of(loader)][:2] == [
        [2 * span, 3 * span],
        [2 * span + 5, 3 * span + 5],
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("done", [1, 4, 8])
def test_a_loader_goes_on_where_its_state_was_taken(kind, done):
    loader = windows(kind)
    loader.order.set_epoch(2)
    batches = iter(loader)
    for _ in range(done):
        next(batches)
    state, left = loader.state_dict(), list(batches)
    again = windows(kind)
    again.load_state_dict(state)
    again.order.set_epoch(2)
    resumed = list(again)
    assert len(resumed) == len(left) == 9 - done
    for one, other in zip(resumed, left, strict=True):
        assert torch.equal(one.input, other.input) and torch.equal(one.begins, other.begins)
    assert len(epoch_of(again, 3)) == 9  # the next epoch is whole


def test_streams_that_are_cut_otherwise_begin_anew_as_far_into_the_epoch():
    loader = windows(ContiguousWindows, n=401)
    batches = iter(loader)
    for _ in range(13):
        next(batches)
    again = windows(ContiguousWindows, n=401, batch_size=4)  # twice the streams, half as many windows in each
    again.load_state_dict(loader.state_dict())
    assert (len(loader), len(again)) == (39, 19)
    resumed = list(again)
    assert len(resumed) == 19 - 13 * 19 // 39
    assert [bool(batch.begins.all()) for batch in resumed[:2]] == [True, False]


@pytest.mark.parametrize("kind", KINDS)
def test_reading_leaves_the_global_random_stream_alone(kind):
    before = torch.get_rng_state()
    epoch_of(windows(kind))
    assert torch.equal(torch.get_rng_state(), before)
