"""A gated PixelCNN over grids of codes (van den Oord 2016, arXiv:1606.05328, sec. 2.1 and 2.2).

Letters in shapes: B batch, N codes of a codebook, h and w the sides of the grid, W width.
What the paper's masks hide is here outside of the kernels: the grid is moved by one place, then every
convolution looks only up, or only to the left.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from genlab.code_contracts import CodePrior
from genlab.errors import UserError


class GatedPixelCNN(CodePrior):
    """Logits of each code from all codes above and from those to its left in its row, without a blind spot."""

    def __init__(
        self, width: int, layers: int, kernel_size: int = 3, dropout: float = 0.0, *, num_codes: int
    ):
        """Builds the layers.

        Args:
            width: W, at least 1.
            layers: gated layers, at least 1; together they see layers * (kernel_size // 2) places far.
            kernel_size: odd, at least 3.
            dropout: of what a layer adds, 0 up to 1.
            num_codes: N.

        Raises:
            UserError: if a number is out of range.
        """
        super().__init__()
        for name, value in (("width", width), ("layers", layers)):
            if value < 1:
                raise UserError(f"model.prior.{name} must be at least 1, got {value}")
        if kernel_size < 3 or kernel_size % 2 == 0:
            raise UserError(f"model.prior.kernel_size must be odd and at least 3, got {kernel_size}")
        if not 0 <= dropout < 1:
            raise UserError(f"model.prior.dropout must be at least 0 and below 1, got {dropout}")
        self.embedding = nn.Embedding(num_codes, width)
        self.layers = nn.ModuleList(_GatedLayer(width, kernel_size, dropout) for _ in range(layers))
        self.head = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, num_codes, 1)
        )

    def forward(self, codes: Tensor) -> Tensor:
        x = self.embedding(codes).movedim(-1, 1).contiguous()  # [B, W, h, w]
        above = F.pad(x, (0, 0, 1, -1))  # each place knows the row above it
        left = F.pad(x, (1, -1, 0, 0))  # each place knows its left neighbour
        for layer in self.layers:
            above, left = layer(above, left)
        return self.head(left)


class _GatedLayer(nn.Module):
    """One layer of both stacks: of all rows above, and of the row so far (fig. 2)."""

    def __init__(self, width: int, kernel_size: int, dropout: float):
        super().__init__()
        self.reach = kernel_size // 2
        self.down = nn.Conv2d(width, 2 * width, (self.reach + 1, kernel_size))
        self.right = nn.Conv2d(width, 2 * width, (1, self.reach + 1))
        self.link = nn.Conv2d(2 * width, 2 * width, 1)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Conv2d(width, width, 1))

    def forward(self, above: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
        """Maps both stacks' features `[B, W, h, w]` to the same shapes."""
        down = self.down(F.pad(above, (self.reach, self.reach, self.reach, 0)))  # [B, 2W, h, w]
        right = self.right(F.pad(left, (self.reach, 0, 0, 0))) + self.link(down)
        return _gate(down), left + self.out(_gate(right))


def _gate(x: Tensor) -> Tensor:
    """Hyperbolic tangent times sigmoid of the halves: `[B, 2W, h, w]` to `[B, W, h, w]` (eq. 2)."""
    signal, gate = x.chunk(2, dim=1)
    return signal.tanh() * gate.sigmoid()
