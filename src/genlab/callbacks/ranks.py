"""What each process keeps for itself, put into the one checkpoint of all."""

from typing import Any

import torch
from pytorch_lightning import Trainer


def gather(trainer: Trainer, value: Any) -> list[Any]:
    """Collects `value` from every rank, in order of rank; every rank has to call it."""
    if trainer.world_size == 1:
        return [value]
    values: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(values, value)
    return values


def pick(trainer: Trainer, values: list[Any] | None) -> Any:
    """This rank's own of what `gather` collected; None if it was not collected or by fewer ranks."""
    return values[trainer.global_rank] if values and trainer.global_rank < len(values) else None
