"""What a family hands to Lightning from `configure_optimizers`, such that an exact resume survives it."""

import math
import sys
from collections.abc import Callable, Iterable
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from genlab.errors import UserError
from genlab.schedules import Constant, Plateau, Schedule

MONITOR = "val/loss"
"""What `Plateau` watches."""


def decayed_or_not(parameters: Iterable[nn.Parameter]) -> list[dict[str, Any]]:
    """Two groups: matrices, and, without weight decay, biases and the scales of norms."""
    known = list(parameters)
    vectors = [parameter for parameter in known if parameter.ndim < 2]
    matrices = [parameter for parameter in known if parameter.ndim >= 2]
    return [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]


def make_optimizer(
    factory: Callable[..., Optimizer], parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]]
) -> Optimizer:
    """Gives a configured optimizer its parameters, or groups of them.

    Raises:
        UserError: If torch refuses a setting.
    """
    try:
        return factory(parameters)
    except ValueError as error:
        hint = "; write 0.0 and 1.0, not 0 and 1" if "both floats" in str(error) else ""
        raise UserError(f"the optimizer refuses its settings: {error}{hint}") from error


def configure(module: LightningModule, optimizer: Optimizer, schedule: Schedule | Plateau) -> dict[str, Any]:
    """Joins an optimizer and its schedule for Lightning.

    Lightning steps a `Schedule` after every step of the optimizer in automatic optimization; in manual
    optimization the family does. A `Plateau` is stepped by `step_plateau` only. A resume with another
    length of training follows the schedule of the new length from there on.

    Args:
        module: The family, attached to its trainer.
        optimizer: Over some of the module's parameters.
        schedule: What its learning rate does.

    Returns:
        What `configure_optimizers` returns for this optimizer.

    Raises:
        UserError: If the schedule needs the length of the training and the trainer does not know it.
    """
    if isinstance(schedule, Constant):
        return {"optimizer": optimizer}
    if isinstance(schedule, Plateau):
        return {"optimizer": optimizer, "lr_scheduler": _spoken(module, _plateau(optimizer, schedule))}
    total = total_steps(module.trainer)
    if total is None:
        raise UserError(
            f"the schedule {type(schedule).__name__} needs the length of the training, which is not limited "
            "in epochs or steps: set trainer.max_epochs or trainer.max_steps, or model/scheduler=constant"
        )
    scheduler = LambdaLR(optimizer, lambda step: schedule.multiplier(step, total))
    return {
        "optimizer": optimizer,
        "lr_scheduler": _spoken(module, {"scheduler": scheduler, "interval": "step"}),
    }


def total_steps(trainer: Trainer) -> int | None:
    """How many steps an optimizer makes from the start of the training to its end, None if unlimited.

    The trainer's own `estimated_stepping_batches` is not used: reading it builds the iterator over the
    training data before the checkpoint is read, and a resume then goes on at the wrong sample.
    """
    limits = []
    if trainer.max_steps != -1:
        limits.append(trainer.max_steps)
    if trainer.max_epochs not in (None, -1):
        steps = steps_per_epoch(trainer)
        if steps is not None:
            limits.append(steps * trainer.max_epochs)
    return min(limits, default=None)


def steps_per_epoch(trainer: Trainer) -> int | None:
    """How many steps an optimizer makes in an epoch, None if the data is endless."""
    batches = _batches_per_epoch(trainer)
    return None if batches is None else math.ceil(batches / trainer.accumulate_grad_batches)


def step_schedules(module: LightningModule) -> None:
    """Steps every schedule but `Plateau`; a family that steps its optimizers by hand calls this once a batch."""
    schedulers = module.lr_schedulers() or []
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()


def step_plateau(module: LightningModule) -> None:
    """Lets a `Plateau` judge the epoch; does nothing under any other schedule.

    A family calls this in its own `on_train_epoch_end`. That runs before the checkpoint of the epoch is
    written; Lightning would step the scheduler after it, and a resume would lose that step. An epoch
    without a validation is not judged.

    Raises:
        UserError: If there was a validation but no `val/loss`.
    """
    schedulers = module.lr_schedulers() or []
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        if isinstance(scheduler, ReduceLROnPlateau) and _was_validated(module.trainer):
            scheduler.step(float(module.trainer.callback_metrics[MONITOR]))


def clip_gradients(
    module: LightningModule, optimizer: Optimizer, limit: float | None, algorithm: str | None
) -> None:
    """Clips the gradients of an optimizer's parameters in place; does nothing without a limit.

    A family calls this from its hook `configure_gradient_clipping`, whose default refuses a fused optimizer
    under mixed precision even where, as in bfloat16, there is nothing to unscale.

    Args:
        module: The family, attached to its trainer.
        optimizer: Whose gradients are clipped.
        limit: Largest norm of all gradients together, or largest absolute value of each.
        algorithm: `"norm"` (also None) or `"value"`.

    Raises:
        UserError: If the optimizer is fused and the precision `16-mixed`: it unscales by itself, later.
    """
    if not limit:
        return
    if module.trainer.precision == "16-mixed" and any(group.get("fused") for group in optimizer.param_groups):
        raise UserError(
            "trainer.gradient_clip_val with trainer.precision=16-mixed needs an optimizer that is not fused: "
            "set model.optimizer.fused=false or trainer.precision=bf16-mixed"
        )
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if algorithm == "value":
        torch.nn.utils.clip_grad_value_(parameters, limit)
    else:
        torch.nn.utils.clip_grad_norm_(parameters, limit)


def _spoken(module: LightningModule, scheduler: dict[str, Any]) -> dict[str, Any]:
    """What Lightning wants to know of a scheduler: of one that the family steps by hand nothing, or it warns."""
    return scheduler if module.automatic_optimization else {"scheduler": scheduler["scheduler"]}


def _plateau(optimizer: Optimizer, schedule: Plateau) -> dict[str, Any]:
    scheduler = ReduceLROnPlateau(
        optimizer,
        factor=schedule.factor,
        patience=schedule.patience,
        threshold=schedule.min_delta,
        threshold_mode="abs",  # a relative one calls a worse loss an improvement where losses are negative
        min_lr=[group["lr"] * schedule.min_fraction for group in optimizer.param_groups],
        eps=0.0,
    )
    never = sys.maxsize
    return {"scheduler": scheduler, "monitor": MONITOR, "interval": "epoch", "frequency": never}


def _was_validated(trainer: Trainer) -> bool:
    every = trainer.check_val_every_n_epoch
    if every is not None and (trainer.current_epoch + 1) % every:
        return False
    if MONITOR in trainer.callback_metrics:
        return True
    if trainer.fit_loop.restarting:  # resumed from between this epoch's validation and its end
        return False
    raise UserError(
        f"model/scheduler=plateau watches {MONITOR}, which nothing has logged: set trainer.limit_val_batches "
        "above 0, or choose another model/scheduler"
    )


def _batches_per_epoch(trainer: Trainer) -> int | None:
    datamodule = getattr(trainer, "datamodule", None)
    # a loader given to `fit` by hand is kept under a private name only
    make = trainer.fit_loop._data_source.dataloader if datamodule is None else datamodule.train_dataloader
    loader = make()
    limit = trainer.limit_train_batches
    try:
        length = len(loader)
    except TypeError:  # an endless stream
        return limit if isinstance(limit, int) else None
    return min(length, limit) if isinstance(limit, int) else int(length * limit)
