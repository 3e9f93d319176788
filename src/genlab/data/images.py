"""The datamodule of every image dataset.

Letters in shapes: B batch, C channels, H height, W width.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from genlab.contracts import ImageBatch
from genlab.data.facts import ImageFacts, check_shape, settle
from genlab.data.loader import Loader
from genlab.data.opening import MissingData, download_dataset, open_dataset
from genlab.data.order import BatchOrder, Rows
from genlab.data.pixels import to_signed
from genlab.data.sources import Source, open_source
from genlab.errors import UserError


class ImageData(pl.LightningDataModule):
    """Images of one dataset: training, validation and test batches.

    Validation images are split from the training images; only `setup("test")` reads the test images. What
    fits the memory budget is held as uint8 and delivered a batch at a time, the rest is streamed through
    workers in the same order; `on_after_batch_transfer` makes it float in [-1, 1] on the device.
    """

    def __init__(
        self,
        *,
        train: Callable[..., Dataset],
        test: Callable[..., Dataset],
        root: str,
        path: str | None = None,
        download: bool = True,
        channels: int | None = None,
        image_size: int | None = None,
        image_shape: list[int] | None = None,
        num_classes: int | None = None,
        class_names: list[str] | None = None,
        batch_size: int = 128,
        drop_last: bool = True,
        val_size: int | float = 0.1,
        split_seed: int = 0,
        seed: int = 0,
        memory_budget: float = 4096,
        num_workers: int = 2,
        augment: nn.Module | None = None,
    ) -> None:
        """Reads nothing yet.

        Args:
            train: gives the training images; a dataset class of torchvision's kind, called with `root` and
                `download` where it takes them.
            test: gives the test images, likewise.
            root: folder in which downloaded datasets are kept.
            path: a folder of the user's own, given to `train` and `test` in place of `root`.
            download: fetch what is not there.
            channels: make the images gray (1) or coloured (3); None leaves them.
            image_size: height and width to resize them to, the longer side cropped; None leaves them.
            image_shape: [C, H, W], held against the data; None takes what is found, as do the next two.
            num_classes: number of labels.
            class_names: a name for each label.
            batch_size: B, on each process.
            drop_last: leave out training images that do not fill a batch, others each epoch.
            val_size: training images held back for validation, their number or a part between 0 and 1.
            split_seed: of that split; not the run's seed, so that all runs are judged on the same images.
            seed: of the order of training images.
            memory_budget: MB of uint8 pixels to hold in memory, for each split on each process.
            num_workers: processes that read what exceeds it.
            augment: a transform of float batches `[B, C, H, W]` in [-1, 1], for training only.

        Raises:
            UserError: a number out of its range.
        """
        super().__init__()
        if batch_size < 1:
            raise UserError(f"data.batch_size must be at least 1, got {batch_size}")
        if channels not in (None, 1, 3):
            raise UserError(
                f"data.channels must be 1 (gray), 3 (colour) or null (as they are), got {channels}"
            )
        if image_size is not None and image_size < 2:
            raise UserError(f"data.image_size must be at least 2 or null (as they are), got {image_size}")
        if num_workers < 0:
            raise UserError(f"data.num_workers must be 0 or more, got {num_workers}")
        self.factories = {"train": train, "test": test}
        self.folder = root if path is None else path
        self.download, self.channels, self.image_size = download, channels, image_size
        told = image_shape is not None and None not in image_shape  # [3, null, null]: image_size is null
        self._facts = ImageFacts(image_shape if told else None, num_classes, class_names)
        self.batch_size, self.drop_last = batch_size, drop_last
        self.val_size, self.split_seed, self.seed = val_size, split_seed, seed
        self.memory_budget, self.num_workers, self.augment = memory_budget, num_workers, augment
        self._opened: Dataset | None = None
        self._fit: Source | None = None
        self._test: Source | None = None
        self._train_rows = self._val_rows = np.empty(0, dtype=np.int64)

    def prepare_data(self) -> None:
        """Downloads what is missing, and writes nothing where nothing is; for one process of a machine.

        Raises:
            UserError: the files are missing and cannot be downloaded, or are damaged.
        """
        if self._fit is not None or self._opened is not None:
            return
        try:
            self._opened = open_dataset(self.factories["train"], self.folder)
        except MissingData:
            if not self.download:
                raise
            for split in ("test", "train"):  # train last: where it is there, so is test
                download_dataset(self.factories[split], self.folder)

    def setup(self, stage: str | None = None) -> None:
        """Reads the images of a stage, splits off those for validation and checks the declared facts.

        Args:
            stage: "test" reads the test images, None all, anything else the training images.

        Raises:
            UserError: the files are missing or damaged, a declared fact is not that of the data, or
                `val_size` leaves a split empty.
        """
        if stage != "test" and self._fit is None:
            dataset = self._opened or open_dataset(self.factories["train"], self.folder)
            source, self._opened = self._source(dataset), None
            self._train_rows, self._val_rows = self._split(len(source))
            self._facts = settle(self._facts, dataset, source)
            self._fit = source
        if stage in ("test", None) and self._test is None:
            source = self._source(open_dataset(self.factories["test"], self.folder))
            check_shape(self._facts.image_shape, source)
            self._test = source

    def _source(self, dataset: Dataset) -> Source:
        return open_source(
            dataset,
            channels=self.channels,
            image_size=self.image_size,
            memory_budget=self.memory_budget,
            num_workers=self.num_workers,
        )

    def _split(self, total: int) -> tuple[Rows, Rows]:
        """Rows of the training and of the validation images."""
        part = isinstance(self.val_size, float)
        num_val = max(1, round(self.val_size * total)) if part else int(self.val_size)
        if (part and not 0 < self.val_size < 1) or not 1 <= num_val < total:
            raise UserError(
                f"data.val_size must be a part between 0 and 1 or a number from 1 to {total - 1} of the"
                f" {total} training images, got {self.val_size}"
            )
        order = np.random.RandomState(self.split_seed).permutation(total).astype(np.int64)
        return order[num_val:], order[:num_val]

    def facts(self) -> dict[str, Any]:
        """What only the data can tell, as plain lists, numbers and texts; known after `setup("fit")`."""
        self._need_fit()
        return self._facts._asdict()

    @property
    def num_train(self) -> int:
        """Number of training images, those for validation left out; known after `setup("fit")`."""
        self._need_fit()
        return len(self._train_rows)

    @property
    def num_val(self) -> int:
        """Number of validation images; known after `setup("fit")`."""
        self._need_fit()
        return len(self._val_rows)

    @property
    def num_test(self) -> int:
        """Number of test images; known after `setup("test")`."""
        return len(self._need_test())

    def mean_image(self) -> Tensor:
        """The mean `[C, H, W]` of the training images in [-1, 1]; of a sample where they are streamed."""
        return self._need_fit().mean(self._train_rows)

    def train_dataloader(self) -> Loader:
        """Shuffled batches; in one fixed order under Lightning's `overfit_batches`.

        Raises:
            UserError: the images do not fill one batch.
        """
        source, ranks = self._need_fit(), self._world()[1]
        if self.drop_last and self.batch_size * ranks > len(self._train_rows):
            raise UserError(
                f"data.batch_size {self.batch_size} on {ranks} process{'es' * (ranks > 1)} needs"
                f" {self.batch_size * ranks} training images, there are {len(self._train_rows)}; give"
                f" data.batch_size={max(1, len(self._train_rows) // ranks)} or data.drop_last=false"
            )
        overfit = getattr(self.trainer, "overfit_batches", 0) > 0
        seed = None if overfit else self.seed
        return source.loader(self._order(self._train_rows, seed=seed, drop_last=self.drop_last))

    def val_dataloader(self) -> Loader:
        """The validation images, always in the same order."""
        return self._need_fit().loader(self._order(self._val_rows))

    def test_dataloader(self) -> Loader:
        """The test images, always in the same order."""
        source = self._need_test()
        return source.loader(self._order(np.arange(len(source), dtype=np.int64)))

    def _order(self, rows: Rows, *, seed: int | None = None, drop_last: bool = False) -> BatchOrder:
        rank, world_size = self._world()
        return BatchOrder(
            rows, batch_size=self.batch_size, seed=seed, drop_last=drop_last, rank=rank, world_size=world_size
        )

    def _world(self) -> tuple[int, int]:
        """This process's rank and the number of processes."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _need_fit(self) -> Source:
        if self._fit is None:
            raise UserError('no training images are read yet; call prepare_data() and setup("fit") first')
        return self._fit

    def _need_test(self) -> Source:
        if self._test is None:
            raise UserError('no test images are read yet; call setup("test") first')
        return self._test

    def transfer_batch_to_device(
        self, batch: ImageBatch, device: torch.device, dataloader_idx: int
    ) -> ImageBatch:
        """Moves both tensors; Lightning's own searches the batch for them, a hundredth of a millisecond a step."""
        unasked = device.type == "cuda"  # elsewhere a copy that is not waited for may be read too early
        return ImageBatch(
            batch.image.to(device, non_blocking=unasked), batch.label.to(device, non_blocking=unasked)
        )

    def on_after_batch_transfer(self, batch: ImageBatch, dataloader_idx: int = 0) -> ImageBatch:
        """Makes uint8 images float in [-1, 1] on the device they are on; in training, augments them."""
        image = to_signed(batch.image)
        if self.trainer is not None:
            if self.augment is not None and self.trainer.training:
                image = self.augment(image)
            image = self.trainer.precision_plugin.convert_input(image)
        return ImageBatch(image, batch.label)
