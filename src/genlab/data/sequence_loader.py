"""What all loaders of sequences share: an order of batches, and a place in it.

Letters in shapes: B batch, T steps of a window.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from genlab.data.order import BatchOrder, Rows
from genlab.sequence_contracts import SequenceBatch


class SequenceLoader:
    """Batches of sequences that are held in memory, each a slice or one gather; resumes exactly where it was."""

    def __init__(self, order: BatchOrder) -> None:
        """Takes the order: which rows come when."""
        self.order = order

    @property
    def batch_sampler(self) -> BatchOrder:
        """Where Lightning looks for `set_epoch`; what it finds as `sampler` it may replace."""
        return self.order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[SequenceBatch]:
        """Starts at the first `next`: Lightning calls `iter` before it says which epoch it is."""
        for rows in self.order:
            self.order.done += 1
            yield self.read(rows)

    def read(self, rows: Rows) -> SequenceBatch:
        """The batch of rows `[B]`."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, int]:
        return self.order.state_dict()

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.order.load_state_dict(state_dict)


def windowed(
    chunk: Tensor, *, weight: Tensor | None = None, label: Tensor | None = None, begins: bool | Tensor = True
) -> SequenceBatch:
    """A batch out of `[B, T + 1]` tokens: each but the last stands before the one that it is to tell.

    Args:
        chunk: the tokens, of any type of integers.
        weight: `[B, T]`; None: all count.
        label: `[B]`; None: zeros.
        begins: of all rows, or `[B]`.
    """
    rows = len(chunk)
    return SequenceBatch(
        input=chunk[:, :-1],
        target=chunk[:, 1:],
        weight=weight,
        label=torch.zeros(rows, dtype=torch.int64) if label is None else label,
        begins=begins if isinstance(begins, Tensor) else torch.full((rows,), begins),
    )
