"""The interface of likelihoods: what the numbers that leave a decoder say about an image.

Letters in shapes: P parameters per value, C channels, H height, W width; `...` is any number of leading
dimensions: a batch `[B]`, or K draws for each image of one `[K, B]`.
Images enter and leave in [-1, 1]; what lies between is the likelihood's own affair.
"""

import math

from torch import Tensor, nn

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
        """What is modelled of an image: `[..., C, H, W]` in [-1, 1] to `[..., C, H, W]`.

        Draws from the global random stream where the likelihood binarizes or dequantises.
        """
        raise NotImplementedError

    def as_image(self, target: Tensor) -> Tensor:
        """The target on the scale of images, as an encoder sees it: `[..., C, H, W]` to the same.

        In [-1, 1], with dequantisation half a gray level beyond.
        """
        raise NotImplementedError

    def log_prob(self, params: Tensor, target: Tensor) -> Tensor:
        """The log probability of the target in nats, summed over all values of an image.

        Args:
            params: `[..., P, C, H, W]`, unbounded.
            target: `[..., C, H, W]`, made by `target`; one without the first of the leading dimensions is
                held against all that the parameters have there, and is not copied for that.

        Returns:
            `[...]`.
        """
        raise NotImplementedError

    def mean(self, params: Tensor) -> Tensor:
        """The expected image: `[..., P, C, H, W]` to `[..., C, H, W]` in [-1, 1]."""
        raise NotImplementedError

    def sample(self, params: Tensor) -> Tensor:
        """An image drawn from the distribution: `[..., P, C, H, W]` to `[..., C, H, W]` in [-1, 1]."""
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


def bits_of(nats: Tensor, num_values: int) -> Tensor:
    """Nats of an image as bits for each of its values."""
    return nats / (num_values * math.log(2))
