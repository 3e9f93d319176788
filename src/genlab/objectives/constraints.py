"""What holds a discriminator, here called the critic, without looking at its slope.

Letters in shapes: B samples judged.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from genlab.objectives.penalties import Critic, Penalty, checked


class LeCam(Penalty):
    """w [E relu(a - m_fake)^2 + E relu(m_real - b)^2], for small data (Tseng 2021, arXiv:2104.03310).

    a and b are the logits on real and fake, m_real and m_fake moving averages of their means; the relu is
    that of the authors' code. Each call moves the averages before it reads them, and the first one starts
    them at its own means. They are part of the state, and of the batch of one process.
    """

    real_mean: Tensor
    fake_mean: Tensor
    updates: Tensor

    def __init__(self, weight: float = 0.3, decay: float = 0.99):
        """Sets how much, and how long the averages remember.

        Args:
            weight: w, at least 0.
            decay: what remains of an average with each update of the critic; at least 0, below 1.

        Raises:
            ValueError: if a number is out of range.
        """
        super().__init__()
        self.weight, self.interval = checked(weight)
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be at least 0 and below 1, got {decay}")
        self.decay = decay
        self.register_buffer("real_mean", torch.zeros(()))
        self.register_buffer("fake_mean", torch.zeros(()))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(
        self, critic: Critic, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> Tensor:
        self._move(real_logits, fake_logits)
        above_fake = relu(real_logits - self.fake_mean).square().mean()
        below_real = relu(self.real_mean - fake_logits).square().mean()
        return self.weight * (above_fake + below_real)

    @torch.no_grad()
    def _move(self, real_logits: Tensor, fake_logits: Tensor) -> None:
        # a tensor all the way: to ask whether this is the first update would make a GPU wait
        kept = self.decay * (self.updates > 0)
        self.real_mean.copy_(kept * self.real_mean + (1 - kept) * real_logits.mean())
        self.fake_mean.copy_(kept * self.fake_mean + (1 - kept) * fake_logits.mean())
        self.updates.add_(1)


class WeightClip(Penalty):
    """Holds each parameter of the critic in [-limit, limit] (Arjovsky 2017, algorithm 1); the penalty is zero."""

    clips = True

    def __init__(self, limit: float = 0.01):
        """Sets the limit.

        Args:
            limit: above 0.

        Raises:
            ValueError: if limit is not above 0.
        """
        super().__init__()
        if limit <= 0:
            raise ValueError(f"limit must be above 0, got {limit}")
        self.limit = limit

    def forward(
        self, critic: Critic, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> Tensor:
        return real_logits.new_zeros(())

    @torch.no_grad()
    def after_step(self, parameters: Iterable[nn.Parameter]) -> None:
        for parameter in parameters:
            parameter.clamp_(-self.limit, self.limit)
