"""Images read as sequences: each row of pixels is a step (Pixel RNNs and VRNNs have been tried on MNIST so).

Letters in shapes: N images, B batch, T rows of an image, D pixels of a row.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.utils.data import Dataset

from genlab.data.images import ImageData
from genlab.data.series import SeriesData, Windows, apart, as_batch
from genlab.errors import UserError
from genlab.sequence_contracts import SequenceBatch

Binarize = Literal["sample", "threshold", "none"]


class RowData(SeriesData):
    """Gray images from top to bottom, with their labels; black is 0, white is 1.

    The images are held as uint8 and become black and white on the device. Validation and test images are
    binarized like training ones.
    """

    rows_of_images = True

    def __init__(
        self,
        *,
        train: Callable[..., Dataset],
        test: Callable[..., Dataset],
        root: str,
        path: str | None = None,
        download: bool = True,
        image_size: int | None = None,
        binarize: Binarize = "sample",
        sequence_length: int | None = None,
        num_features: int | None = None,
        columns: list[str] | None = None,
        num_classes: int | None = None,
        class_names: list[str] | None = None,
        batch_size: int = 128,
        drop_last: bool = True,
        val_size: int | float = 0.1,
        split_seed: int = 0,
        seed: int = 0,
    ) -> None:
        """Reads nothing yet.

        Args:
            train: gives the training images, as for `ImageData`.
            test: gives the test images, likewise.
            root: folder in which downloaded datasets are kept.
            path: a folder of the user's own, given to `train` and `test` in place of `root`.
            download: fetch what is not there.
            image_size: height and width in pixels; None leaves them.
            binarize: `sample` draws each pixel anew in each batch with its gray as the probability, `threshold`
                cuts at one half, `none` leaves gray values between 0 and 1.
            sequence_length: T, held against the images; None takes what there is, as do the next two.
            num_features: D.
            columns: None: pixels are numbered.
            num_classes: number of labels; None: as many as there are.
            class_names: a name for each; None: the data's own, or numbers.
            batch_size: B, on each process.
            drop_last: leave out training images that do not fill a batch, others each epoch.
            val_size: training images held back for validation, their number or a part between 0 and 1.
            split_seed: of that split; not the run's seed, so that all runs are judged on the same images.
            seed: of the order of training images.

        Raises:
            UserError: a number out of its range.
        """
        super().__init__(
            sequence_length=sequence_length,
            num_features=num_features,
            columns=columns,
            num_classes=num_classes,
            batch_size=batch_size,
            drop_last=drop_last,
            seed=seed,
        )
        if binarize not in get_args(Binarize):
            raise UserError(f"data.binarize must be one of {', '.join(get_args(Binarize))}, got {binarize}")
        self.binarize = binarize
        self.images = ImageData(
            train=train,
            test=test,
            root=root,
            path=path,
            download=download,
            channels=1,
            image_size=image_size,
            num_classes=num_classes,
            class_names=class_names,
            drop_last=False,
            val_size=val_size,
            split_seed=split_seed,
        )

    def prepare_data(self) -> None:
        """Downloads what is missing.

        Raises:
            UserError: the files are missing and cannot be downloaded, or are damaged.
        """
        self.images.prepare_data()

    def read(self, split: str) -> Windows:
        self.images.setup("test" if split == "test" else "fit")
        batches = list(getattr(self.images, f"{split}_dataloader")())
        image = torch.cat([batch.image for batch in batches]).squeeze(1)  # [N, T, D]
        if self.sequence_length not in (None, image.shape[1]):
            raise UserError(
                f"data.sequence_length says {self.sequence_length} but the images have {image.shape[1]} rows; give"
                f" data.sequence_length={image.shape[1]}, or null to take what there is"
            )
        self.sequence_length = image.shape[1]
        return apart(image, torch.cat([batch.label for batch in batches]))

    def names(self) -> list[str]:
        return self.columns or [f"pixel_{k + 1}" for k in range(self.num_features or 0)]

    def facts(self) -> dict[str, Any]:
        """Those of a series, and the classes."""
        labels = self.images.facts()
        return {**super().facts(), "num_classes": labels["num_classes"], "class_names": labels["class_names"]}

    def on_after_batch_transfer(self, batch: SequenceBatch, dataloader_idx: int = 0) -> SequenceBatch:
        """Makes uint8 rows black and white, inputs and targets alike; draws from the device's global stream."""
        target = self._binarized(batch.target / 255)
        if self.trainer is not None:
            target = self.trainer.precision_plugin.convert_input(target)
        return as_batch(target, batch.label)

    def _binarized(self, gray: Tensor) -> Tensor:
        if self.binarize == "none":
            return gray
        if self.binarize == "threshold":
            return (gray > 0.5).to(gray.dtype)
        return torch.rand_like(gray).lt_(gray)
