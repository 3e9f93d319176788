"""The residual block of image networks."""

from torch import Tensor, nn

from genlab.layers.norms import NormName, norm2d


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
