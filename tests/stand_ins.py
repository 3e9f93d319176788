"""Classes that the tests' configs name: smaller than real ones, shaped alike."""

from collections.abc import Callable
from typing import Literal


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
