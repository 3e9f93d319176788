"""Residual networks without normalisation, after R3GAN (Huang 2024, arXiv:2501.05441, sec. 4, app. D).

Letters in shapes: B batch, C channels, H height, W width, L latent dimensions, E label channels, m samples
in a pack, F features.
The two networks mirror each other: bottleneck blocks with grouped convolutions stand at each size, a 1x1
convolution and bilinear resampling between the sizes. All that is nonlinear stands in the blocks' residual
branches, which are zero at first.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genlab.contracts import Discriminator, Generator
from genlab.errors import UserError
from genlab.layers.norms import refuse_classes
from genlab.layers.resampling import halve
from genlab.layers.sizes import Size, doublings
from genlab.networks.stages import stage_sizes

SLOPE = 0.2
"""Of the leaky ReLU below zero."""


class R3GANGenerator(Generator):
    """A learned basis scaled by a linear map of z, blocks at each size up to the image's, a 1x1 convolution, tanh."""

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int,
        blocks: int = 1,
        groups: int = 4,
        expansion: int = 2,
        *,
        latent_dim: int,
        num_classes: int | None = None,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W; H and W at least 6.
            width: channels at full size; twice as many at each smaller one, up to 8 times.
            blocks: residual blocks at each size, at least 1.
            groups: of the 3x3 convolutions, a divisor of `expansion * width`.
            expansion: the 3x3 convolutions have so many times the block's channels, at least 1.
            latent_dim: L.
            num_classes: None: there is no norm to tell classes.

        Raises:
            UserError: if the image is too small to be halved, or blocks, groups or expansion do not fit.
            ValueError: if width is not allowed, or classes are given.
        """
        super().__init__()
        refuse_classes("r3gan", num_classes)
        stages = _stages(image_shape, width, blocks, groups=groups, expansion=expansion)
        layers: list[nn.Module] = [
            _Basis(latent_dim, stages[-1].channels, stages[-1].size),
            *stages[-1].blocks,
        ]
        for smaller, larger in pairwise(reversed(stages)):
            layers += [_conv(smaller.channels, larger.channels, 1), nn.Upsample(larger.size, mode="bilinear")]
            layers += larger.blocks
        output = _conv(width, image_shape[0], 1, bias=True)
        self.layers = nn.Sequential(*layers, output, nn.Tanh())

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layers(z)


class R3GANDiscriminator(Discriminator):
    """A 1x1 convolution, blocks at each size down to the smallest, a filter of that size for each channel."""

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int,
        blocks: int = 1,
        groups: int = 4,
        expansion: int = 2,
        *,
        extra_channels: int = 0,
        pack: int = 1,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W; H and W at least 6.
            width: channels at full size; they double with each halving, up to 8 times.
            blocks: residual blocks at each size, at least 1.
            groups: of the 3x3 convolutions, a divisor of `expansion * width`.
            expansion: the 3x3 convolutions have so many times the block's channels, at least 1.
            extra_channels: E.
            pack: m.

        Raises:
            UserError: if the image is too small to be halved, or blocks, groups or expansion do not fit.
            ValueError: if width is not allowed.
        """
        super().__init__()
        stages = _stages(image_shape, width, blocks, groups=groups, expansion=expansion)
        layers: list[nn.Module] = [
            _conv(pack * (image_shape[0] + extra_channels), width, 1),
            *stages[0].blocks,
        ]
        for larger, smaller in pairwise(stages):
            layers += [halve(larger.size), _conv(larger.channels, smaller.channels, 1), *smaller.blocks]
        self.num_features = stages[-1].channels
        readout = _conv(self.num_features, self.num_features, stages[-1].size, groups=self.num_features)
        self.layers = nn.Sequential(*layers, readout, nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class _Stage(NamedTuple):
    size: Size
    channels: int
    blocks: list[nn.Module]


def _stages(
    image_shape: Sequence[int], width: int, blocks: int, *, groups: int, expansion: int
) -> list[_Stage]:
    """What stands at each size, from the image down."""
    sizes = stage_sizes("r3gan", image_shape)
    for name, value in (("blocks", blocks), ("groups", groups), ("expansion", expansion)):
        if value < 1:
            raise UserError(f"{name} must be at least 1, got {value}")
    if expansion * width % groups:
        raise UserError(f"groups must divide expansion * width = {expansion * width}, got {groups}")
    depth = blocks * len(sizes)
    return [
        _Stage(size, channels, [_Block(channels, groups, expansion, depth=depth) for _ in range(blocks)])
        for size, channels in zip(sizes, doublings(width, len(sizes)), strict=True)
    ]


class _Block(nn.Module):
    """A 1x1, a grouped 3x3 and a 1x1 convolution beside a skip connection.

    Begins as after Fixup (Zhang 2019, arXiv:1901.09321): the last convolution at zero, so that the block is
    its skip connection, the others smaller the more blocks there are.
    """

    def __init__(self, channels: int, groups: int, expansion: int, *, depth: int) -> None:
        super().__init__()
        inner = expansion * channels
        gain = nn.init.calculate_gain("leaky_relu", SLOPE) * depth**-0.25
        self.residual = nn.Sequential(
            _conv(channels, inner, 1, bias=True, gain=gain),
            nn.LeakyReLU(SLOPE),
            _conv(inner, inner, 3, padding=1, groups=groups, bias=True, gain=gain),
            nn.LeakyReLU(SLOPE),
            _conv(inner, channels, 1, gain=0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual(x)


class _Basis(nn.Module):
    """A learned feature map whose channels are scaled by a linear map of z."""

    def __init__(self, latent_dim: int, channels: int, size: Size) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(channels, *size))
        self.scale = nn.Linear(latent_dim, channels, bias=False)
        nn.init.normal_(self.scale.weight, 0.0, 1 / math.sqrt(latent_dim))

    def forward(self, z: Tensor) -> Tensor:
        return self.basis * self.scale(z)[:, :, None, None]  # [B, channels, H, W]


def _conv(
    before: int,
    after: int,
    kernel: int | Size,
    *,
    padding: int = 0,
    groups: int = 1,
    bias: bool = False,
    gain: float = 1.0,
) -> nn.Module:
    """A convolution with weights N(0, gain^2 / inputs), biases 0 (He 2015)."""
    conv = nn.Conv2d(before, after, kernel, padding=padding, groups=groups, bias=bias)
    nn.init.normal_(conv.weight, 0.0, gain / math.sqrt(conv.weight[0].numel()))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
