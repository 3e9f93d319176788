"""Divergence: what is not finite, and the end of a run that it leads to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from genlab.errors import UserError


class Finding(NamedTuple):
    """A number that is not finite; the earlier of two is the lesser.

    Attributes:
        step: after how many steps.
        epoch: in which one, counted from one.
        name: of the loss, or of the weights.
        value: NaN or an infinity.
    """

    step: int
    epoch: int
    name: str
    value: float


class Diverged(UserError):
    """A loss or a weight is no longer a finite number, and training has ended.

    Attributes:
        finding: what it was, and when.
        exit_code: 3 on rank 0. Ranks above end with 0, for Lightning kills rank 0 when another rank ends
            with anything else.
    """

    def __init__(self, sentence: str, finding: Finding, *, rank: int = 0) -> None:
        super().__init__(sentence)
        self.finding = finding
        self.exit_code = 3 if rank == 0 else 0


def not_finite(tensors: Mapping[str, Any]) -> dict[str, float]:
    """The floating-point tensors of a state dict that are not finite throughout, each with the culprit.

    Takes one look at the device, whatever the number of tensors.
    """
    floats = {
        name: tensor.detach()
        for name, tensor in tensors.items()
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.numel()
    }
    if not floats:
        return {}
    largest = torch._foreach_norm(list(floats.values()), float("inf"))  # NaN where a tensor has one
    sizes = torch.stack([size.float() for size in largest])
    if sizes.isfinite().all():
        return {}
    bad = [(name, size) for name, size in zip(floats, sizes.tolist(), strict=True) if size - size != 0]
    return {name: size for name, size in bad if not floats[name].isfinite().all()}


def farewell(trainer: Trainer, what: str, rollbacks: int) -> str:
    """The sentence that ends a run that diverged: what happened, what is left, what to try."""
    there = (Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt").exists()
    saved = "checkpoints/last.ckpt is from before" if there else "no checkpoint was written before"
    after = f" after {rollbacks} rollbacks" if rollbacks else ""
    return f"training diverged{after}: {what}; {saved}; try {_cures(trainer, rollbacks)}"


def _cures(trainer: Trainer, rollbacks: int) -> str:
    """For the kind of model at hand."""
    if trainer.lightning_module.automatic_optimization:
        cures = ["a lower learning rate", "trainer.gradient_clip_val=1"]
    else:
        cures = [
            "lower learning rates",
            "model.gradient_clip=1",
            "model/penalty=r1",
            "model/network=sngan",
        ]
    if "16" in str(trainer.precision):
        cures.append("trainer.precision=32-true")
    if not rollbacks:
        cures.append("callbacks.watchdog.on_nan=rollback")
    return ", ".join(cures[:-1]) + f" or {cures[-1]}"
