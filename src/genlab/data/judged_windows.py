"""Windows of one long text for judging: every token but the first counts exactly once, and none is judged cold.

Letters in shapes: M tokens of the split, B batch, T steps of a window, R rows, B on each process, J tokens that
a row judges.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlab.data.order import BatchOrder, Rows
from genlab.data.sequence_loader import SequenceLoader, windowed
from genlab.data.windows import gathered
from genlab.sequence_contracts import SequenceBatch


class CarriedWindows(SequenceLoader):
    """The text cut into R rows, and those into windows; batch i holds window i of each row, for a carried state.

    A row begins `warmup` tokens before those that it judges, with weight 0; the first row alone has nothing
    before it and judges from its beginning.
    """

    def __init__(
        self, tokens: Tensor, *, batch_size: int, length: int, warmup: int, rank: int = 0, world_size: int = 1
    ) -> None:
        """Cuts the text.

        Args:
            tokens: `[M]` of any type of integers, at least 2.
            batch_size: B.
            length: T.
            warmup: tokens read before those that are judged.
            rank: this process, which reads rows of its own.
            world_size: how many processes there are.
        """
        rows, targets = batch_size * world_size, len(tokens) - 1
        # the first row judges all that it reads: R (T count) - (R - 1) warmup has to reach the end
        count = -(-(targets + (rows - 1) * warmup) // (rows * length))
        count = max(count, warmup // length + 1)  # each row judges something
        self.batch_size, self.length, self.warmup, self._rows = batch_size, length, warmup, rows
        self.step = count * length - warmup  # J
        self.first = rank * batch_size
        missing = rows * self.step + warmup + 1 - len(tokens)
        self.tokens = torch.cat([tokens, tokens.new_zeros(missing)])
        number = torch.arange(self.first, self.first + batch_size)[:, None]  # [B, 1]
        self._from = torch.where(number == 0, 0, warmup)  # [B, 1]: the first place in a row that is judged
        self._to = targets - number * self.step  # [B, 1]: the first that is behind the text
        super().__init__(BatchOrder(np.arange(count, dtype=np.int64), batch_size=1))

    def stamp(self) -> dict[str, Any]:
        """What the judged number depends on a little: how many rows there are, and what is read before each."""
        return {
            "windows": "carried",
            "sequence_length": self.length,
            "rows": self._rows,
            "warmup": self.warmup,
        }

    def read(self, rows: Rows) -> SequenceBatch:
        window = int(rows[0])
        start = self.first * self.step + window * self.length
        chunk = self.tokens.as_strided((self.batch_size, self.length + 1), (self.step, 1), start)
        place = torch.arange(window * self.length, (window + 1) * self.length)  # [T]
        weight = ((place >= self._from) & (place < self._to)).float()
        return windowed(chunk, weight=weight, begins=window == 0)


class StridedWindows(SequenceLoader):
    """Overlapping windows, each a beginning: the first judges all of its tokens, the others their last ones."""

    def __init__(
        self, tokens: Tensor, *, batch_size: int, length: int, stride: int, rank: int = 0, world_size: int = 1
    ) -> None:
        """Lays the windows.

        Args:
            tokens: `[M]` of any type of integers, at least T + 1.
            batch_size: B.
            length: T.
            stride: tokens from one window to the next, those that each judges; the last one may judge fewer.
            rank: this process.
            world_size: how many processes there are.
        """
        last = len(tokens) - 1 - length
        start = torch.arange(0, last + stride, stride).clamp_(max=last)
        judged_before = torch.cat([start.new_zeros(1), start[:-1] + length])
        skipped = judged_before - start
        idle = -len(start) % world_size  # windows in which nothing counts, for ranks that would have none
        self.tokens, self.length, self.stride = tokens, length, stride
        self._start = torch.cat([start, start.new_zeros(idle)])
        self._skipped = torch.cat([skipped, skipped.new_full((idle,), length)])
        self._steps = torch.arange(length + 1)
        rows = np.arange(len(self._start), dtype=np.int64)
        super().__init__(BatchOrder(rows, batch_size=batch_size, rank=rank, world_size=world_size))

    def stamp(self) -> dict[str, Any]:
        """What the judged number depends on a little: how far each window reaches back."""
        return {"windows": "strided", "sequence_length": self.length, "stride": self.stride}

    def read(self, rows: Rows) -> SequenceBatch:
        index = torch.from_numpy(rows)
        weight = (self._steps[:-1] >= self._skipped[index][:, None]).float()  # [B, T]
        return windowed(gathered(self.tokens, self._start[index], self._steps), weight=weight)
