"""Adversarial losses: what a discriminator and a generator minimise, from the logits of real and fake.

Letters in shapes: B samples judged. In formulas a is a logit on a real sample, b one on a fake,
sp(x) = log(1 + exp(x)) the softplus. Values are means over the batch; those of softplus are nats.
"""

from torch import Tensor, nn
from torch.nn.functional import relu, softplus


class AdversarialLoss(nn.Module):
    """Interface: two terms, one for each network.

    Attributes:
        needs_real: whether the generator's term wants the logits on real samples, too.
        needs_bound: whether the discriminator's term has no lower limit unless its slope is bounded.
    """

    needs_real: bool = False
    needs_bound: bool = False

    def __init__(self) -> None:
        super().__init__()  # nn.Module's own signature takes anything: a typo in a config would pass

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the discriminator minimises.

        Args:
            real: `[B]`, unbounded logits on real samples.
            fake: `[B]`, those on fakes; of another length than `real` where samples are not compared.

        Returns:
            A scalar.
        """
        raise NotImplementedError

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """What the generator minimises.

        Args:
            fake: `[B]`, unbounded logits on fakes.
            real: `[B]`, those on real samples; read where `needs_real`.

        Returns:
            A scalar.
        """
        raise NotImplementedError


class Minimax(AdversarialLoss):
    """D: E sp(-a) + E sp(b); G: -E sp(b) (Goodfellow 2014, eq. 1).

    The generator's gradient vanishes where the discriminator is sure of a fake.
    """

    def __init__(self, smoothing: float = 0.0):
        """Sets the discriminator's target on real samples, 1 - smoothing.

        Args:
            smoothing: one-sided label smoothing (Salimans 2016, sec. 3.4); at least 0, below 0.5.

        Raises:
            ValueError: if smoothing is out of range.
        """
        super().__init__()
        self.smoothing = _checked(smoothing)

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return _cross_entropy(real, fake, self.smoothing)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -softplus(fake).mean()


class NonSaturating(AdversarialLoss):
    """D: E sp(-a) + E sp(b); G: E sp(-b) (Goodfellow 2014, sec. 3)."""

    def __init__(self, smoothing: float = 0.0):
        """Sets the discriminator's target on real samples, 1 - smoothing.

        Args:
            smoothing: one-sided label smoothing (Salimans 2016, sec. 3.4); at least 0, below 0.5.

        Raises:
            ValueError: if smoothing is out of range.
        """
        super().__init__()
        self.smoothing = _checked(smoothing)

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return _cross_entropy(real, fake, self.smoothing)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return softplus(-fake).mean()


class LeastSquares(AdversarialLoss):
    """D: 1/2 E (a - 1)^2 + 1/2 E b^2; G: 1/2 E (b - 1)^2 (Mao 2017, eq. 9)."""

    def __init__(self, smoothing: float = 0.0):
        """Sets the discriminator's target on real samples, 1 - smoothing; the generator's stays 1.

        Args:
            smoothing: one-sided label smoothing; at least 0, below 0.5.

        Raises:
            ValueError: if smoothing is out of range.
        """
        super().__init__()
        self.smoothing = _checked(smoothing)

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * (real - (1 - self.smoothing)).square().mean() + 0.5 * fake.square().mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return 0.5 * (fake - 1).square().mean()


class Wasserstein(AdversarialLoss):
    """D: E b - E a; G: -E b (Arjovsky 2017, eq. 2 and algorithm 1).

    Without a bound on the critic's slope its term has no lower limit: take a gradient penalty, weight
    clipping or spectral norm beside it.
    """

    needs_bound = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake.mean()


class Hinge(AdversarialLoss):
    """D: E relu(1 - a) + E relu(1 + b); G: -E b (Lim & Ye 2017; Miyato 2018, eq. 16 and 17)."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake.mean()


class Relativistic(AdversarialLoss):
    """D: E sp(-(a - b)); G: E sp(-(b - a)), real sample i paired with fake i.

    RpGAN (Jolicoeur-Martineau 2018, arXiv:1807.00734; Huang 2024, R3GAN, arXiv:2501.05441).
    """

    needs_real = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """As the interface says; raises ValueError where the sizes differ."""
        real = _pairable(real, fake)
        return softplus(fake - real).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """As the interface says; raises ValueError without real logits, or where the sizes differ."""
        real = _pairable(real, fake)
        return softplus(real - fake).mean()


class RelativisticAverage(AdversarialLoss):
    """Each sample against the mean of the other kind (RaSGAN, Jolicoeur-Martineau 2018, arXiv:1807.00734).

    D: 1/2 [E sp(-(a - E b)) + E sp(b - E a)]; G: 1/2 [E sp(-(b - E a)) + E sp(a - E b)].
    The means are over the batch of a process.
    """

    needs_real = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """As the interface says; raises ValueError where the sizes differ."""
        real = _pairable(real, fake)
        return 0.5 * (softplus(fake.mean() - real).mean() + softplus(fake - real.mean()).mean())

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """As the interface says; raises ValueError without real logits, or where the sizes differ."""
        real = _pairable(real, fake)
        return 0.5 * (softplus(real.mean() - fake).mean() + softplus(real - fake.mean()).mean())


def _cross_entropy(real: Tensor, fake: Tensor, smoothing: float) -> Tensor:
    """E sp(-a) + s E a + E sp(b): with t = 1 - s and sp(a) = sp(-a) + a, t sp(-a) + s sp(a) = sp(-a) + s a."""
    loss = softplus(-real).mean() + softplus(fake).mean()
    return loss + smoothing * real.mean() if smoothing else loss


def _checked(smoothing: float) -> float:
    if not 0 <= smoothing < 0.5:
        raise ValueError(f"smoothing must be at least 0 and below 0.5, got {smoothing}")
    return smoothing


def _pairable(real: Tensor | None, fake: Tensor) -> Tensor:
    """The real logits, of which a relativistic loss wants as many as there are fake ones."""
    if real is None:
        raise ValueError("a relativistic loss needs the logits on real samples, too; got none")
    if real.shape != fake.shape:
        raise ValueError(
            "a relativistic loss needs as many real as fake logits, "
            f"got {list(real.shape)} and {list(fake.shape)}"
        )
    return real
