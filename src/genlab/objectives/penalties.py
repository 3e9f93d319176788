"""Penalties and constraints on a discriminator, here called the critic.

Letters in shapes: B samples judged. A sample has any shape: images `[B, C, H, W]` and points `[B, D]` alike;
its norm runs over all of its values. Gradient penalties take a critic that judges each sample alone: with
batch norm in it, the gradient of one sample's logit would reach the others.
"""

from collections.abc import Callable, Iterable
from math import cos, pi

import torch
from torch import Tensor, nn

Critic = Callable[[Tensor], Tensor]
"""Maps samples `[B, ...]` to logits `[B]`, differentiable twice."""


class Penalty(nn.Module):
    """Interface: what the discriminator minimises beside its loss, or what is done to it after its step.

    Attributes:
        weight: by which it is multiplied, at the start of the training.
        interval: updates of the critic from one call to the next, at least 1. Where it is above 1 (lazy
            regularization, Karras 2020, appendix B) the penalty is multiplied by it, so that its mean over
            the updates stays.
        per_sample: whether it takes the critic's slope at each sample alone, which batch norm in the critic blurs.
        clips: whether it clips the critic's parameters.
        final_weight: what the weight falls or rises to over the training; None: it stays.
        progress: how much of the training is done, 0 to 1; whoever trains sets it.
    """

    weight: float = 0.0
    interval: int = 1
    per_sample: bool = False
    clips: bool = False
    final_weight: float | None = None
    progress: float = 0.0

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

    def weight_now(self) -> float:
        """The weight at this point of the training, on half a cosine from `weight` to `final_weight`."""
        if self.final_weight is None:
            return self.weight
        return self.final_weight + (self.weight - self.final_weight) * (1 + cos(pi * self.progress)) / 2

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

    per_sample = True

    def __init__(self, weight: float = 10.0, interval: int = 1):
        """Sets how much and how often.

        Args:
            weight: w, at least 0; 10 for images, 0.1 for points in the plane (Gulrajani 2017).
            interval: updates of the critic from one penalty to the next, at least 1.

        Raises:
            ValueError: if a number is out of range.
        """
        super().__init__()
        self.weight, self.interval = checked(weight, interval)

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

    per_sample = True

    def __init__(self, weight: float = 10.0, interval: int = 1, *, final_weight: float | None = None):
        """Sets how much and how often.

        Args:
            weight: g, at least 0; 10 in the paper.
            interval: updates of the critic from one penalty to the next, at least 1; 16 in StyleGAN2.
            final_weight: g at the end of the training, reached along half a cosine; None: g stays.

        Raises:
            ValueError: if a number is out of range.
        """
        super().__init__()
        self.weight, self.interval = checked(weight, interval)
        self.final_weight = None if final_weight is None else checked(final_weight)[0]

    def forward(
        self, critic: Critic, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> Tensor:
        return self.weight_now() / 2 * self.interval * _squared_slope(critic, real)


class R2(Penalty):
    """g/2 E |grad D(x)|^2 on fakes (Mescheder 2018, eq. 10)."""

    per_sample = True

    def __init__(self, weight: float = 10.0, interval: int = 1, *, final_weight: float | None = None):
        """Sets how much and how often.

        Args:
            weight: g, at least 0; 10 in the paper.
            interval: updates of the critic from one penalty to the next, at least 1.
            final_weight: g at the end of the training, reached along half a cosine; None: g stays.

        Raises:
            ValueError: if a number is out of range.
        """
        super().__init__()
        self.weight, self.interval = checked(weight, interval)
        self.final_weight = None if final_weight is None else checked(final_weight)[0]

    def forward(
        self, critic: Critic, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> Tensor:
        return self.weight_now() / 2 * self.interval * _squared_slope(critic, fake)


class R1R2(Penalty):
    """R1 + R2 of one weight, as R3GAN wants them beside a relativistic loss (Huang 2024, arXiv:2501.05441)."""

    per_sample = True

    def __init__(self, weight: float = 0.05, interval: int = 1, *, final_weight: float | None = None):
        """Sets how much and how often.

        Args:
            weight: g of both, at least 0; 0.05 falling to 0.005 for small images in R3GAN.
            interval: updates of the critic from one penalty to the next, at least 1.
            final_weight: g at the end of the training, reached along half a cosine; None: g stays.

        Raises:
            ValueError: if a number is out of range.
        """
        super().__init__()
        self.weight, self.interval = checked(weight, interval)
        self.final_weight = None if final_weight is None else checked(final_weight)[0]

    def forward(
        self, critic: Critic, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> Tensor:
        both = _squared_slope(critic, real) + _squared_slope(critic, fake)
        return self.weight_now() / 2 * self.interval * both


class Dragan(Penalty):
    """w E (|grad D(x)| - 1)^2 around the real samples (Kodali 2017, DRAGAN).

    x = real + scale std(real) u, u ~ U[0, 1] for each value; the standard deviation is one number, over all
    values of the batch of a process.
    """

    per_sample = True

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
        self.weight, self.interval = checked(weight, interval)
        self.scale = scale

    def forward(
        self, critic: Critic, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> Tensor:
        near = real + self.scale * real.std(correction=0) * torch.rand_like(real)
        return self.weight * self.interval * _slope_off_one(critic, near)


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


def checked(weight: float, interval: int = 1) -> tuple[float, int]:
    """The two numbers as they are.

    Raises:
        ValueError: if one is out of range.
    """
    if weight < 0:
        raise ValueError(f"weight must be at least 0, got {weight}")
    if interval < 1:
        raise ValueError(f"interval must be at least 1, got {interval}")
    return weight, interval
