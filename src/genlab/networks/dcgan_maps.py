"""Strided convolutions, as DCGAN's, between an image and a map of features (Radford 2016; van den Oord 2017).

Letters in shapes: B batch, C channels, H height, W width, P parameters per value, V features of a place,
h and w the sides of the map.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from genlab.code_contracts import MapDecoder, MapEncoder
from genlab.layers.norms import NormName, norm2d
from genlab.layers.sizes import doublings
from genlab.layers.strided import doubling_conv, halving_conv, init_weights
from genlab.networks.stages import map_sizes


class DCGANMapEncoder(MapEncoder):
    """4x4 convolutions of stride 2, each halving the image, then a 3x3 convolution to the features."""

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int,
        norm: NormName = "group",
        *,
        out_channels: int,
        downsampling: int,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W; any H and W that are not below `downsampling`.
            width: channels after the first halving; they double with each further one, up to 8 times.
            norm: after each halving.
            out_channels: V.
            downsampling: how many times smaller the map is: 2, 4, 8 ...

        Raises:
            UserError: if `downsampling` is no power of two, or larger than the image.
            ValueError: if width or norm is not allowed.
        """
        super().__init__()
        sizes = map_sizes(image_shape, downsampling)
        self.grid = sizes[-1]
        layers: list[nn.Module] = []
        for before, after in pairwise([image_shape[0], *doublings(width, len(sizes) - 1)]):
            layers += [halving_conv(before, after, bias=norm == "none"), norm2d(norm, after)]
            layers.append(nn.LeakyReLU(0.2))
        head = nn.Conv2d(after, out_channels, 3, padding=1)
        self.layers = nn.Sequential(*layers, head).apply(init_weights)

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image)


class DCGANMapDecoder(MapDecoder):
    """A 3x3 convolution, then 4x4 transposed convolutions of stride 2, each doubling the map.

    The last one has neither norm nor activation nor bias: each value's bias is the family's.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int,
        norm: NormName = "group",
        *,
        in_channels: int,
        downsampling: int,
        params_per_value: int,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W; any H and W that are not below `downsampling`.
            width: channels before the last doubling; twice as many before each earlier one, up to 8 times.
            norm: after each layer but the last.
            in_channels: V.
            downsampling: how many times smaller the map is: 2, 4, 8 ...
            params_per_value: P.

        Raises:
            UserError: if `downsampling` is no power of two, or larger than the image.
            ValueError: if width or norm is not allowed.
        """
        super().__init__()
        sizes = map_sizes(image_shape, downsampling)
        channels = doublings(width, len(sizes) - 1)
        bias = norm == "none"
        layers: list[nn.Module] = [nn.Conv2d(in_channels, channels[-1], 3, padding=1, bias=bias)]
        layers += [norm2d(norm, channels[-1]), nn.ReLU()]
        for before, after, size in zip(channels[:0:-1], channels[-2::-1], sizes[-2:0:-1], strict=True):
            layers += [doubling_conv(before, after, size, bias=bias), norm2d(norm, after), nn.ReLU()]
        output = doubling_conv(width, params_per_value * image_shape[0], sizes[0], bias=False)
        self.layers = nn.Sequential(*layers, output).apply(init_weights)
        self.shape = (params_per_value, *image_shape)

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features).unflatten(1, self.shape[:2])  # [B, P, C, H, W]
