"""Strided convolutions without pooling, after DCGAN (Radford 2016, sec. 3).

Letters in shapes: B batch, C channels, H height, W width, L latent dimensions, P parameters per value.
A discriminator is the encoder with `out_features=1`, a generator the decoder with `params_per_value=1`:
layers, initial weights and the bare output layer are those of the paper.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from genlab.contracts import Decoder, Encoder
from genlab.errors import UserError
from genlab.layers.norms import NormName, norm2d
from genlab.layers.sizes import SMALLEST_SIDE, Size, doublings, halvings


class DCGANEncoder(Encoder):
    """4x4 convolutions of stride 2, each halving the image, then one linear layer."""

    def __init__(
        self, image_shape: Sequence[int], width: int, norm: NormName = "batch", *, out_features: int
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W; H and W at least 6.
            width: channels after the first halving; they double with each further one, up to 8 times.
            norm: after each convolution but the first.
            out_features: numbers given for each image.

        Raises:
            UserError: if the image is too small to be halved.
            ValueError: if width or norm is not allowed.
        """
        super().__init__()
        sizes, channels = _stages(image_shape, width)
        layers = [_down(image_shape[0], channels[0], bias=True), nn.LeakyReLU(0.2)]
        for before, after in pairwise(channels):
            layers += [_down(before, after, bias=norm == "none"), norm2d(norm, after), nn.LeakyReLU(0.2)]
        head = nn.Linear(channels[-1] * math.prod(sizes[-1]), out_features)
        self.layers = nn.Sequential(*layers, nn.Flatten(), head).apply(_init_weights)

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
        sizes, channels = _stages(image_shape, width)
        stem = nn.Linear(latent_dim, channels[-1] * math.prod(sizes[-1]), bias=norm == "none")
        layers = [stem, nn.Unflatten(1, (channels[-1], *sizes[-1])), norm2d(norm, channels[-1]), nn.ReLU()]
        for before, after, size in zip(channels[:0:-1], channels[-2::-1], sizes[-2:0:-1], strict=True):
            layers += [_up(before, after, size, bias=norm == "none"), norm2d(norm, after), nn.ReLU()]
        output = _up(channels[0], params_per_value * image_shape[0], sizes[0], bias=False)
        self.layers = nn.Sequential(*layers, output).apply(_init_weights)
        self.shape = (params_per_value, *image_shape)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).unflatten(1, self.shape[:2])  # [B, P, C, H, W]


def _stages(image_shape: Sequence[int], width: int) -> tuple[list[Size], list[int]]:
    """Sizes from the image down, and the channels of each but the image."""
    sizes = halvings(*image_shape[1:])
    if len(sizes) == 1:
        raise UserError(
            f"dcgan needs images of at least {2 * SMALLEST_SIDE}x{2 * SMALLEST_SIDE}, "
            f"got {image_shape[1]}x{image_shape[2]}: use model/network=mlp"
        )
    return sizes, doublings(width, len(sizes) - 1)


def _down(before: int, after: int, *, bias: bool) -> nn.Module:
    """From a side s to s // 2."""
    return nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1, bias=bias)


def _up(before: int, after: int, size: Size, *, bias: bool) -> nn.Module:
    """From sides s // 2 to exactly s: 2 (s // 2), and one more where s is odd."""
    odd = (size[0] % 2, size[1] % 2)
    return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, output_padding=odd, bias=bias)


def _init_weights(module: nn.Module) -> None:
    """Weights N(0, .02), scales of the norms N(1, .02), biases 0 (Radford 2016, sec. 4)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
