"""Windows of one long text for training: those that go on from batch to batch, and those that begin anywhere.

Letters in shapes: N tokens of the text, B batch, T steps of a window, S streams, B on each process.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from genlab.data.order import BatchOrder, Rows
from genlab.data.sequence_loader import SequenceLoader, windowed
from genlab.sequence_contracts import SequenceBatch


class ContiguousWindows(SequenceLoader):
    """The text cut into S equally long streams; batch i holds window i of each, so that a state can be carried.

    What does not fill a window of every stream is left out; how much of it before the first stream and how
    much behind the last is drawn from (seed, epoch), so each epoch cuts elsewhere.
    """

    def __init__(
        self,
        tokens: Tensor,
        *,
        batch_size: int,
        length: int,
        seed: int | None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Takes the text as it is; nothing is copied.

        Args:
            tokens: `[N]` of any type of integers, at least S T + 1.
            batch_size: B.
            length: T.
            seed: of the cuts; None cuts every epoch at the beginning.
            rank: this process, which reads streams of its own.
            world_size: how many processes there are.
        """
        self.tokens, self.batch_size, self.length, self.seed = tokens, batch_size, length, seed
        self.first, self.streams = rank * batch_size, batch_size * world_size
        self.count = window_count(len(tokens), self.streams, length)
        super().__init__(BatchOrder(np.arange(self.count, dtype=np.int64), batch_size=1))
        self._torn = False

    def read(self, rows: Rows) -> SequenceBatch:
        """Window `rows[0]` of each of this process's streams: a view of the text."""
        window, span = int(rows[0]), self.count * self.length
        left_over = len(self.tokens) - 1 - self.streams * span
        start = shift(self.seed, self.order.epoch, left_over) + self.first * span + window * self.length
        chunk = self.tokens.as_strided((self.batch_size, self.length + 1), (span, 1), start)
        begins, self._torn = window == 0 or self._torn, False
        return windowed(chunk, begins=begins)

    def state_dict(self) -> dict[str, int]:
        return {**super().state_dict(), "streams": self.streams, "windows": self.count}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Goes on where the state was taken.

        With another number of streams that place is somewhere else in each: as far into the epoch, all begin anew.
        """
        cut = (state_dict["streams"], state_dict["windows"])
        self._torn = cut != (self.streams, self.count)
        done = state_dict["done"] * self.count // state_dict["windows"] if self._torn else state_dict["done"]
        super().load_state_dict({"epoch": state_dict["epoch"], "done": done})


class RandomWindows(SequenceLoader):
    """The text cut into windows that come in any order, each a beginning; each epoch cuts elsewhere.

    What does not fill a batch on every process is left out, other windows each epoch.
    """

    def __init__(
        self,
        tokens: Tensor,
        *,
        batch_size: int,
        length: int,
        seed: int | None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Takes the text as it is; nothing is copied.

        Args:
            tokens: `[N]` of any type of integers, at least B T + 1 on each process.
            batch_size: B.
            length: T.
            seed: of cuts and order; None takes the windows as they stand in the text.
            rank: this process.
            world_size: how many processes there are.
        """
        self.tokens, self.length, self.seed = tokens, length, seed
        count = window_count(len(tokens), 1, length, at_least=batch_size * world_size)
        self.left_over = len(tokens) - 1 - count * length
        self._steps = torch.arange(length + 1)
        order = BatchOrder(
            np.arange(count, dtype=np.int64),
            batch_size=batch_size,
            seed=seed,
            drop_last=True,
            rank=rank,
            world_size=world_size,
        )
        super().__init__(order)

    def read(self, rows: Rows) -> SequenceBatch:
        start = torch.from_numpy(rows) * self.length + shift(self.seed, self.order.epoch, self.left_over)
        return windowed(gathered(self.tokens, start, self._steps))


def window_count(num_tokens: int, streams: int, length: int, *, at_least: int = 1) -> int:
    """How many windows each stream has: so many that the cuts can lie at any of T places, if that leaves enough."""
    return max(at_least, (num_tokens - length) // (streams * length))


@lru_cache(maxsize=8)
def shift(seed: int | None, epoch: int, left_over: int) -> int:
    """Where the first window of an epoch begins: at one of the first `left_over + 1` tokens."""
    return 0 if seed is None else int(np.random.default_rng([seed, epoch, 1]).integers(left_over + 1))


def gathered(tokens: Tensor, start: Tensor, steps: Tensor) -> Tensor:
    """The windows `[B, T + 1]` that begin at `start` `[B]`, by one gather; `steps` are 0 ... T."""
    places = start[:, None] + steps  # [B, T + 1]
    return tokens.index_select(0, places.flatten()).view(places.shape)
