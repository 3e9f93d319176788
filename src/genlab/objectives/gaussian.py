"""Real values, each normal around the decoder's output.

Letters in shapes: P parameters per value, C channels, H height, W width; `...` is any number of leading
dimensions.
"""

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.objectives.gaussians import log_normal
from genlab.objectives.likelihood import LEVELS_PER_UNIT, Likelihood, bits_of

Learned = Literal["none", "scalar", "pixel"]


class Gaussian(Likelihood):
    """Each value is normal; the decoder gives its mean as it is, in units of [-1, 1].

    A density has no upper limit where the pixels take 256 values and sigma may shrink onto them: so a
    learned sigma has a floor and sees pixels with uniform noise one gray level wide (Theis 2016,
    sec. 3.1), which also makes bits per dimension an honest bound.
    """

    log_scale: Tensor

    def __init__(
        self,
        scale: float = 0.1,
        learned: Learned = "none",
        *,
        log_scale_floor: float = -5.0,
        dequantize: bool = True,
    ):
        """Sets where sigma comes from.

        Args:
            scale: sigma, or where it starts if it is learned; above 0; a gray level is 1/127.5 wide.
            learned: `none` keeps sigma fixed, `scalar` learns one for all values, `pixel` has the decoder
                give one for each value of each image.
            log_scale_floor: what the logarithm of a learned sigma stays above.
            dequantize: adds uniform noise one gray level wide to the target.

        Raises:
            ValueError: if learned is none of these, if scale is not above 0, if a learned scale starts at or
                below its floor, or if it is to be learned without dequantising.
        """
        super().__init__()
        if learned not in get_args(Learned):
            raise ValueError(f"learned must be one of {', '.join(get_args(Learned))}; got {learned!r}")
        if scale <= 0:
            raise ValueError(f"scale must be above 0, got {scale}")
        if learned != "none" and not dequantize:
            raise ValueError(
                f"a learned scale needs dequantize=true, got learned={learned!r} with dequantize=false: "
                "the density of undequantised pixels has no upper limit"
            )
        if learned != "none" and math.log(scale) <= log_scale_floor:
            raise ValueError(
                f"scale must be above exp(log_scale_floor) = {math.exp(log_scale_floor):.4g}, got {scale}"
            )
        self.params_per_value = 2 if learned == "pixel" else 1
        self.unit = f"nats, density of {'dequantised ' if dequantize else ''}pixels in [-1, 1]"
        self.scale = scale
        self.learned = learned
        self.log_scale_floor = log_scale_floor
        self.dequantize = dequantize
        if learned == "scalar":
            self.raw_scale = nn.Parameter(torch.tensor(self._initial_raw_scale()))
        self.register_buffer("log_scale", torch.tensor(math.log(scale)), persistent=False)

    def target(self, image: Tensor) -> Tensor:
        if not self.dequantize:
            return image
        return image + torch.empty_like(image).uniform_(-0.5, 0.5) / LEVELS_PER_UNIT

    def as_image(self, target: Tensor) -> Tensor:
        return target

    def log_prob(self, params: Tensor, target: Tensor) -> Tensor:
        log_var = 2 * self._log_scale(params)
        return log_normal(target, params.select(-4, 0), log_var).flatten(-3).sum(-1)

    def mean(self, params: Tensor) -> Tensor:
        return params.select(-4, 0).clamp(-1, 1)

    def sample(self, params: Tensor) -> Tensor:
        mean = params.select(-4, 0)
        return (mean + self._log_scale(params).exp() * torch.randn_like(mean)).clamp(-1, 1)

    def initial_params(self, mean: Tensor) -> Tensor:
        """The mean image itself, and where P = 2 the `scale` to start from: `[C, H, W]` to `[P, C, H, W]`."""
        if self.learned != "pixel":
            return mean.unsqueeze(0)
        return torch.stack([mean, torch.full_like(mean, self._initial_raw_scale())])

    def bits_per_dim(self, nats: Tensor, num_values: int) -> Tensor | None:
        if not self.dequantize:
            return None
        return bits_of(nats, num_values) + math.log2(LEVELS_PER_UNIT)

    def _log_scale(self, params: Tensor) -> Tensor:
        """The logarithm of sigma: a scalar, or `[..., C, H, W]` where each value has its own."""
        if self.learned == "none":
            return self.log_scale
        raw = self.raw_scale if self.learned == "scalar" else params.select(-4, 1)
        # a smooth floor: below a hard one the gradient vanishes and sigma would never come back
        return self.log_scale_floor + F.softplus(raw - self.log_scale_floor)

    def _initial_raw_scale(self) -> float:
        """The number that `_log_scale` maps to log(scale): the inverse of the softplus."""
        return self.log_scale_floor + math.log(math.expm1(math.log(self.scale) - self.log_scale_floor))
