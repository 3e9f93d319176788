"""Random numbers: each rank its own, validation apart from training, all of them in the checkpoint."""

import random
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from genlab.callbacks.ranks import gather, pick
from genlab.errors import UserError

_TRAINING, _VALIDATION = 0, 1

State = dict[str, Any]
"""The state of every generator, in tensors and plain types: it loads under `weights_only=True`."""


class RandomStreams(Callback):
    """Seeds Python, NumPy and torch from (seed, rank), and resumes them where a checkpoint left them.

    Every validation draws from a stream of its own, seeded alike each time: `val/loss` of two epochs is
    taken with common random numbers, and training goes on as if nobody had looked.

    It has to be the first callback. Then it restores the training stream at the start, and after each
    validation, before any other callback saves or draws. A loader that shuffles or starts workers needs a
    generator of its own: Lightning makes iterators where no callback can see it.
    """

    def __init__(self, seed: int) -> None:
        """Creates the callback.

        Args:
            seed: Of the noise; the run's seed.

        Raises:
            UserError: If the seed is negative.
        """
        if seed < 0:
            raise UserError(f"seed must be at least 0, got {seed}")
        self.seed = seed
        self._loaded: State | None = None
        self._set_aside: State | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._loaded is not None:
            restore(self._loaded, trainer.strategy.root_device)
            self._loaded = None
        else:
            # a checkpoint of fewer ranks has no state for this one: its step makes the numbers new
            _seed(self.seed, _TRAINING, trainer.global_rank, trainer.global_step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._set_aside = capture(trainer.strategy.root_device)
        _seed(self.seed, _VALIDATION, trainer.global_rank)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._set_aside is not None:
            restore(self._set_aside, trainer.strategy.root_device)
            self._set_aside = None

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        state = self._set_aside or capture(trainer.strategy.root_device)
        checkpoint["random_streams"] = gather(trainer, state)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._loaded = pick(trainer, checkpoint.get("random_streams"))


def capture(device: torch.device) -> State:
    """The states of Python's, NumPy's and torch's generators, the one of `device` included."""
    name, keys, *rest = np.random.get_state()
    state = {
        "python": random.getstate(),
        "numpy": [name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }
    if device.type in ("cuda", "mps"):
        state[device.type] = torch.get_device_module(device).get_rng_state().cpu()
    return state


def restore(state: State, device: torch.device) -> None:
    """Puts back what `capture` gave; a state of another kind of device is left out."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if device.type in state:
        torch.get_device_module(device).set_rng_state(state[device.type].cpu())


def _seed(*entropy: int) -> None:
    """Seeds every generator from several numbers; none of the streams overlap in practice."""
    first, second, third = (int(word) for word in np.random.SeedSequence(entropy).generate_state(3))
    random.seed(first)
    np.random.seed(second)
    torch.manual_seed(third)
