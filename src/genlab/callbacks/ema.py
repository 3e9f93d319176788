"""Exponential moving average of the weights that samples are drawn with."""

from typing import Any, NamedTuple

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from genlab.contracts import Sampler
from genlab.errors import UserError

_WARM_UP = 0.05
"""The half-life is at most this share of the images seen so far: the initial weights fade at once."""

Shadow = dict[str, dict[str, Tensor]]
"""Module name to the average's state dict."""


class Pair(NamedTuple):
    """A live tensor of the model and its average."""

    live: Tensor
    average: Tensor


class EMA(Callback):
    """Averages the modules that the model names in `sampling_modules()`.

    After an optimizer step over m images, of all ranks and accumulated batches,
    `average = d * average + (1 - d) * weights` with `d = 0.5 ** (m / h)` and
    `h = min(half_life, 0.05 * images seen)` (the warm-up of Karras et al. 2020, StyleGAN2-ADA,
    arXiv:2006.06676, code). Buffers are copied.

    Validation, test and everything drawn in them see the average; training and the checkpoint's
    `state_dict` keep the live weights. The checkpoint holds the average under `ema`, one state dict for
    each module.
    """

    def __init__(self, half_life: float | None = None) -> None:
        """Creates the callback.

        Args:
            half_life: Images after which a weight counts half; None switches the average off.

        Raises:
            UserError: If the half-life is not above 0.
        """
        if half_life is not None and half_life <= 0:
            raise UserError(
                f"callbacks.ema.half_life must be above 0, or null for no average, got {half_life}"
            )
        self.half_life = half_life
        self._shadow: Shadow = {}
        self._loaded: Shadow | None = None
        self._seen = 0
        self._since_update = 0
        self._step = 0
        self._swapped = False
        self._parameters: list[Pair] = []
        self._buffers: list[Pair] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.half_life is not None and not isinstance(pl_module, Sampler):
            missing = " and no ".join(m for m in ("sample", "sampling_modules") if not hasattr(pl_module, m))
            raise UserError(
                f"callbacks.ema.half_life must be null for {type(pl_module).__name__}, "
                f"which has no {missing}, got {self.half_life}"
            )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.half_life is None:
            return
        assert isinstance(pl_module, Sampler)
        self._shadow = _clone(pl_module.sampling_modules())
        self._match(pl_module)
        if self._loaded is not None:
            self.fill(self._loaded)
            self._loaded = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.half_life is None:
            return
        self._since_update += len(batch[0]) * trainer.world_size
        if trainer.global_step != self._step:  # not in the midst of accumulated gradients
            self._step = trainer.global_step
            self._update()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap(to_average=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap(to_average=False)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._match(pl_module)  # the end of a fit moves the model to the CPU
        self._swap(to_average=True)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap(to_average=False)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._swap(to_average=False)

    def state_dict(self) -> dict[str, Any]:
        return {} if self.half_life is None else {"seen": self._seen, "since_update": self._since_update}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._seen, self._since_update = state_dict["seen"], state_dict["since_update"]

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self.half_life is not None:
            checkpoint["ema"] = {name: dict(state) for name, state in self._shadow.items()}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._loaded = checkpoint.get("ema")

    def copy(self) -> Shadow:
        """A copy of the average, for `fill`."""
        return {
            name: {k: tensor.clone() for k, tensor in state.items()} for name, state in self._shadow.items()
        }

    @torch.no_grad()
    def fill(self, shadow: Shadow) -> None:
        """Makes the average what `shadow` is."""
        for name, state in self._shadow.items():
            for key, tensor in state.items():
                tensor.copy_(shadow[name][key])

    def _match(self, pl_module: LightningModule) -> None:
        """Pairs each live tensor with its average; those that modules share appear once."""
        if not self._shadow:
            return
        assert isinstance(pl_module, Sampler)
        pairs = {
            id(average): Pair(live, average)
            for name, module in pl_module.sampling_modules().items()
            for live, average in zip(
                module.state_dict(keep_vars=True).values(), self._shadow[name].values(), strict=True
            )
        }
        self._parameters = [pair for pair in pairs.values() if isinstance(pair.live, nn.Parameter)]
        self._buffers = [pair for pair in pairs.values() if not isinstance(pair.live, nn.Parameter)]

    @torch.no_grad()
    def _update(self) -> None:
        assert self.half_life is not None
        self._seen += self._since_update
        half_life = min(self.half_life, _WARM_UP * self._seen)
        decay = 0.5 ** (self._since_update / half_life)
        self._since_update = 0
        averages, weights = [p.average for p in self._parameters], [p.live for p in self._parameters]
        torch._foreach_lerp_(averages, weights, 1 - decay)
        for buffer in self._buffers:
            buffer.average.copy_(buffer.live)

    @torch.no_grad()
    def _swap(self, *, to_average: bool) -> None:
        """Exchanges live weights and averages in place; the tensors stay where they are."""
        if self._swapped == to_average or not self._shadow:
            return
        for live, average in self._parameters + self._buffers:
            kept = live.clone()
            live.copy_(average)
            average.copy_(kept)
        self._swapped = to_average


def _clone(modules: dict[str, nn.Module]) -> Shadow:
    """State dicts of clones; what modules share, their clones share."""
    clones: dict[int, Tensor] = {}
    return {
        name: {
            key: clones.setdefault(id(live), live.detach().clone())
            for key, live in module.state_dict(keep_vars=True).items()
        }
        for name, module in modules.items()
    }
