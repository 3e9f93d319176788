from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from callback_stubs import TinyModel, quiet_trainer, run
from test_meter import Notebook

from genlab.callbacks import throughput
from genlab.callbacks.checkpoints import Checkpoints
from genlab.callbacks.throughput import Throughput
from genlab.errors import UserError


class Clock:
    """Time passes only where the model says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Timed(TinyModel):
    """A step takes 2 s, of the first epoch 100 s; validation 1000 s and a save 10,000 s."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.clock.now += 100 if self.current_epoch == 0 else 2
        return super().training_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        self.clock.now += 1000

    def on_save_checkpoint(self, checkpoint: Any) -> None:
        self.clock.now += 10_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(throughput, "time", fake)
    return fake


def test_only_training_after_the_warm_up_counts(clock: Clock, tmp_path: Path) -> None:
    meter = Throughput(warm_up=7)
    callbacks = [meter, Checkpoints(every_n_steps=2)]
    run(quiet_trainer(tmp_path, callbacks, logger=False, max_epochs=3, val_check_interval=3), Timed(clock))
    assert meter.seconds == 2 * 14
    assert meter.images_per_second == 52 / 28  # 26 images an epoch


@pytest.mark.parametrize(
    ("data", "of"),
    [
        (None, "images"),
        (SimpleNamespace(), "images"),
        (SimpleNamespace(counted="points"), "points"),
        (SimpleNamespace(counted="characters", batch_of="windows"), "windows"),
    ],
)
def test_what_is_counted_has_the_name_that_the_data_gives_it(data, of):
    meter = Throughput()
    meter.on_train_start(SimpleNamespace(global_step=0, datamodule=data), TinyModel())  # type: ignore[arg-type]
    assert meter.of == of


def test_the_rate_since_the_last_time_is_logged(clock: Clock, tmp_path: Path) -> None:
    notebook = Notebook()
    callbacks = [Throughput(warm_up=0)]
    run(
        quiet_trainer(tmp_path, callbacks, logger=[notebook], max_epochs=2, limit_val_batches=0), Timed(clock)
    )
    rates = {step: row["rate/images_per_second"] for step, row in notebook.entries}
    # after steps 3, 6, 9, 12; steps 7 to 9 are 2 + 4 + 4 images in 100 + 2 + 2 s
    assert rates == {2: 12 / 300, 5: 12 / 300, 8: 10 / 104, 11: 12 / 6}


def test_before_the_warm_up_is_over_nothing_is_known(tmp_path: Path) -> None:
    meter = Throughput(warm_up=100)
    run(quiet_trainer(tmp_path, [meter], logger=False))
    assert meter.images_per_second is None


def test_a_negative_warm_up_is_refused() -> None:
    with pytest.raises(UserError, match="^callbacks.throughput.warm_up must be at least 0, got -1$"):
        Throughput(warm_up=-1)
