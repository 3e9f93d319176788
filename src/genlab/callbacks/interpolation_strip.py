"""Ways through the latent space, the same ones in every picture."""

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from genlab.callbacks.drawing import (
    LATENT_SAMPLER,
    check_counts,
    check_model,
    is_due,
    publish,
)
from genlab.contracts import ClassSampler, LatentSampler
from genlab.errors import UserError
from genlab.latents import interpolate
from genlab.pictures import image_grid
from genlab.seeding import seeded


class InterpolationStrip(Callback):
    """Draws rows of images on the way from one latent to another: `samples/interpolation_epoch_0003.png`.

    The latents are draws of the prior, the way is an arc (`genlab.latents.slerp`), or a
    line where they lie in a cube. A conditional model
    keeps to one class in a row. Of samples that are no images nothing is drawn.
    """

    def __init__(self, *, rows: int = 6, steps: int = 10, every_n_epochs: int = 1, seed: int = 0) -> None:
        """Creates the callback.

        Args:
            rows: Ways, at least 1.
            steps: Images on each, its two ends included, at least 2.
            every_n_epochs: Epochs from one picture to the next, at least 1; the last epoch always has one.
            seed: Of the ends.

        Raises:
            UserError: If a number is out of range.
        """
        check_counts("interpolation_strip", rows=rows, every_n_epochs=every_n_epochs)
        if steps < 2:
            raise UserError(f"callbacks.interpolation_strip.steps must be at least 2, got {steps}")
        self.rows, self.steps, self.every_n_epochs, self.seed = rows, steps, every_n_epochs, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_model(self, pl_module, LatentSampler, LATENT_SAMPLER)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not is_due(trainer, self.every_n_epochs) or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, LatentSampler)
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            with seeded(self.seed, pl_module.device):
                ends = pl_module.noise(2 * self.rows)  # [2 * rows, L]
            ways = [
                interpolate(a, b, self.steps, spherical=pl_module.spherical)
                for a, b in zip(ends[::2], ends[1::2], strict=True)
            ]
            label = pl_module.classes_of(self.rows) if isinstance(pl_module, ClassSampler) else None  # [rows]
            if label is None:
                samples = pl_module.decode(torch.cat(ways))  # [rows * steps, C, H, W]
            else:
                samples = pl_module.decode(torch.cat(ways), label.repeat_interleave(self.steps))
        if samples.ndim == 4:
            publish(trainer, "interpolation", image_grid(samples, columns=self.steps))
