"""Sines, and what every datamodule of series shares: shifted inputs, resuming, sharing among processes."""

import numpy as np
import pytest
import torch
from image_files import fails
from recorded_runs import SaveAt, seen, under_trainer

from genlab.data.series import as_batch
from genlab.data.sines import SineData
from genlab.sequence_contracts import SequenceBatch, SeriesCodec


def ready(stage=None, **changes):
    settings = {"num_train": 40, "num_val": 10, "num_test": 12, "batch_size": 8} | changes
    data = SineData(**settings)
    data.prepare_data()
    data.setup(stage)
    return data


def everything(loader):
    return torch.cat([batch.target for batch in loader])


def first_values(loader):
    return everything(loader)[:, 0, 0].tolist()


def test_each_step_is_given_the_one_before_it_and_the_first_is_given_zeros():
    target = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    batch = as_batch(target, torch.tensor([7]))
    assert batch.input.tolist() == [[[0, 0], [1, 2], [3, 4]]]
    assert torch.equal(batch.target, target) and batch.weight is None
    assert batch.label.tolist() == [7] and batch.begins.tolist() == [True]


def test_batches_are_those_of_the_contract():
    batch = next(iter(ready(num_features=3, sequence_length=7).train_dataloader()))
    assert isinstance(batch, SequenceBatch)
    assert batch.target.shape == batch.input.shape == (8, 7, 3) and batch.target.dtype == torch.float32
    assert torch.equal(batch.input[:, 1:], batch.target[:, :-1]) and not batch.input[:, 0].any()
    assert batch.label.dtype == torch.int64 and not batch.label.any()
    assert batch.begins.dtype == torch.bool and batch.begins.all() and batch.weight is None


def test_sines_are_sines_of_one_frequency_and_phase_a_channel():
    values = 2 * everything(ready(num_train=500).train_dataloader()).double() - 1  # [N, T, D]
    angle = torch.asin(values)
    # up to pi / 2 the angle is frequency t + phase, and with at most .1 a step it stays below for 14 steps
    step = angle[:, 1:14] - angle[:, :13]
    assert (step - step[:, :1]).abs().max() < 1e-4
    frequency, phase = step[:, 0].flatten(), angle[:, 0].flatten()
    for drawn in (
        frequency,
        phase,
    ):  # 2,480 of them, even between 0 and .1: mean .05, deviation .1 / sqrt(12)
        assert -1e-6 < drawn.min() < 0.001 and 0.099 < drawn.max() < 0.1001
        assert abs(drawn.mean() - 0.05) < 0.0025 and abs(drawn.std() - 0.1 / 12**0.5) < 0.0015
    assert abs(np.corrcoef(frequency, phase)[0, 1]) < 0.07
    assert abs(np.corrcoef(step[:, 0, 0], step[:, 0, 1])[0, 1]) < 0.15  # channels draw for themselves


def test_frequencies_and_phases_reach_as_far_as_they_are_told():
    values = 2 * everything(ready(num_train=500, max_frequency=0.02, max_phase=1.0).train_dataloader()) - 1
    angle = torch.asin(values.double())
    assert 0.99 < angle[:, 0].max() < 1.0 and 0.0195 < (angle[:, 1] - angle[:, 0]).max() < 0.0201


def test_sines_depend_on_their_own_seed_alone_and_splits_are_different_draws():
    first = ready(seed=1)
    assert torch.equal(everything(first.val_dataloader()), everything(ready(seed=2).val_dataloader()))
    other = ready(draw_seed=1)
    assert not torch.equal(everything(first.val_dataloader()), everything(other.val_dataloader()))
    loaders = (first.val_dataloader(), first.test_dataloader(), first.train_dataloader())
    assert len(set(sum(map(first_values, loaders), []))) == 10 + 12 + 40


def test_every_training_window_comes_once_an_epoch_in_another_order():
    loader = ready().train_dataloader()
    epochs = []
    for epoch in (0, 1):
        loader.order.set_epoch(epoch)
        epochs.append(first_values(loader))
    assert len(epochs[0]) == 40 and epochs[0] != epochs[1] and sorted(epochs[0]) == sorted(epochs[1])
    validation = ready().val_dataloader()
    assert first_values(validation) == first_values(validation)


def test_the_order_of_training_windows_is_the_runs():
    assert first_values(ready(seed=1).train_dataloader()) != first_values(ready(seed=2).train_dataloader())


def fit(path=None, callbacks=()):
    return seen(ready(), lambda batch: batch.target[:, 0, 0], path, callbacks)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("step", [3, 5, 8])
def test_a_resumed_run_sees_exactly_the_windows_that_were_left(step, tmp_path):
    whole = fit(callbacks=[SaveAt(tmp_path / "at.ckpt", step=step)])
    assert len(whole) == 10
    assert fit(str(tmp_path / "at.ckpt")) == whole[step:]


def share(**settings):
    return under_trainer(ready(), **settings).train_dataloader()


def test_overfitting_sees_the_same_batches_each_epoch():
    loader = share(overfit_batches=2)
    first = first_values(loader)
    loader.order.set_epoch(1)
    assert first_values(loader) == first


def test_processes_share_the_windows_of_an_epoch_among_themselves():
    parts = [first_values(share(global_rank=rank, world_size=2)) for rank in (0, 1)]
    assert [len(part) for part in parts] == [16, 16]  # 40 windows: two full batches of 8 on each
    assert len({*parts[0], *parts[1]}) == 32


def test_moving_a_batch_keeps_all_of_it():
    batch = next(iter(ready().train_dataloader()))._replace(weight=torch.ones(8, 24))
    moved = ready().transfer_batch_to_device(batch, torch.device("cpu"), 0)
    assert isinstance(moved, SequenceBatch)
    assert all(torch.equal(a, b) for a, b in zip(moved, batch, strict=True))
    assert (
        ready().transfer_batch_to_device(batch._replace(weight=None), torch.device("cpu"), 0).weight is None
    )


def test_the_facts_and_counts_are_those_of_the_sines():
    data = ready(num_features=2, sequence_length=9)
    assert data.facts() == {
        "num_features": 2, "columns": ["sine_1", "sine_2"], "sequence_length": 9, "num_classes": None,
    }  # fmt: skip
    assert (data.num_train, data.num_val, data.num_test) == (40, 10, 12)
    assert isinstance(data.codec, SeriesCodec) and data.codec.columns == ["sine_1", "sine_2"]
    x = torch.rand(3, 9, 2)
    torch.testing.assert_close(data.codec.unscale(x), x.double())  # they are seen as they are
    assert ready(num_features=2, columns=["a", "b"]).facts()["columns"] == ["a", "b"]


def test_a_stage_draws_only_its_own_sines():
    fails("no test windows are read yet; call setup() first", ready(stage="fit").test_dataloader)
    fails("no train windows are read yet; call setup() first", ready(stage="test").train_dataloader)


def test_wrong_settings_are_told_in_a_sentence():
    for setting in ("num_val", "num_features", "batch_size"):
        fails(f"data.{setting} must be at least 1, got 0", lambda name=setting: ready(**{name: 0}))
    fails("data.sequence_length must be at least 2 steps, got 1", lambda: ready(sequence_length=1))
    fails("data.max_frequency and data.max_phase must be above 0, got 0.1 and 0", lambda: ready(max_phase=0))
    fails("data.num_classes says 3 but these series have no labels; give null", lambda: ready(num_classes=3))
    fails(
        "data.columns lists 1 names for 5 channels; list one for each, or give data.columns=null",
        lambda: ready(columns=["a"]),
    )
    fails(
        "data.batch_size 64 on 1 process needs 64 training windows, there are 40; give data.batch_size=40 or"
        " data.drop_last=false",
        lambda: ready(batch_size=64).train_dataloader(),
    )
