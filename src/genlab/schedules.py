"""Learning-rate schedules: by what the optimizer's learning rate is multiplied, step by step.

A step is one step of the optimizer. `Plateau` is of another kind: it follows `val/loss`, not the step.
"""

import math
from dataclasses import dataclass


class Schedule:
    """Interface: the course of the learning rate over the whole training, as a fraction of its peak."""

    def multiplier(self, step: int, total_steps: int) -> float:
        """The fraction of the learning rate with which step `step` (from 0) of `total_steps` is made."""
        raise NotImplementedError


class Constant(Schedule):
    """The learning rate as it is given."""

    def multiplier(self, step: int, total_steps: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Cosine(Schedule):
    """A linear warm-up, then half a cosine from 1 down to `final_fraction`.

    `f + (1 - f) (1 + cos(pi p)) / 2`, where p goes from 0 at the end of the warm-up to 1 at the end of
    the training (Loshchilov and Hutter 2017, SGDR, equation 5, without restarts). A warm-up longer than
    the training is no error: the training then ends on the ramp.

    Args:
        warmup_steps: Steps of the ramp; step k of it is made with (k + 1) / (warmup_steps + 1).
        final_fraction: What remains of the learning rate at the end, 0 .. 1.

    Raises:
        ValueError: If `warmup_steps` is negative or `final_fraction` outside 0 .. 1.
    """

    warmup_steps: int = 0
    final_fraction: float = 0.0

    def __post_init__(self) -> None:
        _check(self.warmup_steps, self.final_fraction)

    def multiplier(self, step: int, total_steps: int) -> float:
        if step < self.warmup_steps:
            return _ramp(step, self.warmup_steps)
        remaining = (1 + math.cos(math.pi * _progress(step, total_steps, self.warmup_steps))) / 2
        return self.final_fraction + (1 - self.final_fraction) * remaining


@dataclass(frozen=True)
class Linear(Schedule):
    """A linear warm-up, then a straight line from 1 down to `final_fraction`.

    `1 - (1 - f) p`, with p as in `Cosine`; a warm-up longer than the training ends on the ramp likewise.

    Args:
        warmup_steps: Steps of the ramp; step k of it is made with (k + 1) / (warmup_steps + 1).
        final_fraction: What remains of the learning rate at the end, 0 .. 1.

    Raises:
        ValueError: If `warmup_steps` is negative or `final_fraction` outside 0 .. 1.
    """

    warmup_steps: int = 0
    final_fraction: float = 0.0

    def __post_init__(self) -> None:
        _check(self.warmup_steps, self.final_fraction)

    def multiplier(self, step: int, total_steps: int) -> float:
        if step < self.warmup_steps:
            return _ramp(step, self.warmup_steps)
        return 1 - (1 - self.final_fraction) * _progress(step, total_steps, self.warmup_steps)


@dataclass(frozen=True)
class Plateau:
    """The learning rate shrinks whenever `val/loss` has stopped falling.

    Args:
        factor: What the learning rate is multiplied by, above 0 and below 1.
        patience: Epochs with a validation but without an improvement that are forgiven, at least 0.
        min_delta: An improvement is larger than this, in the unit of `val/loss`, at least 0.
        min_fraction: The learning rate never falls below this fraction of its start, 0 .. 1.

    Raises:
        ValueError: If a number lies outside its range.
    """

    factor: float = 0.5
    patience: int = 5
    min_delta: float = 0.0
    min_fraction: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.factor < 1:
            raise ValueError(f"factor must lie above 0 and below 1, got {self.factor}")
        if self.patience < 0:
            raise ValueError(f"patience must be at least 0, got {self.patience}")
        if self.min_delta < 0:
            raise ValueError(f"min_delta must be at least 0, got {self.min_delta}")
        if not 0 <= self.min_fraction <= 1:
            raise ValueError(f"min_fraction must lie in 0..1, got {self.min_fraction}")


def _check(warmup_steps: int, final_fraction: float) -> None:
    if warmup_steps < 0:
        raise ValueError(f"warmup_steps must be at least 0, got {warmup_steps}")
    if not 0 <= final_fraction <= 1:
        raise ValueError(f"final_fraction must lie in 0..1, got {final_fraction}")


def _ramp(step: int, warmup_steps: int) -> float:
    # neither 0 at the first step, which would be wasted, nor 1 before the decay begins with its own 1
    return (step + 1) / (warmup_steps + 1)


def _progress(step: int, total_steps: int, warmup_steps: int) -> float:
    return min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
