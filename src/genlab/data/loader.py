"""Two loaders of whole image batches, over a tensor and over files; both resume exactly where they were.

Letters in shapes: N images of the data, B batch, C channels, H height, W width.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from genlab.contracts import ImageBatch
from genlab.data.order import BatchOrder, Rows
from genlab.errors import UserError


class Loader(Protocol):
    """What Lightning and everybody else needs of a loader."""

    order: BatchOrder

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[ImageBatch]: ...
    def state_dict(self) -> dict[str, int]: ...
    def load_state_dict(self, state_dict: dict[str, int]) -> None: ...


class BatchReader(Protocol):
    """A dataset that reads whole batches; a user's mistake is returned, as workers mangle what is raised."""

    def __len__(self) -> int: ...
    def __getitems__(self, rows: Rows) -> ImageBatch | UserError: ...


class TensorLoader:
    """Batches out of images that are held in memory, one gather each: no work per image, no collation."""

    def __init__(self, images: Tensor, labels: Tensor, order: BatchOrder) -> None:
        """Takes the data as it is; nothing is copied.

        Args:
            images: `[N, C, H, W]` uint8.
            labels: `[N]` int64.
            order: which rows come when.
        """
        self.images, self.labels, self.order = images, labels, order

    @property
    def batch_sampler(self) -> BatchOrder:
        """Where Lightning looks for `set_epoch`; what it finds as `sampler` it may replace."""
        return self.order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[ImageBatch]:
        """Starts at the first `next`: Lightning calls `iter` before it says which epoch it is."""
        for rows in self.order:
            index = torch.from_numpy(rows)
            self.order.done += 1
            # index_select takes a fifth of the time of images[index]
            yield ImageBatch(self.images.index_select(0, index), self.labels.index_select(0, index))

    def state_dict(self) -> dict[str, int]:
        return self.order.state_dict()

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.order.load_state_dict(state_dict)


class StreamLoader(DataLoader):
    """Batches of images that do not fit in memory, read by worker processes in the same order."""

    def __init__(self, reader: BatchReader, order: BatchOrder, *, num_workers: int) -> None:
        """Starts no worker yet.

        Args:
            reader: reads the images of given rows.
            order: which rows come when.
            num_workers: processes that read; 0 reads in this one.
        """
        super().__init__(
            reader,  # type: ignore[arg-type]
            batch_sampler=order,  # type: ignore[arg-type]
            num_workers=num_workers,
            collate_fn=_as_it_is,
            persistent_workers=num_workers > 0,
            generator=torch.Generator(),  # or each epoch would draw from the global stream
        )
        self.order = order

    def __iter__(self) -> Iterator[ImageBatch]:  # type: ignore[override]
        """Starts at the first `next`, as `TensorLoader` does.

        Raises:
            UserError: an image cannot be read.
        """
        for batch in super().__iter__():
            if isinstance(batch, UserError):
                self._iterator = None  # or the workers live on in the traceback, and die slowly
                raise batch
            self.order.done += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        return self.order.state_dict()

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.order.load_state_dict(state_dict)


def _as_it_is(batch: Any) -> Any:
    return batch
