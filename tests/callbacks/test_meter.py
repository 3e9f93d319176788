from pathlib import Path
from typing import Any

import pytest
import torch
from callback_stubs import TinyModel, quiet_trainer, run
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import Logger
from torch import Tensor

from genlab.callbacks.meter import Meter


class Notebook(Logger):
    """Keeps what it is given."""

    name = version = "notebook"

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.entries.append((step, dict(metrics)))

    def log_hyperparams(self, params: Any) -> None:
        pass


class Counter(TinyModel):
    """Returns the batch's number, from 1, and its square at every even one."""

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        number = torch.tensor(float(batch_idx + 1))
        loss = self.decoder.weight.sum() * 1e-3
        extra = {} if batch_idx % 2 == 0 else {"square": number**2}
        return {"loss": loss, "number": number, "weight": 0.5, **extra}


def entries(folder: Path, **settings: Any) -> tuple[list[tuple[int, dict[str, float]]], Trainer]:
    notebook = Notebook()
    trainer = quiet_trainer(folder, [Meter()], logger=[notebook], limit_val_batches=0, **settings)
    run(trainer, Counter())
    return notebook.entries, trainer


def test_the_means_since_the_last_write_are_written_at_steps_across_epochs(tmp_path: Path) -> None:
    # 7 batches an epoch, numbered 1..7; written after steps 3, 6, 9, 12
    written, _ = entries(tmp_path, max_epochs=2)
    steps = {step: row for step, row in written if "epoch" not in row}
    assert list(steps) == [2, 5, 8, 11]  # Lightning counts from zero
    assert steps[2]["train/number"] == pytest.approx((1 + 2 + 3) / 3, rel=1e-12)
    assert steps[8]["train/number"] == pytest.approx((7 + 1 + 2) / 3, rel=1e-12)
    assert steps[8]["train/square"] == pytest.approx(4.0, rel=1e-12)  # of batch 2 alone
    assert steps[8]["train/weight"] == 0.5


def test_the_rate_is_that_of_the_step_just_made(tmp_path: Path) -> None:
    written, _ = entries(tmp_path, max_epochs=1)
    assert written[0][1]["train/lr"] == pytest.approx(0.01 / 1.2, rel=1e-6)  # third step: 1 / (1 + 0.1 * 2)


def test_epoch_means_go_to_loggers_and_callback_metrics(tmp_path: Path) -> None:
    written, trainer = entries(tmp_path, max_epochs=2)
    epochs = [(step, row) for step, row in written if "epoch" in row]
    assert [(step, row["epoch"]) for step, row in epochs] == [(6, 0), (13, 1)]
    assert epochs[1][1]["train/number"] == 4.0  # (1 + ... + 7) / 7
    assert epochs[1][1]["train/square"] == pytest.approx((4 + 16 + 36) / 3, rel=1e-12)
    assert float(trainer.callback_metrics["train/number"]) == 4.0
    assert "train/loss" not in epochs[1][1]


def test_with_accumulated_gradients_a_step_is_written_once(tmp_path: Path) -> None:
    # 7 batches are 4 steps: written after steps 3 and 6
    written, _ = entries(tmp_path, max_epochs=2, accumulate_grad_batches=2)
    assert [step for step, row in written if "epoch" not in row] == [2, 5]


def test_recent_means_can_be_read_at_any_time_and_change_nothing(tmp_path: Path) -> None:
    meter, notebook = Meter(), Notebook()

    class Reader(Callback):
        read: list[float] = []

        def on_train_batch_end(self, *args: Any) -> None:
            self.read.append(meter.recent().get("number", 0.0))

    settings = {"logger": [notebook], "limit_val_batches": 0, "max_epochs": 1}
    run(quiet_trainer(tmp_path, [meter, Reader()], **settings), Counter())
    assert Reader.read == [1.0, 1.5, 0.0, 4.0, 4.5, 0.0, 7.0]
    assert notebook.entries == entries(tmp_path, max_epochs=1)[0]


def test_several_optimizers_have_a_rate_each(tmp_path: Path) -> None:
    class Two(Counter):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
            for optimizer in self.optimizers():
                optimizer.step()
            return {"number": torch.tensor(1.0)}

        def configure_optimizers(self) -> Any:
            return [
                torch.optim.SGD(self.encoder.parameters(), 0.1),
                torch.optim.SGD(self.decoder.parameters(), 0.2),
            ]

    notebook = Notebook()
    run(quiet_trainer(tmp_path, [Meter()], logger=[notebook], limit_val_batches=0, max_epochs=1), Two())
    assert notebook.entries[-1][1] == {"epoch": 0, "train/number": 1.0, "train/lr_0": 0.1, "train/lr_1": 0.2}
