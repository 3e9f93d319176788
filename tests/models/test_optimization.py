import functools
import itertools
import math
import sys

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from genlab.errors import UserError
from genlab.models.optimization import clip_gradients, configure, make_optimizer, step_plateau, total_steps
from genlab.schedules import Constant, Cosine, Linear, Plateau

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


class Family(pl.LightningModule):
    """One weight, a validation loss written down beforehand, and the learning rate of every step."""

    def __init__(self, schedule=None, val_losses=(), *, fused=False):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.schedule, self.val_losses, self.fused = schedule or Constant(), val_losses, fused
        self.rates, self.planned = [], "not asked"

    def configure_optimizers(self):
        self.planned = total_steps(self.trainer)
        optimizer = torch.optim.Adam(self.parameters(), lr=1.0, fused=self.fused)
        return configure(self, optimizer, self.schedule)

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        clip_gradients(self, optimizer, gradient_clip_val, gradient_clip_algorithm)
        self.gradient = torch.cat([p.grad.flatten() for p in self.parameters()])

    def on_before_optimizer_step(self, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])

    def training_step(self, batch, batch_idx):
        return 1000 * self.layer(batch[0]).mean()

    def validation_step(self, batch, batch_idx):
        if self.val_losses:
            self.log("val/loss", torch.tensor(self.val_losses[self.current_epoch]))

    def on_train_epoch_end(self):
        step_plateau(self)


class Stream(IterableDataset):
    def __iter__(self):
        return itertools.repeat(torch.ones(1))


class Data(pl.LightningDataModule):
    def train_dataloader(self):
        return _loader()


def _loader(batches=5):
    return DataLoader(TensorDataset(torch.ones(batches, 1)))


def _trainer(max_epochs=2, **settings):
    return pl.Trainer(
        max_epochs=max_epochs,
        accelerator="cpu",
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        **{"enable_checkpointing": False, **settings},
    )


def _fit(family, trainer, **arguments):
    trainer.fit(family, _loader(), _loader(1), **arguments)
    return family


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -1.0}, "Invalid learning rate: -1.0"),
        (
            {"betas": [0, 0.9]},
            "betas must be either both floats or both Tensors; write 0.0 and 1.0, not 0 and 1",
        ),
    ],
    ids=str,
)
def test_a_setting_that_torch_refuses_is_one_sentence(settings, message):
    with pytest.raises(UserError) as error:
        make_optimizer(functools.partial(torch.optim.Adam, **settings), nn.Linear(1, 1).parameters())
    assert str(error.value) == f"the optimizer refuses its settings: {message}"


def test_an_optimizer_gets_its_parameters():
    layer = nn.Linear(1, 1)
    optimizer = make_optimizer(functools.partial(torch.optim.Adam, lr=0.5), layer.parameters())
    assert optimizer.param_groups[0]["params"] == [layer.weight, layer.bias]
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, 10),
        ({"max_epochs": 3}, 15),
        ({"max_steps": 7}, 7),
        ({"max_steps": 7, "max_epochs": -1}, 7),
        ({"limit_train_batches": 2}, 4),
        ({"limit_train_batches": 9}, 10),
        ({"overfit_batches": 2}, 4),
        ({"limit_train_batches": 0.5}, 4),
        ({"accumulate_grad_batches": 2}, 6),  # 2 + 2 + 1 batches an epoch
        ({"fast_dev_run": True}, 1),
    ],
    ids=str,
)
def test_the_planned_steps_are_the_steps_made(settings, steps):
    trainer = _trainer(**settings)
    family = _fit(Family(Linear()), trainer)
    assert family.planned == trainer.global_step == steps
    # the last of n steps is made with 1 / n: the schedule ends exactly with the training
    assert family.rates == pytest.approx([1 - step / steps for step in range(steps)])


def test_a_datamodule_tells_its_length_too():
    family = Family(Linear())
    _trainer().fit(family, datamodule=Data())
    assert family.planned == 10


def test_planning_leaves_the_training_data_untouched():
    class Watched(Family):
        def configure_optimizers(self):
            configured = super().configure_optimizers()
            assert self.planned == 10
            assert self.trainer.train_dataloader is None, "a resume would go on at the wrong sample"
            return configured

    assert _fit(Watched(Cosine()), _trainer()).rates


@pytest.mark.parametrize("settings", [{"max_steps": 4}, {"max_epochs": 2, "limit_train_batches": 2}], ids=str)
def test_an_endless_stream_is_as_long_as_the_trainer_lets_it_be(settings):
    family = Family(Linear())
    trainer = _trainer(**{"max_epochs": -1, **settings})
    trainer.fit(family, DataLoader(Stream()))
    assert family.planned == trainer.global_step == 4


@pytest.mark.parametrize("schedule", [Cosine(), Linear()])
def test_a_decay_without_an_end_is_refused_in_one_sentence(schedule):
    with pytest.raises(UserError) as error:
        _fit(Family(schedule), _trainer(max_epochs=-1, max_time="00:00:00:10"))
    assert str(error.value) == (
        f"the schedule {type(schedule).__name__} needs the length of the training, which is not limited in "
        "epochs or steps: set trainer.max_epochs or trainer.max_steps, or model/scheduler=constant"
    )


def test_a_constant_rate_needs_no_end():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    assert configure(Family(), optimizer, Constant()) == {"optimizer": optimizer}


VAL_LOSSES = [3.0, 3.0, 3.5, 2.0, 2.0, 2.0, 2.0, 2.0]


def test_plateau_shrinks_the_rate_after_each_patience_without_improvement():
    # no better than before are 1 (forgiven), 2 (shrink), 4 (forgiven), 5 (shrink), 6 (forgiven), 7 (the end)
    rates = _fit(Family(Plateau(patience=1), VAL_LOSSES), _trainer(8)).rates
    assert rates[::5] == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]


class Killer(pl.Callback):
    """Ends the process, as it were, at the start of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise RuntimeError("killed")


@pytest.mark.parametrize("schedule", [Plateau(patience=1), Cosine(warmup_steps=12), Linear()])
@pytest.mark.parametrize("epoch", [1, 2, 3, 6, 7])
def test_the_rates_survive_a_kill_at_an_epochs_end(tmp_path, schedule, epoch):
    keep = ModelCheckpoint(tmp_path, save_last=True, save_on_train_epoch_end=True)
    killed, resumed = Family(schedule, VAL_LOSSES), Family(schedule, VAL_LOSSES)
    with pytest.raises(RuntimeError, match="killed"):
        _fit(killed, _trainer(8, enable_checkpointing=True, callbacks=[keep, Killer(epoch)]))
    _fit(resumed, _trainer(8), ckpt_path=tmp_path / "last.ckpt")
    uninterrupted = _fit(Family(schedule, VAL_LOSSES), _trainer(8))
    assert len(killed.rates) == 5 * epoch
    assert killed.rates + resumed.rates == uninterrupted.rates


def test_plateau_goes_on_from_a_checkpoint_written_at_the_end_of_a_validation(tmp_path):
    keep = ModelCheckpoint(tmp_path, save_last=True, save_on_train_epoch_end=False)
    with pytest.raises(RuntimeError, match="killed"):
        _fit(
            Family(Plateau(), VAL_LOSSES),
            _trainer(enable_checkpointing=True, callbacks=[keep, Killer(1)]),
        )
    resumed = _fit(Family(Plateau(), VAL_LOSSES), _trainer(), ckpt_path=tmp_path / "last.ckpt")
    assert resumed.rates == [1.0] * 5


def test_plateau_takes_a_slightly_worse_negative_loss_for_worse():
    # a relative threshold of torch's 1e-4 would call -99.999 an improvement on -100
    losses = [-100.0, -99.999, -99.998]
    assert _fit(Family(Plateau(patience=0), losses), _trainer(3)).rates[::5] == [1.0, 1.0, 0.5]


def test_plateau_wants_more_than_min_delta():
    # -101 is better than -100 by more than 0.5, -101.2 is not better than -101 by as much
    losses = [-100.0, -101.0, -101.2, 0.0]
    schedule = Plateau(patience=0, min_delta=0.5)
    assert _fit(Family(schedule, losses), _trainer(4)).rates[::5] == [1.0, 1.0, 1.0, 0.5]


def test_plateau_stops_at_its_smallest_fraction():
    schedule = Plateau(patience=0, factor=0.5, min_fraction=0.4)
    assert _fit(Family(schedule, [1.0] * 4), _trainer(4)).rates[::5] == [1.0, 1.0, 0.5, 0.4]


def test_plateau_judges_only_epochs_with_a_validation():
    schedule = Plateau(patience=0)
    family = _fit(Family(schedule, [1.0] * 6), _trainer(6, check_val_every_n_epoch=2))
    # validated after epochs 1, 3 and 5; the second of them brings no improvement
    assert family.rates[::5] == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]


def test_plateau_without_a_validation_loss_is_refused_in_one_sentence():
    with pytest.raises(UserError) as error:
        _fit(Family(Plateau()), _trainer(1))
    assert str(error.value) == (
        "model/scheduler=plateau watches val/loss, which nothing has logged: set trainer.limit_val_batches "
        "above 0, or choose another model/scheduler"
    )


# the gradient of 1000 * (w + b) is (1000, 1000)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize(
    ("algorithm", "clipped"), [(None, 0.5 / math.sqrt(2)), ("norm", 0.5 / math.sqrt(2)), ("value", 0.5)]
)
def test_a_fused_optimizer_is_clipped_in_every_precision(precision, algorithm, clipped):
    trainer = _trainer(precision=precision, gradient_clip_val=0.5, gradient_clip_algorithm=algorithm)
    family = _fit(Family(fused=True), trainer)
    torch.testing.assert_close(family.gradient, torch.full((2,), clipped))


def test_gradients_are_as_they_are_without_a_limit():
    torch.testing.assert_close(_fit(Family(), _trainer()).gradient, torch.full((2,), 1000.0))


def test_clipping_a_fused_optimizer_in_half_precision_is_refused_in_one_sentence(monkeypatch):
    family = Family(fused=True)
    trainer = _trainer()
    family.trainer = trainer
    monkeypatch.setattr(type(trainer), "precision", "16-mixed")
    optimizer = torch.optim.Adam(family.parameters(), fused=True)
    with pytest.raises(UserError) as error:
        clip_gradients(family, optimizer, 1.0, None)
    assert str(error.value) == (
        "trainer.gradient_clip_val with trainer.precision=16-mixed needs an optimizer that is not fused: "
        "set model.optimizer.fused=false or trainer.precision=bf16-mixed"
    )
    clip_gradients(family, torch.optim.Adam(family.parameters()), 1.0, None)


def test_lightning_itself_never_steps_a_plateau():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = configure(Family(), optimizer, Plateau())["lr_scheduler"]
    assert scheduler["interval"] == "epoch" and scheduler["frequency"] == sys.maxsize
