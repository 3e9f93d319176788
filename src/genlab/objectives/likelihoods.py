"""Likelihoods: what the numbers that leave a decoder say about an image.

Letters in shapes: B batch, P parameters per value, C channels, H height, W width.
Images enter and leave in [-1, 1]; what lies between is the likelihood's own affair.
"""

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.objectives.gaussians import log_normal

Binarize = Literal["sample", "threshold", "none"]
Learned = Literal["none", "scalar", "pixel"]

LEVELS_PER_UNIT = 127.5
"""255 steps between the 256 gray levels of 8 bits, over the length 2 of [-1, 1]."""


class Likelihood(nn.Module):
    """Interface: p(x|z), a distribution of images whose parameters a decoder gives.

    Attributes:
        params_per_value: P, the numbers the decoder gives for each value of the image.
        unit: what the nats are of; nats of unlike units are not compared.
    """

    params_per_value: int
    unit: str

    def target(self, image: Tensor) -> Tensor:
        """What is modelled of an image: `[B, C, H, W]` in [-1, 1] to `[B, C, H, W]`.

        Draws from the global random stream where the likelihood binarizes or dequantises.
        """
        raise NotImplementedError

    def as_image(self, target: Tensor) -> Tensor:
        """The target on the scale of images, as an encoder sees it: `[B, C, H, W]` to the same.

        In [-1, 1], with dequantisation half a gray level beyond.
        """
        raise NotImplementedError

    def log_prob(self, params: Tensor, target: Tensor) -> Tensor:
        """The log probability of the target in nats, summed over all values of an image.

        Args:
            params: `[B, P, C, H, W]`, unbounded.
            target: `[B, C, H, W]`, made by `target`.

        Returns:
            `[B]`.
        """
        raise NotImplementedError

    def mean(self, params: Tensor) -> Tensor:
        """The expected image: `[B, P, C, H, W]` to `[B, C, H, W]` in [-1, 1]."""
        raise NotImplementedError

    def sample(self, params: Tensor) -> Tensor:
        """An image drawn from the distribution: `[B, P, C, H, W]` to `[B, C, H, W]` in [-1, 1]."""
        raise NotImplementedError

    def initial_params(self, mean: Tensor) -> Tensor:
        """The constant prediction to start from: mean image `[C, H, W]` in [-1, 1] to `[P, C, H, W]`."""
        raise NotImplementedError

    def bits_per_dim(self, nats: Tensor, num_values: int) -> Tensor | None:
        """Bits for each value of an 8-bit image, None where the nats are of something else.

        Args:
            nats: any shape, negative log likelihoods (or bounds on them), per image.
            num_values: C * H * W.

        Returns:
            The shape of `nats`.
        """
        raise NotImplementedError


class Bernoulli(Likelihood):
    """Each value is 1 with probability sigmoid(logit), else 0 (Kingma & Welling 2014, appendix C.1)."""

    params_per_value = 1
    _units = {
        "sample": "nats, binarized anew each batch",
        "threshold": "nats, binarized at one half",
        "none": "nats, gray values as probabilities",
    }

    def __init__(self, binarize: Binarize = "sample"):
        """Sets how gray becomes black and white.

        Args:
            binarize: `sample` draws each value anew with its gray as the probability (the protocol of
                the IWAE paper), `threshold` cuts at one half, `none` takes the gray values themselves as
                targets of the cross-entropy, which is then not the likelihood of an image.

        Raises:
            ValueError: if binarize is none of these.
        """
        super().__init__()
        if binarize not in get_args(Binarize):
            raise ValueError(f"binarize must be one of {', '.join(get_args(Binarize))}; got {binarize!r}")
        self.binarize = binarize
        self.unit = self._units[binarize]

    def target(self, image: Tensor) -> Tensor:
        if self.binarize == "none":
            return (image + 1) / 2
        if self.binarize == "threshold":
            return (image > 0).to(image.dtype)
        return torch.empty_like(image).uniform_(-1, 1).lt_(image)  # in place: half the time of bernoulli

    def as_image(self, target: Tensor) -> Tensor:
        return target.mul(2).sub_(1)

    def log_prob(self, params: Tensor, target: Tensor) -> Tensor:
        nats = F.binary_cross_entropy_with_logits(params.squeeze(1), target, reduction="none")
        return -nats.flatten(1).sum(1)

    def mean(self, params: Tensor) -> Tensor:
        return torch.tanh(params.squeeze(1) / 2)  # = 2 sigmoid(logit) - 1

    def sample(self, params: Tensor) -> Tensor:
        return 2 * torch.bernoulli(params.squeeze(1).sigmoid()) - 1

    def initial_params(self, mean: Tensor) -> Tensor:
        """Log-odds of the mean clipped to [.001, .999]: `[C, H, W]` to `[1, C, H, W]`.

        The best constant prediction under `sample` and `none`, close to it under `threshold`.
        """
        return ((mean + 1) / 2).clamp(0.001, 0.999).logit().unsqueeze(0)

    def bits_per_dim(self, nats: Tensor, num_values: int) -> Tensor | None:
        return None


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
        return log_normal(target, params[:, 0], log_var).flatten(1).sum(1)

    def mean(self, params: Tensor) -> Tensor:
        return params[:, 0].clamp(-1, 1)

    def sample(self, params: Tensor) -> Tensor:
        mean = params[:, 0]
        return (mean + self._log_scale(params).exp() * torch.randn_like(mean)).clamp(-1, 1)

    def initial_params(self, mean: Tensor) -> Tensor:
        """The mean image itself, and where P = 2 the `scale` to start from: `[C, H, W]` to `[P, C, H, W]`."""
        if self.learned != "pixel":
            return mean.unsqueeze(0)
        return torch.stack([mean, torch.full_like(mean, self._initial_raw_scale())])

    def bits_per_dim(self, nats: Tensor, num_values: int) -> Tensor | None:
        if not self.dequantize:
            return None
        return nats / (num_values * math.log(2)) + math.log2(LEVELS_PER_UNIT)

    def _log_scale(self, params: Tensor) -> Tensor:
        """The logarithm of sigma: a scalar, or `[B, C, H, W]` where each value has its own."""
        if self.learned == "none":
            return self.log_scale
        raw = self.raw_scale if self.learned == "scalar" else params[:, 1]
        # a smooth floor: below a hard one the gradient vanishes and sigma would never come back
        return self.log_scale_floor + F.softplus(raw - self.log_scale_floor)

    def _initial_raw_scale(self) -> float:
        """The number that `_log_scale` maps to log(scale): the inverse of the softplus."""
        return self.log_scale_floor + math.log(math.expm1(math.log(self.scale) - self.log_scale_floor))
