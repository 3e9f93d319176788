"""Where training stood, kept in memory: weights, optimizer states and the moving average."""

import copy
from typing import Any, NamedTuple

from pytorch_lightning import Trainer

from genlab.callbacks.ema import EMA, Shadow


class Snapshot(NamedTuple):
    """Copies of what the steps of training change.

    Attributes:
        step: how many there were.
        weights: the model's state dict.
        optimizers: the state of each optimizer.
        average: the moving average's state dicts; None where there is none.
    """

    step: int
    weights: dict[str, Any]
    optimizers: list[dict[Any, Any]]
    average: Shadow | None


def take(trainer: Trainer) -> Snapshot:
    """Copies where training stands; on the same device."""
    ema = _ema(trainer)
    return Snapshot(
        step=trainer.global_step,
        weights=copy.deepcopy(trainer.lightning_module.state_dict()),
        optimizers=[copy.deepcopy(optimizer.state_dict()["state"]) for optimizer in trainer.optimizers],
        average=ema.copy() if ema else None,
    )


def put_back(trainer: Trainer, snapshot: Snapshot) -> None:
    """Puts training back to where it stood.

    Time goes on: steps, epochs, the place in the data, learning rates and the random streams stay, so
    that what comes next is not what came next.
    """
    model = trainer.lightning_module
    model.load_state_dict(snapshot.weights)
    model.zero_grad()
    for optimizer, state in zip(trainer.optimizers, snapshot.optimizers, strict=True):
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": copy.deepcopy(state), "param_groups": groups})
    ema = _ema(trainer)
    if ema and snapshot.average is not None:
        ema.fill(snapshot.average)


def _ema(trainer: Trainer) -> EMA | None:
    averages = [c for c in trainer.callbacks if isinstance(c, EMA)]  # type: ignore[attr-defined]
    return next((ema for ema in averages if ema.half_life is not None), None)
