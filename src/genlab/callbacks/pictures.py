"""Samples and reconstructions, drawn after validations."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from genlab.callbacks.tensorboard_log import TensorBoardLog
from genlab.contracts import Reconstructor, Sampler
from genlab.errors import UserError
from genlab.pictures import image_grid, paired_grid, save_png


class SampleGrid(Callback):
    """Draws the same latents again and again: `samples/samples_epoch_0003.png` after the third epoch."""

    def __init__(self, *, n: int = 64, every_n_epochs: int = 1, seed: int = 0) -> None:
        """Creates the callback.

        Args:
            n: Images in a picture, at least 1.
            every_n_epochs: Epochs from one picture to the next, at least 1; the last epoch always has one.
            seed: Of the samples: the same latents in every picture.

        Raises:
            UserError: If a number is out of range.
        """
        _check_numbers("sample_grid", n, every_n_epochs)
        self.n, self.every_n_epochs, self.seed = n, every_n_epochs, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        _check_model(self, pl_module, Sampler, ("sample", "sampling_modules"))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not _is_due(trainer, self.every_n_epochs) or not trainer.is_global_zero:
            return
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            assert isinstance(pl_module, Sampler)
            images = pl_module.sample(self.n, seed=self.seed)  # [n, C, H, W]
        _publish(trainer, "samples", image_grid(images))


class ReconstructionGrid(Callback):
    """Draws the first images of the validation data above their reconstructions, in `samples/`."""

    def __init__(self, *, n: int = 32, every_n_epochs: int = 1) -> None:
        """Creates the callback.

        Args:
            n: Originals in a picture, at least 1.
            every_n_epochs: Epochs from one picture to the next, at least 1; the last epoch always has one.

        Raises:
            UserError: If a number is out of range.
        """
        _check_numbers("reconstruction_grid", n, every_n_epochs)
        self.n, self.every_n_epochs = n, every_n_epochs
        self._originals: list[Tensor] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        _check_model(self, pl_module, Reconstructor, ("encode", "decode", "reconstruct"))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._originals = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        missing = self.n - sum(map(len, self._originals))
        if missing > 0 and dataloader_idx == 0 and _is_due(trainer, self.every_n_epochs):
            self._originals.append(batch.image[:missing])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._originals or not trainer.is_global_zero:
            return
        originals = torch.cat(self._originals)  # [n, C, H, W]
        self._originals = []
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            assert isinstance(pl_module, Reconstructor)
            reconstructions = pl_module.reconstruct(originals)
        _publish(trainer, "reconstructions", paired_grid(originals, reconstructions))


def _check_numbers(name: str, n: int, every_n_epochs: int) -> None:
    for argument, value in (("n", n), ("every_n_epochs", every_n_epochs)):
        if value < 1:
            raise UserError(f"callbacks.{name}.{argument} must be at least 1, got {value}")


def _check_model(callback: Callback, model: LightningModule, kind: type, methods: tuple[str, ...]) -> None:
    if not isinstance(model, kind):
        missing = " and no ".join(method for method in methods if not hasattr(model, method))
        raise UserError(
            f"{type(callback).__name__} needs a {kind.__name__}, and {type(model).__name__} "
            f"has no {missing}: set this callback to null"
        )


def _is_due(trainer: Trainer, every_n_epochs: int) -> bool:
    if trainer.sanity_checking:
        return False
    epoch = trainer.current_epoch + 1
    return epoch % every_n_epochs == 0 or epoch == trainer.max_epochs


def _publish(trainer: Trainer, name: str, picture: Tensor) -> None:
    file = f"{name}_epoch_{trainer.current_epoch + 1:04d}.png"
    save_png(picture, Path(trainer.default_root_dir) / "samples" / file)
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLog):
            logger.experiment.add_image(name, picture, trainer.global_step)
