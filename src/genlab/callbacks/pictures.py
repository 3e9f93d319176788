"""Samples and reconstructions, drawn after validations."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from genlab.callbacks.drawing import (
    RECONSTRUCTOR,
    SAMPLER,
    FirstImages,
    check_counts,
    check_model,
    is_due,
    publish,
)
from genlab.contracts import Reconstructor, Sampler
from genlab.pictures import image_grid, paired_grid


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
        check_counts("sample_grid", n=n, every_n_epochs=every_n_epochs)
        self.n, self.every_n_epochs, self.seed = n, every_n_epochs, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_model(self, pl_module, Sampler, SAMPLER)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not is_due(trainer, self.every_n_epochs) or not trainer.is_global_zero:
            return
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            assert isinstance(pl_module, Sampler)
            images = pl_module.sample(self.n, seed=self.seed)  # [n, C, H, W]
        publish(trainer, "samples", image_grid(images))


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
        check_counts("reconstruction_grid", n=n, every_n_epochs=every_n_epochs)
        self.n, self.every_n_epochs = n, every_n_epochs
        self._first = FirstImages(n)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_model(self, pl_module, Reconstructor, RECONSTRUCTOR)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._first.clear()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if dataloader_idx == 0 and is_due(trainer, self.every_n_epochs):
            self._first.add(batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        first = self._first.take()
        if first is None or not trainer.is_global_zero:
            return
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            assert isinstance(pl_module, Reconstructor)
            reconstructions = pl_module.reconstruct(first.image)
        publish(trainer, "reconstructions", paired_grid(first.image, reconstructions))
