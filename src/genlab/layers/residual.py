"""The residual block of image networks, and stages of such blocks."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from genlab.layers.norms import NormName, norm2d
from genlab.layers.sizes import Size


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a skip connection, with pre-activation (He 2016b, fig. 4e) by SiLU.

    `resize` acts on both branches, before the convolutions: `nn.AvgPool2d(2)` halves, `nn.Upsample(size)`
    grows, `nn.Identity()` keeps the size.
    """

    def __init__(self, in_channels: int, out_channels: int, resize: nn.Module, *, norm: NormName):
        super().__init__()
        self.resize = resize
        self.before = nn.Sequential(norm2d(norm, in_channels), nn.SiLU())
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            norm2d(norm, out_channels),
            nn.SiLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        same = in_channels == out_channels
        self.match = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[B, in_channels, H, W]` to `[B, out_channels, *resized(H, W)]`."""
        return self.resize(self.match(x)) + self.residual(self.resize(self.before(x)))


def halving_stages(channels: Sequence[int], blocks: int, norm: NormName) -> list[nn.Module]:
    """Stages of `blocks` residual blocks from each number of channels to the next; the first one of each halves."""
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers.append(ResidualBlock(before, after, nn.AvgPool2d(2), norm=norm))
        layers += [ResidualBlock(after, after, nn.Identity(), norm=norm) for _ in range(blocks - 1)]
    return layers


def growing_stages(
    channels: Sequence[int], sizes: Sequence[Size], blocks: int, norm: NormName
) -> list[nn.Module]:
    """The way back, from the last of the channels and sizes that halving goes through to the first."""
    layers: list[nn.Module] = []
    for (before, after), size in zip(pairwise(channels[::-1]), sizes[-2::-1], strict=True):
        layers.append(ResidualBlock(before, after, nn.Upsample(size), norm=norm))
        layers += [ResidualBlock(after, after, nn.Identity(), norm=norm) for _ in range(blocks - 1)]
    return layers
