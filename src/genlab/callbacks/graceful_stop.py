"""Ctrl-C and SIGTERM end training after the batch, with everything saved."""

import os
import signal
import threading
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.trainer.states import TrainerFn

from genlab.callbacks.checkpoints import Checkpoints, at_save_point

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(SystemExit):
    """The user ended the training; what was learnt so far is saved.

    Attributes:
        signum: The signal.
        signal_name: Its name, e.g. `SIGINT`.
        exit_code: 128 + the signal: 130 for SIGINT, 143 for SIGTERM. Ranks above 0 end with 0, for
            Lightning kills rank 0 when another rank ends with anything else.
    """

    def __init__(self, signum: int, *, rank: int = 0) -> None:
        self.signum = signum
        self.signal_name = signal.Signals(signum).name
        self.exit_code = 128 + signum if rank == 0 else 0
        super().__init__(self.exit_code)


class GracefulStop(Checkpoint):
    """Ends training at the next point that it can be resumed from exactly, and raises `Interrupted`.

    That is the end of the batch; of a few batches under gradient accumulation; after a validation that
    follows; at the last batch of an epoch the end of the epoch. A second signal ends the process at once
    and saves nothing. All ranks stop together, whichever got the signal.

    It is a `Checkpoint` only because Lightning calls those last: every other callback has then done its
    part of the batch. In the list it comes after `Checkpoints`.
    """

    def __init__(self) -> None:
        self._signum = 0
        self._speaks = False
        self._former: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        self._speaks = trainer.is_global_zero
        self._former = {signum: signal.signal(signum, self._handle) for signum in _SIGNALS}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._stop(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._stop(trainer, validated=True)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # the former epoch's end has saved
        signum = self._agreed(trainer)
        if signum:
            raise Interrupted(signum, rank=trainer.global_rank)

    def _stop(self, trainer: Trainer, *, validated: bool = False) -> None:
        signum = self._agreed(trainer)
        if signum and at_save_point(trainer, validated=validated):
            for callback in trainer.checkpoint_callbacks:
                if isinstance(callback, Checkpoints):
                    callback.save_last(trainer)
            raise Interrupted(signum, rank=trainer.global_rank)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._give_back()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._give_back()

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._signum:
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)
        self._signum = signum
        if self._speaks:
            # print() may be what the signal interrupted; it cannot be entered twice
            os.write(2, b"\nstopping after this batch; once more to leave at once without saving\n")

    def _agreed(self, trainer: Trainer) -> int:
        """The signal that any rank received, 0 if none; every rank has to call it."""
        if trainer.world_size == 1:
            return self._signum
        mine = torch.tensor(self._signum, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(mine, reduce_op="max"))

    def _give_back(self) -> None:
        for signum, handler in self._former.items():
            signal.signal(signum, handler)
        self._former = {}
        self._signum = 0
