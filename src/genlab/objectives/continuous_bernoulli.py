"""Gray values as they are: the distribution on [0, 1] that the cross-entropy of gray values belongs to.

Letters in shapes: C channels, H height, W width; `...` is any number of leading dimensions.
"""

import torch
from torch import Tensor

from genlab.objectives.bisection import solve
from genlab.objectives.likelihood import Likelihood


class ContinuousBernoulli(Likelihood):
    """Each gray value x in [0, 1] has density exp(l x) l / (exp(l) - 1) (Loaiza-Ganem & Cunningham 2019).

    What `Bernoulli` with `binarize="none"` lacks is the normaliser l / tanh(l / 2), their eq. 6 in logits. As
    a density of pixels that are not dequantised it has no upper limit where they are all black or white.
    """

    params_per_value = 1
    unit = "nats, density of gray values in [0, 1]"

    def __init__(self) -> None:
        super().__init__()

    def target(self, image: Tensor) -> Tensor:
        return (image + 1) / 2

    def as_image(self, target: Tensor) -> Tensor:
        return target.mul(2).sub_(1)

    def log_prob(self, params: Tensor, target: Tensor) -> Tensor:
        logit = params.squeeze(-4)
        # with x centred: exp(l (x - 1/2)) / (sinh(l / 2) / (l / 2)), the same at x and l as at 1 - x and -l
        return (logit * (target - 0.5) - _log_sinhc(logit / 2)).flatten(-3).sum(-1)

    def mean(self, params: Tensor) -> Tensor:
        return langevin(params.squeeze(-4) / 2)

    def sample(self, params: Tensor) -> Tensor:
        """By the inverse of the distribution function, log(1 + u (exp(l) - 1)) / l."""
        logit = params.squeeze(-4)
        size = logit.abs()
        safe = size.clamp(min=1e-3)
        uniform = torch.rand_like(logit)
        # of the positive logit, as 1 + log(u + (1 - u) exp(-l)) / l; the other is its mirror image
        gray = 1 + torch.log(uniform + (1 - uniform) * torch.exp(-safe)) / safe
        gray = torch.where(size < 1e-3, uniform, gray).clamp(0, 1)
        return torch.where(logit < 0, 1 - gray, gray) * 2 - 1

    def initial_params(self, mean: Tensor) -> Tensor:
        """The logit whose mean is this, clipped to [.001, .999] of the gray scale: `[C, H, W]` to `[1, C, H, W]`.

        The best constant prediction: the mean is all that the density has to know of the data.
        """
        return solve(langevin, mean.clamp(-0.998, 0.998), low=-1e3, high=1e3).mul(2).unsqueeze(0)

    def bits_per_dim(self, nats: Tensor, num_values: int) -> Tensor | None:
        return None


def langevin(u: Tensor) -> Tensor:
    """coth(u) - 1/u, the mean in [-1, 1] at logit 2 u; u/3 - u^3/45 near 0, where both terms are large."""
    small = u.abs() < 0.02
    safe = torch.where(small, torch.ones_like(u), u)
    return torch.where(small, u / 3 - u**3 / 45, 1 / torch.tanh(safe) - 1 / safe)


def _log_sinhc(u: Tensor) -> Tensor:
    """log(sinh(u) / u); u^2/6 - u^4/180 near 0, and no overflow far from it."""
    small = u.abs() < 0.1
    size = torch.where(small, torch.ones_like(u), u).abs()
    far = size + torch.log(-torch.expm1(-2 * size) / (2 * size))
    return torch.where(small, u.square() / 6 - u**4 / 180, far)
