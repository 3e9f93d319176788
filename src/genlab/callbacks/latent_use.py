"""How much of the latent space is used, after each validation, and a warning where almost nothing is."""

import logging
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from genlab.callbacks.drawing import check_counts, check_model, inference
from genlab.callbacks.gathering import First, Gathering, rows
from genlab.callbacks.ranks import gather
from genlab.callbacks.run_log import run_logs
from genlab.callbacks.signs import collapse
from genlab.contracts import LatentModel
from genlab.errors import UserError
from genlab.latents import active
from genlab.seeding import seeded

log = logging.getLogger(__name__)

_AT_ONCE = 500
"""Rows that are encoded at once."""


class FirstRows(First):
    """The first rows of a validation, of whatever kind its batches are, some at a time."""

    def take(self) -> list[Any]:
        """All of them, which it forgets: batches of few rows, in one piece before where their shapes allow."""
        pieces = _joined(self.parts())
        return [rows(part, k, k + _AT_ONCE) for part in pieces for k in range(0, len(part[0]), _AT_ONCE)]


def _joined(parts: list[Any]) -> list[Any]:
    fields = list(zip(*parts, strict=True))
    shapes = [{None if part is None else part.shape[1:] for part in field} for field in fields]
    if not parts or any(len(of_one_field) > 1 for of_one_field in shapes):
        return parts  # sequences of unlike lengths
    return [type(parts[0])(*(None if field[0] is None else torch.cat(field) for field in fields))]


class LatentUse(Gathering):
    """Logs `val/active_units` and shows KL by dimension, of the first validation images, or sequences, of each rank.

    A unit is active where Var_x E[z|x] is above a threshold (Burda et al. 2016, sec. 5.2). Where almost none
    is over several validations the posterior has collapsed onto the prior: a warning, once, says what to try.
    The noise is the same each time and leaves the random streams alone.
    """

    def __init__(
        self, *, n: int = 1000, threshold: float = 0.01, collapsed: float | None = 0.1, patience: int = 3
    ) -> None:
        """Creates the callback.

        Args:
            n: Validation images at most, on each process, at least 2.
            threshold: Of the variance above which a unit is active, at least 0.
            collapsed: Warns where a smaller part of the units is active, between 0 and 0.5; None: never.
            patience: Validations over which that part is averaged, at least 1.

        Raises:
            UserError: If a number is out of range.
        """
        check_counts("latent_use", patience=patience)
        if n < 2 or threshold < 0:
            raise UserError(
                f"callbacks.latent_use.n must be at least 2 and threshold at least 0, got {n} and {threshold}"
            )
        if collapsed is not None and not 0 < collapsed <= 0.5:
            raise UserError(
                f"callbacks.latent_use.collapsed must be between 0 and 0.5, or null for never, got {collapsed}"
            )
        super().__init__(FirstRows(n))
        self.threshold = threshold
        self._sign = None if collapsed is None else collapse(collapsed, patience)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_model(self, pl_module, LatentModel, ("infer",))

    def wants(self, trainer: Trainer, model: LightningModule) -> bool:
        return not trainer.sanity_checking

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        found = [part for part in gather(trainer, self._infer(trainer, pl_module)) if part is not None]
        if not found:
            return
        means, kl = (torch.cat(tensors) for tensors in zip(*found, strict=True))  # [N, L] of all ranks
        if len(means) < 2:
            return
        units = active(means, self.threshold)
        pl_module.log("val/active_units", float(units.sum()), batch_size=1, sync_dist=trainer.world_size > 1)
        if trainer.is_global_zero:
            for run_log in run_logs(trainer):
                run_log.log_histogram("val/kl_per_dimension", kl.mean(0), trainer.global_step)
        sentence = self._sign.add(float(units.double().mean())) if self._sign else None
        if sentence and trainer.is_global_zero:
            log.warning(f"epoch {trainer.current_epoch + 1}, step {trainer.global_step:,}: {sentence}")

    def _infer(self, trainer: Trainer, model: LightningModule) -> tuple[Tensor, Tensor] | None:
        """E[z|x] and KL `[N, L]` of this rank's rows, on the CPU."""
        pieces = self._first.take()
        if not pieces:
            return None
        with inference(trainer), seeded(0, model.device):
            assert isinstance(model, LatentModel)
            found = [model.infer(piece) for piece in pieces]
        mean, _, kl = (torch.cat(tensors).float().cpu() for tensors in zip(*found, strict=True))
        return mean, kl

    def state_dict(self) -> dict[str, Any]:
        return {"sign": self._sign.state() if self._sign else None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self._sign and state_dict["sign"]:
            self._sign.restore(state_dict["sign"])
