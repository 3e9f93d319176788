"""The datamodule of series: windows of real values, each step with what stands before it.

Letters in shapes: L rows of a series, N windows, B batch, T steps of a window, D values of a step.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from genlab.codecs.scale import Scale
from genlab.data.loader import TensorLoader
from genlab.data.order import BatchOrder, Rows
from genlab.errors import UserError
from genlab.sequence_contracts import SequenceBatch

SPLITS = ("train", "val", "test")


class Windows(NamedTuple):
    """Windows of one split: places in a series, so that windows that overlap are held once.

    Attributes:
        series: `[L, D]` in the model's scale.
        start: `[N]` int64: the row at which each window begins.
        label: `[N]` int64; zeros where the data has no labels.
    """

    series: Tensor
    start: Tensor
    label: Tensor


def apart(values: Tensor, label: Tensor | None = None) -> Windows:
    """Windows `[N, T, D]` that do not overlap, with labels `[N]`; zeros where there are none."""
    start = torch.arange(len(values)) * values.shape[1]
    return Windows(values.flatten(0, 1), start, torch.zeros_like(start) if label is None else label)


def as_batch(target: Tensor, label: Tensor) -> SequenceBatch:
    """The batch of windows `[B, T, D]`: each step's input is the step before it, the first one's is zeros."""
    before = torch.nn.functional.pad(target[:, :-1], (0, 0, 1, 0))
    begins = torch.ones(len(target), dtype=torch.bool, device=target.device)
    return SequenceBatch(before, target, None, label, begins)


def refuse_labels(num_classes: int | None) -> None:
    """Refuses classes where the data has none.

    Raises:
        UserError: `num_classes` is given.
    """
    if num_classes is not None:
        raise UserError(f"data.num_classes says {num_classes} but these series have no labels; give null")


class SeriesLoader(TensorLoader):
    """The loader of data in memory, which resumes exactly; it gathers windows out of a series."""

    def __init__(self, windows: Windows, steps: int, order: BatchOrder) -> None:
        """Takes the data as it is; nothing is copied.

        Args:
            windows: N of them.
            steps: T.
            order: which windows come when.
        """
        super().__init__(windows.start, windows.label, order)
        self.series, self.steps = windows.series, torch.arange(steps)

    def __iter__(self) -> Iterator[SequenceBatch]:  # type: ignore[override]
        for start, label in super().__iter__():
            rows = start[:, None] + self.steps  # [B, T]
            values = self.series.index_select(0, rows.flatten())  # [B * T, D]
            yield as_batch(values.unflatten(0, rows.shape), label)


class SeriesData(pl.LightningDataModule):
    """Interface: series of one kind. What is one says `read`; all windows begin anew, and each counts alike.

    Attributes:
        codec: the scale of the values; None where nobody would ask for it.
        rows_of_images: whether the steps of a window are the rows of a picture.
    """

    codec: Scale | None = None
    rows_of_images = False

    def __init__(
        self,
        *,
        sequence_length: int | None,
        num_features: int | None,
        columns: list[str] | None,
        num_classes: int | None,
        batch_size: int,
        drop_last: bool,
        seed: int,
    ) -> None:
        """Reads nothing yet.

        Args:
            sequence_length: T; None where `read` will tell, as with the next three.
            num_features: D, held against the data.
            columns: a name for each of them.
            num_classes: number of labels; None: there are none.
            batch_size: B, on each process.
            drop_last: leave out training windows that do not fill a batch, others each epoch.
            seed: of the order of training windows.

        Raises:
            UserError: a number out of its range.
        """
        super().__init__()
        if sequence_length is not None and sequence_length < 2:
            raise UserError(f"data.sequence_length must be at least 2 steps, got {sequence_length}")
        if batch_size < 1:
            raise UserError(f"data.batch_size must be at least 1, got {batch_size}")
        self.sequence_length, self.num_features, self.columns = sequence_length, num_features, columns
        self.num_classes = num_classes
        self.batch_size, self.drop_last, self.seed = batch_size, drop_last, seed
        self._windows: dict[str, Windows] = {}

    def read(self, split: str) -> Windows:
        """Reads or makes the windows of a split: train, val or test.

        Raises:
            UserError: the data is not to be had.
        """
        raise NotImplementedError

    def names(self) -> list[str]:
        """The D columns, known after `setup`."""
        raise NotImplementedError

    def prepare_data(self) -> None:
        """Nothing is downloaded or written."""

    def setup(self, stage: str | None = None) -> None:
        """Reads the windows of a stage, "test" or any other; None reads all.

        Raises:
            UserError: the data is not to be had, or a declared fact is not that of the data.
        """
        wanted = SPLITS if stage is None else SPLITS[2:] if stage == "test" else SPLITS[:2]
        for split in wanted:
            if split not in self._windows:
                self._windows[split] = self.read(split)
                self._settle(self._windows[split].series.shape[1])

    def _settle(self, found: int) -> None:
        if self.num_features not in (None, found):
            raise UserError(
                f"data.num_features says {self.num_features} but the data has {found} columns; give"
                f" data.num_features={found}, or null to take what there is"
            )
        self.num_features = found

    def facts(self) -> dict[str, Any]:
        """What only the data can tell, as plain lists, numbers and texts; known after `setup`."""
        return {
            "num_features": self.num_features,
            "columns": self.names(),
            "sequence_length": self.sequence_length,
            "num_classes": self.num_classes,
        }

    @property
    def num_train(self) -> int:
        """Number of training windows; known after `setup("fit")`, as the next."""
        return len(self._need("train").start)

    @property
    def num_val(self) -> int:
        """Number of validation windows."""
        return len(self._need("val").start)

    @property
    def num_test(self) -> int:
        """Number of test windows; known after `setup("test")`."""
        return len(self._need("test").start)

    def train_dataloader(self) -> SeriesLoader:
        """Shuffled windows; in one fixed order under Lightning's `overfit_batches`.

        Raises:
            UserError: the windows do not fill one batch.
        """
        ranks = self._world()[1]
        if self.drop_last and self.batch_size * ranks > self.num_train:
            raise UserError(
                f"data.batch_size {self.batch_size} on {ranks} process{'es' * (ranks > 1)} needs"
                f" {self.batch_size * ranks} training windows, there are {self.num_train}; give"
                f" data.batch_size={max(1, self.num_train // ranks)} or data.drop_last=false"
            )
        overfit = getattr(self.trainer, "overfit_batches", 0) > 0
        return self._loader("train", seed=None if overfit else self.seed, drop_last=self.drop_last)

    def val_dataloader(self) -> SeriesLoader:
        """The validation windows, always in the same mixed order."""
        return self._loader("val")

    def test_dataloader(self) -> SeriesLoader:
        """The test windows, always in the same mixed order."""
        return self._loader("test")

    def _loader(self, split: str, *, seed: int | None = None, drop_last: bool = False) -> SeriesLoader:
        windows, (rank, world_size) = self._need(split), self._world()
        assert self.sequence_length is not None
        # mixed once and for all: neighbours overlap, and the first few are to stand for all in pictures
        rows: Rows = np.random.default_rng(0).permutation(len(windows.start)).astype(np.int64)
        order = BatchOrder(
            rows, batch_size=self.batch_size, seed=seed, drop_last=drop_last, rank=rank, world_size=world_size
        )
        return SeriesLoader(windows, self.sequence_length, order)

    def _world(self) -> tuple[int, int]:
        """This process's rank and the number of processes."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _need(self, split: str) -> Windows:
        if split not in self._windows:
            raise UserError(f"no {split} windows are read yet; call setup() first")
        return self._windows[split]

    def transfer_batch_to_device(
        self, batch: SequenceBatch, device: torch.device, dataloader_idx: int
    ) -> SequenceBatch:
        """Moves the tensors; Lightning's own searches the batch for them."""
        unasked = device.type == "cuda"  # elsewhere a copy that is not waited for may be read too early

        def moved(part: Tensor) -> Tensor:
            return part.to(device, non_blocking=unasked)

        weight = None if batch.weight is None else moved(batch.weight)
        return SequenceBatch(
            moved(batch.input), moved(batch.target), weight, moved(batch.label), moved(batch.begins)
        )
