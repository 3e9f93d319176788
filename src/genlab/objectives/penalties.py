"""Penalties and constraints on a discriminator, here called the critic.

Letters in shapes: B samples judged. A sample has any shape: images `[B, C, H, W]` and points `[B, D]` alike;
its norm runs over all of its values. Gradient penalties take a critic that judges each sample alone: with
batch norm in it, the gradient of one sample's logit would reach the others.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

Critic = Callable[[Tensor], Tensor]
"""Maps samples `[B, ...]` to logits `[B]`, differentiable twice."""


class Penalty(nn.Module):
    """Interface: what the discriminator minimises beside its loss, or what is done to it after its step.

    Attributes:
        interval: updates of the critic from one call to the next, at least 1. Where it is above 1 (lazy
            regularization, Karras 2020, appendix B) the penalty is multiplied by it, so that its mean over
            the updates stays.
    """

    interval: int = 1

    def __init__(self) -> None:
        super().__init__()  # nn.Module's own signature takes anything: a typo in a config would pass

    def forward(
        self, critic: Critic, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> Tensor:
        """The penalty, weighted, and multiplied by `interval`.

        Args:
            critic: the discriminator as a function of samples; called where gradients are penalised.
            real: `[B, ...]` real samples.
            fake: `[B, ...]` fakes; no gradient reaches their generator.
            real_logits: `[B]`, what the critic said of `real`, in the graph.
            fake_logits: `[B]`, what it said of `fake`, in the graph.

        Returns:
            A scalar.
        """
        raise NotImplementedError

    def after_step(self, parameters: Iterable[nn.Parameter]) -> None:
        """Is called with the critic's parameters after each update of them; changes them in place."""


class NoPenalty(Penalty):
    """Zero."""

    def forward(
        self, critic: Critic, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> Tensor:
        return real_logits.new_zeros(())


class GradientPenalty(Penalty):
    """w E (|grad D(x)| - 1)^2 at x = e real + (1 - e) fake, e ~ U[0, 1] per sample (Gulrajani 2017, eq. 3)."""

    def __init__(self, weight: float = 10.0, interval: int = 1):
        """Sets how much and how often.

        Args:
            weight: w, at least 0; 10 for images, 0.1 for points in the plane (Gulrajani 2017).
            interval: updates of the critic from one penalty to the next, at least 1.

        Raises:
            ValueError: if a number is out of range.
        """
        super().__init__()
        self.weight, self.interval = _checked(weight, interval)

    def forward(
        self, critic: Critic, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> Tensor:
        """As the interface says; of batches unlike in size the longer one's rest is left out."""
        pairs = min(len(real), len(fake))
        real, fake = real[:pairs], fake[:pairs]
        share = torch.rand(pairs, *[1] * (real.ndim - 1), dtype=real.dtype, device=real.device)
        return self.weight * self.interval * _slope_off_one(critic, share * real + (1 - share) * fake)


class R1(Penalty):
    """g/2 E |grad D(x)|^2 on real samples (Mescheder 2018, eq. 9)."""

    def __init__(self, weight: float = 10.0, interval: int = 1):
        """Sets how much and how often.

        Args:
            weight: g, at least 0; 10 in the paper.
            interval: updates of the critic from one penalty to the next, at least 1; 16 in StyleGAN2.

        Raises:
            ValueError: if a number is out of range.
        """
        super().__init__()
        self.weight, self.interval = _checked(weight, interval)

    def forward(
        self, critic: Critic, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> Tensor:
        return self.weight / 2 * self.interval * _squared_slope(critic, real)


class R2(Penalty):
    """g/2 E |grad D(x)|^2 on fakes (Mescheder 2018, eq. 10)."""

    def __init__(self, weight: float = 10.0, interval: int = 1):
        """Sets how much and how often.

        Args:
            weight: g, at least 0; 10 in the paper.
            interval: updates of the critic from one penalty to the next, at least 1.

        Raises:
            ValueError: if a number is out of range.
        """
        super().__init__()
        self.weight, self.interval = _checked(weight, interval)

    def forward(
        self, critic: Critic, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> Tensor:
        return self.weight / 2 * self.interval * _squared_slope(critic, fake)


class R1R2(Penalty):
    """R1 + R2 of one weight, as R3GAN wants them beside a relativistic loss (Huang 2024, arXiv:2501.05441)."""

    def __init__(self, weight: float = 0.05, interval: int = 1):
        """Sets how much and how often.

        Args:
            weight: g of both, at least 0; 0.05 falling to 0.005 for small images in R3GAN.
            interval: updates of the critic from one penalty to the next, at least 1.

        Raises:
            ValueError: if a number is out of range.
        """
        super().__init__()
        self.weight, self.interval = _checked(weight, interval)

    def forward(
        self, critic: Critic, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> Tensor:
        both = _squared_slope(critic, real) + _squared_slope(critic, fake)
        return self.weight / 2 * self.interval * both


class Dragan(Penalty):
    """w E (|grad D(x)| - 1)^2 around the real samples (Kodali 2017, DRAGAN).

    x = real + scale std(real) u, u ~ U[0, 1] for each value; the standard deviation is one number, over all
    values of the batch of a process.
    """

    def __init__(self, weight: float = 10.0, scale: float = 0.5, *, interval: int = 1):
        """Sets how much, how far from the data, and how often.

        Args:
            weight: w, at least 0.
            scale: the largest shift of a value in standard deviations, at least 0.
            interval: updates of the critic from one penalty to the next, at least 1.

        Raises:
            ValueError: if a number is out of range.
        """
        super().__init__()
        if scale < 0:
            raise ValueError(f"scale must be at least 0, got {scale}")
        self.weight, self.interval = _checked(weight, interval)
        self.scale = scale

    def forward(
        self, critic: Critic, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> Tensor:
        near = real + self.scale * real.std(correction=0) * torch.rand_like(real)
        return self.weight * self.interval * _slope_off_one(critic, near)


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
        self.weight, self.interval = _checked(weight, 1)
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


def _gradients(critic: Critic, samples: Tensor) -> Tensor:
    """The gradient of each sample's logit with respect to the sample, flat: `[B, ...]` to `[B, values]`."""
    samples = samples.detach().requires_grad_()
    (gradients,) = torch.autograd.grad(critic(samples).sum(), samples, create_graph=True)
    return gradients.flatten(1)


def _squared_slope(critic: Critic, samples: Tensor) -> Tensor:
    """E |grad D(x)|^2."""
    return _gradients(critic, samples).square().sum(1).mean()


def _slope_off_one(critic: Critic, samples: Tensor) -> Tensor:
    """E (|grad D(x)| - 1)^2."""
    return (torch.linalg.vector_norm(_gradients(critic, samples), dim=1) - 1).square().mean()


def _checked(weight: float, interval: int) -> tuple[float, int]:
    if weight < 0:
        raise ValueError(f"weight must be at least 0, got {weight}")
    if interval < 1:
        raise ValueError(f"interval must be at least 1, got {interval}")
    return weight, interval
