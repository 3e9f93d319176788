"""Strided convolutions without pooling, after DCGAN (Radford 2016, sec. 3).

Letters in shapes: B batch, C channels, H height, W width, L latent dimensions, P parameters per value,
E label channels, m samples in a pack, F features, K classes.
The paper's networks are the generator and the discriminator; a decoder and an encoder share their layers and
their initial weights.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from genlab.contracts import Decoder, Discriminator, Encoder, Generator
from genlab.layers.labelled import LabelledSequential
from genlab.layers.norms import NormName, norm2d
from genlab.layers.sizes import Size, doublings
from genlab.layers.strided import doubling_conv, halving_conv, init_weights
from genlab.networks.stages import stage_sizes


class DCGANEncoder(Encoder):
    """4x4 convolutions of stride 2, each halving the image, then one linear layer."""

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int,
        norm: NormName = "batch",
        *,
        out_features: int,
        extra_channels: int = 0,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W; H and W at least 6.
            width: channels after the first halving; they double with each further one, up to 8 times.
            norm: after each convolution but the first.
            out_features: numbers given for each image.
            extra_channels: E.

        Raises:
            UserError: if the image is too small to be halved.
            ValueError: if width or norm is not allowed.
        """
        super().__init__()
        layers, features = _halving(image_shape, width, norm, in_channels=image_shape[0] + extra_channels)
        head = nn.Linear(features, out_features)
        self.layers = nn.Sequential(*layers, nn.Flatten(), head).apply(init_weights)

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image)


class DCGANDecoder(Decoder):
    """One linear layer, then 4x4 transposed convolutions of stride 2, each doubling the image.

    The last one has neither norm nor activation nor bias: each value's bias is the family's.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int,
        norm: NormName = "batch",
        *,
        latent_dim: int,
        params_per_value: int,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W; H and W at least 6.
            width: channels before the last doubling of the image; twice as many before each earlier one,
                up to 8 times.
            norm: after each layer but the last.
            latent_dim: L.
            params_per_value: P.

        Raises:
            UserError: if the image is too small to be halved.
            ValueError: if width or norm is not allowed.
        """
        super().__init__()
        layers = _doubling(image_shape, width, norm, latent_dim=latent_dim)
        output = doubling_conv(width, params_per_value * image_shape[0], image_shape[1:], bias=False)
        self.layers = nn.Sequential(*layers, output).apply(init_weights)
        self.shape = (params_per_value, *image_shape)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).unflatten(1, self.shape[:2])  # [B, P, C, H, W]


class DCGANGenerator(Generator):
    """One linear layer, then 4x4 transposed convolutions of stride 2, each doubling the image; tanh."""

    conditional_norm = True

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int,
        norm: NormName = "batch",
        *,
        latent_dim: int,
        num_classes: int | None = None,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W; H and W at least 6.
            width: channels before the last doubling of the image; twice as many before each earlier one,
                up to 8 times.
            norm: after each layer but the last.
            latent_dim: L.
            num_classes: K, where the norms have a scale and a shift for each class.

        Raises:
            UserError: if the image is too small to be halved.
            ValueError: if width or norm is not allowed.
        """
        super().__init__()
        layers = _doubling(image_shape, width, norm, latent_dim=latent_dim, num_classes=num_classes)
        output = doubling_conv(width, image_shape[0], image_shape[1:], bias=True)
        self.layers = LabelledSequential(*layers, output, nn.Tanh()).apply(init_weights)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layers(z, label)


class DCGANDiscriminator(Discriminator):
    """4x4 convolutions of stride 2, each halving the image."""

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int,
        norm: NormName = "batch",
        *,
        extra_channels: int = 0,
        pack: int = 1,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W; H and W at least 6.
            width: channels after the first halving; they double with each further one, up to 8 times.
            norm: after each convolution but the first.
            extra_channels: E.
            pack: m.

        Raises:
            UserError: if the image is too small to be halved.
            ValueError: if width or norm is not allowed.
        """
        super().__init__()
        in_channels = pack * (image_shape[0] + extra_channels)
        layers, self.num_features = _halving(image_shape, width, norm, in_channels=in_channels)
        self.layers = nn.Sequential(*layers, nn.Flatten()).apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def _halving(
    image_shape: Sequence[int], width: int, norm: NormName, *, in_channels: int
) -> tuple[list[nn.Module], int]:
    """The layers from an image down to the smallest size, and how many features they give."""
    sizes, channels = _stages(image_shape, width)
    layers = [halving_conv(in_channels, channels[0], bias=True), nn.LeakyReLU(0.2)]
    for before, after in pairwise(channels):
        layers += [halving_conv(before, after, bias=norm == "none"), norm2d(norm, after), nn.LeakyReLU(0.2)]
    return layers, channels[-1] * math.prod(sizes[-1])


def _doubling(
    image_shape: Sequence[int],
    width: int,
    norm: NormName,
    *,
    latent_dim: int,
    num_classes: int | None = None,
) -> list[nn.Module]:
    """The layers from a latent up to `width` channels of half the image's size."""
    sizes, channels = _stages(image_shape, width)
    stem = nn.Linear(latent_dim, channels[-1] * math.prod(sizes[-1]), bias=norm == "none")
    layers: list[nn.Module] = [stem, nn.Unflatten(1, (channels[-1], *sizes[-1]))]
    layers += [norm2d(norm, channels[-1], num_classes), nn.ReLU()]
    for before, after, size in zip(channels[:0:-1], channels[-2::-1], sizes[-2:0:-1], strict=True):
        layers.append(doubling_conv(before, after, size, bias=norm == "none"))
        layers += [norm2d(norm, after, num_classes), nn.ReLU()]
    return layers


def _stages(image_shape: Sequence[int], width: int) -> tuple[list[Size], list[int]]:
    """Sizes from the image down, and the channels of each but the image."""
    sizes = stage_sizes("dcgan", image_shape)
    return sizes, doublings(width, len(sizes) - 1)
