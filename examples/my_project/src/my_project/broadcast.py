"""A network: the spatial broadcast decoder.

Letters in shapes: B batch, L latent dimensions, P parameters per value, C channels, H height, W width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genlab.contracts import Decoder
from genlab.errors import UserError


class SpatialBroadcastDecoder(Decoder):
    """The latent repeated at every pixel beside the pixel's coordinates, then convolutions without strides.

    Position is given to the network rather than to be learned (Watters et al. 2019, arXiv:1901.07017, fig. 1).
    """

    grid: Tensor

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int = 16,
        depth: int = 3,
        *,
        latent_dim: int,
        params_per_value: int,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W; of any size.
            width: channels of each hidden layer, at least 1.
            depth: hidden layers, at least 1.
            latent_dim: L.
            params_per_value: P.

        Raises:
            UserError: width or depth is below 1.
        """
        super().__init__()
        if width < 1 or depth < 1:
            raise UserError(f"width and depth must be at least 1, got {width} and {depth}")
        channels, *size = image_shape
        self.shape = (params_per_value, channels)
        self.register_buffer("grid", coordinates(*size), persistent=False)
        widths = [latent_dim + 2, *[width] * depth]
        layers: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(before, after, kernel_size=3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, params_per_value * channels, 3, padding=1))

    def forward(self, z: Tensor) -> Tensor:
        """Maps `[B, L]` to unbounded parameters `[B, P, C, H, W]`."""
        everywhere = z[:, :, None, None].expand(-1, -1, *self.grid.shape[1:])  # [B, L, H, W]
        here = self.grid.to(z.dtype).expand(len(z), -1, -1, -1)  # [B, 2, H, W]
        return self.layers(torch.cat([everywhere, here], dim=1)).unflatten(1, self.shape)


def coordinates(height: int, width: int) -> Tensor:
    """Row and column of each pixel, `[2, H, W]`, from -1 at one side of the image to 1 at the other."""
    return torch.stack(
        torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    )
