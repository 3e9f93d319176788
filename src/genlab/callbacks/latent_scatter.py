"""Where validation images lie in the latent space, class by class."""

from pytorch_lightning import LightningModule, Trainer

from genlab.callbacks.drawing import (
    RECONSTRUCTOR,
    all_classes,
    check_counts,
    check_model,
    encoded,
    inference,
    publish,
    refuse_codes,
)
from genlab.callbacks.gathering import Drawing, FirstImages
from genlab.contracts import ImageBatch, Reconstructor
from genlab.latents import plane
from genlab.scatters import class_scatter


class LatentScatter(Drawing):
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
        super().__init__(FirstImages(n), every_n_epochs)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_model(self, pl_module, Reconstructor, RECONSTRUCTOR)
        refuse_codes(self, pl_module)

    def draw(self, trainer: Trainer, model: LightningModule, first: ImageBatch) -> None:
        with inference(trainer):
            seen = plane(encoded(model, first))
        names = all_classes(trainer)
        labels = first.label if names else None
        publish(trainer, "latents", class_scatter(seen.points, axes=seen.axes, labels=labels, names=names))
