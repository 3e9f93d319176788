"""One batch is one step, however many optimizers a family steps by hand.

Lightning counts the optimizers' steps where a family optimizes manually, and `trainer.max_steps`, intervals of
checkpoints and the moving average mean that count. The loop below counts finished batches in its place.
It builds on a private class of Lightning's; tests/models/test_one_step.py fails loudly where that changes.
"""

from collections import OrderedDict
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.loops.optimization.manual import _ManualOptimization


class OneStepPerBatch(_ManualOptimization):
    """Lightning's manual optimization with the number of finished batches as `trainer.global_step`."""

    def on_run_start(self) -> None:
        """Leaves the optimizers alone, which would count their steps."""

    def advance(self, kwargs: OrderedDict) -> None:
        """Runs one training step, and counts it."""
        self.optim_step_progress.increment_ready()
        super().advance(kwargs)
        self.optim_step_progress.increment_completed()


def count_batches(trainer: Trainer) -> None:
    """Lets `trainer.global_step` count batches; called in a family's `setup`, before a checkpoint is restored."""
    trainer.fit_loop.epoch_loop.manual_optimization = OneStepPerBatch(trainer)


def awaits_more(trainer: Trainer, batch_idx: int, accumulate: int) -> bool:
    """Whether batches are gathered on after this one: updates take `accumulate` of them, the last of an epoch fewer.

    No checkpoint is written between two updates: what is gathered is not saved.
    """
    last = trainer.is_last_batch or trainer.global_step + 1 == trainer.max_steps
    return not last and (batch_idx + 1) % accumulate > 0


def both_optimizers(model: LightningModule) -> list[Any]:
    """Those of a family that has two, in its own order, as Lightning wraps them."""
    both = model.optimizers()
    assert isinstance(both, list)
    return both
