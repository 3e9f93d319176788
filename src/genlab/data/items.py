"""Short texts, each an item by itself, in one padded tensor; batches hold items of about one length.

Letters in shapes: K items, L tokens of the longest with its end, B batch, T steps: those of the batch's longest.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genlab.data.order import BatchOrder, Rows
from genlab.data.sequence_loader import SequenceLoader, windowed
from genlab.sequence_contracts import SequenceBatch

BUCKET = 50
"""Batches whose items are sorted by length among themselves."""


class Items(NamedTuple):
    """Items of a split.

    Attributes:
        tokens: `[K, L + 1]`, of any type of integers: the end token, the item's own tokens, end tokens.
        length: `[K]` int64: of each item with its end.
        label: `[K]` int64 class indices; zeros where the data has no labels.
    """

    tokens: Tensor
    length: Tensor
    label: Tensor


def pad(texts: Sequence[np.ndarray], labels: Sequence[int], *, end: int, dtype: torch.dtype) -> Items:
    """Puts items into one tensor.

    Args:
        texts: the tokens of each, without an end.
        labels: of each.
        end: the token that stands before and behind each item.
        dtype: one that holds every token.
    """
    own = np.array([len(text) for text in texts], dtype=np.int64)  # [K]
    tokens = torch.full((len(texts), int(own.max()) + 2), end, dtype=dtype)
    filled = np.arange(int(own.max())) < own[:, None]  # [K, L - 1]
    tokens[:, 1:-1][torch.from_numpy(filled)] = torch.from_numpy(np.concatenate(texts).astype(np.int64)).to(
        dtype
    )
    return Items(tokens, torch.from_numpy(own + 1), torch.tensor(labels, dtype=torch.int64))


class LengthOrder(BatchOrder):
    """An order of batches whose items are of about one length: each bucket of batches is sorted by it."""

    def __init__(
        self, length: Rows, *, batch_size: int, seed: int | None, rank: int = 0, world_size: int = 1
    ) -> None:
        """Takes the length `[K]` of each row; the rest as `BatchOrder`."""
        rows = np.arange(len(length), dtype=np.int64)
        super().__init__(rows, batch_size=batch_size, seed=seed, rank=rank, world_size=world_size)
        self.length = length

    def _shuffled(self, stream: np.random.Generator) -> Rows:
        rows = stream.permutation(self.rows)
        size = self.batch_size * self.world_size
        buckets = np.split(rows, range(BUCKET * size, len(rows), BUCKET * size))
        rows = np.concatenate([bucket[np.argsort(self.length[bucket], kind="stable")] for bucket in buckets])
        whole = len(rows) // size * size  # the batch that is not full stays the last
        batches = rows[:whole].reshape(-1, size)
        return np.concatenate([batches[stream.permutation(len(batches))].ravel(), rows[whole:]])


class ItemLoader(SequenceLoader):
    """Batches of whole items, each from its beginning to its end, with weight 0 behind that."""

    def __init__(self, items: Items, order: BatchOrder) -> None:
        """Takes the items as they are; nothing is copied."""
        super().__init__(order)
        self.items = items
        self._steps = torch.arange(items.tokens.shape[1] - 1)

    def read(self, rows: Rows) -> SequenceBatch:
        index = torch.from_numpy(rows)
        length = self.items.length[index]
        longest = max(1, int(length.max()))
        chunk = self.items.tokens.index_select(0, index)[:, : longest + 1]
        weight = (self._steps[:longest] < length[:, None]).float()  # [B, T]
        return windowed(chunk, weight=weight, label=self.items.label[index])


def judged(items: Items, *, batch_size: int, rank: int, world_size: int) -> ItemLoader:
    """All items in the order of their lengths, each exactly once on however many processes."""
    order = torch.argsort(items.length, stable=True).numpy()
    idle = -len(order) % world_size  # items in which nothing counts, for processes that would have none
    if idle:
        items = Items(
            torch.cat([items.tokens, items.tokens[:1].expand(idle, -1)]),
            torch.cat([items.length, items.length.new_zeros(idle)]),
            torch.cat([items.label, items.label.new_zeros(idle)]),
        )
        order = np.concatenate([np.arange(len(order), len(order) + idle), order])
    return ItemLoader(items, BatchOrder(order, batch_size=batch_size, rank=rank, world_size=world_size))
