"""The interfaces of networks between images and grids of codes, and of what knows codes.

Letters in shapes: B batch, C channels, H height, W width, P parameters per value, N codes of a codebook,
V features of a code, h and w the sides of a map of features or of codes.
"""

from torch import Tensor, nn


class MapEncoder(nn.Module):
    """Interface: images to a map of features. Built as `factory(out_channels=V, downsampling=...)`.

    Attributes:
        grid: h, w for the images that it was made for.
    """

    grid: tuple[int, int]

    def forward(self, image: Tensor) -> Tensor:
        """Maps `[B, C, H, W]` in [-1, 1] to `[B, V, h, w]`, linear in its last layer."""
        raise NotImplementedError


class MapDecoder(nn.Module):
    """Interface: a map of features to the parameters of a distribution over images.

    Built by its family as `factory(in_channels=V, downsampling=..., params_per_value=P)`.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Maps `[B, V, h, w]` to unbounded parameters `[B, P, C, H, W]`, P for each value of the image."""
        raise NotImplementedError


class Quantizer(nn.Module):
    """Interface: a codebook, and the code that stands for each place of a map of features.

    Built by its family as `factory(num_codes=N, code_dim=V)`.
    """

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Maps `[B, V, h, w]` to its codes' vectors, of the same shape and without gradient, and codes `[B, h, w]`.

        While it trains the codebook may learn from what it sees.
        """
        raise NotImplementedError

    def vectors(self, codes: Tensor) -> Tensor:
        """Maps codes `[B, h, w]`, 0 .. N-1, to their vectors `[B, V, h, w]`."""
        raise NotImplementedError


class CodePrior(nn.Module):
    """Interface: a distribution over grids of codes, code after code, row by row.

    Built by its family as `factory(num_codes=N)`.
    """

    def forward(self, codes: Tensor) -> Tensor:
        """Maps codes `[B, h, w]` to logits `[B, N, h, w]`; those of a code see only the codes before it."""
        raise NotImplementedError
