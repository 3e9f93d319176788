"""Residual convolutional networks with pre-activation (He 2016b).

Letters in shapes: B batch, C channels, H height, W width, L latent dimensions, P parameters per value,
E label channels.
"""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from genlab.contracts import Decoder, Encoder
from genlab.errors import UserError
from genlab.layers.norms import NormName, norm2d
from genlab.layers.residual import growing_stages, halving_stages
from genlab.layers.sizes import Size, doublings
from genlab.networks.stages import stage_sizes


class ResNetEncoder(Encoder):
    """A convolution, residual stages that each halve the image, then one linear layer."""

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int,
        blocks: int = 1,
        *,
        norm: NormName = "group",
        out_features: int,
        extra_channels: int = 0,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W; H and W at least 6.
            width: channels at full size; they double with each halving, up to 8 times.
            blocks: residual blocks a stage, at least 1; the first one halves.
            norm: before each activation.
            out_features: numbers given for each image.
            extra_channels: E.

        Raises:
            UserError: if the image is too small to be halved, or blocks is below 1.
            ValueError: if width or norm is not allowed.
        """
        super().__init__()
        sizes, channels = _stages(image_shape, width, blocks)
        layers: list[nn.Module] = [nn.Conv2d(image_shape[0] + extra_channels, channels[0], 3, padding=1)]
        layers += halving_stages(channels, blocks, norm)
        head = nn.Linear(channels[-1] * math.prod(sizes[-1]), out_features)
        self.layers = nn.Sequential(*layers, norm2d(norm, channels[-1]), nn.SiLU(), nn.Flatten(), head)

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image)


class ResNetDecoder(Decoder):
    """One linear layer, residual stages that each grow the image to the encoder's exact sizes.

    The last convolution has no bias: each value's bias is the family's.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int,
        blocks: int = 1,
        *,
        norm: NormName = "group",
        latent_dim: int,
        params_per_value: int,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W; H and W at least 6.
            width: channels at full size; twice as many at each smaller one, up to 8 times.
            blocks: residual blocks a stage, at least 1; the first one grows.
            norm: before each activation.
            latent_dim: L.
            params_per_value: P.

        Raises:
            UserError: if the image is too small to be halved, or blocks is below 1.
            ValueError: if width or norm is not allowed.
        """
        super().__init__()
        sizes, channels = _stages(image_shape, width, blocks)
        stem = nn.Linear(latent_dim, channels[-1] * math.prod(sizes[-1]))
        layers: list[nn.Module] = [stem, nn.Unflatten(1, (channels[-1], *sizes[-1]))]
        layers += growing_stages(channels, sizes, blocks, norm)
        output = nn.Conv2d(channels[0], params_per_value * image_shape[0], 3, padding=1, bias=False)
        self.layers = nn.Sequential(*layers, norm2d(norm, channels[0]), nn.SiLU(), output)
        self.shape = (params_per_value, *image_shape)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).unflatten(1, self.shape[:2])  # [B, P, C, H, W]


def _stages(image_shape: Sequence[int], width: int, blocks: int) -> tuple[list[Size], list[int]]:
    """Sizes from the image down, and the channels of each."""
    sizes = stage_sizes("resnet", image_shape)
    if blocks < 1:
        raise UserError(f"blocks must be at least 1, got {blocks}")
    return sizes, doublings(width, len(sizes))
