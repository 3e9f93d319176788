"""What each dimension of the latent does to an image."""

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from genlab.callbacks.drawing import (
    RECONSTRUCTOR,
    check_counts,
    check_model,
    inference,
    known_labels,
    publish,
    refuse_codes,
)
from genlab.callbacks.gathering import Drawing, FirstImages
from genlab.contracts import ImageBatch, Reconstructor
from genlab.errors import UserError
from genlab.latents import traverse
from genlab.pictures import image_grid, label_rows

_JUDGED = 256
"""Validation images by whose latents the dimensions are chosen."""


class LatentTraversal(Drawing):
    """Draws the first validation image with one latent dimension at a time changed, a row for each.

    Shown are the dimensions in which the encoded means of validation images differ most, the widest first:
    one that the model does not use keeps all images at one mean, and its row would be the same picture
    over and over. The file is `samples/traversal_epoch_0010.png`.
    """

    def __init__(self, *, n: int = 8, steps: int = 9, reach: float = 3.0, every_n_epochs: int = 10) -> None:
        """Creates the callback.

        Args:
            n: Rows: dimensions at most, at least 1.
            steps: Columns: values that each of them takes, at least 2.
            reach: They run from -reach to reach, in standard deviations of the prior; above 0.
            every_n_epochs: Epochs from one picture to the next, at least 1; the last epoch always has one.

        Raises:
            UserError: If a number is out of range.
        """
        check_counts("latent_traversal", n=n, every_n_epochs=every_n_epochs)
        if steps < 2:
            raise UserError(f"callbacks.latent_traversal.steps must be at least 2, got {steps}")
        if reach <= 0:
            raise UserError(f"callbacks.latent_traversal.reach must be above 0, got {reach}")
        super().__init__(FirstImages(_JUDGED), every_n_epochs)
        self.n, self.steps, self.reach = n, steps, reach

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_model(self, pl_module, Reconstructor, RECONSTRUCTOR)
        refuse_codes(self, pl_module)

    def draw(self, trainer: Trainer, model: LightningModule, first: ImageBatch) -> None:
        with inference(trainer):
            assert isinstance(model, Reconstructor)
            labels = known_labels(model, first.label)
            means = model.encode(first.image, *labels)  # [images, L]
            dims = widest(means, self.n)
            rows = traverse(means[0], dims, torch.linspace(-self.reach, self.reach, self.steps))
            rows = rows.flatten(0, 1)  # [rows * steps, L]
            images = model.decode(rows, *(label[:1].expand(len(rows)) for label in labels))
        picture = image_grid(images, columns=self.steps)
        publish(trainer, "traversal", label_rows(picture, [f"z{dim}" for dim in dims]))


def widest(means: Tensor, n: int) -> list[int]:
    """The `n` dimensions, or all, in which points `[N, L]` differ most, by variance, the widest first."""
    variance = means.float().var(dim=0, correction=0).nan_to_num()  # [L]
    return variance.argsort(descending=True, stable=True)[:n].tolist()
