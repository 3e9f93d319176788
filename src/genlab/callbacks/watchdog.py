"""Says when training diverges or collapses, and what to try."""

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from genlab.callbacks.divergence import Diverged, Finding, farewell, not_finite
from genlab.callbacks.ranks import gather
from genlab.callbacks.signs import signs
from genlab.callbacks.snapshots import Snapshot, put_back, take
from genlab.errors import UserError

log = logging.getLogger(__name__)

_LOSSES = ("loss", "d_loss", "g_loss")
"""The names of what has to be finite; other numbers, as the norm of a gradient, may be infinite at times."""


class Told(NamedTuple):
    """A number that a step told, still on its device."""

    step: int
    epoch: int
    name: str
    value: Tensor


class Report(NamedTuple):
    """What one rank saw since the last look: the first thing that is not finite, and the watched numbers."""

    bad: Finding | None
    watched: dict[str, list[float]]


class Watchdog(Callback):
    """Looks at the losses that `training_step` returns, at the weights, and at signs of a collapse.

    - A loss or a weight that is not finite: training ends with `Diverged`, or goes back to where it stood
      one or two looks ago and on with other noise (`on_nan`). Under 16-mixed, whose scaler skips steps
      that overflow, only weights count. `Checkpoints` has it look before every save, so that the files on
      the disk are good ones.
    - `real_wins` near 1 or 0, or `diversity` near 0, over a whole window of steps: a warning each time it
      begins. Numbers that a model does not tell are not looked at.

    A step costs a list append; numbers are read from the device at a look. In the list it comes before
    `EMA`: it then finds the trained weights in place when a validation starts.
    """

    def __init__(
        self,
        *,
        on_nan: Literal["stop", "rollback"] = "stop",
        max_rollbacks: int = 3,
        every_n_steps: int = 50,
        window: int = 500,
        pinned: float | None = 0.99,
        diversity: float | None = 0.05,
    ) -> None:
        """Creates the callback.

        Args:
            on_nan: End training, or go back; the latter keeps two copies of weights and optimizer states.
            max_rollbacks: Times to go back in a run before it ends all the same, at least 1.
            every_n_steps: Steps from one look to the next, at least 1; also before validations and saves.
            window: Steps over which the watched numbers are averaged, at least 1.
            pinned: Warns where `real_wins` is above this or below 1 minus this, 0.5 to 1; None: never.
            diversity: Warns where `diversity` is below this, above 0; None: never.

        Raises:
            UserError: If a setting is out of range.
        """
        if on_nan not in ("stop", "rollback"):
            raise UserError(f"callbacks.watchdog.on_nan must be stop or rollback, got {on_nan}")
        for name, value in {
            "max_rollbacks": max_rollbacks,
            "every_n_steps": every_n_steps,
            "window": window,
        }.items():
            if value < 1:
                raise UserError(f"callbacks.watchdog.{name} must be at least 1, got {value}")
        if pinned is not None and not 0.5 < pinned < 1:
            raise UserError(
                f"callbacks.watchdog.pinned must be between 0.5 and 1, or null for never, got {pinned}"
            )
        if diversity is not None and diversity <= 0:
            raise UserError(
                f"callbacks.watchdog.diversity must be above 0, or null for never, got {diversity}"
            )
        self.on_nan, self.max_rollbacks, self.every_n_steps = on_nan, max_rollbacks, every_n_steps
        self.warnings: list[str] = []
        self.rollbacks = 0
        self._signs = signs(pinned=pinned, diversity=diversity, window=window)
        self._names = dict.fromkeys([*_LOSSES, *(sign.number for sign in self._signs)])
        self._unread: list[Told] = []
        self._kept: deque[Snapshot] = deque(maxlen=2)
        self._looked_at = 0
        self._passed_over: frozenset[str] = frozenset()

    # -- when to look ----------------------------------------------------------------------------------

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._looked_at = trainer.global_step
        # a mask may be infinite on purpose; a weight may not
        self._passed_over = frozenset(not_finite(dict(pl_module.named_buffers())))
        self._keep(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if isinstance(outputs, Mapping):
            self._unread += [
                Told(step, trainer.current_epoch + 1, name, torch.as_tensor(outputs[name]).detach())
                for name in self._names
                if name in outputs
            ]
        if step % self.every_n_steps == 0 and step != self._looked_at:
            self._looked_at = step
            if self.look(trainer):
                self._keep(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self.look(trainer)

    def look(self, trainer: Trainer) -> bool:
        """Judges all that was told since the last look, and the weights; every rank has to call it.

        Returns:
            Whether all was well; if not, training is back at an earlier state.

        Raises:
            Diverged: If something is not finite, and training is to end.
        """
        reports = gather(trainer, self._report(trainer))
        bad = min((report.bad for report in reports if report.bad), default=None)
        if bad:
            self._diverged(trainer, bad)
        for sign in self._signs:
            lists = [report.watched.get(sign.number, []) for report in reports]
            for values in zip(*lists, strict=False):  # of one step, on all ranks
                sentence = sign.add(sum(values) / len(values))
                if sentence:
                    self._warn(trainer, sentence)
        return bad is None

    # -- what is seen ----------------------------------------------------------------------------------

    def _report(self, trainer: Trainer) -> Report:
        told, self._unread = self._unread, []
        watched: dict[str, list[float]] = {}
        bad = None
        skips = getattr(trainer.precision_plugin, "scaler", None) is not None
        for entry, value in zip(told, _values(told), strict=True):
            finite = value - value == 0
            if entry.name not in _LOSSES:
                if finite:
                    watched.setdefault(entry.name, []).append(value)
            elif not finite and not bad and not skips:
                bad = Finding(entry.step, entry.epoch, entry.name, value)
        return Report(bad or self._bad_weight(trainer), watched)

    def _bad_weight(self, trainer: Trainer) -> Finding | None:
        broken = not_finite(trainer.lightning_module.state_dict())
        name = next((name for name in broken if name not in self._passed_over), None)
        if name is None:
            return None
        return Finding(trainer.global_step, trainer.current_epoch + 1, name, broken[name])

    # -- what is done ----------------------------------------------------------------------------------

    def _keep(self, trainer: Trainer) -> None:
        if self.on_nan == "rollback":
            self._kept.append(take(trainer))

    def _diverged(self, trainer: Trainer, bad: Finding) -> None:
        """Goes back where that is wanted and may help, else ends training."""
        what = f"{bad.name} is {bad.value} at epoch {bad.epoch}, step {bad.step:,}"
        if self.on_nan == "rollback" and self.rollbacks < self.max_rollbacks:
            self.rollbacks += 1
            kept = self._kept[0]  # the last but one: the last may be on the way already
            self._kept = deque([kept], maxlen=2)
            put_back(trainer, kept)
            times = f"{self.rollbacks} of at most {self.max_rollbacks} times"
            self._warn(trainer, f"{what}: back to the weights of step {kept.step:,}, {times}")
            return
        raise Diverged(farewell(trainer, what, self.rollbacks), bad, rank=trainer.global_rank)

    def _warn(self, trainer: Trainer, sentence: str) -> None:
        self.warnings.append(f"epoch {trainer.current_epoch + 1}, step {trainer.global_step:,}: {sentence}")
        if trainer.is_global_zero:
            log.warning(self.warnings[-1])

    # -- the checkpoint --------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        signs = {f"{sign.number}_{sign.near}": sign.state() for sign in self._signs}
        return {"rollbacks": self.rollbacks, "warnings": list(self.warnings), "signs": signs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rollbacks, self.warnings = state_dict["rollbacks"], list(state_dict["warnings"])
        for sign in self._signs:
            if state := state_dict["signs"].get(f"{sign.number}_{sign.near}"):
                sign.restore(state)


def _values(told: list[Told]) -> list[float]:
    """The numbers, read from the device in one go."""
    return torch.stack([entry.value.float().reshape(()) for entry in told]).tolist() if told else []
