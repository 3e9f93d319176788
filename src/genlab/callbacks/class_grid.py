"""Samples of a conditional model, a row for each class."""

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from genlab.callbacks.drawing import (
    CLASS_SAMPLER,
    check_counts,
    check_model,
    class_names,
    inference,
    is_due,
    publish,
)
from genlab.contracts import ClassSampler
from genlab.errors import UserError
from genlab.pictures import image_grid, label_rows


class ClassGrid(Callback):
    """Draws the same latents under each class: `samples/classes_epoch_0003.png` after the third epoch.

    A row is a class, named on its left; a column is a latent. Of samples that are no images nothing is
    drawn.
    """

    def __init__(
        self, *, classes: int = 10, columns: int = 10, every_n_epochs: int = 1, seed: int = 0
    ) -> None:
        """Creates the callback.

        Args:
            classes: Rows: the first classes, at most so many; at least 1.
            columns: Samples of each, at least 1.
            every_n_epochs: Epochs from one picture to the next, at least 1; the last epoch always has one.
            seed: Of the samples: the same latents in every row and picture.

        Raises:
            UserError: If a number is out of range.
        """
        check_counts("class_grid", classes=classes, columns=columns, every_n_epochs=every_n_epochs)
        self.classes, self.columns, self.every_n_epochs, self.seed = classes, columns, every_n_epochs, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_model(self, pl_module, ClassSampler, CLASS_SAMPLER)
        assert isinstance(pl_module, ClassSampler)
        if pl_module.classes_of(1) is None:
            raise UserError(
                f"ClassGrid needs a model that knows classes, and this {type(pl_module).__name__} is trained "
                "without labels: set callbacks.class_grid to null"
            )

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not is_due(trainer, self.every_n_epochs) or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, ClassSampler)
        label = pl_module.classes_of(self.classes)  # [classes], from the first again where there are fewer
        assert label is not None
        label = label.unique()  # [rows]
        with inference(trainer):
            rows = [pl_module.sample(self.columns, seed=self.seed, label=k) for k in label.tolist()]
        if rows[0].ndim == 4:
            grid = image_grid(torch.cat(rows), columns=self.columns)
            publish(trainer, "classes", label_rows(grid, class_names(trainer, label)))
