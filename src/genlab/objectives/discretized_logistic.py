"""Gray levels of 8 bits, each with the probability that a mixture of logistics has around it.

Letters in shapes: K components, P parameters per value, C channels, H height, W width; `...` is any number
of leading dimensions.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from genlab.objectives.bisection import solve
from genlab.objectives.likelihood import LEVELS_PER_UNIT, Likelihood, bits_of

HALF = 0.5 / LEVELS_PER_UNIT
"""Half the distance of two gray levels."""

SPREAD = 0.5
"""Components start evenly from this much below to this much above the mean image, so that they differ."""


class DiscretizedLogistic(Likelihood):
    """Each of 256 levels has the mass of a mixture of K logistics within half a level around it.

    Salimans et al. 2017 (PixelCNN++, arXiv:1701.05517), eq. 1-2: the lowest level has all that lies below it,
    the highest all above, so that the 256 sum to one. Channels are independent given z.
    """

    unit = "nats, 8-bit gray levels"

    def __init__(self, components: int = 5, scale: float = 0.1, *, log_scale_floor: float = -7.0):
        """Sets the mixture.

        Args:
            components: K, at least 1.
            scale: where the scale of each component starts, on [-1, 1]; above exp(log_scale_floor).
            log_scale_floor: what the logarithm of a scale stays above; -7 is a quarter of half a level.

        Raises:
            ValueError: a number out of its range.
        """
        super().__init__()
        if components < 1:
            raise ValueError(f"components must be at least 1, got {components}")
        if scale <= 0 or math.log(scale) <= log_scale_floor:
            raise ValueError(
                f"scale must be above exp(log_scale_floor) = {math.exp(log_scale_floor):.4g}, got {scale}"
            )
        self.components, self.scale, self.log_scale_floor = components, scale, log_scale_floor
        # one component needs no weight
        self.params_per_value = 3 * components if components > 1 else 2

    def target(self, image: Tensor) -> Tensor:
        """The nearest of the 256 gray levels, still in [-1, 1]."""
        return image.add(1).mul_(LEVELS_PER_UNIT).round_().clamp_(0, 255).div_(LEVELS_PER_UNIT).sub_(1)

    def as_image(self, target: Tensor) -> Tensor:
        return target

    def log_prob(self, params: Tensor, target: Tensor) -> Tensor:
        location, log_scale, log_weight = self._mixture(params)  # [..., K, C, H, W]
        x, steep = target.unsqueeze(-4), torch.exp(-log_scale)
        lowest, highest = x < HALF - 1, x > 1 - HALF
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)): no difference of near numbers
        below = -F.softplus((location - x - HALF) * steep)  # log of the mass below the level's upper edge
        above = -F.softplus((x - location - HALF) * steep)  # log of the mass above its lower edge
        width = _log1mexp(math.log(2 * HALF) - log_scale).masked_fill(lowest | highest, 0)
        log_mass = below.masked_fill(highest, 0) + above.masked_fill(lowest, 0) + width
        return torch.logsumexp(log_mass + log_weight, -4).flatten(-3).sum(-1)

    def mean(self, params: Tensor) -> Tensor:
        """The expected image, to within a fraction of a level: the sum over levels as an integral."""
        location, log_scale, log_weight = self._mixture(params)
        scale = log_scale.exp()
        rise = F.softplus((location + 1) / scale) - F.softplus((location - 1) / scale)
        return (log_weight.exp() * (scale * rise - 1)).sum(-4).clamp(-1, 1)

    def sample(self, params: Tensor) -> Tensor:
        location, log_scale, log_weight = self._mixture(params)
        race = log_weight - torch.empty_like(location).exponential_().log()
        chosen = race.argmax(-4, keepdim=True)
        location, log_scale = (
            location.gather(-4, chosen).squeeze(-4),
            log_scale.gather(-4, chosen).squeeze(-4),
        )
        uniform = torch.rand_like(location).clamp(1e-6, 1 - 1e-6)
        return self.target(location + log_scale.exp() * torch.logit(uniform))

    def initial_params(self, mean: Tensor) -> Tensor:
        """Components side by side whose expected image is the mean: `[C, H, W]` to `[P, C, H, W]`."""
        offset = torch.linspace(-SPREAD, SPREAD, self.components) if self.components > 1 else torch.zeros(1)
        params = torch.zeros(self.params_per_value, *mean.shape, dtype=torch.float64, device=mean.device)
        params[self.components : 2 * self.components] = self._initial_raw_scale()

        def placed(shift: Tensor) -> Tensor:
            params[: self.components] = shift + offset.view(-1, 1, 1, 1).to(params)
            return params

        shift = solve(lambda x: self.mean(placed(x)), mean.clamp(-0.998, 0.998), low=-4, high=4)
        return placed(shift).to(mean.dtype)

    def bits_per_dim(self, nats: Tensor, num_values: int) -> Tensor | None:
        return bits_of(nats, num_values)

    def _mixture(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Locations, logarithms of scales and of weights, each `[..., K, C, H, W]`."""
        location, raw, *weight = params.unflatten(-4, (-1, self.components)).unbind(-5)
        # a smooth floor: below a hard one the gradient vanishes and the scale would never come back
        log_scale = self.log_scale_floor + F.softplus(raw - self.log_scale_floor)
        return location, log_scale, weight[0].log_softmax(-4) if weight else torch.zeros_like(location)

    def _initial_raw_scale(self) -> float:
        return self.log_scale_floor + math.log(math.expm1(math.log(self.scale) - self.log_scale_floor))


def _log1mexp(log_x: Tensor) -> Tensor:
    """log(1 - exp(-x)) of x = exp(log_x), however small."""
    x = log_x.exp()
    small = x < 1e-3
    return torch.where(
        small, log_x - x / 2, torch.log(-torch.expm1(-torch.where(small, torch.ones_like(x), x)))
    )
