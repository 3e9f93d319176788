"""Where the images of a split come from: memory, if they fit, else a dataset that is read as it goes.

Letters in shapes: N images, n rows of them, C channels, H height, W width.
"""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from genlab.contracts import ImageBatch
from genlab.data.loader import Loader, StreamLoader, TensorLoader
from genlab.data.order import BatchOrder, Rows
from genlab.data.pixels import fit, from_pil, to_signed, with_channels
from genlab.errors import UserError

MEAN_SAMPLE = 1024
"""How many images the mean of a streamed dataset is taken over."""

T = TypeVar("T")
R = TypeVar("R")


class UnreadableImage(UserError):
    """One file of the user's that is no image, or a damaged one."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(file, reason)
        self.file, self.reason = file, reason

    def __str__(self) -> str:
        return f"{self.file} cannot be read as an image ({self.reason}); mend or remove it"


class Source(Protocol):
    """The images of a split, wherever they are."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (C, H, W) of every image."""
        ...

    @property
    def max_label(self) -> int | None:
        """The largest label; None where it is not known before all is read."""
        ...

    def __len__(self) -> int: ...

    def loader(self, order: BatchOrder) -> Loader:
        """A loader of the batches that `order` names."""
        ...

    def mean(self, rows: Rows) -> Tensor:
        """The mean image `[C, H, W]` of `[n]` rows, float in [-1, 1]."""
        ...


class TensorImages:
    """Images in memory."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        """Takes images `[N, C, H, W]` uint8 and labels `[N]` int64 without a copy."""
        self.images, self.labels = images, labels

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.images.shape[1:])

    @property
    def max_label(self) -> int:
        return int(self.labels.max())

    def __len__(self) -> int:
        return len(self.images)

    def loader(self, order: BatchOrder) -> TensorLoader:
        return TensorLoader(self.images, self.labels, order)

    def mean(self, rows: Rows) -> Tensor:
        total = torch.zeros(self.shape, dtype=torch.int64)
        for chunk in torch.from_numpy(rows).split(4096):
            total += self.images.index_select(0, chunk).sum(0, dtype=torch.int64)
        return to_signed(total / len(rows))


class ImageReader(Dataset):
    """Images that are read when they are asked for, from a dataset of (picture, label) pairs."""

    max_label = None

    def __init__(
        self, dataset: Dataset, *, channels: int | None, image_size: int | None, num_workers: int
    ) -> None:
        """Reads the first image to know the shape.

        Args:
            dataset: its pictures are PIL images or uint8 tensors `[C, H, W]`; its labels class numbers.
            channels: 1 or 3; None keeps those of the first image.
            image_size: height and width; None keeps those of the first image.
            num_workers: processes that read for a loader.

        Raises:
            UserError: the first picture or label is of a kind that is not understood.
        """
        self.dataset, self.channels, self.image_size = dataset, channels, image_size
        self.num_workers = num_workers
        self.shape: tuple[int, ...] = ()
        self.shape = tuple(self.read(0)[0].shape)

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def read(self, row: int) -> tuple[Tensor, int]:
        """One image, uint8 `[C, H, W]`, and its label.

        Raises:
            UserError: it cannot be read, is of an unknown kind, or differs in shape from the first.
        """
        try:
            picture, label = self.dataset[row]
            pixels = from_pil(picture) if isinstance(picture, Image.Image) else picture
        except (OSError, ValueError) as error:
            raise UnreadableImage(f"image {row + 1} of {self._name}", str(error)) from error
        image = fit(with_channels(self._checked(pixels), self.channels), self.image_size)
        if self.shape and image.shape != self.shape:
            raise UserError(
                f"the images differ in shape: the first is {list(self.shape)}, number {row + 1} is"
                f" {list(image.shape)}; give data.image_size and data.channels"
            )
        return image, self._class_number(label)

    def _checked(self, pixels: Any) -> Tensor:
        if isinstance(pixels, Tensor) and pixels.dtype == torch.uint8 and pixels.dim() == 3:
            return pixels
        raise UserError(
            f"{self._name} gives a {type(pixels).__name__} as image; PIL images and uint8 tensors [C, H, W]"
            " are understood: give it no transform"
        )

    def _class_number(self, label: Any) -> int:
        if isinstance(label, (int, np.integer)) or (isinstance(label, Tensor) and label.dim() == 0):
            return int(label)
        raise UserError(f"{self._name} gives a {type(label).__name__} as label; a class number is needed")

    @property
    def _name(self) -> str:
        return type(self.dataset).__name__

    def __getitems__(self, rows: Rows) -> ImageBatch | UserError:
        """The batch of `[B]` rows; a mistake of the user's is returned, for the loader to raise."""
        try:
            images, labels = zip(*[self.read(int(row)) for row in rows], strict=True)
        except UserError as error:
            return error
        return ImageBatch(torch.stack(images), torch.tensor(labels))

    def read_all(self) -> TensorImages:
        """All images, read into memory by threads.

        Raises:
            UserError: some cannot be read; the first few are named.
        """
        images = torch.empty(len(self), *self.shape, dtype=torch.uint8)
        labels = torch.empty(len(self), dtype=torch.int64)

        def read_into(row: int) -> UnreadableImage | None:
            try:
                images[row], labels[row] = self.read(row)
            except UnreadableImage as error:
                return error
            return None

        _refuse_unreadable(_in_threads(read_into, range(len(self))))
        return TensorImages(images, labels)

    def loader(self, order: BatchOrder) -> StreamLoader:
        return StreamLoader(self, order, num_workers=self.num_workers)

    def mean(self, rows: Rows) -> Tensor:
        """The mean `[C, H, W]` in [-1, 1] of at most `MEAN_SAMPLE` images, evenly spaced among `rows`."""
        chosen = rows[:: math.ceil(len(rows) / MEAN_SAMPLE)]
        images = torch.stack([image for image, _ in _in_threads(self.read, chosen.tolist())])
        return to_signed(images.sum(0, dtype=torch.int64) / len(images))


def _in_threads(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Applies `work` to all items; the first error, or Ctrl-C, calls the rest off."""
    pool = ThreadPoolExecutor()
    try:
        return list(pool.map(work, items))
    finally:
        pool.shutdown(cancel_futures=True)


def _refuse_unreadable(outcomes: list[UnreadableImage | None]) -> None:
    errors = [error for error in outcomes if error is not None]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        names = ", ".join(error.file for error in errors[:3]) + (", ..." if len(errors) > 3 else "")
        raise UserError(
            f"{len(errors)} of {len(outcomes)} images cannot be read; mend or remove them: {names}"
        )


def whole(dataset: Dataset) -> tuple[Tensor, Tensor] | None:
    """The images `[N, C, H, W]` uint8 and labels `[N]` of a dataset that holds them in one piece, else None.

    torchvision keeps them in `data` and `targets` (or `labels`), channels first, last or left out. A dataset
    with a transform of its own is not bypassed.
    """
    data = getattr(dataset, "data", None)
    targets = getattr(dataset, "targets", getattr(dataset, "labels", None))
    transforms = [getattr(dataset, name, None) for name in ("transform", "target_transform", "transforms")]
    if not isinstance(data, (np.ndarray, Tensor)) or any(transform is not None for transform in transforms):
        return None
    images, labels = torch.as_tensor(data), torch.as_tensor(targets if targets is not None else [])
    if images.dtype != torch.uint8 or images.dim() not in (3, 4) or labels.shape != (len(images),):
        return None
    if images.dim() == 3:
        images = images[:, None]
    elif images.shape[1] not in (1, 3):
        images = images.permute(0, 3, 1, 2)
    return images.contiguous(), labels.long()


def open_source(
    dataset: Dataset, *, channels: int | None, image_size: int | None, memory_budget: float, num_workers: int
) -> TensorImages | ImageReader:
    """Takes a dataset into memory, in one piece or image by image, where it fits; else reads it as it goes.

    Args:
        dataset: of (picture, label) pairs.
        channels: 1 gray, 3 colour; None as they are.
        image_size: height and width; None as they are.
        memory_budget: in MB of uint8 pixels.
        num_workers: processes that read where it does not fit.

    Raises:
        UserError: images cannot be read, or have no common shape.
    """
    reader = ImageReader(dataset, channels=channels, image_size=image_size, num_workers=num_workers)
    if len(reader) * math.prod(reader.shape) > memory_budget * 2**20:
        return reader
    held = whole(dataset)
    if held is None:
        return reader.read_all()
    return TensorImages(fit(with_channels(held[0], channels), image_size), held[1])
