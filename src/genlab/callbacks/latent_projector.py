"""The latents of validation images in TensorBoard's embedding projector."""

from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from genlab.callbacks.drawing import (
    RECONSTRUCTOR,
    check_counts,
    check_model,
    class_names,
    inference,
    known_labels,
    refuse_codes,
)
from genlab.callbacks.gathering import FirstImages, Gathering
from genlab.callbacks.run_log import RunLog, run_logs
from genlab.contracts import ImageBatch, Reconstructor
from genlab.pictures import thumbnails


class LatentProjector(Gathering):
    """Shows the encoded means of the first validation images as a cloud of points with labels and pictures.

    They are those of the last validation before the training ends, whichever limit ends it. A new cloud
    takes the place of the one before. Without a log that shows points the callback does nothing.
    """

    def __init__(self, *, n: int = 500, every_n_epochs: int | None = None) -> None:
        """Creates the callback.

        Args:
            n: Points at most, at least 1.
            every_n_epochs: Epochs from one cloud to the next, at least 1; None: at the end only.

        Raises:
            UserError: If a number is out of range.
        """
        check_counts("latent_projector", n=n, every_n_epochs=1 if every_n_epochs is None else every_n_epochs)
        super().__init__(FirstImages(n))
        self.every_n_epochs = every_n_epochs
        self._seen: ImageBatch | None = None
        self._latents: Tensor | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_model(self, pl_module, Reconstructor, RECONSTRUCTOR)
        refuse_codes(self, pl_module)

    def wants(self, trainer: Trainer, model: LightningModule) -> bool:
        return not trainer.sanity_checking and bool(_logs(trainer))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # encoded now, while the averaged weights are in place; nobody knows which validation is the last
        self._seen = self._first.take()
        if self._seen is None:
            return
        with inference(trainer):
            assert isinstance(pl_module, Reconstructor)
            self._latents = pl_module.encode(
                self._seen.image, *known_labels(pl_module, self._seen.label)
            )  # [n, L]
        if self.every_n_epochs is not None and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._show(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._show(trainer)

    def _show(self, trainer: Trainer) -> None:
        if self._seen is None or self._latents is None:
            return
        latents, pictures = self._latents.float().cpu(), thumbnails(self._seen.image)
        labels = class_names(trainer, self._seen.label)
        self._seen = self._latents = None
        for log in _logs(trainer):
            log.log_latents("latents", latents, labels, pictures)


def _logs(trainer: Trainer) -> list[RunLog]:
    """The logs, on the one rank that has them, that have a place for points."""
    if not trainer.is_global_zero:
        return []
    return [log for log in run_logs(trainer) if type(log).log_latents is not RunLog.log_latents]
