"""last.ckpt to go on from and best.ckpt to use.

Lightning resumes exactly only from some points of its loops; `at_save_point` and the hooks below keep
to those. They were found by reading 2.6.6 and are held by tests/callbacks/test_exact_resume.py.
"""

import logging
import math
import shutil
import time
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.trainer.states import TrainerFn

from genlab.atomic import write_whole
from genlab.callbacks.watchdog import Watchdog
from genlab.errors import UserError

log = logging.getLogger(__name__)

_LOOK_EVERY = 16
"""Steps between two looks at the clock where ranks have to agree on the time."""


def at_save_point(trainer: Trainer, *, validated: bool = False) -> bool:
    """Whether a checkpoint written now, inside an epoch, is resumed from exactly.

    It is not where gradients are half accumulated (they are not saved), where a validation follows (it
    would be skipped) or the epoch ends (`on_train_epoch_end` is the point to save at).

    Args:
        trainer: In `on_train_batch_end` or `on_validation_end`.
        validated: Whether it is the latter.
    """
    loop = trainer.fit_loop
    between = getattr(
        trainer.lightning_module, "between_updates", False
    )  # a family that accumulates by itself
    if trainer.is_last_batch or loop._should_accumulate() or between:
        return False
    assert loop._data_fetcher is not None
    return validated or not loop.epoch_loop._should_check_val_fx(loop._data_fetcher)


class Checkpoints(Checkpoint):
    """Keeps `checkpoints/last.ckpt` and `checkpoints/best.ckpt` in the run folder.

    `last.ckpt` is written at the end of every epoch, at intervals inside an epoch, and where training
    stops inside one. `best.ckpt` has the weights of the best validation. A disk that is full costs a
    warning: the old file stays and the next save tries again.

    Lightning calls a `Checkpoint` after all other callbacks, so every state is that of the finished batch.
    """

    def __init__(
        self,
        *,
        monitor: str | None = "val/loss",
        mode: Literal["min", "max"] = "min",
        every_minutes: float | None = 5,
        every_n_steps: int | None = None,
    ) -> None:
        """Creates the callback.

        Args:
            monitor: Name of the validation's number that `best.ckpt` is chosen by; None: no best.ckpt.
            mode: Whether a smaller (`"min"`) or larger (`"max"`) number is better.
            every_minutes: Minutes between two saves inside an epoch; None for none.
            every_n_steps: Optimizer steps between two saves inside an epoch; None for none.

        Raises:
            UserError: If the mode is neither, or an interval is not above 0.
        """
        if mode not in ("min", "max"):
            raise UserError(f"callbacks.checkpoints.mode must be min or max, got {mode}")
        for name, value in (("every_minutes", every_minutes), ("every_n_steps", every_n_steps)):
            if value is not None and value <= 0:
                raise UserError(
                    f"callbacks.checkpoints.{name} must be above 0, or null for never, got {value}"
                )
        self.monitor = monitor
        self.mode = mode
        self.every_minutes = every_minutes
        self.every_n_steps = every_n_steps
        self._best: dict[str, Any] | None = None
        self._better: dict[str, Any] | None = None
        self._waiting = False
        self._saved_at = 0.0
        self._looked_at = 0
        self._max_steps = -1

    def best(self) -> dict[str, Any] | None:
        """The best validation so far: `epoch` (from one), `step` and `metrics`, the watched one first."""
        return self._best

    saved = True
    """Whether the last attempt to write `last.ckpt` succeeded."""

    def save_last(self, trainer: Trainer) -> bool:
        """Writes `last.ckpt`; every rank has to call it. False if it could not be written."""
        self._waiting = False
        self._saved_at = time.monotonic()
        self.saved = _save(trainer, "last.ckpt")
        return self.saved

    # -- start and state -------------------------------------------------------------------------------

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and trainer.is_global_zero:
            for stale in _folder(trainer).glob(".*.tmp"):  # of a process that was killed
                stale.unlink(missing_ok=True)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Between here and on_train_start the loops are restored. With a limit in steps Lightning would
        # end a finished epoch a second time and number the next ones wrongly: it is not told of the limit.
        self._max_steps = trainer.fit_loop.epoch_loop.max_steps
        trainer.fit_loop.epoch_loop.max_steps = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.fit_loop.epoch_loop.max_steps = self._max_steps
        self._saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        best = state_dict["best"]
        self._best = best if best and next(iter(best["metrics"])) == self.monitor else None

    # -- when to save ----------------------------------------------------------------------------------

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._waiting = self._waiting or self._due(trainer)
        if _stops_inside_epoch(trainer) or (self._waiting and at_save_point(trainer)):
            self.save_last(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        if self.monitor is not None and self._is_better(trainer):
            self._better = self._describe(trainer)
        if trainer.is_last_batch:  # on_train_epoch_end saves, before the weights change
            return
        if self._better:
            self._keep_best(trainer, lambda: _save(trainer, "best.ckpt"))
        if _stops_inside_epoch(trainer) or (self._waiting and at_save_point(trainer, validated=True)):
            self.save_last(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_last_batch:  # stopped inside the epoch: last.ckpt stands there, to go on from
            return
        if self._better:
            self._keep_best(trainer, lambda: self.save_last(trainer) and _copy_last(trainer, "best.ckpt"))
        else:
            self.save_last(trainer)

    def _due(self, trainer: Trainer) -> bool:
        step = trainer.global_step
        if step == self._looked_at:  # in the midst of accumulated gradients
            return False
        self._looked_at = step
        if self.every_n_steps is not None and step % self.every_n_steps == 0:
            return True
        if self.every_minutes is None or (trainer.world_size > 1 and step % _LOOK_EVERY):
            return False
        late = time.monotonic() - self._saved_at >= 60 * self.every_minutes
        return trainer.strategy.broadcast(late) if trainer.world_size > 1 else late

    # -- what is best ----------------------------------------------------------------------------------

    def _is_better(self, trainer: Trainer) -> bool:
        if self.monitor not in trainer.callback_metrics:
            known = ", ".join(sorted(trainer.callback_metrics)) or "nothing"
            raise UserError(
                f"callbacks.checkpoints.monitor is {self.monitor}, which is not logged; logged: {known}; "
                "choose one of these, or null for no best.ckpt"
            )
        score = float(trainer.callback_metrics[self.monitor])
        best = next(iter(self._best["metrics"].values())) if self._best else None
        sign = 1 if self.mode == "min" else -1
        better = math.isfinite(score) and (best is None or sign * score < sign * best)
        return trainer.strategy.broadcast(better)

    def _describe(self, trainer: Trainer) -> dict[str, Any]:
        assert self.monitor is not None
        metrics = {self.monitor: float(trainer.callback_metrics[self.monitor])}
        metrics |= {n: float(v) for n, v in trainer.callback_metrics.items() if n.startswith("val/")}
        return {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, "metrics": metrics}

    def _keep_best(self, trainer: Trainer, save: Any) -> None:
        """Saves with the new best in the state; takes it back where the file could not be written."""
        former, self._best, self._better = self._best, self._better, None
        if not save():
            self._best = former


def _folder(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / "checkpoints"


def _stops_inside_epoch(trainer: Trainer) -> bool:
    """Whether training ends after this batch with batches of the epoch left: limits in steps or time."""
    loop = trainer.fit_loop
    reached = 0 <= loop.epoch_loop.max_steps <= trainer.global_step
    return not trainer.is_last_batch and (reached or (trainer.should_stop and loop._can_stop_early))


def _save(trainer: Trainer, name: str) -> bool:
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Watchdog):
            callback.look(trainer)  # what is not finite never takes the place of a good file
    try:
        trainer.save_checkpoint(_folder(trainer) / name, weights_only=False)
    except OSError as error:
        trainer.strategy.barrier()  # where the other ranks wait for the one that writes
        return _succeeded(trainer, name, error)
    return _succeeded(trainer, name, None)


def _copy_last(trainer: Trainer, name: str) -> bool:
    """Copies `last.ckpt`, just written, which is quicker than to write it again."""
    try:
        if trainer.is_global_zero:
            with open(_folder(trainer) / "last.ckpt", "rb") as last:
                write_whole(_folder(trainer) / name, lambda file: shutil.copyfileobj(last, file))
    except OSError as error:
        return _succeeded(trainer, name, error)
    return _succeeded(trainer, name, None)


def _succeeded(trainer: Trainer, name: str, error: OSError | None) -> bool:
    """Lets all ranks know how it went on rank 0, the only one that writes."""
    if error is not None:
        log.warning(
            "checkpoints/%s could not be written (%s): the old file stays, the next save tries again",
            name,
            error.strerror or error,
        )
    return trainer.strategy.broadcast(error is None)
