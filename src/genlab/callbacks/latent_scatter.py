"""Where validation images lie in the latent space, class by class."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from genlab.callbacks.drawing import (
    RECONSTRUCTOR,
    FirstImages,
    all_classes,
    check_counts,
    check_model,
    encoded,
    is_due,
    publish,
    refuse_codes,
)
from genlab.contracts import Reconstructor
from genlab.latents import plane
from genlab.scatters import class_scatter


class LatentScatter(Callback):
    """Draws the encoded means of the first validation images, coloured by class: `samples/latents_epoch_0005.png`.

    Of more than two latent dimensions it shows their principal components, those of this epoch; see
    `genlab.latents.plane`. Of a conditional model, which is told the class, the classes should lie upon each other.
    """

    def __init__(self, *, n: int = 500, every_n_epochs: int = 5) -> None:
        """Creates the callback.

        Args:
            n: Points at most, at least 1.
            every_n_epochs: Epochs from one picture to the next, at least 1; the last epoch always has one.

        Raises:
            UserError: If a number is out of range.
        """
        check_counts("latent_scatter", n=n, every_n_epochs=every_n_epochs)
        self.every_n_epochs = every_n_epochs
        self._first = FirstImages(n)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_model(self, pl_module, Reconstructor, RECONSTRUCTOR)
        refuse_codes(self, pl_module)

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
            seen = plane(encoded(pl_module, first))
        names = all_classes(trainer)
        labels = first.label if names else None
        publish(trainer, "latents", class_scatter(seen.points, axes=seen.axes, labels=labels, names=names))
