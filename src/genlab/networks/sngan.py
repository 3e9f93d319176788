"""Residual networks, the discriminator's with spectral norm, after SNGAN (Miyato 2018, arXiv:1802.05957, app. B).

Letters in shapes: B batch, C channels, H height, W width, L latent dimensions, E label channels, m samples
in a pack, F features, K classes. Labels reach the generator's norms as in Miyato & Koyama 2018
(arXiv:1802.05637).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from genlab.contracts import Discriminator, Generator
from genlab.layers.labelled import LabelledSequential, TakesLabel
from genlab.layers.norms import NormName, norm2d
from genlab.layers.resampling import halve
from genlab.layers.sizes import Size, doublings
from genlab.networks.stages import stage_sizes


class SNGANGenerator(Generator):
    """One linear layer, residual blocks that each double the image, a convolution with tanh."""

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
            width: channels at full size; twice as many at each smaller one, up to 8 times.
            norm: before each activation.
            latent_dim: L.
            num_classes: K, where the norms in the blocks have a scale and a shift for each class.

        Raises:
            UserError: if the image is too small to be halved.
            ValueError: if width or norm is not allowed.
        """
        super().__init__()
        sizes = stage_sizes("sngan", image_shape)
        channels = doublings(width, len(sizes))[::-1]
        stem = nn.Linear(latent_dim, channels[0] * math.prod(sizes[-1]))
        blocks = [
            _GeneratorBlock(before, after, size, norm=norm, num_classes=num_classes)
            for (before, after), size in zip(pairwise(channels), sizes[-2::-1], strict=True)
        ]
        output = nn.Conv2d(width, image_shape[0], 3, padding=1)
        self.layers = LabelledSequential(
            stem,
            nn.Unflatten(1, (channels[0], *sizes[-1])),
            *blocks,
            norm2d(norm, width),
            nn.ReLU(),
            output,
            nn.Tanh(),
        )
        for layer in (stem, output, *(block.match for block in blocks)):
            _init_weights(layer, gain=1.0)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layers(z, label)


class SNGANDiscriminator(Discriminator):
    """Residual blocks that each halve the image, one more at the smallest size, a sum over all places."""

    spectral_norm = True

    def __init__(self, image_shape: Sequence[int], width: int, *, extra_channels: int = 0, pack: int = 1):
        """Builds the layers.

        Args:
            image_shape: C, H, W; H and W at least 6.
            width: channels after the first halving; they double with each further one, up to 8 times.
            extra_channels: E.
            pack: m.

        Raises:
            UserError: if the image is too small to be halved.
            ValueError: if width is not allowed.
        """
        super().__init__()
        sizes = stage_sizes("sngan", image_shape)
        in_channels = pack * (image_shape[0] + extra_channels)
        channels = [in_channels, *doublings(width, len(sizes) - 1)]
        blocks = [
            _DiscriminatorBlock(before, after, halve(size), first=size is sizes[0])
            for (before, after), size in zip(pairwise(channels), sizes, strict=False)
        ]
        last = _DiscriminatorBlock(channels[-1], channels[-1], nn.Identity(), first=False)
        self.layers = nn.Sequential(*blocks, last, nn.ReLU())
        self.num_features = channels[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).sum((2, 3))  # [B, F]


class _GeneratorBlock(TakesLabel):
    """Norm, ReLU, growing and a 3x3 convolution, then all but the growing once more, beside a 1x1 one."""

    def __init__(
        self, before: int, after: int, size: Size, *, norm: NormName, num_classes: int | None
    ) -> None:
        super().__init__()
        self.grow = nn.Upsample(size)
        self.match = nn.Conv2d(before, after, 1)
        self.residual = LabelledSequential(
            norm2d(norm, before, num_classes),
            nn.ReLU(),
            self.grow,
            nn.Conv2d(before, after, 3, padding=1, bias=norm == "none"),
            norm2d(norm, after, num_classes),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1),
        )
        for layer in self.residual:
            _init_weights(layer, gain=math.sqrt(2))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.grow(self.match(x)) + self.residual(x, label)


class _DiscriminatorBlock(nn.Module):
    """ReLU and a 3x3 convolution, twice, beside a 1x1 one; then halving. The first block gets an image, no ReLU."""

    def __init__(self, before: int, after: int, resize: nn.Module, *, first: bool) -> None:
        super().__init__()
        self.resize = resize
        self.match = spectral_norm(nn.Conv2d(before, after, 1))
        self.residual = nn.Sequential(
            nn.Identity() if first else nn.ReLU(),
            spectral_norm(nn.Conv2d(before, after, 3, padding=1)),
            nn.ReLU(),
            spectral_norm(nn.Conv2d(after, after, 3, padding=1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.match(self.resize(x)) + self.resize(self.residual(x))


def _init_weights(layer: nn.Module, *, gain: float) -> None:
    """Weights after Glorot & Bengio 2010, biases 0."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight, gain)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
