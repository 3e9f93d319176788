"""The first rows of data, gathered batch by batch, and callbacks that wait for them.

Letters in shapes: B batch, n rows or fewer where the validation has fewer, C channels, H height, W width, T steps,
D values of a step or dimensions of a point.
"""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from genlab.callbacks.drawing import is_due
from genlab.contracts import ImageBatch, PointBatch
from genlab.sequence_contracts import SequenceBatch


def rows(batch: Any, begin: int, end: int) -> Any:
    """Some rows of a batch, of whatever kind."""
    return type(batch)(*(None if part is None else part[begin:end] for part in batch))


class First:
    """The first rows of some data, of whatever kind its batches are. Interface: `take` gives them."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._parts: list[Any] = []

    def clear(self) -> None:
        self._parts = []

    def add(self, batch: Any) -> None:
        """Takes what is missing of the first n."""
        missing = self.n - sum(len(part[0]) for part in self._parts)
        if missing > 0:
            self._parts.append(rows(batch, 0, missing))

    def parts(self) -> list[Any]:
        """Those of each batch, which it forgets."""
        parts, self._parts = self._parts, []
        return parts

    def take(self) -> Any:
        """All of them; None or nothing where there are none."""
        raise NotImplementedError


class FirstImages(First):
    """The first images of a validation."""

    def take(self) -> ImageBatch | None:
        """All of them, `[n, C, H, W]` with labels, which it forgets; None where there are none."""
        parts = self.parts()
        return ImageBatch(*map(torch.cat, zip(*parts, strict=True))) if parts else None


class FirstPoints(First):
    """The first points of a validation; of other data it takes none."""

    def add(self, batch: Any) -> None:
        if isinstance(batch, PointBatch):
            super().add(batch)

    def take(self) -> Tensor | None:
        """All of them, `[n, D]`, which it forgets; None where there are none."""
        parts = self.parts()
        return torch.cat([part.point for part in parts]) if parts else None


class FirstSeries(First):
    """The first series of some data, which it keeps on the CPU; of tokens it takes none."""

    def add(self, batch: Any) -> None:
        missing = self.n - sum(map(len, self._parts))
        if missing > 0 and isinstance(batch, SequenceBatch) and batch.target.is_floating_point():
            self._parts.append(batch.target[:missing].cpu().float())

    def take(self) -> Tensor | None:
        """All of them, `[n, T, D]`, which it keeps; None where there are none."""
        return torch.cat(self._parts) if self._parts else None

    def restore(self, series: Tensor | None) -> None:
        """Goes on from what `take` gave; with another n it takes no more than that."""
        self._parts = [] if series is None else [series[: self.n]]


class Gathering(Callback):
    """Gathers the first rows of each validation that it wants. Interface: `wants`, and what is made of them."""

    def __init__(self, first: First) -> None:
        self._first = first

    def wants(self, trainer: Trainer, model: LightningModule) -> bool:
        """Whether the rows of this validation are gathered."""
        raise NotImplementedError

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
        if dataloader_idx == 0 and self.wants(trainer, pl_module):
            self._first.add(batch)


class Drawing(Gathering):
    """Draws from the first rows of a validation where one is due, on rank 0. Interface: `draw`."""

    def __init__(self, first: First, every_n_epochs: int) -> None:
        super().__init__(first)
        self.every_n_epochs = every_n_epochs

    def wants(self, trainer: Trainer, model: LightningModule) -> bool:
        return is_due(trainer, self.every_n_epochs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        first = self._first.take()
        if first is not None and trainer.is_global_zero:
            self.draw(trainer, pl_module, first)

    def draw(self, trainer: Trainer, model: LightningModule, first: Any) -> None:
        """Makes pictures of what was gathered and publishes them."""
        raise NotImplementedError
