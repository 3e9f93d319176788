import errno
import logging
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from callback_stubs import TinyModel, quiet_trainer, run
from pytorch_lightning import Callback
from pytorch_lightning.plugins.io import TorchCheckpointIO

from genlab.callbacks.checkpoints import Checkpoints
from genlab.errors import UserError


class Scripted(TinyModel):
    """Its validations give these losses, one after another."""

    def __init__(self, losses: list[float]) -> None:
        super().__init__()
        self.losses = list(losses)

    def on_validation_start(self) -> None:
        self.loss = self.losses.pop(0)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self.loss, batch_size=1)


def load(folder: Path, name: str) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / name, weights_only=True)


def test_best_is_kept_and_last_goes_on(tmp_path: Path) -> None:
    keeper = Checkpoints()
    run(
        quiet_trainer(tmp_path, [keeper], logger=False, max_epochs=4), Scripted([3.0, 1.0, 2.0, float("nan")])
    )
    assert keeper.best() == {"epoch": 2, "step": 14, "metrics": {"val/loss": 1.0}}
    assert load(tmp_path, "best.ckpt")["global_step"] == 14
    assert load(tmp_path, "last.ckpt")["global_step"] == 28
    assert sorted(os.listdir(tmp_path / "checkpoints")) == ["best.ckpt", "last.ckpt"]


def test_the_larger_is_better_where_asked(tmp_path: Path) -> None:
    keeper = Checkpoints(mode="max")
    run(quiet_trainer(tmp_path, [keeper], logger=False), Scripted([1.0, 3.0, 2.0]))
    assert keeper.best()["epoch"] == 2


def test_nothing_watched_means_no_best(tmp_path: Path) -> None:
    run(quiet_trainer(tmp_path, [Checkpoints(monitor=None)], logger=False))
    assert os.listdir(tmp_path / "checkpoints") == ["last.ckpt"]


@pytest.mark.parametrize("interval", [1.0, 3])
def test_best_has_the_weights_that_were_validated(interval: float, tmp_path: Path) -> None:
    weights = []

    class Witness(Callback):
        def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            weights.append(pl_module.decoder.weight.detach().clone())

    settings: dict[str, Any] = {"logger": False, "max_epochs": 1, "val_check_interval": interval}
    run(quiet_trainer(tmp_path, [Witness(), Checkpoints()], **settings), Scripted([1.0, 2.0]))
    assert torch.equal(load(tmp_path, "best.ckpt")["state_dict"]["decoder.weight"], weights[0])


def test_last_is_written_inside_an_epoch_by_steps_and_by_the_clock(tmp_path: Path) -> None:
    class Look(Callback):
        seen: list[bool] = []

        def on_train_batch_start(self, trainer: Any, *args: Any) -> None:
            self.seen.append((Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt").exists())

    run(quiet_trainer(tmp_path / "a", [Look(), Checkpoints(every_n_steps=4)], logger=False, max_epochs=1))
    assert Look.seen == [False] * 4 + [True] * 3
    Look.seen = []
    run(quiet_trainer(tmp_path / "b", [Look(), Checkpoints(every_minutes=1e-9)], logger=False, max_epochs=1))
    assert Look.seen == [False] + [True] * 6
    Look.seen = []
    run(quiet_trainer(tmp_path / "c", [Look(), Checkpoints(every_minutes=None)], logger=False, max_epochs=1))
    assert Look.seen == [False] * 7


class FullDisk(TorchCheckpointIO):
    """Has room for the saves before `full_from` and after `full_to`, counted from 0."""

    def __init__(self, full_from: int, full_to: int) -> None:
        self.full, self.count = range(full_from, full_to + 1), -1

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        self.count += 1
        if self.count in self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().save_checkpoint(checkpoint, path, storage_options)


def test_a_full_disk_costs_a_warning_and_the_next_save_tries_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Checkpoints()
    with caplog.at_level(logging.WARNING):
        trainer = quiet_trainer(tmp_path, [keeper], logger=False, max_epochs=2, plugins=[FullDisk(1, 1)])
        run(trainer, Scripted([2.0, 1.0]))
    warnings = [record.getMessage() for record in caplog.records if record.name.startswith("genlab")]
    assert warnings == [
        "checkpoints/last.ckpt could not be written (No space left on device): "
        "the old file stays, the next save tries again"
    ]
    assert load(tmp_path, "last.ckpt")["global_step"] == load(tmp_path, "best.ckpt")["global_step"] == 7
    assert keeper.best()["epoch"] == 1  # what the file holds

    trainer = quiet_trainer(tmp_path, [Checkpoints()], logger=False, max_epochs=3)
    run(trainer, Scripted([1.5, 1.7]), resume=True)
    assert load(tmp_path, "last.ckpt")["global_step"] == 21
    assert load(tmp_path, "best.ckpt")["global_step"] == 14


def test_the_best_of_a_resumed_run_is_that_of_both_parts(tmp_path: Path) -> None:
    run(quiet_trainer(tmp_path, [Checkpoints()], logger=False, max_epochs=2), Scripted([1.0, 2.0]))
    keeper = Checkpoints()
    run(quiet_trainer(tmp_path, [keeper], logger=False, max_epochs=3), Scripted([1.5]), resume=True)
    assert keeper.best()["epoch"] == 1


def test_temporary_files_of_a_killed_process_are_swept_away(tmp_path: Path) -> None:
    stale = tmp_path / "checkpoints" / ".last.ckpt.123.tmp"
    stale.parent.mkdir()
    stale.write_text("half a checkpoint")
    run(quiet_trainer(tmp_path, [Checkpoints()], logger=False, max_epochs=1))
    assert not stale.exists()


def test_a_monitor_that_nobody_logs_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        run(quiet_trainer(tmp_path, [Checkpoints(monitor="val/fid")], logger=False))
    assert str(error.value) == (
        "callbacks.checkpoints.monitor is val/fid, which is not logged; logged: val/kl, val/loss; "
        "choose one of these, or null for no best.ckpt"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"mode": "best"}, "callbacks.checkpoints.mode must be min or max, got best"),
        (
            {"every_minutes": 0},
            "callbacks.checkpoints.every_minutes must be above 0, or null for never, got 0",
        ),
        (
            {"every_n_steps": -1},
            "callbacks.checkpoints.every_n_steps must be above 0, or null for never, got -1",
        ),
    ],
)
def test_impossible_settings_are_told(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        Checkpoints(**arguments)
    assert str(error.value) == sentence
