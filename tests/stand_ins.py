"""Classes that the tests' configs name: smaller than real ones, shaped alike."""

import os
from collections.abc import Callable
from typing import Literal

from pytorch_lightning import Callback


class Loss:
    pass


class ELBO(Loss):
    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta


class Hinge:
    pass


class Network:
    def __init__(self, width: int, *, outputs: int = 1) -> None:
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        self.width = width


class Data:
    def __init__(self, image_shape: list[int] | None = None, batch_size: int = 8) -> None:
        self.image_shape = image_shape


class Model:
    def __init__(
        self,
        loss: Loss,
        network: Callable[..., Network],
        image_shape: list[int],
        mode: Literal["sum", "mean"] = "sum",
        betas: tuple[float, float] = (0.9, 0.999),
        rate: float | None = None,
    ) -> None:
        self.loss, self.network = loss, network


class Trainer:
    def __init__(self, max_epochs: int | None = None) -> None:
        self.max_epochs = max_epochs


class KillAt(Callback):
    """Sends this process a signal after a step, while the environment says which."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == self.step and "KILL_WITH" in os.environ:
            os.kill(os.getpid(), int(os.environ["KILL_WITH"]))
