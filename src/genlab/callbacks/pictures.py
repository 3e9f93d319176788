"""Samples and reconstructions, drawn after validations."""

from pytorch_lightning import LightningModule, Trainer

from genlab.callbacks.drawing import (
    RECONSTRUCTOR,
    SAMPLER,
    check_counts,
    check_model,
    inference,
    is_due,
    known_labels,
    publish,
)
from genlab.callbacks.gathering import Drawing, FirstImages, FirstPoints, Gathering
from genlab.contracts import ImageBatch, Reconstructor, Sampler
from genlab.pictures import image_grid, paired_grid
from genlab.scatters import scatter


class SampleGrid(Gathering):
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
        super().__init__(FirstPoints(points))
        self.n, self.points, self.every_n_epochs, self.seed = n, points, every_n_epochs, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_model(self, pl_module, Sampler, SAMPLER)

    def wants(self, trainer: Trainer, model: LightningModule) -> bool:
        return is_due(trainer, self.every_n_epochs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        real = self._first.take()
        if not is_due(trainer, self.every_n_epochs) or not trainer.is_global_zero:
            return
        with inference(trainer):
            assert isinstance(pl_module, Sampler)
            samples = pl_module.sample(self.n if real is None else self.points, seed=self.seed)
        picture = image_grid(samples) if real is None else scatter(real[:, :2], samples[:, :2])
        publish(trainer, "samples", picture)


class ReconstructionGrid(Drawing):
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
        super().__init__(FirstImages(n), every_n_epochs)
        self.n = n

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_model(self, pl_module, Reconstructor, RECONSTRUCTOR)

    def draw(self, trainer: Trainer, model: LightningModule, first: ImageBatch) -> None:
        with inference(trainer):
            assert isinstance(model, Reconstructor)
            reconstructions = model.reconstruct(first.image, *known_labels(model, first.label))
        publish(trainer, "reconstructions", paired_grid(first.image, reconstructions))
