"""Pictures of series: samples beside real ones, and where both lie in a plane."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from genlab.callbacks.drawing import SAMPLER, check_counts, check_model, inference, is_due, publish
from genlab.callbacks.gathering import FirstSeries
from genlab.contracts import Sampler
from genlab.errors import UserError
from genlab.pictures import image_grid
from genlab.plots import clouds, series_panels
from genlab.projections import pca, profiles, tsne
from genlab.sequence_contracts import SeriesCodec


class _OfTraining(Callback):
    """Keeps the first series that a model learns from, over a resume too."""

    def __init__(self, n: int) -> None:
        self._first = FirstSeries(n)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_model(self, pl_module, Sampler, SAMPLER)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._first.add(batch)

    def state_dict(self) -> dict[str, Any]:
        return {"first": self._first.take()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._first.restore(state_dict["first"])


class SeriesPanels(_OfTraining):
    """Draws samples beside real series, a row for each column: `samples/series_epoch_0003.png` after the third epoch.

    The real ones are the first that it learns from: later ones of a validation may lie elsewhere. Values are in
    the user's units. Where the steps are rows of images, samples are shown as images. Of text nothing is drawn.
    """

    def __init__(self, *, n: int = 8, images: int = 64, every_n_epochs: int = 1, seed: int = 0) -> None:
        """Creates the callback.

        Args:
            n: Series of each kind in a panel, at least 1.
            images: Where samples are images: how many, at least 1.
            every_n_epochs: Epochs from one picture to the next, at least 1; the last epoch always has one.
            seed: Of the samples.

        Raises:
            UserError: If a number is out of range.
        """
        check_counts("series_panels", n=n, images=images, every_n_epochs=every_n_epochs)
        super().__init__(n)
        self.n, self.images, self.every_n_epochs, self.seed = n, images, every_n_epochs, seed

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        real = self._first.take()
        if real is None or not trainer.is_global_zero or not is_due(trainer, self.every_n_epochs):
            return
        as_images = _rows_of_images(trainer)
        samples = _drawn(trainer, pl_module, self.images if as_images else self.n, self.seed)
        if as_images:
            publish(trainer, "samples", image_grid(samples[:, None] * 2 - 1))
            return
        codec, names = _codec(trainer), _names(trainer, real.shape[2])
        if codec is not None:
            real, samples = codec.unscale(real), codec.unscale(samples)
        publish(trainer, "series", series_panels(real, samples, names))


class SeriesMap(_OfTraining):
    """Shows real series and samples as clouds of points, by principal components and by t-SNE, as TimeGAN does.

    A point is a series, averaged over its columns. The real ones are the first that it learns from, the samples
    those of the last validation before the training ends, whichever limit ends it. Of text and of images nothing is
    drawn.
    """

    def __init__(self, *, n: int = 300, every_n_epochs: int | None = None, seed: int = 0) -> None:
        """Creates the callback.

        Args:
            n: Series of each kind at most, at least 10.
            every_n_epochs: Epochs from one picture to the next, at least 1; None: at the end only.
            seed: Of the samples, and of t-SNE.

        Raises:
            UserError: If a number is out of range.
        """
        check_counts("series_map", every_n_epochs=1 if every_n_epochs is None else every_n_epochs)
        if n < 10:
            raise UserError(f"callbacks.series_map.n must be at least 10, got {n}")
        super().__init__(n)
        self.every_n_epochs, self.seed = every_n_epochs, seed
        self._seen: tuple[int, Tensor, Tensor] | None = None

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # drawn now, while the averaged weights are in place; nobody knows which validation is the last
        real = self._first.take()
        if real is None or not trainer.is_global_zero or _rows_of_images(trainer):
            return
        samples = _drawn(trainer, pl_module, len(real), self.seed)
        self._seen = trainer.current_epoch, profiles(real), profiles(samples)
        if self.every_n_epochs is not None and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._show(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._show(trainer)

    def _show(self, trainer: Trainer) -> None:
        if self._seen is None:
            return
        epoch, real, samples = self._seen
        self._seen = None
        samples = samples[samples.isfinite().all(1)]
        if len(real) + len(samples) < 10 or len(real) < 2:
            return  # too few to lie near or far
        panels = {"PCA": pca(real, samples), "t-SNE": tsne(real, samples, seed=self.seed)}
        publish(trainer, "series_map", clouds(panels), epoch=epoch)


def _drawn(trainer: Trainer, model: LightningModule, n: int, seed: int) -> Tensor:
    """Samples `[n, T, D]` on the CPU."""
    assert isinstance(model, Sampler)
    with inference(trainer):
        return model.sample(n, seed=seed).cpu().float()


def _rows_of_images(trainer: Trainer) -> bool:
    return bool(getattr(getattr(trainer, "datamodule", None), "rows_of_images", False))


def _codec(trainer: Trainer) -> SeriesCodec | None:
    codec = getattr(getattr(trainer, "datamodule", None), "codec", None)
    return codec if isinstance(codec, SeriesCodec) else None


def _names(trainer: Trainer, width: int) -> list[str]:
    """The columns' names where the data has them, else their numbers."""
    facts = getattr(getattr(trainer, "datamodule", None), "facts", None)
    names = (facts() if facts else {}).get("columns")
    return list(names) if names else [f"column_{k + 1}" for k in range(width)]
