"""What is carried from one batch of sequences to the next: a network's state, and sums for the epoch's numbers.

Letters in shapes: B batch, T steps.
"""

import math
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch import Tensor, distributed
from torch.nn.functional import pad

from genlab.sequence_contracts import SequenceBatch, State


class CarriedStates:
    """The state after the last window of each row, for each split: truncated backpropagation through time.

    It is detached, so gradients end where a window begins. Rows that begin anew forget theirs.
    """

    def __init__(self) -> None:
        self._states: dict[str, State] = {}

    def before(self, split: str, begins: Tensor) -> State | None:
        """What is known before windows of which `begins` `[B]` tells the first of a sequence."""
        state = self._states.get(split)
        if state is None:
            return None
        if state[0].shape[1] != len(begins):
            assert bool(begins.all()), "rows that go on must be as many as before"
            return None
        # a state that is not finite, left by a step that was taken back, would outlive it
        return tuple(
            _where_begun(part.to(begins.device), begins).nan_to_num(0.0)
            if part.is_floating_point()
            else _where_begun(part.to(begins.device), begins)
            for part in state
        )

    def after(self, split: str, state: State) -> None:
        self._states[split] = tuple(part.detach() for part in state)

    def forget(self, split: str) -> None:
        self._states.pop(split, None)

    def saved(self, trainer: Trainer) -> list[list[Tensor] | None]:
        """Where training stands on each rank, for a checkpoint; every rank has to call it."""
        state = self._states.get("train")
        own = None if state is None else [part.cpu() for part in state]
        if trainer.world_size == 1:
            return [own]
        all_of_them: list[Any] = [None] * trainer.world_size
        distributed.all_gather_object(all_of_them, own)
        return all_of_them

    def restore(self, saved: list[list[Tensor] | None] | None, rank: int) -> None:
        """Goes on where `saved` was; a run of more ranks begins anew on those."""
        own = saved[rank] if saved and rank < len(saved) else None
        if own is None:
            self.forget("train")
        else:
            self._states["train"] = tuple(own)


def _where_begun(part: Tensor, begins: Tensor) -> Tensor:
    return part.masked_fill(begins.view(1, -1, *[1] * (part.ndim - 2)), 0)


class TargetMean:
    """The mean over all targets of an epoch, however they fall into batches and ranks."""

    def __init__(self) -> None:
        self._parts: list[Tensor] = []

    def add(self, total: Tensor, count: Tensor) -> None:
        """Adds the sum of a batch and how many targets it is of, numbers on the model's device."""
        self._parts.append(torch.stack([total.detach(), count]))

    def take(self, trainer: Trainer) -> float:
        """The mean, after which it begins anew; every rank has to call it. NaN without a target."""
        sums = torch.stack(self._parts).cpu().double().sum(0) if self._parts else torch.zeros(2).double()
        self._parts = []
        if trainer.world_size > 1:
            sums = trainer.strategy.reduce(sums.to(trainer.strategy.root_device), reduce_op="sum")
        total, count = sums.tolist()
        return total / count if count else math.nan


def up_to_the_end(sequence: Tensor, end_token: int | None) -> Tensor | None:
    """`[B, T]`: 1 up to the first end token of each item `[B, T]`, 0 behind it; None of data that are no items."""
    if end_token is None:
        return None
    ended = (sequence == end_token).cumsum(1)
    return (pad(ended[:, :-1], (1, 0)) == 0).float()


def weighted(nats: Tensor, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
    """The sum of `[B, T]` over the targets that count, and how many these are."""
    if batch.weight is None:
        return nats.sum(), torch.tensor(nats.numel(), device=nats.device, dtype=nats.dtype)
    return (nats * batch.weight).sum(), batch.weight.sum(dtype=nats.dtype)  # half precision counts to 256


def in_all_units(nats: float, characters_per_token: float | None) -> dict[str, float]:
    """The loss in nats per token, as a perplexity, and in bits per character where that is known."""
    values = {"loss": nats, "perplexity": math.exp(min(nats, 700.0))}
    if characters_per_token:
        values["bits_per_character"] = nats / math.log(2) / characters_per_token
    return values
