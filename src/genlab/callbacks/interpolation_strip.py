"""Ways through the latent space, the same ones in every picture."""

from typing import Any, Literal

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from genlab.callbacks.drawing import (
    LATENT_SAMPLER,
    check_counts,
    check_model,
    encoded,
    inference,
    is_due,
    known_labels,
    publish,
    refuse_codes,
)
from genlab.callbacks.gathering import FirstImages, Gathering
from genlab.contracts import ClassSampler, LatentSampler, Reconstructor
from genlab.errors import UserError
from genlab.latents import interpolate
from genlab.pictures import image_grid
from genlab.seeding import seeded


class InterpolationStrip(Gathering):
    """Draws rows of images on the way from one latent to another: `samples/interpolation_epoch_0003.png`.

    The latents are those of the first validation images where the model has an encoder, else draws of the prior.
    A conditional model keeps to one class in a row, that of the image that it begins with. Of samples that are no
    images nothing is drawn.
    """

    def __init__(
        self,
        *,
        rows: int = 6,
        steps: int = 10,
        interpolation: Literal["slerp", "linear"] | None = None,
        every_n_epochs: int = 1,
        seed: int = 0,
    ) -> None:
        """Creates the callback.

        Args:
            rows: Ways, at least 1.
            steps: Images on each, its two ends included, at least 2.
            interpolation: `slerp`, along the arc, or `linear`; None: the arc where latents lie near a sphere.
            every_n_epochs: Epochs from one picture to the next, at least 1; the last epoch always has one.
            seed: Of the ends that are drawn.

        Raises:
            UserError: If a setting is out of range.
        """
        check_counts("interpolation_strip", rows=rows, every_n_epochs=every_n_epochs)
        if steps < 2:
            raise UserError(f"callbacks.interpolation_strip.steps must be at least 2, got {steps}")
        if interpolation not in ("slerp", "linear", None):
            raise UserError(
                f"callbacks.interpolation_strip.interpolation must be slerp, linear or null, got {interpolation}"
            )
        super().__init__(FirstImages(2 * rows))
        self.rows, self.steps, self.interpolation = rows, steps, interpolation
        self.every_n_epochs, self.seed = every_n_epochs, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not isinstance(pl_module, Reconstructor):
            check_model(self, pl_module, LatentSampler, LATENT_SAMPLER)
        refuse_codes(self, pl_module)

    def wants(self, trainer: Trainer, model: LightningModule) -> bool:
        return isinstance(model, Reconstructor) and is_due(trainer, self.every_n_epochs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not is_due(trainer, self.every_n_epochs) or not trainer.is_global_zero:
            return
        model: Any = pl_module
        with inference(trainer):
            ends, labels = self._ends(model)  # [2 * rows, L]
            if len(ends) == 0:
                return
            arcs = (
                getattr(model, "spherical", True)
                if self.interpolation is None
                else self.interpolation == "slerp"
            )
            ways = [
                interpolate(a, b, self.steps, spherical=arcs)
                for a, b in zip(ends[::2], ends[1::2], strict=True)
            ]
            known = [label.repeat_interleave(self.steps) for label in labels]
            samples = model.decode(torch.cat(ways), *known)  # [rows * steps, C, H, W]
        if samples.ndim == 4:
            publish(trainer, "interpolation", image_grid(samples, columns=self.steps))

    def _ends(self, model: Any) -> tuple[Tensor, list[Tensor]]:
        """Latents `[2 * rows, L]`, and of a conditional model the class of each way `[rows]`."""
        first = self._first.take()
        if first is not None:
            pairs = len(first.image) // 2 * 2
            return encoded(model, first)[:pairs], list(known_labels(model, first.label[:pairs:2]))
        with seeded(self.seed, model.device):
            ends = model.noise(2 * self.rows)
        label = model.classes_of(self.rows) if isinstance(model, ClassSampler) else None
        return ends, [] if label is None else [label]
