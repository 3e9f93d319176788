"""Samples and reconstructions, drawn after validations."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from genlab.callbacks.drawing import (
    RECONSTRUCTOR,
    SAMPLER,
    FirstImages,
    check_counts,
    check_model,
    is_due,
    known_labels,
    publish,
)
from genlab.contracts import PointBatch, Reconstructor, Sampler
from genlab.pictures import image_grid, paired_grid
from genlab.scatters import scatter


class SampleGrid(Callback):
    """Draws the same latents again and again: `samples/samples_epoch_0003.png` after the third epoch.

    Images stand in a grid. Points of a plane are drawn over those of the validation data, see
    `genlab.scatters.scatter`; of points with more dimensions the first two are shown.
    """

    def __init__(self, *, n: int = 64, points: int = 2500, every_n_epochs: int = 1, seed: int = 0) -> None:
        """Creates the callback.

        Args:
            n: Images in a picture, at least 1.
            points: Where samples are points: how many are drawn, and at most as many real ones; at least 1.
            every_n_epochs: Epochs from one picture to the next, at least 1; the last epoch always has one.
            seed: Of the samples: the same latents in every picture.

        Raises:
            UserError: If a number is out of range.
        """
        check_counts("sample_grid", n=n, points=points, every_n_epochs=every_n_epochs)
        self.n, self.points, self.every_n_epochs, self.seed = n, points, every_n_epochs, seed
        self._real: list[Tensor] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_model(self, pl_module, Sampler, SAMPLER)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._real = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        missing = self.points - sum(map(len, self._real))
        if isinstance(batch, PointBatch) and dataloader_idx == 0 and missing > 0:
            self._real.append(batch[0][:missing, :2])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not is_due(trainer, self.every_n_epochs) or not trainer.is_global_zero:
            return
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            assert isinstance(pl_module, Sampler)
            samples = pl_module.sample(self.points if self._real else self.n, seed=self.seed)
        picture = scatter(torch.cat(self._real), samples[:, :2]) if self._real else image_grid(samples)
        publish(trainer, "samples", picture)


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
            reconstructions = pl_module.reconstruct(first.image, *known_labels(pl_module, first.label))
        publish(trainer, "reconstructions", paired_grid(first.image, reconstructions))
