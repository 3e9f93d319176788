"""Residual convolutions with pre-activation (He 2016b) between an image and a map of features.

Letters in shapes: B batch, C channels, H height, W width, P parameters per value, V features of a place,
h and w the sides of the map.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from genlab.code_contracts import MapDecoder, MapEncoder
from genlab.errors import UserError
from genlab.layers.norms import NormName, norm2d
from genlab.layers.residual import growing_stages, halving_stages
from genlab.layers.sizes import Size, doublings
from genlab.networks.stages import map_sizes


class ResNetMapEncoder(MapEncoder):
    """A convolution, residual stages that each halve the image, then a 1x1 convolution to the features."""

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int,
        blocks: int = 1,
        *,
        norm: NormName = "group",
        out_channels: int,
        downsampling: int,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W; any H and W that are not below `downsampling`.
            width: channels at full size; they double with each halving, up to 8 times.
            blocks: residual blocks a stage, at least 1; the first one halves.
            norm: before each activation.
            out_channels: V.
            downsampling: how many times smaller the map is: 2, 4, 8 ...

        Raises:
            UserError: if `downsampling` is no power of two, or larger than the image, or blocks is below 1.
            ValueError: if width or norm is not allowed.
        """
        super().__init__()
        sizes, channels = _stages(image_shape, downsampling, width, blocks)
        self.grid = sizes[-1]
        layers: list[nn.Module] = [nn.Conv2d(image_shape[0], channels[0], 3, padding=1)]
        layers += halving_stages(channels, blocks, norm)
        head = nn.Conv2d(channels[-1], out_channels, 1)
        self.layers = nn.Sequential(*layers, norm2d(norm, channels[-1]), nn.SiLU(), head)

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image)


class ResNetMapDecoder(MapDecoder):
    """A convolution, then residual stages that each grow the map to the encoder's exact sizes.

    The last convolution has no bias: each value's bias is the family's.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int,
        blocks: int = 1,
        *,
        norm: NormName = "group",
        in_channels: int,
        downsampling: int,
        params_per_value: int,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W; any H and W that are not below `downsampling`.
            width: channels at full size; twice as many at each smaller one, up to 8 times.
            blocks: residual blocks a stage, at least 1; the first one grows.
            norm: before each activation.
            in_channels: V.
            downsampling: how many times smaller the map is: 2, 4, 8 ...
            params_per_value: P.

        Raises:
            UserError: if `downsampling` is no power of two, or larger than the image, or blocks is below 1.
            ValueError: if width or norm is not allowed.
        """
        super().__init__()
        sizes, channels = _stages(image_shape, downsampling, width, blocks)
        layers: list[nn.Module] = [nn.Conv2d(in_channels, channels[-1], 3, padding=1)]
        layers += growing_stages(channels, sizes, blocks, norm)
        output = nn.Conv2d(channels[0], params_per_value * image_shape[0], 3, padding=1, bias=False)
        self.layers = nn.Sequential(*layers, norm2d(norm, channels[0]), nn.SiLU(), output)
        self.shape = (params_per_value, *image_shape)

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features).unflatten(1, self.shape[:2])  # [B, P, C, H, W]


def _stages(
    image_shape: Sequence[int], downsampling: int, width: int, blocks: int
) -> tuple[list[Size], list[int]]:
    """Sizes from the image down to the map, and the channels of each."""
    if blocks < 1:
        raise UserError(f"blocks must be at least 1, got {blocks}")
    sizes = map_sizes(image_shape, downsampling)
    return sizes, doublings(width, len(sizes))
