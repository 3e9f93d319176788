"""Images of one class on the way to another, by the difference of the mean latents of the two."""

import torch
from pytorch_lightning import LightningModule, Trainer

from genlab.callbacks.drawing import (
    RECONSTRUCTOR,
    all_classes,
    check_counts,
    check_model,
    encoded,
    inference,
    known_labels,
    publish,
    refuse_codes,
)
from genlab.callbacks.gathering import Drawing, FirstImages
from genlab.contracts import ImageBatch, Reconstructor
from genlab.errors import UserError
from genlab.latents import difference, shift
from genlab.pictures import image_grid, label_rows

_JUDGED = 1000
"""Validation images by whose latents the means of classes are judged."""


class LatentArithmetic(Drawing):
    """Draws validation images of a class and what becomes of them: `samples/arithmetic_epoch_0010.png`.

    A row is an image, then what its latent decodes to with a growing amount of a direction added: the mean latent
    of another class minus that of its own. A conditional model decodes all of it under the image's own class.
    Where the data has no labels, or none of the images is of one of the two classes, nothing is drawn.
    """

    def __init__(
        self, *, from_class: int = 0, to_class: int = 1, n: int = 6, steps: int = 9, every_n_epochs: int = 10
    ) -> None:
        """Creates the callback.

        Args:
            from_class: The number of the class of the images, at least 0.
            to_class: The number of the class that the way leads to, at least 0, another one.
            n: Rows: images at most, at least 1.
            steps: Columns beside the image: amounts from 0 to 1, at least 2.
            every_n_epochs: Epochs from one picture to the next, at least 1; the last epoch always has one.

        Raises:
            UserError: If a number is out of range.
        """
        check_counts("latent_arithmetic", n=n, every_n_epochs=every_n_epochs)
        if steps < 2:
            raise UserError(f"callbacks.latent_arithmetic.steps must be at least 2, got {steps}")
        if min(from_class, to_class) < 0 or from_class == to_class:
            raise UserError(
                "callbacks.latent_arithmetic.from_class and to_class must be two classes, by their numbers from 0, "
                f"got {from_class} and {to_class}"
            )
        super().__init__(FirstImages(_JUDGED), every_n_epochs)
        self.from_class, self.to_class = from_class, to_class
        self.n, self.steps = n, steps

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_model(self, pl_module, Reconstructor, RECONSTRUCTOR)
        refuse_codes(self, pl_module)
        names = all_classes(trainer)
        for setting, number in (("from_class", self.from_class), ("to_class", self.to_class)):
            if names and number >= len(names):
                raise UserError(
                    f"callbacks.latent_arithmetic.{setting} must be below {len(names)}, the number of classes, "
                    f"got {number}"
                )

    def draw(self, trainer: Trainer, model: LightningModule, first: ImageBatch) -> None:
        names = all_classes(trainer)
        if not names:
            return
        own = first.label == self.from_class
        if not own.any() or not (first.label == self.to_class).any():
            return
        with inference(trainer):
            assert isinstance(model, Reconstructor)
            z = encoded(model, first)
            rows = shift(
                z[own][: self.n], difference(z, first.label, self.from_class, self.to_class), self.steps
            )
            label = first.label[own][:1].expand(len(rows) * self.steps)
            images = model.decode(rows.flatten(0, 1), *known_labels(model, label))
        images = images.unflatten(0, (len(rows), self.steps))  # [rows, steps, C, H, W]
        images = torch.cat([first.image[own][: self.n, None], images], dim=1)
        picture = image_grid(images.flatten(0, 1), columns=1 + self.steps)
        told = f"{names[self.from_class]} > {names[self.to_class]}"
        publish(trainer, "arithmetic", label_rows(picture, [told] + [""] * (len(rows) - 1)))
