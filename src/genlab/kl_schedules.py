"""Schedules of the KL: by what a variational loss multiplies it, step by step.

A step is one step of the optimizer. The weight follows from the step alone, so a resumed run has the same.
"""

import math
from dataclasses import dataclass


class KLSchedule:
    """Interface: the course of the KL's weight over the training.

    Attributes:
        needs_length: of the class: whether it has to know how long the training is.
    """

    needs_length: bool = False

    def weight(self, step: int, *, steps_per_epoch: int, total_steps: int) -> float:
        """The weight, 0 .. 1, at step `step` (from 0)."""
        raise NotImplementedError


class Constant(KLSchedule):
    """The KL as it is."""

    def weight(self, step: int, *, steps_per_epoch: int, total_steps: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Linear(KLSchedule):
    """A straight line from 0 to 1, then 1 (Bowman et al. 2016, arXiv:1511.06349, section 3.1).

    Args:
        epochs: How long it climbs, above 0; a part of an epoch is allowed.

    Raises:
        ValueError: If `epochs` is not above 0.
    """

    epochs: float = 10.0

    def __post_init__(self) -> None:
        if self.epochs <= 0:
            raise ValueError(f"epochs must be above 0, got {self.epochs}")

    def weight(self, step: int, *, steps_per_epoch: int, total_steps: int) -> float:
        return min(1.0, step / (self.epochs * steps_per_epoch))


@dataclass(frozen=True)
class Cyclical(KLSchedule):
    """The line from 0 to 1 again and again: `min(1, t / r)`, t from 0 to 1 in each cycle (Fu et al. 2019, eq. 6).

    "Cyclical annealing schedule", arXiv:1903.10145.

    Args:
        cycles: How many there are in the training, at least 1.
        ramp: r, the part of a cycle in which the weight climbs, above 0, at most 1.

    Raises:
        ValueError: If a number is out of its range.
    """

    cycles: int = 4
    ramp: float = 0.5

    needs_length = True

    def __post_init__(self) -> None:
        if self.cycles < 1:
            raise ValueError(f"cycles must be at least 1, got {self.cycles}")
        if not 0 < self.ramp <= 1:
            raise ValueError(f"ramp must lie above 0 and be at most 1, got {self.ramp}")

    def weight(self, step: int, *, steps_per_epoch: int, total_steps: int) -> float:
        if step >= total_steps:
            return 1.0
        return min(1.0, step * self.cycles % total_steps / (total_steps * self.ramp))


@dataclass(frozen=True)
class Logistic(KLSchedule):
    """`1 / (1 + exp(-k (step - x0)))` (Bowman et al. 2016, arXiv:1511.06349, figure 2).

    Args:
        steepness: k, above 0.
        midpoint: x0, the step at which the weight is one half, at least 0.

    Raises:
        ValueError: If a number is out of its range.
    """

    steepness: float = 0.0025
    midpoint: int = 2500

    def __post_init__(self) -> None:
        if self.steepness <= 0:
            raise ValueError(f"steepness must be above 0, got {self.steepness}")
        if self.midpoint < 0:
            raise ValueError(f"midpoint must be at least 0, got {self.midpoint}")

    def weight(self, step: int, *, steps_per_epoch: int, total_steps: int) -> float:
        return 0.5 * (1 + math.tanh(0.5 * self.steepness * (step - self.midpoint)))  # never overflows
