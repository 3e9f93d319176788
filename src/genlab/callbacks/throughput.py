"""Images, or windows, lines, points, per second of training itself."""

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from genlab.errors import UserError


class Throughput(Callback):
    """Measures training steps with the loading of their batches; validation, pictures and saves do not count.

    At the steps at which `Meter` writes, the rate since the last time goes to the loggers as
    `rate/images_per_second`. It stands after `Meter`, whose reading waits for the device.
    """

    def __init__(self, warm_up: int = 10) -> None:
        """Creates the callback.

        Args:
            warm_up: Batches at the start of the process that do not count, at least 0.

        Raises:
            UserError: If `warm_up` is negative.
        """
        if warm_up < 0:
            raise UserError(f"callbacks.throughput.warm_up must be at least 0, got {warm_up}")
        self.warm_up = warm_up
        self._left = warm_up
        self._since: float | None = None
        self._total = Span()
        self._recent = Span()
        self._written = 0
        self.of = "images"
        """What is counted: what a batch has several of."""

    @property
    def images_per_second(self) -> float | None:
        """Over the whole process, all ranks together; None before the warm-up is over."""
        return self._total.rate()

    @property
    def seconds(self) -> float:
        """Time spent in the steps that count."""
        return self._total.seconds

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._left = self.warm_up
        self._written = trainer.global_step
        data = getattr(trainer, "datamodule", None)
        self.of = getattr(data, "batch_of", getattr(data, "counted", "images"))

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._since is None:
            self._since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if self._left > 0:
            self._left -= 1
        elif self._since is not None:
            images = len(batch[0]) * trainer.world_size
            self._total.add(images, now - self._since)
            self._recent.add(images, now - self._since)
        self._since = now
        step, every = trainer.global_step, trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and step % every == 0 and step != self._written:
            self._written = step
            self._write(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = None

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._since = None

    def _write(self, trainer: Trainer) -> None:
        rate = self._recent.rate()
        self._recent = Span()
        if rate is not None and trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_metrics({"rate/images_per_second": rate}, step=trainer.global_step - 1)


class Span:
    """Images and the time they took."""

    def __init__(self) -> None:
        self.images = 0
        self.seconds = 0.0

    def add(self, images: int, seconds: float) -> None:
        self.images += images
        self.seconds += seconds

    def rate(self) -> float | None:
        return self.images / self.seconds if self.seconds > 0 else None
